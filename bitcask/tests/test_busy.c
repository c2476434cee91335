/*
** test_busy.c - BITCASK_BUSY means that the transaction of another writer is open, and
** nothing else; and no lock outlives its owner.
**
** The program runs itself: with arguments it is one of the other processes.
*/
#include <dirent.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

#include "bitcask.h"
#include "engine.h"
#include "format.h"
#include "lock.h"
#include "store.h"
#include "tempdir.h"
#include "test.h"

enum { N_PUTS = 100000, CHILD_OK = 7 };

static char *dir;

/* What the processes tell each other. */
typedef struct shared {
  atomic_uint ready;
  atomic_uint stop;
  atomic_ulong rounds;
} shared;

static shared *sh;

static const char *shared_path(void) {
  static char path[4096];
  snprintf(path, sizeof path, "%s-shared", dir);
  return path;
}

static void share(bool create) {
  int fd = open(shared_path(), create ? O_RDWR | O_CREAT | O_TRUNC : O_RDWR, 0600);

  if (fd < 0 || (create && ftruncate(fd, sizeof *sh))) abort();
  sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
  if (sh == MAP_FAILED) abort();
  close(fd);
}

static void setup(void) {
  dir = tempdir_make();
  share(true);
}

static void teardown(void) {
  CHECK_EQ(unlink(shared_path()), 0);
  munmap(sh, sizeof *sh);
  tempdir_remove(dir);
}

static bitcask *open_with(const bc_env *env, bool read_only) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_error e;

  bitcask_options_init(&o);
  o.sync = BITCASK_SYNC_OFF;
  o.max_file_size = 1000000;
  o.read_only = read_only;
  if (bc_open_env(dir, &o, env, &bc, &e)) TEST_FAIL("open: %s", e.text);
  return bc;
}

static bitcask *open_dir(void) { return open_with(&bc_env_posix, false); }

static bool wait_until_ready(void) {
  for (int i = 0; i < 400000 && !atomic_load(&sh->ready); i++) usleep(50);
  return atomic_load(&sh->ready);
}

static pid_t start(const char *part) {
  pid_t pid;

  atomic_store(&sh->ready, 0);
  atomic_store(&sh->stop, 0);
  atomic_store(&sh->rounds, 0);
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    execl("/proc/self/exe", "test_busy", part, dir, (char *)NULL);
    _exit(99);
  }
  if (!wait_until_ready()) TEST_FAIL("'%s' does not start", part);
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

/* ------------------------------------------------------------ beside a busy writer */

static int count_one(void *ctx, const bitcask_entry *entry) {
  (void)entry;
  ++*(unsigned *)ctx;
  return 0;
}

static void remove_backup(const char *path) {
  char name[4200];
  DIR *d = opendir(path);
  struct dirent *entry;

  while (d && (entry = readdir(d))) {
    snprintf(name, sizeof name, "%s/%s", path, entry->d_name);
    (void)unlink(name);
  }
  if (d) closedir(d);
  (void)rmdir(path);
}

static int backup(bitcask *bc, bitcask_error *e) {
  char path[4096];
  int rc;

  snprintf(path, sizeof path, "%s-backup", dir);
  remove_backup(path);
  rc = bitcask_backup(bc, path, NULL, NULL, NULL, e);
  remove_backup(path);
  return rc;
}

/* Open, read, close. */
static int visit(bitcask_error *e) {
  bitcask *bc = open_dir();
  bitcask_buf value = {0};
  int rc = bitcask_get(bc, "k", 1, &value, e);

  bitcask_buf_free(&value);
  return rc ? rc : bitcask_close(bc, e);
}

static int do_once(bitcask *bc, const char *what, bitcask_error *e) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  unsigned n = 0;
  uint64_t n_problems;
  int rc;

  if (!strcmp(what, "visit")) return visit(e);
  if (!strcmp(what, "sync")) return bitcask_sync(bc, e);
  if (!strcmp(what, "read")) return bitcask_fold(bc, count_one, &n, e);
  if (!strcmp(what, "backup")) return backup(bc, e);
  if (!strcmp(what, "verify")) return bitcask_verify(bc, NULL, NULL, NULL, &n_problems, e);
  rc = bitcask_merge(bc, &all, NULL, e);
  /* Beside a merge that the writer makes by itself, or beside its transaction. */
  return rc == BITCASK_BUSY ? BITCASK_OK : rc;
}

static int repeat(bitcask *bc, const char *what) {
  bitcask_error e = {0};

  while (!atomic_load(&sh->stop)) {
    if (do_once(bc, what, &e)) {
      fprintf(stderr, "%s: %s\n", what, e.text);
      return 1;
    }
    atomic_fetch_add(&sh->rounds, 1);
    atomic_store(&sh->ready, 1);
  }
  return CHILD_OK;
}

static int part_neighbour(const char *what) {
  bitcask *bc = open_dir();
  bitcask_error e;
  int rc = repeat(bc, what);
  return bitcask_close(bc, &e) ? 1 : rc;
}

static void *neighbour_thread(void *arg) {
  void **a = arg;
  if (repeat(a[0], a[1]) != CHILD_OK) a[0] = NULL;
  return NULL;
}

/* A timeout of 0, so that each refusal is seen. */
static void put_many(bitcask *bc, const char *beside) {
  unsigned n_busy = 0;
  bitcask_error e = {0};
  char key[16];

  for (unsigned i = 0; i < N_PUTS && !test_bad; i++) {
    size_t n = (size_t)snprintf(key, sizeof key, "%u", i % 1000);
    int rc = bitcask_put(bc, key, n, "a value", 7, &e);
    n_busy += rc == BITCASK_BUSY;
    if (rc && rc != BITCASK_BUSY) TEST_FAIL("beside %s: %s", beside, e.text);
  }
  if (n_busy) TEST_FAIL("beside %s: busy %u times: %s", beside, n_busy, e.text);
  printf("  %d puts beside %lu times %s\n", N_PUTS, atomic_load(&sh->rounds), beside);
}

static const char *const NEIGHBOURS[] = {"visit", "sync", "merge", "read", "backup", "verify"};
enum { N_NEIGHBOURS = sizeof NEIGHBOURS / sizeof *NEIGHBOURS };

static void nobody_is_busy_beside_another_process(void) {
  for (int i = 0; i < N_NEIGHBOURS && !test_bad; i++) {
    bitcask_error e;
    bitcask *bc;
    pid_t pid;

    setup();
    bc = open_dir();
    CHECK_OK(bitcask_put(bc, "k", 1, "v", 1, &e), &e);
    pid = start(NEIGHBOURS[i]);
    put_many(bc, NEIGHBOURS[i]);
    atomic_store(&sh->stop, 1);
    expect_exit(pid);
    CHECK_OK(bitcask_close(bc, &e), &e);
    teardown();
  }
}

/* By the same handle, and by another one of the same process. */
static void nobody_is_busy_beside_another_thread(void) {
  for (int i = 0; i < 2 * N_NEIGHBOURS && !test_bad; i++) {
    const char *what = NEIGHBOURS[i / 2];
    bitcask_error e;
    pthread_t thread;
    bitcask *bc, *other;
    void *arg[2];

    setup();
    bc = open_dir();
    CHECK_OK(bitcask_put(bc, "k", 1, "v", 1, &e), &e);
    other = i % 2 ? open_dir() : bc;
    arg[0] = other;
    arg[1] = (void *)(uintptr_t)what;
    CHECK_EQ(pthread_create(&thread, NULL, neighbour_thread, arg), 0);
    CHECK(wait_until_ready());
    put_many(bc, what);
    atomic_store(&sh->stop, 1);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(arg[0] != NULL);
    if (other != bc) CHECK_OK(bitcask_close(other, &e), &e);
    CHECK_OK(bitcask_close(bc, &e), &e);
    teardown();
  }
}

/* ----------------------------------------------- one that holds the lock for a moment */

static bc_env env; /* bc_env_posix with hooks */

/* A sync that hangs, with the write lock. */
static int hang(void *ctx, int fd) {
  (void)ctx;
  (void)fd;
  atomic_store(&sh->ready, 1);
  for (;;) pause();
  return 0;
}

static int part_hanging(void) {
  bitcask_error e;

  env = bc_env_posix;
  env.fdatasync = hang;
  (void)bitcask_sync(open_with(&env, false), &e);
  return 1;
}

typedef struct late_put {
  bitcask *bc;
  atomic_bool done;
  int rc;
  bitcask_error e;
} late_put;

static void *put_late(void *arg) {
  late_put *p = arg;
  p->rc = bitcask_put(p->bc, "late", 4, "v", 1, &p->e);
  atomic_store(&p->done, true);
  return NULL;
}

static int stop_waiting(void *ctx) {
  ++*(unsigned *)ctx;
  return 1;
}

static void a_moment_is_waited_for_until_its_owner_is_killed(void) {
  bitcask_error e = {0};
  late_put put = {0};
  unsigned n_asked = 0;
  bitcask_wait wait = {0, stop_waiting, &n_asked};
  bitcask_txn *txn;
  pthread_t thread;
  pid_t pid;

  setup();
  put.bc = open_dir();
  CHECK_OK(bitcask_put(put.bc, "k", 1, "v", 1, &e), &e);
  pid = start("hanging");
  /* It can be interrupted ... */
  CHECK_RC(bitcask_begin_wait(put.bc, &wait, &txn, &e), BITCASK_INTERRUPT, &e);
  CHECK_EQ(n_asked, 1);
  /* ... and no timeout ends it. */
  CHECK_EQ(pthread_create(&thread, NULL, put_late, &put), 0);
  usleep(300000);
  CHECK(!atomic_load(&put.done));
  expect_kill(pid);
  CHECK_EQ(pthread_join(thread, NULL), 0);
  CHECK_OK(put.rc, &put.e);
  CHECK_OK(bitcask_close(put.bc, &e), &e);
  teardown();
}

/* ------------------------------------------------------------------ who only reads */

static unsigned n_locks;

static int count_lock(void *ctx, int fd, uint64_t pos, bc_lock_kind kind) {
  n_locks += kind != BC_UNLOCK;
  return bc_env_posix.lock(ctx, fd, pos, kind);
}

static int another_boot(void *ctx, uint8_t out[16]) {
  (void)ctx;
  memset(out, 'b', 16);
  return 0;
}

static void read_once(const bc_env *with, bool read_only) {
  bitcask *bc = open_with(with, read_only);
  bitcask_buf value = {0};
  bitcask_error e;

  CHECK_OK(bitcask_get(bc, "k", 1, &value, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
}

/* After a close, in this boot and in the next. */
static void a_reader_takes_no_lock(void) {
  bitcask_error e;
  bitcask *bc;

  setup();
  bc = open_dir();
  CHECK_OK(bitcask_put(bc, "k", 1, "v", 1, &e), &e);
  env = bc_env_posix;
  env.lock = count_lock;
  n_locks = 0;
  read_once(&env, true);
  read_once(&env, false);
  CHECK_OK(bitcask_close(bc, &e), &e);
  read_once(&env, true);
  read_once(&env, false);
  env.boot_id = another_boot;
  read_once(&env, true);
  read_once(&env, false);
  CHECK_EQ(n_locks, 0);
  teardown();
}

/* --------------------------------------------------------------------------- fork */

/* Begins a transaction and forks; the child lives on, without exec. */
static int part_forker(void) {
  bitcask *bc = open_dir();
  bitcask_txn *txn;
  bitcask_error e;
  pid_t pid;

  if (bitcask_begin(bc, 0, &txn, &e) || bitcask_txn_put(txn, "k", 1, "v", 1, &e)) return 1;
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    atomic_store(&sh->ready, 1);
    while (!atomic_load(&sh->stop)) usleep(1000);
    /* What the parent had open is the child's to close. */
    atomic_fetch_add(&sh->rounds, bitcask_put(bc, "k", 1, "v", 1, &e) == BITCASK_INVALID);
    bitcask_txn_rollback(txn);
    atomic_fetch_add(&sh->rounds, bitcask_close(bc, &e) == BITCASK_OK);
    bc = open_dir();
    atomic_fetch_add(&sh->rounds, bitcask_put(bc, "child", 5, "v", 1, &e) == BITCASK_OK);
    atomic_fetch_add(&sh->rounds, bitcask_close(bc, &e) == BITCASK_OK);
    _exit(0);
  }
  for (;;) pause();
}

static void a_forked_child_keeps_no_lock(void) {
  bitcask_error e = {0};
  bitcask_txn *txn;
  bitcask *bc;
  pid_t pid;

  setup();
  bc = open_dir();
  pid = start("forker");
  CHECK_RC(bitcask_begin(bc, 0, &txn, &e), BITCASK_BUSY, &e);
  expect_kill(pid);
  CHECK_OK(bitcask_put(bc, "k", 1, "at once", 7, &e), &e);
  atomic_store(&sh->stop, 1);
  for (int i = 0; i < 20000 && atomic_load(&sh->rounds) < 4; i++) usleep(1000);
  CHECK_EQ(atomic_load(&sh->rounds), 4);
  CHECK_OK(bitcask_close(bc, &e), &e);
  teardown();
}

static int run_part(char **argv) {
  dir = argv[2];
  share(false);
  if (!strcmp(argv[1], "hanging")) return part_hanging();
  if (!strcmp(argv[1], "forker")) return part_forker();
  return part_neighbour(argv[1]);
}

int main(int argc, char **argv) {
  if (argc == 3) return run_part(argv);
  RUN(nobody_is_busy_beside_another_process);
  RUN(nobody_is_busy_beside_another_thread);
  RUN(a_moment_is_waited_for_until_its_owner_is_killed);
  RUN(a_reader_takes_no_lock);
  RUN(a_forked_child_keeps_no_lock);
  return test_done();
}
