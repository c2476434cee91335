/*
** reading.h - what a statement reads, and how the end of a transaction is heard of in which
** nothing was written.
**
** SQLite tells a table of the end of a transaction if a statement was going to write to the
** table, and else not.  So the first read of a transaction writes, in vain, to a table of ours
** in the temp schema: of that one SQLite tells, and no database file is locked for it.
*/
#ifndef VT_READING_H
#define VT_READING_H

#include "session.h"

/* Register the module of that table.  A SQLite code. */
int vt_reading_register(vt_connection *c);

/*
** Make that table when the module is loaded; not beside an empty database, whose encoding could not
** be chosen any more; there when the first table of ours is made, which interrupts all statements
** that run anyway.  If it cannot be made it is made later.
*/
void vt_reading_load(vt_connection *c);
void vt_reading_create(vt_connection *c);

/*
** Make it if it is not there: when a statement that reads is prepared, and no other one runs.
** PRAGMA temp_store drops it, as does a ROLLBACK of the transaction that it was made in.
** SQLITE_NOMEM, SQLITE_INTERRUPT.
*/
int vt_reading_prepare(vt_connection *c);

/*
** As vt_session_view, and within BEGIN ... COMMIT it stays the view of the whole transaction.
** Where that table cannot be made or written to (an authorizer denies it, PRAGMA query_only) nobody
** tells of the end: there each statement has a view of its own.
** Cost: nothing outside of BEGIN ... COMMIT; a small statement for each transaction.
*/
int vt_reading_view(vt_session *s, vt_view **view, bitcask_error *e);

#endif
