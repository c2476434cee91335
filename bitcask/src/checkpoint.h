/*
** checkpoint.h - the keydir in a file, bitcask.keydir (FORMAT.md section 4.2), so
** that opening costs the log's tail instead of all of it.
**
** A checkpoint is what a handle had in memory at a position of the log, and is
** taken up as if that handle had slept since.  It is a cache: missing, damaged,
** of another version, or not of these files, it counts for nothing, and the log
** is read.
*/
#ifndef BC_CHECKPOINT_H
#define BC_CHECKPOINT_H

#include "store.h"

/* In a store that has nothing yet: take the checkpoint up, if there is one.
** `reload` makes the keydir and the set of files of the log up to a position, for
** damaged segments, of the files in `known` and so many bytes of each: by any thread,
** with any locks held.  False: the store is as it was.  Cost: O(files + segments), no segment is read. */
typedef int (*bc_reload_fn)(const bitcask *bc, const bc_position *to, const bc_position *known,
                            size_t n_known, uint64_t seed, bc_keydir **out, bc_fileset **files);
bool bc_checkpoint_restore(bitcask *bc, bc_reload_fn reload);

/* Does what was restored still belong to these files? */
bool bc_checkpoint_fits(const bitcask *bc, const bc_listing *l);

/* Is a new one worth its cost?  Yes if the records that an open would have to
** replay are at least bc->save_least and a `share`-th of the keys. */
#define BC_SAVE_SHARE 16  /* at close and after a merge: the next open gains at once */
#define BC_ROTATE_SHARE 1 /* at rotation: as much is written for keys as for records, at most */
bool bc_checkpoint_is_due(bitcask *bc, unsigned share);

/* As the writer, with everything synced: freeze what a checkpoint would hold.
** NULL: not now.  Failures are told to the log callback only: it is a cache. */
typedef struct bc_checkpoint bc_checkpoint;
bc_checkpoint *bc_checkpoint_begin(bitcask *bc);

/* Without any lock: write about n bytes more of it.  When all of it is written it takes
** the place of the old one, and is freed; so is it if it cannot be written, or somebody
** else has begun one since.  True: there is more. */
bool bc_checkpoint_step(bc_checkpoint *c, uint64_t n);

/* Let go of one that is not all written.  NULL is a no-op. */
void bc_checkpoint_abandon(bc_checkpoint *c);

#endif
