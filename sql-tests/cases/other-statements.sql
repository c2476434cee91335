-- VACUUM, ALTER of another table, ANALYZE, integrity checks leave a table alone.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO kv VALUES ('k', 'v');
VACUUM;
SELECT * FROM kv;
ALTER TABLE plain RENAME TO simple;
SELECT * FROM kv;
ANALYZE;
REINDEX;
PRAGMA optimize;
PRAGMA integrity_check;
PRAGMA quick_check;
SELECT * FROM kv;
VACUUM INTO 'y.db';
.open y.db
.load ../bitcask
SELECT * FROM kv;
-- A rename in the middle of a transaction connects the table anew.
BEGIN;
INSERT INTO kv VALUES ('l', 'w');
ALTER TABLE simple RENAME TO plain;
INSERT INTO kv VALUES ('m', 'x');
SELECT key FROM kv ORDER BY key;
ROLLBACK;
SELECT key FROM kv;
