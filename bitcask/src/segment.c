/* segment.c - see segment.h. */
#include "segment.h"

#include <stdlib.h>

enum {
  HEAP_STEP = 4 * 1024,    /* room doubles up to this, then grows by it */
  HEAP_HALFWAY = 48 * 1024 /* between a split and the next: slots are made for either half */
};

static inline uint64_t read64(const uint8_t *p) {
  uint64_t v;
  memcpy(&v, p, 8);
  return v;
}

static inline uint64_t read32(const uint8_t *p) {
  uint32_t v;
  memcpy(&v, p, 4);
  return v;
}

static inline uint64_t mix(uint64_t a, uint64_t b) {
  __extension__ unsigned __int128 r = (unsigned __int128)a * b;
  return (uint64_t)r ^ (uint64_t)(r >> 64);
}

uint64_t bc_segment_hash(uint64_t seed, const void *key, size_t key_sz) {
  const uint64_t k0 = 0xa0761d6478bd642f, k1 = 0xe7037ed1a0b428db, k2 = 0x8ebc6af09c88c6e3;
  const uint8_t *p = key;
  uint64_t h = seed ^ k0, a = 0, b = 0;
  size_t n = key_sz;

  for (; n > 16; n -= 16, p += 16) h = mix(read64(p) ^ k1, read64(p + 8) ^ h);
  if (n >= 8) {
    a = read64(p);
    b = read64(p + n - 8);
  } else if (n >= 4) {
    a = read32(p);
    b = read32(p + n - 4);
  } else if (n > 0) {
    a = (uint64_t)p[0] << 16 | (uint64_t)p[n / 2] << 8 | p[n - 1];
  }
  return mix(mix(a ^ k1, b ^ h) ^ k2, (uint64_t)key_sz ^ k1);
}

bc_segment *bc_segment_new(uint32_t n_slots, uint32_t heap_cap, uint32_t depth) {
  bc_segment *s = malloc(bc_segment_bytes(n_slots, heap_cap));
  if (!s) return NULL;
  memset(s, 0, sizeof *s + (size_t)n_slots * 4);
  s->n_slots = n_slots;
  s->heap_cap = heap_cap;
  s->depth = depth;
  return s;
}

uint32_t bc_segment_find(const bc_segment *s, uint32_t n_slots, uint64_t hash, const void *key,
                         size_t key_sz) {
  uint32_t fp = bc_segment_fingerprint(hash), i = bc_segment_home(hash, n_slots);
  const uint8_t *e;

  while (s->slots[i]) {
    if ((s->slots[i] & ~0xfffffu) == fp) {
      e = bc_entry_behind(s, n_slots, s->slots[i]);
      if (bc_entry_key_sz(e) == key_sz && !memcmp(e + BC_ENTRY_HEADER, key, key_sz)) return i;
    }
    if (++i == n_slots) i = 0;
  }
  return i;
}

static uint32_t free_slot(const bc_segment *s, uint64_t hash) {
  uint32_t i = bc_segment_home(hash, s->n_slots);
  while (s->slots[i]) {
    if (++i == s->n_slots) i = 0;
  }
  return i;
}

void bc_segment_append(bc_segment *s, uint32_t slot, uint64_t hash, const void *key,
                       uint32_t key_sz, const uint8_t *place20) {
  uint8_t *e = bc_segment_heap(s) + s->heap_used;
  uint16_t n = (uint16_t)key_sz;
  memcpy(e, place20, 18);
  memcpy(e + 18, &n, 2);
  if (key_sz) memcpy(e + BC_ENTRY_HEADER, key, key_sz);
  s->slots[slot] = bc_segment_fingerprint(hash) | (s->heap_used / 4 + 1);
  s->heap_used += bc_entry_size(key_sz);
  s->count++;
}

void bc_segment_add(bc_segment *s, uint64_t hash, const void *key, uint32_t key_sz,
                    const uint8_t *place20) {
  bc_segment_append(s, free_slot(s, hash), hash, key, key_sz, place20);
}

/* The same few sizes for all segments, so that the allocator can use again what growing
** gives back. */
uint32_t bc_segment_heap_for(uint64_t live, uint64_t share) {
  uint64_t cap = BC_HEAP_START;
  if (share > BC_HEAP_SPLIT) share = BC_HEAP_SPLIT;
  if (share > live) live = share;
  if (live > BC_HEAP_SPLIT) {
    cap = live + live / 8;
  } else if (live > HEAP_STEP) {
    cap = (live + HEAP_STEP - 1) / HEAP_STEP * HEAP_STEP;
  } else {
    while (cap < live) cap *= 2;
  }
  return (uint32_t)(cap > BC_HEAP_MAX ? BC_HEAP_MAX : cap) & ~3u;
}

uint32_t bc_segment_slots_for(uint32_t count, uint32_t live, uint32_t heap_cap) {
  uint32_t least = count + count / 4 + BC_SLOTS_START;
  uint64_t full = heap_cap, n;
  if (!count) return BC_SLOTS_START;
  if (heap_cap > HEAP_STEP && heap_cap < BC_HEAP_SPLIT) {
    full = heap_cap <= HEAP_HALFWAY ? HEAP_HALFWAY : BC_HEAP_SPLIT;
  }
  n = full * count / live;
  n += n / 6; /* filled to 6/7 */
  return n < least ? least : (uint32_t)n;
}

void bc_segment_copy(uint64_t seed, const bc_segment *from, bc_segment *to) {
  uint64_t hash;
  uint32_t i;
  const uint8_t *e;

  if (to->n_slots == from->n_slots && !from->heap_dead) {
    memcpy(to->slots, from->slots, (size_t)from->n_slots * 4);
    memcpy(bc_segment_heap(to), bc_segment_heap(from), from->heap_used);
    to->heap_used = from->heap_used;
    to->count = from->count;
    return;
  }
  for (i = 0; i < from->n_slots; i++) {
    if (!from->slots[i]) continue;
    e = bc_entry_at(from, from->slots[i]);
    hash = bc_segment_hash(seed, e + BC_ENTRY_HEADER, bc_entry_key_sz(e));
    bc_segment_add(to, hash, e + BC_ENTRY_HEADER, bc_entry_key_sz(e), e);
  }
}

/* The hole is closed by moving later entries of the run back, so that
** lookups need no marks of removed entries. */
void bc_segment_remove(uint64_t seed, bc_segment *s, uint32_t i) {
  uint32_t j = i, home;
  const uint8_t *e = bc_entry_at(s, s->slots[i]);

  s->heap_dead += bc_entry_size(bc_entry_key_sz(e));
  s->count--;
  for (;;) {
    if (++j == s->n_slots) j = 0;
    if (!s->slots[j]) break;
    e = bc_entry_at(s, s->slots[j]);
    home =
        bc_segment_home(bc_segment_hash(seed, e + BC_ENTRY_HEADER, bc_entry_key_sz(e)), s->n_slots);
    /* j may move to i only if its home is not in (i, j], cyclically. */
    if (i <= j ? (home > i && home <= j) : (home > i || home <= j)) continue;
    s->slots[i] = s->slots[j];
    i = j;
  }
  s->slots[i] = 0;
}

void bc_segment_tell_halves(uint64_t seed, const bc_segment *s, uint64_t *hashes, uint32_t count[2],
                            uint32_t bytes[2]) {
  const uint32_t ahead = 8;
  const uint8_t *e;
  unsigned side;

  for (uint32_t i = 0; i < s->n_slots; i++) {
    if (i + ahead < s->n_slots && s->slots[i + ahead]) {
      __builtin_prefetch(bc_entry_at(s, s->slots[i + ahead]));
    }
    if (!s->slots[i]) continue;
    e = bc_entry_at(s, s->slots[i]);
    *hashes = bc_segment_hash(seed, e + BC_ENTRY_HEADER, bc_entry_key_sz(e));
    side = *hashes++ >> (63 - s->depth) & 1;
    count[side]++;
    bytes[side] += bc_entry_size(bc_entry_key_sz(e));
  }
}

void bc_segment_fill_halves(const bc_segment *s, const uint64_t *hashes, bc_segment *half[2]) {
  const uint8_t *e;
  bc_segment *to;

  for (uint32_t i = 0; i < s->n_slots; i++) {
    if (!s->slots[i]) continue;
    e = bc_entry_at(s, s->slots[i]);
    to = half[*hashes >> (63 - s->depth) & 1];
    bc_segment_add(to, *hashes, e + BC_ENTRY_HEADER, bc_entry_key_sz(e), e);
    hashes++;
  }
}
