-- native
-- UPDATE and DELETE with ORDER BY and LIMIT, where the host has them.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3'), ('d', '4'), ('e', '5');
DELETE FROM kv ORDER BY key LIMIT 1;
SELECT changes(), group_concat(key) FROM (SELECT key FROM kv ORDER BY key);
UPDATE kv SET value = 'x' ORDER BY key DESC LIMIT 2;
SELECT changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
BEGIN;
UPDATE kv SET key = key || key WHERE key > 'b' ORDER BY key LIMIT 1 OFFSET 1;
DELETE FROM kv WHERE CAST(value AS TEXT) = 'x' ORDER BY key LIMIT 1;
SELECT changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
DELETE FROM kv LIMIT 0;
SELECT changes();
ROLLBACK;
DELETE FROM kv LIMIT 99;
SELECT changes(), count(*) FROM kv;
-- since 3.40
-- until 3.40.9
