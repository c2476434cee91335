/* directory.c - see directory.h. */
#include "directory.h"

#include <stdlib.h>

size_t bc_directory_bytes(unsigned depth) {
  return sizeof(bc_directory) + ((size_t)1 << depth) * (sizeof(bc_segment *) + sizeof(uint32_t));
}

bc_directory *bc_directory_new(unsigned depth, bc_saved *saved) {
  bc_directory *d = malloc(bc_directory_bytes(depth));
  if (!d) return NULL;
  d->refs = 1;
  d->depth = depth;
  d->n_keys = d->key_bytes = 0;
  d->saved = saved;
  d->n_slots = (_Atomic uint32_t *)(d->seg + ((size_t)1 << depth));
  return d;
}

bc_directory *bc_directory_remake(const bc_directory *old, unsigned depth) {
  bc_directory *d = bc_directory_new(depth, old->saved);
  size_t i, n = (size_t)1 << depth;
  if (!d) return NULL;
  d->n_keys = old->n_keys;
  d->key_bytes = old->key_bytes;
  for (i = 0; i < n; i++) {
    size_t from = i >> (depth - old->depth);
    uintptr_t p = atomic_load_explicit(&old->seg[from], memory_order_acquire);
    atomic_init(&d->seg[i], p);
    atomic_init(&d->n_slots[i], bc_directory_slots(old, from));
  }
  return d;
}

bc_directory *bc_directory_of_saved(bc_saved *saved) {
  const bc_saved_file *f = &saved->file;
  bc_directory *d = bc_directory_new(f->depth, saved);
  size_t at = 0, i, j;
  if (!d) return NULL;
  for (i = 0; i < f->n_segments; i++) {
    uintptr_t p = (uintptr_t)(f->base + f->segment[i].offset) + BC_UNTOUCHED;
    for (j = (size_t)1 << (f->depth - f->segment[i].depth); j > 0; j--) {
      atomic_init(&d->n_slots[at], 1);
      atomic_init(&d->seg[at++], p);
    }
  }
  return d;
}

/* The pointer last: who sees it must see the number of slots that belongs to it. */
static inline void put_pointer(bc_directory *d, size_t at, bc_segment *s) {
  atomic_store_explicit(&d->n_slots[at], s->n_slots, memory_order_relaxed);
  atomic_store_explicit(&d->seg[at], (uintptr_t)s, memory_order_release);
}

void bc_directory_set(bc_directory *d, size_t at, bc_segment *s) {
  size_t n = (size_t)1 << (d->depth - s->depth), first = at & ~(n - 1), i;
  for (i = 0; i < n; i++) put_pointer(d, first + i, s);
}

bc_segment *bc_directory_touch(bc_directory *d, size_t at, uintptr_t tagged) {
  bc_saved *sv = d->saved;
  size_t k = bc_saved_number(sv, (uint64_t)(tagged - BC_UNTOUCHED - (uintptr_t)sv->file.base));
  unsigned depth = sv->file.segment[k].depth; /* whatever it says of itself */
  size_t prefix = at >> (d->depth - depth);
  bc_segment *s;

  pthread_mutex_lock(&sv->mutex);
  s = bc_saved_segment(sv, k, prefix << (sv->file.depth - depth),
                       (size_t)1 << (sv->file.depth - depth));
  /* All of its slots: nothing may be deferred any more to a part of it. */
  for (size_t n = (size_t)1 << (d->depth - depth), i = prefix * n; s && i < (prefix + 1) * n; i++) {
    put_pointer(d, i, s);
  }
  pthread_mutex_unlock(&sv->mutex);
  return s;
}

bool bc_directory_get(const bc_directory *d, uint64_t hash, const void *key, size_t key_sz,
                      bc_place *out) {
  size_t at = bc_directory_index(d, hash);
  const bc_segment *s = bc_directory_segment(d, at);
  uint32_t n_slots = bc_directory_slots(d, at), i;
  if (!s) return false;
  i = bc_segment_find(s, n_slots, hash, key, key_sz);
  if (!s->slots[i]) return false;
  if (out) bc_entry_read_place(bc_entry_behind(s, n_slots, s->slots[i]), out);
  return true;
}

bool bc_directory_next(const bc_directory *d, uint64_t *cursor, const void **key, uint32_t *key_sz,
                       bc_place *place) {
  size_t at = (size_t)(*cursor >> 32);
  uint32_t i = (uint32_t)*cursor;
  const uint8_t *e;
  const bc_segment *s;

  for (; at >> d->depth == 0; at += (size_t)1 << (d->depth - s->depth), i = 0) {
    s = bc_directory_segment(d, at);
    if (!s) break;
    while (i < s->n_slots && !s->slots[i]) i++;
    if (i == s->n_slots) continue;
    e = bc_entry_at(s, s->slots[i]);
    *key = e + BC_ENTRY_HEADER;
    *key_sz = bc_entry_key_sz(e);
    bc_entry_read_place(e, place);
    *cursor = (uint64_t)at << 32 | (i + 1);
    return true;
  }
  *cursor = (uint64_t)at << 32;
  return false;
}

bc_segment *bc_directory_extract(const bc_directory *d, uint64_t seed, uint64_t prefix,
                                 unsigned depth) {
  uint32_t count = 0, bytes = 0, n_slots;
  bc_segment *s = NULL;

  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i >> d->depth == 0;) {
      const bc_segment *f = bc_directory_segment(d, i);
      i += (size_t)1 << (d->depth - f->depth);
      for (uint32_t j = 0; j < f->n_slots; j++) {
        const uint8_t *e = f->slots[j] ? bc_entry_at(f, f->slots[j]) : NULL;
        uint32_t key_sz = e ? bc_entry_key_sz(e) : 0;
        uint64_t hash = e ? bc_segment_hash(seed, e + BC_ENTRY_HEADER, key_sz) : 0;
        if (!e || (depth && hash >> (64 - depth) != prefix)) continue;
        count++;
        bytes += bc_entry_size(key_sz);
        if (s) bc_segment_add(s, hash, e + BC_ENTRY_HEADER, key_sz, e);
      }
    }
    if (s) break;
    n_slots = bc_segment_slots_for(count, bytes, bytes);
    s = bc_segment_new(n_slots, bytes, depth);
    if (!s) return NULL;
  }
  return s;
}

uint64_t bc_directory_count(const bc_directory *d) {
  return d->n_keys + (d->saved ? atomic_load(&d->saved->extra_keys) : 0);
}

uint64_t bc_directory_key_bytes(const bc_directory *d) {
  return d->key_bytes + (d->saved ? atomic_load(&d->saved->extra_key_bytes) : 0);
}

int bc_directory_error(const bc_directory *d) {
  return d->saved ? atomic_load(&d->saved->error) : 0;
}
