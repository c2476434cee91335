/*
** test_moved.c - the directory that was opened is the one that is written: a handle whose
** directory somebody removes, renames or replaces acknowledges nothing more, shows nothing more
** after a second, and touches nothing in a directory that has taken the place.
*/
#include <fcntl.h>
#include <sys/stat.h>

#include "bitcask.h"
#include "engine.h"
#include "store.h"
#include "tempdir.h"
#include "test.h"

static char *top;       /* what the directories lie in */
static char dir[4096];  /* opened ... */
static char path[4300]; /* of in() */

static const char *in(const char *name) {
  snprintf(path, sizeof path, "%s/%s", top, name);
  return path;
}

/* A command for the shell, in the directory of the test. */
static void sh(const char *command) {
  char line[9000];
  snprintf(line, sizeof line, "cd '%s' && %s", top, command);
  if (system(line)) TEST_FAIL("failed: %s", line);
}

static void setup(void) {
  top = tempdir_make();
  sh("mkdir parent");
  snprintf(dir, sizeof dir, "%s/parent/kv", top);
}

static void teardown(void) {
  sh("rm -rf parent* other* link");
  tempdir_remove(top);
}

static bitcask *open_path(const char *name, bitcask_sync_mode sync) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_error e;

  bitcask_options_init(&o);
  o.create = true;
  o.sync = sync;
  o.max_file_size = 4000;
  if (bitcask_open(name, &o, &bc, &e)) TEST_FAIL("open: %s", e.text);
  return bc;
}

static int put(bitcask *bc, const char *key, bitcask_error *e) {
  return bitcask_put(bc, key, strlen(key), "a value", 7, e);
}

/* What happens to the directory of an open handle. */
static const struct way {
  const char *name, *command;
} WAYS[] = {
    {"removed", "rm -rf parent/kv"},
    {"removed and made again", "rm -rf parent/kv && mkdir parent/kv"},
    {"renamed", "mv parent/kv parent/old"},
    {"replaced", "mv parent/kv parent/old && mkdir parent/kv"},
    {"replaced by a copy", "cp -r parent/kv parent/new && mv parent/kv parent/old && "
                           "mv parent/new parent/kv"},
    {"replaced by a copy with links", "cp -al parent/kv parent/new && mv parent/kv parent/old && "
                                      "mv parent/new parent/kv"},
    {"replaced by a link", "mv parent/kv parent/old && mkdir other && ln -s ../other parent/kv"},
    {"replaced by a file", "rm -rf parent/kv && touch parent/kv"},
    {"parent renamed", "mv parent parent2"},
    {"parent replaced", "cp -r parent parent3 && mv parent parent2 && mv parent3 parent"},
    {"state page removed", "rm parent/kv/bitcask.state"},
    {"state page replaced", "cp parent/kv/bitcask.state x && mv x parent/kv/bitcask.state"},
};
enum { N_WAYS = sizeof WAYS / sizeof *WAYS };

/* Every call says so, and what to do. */
static void check_all_calls(bitcask *bc) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_status_info status;
  bitcask_snapshot *snap;
  bitcask_buf value = {0};
  bitcask_error e;
  bitcask_txn *txn;
  uint64_t n;
  bool yes;

  CHECK(bitcask_is_moved(bc));
  CHECK_RC(put(bc, "late", &e), BITCASK_MOVED, &e);
  CHECK(strstr(e.text, "parent/kv") && strstr(e.text, "opened anew"));
  CHECK_RC(bitcask_begin(bc, 0, &txn, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_get(bc, "k", 1, &value, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_snapshot_open(bc, NULL, &snap, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_merge(bc, &all, NULL, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_sync(bc, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_backup(bc, in("parent/backup"), NULL, NULL, NULL, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_verify(bc, NULL, NULL, NULL, &n, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_status(bc, &status, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_is_empty(bc, &yes, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_refresh(bc, &e), BITCASK_MOVED, &e);
  bitcask_buf_free(&value);
}

/* A commit after the directory has gone is not acknowledged. */
static void no_commit_is_acknowledged(void) {
  for (int i = 0; i < 3 * N_WAYS && !test_bad; i++) {
    const struct way *w = &WAYS[i / 3];
    bitcask_error e;
    bitcask *bc;

    setup();
    bc = open_path(dir, (bitcask_sync_mode)(i % 3));
    CHECK_OK(put(bc, "k", &e), &e);
    sh(w->command);
    usleep(2000); /* but under sync=full a look counts for a millisecond */
    CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
    check_all_calls(bc);
    CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
    if (test_bad) printf("  %s, mode %d\n", w->name, i % 3);
    teardown();
  }
}

static uint64_t same_moment(void *ctx) {
  (void)ctx;
  return 1000;
}

/* Under sync=full each commit looks, be it in the millisecond of another look. */
static void each_synced_commit_looks(void) {
  bc_env env = bc_env_posix;
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  env.monotonic_ms = same_moment;
  setup();
  bitcask_options_init(&o);
  o.create = true;
  CHECK_OK(bc_open_env(dir, &o, &env, &bc, &e), &e);
  CHECK_OK(put(bc, "k", &e), &e);
  sh("mv parent/kv parent/old && mkdir parent/kv");
  CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
  teardown();
}

/* One that is prepared when the directory goes was on the disk in it.  One that was begun
** before, and is to be prepared, fails, and can be rolled back. */
static void a_transaction_that_was_begun_fails(void) {
  bitcask_error e;
  bitcask_txn *txn;
  bitcask *bc;

  setup();
  bc = open_path(dir, BITCASK_SYNC_FULL);
  CHECK_OK(put(bc, "k", &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "a", 1, "v", 1, &e), &e);
  sh("mv parent/kv parent/old");
  CHECK_RC(bitcask_txn_prepare(txn, &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_txn_put(txn, "b", 1, "v", 1, &e), BITCASK_MOVED, &e);
  bitcask_txn_rollback(txn);
  CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
  /* Nothing of it is in the directory that was renamed. */
  bc = open_path(in("parent/old"), BITCASK_SYNC_FULL);
  CHECK_RC(bitcask_get(bc, "a", 1, &(bitcask_buf){0}, &e), BITCASK_NOTFOUND, &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

/* Within a second; a statement that is served from a parked snapshot, too. */
static void a_reader_finds_out(void) {
  for (int i = 0; i < N_WAYS && !test_bad; i++) {
    const struct way *w = &WAYS[i];
    bitcask_snapshot *snap = NULL;
    bitcask_buf value = {0};
    bitcask_error e;
    bitcask *bc;

    setup();
    bc = open_path(dir, BITCASK_SYNC_OFF);
    CHECK_OK(put(bc, "k", &e), &e);
    CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
    sh(w->command);
    bitcask_snapshot_park(snap);
    usleep(1010000);
    if (i % 2) {
      CHECK(!bitcask_snapshot_resume(snap));
    } else {
      bitcask_snapshot_close(snap);
    }
    CHECK_RC(bitcask_get(bc, "k", 1, &value, &e), BITCASK_MOVED, &e);
    check_all_calls(bc);
    CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
    if (test_bad) printf("  %s\n", w->name);
    bitcask_buf_free(&value);
    teardown();
  }
}

/* Each of these is the first call after the directory was replaced by a copy: it must say so,
** and change nothing in the copy. */
static int first_call(bitcask *bc, int n, bitcask_error *e) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  uint64_t n_problems;

  switch (n) {
  case 0:
    return bitcask_merge(bc, &all, NULL, e);
  case 1:
    return bitcask_sync(bc, e);
  case 2:
    return bitcask_backup(bc, in("parent/backup"), NULL, NULL, NULL, e);
  case 3:
    return bitcask_verify(bc, NULL, NULL, NULL, &n_problems, e);
  case 4:
    return bitcask_close(bc, e);
  default:
    return bitcask_put(bc, "k", 1, (char[5000]){1}, 5000, e); /* begins a new file */
  }
}

enum { N_CALLS = 6 };

static void nothing_is_touched_in_a_copy(void) {
  for (int i = 0; i < N_CALLS && !test_bad; i++) {
    bitcask_error e;
    bitcask *bc;
    char key[16];

    setup();
    bc = open_path(dir, BITCASK_SYNC_OFF);
    for (int k = 0; k < 1000; k++) {
      snprintf(key, sizeof key, "%d", k % 100);
      CHECK_OK(put(bc, key, &e), &e);
    }
    sh("cp -r parent/kv parent/new && rm -f parent/new/*.lock && mv parent/kv parent/old && "
       "mv parent/new parent/kv && cp -rp parent/kv other");
    usleep(2000);
    CHECK_RC(first_call(bc, i, &e), BITCASK_MOVED, &e);
    if (i != 4) CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
    sh("diff -r parent/kv other && test ! -e parent/backup");
    if (test_bad) printf("  call %d\n", i);
    teardown();
  }
}

/* The name that was opened is a link, and now leads to another directory. */
static void a_link_that_was_opened_is_changed(void) {
  bitcask_error e;
  bitcask *bc;

  setup();
  sh("mkdir parent/kv other && ln -s parent/kv link");
  bc = open_path(in("link"), BITCASK_SYNC_FULL);
  CHECK_OK(put(bc, "k", &e), &e);
  sh("ln -sfn other link");
  CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
  CHECK(strstr(e.text, "/link was opened"));
  CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
  teardown();
}

/* The file that is being written. */
static void the_newest_data_file_is_removed(void) {
  static const char *const commands[] = {
      "rm parent/kv/1.bitcask.data",
      "cp parent/kv/1.bitcask.data x && mv x parent/kv/1.bitcask.data"};

  for (int i = 0; i < 2; i++) {
    bitcask_error e;
    bitcask *bc;

    setup();
    bc = open_path(dir, BITCASK_SYNC_FULL);
    CHECK_OK(put(bc, "k", &e), &e);
    sh(commands[i]);
    CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
    CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
    teardown();
  }
}

/* Away and back before anybody has looked: nothing has happened.  Opened anew after a look, the
** directory is there. */
static void away_and_back(void) {
  bitcask_buf value = {0};
  bitcask_error e;
  bitcask *bc;

  setup();
  bc = open_path(dir, BITCASK_SYNC_FULL);
  CHECK_OK(put(bc, "k", &e), &e);
  sh("mv parent/kv parent/old && mv parent/old parent/kv");
  CHECK_OK(put(bc, "k2", &e), &e);
  sh("mv parent/kv parent/old");
  CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
  sh("mv parent/old parent/kv");
  CHECK_RC(put(bc, "lost", &e), BITCASK_MOVED, &e);
  CHECK_RC(bitcask_close(bc, &e), BITCASK_MOVED, &e);
  bc = open_path(dir, BITCASK_SYNC_FULL);
  CHECK_OK(bitcask_get(bc, "k2", 2, &value, &e), &e);
  CHECK_RC(bitcask_get(bc, "lost", 4, &value, &e), BITCASK_NOTFOUND, &e);
  CHECK_OK(put(bc, "k3", &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
  teardown();
}

int main(void) {
  RUN(no_commit_is_acknowledged);
  RUN(each_synced_commit_looks);
  RUN(a_transaction_that_was_begun_fails);
  RUN(a_reader_finds_out);
  RUN(nothing_is_touched_in_a_copy);
  RUN(a_link_that_was_opened_is_changed);
  RUN(the_newest_data_file_is_removed);
  RUN(away_and_back);
  return test_done();
}
