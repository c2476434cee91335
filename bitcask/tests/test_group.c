/*
** test_group.c - one transaction over several directories is all or nothing, whatever moment
** the process dies at or the power fails.
**
** Directories in RAM; a transaction over them is run once, in each sync mode, and the log of
** operations is cut at every place.
*/
#include "test.h"

#include "engine.h"
#include "memenv.h"
#include "oom.h"

enum { MAX_DIRS = 3, N_ROUNDS = 3, UNDONE = 100 };

static const char *dirs[MAX_DIRS] = {"/disk/a", "/disk/b", "/disk/sub/c"};
static const char *const modes[] = {"full", "normal", "off"};

typedef struct run run;

typedef struct group_case {
  const char *name;
  int (*round)(run *r, unsigned round, bitcask_error *e); /* one transaction */
  size_t n_dirs;
  unsigned n_keys;   /* in each member */
  size_t value_sz;   /* of each of them but the counter */
  uint64_t max_size; /* of a file; 0: the default */
  bool only_reads;   /* the last directory is begun, and not written to */
} group_case;

struct run {
  const group_case *c;
  bitcask_options o;
  memenv *m;
  bitcask *bc[MAX_DIRS];
  bitcask_txn *txn[MAX_DIRS];
  size_t acked_at[N_ROUNDS + 1];  /* operations logged when round i was acknowledged */
  size_t undone_at[N_ROUNDS + 1]; /* and when what was prepared first in it had been undone */
};

static size_t n_written(const group_case *c) { return c->n_dirs - c->only_reads; }

static void open_all(run *r) {
  bitcask_error e;
  for (size_t i = 0; i < r->c->n_dirs; i++)
    CHECK_OK(bc_open_env(dirs[i], &r->o, memenv_env(r->m), &r->bc[i], &e), &e);
}

static void close_all(run *r) {
  for (size_t i = 0; i < r->c->n_dirs; i++) CHECK_EQ(bitcask_close(r->bc[i], NULL), 0);
}

static int put_member(run *r, size_t i, unsigned n, bitcask_error *e) {
  char key[16], *value;
  int rc = bitcask_txn_put(r->txn[i], "n", 1, &n, sizeof n, e);

  if (rc || r->c->n_keys == 1) return rc;
  value = malloc(r->c->value_sz);
  if (!value) return e->code = BITCASK_NOMEM;
  memset(value, 'a' + (int)n % 26, r->c->value_sz);
  for (unsigned k = 1; k < r->c->n_keys && !rc; k++) {
    snprintf(key, sizeof key, "key%u", k);
    rc = bitcask_txn_put(r->txn[i], key, strlen(key), value, r->c->value_sz, e);
  }
  free(value);
  return rc;
}

static int begin_all(run *r, bitcask_error *e) {
  int rc = 0;
  memset(r->txn, 0, sizeof r->txn);
  for (size_t i = 0; i < r->c->n_dirs && !rc; i++) rc = bitcask_begin(r->bc[i], 0, &r->txn[i], e);
  return rc;
}

static int put_all(run *r, unsigned n, bitcask_error *e) {
  int rc = 0;
  for (size_t i = 0; i < n_written(r->c) && !rc; i++) rc = put_member(r, i, n, e);
  return rc;
}

/* What was begun is ended, whatever has failed. */
static int end_all(run *r, int rc) {
  for (size_t i = 0; i < r->c->n_dirs; i++) {
    if (!r->txn[i]) continue;
    if (rc)
      bitcask_txn_rollback(r->txn[i]);
    else
      bitcask_txn_publish(r->txn[i]);
  }
  return rc;
}

static int commit(run *r, unsigned round, bitcask_error *e) {
  int rc = begin_all(r, e);
  if (!rc) rc = put_all(r, round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  return end_all(r, rc);
}

static int roll_back_and_commit(run *r, unsigned round, bitcask_error *e) {
  int rc = begin_all(r, e);
  if (!rc) rc = put_all(r, UNDONE + round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  (void)end_all(r, 1);
  r->undone_at[round] = memenv_log_size(r->m);
  return rc ? rc : commit(r, round, e);
}

/* More is written after it was prepared, and something taken back. */
static int prepare_again_and_commit(run *r, unsigned round, bitcask_error *e) {
  int rc = begin_all(r, e);
  if (!rc) rc = put_all(r, UNDONE + round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  if (!rc) rc = bitcask_txn_savepoint(r->txn[0], 0, e);
  if (!rc) rc = put_all(r, UNDONE + round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  if (!rc) rc = bitcask_txn_rollback_to(r->txn[0], 0, e);
  r->undone_at[round] = memenv_log_size(r->m);
  if (!rc) rc = put_all(r, round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  return end_all(r, rc);
}

static void start(run *r, const group_case *c, bitcask_sync_mode sync) {
  bitcask_error e;

  *r = (run){.c = c, .m = memenv_new(1)};
  bitcask_options_init(&r->o);
  r->o.create = true;
  r->o.sync = sync;
  if (c->max_size) r->o.max_file_size = c->max_size;
  memenv_env(r->m)->mkdir(memenv_env(r->m)->ctx, "/disk");
  open_all(r);
  CHECK_OK(commit(r, 0, &e), &e);
}

/* The counter of a directory; -1: there is none. */
static int read_counter(memenv *m, const run *r, size_t i, bool read_only) {
  bitcask_options o = r->o;
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  unsigned n = 0;
  int rc;

  o.read_only = read_only;
  CHECK_OK(bc_open_env(dirs[i], &o, memenv_env(m), &bc, &e), &e);
  if (e.code) return -1;
  if (!read_only) CHECK_OK(bitcask_put(bc, "other", 5, "x", 1, &e), &e);
  rc = bitcask_get(bc, "n", 1, &value, &e);
  if (!rc && value.size == sizeof n) memcpy(&n, value.data, sizeof n);
  if (rc) TEST_FAIL("%s: %s", dirs[i], e.text);
  bitcask_buf_free(&value);
  CHECK_EQ(bitcask_close(bc, NULL), 0);
  return rc ? -1 : (int)n;
}

/* What all directories say, in an order of their own; -1 if they do not say the same. */
static int read_all(memenv *m, const run *r, bool read_only, bool backwards) {
  int first = -1, n;
  for (size_t k = 0; k < n_written(r->c); k++) {
    n = read_counter(m, r, backwards ? n_written(r->c) - 1 - k : k, read_only);
    if (k && n != first) return -1;
    first = n;
  }
  return first;
}

static int see_decision(void *arg, const char *name) {
  if (!strncmp(name, "bitcask.group-", 14)) ++*(unsigned *)arg;
  return 0;
}

static unsigned count_decisions(memenv *m, size_t n_dirs) {
  unsigned n = 0;
  for (size_t i = 0; i < n_dirs; i++)
    memenv_env(m)->list(memenv_env(m)->ctx, dirs[i], see_decision, &n);
  return n;
}

static unsigned n_states, n_torn;

/* Cut again, while the directories are recovered one after the other. */
static void cut_recovery(const run *r, memenv *m, int found) {
  for (size_t n = 1; n <= memenv_log_size(m); n++) {
    for (unsigned kind = MEM_CUT_KILL; kind <= MEM_CUT_RANDOM; kind++) {
      mem_cut cut = {.kind = (mem_cut_kind)kind, .n_ops = n, .seed = n, .sectors = n % 2};
      memenv *again = memenv_crash(m, &cut);
      int got = read_all(again, r, n % 3 == 0, n % 2);
      n_states++;
      if (got != found) {
        n_torn++;
        TEST_FAIL("a crash after operation %zu of a recovery that found %d: %d", n, found, got);
      }
      memenv_free(again);
    }
  }
}

/* What was acknowledged, or the transaction after it, or what was prepared in that before. */
static bool is_allowed(const run *r, size_t n_ops, int found) {
  int acked = 0;
  for (int i = 0; i <= N_ROUNDS; i++) {
    if (r->acked_at[i] && r->acked_at[i] <= n_ops) acked = i;
  }
  if (found == acked || found == acked + 1) return true;
  return found == UNDONE + acked + 1 && n_ops < r->undone_at[acked + 1];
}

static void check_cut(const run *r, const mem_cut *cut) {
  memenv *m = memenv_crash(r->m, cut);
  int seen = read_all(m, r, true, cut->n_ops % 2), found;

  n_states++;
  found = read_all(m, r, false, cut->n_ops % 3 == 0);
  if (found != seen || !is_allowed(r, cut->n_ops, found)) {
    n_torn++;
    TEST_FAIL("%s, sync=%s, cut of kind %d after operation %zu of %zu (torn %zu): %d is read, "
              "then %d",
              r->c->name, modes[r->o.sync], (int)cut->kind, cut->n_ops, memenv_log_size(r->m),
              cut->torn, seen, found);
    if (n_torn == 1) memenv_print(m, "after recovery");
  }
  if (count_decisions(m, r->c->n_dirs))
    TEST_FAIL("%s: decision left, kind %d op %zu seed %d of %zu back %d", r->c->name,
              (int)cut->kind, cut->n_ops, (int)cut->seed, memenv_log_size(r->m),
              cut->n_ops % 3 == 0);
  if (cut->n_ops % 13 == 0 && cut->seed < 2 && !test_bad) cut_recovery(r, m, found);
  memenv_free(m);
}

static void cut_everywhere(run *r) {
  size_t n = memenv_log_size(r->m);
  const char *s = getenv("SEEDS");
  unsigned n_seeds = s ? (unsigned)atoi(s) : 6;

  for (size_t i = 0; i <= n; i++) {
    const mem_op *last = i ? memenv_log_op(r->m, i - 1) : NULL;
    for (unsigned kind = MEM_CUT_KILL; kind <= MEM_CUT_SYNCED; kind++)
      check_cut(r, &(mem_cut){.kind = (mem_cut_kind)kind, .n_ops = i});
    if (last && last->kind == MEM_WRITE && last->n > 2)
      check_cut(r, &(mem_cut){.kind = MEM_CUT_KILL, .n_ops = i, .torn = last->n / 2});
    for (unsigned seed = 1; seed <= n_seeds && memenv_is_volatile(r->m, i); seed++)
      check_cut(r, &(mem_cut){.kind = MEM_CUT_RANDOM,
                              .n_ops = i,
                              .seed = seed,
                              .sectors = seed % 3 != 0,
                              .strict_dir = seed % 4 == 0});
  }
}

static const group_case cases[] = {
    {"two directories, a record each", commit, 2, 1, 0, 0, false},
    {"two directories, batches", commit, 2, 4, 900, 0, false},
    {"three directories", commit, 3, 2, 40, 0, false},
    {"three directories, one only read", commit, 3, 2, 40, 0, true},
    {"two directories, a file for each commit", commit, 2, 3, 60, 200, false},
    {"rolled back when prepared", roll_back_and_commit, 2, 2, 700, 0, false},
    {"prepared three times", prepare_again_and_commit, 3, 2, 60, 0, false},
    {"prepared three times in small files", prepare_again_and_commit, 2, 2, 60, 300, false},
};

static void all_or_nothing(bitcask_sync_mode sync) {
  for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
    bitcask_error e;
    run r;
    unsigned before = n_states;

    start(&r, &cases[i], sync);
    CHECK_EQ(bitcask_sync(r.bc[0], NULL) | bitcask_sync(r.bc[1], NULL), 0);
    memenv_log_start(r.m);
    for (unsigned k = 1; k <= N_ROUNDS; k++) {
      CHECK_OK(cases[i].round(&r, k, &e), &e);
      r.acked_at[k] = memenv_log_size(r.m);
    }
    CHECK_EQ(count_decisions(r.m, cases[i].n_dirs), 0);
    memenv_log_stop(r.m);
    cut_everywhere(&r);
    printf("  %-40s sync=%-6s %5zu operations %6u states\n", cases[i].name, modes[sync],
           memenv_log_size(r.m), n_states - before);
    close_all(&r);
    memenv_free(r.m);
  }
}

static void all_or_nothing_full(void) { all_or_nothing(BITCASK_SYNC_FULL); }
static void all_or_nothing_normal(void) { all_or_nothing(BITCASK_SYNC_NORMAL); }
static void all_or_nothing_off(void) { all_or_nothing(BITCASK_SYNC_OFF); }

/* ------------------------------------------------------------ calls that fail */

/* The disk again, when nothing fails any more: all members say the same, and it is what was
** acknowledged last or what was tried last. */
static void check_after_failure(run *r, int acked, int tried, const char *what, uint64_t nth) {
  int seen, found;

  for (size_t i = 0; i < r->c->n_dirs; i++) (void)bitcask_close(r->bc[i], NULL);
  seen = read_all(r->m, r, true, nth % 2);
  found = read_all(r->m, r, false, nth % 3 == 0);
  n_states++;
  if (seen == found && (found == acked || found == tried)) return;
  TEST_FAIL("%s, sync=%s, %s number %" PRIu64 ": %d is read, then %d; acknowledged %d, tried %d",
            r->c->name, modes[r->o.sync], what, nth, seen, found, acked, tried);
}

/* False: so many calls are not made. */
static bool fail_call(const group_case *c, bitcask_sync_mode sync, const mem_fault *fault) {
  int acked = 0, tried = 0;
  bitcask_error e;
  bool hit;
  run r;

  start(&r, c, sync);
  memenv_log_start(r.m);
  memenv_set_fault(r.m, fault);
  for (unsigned k = 1; k <= 2 && tried == acked; k++) {
    tried = (int)k;
    if (!c->round(&r, k, &e)) acked = (int)k;
  }
  hit = memenv_fault_hit(r.m);
  memenv_set_fault(r.m, &(mem_fault){0});
  check_after_failure(&r, acked, tried, fault->sticky ? "failing calls from" : "failing call",
                      fault->nth);
  memenv_free(r.m);
  return hit;
}

static void every_call_fails(void) {
  const size_t picked[] = {1, 3, 4, 5, 7};

  for (size_t i = 0; i < sizeof picked / sizeof *picked; i++) {
    for (unsigned way = 0; way < 9; way++) {
      mem_fault f = {.err = EIO,
                     .calls = MEM_CALL_ALL & ~(unsigned)MEM_CALL_CLOSE,
                     .sticky = way % 3 == 1,
                     .revert = way % 3 == 2};
      do {
        f.nth++;
      } while (fail_call(&cases[picked[i]], (bitcask_sync_mode)(way / 3), &f));
      CHECK(f.nth > 20);
    }
  }
}

static void every_allocation_fails(void) {
  CHECK(oom_is_linked());
  for (size_t i = 0; i < sizeof cases / sizeof *cases && oom_is_linked(); i++) {
    uint64_t nth = 0;
    bool hit = true;
    while (hit) {
      bitcask_error e = {0};
      run r;
      int rc;
      start(&r, &cases[i], BITCASK_SYNC_FULL);
      memenv_log_start(r.m);
      oom_arm(++nth);
      oom_enter();
      rc = cases[i].round(&r, 1, &e);
      oom_leave();
      hit = oom_count() >= nth;
      oom_arm(0);
      check_after_failure(&r, rc ? 0 : 1, rc ? 0 : 1, "failing allocation", nth);
      memenv_free(r.m);
    }
    CHECK(nth > 5);
  }
}

/* ------------------------------------------------------------- transactions too large */

static int commit_large(run *r, unsigned round, bitcask_error *e) {
  char *value = malloc(1 << 20), key[16];
  int rc = value ? begin_all(r, e) : BITCASK_NOMEM;

  if (value) memset(value, 'L', 1 << 20);
  for (int i = 0; i < 66 && !rc; i++) {
    snprintf(key, sizeof key, "large%d", i % 60);
    rc = bitcask_txn_put(r->txn[round % 2], key, strlen(key), value, 1 << 20, e);
  }
  free(value);
  if (!rc) rc = put_all(r, round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, 2, e);
  return end_all(r, rc);
}

/* Once the first member is spilled, once the second one.  Each state has 65 MiB. */
static void spilled(void) {
  const group_case c = {"a large one", commit_large, 2, 1, 0, 0, false};

  for (unsigned round = 2; round <= 3; round++) {
    bitcask_error e;
    size_t n;
    run r;
    start(&r, &c, (bitcask_sync_mode)(round - 1));
    memenv_log_start(r.m);
    CHECK_OK(commit_large(&r, round, &e), &e);
    n = memenv_log_size(r.m);
    memenv_log_stop(r.m);
    for (size_t i = n > 24 ? n - 24 : 0; i <= n; i++) {
      mem_cut cut = {.kind = i % 2 ? MEM_CUT_KILL : MEM_CUT_SYNCED, .n_ops = i};
      memenv *m = memenv_crash(r.m, &cut);
      int seen = read_all(m, &r, true, i % 4 < 2), found = read_all(m, &r, false, i % 8 < 4);
      n_states++;
      if (seen != found || (found != 0 && found != (int)round) || (i == n && !found))
        TEST_FAIL("round %u, after operation %zu of %zu: %d, then %d", round, i, n, seen, found);
      memenv_free(m);
    }
    close_all(&r);
    memenv_free(r.m);
  }
}

/* -------------------------------------------------------------------- one state */

/* A killed process has left it: decided, and nobody has been told yet. */
static memenv *decided(run *r) {
  bitcask_error e;

  start(r, &cases[0], BITCASK_SYNC_NORMAL);
  memenv_log_start(r->m);
  CHECK_OK(commit(r, 1, &e), &e);
  memenv_log_stop(r->m);
  for (size_t i = memenv_log_size(r->m); i-- > 0;) {
    const mem_op *op = memenv_log_op(r->m, i);
    if (op->kind != MEM_CREATE || !strstr(op->path, "/bitcask.group-")) continue;
    /* The write, the sync, and that of the directory. */
    return memenv_crash(r->m, &(mem_cut){.kind = MEM_CUT_ORDERED, .n_ops = i + 4});
  }
  TEST_FAIL("no decision was made");
  return NULL;
}

static void forget(run *r, memenv *m) {
  if (m) memenv_free(m);
  close_all(r);
  memenv_free(r->m);
}

static void move(memenv *m, const char *from, const char *to) {
  const bc_env *env = memenv_env(m);
  CHECK_EQ(env->rename(env->ctx, from, to), 0);
}

static void coordinator_is_gone(void) {
  run r;
  memenv *m = decided(&r);

  if (m) {
    CHECK_EQ(count_decisions(m, 2), 1);
    move(m, "/disk/a", "/disk/elsewhere");
    CHECK_EQ(read_counter(m, &r, 1, true), 0);
    CHECK_EQ(read_counter(m, &r, 1, false), 0);
    CHECK_EQ(read_counter(m, &r, 1, true), 0);
  }
  forget(&r, m);
}

static void directories_move_together(void) {
  run r;
  memenv *m = decided(&r);

  if (m) {
    const bc_env *env = memenv_env(m);
    CHECK_EQ(env->mkdir(env->ctx, "/new"), 0);
    move(m, "/disk", "/old");
    CHECK_EQ(env->mkdir(env->ctx, "/disk"), 0);
    move(m, "/old/a", "/new/a");
    move(m, "/old/b", "/new/b");
    move(m, "/new", "/disk/new");
    dirs[0] = "/disk/new/a";
    dirs[1] = "/disk/new/b";
    CHECK_EQ(read_all(m, &r, true, true), 1);
    CHECK_EQ(read_all(m, &r, false, true), 1);
    CHECK_EQ(count_decisions(m, 2), 0);
    dirs[0] = "/disk/a";
    dirs[1] = "/disk/b";
  }
  forget(&r, m);
}

/* The first operation of a kind in the log from `from` on, with that path if one is given. */
static size_t find_op(memenv *m, size_t from, mem_op_kind kind, const char *path) {
  size_t i = from;
  for (; i < memenv_log_size(m); i++) {
    const mem_op *op = memenv_log_op(m, i);
    if (op->kind == kind && (!path || strstr(op->path, path))) break;
  }
  return i;
}

/* Killed when it was there, or gone, for the page cache alone: whoever builds on the answer
** makes it durable first.  (A second crash here would take the cache for the disk.) */
static void answers_are_durable(void) {
  bitcask_error e;
  memenv *m;
  size_t at;
  run r;

  start(&r, &cases[5], BITCASK_SYNC_FULL);
  memenv_log_start(r.m);
  CHECK_OK(roll_back_and_commit(&r, 1, &e), &e);
  memenv_log_stop(r.m);
  at = find_op(r.m, 0, MEM_UNLINK, "/bitcask.group-");
  m = memenv_crash(r.m, &(mem_cut){.kind = MEM_CUT_KILL, .n_ops = at + 1});
  CHECK_EQ(read_counter(m, &r, 1, false), 0);
  at = find_op(m, 0, MEM_TRUNCATE, NULL);
  CHECK(at < memenv_log_size(m));
  CHECK(find_op(m, 0, MEM_SYNC_DIR, "/disk/a") < at);
  memenv_free(m);

  at = find_op(r.m, 0, MEM_CREATE, "/bitcask.group-");
  m = memenv_crash(r.m, &(mem_cut){.kind = MEM_CUT_KILL, .n_ops = at + 2});
  CHECK_EQ(read_counter(m, &r, 1, false), UNDONE + 1);
  at = find_op(m, 0, MEM_FDATASYNC, NULL);
  CHECK(at < find_op(m, 0, MEM_SYNC_DIR, "/disk/a"));
  CHECK(find_op(m, 0, MEM_SYNC_DIR, "/disk/a") < find_op(m, at + 1, MEM_FDATASYNC, NULL));
  forget(&r, m);
}

/* Killed when both pages had been changed: they are synced, both, before the decision goes. */
static void pages_are_synced_before_a_sweep(void) {
  bitcask_error e;
  memenv *m;
  size_t at;
  run r;

  start(&r, &cases[0], BITCASK_SYNC_NORMAL);
  memenv_log_start(r.m);
  CHECK_OK(commit(&r, 1, &e), &e);
  memenv_log_stop(r.m);
  at = find_op(r.m, 0, MEM_UNLINK, "/bitcask.group-");
  m = memenv_crash(r.m, &(mem_cut){.kind = MEM_CUT_KILL, .n_ops = at});
  CHECK_EQ(count_decisions(m, 2), 1);
  CHECK_EQ(read_counter(m, &r, 0, false), 1);
  at = find_op(m, 0, MEM_UNLINK, "/bitcask.group-");
  CHECK(at >= 2 && at < memenv_log_size(m));
  for (size_t i = 1; i <= 2 && at >= 2 && at < memenv_log_size(m); i++)
    CHECK_EQ(memenv_log_op(m, at - i)->kind, MEM_FDATASYNC);
  forget(&r, m);
}

static char decision_path[200];

static int find_decision(void *arg, const char *name) {
  (void)arg;
  if (!strncmp(name, "bitcask.group-", 14))
    snprintf(decision_path, sizeof decision_path, "/disk/a/%s", name);
  return 0;
}

/* What is no decision, under the name of one, decides nothing. */
static void decision_is_damaged(void) {
  run r;
  memenv *m = decided(&r);

  if (m) {
    memenv_env(m)->list(memenv_env(m)->ctx, "/disk/a", find_decision, NULL);
    memenv_write_file(m, decision_path, "something else, and long enough to be one", 41);
    CHECK_EQ(read_all(m, &r, true, true), 0);
    CHECK_EQ(read_all(m, &r, false, true), 0);
    CHECK_EQ(count_decisions(m, 2), 1); /* a stranger's, by the look of it */
  }
  forget(&r, m);
}

static void strangers_are_left_alone(void) {
  static const char *const names[] = {"/disk/a/bitcask.group-0123456789abcdef0123456789abcdef",
                                      "/disk/b/bitcask.group-notes", "/disk/b/bitcask.group-"};
  bitcask_error e;
  bc_stat st;
  run r;

  start(&r, &cases[0], BITCASK_SYNC_FULL);
  close_all(&r);
  for (size_t i = 0; i < 3; i++) memenv_write_file(r.m, names[i], "my own", 6);
  CHECK_EQ(memenv_env(r.m)->mkdir(memenv_env(r.m)->ctx,
                                  "/disk/a/bitcask.group-00000000000000000000000000000000"),
           0);
  open_all(&r);
  CHECK_OK(commit(&r, 1, &e), &e);
  close_all(&r);
  CHECK_EQ(read_all(r.m, &r, false, false), 1);
  for (size_t i = 0; i < 3; i++) {
    CHECK_EQ(memenv_env(r.m)->stat(memenv_env(r.m)->ctx, names[i], &st), 0);
    CHECK_EQ(st.size, 6);
  }
  memenv_free(r.m);
}

static void one_is_published_and_another_rolled_back(void) {
  bitcask_error e;
  run r;

  start(&r, &cases[0], BITCASK_SYNC_OFF);
  CHECK_OK(begin_all(&r, &e), &e);
  CHECK_OK(put_all(&r, 1, &e), &e);
  CHECK_OK(bitcask_prepare_all(r.txn, 2, &e), &e);
  bitcask_txn_publish(r.txn[1]);
  CHECK_RC(bitcask_txn_put(r.txn[0], "late", 4, "x", 1, &e), BITCASK_INVALID, &e);
  bitcask_txn_rollback(r.txn[0]);
  close_all(&r);
  CHECK_EQ(read_all(r.m, &r, false, false), 1);
  memenv_free(r.m);
}

/* Nobody has been told, and another member has undone it: it is not published. */
static void undone_by_another_member(void) {
  bitcask_error e;
  run r;

  start(&r, &cases[0], BITCASK_SYNC_OFF);
  CHECK_OK(begin_all(&r, &e), &e);
  CHECK_OK(put_all(&r, 1, &e), &e);
  CHECK_OK(bitcask_prepare_all(r.txn, 2, &e), &e);
  bitcask_txn_rollback(r.txn[1]);
  bitcask_txn_publish(r.txn[0]);
  close_all(&r);
  CHECK_EQ(read_all(r.m, &r, false, false), 0);
  memenv_free(r.m);
}

/* ... and the other one goes on alone: in the file there is its record, and nothing behind it of what
** was prepared before. */
static void one_goes_on_alone(void) {
  bitcask_error e;
  bc_stat before, after;
  run r;

  start(&r, &cases[0], BITCASK_SYNC_OFF);
  CHECK_EQ(memenv_env(r.m)->stat(r.m, "/disk/a/1.bitcask.data", &before), 0);
  CHECK_OK(begin_all(&r, &e), &e);
  CHECK_OK(put_all(&r, 1, &e), &e);
  CHECK_OK(bitcask_prepare_all(r.txn, 2, &e), &e);
  bitcask_txn_rollback(r.txn[1]);
  CHECK_OK(bitcask_txn_prepare(r.txn[0], &e), &e);
  bitcask_txn_publish(r.txn[0]);
  CHECK_EQ(memenv_env(r.m)->stat(r.m, "/disk/a/1.bitcask.data", &after), 0);
  CHECK_EQ(after.size - before.size, 14 + 1 + (int)sizeof(unsigned));
  close_all(&r);
  CHECK_EQ(read_counter(r.m, &r, 0, false), 1);
  CHECK_EQ(read_counter(r.m, &r, 1, false), 0);
  memenv_free(r.m);
}

int main(void) {
  RUN(all_or_nothing_full);
  RUN(all_or_nothing_normal);
  RUN(all_or_nothing_off);
  RUN(every_call_fails);
  RUN(every_allocation_fails);
  RUN(spilled);
  RUN(answers_are_durable);
  RUN(pages_are_synced_before_a_sweep);
  RUN(coordinator_is_gone);
  RUN(directories_move_together);
  RUN(decision_is_damaged);
  RUN(strangers_are_left_alone);
  RUN(one_is_published_and_another_rolled_back);
  RUN(undone_by_another_member);
  RUN(one_goes_on_alone);
  return test_done();
}
