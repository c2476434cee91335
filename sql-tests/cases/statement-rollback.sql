-- native
-- A statement that fails leaves nothing, in a transaction too.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
INSERT INTO kv VALUES ('b', '2'), ('a', 'again');
SELECT key FROM kv ORDER BY key;
BEGIN;
INSERT INTO kv VALUES ('c', '3');
INSERT INTO kv VALUES ('d', '4'), ('a', 'again');
UPDATE kv SET key = 'same';
UPDATE kv SET value = CASE key WHEN 'a' THEN 'x' ELSE NULL END;
SELECT * FROM kv ORDER BY key;
COMMIT;
SELECT * FROM kv ORDER BY key;
