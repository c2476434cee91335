/*
** reading.c - see reading.h.
*/
#include "reading.h"
#include "error.h"

#include <string.h>

/* Of the module and of its only table: a name that nobody else has. */
#define NAME "bitcask_reading"

typedef struct listener {
  sqlite3_vtab base; /* first: SQLite knows the table by it */
  vt_connection *connection;
} listener;

static int connect(sqlite3 *db, void *connection, int argc, const char *const *argv,
                   sqlite3_vtab **out, char **err) {
  listener *l;
  int rc = sqlite3_declare_vtab(db, "CREATE TABLE x(y)");
  (void)connection, (void)argc, (void)argv, (void)err;
  if (rc != SQLITE_OK) {
    return rc;
  }
  l = sqlite3_malloc64(sizeof(*l));
  if (!l) {
    return SQLITE_NOMEM;
  }
  memset(l, 0, sizeof(*l));
  l->connection = vt_connection_acquire(db);
  if (!l->connection) {
    sqlite3_free(l);
    return SQLITE_NOMEM;
  }
  l->connection->n_listeners++;
  *out = &l->base;
  return SQLITE_OK;
}

/* Another function than xConnect: else there would be a table of the module's name that needs not
** be made, and is one of the database file. */
static int create(sqlite3 *db, void *connection, int argc, const char *const *argv,
                  sqlite3_vtab **out, char **err) {
  int rc = connect(db, connection, argc, argv, out, err);
  if (rc == SQLITE_OK) {
    /* It is part of the transaction from here on: SQLite calls no xBegin. */
    ((listener *)*out)->connection->is_joined = true;
  }
  return rc;
}

static void leave(vt_connection *c) {
  c->is_joined = false;
  vt_session_end_reading(c);
}

static int disconnect(sqlite3_vtab *vtab) {
  listener *l = (listener *)vtab;
  vt_connection *c = l->connection;
  c->n_listeners--;
  /* SQLite had no memory to make it part of the transaction after all. */
  if (!c->n_listeners && c->is_joined) {
    leave(c);
  }
  vt_connection_release(c);
  sqlite3_free(l);
  return SQLITE_OK;
}

/* Nobody would tell of the end any more. */
static int destroy(sqlite3_vtab *vtab) {
  return ((listener *)vtab)->connection->is_joined ? SQLITE_LOCKED : disconnect(vtab);
}

static int best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
  (void)vtab, (void)info;
  return SQLITE_OK;
}

static int open_cursor(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out) {
  (void)vtab;
  *out = sqlite3_malloc64(sizeof(**out));
  if (!*out) {
    return SQLITE_NOMEM;
  }
  memset(*out, 0, sizeof(**out));
  return SQLITE_OK;
}

static int close_cursor(sqlite3_vtab_cursor *cursor) {
  sqlite3_free(cursor);
  return SQLITE_OK;
}

static int filter(sqlite3_vtab_cursor *cursor, int plan, const char *text, int argc,
                  sqlite3_value **argv) {
  (void)cursor, (void)plan, (void)text, (void)argc, (void)argv;
  return SQLITE_OK;
}

/* There is never a row: what follows is for SQLite, which asks that it be there. */
static int next(sqlite3_vtab_cursor *cursor) {
  (void)cursor;
  return SQLITE_OK;
}

static int eof(sqlite3_vtab_cursor *cursor) {
  (void)cursor;
  return 1;
}

static int column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int n) {
  (void)cursor, (void)ctx, (void)n;
  return SQLITE_OK;
}

static int rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out) {
  (void)cursor;
  *out = 0;
  return SQLITE_OK;
}

/* Nothing can be written to it: the statement that begins to is what counts. */
static int update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *out) {
  (void)argc, (void)argv, (void)out;
  return vt_error_vtab_text(vtab, SQLITE_READONLY, NAME ": this table stays empty");
}

static int begin(sqlite3_vtab *vtab) {
  ((listener *)vtab)->connection->is_joined = true;
  return SQLITE_OK;
}

static int end(sqlite3_vtab *vtab) {
  leave(((listener *)vtab)->connection);
  return SQLITE_OK;
}

static const sqlite3_module module = {.iVersion = 1,
                                      .xCreate = create,
                                      .xConnect = connect,
                                      .xBestIndex = best_index,
                                      .xDisconnect = disconnect,
                                      .xDestroy = destroy,
                                      .xOpen = open_cursor,
                                      .xClose = close_cursor,
                                      .xFilter = filter,
                                      .xNext = next,
                                      .xEof = eof,
                                      .xColumn = column,
                                      .xRowid = rowid,
                                      .xUpdate = update,
                                      .xBegin = begin,
                                      .xCommit = end,
                                      .xRollback = end};

int vt_reading_register(vt_connection *c) {
  return sqlite3_create_module_v2(c->db, NAME, &module, NULL, NULL);
}

static int make(vt_connection *c) {
  return sqlite3_exec(c->db, "CREATE VIRTUAL TABLE IF NOT EXISTS temp." NAME " USING " NAME, NULL,
                      NULL, NULL);
}

static bool is_empty(sqlite3 *db) {
  sqlite3_stmt *stmt = NULL;
  bool empty = sqlite3_prepare_v2(db, "PRAGMA main.schema_version", -1, &stmt, NULL) != SQLITE_OK ||
               sqlite3_step(stmt) != SQLITE_ROW || sqlite3_column_int(stmt, 0) == 0;
  (void)sqlite3_finalize(stmt); /* repeats the result of the step */
  return empty;
}

void vt_reading_load(vt_connection *c) {
  if (!is_empty(c->db)) {
    (void)make(c);
  }
}

void vt_reading_create(vt_connection *c) {
  if (!c->n_listeners) {
    (void)make(c);
  }
}

/* A table that is made while a statement runs has SQLite abort it where it opens the next one. */
static bool any_runs(sqlite3 *db) {
  sqlite3_stmt *stmt = NULL;
  do {
    stmt = sqlite3_next_stmt(db, stmt);
  } while (stmt && !sqlite3_stmt_busy(stmt));
  return stmt != NULL;
}

/*
** PRAGMA temp_store drops all that is in temp, and SQLite finds that out at the next statement
** that uses it: but not within xBestIndex, where it keeps what it remembers of all schemas.
*/
int vt_reading_prepare(vt_connection *c) {
  int rc = c->n_listeners || any_runs(c->db) ? SQLITE_OK : make(c) & 0xff;
  c->is_temp_behind |= rc == SQLITE_SCHEMA;
  return rc == SQLITE_NOMEM || rc == SQLITE_INTERRUPT ? rc : SQLITE_OK;
}

/* From here on it is made when the next statement is prepared. */
static void catch_up_with_temp(vt_connection *c) {
  if (c->is_temp_behind) {
    (void)sqlite3_exec(c->db, "SELECT 1 FROM temp.sqlite_master LIMIT 0", NULL, NULL, NULL);
    c->is_temp_behind = false;
  }
}

/* c->is_joined is set if the end will be heard of. */
static int join(vt_connection *c, bitcask_error *e) {
  int rc = c->n_listeners
               ? sqlite3_exec(c->db, "INSERT INTO temp." NAME " SELECT 1 WHERE 0", NULL, NULL, NULL)
               : SQLITE_OK;
  switch (rc & 0xff) {
  case SQLITE_OK:
  case SQLITE_READONLY:
  case SQLITE_AUTH:
    return BITCASK_OK;
  case SQLITE_INTERRUPT:
    return vt_error_set(e, BITCASK_INTERRUPT, "interrupted");
  case SQLITE_NOMEM:
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  default:
    return vt_error_set(e, BITCASK_IOERR, "cannot join the transaction: %s", sqlite3_errmsg(c->db));
  }
}

int vt_reading_view(vt_session *s, vt_view **view, bitcask_error *e) {
  vt_connection *c = s->connection;
  int rc = vt_session_view(s, view, e);
  catch_up_with_temp(c);
  if (rc != BITCASK_OK || s->txn || s->fixed || sqlite3_get_autocommit(c->db)) {
    return rc;
  }
  if (!c->is_joined) {
    rc = join(c, e);
  }
  /* Not *view: the cursor of a statement that was begun before may have an older one. */
  return rc == BITCASK_OK && c->is_joined ? vt_session_fix_view(s, e) : rc;
}
