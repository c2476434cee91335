-- A table may be dropped in a transaction that has written to its directory as long
-- as another table there can end it.
CREATE VIRTUAL TABLE a USING bitcask('data');
CREATE VIRTUAL TABLE b USING bitcask('data');
BEGIN;
INSERT INTO a VALUES ('1', 'one');
DROP TABLE b;
INSERT INTO a VALUES ('2', 'two');
SAVEPOINT s;
CREATE VIRTUAL TABLE c USING bitcask('data');
INSERT INTO c VALUES ('3', 'three');
DROP TABLE a;
INSERT INTO c VALUES ('4', 'four');
ROLLBACK TO s;
SELECT 'to s', group_concat(key) FROM (SELECT key FROM a ORDER BY key);
COMMIT;
SELECT 'committed', group_concat(key) FROM (SELECT key FROM a ORDER BY key);
BEGIN;
INSERT INTO a VALUES ('5', 'five');
CREATE VIRTUAL TABLE c USING bitcask('data');
INSERT INTO c VALUES ('6', 'six');
DROP TABLE a;
DROP TABLE c;
COMMIT;
SELECT 'by c', group_concat(key) FROM (SELECT key FROM c ORDER BY key);
-- Dropped and made anew under its name, in the transaction that writes.
CREATE VIRTUAL TABLE a USING bitcask('data');
BEGIN;
DELETE FROM c WHERE key > '1';
DROP TABLE a;
CREATE VIRTUAL TABLE a USING bitcask('data');
INSERT INTO a VALUES ('7', 'seven');
ROLLBACK;
SELECT 'rolled back', group_concat(key) FROM (SELECT key FROM a ORDER BY key);
-- The write lock is free again.
SELECT bitcask_merge('a') IS NOT NULL;
