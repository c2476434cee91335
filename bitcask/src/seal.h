/*
** seal.h - giving data files that will not grow any more their hints.
**
** A hint costs a pass through its data file, so a full file is not sealed at once: it
** is noted in bitcask.state as one that may be without a hint, and the commits that
** follow write it piece by piece, into <id>.bitcask.hint.tmp (upkeep.h).
*/
#ifndef BC_SEAL_H
#define BC_SEAL_H

#include "store.h"

/* Bytes that one step goes through, of data, or of a checkpoint: half a millisecond, and as
** much to sync.  Less with small files. */
uint64_t bc_step_size(const bitcask *bc);
enum { BC_STEP_SZ = 512 * 1024 };

/*
** Write the hint of a data file in one go.  The data is synced first: a hint must
** never know more than the disk.  A damaged file gets none, nor does one that has
** grown behind our back: basho/bitcask believes a hint, and would not see what is
** missing in it.  The directory is synced.  With the merge lock.
*/
int bc_seal(bitcask *bc, bc_datafile *df, bitcask_error *err);

/* Is it as it should be that a sealed file has no hint, because its turn is yet to come? */
bool bc_seal_is_pending(const bitcask *bc, uint32_t id);

/* With the merge lock: is it an output of a merge that commits go on with, which may grow?
** Of those that may not any more, only who made the last step knows all. */
bool bc_seal_must_wait(const bitcask *bc, uint32_t id);

/* With the merge lock: files from `was` on were pending, and only those from `rest` on
** are now, but for those that must wait. */
void bc_seal_note_done(bitcask *bc, uint32_t was, uint32_t rest);

/* Is that hint being written by a handle that is still there? */
bool bc_seal_is_at_work(const bitcask *bc, uint32_t id);

/* With the merge lock, caught up: go on with the hint of the lowest file that has none,
** by about n bytes of data.  *did: there was something to do. */
int bc_seal_step(bitcask *bc, uint64_t n, bool *did, bitcask_error *err);

/* With the merge lock: no hint is in the making any more. */
void bc_seal_stop(bitcask *bc);

/* With the merge lock: file `id` goes, and must not get a hint any more. */
void bc_seal_forget(bitcask *bc, uint32_t id);

/* Without it, when the handle is closed: what it was writing is nobody's any more. */
void bc_seal_quit(bitcask *bc);

/* Let go of memory and descriptors alone. */
void bc_seal_release(bitcask *bc);

#endif
