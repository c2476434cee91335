/* lock.c - see lock.h. */
#include "lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "name.h"

/* Bytes of bitcask.state that are locked. */
enum {
  WRITE_BYTE = 0,  /* exclusive: one transaction */
  WRITER_BYTE = 1, /* shared: admitted as a writer */
  ADMIT_BYTE = 2,  /* exclusive: changing the lock files */
  MERGE_BYTE = 3,  /* exclusive: one merge */
  SAVE_BYTE = 4,   /* exclusive: writing a checkpoint */
  AUTHOR_BYTE = 64 /* ... and each byte above it, exclusive: the writer of this number */
};

enum { MAX_AUTHORS = (1 << 24) - 1 };

static int try_lock(bc_state *st, uint64_t byte, bc_lock_kind kind) {
  return st->env->lock(st->env->ctx, st->fd, byte, kind);
}

/* Others that wait note the time in the shared page.  A writer that comes back
** right after its own transaction lets them go first, or a busy writer would
** starve those that poll. */
static void let_waiters_pass(bc_state *st) {
  uint64_t waited = st->mapped_writable ? bc_state_waited_at(st) : 0;
  if (waited && st->env->monotonic_ms(st->env->ctx) - waited < 10) {
    bc_state_wait_now(st, 0);
    st->env->sleep_us(st->env->ctx, 500);
  }
}

/* What the write lock is held for. */
typedef enum use {
  USE_MOMENT,     /* something that needs it for a moment */
  USE_ENDING,     /* a transaction that is about to end, or whose process seems to have died */
  USE_TRANSACTION /* one that ends when its owner likes */
} use;

/* How long each is waited for if the caller would not wait: longer than it can last, unless
** its process was stopped or its disk hangs. */
static const int LEAST_MS[] = {[USE_MOMENT] = 60000, [USE_ENDING] = 1000, [USE_TRANSACTION] = 0};

enum { ASK_EVERY_MS = 50 };

static use use_by_holder(const bc_state *st, const bc_holder *h) {
  if (!h->pid) return USE_MOMENT;
  /* One that is dead: the kernel has given the lock to another process, which is about to
  ** note what it does.  Or the pid is that of another container. */
  if (h->committing || !st->env->pid_alive(st->env->ctx, h->pid, INT64_MAX)) return USE_ENDING;
  return USE_TRANSACTION;
}

/* ... by another process, or by another handle of this one. */
static use use_by_other(const bc_state *st) {
  bc_holder h = bc_state_holder(st);
  bool exclusive = true;

  /* The note of a writer that was killed stays while readers of its tail keep the lock:
  ** they note nothing. */
  if (h.pid && !st->env->lock_held(st->env->ctx, st->fd, WRITE_BYTE, BC_LOCK_SHARED, &exclusive) &&
      !exclusive) {
    return USE_MOMENT;
  }
  return use_by_holder(st, &h);
}

/* After an attempt that failed: may another one be made? */
static int go_on(bc_waiter *w, const bc_env *env, use u, bitcask_error *err) {
  uint64_t now = env->monotonic_ms(env->ctx);
  int limit_ms;

  if (!w->wait) return bc_err(err, BITCASK_BUSY, "another process is writing");
  if (!w->begun) w->start_ms = w->asked_ms = now;
  w->begun = true;
  limit_ms = w->wait->timeout_ms > LEAST_MS[u] ? w->wait->timeout_ms : LEAST_MS[u];
  if (w->wait->timeout_ms >= 0 && now - w->start_ms >= (uint64_t)limit_ms) {
    return bc_err(err, BITCASK_BUSY,
                  u == USE_MOMENT ? "another process has kept the write lock for a minute, for a "
                                    "sync, a merge or a repair: has it been stopped?"
                                  : "another process is writing; try again when its transaction "
                                    "has ended");
  }
  if (w->wait->progress && now - w->asked_ms >= ASK_EVERY_MS) {
    w->asked_ms = now;
    if (w->wait->progress(w->wait->progress_ctx)) {
      return bc_err(err, BITCASK_INTERRUPT, "waiting for another writer was interrupted");
    }
  }
  return BITCASK_OK;
}

int bc_lock_write(bc_state *st, bc_waiter *w, bitcask_error *err) {
  const bc_env *env = st->env;
  unsigned pause_us = 100;
  int rc, e;

  let_waiters_pass(st);
  for (;;) {
    e = try_lock(st, WRITE_BYTE, BC_LOCK_EXCLUSIVE);
    if (!e) return BITCASK_OK;
    if (e != EAGAIN) return bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME);
    rc = go_on(w, env, use_by_other(st), err);
    if (rc) return rc;
    if (st->mapped_writable) bc_state_wait_now(st, env->monotonic_ms(env->ctx));
    env->sleep_us(env->ctx, pause_us);
    if (pause_us < 2000) pause_us *= 2;
  }
}

int bc_lock_wait_for_thread(bc_state *st, bc_waiter *w, bitcask_error *err) {
  bc_holder h = bc_state_holder(st);
  /* The kernel does not tell a handle of its own locks.  If it is of another process, the
  ** thread itself is waiting. */
  return go_on(w, st->env, h.pid == st->pid ? use_by_holder(st, &h) : use_by_other(st), err);
}

void bc_lock_note_transaction(bc_state *st, bool committing) {
  bc_state_set_holder(st, &(bc_holder){st->pid, committing});
}

void bc_lock_note_moment(bc_state *st) { bc_state_set_holder(st, &(bc_holder){0}); }

int bc_lock_tail(bc_state *st, bitcask_error *err) {
  int e = try_lock(st, WRITE_BYTE, BC_LOCK_SHARED);
  if (e == EAGAIN) return bc_err(err, BITCASK_BUSY, "another process is writing");
  return e ? bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME) : BITCASK_OK;
}

bool bc_lock_outputs(bc_state *st) { return !try_lock(st, MERGE_BYTE, BC_LOCK_SHARED); }

void bc_unlock_write(bc_state *st) {
  if (st->mapped_writable) bc_lock_note_moment(st); /* the next one is not to be taken for this */
  (void)try_lock(st, WRITE_BYTE, BC_UNLOCK);
}

int bc_lock_write_held(const bc_state *st, bool *held, bitcask_error *err) {
  int e = st->env->lock_held(st->env->ctx, st->fd, WRITE_BYTE, BC_LOCK_SHARED, held);
  return e ? bc_err_os(err, e, "cannot ask for the lock of %s", BC_STATE_NAME) : BITCASK_OK;
}

bool bc_lock_tail_is_dead(const bc_state *st) {
  uint32_t author = bc_state_tail_author(st);
  bool alive = true;

  if (bc_state_tail(st) != BC_TAIL_APPENDED || (author && author == st->author)) return false;
  return !st->env->lock_held(st->env->ctx, st->fd, AUTHOR_BYTE + (uint64_t)author,
                             BC_LOCK_EXCLUSIVE, &alive) &&
         !alive;
}

/* The lowest number that no other writer has.  Not the one of a dead author whose tail is still
** there: that would seem to live again. */
static int take_number(bc_state *st) {
  uint32_t taken = bc_state_tail_author(st);
  int e = EAGAIN;
  for (uint32_t n = 1; e == EAGAIN && n <= MAX_AUTHORS; n++) {
    if (n == taken) continue;
    e = try_lock(st, AUTHOR_BYTE + (uint64_t)n, BC_LOCK_EXCLUSIVE);
    if (!e) st->author = n;
  }
  return e;
}

static void give_number_back(bc_state *st) {
  if (st->author) (void)try_lock(st, AUTHOR_BYTE + (uint64_t)st->author, BC_UNLOCK);
  st->author = 0;
}

int bc_lock_merge(bc_state *st, bitcask_error *err) {
  int e = try_lock(st, MERGE_BYTE, BC_LOCK_EXCLUSIVE);
  if (e == EAGAIN) return bc_err(err, BITCASK_BUSY, "another process is merging this directory");
  if (e) return bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME);
  bc_state_set_merging(st, false); /* one that was killed may have left it */
  /* The last one died over a removal, or with the machine. */
  if (bc_is_removing(bc_state_merges(st))) bc_state_count_merge(st);
  return BITCASK_OK;
}

int bc_lock_merge_held(const bc_state *st, bool *held, bitcask_error *err) {
  int e = st->env->lock_held(st->env->ctx, st->fd, MERGE_BYTE, BC_LOCK_SHARED, held);
  return e ? bc_err_os(err, e, "cannot ask for the lock of %s", BC_STATE_NAME) : BITCASK_OK;
}

void bc_unlock_merge(bc_state *st) { (void)try_lock(st, MERGE_BYTE, BC_UNLOCK); }

/* One that is held for a few system calls only. */
static int lock_briefly(bc_state *st, uint64_t byte, uint64_t least_ms) {
  const bc_env *env = st->env;
  uint64_t start = 0, now;
  int e;

  while ((e = try_lock(st, byte, BC_LOCK_EXCLUSIVE)) == EAGAIN) {
    now = env->monotonic_ms(env->ctx);
    if (!start) start = now;
    if (now - start >= least_ms) break;
    env->sleep_us(env->ctx, 200);
  }
  return e;
}

bool bc_lock_save(bc_state *st) { return !lock_briefly(st, SAVE_BYTE, 1000); }

void bc_unlock_save(bc_state *st) { (void)try_lock(st, SAVE_BYTE, BC_UNLOCK); }

/* ------------------------------------------- lock files of basho/bitcask */

/* The pid in a lock file, as basho/bitcask finds it: digits, a blank, and a
** newline later.  0: no file, or nothing that names a process. */
static int read_pid(const bc_env *env, const char *path, uint32_t *pid, int64_t *mtime) {
  char text[64] = {0}, *end;
  unsigned long n;
  bc_stat stat;
  size_t got = 0;
  int fd, e;

  *pid = 0;
  *mtime = 0;
  e = env->open(env->ctx, path, BC_OPEN_READ, &fd);
  if (e) return e;
  e = env->pread(env->ctx, fd, text, sizeof text - 1, 0, &got);
  env->close(env->ctx, fd);
  if (e) return e;
  if (!env->lstat(env->ctx, path, &stat)) *mtime = stat.mtime_secs;
  n = strtoul(text, &end, 10);
  if (end != text && *end == ' ' && n <= UINT32_MAX) *pid = (uint32_t)n;
  return 0;
}

uint32_t bc_lock_writer_pid(const bc_env *env, const char *dir) {
  bitcask_buf path = {0};
  uint32_t pid = 0;
  int64_t mtime;
  if (!bc_name_in(&path, dir, BC_WRITE_LOCK_NAME) &&
      !read_pid(env, (char *)path.data, &pid, &mtime) && pid &&
      !env->pid_alive(env->ctx, pid, mtime)) {
    pid = 0;
  }
  bitcask_buf_free(&path);
  return pid;
}

/* Remove a lock file unless a live process of basho/bitcask stands behind it.
** `ours`: the pid that our own lock files name.  An empty or garbled file is
** what a crash leaves between create and write: nobody's. */
static int remove_stale(const bc_env *env, const char *path, uint32_t ours, bitcask_error *err) {
  uint32_t pid;
  int64_t mtime;
  int e = read_pid(env, path, &pid, &mtime);

  if (e == ENOENT) return BITCASK_OK;
  if (e) return bc_err_os(err, e, "cannot read %s, which somebody may hold", path);
  if (pid && pid != ours && pid != env->pid(env->ctx) && env->pid_alive(env->ctx, pid, mtime)) {
    return bc_err(err, BITCASK_BUSY,
                  "%s belongs to process %u, which has the directory open for writing; if that is "
                  "no Bitcask, remove the file",
                  path, pid);
  }
  e = env->unlink(env->ctx, path);
  return e && e != ENOENT ? bc_err_os(err, e, "cannot remove the stale lock %s", path) : BITCASK_OK;
}

static int write_lock_file(const bc_env *env, const char *path, bitcask_error *err) {
  char text[32];
  struct iovec iov = {text, 0};
  int fd, e;

  /* O_EXCL: basho/bitcask may be making the same file just now. */
  e = env->open(env->ctx, path,
                BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE | BC_OPEN_PRIVATE, &fd);
  if (e == EEXIST)
    return bc_err(err, BITCASK_BUSY, "%s has just been taken by somebody else", path);
  if (e) return bc_err_os(err, e, "cannot make %s", path);
  iov.iov_len = (size_t)snprintf(text, sizeof text, "%u \n", env->pid(env->ctx));
  e = env->pwritev(env->ctx, fd, &iov, 1, 0);
  env->close(env->ctx, fd);
  if (e) {
    (void)env->unlink(env->ctx, path); /* an empty one would keep basho/bitcask out for ever */
    return bc_err_os(err, e, "cannot write %s", path);
  }
  return BITCASK_OK;
}

static int lock_admission(bc_state *st, bitcask_error *err) {
  int e =
      lock_briefly(st, ADMIT_BYTE, (uint64_t)LEAST_MS[USE_MOMENT]); /* it must not fail a writer */
  if (e == EAGAIN) return bc_err(err, BITCASK_BUSY, "another process is starting to write");
  return e ? bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME) : BITCASK_OK;
}

/* Removes write_lock_file's work of this process. */
static void take_back(const bc_env *env, const char *path) {
  uint32_t pid;
  int64_t mtime;
  if (!read_pid(env, path, &pid, &mtime) && pid == env->pid(env->ctx)) {
    (void)env->unlink(env->ctx, path);
  }
}

/* Replaces the lock files by ours.  `path` is room for names. */
static int take_lock_files(bc_state *st, const char *dir, bitcask_buf *path, bitcask_error *err) {
  static const char *const names[] = {BC_WRITE_LOCK_NAME, BC_MERGE_LOCK_NAME};
  int rc = BITCASK_OK;
  for (int i = 0; i < 2 && !rc; i++) {
    rc = bc_name_in(path, dir, names[i])
             ? bc_err_nomem(err)
             : remove_stale(st->env, (char *)path->data, bc_state_lock_pid(st), err);
  }
  /* basho/bitcask waits five seconds for a create lock that a crash left, and
  ** then fails; nothing of ours takes it. */
  if (!rc) {
    rc = bc_name_in(path, dir, BC_CREATE_LOCK_NAME)
             ? bc_err_nomem(err)
             : remove_stale(st->env, (char *)path->data, 0, err);
  }
  if (rc) return rc;
  /* Noted before there is a file, and after the files of the one noted before are
  ** gone: killed at any point, what is left is known to be ours even while its
  ** parent has not waited for it and the pid seems alive. */
  bc_state_set_lock_pid(st, st->pid);
  for (int i = 0; i < 2 && !rc; i++) {
    rc = bc_name_in(path, dir, names[i]) ? bc_err_nomem(err)
                                         : write_lock_file(st->env, (char *)path->data, err);
  }
  if (rc) {
    /* Do not keep the write lock if the merge lock was refused. */
    if (!bc_name_in(path, dir, BC_WRITE_LOCK_NAME)) take_back(st->env, (char *)path->data);
    bc_state_set_lock_pid(st, 0);
  }
  return rc;
}

int bc_lock_admit(bc_state *st, const char *dir, bool *admitted, bool *again, bitcask_error *err) {
  const bc_env *env = st->env;
  uint32_t ours = bc_state_lock_pid(st);
  bitcask_buf path = {0};
  bool others = false;
  int rc, e;

  *again = false;
  /* Our lock files protect us as long as the process they name is alive, be it
  ** this one or another of ours. */
  if (*admitted && ours && (ours == st->pid || env->pid_alive(env->ctx, ours, INT64_MAX))) {
    return BITCASK_OK;
  }
  rc = lock_admission(st, err);
  if (rc) return rc;
  if (!*admitted) {
    e = try_lock(st, WRITER_BYTE, BC_LOCK_SHARED);
    if (!e) e = take_number(st);
    if (e) rc = bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME);
  }
  if (!rc) {
    e = env->lock_held(env->ctx, st->fd, WRITER_BYTE, BC_LOCK_EXCLUSIVE, &others);
    if (e) rc = bc_err_os(err, e, "cannot ask for the lock of %s", BC_STATE_NAME);
  }
  ours = bc_state_lock_pid(st);
  if (!rc && !(others && ours && env->pid_alive(env->ctx, ours, INT64_MAX))) {
    rc = take_lock_files(st, dir, &path, err);
  }
  if (!rc) {
    *again = true;
    *admitted = true;
  } else if (!*admitted) {
    give_number_back(st);
    (void)try_lock(st, WRITER_BYTE, BC_UNLOCK);
  }
  (void)try_lock(st, ADMIT_BYTE, BC_UNLOCK);
  bitcask_buf_free(&path);
  return rc;
}

void bc_lock_leave(bc_state *st, const char *dir, bool *admitted) {
  static const char *const names[] = {BC_MERGE_LOCK_NAME, BC_WRITE_LOCK_NAME};
  const bc_env *env = st->env;
  bitcask_buf path = {0};
  bool others = true;

  if (!*admitted) return;
  *admitted = false;
  /* Should somebody keep the admission lock for a minute, the files stay, with
  ** a pid that is dead soon: stale, for us and for basho/bitcask. */
  if (lock_admission(st, NULL)) return;
  give_number_back(st);
  (void)try_lock(st, WRITER_BYTE, BC_UNLOCK);
  if (env->lock_held(env->ctx, st->fd, WRITER_BYTE, BC_LOCK_EXCLUSIVE, &others)) others = true;
  for (int i = 0; i < 2 && !others; i++) {
    if (!bc_name_in(&path, dir, names[i])) (void)env->unlink(env->ctx, (char *)path.data);
  }
  /* While there are others the files stay, and the note that they are ours: the
  ** process they name may live on, and would pass for one of basho/bitcask's.
  ** When it ends, the next transaction puts another pid in them. */
  if (!others) bc_state_set_lock_pid(st, 0);
  (void)try_lock(st, ADMIT_BYTE, BC_UNLOCK);
  bitcask_buf_free(&path);
}
