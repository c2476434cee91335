-- native
-- Only BINARY comparisons go to the store; the others are SQLite's.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', x'01'), ('A', x'02'), ('a  ', x'03'), ('b', x'04');
SELECT key FROM kv WHERE key = 'A' COLLATE NOCASE ORDER BY key;
SELECT key FROM kv WHERE key = 'a' COLLATE RTRIM ORDER BY key;
SELECT key FROM kv WHERE key IN ('A', 'B') COLLATE NOCASE ORDER BY key;
SELECT key FROM kv WHERE key COLLATE NOCASE IN ('A', 'B') ORDER BY key;
SELECT key FROM kv WHERE key IS 'B' COLLATE NOCASE;
SELECT key FROM kv WHERE key = 'A' COLLATE BINARY;
DELETE FROM kv WHERE key = 'A' COLLATE NOCASE;
SELECT key FROM kv ORDER BY key;
