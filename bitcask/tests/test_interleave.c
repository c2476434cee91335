/*
** test_interleave.c - interleavings that are legal, rare, and were wrong once:
** forced by an environment that lets somebody else act between two system calls.
*/
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <sys/wait.h>

#include "bitcask.h"
#include "engine.h"
#include "format.h"
#include "store.h"
#include "tempdir.h"
#include "test.h"
#include "upkeep.h"

static char *dir;
static bitcask_options options;
static bc_env env; /* bc_env_posix with hooks */

/* What the hooks do, once, when they are reached. */
static enum {
  IDLE,
  BEGIN_AT_LIST,
  ROLL_BACK_AT_STAT,
  PUT_AT_OPEN,
  STOP_AT_UNLINK,
  REMOVE_BESIDE_MERGE,
  REFRESH_AT_UNLINK,
  LOOK_AT_WRITE,
  DIE_AT_WRITE,
  DIE_BEHIND_WRITE,
  LOOK_AT_RECOVERY,
  GROW_AT_STAT,
  MERGE_AT_OPEN
} plan;
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
  int e = bc_env_posix.lstat(ctx, path, out);
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

static int merge_all(bitcask *bc) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e;
  int rc = bitcask_merge(bc, &all, NULL, &e);
  if (rc) fprintf(stderr, "merge: %s\n", e.text);
  return rc;
}

static int hooked_open(void *ctx, const char *path, unsigned flags, int *fd) {
  if (plan == PUT_AT_OPEN && !(flags & BC_OPEN_WRITE) && strstr(path, "bitcask.state")) {
    plan = IDLE;
    CHECK_EQ(pthread_create(&thread, NULL, put_one, writer), 0);
    usleep(100000);
  }
  if (plan == MERGE_AT_OPEN && flags == BC_OPEN_READ && strstr(path, ".data")) {
    plan = IDLE;
    bitcask_txn_rollback(txn);
    txn = NULL;
    CHECK_OK(merge_all(writer), &(bitcask_error){0});
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
  env.lstat = hooked_stat;
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

/* A file that is to be synced has just been merged by another process. */
static void sync_beside_a_merge(void) {
  char value[100] = {0};
  bitcask_error e;
  bitcask *bc;

  setup();
  options.sync = BITCASK_SYNC_OFF; /* nothing is stable before it is asked for */
  options.max_file_size = 100;
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  for (int i = 0; i < 5; i++) CHECK_OK(bitcask_put(writer, "a", 1, value, sizeof value, &e), &e);
  bc = open_hooked();
  CHECK_OK(bitcask_begin(writer, 0, &txn, &e), &e);
  plan = MERGE_AT_OPEN;
  CHECK_OK(bitcask_sync(bc, &e), &e);
  CHECK_EQ(plan, IDLE);
  CHECK_EQ(get(bc, "a"), BITCASK_OK);
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

/* A key is deleted while a handle sleeps, and a merge takes its deletion away. */
static void deleted_and_merged_while_asleep(void) {
  bitcask_error e;
  bitcask *bc;

  setup();
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(writer, "k", 1, "1", 1, &e), &e);
  CHECK_OK(bitcask_put(writer, "l", 1, "1", 1, &e), &e);
  bc = open_hooked();
  CHECK_EQ(get(bc, "k"), BITCASK_OK);
  CHECK_OK(bitcask_delete(writer, "k", 1, &e), &e);
  CHECK_OK(merge_all(writer), &e);
  CHECK_EQ(get(bc, "k"), BITCASK_NOTFOUND);
  CHECK_EQ(get(bc, "l"), BITCASK_OK);
  finish(bc);
}

/* A handle that writes knows by then what others have written since it last looked. */
static void written_by_both(void) {
  bitcask_error e;
  bitcask *bc;

  setup();
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  bc = open_hooked();
  for (int i = 0; i < 3; i++) {
    char key = (char)('a' + i);
    CHECK_OK(bitcask_put(writer, &key, 1, "1", 1, &e), &e);
    CHECK_OK(bitcask_put(bc, "k", 1, "1", 1, &e), &e);
    CHECK_EQ(get(bc, (char[]){key, 0}), BITCASK_OK);
  }
  finish(bc);
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

/* ------------------------------------------- a merge elsewhere, and verify */

enum { N_LIVE = 4 };

/* The merger: it removes an input, and between the system calls for that others act. */
static bitcask *reader;
static sem_t input_has_gone, merge_may_go;
static int to_parent[2], to_child[2]; /* pipes */
static unsigned n_sleeps;

/* The reader knows of the removal to come; then the merger stops half-way. */
static int unlink_and_wait(void *ctx, const char *path) {
  bitcask_error e;
  int rc;
  if (!strstr(path, ".data") || plan != STOP_AT_UNLINK) return bc_env_posix.unlink(ctx, path);
  plan = IDLE;
  CHECK_OK(bitcask_refresh(reader, &e), &e);
  rc = bc_env_posix.unlink(ctx, path);
  sem_post(&input_has_gone);
  sem_wait(&merge_may_go);
  return rc;
}

/* The same, and it dies there. */
static int unlink_and_die(void *ctx, const char *path) {
  char c = 0;
  if (!strstr(path, ".data")) return bc_env_posix.unlink(ctx, path);
  (void)!write(to_parent[1], &c, 1);
  (void)!read(to_child[0], &c, 1);
  (void)bc_env_posix.unlink(ctx, path);
  kill(getpid(), SIGKILL);
  return 0;
}

static void sleep_and_let_merge(void *ctx, unsigned us) {
  if (n_sleeps++ == 0) sem_post(&merge_may_go);
  bc_env_posix.sleep_us(ctx, us);
}

static void *merge_in_thread(void *bc) { return merge_all(bc) ? "failed" : NULL; }

static int keep_text(void *ctx, const bitcask_problem *p) {
  snprintf(ctx, 200, "%u: %s", p->file_id, p->text);
  return 0;
}

static void check_verify(bool records, const char *want) {
  char got[200] = "";
  bitcask_error e;
  uint64_t n;
  if (records)
    CHECK_OK(bitcask_verify(reader, keep_text, NULL, got, &n, &e), &e);
  else
    CHECK_OK(bitcask_verify_structure(reader, keep_text, NULL, got, &n, &e), &e);
  if (strcmp(got, want)) TEST_FAIL("the problem is '%s', not '%s'", got, want);
}

/* Files 1 to 8, by turns with a record that is live and one that is not. */
static void fill_files(void) {
  bitcask *bc;
  bitcask_error e;
  char key[2] = "0";
  options.max_file_size = 40;
  CHECK_OK(bitcask_open(dir, &options, &bc, &e), &e);
  for (int i = 0; i < N_LIVE; i++, key[0]++) {
    CHECK_OK(bitcask_put(bc, key, 1, "kept", 4, &e), &e);
    CHECK_OK(bitcask_put(bc, "k", 1, "overwritten", 11, &e), &e);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void remove_data_file(unsigned id) {
  char path[512];
  snprintf(path, sizeof path, "%s/%u.bitcask.data", dir, id);
  CHECK_EQ(unlink(path), 0);
}

/* An input of another process's merge has gone, and the step is not counted yet. */
static void verify_beside_a_removal(void) {
  bitcask_error e;
  void *bad;

  for (int records = 0; records < 2; records++) {
    bc_env merger_env = bc_env_posix;
    setup();
    fill_files();
    merger_env.unlink = unlink_and_wait;
    env.sleep_us = sleep_and_let_merge;
    n_sleeps = 0;
    sem_init(&input_has_gone, 0, 0);
    sem_init(&merge_may_go, 0, 0);
    reader = open_hooked();
    CHECK_OK(bc_open_env(dir, &options, &merger_env, &writer, &e), &e);
    plan = STOP_AT_UNLINK;
    CHECK_EQ(pthread_create(&thread, NULL, merge_in_thread, writer), 0);
    sem_wait(&input_has_gone);
    check_verify(records, "");
    sem_post(&merge_may_go);
    CHECK_EQ(pthread_join(thread, &bad), 0);
    CHECK(!bad);
    check_verify(records, "");
    for (int i = 0; i < N_LIVE; i++) CHECK_EQ(get(reader, (char[2]){(char)('0' + i)}), BITCASK_OK);
    finish(reader);
  }
}

/* As before, but the merger is killed and never counts the step. */
static void verify_after_a_killed_removal(void) {
  bc_env merger_env = bc_env_posix;
  bitcask_error e;
  pid_t pid;
  char c = 0;

  setup();
  fill_files();
  merger_env.unlink = unlink_and_die;
  CHECK_EQ(pipe(to_parent) | pipe(to_child), 0);
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    if (!bc_open_env(dir, &options, &merger_env, &writer, &e)) (void)merge_all(writer);
    _exit(1);
  }
  reader = open_hooked();
  CHECK_EQ(read(to_parent[0], &c, 1), 1);
  CHECK_OK(bitcask_refresh(reader, &e), &e);
  CHECK_EQ(write(to_child[1], &c, 1), 1);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  check_verify(false, "");
  check_verify(true, "");

  /* The next writer puts it in order: then a file that somebody removes is missing. */
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(writer, "k", 1, "new", 3, &e), &e);
  check_verify(false, "");
  remove_data_file(2);
  check_verify(false, "2: the file is missing");
  for (int i = 0; i < 2; i++) close(to_parent[i]), close(to_child[i]);
  finish(reader);
}

static int remove_another_file(void *ctx) {
  if (plan != REMOVE_BESIDE_MERGE) return 0;
  plan = IDLE;
  bitcask_refresh(ctx, NULL);
  remove_data_file(3);
  check_verify(false, "3: the file is missing");
  CHECK_EQ(n_sleeps, 0);
  return 0;
}

/* A merge that runs is no excuse for a file that it does not remove. */
static void verify_tells_of_a_file_removed_beside_a_merge(void) {
  static const uint32_t ids[] = {1};
  bitcask_merge_options o = {.kind = BITCASK_MERGE_FILES,
                             .file_ids = ids,
                             .n_file_ids = 1,
                             .progress = remove_another_file};
  bitcask_error e;

  setup();
  fill_files();
  env.sleep_us = sleep_and_let_merge;
  n_sleeps = 0;
  o.progress_ctx = reader = open_hooked();
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  plan = REMOVE_BESIDE_MERGE;
  CHECK_OK(bitcask_merge(writer, &o, NULL, &e), &e);
  CHECK_EQ(plan, IDLE);
  finish(reader);
}

/* There is a file above the output, so that it is mapped and not kept open. */
static int refresh_and_unlink(void *ctx, const char *path) {
  bitcask_error e;
  if (plan == REFRESH_AT_UNLINK && strstr(path, ".data")) {
    plan = IDLE;
    CHECK_OK(bitcask_put(writer, "k", 1, "new", 3, &e), &e);
    CHECK_OK(bitcask_refresh(reader, &e), &e);
  }
  return bc_env_posix.unlink(ctx, path);
}

/* The output of a merge has grown since the reader mapped it, and the next merge
** removes it after the reader has measured it and before it is opened once more. */
static void removal_of_a_file_that_has_grown(void) {
  bc_env merger_env = bc_env_posix;
  bitcask_error e;

  setup();
  fill_files();
  options.max_file_size = 10000; /* one output */
  merger_env.unlink = refresh_and_unlink;
  reader = open_hooked();
  CHECK_OK(bc_open_env(dir, &options, &merger_env, &writer, &e), &e);
  plan = REFRESH_AT_UNLINK;
  CHECK_OK(merge_all(writer), &e);
  CHECK_EQ(plan, IDLE);
  plan = MERGE_AT_OPEN;
  CHECK_OK(bitcask_refresh(reader, &e), &e);
  CHECK_EQ(plan, IDLE);
  for (int i = 0; i < N_LIVE; i++) CHECK_EQ(get(reader, (char[2]){(char)('0' + i)}), BITCASK_OK);
  finish(reader);
}

/* ------------------------------- a merge elsewhere, and its output half written */

enum { VALUE_SZ = 3000, FIRST_HALF = 1000 };

static bitcask *late_reader; /* opens the directory in that moment */
static unsigned n_logged;

static void count_message(void *ctx, const char *text) {
  (void)ctx;
  (void)text;
  n_logged++;
}

static void check_value(bitcask *bc, const char *key, const char *want, size_t n) {
  bitcask_buf value = {0};
  bitcask_error e;
  CHECK_OK(bitcask_get(bc, key, strlen(key), &value, &e), &e);
  if (value.size != n || memcmp(value.data, want, n)) TEST_FAIL("another value of %s", key);
  bitcask_buf_free(&value);
}

/* The first bytes of an output are there; others look at it; then the rest comes. */
static int write_in_two(void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset) {
  struct iovec half = {iov->iov_base, FIRST_HALF};
  bitcask_error e;
  int rc;
  if (plan == IDLE || n_iov != 1 || iov->iov_len < VALUE_SZ)
    return bc_env_posix.pwritev(ctx, fd, iov, n_iov, offset);
  rc = bc_env_posix.pwritev(ctx, fd, &half, 1, offset);
  if (plan == DIE_AT_WRITE) kill(getpid(), SIGKILL);
  plan = IDLE;
  CHECK_OK(bitcask_refresh(reader, &e), &e);
  CHECK_OK(bitcask_open(dir, &options, &late_reader, &e), &e);
  check_value(reader, "victim", "right", 5);
  check_value(late_reader, "victim", "right", 5);
  iov->iov_base = (char *)iov->iov_base + FIRST_HALF;
  iov->iov_len -= FIRST_HALF;
  return rc ? rc : bc_env_posix.pwritev(ctx, fd, iov, n_iov, offset + FIRST_HALF);
}

static void check_not_damaged(bitcask *bc) {
  bitcask_file_stat *files;
  bitcask_error e;
  size_t n;
  CHECK_OK(bitcask_files(bc, &files, &n, &e), &e);
  for (size_t i = 0; i < n; i++) CHECK(!files[i].damaged);
  bitcask_files_free(files);
}

/* A value of VALUE_SZ bytes near whose beginning is a whole record of "victim". */
static void make_trap(uint8_t value[VALUE_SZ]) {
  memset(value, 'x', VALUE_SZ);
  bc_record_encode(value + 100, 1, "victim", 6, "wrong", 5);
}

/* Three files, of which the first begins with the value. */
static void fill_with(const uint8_t value[VALUE_SZ]) {
  bitcask_error e;
  options.max_file_size = 500;
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(writer, "trap", 4, value, VALUE_SZ, &e), &e);
  CHECK_OK(bitcask_put(writer, "victim", 6, "right", 5, &e), &e);
  CHECK_OK(bitcask_put(writer, "pad", 3, value, VALUE_SZ, &e), &e);
  options.max_file_size = 100000; /* one output */
}

/* Half a record at the end of an output is neither damage nor a place to look for
** records: the file grows. */
static void output_half_written(void) {
  static uint8_t value[VALUE_SZ];
  bc_env merger_env = bc_env_posix;
  bitcask_error e;

  for (int trap = 0; trap < 2; trap++) {
    setup();
    memset(value, 'x', sizeof value);
    if (trap) make_trap(value);
    options.log = count_message;
    n_logged = 0;
    fill_with(value);
    CHECK_OK(bitcask_close(writer, &e), &e);
    merger_env.pwritev = write_in_two;
    reader = open_hooked();
    CHECK_OK(bc_open_env(dir, &options, &merger_env, &writer, &e), &e);
    plan = LOOK_AT_WRITE;
    CHECK_OK(merge_all(writer), &e);
    CHECK_EQ(plan, IDLE);
    for (int late = 0; late < 2; late++) {
      bitcask *bc = late ? late_reader : reader;
      check_value(bc, "victim", "right", 5);
      check_value(bc, "trap", (char *)value, sizeof value);
      check_value(bc, "pad", (char *)value, sizeof value);
      check_not_damaged(bc);
    }
    CHECK_EQ(n_logged, 0);
    CHECK_OK(bitcask_close(late_reader, &e), &e);
    finish(reader);
  }
}

static bitcask *late_writer;

static int overwrite_and_write(void *ctx, int fd, struct iovec *iov, int n, uint64_t offset) {
  bitcask_error e;
  if (plan == LOOK_AT_WRITE) {
    plan = IDLE;
    CHECK_OK(bitcask_put(late_writer, "k", 1, "new", 3, &e), &e);
    check_value(reader, "k", "new", 3);
  }
  return bc_env_posix.pwritev(ctx, fd, iov, n, offset);
}

/* A merge copies a value that somebody else has just overwritten: who knows the new one does not take
** the copy for newer. */
static void copy_of_what_was_overwritten(void) {
  bc_env merger_env = bc_env_posix;
  bitcask_error e;

  setup();
  CHECK_OK(bitcask_open(dir, &options, &late_writer, &e), &e);
  CHECK_OK(bitcask_put(late_writer, "k", 1, "old", 3, &e), &e);
  CHECK_OK(bitcask_put(late_writer, "dead", 4, "1", 1, &e), &e);
  CHECK_OK(bitcask_delete(late_writer, "dead", 4, &e), &e);
  merger_env.pwritev = overwrite_and_write;
  reader = open_hooked();
  CHECK_OK(bc_open_env(dir, &options, &merger_env, &writer, &e), &e);
  plan = LOOK_AT_WRITE;
  CHECK_OK(merge_all(writer), &e);
  CHECK_EQ(plan, IDLE);
  check_value(reader, "k", "new", 3);
  check_value(writer, "k", "new", 3);
  check_value(late_writer, "k", "new", 3);
  CHECK_OK(bitcask_close(late_writer, &e), &e);
  finish(reader);
}

/* The merger is killed there, and the next merge is that of a process which was there
** all the time: the half stays no place to look for records. */
static void output_half_written_by_the_dead(void) {
  static uint8_t value[VALUE_SZ];
  static const uint32_t ids[] = {3};
  bitcask_merge_options o = {.kind = BITCASK_MERGE_FILES, .file_ids = ids, .n_file_ids = 1};
  bc_env merger_env = bc_env_posix;
  bitcask_error e;
  pid_t pid;

  setup();
  make_trap(value);
  fill_with(value);
  merger_env.pwritev = write_in_two;
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    plan = DIE_AT_WRITE;
    if (!bc_open_env(dir, &options, &merger_env, &reader, &e)) (void)merge_all(reader);
    _exit(1);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  for (int i = 0; i < 2; i++) {
    options.read_only = true; /* or it would mend the file */
    reader = open_hooked();
    options.read_only = false;
    check_value(reader, "victim", "right", 5);
    check_value(reader, "trap", (char *)value, sizeof value);
    check_not_damaged(reader);
    CHECK_OK(bitcask_close(reader, &e), &e);
    if (!i) CHECK_OK(bitcask_merge(writer, &o, NULL, &e), &e);
  }
  finish(open_hooked());
}

/* ------------------------------------------------- the next output, and what is left of it */

static int to_merger[2], to_reader[2];
static pid_t merger_pid;
static unsigned n_outputs;

/* Before the second output is made: somebody has begun to look at the directory. */
static int open_in_turn(void *ctx, const char *path, unsigned flags, int *fd) {
  char c = 0;
  if ((flags & BC_OPEN_EXCLUSIVE) && strstr(path, ".data") && ++n_outputs == 2) {
    if (write(to_reader[1], &c, 1) != 1 || read(to_merger[0], &c, 1) != 1) _exit(2);
    plan = DIE_BEHIND_WRITE;
  }
  return bc_env_posix.open(ctx, path, flags, fd);
}

static int list_when_dead(void *ctx, const char *path, int (*fn)(void *, const char *), void *arg) {
  char c = 0;
  if (plan == LOOK_AT_WRITE) {
    plan = IDLE;
    CHECK_EQ(write(to_merger[1], &c, 1), 1);
    CHECK_EQ(waitpid(merger_pid, NULL, 0), merger_pid);
  }
  return bc_env_posix.list(ctx, path, fn, arg);
}

static int merge_files(bitcask *bc, const uint32_t *ids, size_t n) {
  bitcask_merge_options o = {.kind = BITCASK_MERGE_FILES, .file_ids = ids, .n_file_ids = n};
  bitcask_error e;
  int rc = bitcask_merge(bc, &o, NULL, &e);
  if (rc) fprintf(stderr, "merge: %s\n", e.text);
  return rc;
}

static int write_and_die(void *ctx, int fd, struct iovec *iov, int n, uint64_t offset) {
  int e = bc_env_posix.pwritev(ctx, fd, iov, n, offset);
  if (plan == DIE_BEHIND_WRITE) kill(getpid(), SIGKILL);
  return e;
}

static void merge_and_die(void) {
  static const uint32_t ids[] = {1, 2, 3};
  bc_env dying = bc_env_posix;
  bitcask_error e;

  dying.open = open_in_turn;
  dying.pwritev = write_and_die;
  if (!bc_open_env(dir, &options, &dying, &reader, &e)) (void)merge_files(reader, ids, 3);
  _exit(1);
}

/* A reader has asked how far the outputs of a merge are written; before it lists them the merger
** begins the next one, and is killed.  What he has left there is cut off by the next merge. */
static void output_begun_after_the_look(void) {
  static const uint32_t another[] = {4};
  static char value[3000];
  bitcask_error e;
  char key[8], c;

  for (int mmap = 0; mmap < 2; mmap++) {
    setup();
    options.mmap = mmap;
    options.max_file_size = 8000;
    n_outputs = 0;
    CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
    for (int i = 0; i < 12; i++) {
      size_t n = (size_t)sprintf(key, "k%d", i);
      CHECK_OK(bitcask_put(writer, key, n, value, sizeof value, &e), &e);
    }
    CHECK_EQ(pipe(to_merger) | pipe(to_reader), 0);
    fflush(NULL);
    merger_pid = fork();
    if (!merger_pid) merge_and_die();
    CHECK_EQ(read(to_reader[0], &c, 1), 1);
    plan = LOOK_AT_WRITE;
    env.list = list_when_dead;
    options.read_only = true;
    reader = open_hooked();
    options.read_only = false;
    CHECK_EQ(plan, IDLE);
    CHECK_EQ(merge_files(writer, another, 1), 0);
    for (int i = 0; i < 12; i++) {
      sprintf(key, "k%d", i);
      CHECK_EQ(get(reader, key), BITCASK_OK);
    }
    finish(reader);
    close(to_merger[0]), close(to_merger[1]), close(to_reader[0]), close(to_reader[1]);
  }
}

/* ------------------------------------------------------- an output that grows beside verify */

static sem_t merge_waits, merge_may_go;
static unsigned n_writes;

/* Before the second piece of the output. */
static int write_in_turn(void *ctx, int fd, struct iovec *iov, int n, uint64_t offset) {
  if (plan == GROW_AT_STAT && ++n_writes == 2) {
    sem_post(&merge_waits);
    sem_wait(&merge_may_go);
  }
  return bc_env_posix.pwritev(ctx, fd, iov, n, offset);
}

static int measure_and_let_grow(void *ctx, const char *path, bc_stat *out) {
  int e = bc_env_posix.lstat(ctx, path, out);
  if (plan == GROW_AT_STAT && n_writes == 2 && strstr(path, "/8.bitcask.data")) {
    plan = IDLE;
    sem_post(&merge_may_go);
    CHECK_EQ(pthread_join(thread, NULL), 0);
  }
  return e;
}

static void *merge_two(void *bc) {
  static const uint32_t ids[] = {1, 2};
  CHECK_EQ(merge_files(bc, ids, 2), 0);
  return NULL;
}

/* It is longer than it was when it was measured: nobody has cut it. */
static void verify_beside_an_output_that_grows(void) {
  static char value[3000];
  uint64_t n_problems = 1;
  bitcask_error e;
  char key[8];

  setup();
  options.max_file_size = 8000;
  env.pwritev = write_in_turn;
  env.lstat = measure_and_let_grow;
  sem_init(&merge_waits, 0, 0);
  sem_init(&merge_may_go, 0, 0);
  n_writes = 0;
  reader = open_hooked();
  for (int i = 0; i < 13; i++) {
    size_t n = (size_t)sprintf(key, "k%d", i % 12); /* of file 1 one record is live */
    CHECK_OK(bitcask_put(reader, key, n, value, sizeof value, &e), &e);
  }
  plan = GROW_AT_STAT;
  CHECK_EQ(pthread_create(&thread, NULL, merge_two, reader), 0);
  sem_wait(&merge_waits);
  CHECK_OK(bitcask_verify_structure(reader, NULL, NULL, NULL, &n_problems, &e), &e);
  CHECK_EQ(plan, IDLE);
  CHECK_EQ(n_problems, 0);
  finish(reader);
}

/* ------------------------------------------- the torn end of an output, while it is read */

static bool starts_anew;

/* A merge, or a writer that starts, cuts it off. */
static void *cut_outputs(void *arg) {
  static const uint32_t ids[] = {3};
  bitcask_options o = options;
  bitcask_error e;
  bitcask *bc;
  (void)arg;
  if (!starts_anew) {
    CHECK_EQ(merge_files(writer, ids, 1), 0);
    return NULL;
  }
  o.read_only = false;
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  CHECK_OK(bitcask_put(bc, "n", 1, "v", 1, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  return NULL;
}

static int open_beside_cut(void *ctx, const char *path, unsigned flags, int *fd) {
  if (plan == MERGE_AT_OPEN && flags == BC_OPEN_READ && strstr(path, "/4.bitcask.data")) {
    plan = IDLE;
    CHECK_EQ(pthread_create(&thread, NULL, cut_outputs, NULL), 0);
    usleep(100000);
  }
  return bc_env_posix.open(ctx, path, flags, fd);
}

/* The reader has measured what a dead merger has left, and then it is cut off. */
static void torn_output_is_cut_beside_a_reader(void) {
  static uint8_t value[VALUE_SZ];
  bc_env merger_env = bc_env_posix;
  bitcask_error e;

  merger_env.pwritev = write_in_two;
  for (int i = 0; i < 4; i++) {
    setup();
    options.mmap = i % 2;
    starts_anew = i / 2;
    memset(value, 'x', sizeof value);
    fill_with(value);
    fflush(NULL);
    merger_pid = fork();
    if (!merger_pid) {
      plan = DIE_AT_WRITE;
      if (!bc_open_env(dir, &options, &merger_env, &reader, &e)) (void)merge_all(reader);
      _exit(1);
    }
    CHECK_EQ(waitpid(merger_pid, NULL, 0), merger_pid);
    env.open = open_beside_cut;
    plan = MERGE_AT_OPEN;
    options.read_only = true;
    reader = open_hooked();
    options.read_only = false;
    CHECK_EQ(plan, IDLE);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    check_value(reader, "victim", "right", 5);
    check_not_damaged(reader);
    finish(reader);
  }
}

/* ------------------------------------------------------- what a dead writer has left */

/* Killed between the append of a transaction and its commit point. */
static void leave_ghost(void) {
  bc_env dying = bc_env_posix;
  bitcask_error e;
  bitcask *bc;
  pid_t pid;

  dying.pwritev = write_and_die;
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    if (!bc_open_env(dir, &options, &dying, &bc, &e) && !bitcask_put(bc, "k", 1, "v", 1, &e)) {
      plan = DIE_BEHIND_WRITE;
      (void)bitcask_put(bc, "ghost", 5, "boo", 3, &e);
    }
    _exit(1);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

static bc_env looker;

/* By a handle of its own; arg: its rc. */
static void *open_and_look(void *arg) {
  bitcask_options o = options;
  bitcask_error e;
  bitcask *bc;

  o.read_only = true;
  *(int *)arg = bc_open_env(dir, &o, &looker, &bc, &e);
  if (*(int *)arg) return NULL;
  *(int *)arg = get(bc, "ghost");
  CHECK_OK(bitcask_close(bc, &e), &e);
  return NULL;
}

static int rc_beside;
static bool is_beside;

/* The successor has just got the write lock. */
static int lock_and_let_look(void *ctx, int fd, uint64_t pos, bc_lock_kind kind) {
  int e = bc_env_posix.lock(ctx, fd, pos, kind);
  if (plan == LOOK_AT_RECOVERY && !e && !pos && kind == BC_LOCK_EXCLUSIVE) {
    plan = IDLE;
    is_beside = true;
    CHECK_EQ(pthread_create(&thread, NULL, open_and_look, &rc_beside), 0);
    usleep(50000);
  }
  return e;
}

/* ... and has been admitted, and is about to take in what is there. */
static int list_slowly_beside(void *ctx, const char *path, int (*fn)(void *, const char *),
                              void *arg) {
  if (is_beside) usleep(50000);
  return bc_env_posix.list(ctx, path, fn, arg);
}

static void start_looking(void) {
  rc_beside = -1;
  is_beside = false;
  env.lock = lock_and_let_look;
  env.list = list_slowly_beside;
  looker = bc_env_posix;
  plan = LOOK_AT_RECOVERY;
}

static void check_look(void) {
  CHECK(is_beside);
  if (is_beside) CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_EQ(rc_beside, BITCASK_OK);
}

/* Who has read it must not miss it, while a successor is about to take it in; nor does a handle
** that has been there all the time. */
static void what_the_dead_left_stays(void) {
  bitcask_error e;
  bitcask *early;
  int rc = -1;

  setup();
  CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
  CHECK_OK(bitcask_put(writer, "k", 1, "v", 1, &e), &e);
  looker = bc_env_posix;
  early = open_hooked();
  CHECK_EQ(get(early, "k"), BITCASK_OK);
  leave_ghost();
  (void)open_and_look(&rc);
  CHECK_EQ(rc, BITCASK_OK);
  usleep(2000);
  CHECK_EQ(get(early, "ghost"), BITCASK_OK);
  start_looking();
  CHECK_OK(bitcask_put(early, "k2", 2, "v", 1, &e), &e);
  check_look();
  CHECK_EQ(get(writer, "ghost"), BITCASK_OK);
  finish(early);
}

static int another_boot(void *ctx, uint8_t out[16]) {
  int e = bc_env_posix.boot_id(ctx, out);
  out[0] ^= 1;
  return e;
}

static int open_data_slowly(void *ctx, const char *path, unsigned flags, int *fd) {
  if (strstr(path, ".data")) usleep(150000);
  return bc_env_posix.open(ctx, path, flags, fd);
}

/* The machine has booted over a torn tail, and a reader comes while the first writer is about
** to cut it off: he has measured the file before, and reads it after that. */
static void torn_tail_is_cut_beside_a_reader(void) {
  static const char torn[5000] = "no record";
  char path[4096];
  bitcask_error e;
  FILE *f;

  for (int mmap = 0; mmap < 2; mmap++) {
    setup();
    options.mmap = mmap;
    CHECK_OK(bitcask_open(dir, &options, &writer, &e), &e);
    CHECK_OK(bitcask_put(writer, "ghost", 5, "boo", 3, &e), &e);
    CHECK_OK(bitcask_close(writer, &e), &e);
    snprintf(path, sizeof path, "%s/1.bitcask.data", dir);
    f = fopen(path, "a");
    CHECK(f && fwrite(torn, sizeof torn, 1, f) == 1 && !fclose(f));
    start_looking();
    env.boot_id = looker.boot_id = another_boot;
    looker.open = open_data_slowly;
    writer = open_hooked();
    check_look();
    finish(NULL);
  }
}

/* The successor does not get the number of the dead author, who would seem to live again. */
static void the_dead_do_not_live_again(void) {
  setup();
  leave_ghost();
  start_looking();
  writer = open_hooked();
  check_look();
  CHECK_EQ(get(writer, "ghost"), BITCASK_OK);
  finish(NULL);
}

/* ----------------------------------------------------------- an output that is made whole */

static sem_t reader_done;
static _Atomic bool close_is_awaited, size_is_awaited;
static pthread_t merging_thread;
static bitcask *merging;

static void *get_one(void *arg) {
  bitcask_buf buf = {0};
  bitcask_error e;
  (void)arg;
  CHECK_OK(bitcask_get(merging, "key0", 4, &buf, &e), &e);
  bitcask_buf_free(&buf);
  sem_post(&reader_done);
  return NULL;
}

static int close_and_read(void *ctx, int fd) {
  if (close_is_awaited && atomic_load(&merging->stale)) {
    close_is_awaited = false;
    CHECK_EQ(pthread_create(&thread, NULL, get_one, NULL), 0);
    usleep(50000); /* it waits for the lock now */
    size_is_awaited = true;
  }
  return bc_env_posix.close(ctx, fd);
}

static int size_after_reader(void *ctx, int fd, uint64_t *out) {
  if (size_is_awaited && pthread_equal(pthread_self(), merging_thread)) {
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec++;
    if (!sem_timedwait(&reader_done, &until)) size_is_awaited = false; /* unless we hold the lock */
  }
  return bc_env_posix.size(ctx, fd, out);
}

static int list_slowly(void *ctx, const char *path, int (*fn)(void *, const char *), void *arg) {
  if (!pthread_equal(pthread_self(), merging_thread)) usleep(50000);
  return bc_env_posix.list(ctx, path, fn, arg);
}

static void put_filled(int k, char fill) {
  char key[16], value[1000];
  bitcask_error e;
  size_t n = (size_t)sprintf(key, "key%d", k);
  memset(value, fill, sizeof value);
  CHECK_OK(bitcask_put(merging, key, n, value, sizeof value, &e), &e);
}

/* A reader comes while a new merge catches up, makes a catch-up of its own, and closes the
** descriptor of the output that the last merge has left: while that is made whole. */
static void output_is_settled_while_made_whole(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e;
  bc_session s = {0};

  setup();
  options.auto_merge = false;
  options.max_file_size = 64 << 10;
  env.close = close_and_read;
  env.size = size_after_reader;
  env.list = list_slowly;
  merging_thread = pthread_self();
  sem_init(&reader_done, 0, 0);
  CHECK_OK(bc_open_env(dir, &options, &env, &merging, &e), &e);
  for (int k = 0; k < 60; k++) put_filled(k, 'a');
  for (int k = 12; k < 60; k++) put_filled(k, 'b');
  merging->opt.auto_merge = true;
  for (int i = 0; i < 100 && !s.end; i++) {
    merging->seals_next = true;
    bc_state_pay_debt(&merging->state, UINT64_MAX);
    bc_upkeep(merging, options.max_file_size / 16, 0);
    (void)bc_state_session(&merging->state, &s);
  }
  CHECK(s.end > 0);
  merging->opt.auto_merge = false;
  put_filled(60, 'c'); /* the file above the output */
  close_is_awaited = true;
  CHECK_OK(bitcask_merge(merging, &all, NULL, &e), &e);
  CHECK(!close_is_awaited && !size_is_awaited);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  finish(merging);
}

int main(void) {
  RUN(no_dirty_read_of_the_first_writer);
  RUN(no_read_behind_a_rollback);
  RUN(child_cannot_end_the_transaction);
  RUN(sync_covers_files_not_seen_yet);
  RUN(sync_beside_a_merge);
  RUN(reload_during_a_transaction);
  RUN(deleted_and_merged_while_asleep);
  RUN(written_by_both);
  RUN(first_put_beside_a_get);
  RUN(readers_do_not_starve_a_writer);
  RUN(verify_beside_a_removal);
  RUN(verify_after_a_killed_removal);
  RUN(verify_tells_of_a_file_removed_beside_a_merge);
  RUN(removal_of_a_file_that_has_grown);
  RUN(output_half_written);
  RUN(copy_of_what_was_overwritten);
  RUN(output_half_written_by_the_dead);
  RUN(output_is_settled_while_made_whole);
  RUN(output_begun_after_the_look);
  RUN(verify_beside_an_output_that_grows);
  RUN(torn_output_is_cut_beside_a_reader);
  RUN(what_the_dead_left_stays);
  RUN(torn_tail_is_cut_beside_a_reader);
  RUN(the_dead_do_not_live_again);
  return test_done();
}
