/*
** test_fulldisk.c - a disk that is full: nothing acknowledged is lost, and
** deleting and merging makes room again.
**
** On a disk in RAM with a quota; and, where mounting is permitted, on a tmpfs of
** 4 MiB.
*/
#include "test.h"

#include "engine.h"
#include "memenv_int.h"
#include "model.h"
#include "tempdir.h"

#include <sys/mount.h>

enum { DISK_SZ = 4 << 20, VALUE_SZ = 10000, KEY_SPAN = 200 };

static void expect(bitcask *bc, const model *want, const char *when) {
  bitcask_snapshot *snap;
  model got = {0};
  bitcask_error e = {0};
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  bad = model_read(&got, snap);
  bitcask_snapshot_close(snap);
  if (bad) TEST_FAIL("%s: %s", when, bad);
  if (!model_equal(want, &got)) {
    TEST_FAIL("%s: something was lost", when);
    model_print_diff(want, &got);
  }
  model_clear(&got);
}

/* Overwrites keys in turn until the disk is full; how many puts worked. */
static unsigned fill(bitcask *bc, model *m, unsigned round) {
  static char value[VALUE_SZ];
  bitcask_error e = {0};
  char key[16];
  unsigned n = 0;
  int rc = 0;

  for (; n < 2000; n++) {
    size_t k = (size_t)sprintf(key, "key%u", n % KEY_SPAN);
    memset(value, (int)('a' + (n + round) % 26), VALUE_SZ);
    if ((rc = bitcask_put(bc, key, k, value, VALUE_SZ, &e))) break;
    model_put(m, key, k, value, VALUE_SZ, 0);
  }
  CHECK_RC(rc, BITCASK_FULL, &e);
  CHECK_EQ(e.os_errno, ENOSPC);
  return n;
}

/* A transaction that does not fit leaves nothing behind. */
static void try_batch(bitcask *bc) {
  static char value[VALUE_SZ];
  bitcask_txn *txn;
  bitcask_error e = {0};
  char key[16];

  int rc = bitcask_begin(bc, 0, &txn, &e);
  if (rc) {
    CHECK_RC(rc, BITCASK_FULL, &e);
    return;
  }
  for (int i = 0; i < 500; i++) {
    CHECK_OK(bitcask_txn_put(txn, key, (size_t)sprintf(key, "key%d", i), value, VALUE_SZ, &e), &e);
  }
  CHECK_RC(bitcask_txn_prepare(txn, &e), BITCASK_FULL, &e);
  bitcask_txn_rollback(txn);
}

/* Deletes have to work on a full disk as soon as a merge has freed anything. */
static void make_room(bitcask *bc, model *m) {
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  bitcask_merge_result result = {0};
  bitcask_error e = {0};
  char key[16];

  CHECK_OK(bitcask_merge(bc, &o, &result, &e), &e);
  CHECK(result.freed_bytes > 0);
  expect(bc, m, "after a merge on the full disk");
  for (unsigned i = 0; i < KEY_SPAN; i += 2) {
    size_t k = (size_t)sprintf(key, "key%u", i);
    CHECK_OK(bitcask_delete(bc, key, k, &e), &e);
    model_delete(m, key, k);
  }
  CHECK_OK(bitcask_merge(bc, &o, &result, &e), &e);
  CHECK(result.freed_bytes > 50 * VALUE_SZ);
  expect(bc, m, "after deleting half and a merge");
}

static void fill_and_recover(const char *dir, const bc_env *env) {
  model m = {0};
  bitcask_options o;
  bitcask *bc;
  bitcask_error e = {0};

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  o.max_file_size = 256 << 10;
  o.sync = BITCASK_SYNC_NORMAL;
  CHECK_OK(bc_open_env(dir, &o, env, &bc, &e), &e);
  for (unsigned round = 0; round < 3; round++) {
    unsigned n = fill(bc, &m, round);
    CHECK(n > 50);
    expect(bc, &m, "on the full disk");
    try_batch(bc);
    expect(bc, &m, "after a transaction that did not fit");
    if (round == 1) {
      bitcask_close(bc, NULL); /* may fail: no room for what it would like to write */
      CHECK_OK(bc_open_env(dir, &o, env, &bc, &e), &e);
      expect(bc, &m, "after reopening on the full disk");
    }
    make_room(bc, &m);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_OK(bc_open_env(dir, &o, env, &bc, &e), &e);
  expect(bc, &m, "at the end");
  CHECK_OK(bitcask_close(bc, &e), &e);
  model_clear(&m);
}

static void quota(void) {
  memenv *m = memenv_new(3);

  memenv_set_quota(m, DISK_SZ);
  fill_and_recover("/kv", memenv_env(m));
  CHECK_EQ(memenv_n_open(m), 0);
  memenv_free(m);
}

static void tmpfs(void) {
  char dir[] = "/tmp/bitcask-full-XXXXXX", sub[64];

  CHECK(mkdtemp(dir) != NULL);
  snprintf(sub, sizeof sub, "%s/kv", dir);
  if (mount("tmpfs", dir, "tmpfs", 0, "size=4m")) {
    CHECK(errno == EPERM || errno == EACCES);
    printf("  mounting is not permitted here: the quota alone shows a full disk\n");
  } else {
    fill_and_recover(sub, &bc_env_posix);
    CHECK_EQ(umount(dir), 0);
  }
  CHECK_EQ(rmdir(dir), 0);
}

/* More pieces than the kernel takes in one call: each of them gets to its place. */
static void many_pieces_are_one_write(void) {
  enum { N = 3000 };
  static uint16_t piece[N], got[N];
  static struct iovec iov[N];
  char *dir = tempdir_make(), path[4096];
  size_t n = 0;
  int fd;

  for (int i = 0; i < N; i++) {
    piece[i] = (uint16_t)i;
    iov[i] = (struct iovec){&piece[i], sizeof piece[i]};
  }
  snprintf(path, sizeof path, "%s/file", dir);
  CHECK_EQ(bc_env_posix.open(NULL, path, BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), 0);
  CHECK_EQ(bc_env_posix.pwritev(NULL, fd, iov, N, 0), 0);
  CHECK_EQ(bc_env_posix.pread(NULL, fd, got, sizeof got, 0, &n), 0);
  CHECK_MEM(got, n, piece, sizeof piece);
  CHECK_EQ(bc_env_posix.close(NULL, fd), 0);
  tempdir_remove(dir);
}

int main(void) {
  RUN(many_pieces_are_one_write);
  RUN(quota);
  RUN(tmpfs);
  return test_done();
}
