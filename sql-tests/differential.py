#!/usr/bin/python3
"""Random SQL on a bitcask table and on an ordinary one: same results, or a bug.

    /usr/bin/python3 sql-tests/differential.py [seed [rounds]]

Every round runs the same statements on two databases: multi-row inserts, updates
and deletes in every conflict mode, transactions, savepoints, statements that
fail half-way, connections that are closed.  On bitcask's side merges run in
between, in half of the rounds by themselves as well, and queries are left half-way
and read on later: their rows must be those of the moment they began at, which on the
other side are read at once.  A second connection looks on: it sees what is committed and nothing else.  In the one, t and u
are bitcask tables; in the other, they are ordinary tables WITHOUT ROWID, with the same
columns, which are of another shape every two rounds.
After each statement the result rows, the error code and text, changes() if it wrote, the
transaction state and, now and then, all rows are compared.  In every other round t
and u are two bitcask tables on one directory, and one and the same ordinary table.

BITCASK_SO is the module to load (default build/bitcask.so).
"""
import os
import random
import sqlite3
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.abspath(os.environ.get("BITCASK_SO", HERE + "/../build/bitcask.so"))
STATEMENTS = 150
FILE_SIZE = 2000  # bytes: files are sealed, and merged, all the time
MERGES = ["", ", merge=manual"]  # by default also by themselves
MAX_QUERIES = 3   # left half-way at a time
MODES = ["", "", "", "", "", " OR ABORT", " OR FAIL", " OR IGNORE", " OR REPLACE", " OR REPLACE", " OR ROLLBACK"]
# Columns; are the keys numbers; are there columns extra and n.
SHAPES = [("key TEXT PRIMARY KEY, value BLOB NOT NULL", False, False),
          ("key INTEGER PRIMARY KEY, value BLOB NOT NULL", True, False),
          ("value BLOB NOT NULL, key TEXT PRIMARY KEY, extra NUMERIC, n TEXT NOT NULL", False, True),
          ("key INTEGER PRIMARY KEY, extra, value BLOB, n REAL NOT NULL", True, True)]
NATIVE = "CREATE TABLE %s(%s) WITHOUT ROWID"


def changes_of(db, sql, result):
    """changes() of what has just written; the first read of a transaction sets it to 0, as README says."""
    wrote = sql.startswith(("INSERT", "UPDATE", "DELETE", "REPLACE")) and not isinstance(result, tuple)
    return db.execute("SELECT changes()").fetchone()[0] if wrote else None


class Bitcask:
    """A database whose tables are bitcask's."""

    def __init__(self, directory, shared, columns, options=""):
        self.path = directory + "/bitcask.db"
        self.shared = shared
        self.open()
        for table in "tu":
            store = "shared" if shared else "store-" + table
            self.db.execute("CREATE VIRTUAL TABLE %s USING bitcask('%s', %s, sync=off, max_file_size=%d%s)"
                            % (table, store, columns, FILE_SIZE, options))

    def connect(self):
        db = sqlite3.connect(self.path, isolation_level=None)
        db.enable_load_extension(True)
        db.load_extension(MODULE)
        db.execute("PRAGMA synchronous=off")
        return db

    def open(self):
        self.db = self.connect()
        self.neighbour = self.connect()

    def message(self, text):
        """Where t and u are one table, the text can name but one of them."""
        return text.replace(" u.", " t.") if self.shared else text

    def run(self, sql, neighbour=False):
        """What can be seen of a statement: rows or error, counters, state."""
        if neighbour:
            return sorted(self.neighbour.execute(sql).fetchall(), key=repr)
        try:
            result = self.db.execute(sql).fetchall()
            if "ORDER BY" not in sql:
                result.sort(key=repr)
        except sqlite3.Error as e:
            result = (e.sqlite_errorname, self.message(str(e)))
        return result, changes_of(self.db, sql, result), self.db.in_transaction

    def reopen(self):
        self.close()
        self.open()

    def close(self):
        self.db.close()
        self.neighbour.close()


class Native(Bitcask):
    """The same with ordinary tables; shared: u is another name of t."""

    def __init__(self, directory, shared, columns, options=""):
        self.path = directory + "/native.db"
        self.shared = shared
        self.open()
        for table in "t" if shared else "tu":
            self.db.execute(NATIVE % (table, columns))

    def run(self, sql, neighbour=False):
        return super().run(sql.replace(" u ", " t ") if self.shared else sql, neighbour)


class Generator:
    """Statements whose result does not depend on the order rows are visited in."""

    def __init__(self, rng, numbers, extra):
        self.rng = rng
        self.numbers = numbers
        self.extra = extra
        self.savepoints = []  # names, as far as we know

    def key(self):
        r = self.rng.random()
        if r < 0.03:
            return "NULL"
        if self.numbers:
            return self.rng.choice(["%d", "%d", "%d", "%d.0", "'%d'"]) % self.rng.randrange(-8, 24)
        if r < 0.08:
            return self.rng.choice(["''", "' '", "'ä'", "1.5", "-1", "'A'", "char(0)"])
        if r < 0.2:
            return str(self.rng.randrange(8))
        return "'%s'" % self.rng.choice("abcdefgh01234567")

    def value(self):
        if self.rng.random() < 0.03:
            return "NULL"
        size = self.rng.choice([0, 1, 3, 3, 3, 200])
        return "x'%s'" % self.rng.randbytes(size).hex()

    def anything(self):
        """A value of any type."""
        if self.rng.random() < 0.3:
            return self.value()
        return self.rng.choice(["5", "5.0", "'5'", "2.5", "'x'", "''", "-1e300", "NULL", "9223372036854775807"])

    def bound(self):
        """What a key may be compared with."""
        if self.rng.random() < 0.15:
            return self.rng.choice(["x'35'", "3.5", "'3.5'", "'x'", "'!'", "-1e300", "1e300",
                                    "CAST(5 AS INTEGER)", "CAST('5' AS TEXT)", "(SELECT max(key) FROM t)"])
        return self.key()

    def where(self):
        kind = self.rng.randrange(10)
        if kind < 4:
            return "WHERE key = " + self.bound()
        if kind == 4:
            return "WHERE key IN (%s)" % ", ".join(self.bound() for _ in range(self.rng.randrange(5)))
        if kind == 5:
            return "WHERE key %s %s" % (self.rng.choice(["<", ">=", "<>", "IS", "IS NOT"]), self.bound())
        if kind == 6:
            return "WHERE key BETWEEN %s AND %s AND length(value) > 1" % (self.bound(), self.bound())
        if kind == 7:
            return "WHERE %s >= key AND key > %s" % (self.bound(), self.bound())
        if kind == 8 and self.extra:
            return "WHERE %s %s %s" % (self.rng.choice(["extra", "n"]), self.rng.choice(["=", "<", "IS", ">="]),
                                       self.anything())
        return ""

    def row(self, key, value):
        if not self.extra:
            return "(%s, %s)" % (key, value)
        return "(%s, %s, %s, %s)" % (key, value, self.anything(), self.anything())

    def columns(self):
        return "key, value, extra, n" if self.extra else "key, value"

    def insert(self, table, mode):
        if self.rng.random() < 0.15:
            source = self.rng.choice("tu")
            key = self.rng.choice(["key", "key + 1", "-key"] if self.numbers else ["key", "key || 'x'", "key || 1"])
            return ("INSERT%s INTO %s (%s) SELECT %s, %s FROM %s %s ORDER BY key"
                    % (mode, table, self.columns(), key, self.columns()[5:], source, self.where()))
        rows = [self.row(self.key(), self.value()) for _ in range(self.rng.choice([1, 1, 2, 4]))]
        return "INSERT%s INTO %s (%s) VALUES %s" % (mode, table, self.columns(), ", ".join(rows))

    def update(self, table, mode):
        kind = self.rng.randrange(6 if self.extra else 4)
        if kind == 0:  # one row only: otherwise the order would count
            return "UPDATE%s %s SET key = %s WHERE key = %s" % (mode, table, self.key(), self.key())
        if kind == 1:
            return ("UPDATE%s %s SET key = %s, value = %s WHERE key = %s"
                    % (mode, table, self.key(), self.value(), self.key()))
        if kind == 2:
            return "UPDATE%s %s SET value = CAST(value || x'2b' AS BLOB) %s" % (mode, table, self.where())
        if kind == 3:
            return "UPDATE%s %s SET value = %s %s" % (mode, table, self.value(), self.where())
        if kind == 4:
            return ("UPDATE%s %s SET key = %s, extra = %s WHERE key = %s"
                    % (mode, table, self.key(), self.anything(), self.key()))
        return "UPDATE%s %s SET %s = %s %s" % (mode, table, self.rng.choice(["n", "extra"]),
                                               self.anything(), self.where())

    def transaction(self, in_transaction):
        if not in_transaction:
            self.savepoints = []
        names = self.savepoints
        r = self.rng.random()
        if not in_transaction and r < 0.7:
            return "BEGIN"
        if r < 0.45 or not in_transaction:
            names.append(self.rng.choice("wxyz"))
            return "SAVEPOINT " + names[-1]
        if r < 0.6:
            return self.rng.choice(["COMMIT", "ROLLBACK"])
        if not names or r < 0.65:  # likely an error
            return self.rng.choice(["BEGIN", "RELEASE w", "ROLLBACK TO x"])
        name = self.rng.choice(names)
        last = len(names) - 1 - names[::-1].index(name)
        back = r < 0.85
        del names[last + back:]
        return ("ROLLBACK TO " if back else "RELEASE ") + name

    def select(self, table):
        what = self.rng.choice(["key, hex(value)", "key", "count(*)", "max(key), count(value)",
                                "key, typeof(key)"] + ["*", "n, typeof(extra), key"] * self.extra)
        order = "" if "(*)" in what or "max" in what else self.rng.choice(
            ["", "", " ORDER BY key", " ORDER BY key DESC", " ORDER BY key LIMIT 3 OFFSET 1"])
        return "SELECT %s FROM %s %s%s" % (what, table, self.where(), order)

    def statement(self, in_transaction):
        table = self.rng.choice("tu")
        mode = self.rng.choice(MODES)
        r = self.rng.random()
        if r < 0.3:
            return self.insert(table, mode)
        if r < 0.5:
            return self.update(table, mode)
        if r < 0.57:
            return "DELETE FROM %s %s" % (table, self.where())
        if r < 0.85:
            return self.transaction(in_transaction)
        if r < 0.86:
            return None
        return self.select(table)


class Queries:
    """Queries that were left half-way on bitcask's side, and the rows that they must give."""

    def __init__(self, rng, ours, native):
        self.rng, self.ours, self.native = rng, ours, native
        self.open = []  # cursor, rows so far, rows wanted, statement

    def begin(self):
        sql = "SELECT key, hex(value) FROM %s " % self.rng.choice("tu")
        want, _, _ = self.native.run(sql)
        cursor = self.ours.db.execute(sql)
        # An exhausted cursor would be closed, and hold nothing.
        self.open.append((cursor, cursor.fetchmany(self.rng.randrange(1, 4)), want, sql))
        return "(begun: %s)" % sql

    def end(self, which):
        """What differs in the rows of a query that is now read to its end."""
        cursor, rows, want, sql = self.open.pop(which)
        got = sorted(rows + cursor.fetchall(), key=repr)
        return None if got == want else "(read on: %s)\nbitcask: %s\nnative:  %s" % (sql, got, want)

    def end_all(self):
        return next((d for d in [self.end(-1) for _ in range(len(self.open))] if d), None)

    def step(self, history):
        """Begin, read on, or do nothing."""
        r = self.rng.random()
        if r < 0.1 and len(self.open) < MAX_QUERIES:
            history.append(self.begin())
        elif r < 0.2 and self.open:
            history.append("(a query read to its end)")
            return self.end(self.rng.randrange(len(self.open)))
        return None


def check(sides, sql, neighbour=False):
    """What differs between the two, if anything."""
    ours, native = [side.run(sql, neighbour) for side in sides]
    if ours == native:
        return None
    return "%s%s\nbitcask: %s\nnative:  %s" % (sql, " (by the neighbour)" * neighbour, ours, native)


def step(rng, generator, sides, queries, history, look):
    """One statement on both sides and what goes with it; None or what differed."""
    if rng.random() < 0.04 and not sides[0].db.in_transaction:
        table = rng.choice("tu")
        sides[0].db.execute("SELECT bitcask_merge('%s')" % table).fetchall()
        history.append("(merged %s)" % table)
    difference = queries.step(history)
    sql = generator.statement(sides[0].db.in_transaction)
    if sql is None:
        difference = difference or queries.end_all()
        for side in sides:
            side.reopen()
    history.append(sql or "(connections closed and opened)")
    if sql and not difference:
        difference = check(sides, sql)
    for table in "tu" if look else "":
        sql = "SELECT %s, typeof(value) FROM %s " % (generator.columns(), table)
        difference = difference or check(sides, sql) or check(sides, sql, neighbour=True)
    return difference


def play(seed):
    """One round; None or what differed."""
    rng = random.Random(seed)
    columns, numbers, extra = SHAPES[seed // 2 % len(SHAPES)]
    generator = Generator(rng, numbers, extra)
    history = []
    with tempfile.TemporaryDirectory() as directory:
        options = rng.choice(MERGES)
        sides = [kind(directory, seed % 2 == 1, columns, options) for kind in (Bitcask, Native)]
        queries = Queries(rng, *sides)
        for i in range(STATEMENTS):
            look = i % 5 == 0 or i == STATEMENTS - 1
            difference = step(rng, generator, sides, queries, history, look)
            if difference:
                return "%s;\n-- %s" % (";\n".join(history), difference)
        difference = queries.end_all()
        for side in sides:
            side.close()
    return difference


def main(play, name):
    """Rounds of a random test, with the seed and as many as the command line says."""
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**9)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    failed = 0
    print("seed %d" % seed, flush=True)
    for i in range(rounds):
        difference = play(seed + i)
        if difference:
            failed += 1
            print("not ok - %s %d 1\n%s" % (name, seed + i, difference), flush=True)
    print("%d passed, %d failed" % (rounds - failed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main(play, "differential.py"))
