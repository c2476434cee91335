/*
** value.c - between sqlite3_value and bytes.
*/
#include "value.h"

/* In a UTF-16 database sqlite3_value_blob() of a text is UTF-16: ask for the
** text first, then for its size. */
static vt_value_kind text_bytes(sqlite3_value *v, const void **data, size_t *size) {
  *data = sqlite3_value_text(v);
  *size = (size_t)sqlite3_value_bytes(v);
  return *data ? VT_VALUE_BYTES : VT_VALUE_NOMEM;
}

/* An empty blob has no address; the engine is given one all the same. */
static vt_value_kind blob_bytes(sqlite3_value *v, const void **data, size_t *size) {
  *data = sqlite3_value_blob(v);
  *size = (size_t)sqlite3_value_bytes(v);
  if (!*data && *size == 0) {
    *data = "";
  }
  return *data ? VT_VALUE_BYTES : VT_VALUE_NOMEM;
}

vt_value_kind vt_value_key(sqlite3_value *v, vt_type type, const void **data, size_t *size) {
  /* The type first: a conversion changes what sqlite3_value_type() says. */
  int given = sqlite3_value_type(v);
  if (given == SQLITE_NULL) {
    return VT_VALUE_NULL;
  }
  if ((given == SQLITE_BLOB) != (type == VT_BLOB)) {
    return VT_VALUE_MISMATCH;
  }
  return type == VT_BLOB ? blob_bytes(v, data, size) : text_bytes(v, data, size);
}

vt_value_kind vt_value_stored(sqlite3_value *v, const void **data, size_t *size) {
  switch (sqlite3_value_type(v)) {
  case SQLITE_NULL:
    return VT_VALUE_NULL;
  case SQLITE_BLOB:
    return blob_bytes(v, data, size);
  default:
    return text_bytes(v, data, size);
  }
}

void vt_value_result(sqlite3_context *ctx, vt_type type, const void *data, size_t size) {
  /* A null pointer would be SQL NULL. */
  const void *p = size ? data : "";
  if (type == VT_TEXT) {
    sqlite3_result_text64(ctx, p, size, SQLITE_TRANSIENT, SQLITE_UTF8);
  } else {
    sqlite3_result_blob64(ctx, p, size, SQLITE_TRANSIENT);
  }
}
