/* datafile.c - see datafile.h.  Scanning is in scan.c. */
#include "datafile.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "name.h"

enum { READ_AHEAD = 256 * 1024 };

/* A mapping.  One that a growing file has outgrown stays until the file is
** freed: somebody may hold pointers into it. */
struct bc_map {
  uint8_t *p;
  size_t len;
  struct bc_map *older;
};

int bc_datafile_open(const bc_env *env, const char *dir, uint32_t id, unsigned flags, bool use_mmap,
                     bc_datafile **out, int *os_errno, bitcask_error *err) {
  bc_datafile *df = calloc(1, sizeof *df);
  bitcask_buf path = {0};
  uint64_t size = 0;
  int rc = BITCASK_OK, e = 0, fd = -1;

  *out = NULL;
  *os_errno = 0;
  if (!df || bc_name_data(&path, dir, id, "")) {
    rc = bc_err_nomem(err);
    goto out;
  }
  df->env = env;
  df->id = id;
  df->use_mmap = use_mmap;
  df->writable = flags & BC_OPEN_WRITE;
  df->old_fd = -1;
  atomic_init(&df->refs, 1);
  e = env->open(env->ctx, (char *)path.data, flags, &fd);
  if (e) fd = -1;
  if (!e) e = env->size(env->ctx, fd, &size);
  if (!e) e = pthread_mutex_init(&df->mutex, NULL);
  if (e) {
    *os_errno = e;
    rc = bc_err_os(err, e, "cannot open %s", path.data);
    goto out;
  }
  atomic_init(&df->fd, fd);
  atomic_init(&df->size, size);
  *out = df;
  df = NULL;

out:
  if (df && fd >= 0) env->close(env->ctx, fd);
  free(df);
  bitcask_buf_free(&path);
  return rc;
}

int bc_datafile_reopen(bc_datafile *df, const char *dir, unsigned flags, int *os_errno,
                       bitcask_error *err) {
  bitcask_buf path = {0};
  int e, fd, rc = BITCASK_OK;

  if (os_errno) *os_errno = 0;
  if (bc_name_data(&path, dir, df->id, "")) return bc_err_nomem(err);
  e = df->env->open(df->env->ctx, (char *)path.data, flags, &fd);
  if (os_errno) *os_errno = e;
  if (e) {
    rc = bc_err_os(err, e, "cannot open %s", path.data);
  } else {
    pthread_mutex_lock(&df->mutex);
    if (df->old_fd >= 0) df->env->close(df->env->ctx, df->old_fd);
    df->old_fd = df->fd;
    df->fd = fd;
    df->writable = flags & BC_OPEN_WRITE;
    pthread_mutex_unlock(&df->mutex);
  }
  bitcask_buf_free(&path);
  return rc;
}

int bc_datafile_sync(bc_datafile *df, const char *dir, int *os_errno, bitcask_error *err) {
  bool done = false;
  int rc;

  *os_errno = 0;
  while (!done) {
    /* Another thread may settle the file, and the descriptor be another's. */
    pthread_mutex_lock(&df->mutex);
    done = df->fd >= 0;
    if (done) *os_errno = df->env->fdatasync(df->env->ctx, df->fd);
    pthread_mutex_unlock(&df->mutex);
    if (done) break;
    rc = bc_datafile_reopen(df, dir, BC_OPEN_READ, NULL, err);
    if (rc) return rc;
  }
  return BITCASK_OK;
}

bc_datafile *bc_datafile_ref(bc_datafile *df) {
  atomic_fetch_add_explicit(&df->refs, 1, memory_order_relaxed);
  return df;
}

static void unmap_all(bc_datafile *df) {
  struct bc_map *m, *older;
  for (m = atomic_load(&df->map); m; m = older) {
    older = m->older;
    df->env->unmap(df->env->ctx, m->p, m->len);
    free(m);
  }
  atomic_store(&df->map, NULL);
}

void bc_datafile_unref(bc_datafile *df) {
  if (!df || atomic_fetch_sub_explicit(&df->refs, 1, memory_order_acq_rel) != 1) return;
  unmap_all(df);
  if (df->fd >= 0) df->env->close(df->env->ctx, df->fd);
  if (df->old_fd >= 0) df->env->close(df->env->ctx, df->old_fd);
  pthread_mutex_destroy(&df->mutex);
  free(df);
}

bool bc_datafile_is_mapped(bc_datafile *df, uint64_t size) {
  const struct bc_map *m = atomic_load_explicit(&df->map, memory_order_acquire);
  return m && m->len >= size;
}

bool bc_datafile_shed(bc_datafile *df, uint64_t n) {
  const bc_env *env = df->env;
  uint64_t size = atomic_load(&df->size), left = size > n ? size - n : 0;

  if (!env->truncate_removed || df->fd < 0 || !df->writable) return true;
  unmap_all(df);
  if (df->old_fd >= 0) env->close(env->ctx, df->old_fd);
  df->old_fd = -1;
  if (env->truncate_removed(env->ctx, df->fd, left)) return true;
  atomic_store(&df->size, left);
  return !left;
}

/* With the mutex. */
static struct bc_map *make_map(bc_datafile *df, uint64_t len, int *os_errno) {
  struct bc_map *m = malloc(sizeof *m);
  void *p;

  *os_errno = m ? df->env->map(df->env->ctx, df->fd, (size_t)len, false, &p) : ENOMEM;
  if (*os_errno) {
    free(m);
    return NULL;
  }
  *m = (struct bc_map){p, (size_t)len, atomic_load_explicit(&df->map, memory_order_relaxed)};
  atomic_store_explicit(&df->map, m, memory_order_release);
  return m;
}

static struct bc_map *map_of(bc_datafile *df, uint64_t end, int *os_errno) {
  struct bc_map *m = atomic_load_explicit(&df->map, memory_order_acquire);

  *os_errno = 0;
  if (m && end <= m->len) return m;
  pthread_mutex_lock(&df->mutex);
  m = atomic_load_explicit(&df->map, memory_order_relaxed);
  /* Room ahead: what a growing file gets appears in the mapping. */
  if (!m || end > m->len) m = make_map(df, end + end / 2 + (64u << 20), os_errno);
  pthread_mutex_unlock(&df->mutex);
  return m;
}

void bc_datafile_settle(bc_datafile *df) {
  uint64_t size = atomic_load_explicit(&df->size, memory_order_acquire);
  struct bc_map *m;
  int e;

  if (!df->use_mmap || !size) return;
  pthread_mutex_lock(&df->mutex);
  m = atomic_load_explicit(&df->map, memory_order_relaxed);
  if (df->fd >= 0 && ((m && m->len >= size) || make_map(df, size, &e))) {
    df->env->close(df->env->ctx, df->fd);
    df->fd = -1;
    df->writable = false;
  }
  pthread_mutex_unlock(&df->mutex);
}

static int read_into(bc_datafile *df, uint64_t offset, size_t n, uint8_t *buf, bitcask_error *err) {
  size_t got;
  int e = df->env->pread(df->env->ctx, df->fd, buf, n, offset, &got);
  if (e) {
    return bc_err_os(err, e, "cannot read %zu bytes of %u.bitcask.data at %llu", n, df->id,
                     (unsigned long long)offset);
  }
  if (got < n) {
    return bc_err_at(err, BITCASK_CORRUPT, df->id, offset,
                     "%u.bitcask.data ends before byte %llu: it has been cut from outside", df->id,
                     (unsigned long long)(offset + n));
  }
  return BITCASK_OK;
}

int bc_datafile_read(bc_datafile *df, uint64_t offset, size_t n, bitcask_buf *scratch,
                     const uint8_t **out, bitcask_error *err) {
  struct bc_map *m;
  int e = ENOTSUP, rc;

  if (df->use_mmap) {
    m = map_of(df, offset + n, &e);
    if (m) {
      *out = m->p + offset;
      return BITCASK_OK;
    }
    if (e != ENOTSUP && e != ENOMEM && e != ENODEV) {
      return bc_err_os(err, e, "cannot map %u.bitcask.data", df->id);
    }
  }
  scratch->size = 0;
  rc = bc_buf_reserve(scratch, n);
  if (rc) return bc_err_nomem(err);
  rc = read_into(df, offset, n, scratch->data, err);
  if (!rc) scratch->size = n;
  *out = scratch->data;
  return rc;
}

uint32_t bc_datafile_first(bc_datafile *df) {
  bitcask_buf scratch = {0};
  const uint8_t *p;
  uint32_t first = 0;
  if (!bc_datafile_read(df, 0, 4, &scratch, &p, NULL)) first = bc_get32(p);
  bitcask_buf_free(&scratch);
  return first;
}

void bc_reader_init(bc_reader *r, bc_datafile *df, uint64_t limit) {
  *r = (bc_reader){.df = df, .limit = limit};
}

void bc_reader_release(bc_reader *r) { bitcask_buf_free(&r->buf); }

int bc_reader_peek(bc_reader *r, uint64_t offset, uint64_t need, const uint8_t **out,
                   uint64_t *avail, bitcask_error *err) {
  bc_datafile *df = r->df;
  struct bc_map *m;
  uint64_t left = r->limit - offset, n;
  int e, rc;

  if (need > left) need = left;
  if (df->use_mmap) {
    m = map_of(df, r->limit, &e);
    if (m) {
      *out = m->p + offset;
      *avail = left;
      return BITCASK_OK;
    }
  }
  if (offset < r->buf_offset || offset + need > r->buf_offset + r->buf.size) {
    n = need < READ_AHEAD ? READ_AHEAD : need;
    if (n > left) n = left;
    r->buf.size = 0;
    if (bc_buf_reserve(&r->buf, (size_t)n)) return bc_err_nomem(err);
    rc = read_into(df, offset, (size_t)n, r->buf.data, err);
    if (rc) return rc;
    r->buf.size = (size_t)n;
    r->buf_offset = offset;
  }
  *out = r->buf.data + (offset - r->buf_offset);
  *avail = r->buf_offset + r->buf.size - offset;
  return BITCASK_OK;
}
