/*
** plan.h - a sequence of operations, made before the clock starts and given to
** every engine alike.
*/
#ifndef PLAN_H
#define PLAN_H

#include "bench.h"

typedef enum op_kind { OP_GET, OP_MISS, OP_PUT, OP_OVERWRITE } op_kind;

typedef struct op {
  uint64_t item;
  op_kind kind;
} op;

typedef struct plan {
  op *ops;
  size_t n;
  size_t batch;     /* operations a transaction; 0: each its own */
  bool write;       /* some operation is a write */
  uint64_t version; /* of the values that are written */
} plan;

typedef enum plan_shape {
  SHAPE_GET, /* uniform */
  SHAPE_MISS,
  SHAPE_PUT,       /* items next_item, next_item+1, ... */
  SHAPE_OVERWRITE, /* uniform */
  SHAPE_MIX        /* zipfian gets and overwrites */
} plan_shape;

/* n operations over n_items items.  percent_writes: of SHAPE_MIX. */
void plan_make(plan *p, plan_shape shape, size_t n, uint64_t n_items, uint64_t next_item,
               unsigned percent_writes, uint64_t seed);
void plan_release(plan *p);

/* Run it, checking every result.  Returns nanoseconds. */
uint64_t plan_run(const plan *p, const engine *e, void *store);

/* As plan_run, and the longest single operation in *longest_ns. */
uint64_t plan_run_timed(const plan *p, const engine *e, void *store, uint64_t *longest_ns);

/* The plan divided between two threads, each with its own `share` of the store.
** Nanoseconds from the start of both to the end of the last. */
uint64_t plan_run_divided(const plan *p, const engine *e, void *store, const char *dir);

/* Not timed: after the plan has run, is everything that it wrote there? */
void plan_verify(const plan *p, const engine *e, void *store);

#endif
