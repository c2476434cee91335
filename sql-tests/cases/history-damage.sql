-- Damage is a row of the history, and all problems are rows of bitcask_verify_rows.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', 'first');
INSERT INTO kv VALUES ('b', 'second');
INSERT INTO kv VALUES ('c', 'third');
INSERT INTO kv VALUES ('d', 'fourth');
SELECT bitcask_sync('kv');
SELECT count(*) FROM bitcask_verify_rows('kv');
.shell for v in second fourth; do n=$(grep -abo $v data/1.bitcask.data | cut -d: -f1) && printf X | dd of=data/1.bitcask.data bs=1 seek=$n conv=notrunc status=none; done
SELECT file_id, offset, size, tstamp IS NULL, key, value, kind, live FROM bitcask_history('kv')
  WHERE kind = 'damaged';
SELECT key, value FROM bitcask_history('kv') WHERE live;
SELECT file_id, offset, problem FROM bitcask_verify_rows('kv') WHERE problem LIKE '%bytes are%';
SELECT count(*), count(DISTINCT offset) FROM bitcask_verify_rows('kv');
SELECT replace(path, rtrim(path, replace(path, '/', '')), '') FROM bitcask_verify_rows('kv') LIMIT 1;
SELECT bitcask_verify('kv');
SELECT name FROM pragma_table_xinfo('bitcask_verify_rows');
