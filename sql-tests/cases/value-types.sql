-- A raw BLOB value holds bytes: of a text its UTF-8, of a number its text.
.mode quote
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('blob', x'0001ff'), ('text', 'abc'), ('int', 42), ('real', 2.5), ('empty', ''), ('none', x''), ('zeros', zeroblob(3));
SELECT key, value, typeof(value), length(value) FROM kv ORDER BY key;
SELECT CAST(value AS TEXT) FROM kv WHERE key = 'text';
SELECT key FROM kv WHERE value = x'616263';
SELECT key FROM kv WHERE CAST(value AS TEXT) = 'abc';
INSERT INTO kv VALUES ('null', NULL);
UPDATE kv SET value = NULL WHERE key = 'text';
SELECT value FROM kv WHERE key IN ('text', 'null');
