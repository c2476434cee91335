/*
** txn.h - a write transaction: from its first record to the commit point.
*/
#ifndef BC_TXN_H
#define BC_TXN_H

#include "group.h"
#include "store.h"
#include "txlog.h"

struct bitcask_txn {
  bitcask *bc;
  bc_txlog *log;
  bc_commit_point point; /* the commit point it began at, or after a rotation */
  uint32_t tstamp;
  bc_datafile *df;      /* the active file once it is open for writing, referenced */
  uint64_t written_end; /* where its bytes in the file end; 0: none are there */
  bool prepared;        /* all is there, END marker or single write */
  bc_group *group;      /* what it was prepared as a part of; NULL: it stands alone */
  bitcask_buf tie;      /* the record that ends its batch then; else empty */
  int broken;           /* not 0: it failed with this, and can only be rolled back */
};

#endif
