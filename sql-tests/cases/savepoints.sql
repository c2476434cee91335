-- native
-- SAVEPOINT, RELEASE, ROLLBACK TO, nested, and without BEGIN.
CREATE VIRTUAL TABLE kv USING bitcask('data');
BEGIN;
INSERT INTO kv VALUES ('a', '1');
SAVEPOINT one;
INSERT INTO kv VALUES ('b', '2');
SAVEPOINT two;
INSERT INTO kv VALUES ('c', '3');
UPDATE kv SET value = 'changed' WHERE key = 'a';
ROLLBACK TO two;
SELECT 'to two', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
INSERT INTO kv VALUES ('d', '4');
RELEASE two;
ROLLBACK TO one;
SELECT 'to one', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
ROLLBACK TO one;
INSERT INTO kv VALUES ('e', '5');
RELEASE one;
COMMIT;
SELECT 'committed', group_concat(key || '=' || value) FROM (SELECT * FROM kv ORDER BY key);
-- Savepoints that are older than the first write.
BEGIN;
SAVEPOINT a;
SAVEPOINT b;
INSERT INTO kv VALUES ('f', '6');
RELEASE b;
SAVEPOINT c;
INSERT INTO kv VALUES ('g', '7');
ROLLBACK TO a;
SELECT 'to a', group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
COMMIT;
-- A savepoint that is the transaction.
SAVEPOINT outer;
INSERT INTO kv VALUES ('h', '8');
SAVEPOINT inner;
INSERT INTO kv VALUES ('i', '9');
ROLLBACK TO outer;
SELECT 'to outer', group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
INSERT INTO kv VALUES ('j', '10');
RELEASE outer;
SELECT 'released', group_concat(key) FROM (SELECT * FROM kv ORDER BY key);
