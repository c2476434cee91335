/*
** merge.c - copying what is live out of immutable files, and removing them.
**
** Outputs get ids between the inputs and the active file, reserved when the
** merge begins and the active file is sealed.  So position order stays true at
** every moment: a copy is above what it copies and below everything written
** since.  Nothing but the keydir decides what is live, by exact position.
**
** One input at a time, oldest first:
**   copy survivors            a crash leaves copies that lose to nothing
**   sync the output           a power cut keeps the copies from here on
**   sync the log              ... and the newer records that made the rest dead
**   unlink hint, data; sync   only now, and before the next: a tombstone must
**     the directory           not go before the value that it buries
*/
#include "merge.h"

#include <errno.h>
#include <stdlib.h>

#include "buf.h"
#include "bytes.h"
#include "checkpoint.h"
#include "err.h"
#include "hint.h"
#include "load.h"
#include "lock.h"
#include "name.h"
#include "writer.h"

enum { FLUSH_SZ = 1 << 20, PUBLISH_SLICE = 512, PROGRESS_EVERY = 1024 };

/* ------------------------------------------------------------------ policy */

void bc_file_stat(const bc_datafile *df, uint32_t active_id, bitcask_file_stat *out) {
  uint64_t values = df->n_records - df->n_tombstones;
  *out = (bitcask_file_stat){.file_id = df->id,
                             .state =
                                 df->id == active_id ? BITCASK_FILE_ACTIVE : BITCASK_FILE_IMMUTABLE,
                             .has_hint = df->has_hint,
                             .damaged = df->damaged,
                             .total_bytes = atomic_load(&df->size),
                             .live_bytes = df->live_bytes,
                             .tombstone_bytes = df->tombstone_bytes,
                             .total_keys = values,
                             .live_keys = df->live_keys,
                             .tombstones = df->n_tombstones,
                             .oldest_tstamp = df->oldest_tstamp,
                             .newest_tstamp = df->newest_tstamp};
  out->dead_bytes = out->total_bytes - out->live_bytes;
  /* Damaged records that keys point at are live, and no records. */
  if (values < df->live_keys) values = df->live_keys;
  /* basho/bitcask's arithmetic, in doubles: 9 of 10 live are 9 per cent. */
  out->fragmented = (unsigned)((1 - (values ? (double)df->live_keys / (double)values : 0)) * 100);
}

/* What a merge would surely get rid of.  A tombstone may still be needed while
** there are files below; taken for dead it would be merged again and again. */
static uint64_t removable_bytes(const bitcask_file_stat *f) {
  return f->dead_bytes - f->tombstone_bytes;
}

/* A file of tombstones alone is no reason for a merge unless it is the lowest. */
static bool is_waste(const bitcask_file_stat *f, bool lowest) {
  return !f->live_keys && (f->total_keys || !f->tombstones || lowest);
}

static bool has_expired(const bitcask_options *o, int64_t now, int64_t grace,
                        const bitcask_file_stat *f) {
  int64_t cutoff = now - (int64_t)o->expiry_secs - grace;
  return o->expiry_secs && f->oldest_tstamp > 0 && cutoff > 0 && f->newest_tstamp < cutoff;
}

bool bc_policy_triggers(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                        size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (f[i].state == BITCASK_FILE_ACTIVE) continue;
    if (is_waste(&f[i], i == 0)) return true;
    if (f[i].total_keys && f[i].fragmented >= o->frag_merge_trigger) return true;
    if (removable_bytes(&f[i]) >= o->dead_bytes_merge_trigger) return true;
    if (has_expired(o, now, o->expiry_grace_time, &f[i])) return true;
  }
  return false;
}

bool bc_policy_takes(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                     bool lowest) {
  if (f->state == BITCASK_FILE_ACTIVE) return false;
  return is_waste(f, lowest) || (f->total_keys && f->fragmented >= o->frag_threshold) ||
         removable_bytes(f) >= o->dead_bytes_threshold ||
         f->total_bytes < o->small_file_threshold || has_expired(o, now, 0, f);
}

static bool contains_id(const bitcask_merge_options *o, uint32_t id) {
  for (size_t i = 0; i < o->n_file_ids; i++) {
    if (o->file_ids[i] == id) return true;
  }
  return false;
}

/* Is a file small enough that several of them should be one? */
static bool is_small(const bitcask_options *o, const bitcask_file_stat *f) {
  return f->live_bytes < o->small_file_threshold && f->live_bytes < o->max_file_size / 2;
}

/* Drop from the list what a full merge need not touch: files without anything
** dead, unless there are two or more that could be one. */
static size_t select_all(const bitcask_options *o, uint32_t cutoff, bitcask_file_stat *f,
                         size_t n) {
  size_t n_small = 0, kept = 0, i;
  for (i = 0; i < n; i++) n_small += is_small(o, &f[i]);
  for (i = 0; i < n; i++) {
    if (f[i].dead_bytes || !f[i].live_keys || f[i].damaged || f[i].oldest_tstamp < cutoff ||
        (n_small > 1 && is_small(o, &f[i]))) {
      f[kept++] = f[i];
    }
  }
  return kept;
}

/* The files to merge.  With `lock`. */
static int choose(bitcask *bc, const bitcask_merge_options *o, uint32_t active_id,
                  bitcask_file_stat **out, size_t *n, bitcask_error *err) {
  int64_t now = bc->env->now(bc->env->ctx);
  bitcask_file_stat *f = malloc((bc->files->n + 1) * sizeof *f);
  size_t i, kept = 0;

  *out = f;
  *n = 0;
  if (!f) return bc_err_nomem(err);
  for (i = 0; i < bc->files->n; i++) bc_file_stat(bc->files->file[i], active_id, &f[i]);
  if (o->kind == BITCASK_MERGE_ALL) {
    *n = select_all(&bc->opt, bc_store_cutoff(bc), f, bc->files->n);
    return BITCASK_OK;
  }
  if (o->kind == BITCASK_MERGE_POLICY && !bc_policy_triggers(&bc->opt, now, f, bc->files->n)) {
    return BITCASK_OK;
  }
  for (i = 0; i < bc->files->n; i++) {
    if (o->kind == BITCASK_MERGE_POLICY
            ? bc_policy_takes(&bc->opt, now, &f[i], i == 0)
            : f[i].file_id != active_id && contains_id(o, f[i].file_id)) {
      f[kept++] = f[i];
    }
  }
  *n = kept;
  return BITCASK_OK;
}

/* --------------------------------------------------------------- the merge */

/* A copied record, still to be made the newest place of its key. */
typedef struct move {
  uint64_t from;  /* offset in the input */
  uint32_t at;    /* offset of the copy in the buffer */
  bool tombstone; /* nothing to move */
} move;

typedef struct merger {
  bitcask *bc;
  const bitcask_merge_options *o;
  bitcask_merge_result *result;
  bitcask_error *err;
  bitcask_file_stat *input;
  size_t n_inputs;
  uint32_t next_out, last_out; /* ids reserved for outputs */
  uint64_t n_seen;             /* records, for progress */
  uint32_t cutoff;

  bc_datafile *in;
  bc_keydir *keydir; /* that `view` belongs to */
  bc_keydir_view *view;
  bool keep_tombstones; /* of this input: a file below may hold what they bury */
  bool damaged;

  bc_datafile *out;
  bc_hint_writer hint;
  bool has_hint_writer;
  uint64_t out_size; /* written and buffered */
  bitcask_buf buf;
  move *moves;
  size_t n_moves, cap_moves;
} merger;

static int progress(merger *m) {
  if (m->o->progress && m->n_seen++ % PROGRESS_EVERY == 0 && m->o->progress(m->o->progress_ctx)) {
    return bc_err(m->err, BITCASK_INTERRUPT,
                  "the merge of %s was interrupted; what it had done stays", m->bc->dir);
  }
  return BITCASK_OK;
}

/* ------------------------------------------------------------------ output */

static int open_output(merger *m) {
  bitcask *bc = m->bc;
  int rc, e;

  rc = bc_datafile_open(bc->env, bc->dir, m->next_out,
                        BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, bc->opt.mmap, &m->out,
                        &e, m->err);
  if (rc) return rc;
  if (m->next_out < m->last_out) m->next_out++;
  m->out_size = 0;
  rc = bc_hint_writer_open(&m->hint, bc->env, bc->dir, m->out->id, m->err);
  m->has_hint_writer = !rc;
  pthread_rwlock_wrlock(&bc->lock);
  if (!rc) rc = bc_store_add_file(bc, m->out, m->err);
  if (!rc) bc_datafile_ref(m->out);
  pthread_rwlock_unlock(&bc->lock);
  if (!rc) {
    m->result->n_outputs++;
    /* Its name must be on the disk before any input goes. */
    e = bc->env->sync_dir(bc->env->ctx, bc->dir);
    if (e) rc = bc_err_os(m->err, e, "cannot sync %s", bc->dir);
  }
  return rc;
}

/* Make the copies in the buffer the newest places, in slices, so that nobody
** waits long for the lock.  A key that was written or deleted since stays. */
static int publish_moves(merger *m, uint64_t base) {
  bitcask *bc = m->bc;
  size_t i = 0, end;
  bc_place now, place;
  int rc = BITCASK_OK;

  while (i < m->n_moves && !rc) {
    end = i + PUBLISH_SLICE < m->n_moves ? i + PUBLISH_SLICE : m->n_moves;
    pthread_rwlock_wrlock(&bc->lock);
    for (; i < end && !rc; i++) {
      const uint8_t *p = m->buf.data + m->moves[i].at, *key = p + BC_RECORD_HEADER_SZ;
      uint32_t key_sz = bc_get16(p + 8);
      bc_store_count(m->out, bc_get32(p + 4),
                     m->moves[i].tombstone ? (uint32_t)bc_record_size(p) : 0);
      if (m->moves[i].tombstone) continue;
      place = (bc_place){base + m->moves[i].at, m->out->id, (uint32_t)bc_record_size(p),
                         bc_get32(p + 4)};
      if (!bc_keydir_get(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, &now)) continue;
      if (now.file_id != m->in->id || now.offset != m->moves[i].from) continue;
      if (bc_store_move(bc, key, key_sz, &place)) rc = bc_err_nomem(m->err);
    }
    pthread_rwlock_unlock(&bc->lock);
  }
  return rc;
}

/* Give up what is in the buffer.  The hint has entries for it: there will be none. */
static void drop_buffer(merger *m, uint64_t base) {
  if (m->has_hint_writer) bc_hint_writer_abandon(&m->hint);
  m->has_hint_writer = false;
  m->out_size = base;
  m->buf.size = m->n_moves = 0;
}

/* Write the buffer out and publish what is in it. */
static int flush(merger *m) {
  bitcask *bc = m->bc;
  struct iovec iov = {m->buf.data, m->buf.size};
  uint64_t base = m->out_size - m->buf.size;
  bool stale;
  int rc, e;

  if (!m->buf.size) return BITCASK_OK;
  pthread_rwlock_rdlock(&bc->lock); /* while a catch-up runs it is always set */
  stale = atomic_load(&bc->stale);
  pthread_rwlock_unlock(&bc->lock);
  if (stale) {
    drop_buffer(m, base);
    return bc_err(m->err, BITCASK_IOERR, "%s: a failed operation ended the merge", bc->dir);
  }
  e = bc->env->pwritev(bc->env->ctx, m->out->fd, &iov, 1, base);
  if (e) {
    /* Nothing points at what may be there of it. */
    (void)bc->env->truncate(bc->env->ctx, m->out->fd, base);
    rc = bc_err_os(m->err, e, "cannot append to %s/%u.bitcask.data", bc->dir, m->out->id);
    drop_buffer(m, base);
  } else {
    m->result->freed_bytes -= (int64_t)m->buf.size;
    atomic_store_explicit(&m->out->size, m->out_size, memory_order_release);
    rc = publish_moves(m, base);
  }
  m->buf.size = 0;
  m->n_moves = 0;
  return rc;
}

/* End an output: on the disk, with its hint. */
static int close_output(merger *m) {
  bitcask *bc = m->bc;
  int rc, e;

  if (!m->out) return BITCASK_OK;
  rc = flush(m);
  if (!rc) rc = bc_store_sync(bc, m->out, m->err);
  if (m->has_hint_writer) {
    if (rc) {
      bc_hint_writer_abandon(&m->hint);
    } else {
      rc = bc_hint_writer_finish(&m->hint, m->err);
      e = rc ? 0 : bc->env->sync_dir(bc->env->ctx, bc->dir);
      if (e) rc = bc_err_os(m->err, e, "cannot sync %s", bc->dir);
      if (!rc) m->out->has_hint = true;
    }
  }
  m->has_hint_writer = false;
  bc_datafile_settle(m->out);
  bc_datafile_unref(m->out);
  m->out = NULL;
  return rc;
}

static int add_move(merger *m, uint64_t from, uint32_t at, bool tombstone) {
  void *p;
  if (m->n_moves == m->cap_moves) {
    m->cap_moves = m->cap_moves ? 2 * m->cap_moves : 1024;
    p = realloc(m->moves, m->cap_moves * sizeof *m->moves);
    if (!p) return BITCASK_NOMEM;
    m->moves = p;
  }
  m->moves[m->n_moves++] = (move){from, at, tombstone};
  return BITCASK_OK;
}

/* Append a record to the output. */
static int copy_record(merger *m, const bc_found *f, bool tombstone) {
  uint8_t value[BC_TOMBSTONE_SZ];
  const void *v = tombstone ? value : f->record.value;
  uint32_t v_sz = tombstone ? BC_TOMBSTONE_SZ : f->record.value_sz;
  uint32_t total = BC_RECORD_HEADER_SZ + f->record.key_sz + v_sz;
  bc_hint_entry e = {f->record.key, 0, f->record.key_sz, total, f->record.tstamp, tombstone};
  int rc = BITCASK_OK;

  if (m->out && m->out_size && m->out_size + total > m->bc->opt.max_file_size &&
      m->out->id != m->last_out) {
    rc = close_output(m);
  }
  if (!rc && !m->out) rc = open_output(m);
  if (rc) return rc;
  if (tombstone) bc_tombstone_encode(value, m->out->id);
  if (bc_buf_reserve(&m->buf, total) || add_move(m, f->offset, (uint32_t)m->buf.size, tombstone)) {
    return bc_err_nomem(m->err);
  }
  bc_record_encode(m->buf.data + m->buf.size, f->record.tstamp, f->record.key, f->record.key_sz, v,
                   v_sz);
  m->buf.size += total;
  e.offset = m->out_size;
  m->out_size += total;
  if (m->has_hint_writer) rc = bc_hint_writer_add(&m->hint, &e, m->err);
  if (!rc && m->buf.size >= FLUSH_SZ) rc = flush(m);
  return rc;
}

/* ------------------------------------------------------------------- input */

static int see(void *ctx, const bc_found *f) {
  merger *m = ctx;
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(m->keydir), f->record.key, f->record.key_sz);
  bool there;
  bc_place p;
  int rc = progress(m);

  if (rc || f->marker) return rc;
  there = bc_keydir_view_get(m->view, hash, f->record.key, f->record.key_sz, &p);
  if (bc_is_tombstone(f->record.value, f->record.value_sz)) {
    /* A key that is there again buries the older records itself, and is on the
    ** disk before this input goes. */
    return m->keep_tombstones && !there ? copy_record(m, f, true) : BITCASK_OK;
  }
  if (!there || p.file_id != m->in->id || p.offset != f->offset) return BITCASK_OK;
  if (p.tstamp < m->cutoff) return BITCASK_OK;
  return copy_record(m, f, false);
}

static int see_damage(void *ctx, uint64_t offset, uint64_t n) {
  merger *m = ctx;
  m->damaged = true;
  bc_store_log(m->bc, "%s/%u.bitcask.data: %llu damaged bytes at %llu cannot be merged", m->bc->dir,
               m->in->id, (unsigned long long)n, (unsigned long long)offset);
  return BITCASK_OK;
}

/* The hint of a damaged file still knows the deletions in it. */
static int see_hinted(void *ctx, const bc_hint_entry *e) {
  merger *m = ctx;
  bc_found f = {.record = {.key = e->key, .key_sz = e->key_sz, .tstamp = e->tstamp}};
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(m->keydir), e->key, e->key_sz);
  if (!e->tombstone || bc_is_marker_key(e->key, e->key_sz) || !m->keep_tombstones)
    return BITCASK_OK;
  if (bc_keydir_view_get(m->view, hash, e->key, e->key_sz, NULL)) return BITCASK_OK;
  return copy_record(m, &f, true);
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

static bool points_into_input_locked(const merger *m, const void *key, uint32_t key_sz,
                                     bc_place *out) {
  const bitcask *bc = m->bc;
  return bc_keydir_get(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, out) &&
         out->file_id == m->in->id;
}

static bool points_into_input(const merger *m, const void *key, uint32_t key_sz, bc_place *out) {
  bool yes;
  pthread_rwlock_rdlock(&m->bc->lock);
  yes = points_into_input_locked(m, key, key_sz, out);
  pthread_rwlock_unlock(&m->bc->lock);
  return yes;
}

/* A key that still points into the input: expired, or unreadable.  It goes, and
** so that no older value below comes back, a tombstone stands in. */
static int drop_leftover(merger *m, const void *key, uint32_t key_sz) {
  bitcask *bc = m->bc;
  bc_found f = {.record = {.key = key, .key_sz = key_sz}};
  bc_place now;
  bool there;
  int rc = BITCASK_OK;

  there = points_into_input(m, key, key_sz, &now);
  if (!there) return BITCASK_OK;
  if (now.tstamp >= m->cutoff) m->damaged = true;
  f.record.tstamp = now.tstamp;
  if (m->keep_tombstones) rc = copy_record(m, &f, true);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  if (points_into_input_locked(m, key, key_sz, &now) && bc_store_remove(bc, key, key_sz)) {
    rc = bc_err_nomem(m->err);
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

static int drop_leftovers(merger *m) {
  uint64_t cursor = 0;
  const void *key;
  uint32_t key_sz;
  bc_place p;
  bool any;
  int rc = BITCASK_OK;

  pthread_rwlock_rdlock(&m->bc->lock);
  any = m->in->live_keys != 0;
  pthread_rwlock_unlock(&m->bc->lock);
  while (any && !rc && bc_keydir_view_next(m->view, &cursor, &key, &key_sz, &p)) {
    if (p.file_id == m->in->id) rc = drop_leftover(m, key, key_sz);
  }
  return !rc && m->out ? flush(m) : rc;
}

static int unlink_input(merger *m, const char *dir, uint32_t id) {
  const bc_env *env = m->bc->env;
  bitcask_buf from = {0}, to = {0};
  int rc = BITCASK_OK, e = 0;

  /* The hint first: a hint without its data file would block basho/bitcask. */
  if (bc_name_hint(&from, dir, id, "")) {
    rc = bc_err_nomem(m->err);
  } else {
    e = env->unlink(env->ctx, (char *)from.data);
    if (e == ENOENT) e = 0;
  }
  if (!rc && !e) {
    if (bc_name_data(&from, dir, id, "") || bc_name_data(&to, dir, id, ".damaged")) {
      rc = bc_err_nomem(m->err);
    } else {
      e = m->damaged ? env->rename(env->ctx, (char *)from.data, (char *)to.data)
                     : env->unlink(env->ctx, (char *)from.data);
    }
  }
  if (!rc && !e) e = env->sync_dir(env->ctx, dir);
  if (e) rc = bc_err_os(m->err, e, "cannot remove %s", from.data);
  bitcask_buf_free(&from);
  bitcask_buf_free(&to);
  return rc;
}

/* With `lock`: a step that other processes must notice, and this one need not. */
static void count_step(bitcask *bc) {
  bc_state_count_merge(&bc->state);
  atomic_store(&bc->merges, bc_state_merges(&bc->state));
}

/* The survivors are safe: let the input go. */
static int retire_input(merger *m) {
  bitcask *bc = m->bc;
  uint32_t id = m->in->id;
  int rc;

  /* What could not be looked up may be live. */
  if (bc_keydir_view_error(m->view)) return bc_store_lost_keydir(bc, m->err);
  rc = m->out ? bc_store_sync(bc, m->out, m->err) : BITCASK_OK;
  /* The log's newest records must outlive the older ones that are going. */
  if (!rc) rc = bc_sync_unstable(bc, m->err);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  count_step(bc); /* other processes: look, and move your keys */
  rc = bc_store_drop_file(bc, id, m->err);
  bc->is_removing = true;
  bc->removing = id;
  pthread_rwlock_unlock(&bc->lock);
  if (!rc) rc = unlink_input(m, bc->dir, id);
  pthread_rwlock_wrlock(&bc->lock);
  if (rc) {
    atomic_store(&bc->stale, true); /* it is still there, and may be loaded again */
  } else {
    count_step(bc); /* ... and let go of your mappings of it */
  }
  bc->is_removing = false;
  pthread_rwlock_unlock(&bc->lock);
  if (rc) return rc;
  m->result->n_inputs++;
  m->result->n_damaged += m->damaged;
  if (!m->damaged) m->result->freed_bytes += (int64_t)atomic_load(&m->in->size);
  return BITCASK_OK;
}

static int open_view(merger *m) {
  bitcask *bc = m->bc;
  int rc = BITCASK_OK;
  pthread_rwlock_wrlock(&bc->lock);
  m->keydir = bc->keydir;
  m->view = bc_keydir_view_open(bc->keydir);
  if (!m->view) rc = bc_err_nomem(m->err);
  m->keep_tombstones = has_dead_below(bc, m->in->id);
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

static int merge_input(merger *m, uint32_t id) {
  bitcask *bc = m->bc;
  bc_scan scan = {.stable = BC_ALL_STABLE, .fn = see, .skipped = see_damage, .ctx = m};
  int rc;

  m->in = bc_store_find(bc, id);
  if (!m->in) return BITCASK_OK; /* another process has merged it */
  m->damaged = m->in->damaged;
  scan.limit = atomic_load(&m->in->size);
  rc = open_view(m);
  if (!rc) rc = bc_datafile_scan(m->in, &scan, m->err);
  if (!rc && scan.end < scan.limit) m->damaged = true;
  if (!rc && m->damaged && m->in->has_hint) {
    rc = bc_hint_load(bc->env, bc->dir, id, scan.limit, see_hinted, m, m->err);
    if (rc == BITCASK_NOTFOUND || rc == BITCASK_CORRUPT) rc = BITCASK_OK;
  }
  /* What was copied is published even if the rest failed. */
  if (rc && m->out) (void)flush(m);
  if (!rc && m->out) rc = flush(m);
  if (!rc) rc = drop_leftovers(m);
  if (!rc) rc = retire_input(m);
  if (m->view) {
    pthread_rwlock_wrlock(&bc->lock);
    bc_keydir_view_close(m->keydir, m->view);
    pthread_rwlock_unlock(&bc->lock);
    m->view = NULL;
  }
  bc_datafile_unref(m->in);
  m->in = NULL;
  return rc;
}

/* ------------------------------------------------------------- begin, end */

/* All of the log is synced, and the outputs come below its new end.  That must be
** known on the disk before the first of them is: by an older position a torn
** output would be taken for the torn end of the log, and what is above it cut. */
static int pin_stable(merger *m, uint32_t active_id) {
  bc_state_set_stable(&m->bc->state, &(bc_position){active_id, 0});
  return bc_store_sync_state(m->bc, m->err);
}

/* Seal the active file and reserve the outputs' ids below the next one's. */
static int reserve(merger *m) {
  bitcask *bc = m->bc;
  bc_commit_point p = bc_point(bc);
  uint64_t live = 0, n, base = p.active_id > bc->max_id ? p.active_id : bc->max_id;
  bool active_too = false;
  size_t i;
  int rc;

  for (i = 0; i < m->n_inputs; i++) {
    live += m->input[i].total_bytes;
    if (m->input[i].file_id == p.active_id) active_too = true;
  }
  /* Each output but the last is more than half full, or holds one record. */
  n = 2 * (live / bc->opt.max_file_size) + 1;
  if (n > live / BC_RECORD_HEADER_SZ + 1) n = live / BC_RECORD_HEADER_SZ + 1;
  if (n > 100000) n = 100000; /* the last one then takes what is left */
  if (base + n + 1 > BC_MAX_FILE_ID) {
    return bc_err(m->err, BITCASK_FULL, "%s: file ids are used up", bc->dir);
  }
  m->next_out = (uint32_t)base + 1;
  m->last_out = (uint32_t)(base + n);
  pthread_rwlock_wrlock(&bc->lock);
  bc->first_out = m->next_out;
  bc->last_out = m->last_out;
  pthread_rwlock_unlock(&bc->lock);
  rc = bc_rotate(bc, m->last_out + 1, !active_too, m->err);
  return rc ? rc : pin_stable(m, m->last_out + 1);
}

/* As the writer: pick the inputs and get everything ready. */
static int plan(merger *m) {
  bitcask *bc = m->bc;
  int rc;

  pthread_rwlock_wrlock(&bc->lock);
  /* While the files are there that a damaged part of the checkpoint can be made of. */
  (void)bc_keydir_touch_all(bc->keydir);
  rc = bc_settle(bc, m->err);
  if (!rc) rc = choose(bc, m->o, bc_point(bc).active_id, &m->input, &m->n_inputs, m->err);
  pthread_rwlock_unlock(&bc->lock);
  if (rc || !m->n_inputs) return rc;
  m->cutoff = bc_store_cutoff(bc);
  /* sync=off has not synced at rotation, and outputs must not be more durable
  ** than what they stand above. */
  rc = bc_sync_all(bc, m->err);
  return rc ? rc : reserve(m);
}

static int run(merger *m, int timeout_ms) {
  bitcask *bc = m->bc;
  int rc = bc_writer_enter(bc, timeout_ms, m->err);
  size_t i;

  if (rc) return rc;
  rc = bc_lock_merge(&bc->state, m->err);
  /* From here on nobody else merges: what others have merged is taken in, and
  ** all further steps are our own. */
  if (!rc) rc = bc_refresh(bc, m->err);
  if (!rc) rc = plan(m);
  bc_writer_leave(bc);
  for (i = 0; i < m->n_inputs && !rc; i++) rc = merge_input(m, m->input[i].file_id);
  if (rc) {
    bitcask_error ignored = {0}, *err = m->err;
    m->err = &ignored; /* the first error is the one to report */
    (void)close_output(m);
    m->err = err;
  } else {
    rc = close_output(m);
  }
  pthread_rwlock_wrlock(&bc->lock);
  bc->first_out = 1;
  bc->last_out = 0;
  pthread_rwlock_unlock(&bc->lock);
  if (m->n_inputs) bc_seal_below(bc, bc_point(bc).active_id);
  bc_unlock_merge(&bc->state);
  bitcask_buf_free(&m->buf);
  free(m->moves);
  free(m->input);
  return rc;
}

int bitcask_merge(bitcask *bc, const bitcask_merge_options *o, bitcask_merge_result *result,
                  bitcask_error *err) {
  bitcask_merge_result ignored = {0};
  merger m = {.bc = bc, .o = o, .result = result ? result : &ignored, .err = err};
  bool busy;
  int rc;

  bc_err_clear(err);
  *m.result = (bitcask_merge_result){0};
  rc = bc_store_check(bc, err);
  if (rc) return rc;
  pthread_mutex_lock(&bc->writer_mutex);
  busy = bc->merging;
  bc->merging = true;
  pthread_mutex_unlock(&bc->writer_mutex);
  if (busy) return bc_err(err, BITCASK_BUSY, "%s is being merged by this process", bc->dir);
  rc = run(&m, bc->opt.timeout_ms);
  pthread_mutex_lock(&bc->writer_mutex);
  bc->merging = false;
  pthread_mutex_unlock(&bc->writer_mutex);
  if (!rc && m.result->n_inputs) bc_save(bc, BC_SAVE_SHARE);
  return rc;
}

int bitcask_needs_merge(bitcask *bc, bool *out, bitcask_error *err) {
  bitcask_file_stat *f = NULL;
  size_t n;
  int rc;

  *out = false;
  rc = bitcask_files(bc, &f, &n, err);
  if (rc) return rc;
  *out = bc_policy_triggers(&bc->opt, bc->env->now(bc->env->ctx), f, n);
  bitcask_files_free(f);
  return BITCASK_OK;
}
