-- What SQLite refuses on every virtual table.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1') ON CONFLICT(key) DO UPDATE SET value = '2';
UPDATE kv SET value = '2' RETURNING key;
DELETE FROM kv RETURNING key;
CREATE INDEX i ON kv(value);
CREATE TRIGGER t AFTER INSERT ON kv BEGIN SELECT 1; END;
ALTER TABLE kv ADD COLUMN x;
ALTER TABLE kv RENAME COLUMN key TO k;
ALTER TABLE kv DROP COLUMN value;
SELECT count(*) FROM kv;
-- And a quirk of it: RETURNING prints the row that OR IGNORE has left out.
INSERT INTO kv VALUES ('a', '1');
INSERT OR IGNORE INTO kv VALUES ('a', '2') RETURNING key, value;
SELECT * FROM kv;
-- since 3.35
