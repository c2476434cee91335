/*
** load.h - bringing the keydir up to date with the log.
**
** One function does it all: the first load is a catch-up from nothing.  New
** files and the new part of known ones are replayed in position order, from
** hints where they are valid; outputs of another process's merge move keys;
** files that have gone take along what is still said to be in them.
*/
#ifndef BC_LOAD_H
#define BC_LOAD_H

#include "store.h"

typedef enum bc_catch_up_to {
  BC_TO_COMMITTED, /* what counts for a reader beside living writers */
  BC_TO_END        /* all valid records: the caller holds the write lock */
} bc_catch_up_to;

/*
** With `lock` exclusive.  After a failure half-way the store is marked stale,
** and the next call loads everything anew.
** BITCASK_CANTOPEN, BITCASK_IOERR, BITCASK_NOMEM; BITCASK_BUSY (not BC_TO_END): somebody is
** about to recover what a dead writer has left, and until then it cannot be told what counts.
*/
int bc_catch_up(bitcask *bc, bc_catch_up_to to, bitcask_error *err);

/* With `lock` exclusive: bc_store_settle; if that fails load everything anew. */
int bc_settle(bitcask *bc, bitcask_error *err);

/* The first of them, in a new store: from the checkpoint on, if there is one. */
int bc_load(bitcask *bc, bitcask_error *err);

/* Does anything seem to be new?  No system call when processes of this library
** are the only writers, but for a look at the directory once a second. */
bool bc_has_news(bitcask *bc);

/* Without any lock held: catch up if there is news; a recovery is waited for, for a minute at
** most.  Errors as bc_catch_up. */
int bc_refresh(bitcask *bc, bitcask_error *err);

/* A read found that file `id` does not hold what its hint says: load anew,
** without that hint. */
int bc_distrust_hint(bitcask *bc, uint32_t id, bitcask_error *err);

/* The record at `place` is not that of `key`.  Is it another, valid one, so that
** the file's hint is to blame?  Not if the file has damage.  Cost: a pass through the file. */
bool bc_hint_misleads(bitcask *bc, const bc_place *place, const void *key, size_t key_sz);

#endif
