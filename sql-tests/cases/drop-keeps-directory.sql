-- DROP takes the table away, never the data; also in a transaction that is
-- rolled back.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('k', 'v');
BEGIN;
DROP TABLE kv;
ROLLBACK;
SELECT * FROM kv;
DROP TABLE kv;
SELECT * FROM kv;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT * FROM kv;
-- A directory that was removed and made anew is a new store.
DROP TABLE kv;
.shell rm -r data
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT count(*) FROM kv;
