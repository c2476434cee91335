/*
** merge.c - bitcask_merge: which files, and then one after the other (copier.h).
*/
#include <stdlib.h>

#include "checkpoint.h"
#include "copier.h"
#include "err.h"
#include "home.h"
#include "load.h"
#include "lock.h"
#include "policy.h"
#include "upkeep.h"
#include "writer.h"

/* How long to wait for the lock while it is taken for single steps only. */
enum { STEPS_MS = 5000 };

static bool contains_id(const bitcask_merge_options *o, uint32_t id) {
  for (size_t i = 0; i < o->n_file_ids; i++) {
    if (o->file_ids[i] == id) return true;
  }
  return false;
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
    *n = bc_policy_all(&bc->opt, bc_store_cutoff(bc), f, bc->files->n);
    return BITCASK_OK;
  }
  if (o->kind == BITCASK_MERGE_POLICY && !bc_policy_triggers(&bc->opt, now, f, bc->files->n)) {
    return BITCASK_OK;
  }
  for (i = 0; i < bc->files->n; i++) {
    /* A copy would stand behind the damage, and its key be in doubt no more.  Who accepts that
    ** loss merges the damaged file, too. */
    if (f[i].file_id <= bc->doubt.file_id &&
        !(o->kind == BITCASK_MERGE_FILES && contains_id(o, bc->doubt.file_id)))
      continue;
    if (o->kind == BITCASK_MERGE_POLICY
            ? bc_policy_takes(&bc->opt, now, &f[i], i == 0)
            : f[i].file_id != active_id && contains_id(o, f[i].file_id)) {
      f[kept++] = f[i];
    }
  }
  *n = kept;
  return BITCASK_OK;
}

typedef struct merger {
  bc_copier c;
  const bitcask_merge_options *o;
  bitcask_file_stat *input;
  size_t n_inputs;
} merger;

static int merge_input(merger *m, uint32_t id) {
  bc_copier *c = &m->c;
  bc_datafile *in = bc_store_find(c->bc, id);
  uint64_t at;
  int rc;

  if (!in) return BITCASK_OK; /* another process has merged it */
  bc_copier_open(c, in);
  rc = bc_copier_copy(c, 0, UINT64_MAX, &at);
  if (!rc) rc = bc_copier_drop_leftovers(c);
  if (!rc) rc = bc_copier_retire(c);
  bc_copier_close(c);
  return rc;
}

/* As the writer: pick the inputs and get everything ready. */
static int plan(merger *m) {
  bitcask *bc = m->c.bc;
  int rc;

  pthread_rwlock_wrlock(&bc->lock);
  /* While the files are there that a damaged part of the checkpoint can be made of. */
  (void)bc_keydir_touch_all(bc->keydir);
  rc = bc_settle(bc, m->c.err);
  if (!rc) rc = choose(bc, m->o, bc_point(bc).active_id, &m->input, &m->n_inputs, m->c.err);
  pthread_rwlock_unlock(&bc->lock);
  if (rc || !m->n_inputs) return rc;
  m->c.cutoff = bc_store_cutoff(bc);
  /* sync=off has not synced at rotation, and outputs must not be more durable
  ** than what they stand above. */
  rc = bc_sync_all(bc, m->c.err);
  return rc ? rc : bc_copier_reserve(&m->c, m->input, m->n_inputs);
}

/* A step of upkeep, a repair, or a reader of what a dead merger has left, whose note may still be
** there, is over in a moment; a merge is not. */
static bool is_for_a_moment(const bitcask *bc) {
  bool merged = true;
  return !bc_state_is_merging(&bc->state) ||
         (!bc_lock_merge_held(&bc->state, &merged, NULL) && !merged);
}

static int lock_merge(bitcask *bc, bitcask_error *err) {
  uint64_t start = bc->env->monotonic_ms(bc->env->ctx);
  int rc;

  while ((rc = bc_lock_merge(&bc->state, err)) == BITCASK_BUSY && is_for_a_moment(bc) &&
         bc->env->monotonic_ms(bc->env->ctx) - start < STEPS_MS) {
    bc_err_clear(err);
    bc->env->sleep_us(bc->env->ctx, 200);
  }
  if (!rc) bc_state_set_merging(&bc->state, true);
  return rc;
}

/* With the merge lock. */
static int merge_inputs(merger *m) {
  bc_copier *c = &m->c;
  int rc = BITCASK_OK;

  for (size_t i = 0; i < m->n_inputs && !rc; i++) rc = merge_input(m, m->input[i].file_id);
  if (rc) {
    bitcask_error ignored = {0}, *err = c->err;
    c->err = &ignored; /* the first error is the one to report */
    (void)bc_copier_close_output(c);
    c->err = err;
  } else {
    rc = bc_copier_close_output(c);
  }
  return rc;
}

static int run(merger *m) {
  bitcask *bc = m->c.bc;
  bitcask_wait wait = {bc->opt.timeout_ms, m->o->progress, m->o->progress_ctx};
  int rc = bc_writer_enter(bc, &wait, m->c.err);

  if (rc) return rc;
  rc = lock_merge(bc, m->c.err);
  if (rc) {
    bc_writer_leave(bc);
    return rc;
  }
  /* From here on nobody else merges: what others have merged is taken in, and
  ** all further steps are our own. */
  rc = bc_refresh(bc, m->c.err);
  if (!rc) rc = bc_upkeep_stop(bc, m->c.err);
  if (!rc) rc = bc_copier_finish_others(&m->c);
  if (!rc) rc = plan(m);
  bc_writer_leave(bc);
  if (!rc) rc = merge_inputs(m);
  bc_copier_end(&m->c);
  if (m->n_inputs) bc_seal_below(bc, bc_point(bc).active_id);
  if (!rc) rc = bc_home_check(bc, NULL, m->c.err);
  bc_state_set_merging(&bc->state, false);
  bc_unlock_merge(&bc->state);
  free(m->input);
  return rc;
}

int bitcask_merge(bitcask *bc, const bitcask_merge_options *o, bitcask_merge_result *result,
                  bitcask_error *err) {
  bitcask_merge_result ignored = {0};
  merger m = {.o = o,
              .c = {.bc = bc,
                    .err = err,
                    .result = result ? result : &ignored,
                    .progress = o->progress,
                    .progress_ctx = o->progress_ctx,
                    .with_hints = true}};
  int rc;

  bc_err_clear(err);
  *m.c.result = (bitcask_merge_result){0};
  rc = bc_store_check(bc, err);
  if (rc) return rc;
  if (!bc_store_take_merge(bc, false)) {
    return bc_err(err, BITCASK_BUSY, "%s is being merged by this process", bc->dir);
  }
  rc = run(&m);
  bc_store_end_merge(bc);
  if (!rc && m.c.result->n_inputs) bc_save(bc, BC_SAVE_SHARE);
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
