/*
** problems.c - bitcask_verify_rows(T).  The check runs before the first row: the
** engine calls back, and SQLite asks.
*/
#include "problems.h"
#include "error.h"
#include "report.h"
#include "wait.h"

#include <string.h>

/* A problem with its text behind it. */
typedef struct problem {
  struct problem *next;
  uint32_t file_id;
  uint64_t offset;
  char text[];
} problem;

typedef struct problems_cursor {
  vt_report_cursor base;
  vt_poll poll;
  problem *first, **last;
  problem *here; /* NULL before the first row */
  bool nomem;
} problems_cursor;

static int keep(void *ctx, const bitcask_problem *p) {
  problems_cursor *c = ctx;
  size_t n = strlen(p->text) + 1;
  problem *copy = sqlite3_malloc64(sizeof(*copy) + n);
  if (!copy) {
    c->nomem = true;
    return 1;
  }
  copy->next = NULL;
  copy->file_id = p->file_id;
  copy->offset = p->offset;
  memcpy(copy->text, p->text, n);
  *c->last = copy;
  c->last = &copy->next;
  return 0;
}

static int progress(void *ctx) {
  problems_cursor *c = ctx;
  return vt_poll_interrupted(&c->poll);
}

static int start(vt_report_cursor *base, const char *argument, bitcask_error *e) {
  problems_cursor *c = (problems_cursor *)base;
  uint64_t n;
  int rc;
  (void)argument;
  rc = vt_poll_begin(&c->poll, base->connection->db, e);
  if (rc != BITCASK_OK) {
    return rc;
  }
  c->last = &c->first;
  rc = bitcask_verify(base->session->engine->bc, keep, progress, c, &n, e);
  vt_poll_release(&c->poll);
  return c->nomem ? vt_error_set(e, BITCASK_NOMEM, "out of memory") : rc;
}

static int next(vt_report_cursor *base, bitcask_error *e) {
  problems_cursor *c = (problems_cursor *)base;
  (void)e;
  c->here = c->here ? c->here->next : c->first;
  return c->here ? BITCASK_OK : BITCASK_NOTFOUND;
}

static void clear(vt_report_cursor *base) {
  problems_cursor *c = (problems_cursor *)base;
  problem *after;
  for (problem *p = c->first; p; p = after) {
    after = p->next;
    sqlite3_free(p);
  }
  c->first = c->here = NULL;
  c->nomem = false;
}

static void column(vt_report_cursor *base, sqlite3_context *ctx, int column) {
  const problem *p = ((problems_cursor *)base)->here;
  switch (column) {
  case 0:
    sqlite3_result_int64(ctx, p->file_id);
    break;
  case 1:
    vt_report_size(ctx, p->offset);
    break;
  case 2:
    vt_report_path(ctx, base, p->file_id);
    break;
  default:
    sqlite3_result_text(ctx, p->text, -1, SQLITE_TRANSIENT);
    break;
  }
}

static const vt_report_kind kind = {
    .name = "bitcask_verify_rows",
    .declaration = "CREATE TABLE x(file_id INTEGER, offset INTEGER, path TEXT, problem TEXT, "
                   "\"table\" HIDDEN)",
    .argument = 4,
    .example = "kv",
    .cursor_sz = sizeof(problems_cursor),
    .start = start,
    .next = next,
    .column = column,
    .clear = clear,
};

int vt_problems_register(vt_connection *c) { return vt_report_register(c, &kind); }
