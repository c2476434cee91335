/*
** writer.c - see writer.h.
*/
#include "writer.h"

#include <stdlib.h>

#include "checkpoint.h"
#include "err.h"
#include "group.h"
#include "home.h"
#include "load.h"
#include "lock.h"
#include "name.h"
#include "repair.h"
#include "seal.h"

/* ---------------------------------------------------- being the writer */

bc_commit_point bc_point(const bitcask *bc) {
  bc_commit_point p;
  uint64_t generation;
  (void)bc_state_read(&bc->state, &p, &generation); /* live since bc_writer_enter */
  return p;
}

void bc_publish_point(bitcask *bc, const bc_commit_point *p) {
  bc_state_publish(&bc->state, p);
  atomic_store(&bc->generation, bc_state_generation(&bc->state));
}

int bc_next_id(bitcask *bc, uint32_t *out, bitcask_error *err) {
  bc_position stable;
  uint64_t id = bc->max_id;
  if (bc_state_stable(&bc->state, &stable) && stable.file_id > id) id = stable.file_id;
  if (bc_state_is_live(&bc->state) && bc_point(bc).active_id > id) id = bc_point(bc).active_id;
  if (id >= BC_MAX_FILE_ID) {
    return bc_err(err, BITCASK_FULL, "%s: file ids are used up; back the data up and start anew",
                  bc->dir);
  }
  *out = (uint32_t)id + 1;
  return BITCASK_OK;
}

/* After a catch-up to the end: the commit point that follows from the log. */
static int find_point(bitcask *bc, bc_commit_point *p, bitcask_error *err) {
  const bc_datafile *last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  const bc_datafile *active = bc_continued(bc);
  bc_commit_point old = {0};
  bc_position stable = {0, 0};
  uint64_t generation;

  (void)bc_state_stable(&bc->state, &stable);
  p->tstamp = bc->newest_tstamp;
  p->committed = 0;
  if (bc_state_read(&bc->state, &old, &generation) && (!last || old.active_id > last->id)) {
    p->active_id = old.active_id; /* reserved, not made yet */
    /* Or removed by somebody: a new one of that id would be taken for stable. */
    return stable.file_id == old.active_id && stable.offset ? bc_next_id(bc, &p->active_id, err)
                                                            : BITCASK_OK;
  }
  if (active) {
    p->active_id = active->id;
    p->committed = atomic_load(&active->size);
    return BITCASK_OK;
  }
  return bc_next_id(bc, &p->active_id, err);
}

/* Before anything of ours is written to a directory whose files somebody else
** made: they are stable storage from here on, by our own hand. */
static int sync_foreign(bitcask *bc, const bc_commit_point *p, bitcask_error *err) {
  bc_position stable;
  int rc = BITCASK_OK;
  if (bc_state_stable(&bc->state, &stable)) return BITCASK_OK;
  for (size_t i = 0; i < bc->files->n && !rc; i++) {
    if (!bc->files->file[i]->has_hint) rc = bc_store_sync(bc, bc->files->file[i], err);
  }
  if (rc) return rc;
  stable = (bc_position){p->active_id, p->committed};
  bc_state_set_stable(&bc->state, &stable);
  /* On the disk before the first record is: without a position a torn tail would
  ** be taken for rot, and searched for records. */
  return bc_store_sync_state(bc, err);
}

/* Recovered: what a group has left behind does not depend on its decision file any more. */
static int finish_group(bitcask *bc, char *tied, bitcask_error *err) {
  bc_commit_point p = bc_point(bc);
  int rc = tied ? bc_sync_unstable(bc, err) : BITCASK_OK;
  if (!rc) return bc_group_finish(bc, tied, &(bc_position){p.active_id, p.committed}, err);
  free(tied);
  return rc;
}

/* The log goes on behind what is left of it: what has gone is missed no more. */
static void accept_loss(bitcask *bc) {
  if (bc->missing && bc->files->n) bc_store_note_length(bc, bc->files->file[bc->files->n - 1]);
  bc->missing = 0;
}

/* First transaction since boot, since a writer died, or since we became a
** writer: read the log to its end and mend it. */
static int recover(bitcask *bc, bitcask_error *err) {
  bool alone = bc_store_lock_merge(bc);
  bc_commit_point p;
  char *tied = NULL;
  int rc;

  pthread_rwlock_wrlock(&bc->lock);
  bc->recovering = true;
  rc = bc_catch_up(bc, BC_TO_END, err);
  bc->recovering = false;
  if (!rc) rc = bc_group_confirm(bc, err);
  if (!rc && bc_state_sync_failed(&bc->state)) {
    rc = bc_rewrite_unsynced(bc, err);
    bc_state_forget_written(&bc->state); /* the page may be of before that sync */
    if (!rc) bc_state_set_sync_failed(&bc->state, false);
  }
  if (!rc) rc = bc_repair(bc, alone, err);
  if (!rc) rc = find_point(bc, &p, err);
  if (!rc) rc = sync_foreign(bc, &p, err);
  if (!rc) {
    /* In this order: killed in between, it is recovered again.  A tail that is gone with the old
    ** point still there would be written over. */
    bc_publish_point(bc, &p);
    bc_state_set_tail(&bc->state, BC_TAIL_CLEAN);
    bc->unsynced = true;     /* what a dead writer left may not be synced, be it */
    bc->dir_unsynced = true; /* bytes or the name of a file */
    accept_loss(bc);
    tied = bc->tied;
    bc->tied = NULL;
  }
  pthread_rwlock_unlock(&bc->lock);
  if (alone) bc_store_unlock_merge(bc);
  return rc ? rc : finish_group(bc, tied, err);
}

static int enter_locked(bitcask *bc, bitcask_error *err) {
  bool fresh, again;
  int rc, e;

  pthread_rwlock_wrlock(&bc->lock);
  e = bc_state_map_write(&bc->state, bc->dir, &fresh);
  pthread_rwlock_unlock(&bc->lock);
  if (e) return bc_err_os(err, e, "cannot make %s/%s", bc->dir, BC_STATE_NAME);
  /* Lock files are to be of this directory. */
  rc = bc->admitted && bc_state_lock_pid(&bc->state) == bc->pid
           ? BITCASK_OK
           : bc_home_check_often(bc, NULL, err);
  if (rc) return rc;
  bc_lock_note_moment(&bc->state); /* a transaction that was killed may have left its note */
  rc = bc_lock_admit(&bc->state, bc->dir, &bc->admitted, &again, err);
  if (rc) return rc;
  if (fresh || again || bc->repairs_due || bc->missing || bc_state_sync_failed(&bc->state) ||
      bc_state_tail(&bc->state) != BC_TAIL_CLEAN) {
    return recover(bc, err);
  }
  return bc_refresh(bc, err);
}

int bc_writer_enter(bitcask *bc, const bitcask_wait *wait, bitcask_error *err) {
  bc_waiter w = {.wait = wait};
  int rc, e = 0;

  if (bc->opt.read_only) return bc_err(err, BITCASK_READONLY, "%s was opened read-only", bc->dir);
  rc = bc_store_poisoned(bc, err);
  if (rc) return rc;
  rc = bc_store_take_turn(bc, &w, err);
  if (rc) return rc;
  if (!bc->state.writable) {
    /* A reader may be about to open it for reading. */
    pthread_rwlock_wrlock(&bc->lock);
    rc = bc_home_check(bc, NULL, err);
    if (!rc) e = bc_state_open_write(&bc->state, bc->dir);
    pthread_rwlock_unlock(&bc->lock);
    if (rc) goto out;
  }
  if (e) {
    rc = bc_err_os(err, e, "cannot write to %s", bc->dir);
    goto out;
  }
  rc = bc_lock_write(&bc->state, &w, err);
  if (rc) goto out;
  rc = enter_locked(bc, err);
  if (rc) bc_unlock_write(&bc->state);
out:
  if (rc) bc_store_end_turn(bc);
  return rc;
}

void bc_writer_leave(bitcask *bc) {
  bc_unlock_write(&bc->state);
  bc_store_end_turn(bc);
}

/* -------------------------------------------------------- the active file */

static int sync_dir(bitcask *bc, bitcask_error *err) {
  int e = bc->env->sync_dir(bc->env->ctx, bc->dir);
  if (e) return bc_err_os(err, e, "cannot sync %s", bc->dir);
  bc->dir_unsynced = false;
  return BITCASK_OK;
}

/* Made and added in one, lest a catch-up of another thread finds it first.  Not
** O_EXCL: a failed attempt may have left it, empty, and the write lock and
** the lock files keep everybody else out. */
static int make_active(bitcask *bc, uint32_t id, bc_datafile **out, bitcask_error *err) {
  int rc = bc_home_check(bc, NULL, err), e;

  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  bc->dir_unsynced = true;
  rc = bc_datafile_open(bc->env, bc->dir, id, BC_OPEN_WRITE | BC_OPEN_CREATE, bc->opt.mmap, out, &e,
                        err);
  if (!rc && atomic_load(&(*out)->size)) {
    rc = bc_err(err, BITCASK_IOERR, "%s/%u.bitcask.data is there already", bc->dir, id);
  }
  if (!rc) rc = bc_store_add_file(bc, *out, err);
  if (!rc) {
    bc_datafile_ref(*out);
    bc->seen = (bc_position){id, 0};
  } else {
    bc_datafile_unref(*out);
    *out = NULL;
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

int bc_open_active(bitcask *bc, const bc_commit_point *p, bc_datafile **out, bitcask_error *err) {
  bc_datafile *df = bc_store_find(bc, p->active_id);
  int rc = BITCASK_OK;
  if (!df) {
    rc = make_active(bc, p->active_id, &df, err);
  } else if (!df->writable) {
    rc = bc_datafile_reopen(df, bc->dir, BC_OPEN_WRITE, NULL, err);
  }
  /* The name before the first commit in it: a synced commit in a file that a
  ** power cut takes away would be lost. */
  if (!rc && bc->dir_unsynced) rc = sync_dir(bc, err);
  if (rc) {
    bc_datafile_unref(df);
  } else {
    *out = df;
  }
  return rc;
}

int bc_sync_unstable(bitcask *bc, bitcask_error *err) {
  bc_position stable = {0, 0};
  bc_fileset *files;
  int rc = BITCASK_OK;

  (void)bc_state_stable(&bc->state, &stable);
  pthread_rwlock_rdlock(&bc->lock);
  files = bc_fileset_ref(bc->files);
  pthread_rwlock_unlock(&bc->lock);
  for (size_t i = files->n; i-- > 0 && !rc && files->file[i]->id >= stable.file_id;) {
    rc = bc_store_sync(bc, files->file[i], err);
  }
  bc_fileset_unref(files);
  return rc;
}

void bc_seal_below(bitcask *bc, uint32_t id) {
  uint32_t pending = bc_state_unsealed(&bc->state);
  bitcask_error e = {0};
  bc_fileset *files;

  pthread_rwlock_rdlock(&bc->lock);
  files = bc_fileset_ref(bc->files);
  pthread_rwlock_unlock(&bc->lock);
  for (size_t i = 0; i < files->n && files->file[i]->id < id; i++) {
    if (bc_seal_must_wait(bc, files->file[i]->id)) continue;
    if (bc_seal(bc, files->file[i], &e)) break;
    bc_datafile_settle(files->file[i]);
  }
  if (e.code) bc_store_log(bc, "%s", e.text);
  if (!e.code) bc_seal_note_done(bc, pending, id);
  bc_fileset_unref(files);
}

/* With the merge lock, so that no output is being written, and for a moment only: by
** another thread of this handle, or by nobody.  False: not now. */
static bool lock_for_sealing(bitcask *bc) {
  if (!bc_store_lock_merge(bc)) return false;
  /* What a merge has just finished must be known to its end. */
  if (!bc_refresh(bc, NULL)) return true;
  bc_store_unlock_merge(bc);
  return false;
}

void bc_seal_all(bitcask *bc) {
  uint32_t pending = bc_state_unsealed(&bc->state);
  if (!pending || pending >= bc_point(bc).active_id || !lock_for_sealing(bc)) return;
  bc_seal_below(bc, bc_point(bc).active_id);
  bc_store_unlock_merge(bc);
}

void bc_seal_some(bitcask *bc) {
  bitcask_error e = {0};
  bool did = false;
  if (!lock_for_sealing(bc)) return;
  if (bc_seal_step(bc, BC_STEP_SZ, &did, &e)) bc_store_log(bc, "%s", e.text);
  bc_store_unlock_merge(bc);
}

int bc_sync_all(bitcask *bc, bitcask_error *err) {
  bc_commit_point p = bc_point(bc);
  bc_position now = {p.active_id, p.committed};
  int rc = bc_sync_unstable(bc, err);
  if (rc) return rc;
  bc_state_set_stable(&bc->state, &now);
  bc->unsynced = false;
  return BITCASK_OK;
}

/* NULL: none is due, or to be had. */
static bc_checkpoint *begin_checkpoint(bitcask *bc, unsigned share) {
  bc_checkpoint *c = NULL;
  bitcask_error e = {0};
  int rc;

  if (!bc_checkpoint_is_due(bc, share)) return NULL;
  rc = bc_writer_enter(bc, NULL, &e); /* a commit is waiting for this */
  if (!rc) {
    rc = bc_sync_all(bc, &e);
    if (!rc) c = bc_checkpoint_begin(bc);
    bc_writer_leave(bc);
  }
  if (rc && rc != BITCASK_BUSY) bc_store_log(bc, "%s", e.text);
  return c;
}

void bc_save(bitcask *bc, unsigned share) {
  bc_checkpoint *c;

  bc_checkpoint_abandon(atomic_exchange(&bc->checkpoint, NULL)); /* of an older position */
  c = begin_checkpoint(bc, share);
  if (c) (void)bc_checkpoint_step(c, UINT64_MAX);
}

void bc_save_in_steps(bitcask *bc, unsigned share) {
  bc_checkpoint *c = atomic_load(&bc->saving) ? NULL : begin_checkpoint(bc, share);
  if (c) atomic_store(&bc->checkpoint, c);
}

void bc_save_step(bitcask *bc, uint64_t n) {
  bc_checkpoint *c = atomic_load(&bc->checkpoint) ? atomic_exchange(&bc->checkpoint, NULL) : NULL;
  /* Nobody else puts one there while this one is being written. */
  if (c && bc_checkpoint_step(c, n)) atomic_store(&bc->checkpoint, c);
}

int bc_rotate(bitcask *bc, uint32_t id, bitcask_error *err) {
  bc_commit_point p = bc_point(bc);
  bool synced = bc->opt.sync != BITCASK_SYNC_OFF;
  bc_datafile *sealed;
  /* Before anything goes to the next file: else a power cut could lose the end
  ** of this one and keep what came later. */
  int rc = synced ? bc_sync_unstable(bc, err) : BITCASK_OK;

  if (rc) return rc;
  sealed = synced ? bc_store_find(bc, p.active_id) : NULL;
  if (sealed) bc_store_note_length(bc, sealed);
  bc_datafile_unref(sealed);
  bc_state_add_unsealed(&bc->state, p.active_id); /* before anybody misses its hint */
  p.active_id = id;
  p.committed = 0;
  pthread_rwlock_wrlock(&bc->lock);
  bc_publish_point(bc, &p);
  bc->seen = (bc_position){id, 0};
  pthread_rwlock_unlock(&bc->lock);
  if (synced) bc_state_set_stable(&bc->state, &(bc_position){id, 0});
  bc->rotated = synced;
  return BITCASK_OK;
}
