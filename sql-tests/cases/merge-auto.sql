-- Space comes back by itself, with the commits that follow: at most 2.5 times what is
-- live, and two files.  With merge=manual it waits for bitcask_merge.
CREATE VIRTUAL TABLE kv USING bitcask('data', sync=off, max_file_size='16k');
CREATE VIRTUAL TABLE manual USING bitcask('manual', sync=off, max_file_size='16k', merge=manual);
.once fill.sql
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 2999)
  SELECT printf('REPLACE INTO kv VALUES (''k%d'', ''%0200d'');', i % 50, i)
    || printf('REPLACE INTO manual VALUES (''k%d'', ''%0200d'');', i % 50, i) FROM n;
.read fill.sql
SELECT keys, live_bytes + dead_bytes <= 2.5 * live_bytes + 2 * 16384 FROM bitcask_status('kv');
SELECT keys, files > 30, live_bytes + dead_bytes <= 2.5 * live_bytes + 2 * 16384,
  dead_bytes > 500000 FROM bitcask_status('manual');
SELECT min(file_id) > 20 FROM bitcask_files('kv');
SELECT min(file_id), max(file_id) = count(*) FROM bitcask_files('manual');
SELECT bitcask_needs_merge('manual');
SELECT count(*), (SELECT count(*) FROM kv NATURAL JOIN manual) FROM kv;
SELECT bitcask_verify('kv');
-- Switched on, it makes up for it.
DROP TABLE manual;
CREATE VIRTUAL TABLE manual USING bitcask('manual', sync=off, max_file_size='16k', merge=auto);
.read fill.sql
SELECT keys, live_bytes + dead_bytes <= 2.5 * live_bytes + 2 * 16384 FROM bitcask_status('manual');
SELECT count(*), (SELECT count(*) FROM kv NATURAL JOIN manual) FROM kv;
SELECT bitcask_verify('manual');
-- Nothing left: a few small commits, and all of it is free.
DELETE FROM kv;
.once few.sql
WITH RECURSIVE n(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM n WHERE i < 49)
  SELECT printf('REPLACE INTO kv VALUES (''only'', ''%d'');', i) FROM n;
.read few.sql
SELECT keys, live_bytes + dead_bytes <= 2.5 * live_bytes + 2 * 16384 FROM bitcask_status('kv');
SELECT * FROM kv;
-- Merging all at once is still possible.
SELECT bitcask_merge('kv') IS NOT NULL;
SELECT files, dead_bytes FROM bitcask_status('kv');
CREATE VIRTUAL TABLE never USING bitcask('never', merge=never);
