/*
** table.c - from a declared table to its open store.
*/
#include "table.h"
#include "error.h"
#include "wait.h"

#include <string.h>
#include <unistd.h>

int vt_table_fail(vt_table *t, const bitcask_error *e) {
  return vt_error_vtab(&t->base, t->name, e);
}

static bool is_utf8(sqlite3 *db) {
  sqlite3_stmt *stmt = NULL;
  bool utf8 = false;
  if (sqlite3_prepare_v2(db, "PRAGMA encoding", -1, &stmt, NULL) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    const char *name = (const char *)sqlite3_column_text(stmt, 0);
    utf8 = name && sqlite3_stricmp(name, "UTF-8") == 0;
  }
  (void)sqlite3_finalize(stmt); /* repeats the result of the step */
  return utf8;
}

bool vt_table_orders_keys(vt_table *t) {
  if (vt_table_key(t)->affinity != VT_AFFINITY_TEXT) {
    return true;
  }
  /* Asked once: the encoding cannot change any more where there is a table. */
  if (t->text_order == VT_TEXT_ORDER_UNKNOWN) {
    t->text_order = is_utf8(t->connection->db) ? VT_TEXT_ORDER_BYTES : VT_TEXT_ORDER_OTHER;
  }
  return t->text_order == VT_TEXT_ORDER_BYTES;
}

int vt_table_bad_row(const vt_table *t, const bitcask_entry *row, const char *what,
                     bitcask_error *e) {
  bitcask_buf path = {NULL, 0, 0};
  if (row->file_id == BITCASK_NO_FILE) {
    return vt_error_set(e, BITCASK_CORRUPT, "a record of this transaction: %s", what);
  }
  if (bitcask_file_path(t->session->engine->bc, row->file_id, &path) != BITCASK_OK) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  (void)vt_error_set(e, BITCASK_CORRUPT, "%s: the record at %llu: %s", (const char *)path.data,
                     (unsigned long long)row->offset, what);
  bitcask_buf_free(&path);
  return e->code;
}

/* A file name that is no file (an in-memory VFS has such) says nothing of where. */
char *vt_table_path(sqlite3 *db, const char *schema, const char *directory) {
  const char *file = sqlite3_db_filename(db, schema);
  const char *slash = file ? strrchr(file, '/') : NULL;
  if (directory[0] == '/' || !slash || access(file, F_OK) != 0) {
    return sqlite3_mprintf("%s", directory);
  }
  return sqlite3_mprintf("%.*s/%s", (int)(slash - file), file, directory);
}

int vt_table_open_store(vt_table *t, bool create) {
  bitcask_error e;
  vt_options options = t->args.options;
  vt_poll poll;
  vt_engine *engine;
  char *dir;
  int rc;
  if (t->defect) {
    return vt_error_vtab_text(&t->base, SQLITE_ERROR, "%s: %s", t->name, t->defect);
  }
  rc = vt_poll_begin(&poll, t->connection->db, &e);
  if (rc != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  options.engine.progress = vt_poll_interrupted;
  options.engine.progress_ctx = &poll;
  dir = vt_table_path(t->connection->db, t->schema, t->args.directory);
  if (!dir) {
    vt_poll_release(&poll);
    return SQLITE_NOMEM;
  }
  rc = vt_engine_acquire(dir, &options, create, &engine, &e);
  vt_poll_release(&poll);
  sqlite3_free(dir);
  if (rc == BITCASK_OK) {
    rc = vt_session_acquire(t->connection, engine, &t->session, &e);
  }
  if (rc != BITCASK_OK) {
    return vt_table_fail(t, &e);
  }
  t->part = create ? VT_PART_MADE : VT_PART_NONE;
  return SQLITE_OK;
}

/* The directory is not at its place any more: what has its name now is opened, once nothing
** that the table has begun needs the old one. */
static bool is_to_be_opened_anew(const vt_table *t) {
  const vt_session *s = t->session;
  return bitcask_is_moved(s->engine->bc) && t->part == VT_PART_NONE && !s->txn && !s->fixed &&
         !s->n_views;
}

int vt_table_open(vt_table *t) {
  if (t->session && is_to_be_opened_anew(t)) {
    vt_session_release(t->session);
    t->session = NULL;
  }
  return t->session ? SQLITE_OK : vt_table_open_store(t, false);
}
