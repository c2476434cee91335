/*
** keydir.c - see keydir.h.
**
** Sharing between the table and its views: every segment remembers the version
** at which it was made, every view the version at which it was opened, and
** opening a view ends a version.  A view sees a segment only if the segment is
** not younger.  So a segment younger than the newest open view belongs to the
** table alone and is changed in place; any other is copied first, and the old
** one goes onto the garbage list of the newest view.  A view that closes hands
** its garbage to the next older view that can see it, else frees it.
**
** A restored table's segments lie in a mapped file.  They are never changed,
** so they count as seen by everybody: the first change copies.  A directory
** entry that points at one that has not been touched yet is tagged; the first
** touch checks the CRC and takes the tag off.  Threads may do that at once: they
** store the same pointer.
*/
#include "keydir.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "bitcask.h"
#include "crc32.h"

enum {
  IN_FILE = 1,
  STAND_IN = 2,
  HEAP_START = 256,               /* bytes of entries that a new segment has room for */
  HEAP_STEP = 4 * 1024,           /* room doubles up to this, then grows by it */
  HEAP_HALFWAY = 48 * 1024,       /* between a split and the next: slots are made for either half */
  HEAP_EARLY = 8 * 1024,          /* the least that is split early, see is_due_to_split */
  HEAP_SPLIT = 64 * 1024,         /* a segment with more entries' bytes than this splits ... */
  SPLIT_MIN_ENTRIES = 16,         /* ... unless it holds a few huge keys only */
  HEAP_MAX = 4 * 1024 * 1024 - 4, /* 20 bits of 4-byte units in a slot */
  MAX_DEPTH = 28,
  ENTRY_HEADER = 20,
  SLOTS_START = 8
};

/* slots[n_slots], then heap[heap_cap].  Saved as it is in memory, with no more
** heap than is used (FORMAT.md section 4.2). */
typedef struct segment segment;
struct segment {
  uint64_t born;         /* saved: 0 */
  segment *next_garbage; /* saved: NULL */
  uint32_t crc;          /* IN_FILE: of all other bytes; STAND_IN: number of the segment */
  uint32_t saved;        /* IN_FILE, or made in the stead of such: not to be changed */
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

_Static_assert(offsetof(segment, slots) == 48, "layout of saved segments");

/* A change that waits for the first touch of its segment. */
typedef struct deferred {
  struct deferred *next;
  bc_place place; /* total_sz 0: removed */
  uint32_t key_sz;
  uint8_t key[];
} deferred;

/* Those of one part of the hash space, in order. */
typedef struct queue {
  deferred *first, *last;
  uint32_t bytes; /* of the entries they may become */
} queue;

/* What a restored table needs of where it comes from. */
typedef struct origin {
  bc_keydir_saved from;
  pthread_mutex_t mutex; /* for all that follows */
  segment **stand_in;    /* for each segment, what is used in its stead; NULL: itself */
  bc_keydir *reloaded;   /* the table as it was saved, from the log; NULL until needed */
  queue *deferred;       /* 2^from.depth, NULL until needed */
  bc_keydir_replaced *replaced;
  size_t n_replaced, cap_replaced;
  _Atomic uint64_t n_deferred;                  /* since the counts were last settled */
  _Atomic uint64_t extra_keys, extra_key_bytes; /* in all directories, by what was applied */
  _Atomic uint64_t memory;                      /* of stand-ins */
  _Atomic int error; /* a status code: a segment could not be made as it should be */
} origin;

typedef struct directory {
  unsigned refs; /* the table and views */
  unsigned depth;
  uint64_t n_keys;
  uint64_t key_bytes;
  origin *origin; /* NULL: no tagged pointers */
  _Atomic uint32_t
      *n_slots;            /* of each segment, behind seg: a lookup need not wait for its header */
  _Atomic uintptr_t seg[]; /* segment *, with UNTOUCHED added to it */
} directory;

#define UNTOUCHED ((uintptr_t)1)

struct bc_keydir_view {
  directory *dir;
  uint64_t version;
  segment *garbage;
  bc_keydir_view *older, *newer;
};

struct bc_keydir {
  directory *dir;
  origin *origin; /* NULL: not restored */
  bc_keydir_view *newest;
  uint64_t version;
  uint64_t seed;
  uint64_t memory;
  uint64_t expected; /* bytes of entries that there will soon be; 0: not known */
  bool given_up;
};

/* ------------------------------------------------------------------- hash */

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

/* A multiply-and-fold hash in the manner of wyhash. */
uint64_t bc_keydir_hash(uint64_t seed, const void *key, size_t key_sz) {
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

static inline uint32_t fingerprint(uint64_t hash) { return (uint32_t)(hash & 0xfff) << 20; }

static inline uint32_t home_slot(uint64_t hash, uint32_t n_slots) {
  return (uint32_t)(((hash >> 12 & UINT32_MAX) * n_slots) >> 32);
}

static inline uint32_t slots_of(const directory *d, size_t at) {
  return atomic_load_explicit(&d->n_slots[at], memory_order_relaxed);
}

/* The pointer last: who sees it must see the number of slots that belongs to it. */
static inline void directory_put(directory *d, size_t at, segment *s) {
  atomic_store_explicit(&d->n_slots[at], s->n_slots, memory_order_relaxed);
  atomic_store_explicit(&d->seg[at], (uintptr_t)s, memory_order_release);
}

static inline size_t dir_index(const directory *d, uint64_t hash) {
  return d->depth ? (size_t)(hash >> (64 - d->depth)) : 0;
}

/* --------------------------------------------------------------- segments */

static inline uint8_t *heap_of(const segment *s) {
  return (uint8_t *)(uintptr_t)(s->slots + s->n_slots);
}

static inline uint8_t *entry_behind(const segment *s, uint32_t n_slots, uint32_t slot) {
  return (uint8_t *)(uintptr_t)(s->slots + n_slots + ((slot & 0xfffff) - 1));
}

static inline uint8_t *entry_at(const segment *s, uint32_t slot) {
  return entry_behind(s, s->n_slots, slot);
}

static inline uint32_t entry_key_sz(const uint8_t *e) {
  uint16_t n;
  memcpy(&n, e + 18, 2);
  return n;
}

static inline uint32_t entry_size(uint32_t key_sz) { return (ENTRY_HEADER + key_sz + 3) & ~3u; }

static void write_place(uint8_t *e, const bc_place *p) {
  uint32_t words[4] = {p->file_id, p->total_sz, p->tstamp, (uint32_t)p->offset};
  uint16_t high = (uint16_t)(p->offset >> 32);
  memcpy(e, words, sizeof words);
  memcpy(e + 16, &high, 2);
}

static void read_place(const uint8_t *e, bc_place *p) {
  uint32_t words[4];
  uint16_t high;
  memcpy(words, e, sizeof words);
  memcpy(&high, e + 16, 2);
  p->file_id = words[0];
  p->total_sz = words[1];
  p->tstamp = words[2];
  p->offset = (uint64_t)high << 32 | words[3];
}

static size_t segment_bytes(uint32_t n_slots, uint32_t heap_cap) {
  return sizeof(segment) + (size_t)n_slots * 4 + heap_cap;
}

static segment *segment_new(bc_keydir *kd, uint32_t n_slots, uint32_t heap_cap, uint32_t depth) {
  segment *s = malloc(segment_bytes(n_slots, heap_cap));
  if (!s) return NULL;
  memset(s, 0, sizeof *s + (size_t)n_slots * 4);
  s->born = kd->version;
  s->n_slots = n_slots;
  s->heap_cap = heap_cap;
  s->depth = depth;
  kd->memory += segment_bytes(n_slots, heap_cap);
  return s;
}

static void segment_free(bc_keydir *kd, segment *s) {
  if (s->saved) return;
  kd->memory -= segment_bytes(s->n_slots, s->heap_cap);
  free(s);
}

/* The slot of a key, or the free slot where it would go. */
static uint32_t find_slot(const segment *s, uint32_t n_slots, uint64_t hash, const void *key,
                          size_t key_sz) {
  uint32_t fp = fingerprint(hash), i = home_slot(hash, n_slots);
  const uint8_t *e;

  while (s->slots[i]) {
    if ((s->slots[i] & ~0xfffffu) == fp) {
      e = entry_behind(s, n_slots, s->slots[i]);
      if (entry_key_sz(e) == key_sz && !memcmp(e + ENTRY_HEADER, key, key_sz)) return i;
    }
    if (++i == n_slots) i = 0;
  }
  return i;
}

static uint32_t free_slot(const segment *s, uint64_t hash) {
  uint32_t i = home_slot(hash, s->n_slots);
  while (s->slots[i]) {
    if (++i == s->n_slots) i = 0;
  }
  return i;
}

/* Put an entry that is known to be absent and to fit. */
static void append_entry(segment *s, uint32_t slot, uint64_t hash, const void *key, uint32_t key_sz,
                         const uint8_t *place20) {
  uint8_t *e = heap_of(s) + s->heap_used;
  uint16_t n = (uint16_t)key_sz;
  memcpy(e, place20, 18);
  memcpy(e + 18, &n, 2);
  if (key_sz) memcpy(e + ENTRY_HEADER, key, key_sz);
  s->slots[slot] = fingerprint(hash) | (s->heap_used / 4 + 1);
  s->heap_used += entry_size(key_sz);
  s->count++;
}

/* The room for `live` bytes of entries, and some more.  The same few sizes for
** all segments, so that the allocator can use again what growing gives back. */
static uint32_t heap_for(const bc_keydir *kd, uint64_t live, uint32_t depth) {
  uint64_t cap = HEAP_START, share = (kd->expected + kd->expected / 16) >> depth;
  if (share > HEAP_SPLIT) share = HEAP_SPLIT;
  if (share > live) live = share;
  if (live > HEAP_SPLIT) {
    cap = live + live / 8;
  } else if (live > HEAP_STEP) {
    cap = (live + HEAP_STEP - 1) / HEAP_STEP * HEAP_STEP;
  } else {
    while (cap < live) cap *= 2;
  }
  return (uint32_t)(cap > HEAP_MAX ? HEAP_MAX : cap) & ~3u;
}

/* Slots for `count` entries of `live` bytes in all, whose room is `heap_cap`: from
** HEAP_STEP on enough, at this mean size, for half the way to the next split or all
** of it, so that growing hashes everything only once in between. */
static uint32_t slots_for(uint32_t count, uint32_t live, uint32_t heap_cap) {
  uint32_t least = count + count / 4 + SLOTS_START;
  uint64_t full = heap_cap, n;
  if (!count) return SLOTS_START;
  if (heap_cap > HEAP_STEP && heap_cap < HEAP_SPLIT) {
    full = heap_cap <= HEAP_HALFWAY ? HEAP_HALFWAY : HEAP_SPLIT;
  }
  n = full * count / live;
  n += n / 6; /* filled to 6/7 */
  return n < least ? least : (uint32_t)n;
}

static bool slots_full(const segment *s) { return s->count + 1 > s->n_slots - s->n_slots / 8; }

static void copy_entries(uint64_t seed, const segment *from, segment *to) {
  uint64_t hash;
  uint32_t i;
  const uint8_t *e;

  if (to->n_slots == from->n_slots && !from->heap_dead) {
    memcpy(to->slots, from->slots, (size_t)from->n_slots * 4);
    memcpy(heap_of(to), heap_of(from), from->heap_used);
    to->heap_used = from->heap_used;
    to->count = from->count;
    return;
  }
  for (i = 0; i < from->n_slots; i++) {
    if (!from->slots[i]) continue;
    e = entry_at(from, from->slots[i]);
    hash = bc_keydir_hash(seed, e + ENTRY_HEADER, entry_key_sz(e));
    append_entry(to, free_slot(to, hash), hash, e + ENTRY_HEADER, entry_key_sz(e), e);
  }
}

/* Empty slot i, and close the hole by moving later entries of the run back, so that
** lookups need no marks of removed entries. */
static void remove_entry(uint64_t seed, segment *s, uint32_t i) {
  uint32_t j = i, home;
  const uint8_t *e = entry_at(s, s->slots[i]);

  s->heap_dead += entry_size(entry_key_sz(e));
  s->count--;
  for (;;) {
    if (++j == s->n_slots) j = 0;
    if (!s->slots[j]) break;
    e = entry_at(s, s->slots[j]);
    home = home_slot(bc_keydir_hash(seed, e + ENTRY_HEADER, entry_key_sz(e)), s->n_slots);
    /* j may move to i only if its home is not in (i, j], cyclically. */
    if (i <= j ? (home > i && home <= j) : (home > i || home <= j)) continue;
    s->slots[i] = s->slots[j];
    i = j;
  }
  s->slots[i] = 0;
}

static void retire(bc_keydir *kd, segment *s) {
  if (s->saved) {
    /* No other directory can come to use it. */
    if (s->saved == STAND_IN && !kd->newest) {
      kd->origin->stand_in[s->crc] = NULL;
      atomic_fetch_sub(&kd->origin->memory, segment_bytes(s->n_slots, s->heap_cap));
      free(s);
    }
    return;
  }
  if (kd->newest && kd->newest->version >= s->born) {
    s->next_garbage = kd->newest->garbage;
    kd->newest->garbage = s;
  } else {
    segment_free(kd, s);
  }
}

/* ------------------------------------------------------------- directories */

static size_t directory_bytes(unsigned depth) {
  return sizeof(directory) + ((size_t)1 << depth) * (sizeof(segment *) + sizeof(uint32_t));
}

static directory *directory_new(bc_keydir *kd, unsigned depth) {
  directory *d = malloc(directory_bytes(depth));
  if (!d) return NULL;
  d->refs = 1;
  d->depth = depth;
  d->n_keys = d->key_bytes = 0;
  d->origin = kd->origin;
  d->n_slots = (_Atomic uint32_t *)(d->seg + ((size_t)1 << depth));
  kd->memory += directory_bytes(depth);
  return d;
}

static void directory_unref(bc_keydir *kd, directory *d) {
  if (--d->refs) return;
  kd->memory -= directory_bytes(d->depth);
  free(d);
}

/* Replace the table's directory by a private one of the given depth. */
static int directory_remake(bc_keydir *kd, unsigned depth) {
  directory *old = kd->dir, *d = directory_new(kd, depth);
  size_t i, n = (size_t)1 << depth;
  if (!d) return BITCASK_NOMEM;
  d->n_keys = old->n_keys;
  d->key_bytes = old->key_bytes;
  for (i = 0; i < n; i++) {
    size_t from = i >> (depth - old->depth);
    uintptr_t p = atomic_load_explicit(&old->seg[from], memory_order_acquire);
    atomic_init(&d->seg[i], p);
    atomic_init(&d->n_slots[i], slots_of(old, from));
  }
  kd->dir = d;
  directory_unref(kd, old);
  return BITCASK_OK;
}

/* Make `s` take the place of the segment at directory index `at`: all the
** 2^(depth - s->depth) slots of its range.  The directory must be private. */
static void directory_set(directory *d, size_t at, segment *s) {
  size_t n = (size_t)1 << (d->depth - s->depth), first = at & ~(n - 1), i;
  for (i = 0; i < n; i++) directory_put(d, first + i, s);
}

/* ---------------------------------------------------- segments from a file */

static inline segment *segment_at(const directory *d, size_t at);

static uint32_t segment_crc(const segment *s) {
  const uint8_t *body = (const uint8_t *)&s->saved;
  return bc_crc32(bc_crc32(0, s, offsetof(segment, crc)), body,
                  segment_bytes(s->n_slots, s->heap_cap) - offsetof(segment, saved));
}

/* Is what the file says at `s` a segment, whole and as it was written? */
static bool is_sound(const origin *o, const segment *s) {
  size_t left = o->from.size - (size_t)((const uint8_t *)s - o->from.base);
  return s->saved == IN_FILE && !s->born && s->n_slots && s->n_slots <= left / 4 &&
         s->heap_cap <= left && segment_bytes(s->n_slots, s->heap_cap) <= left &&
         segment_crc(s) == s->crc;
}

/* The entries of `from` whose hash begins with the `depth` bits of `prefix`, as
** one segment.  NULL: out of memory. */
static segment *extract(const bc_keydir *from, uint64_t prefix, unsigned depth) {
  uint32_t count = 0, bytes = 0, n_slots;
  segment *s = NULL;

  for (int pass = 0; pass < 2; pass++) {
    for (size_t i = 0; i >> from->dir->depth == 0;) {
      const segment *f = segment_at(from->dir, i);
      i += (size_t)1 << (from->dir->depth - f->depth);
      for (uint32_t j = 0; j < f->n_slots; j++) {
        const uint8_t *e = f->slots[j] ? entry_at(f, f->slots[j]) : NULL;
        uint32_t key_sz = e ? entry_key_sz(e) : 0;
        uint64_t hash = e ? bc_keydir_hash(from->seed, e + ENTRY_HEADER, key_sz) : 0;
        if (!e || (depth && hash >> (64 - depth) != prefix)) continue;
        count++;
        bytes += entry_size(key_sz);
        if (s) append_entry(s, free_slot(s, hash), hash, e + ENTRY_HEADER, key_sz, e);
      }
    }
    if (s) break;
    n_slots = slots_for(count, bytes, bytes);
    s = calloc(1, segment_bytes(n_slots, bytes));
    if (!s) return NULL;
    s->saved = STAND_IN;
    s->n_slots = n_slots;
    s->heap_cap = bytes;
    s->depth = depth;
  }
  return s;
}

/* Room for `n` more calls of note_replaced: changes that have been taken off their
** queue in part could not be made a second time. */
static int reserve_replaced(origin *o, size_t n) {
  size_t cap = 2 * o->cap_replaced;
  void *p;

  if (o->cap_replaced - o->n_replaced >= n) return BITCASK_OK;
  if (cap < o->n_replaced + n) cap = o->n_replaced + n;
  p = realloc(o->replaced, cap * sizeof *o->replaced);
  if (!p) return BITCASK_NOMEM;
  o->replaced = p;
  o->cap_replaced = cap;
  return BITCASK_OK;
}

/* Append to what the caller of bc_keydir_settle will be told. */
static void note_replaced(origin *o, const bc_place *old) {
  size_t i = o->n_replaced;

  /* Records of one file come together. */
  while (i > 0 && o->replaced[i - 1].file_id != old->file_id && o->n_replaced - i < 8) i--;
  if (i == 0 || o->replaced[i - 1].file_id != old->file_id) {
    i = ++o->n_replaced;
    o->replaced[i - 1] = (bc_keydir_replaced){.file_id = old->file_id};
  }
  o->replaced[i - 1].keys++;
  o->replaced[i - 1].bytes += old->total_sz;
}

static void apply_deferred(origin *o, segment *s, const deferred *d) {
  uint64_t hash = bc_keydir_hash(o->from.seed, d->key, d->key_sz);
  uint32_t i = find_slot(s, s->n_slots, hash, d->key, d->key_sz);
  uint8_t bytes[ENTRY_HEADER];
  bool had = s->slots[i] != 0;
  bc_place old;

  if (had) {
    read_place(entry_at(s, s->slots[i]), &old);
    note_replaced(o, &old);
  }
  if (!d->place.total_sz) {
    if (had) {
      remove_entry(o->from.seed, s, i);
      atomic_fetch_sub(&o->extra_keys, 1);
      atomic_fetch_sub(&o->extra_key_bytes, d->key_sz);
    }
  } else if (had) {
    write_place(entry_at(s, s->slots[i]), &d->place);
  } else {
    write_place(bytes, &d->place);
    append_entry(s, i, hash, d->key, d->key_sz, bytes);
    atomic_fetch_add(&o->extra_keys, 1);
    atomic_fetch_add(&o->extra_key_bytes, d->key_sz);
  }
}

/* A copy of a segment with room for all that is deferred for the `n` parts of the
** hash space from `first` on, and that applied.  NULL: out of memory, and all is
** deferred still. */
static segment *with_deferred(origin *o, const segment *from, size_t first, size_t n) {
  uint64_t bytes = from->heap_used;
  uint32_t count = from->count, n_slots;
  deferred *d, *next;
  segment *s;

  for (size_t i = first; i < first + n; i++) {
    for (d = o->deferred[i].first; d; d = d->next) count++;
    bytes += o->deferred[i].bytes;
  }
  if (reserve_replaced(o, count - from->count)) return NULL;
  n_slots = count + count / 7 + 1 > from->n_slots
                ? slots_for(count, (uint32_t)bytes, (uint32_t)bytes)
                : from->n_slots;
  s = bytes <= HEAP_MAX ? calloc(1, segment_bytes(n_slots, (uint32_t)bytes)) : NULL;
  if (!s) return NULL;
  s->saved = STAND_IN;
  s->n_slots = n_slots;
  s->heap_cap = (uint32_t)bytes;
  s->depth = from->depth;
  copy_entries(o->from.seed, from, s);
  for (size_t i = first; i < first + n; i++) {
    for (d = o->deferred[i].first; d; d = next) {
      next = d->next;
      apply_deferred(o, s, d);
      free(d);
    }
    o->deferred[i] = (queue){NULL, NULL, 0};
  }
  return s;
}

/* With the origin's mutex: what segment number `k`, which takes `n` parts of the
** hash space from `first` on, is to be.  NULL: the origin's error says why. */
static segment *make_segment(origin *o, size_t k, size_t first, size_t n) {
  segment *s = (segment *)(uintptr_t)(o->from.base + o->from.segment[k].offset), *own = NULL;
  unsigned depth = o->from.segment[k].depth;
  int rc = BITCASK_OK;

  if (o->stand_in[k]) return o->stand_in[k];
  if (!is_sound(o, s)) {
    if (!o->reloaded) rc = o->from.reload(o->from.ctx, &o->reloaded);
    s = own = rc ? NULL : extract(o->reloaded, first >> (o->from.depth - depth), depth);
  }
  if (s && o->deferred) {
    bool any = false;
    for (size_t i = first; i < first + n; i++) any |= o->deferred[i].first != NULL;
    if (any) {
      s = with_deferred(o, s, first, n);
      free(own);
      own = s;
    }
  }
  if (own) {
    own->crc = (uint32_t)k;
    atomic_fetch_add(&o->memory, segment_bytes(own->n_slots, own->heap_cap));
  }
  o->stand_in[k] = own;
  if (!s) atomic_store(&o->error, rc ? rc : BITCASK_NOMEM);
  return s;
}

/* The number of a segment in the table of those that were saved. */
static size_t number_of(const bc_keydir_saved *from, uint64_t offset) {
  size_t lo = 0, hi = from->n_segments, mid;
  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (from->segment[mid].offset <= offset) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return lo;
}

/* The first touch of a segment in the file. */
static segment *first_touch(directory *d, size_t at, uintptr_t tagged) {
  origin *o = d->origin;
  size_t k = number_of(&o->from, (uint64_t)(tagged - UNTOUCHED - (uintptr_t)o->from.base));
  unsigned depth = o->from.segment[k].depth; /* whatever it says of itself */
  size_t prefix = at >> (d->depth - depth);
  segment *s;

  pthread_mutex_lock(&o->mutex);
  s = make_segment(o, k, prefix << (o->from.depth - depth), (size_t)1 << (o->from.depth - depth));
  /* All of its slots: nothing may be deferred any more to a part of it. */
  for (size_t n = (size_t)1 << (d->depth - depth), i = prefix * n; s && i < (prefix + 1) * n; i++) {
    directory_put(d, i, s);
  }
  pthread_mutex_unlock(&o->mutex);
  return s;
}

/* NULL: it could not be made as it should be; the table's error says why. */
static inline segment *segment_at(const directory *d, size_t at) {
  uintptr_t p = atomic_load_explicit(&d->seg[at], memory_order_acquire);
  if (__builtin_expect(!(p & UNTOUCHED), 1)) return (segment *)p;
  return first_touch((directory *)(uintptr_t)d, at, p);
}

static int error_of(const directory *d) { return d->origin ? atomic_load(&d->origin->error) : 0; }

static bool is_private(const bc_keydir *kd, const segment *s) {
  if (s->saved) return false;
  return !kd->newest || s->born > kd->newest->version;
}

/* Replace the segment at `at` by a copy with other capacities, entries packed. */
static int rebuild(bc_keydir *kd, size_t at, uint32_t n_slots, uint32_t heap_cap) {
  segment *old = segment_at(kd->dir, at), *s = segment_new(kd, n_slots, heap_cap, old->depth);
  if (!s) return BITCASK_NOMEM;
  copy_entries(kd->seed, old, s);
  directory_set(kd->dir, at, s);
  retire(kd, old);
  return BITCASK_OK;
}

/* Hash all entries, in the order of slots, and add up those on either side of the
** bit that the halves will differ in. */
static void tell_halves(const bc_keydir *kd, const segment *s, uint64_t *hashes, uint32_t count[2],
                        uint32_t bytes[2]) {
  const uint32_t ahead = 8;
  const uint8_t *e;
  unsigned side;

  for (uint32_t i = 0; i < s->n_slots; i++) {
    if (i + ahead < s->n_slots && s->slots[i + ahead]) {
      __builtin_prefetch(entry_at(s, s->slots[i + ahead]));
    }
    if (!s->slots[i]) continue;
    e = entry_at(s, s->slots[i]);
    *hashes = bc_keydir_hash(kd->seed, e + ENTRY_HEADER, entry_key_sz(e));
    side = *hashes++ >> (63 - s->depth) & 1;
    count[side]++;
    bytes[side] += entry_size(entry_key_sz(e));
  }
}

static void fill_halves(const segment *s, const uint64_t *hashes, segment *half[2]) {
  const uint8_t *e;
  segment *to;

  for (uint32_t i = 0; i < s->n_slots; i++) {
    if (!s->slots[i]) continue;
    e = entry_at(s, s->slots[i]);
    to = half[*hashes >> (63 - s->depth) & 1];
    append_entry(to, free_slot(to, *hashes), *hashes, e + ENTRY_HEADER, entry_key_sz(e), e);
    hashes++;
  }
}

static int split(bc_keydir *kd, uint64_t hash) {
  size_t at = dir_index(kd->dir, hash), n, first;
  segment *old = segment_at(kd->dir, at), *half[2] = {NULL, NULL};
  uint32_t depth = old->depth + 1, count[2] = {0, 0}, bytes[2] = {0, 0}, cap;
  uint64_t *hashes;
  int rc;

  if (old->depth == kd->dir->depth) {
    rc = directory_remake(kd, depth);
    if (rc) return rc;
  }
  hashes = malloc((old->count + 1) * sizeof *hashes);
  if (!hashes) return BITCASK_NOMEM;
  tell_halves(kd, old, hashes, count, bytes);
  for (int i = 0; i < 2; i++) {
    cap = heap_for(kd, bytes[i], depth);
    half[i] = segment_new(kd, slots_for(count[i], bytes[i], cap), cap, depth);
  }
  rc = half[0] && half[1] ? BITCASK_OK : BITCASK_NOMEM;
  if (!rc) {
    fill_halves(old, hashes, half);
    n = (size_t)1 << (kd->dir->depth - old->depth);
    first = dir_index(kd->dir, hash) & ~(n - 1);
    directory_set(kd->dir, first, half[0]);
    directory_set(kd->dir, first + n / 2, half[1]);
    retire(kd, old);
  } else {
    for (int i = 0; i < 2; i++) {
      if (half[i]) segment_free(kd, half[i]);
    }
  }
  free(hashes);
  return rc;
}

/* Make room for one more entry of `need` bytes in the segment of `hash`. */
static int grow(bc_keydir *kd, uint64_t hash, uint32_t need) {
  size_t at = dir_index(kd->dir, hash);
  const segment *s = segment_at(kd->dir, at);
  uint32_t n_slots = s->n_slots, cap = s->heap_cap, wanted;
  uint64_t live = (uint64_t)s->heap_used - s->heap_dead + need;

  /* Bytes to spare where removed entries leave some, lest they be swept up for
  ** each entry that comes. */
  if (s->heap_used + need > cap)
    cap = heap_for(kd, s->heap_dead ? live + live / 8 : live, s->depth);
  if (live > cap) return BITCASK_NOMEM;
  wanted = slots_for(s->count + 1, (uint32_t)live, cap);
  if (slots_full(s) || wanted > n_slots + n_slots / 4) n_slots = wanted;
  return rebuild(kd, at, n_slots, cap);
}

/* Is the segment to split rather than take one more entry of `need` bytes?  While a
** table is loaded, as soon as it has some entries and its share will be too much for
** it: then little has to be moved. */
static inline bool is_due_to_split(const bc_keydir *kd, const segment *s, uint32_t need) {
  uint64_t live = (uint64_t)s->heap_used - s->heap_dead + need, share = kd->expected >> s->depth;
  return live > (share > HEAP_SPLIT ? HEAP_EARLY : HEAP_SPLIT) && s->count >= SPLIT_MIN_ENTRIES &&
         s->depth < MAX_DEPTH;
}

/* May the segment be changed as it is, and take one more entry of `need` bytes (0: none)? */
static inline bool has_room(const bc_keydir *kd, const segment *s, uint32_t need) {
  if (kd->dir->refs > 1 || !is_private(kd, s)) return false;
  return !need ||
         (s->heap_used + need <= s->heap_cap && !slots_full(s) && !is_due_to_split(kd, s, need));
}

/* Make it so for the segment of `hash`, which may be another one then. */
static int make_room(bc_keydir *kd, uint64_t hash, uint32_t need) {
  segment *s;
  size_t at;
  int rc;

  if (kd->dir->refs > 1) {
    rc = directory_remake(kd, kd->dir->depth);
    if (rc) return rc;
  }
  for (;;) {
    at = dir_index(kd->dir, hash);
    s = segment_at(kd->dir, at);
    if (!s) return error_of(kd->dir);
    if (!need || !is_due_to_split(kd, s, need)) break;
    rc = split(kd, hash);
    if (rc) return rc;
  }
  if (has_room(kd, s, need)) return BITCASK_OK;
  if (need && (s->heap_used + need > s->heap_cap || slots_full(s))) return grow(kd, hash, need);
  return rebuild(kd, at, s->n_slots, s->heap_cap);
}

/* ------------------------------------------------------------------ public */

bc_keydir *bc_keydir_new(uint64_t seed) {
  bc_keydir *kd = calloc(1, sizeof *kd);
  segment *s;
  if (!kd) return NULL;
  kd->version = 1;
  kd->seed = seed;
  kd->memory = sizeof *kd;
  kd->dir = directory_new(kd, 0);
  s = segment_new(kd, SLOTS_START, HEAP_START, 0);
  if (!kd->dir || !s) {
    free(s);
    free(kd->dir);
    free(kd);
    return NULL;
  }
  directory_set(kd->dir, 0, s);
  return kd;
}

static void origin_free(origin *o) {
  deferred *d, *next;

  for (size_t i = 0; i < o->from.n_segments; i++) free(o->stand_in[i]);
  for (size_t i = 0; o->deferred && i >> o->from.depth == 0; i++) {
    for (d = o->deferred[i].first; d; d = next) {
      next = d->next;
      free(d);
    }
  }
  free(o->stand_in);
  free(o->deferred);
  free(o->replaced);
  bc_keydir_free(o->reloaded);
  o->from.release(o->from.ctx);
  pthread_mutex_destroy(&o->mutex);
  free(o);
}

void bc_keydir_free(bc_keydir *kd) {
  uintptr_t last = 0, p;
  size_t i;
  if (!kd) return;
  kd->given_up = true;
  if (kd->newest) return;
  for (i = 0; i >> kd->dir->depth == 0; i++) {
    p = atomic_load_explicit(&kd->dir->seg[i], memory_order_relaxed);
    if (p != last && !(p & UNTOUCHED)) segment_free(kd, (segment *)p);
    last = p;
  }
  directory_unref(kd, kd->dir);
  if (kd->origin) origin_free(kd->origin);
  free(kd);
}

uint64_t bc_keydir_seed(const bc_keydir *kd) { return kd->seed; }
static uint64_t count_of(const directory *d) {
  return d->n_keys + (d->origin ? atomic_load(&d->origin->extra_keys) : 0);
}

static uint64_t key_bytes_of(const directory *d) {
  return d->key_bytes + (d->origin ? atomic_load(&d->origin->extra_key_bytes) : 0);
}

uint64_t bc_keydir_count(const bc_keydir *kd) { return count_of(kd->dir); }
uint64_t bc_keydir_key_bytes(const bc_keydir *kd) { return key_bytes_of(kd->dir); }
uint64_t bc_keydir_memory(const bc_keydir *kd) {
  return kd->memory + (kd->origin ? atomic_load(&kd->origin->memory) : 0);
}

static bool get_in(const directory *d, uint64_t hash, const void *key, size_t key_sz,
                   bc_place *out) {
  size_t at = dir_index(d, hash);
  const segment *s = segment_at(d, at);
  uint32_t n_slots = slots_of(d, at), i;
  if (!s) return false;
  i = find_slot(s, n_slots, hash, key, key_sz);
  if (!s->slots[i]) return false;
  if (out) read_place(entry_behind(s, n_slots, s->slots[i]), out);
  return true;
}

bool bc_keydir_get(const bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                   bc_place *out) {
  return get_in(kd->dir, hash, key, key_sz, out);
}

bool bc_keydir_view_get(const bc_keydir_view *view, uint64_t hash, const void *key, size_t key_sz,
                        bc_place *out) {
  return get_in(view->dir, hash, key, key_sz, out);
}

int bc_keydir_put(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place, bc_place *old, bool *had) {
  uint8_t bytes[ENTRY_HEADER];
  segment *s = segment_at(kd->dir, dir_index(kd->dir, hash));
  uint32_t i, need;
  int rc;

  if (!s) return error_of(kd->dir);
  i = find_slot(s, s->n_slots, hash, key, key_sz);
  *had = s->slots[i] != 0;
  if (*had) read_place(entry_at(s, s->slots[i]), old);
  need = *had ? 0 : entry_size((uint32_t)key_sz);
  if (!has_room(kd, s, need)) {
    rc = make_room(kd, hash, need);
    if (rc) return rc;
    s = segment_at(kd->dir, dir_index(kd->dir, hash));
    i = find_slot(s, s->n_slots, hash, key, key_sz);
  }
  if (*had) {
    write_place(entry_at(s, s->slots[i]), place);
    return BITCASK_OK;
  }
  write_place(bytes, place);
  append_entry(s, i, hash, key, (uint32_t)key_sz, bytes);
  kd->dir->n_keys++;
  kd->dir->key_bytes += key_sz;
  return BITCASK_OK;
}

int bc_keydir_remove(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz, bc_place *old,
                     bool *had) {
  segment *s = segment_at(kd->dir, dir_index(kd->dir, hash));
  uint32_t i;
  int rc;

  *had = false;
  if (!s) return error_of(kd->dir);
  i = find_slot(s, s->n_slots, hash, key, key_sz);
  if (!s->slots[i]) return BITCASK_OK;
  *had = true;
  read_place(entry_at(s, s->slots[i]), old);
  if (!has_room(kd, s, 0)) {
    rc = make_room(kd, hash, 0);
    if (rc) return rc;
    s = segment_at(kd->dir, dir_index(kd->dir, hash));
    i = find_slot(s, s->n_slots, hash, key, key_sz);
  }
  remove_entry(kd->seed, s, i);
  kd->dir->n_keys--;
  kd->dir->key_bytes -= key_sz;
  return BITCASK_OK;
}

/* NULL: not touched yet.  Fetching it ahead must not be its first touch. */
static const segment *touched(const directory *d, size_t at) {
  uintptr_t p = atomic_load_explicit(&d->seg[at], memory_order_acquire);
  return p & UNTOUCHED ? NULL : (const segment *)p;
}

void bc_keydir_prefetch_slot(const bc_keydir_view *view, uint64_t hash) {
  size_t at = dir_index(view->dir, hash);
  const segment *s = touched(view->dir, at);
  if (s) __builtin_prefetch(&s->slots[home_slot(hash, slots_of(view->dir, at))]);
}

void bc_keydir_prefetch_entry(const bc_keydir_view *view, uint64_t hash) {
  size_t at = dir_index(view->dir, hash);
  const segment *s = touched(view->dir, at);
  uint32_t n_slots = slots_of(view->dir, at), slot = s ? s->slots[home_slot(hash, n_slots)] : 0;
  if (slot) __builtin_prefetch(entry_behind(s, n_slots, slot));
}

void bc_keydir_prefetch_put_slot(const bc_keydir *kd, uint64_t hash) {
  size_t at = dir_index(kd->dir, hash);
  const segment *s = touched(kd->dir, at);
  if (!s) return;
  __builtin_prefetch(s, 1);
  __builtin_prefetch(&s->slots[home_slot(hash, slots_of(kd->dir, at))], 1);
}

void bc_keydir_prefetch_put_entry(const bc_keydir *kd, uint64_t hash) {
  size_t at = dir_index(kd->dir, hash);
  const segment *s = touched(kd->dir, at);
  uint32_t n_slots = slots_of(kd->dir, at), slot = s ? s->slots[home_slot(hash, n_slots)] : 0;
  if (slot) __builtin_prefetch(entry_behind(s, n_slots, slot), 1);
}

/* ------------------------------------------------------------------- joining */

void bc_keydir_expect(bc_keydir *kd, uint64_t n_keys, uint64_t key_bytes) {
  kd->expected = n_keys * ENTRY_HEADER + key_bytes;
}

/* What was expected and did not come is given back; failing to is no failure.  Where
** that was much, segments are smaller than any that grow by themselves: then not even
** slots are left to grow into. */
static segment *trim(bc_keydir *kd, segment *s) {
  uint32_t live = s->heap_used - s->heap_dead, had = s->heap_cap;
  uint32_t cap = heap_for(kd, s->heap_used, s->depth),
           n_slots = s->count + s->count / 4 + SLOTS_START;
  segment *t;

  if (live < HEAP_SPLIT / 3 && s->n_slots > 2 * n_slots) {
    t = segment_new(kd, n_slots, live + HEAP_START, s->depth);
    if (!t) return s;
    copy_entries(kd->seed, s, t);
    segment_free(kd, s);
    return t;
  }
  t = cap < had ? realloc(s, segment_bytes(s->n_slots, cap)) : NULL;
  if (!t) return s;
  t->heap_cap = cap;
  kd->memory -= had - cap;
  return t;
}

static size_t directory_size(const bc_keydir *kd) { return (size_t)1 << kd->dir->depth; }

/* Split until the keys whose hash begins with the `bits` bits of `prefix` are in
** segments of their own. */
static int set_apart(bc_keydir *kd, uint64_t prefix, unsigned bits) {
  uint64_t hash = bits ? prefix << (64 - bits) : 0;
  int rc = BITCASK_OK;
  while (!rc && segment_at(kd->dir, dir_index(kd->dir, hash))->depth < bits) rc = split(kd, hash);
  return rc;
}

/* Move the segments of the directory's `nth` part, of 2^bits, to `d`, free the
** others, and the table with them. */
static void hand_over(bc_keydir *kd, uint64_t nth, unsigned bits, bc_keydir *to, directory *d) {
  size_t n = directory_size(kd), part = n >> bits, step;
  unsigned deeper = d->depth - kd->dir->depth;
  segment *s;

  kd->expected = 0;
  for (size_t i = 0; i < n; i += step) {
    s = segment_at(kd->dir, i);
    step = (size_t)1 << (kd->dir->depth - s->depth);
    if (i / part == nth) {
      s = trim(kd, s);
      directory_set(d, i << deeper, s);
      to->memory += segment_bytes(s->n_slots, s->heap_cap);
      kd->memory -= segment_bytes(s->n_slots, s->heap_cap);
    } else {
      segment_free(kd, s);
    }
  }
  d->n_keys += kd->dir->n_keys;
  d->key_bytes += kd->dir->key_bytes;
  directory_unref(kd, kd->dir);
}

int bc_keydir_join(bc_keydir *const part[], unsigned log2_n) {
  size_t n = (size_t)1 << log2_n;
  bc_keydir *whole = part[0];
  unsigned depth = log2_n;
  directory *d;

  for (size_t i = 0; i < n; i++) {
    int rc = set_apart(part[i], i, log2_n);
    if (rc) return rc;
    if (part[i]->dir->depth > depth) depth = part[i]->dir->depth;
  }
  d = directory_new(whole, depth);
  if (!d) return BITCASK_NOMEM;
  for (size_t i = 0; i < n; i++) {
    /* Lest a segment seem younger than the first view to come. */
    if (part[i]->version > whole->version) whole->version = part[i]->version;
    hand_over(part[i], i, log2_n, whole, d);
    if (i) free(part[i]);
  }
  whole->dir = d;
  return BITCASK_OK;
}

/* --------------------------------------------------------------------- views */

bc_keydir_view *bc_keydir_view_open(bc_keydir *kd) {
  bc_keydir_view *v = calloc(1, sizeof *v);
  if (!v) return NULL;
  v->dir = kd->dir;
  v->dir->refs++;
  v->version = kd->version++;
  v->older = kd->newest;
  if (v->older) v->older->newer = v;
  kd->newest = v;
  return v;
}

void bc_keydir_view_close(bc_keydir *kd, bc_keydir_view *view) {
  bc_keydir_view *older = view->older;
  segment *s, *next;

  if (view->newer) view->newer->older = older;
  if (older) older->newer = view->newer;
  if (kd->newest == view) kd->newest = older;
  for (s = view->garbage; s; s = next) {
    next = s->next_garbage;
    if (older && older->version >= s->born) {
      s->next_garbage = older->garbage;
      older->garbage = s;
    } else {
      segment_free(kd, s);
    }
  }
  directory_unref(kd, view->dir);
  free(view);
  if (kd->given_up) bc_keydir_free(kd);
}

uint64_t bc_keydir_view_count(const bc_keydir_view *view) { return count_of(view->dir); }

bool bc_keydir_view_next(const bc_keydir_view *view, uint64_t *cursor, const void **key,
                         uint32_t *key_sz, bc_place *place) {
  const directory *d = view->dir;
  size_t at = (size_t)(*cursor >> 32);
  uint32_t i = (uint32_t)*cursor;
  const uint8_t *e;
  const segment *s;

  for (; at >> d->depth == 0; at += (size_t)1 << (d->depth - s->depth), i = 0) {
    s = segment_at(d, at);
    if (!s) break;
    while (i < s->n_slots && !s->slots[i]) i++;
    if (i == s->n_slots) continue;
    e = entry_at(s, s->slots[i]);
    *key = e + ENTRY_HEADER;
    *key_sz = entry_key_sz(e);
    read_place(e, place);
    *cursor = (uint64_t)at << 32 | (i + 1);
    return true;
  }
  *cursor = (uint64_t)at << 32;
  return false;
}

bool bc_keydir_defer(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                     const bc_place *place) {
  uintptr_t p = atomic_load_explicit(&kd->dir->seg[dir_index(kd->dir, hash)], memory_order_relaxed);
  origin *o = kd->origin;
  deferred *d;
  queue *q;

  if (!(p & UNTOUCHED) || kd->newest) return false;
  if (!o->deferred) o->deferred = calloc((size_t)1 << o->from.depth, sizeof *o->deferred);
  if (!o->deferred) return false;
  q = &o->deferred[o->from.depth ? hash >> (64 - o->from.depth) : 0];
  /* All of it goes into one segment at the first touch, which has a limit; made at
  ** once, this change splits that. */
  if (q->bytes + entry_size((uint32_t)key_sz) > HEAP_SPLIT) return false;
  d = malloc(sizeof *d + key_sz);
  if (!d) return false;
  *d = (deferred){.place = *place, .key_sz = (uint32_t)key_sz};
  if (key_sz) memcpy(d->key, key, key_sz);
  if (q->last) {
    q->last->next = d;
  } else {
    q->first = d;
  }
  q->last = d;
  q->bytes += entry_size((uint32_t)key_sz);
  atomic_fetch_add(&o->n_deferred, 1);
  return true;
}

bool bc_keydir_is_settled(const bc_keydir *kd) {
  return !kd->origin || !atomic_load(&kd->origin->n_deferred);
}

bool bc_keydir_touch(bc_keydir *kd, size_t *at, size_t n) {
  if (!kd->origin) return false;
  for (; n && *at >> kd->dir->depth == 0; n--) (void)segment_at(kd->dir, (*at)++);
  return *at >> kd->dir->depth == 0;
}

int bc_keydir_touch_all(bc_keydir *kd) {
  for (size_t at = 0; kd->origin && at >> kd->dir->depth == 0; at++) {
    if (!segment_at(kd->dir, at)) return error_of(kd->dir);
  }
  return BITCASK_OK;
}

int bc_keydir_settle(bc_keydir *kd, bc_keydir_replaced **out, size_t *n) {
  origin *o = kd->origin;
  int rc;

  *out = NULL;
  *n = 0;
  if (bc_keydir_is_settled(kd)) return BITCASK_OK;
  rc = bc_keydir_touch_all(kd);
  if (rc) return rc;
  pthread_mutex_lock(&o->mutex); /* who reads a view may just have made the last one */
  *out = o->replaced;
  *n = o->n_replaced;
  o->replaced = NULL;
  o->n_replaced = o->cap_replaced = 0;
  atomic_store(&o->n_deferred, 0);
  pthread_mutex_unlock(&o->mutex);
  return BITCASK_OK;
}

int bc_keydir_error(const bc_keydir *kd) { return error_of(kd->dir); }
int bc_keydir_view_error(const bc_keydir_view *view) { return error_of(view->dir); }

/* ------------------------------------------------------- saving, restoring */

unsigned bc_keydir_view_depth(const bc_keydir_view *view) { return view->dir->depth; }
uint64_t bc_keydir_view_key_bytes(const bc_keydir_view *view) { return key_bytes_of(view->dir); }

int bc_keydir_view_save(const bc_keydir_view *view, bc_keydir_save_fn fn, void *ctx) {
  const directory *d = view->dir;
  const segment *s;
  segment head;
  int rc = 0;

  for (size_t at = 0; at >> d->depth == 0 && !rc; at += (size_t)1 << (d->depth - s->depth)) {
    s = segment_at(d, at);
    if (!s) return error_of(d);
    memcpy(&head, s, sizeof head);
    head.born = 0;
    head.next_garbage = NULL;
    head.saved = IN_FILE;
    head.heap_cap = s->heap_used;
    head.crc = bc_crc32(bc_crc32(0, &head, offsetof(segment, crc)), &head.saved,
                        sizeof head - offsetof(segment, saved));
    head.crc = bc_crc32(head.crc, s->slots, segment_bytes(s->n_slots, s->heap_used) - sizeof head);
    rc = fn(ctx, s->depth, &head, sizeof head, s->slots,
            segment_bytes(s->n_slots, s->heap_used) - sizeof head);
  }
  return rc;
}

/* The segments' places must tile the hash space and lie in the file. */
static bool fits(const bc_keydir_saved *from) {
  uint64_t slots = 0;
  for (size_t i = 0; i < from->n_segments; i++) {
    const bc_keydir_segment *s = &from->segment[i];
    if (s->depth > from->depth || s->offset % 8 || s->offset > from->size ||
        from->size - s->offset < sizeof(segment) ||
        slots % (UINT64_C(1) << (from->depth - s->depth))) {
      return false;
    }
    slots += UINT64_C(1) << (from->depth - s->depth);
  }
  return from->depth <= MAX_DEPTH && slots == UINT64_C(1) << from->depth;
}

bc_keydir *bc_keydir_restore(const bc_keydir_saved *from) {
  bc_keydir *kd;
  segment **stand_in;
  size_t at = 0, i, j;

  if (!fits(from)) return NULL;
  kd = calloc(1, sizeof *kd);
  if (!kd) return NULL;
  kd->version = 1;
  kd->seed = from->seed;
  kd->memory = sizeof *kd;
  kd->origin = calloc(1, sizeof *kd->origin);
  kd->dir = kd->origin ? directory_new(kd, from->depth) : NULL;
  stand_in = calloc(from->n_segments, sizeof *stand_in);
  if (!kd->dir || !stand_in || pthread_mutex_init(&kd->origin->mutex, NULL)) {
    free(stand_in);
    free(kd->dir);
    free(kd->origin);
    free(kd);
    return NULL;
  }
  kd->origin->from = *from;
  kd->origin->stand_in = stand_in;
  kd->dir->n_keys = from->n_keys;
  kd->dir->key_bytes = from->key_bytes;
  for (i = 0; i < from->n_segments; i++) {
    uintptr_t p = (uintptr_t)(from->base + from->segment[i].offset) + UNTOUCHED;
    for (j = (size_t)1 << (from->depth - from->segment[i].depth); j > 0; j--) {
      atomic_init(&kd->dir->n_slots[at], 1);
      atomic_init(&kd->dir->seg[at++], p);
    }
  }
  return kd;
}
