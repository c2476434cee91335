-- Renames: in transactions that end either way, to names that need quotes, in other
-- databases; messages and functions use the name of the moment.
ATTACH 'aux.db' AS aux;
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIRTUAL TABLE aux.kv USING bitcask('aux-data');
CREATE VIRTUAL TABLE temp.t USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO main.kv VALUES ('a', '1');
BEGIN;
INSERT INTO main.kv VALUES ('b', '2');
ALTER TABLE main.kv RENAME TO "the ""table""";
INSERT INTO "the ""table""" VALUES ('c', '3');
INSERT INTO "the ""table""" VALUES ('b', 'again');
SELECT keys FROM bitcask_status('the "table"');
SELECT group_concat(key) FROM (SELECT key FROM "the ""table""" ORDER BY key);
ROLLBACK;
INSERT INTO main.kv VALUES ('a', 'again');
BEGIN;
SAVEPOINT s;
ALTER TABLE main.kv RENAME TO kw;
INSERT INTO kw VALUES ('b', '2');
ROLLBACK TO s;
INSERT INTO main.kv VALUES ('c', '3');
ALTER TABLE main.kv RENAME TO kw;
INSERT INTO kw VALUES ('d', NULL);
COMMIT;
SELECT key FROM kw ORDER BY key;
ALTER TABLE aux.kv RENAME TO kw;
INSERT INTO aux.kw VALUES ('x', '1'), ('x', '2');
ALTER TABLE temp.t RENAME TO u;
INSERT INTO u VALUES ('a', 'again');
-- A name that is taken, a name of SQLite's, a view that uses it.
ALTER TABLE kw RENAME TO plain;
ALTER TABLE kw RENAME TO sqlite_kw;
CREATE TEMP VIEW v AS SELECT key FROM main.kw WHERE key > 'a';
ALTER TABLE plain RENAME TO simple;
ALTER TABLE main.kw RENAME TO kx;
SELECT * FROM v;
SELECT bitcask_verify('kx');
