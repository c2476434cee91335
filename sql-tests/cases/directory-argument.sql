-- Each way to write the directory.
.mode quote
CREATE VIRTUAL TABLE a USING bitcask('one');
CREATE VIRTUAL TABLE b USING bitcask("two");
CREATE VIRTUAL TABLE c USING bitcask([three]);
CREATE VIRTUAL TABLE d USING bitcask(`four`);
CREATE VIRTUAL TABLE e USING bitcask(five);
CREATE VIRTUAL TABLE f USING bitcask(directory='six');
CREATE VIRTUAL TABLE g USING bitcask(  DIRECTORY = "seven"  );
CREATE VIRTUAL TABLE h USING bitcask('it''s, here');
CREATE VIRTUAL TABLE i USING bitcask('a=b');
.shell ls
