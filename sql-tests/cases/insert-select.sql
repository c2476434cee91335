-- A statement reads the state in which it began, though it writes to it.
CREATE VIRTUAL TABLE a USING bitcask('data');
CREATE VIRTUAL TABLE b USING bitcask('data');
INSERT INTO a VALUES ('1', 'x'), ('2', 'y');
INSERT INTO a SELECT key || '+', value FROM a;
SELECT key FROM a ORDER BY key;
-- Two tables of one directory: SQLite itself does not see that they are one.
INSERT INTO a SELECT key || '-', value FROM b;
SELECT count(*) FROM a;
INSERT OR REPLACE INTO b SELECT key, upper(CAST(value AS TEXT)) FROM a;
SELECT count(*), group_concat(DISTINCT value) FROM a WHERE CAST(value AS TEXT) = 'X';
DELETE FROM a WHERE key IN (SELECT key FROM b WHERE key LIKE '%+%');
SELECT key FROM a ORDER BY key;
