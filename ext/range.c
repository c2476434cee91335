/*
** range.c - bounds of keys.
*/
#include "range.h"

#include <stdlib.h>
#include <string.h>

void vt_range_clear(vt_range *r) {
  r->empty = false;
  r->numbers_pass = false;
  r->numbers_only = false;
  r->lower.set = false;
  r->upper.set = false;
}

static int set_bytes(vt_bound *b, const void *data, size_t size, bool open) {
  if (size > b->key.cap) {
    uint8_t *p = realloc(b->key.data, size);
    if (!p) {
      return SQLITE_NOMEM;
    }
    b->key.data = p;
    b->key.cap = size;
  }
  if (size) {
    memcpy(b->key.data, data, size);
  }
  b->key.size = size;
  b->open = open;
  b->set = true;
  return SQLITE_OK;
}

/* A number that is not whole bounds like the next one inside the range. */
static int set_real(vt_bound *b, double v, bool lower) {
  static const double end = 9223372036854775808.0; /* 2^63 */
  uint8_t bytes[VT_INTEGER_KEY_SZ];
  int64_t i;
  if (!(v >= -end && v < end)) {
    return SQLITE_OK;
  }
  i = (int64_t)v;
  i += lower && (double)i < v;
  i -= !lower && (double)i > v;
  vt_value_put_integer(bytes, i);
  return set_bytes(b, bytes, sizeof(bytes), false);
}

int vt_range_set(vt_range *r, vt_bound *b, sqlite3_value *v, vt_affinity affinity, bool open,
                 bool is_text) {
  vt_bytes key;
  int type =
      affinity == VT_AFFINITY_INTEGER ? sqlite3_value_numeric_type(v) : sqlite3_value_type(v);
  if (type == SQLITE_NULL) {
    r->empty = true;
    return SQLITE_OK;
  }
  if (affinity == VT_AFFINITY_INTEGER && type == SQLITE_FLOAT) {
    return set_real(b, sqlite3_value_double(v), b == &r->lower);
  }
  if (affinity == VT_AFFINITY_TEXT && type != SQLITE_TEXT) {
    return SQLITE_OK;
  }
  switch (vt_value_key(v, affinity, &key)) {
  case VT_VALUE_BYTES:
    r->numbers_pass = r->numbers_pass || (affinity == VT_AFFINITY_TEXT && !is_text);
    return set_bytes(b, key.data, key.size, open);
  case VT_VALUE_NOMEM:
    return SQLITE_NOMEM;
  default:
    return SQLITE_OK;
  }
}

static int compare(const void *key, size_t size, const bitcask_buf *with) {
  size_t common = size < with->size ? size : with->size;
  int c = common ? memcmp(key, with->data, common) : 0;
  return c ? c : size < with->size ? -1 : size > with->size;
}

/* True for everything that SQLite would take for a number, for the text of every
** number (Inf among them), and for more. */
static bool may_be_number(const char *key, size_t size) {
  size_t i = 0;
  while (i < size && (key[i] == ' ' || (key[i] >= '\t' && key[i] <= '\r'))) {
    i++;
  }
  return i < size && memchr("0123456789+-.I", key[i], 14) != NULL;
}

bool vt_range_has(const vt_range *r, const void *key, size_t size) {
  if (r->empty || (r->numbers_only && !may_be_number(key, size))) {
    return false;
  }
  if (r->lower.set) {
    int c = compare(key, size, &r->lower.key);
    if (c < 0 || (c == 0 && r->lower.open)) {
      return false;
    }
  }
  if (r->upper.set) {
    int c = compare(key, size, &r->upper.key);
    if (c > 0 || (c == 0 && r->upper.open)) {
      return r->numbers_pass && may_be_number(key, size);
    }
  }
  return true;
}

void vt_range_release(vt_range *r) {
  bitcask_buf_free(&r->lower.key);
  bitcask_buf_free(&r->upper.key);
}
