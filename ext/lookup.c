/*
** lookup.c - SQLite itself resolves the name: a SELECT is prepared, which
** connects the table if need be and asks it for a plan, and xBestIndex leaves a
** note.  So temp, main and attached databases are searched in SQLite's order.
*/
#include "lookup.h"

#include <string.h>

/* SQLITE_OK also if the name is that of something else: then *out is NULL. */
static int resolve(vt_connection *c, const char *schema, const char *name, vt_table **out) {
  sqlite3_stmt *stmt = NULL;
  char *sql = schema ? sqlite3_mprintf("SELECT 1 FROM \"%w\".\"%w\"", schema, name)
                     : sqlite3_mprintf("SELECT 1 FROM \"%w\"", name);
  int rc;
  *out = NULL;
  if (!sql) {
    return SQLITE_NOMEM;
  }
  c->planned = NULL;
  rc = sqlite3_prepare_v2(c->db, sql, -1, &stmt, NULL);
  /* A view asks the tables behind it. */
  if (rc == SQLITE_OK && c->planned && sqlite3_stricmp(c->planned->name, name) == 0) {
    *out = c->planned;
  }
  (void)sqlite3_finalize(stmt); /* it was never run */
  sqlite3_free(sql);
  return rc;
}

int vt_lookup(vt_connection *c, const char *name, vt_table **out, char **err) {
  const char *dot = strchr(name, '.');
  int rc = resolve(c, NULL, name, out);
  if (rc == SQLITE_ERROR && dot) {
    char *schema = sqlite3_mprintf("%.*s", (int)(dot - name), name);
    rc = schema ? resolve(c, schema, dot + 1, out) : SQLITE_NOMEM;
    sqlite3_free(schema);
  }
  if (rc != SQLITE_OK) {
    *err = sqlite3_mprintf("%s", sqlite3_errmsg(c->db));
    return rc;
  }
  if (!*out) {
    *err = sqlite3_mprintf("not a bitcask table: %s", name);
    return SQLITE_ERROR;
  }
  rc = vt_table_open(*out);
  if (rc != SQLITE_OK) {
    *err = (*out)->base.zErrMsg;
    (*out)->base.zErrMsg = NULL;
  }
  return rc;
}
