/*
** test_automerge.c - merging by itself: after commits, in small steps, whoever
** commits.
**
** Most tests overwrite keys at random and look at the directory all the time: the
** data files take at most 2.5 times what is live, and two files.  What is there must
** be what a model holds, also with nothing but the data files to read it from.
** SEED=n makes other choices; what several processes do to one another is up to the
** machine.
*/
#include "test.h"

#include "engine.h"
#include "memenv_int.h"
#include "model.h"
#include "store.h"
#include "tempdir.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

enum { MAX_VALUE = 5000, PATIENCE = 60 /* seconds in which anything must get done */ };

static uint64_t seed;

/* ----------------------------------------------------------------- the environment */

static int no_sync(void *ctx, int fd) {
  (void)ctx;
  (void)fd;
  return 0;
}

static int no_sync_dir(void *ctx, const char *path) {
  (void)ctx;
  (void)path;
  return 0;
}

/* The real file system, without its pauses: no test of these is about what a disk
** keeps. */
static bc_env quick_env(void) {
  bc_env env = bc_env_posix;

  env.fdatasync = no_sync;
  env.sync_dir = no_sync_dir;
  return env;
}

/* ------------------------------------------------------------------ the directory */

/* What can be seen in it from outside. */
typedef struct listing {
  const bc_env *env;
  const char *dir;
  uint64_t data_bytes;
  uint32_t n_data, n_hints, n_damaged;
  uint32_t lowest, highest; /* ids of data files */
} listing;

static int list_one(void *arg, const char *name) {
  listing *l = arg;
  char path[4096];
  unsigned long id;
  char *end;
  bc_stat st;

  id = strtoul(name, &end, 10);
  if (end == name) return 0;
  if (!strcmp(end, ".bitcask.hint")) l->n_hints++;
  if (!strcmp(end, ".bitcask.data.damaged")) l->n_damaged++;
  if (strcmp(end, ".bitcask.data") != 0) return 0;
  snprintf(path, sizeof path, "%s/%s", l->dir, name);
  if (l->env->stat(l->env->ctx, path, &st)) return 0; /* removed just now */
  l->data_bytes += st.size;
  l->n_data++;
  if (id < l->lowest) l->lowest = (uint32_t)id;
  if (id > l->highest) l->highest = (uint32_t)id;
  return 0;
}

static listing look_at(const bc_env *env, const char *dir) {
  listing l = {.env = env, .dir = dir, .lowest = UINT32_MAX};

  if (env->list(env->ctx, dir, list_one, &l)) abort();
  return l;
}

static uint64_t bound_of(uint64_t live, uint64_t max_file_size) {
  return live * 5 / 2 + 2 * max_file_size;
}

/* ------------------------------------------------------------- a store and its model */

enum { N_HANDLES = 2 };

typedef struct store {
  char *dir;
  memenv *m; /* NULL: on the real file system */
  bc_env env;
  bitcask_options o;
  bitcask *bc[N_HANDLES]; /* the second one is opened by those who need it */
  unsigned at;            /* the handle that is used */
  model want;
  uint64_t live;    /* bytes of the model's records */
  uint64_t written; /* bytes of values and keys given to the engine */
  uint64_t rng;
  unsigned long n_logged; /* lines told to `log` */
  char logged[200];       /* the last one */
  unsigned worst;         /* per cent of the bound that were taken */
} store;

static void note_log(void *ctx, const char *text) {
  store *s = ctx;
  s->n_logged++;
  snprintf(s->logged, sizeof s->logged, "%.199s", text);
}

static uint32_t below(store *s, uint32_t n) { return (uint32_t)(mem_random(&s->rng) % n); }

/* On the real file system, to be opened. */
static void store_init(store *s, uint64_t max_file_size) {
  *s = (store){.rng = seed, .env = quick_env(), .dir = tempdir_make()};
  bitcask_options_init(&s->o);
  CHECK(s->o.auto_merge); /* is the default */
  s->o.auto_merge = true;
  s->o.create = true;
  s->o.sync = BITCASK_SYNC_NORMAL;
  s->o.max_file_size = max_file_size;
  s->o.timeout_ms = PATIENCE * 1000;
  s->o.log = note_log;
  s->o.log_ctx = s;
}

/* The policy's sizes in the proportions to the files that the defaults have; with
** the defaults every file here is a small one. */
static void scale_policy(store *s) {
  s->o.small_file_threshold = s->o.max_file_size / 200;
  s->o.dead_bytes_merge_trigger = s->o.max_file_size / 4;
  s->o.dead_bytes_threshold = s->o.max_file_size / 16;
}

static void store_open(store *s) {
  bitcask_error e;
  CHECK_OK(bc_open_env(s->dir, &s->o, &s->env, &s->bc[s->at], &e), &e);
  if (!s->bc[s->at]) abort();
}

static void store_close(store *s) {
  bitcask_error e;
  CHECK_OK(bitcask_close(s->bc[s->at], &e), &e);
  s->bc[s->at] = NULL;
}

static listing store_listing(const store *s) { return look_at(&s->env, s->dir); }

static void check_bound(store *s, const char *when) {
  listing l = store_listing(s);
  uint64_t bound = bound_of(s->live, s->o.max_file_size);
  unsigned taken = (unsigned)(100 * l.data_bytes / bound);

  if (taken > s->worst) s->worst = taken;
  if (l.data_bytes > bound && !test_bad) {
    TEST_FAIL("SEED=%" PRIu64 ", %s, %" PRIu64 " bytes written: %" PRIu64 " on disk in %" PRIu32
              " files, over %" PRIu64 " = 2.5 * %" PRIu64 " live + 2 files; last told: '%s'",
              seed, when, s->written, l.data_bytes, l.n_data, bound, s->live, s->logged);
  }
}

static void check_model(bitcask *bc, const model *want, const char *when) {
  bitcask_snapshot *snap = NULL;
  model got = {0};
  bitcask_error e;
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  if (!snap) return;
  bad = model_read(&got, snap);
  bitcask_snapshot_close(snap);
  if (bad) TEST_FAIL("SEED=%" PRIu64 ", %s: %s", seed, when, bad);
  if (!bad && !model_equal(want, &got)) {
    TEST_FAIL("SEED=%" PRIu64 ", %s: something else is there", seed, when);
    model_print_diff(want, &got);
  }
  model_clear(&got);
}

static int print_problem(void *ctx, const bitcask_problem *p) {
  (void)ctx;
  fprintf(stderr, "verify: file %" PRIu32 " at %" PRIu64 ": %s\n", p->file_id, p->offset, p->text);
  return 0;
}

static void check_verify(bitcask *bc) {
  uint64_t n_problems = 0;
  bitcask_error e;

  CHECK_OK(bitcask_verify(bc, print_problem, NULL, NULL, &n_problems, &e), &e);
  CHECK_EQ(n_problems, 0);
}

static int remove_cache(void *arg, const char *name) {
  listing *l = arg;
  char path[4096];

  if (!strstr(name, ".bitcask.hint") && strcmp(name, "bitcask.keydir") != 0) return 0;
  snprintf(path, sizeof path, "%s/%s", l->dir, name);
  if (unlink(path)) perror(path);
  return 0;
}

/* Of what is not the log itself, nothing is left; with all handles closed. */
static void remove_caches(const char *dir) {
  listing l = {.dir = dir};
  if (bc_env_posix.list(NULL, dir, remove_cache, &l)) abort();
}

/* What is there now, after opening, and according to the data files alone. */
static void store_check(store *s) {
  check_model(s->bc[s->at], &s->want, "at the end");
  check_verify(s->bc[s->at]);
  store_close(s);
  store_open(s);
  check_model(s->bc[s->at], &s->want, "after reopening");
  check_verify(s->bc[s->at]);
  if (s->m) return;
  store_close(s);
  remove_caches(s->dir);
  store_open(s);
  check_model(s->bc[s->at], &s->want, "from the data files alone");
  check_verify(s->bc[s->at]);
}

static void store_release(store *s) {
  for (s->at = 0; s->at < N_HANDLES; s->at++) store_close(s);
  model_clear(&s->want);
  if (s->m) {
    CHECK_EQ(memenv_n_open(s->m), 0);
    memenv_free(s->m);
  } else {
    tempdir_remove(s->dir);
  }
}

/* ------------------------------------------------------------------------- writing */

static size_t key_text(char *out, uint32_t k) { return (size_t)sprintf(out, "key%" PRIu32, k); }

static void fill_value(char *out, size_t n, uint64_t x) {
  for (size_t i = 0; i < n; i++) out[i] = (char)('a' + (x >> i % 57) % 26);
}

static uint64_t record_size(const model_entry *e) {
  return e ? UINT64_C(14) + e->key_sz + e->value_sz : 0;
}

static void model_write(store *s, const char *key, size_t k, const char *value, size_t n) {
  s->live -= record_size(model_get(&s->want, key, k));
  if (value)
    model_put(&s->want, key, k, value, n, 0);
  else
    model_delete(&s->want, key, k);
  s->live += record_size(model_get(&s->want, key, k));
  s->written += 14 + k + n;
}

/* The status code, of one that may fail. */
static int try_put(store *s, uint32_t key_number, size_t n, bitcask_error *e) {
  char key[16], value[MAX_VALUE];
  size_t k = key_text(key, key_number);
  int rc;

  fill_value(value, n, mem_random(&s->rng));
  rc = bitcask_put(s->bc[s->at], key, k, value, n, e);
  if (!rc) model_write(s, key, k, value, n);
  return rc;
}

static void put(store *s, uint32_t key_number, size_t n) {
  bitcask_error e;
  CHECK_OK(try_put(s, key_number, n, &e), &e);
}

static void delete_key(store *s, uint32_t key_number) {
  char key[16];
  size_t k = key_text(key, key_number);
  bitcask_error e;

  CHECK_OK(bitcask_delete(s->bc[s->at], key, k, &e), &e);
  model_write(s, key, k, NULL, 0);
}

/* ---------------------------------------------------------------------- the bound */

typedef struct shape {
  const char *name;
  uint64_t max_file_size;
  uint32_t n_keys;
  uint32_t least, most; /* bytes of a value */
  uint32_t n_commits;   /* after all keys were written once */
  uint32_t batch;       /* up to so many keys in a commit; 0: by bitcask_put */
  uint32_t delete_percent;
  bitcask_sync_mode sync;
  bool is_scaled; /* scale_policy */
  bool is_skewed; /* nine of ten commits go to a tenth of the keys */
  bool no_mmap;
  bool with_syncs; /* of the disk */
} shape;

static size_t value_size(store *s, const shape *h) {
  return h->least + below(s, h->most - h->least + 1);
}

static uint32_t pick_key(store *s, const shape *h) {
  return below(s, h->is_skewed && below(s, 10) ? h->n_keys / 10 : h->n_keys);
}

static void put_batch(store *s, const shape *h) {
  char key[16], value[MAX_VALUE];
  bitcask_txn *txn;
  bitcask_error e;

  CHECK_OK(bitcask_begin(s->bc[s->at], PATIENCE * 1000, &txn, &e), &e);
  for (uint32_t i = 1 + below(s, h->batch); i > 0; i--) {
    size_t k = key_text(key, pick_key(s, h)), n = value_size(s, h);
    if (below(s, 100) < h->delete_percent) {
      CHECK_OK(bitcask_txn_delete(txn, key, k, &e), &e);
      model_write(s, key, k, NULL, 0);
      continue;
    }
    fill_value(value, n, mem_random(&s->rng));
    CHECK_OK(bitcask_txn_put(txn, key, k, value, n, &e), &e);
    model_write(s, key, k, value, n);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
}

static void commit_one(store *s, const shape *h) {
  if (h->batch)
    put_batch(s, h);
  else if (below(s, 100) < h->delete_percent)
    delete_key(s, pick_key(s, h));
  else
    put(s, pick_key(s, h), value_size(s, h));
}

static void shape_init(store *s, const shape *h) {
  store_init(s, h->max_file_size);
  s->o.sync = h->sync;
  s->o.mmap = !h->no_mmap;
  if (h->with_syncs) s->env = bc_env_posix;
  if (h->is_scaled) scale_policy(s);
  store_open(s);
  for (uint32_t k = 0; k < h->n_keys; k++) put(s, k, value_size(s, h));
}

/* Between two looks at the directory, so that there are some four hundred. */
static uint32_t look_every(const shape *h) { return h->n_commits / 400 + 1; }

/* The state of a test at which the bound begins to hold. */
static bool is_warm(const store *s, uint64_t start) {
  return s->written > start + 3 * s->o.max_file_size;
}

static void run_shape(const shape *h) {
  store *s = mem_alloc(sizeof *s);
  uint64_t start;

  shape_init(s, h);
  start = s->written;
  for (uint32_t i = 0; i < h->n_commits && !test_bad; i++) {
    commit_one(s, h);
    if (i % look_every(h) == 0 && is_warm(s, start)) check_bound(s, h->name);
  }
  CHECK(is_warm(s, start) || test_bad); /* else the shape shows nothing */
  if (!test_bad) store_check(s);
  printf("  %s: at most %u %% of the bound, %" PRIu64 " KiB written, %lu lines told\n", h->name,
         s->worst, s->written >> 10, s->n_logged);
  store_release(s);
  free(s);
}

static const shape shapes[] = {
    {.name = "10 bytes, files of 32 KiB",
     .max_file_size = 32 << 10,
     .n_keys = 300,
     .least = 10,
     .most = 10,
     .n_commits = 20000,
     .sync = BITCASK_SYNC_NORMAL},
    {.name = "to 5000 bytes, files of 32 KiB",
     .max_file_size = 32 << 10,
     .n_keys = 100,
     .least = 10,
     .most = 5000,
     .n_commits = 4000,
     .sync = BITCASK_SYNC_OFF},
    {.name = "to 5000 bytes, files of 32 KiB, scaled, pread",
     .max_file_size = 32 << 10,
     .n_keys = 300,
     .least = 10,
     .most = 5000,
     .n_commits = 4000,
     .sync = BITCASK_SYNC_NORMAL,
     .is_scaled = true,
     .no_mmap = true},
    {.name = "one key",
     .max_file_size = 32 << 10,
     .n_keys = 1,
     .least = 5000,
     .most = 5000,
     .n_commits = 400,
     .sync = BITCASK_SYNC_FULL},
    {.name = "sync=full",
     .max_file_size = 32 << 10,
     .n_keys = 50,
     .least = 1000,
     .most = 5000,
     .n_commits = 400,
     .sync = BITCASK_SYNC_FULL,
     .with_syncs = true},
    {.name = "10 bytes, many keys, files of 256 KiB",
     .max_file_size = 256 << 10,
     .n_keys = 20000,
     .least = 10,
     .most = 10,
     .n_commits = 150000,
     .sync = BITCASK_SYNC_OFF},
    {.name = "to 5000 bytes, files of 256 KiB, scaled",
     .max_file_size = 256 << 10,
     .n_keys = 600,
     .least = 10,
     .most = 5000,
     .n_commits = 6000,
     .sync = BITCASK_SYNC_NORMAL,
     .is_scaled = true},
    {.name = "three keys, files of 256 KiB",
     .max_file_size = 256 << 10,
     .n_keys = 3,
     .least = 1000,
     .most = 1000,
     .n_commits = 4000,
     .sync = BITCASK_SYNC_NORMAL},
    {.name = "a tenth of the keys, files of 256 KiB, scaled",
     .max_file_size = 256 << 10,
     .n_keys = 3000,
     .least = 100,
     .most = 1000,
     .n_commits = 30000,
     .sync = BITCASK_SYNC_NORMAL,
     .is_scaled = true,
     .is_skewed = true},
    {.name = "transactions, files of 256 KiB",
     .max_file_size = 256 << 10,
     .n_keys = 400,
     .least = 500,
     .most = 4000,
     .n_commits = 600,
     .batch = 20,
     .delete_percent = 10,
     .sync = BITCASK_SYNC_NORMAL},
    {.name = "1000 bytes, files of 4 MiB, scaled",
     .max_file_size = 4 << 20,
     .n_keys = 8000,
     .least = 1000,
     .most = 1000,
     .n_commits = 60000,
     .sync = BITCASK_SYNC_NORMAL,
     .is_scaled = true},
    {.name = "10 bytes, files of 4 MiB",
     .max_file_size = 4 << 20,
     .n_keys = 30000,
     .least = 10,
     .most = 10,
     .n_commits = 500000,
     .sync = BITCASK_SYNC_OFF},
    {.name = "to 5000 bytes, few keys, files of 4 MiB",
     .max_file_size = 4 << 20,
     .n_keys = 200,
     .least = 10,
     .most = 5000,
     .n_commits = 12000,
     .sync = BITCASK_SYNC_OFF},
};

static void random_overwrites_stay_within_the_bound(void) {
  int bad = 0;

  for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
    test_bad = 0;
    run_shape(&shapes[i]);
    bad += test_bad;
  }
  test_bad = bad;
}

/* ------------------------------------------------------------------------ deletes */

static const shape deleting = {.name = "deletes",
                               .max_file_size = 64 << 10,
                               .n_keys = 400,
                               .least = 500,
                               .most = 4000,
                               .n_commits = 6000,
                               .delete_percent = 35,
                               .sync = BITCASK_SYNC_NORMAL};

/* Tombstones are small against what they delete. */
static void random_deletes_stay_within_the_bound(void) {
  shape scaled = deleting;

  run_shape(&deleting);
  scaled.name = "deletes, scaled";
  scaled.is_scaled = true;
  run_shape(&scaled);
}

static void delete_all(store *s, uint32_t n_keys, bool at_once) {
  bitcask_txn *txn;
  bitcask_error e;
  char key[16];

  if (!at_once) {
    for (uint32_t k = 0; k < n_keys; k++) delete_key(s, k);
    return;
  }
  CHECK_OK(bitcask_begin(s->bc[s->at], 0, &txn, &e), &e);
  for (uint32_t k = 0; k < n_keys; k++) {
    size_t n = key_text(key, k);
    CHECK_OK(bitcask_txn_delete(txn, key, n, &e), &e);
    model_write(s, key, n, NULL, 0);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
}

/* The commits that follow give the space back, small as they are. */
static void deleting_everything_frees_the_disk(void) {
  enum { KEYS = 1000 };

  for (int at_once = 0; at_once < 2; at_once++) {
    store *s = mem_alloc(sizeof *s);
    store_init(s, 256 << 10);
    store_open(s);
    for (uint32_t k = 0; k < KEYS; k++) put(s, k, 4000);
    CHECK(store_listing(s).data_bytes > KEYS * 4000);
    delete_all(s, KEYS, at_once);
    for (int i = 0; i < 400; i++) put(s, KEYS, 20);
    check_bound(s, at_once ? "all deleted at once" : "all deleted one by one");
    CHECK_EQ(s->want.n, 1);
    store_check(s);
    store_release(s);
    free(s);
  }
}

/* ----------------------------------------------------------------- doing nothing */

static const shape plain = {.name = "plain",
                            .max_file_size = 32 << 10,
                            .n_keys = 100,
                            .least = 500,
                            .most = 2500,
                            .n_commits = 3000,
                            .sync = BITCASK_SYNC_NORMAL};

/* No file but those that were written one after the other, and all of them. */
static void check_untouched(const store *s) {
  listing l = store_listing(s);
  CHECK_EQ(l.lowest, 1);
  CHECK_EQ(l.highest, l.n_data);
}

static void manual_merges_nothing(void) {
  store *s = mem_alloc(sizeof *s);
  bitcask_error e;
  bool due = false;

  store_init(s, plain.max_file_size);
  s->o.auto_merge = false;
  store_open(s);
  for (uint32_t i = 0; i < plain.n_commits; i++) {
    if (i == plain.n_commits / 2) {
      store_close(s);
      store_open(s);
    }
    commit_one(s, &plain);
  }
  check_untouched(s);
  CHECK(store_listing(s).data_bytes > bound_of(s->live, s->o.max_file_size));
  CHECK_OK(bitcask_needs_merge(s->bc[0], &due, &e), &e);
  CHECK(due);
  store_check(s);
  check_untouched(s);

  /* Switched on for what there is: it gets less with each commit. */
  store_close(s);
  s->o.auto_merge = true;
  store_open(s);
  for (uint32_t i = 0; i < plain.n_commits; i++) commit_one(s, &plain);
  check_bound(s, "switched on");
  store_check(s);
  store_release(s);
  free(s);
}

/* Whoever only reads does not merge, however due it is. */
static void readers_merge_nothing(void) {
  store *s = mem_alloc(sizeof *s);

  store_init(s, plain.max_file_size);
  s->o.auto_merge = false;
  store_open(s);
  for (uint32_t i = 0; i < plain.n_commits; i++) commit_one(s, &plain);
  s->o.auto_merge = true;
  for (int read_only = 1; read_only >= 0; read_only--) {
    store_close(s);
    s->o.read_only = read_only;
    s->o.create = !read_only;
    store_open(s);
    for (int i = 0; i < 20; i++) check_model(s->bc[0], &s->want, "reading");
    check_untouched(s);
  }
  store_check(s);
  store_release(s);
  free(s);
}

/* Where nothing is dead there is nothing to do but the hints, which need no rotation
** to pause for them. */
static void inserts_get_hints_and_no_merge(void) {
  store *s = mem_alloc(sizeof *s);
  bitcask_file_stat *files = NULL;
  bitcask_error e;
  size_t n = 0, n_hints = 0;

  store_init(s, 64 << 10);
  store_open(s);
  for (uint32_t k = 0; k < 20000; k++) put(s, k, 50 + k % 200);
  for (uint32_t k = 0; k < 64; k++) put(s, 20000 + k, 1);
  check_untouched(s);
  CHECK_OK(bitcask_files(s->bc[0], &files, &n, &e), &e);
  CHECK(n > 40);
  for (size_t i = 0; i < n; i++) {
    if (files[i].state == BITCASK_FILE_IMMUTABLE && !files[i].has_hint && !test_bad) {
      TEST_FAIL("file %" PRIu32 " of %zu has no hint", files[i].file_id, n);
    }
    n_hints += files[i].has_hint;
  }
  CHECK(n_hints >= n - 1);
  CHECK_EQ(store_listing(s).n_hints, n_hints);
  bitcask_files_free(files);
  store_check(s);
  store_release(s);
  free(s);
}

/* ----------------------------------------------------------------------- snapshots */

/* All files that it reads are merged away under it, more than once. */
static void snapshot_keeps_its_moment(void) {
  store *s = mem_alloc(sizeof *s);
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry entry;
  model before = {0}, got = {0};
  bitcask_error e;
  uint32_t highest;
  size_t n = 1;

  shape_init(s, &plain);
  for (uint32_t i = 0; i < plain.n_commits; i++) commit_one(s, &plain);
  CHECK_OK(bitcask_snapshot_open(s->bc[0], NULL, &snap, &e), &e);
  CHECK_OK(bitcask_iter_open(snap, BITCASK_VALUES, &it, &e), &e);
  CHECK_OK(bitcask_iter_next(it, &entry, &e), &e);
  model_copy(&before, &s->want);
  highest = store_listing(s).highest;
  for (uint32_t i = 0; i < 2 * plain.n_commits; i++) {
    commit_one(s, &plain);
    if (i % 1000 == 0) {
      const char *bad = model_read(&got, snap);
      if (bad) TEST_FAIL("the snapshot after %" PRIu32 " commits: %s", i, bad);
      CHECK(model_equal(&before, &got));
    }
  }
  CHECK(store_listing(s).lowest > highest);
  CHECK(!model_read(&got, snap));
  CHECK(model_equal(&before, &got));
  while (!bitcask_iter_next(it, &entry, &e)) n++;
  CHECK_EQ(n, before.n);
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
  for (uint32_t i = 0; i < 500; i++) commit_one(s, &plain);
  check_bound(s, "without the snapshot");
  store_check(s);
  store_release(s);
  model_clear(&before);
  model_clear(&got);
  free(s);
}

/* Files that a snapshot still reads are mapped: however many a merge removes meanwhile,
** they need no descriptors, or there would be none left for anything else. */
static void snapshot_keeps_no_descriptors(void) {
  enum { KEYS = 8000, LIMIT = 64 };
  store *s = mem_alloc(sizeof *s);
  struct rlimit old, low;
  bitcask_snapshot *snap = NULL;
  bitcask_error e;

  store_init(s, 64 << 10);
  store_open(s);
  for (uint32_t k = 0; k < KEYS; k++) put(s, k, 1000);
  CHECK(store_listing(s).n_data > 100);
  CHECK_OK(bitcask_snapshot_open(s->bc[0], NULL, &snap, &e), &e);
  CHECK_EQ(getrlimit(RLIMIT_NOFILE, &old), 0);
  low = (struct rlimit){LIMIT, old.rlim_max};
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &low), 0);
  for (uint32_t k = 0; k < 2 * KEYS && !test_bad; k++) put(s, k % KEYS, 1000);
  CHECK_EQ(s->n_logged, 0);
  if (s->n_logged) fprintf(stderr, "%s\n", s->logged);
  CHECK(store_listing(s).lowest > 100);
  CHECK_EQ(setrlimit(RLIMIT_NOFILE, &old), 0);
  bitcask_snapshot_close(snap);
  store_release(s);
  free(s);
}

/* ------------------------------------------------------------- what else goes on */

/* What is done between commits, at random. */
typedef void disturbance(store *s);

static void run_disturbed(const shape *h, disturbance *disturb, uint32_t every) {
  store *s = mem_alloc(sizeof *s);
  uint64_t start;

  shape_init(s, h);
  start = s->written;
  for (uint32_t i = 0; i < h->n_commits && !test_bad; i++) {
    if (below(s, every) == 0) disturb(s);
    commit_one(s, h);
    if (i % look_every(h) == 0 && is_warm(s, start)) check_bound(s, h->name);
  }
  if (!test_bad) store_check(s);
  store_release(s);
  free(s);
}

static void reopen(store *s) {
  store_close(s);
  store_open(s);
  if (below(s, 2)) bc_save_early(s->bc[s->at]);
  if (below(s, 4) == 0) check_model(s->bc[s->at], &s->want, "after opening");
}

static void closing_and_opening_in_between(void) {
  run_disturbed(&plain, reopen, 60);
  run_disturbed(&deleting, reopen, 200);
  run_disturbed(&plain, reopen, 1); /* each handle commits once */
}

/* The other of two handles goes on: it sees what was committed, and finds what was
** begun. */
static void change_handle(store *s) {
  char key[16];
  size_t k = key_text(key, below(s, 100));
  const model_entry *want = model_get(&s->want, key, k);
  bitcask_buf buf = {0};
  bitcask_error e;

  s->at = !s->at;
  if (!s->bc[s->at]) store_open(s);
  CHECK_RC(bitcask_get(s->bc[s->at], key, k, &buf, &e), want ? 0 : BITCASK_NOTFOUND, &e);
  if (want) CHECK_MEM(buf.data, buf.size, model_value(want), want->value_sz);
  bitcask_buf_free(&buf);
  if (below(s, 100) == 0) check_model(s->bc[s->at], &s->want, "by the other handle");
}

static void handles_in_turn(void) {
  run_disturbed(&plain, change_handle, 2);
  run_disturbed(&deleting, change_handle, 40);
}

static void merge_now(store *s) {
  bitcask_merge_options o = {.kind = (bitcask_merge_kind)below(s, 3)};
  bitcask_file_stat *files = NULL;
  uint32_t ids[4];
  bitcask_error e;
  size_t n = 0;

  if (below(s, 2)) change_handle(s);
  CHECK_OK(bitcask_files(s->bc[s->at], &files, &n, &e), &e);
  for (uint32_t i = 0; i < 4 && n; i++) ids[o.n_file_ids++] = files[below(s, (uint32_t)n)].file_id;
  bitcask_files_free(files);
  o.file_ids = ids;
  CHECK_OK(bitcask_merge(s->bc[s->at], &o, NULL, &e), &e);
  if (below(s, 2)) change_handle(s);
}

static void explicit_merges_in_between(void) {
  run_disturbed(&plain, merge_now, 30);
  run_disturbed(&deleting, merge_now, 150);
}

/* Another process merges while this one goes on to commit. */
static void merge_elsewhere(store *s) {
  bitcask_merge_options o = {.kind = below(s, 2) ? BITCASK_MERGE_ALL : BITCASK_MERGE_POLICY};
  uint32_t meanwhile = below(s, 40);
  int status = 0;
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    bitcask *bc = NULL;
    bitcask_error e;
    int rc = bc_open_env(s->dir, &s->o, &s->env, &bc, &e);
    if (!rc) rc = bitcask_merge(bc, &o, NULL, &e);
    if (!rc) rc = bitcask_close(bc, &e);
    if (rc) fprintf(stderr, "the other process: %s\n", e.text);
    _exit(rc ? 1 : 0);
  }
  while (meanwhile-- > 0) commit_one(s, &plain);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(status, 0);
}

static void explicit_merges_by_another_process(void) { run_disturbed(&plain, merge_elsewhere, 60); }

/* -------------------------------------------------------------------------- expiry */

static int64_t fake_clock;

static int64_t fake_now(void *ctx) {
  (void)ctx;
  return fake_clock;
}

/* The oldest tenth is gone with every ten seconds; nobody deletes it. */
static void expired_records_are_dropped(void) {
  enum { ROUNDS = 40, EACH = 60, LIVES = 10 };
  store *s = mem_alloc(sizeof *s);
  uint32_t k = 0;

  store_init(s, 64 << 10);
  s->env.now = fake_now;
  fake_clock = 1700000000;
  s->o.expiry_secs = LIVES * 10 - 1;
  store_open(s);
  for (int round = 0; round < ROUNDS && !test_bad; round++) {
    model lives = {0};
    /* Never overwritten, so that nothing else makes them dead. */
    for (int i = 0; i < EACH; i++) put(s, k++, 2000);
    for (uint32_t old = k < EACH * LIVES ? 0 : k - EACH * LIVES; old < k; old++) {
      char key[16];
      size_t n = key_text(key, old);
      const model_entry *e = model_get(&s->want, key, n);
      model_put(&lives, key, n, model_value(e), e->value_sz, 0);
    }
    model_copy(&s->want, &lives);
    model_clear(&lives);
    s->live = 0;
    for (size_t i = 0; i < s->want.n; i++) s->live += record_size(s->want.entries[i]);
    check_model(s->bc[0], &s->want, "with expired records");
    if (round > LIVES + 5) check_bound(s, "with expired records");
    fake_clock += 10;
  }
  CHECK(store_listing(s).lowest > 10);

  /* All of them at once: what is committed then is all that is left. */
  fake_clock += LIVES * 10 + 1;
  model_clear(&s->want);
  s->live = 0;
  for (int i = 0; i < 400; i++) put(s, k, 20);
  check_bound(s, "all expired");
  store_check(s);
  store_release(s);
  free(s);
}

/* ---------------------------------------------------------- how much is read, written */

enum { N_FDS = 256, WATCHED_FILE = 1 };

/* What goes through an environment that counts. */
static struct {
  bool is_data[N_FDS];    /* of a data or hint file */
  bool is_watched[N_FDS]; /* of data file WATCHED_FILE */
  uint64_t n_read, n_written;
  uint64_t n_watched_read;
  unsigned long n_created; /* data files */
} io;

static int counted_open(void *ctx, const char *path, unsigned flags, int *fd) {
  const char *name = strrchr(path, '/') + 1;
  bool is_data = strstr(name, ".bitcask.data") != NULL;
  bc_stat st;
  bool is_new = bc_env_posix.stat(ctx, path, &st) != 0;
  int rc = bc_env_posix.open(ctx, path, flags, fd);

  if (rc || *fd >= N_FDS) return rc;
  io.is_data[*fd] = is_data || strstr(name, ".bitcask.hint");
  io.is_watched[*fd] = is_data && atoi(name) == WATCHED_FILE;
  io.n_created += is_data && is_new;
  return 0;
}

static int counted_pread(void *ctx, int fd, void *buf, size_t n, uint64_t offset, size_t *got) {
  int rc = bc_env_posix.pread(ctx, fd, buf, n, offset, got);

  if (!rc && fd < N_FDS && io.is_data[fd]) io.n_read += *got;
  if (!rc && fd < N_FDS && io.is_watched[fd]) io.n_watched_read += *got;
  return rc;
}

static int counted_pwritev(void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset) {
  for (int i = 0; i < n_iov && fd < N_FDS && io.is_data[fd]; i++) io.n_written += iov[i].iov_len;
  return bc_env_posix.pwritev(ctx, fd, iov, n_iov, offset);
}

static unsigned one_cpu(void *ctx, uint64_t bytes) {
  (void)ctx;
  (void)bytes;
  return 1;
}

static void count_io(store *s) {
  memset(&io, 0, sizeof io);
  s->env.open = counted_open;
  s->env.pread = counted_pread;
  s->env.pwritev = counted_pwritev;
  s->env.cpus = one_cpu;
  s->o.mmap = false;
}

/* No commit reads or writes more than a few steps of 512 KiB, be it one that seals a
** file of 8 MiB; and all of them together write a few times what they were given. */
static void steps_are_small(void) {
  enum { KEYS = 20000, COMMITS = 250000, LIMIT = 2 << 20 };
  store *s = mem_alloc(sizeof *s);
  uint64_t most_read = 0, most_written = 0, n_written;

  store_init(s, 8 << 20);
  scale_policy(s);
  count_io(s);
  store_open(s);
  for (uint32_t k = 0; k < KEYS; k++) put(s, k, 100);
  n_written = io.n_written;
  s->written = 0;
  for (int i = 0; i < COMMITS && !test_bad; i++) {
    uint64_t r = io.n_read, w = io.n_written;
    put(s, below(s, KEYS), 100);
    if (io.n_read - r > most_read) most_read = io.n_read - r;
    if (io.n_written - w > most_written) most_written = io.n_written - w;
  }
  n_written = io.n_written - n_written;
  printf("  a commit reads up to %" PRIu64 " KiB and writes up to %" PRIu64 " KiB; %.1f bytes"
         " written for one\n",
         most_read >> 10, most_written >> 10, (double)n_written / (double)s->written);
  CHECK(most_read <= LIMIT);
  CHECK(most_written <= LIMIT);
  CHECK(n_written <= 8 * s->written);
  check_bound(s, "at the end");
  store_check(s);
  store_release(s);
  free(s);
}

/* -------------------------------------------------------------------------- damage */

enum { N_FIXED = 10, HURT = 3 }; /* keys in the first file that stay, and one of them */

static void flip(const store *s, uint32_t file_id, uint64_t offset) {
  char path[4096];
  FILE *f;
  int c;

  snprintf(path, sizeof path, "%s/%" PRIu32 ".bitcask.data", s->dir, file_id);
  f = fopen(path, "r+b");
  if (!f || fseek(f, (long)offset, SEEK_SET) || (c = getc(f)) == EOF ||
      fseek(f, (long)offset, SEEK_SET) || putc(c ^ 4, f) == EOF || fclose(f)) {
    abort();
  }
}

/* Where in file 1 the value of a key is. */
static uint64_t place_of(bitcask *bc, const char *key) {
  bitcask_snapshot *snap = NULL;
  bitcask_entry entry = {0};
  bitcask_error e;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_snapshot_get(snap, key, strlen(key), NULL, &entry, &e), &e);
  bitcask_snapshot_close(snap);
  CHECK_EQ(entry.file_id, WATCHED_FILE);
  return entry.offset + 14 + strlen(key) + 5;
}

/* Files, most of which is dead, and one byte of a live record in the first one hurt. */
static void make_damage(store *s, bool without_caches) {
  uint64_t at;

  s->o.auto_merge = false;
  store_open(s);
  for (uint32_t k = 0; k < N_FIXED; k++) put(s, 1000 + k, 300);
  for (int i = 0; i < 500; i++) put(s, below(s, 60), 1000);
  at = place_of(s->bc[0], "key1003");
  store_close(s);
  flip(s, WATCHED_FILE, at);
  if (without_caches) remove_caches(s->dir);
  s->o.auto_merge = true;
}

static void check_fixed(store *s, bool is_merged) {
  bitcask_buf buf = {0};
  bitcask_error e;
  char key[16];

  for (uint32_t k = 0; k < N_FIXED; k++) {
    size_t n = key_text(key, 1000 + k);
    const model_entry *want = model_get(&s->want, key, n);
    int code = k != HURT ? BITCASK_OK : is_merged ? BITCASK_NOTFOUND : BITCASK_CORRUPT;
    CHECK_RC(bitcask_get(s->bc[0], key, n, &buf, &e), code, &e);
    if (k != HURT) CHECK_MEM(buf.data, buf.size, model_value(want), want->value_sz);
  }
  bitcask_buf_free(&buf);
}

/* Left to bitcask_merge, and not read again and again; all else is merged. */
static void damaged_file_is_left_alone(void) {
  for (int without_caches = 0; without_caches < 2; without_caches++) {
    store *s = mem_alloc(sizeof *s);
    bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
    bitcask_merge_result result = {0};
    char path[4096];
    struct stat st = {0};
    bitcask_error e;
    uint64_t start;

    store_init(s, 64 << 10);
    make_damage(s, without_caches);
    count_io(s);
    store_open(s);
    start = s->written;
    for (int i = 0; i < 4000; i++) {
      put(s, below(s, 60), 1000);
      if (i != 2000) continue;
      store_close(s);
      store_open(s);
    }
    snprintf(path, sizeof path, "%s/1.bitcask.data", s->dir);
    CHECK_EQ(stat(path, &st), 0);
    CHECK_EQ(store_listing(s).n_damaged, 0);
    CHECK(store_listing(s).data_bytes <=
          bound_of(s->live, s->o.max_file_size) + (uint64_t)st.st_size);
    check_fixed(s, false);
    printf("  %lu files made, %lu lines told, %" PRIu64 " bytes of the damaged file read\n",
           io.n_created, s->n_logged, io.n_watched_read);
    CHECK(io.n_created <= 40 + 6 * (s->written - start) / s->o.max_file_size);
    CHECK(io.n_watched_read <= 20 * (uint64_t)st.st_size);
    CHECK(s->n_logged <= 20);
    CHECK_OK(bitcask_merge(s->bc[0], &all, &result, &e), &e);
    CHECK_EQ(result.n_damaged, 1);
    CHECK_EQ(store_listing(s).n_damaged, 1);
    check_fixed(s, true);
    for (int i = 0; i < 1000; i++) put(s, below(s, 60), 1000);
    check_bound(s, "without the damaged file");
    store_release(s);
    free(s);
  }
}

/* ------------------------------------------------------------- what cannot be written */

static void memory_init(store *s, uint64_t max_file_size) {
  store_init(s, max_file_size);
  tempdir_remove(s->dir);
  s->dir = "/kv"; /* of a disk in RAM */
  s->m = memenv_new(seed);
  s->env = *memenv_env(s->m);
}

/* Whatever merging would like to write, a commit that there is room for works. */
static void full_disk_fails_no_commit_that_fits(void) {
  enum { KEYS = 80, SLACK = 512 };
  store *s = mem_alloc(sizeof *s);
  uint64_t quota;
  unsigned n_full = 0, n_fit = 0;
  bitcask_error e;

  memory_init(s, 64 << 10);
  store_open(s);
  for (uint32_t k = 0; k < KEYS; k++) put(s, k, 1000);
  quota = memenv_disk_bytes(s->m) + 3000;
  for (int i = 0; i < 6000 && !test_bad; i++) {
    size_t n = below(s, 3000);
    memenv_set_quota(s->m, quota);
    if (memenv_disk_bytes(s->m) + n + SLACK <= quota) {
      n_fit++;
      put(s, below(s, KEYS), n);
    } else if (try_put(s, below(s, KEYS), n, &e)) {
      CHECK_EQ(e.code, BITCASK_FULL);
      quota += below(s, 6000); /* somebody makes a little room */
      n_full++;
    }
    if (i % 500 == 0) check_model(s->bc[0], &s->want, "on the full disk");
  }
  printf("  %u commits that fit, %u that did not, %lu lines told\n", n_fit, n_full, s->n_logged);
  CHECK(n_full > 0);
  check_model(s->bc[0], &s->want, "on the full disk");
  memenv_set_quota(s->m, 0);
  for (int i = 0; i < 500; i++) put(s, below(s, KEYS), 1000);
  check_bound(s, "with room again");
  store_check(s);
  store_release(s);
  free(s);
}

/* Old files cannot be removed for a while: that is told, not with every commit, fails
** none, and is made up for. */
static void what_fails_is_tried_again(void) {
  enum { KEYS = 80 };
  store *s = mem_alloc(sizeof *s);
  mem_fault fault = {.err = EIO, .calls = MEM_CALL_UNLINK, .nth = 1, .sticky = true};

  memory_init(s, 64 << 10);
  store_open(s);
  for (int i = 0; i < 500; i++) put(s, below(s, KEYS), 1000);
  memenv_set_fault(s->m, &fault);
  for (int i = 0; i < 1000; i++) put(s, below(s, KEYS), 1000);
  CHECK(memenv_fault_hit(s->m));
  fault.nth = 0;
  memenv_set_fault(s->m, &fault);
  printf("  %lu lines told in 1000 commits, the last: %.60s\n", s->n_logged, s->logged);
  CHECK(s->n_logged > 0 && s->n_logged < 500);
  check_model(s->bc[0], &s->want, "while files stay");
  for (int i = 0; i < 1000; i++) put(s, below(s, KEYS), 1000);
  check_bound(s, "when files can be removed again");
  store_check(s);
  store_release(s);
  free(s);
}

/* Would a commit of n bytes begin a new file? */
static bool will_rotate(store *s, size_t n) {
  bitcask_status_info info;
  bitcask_error e;
  char path[64];
  bc_stat st = {0};

  CHECK_OK(bitcask_status(s->bc[0], &info, &e), &e);
  snprintf(path, sizeof path, "%s/%" PRIu32 ".bitcask.data", s->dir, info.active_file);
  return s->env.stat(s->env.ctx, path, &st) || st.size + n > s->o.max_file_size;
}

/* A failed step leaves things to the next commit: that may look at the directory, mend
** it, and fail. */
static bool has_to_recover(const store *s) {
  return atomic_load(&s->bc[0]->stale) || atomic_load(&s->bc[0]->repairs_due);
}

/* System calls that a commit makes at most if it seals nothing, and nothing is merged. */
static uint64_t calls_of_a_commit(store *s, const mem_fault *f) {
  uint64_t most = 0;

  s->o.auto_merge = false;
  store_open(s);
  put(s, 0, 1000);
  for (int i = 0; i < 200; i++) {
    bool is_plain = !will_rotate(s, 2000);
    memenv_set_fault(s->m, f); /* counts anew */
    put(s, below(s, 80), 1000);
    if (is_plain && memenv_n_calls(s->m) > most) most = memenv_n_calls(s->m);
  }
  store_close(s);
  s->o.auto_merge = true;
  return most;
}

/* Of those that change something; but for a sync, after which nothing can be known.  (What
** a step could not even look at, the next commit looks at itself.) */
static void no_call_of_a_step_fails_a_commit(void) {
  store *s = mem_alloc(sizeof *s);
  mem_fault f = {.err = EIO,
                 .calls = MEM_CALL_CREATE | MEM_CALL_PWRITEV | MEM_CALL_TRUNCATE | MEM_CALL_RENAME |
                          MEM_CALL_UNLINK | MEM_CALL_SYNC_DIR};
  unsigned n_hits = 0;
  uint64_t n_own;

  memory_init(s, 64 << 10);
  n_own = calls_of_a_commit(s, &f);
  store_open(s);
  put(s, 0, 1000); /* the first one takes the locks */
  for (int i = 0; i < 4000 && !test_bad; i++) {
    f.nth = will_rotate(s, 2000) || has_to_recover(s) ? 0 : n_own + 1 + below(s, 30);
    f.err = below(s, 2) ? EIO : ENOSPC;
    f.sticky = below(s, 2);
    memenv_set_fault(s->m, &f);
    put(s, below(s, 80), 1000);
    n_hits += memenv_fault_hit(s->m);
    f.nth = 0;
    memenv_set_fault(s->m, &f);
    if (i % 500 == 0) check_model(s->bc[0], &s->want, "while steps fail");
  }
  printf("  %u steps failed, %lu lines told, the last: %.60s\n", n_hits, s->n_logged, s->logged);
  for (int i = 0; i < 1000; i++) put(s, below(s, 80), 1000);
  check_bound(s, "when nothing fails any more");
  store_check(s);
  store_release(s);
  free(s);
}

/* ----------------------------------------------------------------- several writers */

/* Each has keys of its own, its lane: what operation number n of a lane does follows
** from the two numbers, and stands in the value.  How many have begun, and how many
** were acknowledged, everybody sees. */
enum {
  N_LANES = 3,
  NOBODYS = N_LANES,
  LANE_KEYS = 60,
  LANE_VALUE = 3000,
  LANE_FILE = 64 << 10,
  CHILD_OK = 7
};

typedef struct shared {
  atomic_ulong begun[N_LANES];
  atomic_ulong acked[N_LANES];
  atomic_int turn; /* the lane that may go on; NOBODYS: the test itself */
  atomic_bool stop;
  atomic_bool failed;
} shared;

typedef struct lane {
  unsigned long n;
  unsigned long by[LANE_KEYS]; /* the operation that wrote the key; 0: it is not there */
} lane;

/* A thread, or a process. */
typedef struct party {
  int number; /* of its lane, -1: none */
  uint64_t rng;
  bitcask *bc;
  lane lanes[N_LANES]; /* as far as it knows */
  uint32_t merges;     /* one in so many commits is followed by bitcask_merge; 0: none */
  uint32_t reopens;    /* ... by a close and an open */
  bool in_turn;        /* goes on when it is its turn only */
} party;

static shared *sh;
static const char *lane_dir;
static bc_env lane_env;

static void fail(const char *what, const bitcask_error *e) {
  fprintf(stderr, "process %d: %s%s%s\n", (int)getpid(), what, e ? ": " : "", e ? e->text : "");
  atomic_store(&sh->failed, true);
}

static uint32_t choose(party *p, uint32_t n) { return (uint32_t)(mem_random(&p->rng) % n); }

/* The key that an operation writes; *size: of its value, 0 if it deletes it. */
static int op_of(int number, unsigned long n, size_t *size) {
  uint64_t x = (uint64_t)number << 48 ^ n, r = mem_random(&x);

  *size = r % 8 ? 40 + (r >> 8) % (LANE_VALUE - 40) : 0;
  return (int)((r >> 32) % LANE_KEYS);
}

static size_t lane_key(char *out, int number, int key) {
  return (size_t)sprintf(out, "%d.%d", number, key);
}

static void lane_value(char *out, size_t n, int number, int key, unsigned long op) {
  size_t at = (size_t)sprintf(out, "%lu %d.%d ", op, number, key);
  memset(out + at, (int)('a' + op % 26), n - at);
}

static void roll_to(lane *l, int number, unsigned long n) {
  while (l->n < n) {
    size_t size;
    int key = op_of(number, ++l->n, &size);
    l->by[key] = size ? l->n : 0;
  }
}

/* The operation that wrote a value; 0 if none did. */
static unsigned long op_in(const void *value, size_t n, int number, int key) {
  char want[LANE_VALUE], head[24] = {0};
  unsigned long op;
  size_t size;

  memcpy(head, value, n < sizeof head - 1 ? n : sizeof head - 1);
  op = strtoul(head, NULL, 10);
  if (op_of(number, op, &size) != key || size != n) return 0;
  lane_value(want, n, number, key, op);
  return memcmp(want, value, n) ? 0 : op;
}

/* Is that what a key may show, read when `least` operations were acknowledged and
** `most` had begun? */
static bool is_possible(party *p, int number, int key, unsigned long seen, unsigned long least,
                        unsigned long most) {
  lane *l = &p->lanes[number];

  roll_to(l, number, least);
  if (l->by[key] == seen) return true;
  for (unsigned long n = least + 1; n <= most; n++) {
    size_t size;
    if (op_of(number, n, &size) == key && (size ? n : 0) == seen) return true;
  }
  return false;
}

static void check_key(party *p, int number, int key) {
  unsigned long least = atomic_load(&sh->acked[number]), seen = 0;
  bitcask_buf buf = {0};
  bitcask_error e;
  char text[16];
  int rc = bitcask_get(p->bc, text, lane_key(text, number, key), &buf, &e);

  if (rc && rc != BITCASK_NOTFOUND)
    fail("get", &e);
  else if (!rc && !(seen = op_in(buf.data, buf.size, number, key)))
    fail("a value that nobody wrote", NULL);
  else if (!is_possible(p, number, key, seen, least, atomic_load(&sh->begun[number])))
    fail(seen ? "a value of another time" : "a key that is not there", NULL);
  bitcask_buf_free(&buf);
}

static void write_next(party *p) {
  int number = p->number;
  unsigned long n = p->lanes[number].n + 1;
  char key[16], value[LANE_VALUE];
  bitcask_error e;
  size_t size, k;
  int rc, index = op_of(number, n, &size);

  k = lane_key(key, number, index);
  atomic_store(&sh->begun[number], n);
  if (size) {
    lane_value(value, size, number, index, n);
    rc = bitcask_put(p->bc, key, k, value, size, &e);
  } else {
    rc = bitcask_delete(p->bc, key, k, &e);
  }
  if (rc) {
    fail("a commit", &e);
    return;
  }
  atomic_store(&sh->acked[number], n);
  roll_to(&p->lanes[number], number, n);
}

static void party_options(party *p, bitcask_options *o) {
  bitcask_options_init(o);
  o->auto_merge = true;
  o->create = true;
  o->sync = choose(p, 2) ? BITCASK_SYNC_NORMAL : BITCASK_SYNC_OFF;
  o->mmap = choose(p, 4) > 0;
  o->max_file_size = LANE_FILE;
  o->timeout_ms = PATIENCE * 1000;
}

static void party_open(party *p) {
  bitcask_options o;
  bitcask_error e;

  party_options(p, &o);
  if (bc_open_env(lane_dir, &o, &lane_env, &p->bc, &e)) {
    fail("open", &e);
    _exit(1);
  }
  if (choose(p, 2)) bc_save_early(p->bc);
}

static void party_close(party *p) {
  bitcask_error e;
  if (bitcask_close(p->bc, &e)) fail("close", &e);
  p->bc = NULL;
}

static void party_merge(party *p) {
  bitcask_merge_options o = {.kind = choose(p, 2) ? BITCASK_MERGE_ALL : BITCASK_MERGE_POLICY};
  bitcask_error e;
  int rc = bitcask_merge(p->bc, &o, NULL, &e);

  if (rc && rc != BITCASK_BUSY) fail("merge", &e); /* another one may be merging */
}

static void party_step(party *p) {
  write_next(p);
  check_key(p, p->number, (int)choose(p, LANE_KEYS));
  check_key(p, (int)choose(p, N_LANES), (int)choose(p, LANE_KEYS));
  if (p->merges && choose(p, p->merges) == 0) party_merge(p);
  if (p->reopens && choose(p, p->reopens) == 0) {
    party_close(p);
    party_open(p);
  }
}

/* The operation that was in flight when its process was killed is there, or not. */
static void take_over(party *p) {
  int number = p->number, key;
  unsigned long n = atomic_load(&sh->acked[number]), before;
  bitcask_buf buf = {0};
  bitcask_error e;
  char text[16];
  size_t size;
  int rc;

  roll_to(&p->lanes[number], number, n);
  if (atomic_load(&sh->begun[number]) == n) return;
  key = op_of(number, n + 1, &size);
  before = p->lanes[number].by[key];
  rc = bitcask_get(p->bc, text, lane_key(text, number, key), &buf, &e);
  if (rc && rc != BITCASK_NOTFOUND) fail("get after a kill", &e);
  if (size ? !rc && op_in(buf.data, buf.size, number, key) == n + 1 : rc && before) {
    atomic_store(&sh->acked[number], n + 1);
    roll_to(&p->lanes[number], number, n + 1);
  }
  bitcask_buf_free(&buf);
  check_key(p, number, key);
}

static void take_turn(party *p) {
  if (p->in_turn && atomic_load(&sh->turn) != p->number) {
    usleep(20);
    return;
  }
  for (uint32_t i = 1 + choose(p, 20); i > 0 && !atomic_load(&sh->failed); i--) party_step(p);
  if (p->in_turn) atomic_store(&sh->turn, NOBODYS);
}

static pid_t start_party(const party *like, int number, uint64_t rng) {
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    party *p = mem_alloc(sizeof *p);
    *p = *like;
    p->number = number;
    p->rng = rng;
    party_open(p);
    take_over(p);
    while (!atomic_load(&sh->stop) && !atomic_load(&sh->failed)) take_turn(p);
    if (!atomic_load(&sh->failed)) party_close(p);
    _exit(atomic_load(&sh->failed) ? 1 : CHILD_OK);
  }
  return pid;
}

static void lanes_init(void) {
  sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sh == MAP_FAILED) abort();
  atomic_store(&sh->turn, NOBODYS);
  lane_dir = tempdir_make();
  lane_env = quick_env();
}

static unsigned long n_acked(void) {
  unsigned long n = 0;
  for (int i = 0; i < N_LANES; i++) n += atomic_load(&sh->acked[i]);
  return n;
}

/* Of all lanes. */
static uint64_t live_bytes(party *p) {
  uint64_t live = 0;
  char text[16];
  size_t size;

  for (int i = 0; i < N_LANES; i++) {
    roll_to(&p->lanes[i], i, atomic_load(&sh->acked[i]));
    for (int k = 0; k < LANE_KEYS; k++) {
      if (!p->lanes[i].by[k]) continue;
      op_of(i, p->lanes[i].by[k], &size);
      live += 14 + lane_key(text, i, k) + size;
    }
  }
  return live;
}

/* `more`: bytes above the bound.  A listing is not of one moment while others remove
** files and make new ones: only what is there three times counts. */
static void check_lanes_bound(party *p, uint64_t more, unsigned *worst) {
  uint64_t bound = 0, found = 0;

  for (int i = 0; i < 3; i++) {
    uint64_t disk = look_at(&bc_env_posix, lane_dir).data_bytes;
    /* What is on its way is on disk before it is acknowledged. */
    bound = bound_of(live_bytes(p) + N_LANES * LANE_VALUE, LANE_FILE) + more;
    if (i == 0 || disk < found) found = disk;
    if (found <= bound) break;
  }
  if (100 * found / bound > *worst) *worst = (unsigned)(100 * found / bound);
  if (found > bound && !test_bad) {
    TEST_FAIL("SEED=%" PRIu64 ", after %lu commits: %" PRIu64 " bytes on disk, over %" PRIu64, seed,
              n_acked(), found, bound);
  }
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void expect_exit(pid_t pid, int want) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), want);
}

/* With everybody gone: every key of every lane, and each file. */
static void lanes_check(party *p, bool caches) {
  if (!caches) remove_caches(lane_dir);
  party_open(p);
  for (int i = 0; i < N_LANES; i++) {
    for (int k = 0; k < LANE_KEYS; k++) check_key(p, i, k);
  }
  check_verify(p->bc);
  party_close(p);
  CHECK(!atomic_load(&sh->failed));
}

/* One that is left makes up for what the others' speed, or their end, put off. */
static void lanes_end(party *p, unsigned *worst) {
  lanes_check(p, true);
  p->number = 0;
  party_open(p);
  take_over(p);
  for (int i = 0; i < 300; i++) write_next(p);
  check_lanes_bound(p, 0, worst);
  party_close(p);
  lanes_check(p, true);
  lanes_check(p, false);
  tempdir_remove((char *)lane_dir);
  munmap(sh, sizeof *sh);
}

typedef struct crowd {
  party *own; /* the test's */
  const party *like;
  pid_t pids[N_LANES];
  double end; /* of our patience */
  unsigned n_kills;
  unsigned worst;
} crowd;

static bool goes_on(const crowd *c) {
  return !atomic_load(&sh->failed) && !test_bad && now() < c->end;
}

static void crowd_start(crowd *c, const party *like) {
  *c = (crowd){.own = mem_alloc(sizeof *c->own), .like = like, .end = now() + PATIENCE};
  *c->own = (party){.number = -1, .rng = seed};
  lanes_init();
  for (int i = 0; i < N_LANES; i++) c->pids[i] = start_party(like, i, mem_random(&c->own->rng));
}

static void kill_one(crowd *c, int i) {
  CHECK_EQ(kill(c->pids[i], SIGKILL), 0);
  expect_exit(c->pids[i], 1000 + SIGKILL);
  c->pids[i] = start_party(c->like, i, mem_random(&c->own->rng));
  c->n_kills++;
}

static void crowd_end(crowd *c) {
  CHECK(now() < c->end); /* else somebody is stuck */
  atomic_store(&sh->stop, true);
  for (int i = 0; i < N_LANES; i++) expect_exit(c->pids[i], CHILD_OK);
  printf("  %lu commits, %u kills, at most %u %% of the bound\n", n_acked(), c->n_kills, c->worst);
  lanes_end(c->own, &c->worst);
  free(c->own);
}

/* One goes on where another has stopped, has closed, or was killed; between turns the
** bound holds exactly, but for what a killed one has left half done. */
static void run_in_turn(unsigned long n_commits, bool with_kills) {
  crowd c;

  crowd_start(&c, &(party){.in_turn = true, .reopens = 100});
  while (n_acked() < n_commits && goes_on(&c)) {
    int i = (int)choose(c.own, N_LANES);
    atomic_store(&sh->turn, i);
    if (with_kills && choose(c.own, 8) == 0) {
      usleep(choose(c.own, 3000));
      kill_one(&c, i);
      atomic_store(&sh->turn, NOBODYS);
    }
    while (atomic_load(&sh->turn) != NOBODYS && goes_on(&c)) usleep(20);
    if (n_acked() > 500) check_lanes_bound(c.own, with_kills ? LANE_FILE : 0, &c.worst);
  }
  crowd_end(&c);
}

static void processes_in_turn(void) { run_in_turn(6000, false); }
static void killed_processes_in_turn(void) { run_in_turn(6000, true); }

/* All at once.  Now and then one gets no processor while others commit, and they do not
** wait for its step: the bound is met later. */
static void run_at_once(const party *like, unsigned long n_commits, bool with_kills) {
  crowd c;

  crowd_start(&c, like);
  while (n_acked() < n_commits && goes_on(&c)) {
    usleep(choose(c.own, 20000));
    if (with_kills) kill_one(&c, (int)choose(c.own, N_LANES));
    if (n_acked() > 500) check_lanes_bound(c.own, 2 << 20, &c.worst);
  }
  crowd_end(&c);
}

static void processes_at_once(void) { run_at_once(&(party){.reopens = 300}, 8000, false); }
static void killed_processes(void) { run_at_once(&(party){.reopens = 100}, 8000, true); }

static void processes_and_explicit_merges(void) {
  run_at_once(&(party){.reopens = 300, .merges = 100}, 4000, false);
}

/* -------------------------------------------------------------- short-lived processes */

/* Opens, commits once, and ends, with or without a close; like a shell that writes a
** row. */
static void commit_in_child(store *s, bool closes) {
  uint32_t k = below(s, plain.n_keys);
  size_t n = value_size(s, &plain);
  uint64_t rng = s->rng;
  char key[16], value[MAX_VALUE];
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    store_open(s);
    put(s, k, n);
    if (!test_bad && !closes) kill(getpid(), SIGKILL);
    store_close(s);
    _exit(test_bad ? 1 : CHILD_OK);
  }
  expect_exit(pid, closes ? CHILD_OK : 1000 + SIGKILL);
  s->rng = rng;
  fill_value(value, n, mem_random(&s->rng));
  model_write(s, key, key_text(key, k), value, n);
}

static void short_lived_processes(void) {
  store *s = mem_alloc(sizeof *s);
  uint64_t start;

  shape_init(s, &plain);
  store_close(s);
  start = s->written;
  for (int i = 0; i < 1000 && !test_bad; i++) {
    commit_in_child(s, below(s, 4) > 0);
    if (i % 10 == 0 && is_warm(s, start)) check_bound(s, "short-lived processes");
  }
  printf("  at most %u %% of the bound\n", s->worst);
  store_open(s);
  store_check(s);
  store_release(s);
  free(s);
}

/* -------------------------------------------------------------------------- threads */

enum { THREAD_COMMITS = 2500, N_READERS = 2 };

static void *writing_thread(void *arg) {
  party *p = arg;

  for (int i = 0; i < THREAD_COMMITS && !atomic_load(&sh->failed); i++) party_step(p);
  return NULL;
}

static void *reading_thread(void *arg) {
  party *p = arg;

  while (!atomic_load(&sh->stop) && !atomic_load(&sh->failed)) {
    check_key(p, (int)choose(p, N_LANES), (int)choose(p, LANE_KEYS));
  }
  return NULL;
}

/* What a snapshot shows twice is the same, and no key is missed or there twice. */
static void *snapshot_thread(void *arg) {
  party *p = arg;
  model once = {0}, twice = {0};

  while (!atomic_load(&sh->stop) && !atomic_load(&sh->failed)) {
    bitcask_snapshot *snap;
    bitcask_error e;
    const char *bad;

    if (bitcask_snapshot_open(p->bc, NULL, &snap, &e)) {
      fail("snapshot_open", &e);
      break;
    }
    bad = model_read(&once, snap);
    usleep(choose(p, 20000));
    if (!bad) bad = model_read(&twice, snap);
    if (!bad && !model_equal(&once, &twice)) bad = "it has changed";
    if (bad) fprintf(stderr, "a snapshot: %s\n", bad);
    if (bad) fail("a snapshot", NULL);
    bitcask_snapshot_close(snap);
  }
  model_clear(&once);
  model_clear(&twice);
  return NULL;
}

static void threads_on_one_handle(void) {
  enum { N = N_LANES + N_READERS + 1 };
  party *parties = mem_alloc((N + 1) * sizeof *parties), *own = &parties[N];
  pthread_t threads[N];
  unsigned worst = 0;

  lanes_init();
  *own = (party){.number = -1, .rng = seed};
  party_open(own);
  for (int i = 0; i < N; i++) {
    void *(*work)(void *) = i < N_LANES ? writing_thread
                            : i < N - 1 ? reading_thread
                                        : snapshot_thread;
    parties[i] = (party){.number = i < N_LANES ? i : -1, .rng = seed + (uint64_t)i, .bc = own->bc};
    if (i == 0) parties[i].merges = 500;
    if (pthread_create(&threads[i], NULL, work, &parties[i])) abort();
  }
  while (n_acked() < N_LANES * THREAD_COMMITS && !atomic_load(&sh->failed)) {
    usleep(3000);
    if (n_acked() > 500) check_lanes_bound(own, 4 << 20, &worst);
  }
  atomic_store(&sh->stop, true);
  for (int i = 0; i < N; i++) pthread_join(threads[i], NULL);
  printf("  %lu commits, at most %u %% of the bound\n", n_acked(), worst);
  party_close(own);
  lanes_end(own, &worst);
  free(parties);
}

/* A removed file is cut only if nobody else has it open, or mapped. */
static void removed_file_is_not_cut_below_a_reader(void) {
  const bc_env *real = &bc_env_posix;
  struct iovec iov = {(char[5000]){1}, 5000};
  char *dir = tempdir_make(), path[4096];
  uint64_t size = 0;
  int fd, other;
  void *p;

  snprintf(path, sizeof path, "%s/file", dir);
  CHECK_EQ(real->open(NULL, path, BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), 0);
  CHECK_EQ(real->pwritev(NULL, fd, &iov, 1, 0), 0);
  CHECK_EQ(real->truncate_removed(NULL, fd, 0), EBUSY);
  CHECK_EQ(real->open(NULL, path, BC_OPEN_READ, &other), 0);
  CHECK_EQ(real->unlink(NULL, path), 0);
  CHECK_EQ(real->truncate_removed(NULL, fd, 0), EBUSY);
  CHECK_EQ(real->map(NULL, other, 5000, false, &p), 0);
  CHECK_EQ(real->close(NULL, other), 0);
  CHECK_EQ(real->truncate_removed(NULL, fd, 0), EBUSY);
  CHECK_EQ(real->size(NULL, fd, &size), 0);
  CHECK_EQ(size, 5000);
  CHECK_EQ(real->unmap(NULL, p, 5000), 0);
  CHECK_EQ(real->close(NULL, fd), 0);
  tempdir_remove(dir);
}

int main(void) {
  const char *s = getenv("SEED");

  seed = s ? strtoull(s, NULL, 10) : 1;
  printf("SEED=%" PRIu64 "\n", seed);
  RUN(random_overwrites_stay_within_the_bound);
  RUN(random_deletes_stay_within_the_bound);
  RUN(deleting_everything_frees_the_disk);
  RUN(manual_merges_nothing);
  RUN(readers_merge_nothing);
  RUN(inserts_get_hints_and_no_merge);
  RUN(snapshot_keeps_its_moment);
  RUN(snapshot_keeps_no_descriptors);
  RUN(closing_and_opening_in_between);
  RUN(handles_in_turn);
  RUN(explicit_merges_in_between);
  RUN(explicit_merges_by_another_process);
  RUN(expired_records_are_dropped);
  RUN(steps_are_small);
  RUN(damaged_file_is_left_alone);
  RUN(removed_file_is_not_cut_below_a_reader);
  RUN(full_disk_fails_no_commit_that_fits);
  RUN(what_fails_is_tried_again);
  RUN(no_call_of_a_step_fails_a_commit);
  RUN(processes_in_turn);
  RUN(killed_processes_in_turn);
  RUN(processes_at_once);
  RUN(processes_and_explicit_merges);
  RUN(killed_processes);
  RUN(short_lived_processes);
  RUN(threads_on_one_handle);
  return test_done();
}
