require "sqlite3"

db = SQLite3::Database.new("shop.db")
db.enable_load_extension(true)
db.load_extension("build/bitcask")
db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')")
db.execute("REPLACE INTO kv VALUES (?, ?)", ["user:1", "Ada"])
db.execute("SELECT key, value FROM kv ORDER BY key") { |key, value| puts "#{key} #{value}" }

db.execute("CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)")
db.transaction do
  db.execute("INSERT INTO notes VALUES (?, ?)", ["hello", "grüße"])
  db.execute("INSERT INTO kv VALUES (?, ?)", ["binary", SQLite3::Blob.new("\x00\xff\x10".b)])
end
puts "text: #{db.get_first_value("SELECT body FROM notes WHERE id = ?", "hello")}"
puts "blob: #{db.get_first_value("SELECT value FROM kv WHERE key = ?", "binary").unpack1("H*")}"
value = db.get_first_value("SELECT (SELECT value FROM kv WHERE key = ?)", "none")
puts "null: #{value.nil? ? "yes" : "no"}"

db.transaction
db.execute("DELETE FROM kv")
db.rollback
puts "rows after rollback: #{db.get_first_value("SELECT count(*) FROM kv")}"
begin
  db.execute("INSERT INTO kv VALUES ('user:1', 'Eve')")
rescue SQLite3::ConstraintException => error
  puts "error: #{error.message}"
end
db.close
puts "closed"
