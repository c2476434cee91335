#!/usr/bin/python3
"""isolation: a transaction that has read sees one state, and loses no update.

Processes count, transfer between accounts and read sums, each in transactions that read first and
write what the program has computed; some are killed.  Single cases ask what two connections see.
KILLS says how often a process of the bank is killed, SEED chooses the moments.

    /usr/bin/python3 sql-tests/isolation.py [test ...]
"""
import multiprocessing
import os
import random
import sqlite3
import sys
import tempfile
import threading
import time

import processes

BUSY_SNAPSHOT = "another transaction has been committed since this one has read"
N_ACCOUNTS, BALANCE = 100, 1000
KILLS = int(os.environ.get("KILLS", "120")) // 2


def connect(path, directory, table="kv"):
    db = sqlite3.connect(path, isolation_level=None, timeout=60)
    db.enable_load_extension(True)
    db.load_extension(processes.MODULE)
    db.execute(f"CREATE VIRTUAL TABLE IF NOT EXISTS {table} USING bitcask('{directory}')")
    return db


def attempt(db, work):
    """Run it as a transaction until it could be committed; how often it was tried."""
    for n in range(1, 1000000):
        try:
            db.execute("BEGIN")
            work(db)
            db.execute("COMMIT")
            return n
        except sqlite3.OperationalError as e:
            if db.in_transaction:
                db.execute("ROLLBACK")
            if BUSY_SNAPSHOT not in str(e) and "locked" not in str(e):
                raise
    raise AssertionError("never committed")


def one(db, sql, *values):
    return db.execute(sql, values).fetchone()[0]


def in_processes(n, work, *args):
    children = [multiprocessing.Process(target=work, args=(i, *args)) for i in range(n)]
    for child in children:
        child.start()
    for child in children:
        child.join()
        assert child.exitcode == 0, f"a process ended with {child.exitcode}"


# ------------------------------------------------------------------ the counter

def count(_, path, directory):
    def add(db):
        n = int(one(db, "SELECT value FROM kv WHERE key = 'n'"))
        db.execute("UPDATE kv SET value = ? WHERE key = 'n'", (n + 1,))
    db = connect(path or tempfile.mktemp(dir=os.path.dirname(directory)), directory)
    for _ in range(500):
        attempt(db, add)
    db.close()


def counter(home, path, mode="DELETE"):
    directory = os.path.join(home, "data")
    db = connect(path or ":memory:", directory)
    db.execute(f"PRAGMA journal_mode={mode}")
    db.execute("INSERT INTO kv VALUES('n', 0)")
    db.close()
    in_processes(3, count, path, directory)
    db = connect(":memory:", directory)
    n = int(one(db, "SELECT value FROM kv WHERE key = 'n'"))
    assert n == 1500, f"the counter is at {n} of 1500"


def test_counter_with_a_rollback_journal(home="."):
    counter(home, os.path.join(home, "db"))


def test_counter_in_wal_mode(home="."):
    counter(home, os.path.join(home, "db"), "WAL")


def test_counter_with_a_database_each(home="."):
    counter(home, None)


def test_counter_in_memory(home="."):
    counter(home, ":memory:")


# --------------------------------------------------------------------- the bank

def transfer(i, directory):
    chance = random.Random(time.time_ns() + i)

    def work(db):
        a, b = chance.sample(range(N_ACCOUNTS), 2)
        n = chance.randrange(10)
        x = int(one(db, "SELECT value FROM kv WHERE key = ?", f"a{a}"))
        y = int(one(db, "SELECT value FROM kv WHERE key = ?", f"a{b}"))
        db.execute("UPDATE kv SET value = ? WHERE key = ?", (x - n, f"a{a}"))
        db.execute("UPDATE kv SET value = ? WHERE key = ?", (y + n, f"a{b}"))
    db = connect(":memory:", directory)
    while True:
        attempt(db, work)


def sum_up(db):
    return one(db, "SELECT sum(CAST(CAST(value AS TEXT) AS INTEGER)) FROM kv")


def add_up_for(db, seconds):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        db.execute("BEGIN")
        total, again = sum_up(db), sum_up(db)
        singly = sum(int(one(db, "SELECT value FROM kv WHERE key = ?", f"a{i}"))
                     for i in range(N_ACCOUNTS))
        db.execute("COMMIT")
        assert {total, again, singly} == {N_ACCOUNTS * BALANCE}, (total, again, singly)


def test_bank(home="."):
    """Four processes transfer; again and again one is killed and replaced; every sum is right."""
    directory = os.path.join(home, "data")
    chance = random.Random(int(os.environ.get("SEED", "1")))
    db = connect(":memory:", directory)
    db.execute("BEGIN")
    db.executemany("INSERT INTO kv VALUES(?, ?)", [(f"a{i}", BALANCE) for i in range(N_ACCOUNTS)])
    db.execute("COMMIT")
    start = db.execute("SELECT generation FROM bitcask_status('kv')").fetchone()[0]
    writers = []
    try:
        for k in range(KILLS):
            while len(writers) < 4:
                writers.append(multiprocessing.Process(target=transfer, args=(k, directory)))
                writers[-1].start()
            add_up_for(db, chance.random() / 5)
            victim = writers.pop(chance.randrange(4))
            assert victim.exitcode is None, f"a process ended with {victim.exitcode}"
            victim.kill()
            victim.join()
    finally:
        for writer in writers:
            writer.kill()
            writer.join()
    assert sum_up(db) == N_ACCOUNTS * BALANCE
    assert one(db, "SELECT generation FROM bitcask_status('kv')") > start + 100, "nobody transferred"


# ----------------------------------------------------------------- single cases

def refused(db, sql):
    try:
        db.execute(sql)
    except sqlite3.OperationalError as e:
        assert BUSY_SNAPSHOT in str(e), e
        assert getattr(e, "sqlite_errorcode", 517) == 517, e.sqlite_errorcode
        return
    raise AssertionError(f"not refused: {sql}")


def pair(home, n_tables=1):
    directory = os.path.join(home, "data")
    a, b = connect(":memory:", directory), connect(":memory:", directory)
    for i in range(1, n_tables):
        for db in a, b:
            db.execute(f"CREATE VIRTUAL TABLE kv{i} USING bitcask('{directory}{i}')")
    a.executemany("INSERT INTO kv VALUES(?, ?)", [("x", "1"), ("y", "1")])
    return a, b


def get(db, key, table="kv"):
    row = db.execute(f"SELECT CAST(value AS TEXT) FROM {table} WHERE key = ?", (key,)).fetchone()
    return row and row[0]


def update_when_possible(home, i):
    db = connect(":memory:", os.path.join(home, "data"))
    db.execute("PRAGMA busy_timeout=10000")
    db.execute("UPDATE kv SET value = ? WHERE key = 'x'", (str(i),))
    db.close()


def test_a_command_that_lets_others_in(home="."):
    """sync gives the write lock back, and takes it again: what was read with it must still be so."""
    _, b = pair(home)
    came_between = i = 0
    while i < 40 or (not came_between and i < 2000):
        i += 1
        b.execute("BEGIN")
        b.execute("INSERT INTO kv(kv) VALUES('sync')")
        seen = get(b, "x")
        other = threading.Thread(target=update_when_possible, args=(home, i))
        other.start()
        time.sleep(0.01)
        try:
            b.execute("INSERT INTO kv(kv) VALUES('sync')")
            assert get(b, "x") == seen
        except sqlite3.OperationalError as e:
            assert BUSY_SNAPSHOT in str(e), e
            came_between += 1
        b.execute("ROLLBACK")
        other.join()
        assert get(b, "x") == str(i)
    assert came_between, "nobody came between"


FIRST_READS = [
    "SELECT key, (SELECT x FROM t WHERE t.id = kv.key) FROM kv ORDER BY key",
    "SELECT key FROM kv WHERE EXISTS (SELECT 1 FROM t WHERE t.id = kv.key) UNION ALL SELECT id FROM t",
    "SELECT (SELECT value FROM kv WHERE key = 'x'), (SELECT x FROM t WHERE id = 'x')",
    "UPDATE t SET x = (SELECT value FROM kv WHERE key = t.id) RETURNING (SELECT count(*) FROM t)",
    "INSERT INTO t SELECT key || 'z', value FROM kv WHERE NOT EXISTS (SELECT 1 FROM t WHERE t.id = kv.key || 'z')",
]


def test_the_first_read_disturbs_no_statement(home="."):
    """The table that listens is made while the statement is prepared: one that runs would be aborted."""
    pair(home)
    for sql in FIRST_READS:
        if "RETURNING" in sql and sqlite3.sqlite_version_info < (3, 35):
            continue
        for temp_store in False, True:
            db = connect(":memory:", os.path.join(home, "data"))
            db.execute("CREATE TABLE t(id TEXT PRIMARY KEY, x)")
            db.execute("INSERT INTO t VALUES('x', 1), ('y', 2)")
            if temp_store:
                db.execute("SELECT count(*) FROM kv")
                db.execute("PRAGMA temp_store = memory")  # drops what is in temp
                db.execute("SELECT count(*) FROM kv")
            db.execute("BEGIN")
            db.execute(sql).fetchall()
            db.execute("COMMIT")
            db.close()


def test_other_statements_go_on(home="."):
    """... also if the first read of the connection comes while they run, by whatever table."""
    directory, path = os.path.join(home, "data"), os.path.join(home, "db")
    db = connect(path, directory)
    db.execute("CREATE TABLE o(k)")
    db.executemany("INSERT INTO o VALUES(?)", [("a",), ("b",), ("c",)])
    db.execute("INSERT INTO kv VALUES('a', '1')")
    db.close()
    for inner in "SELECT * FROM kv", "SELECT * FROM bitcask_history('kv')":
        for begin in False, True:
            db = sqlite3.connect(path, isolation_level=None)
            db.enable_load_extension(True)
            db.load_extension(processes.MODULE)
            if begin:
                db.execute("BEGIN")
            rows = db.execute("SELECT k, (SELECT count(*) FROM o p WHERE p.k >= o.k) FROM o")
            n = len([db.execute(inner).fetchall() for _ in rows])
            assert n == 3, n
            db.close()


def test_dropping_another_table_keeps_the_snapshot(home="."):
    a, b = pair(home)
    b.execute(f"CREATE VIRTUAL TABLE kv2 USING bitcask('{home}/data')")
    b.execute("SELECT * FROM kv2").fetchall()
    b.execute("BEGIN")
    assert get(b, "x") == "1"
    b.execute("DROP TABLE kv2")
    a.execute("UPDATE kv SET value = '2' WHERE key = 'x'")
    assert get(b, "x") == "1"
    refused(b, "UPDATE kv SET value = '3' WHERE key = 'x'")
    b.execute("ROLLBACK")


def test_a_statement_from_before(home="."):
    """It goes on with what it has read; the transaction begins with what is committed, by itself too."""
    _, db = pair(home)
    db.execute("CREATE TABLE o(k)")
    db.executemany("INSERT INTO o VALUES(?)", [("x",), ("y",)] * 3)
    rows = db.execute("SELECT o.k, CAST(kv.value AS TEXT) FROM o CROSS JOIN kv ON kv.key = o.k")
    rows.fetchone()
    n = 1
    for key, value in rows:
        assert value == "1", value
        n += 1
        db.execute("BEGIN")
        db.execute("UPDATE kv SET value = value + 1 WHERE key = 'x'")
        db.execute("COMMIT")
        assert get(db, "x") == str(n), (get(db, "x"), n)


def test_an_authorizer_that_ignores(home="."):
    pair(home)
    db = connect(":memory:", os.path.join(home, "data"))
    db.execute("DROP TABLE temp.bitcask_reading")
    reads = (sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_TRANSACTION, 31)  # 31: a function
    db.set_authorizer(lambda action, *_: sqlite3.SQLITE_OK if action in reads else sqlite3.SQLITE_IGNORE)
    db.execute("BEGIN")
    assert get(db, "x") == "1"
    db.execute("COMMIT")


def test_write_skew(home="."):
    a, b = pair(home)
    for db in a, b:
        db.execute("BEGIN")
        assert get(db, "x") == get(db, "y") == "1"
    a.execute("UPDATE kv SET value = '0' WHERE key = 'x'")
    a.execute("COMMIT")
    refused(b, "UPDATE kv SET value = '0' WHERE key = 'y'")
    assert get(b, "x") == "1", "a statement that was refused changed what is read"
    b.execute("ROLLBACK")
    assert (get(b, "x"), get(b, "y")) == ("0", "1")


def test_reads_agree(home="."):
    a, b = pair(home)
    for begin, end in ("BEGIN", "COMMIT"), ("SAVEPOINT s", "RELEASE s"), ("BEGIN", "ROLLBACK"):
        before = get(b, "x")
        b.execute(begin)
        assert get(b, "x") == before
        a.execute("UPDATE kv SET value = value + 1 WHERE key = 'x'")
        a.execute("INSERT OR REPLACE INTO kv VALUES('new', ?)", (before,))
        assert get(b, "x") == before
        assert one(b, "SELECT count(*) FROM kv WHERE value = '9'") == 0
        b.execute(end)
        assert get(b, "x") == str(int(before) + 1), end


def test_savepoints_keep_the_snapshot(home="."):
    a, b = pair(home)
    b.execute("BEGIN")
    b.execute("SAVEPOINT s")
    assert get(b, "x") == "1"
    b.execute("CREATE TABLE o(x)")
    b.execute("ROLLBACK TO s")
    a.execute("UPDATE kv SET value = '2' WHERE key = 'x'")
    assert get(b, "x") == "1"
    b.execute("RELEASE s")
    assert get(b, "x") == "1"
    refused(b, "DELETE FROM kv WHERE key = 'x'")
    b.execute("ROLLBACK")
    assert get(b, "x") == "2"
    b.execute("DELETE FROM kv WHERE key = 'x'")
    assert get(a, "x") is None


def test_write_first_waits(home="."):
    a, b = pair(home)
    b.execute("BEGIN")
    a.execute("UPDATE kv SET value = '5' WHERE key = 'x'")
    b.execute("UPDATE kv SET value = value + 1 WHERE key = 'x'")
    assert get(b, "x") == "6"
    b.execute("COMMIT")
    assert get(a, "x") == "6"


def test_own_writes_are_read(home="."):
    a, b = pair(home)
    b.execute("BEGIN")
    assert get(b, "x") == "1"
    b.execute("UPDATE kv SET value = '7' WHERE key = 'x'")
    assert (get(b, "x"), get(a, "x")) == ("7", "1")
    b.execute("SAVEPOINT s")
    b.execute("DELETE FROM kv")
    b.execute("ROLLBACK TO s")
    assert (get(b, "x"), get(b, "y")) == ("7", "1")
    b.execute("COMMIT")
    assert get(a, "x") == "7"


def test_own_writes_are_read_beside_a_cursor(home="."):
    """The cursor goes on with what was there when it began, the next statement sees the write."""
    _, b = pair(home)
    b.execute("BEGIN")
    b.execute("INSERT INTO kv VALUES('z', '1')")
    rows = b.execute("SELECT key FROM kv")
    seen = [rows.fetchone()[0]]
    b.execute("UPDATE kv SET value = '8' WHERE key = 'x'")
    assert get(b, "x") == "8"
    seen += [row[0] for row in rows]
    assert sorted(seen) == ["x", "y", "z"]
    b.execute("COMMIT")


def test_an_update_beside_a_cursor_reads_what_is_there(home="."):
    """The cursor keeps its state; what is added to is not in it."""
    a, b = pair(home)
    rows = b.execute("SELECT CAST(value AS TEXT) FROM kv")
    seen = [rows.fetchone()[0]]
    a.execute("UPDATE kv SET value = '5'")
    b.execute("UPDATE kv SET value = CAST(value AS TEXT) + 1 WHERE key = 'x'")
    seen += [row[0] for row in rows]
    assert (seen, get(a, "x"), get(b, "y")) == (["1", "1"], "6", "5")


def test_two_directories(home="."):
    a, b = pair(home, 2)
    a.execute("INSERT INTO kv1 VALUES('x', '1')")
    b.execute("BEGIN")
    assert get(b, "x") == "1"
    a.execute("UPDATE kv1 SET value = '2'")
    assert get(b, "x", "kv1") == "2", "each directory has a first read of its own"
    a.execute("UPDATE kv1 SET value = '3'")
    assert get(b, "x", "kv1") == "2"
    b.execute("UPDATE kv SET value = '4' WHERE key = 'x'")
    refused(b, "UPDATE kv1 SET value = '5'")
    b.execute("ROLLBACK")
    assert (get(b, "x"), get(b, "x", "kv1")) == ("1", "3")


def test_two_tables_on_one_directory(home="."):
    a, b = pair(home)
    b.execute(f"CREATE VIRTUAL TABLE again USING bitcask('{home}/data')")
    b.execute("BEGIN")
    assert get(b, "x", "again") == "1"
    a.execute("UPDATE kv SET value = '2' WHERE key = 'x'")
    assert get(b, "x") == "1"
    refused(b, "UPDATE kv SET value = '3' WHERE key = 'x'")
    b.execute("ROLLBACK")


def test_query_only(home="."):
    """Nobody tells of the end there: a statement alone is one state."""
    a, b = pair(home)
    b.execute("PRAGMA query_only=1")
    b.execute("BEGIN")
    assert get(b, "x") == "1"
    a.execute("UPDATE kv SET value = '2' WHERE key = 'x'")
    assert get(b, "x") == "2"
    b.execute("COMMIT")


def test_cursors_outlive_the_commit(home="."):
    a, b = pair(home)
    b.execute("BEGIN")
    rows = b.execute("SELECT CAST(value AS TEXT) FROM kv")
    seen = [rows.fetchone()[0]]
    a.execute("UPDATE kv SET value = '2'")
    b.execute("COMMIT")
    seen += [row[0] for row in rows]
    assert seen == ["1", "1"], seen
    assert get(b, "x") == "2"


def test_a_merge_is_no_update(home="."):
    a, b = pair(home)
    for i in range(100):
        a.execute("UPDATE kv SET value = ? WHERE key = 'y'", (str(i),))
    b.execute("BEGIN")
    assert get(b, "y") == "99"
    one(a, "SELECT bitcask_merge('kv')")
    b.execute("UPDATE kv SET value = value + 1 WHERE key = 'y'")
    b.execute("COMMIT")
    assert get(a, "y") == "100"


def test_the_table_that_listens_stays(home="."):
    a, b = pair(home)
    b.execute("BEGIN")
    assert get(b, "x") == "1"
    try:
        b.execute("DROP TABLE temp.bitcask_reading")
        raise AssertionError("dropped while it was needed")
    except sqlite3.OperationalError as e:
        assert "locked" in str(e), e
    a.execute("UPDATE kv SET value = '2' WHERE key = 'x'")
    assert get(b, "x") == "1"
    refused(b, "DELETE FROM kv")
    b.execute("ROLLBACK")
    b.execute("DROP TABLE IF EXISTS temp.bitcask_reading")
    test_reads_agree(tempfile.mkdtemp(dir=home))


if __name__ == "__main__":
    sys.exit(processes.main(globals()))
