-- What the functions cannot do.
CREATE TABLE plain(a);
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT bitcask_merge('nowhere');
SELECT bitcask_merge('main.nowhere');
SELECT bitcask_merge('plain');
SELECT bitcask_merge(NULL);
SELECT bitcask_merge('kv', 'sometimes');
SELECT bitcask_merge('kv', NULL);
SELECT bitcask_merge();
SELECT bitcask_sync('bitcask_files');
SELECT bitcask_verify(1);
SELECT bitcask_needs_merge('kv; DROP TABLE plain');
SELECT * FROM bitcask_files;
SELECT * FROM bitcask_files(NULL);
SELECT * FROM bitcask_files('plain');
SELECT * FROM bitcask_status('nowhere');
DELETE FROM bitcask_status;
SELECT name FROM sqlite_schema ORDER BY name;
