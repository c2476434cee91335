-- What the words of a column definition make of it.
CREATE VIRTUAL TABLE a USING bitcask('a', k VARCHAR(10) PRIMARY KEY, v CLOB);
CREATE VIRTUAL TABLE b USING bitcask('b', v DOUBLE  PRECISION NOT  NULL, 'k' unsigned big int primary key not null);
CREATE VIRTUAL TABLE c USING bitcask('c', k BLOB, v, read_only=0, w DECIMAL ( 10 , -2 ), [a column] VARYING CHARACTER(255));
CREATE VIRTUAL TABLE d USING bitcask('d', key TEXT PRIMARY KEY, value BLOB);
CREATE VIRTUAL TABLE e USING bitcask('e', "timeout" INT, sync TEXT, "primary" ANY);
SELECT m.name, t.name, t.type, t."notnull", t.pk FROM sqlite_master AS m, pragma_table_info(m.name) AS t ORDER BY m.name, t.cid;
-- One value column of TEXT or BLOB affinity holds bytes, anything else a row.
.mode quote
INSERT INTO a VALUES ('k', 'raw');
INSERT INTO b VALUES (1, 2);
INSERT INTO c VALUES (x'00', NULL, '1.0', 5);
INSERT INTO e VALUES (-1, 't', '5');
CREATE VIRTUAL TABLE ra USING bitcask('a', k BLOB, v BLOB);
CREATE VIRTUAL TABLE rb USING bitcask('b', k BLOB, v BLOB);
CREATE VIRTUAL TABLE rc USING bitcask('c', k BLOB, v BLOB);
CREATE VIRTUAL TABLE re USING bitcask('e', k BLOB, v BLOB);
SELECT * FROM ra UNION ALL SELECT * FROM rb UNION ALL SELECT * FROM rc UNION ALL SELECT * FROM re;
INSERT INTO a VALUES ('k2', NULL);
-- Seventy columns.
.mode list
CREATE TABLE generated AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70)
  SELECT 'CREATE VIRTUAL TABLE w USING bitcask(''w'', k TEXT, ' || group_concat('c' || i, ', ') || ');' AS sql FROM n;
.once create.sql
SELECT sql FROM generated;
.read create.sql
INSERT INTO w(k, c1, c63, c69, c70) VALUES ('k', 1, 63, 69, 70), ('l', NULL, NULL, NULL, 'only');
SELECT k, c1, c2, c63, c69, c70 FROM w ORDER BY k;
SELECT c70 FROM w WHERE c69 IS NULL;
SELECT _size FROM w WHERE k = 'l';
UPDATE w SET c70 = c70 || '!', c64 = 'x';
SELECT c70, c64, c1 FROM w ORDER BY k;
