-- What does not belong there is left alone.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
DROP TABLE kv;
.shell cd data && echo x >notes.txt && mkdir sub && echo y >x.bitcask.data && echo z >1.bitcask.data.bak
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT * FROM kv;
INSERT INTO kv VALUES ('b', '2');
SELECT bitcask_merge('kv') IS NOT NULL;
SELECT * FROM kv ORDER BY key;
.shell cd data && cat notes.txt x.bitcask.data 1.bitcask.data.bak && ls -d sub
