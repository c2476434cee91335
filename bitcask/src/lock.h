/*
** lock.h - who may write and who may merge.
**
** Among processes of this library the kernel decides: locks on bytes of
** bitcask.state, which vanish with their owner.  Towards basho/bitcask, which
** knows none of them, its own lock files stand in the directory while any of our
** processes is admitted as a writer: bitcask.write.lock and bitcask.merge.lock,
** "<pid> \n", naming no active file so that its readers leave none out
** (FORMAT.md section 5).
**
** Errors are status codes with text in `err`.
*/
#ifndef BC_LOCK_H
#define BC_LOCK_H

#include "bitcask.h"
#include "env.h"
#include "state.h"

/*
** Somebody who waits for the write lock.  A transaction of another writer is waited for as
** long as the caller said.  What holds the lock only for a moment (a sync, the beginning of a
** merge or of a checkpoint, a repair, a reader of a dead writer's tail) is waited for in any
** case: it must not look like a writer.
*/
typedef struct bc_waiter {
  const bitcask_wait *wait; /* NULL: try once */
  bool begun;
  uint64_t start_ms, asked_ms;
} bc_waiter;

/* The directory's write lock, for a moment until bc_lock_note_transaction says otherwise.
** BITCASK_BUSY, BITCASK_INTERRUPT, BITCASK_IOERR. */
int bc_lock_write(bc_state *st, bc_waiter *w, bitcask_error *err);
void bc_unlock_write(bc_state *st);

/* With the write lock and the page mapped for writing: what holds it is a transaction;
** `committing`: one that is prepared, so that it ends as soon as it is told. */
void bc_lock_note_transaction(bc_state *st, bool committing);
/* ... is no transaction. */
void bc_lock_note_moment(bc_state *st);

/* Another thread of this handle has its turn: wait a little, or give up?  As bc_lock_write. */
int bc_lock_wait_for_thread(bc_state *st, bc_waiter *w, bitcask_error *err);

/* Keep writers out for a moment, without being one; needs no write permission.
** BITCASK_BUSY: there is a writer; BITCASK_IOERR.  bc_unlock_write ends it. */
int bc_lock_tail(bc_state *st, bitcask_error *err);
/*
** Is there a transaction of a dead writer behind the commit point?  Each writer has a number, and
** a lock of that number for as long as its handle lives; the page names the author of the tail.
** So this is known also while a successor, who has the write lock, is about to recover.  From
** the death of its author on the transaction counts, if it is whole.
** Cost: none if nobody is committing, else one system call.  What cannot be asked is no.
*/
bool bc_lock_tail_is_dead(const bc_state *st);
/* Does any other process (or handle) hold it? */
int bc_lock_write_held(const bc_state *st, bool *held, bitcask_error *err);

/* The merge lock, with the page mapped for writing; does not wait.  BITCASK_BUSY,
** BITCASK_IOERR. */
int bc_lock_merge(bc_state *st, bitcask_error *err);
void bc_unlock_merge(bc_state *st);
/* Keep mergers out for a moment, without being one; needs no write permission.  False: there is one.
** bc_unlock_merge ends it. */
bool bc_lock_outputs(bc_state *st);
/* As bc_lock_write_held. */
int bc_lock_merge_held(const bc_state *st, bool *held, bitcask_error *err);

/* For making or renaming the temporary file of a checkpoint: held for a few system calls
** only, and waited for.  False: it cannot be had. */
bool bc_lock_save(bc_state *st);
void bc_unlock_save(bc_state *st);

/*
** Under the write lock: become a writer that basho/bitcask respects, or make
** sure that we still are.  *again: the lock files were not ours since the last
** call, so that others may have written meanwhile.
** BITCASK_BUSY: a live process of basho/bitcask has a lock file.
** Cost when nothing changed: at most one kill(pid, 0).
*/
int bc_lock_admit(bc_state *st, const char *dir, bool *admitted, bool *again, bitcask_error *err);

/* Leave; the last writer removes the lock files. */
void bc_lock_leave(bc_state *st, const char *dir, bool *admitted);

/* The live pid in bitcask.write.lock, 0 if there is none. */
uint32_t bc_lock_writer_pid(const bc_env *env, const char *dir);

#endif
