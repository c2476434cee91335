/*
** table.c - from a declared table to its open store.
*/
#include "table.h"
#include "error.h"

#include <string.h>
#include <unistd.h>

int vt_table_fail(vt_table *t, const bitcask_error *e) {
  return vt_error_vtab(&t->base, t->name, e);
}

/*
** The directory as a path: a relative one starts at the folder of the database
** file that holds the table, so that a database and its data move together; at
** the working directory if there is no such file.  sqlite3_free; NULL: no memory.
*/
/* A file name that is no file (an in-memory VFS has such) says nothing of where. */
static char *resolve_directory(const vt_table *t) {
  const char *file = sqlite3_db_filename(t->connection->db, t->schema);
  const char *slash = file ? strrchr(file, '/') : NULL;
  if (t->args.directory[0] == '/' || !slash || access(file, F_OK) != 0) {
    return sqlite3_mprintf("%s", t->args.directory);
  }
  return sqlite3_mprintf("%.*s/%s", (int)(slash - file), file, t->args.directory);
}

int vt_table_open_store(vt_table *t, bool create) {
  bitcask_error e;
  vt_engine *engine;
  char *dir;
  int rc;
  if (t->defect) {
    return vt_error_vtab_text(&t->base, SQLITE_ERROR, "%s: %s", t->name, t->defect);
  }
  dir = resolve_directory(t);
  if (!dir) {
    return SQLITE_NOMEM;
  }
  rc = vt_engine_acquire(dir, &t->args.options, create, &engine, &e);
  sqlite3_free(dir);
  if (rc == BITCASK_OK) {
    rc = vt_session_acquire(t->connection, engine, &t->session, &e);
  }
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}

int vt_table_open(vt_table *t) { return t->session ? SQLITE_OK : vt_table_open_store(t, false); }
