/*
** test_processes.c - several processes in one directory, and processes that are
** killed.
**
** The program runs itself: with arguments it is one of the other processes.  What
** a process that gets killed has begun and what was acknowledged to it stands in
** memory that it shares with the test.
*/
#include "test.h"

#include "bitcask.h"
#include "memenv_int.h"
#include "model.h"
#include "tempdir.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum { N_KEYS = 40, CHILD_OK = 7 };

static char *dir;

/* What the processes tell each other. */
typedef struct shared {
  atomic_ulong begun; /* number of the operation given to the engine */
  atomic_ulong acked; /* and of the last one it acknowledged */
  atomic_uint ready;
  atomic_uint stop;
  atomic_uint failed;
  atomic_ulong seen;
} shared;

static shared *sh;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void share(const char *path, bool create) {
  int fd = open(path, create ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR, 0600);

  if (fd < 0 || (create && ftruncate(fd, sizeof *sh))) abort();
  sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (sh == MAP_FAILED) abort();
  close(fd);
}

static bitcask *open_merging(bitcask_sync_mode sync, int timeout_ms, bool auto_merge) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_error e;

  bitcask_options_init(&o);
  o.auto_merge = auto_merge;
  o.sync = sync;
  o.timeout_ms = timeout_ms;
  o.max_file_size = 4000;
  if (bitcask_open(dir, &o, &bc, &e)) {
    fprintf(stderr, "open: %s\n", e.text);
    return NULL;
  }
  return bc;
}

static bitcask *open_dir(bitcask_sync_mode sync, int timeout_ms) {
  return open_merging(sync, timeout_ms, false);
}

/* Starts this program in another part; waits until it says that it is ready. */
static pid_t start(const char *part, const char *arg) {
  pid_t pid;

  atomic_store(&sh->ready, 0);
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "test_processes", part, dir, arg, (char *)NULL);
    _exit(99);
  }
  for (double end = now() + 20; !atomic_load(&sh->ready) && now() < end;) usleep(50);
  if (!atomic_load(&sh->ready)) TEST_FAIL("'%s' does not start", part);
  return pid;
}

static void expect_exit(pid_t pid) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK_EQ(WIFEXITED(status) ? WEXITSTATUS(status) : 1000 + WTERMSIG(status), CHILD_OK);
}

static void expect_kill(pid_t pid) {
  int status = 0;
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static const char *shared_path(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%s-shared", dir);
  return path;
}

static void setup(void) {
  dir = tempdir_make();
  share(shared_path(), true);
}

static void teardown(void) {
  CHECK_EQ(unlink(shared_path()), 0);
  munmap(sh, sizeof *sh);
  tempdir_remove(dir);
}

/* ------------------------------------------------------------------- kill -9 */

/* Operation number n, which follows from n alone: one transaction. */
typedef struct change {
  char key[16];
  size_t key_sz;
  char value[600];
  size_t value_sz;
  bool is_delete;
} change;

static size_t changes_of(unsigned long n, change out[6]) {
  uint64_t s = n;
  size_t k = mem_random(&s) % 3 ? 1 : 1 + mem_random(&s) % 6;

  for (size_t i = 0; i < k; i++) {
    out[i].key_sz = (size_t)sprintf(out[i].key, "key%u", (unsigned)(mem_random(&s) % N_KEYS));
    out[i].is_delete = mem_random(&s) % 4 == 0;
    out[i].value_sz = (size_t)sprintf(out[i].value, "%lu.%zu ", n, i);
    memset(out[i].value + out[i].value_sz, 'v', 500);
    out[i].value_sz += mem_random(&s) % 500;
  }
  return k;
}

static void apply(model *m, unsigned long n) {
  change c[6];
  size_t k = changes_of(n, c);

  for (size_t i = 0; i < k; i++) {
    if (c[i].is_delete)
      model_delete(m, c[i].key, c[i].key_sz);
    else
      model_put(m, c[i].key, c[i].key_sz, c[i].value, c[i].value_sz, 0);
  }
}

static int write_changes(bitcask *bc, unsigned long n, bitcask_error *e) {
  change c[6];
  size_t k = changes_of(n, c);
  bitcask_txn *txn;
  int rc;

  if (k == 1 && c[0].is_delete) return bitcask_delete(bc, c[0].key, c[0].key_sz, e);
  if (k == 1) return bitcask_put(bc, c[0].key, c[0].key_sz, c[0].value, c[0].value_sz, e);
  if ((rc = bitcask_begin(bc, 0, &txn, e))) return rc;
  for (size_t i = 0; i < k && !rc; i++) {
    rc = c[i].is_delete ? bitcask_txn_delete(txn, c[i].key, c[i].key_sz, e)
                        : bitcask_txn_put(txn, c[i].key, c[i].key_sz, c[i].value, c[i].value_sz, e);
  }
  if (!rc) rc = bitcask_txn_prepare(txn, e);
  if (rc)
    bitcask_txn_rollback(txn);
  else
    bitcask_txn_publish(txn);
  return rc;
}

/* Writes until it is killed.  The mode is that of sync; with 3 added, it merges by
** itself. */
static int part_victim(const char *mode) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e;
  bitcask *bc;
  bitcask_sync_mode sync = (bitcask_sync_mode)(atoi(mode) % 3);
  bool auto_merge = atoi(mode) >= 3;

  atomic_store(&sh->ready, 1);
  bc = open_merging(sync, 0, auto_merge);
  for (unsigned long n = atomic_load(&sh->acked) + 1; bc; n++) {
    int rc;
    atomic_store(&sh->begun, n);
    if ((rc = write_changes(bc, n, &e))) break;
    atomic_store(&sh->acked, n);
    if (n % (auto_merge ? 211 : 23) == 0 && (rc = bitcask_merge(bc, &all, NULL, &e))) break;
    if (n % 71 == 0) {
      if (bitcask_close(bc, &e)) break;
      if (!(bc = open_merging(sync, 0, auto_merge))) return 1;
    }
  }
  fprintf(stderr, "the victim: %s\n", e.text);
  return 1;
}

static void read_all(bitcask *bc, model *out) {
  bitcask_snapshot *snap = NULL;
  bitcask_error e = {0};
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  if (!snap) return;
  bad = model_read(out, snap);
  if (bad) TEST_FAIL("reading after the kill: %s", bad);
  bitcask_snapshot_close(snap);
}

/* After a kill: all that was acknowledged, and the one in flight or not. */
static void check_survivors(model *want, unsigned long *n_applied, uint64_t seed) {
  bitcask *bc = open_dir(BITCASK_SYNC_FULL, 0);
  bitcask_error e = {0};
  model got = {0};

  while (*n_applied < atomic_load(&sh->acked)) apply(want, ++*n_applied);
  if (!bc) {
    TEST_FAIL("the directory does not open after a kill");
    return;
  }
  read_all(bc, &got);
  if (!model_equal(want, &got) && atomic_load(&sh->begun) > *n_applied) {
    apply(want, ++*n_applied);
    atomic_store(&sh->acked, *n_applied);
  }
  if (!model_equal(want, &got)) {
    TEST_FAIL("SEED=%" PRIu64 ": after operation %lu something else is there", seed, *n_applied);
    model_print_diff(want, &got);
  }
  /* No lock is left behind: a write works at once. */
  CHECK_OK(bitcask_put(bc, "probe", 5, "p", 1, &e), &e);
  CHECK_OK(bitcask_delete(bc, "probe", 5, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  model_clear(&got);
}

static void nothing_is_lost_by_kill(void) {
  const char *s = getenv("SEED"), *k = getenv("KILLS");
  uint64_t seed = s ? strtoull(s, NULL, 10) : (uint64_t)time(NULL), rng = seed;
  unsigned long n_applied = 0;
  int kills = k ? atoi(k) : 100;
  model want = {0};

  setup();
  for (int i = 0; i < kills && !test_bad; i++) {
    char mode[2] = {(char)('0' + i % 6), 0};
    pid_t pid = start("victim", mode);
    usleep((useconds_t)(mem_random(&rng) % 30000));
    expect_kill(pid);
    check_survivors(&want, &n_applied, seed);
  }
  printf("  %d kills, %lu transactions, SEED=%" PRIu64 "\n", kills, n_applied, seed);
  CHECK(n_applied > (unsigned long)kills);
  model_clear(&want);
  teardown();
}

/* ---------------------------------------------------------------- taking turns */

static int add_one(bitcask *bc, bitcask_error *e) {
  bitcask_snapshot *snap = NULL;
  bitcask_txn *txn = NULL;
  bitcask_buf buf = {0};
  bitcask_entry entry;
  unsigned long count = 0;
  char text[24];
  int rc = bitcask_begin(bc, 30000, &txn, e);

  if (!rc) rc = bitcask_snapshot_open(bc, txn, &snap, e);
  if (!rc) {
    rc = bitcask_snapshot_get(snap, "count", 5, &buf, &entry, e);
    if (!rc) count = strtoul((const char *)entry.value, NULL, 10);
    if (rc == BITCASK_NOTFOUND) rc = 0;
  }
  bitcask_snapshot_close(snap);
  if (!rc) {
    size_t n = (size_t)sprintf(text, "%lu", count + 1) + 1; /* with its NUL */
    rc = bitcask_txn_put(txn, "count", 5, text, n, e);
  }
  if (!rc) rc = bitcask_txn_prepare(txn, e);
  if (!rc)
    bitcask_txn_publish(txn);
  else
    bitcask_txn_rollback(txn);
  bitcask_buf_free(&buf);
  return rc;
}

static int part_adder(const char *times) {
  bitcask *bc = open_merging(BITCASK_SYNC_OFF, 30000, strchr(times, 'm') != NULL);
  bitcask_error e;

  atomic_store(&sh->ready, 1);
  for (int i = atoi(times); bc && i > 0; i--) {
    if (add_one(bc, &e)) {
      fprintf(stderr, "an adder: %s\n", e.text);
      return 1;
    }
  }
  return bc && !bitcask_close(bc, &e) ? CHILD_OK : 1;
}

static void writers_take_turns(void) {
  pid_t pids[4];
  bitcask *bc;
  bitcask_buf buf = {0};
  bitcask_error e = {0};

  setup();
  for (int i = 0; i < 4; i++) pids[i] = start("adder", i % 2 ? "100" : "100 m");
  for (int i = 0; i < 4; i++) expect_exit(pids[i]);
  bc = open_dir(BITCASK_SYNC_FULL, 0);
  CHECK_OK(bitcask_get(bc, "count", 5, &buf, &e), &e);
  CHECK_MEM(buf.data, buf.size, "400", 4);
  bitcask_buf_free(&buf);
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

/* -------------------------------------------------------------- a held lock */

static int part_holder(const char *prepares) {
  bitcask *bc = open_dir(BITCASK_SYNC_FULL, 0);
  bitcask_txn *txn;
  bitcask_error e = {0};

  if (!bc || bitcask_begin(bc, 0, &txn, &e) || bitcask_txn_put(txn, "k", 1, "never", 5, &e) ||
      (*prepares && bitcask_txn_prepare(txn, &e))) {
    fprintf(stderr, "the holder: %s\n", e.text);
    _exit(1);
  }
  atomic_store(&sh->ready, 1);
  for (;;) pause();
}

static void holder_killed(const char *prepares) {
  bitcask_error e = {0};
  bitcask_txn *txn = NULL;
  bitcask *bc;
  bitcask_buf buf = {0};
  double t;
  pid_t pid;

  setup();
  bc = open_dir(BITCASK_SYNC_FULL, 0);
  CHECK_OK(bitcask_put(bc, "k", 1, "before", 6, &e), &e);
  pid = start("holder", prepares);
  /* One that is prepared is about to end, and is given a second. */
  t = now();
  CHECK_RC(bitcask_begin(bc, 0, &txn, &e), BITCASK_BUSY, &e);
  CHECK(*prepares ? now() - t > 0.9 && now() - t < 3 : now() - t < 0.5);
  t = now();
  CHECK_RC(bitcask_begin(bc, 300, &txn, &e), BITCASK_BUSY, &e);
  CHECK(now() - t > 0.29 && now() - t < 3);
  CHECK_RC(bitcask_put(bc, "k", 1, "x", 1, &e), BITCASK_BUSY, &e);
  CHECK_OK(bitcask_get(bc, "k", 1, &buf, &e), &e); /* prepared is not published */
  CHECK_MEM(buf.data, buf.size, "before", 6);
  expect_kill(pid);
  t = now();
  CHECK_OK(bitcask_put(bc, "other", 5, "at once", 7, &e), &e);
  CHECK(now() - t < 0.5);
  CHECK_OK(bitcask_get(bc, "other", 5, &buf, &e), &e);
  CHECK_MEM(buf.data, buf.size, "at once", 7);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&buf);
  teardown();
}

static void killed_holder_does_not_block(void) {
  holder_killed("");
  holder_killed("prepared");
}

/* ------------------------------------------------------------- one that leaves */

/* Writes, closes when it is told to, and lives on. */
static int part_leaver(const char *arg) {
  bitcask *bc = open_dir(BITCASK_SYNC_FULL, 0);
  bitcask_error e = {0};
  (void)arg;

  if (!bc || bitcask_put(bc, "k", 1, "leaver", 6, &e)) {
    fprintf(stderr, "the leaver: %s\n", e.text);
    _exit(1);
  }
  atomic_store(&sh->ready, 1);
  while (!atomic_load(&sh->stop)) usleep(100);
  if (bitcask_close(bc, &e)) atomic_store(&sh->failed, 1);
  atomic_store(&sh->seen, 1);
  for (;;) pause();
}

/* The lock files named the one that closed: nobody may take it for a writer of the
** reference because its process is alive. */
static void closed_writer_does_not_block(void) {
  bitcask_error e = {0};
  bitcask *bc;
  pid_t pid;

  setup();
  pid = start("leaver", "");
  bc = open_dir(BITCASK_SYNC_FULL, 0);
  CHECK_OK(bitcask_put(bc, "k", 1, "second", 6, &e), &e);
  atomic_store(&sh->stop, 1);
  for (double end = now() + 20; !atomic_load(&sh->seen) && now() < end;) usleep(100);
  CHECK_EQ(atomic_load(&sh->seen), 1);
  CHECK_EQ(atomic_load(&sh->failed), 0);
  CHECK_OK(bitcask_put(bc, "k", 1, "third", 5, &e), &e);
  expect_kill(pid);
  CHECK_OK(bitcask_put(bc, "k", 1, "fourth", 6, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

/* ------------------------------------------------------------------- followers */

/* A reader in another process: what the writer acknowledged is there at once, by
** get and in every key of a snapshot, and no read ever fails. */
static int follow(bitcask *bc, unsigned long *last, bitcask_error *e) {
  bitcask_buf buf = {0};
  unsigned long least = atomic_load(&sh->acked), seen = 0;
  bitcask_iter *it = NULL;
  bitcask_snapshot *snap = NULL;
  bitcask_entry entry;
  int n = 0, rc = bitcask_get(bc, "count", 5, &buf, e);

  if (!rc) seen = strtoul((const char *)buf.data, NULL, 10);
  if (!rc && (seen < least || seen < *last)) {
    snprintf(e->text, sizeof e->text, "saw %lu, not %lu (and %lu before)", seen, least, *last);
    rc = -1;
  }
  *last = seen;
  if (!rc) rc = bitcask_snapshot_open(bc, NULL, &snap, e);
  if (!rc) rc = bitcask_iter_open(snap, BITCASK_VALUES, &it, e);
  while (!rc && !(rc = bitcask_iter_next(it, &entry, e))) n++;
  if (rc == BITCASK_NOTFOUND) rc = 0;
  if (!rc && n != N_KEYS + 1) {
    snprintf(e->text, sizeof e->text, "%d keys, not %d", n, N_KEYS + 1);
    rc = -1;
  }
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
  bitcask_buf_free(&buf);
  return rc;
}

static int part_follower(const char *arg) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_error e = {0};
  unsigned long last = 0;
  int rc;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = arg[0] == 'r';
  rc = bitcask_open(dir, &o, &bc, &e);
  atomic_store(&sh->ready, 1);
  while (!rc && !atomic_load(&sh->stop)) {
    rc = follow(bc, &last, &e);
    atomic_fetch_add(&sh->seen, 1);
  }
  if (!rc) rc = bitcask_close(bc, &e);
  if (rc) {
    atomic_fetch_add(&sh->failed, 1);
    fprintf(stderr, "a follower: %s\n", e.text);
  }
  return rc ? 1 : CHILD_OK;
}

/* By bitcask_merge, unless the handle does so by itself. */
static void write_and_merge(bitcask *bc, double seconds, bool auto_merge) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e = {0};
  double end = now() + seconds;
  char text[24], key[16];

  for (unsigned long n = 2; now() < end && !atomic_load(&sh->failed) && !test_bad; n++) {
    size_t k = (size_t)sprintf(text, "%lu", n) + 1;
    CHECK_OK(bitcask_put(bc, "count", 5, text, k, &e), &e);
    atomic_store(&sh->acked, n);
    CHECK_OK(bitcask_put(bc, key, (size_t)sprintf(key, "key%lu", n % N_KEYS), text, k, &e), &e);
    if (n % 20 == 0 && !auto_merge) CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  }
}

static void run_followers(bool auto_merge) {
  static const char *const kinds[] = {"r", "w", "r", "w"};
  pid_t pids[4];
  bitcask *bc;
  bitcask_error e = {0};
  char key[16];

  setup();
  bc = open_merging(BITCASK_SYNC_OFF, 10000, auto_merge);
  for (unsigned i = 0; i < N_KEYS; i++) {
    size_t n = (size_t)sprintf(key, "key%u", i);
    CHECK_OK(bitcask_put(bc, key, n, "start", 5, &e), &e);
  }
  CHECK_OK(bitcask_put(bc, "count", 5, "1", 2, &e), &e);
  for (int i = 0; i < 4; i++) pids[i] = start("follower", kinds[i]);
  write_and_merge(bc, 2, auto_merge);
  atomic_store(&sh->stop, 1);
  for (int i = 0; i < 4; i++) expect_exit(pids[i]);
  CHECK_EQ(atomic_load(&sh->failed), 0);
  printf("  %lu writes, %lu reads by others\n", atomic_load(&sh->acked), atomic_load(&sh->seen));
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

static void readers_follow_writes_and_merges(void) { run_followers(false); }
static void readers_follow_one_that_merges_by_itself(void) { run_followers(true); }

/* ------------------------------------------------------------------------ fork */

/* In a forked child every call on the parent's handle is refused. */
static int use_in_child(bitcask *bc, bitcask_txn *txn) {
  bitcask_buf buf = {0};
  bitcask_snapshot *snap = NULL;
  bitcask_txn *second = NULL;
  bitcask_error e;
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};

  if (bitcask_get(bc, "k", 1, &buf, &e) != BITCASK_INVALID) return 1;
  if (bitcask_put(bc, "k", 1, "child", 5, &e) != BITCASK_INVALID) return 2;
  if (bitcask_delete(bc, "k", 1, &e) != BITCASK_INVALID) return 3;
  if (bitcask_begin(bc, 0, &second, &e) != BITCASK_INVALID) return 4;
  if (bitcask_snapshot_open(bc, NULL, &snap, &e) != BITCASK_INVALID) return 5;
  if (bitcask_merge(bc, &all, NULL, &e) != BITCASK_INVALID) return 6;
  if (bitcask_sync(bc, &e) != BITCASK_INVALID) return 8;
  if (bitcask_refresh(bc, &e) != BITCASK_INVALID) return 9;
  if (bitcask_txn_put(txn, "k", 1, "child", 5, &e) != BITCASK_INVALID) return 10;
  if (bitcask_txn_prepare(txn, &e) != BITCASK_INVALID) return 11;
  if (bitcask_close(bc, &e) != BITCASK_INVALID) return 12;
  return CHILD_OK;
}

static void forked_child_is_refused(void) {
  bitcask_error e = {0};
  bitcask_txn *txn = NULL;
  bitcask_buf buf = {0};
  bitcask *bc;
  pid_t pid;

  setup();
  bc = open_dir(BITCASK_SYNC_FULL, 0);
  CHECK_OK(bitcask_put(bc, "k", 1, "parent", 6, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  fflush(NULL);
  pid = fork();
  if (pid == 0) _exit(use_in_child(bc, txn));
  expect_exit(pid);
  /* The parent's lock is still the parent's, and its transaction goes on. */
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "parent again", 12, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_get(bc, "k", 1, &buf, &e), &e);
  CHECK_MEM(buf.data, buf.size, "parent again", 12);
  bitcask_buf_free(&buf);
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

static int run_part(char **argv) {
  dir = argv[2];
  share(shared_path(), false);
  if (!strcmp(argv[1], "victim")) return part_victim(argv[3]);
  if (!strcmp(argv[1], "adder")) return part_adder(argv[3]);
  if (!strcmp(argv[1], "holder")) return part_holder(argv[3]);
  if (!strcmp(argv[1], "leaver")) return part_leaver(argv[3]);
  if (!strcmp(argv[1], "follower")) return part_follower(argv[3]);
  return 98;
}

int main(int argc, char **argv) {
  if (argc == 4) return run_part(argv);
  RUN(nothing_is_lost_by_kill);
  RUN(writers_take_turns);
  RUN(killed_holder_does_not_block);
  RUN(closed_writer_does_not_block);
  RUN(readers_follow_writes_and_merges);
  RUN(readers_follow_one_that_merges_by_itself);
  RUN(forked_child_is_refused);
  return test_done();
}
