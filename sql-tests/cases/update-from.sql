-- native
-- UPDATE ... FROM another table.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3');
CREATE TABLE new(k, v);
INSERT INTO new VALUES ('a', 'one'), ('c', 'three'), ('d', 'four');
UPDATE kv SET value = new.v FROM new WHERE kv.key = new.k;
SELECT changes();
SELECT * FROM kv ORDER BY key;
UPDATE kv SET key = new.v FROM new WHERE kv.key = new.k AND new.k = 'a';
SELECT * FROM kv ORDER BY key;
-- since 3.33
