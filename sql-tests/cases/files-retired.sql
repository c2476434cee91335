-- What basho/bitcask has merged, marked and not removed yet is not read.
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=100, merge=manual);
INSERT INTO kv VALUES ('a', zeroblob(60));
INSERT INTO kv VALUES ('b', zeroblob(60));
INSERT INTO kv VALUES ('c', zeroblob(60));
SELECT file_id, state, total_bytes, live_bytes, dead_bytes, live_keys FROM bitcask_files('kv');
DROP TABLE kv;
.shell chmod o+x data/2.bitcask.data
CREATE VIRTUAL TABLE kv USING bitcask('data', read_only=1);
SELECT file_id, state, total_bytes, live_bytes, dead_bytes, live_keys FROM bitcask_files('kv');
SELECT key FROM kv ORDER BY key;
SELECT keys, files FROM bitcask_status('kv');
