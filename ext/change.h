/*
** change.h - INSERT, UPDATE and DELETE of one row, in a transaction that is begun.
**
** `columns` are the user's columns as xUpdate gets them.  A SQLite code, the text in
** base.zErrMsg: SQLITE_CONSTRAINT_NOTNULL, SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_MISMATCH
** (not a key of the declared type), SQLITE_CORRUPT_VTAB (the row to be changed is none),
** SQLITE_NOMEM, or what the engine says of a write.  Then nothing has changed.
*/
#ifndef VT_CHANGE_H
#define VT_CHANGE_H

#include "table.h"

/* A new row.  Under REPLACE it takes the place of the one with its key. */
int vt_change_insert(vt_table *t, sqlite3_value **columns);

/* The row with this key, which a cursor gave.  Fields that are not declared stay. */
int vt_change_update(vt_table *t, sqlite3_value *old_key, sqlite3_value **columns);

int vt_change_delete(vt_table *t, sqlite3_value *old_key);

#endif
