/* err.c - see err.h. */
#include "err.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

void bc_err_clear(bitcask_error *err) {
  if (!err) return;
  err->code = BITCASK_OK;
  err->os_errno = 0;
  err->file_id = BITCASK_NO_FILE;
  err->offset = 0;
  err->text[0] = 0;
}

/* What is no regular file is told by these (env.h). */
static const char *words_for(int os_errno) {
  switch (os_errno) {
  case ELOOP:
    return "it is a symbolic link, not a regular file";
  case ESPIPE:
    return "it is a FIFO, not a regular file";
  case ENXIO:
    return "it is a socket, not a regular file";
  case ENOTBLK:
    return "it is a device, not a regular file";
  case EISDIR:
    return "it is a directory, not a regular file";
  default:
    return strerror(os_errno);
  }
}

static int fill(bitcask_error *err, int code, int os_errno, uint32_t file_id, uint64_t offset,
                const char *fmt, va_list ap) {
  size_t n;
  if (!err || err->code) return code;
  err->code = code;
  err->os_errno = os_errno;
  err->file_id = file_id;
  err->offset = offset;
  vsnprintf(err->text, sizeof err->text, fmt, ap);
  if (os_errno) {
    n = strlen(err->text);
    snprintf(err->text + n, sizeof err->text - n, ": %s", words_for(os_errno));
  }
  return code;
}

int bc_err(bitcask_error *err, int code, const char *fmt, ...) {
  va_list ap;
  va_start(ap, fmt);
  code = fill(err, code, 0, BITCASK_NO_FILE, 0, fmt, ap);
  va_end(ap);
  return code;
}

int bc_err_at(bitcask_error *err, int code, uint32_t file_id, uint64_t offset, const char *fmt,
              ...) {
  va_list ap;
  va_start(ap, fmt);
  code = fill(err, code, 0, file_id, offset, fmt, ap);
  va_end(ap);
  return code;
}

static int code_of(int os_errno) {
  switch (os_errno) {
  case ENOSPC:
  case EDQUOT:
  case EFBIG:
    return BITCASK_FULL;
  case EROFS:
  case EACCES:
  case EPERM:
    return BITCASK_READONLY;
  case ENOMEM:
    return BITCASK_NOMEM;
  default:
    return BITCASK_IOERR;
  }
}

int bc_err_os(bitcask_error *err, int os_errno, const char *fmt, ...) {
  va_list ap;
  int code = code_of(os_errno);
  va_start(ap, fmt);
  code = fill(err, code, os_errno, BITCASK_NO_FILE, 0, fmt, ap);
  va_end(ap);
  return code;
}

int bc_err_nomem(bitcask_error *err) { return bc_err(err, BITCASK_NOMEM, "out of memory"); }

const char *bitcask_strerror(int code) {
  static const char *const words[] = {"ok",          "not found", "busy",          "read-only",
                                      "cannot open", "I/O error", "full",          "corrupt",
                                      "too big",     "invalid",   "out of memory", "interrupted",
                                      "aborted",     "moved",     "out of date"};
  if (code < 0 || (size_t)code >= sizeof words / sizeof *words) return "unknown";
  return words[code];
}
