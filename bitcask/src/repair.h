/*
** repair.h - mending what a crash leaves.
*/
#ifndef BC_REPAIR_H
#define BC_REPAIR_H

#include "store.h"

/*
** With the write lock, after a catch-up to the end: the file that will be
** appended to, NULL if it has to be a new one.  It is the highest, unless that is
** somebody else's, sealed, damaged, or below the active id: then it is the output
** of a merge, maybe one that is being written.
*/
bc_datafile *bc_continued(const bitcask *bc);

/* The path of a side file of a data file (its name and `suffix`), with a number behind it if
** something has that name: no side file takes the place of another.  BITCASK_NOMEM. */
int bc_side_name(const bitcask *bc, uint32_t id, const char *suffix, bitcask_buf *path);

/*
** Cut off what stands on the disk behind what counts of a file, and sync the file if there was
** any.  What may be of use to somebody is kept in a side file.  A damaged file stays as it is, and
** one that is not there any more is none of ours.  By a descriptor of its own, because another
** thread may settle the file at any time: needs no `lock`, but the write lock, or the merge lock
** for an output.  BITCASK_IOERR, BITCASK_NOMEM.
*/
int bc_cut_tail(bitcask *bc, bc_datafile *df, bitcask_error *err);

/*
** After a sync has failed, in whatever process: write every byte that may not be
** on the disk again, so that the next sync really writes it.  (The kernel reports
** a failed write once, and then takes the pages for clean.)
*/
int bc_rewrite_unsynced(bitcask *bc, bitcask_error *err);

/*
** With the write lock, after a catch-up to the end: cut torn tails, rebuild
** hints that are missing and should be there, remove unfinished hints, and merge inputs that
** basho/bitcask marked for deletion if all that they hold is superseded.  A tail
** that cannot be cut from the highest file is an error; the
** rest is left as it is, and told to the log.  `alone`: the merge lock was taken
** before the catch-up; without it only the active file is touched, for an output
** that has grown since must not be cut to what was seen of it.
*/
int bc_repair(bitcask *bc, bool alone, bitcask_error *err);

#endif
