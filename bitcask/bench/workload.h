/*
** workload.h - the measurements that all engines take part in.
*/
#ifndef WORKLOAD_H
#define WORKLOAD_H

#include "bench.h"

/* Every workload that is wanted, one row each, for the engines of one side.
** The first engine is ours. */
void workload_run_all(const options *o, const engine *const *engines, size_t n_engines);

#endif
