-- DROP within transactions and savepoints that are rolled back: the table comes back,
-- with all rows; the directory never went.
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO kv VALUES ('a', '1');
BEGIN;
SAVEPOINT s;
DROP TABLE kv;
SELECT * FROM kv;
ROLLBACK TO s;
INSERT INTO kv VALUES ('b', '2');
COMMIT;
SELECT key FROM kv ORDER BY key;
BEGIN;
INSERT INTO plain VALUES (1);
DROP TABLE kv;
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('c', '3');
ROLLBACK;
SELECT key FROM kv ORDER BY key;
SAVEPOINT t;
DROP TABLE kv;
CREATE TABLE kv(a);
INSERT INTO kv VALUES ('ordinary');
ROLLBACK TO t;
SELECT key FROM kv ORDER BY key;
DROP TABLE kv;
RELEASE t;
SELECT * FROM kv;
DROP TABLE kv;
DROP TABLE IF EXISTS kv;
.shell test -d data && echo kept
-- Other options may be chosen when it is made anew, at once.
CREATE VIRTUAL TABLE kv USING bitcask('data', sync=off, max_file_size='1M');
DROP TABLE kv;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT key FROM kv ORDER BY key;
-- With the directory gone, in a transaction that is rolled back; nothing is made.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
.open y.db
.shell mv data gone
.open x.db
.load ../bitcask
BEGIN;
SAVEPOINT s;
DROP TABLE kv;
ROLLBACK TO s;
SELECT * FROM kv;
COMMIT;
.shell test -d data || echo nothing was made
.shell mv gone data
SELECT key FROM kv ORDER BY key;
