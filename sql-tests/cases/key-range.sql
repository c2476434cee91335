-- native
-- Ranges of TEXT keys, with the bounds in any order and of any type.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('', 0), ('a', 1), ('ab', 2), ('abc', 3), ('b', 4), ('ba', 5), ('B', 6), ('c', 7), ('10', 8), ('9', 9), ('2024-01-01', 10), (' 7', 11), ('ä', 12), ('z', 13), ('-3', 14), ('1e1', 15);
SELECT key FROM kv WHERE key >= 'ab' AND key < 'ba' ORDER BY key;
SELECT key FROM kv WHERE key < 'ba' AND key >= 'ab' ORDER BY key;
SELECT key FROM kv WHERE key <= 'ba' AND key > 'ab' ORDER BY key DESC;
SELECT key FROM kv WHERE key BETWEEN 'ab' AND 'b' ORDER BY key;
SELECT key FROM kv WHERE key > 'c' ORDER BY key;
SELECT key FROM kv WHERE key < 'a' ORDER BY key;
SELECT key FROM kv WHERE 'b' > key AND 'a' <= key ORDER BY key;
SELECT key FROM kv WHERE key > 'b' AND key < 'a';
SELECT key FROM kv WHERE key >= '' AND key <= '' ORDER BY key;
SELECT key, value FROM kv WHERE key > 'a' AND key > 'b' AND key < 'z' AND key < 'c' ORDER BY key;
SELECT key FROM kv WHERE key < NULL;
SELECT key FROM kv WHERE key > NULL AND key < 'z';
SELECT count(*) FROM kv WHERE key < x'00';
SELECT count(*) FROM kv WHERE key > x'00';
-- A number without affinity compares as its text, one with numeric affinity as a number.
SELECT key FROM kv WHERE key < 5 ORDER BY key;
SELECT key FROM kv WHERE key > 5 AND key < 'a' ORDER BY key;
SELECT key FROM kv WHERE key < CAST(10 AS INTEGER) ORDER BY key;
SELECT key FROM kv WHERE key >= CAST(9 AS INTEGER) AND key <= CAST(10 AS INTEGER) ORDER BY key;
SELECT key FROM kv WHERE key = CAST(10 AS INTEGER) ORDER BY key;
SELECT key FROM kv WHERE key = 10;
SELECT key FROM kv WHERE key BETWEEN -5 AND 10 ORDER BY key;
CREATE TABLE n(n INTEGER, t TEXT, a);
INSERT INTO n VALUES (10, '10', 10), (7, '7', '7'), ('!', '!', '!'), ('b', 'b', 'b'), (x'40', x'40', x'40');
SELECT n, key FROM n JOIN kv ON key = n ORDER BY n, key;
SELECT n, group_concat(key) FROM n JOIN (SELECT key FROM kv ORDER BY key) AS k ON key < n GROUP BY n ORDER BY n;
SELECT n, (SELECT count(*) FROM kv WHERE key < n), (SELECT count(*) FROM kv WHERE key < t), (SELECT count(*) FROM kv WHERE key < a) FROM n ORDER BY rowid;
SELECT n, (SELECT count(*) FROM kv WHERE key >= n), (SELECT count(*) FROM kv WHERE key >= t), (SELECT count(*) FROM kv WHERE key >= a) FROM n ORDER BY rowid;
SELECT n, (SELECT count(*) FROM kv WHERE key > t AND key <= n), (SELECT max(key) FROM kv WHERE key <= a) FROM n ORDER BY rowid;
SELECT key FROM kv WHERE key IN (SELECT t FROM n) ORDER BY key;
-- An UPDATE or DELETE that several keys are equal to.
INSERT INTO kv VALUES ('010', 16), ('1E1', 17);
UPDATE kv SET value = x'54' WHERE key = (SELECT n FROM n LIMIT 1);
SELECT key FROM kv WHERE value = x'54' ORDER BY key;
SELECT key FROM kv WHERE key = (SELECT n FROM n LIMIT 1) ORDER BY key;
DELETE FROM kv WHERE key = (SELECT n FROM n LIMIT 1);
SELECT changes(), count(*) FROM kv;
-- Prefixes.
SELECT key FROM kv WHERE key GLOB 'a*' ORDER BY key;
SELECT key FROM kv WHERE key GLOB '*b*' ORDER BY key;
SELECT key FROM kv WHERE key LIKE 'B%' ORDER BY key;
SELECT key FROM kv WHERE key LIKE 'ab_' ORDER BY key;
PRAGMA case_sensitive_like = 1;
SELECT key FROM kv WHERE key LIKE 'b%' ORDER BY key;
SELECT key FROM kv WHERE key LIKE 'aX%' ESCAPE 'X';
INSERT INTO kv VALUES ('100%', 1), ('100x', 2);
SELECT key FROM kv WHERE key LIKE '100!%' ESCAPE '!';
SELECT key FROM kv WHERE key LIKE '2024%' ORDER BY key;
SELECT key FROM kv WHERE key LIKE '%' ORDER BY key LIMIT 4;
SELECT key FROM kv WHERE key NOT LIKE 'a%' AND key < 'b' ORDER BY key;
PRAGMA case_sensitive_like = 0;
SELECT key FROM kv WHERE key > 'A' COLLATE NOCASE AND key < 'C' COLLATE NOCASE ORDER BY key;
-- A range decides what is changed.
UPDATE kv SET value = 'in' WHERE key >= 'a' AND key < 'b';
DELETE FROM kv WHERE key > 'b' AND key <= 'c';
SELECT key, value FROM kv WHERE key >= 'a' ORDER BY key;
-- What a number equals.
INSERT INTO kv VALUES ('Inf', 1), ('+5', 2), ('5.0', 3), ('  5', 4), ('5x', 5), ('5', 6), ('.5e1', 7), ('x5', 8), ('1e999', 9), ('-Inf', 10);
SELECT key FROM kv WHERE key = CAST(5 AS INTEGER) ORDER BY key;
SELECT key FROM kv WHERE key = 5;
SELECT key FROM kv WHERE key = 5.0;
SELECT key FROM kv WHERE key IS CAST(5 AS REAL) ORDER BY key;
SELECT key FROM kv WHERE key = 1e999;
SELECT key FROM kv WHERE key = -1e999;
SELECT key FROM kv WHERE key = CAST('1e999' AS REAL);
SELECT key FROM kv WHERE key IN (5, 'x5', 1e999) ORDER BY key;
