/*
** group.h - one transaction over several directories: the decision about it.
**
** Each member of a group, which is the part of the transaction in one directory, is a batch
** that ends in a tie (format.h).  Such a batch counts only if the group was decided: if the
** directory of member 0, the coordinator, holds the file bitcask.group-<token> with the right
** contents.  The order, and what a crash in between leaves:
**
**   every batch written and synced    no decision: no member counts
**   decision file made and synced     every member counts, from here on
**   stable positions behind the       those that got there need no decision any more, the
**   batches, each page synced         others find it
**   decision file unlinked            nobody needs it
**   commit points                     as of any transaction
**
** Below the stable position, and below the commit point of this boot, a tie is not asked
** about.  So the file is needed only for those that a crash has stopped half-way.
*/
#ifndef BC_GROUP_H
#define BC_GROUP_H

#include "store.h"

typedef struct bc_group bc_group;

/* A group of n members that are being written, each of them held by its transaction: *out has
** n references.  The token is random.  BITCASK_NOMEM, BITCASK_IOERR. */
int bc_group_new(const bc_env *env, size_t n, bc_group **out, bitcask_error *err);
void bc_group_unref(bc_group *g);
size_t bc_group_size(const bc_group *g);

/* Say which directory member i is; the first one is the coordinator's. */
void bc_group_join(bc_group *g, size_t i, bitcask *bc);
/* The record that the batch of member i has to end in, appended to `out`. */
int bc_group_tie(const bc_group *g, size_t i, uint32_t tstamp, bitcask_buf *out,
                 bitcask_error *err);
/* Member i is on stable storage and ends there. */
void bc_group_written(bc_group *g, size_t i, const bc_position *end);

/* All are: from here on the group is committed.  On failure it is not. */
int bc_group_decide(bc_group *g, bitcask_error *err);
/* It is not, whatever has been decided; before anything of a member is taken back.  It may be
** repeated.  On failure the decision may stand. */
int bc_group_undo(bc_group *g, bitcask_error *err);
bool bc_group_is_undone(const bc_group *g);
/* It cannot be undone any more: nobody depends on the decision file from here on. */
void bc_group_settle(bc_group *g);
bool bc_group_is_settled(const bc_group *g);

/* Does the batch at the end of the log of `bc` that ends in this tie count?  Under the
** directory's write lock, so that nobody is about to decide.  The name of the file that says
** so is kept in bc->tied.  BITCASK_IOERR: that cannot be told. */
int bc_group_ask(bitcask *bc, const bc_tie *tie, bool *yes, bitcask_error *err);

/* As the writer, before anything is written behind what bc_group_ask has let in, and synced with
** it: the decision is on stable storage, for the members that have not asked yet. */
int bc_group_confirm(bitcask *bc, bitcask_error *err);
/* As the writer, recovered and with the data synced up to `end`: make what `tied`, which was
** bc->tied, has let in independent of it.  Then remove it, and all in this directory, if nobody
** needs them any more.  Frees it; it may be NULL. */
int bc_group_finish(bitcask *bc, char *tied, const bc_position *end, bitcask_error *err);

#endif
