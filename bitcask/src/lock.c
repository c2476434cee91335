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
  SAVE_BYTE = 4    /* exclusive: writing a checkpoint */
};

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

int bc_lock_write(bc_state *st, int timeout_ms, bitcask_error *err) {
  const bc_env *env = st->env;
  uint64_t start = 0, now;
  unsigned pause_us = 100;
  int e;

  let_waiters_pass(st);
  for (;;) {
    e = try_lock(st, WRITE_BYTE, BC_LOCK_EXCLUSIVE);
    if (!e) return BITCASK_OK;
    if (e != EAGAIN) return bc_err_os(err, e, "cannot lock %s", BC_STATE_NAME);
    now = env->monotonic_ms(env->ctx);
    if (!start) start = now;
    if (timeout_ms >= 0 && now - start >= (uint64_t)timeout_ms) {
      return bc_err(err, BITCASK_BUSY,
                    "another process is writing; try again when its transaction has ended");
    }
    if (st->mapped_writable) bc_state_wait_now(st, now);
    env->sleep_us(env->ctx, pause_us);
    if (pause_us < 2000) pause_us *= 2;
  }
}

bool bc_lock_tail(bc_state *st) { return !try_lock(st, WRITE_BYTE, BC_LOCK_SHARED); }

void bc_unlock_write(bc_state *st) { (void)try_lock(st, WRITE_BYTE, BC_UNLOCK); }

int bc_lock_write_held(const bc_state *st, bool *held, bitcask_error *err) {
  int e = st->env->lock_held(st->env->ctx, st->fd, WRITE_BYTE, BC_LOCK_SHARED, held);
  return e ? bc_err_os(err, e, "cannot ask for the lock of %s", BC_STATE_NAME) : BITCASK_OK;
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
static int lock_briefly(bc_state *st, uint64_t byte) {
  int e, tries = 0;
  while ((e = try_lock(st, byte, BC_LOCK_EXCLUSIVE)) == EAGAIN && tries++ < 5000) {
    st->env->sleep_us(st->env->ctx, 200);
  }
  return e;
}

bool bc_lock_save(bc_state *st) { return !lock_briefly(st, SAVE_BYTE); }

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
  if (!env->stat(env->ctx, path, &stat)) *mtime = stat.mtime_secs;
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
  int e = lock_briefly(st, ADMIT_BYTE);
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
  /* Should somebody keep the admission lock for a second, the files stay, with
  ** a pid that is dead soon: stale, for us and for basho/bitcask. */
  if (lock_admission(st, NULL)) return;
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
