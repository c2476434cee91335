/*
** test_shards.c - a keydir that several threads have made is the one that a single
** thread makes: the same places, statistics and messages, whatever the files have
** gone through; and a load that is interrupted, or short of threads or memory.
**
** The reference is the load with one processor, which the other tests check.
*/
#include "craft.h"
#include "engine.h"
#include "memenv.h"
#include "oom.h"
#include "test.h"

enum { N_MACHINES = 60, N_TXNS = 120, N_KEYS = 90, MAX_KEY = 80, TEXT_SZ = 1 << 20 };

static const char *const dir = "/kv";

static uint64_t rng = 4711;

static uint64_t draw(uint64_t n) {
  rng ^= rng << 13;
  rng ^= rng >> 7;
  rng ^= rng << 17;
  return rng % n;
}

/* ------------------------------------------------------------ what was loaded */

typedef struct places {
  char line[N_KEYS][MAX_KEY * 2 + 80];
  size_t n;
} places;

static void collect(places *p, const bitcask_entry *e) {
  char *to = p->line[p->n++];
  for (uint32_t i = 0; i < e->key_sz; i++) to += sprintf(to, "%02x", ((const uint8_t *)e->key)[i]);
  sprintf(to, " %u %" PRIu64 " %u %u\n", e->file_id, e->offset, e->total_sz, e->tstamp);
}

static int by_text(const void *a, const void *b) { return strcmp(a, b); }

static size_t print_places(bitcask *bc, char *to) {
  static places p;
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry entry;
  bitcask_error e = {0};
  size_t n = 0;
  int rc;

  p.n = 0;
  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_iter_open(snap, BITCASK_KEYS, &it, &e), &e);
  while ((rc = bitcask_iter_next(it, &entry, &e)) != BITCASK_NOTFOUND) {
    /* What is in doubt has a place all the same. */
    CHECK(rc == BITCASK_OK || rc == BITCASK_CORRUPT);
    if (entry.key) collect(&p, &entry);
  }
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
  qsort(p.line, p.n, sizeof p.line[0], by_text);
  for (size_t i = 0; i < p.n; i++) n += (size_t)sprintf(to + n, "%s", p.line[i]);
  return n;
}

static size_t print_files(bitcask *bc, char *to) {
  bitcask_file_stat *f = NULL;
  bitcask_error e = {0};
  size_t n = 0, n_files = 0;

  CHECK_OK(bitcask_files(bc, &f, &n_files, &e), &e);
  for (size_t i = 0; i < n_files; i++) {
    n += (size_t)sprintf(to + n,
                         "%u: %d%d%d %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                         " %" PRIu64 " %" PRIu64 " %u %u\n",
                         f[i].file_id, (int)f[i].state, f[i].has_hint, f[i].damaged,
                         f[i].total_bytes, f[i].live_bytes, f[i].dead_bytes, f[i].tombstone_bytes,
                         f[i].total_keys, f[i].live_keys, f[i].tombstones, f[i].oldest_tstamp,
                         f[i].newest_tstamp);
  }
  bitcask_files_free(f);
  return n;
}

/* Everything that a load has made, as text, valid until the next call with this
** `which`. */
static const char *loaded(const bc_env *env, const char *path, unsigned which) {
  static char text[2][TEXT_SZ];
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc = NULL;
  char *to = text[which];

  craft_options(&o);
  o.read_only = true;
  craft_log[0] = 0;
  *to = 0;
  CHECK_OK(bc_open_env(path, &o, env, &bc, &e), &e);
  if (!bc) return to;
  to += sprintf(to, "%s", craft_log);
  to += print_places(bc, to);
  to += print_files(bc, to);
  sprintf(to, "%s\n", craft_dump(bc));
  CHECK_OK(bitcask_close(bc, &e), &e);
  return text[which];
}

static void check_same(memenv *m, const char *what) {
  const char *one, *several;

  memenv_set_cpus(m, 1);
  one = loaded(memenv_env(m), dir, 0);
  for (unsigned cpus = 2; cpus <= 4; cpus++) {
    memenv_set_cpus(m, cpus);
    several = loaded(memenv_env(m), dir, 1);
    if (strcmp(one, several) != 0) {
      TEST_FAIL("%s: %u processors load\n%s\nand one\n%s", what, cpus, several, one);
      return;
    }
  }
  CHECK_EQ(memenv_n_open(m), 0);
}

/* ----------------------------------------------------------- random directories */

static size_t key_of(uint64_t i, char key[MAX_KEY]) {
  /* Some keys are too long to wait for their place. */
  return (size_t)snprintf(key, MAX_KEY, "%0*u", i % 7 ? (int)(i % 11) + 2 : 60, (unsigned)i);
}

static void random_txn(bitcask *bc) {
  static char value[3000];
  bitcask_error e = {0};
  bitcask_txn *txn = NULL;
  char key[MAX_KEY];

  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (uint64_t n = 1 + draw(9); n-- > 0;) {
    uint64_t i = draw(N_KEYS);
    size_t k = key_of(i, key);
    memset(value, (int)draw(256), sizeof value);
    if (draw(4)) {
      CHECK_OK(bitcask_txn_put(txn, key, k, value, draw(10) ? draw(60) : draw(sizeof value), &e),
               &e);
    } else {
      CHECK_OK(bitcask_txn_delete(txn, key, k, &e), &e);
    }
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
}

/* A machine with some files, most of them sealed, of which the log is kept. */
static memenv *make_machine(uint64_t seed) {
  static const bitcask_sync_mode modes[] = {BITCASK_SYNC_FULL, BITCASK_SYNC_NORMAL,
                                            BITCASK_SYNC_OFF};
  memenv *m = memenv_new(seed);
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc = NULL;

  craft_options(&o);
  o.create = true;
  o.sync = modes[seed % 3];
  o.max_file_size = 4000 + draw(20000);
  memenv_log_start(m);
  CHECK_OK(bc_open_env(dir, &o, memenv_env(m), &bc, &e), &e);
  for (unsigned i = 0; i < N_TXNS; i++) {
    random_txn(bc);
    memenv_set_now(m, 1700000000 + (int64_t)draw(100000));
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
  return m;
}

typedef struct file_list {
  char path[200][64];
  size_t n;
} file_list;

static int add_file(void *arg, const char *name) {
  file_list *l = arg;
  if (strstr(name, ".bitcask.") && l->n < 200) snprintf(l->path[l->n++], 64, "%s/%s", dir, name);
  return 0;
}

/* Flip a bit, make zeros, or cut: some file, somewhere; or take it away if it is a
** hint. */
static void damage(memenv *m) {
  const bc_env *env = memenv_env(m);
  static uint8_t data[1 << 18];
  file_list l = {.n = 0};
  const char *path;
  size_t n, at, k;
  int fd;

  CHECK_EQ(env->list(env->ctx, dir, add_file, &l), 0);
  path = l.path[draw(l.n)];
  CHECK_EQ(env->open(env->ctx, path, BC_OPEN_READ, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, data, sizeof data, 0, &n), 0);
  env->close(env->ctx, fd);
  if (!n) return;
  at = draw(n);
  k = 1 + draw(40);
  switch (draw(4)) {
  case 0:
    data[at] ^= (uint8_t)(1u << draw(8));
    break;
  case 1:
    memset(data + at, 0, k < n - at ? k : n - at);
    break;
  case 2:
    n = at;
    break;
  default:
    if (strstr(path, ".hint")) CHECK_EQ(env->unlink(env->ctx, path), 0);
    return;
  }
  memenv_write_file(m, path, data, n);
}

static void whole_directories(void) {
  for (uint64_t seed = 0; seed < N_MACHINES && !test_bad; seed++) {
    memenv *m = make_machine(seed);
    check_same(m, "whole");
    memenv_free(m);
  }
}

static void damaged_directories(void) {
  for (uint64_t seed = 0; seed < N_MACHINES && !test_bad; seed++) {
    memenv *m = make_machine(seed);
    for (unsigned i = 0; i < 12 && !test_bad; i++) {
      damage(m);
      check_same(m, "damaged");
    }
    memenv_free(m);
  }
}

static void after_power_cuts(void) {
  for (uint64_t seed = 0; seed < N_MACHINES && !test_bad; seed++) {
    memenv *m = make_machine(seed);
    for (unsigned i = 0; i < 12 && !test_bad; i++) {
      mem_cut cut = {.kind = i % 4 == 0 ? MEM_CUT_KILL : MEM_CUT_RANDOM,
                     .n_ops = memenv_log_size(m) / 2 + draw(memenv_log_size(m) / 2),
                     .torn = draw(60),
                     .seed = draw(1000),
                     .sectors = draw(2)};
      memenv *after = memenv_crash(m, &cut);
      check_same(after, "cut");
      memenv_free(after);
    }
    memenv_free(m);
  }
}

/* ------------------------------------------------- on the disk, files are mapped */

static unsigned real_cpus;

static unsigned pinned_cpus(void *ctx, uint64_t bytes) {
  (void)ctx;
  (void)bytes;
  return real_cpus;
}

static void mapped_files(void) {
  const char *path = craft_dir();
  bc_env env = bc_env_posix;
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  uint8_t *data;
  size_t n;

  craft_options(&o);
  o.sync = BITCASK_SYNC_NORMAL;
  o.max_file_size = 20000;
  bc = craft_open(path, &o);
  for (unsigned i = 0; i < 1000; i++) random_txn(bc);
  CHECK_OK(bitcask_close(bc, &e), &e);
  data = craft_read_file(path, "2.bitcask.data", &n);
  data[n / 2] ^= 1;
  craft_write_file(path, "2.bitcask.data", data, n);
  free(data);
  craft_remove(path, "2.bitcask.hint");
  craft_remove(path, "3.bitcask.hint");
  env.cpus = pinned_cpus;
  real_cpus = 1;
  {
    const char *one = loaded(&env, path, 0);
    CHECK(strstr(one, "damaged") != NULL);
    for (real_cpus = 2; real_cpus <= 4; real_cpus++) CHECK_TEXT(loaded(&env, path, 1), one);
  }
}

/* Keys around the size of a bucket, and the longest ones, between short ones. */
static size_t long_key(unsigned i, char key[65535]) {
  size_t n = i % 4 == 0 ? 65535 - i : i % 4 == 1 ? 8100 + 4 * i : 30 + i;
  memset(key, (int)i, n);
  return n;
}

static void long_keys(void) {
  enum { N = 48, N_CHANGES = 600 };
  static char key[65535];
  const char *path = craft_dir();
  int newest[N] = {0}; /* 0: not there */
  bc_env env = bc_env_posix;
  bitcask_options o;
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(path);

  for (int now = 1; now <= N_CHANGES; now++) {
    unsigned i = (unsigned)draw(N);
    size_t n = long_key(i, key);
    newest[i] = draw(4) ? now : 0;
    CHECK_OK(newest[i] ? bitcask_put(bc, key, n, &now, sizeof now, &e)
                       : bitcask_delete(bc, key, n, &e),
             &e);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
  env.cpus = pinned_cpus;
  craft_options(&o);
  o.read_only = true;
  for (real_cpus = 1; real_cpus <= 4; real_cpus++) {
    CHECK_OK(bc_open_env(path, &o, &env, &bc, &e), &e);
    for (unsigned i = 0; i < N; i++) {
      size_t n = long_key(i, key);
      CHECK_RC(bitcask_get(bc, key, n, &value, &e), newest[i] ? BITCASK_OK : BITCASK_NOTFOUND, &e);
      CHECK(!newest[i] || !memcmp(value.data, &newest[i], sizeof newest[i]));
    }
    CHECK_OK(bitcask_close(bc, &e), &e);
  }
  bitcask_buf_free(&value);
}

/* ----------------------------------------------- no threads, no memory, no time */

static void without_threads(void) {
  memenv *m = make_machine(7);
  const char *one;

  memenv_set_cpus(m, 1);
  one = loaded(memenv_env(m), dir, 0);
  memenv_set_cpus(m, 4);
  oom_refuse_threads(1);
  CHECK_TEXT(loaded(memenv_env(m), dir, 1), one);
  oom_refuse_threads(3);
  CHECK_TEXT(loaded(memenv_env(m), dir, 1), one);
  oom_refuse_threads(0);
  memenv_free(m);
}

static void without_memory(void) {
  memenv *m = make_machine(8);
  bitcask_options o;
  uint64_t nth = 0, n_made;
  unsigned n_failed = 0;
  int rc;

  craft_options(&o);
  o.read_only = true;
  memenv_set_cpus(m, 2);
  do {
    int64_t before = oom_n_live();
    bitcask_error e = {0};
    bitcask *bc = NULL;

    oom_arm(++nth);
    oom_enter();
    rc = bc_open_env(dir, &o, memenv_env(m), &bc, &e);
    oom_leave();
    n_made = oom_count();
    oom_arm(0);
    CHECK(rc == BITCASK_OK || rc == BITCASK_NOMEM);
    CHECK((rc == BITCASK_OK) == (bc != NULL) && e.code == rc);
    n_failed += rc != 0;
    bitcask_close(bc, NULL);
    CHECK_EQ(oom_n_live(), before);
    CHECK_EQ(memenv_n_open(m), 0);
  } while (n_made >= nth && !test_bad);
  CHECK(n_failed > 50);
  memenv_free(m);
}

typedef struct patience {
  uint64_t calls;
  uint64_t last; /* the call that asks to stop; 0: none */
} patience;

static int ask(void *ctx) {
  patience *p = ctx;
  return ++p->calls == p->last;
}

static void put_many(const char *path, unsigned from, unsigned n) {
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(path);
  bitcask_txn *txn = NULL;
  char key[16];

  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (unsigned i = from; i < from + n; i++) {
    snprintf(key, sizeof key, "%08u", i);
    CHECK_OK(bitcask_txn_put(txn, key, 8, key, 8, &e), &e);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static uint64_t count_keys(bitcask *bc) {
  bitcask_status_info s = {0};
  bitcask_error e = {0};
  CHECK_OK(bitcask_status(bc, &s, &e), &e);
  return s.keys;
}

static void check_interrupted(unsigned cpus) {
  const char *path = craft_dir();
  bc_env env = bc_env_posix;
  patience p = {.last = 1};
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc = NULL;
  char checkpoint[4096];

  real_cpus = cpus;
  env.cpus = pinned_cpus;
  craft_options(&o);
  o.read_only = true;
  o.progress = ask;
  o.progress_ctx = &p;
  put_many(path, 0, 150000);
  snprintf(checkpoint, sizeof checkpoint, "%s/bitcask.keydir", path);
  CHECK_EQ(unlink(checkpoint), 0);
  CHECK_RC(bc_open_env(path, &o, &env, &bc, &e), BITCASK_INTERRUPT, &e);
  CHECK_EQ(e.code, BITCASK_INTERRUPT);
  CHECK(bc == NULL && p.calls == 1);
  p = (patience){0};
  CHECK_OK(bc_open_env(path, &o, &env, &bc, &e), &e);
  CHECK_EQ(p.calls, 2);
  CHECK_EQ(count_keys(bc), 150000);

  /* Only while it is opened: the callback's context may be gone later. */
  put_many(path, 150000, 70000);
  p = (patience){.last = 1};
  CHECK_EQ(count_keys(bc), 220000);
  CHECK_EQ(p.calls, 0);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void interrupted(void) {
  check_interrupted(1);
  check_interrupted(2);
}

int main(void) {
  RUN(whole_directories);
  RUN(damaged_directories);
  RUN(after_power_cuts);
  RUN(mapped_files);
  RUN(long_keys);
  RUN(without_threads);
  RUN(without_memory);
  RUN(interrupted);
  return test_done();
}
