-- A directory as tables of different shapes: more columns, fewer, and what is no row.
.mode quote
CREATE VIRTUAL TABLE two USING bitcask('data', k TEXT PRIMARY KEY, a, b REAL);
INSERT INTO two VALUES ('x', 1, 2), ('y', 'text', 2.5);
CREATE VIRTUAL TABLE raw USING bitcask('data');
SELECT key, value FROM raw ORDER BY key;
-- More columns at the end: NULL, also where NULL is refused in what is written.
CREATE VIRTUAL TABLE four USING bitcask('data', k TEXT PRIMARY KEY, a, b REAL, c INTEGER NOT NULL, d);
SELECT * FROM four ORDER BY k;
SELECT count(*) FROM four WHERE c IS NULL;
UPDATE four SET d = 'd' WHERE k = 'y';
INSERT INTO four VALUES ('z', 1, 2, NULL, 4);
UPDATE four SET c = 7, d = x'00' WHERE k = 'x';
SELECT * FROM four ORDER BY k;
-- Fewer: those that are not declared are not shown; an UPDATE keeps them, a REPLACE
-- does not.
SELECT * FROM two ORDER BY k;
UPDATE two SET a = 'changed', b = 3 WHERE k = 'x';
UPDATE two SET k = 'moved', a = 'too' WHERE k = 'y';
UPDATE two SET k = 'x2' WHERE k = 'x';
SELECT * FROM four ORDER BY k;
REPLACE INTO two VALUES ('x2', 1, 1);
SELECT * FROM four ORDER BY k;
-- Bytes that are no record.
INSERT INTO raw VALUES ('bad', x'ff'), ('empty', x''), ('long', x'0208aa'), ('reserved', x'020a'), ('good', x'0209');
SELECT count(*), max(k) FROM two;
SELECT * FROM two WHERE k = 'good';
SELECT * FROM two WHERE k = 'bad';
SELECT * FROM two WHERE k = 'empty';
SELECT * FROM two WHERE k = 'long';
SELECT * FROM two WHERE k = 'reserved';
UPDATE two SET a = 1 WHERE k = 'bad';
UPDATE two SET k = 'bad2' WHERE k = 'bad';
REPLACE INTO two VALUES ('empty', 'mended', NULL);
DELETE FROM two WHERE k IN ('bad2', 'long', 'reserved');
SELECT * FROM two ORDER BY k;
BEGIN;
INSERT INTO raw VALUES ('mine', 'no row');
SELECT * FROM two WHERE k = 'mine';
ROLLBACK;
-- A key that is no INTEGER.
DELETE FROM raw WHERE key <> 'x2';
CREATE VIRTUAL TABLE n USING bitcask('data', k INTEGER PRIMARY KEY, v BLOB);
SELECT count(*) FROM n;
SELECT * FROM n WHERE k > 0;
INSERT INTO n VALUES (1, 'one');
SELECT * FROM n WHERE k = 1;
DELETE FROM n;
CREATE VIRTUAL TABLE b USING bitcask('data', k BLOB PRIMARY KEY, v BLOB);
DELETE FROM b WHERE length(k) <> 8;
SELECT * FROM b;
SELECT * FROM n;
