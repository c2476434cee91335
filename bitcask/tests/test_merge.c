/*
** test_merge.c - table M of the reference's interop cases as far as our own
** merge goes: no deleted key comes back, no readable record is lost, and the
** policy decides as the reference's.  interop/run has what the reference's merge
** does to our files.
*/
#include "test.h"

#include "craft.h"

#include <pthread.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <time.h>

static void close_ok(bitcask *bc) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void save(craft *c, const char *dir, uint32_t id, craft_hint_kind kind) {
  craft_save(c, dir, id, kind);
  craft_clear(c);
}

static bitcask_merge_result merge_with(bitcask *bc, bitcask_merge_kind kind, const uint32_t *ids,
                                       size_t n) {
  bitcask_merge_options o = {.kind = kind, .file_ids = ids, .n_file_ids = n};
  bitcask_merge_result r = {0};
  bitcask_error e = {0};

  CHECK_OK(bitcask_merge(bc, &o, &r, &e), &e);
  return r;
}

/* Merge the files of the 0-ended list; the directory must then read as `want`,
** also when every hint is gone. */
static bitcask_merge_result check_merge(const char *dir, const uint32_t *ids, const char *want) {
  bitcask *bc = craft_open_rw(dir);
  bitcask_merge_result r;
  size_t n = 0;

  while (ids[n]) {
    n++;
  }
  r = merge_with(bc, BITCASK_MERGE_FILES, ids, n);
  CHECK_TEXT(craft_dump(bc), want);
  close_ok(bc);
  for (size_t i = 0; i < n; i++) {
    CHECK_EQ(craft_size(dir, craft_name(ids[i], "data")), -1);
  }
  CHECK_DIR(dir, want);
  craft_remove_hints(dir);
  CHECK_DIR(dir, want);
  return r;
}

#define MERGE(dir, want, ...) check_merge((dir), (const uint32_t[]){__VA_ARGS__, 0}, (want))

/* 1: k=A j=J, 2: a tombstone of k and m=M. */
static void deleted_in_second(const char *dir, int version, craft_hint_kind first_kind) {
  craft c = {0};

  craft_put(&c, 100, "k", "A");
  craft_put(&c, 100, "j", "J");
  save(&c, dir, 1, first_kind);
  craft_tombstone(&c, 101, "k", version, 1);
  craft_put(&c, 101, "m", "M");
  save(&c, dir, 2, CRAFT_HINT);
}

static void M1_tombstone_survives_a_partial_merge(void) {
  for (int version = 0; version <= 2; version++) {
    const char *dir = craft_dir();

    deleted_in_second(dir, version, CRAFT_HINT);
    MERGE(dir, "j=J m=M", 2);
    MERGE(dir, "j=J m=M", 1);
  }
}

static void M2_target_without_a_valid_hint(void) {
  for (int version = 0; version <= 2; version++) {
    const char *dir = craft_dir();

    deleted_in_second(dir, version, CRAFT_NO_HINT);
    MERGE(dir, "j=J m=M", 2);
    dir = craft_dir();
    deleted_in_second(dir, version, CRAFT_OPEN_HINT);
    MERGE(dir, "j=J m=M", 2);
  }
}

static void M3_target_with_a_torn_tail(void) {
  const char *dir = craft_dir();
  craft c = {0};

  deleted_in_second(dir, 2, CRAFT_HINT);
  craft_put(&c, 100, "k", "A");
  craft_put(&c, 100, "j", "J");
  craft_put(&c, 100, "torn", "torn");
  c.data_sz -= 2;
  save(&c, dir, 1, CRAFT_OPEN_HINT);
  MERGE(dir, "j=J m=M", 2);
  CHECK_EQ(craft_size(dir, "1.bitcask.data"), 32);
}

static void M4_overwrite_tombstone_and_value(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "k", "A");
  save(&c, dir, 1, CRAFT_HINT);
  craft_tombstone(&c, 101, "k", 2, 1);
  craft_put(&c, 101, "k", "B");
  save(&c, dir, 2, CRAFT_HINT);
  MERGE(dir, "k=B", 2);
  MERGE(dir, "k=B", 1);
}

static int64_t total_data(const char *dir) {
  int64_t sum = 0;

  for (uint32_t id = 0; id <= craft_highest_id(dir); id++) {
    int64_t size = craft_size(dir, craft_name(id, "data"));

    sum += size > 0 ? size : 0;
  }
  return sum;
}

static void M5_target_gone(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_tombstone(&c, 101, "k", 2, 1);
  craft_put(&c, 101, "m", "M");
  save(&c, dir, 2, CRAFT_HINT);
  MERGE(dir, "m=M", 2);
  /* No file is below: the tombstone has nothing left to hide. */
  CHECK_EQ(total_data(dir), 16);
}

static void M6_old_tombstone_full_merge(void) {
  const char *dir = craft_dir();

  deleted_in_second(dir, 0, CRAFT_HINT);
  MERGE(dir, "j=J m=M", 1, 2);
  CHECK_EQ(total_data(dir), 32);
}

static void M6_old_tombstone_prefix_merge(void) {
  const char *dir = craft_dir();
  craft c = {0};

  deleted_in_second(dir, 0, CRAFT_HINT);
  craft_put(&c, 102, "n", "N");
  save(&c, dir, 3, CRAFT_HINT);
  MERGE(dir, "j=J m=M n=N", 1, 2);
  CHECK_EQ(total_data(dir), 48);
}

static void M7_ids_are_numbers(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "k", "A");
  save(&c, dir, 9, CRAFT_HINT);
  craft_tombstone(&c, 101, "k", 0, 0);
  craft_put(&c, 101, "m", "M");
  save(&c, dir, 10, CRAFT_HINT);
  craft_put(&c, 102, "n", "N");
  save(&c, dir, 11, CRAFT_HINT);
  MERGE(dir, "m=M n=N", 10);
}

/* low: k=A (or another key), 5: version 1 tombstone of file 2, m=M. */
static void version_1(const char *dir, uint32_t low, const char *key) {
  craft c = {0};

  craft_put(&c, 100, key, "A");
  save(&c, dir, low, CRAFT_HINT);
  craft_tombstone(&c, 101, "k", 1, 2);
  craft_put(&c, 101, "m", "M");
  save(&c, dir, 5, CRAFT_HINT);
}

static void M8_version_1_tombstones(void) {
  const char *dir = craft_dir();

  version_1(dir, 1, "k");
  MERGE(dir, "m=M", 5);
  dir = craft_dir();
  version_1(dir, 3, "other");
  MERGE(dir, "m=M other=A", 5);
  dir = craft_dir();
  version_1(dir, 2, "k");
  MERGE(dir, "m=M", 2, 5);
}

static void M9_two_old_tombstones(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "k", "A");
  save(&c, dir, 1, CRAFT_HINT);
  craft_tombstone(&c, 101, "k", 0, 0);
  craft_put(&c, 101, "m", "M");
  craft_tombstone(&c, 101, "k", 0, 0);
  save(&c, dir, 2, CRAFT_HINT);
  MERGE(dir, "m=M", 2);
}

static void M10_clock_skew(void) {
  static const uint32_t lists[][3] = {{1}, {2}, {1, 2}};

  for (size_t i = 0; i < 3; i++) {
    const char *dir = craft_dir();
    craft c = {0};

    craft_put(&c, 200, "k", "A");
    craft_put(&c, 300, "dead", "A");
    save(&c, dir, 1, CRAFT_HINT);
    craft_put(&c, 100, "k", "B");
    craft_tombstone(&c, 100, "dead", 2, 1);
    save(&c, dir, 2, CRAFT_HINT);
    check_merge(dir, lists[i], "k=B");
  }
}

static void M12_everything_dead(void) {
  const char *dir = craft_dir();
  craft c = {0};
  bitcask_merge_result r;

  craft_put(&c, 100, "a", "1");
  craft_put(&c, 100, "b", "2");
  save(&c, dir, 1, CRAFT_HINT);
  craft_tombstone(&c, 101, "a", 2, 1);
  craft_tombstone(&c, 101, "b", 2, 1);
  save(&c, dir, 2, CRAFT_HINT);
  r = MERGE(dir, "", 1, 2);
  CHECK_EQ(r.n_inputs, 2);
  CHECK_EQ(r.n_outputs, 0);
  CHECK(r.freed_bytes > 0);
  CHECK_EQ(craft_count_files(dir, "data"), 0);
}

static bitcask *open_expiring(const char *dir, uint32_t expiry_secs) {
  bitcask_options o;

  craft_options(&o);
  o.expiry_secs = expiry_secs;
  craft_now = 1000;
  return craft_open(dir, &o);
}

static void M13_expiry_is_strict(void) {
  const char *dir = craft_dir();
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 899, "gone", "1");
  craft_put(&c, 900, "just", "2");
  craft_put(&c, 901, "well", "3");
  save(&c, dir, 1, CRAFT_HINT);
  bc = open_expiring(dir, 100);
  CHECK_TEXT(craft_dump(bc), "just=2 well=3");
  CHECK_RC(bitcask_get(bc, "gone", 4, &value, &e), BITCASK_NOTFOUND, &e);
  merge_with(bc, BITCASK_MERGE_ALL, NULL, 0);
  CHECK_TEXT(craft_dump(bc), "just=2 well=3");
  close_ok(bc);
  CHECK_EQ(total_data(dir), 2 * 19);
  bitcask_buf_free(&value);
  craft_now = 0;
}

static void M14_merge_of_a_partly_expired_file(void) {
  const char *dir = craft_dir();
  uint32_t second = 2;
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 950, "k", "A");
  save(&c, dir, 1, CRAFT_HINT);
  craft_tombstone(&c, 890, "k", 2, 1);
  craft_put(&c, 890, "old", "1");
  craft_put(&c, 950, "new", "2");
  save(&c, dir, 2, CRAFT_HINT);
  bc = open_expiring(dir, 100);
  CHECK_TEXT(craft_dump(bc), "new=2");
  merge_with(bc, BITCASK_MERGE_FILES, &second, 1);
  CHECK_TEXT(craft_dump(bc), "new=2");
  close_ok(bc);
  /* The deleted key is not expired: its tombstone must not be dropped for age. */
  bc = open_expiring(dir, 100);
  CHECK_TEXT(craft_dump(bc), "new=2");
  close_ok(bc);
  craft_now = 0;
}

static void M15_torn_output_of_a_dead_merge(void) {
  const char *dir = craft_dir();
  pid_t dead = fork();
  char lock[64];
  bitcask *bc;
  craft c = {0};

  if (dead == 0) {
    _exit(0);
  }
  CHECK(dead > 0 && waitpid(dead, NULL, 0) == dead);
  craft_put(&c, 100, "a", "1");
  craft_put(&c, 100, "b", "2");
  save(&c, dir, 1, CRAFT_HINT);
  craft_put(&c, 101, "c", "3");
  save(&c, dir, 2, CRAFT_HINT);
  craft_put(&c, 100, "a", "1");
  craft_put(&c, 100, "b", "2");
  c.data_sz -= 1;
  save(&c, dir, 3, CRAFT_OPEN_HINT);
  snprintf(lock, sizeof lock, "%ld 3.bitcask.data\n", (long)dead);
  craft_write_file(dir, "bitcask.merge.lock", lock, strlen(lock));
  CHECK_DIR(dir, "a=1 b=2 c=3");
  CHECK_EQ(craft_size(dir, "3.bitcask.data"), 16);
  bc = craft_open_rw(dir);
  merge_with(bc, BITCASK_MERGE_ALL, NULL, 0);
  close_ok(bc);
  CHECK_EQ(craft_size(dir, "bitcask.merge.lock"), -1);
  CHECK_DIR(dir, "a=1 b=2 c=3");
  CHECK_EQ(total_data(dir), 48);
}

enum { M16_KEYS = 200, M16_SECS = 4 };

typedef struct contest {
  bitcask *bc;
  atomic_bool stop;
  int n_merges;
  int rc;
} contest;

static void *merge_always(void *arg) {
  contest *x = arg;
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};

  while (!atomic_load(&x->stop)) {
    int rc = bitcask_merge(x->bc, &o, NULL, NULL);

    if (rc == BITCASK_OK) {
      x->n_merges++;
    } else if (rc != BITCASK_BUSY) {
      x->rc = rc;
    }
  }
  return NULL;
}

/* One random step on the engine and on the model (-1: no such key). */
static void step(bitcask *bc, long model[], unsigned *seed, long n) {
  int k = rand_r(seed) % M16_KEYS;
  char key[16], value[64];
  bitcask_buf got = {0};
  bitcask_error e = {0};
  int kind = rand_r(seed) % 10;

  snprintf(key, sizeof key, "key%d", k);
  if (kind < 5) {
    snprintf(value, sizeof value, "%ld-%*d", n, 1 + rand_r(seed) % 40, k);
    CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
    model[k] = n;
  } else if (kind < 8) {
    CHECK_OK(bitcask_delete(bc, key, strlen(key), &e), &e);
    model[k] = -1;
  } else {
    int rc = bitcask_get(bc, key, strlen(key), &got, &e);

    CHECK_EQ(rc, model[k] < 0 ? BITCASK_NOTFOUND : BITCASK_OK);
    CHECK(rc || atol((char *)got.data) == model[k]);
  }
  bitcask_buf_free(&got);
}

static void check_model(const char *dir, const long model[]) {
  bitcask *bc = craft_open_rw(dir);
  bitcask_status_info s = {0};
  uint64_t n_live = 0;

  for (int k = 0; k < M16_KEYS; k++) {
    char key[16];
    bitcask_buf got = {0};
    int rc;

    snprintf(key, sizeof key, "key%d", k);
    rc = bitcask_get(bc, key, strlen(key), &got, NULL);
    CHECK_EQ(rc, model[k] < 0 ? BITCASK_NOTFOUND : BITCASK_OK);
    CHECK(rc || atol((char *)got.data) == model[k]);
    n_live += model[k] >= 0;
    bitcask_buf_free(&got);
  }
  CHECK_EQ(bitcask_status(bc, &s, NULL), BITCASK_OK);
  CHECK_EQ(s.keys, n_live);
  close_ok(bc);
}

static void M16_writes_during_merges(void) {
  const char *dir = craft_dir();
  contest x = {0};
  bitcask_options o;
  pthread_t merger;
  long model[M16_KEYS], n = 0;
  unsigned seed = (unsigned)time(NULL);
  time_t end;

  printf("# M16 seed %u\n", seed);
  memset(model, -1, sizeof model);
  craft_options(&o);
  o.max_file_size = 50000;
  o.timeout_ms = 10000;
  x.bc = craft_open(dir, &o);
  CHECK_EQ(pthread_create(&merger, NULL, merge_always, &x), 0);
  for (end = time(NULL) + M16_SECS; time(NULL) < end && !test_bad;) {
    step(x.bc, model, &seed, n++);
  }
  atomic_store(&x.stop, true);
  CHECK_EQ(pthread_join(merger, NULL), 0);
  CHECK_EQ(x.rc, BITCASK_OK);
  CHECK(x.n_merges > 0);
  printf("# M16: %ld operations beside %d merges\n", n, x.n_merges);
  close_ok(x.bc);
  check_model(dir, model);
  craft_remove_hints(dir);
  check_model(dir, model);
}

/* Neither file holds a value: both go, whatever the thresholds say. */
static void M17_files_without_values_are_merged(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};
  bool due = false;

  craft_put(&c, 100, "a", "1");
  save(&c, dir, 1, CRAFT_HINT);
  craft_tombstone(&c, 101, "x", 2, 1);
  craft_tombstone(&c, 101, "y", 0, 0);
  save(&c, dir, 2, CRAFT_HINT);
  save(&c, dir, 3, CRAFT_HINT);
  craft_put(&c, 102, "b", "2");
  save(&c, dir, 4, CRAFT_HINT);
  craft_options(&o);
  o.frag_merge_trigger = o.frag_threshold = 101;
  o.small_file_threshold = 0;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_needs_merge(bc, &due, &e), &e);
  CHECK(due);
  merge_with(bc, BITCASK_MERGE_ALL, NULL, 0);
  CHECK_OK(bitcask_needs_merge(bc, &due, &e), &e);
  CHECK(!due);
  close_ok(bc);
  CHECK_EQ(craft_size(dir, "2.bitcask.data"), -1);
  CHECK_EQ(craft_size(dir, "3.bitcask.data"), -1);
  CHECK_DIR(dir, "a=1 b=2");
  CHECK_EQ(total_data(dir), 32);
}

/* Tombstones whose values are in a file that stays are needed, and no reason for a merge: they would
** be merged for ever. */
static void M17_needed_tombstones_are_no_reason(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};
  bool due = true;

  for (char key[2] = "a"; key[0] <= 'j'; key[0]++) craft_put(&c, 100, key, "1");
  save(&c, dir, 1, CRAFT_HINT);
  for (char key[2] = "a"; key[0] <= 'c'; key[0]++) craft_tombstone(&c, 101, key, 1, 2);
  for (char key[2] = "m"; key[0] <= 'r'; key[0]++) craft_put(&c, 101, key, "2");
  save(&c, dir, 2, CRAFT_HINT);
  craft_put(&c, 102, "z", "3");
  save(&c, dir, 3, CRAFT_HINT);
  craft_options(&o);
  o.dead_bytes_merge_trigger = 100;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_needs_merge(bc, &due, &e), &e);
  CHECK(!due);
  close_ok(bc);
}

/* 40 records, every second one and the first damaged.  Behind a valid hint that is
** not known, so that the file has to be named. */
static void M18_damaged_records_lose_no_others(void) {
  enum { N = 40, SZ = 14 + 3 + 1 };
  static const craft_hint_kind kinds[] = {CRAFT_NO_HINT, CRAFT_OPEN_HINT, CRAFT_HINT};

  for (size_t i = 0; i < 3; i++) {
    const char *dir = craft_dir();
    uint32_t first = 1;
    bitcask_merge_result r;
    bitcask *bc;
    craft c = {0};
    char key[8], want[N * 8] = "";

    for (int k = 0; k < N; k++) {
      snprintf(key, sizeof key, "k%02d", k);
      craft_put(&c, 100, key, "v");
      if (k % 2 == 0 || k == 1) {
        c.data[k * SZ + SZ - 1] ^= 0x20;
      } else {
        snprintf(want + strlen(want), sizeof want - strlen(want), "%s%s=v", *want ? " " : "", key);
      }
    }
    craft_save(&c, dir, 1, kinds[i]);
    bc = craft_open_rw(dir);
    r = merge_with(bc, kinds[i] == CRAFT_HINT ? BITCASK_MERGE_FILES : BITCASK_MERGE_ALL, &first, 1);
    CHECK_EQ(r.n_damaged, 1);
    CHECK_TEXT(craft_dump(bc), want);
    close_ok(bc);
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), -1);
    CHECK_EQ(craft_size(dir, "1.bitcask.data.damaged"), (int64_t)c.data_sz);
    CHECK_DIR(dir, want);
    craft_clear(&c);
  }
}

/* The newest record of x cannot be read, be it a deletion or a value.  It goes with its file, and
** does not uncover the older value in a file that stays. */
static void M18_nothing_older_is_uncovered(void) {
  for (int deleted = 0; deleted < 2; deleted++) {
    const char *dir = craft_dir();
    uint32_t second = 2;
    bitcask *bc;
    craft c = {0};

    craft_put(&c, 100, "x", "1");
    craft_put(&c, 100, "y", "1");
    save(&c, dir, 1, CRAFT_HINT);
    craft_put(&c, 100, "v", "2");
    if (deleted)
      craft_tombstone(&c, 100, "x", 1, 2);
    else
      craft_put(&c, 100, "x", "another value of x");
    craft_put(&c, 100, "z", "2");
    c.data[16 + 20] ^= 1;
    c.data[16 + 30] ^= 1;
    save(&c, dir, 2, CRAFT_HINT);
    craft_put(&c, 100, "w", "3");
    save(&c, dir, 3, CRAFT_HINT);
    bc = craft_open_rw(dir);
    CHECK_EQ(merge_with(bc, BITCASK_MERGE_FILES, &second, 1).n_damaged, 1);
    CHECK_TEXT(craft_dump(bc), "v=2 w=3 y=1 z=2");
    close_ok(bc);
    CHECK_DIR(dir, "v=2 w=3 y=1 z=2");
  }
}

/* Of file 1 most is dead, but some of its bytes are damaged and may have held anybody's newest value.
** What a copy stands behind is in doubt no more: so it is not merged unasked. */
static void M18_doubt_is_not_merged_away(void) {
  const char *dir = craft_dir();
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 100, "a", "1");
  for (int i = 0; i < 20; i++) craft_put(&c, 100, "b", "2");
  craft_zeros(&c, 40);
  craft_put(&c, 100, "b", "3");
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  craft_clear(&c);
  craft_put(&c, 100, "c", "4");
  craft_save(&c, dir, 2, CRAFT_NO_HINT);
  bc = craft_open_rw(dir);
  CHECK_EQ(merge_with(bc, BITCASK_MERGE_POLICY, NULL, 0).n_inputs, 0);
  CHECK_TEXT(craft_dump(bc), "a=!corrupt b=3 c=4(doubt)");
  close_ok(bc);
  CHECK_DIR(dir, "a=!corrupt b=3 c=4(doubt)");
  craft_clear(&c);
}

/* File 1: ten values of 16 bytes, `dead` of them overwritten in file 2. */
static void ten(const char *dir, int dead) {
  craft c = {0};
  char key[2] = "0";

  for (int i = 0; i < 10; i++) {
    key[0] = (char)('0' + i);
    craft_put(&c, 900, key, "v");
  }
  save(&c, dir, 1, CRAFT_HINT);
  for (int i = 0; i < dead; i++) {
    key[0] = (char)('0' + i);
    craft_put(&c, 950, key, "w");
  }
  craft_put(&c, 950, "z", "z");
  save(&c, dir, 2, CRAFT_HINT);
}

static void check_due(int dead, void (*set)(bitcask_options *o, uint32_t v), uint32_t v,
                      bool want) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  bool due = !want;

  ten(dir, dead);
  craft_options(&o);
  set(&o, v);
  craft_now = 1000;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_needs_merge(bc, &due, &e), &e);
  if (due != want) {
    TEST_FAIL("%d dead, setting %u: %s", dead, v, due ? "due" : "not due");
  }
  close_ok(bc);
  craft_now = 0;
}

static void set_frag_trigger(bitcask_options *o, uint32_t v) { o->frag_merge_trigger = v; }
static void set_dead_bytes_trigger(bitcask_options *o, uint32_t v) {
  o->frag_merge_trigger = 101;
  o->dead_bytes_merge_trigger = v;
}
static void set_expiry(bitcask_options *o, uint32_t v) {
  o->frag_merge_trigger = 101;
  o->expiry_secs = v;
}
static void set_grace(bitcask_options *o, uint32_t v) {
  set_expiry(o, 40);
  o->expiry_grace_time = v;
}

static void M19_triggers(void) {
  bitcask_file_stat *files = NULL;
  bitcask_error e = {0};
  const char *dir = craft_dir();
  bitcask *bc;
  size_t n;

  ten(dir, 1);
  bc = craft_open_ro(dir);
  CHECK_OK(bitcask_files(bc, &files, &n, &e), &e);
  CHECK(n == 2 && files[0].fragmented == 9);
  CHECK(n == 2 && files[0].dead_bytes == 16 && files[0].live_keys == 9);
  bitcask_files_free(files);
  close_ok(bc);

  check_due(1, set_frag_trigger, 10, false);
  check_due(1, set_frag_trigger, 9, true);
  check_due(5, set_frag_trigger, 60, false);
  check_due(6, set_frag_trigger, 60, true);
  check_due(10, set_frag_trigger, 101, true); /* no value left at all */
  check_due(5, set_dead_bytes_trigger, 81, false);
  check_due(5, set_dead_bytes_trigger, 80, true);
  /* The newest of file 1 is 900, now 1000: expired if 900 < 1000 - secs. */
  check_due(0, set_expiry, 100, false);
  check_due(0, set_expiry, 99, true);
  check_due(0, set_grace, 60, false);
  check_due(0, set_grace, 59, true);
}

/* What is taken once a merge is due: file 1 is all dead and triggers, has 144
** bytes and meets every threshold tried; 2 has 160 bytes, 48 of them dead. */
static void check_taken(unsigned frag, uint32_t dead_bytes, uint32_t small, bool second_goes) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask *bc;
  craft c = {0};
  char key[2] = "0";

  for (int i = 0; i < 19; i++) {
    key[0] = "0123456780123456789"[i];
    craft_put(&c, 900, key, "v");
    if (i == 8 || i == 18) {
      save(&c, dir, i == 8 ? 1 : 2, CRAFT_HINT);
    }
  }
  for (int i = 0; i < 3; i++) {
    key[0] = (char)('0' + i);
    craft_put(&c, 950, key, "w");
  }
  save(&c, dir, 3, CRAFT_HINT);
  craft_options(&o);
  o.frag_threshold = frag;
  o.dead_bytes_threshold = dead_bytes;
  o.small_file_threshold = small;
  bc = craft_open(dir, &o);
  merge_with(bc, BITCASK_MERGE_POLICY, NULL, 0);
  CHECK(strlen(craft_dump(bc)) == 39);
  close_ok(bc);
  CHECK_EQ(craft_size(dir, "1.bitcask.data"), -1);
  if ((craft_size(dir, "2.bitcask.data") < 0) != second_goes) {
    TEST_FAIL("thresholds %u %u %u: file 2 %s", frag, dead_bytes, small,
              second_goes ? "stays" : "goes");
  }
}

static void M19_thresholds(void) {
  check_taken(31, 1000, 0, false);
  check_taken(30, 1000, 0, true);
  check_taken(101, 49, 0, false);
  check_taken(101, 48, 0, true);
  check_taken(101, 1000, 160, false);
  check_taken(101, 1000, 161, true);
}

static void M20_merge_txt_breaks_nothing(void) {
  static const char text[] = "2.bitcask.data\n\n  1.bitcask.data\nnothing\n";
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc;
  bool due = false;

  ten(dir, 8);
  craft_write_file(dir, "merge.txt", text, strlen(text));
  bc = craft_open_rw(dir);
  CHECK_OK(bitcask_needs_merge(bc, &due, &e), &e);
  CHECK(due);
  merge_with(bc, BITCASK_MERGE_POLICY, NULL, 0);
  close_ok(bc);
  CHECK_DIR(dir, "0=w 1=w 2=w 3=w 4=w 5=w 6=w 7=w 8=v 9=v z=z");
}

int main(void) {
  RUN(M1_tombstone_survives_a_partial_merge);
  RUN(M2_target_without_a_valid_hint);
  RUN(M3_target_with_a_torn_tail);
  RUN(M4_overwrite_tombstone_and_value);
  RUN(M5_target_gone);
  RUN(M6_old_tombstone_full_merge);
  RUN(M6_old_tombstone_prefix_merge);
  RUN(M7_ids_are_numbers);
  RUN(M8_version_1_tombstones);
  RUN(M9_two_old_tombstones);
  RUN(M10_clock_skew);
  RUN(M12_everything_dead);
  RUN(M13_expiry_is_strict);
  RUN(M14_merge_of_a_partly_expired_file);
  RUN(M15_torn_output_of_a_dead_merge);
  RUN(M16_writes_during_merges);
  RUN(M17_files_without_values_are_merged);
  RUN(M17_needed_tombstones_are_no_reason);
  RUN(M18_damaged_records_lose_no_others);
  RUN(M18_nothing_older_is_uncovered);
  RUN(M18_doubt_is_not_merged_away);
  RUN(M19_triggers);
  RUN(M19_thresholds);
  RUN(M20_merge_txt_breaks_nothing);
  return test_done();
}
