/*
** test_fault.c - whatever call of the system fails, and whatever allocation: an
** error that says so, no crash, no leak, and nothing lost that was acknowledged.
**
** Each scenario is run once for every call it makes, with that call failing, once
** or from then on.  Afterwards the disk is read with a healthy system, both as it
** is and as power cuts would leave it.
*/
#include "test.h"
#include "world.h"

#include "engine.h"
#include "memenv_int.h"
#include "oom.h"

typedef struct fault_kind {
  const char *name;
  int err;
  unsigned calls;
  bool sticky;
  bool revert;
} fault_kind;

enum {
  NEEDS_SPACE = MEM_CALL_CREATE | MEM_CALL_PWRITEV | MEM_CALL_FDATASYNC | MEM_CALL_RENAME |
                MEM_CALL_MKDIR | MEM_CALL_SYNC_DIR,
  NEEDS_DESCRIPTOR = MEM_CALL_OPEN | MEM_CALL_CREATE | MEM_CALL_LIST | MEM_CALL_SYNC_DIR,
  CHANGES = NEEDS_SPACE | MEM_CALL_TRUNCATE | MEM_CALL_UNLINK
};

static const fault_kind kinds[] = {
    {"EIO once", EIO, MEM_CALL_ALL, false, false},
    {"EIO once, content reverted", EIO, MEM_CALL_ALL, false, true},
    {"EIO from then on", EIO, MEM_CALL_ALL, true, false},
    {"EIO on writes from then on, content reverted", EIO, CHANGES, true, true},
    {"ENOSPC once", ENOSPC, NEEDS_SPACE, false, false},
    {"ENOSPC from then on", ENOSPC, NEEDS_SPACE, true, false},
    {"EDQUOT from then on", EDQUOT, NEEDS_SPACE, true, false},
    {"EROFS from then on", EROFS, CHANGES, true, false},
    {"EMFILE once", EMFILE, NEEDS_DESCRIPTOR, false, false},
    {"EMFILE from then on", EMFILE, NEEDS_DESCRIPTOR, true, false},
    {"EACCES once", EACCES, MEM_CALL_CREATE | MEM_CALL_UNLINK, false, false},
};

static unsigned long n_runs, n_disks;
static unsigned n_reported;

static void report(const world *w, const scenario *s, const char *fault, uint64_t nth,
                   const char *what) {
  test_bad++;
  if (n_reported++ < 12) {
    TEST_FAIL("scenario '%s', call %" PRIu64 " failing with %s: %s (%d errors, the first: %s)",
              s->name, nth, fault, what, w->n_errors, w->first_error);
  }
}

static bool is_expected(const world *w, const model *got) {
  if (model_equal(&w->now, got)) return true;
  for (size_t i = 0; i < w->n_doubts; i++) {
    if (model_equal(&w->doubts[i], got)) return true;
  }
  return false;
}

/* The disk after the failing run: `cut` NULL for the same machine, still up. */
static const char *check_disk(world *w, const mem_cut *cut) {
  memenv *m = cut ? memenv_crash(w->m, cut) : w->m;
  model got = {0}, again = {0};
  const char *bad = NULL;

  n_disks++;
  if (world_read_disk(w, m, true, &got))
    bad = w->failure;
  else if (!is_expected(w, &got))
    bad = "what was acknowledged is not there after reopening";
  else if (world_read_disk(w, m, false, &again))
    bad = w->failure;
  else if (!model_equal(&got, &again))
    bad = "the repair changed what is there";
  else if (!(bad = world_check_backup(w, m)) && memenv_n_open(m))
    bad = "descriptors left open";
  if (bad) {
    memenv_print(m, "on disk");
    model_print_diff(&w->now, &got);
  }
  model_clear(&got);
  model_clear(&again);
  if (cut) memenv_free(m);
  return bad;
}

/* The status codes that a failing system may lead to. */
static const char *check_errors(const world *w, const fault_kind *k) {
  const unsigned fine = 1u << BITCASK_IOERR | 1u << BITCASK_FULL | 1u << BITCASK_READONLY |
                        1u << BITCASK_CANTOPEN | 1u << BITCASK_BUSY;

  if (w->failure[0]) return w->failure;
  if (w->error_mask & ~fine) return "a status code that says something else";
  /* A sync that failed out of sight (of a hint, in a rollback) stops later writes;
  ** a transaction that cannot be taken back is of no more use. */
  if (memenv_fault_call(w->m) & (MEM_CALL_FDATASYNC | MEM_CALL_TRUNCATE)) return NULL;
  if (w->n_errors && w->first_errno != k->err) return "the error does not say the errno";
  if (!k->sticky && w->n_errors > 1) return "one failure leads to others";
  if (k->err == ENOSPC && w->n_errors &&
      !(w->error_mask & (1u << BITCASK_FULL | 1u << BITCASK_CANTOPEN))) {
    return "ENOSPC, and neither full nor, from an open, cannot open";
  }
  return NULL;
}

/* SCENARIO and NTH in the environment run that scenario, and that failing call, alone. */
static bool is_wanted(const scenario *s) {
  const char *only = getenv("SCENARIO");
  return !only || !strcmp(only, s->name);
}

static uint64_t only_call(void) {
  const char *nth = getenv("NTH");
  return nth ? strtoull(nth, NULL, 10) : 0;
}

/* False when the scenario makes fewer than nth calls. */
static bool run_with_fault(const scenario *s, const fault_kind *k, uint64_t nth) {
  const mem_fault f = {k->err, k->calls, nth, k->sticky, k->revert}, none = {0};
  const char *bad;
  world w;
  bool hit;

  n_runs++;
  world_init(&w, s, BITCASK_SYNC_FULL, true);
  memenv_set_fault(w.m, &f);
  world_run(&w, s);
  hit = memenv_fault_hit(w.m);
  bad = check_errors(&w, k);
  memenv_set_fault(w.m, &none);
  if (!bad && memenv_n_open(w.m)) bad = "descriptors left open";
  for (unsigned i = 0; i < 4 && !bad && hit; i++) {
    mem_cut cut = {.kind = MEM_CUT_KILL + i, .n_ops = memenv_log_size(w.m), .seed = nth};
    bad = check_disk(&w, &cut);
  }
  if (!bad) bad = check_disk(&w, NULL);
  if (bad) report(&w, s, k->name, nth, bad);
  if (bad && only_call()) memenv_print_log(w.m);
  w.failure[0] = 0;
  world_release(&w);
  return hit;
}

static void every_call_fails(void) {
  for (size_t k = 0; k < sizeof kinds / sizeof *kinds; k++) {
    unsigned long before = n_runs;
    n_reported = 0;
    for (size_t i = 0; i < n_scenarios; i++) {
      uint64_t nth = only_call() ? only_call() : 1;
      if (!is_wanted(&scenarios[i])) continue;
      while (run_with_fault(&scenarios[i], &kinds[k], nth) && !only_call()) nth++;
    }
    printf("  %-45s %6lu runs%s\n", kinds[k].name, n_runs - before, n_reported ? "  FAILED" : "");
  }
}

/* ---------------------------------------------------------------- failed syncs */

static memenv *open_one(bitcask **bc, bitcask_error *e) {
  memenv *m = memenv_new(1);
  bitcask_options o;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  memenv_log_start(m);
  CHECK_OK(bc_open_env("/kv", &o, memenv_env(m), bc, e), e);
  CHECK_OK(bitcask_put(*bc, "k", 1, "old", 3, e), e);
  return m;
}

static void refuses_writes_after_failed_sync(bool revert) {
  const mem_fault f = {EIO, MEM_CALL_FDATASYNC, 1, false, revert}, none = {0};
  bitcask_error e = {0};
  bitcask_buf buf = {0};
  bitcask_txn *txn = NULL;
  bitcask_options o;
  bitcask *bc;
  memenv *m = open_one(&bc, &e);

  memenv_set_fault(m, &f);
  CHECK_RC(bitcask_put(bc, "k", 1, "new", 3, &e), BITCASK_IOERR, &e);
  CHECK_EQ(e.os_errno, EIO);
  memenv_set_fault(m, &none);
  CHECK_RC(bitcask_put(bc, "k", 1, "newer", 5, &e), BITCASK_IOERR, &e);
  CHECK_RC(bitcask_delete(bc, "k", 1, &e), BITCASK_IOERR, &e);
  CHECK_RC(bitcask_begin(bc, 0, &txn, &e), BITCASK_IOERR, &e);
  CHECK(txn == NULL);
  CHECK_RC(bitcask_sync(bc, &e), BITCASK_IOERR, &e);
  CHECK_OK(bitcask_get(bc, "k", 1, &buf, &e), &e);
  CHECK_MEM(buf.data, buf.size, "old", 3);
  bitcask_close(bc, NULL); /* may fail: its sync must not claim what the first one lost */
  CHECK_EQ(memenv_n_open(m), 0);

  bitcask_options_init(&o);
  o.auto_merge = false;
  CHECK_OK(bc_open_env("/kv", &o, memenv_env(m), &bc, &e), &e);
  CHECK_OK(bitcask_get(bc, "k", 1, &buf, &e), &e);
  if (buf.size != 3 || (memcmp(buf.data, "old", 3) && memcmp(buf.data, "new", 3))) {
    TEST_FAIL("neither the old value nor the new one");
  }
  CHECK_OK(bitcask_put(bc, "k", 1, "again", 5, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&buf);
  memenv_free(m);
}

static void failed_sync_keeps_content(void) { refuses_writes_after_failed_sync(false); }
static void failed_sync_reverts_content(void) { refuses_writes_after_failed_sync(true); }

static void check_value(bitcask *bc, const char *key, const char *want) {
  bitcask_buf got = {0};
  bitcask_error e = {0};

  CHECK_OK(bitcask_get(bc, key, strlen(key), &got, &e), &e);
  CHECK_MEM(got.data, got.size, want, strlen(want));
  bitcask_buf_free(&got);
}

/* The kernel takes what it has failed to write for clean.  It is written again before a later sync
** is believed: else that would promise what is in the cache alone. */
static void given_up_pages_are_written_again(void) {
  const mem_fault f = {EIO, MEM_CALL_FDATASYNC, 1, false, false}, none = {0};
  memenv *m = memenv_new(1), *cut;
  char before[20000] = {0}; /* pages that no later write touches */
  bitcask_error e = {0};
  bitcask_options o;
  bitcask *bc;

  memset(before, 'b', sizeof before - 1);
  bitcask_options_init(&o);
  o.sync = BITCASK_SYNC_NORMAL;
  o.create = true;
  memenv_log_start(m);
  CHECK_OK(bc_open_env("/kv", &o, memenv_env(m), &bc, &e), &e);
  CHECK_OK(bitcask_put(bc, "k", 1, before, sizeof before - 1, &e), &e);
  memenv_set_fault(m, &f);
  CHECK_RC(bitcask_sync(bc, &e), BITCASK_IOERR, &e);
  memenv_set_fault(m, &none);
  bitcask_close(bc, NULL);
  CHECK_OK(bc_open_env("/kv", &o, memenv_env(m), &bc, &e), &e);
  check_value(bc, "k", before);
  CHECK_OK(bitcask_put(bc, "l", 1, "behind", 6, &e), &e);
  CHECK_OK(bitcask_sync(bc, &e), &e);
  cut = memenv_crash(m, &(mem_cut){.kind = MEM_CUT_SYNCED, .n_ops = memenv_log_size(m)});
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_OK(bc_open_env("/kv", &o, memenv_env(cut), &bc, &e), &e);
  check_value(bc, "k", before);
  check_value(bc, "l", "behind");
  CHECK_OK(bitcask_close(bc, &e), &e);
  memenv_free(cut);
  memenv_free(m);
}

/* ------------------------------------------------------------------ no memory */

static bool run_without_memory(const scenario *s, uint64_t nth) {
  int64_t live = oom_n_live();
  const char *bad = NULL;
  world w;
  bool hit;

  n_runs++;
  world_init(&w, s, BITCASK_SYNC_FULL, true);
  oom_arm(nth);
  world_run(&w, s);
  hit = oom_count() >= nth;
  oom_arm(0);
  if (w.failure[0])
    bad = w.failure;
  else if (w.error_mask & ~(1u << BITCASK_NOMEM))
    bad = "a status code other than BITCASK_NOMEM";
  else if (memenv_n_open(w.m))
    bad = "descriptors left open";
  else
    bad = check_disk(&w, NULL);
  if (bad) report(&w, s, "no memory", nth, bad);
  w.failure[0] = 0;
  world_release(&w);
  if (oom_n_live() != live) {
    report(&w, s, "no memory", nth, "a leak");
    fprintf(stderr, "  %" PRId64 " blocks\n", oom_n_live() - live);
  }
  return hit;
}

static void every_allocation_fails(void) {
  unsigned long before = n_runs;

  n_reported = 0;
  CHECK(oom_is_linked());
  for (size_t i = 0; i < n_scenarios && oom_is_linked(); i++) {
    uint64_t nth = only_call() ? only_call() : 1;
    if (!is_wanted(&scenarios[i])) continue;
    while (run_without_memory(&scenarios[i], nth) && !only_call()) nth++;
  }
  printf("  %-45s %6lu runs\n", "no memory", n_runs - before);
}

int main(void) {
  RUN(failed_sync_keeps_content);
  RUN(failed_sync_reverts_content);
  RUN(given_up_pages_are_written_again);
  RUN(every_allocation_fails);
  RUN(every_call_fails);
  printf("%lu runs, %lu disks read afterwards\n", n_runs, n_disks);
  return test_done();
}
