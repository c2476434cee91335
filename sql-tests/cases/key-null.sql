-- native
-- NULL is no key and equals none.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('', x'00'), ('a', x'01');
INSERT INTO kv VALUES (NULL, x'02');
INSERT INTO kv(value) VALUES (x'02');
UPDATE kv SET key = NULL WHERE key = 'a';
SELECT 'equals', key FROM kv WHERE key = NULL;
SELECT 'is', key FROM kv WHERE key IS NULL;
SELECT 'in', key FROM kv WHERE key IN (NULL, 'a');
SELECT 'not in', key FROM kv WHERE key NOT IN (NULL, 'a');
SELECT 'not null', key FROM kv WHERE key IS NOT NULL ORDER BY key;
