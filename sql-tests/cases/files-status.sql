-- What there is on disk: two records of 14 bytes and their keys and values, one
-- of them dead.
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT count(*) FROM bitcask_files('kv');
SELECT keys, files, live_bytes, dead_bytes, active_file FROM bitcask_status('kv');
INSERT INTO kv VALUES ('key', 'value');
REPLACE INTO kv VALUES ('key', 'other');
.mode line
SELECT file_id, substr(path, -19), state, total_bytes, live_bytes, dead_bytes, live_keys,
  total_keys, fragmented, newest_tstamp - oldest_tstamp BETWEEN 0 AND 60 AS tstamps,
  abs(newest_tstamp - unixepoch()) < 60 AS now, has_hint, damaged FROM bitcask_files('kv');
SELECT keys, key_bytes, files, live_bytes, dead_bytes, disk_bytes, keydir_bytes > 0, snapshots,
  active_file, directory FROM bitcask_status('kv');
.mode list
-- Joined with the list of tables.
CREATE VIRTUAL TABLE two USING bitcask('two');
INSERT INTO two VALUES ('a', 'b');
SELECT t.name, f.live_keys FROM pragma_table_list t, bitcask_files(t.schema || '.' || t.name) f
  WHERE t.name IN ('kv', 'two') ORDER BY 1;
SELECT name FROM pragma_table_xinfo('bitcask_files');
SELECT name FROM pragma_table_xinfo('bitcask_status');
-- since 3.38
