-- changes() and total_changes() count as on any table, and last_insert_rowid()
-- is not touched by a table that has no rowid.
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO plain(rowid, a) VALUES (77, 1);
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3');
SELECT last_insert_rowid(), changes();
UPDATE kv SET value = '4' WHERE key < 'c';
SELECT last_insert_rowid(), changes();
REPLACE INTO kv VALUES ('a', '5');
SELECT last_insert_rowid(), changes();
DELETE FROM kv;
SELECT last_insert_rowid(), changes(), total_changes();
