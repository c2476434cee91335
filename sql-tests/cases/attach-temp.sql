-- Tables in attached and temporary databases.
ATTACH 'aux.db' AS aux;
CREATE VIRTUAL TABLE aux.kv USING bitcask('aux-data');
CREATE VIRTUAL TABLE temp.kv USING bitcask('temp-data');
CREATE VIRTUAL TABLE main.kv USING bitcask('main-data');
INSERT INTO aux.kv VALUES ('k', 'aux');
INSERT INTO temp.kv VALUES ('k', 'temp');
INSERT INTO main.kv VALUES ('k', 'main');
SELECT value FROM kv;
SELECT value FROM main.kv;
SELECT value FROM aux.kv;
SELECT replace(path, rtrim(path, replace(path, '/', '')), '') FROM bitcask_files('aux.kv');
SELECT keys FROM bitcask_status('kv');
INSERT INTO main.kv VALUES ('k', 'again');
DETACH aux;
SELECT value FROM aux.kv;
