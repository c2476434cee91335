package require sqlite3

sqlite3 db shop.db
db enable_load_extension 1
db eval {SELECT load_extension('build/bitcask')}
db eval {CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')}
set name Ada
db eval {REPLACE INTO kv VALUES ('user:1', $name)}
db eval {SELECT key, value FROM kv ORDER BY key} {
    puts "$key $value"
}

fconfigure stdout -encoding utf-8
db eval {CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)}
set body gr\u00fc\u00dfe
set bytes [binary format H* 00ff10]
db transaction {
    db eval {INSERT INTO notes VALUES ('hello', $body)}
    db eval {INSERT INTO kv VALUES ('binary', @bytes)}
}
puts "text: [db onecolumn {SELECT body FROM notes WHERE id = 'hello'}]"
binary scan [db onecolumn {SELECT value FROM kv WHERE key = 'binary'}] H* hex
puts "blob: $hex"
db nullvalue NULL
set value [db onecolumn {SELECT (SELECT value FROM kv WHERE key = 'none')}]
puts "null: [expr {$value eq {NULL} ? {yes} : {no}}]"

db eval {BEGIN; DELETE FROM kv; ROLLBACK}
puts "rows after rollback: [db onecolumn {SELECT count(*) FROM kv}]"
if {[catch {db eval {INSERT INTO kv VALUES ('user:1', 'Eve')}} message]} {
    puts "error: $message"
}
db close
puts closed
