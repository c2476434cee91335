-- A copy of one moment, which is a directory like any other.
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=200, merge=manual);
SELECT bitcask_backup('kv', 'of-nothing');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20)
  INSERT INTO kv SELECT 'k' || i, 'value ' || i FROM n;
UPDATE kv SET value = 'updated' WHERE key IN ('k3', 'k7');
DELETE FROM kv WHERE key = 'k5';
INSERT INTO kv VALUES ('last', 'one');
SELECT bitcask_backup('kv', 'copy') = (SELECT count(*) FROM bitcask_files('kv'));
CREATE TABLE then_ AS SELECT * FROM kv;
DELETE FROM kv;
INSERT INTO kv VALUES ('after', 'the backup');
SELECT bitcask_merge('kv') > 0;
CREATE VIRTUAL TABLE copy USING bitcask('copy');
SELECT count(*) FROM copy;
SELECT count(*) FROM (SELECT * FROM copy EXCEPT SELECT * FROM then_);
SELECT bitcask_verify('copy');
INSERT INTO copy VALUES ('k5', 'again');
SELECT bitcask_merge('copy') IS NOT NULL;
SELECT bitcask_verify('copy');
SELECT key, value FROM kv;
.shell ls | grep -v data
-- Where it may not go.
SELECT bitcask_backup('kv', 'copy');
SELECT bitcask_backup('kv', 'data');
SELECT bitcask_backup('kv', 'no/such/parent');
SELECT bitcask_backup('kv', '');
SELECT bitcask_backup('kv', NULL);
SELECT bitcask_backup('kv');
SELECT bitcask_backup(NULL, 'x');
SELECT bitcask_backup('nowhere', 'x');
.shell mkdir killed.partial
SELECT bitcask_backup('kv', 'killed');
-- What is not committed is not in it.
BEGIN;
INSERT INTO kv VALUES ('not', 'committed');
SELECT bitcask_backup('kv', 'early');
ROLLBACK;
SELECT bitcask_backup('kv', 'late') > 0;
.shell mkdir empty
SELECT bitcask_backup('kv', 'empty/') > 0;
.shell ls -d late empty early killed killed.partial 2>&1 | grep -v 'cannot access'
