/*
** test_memenv.c - the disk in RAM that other tests judge the engine by: does it
** lose what a power cut loses, keep what was synced, and fail when told to?
*/
#include "test.h"

#include "memenv_int.h"

static memenv *m;
static const bc_env *env;

static int create(const char *path) {
  int fd = -1;
  CHECK_EQ(env->open(m, path, BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), 0);
  return fd;
}

static int write_text(int fd, const char *text, uint64_t offset) {
  struct iovec iov = {(void *)(uintptr_t)text, strlen(text)};
  return env->pwritev(m, fd, &iov, 1, offset);
}

static void setup(void) {
  m = memenv_new(1);
  env = memenv_env(m);
  memenv_log_start(m);
}

/* The file as text, "-" if it is not there, after a crash of that kind. */
static const char *after(mem_cut_kind kind, size_t torn, uint64_t seed, const char *path) {
  static char text[64];
  mem_cut cut = {.kind = kind, .n_ops = memenv_log_size(m), .torn = torn, .seed = seed};
  memenv *crashed = memenv_crash(m, &cut);
  size_t got = 0;
  int fd;

  strcpy(text, "-");
  if (!memenv_env(crashed)->open(crashed, path, BC_OPEN_READ, &fd)) {
    CHECK_EQ(memenv_env(crashed)->pread(crashed, fd, text, sizeof text - 1, 0, &got), 0);
    text[got] = 0;
  }
  memenv_free(crashed);
  return text;
}

#define CHECK_TEXT(got, want) CHECK_MEM(got, strlen(got), want, strlen(want))

static void synced_is_kept_and_the_rest_is_not(void) {
  int fd;

  setup();
  fd = create("/f");
  CHECK_EQ(write_text(fd, "synced", 0), 0);
  CHECK_EQ(env->fdatasync(m, fd), 0);
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/f"), "-"); /* its name was not */
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/f"), "synced");
  CHECK(!memenv_is_volatile(m, memenv_log_size(m)));
  CHECK_EQ(write_text(fd, " and not", 6), 0);
  CHECK(memenv_is_volatile(m, memenv_log_size(m)));
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/f"), "synced");
  CHECK_TEXT(after(MEM_CUT_ORDERED, 0, 0, "/f"), "synced and not");
  CHECK_TEXT(after(MEM_CUT_ORDERED, 3, 0, "/f"), "synced and ");
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/f"), "synced and not");
  env->close(m, fd);
  memenv_free(m);
}

static void names_are_lost_and_kept(void) {
  int fd;
  bool old = false, new = false;

  setup();
  fd = create("/a");
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  CHECK_EQ(env->rename(m, "/a", "/b"), 0);
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/a"), "");
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/b"), "-");
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/a"), "-");
  for (uint64_t seed = 0; seed < 50; seed++) {
    bool a = *after(MEM_CUT_RANDOM, 0, seed, "/a") == 0;
    bool b = *after(MEM_CUT_RANDOM, 0, seed, "/b") == 0;
    CHECK(a != b); /* a rename is all or nothing */
    old |= a;
    new |= b;
  }
  CHECK(old && new);
  CHECK_EQ(env->unlink(m, "/b"), 0);
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  for (uint64_t seed = 0; seed < 50; seed++) CHECK_TEXT(after(MEM_CUT_RANDOM, 0, seed, "/b"), "-");
  CHECK_EQ(write_text(fd, "no name", 0), 0); /* an open file needs none */
  env->close(m, fd);
  CHECK_EQ(memenv_n_open(m), 0);
  memenv_free(m);
}

/* Two names of one file, and a directory that is renamed with what is in it. */
static void links_and_directories(void) {
  bool old = false, new = false;
  int fd;

  setup();
  fd = create("/f");
  CHECK_EQ(write_text(fd, "one file", 0), 0);
  CHECK_EQ(env->fdatasync(m, fd), 0);
  CHECK_EQ(env->mkdir(m, "/made"), 0);
  CHECK_EQ(env->link(m, "/f", "/made/g"), 0);
  CHECK_EQ(env->link(m, "/f", "/made/g"), EEXIST);
  CHECK_EQ(env->link(m, "/none", "/made/h"), ENOENT);
  CHECK_EQ(memenv_disk_bytes(m), 8);
  CHECK_EQ(env->sync_dir(m, "/made"), 0);
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  CHECK_EQ(write_text(fd, "F", 4), 0);
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/made/g"), "one File");
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/made/g"), "one file");
  CHECK_EQ(env->unlink(m, "/f"), 0);
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/made/g"), "one File");
  CHECK_EQ(env->rmdir(m, "/made"), ENOTEMPTY);
  CHECK_EQ(env->rename(m, "/made", "/done"), 0);
  for (uint64_t seed = 0; seed < 50; seed++) {
    bool a = *after(MEM_CUT_RANDOM, 0, seed, "/made/g") == 'o';
    bool b = *after(MEM_CUT_RANDOM, 0, seed, "/done/g") == 'o';
    CHECK(a != b);
    old |= a;
    new |= b;
  }
  CHECK(old && new);
  CHECK_EQ(env->mkdir(m, "/full"), 0);
  env->close(m, create("/full/x"));
  CHECK_EQ(env->rename(m, "/done", "/full"), ENOTEMPTY);
  CHECK_EQ(env->unlink(m, "/full/x"), 0);
  CHECK_EQ(env->rename(m, "/done", "/full"), 0);
  CHECK_EQ(env->unlink(m, "/full/g"), 0);
  CHECK_EQ(env->rmdir(m, "/full"), 0);
  CHECK_EQ(env->rmdir(m, "/full"), ENOENT);
  env->close(m, fd);
  CHECK_EQ(memenv_n_open(m), 0);
  memenv_free(m);
}

/* Two pages written, not synced: each may be there without the other, in any of
** its versions; and what was synced before never changes. */
static void pages_are_lost_one_by_one(void) {
  bool seen[2][2] = {{false}};
  char page[MEM_PAGE_SZ];
  struct iovec iov;
  int fd;

  setup();
  fd = create("/f");
  for (uint64_t i = 0; i < 3; i++) {
    memset(page, 'o', sizeof page);
    iov = (struct iovec){page, sizeof page};
    CHECK_EQ(env->pwritev(m, fd, &iov, 1, i * MEM_PAGE_SZ), 0);
  }
  CHECK_EQ(env->fdatasync(m, fd), 0);
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  CHECK_EQ(write_text(fd, "n", 0), 0);
  CHECK_EQ(write_text(fd, "n", MEM_PAGE_SZ), 0);
  for (uint64_t seed = 0; seed < 80; seed++) {
    mem_cut cut = {.kind = MEM_CUT_RANDOM, .n_ops = memenv_log_size(m), .seed = seed};
    memenv *crashed = memenv_crash(m, &cut);
    const uint8_t *d = mem_name_find(crashed->names, crashed->n_names, "/f")->node->data;
    seen[d[0] == 'n'][d[MEM_PAGE_SZ] == 'n'] = true;
    CHECK(d[2 * MEM_PAGE_SZ] == 'o' && d[1] == 'o');
    memenv_free(crashed);
  }
  CHECK(seen[0][0] && seen[0][1] && seen[1][0] && seen[1][1]);
  env->close(m, fd);
  memenv_free(m);
}

static void failed_sync(bool revert) {
  const mem_fault f = {EIO, MEM_CALL_FDATASYNC, 1, false, revert};
  char text[8] = {0};
  size_t got;
  int fd;

  setup();
  fd = create("/f");
  CHECK_EQ(env->sync_dir(m, "/"), 0);
  CHECK_EQ(write_text(fd, "old", 0), 0);
  CHECK_EQ(env->fdatasync(m, fd), 0);
  CHECK_EQ(write_text(fd, "newer", 0), 0);
  memenv_set_fault(m, &f);
  CHECK_EQ(env->fdatasync(m, fd), EIO);
  CHECK(memenv_fault_hit(m));
  CHECK_EQ(env->fdatasync(m, fd), 0); /* and it says that all is well */
  CHECK_TEXT(after(MEM_CUT_SYNCED, 0, 0, "/f"), "old");
  CHECK_EQ(env->pread(m, fd, text, 7, 0, &got), 0);
  CHECK_TEXT(text, revert ? "old" : "newer");
  env->close(m, fd);
  memenv_free(m);
}

static void failed_sync_loses_for_good(void) {
  failed_sync(false);
  failed_sync(true);
}

static void calls_fail_when_told(void) {
  const mem_fault once = {EIO, MEM_CALL_PWRITEV, 2, false, false};
  const mem_fault always = {ENOSPC, MEM_CALL_PWRITEV, 2, true, false};
  int fd;

  setup();
  fd = create("/f");
  memenv_set_fault(m, &once);
  CHECK_EQ(write_text(fd, "1234", 0), 0);
  CHECK_EQ(write_text(fd, "5678", 4), EIO);
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/f"), "1234567"); /* a part of it was written */
  CHECK_EQ(write_text(fd, "5678", 4), 0);
  memenv_set_fault(m, &always);
  CHECK_EQ(write_text(fd, "5678", 4), 0);
  CHECK_EQ(write_text(fd, "9", 8), ENOSPC);
  CHECK_EQ(write_text(fd, "9", 8), ENOSPC);
  memenv_pause_fault(m, true);
  CHECK_EQ(write_text(fd, "9", 8), 0);
  memenv_set_quota(m, 10);
  CHECK_EQ(write_text(fd, "abc", 9), ENOSPC);
  CHECK_TEXT(after(MEM_CUT_KILL, 0, 0, "/f"), "123456789a");
  env->close(m, fd);
  memenv_free(m);
}

static void locks_belong_to_open_files(void) {
  bool held;
  int a, b;

  setup();
  a = create("/f");
  b = create("/f");
  CHECK_EQ(env->lock(m, a, 1, BC_LOCK_EXCLUSIVE), 0);
  CHECK_EQ(env->lock(m, a, 1, BC_LOCK_EXCLUSIVE), 0);
  CHECK_EQ(env->lock(m, b, 1, BC_LOCK_SHARED), EAGAIN);
  CHECK_EQ(env->lock(m, b, 2, BC_LOCK_SHARED), 0);
  CHECK_EQ(env->lock_held(m, b, 1, BC_LOCK_SHARED, &held), 0);
  CHECK(held);
  CHECK_EQ(env->lock(m, a, 1, BC_LOCK_SHARED), 0);
  CHECK_EQ(env->lock(m, b, 1, BC_LOCK_SHARED), 0);
  CHECK_EQ(env->lock(m, b, 1, BC_LOCK_EXCLUSIVE), EAGAIN);
  env->close(m, a);
  CHECK_EQ(env->lock(m, b, 1, BC_LOCK_EXCLUSIVE), 0);
  env->close(m, b);
  memenv_free(m);
}

static void mapped_page_is_the_file(void) {
  char text[8] = {0}, *page;
  void *p;
  size_t got;
  int fd;

  setup();
  fd = create("/state");
  CHECK_EQ(env->truncate(m, fd, MEM_PAGE_SZ), 0);
  CHECK_EQ(env->map(m, fd, MEM_PAGE_SZ, true, &p), 0);
  page = p;
  memcpy(page, "stored", 6);
  CHECK_EQ(env->pread(m, fd, text, 6, 0, &got), 0);
  CHECK_TEXT(text, "stored");
  CHECK_EQ(write_text(fd, "written", 0), 0);
  CHECK(!memcmp(page, "written", 7));
  CHECK_EQ(env->unmap(m, p, MEM_PAGE_SZ), 0);
  env->close(m, fd);
  fd = create("/1.bitcask.data");
  CHECK_EQ(env->map(m, fd, MEM_PAGE_SZ, false, &p), ENOTSUP);
  env->close(m, fd);
  CHECK_EQ(memenv_n_open(m), 0);
  memenv_free(m);
}

int main(void) {
  RUN(synced_is_kept_and_the_rest_is_not);
  RUN(names_are_lost_and_kept);
  RUN(links_and_directories);
  RUN(pages_are_lost_one_by_one);
  RUN(failed_sync_loses_for_good);
  RUN(calls_fail_when_told);
  RUN(locks_belong_to_open_files);
  RUN(mapped_page_is_the_file);
  return test_done();
}
