-- native
-- Several value columns: every storage class comes back as it would from an ordinary
-- table.
.mode quote
CREATE VIRTUAL TABLE t USING bitcask('t', id INTEGER PRIMARY KEY, a, i INTEGER, r REAL, n NUMERIC, x TEXT, b BLOB, d DECIMAL(10, 2), v VARCHAR(20), y ANY, f FLOAT, bi UNSIGNED BIG INT, dp DOUBLE PRECISION);
INSERT INTO t VALUES (1, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5, 5);
INSERT INTO t VALUES (2, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0, 5.0);
INSERT INTO t VALUES (3, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5, 2.5);
INSERT INTO t VALUES (4, '5', '5', '5', '5', '5', '5', '5', '5', '5', '5', '5', '5');
INSERT INTO t VALUES (5, ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ', ' 5.0 ');
INSERT INTO t VALUES (6, '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x', '1e3x');
INSERT INTO t VALUES (7, x'35', x'35', x'35', x'35', x'35', x'35', x'35', x'35', x'35', x'35', x'35', x'35');
INSERT INTO t VALUES (8, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL);
INSERT INTO t VALUES (9, 9223372036854775807, '9223372036854775807', '9223372036854775807', 9223372036854775807, 9223372036854775807, 1, '9223372036854775808', 9.2e18, '1e20', -9223372036854775808, '-9223372036854775808', 9007199254740993);
INSERT INTO t VALUES (10, -0.0, -0.0, -0.0, '-0.0', -0.0, '', '', '', '', '', x'', zeroblob(3));
INSERT INTO t VALUES (11, 1e999, -1e999, 1e999, 1e999, 1e999, 1e-320, '1e-320', 0.1, '0.1', '1e15', 1e15, 1e15);
INSERT INTO t VALUES (12, 'ä', -1, -1, 127, 128, 32768, 8388608, 2147483648, 140737488355328, 'NaN', '0x10', '1_0');
SELECT * FROM t ORDER BY id;
SELECT typeof(a), typeof(i), typeof(r), typeof(n), typeof(x), typeof(b), typeof(d), typeof(v), typeof(y), typeof(f), typeof(bi), typeof(dp) FROM t ORDER BY id;
SELECT id FROM t WHERE i = '5' ORDER BY id;
SELECT id FROM t WHERE x = 5 ORDER BY id;
SELECT id FROM t WHERE a = '5' ORDER BY id;
SELECT id FROM t WHERE a IS NULL;
SELECT sum(i), total(r), count(n), max(x) FROM t;
SELECT dp, a, id FROM t WHERE id = 12;
-- Some of the columns change.
UPDATE t SET i = i + 1, x = x || '!' WHERE id IN (1, 4, 8);
SELECT * FROM t WHERE id IN (1, 4, 8) ORDER BY id;
UPDATE t SET dp = NULL;
UPDATE t SET id = id + 100, a = 'moved' WHERE id = 2;
UPDATE t SET id = 200 WHERE id = 3;
SELECT id, a, i, dp FROM t ORDER BY id DESC;
UPDATE t SET id = 1 WHERE id = 200;
UPDATE OR IGNORE t SET id = 1, a = 0 WHERE id = 200;
UPDATE OR REPLACE t SET id = 1 WHERE id = 200;
SELECT id, a, i FROM t ORDER BY id LIMIT 2;
REPLACE INTO t(id, a) VALUES (1, 'new');
INSERT OR IGNORE INTO t(id, a) VALUES (1, 'not'), (77, 'yes');
SELECT id, a, i FROM t WHERE id IN (1, 77);
SELECT changes();
DELETE FROM t WHERE i IS NULL;
SELECT count(*), min(id), max(id) FROM t;
-- until 3.42.9
