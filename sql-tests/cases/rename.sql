-- After a rename messages use the new name.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('k', 'v');
ALTER TABLE kv RENAME TO pairs;
SELECT * FROM pairs;
SELECT * FROM kv;
INSERT INTO pairs VALUES ('k', 'v');
INSERT INTO pairs VALUES ('l', NULL);
SELECT bitcask_verify('pairs');
