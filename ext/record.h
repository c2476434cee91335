/*
** record.h - rows as SQLite's record format: a header of varints (its own
** size, then one serial type for each field), then the fields' bodies
** (https://sqlite.org/fileformat2.html, section 2.1).  Text is UTF-8.
**
** What is written is what SQLite writes, byte for byte: each integer and each
** varint in as few bytes as it fits.  What is read is what SQLite reads.
**
** Affinity is the caller's: a field is written in the type that it has.  In a
** column of REAL affinity SQLite stores an integral value as an integer, which
** vt_field_pack_real and vt_field_unpack_real do and undo.
**
** Plain C on bytes: knows nothing of connections or tables, allocates nothing
** and cannot fail but by saying that bytes are not a record.  Reentrant.
*/
#ifndef VT_RECORD_H
#define VT_RECORD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef enum vt_field_type {
  VT_FIELD_NULL,
  VT_FIELD_INTEGER,
  VT_FIELD_REAL,
  VT_FIELD_TEXT,
  VT_FIELD_BLOB
} vt_field_type;

/* One field; of the members behind `type` only those of that type count. */
typedef struct vt_field {
  vt_field_type type;
  int64_t integer;  /* VT_FIELD_INTEGER */
  double real;      /* VT_FIELD_REAL; NaN, which SQLite has not, is written as NULL */
  const void *data; /* VT_FIELD_TEXT, VT_FIELD_BLOB: borrowed; may be NULL if size is 0 */
  size_t size;
} vt_field;

/* Bytes that the row takes; n is at least 1.  O(n). */
uint64_t vt_record_size(const vt_field *fields, unsigned n);

/* Write the row to `out`, which has room for vt_record_size() bytes. */
void vt_record_encode(uint8_t *out, const vt_field *fields, unsigned n);

/* A place between two fields of a row; borrows the row's bytes. */
typedef struct vt_record {
  const uint8_t *header; /* the next field's serial type */
  const uint8_t *header_end;
  const uint8_t *body; /* the next field's body */
} vt_record;

/*
** Stand before the first field.  False: not a record (a header that does not
** fit or has no fields, a serial type that is reserved, bodies that do not fill
** it to the last byte), and *r is not to be used.  Reads the whole header, none of the bodies.
*/
bool vt_record_open(vt_record *r, const void *data, size_t size);

/*
** The next field; false behind the last one, and *out is left alone.  O(1).
** out->data points into the row, also if out->size is 0.  As in SQLite a stored
** NaN is NULL.
*/
bool vt_record_next(vt_record *r, vt_field *out);

/*
** For a column of REAL affinity, before writing: a REAL that is integral and
** fits in six bytes becomes an INTEGER (so -0.0 loses its sign, as in SQLite).
** Anything else stays as it is; an INTEGER must have been made a REAL before.
*/
void vt_field_pack_real(vt_field *f);

/* For a column of REAL affinity, after reading: an INTEGER becomes a REAL. */
void vt_field_unpack_real(vt_field *f);

#endif
