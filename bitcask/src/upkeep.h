/*
** upkeep.h - what commits do on the side: hints of full files, and merging
** (bitcask_options.auto_merge).
**
** Each commit leaves a debt in bitcask.state, of what it wrote and what it made dead.
** Whoever finds enough of it there makes a step: a millisecond or two of work, after
** the commit, without the write lock.  What a step needs to know of the ones before it
** is in bitcask.state too, so that any process can go on with what any other began, and
** a process that is idle, killed, or gone holds nothing up.
*/
#ifndef BC_UPKEEP_H
#define BC_UPKEEP_H

#include "store.h"

/* After a commit that wrote `written` bytes and made `dead` bytes dead, without any
** lock.  Failures are told to the log callback only. */
void bc_upkeep(bitcask *bc, uint64_t written, uint64_t dead);

/* With the merge lock, before merging otherwise: forget what steps were at. */
int bc_upkeep_stop(bitcask *bc, bitcask_error *err);

#endif
