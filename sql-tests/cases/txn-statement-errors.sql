-- native
-- Errors in the middle of statements of several rows, that no conflict mode is
-- about: in each mode, alone and in a transaction, the statement leaves nothing.
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE TABLE source(n INTEGER PRIMARY KEY, k, v);
INSERT INTO source VALUES (1, 'b', 1), (2, 'c', 2), (3, 'd', -9223372036854775808), (4, 'e', 4);
INSERT INTO kv VALUES ('a', '1');
INSERT INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR ABORT INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR IGNORE INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR REPLACE INTO kv SELECT k, abs(v) FROM source ORDER BY n;
SELECT 'alone', group_concat(key) FROM (SELECT key FROM kv ORDER BY key);
BEGIN;
INSERT INTO kv VALUES ('x', '2');
INSERT INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR ABORT INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR IGNORE INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR REPLACE INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR FAIL INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT OR ROLLBACK INTO kv SELECT k, abs(v) FROM source ORDER BY n;
SELECT 'in a transaction', group_concat(key) FROM (SELECT key FROM kv ORDER BY key);
UPDATE kv SET value = CASE key WHEN 'x' THEN abs(-9223372036854775808) ELSE 'changed' END;
UPDATE OR IGNORE kv SET value = CASE key WHEN 'x' THEN abs(-9223372036854775808) ELSE 'changed' END;
UPDATE OR REPLACE kv SET key = CASE key WHEN 'x' THEN abs(-9223372036854775808) ELSE 'changed' END;
DELETE FROM kv WHERE CASE key WHEN 'x' THEN abs(-9223372036854775808) ELSE 1 END;
SELECT 'unchanged', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
SAVEPOINT s;
DELETE FROM kv WHERE key = 'a';
INSERT INTO kv SELECT k, abs(v) FROM source ORDER BY n;
INSERT INTO kv SELECT k, v FROM source ORDER BY n;
INSERT INTO kv SELECT k || k, v FROM source ORDER BY n = 2;
INSERT INTO kv SELECT 'n' || n, nullif(v, 2) FROM source ORDER BY n;
SELECT 'in a savepoint', group_concat(key) FROM (SELECT key FROM kv ORDER BY key);
ROLLBACK TO s;
COMMIT;
SELECT 'committed', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
-- native since 3.40
