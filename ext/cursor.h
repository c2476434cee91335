/*
** cursor.h - reading a table: one cursor, one snapshot.
*/
#ifndef VT_CURSOR_H
#define VT_CURSOR_H

#include "host.h"

struct vt_cursor;

int vt_cursor_open(sqlite3_vtab *vtab, sqlite3_vtab_cursor **out);
int vt_cursor_close(sqlite3_vtab_cursor *cursor);
int vt_cursor_filter(sqlite3_vtab_cursor *cursor, int plan, const char *plan_text, int argc,
                     sqlite3_value **argv);
int vt_cursor_next(sqlite3_vtab_cursor *cursor);
int vt_cursor_eof(sqlite3_vtab_cursor *cursor);
int vt_cursor_column(sqlite3_vtab_cursor *cursor, sqlite3_context *ctx, int column);
int vt_cursor_rowid(sqlite3_vtab_cursor *cursor, sqlite3_int64 *out);

/* Free the memory of a cursor that is closed; NULL is a no-op. */
void vt_cursor_free(struct vt_cursor *c);

#endif
