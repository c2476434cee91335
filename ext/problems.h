/*
** problems.h - every problem that a full check finds.
**
**   SELECT * FROM bitcask_verify_rows('kv');
*/
#ifndef VT_PROBLEMS_H
#define VT_PROBLEMS_H

#include "session.h"

/* A SQLite code. */
int vt_problems_register(vt_connection *c);

#endif
