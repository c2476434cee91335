/*
** bitcask.c - the façade of bitcask.h: opening and closing, single operations,
** statistics.  Transactions are in txn.c, snapshots and iteration in fold.c,
** merge in merge.c, verify in verify.c, backup in backup.c, history in history.c.
*/
#include "bitcask.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "checkpoint.h"
#include "engine.h"
#include "err.h"
#include "home.h"
#include "load.h"
#include "lock.h"
#include "name.h"
#include "policy.h"
#include "seal.h"
#include "store.h"
#include "txn.h"
#include "writer.h"

/* Replaying 10,000 records takes a few ms: less is not worth a file. */
enum { SAVE_LEAST = 10000 };

const char *bitcask_version(void) { return BITCASK_VERSION; }

void bitcask_options_init(bitcask_options *o) {
  *o = (bitcask_options){.sync = BITCASK_SYNC_FULL,
                         .mmap = true,
                         .verify = true,
                         .auto_merge = true,
                         .max_file_size = UINT64_C(2) << 30,
                         .frag_merge_trigger = 60,
                         .frag_threshold = 40,
                         .dead_bytes_merge_trigger = UINT64_C(512) << 20,
                         .dead_bytes_threshold = UINT64_C(128) << 20,
                         .small_file_threshold = UINT64_C(10) << 20};
}

/* ---------------------------------------------------------- open and close */

static int check_options(const bitcask_options *o, bitcask_error *err) {
  if (!o->max_file_size || o->max_file_size > BC_MAX_OFFSET) {
    return bc_err(err, BITCASK_INVALID, "max_file_size must be between 1 and 2^48-1");
  }
  if (o->sync != BITCASK_SYNC_FULL && o->sync != BITCASK_SYNC_NORMAL &&
      o->sync != BITCASK_SYNC_OFF) {
    return bc_err(err, BITCASK_INVALID, "sync must be full, normal or off");
  }
  if (o->damage != BITCASK_DAMAGE_REFUSE && o->damage != BITCASK_DAMAGE_IGNORE) {
    return bc_err(err, BITCASK_INVALID, "damage must be refuse or ignore");
  }
  return BITCASK_OK;
}

/* Make a directory and its parents; each name is synced into its parent, or a
** power cut could take the whole store away. */
static int make_dirs(const bc_env *env, const char *dir, bitcask_error *err) {
  bitcask_buf path = {0};
  char *p, *slash;
  int e = 0;

  if (bc_buf_printf(&path, "%s", dir)) return bc_err_nomem(err);
  for (p = (char *)path.data + 1; !e; p++) {
    if (*p != '/' && *p) continue;
    char c = *p;
    *p = 0;
    e = env->mkdir(env->ctx, (char *)path.data);
    if (!e) {
      slash = strrchr((char *)path.data, '/');
      if (slash == (char *)path.data) {
        e = env->sync_dir(env->ctx, "/");
      } else {
        if (slash) *slash = 0;
        e = env->sync_dir(env->ctx, slash ? (char *)path.data : ".");
        if (slash) *slash = '/';
      }
    } else if (e == EEXIST || (c && (e == EROFS || e == EACCES || e == EISDIR))) {
      e = 0; /* a parent that is there, whatever may be done with it */
    }
    *p = c;
    if (!c) break;
  }
  bitcask_buf_free(&path);
  return e ? bc_err_os(err, e, "cannot make the directory %s", dir) : BITCASK_OK;
}

static int find_dir(const bc_env *env, const char *dir, const bitcask_options *o, char **out,
                    bitcask_error *err) {
  bc_stat st;
  int rc, e;

  e = env->stat(env->ctx, dir, &st);
  if (e == ENOENT && o->create && !o->read_only) {
    rc = make_dirs(env, dir, err);
    if (rc) return rc == BITCASK_NOMEM ? rc : BITCASK_CANTOPEN;
    e = env->stat(env->ctx, dir, &st);
  }
  if (e) {
    bc_err_os(err, e, "cannot open the directory %s", dir);
    return BITCASK_CANTOPEN;
  }
  if (!S_ISDIR(st.mode)) return bc_err(err, BITCASK_CANTOPEN, "%s is not a directory", dir);
  e = env->realpath(env->ctx, dir, out);
  if (e) {
    bc_err_os(err, e, "cannot resolve %s", dir);
    return BITCASK_CANTOPEN;
  }
  return BITCASK_OK;
}

static void release(bitcask *bc) {
  bc_checkpoint_abandon(atomic_exchange(&bc->checkpoint, NULL));
  if (bc->spare_txn) {
    bc_txlog_unref(bc->spare_txn->log);
    free(bc->spare_txn);
  }
  bc_seal_release(bc);
  bc_keydir_free(bc->keydir);
  bc_keydir_free(bc->buried);
  bc_fileset_unref(bc->removed);
  bc_fileset_unref(bc->files);
  bc_state_release(&bc->state);
  bc_home_release(bc);
  if (bc->fork_guard) bc->env->unmap(bc->env->ctx, (void *)(uintptr_t)bc->fork_guard, 4096);
  pthread_rwlock_destroy(&bc->lock);
  pthread_mutex_destroy(&bc->writer_mutex);
  pthread_cond_destroy(&bc->writer_cond);
  pthread_cond_destroy(&bc->merge_cond);
  free(bc->distrusted);
  free(bc->saved);
  free(bc->tied);
  free(bc->dir);
  free(bc);
}

static bitcask *make(const bc_env *env, const bitcask_options *o) {
  bitcask *bc = calloc(1, sizeof *bc);
  pthread_rwlockattr_t attr;
  void *guard = NULL;
  uint64_t seed;

  if (!bc) return NULL;
  bc->env = env;
  bc->opt = *o;
  /* Older values that are read in place of lost ones must not become the newest by themselves. */
  if (o->damage == BITCASK_DAMAGE_IGNORE) bc->opt.auto_merge = false;
  bc->pid = env->pid(env->ctx);
  pthread_rwlockattr_init(&attr);
  /* Or readers that never pause would keep a publish waiting for ever. */
  pthread_rwlockattr_setkind_np(&attr, PTHREAD_RWLOCK_PREFER_WRITER_NONRECURSIVE_NP);
  pthread_rwlock_init(&bc->lock, &attr);
  pthread_rwlockattr_destroy(&attr);
  pthread_mutex_init(&bc->writer_mutex, NULL);
  pthread_cond_init(&bc->writer_cond, NULL);
  pthread_cond_init(&bc->merge_cond, NULL);
  if (!env->fork_guard || env->fork_guard(env->ctx, &guard)) guard = NULL;
  bc->fork_guard = guard;
  if (env->random(env->ctx, &seed, sizeof seed)) seed = (uint64_t)(uintptr_t)bc;
  if (env->random(env->ctx, &bc->token, sizeof bc->token)) bc->token = seed ^ bc->pid;
  bc->keydir = bc_keydir_new(seed);
  bc->files = bc_fileset_new();
  bc->first_out = 1;
  bc->save_least = SAVE_LEAST;
  bc->home.fd = -1;
  bc->state.fd = bc->state.read_fd = -1;
  bc->state.env = env;
  if (bc->keydir && bc->files) return bc;
  release(bc);
  return NULL;
}

/* A writable handle mends what a crash left, unless another writer is there to
** do it; what then cannot be mended is no reason not to read. */
static void repair_now(bitcask *bc) {
  bitcask_error e = {0};
  int rc;
  if (bc->opt.read_only || !bc->repairs_due) return;
  rc = bc_writer_enter(bc, NULL, &e);
  if (!rc) bc_writer_leave(bc);
  if (rc && rc != BITCASK_BUSY) bc_store_log(bc, "%s: not repaired: %s", bc->dir, e.text);
}

int bc_open_env(const char *dir, const bitcask_options *o, const bc_env *env, bitcask **out,
                bitcask_error *err) {
  bitcask *bc = NULL;
  char *path = NULL;
  int rc, e;

  *out = NULL;
  bc_err_clear(err);
  rc = check_options(o, err);
  if (!rc) rc = find_dir(env, dir, o, &path, err);
  if (rc) goto out;
  bc = make(env, o);
  if (!bc) {
    rc = bc_err_nomem(err);
    goto out;
  }
  bc->dir = path;
  path = NULL;
  rc = bc_home_open(bc, dir, err);
  if (rc) goto out;
  e = bc_state_init(&bc->state, env);
  if (e) {
    rc = bc_err_os(err, e, "cannot read the boot id");
    goto out;
  }
  rc = bc_load(bc, err);
  bc->opt.progress = NULL;                           /* its context need not outlive the opening */
  if (rc == BITCASK_READONLY) rc = BITCASK_CANTOPEN; /* not readable by this user */
  if (rc) goto out;
  repair_now(bc);
  *out = bc;
  bc = NULL;
out:
  if (rc && err) err->code = rc;
  if (bc) release(bc);
  free(path);
  return rc;
}

void bc_save_early(bitcask *bc) { bc->save_least = 1; }

int bitcask_open(const char *dir, const bitcask_options *o, bitcask **out, bitcask_error *err) {
  return bc_open_env(dir, o, &bc_env_posix, out, err);
}

/* Sync what is not, and note how far the log is stable, unless another process
** is writing: then it is synced all the same. */
static int sync_quietly(bitcask *bc, bitcask_error *err) {
  bitcask_error e = {0};
  uint64_t merges;
  int rc = bc_writer_enter(bc, NULL, &e);
  if (rc == BITCASK_BUSY) {
    do { /* again, if one could not be opened because it has just been merged */
      bc_err_clear(err);
      rc = bc_refresh(bc, err); /* files that others have begun are to be synced, too */
      merges = atomic_load(&bc->merges);
      if (!rc) rc = bc_sync_unstable(bc, err);
    } while (rc == BITCASK_IOERR && bc_state_merges(&bc->state) != merges);
    return rc;
  }
  if (rc) {
    if (err) *err = e;
    return rc;
  }
  rc = bc_sync_all(bc, err);
  bc_writer_leave(bc);
  return rc;
}

/* Before something is acknowledged: of the directory that has the name? */
static int look(bitcask *bc, bitcask_error *err) {
  int rc;
  pthread_rwlock_rdlock(&bc->lock);
  rc = bc_home_check(bc, NULL, err);
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

int bitcask_sync(bitcask *bc, bitcask_error *err) {
  int rc;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = sync_quietly(bc, err);
  return rc ? rc : look(bc, err);
}

int bitcask_close(bitcask *bc, bitcask_error *err) {
  int rc = BITCASK_OK;

  bc_err_clear(err);
  if (!bc) return BITCASK_OK;
  if (bc->n_txns || bc->snapshots || bc->merging) {
    return bc_err(err, BITCASK_INVALID, "%s: transactions, snapshots or a merge are still open",
                  bc->dir);
  }
  if (bc_store_is_child(bc)) {
    /* In a forked child: let go of the memory, leave the parent's locks. */
    release(bc);
    return BITCASK_OK;
  }
  /* Else what is done here by a path would be done to another directory. */
  rc = bc_home_check(bc, NULL, err);
  if (rc == BITCASK_MOVED) {
    release(bc);
    return rc;
  }
  rc = BITCASK_OK;
  if (bc->admitted && !atomic_load(&bc->poisoned)) {
    if (bc->unsynced) rc = sync_quietly(bc, err);
    bc_seal_all(bc);
    if (!rc) bc_save(bc, BC_SAVE_SHARE);
  }
  if (bc->admitted) bc_seal_quit(bc);
  bc_lock_leave(&bc->state, bc->dir, &bc->admitted);
  release(bc);
  return rc;
}

int bitcask_refresh(bitcask *bc, bitcask_error *err) {
  int rc;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  return rc ? rc : bc_refresh(bc, err);
}

/* -------------------------------------------------------- single operations */

/* With `lock` shared. */
static int get_locked(bitcask *bc, const void *key, size_t key_sz, bitcask_buf *value,
                      bc_place *place, bitcask_error *err) {
  bitcask_buf scratch = {0};
  bc_datafile *df;
  const void *v;
  uint32_t v_sz;
  int rc;

  if (!bc_keydir_get(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, place)) {
    if (bc_keydir_error(bc->keydir)) return bc_store_lost_keydir(bc, err);
    return bc_store_check_absent(
        bc, &bc->doubt,
        bc->buried && bc_keydir_get(bc->buried, bc_hash(bc, key, key_sz), key, key_sz, NULL), err);
  }
  if (bc_store_check_place(bc, &bc->doubt, place, err)) return BITCASK_CORRUPT;
  if (place->tstamp < bc_store_cutoff(bc)) return BITCASK_NOTFOUND;
  df = bc_fileset_find(bc->files, place->file_id);
  if (!df) {
    return bc_err_at(err, BITCASK_CORRUPT, place->file_id, place->offset,
                     "%s/%u.bitcask.data is missing", bc->dir, place->file_id);
  }
  rc = bc_store_read(bc, df, place, key, key_sz, &scratch, &v, &v_sz, err);
  if (!rc && bc_buf_append(value, v, v_sz)) rc = bc_err_nomem(err);
  bitcask_buf_free(&scratch);
  return rc;
}

static int try_get(bitcask *bc, const void *key, size_t key_sz, bitcask_buf *value, bc_place *place,
                   bitcask_error *err) {
  bool stale;
  int rc;
  do {
    rc = bc_refresh(bc, err);
    if (rc) return rc;
    pthread_rwlock_rdlock(&bc->lock);
    stale = atomic_load(&bc->stale); /* another thread's catch-up has just failed */
    if (!stale) {
      rc = get_locked(bc, key, key_sz, value, place, err);
      /* A damaged part of the checkpoint: what is loaded anew has none. */
      stale = rc && bc_keydir_error(bc->keydir) && atomic_load(&bc->stale);
      if (stale) bc_err_clear(err);
    }
    pthread_rwlock_unlock(&bc->lock);
  } while (stale);
  return rc;
}

int bitcask_get(bitcask *bc, const void *key, size_t key_sz, bitcask_buf *value,
                bitcask_error *err) {
  bc_place place;
  bitcask_error first;
  int rc;

  value->size = 0;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_store_check_key(key, key_sz, err);
  if (rc) return rc;
  if (!key) key = "";
  bc_err_clear(&first);
  rc = try_get(bc, key, key_sz, value, &place, &first);
  if (rc == BITCASK_CORRUPT && bc_hint_misleads(bc, &place, key, key_sz)) {
    bc_err_clear(&first);
    rc = bc_distrust_hint(bc, place.file_id, &first);
    if (!rc) rc = try_get(bc, key, key_sz, value, &place, &first);
  }
  if (rc && rc != BITCASK_NOTFOUND && err) *err = first;
  return rc;
}

/* A transaction of one record; `value` NULL deletes. */
static int write_one(bitcask *bc, const void *key, size_t key_sz, const void *value,
                     size_t value_sz, bitcask_error *err) {
  bitcask_txn *txn;
  int rc = bitcask_begin(bc, bc->opt.timeout_ms, &txn, err);
  if (rc) return rc;
  rc = value ? bitcask_txn_put(txn, key, key_sz, value, value_sz, err)
             : bitcask_txn_delete(txn, key, key_sz, err);
  if (!rc) rc = bitcask_txn_prepare(txn, err);
  if (rc) {
    bitcask_txn_rollback(txn);
  } else {
    bitcask_txn_publish(txn);
  }
  return rc;
}

int bitcask_put(bitcask *bc, const void *key, size_t key_sz, const void *value, size_t value_sz,
                bitcask_error *err) {
  return write_one(bc, key, key_sz, value ? value : "", value_sz, err);
}

int bitcask_delete(bitcask *bc, const void *key, size_t key_sz, bitcask_error *err) {
  return write_one(bc, key, key_sz, NULL, 0, err);
}

/* -------------------------------------------------------------- statistics */

static uint32_t active_id(const bitcask *bc) {
  bc_commit_point p;
  uint64_t generation;
  const bc_datafile *last;
  if (bc_state_read(&bc->state, &p, &generation)) return p.active_id;
  last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  return last && !last->has_hint ? last->id : BITCASK_NO_FILE;
}

int bitcask_files(bitcask *bc, bitcask_file_stat **out, size_t *n, bitcask_error *err) {
  uint32_t active;
  int rc;

  *out = NULL;
  *n = 0;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_refresh(bc, err);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  rc = bc_settle(bc, err);
  active = active_id(bc);
  *out = rc ? NULL : calloc(bc->files->n + 1, sizeof **out);
  if (*out) {
    *n = bc->files->n;
    for (size_t i = 0; i < *n; i++) bc_file_stat(bc->files->file[i], active, &(*out)[i]);
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc || *out ? rc : bc_err_nomem(err);
}

/* With `lock`: those listed that have the marks and are not read. */
static size_t pick_retired(const bitcask *bc, const bc_listing *l, bitcask_file_stat *out) {
  size_t n = 0;
  for (size_t i = 0; i < l->n; i++) {
    const bc_listed *f = &l->file[i];
    if (!(f->mode & BC_DELETION_MARKS) || bc_fileset_find(bc->files, f->id)) continue;
    out[n++] = (bitcask_file_stat){.file_id = f->id,
                                   .state = BITCASK_FILE_RETIRED,
                                   .total_bytes = f->size,
                                   .dead_bytes = f->size};
  }
  return n;
}

int bitcask_retired_files(bitcask *bc, bitcask_file_stat **out, size_t *n, bitcask_error *err) {
  bc_listing l = {0};
  int rc;

  *out = NULL;
  *n = 0;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_refresh(bc, err);
  if (!rc) rc = bc_listing_read(&l, bc->env, bc->dir, err);
  if (rc) return rc;
  *out = calloc(l.n + 1, sizeof **out);
  if (*out) {
    pthread_rwlock_rdlock(&bc->lock);
    *n = pick_retired(bc, &l, *out);
    pthread_rwlock_unlock(&bc->lock);
  }
  bc_listing_release(&l);
  return *out ? BITCASK_OK : bc_err_nomem(err);
}

void bitcask_files_free(bitcask_file_stat *files) { free(files); }

static uint64_t hint_size(const bitcask *bc, uint32_t id) {
  bitcask_buf path = {0};
  bc_stat st = {0};
  if (bc_name_hint(&path, bc->dir, id, "") ||
      bc->env->lstat(bc->env->ctx, (char *)path.data, &st)) {
    st.size = 0;
  }
  bitcask_buf_free(&path);
  return st.size;
}

/* With `lock` exclusive.  BITCASK_NOMEM. */
static int count_doubtful(bitcask *bc, uint64_t *out, bitcask_error *err) {
  bc_keydir_view *view;
  uint64_t cursor = 0;
  bc_place place;
  const void *key;
  uint32_t key_sz;

  *out = 0;
  if (!bc->doubt.to) return BITCASK_OK;
  view = bc_keydir_view_open(bc->keydir);
  if (!view) return bc_err_nomem(err);
  while (bc_keydir_view_next(view, &cursor, &key, &key_sz, &place)) {
    *out += bc_is_doubtful(&bc->doubt, &place);
  }
  bc_keydir_view_close(bc->keydir, view);
  if (bc->buried) *out += bc_keydir_count(bc->buried);
  return BITCASK_OK;
}

int bitcask_status(bitcask *bc, bitcask_status_info *out, bitcask_error *err) {
  bitcask_file_stat *f = NULL;
  size_t n;
  int rc;

  *out = (bitcask_status_info){0};
  rc = bitcask_files(bc, &f, &n, err);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  rc = count_doubtful(bc, &out->doubtful_keys, err);
  out->missing_bytes = bc->lost;
  out->keys = bc_keydir_count(bc->keydir);
  out->key_bytes = bc_keydir_key_bytes(bc->keydir);
  out->keydir_bytes = bc_keydir_memory(bc->keydir);
  out->snapshots = bc->snapshots;
  out->generation = atomic_load(&bc->version);
  out->active_file = active_id(bc);
  pthread_rwlock_unlock(&bc->lock);
  out->files = n;
  for (size_t i = 0; i < n; i++) {
    out->live_bytes += f[i].live_bytes;
    out->dead_bytes += f[i].dead_bytes;
    out->disk_bytes += f[i].total_bytes + hint_size(bc, f[i].file_id);
  }
  bitcask_files_free(f);
  out->writer_pid = bc_lock_writer_pid(bc->env, bc->dir);
  return rc;
}

int bitcask_is_empty(bitcask *bc, bool *out, bitcask_error *err) {
  int rc;
  *out = false;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_refresh(bc, err);
  if (rc) return rc;
  pthread_rwlock_wrlock(&bc->lock);
  rc = bc_settle(bc, err);
  *out = !rc && bc_keydir_count(bc->keydir) == 0;
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

bool bitcask_is_moved(const bitcask *bc) { return atomic_load(&bc->moved) != BC_NOT_MOVED; }

const char *bitcask_dir(const bitcask *bc) { return bc->dir; }

int bitcask_file_path(const bitcask *bc, uint32_t file_id, bitcask_buf *out) {
  return bc_name_data(out, bc->dir, file_id, "");
}
