/*
** fold.h - snapshots and what is read through them.
*/
#ifndef BC_FOLD_H
#define BC_FOLD_H

#include "store.h"
#include "txlog.h"

struct bitcask_snapshot {
  bitcask *bc;
  bc_pin pin;
  bc_txlog *log; /* of the transaction whose writes are part of it, or NULL */
  bc_keydir *own_keydir;
  bc_keydir_view *own;
  bc_position end;  /* of the log, at its moment */
  uint64_t version; /* of the store */
  uint64_t updates; /* of the store */
  uint32_t cutoff;  /* for expiry */
};

/* Bytes of a file that belong to the snapshot; of the output of a merge also what
** was copied since. */
uint64_t bc_snapshot_limit(const bitcask_snapshot *s, const bc_datafile *df);

#endif
