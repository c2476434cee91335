-- A key and a value column of one's own.
.mode quote
CREATE VIRTUAL TABLE t USING bitcask('t', id TEXT PRIMARY KEY, body TEXT NOT NULL);
SELECT name, type, pk FROM pragma_table_info('t');
INSERT INTO t VALUES ('a', 'text'), ('b', 5), ('c', x'6869');
SELECT * FROM t ORDER BY id;
SELECT json_extract(body, '$.x') FROM (SELECT '{"x":1}' AS body);
INSERT INTO t VALUES ('a', 'again');
INSERT INTO t VALUES (NULL, 'x');
INSERT INTO t VALUES ('d', NULL);
-- BLOB keys are bytes; a text is not one.
CREATE VIRTUAL TABLE b USING bitcask('b', sync=off, k BLOB, v BLOB, mmap=0);
INSERT INTO b VALUES (x'00ff', x'01'), (x'', x''), (x'61', 'text');
SELECT * FROM b ORDER BY k;
SELECT v FROM b WHERE k = x'61';
SELECT v FROM b WHERE k = 'a';
INSERT INTO b VALUES ('a', x'02');
INSERT INTO b VALUES (1, x'02');
-- The key may stand second.
CREATE VIRTUAL TABLE s USING bitcask('s', "the value" BLOB, [the key] TEXT NOT NULL PRIMARY KEY);
INSERT INTO s VALUES ('v', 'k');
SELECT "the key", "the value" FROM s WHERE "the key" = 'k';
UPDATE s SET "the key" = 'k2';
SELECT * FROM s;
INSERT INTO s VALUES ('w', 'k2');
