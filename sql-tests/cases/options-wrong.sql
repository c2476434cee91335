-- An option that is unknown, bad or given twice is named; nothing is created.
CREATE VIRTUAL TABLE kv USING bitcask('data', frob=1);
CREATE VIRTUAL TABLE kv USING bitcask('data', read_only=2);
CREATE VIRTUAL TABLE kv USING bitcask('data', read_only=yes);
CREATE VIRTUAL TABLE kv USING bitcask('data', read_only=);
CREATE VIRTUAL TABLE kv USING bitcask('data', sync=sometimes);
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=-1);
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=0);
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size='12x');
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=99999999999999999999);
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size='9999999999G');
CREATE VIRTUAL TABLE kv USING bitcask('data', frag_threshold=101);
CREATE VIRTUAL TABLE kv USING bitcask('data', expiry_secs=4294967296);
CREATE VIRTUAL TABLE kv USING bitcask('data', timeout=-1);
CREATE VIRTUAL TABLE kv USING bitcask('data', timeout='1 2');
CREATE VIRTUAL TABLE kv USING bitcask('data', merge=sometimes);
CREATE VIRTUAL TABLE kv USING bitcask('data', mmap=0, mmap=1);
SELECT count(*) FROM sqlite_master;
.shell ls
