-- An UPDATE from another table reads the hidden columns, and leaves them alone.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('bb', '2'), ('ccc', '3');
CREATE TABLE new(k, v);
INSERT INTO new VALUES ('a', 'first'), ('bb', 'second'), ('bb', 'second');
UPDATE kv SET value = v FROM new WHERE key = k;
UPDATE kv SET key = v FROM new WHERE key = k AND _file = 1;
SELECT key, value FROM kv ORDER BY key;
-- since 3.33
