/*
** integrity.c - see integrity.h.
*/
#include "integrity.h"
#include "error.h"
#include "table.h"
#include "wait.h"

#include <string.h>

enum {
  QUICK = 1, /* bit of xIntegrity's flags: PRAGMA quick_check */
  MAX_PROBLEMS = 100
};

typedef struct check {
  vt_poll poll;
  sqlite3_str *text; /* one line for each problem */
  int n_problems;
  const char *schema;
  const char *table;
} check;

static void add_line(check *k, const char *text) {
  sqlite3_str_appendf(k->text, "%sbitcask %s.%s: %s", k->n_problems++ ? "\n" : "", k->schema,
                      k->table, text);
}

static int report(void *ctx, const bitcask_problem *p) {
  check *k = ctx;
  char *text = sqlite3_mprintf("%u.bitcask.data offset %llu: %s", p->file_id,
                               (unsigned long long)p->offset, p->text);
  add_line(k, text ? text : p->text);
  sqlite3_free(text);
  return k->n_problems >= MAX_PROBLEMS;
}

static int progress(void *ctx) {
  check *k = ctx;
  return vt_poll_interrupted(&k->poll);
}

/* A table that cannot be opened has a problem like any other. */
static int check_store(check *k, vt_table *t, bool quick) {
  size_t name_sz = strlen(t->name);
  const char *text;
  bitcask_error e;
  uint64_t n;
  int rc = vt_table_open(t);
  if (rc == SQLITE_NOMEM || rc == SQLITE_INTERRUPT) {
    return rc;
  }
  if (rc != SQLITE_OK) {
    text = t->base.zErrMsg ? t->base.zErrMsg : "cannot be opened";
    /* The line names the table already. */
    add_line(k, strncmp(text, t->name, name_sz) == 0 && text[name_sz] == ':' ? text + name_sz + 2
                                                                             : text);
    sqlite3_free(t->base.zErrMsg);
    t->base.zErrMsg = NULL;
    return SQLITE_OK;
  }
  rc = quick ? bitcask_verify_structure(t->session->engine->bc, report, progress, k, &n, &e)
             : bitcask_verify(t->session->engine->bc, report, progress, k, &n, &e);
  if (rc == BITCASK_NOMEM || rc == BITCASK_INTERRUPT) {
    return vt_error_code(rc);
  }
  if (rc != BITCASK_OK) {
    add_line(k, e.text);
  }
  return SQLITE_OK;
}

int vt_integrity_check(sqlite3_vtab *vtab, const char *schema, const char *table, int flags,
                       char **err) {
  vt_table *t = (vt_table *)vtab;
  check k = {.schema = schema, .table = table};
  int rc = vt_poll_init(&k.poll, t->connection->db);
  if (rc != SQLITE_OK) {
    return rc;
  }
  k.text = sqlite3_str_new(t->connection->db);
  rc = check_store(&k, t, (flags & QUICK) != 0);
  vt_poll_release(&k.poll);
  if (rc == SQLITE_OK) {
    rc = sqlite3_str_errcode(k.text); /* no memory, or too long for the connection */
  }
  *err = sqlite3_str_finish(k.text); /* NULL if there is nothing in it */
  if (rc != SQLITE_OK) {
    sqlite3_free(*err);
    *err = NULL;
  }
  return rc;
}
