/*
** home.h - is the directory still the one that was opened?
**
** A handle writes to files that it has open, and makes, renames and removes others by their
** paths.  If somebody removes, renames or replaces the directory, the former go into files that
** nobody finds any more, and the latter hit files of another directory.  So a handle
** looks whether the names still stand for what it has open: before it acknowledges anything,
** before it changes anything by a path, and once a second when it only reads.  Once they do
** not, every call fails with BITCASK_MOVED (bc_store_check).
*/
#ifndef BC_HOME_H
#define BC_HOME_H

#include "store.h"

/* Hold the directory `given`, which is bc->dir with links resolved.  BITCASK_CANTOPEN,
** BITCASK_NOMEM. */
int bc_home_open(bitcask *bc, const char *given, bitcask_error *err);
void bc_home_release(bitcask *bc);

/*
** Look now: the directory by both names, bitcask.state, and `active`, the file that is being
** written (NULL: none; else as the writer).  With `lock`, or as the writer, or by a handle
** that has been one: bitcask.state is not opened anew meanwhile.
** BITCASK_MOVED, BITCASK_IOERR (it cannot be told).  Cost: three system calls.
*/
int bc_home_check(bitcask *bc, bc_datafile *active, bitcask_error *err);

/* The same, but not if somebody has looked within the last millisecond. */
int bc_home_check_often(bitcask *bc, bc_datafile *active, bitcask_error *err);

/* As the writer, before a commit is acknowledged: as bc_home_check_often, and under
** BITCASK_SYNC_FULL the directory is looked at in any case. */
int bc_home_check_commit(bitcask *bc, bc_datafile *active, bitcask_error *err);

#endif
