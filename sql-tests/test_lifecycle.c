/*
** test_lifecycle.c - what only a C program can do to a connection: close it with
** statements left, make it a zombie, refuse its commits, drop its modules, load the
** module again and again, share it between threads.
**
** Built twice: with the module loaded from BITCASK_SO (default build/bitcask.so), and with
** SQLITE_CORE, linked statically, as programs do that contain SQLite.
*/
#include "../bitcask/tests/tempdir.h"
#include "../bitcask/tests/test.h"

#include <pthread.h>
#include <sqlite3.h>

#define CREATE "CREATE VIRTUAL TABLE IF NOT EXISTS kv USING bitcask('store', sync=off)"

static char home[4096];

/* Load the module into a connection (once more). */
#ifdef SQLITE_CORE
int sqlite3_bitcask_init(sqlite3 *db, char **err, const void *api);

static int load(sqlite3 *db) {
  char *text = NULL;
  int rc = sqlite3_bitcask_init(db, &text, NULL);
  sqlite3_free(text);
  return rc;
}
#else
static char *module; /* the path of it */

static int load(sqlite3 *db) {
  int on;
  sqlite3_db_config(db, SQLITE_DBCONFIG_ENABLE_LOAD_EXTENSION, 1, &on);
  return sqlite3_load_extension(db, module, NULL, NULL);
}
#endif

static sqlite3 *open_db(const char *file) {
  sqlite3 *db = NULL;
  int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_FULLMUTEX;
  CHECK_EQ(sqlite3_open_v2(file, &db, flags, NULL), SQLITE_OK);
  CHECK_EQ(load(db), SQLITE_OK);
  sqlite3_busy_timeout(db, 60000);
  return db;
}

/* Run statements; what goes wrong must be `want`. */
static void run_rc(sqlite3 *db, const char *sql, int want) {
  int rc = sqlite3_exec(db, sql, NULL, NULL, NULL);
  if (rc != want) {
    TEST_FAIL("%s: %d, not %d: %s", sql, rc, want, sqlite3_errmsg(db));
  }
}

static void run(sqlite3 *db, const char *sql) { run_rc(db, sql, SQLITE_OK); }

static sqlite3 *open_table(const char *file) {
  sqlite3 *db = open_db(file);
  run(db, CREATE);
  return db;
}

static sqlite3_stmt *prepare(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = NULL;
  if (sqlite3_prepare_v2(db, sql, -1, &stmt, NULL) != SQLITE_OK) {
    TEST_FAIL("%s: %s", sql, sqlite3_errmsg(db));
  }
  return stmt;
}

/* The first column of the first row, -1 if there is none. */
static long long number(sqlite3 *db, const char *sql) {
  sqlite3_stmt *stmt = prepare(db, sql);
  long long n = sqlite3_step(stmt) == SQLITE_ROW ? sqlite3_column_int64(stmt, 0) : -1;
  CHECK_EQ(sqlite3_finalize(stmt), SQLITE_OK);
  return n;
}

static long long count(sqlite3 *db) { return number(db, "SELECT count(*) FROM kv"); }

/* Step to the end; how many rows there were. */
static int rest(sqlite3_stmt *stmt) {
  int n = 0;
  int rc;
  while ((rc = sqlite3_step(stmt)) == SQLITE_ROW) {
    n++;
  }
  CHECK_EQ(rc, SQLITE_DONE);
  return n;
}

/* The store has been closed: no option is compared with those of an open one. */
static void check_store_is_closed(void) {
  sqlite3 *db = open_db(":memory:");
  run(db, "CREATE VIRTUAL TABLE kv USING bitcask('store', sync=normal, max_file_size=100000)");
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* ------------------------------------------------------------------------ closing */

static void close_is_refused_while_statements_are_left(void) {
  sqlite3 *db = open_table("x.db");
  sqlite3_stmt *half;
  sqlite3_stmt *never;
  run(db, "INSERT INTO kv VALUES ('a', '1'), ('b', '2')");
  half = prepare(db, "SELECT * FROM kv");
  never = prepare(db, "INSERT INTO kv VALUES ('c', '3')");
  CHECK_EQ(sqlite3_step(half), SQLITE_ROW);
  CHECK_EQ(sqlite3_close(db), SQLITE_BUSY);
  CHECK_EQ(rest(half), 1);
  CHECK_EQ(rest(never), 0);
  CHECK_EQ(count(db), 3);
  CHECK_EQ(sqlite3_finalize(half), SQLITE_OK);
  CHECK_EQ(sqlite3_finalize(never), SQLITE_OK);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
  check_store_is_closed();
}

static void zombie_reads_and_writes_to_its_end(void) {
  sqlite3 *db = open_table("x.db");
  sqlite3 *other = open_table(":memory:");
  sqlite3_stmt *half;
  sqlite3_stmt *insert;
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1'), ('b', '2'), ('c', '3')");
  half = prepare(db, "SELECT key, value FROM kv");
  insert = prepare(db, "INSERT INTO kv VALUES ('d', '4')");
  CHECK_EQ(sqlite3_step(half), SQLITE_ROW);
  CHECK_EQ(sqlite3_close_v2(db), SQLITE_OK);
  run(other, "DELETE FROM kv WHERE key = 'a'");
  CHECK_EQ(rest(insert), 0);
  CHECK_EQ(count(other), 3);
  CHECK_EQ(rest(half), 2);
  CHECK_EQ(sqlite3_finalize(insert), SQLITE_OK);
  CHECK_EQ(sqlite3_close(other), SQLITE_OK);
  CHECK_EQ(sqlite3_finalize(half), SQLITE_OK);
  check_store_is_closed();
}

static void zombie_does_not_keep_the_write_lock(void) {
  sqlite3 *db = open_table("x.db");
  sqlite3 *other = open_table(":memory:");
  sqlite3_stmt *half;
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1'), ('b', '2')");
  run(db, "BEGIN; INSERT INTO kv VALUES ('c', '3')");
  half = prepare(db, "SELECT key FROM kv");
  CHECK_EQ(sqlite3_step(half), SQLITE_ROW);
  CHECK_EQ(sqlite3_close_v2(db), SQLITE_OK);
  run(other, "INSERT INTO kv VALUES ('d', '4')");
  CHECK_EQ(count(other), 3);
  CHECK_EQ(rest(half), 2);
  CHECK_EQ(sqlite3_finalize(half), SQLITE_OK);
  CHECK_EQ(count(other), 3);
  CHECK_EQ(sqlite3_close(other), SQLITE_OK);
  check_store_is_closed();
}

/* -------------------------------------------------------------------------- hooks */

static int refuse(void *calls) {
  ++*(int *)calls;
  return 1;
}

/* The hook is asked after xSync: what was prepared has to go again. */
static void commit_hook_that_refuses(void) {
  sqlite3 *db = open_table("x.db");
  sqlite3 *other = open_table(":memory:");
  int calls = 0;
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1')");
  sqlite3_commit_hook(db, refuse, &calls);
  run_rc(db, "INSERT INTO kv VALUES ('b', '2')", SQLITE_CONSTRAINT);
  run(db, "BEGIN; INSERT INTO kv VALUES ('c', '3'), ('d', '4'); DELETE FROM kv WHERE key = 'a'");
  run_rc(db, "COMMIT", SQLITE_CONSTRAINT);
  CHECK_EQ(sqlite3_extended_errcode(db), SQLITE_CONSTRAINT_COMMITHOOK);
  CHECK_EQ(calls, 2);
  CHECK(sqlite3_get_autocommit(db));
  CHECK_EQ(count(db), 1);
  CHECK_EQ(count(other), 1);
  run(other, "INSERT INTO kv VALUES ('e', '5')");
  sqlite3_commit_hook(db, NULL, NULL);
  run(db, "INSERT INTO kv VALUES ('b', '2')");
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
  CHECK_EQ(sqlite3_close(other), SQLITE_OK);
  db = open_table("x.db");
  CHECK_EQ(number(db, "SELECT count(*) FROM kv WHERE key IN ('a', 'b', 'e')"), 3);
  CHECK_EQ(count(db), 3);
  CHECK_EQ(number(db, "SELECT bitcask_verify('kv') = 'ok'"), 1);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

static void on_update(void *calls, int op, const char *schema, const char *table,
                      sqlite3_int64 rowid) {
  (void)op, (void)schema, (void)table, (void)rowid;
  ++*(int *)calls;
}

static void update_hook_sees_ordinary_tables_alone(void) {
  sqlite3 *db = open_table(":memory:");
  int calls = 0;
  run(db, "DELETE FROM kv; CREATE TABLE plain(a)");
  sqlite3_update_hook(db, on_update, &calls);
  run(db, "INSERT INTO kv VALUES ('a', '1'); UPDATE kv SET value = 'x'; DELETE FROM kv");
  CHECK_EQ(calls, 0);
  run(db, "INSERT INTO plain VALUES (1)");
  CHECK_EQ(calls, 1);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* ------------------------------------------------------------- statements, modules */

static void prepared_statements_outlive_everything(void) {
  static const char *const between[] = {
      "VACUUM",
      "CREATE TABLE plain(a)",
      "ALTER TABLE plain RENAME TO simple",
      "BEGIN; INSERT INTO kv VALUES ('t', '1'); ROLLBACK",
      "SAVEPOINT s; ALTER TABLE simple RENAME TO plain; ROLLBACK TO s; RELEASE s",
      "PRAGMA writable_schema = RESET",
      "DROP TABLE kv; CREATE VIRTUAL TABLE kv USING bitcask('store', sync=off)",
      "PRAGMA journal_mode = WAL",
      "SELECT bitcask_merge('kv')",
  };
  const int n = (int)(sizeof(between) / sizeof(between[0]));
  sqlite3 *db = open_table("x.db");
  sqlite3_stmt *insert;
  sqlite3_stmt *select;
  run(db, "DELETE FROM kv");
  insert = prepare(db, "INSERT INTO kv VALUES (?, 'v')");
  select = prepare(db, "SELECT key FROM kv WHERE value = CAST('v' AS BLOB)");
  for (int i = 0; i < n; i++) {
    run(db, between[i]);
    CHECK_EQ(sqlite3_bind_int(insert, 1, i), SQLITE_OK);
    CHECK_EQ(rest(insert), 0);
    CHECK_EQ(sqlite3_reset(insert), SQLITE_OK);
    CHECK_EQ(rest(select), i + 1);
    CHECK_EQ(sqlite3_reset(select), SQLITE_OK);
  }
  CHECK_EQ(sqlite3_finalize(insert), SQLITE_OK);
  CHECK_EQ(sqlite3_finalize(select), SQLITE_OK);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

static void loaded_again_and_again(void) {
  sqlite3 *db = open_table("x.db");
  sqlite3_stmt *half;
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1'), ('b', '2')");
  for (int i = 0; i < 3; i++) {
    CHECK_EQ(load(db), SQLITE_OK);
    CHECK_EQ(count(db), 2);
  }
  /* Functions cannot be replaced while a statement runs: the load fails, no more. */
  half = prepare(db, "SELECT * FROM kv");
  CHECK_EQ(sqlite3_step(half), SQLITE_ROW);
  CHECK(load(db) != SQLITE_OK);
  run(db, "INSERT INTO kv VALUES ('c', '3')");
  CHECK_EQ(rest(half), 1);
  CHECK_EQ(sqlite3_finalize(half), SQLITE_OK);
  CHECK_EQ(number(db, "SELECT bitcask_verify('kv') = 'ok'"), 1);
  CHECK_EQ(load(db), SQLITE_OK);
  CHECK_EQ(count(db), 3);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
  check_store_is_closed();
}

static void modules_dropped_under_a_table(void) {
  sqlite3 *db = open_table("x.db");
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1')");
  CHECK_EQ(sqlite3_drop_modules(db, NULL), SQLITE_OK);
  run(db, "INSERT INTO kv VALUES ('b', '2')"); /* it is still connected */
  run_rc(db, "CREATE VIRTUAL TABLE kw USING bitcask('other')", SQLITE_ERROR);
  run_rc(db, "SELECT * FROM kv", SQLITE_ERROR); /* that disconnected it */
  CHECK_EQ(load(db), SQLITE_OK);
  CHECK_EQ(count(db), 2);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
  check_store_is_closed();
}

static void database_reset_under_a_table(void) {
  sqlite3 *db = open_table("x.db");
  int on;
  run(db, "DELETE FROM kv; INSERT INTO kv VALUES ('a', '1')");
  CHECK_EQ(sqlite3_db_config(db, SQLITE_DBCONFIG_RESET_DATABASE, 1, &on), SQLITE_OK);
  run(db, "VACUUM");
  CHECK_EQ(sqlite3_db_config(db, SQLITE_DBCONFIG_RESET_DATABASE, 0, &on), SQLITE_OK);
  CHECK_EQ(number(db, "SELECT count(*) FROM sqlite_master"), 0);
  run(db, "CREATE VIRTUAL TABLE kv USING bitcask('store', sync=normal)");
  CHECK_EQ(count(db), 1);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* ------------------------------------------------------------------------ threads */

enum { N_THREADS = 4, N_EACH = 50 };

static void in_threads(void *(*work)(void *), void *context) {
  pthread_t threads[N_THREADS];
  for (int i = 0; i < N_THREADS; i++) {
    CHECK_EQ(pthread_create(&threads[i], NULL, work, context), 0);
  }
  for (int i = 0; i < N_THREADS; i++) {
    void *failures = NULL;
    CHECK_EQ(pthread_join(threads[i], &failures), 0);
    CHECK(failures == NULL);
  }
}

/* Not NULL if something failed: checks are for one thread. */
static void *use_connection(void *db) {
  int bad = 0;
  for (int i = 0; i < N_EACH; i++) {
    bad += sqlite3_exec(db, "INSERT INTO kv VALUES (hex(randomblob(8)), '1')", NULL, NULL, NULL);
    bad += sqlite3_exec(db, "UPDATE kv SET value = value || '1'", NULL, NULL, NULL);
    bad += sqlite3_exec(db, "SELECT count(*), max(value) FROM kv", NULL, NULL, NULL);
  }
  return bad ? db : NULL;
}

static void threads_share_a_connection(void) {
  sqlite3 *db = open_table("x.db");
  run(db, "DELETE FROM kv");
  in_threads(use_connection, db);
  CHECK_EQ(count(db), N_THREADS * N_EACH);
  CHECK_EQ(number(db, "SELECT max(length(value)) FROM kv"), N_THREADS * N_EACH + 1);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

static void *come_and_go(void *context) {
  int bad = 0;
  for (int i = 0; i < N_EACH && !bad; i++) {
    sqlite3 *db = NULL;
    bad += sqlite3_open(":memory:", &db);
    bad += load(db);
    sqlite3_busy_timeout(db, 60000);
    bad += sqlite3_exec(db, CREATE, NULL, NULL, NULL);
    bad += sqlite3_exec(db, "INSERT INTO kv VALUES (hex(randomblob(8)), '1')", NULL, NULL, NULL);
    bad += sqlite3_close(db);
  }
  return bad ? context : NULL;
}

/* The last one to leave closes the store while others open it. */
static void connections_come_and_go_in_threads(void) {
  sqlite3 *db = open_table(":memory:");
  run(db, "DELETE FROM kv");
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
  in_threads(come_and_go, home);
  check_store_is_closed();
  db = open_table(":memory:");
  CHECK_EQ(count(db), N_THREADS * N_EACH);
  CHECK_EQ(sqlite3_close(db), SQLITE_OK);
}

/* Each test in a directory of its own. */
static void run_in_directory(const char *name, void (*test)(void)) {
  char *dir = tempdir_make();
  char *store = malloc(strlen(dir) + sizeof("/store"));
  if (!store || chdir(dir) != 0) {
    abort();
  }
  sprintf(store, "%s/store", dir);
  test_run(name, test);
  CHECK_EQ(chdir(home), 0);
  tempdir_remove(store);
  tempdir_remove(dir);
}

#define RUN_IN_DIRECTORY(test) run_in_directory(#test, test)

int main(void) {
#ifdef SQLITE_CORE
  /* From here on every connection has it, unless the entry point returns an error. */
  CHECK_EQ(sqlite3_auto_extension((void (*)(void))sqlite3_bitcask_init), SQLITE_OK);
#else
  const char *so = getenv("BITCASK_SO");
  module = realpath(so ? so : "build/bitcask.so", NULL);
  CHECK(module != NULL);
#endif
  if (!getcwd(home, sizeof(home)) || test_bad) {
    return 1;
  }
  RUN_IN_DIRECTORY(close_is_refused_while_statements_are_left);
  RUN_IN_DIRECTORY(zombie_reads_and_writes_to_its_end);
  RUN_IN_DIRECTORY(zombie_does_not_keep_the_write_lock);
  RUN_IN_DIRECTORY(commit_hook_that_refuses);
  RUN_IN_DIRECTORY(update_hook_sees_ordinary_tables_alone);
  RUN_IN_DIRECTORY(prepared_statements_outlive_everything);
  RUN_IN_DIRECTORY(loaded_again_and_again);
  RUN_IN_DIRECTORY(modules_dropped_under_a_table);
  RUN_IN_DIRECTORY(database_reset_under_a_table);
  RUN_IN_DIRECTORY(threads_share_a_connection);
  RUN_IN_DIRECTORY(connections_come_and_go_in_threads);
#ifndef SQLITE_CORE
  free(module);
#endif
  return test_done();
}
