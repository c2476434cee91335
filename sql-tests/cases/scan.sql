-- A directory without a table.
CREATE VIRTUAL TABLE kv USING bitcask('data', mmap=0, expiry_secs=1000);
INSERT INTO kv VALUES ('text', 'a value'), ('ä', x'00ff'), ('gone', '');
DELETE FROM kv WHERE key = 'gone';
SELECT key, typeof(key), hex(value), typeof(value), abs(_tstamp - strftime('%s', 'now')) < 60
  FROM bitcask_scan('data') ORDER BY key;
SELECT count(*) FROM bitcask_scan('data') WHERE key = 'text';
-- What Riak writes: 2, the size of the bucket in two bytes, the bucket, the key.
CREATE VIRTUAL TABLE riak USING bitcask('riak', key BLOB, value BLOB);
INSERT INTO riak VALUES (x'0200066275636b65746b6579', 'object');
SELECT CAST(substr(key, 4, 6) AS TEXT), CAST(substr(key, 4 + 6) AS TEXT), typeof(key)
  FROM bitcask_scan('riak');
-- It writes nothing, makes nothing, and sees what is committed.
BEGIN;
INSERT INTO kv VALUES ('not', 'yet');
SELECT count(*) FROM bitcask_scan('data');
COMMIT;
SELECT count(*) FROM bitcask_scan('data');
SELECT d.column1, count(s.key) FROM (VALUES ('data'), ('riak')) d, bitcask_scan(d.column1) s
  GROUP BY 1;
SELECT * FROM bitcask_scan('nowhere');
SELECT * FROM bitcask_scan;
SELECT * FROM bitcask_scan(NULL);
.shell ls
INSERT INTO bitcask_scan(key, value) VALUES ('a', 'b');
SELECT name FROM pragma_table_xinfo('bitcask_scan');
