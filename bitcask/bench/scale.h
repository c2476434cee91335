/*
** scale.h - our engine alone, with many keys.
*/
#ifndef SCALE_H
#define SCALE_H

#include "bench.h"

/* Every row that is wanted, with o->scale keys, and some with a tenth of them.
** Needs about 300 bytes of disk a key. */
void scale_run(const options *o);

#endif
