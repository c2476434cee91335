-- Hint files are a short cut, never believed over the data: a damaged one is
-- found out and made anew, one that is missing costs nothing but time.
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=200, merge=manual);
INSERT INTO kv VALUES ('a', zeroblob(200));
INSERT INTO kv VALUES ('b', zeroblob(200));
INSERT INTO kv VALUES ('c', zeroblob(200));
DELETE FROM kv WHERE key = 'a';
SELECT bitcask_merge('kv') > 0;
DROP TABLE kv;
.shell for f in data/*.hint; do echo damaged | dd of=$f bs=1 seek=3 conv=notrunc status=none; done
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT key, length(value) FROM kv ORDER BY key;
INSERT INTO kv VALUES ('d', 'new');
SELECT bitcask_verify('kv');
DROP TABLE kv;
.shell rm data/*.hint
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT key FROM kv ORDER BY key;
SELECT count(*) FROM kv WHERE key = 'a';
