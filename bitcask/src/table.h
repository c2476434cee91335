/*
** table.h - what a keydir is, and what is to be done before a segment of it is changed.
**
** Sharing between the table and its views: every segment remembers the version at which
** it was made, every view the version at which it was opened, and opening a view ends a
** version.  A view sees a segment only if the segment is not younger.  So a segment
** younger than the newest open view belongs to the table alone and is changed in place;
** any other is copied first, and the old one goes onto the garbage list of the newest
** view.  A view that closes hands its garbage to the next older view that can see it,
** else frees it.
**
** The segments of a restored table are never changed, so they count as seen by
** everybody: the first change copies.
*/
#ifndef BC_TABLE_H
#define BC_TABLE_H

#include "directory.h"

enum {
  BC_HEAP_EARLY = 8 * 1024,  /* bytes of entries: the least that is split early */
  BC_SPLIT_MIN_ENTRIES = 16, /* one that holds a few huge keys only does not split */
  BC_MAX_DEPTH = 28
};

typedef struct bc_keydir bc_keydir;
typedef struct bc_keydir_view bc_keydir_view;

struct bc_keydir_view {
  bc_directory *dir;
  uint64_t version;
  bc_segment *garbage;
  bc_keydir_view *older, *newer;
};

struct bc_keydir {
  bc_directory *dir;
  struct bc_keydir_source *source; /* NULL: not restored */
  bc_keydir_view *newest;
  uint64_t version;
  uint64_t seed;
  uint64_t memory;
  uint64_t expected; /* bytes of entries that there will soon be; 0: not known */
  bool given_up;
};

/* Its memory is counted.  NULL: out of memory. */
bc_segment *bc_table_segment_new(bc_keydir *kd, uint32_t n_slots, uint32_t heap_cap,
                                 uint32_t depth);
/* One that is not in a file, nor in the stead of such. */
void bc_table_segment_free(bc_keydir *kd, bc_segment *s);
void bc_table_unref(bc_keydir *kd, bc_directory *d);

/* The room for `live` bytes of entries, or for what is expected. */
uint32_t bc_table_heap_for(const bc_keydir *kd, uint64_t live, uint32_t depth);

/* Split the segment of `hash`.  BITCASK_NOMEM: it is as it was. */
int bc_table_split(bc_keydir *kd, uint64_t hash);

static inline bool bc_table_owns(const bc_keydir *kd, const bc_segment *s) {
  if (s->saved) return false;
  return !kd->newest || s->born > kd->newest->version;
}

/* Is the segment to split rather than take one more entry of `need` bytes?  While a
** table is loaded, as soon as it has some entries and its share will be too much for
** it: then little has to be moved. */
static inline bool bc_table_splits(const bc_keydir *kd, const bc_segment *s, uint32_t need) {
  uint64_t live = (uint64_t)s->heap_used - s->heap_dead + need, share = kd->expected >> s->depth;
  return live > (share > BC_HEAP_SPLIT ? BC_HEAP_EARLY : BC_HEAP_SPLIT) &&
         s->count >= BC_SPLIT_MIN_ENTRIES && s->depth < BC_MAX_DEPTH;
}

/* May the segment be changed as it is, and take one more entry of `need` bytes (0: none)? */
static inline bool bc_table_has_room(const bc_keydir *kd, const bc_segment *s, uint32_t need) {
  if (kd->dir->refs > 1 || !bc_table_owns(kd, s)) return false;
  return !need || (s->heap_used + need <= s->heap_cap && !bc_segment_slots_full(s) &&
                   !bc_table_splits(kd, s, need));
}

/* Make it so for the segment of `hash`, which may be another one then.  BITCASK_NOMEM, or
** the directory's error. */
int bc_table_make_room(bc_keydir *kd, uint64_t hash, uint32_t need);

#endif
