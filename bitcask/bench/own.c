/*
** own.c - what only our engine has: merge, asked for and by itself, rebuilding the
** keydir, memory a key.
*/
#include "bench.h"
#include "direct.h"
#include "report.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>

#define LEAST_MERGE ((uint64_t)64 << 20) /* bytes, lest the syncs be all that is measured */

static const engine *const columns[] = {&capi_bitcask};

/* Every item is there, in version 2 if it is even and was overwritten. */
static void check_items(bitcask *bc, uint64_t n, bool overwritten) {
  bitcask_buf buf = {0};

  for (uint64_t i = 0; i < n; i++) {
    uint64_t version = direct_get(bc, i, &buf), want = overwritten && i % 2 == 0 ? 2 : 1;

    if (version != want) {
      bench_die("bitcask: item %" PRIu64 " has version %" PRIu64 ", not %" PRIu64, i, version,
                want);
    }
  }
  bitcask_buf_free(&buf);
}

static void check_all(bitcask *bc, uint64_t n) { check_items(bc, n, false); }

/* -------------------------------------------------------------------- rebuild */

static void measure_rebuild(const options *o) {
  char *dir = bench_make_dir(o->dir, "own");
  uint8_t *value = bench_alloc(item_value_sz());
  samples hints = {0}, data = {0}, memory = {0};
  bitcask *bc = direct_open(dir, false, direct_file_size(o->n));
  bitcask_status_info info;
  bitcask_error e;

  for (uint64_t i = 0; i < o->n; i++) {
    direct_put(bc, i, 1, value);
  }
  direct_check(bitcask_status(bc, &info, &e), &e);
  samples_add(&memory, (double)info.keydir_bytes / (double)info.keys);
  direct_close(bc);
  for (unsigned rep = 0; rep < o->reps; rep++) {
    samples_add(&hints, direct_rebuild(o->dir, dir, true, o->n, check_all));
    samples_add(&data, direct_rebuild(o->dir, dir, false, o->n, check_all));
  }
  report_row("memory of the keydir a key", "bytes", &memory, 56);
  report_row("open from hints", "M keys/s", &hints, 10);
  report_row("open from data", "M keys/s", &data, 4);
  bench_remove_dir(dir);
  free(dir);
  free(value);
}

/* ---------------------------------------------------------------------- merge */

/* Gets and puts that go on while a merge runs. */
typedef struct bystander {
  pthread_t thread;
  bitcask *bc;
  uint64_t n;
  uint64_t longest_ns;
  atomic_bool stop;
} bystander;

/* Puts are of the odd items, in their own version: nothing for check_items. */
static void *stand_by(void *arg) {
  bystander *b = arg;
  uint8_t *value = bench_alloc(item_value_sz());
  bitcask_buf buf = {0};
  rng r = {7};

  while (!atomic_load(&b->stop)) {
    uint64_t item = rng_below(&r, b->n), start = bench_now_ns(), ns;

    if (item % 8 == 1) {
      direct_put(b->bc, item, 1, value);
    } else {
      direct_get(b->bc, item, &buf);
    }
    ns = bench_now_ns() - start;
    b->longest_ns = ns > b->longest_ns ? ns : b->longest_ns;
  }
  bitcask_buf_free(&buf);
  free(value);
  return NULL;
}

/* The sealed files that are half dead; *bytes is their size. */
static uint32_t *half_dead_files(bitcask *bc, size_t *n_ids, uint64_t *bytes) {
  bitcask_file_stat *files;
  bitcask_error e;
  uint32_t *ids;
  size_t n;

  direct_check(bitcask_files(bc, &files, &n, &e), &e);
  ids = bench_alloc(n * sizeof *ids);
  *n_ids = 0;
  *bytes = 0;
  for (size_t i = 0; i < n; i++) {
    if (files[i].state == BITCASK_FILE_IMMUTABLE && files[i].fragmented >= 45) {
      ids[(*n_ids)++] = files[i].file_id;
      *bytes += files[i].total_bytes;
    }
  }
  bitcask_files_free(files);
  if (*n_ids < N_FILES / 2) {
    bench_die("only %zu files are half dead", *n_ids);
  }
  return ids;
}

/* A directory of n items in order, then the even ones again: the files of the
** first pass are half dead, evenly. */
static bitcask *make_half_dead(const char *dir, uint64_t n) {
  uint8_t *value = bench_alloc(item_value_sz());
  bitcask *bc = direct_open(dir, false, direct_file_size(n));
  bitcask_error e;

  for (uint64_t i = 0; i < n; i++) {
    direct_put(bc, i, 1, value);
  }
  for (uint64_t i = 0; i < n; i += 2) {
    direct_put(bc, i, 2, value);
  }
  direct_check(bitcask_sync(bc, &e), &e);
  free(value);
  return bc;
}

static uint64_t items_to_merge(const options *o) {
  uint64_t least = LEAST_MERGE / (14 + KEY_SZ + item_value_sz());
  return o->n > least ? o->n : least;
}

/* MB of input a second; with a bystander, its longest wait in milliseconds. */
static double merge(const options *o, bool with_bystander) {
  char *dir = bench_make_dir(o->dir, "merge");
  uint64_t n = items_to_merge(o);
  bitcask *bc = make_half_dead(dir, n);
  bystander b = {.bc = bc, .n = n};
  bitcask_merge_options mo = {.kind = BITCASK_MERGE_FILES};
  bitcask_error e;
  uint64_t bytes, ns;
  uint32_t *ids = half_dead_files(bc, &mo.n_file_ids, &bytes);

  mo.file_ids = ids;
  if (with_bystander && pthread_create(&b.thread, NULL, stand_by, &b)) {
    bench_die("no threads");
  }
  ns = bench_now_ns();
  direct_check(bitcask_merge(bc, &mo, NULL, &e), &e);
  ns = bench_now_ns() - ns;
  if (with_bystander) {
    atomic_store(&b.stop, true);
    if (pthread_join(b.thread, NULL)) {
      bench_die("a thread is lost");
    }
  }
  check_items(bc, n, true);
  direct_close(bc);
  bench_remove_dir(dir);
  free(ids);
  free(dir);
  return with_bystander ? (double)b.longest_ns / 1e6 : (double)bytes * 1e3 / (double)ns;
}

static void measure_merge(const options *o) {
  samples speed = {0}, longest = {0};

  for (unsigned rep = 0; rep < o->reps; rep++) {
    samples_add(&speed, merge(o, false));
    samples_add(&longest, merge(o, true));
  }
  report_row("merge, 50 % dead", "MB/s", &speed, item_value_sz() >= 1024 ? 700 : 450);
  report_row("longest get or put in a merge", "ms", &longest, 5);
}

/* -------------------------------------------------------------- merging by itself */

#define OVERWRITES 6  /* for each item */
#define LOOKS 200     /* at the disk */
#define READ_EVERY 4u /* puts */

/* Random overwrites, and gets among them, for several times the data. */
typedef struct overwriting {
  double ns;         /* a put, with all that it sets off */
  double longest_ms; /* put or get */
  double disk;       /* the most bytes of data files, over the bound */
} overwriting;

static double disk_share(bitcask *bc, uint64_t max_file_size) {
  bitcask_file_stat *files;
  double total = 0, live = 0;
  bitcask_error e;
  size_t n;

  direct_check(bitcask_files(bc, &files, &n, &e), &e);
  for (size_t i = 0; i < n; i++) {
    total += (double)files[i].total_bytes;
    live += (double)files[i].live_bytes;
  }
  bitcask_files_free(files);
  return total / (2.5 * live + 2 * (double)max_file_size);
}

static overwriting overwrite(const options *o, bool merges) {
  char *dir = bench_make_dir(o->dir, "overwriting");
  uint64_t n = items_to_merge(o), size = direct_file_size(n), spent = 0;
  uint8_t *value = bench_alloc(item_value_sz());
  bitcask *bc = direct_open_merging(dir, merges, size);
  bitcask_buf buf = {0};
  overwriting result = {0};
  rng r = {8};

  for (uint64_t i = 0; i < n; i++) {
    direct_put(bc, i, 1, value);
  }
  for (uint64_t i = 0; i < n * OVERWRITES; i++) {
    uint64_t start = bench_now_ns(), item = rng_below(&r, n), ns;

    if (i % READ_EVERY == 0) {
      direct_get(bc, item, &buf);
    } else {
      direct_put(bc, item, 2, value);
    }
    ns = bench_now_ns() - start;
    spent += ns;
    if ((double)ns / 1e6 > result.longest_ms) {
      result.longest_ms = (double)ns / 1e6;
    }
    if (i % (n * OVERWRITES / LOOKS) == 0) {
      double share = disk_share(bc, size);
      result.disk = share > result.disk ? share : result.disk;
    }
  }
  result.ns = (double)spent / (double)(n * OVERWRITES);
  direct_close(bc);
  bitcask_buf_free(&buf);
  bench_remove_dir(dir);
  free(value);
  free(dir);
  return result;
}

static void measure_overwriting(const options *o) {
  samples disk = {0}, longest = {0}, longest_without = {0}, cost = {0};

  for (unsigned rep = 0; rep < o->reps; rep++) {
    overwriting with = overwrite(o, true), without = overwrite(o, false);
    samples_add(&disk, with.disk);
    samples_add(&longest, with.longest_ms);
    samples_add(&longest_without, without.longest_ms);
    samples_add(&cost, without.ns / with.ns);
  }
  report_row("overwriting, merging by itself: disk", "of 2.5 live + 2 files", &disk, 1);
  report_row("  the same: longest get or put", "ms", &longest, 5);
  report_row("  without merging: longest get or put", "ms", &longest_without, 0);
  report_row("  speed of that without", "x", &cost, 0);
}

void own_run(const options *o) {
  bool rebuild_wanted = bench_wanted(o, "open from hints, open from data, memory");
  bool merge_wanted = bench_wanted(o, "merge, 50 % dead, longest get or put in a merge");
  bool overwriting_wanted = bench_wanted(o, "overwriting, merging by itself");

  if (rebuild_wanted || merge_wanted || overwriting_wanted) {
    report_head("Our engine alone", columns, 1);
  }
  if (rebuild_wanted) {
    measure_rebuild(o);
  }
  if (merge_wanted) {
    measure_merge(o);
  }
  if (overwriting_wanted) {
    measure_overwriting(o);
  }
}
