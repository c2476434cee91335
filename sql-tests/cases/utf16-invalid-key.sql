-- A key that is not valid UTF-8 cannot be named in a UTF-16 database: an error, and
-- no deletion that deletes nothing.
.open plain.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES (CAST(x'6BFF' AS TEXT), '1'), ('good', '2');
.open wide.db
.load ../bitcask
PRAGMA encoding = 'UTF-16le';
CREATE VIRTUAL TABLE kv USING bitcask('data');
DELETE FROM kv;
UPDATE kv SET value = 'x';
DELETE FROM kv WHERE key = 'good';
SELECT count(*) FROM kv;
