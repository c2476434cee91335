/*
** cursor.c - xOpen to xClose.
**
** A cursor holds its snapshot from xFilter (or xOpen, if there is one to share)
** to xClose, also when it is filtered again and when the transaction that it
** began in has ended: a statement reads one state.
**
** Rows come from an iterator over the directory, or from a list of keys: those that
** were asked for, or, where they must come in order, all that may match.
*/
#include "cursor.h"
#include "error.h"
#include "keylist.h"
#include "plan.h"
#include "range.h"
#include "reading.h"
#include "table.h"
#include "value.h"
#include "wait.h"

#include <string.h>

/* Bytes of memory that each buffer of a closed cursor keeps for the next one. */
enum { SCRATCH_KEPT = 1 << 20 };

/* Keys that are passed over between two looks for an interrupt: some milliseconds. */
enum { KEYS_PER_POLL = 1 << 16 };

typedef struct vt_cursor {
  sqlite3_vtab_cursor base;  /* first: SQLite knows the cursor by it */
  const vt_columns *columns; /* of the table */
  vt_view *view;             /* NULL until there is one */
  bitcask_iter *iter;        /* NULL: rows come from `keys` */
  vt_keylist keys;
  vt_range range;      /* the keys of `iter` that count */
  bitcask_buf scratch; /* for values that cannot be given in place */
  bitcask_entry entry; /* the row */
  vt_row row;          /* its value, if that is a row */
  bool reads_rows;     /* what is asked for by its key is read at once */
  bool wants_value;    /* ... with its value */
  bool has_place;      /* all of `entry` is known, not the key alone */
  bool has_value;      /* entry.value is the value */
  bool row_open;       /* `row` was begun */
  bool checks_keys;    /* not every key of `iter` is sure to be one of the table and in range */
  bool eof;
} vt_cursor;

static vt_table *table_of(vt_cursor *c) { return (vt_table *)c->base.pVtab; }

int vt_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
  vt_table *t = (vt_table *)vtab;
  vt_cursor *c = t->spare;
  int rc = vt_table_open(t);
  if (rc != SQLITE_OK) {
    return rc;
  }
  if (c) {
    t->spare = NULL;
  } else {
    c = sqlite3_malloc64(sizeof(*c));
    if (!c) {
      return SQLITE_NOMEM;
    }
    memset(c, 0, sizeof(*c));
  }
  /* A subquery that is run again opens its new cursor before the old one is
  ** closed: this keeps both on one snapshot. */
  c->view = vt_session_share_view(t->session);
  c->columns = &t->args.columns;
  c->eof = true;
  *out = &c->base;
  return SQLITE_OK;
}

int vt_cursor_close(sqlite3_vtab_cursor *cursor) {
  vt_cursor *c = (vt_cursor *)cursor;
  vt_table *t = table_of(c);
  bitcask_iter_close(c->iter);
  c->iter = NULL;
  if (c->view) {
    vt_view_release(c->view);
    c->view = NULL;
  }
  if (c->scratch.cap > SCRATCH_KEPT) {
    bitcask_buf_free(&c->scratch);
  }
  vt_keylist_shrink(&c->keys, SCRATCH_KEPT);
  vt_cursor_free(t->spare);
  t->spare = c;
  return SQLITE_OK;
}

void vt_cursor_free(vt_cursor *c) {
  if (c) {
    vt_keylist_shrink(&c->keys, 0);
    vt_range_release(&c->range);
    vt_row_release(&c->row);
    bitcask_buf_free(&c->scratch);
    sqlite3_free(c);
  }
}

/* *all is set if any key may be equal: numbers are compared with a TEXT key as
** numbers if they have numeric affinity, and then '05' equals 5. */
static int add_key(vt_cursor *c, sqlite3_value *v, bool *all) {
  vt_affinity affinity = vt_table_key(table_of(c))->affinity;
  vt_bytes key;
  if (affinity == VT_AFFINITY_TEXT && vt_value_is_number(v)) {
    *all = true;
    return SQLITE_OK;
  }
  switch (vt_value_key(v, affinity, &key)) {
  case VT_VALUE_BYTES:
    return vt_keylist_add(&c->keys, key.data, key.size);
  case VT_VALUE_NOMEM:
    return SQLITE_NOMEM;
  default:
    return SQLITE_OK; /* what cannot be a key equals none */
  }
}

/* sqlite3_vtab_in gives the list sorted and each value once. */
static int add_list(vt_cursor *c, sqlite3_value *list, bool *all) {
  sqlite3_value *v = NULL;
  int rc = sqlite3_vtab_in_first(list, &v);
  while (rc == SQLITE_OK && v) {
    rc = add_key(c, v, all);
    if (rc == SQLITE_OK) {
      rc = sqlite3_vtab_in_next(list, &v);
    }
  }
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

static int set_bounds(vt_cursor *c, int plan, sqlite3_value **argv) {
  vt_affinity affinity = vt_table_key(table_of(c))->affinity;
  int rc = SQLITE_OK;
  if (plan & VT_PLAN_LOWER) {
    /* A key that looks like a number and is one is below every text: letting it pass
    ** a lower bound loses nothing. */
    rc = vt_range_set(&c->range, &c->range.lower, *argv++, affinity,
                      (plan & VT_PLAN_LOWER_OPEN) != 0, true);
  }
  if (rc == SQLITE_OK && (plan & VT_PLAN_UPPER)) {
    rc = vt_range_set(&c->range, &c->range.upper, *argv, affinity, (plan & VT_PLAN_UPPER_OPEN) != 0,
                      (plan & VT_PLAN_UPPER_TEXT) != 0);
  }
  return rc;
}

static int poll_interrupt(vt_cursor *c) {
  vt_poll poll;
  int rc = vt_poll_init(&poll, table_of(c)->connection->db);
  if (rc == SQLITE_OK && vt_poll_interrupted(&poll)) {
    rc = SQLITE_INTERRUPT;
  }
  vt_poll_release(&poll);
  return rc;
}

/* Is the row one that the table can show? */
static int check_key(vt_cursor *c) {
  bitcask_error e;
  if (vt_table_key(table_of(c))->affinity != VT_AFFINITY_INTEGER ||
      c->entry.key_sz == VT_INTEGER_KEY_SZ) {
    return SQLITE_OK;
  }
  (void)vt_table_bad_row(table_of(c), &c->entry,
                         "its key is no INTEGER, which has 8 bytes; a table with a BLOB key can "
                         "read it",
                         &e);
  return vt_table_fail(table_of(c), &e);
}

/* Move on to the next row of the iterator. */
static int next_scanned(vt_cursor *c) {
  bitcask_error e;
  for (unsigned passed = 1;; passed++) {
    int rc = bitcask_iter_next(c->iter, &c->entry, &e);
    if (rc == BITCASK_NOTFOUND) {
      c->eof = true;
      return SQLITE_OK;
    }
    if (rc != BITCASK_OK) {
      return vt_table_fail(table_of(c), &e);
    }
    c->has_place = true;
    c->has_value = c->entry.value != NULL;
    if (!c->checks_keys) {
      return SQLITE_OK;
    }
    rc = check_key(c);
    if (rc != SQLITE_OK || vt_range_has(&c->range, c->entry.key, c->entry.key_sz)) {
      return rc;
    }
    if (passed % KEYS_PER_POLL == 0 && (rc = poll_interrupt(c)) != SQLITE_OK) {
      return rc;
    }
  }
}

/* Move on to the next key of the list that is there. */
static int next_listed(vt_cursor *c) {
  const void *key;
  size_t size;
  bitcask_error e;
  while (vt_keylist_take(&c->keys, &key, &size)) {
    int rc = BITCASK_OK;
    if (c->reads_rows) {
      rc = bitcask_snapshot_get(c->view->snap, key, size, c->wants_value ? &c->scratch : NULL,
                                &c->entry, &e);
    } else {
      c->entry = (bitcask_entry){.key = key, .key_sz = (uint32_t)size};
    }
    if (rc == BITCASK_OK) {
      c->has_place = c->reads_rows;
      c->has_value = c->reads_rows && c->wants_value;
      return SQLITE_OK;
    }
    /* A key over the limit cannot be stored, so no row has it. */
    if (rc != BITCASK_NOTFOUND && rc != BITCASK_TOOBIG) {
      return vt_table_fail(table_of(c), &e);
    }
  }
  c->eof = true;
  return SQLITE_OK;
}

static int start_scan(vt_cursor *c, bitcask_iter_mode mode) {
  bitcask_error e;
  if (bitcask_iter_open(c->view->snap, mode, &c->iter, &e) != BITCASK_OK) {
    return vt_table_fail(table_of(c), &e);
  }
  return SQLITE_OK;
}

/* Make a list of the keys that a scan would find. */
static int list_scanned(vt_cursor *c) {
  int rc = start_scan(c, BITCASK_KEYS);
  while (rc == SQLITE_OK && (rc = next_scanned(c)) == SQLITE_OK && !c->eof) {
    rc = vt_keylist_add(&c->keys, c->entry.key, c->entry.key_sz);
    if (rc == SQLITE_OK && c->keys.n % KEYS_PER_POLL == 0) {
      rc = poll_interrupt(c);
    }
  }
  bitcask_iter_close(c->iter);
  c->iter = NULL;
  c->eof = false;
  return rc;
}

/* An UPDATE was told that one row at most has the key, and several may: after
** SQLITE_SCHEMA it is planned once more and begins anew.  It has changed nothing. */
static int plan_again(vt_table *t) {
  t->numbers_seen = true;
  return SQLITE_SCHEMA;
}

static void reset(vt_cursor *c) {
  bitcask_iter_close(c->iter);
  c->iter = NULL;
  vt_keylist_clear(&c->keys);
  vt_range_clear(&c->range);
  c->eof = false;
  c->row_open = false;
}

int vt_cursor_filter(sqlite3_vtab_cursor *cursor, int plan, const char *plan_text, int argc,
                     sqlite3_value **argv) {
  vt_cursor *c = (vt_cursor *)cursor;
  int kind = plan & VT_PLAN_KIND;
  vt_order order = plan & VT_PLAN_ASC    ? VT_ORDER_ASC
                   : plan & VT_PLAN_DESC ? VT_ORDER_DESC
                                         : VT_ORDER_NONE;
  bool all = kind != VT_PLAN_KEY_EQ && kind != VT_PLAN_KEY_IN;
  bitcask_error e;
  int rc = SQLITE_OK;
  (void)plan_text;
  (void)argc;
  reset(c);
  if (vt_reading_view(table_of(c)->session, &c->view, &e) != BITCASK_OK) {
    return vt_table_fail(table_of(c), &e);
  }
  if (kind == VT_PLAN_KEY_IN) {
    rc = add_list(c, argv[0], &all);
  } else if (kind == VT_PLAN_KEY_EQ) {
    rc = add_key(c, argv[0], &all);
    c->range.numbers_only = all;
    if (all && (plan & VT_PLAN_ONE)) {
      return plan_again(table_of(c));
    }
  } else {
    rc = set_bounds(c, plan, argv);
  }
  c->checks_keys = kind == VT_PLAN_KEY_EQ || kind == VT_PLAN_KEY_RANGE ||
                   vt_table_key(table_of(c))->affinity == VT_AFFINITY_INTEGER;
  if (rc == SQLITE_OK && all) {
    vt_keylist_clear(&c->keys);
    rc = order != VT_ORDER_NONE
             ? list_scanned(c)
             : start_scan(c, kind == VT_PLAN_SCAN ? BITCASK_VALUES : BITCASK_KEYS);
  }
  /* The keys of a scan are there; SQLite may yet refuse some, or skip them for an
  ** OFFSET. */
  c->reads_rows = !all;
  c->wants_value = (plan & VT_PLAN_VALUE) != 0;
  vt_keylist_finish(&c->keys, order);
  return rc == SQLITE_OK ? vt_cursor_next(cursor) : rc;
}

int vt_cursor_next(sqlite3_vtab_cursor *cursor) {
  vt_cursor *c = (vt_cursor *)cursor;
  c->row_open = false;
  return c->iter ? next_scanned(c) : next_listed(c);
}

int vt_cursor_eof(sqlite3_vtab_cursor *cursor) { return ((vt_cursor *)cursor)->eof; }

/* The rest of a row that came as its key, or without its value. */
static int fetch(vt_cursor *c, bool value, bitcask_error *e) {
  bitcask_entry entry;
  int rc;
  if (value ? c->has_value : c->has_place) {
    return BITCASK_OK;
  }
  rc = bitcask_snapshot_get(c->view->snap, c->entry.key, c->entry.key_sz,
                            value ? &c->scratch : NULL, &entry, e);
  if (rc == BITCASK_OK) {
    c->entry = entry;
    c->has_place = true;
    c->has_value = value;
  }
  return rc;
}

static int column_field(vt_cursor *c, sqlite3_context *ctx, int column, bitcask_error *e) {
  vt_table *t = table_of(c);
  const vt_field *f;
  if (!c->row_open && !vt_row_open(&c->row, c->entry.value, c->entry.value_sz)) {
    return vt_table_bad_row(t, &c->entry, VT_NO_ROW, e);
  }
  c->row_open = true;
  if (vt_row_field(&c->row, vt_columns_field(&t->args.columns, column), &f) != SQLITE_OK) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  vt_value_result_field(ctx, t->args.columns.list[column].affinity, f);
  return BITCASK_OK;
}

/* Bytes of the row, in the way that is cheaper for one row, or for many. */
static void result(const vt_cursor *c, sqlite3_context *ctx, vt_affinity affinity, const void *data,
                   size_t size) {
  if (!c->iter && c->keys.n == 1) {
    vt_value_result_alone(ctx, affinity, data, size);
  } else {
    vt_value_result(ctx, affinity, data, size);
  }
}

static int column_value(vt_cursor *c, sqlite3_context *ctx, int column, bitcask_error *e) {
  const vt_columns *columns = c->columns;
  int rc = c->has_value ? BITCASK_OK : fetch(c, true, e);
  if (rc != BITCASK_OK) {
    return rc;
  }
  if (!columns->raw) {
    return column_field(c, ctx, column, e);
  }
  result(c, ctx, columns->list[column].affinity, c->entry.value, c->entry.value_sz);
  return BITCASK_OK;
}

static int column_hidden(vt_cursor *c, sqlite3_context *ctx, vt_hidden h, bitcask_error *e) {
  int rc = fetch(c, false, e);
  bool committed = rc == BITCASK_OK && c->entry.file_id != BITCASK_NO_FILE;
  if (rc != BITCASK_OK) {
    return rc;
  }
  if (h == VT_HIDDEN_TSTAMP) {
    sqlite3_result_int64(ctx, c->entry.tstamp);
  } else if (h == VT_HIDDEN_SIZE) {
    sqlite3_result_int64(ctx, c->entry.total_sz);
  } else if (h == VT_HIDDEN_FILE && committed) {
    sqlite3_result_int64(ctx, c->entry.file_id);
  } else if (h == VT_HIDDEN_OFFSET && committed) {
    sqlite3_result_int64(ctx, (sqlite3_int64)c->entry.offset);
  }
  return BITCASK_OK;
}

int vt_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int column) {
  vt_cursor *c = (vt_cursor *)cursor;
  const vt_columns *columns = c->columns;
  bitcask_error e;
  int rc;
  if (column == columns->key) {
    result(c, ctx, columns->list[column].affinity, c->entry.key, c->entry.key_sz);
    return SQLITE_OK;
  }
  /* Not changed by the UPDATE that asks: xUpdate keeps it as it is. */
  if (sqlite3_vtab_nochange(ctx)) {
    return SQLITE_OK;
  }
  rc = column < columns->n ? column_value(c, ctx, column, &e)
                           : column_hidden(c, ctx, (vt_hidden)(column - columns->n), &e);
  if (rc != BITCASK_OK) {
    vt_error_result(ctx, table_of(c)->name, &e);
  }
  return SQLITE_OK;
}

int vt_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out) {
  /* Never asked of a WITHOUT ROWID table, but the slot may not be empty. */
  (void)cursor;
  *out = 0;
  return SQLITE_OK;
}
