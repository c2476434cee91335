/*
** error.c - engine status to SQLite result code and text.
**
** Texts are SQLite's in style: lower case, what is concerned first.
*/
#include "error.h"

#include <stdarg.h>
#include <stdio.h>

int vt_error_code(int status) {
  switch (status) {
  case BITCASK_OK:
    return SQLITE_OK;
  case BITCASK_BUSY:
    return SQLITE_BUSY;
  case BITCASK_READONLY:
    return SQLITE_READONLY;
  case BITCASK_CANTOPEN:
    return SQLITE_CANTOPEN;
  case BITCASK_IOERR:
    return SQLITE_IOERR;
  case BITCASK_FULL:
    return SQLITE_FULL;
  case BITCASK_CORRUPT:
    return SQLITE_CORRUPT_VTAB;
  case BITCASK_TOOBIG:
    return SQLITE_TOOBIG;
  case BITCASK_NOMEM:
    return SQLITE_NOMEM;
  case BITCASK_INTERRUPT:
    return SQLITE_INTERRUPT;
  case BITCASK_STALE:
    return SQLITE_BUSY_SNAPSHOT;
  case BITCASK_MOVED:
    return SQLITE_READONLY_DBMOVED;
  case BITCASK_ABORT:
    return SQLITE_ABORT_ROLLBACK;
  default:
    /* INVALID among them.  Not a constraint: OR IGNORE would skip the row. */
    return SQLITE_ERROR;
  }
}

int vt_error_set(bitcask_error *e, int status, const char *format, ...) {
  va_list ap;
  e->code = status;
  e->os_errno = 0;
  e->file_id = BITCASK_NO_FILE;
  e->offset = 0;
  va_start(ap, format);
  vsnprintf(e->text, sizeof(e->text), format, ap);
  va_end(ap);
  return status;
}

int vt_error_vtab(sqlite3_vtab *vtab, const char *table, const bitcask_error *e) {
  return vt_error_vtab_text(vtab, vt_error_code(e->code), "%s: %s", table, e->text);
}

int vt_error_vtab_text(sqlite3_vtab *vtab, int rc, const char *format, ...) {
  va_list ap;
  sqlite3_free(vtab->zErrMsg);
  va_start(ap, format);
  vtab->zErrMsg = sqlite3_vmprintf(format, ap);
  va_end(ap);
  return rc;
}

void vt_error_result(sqlite3_context *ctx, const char *table, const bitcask_error *e) {
  vt_error_result_text(ctx, vt_error_code(e->code), sqlite3_mprintf("%s: %s", table, e->text));
}

void vt_error_result_text(sqlite3_context *ctx, int rc, char *text) {
  if (!text || rc == SQLITE_NOMEM) {
    sqlite3_result_error_nomem(ctx);
  } else {
    sqlite3_result_error(ctx, text, -1);
    sqlite3_result_error_code(ctx, rc);
  }
  sqlite3_free(text);
}

void vt_error_log(void *ctx, const char *text) {
  (void)ctx;
  sqlite3_log(SQLITE_NOTICE, "bitcask: %s", text);
}
