-- .import, .dump --data-only, .mode insert, CREATE TABLE AS.
.shell (echo a,1; echo b,2) >in.csv
CREATE VIRTUAL TABLE kv USING bitcask('data', k TEXT PRIMARY KEY, v TEXT);
.import --csv in.csv kv
SELECT * FROM kv ORDER BY k;
.mode insert copy
SELECT * FROM kv ORDER BY k;
.mode list
DELETE FROM kv WHERE k = 'b';
.dump --data-only kv
CREATE TABLE copy AS SELECT * FROM kv;
SELECT * FROM copy;
.schema kv
.tables
-- since 3.33
