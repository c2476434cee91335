/*
** test.h - all the framework the C tests have.
**
**     static void reads_back(void){ CHECK_OK(bitcask_put(...), &e); CHECK_EQ(n, 3); }
**     int main(void){ RUN(reads_back); return test_done(); }
**
** A failed check prints where and what, marks the running test as failed and
** goes on; the last line is "N passed, N failed".  TEST=name in the
** environment runs that test alone.
*/
#ifndef TEST_H
#define TEST_H

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int test_n_passed, test_n_failed, test_bad;

#define TEST_FAIL(...)                                                                             \
  do {                                                                                             \
    fprintf(stderr, "%s:%d: ", __FILE__, __LINE__);                                                \
    fprintf(stderr, __VA_ARGS__);                                                                  \
    fputc('\n', stderr);                                                                           \
    test_bad++;                                                                                    \
  } while (0)

#define CHECK(cond)                                                                                \
  do {                                                                                             \
    if (!(cond)) TEST_FAIL("%s", #cond);                                                           \
  } while (0)

/* Integers. */
#define CHECK_EQ(a, b)                                                                             \
  do {                                                                                             \
    long long a_ = (long long)(a), b_ = (long long)(b);                                            \
    if (a_ != b_) TEST_FAIL("%s is %lld, not %s = %lld", #a, a_, #b, b_);                          \
  } while (0)

/* A status code; `e` is the bitcask_error of the call. */
#define CHECK_RC(call, want, e)                                                                    \
  do {                                                                                             \
    (e)->text[0] = 0;                                                                              \
    int rc_ = (call);                                                                              \
    if (rc_ != (want)) TEST_FAIL("%s: %d, not %d: %s", #call, rc_, (int)(want), (e)->text);        \
  } while (0)
#define CHECK_OK(call, e) CHECK_RC(call, 0, e)

#define CHECK_MEM(p, n, want, n_want)                                                              \
  do {                                                                                             \
    size_t n_ = (n), w_ = (n_want);                                                                \
    if (n_ != w_ || (n_ && memcmp((p), (want), n_)))                                               \
      TEST_FAIL("%s (%zu bytes) is not %s (%zu bytes)", #p, n_, #want, w_);                        \
  } while (0)

#define RUN(fn) test_run(#fn, fn)

static void test_run(const char *name, void (*fn)(void)) {
  const char *only = getenv("TEST");
  if (only && strcmp(only, name)) return;
  test_bad = 0;
  fn();
  if (test_bad)
    test_n_failed++;
  else
    test_n_passed++;
  printf("%s - %s\n", test_bad ? "not ok" : "ok", name);
  fflush(stdout);
}

static int test_done(void) {
  printf("%d passed, %d failed\n", test_n_passed, test_n_failed);
  return test_n_failed != 0;
}

#endif
