-- SQLite's own protection of a database covers its virtual tables.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
PRAGMA query_only = 1;
INSERT INTO kv VALUES ('b', '2');
SELECT * FROM kv;
PRAGMA query_only = 0;
INSERT INTO kv VALUES ('b', '2');
SELECT count(*) FROM kv;
