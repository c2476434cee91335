-- In a UTF-16 database keys and texts are stored in UTF-8 all the same.
PRAGMA encoding = 'UTF-16le';
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('ab', 'text'), ('ä', x'0102'), (5, 6);
SELECT key, hex(value) FROM kv ORDER BY key;
SELECT hex(value) FROM kv WHERE key = 'ä';
SELECT hex(value) FROM kv WHERE key IN ('ab', 5) ORDER BY key;
UPDATE kv SET key = 'cd' WHERE key = 'ab';
DELETE FROM kv WHERE key = 'ä';
SELECT key FROM kv ORDER BY key;
.open other.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT key, hex(value) FROM kv ORDER BY key;
