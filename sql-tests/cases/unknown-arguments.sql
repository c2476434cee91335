-- A table of some later version, with arguments that are not known: it cannot be
-- read, but the schema stays usable and the table can be dropped.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO kv VALUES ('k', 'v');
PRAGMA writable_schema = 1;
UPDATE sqlite_master SET sql = replace(sql, '''data''', '''data'', future=1') WHERE name = 'kv';
.open y.db
.open x.db
.load ../bitcask
SELECT * FROM kv;
DELETE FROM kv;
SELECT bitcask_merge('kv');
PRAGMA integrity_check;
ALTER TABLE plain RENAME TO simple;
DROP TABLE kv;
SELECT name FROM sqlite_master;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT * FROM kv;
-- until 3.43.9
