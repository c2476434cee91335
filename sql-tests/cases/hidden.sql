-- Where a row is stored: hidden columns of every table.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('bb', '22');
INSERT INTO kv VALUES ('ccc', '333');
SELECT * FROM kv ORDER BY key;
SELECT key, _file, _offset, _size, _tstamp BETWEEN strftime('%s', 'now') - 60 AND strftime('%s', 'now') FROM kv ORDER BY key;
SELECT key, _size FROM kv WHERE key = 'bb';
SELECT key FROM kv WHERE _offset = 0 OR _file > 1;
SELECT typeof(_tstamp), typeof(_file), typeof(_offset), typeof(_size), typeof(kv) FROM kv WHERE key IN ('a', 'none');
SELECT sum(_size) = (SELECT live_bytes FROM bitcask_status('kv')) FROM kv;
-- Rows of the transaction itself have no place yet.
BEGIN;
INSERT INTO kv VALUES ('new', '4');
REPLACE INTO kv VALUES ('a', '5');
SELECT key, _file IS NULL, _offset IS NULL, _size, _tstamp >= strftime('%s', 'now') - 60 FROM kv ORDER BY key;
COMMIT;
SELECT key, _file IS NULL FROM kv ORDER BY key;
-- They are not written.
INSERT INTO kv(key, value, _tstamp) VALUES ('x', 'y', 1);
INSERT INTO kv(key, value, _file) VALUES ('x', 'y', 0);
INSERT OR IGNORE INTO kv(key, value, _size) VALUES ('x', 'y', 0);
UPDATE kv SET _tstamp = 1;
UPDATE kv SET value = 'z', _offset = NULL WHERE key = 'a';
UPDATE kv SET _tstamp = 1, _file = 1, _offset = 1, _size = 1;
UPDATE kv SET kv = 'merge';
INSERT INTO kv(key, value, _tstamp) VALUES ('x', 'y', NULL);
UPDATE kv SET value = 'w' WHERE _size > 17 AND _file IS NOT NULL;
SELECT changes();
-- No column may have such a name; one that is the table's hides the command.
CREATE VIRTUAL TABLE t USING bitcask('t', k TEXT, _Size BLOB);
CREATE VIRTUAL TABLE value USING bitcask('data');
SELECT name FROM pragma_table_xinfo('value');
SELECT value FROM value WHERE key = 'ccc';
DROP TABLE value;
ALTER TABLE kv RENAME TO key;
SELECT key FROM key WHERE key = 'ccc';
ALTER TABLE key RENAME TO _file;
SELECT _file FROM _file WHERE key = 'ccc';
ALTER TABLE _file RENAME TO kv2;
INSERT INTO kv2(kv2) VALUES ('sync');
SELECT kv2 FROM kv2 WHERE key = 'ccc';
