/* saved.c - see saved.h. */
#include "saved.h"

#include <stdlib.h>

#include "bitcask.h"
#include "crc32.h"

/* A change that waits for the first touch of its segment. */
typedef struct deferred {
  struct deferred *next;
  bc_place place; /* total_sz 0: removed */
  uint32_t key_sz;
  uint8_t key[];
} deferred;

/* Those of one part of the hash space, in order. */
struct bc_saved_queue {
  deferred *first, *last;
  uint32_t bytes; /* of the entries they may become */
};

/* The segments' places must tile the hash space and lie in the file. */
static bool is_sound_table(const bc_saved_file *from, unsigned max_depth) {
  uint64_t slots = 0;
  for (size_t i = 0; i < from->n_segments; i++) {
    const bc_keydir_segment *s = &from->segment[i];
    if (s->depth > from->depth || s->offset % 8 || s->offset > from->size ||
        from->size - s->offset < sizeof(bc_segment) ||
        slots % (UINT64_C(1) << (from->depth - s->depth))) {
      return false;
    }
    slots += UINT64_C(1) << (from->depth - s->depth);
  }
  return from->depth <= max_depth && slots == UINT64_C(1) << from->depth;
}

bc_saved *bc_saved_new(const bc_saved_file *file, unsigned max_depth, bc_saved_remake remake,
                       void *ctx) {
  bc_saved *sv = is_sound_table(file, max_depth) ? calloc(1, sizeof *sv) : NULL;
  if (!sv) return NULL;
  sv->file = *file;
  sv->remake = remake;
  sv->ctx = ctx;
  sv->stand_in = calloc(file->n_segments, sizeof *sv->stand_in);
  if (sv->stand_in && !pthread_mutex_init(&sv->mutex, NULL)) return sv;
  free(sv->stand_in);
  free(sv);
  return NULL;
}

void bc_saved_free(bc_saved *sv) {
  deferred *d, *next;

  for (size_t i = 0; i < sv->file.n_segments; i++) free(sv->stand_in[i]);
  for (size_t i = 0; sv->deferred && i >> sv->file.depth == 0; i++) {
    for (d = sv->deferred[i].first; d; d = next) {
      next = d->next;
      free(d);
    }
  }
  free(sv->stand_in);
  free(sv->deferred);
  free(sv->replaced);
  pthread_mutex_destroy(&sv->mutex);
  free(sv);
}

/* Of all bytes but the CRC itself. */
static uint32_t crc_of(const bc_segment *head, const void *body, size_t body_sz) {
  uint32_t crc = bc_crc32(0, head, offsetof(bc_segment, crc));
  crc = bc_crc32(crc, &head->saved, sizeof *head - offsetof(bc_segment, saved));
  return bc_crc32(crc, body, body_sz);
}

void bc_saved_head(const bc_segment *s, bc_segment *head) {
  /* Not next_garbage: the table may be replacing a segment that a view reads. */
  *head = (bc_segment){.saved = BC_SEGMENT_IN_FILE,
                       .n_slots = s->n_slots,
                       .count = s->count,
                       .heap_cap = s->heap_used,
                       .heap_used = s->heap_used,
                       .heap_dead = s->heap_dead,
                       .depth = s->depth};
  head->crc = crc_of(head, s->slots, bc_segment_bytes(s->n_slots, s->heap_used) - sizeof *s);
}

/* Is what the file says at `s` a segment, whole and as it was written? */
static bool is_sound(const bc_saved *sv, const bc_segment *s) {
  size_t left = sv->file.size - (size_t)((const uint8_t *)s - sv->file.base);
  return s->saved == BC_SEGMENT_IN_FILE && !s->born && s->n_slots && s->n_slots <= left / 4 &&
         s->heap_cap <= left && bc_segment_bytes(s->n_slots, s->heap_cap) <= left &&
         crc_of(s, s->slots, bc_segment_bytes(s->n_slots, s->heap_cap) - sizeof *s) == s->crc;
}

/* Room for `n` more calls of note_replaced: changes that have been taken off their
** queue in part could not be made a second time. */
static int reserve_replaced(bc_saved *sv, size_t n) {
  size_t cap = 2 * sv->cap_replaced;
  void *p;

  if (sv->cap_replaced - sv->n_replaced >= n) return BITCASK_OK;
  if (cap < sv->n_replaced + n) cap = sv->n_replaced + n;
  p = realloc(sv->replaced, cap * sizeof *sv->replaced);
  if (!p) return BITCASK_NOMEM;
  sv->replaced = p;
  sv->cap_replaced = cap;
  return BITCASK_OK;
}

/* Append to what the caller of bc_keydir_settle will be told. */
static void note_replaced(bc_saved *sv, const bc_place *old) {
  size_t i = sv->n_replaced;

  /* Records of one file come together. */
  while (i > 0 && sv->replaced[i - 1].file_id != old->file_id && sv->n_replaced - i < 8) i--;
  if (i == 0 || sv->replaced[i - 1].file_id != old->file_id) {
    i = ++sv->n_replaced;
    sv->replaced[i - 1] = (bc_keydir_replaced){.file_id = old->file_id};
  }
  sv->replaced[i - 1].keys++;
  sv->replaced[i - 1].bytes += old->total_sz;
}

static void apply_deferred(bc_saved *sv, bc_segment *s, const deferred *d) {
  uint64_t hash = bc_segment_hash(sv->file.seed, d->key, d->key_sz);
  uint32_t i = bc_segment_find(s, s->n_slots, hash, d->key, d->key_sz);
  uint8_t bytes[BC_ENTRY_HEADER];
  bool had = s->slots[i] != 0;
  bc_place old;

  if (had) {
    bc_entry_read_place(bc_entry_at(s, s->slots[i]), &old);
    note_replaced(sv, &old);
  }
  if (!d->place.total_sz) {
    if (had) {
      bc_segment_remove(sv->file.seed, s, i);
      atomic_fetch_sub(&sv->extra_keys, 1);
      atomic_fetch_sub(&sv->extra_key_bytes, d->key_sz);
    }
  } else if (had) {
    bc_entry_write_place(bc_entry_at(s, s->slots[i]), &d->place);
  } else {
    bc_entry_write_place(bytes, &d->place);
    bc_segment_append(s, i, hash, d->key, d->key_sz, bytes);
    atomic_fetch_add(&sv->extra_keys, 1);
    atomic_fetch_add(&sv->extra_key_bytes, d->key_sz);
  }
}

/* A copy of a segment with room for all that is deferred for the `n` parts of the
** hash space from `first` on, and that applied.  NULL: out of memory, and all is
** deferred still. */
static bc_segment *with_deferred(bc_saved *sv, const bc_segment *from, size_t first, size_t n) {
  uint64_t bytes = from->heap_used;
  uint32_t count = from->count, n_slots;
  deferred *d, *next;
  bc_segment *s;

  for (size_t i = first; i < first + n; i++) {
    for (d = sv->deferred[i].first; d; d = d->next) count++;
    bytes += sv->deferred[i].bytes;
  }
  if (reserve_replaced(sv, count - from->count)) return NULL;
  n_slots = count + count / 7 + 1 > from->n_slots
                ? bc_segment_slots_for(count, (uint32_t)bytes, (uint32_t)bytes)
                : from->n_slots;
  s = bytes <= BC_HEAP_MAX ? calloc(1, bc_segment_bytes(n_slots, (uint32_t)bytes)) : NULL;
  if (!s) return NULL;
  s->saved = BC_SEGMENT_STAND_IN;
  s->n_slots = n_slots;
  s->heap_cap = (uint32_t)bytes;
  s->depth = from->depth;
  bc_segment_copy(sv->file.seed, from, s);
  for (size_t i = first; i < first + n; i++) {
    for (d = sv->deferred[i].first; d; d = next) {
      next = d->next;
      apply_deferred(sv, s, d);
      free(d);
    }
    sv->deferred[i] = (bc_saved_queue){NULL, NULL, 0};
  }
  return s;
}

bc_segment *bc_saved_segment(bc_saved *sv, size_t k, size_t first, size_t n) {
  bc_segment *s = (bc_segment *)(uintptr_t)(sv->file.base + sv->file.segment[k].offset),
             *own = NULL;
  unsigned depth = sv->file.segment[k].depth;
  int rc = BITCASK_OK;

  if (sv->stand_in[k]) return sv->stand_in[k];
  if (!is_sound(sv, s)) {
    rc = sv->remake(sv->ctx, first >> (sv->file.depth - depth), depth, &own);
    if (own) own->saved = BC_SEGMENT_STAND_IN;
    s = own;
  }
  if (s && sv->deferred) {
    bool any = false;
    for (size_t i = first; i < first + n; i++) any |= sv->deferred[i].first != NULL;
    if (any) {
      s = with_deferred(sv, s, first, n);
      free(own);
      own = s;
    }
  }
  if (own) {
    own->crc = (uint32_t)k;
    atomic_fetch_add(&sv->memory, bc_segment_bytes(own->n_slots, own->heap_cap));
  }
  sv->stand_in[k] = own;
  if (!s) atomic_store(&sv->error, rc ? rc : BITCASK_NOMEM);
  return s;
}

size_t bc_saved_number(const bc_saved *sv, uint64_t offset) {
  size_t lo = 0, hi = sv->file.n_segments, mid;
  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (sv->file.segment[mid].offset <= offset) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return lo;
}

void bc_saved_drop(bc_saved *sv, bc_segment *s) {
  sv->stand_in[s->crc] = NULL;
  atomic_fetch_sub(&sv->memory, bc_segment_bytes(s->n_slots, s->heap_cap));
  free(s);
}

bool bc_saved_defer(bc_saved *sv, uint64_t hash, const void *key, size_t key_sz,
                    const bc_place *place) {
  deferred *d;
  bc_saved_queue *q;

  if (!sv->deferred) sv->deferred = calloc((size_t)1 << sv->file.depth, sizeof *sv->deferred);
  if (!sv->deferred) return false;
  q = &sv->deferred[sv->file.depth ? hash >> (64 - sv->file.depth) : 0];
  /* All of it goes into one segment at the first touch, which has a limit; made at
  ** once, this change splits that. */
  if (q->bytes + bc_entry_size((uint32_t)key_sz) > BC_HEAP_SPLIT) return false;
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
  q->bytes += bc_entry_size((uint32_t)key_sz);
  atomic_fetch_add(&sv->n_deferred, 1);
  return true;
}

void bc_saved_settle(bc_saved *sv, bc_keydir_replaced **out, size_t *n) {
  pthread_mutex_lock(&sv->mutex); /* who reads a view may just have made the last one */
  *out = sv->replaced;
  *n = sv->n_replaced;
  sv->replaced = NULL;
  sv->n_replaced = sv->cap_replaced = 0;
  atomic_store(&sv->n_deferred, 0);
  pthread_mutex_unlock(&sv->mutex);
}
