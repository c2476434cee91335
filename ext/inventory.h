/*
** inventory.h - what there is in a directory.
**
**   SELECT * FROM bitcask_files('kv');    one row for each data file
**   SELECT * FROM bitcask_status('kv');   one row
*/
#ifndef VT_INVENTORY_H
#define VT_INVENTORY_H

#include "session.h"

/* Register both; a SQLite code. */
int vt_inventory_register(vt_connection *c);

#endif
