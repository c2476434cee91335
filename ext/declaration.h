/*
** declaration.h - CREATE VIRTUAL TABLE, connecting to it, DROP, RENAME.
**
** CREATE makes the directory and opens the store, so that it can fail with the
** reason.  Connecting (each time a schema is loaded) does neither, and does not
** fail for what is wrong with the arguments: a table that cannot be connected
** could not even be dropped.  DROP keeps the directory.
*/
#ifndef VT_DECLARATION_H
#define VT_DECLARATION_H

#include "host.h"

int vt_declaration_create(sqlite3 *db, void *connection, int argc, const char *const *argv,
                          sqlite3_vtab **out, char **err);
int vt_declaration_connect(sqlite3 *db, void *connection, int argc, const char *const *argv,
                           sqlite3_vtab **out, char **err);
int vt_declaration_disconnect(sqlite3_vtab *vtab);
int vt_declaration_destroy(sqlite3_vtab *vtab);
int vt_declaration_rename(sqlite3_vtab *vtab, const char *name);

#endif
