-- native
-- A table that is made in a savepoint hears nothing of those that are older; what
-- goes into it is undone with them all the same.
BEGIN;
SAVEPOINT a;
CREATE VIRTUAL TABLE kv USING bitcask('one');
INSERT INTO kv VALUES ('1', x'');
ROLLBACK TO a;
SELECT count(*) FROM kv;
COMMIT;
CREATE VIRTUAL TABLE kv USING bitcask('one');
SELECT 'one', count(*) FROM kv;
-- A later savepoint is no excuse for forgetting the older.
BEGIN;
SAVEPOINT a;
CREATE VIRTUAL TABLE two USING bitcask('two');
INSERT INTO two VALUES ('1', x'');
SAVEPOINT b;
INSERT INTO two VALUES ('2', x'');
ROLLBACK TO b;
SELECT 'to b', group_concat(key) FROM (SELECT key FROM two ORDER BY key);
SAVEPOINT c;
ROLLBACK TO a;
CREATE VIRTUAL TABLE two USING bitcask('two');
SELECT 'to a', count(*) FROM two;
INSERT INTO two VALUES ('3', x'');
COMMIT;
SELECT 'committed', group_concat(key) FROM (SELECT key FROM two ORDER BY key);
-- Each kind of statement may be the first.
SAVEPOINT t;
SAVEPOINT a;
CREATE VIRTUAL TABLE three USING bitcask('three');
INSERT INTO three VALUES ('1', x''), ('2', x''), ('3', x'');
ROLLBACK TO a;
CREATE VIRTUAL TABLE three USING bitcask('three');
REPLACE INTO three VALUES ('4', x'');
SAVEPOINT b;
UPDATE three SET key = '5' WHERE key = '4';
INSERT INTO three SELECT key || 'x', value FROM three;
DELETE FROM three WHERE key = '5';
SELECT 'three', group_concat(key) FROM (SELECT key FROM three ORDER BY key);
ROLLBACK TO t;
CREATE VIRTUAL TABLE three USING bitcask('three');
SELECT 'three', count(*) FROM three;
INSERT INTO three VALUES ('6', x'');
RELEASE t;
SELECT 'three', group_concat(key) FROM (SELECT key FROM three ORDER BY key);
-- With a name that needs quotes, and a statement that fails.
BEGIN;
SAVEPOINT a;
CREATE VIRTUAL TABLE four USING bitcask('four');
ALTER TABLE four RENAME TO "it's ""four""";
INSERT INTO "it's ""four""" VALUES ('1', x'');
INSERT INTO "it's ""four""" VALUES ('2', x''), ('1', x'');
SELECT changes(), group_concat(key) FROM "it's ""four""";
ROLLBACK TO a;
COMMIT;
CREATE VIRTUAL TABLE four USING bitcask('four');
SELECT 'four', count(*) FROM four;
