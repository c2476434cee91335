/*
** shards.h - the keydir while it is made, in parts that one thread each fills.
**
** A part holds the keys whose hash begins with its number.  So each thread may go
** through all of a file, applying only what is its own, and no lock is needed;
** parts are joined in the end.  For a single thread there is a single part.
**
** Threads: one at a time on each part; everything else needs exclusion.
*/
#ifndef BC_SHARDS_H
#define BC_SHARDS_H

#include "store.h"

enum { BC_MAX_SHARDS = 4 };

typedef struct bc_shards bc_shards;

/* 2^log2_n parts, at most BC_MAX_SHARDS, for a log of so many bytes.  NULL: out of
** memory. */
bc_shards *bc_shards_new(uint64_t seed, unsigned log2_n, uint64_t log_bytes);
/* NULL is a no-op. */
void bc_shards_free(bc_shards *s);
unsigned bc_shards_n(const bc_shards *s);

/* Before the first record of a file of `bytes`: its live records are counted from
** now on.  Files come in ascending order.  BITCASK_NOMEM. */
int bc_shards_begin_file(bc_shards *s, uint32_t file_id, uint64_t bytes);

/* So much of this file has been read into a part: tells it how large it will be. */
void bc_shards_note(const bc_shards *s, unsigned part, uint64_t bytes);

/* The part that a hash belongs to. */
unsigned bc_shards_of(const bc_shards *s, uint64_t hash);
bc_keydir *bc_shards_keydir(const bc_shards *s, uint64_t hash);

/* As bc_store_put and bc_store_remove, to the part of the hash. */
int bc_shards_put(bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place);
int bc_shards_remove(bc_shards *s, uint64_t hash, const void *key, size_t key_sz);

/* With the store's `lock` exclusive and its keydir empty: what the parts hold is
** its keydir now, and counts in its files.  Frees `s`; BITCASK_NOMEM: not. */
int bc_shards_join(bc_shards *s, bitcask *bc);

#endif
