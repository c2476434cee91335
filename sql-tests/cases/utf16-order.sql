-- native
-- In a UTF-16 database BINARY compares UTF-16: ranges and order are SQLite's own.
PRAGMA encoding = 'UTF-16le';
CREATE VIRTUAL TABLE kv USING bitcask('data', key TEXT PRIMARY KEY, value TEXT NOT NULL);
INSERT INTO kv VALUES ('a', 1), ('b', 2), ('ab', 3), ('ä', 4), (char(256), 5), (char(65535), 6), (char(65536), 7), ('10', 8), (char(512), 9);
SELECT hex(key) FROM kv ORDER BY key;
SELECT hex(key) FROM kv ORDER BY key DESC;
SELECT hex(key) FROM kv WHERE key > 'a' ORDER BY key;
SELECT hex(key) FROM kv WHERE key < 'b' ORDER BY key;
SELECT hex(key) FROM kv WHERE key BETWEEN 'a' AND char(256) ORDER BY key;
SELECT value FROM kv WHERE key IN ('a', char(256), char(65536)) ORDER BY key;
SELECT value FROM kv WHERE key GLOB 'a*' ORDER BY value;
CREATE VIRTUAL TABLE t USING bitcask('t', id INTEGER PRIMARY KEY, a TEXT, b);
INSERT INTO t VALUES (2, 'ä', 'ü'), (1, char(65536), x'00'), (3, 5, 5);
SELECT id, hex(a), a, b FROM t WHERE id > 0 ORDER BY id;
SELECT id FROM t WHERE a = 'ä';
UPDATE t SET a = a || 'x' WHERE id < 3;
SELECT id, a, typeof(b) FROM t ORDER BY id DESC;
-- until 3.49.9
