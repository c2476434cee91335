/* table.c - see table.h. */
#include "table.h"

#include <stdlib.h>

#include "bitcask.h"

bc_segment *bc_table_segment_new(bc_keydir *kd, uint32_t n_slots, uint32_t heap_cap,
                                 uint32_t depth) {
  bc_segment *s = bc_segment_new(n_slots, heap_cap, depth);
  if (!s) return NULL;
  s->born = kd->version;
  kd->memory += bc_segment_bytes(n_slots, heap_cap);
  return s;
}

void bc_table_segment_free(bc_keydir *kd, bc_segment *s) {
  if (s->saved) return;
  kd->memory -= bc_segment_bytes(s->n_slots, s->heap_cap);
  free(s);
}

static void retire(bc_keydir *kd, bc_segment *s) {
  if (s->saved) {
    /* No other directory can come to use it. */
    if (s->saved == BC_SEGMENT_STAND_IN && !kd->newest) bc_saved_drop(kd->dir->saved, s);
    return;
  }
  if (kd->newest && kd->newest->version >= s->born) {
    s->next_garbage = kd->newest->garbage;
    kd->newest->garbage = s;
  } else {
    bc_table_segment_free(kd, s);
  }
}

void bc_table_unref(bc_keydir *kd, bc_directory *d) {
  if (--d->refs) return;
  kd->memory -= bc_directory_bytes(d->depth);
  free(d);
}

/* Replace the table's directory by a private one of the given depth. */
static int directory_remake(bc_keydir *kd, unsigned depth) {
  bc_directory *old = kd->dir, *d = bc_directory_remake(old, depth);
  if (!d) return BITCASK_NOMEM;
  kd->memory += bc_directory_bytes(depth);
  kd->dir = d;
  bc_table_unref(kd, old);
  return BITCASK_OK;
}

uint32_t bc_table_heap_for(const bc_keydir *kd, uint64_t live, uint32_t depth) {
  return bc_segment_heap_for(live, (kd->expected + kd->expected / 16) >> depth);
}

/* Replace the segment at `at` by a copy with other capacities, entries packed. */
static int rebuild(bc_keydir *kd, size_t at, uint32_t n_slots, uint32_t heap_cap) {
  bc_segment *old = bc_directory_segment(kd->dir, at),
             *s = bc_table_segment_new(kd, n_slots, heap_cap, old->depth);
  if (!s) return BITCASK_NOMEM;
  bc_segment_copy(kd->seed, old, s);
  bc_directory_set(kd->dir, at, s);
  retire(kd, old);
  return BITCASK_OK;
}

int bc_table_split(bc_keydir *kd, uint64_t hash) {
  size_t at = bc_directory_index(kd->dir, hash), n, first;
  bc_segment *old = bc_directory_segment(kd->dir, at), *half[2] = {NULL, NULL};
  uint32_t depth = old->depth + 1, count[2] = {0, 0}, bytes[2] = {0, 0}, cap;
  uint64_t *hashes;
  int rc;

  if (old->depth == kd->dir->depth) {
    rc = directory_remake(kd, depth);
    if (rc) return rc;
  }
  hashes = malloc((old->count + 1) * sizeof *hashes);
  if (!hashes) return BITCASK_NOMEM;
  bc_segment_tell_halves(kd->seed, old, hashes, count, bytes);
  for (int i = 0; i < 2; i++) {
    cap = bc_table_heap_for(kd, bytes[i], depth);
    half[i] = bc_table_segment_new(kd, bc_segment_slots_for(count[i], bytes[i], cap), cap, depth);
  }
  rc = half[0] && half[1] ? BITCASK_OK : BITCASK_NOMEM;
  if (!rc) {
    bc_segment_fill_halves(old, hashes, half);
    n = (size_t)1 << (kd->dir->depth - old->depth);
    first = bc_directory_index(kd->dir, hash) & ~(n - 1);
    bc_directory_set(kd->dir, first, half[0]);
    bc_directory_set(kd->dir, first + n / 2, half[1]);
    retire(kd, old);
  } else {
    for (int i = 0; i < 2; i++) {
      if (half[i]) bc_table_segment_free(kd, half[i]);
    }
  }
  free(hashes);
  return rc;
}

/* Make room for one more entry of `need` bytes in the segment of `hash`. */
static int grow(bc_keydir *kd, uint64_t hash, uint32_t need) {
  size_t at = bc_directory_index(kd->dir, hash);
  const bc_segment *s = bc_directory_segment(kd->dir, at);
  uint32_t n_slots = s->n_slots, cap = s->heap_cap, wanted;
  uint64_t live = (uint64_t)s->heap_used - s->heap_dead + need;

  /* Bytes to spare where removed entries leave some, lest they be swept up for
  ** each entry that comes. */
  if (s->heap_used + need > cap)
    cap = bc_table_heap_for(kd, s->heap_dead ? live + live / 8 : live, s->depth);
  if (live > cap) return BITCASK_NOMEM;
  wanted = bc_segment_slots_for(s->count + 1, (uint32_t)live, cap);
  if (bc_segment_slots_full(s) || wanted > n_slots + n_slots / 4) n_slots = wanted;
  return rebuild(kd, at, n_slots, cap);
}

int bc_table_make_room(bc_keydir *kd, uint64_t hash, uint32_t need) {
  bc_segment *s;
  size_t at;
  int rc;

  if (kd->dir->refs > 1) {
    rc = directory_remake(kd, kd->dir->depth);
    if (rc) return rc;
  }
  for (;;) {
    at = bc_directory_index(kd->dir, hash);
    s = bc_directory_segment(kd->dir, at);
    if (!s) return bc_directory_error(kd->dir);
    if (!need || !bc_table_splits(kd, s, need)) break;
    rc = bc_table_split(kd, hash);
    if (rc) return rc;
  }
  if (bc_table_has_room(kd, s, need)) return BITCASK_OK;
  if (need && (s->heap_used + need > s->heap_cap || bc_segment_slots_full(s)))
    return grow(kd, hash, need);
  return rebuild(kd, at, s->n_slots, s->heap_cap);
}
