/*
** functions.c - bitcask_version, _merge, _needs_merge, _sync, _backup, _verify.
**
** All but the version touch files, so they are SQLITE_DIRECTONLY: a hostile
** schema cannot call them from a view or a trigger.
*/
#include "functions.h"
#include "error.h"
#include "lookup.h"
#include "wait.h"

/* Between two attempts to get a lock that is taken. */
enum { RETRY_MS = 10 };

/* The table named by the first argument; NULL after reporting why not. */
static vt_table *table_argument(sqlite3_context *ctx, sqlite3_value **argv) {
  vt_connection *c = sqlite3_user_data(ctx);
  const char *name = (const char *)sqlite3_value_text(argv[0]);
  vt_table *t = NULL;
  char *err = NULL;
  int rc;
  if (!name) {
    vt_error_result_text(ctx, SQLITE_ERROR, sqlite3_mprintf("bitcask: no table is named"));
    return NULL;
  }
  rc = vt_lookup(c, name, &t, &err);
  if (rc != SQLITE_OK) {
    vt_error_result_text(ctx, rc, err);
    return NULL;
  }
  return t;
}

/* The engine would wait for this connection's own transaction: refuse that. */
static bool in_transaction(sqlite3_context *ctx, const vt_table *t, const char *what) {
  if (t->session->txn) {
    vt_error_result_text(ctx, SQLITE_ERROR,
                         sqlite3_mprintf("%s: cannot %s within a transaction that has written "
                                         "to it",
                                         t->name, what));
    return true;
  }
  return false;
}

/* After BITCASK_BUSY: pause and return BITCASK_OK, or say why to give up. */
static int retry(vt_wait *w, bitcask_error *e) {
  int slice_ms;
  int rc = vt_wait_next(w, &slice_ms);
  if (rc == BITCASK_OK) {
    (void)sqlite3_sleep(slice_ms < RETRY_MS ? slice_ms : RETRY_MS); /* how long does not matter */
  } else if (rc != BITCASK_BUSY) {
    (void)vt_error_set(e, rc, "%s", bitcask_strerror(rc));
  }
  return rc;
}

static void version_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  (void)argc;
  (void)argv;
  sqlite3_result_text(ctx, bitcask_version(), -1, SQLITE_STATIC);
}

int vt_functions_merge(vt_table *t, bitcask_merge_kind kind, int64_t *freed, bitcask_error *e) {
  vt_poll poll;
  vt_wait w;
  bitcask_merge_options o = {kind, NULL, 0, vt_poll_interrupted, &poll};
  bitcask_merge_result result = {0, 0, 0, 0};
  int rc = vt_poll_begin(&poll, t->connection->db, e);
  if (rc != BITCASK_OK) {
    return rc;
  }
  vt_wait_init(&w, t->connection->db, t->args.options.timeout_ms);
  do {
    rc = bitcask_merge(t->session->engine->bc, &o, &result, e);
  } while (rc == BITCASK_BUSY && retry(&w, e) == BITCASK_OK);
  vt_wait_release(&w);
  vt_poll_release(&poll);
  *freed = result.freed_bytes;
  return rc;
}

static void merge_table(sqlite3_context *ctx, vt_table *t, bitcask_merge_kind kind) {
  bitcask_error e;
  int64_t freed;
  if (vt_functions_merge(t, kind, &freed, &e) == BITCASK_OK) {
    sqlite3_result_int64(ctx, freed);
  } else {
    vt_error_result(ctx, t->name, &e);
  }
}

static void merge_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  bitcask_merge_kind kind = BITCASK_MERGE_ALL;
  vt_table *t;
  if (argc == 2) {
    const char *how = (const char *)sqlite3_value_text(argv[1]);
    if (!how || sqlite3_stricmp(how, "policy") != 0) {
      vt_error_result_text(ctx, SQLITE_ERROR,
                           sqlite3_mprintf("bitcask_merge: the second argument is 'policy' or "
                                           "left out, not: %s",
                                           how ? how : "NULL"));
      return;
    }
    kind = BITCASK_MERGE_POLICY;
  }
  t = table_argument(ctx, argv);
  if (t && !in_transaction(ctx, t, "merge")) {
    merge_table(ctx, t, kind);
  }
}

static void needs_merge_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  vt_table *t = table_argument(ctx, argv);
  bitcask_error e;
  bool needed;
  (void)argc;
  if (!t) {
    return;
  }
  if (bitcask_needs_merge(t->session->engine->bc, &needed, &e) == BITCASK_OK) {
    sqlite3_result_int(ctx, needed);
  } else {
    vt_error_result(ctx, t->name, &e);
  }
}

int vt_functions_sync(vt_table *t, bitcask_error *e) {
  vt_wait w;
  int rc;
  vt_wait_init(&w, t->connection->db, t->args.options.timeout_ms);
  do {
    rc = bitcask_sync(t->session->engine->bc, e);
  } while (rc == BITCASK_BUSY && retry(&w, e) == BITCASK_OK);
  vt_wait_release(&w);
  return rc;
}

static void sync_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  vt_table *t = table_argument(ctx, argv);
  bitcask_error e;
  (void)argc;
  if (t && !in_transaction(ctx, t, "sync") && vt_functions_sync(t, &e) != BITCASK_OK) {
    vt_error_result(ctx, t->name, &e);
  }
}

static void backup_table(sqlite3_context *ctx, const vt_table *t, const char *directory) {
  sqlite3 *db = t->connection->db;
  char *path = vt_table_path(db, t->schema, directory);
  uint64_t n_files;
  bitcask_error e;
  vt_poll poll;
  int rc;
  if (!path) {
    sqlite3_result_error_nomem(ctx);
    return;
  }
  rc = vt_poll_begin(&poll, db, &e);
  if (rc == BITCASK_OK) {
    rc = bitcask_backup(t->session->engine->bc, path, vt_poll_interrupted, &poll, &n_files, &e);
    vt_poll_release(&poll);
  }
  if (rc == BITCASK_OK) {
    sqlite3_result_int64(ctx, (sqlite3_int64)n_files);
  } else {
    vt_error_result(ctx, t->name, &e);
  }
  sqlite3_free(path);
}

static void backup_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  const char *directory = (const char *)sqlite3_value_text(argv[1]);
  vt_table *t;
  (void)argc;
  if (!directory) {
    vt_error_result_text(ctx, SQLITE_ERROR,
                         sqlite3_mprintf("bitcask_backup: no directory is named"));
    return;
  }
  t = table_argument(ctx, argv);
  /* It would hold what is committed, and not what this statement sees. */
  if (t && !in_transaction(ctx, t, "back up")) {
    backup_table(ctx, t, directory);
  }
}

typedef struct verification {
  vt_poll poll;
  char *first; /* the first problem, NULL if there is none */
  bool nomem;
} verification;

static int keep_first(void *ctx, const bitcask_problem *p) {
  verification *v = ctx;
  v->first = p->file_id == BITCASK_NO_FILE
                 ? sqlite3_mprintf("%s", p->text)
                 : sqlite3_mprintf("%u.bitcask.data offset %llu: %s", p->file_id,
                                   (unsigned long long)p->offset, p->text);
  v->nomem = v->first == NULL;
  return 1;
}

static int verify_progress(void *ctx) {
  verification *v = ctx;
  return vt_poll_interrupted(&v->poll);
}

static void verify_function(sqlite3_context *ctx, int argc, sqlite3_value **argv) {
  vt_table *t = table_argument(ctx, argv);
  verification v = {{NULL, NULL}, NULL, false};
  uint64_t n_problems;
  bitcask_error e;
  int rc;
  (void)argc;
  if (!t) {
    return;
  }
  rc = vt_poll_begin(&v.poll, t->connection->db, &e);
  if (rc != BITCASK_OK) {
    vt_error_result(ctx, t->name, &e);
    return;
  }
  rc = bitcask_verify(t->session->engine->bc, keep_first, verify_progress, &v, &n_problems, &e);
  vt_poll_release(&v.poll);
  if (v.first) {
    sqlite3_result_text(ctx, v.first, -1, sqlite3_free);
  } else if (v.nomem) {
    sqlite3_result_error_nomem(ctx);
  } else if (rc != BITCASK_OK) {
    vt_error_result(ctx, t->name, &e);
  } else {
    sqlite3_result_text(ctx, "ok", -1, SQLITE_STATIC);
  }
}

int vt_functions_register(vt_connection *c) {
  static const struct {
    const char *name;
    int n_args;
    int flags;
    void (*function)(sqlite3_context *, int, sqlite3_value **);
  } functions[] = {
      {"bitcask_version", 0, SQLITE_INNOCUOUS | SQLITE_DETERMINISTIC, version_function},
      {"bitcask_merge", 1, SQLITE_DIRECTONLY, merge_function},
      {"bitcask_merge", 2, SQLITE_DIRECTONLY, merge_function},
      {"bitcask_needs_merge", 1, SQLITE_DIRECTONLY, needs_merge_function},
      {"bitcask_sync", 1, SQLITE_DIRECTONLY, sync_function},
      {"bitcask_backup", 2, SQLITE_DIRECTONLY, backup_function},
      {"bitcask_verify", 1, SQLITE_DIRECTONLY, verify_function},
  };
  int rc = SQLITE_OK;
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && rc == SQLITE_OK; i++) {
    /* Each registration has a reference of its own, given back by SQLite.  `c` is
    ** there already, so this one cannot fail. */
    rc = sqlite3_create_function_v2(c->db, functions[i].name, functions[i].n_args,
                                    SQLITE_UTF8 | functions[i].flags, vt_connection_acquire(c->db),
                                    functions[i].function, NULL, NULL, vt_connection_release);
  }
  return rc;
}
