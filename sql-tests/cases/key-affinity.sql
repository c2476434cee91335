-- native
-- A TEXT key holds numbers as their text, in what is stored and in what is
-- looked for.
.mode quote
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES (5, x'01'), (5.0, x'02'), ('05', x'03'), (-7, x'04'), (1e100, x'05'), (0.1, x'06');
SELECT key, typeof(key) FROM kv ORDER BY key;
SELECT value FROM kv WHERE key = 5;
SELECT value FROM kv WHERE key = 5.0;
SELECT value FROM kv WHERE key = '05';
SELECT value FROM kv WHERE key IN (5, -7, 0.1, 99) ORDER BY value;
SELECT value FROM kv WHERE key IS 5;
INSERT INTO kv VALUES ('5', x'07');
UPDATE kv SET key = 6 WHERE key = 5;
SELECT key FROM kv WHERE key = '6';
DELETE FROM kv WHERE key = -7;
SELECT count(*) FROM kv;
DELETE FROM kv;
SELECT count(*) FROM kv;
