/*
** own.c - what only our engine has: merge, rebuilding the keydir, memory a key.
*/
#include "bench.h"
#include "plan.h"
#include "report.h"

#include "bitcask.h"

#include <dirent.h>
#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#define N_FILES 8                        /* that the data is spread over, so that most are sealed */
#define LEAST_MERGE ((uint64_t)64 << 20) /* bytes, lest the syncs be all that is measured */

static const engine *const columns[] = {&capi_bitcask};

static void check(int rc, const bitcask_error *e) {
  if (rc != BITCASK_OK) {
    bench_die("bitcask: %s: %s", bitcask_strerror(rc), e->text);
  }
}

static bitcask *open_dir(const char *dir, bool read_only, uint64_t max_file_size) {
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  bitcask_options_init(&o);
  o.read_only = read_only;
  o.create = !read_only;
  o.sync = BITCASK_SYNC_NORMAL;
  o.timeout_ms = 10000; /* a merge holds the write lock now and then */
  o.max_file_size = max_file_size;
  check(bitcask_open(dir, &o, &bc, &e), &e);
  return bc;
}

static void close_dir(bitcask *bc) {
  bitcask_error e;
  check(bitcask_close(bc, &e), &e);
}

static void put_item(bitcask *bc, uint64_t item, uint64_t version, uint8_t *value) {
  char key[KEY_SZ];
  bitcask_error e;

  item_key(item, key);
  item_value(item, version, value);
  check(bitcask_put(bc, key, KEY_SZ, value, item_value_sz(), &e), &e);
}

/* Every item is there, in version 2 if it is even and was overwritten. */
static void check_items(bitcask *bc, uint64_t n, bool overwritten) {
  bitcask_buf buf = {0};

  for (uint64_t i = 0; i < n; i++) {
    char key[KEY_SZ];
    bitcask_error e;
    uint64_t version, want = overwritten && i % 2 == 0 ? 2 : 1;

    item_key(i, key);
    check(bitcask_get(bc, key, KEY_SZ, &buf, &e), &e);
    bench_check_value("bitcask", i, buf.data, buf.size, &version);
    if (version != want) {
      bench_die("bitcask: item %" PRIu64 " has version %" PRIu64 ", not %" PRIu64, i, version,
                want);
    }
  }
  bitcask_buf_free(&buf);
}

static uint64_t file_size_for(uint64_t n) { return n * (14 + KEY_SZ + item_value_sz()) / N_FILES; }

/* -------------------------------------------------------------------- rebuild */

/* Links the data files of `from`, and its hint files if asked, to `to`: a
** directory without anything else that could speed up an open. */
static void link_files(const char *from, const char *to, bool hints) {
  DIR *d = opendir(from);
  struct dirent *entry;

  if (!d) {
    bench_die("cannot read %s", from);
  }
  while ((entry = readdir(d))) {
    const char *suffix = strstr(entry->d_name, ".bitcask.");
    char *a = NULL, *b = NULL;

    if (!suffix || !(strcmp(suffix, ".bitcask.data") == 0 ||
                     (hints && strcmp(suffix, ".bitcask.hint") == 0))) {
      continue;
    }
    if (asprintf(&a, "%s/%s", from, entry->d_name) < 0 ||
        asprintf(&b, "%s/%s", to, entry->d_name) < 0 || link(a, b)) {
      bench_die("cannot link %s in %s", entry->d_name, to);
    }
    free(a);
    free(b);
  }
  closedir(d);
}

/* Million keys a second that opening `from` takes in. */
static double rebuild(const options *o, const char *from, bool hints) {
  char *dir = bench_make_dir(o->dir, "rebuild");
  uint64_t start, ns;
  bitcask *bc;

  link_files(from, dir, hints);
  start = bench_now_ns();
  bc = open_dir(dir, true, file_size_for(o->n));
  ns = bench_now_ns() - start;
  check_items(bc, o->n, false);
  close_dir(bc);
  bench_remove_dir(dir);
  free(dir);
  return (double)o->n * 1e3 / (double)ns;
}

static void measure_rebuild(const options *o) {
  char *dir = bench_make_dir(o->dir, "own");
  uint8_t *value = bench_alloc(item_value_sz());
  samples hints = {0}, data = {0}, memory = {0};
  bitcask *bc = open_dir(dir, false, file_size_for(o->n));
  bitcask_status_info info;
  bitcask_error e;

  for (uint64_t i = 0; i < o->n; i++) {
    put_item(bc, i, 1, value);
  }
  check(bitcask_status(bc, &info, &e), &e);
  samples_add(&memory, (double)info.keydir_bytes / (double)info.keys);
  close_dir(bc);
  for (unsigned rep = 0; rep < o->reps; rep++) {
    samples_add(&hints, rebuild(o, dir, true));
    samples_add(&data, rebuild(o, dir, false));
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
    uint64_t item = rng_below(&r, b->n), version, start = bench_now_ns(), ns;
    char key[KEY_SZ];
    bitcask_error e;

    if (item % 8 == 1) {
      put_item(b->bc, item, 1, value);
    } else {
      item_key(item, key);
      check(bitcask_get(b->bc, key, KEY_SZ, &buf, &e), &e);
      bench_check_value("bitcask", item, buf.data, buf.size, &version);
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

  check(bitcask_files(bc, &files, &n, &e), &e);
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
  bitcask *bc = open_dir(dir, false, file_size_for(n));
  bitcask_error e;

  for (uint64_t i = 0; i < n; i++) {
    put_item(bc, i, 1, value);
  }
  for (uint64_t i = 0; i < n; i += 2) {
    put_item(bc, i, 2, value);
  }
  check(bitcask_sync(bc, &e), &e);
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
  check(bitcask_merge(bc, &mo, NULL, &e), &e);
  ns = bench_now_ns() - ns;
  if (with_bystander) {
    atomic_store(&b.stop, true);
    if (pthread_join(b.thread, NULL)) {
      bench_die("a thread is lost");
    }
  }
  check_items(bc, n, true);
  close_dir(bc);
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

void own_run(const options *o) {
  bool rebuild_wanted = bench_wanted(o, "open from hints, open from data, memory");
  bool merge_wanted = bench_wanted(o, "merge");

  if (rebuild_wanted || merge_wanted) {
    report_head("Our engine alone", columns, 1);
  }
  if (rebuild_wanted) {
    measure_rebuild(o);
  }
  if (merge_wanted) {
    measure_merge(o);
  }
}
