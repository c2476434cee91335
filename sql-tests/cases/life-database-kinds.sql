-- Every kind of database holds a table, and every way of its own to commit commits it.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
PRAGMA journal_mode = WAL;
BEGIN;
INSERT INTO kv VALUES ('wal', '1');
INSERT INTO plain VALUES (1);
COMMIT;
BEGIN IMMEDIATE;
INSERT INTO kv VALUES ('lost', '1');
ROLLBACK;
PRAGMA wal_checkpoint(TRUNCATE);
PRAGMA journal_mode = MEMORY;
BEGIN EXCLUSIVE;
INSERT INTO kv VALUES ('memory', '2');
INSERT INTO plain VALUES (2);
END;
PRAGMA journal_mode = OFF;
PRAGMA synchronous = OFF;
INSERT INTO kv VALUES ('off', '3');
-- Without a journal SQLite cannot roll back its own; the table can.
BEGIN;
INSERT INTO kv VALUES ('lost', '1');
ROLLBACK;
INSERT INTO kv VALUES ('x', '1'), ('off', 'again');
PRAGMA locking_mode = EXCLUSIVE;
INSERT INTO kv VALUES ('exclusive', '4');
PRAGMA auto_vacuum = FULL;
PRAGMA page_size = 8192;
VACUUM;
PRAGMA foreign_keys = 1;
PRAGMA recursive_triggers = 1;
DELETE FROM kv WHERE key = 'memory';
REPLACE INTO kv VALUES ('off', '5');
SELECT key, value FROM kv ORDER BY key;
SELECT count(*) FROM plain;
PRAGMA integrity_check;
-- Several databases, of which one commits by a super-journal.
.open y.db
.load ../bitcask
ATTACH 'z.db' AS z;
ATTACH ':memory:' AS m;
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIRTUAL TABLE z.kv USING bitcask('z-data');
CREATE VIRTUAL TABLE m.kv USING bitcask('data');
CREATE TABLE z.plain(a);
CREATE TABLE main.plain(a);
BEGIN;
INSERT INTO main.kv VALUES ('y', '6');
INSERT INTO z.kv VALUES ('z', '7');
INSERT INTO m.kv VALUES ('m', '8');
INSERT INTO z.plain VALUES (1);
INSERT INTO main.plain VALUES (1);
SELECT group_concat(key) FROM (SELECT key FROM m.kv ORDER BY key);
COMMIT;
SELECT group_concat(key) FROM (SELECT key FROM main.kv ORDER BY key);
SELECT * FROM z.kv;
