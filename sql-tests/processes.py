#!/usr/bin/python3
"""Several connections, threads and processes on one directory.

    /usr/bin/python3 sql-tests/processes.py [test ...]

BITCASK_SO is the module to load (default build/bitcask.so).
"""
import json
import os
import resource
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import traceback

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.abspath(os.environ.get("BITCASK_SO", HERE + "/../build/bitcask.so"))


def connect(path=":memory:", options="", table="kv"):
    """A connection with a table on the directory "store" of the working directory."""
    db = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
    db.enable_load_extension(True)
    db.load_extension(MODULE)
    db.execute("CREATE VIRTUAL TABLE IF NOT EXISTS %s USING bitcask('store'%s)" % (table, options))
    return db


def rows(db, sql="SELECT key, CAST(value AS TEXT) FROM kv"):
    return sorted(db.execute(sql).fetchall())


def error_of(db, sql):
    """The name and text of the error that a statement must end with."""
    try:
        db.execute(sql).fetchall()
    except sqlite3.Error as e:
        return e.sqlite_errorname, str(e)
    raise AssertionError("no error: " + sql)


class Process:
    """Another process with a connection of its own, which runs what it is told."""

    def __init__(self, options=""):
        self.child = subprocess.Popen([sys.executable, os.path.abspath(__file__), "--child", options],
                                      stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def start(self, *statements):
        self.child.stdin.write(json.dumps(statements) + "\n")
        self.child.stdin.flush()

    def result(self):
        line = self.child.stdout.readline()
        if not line:
            raise AssertionError("the other process has ended: %s" % self.child.wait())
        answer = json.loads(line)
        if isinstance(answer, dict):
            return answer["error"], answer["text"]
        return [tuple(row) for row in answer]

    def run(self, *statements):
        self.start(*statements)
        return self.result()

    def kill(self):
        self.child.kill()
        self.end()

    def end(self):
        self.child.stdin.close()
        self.child.wait()
        self.child.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if not self.child.stdin.closed:
            self.end()


def child(options):
    """The other end: each line is a list of statements, run until one fails."""
    db = connect(options=options)
    for line in sys.stdin:
        try:
            answer = []
            for sql in json.loads(line):
                answer = db.execute(sql).fetchall()
        except sqlite3.Error as e:
            answer = {"error": e.sqlite_errorname, "text": str(e)}
        print(json.dumps(answer), flush=True)


# ---------------------------------------------------------------- several readers


def test_next_statement_sees_commit_of_other_process():
    db = connect()
    with Process() as other:
        for i in range(20):
            assert other.run("INSERT INTO kv VALUES ('%d', 'x')" % i) == []
            assert db.execute("SELECT count(*) FROM kv").fetchone()[0] == i + 1
            assert len(rows(db, "SELECT * FROM kv WHERE key = '%d'" % i)) == 1
        assert other.run("UPDATE kv SET value = 'y'") == []
        assert {v for _, v in rows(db)} == {"y"}
        db.execute("DELETE FROM kv WHERE key <> '7'")
        assert other.run("SELECT key, CAST(value AS TEXT) FROM kv") == [("7", "y")]


def test_next_statement_sees_commit_of_other_connection():
    a, b = connect(), connect()
    a.execute("INSERT INTO kv VALUES ('k', '1')")
    assert rows(b) == [("k", "1")]
    b.execute("BEGIN")
    b.execute("UPDATE kv SET value = '2'")
    assert rows(a) == [("k", "1")]
    b.execute("COMMIT")
    assert rows(a) == [("k", "2")]
    b.execute("BEGIN")
    b.execute("DELETE FROM kv")
    b.execute("ROLLBACK")
    assert rows(a) == [("k", "2")]


def test_nothing_is_seen_before_commit():
    db = connect()
    with Process() as other:
        other.run("INSERT INTO kv VALUES ('a', '1')", "BEGIN", "INSERT INTO kv VALUES ('b', '2')",
                  "DELETE FROM kv WHERE key = 'a'")
        assert rows(db) == [("a", "1")]
        assert other.run("SELECT key FROM kv") == [("b",)]
        other.run("ROLLBACK")
        assert rows(db) == [("a", "1")]
        other.run("BEGIN", "INSERT INTO kv VALUES ('b', '2')", "COMMIT")
        assert rows(db) == [("a", "1"), ("b", "2")]


def test_read_only_table_follows_a_writer():
    with Process() as other:
        other.run("INSERT INTO kv VALUES ('a', '1')")
        db = connect(options=", read_only=1")
        assert rows(db) == [("a", "1")]
        other.run("INSERT INTO kv VALUES ('b', '2')")
        assert rows(db) == [("a", "1"), ("b", "2")]
        assert error_of(db, "DELETE FROM kv")[0] == "SQLITE_READONLY"


def test_open_cursor_keeps_its_snapshot():
    db = connect()
    expected = [(str(i), "old") for i in range(1000)]
    db.execute("BEGIN")
    db.executemany("INSERT INTO kv VALUES (?, ?)", expected)
    db.execute("COMMIT")
    cursor = db.execute("SELECT key, CAST(value AS TEXT) FROM kv")
    got = [cursor.fetchone() for _ in range(10)]
    neighbour = connect()
    neighbour.execute("UPDATE kv SET value = 'new' WHERE key < '5'")
    with Process() as other:
        other.run("DELETE FROM kv WHERE key >= '5'", "INSERT INTO kv VALUES ('more', 'new')",
                  "SELECT bitcask_merge('kv')")
        got += cursor.fetchmany(490)
        # A statement that begins while the cursor is open reads what it reads.
        assert db.execute("SELECT count(*) FROM kv").fetchone()[0] == 1000
        got += cursor.fetchall()
        assert sorted(got) == sorted(expected)
        left = sum(k < "5" for k, _ in expected) + 1
        assert db.execute("SELECT count(*) FROM kv").fetchone()[0] == left
        assert {v for _, v in rows(db)} == {"new"}


def test_statement_with_subquery_reads_one_state():
    db, neighbour = connect(), connect()
    db.execute("INSERT INTO kv VALUES ('a', '0')")
    db.execute("CREATE TABLE three AS SELECT 1 AS i UNION SELECT 2 UNION SELECT 3")
    commits = []

    def commit():
        commits.append(1)
        neighbour.execute("UPDATE kv SET value = ?", (str(len(commits)),))
        return 1

    db.create_function("commit_elsewhere", 0, commit)
    # The subquery is run anew, with a new cursor, for each row of the outer query.
    seen = db.execute("""SELECT (SELECT CAST(value AS TEXT) FROM kv WHERE key = substr('a', i / i)),
                         commit_elsewhere() FROM three""").fetchall()
    assert len(commits) == 3
    assert {value for value, _ in seen} == {"0"}, seen
    assert rows(db) == [("a", "3")]


# ------------------------------------------------------------------ cursors and ends


def test_cursors_outlive_commit_and_rollback():
    for end in "COMMIT", "ROLLBACK":
        db = connect()
        db.execute("DELETE FROM kv")
        db.execute("INSERT INTO kv VALUES ('before', '1')")
        db.execute("BEGIN")
        expected = [("before", "1")] + [("k%d" % i, "2") for i in range(50)]
        db.executemany("INSERT INTO kv VALUES (?, ?)", expected[1:])
        cursor = db.execute("SELECT key, CAST(value AS TEXT) FROM kv")
        got = [cursor.fetchone()]
        db.execute(end)
        got += cursor.fetchall()
        assert sorted(got) == sorted(expected), end
        assert len(rows(db)) == (51 if end == "COMMIT" else 1)
        db.close()


def test_writing_while_reading_comes_to_an_end():
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(100)])
    count = 0
    for (key,) in db.execute("SELECT key FROM kv"):
        db.execute("INSERT INTO kv VALUES (?, 'y')", (key + "+",))
        db.execute("DELETE FROM kv WHERE key = ?", (key,))
        count += 1
    assert count == 100
    assert {v for _, v in rows(db)} == {"y"} and len(rows(db)) == 100


def test_own_write_is_seen_by_next_statement_despite_open_cursor():
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, '1')", [("a",), ("b",), ("c",)])
    cursor = db.execute("SELECT key FROM kv")
    cursor.fetchone()
    db.execute("UPDATE kv SET value = '2' WHERE key = 'a'")
    assert rows(db, "SELECT CAST(value AS TEXT) FROM kv WHERE key = 'a'") == [("2",)]
    db.execute("BEGIN")
    db.execute("DELETE FROM kv WHERE key = 'a'")
    assert len(rows(db)) == 2
    db.execute("ROLLBACK")
    assert len(rows(db)) == 3
    assert len(cursor.fetchall()) == 2


def test_commit_that_is_busy_can_be_repeated():
    # Another reader of the SQLite file keeps COMMIT from finishing after the
    # Bitcask part was prepared; more is written, and COMMIT is tried again.
    db = connect("x.db")
    db.execute("CREATE TABLE plain(a)")
    db.execute("INSERT INTO plain VALUES (0)")
    reader = sqlite3.connect("x.db", isolation_level=None)
    neighbour = connect()
    for end in "COMMIT", "ROLLBACK":
        db.execute("DELETE FROM kv")
        reader.execute("BEGIN")
        reader.execute("SELECT * FROM plain").fetchall()
        db.execute("BEGIN")
        db.execute("INSERT INTO kv VALUES ('a', '1')")
        db.execute("INSERT INTO plain VALUES (1)")
        assert error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        assert rows(neighbour) == []
        db.execute("INSERT INTO kv VALUES ('b', '2')")
        db.execute("DELETE FROM kv WHERE key = 'a'")
        assert error_of(db, "COMMIT")[0] == "SQLITE_BUSY"
        db.execute("INSERT INTO kv VALUES ('c', '3')")
        reader.execute("COMMIT")
        db.execute(end)
        want = [("b", "2"), ("c", "3")] if end == "COMMIT" else []
        assert rows(neighbour) == want
        assert rows(db) == want
        with Process() as other:
            assert other.run("SELECT key, CAST(value AS TEXT) FROM kv ORDER BY key") == want
            assert other.run("SELECT bitcask_verify('kv')") == [("ok",)]


# ------------------------------------------------------------------ several writers


def test_second_writer_is_busy():
    with Process() as other:
        other.run("BEGIN", "INSERT INTO kv VALUES ('a', '1')")
        db = connect()
        begun = time.monotonic()
        name, text = error_of(db, "INSERT INTO kv VALUES ('b', '2')")
        assert name == "SQLITE_BUSY" and text.startswith("kv: "), (name, text)
        assert time.monotonic() - begun < 1
        assert rows(db) == []
        other.run("COMMIT")
        db.execute("INSERT INTO kv VALUES ('b', '2')")
        assert len(rows(db)) == 2


def test_second_writer_waits_for_its_timeout():
    with Process() as other:
        other.run("BEGIN", "INSERT INTO kv VALUES ('a', '1')")
        for pragma, options, secs in (400, "", 0.4), (0, ", timeout=400", 0.4), (9000, ", timeout=100", 0.1):
            db = connect(options=options)
            db.execute("PRAGMA busy_timeout = %d" % pragma)
            begun = time.monotonic()
            assert error_of(db, "INSERT INTO kv VALUES ('b', '2')")[0] == "SQLITE_BUSY"
            elapsed = time.monotonic() - begun
            assert secs <= elapsed < secs + 3, (secs, elapsed)
            db.close()


def test_waiting_writer_goes_on_when_the_first_ends():
    db = connect()
    with Process(", timeout=20000") as other:
        db.execute("BEGIN")
        db.execute("INSERT INTO kv VALUES ('n', '1')")
        other.start("UPDATE kv SET value = CAST(value AS INTEGER) + 1")
        time.sleep(0.3)
        begun = time.monotonic()
        db.execute("COMMIT")
        assert other.result() == []
        assert time.monotonic() - begun < 5
        assert rows(db) == [("n", "2")]


def test_waiting_can_be_interrupted():
    with Process() as other:
        other.run("BEGIN", "INSERT INTO kv VALUES ('a', '1')")
        db = connect(options=", timeout=60000")
        timer = threading.Timer(0.3, db.interrupt)
        begun = time.monotonic()
        timer.start()
        assert error_of(db, "INSERT INTO kv VALUES ('b', '2')")[0] == "SQLITE_INTERRUPT"
        assert time.monotonic() - begun < 5
        timer.join()
        other.run("COMMIT")
        db.execute("INSERT INTO kv VALUES ('b', '2')")
        assert len(rows(db)) == 2


def commit_often(n, ending):
    """In another process: transactions in one database file, without a busy timeout.  Prints how
    many the table refused after SQLite had granted its own lock."""
    db = connect("shared.db", ", sync=off")
    db.execute("PRAGMA synchronous = off")
    db.execute("PRAGMA busy_timeout = 0")
    refused = done = 0
    while done < n:
        try:
            db.execute("BEGIN IMMEDIATE")
        except sqlite3.OperationalError:
            time.sleep(0.0001)
            continue
        try:
            db.execute("REPLACE INTO kv VALUES (?, 'x')", (str(done % 100),))
            done += 1
        except sqlite3.OperationalError:
            refused += 1
        try:
            db.execute(ending)
        except sqlite3.OperationalError:
            db.execute("ROLLBACK")
    print(refused)


def refused_of(n_each, ending):
    db = connect("shared.db", ", sync=off")
    assert db.execute("PRAGMA journal_mode = wal").fetchone() == ("wal",)
    db.close()
    command = [sys.executable, os.path.abspath(__file__), "--commit-often", str(n_each), ending]
    others = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(3)]
    return [other.communicate()[0].strip() for other in others]


def test_who_may_begin_is_not_refused():
    # SQLite releases its lock before it tells the table to publish, or to roll back.
    assert refused_of(12000, "COMMIT") == ["0"] * 3
    assert refused_of(4000, "ROLLBACK") == ["0"] * 3


def test_no_update_is_lost_between_processes():
    n_processes, n_each = 4, 100
    db = connect()
    db.execute("INSERT INTO kv VALUES ('n', '0')")
    update = "UPDATE kv SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'"
    others = [Process(", sync=off, timeout=60000") for _ in range(n_processes)]
    for other in others:
        other.start(*[update] * n_each)
    for other in others:
        assert other.result() == []
        other.end()
    assert rows(db) == [("n", str(n_processes * n_each))]


def test_no_update_is_lost_with_a_cursor_open():
    # The open cursor keeps its snapshot; a statement that writes must not use it.
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, '0')", [("n",), ("o",), ("p",)])
    cursor = db.execute("SELECT key FROM kv")
    cursor.fetchone()
    with Process() as other:
        other.run("UPDATE kv SET value = '41' WHERE key = 'n'")
        db.execute("UPDATE kv SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'")
        assert rows(db, "SELECT CAST(value AS TEXT) FROM kv WHERE key = 'n'") == [("42",)]
    assert len(cursor.fetchall()) == 2


def test_no_update_is_lost_between_threads():
    n_threads, n_each = 4, 100
    connect().execute("INSERT INTO kv VALUES ('n', '0')")
    failures = []

    def work():
        try:
            db = connect(options=", timeout=60000")
            for _ in range(n_each):
                db.execute("UPDATE kv SET value = CAST(value AS INTEGER) + 1 WHERE key = 'n'")
                db.execute("SELECT count(*) FROM kv").fetchall()
            db.close()
        except sqlite3.Error as e:
            failures.append(e)

    threads = [threading.Thread(target=work) for _ in range(n_threads)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures, failures
    assert rows(connect()) == [("n", str(n_threads * n_each))]


def test_readers_and_a_writer_in_threads():
    options = ", sync=off, max_file_size=20000"
    writer = connect(options=options)
    writer.execute("INSERT INTO kv VALUES ('a', '0'), ('b', '0')")
    stop = threading.Event()
    failures = []

    def read():
        try:
            db = connect(options=options)
            while not stop.is_set():
                # Both keys are always written together.
                seen = {v for _, v in rows(db, "SELECT key, value FROM kv WHERE key IN ('a', 'b')")}
                scanned = {v for _, v in rows(db, "SELECT key, value FROM kv")}
                if len(seen) != 1 or len(scanned) != 1:
                    failures.append((seen, scanned))
            db.close()
        except sqlite3.Error as e:
            failures.append(e)

    threads = [threading.Thread(target=read) for _ in range(3)]
    for thread in threads:
        thread.start()
    for i in range(300):
        writer.execute("UPDATE kv SET value = ?", (str(i),))
        if i % 50 == 49:
            writer.execute("SELECT bitcask_merge('kv')").fetchall()
    stop.set()
    for thread in threads:
        thread.join()
    assert not failures, failures[:3]


def test_killed_writer_leaves_no_lock_and_no_trace():
    db = connect()
    for i in range(5):
        other = Process()
        other.run("INSERT INTO kv VALUES ('done-%d', 'x')" % i, "BEGIN",
                  "INSERT INTO kv VALUES ('open', 'x')", "DELETE FROM kv WHERE key LIKE 'done%'")
        assert error_of(db, "DELETE FROM kv")[0] == "SQLITE_BUSY"
        other.kill()
        db.execute("INSERT INTO kv VALUES ('after-%d', 'x')" % i)
        assert len(rows(db)) == 2 * (i + 1)
        assert rows(db, "SELECT * FROM kv WHERE key = 'open'") == []
    with Process() as other:
        assert other.run("SELECT count(*) FROM kv") == [(10,)]
        assert other.run("SELECT bitcask_verify('kv')") == [("ok",)]


def test_what_was_acknowledged_survives_kill():
    for _ in range(5):
        acknowledged = 0
        other = Process()
        other.run("DELETE FROM kv")
        for i in range(30):
            other.run("INSERT INTO kv VALUES ('%03d', 'x')" % i)
            acknowledged += 1
        other.start("INSERT INTO kv VALUES ('%03d', 'x')" % acknowledged)
        other.kill()
        keys = [k for k, _ in rows(connect())]
        assert keys in ([("%03d" % i) for i in range(n)] for n in (acknowledged, acknowledged + 1))


def test_writer_in_attached_databases():
    # Two databases of one connection on one directory are one transaction.
    db = connect()
    db.execute("ATTACH 'other.db' AS other")
    db.execute("CREATE VIRTUAL TABLE other.kw USING bitcask('store')")
    db.execute("BEGIN")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    db.execute("INSERT INTO kw VALUES ('b', '2')")
    assert len(rows(db)) == 2
    assert error_of(db, "INSERT INTO kw VALUES ('a', '3')")[1] == "UNIQUE constraint failed: kw.key"
    db.execute("ROLLBACK")
    assert rows(db) == []


# ------------------------------------------------- the directory that was opened

# What somebody does to "store": the command, and whether there is a directory of the name then.
WAYS = {
    "removed": ("rm -rf store", False),
    "renamed": ("mv store old", False),
    "made again": ("rm -rf store; mkdir store", True),
    "replaced": ("mv store old; mkdir store", True),
    "replaced by a copy": ("cp -r store new; mv store old; mv new store", True),
    "replaced by a link": ("mv store old; mkdir other; ln -s other store", True),
    "state replaced": ("cp store/bitcask.state new; mv new store/bitcask.state", True),
}


def in_shell(command):
    subprocess.run(command, shell=True, check=True)


def moved(db, sql):
    name, text = error_of(db, sql)
    assert name == "SQLITE_READONLY_DBMOVED", (name, text)
    assert "/store was opened, and" in text and "opened anew" in text, text


def keys_elsewhere():
    with Process() as other:
        return other.run("SELECT key FROM kv ORDER BY key")


def test_nothing_is_acknowledged_into_a_directory_that_has_moved():
    for sync in "full", "off":
        for way, (command, is_there) in WAYS.items():
            in_shell("rm -rf store old new other")
            db = connect(options=", sync=" + sync)
            db.execute("INSERT INTO kv VALUES ('before', 'x')")
            in_shell(command)
            time.sleep(0.002)
            moved(db, "INSERT INTO kv VALUES ('lost', 'x')")
            # The next statement opens what has the name now.
            if not is_there:
                assert error_of(db, "SELECT * FROM kv")[0] == "SQLITE_CANTOPEN", way
                assert error_of(db, "INSERT INTO kv VALUES ('lost', 'x')")[0] == "SQLITE_CANTOPEN"
                os.mkdir("store")
            db.execute("INSERT INTO kv VALUES ('new', 'x')")
            assert [(k,) for k, _ in rows(db)] == keys_elsewhere(), way
            assert db.execute("SELECT bitcask_verify('kv')").fetchone() == ("ok",)
            db.close()


def test_rows_of_a_directory_that_has_moved_are_not_shown():
    for way, (command, is_there) in WAYS.items():
        in_shell("rm -rf store old new other")
        db, neighbour = connect(), connect()
        db.execute("INSERT INTO kv VALUES ('before', 'x')")
        assert len(rows(db)) == len(rows(neighbour)) == 1
        in_shell(command)
        time.sleep(1.01)
        moved(db, "SELECT * FROM kv")
        if not is_there:
            os.mkdir("store")
        assert [(k,) for k, _ in rows(db)] == keys_elsewhere(), way
        assert rows(neighbour) == rows(db)
        db.close()
        neighbour.close()


def test_a_transaction_in_a_directory_that_has_moved():
    db = connect()
    db.execute("CREATE VIRTUAL TABLE kw USING bitcask('store')")
    db.execute("INSERT INTO kv VALUES ('before', 'x')")
    db.execute("BEGIN")
    db.execute("INSERT INTO kv VALUES ('lost', 'x')")
    in_shell("mv store old; mkdir store")
    moved(db, "COMMIT")
    if db.in_transaction:
        # The error stands until ROLLBACK.
        moved(db, "SELECT * FROM kv")
        moved(db, "INSERT INTO kw VALUES ('lost', 'x')")
        db.execute("ROLLBACK")
    assert rows(db) == rows(db, "SELECT * FROM kw") == []
    db.execute("INSERT INTO kv VALUES ('a', 'x')")
    db.execute("INSERT INTO kw VALUES ('b', 'x')")
    assert keys_elsewhere() == [("a",), ("b",)]
    in_shell("rm -rf store; mv old store")
    for call in "merge", "sync", "needs_merge":
        moved(db, "INSERT INTO kv VALUES ('lost', 'x')") if call == "merge" else None
        assert len(db.execute("SELECT bitcask_%s('kv')" % call).fetchall()) == 1
    assert keys_elsewhere() == [("before",)]
    in_shell("mv store old; mkdir store")
    moved(db, "SELECT bitcask_merge('kv')")
    assert db.execute("SELECT bitcask_merge('kv')").fetchone() == (0,)
    assert rows(db) == []


def test_an_open_cursor_in_a_directory_that_has_moved():
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(100)])
    cursor = db.execute("SELECT key FROM kv")
    cursor.fetchone()
    in_shell("mv store old; mkdir store")
    moved(db, "INSERT INTO kv VALUES ('lost', 'x')")
    moved(db, "SELECT count(*) FROM kv")  # it would read what the cursor reads
    cursor.close()
    assert db.execute("SELECT count(*) FROM kv").fetchone() == (0,)
    db.execute("INSERT INTO kv VALUES ('new', 'x')")
    assert keys_elsewhere() == [("new",)]


# ------------------------------------------------------------------ what can go wrong


def test_write_that_the_system_refuses():
    # As on a full disk: nothing of the transaction is left, all else is.
    db = connect()
    db.executemany("INSERT INTO kv VALUES (?, 'x')", [(str(i),) for i in range(100)])
    before = rows(db)
    limit = resource.getrlimit(resource.RLIMIT_FSIZE)
    db.execute("BEGIN")
    db.execute("UPDATE kv SET value = 'y'")
    db.execute("INSERT INTO kv VALUES ('big', zeroblob(1000000))")
    resource.setrlimit(resource.RLIMIT_FSIZE, (100000, limit[1]))
    try:
        name, text = error_of(db, "COMMIT")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limit)
    assert name in ("SQLITE_FULL", "SQLITE_IOERR") and text.startswith("kv: "), (name, text)
    if db.in_transaction:
        db.execute("ROLLBACK")
    assert rows(db) == before
    with Process() as other:
        assert other.run("SELECT key, CAST(value AS TEXT) FROM kv ORDER BY key") == before
        assert other.run("SELECT bitcask_verify('kv')") == [("ok",)]
    db.execute("INSERT INTO kv VALUES ('big', zeroblob(1000000))")
    assert len(rows(db)) == 101


def in_unprivileged_child(work):
    """Run a function where file permissions count, in a child of fork()."""
    pid = os.fork()
    if pid == 0:
        try:
            work()
            os._exit(0)
        except BaseException:
            traceback.print_exc(file=sys.stdout)
        os._exit(1)
    assert os.waitpid(pid, 0)[1] == 0


def without_privileges():
    if os.getuid() == 0:
        os.setgroups([])
        os.setgid(65534)
        os.setuid(65534)


def test_read_only_medium():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        os.chdir(directory)
        with Process() as other:
            other.run("INSERT INTO kv VALUES ('a', '1')")
        for name in os.listdir("store"):
            os.chmod("store/" + name, 0o444)
        os.chmod("store", 0o555)
        before = sorted(os.listdir("store"))

        def read_and_try_to_write():
            loaded = sqlite3.connect(":memory:", isolation_level=None)
            loaded.enable_load_extension(True)
            loaded.load_extension(MODULE)
            without_privileges()
            for options in "", ", read_only=1":
                loaded.execute("CREATE VIRTUAL TABLE kv USING bitcask('store'%s)" % options)
                assert rows(loaded) == [("a", "1")]
                assert error_of(loaded, "INSERT INTO kv VALUES ('b', '2')")[0] == "SQLITE_READONLY"
                assert error_of(loaded, "SELECT bitcask_merge('kv')")[0] == "SQLITE_READONLY"
                assert rows(loaded) == [("a", "1")]
                loaded.execute("DROP TABLE kv")

        in_unprivileged_child(read_and_try_to_write)
        assert sorted(os.listdir("store")) == before
        os.chmod("store", 0o755)
        os.chdir("/")


def test_unreadable_directory():
    with tempfile.TemporaryDirectory(dir="/tmp") as directory:
        os.chmod(directory, 0o755)
        os.chdir(directory)
        os.mkdir("store", 0o000)

        def try_to_open():
            loaded = sqlite3.connect(":memory:", isolation_level=None)
            loaded.enable_load_extension(True)
            loaded.load_extension(MODULE)
            without_privileges()
            for options in "", ", read_only=1":
                name, text = error_of(loaded, "CREATE VIRTUAL TABLE kv USING bitcask('store'%s)" % options)
                assert name == "SQLITE_CANTOPEN" and "Permission denied" in text, (name, text)
            # Nor can one be made where there is no permission to write.
            name, text = error_of(loaded, "CREATE VIRTUAL TABLE kv USING bitcask('new')")
            assert name == "SQLITE_CANTOPEN" and "Permission denied" in text, (name, text)
            assert loaded.execute("SELECT count(*) FROM sqlite_schema").fetchone() == (0,)

        in_unprivileged_child(try_to_open)
        assert os.listdir(".") == ["store"]
        os.chdir("/")


# --------------------------------------------------------------------------- fork


def test_child_of_fork_needs_a_handle_of_its_own():
    db = connect("x.db")
    db.execute("INSERT INTO kv VALUES ('a', '1')")
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            name, _ = error_of(db, "SELECT * FROM kv")
            fresh = connect()
            fresh.execute("INSERT INTO kv VALUES ('b', '2')")
            code = 0 if name == "SQLITE_ERROR" and len(rows(fresh)) == 2 else 2
        except BaseException:
            traceback.print_exc()
        os._exit(code)
    assert os.waitpid(pid, 0)[1] == 0
    assert len(rows(db)) == 2
    db.execute("INSERT INTO kv VALUES ('c', '3')")
    assert len(rows(db)) == 3


def main(tests):
    """Run the tests in a module's globals(), or those that are named."""
    names = sys.argv[1:] or [n for n in tests if n.startswith("test_")]
    passed = 0
    for name in names:
        with tempfile.TemporaryDirectory() as directory:
            os.chdir(directory)
            # A test that hangs is a failure, too.
            signal.alarm(120)
            try:
                tests[name]()
                passed += 1
                print("ok - " + name, flush=True)
            except Exception:
                print("not ok - " + name, flush=True)
                traceback.print_exc(file=sys.stdout)
            signal.alarm(0)
            os.chdir("/")
    print("%d passed, %d failed" % (passed, len(names) - passed))
    return passed != len(names)


if __name__ == "__main__":
    if sys.argv[1:2] == ["--child"]:
        child(sys.argv[2])
    elif sys.argv[1:2] == ["--commit-often"]:
        commit_often(int(sys.argv[2]), sys.argv[3])
    else:
        sys.exit(main(globals()))
