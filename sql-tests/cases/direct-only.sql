-- A hostile schema cannot reach files through a view or a trigger.
CREATE VIRTUAL TABLE kv USING bitcask('data');
CREATE VIEW v AS SELECT * FROM kv;
SELECT * FROM v;
CREATE VIEW f AS SELECT bitcask_merge('kv');
SELECT * FROM f;
CREATE VIEW files AS SELECT * FROM bitcask_files('kv');
SELECT * FROM files;
CREATE TABLE plain(a);
CREATE TRIGGER t AFTER INSERT ON plain BEGIN INSERT INTO kv VALUES (new.a, 'x'); END;
INSERT INTO plain VALUES ('k');
SELECT count(*) FROM kv;
CREATE VIEW version AS SELECT bitcask_version() IS NOT NULL;
SELECT * FROM version;
-- A temporary view is the user's own.
CREATE TEMP VIEW own AS SELECT * FROM kv;
INSERT INTO kv VALUES ('k', 'v');
SELECT * FROM own;
CREATE VIEW backup AS SELECT bitcask_backup('kv', 'copy');
SELECT * FROM backup;
CREATE VIEW history AS SELECT * FROM bitcask_history('kv');
SELECT * FROM history;
CREATE VIEW problems AS SELECT * FROM bitcask_verify_rows('kv');
SELECT * FROM problems;
CREATE VIEW scan AS SELECT * FROM bitcask_scan('data');
SELECT * FROM scan;
CREATE VIEW status AS SELECT * FROM bitcask_status('kv');
SELECT * FROM status;
-- since 3.40
