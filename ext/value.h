/*
** value.h - SQL values as bytes and fields: what a key is, what a stored value is.
**
** SQLite applies no affinity to a virtual table's columns and constraints, so
** the same rule is applied here to what is stored and to what is looked for:
**
**   key TEXT      TEXT its UTF-8 bytes; INTEGER and REAL their text; BLOB no key
**   key BLOB      BLOB its bytes; anything else no key
**   key INTEGER   INTEGER as 8 bytes, big-endian, the sign bit flipped, so that the
**                 order of bytes is that of numbers; REAL if it is a whole number;
**                 TEXT if it looks like one of these; anything else no key
**   raw value     BLOB its bytes; TEXT, INTEGER and REAL the bytes of their text
**   field         as SQLite's column affinity has it: TEXT makes numbers texts;
**                 INTEGER and NUMERIC make a text that looks like a number one, and
**                 a REAL that is whole an INTEGER; REAL makes numbers REAL
**
** Two keys that differ in SQL never have the same bytes, and the reverse.
*/
#ifndef VT_VALUE_H
#define VT_VALUE_H

#include "columns.h"
#include "record.h"

#include <stdint.h>

enum { VT_INTEGER_KEY_SZ = 8 };

typedef enum vt_value_kind {
  VT_VALUE_BYTES,    /* there are bytes */
  VT_VALUE_NULL,     /* SQL NULL */
  VT_VALUE_MISMATCH, /* of a type that this column cannot hold */
  VT_VALUE_NOMEM
} vt_value_kind;

/* Bytes that belong to a value, or are of an INTEGER key. */
typedef struct vt_bytes {
  const void *data;
  size_t size;
  uint8_t integer[VT_INTEGER_KEY_SZ];
} vt_bytes;

/* The bytes of a key, valid as long as `v` and `out` are and until `v` is converted. */
vt_value_kind vt_value_key(sqlite3_value *v, vt_affinity affinity, vt_bytes *out);

/* The bytes of a raw value, as above.  Never VT_VALUE_MISMATCH. */
vt_value_kind vt_value_raw(sqlite3_value *v, vt_bytes *out);

/* A value as a field of a row; its bytes as above.  False: no memory. */
bool vt_value_field(sqlite3_value *v, vt_affinity affinity, vt_field *out);

/* Does it compare by its number with a text that looks like one?  It does with a
** TEXT key if it comes from a column of numeric affinity, which nobody tells. */
bool vt_value_is_number(sqlite3_value *v);

/* The bytes of an INTEGER key. */
void vt_value_put_integer(uint8_t *out, int64_t i);

/* Return the bytes of a key or a raw value; they are copied.  An INTEGER key has
** VT_INTEGER_KEY_SZ bytes. */
void vt_value_result(sqlite3_context *ctx, vt_affinity affinity, const void *data, size_t size);

/* The same for a statement's only row: there SQLite would have to allocate anyway,
** and all threads share one lock for that. */
void vt_value_result_alone(sqlite3_context *ctx, vt_affinity affinity, const void *data,
                           size_t size);

/* Return a field; its bytes are copied. */
void vt_value_result_field(sqlite3_context *ctx, vt_affinity affinity, const vt_field *f);

#endif
