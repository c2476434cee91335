/*
** test_checkpoint.c - a checkpoint that is damaged, old, or of another directory
** costs time and nothing else: every key reads as the log has it, in the first
** handle and in the next (RELIABILITY: R1, R2).
**
** FLIPS=n flips n random bits of the large checkpoint instead of 1,000.
*/
#include "engine.h"
#include "memenv_int.h"
#include "model.h"
#include "test.h"

enum { MAX_FILES = 24, SMALL_FILE = 4000, LARGE_FILE = 100000 };

static const char DIR_NAME[] = "/disk/kv";
static const char KEYDIR[] = "/disk/kv/bitcask.keydir";

typedef struct image {
  char path[64];
  uint8_t *bytes;
  size_t n;
} image;

/* A directory's files, and what is in it. */
typedef struct kept {
  image files[MAX_FILES];
  size_t n_files;
  image *keydir; /* one of the files */
  model want;
  char stats[2048]; /* of the files, as the log alone gives them */
} kept;

static uint64_t max_file_size;
static const char *prefix = "key"; /* of all keys */

static bitcask *open_dir(memenv *m, bool read_only) {
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc = NULL;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = !read_only;
  o.read_only = read_only;
  o.max_file_size = max_file_size;
  CHECK_OK(bc_open_env(DIR_NAME, &o, memenv_env(m), &bc, &e), &e);
  return bc;
}

static void close_dir(bitcask *bc) {
  bitcask_error e = {0};
  CHECK_OK(bitcask_close(bc, &e), &e);
}

/* ------------------------------------------------------------- making directories */

/* `key_sz` bytes that begin with the number. */
static size_t key_text(char *out, unsigned key, size_t key_sz) {
  size_t n = (size_t)sprintf(out, "%s-%u-", prefix, key);
  if (n < key_sz) memset(out + n, 'k', key_sz - n);
  return n < key_sz ? key_sz : n;
}

/* Writes keys first, first + step, ... below `end`: puts `what`, or deletes if that
** is NULL; and notes it in `want`. */
static void write_keys(bitcask *bc, model *want, const char *what, unsigned first, unsigned step,
                       unsigned end, size_t key_sz) {
  bitcask_error e = {0};
  char key[1100], value[64];

  for (unsigned i = first; i < end; i += step) {
    size_t n = key_text(key, i, key_sz);
    if (what) {
      size_t k = (size_t)sprintf(value, "%s %u", what, i);
      CHECK_OK(bitcask_put(bc, key, n, value, k, &e), &e);
      model_put(want, key, n, value, k, 0);
    } else {
      CHECK_OK(bitcask_delete(bc, key, n, &e), &e);
      model_delete(want, key, n);
    }
  }
}

/* A directory whose checkpoint has all but the last few records, and whose files
** have overwritten and deleted keys before and after it. */
static memenv *make_directory(model *want, unsigned n_keys, size_t key_sz) {
  memenv *m = memenv_new(1);
  bitcask *bc;

  max_file_size = key_sz < 100 ? SMALL_FILE : LARGE_FILE;
  bc = open_dir(m, false);
  bc_save_early(bc);
  write_keys(bc, want, "first", 0, 1, n_keys, key_sz);
  write_keys(bc, want, "second", 0, 3, n_keys, key_sz);
  write_keys(bc, want, NULL, 0, 7, n_keys, key_sz);
  close_dir(bc);
  return m;
}

static void write_tail(memenv *m, model *want, unsigned n_keys, size_t key_sz) {
  bitcask *bc = open_dir(m, false);

  write_keys(bc, want, "tail", 1, 9, n_keys, key_sz);
  write_keys(bc, want, NULL, 2, 11, n_keys, key_sz);
  write_keys(bc, want, "new", n_keys, 1, n_keys + 3, key_sz);
  close_dir(bc);
}

static void read_file(const bc_env *env, image *f) {
  bc_stat st;
  int fd;

  CHECK_EQ(env->stat(env->ctx, f->path, &st), 0);
  f->bytes = mem_alloc((size_t)st.size + 1);
  CHECK_EQ(env->open(env->ctx, f->path, BC_OPEN_READ, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, f->bytes, (size_t)st.size, 0, &f->n), 0);
  env->close(env->ctx, fd);
}

static int keep_one(void *arg, const char *name) {
  kept *k = arg;
  if (k->n_files == MAX_FILES) abort();
  snprintf(k->files[k->n_files].path, sizeof k->files[0].path, "%s/%s", DIR_NAME, name);
  k->n_files++;
  return 0;
}

/* The directory as it is now, in place of what was kept.  Without a checkpoint the
** tests would test nothing. */
static void keep(kept *k, memenv *m) {
  const bc_env *env = memenv_env(m);

  CHECK_EQ(env->list(env->ctx, DIR_NAME, keep_one, k), 0);
  for (size_t i = 0; i < k->n_files; i++) {
    read_file(env, &k->files[i]);
    if (!strcmp(k->files[i].path, KEYDIR)) k->keydir = &k->files[i];
  }
  if (!k->keydir) {
    TEST_FAIL("closing has written no checkpoint");
    exit(1);
  }
}

/* What is told of each file. */
static void print_stats(bitcask *bc, char *out, size_t cap) {
  bitcask_file_stat *f = NULL;
  bitcask_error e = {0};
  size_t n = 0, at = 0;

  CHECK_OK(bitcask_files(bc, &f, &n, &e), &e);
  out[0] = 0;
  for (size_t i = 0; i < n && at < cap; i++) {
    at += (size_t)snprintf(out + at, cap - at, "%u: %d %d %d", f[i].file_id, f[i].state,
                           f[i].has_hint, f[i].damaged);
    if (at >= cap) break;
    at += (size_t)snprintf(out + at, cap - at,
                           " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64 " %" PRIu64
                           " %u %u\n",
                           f[i].total_bytes, f[i].live_bytes, f[i].tombstone_bytes, f[i].total_keys,
                           f[i].live_keys, f[i].tombstones, f[i].oldest_tstamp, f[i].newest_tstamp);
  }
  CHECK(at < cap);
  bitcask_files_free(f);
}

static void release(kept *k) {
  for (size_t i = 0; i < k->n_files; i++) free(k->files[i].bytes);
  model_clear(&k->want);
}

static memenv *lay_out(const kept *k) {
  memenv *m = memenv_new(2);
  const bc_env *env = memenv_env(m);

  CHECK_EQ(env->mkdir(env->ctx, "/disk"), 0);
  CHECK_EQ(env->mkdir(env->ctx, DIR_NAME), 0);
  for (size_t i = 0; i < k->n_files; i++) {
    memenv_write_file(m, k->files[i].path, k->files[i].bytes, k->files[i].n);
  }
  return m;
}

/* ------------------------------------------------------------------- checking */

static void compare(bitcask *bc, const model *want, const char *what, size_t at) {
  bitcask_snapshot *snap = NULL;
  bitcask_status_info info;
  bitcask_error e = {0};
  model got = {0};
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  bad = snap ? model_read(&got, snap) : "no snapshot";
  if (bad) TEST_FAIL("%s %zu: %s", what, at, bad);
  if (!bad && !model_equal(want, &got)) {
    TEST_FAIL("%s %zu: something else is there", what, at);
    model_print_diff(want, &got);
  }
  bitcask_snapshot_close(snap);
  CHECK_OK(bitcask_status(bc, &info, &e), &e);
  CHECK_EQ(info.keys, want->n);
  model_clear(&got);
}

static void compare_stats(bitcask *bc, const kept *k, const char *what, size_t at) {
  char stats[sizeof k->stats];

  print_stats(bc, stats, sizeof stats);
  if (strcmp(stats, k->stats) != 0) {
    TEST_FAIL("%s %zu: the files are told of as\n%snot\n%s", what, at, stats, k->stats);
  }
}

/* What must be told of the files: as it is without a checkpoint. */
static void learn_stats(kept *k) {
  size_t n = k->keydir->n;
  memenv *m;
  bitcask *bc;

  k->keydir->n = 0;
  m = lay_out(k);
  bc = open_dir(m, true);
  compare(bc, &k->want, "without a checkpoint", 0);
  print_stats(bc, k->stats, sizeof k->stats);
  close_dir(bc);
  memenv_free(m);
  k->keydir->n = n;
}

/* Opened by a reader, then by a writer that writes, then once more. */
static void check_directory(const kept *k, const char *what, size_t at) {
  memenv *m = lay_out(k);
  model want = {0};
  bitcask *bc = open_dir(m, true);

  if (bc) {
    compare(bc, &k->want, what, at);
    compare_stats(bc, k, what, at);
    close_dir(bc);
  }
  model_copy(&want, &k->want);
  if ((bc = open_dir(m, false))) {
    write_keys(bc, &want, "again", 4, 1, 5, 0);
    compare(bc, &want, what, at);
    close_dir(bc);
  }
  if ((bc = open_dir(m, true))) {
    compare(bc, &want, what, at);
    close_dir(bc);
  }
  if (memenv_n_open(m)) TEST_FAIL("%s %zu: descriptors left open", what, at);
  model_clear(&want);
  memenv_free(m);
}

static void make_small(kept *k) {
  memenv *m;

  *k = (kept){0};
  m = make_directory(&k->want, 40, 0);
  write_tail(m, &k->want, 40, 0);
  keep(k, m);
  memenv_free(m);
}

static void every_bit_flipped(void) {
  kept k;
  size_t n_bits;

  make_small(&k);
  learn_stats(&k);
  check_directory(&k, "nothing flipped", 0);
  n_bits = k.keydir->n * 8;
  for (size_t bit = 0; bit < n_bits && test_bad < 20; bit++) {
    k.keydir->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    check_directory(&k, "bit", bit);
    k.keydir->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  printf("  %zu bits flipped\n", n_bits);
  release(&k);
}

static void every_truncation(void) {
  kept k;
  size_t n;

  make_small(&k);
  learn_stats(&k);
  n = k.keydir->n;
  for (k.keydir->n = 0; k.keydir->n < n && test_bad < 20; k.keydir->n++) {
    check_directory(&k, "cut at", k.keydir->n);
  }
  release(&k);
}

/* What a disk does to whole sectors: zeroed, or another one's content. */
static void sectors_lost_and_swapped(void) {
  kept k;
  uint8_t saved[2 * MEM_SECTOR_SZ];

  make_small(&k);
  learn_stats(&k);
  for (size_t at = 0; at + sizeof saved <= k.keydir->n && test_bad < 20; at += MEM_SECTOR_SZ) {
    uint8_t *p = k.keydir->bytes + at;
    memcpy(saved, p, sizeof saved);
    memset(p, 0, MEM_SECTOR_SZ);
    check_directory(&k, "zeros at", at);
    memcpy(p, saved + MEM_SECTOR_SZ, MEM_SECTOR_SZ);
    memcpy(p + MEM_SECTOR_SZ, saved, MEM_SECTOR_SZ);
    check_directory(&k, "swapped at", at);
    memcpy(p, saved, sizeof saved);
  }
  release(&k);
}

/* Long keys: many segments.  Each is checked by itself, when it is first used. */
static void random_bits_of_many_segments(void) {
  const char *s = getenv("SEED"), *f = getenv("FLIPS");
  uint64_t rng = s ? strtoull(s, NULL, 10) : 1;
  memenv *m;
  kept k = {0};

  m = make_directory(&k.want, 300, 1000);
  write_tail(m, &k.want, 300, 1000);
  keep(&k, m);
  memenv_free(m);
  CHECK(k.keydir->n > (size_t)200 << 10);
  learn_stats(&k);
  check_directory(&k, "nothing flipped", 0);
  for (long i = f ? atol(f) : 1000; i > 0 && test_bad < 20; i--) {
    size_t bit = mem_random(&rng) % (k.keydir->n * 8);
    k.keydir->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
    check_directory(&k, "bit", bit);
    k.keydir->bytes[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  release(&k);
}

/* ------------------------------------------------- whole, but not of this directory */

/* Puts the checkpoint of `from` in the directory of `k`. */
static void exchange_keydir(kept *k, const kept *from) {
  free(k->keydir->bytes);
  k->keydir->n = from->keydir->n;
  k->keydir->bytes = mem_alloc(from->keydir->n);
  memcpy(k->keydir->bytes, from->keydir->bytes, from->keydir->n);
}

static void merge_all(bitcask *bc) {
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e = {0};
  CHECK_OK(bitcask_merge(bc, &o, NULL, &e), &e);
}

/* A checkpoint from before writes, deletions and merges, as a backup may bring. */
static void old_checkpoint(void) {
  for (unsigned n_merges = 0; n_merges < 4 && test_bad < 20; n_merges++) {
    kept before = {0}, after = {0};
    memenv *m = make_directory(&after.want, 60, 0);
    bitcask *bc;

    keep(&before, m);
    bc = open_dir(m, false);
    bc_save_early(bc);
    for (unsigned i = 0; i < n_merges; i++) {
      write_keys(bc, &after.want, "later", i, 4, 60, 0);
      write_keys(bc, &after.want, NULL, i + 1, 5, 60, 0);
      merge_all(bc);
    }
    write_keys(bc, &after.want, "last", 3, 8, 60, 0);
    close_dir(bc);
    keep(&after, m);
    memenv_free(m);
    learn_stats(&after);
    exchange_keydir(&after, &before);
    check_directory(&after, "old, merges:", n_merges);
    release(&before);
    release(&after);
  }
}

/* The other way round: a newer checkpoint over the files of an older backup. */
static void checkpoint_of_the_future(void) {
  kept before = {0}, after = {0};
  memenv *m = make_directory(&before.want, 60, 0);
  model ignored = {0};

  keep(&before, m);
  for (size_t i = 0; i < 3; i++) write_tail(m, &ignored, 60 + (unsigned)i * 20, 0);
  {
    bitcask *bc = open_dir(m, false);
    bc_save_early(bc);
    write_keys(bc, &ignored, "future", 0, 1, 60, 0);
    close_dir(bc);
  }
  keep(&after, m);
  memenv_free(m);
  learn_stats(&before);
  exchange_keydir(&before, &after);
  check_directory(&before, "of the future", 0);
  model_clear(&ignored);
  release(&before);
  release(&after);
}

/* Files of the same names and sizes, and other keys in them. */
static void checkpoint_of_another_directory(void) {
  kept one = {0}, other = {0};
  memenv *m = make_directory(&one.want, 60, 0);

  keep(&one, m);
  memenv_free(m);
  prefix = "kez";
  m = make_directory(&other.want, 60, 0);
  prefix = "key";
  keep(&other, m);
  memenv_free(m);
  learn_stats(&one);
  exchange_keydir(&one, &other);
  check_directory(&one, "of another directory", 0);
  release(&one);
  release(&other);
}

int main(void) {
  RUN(every_bit_flipped);
  RUN(every_truncation);
  RUN(sectors_lost_and_swapped);
  RUN(random_bits_of_many_segments);
  RUN(old_checkpoint);
  RUN(checkpoint_of_the_future);
  RUN(checkpoint_of_another_directory);
  return test_done();
}
