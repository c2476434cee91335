-- Two tables on one directory are in one transaction: a table that joins late
-- must not move the marks of the other.
CREATE VIRTUAL TABLE a USING bitcask('data');
CREATE VIRTUAL TABLE b USING bitcask('data');
BEGIN;
SAVEPOINT s;
INSERT INTO a VALUES ('x', '1');
INSERT INTO b VALUES ('y', '2');
SELECT 'both', group_concat(key) FROM (SELECT key FROM a ORDER BY key);
ROLLBACK TO s;
SELECT 'neither', count(*) FROM a;
INSERT INTO b VALUES ('z', '3');
SAVEPOINT t;
INSERT INTO a VALUES ('w', '4');
ROLLBACK TO t;
INSERT INTO a VALUES ('v', '5');
SELECT 'own writes', group_concat(key) FROM (SELECT key FROM b ORDER BY key);
COMMIT;
SELECT 'committed', group_concat(key) FROM (SELECT key FROM a ORDER BY key);
BEGIN;
INSERT INTO a VALUES ('p', '6');
DELETE FROM b WHERE key = 'v';
ROLLBACK;
SELECT 'rolled back', group_concat(key) FROM (SELECT key FROM b ORDER BY key);
-- A unique key is unique across the tables, and a statement that fails in the
-- one keeps what the other wrote.
BEGIN;
INSERT INTO a VALUES ('q', '7');
INSERT INTO b VALUES ('r', '8'), ('q', '9');
COMMIT;
SELECT 'kept', group_concat(key) FROM (SELECT key FROM b ORDER BY key);
