/*
** args.h - what stands between the parentheses of
**
**     CREATE VIRTUAL TABLE kv USING bitcask(
**       'directory'                first; also directory='...'
**       [, column-definition ...]  columns.h; none: key TEXT PRIMARY KEY, value BLOB
**       [, option=value ...] );    options.h
*/
#ifndef VT_ARGS_H
#define VT_ARGS_H

#include "columns.h"
#include "options.h"

typedef struct vt_args {
  char *directory; /* as written, without its quotes */
  vt_columns columns;
  vt_options options;
} vt_args;

/*
** Parse argv[0..argc-1] as SQLite gives them to xCreate: module, schema, table,
** then the arguments, raw.  SQLITE_ERROR with *err (sqlite3_free) says which
** argument is wrong; SQLITE_NOMEM.  On failure `out` is as after
** vt_args_init_default and must be released as well.
*/
int vt_args_parse(int argc, const char *const *argv, vt_args *out, char **err);

/* The default columns, default options and no directory.  SQLITE_NOMEM. */
int vt_args_init_default(vt_args *out);

void vt_args_release(vt_args *a);

#endif
