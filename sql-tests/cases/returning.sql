-- native
-- INSERT ... RETURNING.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('a', '1'), ('b', '2') RETURNING key, value;
INSERT OR REPLACE INTO kv VALUES ('a', '3') RETURNING key || '=' || value;
INSERT INTO kv VALUES ('a', '5') RETURNING key;
SELECT * FROM kv ORDER BY key;
-- since 3.35
