/*
** oom.c - see oom.h.
*/
#include "oom.h"

#include <errno.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdlib.h>

/* Weak: they exist only if the linker was told to wrap. */
extern void *__real_malloc(size_t n) __attribute__((weak));
extern void *__real_calloc(size_t n, size_t sz) __attribute__((weak));
extern void *__real_realloc(void *p, size_t n) __attribute__((weak));
extern void __real_free(void *p) __attribute__((weak));
extern int __real_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                                 void *arg) __attribute__((weak));

void *__wrap_malloc(size_t n);
void *__wrap_calloc(size_t n, size_t sz);
void *__wrap_realloc(void *p, size_t n);
void __wrap_free(void *p);
int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg);

static _Thread_local bool entered;
static atomic_ullong n_counted;
static atomic_ullong fail_at;
static atomic_llong n_live;
static atomic_ullong n_threads;
static atomic_ullong refuse_from;
static atomic_bool is_linked;

bool oom_is_linked(void) {
  /* Through a volatile pointer, or the compiler takes the pair away unseen. */
  void *volatile p = malloc(1);
  free(p);
  return atomic_load(&is_linked);
}

void oom_enter(void) { entered = true; }

void oom_leave(void) { entered = false; }

bool oom_suspend(void) {
  bool was = entered;
  entered = false;
  return was;
}

void oom_resume(bool was_entered) { entered = was_entered; }

void oom_arm(uint64_t nth) {
  atomic_store(&n_counted, 0);
  atomic_store(&fail_at, nth);
}

uint64_t oom_count(void) { return atomic_load(&n_counted); }

void oom_refuse_threads(uint64_t nth) {
  atomic_store(&n_threads, 0);
  atomic_store(&refuse_from, nth);
}

int64_t oom_n_live(void) { return atomic_load(&n_live); }

static bool must_fail(void) {
  atomic_store(&is_linked, true);
  if (!entered) return false;
  if (atomic_fetch_add(&n_counted, 1) + 1 != atomic_load(&fail_at)) return false;
  errno = ENOMEM;
  return true;
}

static void *counted(void *p) {
  if (p) atomic_fetch_add(&n_live, 1);
  return p;
}

void *__wrap_malloc(size_t n) { return must_fail() ? NULL : counted(__real_malloc(n)); }

void *__wrap_calloc(size_t n, size_t sz) {
  return must_fail() ? NULL : counted(__real_calloc(n, sz));
}

void *__wrap_realloc(void *p, size_t n) {
  void *q;

  if (must_fail()) return NULL;
  q = __real_realloc(p, n);
  return p ? q : counted(q);
}

void __wrap_free(void *p) {
  if (p) atomic_fetch_sub(&n_live, 1);
  __real_free(p);
}

int __wrap_pthread_create(pthread_t *thread, const pthread_attr_t *attr, void *(*fn)(void *),
                          void *arg) {
  uint64_t nth = atomic_fetch_add(&n_threads, 1) + 1, from = atomic_load(&refuse_from);
  return from && nth >= from ? EAGAIN : __real_pthread_create(thread, attr, fn, arg);
}
