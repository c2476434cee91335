-- native
-- Rows in the order of keys, with and without the rest of a query.
CREATE VIRTUAL TABLE kv USING bitcask('data');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 500)
  INSERT INTO kv SELECT substr('kxabq', i % 5 + 1, 1) || (i * 7919 % 500), i FROM n;
INSERT INTO kv VALUES ('commonprefix', 1), ('commonprefix1', 2), ('commonprefi', 3), ('commonprefix' || char(0), 4), ('', 5), (char(0), 6);
SELECT group_concat(key) = (SELECT group_concat(key) FROM (SELECT key FROM kv ORDER BY +key)) FROM (SELECT key FROM kv ORDER BY key);
SELECT group_concat(key || value) = (SELECT group_concat(key || value) FROM (SELECT * FROM kv ORDER BY +key DESC)) FROM (SELECT * FROM kv ORDER BY key DESC);
SELECT hex(key), value FROM kv ORDER BY key LIMIT 5;
SELECT key, value FROM kv ORDER BY key DESC LIMIT 3 OFFSET 2;
SELECT key, value FROM kv WHERE length(value) = 2 ORDER BY key LIMIT 3;
SELECT key FROM kv WHERE key > 'commo' AND key < 'd' ORDER BY key, value DESC;
SELECT key FROM kv WHERE key IN ('q4', 'a17', 'commonprefix', 'nothing', 'a407') ORDER BY key DESC;
SELECT key FROM kv WHERE key IN ('q4', 'a17', 'commonprefix', 'nothing', 'a407') ORDER BY key LIMIT 2;
SELECT key FROM kv ORDER BY key COLLATE NOCASE DESC LIMIT 2;
SELECT key FROM kv ORDER BY key DESC NULLS FIRST LIMIT 2;
SELECT key, count(*) FROM kv GROUP BY key ORDER BY key LIMIT 3 OFFSET 100;
SELECT key, count(*) FROM kv GROUP BY key ORDER BY key DESC LIMIT 3 OFFSET 100;
SELECT DISTINCT key FROM kv ORDER BY key DESC LIMIT 2;
SELECT DISTINCT value, key FROM kv ORDER BY key LIMIT 2;
SELECT substr(key, 1, 1) AS k, count(*) FROM kv GROUP BY k ORDER BY k;
SELECT key, row_number() OVER (ORDER BY key DESC) AS r FROM kv ORDER BY r LIMIT 2;
SELECT a.key, b.key FROM kv AS a JOIN kv AS b ON b.key > a.key WHERE a.key > 'x4' ORDER BY a.key, b.key LIMIT 4;
SELECT min(key), max(key) FROM kv WHERE key > 'k';
SELECT key FROM kv WHERE key > (SELECT min(key) FROM kv WHERE key > 'b') ORDER BY key LIMIT 2;
SELECT count(*), count(DISTINCT key) FROM kv;
SELECT count(*) FROM (SELECT * FROM kv LIMIT 7 OFFSET 3);
SELECT count(*) FROM (SELECT * FROM kv LIMIT -1 OFFSET 500);
-- In a transaction, with rows of its own.
BEGIN;
DELETE FROM kv WHERE key < 'x4';
INSERT INTO kv VALUES ('x41z', 1), ('a', 2);
UPDATE kv SET key = 'y' WHERE key = 'x44';
SELECT key FROM kv ORDER BY key LIMIT 8;
SELECT key FROM kv WHERE key BETWEEN 'x41' AND 'x42' ORDER BY key DESC;
ROLLBACK;
SELECT count(*), min(key) FROM kv;
-- Keys that change while they are read in order.
UPDATE kv SET key = key || '+' WHERE key IN (SELECT key FROM kv WHERE key > 'b' ORDER BY key LIMIT 3);
SELECT key FROM kv WHERE key LIKE '%+' ORDER BY key;
