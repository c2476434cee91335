/*
** change.c - INSERT, UPDATE and DELETE of one row.
**
** SQLite enforces neither NOT NULL nor uniqueness on a virtual table: that is
** done here, with the codes and texts of an ordinary table, and before anything
** is changed, as SQLITE_VTAB_CONSTRAINT_SUPPORT promises.
*/
#include "change.h"
#include "error.h"
#include "value.h"

#include <string.h>

/* Bytes of memory for a row that a table keeps for the next one. */
enum { RECORD_KEPT = 1 << 20 };

static int constraint_failed(vt_table *t, int rc, const char *what, int column) {
  return vt_error_vtab_text(&t->base, rc, "%s constraint failed: %s.%s", what, t->name,
                            t->args.columns.list[column].name);
}

static int mismatch(vt_table *t) {
  static const char *const whys[] = {
      [VT_AFFINITY_BLOB] = "BLOB, the key given is not",
      [VT_AFFINITY_TEXT] = "TEXT, the key given is a BLOB",
      [VT_AFFINITY_INTEGER] = "INTEGER, the key given is not",
  };
  return vt_error_vtab_text(&t->base, SQLITE_MISMATCH, "datatype mismatch: %s.%s is %s", t->name,
                            vt_table_key(t)->name, whys[vt_table_key(t)->affinity]);
}

static int failed(vt_table *t, vt_value_kind kind, int column) {
  switch (kind) {
  case VT_VALUE_NULL:
    return constraint_failed(t, SQLITE_CONSTRAINT_NOTNULL, "NOT NULL", column);
  case VT_VALUE_MISMATCH:
    return mismatch(t);
  case VT_VALUE_NOMEM:
    return SQLITE_NOMEM;
  case VT_VALUE_BYTES:
    break;
  }
  return SQLITE_OK;
}

/*
** The new row out of xUpdate's columns, checked in column order as SQLite does:
** its key, its value if that is raw, else the fields in t->new_row.  Of columns that
** an UPDATE does not change the fields are left as they are there.
*/
static int read_columns(vt_table *t, sqlite3_value **columns, vt_bytes *key, vt_bytes *raw) {
  const vt_columns *c = &t->args.columns;
  for (int i = 0; i < c->n; i++) {
    const vt_column *column = &c->list[i];
    vt_value_kind kind = VT_VALUE_BYTES;
    if (i == c->key) {
      kind = vt_value_key(columns[i], column->affinity, key);
    } else if (sqlite3_value_nochange(columns[i])) {
      continue;
    } else if (c->raw) {
      kind = vt_value_raw(columns[i], raw);
    } else if (!vt_value_field(columns[i], column->affinity,
                               &t->new_row.fields[vt_columns_field(c, i)])) {
      kind = VT_VALUE_NOMEM;
    } else if (column->not_null && sqlite3_value_type(columns[i]) == SQLITE_NULL) {
      kind = VT_VALUE_NULL;
    }
    if (kind != VT_VALUE_BYTES) {
      return failed(t, kind, i);
    }
  }
  return SQLITE_OK;
}

/* A row of NULLs to read columns into. */
static int clear_row(vt_table *t) {
  int n = t->args.columns.n - 1;
  int rc = vt_row_reserve(&t->new_row, n);
  if (rc == SQLITE_OK) {
    memset(t->new_row.fields, 0, (size_t)n * sizeof(vt_field));
    t->new_row.n = n;
  }
  return rc;
}

/* The value of the row in t->new_row. */
static int encode_row(vt_table *t, vt_bytes *out) {
  int rc = vt_row_encode(&t->new_row, &t->record);
  out->data = t->record.data;
  out->size = t->record.size;
  return rc;
}

static void trim_record(vt_table *t) {
  if (t->record.cap > RECORD_KEPT) {
    bitcask_buf_free(&t->record);
  }
}

/* Is there a row with this key?  Where that cannot be told nothing may be written. */
static int find_key(vt_table *t, const vt_bytes *key, bool *found) {
  bitcask_error e;
  int rc = bitcask_txn_contains(t->session->txn, key->data, key->size);
  *found = rc == BITCASK_OK;
  if (rc == BITCASK_OK || rc == BITCASK_NOTFOUND) {
    return SQLITE_OK;
  }
  (void)vt_error_set(&e, rc, "cannot tell whether a key is there: %s", bitcask_strerror(rc));
  return vt_table_fail(t, &e);
}

/* The key is new to the row: it must be new to the table, but for REPLACE. */
static int check_unique(vt_table *t, const vt_bytes *key) {
  bool found;
  int rc;
  if (sqlite3_vtab_on_conflict(t->connection->db) == SQLITE_REPLACE) {
    return SQLITE_OK;
  }
  rc = find_key(t, key, &found);
  if (rc == SQLITE_OK && found) {
    rc = constraint_failed(t, SQLITE_CONSTRAINT_PRIMARYKEY, "UNIQUE", t->args.columns.key);
  }
  return rc;
}

static int put(vt_table *t, const vt_bytes *key, const vt_bytes *value) {
  bitcask_error e;
  int rc = bitcask_txn_put(t->session->txn, key->data, key->size, value->data, value->size, &e);
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}

static int delete_key(vt_table *t, const vt_bytes *key) {
  bitcask_error e;
  int rc = bitcask_txn_delete(t->session->txn, key->data, key->size, &e);
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}

int vt_change_insert(vt_table *t, sqlite3_value **columns) {
  vt_bytes key;
  vt_bytes value;
  int rc = clear_row(t);
  if (rc == SQLITE_OK) {
    rc = read_columns(t, columns, &key, &value);
  }
  if (rc == SQLITE_OK) {
    rc = check_unique(t, &key);
  }
  if (rc == SQLITE_OK && !t->args.columns.raw) {
    rc = encode_row(t, &value);
  }
  if (rc == SQLITE_OK) {
    rc = put(t, &key, &value);
  }
  trim_record(t);
  return rc;
}

/* Both halves of a change of key, or neither. */
static int move_row(vt_table *t, const vt_bytes *old, const vt_bytes *key, const vt_bytes *value) {
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

/* The value that a row has before it is changed. */
typedef struct old_value {
  bitcask_snapshot *snap;
  bitcask_buf scratch;
  bitcask_entry entry;
  bool found;
} old_value;

static int load_old(vt_table *t, const vt_bytes *key, old_value *o) {
  bitcask_error e;
  int rc = bitcask_snapshot_open(t->session->engine->bc, t->session->txn, &o->snap, &e);
  if (rc == BITCASK_OK) {
    rc = bitcask_snapshot_get(o->snap, key->data, key->size, &o->scratch, &o->entry, &e);
    o->found = rc == BITCASK_OK;
  }
  return rc == BITCASK_OK || rc == BITCASK_NOTFOUND ? SQLITE_OK : vt_table_fail(t, &e);
}

static void unload_old(old_value *o) {
  if (o->snap) {
    bitcask_snapshot_close(o->snap);
  }
  bitcask_buf_free(&o->scratch);
}

/* The old row in t->new_row, to be changed there: all its fields, those that the
** table declares at least. */
static int copy_row(vt_table *t, const old_value *o) {
  vt_row *r = &t->new_row;
  int declared = t->args.columns.n - 1;
  bitcask_error e;
  int rc;
  if (!vt_row_open(r, o->entry.value, o->entry.value_sz)) {
    (void)vt_table_bad_row(t, &o->entry, VT_NO_ROW, &e);
    return vt_table_fail(t, &e);
  }
  rc = vt_row_decode(r);
  if (rc == SQLITE_OK) {
    rc = vt_row_reserve(r, declared);
  }
  if (rc == SQLITE_OK && r->n < declared) {
    memset(&r->fields[r->n], 0, (size_t)(declared - r->n) * sizeof(vt_field));
    r->n = declared;
  }
  return rc;
}

/* The key of a row that a cursor gave.  In a UTF-16 database, bytes that are not
** valid UTF-8 come back as U+FFFD, and the row can no longer be told. */
static int read_old_key(vt_table *t, sqlite3_value *old_key, vt_bytes *old) {
  static const char replacement[] = "\xef\xbf\xbd";
  vt_affinity affinity = vt_table_key(t)->affinity;
  bool found = true;
  int rc = SQLITE_OK;
  if (vt_value_key(old_key, affinity, old) != VT_VALUE_BYTES) {
    return SQLITE_NOMEM; /* it is a key that we returned ourselves */
  }
  if (affinity == VT_AFFINITY_TEXT && memmem(old->data, old->size, replacement, 3)) {
    rc = find_key(t, old, &found);
  }
  if (rc == SQLITE_OK && !found) {
    return vt_error_vtab_text(
        &t->base, SQLITE_MISMATCH,
        "datatype mismatch: a key of %s is not valid UTF-8; use a database in "
        "UTF-8, or declare the key BLOB",
        t->name);
  }
  return rc;
}

/* Is no value column changed? */
static bool keeps_value(const vt_table *t, sqlite3_value **columns) {
  const vt_columns *c = &t->args.columns;
  int i = 0;
  while (i < c->n && (i == c->key || sqlite3_value_nochange(columns[i]))) {
    i++;
  }
  return i == c->n;
}

/* The new key and value are read; `o` is loaded if the value is a row that changes. */
static int replace_row(vt_table *t, const vt_bytes *old, const vt_bytes *key, vt_bytes *value,
                       bool keep, old_value *o) {
  bool same_key = old->size == key->size && memcmp(old->data, key->data, key->size) == 0;
  bool found;
  int rc = SQLITE_OK;
  if (same_key && keep) {
    return SQLITE_OK;
  }
  if (!same_key) {
    rc = find_key(t, old, &found);
    /* UPDATE ... FROM comes once for each match; the first one has moved the row. */
    if (rc != SQLITE_OK || !found) {
      return rc;
    }
    rc = check_unique(t, key);
  }
  if (rc == SQLITE_OK && keep) {
    rc = load_old(t, old, o);
    if (rc == SQLITE_OK && !o->found) {
      return SQLITE_OK; /* expired this very moment */
    }
    value->data = o->entry.value;
    value->size = o->entry.value_sz;
  } else if (rc == SQLITE_OK && !t->args.columns.raw) {
    rc = encode_row(t, value);
  }
  if (rc != SQLITE_OK) {
    return rc;
  }
  return same_key ? put(t, key, value) : move_row(t, old, key, value);
}

int vt_change_update(vt_table *t, sqlite3_value *old_key, sqlite3_value **columns) {
  vt_bytes old;
  vt_bytes key;
  vt_bytes value;
  old_value o = {NULL, {NULL, 0, 0}, {0}, false};
  bool keep = keeps_value(t, columns);
  bool changes_row = !keep && !t->args.columns.raw;
  int rc = read_old_key(t, old_key, &old);
  if (rc == SQLITE_OK && changes_row) {
    rc = load_old(t, &old, &o);
    if (rc == SQLITE_OK && o.found) {
      rc = copy_row(t, &o);
    }
  }
  /* A row that is gone, expired meanwhile or moved, has nothing to be changed. */
  if (rc == SQLITE_OK && (o.found || !changes_row)) {
    rc = read_columns(t, columns, &key, &value);
    if (rc == SQLITE_OK) {
      rc = replace_row(t, &old, &key, &value, keep, &o);
    }
  }
  unload_old(&o);
  trim_record(t);
  return rc;
}

int vt_change_delete(vt_table *t, sqlite3_value *old_key) {
  vt_bytes old;
  int rc = read_old_key(t, old_key, &old);
  return rc == SQLITE_OK ? delete_key(t, &old) : rc;
}
