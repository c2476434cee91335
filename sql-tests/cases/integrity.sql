-- PRAGMA integrity_check looks into the files, quick_check at their structure.
CREATE VIRTUAL TABLE kv USING bitcask('data', max_file_size=100, merge=manual);
CREATE VIRTUAL TABLE fine USING bitcask('fine');
CREATE TABLE plain(a);
INSERT INTO kv VALUES ('a', 'the first value, of a file of its own'), ('b', 'the second value');
INSERT INTO kv VALUES ('c', 'the third value, in another file than those');
PRAGMA integrity_check;
PRAGMA quick_check;
.shell n=$(grep -abo 'second' data/1.bitcask.data | cut -d: -f1) && printf X | dd of=data/1.bitcask.data bs=1 seek=$n conv=notrunc status=none
PRAGMA quick_check;
PRAGMA integrity_check(kv);
PRAGMA integrity_check(fine);
.shell rm data/1.bitcask.hint && echo 'no hint' >data/1.bitcask.hint
PRAGMA quick_check;
-- A table that cannot be opened is reported, and the others are checked.
ATTACH 'aux.db' AS aux;
CREATE VIRTUAL TABLE aux.lost USING bitcask('lost');
DETACH aux;
.shell rm -r lost
ATTACH 'aux.db' AS aux;
PRAGMA aux.integrity_check;
PRAGMA main.quick_check(fine);
DROP TABLE aux.lost;
PRAGMA aux.integrity_check;
-- since 3.44
