/*
** scale.c - our engine alone with many keys: what opening, growing, snapshots and
** a second process cost then.
**
** One store is filled, in a process of its own, and closed.  The rows that write
** work on clones of it.
*/
#include "scale.h"
#include "calls.h"
#include "child.h"
#include "direct.h"
#include "plan.h"
#include "report.h"

#include "engine.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define SLOWEST_SHARE 1000000 /* the percentile: all puts but one in so many */
#define KILLED_AFTER 100000   /* records since the store was closed */
#define N_SAMPLED 100000      /* items looked at where all would take too long */
#define N_READ 1000           /* by the second reader */
#define N_COUNTED 10000       /* operations whose system calls are counted */
#define N_SNAPSHOTS 20        /* a repetition */

static const engine *const columns[] = {&capi_bitcask};

typedef struct scale {
  const options *o;
  uint64_t n;       /* keys */
  uint64_t file_sz; /* at which a file is sealed while the store is filled */
  char label[24];   /* n as a text */
  char *base;       /* holds the store, in "kv", where the SQL side looks for it */
  char *dir;        /* the store */
  child grown;      /* by the process that filled it */
} scale;

static uint64_t random_item(const scale *s, rng *r) { return rng_below(r, s->n); }

/* A row of one value or of several repetitions; its name ends with the number of keys. */
static void row(const scale *s, const char *name, const char *unit, const samples *v,
                double target) {
  char text[96];

  snprintf(text, sizeof text, "%.40s, %s", name, s->label);
  report_row(text, unit, v, target);
}

static void row_of_one(const scale *s, const char *name, const char *unit, double v,
                       double target) {
  samples one = {0};

  samples_add(&one, v);
  row(s, name, unit, &one, target);
}

static void check_sample(bitcask *bc, uint64_t n) {
  bitcask_buf buf = {0};
  bitcask_status_info info;
  bitcask_error e;
  rng r = {n};

  direct_check(bitcask_status(bc, &info, &e), &e);
  if (info.keys != n) {
    bench_die("%" PRIu64 " keys, not %" PRIu64, info.keys, n);
  }
  for (int i = 0; i < N_SAMPLED; i++) {
    direct_get(bc, rng_below(&r, n), &buf);
  }
  bitcask_buf_free(&buf);
}

/* -------------------------------------------------------------------- growing */

/* The longest times, smallest first. */
typedef struct slowest {
  uint64_t *ns;
  size_t n;
} slowest;

static void slowest_add(slowest *s, uint64_t ns) {
  size_t i = 0;

  if (ns <= s->ns[0]) {
    return;
  }
  for (; i + 1 < s->n && s->ns[i + 1] < ns; i++) {
    s->ns[i] = s->ns[i + 1];
  }
  s->ns[i] = ns;
}

enum { GROW_LONGEST, GROW_PERCENTILE, GROW_COUNTED, GROW_RESIDENT };

enum { GROW_REPS = 3 };

/* Fills the store, one put after the other. */
static void grow(void *arg, double result[CHILD_RESULTS]) {
  const scale *s = arg;
  uint8_t *value = bench_alloc(item_value_sz());
  slowest slow = {NULL, (size_t)(s->n / SLOWEST_SHARE) + 1};
  bitcask *bc = direct_open(s->dir, false, s->file_sz);
  double before = child_anonymous_bytes();
  uint64_t last = bench_now_ns();
  bitcask_status_info info;
  bitcask_error e;

  slow.ns = bench_alloc(slow.n * sizeof *slow.ns);
  memset(slow.ns, 0, slow.n * sizeof *slow.ns);
  for (uint64_t i = 0; i < s->n; i++) {
    uint64_t now;
    direct_put(bc, i, 1, value);
    now = bench_now_ns();
    slowest_add(&slow, now - last);
    last = now;
  }
  direct_check(bitcask_status(bc, &info, &e), &e);
  result[GROW_RESIDENT] = (child_anonymous_bytes() - before) / (double)s->n;
  result[GROW_COUNTED] = (double)info.keydir_bytes / (double)s->n;
  result[GROW_LONGEST] = (double)slow.ns[slow.n - 1] / 1e6;
  result[GROW_PERCENTILE] = (double)slow.ns[0] / 1e6;
  check_sample(bc, s->n);
  direct_close(bc);
}

/* Milliseconds for which the machine gave a loop that only reads the clock nothing, at
** most, while so many nanoseconds went by: what no program can be shorter than. */
static double longest_gap(uint64_t ns) {
  uint64_t start = bench_now_ns(), last = start, longest = 0;

  while (last - start < ns) {
    uint64_t now = bench_now_ns();
    longest = now - last > longest ? now - last : longest;
    last = now;
  }
  return (double)longest / 1e6;
}

/* Once more into a single file: what the keydir's growth alone costs, without the
** sync and the hint file of a file that is sealed. */
static void measure_growth(const scale *s) {
  samples longest = {0}, most = {0}, gap = {0};
  const double *v = s->grown.result;

  for (unsigned rep = 0; rep < s->o->reps && rep < GROW_REPS; rep++) {
    uint64_t start = bench_now_ns();
    scale single = *s;

    single.dir = bench_make_dir(s->o->dir, "growing");
    single.file_sz = (uint64_t)1 << 40;
    child_run(&single.grown, grow, &single);
    child_kill(&single.grown);
    bench_remove_dir(single.dir);
    free(single.dir);
    samples_add(&longest, single.grown.result[GROW_LONGEST]);
    samples_add(&most, single.grown.result[GROW_PERCENTILE]);
    samples_add(&gap, longest_gap(bench_now_ns() - start));
  }
  row(s, "longest put in one file", "ms", &longest, 2);
  row(s, "  a loop without puts, as long", "ms", &gap, 0);
  row(s, "all puts but 1 in a million", "ms", &most, 2);
  row_of_one(s, "longest put, sealing files", "ms", v[GROW_LONGEST], 0);
  row_of_one(s, "memory a key, counted", "bytes", v[GROW_COUNTED], 56);
  row_of_one(s, "memory a key, resident", "bytes", v[GROW_RESIDENT], 56);
}

/* -------------------------------------------------------------------- opening */

/* Milliseconds from nothing open to the first value. */
static double open_and_get(const scale *s, const char *dir, uint64_t item) {
  bitcask_buf buf = {0};
  uint64_t start = bench_now_ns(), ns;
  bitcask *bc = direct_open(dir, false, direct_file_size(s->n));

  direct_get(bc, item, &buf);
  ns = bench_now_ns() - start;
  bitcask_buf_free(&buf);
  check_sample(bc, s->n);
  direct_close(bc);
  return (double)ns / 1e6;
}

static void measure_open(const scale *s) {
  samples ms = {0};
  rng r = {1};

  for (unsigned rep = 0; rep < s->o->reps; rep++) {
    samples_add(&ms, open_and_get(s, s->dir, random_item(s, &r)));
  }
  row(s, "open to the first get", "ms", &ms, s->n < s->o->scale ? 5 : 10);
}

typedef struct victim {
  const scale *s;
  const char *dir;
} victim;

static void write_to_be_killed(void *arg, double result[CHILD_RESULTS]) {
  const victim *v = arg;
  uint8_t *value = bench_alloc(item_value_sz());
  bitcask *bc = direct_open(v->dir, false, direct_file_size(v->s->n));
  rng r = {2};

  (void)result;
  for (int i = 0; i < KILLED_AFTER; i++) {
    direct_put(bc, random_item(v->s, &r), 2, value);
  }
}

static void measure_open_after_kill(const scale *s) {
  samples ms = {0};
  rng r = {3};

  for (unsigned rep = 0; rep < s->o->reps; rep++) {
    char *dir = bench_make_dir(s->o->dir, "killed");
    victim v = {s, dir};
    child c;

    direct_clone(s->dir, dir);
    child_run(&c, write_to_be_killed, &v);
    child_kill(&c);
    samples_add(&ms, open_and_get(s, dir, random_item(s, &r)));
    bench_remove_dir(dir);
    free(dir);
  }
  row(s, "open after kill -9", "ms", &ms, 50);
}

static void measure_close(const scale *s) {
  samples ms = {0};
  char *dir = bench_make_dir(s->o->dir, "closed");
  uint8_t *value = bench_alloc(item_value_sz());
  rng r = {4};

  direct_clone(s->dir, dir);
  for (unsigned rep = 0; rep < s->o->reps; rep++) {
    bitcask *bc = direct_open(dir, false, direct_file_size(s->n));
    uint64_t start;

    direct_put(bc, random_item(s, &r), 2, value);
    start = bench_now_ns();
    direct_close(bc);
    samples_add(&ms, (double)(bench_now_ns() - start) / 1e6);
  }
  row(s, "close after one put", "ms", &ms, 10);
  bench_remove_dir(dir);
  free(dir);
  free(value);
}

static void measure_rebuild(const scale *s) {
  samples hints = {0}, data = {0};

  for (unsigned rep = 0; rep < s->o->reps; rep++) {
    samples_add(&hints, direct_rebuild(s->o->dir, s->dir, true, s->n, check_sample));
    samples_add(&data, direct_rebuild(s->o->dir, s->dir, false, s->n, check_sample));
  }
  row(s, "rebuild from hints", "M keys/s", &hints, 10);
  row(s, "rebuild from data", "M keys/s", &data, 4);
}

/* -------------------------------------------------------------- other readers */

static void read_everything(void *arg, double result[CHILD_RESULTS]) {
  const scale *s = arg;
  bitcask *bc = direct_open(s->dir, true, direct_file_size(s->n));
  bitcask_buf buf = {0};

  (void)result;
  for (uint64_t i = 0; i < s->n; i++) {
    direct_get(bc, i, &buf);
  }
}

static void read_some(void *arg, double result[CHILD_RESULTS]) {
  const scale *s = arg;
  bitcask *bc = direct_open(s->dir, true, direct_file_size(s->n));
  bitcask_buf buf = {0};
  rng r = {5};

  for (int i = 0; i < N_READ; i++) {
    direct_get(bc, random_item(s, &r), &buf);
  }
  result[0] = child_private_bytes();
}

static void read_nothing(void *arg, double result[CHILD_RESULTS]) {
  const scale *s = arg;
  bitcask *bc = direct_open(s->base, true, direct_file_size(s->n));
  bitcask_buf buf = {0};
  bitcask_error e;

  if (bitcask_get(bc, "k", 1, &buf, &e) != BITCASK_NOTFOUND) {
    bench_die("%s is not empty", s->base);
  }
  result[0] = child_private_bytes();
}

/* What a process has for itself that reads N_READ keys while another one has read
** them all, less what it has for itself with nothing to read. */
static void measure_second_reader(const scale *s) {
  void *arg = (void *)(uintptr_t)s;
  child first, second, idle;

  child_run(&first, read_everything, arg);
  child_run(&second, read_some, arg);
  child_run(&idle, read_nothing, arg);
  child_kill(&idle);
  child_kill(&second);
  child_kill(&first);
  row_of_one(s, "memory a key, 2nd reader", "bytes",
             (second.result[0] - idle.result[0]) / (double)s->n, 1);
}

static void measure_threads(const scale *s, const engine *e, const char *dir, const char *name) {
  samples one = {0}, times = {0};
  void *store;
  char text[96];

  snprintf(text, sizeof text, "%s, 2 threads over 1", name);
  store = e->open(dir, SYNC_NORMAL);
  for (unsigned rep = 0; rep < s->o->reps; rep++) {
    uint64_t ns;
    plan p;

    plan_make(&p, SHAPE_GET, s->n < 1000000 ? (size_t)s->n : 1000000, s->n, 0, 0, rep + 6);
    ns = plan_run(&p, e, store);
    samples_add(&one, (double)ns / (double)p.n);
    samples_add(&times, (double)ns / (double)plan_run_divided(&p, e, store, dir));
    plan_release(&p);
  }
  e->close(store);
  row(s, name, "ns", &one, 0);
  row(s, text, "x", &times, 1.8);
}

static void measure_gets(const scale *s) { measure_threads(s, &capi_bitcask, s->dir, "get"); }

static void measure_sql_gets(const scale *s) {
  measure_threads(s, &sql_bitcask, s->base, "SQL get");
}

/* ------------------------------------------------------- snapshots, system calls */

static void measure_snapshots(const scale *s) {
  samples snapshots = {0}, puts = {0};
  char *dir = bench_make_dir(s->o->dir, "snapshots");
  uint8_t *value = bench_alloc(item_value_sz());
  bitcask *bc;
  rng r = {8};

  direct_clone(s->dir, dir);
  bc = direct_open(dir, false, direct_file_size(s->n));
  check_sample(bc, s->n);
  for (unsigned i = 0; i < N_SNAPSHOTS; i++) {
    uint64_t start = bench_now_ns(), taken;
    bitcask_snapshot *snap;
    bitcask_error e;

    direct_check(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
    taken = bench_now_ns();
    direct_put(bc, random_item(s, &r), 2, value);
    samples_add(&puts, (double)(bench_now_ns() - taken) / 1e3);
    samples_add(&snapshots, (double)(taken - start) / 1e3);
    bitcask_snapshot_close(snap);
  }
  row(s, "taking a snapshot", "us", &snapshots, 100);
  row(s, "put with a snapshot open", "us", &puts, 0);
  direct_close(bc);
  bench_remove_dir(dir);
  free(dir);
  free(value);
}

/* Whatever the statement, with `arg` as it needs. */
typedef void (*statement)(bitcask *bc, uint64_t item, void *arg);

static void get_one(bitcask *bc, uint64_t item, void *arg) { (void)direct_get(bc, item, arg); }

static void miss_one(bitcask *bc, uint64_t item, void *arg) {
  char key[KEY_SZ];
  bitcask_error e;

  item_key(FIRST_MISSING + item, key);
  if (bitcask_get(bc, key, KEY_SZ, arg, &e) != BITCASK_NOTFOUND) {
    bench_die("item %" PRIu64 " was never stored", FIRST_MISSING + item);
  }
}

static void look_at_snapshot(bitcask *bc, uint64_t item, void *arg) {
  bitcask_snapshot *snap;
  bitcask_entry entry;
  bitcask_error e;
  uint64_t version;
  char key[KEY_SZ];

  item_key(item, key);
  direct_check(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  direct_check(bitcask_snapshot_get(snap, key, KEY_SZ, arg, &entry, &e), &e);
  bench_check_value("bitcask", item, entry.value, entry.value_sz, &version);
  bitcask_snapshot_close(snap);
}

static void put_one(bitcask *bc, uint64_t item, void *arg) {
  bitcask_buf *buf = arg; /* holds a value already */
  direct_put(bc, item, 2, buf->data);
}

static void measure_calls(const scale *s) {
  static const struct {
    const char *name;
    statement run;
    double target;
  } statements[] = {{"system calls of a get", get_one, 0.001},
                    {"system calls of a miss", miss_one, 0.001},
                    {"system calls of a snapshot", look_at_snapshot, 0.001},
                    {"system calls of a put", put_one, 0}};
  char *dir = bench_make_dir(s->o->dir, "calls");
  bitcask_buf buf = {0};
  bitcask_options o;
  bitcask_error e;
  bitcask *bc;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.sync = BITCASK_SYNC_NORMAL;
  direct_clone(s->dir, dir);
  direct_check(bc_open_env(dir, &o, calls_env(), &bc, &e), &e);
  direct_put(bc, 0, 1, memset(bench_alloc(item_value_sz()), 0, item_value_sz()));
  for (uint64_t i = 0; i < N_SAMPLED; i++) {
    (void)direct_get(bc, i % s->n, &buf); /* maps every file */
  }
  for (size_t i = 0; i < sizeof statements / sizeof *statements; i++) {
    uint64_t before = calls_count();
    rng r = {9};

    for (int k = 0; k < N_COUNTED; k++) {
      statements[i].run(bc, random_item(s, &r), &buf);
    }
    row_of_one(s, statements[i].name, "calls", (double)(calls_count() - before) / (double)N_COUNTED,
               statements[i].target);
  }
  direct_close(bc);
  bitcask_buf_free(&buf);
  bench_remove_dir(dir);
  free(dir);
}

/* ------------------------------------------------------------------------ runs */

static void scale_init(scale *s, const options *o, uint64_t n) {
  *s = (scale){.o = o, .n = n, .file_sz = direct_file_size(n)};
  s->base = bench_make_dir(o->dir, "scale");
  s->dir = bench_make_dir(s->base, "kv");
  if (n % 1000000 == 0) {
    snprintf(s->label, sizeof s->label, "%" PRIu64 "M", n / 1000000);
  } else {
    snprintf(s->label, sizeof s->label, "%" PRIu64 "k", n / 1000);
  }
}

static void scale_release(scale *s) {
  if (s->base) {
    bench_remove_dir(s->base);
  }
  free(s->base);
  free(s->dir);
}

/* Rows that are measured together. */
static const struct {
  const char *names; /* of the rows */
  void (*run)(const scale *s);
  bool twice; /* also with a tenth of the keys */
} steps[] = {
    {"longest put in one file, all puts but 1 in a million, longest put, sealing files, memory a "
     "key, "
     "counted, resident",
     measure_growth, false},
    {"open to the first get", measure_open, true},
    {"open after kill -9", measure_open_after_kill, true},
    {"close after one put", measure_close, false},
    {"rebuild from hints, rebuild from data", measure_rebuild, false},
    {"memory a key, 2nd reader", measure_second_reader, false},
    {"get, 2 threads over 1", measure_gets, false},
    {"SQL get, 2 threads over 1", measure_sql_gets, false},
    {"taking a snapshot, put with a snapshot open", measure_snapshots, false},
    {"system calls of a get, miss, snapshot, put", measure_calls, false},
};

#define N_STEPS (sizeof steps / sizeof *steps)

/* The wanted steps with n keys; the table's head if it is not there yet. */
static void run_steps(const options *o, uint64_t n, bool *has_head) {
  scale s = {0};

  for (size_t i = 0; i < N_STEPS; i++) {
    if (!bench_wanted(o, steps[i].names) || (n < o->scale && !steps[i].twice)) {
      continue;
    }
    if (!*has_head) {
      report_head("Our engine alone, with many keys", columns, 1);
      *has_head = true;
    }
    if (!s.dir) {
      scale_init(&s, o, n);
      child_run(&s.grown, grow, &s);
      child_kill(&s.grown);
    }
    steps[i].run(&s);
  }
  scale_release(&s);
}

void scale_run(const options *o) {
  bool has_head = false;

  run_steps(o, o->scale / 10, &has_head);
  run_steps(o, o->scale, &has_head);
}
