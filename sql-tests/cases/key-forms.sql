-- native
-- Keys that are easily taken for something else.
.mode quote
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('', x'00'), (' ', x'01'), ('a', x'02'), ('A', x'03'), ('a ', x'04'), ('ä', x'05'), ('日本', x'06');
INSERT INTO kv VALUES ('', x'07');
SELECT value FROM kv WHERE key = '';
SELECT value FROM kv WHERE key = ' ';
SELECT value FROM kv WHERE key = 'A';
SELECT value FROM kv WHERE key = 'ä';
SELECT key, value FROM kv ORDER BY key;
-- With a NUL inside, and not UTF-8: bytes are kept as they are.
INSERT INTO kv VALUES (CAST(x'610062' AS TEXT), x'08'), (CAST(x'61' AS TEXT) || char(0), x'09'), (CAST(x'ff' AS TEXT), x'0a');
SELECT hex(CAST(key AS BLOB)), value FROM kv WHERE value >= x'08' ORDER BY value;
SELECT value FROM kv WHERE key = CAST(x'610062' AS TEXT);
SELECT value FROM kv WHERE key = CAST(x'ff' AS TEXT);
DELETE FROM kv WHERE key = 'a';
SELECT count(*) FROM kv;
DELETE FROM kv;
SELECT count(*) FROM kv;
