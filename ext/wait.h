/*
** wait.h - long calls: may they go on, has the user asked to stop?
*/
#ifndef VT_WAIT_H
#define VT_WAIT_H

#include "bitcask.h"
#include "host.h"

/*
** Has sqlite3_interrupt() been called on the connection?  Works only while one
** of its statements is running, which is where all our work is done.
*/
typedef struct vt_poll {
  sqlite3 *db;
  sqlite3_stmt *stmt; /* NULL where the host can be asked directly, or must not be asked */
} vt_poll;

int vt_poll_init(vt_poll *p, sqlite3 *db); /* SQLite code */
/* The same with a status code: BITCASK_INTERRUPT or BITCASK_NOMEM. */
int vt_poll_begin(vt_poll *p, sqlite3 *db, bitcask_error *e);
int vt_poll_interrupted(void *poll); /* 1 or 0; for the engine's `progress` */
void vt_poll_release(vt_poll *p);

/*
** Waiting for another writer, for at most `timeout_ms`; below 0 that is the
** connection's PRAGMA busy_timeout, which is asked for only when it is needed.
*/
typedef struct vt_wait {
  sqlite3 *db;
  int timeout_ms;
  vt_poll poll;
  bool started;
  int64_t deadline_ms;
} vt_wait;

void vt_wait_init(vt_wait *w, sqlite3 *db, int timeout_ms);

/*
** To be asked after each BITCASK_BUSY: BITCASK_OK and *slice_ms if the call may be
** tried again, waiting that long at most; BITCASK_BUSY if the time is over;
** BITCASK_INTERRUPT; BITCASK_NOMEM.
*/
int vt_wait_next(vt_wait *w, int *slice_ms);
/* For the engine's own waiting: a vt_wait as the context of bitcask_wait. */
int vt_wait_interrupted(void *wait);
void vt_wait_release(vt_wait *w);

#endif
