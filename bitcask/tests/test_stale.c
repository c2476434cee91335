/*
** test_stale.c - bitcask_begin_at: a transaction begins at what was read, or not at all.
*/
#include "test.h"

#include "bitcask.h"
#include "tempdir.h"

enum { FILE_SZ = 4096, VALUE_SZ = 600 };

static bitcask_error e;
static char *dir;
static bitcask *mine, *other; /* two handles, as two processes have */

static bitcask *open_handle(void) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.sync = BITCASK_SYNC_OFF;
  o.max_file_size = FILE_SZ;
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  return bc;
}

static void setup(void) {
  dir = tempdir_make();
  mine = open_handle();
  other = open_handle();
}

static void finish(void) {
  CHECK_OK(bitcask_close(mine, &e), &e);
  CHECK_OK(bitcask_close(other, &e), &e);
  tempdir_remove(dir);
}

static void put(bitcask *bc, const char *key) {
  static const char value[VALUE_SZ];
  CHECK_OK(bitcask_put(bc, key, strlen(key), value, sizeof value, &e), &e);
}

static bitcask_snapshot *take(void) {
  bitcask_snapshot *snap = NULL;
  CHECK_OK(bitcask_snapshot_open(mine, NULL, &snap, &e), &e);
  return snap;
}

/* Begin at the snapshot, and close it. */
static void begin_at(bitcask_snapshot *snap, int want) {
  bitcask_wait at_once = {0};
  bitcask_txn *txn = NULL;
  CHECK_RC(bitcask_begin_at(snap, &at_once, &txn, &e), want, &e);
  CHECK_EQ(txn != NULL, want == BITCASK_OK);
  bitcask_txn_rollback(txn);
  bitcask_snapshot_close(snap);
}

static void commits_make_it_stale(void) {
  bitcask_snapshot *snap;
  setup();
  begin_at(take(), BITCASK_OK);
  for (int i = 0; i < 2; i++) {
    snap = take();
    put(i ? other : mine, "a");
    begin_at(snap, BITCASK_STALE);
    snap = take();
    CHECK_OK(bitcask_delete(i ? other : mine, "a", 1, &e), &e);
    begin_at(snap, BITCASK_STALE);
    begin_at(take(), BITCASK_OK);
  }
  finish();
}

static void rolled_back_is_no_commit(void) {
  bitcask_snapshot *snap;
  bitcask_txn *txn;
  setup();
  put(mine, "a");
  for (int i = 0; i < 2; i++) {
    snap = take();
    CHECK_OK(bitcask_begin(i ? other : mine, 0, &txn, &e), &e);
    CHECK_OK(bitcask_txn_put(txn, "a", 1, "2", 1, &e), &e);
    CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
    bitcask_txn_rollback(txn);
    begin_at(snap, BITCASK_OK);
  }
  finish();
}

/* Stale is said at once, busy only of what is not stale. */
static void writer_at_work(void) {
  bitcask_snapshot *snap;
  bitcask_txn *txn;
  setup();
  snap = take();
  CHECK_OK(bitcask_begin(other, 0, &txn, &e), &e);
  begin_at(snap, BITCASK_BUSY);
  snap = take();
  CHECK_OK(bitcask_txn_put(txn, "a", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_begin(other, 0, &txn, &e), &e);
  begin_at(snap, BITCASK_STALE);
  bitcask_txn_rollback(txn);
  finish();
}

static int publish_it(void *txn) {
  bitcask_txn **t = txn;
  bitcask_txn_publish(*t);
  *t = NULL;
  return 0;
}

/* The writer that is there commits while this one waits for it. */
static void committed_while_waiting(void) {
  bitcask_snapshot *snap;
  bitcask_txn *first = NULL, *txn = NULL;
  bitcask_wait patient = {.timeout_ms = 10000, .progress = publish_it, .progress_ctx = &first};
  setup();
  put(mine, "a");
  snap = take();
  CHECK_OK(bitcask_begin(other, 0, &first, &e), &e);
  CHECK_OK(bitcask_txn_put(first, "a", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(first, &e), &e);
  CHECK_RC(bitcask_begin_at(snap, &patient, &txn, &e), BITCASK_STALE, &e);
  CHECK(!first && !txn);
  bitcask_txn_rollback(txn);
  bitcask_snapshot_close(snap);
  put(mine, "a");
  finish();
}

/* A snapshot that is parked for the next statement is of use as long as it is of what is there, be
** the commit made before it was parked or behind. */
static void parked_is_of_what_is_there(void) {
  bitcask_snapshot *snap;
  setup();
  put(mine, "a");
  for (int when = 0; when < 3; when++) {
    snap = take();
    if (when == 1) put(mine, "b");
    bitcask_snapshot_park(snap);
    if (when == 2) put(mine, "b");
    if (when) {
      CHECK(!bitcask_snapshot_resume(snap));
    } else {
      CHECK(bitcask_snapshot_resume(snap));
      bitcask_snapshot_close(snap);
    }
  }
  finish();
}

/* Copies are no commits, as far as this handle makes them.  Those of another one it cannot tell
** from commits, but once. */
static void merges_do_not_make_it_stale(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_merge_result result;
  bitcask_snapshot *snap;
  setup();
  for (int i = 0; i < 2; i++) {
    for (int k = 0; k < 40; k++) put(mine, k % 3 ? "a" : k % 5 ? "b" : "c");
    snap = take();
    CHECK_OK(bitcask_merge(i ? other : mine, &all, &result, &e), &e);
    CHECK(result.n_inputs > 0);
    if (i)
      bitcask_snapshot_close(snap);
    else
      begin_at(snap, BITCASK_OK);
    begin_at(take(), BITCASK_OK);
  }
  finish();
}

int main(void) {
  RUN(commits_make_it_stale);
  RUN(rolled_back_is_no_commit);
  RUN(writer_at_work);
  RUN(committed_while_waiting);
  RUN(parked_is_of_what_is_there);
  RUN(merges_do_not_make_it_stale);
  return test_done();
}
