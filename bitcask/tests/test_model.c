/*
** test_model.c - random operations, each compared with an ordered map.
**
** Two to four handles are open on one directory, as so many processes would have
** it, and take turns; snapshots of some are held while others merge, close and
** open.  In two of five runs most of them merge by themselves as well.  SEED=n repeats a run; MODEL_OPS=n says how many operations there are.
*/
#include "test.h"

#include "engine.h"
#include "memenv_int.h"
#include "model.h"
#include "tempdir.h"

enum { MAX_HANDLES = 4, N_HELD = 6, N_KEYS = 300, BURST_SZ = 2500 };

typedef struct held {
  bitcask_snapshot *snap;
  bitcask *bc;      /* whose it is */
  bitcask_iter *it; /* under way, NULL if none */
  model seen;       /* by the iterator */
  model want;
} held;

typedef struct run {
  uint64_t seed, rng;
  memenv *m; /* NULL: on the real file system */
  bc_env env;
  char *dir;
  bitcask_options o;
  bitcask *bc[MAX_HANDLES];
  uint32_t n_handles;
  model now;
  held held[N_HELD];
  long n_ops;
  int64_t clock;
  bool auto_merge; /* some handles merge by themselves */
  bool stop;
} run;

static int64_t fake_clock;

static int64_t fake_now(void *ctx) {
  (void)ctx;
  return fake_clock;
}

static uint32_t below(run *r, uint32_t n) { return (uint32_t)(mem_random(&r->rng) % n); }

static void fail(run *r, const char *what, const bitcask_error *e) {
  TEST_FAIL("SEED=%" PRIu64 " after %ld operations: %s%s%s", r->seed, r->n_ops, what, e ? ": " : "",
            e ? e->text : "");
  r->stop = true;
}

/* Did the call do what it had to? */
static bool must(run *r, const char *what, int rc, int want, const bitcask_error *e) {
  if (rc == want) return true;
  fprintf(stderr, "%s gave %s, not %s\n", what, bitcask_strerror(rc), bitcask_strerror(want));
  fail(r, what, rc ? e : NULL);
  return false;
}

/* ------------------------------------------------------------- keys and values */

static size_t make_key(uint32_t i, char *key) {
  size_t n;

  if (i == 0) return 0;
  n = (size_t)sprintf(key, "%c%u", 'a' + (int)(i % 7), i);
  while (i % 17 == 0 && n < 900) key[n++] = (char)i;
  if (i % 5 == 0) key[n++] = 0;
  return n;
}

static size_t random_key(run *r, char *key) { return make_key(below(r, N_KEYS), key); }

static size_t random_value(run *r, char *value, size_t cap) {
  static const uint32_t limits[] = {1, 8, 40, 40, 200, 200, 1000, 1000, 5000, 20000};
  size_t n = below(r, limits[below(r, 10)]);
  uint64_t x = mem_random(&r->rng);

  if (n > cap) n = cap;
  for (size_t i = 0; i < n; i++) value[i] = (char)(x >> (i % 8 * 8)) ^ (char)(i / 8);
  return n;
}

/* ------------------------------------------------------------------- comparing */

static bool same_times(const model *a, const model *b) {
  for (size_t i = 0; i < a->n; i++) {
    if (a->entries[i]->tstamp != b->entries[i]->tstamp) return false;
  }
  return true;
}

static void compare(run *r, bitcask_snapshot *snap, const model *want, const char *what) {
  model got = {0};
  const char *bad = model_read(&got, snap);

  if (bad) {
    fprintf(stderr, "%s\n", bad);
    fail(r, what, NULL);
  } else if (!model_equal(want, &got)) {
    model_print_diff(want, &got);
    fail(r, what, NULL);
  } else if (!same_times(want, &got)) {
    fail(r, "timestamps differ", NULL);
  }
  model_clear(&got);
}

static void check_all(run *r, bitcask *bc) {
  bitcask_snapshot *snap;
  bitcask_status_info info;
  bitcask_error e;
  bool is_empty;

  if (!must(r, "snapshot_open", bitcask_snapshot_open(bc, NULL, &snap, &e), 0, &e)) return;
  compare(r, snap, &r->now, "a snapshot of now differs from the model");
  bitcask_snapshot_close(snap);
  if (!must(r, "status", bitcask_status(bc, &info, &e), 0, &e)) return;
  if (info.keys < r->now.n || (!r->o.expiry_secs && info.keys != r->now.n)) {
    fail(r, "the status counts wrongly", NULL);
  }
  must(r, "is_empty", bitcask_is_empty(bc, &is_empty, &e), 0, &e);
  if (!r->o.expiry_secs && is_empty != (r->now.n == 0)) fail(r, "is_empty is wrong", NULL);
}

static void check_files(run *r, bitcask *bc) {
  bitcask_file_stat *files;
  bitcask_error e;
  size_t n;
  uint64_t live = 0;

  if (!must(r, "files", bitcask_files(bc, &files, &n, &e), 0, &e)) return;
  for (size_t i = 0; i < n; i++) {
    live += files[i].live_keys;
    if (files[i].live_bytes + files[i].dead_bytes != files[i].total_bytes ||
        files[i].live_keys > files[i].total_keys || files[i].damaged ||
        (i && files[i].file_id <= files[i - 1].file_id)) {
      fail(r, "a file's statistics contradict themselves", NULL);
    }
  }
  if (!r->o.expiry_secs && live != r->now.n) fail(r, "the files' live keys do not add up", NULL);
  bitcask_files_free(files);
}

static int print_problem(void *ctx, const bitcask_problem *p) {
  (void)ctx;
  fprintf(stderr, "verify: file %" PRIu32 " at %" PRIu64 ": %s\n", p->file_id, p->offset, p->text);
  return 0;
}

static void check_verify(run *r, bitcask *bc) {
  uint64_t n;
  bitcask_error e;

  if (!must(r, "verify", bitcask_verify(bc, print_problem, NULL, NULL, &n, &e), 0, &e)) return;
  if (n) fail(r, "verify finds a problem", NULL);
}

static void check_get(run *r, bitcask *bc) {
  static bitcask_buf buf;
  char key[1024];
  size_t n = random_key(r, key);
  const model_entry *want = model_get(&r->now, key, n);
  bitcask_error e;

  if (!must(r, "get", bitcask_get(bc, key, n, &buf, &e), want ? 0 : BITCASK_NOTFOUND, &e)) return;
  if (want &&
      (buf.size != want->value_sz || (buf.size && memcmp(buf.data, model_value(want), buf.size)))) {
    fail(r, "get gives another value", NULL);
  }
}

/* -------------------------------------------------------------- single writes */

static void do_put(run *r, bitcask *bc) {
  char key[1024], value[20000];
  size_t n = random_key(r, key), k = random_value(r, value, sizeof value);
  bitcask_error e;

  if (must(r, "put", bitcask_put(bc, key, n, value, k, &e), 0, &e)) {
    model_put(&r->now, key, n, value, k, (uint32_t)r->clock);
  }
}

static void do_delete(run *r, bitcask *bc) {
  char key[1024];
  size_t n = random_key(r, key);
  bitcask_error e;

  if (must(r, "delete", bitcask_delete(bc, key, n, &e), 0, &e)) model_delete(&r->now, key, n);
}

/* One transaction of so many small records that a few are worth a checkpoint. */
static void do_burst(run *r, bitcask *bc) {
  char key[1024], value[16];
  bitcask_txn *txn;
  bitcask_error e;
  model now = {0};

  if (!must(r, "begin", bitcask_begin(bc, 0, &txn, &e), 0, &e)) return;
  model_copy(&now, &r->now);
  for (int i = 0; i < BURST_SZ && !r->stop; i++) {
    size_t n = random_key(r, key), k = (size_t)sprintf(value, "%d", i);
    if (!must(r, "txn_put", bitcask_txn_put(txn, key, n, value, k, &e), 0, &e)) break;
    model_put(&now, key, n, value, k, (uint32_t)r->clock);
  }
  if (!r->stop && must(r, "prepare", bitcask_txn_prepare(txn, &e), 0, &e)) {
    bitcask_txn_publish(txn);
    model_copy(&r->now, &now);
  } else {
    bitcask_txn_rollback(txn);
  }
  model_clear(&now);
}

/* ---------------------------------------------------------- snapshots, iterators */

static void hold(run *r, bitcask *bc, bitcask_txn *txn, const model *want) {
  held *h = &r->held[below(r, N_HELD)];
  bitcask_error e;

  if (h->snap) return;
  if (!must(r, "snapshot_open", bitcask_snapshot_open(bc, txn, &h->snap, &e), 0, &e)) return;
  h->bc = bc;
  model_copy(&h->want, want);
}

static void advance_iterator(run *r, held *h) {
  bitcask_entry entry;
  bitcask_error e;
  int rc = 0;

  if (!h->it) {
    bitcask_iter_mode mode = BITCASK_VALUES;
    if (!must(r, "iter_open", bitcask_iter_open(h->snap, mode, &h->it, &e), 0, &e)) return;
  }
  for (uint32_t k = below(r, 60); k > 0 && !(rc = bitcask_iter_next(h->it, &entry, &e)); k--) {
    if (model_get(&h->seen, entry.key, entry.key_sz)) fail(r, "an iterator repeats a key", NULL);
    model_put(&h->seen, entry.key, entry.key_sz, entry.value, entry.value_sz, entry.tstamp);
  }
  if (!rc) return;
  if (!must(r, "iter_next", rc, BITCASK_NOTFOUND, &e)) return;
  if (!model_equal(&h->want, &h->seen)) {
    model_print_diff(&h->want, &h->seen);
    fail(r, "an iterator under way has seen something else", NULL);
  }
  bitcask_iter_close(h->it);
  h->it = NULL;
  model_clear(&h->seen);
}

static void let_go(run *r, held *h) {
  if (!h->snap) return;
  if (!r->stop) compare(r, h->snap, &h->want, "a held snapshot has changed");
  bitcask_iter_close(h->it);
  bitcask_snapshot_close(h->snap);
  model_clear(&h->seen);
  model_clear(&h->want);
  *h = (held){0};
}

static void let_all_go(run *r, const bitcask *bc) {
  for (size_t i = 0; i < N_HELD; i++) {
    if (r->held[i].bc == bc) let_go(r, &r->held[i]);
  }
}

/* ---------------------------------------------------------------- transactions */

typedef struct txn_model {
  model now;
  model marks[4];
  bool is_set[4];
} txn_model;

static void txn_write(run *r, bitcask_txn *txn, txn_model *t) {
  char key[1024], value[20000];
  size_t n = random_key(r, key), k = random_value(r, value, sizeof value);
  bitcask_error e;

  r->n_ops++;
  if (below(r, 4)) {
    if (must(r, "txn_put", bitcask_txn_put(txn, key, n, value, k, &e), 0, &e)) {
      model_put(&t->now, key, n, value, k, (uint32_t)r->clock);
    }
  } else if (must(r, "txn_delete", bitcask_txn_delete(txn, key, n, &e), 0, &e)) {
    model_delete(&t->now, key, n);
  }
  n = random_key(r, key);
  must(r, "txn_contains", bitcask_txn_contains(txn, key, n),
       model_get(&t->now, key, n) ? 0 : BITCASK_NOTFOUND, NULL);
}

static bool any_mark(const txn_model *t) {
  return t->is_set[0] || t->is_set[1] || t->is_set[2] || t->is_set[3];
}

static void txn_mark(run *r, bitcask_txn *txn, txn_model *t) {
  int n = (int)below(r, 4), oldest = n;
  bitcask_error e;

  switch (below(r, 3)) {
  case 0:
    if (!must(r, "savepoint", bitcask_txn_savepoint(txn, n, &e), 0, &e)) return;
    for (int i = n; i < 4; i++) t->is_set[i] = false;
    t->is_set[n] = true;
    model_copy(&t->marks[n], &t->now);
    break;
  case 1:
    while (oldest < 4 && !t->is_set[oldest]) oldest++;
    /* Without such a mark everything is undone, marks below included: SQLite does
    ** not ask for that when there are any. */
    if (oldest == 4 && (below(r, 4) || any_mark(t))) return;
    if (!must(r, "rollback_to", bitcask_txn_rollback_to(txn, n, &e), 0, &e)) return;
    model_copy(&t->now, oldest == 4 ? &r->now : &t->marks[oldest]);
    for (int i = n; i < 4; i++) t->is_set[i] = false;
    /* "mark n stays": going back to n once more leads here, whatever marks above n
    ** are set in between. */
    if (oldest == 4) return;
    if (oldest != n) model_copy(&t->marks[n], &t->now);
    t->is_set[n] = true;
    break;
  default:
    bitcask_txn_release(txn, n);
    for (int i = n; i < 4; i++) t->is_set[i] = false;
  }
}

static void txn_look(run *r, bitcask *bc, bitcask_txn *txn, const txn_model *t) {
  bitcask_snapshot *snap;
  bitcask_error e;

  if (!must(r, "snapshot_open", bitcask_snapshot_open(bc, txn, &snap, &e), 0, &e)) return;
  compare(r, snap, &t->now, "a transaction does not see its own writes");
  bitcask_snapshot_close(snap);
}

static void txn_end(run *r, bitcask_txn *txn, const txn_model *t) {
  bitcask_error e;
  uint32_t how = below(r, 10);

  if (how < 2 || r->stop) {
    bitcask_txn_rollback(txn);
    return;
  }
  if (!must(r, "prepare", bitcask_txn_prepare(txn, &e), 0, &e) || how == 2) {
    bitcask_txn_rollback(txn);
    return;
  }
  bitcask_txn_publish(txn);
  model_copy(&r->now, &t->now);
}

static void do_txn(run *r, bitcask *bc) {
  txn_model t = {0};
  bitcask_txn *txn, *second = NULL;
  bitcask_error e;
  uint32_t n = 1 + below(r, 40);

  if (!must(r, "begin", bitcask_begin(bc, 0, &txn, &e), 0, &e)) return;
  must(r, "a second begin", bitcask_begin(r->bc[below(r, r->n_handles)], 0, &second, &e),
       BITCASK_BUSY, &e);
  model_copy(&t.now, &r->now);
  while (n-- > 0 && !r->stop) {
    uint32_t x = below(r, 20);
    if (x < 16)
      txn_write(r, txn, &t);
    else if (x < 19)
      txn_mark(r, txn, &t);
    else if (below(r, 4) == 0)
      hold(r, bc, txn, &t.now);
    else if (below(r, 4) == 0)
      txn_look(r, bc, txn, &t);
    else
      must(r, "prepare in between", bitcask_txn_prepare(txn, &e), 0, &e);
  }
  txn_end(r, txn, &t);
  model_clear(&t.now);
  for (int i = 0; i < 4; i++) model_clear(&t.marks[i]);
}

/* ------------------------------------------------------------- merges, life, time */

static void do_merge(run *r, bitcask *bc) {
  bitcask_merge_options o = {.kind = (bitcask_merge_kind)below(r, 3)};
  bitcask_merge_result result;
  bitcask_file_stat *files;
  uint32_t ids[256];
  bitcask_error e;
  bool due;
  size_t n;

  if (!must(r, "files", bitcask_files(bc, &files, &n, &e), 0, &e)) return;
  for (size_t i = 0; i < n && o.n_file_ids < 256; i++) {
    if (below(r, 3) == 0) ids[o.n_file_ids++] = files[n - 1 - i].file_id;
  }
  bitcask_files_free(files);
  o.file_ids = ids;
  if (!must(r, "needs_merge", bitcask_needs_merge(bc, &due, &e), 0, &e)) return;
  if (!must(r, "merge", bitcask_merge(bc, &o, &result, &e), 0, &e)) return;
  if (o.kind == BITCASK_MERGE_POLICY && !due && result.n_inputs) {
    fail(r, "a merge that was not needed did something", NULL);
  }
  if (result.n_damaged) fail(r, "a merge finds damage", NULL);
}

static void do_open(run *r, int i) {
  bitcask_error e;

  r->o.auto_merge = r->auto_merge && below(r, 4);
  must(r, "open", bc_open_env(r->dir, &r->o, &r->env, &r->bc[i], &e), 0, &e);
  if (r->bc[i] && below(r, 2)) bc_save_early(r->bc[i]);
}

static void do_reopen(run *r, int i) {
  bitcask_error e;

  let_all_go(r, r->bc[i]);
  if (!must(r, "close", bitcask_close(r->bc[i], &e), 0, &e)) return;
  r->bc[i] = NULL;
  do_open(r, i);
}

static void set_clock(run *r, int64_t now) {
  r->clock = fake_clock = now;
  if (r->m) memenv_set_now(r->m, now);
  if (r->o.expiry_secs) model_expire(&r->now, (uint32_t)now - r->o.expiry_secs);
}

static void step(run *r) {
  uint32_t x = below(r, 1000);
  int i = (int)below(r, r->n_handles);
  bitcask *bc = r->bc[i];
  held *h = &r->held[below(r, N_HELD)];

  r->n_ops++;
  if (x < 400)
    do_put(r, bc);
  else if (x < 520)
    do_delete(r, bc);
  else if (x < 800)
    check_get(r, bc);
  else if (x < 879)
    do_txn(r, bc);
  else if (x < 880)
    do_burst(r, bc);
  else if (x < 900)
    hold(r, bc, NULL, &r->now);
  else if (x < 920)
    let_go(r, h);
  else if (x < 950 && h->snap)
    advance_iterator(r, h);
  else if (x < 970)
    set_clock(r, r->clock + below(r, 5));
  else if (x < 978)
    do_merge(r, bc);
  else if (x < 983)
    do_reopen(r, i);
  else if (x < 995)
    check_all(r, bc);
  else if (x < 999)
    check_files(r, bc);
  else
    check_verify(r, bc);
}

/* ------------------------------------------------------------------------ runs */

static void init_run(run *r, uint64_t seed) {
  static const uint64_t sizes[] = {1, 500, 3000, 20000, 100000, 1 << 30};

  *r = (run){.seed = seed, .rng = seed, .n_handles = 2 + (uint32_t)(seed % (MAX_HANDLES - 1))};
  r->auto_merge = seed % 5 >= 3;
  bitcask_options_init(&r->o);
  r->o.create = true;
  r->o.max_file_size = sizes[below(r, 6)];
  r->o.mmap = seed % 2;
  r->o.sync = (bitcask_sync_mode)below(r, 3);
  r->o.expiry_secs = below(r, 3) ? 0 : 60;
  r->o.frag_merge_trigger = 50;
  r->o.dead_bytes_merge_trigger = 5000;
  r->o.dead_bytes_threshold = 2000;
  r->o.small_file_threshold = 3000;
  if (seed % 3 == 0) {
    r->dir = tempdir_make();
    r->env = bc_env_posix;
    r->env.now = fake_now;
    if (r->o.sync == BITCASK_SYNC_FULL) r->o.sync = BITCASK_SYNC_NORMAL; /* for speed */
  } else {
    r->dir = "/kv";
    r->m = memenv_new(seed);
    r->env = *memenv_env(r->m);
  }
  set_clock(r, 1700000000);
}

static void run_seed(uint64_t seed, long n_ops) {
  run *r = mem_alloc(sizeof *r);
  bitcask_error e;

  init_run(r, seed);
  for (uint32_t i = 0; i < r->n_handles && !r->stop; i++) do_open(r, (int)i);
  while (!r->stop && r->n_ops < n_ops) step(r);
  for (uint32_t i = 0; i < r->n_handles; i++) {
    let_all_go(r, r->bc[i]);
    if (!r->stop && i == 0) check_verify(r, r->bc[i]);
    must(r, "close", bitcask_close(r->bc[i], &e), 0, &e);
  }
  if (!r->stop) {
    do_open(r, 0);
    check_all(r, r->bc[0]);
    must(r, "close", bitcask_close(r->bc[0], &e), 0, &e);
  }
  if (r->m && memenv_n_open(r->m)) fail(r, "descriptors left open", NULL);
  model_clear(&r->now);
  memenv_free(r->m);
  if (!r->m) tempdir_remove(r->dir);
  free(r);
}

static void random_operations(void) {
  const char *s = getenv("SEED"), *n = getenv("MODEL_OPS");
  long left = n ? atol(n) : 400000;
  const long each = 8000;

  if (s) {
    run_seed(strtoull(s, NULL, 10), n ? left : each);
    return;
  }
  for (uint64_t seed = 1; left > 0 && !test_bad; seed++, left -= each) run_seed(seed, each);
}

int main(void) {
  RUN(random_operations);
  return test_done();
}
