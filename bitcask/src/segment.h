/*
** segment.h - a self-contained hash table of up to about 64 KiB: open addressing with
** fingerprints, entries with inline keys, no pointers inside.
**
** What the keydir is made of.  Grows only by being copied into a larger one; when it
** is too large for that its entries are divided over two.
**
** The inline functions are those that a lookup needs.
*/
#ifndef BC_SEGMENT_H
#define BC_SEGMENT_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>

#include "place.h"

enum {
  BC_SEGMENT_IN_FILE = 1,            /* in a mapped file ... */
  BC_SEGMENT_STAND_IN = 2,           /* ... or made in the stead of such */
  BC_HEAP_START = 256,               /* bytes of entries that a new segment has room for */
  BC_HEAP_SPLIT = 64 * 1024,         /* one with more bytes of entries than this splits */
  BC_HEAP_MAX = 4 * 1024 * 1024 - 4, /* 20 bits of 4-byte units in a slot */
  BC_SLOTS_START = 8,
  BC_ENTRY_HEADER = 20
};

/* slots[n_slots], then heap[heap_cap].  Saved as it is in memory, with no more
** heap than is used (FORMAT.md section 4.2). */
typedef struct bc_segment bc_segment;
struct bc_segment {
  uint64_t born;            /* saved: 0 */
  bc_segment *next_garbage; /* saved: NULL */
  uint32_t crc;             /* in a file: of all other bytes; a stand-in: number of the segment */
  uint32_t saved;           /* 0, BC_SEGMENT_IN_FILE or _STAND_IN: those are not to be changed */
  uint32_t n_slots;
  uint32_t count;
  uint32_t heap_cap;
  uint32_t heap_used;
  uint32_t heap_dead; /* bytes of heap_used that belong to removed entries */
  uint32_t depth;     /* top bits of the hash that all entries share */
  uint32_t slots[];   /* 0: free; else fingerprint << 20 | (heap offset / 4 + 1) */
};

/* An entry in the heap, 4-byte aligned, host byte order:
** 0 file_id, 4 total_sz, 8 tstamp, 12 offset low, 16 offset high (2), 18 key_sz (2), 20 key */

_Static_assert(offsetof(bc_segment, slots) == 48, "layout of saved segments");

/* A multiply-and-fold hash in the manner of wyhash. */
uint64_t bc_segment_hash(uint64_t seed, const void *key, size_t key_sz);

static inline uint32_t bc_segment_fingerprint(uint64_t hash) {
  return (uint32_t)(hash & 0xfff) << 20;
}

static inline uint32_t bc_segment_home(uint64_t hash, uint32_t n_slots) {
  return (uint32_t)(((hash >> 12 & UINT32_MAX) * n_slots) >> 32);
}

static inline uint8_t *bc_segment_heap(const bc_segment *s) {
  return (uint8_t *)(uintptr_t)(s->slots + s->n_slots);
}

static inline uint8_t *bc_entry_behind(const bc_segment *s, uint32_t n_slots, uint32_t slot) {
  return (uint8_t *)(uintptr_t)(s->slots + n_slots + ((slot & 0xfffff) - 1));
}

static inline uint8_t *bc_entry_at(const bc_segment *s, uint32_t slot) {
  return bc_entry_behind(s, s->n_slots, slot);
}

static inline uint32_t bc_entry_key_sz(const uint8_t *e) {
  uint16_t n;
  memcpy(&n, e + 18, 2);
  return n;
}

static inline uint32_t bc_entry_size(uint32_t key_sz) {
  return (BC_ENTRY_HEADER + key_sz + 3) & ~3u;
}

/* The first 18 bytes of an entry. */
static inline void bc_entry_write_place(uint8_t *e, const bc_place *p) {
  uint32_t words[4] = {p->file_id, p->total_sz, p->tstamp, (uint32_t)p->offset};
  uint16_t high = (uint16_t)(p->offset >> 32);
  memcpy(e, words, sizeof words);
  memcpy(e + 16, &high, 2);
}

static inline void bc_entry_read_place(const uint8_t *e, bc_place *p) {
  uint32_t words[4];
  uint16_t high;
  memcpy(words, e, sizeof words);
  memcpy(&high, e + 16, 2);
  p->file_id = words[0];
  p->total_sz = words[1];
  p->tstamp = words[2];
  p->offset = (uint64_t)high << 32 | words[3];
}

static inline size_t bc_segment_bytes(uint32_t n_slots, uint32_t heap_cap) {
  return sizeof(bc_segment) + (size_t)n_slots * 4 + heap_cap;
}

static inline bool bc_segment_slots_full(const bc_segment *s) {
  return s->count + 1 > s->n_slots - s->n_slots / 8;
}

/* An empty one.  NULL: out of memory. */
bc_segment *bc_segment_new(uint32_t n_slots, uint32_t heap_cap, uint32_t depth);

/* The slot of a key, or the free slot where it would go. */
uint32_t bc_segment_find(const bc_segment *s, uint32_t n_slots, uint64_t hash, const void *key,
                         size_t key_sz);

/* Put an entry that is known to be absent and to fit; place20 is how it begins. */
void bc_segment_append(bc_segment *s, uint32_t slot, uint64_t hash, const void *key,
                       uint32_t key_sz, const uint8_t *place20);
/* The same, wherever there is a slot. */
void bc_segment_add(bc_segment *s, uint64_t hash, const void *key, uint32_t key_sz,
                    const uint8_t *place20);

/* Empty slot i. */
void bc_segment_remove(uint64_t seed, bc_segment *s, uint32_t i);

/* All entries of `from`, packed, into an empty one that has room. */
void bc_segment_copy(uint64_t seed, const bc_segment *from, bc_segment *to);

/* The room for `live` bytes of entries, and some more; or for `share` bytes, up to
** BC_HEAP_SPLIT, if that is more. */
uint32_t bc_segment_heap_for(uint64_t live, uint64_t share);

/* Slots for `count` entries of `live` bytes in all, whose room is `heap_cap`: from
** 4 KiB on enough, at this mean size, for half the way to the next split or all
** of it, so that growing hashes everything only once in between. */
uint32_t bc_segment_slots_for(uint32_t count, uint32_t live, uint32_t heap_cap);

/* Hash all entries, in the order of slots, and add up those on either side of the
** bit that the halves will differ in. */
void bc_segment_tell_halves(uint64_t seed, const bc_segment *s, uint64_t *hashes, uint32_t count[2],
                            uint32_t bytes[2]);
/* With those hashes: copy all entries to the half where they belong. */
void bc_segment_fill_halves(const bc_segment *s, const uint64_t *hashes, bc_segment *half[2]);

#endif
