-- What the file format keeps for itself is refused, whatever the conflict mode.
CREATE VIRTUAL TABLE kv USING bitcask('data');
INSERT INTO kv VALUES ('k', 'v');
INSERT INTO kv VALUES ('t', 'bitcask_tombstone');
INSERT INTO kv VALUES ('t', 'bitcask_tombstone2....');
INSERT OR IGNORE INTO kv VALUES ('t', 'bitcask_tombstone and more');
REPLACE INTO kv VALUES ('k', 'bitcask_tombstone');
UPDATE kv SET value = 'bitcask_tombstone';
INSERT INTO kv VALUES ('a', 'in the same'), ('t', 'bitcask_tombstone');
SELECT * FROM kv;
-- One byte less is a value as any other, and so is the text elsewhere.
INSERT INTO kv VALUES ('s', 'bitcask_tombston'), ('u', 'a bitcask_tombstone'), ('bitcask_tombstone', 'key');
SELECT * FROM kv ORDER BY key;
-- So is the key of the markers that keep transactions together.
INSERT INTO kv VALUES (CAST(x'ff6269746361736b5f6261746368' AS TEXT), 'v');
UPDATE kv SET key = CAST(x'ff6269746361736b5f6261746368' AS TEXT) WHERE key = 'k';
SELECT count(*) FROM kv WHERE key = CAST(x'ff6269746361736b5f6261746368' AS TEXT);
DELETE FROM kv WHERE key = CAST(x'ff6269746361736b5f6261746368' AS TEXT);
SELECT count(*) FROM kv;
