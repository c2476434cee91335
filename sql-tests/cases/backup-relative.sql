-- A relative directory is looked for beside the database of the table, as its own is.
.shell mkdir elsewhere
ATTACH 'elsewhere/aux.db' AS aux;
CREATE VIRTUAL TABLE aux.kv USING bitcask('data');
INSERT INTO aux.kv VALUES ('a', '1');
SELECT bitcask_backup('aux.kv', 'copy');
.shell ls elsewhere
.open --new elsewhere/main.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('copy');
SELECT * FROM kv;
SELECT key FROM bitcask_scan('copy');
