/*
** env_posix.c - the real operating system.  The only file of the engine that
** makes system calls.
*/
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "env.h"

/* -------------------------------------------------------------------- locks and fork */

/*
** An open-file-description lock lasts as long as anybody has the open file: a child that was
** forked, and did not exec, would keep the lock of a parent that is killed.  So each
** child gives up the descriptors that carry locks, before fork() returns in it.  The
** numbers stay taken until the child closes them: what else could they mean by then?
*/
static struct {
  pthread_mutex_t mutex;
  int *fd;
  size_t n, cap;
  int spare;     /* of no use; put in the place of each */
  bool is_known; /* the handlers are */
} carriers = {.mutex = PTHREAD_MUTEX_INITIALIZER, .spare = -1};

static void before_fork(void) { pthread_mutex_lock(&carriers.mutex); }
static void after_fork(void) { pthread_mutex_unlock(&carriers.mutex); }

static void after_fork_in_child(void) {
  for (size_t i = 0; i < carriers.n; i++) {
    if (dup3(carriers.spare, carriers.fd[i], O_CLOEXEC) < 0) close(carriers.fd[i]);
  }
  carriers.n = 0;
  if (carriers.spare >= 0) close(carriers.spare);
  carriers.spare = -1;
  pthread_mutex_unlock(&carriers.mutex);
}

/* With the mutex.  When there is none there is no descriptor or memory to give back. */
static void release_if_none(void) {
  if (carriers.n) return;
  if (carriers.spare >= 0) close(carriers.spare);
  free(carriers.fd);
  carriers.spare = -1;
  carriers.fd = NULL;
  carriers.cap = 0;
}

/* With the mutex: room for one more.  Errno value. */
static int prepare_carrier(void) {
  int *p = carriers.fd;
  int e = carriers.is_known ? 0 : pthread_atfork(before_fork, after_fork, after_fork_in_child);

  if (e) return e;
  carriers.is_known = true;
  if (carriers.spare < 0) carriers.spare = open("/", O_PATH | O_CLOEXEC);
  if (carriers.spare < 0) return errno;
  if (carriers.n == carriers.cap) {
    p = realloc(p, (carriers.cap + 16) * sizeof *p);
    if (!p) return ENOMEM;
    carriers.fd = p;
    carriers.cap += 16;
  }
  return 0;
}

/* With the mutex.  False: it is none. */
static bool forget_carrier(int fd) {
  size_t i = 0;
  while (i < carriers.n && carriers.fd[i] != fd) i++;
  if (i == carriers.n) return false;
  carriers.fd[i] = carriers.fd[--carriers.n];
  release_if_none();
  return true;
}

/* --------------------------------------------------------------------------- files */

/* What is no regular file, as an errno value that err.c puts into words; 0: it is one. */
static int not_a_file(mode_t mode) {
  switch (mode & S_IFMT) {
  case S_IFREG:
    return 0;
  case S_IFDIR:
    return EISDIR;
  case S_IFLNK:
    return ELOOP;
  case S_IFIFO:
    return ESPIPE;
  case S_IFSOCK:
    return ENXIO;
  default:
    return ENOTBLK; /* a device */
  }
}

/* A regular file of that very name, or errno is set.  The name is looked at first, because to
** open a device can have effects; then the open file, because the name may stand for something
** else by then.  O_NONBLOCK: or a FIFO that came in between would wait for a writer. */
static int open_retrying(const char *path, int oflags, mode_t mode) {
  struct stat st;
  int fd;

  if (!lstat(path, &st) && !(oflags & O_EXCL) && (errno = not_a_file(st.st_mode)) != 0) return -1;
  do {
    fd = open(path, oflags | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY, mode);
  } while (fd < 0 && errno == EINTR);
  if (fd >= 0 && (fstat(fd, &st) || (errno = not_a_file(st.st_mode)) != 0)) {
    int e = errno;
    close(fd);
    errno = e;
    return -1;
  }
  return fd;
}

/* In one with what a fork looks at. */
static int open_carrier(const char *path, int oflags, mode_t mode, int *out) {
  int fd = -1, e;
  pthread_mutex_lock(&carriers.mutex);
  e = prepare_carrier();
  if (!e) fd = open_retrying(path, oflags, mode);
  if (!e && fd < 0) e = errno;
  if (!e) carriers.fd[carriers.n++] = *out = fd;
  release_if_none(); /* after a failure */
  pthread_mutex_unlock(&carriers.mutex);
  return e;
}

static int posix_open(void *ctx, const char *path, unsigned flags, int *out) {
  int oflags = O_CLOEXEC | (flags & BC_OPEN_WRITE ? O_RDWR : O_RDONLY);
  mode_t mode = flags & BC_OPEN_PRIVATE ? 0600 : 0666;
  int fd;
  (void)ctx;
  if (flags & BC_OPEN_DIRECTORY) {
    *out = open(path, O_CLOEXEC | O_PATH | O_DIRECTORY);
    return *out < 0 ? errno : 0;
  }
  if (flags & BC_OPEN_CREATE) oflags |= O_CREAT;
  if (flags & BC_OPEN_EXCLUSIVE) oflags |= O_EXCL;
  if (flags & BC_OPEN_LOCKS) return open_carrier(path, oflags, mode, out);
  fd = open_retrying(path, oflags, mode);
  if (fd < 0) return errno;
  *out = fd;
  return 0;
}

static int posix_close(void *ctx, int fd) {
  bool carries;
  int e;
  (void)ctx;
  pthread_mutex_lock(&carriers.mutex);
  carries = forget_carrier(fd);
  if (!carries) pthread_mutex_unlock(&carriers.mutex); /* closing a large file takes long */
  /* On Linux the descriptor is gone after EINTR too: no retry. */
  e = close(fd) && errno != EINTR ? errno : 0;
  if (carries) pthread_mutex_unlock(&carriers.mutex);
  return e;
}

static int posix_pread(void *ctx, int fd, void *buf, size_t n, uint64_t offset, size_t *got) {
  size_t done = 0;
  ssize_t r;
  (void)ctx;
  *got = 0;
  while (done < n) {
    r = pread(fd, (char *)buf + done, n - done, (off_t)(offset + done));
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) break;
    done += (size_t)r;
  }
  *got = done;
  return 0;
}

static int posix_pwritev(void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset) {
  ssize_t r;
  (void)ctx;
  while (n_iov > 0) {
    r = pwritev(fd, iov, n_iov < IOV_MAX ? n_iov : IOV_MAX, (off_t)offset);
    if (r < 0 && errno == EINTR) continue;
    if (r < 0) return errno;
    if (r == 0) return EIO; /* or this would go on for ever */
    offset += (uint64_t)r;
    while (n_iov > 0 && (size_t)r >= iov->iov_len) {
      r -= (ssize_t)iov->iov_len;
      iov++;
      n_iov--;
    }
    if (n_iov > 0) {
      iov->iov_base = (char *)iov->iov_base + r;
      iov->iov_len -= (size_t)r;
    }
  }
  return 0;
}

static int posix_fdatasync(void *ctx, int fd) {
  (void)ctx;
  /* Never retried, EINTR included: after a failure the kernel may have dropped
  ** the pages, and a second call would then report success for nothing. */
  return fdatasync(fd) ? errno : 0;
}

static void posix_write_behind(void *ctx, int fd, uint64_t offset, uint64_t n) {
  (void)ctx;
  (void)sync_file_range(fd, (off_t)offset, (off_t)n, SYNC_FILE_RANGE_WRITE);
}

static int posix_truncate(void *ctx, int fd, uint64_t size) {
  (void)ctx;
  while (ftruncate(fd, (off_t)size)) {
    if (errno != EINTR) return errno;
  }
  return 0;
}

/* The kernel grants a write lease only to who alone has the file open, and mappings
** count as open; without a name nobody can come to it any more. */
static int posix_truncate_removed(void *ctx, int fd, uint64_t size) {
  struct stat st;
  int e = 0;
  (void)ctx;
  if (fstat(fd, &st)) return errno;
  if (st.st_nlink || fcntl(fd, F_SETLEASE, F_WRLCK)) return EBUSY;
  if (ftruncate(fd, (off_t)size)) e = errno;
  (void)fcntl(fd, F_SETLEASE, F_UNLCK);
  return e;
}

static int posix_size(void *ctx, int fd, uint64_t *size) {
  struct stat st;
  (void)ctx;
  if (fstat(fd, &st)) return errno;
  *size = (uint64_t)st.st_size;
  return 0;
}

static int give_stat(const struct stat *st, bc_stat *out) {
  *out = (bc_stat){.size = (uint64_t)st->st_size,
                   .inode = (uint64_t)st->st_ino,
                   .mode = (uint32_t)st->st_mode,
                   .mtime_secs = (int64_t)st->st_mtime,
                   .device = (uint64_t)st->st_dev};
  return 0;
}

static int posix_lstat(void *ctx, const char *path, bc_stat *out) {
  struct stat st;
  (void)ctx;
  return lstat(path, &st) ? errno : give_stat(&st, out);
}

static int posix_stat(void *ctx, const char *path, bc_stat *out) {
  struct stat st;
  (void)ctx;
  return stat(path, &st) ? errno : give_stat(&st, out);
}

static int posix_fstat(void *ctx, int fd, bc_stat *out) {
  struct stat st;
  (void)ctx;
  return fstat(fd, &st) ? errno : give_stat(&st, out);
}

static int posix_rename(void *ctx, const char *from, const char *to) {
  (void)ctx;
  return rename(from, to) ? errno : 0;
}

static int posix_link(void *ctx, const char *from, const char *to) {
  (void)ctx;
  return link(from, to) ? errno : 0;
}

static int posix_unlink(void *ctx, const char *path) {
  (void)ctx;
  return unlink(path) ? errno : 0;
}

static int posix_mkdir(void *ctx, const char *path) {
  (void)ctx;
  return mkdir(path, 0777) ? errno : 0;
}

static int posix_rmdir(void *ctx, const char *path) {
  (void)ctx;
  return rmdir(path) ? errno : 0;
}

static int posix_sync_dir(void *ctx, const char *path) {
  int fd, e = 0;
  (void)ctx;
  do {
    fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } while (fd < 0 && errno == EINTR);
  if (fd < 0) return errno;
  if (fsync(fd)) e = errno;
  close(fd);
  return e;
}

static int posix_list(void *ctx, const char *path, int (*fn)(void *, const char *), void *arg) {
  struct dirent *d;
  int e = 0;
  DIR *dir;
  (void)ctx;
  dir = opendir(path);
  if (!dir) return errno;
  for (;;) {
    errno = 0;
    d = readdir(dir);
    if (!d) {
      e = errno;
      break;
    }
    if (!strcmp(d->d_name, ".") || !strcmp(d->d_name, "..")) continue;
    e = fn(arg, d->d_name);
    if (e) break;
  }
  closedir(dir);
  return e;
}

static int posix_realpath(void *ctx, const char *path, char **out) {
  (void)ctx;
  *out = realpath(path, NULL);
  return *out ? 0 : errno;
}

static int posix_map(void *ctx, int fd, size_t len, bool shared_write, void **out) {
  void *p;
  (void)ctx;
  p = mmap(NULL, len, shared_write ? PROT_READ | PROT_WRITE : PROT_READ, MAP_SHARED, fd, 0);
  if (p == MAP_FAILED) return errno;
  *out = p;
  return 0;
}

static int posix_unmap(void *ctx, void *p, size_t len) {
  (void)ctx;
  return munmap(p, len) ? errno : 0;
}

/* Open-file-description locks: unlike POSIX locks they are not lost when
** another descriptor of the process on the same file is closed, and the kernel
** drops them when their owner dies. */
static struct flock ofd(uint64_t pos, bc_lock_kind kind) {
  static const short types[] = {F_UNLCK, F_RDLCK, F_WRLCK};
  return (struct flock){
      .l_type = types[kind], .l_whence = SEEK_SET, .l_start = (off_t)pos, .l_len = 1};
}

static int posix_lock(void *ctx, int fd, uint64_t pos, bc_lock_kind kind) {
  struct flock fl = ofd(pos, kind);
  (void)ctx;
  if (!fcntl(fd, F_OFD_SETLK, &fl)) return 0;
  return errno == EACCES ? EAGAIN : errno;
}

static int posix_lock_held(void *ctx, int fd, uint64_t pos, bc_lock_kind kind, bool *held) {
  struct flock fl = ofd(pos, kind);
  (void)ctx;
  if (fcntl(fd, F_OFD_GETLK, &fl)) return errno;
  *held = fl.l_type != F_UNLCK;
  return 0;
}

static unsigned posix_cpus(void *ctx, uint64_t bytes) {
  const uint64_t worth_a_thread = 1 << 20; /* at least ten times what starting one costs */
  cpu_set_t set;
  int n;
  (void)ctx;
  if (bytes < worth_a_thread || sched_getaffinity(0, sizeof set, &set)) return 1;
  n = CPU_COUNT(&set);
  return n < 1 ? 1 : (unsigned)n;
}

static int64_t posix_now(void *ctx) {
  (void)ctx;
  return (int64_t)time(NULL);
}

static uint64_t posix_monotonic_ms(void *ctx) {
  struct timespec ts;
  (void)ctx;
  clock_gettime(CLOCK_MONOTONIC, &ts);
  return (uint64_t)ts.tv_sec * 1000 + (uint64_t)ts.tv_nsec / 1000000;
}

static void posix_sleep_us(void *ctx, unsigned us) {
  struct timespec ts = {us / 1000000, (long)(us % 1000000) * 1000};
  (void)ctx;
  nanosleep(&ts, NULL); /* cut short by a signal: the caller looks again sooner */
}

static int posix_random(void *ctx, void *buf, size_t n) {
  (void)ctx;
  return getentropy(buf, n) ? errno : 0;
}

static uint32_t posix_pid(void *ctx) {
  (void)ctx;
  return (uint32_t)getpid();
}

static int posix_fork_guard(void *ctx, void **out) {
  void *p = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  int e;
  (void)ctx;
  if (p == MAP_FAILED) return errno;
  if (madvise(p, 4096, MADV_WIPEONFORK)) {
    e = errno;
    munmap(p, 4096);
    return e;
  }
  *(uint8_t *)p = 1;
  *out = p;
  return 0;
}

/* Unix seconds at which the process started, 0 if that cannot be read. */
static int64_t start_time(uint32_t pid) {
  char path[64], text[512], *p;
  unsigned long long ticks = 0;
  struct timespec real, boot;
  FILE *f;
  size_t n;

  snprintf(path, sizeof path, "/proc/%u/stat", pid);
  f = fopen(path, "re");
  if (!f) return 0;
  n = fread(text, 1, sizeof text - 1, f);
  fclose(f);
  text[n] = 0;
  /* The command name, field 2, may hold blanks and parentheses. */
  p = strrchr(text, ')');
  if (!p || sscanf(p + 1,
                   " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %*d %*d %*d %*d"
                   " %*d %*d %llu",
                   &ticks) != 1) {
    return 0;
  }
  clock_gettime(CLOCK_REALTIME, &real);
  clock_gettime(CLOCK_BOOTTIME, &boot);
  return (int64_t)real.tv_sec - (int64_t)boot.tv_sec +
         (int64_t)(ticks / (unsigned long long)sysconf(_SC_CLK_TCK));
}

static bool posix_pid_alive(void *ctx, uint32_t pid, int64_t since) {
  /* An hour, lest a step of the clock make a live writer look younger than its
  ** lock: refusing too long costs patience, writing beside it costs data. */
  const int64_t slack = 3600;
  (void)ctx;
  if (pid == 0 || pid > INT_MAX) return false;
  if (kill((pid_t)pid, 0) && errno != EPERM) return false;
  return since == INT64_MAX || start_time(pid) <= since + slack;
}

static int posix_boot_id(void *ctx, uint8_t out[16]) {
  FILE *f = fopen("/proc/sys/kernel/random/boot_id", "re");
  unsigned byte;
  int i, e = 0;
  (void)ctx;
  if (!f) return errno;
  for (i = 0; i < 16 && !e; i++) {
    if (i == 4 || i == 6 || i == 8 || i == 10) fgetc(f);
    if (fscanf(f, "%2x", &byte) == 1) {
      out[i] = (uint8_t)byte;
    } else {
      e = EIO;
    }
  }
  fclose(f);
  return e;
}

const bc_env bc_env_posix = {
    .open = posix_open,
    .close = posix_close,
    .pread = posix_pread,
    .pwritev = posix_pwritev,
    .fdatasync = posix_fdatasync,
    .write_behind = posix_write_behind,
    .truncate_removed = posix_truncate_removed,
    .truncate = posix_truncate,
    .size = posix_size,
    .stat = posix_stat,
    .lstat = posix_lstat,
    .fstat = posix_fstat,
    .rename = posix_rename,
    .link = posix_link,
    .unlink = posix_unlink,
    .mkdir = posix_mkdir,
    .rmdir = posix_rmdir,
    .sync_dir = posix_sync_dir,
    .list = posix_list,
    .realpath = posix_realpath,
    .map = posix_map,
    .unmap = posix_unmap,
    .lock = posix_lock,
    .lock_held = posix_lock_held,
    .cpus = posix_cpus,
    .now = posix_now,
    .monotonic_ms = posix_monotonic_ms,
    .sleep_us = posix_sleep_us,
    .random = posix_random,
    .pid = posix_pid,
    .fork_guard = posix_fork_guard,
    .pid_alive = posix_pid_alive,
    .boot_id = posix_boot_id,
};
