/* upkeep.c - see upkeep.h. */
#include "upkeep.h"

#include <stdlib.h>

#include "copier.h"
#include "err.h"
#include "load.h"
#include "lock.h"
#include "policy.h"
#include "seal.h"
#include "writer.h"

enum {
  SHED_SZ = 2 << 20,    /* of a removed file */
  MOST_REMOVED = 16,    /* descriptors */
  TOUCH_N = 64,         /* directory entries of a restored keydir */
  PER_BYTE_WRITTEN = 2, /* hints keep up with what is written, ... */
  PER_BYTE_DEAD = 4,    /* ... and merges, of files that are 40 per cent dead, with what dies */
  AT_ONCE = 12,         /* bytes of work after one commit, at most, for each that it wrote */
  AFTER_FAILURE = 64,   /* steps' worth of debt until the next try */
  PRESSING = 32,        /* steps' worth of debt from which on somebody else's are waited for, ... */
  WAITS = 10,           /* ... so often, ... */
  WAIT_US = 200         /* ... so long */
};

/* ------------------------------------------------------------------ merging */

/* The files of which a merge is due; *n is 0 if none is. */
static int choose(bitcask *bc, bitcask_file_stat **out, size_t *n, bitcask_error *err) {
  bc_commit_point p = bc_point(bc);
  bitcask_file_stat *f;

  *n = 0;
  pthread_rwlock_rdlock(&bc->lock);
  *out = f = malloc((bc->files->n + 1) * sizeof *f);
  for (size_t i = 0; f && i < bc->files->n; i++) {
    /* A copy would stand behind the damage, and its key be in doubt no more. */
    if (bc->files->file[i]->id <= bc->doubt.file_id) continue;
    bc_file_stat(bc->files->file[i], p.active_id, &f[(*n)++]);
  }
  pthread_rwlock_unlock(&bc->lock);
  if (!f) return bc_err_nomem(err);
  *n = bc_policy_auto(&bc->opt, bc->env->now(bc->env->ctx), f, *n);
  return BITCASK_OK;
}

/* The next input, above `after`; 0: none, or none for which there is room in the last
** output.  It need not have been worth merging when ids for outputs were counted. */
static int next_input(const bc_copier *c, const bc_session *s, uint32_t after, uint32_t *id) {
  bitcask *bc = c->bc;
  bool is_last = c->out && c->out->id == c->last_out;
  bitcask_file_stat *f;
  size_t n, i = 0;
  int rc = choose(bc, &f, &n, c->err);

  *id = 0;
  while (i < n && f[i].file_id <= after) i++;
  if (i < n && f[i].file_id < s->first_id &&
      (!is_last || c->out_size + f[i].live_bytes <= bc->opt.max_file_size)) {
    *id = f[i].file_id;
  }
  free(f);
  return rc;
}

/* What has expired died without a commit that could have done the work for it. */
static uint64_t expired_bytes(const bitcask *bc, const bitcask_file_stat *f, size_t n) {
  uint32_t cutoff = bc_store_cutoff(bc);
  uint64_t sum = 0;
  for (size_t i = 0; i < n; i++) {
    if (f[i].newest_tstamp < cutoff) sum += f[i].live_bytes;
  }
  return sum;
}

/* If a merge is due: seal the active file, reserve ids for outputs, and note the first
** input. */
static int start_session(bitcask *bc, bool *did, bitcask_error *err) {
  bc_copier c = {.bc = bc, .err = err};
  bitcask_file_stat *f;
  size_t n;
  int rc = choose(bc, &f, &n, err);

  if (!rc && n) {
    /* Not waiting: a merge that begins has the write lock and waits for the merge lock. */
    rc = bc_writer_enter(bc, NULL, err);
    /* Outputs must not be more durable than what they stand above. */
    if (!rc) {
      rc = bc_copier_finish_others(&c);
      if (!rc) rc = bc_sync_all(bc, err);
      if (!rc) rc = bc_copier_reserve(&c, f, n);
      bc_copier_end(&c);
      bc_writer_leave(bc);
    }
    if (!rc) {
      *did = true;
      bc_state_add_debt(&bc->state, PER_BYTE_DEAD * expired_bytes(bc, f, n));
      bc_state_set_session(&bc->state, &(bc_session){.input = f[0].file_id,
                                                     .first_id = c.next_out,
                                                     .next_id = c.next_out,
                                                     .last_id = c.last_out,
                                                     .token = bc->token});
    }
  }
  free(f);
  return rc;
}

/* The output that the step before this one has left, if it is as it left it.  Else there
** will be another one, and nobody will sync this one later. */
static int take_up_output(bc_copier *c, const bc_session *s) {
  bitcask *bc = c->bc;
  bc_datafile *df = s->output ? bc_store_find(bc, s->output) : NULL;
  uint64_t on_disk;
  bool hinted;
  int rc;

  if (!df) return BITCASK_OK;
  rc = bc_hint_exists(bc->env, bc->dir, df->id, &hinted, c->err);
  if (!rc && !df->writable) rc = bc_datafile_reopen(df, bc->dir, BC_OPEN_WRITE, NULL, c->err);
  if (!rc && !hinted && !bc->env->size(bc->env->ctx, df->fd, &on_disk) && on_disk == s->end &&
      atomic_load(&df->size) == s->end) {
    c->out = df;
    c->out_size = s->end;
    return BITCASK_OK;
  }
  if (!rc) rc = bc_store_sync(bc, df, c->err);
  bc_datafile_unref(df);
  return rc;
}

/* A file in which nothing is live need not be read. */
static bool is_spent(bc_copier *c) {
  bool yes;
  pthread_rwlock_rdlock(&c->bc->lock);
  yes = !c->in->live_keys && (!c->keep_tombstones || !c->in->n_tombstones);
  pthread_rwlock_unlock(&c->bc->lock);
  return yes;
}

/* What has no name any more takes its space until all of its memory is given back. */
static void let_go_later(bitcask *bc, bc_datafile *df) {
  bc_fileset *fs = bc->removed ? bc_fileset_with(bc->removed, df) : bc_fileset_make(1);

  if (!fs) return;
  if (!bc->removed) fs->file[fs->n++] = df;
  bc_datafile_ref(df);
  bc_fileset_unref(bc->removed);
  bc->removed = fs;
}

static bool has_live_keys(bc_copier *c) {
  bool yes;
  pthread_rwlock_rdlock(&c->bc->lock);
  yes = c->in->live_keys != 0;
  pthread_rwlock_unlock(&c->bc->lock);
  return yes;
}

/* All of the input is copied. */
static int retire(bc_copier *c) {
  bitcask *bc = c->bc;
  bool piecemeal;
  uint64_t ignored;
  int rc = BITCASK_OK;

  /* What had expired when another handle looked was dropped from its keydir alone, and
  ** nothing tells this one: it goes through the input by itself, in one step, or each
  ** would wait for what the other drops.  A copy that got damaged is made again. */
  if (!c->damaged && has_live_keys(c)) rc = bc_copier_copy(c, 0, UINT64_MAX, &ignored);
  if (rc) return rc;
  if (c->damaged || has_live_keys(c)) {
    /* Somebody has to see to it. */
    c->in->damaged = true;
    bc_store_log(bc, "%s/%u.bitcask.data is damaged and not merged by itself: merge it by hand",
                 bc->dir, c->in->id);
    return BITCASK_OK;
  }
  /* A small one goes in one.  To be cut it has to be open, which is asked for while it has
  ** a name; if it cannot be, or snapshots keep many open, it goes in one as well. */
  piecemeal = c->in_size > SHED_SZ && (!bc->removed || bc->removed->n < MOST_REMOVED) &&
              !bc_datafile_reopen(c->in, bc->dir, BC_OPEN_WRITE, NULL, NULL);
  rc = bc_copier_retire(c);
  if (!rc && piecemeal) let_go_later(bc, c->in);
  return rc;
}

/* Each half MiB, so that no step has much to sync, the last one neither; and under
** sync=full nothing that is written is left to chance. */
static bool is_to_be_synced(const bc_copier *c, const bc_session *s) {
  return c->out &&
         (c->bc->opt.sync == BITCASK_SYNC_FULL ? c->out_size != s->end
                                               : c->out_size / BC_STEP_SZ != s->end / BC_STEP_SZ);
}

static int work_on_input(bc_copier *c, bc_session *s) {
  int rc = BITCASK_OK;

  if (s->at < c->in_size && !c->damaged) {
    if (is_spent(c)) {
      s->at = c->in_size;
    } else {
      rc = bc_copier_copy(c, s->at, s->at + bc_step_size(c->bc), &s->at);
    }
    if (!rc && is_to_be_synced(c, s)) rc = bc_copier_sync_output(c);
    if (rc || (s->at < c->in_size && !c->damaged)) return rc;
    if (c->out && !c->damaged) return BITCASK_OK; /* enough for one step */
  }
  rc = retire(c);
  if (!rc) rc = next_input(c, s, s->input, &s->input);
  s->at = 0;
  return rc;
}

/* The next one to copy from, referenced; NULL if there is none, or if a catch-up has found since
** that keys in it are in doubt: see choose. */
static bc_datafile *find_input(bitcask *bc, const bc_session *s) {
  bool in_doubt;
  pthread_rwlock_rdlock(&bc->lock);
  in_doubt = s->input <= bc->doubt.file_id;
  pthread_rwlock_unlock(&bc->lock);
  return in_doubt ? NULL : bc_store_find(bc, s->input);
}

static int go_on(bitcask *bc, bc_session *s, bitcask_error *err) {
  bitcask_merge_result ignored = {0};
  bc_copier c = {.bc = bc,
                 .err = err,
                 .result = &ignored,
                 .first_out = s->first_id,
                 .next_out = s->next_id,
                 .last_out = s->last_id,
                 .cutoff = bc_store_cutoff(bc)};
  bc_datafile *in = find_input(bc, s);
  int rc;

  if (!in) return next_input(&c, s, s->input, &s->input);
  bc_copier_begin(&c);
  bc_copier_open(&c, in);
  rc = take_up_output(&c, s);
  if (!rc) rc = work_on_input(&c, s);
  if (!rc && !s->input && c.out) rc = bc_copier_close_output(&c); /* that was the last */
  s->output = c.out ? c.out->id : 0;
  s->end = c.out_size;
  s->next_id = c.next_out;
  bc_datafile_unref(c.out);
  bc_copier_close(&c);
  bc_copier_end(&c);
  return rc;
}

/* Another handle has made the last step, and its copies are not in this keydir yet:
** without them what it copied would seem to be lost. */
static int take_over(bitcask *bc, const bc_session *s, bitcask_error *err) {
  int rc;
  if (s->token == bc->token) return BITCASK_OK;
  pthread_rwlock_wrlock(&bc->lock);
  rc = bc_catch_up(bc, BC_TO_COMMITTED, err);
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

static int merge_step(bitcask *bc, bool *did, bitcask_error *err) {
  bc_session s;
  int rc;

  if (!bc->opt.auto_merge) return BITCASK_OK;
  if (!bc_state_session(&bc->state, &s)) return start_session(bc, did, err);
  *did = true;
  /* Killed in the middle, or failed: its output is a data file like any other, and what
  ** was copied is dead in the input. */
  rc = take_over(bc, &s, err);
  if (rc == BITCASK_BUSY) return rc;
  bc_state_set_session(&bc->state, NULL);
  if (!rc) rc = go_on(bc, &s, err);
  s.token = bc->token;
  if (!rc && s.input) bc_state_set_session(&bc->state, &s);
  return rc;
}

/* ------------------------------------------------------------------ one step */

/* A merge must not remove a file that a damaged part of the checkpoint could have to
** be made of: all of it is looked at first, a little at a time. */
static int touch(bitcask *bc, bool *did, bitcask_error *err) {
  int rc = BITCASK_OK;

  pthread_rwlock_wrlock(&bc->lock);
  *did = bc_keydir_touch(bc->keydir, &bc->n_touched, TOUCH_N);
  if (!*did) rc = bc_settle(bc, err);
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

/* A little of one removed file, which no snapshot reads any more. */
static void shed(bitcask *bc, bool *did) {
  bc_fileset *fs = bc->removed;

  for (size_t i = 0; fs && i < fs->n; i++) {
    bc_datafile *df = fs->file[i];
    if (atomic_load(&df->refs) > 1) continue;
    *did = true;
    if (!bc_datafile_shed(df, SHED_SZ)) return;
    bc->removed = bc_fileset_without(fs, df->id);
    bc_fileset_unref(fs); /* without memory: all of them at once */
    return;
  }
}

/* With the merge lock, caught up. */
static int step_locked(bitcask *bc, bool *did, bitcask_error *err) {
  bool sealed = false, merged = false, removed = false;
  int rc = BITCASK_OK;

  shed(bc, &removed);
  bc->seals_next = !bc->seals_next;
  if (bc->seals_next) rc = bc_seal_step(bc, bc_step_size(bc), &sealed, err);
  if (!rc && !sealed && bc->opt.auto_merge) rc = touch(bc, &merged, err);
  if (!rc && !sealed && !merged) rc = merge_step(bc, &merged, err);
  if (!rc && !merged && !bc->seals_next) rc = bc_seal_step(bc, bc_step_size(bc), &sealed, err);
  *did = sealed || merged || removed;
  return rc;
}

/* *did: there was something to do, and may be more. */
static int step(bitcask *bc, bool *did, bitcask_error *err) {
  int rc;

  if (!bc_store_take_merge(bc, true)) return BITCASK_BUSY;
  rc = bc_lock_merge(&bc->state, err);
  if (!rc) {
    rc = bc_refresh(bc, err);
    if (!rc) rc = step_locked(bc, did, err);
    bc_unlock_merge(&bc->state);
  }
  bc_store_end_merge(bc);
  return rc;
}

/* Somebody else is at it, or writing: next time.  But he may get no processor while
** others commit, and the disk would fill up. */
static int step_or_wait(bitcask *bc, uint64_t debt, bool *did, bitcask_error *err) {
  bool pressing = bc->opt.auto_merge && debt >= PRESSING * bc_step_size(bc);
  int rc = step(bc, did, err);

  for (int i = 0; rc == BITCASK_BUSY && pressing && i < WAITS; i++) {
    if (bc_state_is_merging(&bc->state)) break; /* explicitly, and for long */
    bc_err_clear(err);
    bc->env->sleep_us(bc->env->ctx, WAIT_US);
    rc = step(bc, did, err);
  }
  return rc;
}

/* A handle that does not merge pays debts of its own: others' are more than hints, and
** that it has no more to do says nothing about what is worth merging. */
static void pay(bitcask *bc, uint64_t n) {
  uint64_t debt = atomic_load(&bc->own_debt);

  if (bc->opt.auto_merge) {
    bc_state_pay_debt(&bc->state, n);
    return;
  }
  while (!atomic_compare_exchange_weak(&bc->own_debt, &debt, debt > n ? debt - n : 0)) {
  }
}

void bc_upkeep(bitcask *bc, uint64_t written, uint64_t dead) {
  uint64_t size = bc_step_size(bc), n = PER_BYTE_WRITTEN * written + PER_BYTE_DEAD * dead;
  uint64_t debt = bc_state_add_debt(&bc->state, n);
  uint64_t steps, at_once = AT_ONCE * written;
  bitcask_error e = {0};
  bool did = true;
  int rc = BITCASK_OK;

  if (!bc->opt.auto_merge) debt = atomic_fetch_add(&bc->own_debt, n) + n;
  if (debt < size + atomic_load(&bc->upkeep_from) || atomic_load(&bc->poisoned)) return;
  atomic_store(&bc->upkeep_from, 0);
  /* What others had no time for is made up for; but many deletions are soon written,
  ** and what there is to do for them the next commits share. */
  steps = 1 + (debt < at_once ? debt : at_once) / size;
  while (steps-- && debt >= size && did && !rc) {
    did = false;
    rc = step_or_wait(bc, debt, &did, &e);
    if (rc == BITCASK_BUSY) return;
    pay(bc, size);
    debt -= size;
  }
  if (rc) {
    bc_store_log(bc, "%s: merging by itself is put off: %s", bc->dir, e.text);
    atomic_store(&bc->upkeep_from, AFTER_FAILURE * size);
  }
  if (rc || !did) pay(bc, UINT64_MAX); /* there is no more to do */
}

int bc_upkeep_stop(bitcask *bc, bitcask_error *err) {
  bc_session s;
  int rc = BITCASK_OK;

  if (bc_state_session(&bc->state, &s)) rc = take_over(bc, &s, err);
  bc_state_set_session(&bc->state, NULL);
  bc_seal_stop(bc);
  return rc;
}
