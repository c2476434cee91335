-- A relative directory starts at the folder of the database file, so that both
-- can be moved together.
.shell mkdir -p here elsewhere
ATTACH 'here/x.db' AS x;
CREATE VIRTUAL TABLE x.kv USING bitcask('data');
INSERT INTO x.kv VALUES ('k', 'beside the file');
.shell ls here
CREATE VIRTUAL TABLE temp.t USING bitcask('data');
CREATE VIRTUAL TABLE m USING bitcask('data');
INSERT INTO m VALUES ('k', 'in the working directory');
SELECT * FROM t;
SELECT * FROM x.kv;
DETACH x;
.shell mv here/x.db here/data elsewhere/
ATTACH 'elsewhere/x.db' AS y;
SELECT * FROM y.kv;
