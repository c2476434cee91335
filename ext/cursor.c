/*
** cursor.c - xOpen to xClose.
**
** A cursor holds its snapshot from xFilter (or xOpen, if there is one to share)
** to xClose, also when it is filtered again and when the transaction that it
** began in has ended: a statement reads one state.
*/
#include "cursor.h"
#include "error.h"
#include "plan.h"
#include "table.h"
#include "value.h"

#include <stdlib.h>
#include <string.h>

/* Bytes of memory for values that a closed cursor keeps for the next one. */
enum { SCRATCH_KEPT = 1 << 20 };

typedef struct vt_cursor {
  sqlite3_vtab_cursor base; /* first: SQLite knows the cursor by it */
  vt_view *view;            /* NULL until there is one */
  bitcask_iter *iter;       /* scans */
  bitcask_buf keys;         /* lookups: each key, behind its length as a size_t */
  size_t keys_pos;          /* of the next key to look up */
  bitcask_buf scratch;      /* for values that cannot be given in place */
  bitcask_entry entry;      /* the row */
  bool wants_value;         /* the plan says that the value will be used */
  bool has_value;           /* entry.value is the value */
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
  vt_cursor_free(t->spare);
  t->spare = c;
  return SQLITE_OK;
}

void vt_cursor_free(vt_cursor *c) {
  if (c) {
    bitcask_buf_free(&c->keys);
    bitcask_buf_free(&c->scratch);
    sqlite3_free(c);
  }
}

/* Add a key to those to look up.  Values that cannot be a key equal none. */
static int add_key(vt_cursor *c, sqlite3_value *v) {
  vt_table *t = table_of(c);
  const void *data;
  size_t size;
  size_t need;
  switch (vt_value_key(v, t->args.columns[t->args.key].type, &data, &size)) {
  case VT_VALUE_NULL:
  case VT_VALUE_MISMATCH:
    return SQLITE_OK;
  case VT_VALUE_NOMEM:
    return SQLITE_NOMEM;
  case VT_VALUE_BYTES:
    break;
  }
  need = c->keys.size + sizeof(size) + size;
  if (need > c->keys.cap) {
    size_t cap = need * 2;
    uint8_t *p = realloc(c->keys.data, cap);
    if (!p) {
      return SQLITE_NOMEM;
    }
    c->keys.data = p;
    c->keys.cap = cap;
  }
  memcpy(c->keys.data + c->keys.size, &size, sizeof(size));
  memcpy(c->keys.data + c->keys.size + sizeof(size), data, size);
  c->keys.size = need;
  return SQLITE_OK;
}

/* sqlite3_vtab_in gives the list sorted and each value once. */
static int add_list(vt_cursor *c, sqlite3_value *list) {
  sqlite3_value *v = NULL;
  int rc = sqlite3_vtab_in_first(list, &v);
  while (rc == SQLITE_OK && v) {
    rc = add_key(c, v);
    if (rc == SQLITE_OK) {
      rc = sqlite3_vtab_in_next(list, &v);
    }
  }
  return rc == SQLITE_DONE ? SQLITE_OK : rc;
}

/* Move on to the next key of the list that is there. */
static int next_lookup(vt_cursor *c) {
  bitcask_error e;
  while (c->keys_pos < c->keys.size) {
    const uint8_t *p = c->keys.data + c->keys_pos;
    size_t size;
    int rc;
    memcpy(&size, p, sizeof(size));
    c->keys_pos += sizeof(size) + size;
    rc = bitcask_snapshot_get(c->view->snap, p + sizeof(size), size,
                              c->wants_value ? &c->scratch : NULL, &c->entry, &e);
    if (rc == BITCASK_OK) {
      c->has_value = c->wants_value;
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

static int next_scanned(vt_cursor *c) {
  bitcask_error e;
  int rc = bitcask_iter_next(c->iter, &c->entry, &e);
  if (rc == BITCASK_NOTFOUND) {
    c->eof = true;
  } else if (rc != BITCASK_OK) {
    return vt_table_fail(table_of(c), &e);
  }
  c->has_value = c->wants_value;
  return SQLITE_OK;
}

int vt_cursor_filter(sqlite3_vtab_cursor *cursor, int plan, const char *plan_text, int argc,
                     sqlite3_value **argv) {
  vt_cursor *c = (vt_cursor *)cursor;
  int kind = plan & VT_PLAN_KIND;
  bitcask_error e;
  int rc = SQLITE_OK;
  (void)plan_text;
  (void)argc;
  bitcask_iter_close(c->iter);
  c->iter = NULL;
  c->keys.size = 0;
  c->keys_pos = 0;
  c->eof = false;
  c->wants_value = (plan & VT_PLAN_VALUE) != 0;
  if (!c->view && vt_session_view(table_of(c)->session, &c->view, &e) != BITCASK_OK) {
    return vt_table_fail(table_of(c), &e);
  }
  if (kind == VT_PLAN_SCAN || kind == VT_PLAN_SCAN_KEYS) {
    bitcask_iter_mode mode = kind == VT_PLAN_SCAN ? BITCASK_VALUES : BITCASK_KEYS;
    if (bitcask_iter_open(c->view->snap, mode, &c->iter, &e) != BITCASK_OK) {
      return vt_table_fail(table_of(c), &e);
    }
    return next_scanned(c);
  }
  rc = kind == VT_PLAN_KEY_IN ? add_list(c, argv[0]) : add_key(c, argv[0]);
  return rc == SQLITE_OK ? next_lookup(c) : rc;
}

int vt_cursor_next(sqlite3_vtab_cursor *cursor) {
  vt_cursor *c = (vt_cursor *)cursor;
  return c->iter ? next_scanned(c) : next_lookup(c);
}

int vt_cursor_eof(sqlite3_vtab_cursor *cursor) { return ((vt_cursor *)cursor)->eof; }

/* The value of a row for which the plan did not expect to need it. */
static int fetch_value(vt_cursor *c, bitcask_error *e) {
  bitcask_entry with_value;
  int rc = bitcask_snapshot_get(c->view->snap, c->entry.key, c->entry.key_sz, &c->scratch,
                                &with_value, e);
  if (rc == BITCASK_OK) {
    c->entry.value = with_value.value;
    c->entry.value_sz = with_value.value_sz;
    c->has_value = true;
  }
  return rc;
}

int vt_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int column) {
  vt_cursor *c = (vt_cursor *)cursor;
  vt_table *t = table_of(c);
  vt_type type = t->args.columns[column].type;
  bitcask_error e;
  if (column == t->args.key) {
    vt_value_result(ctx, type, c->entry.key, c->entry.key_sz);
    return SQLITE_OK;
  }
  /* An UPDATE of the key alone: xUpdate moves the value itself. */
  if (sqlite3_vtab_nochange(ctx)) {
    return SQLITE_OK;
  }
  if (!c->has_value && fetch_value(c, &e) != BITCASK_OK) {
    vt_error_result(ctx, t->name, &e);
    return SQLITE_OK;
  }
  vt_value_result(ctx, type, c->entry.value, c->entry.value_sz);
  return SQLITE_OK;
}

int vt_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out) {
  /* Never asked of a WITHOUT ROWID table, but the slot may not be empty. */
  (void)cursor;
  *out = 0;
  return SQLITE_OK;
}
