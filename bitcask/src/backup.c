/*
** backup.c - bitcask_backup: the state of one moment in a directory of its own.
**
** A snapshot keeps its files readable, so nothing here holds anybody up. The
** order, and what a crash in between leaves:
**   copy into <dir>.partial    a name that nobody takes for a backup
**   sync each file, and the    the contents are on the disk ...
**     directory
**   rename to <dir>            ... before the name that says so
**   sync the parent            before the caller is told
*/
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "err.h"
#include "fold.h"
#include "home.h"
#include "lock.h"
#include "name.h"

enum { COPY_SZ = 1 << 20 };

/* In a copy that is being made.  Locked: somebody is making it. */
#define LOCK_NAME "bitcask.backup"

typedef struct backup {
  bitcask *bc;
  int (*progress)(void *ctx);
  void *ctx;
  bitcask_error *err;
  bitcask_buf dir;     /* where it goes, no slash at the end */
  bitcask_buf partial; /* where it is made */
  bitcask_buf parent;
  bitcask_snapshot *snap;
  uint64_t *sizes; /* of the snapshot's files, at its moment */
  bool may_link;
  int lock_fd; /* of a file in `partial` that is locked while the copy is made; -1: none */
  bitcask_buf from, to, scratch;
} backup;

static int step(backup *b) {
  if (!b->progress || !b->progress(b->ctx)) return BITCASK_OK;
  return bc_err(b->err, BITCASK_INTERRUPT, "the backup of %s was interrupted", b->bc->dir);
}

/* ------------------------------------------------------------- destination */

static int name_paths(backup *b, const char *dir) {
  size_t n = strlen(dir), end;

  while (n > 1 && dir[n - 1] == '/') n--;
  if (!n || (n == 1 && dir[0] == '/')) {
    return bc_err(b->err, BITCASK_INVALID, "a backup cannot be made in '%s'", dir);
  }
  end = n;
  while (end && dir[end - 1] != '/') end--;
  if (bc_buf_printf(&b->dir, "%.*s", (int)n, dir) ||
      bc_buf_printf(&b->partial, "%.*s.partial", (int)n, dir) ||
      bc_buf_printf(&b->parent, "%.*s", end ? (int)end : 1, end ? dir : ".")) {
    return bc_err_nomem(b->err);
  }
  return BITCASK_OK;
}

static int is_there(void *arg, const char *name) {
  (void)arg;
  (void)name;
  return EEXIST;
}

/* It must not be there, or be empty. */
static int check_destination(backup *b) {
  const bc_env *env = b->bc->env;
  const char *dir = (char *)b->dir.data;
  char *real = NULL;
  bool same;
  bc_stat st;
  int e = env->stat(env->ctx, dir, &st);

  if (e == ENOENT) return BITCASK_OK;
  if (!e && !S_ISDIR(st.mode)) {
    return bc_err(b->err, BITCASK_CANTOPEN, "%s is not a directory", dir);
  }
  if (!e) e = env->realpath(env->ctx, dir, &real);
  if (e) return bc_err_os(b->err, e, "cannot look at %s", dir);
  same = !strcmp(real, b->bc->dir);
  free(real);
  if (same) return bc_err(b->err, BITCASK_INVALID, "%s cannot be its own backup", dir);
  e = env->list(env->ctx, dir, is_there, NULL);
  if (e == EEXIST) {
    return bc_err(b->err, BITCASK_INVALID, "%s is not empty; a backup needs a new directory", dir);
  }
  return e ? bc_err_os(b->err, e, "cannot list %s", dir) : BITCASK_OK;
}

typedef struct removal {
  const bc_env *env;
  const char *dir;
  bitcask_buf path;
} removal;

static int remove_name(void *arg, const char *name) {
  removal *r = arg;
  if (bc_name_in(&r->path, r->dir, name)) return ENOMEM;
  return r->env->unlink(r->env->ctx, (char *)r->path.data);
}

/* What cannot be removed stays under a name that nobody takes for a backup. */
static void remove_all(const bc_env *env, const char *dir) {
  removal r = {.env = env, .dir = dir};
  if (!env->list(env->ctx, dir, remove_name, &r)) (void)env->rmdir(env->ctx, dir);
  bitcask_buf_free(&r.path);
}

/* Is it what a backup makes?  ENOTEMPTY: no; the name is in r->path. */
static int check_made(void *arg, const char *name) {
  removal *r = arg;
  uint32_t id;
  bc_name_kind kind = bc_name_parse(name, &id);

  if (kind == BC_NAME_DATA || kind == BC_NAME_HINT || !strcmp(name, LOCK_NAME)) return 0;
  return bc_name_in(&r->path, r->dir, name) ? ENOMEM : ENOTEMPTY;
}

/* Of a backup whose process has died: the lock on its file has gone with it. */
static int remove_dead(backup *b, int fd) {
  const bc_env *env = b->bc->env;
  removal r = {.env = env, .dir = (char *)b->partial.data};
  int rc = BITCASK_OK, e = env->lock(env->ctx, fd, 0, BC_LOCK_EXCLUSIVE);

  if (e == EAGAIN) {
    return bc_err(b->err, BITCASK_BUSY, "another backup to %s is running", b->dir.data);
  }
  if (!e) e = env->list(env->ctx, r.dir, check_made, &r);
  if (e == ENOTEMPTY) {
    rc = bc_err(b->err, BITCASK_INVALID,
                "%s is left of a backup that was killed, but %s is not of its making; remove it",
                r.dir, r.path.data);
  } else if (e) {
    rc = bc_err_os(b->err, e, "cannot look at %s", r.dir);
  } else {
    remove_all(env, r.dir);
  }
  bitcask_buf_free(&r.path);
  return rc;
}

/* There is one already. */
static int replace_partial(backup *b) {
  const bc_env *env = b->bc->env;
  const char *partial = (char *)b->partial.data;
  bitcask_buf lock = {0};
  int rc = BITCASK_OK, e, fd;
  bc_stat st;

  if (env->lstat(env->ctx, partial, &st) || !S_ISDIR(st.mode)) {
    return bc_err(b->err, BITCASK_INVALID, "%s is there and no directory; remove it", partial);
  }
  if (bc_name_in(&lock, partial, LOCK_NAME)) return bc_err_nomem(b->err);
  e = env->open(env->ctx, (char *)lock.data, BC_OPEN_WRITE | BC_OPEN_LOCKS, &fd);
  bitcask_buf_free(&lock);
  if (!e) {
    rc = remove_dead(b, fd);
    env->close(env->ctx, fd);
  } else if (e != ENOENT || env->rmdir(env->ctx, partial)) { /* an empty one goes */
    return bc_err(b->err, BITCASK_INVALID,
                  "%s is there, and it cannot be told whether a backup is making it; if not, "
                  "remove it",
                  partial);
  }
  if (rc) return rc;
  e = env->mkdir(env->ctx, partial);
  return e ? bc_err_os(b->err, e, "cannot make the directory %s", partial) : BITCASK_OK;
}

/* Says, as long as this process lives, that the copy is being made. */
static int lock_partial(backup *b) {
  const bc_env *env = b->bc->env;
  bitcask_buf lock = {0};
  bc_stat own, named;
  int e;

  if (bc_name_in(&lock, (char *)b->partial.data, LOCK_NAME)) return bc_err_nomem(b->err);
  e = env->open(env->ctx, (char *)lock.data,
                BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE | BC_OPEN_LOCKS, &b->lock_fd);
  if (e) b->lock_fd = -1;
  if (!e) e = env->lock(env->ctx, b->lock_fd, 0, BC_LOCK_EXCLUSIVE);
  /* Before it was locked another backup may have taken it for one of the dead, and removed it:
  ** then what has the name is the other one's. */
  if (!e) e = env->fstat(env->ctx, b->lock_fd, &own);
  if (!e) e = env->lstat(env->ctx, (char *)lock.data, &named);
  if (!e && (own.device != named.device || own.inode != named.inode)) e = EAGAIN;
  bitcask_buf_free(&lock);
  if (!e) return BITCASK_OK;
  return bc_err_os(b->err, e, "cannot lock %s, which another backup may be making",
                   b->partial.data);
}

static int make_partial(backup *b) {
  const bc_env *env = b->bc->env;
  const char *partial = (char *)b->partial.data;
  int rc, e = env->mkdir(env->ctx, partial);

  if (e == EEXIST) {
    rc = replace_partial(b);
    if (rc) return rc;
  } else if (e) {
    rc = bc_err_os(b->err, e, "cannot make the directory %s", partial);
    return e == ENOENT || e == ENOTDIR ? BITCASK_CANTOPEN : rc;
  }
  rc = lock_partial(b);
  if (rc) (void)env->rmdir(env->ctx, partial);
  return rc;
}

/* ------------------------------------------------------------- the moment */

/* With `lock` shared.  False: a record has become live or dead since. */
static bool note_sizes(backup *b) {
  const bitcask_snapshot *s = b->snap;
  if (atomic_load(&b->bc->version) != s->version) return false;
  for (size_t i = 0; i < s->pin.files->n; i++)
    b->sizes[i] = bc_snapshot_limit(s, s->pin.files->file[i]);
  return true;
}

/* A snapshot, and how long its files were then: the output of a merge grows, and
** may get a tombstone for a key that was live at that moment. */
static int freeze(backup *b) {
  bool done = false;
  int rc = BITCASK_OK;

  while (!done) {
    bitcask_snapshot_close(b->snap);
    free(b->sizes);
    b->sizes = NULL;
    rc = bitcask_snapshot_open(b->bc, NULL, &b->snap, b->err);
    if (rc) return rc;
    b->sizes = malloc((b->snap->pin.files->n + 1) * sizeof *b->sizes);
    if (!b->sizes) return bc_err_nomem(b->err);
    pthread_rwlock_rdlock(&b->bc->lock);
    done = note_sizes(b);
    pthread_rwlock_unlock(&b->bc->lock);
  }
  return BITCASK_OK;
}

/*
** This library never changes a file that has a hint: it renames and removes, and
** appends to files without.  basho/bitcask sets mode bits of merged files, and its
** merge appends to older ones; with two names that would reach the other
** directory.  So files are linked only where we have written, and it is not at work.
*/
static bool may_link(const bitcask *bc) {
  uint32_t pid = bc_lock_writer_pid(bc->env, bc->dir);
  bc_position stable;
  return bc_state_stable(&bc->state, &stable) && (!pid || pid == bc_state_lock_pid(&bc->state));
}

/* ------------------------------------------------------------------- files */

typedef int name_fn(bitcask_buf *out, const char *dir, uint32_t id, const char *suffix);

static int name_file(backup *b, name_fn *name, uint32_t id) {
  if (name(&b->from, b->bc->dir, id, "") || name(&b->to, (char *)b->partial.data, id, "")) {
    return bc_err_nomem(b->err);
  }
  return BITCASK_OK;
}

/* Make b->to another name of b->from, which must be `size` long if that is known. */
static bool try_link(backup *b, const uint64_t *size) {
  const bc_env *env = b->bc->env;
  const char *to = (char *)b->to.data;
  bc_stat st;

  if (!b->may_link || env->link(env->ctx, (char *)b->from.data, to)) return false;
  if (!env->lstat(env->ctx, to, &st) && (!size || st.size == *size) &&
      !(st.mode & BC_DELETION_MARKS)) {
    return true;
  }
  (void)env->unlink(env->ctx, to); /* if that fails the copy will, too: it is in the way */
  return false;
}

static int close_synced(backup *b, int fd, int rc) {
  const bc_env *env = b->bc->env;
  int e = rc ? 0 : env->fdatasync(env->ctx, fd);
  if (e) rc = bc_err_os(b->err, e, "cannot sync %s", b->to.data);
  e = env->close(env->ctx, fd);
  return e && !rc ? bc_err_os(b->err, e, "cannot close %s", b->to.data) : rc;
}

/* Of basho/bitcask's files nobody knows whether they were ever synced. */
static int sync_linked(backup *b) {
  const bc_env *env = b->bc->env;
  int fd, e = env->open(env->ctx, (char *)b->to.data, BC_OPEN_READ, &fd);
  if (e) return bc_err_os(b->err, e, "cannot open %s", b->to.data);
  return close_synced(b, fd, BITCASK_OK);
}

/* n bytes of a data file, or of the open file `fd`: *p points to *got of them. */
static int read_piece(backup *b, bc_datafile *df, int fd, uint64_t at, size_t n, const uint8_t **p,
                      size_t *got) {
  const bc_env *env = b->bc->env;
  int e;

  *got = n;
  if (df) return bc_datafile_read(df, at, n, &b->scratch, p, b->err);
  b->scratch.size = 0;
  if (bc_buf_reserve(&b->scratch, n)) return bc_err_nomem(b->err);
  *p = b->scratch.data;
  e = env->pread(env->ctx, fd, b->scratch.data, n, at, got);
  return e ? bc_err_os(b->err, e, "cannot read %s", b->from.data) : BITCASK_OK;
}

/* To b->to, from a data file or from the open file `fd`. */
static int copy(backup *b, bc_datafile *df, int fd, uint64_t size) {
  const bc_env *env = b->bc->env;
  const uint8_t *p;
  uint64_t at = 0;
  size_t n = 1;
  int out, rc = BITCASK_OK, e;

  e = env->open(env->ctx, (char *)b->to.data, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE,
                &out);
  if (e) return bc_err_os(b->err, e, "cannot make %s", b->to.data);
  while (at < size && n && !rc) {
    n = size - at < COPY_SZ ? (size_t)(size - at) : COPY_SZ;
    rc = step(b);
    if (!rc) rc = read_piece(b, df, fd, at, n, &p, &n);
    if (rc) break;
    e = env->pwritev(env->ctx, out, &(struct iovec){(void *)(uintptr_t)p, n}, 1, at);
    if (e) rc = bc_err_os(b->err, e, "cannot write to %s", b->to.data);
    at += n;
  }
  return close_synced(b, out, rc);
}

/* The hint is a cache: if a merge has just removed it there is none.  *taken: there is
** one now. */
static int take_hint(backup *b, uint32_t id, bool *taken) {
  const bc_env *env = b->bc->env;
  uint64_t size = 0;
  int fd, e, rc = name_file(b, bc_name_hint, id);

  *taken = false;
  if (rc) return rc;
  if (try_link(b, NULL)) {
    *taken = true;
    return sync_linked(b);
  }
  e = env->open(env->ctx, (char *)b->from.data, BC_OPEN_READ, &fd);
  if (e == ENOENT) return BITCASK_OK;
  if (e) return bc_err_os(b->err, e, "cannot open %s", b->from.data);
  e = env->size(env->ctx, fd, &size);
  rc = e ? bc_err_os(b->err, e, "cannot stat %s", b->from.data) : copy(b, NULL, fd, size);
  *taken = !rc;
  (void)env->close(env->ctx, fd); /* read only: nothing can be lost */
  return rc;
}

static int take_file(backup *b, bc_datafile *df, uint64_t size) {
  /* What grew since the snapshot has no hint that fits. */
  bool sealed = df->has_hint && atomic_load(&df->size) == size, hinted = false;
  int rc = step(b);

  /* The hint first.  A merge removes it before the file, and a file without one is
  ** continued if it is the highest: in the copy, and so in the source if that has it. */
  if (!rc && sealed) rc = take_hint(b, df->id, &hinted);
  if (!rc) rc = name_file(b, bc_name_data, df->id);
  if (rc) return rc;
  return hinted && try_link(b, &size) ? sync_linked(b) : copy(b, df, -1, size);
}

/* -------------------------------------------------------------- begin, end */

static int finish(backup *b) {
  const bc_env *env = b->bc->env;
  const char *dir = (char *)b->dir.data, *partial = (char *)b->partial.data;
  int e = env->sync_dir(env->ctx, partial);

  if (e) return bc_err_os(b->err, e, "cannot sync %s", partial);
  e = env->rename(env->ctx, partial, dir);
  if (e == ENOTEMPTY || e == EEXIST) {
    return bc_err(b->err, BITCASK_INVALID,
                  "%s is not empty any more; a backup needs a new directory", dir);
  }
  if (e) return bc_err_os(b->err, e, "cannot rename %s to %s", partial, dir);
  e = env->sync_dir(env->ctx, (char *)b->parent.data);
  /* Not before: what had no lock and the old name could not be told from one at work.  Left by
  ** a crash here it is a file that nobody reads. */
  if (!e && !bc_name_in(&b->to, dir, LOCK_NAME)) (void)env->unlink(env->ctx, (char *)b->to.data);
  if (!e) return BITCASK_OK;
  /* Whole, but a power cut may take its name away: not what was promised. */
  (void)env->rename(env->ctx, dir, partial);
  return bc_err_os(b->err, e, "cannot sync %s", b->parent.data);
}

static int run(backup *b) {
  int rc = make_partial(b);
  if (rc) return rc;
  rc = freeze(b);
  for (size_t i = 0; !rc && i < b->snap->pin.files->n; i++) {
    rc = take_file(b, b->snap->pin.files->file[i], b->sizes[i]);
  }
  /* What has the name now is what the copy must be of. */
  pthread_rwlock_rdlock(&b->bc->lock);
  if (!rc) rc = bc_home_check(b->bc, NULL, b->err);
  pthread_rwlock_unlock(&b->bc->lock);
  if (!rc) rc = finish(b);
  if (rc) remove_all(b->bc->env, (char *)b->partial.data);
  return rc;
}

int bitcask_backup(bitcask *bc, const char *dir, int (*progress)(void *ctx), void *ctx,
                   uint64_t *n_files, bitcask_error *err) {
  backup b = {.bc = bc, .progress = progress, .ctx = ctx, .err = err, .lock_fd = -1};
  int rc;

  if (n_files) *n_files = 0;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = name_paths(&b, dir);
  if (!rc) rc = check_destination(&b);
  if (!rc) {
    b.may_link = may_link(bc);
    rc = run(&b);
  }
  if (!rc && n_files) *n_files = b.snap->pin.files->n;
  if (rc && err) err->code = rc;
  if (b.lock_fd >= 0) bc->env->close(bc->env->ctx, b.lock_fd);
  bitcask_snapshot_close(b.snap);
  free(b.sizes);
  bitcask_buf_free(&b.dir);
  bitcask_buf_free(&b.partial);
  bitcask_buf_free(&b.parent);
  bitcask_buf_free(&b.from);
  bitcask_buf_free(&b.to);
  bitcask_buf_free(&b.scratch);
  return rc;
}
