/*
** writer.h - being the one that writes: turns and locks, recovery after a crash,
** the active file, rotation, sync.
*/
#ifndef BC_WRITER_H
#define BC_WRITER_H

#include "store.h"

/*
** The writer of this process and the directory's write lock, everything caught
** up and repaired.  As bitcask_begin_wait, but `wait` NULL waits for nothing at all.
** For a moment, or until it is noted that it is for a transaction (lock.h).
*/
int bc_writer_enter(bitcask *bc, const bitcask_wait *wait, bitcask_error *err);
void bc_writer_leave(bitcask *bc);

/*
** As the writer: let the active file be and make `next_id` the active one.  Publishes.
*/
int bc_rotate(bitcask *bc, uint32_t next_id, bitcask_error *err);

/* Sync every file that has bytes behind the stable position: mostly the active
** one alone. */
int bc_sync_unstable(bitcask *bc, bitcask_error *err);

/* As the writer: sync every file that may be dirty; the stable position moves
** to the commit point. */
int bc_sync_all(bitcask *bc, bitcask_error *err);

/* With the merge lock: give the files below `id` their hints.  A hint is a
** cache: that the disk is too full for it stops nothing. */
void bc_seal_below(bitcask *bc, uint32_t id);

/* After a commit that rotated: a small file's hint is written at once, that of a
** large one begun. */
void bc_seal_some(bitcask *bc);

/* Give the sealed files their hints that have none yet; if somebody is merging that is
** left to him. */
void bc_seal_all(bitcask *bc);

/* The commit point, as the writer sees it. */
bc_commit_point bc_point(const bitcask *bc);

/* As the writer, with `lock`: make a commit point the current one. */
void bc_publish_point(bitcask *bc, const bc_commit_point *p);

/* The id of the next new data file: above every id in use or ever in use.
** BITCASK_FULL: there are no more. */
int bc_next_id(bitcask *bc, uint32_t *out, bitcask_error *err);

/* As the writer: the active file, open for writing, made if it is not there yet,
** its name on the disk.  *out is referenced. */
int bc_open_active(bitcask *bc, const bc_commit_point *p, bc_datafile **out, bitcask_error *err);

/* Without any lock: write a checkpoint if one is due.  Failures are told to the
** log callback only. */
void bc_save(bitcask *bc, unsigned share);

/* The same a little at a time, as a commit must not take as long: begin one; write about
** n bytes of it, if one is begun. */
void bc_save_in_steps(bitcask *bc, unsigned share);
void bc_save_step(bitcask *bc, uint64_t n);

#endif
