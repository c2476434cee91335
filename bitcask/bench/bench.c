/*
** bench.c - the benchmark: our engine beside SQLite's tables and LMDB, in one
** process, with interleaved repetitions.
**
**     build/bench [NAME=value ...]      also from the environment
**
**     N=200000        keys
**     VALUE=100,1024  bytes of a value, one run each
**     SCALE=10000000  keys where many are the point, with values of 100 bytes; N if
**                     that is given
**     R=5             repetitions; the medians are printed
**     ONLY=           measurements whose name contains this text
**     DIR=build/bench.d   where the stores are made (and removed again)
**
** The module bitcask.so is taken from the directory of the program; bench.csv
** is written there.  Absolute times do not travel between machines or runs:
** compare ratios.
*/
#include "bench.h"
#include "report.h"
#include "scale.h"
#include "workload.h"

#include "bitcask.h"

#include <errno.h>
#include <libgen.h>
#include <lmdb.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#define COUNT_OF(a) (sizeof(a) / sizeof(a)[0])

/* The last one is left out from OVERFLOW_SZ up: its rows then overflow their
** pages, which makes it many times slower than the other, and no peer. */
#define OVERFLOW_SZ 1024
#define SCALE_VALUE_SZ 100
static const engine *const sql_engines[] = {&sql_bitcask, &sql_bitcask_file, &sql_rowid,
                                            &sql_without_rowid};
static const engine *const c_engines[] = {&capi_bitcask, &capi_lmdb, &capi_lmdb_writemap};

static const char *setting(const char *name, const char *otherwise) {
  const char *v = getenv(name);
  return v ? v : otherwise;
}

/* One number of a list; *text moves behind it and a comma. */
static uint64_t number(const char *name, const char **text, uint64_t least, uint64_t most) {
  char *end;
  unsigned long long v;

  errno = 0;
  v = strtoull(*text, &end, 10);
  if (errno || end == *text || (*end && *end != ',') || v < least || v > most) {
    bench_die("%s=%s: not a number from %llu to %llu", name, *text, (unsigned long long)least,
              (unsigned long long)most);
  }
  *text = *end ? end + 1 : end;
  return v;
}

static char *path_beside(const char *program, const char *name) {
  char *copy = strdup(program), *path = NULL;

  if (!copy || asprintf(&path, "%s/%s", dirname(copy), name) < 0) {
    bench_die("out of memory");
  }
  free(copy);
  return path;
}

/* Absolute, because a table's directory is relative to its database file. */
static char *make_base_dir(const char *dir) {
  char *path;

  if (mkdir(dir, 0777) && errno != EEXIST) {
    bench_die("cannot make %s: %s", dir, strerror(errno));
  }
  path = realpath(dir, NULL);
  if (!path) {
    bench_die("%s: %s", dir, strerror(errno));
  }
  return path;
}

static void print_versions(const options *o) {
  printf("bitcask %s, SQLite %s, LMDB %d.%d.%d; stores in %s\n", bitcask_version(),
         sqlite3_libversion(), MDB_VERSION_MAJOR, MDB_VERSION_MINOR, MDB_VERSION_PATCH, o->dir);
}

static void set_from_arguments(int argc, char **argv) {
  for (int i = 1; i < argc; i++) {
    if (!strchr(argv[i], '=') || putenv(argv[i])) {
      bench_die("%s: want NAME=value", argv[i]);
    }
  }
}

int main(int argc, char **argv) {
  char *module = path_beside(argv[0], "bitcask.so");
  char *csv = path_beside(argv[0], "bench.csv");
  char *beside = path_beside(argv[0], "bench.d"), *dir;
  const char *n, *scale, *reps, *values;
  options o;

  set_from_arguments(argc, argv);
  scale = setting("SCALE", setting("N", "10000000"));
  n = setting("N", "200000");
  reps = setting("R", "5");
  values = setting("VALUE", "100,1024");
  o.n = number("N", &n, 1000, UINT32_MAX);
  o.scale = number("SCALE", &scale, 10000, UINT32_MAX);
  o.reps = (unsigned)number("R", &reps, 1, MAX_REPS);
  o.only = setting("ONLY", "");
  dir = make_base_dir(setting("DIR", beside));
  o.dir = dir;
  print_versions(&o);
  sql_set_module(module);
  report_open(csv);
  while (*values) {
    size_t value_sz = (size_t)number("VALUE", &values, MIN_VALUE_SZ, 1 << 20);
    item_init(value_sz);
    workload_run_all(&o, sql_engines, COUNT_OF(sql_engines) - (value_sz >= OVERFLOW_SZ));
    workload_run_all(&o, c_engines, COUNT_OF(c_engines));
    own_run(&o);
  }
  item_init(SCALE_VALUE_SZ);
  scale_run(&o);
  report_close();
  item_release();
  free(module);
  free(csv);
  free(beside);
  free(dir);
  return 0;
}
