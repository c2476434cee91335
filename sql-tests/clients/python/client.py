import sqlite3

db = sqlite3.connect("shop.db")
db.enable_load_extension(True)
db.load_extension("build/bitcask")
db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')")
with db:
    db.execute("REPLACE INTO kv VALUES (?, ?)", ("user:1", "Ada"))
for key, value in db.execute("SELECT key, value FROM kv ORDER BY key"):
    print(key, value.decode())

db.execute("CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)")
with db:
    db.execute("INSERT INTO notes VALUES (?, ?)", ("hello", "grüße"))
    db.execute("INSERT INTO kv VALUES (?, ?)", ("binary", b"\x00\xff\x10"))
(body,) = db.execute("SELECT body FROM notes WHERE id = ?", ("hello",)).fetchone()
print("text:", body)
(value,) = db.execute("SELECT value FROM kv WHERE key = ?", ("binary",)).fetchone()
print("blob:", value.hex())
(value,) = db.execute("SELECT (SELECT value FROM kv WHERE key = ?)", ("none",)).fetchone()
print("null:", "yes" if value is None else "no")

db.execute("BEGIN")
db.execute("DELETE FROM kv")
db.rollback()
print("rows after rollback:", db.execute("SELECT count(*) FROM kv").fetchone()[0])
try:
    db.execute("INSERT INTO kv VALUES ('user:1', 'Eve')")
except sqlite3.IntegrityError as error:
    print("error:", error)
db.close()
print("closed")
