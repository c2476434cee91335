/*
** test_interleave.c - interleavings that are legal, rare, and were wrong once:
** forced by an environment that lets somebody else act between two system calls.
*/
#include <pthread.h>
#include <sys/wait.h>

#include "bitcask.h"
#include "engine.h"
#include "store.h"
#include "tempdir.h"
#include "test.h"

static char *dir;
static bitcask_options options;
static bc_env env; /* bc_env_posix with hooks */

/* What the hooks do, once, when they are reached. */
static enum { IDLE, BEGIN_AT_LIST, ROLL_BACK_AT_STAT, PUT_AT_OPEN } plan;
static bitcask *writer;
static bitcask_txn *txn;
static char ghost[200000];
static unsigned n_syncs;
static pthread_t thread;

static void prepare_ghost(void) {
  bitcask_error e;
  if (!writer) CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_begin(writer, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "ghost", 5, ghost, sizeof ghost, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
}

static int hooked_list(void *ctx, const char *path, int (*fn)(void *, const char *), void *arg) {
  if (plan == BEGIN_AT_LIST || plan == ROLL_BACK_AT_STAT) {
    if (plan == BEGIN_AT_LIST) plan = IDLE;
    if (!txn) prepare_ghost();
  }
  return bc_env_posix.list(ctx, path, fn, arg);
}

static int hooked_stat(void *ctx, const char *path, bc_stat *out) {
  int e = bc_env_posix.stat(ctx, path, out);
  if (plan == ROLL_BACK_AT_STAT && txn && strstr(path, ".data")) {
    plan = IDLE;
    bitcask_txn_rollback(txn);
  }
  return e;
}

static void *put_one(void *bc) {
  bitcask_error e;
  CHECK_OK(bitcask_put(bc, "k", 1, "v", 1, &e), &e);
  return NULL;
}

static int hooked_open(void *ctx, const char *path, unsigned flags, int *fd) {
  if (plan == PUT_AT_OPEN && flags == BC_OPEN_READ && strstr(path, "bitcask.state")) {
    plan = IDLE;
    CHECK_EQ(pthread_create(&thread, NULL, put_one, writer), 0);
    usleep(100000);
  }
  return bc_env_posix.open(ctx, path, flags, fd);
}

static int hooked_fdatasync(void *ctx, int fd) {
  n_syncs++;
  return bc_env_posix.fdatasync(ctx, fd);
}

static void setup(void) {
  dir = tempdir_make();
  bitcask_options_init(&options);
  options.auto_merge = false;
  options.create = true;
  env = bc_env_posix;
  env.list = hooked_list;
  env.stat = hooked_stat;
  env.open = hooked_open;
  env.fdatasync = hooked_fdatasync;
  plan = IDLE;
  writer = NULL;
  txn = NULL;
  n_syncs = 0;
}

static bitcask *open_hooked(void) {
  bitcask *bc = NULL;
  bitcask_error e;
  CHECK_OK(bc_open_env(dir, &options, &env, &bc, &e), &e);
  return bc;
}

static void finish(bitcask *bc) {
  bitcask_error e;
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_OK(bitcask_close(writer, &e), &e);
  tempdir_remove(dir);
}

static int get(bitcask *bc, const char *key) {
  bitcask_buf value = {0};
  bitcask_error e;
  int rc = bitcask_get(bc, key, strlen(key), &value, &e);
  bitcask_buf_free(&value);
  return rc;
}

/* The first writer since boot begins after a reader has found no state page, and
** before it lists the directory. */
static void no_dirty_read_of_the_first_writer(void) {
  bitcask_error e;
  bitcask *reader;

  setup();
  plan = BEGIN_AT_LIST;
  reader = open_hooked();
  CHECK_EQ(get(reader, "ghost"), BITCASK_NOTFOUND);
  bitcask_txn_rollback(txn);
  CHECK_EQ(get(reader, "ghost"), BITCASK_NOTFOUND);
  CHECK_OK(bitcask_put(writer, "k", 1, "v", 1, &e), &e);
  CHECK_EQ(get(reader, "k"), BITCASK_OK);
  finish(reader);
}

/* A transaction is prepared before a reader measures the file, and rolled back
** before it looks whether anybody wrote. */
static void no_read_behind_a_rollback(void) {
  static char value[4081];
  bitcask_error e;
  bitcask *reader;

  for (int mmap = 0; mmap < 2; mmap++) {
    setup();
    options.mmap = mmap;
    CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
    CHECK_OK(bitcask_put(writer, "k", 1, value, sizeof value, &e), &e);
    plan = ROLL_BACK_AT_STAT;
    reader = open_hooked();
    CHECK_EQ(get(reader, "k"), BITCASK_OK);
    CHECK_EQ(get(reader, "ghost"), BITCASK_NOTFOUND);
    finish(reader);
  }
}

/* A forked child gives up the transaction that it inherited: it is the parent's. */
static void child_cannot_end_the_transaction(void) {
  bitcask_txn *second;
  bitcask_error e;
  bitcask *bc;
  pid_t pid;

  setup();
  bc = open_hooked();
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(bc, "a", 1, "1", 1, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "value", 5, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    bitcask_txn_rollback(txn);
    _exit(0);
  }
  waitpid(pid, NULL, 0);
  CHECK_RC(bitcask_begin(writer, 0, &second, &e), BITCASK_BUSY, &e);
  bitcask_txn_publish(txn);
  CHECK_EQ(get(bc, "k"), BITCASK_OK);
  CHECK_EQ(get(writer, "k"), BITCASK_OK);
  finish(bc);
}

/* Another handle has begun a new file and is writing: what it committed there is
** synced all the same. */
static void sync_covers_files_not_seen_yet(void) {
  char value[100] = {0};
  bitcask_error e;
  bitcask *bc;

  setup();
  options.sync = BITCASK_SYNC_NORMAL;
  options.max_file_size = 100;
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(writer, "a", 1, "1", 1, &e), &e);
  bc = open_hooked();
  CHECK_OK(bitcask_put(writer, "b", 1, value, sizeof value, &e), &e);
  CHECK_OK(bitcask_put(writer, "c", 1, "committed", 9, &e), &e);
  CHECK_OK(bitcask_begin(writer, 0, &txn, &e), &e);
  n_syncs = 0;
  CHECK_OK(bitcask_sync(bc, &e), &e);
  CHECK(n_syncs > 0);
  bitcask_txn_rollback(txn);
  finish(bc);
}

/* The keydir is loaded anew (a catch-up had failed) while a transaction is open. */
static void reload_during_a_transaction(void) {
  bitcask_error e;
  bitcask *bc;

  setup();
  bc = open_hooked();
  CHECK_OK(bitcask_put(bc, "a", 1, "1", 1, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "value", 5, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  atomic_store(&bc->stale, true);
  CHECK_OK(bitcask_refresh(bc, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_EQ(get(bc, "k"), BITCASK_OK);
  CHECK_EQ(get(bc, "a"), BITCASK_OK);
  finish(bc);
}

/* The first put of a handle while another thread's get opens the state page. */
static void first_put_beside_a_get(void) {
  bitcask_error e;
  bitcask *bc, *other;

  setup();
  writer = bc = open_hooked();
  plan = PUT_AT_OPEN;
  (void)get(bc, "k");
  CHECK_EQ(plan, IDLE);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_OK(bitcask_put(bc, "k", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_open(dir, &options, &other, &e), &e);
  CHECK_OK(bitcask_put(other, "k", 1, "3", 1, &e), &e);
  CHECK_EQ(get(bc, "k"), BITCASK_OK);
  finish(other);
}

static _Atomic bool stop;

static void *get_for_ever(void *bc) {
  while (!stop) {
    if (get(bc, "k") != BITCASK_OK) return "a get failed";
  }
  return NULL;
}

/* Readers that never pause do not keep a writer out: all puts come to an end. */
static void readers_do_not_starve_a_writer(void) {
  static char value[100000];
  pthread_t readers[8];
  bitcask_error e;
  bitcask *bc;
  void *bad;

  setup();
  options.sync = BITCASK_SYNC_OFF;
  bc = open_hooked();
  CHECK_OK(bitcask_put(bc, "k", 1, value, sizeof value, &e), &e);
  stop = false;
  for (int i = 0; i < 8; i++) CHECK_EQ(pthread_create(&readers[i], NULL, get_for_ever, bc), 0);
  for (int i = 0; i < 200; i++) CHECK_OK(bitcask_put(bc, "other", 5, "v", 1, &e), &e);
  stop = true;
  for (int i = 0; i < 8; i++) {
    CHECK_EQ(pthread_join(readers[i], &bad), 0);
    CHECK(!bad);
  }
  finish(bc);
}

int main(void) {
  RUN(no_dirty_read_of_the_first_writer);
  RUN(no_read_behind_a_rollback);
  RUN(child_cannot_end_the_transaction);
  RUN(sync_covers_files_not_seen_yet);
  RUN(reload_during_a_transaction);
  RUN(first_put_beside_a_get);
  RUN(readers_do_not_starve_a_writer);
  return test_done();
}
