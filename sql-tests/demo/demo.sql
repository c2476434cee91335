.mode column
.echo on
.load ./bitcask
CREATE VIRTUAL TABLE kv USING bitcask('kv');
SELECT key, value FROM kv ORDER BY key;

INSERT INTO kv VALUES ('fig', 'violet');
UPDATE kv SET value = 'light ' || value WHERE key = 'damson';
DELETE FROM kv WHERE key = 'apple';

BEGIN;
DELETE FROM kv;
SELECT count(*) FROM kv;
ROLLBACK;
SELECT key, value FROM kv ORDER BY key;

SELECT file_id, state, total_bytes, dead_bytes, live_keys FROM bitcask_files('kv');
SELECT bitcask_merge('kv') AS bytes_freed;
SELECT file_id, state, total_bytes, dead_bytes, live_keys FROM bitcask_files('kv');
