/*
** keydir.h - the in-memory hash from key to the place of its newest record.
**
** Extendible hashing: a directory of 2^depth pointers, indexed by the top bits
** of a key's hash, to self-contained segments of at most about 64 KiB (open
** addressing with fingerprints, entries with inline keys, no pointers inside).
** A segment that is full splits in two, so no operation ever rehashes the
** whole table.
**
** A view freezes the table in O(1).  While one is open, the first change to a
** segment that it can see copies that segment.
**
** Threads: bc_keydir_* that change the table, and opening and closing views,
** need exclusion by the caller; reads of the table need exclusion from changes;
** reads of a view need nothing.
*/
#ifndef BC_KEYDIR_H
#define BC_KEYDIR_H

#include <stdbool.h>
#include <stddef.h>

#include "place.h"

typedef struct bc_keydir bc_keydir;
typedef struct bc_keydir_view bc_keydir_view;

/* The hash that all functions below want; the seed is the table's. */
uint64_t bc_keydir_hash(uint64_t seed, const void *key, size_t key_sz);

/* NULL: out of memory.  A secret random seed keeps chosen keys from piling up
** in one segment. */
bc_keydir *bc_keydir_new(uint64_t seed);
/* Gives the table up; it is freed with its last view.  NULL is a no-op. */
void bc_keydir_free(bc_keydir *kd);
uint64_t bc_keydir_seed(const bc_keydir *kd);

/* Find a key.  `out` may be NULL. */
bool bc_keydir_get(const bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                   bc_place *out);

/* Insert or replace.  *had says whether there was an entry, *old is what it
** was.  BITCASK_NOMEM leaves the table as it was. */
int bc_keydir_put(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place, bc_place *old, bool *had);

/* Remove, as bc_keydir_put: a copy for a view may be needed. */
int bc_keydir_remove(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz, bc_place *old,
                     bool *had);

/* Bring what a lookup of this hash will touch nearer: first the slot, and some
** time later the entry. */
void bc_keydir_prefetch_slot(const bc_keydir_view *view, uint64_t hash);
void bc_keydir_prefetch_entry(const bc_keydir_view *view, uint64_t hash);

/* The same for what a change at this hash will touch. */
void bc_keydir_prefetch_put_slot(const bc_keydir *kd, uint64_t hash);
void bc_keydir_prefetch_put_entry(const bc_keydir *kd, uint64_t hash);

/* The table is being loaded, and will soon hold about so much: parts of it that grow
** are given room for their share at once.  Until a join, which takes back what was not
** needed. */
void bc_keydir_expect(bc_keydir *kd, uint64_t n_keys, uint64_t key_bytes);

/*
** Make one table of 2^log2_n tables, which may have been filled by as many threads:
** part[i] holds only keys whose hash begins with the log2_n bits of i.  All have
** the same seed and no views.  part[0] becomes the whole, the others are freed.
** BITCASK_NOMEM: all are as they were, and the caller's.
** Cost: one directory, whatever the number of keys.
*/
int bc_keydir_join(bc_keydir *const part[], unsigned log2_n);

uint64_t bc_keydir_count(const bc_keydir *kd);
uint64_t bc_keydir_key_bytes(const bc_keydir *kd);
uint64_t bc_keydir_memory(const bc_keydir *kd); /* bytes, copies for views included */

/* NULL: out of memory.  Closing: any order. */
bc_keydir_view *bc_keydir_view_open(bc_keydir *kd);
void bc_keydir_view_close(bc_keydir *kd, bc_keydir_view *view);

bool bc_keydir_view_get(const bc_keydir_view *view, uint64_t hash, const void *key, size_t key_sz,
                        bc_place *out);
uint64_t bc_keydir_view_count(const bc_keydir_view *view);

/* Visit all entries: start with *cursor = 0, false at the end.  The key is
** valid as long as the view. */
bool bc_keydir_view_next(const bc_keydir_view *view, uint64_t *cursor, const void **key,
                         uint32_t *key_sz, bc_place *place);

/* A table restored from a file: a damaged segment was touched and could not be
** replaced, so that "no such key" may be wrong.  The status code of the
** failure, 0 if there was none. */
int bc_keydir_error(const bc_keydir *kd);
int bc_keydir_view_error(const bc_keydir_view *view);

/*
** Saving: the next segment of a view, in the order of their hashes; *cursor is 0 at
** first.  head and body together are one segment as it goes into a file, at a multiple
** of 8.  *done: there was none any more.  The result is that of `fn`, or
** bc_keydir_view_error.
*/
typedef int (*bc_keydir_save_fn)(void *ctx, unsigned depth, const void *head, size_t head_sz,
                                 const void *body, size_t body_sz);
int bc_keydir_view_save(const bc_keydir_view *view, size_t *cursor, bc_keydir_save_fn fn, void *ctx,
                        bool *done);
unsigned bc_keydir_view_depth(const bc_keydir_view *view);
uint64_t bc_keydir_view_key_bytes(const bc_keydir_view *view);

/* A table in a file, all of which but the segments themselves is known to be as
** it was written. */
typedef struct bc_keydir_saved {
  const uint8_t *base; /* of the mapped file, which is only read */
  size_t size;
  const bc_keydir_segment *segment;
  size_t n_segments;
  uint64_t seed;
  uint64_t n_keys;
  uint64_t key_bytes;
  unsigned depth; /* of the directory */

  /* Called at most once, by any thread, at any time, when a segment is found
  ** damaged: the table as it was saved, made from the log. */
  int (*reload)(void *ctx, bc_keydir **out);
  void (*release)(void *ctx); /* the table is gone: unmap the file */
  void *ctx;
} bc_keydir_saved;

/*
** A change of a restored table, in a part that nobody has touched yet: kept until
** the first touch.  So what has happened since the table was saved costs an open
** little, however large the table is.  total_sz 0 removes.  Only while there are no
** views.  False: touched, too much already, or out of memory; make the change at once.
** Until bc_keydir_settle the counts do not know of it.
*/
bool bc_keydir_defer(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                     const bc_place *place);

/* Make all deferred changes; the counts are right then.  *out is an array of *n,
** to be freed, in which a file may occur several times.  Needs exclusion as a change does.
** The keydir's error. */
int bc_keydir_settle(bc_keydir *kd, bc_keydir_replaced **out, size_t *n);
bool bc_keydir_is_settled(const bc_keydir *kd);

/* Touch n more entries of the directory from *at on; false: that was the last. */
bool bc_keydir_touch(bc_keydir *kd, size_t *at, size_t n);

/* Touch what has not been touched yet.  The keydir's error. */
int bc_keydir_touch_all(bc_keydir *kd);

/* NULL: out of memory, or no table; then `release` is not called.  Cost: O(number
** of segments); a segment is read and its CRC checked when it is first touched. */
bc_keydir *bc_keydir_restore(const bc_keydir_saved *from);

#endif
