/*
** command.c - commands by name.
*/
#include "command.h"
#include "error.h"
#include "functions.h"

static int merge(vt_table *t, bitcask_error *e) {
  int64_t freed;
  return vt_functions_merge(t, BITCASK_MERGE_ALL, &freed, e);
}

static const struct {
  const char *name;
  int (*run)(vt_table *t, bitcask_error *e);
} commands[] = {{"merge", merge}, {"sync", vt_functions_sync}};

enum { N_COMMANDS = sizeof(commands) / sizeof(commands[0]) };

int vt_command_run(vt_table *t, const char *name) {
  vt_session *s = t->session;
  bool goes_on = s->txn && !sqlite3_get_autocommit(t->connection->db);
  bitcask_error e;
  int i = 0;
  int rc;
  while (i < N_COMMANDS && sqlite3_stricmp(name, commands[i].name) != 0) {
    i++;
  }
  if (i == N_COMMANDS) {
    return vt_error_vtab_text(&t->base, SQLITE_ERROR, "%s: unknown command: %s (there are %s)",
                              t->name, name, "merge and sync");
  }
  if (s->wrote) {
    return vt_error_vtab_text(&t->base, SQLITE_ERROR,
                              "%s: cannot %s within a transaction that has written to it", t->name,
                              commands[i].name);
  }
  /* xBegin took the write lock, which the command needs. */
  rc = vt_session_pause(s, goes_on, &e);
  if (rc == BITCASK_OK) {
    rc = commands[i].run(t, &e);
  }
  /* What follows in a transaction relies on the lock: an UPDATE must not read what
  ** others change before it writes. */
  if (rc == BITCASK_OK && goes_on) {
    rc = vt_session_begin(s, t->args.options.timeout_ms, &e);
  }
  return rc == BITCASK_OK ? SQLITE_OK : vt_table_fail(t, &e);
}
