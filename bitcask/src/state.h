/*
** state.h - the page that the processes of one directory share: bitcask.state.
**
** 4,096 bytes, mapped by all (FORMAT.md section 4).  It holds
**   - the commit point: up to where the log counts.  Valid until the machine
**     boots again (the page names the boot); read without a system call;
**   - the stable position: up to where the log is known to be on stable
**     storage.  It outlives a boot: it is advanced only after fdatasync has
**     returned, so every version of the page that reaches the disk is true;
**   - how much of a merge's outputs is, in the same way, and how much is written;
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

/* The outputs of the last merge: below the stable position, but what is in files
** from synced.file_id to last_id, behind the first `offset` bytes of the former, is
** not known to be on stable storage, or still growing. */
typedef struct bc_outputs {
  bc_position synced;
  uint32_t last_id;
} bc_outputs;

/* Is file `id` an output of a merge that is at work, or was when somebody killed it
** or the power failed?  Its end is not known. */
static inline bool bc_may_grow(const bc_outputs *o, uint32_t id) {
  return o->last_id && o->synced.file_id <= id && id <= o->last_id;
}

typedef struct bc_state {
  const bc_env *env;
  uint32_t pid;                         /* of this process */
  _Atomic(struct bc_state_page *) page; /* NULL: there is none (yet) */
  int fd;                               /* -1: not open */
  bc_file_id id;                        /* of the file that is open */
  bool writable;                        /* the descriptor is */
  bool mapped_writable;                 /* the page is */
  struct bc_state_page *read_page; /* from before it was writable: others may be looking at it */
  int read_fd;
  _Atomic uint32_t author; /* number of this handle as a writer (lock.h); 0: none */
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
/* Changes with every step of a merge that other processes must notice: before and
** after an input is removed.  So it is odd while one is being removed, or if who did
** that has died; whoever takes the merge lock next then counts for him. */
uint64_t bc_state_merges(const bc_state *st);
void bc_state_count_merge(bc_state *st);
static inline bool bc_is_removing(uint64_t merges) { return merges % 2 != 0; }

/* The commit point and its generation; false if the page is not live. */
bool bc_state_read(const bc_state *st, bc_commit_point *out, uint64_t *generation);

/* Under the write lock: make a commit point the current one. */
void bc_state_publish(bc_state *st, const bc_commit_point *p);

/* What is behind the commit point. */
typedef enum bc_tail {
  BC_TAIL_CLEAN,    /* nothing */
  BC_TAIL_APPENDED, /* a transaction on its way; if its author is dead it counts as far as valid */
  BC_TAIL_CONDEMNED /* one that was rolled back and could not be cut off: it never counts */
} bc_tail;

/* Set under the write lock, by its author: the handle of that number, or 0. */
void bc_state_set_tail(bc_state *st, bc_tail tail);
bc_tail bc_state_tail(const bc_state *st);
uint32_t bc_state_tail_author(const bc_state *st);

/* A sync has failed since boot: the page cache may hold bytes that it takes for
** written and that are not on the disk. */
void bc_state_set_sync_failed(bc_state *st, bool failed);
bool bc_state_sync_failed(const bc_state *st);

/* The stable position; false if none is known. */
/* Of somebody's page, as bytes: is its stable position at or behind p, and no sync of it known to
** have failed?  `st` knows the boot. */
bool bc_state_covers(const bc_state *st, const void *page, const bc_position *p);

bool bc_state_stable(const bc_state *st, bc_position *out);
/* After fdatasync, under the write lock: never goes back. */
void bc_state_set_stable(bc_state *st, const bc_position *p);

/* How long a file was when it was full and synced; the last ones are remembered.  Valid over
** boots.  `first`: its first four bytes, so that the page of another directory says nothing.
** Set under the write lock or the merge lock. */
void bc_state_set_length(bc_state *st, const bc_position *end, uint32_t first);
bool bc_state_length(const bc_state *st, uint32_t file_id, uint64_t *out, uint32_t *first);

/* False if none is known.  Set with the merge lock, after fdatasync; goes up. */
bool bc_state_outputs(const bc_state *st, bc_outputs *out);
void bc_state_set_outputs(bc_state *st, const bc_outputs *o);

/* Up to where outputs have been written, whole records: who reads a growing one reads
** no further.  What is behind that may be half there, and is cut off if its writer has
** died, or failed.  False: no merge has written any since boot.  Set with the merge lock,
** after the write; goes up. */
bool bc_state_written(const bc_state *st, bc_position *out);
void bc_state_set_written(bc_state *st, const bc_position *p);
/* With the write lock, when what the page says cannot be trusted. */
void bc_state_forget_written(bc_state *st);

/* The pid that our lock files name, 0 if nobody's. */
uint32_t bc_state_lock_pid(const bc_state *st);
void bc_state_set_lock_pid(bc_state *st, uint32_t pid);

/*
** Upkeep (upkeep.h): what the next commits, whosever they are, still have to do.
** All but the debt is read and changed under the merge lock, or is a hint that
** may be out of date; nothing of it outlives the boot.
*/
typedef struct bc_session {
  uint32_t input;    /* data file that is being merged; 0: none */
  uint32_t output;   /* the one that its records go to; 0: not made yet */
  uint64_t at;       /* the input has been gone through up to here */
  uint64_t end;      /* size of the output */
  uint32_t first_id; /* ids reserved for outputs; all inputs are below */
  uint32_t next_id;
  uint32_t last_id;
  uint64_t token; /* of the handle that made the last step */
} bc_session;

/* False: there is none, and *out is all 0. */
bool bc_state_session(const bc_state *st, bc_session *out);
/* NULL: there is none any more.  Killed in between, there is none either. */
void bc_state_set_session(bc_state *st, const bc_session *s);

/* Bytes of work that commits have left to be done; the new sum is returned. */
uint64_t bc_state_add_debt(bc_state *st, uint64_t n);
/* Some of it is done, or need not be. */
void bc_state_pay_debt(bc_state *st, uint64_t n);

/* Data files from this id on may be without a hint because nobody has come to it
** yet; 0: there are none such. */
uint32_t bc_state_unsealed(const bc_state *st);
/* ... and now `id` is one of them. */
void bc_state_add_unsealed(bc_state *st, uint32_t id);
/* Unless one was added since `was` was the lowest. */
void bc_state_move_unsealed(bc_state *st, uint32_t was, uint32_t id);

/* The hint that is being written, step by step, by one handle. */
typedef struct bc_sealing {
  uint32_t id; /* 0: none */
  uint32_t pid;
  uint64_t token;
} bc_sealing;
bc_sealing bc_state_sealing(const bc_state *st);
void bc_state_set_sealing(bc_state *st, const bc_sealing *s); /* NULL: none */

/* Is the merge lock held for a whole merge, and not worth waiting for?  May be left
** over from one that was killed. */
bool bc_state_is_merging(const bc_state *st);
void bc_state_set_merging(bc_state *st, bool yes);

/* Whose transaction holds the write lock?  It tells a transaction, which may take as long as
** its owner likes, from a use of the lock that is over in a moment. */
typedef struct bc_holder {
  uint32_t pid;    /* of the process of a transaction; 0: there is none */
  bool committing; /* ... that has been prepared: it is about to end */
} bc_holder;

/* With the write lock.  `pid` 0: what it is held for is over in a moment. */
void bc_state_set_holder(bc_state *st, const bc_holder *h);
/* What the owner of the lock has noted; left over from an earlier one if he was killed.
** Nobody's where there is no page of this boot. */
bc_holder bc_state_holder(const bc_state *st);

/* Fairness between busy writers: when somebody last waited, monotonic ms. */
uint64_t bc_state_waited_at(const bc_state *st);
void bc_state_wait_now(bc_state *st, uint64_t now_ms);

#endif
