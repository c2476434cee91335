-- native
-- Ranges, patterns, order, aggregates, limits, joins, windows.
CREATE VIRTUAL TABLE kv USING bitcask('data');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 100)
  INSERT INTO kv SELECT printf('k%03d', i), CAST(i % 7 AS BLOB) FROM n;
SELECT count(*), count(value), count(DISTINCT value), min(key), max(key) FROM kv;
SELECT key FROM kv WHERE key >= 'k010' AND key < 'k013' ORDER BY key;
SELECT key FROM kv WHERE key BETWEEN 'k098' AND 'k2' ORDER BY key DESC;
SELECT key FROM kv WHERE key LIKE 'K01_' AND key > 'k017' ORDER BY key;
SELECT key FROM kv WHERE key GLOB 'k09[89]' ORDER BY key;
SELECT key FROM kv WHERE key < 'c' AND key > 'a';
SELECT key FROM kv WHERE key <> 'k001' ORDER BY key LIMIT 2;
SELECT key FROM kv WHERE key IS NOT 'k001' ORDER BY key LIMIT 2 OFFSET 2;
SELECT count(*) FROM (SELECT key FROM kv LIMIT 10 OFFSET 95);
SELECT count(*) FROM (SELECT key FROM kv WHERE CAST(value AS TEXT) > '1' LIMIT 3);
SELECT CAST(value AS TEXT), count(*) FROM kv GROUP BY CAST(value AS TEXT) ORDER BY 1;
SELECT DISTINCT CAST(value AS TEXT) FROM kv ORDER BY 1;
SELECT a.key, b.key FROM kv a JOIN kv b ON b.key = 'k0' || (substr(a.key, 3) + 1) WHERE a.key > 'k097' ORDER BY 1;
SELECT a.key FROM kv a LEFT JOIN kv b ON b.key = a.key || 'x' WHERE b.key IS NULL AND a.key < 'k003' ORDER BY 1;
SELECT key, lag(key) OVER (ORDER BY key) FROM kv WHERE key < 'k004' ORDER BY key;
SELECT count(*) FROM kv WHERE EXISTS (SELECT 1 FROM kv b WHERE b.key = kv.key AND b.value = CAST('3' AS BLOB));
SELECT (SELECT count(*) FROM kv b WHERE b.key < a.key) FROM kv a WHERE a.key IN ('k001', 'k050');
WITH x AS (SELECT * FROM kv WHERE key < 'k003') SELECT key FROM x UNION SELECT 'other' ORDER BY 1;
CREATE TABLE list AS SELECT key FROM kv WHERE key > 'k098';
SELECT list.key, CAST(kv.value AS TEXT) FROM list JOIN kv USING (key) ORDER BY 1;
