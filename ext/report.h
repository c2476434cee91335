/*
** report.h - the table-valued functions: what there is in a directory.
**
**   SELECT * FROM bitcask_files('kv');    one row for each data file
**   SELECT * FROM bitcask_status('kv');   one row
*/
#ifndef VT_REPORT_H
#define VT_REPORT_H

#include "session.h"

/* Register them all; a SQLite code. */
int vt_report_register(vt_connection *c);

#endif
