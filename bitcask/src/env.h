/*
** env.h - the operating system as one struct of functions.
**
** The engine reaches the kernel through nothing else, so that a test can put a
** file system in RAM, a recorder of operations, or a failing disk in its place.
** bc_env_posix is the real one; it is the only file of the engine that makes
** system calls.
**
** Functions return 0 or a positive errno value.  Paths are NUL-terminated
** bytes.  `ctx` is the first member of the struct.  All functions may be called
** by several threads at once.
*/
#ifndef BC_ENV_H
#define BC_ENV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

enum {
  BC_OPEN_READ = 0,       /* existing file, for reading */
  BC_OPEN_WRITE = 1,      /* for reading and writing */
  BC_OPEN_CREATE = 2,     /* make it (mode 0666 & umask) if it is not there */
  BC_OPEN_EXCLUSIVE = 4,  /* with CREATE: EEXIST if it is there */
  BC_OPEN_PRIVATE = 8,    /* with CREATE: mode 0600 */
  BC_OPEN_DIRECTORY = 32, /* alone: a directory, to hold it, not to read it */
  BC_OPEN_LOCKS = 16      /* for kernel locks: a forked child gets none of them, and a descriptor
                            that is good for nothing but to be closed.  Not to be mapped: a
                            child's copy of the mapping would keep the locks */
};

typedef struct bc_stat {
  uint64_t size;
  uint64_t inode;
  uint32_t mode; /* st_mode */
  int64_t mtime_secs;
  uint64_t device;
} bc_stat;

/* Which file it is, for as long as anybody has it open. */
typedef struct bc_file_id {
  uint64_t device;
  uint64_t inode;
} bc_file_id;

typedef enum bc_lock_kind { BC_UNLOCK, BC_LOCK_SHARED, BC_LOCK_EXCLUSIVE } bc_lock_kind;

typedef struct bc_env bc_env;
struct bc_env {
  void *ctx;

  /* A regular file of that very name: a symbolic link is not followed, nothing is waited for.
  ** Else ELOOP (a link), EISDIR, ESPIPE (a FIFO), ENXIO (a socket), ENOTBLK (a device). */
  int (*open)(void *ctx, const char *path, unsigned flags, int *fd);
  int (*close)(void *ctx, int fd);
  /* Reads until n bytes or end of file; *got says how many.  EINTR is retried. */
  int (*pread)(void *ctx, int fd, void *buf, size_t n, uint64_t offset, size_t *got);
  /* Writes all of iov (its contents may be changed) or fails; after a failure
  ** any prefix may have been written.  EINTR and short writes are continued. */
  int (*pwritev)(void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset);
  int (*fdatasync)(void *ctx, int fd);
  /* May be NULL.  Begin to write what is dirty in these bytes, lest all of it be left
  ** for the next fdatasync; promises nothing. */
  void (*write_behind)(void *ctx, int fd, uint64_t offset, uint64_t n);
  /* May be NULL.  Cut a file that has been removed, its space with it, unless anybody
  ** else can still reach it: EBUSY if it has a name, or is open or mapped elsewhere, in
  ** whatever process. */
  int (*truncate_removed)(void *ctx, int fd, uint64_t size);
  int (*truncate)(void *ctx, int fd, uint64_t size);
  int (*size)(void *ctx, int fd, uint64_t *size);

  int (*stat)(void *ctx, const char *path, bc_stat *out);
  /* The same of a symbolic link itself, not of what it leads to. */
  int (*lstat)(void *ctx, const char *path, bc_stat *out);
  int (*fstat)(void *ctx, int fd, bc_stat *out);
  /* A directory may take the place of an empty one. */
  int (*rename)(void *ctx, const char *from, const char *to);
  /* One more name for a file, on the same file system. */
  int (*link)(void *ctx, const char *from, const char *to);
  int (*unlink)(void *ctx, const char *path);
  int (*mkdir)(void *ctx, const char *path);
  int (*rmdir)(void *ctx, const char *path);
  int (*sync_dir)(void *ctx, const char *path);
  /* Calls fn for every name but "." and ".."; stops at fn's first non-zero
  ** result and returns it. */
  int (*list)(void *ctx, const char *path, int (*fn)(void *arg, const char *name), void *arg);
  /* The absolute path, symbolic links resolved; malloc'ed. */
  int (*realpath)(void *ctx, const char *path, char **out);

  /* Maps len bytes from the start of the file, which may be shorter: bytes past
  ** its end must not be touched until the file has grown.  shared_write: stores
  ** reach the file and other mappings.  ENOTSUP: the caller uses pread (never
  ** returned for the 4,096-byte state page). */
  int (*map)(void *ctx, int fd, size_t len, bool shared_write, void **out);
  int (*unmap)(void *ctx, void *p, size_t len);

  /* Try to lock one byte, at `pos`, on behalf of this open file (not of the
  ** process); EAGAIN if another open file holds it.  Locks end with the last
  ** close or with the process. */
  int (*lock)(void *ctx, int fd, uint64_t pos, bc_lock_kind kind);
  /* *held: does another open file hold a lock on that byte that conflicts with
  ** `kind`?  Needs no write permission. */
  int (*lock_held)(void *ctx, int fd, uint64_t pos, bc_lock_kind kind, bool *held);

  /* Processors that it is worth spreading the work over of going through so many
  ** bytes; 1: no thread. */
  unsigned (*cpus)(void *ctx, uint64_t bytes);
  int64_t (*now)(void *ctx); /* Unix seconds */
  uint64_t (*monotonic_ms)(void *ctx);
  void (*sleep_us)(void *ctx, unsigned us);
  int (*random)(void *ctx, void *buf, size_t n);
  uint32_t (*pid)(void *ctx);
  /* A page of 4,096 bytes that begins with a 1 here and with a 0 in a forked child:
  ** tells them apart without a system call.  May be NULL, or fail: then `pid` is
  ** asked.  Given back by unmap. */
  int (*fork_guard)(void *ctx, void **out);
  /* Is there a process with this pid, not started (much) later than `since`
  ** (Unix seconds; INT64_MAX: whenever)?  One that may not be signalled (EPERM)
  ** is alive. */
  bool (*pid_alive)(void *ctx, uint32_t pid, int64_t since);
  /* 16 bytes that change when the machine boots. */
  int (*boot_id)(void *ctx, uint8_t out[16]);
};

extern const bc_env bc_env_posix;

#endif
