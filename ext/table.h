/*
** table.h - one virtual table: its declaration, and the way to its store.
**
** Connecting only declares the columns.  The store is opened at first use, so a
** directory that is missing or damaged never makes the schema unusable: DROP,
** ALTER ... RENAME and integrity checks of other tables still work.
*/
#ifndef VT_TABLE_H
#define VT_TABLE_H

#include "args.h"
#include "row.h"
#include "session.h"

/* Is the table part of the connection's transaction? */
typedef enum vt_part {
  VT_PART_NONE, /* no: SQLite would never tell it how that ends */
  VT_PART_MADE, /* it was made in it, and has not heard of the savepoints there are */
  VT_PART_TOLD  /* SQLite tells it of savepoints and of the end */
} vt_part;

typedef enum vt_text_order {
  VT_TEXT_ORDER_UNKNOWN,
  VT_TEXT_ORDER_BYTES, /* BINARY compares texts by their bytes in UTF-8 */
  VT_TEXT_ORDER_OTHER
} vt_text_order;

typedef struct vt_table {
  sqlite3_vtab base; /* first: SQLite knows the table by it */
  vt_connection *connection;
  char *schema;
  char *name;
  vt_args args;
  char *defect;        /* what is wrong with the arguments, NULL if nothing is */
  vt_session *session; /* NULL until first use */
  vt_part part;
  struct vt_cursor *spare; /* a closed cursor and its buffers, for the next one */
  vt_text_order text_order;
  bool numbers_seen; /* an UPDATE has looked for a TEXT key by a number, see plan.c */
  vt_row new_row;    /* memory of write.c */
  bitcask_buf record;
} vt_table;

/*
** A directory as a path: a relative one starts at the folder of the database file
** of `schema`, so that a database and its data move together; at the working
** directory if there is no such file.  sqlite3_free; NULL: no memory.
*/
char *vt_table_path(sqlite3 *db, const char *schema, const char *directory);

static inline const vt_column *vt_table_key(const vt_table *t) {
  return &t->args.columns.list[t->args.columns.key];
}

/* Do keys compare in SQL as their bytes do here?  Texts of a UTF-16 database do not. */
bool vt_table_orders_keys(vt_table *t);

/* Fill in `e` for a row that cannot be read: where it is, then `what`. */
int vt_table_bad_row(const vt_table *t, const bitcask_entry *row, const char *what,
                     bitcask_error *e);

/* Open the store unless it is open.  A SQLite code, the text in base.zErrMsg. */
int vt_table_open(vt_table *t);

/* Open it now; `create`: a new table, which makes the directory and belongs to the
** transaction that it is made in.  As above. */
int vt_table_open_store(vt_table *t, bool create);

/* Report an engine failure as this table's: its code, the text in base.zErrMsg. */
int vt_table_fail(vt_table *t, const bitcask_error *e);

#endif
