-- native
-- NULL in a NOT NULL column, in each conflict mode.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1');
INSERT INTO kv VALUES ('b', NULL);
INSERT INTO kv VALUES (NULL, NULL);
INSERT INTO kv VALUES ('b', '2'), (NULL, '3');
INSERT OR IGNORE INTO kv VALUES ('c', '3'), (NULL, '4'), ('d', NULL), ('e', '5');
SELECT 'ignore', changes(), group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
INSERT OR REPLACE INTO kv VALUES ('f', '6'), ('a', NULL);
SELECT 'replace', group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
INSERT OR FAIL INTO kv VALUES ('f', '6'), ('g', NULL);
SELECT 'fail', group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
UPDATE kv SET value = NULL WHERE key = 'a';
UPDATE OR IGNORE kv SET value = NULL;
SELECT 'update or ignore', changes(), group_concat(value) FROM (SELECT * FROM kv ORDER BY key);
BEGIN;
INSERT INTO kv VALUES ('z', '26');
INSERT OR ROLLBACK INTO kv VALUES ('y', NULL);
SELECT 'rollback', count(*) FROM kv WHERE key = 'z';
