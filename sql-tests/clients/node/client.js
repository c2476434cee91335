const Database = require("better-sqlite3");

const db = new Database("shop.db");
db.loadExtension("build/bitcask");
db.exec("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')");
db.prepare("REPLACE INTO kv VALUES (?, ?)").run("user:1", "Ada");
for (const { key, value } of db.prepare("SELECT key, value FROM kv ORDER BY key").iterate()) {
  console.log(key, value.toString());
}

db.exec("CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)");
db.transaction(() => {
  db.prepare("INSERT INTO notes VALUES (?, ?)").run("hello", "grüße");
  db.prepare("INSERT INTO kv VALUES (?, ?)").run("binary", Buffer.from([0x00, 0xff, 0x10]));
})();
console.log("text:", db.prepare("SELECT body FROM notes WHERE id = ?").pluck().get("hello"));
console.log("blob:", db.prepare("SELECT value FROM kv WHERE key = ?").pluck().get("binary").toString("hex"));
const value = db.prepare("SELECT (SELECT value FROM kv WHERE key = ?)").pluck().get("none");
console.log("null:", value === null ? "yes" : "no");

db.exec("BEGIN");
db.exec("DELETE FROM kv");
db.exec("ROLLBACK");
console.log("rows after rollback:", db.prepare("SELECT count(*) FROM kv").pluck().get());
try {
  db.exec("INSERT INTO kv VALUES ('user:1', 'Eve')");
} catch (error) {
  console.log("error:", error.message);
}
db.close();
console.log("closed");
