/* buf.c - see buf.h. */
#include "buf.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int bc_buf_reserve(bitcask_buf *buf, size_t n) {
  size_t want, cap = buf->cap < 64 ? 64 : buf->cap;
  uint8_t *data;

  if (__builtin_add_overflow(buf->size, n, &want)) return BITCASK_NOMEM;
  if (want <= buf->cap) return BITCASK_OK;
  while (cap < want) {
    if (cap > SIZE_MAX / 2) return BITCASK_NOMEM;
    cap *= 2;
  }
  data = realloc(buf->data, cap);
  if (!data) return BITCASK_NOMEM;
  buf->data = data;
  buf->cap = cap;
  return BITCASK_OK;
}

int bc_buf_append(bitcask_buf *buf, const void *p, size_t n) {
  int rc = bc_buf_reserve(buf, n);
  if (rc) return rc;
  if (n) memcpy(buf->data + buf->size, p, n);
  buf->size += n;
  return BITCASK_OK;
}

int bc_buf_printf(bitcask_buf *buf, const char *fmt, ...) {
  va_list ap;
  int n, rc;

  va_start(ap, fmt);
  n = vsnprintf(NULL, 0, fmt, ap);
  va_end(ap);
  if (n < 0) return BITCASK_NOMEM;
  buf->size = 0;
  rc = bc_buf_reserve(buf, (size_t)n + 1);
  if (rc) return rc;
  va_start(ap, fmt);
  vsnprintf((char *)buf->data, (size_t)n + 1, fmt, ap);
  va_end(ap);
  buf->size = (size_t)n;
  return BITCASK_OK;
}

void bitcask_buf_free(bitcask_buf *buf) {
  free(buf->data);
  *buf = (bitcask_buf){0};
}
