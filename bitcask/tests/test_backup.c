/*
** test_backup.c - bitcask_backup on the real file system: one moment while others
** write and merge, hard links that nobody is hurt by, destinations that are refused,
** an end in the middle.  Power cuts and failing calls are in scenarios.c.
*/
#include "test.h"

#include "bitcask.h"
#include "model.h"
#include "tempdir.h"

#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>

enum { N_KEYS = 37, PAD_SZ = 59000 };

static bitcask_error e;

static char *path_in(const char *dir, const char *suffix) {
  char *out = malloc(strlen(dir) + strlen(suffix) + 1);
  if (!out) abort();
  return strcat(strcpy(out, dir), suffix);
}

static bitcask *open_dir(const char *dir, uint64_t max_file_size) {
  bitcask_options o;
  bitcask *bc = NULL;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  o.sync = BITCASK_SYNC_NORMAL;
  o.timeout_ms = 20000;
  if (max_file_size) o.max_file_size = max_file_size;
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  return bc;
}

static void put(bitcask *bc, const char *key, const char *value) {
  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static void read_all(bitcask *bc, model *out) {
  bitcask_snapshot *snap;
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  bad = model_read(out, snap);
  if (bad) TEST_FAIL("%s", bad);
  bitcask_snapshot_close(snap);
}

static int print_problem(void *ctx, const bitcask_problem *p) {
  (void)ctx;
  TEST_FAIL("file %u at %" PRIu64 ": %s", p->file_id, p->offset, p->text);
  return 0;
}

/* What a copy holds; it must be in order, and writable. */
static void read_copy(const char *dir, model *out) {
  bitcask *bc = open_dir(dir, 0);
  uint64_t n_problems;

  read_all(bc, out);
  CHECK_OK(bitcask_verify(bc, print_problem, NULL, NULL, &n_problems, &e), &e);
  put(bc, "written to the copy", "yes");
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void expect_equal(const model *want, const model *got) {
  if (model_equal(want, got)) return;
  TEST_FAIL("another state than that of the moment");
  model_print_diff(want, got);
}

/* Several files, of which the last one is not sealed. */
static void fill(bitcask *bc) {
  char key[16], value[40];
  for (int i = 0; i < 60; i++) {
    snprintf(key, sizeof key, "key%d", i % 25);
    snprintf(value, sizeof value, "value %d of it", i);
    put(bc, key, value);
  }
  CHECK_OK(bitcask_delete(bc, "key3", 4, &e), &e);
}

static unsigned links_of(const char *dir, unsigned id, const char *kind) {
  char path[512];
  struct stat st = {0};
  snprintf(path, sizeof path, "%s/%u.bitcask.%s", dir, id, kind);
  if (stat(path, &st)) return 0;
  return (unsigned)st.st_nlink;
}

/* ------------------------------------------------------------------ one moment */

/* The writer counts: count c goes to key c % N_KEYS, every 11th one deletes it
** instead, and three at a time are one transaction.  So a state says which one
** it is, and each count has exactly one. */
typedef struct progress {
  atomic_bool stop;
  atomic_uint acknowledged;
} progress;

static progress *shared; /* between processes, too */

static void write_count(bitcask_txn *txn, unsigned c) {
  bitcask_error err;
  char key[16], value[16];
  size_t n = (size_t)sprintf(key, "k%u", c % N_KEYS);
  if (c % 11 == 0) {
    CHECK_OK(bitcask_txn_delete(txn, key, n, &err), &err);
  } else {
    CHECK_OK(bitcask_txn_put(txn, key, n, value, (size_t)sprintf(value, "%u", c), &err), &err);
  }
}

static void *count_up(void *arg) {
  bitcask *bc = arg;
  bitcask_txn *txn;
  bitcask_error err;

  for (unsigned c = 1; !atomic_load(&shared->stop); c += 3) {
    if (bitcask_begin(bc, 20000, &txn, &err)) break;
    for (unsigned i = 0; i < 3; i++) write_count(txn, c + i);
    if (bitcask_txn_prepare(txn, &err)) {
      bitcask_txn_rollback(txn);
      break;
    }
    bitcask_txn_publish(txn);
    atomic_store(&shared->acknowledged, c + 2);
    usleep(300); /* lest there be ever more files than the merger can take */
  }
  return NULL;
}

static void *merge_on(void *arg) {
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  bitcask_error err;
  while (!atomic_load(&shared->stop)) {
    if (bitcask_merge(arg, &o, NULL, &err)) fprintf(stderr, "merge: %s\n", err.text);
    usleep(500);
  }
  return NULL;
}

static void state_at(unsigned count, model *out) {
  char key[16], value[16];
  for (unsigned c = 1; c <= count; c++) {
    size_t n = (size_t)sprintf(key, "k%u", c % N_KEYS);
    if (c % 11 == 0)
      model_delete(out, key, n);
    else
      model_put(out, key, n, value, (size_t)sprintf(value, "%u", c), 0);
  }
}

/* The highest count in a state, rounded up to the end of its transaction. */
static unsigned count_of(const model *m) {
  unsigned max = 0;
  for (size_t i = 0; i < m->n; i++) {
    char text[16] = {0};
    unsigned c;
    memcpy(text, model_value(m->entries[i]),
           m->entries[i]->value_sz < 15 ? m->entries[i]->value_sz : 15);
    c = (unsigned)strtoul(text, NULL, 10);
    if (c > max) max = c;
  }
  return (max + 2) / 3 * 3;
}

/* A writer and a merger at work on the directory, until `shared` says stop. */
static void work_on(const char *dir, pthread_t *threads, bitcask **bc) {
  *bc = open_dir(dir, 2000);
  pthread_create(&threads[0], NULL, count_up, *bc);
  pthread_create(&threads[1], NULL, merge_on, *bc);
}

static void end_work(pthread_t *threads, bitcask *bc) {
  pthread_join(threads[0], NULL);
  pthread_join(threads[1], NULL);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static pid_t work_in_child(const char *dir) {
  pthread_t threads[2];
  bitcask *bc;
  pid_t pid = fork();

  if (pid) return pid;
  work_on(dir, threads, &bc);
  end_work(threads, bc);
  _exit(test_bad != 0);
}

static void back_up_and_check(bitcask *bc, const char *dir) {
  char *copy = path_in(dir, "-copy");
  unsigned before = atomic_load(&shared->acknowledged), count;
  model want = {0}, got = {0};
  uint64_t n_files = 0;

  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, &n_files, &e), &e);
  CHECK(n_files > 0);
  read_copy(copy, &got);
  count = count_of(&got);
  CHECK(count >= before);
  state_at(count, &want);
  expect_equal(&want, &got);
  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
}

static void one_moment(bool in_child) {
  char *dir = tempdir_make();
  pthread_t threads[2];
  bitcask *bc;
  pid_t child = 0;
  int status = 0;

  shared = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (in_child)
    child = work_in_child(dir);
  else
    work_on(dir, threads, &bc);
  while (atomic_load(&shared->acknowledged) < 300) usleep(1000);
  if (in_child) bc = open_dir(dir, 2000);
  for (int i = 0; i < 40; i++) {
    uint64_t n;
    back_up_and_check(bc, dir);
    /* Files that come and go are no damage. */
    CHECK_OK(bitcask_verify(bc, print_problem, NULL, NULL, &n, &e), &e);
    CHECK_OK(bitcask_verify_structure(bc, print_problem, NULL, NULL, &n, &e), &e);
  }
  atomic_store(&shared->stop, true);
  if (in_child) {
    CHECK_OK(bitcask_close(bc, &e), &e);
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_EQ(status, 0);
  } else {
    end_work(threads, bc);
  }
  munmap(shared, 4096);
  tempdir_remove(dir);
}

static void one_moment_of_threads(void) { one_moment(false); }
static void one_moment_of_processes(void) { one_moment(true); }

/* A merge is stopped between two inputs; the second has an old tombstone of a key
** that is live.  It is deleted after the moment of the backup, and so the merge
** copies the tombstone to its output, above the key's record. */
static sem_t merge_paused, merge_may_go;
static unsigned n_pauses;
static pthread_t merging;

static int pause_merge(void *arg) {
  (void)arg;
  if (++n_pauses == 2) {
    sem_post(&merge_paused);
    sem_wait(&merge_may_go);
  }
  return 0;
}

static void *merge_two(void *arg) {
  static const uint32_t ids[] = {2, 3};
  bitcask_merge_options o = {
      .kind = BITCASK_MERGE_FILES, .file_ids = ids, .n_file_ids = 2, .progress = pause_merge};
  bitcask_error err;
  if (bitcask_merge(arg, &o, NULL, &err)) fprintf(stderr, "merge: %s\n", err.text);
  return NULL;
}

static int delete_and_let_merge(void *arg) {
  static bool done;
  if (done) return 0;
  done = true;
  CHECK_OK(bitcask_delete(arg, "buried", 6, &e), &e);
  sem_post(&merge_may_go);
  pthread_join(merging, NULL);
  return 0;
}

/* Fills a file; all but the last one are dead, so that one output is enough. */
static void put_pad(bitcask *bc) {
  static char pad[PAD_SZ];
  CHECK_OK(bitcask_put(bc, "pad", 3, pad, sizeof pad, &e), &e);
}

static void output_that_grows(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), key[16];
  bitcask *bc = open_dir(dir, PAD_SZ + 500);
  model want = {0}, got = {0};

  put_pad(bc);
  for (int i = 0; i < 1100; i++) {
    snprintf(key, sizeof key, "many%d", i);
    put(bc, key, "");
  }
  put_pad(bc);
  put(bc, "buried", "first");
  CHECK_OK(bitcask_delete(bc, "buried", 6, &e), &e);
  put_pad(bc);
  put(bc, "buried", "live at the moment");
  put_pad(bc);

  sem_init(&merge_paused, 0, 0);
  sem_init(&merge_may_go, 0, 0);
  pthread_create(&merging, NULL, merge_two, bc);
  sem_wait(&merge_paused);
  read_all(bc, &want);
  CHECK_OK(bitcask_backup(bc, copy, delete_and_let_merge, bc, NULL, &e), &e);
  CHECK_RC(bitcask_get(bc, "buried", 6, &(bitcask_buf){0}, &e), BITCASK_NOTFOUND, &e);
  read_copy(copy, &got);
  expect_equal(&want, &got);

  CHECK_OK(bitcask_close(bc, &e), &e);
  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

/* ----------------------------------------------------------------------- links */

/* Neither side sees what the other does afterwards. */
static void sides_are_apart(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy");
  bitcask *bc = open_dir(dir, 400), *other;
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  model want = {0}, got = {0};

  fill(bc);
  read_all(bc, &want);
  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), &e);
  CHECK_EQ(links_of(copy, 1, "data"), 2);
  CHECK_EQ(links_of(copy, 1, "hint"), 2);

  put(bc, "key1", "of the source");
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  put(bc, "key2", "of the source");
  other = open_dir(copy, 400);
  read_all(other, &got);
  expect_equal(&want, &got);

  read_all(bc, &want);
  put(other, "key1", "of the copy");
  CHECK_OK(bitcask_merge(other, &all, NULL, &e), &e);
  CHECK_OK(bitcask_close(other, &e), &e);
  read_all(bc, &got);
  expect_equal(&want, &got);

  CHECK_OK(bitcask_close(bc, &e), &e);
  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

/* The active file goes on growing, and a sealed one that has no hint may be cut. */
static void active_is_copied(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy");
  bitcask *bc = open_dir(dir, 0);
  model want = {0}, got = {0};

  fill(bc);
  read_all(bc, &want);
  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), &e);
  CHECK_EQ(links_of(copy, 1, "data"), 1);
  CHECK_EQ(links_of(copy, 1, "hint"), 0);
  put(bc, "key1", "after it");
  read_copy(copy, &got);
  expect_equal(&want, &got);
  CHECK_OK(bitcask_close(bc, &e), &e);
  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

static void remove_name(const char *dir, const char *name) {
  char *path = path_in(dir, name);
  CHECK_EQ(unlink(path), 0);
  free(path);
}

/* Files that basho/bitcask may go on changing in place are not shared. */
static void foreign_is_copied(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), *lock;
  bitcask *bc = open_dir(dir, 400);
  bitcask_options o;
  model want = {0}, got = {0};
  FILE *f;

  fill(bc);
  read_all(bc, &want);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = true;

  /* A live process of somebody else is writing. */
  lock = path_in(dir, "/bitcask.write.lock");
  f = fopen(lock, "w");
  fprintf(f, "%d %s/9.bitcask.data\n", (int)getppid(), dir);
  fclose(f);
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), &e);
  CHECK_EQ(links_of(copy, 1, "data"), 1);
  CHECK_EQ(links_of(copy, 1, "hint"), 1);
  CHECK_OK(bitcask_close(bc, &e), &e);
  unlink(lock);
  free(lock);
  read_copy(copy, &got);
  expect_equal(&want, &got);
  tempdir_remove(copy);

  /* We have never written here. */
  copy = path_in(dir, "-copy");
  remove_name(dir, "/bitcask.state");
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), &e);
  CHECK_EQ(links_of(copy, 1, "data"), 1);
  CHECK_EQ(links_of(copy, 1, "hint"), 1);
  CHECK_OK(bitcask_close(bc, &e), &e);
  read_copy(copy, &got);
  expect_equal(&want, &got);

  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

/* As a merge elsewhere does just before it removes the file. */
static int remove_hint(void *dir) {
  static bool done;
  if (!done) remove_name(dir, "/2.bitcask.hint");
  done = true;
  return 0;
}

/* A file without a hint may be continued, in the copy and in the source: it must
** not be one and the same. */
static void without_a_hint_it_is_copied(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy");
  bitcask *bc = open_dir(dir, 0), *other;
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  model want = {0}, got = {0};

  fill(bc);
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e); /* to file 2, and there is none above it yet */
  CHECK_EQ(links_of(dir, 2, "hint"), 1);
  read_all(bc, &want);
  CHECK_OK(bitcask_backup(bc, copy, remove_hint, dir, NULL, &e), &e);
  CHECK_EQ(links_of(copy, 2, "data"), 1);
  other = open_dir(copy, 0);
  put(other, "of the copy", "alone");
  CHECK_OK(bitcask_close(other, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  read_copy(dir, &got);
  expect_equal(&want, &got);
  model_clear(&want);
  model_clear(&got);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

/* ---------------------------------------------------------------- destinations */

static void refused(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), *partial = path_in(copy, ".partial");
  char *slashes = path_in(copy, "//"), *deep = path_in(copy, "/no/such"), *file, *somebodys;
  bitcask *bc = open_dir(dir, 400);
  bitcask_options o;
  bitcask *empty;
  struct stat st;

  fill(bc);
  CHECK_RC(bitcask_backup(bc, "", NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK_RC(bitcask_backup(bc, "//", NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK_RC(bitcask_backup(bc, dir, NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK_RC(bitcask_backup(bc, deep, NULL, NULL, NULL, &e), BITCASK_CANTOPEN, &e);
  file = path_in(dir, "/1.bitcask.data");
  CHECK_RC(bitcask_backup(bc, file, NULL, NULL, NULL, &e), BITCASK_CANTOPEN, &e);
  CHECK_EQ(mkdir(partial, 0777), 0);
  somebodys = path_in(partial, "/words");
  CHECK_EQ(mkdir(somebodys, 0777), 0);
  CHECK_RC(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK(strstr(e.text, ".partial is there") != NULL);
  CHECK_EQ(stat(somebodys, &st), 0); /* it is not ours to remove */
  CHECK_EQ(rmdir(somebodys) | rmdir(partial), 0);
  free(somebodys);
  CHECK_EQ(mkdir(copy, 0777), 0);
  CHECK_OK(bitcask_backup(bc, slashes, NULL, NULL, NULL, &e), &e);
  CHECK_RC(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(copy);
  tempdir_remove(dir);

  /* A directory that is empty itself. */
  dir = tempdir_make();
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = true;
  CHECK_OK(bitcask_open(dir, &o, &empty, &e), &e);
  CHECK_RC(bitcask_backup(empty, dir, NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK_OK(bitcask_close(empty, &e), &e);
  tempdir_remove(dir);
  free(partial);
  free(slashes);
  free(deep);
  free(file);
}

static unsigned n_steps, stop_at;

static int stop_after(void *arg) {
  (void)arg;
  return ++n_steps == stop_at;
}

/* Stopped anywhere it leaves nothing, and the next one works. */
static void interrupted(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), *partial = path_in(copy, ".partial");
  bitcask *bc = open_dir(dir, 400);
  struct stat st;
  uint64_t n_files;
  int rc = BITCASK_INTERRUPT;

  fill(bc);
  for (stop_at = 1; rc == BITCASK_INTERRUPT; stop_at++) {
    n_steps = 0;
    rc = bitcask_backup(bc, copy, stop_after, NULL, &n_files, &e);
    if (rc != BITCASK_INTERRUPT) break;
    CHECK_EQ(n_files, 0);
    CHECK(stat(copy, &st) && stat(partial, &st));
  }
  CHECK_EQ(rc, BITCASK_OK);
  CHECK(stop_at > 5);
  CHECK(n_files > 3);
  CHECK_OK(bitcask_close(bc, &e), &e);
  free(partial);
  tempdir_remove(copy);
  tempdir_remove(dir);
}

/* -------------------------------------------------------- one that was killed */

static int steps_left;

static int die_later(void *ctx) {
  (void)ctx;
  if (steps_left-- == 0) raise(SIGKILL);
  return 0;
}

typedef struct rival {
  const char *dir, *copy;
  int rc;
} rival;

/* Another backup to the same place, while one is at work. */
static int run_rival(void *ctx) {
  rival *r = ctx;
  bitcask_error err;
  bitcask_options o;
  bitcask *bc;

  if (r->rc) return 0;
  bitcask_options_init(&o);
  o.read_only = true;
  CHECK_OK(bitcask_open(r->dir, &o, &bc, &err), &err);
  r->rc = bitcask_backup(bc, r->copy, NULL, NULL, NULL, &err);
  CHECK_OK(bitcask_close(bc, &err), &err);
  return 0;
}

static void killed_ones_are_replaced(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), *partial = path_in(copy, ".partial");
  char *lock = path_in(copy, "/bitcask.backup");
  bitcask *bc = open_dir(dir, 400);
  rival r = {dir, copy, 0};
  struct stat st;

  fill(bc);
  CHECK_OK(bitcask_close(bc, &e), &e);
  for (int n = 0; n < 6; n++) {
    int status = 0;
    pid_t child = fork();
    if (!child) {
      bc = open_dir(dir, 400);
      steps_left = n;
      (void)bitcask_backup(bc, copy, die_later, NULL, NULL, &e);
      _exit(0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK(WIFSIGNALED(status));
    CHECK_EQ(stat(partial, &st), 0);
  }
  bc = open_dir(dir, 400);
  CHECK_OK(bitcask_backup(bc, copy, run_rival, &r, NULL, &e), &e);
  CHECK_EQ(r.rc, BITCASK_BUSY);
  CHECK(stat(partial, &st) && stat(lock, &st));
  CHECK_OK(bitcask_close(bc, &e), &e);
  bc = open_dir(copy, 400);
  CHECK_OK(bitcask_verify(bc, NULL, NULL, NULL, NULL, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(copy);
  tempdir_remove(dir);
  free(lock);
  free(partial);
}

/* What a killed one has left is removed only if all of it is of a backup's making. */
static void what_others_put_there_is_kept(void) {
  char *dir = tempdir_make(), *copy = path_in(dir, "-copy"), *partial = path_in(copy, ".partial");
  char *lock = path_in(partial, "/bitcask.backup"), *words = path_in(partial, "/words");
  bitcask *bc = open_dir(dir, 400);
  struct stat st;
  FILE *f;

  fill(bc);
  CHECK_EQ(mkdir(partial, 0777), 0);
  for (int i = 0; i < 2; i++) {
    f = fopen(i ? words : lock, "w");
    CHECK(f && !fclose(f));
  }
  CHECK_RC(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), BITCASK_INVALID, &e);
  CHECK(strstr(e.text, "/words is not of its making") != NULL);
  CHECK_EQ(stat(words, &st), 0);
  CHECK_EQ(unlink(words), 0);
  CHECK_OK(bitcask_backup(bc, copy, NULL, NULL, NULL, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(copy);
  tempdir_remove(dir);
  free(lock);
  free(words);
  free(partial);
}

int main(void) {
  RUN(one_moment_of_threads);
  RUN(one_moment_of_processes);
  RUN(output_that_grows);
  RUN(sides_are_apart);
  RUN(active_is_copied);
  RUN(foreign_is_copied);
  RUN(without_a_hint_it_is_copied);
  RUN(refused);
  RUN(killed_ones_are_replaced);
  RUN(what_others_put_there_is_kept);
  RUN(interrupted);
  return test_done();
}
