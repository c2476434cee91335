-- A table that the transaction has written to cannot be dropped in it: SQLite would
-- never tell it how the transaction ends.
CREATE VIRTUAL TABLE a USING bitcask('data');
CREATE VIRTUAL TABLE b USING bitcask('data');
BEGIN;
INSERT INTO a VALUES ('1', 'one');
SAVEPOINT s;
DROP TABLE a;
ROLLBACK TO s;
INSERT INTO a VALUES ('2', 'two');
COMMIT;
SELECT 'kept', key, value FROM b ORDER BY key;
-- Nor does it leave the write lock behind.
BEGIN;
INSERT INTO a VALUES ('3', 'three');
DROP TABLE a;
COMMIT;
SELECT 'merged', bitcask_merge('b') IS NOT NULL;
DROP TABLE a;
SELECT 'after', group_concat(key) FROM (SELECT key FROM b ORDER BY key);
-- Savepoints that only the dropped table had heard of are forgotten with it.
BEGIN;
SAVEPOINT x;
SAVEPOINT y;
CREATE VIRTUAL TABLE c USING bitcask('data');
SAVEPOINT z;
DROP TABLE c;
COMMIT;
BEGIN;
INSERT INTO b VALUES ('4', 'four');
SAVEPOINT s;
INSERT INTO b VALUES ('5', 'five');
ROLLBACK TO s;
COMMIT;
SELECT 'savepoint', group_concat(key) FROM (SELECT key FROM b ORDER BY key);
