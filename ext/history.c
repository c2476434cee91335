/*
** history.c - bitcask_history(T): one row for each record in log order, what was
** overwritten or deleted included, until a merge removes it.
**
**   kind         key  value  tstamp
**   'value'      yes  yes    yes
**   'tombstone'  yes  NULL   yes      a deletion
**   'marker'     NULL NULL   yes      begins or ends a transaction of several records
**   'damaged'    NULL NULL   NULL     bytes that are no record
*/
#include "history.h"
#include "reading.h"
#include "report.h"

typedef struct history_cursor {
  vt_report_cursor base;
  vt_view *view;
  bitcask_history *history;
  bitcask_record record;
} history_cursor;

static int start(vt_report_cursor *base, const char *argument, bitcask_error *e) {
  history_cursor *c = (history_cursor *)base;
  int rc = vt_reading_view(base->session, &c->view, e);
  (void)argument;
  return rc == BITCASK_OK ? bitcask_history_open(c->view->snap, &c->history, e) : rc;
}

static int next(vt_report_cursor *base, bitcask_error *e) {
  history_cursor *c = (history_cursor *)base;
  return bitcask_history_next(c->history, &c->record, e);
}

static void clear(vt_report_cursor *base) {
  history_cursor *c = (history_cursor *)base;
  bitcask_history_close(c->history);
  c->history = NULL;
  if (c->view) {
    vt_view_release(c->view);
    c->view = NULL;
  }
}

static void column(vt_report_cursor *base, sqlite3_context *ctx, int column) {
  static const char *const words[] = {"value", "tombstone", "marker", "damaged"};
  const bitcask_record *r = &((history_cursor *)base)->record;
  bool has_key = r->kind == BITCASK_RECORD_VALUE || r->kind == BITCASK_RECORD_TOMBSTONE;
  switch (column) {
  case 0:
    sqlite3_result_int64(ctx, r->entry.file_id);
    break;
  case 1:
    vt_report_size(ctx, r->entry.offset);
    break;
  case 2:
    vt_report_size(ctx, r->size);
    break;
  case 3:
    if (r->kind != BITCASK_RECORD_DAMAGED) {
      sqlite3_result_int64(ctx, r->entry.tstamp);
    }
    break;
  case 4:
    if (has_key) {
      vt_report_key(ctx, r->entry.key, r->entry.key_sz);
    }
    break;
  case 5:
    if (r->kind == BITCASK_RECORD_VALUE) {
      sqlite3_result_blob64(ctx, r->entry.value, r->entry.value_sz, SQLITE_TRANSIENT);
    }
    break;
  case 6:
    sqlite3_result_text(ctx, words[r->kind], -1, SQLITE_STATIC);
    break;
  default:
    sqlite3_result_int(ctx, r->is_live);
    break;
  }
}

static const vt_report_kind kind = {
    .name = "bitcask_history",
    .declaration = "CREATE TABLE x(file_id INTEGER, offset INTEGER, size INTEGER, tstamp INTEGER, "
                   "key, value BLOB, kind TEXT, live INTEGER, \"table\" HIDDEN)",
    .argument = 8,
    .example = "kv",
    .cursor_sz = sizeof(history_cursor),
    .start = start,
    .next = next,
    .column = column,
    .clear = clear,
};

int vt_history_register(vt_connection *c) { return vt_report_register(c, &kind); }
