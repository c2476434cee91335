/*
** error.h - the one place where an engine's failure becomes SQLite's.
*/
#ifndef VT_ERROR_H
#define VT_ERROR_H

#include "bitcask.h"
#include "host.h"

/* The SQLite result code for a status code of the engine. */
int vt_error_code(int status);

/* Fill in `e` for a failure that this module found itself; returns `status`. */
int vt_error_set(bitcask_error *e, int status, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

/* Leave "<table>: <text of e>" where SQLite looks for it, and return its code. */
int vt_error_vtab(sqlite3_vtab *vtab, const char *table, const bitcask_error *e);

/* The same with a code and a text of our own (sqlite3_mprintf formats). */
int vt_error_vtab_text(sqlite3_vtab *vtab, int rc, const char *format, ...);

/* End a function or column call with a failure of the engine. */
void vt_error_result(sqlite3_context *ctx, const char *table, const bitcask_error *e);

/* The same with a code and a text of our own, which is freed here. */
void vt_error_result_text(sqlite3_context *ctx, int rc, char *text);

/* For things that are nobody's error: a line in the log of the host. */
void vt_error_log(void *ctx, const char *text);

#endif
