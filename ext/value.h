/*
** value.h - SQL values as bytes: what a key is, what a stored value is.
**
** SQLite applies no affinity to a virtual table's columns and constraints, so
** the same rule is applied here to what is stored and to what is looked for:
**
**   key TEXT     TEXT its UTF-8 bytes; INTEGER and REAL their text; BLOB no key
**   key BLOB     BLOB its bytes; anything else no key
**   value        BLOB its bytes; TEXT, INTEGER and REAL the bytes of their text
**
** Two keys that differ in SQL never have the same bytes, and the reverse.
*/
#ifndef VT_VALUE_H
#define VT_VALUE_H

#include "args.h"

typedef enum vt_value_kind {
  VT_VALUE_BYTES,    /* *data and *size are set */
  VT_VALUE_NULL,     /* SQL NULL */
  VT_VALUE_MISMATCH, /* of a type that this column cannot hold */
  VT_VALUE_NOMEM
} vt_value_kind;

/* The bytes of a key, valid as long as `v` is and until it is converted. */
vt_value_kind vt_value_key(sqlite3_value *v, vt_type type, const void **data, size_t *size);

/* The bytes of a stored value, as above.  Never VT_VALUE_MISMATCH. */
vt_value_kind vt_value_stored(sqlite3_value *v, const void **data, size_t *size);

/* Return bytes as a column's value; they are copied. */
void vt_value_result(sqlite3_context *ctx, vt_type type, const void *data, size_t size);

#endif
