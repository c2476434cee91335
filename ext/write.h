/*
** write.h - changing a table: xUpdate and the transaction methods.
*/
#ifndef VT_WRITE_H
#define VT_WRITE_H

#include "host.h"

int vt_write_update(sqlite3_vtab *vtab, int argc, sqlite3_value **argv, sqlite3_int64 *rowid);
int vt_write_begin(sqlite3_vtab *vtab);
int vt_write_sync(sqlite3_vtab *vtab);
int vt_write_commit(sqlite3_vtab *vtab);
int vt_write_rollback(sqlite3_vtab *vtab);
int vt_write_savepoint(sqlite3_vtab *vtab, int n);
int vt_write_release(sqlite3_vtab *vtab, int n);
int vt_write_rollback_to(sqlite3_vtab *vtab, int n);

/* Take a table that is being dropped out of the transaction.  SQLITE_LOCKED: it is the
** only one that can end what was written. */
int vt_write_drop(sqlite3_vtab *vtab);

#endif
