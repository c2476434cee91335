-- CREATE in a transaction: the table can be written at once, and ROLLBACK takes
-- table and rows away again.
BEGIN;
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
SELECT * FROM kv;
ROLLBACK;
SELECT * FROM kv;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT count(*) FROM kv;
DROP TABLE kv;
-- Savepoints count although such a table is never told that a transaction begins.
BEGIN;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SAVEPOINT a;
INSERT INTO kv VALUES ('x', '1');
SAVEPOINT b;
INSERT INTO kv VALUES ('y', '2');
ROLLBACK TO a;
SELECT 'after rollback to a', count(*) FROM kv;
INSERT INTO kv VALUES ('z', '3');
COMMIT;
SELECT * FROM kv;
