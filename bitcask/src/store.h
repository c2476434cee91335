/*
** store.h - an opened directory: what load, repair, txn, merge and fold share.
**
** Lock order: `writer` (a flag with a condition, see txn.c) before the kernel's
** write lock before `lock`.  Nothing waits for a kernel lock with `lock` held.
*/
#ifndef BC_STORE_H
#define BC_STORE_H

#include <pthread.h>

#include "bitcask.h"
#include "env.h"
#include "fileset.h"
#include "keydir.h"
#include "state.h"

/*
** What a snapshot keeps of the store.  Its owner can park it between two uses,
** which costs no lock; then whoever changes the store takes it back first, so
** that a snapshot nobody reads costs neither copies nor disk space.
*/
typedef enum bc_pin_state { BC_PIN_USED, BC_PIN_PARKED, BC_PIN_REVOKED } bc_pin_state;

typedef struct bc_pin {
  bc_keydir *keydir; /* that `view` belongs to */
  bc_keydir_view *view;
  bc_fileset *files;
  bc_doubt doubt;
  bc_keydir *buried; /* see struct bitcask; NULL: none */
  bc_keydir_view *buried_view;
  _Atomic bc_pin_state state;
  uint64_t changes; /* the store's count at its moment */
  struct bc_pin *next, **link;
} bc_pin;

/* A data file in the checkpoint. */
typedef struct bc_saved_file {
  uint32_t id;
  uint64_t n_records;
} bc_saved_file;

/* What was found out about the names of what is open (home.h). */
typedef enum bc_moved {
  BC_NOT_MOVED,
  BC_MOVED_DIRECTORY,
  BC_MOVED_STATE,
  BC_MOVED_DATA /* the active file */
} bc_moved;

struct bitcask {
  const bc_env *env;
  char *dir; /* absolute */
  bitcask_options opt;
  uint32_t pid;              /* of the opener: a forked child must not go on */
  uint64_t token;            /* a random number that names this handle in bitcask.state */
  const uint8_t *fork_guard; /* NULL: compare pids */

  /* The directory, see home.h. */
  struct {
    char *name; /* as it was given, absolute */
    int fd;     /* keeps its inode from being used again */
    bc_file_id id;
    uint32_t active; /* as the writer: the file that active_id is of; 0: none */
    bc_file_id active_id;
    uint64_t active_ms; /* ... when it was last looked at */
  } home;
  _Atomic bc_moved moved;     /* not BC_NOT_MOVED: every call fails */
  _Atomic uint64_t looked_ms; /* when that was last asked */

  /* Guards everything down to `snapshots`; exclusive to change it. */
  pthread_rwlock_t lock;
  bc_keydir *keydir;
  bc_fileset *files;
  bc_doubt doubt;         /* the highest of all files; always none under BITCASK_DAMAGE_IGNORE */
  bc_keydir *buried;      /* keys whose newest record is a tombstone in doubt; NULL: none */
  bc_position buried_for; /* end of the doubt that they were looked up for */
  bool reload_due;        /* damage was found of which a load from the beginning tells more */
  _Atomic uint64_t
      missing;        /* bytes that are gone from the end of the log, now; to be recovered from */
  uint64_t lost;      /* the same, at any time while this handle was open */
  bc_position seen;   /* the log is in the keydir up to here */
  bc_outputs outputs; /* as they were before the directory was listed; or all 0 */
  bc_position committed; /* the commit point at that time; file_id 0: not known */
  bc_position written;   /* of them, at that time; file_id 0: not known */
  uint32_t newest_tstamp;
  uint64_t died;               /* bytes of records that have become dead, ever */
  _Atomic uint32_t max_id;     /* of all data and hint files seen */
  _Atomic uint64_t version;    /* counts changes of the keydir, for bitcask_generation */
  uint64_t updates;            /* counts what commits changed in it, for bitcask_begin_at */
  _Atomic uint64_t generation; /* of the state page, as far as seen */
  _Atomic uint64_t merges;
  _Atomic uint64_t probed_ms; /* when the directory was last looked at */
  _Atomic uint64_t tail_ms;   /* when the author of the tail was last asked for */
  _Atomic uint64_t taken_in;  /* generation behind whose commit point a dead writer's tail is in
                                 the keydir; 0: none */
  _Atomic bool stale;         /* a catch-up failed half-way: load anew before the next read */
  _Atomic bool repairs_due;   /* the last look at the directory found something to mend */
  bool told;                  /* of names in the directory that are no data files */
  uint32_t *distrusted;       /* files whose hints were caught lying */
  size_t n_distrusted;
  uint64_t n_unasked;           /* records read since the progress callback was last called */
  uint32_t first_out, last_out; /* ids for outputs of a merge of this handle; none: 1, 0 */
  bool is_removing;             /* ... which is about to unlink the input ... */
  uint32_t removing;
  uint64_t snapshots;
  bc_pin *pins;             /* of all of them */
  _Atomic uint64_t changes; /* of the keydir, for parked snapshots */
  _Atomic bool has_parked;  /* some pin may be parked */

  /* The checkpoint, see checkpoint.h. */
  bool restored;             /* taken up, and not brought up to date yet */
  uint64_t restored_merges;  /* the state page's count in it */
  uint32_t restored_outputs; /* lowest id that may have become an output since; 0: none */
  uint64_t gone;             /* keys in it that point into files that have gone */
  bool checkpoint_unfit;     /* the one in the directory is to be removed */
  uint64_t save_least;       /* records that make one worth its cost */
  bc_saved_file *saved;      /* what it holds, ascending by id */
  size_t n_saved;
  _Atomic bool saving;                        /* one is being written */
  _Atomic(struct bc_checkpoint *) checkpoint; /* that one, between two steps */

  /* The writer of this handle: one at a time. */
  pthread_mutex_t writer_mutex;
  pthread_cond_t writer_cond;
  pthread_cond_t merge_cond;
  bool writer_busy;
  bool merging;
  bool merging_step; /* ... and will be done in a moment */
  unsigned n_txns;
  struct bitcask_txn *spare_txn; /* kept from the last transaction, for its memory */

  /* With `merging` set, and the kernel's merge lock. */
  struct bc_sealer *sealer; /* a hint in the making, see seal.h; NULL: none */
  bc_sealing waited_for;    /* somebody else's, and for how many steps */
  uint64_t n_waited;
  bc_fileset *removed; /* files that a merge step has removed, let go of bit by bit */
  size_t n_touched;    /* of the keydir's directory, see upkeep.c */
  bool seals_next;     /* the next step writes a hint, if there is one to write */

  /* While this handle recovers, see group.h. */
  bool recovering; /* what is found at the end of the log will be synced, or cut off */
  char *tied;      /* the decision file that has let in what is there; NULL: none */

  /* Without it, see upkeep.c. */
  _Atomic uint64_t upkeep_from; /* debt from which on another step is tried */
  _Atomic uint64_t own_debt;    /* if this handle does not merge by itself */

  /* With the writer flag and the kernel's write lock. */
  bc_position behind; /* what is below has been given to the disk to write */
  bc_state state;
  bool admitted;        /* our lock files stand in the directory */
  bool unsynced;        /* something was written that was not synced */
  bool dir_unsynced;    /* a data file's name was */
  bool rotated;         /* a file was sealed since the last look at the checkpoint */
  _Atomic int poisoned; /* errno of a failed fdatasync: what is on disk is not known */
};

static inline uint64_t bc_hash(const bitcask *bc, const void *key, size_t key_sz) {
  return bc_keydir_hash(bc_keydir_seed(bc->keydir), key, key_sz);
}

/* With `lock` exclusive: make a place the newest one of a key, or remove the
** key, and keep the files' live counts.  BITCASK_NOMEM: as it was. */
int bc_store_put(bitcask *bc, const void *key, size_t key_sz, const bc_place *place);
int bc_store_remove(bitcask *bc, const void *key, size_t key_sz);
/* While the log's tail is replayed onto a checkpoint: leave it for later, if that
** can be (bc_keydir_defer).  total_sz 0: a removal. */
bool bc_store_defer(bitcask *bc, const void *key, size_t key_sz, const bc_place *place);
/* Do what was left: before anybody looks at counts of keys or live bytes. */
int bc_store_settle(bitcask *bc, bitcask_error *err);
/* The same for a copy that a merge has made. */
int bc_store_move(bitcask *bc, const void *key, size_t key_sz, const bc_place *place);

/* With `lock` exclusive, after a change of the files or of what is known of them. */
void bc_store_find_doubt(bitcask *bc);
int bc_store_tell_doubt(const bitcask *bc, const bc_doubt *d, bitcask_error *err);
/* BITCASK_CORRUPT if the place is in doubt: a newer record of its key may have been lost. */
static inline int bc_store_check_place(const bitcask *bc, const bc_doubt *d, const bc_place *place,
                                       bitcask_error *err) {
  return bc_is_doubtful(d, place) ? bc_store_tell_doubt(bc, d, err) : BITCASK_OK;
}
/* The same for a key that is not in the keydir: it may have been written anew after its
** deletion.  Else BITCASK_NOTFOUND. */
static inline int bc_store_check_absent(const bitcask *bc, const bc_doubt *d, bool buried,
                                        bitcask_error *err) {
  return buried ? bc_store_tell_doubt(bc, d, err) : BITCASK_NOTFOUND;
}

/* With `lock` exclusive.  BITCASK_NOMEM: not pinned, and the view still the caller's. */
int bc_store_pin(bitcask *bc, bc_pin *pin, bc_keydir_view *view);
void bc_store_unpin(bitcask *bc, bc_pin *pin);

/* Without it: put a pin aside; take it up again.  False: it is revoked, or out of
** date. */
void bc_store_park(bitcask *bc, bc_pin *pin);
bool bc_store_unpark(bitcask *bc, bc_pin *pin);

/* With `lock` exclusive: add a file (its reference is taken over), drop one. */
int bc_store_add_file(bitcask *bc, bc_datafile *df, bitcask_error *err);
int bc_store_drop_file(bitcask *bc, uint32_t id, bitcask_error *err);

/* A referenced file, NULL if there is none; takes `lock` itself. */
bc_datafile *bc_store_find(bitcask *bc, uint32_t id);

struct bc_waiter;
/* One writer among the threads of this handle; waits as bc_lock_write. */
int bc_store_take_turn(bitcask *bc, struct bc_waiter *w, bitcask_error *err);
void bc_store_end_turn(bitcask *bc);
bool bc_store_is_writing(bitcask *bc);
bool bc_store_is_merging(bitcask *bc);
/* Be the thread of this handle that merges: false if another one is at it.  `step`: for
** a moment only, so that others wait for it. */
bool bc_store_take_merge(bitcask *bc, bool step);
void bc_store_end_merge(bitcask *bc);
/* For a moment be that thread, and take the kernel's merge lock.  Never without the
** first: the lock is the handle's, whose threads it does not tell apart, and one would
** give back what another one relies on.  False: not now. */
bool bc_store_lock_merge(bitcask *bc);
void bc_store_unlock_merge(bitcask *bc);

/* With `lock` exclusive: count a record in its file's statistics.  tombstone_sz:
** its size if it is a tombstone or a marker, else 0. */
void bc_store_count(bc_datafile *df, uint32_t tstamp, uint32_t tombstone_sz);

/* Tell the log callback something. */
void bc_store_log(const bitcask *bc, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

/* With `lock` exclusive: `n` more records have been read; each time that it is a
** good many, ask the progress callback whether to go on.  BITCASK_INTERRUPT. */
int bc_store_progress(bitcask *bc, uint64_t n, bitcask_error *err);

/* The error of a handle that is poisoned, BITCASK_OK if it is not. */
int bc_store_poisoned(const bitcask *bc, bitcask_error *err);

/*
** fdatasync a file.  A failure poisons the handle: the kernel may have dropped
** the pages and a second try would then report success for nothing.
*/
int bc_store_sync(bitcask *bc, bc_datafile *df, bitcask_error *err);
/* The same for bitcask.state, where a position must be known before it is used. */
int bc_store_sync_state(bitcask *bc, bitcask_error *err);

/* A file is full and synced: remember its length (FORMAT.md section 4), and look it up; false:
** it is not known. */
void bc_store_note_length(bitcask *bc, bc_datafile *df);
bool bc_store_length(const bitcask *bc, bc_datafile *df, uint64_t *out);

/* Records with a lower timestamp have expired; 0 if nothing expires. */
uint32_t bc_store_cutoff(const bitcask *bc);

/*
** Read the record of `key` at `place` and check that it is that.  *value points
** into the mapping or scratch.  BITCASK_CORRUPT, BITCASK_IOERR, BITCASK_NOMEM.
*/
int bc_store_read(const bitcask *bc, bc_datafile *df, const bc_place *place, const void *key,
                  size_t key_sz, bitcask_buf *scratch, const void **value, uint32_t *value_sz,
                  bitcask_error *err);

/*
** How long the data file of that name is now.  *gone: there is none, and *size is as it was; with
** NULL that is an error.  BITCASK_IOERR, BITCASK_NOMEM.
*/
int bc_store_size_on_disk(const bitcask *bc, uint32_t id, uint64_t *size, bool *gone,
                          bitcask_error *err);

/* The error of a keydir that could not replace a damaged part of itself; the
** next read loads it anew. */
int bc_store_lost_keydir(bitcask *bc, bitcask_error *err);

/* Is this a forked child, in which the handle is of no use? */
bool bc_store_is_child(const bitcask *bc);
/* The error of a handle whose directory is not at its place any more; BITCASK_OK if that is
** not known. */
int bc_store_moved(const bitcask *bc, bitcask_error *err);
/* The checks on entering the public API: BITCASK_INVALID in a forked child, BITCASK_MOVED,
** BITCASK_TOOBIG for a key over its limit. */
int bc_store_check(const bitcask *bc, bitcask_error *err);
int bc_store_check_key(const void *key, size_t key_sz, bitcask_error *err);

#endif
