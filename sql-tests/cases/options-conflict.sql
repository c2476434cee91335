-- Tables on one directory share its store: an option that says otherwise is
-- refused; read_only and timeout are a table's own.
CREATE VIRTUAL TABLE a USING bitcask('data', sync=normal, max_file_size='1M');
CREATE VIRTUAL TABLE b USING bitcask('data', sync=off);
-- SQLite has disconnected all tables after that failure.
SELECT count(*) FROM a;
CREATE VIRTUAL TABLE b USING bitcask('data', sync=normal, max_file_size='2M');
SELECT count(*) FROM a;
CREATE VIRTUAL TABLE b USING bitcask('data', sync=normal, max_file_size='1M', mmap=0);
SELECT count(*) FROM a;
-- One that is left out has its default, and that may differ, too.
CREATE VIRTUAL TABLE b USING bitcask('data', sync=normal);
SELECT count(*) FROM a;
CREATE VIRTUAL TABLE b USING bitcask('data', max_file_size='1M', sync=normal, timeout=10);
CREATE VIRTUAL TABLE c USING bitcask('./data/../data', sync=normal, max_file_size=1048576);
CREATE VIRTUAL TABLE d USING bitcask('data', read_only=1);
INSERT INTO b VALUES ('k', 'v');
SELECT * FROM a;
SELECT * FROM c;
SELECT * FROM d;
INSERT INTO d VALUES ('l', 'w');
-- When the last table lets go, other options may be chosen.
DROP TABLE a;
DROP TABLE b;
DROP TABLE c;
CREATE VIRTUAL TABLE e USING bitcask('data', sync=off);
SELECT * FROM e;
