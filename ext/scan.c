/*
** scan.c - bitcask_scan('dir'): key, value and time of what is live in a directory,
** in log order.  It is opened read-only, with the default options.
**
** A handle of its own, not that of the registry: a table that has the directory
** open may have other options.
*/
#include "scan.h"
#include "error.h"
#include "report.h"
#include "table.h"
#include "wait.h"

typedef struct scan_cursor {
  vt_report_cursor base;
  bitcask *bc;
  bitcask_snapshot *snap;
  bitcask_iter *iter;
  bitcask_entry entry;
} scan_cursor;

static int open_directory(scan_cursor *c, const char *path, bitcask_error *e) {
  bitcask_options o;
  vt_poll poll;
  int rc = vt_poll_begin(&poll, c->base.connection->db, e);
  if (rc != BITCASK_OK) {
    return rc;
  }
  bitcask_options_init(&o);
  o.read_only = true;
  o.log = vt_error_log;
  o.progress = vt_poll_interrupted;
  o.progress_ctx = &poll;
  rc = bitcask_open(path, &o, &c->bc, e);
  vt_poll_release(&poll);
  return rc;
}

static int start(vt_report_cursor *base, const char *argument, bitcask_error *e) {
  scan_cursor *c = (scan_cursor *)base;
  char *path = vt_table_path(base->connection->db, "main", argument);
  int rc;
  if (!path) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  rc = open_directory(c, path, e);
  sqlite3_free(path);
  if (rc == BITCASK_OK) {
    rc = bitcask_snapshot_open(c->bc, NULL, &c->snap, e);
  }
  return rc == BITCASK_OK ? bitcask_iter_open(c->snap, BITCASK_VALUES, &c->iter, e) : rc;
}

static int next(vt_report_cursor *base, bitcask_error *e) {
  scan_cursor *c = (scan_cursor *)base;
  return bitcask_iter_next(c->iter, &c->entry, e);
}

static void clear(vt_report_cursor *base) {
  scan_cursor *c = (scan_cursor *)base;
  bitcask_iter_close(c->iter);
  bitcask_snapshot_close(c->snap);
  (void)bitcask_close(c->bc, NULL); /* it has written nothing */
  c->iter = NULL;
  c->snap = NULL;
  c->bc = NULL;
}

static void column(vt_report_cursor *base, sqlite3_context *ctx, int column) {
  const bitcask_entry *entry = &((scan_cursor *)base)->entry;
  switch (column) {
  case 0:
    vt_report_key(ctx, entry->key, entry->key_sz);
    break;
  case 1:
    sqlite3_result_blob64(ctx, entry->value, entry->value_sz, SQLITE_TRANSIENT);
    break;
  default:
    sqlite3_result_int64(ctx, entry->tstamp);
    break;
  }
}

static const vt_report_kind kind = {
    .name = "bitcask_scan",
    .declaration = "CREATE TABLE x(key, value BLOB, _tstamp INTEGER, directory HIDDEN)",
    .argument = 3,
    .takes_directory = true,
    .example = "data/kv",
    .cursor_sz = sizeof(scan_cursor),
    .start = start,
    .next = next,
    .column = column,
    .clear = clear,
};

int vt_scan_register(vt_connection *c) { return vt_report_register(c, &kind); }
