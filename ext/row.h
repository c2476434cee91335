/*
** row.h - a stored value as the fields of the value columns, in their order.
**
** The value is a record (record.h).  A row that was stored with fewer fields than
** the table declares reads NULL for those that are missing; of fields behind the
** declared ones nothing is shown, and an UPDATE keeps them.
*/
#ifndef VT_ROW_H
#define VT_ROW_H

#include "bitcask.h"
#include "host.h"
#include "record.h"

/* What to say of a value that is no row. */
#define VT_NO_ROW                                                                                  \
  "its value is no row in SQLite's record format; a table with one BLOB column can read it"

/* Zero it to begin with; used for row after row, then given to vt_row_release. */
typedef struct vt_row {
  vt_field *fields; /* those decoded so far */
  int n;
  int cap;
  vt_record record; /* the others */
} vt_row;

/* Begin to decode a value, which stays the caller's.  False: it is no row. */
bool vt_row_open(vt_row *r, const void *value, size_t size);

/* Field number i, valid until another one is asked for.  SQLITE_NOMEM. */
int vt_row_field(vt_row *r, int i, const vt_field **out);

/* Decode all there are.  SQLITE_NOMEM. */
int vt_row_decode(vt_row *r);

/* Room for n fields; those there are stay.  SQLITE_NOMEM. */
int vt_row_reserve(vt_row *r, int n);

/* The fields decoded so far as a value, in `out`.  SQLITE_NOMEM. */
int vt_row_encode(const vt_row *r, bitcask_buf *out);

void vt_row_release(vt_row *r);

#endif
