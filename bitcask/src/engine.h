/*
** engine.h - the one door for tests that bring their own environment.
*/
#ifndef BC_ENGINE_H
#define BC_ENGINE_H

#include "bitcask.h"
#include "env.h"

/* As bitcask_open, with every system call going through `env`, which must live
** until bitcask_close. */
int bc_open_env(const char *dir, const bitcask_options *o, const bc_env *env, bitcask **out,
                bitcask_error *err);

/* From now on, take every checkpoint for worth its cost that holds anything new. */
void bc_save_early(bitcask *bc);

#endif
