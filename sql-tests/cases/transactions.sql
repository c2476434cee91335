-- native
-- COMMIT keeps, ROLLBACK takes back; a transaction sees its own writes.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2');
BEGIN;
INSERT INTO kv VALUES ('c', '3');
UPDATE kv SET value = 'new' WHERE key = 'a';
DELETE FROM kv WHERE key = 'b';
SELECT * FROM kv ORDER BY key;
SELECT count(*) FROM kv WHERE key = 'b';
ROLLBACK;
SELECT * FROM kv ORDER BY key;
BEGIN;
DELETE FROM kv;
INSERT INTO kv VALUES ('a', 'once more');
SELECT * FROM kv;
COMMIT;
SELECT * FROM kv;
BEGIN;
UPDATE kv SET value = 'x' WHERE key = 'nobody';
COMMIT;
BEGIN;
INSERT INTO kv VALUES ('k', '1');
DELETE FROM kv WHERE key = 'k';
COMMIT;
SELECT * FROM kv;
