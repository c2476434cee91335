-- INSERT INTO kv(kv) VALUES (command).
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIRTUAL TABLE same USING bitcask('data');
CREATE TABLE plain(a);
INSERT INTO plain(rowid, a) VALUES (77, 1);
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
REPLACE INTO kv VALUES ('a', '3');
INSERT INTO kv(kv) VALUES ('merge');
SELECT file_id, state, dead_bytes, live_keys FROM bitcask_files('kv');
INSERT INTO kv(kv) VALUES ('sync'), ('Merge');
SELECT last_insert_rowid(), count(*) FROM kv;
INSERT INTO kv(kv) VALUES ('vacuum');
INSERT OR IGNORE INTO kv(kv) VALUES ('');
INSERT INTO kv(kv, key) VALUES ('merge', 'a');
INSERT INTO kv(kv, _size) VALUES ('merge', 0);
INSERT INTO kv(kv) VALUES (NULL);
INSERT INTO kv(kv, key, value) VALUES (NULL, 'c', '3');
-- In a transaction: not after a write to the directory.
BEGIN;
INSERT INTO plain VALUES (1);
INSERT INTO kv(kv) VALUES ('merge');
SAVEPOINT s;
INSERT INTO kv(kv) VALUES ('sync');
INSERT INTO kv VALUES ('d', '4');
INSERT INTO kv(kv) VALUES ('merge');
INSERT INTO same(same) VALUES ('sync');
ROLLBACK TO s;
SELECT count(*) FROM kv;
INSERT INTO kv VALUES ('e', '5');
COMMIT;
INSERT INTO kv(kv) VALUES ('merge');
SELECT key, value FROM kv ORDER BY key;
SELECT total_changes();
-- Where there is nothing to write to.
CREATE VIRTUAL TABLE ro USING bitcask('data', read_only=1);
INSERT INTO ro(ro) VALUES ('merge');
SELECT count(*) FROM ro;
