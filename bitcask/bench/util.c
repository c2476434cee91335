/*
** util.c - failing, memory, time, directories.
*/
#include "bench.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <time.h>

void bench_die(const char *format, ...) {
  va_list ap;

  fflush(stdout);
  fputs("bench: ", stderr);
  va_start(ap, format);
  vfprintf(stderr, format, ap);
  va_end(ap);
  fputc('\n', stderr);
  exit(1);
}

void *bench_alloc(size_t n) {
  void *p = malloc(n ? n : 1);

  if (!p) {
    bench_die("out of memory");
  }
  return p;
}

uint64_t bench_now_ns(void) {
  struct timespec t;

  if (clock_gettime(CLOCK_MONOTONIC, &t)) {
    bench_die("no monotonic clock");
  }
  return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

void bench_check_value(const char *engine_name, uint64_t item, const void *value, size_t n,
                       uint64_t *version) {
  if (!item_check(item, value, n, version)) {
    bench_die("%s: wrong value of item %llu", engine_name, (unsigned long long)item);
  }
}

bool bench_wanted(const options *o, const char *name) { return strstr(name, o->only) != NULL; }

static int remove_one(const char *path, const struct stat *st, int type, struct FTW *ftw) {
  (void)st;
  (void)type;
  (void)ftw;
  return remove(path);
}

void bench_remove_dir(const char *dir) {
  if (nftw(dir, remove_one, 16, FTW_DEPTH | FTW_PHYS) && errno != ENOENT) {
    bench_die("cannot remove %s: %s", dir, strerror(errno));
  }
}

char *bench_make_dir(const char *dir, const char *name) {
  char *path = NULL;

  if (asprintf(&path, "%s/%s", dir, name) < 0) {
    bench_die("out of memory");
  }
  bench_remove_dir(path);
  if (mkdir(path, 0777)) {
    bench_die("cannot make %s: %s", path, strerror(errno));
  }
  return path;
}
