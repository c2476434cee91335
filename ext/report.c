/*
** report.c - bitcask_files(T) and bitcask_status(T).
**
** Both are eponymous virtual tables whose last column, hidden, is the argument.
** What they show is taken in xFilter, all at once.
*/
#include "report.h"
#include "error.h"
#include "lookup.h"

#include <string.h>

struct cursor;

/* What differs between the two. */
typedef struct kind {
  const char *name;
  const char *declaration;
  int argument; /* number of the hidden column */
  int (*load)(struct cursor *c, bitcask *bc, bitcask_error *e);
  void (*column)(struct cursor *c, sqlite3_context *ctx, int column);
} kind;

typedef struct report {
  sqlite3_vtab base;
  vt_connection *connection;
  const kind *kind;
} report;

typedef struct cursor {
  sqlite3_vtab_cursor base;
  vt_session *session;      /* keeps the engine open if the table is dropped meanwhile */
  bitcask_file_stat *files; /* bitcask_files */
  bitcask_status_info status;
  bitcask_buf path;
  size_t n_rows;
  size_t row;
} cursor;

static int load_files(cursor *c, bitcask *bc, bitcask_error *e) {
  return bitcask_files(bc, &c->files, &c->n_rows, e);
}

static void result_size(sqlite3_context *ctx, uint64_t n) {
  sqlite3_result_int64(ctx, n > INT64_MAX ? INT64_MAX : (sqlite3_int64)n);
}

static void column_path(cursor *c, sqlite3_context *ctx, uint32_t file_id) {
  if (bitcask_file_path(c->session->engine->bc, file_id, &c->path) == BITCASK_OK) {
    sqlite3_result_text(ctx, (const char *)c->path.data, -1, SQLITE_TRANSIENT);
  } else {
    sqlite3_result_error_nomem(ctx);
  }
}

static void column_files(cursor *c, sqlite3_context *ctx, int column) {
  const bitcask_file_stat *f = &c->files[c->row];
  switch (column) {
  case 0:
    sqlite3_result_int64(ctx, f->file_id);
    break;
  case 1:
    column_path(c, ctx, f->file_id);
    break;
  case 2:
    sqlite3_result_text(ctx, f->state == BITCASK_FILE_ACTIVE ? "active" : "immutable", -1,
                        SQLITE_STATIC);
    break;
  case 3:
    result_size(ctx, f->total_bytes);
    break;
  case 4:
    result_size(ctx, f->live_bytes);
    break;
  case 5:
    result_size(ctx, f->dead_bytes);
    break;
  case 6:
    result_size(ctx, f->live_keys);
    break;
  case 7:
    result_size(ctx, f->total_keys);
    break;
  case 8:
    sqlite3_result_int64(ctx, f->fragmented);
    break;
  case 9:
    sqlite3_result_int64(ctx, f->oldest_tstamp);
    break;
  case 10:
    sqlite3_result_int64(ctx, f->newest_tstamp);
    break;
  case 11:
    sqlite3_result_int(ctx, f->has_hint);
    break;
  case 12:
    sqlite3_result_int(ctx, f->damaged);
    break;
  default:
    break; /* the argument is not kept */
  }
}

static int load_status(cursor *c, bitcask *bc, bitcask_error *e) {
  c->n_rows = 1;
  return bitcask_status(bc, &c->status, e);
}

static void column_status(cursor *c, sqlite3_context *ctx, int column) {
  const bitcask_status_info *s = &c->status;
  const uint64_t sizes[] = {s->keys,       s->key_bytes,  s->files,        s->live_bytes,
                            s->dead_bytes, s->disk_bytes, s->keydir_bytes, s->writer_pid,
                            s->generation, s->snapshots};
  if (column < (int)(sizeof(sizes) / sizeof(sizes[0]))) {
    result_size(ctx, sizes[column]);
  } else if (column == 10 && s->active_file != BITCASK_NO_FILE) {
    sqlite3_result_int64(ctx, s->active_file);
  } else if (column == 11) {
    sqlite3_result_text(ctx, bitcask_dir(c->session->engine->bc), -1, SQLITE_TRANSIENT);
  }
}

static const kind kinds[] = {
    {"bitcask_files",
     "CREATE TABLE x(file_id INTEGER, path TEXT, state TEXT, total_bytes INTEGER, live_bytes "
     "INTEGER, dead_bytes INTEGER, live_keys INTEGER, total_keys INTEGER, fragmented INTEGER, "
     "oldest_tstamp INTEGER, newest_tstamp INTEGER, has_hint INTEGER, damaged INTEGER, "
     "\"table\" HIDDEN)",
     13, load_files, column_files},
    {"bitcask_status",
     "CREATE TABLE x(keys INTEGER, key_bytes INTEGER, files INTEGER, live_bytes INTEGER, "
     "dead_bytes INTEGER, disk_bytes INTEGER, keydir_bytes INTEGER, writer_pid INTEGER, "
     "generation INTEGER, snapshots INTEGER, active_file INTEGER, directory TEXT, "
     "\"table\" HIDDEN)",
     12, load_status, column_status},
};

enum { N_KINDS = sizeof(kinds) / sizeof(kinds[0]) };

static int connect_report(sqlite3 *db, void *aux, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **err) {
  report *r = NULL;
  const kind *k = kinds;
  int rc;
  (void)aux;
  (void)argc;
  (void)err;
  while (sqlite3_stricmp(k->name, argv[0]) != 0) {
    k++; /* argv[0] is a name that we registered */
  }
  rc = sqlite3_declare_vtab(db, k->declaration);
  if (rc == SQLITE_OK) {
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  }
  if (rc == SQLITE_OK) {
    r = sqlite3_malloc64(sizeof(*r));
    rc = r ? SQLITE_OK : SQLITE_NOMEM;
  }
  if (rc == SQLITE_OK) {
    memset(r, 0, sizeof(*r));
    r->kind = k;
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
  cursor *c = sqlite3_malloc64(sizeof(*c));
  (void)vtab;
  if (!c) {
    return SQLITE_NOMEM;
  }
  memset(c, 0, sizeof(*c));
  *out = &c->base;
  return SQLITE_OK;
}

/* Forget what was loaded. */
static void clear(cursor *c) {
  bitcask_files_free(c->files);
  c->files = NULL;
  c->n_rows = 0;
  c->row = 0;
  if (c->session) {
    vt_session_release(c->session);
    c->session = NULL;
  }
}

static int close_cursor(sqlite3_vtab_cursor *base) {
  cursor *c = (cursor *)base;
  clear(c);
  bitcask_buf_free(&c->path);
  sqlite3_free(c);
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *base, int plan, const char *plan_text, int argc,
                  sqlite3_value **argv) {
  cursor *c = (cursor *)base;
  report *r = (report *)base->pVtab;
  const char *name = plan == 1 ? (const char *)sqlite3_value_text(argv[0]) : NULL;
  vt_table *t;
  char *err = NULL;
  bitcask_error e;
  int rc;
  (void)plan_text;
  (void)argc;
  clear(c);
  if (!name) {
    return vt_error_vtab_text(&r->base, SQLITE_ERROR, "%s: no table is named, as in %s('kv')",
                              r->kind->name, r->kind->name);
  }
  rc = vt_lookup(r->connection, name, &t, &err);
  if (rc != SQLITE_OK) {
    sqlite3_free(r->base.zErrMsg);
    r->base.zErrMsg = err;
    return rc;
  }
  c->session = vt_session_retain(t->session);
  if (r->kind->load(c, c->session->engine->bc, &e) != BITCASK_OK) {
    c->n_rows = 0;
    return vt_error_vtab(&r->base, t->name, &e);
  }
  return SQLITE_OK;
}

static int next(sqlite3_vtab_cursor *base) {
  ((cursor *)base)->row++;
  return SQLITE_OK;
}

static int eof(sqlite3_vtab_cursor *base) {
  const cursor *c = (cursor *)base;
  return c->row >= c->n_rows;
}

static int column(sqlite3_vtab_cursor *base, sqlite3_context *ctx, int i) {
  cursor *c = (cursor *)base;
  ((report *)base->pVtab)->kind->column(c, ctx, i);
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *base, sqlite3_int64 *out) {
  *out = (sqlite3_int64)((cursor *)base)->row + 1;
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

int vt_report_register(vt_connection *c) {
  int rc = SQLITE_OK;
  for (int i = 0; i < N_KINDS && rc == SQLITE_OK; i++) {
    rc = sqlite3_create_module_v2(c->db, kinds[i].name, &module, NULL, NULL);
  }
  return rc;
}
