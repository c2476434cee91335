-- Everything that is still on disk.
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT count(*) FROM bitcask_history('kv');
INSERT INTO kv VALUES ('a', 'first');
REPLACE INTO kv VALUES ('a', 'second');
INSERT INTO kv VALUES ('b', x'00ff'), ('c', '');
DELETE FROM kv WHERE key = 'b';
SELECT file_id, offset, size, key, quote(value), kind, live FROM bitcask_history('kv');
SELECT count(*) FROM bitcask_history('kv') WHERE abs(tstamp - strftime('%s', 'now')) < 60;
-- The live ones are the table.
SELECT key, value FROM bitcask_history('kv') WHERE live EXCEPT SELECT key, value FROM kv;
SELECT count(*) FROM kv;
SELECT typeof(key), typeof(value) FROM bitcask_history('kv') WHERE key = 'a' LIMIT 1;
-- In a transaction its own writes are not on disk; what they replace is dead.
BEGIN;
REPLACE INTO kv VALUES ('a', 'third');
SELECT count(*), sum(live) FROM bitcask_history('kv');
ROLLBACK;
SELECT count(*), sum(live) FROM bitcask_history('kv');
SELECT bitcask_merge('kv') > 0;
SELECT key, kind, live FROM bitcask_history('kv');
-- Keys that are no text.
CREATE VIRTUAL TABLE blobs USING bitcask('blobs', k BLOB PRIMARY KEY, v BLOB);
INSERT INTO blobs VALUES (x'ff', 'a'), (x'6100', 'b'), (x'c3a4', 'c'), (x'', 'd'), (x'c0af', 'e'),
  (x'eda080', 'f'), (x'f4908080', 'g'), (x'f09f9880', 'h'), (x'e282', 'i');
SELECT typeof(key), hex(key) FROM bitcask_history('blobs') WHERE kind = 'value';
-- The time of an older value.
SELECT h.kind, h.value = kv.value FROM kv JOIN bitcask_history('kv') h USING (key) WHERE key = 'a' AND h.live;
SELECT name FROM pragma_table_xinfo('bitcask_history');
