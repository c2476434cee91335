use strict;
use warnings;
use utf8;
use open qw(:std :encoding(UTF-8));
use DBI qw(:sql_types);

my $db = DBI->connect('dbi:SQLite:shop.db', '', '', {RaiseError => 1, PrintError => 0, sqlite_unicode => 1});
$db->sqlite_enable_load_extension(1);
$db->sqlite_load_extension('build/bitcask');
$db->do(q{CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('data/kv')});
$db->do('REPLACE INTO kv VALUES (?, ?)', undef, 'user:1', 'Ada');
for my $row (@{$db->selectall_arrayref('SELECT key, value FROM kv ORDER BY key')}) {
    print "$row->[0] $row->[1]\n";
}

$db->do(q{CREATE VIRTUAL TABLE notes USING bitcask('data/notes', id TEXT PRIMARY KEY, body TEXT)});
$db->begin_work;
$db->do('INSERT INTO notes VALUES (?, ?)', undef, 'hello', 'grüße');
my $insert = $db->prepare('INSERT INTO kv VALUES (?, ?)');
$insert->bind_param(1, 'binary');
$insert->bind_param(2, "\x00\xff\x10", SQL_BLOB);
$insert->execute;
$db->commit;
my ($body) = $db->selectrow_array('SELECT body FROM notes WHERE id = ?', undef, 'hello');
print "text: $body\n";
my ($value) = $db->selectrow_array('SELECT value FROM kv WHERE key = ?', undef, 'binary');
print 'blob: ', unpack('H*', $value), "\n";
($value) = $db->selectrow_array('SELECT (SELECT value FROM kv WHERE key = ?)', undef, 'none');
print 'null: ', defined $value ? 'no' : 'yes', "\n";

$db->begin_work;
$db->do('DELETE FROM kv');
$db->rollback;
print 'rows after rollback: ', $db->selectrow_array('SELECT count(*) FROM kv'), "\n";
eval { $db->do(q{INSERT INTO kv VALUES ('user:1', 'Eve')}); 1 } or print 'error: ', $db->errstr, "\n";
undef $insert;
$db->disconnect;
print "closed\n";
