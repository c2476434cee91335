/*
** report.c - see report.h.
*/
#include "report.h"
#include "error.h"
#include "lookup.h"
#include "reading.h"
#include "utf8.h"

#include <string.h>

typedef struct report {
  sqlite3_vtab base;
  vt_connection *connection;
  const vt_report_kind *kind;
} report;

static int connect_report(sqlite3 *db, void *aux, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **err) {
  const vt_report_kind *kind = aux;
  report *r = NULL;
  int rc = sqlite3_declare_vtab(db, kind->declaration);
  (void)argc;
  (void)argv;
  (void)err;
  if (rc == SQLITE_OK) {
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  }
  if (rc == SQLITE_OK) {
    r = sqlite3_malloc64(sizeof(*r));
    rc = r ? SQLITE_OK : SQLITE_NOMEM;
  }
  if (rc == SQLITE_OK) {
    memset(r, 0, sizeof(*r));
    r->kind = kind;
    r->connection = vt_connection_acquire(db);
    rc = r->connection ? SQLITE_OK : SQLITE_NOMEM;
  }
  if (rc != SQLITE_OK) {
    sqlite3_free(r);
    return rc;
  }
  *out = &r->base;
  return SQLITE_OK;
}

static int disconnect_report(sqlite3_vtab *vtab) {
  report *r = (report *)vtab;
  vt_connection_release(r->connection);
  sqlite3_free(r);
  return SQLITE_OK;
}

/* idxNum 1: the argument is argv[0] of xFilter. */
static int best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
  const report *r = (report *)vtab;
  bool unusable = false;
  int rc = vt_reading_prepare(r->connection);
  if (rc != SQLITE_OK) {
    return rc;
  }
  info->estimatedCost = 100;
  info->estimatedRows = 100;
  for (int i = 0; i < info->nConstraint; i++) {
    const struct sqlite3_index_constraint *c = &info->aConstraint[i];
    if (c->iColumn != r->kind->argument || c->op != SQLITE_INDEX_CONSTRAINT_EQ) {
      continue;
    }
    if (c->usable) {
      info->aConstraintUsage[i].argvIndex = 1;
      info->aConstraintUsage[i].omit = 1; /* the column itself is not kept */
      info->idxNum = 1;
      return SQLITE_OK;
    }
    unusable = true;
  }
  /* The argument comes from a table that has to be read first. */
  return unusable ? SQLITE_CONSTRAINT : SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
  const report *r = (report *)vtab;
  vt_report_cursor *c = sqlite3_malloc64(r->kind->cursor_sz);
  if (!c) {
    return SQLITE_NOMEM;
  }
  memset(c, 0, r->kind->cursor_sz);
  c->connection = r->connection;
  *out = &c->base;
  return SQLITE_OK;
}

static const vt_report_kind *kind_of(const vt_report_cursor *c) {
  return ((const report *)c->base.pVtab)->kind;
}

static void clear(vt_report_cursor *c) {
  kind_of(c)->clear(c);
  sqlite3_free(c->subject);
  c->subject = NULL;
  if (c->session) {
    vt_session_release(c->session);
    c->session = NULL;
  }
  c->row = 0;
  c->is_end = true;
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  vt_report_cursor *c = (vt_report_cursor *)base;
  clear(c);
  sqlite3_free(c);
  return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
  vt_report_cursor *c = (vt_report_cursor *)base;
  bitcask_error e;
  int rc = kind_of(c)->next(c, &e);
  c->row++;
  c->is_end = rc != BITCASK_OK;
  if (rc == BITCASK_OK || rc == BITCASK_NOTFOUND) {
    return SQLITE_OK;
  }
  return vt_error_vtab(c->base.pVtab, c->subject, &e);
}

/* Find the table that is named and open its store. */
static int find_table(vt_report_cursor *c, const char *name) {
  sqlite3_vtab *vtab = c->base.pVtab;
  vt_table *t;
  char *err = NULL;
  int rc = vt_lookup(c->connection, name, &t, &err);
  if (rc != SQLITE_OK) {
    sqlite3_free(vtab->zErrMsg);
    vtab->zErrMsg = err;
    return rc;
  }
  c->session = vt_session_retain(t->session);
  c->subject = sqlite3_mprintf("%s", t->name);
  return c->subject ? SQLITE_OK : SQLITE_NOMEM;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int argc,
                  sqlite3_value **argv) {
  vt_report_cursor *c = (vt_report_cursor *)base;
  const vt_report_kind *kind = kind_of(c);
  const char *argument = plan == 1 ? (const char *)sqlite3_value_text(argv[0]) : NULL;
  bitcask_error e;
  int rc = SQLITE_OK;
  (void)plan_text;
  (void)argc;
  clear(c);
  if (!argument) {
    return vt_error_vtab_text(base->pVtab, SQLITE_ERROR, "%s: no %s is named, as in %s('%s')",
                              kind->name, kind->takes_directory ? "directory" : "table", kind->name,
                              kind->example);
  }
  if (kind->takes_directory) {
    c->subject = sqlite3_mprintf("%s", kind->name);
    rc = c->subject ? SQLITE_OK : SQLITE_NOMEM;
  } else {
    rc = find_table(c, argument);
  }
  if (rc != SQLITE_OK) {
    return rc;
  }
  if (kind->start(c, argument, &e) != BITCASK_OK) {
    rc = vt_error_vtab(base->pVtab, c->subject, &e);
    clear(c);
    return rc;
  }
  return next(base);
}

static int eof(sqlite3_vtab_cursor *base) { return ((vt_report_cursor *)base)->is_end; }

static int column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  vt_report_cursor *c = (vt_report_cursor *)base;
  const vt_report_kind *kind = kind_of(c);
  if (i < kind->argument) { /* the argument itself is not kept */
    kind->column(c, ctx, i);
  }
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = ((vt_report_cursor *)base)->row;
  return SQLITE_OK;
}

static const sqlite3_module module = {
    .iVersion = 0,
    .xConnect = connect_report,
    .xBestIndex = best_index,
    .xDisconnect = disconnect_report,
    .xOpen = open_cursor,
    .xClose = close_cursor,
    .xFilter = filter,
    .xNext = next,
    .xEof = eof,
    .xColumn = column,
    .xRowid = rowid,
};

int vt_report_register(vt_connection *c, const vt_report_kind *kind) {
  return sqlite3_create_module_v2(c->db, kind->name, &module, (void *)(uintptr_t)kind, NULL);
}

void vt_report_size(sqlite3_context *ctx, uint64_t n) {
  sqlite3_result_int64(ctx, n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n);
}

void vt_report_path(sqlite3_context *ctx, const vt_report_cursor *c, uint32_t file_id) {
  bitcask_buf path = {NULL, 0, 0};
  if (bitcask_file_path(c->session->engine->bc, file_id, &path) == BITCASK_OK) {
    sqlite3_result_text(ctx, (const char *)path.data, -1, SQLITE_TRANSIENT);
  } else {
    sqlite3_result_error_nomem(ctx);
  }
  bitcask_buf_free(&path);
}

void vt_report_key(sqlite3_context *ctx, const void *key, size_t key_sz) {
  if (memchr(key, 0, key_sz) == NULL && vt_utf8_is_valid(key, key_sz)) {
    sqlite3_result_text64(ctx, key, key_sz, SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_result_blob64(ctx, key, key_sz, SQLITE_TRANSIENT);
  }
}
