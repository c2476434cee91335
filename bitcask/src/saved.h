/*
** saved.h - what a restored keydir needs of the file that it comes from: its segments,
** each checked at its first touch, and the changes that wait for that.
**
** Threads: any at once, with the mutex where that is said; bc_saved_defer and _drop
** need exclusion.  The counters are atomic.
*/
#ifndef BC_SAVED_H
#define BC_SAVED_H

#include <pthread.h>
#include <stdatomic.h>

#include "segment.h"

/* The file: all but the segments themselves is known to be as it was written. */
typedef struct bc_saved_file {
  const uint8_t *base;
  size_t size;
  const bc_keydir_segment *segment;
  size_t n_segments;
  uint64_t seed;
  unsigned depth; /* of the directory */
} bc_saved_file;

/* The entries whose hash begins with the `depth` bits of `prefix`, as the file should
** have had them: made with bc_segment_new. */
typedef int (*bc_saved_remake)(void *ctx, uint64_t prefix, unsigned depth, bc_segment **out);

typedef struct bc_saved_queue bc_saved_queue;

typedef struct bc_saved {
  bc_saved_file file;
  bc_saved_remake remake; /* a damaged segment; called with the mutex */
  void *ctx;
  pthread_mutex_t mutex;    /* for all that follows */
  bc_segment **stand_in;    /* for each segment, what is used in its stead; NULL: itself */
  bc_saved_queue *deferred; /* 2^file.depth, NULL until needed */
  bc_keydir_replaced *replaced;
  size_t n_replaced, cap_replaced;
  _Atomic uint64_t n_deferred;                  /* since the counts were last settled */
  _Atomic uint64_t extra_keys, extra_key_bytes; /* in all directories, by what was applied */
  _Atomic uint64_t memory;                      /* of stand-ins */
  _Atomic int error; /* a status code: a segment could not be made as it should be */
} bc_saved;

/* NULL: out of memory, or the segments' places do not tile the hash space, in a
** directory of at most max_depth, or do not lie in the file. */
bc_saved *bc_saved_new(const bc_saved_file *file, unsigned max_depth, bc_saved_remake remake,
                       void *ctx);
void bc_saved_free(bc_saved *sv);

/* The head of a segment as it goes into a file, before its slots and the used part of
** its heap. */
void bc_saved_head(const bc_segment *s, bc_segment *head);

/* The number of the segment at `offset`. */
size_t bc_saved_number(const bc_saved *sv, uint64_t offset);

/* With the mutex: what segment number `k`, which takes `n` parts of the hash space from
** `first` on, is to be, with all that was deferred for it.  NULL: `error` says why. */
bc_segment *bc_saved_segment(bc_saved *sv, size_t k, size_t first, size_t n);

/* A stand-in that nothing points at any more. */
void bc_saved_drop(bc_saved *sv, bc_segment *s);

/* Keep a change for a segment that has not been touched; total_sz 0 removes.  False:
** too much already, or out of memory. */
bool bc_saved_defer(bc_saved *sv, uint64_t hash, const void *key, size_t key_sz,
                    const bc_place *place);

/* All deferred changes have been made: what they replaced, to be freed. */
void bc_saved_settle(bc_saved *sv, bc_keydir_replaced **out, size_t *n);

#endif
