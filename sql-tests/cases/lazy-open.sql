-- A table whose directory has gone does no harm to the schema.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO kv VALUES ('k', 'v');
.open y.db
.load ../bitcask
.shell mv data gone
.open x.db
.load ../bitcask
SELECT name FROM pragma_table_info('kv');
PRAGMA integrity_check;
SELECT * FROM kv;
INSERT INTO kv VALUES ('k', 'w');
SELECT bitcask_verify('kv');
SELECT * FROM bitcask_files('kv');
.shell test -e data || echo nothing was made
ALTER TABLE plain RENAME TO simple;
ALTER TABLE kv RENAME TO kw;
SELECT * FROM kw;
.shell mv gone data
SELECT * FROM kw;
.shell mv data gone
DROP TABLE kw;
SELECT name FROM sqlite_master;
.shell ls
-- until 3.43.9
