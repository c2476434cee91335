/*
** args.h - what stands between the parentheses of
**
**     CREATE VIRTUAL TABLE kv USING bitcask(
**       'directory'                  first; also directory='...'
**       [, key-column, value-column] two definitions: name TYPE [PRIMARY KEY] [NOT NULL]
**       [, option=value ...] );      options.h
*/
#ifndef VT_ARGS_H
#define VT_ARGS_H

#include "options.h"

typedef enum vt_type { VT_TEXT, VT_BLOB } vt_type;

typedef struct vt_column {
  char *name;
  vt_type type;
} vt_column;

enum { VT_N_COLUMNS = 2 };

typedef struct vt_args {
  char *directory; /* as written, without its quotes */
  vt_column columns[VT_N_COLUMNS];
  int key;   /* number of the key column */
  int value; /* number of the value column */
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

/* The CREATE TABLE for sqlite3_declare_vtab; sqlite3_free.  NULL: no memory. */
char *vt_args_declaration(const vt_args *a);

#endif
