/* buf.h - operations on bitcask_buf, the growable piece of memory. */
#ifndef BC_BUF_H
#define BC_BUF_H

#include "bitcask.h"

/* Make room for `n` more bytes.  BITCASK_NOMEM leaves the buffer as it was. */
int bc_buf_reserve(bitcask_buf *buf, size_t n);

/* Append bytes; as bc_buf_reserve. */
int bc_buf_append(bitcask_buf *buf, const void *p, size_t n);

/* Replace the contents by formatted text with a NUL behind it (not counted in
** size). */
int bc_buf_printf(bitcask_buf *buf, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#endif
