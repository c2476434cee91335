-- Overwrites and deletes leave dead records, merging frees their space.
CREATE VIRTUAL TABLE kv USING bitcask('data', sync=off, max_file_size='4k', merge=manual);
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
  INSERT INTO kv SELECT 'k' || i, zeroblob(100) FROM n;
UPDATE kv SET value = 'small';
DELETE FROM kv WHERE key > 'k5';
SELECT count(*) > 1, sum(live_keys), sum(dead_bytes) > 10000 FROM bitcask_files('kv');
SELECT bitcask_needs_merge('kv');
CREATE TABLE before AS SELECT * FROM kv;
SELECT bitcask_merge('kv') > 10000;
SELECT sum(live_keys), sum(dead_bytes) FROM bitcask_files('kv');
SELECT bitcask_needs_merge('kv');
SELECT bitcask_merge('kv', 'policy');
SELECT count(*), (SELECT count(*) FROM before) FROM kv NATURAL JOIN before;
SELECT bitcask_verify('kv');
DELETE FROM kv;
SELECT bitcask_merge('kv') > 0;
SELECT count(*) FROM kv;
