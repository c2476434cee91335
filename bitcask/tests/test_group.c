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

enum { MAX_DIRS = 3, N_ROUNDS = 3 };

static const char *const dirs[MAX_DIRS] = {"/disk/a", "/disk/b", "/disk/sub/c"};
static const char *const modes[] = {"full", "normal", "off"};

typedef struct group_case {
  const char *name;
  size_t n_dirs;
  unsigned n_keys;   /* in each member */
  size_t value_sz;   /* of each of them but the counter */
  uint64_t max_size; /* of a file; 0: the default */
  bool only_reads;   /* the last directory is begun, and not written to */
} group_case;

typedef struct run {
  const group_case *c;
  bitcask_options o;
  memenv *m;
  bitcask *bc[MAX_DIRS];
  bitcask_txn *txn[MAX_DIRS];
  size_t acked_at[N_ROUNDS + 1]; /* operations logged when round i was acknowledged */
} run;

static size_t n_written(const group_case *c) { return c->n_dirs - c->only_reads; }

static void open_all(run *r) {
  bitcask_error e;
  for (size_t i = 0; i < r->c->n_dirs; i++)
    CHECK_OK(bc_open_env(dirs[i], &r->o, memenv_env(r->m), &r->bc[i], &e), &e);
}

static void close_all(run *r) {
  for (size_t i = 0; i < r->c->n_dirs; i++) CHECK_EQ(bitcask_close(r->bc[i], NULL), 0);
}

static int put_member(run *r, size_t i, unsigned round, bitcask_error *e) {
  char key[16], *value = calloc(1, r->c->value_sz + 1);
  int rc = bitcask_begin(r->bc[i], 0, &r->txn[i], e);

  if (!rc && i >= n_written(r->c)) goto out;
  memset(value, 'a' + (int)round, r->c->value_sz);
  if (!rc) rc = bitcask_txn_put(r->txn[i], "n", 1, &round, sizeof round, e);
  for (unsigned k = 1; k < r->c->n_keys && !rc; k++) {
    snprintf(key, sizeof key, "key%u", k);
    rc = bitcask_txn_put(r->txn[i], key, strlen(key), value, r->c->value_sz, e);
  }
out:
  free(value);
  return rc;
}

/* One transaction; what it began is ended, whatever fails. */
static int commit_round(run *r, unsigned round, bitcask_error *e) {
  int rc = 0;

  memset(r->txn, 0, sizeof r->txn);
  for (size_t i = 0; i < r->c->n_dirs && !rc; i++) rc = put_member(r, i, round, e);
  if (!rc) rc = bitcask_prepare_all(r->txn, r->c->n_dirs, e);
  for (size_t i = 0; i < r->c->n_dirs; i++) {
    if (!r->txn[i]) continue;
    if (rc)
      bitcask_txn_rollback(r->txn[i]);
    else
      bitcask_txn_publish(r->txn[i]);
  }
  return rc;
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
  CHECK_OK(commit_round(r, 0, &e), &e);
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

static void check_cut(const run *r, const mem_cut *cut) {
  memenv *m = memenv_crash(r->m, cut);
  int seen = read_all(m, r, true, cut->n_ops % 2), acked = 0, found;

  for (int i = 0; i <= N_ROUNDS; i++) {
    if (r->acked_at[i] && r->acked_at[i] <= cut->n_ops) acked = i;
  }
  n_states++;
  found = read_all(m, r, false, cut->n_ops % 3 == 0);
  if (seen < acked || found != seen || found > acked + 1) {
    n_torn++;
    TEST_FAIL("%s, sync=%s, cut of kind %d after operation %zu (torn %zu): %d is read, then %d; "
              "acknowledged %d",
              r->c->name, modes[r->o.sync], (int)cut->kind, cut->n_ops, cut->torn, seen, found,
              acked);
    if (n_torn == 1) memenv_print(m, "after recovery");
  }
  if (count_decisions(m, r->c->n_dirs))
    TEST_FAIL("%s: decision left, kind %d op %zu seed %d of %zu back %d", r->c->name,
              (int)cut->kind, cut->n_ops, (int)cut->seed, memenv_log_size(r->m),
              cut->n_ops % 3 == 0);
  if (cut->n_ops % 5 == 0 && cut->seed < 2 && !test_bad) cut_recovery(r, m, found);
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
    {"two directories, a record each", 2, 1, 0, 0, false},
    {"two directories, batches", 2, 4, 900, 0, false},
    {"three directories", 3, 2, 40, 0, false},
    {"three directories, one only read", 3, 2, 40, 0, true},
    {"two directories, a file for each commit", 2, 3, 60, 200, false},
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
      CHECK_OK(commit_round(&r, k, &e), &e);
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

int main(void) {
  RUN(all_or_nothing_full);
  RUN(all_or_nothing_normal);
  RUN(all_or_nothing_off);
  return test_done();
}
