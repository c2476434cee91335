/*
** test_keydir.c - the hash table alone, against an array that cannot be wrong:
** inserts, replacements, removals, views taken and closed in any order.
*/
#include "bitcask.h"
#include "keydir.h"
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

static void change(bc_keydir *kd, uint64_t *now) {
  unsigned i = (unsigned)draw(N_KEYS);
  char key[MAX_KEY];
  size_t k = key_of(i, key);
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(kd), key, k);
  bc_place p = {.offset = 1 + draw(BC_MAX_OFFSET), .file_id = 7, .total_sz = i}, old;
  bool had;

  if (draw(3)) {
    CHECK_EQ(bc_keydir_put(kd, hash, key, k, &p, &old, &had), 0);
  } else {
    p.offset = 0;
    CHECK_EQ(bc_keydir_remove(kd, hash, key, k, &old, &had), 0);
  }
  CHECK(had == (now[i] != 0) && (!had || old.offset == now[i]));
  now[i] = p.offset;
}

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

int main(void) {
  RUN(random_changes_and_views);
  RUN(extreme_keys);
  RUN(memory_is_accounted_for);
  return test_done();
}
