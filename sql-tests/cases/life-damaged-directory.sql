-- A directory that cannot be opened harms no other table, and no statement about the
-- schema: a file in its place, a directory without contents, one that has gone.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIRTUAL TABLE other USING bitcask('other');
CREATE TABLE plain(a);
CREATE VIEW on_kv AS SELECT key FROM kv;
CREATE VIEW on_plain AS SELECT a FROM plain;
INSERT INTO kv VALUES ('k', 'v');
INSERT INTO other VALUES ('o', 'v');
INSERT INTO plain VALUES (1);
.open y.db
.shell mv data gone && echo text >data
.open x.db
.load ../bitcask
SELECT name, type, pk FROM pragma_table_info('kv');
SELECT count(*) FROM pragma_table_list;
SELECT * FROM kv;
INSERT INTO kv VALUES ('k', 'w');
DELETE FROM kv;
SELECT * FROM on_plain;
-- (A view on such a table, which cannot be used, stops SQLite: so with all directories.)
ALTER TABLE plain RENAME TO simple;
DROP VIEW on_kv;
ALTER TABLE plain RENAME COLUMN a TO b;
ALTER TABLE plain RENAME TO simple;
SELECT * FROM on_plain;
ALTER TABLE kv RENAME TO kw;
PRAGMA integrity_check;
PRAGMA quick_check(simple);
VACUUM;
-- A transaction goes on without it.
BEGIN;
INSERT INTO simple VALUES (2);
INSERT INTO other VALUES ('p', 'v');
INSERT INTO kw VALUES ('k', 'w');
COMMIT;
SELECT (SELECT count(*) FROM simple), (SELECT count(*) FROM other);
.shell rm data && mkdir data
SELECT count(*) FROM kw;
.open y.db
.shell rmdir data && mv gone data && chmod 700 data
.open x.db
.load ../bitcask
SELECT * FROM kw;
.open y.db
.shell rm data/bitcask.state && head -c 3000 /dev/zero >data/bitcask.state
.open x.db
.load ../bitcask
SELECT * FROM kw;
BEGIN;
DROP TABLE kw;
DROP VIEW on_plain;
ROLLBACK;
DROP TABLE kw;
SELECT name FROM sqlite_master ORDER BY name;
-- since 3.40
-- until 3.43.9
