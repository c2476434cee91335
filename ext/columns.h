/*
** columns.h - the columns of a table: what their definitions say.
**
**   name [TYPE] [PRIMARY KEY] [NOT NULL]
**
** TYPE is one word, or several of those that make SQL's own long names (DOUBLE
** PRECISION, UNSIGNED BIG INT, VARYING CHARACTER), with sizes in parentheses if
** one likes.  Its affinity is SQLite's (https://sqlite.org/datatype3.html,
** section 3.1).  Any other word is an error: a PRIMARY KEY that is misspelt must
** not become part of a type.
**
** The key is the column marked PRIMARY KEY, else the first; its type is TEXT, BLOB
** or INTEGER by affinity.  Behind the user's columns stand the hidden ones.
*/
#ifndef VT_COLUMNS_H
#define VT_COLUMNS_H

#include "host.h"

typedef enum vt_affinity {
  VT_AFFINITY_BLOB,
  VT_AFFINITY_TEXT,
  VT_AFFINITY_NUMERIC,
  VT_AFFINITY_INTEGER,
  VT_AFFINITY_REAL
} vt_affinity;

typedef struct vt_column {
  char *name;
  char *type; /* as written, "" if there is none */
  vt_affinity affinity;
  bool not_null; /* NULL is refused when a row is written */
} vt_column;

/* The hidden columns, counted from the last one of the user's. */
typedef enum vt_hidden {
  VT_HIDDEN_TSTAMP, /* _tstamp: Unix seconds the record was written */
  VT_HIDDEN_FILE,   /* _file: number of its data file; NULL: not committed yet */
  VT_HIDDEN_OFFSET, /* _offset: bytes from the beginning of it; NULL likewise */
  VT_HIDDEN_SIZE,   /* _size: bytes of the record */
  VT_HIDDEN_COMMAND /* named like the table: INSERT INTO kv(kv) VALUES ('merge') */
} vt_hidden;

typedef struct vt_columns {
  vt_column *list;
  int n;
  int key;      /* number of the key column */
  bool has_key; /* a column was marked PRIMARY KEY */
  bool raw;     /* one value column, TEXT or BLOB: its bytes are the value that is stored;
                   else the value is a row, see row.h */
} vt_columns;

/*
** Add the column that `arg` defines.  SQLITE_ERROR with *err (sqlite3_free), which
** names the argument; SQLITE_NOMEM.
*/
int vt_columns_add(vt_columns *c, const char *arg, char **err);

/* After the last one: key TEXT PRIMARY KEY, value BLOB if there is none.  As above. */
int vt_columns_finish(vt_columns *c, char **err);

void vt_columns_release(vt_columns *c);

/* The name of a hidden column other than the command. */
const char *vt_columns_hidden_name(vt_hidden h);

/* Where a value column's field stands in a row. */
static inline int vt_columns_field(const vt_columns *c, int column) {
  return column < c->key ? column : column - 1;
}

/*
** The CREATE TABLE for sqlite3_declare_vtab; sqlite3_free.  NULL: no memory.  The
** command column is left out if a column of the user's has the table's name.
*/
char *vt_columns_declaration(const vt_columns *c, const char *table);

#endif
