-- What has expired is in no plan, and no conflict with what is written.
CREATE VIRTUAL TABLE old USING bitcask('data', k INTEGER PRIMARY KEY, v TEXT NOT NULL);
INSERT INTO old VALUES (1, 'old'), (2, 'old'), (3, 'old');
DROP TABLE old;
.shell sleep 3
CREATE VIRTUAL TABLE kv USING bitcask('data', k INTEGER PRIMARY KEY, v TEXT NOT NULL, expiry_secs=1);
SELECT count(*) FROM kv;
INSERT INTO kv VALUES (2, 'new'), (4, 'new');
SELECT * FROM kv ORDER BY k;
SELECT count(*), count(_size), max(k), min(v) FROM kv;
SELECT * FROM kv WHERE k = 1;
SELECT * FROM kv WHERE k IN (1, 2, 3) ORDER BY k;
SELECT * FROM kv WHERE k >= 1 AND k < 4;
SELECT * FROM kv WHERE k > 1 ORDER BY k DESC;
SELECT v, _file IS NULL FROM kv WHERE v = 'old';
UPDATE kv SET v = 'changed' WHERE k IN (1, 3);
SELECT changes();
UPDATE kv SET k = 3 WHERE k = 4;
DELETE FROM kv WHERE k = 1;
SELECT changes();
SELECT * FROM kv ORDER BY k;
INSERT INTO kv VALUES (3, 'conflict');
