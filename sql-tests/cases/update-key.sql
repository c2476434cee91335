-- native
-- Changing keys while they are being read comes to an end.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3');
UPDATE kv SET key = key || 'x';
SELECT * FROM kv ORDER BY key;
UPDATE kv SET key = upper(key), value = value || '!' WHERE key > 'b';
SELECT * FROM kv ORDER BY key;
UPDATE kv SET value = (SELECT count(*) FROM kv k WHERE k.key <= kv.key);
SELECT changes();
UPDATE kv SET key = 'new' WHERE key = 'ax';
SELECT key FROM kv WHERE key IN ('ax', 'new');
