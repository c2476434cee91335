-- Every option, in any case, quoted or not, with blanks around it.
CREATE VIRTUAL TABLE kv USING bitcask('data',
  read_only=0, sync=normal, max_file_size='1M', merge=manual,
  frag_merge_trigger=60, frag_threshold = 40,
  dead_bytes_merge_trigger='512m', dead_bytes_threshold='128M', small_file_threshold="10485760",
  expiry_secs=0, expiry_grace_time=0, TIMEOUT=100, mmap=1, verify=1);
INSERT INTO kv VALUES ('k', 'v');
SELECT * FROM kv;
CREATE VIRTUAL TABLE off USING bitcask('off', SYNC=Off, mmap=0, verify=0, max_file_size='2G');
INSERT INTO off VALUES ('k', 'v');
SELECT * FROM off;
CREATE VIRTUAL TABLE full USING bitcask('full', sync=full, max_file_size='1k');
INSERT INTO full VALUES ('k', 'v');
SELECT * FROM full;
