#!/usr/bin/python3
"""What sqlite3_interrupt() does to long calls: they end, and nothing is harmed.

    /usr/bin/python3 sql-tests/interrupts.py [test ...]

The function stop() interrupts the connection from within the statement: what
SQLite evaluates after it finds itself interrupted, at its first look.
BITCASK_SO is the module to load (default build/bitcask.so).
"""
import os
import random
import sqlite3
import sys
import tempfile
import threading
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.abspath(os.environ.get("BITCASK_SO", HERE + "/../build/bitcask.so"))
N = 3000


def connect():
    """A connection with a table whose files are half dead, and stop()."""
    db = sqlite3.connect(":memory:", isolation_level=None, check_same_thread=False)
    db.enable_load_extension(True)
    db.load_extension(MODULE)
    db.create_function("stop", 1, lambda value: (db.interrupt(), value)[1])
    db.execute("CREATE VIRTUAL TABLE kv USING bitcask('store', sync=off, max_file_size='16k', merge=manual)")
    fill(db, "first")
    return db


def fill(db, text):
    db.execute("REPLACE INTO kv SELECT 'key' || value, ? || value FROM "
               "(WITH RECURSIVE n(value) AS (SELECT 1 UNION ALL SELECT value + 1 FROM n "
               " WHERE value < %d) SELECT value FROM n)" % N, (text,))
    db.execute("DELETE FROM kv WHERE key GLOB 'key*7'")


def rows(db):
    return sorted(db.execute("SELECT key, CAST(value AS TEXT) FROM kv").fetchall())


def check_interrupted(db, sql):
    try:
        db.execute(sql).fetchall()
    except sqlite3.OperationalError as e:
        assert e.sqlite_errorname == "SQLITE_INTERRUPT", (e.sqlite_errorname, str(e))
        return
    raise AssertionError("not interrupted: " + sql)


def check_whole(db, before):
    assert rows(db) == before
    assert db.execute("SELECT bitcask_verify('kv')").fetchone() == ("ok",)
    other = sqlite3.connect(":memory:")
    other.enable_load_extension(True)
    other.load_extension(MODULE)
    found = other.execute("SELECT key, CAST(value AS TEXT) FROM bitcask_scan('store')").fetchall()
    assert sorted(found) == before


def test_functions():
    db = connect()
    before = rows(db)
    for call in ("bitcask_merge(stop('kv'))", "bitcask_merge(stop('kv'), 'policy')",
                 "bitcask_verify(stop('kv'))", "bitcask_backup(stop('kv'), 'copy')",
                 "bitcask_backup('kv', stop('copy'))"):
        check_interrupted(db, "SELECT " + call)
        check_whole(db, before)
    assert sorted(os.listdir(".")) == ["store"]
    assert db.execute("SELECT bitcask_merge('kv') > 0, bitcask_backup('kv', 'copy') > 0").fetchone() == (1, 1)
    check_whole(db, before)


def test_table_valued():
    db = connect()
    before = rows(db)
    for call in ("bitcask_verify_rows(stop('kv'))", "bitcask_history(stop('kv'))",
                 "bitcask_scan(stop('store'))"):
        check_interrupted(db, "SELECT count(*) FROM " + call)
        check_whole(db, before)


def test_in_the_middle():
    """At any moment: either the call is through or it is interrupted."""
    db = connect()
    interrupted = 0
    for i in range(60):
        fill(db, "round %d " % i)
        before = rows(db)
        timer = threading.Timer(random.uniform(0, 0.006), db.interrupt)
        timer.start()
        try:
            db.execute(("SELECT bitcask_merge('kv')", "SELECT bitcask_backup('kv', 'copy%d')" % i,
                        "SELECT * FROM bitcask_verify_rows('kv')")[i % 3]).fetchall()
        except sqlite3.OperationalError as e:
            assert e.sqlite_errorname == "SQLITE_INTERRUPT", (e.sqlite_errorname, str(e))
            interrupted += 1
        timer.join()
        assert not os.path.exists("copy%d.partial" % i)
        if os.path.exists("copy%d" % i):
            copied = db.execute("SELECT key, CAST(value AS TEXT) FROM bitcask_scan(?)", ("copy%d" % i,))
            assert sorted(copied.fetchall()) == before
        check_whole(db, before)
    print("  %d of 60 were interrupted" % interrupted)


def test_question_forbidden():
    """Older SQLites are asked with a statement, which an authorizer may refuse."""
    db = connect()
    db.set_authorizer(lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_SELECT
                      else sqlite3.SQLITE_OK)
    db.execute("CREATE VIRTUAL TABLE other USING bitcask('other')")
    db.execute("INSERT INTO other VALUES ('a', 'b')")
    db.set_authorizer(None)
    assert db.execute("SELECT bitcask_verify('other')").fetchone() == ("ok",)


def main():
    names = sys.argv[1:] or [n for n in globals() if n.startswith("test_")]
    passed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            try:
                globals()[name]()
                passed += 1
                print("ok - " + name, flush=True)
            except Exception:
                print("not ok - " + name, flush=True)
                traceback.print_exc(file=sys.stdout)
            os.chdir("/")
    print("%d passed, %d failed" % (passed, len(names) - passed))
    return passed != len(names)


if __name__ == "__main__":
    sys.exit(main())
