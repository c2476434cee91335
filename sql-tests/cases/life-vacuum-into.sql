-- Copies of a database hold the declaration and no row: where the directory is beside
-- the copy it is found, where it is not nothing is made.
.shell mkdir here there
.open here/x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIRTUAL TABLE a USING bitcask('data', read_only=1);
INSERT INTO kv VALUES ('k', 'v');
VACUUM INTO 'there/into.db';
.save there/saved.db
.backup there/backup.db
VACUUM INTO 'here/into.db';
.shell ls there
.open there/into.db
.load ../bitcask
SELECT * FROM kv;
INSERT INTO kv VALUES ('l', 'w');
SELECT name, sql FROM sqlite_master;
DROP TABLE kv;
.open there/saved.db
.load ../bitcask
SELECT * FROM kv;
.open there/backup.db
.load ../bitcask
SELECT * FROM a;
.shell ls there
.open here/into.db
.load ../bitcask
INSERT INTO kv VALUES ('l', 'w');
SELECT key FROM a ORDER BY key;
.shell ls here && cp -r here/data there/data
.open there/saved.db
.load ../bitcask
SELECT key FROM kv ORDER BY key;
DELETE FROM kv;
.open here/x.db
.load ../bitcask
SELECT count(*) FROM kv;
