/*
** row.c - fields, decoded as far as they are asked for.
*/
#include "row.h"

#include <stdlib.h>
#include <string.h>

bool vt_row_open(vt_row *r, const void *value, size_t size) {
  r->n = 0;
  return vt_record_open(&r->record, value, size);
}

int vt_row_reserve(vt_row *r, int n) {
  int cap = r->cap ? r->cap : 8;
  vt_field *p;
  if (n <= r->cap) {
    return SQLITE_OK;
  }
  while (cap < n) {
    cap *= 2;
  }
  p = sqlite3_realloc64(r->fields, (sqlite3_uint64)cap * sizeof(*p));
  if (!p) {
    return SQLITE_NOMEM;
  }
  r->fields = p;
  r->cap = cap;
  return SQLITE_OK;
}

int vt_row_field(vt_row *r, int i, const vt_field **out) {
  static const vt_field missing = {VT_FIELD_NULL, 0, 0, NULL, 0};
  int rc = vt_row_reserve(r, i + 1);
  *out = &missing;
  if (rc != SQLITE_OK) {
    return rc;
  }
  while (r->n <= i && vt_record_next(&r->record, &r->fields[r->n])) {
    r->n++;
  }
  if (i < r->n) {
    *out = &r->fields[i];
  }
  return SQLITE_OK;
}

int vt_row_decode(vt_row *r) {
  int had;
  int rc = SQLITE_OK;
  do {
    const vt_field *f;
    had = r->n;
    rc = vt_row_field(r, had, &f);
  } while (rc == SQLITE_OK && r->n > had);
  return rc;
}

int vt_row_encode(const vt_row *r, bitcask_buf *out) {
  uint64_t size = vt_record_size(r->fields, (unsigned)r->n);
  if (size > out->cap) {
    uint8_t *p = realloc(out->data, size);
    if (!p) {
      return SQLITE_NOMEM;
    }
    out->data = p;
    out->cap = size;
  }
  vt_record_encode(out->data, r->fields, (unsigned)r->n);
  out->size = size;
  return SQLITE_OK;
}

void vt_row_release(vt_row *r) {
  sqlite3_free(r->fields);
  memset(r, 0, sizeof(*r));
}
