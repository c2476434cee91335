/*
** table.c - from a declared table to its open store.
*/
#include "table.h"
#include "error.h"
#include "wait.h"

#include <string.h>
#include <unistd.h>

int vt_table_fail(vt_table *t, const bitcask_error *e) {
  return vt_error_vtab(&t->base, t->name, e);
}

/* A file name that is no file (an in-memory VFS has such) says nothing of where. */
char *vt_table_path(sqlite3 *db, const char *schema, const char *directory) {
  const char *file = sqlite3_db_filename(db, schema);
  const char *slash = file ? strrchr(file, '/') : NULL;
  if (directory[0] == '/' || !slash || access(file, F_OK) != 0) {
    return sqlite3_mprintf("%s", directory);
  }
  return sqlite3_mprintf("%.*s/%s", (int)(slash - file), file, directory);
}

int vt_table_open_store(vt_table *t, bool create) {
  bitcask_error e;
  vt_options options = t->args.options;
  vt_poll poll;
  vt_engine *engine;
  char *dir;
  int rc;
  if (t->defect) {
    return vt_error_vtab_text(&t->base, SQLITE_ERROR, "%s: %s", t->name, t->defect);
  }
  rc = vt_poll_begin(&poll, t->connection->db, &e);
  if (rc != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  options.engine.progress = vt_poll_interrupted;
  options.engine.progress_ctx = &poll;
  dir = vt_table_path(t->connection->db, t->schema, t->args.directory);
  if (!dir) {
    vt_poll_release(&poll);
    return SQLITE_NOMEM;
  }
  rc = vt_engine_acquire(dir, &options, create, &engine, &e);
  vt_poll_release(&poll);
  sqlite3_free(dir);
  if (rc == BITCASK_OK) {
    rc = vt_session_acquire(t->connection, engine, &t->session, &e);
  }
  if (rc != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  t->part = create ? VT_PART_MADE : VT_PART_NONE;
  return SQLITE_OK;
}

int vt_table_open(vt_table *t) { return t->session ? SQLITE_OK : vt_table_open_store(t, false); }
