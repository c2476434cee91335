/*
** bench.h - what the parts of the benchmark share: the engines that are
** compared, and the few helpers that all need.
**
** A benchmark has nothing to save: any failure prints its cause and ends it.
*/
#ifndef BENCH_H
#define BENCH_H

#include "item.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

typedef enum sync_mode {
  SYNC_NORMAL, /* survives a crash of the process; a power cut may lose the newest */
  SYNC_LOAD,   /* as NORMAL, for one large transaction */
  SYNC_FULL    /* every commit is on stable storage */
} sync_mode;

typedef enum side { SIDE_SQL, SIDE_C } side;

/* What a scan saw; compared with what it should have seen. */
typedef struct scan_sum {
  uint64_t rows;
  uint64_t keys;  /* sum of the first 8 bytes of the keys */
  uint64_t items; /* sum of the item numbers in the values */
  uint64_t bytes; /* of the values */
} scan_sum;

static inline void scan_add_key(scan_sum *sum, const void *key) {
  uint64_t head;

  memcpy(&head, key, 8);
  sum->rows++;
  sum->keys += head;
}

static inline void scan_add_value(scan_sum *sum, const void *value, size_t n) {
  uint64_t item;

  memcpy(&item, value, 8);
  sum->items += item;
  sum->bytes += n;
}

/*
** An engine: one way of keeping keys and values, with the best settings that
** are honest for it.  `store` is an open store of that engine, of a type that
** only the engine knows, used by one thread at a time.
*/
typedef struct engine {
  const char *name; /* also of its directory */
  side side;
  bool ours;
  bool is_peer; /* the ratios are against the best of these */

  void *(*open)(const char *dir, sync_mode mode); /* dir exists, perhaps empty */
  void *(*share)(void *store, const char *dir);   /* for a second thread */
  void (*close)(void *store);

  void (*begin)(void *store, bool write);
  void (*commit)(void *store);
  void (*put)(void *store, const char *key, const void *value, size_t n);       /* a new key */
  void (*overwrite)(void *store, const char *key, const void *value, size_t n); /* one there */
  /* False: no such key.  Ends the benchmark unless the value is one of the item's;
  ** *version says which. */
  bool (*get)(void *store, const char *key, uint64_t item, uint64_t *version);
  void (*scan)(void *store, bool values, scan_sum *sum);
  uint64_t (*count)(void *store);
} engine;

extern const engine sql_bitcask, sql_bitcask_file, sql_rowid, sql_without_rowid;
extern const engine capi_bitcask, capi_lmdb, capi_lmdb_writemap;

/* The loadable module that the SQL side tests. */
void sql_set_module(const char *path);

typedef struct options {
  uint64_t n;       /* keys */
  uint64_t scale;   /* keys of the measurements with many */
  unsigned reps;    /* of every measurement */
  const char *only; /* part of the names of the measurements wanted; "" is all */
  const char *dir;  /* where the stores are: absolute, and there */
} options;

/* The measurements of our engine alone: merge, rebuild. */
void own_run(const options *o);

_Noreturn void bench_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *bench_alloc(size_t n);
uint64_t bench_now_ns(void);
/* Ends the benchmark unless the value is one of the item's. */
void bench_check_value(const char *engine_name, uint64_t item, const void *value, size_t n,
                       uint64_t *version);
bool bench_wanted(const options *o, const char *name);

/* Remove a directory and all in it, if it is there. */
void bench_remove_dir(const char *dir);
/* Make dir/name afresh, empty; its path is malloc'ed. */
char *bench_make_dir(const char *dir, const char *name);

#endif
