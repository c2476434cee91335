/*
** test_bitflips.c - every single bit of a small directory flipped, one at a time:
** a get gives the true value, or says that there is none, or fails.  It never
** gives a wrong or an older value, and no other key suffers (RELIABILITY: R1, R2).
**
** The directory has keys overwritten within a file and over files, deleted keys,
** batches, a sealed file with a hint and the active file.
*/
#include "bitcask.h"
#include "engine.h"
#include "memenv.h"
#include "test.h"

enum { N_KEYS = 12, MAX_FILES = 12, MAX_SZ = 8192 };

typedef struct image {
  char path[64];
  uint8_t bytes[MAX_SZ];
  size_t n;
} image;

static image files[MAX_FILES];
static size_t n_files;
static char want[N_KEYS][32]; /* "": deleted or never there */

static void put(bitcask_txn *txn, int key, const char *value) {
  char name[16];
  size_t n = (size_t)snprintf(name, sizeof name, "key-%d", key);
  bitcask_error e;
  if (*value)
    CHECK_OK(bitcask_txn_put(txn, name, n, value, strlen(value), &e), &e);
  else
    CHECK_OK(bitcask_txn_delete(txn, name, n, &e), &e);
  snprintf(want[key], sizeof want[key], "%s", value);
}

static void commit(bitcask *bc, const char *what, int first, int n) {
  bitcask_txn *txn;
  bitcask_error e;
  char value[32];
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (int i = first; i < first + n; i++) {
    snprintf(value, sizeof value, "%s %d", what, i);
    put(txn, i, *what ? value : "");
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
}

static int keep(void *arg, const char *name) {
  const bc_env *env = arg;
  image *f = &files[n_files];
  int fd;
  snprintf(f->path, sizeof f->path, "/disk/kv/%s", name);
  CHECK_EQ(env->open(env->ctx, f->path, BC_OPEN_READ, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, f->bytes, sizeof f->bytes, 0, &f->n), 0);
  env->close(env->ctx, fd);
  n_files++;
  return 0;
}

static void make_directory(void) {
  memenv *m = memenv_new(1);
  const bc_env *env = memenv_env(m);
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  o.max_file_size = 400;
  CHECK_OK(bc_open_env("/disk/kv", &o, env, &bc, &e), &e);
  bc_save_early(bc);
  commit(bc, "first", 0, 6);
  commit(bc, "second", 2, 1);
  commit(bc, "", 3, 1);
  commit(bc, "third", 1, 4);
  commit(bc, "fourth", 4, 1);
  commit(bc, "", 5, 1);
  commit(bc, "fifth", 8, 2);
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_EQ(env->list(env->ctx, "/disk/kv", keep, (void *)(uintptr_t)env), 0);
  memenv_free(m);
}

/* How many keys are not as they should be; wrong values fail at once. */
static int count_refused(bitcask *bc, const char *what, size_t bit) {
  bitcask_buf value = {0};
  bitcask_error e;
  char name[16];
  int refused = 0;

  for (int i = 0; i < N_KEYS && bc; i++) {
    int rc = bitcask_get(bc, name, (size_t)snprintf(name, sizeof name, "key-%d", i), &value, &e);
    size_t n = strlen(want[i]);
    if (!rc && (value.size != n || memcmp(value.data, want[i], n) || !n)) {
      TEST_FAIL("%s, bit %zu: key-%d is '%.*s', not '%s'", what, bit, i, (int)value.size,
                (const char *)value.data, want[i]);
    }
    refused += rc && n;
  }
  bitcask_buf_free(&value);
  return refused;
}

/* The rows of the history lie side by side, damage being one of them. */
static void check_history(bitcask *bc, const char *what, size_t bit) {
  bitcask_snapshot *snap;
  bitcask_history *h;
  bitcask_record r;
  bitcask_error e;
  uint32_t file_id = 0;
  uint64_t end = 0;
  int rc;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_history_open(snap, &h, &e), &e);
  while (!(rc = bitcask_history_next(h, &r, &e))) {
    if (r.entry.file_id != file_id) end = 0;
    if (r.entry.offset != end) {
      TEST_FAIL("%s, bit %zu: a row at %u:%" PRIu64 ", not at %" PRIu64, what, bit, r.entry.file_id,
                r.entry.offset, end);
    }
    file_id = r.entry.file_id;
    end += r.size;
  }
  CHECK_RC(rc, BITCASK_NOTFOUND, &e);
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
}

/* A copy is as good as the damaged directory, no worse. */
static void check_copy(bitcask *bc, const bc_env *env, const char *what, size_t bit, int refused) {
  bitcask_options o;
  bitcask_error e;
  bitcask *copy = NULL;
  int of_copy;

  CHECK_OK(bitcask_backup(bc, "/disk/copy", NULL, NULL, NULL, &e), &e);
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = true;
  CHECK_OK(bc_open_env("/disk/copy", &o, env, &copy, &e), &e);
  of_copy = count_refused(copy, what, bit);
  if (of_copy > refused) {
    TEST_FAIL("%s, bit %zu: %d keys lost in a copy, %d before", what, bit, of_copy, refused);
  }
  CHECK_OK(bitcask_close(copy, &e), &e);
}

static int count_lost(const char *what, size_t bit) {
  memenv *m = memenv_new(2);
  const bc_env *env = memenv_env(m);
  bitcask_options o;
  bitcask_error e;
  bitcask *bc = NULL;
  int lost;

  env->mkdir(env->ctx, "/disk");
  CHECK_EQ(env->mkdir(env->ctx, "/disk/kv"), 0);
  for (size_t i = 0; i < n_files; i++) {
    memenv_write_file(m, files[i].path, files[i].bytes, files[i].n);
  }
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = true;
  if (bc_open_env("/disk/kv", &o, env, &bc, &e)) {
    TEST_FAIL("%s, bit %zu: %s", what, bit, e.text);
  }
  lost = count_refused(bc, what, bit);
  if (bc) {
    check_history(bc, what, bit);
    check_copy(bc, env, what, bit, lost);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
  memenv_free(m);
  return lost;
}

static void every_bit_flipped(void) {
  unsigned long n_flips = 0, n_lost = 0;

  make_directory();
  CHECK_EQ(count_lost("nothing flipped", 0), 0);
  for (size_t i = 0; i < n_files && test_bad < 20; i++) {
    image *f = &files[i];
    bool is_data = strstr(f->path, ".data") != NULL;
    for (size_t bit = 0; bit < f->n * 8 && test_bad < 20; bit++, n_flips++) {
      int lost;
      f->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      lost = count_lost(f->path, bit);
      f->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
      if (lost > is_data) TEST_FAIL("%s, bit %zu: %d keys lost", f->path, bit, lost);
      n_lost += (unsigned long)lost;
    }
  }
  printf("  %lu bits flipped in %zu files, %lu gets refused\n", n_flips, n_files, n_lost);
}

/* A file cut short anywhere: what is still whole is found, and nothing is wrong. */
static void every_truncation(void) {
  for (size_t i = 0; i < n_files && test_bad < 20; i++) {
    size_t n = files[i].n;
    if (!strstr(files[i].path, ".data")) continue;
    for (files[i].n = 0; files[i].n < n; files[i].n++) {
      /* An older value in a file below may show: the newer one is not there. */
      memenv *m = memenv_new(3);
      const bc_env *env = memenv_env(m);
      bitcask_options o;
      bitcask_error e;
      bitcask *bc;
      uint64_t n_problems;
      env->mkdir(env->ctx, "/disk");
      CHECK_EQ(env->mkdir(env->ctx, "/disk/kv"), 0);
      for (size_t k = 0; k < n_files; k++) {
        memenv_write_file(m, files[k].path, files[k].bytes, files[k].n);
      }
      bitcask_options_init(&o);
      o.auto_merge = false;
      CHECK_OK(bc_open_env("/disk/kv", &o, env, &bc, &e), &e);
      CHECK_OK(bitcask_put(bc, "new", 3, "value", 5, &e), &e);
      CHECK_OK(bitcask_verify(bc, NULL, NULL, NULL, &n_problems, &e), &e);
      check_history(bc, files[i].path, files[i].n * 8);
      CHECK_OK(bitcask_close(bc, &e), &e);
      memenv_free(m);
    }
    files[i].n = n;
  }
}

int main(void) {
  RUN(every_bit_flipped);
  RUN(every_truncation);
  return test_done();
}
