/*
** report.h - what the table-valued functions have in common.
**
** Each is an eponymous virtual table whose last column, hidden, is the argument.
** They are inventory.c (bitcask_files, bitcask_status), history.c, problems.c
** (bitcask_verify_rows) and scan.c.
*/
#ifndef VT_REPORT_H
#define VT_REPORT_H

#include "session.h"

/* The first member of each kind's own cursor. */
typedef struct vt_report_cursor {
  sqlite3_vtab_cursor base;
  vt_connection *connection;
  vt_session *session; /* of the table; keeps the engine open if that is dropped meanwhile */
  char *subject;       /* what the argument names, for errors */
  sqlite3_int64 row;
  bool is_end;
} vt_report_cursor;

typedef struct vt_report_kind {
  const char *name;
  const char *declaration;
  int argument;         /* number of the hidden column */
  bool takes_directory; /* and not a table: then `session` is NULL */
  const char *example;  /* of an argument */
  size_t cursor_sz;
  /* Get ready for the first call of next; `argument` is valid for this call.  Like
  ** next, a status code; then `clear` is called. */
  int (*start)(vt_report_cursor *c, const char *argument, bitcask_error *e);
  /* To the next row, or the first one; BITCASK_NOTFOUND: there is none. */
  int (*next)(vt_report_cursor *c, bitcask_error *e);
  void (*column)(vt_report_cursor *c, sqlite3_context *ctx, int column);
  /* Free all but the cursor; it may be started again.  May come twice. */
  void (*clear)(vt_report_cursor *c);
} vt_report_kind;

/* Register one, which must live for ever; a SQLite code. */
int vt_report_register(vt_connection *c, const vt_report_kind *kind);

/* Results of columns. */
void vt_report_size(sqlite3_context *ctx, uint64_t n);
void vt_report_path(sqlite3_context *ctx, const vt_report_cursor *c, uint32_t file_id);
/* A key of which nobody has said what it is: a TEXT if it is UTF-8 without a NUL,
** or else a BLOB. */
void vt_report_key(sqlite3_context *ctx, const void *key, size_t key_sz);

#endif
