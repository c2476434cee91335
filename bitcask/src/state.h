/*
** state.h - the page that the processes of one directory share: bitcask.state.
**
** 4,096 bytes, mapped by all (FORMAT.md section 4).  It holds
**   - the commit point: up to where the log counts.  Valid until the machine
**     boots again (the page names the boot); read without a system call;
**   - the stable position: up to where the log is known to be on stable
**     storage.  It outlives a boot: it is advanced only after fdatasync has
**     returned, so every version of the page that reaches the disk is true;
**   - whether a writer is between its append and its publish.
** The file also carries the kernel locks of lock.h.
**
** The page is a cache: if it is missing or not of this boot, the log itself
** says what is committed.
*/
#ifndef BC_STATE_H
#define BC_STATE_H

#include <stdatomic.h>

#include "bitcask.h"
#include "env.h"

#define BC_STATE_SZ 4096u

typedef struct bc_commit_point {
  uint32_t active_id; /* the file that the next commit is appended to */
  uint32_t tstamp;    /* newest timestamp written, for D4 */
  uint64_t committed; /* bytes of the active file that count */
} bc_commit_point;

/* A position in the log: everything in files below file_id, and the first
** `offset` bytes of it. */
typedef struct bc_position {
  uint32_t file_id;
  uint64_t offset;
} bc_position;

typedef struct bc_state {
  const bc_env *env;
  uint32_t pid;                         /* of this process */
  _Atomic(struct bc_state_page *) page; /* NULL: there is none (yet) */
  int fd;                               /* -1: not open */
  bool writable;                        /* the descriptor is */
  bool mapped_writable;                 /* the page is */
  struct bc_state_page *read_page; /* from before it was writable: others may be looking at it */
  int read_fd;
  uint64_t boot_id[2];
} bc_state;

/* No allocation; reads the boot id.  Errors: errno values. */
int bc_state_init(bc_state *st, const bc_env *env);
void bc_state_release(bc_state *st);

/* Open and map an existing page for reading; no page is no error (page NULL).
** Errno value. */
int bc_state_open_read(bc_state *st, const char *dir);

/* Open or make the file for writing; it is mapped by bc_state_map_write, once
** the write lock is held.  Errno value. */
int bc_state_open_write(bc_state *st, const char *dir);

/* Under the write lock: make the page whole and map it.  *fresh: nothing in it
** was of this boot, and the commit point has to be found in the log.  On return
** the file and its directory entry are durable.  Errno value. */
int bc_state_map_write(bc_state *st, const char *dir, bool *fresh);

/* Is there a page, of this boot, with a commit point? */
bool bc_state_is_live(const bc_state *st);

/* Changes with every commit; no system call.  0 if the page is not live. */
uint64_t bc_state_generation(const bc_state *st);
/* Changes with every step of a merge that other processes must notice. */
uint64_t bc_state_merges(const bc_state *st);
void bc_state_count_merge(bc_state *st);

/* The commit point and its generation; false if the page is not live. */
bool bc_state_read(const bc_state *st, bc_commit_point *out, uint64_t *generation);

/* Under the write lock: make a commit point the current one. */
void bc_state_publish(bc_state *st, const bc_commit_point *p);

/* What is behind the commit point. */
typedef enum bc_tail {
  BC_TAIL_CLEAN,    /* nothing */
  BC_TAIL_APPENDED, /* a transaction on its way; if its writer is dead it counts as far as valid */
  BC_TAIL_CONDEMNED /* one that was rolled back and could not be cut off: it never counts */
} bc_tail;

/* Set under the write lock. */
void bc_state_set_tail(bc_state *st, bc_tail tail);
bc_tail bc_state_tail(const bc_state *st);

/* A sync has failed since boot: the page cache may hold bytes that it takes for
** written and that are not on the disk. */
void bc_state_set_sync_failed(bc_state *st, bool failed);
bool bc_state_sync_failed(const bc_state *st);

/* The stable position; false if none is known. */
bool bc_state_stable(const bc_state *st, bc_position *out);
/* After fdatasync, under the write lock: never goes back. */
void bc_state_set_stable(bc_state *st, const bc_position *p);

/* The pid that our lock files name, 0 if nobody's. */
uint32_t bc_state_lock_pid(const bc_state *st);
void bc_state_set_lock_pid(bc_state *st, uint32_t pid);

/* Fairness between busy writers: when somebody last waited, monotonic ms. */
uint64_t bc_state_waited_at(const bc_state *st);
void bc_state_wait_now(bc_state *st, uint64_t now_ms);

#endif
