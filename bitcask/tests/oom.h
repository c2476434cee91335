/*
** oom.h - makes an allocation of the code under test fail, or starting a thread.
**
** Needs the linker flags -Wl,--wrap=malloc, calloc, realloc, free, pthread_create:
** the program has no hooks of its own, and system libraries keep their allocator.
** Without the flags oom_is_linked says no and nothing is counted.
*/
#ifndef OOM_H
#define OOM_H

#include <stdbool.h>
#include <stdint.h>

bool oom_is_linked(void);

/* Only allocations between enter and leave, on this thread, are counted and can
** fail: those are the program's own.  suspend and resume bracket the test's code
** that the program calls back. */
void oom_enter(void);
void oom_leave(void);
bool oom_suspend(void);
void oom_resume(bool was_entered);

/* The nth counted allocation from now fails, once; 0: none does. */
void oom_arm(uint64_t nth);
uint64_t oom_count(void); /* counted since oom_arm */

/* The nth thread from now on and all later ones cannot be started; 0: all can. */
void oom_refuse_threads(uint64_t nth);

/* Blocks allocated and not freed yet, by everything that the flags cover. */
int64_t oom_n_live(void);

#endif
