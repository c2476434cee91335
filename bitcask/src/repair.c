/* repair.c - see repair.h. */
#include "repair.h"

#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "err.h"
#include "hint.h"
#include "home.h"
#include "name.h"
#include "seal.h"

enum { COPY_SZ = 1 << 20 };

/* ------------------------------------------------------------- torn tails */

static int see_record(void *ctx, const bc_found *f) {
  (void)f;
  *(bool *)ctx = true;
  return BITCASK_ABORT;
}

/* A transaction that did not get to its end was acknowledged to nobody. */
static bool is_unfinished(bc_datafile *df, uint64_t at, uint64_t limit) {
  bc_reader r;
  bc_record rec;
  bc_marker m;
  const uint8_t *p;
  uint64_t n;
  bool yes;

  bc_reader_init(&r, df, limit);
  yes = !bc_reader_peek(&r, at, BC_MARKER_SZ, &p, &n, NULL) &&
        bc_record_decode(p, n, &rec) == BC_DECODE_OK && bc_is_marker_key(rec.key, rec.key_sz) &&
        bc_marker_decode(&rec, &m) && m.kind == BC_MARKER_OPEN;
  bc_reader_release(&r);
  return yes;
}

/* Is there anything in [from, to) worth keeping? */
static bool holds_records(bc_datafile *df, uint64_t from, uint64_t to) {
  bool any = false;
  bc_scan scan = {
      .from = from, .limit = to, .stable = BC_ALL_STABLE, .fn = see_record, .ctx = &any};
  if (is_unfinished(df, from, to)) return false;
  (void)bc_datafile_scan(df, &scan, NULL);
  return any;
}

/* A file without a single record that nobody of ours is known to have begun: whose it is, and
** what is in it, cannot be told. */
static bool is_strange(const bitcask *bc, const bc_datafile *df, uint64_t end) {
  bc_commit_point p;
  bc_position stable;
  uint64_t generation;

  if (end) return false;
  if (bc_state_read(&bc->state, &p, &generation) && p.active_id == df->id) return false;
  return !bc_state_stable(&bc->state, &stable) || stable.file_id != df->id;
}

static bool is_zero(bc_datafile *df, uint64_t from, uint64_t to) {
  bitcask_buf buf = {0};
  const uint8_t *p;
  uint64_t n;
  bool zero = true;

  for (; zero && from < to; from += n) {
    n = to - from < COPY_SZ ? to - from : COPY_SZ;
    zero = !bc_datafile_read(df, from, (size_t)n, &buf, &p, NULL);
    for (uint64_t i = 0; zero && i < n; i++) zero = !p[i];
  }
  bitcask_buf_free(&buf);
  return zero;
}

static bool is_worth_keeping(const bitcask *bc, bc_datafile *df, uint64_t from, uint64_t to) {
  return holds_records(df, from, to) || (is_strange(bc, df, from) && !is_zero(df, from, to));
}

/* Copy bytes to another file, where they begin at `out_at`. */
static int copy_range(bitcask *bc, bc_datafile *df, uint64_t from, uint64_t to, int out,
                      uint64_t out_at, bitcask_error *err) {
  bitcask_buf buf = {0};
  const uint8_t *p;
  uint64_t at, n;
  int rc = BITCASK_OK, e;

  for (at = from; at < to && !rc; at += n) {
    n = to - at < COPY_SZ ? to - at : COPY_SZ;
    rc = bc_datafile_read(df, at, (size_t)n, &buf, &p, err);
    if (rc) break;
    struct iovec iov = {(void *)(uintptr_t)p, (size_t)n};
    e = bc->env->pwritev(bc->env->ctx, out, &iov, 1, out_at + (at - from));
    if (e) rc = bc_err_os(err, e, "cannot copy from %s/%u.bitcask.data", bc->dir, df->id);
  }
  bitcask_buf_free(&buf);
  return rc;
}

int bc_side_name(const bitcask *bc, uint32_t id, const char *suffix, bitcask_buf *path) {
  bitcask_buf numbered = {0};
  bc_stat st;
  int rc = bc_name_data(path, bc->dir, id, suffix);

  for (unsigned i = 1; !rc && !bc->env->lstat(bc->env->ctx, (char *)path->data, &st); i++) {
    numbered.size = 0;
    rc = bc_buf_printf(&numbered, "%s.%u", suffix, i);
    if (!rc) rc = bc_name_data(path, bc->dir, id, (char *)numbered.data);
  }
  bitcask_buf_free(&numbered);
  return rc;
}

/* Keep bytes that are about to be cut in <id>.bitcask.data.cut-<offset>. */
static int save_tail(bitcask *bc, bc_datafile *df, uint64_t from, uint64_t to, bitcask_error *err) {
  bitcask_buf path = {0}, suffix = {0};
  int rc, e, fd = -1;

  if (bc_buf_printf(&suffix, ".cut-%llu", (unsigned long long)from) ||
      bc_side_name(bc, df->id, (char *)suffix.data, &path)) {
    rc = bc_err_nomem(err);
    goto out;
  }
  /* Never over what has the name, nor through a link. */
  e = bc->env->open(bc->env->ctx, (char *)path.data,
                    BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, &fd);
  if (e) {
    fd = -1;
    rc = bc_err_os(err, e, "cannot make %s", path.data);
    goto out;
  }
  rc = copy_range(bc, df, from, to, fd, 0, err);
  /* On the disk, name and all, before the only other copy is cut off. */
  e = rc ? 0 : bc->env->fdatasync(bc->env->ctx, fd);
  if (!rc && !e) e = bc->env->sync_dir(bc->env->ctx, bc->dir);
  if (e) rc = bc_err_os(err, e, "cannot sync %s", path.data);
  if (!rc) {
    bc_store_log(bc,
                 "%s/%u.bitcask.data: %llu bytes behind %llu, where the log ends after a crash, "
                 "moved to %s",
                 bc->dir, df->id, (unsigned long long)(to - from), (unsigned long long)from,
                 path.data);
  }
out:
  if (fd >= 0) bc->env->close(bc->env->ctx, fd);
  /* The next try takes another name; on a full disk there would be one more each time. */
  if (fd >= 0 && rc) (void)bc->env->unlink(bc->env->ctx, (char *)path.data);
  bitcask_buf_free(&path);
  bitcask_buf_free(&suffix);
  return rc;
}

/* Keep what is behind `end` if it may be of use to anybody. */
static int save_if_needed(bitcask *bc, bc_datafile *df, uint64_t end, uint64_t size,
                          bitcask_error *err) {
  bool hinted;
  int rc = bc_hint_exists(bc->env, bc->dir, df->id, &hinted, err);
  /* What is at the end of an output are copies; unless it has a hint, for then
  ** basho/bitcask may have added to both. */
  if (rc || (!hinted && bc_may_grow(&bc->outputs, df->id))) return rc;
  return is_worth_keeping(bc, df, end, size) ? save_tail(bc, df, end, size, err) : BITCASK_OK;
}

static int cut(bitcask *bc, bc_datafile *df, int fd, bitcask_error *err) {
  const bc_env *env = bc->env;
  uint64_t end = atomic_load_explicit(&df->size, memory_order_acquire), size;
  int rc, e = env->size(env->ctx, fd, &size);

  if (e) return bc_err_os(err, e, "cannot stat %s/%u.bitcask.data", bc->dir, df->id);
  if (size <= end) return BITCASK_OK;
  rc = save_if_needed(bc, df, end, size, err);
  if (rc) return rc;
  e = env->truncate(env->ctx, fd, end);
  if (e) return bc_err_os(err, e, "cannot cut the tail of %s/%u.bitcask.data", bc->dir, df->id);
  /* Or a power cut could bring the bytes back behind new records. */
  return bc_store_sync(bc, df, err);
}

int bc_cut_tail(bitcask *bc, bc_datafile *df, bitcask_error *err) {
  const bc_env *env = bc->env;
  bitcask_buf path = {0};
  int rc, e, fd;

  if (df->damaged) return BITCASK_OK;
  if (bc_name_data(&path, bc->dir, df->id, "")) return bc_err_nomem(err);
  e = env->open(env->ctx, (char *)path.data, BC_OPEN_WRITE, &fd);
  if (!e) {
    rc = cut(bc, df, fd, err);
    env->close(env->ctx, fd);
  } else { /* one that is not there has been merged meanwhile */
    rc = e == ENOENT ? BITCASK_OK : bc_err_os(err, e, "cannot open %s", path.data);
  }
  bitcask_buf_free(&path);
  return rc;
}

int bc_rewrite_unsynced(bitcask *bc, bitcask_error *err) {
  int rc = BITCASK_OK;
  for (size_t i = 0; i < bc->files->n && !rc; i++) {
    bc_datafile *df = bc->files->file[i];
    if (df->has_hint) continue; /* synced before its hint was written */
    rc = bc_datafile_reopen(df, bc->dir, BC_OPEN_WRITE, NULL, err);
    if (!rc) rc = copy_range(bc, df, 0, atomic_load(&df->size), df->fd, 0, err);
    if (!rc) rc = bc_store_sync(bc, df, err);
  }
  return rc;
}

/* ------------------------------------------------- marked and stranded files */

/* The keys that the marked files leave alive among themselves. */
typedef struct marked {
  bitcask *bc;
  bc_keydir *left;
  uint32_t id;
} marked;

static int note_marked(void *ctx, const bc_found *f) {
  marked *m = ctx;
  uint64_t hash = bc_hash(m->bc, f->record.key, f->record.key_sz);
  bc_place place = {f->offset, m->id, f->total_sz, f->record.tstamp}, old;
  bool had;
  if (bc_is_tombstone(f->record.value, f->record.value_sz)) {
    return bc_keydir_remove(m->left, hash, f->record.key, f->record.key_sz, &old, &had);
  }
  return bc_keydir_put(m->left, hash, f->record.key, f->record.key_sz, &place, &old, &had);
}

static int read_marked(marked *m, const bc_listing *l, bitcask_error *err) {
  bc_datafile *df;
  int rc = BITCASK_OK, e;
  for (size_t i = 0; i < l->n && !rc; i++) {
    if (!(l->file[i].mode & BC_DELETION_MARKS)) continue;
    m->id = l->file[i].id;
    rc = bc_datafile_open(m->bc->env, m->bc->dir, m->id, BC_OPEN_READ, m->bc->opt.mmap, &df, &e,
                          err);
    if (rc) break;
    bc_scan scan = {.limit = l->file[i].size, .stable = BC_ALL_STABLE, .fn = note_marked, .ctx = m};
    rc = bc_datafile_scan(df, &scan, err);
    bc_datafile_unref(df);
  }
  return rc;
}

/* Every key left alive there must be found in a file above. */
static bool is_superseded(const marked *m) {
  bc_keydir_view *v = bc_keydir_view_open(m->left);
  uint64_t cursor = 0;
  bool yes = v != NULL;
  bc_place place, now;
  const void *key;
  uint32_t key_sz;

  while (yes && bc_keydir_view_next(v, &cursor, &key, &key_sz, &place)) {
    yes = bc_keydir_get(m->bc->keydir, bc_hash(m->bc, key, key_sz), key, key_sz, &now) &&
          now.file_id > place.file_id;
  }
  if (v) bc_keydir_view_close(m->left, v);
  return yes;
}

static int remove_pair(bitcask *bc, uint32_t id, bitcask_buf *path) {
  int e = bc_name_hint(path, bc->dir, id, "") ? ENOMEM : 0;
  if (!e) e = bc->env->unlink(bc->env->ctx, (char *)path->data);
  if (e && e != ENOENT) return e;
  e = bc_name_data(path, bc->dir, id, "") ? ENOMEM : 0;
  return e ? e : bc->env->unlink(bc->env->ctx, (char *)path->data);
}

/* basho/bitcask deletes marked files unseen; here they have to prove that they
** are dead.  Oldest first, one directory sync each: a tombstone must not go
** before the value that it buries. */
static int remove_marked(bitcask *bc, const bc_listing *l, bitcask_error *err) {
  marked m = {.bc = bc, .left = bc_keydir_new(bc_keydir_seed(bc->keydir))};
  bitcask_buf path = {0};
  bool dead;
  int rc, e = 0;

  rc = m.left ? read_marked(&m, l, err) : bc_err_nomem(err);
  dead = !rc && is_superseded(&m);
  for (size_t i = 0; i < l->n && !rc && !e; i++) {
    if (!(l->file[i].mode & BC_DELETION_MARKS)) continue;
    if (!dead) {
      bc_store_log(bc,
                   "%s/%u.bitcask.data is marked as a dead merge input but holds keys that no "
                   "other file has; it is neither read nor removed",
                   bc->dir, l->file[i].id);
      continue;
    }
    e = remove_pair(bc, l->file[i].id, &path);
    if (!e) e = bc->env->sync_dir(bc->env->ctx, bc->dir);
  }
  if (e) rc = bc_err_os(err, e, "cannot remove a merge input in %s", bc->dir);
  bitcask_buf_free(&path);
  bc_keydir_free(m.left);
  return rc;
}

/* A file behind the end that a power cut gave the log: kept, under a name that
** nobody reads.  Without its hint, which does not fit and would block basho/bitcask. */
static int strand(bitcask *bc, uint32_t id, bitcask_error *err) {
  const bc_env *env = bc->env;
  bitcask_buf from = {0}, to = {0}, hint = {0};
  int rc = BITCASK_OK, e;
  if (bc_name_data(&from, bc->dir, id, "") || bc_side_name(bc, id, ".cut-0", &to) ||
      bc_name_hint(&hint, bc->dir, id, "")) {
    rc = bc_err_nomem(err);
  } else {
    (void)env->unlink(env->ctx, (char *)hint.data); /* there is none as a rule */
    e = env->rename(env->ctx, (char *)from.data, (char *)to.data);
    if (!e) e = env->sync_dir(env->ctx, bc->dir);
    if (e) rc = bc_err_os(err, e, "cannot rename %s", from.data);
  }
  bitcask_buf_free(&from);
  bitcask_buf_free(&to);
  bitcask_buf_free(&hint);
  return rc;
}

/* Highest first, each on the disk before the next: a second power cut must not
** leave one whose link to the file before it could not be checked any more. */
static int strand_all(bitcask *bc, const bc_listing *l, bitcask_error *err) {
  int rc = BITCASK_OK;
  for (size_t i = l->n; i-- > 0 && !rc;) {
    if ((l->file[i].mode & BC_DELETION_MARKS) || bc_fileset_find(bc->files, l->file[i].id))
      continue;
    rc = strand(bc, l->file[i].id, err);
  }
  return rc;
}

/* ------------------------------------------------------------------- all */

static int remove_temps(bitcask *bc, const bc_listing *l, bitcask_error *err) {
  bitcask_buf path = {0};
  int rc = BITCASK_OK;
  for (size_t i = 0; i < l->n_temps && !rc; i++) {
    if (bc_seal_is_at_work(bc, l->temps[i])) continue;
    if (bc_name_hint(&path, bc->dir, l->temps[i], ".tmp")) {
      rc = bc_err_nomem(err);
    } else {
      (void)bc->env->unlink(bc->env->ctx, (char *)path.data);
    }
  }
  bitcask_buf_free(&path);
  return rc;
}

bc_datafile *bc_continued(const bitcask *bc) {
  bc_datafile *last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  bc_commit_point p;
  bc_position stable;
  uint64_t generation;

  if (!last || last->foreign || last->has_hint || last->damaged) return NULL;
  if (bc_state_read(&bc->state, &p, &generation) && last->id < p.active_id) return NULL;
  /* All of it is taken for stable: what was added would never be synced. */
  if (bc_state_stable(&bc->state, &stable) && last->id < stable.file_id) return NULL;
  /* The same if it has lost its end: what was added in its place. */
  if (bc_state_stable(&bc->state, &stable) && last->id == stable.file_id &&
      atomic_load(&last->size) < stable.offset)
    return NULL;
  return last;
}

static int repair_others(bitcask *bc, const bc_listing *l, const bc_datafile *active,
                         bitcask_error *err) {
  bool any_marked = false, any_plain = false;
  int rc = strand_all(bc, l, err);

  if (!rc) rc = remove_temps(bc, l, err);
  for (size_t i = 0; i < l->n && !rc; i++) {
    bc_datafile *df = bc_fileset_find(bc->files, l->file[i].id);
    bool is_marked = (l->file[i].mode & BC_DELETION_MARKS) != 0;
    *(is_marked ? &any_marked : &any_plain) = true;
    if (rc || !df || df == active) continue;
    if (l->file[i].size > atomic_load(&df->size)) rc = bc_cut_tail(bc, df, err);
    if (!rc && !bc_seal_is_pending(bc, df->id)) rc = bc_seal(bc, df, err);
    bc_datafile_settle(df);
  }
  if (!rc && any_marked && any_plain) rc = remove_marked(bc, l, err);
  return rc;
}

/* One that does not fit these files must not fit what they become. */
static void remove_checkpoint(bitcask *bc) {
  bitcask_buf path = {0};
  if (!bc_name_in(&path, bc->dir, BC_KEYDIR_NAME)) {
    (void)bc->env->unlink(bc->env->ctx, (char *)path.data); /* may have gone */
    bc->checkpoint_unfit = false;
  }
  bitcask_buf_free(&path);
}

/* The highest file, if what follows its last record must be cut before there is another file:
** under that it would be damage, and put all that is older in doubt. */
static bc_datafile *newest_to_cut(const bitcask *bc) {
  bc_datafile *last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  if (!last || last->has_hint || last->damaged) return NULL;
  return bc_may_grow(&bc->outputs, last->id) ? NULL : last;
}

int bc_repair(bitcask *bc, bool alone, bitcask_error *err) {
  bc_datafile *active = bc_continued(bc), *newest = active ? active : newest_to_cut(bc);
  bitcask_error e = {0};
  bc_listing l;
  int rc = bc_home_check(bc, NULL, err); /* what is mended is to be of this directory */

  if (rc) return rc;
  if (bc->checkpoint_unfit) remove_checkpoint(bc);
  if (newest) rc = bc_cut_tail(bc, newest, err);
  if (!rc && alone) {
    rc = bc_listing_read(&l, bc->env, bc->dir, err);
    if (rc) return rc;
    if (repair_others(bc, &l, active, &e))
      bc_store_log(bc, "%s: repair put off: %s", bc->dir, e.text);
    bc_listing_release(&l);
  }
  bc->repairs_due = rc != BITCASK_OK;
  return rc;
}
