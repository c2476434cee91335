-- native
-- BLOB keys: ranges and order are those of bytes.
.mode quote
CREATE VIRTUAL TABLE b USING bitcask('b', k BLOB PRIMARY KEY, v BLOB NOT NULL);
INSERT INTO b VALUES (x'', x'01'), (x'00', x'02'), (x'00ff', x'03'), (x'61', x'04'), (x'6162', x'05'), (x'ff', x'06'), (x'ff00', x'07');
SELECT k FROM b ORDER BY k;
SELECT k FROM b ORDER BY k DESC;
SELECT k FROM b WHERE k > x'00' AND k <= x'61' ORDER BY k;
SELECT k FROM b WHERE k BETWEEN x'61' AND x'ff' ORDER BY k;
SELECT k FROM b WHERE k IN (x'ff', x'', 'a', 97, NULL) ORDER BY k;
SELECT count(*) FROM b WHERE k > 'a';
SELECT count(*) FROM b WHERE k < 'zzz';
SELECT count(*) FROM b WHERE k > 5;
SELECT count(*) FROM b WHERE k = 'a';
SELECT count(*) FROM b WHERE k = CAST('97' AS INTEGER);
SELECT k FROM b WHERE k GLOB 'a*' ORDER BY k;
SELECT k FROM b WHERE CAST(k AS TEXT) LIKE 'a%' ORDER BY k;
PRAGMA case_sensitive_like = 1;
SELECT k FROM b WHERE k LIKE 'a%' ORDER BY k;
