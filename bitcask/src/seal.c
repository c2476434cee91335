/* seal.c - see seal.h. */
#include "seal.h"

#include <stdlib.h>

#include "buf.h"
#include "err.h"
#include "hint.h"
#include "home.h"
#include "name.h"

enum {
  WAIT_LEAST = 64, /* steps */
  STEP_LEAST = 4096
};

uint64_t bc_step_size(const bitcask *bc) {
  uint64_t n = bc->opt.max_file_size / 8;
  return n < STEP_LEAST ? STEP_LEAST : n > BC_STEP_SZ ? BC_STEP_SZ : n;
}

/* A hint in the making. */
typedef struct bc_sealer {
  bc_datafile *df;
  bc_hint_writer hint;
  uint64_t size, at;
  uint64_t stop_at;
  bool stopped, damaged;
  bitcask_error *err;
} sealer;

static int add_entry(void *ctx, const bc_found *f) {
  sealer *s = ctx;
  bc_hint_entry e = {f->record.key,    f->offset,
                     f->record.key_sz, f->total_sz,
                     f->record.tstamp, bc_is_tombstone(f->record.value, f->record.value_sz)};
  if (f->offset >= s->stop_at) {
    s->stopped = true;
    s->at = f->offset;
    return BITCASK_ABORT;
  }
  return bc_hint_writer_add(&s->hint, &e, s->err);
}

static int note_damage(void *ctx, uint64_t offset, uint64_t n) {
  sealer *s = ctx;
  (void)offset;
  (void)n;
  s->damaged = true;
  return BITCASK_ABORT;
}

/* *fits is false if the file is not as long as it should be, and gets no hint. */
static int begin(bitcask *bc, sealer *s, bc_datafile *df, bool *fits, bitcask_error *err) {
  uint64_t on_disk = 0;
  int rc = bc_home_check(bc, NULL, err);

  if (!rc) rc = bc_store_sync(bc, df, err);
  *s = (sealer){.df = df, .size = atomic_load_explicit(&df->size, memory_order_acquire)};
  if (!rc) rc = bc_store_size_on_disk(bc, df->id, &on_disk, NULL, err);
  *fits = on_disk == s->size;
  return rc || !*fits ? rc : bc_hint_writer_open(&s->hint, bc->env, bc->dir, df->id, err);
}

/* *done: the sealer has come to its end, be it a bad one. */
static int advance(bitcask *bc, sealer *s, uint64_t n, bool *done, bitcask_error *err) {
  bc_scan scan = {.from = s->at,
                  .limit = s->size,
                  .stable = BC_ALL_STABLE,
                  .singly = true,
                  .fn = add_entry,
                  .skipped = note_damage,
                  .ctx = s};
  int rc, e;

  s->err = err;
  s->stopped = false;
  s->stop_at = n < s->size - s->at ? s->at + n : s->size;
  rc = bc_datafile_scan(s->df, &scan, err);
  *done = !s->stopped;
  if (s->stopped) return BITCASK_OK;
  if (s->damaged || (!rc && scan.end != s->size)) {
    s->df->damaged = true;
    bc_hint_writer_abandon(&s->hint);
    return BITCASK_OK;
  }
  if (rc) {
    bc_hint_writer_abandon(&s->hint);
    return rc;
  }
  rc = bc_home_check(bc, NULL, err);
  if (rc) {
    bc_hint_writer_close(&s->hint); /* a file of its name would be another directory's */
    return rc;
  }
  rc = bc_hint_writer_finish(&s->hint, err);
  if (rc) return rc;
  s->df->has_hint = true;
  e = bc->env->sync_dir(bc->env->ctx, bc->dir);
  return e ? bc_err_os(err, e, "cannot sync %s", bc->dir) : BITCASK_OK;
}

int bc_seal(bitcask *bc, bc_datafile *df, bitcask_error *err) {
  bool fits, done;
  sealer s;
  int rc;

  if (df->has_hint || df->damaged) return BITCASK_OK;
  if (bc_state_sealing(&bc->state).id == df->id) bc_seal_stop(bc);
  rc = begin(bc, &s, df, &fits, err);
  return rc || !fits ? rc : advance(bc, &s, UINT64_MAX, &done, err);
}

/* ------------------------------------------------------------ piece by piece */

bool bc_seal_is_pending(const bitcask *bc, uint32_t id) {
  uint32_t lowest = bc_state_unsealed(&bc->state);
  return lowest && id >= lowest;
}

bool bc_seal_is_at_work(const bitcask *bc, uint32_t id) {
  bc_sealing s = {0};
  if (bc_state_is_live(&bc->state)) s = bc_state_sealing(&bc->state);
  return s.id == id && id &&
         (s.token == bc->token || bc->env->pid_alive(bc->env->ctx, s.pid, INT64_MAX));
}

void bc_seal_release(bitcask *bc) {
  if (!bc->sealer) return;
  bc_hint_writer_close(&bc->sealer->hint);
  bc_datafile_unref(bc->sealer->df);
  free(bc->sealer);
  bc->sealer = NULL;
}

void bc_seal_stop(bitcask *bc) {
  bc_state_set_sealing(&bc->state, NULL);
  /* Whoever was at it may have the file open still, and will find that it is his no
  ** more: the name is all that goes. */
  bc_seal_release(bc);
}

void bc_seal_forget(bitcask *bc, uint32_t id) {
  bitcask_buf path = {0};

  if (bc_state_sealing(&bc->state).id != id) return;
  bc_seal_stop(bc);
  /* What cannot be removed is left to the next repair. */
  if (!bc_name_hint(&path, bc->dir, id, ".tmp"))
    (void)bc->env->unlink(bc->env->ctx, (char *)path.data);
  bitcask_buf_free(&path);
}

static bool is_still_ours(const bitcask *bc) {
  bc_sealing s = bc_state_sealing(&bc->state);
  return s.id == bc->sealer->df->id && s.token == bc->token;
}

void bc_seal_quit(bitcask *bc) {
  if (bc->sealer && is_still_ours(bc)) bc_state_set_sealing(&bc->state, NULL);
  bc_seal_release(bc);
}

/* The lowest id of a merge that goes on which must not be sealed here, or UINT32_MAX. */
static uint32_t lowest_waiting(const bitcask *bc, uint32_t *last) {
  bc_session s = {0};
  *last = 0;
  if (!bc_state_session(&bc->state, &s)) return UINT32_MAX;
  *last = s.last_id;
  if (s.token != bc->token) return s.first_id;
  return s.output ? s.output : s.next_id;
}

bool bc_seal_must_wait(const bitcask *bc, uint32_t id) {
  uint32_t last;
  return lowest_waiting(bc, &last) <= id && id <= last;
}

void bc_seal_note_done(bitcask *bc, uint32_t was, uint32_t rest) {
  uint32_t last, lowest = lowest_waiting(bc, &last);
  if (lowest < rest) rest = lowest;
  if (was && rest > was) bc_state_move_unsealed(&bc->state, was, rest);
}

/* With `lock`: the lowest file whose hint can be written now; NULL: none.  *rest: the
** lowest one whose time has not come. */
static bc_datafile *next_unsealed(const bitcask *bc, uint32_t from, uint32_t *rest) {
  bc_position stable = {0, 0};
  bc_commit_point p;
  uint64_t generation;

  *rest = from;
  if (!bc_state_read(&bc->state, &p, &generation)) return NULL;
  (void)bc_state_stable(&bc->state, &stable);
  /* Not "none": the active file may be sealed before that is noted. */
  *rest = p.active_id;
  for (size_t i = 0; i < bc->files->n; i++) {
    bc_datafile *df = bc->files->file[i];
    if (df->id < from || df->id >= p.active_id || df->has_hint || df->damaged) continue;
    if (df->id < stable.file_id && !bc_seal_must_wait(bc, df->id)) return bc_datafile_ref(df);
    if (df->id < *rest) *rest = df->id;
  }
  return NULL;
}

/* Leave a hint to who has begun it; but not for more steps than it would have taken us
** twice over, for it may be idle for ever. */
static bool waits_for(bitcask *bc, const bc_sealing *other) {
  if (bc->waited_for.id != other->id || bc->waited_for.token != other->token) {
    bc_datafile *df = bc_store_find(bc, other->id);
    bc->waited_for = *other;
    bc->n_waited = WAIT_LEAST + (df ? 2 * (atomic_load(&df->size) / BC_STEP_SZ) : 0);
    bc_datafile_unref(df);
  }
  return bc->n_waited && bc->n_waited--;
}

/* The next file, if there is one: bc->sealer is set then. */
static int take_next(bitcask *bc, bitcask_error *err) {
  bc_sealing other = bc_state_sealing(&bc->state);
  uint32_t from = bc_state_unsealed(&bc->state), rest;
  bc_datafile *df;
  bool fits = false, exists;
  sealer *s;
  int rc;

  if (!from) return BITCASK_OK;
  if (other.token != bc->token && bc_seal_is_at_work(bc, other.id) && waits_for(bc, &other)) {
    return BITCASK_OK;
  }
  pthread_rwlock_rdlock(&bc->lock);
  df = next_unsealed(bc, from, &rest);
  pthread_rwlock_unlock(&bc->lock);
  if (!df) {
    bc_seal_note_done(bc, from, rest);
    return BITCASK_OK;
  }
  rc = bc_hint_exists(bc->env, bc->dir, df->id, &exists, err);
  if (!rc && exists) {
    df->has_hint = true; /* another process has written it */
    bc_datafile_unref(df);
    return take_next(bc, err);
  }
  s = rc ? NULL : calloc(1, sizeof *s);
  if (!rc) rc = s ? begin(bc, s, df, &fits, err) : bc_err_nomem(err);
  if (rc || !fits) {
    /* Not as long as it should be: a matter for the next repair. */
    if (!rc) bc_seal_note_done(bc, from, df->id + 1);
    bc_datafile_unref(df);
    free(s);
    return rc;
  }
  bc->sealer = s;
  bc_state_set_sealing(&bc->state, &(bc_sealing){df->id, bc->pid, bc->token});
  return BITCASK_OK;
}

int bc_seal_step(bitcask *bc, uint64_t n, bool *did, bitcask_error *err) {
  bool done;
  int rc = BITCASK_OK;

  if (bc->sealer && !is_still_ours(bc)) bc_seal_release(bc);
  if (!bc->sealer) rc = take_next(bc, err);
  if (rc || !bc->sealer) return rc;
  *did = true;
  rc = advance(bc, bc->sealer, n, &done, err);
  if (!done) return rc;
  bc_datafile_settle(bc->sealer->df);
  bc_datafile_unref(bc->sealer->df);
  free(bc->sealer);
  bc->sealer = NULL;
  bc_state_set_sealing(&bc->state, NULL);
  return rc;
}
