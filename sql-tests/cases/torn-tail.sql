-- Bytes of a write that was cut short are not a row, and are out of the way
-- before the next one.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
DROP TABLE kv;
.shell f=$(ls data/*.bitcask.data); head -c 10 $f >part; cat part >>$f
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT * FROM kv ORDER BY key;
INSERT INTO kv VALUES ('c', '3');
DROP TABLE kv;
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT * FROM kv ORDER BY key;
SELECT bitcask_verify('kv');
