-- native
-- Numbers from a column are looked for among TEXT keys as numbers.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('10', 1), ('010', 2), ('1e1', 3), (' 7', 4), ('7', 5), ('x', 6), ('b', 7);
CREATE TABLE n(n INTEGER);
INSERT INTO n VALUES (10), (7), ('b'), (NULL), (99);
SELECT key FROM kv WHERE key IN (SELECT n FROM n) ORDER BY key;
SELECT key FROM kv WHERE key IN (SELECT n FROM n) AND key > '1' ORDER BY key DESC;
SELECT key FROM kv WHERE key IN (CAST(7 AS INTEGER), 9) ORDER BY key;
SELECT key FROM kv WHERE key NOT IN (SELECT n FROM n WHERE n IS NOT NULL) ORDER BY key;
UPDATE kv SET value = 0 WHERE key IN (SELECT n FROM n);
SELECT changes();
DELETE FROM kv WHERE key IN (SELECT n FROM n WHERE n > 7);
SELECT key FROM kv ORDER BY key;
-- since 3.38
