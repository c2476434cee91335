/*
** calls.c - an environment for our engine that counts the system calls.
*/
#include "calls.h"

static uint64_t n_calls;

#define COUNTED(name, parameters, arguments)                                                       \
  static int count_##name parameters {                                                             \
    n_calls++;                                                                                     \
    return bc_env_posix.name arguments;                                                            \
  }

COUNTED(open, (void *ctx, const char *path, unsigned flags, int *fd), (ctx, path, flags, fd))
COUNTED(close, (void *ctx, int fd), (ctx, fd))
COUNTED(pread, (void *ctx, int fd, void *buf, size_t n, uint64_t offset, size_t *got),
        (ctx, fd, buf, n, offset, got))
COUNTED(pwritev, (void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset),
        (ctx, fd, iov, n_iov, offset))
COUNTED(fdatasync, (void *ctx, int fd), (ctx, fd))
COUNTED(truncate, (void *ctx, int fd, uint64_t size), (ctx, fd, size))
COUNTED(size, (void *ctx, int fd, uint64_t *size), (ctx, fd, size))
COUNTED(stat, (void *ctx, const char *path, bc_stat *out), (ctx, path, out))
COUNTED(rename, (void *ctx, const char *from, const char *to), (ctx, from, to))
COUNTED(unlink, (void *ctx, const char *path), (ctx, path))
COUNTED(mkdir, (void *ctx, const char *path), (ctx, path))
COUNTED(sync_dir, (void *ctx, const char *path), (ctx, path))
COUNTED(list, (void *ctx, const char *path, int (*fn)(void *arg, const char *name), void *arg),
        (ctx, path, fn, arg))
COUNTED(realpath, (void *ctx, const char *path, char **out), (ctx, path, out))
COUNTED(map, (void *ctx, int fd, size_t len, bool shared_write, void **out),
        (ctx, fd, len, shared_write, out))
COUNTED(unmap, (void *ctx, void *p, size_t len), (ctx, p, len))
COUNTED(lock, (void *ctx, int fd, uint64_t pos, bc_lock_kind kind), (ctx, fd, pos, kind))
COUNTED(lock_held, (void *ctx, int fd, uint64_t pos, bc_lock_kind kind, bool *held),
        (ctx, fd, pos, kind, held))
COUNTED(random, (void *ctx, void *buf, size_t n), (ctx, buf, n))
COUNTED(fork_guard, (void *ctx, void **out), (ctx, out))
COUNTED(boot_id, (void *ctx, uint8_t out[16]), (ctx, out))

static void count_sleep_us(void *ctx, unsigned us) {
  n_calls++;
  bc_env_posix.sleep_us(ctx, us);
}

static uint32_t count_pid(void *ctx) {
  n_calls++;
  return bc_env_posix.pid(ctx);
}

static bool count_pid_alive(void *ctx, uint32_t pid, int64_t since) {
  n_calls++;
  return bc_env_posix.pid_alive(ctx, pid, since);
}

const bc_env *calls_env(void) {
  static bc_env env;

  /* What is not replaced, the clocks, does not enter the kernel. */
  env = bc_env_posix;
  env.open = count_open;
  env.close = count_close;
  env.pread = count_pread;
  env.pwritev = count_pwritev;
  env.fdatasync = count_fdatasync;
  env.truncate = count_truncate;
  env.size = count_size;
  env.stat = count_stat;
  env.rename = count_rename;
  env.unlink = count_unlink;
  env.mkdir = count_mkdir;
  env.sync_dir = count_sync_dir;
  env.list = count_list;
  env.realpath = count_realpath;
  env.map = count_map;
  env.unmap = count_unmap;
  env.lock = count_lock;
  env.lock_held = count_lock_held;
  env.random = count_random;
  env.fork_guard = count_fork_guard;
  env.boot_id = count_boot_id;
  env.sleep_us = count_sleep_us;
  env.pid = count_pid;
  env.pid_alive = count_pid_alive;
  return &env;
}

uint64_t calls_count(void) { return n_calls; }
