/*
** shards.h - the keydir while it is made, in parts that threads fill.
**
** A part holds the keys whose hash begins with its number.  One thread goes through
** the log and hands over what it finds; that is gathered in buckets, each for a
** small part of the hash space, and when there is enough of it several threads
** apply it, each to parts of its own.  So no lock is needed, a thread's work stays
** within the processor's caches, and what comes out is the same for any number of
** threads.  Parts are joined in the end.
**
** Threads: needs exclusion; those that it starts have ended when a function returns.
*/
#ifndef BC_SHARDS_H
#define BC_SHARDS_H

#include "store.h"

typedef struct bc_shards bc_shards;

/* For a log of so many bytes.  NULL: out of memory. */
bc_shards *bc_shards_new(const bc_env *env, uint64_t seed, uint64_t log_bytes);
/* NULL is a no-op. */
void bc_shards_free(bc_shards *s);

/* Before the first record of a file of `bytes`: its live records are counted from
** now on.  Files come in ascending order.  BITCASK_NOMEM. */
int bc_shards_begin_file(bc_shards *s, uint32_t file_id, uint64_t bytes);

/* Make a place, in the file that was begun last, the newest one of a key; total_sz 0:
** remove the key.  In this order, though some time later.  BITCASK_NOMEM, of earlier
** ones too: then there is nothing to be done but free it. */
int bc_shards_put(bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place);

/* With the store's `lock` exclusive and its keydir empty: what the parts hold is
** its keydir now, and counts in its files.  Frees `s`; BITCASK_NOMEM: not. */
int bc_shards_join(bc_shards *s, bitcask *bc);

#endif
