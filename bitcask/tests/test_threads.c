/*
** test_threads.c - many threads at once, on the real file system.
**
** A writer counts up the keys' values, alone and in transactions; readers,
** snapshots, parked ones too, a merger and a second handle that is opened and closed all
** the time go on meanwhile.  Made for ThreadSanitizer; without it
** the test still sees wrong, torn and old values.
*/
#include "test.h"

#include "bitcask.h"
#include "engine.h"
#include "tempdir.h"

#include <pthread.h>
#include <stdatomic.h>
#include <time.h>

enum { N_KEYS = 48, N_GROUP = 4, N_READERS = 4, VALUE_CAP = 700 };

/* Keys below N_GROUP are always written together, with one count. */
static bitcask *bc;
static const char *dir;
static bitcask_options opt;
static atomic_uint begun[N_KEYS]; /* counts that were handed to the engine */
static atomic_uint done[N_KEYS];  /* and those acknowledged */
static atomic_bool stop;
static atomic_uint n_bad;
static atomic_ulong n_writes, n_reads, n_snapshots, n_parked, n_merges, n_opens;

static void bad(const char *what, const bitcask_error *e) {
  if (atomic_fetch_add(&n_bad, 1) < 10)
    fprintf(stderr, "%s%s%s\n", what, e ? ": " : "", e ? e->text : "");
}

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static size_t key_text(char *out, unsigned k) { return (size_t)sprintf(out, "key-%02u", k); }

static size_t value_text(char *out, unsigned k, unsigned count) {
  size_t n = (size_t)sprintf(out, "%02u:%010u:", k, count);
  size_t pad = (k * 37 + count * 11) % 600;

  memset(out + n, (int)('a' + (k + count) % 26), pad);
  return n + pad;
}

/* The count in a value, having checked every byte of it; UINT_MAX if it is wrong. */
static unsigned count_in(const void *value, size_t n, unsigned k) {
  char want[VALUE_CAP], head[16] = {0};
  unsigned count;

  if (n < 14 || n >= VALUE_CAP) return UINT32_MAX;
  memcpy(head, value, 14);
  count = (unsigned)strtoul(head + 3, NULL, 10);
  if (value_text(want, k, count) != n || memcmp(want, value, n)) return UINT32_MAX;
  return count;
}

/* ---------------------------------------------------------------------- writer */

static void put_one(unsigned k) {
  char key[16], value[VALUE_CAP];
  unsigned count = atomic_load(&begun[k]) + 1;
  size_t n = key_text(key, k), v = value_text(value, k, count);
  bitcask_error e;

  atomic_store(&begun[k], count);
  if (bitcask_put(bc, key, n, value, v, &e)) bad("put", &e);
  atomic_store(&done[k], count);
}

static void put_group(bool keep) {
  char key[16], value[VALUE_CAP];
  unsigned count = atomic_load(&begun[0]) + 1;
  bitcask_txn *txn;
  bitcask_error e;

  if (bitcask_begin(bc, 20000, &txn, &e)) {
    bad("begin", &e);
    return;
  }
  for (unsigned k = 0; k < N_GROUP; k++) {
    size_t n = key_text(key, k), v = value_text(value, k, count);
    if (keep) atomic_store(&begun[k], count);
    if (bitcask_txn_put(txn, key, n, value, v, &e)) bad("txn_put", &e);
  }
  if (!keep) {
    bitcask_txn_rollback(txn);
    return;
  }
  if (bitcask_txn_prepare(txn, &e)) bad("prepare", &e);
  bitcask_txn_publish(txn);
  for (unsigned k = 0; k < N_GROUP; k++) atomic_store(&done[k], count);
}

static void *writer(void *arg) {
  (void)arg;
  for (unsigned i = 0; !atomic_load(&stop); i++) {
    if (i % 8 == 0)
      put_group(i % 16 == 0);
    else
      put_one(N_GROUP + i % (N_KEYS - N_GROUP));
    atomic_fetch_add(&n_writes, 1);
  }
  return NULL;
}

/* --------------------------------------------------------------------- readers */

/* At least what was acknowledged before the read, at most what was begun after. */
static void check_count(unsigned k, unsigned count, unsigned least, unsigned *last) {
  if (count == UINT32_MAX)
    bad("a value that was never written for its key", NULL);
  else if (count < least)
    bad("a value older than one acknowledged before the read", NULL);
  else if (count > atomic_load(&begun[k]))
    bad("a value from the future", NULL);
  else if (count < *last)
    bad("a count that goes backwards", NULL);
  else
    *last = count;
}

static void *reader(void *arg) {
  unsigned last[N_KEYS] = {0}, seed = *(unsigned *)arg;
  bitcask_buf buf = {0};
  bitcask_error e;
  char key[16];

  while (!atomic_load(&stop)) {
    unsigned k = (seed = seed * 1103515245u + 12345u) / 65536 % N_KEYS;
    unsigned least = atomic_load(&done[k]);
    int rc = bitcask_get(bc, key, key_text(key, k), &buf, &e);
    if (rc)
      bad("get", &e);
    else
      check_count(k, count_in(buf.data, buf.size, k), least, &last[k]);
    atomic_fetch_add(&n_reads, 1);
  }
  bitcask_buf_free(&buf);
  return NULL;
}

/* What a handle of its own finds in a key. */
static void get_counted(bitcask *own, unsigned k, bitcask_buf *buf, unsigned *last) {
  unsigned least = atomic_load(&done[k]);
  bitcask_error e;
  char key[16];

  if (bitcask_get(own, key, key_text(key, k), buf, &e))
    bad("get by another handle", &e);
  else
    check_count(k, count_in(buf->data, buf->size, k), least, &last[k]);
}

/* Opens the directory, reads it, writes a key that nobody reads, and closes it. */
static void *opener(void *arg) {
  unsigned last[N_KEYS] = {0};
  bitcask_buf buf = {0};
  (void)arg;

  while (!atomic_load(&stop)) {
    bitcask *own;
    bitcask_error e;
    char value[300] = {0};

    if (bitcask_open(dir, &opt, &own, &e)) {
      bad("open", &e);
      break;
    }
    for (unsigned k = 0; k < N_KEYS; k++) get_counted(own, k, &buf, last);
    for (size_t i = 0; i < 20; i++) {
      if (bitcask_put(own, "its own", 7, value, i * 10, &e)) bad("put by another handle", &e);
    }
    if (bitcask_delete(own, "its own", 7, &e)) bad("delete by another handle", &e);
    if (bitcask_close(own, &e)) bad("close", &e);
    atomic_fetch_add(&n_opens, 1);
  }
  bitcask_buf_free(&buf);
  return NULL;
}

static void read_snapshot(bitcask_snapshot *snap, unsigned *counts) {
  bitcask_iter *it;
  bitcask_entry entry;
  bitcask_error e;
  unsigned n = 0;
  int rc = bitcask_iter_open(snap, BITCASK_VALUES, &it, &e);

  if (rc) {
    bad("iter_open", &e);
    return;
  }
  while (!(rc = bitcask_iter_next(it, &entry, &e))) {
    const char *key = entry.key; /* "key-05", without a NUL */
    if (key[0] != 'k') continue; /* the opener's */
    unsigned k = (unsigned)((key[4] - '0') * 10 + key[5] - '0') % N_KEYS;
    counts[k] = count_in(entry.value, entry.value_sz, k);
    n++;
  }
  if (rc != BITCASK_NOTFOUND) bad("iter_next", &e);
  if (n != N_KEYS) bad("an iteration that misses keys", NULL);
  bitcask_iter_close(it);
}

static void *snapshots(void *arg) {
  unsigned last[N_KEYS] = {0};
  bitcask_error e;
  (void)arg;

  while (!atomic_load(&stop)) {
    unsigned least[N_KEYS], once[N_KEYS] = {0}, twice[N_KEYS] = {0};
    bitcask_snapshot *snap;

    for (unsigned k = 0; k < N_KEYS; k++) least[k] = atomic_load(&done[k]);
    if (bitcask_snapshot_open(bc, NULL, &snap, &e)) {
      bad("snapshot_open", &e);
      continue;
    }
    read_snapshot(snap, once);
    read_snapshot(snap, twice);
    bitcask_snapshot_close(snap);
    if (memcmp(once, twice, sizeof once)) bad("a snapshot that changes", NULL);
    for (unsigned k = 1; k < N_GROUP; k++) {
      if (once[k] != once[0]) bad("half a transaction", NULL);
    }
    for (unsigned k = 0; k < N_KEYS; k++) check_count(k, once[k], least[k], &last[k]);
    atomic_fetch_add(&n_snapshots, 1);
  }
  return NULL;
}

/* The snapshot of the last statement is taken up again if nothing has changed. */
static void *parker(void *arg) {
  unsigned last[N_KEYS] = {0};
  bitcask_snapshot *snap = NULL;
  bitcask_error e;
  (void)arg;

  while (!atomic_load(&stop)) {
    unsigned least[N_KEYS], seen[N_KEYS] = {0};

    for (unsigned k = 0; k < N_KEYS; k++) least[k] = atomic_load(&done[k]);
    if (snap && !bitcask_snapshot_resume(snap)) snap = NULL;
    if (!snap && bitcask_snapshot_open(bc, NULL, &snap, &e)) {
      bad("snapshot_open", &e);
      continue;
    }
    read_snapshot(snap, seen);
    bitcask_snapshot_park(snap);
    for (unsigned k = 0; k < N_KEYS; k++) check_count(k, seen[k], least[k], &last[k]);
    atomic_fetch_add(&n_parked, 1);
  }
  bitcask_snapshot_close(snap);
  return NULL;
}

static void *merger(void *arg) {
  bitcask_error e;
  (void)arg;

  while (!atomic_load(&stop)) {
    bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};
    bitcask_file_stat *files;
    size_t n;
    if (bitcask_merge(bc, &o, NULL, &e)) bad("merge", &e);
    /* Else it would leave nothing to those that commit. */
    if (opt.auto_merge) usleep(50000);
    if (bitcask_files(bc, &files, &n, &e))
      bad("files", &e);
    else
      bitcask_files_free(files);
    atomic_fetch_add(&n_merges, 1);
    usleep(2000);
  }
  return NULL;
}

/* ------------------------------------------------------------------------ runs */

static void run_threads(bool mmap, bool saves, bool auto_merge) {
  pthread_t threads[N_READERS + 5];
  unsigned seeds[N_READERS], n = 0;
  const char *s = getenv("SECONDS_EACH");
  double end = now() + (s ? atof(s) : 2.0);
  char *path = tempdir_make();
  bitcask_error e;

  dir = path;
  bitcask_options_init(&opt);
  opt.auto_merge = auto_merge;
  opt.sync = saves ? BITCASK_SYNC_NORMAL : BITCASK_SYNC_OFF;
  opt.mmap = mmap;
  opt.max_file_size = saves ? 4 << 10 : 64 << 10;
  opt.timeout_ms = 20000;
  CHECK_OK(bitcask_open(dir, &opt, &bc, &e), &e);
  if (saves) bc_save_early(bc);
  atomic_store(&stop, false);
  for (unsigned k = 0; k < N_KEYS; k++) {
    atomic_store(&begun[k], 0);
    atomic_store(&done[k], 0);
  }
  put_group(true);
  for (unsigned k = N_GROUP; k < N_KEYS; k++) put_one(k);

  pthread_create(&threads[n++], NULL, writer, NULL);
  pthread_create(&threads[n++], NULL, merger, NULL);
  pthread_create(&threads[n++], NULL, snapshots, NULL);
  pthread_create(&threads[n++], NULL, opener, NULL);
  pthread_create(&threads[n++], NULL, parker, NULL);
  for (unsigned i = 0; i < N_READERS; i++) {
    seeds[i] = i + 1;
    pthread_create(&threads[n++], NULL, reader, &seeds[i]);
  }
  while (now() < end && atomic_load(&n_bad) == 0) usleep(10000);
  atomic_store(&stop, true);
  for (unsigned i = 0; i < n; i++) pthread_join(threads[i], NULL);
  CHECK_EQ(atomic_load(&n_bad), 0);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(path);
}

static void with_mmap(void) { run_threads(true, false, false); }
static void with_pread(void) { run_threads(false, false, false); }
static void with_checkpoints(void) { run_threads(true, true, false); }
static void with_auto_merge(void) { run_threads(true, false, true); }
static void with_auto_merge_and_checkpoints(void) { run_threads(false, true, true); }

int main(void) {
  RUN(with_mmap);
  RUN(with_pread);
  RUN(with_checkpoints);
  RUN(with_auto_merge);
  RUN(with_auto_merge_and_checkpoints);
  printf("%lu writes, %lu reads, %lu snapshots, %lu taken up again, %lu merges, %lu opens\n",
         n_writes, n_reads, n_snapshots, n_parked, n_merges, n_opens);
  return test_done();
}
