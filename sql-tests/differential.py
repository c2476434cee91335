#!/usr/bin/python3
"""Random SQL on a bitcask table and on an ordinary one: same results, or a bug.

    /usr/bin/python3 sql-tests/differential.py [seed [rounds]]

Every round runs the same statements on two databases: multi-row inserts, updates
and deletes in every conflict mode, transactions, savepoints, statements that
fail half-way, connections that are closed.  In the one, t and u are bitcask
tables; in the other, they are
CREATE TABLE t(key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID.
After each statement the result rows, the error code and text, changes(), the
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
MODES = ["", "", "", "", "", " OR ABORT", " OR FAIL", " OR IGNORE", " OR REPLACE", " OR REPLACE", " OR ROLLBACK"]
NATIVE = "CREATE TABLE %s(key TEXT PRIMARY KEY NOT NULL, value BLOB NOT NULL) WITHOUT ROWID"


class Bitcask:
    """A database whose tables are bitcask's."""

    def __init__(self, directory, shared):
        self.path = directory + "/bitcask.db"
        self.shared = shared
        self.open()
        for table in "tu":
            store = "shared" if shared else "store-" + table
            self.db.execute("CREATE VIRTUAL TABLE %s USING bitcask('%s', sync=off)" % (table, store))

    def open(self):
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.enable_load_extension(True)
        self.db.load_extension(MODULE)
        self.db.execute("PRAGMA synchronous=off")

    def message(self, text):
        """Where t and u are one table, the text can name but one of them."""
        return text.replace(" u.", " t.") if self.shared else text

    def run(self, sql):
        """What can be seen of a statement: rows or error, counters, state."""
        try:
            result = sorted(self.db.execute(sql).fetchall())
        except sqlite3.Error as e:
            result = (e.sqlite_errorname, self.message(str(e)))
        changes = self.db.execute("SELECT changes()").fetchone()[0]
        return result, changes, self.db.in_transaction

    def reopen(self):
        self.db.close()
        self.open()


class Native(Bitcask):
    """The same with ordinary tables; shared: u is another name of t."""

    def __init__(self, directory, shared):
        self.path = directory + "/native.db"
        self.shared = shared
        self.open()
        for table in "t" if shared else "tu":
            self.db.execute(NATIVE % table)

    def run(self, sql):
        return super().run(sql.replace(" u ", " t ") if self.shared else sql)


class Generator:
    """Statements whose result does not depend on the order rows are visited in."""

    def __init__(self, rng):
        self.rng = rng
        self.savepoints = []  # names, as far as we know

    def key(self):
        r = self.rng.random()
        if r < 0.03:
            return "NULL"
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

    def where(self):
        kind = self.rng.randrange(8)
        if kind < 4:
            return "WHERE key = " + self.key()
        if kind == 4:
            return "WHERE key IN (%s)" % ", ".join(self.key() for _ in range(self.rng.randrange(5)))
        if kind == 5:
            return "WHERE key %s %s" % (self.rng.choice(["<", ">=", "<>", "IS", "IS NOT"]), self.key())
        if kind == 6:
            return "WHERE key BETWEEN 'b' AND 'f' AND length(value) > 1"
        return ""

    def insert(self, table, mode):
        if self.rng.random() < 0.15:
            source = self.rng.choice("tu")
            return ("INSERT%s INTO %s SELECT key || '%s', value FROM %s %s ORDER BY key"
                    % (mode, table, self.rng.choice(["", "x", "1"]), source, self.where()))
        rows = ["(%s, %s)" % (self.key(), self.value()) for _ in range(self.rng.choice([1, 1, 2, 4]))]
        return "INSERT%s INTO %s VALUES %s" % (mode, table, ", ".join(rows))

    def update(self, table, mode):
        kind = self.rng.randrange(4)
        if kind == 0:  # one row only: otherwise the order would count
            return "UPDATE%s %s SET key = %s WHERE key = %s" % (mode, table, self.key(), self.key())
        if kind == 1:
            return ("UPDATE%s %s SET key = %s, value = %s WHERE key = %s"
                    % (mode, table, self.key(), self.value(), self.key()))
        if kind == 2:
            return "UPDATE%s %s SET value = CAST(value || x'2b' AS BLOB) %s" % (mode, table, self.where())
        return "UPDATE%s %s SET value = %s %s" % (mode, table, self.value(), self.where())

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
                                "key, typeof(key)"])
        return "SELECT %s FROM %s %s" % (what, table, self.where())

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


def play(seed):
    """One round; None or what differed."""
    rng = random.Random(seed)
    generator = Generator(rng)
    history = []
    with tempfile.TemporaryDirectory() as directory:
        sides = [kind(directory, seed % 2 == 1) for kind in (Bitcask, Native)]
        for i in range(STATEMENTS):
            sql = generator.statement(sides[0].db.in_transaction)
            history.append(sql or "(connection closed and opened)")
            if sql is None:
                for side in sides:
                    side.reopen()
                continue
            checks = [sql]
            if i % 5 == 0 or i == STATEMENTS - 1:
                checks += ["SELECT key, hex(value) FROM %s " % t for t in "tu"]
            for check in checks:
                ours, native = [side.run(check) for side in sides]
                if ours != native:
                    return "%s;\n-- %s\nbitcask: %s\nnative:  %s" % (
                        ";\n".join(history), check, ours, native)
        for side in sides:
            side.db.close()
    return None


def main():
    seed = int(sys.argv[1]) if len(sys.argv) > 1 else random.SystemRandom().randrange(10**9)
    rounds = int(sys.argv[2]) if len(sys.argv) > 2 else 200
    failed = 0
    print("seed %d" % seed, flush=True)
    for i in range(rounds):
        difference = play(seed + i)
        if difference:
            failed += 1
            print("not ok - differential.py %d 1\n%s" % (seed + i, difference), flush=True)
    print("%d passed, %d failed" % (rounds - failed, failed))
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
