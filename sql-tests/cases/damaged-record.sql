-- A record that was damaged on disk is reported where it is; others are not
-- affected.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', 'first'), ('b', 'second');
INSERT INTO kv VALUES ('c', 'third');
.shell f=$(ls data/*.bitcask.data) && n=$(grep -abo second $f | cut -d: -f1) && printf X | dd of=$f bs=1 seek=$n conv=notrunc status=none
SELECT value FROM kv WHERE key = 'a';
SELECT value FROM kv WHERE key = 'b';
SELECT value FROM kv WHERE key IN ('a', 'c') ORDER BY key;
SELECT key FROM kv ORDER BY key;
SELECT bitcask_verify('kv');
REPLACE INTO kv VALUES ('b', 'repaired');
SELECT value FROM kv ORDER BY key;
