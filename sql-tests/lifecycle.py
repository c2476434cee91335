#!/usr/bin/python3
"""Tables and transactions through a program's eyes: what the shell cannot show.

    /usr/bin/python3 sql-tests/lifecycle.py [test ...]

What SQLite does to a virtual table in its life, and which tests hold the module to it
(cases/ without .sql; functions of this file without test_):

    xConnect must never open nor fail           cases/lazy-open, life-damaged-directory, unknown-arguments
    xDestroy is called at once, though the      cases/drop-keeps-directory, drop-in-transaction,
      transaction may be rolled back            life-drop, txn-drop-two-tables; drop_with_open_cursor
    xCreate that is rolled back                 cases/create-rolled-back, txn-made-in-savepoint
    disconnected and connected anew at will,    connected_anew_*, other_connection_*, vacuum_*,
      the new one before the old                cases/other-statements, load-twice
    xRename, with cursors open                  rename_*; cases/rename, life-rename
    xUpdate needs SQLite's own write lock       sqlite_lock_*, read_only_database_file, query_only
    no xBegin for reads                         begin_takes_no_snapshot, processes.py
    no xBegin nor xSavepoint for what is made   cases/txn-made-in-savepoint, txn-made-on-rows
    xSavepoint of the innermost alone, numbers  cases/txn-savepoint-numbers, savepoints,
      from -1, said again by each table         savepoints-two-tables; differential.py
    xRollbackTo without its xSavepoint          cases/txn-savepoint-numbers; function_that_rolls_back_to_*
    statements that fail half-way               cases/txn-statement-errors, txn-conflict-savepoints,
                                                statement-rollback; interrupted_statement_*,
                                                autocommit_statement_*, half_read_returning_statement
    ROLLBACK while a statement writes           function_that_rolls_back_ends_the_statement
    xSync several times, then either end        busy_commit_*, deferred_constraint_*, processes.py,
                                                commit_hook_that_refuses in test_lifecycle.c
    cursors outlive COMMIT and ROLLBACK         processes.py, spilled_transaction_rolled_back,
                                                savepoint_rolled_back_with_open_cursor
    rows written while they are read            delete_while_reading, processes.py,
                                                cases/insert-select, update-key
    copies hold the declaration alone           backup_*, copied_*, deserialized_*; cases/life-vacuum-into
    relative directories                        link_*, uri_*; cases/relative-directory, attach-temp
    views, triggers, foreign keys, blobs        untrusted_schema, foreign_key_*, blob_*; cases/direct-only,
                                                refused-by-sqlite
    changes(), last_insert_rowid()              cases/txn-counters, counters
    UPDATE and DELETE with LIMIT, FROM          cases/txn-limit, update-from, returning
    journal modes, several databases            cases/life-database-kinds, transaction-with-tables
    fork, threads, shared cache                 child_of_fork_*, threads_*, connections_*, shared_cache
    zombies, hooks, loading twice, static       test_lifecycle.c

BITCASK_SO is the module to load (default build/bitcask.so).
"""
import os
import shutil
import sqlite3
import sys
import threading

sys.dont_write_bytecode = True
import processes  # noqa: E402
from processes import MODULE, Process, connect, error_of, rows  # noqa: E402

NATIVE = "CREATE TABLE kv(key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"


def load(path, **how):
    """A connection with the module, and no table made."""
    db = sqlite3.connect(path, isolation_level=None, timeout=0, **how)
    db.enable_load_extension(True)
    db.load_extension(MODULE)
    return db


def native():
    """A connection whose kv is an ordinary table: what is right by definition."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.execute(NATIVE)
    return db


def run(db, *statements):
    """What can be seen of each: rows, or error; and the state in the end."""
    seen = []
    for sql in statements:
        try:
            seen.append(db.execute(sql).fetchall())
        except sqlite3.Error as e:
            seen.append((e.sqlite_errorname, str(e)))
    return seen + [db.in_transaction, rows(db)]


def same_as_native(work):
    """work(db) must see on a bitcask table what it sees on an ordinary one."""
    expected = work(native())
    got = work(connect())
    assert got == expected, "\nbitcask: %s\nnative:  %s" % (got, expected)
    return got


# ------------------------------------------------------- rollback within a statement


def test_function_that_rolls_back_ends_the_statement():
    for statement in ("INSERT INTO kv VALUES ('a', back())",
                      "INSERT INTO kv VALUES ('z', '1'), ('a', back()), ('b', '2')",
                      "REPLACE INTO kv VALUES ('before', back())",
                      "UPDATE kv SET value = back()",
                      "UPDATE kv SET key = key || back() WHERE key = 'before'"):

        def work(db):
            db.create_function("back", 0, lambda: db.execute("ROLLBACK") and "x")
            db.execute("INSERT INTO kv VALUES ('kept', '1')")
            return run(db, "BEGIN", "INSERT INTO kv VALUES ('before', '1')",
                       "DELETE FROM kv WHERE key = 'kept'", statement)

        same_as_native(work)
        # Nothing was left locked.
        other = connect()
        other.execute("DELETE FROM kv")


def test_function_that_rolls_back_to_a_savepoint():
    # What the failed statement wrote goes, what is older stays.
    db = connect()
    db.create_function("back", 0, lambda: db.execute("ROLLBACK TO s") and "x")
    for sql in ("BEGIN", "INSERT INTO kv VALUES ('old', '1')", "SAVEPOINT s",
                "INSERT INTO kv VALUES ('undone', '1')"):
        db.execute(sql)
    error_of(db, "INSERT INTO kv VALUES ('a', back()), ('b', NULL)")
    assert rows(db) == [("old", "1")]
    db.execute("COMMIT")
    assert rows(connect()) == [("old", "1")]


def test_half_read_returning_statement():
    def work(db):
        seen = run(db, "BEGIN", "INSERT INTO kv VALUES ('0', '0')")
        cursor = db.execute("INSERT INTO kv VALUES ('a', '1'), ('b', '2') RETURNING key")
        seen.append(cursor.fetchone())
        seen += run(db, "INSERT INTO kv VALUES ('c', '1'), ('d', NULL)", "SAVEPOINT s", "COMMIT",
                    "INSERT INTO kv VALUES ('e', '1'), ('f', '2')")
        seen.append(cursor.fetchall())
        return seen + run(db, "INSERT INTO kv VALUES ('g', '1'), ('h', NULL)", "COMMIT")

    same_as_native(work)


def test_interrupted_statement_takes_the_transaction_back():
    for begin in [], ["BEGIN", "INSERT INTO kv VALUES ('t', '1')", "SAVEPOINT s",
                      "INSERT INTO kv VALUES ('u', '1')"]:
        for statement in ("UPDATE kv SET value = 'y'", "DELETE FROM kv WHERE key < '5'",
                          "INSERT INTO kv SELECT key || 'x', value FROM kv"):

            def work(db):
                db.execute("DELETE FROM kv")
                db.executemany("INSERT INTO kv VALUES (?, 'x')", [("%04d" % i,) for i in range(1000)])
                run(db, *begin)
                calls = []
                db.set_progress_handler(lambda: calls.append(1) or len(calls) > 4, 200)
                try:
                    error = error_of(db, statement)
                finally:
                    db.set_progress_handler(None, 0)
                return [error] + run(db)

            seen = same_as_native(work)
            assert seen[0] == ("SQLITE_INTERRUPT", "interrupted") and len(seen[2]) == 1000, seen[:2]


# ----------------------------------------------------------- commits that do not end


def test_busy_commit_and_savepoints():
    # The Bitcask part was prepared when COMMIT failed; then part of it is undone.
    for between, want in ((["ROLLBACK TO s"], ["0"]),
                          (["INSERT INTO kv VALUES ('b', '2')", "ROLLBACK TO s",
                            "INSERT INTO kv VALUES ('c', '3')"], ["0", "c"]),
                          (["SAVEPOINT t", "INSERT INTO kv VALUES ('b', '2')", "ROLLBACK TO t"], ["0", "a"]),
                          (["RELEASE s", "DELETE FROM kv WHERE key = '0'"], ["a"])):
        db = connect("x.db")
        db.execute("CREATE TABLE IF NOT EXISTS plain(a)")
        db.execute("INSERT INTO plain VALUES (0)")
        db.execute("DELETE FROM kv")
        reader = sqlite3.connect("x.db", isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM plain").fetchall()
        for sql in ("BEGIN", "INSERT INTO plain VALUES (1)", "INSERT INTO kv VALUES ('0', '1')",
                    "SAVEPOINT s", "INSERT INTO kv VALUES ('a', '1')"):
            db.execute(sql)
        assert error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        for sql in between:
            db.execute(sql)
            assert error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        reader.execute("COMMIT")
        db.execute("COMMIT")
        assert [key for key, _ in rows(db)] == want
        with Process() as other:
            assert [key for key, _ in other.run("SELECT key, 1 FROM kv ORDER BY key")] == want
            assert other.run("SELECT bitcask_verify('kv')") == [("ok",)]
        db.close()


def test_deferred_constraint_keeps_commit_from_ending():
    db = connect("x.db")
    db.execute("PRAGMA foreign_keys = 1")
    db.execute("CREATE TABLE parent(id INTEGER PRIMARY KEY)")
    db.execute("CREATE TABLE child(p REFERENCES parent DEFERRABLE INITIALLY DEFERRED)")
    db.execute("BEGIN")
    db.execute("INSERT INTO child VALUES (1)")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    assert error_of(db, "COMMIT") == ("SQLITE_CONSTRAINT_FOREIGNKEY", "FOREIGN KEY constraint failed")
    assert rows(connect()) == []
    db.execute("INSERT INTO kv VALUES ('b', '2')")
    db.execute("INSERT INTO parent VALUES (1)")
    db.execute("COMMIT")
    assert rows(connect()) == [("a", "1"), ("b", "2")]


# ------------------------------------------------------------------ large transactions


BIG = "zeroblob(40000000)"  # two of them are more than a transaction keeps in memory


def test_spilled_transaction_and_savepoints():
    db = connect(options=", sync=off")
    sizes = "SELECT key, length(value) FROM kv"
    db.execute("INSERT INTO kv VALUES ('old', '1')")
    for sql in ("BEGIN", "INSERT INTO kv VALUES ('a', %s)" % BIG, "SAVEPOINT s",
                "INSERT INTO kv VALUES ('b', %s)" % BIG, "UPDATE kv SET value = 'new' WHERE key = 'old'",
                "SAVEPOINT t", "INSERT INTO kv VALUES ('c', %s)" % BIG, "DELETE FROM kv WHERE key = 'a'"):
        db.execute(sql)
    error_of(db, "INSERT INTO kv VALUES ('d', %s), ('b', 'again')" % BIG)
    assert rows(db, sizes) == [("b", 40000000), ("c", 40000000), ("old", 3)]
    db.execute("ROLLBACK TO t")
    assert rows(db, sizes) == [("a", 40000000), ("b", 40000000), ("old", 3)]
    db.execute("INSERT INTO kv VALUES ('e', '22')")
    db.execute("ROLLBACK TO s")
    assert rows(db, sizes) == [("a", 40000000), ("old", 1)]
    db.execute("INSERT INTO kv VALUES ('f', %s)" % BIG)
    other = connect(options=", sync=off")
    assert rows(other, sizes) == [("old", 1)]
    db.execute("COMMIT")
    want = [("a", 40000000), ("f", 40000000), ("old", 1)]
    assert rows(db, sizes) == want and rows(other, sizes) == want
    with Process(", sync=off") as process:
        assert process.run(sizes + " ORDER BY key") == want
        assert process.run("SELECT bitcask_verify('kv')") == [("ok",)]


def test_spilled_transaction_rolled_back():
    db = connect(options=", sync=off")
    db.execute("INSERT INTO kv VALUES ('old', '1')")
    db.execute("BEGIN")
    db.execute("INSERT INTO kv VALUES ('a', %s), ('b', %s), ('c', '3')" % (BIG, BIG))
    cursor = db.execute("SELECT key, length(value) FROM kv")
    got = [cursor.fetchone()]
    db.execute("ROLLBACK")
    # A cursor outlives it, but cannot give what was taken off the disk.
    try:
        got += cursor.fetchall()
        assert sorted(got) == [("a", 40000000), ("b", 40000000), ("c", 1), ("old", 1)], got
    except sqlite3.OperationalError as e:
        assert e.sqlite_errorname == "SQLITE_ABORT_ROLLBACK", e
    assert rows(db) == [("old", "1")]
    with Process(", sync=off") as process:
        assert process.run("SELECT key FROM kv") == [("old",)]
        process.run("INSERT INTO kv VALUES ('new', '2')")
        assert process.run("SELECT bitcask_verify('kv')") == [("ok",)]
    assert rows(db) == [("new", "2"), ("old", "1")]


# ------------------------------------------------------------------ reading meanwhile


def test_first_read_takes_the_snapshot():
    db, other = connect(), connect()
    db.execute("BEGIN")
    other.execute("INSERT INTO kv VALUES ('old', '0')")
    assert rows(db) == [("old", "0")]
    other.execute("INSERT INTO kv VALUES ('a', '1')")
    assert rows(db) == [("old", "0")]
    assert error_of(db, "INSERT INTO kv VALUES ('b', '2')")[0] == "SQLITE_BUSY_SNAPSHOT"
    db.execute("ROLLBACK")
    db.execute("BEGIN")
    assert rows(db) == [("a", "1"), ("old", "0")]
    db.execute("INSERT INTO kv VALUES ('b', '2')")
    assert error_of(other, "INSERT INTO kv VALUES ('c', '3')")[0] == "SQLITE_BUSY"
    db.execute("ROLLBACK")


def test_savepoint_rolled_back_with_open_cursor():
    db = connect()
    db.execute("BEGIN")
    db.executemany("INSERT INTO kv VALUES (?, '1')", [(str(i),) for i in range(10)])
    db.execute("SAVEPOINT s")
    db.execute("UPDATE kv SET value = '2'")
    cursor = db.execute("SELECT key, CAST(value AS TEXT) FROM kv")
    got = [cursor.fetchone()]
    db.execute("ROLLBACK TO s")
    got += [cursor.fetchone()]
    db.execute("DELETE FROM kv")
    got += cursor.fetchall()
    assert sorted(got) == [(str(i), "2") for i in range(10)]
    assert rows(db) == []
    db.execute("ROLLBACK TO s")
    assert rows(db) == [(str(i), "1") for i in range(10)]
    db.execute("COMMIT")
    assert len(rows(db)) == 10


def test_autocommit_statement_that_fails_with_open_cursor():
    def work(db):
        db.execute("INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3')")
        cursor = db.execute("SELECT key FROM kv")
        seen = [cursor.fetchone() is not None]
        seen += run(db, "INSERT INTO kv VALUES ('d', '4'), ('a', '5')",
                    "INSERT OR FAIL INTO kv VALUES ('e', '4'), ('a', '5'), ('f', '6')",
                    "UPDATE kv SET key = 'same'",
                    "INSERT OR ROLLBACK INTO kv VALUES ('g', '4'), ('a', '5')")
        cursor.close()
        return seen + run(db, "DELETE FROM kv WHERE key = 'e'")

    same_as_native(work)


def test_delete_while_reading():
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(100)])
    cursor = db.execute("SELECT key FROM kv")
    got = [cursor.fetchone()[0]]
    db.execute("DELETE FROM kv")
    assert sorted(got + [key for key, in cursor]) == sorted(str(i) for i in range(100))
    assert rows(db) == []


# ---------------------------------------------------- renamed, dropped, connected anew


def test_rename_with_open_cursor():
    db = connect("x.db")
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(50)])
    cursor = db.execute("SELECT key FROM kv")
    got = [cursor.fetchone()[0]]
    db.execute("ALTER TABLE kv RENAME TO kw")
    got += [cursor.fetchone()[0]]
    db.execute("INSERT INTO kw VALUES ('new', 'y')")
    assert error_of(db, "INSERT INTO kw VALUES ('new', 'y')")[1] == "UNIQUE constraint failed: kw.key"
    assert sorted(got + [key for key, in cursor]) == sorted(str(i) for i in range(50))
    assert len(rows(db, "SELECT key FROM kw")) == 51


def test_rename_that_is_rolled_back():
    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    for back in ["ROLLBACK"], ["ROLLBACK TO s", "COMMIT"]:
        for sql in "BEGIN", "SAVEPOINT s", "ALTER TABLE kv RENAME TO kw":
            db.execute(sql)
        assert error_of(db, "INSERT INTO kw VALUES ('b', '2'), ('a', '1')")[1] == "UNIQUE constraint failed: kw.key"
        for sql in back:
            db.execute(sql)
        assert error_of(db, "INSERT INTO kv VALUES ('a', '1')")[1] == "UNIQUE constraint failed: kv.key"
        assert rows(db) == [("a", "1")]
    # With rows on both sides of it.
    for sql in ("BEGIN", "INSERT INTO kv VALUES ('b', '2')", "SAVEPOINT s", "ALTER TABLE kv RENAME TO kw",
                "INSERT INTO kw VALUES ('c', '3')", "ROLLBACK TO s", "INSERT INTO kv VALUES ('d', '4')", "COMMIT"):
        db.execute(sql)
    assert [key for key, _ in rows(db)] == ["a", "b", "d"]


def test_drop_with_open_cursor():
    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1'), ('b', '2')")
    cursor = db.execute("SELECT key FROM kv")
    cursor.fetchone()
    assert error_of(db, "DROP TABLE kv") == ("SQLITE_LOCKED", "database table is locked")
    assert len(cursor.fetchall()) == 1
    db.execute("DROP TABLE kv")
    assert error_of(db, "SELECT * FROM kv")[1] == "no such table: kv"
    assert os.listdir("store")


def test_connected_anew_under_an_open_cursor():
    # The new xConnect comes before the old xDisconnect: two tables, one store.
    db, neighbour = connect("x.db"), connect()
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(50)])
    table = "kv"
    for sql, then in (("PRAGMA writable_schema = RESET", "kv"), ("CREATE VIRTUAL TABLE kx USING bitcask()", "kv"),
                      ("ALTER TABLE kv RENAME TO kw", "kw"), ("ALTER TABLE kw RENAME TO kv", "kv")):
        cursor = db.execute("SELECT key FROM " + table)
        got = [cursor.fetchone()[0]]
        if "kx" in sql:
            assert error_of(db, sql)[0] == "SQLITE_ERROR"
        else:
            db.execute(sql)
        table = then
        assert db.execute("SELECT count(*) FROM " + table).fetchone() == (50,)
        db.execute("UPDATE %s SET value = 'y' || value WHERE key = '1'" % table)
        assert len(rows(neighbour)) == 50
        got += [key for key, in cursor]
        assert len(set(got)) == 50
    assert rows(neighbour, "SELECT CAST(value AS TEXT) FROM kv WHERE key = '1'") == [("yyyyx",)]


def test_other_connection_changes_the_schema():
    db = connect("x.db")
    db.execute("PRAGMA journal_mode = WAL")  # or a reader would keep the other one out
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(50)])
    other = connect("x.db")
    for i in range(3):
        cursor = db.execute("SELECT key FROM kv")
        got = [cursor.fetchone()[0]]
        other.execute("CREATE TABLE t%d(a)" % i)
        got += [key for key, in cursor]
        assert len(set(got)) == 50
        assert rows(db, "SELECT * FROM t%d" % i) == []
        db.execute("UPDATE kv SET value = ? WHERE key = '1'", (str(i),))
        assert rows(other, "SELECT CAST(value AS TEXT) FROM kv WHERE key = '1'") == [(str(i),)]
    # The other one drops the table while it is read here, and takes its name.
    cursor = db.execute("SELECT key FROM kv")
    got = [cursor.fetchone()[0]]
    other.execute("DROP TABLE kv")
    other.execute("CREATE TABLE kv(key, value)")
    got += [key for key, in cursor]
    assert len(set(got)) == 50
    assert rows(db) == []
    other.execute("DROP TABLE kv")
    assert error_of(db, "SELECT * FROM kv")[1] == "no such table: kv"
    other.execute("CREATE VIRTUAL TABLE kv USING bitcask('store')")
    assert db.execute("SELECT count(*) FROM kv").fetchone() == (50,)


def test_connected_anew_within_a_transaction():
    db = connect("x.db")
    db.execute("CREATE TABLE plain(a)")
    for end, want in ("ROLLBACK", []), ("COMMIT", ["a", "b", "e"]):
        for sql in ("BEGIN", "INSERT INTO kv VALUES ('a', '1')", "SAVEPOINT s",
                    "ALTER TABLE plain RENAME TO simple", "INSERT INTO kv VALUES ('b', '2')",
                    "SAVEPOINT t", "ALTER TABLE simple RENAME TO plain", "INSERT INTO kv VALUES ('c', '3')",
                    "ROLLBACK TO t", "INSERT INTO kv VALUES ('e', '5')", "RELEASE s", end):
            db.execute(sql)
        assert [key for key, _ in rows(db)] == want
        assert [key for key, _ in rows(connect())] == want


def test_vacuum_with_neighbours():
    db, other = connect("x.db"), connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    assert rows(other) == [("a", "1")]
    db.execute("VACUUM")
    assert rows(db) == rows(other) == [("a", "1")]
    db.execute("BEGIN")
    db.execute("INSERT INTO kv VALUES ('b', '2')")
    assert error_of(db, "VACUUM")[1] == "cannot VACUUM from within a transaction"
    db.execute("COMMIT")
    db.execute("VACUUM")
    assert rows(db) == rows(other) == [("a", "1"), ("b", "2")]


def test_detach_while_in_use():
    db = connect()
    db.execute("ATTACH 'aux.db' AS aux")
    db.execute("CREATE VIRTUAL TABLE aux.kw USING bitcask('aux-store')")
    db.execute("INSERT INTO kw VALUES ('a', '1'), ('b', '2')")
    cursor = db.execute("SELECT key FROM kw")
    cursor.fetchone()
    assert error_of(db, "DETACH aux")[1] == "database aux is locked"
    cursor.fetchall()
    db.execute("BEGIN")
    db.execute("INSERT INTO kw VALUES ('c', '3')")
    assert error_of(db, "DETACH aux")[0] == "SQLITE_ERROR"
    db.execute("COMMIT")
    db.execute("DETACH aux")
    db.execute("ATTACH 'aux.db' AS again")
    assert len(rows(db, "SELECT * FROM again.kw")) == 3


# ------------------------------------------------------- the database file goes places


def test_backup_takes_the_declaration_along():
    os.mkdir("to")
    db, to = connect("x.db"), load("to/y.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.backup(to)
    # The directory is looked for beside the copy, and nothing is made there.
    assert error_of(to, "SELECT * FROM kv")[0] == "SQLITE_CANTOPEN"
    assert os.listdir("to") == ["y.db"]
    shutil.copytree("store", "to/store")
    assert rows(to) == [("a", "1")]
    to.execute("INSERT INTO kv VALUES ('b', '2')")
    assert rows(db) == [("a", "1")] and len(rows(to)) == 2
    # Over a database in use, too.
    db.backup(to)
    assert len(rows(to)) == 2


def test_copied_database_shares_the_directory():
    connect("x.db").execute("INSERT INTO kv VALUES ('a', '1')")
    shutil.copy("x.db", "y.db")
    one, two = connect("x.db"), connect("y.db")
    two.execute("BEGIN")
    two.execute("INSERT INTO kv VALUES ('b', '2')")
    # They are two databases to SQLite: the store's own lock keeps them apart.
    assert error_of(one, "INSERT INTO kv VALUES ('c', '3')")[0] == "SQLITE_BUSY"
    two.execute("COMMIT")
    assert rows(one) == [("a", "1"), ("b", "2")]


def test_deserialized_database():
    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    image = db.serialize()
    copy = load(":memory:")
    copy.deserialize(image)
    assert rows(copy) == [("a", "1")]  # without a file: the working directory
    copy.execute("INSERT INTO kv VALUES ('b', '2')")
    assert len(rows(db)) == 2


def test_link_to_a_database():
    # The folder of the database is that of the file, not that of a link to it.
    os.mkdir("real")
    connect("real/x.db").execute("INSERT INTO kv VALUES ('a', '1')")
    os.symlink("real/x.db", "x.db")
    assert rows(load("x.db")) == [("a", "1")]
    assert sorted(os.listdir(".")) == ["real", "x.db"]


def test_uri_and_working_directory():
    # The folder is taken when the database is opened, whatever chdir() does later.
    here = os.getcwd()
    os.mkdir("elsewhere")
    db = load("file:x.db?mode=rwc", uri=True)
    db.execute("CREATE VIRTUAL TABLE kv USING bitcask('store')")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.close()
    db = load("file:x.db", uri=True)
    os.chdir("elsewhere")
    try:
        assert rows(db) == [("a", "1")]
        assert os.listdir(".") == []
    finally:
        os.chdir(here)


def test_without_the_module():
    connect("x.db").execute("INSERT INTO kv VALUES ('a', '1')")
    db = sqlite3.connect("x.db", isolation_level=None)
    for sql in "SELECT * FROM kv", "DROP TABLE kv", "INSERT INTO kv VALUES ('b', '2')":
        assert error_of(db, sql)[1] == "no such module: bitcask", sql
    db.execute("CREATE TABLE plain(a)")
    db.enable_load_extension(True)
    db.load_extension(MODULE)
    assert rows(db) == [("a", "1")]


# ------------------------------------------------- SQLite's own locks and protections


def test_read_only_database_file():
    connect("x.db").execute("INSERT INTO kv VALUES ('a', '1')")
    before = sorted(os.listdir("store"))
    db = load("file:x.db?mode=ro", uri=True)
    assert rows(db) == [("a", "1")]
    for sql in "INSERT INTO kv VALUES ('b', '2')", "DELETE FROM kv", "UPDATE kv SET value = 'x'":
        assert error_of(db, sql) == ("SQLITE_READONLY", "attempt to write a readonly database")
    assert sorted(os.listdir("store")) == before
    # A temporary table of the same connection is its own.
    db.execute("CREATE VIRTUAL TABLE temp.kw USING bitcask('store')")
    db.execute("INSERT INTO kw VALUES ('b', '2')")
    assert rows(db) == [("a", "1"), ("b", "2")]
    # And one that is made in a savepoint of a read-only database.
    for sql in ("BEGIN", "SAVEPOINT s", "CREATE VIRTUAL TABLE temp.kx USING bitcask('store')",
                "INSERT INTO kx VALUES ('c', '3')", "ROLLBACK TO s", "COMMIT"):
        db.execute(sql)
    assert rows(db) == [("a", "1"), ("b", "2")]


def test_query_only():
    db = connect("x.db")
    db.execute("PRAGMA query_only = 1")
    for sql in ("INSERT INTO kv VALUES ('b', '2')", "DELETE FROM kv", "DROP TABLE kv",
                "CREATE VIRTUAL TABLE kw USING bitcask('other')"):
        assert error_of(db, sql) == ("SQLITE_READONLY", "attempt to write a readonly database")
    assert rows(db) == []
    assert not os.path.exists("other")


def test_sqlite_lock_on_the_database_of_the_table():
    # Each write takes SQLite's write lock as well, so one database file alone
    # keeps its connections apart.
    db, other = connect("x.db"), connect("x.db")
    other.execute("BEGIN IMMEDIATE")
    assert error_of(db, "INSERT INTO kv VALUES ('a', '1')") == ("SQLITE_BUSY", "database is locked")
    other.execute("COMMIT")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    # Nor does the failed one hold the store's.
    connect().execute("INSERT INTO kv VALUES ('b', '2')")
    for mode in "WAL", "TRUNCATE":
        other.close()
        other = None
        assert db.execute("PRAGMA journal_mode = " + mode).fetchone() == (mode.lower(),)
        other = connect("x.db")
        db.execute("BEGIN")
        db.execute("INSERT INTO kv VALUES (?, '3')", (mode,))
        assert rows(other, "SELECT * FROM kv WHERE key = '%s'" % mode) == []
        assert error_of(other, "DELETE FROM kv")[0] == "SQLITE_BUSY"
        db.execute("COMMIT")
        assert len(rows(other, "SELECT * FROM kv WHERE key = '%s'" % mode)) == 1


def test_authorizer():
    denied = set()
    seen = set()

    def authorize(action, first, second, schema, trigger):
        seen.add((action, first, second))
        return sqlite3.SQLITE_DENY if (action, first) in denied or action in denied else sqlite3.SQLITE_OK

    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.set_authorizer(authorize)
    for action, sql in ((sqlite3.SQLITE_INSERT, "INSERT INTO kv VALUES ('b', '2')"),
                        (sqlite3.SQLITE_UPDATE, "UPDATE kv SET value = 'x'"),
                        (sqlite3.SQLITE_DELETE, "DELETE FROM kv")):
        denied.add((action, "kv"))
        assert error_of(db, sql)[1] == "not authorized", sql
        denied.clear()
    assert rows(db) == [("a", "1")]
    denied.add(sqlite3.SQLITE_CREATE_VTABLE)
    assert error_of(db, "CREATE VIRTUAL TABLE kw USING bitcask('other')")[1] == "not authorized"
    assert (sqlite3.SQLITE_CREATE_VTABLE, "kw", "bitcask") in seen and not os.path.exists("other")
    denied = {sqlite3.SQLITE_DROP_VTABLE}
    assert error_of(db, "DROP TABLE kv")[1] == "not authorized"
    denied.clear()
    assert rows(db) == [("a", "1")]


def test_authorizer_that_forbids_what_we_ask_ourselves():
    other = connect()
    other.execute("BEGIN")
    other.execute("INSERT INTO kv VALUES ('a', '1')")
    for action in sqlite3.SQLITE_SELECT, sqlite3.SQLITE_PRAGMA:
        db = connect()
        db.execute("PRAGMA busy_timeout = 100")
        db.set_authorizer(lambda a, *_: sqlite3.SQLITE_DENY if a == action else sqlite3.SQLITE_OK)
        name, text = error_of(db, "INSERT INTO kv VALUES ('b', '2')")
        assert name == "SQLITE_BUSY" and "try again" in text, (name, text)
    other.execute("ROLLBACK")
    # The rows of a table that is made in a savepoint would not be rolled back with it.
    for sql in "BEGIN", "SAVEPOINT s", "CREATE VIRTUAL TABLE kw USING bitcask('store')":
        other.execute(sql)
    other.set_authorizer(lambda a, *_: sqlite3.SQLITE_DENY if a == sqlite3.SQLITE_SELECT else sqlite3.SQLITE_OK)
    assert error_of(other, "INSERT INTO kw VALUES ('c', '3')") == ("SQLITE_AUTH", "kw: not authorized")
    other.set_authorizer(None)
    other.execute("INSERT INTO kw VALUES ('d', '4')")
    other.execute("ROLLBACK TO s")
    other.execute("COMMIT")
    assert rows(other) == []


def test_untrusted_schema():
    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.execute("PRAGMA trusted_schema = 0")
    db.execute("CREATE VIEW v AS SELECT * FROM kv")
    db.execute("CREATE TEMP VIEW own AS SELECT * FROM kv")
    assert rows(db) == [("a", "1")]
    assert rows(db, "SELECT key FROM own") == [("a",)]
    for trusted in 0, 1:
        db.execute("PRAGMA trusted_schema = %d" % trusted)
        assert error_of(db, "SELECT * FROM v")[1] == 'unsafe use of virtual table "kv"'
    db.execute("INSERT INTO kv VALUES ('b', '2')")


def test_foreign_key_to_a_virtual_table():
    db = connect("x.db")
    db.execute("CREATE TABLE child(k REFERENCES kv(key))")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.execute("INSERT INTO child VALUES ('free')")
    db.execute("PRAGMA foreign_keys = 1")
    assert error_of(db, "INSERT INTO child VALUES ('a')")[0] == "SQLITE_CORRUPT"
    assert rows(db) == [("a", "1")]
    assert db.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    db.execute("DELETE FROM kv")


def test_blob_cannot_be_opened():
    db = connect()
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    try:
        db.blobopen("kv", "value", 1)
    except sqlite3.Error as e:
        assert str(e) == "cannot open virtual table: kv", e
    else:
        raise AssertionError("a blob was opened")


# ------------------------------------------------------------- threads, shared cache


def test_threads_share_a_connection():
    db = connect("x.db", ", sync=off")
    failures = []

    def work(n):
        try:
            for i in range(100):
                db.execute("INSERT INTO kv VALUES (?, '1')", ("%d-%d" % (n, i),))
                db.execute("SELECT count(*) FROM kv").fetchall()
                db.execute("UPDATE kv SET value = value || '1' WHERE key = ?", ("%d-%d" % (n, i // 2),))
        except sqlite3.Error as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert db.execute("SELECT count(*), sum(length(value)) FROM kv").fetchone() == (400, 800)


def test_connections_come_and_go_in_threads():
    # The last one to leave closes the store while others open it.
    connect("x.db", ", sync=off").close()
    failures = []

    def work(n):
        try:
            for i in range(30):
                db = load("x.db" if n % 2 else "y%d.db" % n)
                db.execute("PRAGMA busy_timeout = 60000")
                db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('store', sync=off)")
                db.execute("INSERT INTO kv VALUES (?, '1')", ("%d-%d" % (n, i),))
                cursor = db.execute("SELECT * FROM kv")
                cursor.fetchone()
                # Half of the connections are closed before their statements are.
                if i % 2:
                    cursor.close()
                db.close()
                cursor = None
        except sqlite3.Error as e:
            failures.append(e)

    threads = [threading.Thread(target=work, args=(n,)) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert connect("x.db", ", sync=off").execute("SELECT count(*) FROM kv").fetchone() == (120,)


def test_shared_cache():
    one = load("file:shared?mode=memory&cache=shared", uri=True)
    two = load("file:shared?mode=memory&cache=shared", uri=True)
    bare = sqlite3.connect("file:shared?mode=memory&cache=shared", uri=True, isolation_level=None)
    one.execute("CREATE VIRTUAL TABLE kv USING bitcask('store')")
    two.execute("INSERT INTO kv VALUES ('a', '1')")
    assert rows(one) == rows(two) == [("a", "1")]
    assert error_of(bare, "SELECT * FROM kv")[1] == "no such module: bitcask"
    one.execute("BEGIN")
    one.execute("INSERT INTO kv VALUES ('b', '2')")
    assert error_of(two, "INSERT INTO kv VALUES ('c', '3')")[0].startswith("SQLITE_LOCKED")
    one.execute("ROLLBACK")
    assert error_of(two, "INSERT INTO kv VALUES ('d', '4'), ('a', '5')")[1] == "UNIQUE constraint failed: kv.key"
    two.execute("ALTER TABLE kv RENAME TO kw")
    assert rows(one, "SELECT key FROM kw") == [("a",)]
    one.close()
    assert rows(two, "SELECT key FROM kw") == [("a",)]
    two.execute("DROP TABLE kw")


# ----------------------------------------------------------------------------- fork


def in_child(work):
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            work()
            code = 0
        except BaseException:
            processes.traceback.print_exc(file=sys.stdout)
            sys.stdout.flush()
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0


def test_child_of_fork_does_no_harm_to_a_transaction():
    for big in "'1'", BIG:
        for end in "ROLLBACK", "COMMIT", None:
            db = connect("x.db", ", sync=off")
            db.execute("DELETE FROM kv")
            db.execute("BEGIN")
            db.execute("INSERT INTO kv VALUES ('a', %s), ('b', %s)" % (big, big))

            def work():
                assert error_of(db, "INSERT INTO kv VALUES ('c', '3')")[0] == "SQLITE_ERROR"
                if end:
                    try:
                        db.execute(end)
                    except sqlite3.Error:
                        assert end == "COMMIT"
                db.close()

            in_child(work)
            # The lock is still the parent's, and its transaction whole.
            with Process(", sync=off") as other:
                assert other.run("INSERT INTO kv VALUES ('o', '1')")[0] == "SQLITE_BUSY"
                db.execute("COMMIT")
                assert other.run("SELECT key FROM kv ORDER BY key") == [("a",), ("b",)]
                assert other.run("SELECT bitcask_verify('kv')") == [("ok",)]
            db.close()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        processes.child(sys.argv[2])
    else:
        sys.exit(processes.main(globals()))
