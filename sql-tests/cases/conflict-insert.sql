-- native
-- INSERT on a key that is there, in each conflict mode.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
INSERT INTO kv VALUES ('a', 'plain');
INSERT OR ABORT INTO kv VALUES ('c', '3'), ('a', 'abort'), ('d', '4');
SELECT 'abort', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT OR FAIL INTO kv VALUES ('c', '3'), ('a', 'fail'), ('d', '4');
SELECT 'fail', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT OR IGNORE INTO kv VALUES ('e', '5'), ('a', 'ignore'), ('f', '6');
SELECT 'ignore', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT OR REPLACE INTO kv VALUES ('g', '7'), ('a', 'replace');
SELECT 'replace', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
REPLACE INTO kv VALUES ('a', '1');
BEGIN;
INSERT INTO kv VALUES ('h', '8');
INSERT OR ROLLBACK INTO kv VALUES ('i', '9'), ('a', 'rollback');
SELECT 'rollback', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
COMMIT;
INSERT INTO kv VALUES ('j', '10'), ('j', '11');
INSERT OR REPLACE INTO kv VALUES ('j', '10'), ('j', '11');
SELECT 'twice', changes(), group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
