-- Loading the module once more is harmless, with tables open.
CREATE VIRTUAL TABLE kv USING bitcask('data');
BEGIN;
INSERT INTO kv VALUES ('k', 'v');
.load ../bitcask
SELECT bitcask_verify('kv');
INSERT INTO kv VALUES ('l', 'w');
ROLLBACK;
SELECT count(*) FROM kv;
CREATE VIRTUAL TABLE two USING bitcask('data');
INSERT INTO two VALUES ('m', 'x');
SELECT * FROM kv;
