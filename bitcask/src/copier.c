/* copier.c - see copier.h. */
#include "copier.h"

#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "home.h"
#include "load.h"
#include "lock.h"
#include "name.h"
#include "repair.h"
#include "seal.h"
#include "writer.h"

enum {
  FLUSH_SZ = 1 << 20,
  PUBLISH_SLICE = 512,
  PROGRESS_EVERY = 1024,
  FETCH_SLOT = 16, /* moves ahead */
  FETCH_ENTRY = 8
};

static int progress(bc_copier *c) {
  if (c->progress && c->n_seen++ % PROGRESS_EVERY == 0 && c->progress(c->progress_ctx)) {
    return bc_err(c->err, BITCASK_INTERRUPT,
                  "the merge of %s was interrupted; what it had done stays", c->bc->dir);
  }
  return BITCASK_OK;
}

/* ------------------------------------------------------------------ output */

/* Outputs are on the disk up to here. */
static void note_synced(bc_copier *c, uint32_t id, uint64_t offset) {
  bc_state_set_outputs(&c->bc->state, &(bc_outputs){{id, offset}, c->last_out});
}

static int open_output(bc_copier *c) {
  bitcask *bc = c->bc;
  int rc = bc_home_check(bc, NULL, c->err), e;

  if (rc) return rc;
  /* Until its turn comes nobody is to miss its hint. */
  bc_state_add_unsealed(&bc->state, c->next_out);
  rc = bc_datafile_open(bc->env, bc->dir, c->next_out,
                        BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, bc->opt.mmap, &c->out,
                        &e, c->err);
  if (rc) return rc;
  bc_state_set_written(&bc->state, &(bc_position){c->next_out, 0});
  if (c->next_out < c->last_out) c->next_out++;
  c->out_size = 0;
  if (c->with_hints) {
    rc = bc_hint_writer_open(&c->hint, bc->env, bc->dir, c->out->id, c->err);
    c->has_hint_writer = !rc;
  }
  pthread_rwlock_wrlock(&bc->lock);
  if (!rc) rc = bc_store_add_file(bc, c->out, c->err);
  if (!rc) bc_datafile_ref(c->out);
  pthread_rwlock_unlock(&bc->lock);
  if (!rc) {
    c->result->n_outputs++;
    /* Its name must be on the disk before any input goes. */
    e = bc->env->sync_dir(bc->env->ctx, bc->dir);
    if (e) rc = bc_err_os(c->err, e, "cannot sync %s", bc->dir);
  }
  return rc;
}

/* A key that was written or deleted since stays where it is. */
static int publish_move(bc_copier *c, const bc_move *m, uint64_t base) {
  const uint8_t *p = c->buf.data + m->at, *key = p + BC_RECORD_HEADER_SZ;
  uint32_t key_sz = bc_get16(p + 8), tstamp = bc_get32(p + 4);
  uint32_t size = (uint32_t)bc_record_size(p);
  bitcask *bc = c->bc;
  bc_place now;

  bc_store_count(c->out, tstamp, m->tombstone ? size : 0);
  if (m->tombstone || !bc_keydir_get(bc->keydir, m->hash, key, key_sz, &now)) return BITCASK_OK;
  if (now.file_id != c->in->id || now.offset != m->from) return BITCASK_OK;
  return bc_store_move(bc, key, key_sz, &(bc_place){base + m->at, c->out->id, size, tstamp});
}

/* Make the copies in the buffer the newest places, in slices, so that nobody
** waits long for the lock. */
static int publish_moves(bc_copier *c, uint64_t base) {
  bitcask *bc = c->bc;
  size_t i = 0, end;
  int rc = BITCASK_OK;

  while (i < c->n_moves && !rc) {
    end = i + PUBLISH_SLICE < c->n_moves ? i + PUBLISH_SLICE : c->n_moves;
    pthread_rwlock_wrlock(&bc->lock);
    for (; i < end && !rc; i++) {
      if (i + FETCH_SLOT < end) {
        bc_keydir_prefetch_put_slot(bc->keydir, c->moves[i + FETCH_SLOT].hash);
        bc_keydir_prefetch_put_entry(bc->keydir, c->moves[i + FETCH_ENTRY].hash);
      }
      rc = publish_move(c, &c->moves[i], base);
    }
    pthread_rwlock_unlock(&bc->lock);
  }
  return rc ? bc_err_nomem(c->err) : BITCASK_OK;
}

/* Give up what is in the buffer.  The hint has entries for it: there will be none. */
static void drop_buffer(bc_copier *c, uint64_t base) {
  if (c->has_hint_writer) bc_hint_writer_abandon(&c->hint);
  c->has_hint_writer = false;
  c->out_size = base;
  c->buf.size = c->n_moves = 0;
}

/* Write the buffer out and publish what is in it. */
static int flush(bc_copier *c) {
  bitcask *bc = c->bc;
  struct iovec iov = {c->buf.data, c->buf.size};
  uint64_t base = c->out_size - c->buf.size;
  bool stale;
  int rc, e;

  if (!c->buf.size) return BITCASK_OK;
  pthread_rwlock_rdlock(&bc->lock); /* while a catch-up runs it is always set */
  stale = atomic_load(&bc->stale);
  pthread_rwlock_unlock(&bc->lock);
  if (stale) {
    drop_buffer(c, base);
    return bc_err(c->err, BITCASK_IOERR, "%s: a failed operation ended the merge", bc->dir);
  }
  e = bc->env->pwritev(bc->env->ctx, c->out->fd, &iov, 1, base);
  if (e) {
    /* Nothing points at what may be there of it. */
    (void)bc->env->truncate(bc->env->ctx, c->out->fd, base);
    rc = bc_err_os(c->err, e, "cannot append to %s/%u.bitcask.data", bc->dir, c->out->id);
    drop_buffer(c, base);
  } else {
    c->result->freed_bytes -= (int64_t)c->buf.size;
    atomic_store_explicit(&c->out->size, c->out_size, memory_order_release);
    bc_state_set_written(&bc->state, &(bc_position){c->out->id, c->out_size});
    rc = publish_moves(c, base);
  }
  c->buf.size = 0;
  c->n_moves = 0;
  return rc;
}

int bc_copier_sync_output(bc_copier *c) {
  int rc = bc_store_sync(c->bc, c->out, c->err);
  if (!rc) note_synced(c, c->out->id, atomic_load(&c->out->size));
  return rc;
}

int bc_copier_close_output(bc_copier *c) {
  bitcask *bc = c->bc;
  int rc, e;

  if (!c->out) return BITCASK_OK;
  rc = flush(c);
  if (!rc) rc = bc_store_sync(bc, c->out, c->err);
  if (c->has_hint_writer) {
    if (rc) {
      bc_hint_writer_abandon(&c->hint);
    } else {
      rc = bc_hint_writer_finish(&c->hint, c->err);
      e = rc ? 0 : bc->env->sync_dir(bc->env->ctx, bc->dir);
      if (e) rc = bc_err_os(c->err, e, "cannot sync %s", bc->dir);
      if (!rc) c->out->has_hint = true;
    }
  }
  if (!rc) {
    note_synced(c, c->out->id + 1, 0);
    bc_store_note_length(bc, c->out);
  }
  c->has_hint_writer = false;
  bc_datafile_settle(c->out);
  bc_datafile_unref(c->out);
  c->out = NULL;
  return rc;
}

static int add_move(bc_copier *c, uint64_t hash, uint64_t from, bool tombstone) {
  void *p;
  if (c->n_moves == c->cap_moves) {
    c->cap_moves = c->cap_moves ? 2 * c->cap_moves : 1024;
    p = realloc(c->moves, c->cap_moves * sizeof *c->moves);
    if (!p) return BITCASK_NOMEM;
    c->moves = p;
  }
  c->moves[c->n_moves++] = (bc_move){hash, from, (uint32_t)c->buf.size, tombstone};
  return BITCASK_OK;
}

/* Append a record to the output. */
static int copy_record(bc_copier *c, uint64_t hash, const bc_found *f, bool tombstone) {
  uint8_t value[BC_TOMBSTONE_SZ];
  const void *v = tombstone ? value : f->record.value;
  uint32_t v_sz = tombstone ? BC_TOMBSTONE_SZ : f->record.value_sz;
  uint32_t total = BC_RECORD_HEADER_SZ + f->record.key_sz + v_sz;
  bc_hint_entry e = {f->record.key, 0, f->record.key_sz, total, f->record.tstamp, tombstone};
  int rc = BITCASK_OK;

  if (c->out && c->out_size && c->out_size + total > c->bc->opt.max_file_size &&
      c->out->id != c->last_out) {
    rc = bc_copier_close_output(c);
  }
  if (!rc && !c->out) rc = open_output(c);
  if (rc) return rc;
  if (tombstone) bc_tombstone_encode(value, c->out->id);
  if (bc_buf_reserve(&c->buf, total) || add_move(c, hash, f->offset, tombstone)) {
    return bc_err_nomem(c->err);
  }
  bc_record_encode(c->buf.data + c->buf.size, f->record.tstamp, f->record.key, f->record.key_sz, v,
                   v_sz);
  c->buf.size += total;
  e.offset = c->out_size;
  c->out_size += total;
  if (c->has_hint_writer) rc = bc_hint_writer_add(&c->hint, &e, c->err);
  if (!rc && c->buf.size >= FLUSH_SZ) rc = flush(c);
  return rc;
}

/* ------------------------------------------------------------------- input */

static bool points_into_input_locked(const bc_copier *c, uint64_t hash, const void *key,
                                     uint32_t key_sz, bc_place *out) {
  return bc_keydir_get(c->bc->keydir, hash, key, key_sz, out) && out->file_id == c->in->id;
}

static bool is_there(const bc_copier *c, uint64_t hash, const void *key, uint32_t key_sz,
                     bc_place *out) {
  bool yes;
  pthread_rwlock_rdlock(&c->bc->lock);
  yes = bc_keydir_get(c->bc->keydir, hash, key, key_sz, out);
  pthread_rwlock_unlock(&c->bc->lock);
  return yes;
}

/* A key that points into the input and is not copied: expired, or unreadable.  It
** goes, and so that no older value below comes back, a tombstone stands in. */
static int drop_key(bc_copier *c, uint64_t hash, const void *key, uint32_t key_sz) {
  bitcask *bc = c->bc;
  bc_found f = {.record = {.key = key, .key_sz = key_sz}};
  bc_place now;
  int rc = BITCASK_OK;

  if (!is_there(c, hash, key, key_sz, &now) || now.file_id != c->in->id) return BITCASK_OK;
  if (now.tstamp >= c->cutoff) c->damaged = true;
  f.record.tstamp = now.tstamp;
  if (c->keep_tombstones) rc = copy_record(c, hash, &f, true);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  if (points_into_input_locked(c, hash, key, key_sz, &now) && bc_store_remove(bc, key, key_sz)) {
    rc = bc_err_nomem(c->err);
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

static int judge(bc_copier *c, const bc_candidate *k) {
  const bc_record *r = &k->found.record;

  if (bc_is_tombstone(r->value, r->value_sz)) {
    /* A key that is there again buries the older records itself, and is on the
    ** disk before this input goes. */
    return c->keep_tombstones && !k->there ? copy_record(c, k->hash, &k->found, true) : BITCASK_OK;
  }
  if (!k->there || k->place.file_id != c->in->id || k->place.offset != k->found.offset)
    return BITCASK_OK;
  if (k->place.tstamp < c->cutoff) return drop_key(c, k->hash, r->key, r->key_sz);
  return copy_record(c, k->hash, &k->found, false);
}

/* In the keydir as it is: a view would have each segment that a copy changes copied. */
static void look_up_all(bc_copier *c) {
  const bc_keydir *kd;

  pthread_rwlock_rdlock(&c->bc->lock);
  kd = c->bc->keydir;
  for (unsigned i = 0; i < c->n_ahead; i++) bc_keydir_prefetch_put_slot(kd, c->ahead[i].hash);
  for (unsigned i = 0; i < c->n_ahead; i++) bc_keydir_prefetch_put_entry(kd, c->ahead[i].hash);
  for (unsigned i = 0; i < c->n_ahead; i++) {
    bc_candidate *k = &c->ahead[i];
    k->there = bc_keydir_get(kd, k->hash, k->found.record.key, k->found.record.key_sz, &k->place);
  }
  pthread_rwlock_unlock(&c->bc->lock);
}

static int judge_all(bc_copier *c) {
  int rc = BITCASK_OK;

  look_up_all(c);
  for (unsigned i = 0; i < c->n_ahead && !rc; i++) rc = judge(c, &c->ahead[i]);
  c->n_ahead = 0;
  return rc;
}

static int see(void *ctx, const bc_found *f) {
  bc_copier *c = ctx;
  int rc;

  if (f->offset >= c->stop_at) {
    c->stopped = true;
    c->stop_at = f->offset;
    return BITCASK_ABORT;
  }
  rc = progress(c);
  if (rc || f->marker) return rc;
  c->ahead[c->n_ahead++] =
      (bc_candidate){.hash = bc_hash(c->bc, f->record.key, f->record.key_sz), .found = *f};
  /* Without a mapping the bytes are there for this moment only. */
  return c->n_ahead < BC_COPIER_AHEAD && bc_datafile_is_mapped(c->in, c->in_size) ? BITCASK_OK
                                                                                  : judge_all(c);
}

static int see_damage(void *ctx, uint64_t offset, uint64_t n) {
  bc_copier *c = ctx;
  c->damaged = true;
  bc_store_log(c->bc, "%s/%u.bitcask.data: %llu damaged bytes at %llu cannot be merged", c->bc->dir,
               c->in->id, (unsigned long long)n, (unsigned long long)offset);
  return BITCASK_OK;
}

/* The hint of a damaged file still knows the deletions in it. */
static int see_hinted(void *ctx, const bc_hint_entry *e) {
  bc_copier *c = ctx;
  bc_found f = {.record = {.key = e->key, .key_sz = e->key_sz, .tstamp = e->tstamp}};
  uint64_t hash = bc_hash(c->bc, e->key, e->key_sz);
  bc_place p;

  if (!e->tombstone || bc_is_marker_key(e->key, e->key_sz) || !c->keep_tombstones)
    return BITCASK_OK;
  if (is_there(c, hash, e->key, e->key_sz, &p)) return BITCASK_OK;
  return copy_record(c, hash, &f, true);
}

/* Must tombstones of file `id` be kept?  A key that is not in the keydir can
** have records only among the dead ones: so yes if a file below that stays has
** any.  The inputs below have gone already. */
static bool has_dead_below(const bitcask *bc, uint32_t id) {
  const bc_fileset *fs = bc->files;
  for (size_t i = 0; i < fs->n && fs->file[i]->id < id; i++) {
    if (fs->file[i]->damaged || fs->file[i]->live_bytes < atomic_load(&fs->file[i]->size))
      return true;
  }
  return false;
}

int bc_copier_drop_leftovers(bc_copier *c) {
  bitcask *bc = c->bc;
  bc_keydir_view *view = NULL;
  uint64_t cursor = 0;
  const void *key;
  uint32_t key_sz;
  bc_place p;
  bool any;
  int rc = BITCASK_OK;

  pthread_rwlock_wrlock(&bc->lock);
  any = c->in->live_keys != 0;
  if (any) view = bc_keydir_view_open(bc->keydir);
  pthread_rwlock_unlock(&bc->lock);
  if (!any) return BITCASK_OK;
  if (!view) return bc_err_nomem(c->err);
  while (!rc && bc_keydir_view_next(view, &cursor, &key, &key_sz, &p)) {
    if (p.file_id == c->in->id) rc = drop_key(c, bc_hash(bc, key, key_sz), key, key_sz);
  }
  pthread_rwlock_wrlock(&bc->lock);
  bc_keydir_view_close(bc->keydir, view);
  pthread_rwlock_unlock(&bc->lock);
  return !rc && c->out ? flush(c) : rc;
}

/* *gone: the data file has no such name any more. */
static int unlink_input(bc_copier *c, const char *dir, uint32_t id, bool *gone) {
  const bc_env *env = c->bc->env;
  bitcask_buf from = {0}, to = {0};
  int rc = BITCASK_OK, e = 0;

  *gone = false;
  /* The hint first: a hint without its data file would block basho/bitcask. */
  if (bc_name_hint(&from, dir, id, "")) {
    rc = bc_err_nomem(c->err);
  } else {
    e = env->unlink(env->ctx, (char *)from.data);
    if (!e) c->in->has_hint = false;
    if (e == ENOENT) e = 0;
  }
  if (!rc && !e) {
    if (bc_name_data(&from, dir, id, "") || bc_side_name(c->bc, id, ".damaged", &to)) {
      rc = bc_err_nomem(c->err);
    } else {
      e = c->damaged ? env->rename(env->ctx, (char *)from.data, (char *)to.data)
                     : env->unlink(env->ctx, (char *)from.data);
      *gone = !e;
    }
  }
  if (!rc && !e) e = env->sync_dir(env->ctx, dir);
  if (e) rc = bc_err_os(c->err, e, "cannot remove %s", from.data);
  bitcask_buf_free(&from);
  bitcask_buf_free(&to);
  return rc;
}

/* With `lock`: a step that other processes must notice, and this one need not. */
static void count_step(bitcask *bc) {
  bc_state_count_merge(&bc->state);
  atomic_store(&bc->merges, bc_state_merges(&bc->state));
}

/* With `lock`: it could not be removed, and is a file of dead records now. */
static void keep_input(bc_copier *c) {
  bc_datafile_ref(c->in);
  if (!bc_store_add_file(c->bc, c->in, NULL)) return;
  bc_datafile_unref(c->in);
  atomic_store(&c->bc->stale, true); /* load it again */
}

int bc_copier_retire(bc_copier *c) {
  bitcask *bc = c->bc;
  uint32_t id = c->in->id;
  bool gone = true;
  int rc;

  /* What could not be looked up may be live. */
  pthread_rwlock_rdlock(&bc->lock);
  rc = bc_keydir_error(bc->keydir) ? bc_store_lost_keydir(bc, c->err) : BITCASK_OK;
  pthread_rwlock_unlock(&bc->lock);
  if (rc) return rc;
  rc = c->out ? bc_copier_sync_output(c) : BITCASK_OK;
  /* The log's newest records must outlive the older ones that are going. */
  if (!rc) rc = bc_sync_unstable(bc, c->err);
  /* Nothing is removed from another directory. */
  if (!rc) rc = bc_home_check(bc, NULL, c->err);
  if (rc) return rc;
  bc_seal_forget(bc, id);
  pthread_rwlock_wrlock(&bc->lock);
  count_step(bc); /* other processes: look, and move your keys */
  rc = bc_store_drop_file(bc, id, c->err);
  bc->is_removing = true;
  bc->removing = id;
  pthread_rwlock_unlock(&bc->lock);
  if (!rc) rc = unlink_input(c, bc->dir, id, &gone);
  pthread_rwlock_wrlock(&bc->lock);
  if (!gone) keep_input(c);
  count_step(bc); /* ... and let go of your mappings of it, or look what is there */
  bc->is_removing = false;
  pthread_rwlock_unlock(&bc->lock);
  if (rc) return rc;
  c->result->n_inputs++;
  c->result->n_damaged += c->damaged;
  if (!c->damaged) c->result->freed_bytes += (int64_t)atomic_load(&c->in->size);
  return BITCASK_OK;
}

/* ------------------------------------------------------------- begin, end */

void bc_copier_begin(bc_copier *c) {
  bitcask *bc = c->bc;
  pthread_rwlock_wrlock(&bc->lock);
  bc->first_out = c->first_out;
  bc->last_out = c->last_out;
  pthread_rwlock_unlock(&bc->lock);
}

void bc_copier_end(bc_copier *c) {
  bitcask *bc = c->bc;
  pthread_rwlock_wrlock(&bc->lock);
  bc->first_out = 1;
  bc->last_out = 0;
  pthread_rwlock_unlock(&bc->lock);
  bitcask_buf_free(&c->buf);
  free(c->moves);
  c->moves = NULL;
}

void bc_copier_open(bc_copier *c, bc_datafile *in) {
  bitcask *bc = c->bc;

  c->in = in;
  c->in_size = atomic_load(&in->size);
  c->damaged = in->damaged;
  pthread_rwlock_rdlock(&bc->lock);
  c->keep_tombstones = has_dead_below(bc, in->id);
  pthread_rwlock_unlock(&bc->lock);
}

void bc_copier_close(bc_copier *c) {
  bc_datafile_unref(c->in);
  c->in = NULL;
}

int bc_copier_copy(bc_copier *c, uint64_t from, uint64_t stop_at, uint64_t *at) {
  bc_scan scan = {.from = from,
                  .limit = c->in_size,
                  .stable = BC_ALL_STABLE,
                  .singly = true,
                  .fn = see,
                  .skipped = see_damage,
                  .ctx = c};
  int rc;

  c->stop_at = stop_at;
  c->stopped = false;
  c->n_ahead = 0;
  rc = bc_datafile_scan(c->in, &scan, c->err);
  if (c->stopped) rc = BITCASK_OK;
  if (!rc) rc = judge_all(c);
  if (!rc && !c->stopped && scan.end < c->in_size) c->damaged = true;
  *at = c->stopped ? c->stop_at : c->in_size;
  if (!rc && !c->stopped && c->damaged && c->in->has_hint) {
    rc = bc_hint_load(c->bc->env, c->bc->dir, c->in->id, c->in_size, see_hinted, c, c->err);
    if (rc == BITCASK_NOTFOUND || rc == BITCASK_CORRUPT) rc = BITCASK_OK;
  }
  if (rc && c->out) (void)flush(c);
  return !rc && c->out ? flush(c) : rc;
}

/* All of the log is synced, and the outputs come below its new end.  That must be
** known on the disk before the first of them is: by an older position a torn
** output would be taken for the torn end of the log, and what is above it cut.  So
** must it be that they are outputs: else a torn one would be taken for damage. */
static int pin_stable(bc_copier *c, uint32_t active_id) {
  note_synced(c, c->next_out, 0);
  bc_state_set_stable(&c->bc->state, &(bc_position){active_id, 0});
  return bc_store_sync_state(c->bc, c->err);
}

static bool is_unfinished(const bc_datafile *df, const bc_outputs *o) {
  return bc_may_grow(o, df->id) && !df->has_hint;
}

int bc_copier_finish_others(bc_copier *c) {
  bitcask *bc = c->bc;
  bool any = false;
  bc_fileset *files;
  bc_outputs o;
  int rc;

  if (!bc_state_outputs(&bc->state, &o)) return BITCASK_OK;
  pthread_rwlock_wrlock(&bc->lock);
  /* Who made them may have failed, or died, and counted no step: nobody else has had
  ** a reason to look.  But what holds copies of dead records must be known, or a
  ** tombstone seems to bury nothing. */
  rc = bc_catch_up(bc, BC_TO_END, c->err);
  for (size_t i = 0; i < bc->files->n; i++) any |= is_unfinished(bc->files->file[i], &o);
  if (!rc && any) rc = bc_repair(bc, true, c->err);
  files = bc_fileset_ref(bc->files);
  pthread_rwlock_unlock(&bc->lock);
  /* After this nobody knows any more that they were outputs, so a repair that was put off would
  ** not be made up for; they lie below the stable position, and what they hold copies of may be an
  ** input. */
  for (size_t i = 0; i < files->n && !rc; i++) {
    if (!is_unfinished(files->file[i], &o)) continue;
    rc = bc_cut_tail(bc, files->file[i], c->err);
    if (!rc) rc = bc_store_sync(bc, files->file[i], c->err);
  }
  bc_fileset_unref(files);
  return rc;
}

int bc_copier_reserve(bc_copier *c, const bitcask_file_stat *f, size_t n_files) {
  bitcask *bc = c->bc;
  bc_commit_point p = bc_point(bc);
  uint64_t live = 0, n, base = p.active_id > bc->max_id ? p.active_id : bc->max_id;
  int rc;

  for (size_t i = 0; i < n_files; i++) live += f[i].total_bytes;
  /* Each output but the last is more than half full, or holds one record. */
  n = 2 * (live / bc->opt.max_file_size) + 1;
  if (n > live / BC_RECORD_HEADER_SZ + 1) n = live / BC_RECORD_HEADER_SZ + 1;
  if (n > 100000) n = 100000; /* the last one then takes what is left */
  if (base + n + 1 > BC_MAX_FILE_ID) {
    return bc_err(c->err, BITCASK_FULL, "%s: file ids are used up", bc->dir);
  }
  c->first_out = c->next_out = (uint32_t)base + 1;
  c->last_out = (uint32_t)(base + n);
  bc_copier_begin(c);
  rc = bc_rotate(bc, c->last_out + 1, c->err);
  return rc ? rc : pin_stable(c, c->last_out + 1);
}
