/*
** integrity.h - PRAGMA integrity_check and quick_check, from SQLite 3.44 on.
*/
#ifndef VT_INTEGRITY_H
#define VT_INTEGRITY_H

#include "host.h"

/* xIntegrity.  What is wrong with the table, a missing directory too, is a text in
** *err and no error: other tables are still to be checked. */
int vt_integrity_check(sqlite3_vtab *vtab, const char *schema, const char *table, int flags,
                       char **err);

#endif
