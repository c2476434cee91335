/*
** shell_needs.c - what the sqlite3 shell of this machine asks of its library and
** an older SQLite does not have: linked to that SQLite, it lets the same shell
** run on every version.
**
** SHELL_SOURCE_ID is the source id that the shell was built with: a shell ends
** at once on a library with another.  With SQLITE_CORE every connection gets the
** module, which is compiled in.
*/
#include "sqlite3.h"

const char *sqlite3_sourceid(void) { return SHELL_SOURCE_ID; }

#ifdef SQLITE_CORE
int sqlite3_bitcask_init(sqlite3 *db, char **err, const void *api);
#endif

/* SQLite's own last step of sqlite3_initialize(), see SQLITE_EXTRA_INIT. */
int host_init(const char *unused) {
  (void)unused;
#ifdef SQLITE_CORE
  return sqlite3_auto_extension((void (*)(void))sqlite3_bitcask_init);
#else
  return SQLITE_OK;
#endif
}

#if SQLITE_VERSION_NUMBER < 3034000
int sqlite3_txn_state(sqlite3 *db, const char *schema) {
  (void)schema;
  return sqlite3_get_autocommit(db) ? 0 : 2;
}
#endif

#if SQLITE_VERSION_NUMBER < 3037000
sqlite3_int64 sqlite3_changes64(sqlite3 *db) { return sqlite3_changes(db); }

sqlite3_int64 sqlite3_total_changes64(sqlite3 *db) { return sqlite3_total_changes(db); }
#endif

#if SQLITE_VERSION_NUMBER < 3038000
int sqlite3_error_offset(sqlite3 *db) {
  (void)db;
  return -1;
}
#endif
