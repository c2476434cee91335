/*
** test_keydir.c - the hash table alone, against an array that cannot be wrong:
** inserts, replacements, removals, views taken and closed in any order, parts joined.
*/
#include "bitcask.h"
#include "keydir.h"
#include "oom.h"
#include "test.h"

enum { N_KEYS = 6000, N_VIEWS = 6, MAX_KEY = 40 };

/* What the table should hold: the offset of key i, 0 if it is not there. */
typedef uint64_t contents[N_KEYS];

typedef struct frozen {
  bc_keydir_view *view;
  contents want;
} frozen;

static uint64_t rng = 88172645463325252u;

static uint64_t draw(uint64_t n) {
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return rng % n;
}

static size_t key_of(unsigned i, char key[MAX_KEY]) {
  return (size_t)snprintf(key, MAX_KEY, "%*s%u", (int)(i % 23), "", i);
}

static uint64_t count_of(const uint64_t *c) {
  uint64_t n = 0;
  for (unsigned i = 0; i < N_KEYS; i++) n += c[i] != 0;
  return n;
}

/* The iteration of a view gives every key once, with its place; lookups agree. */
static void check_view(bc_keydir *kd, bc_keydir_view *v, const uint64_t *want) {
  static bool seen[N_KEYS];
  uint64_t cursor = 0, n = 0;
  uint32_t key_sz;
  const void *key;
  bc_place p;
  char text[MAX_KEY];

  memset(seen, 0, sizeof seen);
  while (bc_keydir_view_next(v, &cursor, &key, &key_sz, &p)) {
    unsigned i;
    memcpy(text, key, key_sz);
    text[key_sz] = 0;
    i = (unsigned)strtoul(text, NULL, 10);
    CHECK(i < N_KEYS && !seen[i] && want[i] == p.offset && p.total_sz == i);
    if (i < N_KEYS) seen[i] = true;
    n++;
  }
  CHECK_EQ(n, count_of(want));
  CHECK_EQ(bc_keydir_view_count(v), n);
  for (unsigned i = 0; i < N_KEYS; i++) {
    size_t k = key_of(i, text);
    bool there = bc_keydir_view_get(v, bc_keydir_hash(bc_keydir_seed(kd), text, k), text, k, &p);
    CHECK(there == (want[i] != 0) && (!there || p.offset == want[i]));
  }
}

/* In the one of 2^log2_n tables that the key's hash begins with. */
static void change_part(bc_keydir *const part[], unsigned log2_n, uint64_t *now) {
  unsigned i = (unsigned)draw(N_KEYS);
  char key[MAX_KEY];
  size_t k = key_of(i, key);
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(part[0]), key, k);
  bc_keydir *kd = part[log2_n ? hash >> (64 - log2_n) : 0];
  bc_place p = {.offset = 1 + draw(BC_MAX_OFFSET), .file_id = 7, .total_sz = i}, old;
  bool had;

  if (draw(2)) {
    bc_keydir_prefetch_put_slot(kd, hash);
    bc_keydir_prefetch_put_entry(kd, hash);
  }
  if (draw(3)) {
    CHECK_EQ(bc_keydir_put(kd, hash, key, k, &p, &old, &had), 0);
  } else {
    p.offset = 0;
    CHECK_EQ(bc_keydir_remove(kd, hash, key, k, &old, &had), 0);
  }
  CHECK(had == (now[i] != 0) && (!had || old.offset == now[i]));
  now[i] = p.offset;
}

static void change(bc_keydir *kd, uint64_t *now) { change_part(&kd, 0, now); }

static void random_changes_and_views(void) {
  static contents now;
  static frozen f[N_VIEWS];
  bc_keydir *kd = bc_keydir_new(4711);

  memset(now, 0, sizeof now);
  for (unsigned round = 0; round < 3000 && !test_bad; round++) {
    frozen *at = &f[draw(N_VIEWS)];
    for (uint64_t n = draw(200); n-- > 0;) change(kd, now);
    if (at->view) {
      check_view(kd, at->view, at->want);
      bc_keydir_view_close(kd, at->view);
      at->view = NULL;
    } else if (draw(2)) {
      at->view = bc_keydir_view_open(kd);
      memcpy(at->want, now, sizeof now);
    }
    CHECK_EQ(bc_keydir_count(kd), count_of(now));
  }
  /* Given up with views open: they stay good, and the last one frees it. */
  bc_keydir_free(kd);
  for (int i = 0; i < N_VIEWS; i++) {
    if (!f[i].view) continue;
    check_view(kd, f[i].view, f[i].want);
    bc_keydir_view_close(kd, f[i].view);
    f[i].view = NULL;
  }
}

/* Parts that are filled apart, with views meanwhile, become one table that goes on
** as if it had always been one. */
static void check_join(unsigned log2_n, unsigned n_changes) {
  static contents now, then;
  bc_keydir *part[8], *kd;
  bc_keydir_view *v;
  uint64_t memory = 0;

  memset(now, 0, sizeof now);
  for (unsigned i = 0; i < 1u << log2_n; i++) part[i] = bc_keydir_new(4711);
  for (unsigned n = 0; n < n_changes; n++) {
    bc_keydir *one = part[draw(1u << log2_n)];
    v = n % 1000 ? NULL : bc_keydir_view_open(one);
    for (unsigned k = 0; k < 3; k++) change_part(part, log2_n, now);
    if (v) bc_keydir_view_close(one, v);
    if (n % 100 == 99) bc_keydir_expect(one, draw(100000), draw(1000000));
  }
  for (unsigned i = 0; i < 1u << log2_n; i++) memory += bc_keydir_memory(part[i]);
  CHECK_EQ(bc_keydir_join(part, log2_n), 0);
  kd = part[0];
  CHECK_EQ(bc_keydir_count(kd), count_of(now));
  CHECK(bc_keydir_memory(kd) < memory + (1u << 16));
  v = bc_keydir_view_open(kd);
  check_view(kd, v, now);
  memcpy(then, now, sizeof now);
  for (unsigned n = 0; n < 20000; n++) change(kd, now);
  check_view(kd, v, then);
  bc_keydir_view_close(kd, v);
  v = bc_keydir_view_open(kd);
  check_view(kd, v, now);
  bc_keydir_view_close(kd, v);
  bc_keydir_free(kd);
}

static void parts_become_one(void) {
  static const unsigned sizes[] = {0, 1, 10, 300, 20000};
  for (unsigned log2_n = 0; log2_n <= 3; log2_n++) {
    for (size_t i = 0; i < sizeof sizes / sizeof sizes[0]; i++) check_join(log2_n, sizes[i]);
  }
}

/* Out of memory at any allocation: the parts are still whole, and the caller's. */
static void join_without_memory(void) {
  for (uint64_t nth = 1;; nth++) {
    static contents now;
    bc_keydir *part[4];
    uint64_t keys = 0;
    int rc;

    memset(now, 0, sizeof now);
    for (unsigned i = 0; i < 4; i++) part[i] = bc_keydir_new(4711);
    for (unsigned n = 0; n < 300; n++) change_part(part, 2, now);
    oom_arm(nth);
    oom_enter();
    rc = bc_keydir_join(part, 2);
    oom_leave();
    oom_arm(0);
    if (!rc) {
      CHECK_EQ(bc_keydir_count(part[0]), count_of(now));
      CHECK(nth > 1);
      bc_keydir_free(part[0]);
      return;
    }
    CHECK_EQ(rc, BITCASK_NOMEM);
    for (unsigned i = 0; i < 4; i++) {
      keys += bc_keydir_count(part[i]);
      bc_keydir_free(part[i]);
    }
    CHECK_EQ(keys, count_of(now));
  }
}

/* Keys of 65,535 bytes, empty keys, and far more of one kind than a segment holds. */
static void extreme_keys(void) {
  bc_keydir *kd = bc_keydir_new(1);
  static char key[65535];
  bc_place p = {.offset = 5, .file_id = 1, .total_sz = 9}, got, old;
  bool had;

  for (unsigned i = 0; i < 300; i++) {
    memset(key, (int)(i % 251), sizeof key);
    memcpy(key, &i, sizeof i);
    p.offset = i;
    CHECK_EQ(bc_keydir_put(kd, bc_keydir_hash(1, key, sizeof key), key, sizeof key, &p, &old, &had),
             0);
    CHECK(!had);
  }
  CHECK_EQ(bc_keydir_put(kd, bc_keydir_hash(1, "", 0), "", 0, &p, &old, &had), 0);
  for (unsigned i = 0; i < 300; i++) {
    memset(key, (int)(i % 251), sizeof key);
    memcpy(key, &i, sizeof i);
    CHECK(bc_keydir_get(kd, bc_keydir_hash(1, key, sizeof key), key, sizeof key, &got));
    CHECK_EQ(got.offset, i);
  }
  CHECK(bc_keydir_get(kd, bc_keydir_hash(1, "", 0), "", 0, &got));
  CHECK_EQ(bc_keydir_count(kd), 301);
  bc_keydir_free(kd);
}

/* Memory follows the number of keys down as well as up. */
static void memory_is_accounted_for(void) {
  bc_keydir *kd = bc_keydir_new(9);
  bc_place p = {.offset = 1, .file_id = 1, .total_sz = 30}, old;
  bool had;
  char key[17];

  for (unsigned i = 0; i < 200000; i++) {
    snprintf(key, sizeof key, "%016u", i);
    CHECK_EQ(bc_keydir_put(kd, bc_keydir_hash(9, key, 16), key, 16, &p, &old, &had), 0);
  }
  CHECK(bc_keydir_memory(kd) < 200000 * 64);
  CHECK_EQ(bc_keydir_key_bytes(kd), 200000 * 16);
  bc_keydir_free(kd);
}

/* More was expected than came: what a join leaves is no larger than without. */
static void expectations_are_given_back(void) {
  uint64_t memory[2];
  for (int expecting = 0; expecting < 2; expecting++) {
    bc_keydir *kd = bc_keydir_new(9);
    bc_place p = {.offset = 1, .file_id = 1, .total_sz = 30}, old;
    bool had;
    char key[17];

    for (unsigned i = 0; i < 60000; i++) {
      snprintf(key, sizeof key, "%016u", i);
      if (expecting && i == 1000) bc_keydir_expect(kd, 200000, 3200000);
      CHECK_EQ(bc_keydir_put(kd, bc_keydir_hash(9, key, 16), key, 16, &p, &old, &had), 0);
    }
    if (expecting) CHECK(bc_keydir_memory(kd) > memory[0] + memory[0] / 8);
    CHECK_EQ(bc_keydir_join(&kd, 0), 0);
    memory[expecting] = bc_keydir_memory(kd);
    for (unsigned i = 0; i < 60000; i++) {
      snprintf(key, sizeof key, "%016u", i);
      CHECK(bc_keydir_get(kd, bc_keydir_hash(9, key, 16), key, 16, NULL));
    }
    bc_keydir_free(kd);
  }
  /* Slots that were made for the whole way to the next split stay. */
  CHECK(memory[1] < memory[0] + memory[0] / 12);
}

/* ---------------------------------------------------------- saved and restored */

enum { FILE_SZ = 4 << 20, MAX_SEGMENTS = 4096 };

typedef struct image {
  uint8_t *base;
  size_t size;
  bc_keydir_segment segment[MAX_SEGMENTS];
  size_t n_segments;
  contents saved;
  int n_reloads, n_released;
} image;

static int save_segment(void *ctx, unsigned depth, const void *head, size_t head_sz,
                        const void *body, size_t body_sz) {
  image *im = ctx;
  im->size = (im->size + 63) / 64 * 64;
  im->segment[im->n_segments++] = (bc_keydir_segment){.offset = im->size, .depth = depth};
  memcpy(im->base + im->size, head, head_sz);
  memcpy(im->base + im->size + head_sz, body, body_sz);
  im->size += head_sz + body_sz;
  CHECK(im->size < FILE_SZ && im->n_segments < MAX_SEGMENTS);
  return 0;
}

static bool set(bc_keydir *kd, uint64_t *now, unsigned i, uint64_t offset) {
  char key[MAX_KEY];
  size_t k = key_of(i, key);
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(kd), key, k);
  bc_place p = {.offset = offset, .file_id = 7, .total_sz = offset ? i : 0}, old;
  bool had, later = bc_keydir_defer(kd, hash, key, k, &p);

  if (!later && offset) CHECK_EQ(bc_keydir_put(kd, hash, key, k, &p, &old, &had), 0);
  if (!later && !offset) CHECK_EQ(bc_keydir_remove(kd, hash, key, k, &old, &had), 0);
  now[i] = offset;
  return later;
}

static int reload(void *ctx, bc_keydir **out) {
  image *im = ctx;
  contents again;
  *out = bc_keydir_new(4711);
  for (unsigned i = 1; i < N_KEYS; i++) {
    if (im->saved[i]) set(*out, again, i, im->saved[i]);
  }
  im->n_reloads++;
  return 0;
}

static void released(void *ctx) { ((image *)ctx)->n_released++; }

static bc_keydir *save_and_restore(bc_keydir *kd, image *im, unsigned n_flips) {
  bc_keydir_view *v = bc_keydir_view_open(kd);
  size_t cursor = 0;
  bool done = false;
  bc_keydir_saved from = {.base = im->base,
                          .segment = im->segment,
                          .seed = 4711,
                          .n_keys = bc_keydir_view_count(v),
                          .key_bytes = bc_keydir_view_key_bytes(v),
                          .depth = bc_keydir_view_depth(v),
                          .reload = reload,
                          .release = released,
                          .ctx = im};

  while (!done) CHECK_EQ(bc_keydir_view_save(v, &cursor, save_segment, im, &done), 0);
  bc_keydir_view_close(kd, v);
  bc_keydir_free(kd);
  for (; n_flips > 0; n_flips--) im->base[draw(im->size)] ^= (uint8_t)(1u << draw(8));
  from.size = im->size;
  from.n_segments = im->n_segments;
  return bc_keydir_restore(&from);
}

/* A look at a key touches the part of the table that it is in. */
static void look_at(const bc_keydir *kd, const uint64_t *now, unsigned i) {
  char key[MAX_KEY];
  size_t k = key_of(i, key);
  bc_place p = {0};
  CHECK(bc_keydir_get(kd, bc_keydir_hash(bc_keydir_seed(kd), key, k), key, k, &p));
  CHECK_EQ(p.offset, now[i]);
}

/* Changes before and after the first touches; views; damage. */
static void restored(unsigned n_flips) {
  static image im;
  static contents now;
  static frozen f;
  bc_keydir_replaced *r;
  uint64_t n_replaced = 0, n_told = 0;
  bc_keydir *kd = bc_keydir_new(4711);
  size_t n;

  memset(now, 0, sizeof now);
  im = (image){.base = aligned_alloc(64, FILE_SZ)};
  memset(im.base, 0, FILE_SZ);
  for (int i = 0; i < 20000; i++) {
    unsigned key = 1 + (unsigned)draw(N_KEYS - 1);
    set(kd, now, key, draw(3) ? 1 + draw(BC_MAX_OFFSET) : 0);
  }
  memcpy(im.saved, now, sizeof now);
  kd = save_and_restore(kd, &im, n_flips);
  CHECK(kd != NULL);
  for (int i = 0; i < 3000; i++) {
    unsigned key = 1 + (unsigned)draw(N_KEYS - 1);
    bool had = now[key] != 0;
    if (set(kd, now, key, draw(3) ? 1 + draw(BC_MAX_OFFSET) : 0)) n_replaced += had;
  }
  f.view = bc_keydir_view_open(kd);
  memcpy(f.want, now, sizeof now);
  for (int i = 0; i < 3000; i++) {
    CHECK(!set(kd, now, 1 + (unsigned)draw(N_KEYS - 1), draw(3) ? 1 + draw(BC_MAX_OFFSET) : 0));
  }
  CHECK_EQ(bc_keydir_settle(kd, &r, &n), 0);
  CHECK(bc_keydir_is_settled(kd));
  for (size_t i = 0; i < n; i++) n_told += r[i].keys;
  CHECK_EQ(n_told, n_replaced);
  free(r);
  check_view(kd, f.view, f.want);
  CHECK_EQ(bc_keydir_count(kd), count_of(now));
  bc_keydir_view_close(kd, f.view);
  f.view = bc_keydir_view_open(kd);
  check_view(kd, f.view, now);
  CHECK_EQ(im.n_released, 0);
  bc_keydir_free(kd);
  check_view(kd, f.view, now);
  bc_keydir_view_close(kd, f.view);
  CHECK_EQ(im.n_released, 1);
  CHECK_EQ(im.n_reloads, n_flips ? 1 : 0);
  free(im.base);
}

static void restored_sound(void) {
  for (int i = 0; i < 20 && !test_bad; i++) restored(0);
}

static void restored_damaged(void) {
  for (unsigned i = 1; i < 20 && !test_bad; i++) restored(i);
}

/* A segment stands at more places of the directory than one if others have been split more often.
** Touched at one of them it is touched at all: nothing is deferred to the others any more. */
static void touched_at_all_places(void) {
  static image im;
  static contents now;
  bc_keydir *kd = bc_keydir_new(4711);
  unsigned of_quarter[2] = {0};

  memset(now, 0, sizeof now);
  im = (image){.base = aligned_alloc(64, FILE_SZ)};
  memset(im.base, 0, FILE_SZ);
  for (unsigned i = 1; i < N_KEYS; i++) {
    char key[MAX_KEY];
    size_t k = key_of(i, key);
    uint64_t hash = bc_keydir_hash(4711, key, k);
    if (!(hash >> 63) && of_quarter[hash >> 62]) continue;
    if (!(hash >> 63)) of_quarter[hash >> 62] = i;
    set(kd, now, i, i);
  }
  memcpy(im.saved, now, sizeof now);
  kd = save_and_restore(kd, &im, 0);
  CHECK(im.n_segments > 2 && im.segment[0].depth == 1);
  look_at(kd, now, of_quarter[0]);
  CHECK(!set(kd, now, of_quarter[1], 77));
  look_at(kd, now, of_quarter[1]);
  bc_keydir_free(kd);
  free(im.base);
}

int main(void) {
  RUN(random_changes_and_views);
  RUN(extreme_keys);
  RUN(memory_is_accounted_for);
  RUN(expectations_are_given_back);
  RUN(parts_become_one);
  RUN(join_without_memory);
  RUN(restored_sound);
  RUN(restored_damaged);
  RUN(touched_at_all_places);
  return test_done();
}
