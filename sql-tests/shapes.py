#!/usr/bin/python3
"""Tables of random columns, bitcask's and ordinary: same results, or a bug.

    /usr/bin/python3 sql-tests/shapes.py [seed [rounds]]

A round declares t with a key of random type, anywhere among one to five value
columns of random types, once USING bitcask and once as an ordinary table WITHOUT
ROWID.  Then both get the same random statements; rows, error code and text,
changes() of what wrote, last_insert_rowid() and the transaction state must agree.  n is an
ordinary table in both, to join with.  Every fifth database is in UTF-16.  In half of
the rounds files are small, and in most of those they are merged by themselves.

What README says to differ is not generated: keys of another type than the column,
NULL and other types for a value that is raw bytes.  Nor is what depends on the
order in which rows are visited.

A difference is printed as the shortest script that was found to show it.
BITCASK_SO is the module to load (default build/bitcask.so).
"""
import os
import random
import sqlite3
import sys
import tempfile

from differential import changes_of, main

HERE = os.path.dirname(os.path.abspath(__file__))
MODULE = os.path.abspath(os.environ.get("BITCASK_SO", HERE + "/../build/bitcask.so"))
STATEMENTS = 120
MODES = ["", "", "", "", " OR ABORT", " OR FAIL", " OR IGNORE", " OR REPLACE", " OR REPLACE", " OR ROLLBACK"]
KEY_TYPES = ["TEXT", "TEXT", "VARCHAR(20)", "BLOB", "INTEGER", "INT", "BIGINT"]
VALUE_TYPES = ["TEXT", "CLOB", "BLOB", "", "INTEGER", "TINYINT", "REAL", "DOUBLE PRECISION", "NUMERIC",
               "DECIMAL(10,2)", "BOOLEAN", "ANY"]
NUMBERS = [0, 1, -1, 2, 5, 10, 127, 128, -129, 65536, 2**31, 2**47, 2**53 + 1, 2**63 - 1, -2**63, 0.0, -0.0, 1.0,
           5.0, -1.0, 0.5, 5.5, 1e10, 2.0**47, 2.0**53, 2.0**63, -2.0**63, 1e300, float("inf"), float("-inf")]
TEXTS = ["", " ", "a", "A", "b", "ab", "aB", "Ab", "abc", "a%", "a_", "a*", "ä", "\U0001f600", "\uffee", "a ", "5", "05",
         "5.0", " 5", "5 ", "5x", "+5", "-1", "1e1", "5e-1", "0x10", "9223372036854775807", "9223372036854775808", "-0",
         "a\0b", "\0", "x" * 126, "x" * 127, "x" * 128]
BLOBS = [b"", b"\0", b"5", b"a", b"A", b"ab", b"\xff", b"a\0b"]
OPTIONS = ["", "", ", merge=manual", ", max_file_size=1000", ", max_file_size=1000", ", max_file_size=1000, merge=manual"]
COLLATIONS = ["", "", " COLLATE NOCASE", " COLLATE RTRIM", " COLLATE BINARY"]
INEQUALITIES = ["<>", "<", "<=", ">", ">=", "IS NOT"]
# Where rows are put in order a column that equals something is, for SQLite, one value,
# though '5' and '5.0' both equal the number 5.
COMPARISONS = ["=", "=", "==", "IS"] + INEQUALITIES
N = ("CREATE TABLE n(i INTEGER, s TEXT, r REAL, x)",
     "INSERT INTO n VALUES(5, '5', 5.0, '5'), (0, '05', 0.5, 5), (1, 'a', -1.0, x'61'), (NULL, NULL, NULL, NULL),"
     "(-1, 'A', 1e300, 'ab'), (9223372036854775807, '', 9223372036854775808.0, 5.0), (10, '5.0', 10.0, x'')")


def affinity(declared):
    """SQLite's, section 3.1 of datatype3.html."""
    for part, result in [("INT", "INTEGER"), ("CHAR", "TEXT"), ("CLOB", "TEXT"), ("TEXT", "TEXT"), ("BLOB", "BLOB"),
                         ("REAL", "REAL"), ("FLOA", "REAL"), ("DOUB", "REAL")]:
        if part in declared:
            return result
    return "NUMERIC" if declared else "BLOB"


class Schema:
    """The columns of t, and how databases that hold it are made."""

    def __init__(self, rng):
        values = ["c%d" % i for i in range(rng.choice([1, 1, 1, 2, 3, 5]))]
        self.types = {name: rng.choice(VALUE_TYPES) for name in values}
        self.types["k"] = rng.choice(KEY_TYPES)
        self.raw = len(values) == 1 and self.types["c0"] != "" and affinity(self.types["c0"]) in ("TEXT", "BLOB")
        self.not_null = [c for c in values if self.raw or rng.random() < 0.1]
        self.values = values
        self.columns = list(values)
        self.columns.insert(rng.choice([0, 0, rng.randrange(len(values) + 1)]), "k")
        self.utf16 = rng.random() < 0.2
        self.options = rng.choice(OPTIONS)

    def definition(self, is_native):
        def column(c):
            key = " PRIMARY KEY" + " NOT NULL" * is_native if c == "k" else ""
            not_null = " NOT NULL" if c in self.not_null and (is_native or not self.raw) else ""
            return "%s %s%s%s" % (c, self.types[c], key, not_null)
        columns = ", ".join(map(column, self.columns))
        if is_native:
            return "CREATE TABLE t(%s) WITHOUT ROWID" % columns
        return "CREATE VIRTUAL TABLE t USING bitcask('store', %s, sync=off%s)" % (columns, self.options)


class Side:
    """A database with t, bitcask's or an ordinary one."""

    def __init__(self, directory, schema, is_native):
        self.path = "%s/%s.db" % (directory, "native" if is_native else "bitcask")
        self.open()
        if schema.utf16:
            self.db.execute("PRAGMA encoding = 'UTF-16'")
        for sql in (*N, schema.definition(is_native)):
            self.db.execute(sql)

    def open(self):
        self.db = sqlite3.connect(self.path, isolation_level=None)
        self.db.enable_load_extension(True)
        self.db.load_extension(MODULE)
        self.db.text_factory = lambda text: text.decode(errors="surrogateescape")  # a cast BLOB may be anything
        self.db.execute("PRAGMA synchronous = off")

    def run(self, sql, parameters):
        """What can be seen of a statement: rows or error, counters, state."""
        try:
            rows = [repr(row) for row in self.db.execute(sql, parameters).fetchall()]
            result = rows if "ORDER BY" in sql else sorted(rows)
        except sqlite3.Error as e:
            result = (e.sqlite_errorname, str(e))
        rowid = self.db.execute("SELECT last_insert_rowid()").fetchone()
        return result, changes_of(self.db, sql, result), rowid, self.db.in_transaction

    def reopen(self):
        self.db.close()
        self.open()


class Generator:
    """Statements as (sql, parameters); None stands for closing and opening."""

    def __init__(self, rng, schema):
        self.rng = rng
        self.schema = schema
        self.parameters = {}
        self.open = False  # a transaction, as far as we know

    def literal(self, value):
        """In SQL or, as often, bound to a parameter."""
        infinite = isinstance(value, float) and abs(value) == float("inf")
        if self.rng.random() < 0.5 or (isinstance(value, str) and "\0" in value):
            name = "p%d" % len(self.parameters)
            self.parameters[name] = value
            return ":" + name
        if value is None:
            return "NULL"
        if isinstance(value, bytes):
            return "x'%s'" % value.hex()
        if isinstance(value, str):
            return "'%s'" % value
        return ("%s9e999" % ("-" * (value < 0))) if infinite else repr(value)

    def anything(self):
        pool = self.rng.choice([NUMBERS, NUMBERS, TEXTS, TEXTS, BLOBS, [None]])
        return self.literal(self.rng.choice(pool))

    def key(self):
        """One that t takes; sometimes NULL, to be refused."""
        if self.rng.random() < 0.02:
            return "NULL"
        kind = affinity(self.schema.types["k"])
        if kind == "BLOB":
            return self.literal(self.rng.choice(BLOBS + [bytes([self.rng.randrange(97, 123)])]))
        if kind == "INTEGER":
            return self.literal(self.rng.choice([self.rng.randrange(-9, 20), *NUMBERS[:15], 5.0, -1.0, "5", " 5", "-1", "1e1"]))
        if self.rng.random() < 0.3:
            return self.literal("".join(self.rng.choices("abAB5", k=3)))
        return self.literal(self.rng.choice(TEXTS + NUMBERS))

    def value(self, column):
        """One for a column; for raw bytes only what comes back as it went in."""
        if not self.schema.raw or self.rng.random() < 0.02:
            return self.anything() if not self.schema.raw else "NULL"
        if affinity(self.schema.types[column]) == "BLOB":
            return self.literal(self.rng.choice(BLOBS))
        return self.literal(self.rng.choice(TEXTS + NUMBERS))

    def operand(self):
        """What a column may be compared with."""
        r = self.rng.random()
        if r < 0.6:
            return self.key() if r < 0.35 else self.anything()
        if r < 0.7:
            return "CAST(%s AS %s)" % (self.anything(), self.rng.choice(["TEXT", "INTEGER", "REAL", "NUMERIC"]))
        if r < 0.8:
            return "(SELECT %s FROM n WHERE i = %d)" % (self.rng.choice("isrx"), self.rng.choice([5, 0, 1, 10]))
        if r < 0.85:
            return self.rng.choice(["+ ", "- "]) + self.anything()
        if r < 0.9:
            return "(%s || %s)" % (self.anything(), self.rng.choice(["''", "'a'", "5"]))
        return self.column()

    def column(self):
        return self.rng.choice(["k", self.rng.choice(self.schema.columns)])

    def pattern(self):
        return self.literal(self.rng.choice(["a%", "A%", "a*", "a?", "%", "*", "", "5%", "5*", "a_", "ab", "[a]*", "ä%", "ä*"]))

    def term(self, comparisons):
        c = self.column()
        collation = self.rng.choice(COLLATIONS)
        kind = self.rng.randrange(12)
        if kind < 3:
            return "%s%s %s %s" % (c, collation, self.rng.choice(comparisons), self.operand())
        if kind == 3:
            return "%s %s %s%s" % (self.operand(), self.rng.choice(comparisons), c, collation)
        if kind == 4:
            some = ", ".join(self.operand() for _ in range(self.rng.randrange(5)))
            return "%s%s %s (%s)" % (c, collation, self.rng.choice(["IN", "IN", "NOT IN"]), some)
        if kind == 5:
            return "%s%s IN (SELECT %s FROM n)" % (c, collation, self.rng.choice("isrx"))
        if kind == 6:
            return "%s%s BETWEEN %s AND %s" % (c, collation, self.operand(), self.operand())
        if kind == 7:
            return "%s BETWEEN %s AND %s" % (self.operand(), c, self.operand())
        if kind == 8:
            escape = " ESCAPE '_'" if self.rng.random() < 0.2 else ""
            return "%s LIKE %s%s" % (c, self.pattern(), escape)
        if kind == 9:
            return "%s GLOB %s" % (c, self.pattern())
        if kind == 10:
            return "%s %s %s AND %s %s %s" % (c, self.rng.choice(["<", "<="]), self.operand(),
                                              c, self.rng.choice([">", ">="]), self.operand())
        return self.rng.choice(["%s IS NULL", "%s NOTNULL", "typeof(%s) = 'text'", "NOT %s"]) % c

    def where(self, comparisons=COMPARISONS):
        r = self.rng.random()
        if r < 0.15:
            return ""
        if r < 0.7:
            return " WHERE " + self.term(comparisons)
        return " WHERE (%s) %s (%s)" % (self.term(comparisons), self.rng.choice(["AND", "AND", "OR", "AND NOT"]),
                                        self.term(comparisons))

    def insert(self):
        columns = self.schema.columns
        mode = self.rng.choice(MODES)
        if self.rng.random() < 0.1 and not self.schema.raw and affinity(self.schema.types["k"]) == "TEXT":
            values = ", ".join("s" if c == "k" else self.rng.choice("isrx") for c in columns)
            return "INSERT%s INTO t SELECT %s FROM n ORDER BY rowid" % (mode, values)
        if self.rng.random() < 0.2:
            columns = ["k"] + self.rng.sample(self.schema.values, self.rng.randrange(len(self.schema.values) + 1))
        rows = ["(%s)" % ", ".join(self.key() if c == "k" else self.value(c) for c in columns)
                for _ in range(self.rng.choice([1, 1, 2, 5]))]
        returning = " RETURNING *" if self.rng.random() < 0.05 and "IGNORE" not in mode else ""
        return "INSERT%s INTO t(%s) VALUES %s%s" % (mode, ", ".join(columns), ", ".join(rows), returning)

    def update(self):
        """Of many rows only what fails for all alike, whichever is the first."""
        mode = self.rng.choice(MODES)
        if self.rng.random() < 0.4:
            sets = ["k = " + self.key()]
            if self.rng.random() < 0.5:
                c = self.rng.choice(self.schema.values)
                sets.append("%s = %s" % (c, self.value(c)))
            self.rng.shuffle(sets)
            return "UPDATE%s t SET %s WHERE k = %s" % (mode, ", ".join(sets), self.key())
        c = self.rng.choice(self.schema.values)
        new = self.value(c)
        if self.rng.random() < 0.3 and not self.schema.raw and not self.schema.not_null:
            new = self.rng.choice([self.column(), "%s || 'x'" % self.column(), "typeof(%s)" % self.column()])
        where = self.where() if mode != " OR FAIL" else " WHERE k = " + self.key()
        return "UPDATE%s t SET %s = %s%s" % (mode, c, new, where)

    def select(self):
        r = self.rng.random()
        c = self.column()
        if r < 0.3:
            return "SELECT *, typeof(%s) FROM t%s" % (c, self.where())
        if r < 0.5:
            order = "%s%s%s, k%s" % (c, self.rng.choice(COLLATIONS), self.rng.choice(["", " ASC", " DESC"]),
                                     self.rng.choice(["", " DESC"]))
            order = self.rng.choice([order, "k", "k DESC"])
            limit = self.rng.choice(["", " LIMIT %d", " LIMIT %d OFFSET 2", " LIMIT -1 OFFSET %d"])
            return "SELECT * FROM t%s ORDER BY %s%s" % (
                self.where(INEQUALITIES), order, limit % self.rng.randrange(5) if limit else "")
        if r < 0.6:
            return "SELECT DISTINCT quote(%s) FROM t%s" % (c, self.where())
        if r < 0.75:
            what = self.rng.choice(["count(*)", "count(%s)", "count(DISTINCT %s)", "max(%s) >= 5",
                                    "min(%s) < 'a'", "max(%s) = min(%s), count(*)", "max(k), min(k)"])
            return "SELECT %s FROM t%s" % (what.replace("%s", c), self.where(INEQUALITIES))
        if r < 0.8:
            return "SELECT typeof(%s), count(*) FROM t%s GROUP BY 1" % (c, self.where())
        if r < 0.95:
            join = self.rng.choice(["n JOIN t", "t JOIN n", "n LEFT JOIN t", "t LEFT JOIN n", "n CROSS JOIN t"])
            on = self.rng.choice(["%s = n.%s", "n.%s = %s", "%s >= n.%s", "%s IS n.%s"])
            pair = (self.rng.choice("isrx"), "t." + c)
            on = on % (pair if on.startswith("n.") else pair[::-1])
            return "SELECT * FROM %s ON %s%s" % (join, on, self.where())
        return "SELECT a.k, b.%s FROM t a JOIN t b ON a.%s = b.k" % (c, self.column())

    def transaction(self):
        """Mostly one that is possible; what fails may have ended the transaction."""
        if not self.open:
            self.open = True
            return self.rng.choice(["BEGIN", "BEGIN", "SAVEPOINT a", "SAVEPOINT b"])
        if self.rng.random() < 0.3:
            self.open = False
            return self.rng.choice(["COMMIT", "ROLLBACK"])
        return self.rng.choice(["SAVEPOINT a", "SAVEPOINT b", "SAVEPOINT b", "ROLLBACK TO a", "ROLLBACK TO b", "RELEASE a"])

    def statement(self):
        self.parameters = {}
        r = self.rng.random()
        if r < 0.01:
            return None
        if r < 0.03:
            sql = "PRAGMA case_sensitive_like = %d" % self.rng.randrange(2)
        elif r < 0.25:
            sql = self.insert()
        elif r < 0.37:
            sql = self.update()
        elif r < 0.41:
            sql = "DELETE FROM t" + self.where()
        elif r < 0.5:
            sql = self.transaction()
        else:
            sql = self.select()
        return sql, self.parameters


def difference(schema, statements):
    """(number of statements until the sides differ, what they show), or None."""
    with tempfile.TemporaryDirectory() as directory:
        sides = [Side(directory, schema, is_native) for is_native in (False, True)]
        try:
            for i, statement in enumerate(statements):
                if statement is None:
                    for side in sides:
                        side.reopen()
                    continue
                for check in (statement, ("SELECT * FROM t", {})):
                    shown = [side.run(*check) for side in sides]
                    if shown[0] != shown[1]:
                        return i + 1, (check, *shown)
        finally:
            for side in sides:
                side.db.close()
    return None


def shorten(schema, statements, found):
    """Leave out whatever is not needed for some difference."""
    statements = statements[:found[0]]
    i = len(statements) - 2
    while i >= 0:
        shorter = statements[:i] + statements[i + 1:]
        still = difference(schema, shorter)
        if still:
            statements, found = shorter[:still[0]], still
        i = min(i, len(statements)) - 1
    return statements, found[1]


def play(seed):
    """One round; None or the story of a difference."""
    rng = random.Random(seed)
    schema = Schema(rng)
    generator = Generator(rng, schema)
    statements = [generator.statement() for _ in range(STATEMENTS)]
    found = difference(schema, statements)
    if not found:
        return None
    statements, (check, ours, native) = shorten(schema, statements, found)
    story = ["PRAGMA encoding = 'UTF-16'"] * schema.utf16 + [*N, schema.definition(False), schema.definition(True)]
    story += ["%s -- %r" % s if s and s[1] else s[0] if s else "-- closed and opened" for s in statements]
    return "%s\n%s\nbitcask: %s\nnative:  %s" % ("\n".join(story), check, ours, native)


if __name__ == "__main__":
    sys.exit(main(play, "shapes.py"))
