/* fileset.c - see fileset.h. */
#include "fileset.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "err.h"
#include "name.h"

bc_fileset *bc_fileset_make(size_t n) {
  bc_fileset *fs = malloc(sizeof *fs + n * sizeof(bc_datafile *));
  if (!fs) return NULL;
  atomic_init(&fs->refs, 1);
  fs->n = 0;
  return fs;
}

bc_fileset *bc_fileset_new(void) { return bc_fileset_make(0); }

bc_fileset *bc_fileset_ref(bc_fileset *fs) {
  atomic_fetch_add_explicit(&fs->refs, 1, memory_order_relaxed);
  return fs;
}

void bc_fileset_unref(bc_fileset *fs) {
  if (!fs || atomic_fetch_sub_explicit(&fs->refs, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; i < fs->n; i++) bc_datafile_unref(fs->file[i]);
  free(fs);
}

/* The index of the first file with an id >= `id`. */
static size_t lower_bound(const bc_fileset *fs, uint32_t id) {
  size_t lo = 0, hi = fs->n, mid;
  while (lo < hi) {
    mid = lo + (hi - lo) / 2;
    if (fs->file[mid]->id < id) {
      lo = mid + 1;
    } else {
      hi = mid;
    }
  }
  return lo;
}

bc_datafile *bc_fileset_find(const bc_fileset *fs, uint32_t id) {
  size_t i = lower_bound(fs, id);
  return i < fs->n && fs->file[i]->id == id ? fs->file[i] : NULL;
}

bc_fileset *bc_fileset_with(const bc_fileset *fs, bc_datafile *df) {
  bc_fileset *to = bc_fileset_make(fs->n + 1);
  size_t at = lower_bound(fs, df->id), i;
  if (!to) return NULL;
  to->n = fs->n + 1;
  for (i = 0; i < at; i++) to->file[i] = bc_datafile_ref(fs->file[i]);
  to->file[at] = df;
  for (i = at; i < fs->n; i++) to->file[i + 1] = bc_datafile_ref(fs->file[i]);
  return to;
}

bc_fileset *bc_fileset_without(const bc_fileset *fs, uint32_t id) {
  bc_fileset *to = bc_fileset_make(fs->n);
  if (!to) return NULL;
  for (size_t i = 0; i < fs->n; i++) {
    if (fs->file[i]->id != id) to->file[to->n++] = bc_datafile_ref(fs->file[i]);
  }
  return to;
}

/* ---------------------------------------------------------------- listing */

typedef struct lister {
  bc_listing *out;
  size_t cap, cap_temps;
} lister;

static int add_name(void *arg, const char *name) {
  lister *l = arg;
  bc_listing *out = l->out;
  uint32_t id;
  void *p;

  switch (bc_name_parse(name, &id)) {
  case BC_NAME_DATA:
    if (out->n == l->cap) {
      l->cap = l->cap ? 2 * l->cap : 16;
      p = realloc(out->file, l->cap * sizeof *out->file);
      if (!p) return ENOMEM;
      out->file = p;
    }
    out->file[out->n++] = (bc_listed){.id = id};
    break;
  case BC_NAME_HINT:
    if (id > out->max_hint_id) out->max_hint_id = id;
    break;
  case BC_NAME_TEMP:
    if (out->n_temps == l->cap_temps) {
      l->cap_temps = l->cap_temps ? 2 * l->cap_temps : 4;
      p = realloc(out->temps, l->cap_temps * sizeof *out->temps);
      if (!p) return ENOMEM;
      out->temps = p;
    }
    out->temps[out->n_temps++] = id;
    break;
  case BC_NAME_STRAY:
    return bc_buf_append(&out->strays, name, strlen(name) + 1) ? ENOMEM : 0;
  case BC_NAME_OTHER:
    break;
  }
  return 0;
}

static int by_id(const void *a, const void *b) {
  uint32_t x = ((const bc_listed *)a)->id, y = ((const bc_listed *)b)->id;
  return x < y ? -1 : x > y;
}

static const char *kind_of(uint32_t mode) {
  return S_ISLNK(mode)    ? "a symbolic link"
         : S_ISFIFO(mode) ? "a FIFO"
         : S_ISSOCK(mode) ? "a socket"
                          : "a device";
}

/* Fill in size and mode; drop what has vanished since, and directories.  What is something else
** may stand for bytes that are elsewhere, or for none. */
static int stat_files(bc_listing *l, const bc_env *env, const char *dir, bitcask_error *err) {
  bitcask_buf path = {0};
  size_t i, n = 0;
  bc_stat st;
  int e, rc = BITCASK_OK;

  for (i = 0; i < l->n && !rc; i++) {
    if (bc_name_data(&path, dir, l->file[i].id, "")) {
      rc = bc_err_nomem(err);
      break;
    }
    e = env->lstat(env->ctx, (char *)path.data, &st);
    if (e == ENOENT || (!e && S_ISDIR(st.mode))) continue;
    if (e) rc = bc_err_os(err, e, "cannot stat %s", path.data);
    if (!rc && !S_ISREG(st.mode))
      rc = bc_err(err, BITCASK_IOERR, "%s is %s, not a regular file; move it away", path.data,
                  kind_of(st.mode));
    if (rc) continue;
    l->file[n++] = (bc_listed){.id = l->file[i].id, .size = st.size, .mode = st.mode};
  }
  l->n = n;
  bitcask_buf_free(&path);
  return rc;
}

int bc_listing_read(bc_listing *out, const bc_env *env, const char *dir, bitcask_error *err) {
  lister l = {.out = out};
  int e, rc;

  *out = (bc_listing){0};
  e = env->list(env->ctx, dir, add_name, &l);
  rc = e ? bc_err_os(err, e, "cannot list %s", dir) : stat_files(out, env, dir, err);
  if (rc) {
    bc_listing_release(out);
  } else if (out->n) {
    qsort(out->file, out->n, sizeof *out->file, by_id);
    out->file[out->n - 1].newest = true;
  }
  return rc;
}

void bc_listing_release(bc_listing *l) {
  free(l->file);
  free(l->temps);
  bitcask_buf_free(&l->strays);
  *l = (bc_listing){0};
}
