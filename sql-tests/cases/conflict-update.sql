-- native
-- UPDATE of the key onto one that is there, in each conflict mode.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3');
UPDATE kv SET key = 'b' WHERE key = 'a';
UPDATE OR ABORT kv SET key = 'b' WHERE key = 'a';
UPDATE OR FAIL kv SET key = 'b' WHERE key = 'a';
UPDATE OR IGNORE kv SET key = 'b' WHERE key = 'a';
SELECT 'ignore', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
UPDATE OR REPLACE kv SET key = 'b' WHERE key = 'a';
SELECT 'replace', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
UPDATE OR REPLACE kv SET key = 'b', value = 'new' WHERE key = 'c';
SELECT 'replace', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
UPDATE kv SET key = 'b' WHERE key = 'b';
SELECT 'same', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT INTO kv VALUES ('x', '1');
BEGIN;
DELETE FROM kv WHERE key = 'x';
UPDATE kv SET key = 'x';
SELECT 'freed key', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT INTO kv VALUES ('y', '2');
UPDATE OR ROLLBACK kv SET key = 'x' WHERE key = 'y';
SELECT 'rollback', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
