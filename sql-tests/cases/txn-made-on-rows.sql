-- A table made in a savepoint on a directory with rows: DELETE or UPDATE may be the
-- first statement, and another table of the directory goes on.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
BEGIN;
SAVEPOINT s;
CREATE VIRTUAL TABLE new USING bitcask('data');
DELETE FROM new WHERE key = 'a';
ROLLBACK TO s;
SELECT 'delete', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
CREATE VIRTUAL TABLE new USING bitcask('data');
UPDATE new SET value = 'x' WHERE key = 'a';
INSERT INTO kv VALUES ('c', '3');
SELECT 'update', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
ROLLBACK TO s;
SELECT 'both', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT INTO kv VALUES ('d', '4');
SAVEPOINT t;
CREATE VIRTUAL TABLE new USING bitcask('data');
INSERT INTO new VALUES ('e', '5');
INSERT INTO kv VALUES ('f', '6');
ROLLBACK TO t;
INSERT INTO kv VALUES ('g', '7');
COMMIT;
SELECT 'committed', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
