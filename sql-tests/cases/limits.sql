-- A key of 65,535 bytes is the longest; large values come back whole.
CREATE VIRTUAL TABLE kv USING bitcask('data', sync=off);
INSERT INTO kv VALUES (printf('%.*c', 65535, 'k'), 'longest');
INSERT INTO kv VALUES (printf('%.*c', 65536, 'k'), 'too long');
INSERT OR IGNORE INTO kv VALUES (printf('%.*c', 65536, 'k'), 'too long');
UPDATE kv SET key = key || 'k';
SELECT length(key), value FROM kv;
SELECT count(*) FROM kv WHERE key = printf('%.*c', 65536, 'k');
SELECT count(*) FROM kv WHERE key IN ('a', printf('%.*c', 65536, 'k'));
INSERT INTO kv VALUES ('big', randomblob(3000000));
CREATE TABLE copy AS SELECT value FROM kv WHERE key = 'big';
SELECT length(value), value = (SELECT value FROM copy) FROM kv WHERE key = 'big';
-- A value over the connection's own limit is an error, no crash.
.limit length 1000000
SELECT value FROM kv WHERE key = 'big';
SELECT length(key) FROM kv ORDER BY key;
