/*
** workload.c - the measurements that all engines take part in.
**
** Every engine has one store, loaded at the start and used by all workloads in
** turn, in order of the table below: reads of the fresh store first, then the
** writes.  A repetition of a workload runs the same plan on one engine after
** the other, so that what the machine does meanwhile touches all alike.
*/
#include "workload.h"

#include "plan.h"
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define MAX_ENGINES 8
#define EVERYTHING SIZE_MAX /* in one transaction */

/* An engine and its store. */
typedef struct slot {
  const engine *e;
  char *dir;
  void *store; /* NULL while closed */
} slot;

typedef struct bench {
  const options *o;
  slot slots[MAX_ENGINES];
  size_t n_slots;
  uint64_t next_item; /* items 0 .. next_item-1 are in every store */
  uint64_t seed;      /* of the next plan; also the version of its values */
} bench;

typedef struct workload workload;

/* One repetition of a workload on one engine. */
typedef struct job {
  const workload *w;
  const bench *b;
  slot *s;
  const plan *p;
} job;

struct workload {
  const char *name;
  const char *unit;
  double (*run)(const job *j); /* gives a value in that unit */
  plan_shape shape;
  sync_mode mode;
  unsigned percent_writes; /* of SHAPE_MIX */
  uint64_t max_ops;        /* the fewer for what a peer is slow at, and at most the keys */
  size_t batch;            /* operations a transaction; 0: each its own */
  bool c_only;
  bool sql_only;
  double targets[2][2]; /* of PERFORMANCE.md, [side][values from 1 KiB up] */
};

/* ------------------------------------------------------------------- stores */

static void slot_open(slot *s, sync_mode mode) { s->store = s->e->open(s->dir, mode); }

static void slot_close(slot *s) {
  if (s->store) {
    s->e->close(s->store);
    s->store = NULL;
  }
}

static void slot_make(slot *s, const bench *b) {
  char *name = NULL;

  slot_close(s);
  free(s->dir);
  if (asprintf(&name, "%s-%s", s->e->side == SIDE_SQL ? "sql" : "c", s->e->name) < 0) {
    bench_die("out of memory");
  }
  s->dir = bench_make_dir(b->o->dir, name);
  free(name);
}

static void check_count(const slot *s, uint64_t want) {
  uint64_t n = s->e->count(s->store);

  if (n != want) {
    bench_die("%s: %" PRIu64 " keys, not %" PRIu64, s->e->name, n, want);
  }
}

/* A fresh store with items 0 .. n-1, left open.  Returns nanoseconds. */
static uint64_t load(slot *s, const bench *b, const plan *p) {
  uint64_t ns;

  slot_make(s, b);
  slot_open(s, SYNC_LOAD);
  ns = plan_run(p, s->e, s->store);
  check_count(s, p->n);
  return ns;
}

/* ------------------------------------------- ways to run, one per kind of row */

static double run_load(const job *j) {
  uint64_t ns = load(j->s, j->b, j->p);

  plan_verify(j->p, j->s->e, j->s->store);
  return (double)ns / (double)j->p->n;
}

static double run_ops(const job *j) {
  uint64_t ns = plan_run(j->p, j->s->e, j->s->store);

  plan_verify(j->p, j->s->e, j->s->store);
  return (double)ns / (double)j->p->n;
}

/* The longest single put of a store that grows from nothing. */
static double run_longest(const job *j) {
  slot fresh = {j->s->e, bench_make_dir(j->b->o->dir, "growing"), NULL};
  uint64_t longest_ns;

  slot_open(&fresh, j->w->mode);
  plan_run_timed(j->p, fresh.e, fresh.store, &longest_ns);
  check_count(&fresh, j->p->n);
  slot_close(&fresh);
  bench_remove_dir(fresh.dir);
  free(fresh.dir);
  return (double)longest_ns / 1e6;
}

static double scan(const bench *b, const slot *s, bool values) {
  scan_sum want = {0}, got = {0};
  uint64_t start, ns;

  for (uint64_t i = 0; i < b->next_item; i++) {
    char key[KEY_SZ];
    item_key(i, key);
    scan_add_key(&want, key);
    want.items += values ? i : 0;
    want.bytes += values ? item_value_sz() : 0;
  }
  start = bench_now_ns();
  s->e->scan(s->store, values, &got);
  ns = bench_now_ns() - start;
  if (memcmp(&want, &got, sizeof got) != 0) {
    bench_die("%s: a scan gave %" PRIu64 " rows and %" PRIu64 " bytes, not all of the %" PRIu64
              " keys",
              s->e->name, got.rows, got.bytes, want.rows);
  }
  return (double)ns / (double)want.rows;
}

static double run_scan(const job *j) { return scan(j->b, j->s, true); }

static double run_scan_keys(const job *j) { return scan(j->b, j->s, false); }

static double run_count(const job *j) {
  uint64_t start = bench_now_ns(), ns;

  check_count(j->s, j->b->next_item);
  ns = bench_now_ns() - start;
  return (double)ns / (double)j->b->next_item;
}

/* From nothing open to the first value. */
static double run_open(const job *j) {
  plan first = {j->p->ops, 1, 0, false, 0};
  uint64_t start, ns;

  slot_close(j->s);
  start = bench_now_ns();
  slot_open(j->s, j->w->mode);
  plan_run(&first, j->s->e, j->s->store);
  ns = bench_now_ns() - start;
  return (double)ns / 1e6;
}

static double run_threads(const job *j) {
  return (double)plan_run_divided(j->p, j->s->e, j->s->store, j->s->dir) / (double)j->p->n;
}

/* How many times faster two threads are than one. */
static double run_scaling(const job *j) {
  uint64_t alone = plan_run(j->p, j->s->e, j->s->store);

  return (double)alone / (double)plan_run_divided(j->p, j->s->e, j->s->store, j->s->dir);
}

/* ------------------------------------------------------------------ the table */

static const workload workloads[] = {
    {.name = "load, one transaction",
     .unit = "ns",
     .run = run_load,
     .shape = SHAPE_PUT,
     .max_ops = UINT64_MAX,
     .batch = EVERYTHING,
     .targets = {{2.2, 2.2}, {4, 4}}},
    {.name = "open to the first get",
     .unit = "ms",
     .run = run_open,
     .shape = SHAPE_GET,
     .max_ops = 1,
     .targets = {{5, 5}, {5, 5}}},
    {.name = "get",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_GET,
     .max_ops = 200000,
     .targets = {{2.3, 1.9}, {4, 4}}},
    {.name = "get, inside BEGIN/snapshot",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_GET,
     .max_ops = 200000,
     .batch = EVERYTHING},
    {.name = "get, miss",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_MISS,
     .max_ops = 200000,
     .targets = {{2.2, 2.2}, {3, 3}}},
    {.name = "get, 2 threads",
     .unit = "ns",
     .run = run_threads,
     .shape = SHAPE_GET,
     .max_ops = 200000},
    {.name = "get, 2 threads over 1",
     .unit = "x",
     .run = run_scaling,
     .shape = SHAPE_GET,
     .max_ops = 200000,
     .targets = {{1.8, 1.8}, {1.8, 1.8}}},
    {.name = "scan keys and values",
     .unit = "ns",
     .run = run_scan,
     .targets = {{0.9, 1.5}, {1, 1}}},
    {.name = "scan keys", .unit = "ns", .run = run_scan_keys},
    {.name = "count(*)", .unit = "ns", .run = run_count, .sql_only = true},
    {.name = "overwrite, not synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_OVERWRITE,
     .max_ops = 20000,
     .targets = {{10, 10}, {4, 4}}},
    {.name = "YCSB B, 5 % writes, not synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_MIX,
     .percent_writes = 5,
     .max_ops = 100000,
     .targets = {{3, 3}, {0, 0}}},
    {.name = "YCSB A, 50 % writes, not synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_MIX,
     .percent_writes = 50,
     .max_ops = 40000,
     .targets = {{5, 5}, {0, 0}}},
    {.name = "put, not synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_PUT,
     .max_ops = 20000,
     .targets = {{12, 12}, {4, 4}}},
    {.name = "put, synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_PUT,
     .mode = SYNC_FULL,
     .max_ops = 1000,
     .targets = {{1.3, 1.3}, {1.1, 1.1}}},
    {.name = "100 puts a transaction, synced",
     .unit = "ns",
     .run = run_ops,
     .shape = SHAPE_PUT,
     .mode = SYNC_FULL,
     .max_ops = 10000,
     .batch = 100,
     .targets = {{1.8, 1.8}, {0, 0}}},
    {.name = "scan after the writes", .unit = "ns", .run = run_scan},
    {.name = "longest put while growing",
     .unit = "ms",
     .run = run_longest,
     .shape = SHAPE_PUT,
     .max_ops = UINT64_MAX,
     .c_only = true},
};

#define N_WORKLOADS (sizeof workloads / sizeof workloads[0])

static bool is_wanted(const workload *w, const bench *b) {
  side sd = b->slots[0].e->side;

  return !(w->c_only && sd == SIDE_SQL) && !(w->sql_only && sd == SIDE_C) &&
         bench_wanted(b->o, w->name);
}

static plan next_plan(const workload *w, bench *b) {
  uint64_t n = w->max_ops < b->o->n ? w->max_ops : b->o->n;
  bool fresh = w->run == run_load || w->run == run_longest;
  plan p;

  plan_make(&p, w->shape, (size_t)n, b->next_item, fresh ? 0 : b->next_item, w->percent_writes,
            ++b->seed);
  p.batch = w->batch;
  if (!fresh && w->shape == SHAPE_PUT) {
    b->next_item += n;
  }
  return p;
}

/* One row: all repetitions of a workload on all engines.  The stores are opened
** afresh, in the workload's sync mode, so each row also starts from what the
** row before really left on disk. */
static void run_row(const workload *w, bench *b) {
  samples s[MAX_ENGINES] = {0};
  bool big = item_value_sz() >= 1024;

  for (size_t i = 0; i < b->n_slots; i++) {
    slot_close(&b->slots[i]);
    slot_open(&b->slots[i], w->mode);
    check_count(&b->slots[i], b->next_item);
  }
  for (unsigned rep = 0; rep < b->o->reps; rep++) {
    plan p = next_plan(w, b);
    for (size_t i = 0; i < b->n_slots; i++) {
      job j = {w, b, &b->slots[i], &p};
      samples_add(&s[i], w->run(&j));
      check_count(&b->slots[i], b->next_item);
    }
    plan_release(&p);
  }
  report_row(w->name, w->unit, s, w->targets[b->slots[0].e->side][big]);
}

/* The stores as the first workload would leave them. */
static void load_all(bench *b) {
  plan p;

  plan_make(&p, SHAPE_PUT, (size_t)b->o->n, 0, 0, 0, ++b->seed);
  p.batch = EVERYTHING;
  for (size_t i = 0; i < b->n_slots; i++) {
    load(&b->slots[i], b, &p);
  }
  b->next_item = b->o->n;
  plan_release(&p);
}

static size_t count_wanted(const bench *b) {
  size_t n = 0;

  for (size_t i = 0; i < N_WORKLOADS; i++) {
    n += is_wanted(&workloads[i], b);
  }
  return n;
}

void workload_run_all(const options *o, const engine *const *engines, size_t n_engines) {
  bench b = {.o = o, .n_slots = n_engines};
  char title[160];

  for (size_t i = 0; i < n_engines; i++) {
    b.slots[i].e = engines[i];
  }
  if (count_wanted(&b) == 0) {
    return;
  }

  snprintf(title, sizeof title,
           "%s: %" PRIu64 " keys of %d bytes, values of %zu bytes; per operation or row, medians "
           "of %u",
           engines[0]->side == SIDE_SQL ? "Through SQL" : "Through the C API", o->n, KEY_SZ,
           item_value_sz(), o->reps);
  report_head(title, engines, n_engines);
  load_all(&b);
  for (size_t i = 0; i < N_WORKLOADS; i++) {
    if (is_wanted(&workloads[i], &b)) {
      run_row(&workloads[i], &b);
    }
  }
  for (size_t i = 0; i < n_engines; i++) {
    slot_close(&b.slots[i]);
    bench_remove_dir(b.slots[i].dir);
    free(b.slots[i].dir);
  }
}
