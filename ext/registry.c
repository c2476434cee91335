/*
** registry.c - directory to engine handle, for the whole process.
**
** A directory is known by device and inode, so that every spelling of its path
** leads to the same handle, and one that was removed and made anew does not.
*/
#include "registry.h"
#include "error.h"

#include <errno.h>
#include <pthread.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Longest wait of the engine for a writer within one call of bitcask_merge or
** bitcask_sync; these are repeated until the table's own timeout is over. */
enum { LOCK_SLICE_MS = 100 };

/* Held while a handle is opened or closed too: two handles of one directory must
** not overlap because a thread opens what another one is closing. */
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static vt_engine *engines;

static void lock(void) { (void)pthread_mutex_lock(&mutex); /* cannot fail: never destroyed */ }
static void unlock(void) { (void)pthread_mutex_unlock(&mutex); }

/* After fork() the parent's handles are of no use to the child. */
static vt_engine *find(const struct stat *st, bool read_only) {
  vt_engine *p = engines;
  int64_t pid = getpid();
  while (p && !(p->device == st->st_dev && p->inode == st->st_ino && p->pid == pid &&
                p->options.engine.read_only == read_only && !bitcask_is_moved(p->bc))) {
    p = p->next;
  }
  return p;
}

static int open_engine(const char *dir, const vt_options *o, bool create, vt_engine **out,
                       bitcask_error *e) {
  struct stat st;
  bitcask_options options = o->engine;
  vt_engine *p = sqlite3_malloc64(sizeof(*p));
  int rc;
  if (!p) {
    return vt_error_set(e, BITCASK_NOMEM, "out of memory");
  }
  memset(p, 0, sizeof(*p));
  options.create = create && !options.read_only;
  options.timeout_ms = LOCK_SLICE_MS;
  options.log = vt_error_log;
  rc = bitcask_open(dir, &options, &p->bc, e);
  if (rc == BITCASK_OK && stat(bitcask_dir(p->bc), &st) != 0) {
    rc = vt_error_set(e, BITCASK_CANTOPEN, "%s: %s", dir, strerror(errno));
    (void)bitcask_close(p->bc, NULL); /* the first error is the one to report */
  }
  if (rc != BITCASK_OK) {
    sqlite3_free(p);
    return rc;
  }
  p->device = st.st_dev;
  p->inode = st.st_ino;
  p->pid = getpid();
  p->options = *o;
  p->options.engine.progress = NULL; /* of the one who opened it, for the opening alone */
  p->refs = 1;
  p->next = engines;
  engines = p;
  *out = p;
  return BITCASK_OK;
}

int vt_engine_acquire(const char *dir, const vt_options *o, bool create, vt_engine **out,
                      bitcask_error *e) {
  struct stat st;
  vt_engine *p = NULL;
  const char *conflict = NULL;
  int rc = BITCASK_OK;
  *out = NULL;
  lock();
  if (stat(dir, &st) == 0) {
    p = find(&st, o->engine.read_only);
  }
  if (!p) {
    rc = open_engine(dir, o, create, out, e);
  } else if ((conflict = vt_options_conflict(o, &p->options)) != NULL) {
    rc = vt_error_set(e, BITCASK_INVALID,
                      "option %s differs from that of another table open on %s in this process",
                      conflict, dir);
  } else {
    p->refs++;
    *out = p;
  }
  unlock();
  return rc;
}

void vt_engine_release(vt_engine *engine) {
  vt_engine **link = &engines;
  bitcask_error e;
  lock();
  if (--engine->refs == 0) {
    while (*link != engine) {
      link = &(*link)->next;
    }
    *link = engine->next;
    /* In a child of fork() the engine refuses, as it must. */
    if (bitcask_close(engine->bc, &e) != BITCASK_OK && engine->pid == getpid()) {
      vt_error_log(NULL, e.text);
    }
    sqlite3_free(engine);
  }
  unlock();
}
