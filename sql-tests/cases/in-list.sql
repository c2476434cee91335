-- native
-- IN in its many forms.
CREATE VIRTUAL TABLE kv USING bitcask('data');
WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 9)
  INSERT INTO kv SELECT 'k' || i, CAST('v' || i AS BLOB) FROM n;
SELECT key FROM kv WHERE key IN ('k3', 'k1', 'k3', 'none', '') ORDER BY key;
SELECT key FROM kv WHERE key IN ('k3', 'k1') ORDER BY key DESC;
SELECT key FROM kv WHERE key IN ();
SELECT count(*) FROM kv WHERE key NOT IN ('k3', 'k1');
SELECT key FROM kv WHERE key IN (SELECT value FROM json_each('["k9","k8",null,7,"k9"]')) ORDER BY key;
SELECT key FROM kv WHERE key IN (SELECT key FROM kv WHERE value > CAST('v7' AS BLOB)) ORDER BY key;
SELECT key FROM kv WHERE key = 'k1' OR key = 'k2' ORDER BY key;
SELECT key FROM kv WHERE key = 'k1' OR value = CAST('v5' AS BLOB) ORDER BY key;
SELECT key FROM kv WHERE key IN ('k1', 'k2') AND key = 'k2';
SELECT key FROM kv WHERE key = 'k1' AND key = 'k2';
SELECT key FROM kv WHERE key = 'k1' AND key = 'k1';
SELECT key FROM kv WHERE (key, value) IN (VALUES ('k1', CAST('v1' AS BLOB)), ('k2', CAST('v1' AS BLOB)));
UPDATE kv SET value = x'ff' WHERE key IN ('k1', 'k2', 'none');
SELECT changes();
DELETE FROM kv WHERE key IN (SELECT key FROM kv WHERE value = x'ff');
SELECT changes(), (SELECT group_concat(key) FROM (SELECT key FROM kv ORDER BY key));
