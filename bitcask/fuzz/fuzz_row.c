/*
** fuzz_row.c - any bytes, read as a row of a table (ext/record.h).
**
** The reader stays inside the bytes and uses up all of them; what it reads, the
** encoder writes in no more bytes, and that reads as the same fields.
*/
#include "record.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool holds) {
  if (!holds) abort();
}

static void require_same(const vt_field *a, const vt_field *b) {
  require(a->type == b->type);
  if (a->type == VT_FIELD_INTEGER) require(a->integer == b->integer);
  if (a->type == VT_FIELD_REAL) require(!(a->real < b->real) && !(a->real > b->real));
  if (a->type == VT_FIELD_TEXT || a->type == VT_FIELD_BLOB) {
    require(a->size == b->size && !memcmp(a->data, b->data, a->size));
  }
}

/* All fields of a row, which has fewer than it has bytes. */
static unsigned read_fields(vt_record *r, const uint8_t *end, vt_field *out) {
  unsigned n = 0;

  while (vt_record_next(r, &out[n])) {
    const vt_field *f = &out[n++];
    if (f->type == VT_FIELD_TEXT || f->type == VT_FIELD_BLOB) {
      require((const uint8_t *)f->data + f->size == r->body);
    }
  }
  require(r->body == end);
  return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  vt_field *fields = malloc((n + 1) * sizeof *fields), *again = malloc((n + 1) * sizeof *again);
  uint8_t *copy = NULL;
  vt_record r;

  require(fields && again);
  if (vt_record_open(&r, data, n)) {
    unsigned n_fields = read_fields(&r, data + n, fields);
    size_t size = (size_t)vt_record_size(fields, n_fields);
    require(size <= n);
    copy = malloc(size);
    require(copy != NULL);
    vt_record_encode(copy, fields, n_fields);
    require(vt_record_open(&r, copy, size));
    require(read_fields(&r, copy + size, again) == n_fields);
    for (unsigned i = 0; i < n_fields; i++) require_same(&fields[i], &again[i]);
  }
  free(copy);
  free(fields);
  free(again);
  return 0;
}
