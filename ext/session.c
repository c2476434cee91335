/*
** session.c - snapshots, the write transaction and its savepoints.
**
** Savepoints.  SQLite numbers them from 0, and -1 is the transaction itself when
** it was opened by SAVEPOINT.  A table hears of a savepoint when it is made, or,
** when it joins later, only of the innermost one there is.  So the session keeps
** marks for all numbers up to the highest one it heard of: a number it was
** never told of is older than its first write, and one that it has already is
** heard again from a table that joins.  The engine's mark for number n is n+1.
*/
#include "session.h"
#include "error.h"
#include "wait.h"

#include <pthread.h>
#include <string.h>

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static vt_connection *connections;

static void lock(void) { (void)pthread_mutex_lock(&mutex); /* cannot fail: never destroyed */ }
static void unlock(void) { (void)pthread_mutex_unlock(&mutex); }

vt_connection *vt_connection_acquire(sqlite3 *db) {
  vt_connection *c;
  lock();
  for (c = connections; c && c->db != db; c = c->next) {
  }
  if (!c && (c = sqlite3_malloc64(sizeof(*c))) != NULL) {
    memset(c, 0, sizeof(*c));
    c->db = db;
    c->next = connections;
    connections = c;
  }
  if (c) {
    c->refs++;
  }
  unlock();
  return c;
}

void vt_connection_release(void *connection) {
  vt_connection *c = connection;
  vt_connection **link = &connections;
  lock();
  if (--c->refs == 0) {
    while (*link != c) {
      link = &(*link)->next;
    }
    *link = c->next;
    sqlite3_free(c);
  }
  unlock();
}

int vt_session_acquire(vt_connection *c, vt_engine *engine, vt_session **out, bitcask_error *e) {
  vt_session *s = c->sessions;
  while (s && s->engine != engine) {
    s = s->next;
  }
  if (s) {
    vt_engine_release(engine); /* the session has a reference of its own */
  } else if ((s = sqlite3_malloc64(sizeof(*s))) != NULL) {
    memset(s, 0, sizeof(*s));
    s->engine = engine;
    s->connection = c;
    s->next = c->sessions;
    c->sessions = s;
  } else {
    vt_engine_release(engine);
    *out = NULL;
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  s->refs++;
  *out = s;
  return BITCASK_OK;
}

vt_session *vt_session_retain(vt_session *s) {
  s->refs++;
  return s;
}

void vt_session_release(vt_session *s) {
  vt_session **link = &s->connection->sessions;
  if (--s->refs) {
    return;
  }
  while (*link != s) {
    link = &(*link)->next;
  }
  *link = s->next;
  bitcask_txn_rollback(s->txn);
  bitcask_snapshot_close(s->parked);
  vt_engine_release(s->engine);
  sqlite3_free(s->spare);
  sqlite3_free(s);
}

vt_view *vt_session_share_view(vt_session *s) {
  if (s->fixed && !s->txn) {
    s->view = s->fixed;
  }
  if (s->view) {
    s->view->refs++;
  }
  return s->view;
}

/* The last statement's if nothing has changed since, else a new one. */
static int take_snapshot(vt_session *s, bitcask_snapshot **out, bitcask_error *e) {
  *out = s->parked;
  s->parked = NULL;
  if (*out && !s->txn && bitcask_snapshot_resume(*out)) {
    return BITCASK_OK;
  }
  if (*out && s->txn) {
    bitcask_snapshot_close(*out);
  }
  return bitcask_snapshot_open(s->engine->bc, s->txn, out, e);
}

static int make_view(vt_session *s, vt_view **out, bitcask_error *e) {
  vt_view *v;
  int rc;
  v = s->spare ? s->spare : sqlite3_malloc64(sizeof(*v));
  s->spare = NULL;
  if (!v) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  v->session = s;
  v->refs = 1;
  rc = take_snapshot(s, &v->snap, e);
  if (rc != BITCASK_OK) {
    s->spare = v;
    return rc;
  }
  s->n_views++;
  s->view = v;
  *out = v;
  return BITCASK_OK;
}

int vt_session_view(vt_session *s, vt_view **view, bitcask_error *e) {
  if (!*view) {
    *view = vt_session_share_view(s);
  }
  return *view ? BITCASK_OK : make_view(s, view, e);
}

void vt_view_release(vt_view *view) {
  vt_session *s = view->session;
  if (--view->refs) {
    return;
  }
  s->n_views--;
  /* Kept for the next statement, but not open: writers would copy what they touch,
  ** and merged files keep their space. */
  if (s->view == view && !s->txn && !s->parked) {
    bitcask_snapshot_park(view->snap);
    s->parked = view->snap;
  } else {
    bitcask_snapshot_close(view->snap);
  }
  if (s->view == view) {
    s->view = NULL;
  }
  sqlite3_free(s->spare);
  s->spare = view;
}

int vt_session_fix_view(vt_session *s, bitcask_error *e) {
  vt_view *newest = NULL;
  int rc = vt_session_view(s, &newest, e);
  if (rc == BITCASK_OK) {
    s->fixed = newest;
    (void)vt_session_retain(s); /* its tables may be disconnected before the transaction ends */
  }
  return rc;
}

static void end_reading(vt_session *s) {
  vt_view *view = s->fixed;
  if (view) {
    s->fixed = NULL;
    vt_view_release(view);
    vt_session_release(s);
  }
}

void vt_session_end_reading(vt_connection *c) {
  vt_session *next;
  for (vt_session *s = c->sessions; s; s = next) {
    next = s->next;
    end_reading(s);
  }
}

void vt_session_changed(vt_session *s) { s->view = NULL; }

/*
** SQLite releases its own lock before it tells a table of a ROLLBACK.  Another connection that
** is granted that lock must not be refused because this one's transaction has some
** microseconds to go; but nothing tells such a transaction from any other one.
*/
enum { GRACE_MS = 10 };

/* Give the transaction the marks from `from` on that it does not have yet. */
static int set_marks(vt_session *s, int from, bitcask_error *e) {
  int rc = BITCASK_OK;
  for (int i = from; i < s->n_marks && rc == BITCASK_OK; i++) {
    rc = bitcask_txn_savepoint(s->txn, i, e);
  }
  return rc;
}

static void give_up(vt_session *s) {
  bitcask_txn_rollback(s->txn);
  s->txn = NULL;
  s->n_marks = 0;
  s->wrote = false;
  vt_session_changed(s);
}

int vt_session_begin(vt_session *s, int timeout_ms, bitcask_error *e) {
  vt_wait w;
  bitcask_wait slice = {GRACE_MS, vt_wait_interrupted, &w};
  int rc;
  if (s->txn) {
    return BITCASK_OK;
  }
  vt_wait_init(&w, s->connection->db, timeout_ms);
  while ((rc = s->fixed ? bitcask_begin_at(s->fixed->snap, &slice, &s->txn, e)
                        : bitcask_begin_wait(s->engine->bc, &slice, &s->txn, e)) == BITCASK_BUSY) {
    rc = vt_wait_next(&w, &slice.timeout_ms);
    if (rc != BITCASK_OK) {
      break;
    }
  }
  vt_wait_release(&w);
  if (rc == BITCASK_INTERRUPT || rc == BITCASK_NOMEM) {
    return vt_error_set(e, rc, "%s", bitcask_strerror(rc));
  }
  if (rc == BITCASK_OK) {
    s->n_marks = s->n_marks ? s->n_marks : 1;
    rc = set_marks(s, 0, e);
    if (rc != BITCASK_OK) {
      give_up(s);
    }
  }
  /* What other processes have committed since a cursor was opened must be seen by
  ** the statement that is going to write: UPDATE kv SET value = value + 1. */
  vt_session_changed(s);
  return rc;
}

int vt_session_pause(vt_session *s, bool goes_on, bitcask_error *e) {
  int rc = goes_on && !s->fixed ? vt_session_fix_view(s, e) : BITCASK_OK;
  if (rc != BITCASK_OK) {
    return rc;
  }
  bitcask_txn_rollback(s->txn);
  s->txn = NULL;
  vt_session_changed(s);
  return BITCASK_OK;
}

int vt_session_savepoint(vt_session *s, int n, bitcask_error *e) {
  int had = s->n_marks;
  int rc = BITCASK_OK;
  if (n + 2 <= had) {
    return BITCASK_OK;
  }
  s->n_marks = n + 2;
  if (s->txn && (rc = set_marks(s, had, e)) != BITCASK_OK) {
    s->n_marks = had;
  }
  return rc;
}

int vt_session_rollback_to(vt_session *s, int n, bitcask_error *e) {
  vt_session_changed(s);
  if (s->n_marks > n + 2) {
    s->n_marks = n + 2;
  }
  /* The mark of a statement has gone if a function that it called has rolled back to
  ** an older one; what it has written since then is behind the newest that is left. */
  return s->txn ? bitcask_txn_rollback_to(s->txn, s->n_marks - 1, e) : BITCASK_OK;
}

void vt_session_release_to(vt_session *s, int n) {
  if (s->n_marks > n + 1) {
    s->n_marks = n + 1;
  }
  if (s->txn) {
    bitcask_txn_release(s->txn, n + 1);
  }
}

/* The connection writes to several directories: they are committed as one. */
static int prepare_all(vt_connection *c, size_t n, bitcask_error *e) {
  bitcask_txn **txn = sqlite3_malloc64(n * sizeof(*txn));
  size_t k = 0;
  int rc;
  if (!txn) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  for (vt_session *s = c->sessions; s; s = s->next) {
    if (s->txn) {
      txn[k++] = s->txn;
    }
  }
  rc = bitcask_prepare_all(txn, n, e);
  sqlite3_free(txn);
  return rc;
}

/* SQLite asks every table of the transaction; the first one answers for all directories. */
int vt_session_prepare(vt_session *s, bitcask_error *e) {
  size_t n = 0;
  for (vt_session *other = s->connection->sessions; other; other = other->next) {
    n += other->txn != NULL;
  }
  if (!s->txn || n > 1) {
    return n > 1 ? prepare_all(s->connection, n, e) : BITCASK_OK;
  }
  return bitcask_txn_prepare(s->txn, e);
}

void vt_session_commit(vt_session *s) {
  end_reading(s); /* first: what is published need not be copied for it */
  if (s->txn) {
    bitcask_txn_publish(s->txn);
    s->txn = NULL;
  }
  s->n_marks = 0;
  s->wrote = false;
  vt_session_changed(s);
}

void vt_session_forget_marks(vt_session *s) {
  if (!s->connection->is_joined) {
    end_reading(s);
  }
  s->n_marks = 0;
  s->wrote = false;
}

void vt_session_rollback(vt_session *s) {
  end_reading(s);
  give_up(s);
}
