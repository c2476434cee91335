/*
** bitcask.h - the Bitcask storage engine: one directory of log files, one
** in-memory hash (the keydir) that says where the newest value of a key is.
**
** After Sheehy & Smith, "Bitcask: A Log-Structured Hash Table for Fast
** Key/Value Data" (2010); the files are those of basho/bitcask 2.1, byte for
** byte (FORMAT.md).  Decisions and crash arguments: DESIGN.md.
**
** A complete program:
**
**     bitcask_options o;
**     bitcask *bc;
**     bitcask_error e;
**     bitcask_buf value = {0};
**
**     bitcask_options_init(&o);
**     if( bitcask_open("data/kv", &o, &bc, &e) ) return puts(e.text);
**     if( bitcask_put(bc, "k", 1, "v", 1, &e) ) puts(e.text);
**     if( bitcask_get(bc, "k", 1, &value, &e)==BITCASK_OK ){
**       fwrite(value.data, 1, value.size, stdout);
**     }
**     bitcask_buf_free(&value);
**     return bitcask_close(bc, &e);
**
** What holds everywhere:
**
**   Results    Every fallible function returns a status code below, 0 for
**              success.  `err` may be NULL; otherwise it is filled in on
**              failure and left alone on success.  On failure outputs are
**              NULL or zero and, unless said otherwise, nothing has changed.
**   Ownership  Inputs are borrowed for the call.  What comes back through a
**              `T **out` is the caller's until it goes to the function named.
**   Threads    A `bitcask` may be used by any number of threads at once.  A
**              transaction, snapshot or iterator is used by one thread at a
**              time, which need not be the one that made it.
**   Processes  Any number may open one directory.  Writers take turns, one
**              transaction each.  After fork() the child must not use the
**              parent's handles: every call returns BITCASK_INVALID.
**   Directory  If the directory is removed, renamed or replaced, or bitcask.state or
**              the newest data file in it, a handle finds out before it acknowledges anything
**              more (but under BITCASK_SYNC_NORMAL and OFF a commit looks at most once
**              in a millisecond), and within a second when it only reads.  From then on every
**              call returns BITCASK_MOVED; a close, too, and the handle is gone all the same.
**   Keys       0 to 65,535 bytes.  One key is reserved (FORMAT.md section 3).
**   Values     0 to 2^32-15-key_sz bytes, not beginning with the 17 bytes
**              "bitcask_tombstone": basho/bitcask takes those for deletions.
**   Durability Said by the `sync` option, see bitcask_sync_mode.
*/
#ifndef BITCASK_H
#define BITCASK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define BITCASK_VERSION "0.1.0"

/* Text of the library's version, static. */
const char *bitcask_version(void);

/*
** Status codes: each is a different thing that a caller can do.
*/
enum {
  BITCASK_OK = 0,
  BITCASK_NOTFOUND = 1,   /* no such key; or the end of an iteration */
  BITCASK_BUSY = 2,       /* another writer or merger; try again later */
  BITCASK_READONLY = 3,   /* opened read-only, or a medium that cannot be written */
  BITCASK_CANTOPEN = 4,   /* the directory is missing, not a directory, or unreadable */
  BITCASK_IOERR = 5,      /* the system refused an operation: err.os_errno */
  BITCASK_FULL = 6,       /* no space left; delete and merge, then try again */
  BITCASK_CORRUPT = 7,    /* the bytes on disk are not what was written */
  BITCASK_TOOBIG = 8,     /* the key or the value is over its limit */
  BITCASK_INVALID = 9,    /* a wrong argument, a reserved key, or misuse of the API */
  BITCASK_NOMEM = 10,     /* out of memory */
  BITCASK_INTERRUPT = 11, /* the `progress` callback asked to stop */
  BITCASK_ABORT = 12,     /* what is read belonged to a transaction since rolled back */
  BITCASK_MOVED = 13,     /* the directory was removed, renamed or replaced; open it anew */
  BITCASK_STALE = 14      /* what was read is out of date; take a new snapshot and try again */
};

/* "busy", "corrupt", ...: a lower-case word for a status code; static. */
const char *bitcask_strerror(int code);

#define BITCASK_NO_FILE UINT32_MAX

/*
** Detail of a failure.  The first failure wins: what goes wrong while cleaning
** up after it never replaces it.
*/
typedef struct bitcask_error {
  int code;         /* the status code that was returned */
  int os_errno;     /* errno of the failed system call, 0 if none */
  uint32_t file_id; /* the data or hint file concerned, BITCASK_NO_FILE if none */
  uint64_t offset;  /* bytes from its start, meaningful if file_id is set */
  char text[1024];  /* one sentence: file, offset, cause, what to do; no final dot */
} bitcask_error;

/*
** A growable piece of memory that calls fill for the caller.  Start it zeroed;
** the same one can be passed again and again; give it to bitcask_buf_free.
*/
typedef struct bitcask_buf {
  uint8_t *data; /* NULL while cap is 0 */
  size_t size;   /* bytes in use */
  size_t cap;    /* bytes allocated */
} bitcask_buf;

void bitcask_buf_free(bitcask_buf *buf);

/*
** When a commit is on stable storage.  A crash of the process alone loses
** nothing that was committed, in any mode.
*/
typedef enum bitcask_sync_mode {
  BITCASK_SYNC_FULL,   /* a commit returns after fdatasync of its file */
  BITCASK_SYNC_NORMAL, /* synced at rotation, merge, bitcask_sync and close: a power cut
                          may lose the newest commits, never tears or reorders them */
  BITCASK_SYNC_OFF     /* as NORMAL without the sync at rotation */
} bitcask_sync_mode;

/*
** What to do where bytes of the log are damaged and it cannot be told which keys they held.
** (Where that can be told, reading such a key is BITCASK_CORRUPT, and no other is affected.)
*/
typedef enum bitcask_damage_mode {
  BITCASK_DAMAGE_REFUSE, /* reading a key whose newest record that is left stands before the
                            damage is BITCASK_CORRUPT: an older value is never given for the
                            newest.  Keys written later are read as always */
  BITCASK_DAMAGE_IGNORE  /* for salvage: every key has the newest value that can be read, be it an
                            older one.  Hint files and the checkpoint are not used: an open reads
                            all data files */
} bitcask_damage_mode;

/*
** Options.  bitcask_options_init sets the defaults given here; names are
** those of basho/bitcask where it has the option.
*/
typedef struct bitcask_options {
  bool read_only;             /* false; true: write nothing at all, need no write permission */
  bool create;                /* false; true: make the directory and its parents if missing */
  bitcask_sync_mode sync;     /* BITCASK_SYNC_FULL */
  bool mmap;                  /* true; false: read data files with pread */
  bool verify;                /* true; false: do not check the CRC when a value is read */
  bitcask_damage_mode damage; /* BITCASK_DAMAGE_REFUSE */
  int timeout_ms;         /* 0; longest wait for another writer's transaction (see bitcask_begin),
                             by bitcask_put, bitcask_delete and bitcask_merge; negative: for
                             ever */
  uint64_t max_file_size; /* 2 GiB, >= 1; bytes at which the active file is sealed */

  /* true: after commits, in small steps on the committing thread, whatever
  ** bitcask_needs_merge finds due is merged (see there), whichever process
  ** commits.  A step takes a millisecond or two and delays only the commit that it
  ** follows; how many there are depends on the bytes written and made dead, so that
  ** under random overwrites the disk holds at most 2.5 times the live data and
  ** two files of max_file_size.  What goes wrong is told to `log`: a commit never
  ** fails because of it.  Damaged files are left to bitcask_merge.
  ** false: merging is left to bitcask_merge. */
  bool auto_merge;

  /* Merge policy, see bitcask_needs_merge. */
  unsigned frag_merge_trigger;       /* 60, 0..100 per cent; over 100: never */
  unsigned frag_threshold;           /* 40, 0..100 per cent; over 100: never */
  uint64_t dead_bytes_merge_trigger; /* 512 MiB */
  uint64_t dead_bytes_threshold;     /* 128 MiB */
  uint64_t small_file_threshold;     /* 10 MiB; 0: off */
  uint32_t expiry_secs;       /* 0 = off; a record is expired if tstamp < now - expiry_secs */
  uint32_t expiry_grace_time; /* 0; seconds that the expiry trigger waits longer */

  /* Called every few milliseconds while bitcask_open reads the files, on its thread,
  ** and not any more once that has returned.  Non-zero stops with
  ** BITCASK_INTERRUPT.  May be NULL; must not call this library. */
  int (*progress)(void *ctx);
  void *progress_ctx;

  /* Called with one line of text about something that needs no action now but
  ** should be known: bytes that were cut off, a file that was ignored.  May be
  ** NULL.  Called on the thread of the API call, never with a lock held that
  ** the callback could need, and must not call this library. */
  void (*log)(void *ctx, const char *text);
  void *log_ctx;
} bitcask_options;

void bitcask_options_init(bitcask_options *o);

/* One live record.  `key` and `value` say how long they are valid where an
** entry is delivered. */
typedef struct bitcask_entry {
  const void *key;
  const void *value; /* NULL if values were not asked for */
  uint32_t key_sz;
  uint32_t value_sz; /* known even if values were not asked for */
  uint32_t file_id;  /* BITCASK_NO_FILE: written by the transaction itself, not yet committed */
  uint32_t tstamp;   /* Unix seconds of the write */
  uint64_t offset;   /* of the record in its data file */
  uint32_t total_sz; /* bytes of the record: 14 + key_sz + value_sz */
} bitcask_entry;

typedef struct bitcask bitcask;
typedef struct bitcask_txn bitcask_txn;
typedef struct bitcask_snapshot bitcask_snapshot;
typedef struct bitcask_iter bitcask_iter;

/* ------------------------------------------------------------------ handle */

/*
** Open the Bitcask in directory `dir` (bytes, kept as given; a relative path is
** resolved against the working directory now).  Loads the keydir from hint
** files where they are valid, else from the data files.  Paper, pages 3 and 5.
**
** Writes nothing unless there is something to repair and the handle is
** writable: a crash's torn tail is cut off, missing hints are rebuilt, merge
** leftovers are removed.  If another writer is alive that is left to it.
**
** BITCASK_CANTOPEN  `dir` is missing (and !create), not a directory, unreadable
** BITCASK_INVALID   an option is out of range
** BITCASK_INTERRUPT the `progress` callback asked to stop
** BITCASK_IOERR, BITCASK_NOMEM
**
** Damage never fails an open: records that fail their CRC are left out, told
** to `log`, and found again by bitcask_verify.  What can then be read is said at
** bitcask_damage_mode.  A log that has only lost its end is an earlier state, and read as
** such: bitcask_status and bitcask_verify say how much is missing.
** On success *out goes back through bitcask_close.
** Cost: reads every hint file, and every data file that has no valid hint.
*/
int bitcask_open(const char *dir, const bitcask_options *o, bitcask **out, bitcask_error *err);

/*
** Sync what was written (all modes), write the hints of full files that have none yet,
** and a checkpoint if one is worth it; release locks and memory.
**
** BITCASK_INVALID  transactions, snapshots or iterators are still open; the
**                  handle stays open
** BITCASK_IOERR    the last sync failed; the handle is gone all the same
** NULL is a no-op.
*/
int bitcask_close(bitcask *bc, bitcask_error *err);

/*
** Pick up what other processes have committed since the last call.  Called by
** bitcask_begin, bitcask_get and bitcask_snapshot_open themselves.
** Cost when there is nothing new: no system call, once a process of this library
** has written to the directory since boot; else a listing of the directory.
** BITCASK_IOERR, BITCASK_NOMEM: nothing can be read until a later call succeeds.
*/
int bitcask_refresh(bitcask *bc, bitcask_error *err);

/*
** The value of a key, copied into `value` (which may be reused).
** BITCASK_NOTFOUND  no such key, or expired
** BITCASK_CORRUPT   the record fails its check; others are not affected.  Or a newer record
**                   may have been lost in damage, see bitcask_damage_mode
** BITCASK_TOOBIG    the key is over 65,535 bytes
** BITCASK_IOERR, BITCASK_NOMEM
** Cost: one keydir lookup and at most one read.  Paper, page 4.
*/
int bitcask_get(bitcask *bc, const void *key, size_t key_sz, bitcask_buf *value,
                bitcask_error *err);

/*
** Store a value: a transaction of one record.  Durable as `sync` says.
** BITCASK_TOOBIG, BITCASK_INVALID (reserved key or value), BITCASK_READONLY,
** BITCASK_BUSY after timeout_ms, BITCASK_FULL, BITCASK_IOERR, BITCASK_NOMEM.
** On failure the old value stands.
** Cost: one append; one fdatasync under BITCASK_SYNC_FULL.
*/
int bitcask_put(bitcask *bc, const void *key, size_t key_sz, const void *value, size_t value_sz,
                bitcask_error *err);

/*
** Delete a key: appends a tombstone (FORMAT.md section 1.3).  BITCASK_OK also if
** there was no such key; then nothing is written.  Errors and cost as
** bitcask_put.
*/
int bitcask_delete(bitcask *bc, const void *key, size_t key_sz, bitcask_error *err);

/*
** Everything committed so far, by any process, is on stable storage on return.
** BITCASK_READONLY, BITCASK_IOERR.  After a failed sync the handle refuses
** writes until it is reopened: what the kernel dropped cannot be known.
*/
int bitcask_sync(bitcask *bc, bitcask_error *err);

/* ------------------------------------------------------------- transactions */

/*
** Begin the write transaction of this process and directory.  Takes the
** directory's write lock, waiting up to `timeout_ms` (0: not at all; negative:
** for ever) for the transaction of another writer in this process or in any other, then
** picks up what others committed.  Held until publish or rollback.
** Whatever the timeout is, it waits for what needs the lock only for a moment: a sync, the
** beginning of a merge or of a checkpoint, a repair, a close (for a minute at most); and
** for a transaction that is prepared (for a second).
**
** BITCASK_BUSY      the transaction of another writer kept the lock, or a live process of
**                   the reference implementation has the directory open for writing
** BITCASK_READONLY  opened read-only, or the medium is
** BITCASK_FULL, BITCASK_IOERR (also: an earlier fdatasync failed), BITCASK_NOMEM
*/
int bitcask_begin(bitcask *bc, int timeout_ms, bitcask_txn **out, bitcask_error *err);

/* How to wait for another writer. */
typedef struct bitcask_wait {
  int timeout_ms;             /* as in bitcask_begin */
  int (*progress)(void *ctx); /* may be NULL; called about every 50 ms; non-zero stops with
                                 BITCASK_INTERRUPT */
  void *progress_ctx;
} bitcask_wait;

/* The same for a caller who may want to stop waiting.  Errors: also BITCASK_INTERRUPT. */
int bitcask_begin_wait(bitcask *bc, const bitcask_wait *wait, bitcask_txn **out,
                       bitcask_error *err);

/*
** Add a put or a delete to the transaction.  Nothing is visible to others
** before publish.  Beyond 64 MiB the transaction's records are spilled to the
** log, where nobody else sees them; keys stay in memory.
** Errors: as bitcask_put.  On failure the transaction is as it was before.
*/
int bitcask_txn_put(bitcask_txn *txn, const void *key, size_t key_sz, const void *value,
                    size_t value_sz, bitcask_error *err);
int bitcask_txn_delete(bitcask_txn *txn, const void *key, size_t key_sz, bitcask_error *err);

/*
** Is the key there, as this transaction sees it?  BITCASK_OK or
** BITCASK_NOTFOUND; that cannot be told: BITCASK_CORRUPT, see bitcask_damage_mode;
** BITCASK_IOERR, the checkpoint is damaged and the log could not be read in its stead.  Cost: two hash lookups, no read.
*/
int bitcask_txn_contains(bitcask_txn *txn, const void *key, size_t key_sz);

/*
** Savepoints are numbers >= 0, as SQLite gives them.  savepoint(n) marks the
** present state, replacing marks >= n.  rollback_to(n) undoes all since the
** oldest mark >= n, and that state is mark n from then on; if there is none, it
** undoes everything and forgets all marks.  release(n)
** forgets marks >= n and undoes nothing.
** savepoint: BITCASK_NOMEM.  rollback_to: BITCASK_IOERR, BITCASK_NOMEM; then the
** transaction can only be rolled back.
*/
int bitcask_txn_savepoint(bitcask_txn *txn, int n, bitcask_error *err);
int bitcask_txn_rollback_to(bitcask_txn *txn, int n, bitcask_error *err);
void bitcask_txn_release(bitcask_txn *txn, int n);

/*
** First step of a commit, and the only one that can fail: append the records
** with one write and, under BITCASK_SYNC_FULL, fdatasync.  On success the
** transaction survives a crash.  On failure nothing of it is left, and it can
** be prepared again or rolled back.  Repeating it after success is a no-op;
** after further puts it writes the whole transaction anew.
*/
int bitcask_txn_prepare(bitcask_txn *txn, bitcask_error *err);

/*
** The first step for transactions on several directories that are to be one: all or none of
** them survive a crash, be it of the process or a power cut, under every sync mode.  As
** bitcask_txn_prepare for each, and then for all of them: on failure none is prepared, on
** success each survives as soon as one does.  Each is published or rolled back by itself, but
** the same goes for all: once one is published, rolling another one back publishes it.  A put
** to one, or its rollback, before that, takes back what was prepared of all; they can be
** prepared again.  To be used by one thread at a time.
** The handles must have the same environment, and each another directory.  Of those without
** records, and if no more than one has any, this is bitcask_txn_prepare.
** Cost: whatever the mode, an fdatasync for each directory and two of the first one; and with
** the first publish another one for each.
** Errors: as bitcask_txn_prepare.
*/
int bitcask_prepare_all(bitcask_txn *const *txn, size_t n, bitcask_error *err);

/*
** Second step: make a prepared transaction visible to every thread and
** process, and release the write lock.  Cannot fail.  Frees txn.
*/
void bitcask_txn_publish(bitcask_txn *txn);

/*
** Give everything up, also after prepare, and release the write lock.  Frees
** txn.  NULL is a no-op.
*/
void bitcask_txn_rollback(bitcask_txn *txn);

/* --------------------------------------------------------- snapshots, reads */

/*
** Begin a transaction whose writes follow from what was read in `snap`: only if nobody has
** committed anything since.  Else BITCASK_STALE, and nothing has changed: close the snapshot,
** take a new one, read again.  Two transactions that begin like this are as if one had run
** after the other.
** These count as commits, because they cannot be told from one: the output of another process's
** merge, an expired key that a merge drops, a load from the beginning (after an error, or when
** files were replaced).
** Errors: also as bitcask_begin_wait.  Cost: as that.
*/
int bitcask_begin_at(bitcask_snapshot *snap, const bitcask_wait *wait, bitcask_txn **out,
                     bitcask_error *err);

/*
** A frozen view: every key live at this moment, with the value of this moment,
** whatever writers and merges do meanwhile.  With `txn`, the transaction's own
** writes so far are part of the view.  Files stay readable until it is closed.
** The snapshot may outlive the transaction.
** BITCASK_IOERR, BITCASK_NOMEM.  Cost: O(1), whatever the number of keys; the
** first write after it to a part of the keydir copies that part.
*/
int bitcask_snapshot_open(bitcask *bc, bitcask_txn *txn, bitcask_snapshot **out,
                          bitcask_error *err);
void bitcask_snapshot_close(bitcask_snapshot *snap);

/*
** Put a snapshot aside, to be resumed later: for readers that take a new one for
** each of many short reads.  Until then nothing may be done with it but to resume
** or close it, and whoever changes the store takes it back: it keeps no file and
** makes nobody copy.
** resume: true if a snapshot opened now would be the same; it can then be used
** again.  False: it has been closed; open another.  For one that shows a
** transaction's own writes always false.
** Cost: no lock and no system call, so that readers on several processors do not
** disturb one another.
*/
void bitcask_snapshot_park(bitcask_snapshot *snap);
bool bitcask_snapshot_resume(bitcask_snapshot *snap);

/*
** A number that changes whenever a snapshot opened now would differ from one
** opened before, be it by a commit of anybody or by a write of a transaction of
** this handle: for deciding whether a snapshot at hand is still the newest.
** Picks up other processes' commits (bitcask_refresh).
*/
int bitcask_generation(bitcask *bc, uint64_t *out, bitcask_error *err);

/*
** Look a key up.  With `scratch` the value is read as well: out->value points
** into a mapped file (valid until the snapshot is closed) or into scratch
** (valid until scratch is used again), whichever comes first ends it.  With
** scratch NULL only the keydir is asked: out->value is NULL.  out->key is the
** caller's key.
** BITCASK_NOTFOUND, BITCASK_CORRUPT, BITCASK_TOOBIG, BITCASK_IOERR, BITCASK_NOMEM,
** BITCASK_ABORT (the value was in a large transaction, rolled back since).
*/
int bitcask_snapshot_get(bitcask_snapshot *snap, const void *key, size_t key_sz,
                         bitcask_buf *scratch, bitcask_entry *out, bitcask_error *err);

/* How many keys the snapshot holds, expired ones included.  O(1) without a
** transaction, else O(keys of the transaction). */
uint64_t bitcask_snapshot_count(bitcask_snapshot *snap);

typedef enum bitcask_iter_mode {
  BITCASK_KEYS,  /* from the keydir, no file is read, order unspecified */
  BITCASK_VALUES /* in log order, sequential reads */
} bitcask_iter_mode;

/*
** Visit every live key of a snapshot exactly once.  The snapshot must stay open
** until bitcask_iter_close.  Own writes of a transaction come last.
*/
int bitcask_iter_open(bitcask_snapshot *snap, bitcask_iter_mode mode, bitcask_iter **out,
                      bitcask_error *err);

/*
** The next entry, valid until the next call on this iterator.
** BITCASK_NOTFOUND at the end; BITCASK_CORRUPT for a record that fails its check
** (a further call goes on behind it); BITCASK_IOERR, BITCASK_NOMEM, BITCASK_ABORT.
*/
int bitcask_iter_next(bitcask_iter *it, bitcask_entry *out, bitcask_error *err);
void bitcask_iter_close(bitcask_iter *it);

/*
** The paper's fold: call `fn` for every live entry of a fresh snapshot, in log
** order, until it returns non-zero; that value is returned.
*/
int bitcask_fold(bitcask *bc, int (*fn)(void *ctx, const bitcask_entry *e), void *ctx,
                 bitcask_error *err);

/* The paper's list_keys: as bitcask_fold, with keys only and without reading
** any file. */
int bitcask_list_keys(bitcask *bc, int (*fn)(void *ctx, const bitcask_entry *e), void *ctx,
                      bitcask_error *err);

typedef enum bitcask_record_kind {
  BITCASK_RECORD_VALUE,
  BITCASK_RECORD_TOMBSTONE, /* a deletion */
  BITCASK_RECORD_MARKER,    /* of a batch (FORMAT.md section 3) */
  BITCASK_RECORD_DAMAGED    /* bytes that are no record: no key, no value, tstamp 0 */
} bitcask_record_kind;

/* One record on disk, live or not. */
typedef struct bitcask_record {
  bitcask_record_kind kind;
  bool is_live;        /* the snapshot shows this value for this key */
  bitcask_entry entry; /* `key` is NULL for damage; total_sz is 0 if that is over 4 GiB */
  uint64_t size;       /* bytes of the record, or of the damage */
} bitcask_record;

typedef struct bitcask_history bitcask_history;

/*
** Visit every record still on disk in log order, what was overwritten, deleted or
** expired included: all that a merge has not removed yet.  The snapshot must stay
** open until bitcask_history_close.  Uncommitted writes are not on it.
*/
int bitcask_history_open(bitcask_snapshot *snap, bitcask_history **out, bitcask_error *err);

/*
** The next record, valid until the next call.  BITCASK_NOTFOUND at the end;
** BITCASK_CORRUPT (a file has been cut from outside), BITCASK_IOERR,
** BITCASK_NOMEM.
** Cost: reads every byte of every file, in order; CRCs are checked.
*/
int bitcask_history_next(bitcask_history *h, bitcask_record *out, bitcask_error *err);
void bitcask_history_close(bitcask_history *h);

/* Does the directory hold no live key?  *out is exact but for expired keys,
** which count as keys. */
int bitcask_is_empty(bitcask *bc, bool *out, bitcask_error *err);

/* -------------------------------------------------------------------- merge */

typedef enum bitcask_merge_kind {
  BITCASK_MERGE_ALL,    /* seal the active file, then every file that holds something dead
                           or can be combined with another */
  BITCASK_MERGE_POLICY, /* what bitcask_needs_merge selects, nothing if it says no */
  BITCASK_MERGE_FILES   /* exactly the files of the list that exist and are not active; none at or
                           below damage that puts keys in doubt, unless that file is in the list */
} bitcask_merge_kind;

typedef struct bitcask_merge_options {
  bitcask_merge_kind kind;
  const uint32_t *file_ids; /* BITCASK_MERGE_FILES: the list, any order */
  size_t n_file_ids;
  int (*progress)(void *ctx); /* may be NULL; called at least every 1,024 records or MiB;
                                 non-zero stops with BITCASK_INTERRUPT */
  void *progress_ctx;
} bitcask_merge_options;

typedef struct bitcask_merge_result {
  int64_t freed_bytes; /* of files removed less files written; can be below 0 */
  uint32_t n_inputs;   /* files removed */
  uint32_t n_outputs;  /* files written */
  uint32_t n_damaged;  /* inputs with damage: survivors copied, the file renamed to
                           <id>.bitcask.data.damaged and kept */
} bitcask_merge_result;

/*
** Copy the live records of the chosen files to new files and remove the old
** ones, oldest first, each as soon as its survivors are on stable storage.
** Readers, writers and snapshots go on.  Paper, page 5.
** BITCASK_BUSY (another merge, or a live process of the reference),
** BITCASK_READONLY, BITCASK_FULL, BITCASK_IOERR, BITCASK_CORRUPT, BITCASK_NOMEM,
** BITCASK_INTERRUPT.  On failure what was done stays done; all keys are intact.
** `result` may be NULL.
*/
int bitcask_merge(bitcask *bc, const bitcask_merge_options *o, bitcask_merge_result *result,
                  bitcask_error *err);

/*
** Would BITCASK_MERGE_POLICY do something?  A merge is due if any sealed file meets
** frag_merge_trigger or dead_bytes_merge_trigger (>=) or has expired as a
** whole (newest_tstamp < now - expiry_secs - expiry_grace_time), or holds
** nothing live; it then takes every sealed file that meets frag_threshold or
** dead_bytes_threshold (>=), is smaller than small_file_threshold, has expired,
** or holds nothing live.  Tombstones count neither as live nor as dead, and a
** file of tombstones alone is due only if there is no file below it: as long
** as there is, they may be needed.
*/
int bitcask_needs_merge(bitcask *bc, bool *out, bitcask_error *err);

/* ---------------------------------------------------------------- statistics */

typedef enum bitcask_file_state {
  BITCASK_FILE_ACTIVE,
  BITCASK_FILE_IMMUTABLE,
  BITCASK_FILE_RETIRED /* not read any more, see bitcask_retired_files */
} bitcask_file_state;

/* One data file. */
typedef struct bitcask_file_stat {
  uint32_t file_id;
  bitcask_file_state state;
  bool has_hint;
  bool damaged;             /* bytes in it were skipped when it was loaded */
  uint64_t total_bytes;     /* size of the file */
  uint64_t live_bytes;      /* of records that the keydir points at */
  uint64_t dead_bytes;      /* total_bytes - live_bytes */
  uint64_t tombstone_bytes; /* of dead_bytes: tombstones and batch markers */
  uint64_t total_keys;      /* records with values */
  uint64_t live_keys;       /* ... that the keydir points at */
  uint64_t tombstones;      /* tombstones and batch markers */
  unsigned fragmented;    /* trunc((1 - live_keys/total_keys) * 100); 100 if there are no values */
  uint32_t oldest_tstamp; /* 0 if there are no records */
  uint32_t newest_tstamp;
} bitcask_file_stat;

/*
** Statistics of every file, ascending by id.  *out is an array of *n, to be
** freed with bitcask_files_free.
*/
int bitcask_files(bitcask *bc, bitcask_file_stat **out, size_t *n, bitcask_error *err);
void bitcask_files_free(bitcask_file_stat *files);

/*
** Files in the directory that are dead and not removed yet: inputs of a merge by
** basho/bitcask, which marks them first (FORMAT.md section 6).  Only file_id,
** state, total_bytes and dead_bytes are set.  Otherwise as bitcask_files, which
** does not list them.  Cost: a listing of the directory.
*/
int bitcask_retired_files(bitcask *bc, bitcask_file_stat **out, size_t *n, bitcask_error *err);

typedef struct bitcask_status_info {
  uint64_t keys;
  uint64_t key_bytes;
  uint64_t files;
  uint64_t live_bytes;
  uint64_t dead_bytes;
  uint64_t disk_bytes;    /* data and hint files */
  uint64_t keydir_bytes;  /* memory of the keydir, everything counted */
  uint64_t snapshots;     /* open now on this handle */
  uint64_t generation;    /* commits and merges seen */
  uint64_t doubtful_keys; /* that cannot be read because of damage, see bitcask_damage_mode */
  uint64_t missing_bytes; /* at least so many bytes of the log's end are gone: what is read is an
                             earlier state, whole and consistent */
  uint32_t active_file;   /* id, BITCASK_NO_FILE if there is none yet */
  uint32_t writer_pid;    /* of the live process named in bitcask.write.lock, 0 if none */
} bitcask_status_info;

int bitcask_status(bitcask *bc, bitcask_status_info *out, bitcask_error *err);

/* Has a call returned BITCASK_MOVED, or would the next one?  Does not look. */
bool bitcask_is_moved(const bitcask *bc);

/* The directory as an absolute path; valid until bitcask_close. */
const char *bitcask_dir(const bitcask *bc);

/* The path of a data file, written to `out` as a NUL-terminated string. */
int bitcask_file_path(const bitcask *bc, uint32_t file_id, bitcask_buf *out);

/* One problem that bitcask_verify found. */
typedef struct bitcask_problem {
  uint32_t file_id;
  uint64_t offset;
  const char *text; /* valid during the callback */
} bitcask_problem;

/*
** Read everything: every record's CRC, every hint against its data file, every
** keydir entry against its record.  `report` is called for each problem and may
** return non-zero to stop; `progress` (may be NULL) as in bitcask_merge.
** BITCASK_OK also when problems were reported: *n_problems counts them.
*/
int bitcask_verify(bitcask *bc, int (*report)(void *ctx, const bitcask_problem *p),
                   int (*progress)(void *ctx), void *ctx, uint64_t *n_problems, bitcask_error *err);

/*
** The structure alone, without reading a record: are the data files as long as they
** should be, do the hints fit them, is every key's place inside its file?
** Otherwise as bitcask_verify.  Cost: reads the hint files.
*/
int bitcask_verify_structure(bitcask *bc, int (*report)(void *ctx, const bitcask_problem *p),
                             int (*progress)(void *ctx), void *ctx, uint64_t *n_problems,
                             bitcask_error *err);

/*
** A consistent copy of the directory in `dir`, of what is committed at one
** moment, while anybody reads, writes or merges.  `dir` must not exist, or be
** empty: then it is replaced; its parent must exist.  The copy is made in
** <dir>.partial and renamed when all of it is on stable storage.  After a failure
** nothing of it is left; after a crash <dir>.partial may be, to be removed by hand.
** Sealed files are not copied but get a second name (a hard link) where the file
** system can do that and nobody but this library writes to the directory:
** DESIGN.md section 9 says when a link could be hurt.
** *n_files (may be NULL): data files in the copy.  `progress` (may be NULL) is
** called for each file and MiB; non-zero stops with BITCASK_INTERRUPT.
**
** BITCASK_INVALID   `dir` is not empty, is the directory itself, or <dir>.partial is
**                   there: another backup is running, or one was killed
** BITCASK_CANTOPEN  `dir` is not a directory, or its parent is missing
** BITCASK_FULL, BITCASK_READONLY, BITCASK_IOERR, BITCASK_CORRUPT (a data file has
** been cut from outside), BITCASK_NOMEM
** Cost: reads and writes the active file and what cannot be linked; one fdatasync
** for each file.
*/
int bitcask_backup(bitcask *bc, const char *dir, int (*progress)(void *ctx), void *ctx,
                   uint64_t *n_files, bitcask_error *err);

#ifdef __cplusplus
}
#endif

#endif
