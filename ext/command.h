/*
** command.h - INSERT INTO kv(kv) VALUES ('merge').
**
**   merge   as bitcask_merge('kv')
**   sync    as bitcask_sync('kv')
*/
#ifndef VT_COMMAND_H
#define VT_COMMAND_H

#include "table.h"

/*
** Run a command on a table that SQLite has begun to write to.  SQLITE_ERROR, the text
** in base.zErrMsg: there is no such command; the transaction has written to the
** directory.  SQLITE_BUSY after the table's timeout; SQLITE_INTERRUPT; what the engine
** says.
*/
int vt_command_run(vt_table *t, const char *name);

#endif
