/*
** wait.c - interrupts and busy timeouts.
*/
#include "wait.h"
#include "error.h"

#include <time.h>

/* How long an interrupt can go unnoticed while we wait. */
enum { SLICE_MS = 50 };

int vt_poll_init(vt_poll *p, sqlite3 *db) {
  int rc = SQLITE_OK;
  p->db = db;
  p->stmt = NULL;
  if (!vt_host_has(VT_HOST_IS_INTERRUPTED)) {
    rc = sqlite3_prepare_v2(db, "SELECT 1", -1, &p->stmt, NULL);
  }
  /* Where an authorizer forbids the question nothing is ever interrupted. */
  return rc == SQLITE_AUTH ? SQLITE_OK : rc;
}

int vt_poll_begin(vt_poll *p, sqlite3 *db, bitcask_error *e) {
  switch (vt_poll_init(p, db)) {
  case SQLITE_OK:
    return BITCASK_OK;
  case SQLITE_INTERRUPT: /* since before we asked */
    return vt_error_set(e, BITCASK_INTERRUPT, "interrupted");
  default:
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
}

int vt_poll_interrupted(void *poll) {
  vt_poll *p = poll;
  int interrupted;
  if (!p->stmt) {
    return vt_host_has(VT_HOST_IS_INTERRUPTED) && vt_host_is_interrupted(p->db);
  }
  /* A step fails while the connection is interrupted, in every version. */
  interrupted = sqlite3_step(p->stmt) == SQLITE_INTERRUPT;
  (void)sqlite3_reset(p->stmt); /* repeats the result of the step */
  return interrupted;
}

void vt_poll_release(vt_poll *p) {
  (void)sqlite3_finalize(p->stmt); /* repeats the result of the step */
  p->stmt = NULL;
}

static int64_t monotonic_ms(void) {
  struct timespec t = {0, 0};
  (void)clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
  return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* 0 also where an authorizer forbids the question. */
static int busy_timeout_ms(sqlite3 *db) {
  sqlite3_stmt *stmt = NULL;
  int ms = 0;
  if (sqlite3_prepare_v2(db, "PRAGMA busy_timeout", -1, &stmt, NULL) == SQLITE_OK &&
      sqlite3_step(stmt) == SQLITE_ROW) {
    ms = sqlite3_column_int(stmt, 0);
  }
  (void)sqlite3_finalize(stmt); /* repeats the result of the step */
  return ms;
}

void vt_wait_init(vt_wait *w, sqlite3 *db, int timeout_ms) {
  w->db = db;
  w->timeout_ms = timeout_ms;
  w->poll.db = NULL;
  w->poll.stmt = NULL;
  w->started = false;
  w->deadline_ms = 0;
}

/* The poll is begun when it is needed: mostly nobody waits. */
static int ask(vt_wait *w) {
  bitcask_error ignored;
  int rc = w->poll.db ? BITCASK_OK : vt_poll_begin(&w->poll, w->db, &ignored);
  return rc == BITCASK_OK && vt_poll_interrupted(&w->poll) ? BITCASK_INTERRUPT : rc;
}

int vt_wait_interrupted(void *wait) { return ask(wait) != BITCASK_OK; }

int vt_wait_next(vt_wait *w, int *slice_ms) {
  int64_t left;
  int rc;
  if (!w->started) {
    if (w->timeout_ms < 0) {
      w->timeout_ms = busy_timeout_ms(w->db);
    }
    w->deadline_ms = monotonic_ms() + w->timeout_ms + 1; /* never less: the clock is cut to ms */
    w->started = true;
  }
  left = w->deadline_ms - monotonic_ms();
  if (left <= 0) {
    return BITCASK_BUSY;
  }
  rc = ask(w);
  if (rc != BITCASK_OK) {
    return rc;
  }
  *slice_ms = left < SLICE_MS ? (int)left : SLICE_MS;
  return BITCASK_OK;
}

void vt_wait_release(vt_wait *w) { vt_poll_release(&w->poll); }
