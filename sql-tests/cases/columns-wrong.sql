-- Columns that there cannot be (yet): each is named, nothing is created.
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT);
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT PRIMARY KEY, v);
CREATE VIRTUAL TABLE kv USING bitcask('data', k INTEGER PRIMARY KEY, v BLOB);
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT PRIMARY KEY, a BLOB, b BLOB);
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT PRIMARY KEY, v BLOB PRIMARY KEY);
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT UNIQUE, v BLOB);
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT PRIMARY KEY, K BLOB);
SELECT count(*) FROM sqlite_schema;
.shell ls
