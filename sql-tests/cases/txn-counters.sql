-- native
-- changes(), total_changes() and last_insert_rowid() over conflict modes, failures
-- and rollbacks.
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO plain(rowid, a) VALUES (77, 1);
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3');
SELECT changes(), total_changes(), last_insert_rowid();
INSERT OR IGNORE INTO kv VALUES ('a', 'x'), ('d', '4'), ('b', 'x');
SELECT changes(), total_changes(), last_insert_rowid();
REPLACE INTO kv VALUES ('a', 'x'), ('e', '5');
SELECT changes(), total_changes(), last_insert_rowid();
INSERT INTO kv VALUES ('f', '6'), ('a', 'y');
SELECT changes(), total_changes(), last_insert_rowid();
INSERT OR FAIL INTO kv VALUES ('f', '6'), ('a', 'y');
SELECT changes(), total_changes(), last_insert_rowid();
UPDATE kv SET value = 'z' WHERE key IN ('a', 'b', 'nobody');
SELECT changes(), total_changes(), last_insert_rowid();
UPDATE kv SET value = value;
SELECT changes(), total_changes();
UPDATE kv SET key = key;
SELECT changes(), total_changes();
UPDATE OR REPLACE kv SET key = 'a' WHERE key = 'b';
SELECT changes(), total_changes();
BEGIN;
DELETE FROM kv WHERE key > 'c';
SELECT changes(), total_changes();
ROLLBACK;
SELECT changes(), total_changes(), last_insert_rowid();
DELETE FROM kv;
SELECT changes(), total_changes(), last_insert_rowid();
INSERT INTO kv SELECT 'k' || a, a FROM plain;
SELECT changes(), total_changes(), last_insert_rowid();
-- native since 3.36
