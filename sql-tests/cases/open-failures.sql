-- Why a store cannot be opened; CREATE leaves nothing behind.
.shell echo text >file
CREATE VIRTUAL TABLE kv USING bitcask('file');
CREATE VIRTUAL TABLE kv USING bitcask('file/below');
CREATE VIRTUAL TABLE kv USING bitcask('missing', read_only=1);
SELECT count(*) FROM sqlite_master;
.shell ls
.shell cat file
