#!/usr/bin/python3
"""One transaction on tables of several directories: all of it or nothing.

    /usr/bin/python3 sql-tests/groups.py [test ...]

BITCASK_SO is the module to load (default build/bitcask.so); KILLS says how often
writers are killed, over all tests of that.
"""
import os
import random
import signal
import sqlite3
import sys
import time
import traceback

import processes

KILLS = int(os.environ.get("KILLS", "120")) // 4
DIRECTORIES = "abc"


def connect(n=2, options="", path=":memory:"):
    """A connection with the tables a, b, ... on directories of these names."""
    db = sqlite3.connect(path, isolation_level=None, timeout=0)
    db.enable_load_extension(True)
    db.load_extension(processes.MODULE)
    for name in DIRECTORIES[:n]:
        db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS %s USING bitcask('%s'%s)" % (name, name, options))
    return db


def start(n=2, options=""):
    db = connect(n, options)
    for name in DIRECTORIES[:n]:
        db.execute("INSERT OR REPLACE INTO %s VALUES ('n', '0'), ('x', '0')" % name)
    return db


def add(db, n=2, records=1):
    """One transaction that adds 1 to the counter of each directory."""
    db.execute("BEGIN")
    for name in DIRECTORIES[:n]:
        db.execute("UPDATE %s SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'" % name)
        if records > 1:
            db.execute("UPDATE %s SET value = zeroblob(3000) WHERE key = 'x'" % name)
    db.execute("COMMIT")


def counter(name, options):
    """As a new connection, of that directory alone, reads it."""
    db = sqlite3.connect(":memory:", isolation_level=None)
    db.enable_load_extension(True)
    db.load_extension(processes.MODULE)
    db.execute("CREATE VIRTUAL TABLE t USING bitcask('%s'%s)" % (name, options))
    if not options:
        db.execute("INSERT OR REPLACE INTO t VALUES ('other', 'x')")
        assert db.execute("SELECT bitcask_verify('t')").fetchall() == [("ok",)]
    (n,) = db.execute("SELECT CAST(value AS INTEGER) FROM t WHERE key = 'n'").fetchone()
    db.close()
    return n


def counters(n=2, options="", names=None):
    return [counter(name, options) for name in names or DIRECTORIES[:n]]


def decisions():
    return [f for d in DIRECTORIES if os.path.isdir(d) for f in os.listdir(d) if f.startswith("bitcask.group-")]


def writer(pipe, n, options):
    """Count, and say each number that was acknowledged, until killed."""
    db = connect(n, options)
    done = 0
    while True:
        add(db, n, 1 + done % 2)
        done += 1
        os.write(pipe, b".")


def kill_a_writer(n, options, dice):
    """How many transactions were acknowledged before it died."""
    r, w = os.pipe()
    pid = os.fork()
    if pid == 0:
        try:
            os.close(r)
            writer(w, n, options)
        finally:
            os._exit(1)
    os.close(w)
    done = len(os.read(r, 1))
    time.sleep(dice.random() * 0.02)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    while True:
        got = os.read(r, 65536)
        if not got:
            break
        done += len(got)
    os.close(r)
    assert done, "the writer has failed"
    return done


def check_kills(n, sync):
    dice = random.Random(n)
    signal.alarm(120 + KILLS)
    options = ", sync=%s, max_file_size=30000" % sync
    start(n, options).close()
    total = torn = lost = 0
    ahead = [0] * n  # of the first directory
    for i in range(KILLS):
        total += kill_a_writer(n, options, dice)
        names = list(DIRECTORIES[:n])
        dice.shuffle(names)
        seen = counters(n, ", read_only=1", names) if i % 2 else None
        got = counters(n, "", names)
        torn += [k - got[0] for k in got] != ahead or seen not in (None, got)
        ahead = [k - got[0] for k in got]
        lost += not total <= got[0] <= total + 1
        total = got[0]
    assert torn == 0 and lost == 0, "%d kills, sync=%s: %d torn, %d lost" % (KILLS, sync, torn, lost)
    assert decisions() == []
    print("  %d kills, %d directories, sync=%s, %d transactions" % (KILLS, n, sync, total), flush=True)


def test_killed_writers_full():
    check_kills(2, "full")


def test_killed_writers_normal():
    check_kills(2, "normal")


def test_killed_writers_off():
    check_kills(2, "off")


def test_killed_writers_three_directories():
    check_kills(3, "full")


def test_commit_is_seen_by_others_and_leaves_nothing_behind():
    db = start()
    for _ in range(5):
        add(db)
    db.execute("BEGIN")
    db.execute("DELETE FROM a WHERE key = 'x'")
    db.execute("SELECT * FROM b").fetchall()
    db.execute("COMMIT")
    assert counters() == [5, 5]
    assert decisions() == []
    assert db.execute("SELECT key FROM a ORDER BY key").fetchall() == [("n",), ("other",)]


def test_rolled_back_after_a_commit_that_was_busy():
    # A reader of the SQLite file keeps COMMIT from finishing after all directories
    # were prepared; more is written, to other directories too.
    for end in "COMMIT", "ROLLBACK":
        path = end + ".db"
        db = start(3)
        db.close()
        db = connect(3, path=path)
        db.execute("CREATE TABLE plain(i)")
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM plain").fetchall()
        before = counters(3)
        db.execute("BEGIN")
        for name in "ab":
            db.execute("UPDATE %s SET value = 7 WHERE key = 'n'" % name)
        db.execute("INSERT INTO plain VALUES (1)")
        assert processes.error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        assert counters_read_only() == before
        assert processes.error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        db.execute("UPDATE c SET value = 7 WHERE key = 'n'")
        db.execute("UPDATE a SET value = 8 WHERE key = 'x'")
        assert processes.error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        assert counters_read_only() == before
        reader.execute("COMMIT")
        db.execute(end)
        db.close()
        assert counters(3) == ([7, 7, 7] if end == "COMMIT" else before)
        assert decisions() == []


def counters_read_only():
    return counters(3, ", read_only=1")


def test_busy_commit_and_kill():
    # What was prepared and not committed by SQLite counts nowhere or everywhere.
    start(3).close()
    sqlite3.connect("x.db").execute("CREATE TABLE plain(i)").connection.commit()
    for i in range(4):
        before = counters(3)
        pid = os.fork()
        if pid == 0:
            try:
                db = connect(3, path="x.db")
                own = sqlite3.connect("x.db", isolation_level=None)
                own.execute("BEGIN")
                own.execute("SELECT * FROM plain").fetchall()
                db.execute("BEGIN")
                for name in DIRECTORIES:
                    db.execute("UPDATE %s SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'" % name)
                db.execute("INSERT INTO plain VALUES (1)")
                error = processes.error_of(db, "COMMIT")[0]
                if i % 2 and error == "SQLITE_BUSY":
                    db.execute("UPDATE b SET value = 8 WHERE key = 'x'")
                os.kill(os.getpid(), signal.SIGKILL)
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(1)
        assert os.waitpid(pid, 0)[1] == signal.SIGKILL
        assert len(set(counters_read_only())) == 1
        after = counters(3)
        assert after == (before if i % 2 else [k + 1 for k in before]), (i, before, after)
        assert decisions() == []


def test_savepoints_over_directories():
    db = start()
    db.execute("BEGIN")
    db.execute("UPDATE a SET value = 5 WHERE key = 'n'")
    db.execute("SAVEPOINT s")
    db.execute("UPDATE b SET value = 6 WHERE key = 'n'")
    db.execute("ROLLBACK TO s")
    db.execute("COMMIT")
    assert counters() == [5, 0]
    add(db)
    assert counters() == [6, 1]


if __name__ == "__main__":
    sys.exit(processes.main(globals()))
