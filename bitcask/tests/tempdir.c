/*
** tempdir.c - see tempdir.h.
*/
#include "tempdir.h"

#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

char *tempdir_make(void) {
  /* In memory if possible: no test of these is about what a disk keeps. */
  const char *tmp = getenv("TMPDIR");
  char *path;

  if (!tmp) tmp = access("/dev/shm", W_OK) ? "/tmp" : "/dev/shm";
  path = malloc(strlen(tmp) + 24);
  if (!path) abort();
  sprintf(path, "%s/bitcask-test-XXXXXX", tmp);
  if (!mkdtemp(path)) {
    perror(path);
    abort();
  }
  return path;
}

void tempdir_remove(char *path) {
  DIR *d = opendir(path);
  char name[4096];
  struct dirent *e;

  while (d && (e = readdir(d))) {
    if (!strcmp(e->d_name, ".") || !strcmp(e->d_name, "..")) continue;
    snprintf(name, sizeof name, "%s/%s", path, e->d_name);
    if (unlink(name)) perror(name);
  }
  if (d) closedir(d);
  if (rmdir(path)) perror(path);
  free(path);
}
