/*
** plan.c - sequences of operations.
*/
#include "plan.h"

#include <pthread.h>
#include <stdlib.h>

#define N_THREADS 2

static uint64_t missing_item(rng *r) { return FIRST_MISSING + rng_below(r, UINT32_MAX); }

void plan_make(plan *p, plan_shape shape, size_t n, uint64_t n_items, uint64_t next_item,
               unsigned percent_writes, uint64_t seed) {
  rng r = {seed};
  zipf z = {0};

  memset(p, 0, sizeof *p);
  p->ops = bench_alloc(n * sizeof *p->ops);
  p->n = n;
  p->write = shape != SHAPE_GET && shape != SHAPE_MISS;
  p->version = seed;
  if (shape == SHAPE_MIX) {
    zipf_init(&z, n_items);
  }
  for (size_t i = 0; i < n; i++) {
    op *o = &p->ops[i];
    switch (shape) {
    case SHAPE_GET:
      *o = (op){rng_below(&r, n_items), OP_GET};
      break;
    case SHAPE_MISS:
      *o = (op){missing_item(&r), OP_MISS};
      break;
    case SHAPE_PUT:
      *o = (op){next_item + i, OP_PUT};
      break;
    case SHAPE_OVERWRITE:
      *o = (op){rng_below(&r, n_items), OP_OVERWRITE};
      break;
    case SHAPE_MIX:
      *o = (op){zipf_next(&z, &r), rng_below(&r, 100) < percent_writes ? OP_OVERWRITE : OP_GET};
      break;
    }
  }
}

void plan_release(plan *p) {
  free(p->ops);
  p->ops = NULL;
}

static void run_op(const op *o, uint64_t version, const engine *e, void *store, uint8_t *value) {
  char key[KEY_SZ];
  uint64_t found;

  item_key(o->item, key);
  switch (o->kind) {
  case OP_GET:
    if (!e->get(store, key, o->item, &found)) {
      bench_die("%s: item %llu is missing", e->name, (unsigned long long)o->item);
    }
    break;
  case OP_MISS:
    if (e->get(store, key, o->item, &found)) {
      bench_die("%s: item %llu was never stored", e->name, (unsigned long long)o->item);
    }
    break;
  case OP_PUT:
    item_value(o->item, version, value);
    e->put(store, key, value, item_value_sz());
    break;
  case OP_OVERWRITE:
    item_value(o->item, version, value);
    e->overwrite(store, key, value, item_value_sz());
    break;
  }
}

uint64_t plan_run(const plan *p, const engine *e, void *store) {
  uint8_t *value = bench_alloc(item_value_sz());
  size_t in_batch = 0;
  uint64_t start = bench_now_ns();

  for (size_t i = 0; i < p->n; i++) {
    if (p->batch && in_batch == 0) {
      e->begin(store, p->write);
    }
    run_op(&p->ops[i], p->version, e, store, value);
    if (p->batch && (++in_batch == p->batch || i + 1 == p->n)) {
      e->commit(store);
      in_batch = 0;
    }
  }
  start = bench_now_ns() - start;
  free(value);
  return start;
}

uint64_t plan_run_timed(const plan *p, const engine *e, void *store, uint64_t *longest_ns) {
  uint8_t *value = bench_alloc(item_value_sz());
  uint64_t start = bench_now_ns(), last = start;

  *longest_ns = 0;
  for (size_t i = 0; i < p->n; i++) {
    uint64_t now;

    run_op(&p->ops[i], p->version, e, store, value);
    now = bench_now_ns();
    if (now - last > *longest_ns) {
      *longest_ns = now - last;
    }
    last = now;
  }
  free(value);
  return last - start;
}

void plan_verify(const plan *p, const engine *e, void *store) {
  for (size_t i = 0; i < p->n; i++) {
    const op *o = &p->ops[i];
    char key[KEY_SZ];
    uint64_t version;

    if (o->kind != OP_PUT && o->kind != OP_OVERWRITE) {
      continue;
    }
    item_key(o->item, key);
    if (!e->get(store, key, o->item, &version) || version != p->version) {
      bench_die("%s: item %llu was not stored", e->name, (unsigned long long)o->item);
    }
  }
}

typedef struct worker {
  pthread_t thread;
  const engine *e;
  void *whole; /* the store to share */
  const char *dir;
  plan part;
  pthread_barrier_t *ready; /* passed when both connections are open */
  uint64_t start, end;      /* by the thread itself: nobody sees when another is let run */
} worker;

/* The connection is opened and closed here: LMDB binds a reader to a thread. */
static void *work(void *arg) {
  worker *w = arg;
  void *store = w->e->share(w->whole, w->dir);
  plan warm = {w->part.ops, 1, 0, false, 0};

  plan_run(&warm, w->e, store);
  pthread_barrier_wait(w->ready);
  w->start = bench_now_ns();
  plan_run(&w->part, w->e, store);
  w->end = bench_now_ns();
  w->e->close(store);
  return NULL;
}

uint64_t plan_run_divided(const plan *p, const engine *e, void *store, const char *dir) {
  pthread_barrier_t ready;
  worker workers[N_THREADS];
  size_t each = p->n / N_THREADS;
  uint64_t start = UINT64_MAX, end = 0;

  if (pthread_barrier_init(&ready, NULL, N_THREADS)) {
    bench_die("no barriers");
  }
  for (size_t i = 0; i < N_THREADS; i++) {
    plan part = {p->ops + i * each, each, p->batch, p->write, p->version};
    workers[i] = (worker){.e = e, .whole = store, .dir = dir, .part = part, .ready = &ready};
    if (pthread_create(&workers[i].thread, NULL, work, &workers[i])) {
      bench_die("no threads");
    }
  }
  for (size_t i = 0; i < N_THREADS; i++) {
    if (pthread_join(workers[i].thread, NULL)) {
      bench_die("a thread is lost");
    }
    start = workers[i].start < start ? workers[i].start : start;
    end = workers[i].end > end ? workers[i].end : end;
  }
  pthread_barrier_destroy(&ready);
  return end - start;
}
