/* checkpoint.c - see checkpoint.h. */
#include "checkpoint.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "crc32.h"
#include "err.h"
#include "hint.h"
#include "home.h"
#include "lock.h"
#include "name.h"

static const char MAGIC[16] = "bitcask keydir 1";

enum {
  ORDER = 0x01020304,     /* as this machine stores it */
  HEADER_SZ = 4096,       /* the first segment begins on a page */
  SEGMENT_ALIGN = 64,     /* a cache line */
  TAIL_SZ = 64,           /* bytes at the end of a file that tell it from others */
  FLUSH_SZ = 1024 * 1024, /* written at once */
  HINTED = 1,             /* flags of a file */
  DAMAGED = 2,
  FOREIGN = 4
};

/* Host byte order and layout: ORDER and the sizes tell a file from elsewhere. */
typedef struct header {
  char magic[16];
  uint32_t order;
  uint32_t crc; /* of the rest of the header */
  uint64_t file_sz;
  uint64_t tables_at; /* files, then segments, up to the end of the file */
  uint32_t tables_crc;
  uint32_t n_files;
  uint32_t n_segments;
  uint32_t depth;
  uint64_t seed;
  uint64_t n_keys;
  uint64_t key_bytes;
  uint64_t merges;          /* the state page's count */
  uint64_t position_offset; /* the log is in the keydir up to here */
  uint32_t position_file;
  uint32_t max_id;
  uint32_t newest_tstamp;
  uint32_t outputs_from; /* ids from here up to the position may come to be outputs; 0: none */
} header;

typedef struct file_entry {
  uint64_t size;
  uint64_t n_records;
  uint64_t n_tombstones;
  uint64_t tombstone_bytes;
  uint64_t live_keys;
  uint64_t live_bytes;
  uint32_t id;
  uint32_t flags;
  uint32_t oldest_tstamp;
  uint32_t newest_tstamp;
  uint32_t tail_crc; /* of the last TAIL_SZ bytes that count */
  uint32_t unused;
} file_entry;

_Static_assert(sizeof(header) == 112 && sizeof(file_entry) == 72 && sizeof(bc_keydir_segment) == 16,
               "layout of bitcask.keydir");

static uint32_t header_crc(const header *h) {
  return bc_crc32(0, &h->file_sz, sizeof *h - offsetof(header, file_sz));
}

/* The bytes at the end of what counts of a file. */
static int tail_crc(bc_datafile *df, uint64_t size, uint32_t *out, bitcask_error *err) {
  bitcask_buf scratch = {0};
  size_t n = size < TAIL_SZ ? (size_t)size : TAIL_SZ;
  const uint8_t *p;
  int rc = n ? bc_datafile_read(df, size - n, n, &scratch, &p, err) : BITCASK_OK;
  *out = rc || !n ? 0 : bc_crc32(0, p, n);
  bitcask_buf_free(&scratch);
  return rc;
}

/* ---------------------------------------------------------------- restoring */

/* The file in memory, for as long as a keydir uses it. */
typedef struct image {
  bitcask *bc;
  uint8_t *p;
  size_t size;
  bool mapped; /* else allocated */
  bc_reload_fn reload;
  bc_position position;
} image;

static void image_free(void *ctx) {
  image *im = ctx;
  if (im->mapped) {
    im->bc->env->unmap(im->bc->env->ctx, im->p, im->size);
  } else {
    free(im->p);
  }
  free(im);
}

/* Without a file that a merge has taken since, the log does not say any more what
** the keydir was: a deletion may have been in it, and its value in another. */
static bool has_files_of(const image *im, const bc_fileset *files) {
  const header *h = (const header *)im->p;
  const file_entry *f = (const file_entry *)(im->p + h->tables_at);
  for (uint32_t i = 0; i < h->n_files; i++) {
    if (!bc_fileset_find(files, f[i].id)) return false;
  }
  return true;
}

static int image_reload(void *ctx, bc_keydir **out) {
  const image *im = ctx;
  const header *h = (const header *)im->p;
  const file_entry *f = (const file_entry *)(im->p + h->tables_at);
  bc_position *known = malloc((h->n_files + 1) * sizeof *known);
  bc_fileset *files = NULL;
  int rc;

  if (!known) return BITCASK_NOMEM;
  for (uint32_t i = 0; i < h->n_files; i++) known[i] = (bc_position){f[i].id, f[i].size};
  bc_store_log(im->bc, "%s/%s is damaged; the log is read in its stead", im->bc->dir,
               BC_KEYDIR_NAME);
  rc = im->reload(im->bc, &im->position, known, h->n_files, h->seed, out, &files);
  free(known);
  if (!rc && !has_files_of(im, files)) {
    bc_keydir_free(*out);
    *out = NULL;
    rc = BITCASK_IOERR;
  }
  bc_fileset_unref(files);
  return rc;
}

/* Fill `im` with the file's bytes.  False: there is none, or it cannot be had. */
static bool image_read(image *im, int fd) {
  const bc_env *env = im->bc->env;
  uint64_t size;
  size_t got;
  void *p;

  if (env->size(env->ctx, fd, &size) || size < HEADER_SZ || size > SIZE_MAX) return false;
  im->size = (size_t)size;
  if (im->bc->opt.mmap && !env->map(env->ctx, fd, im->size, false, &p)) {
    im->mapped = true;
    im->p = p;
    return true;
  }
  im->p = malloc(im->size);
  if (!im->p) return false;
  if (!env->pread(env->ctx, fd, im->p, im->size, 0, &got) && got == im->size) return true;
  free(im->p);
  return false;
}

static image *image_open(bitcask *bc, bc_reload_fn reload) {
  const bc_env *env = bc->env;
  bitcask_buf path = {0};
  image *im = calloc(1, sizeof *im);
  bitcask_error why = {0};
  bool ok = false;
  int fd, e = ENOMEM;

  if (im && !bc_name_in(&path, bc->dir, BC_KEYDIR_NAME)) {
    e = env->open(env->ctx, (char *)path.data, BC_OPEN_READ, &fd);
    if (e && e != ENOENT) {
      (void)bc_err_os(&why, e, "the log is read instead of %s, which cannot be opened", path.data);
      bc_store_log(bc, "%s", why.text);
    }
  }
  if (!e) {
    im->bc = bc;
    im->reload = reload;
    ok = image_read(im, fd);
    env->close(env->ctx, fd);
  }
  bitcask_buf_free(&path);
  if (ok) return im;
  free(im);
  return NULL;
}

/* Everything but the segments. */
static bool is_sound(const image *im) {
  const header *h = (const header *)im->p;
  uint64_t tables_sz;

  if (memcmp(h->magic, MAGIC, sizeof MAGIC) || h->order != ORDER || h->crc != header_crc(h) ||
      h->file_sz != im->size || h->tables_at > im->size || h->tables_at % 8) {
    return false;
  }
  tables_sz = (uint64_t)h->n_files * sizeof(file_entry) +
              (uint64_t)h->n_segments * sizeof(bc_keydir_segment);
  return tables_sz == im->size - h->tables_at &&
         h->tables_crc == bc_crc32(0, im->p + h->tables_at, (size_t)tables_sz);
}

static bc_datafile *restore_file(const bitcask *bc, const file_entry *f, bool *gone) {
  bc_datafile *df;
  uint32_t crc;
  bool hinted;
  int e;

  *gone = false;
  if (bc_datafile_open(bc->env, bc->dir, f->id, BC_OPEN_READ, bc->opt.mmap, &df, &e, NULL)) {
    *gone = e == ENOENT;
    return NULL;
  }
  if (atomic_load(&df->size) < f->size || tail_crc(df, f->size, &crc, NULL) || crc != f->tail_crc ||
      bc_hint_exists(bc->env, bc->dir, f->id, &hinted, NULL)) {
    bc_datafile_unref(df);
    return NULL;
  }
  atomic_store(&df->size, f->size);
  /* Sealed since: it must not be continued. */
  df->has_hint = (f->flags & HINTED) || hinted;
  df->damaged = f->flags & DAMAGED;
  df->foreign = (f->flags & FOREIGN) || df->has_hint;
  df->n_records = f->n_records;
  df->n_tombstones = f->n_tombstones;
  df->tombstone_bytes = f->tombstone_bytes;
  df->live_keys = f->live_keys;
  df->live_bytes = f->live_bytes;
  df->oldest_tstamp = f->oldest_tstamp;
  df->newest_tstamp = f->newest_tstamp;
  return df;
}

/* The files as they were; those that a merge has removed since are left out, and
** *lost says how many keys may still point there. */
static bc_fileset *restore_files(const bitcask *bc, const file_entry *f, uint32_t n,
                                 uint64_t *lost) {
  bc_fileset *fs = bc_fileset_make(n);
  bool gone;

  for (uint32_t i = 0; fs && i < n; i++) {
    bc_datafile *df = restore_file(bc, &f[i], &gone);
    if (df) {
      fs->file[fs->n++] = df;
    } else if (gone) {
      *lost += f[i].live_keys;
    } else {
      bc_fileset_unref(fs);
      fs = NULL;
    }
  }
  return fs;
}

/* Remember what the checkpoint on the disk holds. */
static bool note_saved(bitcask *bc, const file_entry *f, uint32_t n) {
  bc_saved_file *saved = malloc((n + 1) * sizeof *saved);
  if (!saved) return false;
  for (uint32_t i = 0; i < n; i++) saved[i] = (bc_saved_file){f[i].id, f[i].n_records};
  free(bc->saved);
  bc->saved = saved;
  bc->n_saved = n;
  return true;
}

static bool take_up(bitcask *bc, image *im) {
  const header *h = (const header *)im->p;
  const file_entry *f = (const file_entry *)(im->p + h->tables_at);
  bc_keydir_saved from = {.base = im->p,
                          .size = (size_t)h->tables_at,
                          .segment = (const bc_keydir_segment *)(f + h->n_files),
                          .n_segments = h->n_segments,
                          .seed = h->seed,
                          .n_keys = h->n_keys,
                          .key_bytes = h->key_bytes,
                          .depth = h->depth,
                          .reload = image_reload,
                          .release = image_free,
                          .ctx = im};
  uint64_t lost = 0;
  bc_fileset *files = restore_files(bc, f, h->n_files, &lost);
  bc_keydir *kd = files && note_saved(bc, f, h->n_files) ? bc_keydir_restore(&from) : NULL;

  if (!kd) {
    bc_fileset_unref(files);
    return false;
  }
  im->position = (bc_position){h->position_file, h->position_offset};
  bc_keydir_free(bc->keydir);
  bc_fileset_unref(bc->files);
  bc->keydir = kd;
  bc->files = files;
  bc->gone = lost;
  bc->seen = im->position;
  bc->newest_tstamp = h->newest_tstamp;
  bc->max_id = h->max_id;
  bc->restored = true;
  bc->restored_merges = h->merges;
  bc->restored_outputs = h->outputs_from;
  return true;
}

bool bc_checkpoint_restore(bitcask *bc, bc_reload_fn reload) {
  image *im = image_open(bc, reload);
  bool ok = im && is_sound(im) && take_up(bc, im);
  if (im && !ok) {
    /* Lest it fit again one day, by chance. */
    bc->checkpoint_unfit = true;
    bc->repairs_due = true;
    image_free(im);
  }
  return ok;
}

/* Below the position there is nothing new: no merge was running when it was saved,
** and the outputs of later ones lie above.  A file that came from elsewhere would be
** taken for the output of a merge.  If none of ours has run since, there must be
** exactly the same files. */
/* Is it an output of the merge that was going on when the checkpoint was made? */
static bool may_have_come(const bitcask *bc, uint32_t id) {
  return bc->restored_outputs && id >= bc->restored_outputs;
}

bool bc_checkpoint_fits(const bitcask *bc, const bc_listing *l) {
  uint64_t merges = bc_state_merges(&bc->state);
  size_t n = 0;

  for (size_t i = 0; i < l->n && l->file[i].id <= bc->seen.file_id; i++) {
    bool known = bc_fileset_find(bc->files, l->file[i].id) != NULL;
    /* A dead input of basho/bitcask's: what buried its records may have gone. */
    if (l->file[i].mode & BC_DELETION_MARKS) return false;
    if (!known && l->file[i].id < bc->seen.file_id && !may_have_come(bc, l->file[i].id)) {
      return false;
    }
    n += known;
  }
  if (merges != bc->restored_merges) return merges > bc->restored_merges;
  return !bc->gone && n == bc->files->n;
}

/* ------------------------------------------------------------------ writing */

struct bc_checkpoint {
  bitcask *bc;
  bc_keydir *keydir;
  bc_keydir_view *view;
  bc_fileset *files;
  file_entry *file;
  header h;

  int fd; /* -1: not begun to write */
  uint64_t inode;
  size_t cursor; /* in the view */
  bitcask_buf buf;
  uint64_t written;
  bitcask_buf segments; /* bc_keydir_segment */
};

/* Records that an open would have to replay. */
static uint64_t unsaved(const bitcask *bc) {
  uint64_t n = 0;
  size_t j = 0;
  for (size_t i = 0; i < bc->files->n; i++) {
    const bc_datafile *df = bc->files->file[i];
    uint64_t had = 0;
    while (j < bc->n_saved && bc->saved[j].id < df->id) j++;
    if (j < bc->n_saved && bc->saved[j].id == df->id) had = bc->saved[j].n_records;
    n += df->n_records > had ? df->n_records - had : 0;
  }
  return n;
}

static void describe_files(bc_checkpoint *c) {
  for (size_t i = 0; i < c->files->n; i++) {
    const bc_datafile *df = c->files->file[i];
    c->file[i] = (file_entry){.size = atomic_load(&df->size),
                              .n_records = df->n_records,
                              .n_tombstones = df->n_tombstones,
                              .tombstone_bytes = df->tombstone_bytes,
                              .live_keys = df->live_keys,
                              .live_bytes = df->live_bytes,
                              .id = df->id,
                              .flags = (df->has_hint ? (uint32_t)HINTED : 0) |
                                       (df->damaged ? (uint32_t)DAMAGED : 0) |
                                       (df->foreign ? (uint32_t)FOREIGN : 0),
                              .oldest_tstamp = df->oldest_tstamp,
                              .newest_tstamp = df->newest_tstamp};
  }
}

/* With `lock` exclusive. */
static bool freeze(bc_checkpoint *c) {
  bitcask *bc = c->bc;
  bc_session session;

  c->file = calloc(bc->files->n + 1, sizeof *c->file);
  c->view = c->file ? bc_keydir_view_open(bc->keydir) : NULL;
  if (!c->view) return false;
  c->keydir = bc->keydir;
  c->files = bc_fileset_ref(bc->files);
  describe_files(c);
  c->h = (header){.order = ORDER,
                  .n_files = (uint32_t)bc->files->n,
                  .depth = bc_keydir_view_depth(c->view),
                  .seed = bc_keydir_seed(bc->keydir),
                  .n_keys = bc_keydir_view_count(c->view),
                  .key_bytes = bc_keydir_view_key_bytes(c->view),
                  .merges = bc_state_merges(&bc->state),
                  .position_offset = bc->seen.offset,
                  .position_file = bc->seen.file_id,
                  .max_id = bc->max_id,
                  .newest_tstamp = bc->newest_tstamp};
  /* Not while the file of the position is only reserved: then ids below it are free for
  ** basho/bitcask, whose file would be taken for an output. */
  if (bc_state_session(&bc->state, &session) && bc_fileset_find(bc->files, bc->seen.file_id))
    c->h.outputs_from = session.first_id;
  memcpy(c->h.magic, MAGIC, sizeof MAGIC);
  return true;
}

/* In a forked child somebody may hold the lock who is not there. */
static void release(bc_checkpoint *c) {
  bitcask *bc = c->bc;
  bool alone = bc_store_is_child(bc);

  if (c->fd >= 0) bc->env->close(bc->env->ctx, c->fd);
  if (c->view) {
    if (!alone) pthread_rwlock_wrlock(&bc->lock);
    bc_keydir_view_close(c->keydir, c->view);
    if (!alone) pthread_rwlock_unlock(&bc->lock);
  }
  bc_fileset_unref(c->files);
  bitcask_buf_free(&c->buf);
  bitcask_buf_free(&c->segments);
  free(c->file);
  free(c);
  atomic_store(&bc->saving, false);
}

/* What a checkpoint says must not be ahead of the disk: it would point at bytes
** that a power cut takes away.  Of the active file and of sealed ones that is
** known; what a killed merge has left is synced here. */
static bool is_stable(bitcask *bc) {
  bc_position p;
  if (!bc_state_stable(&bc->state, &p) || p.file_id != bc->seen.file_id ||
      p.offset < bc->seen.offset) {
    return false;
  }
  for (size_t i = 0; i < bc->files->n; i++) {
    bc_datafile *df = bc->files->file[i];
    if (df->id < p.file_id && !df->has_hint && bc_store_sync(bc, df, NULL)) return false;
  }
  return true;
}

bool bc_checkpoint_is_due(bitcask *bc, unsigned share) {
  uint64_t n;
  bool due;

  pthread_rwlock_rdlock(&bc->lock);
  n = unsaved(bc);
  due = n >= bc->save_least && n >= bc_keydir_count(bc->keydir) / share;
  /* It would say of keys in doubt that they are where an older value is. */
  if (bc->doubt.to || bc->opt.damage == BITCASK_DAMAGE_IGNORE) due = false;
  pthread_rwlock_unlock(&bc->lock);
  return due;
}

bc_checkpoint *bc_checkpoint_begin(bitcask *bc) {
  bc_checkpoint *c;
  bool ok, busy;

  /* While a merge runs, outputs are in use before they are synced. */
  if (!bc_store_lock_merge(bc)) return NULL;
  busy = atomic_exchange(&bc->saving, true);
  c = busy ? NULL : calloc(1, sizeof *c);
  if (!busy && !c) atomic_store(&bc->saving, false);
  if (c) {
    c->bc = bc;
    c->fd = -1;
    pthread_rwlock_wrlock(&bc->lock);
    ok = !atomic_load(&bc->stale) && !atomic_load(&bc->poisoned) && is_stable(bc) &&
         !bc_store_settle(bc, NULL) && freeze(c);
    pthread_rwlock_unlock(&bc->lock);
    if (!ok) {
      release(c);
      c = NULL;
    }
  }
  bc_store_unlock_merge(bc);
  return c;
}

static int flush(bc_checkpoint *c) {
  const bc_env *env = c->bc->env;
  struct iovec iov = {c->buf.data, c->buf.size};
  int e = c->buf.size ? env->pwritev(env->ctx, c->fd, &iov, 1, c->written) : 0;
  c->written += e ? 0 : c->buf.size;
  c->buf.size = 0;
  return e;
}

/* Results are errno values from here on. */
static int put_bytes(bc_checkpoint *c, const void *p, size_t n) {
  if (bc_buf_append(&c->buf, p, n)) return ENOMEM;
  return c->buf.size >= FLUSH_SZ ? flush(c) : 0;
}

static int pad_to(bc_checkpoint *c, uint64_t align) {
  static const uint8_t zeros[SEGMENT_ALIGN];
  uint64_t over = (c->written + c->buf.size) % align;
  return over ? put_bytes(c, zeros, (size_t)(align - over)) : 0;
}

static int save_segment(void *ctx, unsigned depth, const void *head, size_t head_sz,
                        const void *body, size_t body_sz) {
  bc_checkpoint *c = ctx;
  bc_keydir_segment s = {.depth = depth};
  int e = pad_to(c, SEGMENT_ALIGN);

  s.offset = c->written + c->buf.size;
  if (!e && bc_buf_append(&c->segments, &s, sizeof s)) e = ENOMEM;
  if (!e) e = put_bytes(c, head, head_sz);
  if (!e) e = put_bytes(c, body, body_sz);
  c->h.n_segments++;
  return e;
}

static int save_tables(bc_checkpoint *c) {
  int e = pad_to(c, SEGMENT_ALIGN);
  size_t n = c->h.n_files * sizeof *c->file;

  c->h.tables_at = c->written + c->buf.size;
  c->h.tables_crc = bc_crc32(bc_crc32(0, c->file, n), c->segments.data, c->segments.size);
  if (!e) e = put_bytes(c, c->file, n);
  if (!e) e = put_bytes(c, c->segments.data, c->segments.size);
  if (!e) e = flush(c);
  c->h.file_sz = c->written;
  c->h.crc = header_crc(&c->h);
  return e;
}

/* At once: a file that goes meanwhile must not be kept. */
static int note_tails(bc_checkpoint *c) {
  for (size_t i = 0; i < c->files->n; i++) {
    if (tail_crc(c->files->file[i], c->file[i].size, &c->file[i].tail_crc, NULL)) return EIO;
  }
  bc_fileset_unref(c->files);
  c->files = NULL;
  return 0;
}

/* Between steps nobody holds the lock, or one that idles would keep all others from
** saving.  So who begins takes the name away from who has begun before, and he gives up. */
static int begin_file(bc_checkpoint *c, const char *tmp) {
  const bc_env *env = c->bc->env;
  bc_stat st = {0};
  int e;

  if (bc_home_check(c->bc, NULL, NULL))
    return ESTALE; /* nothing is removed from another directory */
  if (!bc_lock_save(&c->bc->state)) return EBUSY;
  (void)env->unlink(env->ctx, tmp); /* not overwritten: somebody may have it mapped */
  e = env->open(env->ctx, tmp, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, &c->fd);
  if (e) c->fd = -1;
  if (!e) e = env->lstat(env->ctx, tmp, &st);
  if (!e) c->inode = st.inode;
  bc_unlock_save(&c->bc->state);
  c->written = HEADER_SZ;
  return e ? e : note_tails(c);
}

/* *ours: the file still has that name, and now has `path`, or none if that is NULL. */
static int end_file(bc_checkpoint *c, const char *tmp, const char *path, bool *ours) {
  const bc_env *env = c->bc->env;
  bc_stat st;
  int e;

  *ours = false;
  if (!bc_lock_save(&c->bc->state)) return EBUSY;
  e = env->lstat(env->ctx, tmp, &st);
  *ours = !e && st.inode == c->inode;
  if (e == ENOENT) e = 0; /* overtaken */
  if (*ours) e = path ? env->rename(env->ctx, tmp, path) : env->unlink(env->ctx, tmp);
  bc_unlock_save(&c->bc->state);
  return e;
}

/* Lest all of it be left for the sync. */
static int flush_behind(bc_checkpoint *c) {
  const bc_env *env = c->bc->env;
  uint64_t from = c->written;
  int e = flush(c);
  if (!e && env->write_behind) env->write_behind(env->ctx, c->fd, from, c->written - from);
  return e;
}

static int save_rest(bc_checkpoint *c) {
  const bc_env *env = c->bc->env;
  struct iovec iov = {&c->h, sizeof c->h};
  int e = save_tables(c);
  if (!e) e = env->pwritev(env->ctx, c->fd, &iov, 1, 0);
  /* Content before name: after a power cut the name stands for a whole file. */
  return e ? e : env->fdatasync(env->ctx, c->fd);
}

/* About n bytes.  *done: those were the last. */
static int save_some(bc_checkpoint *c, const char *tmp, uint64_t n, bool *done) {
  uint64_t start;
  int e = c->fd < 0 ? begin_file(c, tmp) : 0;

  start = c->written;
  while (!e && !*done && c->written + c->buf.size - start < n) {
    e = bc_keydir_view_save(c->view, &c->cursor, save_segment, c, done);
  }
  if (bc_keydir_view_error(c->view)) e = EIO; /* told when it happened */
  if (e) return e;
  return *done ? save_rest(c) : flush_behind(c);
}

/* One that somebody else has overtaken is dropped without a word. */
static int save(bc_checkpoint *c, uint64_t n, bool *done, bool *ours) {
  bitcask_buf tmp = {0}, path = {0};
  bool ignored;
  int e = ENOMEM;

  if (!bc_name_in(&tmp, c->bc->dir, BC_KEYDIR_NAME ".tmp") &&
      !bc_name_in(&path, c->bc->dir, BC_KEYDIR_NAME)) {
    e = save_some(c, (char *)tmp.data, n, done);
    if (!e && *done) e = end_file(c, (char *)tmp.data, (char *)path.data, ours);
    if (e && c->fd >= 0) (void)end_file(c, (char *)tmp.data, NULL, &ignored);
  }
  bitcask_buf_free(&tmp);
  bitcask_buf_free(&path);
  return e;
}

bool bc_checkpoint_step(bc_checkpoint *c, uint64_t n) {
  bitcask *bc = c->bc;
  bool done = false, ours = false;
  int e = save(c, n, &done, &ours);

  if (!e && !done) return true;
  if (e) bc_store_log(bc, "%s/%s was not written: %s", bc->dir, BC_KEYDIR_NAME, strerror(e));
  if (!e && ours) {
    pthread_rwlock_wrlock(&bc->lock); /* another writer may be asking whether one is due */
    (void)note_saved(bc, c->file, c->h.n_files); /* else it is written again sooner */
    pthread_rwlock_unlock(&bc->lock);
  }
  release(c);
  return false;
}

void bc_checkpoint_abandon(bc_checkpoint *c) {
  bitcask_buf tmp = {0};
  bool ignored;

  if (!c) return;
  if (c->fd >= 0 && !bc_store_is_child(c->bc) &&
      !bc_name_in(&tmp, c->bc->dir, BC_KEYDIR_NAME ".tmp")) {
    (void)end_file(c, (char *)tmp.data, NULL, &ignored);
  }
  bitcask_buf_free(&tmp);
  release(c);
}
