-- After damage an older value is never given for the newest one.
CREATE VIRTUAL TABLE kv USING bitcask('data', key TEXT PRIMARY KEY, value TEXT, merge=manual);
INSERT INTO kv VALUES ('a', 'one');
INSERT INTO kv VALUES ('b', 'two');
INSERT INTO kv VALUES ('gone', 'three');
DELETE FROM kv WHERE key = 'gone';
UPDATE kv SET value = 'one again' WHERE key = 'a';
INSERT INTO kv VALUES ('c', 'written later');
SELECT doubtful_keys, missing_bytes FROM bitcask_status('kv');
-- One byte of the newest value of a: that key alone is refused.
.shell mkdir one && cp data/1.bitcask.data data/bitcask.state one && n=$(grep -abo 'one again' one/1.bitcask.data | cut -d: -f1) && printf X | dd of=one/1.bitcask.data bs=1 seek=$n conv=notrunc status=none
CREATE VIRTUAL TABLE one USING bitcask('one', key TEXT PRIMARY KEY, value TEXT, read_only=1);
SELECT value FROM one WHERE key = 'a';
SELECT key, value FROM one WHERE key IN ('b', 'c', 'gone');
SELECT doubtful_keys FROM bitcask_status('one');
-- More of it: nobody knows whose record that was.
.shell mkdir more && cp data/1.bitcask.data data/bitcask.state more && n=$(grep -abo 'one again' more/1.bitcask.data | cut -d: -f1) && printf XXXXXX | dd of=more/1.bitcask.data bs=1 seek=$n conv=notrunc status=none
CREATE VIRTUAL TABLE more USING bitcask('more', key TEXT PRIMARY KEY, value TEXT, merge=manual);
SELECT value FROM more WHERE key = 'a';
SELECT value FROM more WHERE key = 'b';
SELECT value FROM more WHERE key = 'gone';
SELECT count(*) FROM more;
INSERT INTO more VALUES ('b', 'is it there?');
SELECT value FROM more WHERE key = 'c';
SELECT doubtful_keys FROM bitcask_status('more');
SELECT offset, problem FROM bitcask_verify_rows('more');
-- Whatever is left.
CREATE VIRTUAL TABLE rest USING bitcask('more', key TEXT PRIMARY KEY, value TEXT, damage=ignore, read_only=1);
SELECT * FROM rest ORDER BY key;
CREATE VIRTUAL TABLE wrong USING bitcask('more', damage=perhaps);
-- What is written is in doubt no more, and a merge accepts the loss.
REPLACE INTO more VALUES ('b', 'two again');
SELECT value FROM more WHERE key = 'b';
SELECT bitcask_merge('more') IS NOT NULL;
SELECT * FROM more ORDER BY key;
SELECT doubtful_keys FROM bitcask_status('more');
.shell ls more | grep damaged
-- The log has lost its end: an earlier state.
.shell mkdir cut && cp data/1.bitcask.data data/bitcask.state cut && truncate -s -3 cut/1.bitcask.data
CREATE VIRTUAL TABLE cut USING bitcask('cut', key TEXT PRIMARY KEY, value TEXT, read_only=1);
SELECT * FROM cut ORDER BY key;
SELECT missing_bytes FROM bitcask_status('cut');
SELECT bitcask_verify('cut');
