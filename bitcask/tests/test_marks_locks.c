/*
** test_marks_locks.c - table K of the reference's interop cases as far as it can
** be told from files: deletion marks, lock files of live and dead processes, and
** a directory that cannot be written.  interop/run has those that need the
** reference itself.
*/
#include "test.h"

#include "craft.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>
#include <utime.h>

enum { NOBODY = 65534, QUICK_MS = 500 };

static const char *path_of(const char *dir, const char *name) {
  static char path[PATH_MAX];

  snprintf(path, sizeof path, "%s/%s", dir, name);
  return path;
}

static void set_mode(const char *dir, uint32_t id, mode_t mode) {
  CHECK_EQ(chmod(path_of(dir, craft_name(id, "data")), mode), 0);
}

static int64_t now_ms(void) {
  struct timespec t;

  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static void put_ok(bitcask *bc, const char *key, const char *value) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static void close_ok(bitcask *bc) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_close(bc, &e), &e);
}

/* 1: a=1 b=2, 2: a=1 b=2 c=3 (as a merge of 1 would leave it, and c). */
static void merged(const char *dir, craft_hint_kind kind) {
  craft c = {0};

  craft_put(&c, 100, "a", "1");
  craft_put(&c, 100, "b", "2");
  craft_save(&c, dir, 1, kind);
  craft_put(&c, 100, "c", "3");
  craft_save(&c, dir, 2, kind);
  craft_clear(&c);
}

static void K1_superseded_marked_file_is_removed(void) {
  static const mode_t marks[] = {0645, 04644, 04645};

  for (size_t i = 0; i < sizeof marks / sizeof marks[0]; i++) {
    const char *dir = craft_dir();

    merged(dir, CRAFT_HINT);
    set_mode(dir, 1, marks[i]);
    CHECK_DIR(dir, "a=1 b=2 c=3");
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), -1);
    CHECK_EQ(craft_size(dir, "1.bitcask.hint"), -1);
  }
}

static void K1_overwritten_marked_file_is_removed(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "a", "old");
  craft_save(&c, dir, 1, CRAFT_HINT);
  craft_clear(&c);
  craft_put(&c, 101, "a", "new");
  craft_save(&c, dir, 2, CRAFT_HINT);
  craft_clear(&c);
  set_mode(dir, 1, 0645);
  CHECK_DIR(dir, "a=new");
  CHECK_EQ(craft_size(dir, "1.bitcask.data"), -1);
}

static void K1_other_modes_are_normal_files(void) {
  static const mode_t modes[] = {0744, 0654, 0600, 0644};

  for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++) {
    const char *dir = craft_dir();
    craft c = {0};

    craft_put(&c, 100, "a", "1");
    craft_save(&c, dir, 1, CRAFT_HINT);
    set_mode(dir, 1, modes[i]);
    CHECK_DIR(dir, "a=1");
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), (int64_t)c.data_sz);
    craft_clear(&c);
  }
}

/* Nothing but the marked file holds `only`: its bytes must survive a writer. */
static void K1_marked_file_with_the_only_copy_is_kept(void) {
  const char *dir = craft_dir();
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};
  int64_t size;

  craft_put(&c, 100, "only", "here");
  craft_save(&c, dir, 1, CRAFT_HINT);
  size = (int64_t)c.data_sz;
  craft_clear(&c);
  craft_put(&c, 100, "b", "2");
  craft_save(&c, dir, 2, CRAFT_HINT);
  craft_clear(&c);
  set_mode(dir, 1, 0645);
  for (int i = 0; i < 2; i++) {
    bc = craft_open_rw(dir);
    CHECK(strstr(craft_log, "1.bitcask.data") != NULL);
    put_ok(bc, "c", "3");
    CHECK_OK(bitcask_get(bc, "b", 1, &value, &e), &e);
    close_ok(bc);
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), size);
  }
  bitcask_buf_free(&value);
}

static void K2_all_files_marked(void) {
  const char *dir = craft_dir();
  bitcask *bc;
  craft one = {0}, two = {0};
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e = {0};

  craft_put(&one, 100, "a", "1");
  craft_put(&one, 100, "b", "2");
  craft_save(&one, dir, 1, CRAFT_HINT);
  craft_put(&two, 100, "c", "3");
  craft_save(&two, dir, 2, CRAFT_HINT);
  set_mode(dir, 1, 0777);
  set_mode(dir, 2, 0777);
  for (int i = 0; i < 2; i++) {
    bc = craft_open_rw(dir);
    CHECK(i > 0 || craft_log[0] != 0);
    CHECK_OK(bitcask_merge(bc, &o, NULL, &e), &e);
    close_ok(bc);
  }
  /* Marked or not, nobody else has these values: they are there to be found. */
  bc = craft_open_ro(dir);
  if (strcmp(craft_dump(bc), "a=1 b=2 c=3") != 0) {
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), (int64_t)one.data_sz);
    CHECK_EQ(craft_size(dir, "2.bitcask.data"), (int64_t)two.data_sz);
  }
  close_ok(bc);
  craft_clear(&one);
  craft_clear(&two);
}

/* A merge of 1 and 2 ended, and its process before it removed the inputs. */
static void K3_merge_inputs_left_behind(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "a", "1");
  craft_put(&c, 100, "b", "old");
  craft_save(&c, dir, 1, CRAFT_HINT);
  craft_clear(&c);
  craft_put(&c, 101, "b", "new");
  craft_save(&c, dir, 2, CRAFT_HINT);
  craft_clear(&c);
  craft_put(&c, 100, "a", "1");
  craft_put(&c, 101, "b", "new");
  craft_save(&c, dir, 3, CRAFT_HINT);
  craft_clear(&c);
  set_mode(dir, 1, 0645);
  set_mode(dir, 2, 0645);
  CHECK_DIR(dir, "a=1 b=new");
  CHECK_EQ(craft_count_files(dir, "data"), 1);
  CHECK_EQ(craft_count_files(dir, "hint"), 1);
}

static pid_t sleeping_child(void) {
  pid_t pid = fork();

  if (pid == 0) {
    pause();
    _exit(0);
  }
  CHECK(pid > 0);
  return pid;
}

static void end_child(pid_t pid) {
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
}

/* The pid of a process that has been. */
static pid_t dead_pid(void) {
  pid_t pid = sleeping_child();

  end_child(pid);
  return pid;
}

static void write_lock(const char *dir, const char *name, const char *text) {
  craft_write_file(dir, name, text, strlen(text));
  CHECK_EQ(chmod(path_of(dir, name), 0600), 0);
}

static void lock_by(const char *dir, const char *name, pid_t pid, const char *rest) {
  char text[PATH_MAX + 32];

  snprintf(text, sizeof text, "%ld %s\n", (long)pid, rest);
  write_lock(dir, name, text);
}

static const char *const lock_names[] = {"bitcask.write.lock", "bitcask.merge.lock"};

static void check_not_blocked(const char *lock, const char *text) {
  const char *dir = craft_dir();
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e = {0};
  bitcask *bc;
  int64_t start = now_ms();

  merged(dir, CRAFT_HINT);
  write_lock(dir, lock, text);
  bc = craft_open_rw(dir);
  put_ok(bc, "d", "4");
  CHECK_OK(bitcask_merge(bc, &o, NULL, &e), &e);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3 d=4");
  close_ok(bc);
  CHECK(now_ms() - start < QUICK_MS);
  CHECK_EQ(craft_size(dir, lock), -1);
  CHECK_DIR(dir, "a=1 b=2 c=3 d=4");
}

static void K4_dead_and_garbled_locks(void) {
  char dead[64], named[128], unended[64], bare[64];
  pid_t pid = dead_pid();

  snprintf(dead, sizeof dead, "%ld \n", (long)pid);
  snprintf(named, sizeof named, "%ld /somewhere/2.bitcask.data\n", (long)pid);
  snprintf(unended, sizeof unended, "%ld foo", (long)pid);
  snprintf(bare, sizeof bare, "%ld\n", (long)pid);
  for (size_t i = 0; i < 2; i++) {
    check_not_blocked(lock_names[i], "");
    check_not_blocked(lock_names[i], "garbage");
    check_not_blocked(lock_names[i], "garbage \n");
    check_not_blocked(lock_names[i], "0 \n");
    check_not_blocked(lock_names[i], "-1 \n");
    check_not_blocked(lock_names[i], "99999999999999999999 x\n");
    check_not_blocked(lock_names[i], dead);
    check_not_blocked(lock_names[i], named);
    check_not_blocked(lock_names[i], unended);
    check_not_blocked(lock_names[i], bare);
  }
}

/* Pids are used again: the lock is older than the process with its number. */
static void K4_recycled_pid(void) {
  const char *dir = craft_dir();
  pid_t pid = sleeping_child();
  struct utimbuf yesterday = {time(NULL) - 86400, time(NULL) - 86400};
  bitcask *bc;

  merged(dir, CRAFT_HINT);
  lock_by(dir, "bitcask.write.lock", pid, "");
  CHECK_EQ(utime(path_of(dir, "bitcask.write.lock"), &yesterday), 0);
  bc = craft_open_rw(dir);
  put_ok(bc, "d", "4");
  close_ok(bc);
  end_child(pid);
}

static void K4_live_write_lock_is_honoured(void) {
  const char *dir = craft_dir();
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  pid_t pid = sleeping_child();
  bitcask_error e = {0};
  bitcask *bc;
  char named[PATH_MAX];

  merged(dir, CRAFT_HINT);
  snprintf(named, sizeof named, "%s/2.bitcask.data", dir);
  lock_by(dir, "bitcask.write.lock", pid, named);
  bc = craft_open_rw(dir);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  CHECK_RC(bitcask_put(bc, "d", 1, "4", 1, &e), BITCASK_BUSY, &e);
  CHECK_RC(bitcask_delete(bc, "a", 1, &e), BITCASK_BUSY, &e);
  CHECK_RC(bitcask_merge(bc, &o, NULL, &e), BITCASK_BUSY, &e);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  end_child(pid);
  put_ok(bc, "d", "4");
  close_ok(bc);
  CHECK_DIR(dir, "a=1 b=2 c=3 d=4");
}

static void check_own_lock(const char *dir, const char *name) {
  char want[64];
  struct stat st;
  size_t n;
  uint8_t *text = craft_read_file(dir, name, &n);

  snprintf(want, sizeof want, "%ld \n", (long)getpid());
  CHECK_MEM(text, n, want, strlen(want));
  free(text);
  CHECK_EQ(stat(path_of(dir, name), &st), 0);
  CHECK_EQ(st.st_mode & 0777, 0600);
}

static void K4_our_lock_text(void) {
  const char *dir = craft_dir();
  bitcask *bc;

  merged(dir, CRAFT_HINT);
  bc = craft_open_rw(dir);
  CHECK_EQ(craft_size(dir, "bitcask.write.lock"), -1);
  put_ok(bc, "d", "4");
  check_own_lock(dir, "bitcask.write.lock");
  check_own_lock(dir, "bitcask.merge.lock");
  close_ok(bc);
  CHECK_EQ(craft_size(dir, "bitcask.write.lock"), -1);
  CHECK_EQ(craft_size(dir, "bitcask.merge.lock"), -1);
}

/* Of two writers the first to go leaves them to the other one. */
static void K4_lock_files_stay_for_others(void) {
  const char *dir = craft_dir();
  bitcask *one = craft_open_rw(dir), *other = craft_open_rw(dir);

  put_ok(one, "a", "1");
  put_ok(other, "b", "2");
  close_ok(one);
  CHECK(craft_size(dir, "bitcask.write.lock") > 0 && craft_size(dir, "bitcask.merge.lock") > 0);
  put_ok(other, "c", "3");
  close_ok(other);
  CHECK(craft_size(dir, "bitcask.write.lock") < 0 && craft_size(dir, "bitcask.merge.lock") < 0);
}

/* A writer of the reference is alive: its hint is open, its last record torn. */
static void K6_reader_beside_a_live_writer(void) {
  const char *dir = craft_dir();
  pid_t pid = sleeping_child();
  bitcask *bc;
  craft c = {0};
  char named[PATH_MAX];
  int64_t size;

  craft_put(&c, 100, "a", "1");
  craft_save(&c, dir, 1, CRAFT_HINT);
  craft_clear(&c);
  craft_put(&c, 101, "b", "2");
  craft_put(&c, 101, "c", "3");
  c.data_sz -= 3;
  craft_save(&c, dir, 2, CRAFT_OPEN_HINT);
  size = (int64_t)c.data_sz;
  snprintf(named, sizeof named, "%s/2.bitcask.data", dir);
  lock_by(dir, "bitcask.write.lock", pid, named);
  bc = craft_open_ro(dir);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2");
  close_ok(bc);
  /* A writer of ours repairs nothing that the live one may still be writing. */
  bc = craft_open_rw(dir);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2");
  close_ok(bc);
  CHECK_EQ(craft_size(dir, "2.bitcask.data"), size);
  CHECK_EQ(craft_size(dir, "2.bitcask.hint"), (int64_t)c.hint_sz);
  craft_clear(&c);
  end_child(pid);
}

static void K9_live_merge_lock(void) {
  const char *dir = craft_dir();
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  pid_t pid = sleeping_child();
  bitcask_error e = {0};
  bitcask *bc;
  char named[PATH_MAX];
  int64_t start;

  merged(dir, CRAFT_HINT);
  snprintf(named, sizeof named, "%s/2.bitcask.data", dir);
  lock_by(dir, "bitcask.merge.lock", pid, named);
  start = now_ms();
  bc = craft_open_rw(dir);
  CHECK(now_ms() - start < QUICK_MS);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  CHECK_RC(bitcask_merge(bc, &o, NULL, &e), BITCASK_BUSY, &e);
  close_ok(bc);
  end_child(pid);
}

static void K10_stale_merge_lock_names_the_output(void) {
  const char *dir = craft_dir();
  char named[PATH_MAX];

  merged(dir, CRAFT_HINT);
  snprintf(named, sizeof named, "%s/2.bitcask.data", dir);
  lock_by(dir, "bitcask.merge.lock", dead_pid(), named);
  CHECK_DIR(dir, "a=1 b=2 c=3");
}

static void K11_empty_create_lock(void) {
  const char *dir = craft_dir();
  int64_t start = now_ms();
  bitcask *bc;

  merged(dir, CRAFT_HINT);
  write_lock(dir, "bitcask.create.lock", "");
  bc = craft_open_rw(dir);
  put_ok(bc, "d", "4");
  close_ok(bc);
  CHECK(now_ms() - start < QUICK_MS);
  CHECK_EQ(craft_size(dir, "bitcask.create.lock"), -1);
  CHECK_DIR(dir, "a=1 b=2 c=3 d=4");
}

/* Run `fn` as a user who owns nothing, if we are root; else as we are. */
static void as_nobody(void (*fn)(const char *dir), const char *dir) {
  pid_t pid = fork();
  int status = 0;

  if (pid == 0) {
    if (getuid() == 0 && (setgid(NOBODY) || setuid(NOBODY))) {
      TEST_FAIL("cannot become nobody");
    } else {
      fn(dir);
    }
    _exit(test_bad != 0);
  }
  CHECK(pid > 0 && waitpid(pid, &status, 0) == pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void use_read_only_directory(const char *dir) {
  bitcask_error e = {0};
  bitcask *bc;
  int64_t start = now_ms();

  bc = craft_open_ro(dir);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  close_ok(bc);
  bc = craft_open_rw(dir);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  CHECK_RC(bitcask_put(bc, "d", 1, "4", 1, &e), BITCASK_READONLY, &e);
  CHECK(e.text[0] != 0);
  close_ok(bc);
  CHECK(now_ms() - start < QUICK_MS);
}

static void K12_directory_without_write_permission(void) {
  static const craft_hint_kind kinds[] = {CRAFT_HINT, CRAFT_OPEN_HINT, CRAFT_NO_HINT};

  for (size_t i = 0; i < 3; i++) {
    const char *dir = craft_dir();

    merged(dir, kinds[i]);
    CHECK_EQ(chmod(dir, 0555), 0);
    as_nobody(use_read_only_directory, dir);
    CHECK_EQ(craft_count_files(dir, "data"), 2);
    CHECK_EQ(craft_size(dir, "bitcask.state"), -1);
    CHECK_EQ(chmod(dir, 0755), 0);
  }
}

static void meet_lock_of_another_user(const char *dir) {
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(dir);

  CHECK(kill(1, 0) != 0 && errno == EPERM);
  CHECK_RC(bitcask_put(bc, "d", 1, "4", 1, &e), BITCASK_BUSY, &e);
  close_ok(bc);
}

/* Process 1 is root's: it cannot be signalled, but it lives. */
static void K14_live_lock_of_another_user(void) {
  const char *dir = craft_dir();

  merged(dir, CRAFT_HINT);
  lock_by(dir, "bitcask.write.lock", 1, "");
  CHECK_EQ(chmod(path_of(dir, "bitcask.write.lock"), 0644), 0);
  CHECK_EQ(chmod(dir, 0777), 0);
  as_nobody(meet_lock_of_another_user, dir);
  CHECK(craft_size(dir, "bitcask.write.lock") > 0);
}

int main(void) {
  /* K12 and K14 are about permissions: the files must be readable by others. */
  umask(022);
  RUN(K1_superseded_marked_file_is_removed);
  RUN(K1_overwritten_marked_file_is_removed);
  RUN(K1_other_modes_are_normal_files);
  RUN(K1_marked_file_with_the_only_copy_is_kept);
  RUN(K2_all_files_marked);
  RUN(K3_merge_inputs_left_behind);
  RUN(K4_dead_and_garbled_locks);
  RUN(K4_recycled_pid);
  RUN(K4_live_write_lock_is_honoured);
  RUN(K4_our_lock_text);
  RUN(K4_lock_files_stay_for_others);
  RUN(K6_reader_beside_a_live_writer);
  RUN(K9_live_merge_lock);
  RUN(K10_stale_merge_lock_names_the_output);
  RUN(K11_empty_create_lock);
  RUN(K12_directory_without_write_permission);
  RUN(K14_live_lock_of_another_user);
  return test_done();
}
