/*
** sql.c - the engines that are reached through SQL: our virtual table, and
** SQLite's two kinds of table with a unique text key.
**
** All use prepared statements.  SQLite's tables: WAL, memory-mapped reads, the
** default page cache but for the load (a large one makes small commits slower),
** UPDATE for keys known to be there (REPLACE would delete and insert).
*/
#include "bench.h"

#include <sqlite3.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

enum { INSERT, OVERWRITE, GET, SCAN, SCAN_KEYS, COUNT, BEGIN, COMMIT, N_STATEMENTS };

typedef struct sql_store {
  sqlite3 *db;
  sqlite3_stmt *st[N_STATEMENTS];
  sync_mode mode;
  void *(*open)(const char *dir, sync_mode mode);
} sql_store;

static const char *module;

void sql_set_module(const char *path) { module = path; }

static void check(const sql_store *s, int rc, int want) {
  if (rc != want) {
    bench_die("sqlite: %d: %s", rc, sqlite3_errmsg(s->db));
  }
}

__attribute__((format(printf, 2, 3))) static void run(const sql_store *s, const char *format, ...) {
  va_list ap;
  char *sql;

  va_start(ap, format);
  sql = sqlite3_vmprintf(format, ap);
  va_end(ap);
  if (!sql) {
    bench_die("out of memory");
  }
  if (sqlite3_exec(s->db, sql, NULL, NULL, NULL)) {
    bench_die("%s: %s", sql, sqlite3_errmsg(s->db));
  }
  sqlite3_free(sql);
}

static sql_store *open_db(const char *path, sync_mode mode) {
  sql_store *s = bench_alloc(sizeof *s);

  memset(s, 0, sizeof *s);
  s->mode = mode;
  check(s,
        sqlite3_open_v2(path, &s->db,
                        SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX, NULL),
        SQLITE_OK);
  check(s, sqlite3_busy_timeout(s->db, 10000), SQLITE_OK);
  return s;
}

static void prepare(sql_store *s, const char *overwrite) {
  const char *sql[N_STATEMENTS] = {
      [INSERT] = "INSERT INTO t(key, value) VALUES(?1, ?2)",
      [OVERWRITE] = overwrite,
      [GET] = "SELECT value FROM t WHERE key = ?1",
      [SCAN] = "SELECT key, value FROM t",
      [SCAN_KEYS] = "SELECT key FROM t",
      [COUNT] = "SELECT count(*) FROM t",
      [BEGIN] = "BEGIN",
      [COMMIT] = "COMMIT",
  };

  for (int i = 0; i < N_STATEMENTS; i++) {
    check(s, sqlite3_prepare_v3(s->db, sql[i], -1, SQLITE_PREPARE_PERSISTENT, &s->st[i], NULL),
          SQLITE_OK);
  }
}

/* ------------------------------------------------------ opening, by engine */

static void load_module(const sql_store *s) {
  char *text = NULL;

  check(s, sqlite3_db_config(s->db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, NULL), SQLITE_OK);
  if (sqlite3_load_extension(s->db, module, NULL, &text)) {
    bench_die("%s: %s", module, text ? text : "cannot be loaded");
  }
}

/* The sync mode belongs to the table, which is therefore declared anew if the
** mode is another; the directory stays. */
static void *open_bitcask(const char *dir, const char *db, sync_mode mode) {
  const char *sync = mode == SYNC_FULL ? "full" : "normal";
  sql_store *s = open_db(db, mode);
  char *declaration =
      sqlite3_mprintf("CREATE VIRTUAL TABLE t USING bitcask('%q/kv', sync=%s)", dir, sync);
  sqlite3_stmt *st = NULL;
  bool declared;

  if (!declaration) {
    bench_die("out of memory");
  }
  load_module(s);
  run(s, "PRAGMA journal_mode = WAL");
  check(s, sqlite3_prepare_v2(s->db, "SELECT 1 FROM sqlite_schema WHERE sql = ?1", -1, &st, NULL),
        SQLITE_OK);
  check(s, sqlite3_bind_text(st, 1, declaration, -1, SQLITE_STATIC), SQLITE_OK);
  declared = sqlite3_step(st) == SQLITE_ROW;
  check(s, sqlite3_finalize(st), SQLITE_OK);
  if (!declared) {
    run(s, "DROP TABLE IF EXISTS t; %s", declaration);
  }
  sqlite3_free(declaration);
  prepare(s, "REPLACE INTO t(key, value) VALUES(?1, ?2)");
  return s;
}

static void *open_bitcask_memory(const char *dir, sync_mode mode) {
  sql_store *s = open_bitcask(dir, ":memory:", mode);
  s->open = open_bitcask_memory;
  return s;
}

static char *file_in(const char *dir) {
  char *path = sqlite3_mprintf("%s/bench.db", dir);

  if (!path) {
    bench_die("out of memory");
  }
  return path;
}

static void *open_bitcask_file(const char *dir, sync_mode mode) {
  char *path = file_in(dir);
  sql_store *s = open_bitcask(dir, path, mode);

  s->open = open_bitcask_file;
  sqlite3_free(path);
  return s;
}

static sql_store *open_native(const char *dir, sync_mode mode, const char *suffix) {
  char *path = file_in(dir);
  sql_store *s = open_db(path, mode);

  run(s,
      "PRAGMA journal_mode = WAL; PRAGMA synchronous = %s; PRAGMA mmap_size = 2147418112;"
      "PRAGMA cache_size = %d; CREATE TABLE IF NOT EXISTS t(key TEXT %s",
      mode == SYNC_FULL ? "FULL" : "NORMAL", mode == SYNC_LOAD ? -1000000 : -2000, suffix);
  prepare(s, "UPDATE t SET value = ?2 WHERE key = ?1");
  sqlite3_free(path);
  return s;
}

static void *open_rowid(const char *dir, sync_mode mode) {
  sql_store *s = open_native(dir, mode, "NOT NULL UNIQUE, value BLOB NOT NULL)");
  s->open = open_rowid;
  return s;
}

static void *open_without_rowid(const char *dir, sync_mode mode) {
  sql_store *s = open_native(dir, mode, "PRIMARY KEY, value BLOB NOT NULL) WITHOUT ROWID");
  s->open = open_without_rowid;
  return s;
}

static void *sql_share(void *store, const char *dir) {
  const sql_store *s = store;
  return s->open(dir, s->mode);
}

static void sql_close(void *store) {
  sql_store *s = store;

  for (int i = 0; i < N_STATEMENTS; i++) {
    check(s, sqlite3_finalize(s->st[i]), SQLITE_OK);
  }
  if (sqlite3_close(s->db)) {
    bench_die("sqlite: the connection cannot be closed");
  }
  free(s);
}

/* --------------------------------------------------------------- operations */

static void step_once(const sql_store *s, int statement) {
  check(s, sqlite3_step(s->st[statement]), SQLITE_DONE);
  check(s, sqlite3_reset(s->st[statement]), SQLITE_OK);
}

static void sql_begin(void *store, bool write) {
  (void)write; /* a deferred transaction becomes one of either kind by its first statement */
  step_once(store, BEGIN);
}

static void sql_commit(void *store) { step_once(store, COMMIT); }

static void bind_and_step(const sql_store *s, int statement, const char *key, const void *value,
                          size_t n) {
  check(s, sqlite3_bind_text(s->st[statement], 1, key, KEY_SZ, SQLITE_STATIC), SQLITE_OK);
  check(s, sqlite3_bind_blob(s->st[statement], 2, value, (int)n, SQLITE_STATIC), SQLITE_OK);
  step_once(s, statement);
}

static void sql_put(void *store, const char *key, const void *value, size_t n) {
  bind_and_step(store, INSERT, key, value, n);
}

static void sql_overwrite(void *store, const char *key, const void *value, size_t n) {
  bind_and_step(store, OVERWRITE, key, value, n);
}

/* Reset before the return: an open SELECT would hold a snapshot against the
** writes that follow. */
static bool sql_get(void *store, const char *key, uint64_t item, uint64_t *version) {
  const sql_store *s = store;
  sqlite3_stmt *st = s->st[GET];
  int rc;

  check(s, sqlite3_bind_text(st, 1, key, KEY_SZ, SQLITE_STATIC), SQLITE_OK);
  rc = sqlite3_step(st);
  if (rc == SQLITE_ROW) {
    const void *value = sqlite3_column_blob(st, 0);
    bench_check_value("SQL", item, value, (size_t)sqlite3_column_bytes(st, 0), version);
  } else {
    check(s, rc, SQLITE_DONE);
  }
  check(s, sqlite3_reset(st), SQLITE_OK);
  return rc == SQLITE_ROW;
}

static void sql_scan(void *store, bool values, scan_sum *sum) {
  const sql_store *s = store;
  sqlite3_stmt *st = s->st[values ? SCAN : SCAN_KEYS];
  int rc;

  while ((rc = sqlite3_step(st)) == SQLITE_ROW) {
    scan_add_key(sum, sqlite3_column_text(st, 0));
    if (values) {
      scan_add_value(sum, sqlite3_column_blob(st, 1), (size_t)sqlite3_column_bytes(st, 1));
    }
  }
  check(s, rc, SQLITE_DONE);
  check(s, sqlite3_reset(st), SQLITE_OK);
}

static uint64_t sql_count(void *store) {
  const sql_store *s = store;
  uint64_t n;

  check(s, sqlite3_step(s->st[COUNT]), SQLITE_ROW);
  n = (uint64_t)sqlite3_column_int64(s->st[COUNT], 0);
  check(s, sqlite3_reset(s->st[COUNT]), SQLITE_OK);
  return n;
}

#define SQL_OPERATIONS                                                                             \
  .side = SIDE_SQL, .share = sql_share, .close = sql_close, .begin = sql_begin,                    \
  .commit = sql_commit, .put = sql_put, .overwrite = sql_overwrite, .get = sql_get,                \
  .scan = sql_scan, .count = sql_count

const engine sql_bitcask = {
    .name = "bitcask", .ours = true, .open = open_bitcask_memory, SQL_OPERATIONS};
const engine sql_bitcask_file = {
    .name = "bitcask-in-db", .ours = true, .open = open_bitcask_file, SQL_OPERATIONS};
const engine sql_rowid = {.name = "rowid", .is_peer = true, .open = open_rowid, SQL_OPERATIONS};
const engine sql_without_rowid = {
    .name = "without-rowid", .is_peer = true, .open = open_without_rowid, SQL_OPERATIONS};
