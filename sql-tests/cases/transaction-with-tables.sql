-- native
-- One transaction over several bitcask tables and ordinary ones.
CREATE VIRTUAL TABLE one USING bitcask('one');
CREATE VIRTUAL TABLE two USING bitcask('two');
CREATE TABLE plain(a);
BEGIN;
INSERT INTO one VALUES ('k', '1');
INSERT INTO two VALUES ('k', '2');
INSERT INTO plain VALUES (3);
ROLLBACK;
SELECT (SELECT count(*) FROM one), (SELECT count(*) FROM two), (SELECT count(*) FROM plain);
BEGIN;
INSERT INTO one VALUES ('k', '1');
SAVEPOINT s;
INSERT INTO two VALUES ('k', '2');
INSERT INTO plain VALUES (3);
ROLLBACK TO s;
INSERT INTO two VALUES ('l', '2');
COMMIT;
SELECT (SELECT group_concat(key) FROM one), (SELECT group_concat(key) FROM two), (SELECT count(*) FROM plain);
-- A constraint of the ordinary table takes the bitcask rows back as well.
CREATE TABLE strict(a UNIQUE);
INSERT INTO strict VALUES (1);
BEGIN;
INSERT INTO one VALUES ('m', '1');
INSERT OR ROLLBACK INTO strict VALUES (1);
SELECT group_concat(key) FROM one;
