-- What is not a directory name; nothing is created.
CREATE VIRTUAL TABLE kv USING bitcask;
CREATE VIRTUAL TABLE kv USING bitcask();
CREATE VIRTUAL TABLE kv USING bitcask('');
CREATE VIRTUAL TABLE kv USING bitcask('a' 'b');
CREATE VIRTUAL TABLE kv USING bitcask(sync=off);
CREATE VIRTUAL TABLE kv USING bitcask(sync=off, 'data');
CREATE VIRTUAL TABLE kv USING bitcask('data', directory='other');
SELECT count(*) FROM sqlite_master;
.shell ls
