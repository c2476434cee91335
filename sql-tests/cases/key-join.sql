-- native
-- Joins on the key, from texts and from numbers without affinity.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('1', 'one'), ('2', 'two'), ('x', 'ex');
CREATE TABLE texts(t TEXT);
INSERT INTO texts VALUES ('2'), ('x'), ('none'), (NULL);
SELECT t, value FROM texts LEFT JOIN kv ON key = t ORDER BY t;
CREATE TABLE anything(a);
INSERT INTO anything VALUES (1), ('2'), (3), (NULL);
SELECT a, value FROM anything JOIN kv ON key = a ORDER BY a;
CREATE TABLE numbers(n INTEGER);
INSERT INTO numbers VALUES (1), (2), (3);
SELECT n, value FROM numbers JOIN kv ON key = n ORDER BY n;
SELECT n FROM numbers WHERE EXISTS (SELECT 1 FROM kv WHERE key = n) ORDER BY n;
SELECT n FROM numbers WHERE n IN (SELECT key FROM kv) ORDER BY n;
