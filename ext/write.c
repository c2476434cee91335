/*
** write.c - xUpdate: whose turn it is; BEGIN to COMMIT.
*/
#include "write.h"
#include "change.h"
#include "command.h"
#include "error.h"

static void set_part(vt_table *t, vt_part part) {
  if (t->part != VT_PART_TOLD && part == VT_PART_TOLD) {
    t->session->n_told++;
  } else if (t->part == VT_PART_TOLD && part != VT_PART_TOLD) {
    t->session->n_told--;
  }
  t->part = part;
}

/*
** A table made in this transaction has not heard of the savepoints that are older,
** and ROLLBACK TO one of them would pass it by.  Where a statement begins that may
** fail half-way, SQLite tells all tables of the transaction: here is one.
*/
static int ask_for_savepoints(vt_table *t) {
  sqlite3 *db = t->connection->db;
  char *sql = sqlite3_mprintf("INSERT INTO \"%w\".\"%w\" SELECT * FROM \"%w\".\"%w\" WHERE 0",
                              t->schema, t->name, t->schema, t->name);
  int rc = sql ? sqlite3_exec(db, sql, NULL, NULL, NULL) : SQLITE_NOMEM;
  sqlite3_free(sql);
  if (rc != SQLITE_OK) {
    return vt_error_vtab_text(&t->base, rc, "%s: %s", t->name, sqlite3_errmsg(db));
  }
  set_part(t, VT_PART_TOLD);
  return SQLITE_OK;
}

/* Begin the transaction of the store, if the table belongs to SQLite's. */
static int begin(vt_table *t) {
  bitcask_error e;
  if (t->part == VT_PART_NONE) {
    /* A function that the statement called has rolled back: what is written now would
    ** never be committed, and the write lock never be released. */
    return vt_error_vtab_text(&t->base, SQLITE_ABORT_ROLLBACK, "abort due to ROLLBACK");
  }
  if (vt_session_begin(t->session, t->args.options.timeout_ms, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  return t->part == VT_PART_MADE ? ask_for_savepoints(t) : SQLITE_OK;
}

/* The hidden columns say where a row is: they cannot be written.  `unchanged`: the
** host marks the columns that an UPDATE leaves alone, so that others can be told. */
static int check_hidden(vt_table *t, int n, sqlite3_value **hidden, bool unchanged) {
  for (int h = 0; h < n; h++) {
    if (unchanged ? !sqlite3_value_nochange(hidden[h])
                  : sqlite3_value_type(hidden[h]) != SQLITE_NULL) {
      return vt_error_vtab_text(&t->base, SQLITE_ERROR, "cannot write to %s.%s", t->name,
                                h < VT_HIDDEN_COMMAND ? vt_columns_hidden_name((vt_hidden)h)
                                                      : t->name);
    }
  }
  return SQLITE_OK;
}

/* UPDATE ... FROM of SQLite before 3.53 marks nothing, and hands back in every
** column what it has read. */
static bool marks_unchanged(int n, sqlite3_value **columns) {
  int i = 0;
  while (i < n && !sqlite3_value_nochange(columns[i])) {
    i++;
  }
  return i < n;
}

/* INSERT INTO kv(kv) VALUES ('merge'): nothing but the command is given. */
static int run_command(vt_table *t, int n, sqlite3_value **columns) {
  const char *name;
  for (int i = 0; i < n - 1; i++) {
    if (sqlite3_value_type(columns[i]) != SQLITE_NULL) {
      return vt_error_vtab_text(&t->base, SQLITE_ERROR, "%s: a command takes no other column",
                                t->name);
    }
  }
  name = (const char *)sqlite3_value_text(columns[n - 1]);
  return name ? vt_command_run(t, name) : SQLITE_NOMEM;
}

/* One change of a row, begun. */
static int change_row(vt_table *t, int argc, sqlite3_value **argv) {
  sqlite3_value **columns = argv + 2;
  sqlite3_value **hidden = columns + t->args.columns.n;
  int n_hidden = argc - 2 - t->args.columns.n;
  int rc;
  if (argc == 1) {
    return vt_change_delete(t, argv[0]);
  }
  if (sqlite3_value_type(argv[0]) == SQLITE_NULL) {
    rc = check_hidden(t, n_hidden, hidden, false);
    return rc == SQLITE_OK ? vt_change_insert(t, columns) : rc;
  }
  rc = marks_unchanged(argc - 2, columns) ? check_hidden(t, n_hidden, hidden, true) : SQLITE_OK;
  return rc == SQLITE_OK ? vt_change_update(t, argv[0], columns) : rc;
}

/*
** argv[0] is the key of the row there is, NULL for a new one; argv[1] the new
** key; then the columns.  argc 1 is a DELETE.
*/
int vt_write_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  vt_table *t = (vt_table *)vtab;
  bool insert = argc > 1 && sqlite3_value_type(argv[0]) == SQLITE_NULL;
  int rc;
  if (insert) {
    *rowid = sqlite3_last_insert_rowid(t->connection->db); /* else SQLite sets it to 0 */
  }
  if (insert && argc - 2 - t->args.columns.n > VT_HIDDEN_COMMAND &&
      sqlite3_value_type(argv[argc - 1]) != SQLITE_NULL) {
    return run_command(t, argc - 2, argv + 2);
  }
  rc = begin(t); /* a table made in this transaction gets no xBegin */
  if (rc == SQLITE_OK) {
    rc = change_row(t, argc, argv);
    t->session->wrote = true;
    vt_session_changed(t->session);
  }
  return rc;
}

int vt_write_begin(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  int rc = vt_table_open(t);
  if (rc != SQLITE_OK) {
    return rc;
  }
  set_part(t, VT_PART_TOLD);
  rc = begin(t);
  if (rc != SQLITE_OK) {
    set_part(t, VT_PART_NONE); /* SQLite leaves it out then */
  }
  return rc;
}

/* All that can fail is done here; it may be repeated, and writes may follow. */
int vt_write_sync(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  bitcask_error e;
  if (t->session && vt_session_prepare(t->session, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  return SQLITE_OK;
}

int vt_write_commit(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  if (t->session) {
    vt_session_commit(t->session);
    set_part(t, VT_PART_NONE);
  }
  return SQLITE_OK;
}

int vt_write_rollback(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  if (t->session) {
    vt_session_rollback(t->session);
    set_part(t, VT_PART_NONE);
  }
  return SQLITE_OK;
}

int vt_write_savepoint(sqlite3_vtab *vtab, int n) {
  vt_table *t = (vt_table *)vtab;
  bitcask_error e;
  if (t->session && vt_session_savepoint(t->session, n, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  if (t->session) {
    set_part(t, VT_PART_TOLD); /* of this one, and so of ROLLBACK TO all that are older */
  }
  return SQLITE_OK;
}

int vt_write_release(sqlite3_vtab *vtab, int n) {
  vt_table *t = (vt_table *)vtab;
  if (t->session) {
    vt_session_release_to(t->session, n);
  }
  return SQLITE_OK;
}

int vt_write_rollback_to(sqlite3_vtab *vtab, int n) {
  vt_table *t = (vt_table *)vtab;
  bitcask_error e;
  if (t->session && vt_session_rollback_to(t->session, n, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  return SQLITE_OK;
}

int vt_write_drop(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  if (!t->session) {
    return SQLITE_OK;
  }
  /* SQLite forgets a dropped table at once and never tells it how the transaction
  ** ended.  If it tells no other of the directory, what was written would be lost, and
  ** the write lock kept for ever. */
  if (t->session->n_told == (t->part == VT_PART_TOLD)) {
    if (t->session->txn) {
      return SQLITE_LOCKED;
    }
    vt_session_forget_marks(t->session); /* savepoints that nobody will end */
  }
  set_part(t, VT_PART_NONE);
  return SQLITE_OK;
}
