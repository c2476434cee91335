/* keydir.c - see keydir.h.  How the table and its views share: table.h. */
#include "keydir.h"

#include <stdlib.h>

#include "bitcask.h"
#include "table.h"

/* Where a restored table comes from. */
typedef struct bc_keydir_source {
  bc_keydir_saved from;
  bc_saved *saved;
  bc_keydir *reloaded; /* the table as it was saved, from the log; NULL until needed */
} source;

uint64_t bc_keydir_hash(uint64_t seed, const void *key, size_t key_sz) {
  return bc_segment_hash(seed, key, key_sz);
}

bc_keydir *bc_keydir_new(uint64_t seed) {
  bc_keydir *kd = calloc(1, sizeof *kd);
  bc_segment *s;
  if (!kd) return NULL;
  kd->version = 1;
  kd->seed = seed;
  kd->memory = sizeof *kd;
  kd->dir = bc_directory_new(0, NULL);
  s = bc_table_segment_new(kd, BC_SLOTS_START, BC_HEAP_START, 0);
  if (!kd->dir || !s) {
    free(s);
    free(kd->dir);
    free(kd);
    return NULL;
  }
  kd->memory += bc_directory_bytes(0);
  bc_directory_set(kd->dir, 0, s);
  return kd;
}

static void source_free(source *from) {
  bc_saved_free(from->saved);
  bc_keydir_free(from->reloaded);
  from->from.release(from->from.ctx);
  free(from);
}

void bc_keydir_free(bc_keydir *kd) {
  uintptr_t last = 0, p;
  size_t i;
  if (!kd) return;
  kd->given_up = true;
  if (kd->newest) return;
  for (i = 0; i >> kd->dir->depth == 0; i++) {
    p = atomic_load_explicit(&kd->dir->seg[i], memory_order_relaxed);
    if (p != last && !(p & BC_UNTOUCHED)) bc_table_segment_free(kd, (bc_segment *)p);
    last = p;
  }
  bc_table_unref(kd, kd->dir);
  if (kd->source) source_free(kd->source);
  free(kd);
}

uint64_t bc_keydir_seed(const bc_keydir *kd) { return kd->seed; }
uint64_t bc_keydir_count(const bc_keydir *kd) { return bc_directory_count(kd->dir); }
uint64_t bc_keydir_key_bytes(const bc_keydir *kd) { return bc_directory_key_bytes(kd->dir); }
uint64_t bc_keydir_memory(const bc_keydir *kd) {
  return kd->memory + (kd->source ? atomic_load(&kd->source->saved->memory) : 0);
}

bool bc_keydir_get(const bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                   bc_place *out) {
  return bc_directory_get(kd->dir, hash, key, key_sz, out);
}

bool bc_keydir_view_get(const bc_keydir_view *view, uint64_t hash, const void *key, size_t key_sz,
                        bc_place *out) {
  return bc_directory_get(view->dir, hash, key, key_sz, out);
}

int bc_keydir_put(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place, bc_place *old, bool *had) {
  uint8_t bytes[BC_ENTRY_HEADER];
  bc_segment *s = bc_directory_segment(kd->dir, bc_directory_index(kd->dir, hash));
  uint32_t i, need;
  int rc;

  if (!s) return bc_directory_error(kd->dir);
  i = bc_segment_find(s, s->n_slots, hash, key, key_sz);
  *had = s->slots[i] != 0;
  if (*had) bc_entry_read_place(bc_entry_at(s, s->slots[i]), old);
  need = *had ? 0 : bc_entry_size((uint32_t)key_sz);
  if (!bc_table_has_room(kd, s, need)) {
    rc = bc_table_make_room(kd, hash, need);
    if (rc) return rc;
    s = bc_directory_segment(kd->dir, bc_directory_index(kd->dir, hash));
    i = bc_segment_find(s, s->n_slots, hash, key, key_sz);
  }
  if (*had) {
    bc_entry_write_place(bc_entry_at(s, s->slots[i]), place);
    return BITCASK_OK;
  }
  bc_entry_write_place(bytes, place);
  bc_segment_append(s, i, hash, key, (uint32_t)key_sz, bytes);
  kd->dir->n_keys++;
  kd->dir->key_bytes += key_sz;
  return BITCASK_OK;
}

int bc_keydir_remove(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz, bc_place *old,
                     bool *had) {
  bc_segment *s = bc_directory_segment(kd->dir, bc_directory_index(kd->dir, hash));
  uint32_t i;
  int rc;

  *had = false;
  if (!s) return bc_directory_error(kd->dir);
  i = bc_segment_find(s, s->n_slots, hash, key, key_sz);
  if (!s->slots[i]) return BITCASK_OK;
  *had = true;
  bc_entry_read_place(bc_entry_at(s, s->slots[i]), old);
  if (!bc_table_has_room(kd, s, 0)) {
    rc = bc_table_make_room(kd, hash, 0);
    if (rc) return rc;
    s = bc_directory_segment(kd->dir, bc_directory_index(kd->dir, hash));
    i = bc_segment_find(s, s->n_slots, hash, key, key_sz);
  }
  bc_segment_remove(kd->seed, s, i);
  kd->dir->n_keys--;
  kd->dir->key_bytes -= key_sz;
  return BITCASK_OK;
}

void bc_keydir_prefetch_slot(const bc_keydir_view *view, uint64_t hash) {
  size_t at = bc_directory_index(view->dir, hash);
  const bc_segment *s = bc_directory_touched(view->dir, at);
  if (s) __builtin_prefetch(&s->slots[bc_segment_home(hash, bc_directory_slots(view->dir, at))]);
}

void bc_keydir_prefetch_entry(const bc_keydir_view *view, uint64_t hash) {
  size_t at = bc_directory_index(view->dir, hash);
  const bc_segment *s = bc_directory_touched(view->dir, at);
  uint32_t n_slots = bc_directory_slots(view->dir, at),
           slot = s ? s->slots[bc_segment_home(hash, n_slots)] : 0;
  if (slot) __builtin_prefetch(bc_entry_behind(s, n_slots, slot));
}

void bc_keydir_prefetch_put_slot(const bc_keydir *kd, uint64_t hash) {
  size_t at = bc_directory_index(kd->dir, hash);
  const bc_segment *s = bc_directory_touched(kd->dir, at);
  if (!s) return;
  __builtin_prefetch(s, 1);
  __builtin_prefetch(&s->slots[bc_segment_home(hash, bc_directory_slots(kd->dir, at))], 1);
}

void bc_keydir_prefetch_put_entry(const bc_keydir *kd, uint64_t hash) {
  size_t at = bc_directory_index(kd->dir, hash);
  const bc_segment *s = bc_directory_touched(kd->dir, at);
  uint32_t n_slots = bc_directory_slots(kd->dir, at),
           slot = s ? s->slots[bc_segment_home(hash, n_slots)] : 0;
  if (slot) __builtin_prefetch(bc_entry_behind(s, n_slots, slot), 1);
}

/* ------------------------------------------------------------------- joining */

void bc_keydir_expect(bc_keydir *kd, uint64_t n_keys, uint64_t key_bytes) {
  kd->expected = n_keys * BC_ENTRY_HEADER + key_bytes;
}

/* What was expected and did not come is given back; failing to is no failure.  Where
** that was much, segments are smaller than any that grow by themselves: then not even
** slots are left to grow into. */
static bc_segment *trim(bc_keydir *kd, bc_segment *s) {
  uint32_t live = s->heap_used - s->heap_dead, had = s->heap_cap;
  uint32_t cap = bc_table_heap_for(kd, s->heap_used, s->depth),
           n_slots = s->count + s->count / 4 + BC_SLOTS_START;
  bc_segment *t;

  if (live < BC_HEAP_SPLIT / 3 && s->n_slots > 2 * n_slots) {
    t = bc_table_segment_new(kd, n_slots, live + BC_HEAP_START, s->depth);
    if (!t) return s;
    bc_segment_copy(kd->seed, s, t);
    bc_table_segment_free(kd, s);
    return t;
  }
  t = cap < had ? realloc(s, bc_segment_bytes(s->n_slots, cap)) : NULL;
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
  while (!rc && bc_directory_segment(kd->dir, bc_directory_index(kd->dir, hash))->depth < bits)
    rc = bc_table_split(kd, hash);
  return rc;
}

/* Move the segments of the directory's `nth` part, of 2^bits, to `d`, free the
** others, and the table with them. */
static void hand_over(bc_keydir *kd, uint64_t nth, unsigned bits, bc_keydir *to, bc_directory *d) {
  size_t n = directory_size(kd), part = n >> bits, step;
  unsigned deeper = d->depth - kd->dir->depth;
  bc_segment *s;

  kd->expected = 0;
  for (size_t i = 0; i < n; i += step) {
    s = bc_directory_segment(kd->dir, i);
    step = (size_t)1 << (kd->dir->depth - s->depth);
    if (i / part == nth) {
      s = trim(kd, s);
      bc_directory_set(d, i << deeper, s);
      to->memory += bc_segment_bytes(s->n_slots, s->heap_cap);
      kd->memory -= bc_segment_bytes(s->n_slots, s->heap_cap);
    } else {
      bc_table_segment_free(kd, s);
    }
  }
  d->n_keys += kd->dir->n_keys;
  d->key_bytes += kd->dir->key_bytes;
  bc_table_unref(kd, kd->dir);
}

int bc_keydir_join(bc_keydir *const part[], unsigned log2_n) {
  size_t n = (size_t)1 << log2_n;
  bc_keydir *whole = part[0];
  unsigned depth = log2_n;
  bc_directory *d;

  for (size_t i = 0; i < n; i++) {
    int rc = set_apart(part[i], i, log2_n);
    if (rc) return rc;
    if (part[i]->dir->depth > depth) depth = part[i]->dir->depth;
  }
  d = bc_directory_new(depth, NULL);
  if (!d) return BITCASK_NOMEM;
  whole->memory += bc_directory_bytes(depth);
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
  bc_segment *s, *next;

  if (view->newer) view->newer->older = older;
  if (older) older->newer = view->newer;
  if (kd->newest == view) kd->newest = older;
  for (s = view->garbage; s; s = next) {
    next = s->next_garbage;
    if (older && older->version >= s->born) {
      s->next_garbage = older->garbage;
      older->garbage = s;
    } else {
      bc_table_segment_free(kd, s);
    }
  }
  bc_table_unref(kd, view->dir);
  free(view);
  if (kd->given_up) bc_keydir_free(kd);
}

uint64_t bc_keydir_view_count(const bc_keydir_view *view) { return bc_directory_count(view->dir); }

bool bc_keydir_view_next(const bc_keydir_view *view, uint64_t *cursor, const void **key,
                         uint32_t *key_sz, bc_place *place) {
  return bc_directory_next(view->dir, cursor, key, key_sz, place);
}

bool bc_keydir_defer(bc_keydir *kd, uint64_t hash, const void *key, size_t key_sz,
                     const bc_place *place) {
  if (kd->newest || bc_directory_touched(kd->dir, bc_directory_index(kd->dir, hash))) return false;
  return bc_saved_defer(kd->source->saved, hash, key, key_sz, place);
}

bool bc_keydir_is_settled(const bc_keydir *kd) {
  return !kd->source || !atomic_load(&kd->source->saved->n_deferred);
}

bool bc_keydir_touch(bc_keydir *kd, size_t *at, size_t n) {
  if (!kd->source) return false;
  for (; n && *at >> kd->dir->depth == 0; n--) (void)bc_directory_segment(kd->dir, (*at)++);
  return *at >> kd->dir->depth == 0;
}

int bc_keydir_touch_all(bc_keydir *kd) {
  for (size_t at = 0; kd->source && at >> kd->dir->depth == 0; at++) {
    if (!bc_directory_segment(kd->dir, at)) return bc_directory_error(kd->dir);
  }
  return BITCASK_OK;
}

int bc_keydir_settle(bc_keydir *kd, bc_keydir_replaced **out, size_t *n) {
  int rc;

  *out = NULL;
  *n = 0;
  if (bc_keydir_is_settled(kd)) return BITCASK_OK;
  rc = bc_keydir_touch_all(kd);
  if (!rc) bc_saved_settle(kd->source->saved, out, n);
  return rc;
}

int bc_keydir_error(const bc_keydir *kd) { return bc_directory_error(kd->dir); }
int bc_keydir_view_error(const bc_keydir_view *view) { return bc_directory_error(view->dir); }

/* ------------------------------------------------------- saving, restoring */

unsigned bc_keydir_view_depth(const bc_keydir_view *view) { return view->dir->depth; }
uint64_t bc_keydir_view_key_bytes(const bc_keydir_view *view) {
  return bc_directory_key_bytes(view->dir);
}

int bc_keydir_view_save(const bc_keydir_view *view, size_t *cursor, bc_keydir_save_fn fn, void *ctx,
                        bool *done) {
  const bc_directory *d = view->dir;
  const bc_segment *s;
  bc_segment head;

  *done = *cursor >> d->depth != 0;
  if (*done) return 0;
  s = bc_directory_segment(d, *cursor);
  if (!s) return bc_directory_error(d);
  *cursor += (size_t)1 << (d->depth - s->depth);
  bc_saved_head(s, &head);
  return fn(ctx, s->depth, &head, sizeof head, s->slots,
            bc_segment_bytes(s->n_slots, s->heap_used) - sizeof head);
}

/* bc_saved_remake: from the table that the log gives. */
static int remake(void *ctx, uint64_t prefix, unsigned depth, bc_segment **out) {
  source *from = ctx;
  int rc = from->reloaded ? BITCASK_OK : from->from.reload(from->from.ctx, &from->reloaded);
  if (rc) return rc;
  *out = bc_directory_extract(from->reloaded->dir, from->from.seed, prefix, depth);
  return *out ? BITCASK_OK : BITCASK_NOMEM;
}

bc_keydir *bc_keydir_restore(const bc_keydir_saved *from) {
  bc_saved_file file = {.base = from->base,
                        .size = from->size,
                        .segment = from->segment,
                        .n_segments = from->n_segments,
                        .seed = from->seed,
                        .depth = from->depth};
  bc_keydir *kd = calloc(1, sizeof *kd);
  source *src = calloc(1, sizeof *src);

  if (src) src->saved = bc_saved_new(&file, BC_MAX_DEPTH, remake, src);
  if (kd && src && src->saved) kd->dir = bc_directory_of_saved(src->saved);
  if (!kd || !kd->dir) {
    if (src && src->saved) bc_saved_free(src->saved);
    free(src);
    free(kd);
    return NULL;
  }
  src->from = *from;
  kd->source = src;
  kd->version = 1;
  kd->seed = from->seed;
  kd->memory = sizeof *kd + bc_directory_bytes(from->depth);
  kd->dir->n_keys = from->n_keys;
  kd->dir->key_bytes = from->key_bytes;
  return kd;
}
