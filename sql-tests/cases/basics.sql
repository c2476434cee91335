-- native since 3.36
-- The four statements, as on any table.
CREATE VIRTUAL TABLE kv USING bitcask('data/kv');
INSERT INTO kv VALUES ('user:1', '{"name":"Ada"}'), ('user:2', '{"name":"Bob"}');
SELECT value FROM kv WHERE key = 'user:1';
UPDATE kv SET value = '{"name":"Ada Lovelace"}' WHERE key = 'user:1';
SELECT changes();
SELECT * FROM kv ORDER BY key;
DELETE FROM kv WHERE key = 'user:2';
SELECT changes();
SELECT count(*), min(key), max(key) FROM kv;
DELETE FROM kv WHERE key = 'nobody';
SELECT changes();
SELECT * FROM kv WHERE key = 'nobody';
INSERT INTO kv(value, key) VALUES ('columns', 'named');
SELECT * FROM kv ORDER BY key;
DELETE FROM kv;
SELECT changes(), (SELECT count(*) FROM kv);
