/*
** memenv.c - see memenv.h.  Here: files, names, descriptors, locks, the log and
** the faults.  memcut.c builds what a crash leaves.
*/
#include "memenv_int.h"

#include "oom.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* ------------------------------------------------------------------- utilities */

static void out_of_memory(void) {
  fputs("memenv: out of memory\n", stderr);
  abort();
}

void *mem_alloc(size_t n) {
  void *p = calloc(1, n ? n : 1);
  if (!p) out_of_memory();
  return p;
}

void *mem_grow(void *p, size_t n) {
  void *q = realloc(p, n ? n : 1);
  if (!q) out_of_memory();
  return q;
}

char *mem_strdup(const char *s) {
  size_t n = strlen(s) + 1;
  return memcpy(mem_alloc(n), s, n);
}

uint64_t mem_random(uint64_t *state) {
  uint64_t z = (*state += 0x9e3779b97f4a7c15u);
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

/* Every function of the env goes through these two: one lock for all, and the
** memory that a file system needs is not the program's. */
static bool enter(memenv *m) {
  bool was = oom_suspend();
  pthread_mutex_lock(&m->mutex);
  return was;
}

static int leave(memenv *m, bool was, int rc) {
  pthread_mutex_unlock(&m->mutex);
  oom_resume(was);
  return rc;
}

/* ----------------------------------------------------------------------- nodes */

mem_node *mem_node_new(uint64_t inode, bool is_dir) {
  mem_node *n = mem_alloc(sizeof *n);
  n->inode = inode;
  n->is_dir = is_dir;
  n->mode = is_dir ? S_IFDIR | 0755 : S_IFREG | 0644;
  return n;
}

mem_node *mem_node_copy(const mem_node *from) {
  mem_node *n = mem_node_new(from->inode, from->is_dir);
  n->mode = from->mode;
  n->mtime_secs = from->mtime_secs;
  mem_node_resize(n, from->size);
  mem_node_read(from, 0, n->data, from->size);
  return n;
}

void mem_node_unref(mem_node *n) {
  if (--n->n_refs) return;
  free(n->data);
  free(n->page);
  free(n->seen);
  free(n);
}

void mem_node_resize(mem_node *n, size_t size) {
  if (size > n->cap) {
    size_t cap = size + size / 2;
    n->data = mem_grow(n->data, cap);
    n->cap = cap;
  }
  if (size > n->size) memset(n->data + n->size, 0, size - n->size);
  if (n->page && size < MEM_PAGE_SZ) memset(n->page + size, 0, MEM_PAGE_SZ - size);
  n->size = size;
}

void mem_node_write(mem_node *n, uint64_t offset, const void *data, size_t size) {
  if (!size) return;
  if (offset + size > n->size) mem_node_resize(n, (size_t)offset + size);
  memcpy(n->data + offset, data, size);
  if (n->page && offset < MEM_PAGE_SZ) {
    size_t k = MEM_PAGE_SZ - (size_t)offset;
    memcpy(n->page + offset, data, size < k ? size : k);
  }
}

void mem_node_read(const mem_node *n, uint64_t offset, void *out, size_t size) {
  if (!size) return;
  memcpy(out, n->data + offset, size);
  if (n->page && offset < MEM_PAGE_SZ) {
    size_t k = MEM_PAGE_SZ - (size_t)offset;
    memcpy(out, n->page + offset, size < k ? size : k);
  }
}

/* ----------------------------------------------------------------------- names */

mem_name *mem_name_find(mem_name *names, size_t n, const char *path) {
  for (size_t i = 0; i < n; i++) {
    if (!strcmp(names[i].path, path)) return &names[i];
  }
  return NULL;
}

void mem_name_set(mem_name **names, size_t *n, const char *path, mem_node *node) {
  mem_name *old = mem_name_find(*names, *n, path);

  node->n_refs++;
  if (old) {
    mem_node_unref(old->node);
    old->node = node;
    return;
  }
  *names = mem_grow(*names, (*n + 1) * sizeof **names);
  (*names)[(*n)++] = (mem_name){mem_strdup(path), node};
}

void mem_name_remove(mem_name *names, size_t *n, const char *path) {
  mem_name *old = mem_name_find(names, *n, path);

  if (!old) return;
  mem_node_unref(old->node);
  free(old->path);
  memmove(old, old + 1, (size_t)(names + *n - (old + 1)) * sizeof *old);
  (*n)--;
}

void mem_name_move_children(mem_name *names, size_t n, const char *from, const char *to) {
  size_t len = strlen(from);

  for (size_t i = 0; i < n; i++) {
    char *old = names[i].path;
    if (strncmp(old, from, len) || old[len] != '/') continue;
    names[i].path = mem_alloc(strlen(to) + strlen(old + len) + 1);
    strcat(strcpy(names[i].path, to), old + len);
    free(old);
  }
}

size_t mem_dir_len(const char *path) {
  const char *slash = strrchr(path, '/');
  return slash == path ? 1 : (size_t)(slash - path);
}

/* The one spelling of a path that the table of names knows. */
static char *normal(const char *path) {
  char *out = mem_alloc(strlen(path) + 3);
  size_t n = 0;

  while (*path) {
    size_t k = strcspn(path, "/");
    if (k && !(k == 1 && *path == '.')) {
      out[n++] = '/';
      memcpy(out + n, path, k);
      n += k;
    }
    path += k + (path[k] == '/');
  }
  if (!n) out[n++] = '/';
  out[n] = 0;
  return out;
}

static mem_node *find_node(memenv *m, const char *path) {
  mem_name *name = mem_name_find(m->names, m->n_names, path);
  return name ? name->node : NULL;
}

/* 0 if something can be made under this path's directory. */
static int check_parent(memenv *m, const char *path) {
  char *dir = mem_strdup(path);
  mem_node *node;

  dir[mem_dir_len(path)] = 0;
  node = find_node(m, dir);
  free(dir);
  if (!node) return ENOENT;
  return node->is_dir ? 0 : ENOTDIR;
}

/* --------------------------------------------------------------- log and faults */

static mem_op *log_append(memenv *m, mem_op op) {
  if (m->n_log == m->cap_log) {
    m->cap_log = m->cap_log ? 2 * m->cap_log : 64;
    m->log = mem_grow(m->log, m->cap_log * sizeof *m->log);
  }
  m->log[m->n_log] = op;
  return &m->log[m->n_log++];
}

/* Stores through a mapping are no calls: find them before the next call. */
static void log_stores(memenv *m) {
  for (size_t i = 0; i < m->n_names; i++) {
    mem_node *n = m->names[i].node;
    if (!n->page || !memcmp(n->page, n->seen, MEM_PAGE_SZ)) continue;
    memcpy(n->seen, n->page, MEM_PAGE_SZ);
    log_append(m, (mem_op){.kind = MEM_STORE,
                           .inode = n->inode,
                           .n = MEM_PAGE_SZ,
                           .data = memcpy(mem_alloc(MEM_PAGE_SZ), n->page, MEM_PAGE_SZ)});
  }
}

static mem_op *log_op(memenv *m, mem_op_kind kind, const char *path, const mem_node *node) {
  static _Thread_local mem_op unused;

  if (!m->logging) return &unused;
  log_stores(m);
  return log_append(m, (mem_op){.kind = kind,
                                .inode = node ? node->inode : 0,
                                .path = path ? mem_strdup(path) : NULL});
}

static int failing(memenv *m, unsigned call) {
  const mem_fault *f = &m->fault;

  if (m->fault_paused || !(f->calls & call)) return 0;
  m->n_calls++;
  if (!f->nth || m->n_calls < f->nth || (m->n_calls > f->nth && !f->sticky)) return 0;
  if (!m->fault_hit) m->fault_call = call;
  m->fault_hit = true;
  return f->err;
}

static uint64_t disk_bytes(memenv *m) {
  uint64_t sum = 0;
  for (size_t i = 0; i < m->n_names; i++) {
    size_t j = 0;
    while (m->names[j].node != m->names[i].node) j++;
    if (j == i) sum += m->names[i].node->size; /* not again under a second name */
  }
  return sum;
}

/* --------------------------------------------------------------------- opening */

static int new_fd(memenv *m, mem_node *node, bool can_write) {
  size_t i;

  for (i = 0; i < m->n_fds && m->fds[i].node; i++) continue;
  if (i == m->n_fds) m->fds = mem_grow(m->fds, ++m->n_fds * sizeof *m->fds);
  m->fds[i] = (mem_fd){node, can_write};
  node->n_refs++;
  return (int)i;
}

static mem_fd *get_fd(memenv *m, int fd) {
  if (fd < 0 || (size_t)fd >= m->n_fds || !m->fds[fd].node) {
    fprintf(stderr, "memenv: descriptor %d is not open\n", fd);
    abort();
  }
  return &m->fds[fd];
}

static int open_node(memenv *m, const char *path, unsigned flags, int *fd) {
  mem_node *node = find_node(m, path);
  int rc;

  if (!node && !(flags & BC_OPEN_CREATE)) {
    rc = failing(m, MEM_CALL_OPEN);
    return rc ? rc : ENOENT;
  }
  if ((rc = failing(m, node ? MEM_CALL_OPEN : MEM_CALL_CREATE))) return rc;
  if (node && (flags & BC_OPEN_EXCLUSIVE)) return EEXIST;
  if (node && node->is_dir && (flags & BC_OPEN_WRITE)) return EISDIR;
  if (!node) {
    if ((rc = check_parent(m, path))) return rc;
    node = mem_node_new(++m->last_inode, false);
    if (flags & BC_OPEN_PRIVATE) node->mode = S_IFREG | 0600;
    node->mtime_secs = m->now;
    log_op(m, MEM_CREATE, path, node);
    mem_name_set(&m->names, &m->n_names, path, node);
  }
  *fd = new_fd(m, node, flags & BC_OPEN_WRITE);
  return 0;
}

static int do_open(void *ctx, const char *path, unsigned flags, int *fd) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  int rc = open_node(m, p, flags, fd);

  free(p);
  return leave(m, was, rc);
}

static void drop_locks(memenv *m, int fd, const uint64_t *pos) {
  size_t n = 0;
  for (size_t i = 0; i < m->n_locks; i++) {
    bool drop = m->locks[i].fd == fd && (!pos || m->locks[i].pos == *pos);
    if (!drop) m->locks[n++] = m->locks[i];
  }
  m->n_locks = n;
}

static int do_close(void *ctx, int fd) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_fd *f = get_fd(m, fd);
  int rc = failing(m, MEM_CALL_CLOSE);

  drop_locks(m, fd, NULL);
  mem_node_unref(f->node);
  f->node = NULL;
  return leave(m, was, rc);
}

/* ------------------------------------------------------------- reads and writes */

static int do_pread(void *ctx, int fd, void *buf, size_t n, uint64_t offset, size_t *got) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_node *node = get_fd(m, fd)->node;
  int rc = node->is_dir ? EISDIR : failing(m, MEM_CALL_PREAD);

  *got = 0;
  if (!rc && offset < node->size) {
    *got = node->size - (size_t)offset < n ? node->size - (size_t)offset : n;
    mem_node_read(node, offset, buf, *got);
  }
  return leave(m, was, rc);
}

/* What a write of n bytes that fails gets done first: nothing, half, or all but
** one byte, in turn. */
static size_t short_write(const memenv *m, size_t n) {
  if (m->n_calls % 3 == 0 || n == 0) return 0;
  return m->n_calls % 3 == 1 ? n / 2 : n - 1;
}

static int write_bytes(memenv *m, mem_node *node, const uint8_t *data, size_t n, uint64_t offset) {
  int rc = failing(m, MEM_CALL_PWRITEV);
  uint64_t grows = offset + n > node->size ? offset + n - node->size : 0;

  if (rc) {
    n = short_write(m, n);
  } else if (m->quota && disk_bytes(m) + grows > m->quota) {
    uint64_t over = disk_bytes(m) + grows - m->quota;
    n = over < n ? n - (size_t)over : 0;
    rc = ENOSPC;
  }
  if (n) {
    mem_op *op = log_op(m, MEM_WRITE, NULL, node);
    if (m->logging) {
      op->offset = offset;
      op->n = n;
      op->data = memcpy(mem_alloc(n), data, n);
    }
    mem_node_write(node, offset, data, n);
    if (node->page) memcpy(node->seen, node->page, MEM_PAGE_SZ);
    node->mtime_secs = m->now;
  }
  return rc;
}

static int do_pwritev(void *ctx, int fd, struct iovec *iov, int n_iov, uint64_t offset) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_fd *f = get_fd(m, fd);
  uint8_t *all = NULL;
  size_t n = 0;
  int rc = EBADF;

  for (int i = 0; i < n_iov; i++) n += iov[i].iov_len;
  all = mem_alloc(n);
  n = 0;
  for (int i = 0; i < n_iov; i++) {
    if (iov[i].iov_len) memcpy(all + n, iov[i].iov_base, iov[i].iov_len);
    n += iov[i].iov_len;
    iov[i] = (struct iovec){NULL, 0}; /* as the contract allows: nobody may rely on them */
  }
  if (f->can_write) rc = write_bytes(m, f->node, all, n, offset);
  free(all);
  return leave(m, was, rc);
}

static int do_truncate(void *ctx, int fd, uint64_t size) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_fd *f = get_fd(m, fd);
  int rc = f->can_write ? failing(m, MEM_CALL_TRUNCATE) : EBADF;

  if (!rc) {
    log_op(m, MEM_TRUNCATE, NULL, f->node)->offset = size;
    mem_node_resize(f->node, (size_t)size);
    if (f->node->page) memcpy(f->node->seen, f->node->page, MEM_PAGE_SZ);
  }
  return leave(m, was, rc);
}

/* The cache after a failed fdatasync that dropped what was dirty. */
static void revert(memenv *m, mem_node *node) {
  mem_cut cut = {.kind = MEM_CUT_KILL, .n_ops = m->n_log};
  memenv *after = memenv_crash(m, &cut);

  for (size_t i = 0; i < after->n_names; i++) {
    mem_node *old = after->names[i].node;
    if (old->inode != node->inode) continue;
    mem_node_resize(node, old->size);
    mem_node_write(node, 0, old->data, old->size);
    break;
  }
  memenv_free(after);
}

static int do_fdatasync(void *ctx, int fd) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_node *node = get_fd(m, fd)->node;
  int rc = failing(m, MEM_CALL_FDATASYNC);
  mem_op *op = log_op(m, MEM_FDATASYNC, NULL, node);

  op->failed = rc != 0;
  op->reverted = rc && m->fault.revert;
  if (m->logging && op->reverted) revert(m, node);
  return leave(m, was, rc);
}

static int do_size(void *ctx, int fd, uint64_t *size) {
  memenv *m = ctx;
  bool was = enter(m);
  int rc = failing(m, MEM_CALL_SIZE);

  if (!rc) *size = get_fd(m, fd)->node->size;
  return leave(m, was, rc);
}

/* ----------------------------------------------------------------------- paths */

static int do_stat(void *ctx, const char *path, bc_stat *out) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  mem_node *node = find_node(m, p);
  int rc = failing(m, MEM_CALL_STAT);

  if (!rc && !node) rc = ENOENT;
  if (!rc) *out = (bc_stat){node->size, node->inode, node->mode, node->mtime_secs, 1};
  free(p);
  return leave(m, was, rc);
}

static int do_fstat(void *ctx, int fd, bc_stat *out) {
  memenv *m = ctx;
  bool was = enter(m);
  const mem_node *node = get_fd(m, fd)->node;
  int rc = failing(m, MEM_CALL_STAT);

  if (!rc) *out = (bc_stat){node->size, node->inode, node->mode, node->mtime_secs, 1};
  return leave(m, was, rc);
}

static bool has_children(memenv *m, const char *dir) {
  size_t len = strlen(dir);

  for (size_t i = 0; i < m->n_names; i++) {
    if (!strncmp(m->names[i].path, dir, len) && m->names[i].path[len] == '/') return true;
  }
  return false;
}

static int rename_node(memenv *m, const char *from, const char *to) {
  mem_node *node = find_node(m, from), *there;
  int rc = failing(m, MEM_CALL_RENAME);

  if (rc) return rc;
  if (!node) return ENOENT;
  if (!strcmp(from, to)) return 0;
  if ((there = find_node(m, to)) && there->is_dir != node->is_dir) {
    return there->is_dir ? EISDIR : ENOTDIR;
  }
  if (there && there->is_dir && has_children(m, to)) return ENOTEMPTY;
  if ((rc = check_parent(m, to))) return rc;
  if (m->logging) log_op(m, MEM_RENAME, from, node)->to = mem_strdup(to);
  mem_name_set(&m->names, &m->n_names, to, node);
  mem_name_remove(m->names, &m->n_names, from);
  if (node->is_dir) mem_name_move_children(m->names, m->n_names, from, to);
  return 0;
}

static int do_rename(void *ctx, const char *from, const char *to) {
  memenv *m = ctx;
  bool was = enter(m);
  char *f = normal(from);
  char *t = normal(to);
  int rc = rename_node(m, f, t);

  free(f);
  free(t);
  return leave(m, was, rc);
}

static int link_node(memenv *m, const char *from, const char *to) {
  mem_node *node = find_node(m, from);
  int rc = failing(m, MEM_CALL_LINK);

  if (rc) return rc;
  if (!node) return ENOENT;
  if (node->is_dir) return EPERM;
  if (find_node(m, to)) return EEXIST;
  if ((rc = check_parent(m, to))) return rc;
  log_op(m, MEM_LINK, to, node);
  mem_name_set(&m->names, &m->n_names, to, node);
  return 0;
}

static int do_link(void *ctx, const char *from, const char *to) {
  memenv *m = ctx;
  bool was = enter(m);
  char *f = normal(from);
  char *t = normal(to);
  int rc = link_node(m, f, t);

  free(f);
  free(t);
  return leave(m, was, rc);
}

static int do_unlink(void *ctx, const char *path) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  mem_node *node = find_node(m, p);
  int rc = failing(m, MEM_CALL_UNLINK);

  if (!rc && !node) rc = ENOENT;
  if (!rc && node->is_dir) rc = EISDIR;
  if (!rc) {
    log_op(m, MEM_UNLINK, p, node);
    mem_name_remove(m->names, &m->n_names, p);
  }
  free(p);
  return leave(m, was, rc);
}

static int do_mkdir(void *ctx, const char *path) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  int rc = failing(m, MEM_CALL_MKDIR);

  if (!rc && find_node(m, p)) rc = EEXIST;
  if (!rc) rc = check_parent(m, p);
  if (!rc) {
    mem_node *node = mem_node_new(++m->last_inode, true);
    log_op(m, MEM_MKDIR, p, node);
    mem_name_set(&m->names, &m->n_names, p, node);
  }
  free(p);
  return leave(m, was, rc);
}

static int do_rmdir(void *ctx, const char *path) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  mem_node *node = find_node(m, p);
  int rc = failing(m, MEM_CALL_UNLINK);

  if (!rc && !node) rc = ENOENT;
  if (!rc && !node->is_dir) rc = ENOTDIR;
  if (!rc && has_children(m, p)) rc = ENOTEMPTY;
  if (!rc) {
    log_op(m, MEM_UNLINK, p, node);
    mem_name_remove(m->names, &m->n_names, p);
  }
  free(p);
  return leave(m, was, rc);
}

static int do_sync_dir(void *ctx, const char *path) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  mem_node *node = find_node(m, p);
  int rc = failing(m, MEM_CALL_SYNC_DIR);

  if (!rc && !node) rc = ENOENT;
  if (!rc && !node->is_dir) rc = ENOTDIR;
  if (!rc) log_op(m, MEM_SYNC_DIR, p, node);
  free(p);
  return leave(m, was, rc);
}

/* The names in a directory, copied: the callback may change it.  Half of the
** seeds list backwards: a real directory has no order to rely on. */
static int copy_names(memenv *m, const char *dir, char ***out, size_t *n) {
  mem_node *node = find_node(m, dir);
  size_t len = strlen(dir);
  int rc = failing(m, MEM_CALL_LIST);

  if (rc) return rc;
  if (!node) return ENOENT;
  if (!node->is_dir) return ENOTDIR;
  *out = mem_alloc(m->n_names * sizeof **out);
  for (size_t i = 0; i < m->n_names; i++) {
    const char *p = m->names[m->seed & 1 ? m->n_names - 1 - i : i].path;
    if (!p[1] || mem_dir_len(p) != len || strncmp(p, dir, len)) continue;
    (*out)[(*n)++] = mem_strdup(strrchr(p, '/') + 1);
  }
  return 0;
}

static int do_list(void *ctx, const char *path, int (*fn)(void *arg, const char *name), void *arg) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  char **names = NULL;
  size_t n = 0;
  int rc = copy_names(m, p, &names, &n);

  free(p);
  leave(m, was, 0);
  for (size_t i = 0; i < n && !rc; i++) rc = fn(arg, names[i]);
  was = oom_suspend();
  for (size_t i = 0; i < n; i++) free(names[i]);
  free(names);
  oom_resume(was);
  return rc;
}

static int do_realpath(void *ctx, const char *path, char **out) {
  memenv *m = ctx;
  bool was = enter(m);
  char *p = normal(path);
  int rc = failing(m, MEM_CALL_REALPATH);

  if (!rc && !find_node(m, p)) rc = ENOENT;
  *out = rc ? NULL : p;
  if (rc) free(p);
  return leave(m, was, rc);
}

/* ---------------------------------------------------------- mappings and locks */

static bool is_data_file(memenv *m, const mem_node *node) {
  for (size_t i = 0; i < m->n_names; i++) {
    const char *suffix = strstr(m->names[i].path, ".bitcask.data");
    if (m->names[i].node == node && suffix) return true;
  }
  return false;
}

static int do_map(void *ctx, int fd, size_t len, bool shared_write, void **out) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_fd *f = get_fd(m, fd);
  mem_node *node = f->node;
  int rc = failing(m, MEM_CALL_MAP);

  *out = NULL;
  if (!rc && (len != MEM_PAGE_SZ || is_data_file(m, node))) rc = ENOTSUP;
  if (!rc && shared_write && !f->can_write) rc = EACCES;
  if (!rc) {
    if (!node->page) {
      uint8_t *page = mem_alloc(MEM_PAGE_SZ);
      mem_node_read(node, 0, page, node->size < MEM_PAGE_SZ ? node->size : MEM_PAGE_SZ);
      node->page = page;
      node->seen = memcpy(mem_alloc(MEM_PAGE_SZ), page, MEM_PAGE_SZ);
    }
    node->n_refs++;
    m->n_maps++;
    *out = node->page;
  }
  return leave(m, was, rc);
}

static mem_node *node_of_page(memenv *m, const void *p) {
  for (size_t i = 0; i < m->n_names; i++) {
    if (m->names[i].node->page == p) return m->names[i].node;
  }
  for (size_t i = 0; i < m->n_fds; i++) {
    if (m->fds[i].node && m->fds[i].node->page == p) return m->fds[i].node;
  }
  return NULL;
}

static int do_unmap(void *ctx, void *p, size_t len) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_node *node = node_of_page(m, p);

  if (!node || len != MEM_PAGE_SZ) return leave(m, was, EINVAL);
  m->n_maps--;
  mem_node_unref(node);
  return leave(m, was, 0);
}

static bool conflicts(memenv *m, int fd, uint64_t pos, bc_lock_kind kind) {
  uint64_t inode = get_fd(m, fd)->node->inode;

  for (size_t i = 0; i < m->n_locks; i++) {
    const mem_lock *l = &m->locks[i];
    if (l->inode != inode || l->pos != pos || l->fd == fd) continue;
    if (l->is_exclusive || kind == BC_LOCK_EXCLUSIVE) return true;
  }
  return false;
}

static int do_lock(void *ctx, int fd, uint64_t pos, bc_lock_kind kind) {
  memenv *m = ctx;
  bool was = enter(m);
  mem_fd *f = get_fd(m, fd);
  int rc = kind == BC_UNLOCK ? 0 : failing(m, MEM_CALL_LOCK);

  if (!rc && kind == BC_LOCK_EXCLUSIVE && !f->can_write) rc = EBADF; /* as fcntl has it */
  if (!rc && kind != BC_UNLOCK && conflicts(m, fd, pos, kind)) rc = EAGAIN;
  if (!rc) {
    drop_locks(m, fd, &pos);
    if (kind != BC_UNLOCK) {
      m->locks = mem_grow(m->locks, (m->n_locks + 1) * sizeof *m->locks);
      m->locks[m->n_locks++] = (mem_lock){f->node->inode, pos, fd, kind == BC_LOCK_EXCLUSIVE};
    }
  }
  return leave(m, was, rc);
}

static int do_lock_held(void *ctx, int fd, uint64_t pos, bc_lock_kind kind, bool *held) {
  memenv *m = ctx;
  bool was = enter(m);
  int rc = failing(m, MEM_CALL_LOCK);

  *held = !rc && conflicts(m, fd, pos, kind);
  return leave(m, was, rc);
}

/* ------------------------------------------------------------------- the world */

static unsigned do_cpus(void *ctx, uint64_t bytes) {
  memenv *m = ctx;
  (void)bytes; /* of the smallest file, lest a test need a large one */
  return m->cpus;
}

static int64_t do_now(void *ctx) {
  memenv *m = ctx;
  bool was = enter(m);
  int64_t now = m->now;

  leave(m, was, 0);
  return now;
}

static uint64_t do_monotonic_ms(void *ctx) {
  memenv *m = ctx;
  bool was = enter(m);
  uint64_t ms = m->monotonic_us++ / 1000;

  leave(m, was, 0);
  return ms;
}

static void do_sleep_us(void *ctx, unsigned us) {
  memenv *m = ctx;
  bool was = enter(m);

  m->monotonic_us += us;
  leave(m, was, 0);
}

static int do_random(void *ctx, void *buf, size_t n) {
  memenv *m = ctx;
  bool was = enter(m);
  int rc = failing(m, MEM_CALL_RANDOM);

  for (size_t i = 0; !rc && i < n; i++) ((uint8_t *)buf)[i] = (uint8_t)mem_random(&m->random_state);
  return leave(m, was, rc);
}

static uint32_t do_pid(void *ctx) {
  memenv *m = ctx;
  return m->pid;
}

/* One process at a time lives in here. */
static bool do_pid_alive(void *ctx, uint32_t pid, int64_t since) {
  memenv *m = ctx;
  (void)since;
  return pid == m->pid;
}

static int do_boot_id(void *ctx, uint8_t out[16]) {
  memenv *m = ctx;
  bool was = enter(m);
  int rc = failing(m, MEM_CALL_BOOT_ID);

  if (!rc) memcpy(out, m->boot_id, 16);
  return leave(m, was, rc);
}

/* ---------------------------------------------------------------- for the tests */

static const bc_env functions = {
    .open = do_open,
    .close = do_close,
    .pread = do_pread,
    .pwritev = do_pwritev,
    .fdatasync = do_fdatasync,
    .truncate = do_truncate,
    .size = do_size,
    .stat = do_stat,
    .lstat = do_stat, /* there are no links */
    .fstat = do_fstat,
    .rename = do_rename,
    .link = do_link,
    .unlink = do_unlink,
    .mkdir = do_mkdir,
    .rmdir = do_rmdir,
    .sync_dir = do_sync_dir,
    .list = do_list,
    .realpath = do_realpath,
    .map = do_map,
    .unmap = do_unmap,
    .lock = do_lock,
    .lock_held = do_lock_held,
    .cpus = do_cpus,
    .now = do_now,
    .monotonic_ms = do_monotonic_ms,
    .sleep_us = do_sleep_us,
    .random = do_random,
    .pid = do_pid,
    .pid_alive = do_pid_alive,
    .boot_id = do_boot_id,
};

memenv *memenv_new(uint64_t seed) {
  memenv *m = mem_alloc(sizeof *m);

  m->env = functions;
  m->env.ctx = m;
  pthread_mutex_init(&m->mutex, NULL);
  m->seed = seed;
  m->random_state = seed;
  m->now = 1700000000;
  m->pid = 1000;
  m->cpus = 1;
  memset(m->boot_id, 'b', sizeof m->boot_id);
  mem_name_set(&m->names, &m->n_names, "/", mem_node_new(++m->last_inode, true));
  return m;
}

static void free_names(mem_name *names, size_t n) {
  for (size_t i = 0; i < n; i++) {
    mem_node_unref(names[i].node);
    free(names[i].path);
  }
  free(names);
}

static void clear_log(memenv *m) {
  for (size_t i = 0; i < m->n_log; i++) {
    free(m->log[i].data);
    free(m->log[i].path);
    free(m->log[i].to);
  }
  free(m->log);
  free_names(m->base, m->n_base);
  m->log = NULL;
  m->base = NULL;
  m->n_log = m->cap_log = m->n_base = 0;
}

void memenv_free(memenv *m) {
  if (!m) return;
  clear_log(m);
  for (size_t i = 0; i < m->n_fds; i++) {
    if (m->fds[i].node) mem_node_unref(m->fds[i].node);
  }
  free_names(m->names, m->n_names);
  free(m->fds);
  free(m->locks);
  pthread_mutex_destroy(&m->mutex);
  free(m);
}

const bc_env *memenv_env(memenv *m) { return &m->env; }

void memenv_set_now(memenv *m, int64_t secs) { m->now = secs; }

void memenv_set_pid(memenv *m, uint32_t pid) { m->pid = pid; }

void memenv_set_cpus(memenv *m, unsigned n) { m->cpus = n; }

void memenv_set_quota(memenv *m, uint64_t bytes) { m->quota = bytes; }

size_t memenv_n_open(memenv *m) {
  size_t n = m->n_maps;
  for (size_t i = 0; i < m->n_fds; i++) n += m->fds[i].node != NULL;
  return n;
}

uint64_t memenv_n_calls(memenv *m) { return m->n_calls; }

uint64_t memenv_disk_bytes(memenv *m) { return disk_bytes(m); }

void memenv_print(memenv *m, const char *title) {
  fprintf(stderr, "  %s:", title);
  for (size_t i = 0; i < m->n_names; i++) {
    if (m->names[i].node->is_dir) continue;
    fprintf(stderr, " %s[%zu]", strrchr(m->names[i].path, '/') + 1, m->names[i].node->size);
  }
  fputc('\n', stderr);
}

static const char *const op_names[] = {"create",   "mkdir",     "write",    "store",
                                       "truncate", "fdatasync", "sync_dir", "rename",
                                       "link",     "unlink",    "mark"};

void memenv_print_log(const memenv *m) {
  for (size_t i = 0; i < m->n_log; i++) {
    const mem_op *op = &m->log[i];
    fprintf(stderr, "  %3zu %-9s %s%s%s inode %" PRIu64 " at %" PRIu64 ", %zu bytes%s\n", i + 1,
            op_names[op->kind], op->path ? op->path : "", op->to ? " to " : "",
            op->to ? op->to : "", op->inode, op->offset, op->n, op->failed ? ", FAILED" : "");
  }
}

void memenv_write_file(memenv *m, const char *path, const void *data, size_t n) {
  mem_node *node = mem_node_new(++m->last_inode, false);

  mem_node_write(node, 0, data, n);
  node->mtime_secs = m->now;
  mem_name_set(&m->names, &m->n_names, path, node);
}

void memenv_log_start(memenv *m) {
  clear_log(m);
  for (size_t i = 0; i < m->n_names; i++) {
    mem_node *node = m->names[i].node;
    mem_name_set(&m->base, &m->n_base, m->names[i].path, mem_node_copy(node));
    if (node->page) memcpy(node->seen, node->page, MEM_PAGE_SZ);
  }
  m->logging = true;
}

void memenv_log_stop(memenv *m) { m->logging = false; }

void memenv_mark(memenv *m, uint64_t number) { log_op(m, MEM_MARK, NULL, NULL)->offset = number; }

size_t memenv_log_size(const memenv *m) { return m->n_log; }

const mem_op *memenv_log_op(const memenv *m, size_t i) { return &m->log[i]; }

void memenv_set_fault(memenv *m, const mem_fault *f) {
  m->fault = *f;
  m->n_calls = 0;
  m->fault_hit = false;
}

bool memenv_fault_hit(memenv *m) { return m->fault_hit; }

unsigned memenv_fault_call(memenv *m) { return m->fault_hit ? m->fault_call : 0; }

void memenv_pause_fault(memenv *m, bool paused) { m->fault_paused = paused; }
