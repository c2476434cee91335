/*
** module.c - the entry point: what is registered with a connection.
**
**     .load ./bitcask
**     CREATE VIRTUAL TABLE kv USING bitcask('data/kv');
**     INSERT INTO kv VALUES ('user:1', '{"name":"Ada"}');
**     SELECT value FROM kv WHERE key = 'user:1';
**
** Where to look: declaration.c makes and drops a table; args.c, columns.c and options.c
** read its arguments; table.c opens its store.  plan.c chooses how to read it, cursor.c
** reads, with range.c and keylist.c for keys; write.c and change.c write, command.c runs
** commands.
** value.c turns a value into bytes, row.c several values into one (record.c).
** session.c keeps a connection's transaction and snapshot, reading.c hears of the end of one
** that only reads, registry.c the engine handles
** that connections share.  functions.c are the scalar functions; report.c is what the
** table-valued ones have in common: inventory.c, history.c, problems.c, scan.c;
** integrity.c is for PRAGMA integrity_check; error.c turns what went wrong into SQLite's
** words.
*/
#include <sqlite3ext.h>
SQLITE_EXTENSION_INIT1

#include "cursor.h"
#include "declaration.h"
#include "functions.h"
#include "history.h"
#include "integrity.h"
#include "inventory.h"
#include "plan.h"
#include "problems.h"
#include "reading.h"
#include "scan.h"
#include "write.h"

static const vt_host_module module = {.known =
                                          {
                                              .iVersion = 4, /* savepoints, integrity checks */
                                              .xCreate = vt_declaration_create,
                                              .xConnect = vt_declaration_connect,
                                              .xBestIndex = vt_plan_best_index,
                                              .xDisconnect = vt_declaration_disconnect,
                                              .xDestroy = vt_declaration_destroy,
                                              .xOpen = vt_cursor_open,
                                              .xClose = vt_cursor_close,
                                              .xFilter = vt_cursor_filter,
                                              .xNext = vt_cursor_next,
                                              .xEof = vt_cursor_eof,
                                              .xColumn = vt_cursor_column,
                                              .xRowid = vt_cursor_rowid,
                                              .xUpdate = vt_write_update,
                                              .xBegin = vt_write_begin,
                                              .xSync = vt_write_sync,
                                              .xCommit = vt_write_commit,
                                              .xRollback = vt_write_rollback,
                                              .xRename = vt_declaration_rename,
                                              .xSavepoint = vt_write_savepoint,
                                              .xRelease = vt_write_release,
                                              .xRollbackTo = vt_write_rollback_to,
                                          },
                                      VT_HOST_INTEGRITY(vt_integrity_check)};

static int register_reports(vt_connection *c) {
  int (*const functions[])(vt_connection *) = {vt_inventory_register, vt_history_register,
                                               vt_problems_register, vt_scan_register};
  int rc = SQLITE_OK;
  for (size_t i = 0; i < sizeof(functions) / sizeof(functions[0]) && rc == SQLITE_OK; i++) {
    rc = functions[i](c);
  }
  return rc;
}

__attribute__((visibility("default"))) int sqlite3_bitcask_init(sqlite3 *db, char **err,
                                                                const sqlite3_api_routines *api);

int sqlite3_bitcask_init(sqlite3 *db, char **err, const sqlite3_api_routines *api) {
  vt_connection *c;
  int rc;
  SQLITE_EXTENSION_INIT2(api);
  if (!vt_host_has(3031000)) {
    *err = sqlite3_mprintf("bitcask needs SQLite 3.31 or newer, this is %s", sqlite3_libversion());
    return SQLITE_ERROR;
  }
  c = vt_connection_acquire(db);
  if (!c) {
    return SQLITE_NOMEM;
  }
  rc = sqlite3_create_module_v2(db, "bitcask", &module.known, c, vt_connection_release);
  if (rc == SQLITE_OK) {
    rc = vt_functions_register(c);
  }
  if (rc == SQLITE_OK) {
    rc = vt_reading_register(c);
  }
  if (rc == SQLITE_OK) {
    rc = register_reports(c);
  }
  if (rc == SQLITE_OK) {
    vt_reading_load(c);
  }
  if (rc != SQLITE_OK) {
    *err = sqlite3_mprintf("%s", sqlite3_errmsg(db));
  }
  return rc;
}
