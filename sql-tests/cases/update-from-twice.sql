-- native
-- UPDATE ... FROM where a row matches more than once changes it once.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
CREATE TABLE new(k, v);
INSERT INTO new VALUES ('a', 'x'), ('a', 'x'), ('b', 'y');
UPDATE kv SET key = v FROM new WHERE key = k;
SELECT * FROM kv ORDER BY key;
-- since 3.33
