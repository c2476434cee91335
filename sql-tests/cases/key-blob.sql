-- A BLOB is no TEXT key: it is refused, and equal to none.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', 'text');
INSERT INTO kv VALUES (x'61', 'blob');
INSERT OR IGNORE INTO kv VALUES (x'62', 'blob');
UPDATE kv SET key = x'62';
SELECT * FROM kv;
SELECT count(*) FROM kv WHERE key = x'61';
SELECT count(*) FROM kv WHERE key IS x'61';
SELECT count(*) FROM kv WHERE key IN (x'61', x'62');
SELECT count(*) FROM kv WHERE key IN (x'61', 'a');
