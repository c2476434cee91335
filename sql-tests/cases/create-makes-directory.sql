-- CREATE makes the directory and its parents; the store is there at once.
CREATE VIRTUAL TABLE kv USING bitcask('a/b/c');
.shell test -d a/b/c && echo made
SELECT count(*) FROM kv;
-- A directory that is there is opened, empty or not.
.shell mkdir empty
CREATE VIRTUAL TABLE e USING bitcask('empty');
INSERT INTO e VALUES ('k', 'v');
CREATE VIRTUAL TABLE again USING bitcask('empty');
SELECT * FROM again;
