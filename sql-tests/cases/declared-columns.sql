-- Without column definitions there are a TEXT key and a BLOB value.
CREATE VIRTUAL TABLE kv USING bitcask('data');
SELECT name, type, "notnull", dflt_value, pk, hidden FROM pragma_table_xinfo('kv');
SELECT type, ncol, wr FROM pragma_table_list('kv');
SELECT rowid FROM kv;
INSERT INTO kv VALUES ('a', 'b');
SELECT typeof(key), typeof(value) FROM kv;
-- since 3.37
