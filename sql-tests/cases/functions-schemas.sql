-- The functions find tables of attached and temporary databases, in a UTF-16
-- database too, and take nothing for a table that is none.
PRAGMA encoding = 'UTF-16le';
ATTACH 'aux.db' AS aux;
CREATE VIRTUAL TABLE main.kv USING bitcask('main-data');
CREATE VIRTUAL TABLE aux.kv USING bitcask('aux-data');
CREATE VIRTUAL TABLE temp.tt USING bitcask('temp-data');
CREATE VIRTUAL TABLE aux."t.x" USING bitcask('dot-data');
INSERT INTO kv VALUES ('ä', 'main');
INSERT INTO aux.kv VALUES ('ö', 'aux');
INSERT INTO tt VALUES ('ü', 'temp');
INSERT INTO aux."t.x" VALUES ('ß', 'dot');
SELECT key, CAST(value AS BLOB) = CAST('main' AS BLOB) OR hex(value) FROM bitcask_history('kv');
SELECT key FROM bitcask_history('aux.kv');
SELECT key FROM bitcask_history('temp.tt');
SELECT key FROM bitcask_history('tt');
SELECT key FROM bitcask_history('t.x');
SELECT key FROM bitcask_history('aux.t.x');
SELECT key FROM bitcask_history('AUX.KV');
SELECT bitcask_backup('aux.kv', 'aux-copy'), bitcask_backup('tt', 'temp-copy');
SELECT key FROM bitcask_scan('aux-copy') UNION ALL SELECT key FROM bitcask_scan('temp-copy');
SELECT count(*) FROM bitcask_verify_rows('aux.kv');
CREATE TEMP VIEW v AS SELECT * FROM aux.kv;
SELECT count(*) FROM v;
SELECT * FROM bitcask_status('v');
SELECT bitcask_sync('v');
