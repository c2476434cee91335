/*
** declaration.c - xCreate, xConnect, xDisconnect, xDestroy and xRename.
*/
#include "declaration.h"
#include "cursor.h"
#include "reading.h"
#include "table.h"
#include "write.h"

#include <string.h>

/* Everything of xConnect but the memory of the table itself. */
static int init_table(vt_table *t, int argc, const char *const *argv) {
  char *declaration;
  int rc;
  t->schema = sqlite3_mprintf("%s", argv[1]);
  t->name = sqlite3_mprintf("%s", argv[2]);
  if (!t->schema || !t->name) {
    return SQLITE_NOMEM;
  }
  rc = vt_args_parse(argc, argv, &t->args, &t->defect);
  if (rc != SQLITE_OK && rc != SQLITE_ERROR) {
    return rc;
  }
  declaration = vt_columns_declaration(&t->args.columns, t->name);
  if (!declaration) {
    return SQLITE_NOMEM;
  }
  rc = sqlite3_declare_vtab(t->connection->db, declaration);
  sqlite3_free(declaration);
  return rc;
}

int vt_declaration_connect(sqlite3 *db, void *connection, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **err) {
  vt_table *t = sqlite3_malloc64(sizeof(*t));
  int rc = SQLITE_NOMEM;
  (void)connection; /* found by `db` instead, see below */
  *out = NULL;
  if (t) {
    memset(t, 0, sizeof(*t));
    /* A reference of its own: the registered one goes when the module is loaded
    ** once more. */
    t->connection = vt_connection_acquire(db);
    rc = t->connection ? init_table(t, argc, argv) : SQLITE_NOMEM;
  }
  if (rc == SQLITE_OK) {
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_CONSTRAINT_SUPPORT, 1);
  }
  if (rc == SQLITE_OK) {
    rc = sqlite3_vtab_config(db, SQLITE_VTAB_DIRECTONLY);
  }
  if (rc != SQLITE_OK) {
    if (rc != SQLITE_NOMEM) {
      *err = sqlite3_mprintf("%s", sqlite3_errmsg(db));
    }
    if (t) {
      (void)vt_declaration_disconnect(&t->base); /* cannot fail */
    }
    return rc;
  }
  *out = &t->base;
  return SQLITE_OK;
}

int vt_declaration_create(sqlite3 *db, void *connection, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **err) {
  vt_table *t;
  int rc = vt_declaration_connect(db, connection, argc, argv, out, err);
  if (rc != SQLITE_OK) {
    return rc;
  }
  t = (vt_table *)*out;
  vt_reading_create(t->connection);
  rc = vt_table_open_store(t, true);
  if (rc != SQLITE_OK) {
    *err = t->base.zErrMsg;
    t->base.zErrMsg = NULL;
    (void)vt_declaration_disconnect(*out); /* cannot fail */
    *out = NULL;
  }
  return rc;
}

int vt_declaration_disconnect(sqlite3_vtab *vtab) {
  vt_table *t = (vt_table *)vtab;
  vt_cursor_free(t->spare);
  if (t->session) {
    vt_session_release(t->session);
  }
  if (t->connection) {
    if (t->connection->planned == t) {
      t->connection->planned = NULL;
    }
    vt_connection_release(t->connection);
  }
  vt_args_release(&t->args);
  vt_row_release(&t->new_row);
  bitcask_buf_free(&t->record);
  sqlite3_free(t->defect);
  sqlite3_free(t->schema);
  sqlite3_free(t->name);
  sqlite3_free(t->base.zErrMsg);
  sqlite3_free(t);
  return SQLITE_OK;
}

int vt_declaration_destroy(sqlite3_vtab *vtab) {
  int rc = vt_write_drop(vtab);
  if (rc != SQLITE_OK) {
    return rc;
  }
  /* The directory stays: this is called even in a transaction that is rolled back
  ** later. */
  return vt_declaration_disconnect(vtab);
}

int vt_declaration_rename(sqlite3_vtab *vtab, const char *name) {
  vt_table *t = (vt_table *)vtab;
  char *copy = sqlite3_mprintf("%s", name);
  if (!copy) {
    return SQLITE_NOMEM;
  }
  sqlite3_free(t->name);
  t->name = copy;
  return SQLITE_OK;
}
