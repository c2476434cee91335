/*
** write.c - INSERT, UPDATE and DELETE of a row; BEGIN to COMMIT.
**
** SQLite enforces neither NOT NULL nor uniqueness on a virtual table: that is
** done here, with the codes and texts of an ordinary table, and before anything
** is changed, as SQLITE_VTAB_CONSTRAINT_SUPPORT promises.
*/
#include "write.h"
#include "error.h"
#include "table.h"
#include "value.h"

#include <string.h>

typedef struct bytes {
  const void *data;
  size_t size;
} bytes;

static int constraint_failed(vt_table *t, int rc, const char *what, int column) {
  return vt_error_vtab_text(&t->base, rc, "%s constraint failed: %s.%s", what, t->name,
                            t->args.columns[column].name);
}

/* The new row out of xUpdate's columns, in column order as SQLite checks them. */
static int read_row(vt_table *t, sqlite3_value **columns, bytes *key, bytes *value) {
  for (int i = 0; i < VT_N_COLUMNS; i++) {
    vt_value_kind kind;
    if (i == t->args.key) {
      kind = vt_value_key(columns[i], t->args.columns[i].type, &key->data, &key->size);
    } else if (value) {
      kind = vt_value_stored(columns[i], &value->data, &value->size);
    } else {
      continue;
    }
    switch (kind) {
    case VT_VALUE_NULL:
      return constraint_failed(t, SQLITE_CONSTRAINT_NOTNULL, "NOT NULL", i);
    case VT_VALUE_MISMATCH:
      return vt_error_vtab_text(&t->base, SQLITE_MISMATCH, "datatype mismatch: %s.%s is %s",
                                t->name, t->args.columns[i].name,
                                t->args.columns[i].type == VT_TEXT ? "TEXT, the key given is a BLOB"
                                                                   : "BLOB, the key given is not");
    case VT_VALUE_NOMEM:
      return SQLITE_NOMEM;
    case VT_VALUE_BYTES:
      break;
    }
  }
  return SQLITE_OK;
}

/* The key is new to the row: it must be new to the table, but for REPLACE. */
static int check_unique(vt_table *t, const bytes *key) {
  if (sqlite3_vtab_on_conflict(t->connection->db) != SQLITE_REPLACE &&
      bitcask_txn_contains(t->session->txn, key->data, key->size) == BITCASK_OK) {
    return constraint_failed(t, SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE", t->args.key);
  }
  return SQLITE_OK;
}

static int put(vt_table *t, const bytes *key, const bytes *value) {
  bitcask_error e;
  int rc = bitcask_txn_put(t->session->txn, key->data, key->size, value->data, value->size, &e);
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}

static int delete_key(vt_table *t, const bytes *key) {
  bitcask_error e;
  int rc = bitcask_txn_delete(t->session->txn, key->data, key->size, &e);
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}

static int insert_row(vt_table *t, sqlite3_value **columns) {
  bytes key = {NULL, 0};
  bytes value = {NULL, 0};
  int rc = read_row(t, columns, &key, &value);
  if (rc == SQLITE_OK) {
    rc = check_unique(t, &key);
  }
  return rc == SQLITE_OK ? put(t, &key, &value) : rc;
}

/* Both halves of a change of key, or neither. */
static int move_row(vt_table *t, const bytes *old, const bytes *key, const bytes *value) {
  vt_session *s = t->session;
  bitcask_error e;
  int mark = s->n_marks;
  int rc;
  if (bitcask_txn_savepoint(s->txn, mark, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  rc = put(t, key, value);
  if (rc == SQLITE_OK) {
    rc = delete_key(t, old);
  }
  if (rc != SQLITE_OK) {
    /* If this fails the transaction can only be rolled back, which is what the
    ** error that is reported already leads to. */
    (void)bitcask_txn_rollback_to(s->txn, mark, &e);
  }
  bitcask_txn_release(s->txn, mark);
  return rc;
}

/* A change of key alone: the value that the old key has now goes to the new one. */
static int move_value(vt_table *t, const bytes *old, const bytes *key) {
  vt_session *s = t->session;
  bitcask_snapshot *snap;
  bitcask_buf scratch = {NULL, 0, 0};
  bitcask_entry entry;
  bitcask_error e;
  int rc;
  if (bitcask_snapshot_open(s->engine->bc, s->txn, &snap, &e) != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  rc = bitcask_snapshot_get(snap, old->data, old->size, &scratch, &entry, &e);
  if (rc == BITCASK_OK) {
    bytes value = {entry.value, entry.value_sz};
    rc = move_row(t, old, key, &value);
  } else {
    rc = vt_table_fail(t, &e);
  }
  bitcask_snapshot_close(snap);
  bitcask_buf_free(&scratch);
  return rc;
}

/* The key of a row that a cursor gave.  In a UTF-16 database, bytes that are not
** valid UTF-8 come back as U+FFFD, and the row can no longer be told. */
static int read_old_key(vt_table *t, sqlite3_value *old_key, bytes *old) {
  static const char replacement[] = "\xef\xbf\xbd";
  vt_type type = t->args.columns[t->args.key].type;
  if (vt_value_key(old_key, type, &old->data, &old->size) != VT_VALUE_BYTES) {
    return SQLITE_NOMEM; /* it is a key that we returned ourselves */
  }
  if (type == VT_TEXT && memmem(old->data, old->size, replacement, 3) &&
      bitcask_txn_contains(t->session->txn, old->data, old->size) != BITCASK_OK) {
    return vt_error_vtab_text(
        &t->base, SQLITE_MISMATCH,
        "datatype mismatch: a key of %s is not valid UTF-8; use a database in "
        "UTF-8, or declare the key BLOB",
        t->name);
  }
  return SQLITE_OK;
}

static int update_row(vt_table *t, sqlite3_value *old_key, sqlite3_value **columns) {
  bytes old = {NULL, 0};
  bytes key = {NULL, 0};
  bytes value = {NULL, 0};
  bool same_value = sqlite3_value_nochange(columns[t->args.value]) != 0;
  bool same_key;
  int rc;
  rc = read_old_key(t, old_key, &old);
  if (rc != SQLITE_OK) {
    return rc;
  }
  rc = read_row(t, columns, &key, same_value ? NULL : &value);
  if (rc != SQLITE_OK) {
    return rc;
  }
  same_key = old.size == key.size && memcmp(old.data, key.data, key.size) == 0;
  if (same_key) {
    return same_value ? SQLITE_OK : put(t, &key, &value);
  }
  rc = check_unique(t, &key);
  if (rc != SQLITE_OK) {
    return rc;
  }
  return same_value ? move_value(t, &old, &key) : move_row(t, &old, &key, &value);
}

static int delete_row(vt_table *t, sqlite3_value *old_key) {
  bytes old = {NULL, 0};
  int rc = read_old_key(t, old_key, &old);
  return rc == SQLITE_OK ? delete_key(t, &old) : rc;
}

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

/*
** argv[0] is the key of the row there is, NULL for a new one; argv[1] the new
** key; then the columns.  argc 1 is a DELETE.
*/
int vt_write_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid) {
  vt_table *t = (vt_table *)vtab;
  int rc = begin(t); /* a table made in this transaction gets no xBegin */
  if (rc != SQLITE_OK) {
    return rc;
  }
  if (argc == 1) {
    rc = delete_row(t, argv[0]);
  } else if (sqlite3_value_type(argv[0]) == SQLITE_NULL) {
    rc = insert_row(t, argv + 2);
    *rowid = sqlite3_last_insert_rowid(t->connection->db); /* else SQLite sets it to 0 */
  } else {
    rc = update_row(t, argv[0], argv + 2);
  }
  vt_session_changed(t->session);
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
    vt_session_rollback(t->session); /* of savepoints alone that nobody will end */
  }
  set_part(t, VT_PART_NONE);
  return SQLITE_OK;
}
