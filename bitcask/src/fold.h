/*
** fold.h - snapshots and what is read through them.
*/
#ifndef BC_FOLD_H
#define BC_FOLD_H

#include "store.h"
#include "txlog.h"

struct bitcask_snapshot {
  bitcask *bc;
  bc_keydir *keydir; /* that `view` belongs to */
  bc_keydir_view *view;
  bc_fileset *files;
  bc_txlog *log; /* of the transaction whose writes are part of it, or NULL */
  bc_keydir *own_keydir;
  bc_keydir_view *own;
  bool counted;     /* among the handle's open snapshots */
  bc_position end;  /* of the log, at its moment */
  uint64_t version; /* of the store */
  uint32_t cutoff;  /* for expiry */
};

#endif
