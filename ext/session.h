/*
** session.h - one connection at work on one directory: its write transaction
** and the snapshot its statements read.
**
** All tables of a connection that lie on one directory share a session, so they
** are one transaction and see the same state.  Used under the connection's own
** mutex; only the list of connections needs one of ours.
*/
#ifndef VT_SESSION_H
#define VT_SESSION_H

#include "registry.h"

/* One sqlite3 handle, for as long as the module is registered with it. */
typedef struct vt_connection {
  sqlite3 *db;
  struct vt_session *sessions;
  struct vt_table *planned; /* the table of the last xBestIndex, see lookup.h */
  unsigned n_listeners;     /* tables of reading.c */
  bool is_joined;           /* ... one of which is part of the transaction */
  bool is_temp_behind;      /* SQLite's memory of the temp schema, see reading.c */
  unsigned refs;
  struct vt_connection *next;
} vt_connection;

/* The one object of `db`, however often the module is loaded.  NULL: no memory. */
vt_connection *vt_connection_acquire(sqlite3 *db);
void vt_connection_release(void *connection);

/* A snapshot shared by the cursors that read the same state. */
typedef struct vt_view {
  bitcask_snapshot *snap;
  struct vt_session *session;
  unsigned refs;
} vt_view;

typedef struct vt_session {
  vt_engine *engine;
  bitcask_txn *txn; /* NULL: nothing was begun */
  vt_connection *connection;
  struct vt_session *next;
  unsigned refs;
  int n_marks;              /* savepoints known to the transaction, see session.c */
  bool wrote;               /* the transaction has been written to, be it in vain */
  unsigned n_told;          /* tables that SQLite tells of savepoints and of the end */
  unsigned n_views;         /* that cursors have */
  vt_view *view;            /* what a new cursor may share, NULL if there is none */
  vt_view *fixed;           /* what the transaction has read; NULL: nothing, or it ends with the
                               statement */
  bitcask_snapshot *parked; /* that of the last statement, for the next one; or NULL */
  vt_view *spare;
} vt_session;

/* The session of the connection on this engine handle; takes over the caller's
** reference to `engine`, also on failure.  BITCASK_NOMEM. */
int vt_session_acquire(vt_connection *c, vt_engine *engine, vt_session **out, bitcask_error *e);
/* One more reference, given back with vt_session_release. */
vt_session *vt_session_retain(vt_session *s);
void vt_session_release(vt_session *s);

/*
** The state a statement reads.  Within BEGIN ... COMMIT: the one that was read first, until the
** session itself writes.  Else the one that other open cursors of the session read, unless the
** session itself has written since; else a fresh snapshot.  Not NULL: the cursor shares it already.
** *view goes back through vt_view_release.
*/
int vt_session_view(vt_session *s, vt_view **view, bitcask_error *e);

/* The first half of it: NULL if there is nothing to share. */
vt_view *vt_session_share_view(vt_session *s);
void vt_view_release(vt_view *view);

/* To be called after every change of the transaction: later cursors must see it. */
void vt_session_changed(vt_session *s);

/* What a statement that begins now reads is what the whole transaction reads, until
** vt_session_end_reading.  As vt_session_view. */
int vt_session_fix_view(vt_session *s, bitcask_error *e);
/* The transaction in which the sessions of the connection have read is over. */
void vt_session_end_reading(vt_connection *c);

/* Begin the write transaction unless there is one, waiting as wait.h says.  BITCASK_STALE:
** something was committed since the transaction has read. */
int vt_session_begin(vt_session *s, int timeout_ms, bitcask_error *e);

/* Give the write lock back, and the transaction that nothing was written to; its
** savepoints stay.  For work that takes the lock itself.  goes_on: it will begin again, and
** relies on what it has seen. */
int vt_session_pause(vt_session *s, bool goes_on, bitcask_error *e);

/* SQLite's savepoint numbers, from -1.  Each may be announced several times. */
int vt_session_savepoint(vt_session *s, int n, bitcask_error *e);
int vt_session_rollback_to(vt_session *s, int n, bitcask_error *e);
void vt_session_release_to(vt_session *s, int n);

/* Both steps of a commit, and the end without one.  The first one is that of all sessions of the
** connection at once: what was written to several directories is one transaction.  Without a
** transaction they do nothing: each table of the session makes these calls. */
int vt_session_prepare(vt_session *s, bitcask_error *e);
void vt_session_commit(vt_session *s);
void vt_session_rollback(vt_session *s);
/* Without a write transaction: SQLite will not tell of the end to any table of the directory. */
void vt_session_forget_marks(vt_session *s);

#endif
