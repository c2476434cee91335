/*
** functions.h - the scalar functions.
**
**   bitcask_version()             text of the version
**   bitcask_merge(T [,'policy'])  bytes of disk space freed
**   bitcask_needs_merge(T)        1 or 0
**   bitcask_sync(T)               NULL; all that was committed is on stable storage
**   bitcask_backup(T, 'dir')      a consistent copy; the number of its data files
**   bitcask_verify(T)             'ok' or the first problem
**
** T is a table: 'name' or 'schema.name'.
*/
#ifndef VT_FUNCTIONS_H
#define VT_FUNCTIONS_H

#include "table.h"

/* Register them all; a SQLite code. */
int vt_functions_register(vt_connection *c);

/*
** What bitcask_merge and bitcask_sync do, on an open table whose connection has no
** transaction.  An engine code.
*/
int vt_functions_merge(vt_table *t, bitcask_merge_kind kind, int64_t *freed, bitcask_error *e);
int vt_functions_sync(vt_table *t, bitcask_error *e);

#endif
