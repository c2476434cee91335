/*
** direct.c - directories of our engine.
*/
#include "direct.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

void direct_check(int rc, const bitcask_error *e) {
  if (rc != BITCASK_OK) {
    bench_die("bitcask: %s: %s", bitcask_strerror(rc), e->text);
  }
}

uint64_t direct_file_size(uint64_t n) { return n * (14 + KEY_SZ + item_value_sz()) / N_FILES; }

static bitcask *open_with(const char *dir, bool read_only, bool merges, uint64_t max_file_size) {
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  bitcask_options_init(&o);
  o.auto_merge = merges;
  o.read_only = read_only;
  o.create = !read_only;
  o.sync = BITCASK_SYNC_NORMAL;
  o.timeout_ms = 10000; /* a merge holds the write lock now and then */
  o.max_file_size = max_file_size;
  direct_check(bitcask_open(dir, &o, &bc, &e), &e);
  return bc;
}

bitcask *direct_open(const char *dir, bool read_only, uint64_t max_file_size) {
  return open_with(dir, read_only, false, max_file_size);
}

bitcask *direct_open_merging(const char *dir, bool merges, uint64_t max_file_size) {
  return open_with(dir, false, merges, max_file_size);
}

void direct_close(bitcask *bc) {
  bitcask_error e;
  direct_check(bitcask_close(bc, &e), &e);
}

void direct_put(bitcask *bc, uint64_t item, uint64_t version, uint8_t *value) {
  char key[KEY_SZ];
  bitcask_error e;

  item_key(item, key);
  item_value(item, version, value);
  direct_check(bitcask_put(bc, key, KEY_SZ, value, item_value_sz(), &e), &e);
}

uint64_t direct_get(bitcask *bc, uint64_t item, bitcask_buf *buf) {
  char key[KEY_SZ];
  bitcask_error e;
  uint64_t version;

  item_key(item, key);
  direct_check(bitcask_get(bc, key, KEY_SZ, buf, &e), &e);
  bench_check_value("bitcask", item, buf->data, buf->size, &version);
  return version;
}

/* -------------------------------------------------------------------- copies */

static char *path_in(const char *dir, const char *name) {
  char *path = NULL;

  if (asprintf(&path, "%s/%s", dir, name) < 0) {
    bench_die("out of memory");
  }
  return path;
}

static void copy_file(const char *from, const char *to) {
  int in = open(from, O_RDONLY | O_CLOEXEC);
  int out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
  ssize_t n = in >= 0 && out >= 0 ? 1 : -1;

  while (n > 0) {
    n = copy_file_range(in, NULL, out, NULL, (size_t)1 << 30, 0);
  }
  if (n < 0 || close(in) || close(out)) {
    bench_die("cannot copy %s to %s", from, to);
  }
}

typedef enum way { LEAVE, LINK, COPY } way;

/* Gives every file of `from` to `to` in the way that it needs. */
static void take_files(const char *from, const char *to,
                       way (*choose)(const char *from, const char *name)) {
  DIR *d = opendir(from);
  struct dirent *entry;

  if (!d) {
    bench_die("cannot read %s", from);
  }
  while ((entry = readdir(d))) {
    char *a = path_in(from, entry->d_name), *b = path_in(to, entry->d_name);
    way w = choose(from, entry->d_name);

    if (w == COPY) {
      copy_file(a, b);
    } else if (w == LINK && link(a, b)) {
      bench_die("cannot link %s in %s", entry->d_name, to);
    }
    free(a);
    free(b);
  }
  closedir(d);
}

static bool ends_with(const char *name, const char *suffix) {
  size_t n = strlen(name), k = strlen(suffix);
  return n >= k && strcmp(name + n - k, suffix) == 0;
}

static way data_only(const char *from, const char *name) {
  (void)from;
  return ends_with(name, ".bitcask.data") ? LINK : LEAVE;
}

static way data_and_hints(const char *from, const char *name) {
  return ends_with(name, ".bitcask.hint") ? LINK : data_only(from, name);
}

/* A data file without a hint may be appended to, and the state page is written in
** place; all other files are replaced as a whole, or not at all. */
static way all_to_work_on(const char *from, const char *name) {
  char *hint;
  int missing;

  if (strcmp(name, "bitcask.state") == 0) {
    return COPY;
  }
  if (strcmp(name, "bitcask.keydir") == 0 || ends_with(name, ".bitcask.hint")) {
    return LINK;
  }
  if (!ends_with(name, ".bitcask.data")) {
    return LEAVE;
  }
  hint = path_in(from, name);
  memcpy(hint + strlen(hint) - 4, "hint", 4);
  missing = access(hint, F_OK);
  free(hint);
  return missing ? COPY : LINK;
}

void direct_clone(const char *from, const char *to) { take_files(from, to, all_to_work_on); }

double direct_rebuild(const char *base, const char *from, bool hints, uint64_t n,
                      void (*check)(bitcask *bc, uint64_t n)) {
  char *dir = bench_make_dir(base, "rebuild");
  uint64_t start, ns;
  bitcask *bc;

  take_files(from, dir, hints ? data_and_hints : data_only);
  start = bench_now_ns();
  bc = direct_open(dir, true, direct_file_size(n));
  ns = bench_now_ns() - start;
  check(bc, n);
  direct_close(bc);
  bench_remove_dir(dir);
  free(dir);
  return (double)n * 1e3 / (double)ns;
}
