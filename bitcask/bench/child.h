/*
** child.h - a part of the benchmark in a process of its own: for its memory, or
** to be killed.
*/
#ifndef CHILD_H
#define CHILD_H

#include <sys/types.h>

#define CHILD_RESULTS 4

typedef struct child {
  pid_t pid;
  double result[CHILD_RESULTS];
} child;

/* Run `work` in a child, wait until it returns, and have what it left in
** `result`.  The child then stays as it is until child_kill.  There must be no
** other thread, and no handle of ours that the child would use. */
void child_run(child *c, void (*work)(void *arg, double result[CHILD_RESULTS]), void *arg);

/* SIGKILL. */
void child_kill(child *c);

/* Bytes of memory of this process that no other shares: all of them, or only
** those that belong to no file. */
double child_private_bytes(void);
double child_anonymous_bytes(void);

#endif
