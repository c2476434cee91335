<?php
// php -d sqlite3.extension_dir=$PWD/build client.php
$db = new SQLite3('shop.db');
$db->enableExceptions(true);
$db->loadExtension('bitcask.so');
$db->exec("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')");
$insert = $db->prepare('REPLACE INTO kv VALUES (?, ?)');
$insert->bindValue(1, 'user:1');
$insert->bindValue(2, 'Ada');
$insert->execute();
$rows = $db->query('SELECT key, value FROM kv ORDER BY key');
while ($row = $rows->fetchArray(SQLITE3_ASSOC)) {
    echo "$row[key] $row[value]\n";
}

$db->exec("CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)");
$db->exec('BEGIN');
$note = $db->prepare('INSERT INTO notes VALUES (?, ?)');
$note->bindValue(1, 'hello');
$note->bindValue(2, 'grüße');
$note->execute();
$insert->bindValue(1, 'binary');
$insert->bindValue(2, "\x00\xff\x10", SQLITE3_BLOB);
$insert->execute();
$db->exec('COMMIT');
echo 'text: ', $db->querySingle("SELECT body FROM notes WHERE id = 'hello'"), "\n";
echo 'blob: ', bin2hex($db->querySingle("SELECT value FROM kv WHERE key = 'binary'")), "\n";
$row = $db->querySingle("SELECT (SELECT value FROM kv WHERE key = 'none') AS value", true);
echo 'null: ', $row['value'] === null ? 'yes' : 'no', "\n";

$db->exec('BEGIN');
$db->exec('DELETE FROM kv');
$db->exec('ROLLBACK');
echo 'rows after rollback: ', $db->querySingle('SELECT count(*) FROM kv'), "\n";
try {
    $db->exec("INSERT INTO kv VALUES ('user:1', 'Eve')");
} catch (Exception $error) {
    echo 'error: ', $error->getMessage(), "\n";
}
$db->close();
echo "closed\n";
