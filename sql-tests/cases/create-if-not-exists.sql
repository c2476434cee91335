-- IF NOT EXISTS keeps what there is.
CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data');
INSERT INTO kv VALUES ('k', 'v');
CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('other', frob=1);
SELECT * FROM kv;
.shell ls
