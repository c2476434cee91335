/*
** calls.h - an environment for our engine that counts the system calls.
*/
#ifndef CALLS_H
#define CALLS_H

#include "env.h"

/* The real environment, each of whose functions that enters the kernel is
** counted.  One thread. */
const bc_env *calls_env(void);

/* System calls so far. */
uint64_t calls_count(void);

#endif
