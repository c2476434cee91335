-- A read-only table reads, and leaves the directory as it is.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
DROP TABLE kv;
.shell ls -l --time-style=full-iso data >before
CREATE VIRTUAL TABLE ro USING bitcask('data', read_only=1);
SELECT * FROM ro ORDER BY key;
SELECT value FROM ro WHERE key = 'b';
INSERT INTO ro VALUES ('c', '3');
DELETE FROM ro;
UPDATE ro SET value = 'x' WHERE key = 'nobody';
SELECT bitcask_merge('ro');
SELECT bitcask_sync('ro');
SELECT bitcask_verify('ro');
SELECT sum(live_keys) FROM bitcask_files('ro');
SELECT count(*) FROM ro;
DROP TABLE ro;
.shell ls -l --time-style=full-iso data >after
.shell cmp before after && echo unchanged
