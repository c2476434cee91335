-- What was committed is there when the database is opened again.
.open x.db
.load ../bitcask
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
UPDATE kv SET value = '3' WHERE key = 'a';
DELETE FROM kv WHERE key = 'b';
BEGIN;
INSERT INTO kv VALUES ('lost', '4');
.open y.db
.load ../bitcask
.open x.db
.load ../bitcask
SELECT * FROM kv;
INSERT INTO kv VALUES ('c', '5');
-- The same directory in another database.
.open y.db
.load ../bitcask
CREATE VIRTUAL TABLE other USING bitcask('data');
SELECT * FROM other ORDER BY key;
