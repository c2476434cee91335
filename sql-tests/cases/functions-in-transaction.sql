-- A connection that has written cannot wait for itself.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
BEGIN;
SELECT bitcask_needs_merge('kv');
SELECT bitcask_verify('kv');
INSERT INTO kv VALUES ('b', '2');
SELECT bitcask_merge('kv');
SELECT bitcask_sync('kv');
SELECT keys FROM bitcask_status('kv');
COMMIT;
SELECT bitcask_sync('kv') IS NULL;
SELECT bitcask_merge('kv') IS NOT NULL;
SELECT key FROM kv ORDER BY key;
