/*
** directory.h - the pointers of a keydir to its segments: 2^depth of them, indexed by
** the top bits of a key's hash.  The reading half of a keydir; shared by the table and
** its views until the table has to change it.
**
** A restored table's segments lie in a mapped file.  A pointer to one that has not been
** touched yet is tagged; the first touch checks the CRC and takes the tag off.  Threads
** may do that at once: they store the same pointer.
**
** The inline functions are those that a lookup needs.
*/
#ifndef BC_DIRECTORY_H
#define BC_DIRECTORY_H

#include "saved.h"

typedef struct bc_directory {
  unsigned refs; /* the table and views */
  unsigned depth;
  uint64_t n_keys;
  uint64_t key_bytes;
  bc_saved *saved; /* NULL: no tagged pointers */
  _Atomic uint32_t
      *n_slots;            /* of each segment, behind seg: a lookup need not wait for its header */
  _Atomic uintptr_t seg[]; /* bc_segment *, with BC_UNTOUCHED added to it */
} bc_directory;

#define BC_UNTOUCHED ((uintptr_t)1)

size_t bc_directory_bytes(unsigned depth);

/* Without segments.  NULL: out of memory. */
bc_directory *bc_directory_new(unsigned depth, bc_saved *saved);
/* One like `old`, of that depth or a greater one.  NULL: out of memory. */
bc_directory *bc_directory_remake(const bc_directory *old, unsigned depth);
/* One that points at nothing but untouched segments. */
bc_directory *bc_directory_of_saved(bc_saved *saved);

/* Make `s` take the place of the segment at index `at`: all the 2^(depth - s->depth)
** slots of its range.  The directory must be private. */
void bc_directory_set(bc_directory *d, size_t at, bc_segment *s);

/* The first touch of a segment in the file. */
bc_segment *bc_directory_touch(bc_directory *d, size_t at, uintptr_t tagged);

static inline size_t bc_directory_index(const bc_directory *d, uint64_t hash) {
  return d->depth ? (size_t)(hash >> (64 - d->depth)) : 0;
}

static inline uint32_t bc_directory_slots(const bc_directory *d, size_t at) {
  return atomic_load_explicit(&d->n_slots[at], memory_order_relaxed);
}

/* NULL: it could not be made as it should be; bc_directory_error says why. */
static inline bc_segment *bc_directory_segment(const bc_directory *d, size_t at) {
  uintptr_t p = atomic_load_explicit(&d->seg[at], memory_order_acquire);
  if (__builtin_expect(!(p & BC_UNTOUCHED), 1)) return (bc_segment *)p;
  return bc_directory_touch((bc_directory *)(uintptr_t)d, at, p);
}

/* NULL: not touched yet.  Fetching it ahead must not be its first touch. */
static inline const bc_segment *bc_directory_touched(const bc_directory *d, size_t at) {
  uintptr_t p = atomic_load_explicit(&d->seg[at], memory_order_acquire);
  return p & BC_UNTOUCHED ? NULL : (const bc_segment *)p;
}

bool bc_directory_get(const bc_directory *d, uint64_t hash, const void *key, size_t key_sz,
                      bc_place *out);

/* As bc_keydir_view_next. */
bool bc_directory_next(const bc_directory *d, uint64_t *cursor, const void **key, uint32_t *key_sz,
                       bc_place *place);

/* The entries whose hash begins with the `depth` bits of `prefix`, as one segment.
** NULL: out of memory. */
bc_segment *bc_directory_extract(const bc_directory *d, uint64_t seed, uint64_t prefix,
                                 unsigned depth);

/* With what deferred changes have added so far. */
uint64_t bc_directory_count(const bc_directory *d);
uint64_t bc_directory_key_bytes(const bc_directory *d);
/* A segment could not be made as it should be: the status code, 0 if there was none. */
int bc_directory_error(const bc_directory *d);

#endif
