/*
** host.h - SQLite as this module sees it: the routines that the host hands over.
**
** A host older than the headers passes a shorter table, so every call that is
** newer than SQLite 3.31 stands behind a question to vt_host_has().  What is newer
** than the headers of 3.40 is declared here: tables only ever grow at their end.
*/
#ifndef VT_HOST_H
#define VT_HOST_H

#include <sqlite3ext.h>
#include <stdbool.h>
SQLITE_EXTENSION_INIT3

enum {
  VT_HOST_VTAB_IN = 3038000, /* sqlite3_vtab_in and its two iterators, sqlite3_vtab_rhs_value */
  VT_HOST_VALUE_ENCODING = 3040000, /* sqlite3_value_encoding */
  VT_HOST_IS_INTERRUPTED = 3041000  /* sqlite3_is_interrupted */
};

#if SQLITE_VERSION_NUMBER < 3038000
/*
** Headers that do not know these calls, or a SQLite without them that has this
** module compiled in: no list is ever had whole, each of its values comes alone.
*/
static inline int sqlite3_vtab_in(sqlite3_index_info *info, int constraint, int handle) {
  (void)info, (void)constraint, (void)handle;
  return 0;
}
static inline int sqlite3_vtab_in_first(sqlite3_value *list, sqlite3_value **out) {
  (void)list, (void)out;
  return SQLITE_MISUSE;
}
static inline int sqlite3_vtab_in_next(sqlite3_value *list, sqlite3_value **out) {
  (void)list, (void)out;
  return SQLITE_MISUSE;
}
#endif

static inline bool vt_host_has(int since) { return sqlite3_libversion_number() >= since; }

/* Only where vt_host_has(VT_HOST_VALUE_ENCODING). */
static inline bool vt_host_is_utf8(sqlite3_value *v) {
#if SQLITE_VERSION_NUMBER >= 3040000
  return sqlite3_value_encoding(v) == SQLITE_UTF8;
#else
  (void)v; /* linked with a host that has it not */
  return false;
#endif
}

/* Only where vt_host_has(VT_HOST_IS_INTERRUPTED). */
#if SQLITE_VERSION_NUMBER >= 3041000
static inline bool vt_host_is_interrupted(sqlite3 *db) { return sqlite3_is_interrupted(db) != 0; }
#elif !defined(SQLITE_CORE)
_Static_assert(SQLITE_VERSION_NUMBER >= 3040000,
               "is_interrupted comes right behind the routines of 3.40");
typedef struct vt_host_routines {
  sqlite3_api_routines known;
  int (*is_interrupted)(sqlite3 *);
} vt_host_routines;

static inline bool vt_host_is_interrupted(sqlite3 *db) {
  return ((const vt_host_routines *)sqlite3_api)->is_interrupted(db) != 0;
}
#else
static inline bool vt_host_is_interrupted(sqlite3 *db) {
  (void)db; /* linked with a host that has it not */
  return false;
}
#endif

/* A module of iVersion 4, which hosts before 3.44 take for an older one. */
typedef struct vt_host_module {
  sqlite3_module known;
#if SQLITE_VERSION_NUMBER < 3044000
  int (*integrity)(sqlite3_vtab *, const char *schema, const char *table, int flags, char **err);
#define VT_HOST_INTEGRITY(function) .integrity = (function)
#else
#define VT_HOST_INTEGRITY(function) .known.xIntegrity = (function)
#endif
} vt_host_module;

/* For headers, or a SQLite that has this module compiled in, from before them. */
#ifndef SQLITE_INDEX_CONSTRAINT_LIMIT
#define SQLITE_INDEX_CONSTRAINT_LIMIT 73
#endif
#if SQLITE_VERSION_NUMBER < 3038000
static inline int sqlite3_vtab_rhs_value(sqlite3_index_info *info, int constraint,
                                         sqlite3_value **out) {
  (void)info, (void)constraint, (void)out;
  return SQLITE_NOTFOUND;
}
#endif

#endif
