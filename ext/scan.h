/*
** scan.h - the rows of a directory without a table.
**
**   SELECT key, value FROM bitcask_scan('/var/lib/riak/bitcask/0');
*/
#ifndef VT_SCAN_H
#define VT_SCAN_H

#include "session.h"

/* A SQLite code. */
int vt_scan_register(vt_connection *c);

#endif
