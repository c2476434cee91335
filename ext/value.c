/*
** value.c - between sqlite3_value, bytes and fields.
*/
#include "value.h"

#include <stdlib.h>
#include <string.h>

/* An empty blob has no address; the engine is given one all the same. */
static vt_value_kind blob_bytes(sqlite3_value *v, vt_bytes *out) {
  out->data = sqlite3_value_blob(v);
  out->size = (size_t)sqlite3_value_bytes(v);
  if (!out->data && out->size == 0) {
    out->data = "";
  }
  return out->data ? VT_VALUE_BYTES : VT_VALUE_NOMEM;
}

/* sqlite3_value_text() copies what has no zero behind it; sqlite3_value_blob() does
** not, but of a text in a UTF-16 database it is UTF-16. */
static bool is_utf8_text(sqlite3_value *v) {
  return vt_host_has(VT_HOST_VALUE_ENCODING) && sqlite3_value_type(v) == SQLITE_TEXT &&
         vt_host_is_utf8(v);
}

static vt_value_kind text_bytes(sqlite3_value *v, vt_bytes *out) {
  if (is_utf8_text(v)) {
    return blob_bytes(v, out);
  }
  out->data = sqlite3_value_text(v); /* first: it changes the size */
  out->size = (size_t)sqlite3_value_bytes(v);
  return out->data ? VT_VALUE_BYTES : VT_VALUE_NOMEM;
}

/* 2^63, which is a double, as INT64_MAX is not. */
static const double INT64_END = 9223372036854775808.0;

/* The integer that is equal to r. */
static bool whole(double r, int64_t *out) {
  if (!(r >= -INT64_END && r < INT64_END)) {
    return false;
  }
  *out = (int64_t)r;
  return (double)*out == r;
}

void vt_value_put_integer(uint8_t *out, int64_t i) {
  uint64_t bits = (uint64_t)i ^ (uint64_t)1 << 63;
  for (int n = VT_INTEGER_KEY_SZ; n-- > 0; bits >>= 8) {
    out[n] = (uint8_t)bits;
  }
}

static int64_t get_integer(const uint8_t *p) {
  uint64_t bits = 0;
  for (int i = 0; i < VT_INTEGER_KEY_SZ; i++) {
    bits = bits << 8 | p[i];
  }
  return (int64_t)(bits ^ (uint64_t)1 << 63);
}

static vt_value_kind integer_bytes(sqlite3_value *v, vt_bytes *out) {
  int64_t i = 0;
  switch (sqlite3_value_numeric_type(v)) {
  case SQLITE_INTEGER:
    i = sqlite3_value_int64(v);
    break;
  case SQLITE_FLOAT:
    if (!whole(sqlite3_value_double(v), &i)) {
      return VT_VALUE_MISMATCH;
    }
    break;
  default:
    return VT_VALUE_MISMATCH;
  }
  vt_value_put_integer(out->integer, i);
  out->data = out->integer;
  out->size = VT_INTEGER_KEY_SZ;
  return VT_VALUE_BYTES;
}

vt_value_kind vt_value_key(sqlite3_value *v, vt_affinity affinity, vt_bytes *out) {
  /* The type first: a conversion changes what sqlite3_value_type() says. */
  int given = sqlite3_value_type(v);
  if (given == SQLITE_NULL) {
    return VT_VALUE_NULL;
  }
  if (affinity == VT_AFFINITY_INTEGER) {
    return integer_bytes(v, out);
  }
  if ((given == SQLITE_BLOB) != (affinity == VT_AFFINITY_BLOB)) {
    return VT_VALUE_MISMATCH;
  }
  return affinity == VT_AFFINITY_BLOB ? blob_bytes(v, out) : text_bytes(v, out);
}

vt_value_kind vt_value_raw(sqlite3_value *v, vt_bytes *out) {
  switch (sqlite3_value_type(v)) {
  case SQLITE_NULL:
    return VT_VALUE_NULL;
  case SQLITE_BLOB:
    return blob_bytes(v, out);
  default:
    return text_bytes(v, out);
  }
}

bool vt_value_is_number(sqlite3_value *v) {
  int type = sqlite3_value_type(v);
  return type == SQLITE_INTEGER || type == SQLITE_FLOAT;
}

/* The type that the value has in a column of this affinity. */
static int type_in_column(sqlite3_value *v, vt_affinity affinity) {
  int type = sqlite3_value_type(v);
  if (affinity == VT_AFFINITY_TEXT) {
    return type == SQLITE_INTEGER || type == SQLITE_FLOAT ? SQLITE_TEXT : type;
  }
  return affinity == VT_AFFINITY_BLOB ? type : sqlite3_value_numeric_type(v);
}

/* A REAL becomes an INTEGER under the rule of SQLite's own columns: if that loses
** nothing, and the ends of the range do not count. */
static void set_real(vt_field *out, vt_affinity affinity, double r) {
  int64_t i;
  bool integer = affinity == VT_AFFINITY_INTEGER || affinity == VT_AFFINITY_NUMERIC;
  if (integer && whole(r, &i) && i > INT64_MIN && i < INT64_MAX) {
    out->type = VT_FIELD_INTEGER;
    out->integer = i;
  } else {
    out->type = VT_FIELD_REAL;
    out->real = r;
  }
}

bool vt_value_field(sqlite3_value *v, vt_affinity affinity, vt_field *out) {
  int type = type_in_column(v, affinity);
  vt_bytes bytes = {NULL, 0, {0}};
  memset(out, 0, sizeof(*out));
  switch (type) {
  case SQLITE_INTEGER:
    out->type = affinity == VT_AFFINITY_REAL ? VT_FIELD_REAL : VT_FIELD_INTEGER;
    out->integer = sqlite3_value_int64(v);
    out->real = (double)out->integer;
    break;
  case SQLITE_FLOAT:
    set_real(out, affinity, sqlite3_value_double(v));
    break;
  case SQLITE_TEXT:
  case SQLITE_BLOB:
    out->type = type == SQLITE_TEXT ? VT_FIELD_TEXT : VT_FIELD_BLOB;
    if ((type == SQLITE_TEXT ? text_bytes(v, &bytes) : blob_bytes(v, &bytes)) != VT_VALUE_BYTES) {
      return false;
    }
    break;
  default:
    break;
  }
  out->data = bytes.data;
  out->size = bytes.size;
  if (affinity == VT_AFFINITY_REAL) {
    vt_field_pack_real(out);
  }
  return true;
}

/*
** A text that SQLite counts itself is known to have a zero behind it.  Whoever asks for it with
** sqlite3_column_text() gets it as it is; else SQLite allocates memory for the zero, in each row.
** False: it is long, so that the copies would cost more, or has a zero in it.
*/
static bool result_counted(sqlite3_context *ctx, const void *text, size_t size) {
  char counted[128];
  if (size >= sizeof(counted) || memchr(text, 0, size)) {
    return false;
  }
  memcpy(counted, text, size);
  counted[size] = 0;
  sqlite3_result_text(ctx, counted, -1, SQLITE_TRANSIENT);
  return true;
}

static void result_bytes(sqlite3_context *ctx, bool text, const void *data, size_t size) {
  /* A null pointer would be SQL NULL. */
  const void *p = size ? data : "";
  if (text && result_counted(ctx, p, size)) {
    return;
  }
  if (text) {
    sqlite3_result_text64(ctx, p, size, SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_result_blob64(ctx, p, size, SQLITE_TRANSIENT);
  }
}

void vt_value_result(sqlite3_context *ctx, vt_affinity affinity, const void *data, size_t size) {
  if (affinity == VT_AFFINITY_INTEGER) {
    sqlite3_result_int64(ctx, get_integer(data));
  } else {
    result_bytes(ctx, affinity == VT_AFFINITY_TEXT, data, size);
  }
}

void vt_value_result_alone(sqlite3_context *ctx, vt_affinity affinity, const void *data,
                           size_t size) {
  void *copy = affinity == VT_AFFINITY_INTEGER || !size ? NULL : malloc(size);
  if (!copy) {
    vt_value_result(ctx, affinity, data, size);
    return;
  }
  memcpy(copy, data, size);
  if (affinity == VT_AFFINITY_TEXT) {
    sqlite3_result_text64(ctx, copy, size, free, SQLITE_UTF8);
  } else {
    sqlite3_result_blob64(ctx, copy, size, free);
  }
}

void vt_value_result_field(sqlite3_context *ctx, vt_affinity affinity, const vt_field *f) {
  vt_field field = *f;
  if (affinity == VT_AFFINITY_REAL) {
    vt_field_unpack_real(&field);
  }
  switch (field.type) {
  case VT_FIELD_NULL:
    sqlite3_result_null(ctx);
    break;
  case VT_FIELD_INTEGER:
    sqlite3_result_int64(ctx, field.integer);
    break;
  case VT_FIELD_REAL:
    sqlite3_result_double(ctx, field.real);
    break;
  case VT_FIELD_TEXT:
  case VT_FIELD_BLOB:
    result_bytes(ctx, field.type == VT_FIELD_TEXT, field.data, field.size);
    break;
  }
}
