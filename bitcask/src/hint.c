/* hint.c - see hint.h. */
#include "hint.h"

#include <errno.h>

#include "buf.h"
#include "crc32.h"
#include "err.h"
#include "name.h"

enum { FLUSH_SZ = 256 * 1024 };

/* The whole file into h->buf. */
static int read_all(bc_hint *h, int fd, uint64_t size) {
  size_t got = 0;
  int e;
  if (bc_buf_reserve(&h->buf, (size_t)size)) return ENOMEM;
  e = h->env->pread(h->env->ctx, fd, h->buf.data, (size_t)size, 0, &got);
  h->buf.size = got;
  h->entries = h->buf.data;
  h->n = got;
  return e;
}

static int get_bytes(bc_hint *h, const char *path, bool use_mmap, bitcask_error *err) {
  const bc_env *env = h->env;
  uint64_t size = 0;
  int fd, e;

  e = env->open(env->ctx, path, BC_OPEN_READ, &fd);
  if (e == ENOENT) return BITCASK_NOTFOUND;
  if (e == EISDIR) return BITCASK_CORRUPT; /* a directory of that name */
  if (e) return bc_err_os(err, e, "cannot open %s", path);
  e = env->size(env->ctx, fd, &size);
  if (!e && size) {
    /* Whatever keeps it from being mapped, it may be readable. */
    if (use_mmap && !env->map(env->ctx, fd, (size_t)size, false, &h->map)) {
      h->entries = h->map;
      h->n = h->map_sz = (size_t)size;
    } else {
      h->map = NULL;
      e = read_all(h, fd, size);
    }
  }
  env->close(env->ctx, fd);
  if (e == ENOMEM) return bc_err_nomem(err);
  if (e) return bc_err_os(err, e, "cannot read %s", path);
  return BITCASK_OK;
}

static bool tile(bc_hint *h) {
  size_t at = 0, step, last = 0;
  uint64_t i = 0;
  bc_hint_entry e;

  for (; at < h->n; at += step) {
    step = bc_hint_decode(h->entries + at, h->n - at, &e);
    if (!step || e.offset != h->end || e.total_sz < BC_RECORD_HEADER_SZ + e.key_sz) return false;
    h->end += e.total_sz;
    last = at;
    /* The first, second, fourth, eighth, ...: without a list of all of them. */
    i++;
    if (!(i & (i - 1)) && h->n_samples < BC_HINT_SAMPLES - 1) h->sample[h->n_samples++] = at;
  }
  if (h->n) h->sample[h->n_samples++] = last;
  return true;
}

int bc_hint_open(bc_hint *h, const bc_env *env, const char *dir, uint32_t id, uint64_t data_size,
                 bool use_mmap, bitcask_error *err) {
  bitcask_buf path = {0};
  int rc;

  *h = (bc_hint){.env = env};
  rc = bc_name_hint(&path, dir, id, "") ? bc_err_nomem(err)
                                        : get_bytes(h, (char *)path.data, use_mmap, err);
  if (!rc) {
    rc = BITCASK_CORRUPT;
    if (bc_hint_is_valid(h->entries, h->n)) {
      h->n -= BC_HINT_HEADER_SZ;
      if (tile(h) && h->end >= data_size) rc = BITCASK_OK;
    }
  }
  if (rc) bc_hint_close(h);
  bitcask_buf_free(&path);
  return rc;
}

void bc_hint_close(bc_hint *h) {
  if (h->map) h->env->unmap(h->env->ctx, h->map, h->map_sz);
  bitcask_buf_free(&h->buf);
  h->map = NULL;
}

bool bc_hint_next(const bc_hint *h, size_t *at, bc_hint_entry *e) {
  size_t step = bc_hint_decode(h->entries + *at, h->n - *at, e);
  *at += step;
  return step != 0;
}

int bc_hint_load(const bc_env *env, const char *dir, uint32_t id, uint64_t data_size,
                 int (*fn)(void *ctx, const bc_hint_entry *e), void *ctx, bitcask_error *err) {
  bc_hint_entry e;
  size_t at = 0;
  bc_hint h;
  int rc = bc_hint_open(&h, env, dir, id, data_size, false, err);

  if (rc) return rc;
  while (!rc && bc_hint_next(&h, &at, &e)) rc = fn(ctx, &e);
  bc_hint_close(&h);
  return rc;
}

int bc_hint_exists(const bc_env *env, const char *dir, uint32_t id, bool *yes, bitcask_error *err) {
  bitcask_buf path = {0};
  bc_stat st;
  int rc = BITCASK_OK, e;

  *yes = false;
  if (bc_name_hint(&path, dir, id, "")) return bc_err_nomem(err);
  e = env->lstat(env->ctx, (char *)path.data, &st);
  *yes = !e;
  if (e && e != ENOENT) rc = bc_err_os(err, e, "cannot stat %s", path.data);
  bitcask_buf_free(&path);
  return rc;
}

int bc_hint_writer_open(bc_hint_writer *w, const bc_env *env, const char *dir, uint32_t id,
                        bitcask_error *err) {
  bitcask_buf path = {0};
  int rc = BITCASK_OK, e;

  *w = (bc_hint_writer){.env = env, .dir = dir, .id = id, .fd = -1};
  if (bc_name_hint(&path, dir, id, ".tmp")) return bc_err_nomem(err);
  /* One left by a crash is in the way of O_EXCL and worth nothing. */
  (void)env->unlink(env->ctx, (char *)path.data);
  e = env->open(env->ctx, (char *)path.data, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE,
                &w->fd);
  if (e) {
    w->fd = -1;
    rc = bc_err_os(err, e, "cannot make %s", path.data);
  }
  bitcask_buf_free(&path);
  return rc;
}

static int flush(bc_hint_writer *w, bitcask_error *err) {
  struct iovec iov = {w->buf.data, w->buf.size};
  int e;
  if (!w->buf.size) return BITCASK_OK;
  e = w->env->pwritev(w->env->ctx, w->fd, &iov, 1, w->size);
  if (e) return bc_err_os(err, e, "cannot write %u.bitcask.hint.tmp", w->id);
  if (w->env->write_behind) w->env->write_behind(w->env->ctx, w->fd, w->size, w->buf.size);
  w->size += w->buf.size;
  w->buf.size = 0;
  return BITCASK_OK;
}

int bc_hint_writer_add(bc_hint_writer *w, const bc_hint_entry *e, bitcask_error *err) {
  size_t n = BC_HINT_HEADER_SZ + e->key_sz;
  if (bc_buf_reserve(&w->buf, n)) return bc_err_nomem(err);
  bc_hint_encode(w->buf.data + w->buf.size, e);
  w->crc = bc_crc32(w->crc, w->buf.data + w->buf.size, n);
  w->buf.size += n;
  return w->buf.size >= FLUSH_SZ ? flush(w, err) : BITCASK_OK;
}

int bc_hint_writer_finish(bc_hint_writer *w, bitcask_error *err) {
  bitcask_buf from = {0}, to = {0};
  uint8_t trailer[BC_HINT_HEADER_SZ];
  const bc_env *env = w->env;
  int rc, e;

  bc_hint_trailer_encode(trailer, w->crc);
  rc = bc_buf_append(&w->buf, trailer, sizeof trailer) ? bc_err_nomem(err) : flush(w, err);
  /* Content before name: after a power cut a hint file is whole or not there. */
  if (!rc) {
    e = env->fdatasync(env->ctx, w->fd);
    if (e) rc = bc_err_os(err, e, "cannot sync %u.bitcask.hint.tmp", w->id);
  }
  if (!rc && (bc_name_hint(&from, w->dir, w->id, ".tmp") || bc_name_hint(&to, w->dir, w->id, ""))) {
    rc = bc_err_nomem(err);
  }
  if (!rc) {
    e = env->rename(env->ctx, (char *)from.data, (char *)to.data);
    if (e) rc = bc_err_os(err, e, "cannot rename %s", from.data);
  }
  bitcask_buf_free(&from);
  bitcask_buf_free(&to);
  if (rc) {
    bc_hint_writer_abandon(w);
  } else {
    env->close(env->ctx, w->fd);
    bitcask_buf_free(&w->buf);
  }
  return rc;
}

void bc_hint_writer_close(bc_hint_writer *w) {
  if (w->fd >= 0) w->env->close(w->env->ctx, w->fd);
  w->fd = -1;
  bitcask_buf_free(&w->buf);
}

void bc_hint_writer_abandon(bc_hint_writer *w) {
  bitcask_buf path = {0};
  if (w->fd >= 0 && !bc_name_hint(&path, w->dir, w->id, ".tmp")) {
    (void)w->env->unlink(w->env->ctx, (char *)path.data);
  }
  bc_hint_writer_close(w);
  bitcask_buf_free(&path);
}
