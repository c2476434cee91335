/*
** host.h - SQLite as this module sees it: the routines that the host hands over.
**
** A host older than the headers passes a shorter table, so every call that is
** newer than SQLite 3.31 stands behind a question to vt_host_has().
*/
#ifndef VT_HOST_H
#define VT_HOST_H

#include <sqlite3ext.h>
#include <stdbool.h>
SQLITE_EXTENSION_INIT3

enum {
  VT_HOST_VTAB_IN = 3038000 /* sqlite3_vtab_in and its two iterators */
};

static inline bool vt_host_has(int since) { return sqlite3_libversion_number() >= since; }

#endif
