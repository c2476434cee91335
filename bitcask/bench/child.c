/*
** child.c - a part of the benchmark in a process of its own.
*/
#include "child.h"
#include "bench.h"

#include <malloc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

void child_run(child *c, void (*work)(void *arg, double result[CHILD_RESULTS]), void *arg) {
  int fd[2];

  memset(c, 0, sizeof *c);
  fflush(stdout);
  if (pipe(fd) || (c->pid = fork()) < 0) {
    bench_die("no child process");
  }
  if (c->pid == 0) {
    close(fd[0]);
    (void)malloc_trim(0); /* what the parent has freed is not there to be used again, unseen */
    work(arg, c->result);
    if (write(fd[1], c->result, sizeof c->result) != sizeof c->result) {
      _exit(1);
    }
    for (;;) {
      pause();
    }
  }
  close(fd[1]);
  /* Less than a pipe's buffer: it comes in one piece, or not at all. */
  if (read(fd[0], c->result, sizeof c->result) != sizeof c->result) {
    bench_die("a child process has failed");
  }
  close(fd[0]);
}

void child_kill(child *c) {
  if (kill(c->pid, SIGKILL) || waitpid(c->pid, NULL, 0) != c->pid) {
    bench_die("a child process is lost");
  }
}

/* The sum of the lines of smaps_rollup that begin with one of the names. */
static double memory(const char *const *names, size_t n_names) {
  FILE *f = fopen("/proc/self/smaps_rollup", "r");
  double kilobytes = 0;
  char line[256];
  size_t found = 0;

  while (f && fgets(line, sizeof line, f)) {
    for (size_t i = 0; i < n_names; i++) {
      size_t n = strlen(names[i]);
      if (strncmp(line, names[i], n) == 0) {
        kilobytes += strtod(line + n, NULL);
        found++;
      }
    }
  }
  if (!f || fclose(f) || found != n_names) {
    bench_die("cannot read /proc/self/smaps_rollup");
  }
  return kilobytes * 1024;
}

double child_private_bytes(void) {
  static const char *const names[] = {"Private_Clean:", "Private_Dirty:"};
  return memory(names, 2);
}

double child_anonymous_bytes(void) {
  static const char *const names[] = {"Anonymous:"};
  return memory(names, 1);
}
