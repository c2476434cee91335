/*
** history.h - every record that is still on disk.
**
**   SELECT tstamp, value FROM bitcask_history('kv') WHERE key = 'user:1';
*/
#ifndef VT_HISTORY_H
#define VT_HISTORY_H

#include "session.h"

/* A SQLite code. */
int vt_history_register(vt_connection *c);

#endif
