/* store.c - see store.h. */
#include "store.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "buf.h"
#include "bytes.h"
#include "crc32.h"
#include "err.h"
#include "lock.h"
#include "name.h"

enum {
  ASK_AFTER = 64 * 1024,
  TURN_SLICE_MS = 2 /* between two looks at what another thread uses the write lock for */
};

static void uncount_live(bitcask *bc, const bc_place *old) {
  bc_datafile *df = bc_fileset_find(bc->files, old->file_id);
  if (!df) return;
  df->live_keys--;
  df->live_bytes -= old->total_sz;
  bc->died += old->total_sz;
}

int bc_store_pin(bitcask *bc, bc_pin *pin, bc_keydir_view *view) {
  pin->buried = bc->buried;
  pin->buried_view = bc->buried ? bc_keydir_view_open(bc->buried) : NULL;
  if (bc->buried && !pin->buried_view) return BITCASK_NOMEM;
  pin->doubt = bc->doubt;
  pin->keydir = bc->keydir;
  pin->view = view;
  pin->files = bc_fileset_ref(bc->files);
  pin->changes = atomic_load(&bc->changes);
  pin->next = bc->pins;
  pin->link = &bc->pins;
  if (pin->next) pin->next->link = &pin->next;
  bc->pins = pin;
  bc->snapshots++;
  return BITCASK_OK;
}

void bc_store_unpin(bitcask *bc, bc_pin *pin) {
  if (!pin->view) return;
  *pin->link = pin->next;
  if (pin->next) pin->next->link = pin->link;
  bc_keydir_view_close(pin->keydir, pin->view);
  if (pin->buried_view) bc_keydir_view_close(pin->buried, pin->buried_view);
  bc_fileset_unref(pin->files);
  pin->view = NULL;
  pin->files = NULL;
  bc->snapshots--;
}

void bc_store_park(bitcask *bc, bc_pin *pin) {
  /* An exchange: whoever clears has_parked must see the pin parked if we see it
  ** still set. */
  (void)atomic_exchange(&pin->state, BC_PIN_PARKED);
  if (!atomic_load(&bc->has_parked)) atomic_store(&bc->has_parked, true);
}

bool bc_store_unpark(bitcask *bc, bc_pin *pin) {
  bc_pin_state parked = BC_PIN_PARKED;
  return atomic_compare_exchange_strong(&pin->state, &parked, BC_PIN_USED) &&
         atomic_load(&bc->changes) == pin->changes;
}

static void revoke_parked(bitcask *bc) {
  bc_pin *pin, *next;
  atomic_store(&bc->has_parked, false);
  for (pin = bc->pins; pin; pin = next) {
    bc_pin_state parked = BC_PIN_PARKED;
    next = pin->next;
    if (atomic_compare_exchange_strong(&pin->state, &parked, BC_PIN_REVOKED)) {
      bc_store_unpin(bc, pin);
    }
  }
}

/* Before any change of the keydir or the files. */
static void note_change(bitcask *bc) {
  uint64_t n = atomic_load_explicit(&bc->changes, memory_order_relaxed);
  if (atomic_load(&bc->has_parked)) revoke_parked(bc);
  atomic_store_explicit(&bc->changes, n + 1, memory_order_release); /* nobody else writes it */
}

/* A newer record of a key ends the doubt about it.  (Only of one that is behind the damage
** is this called: what stands before is loaded before anything is buried.) */
static int exhume(bitcask *bc, const void *key, size_t key_sz) {
  bc_place old;
  bool had;
  return bc->buried
             ? bc_keydir_remove(bc->buried, bc_hash(bc, key, key_sz), key, key_sz, &old, &had)
             : BITCASK_OK;
}

static int put(bitcask *bc, const void *key, size_t key_sz, const bc_place *place) {
  bc_datafile *df;
  bc_place old;
  bool had;
  int rc;

  note_change(bc);
  if (exhume(bc, key, key_sz)) return BITCASK_NOMEM;
  rc = bc_keydir_put(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, place, &old, &had);
  if (rc) return rc;
  atomic_fetch_add_explicit(&bc->version, 1, memory_order_relaxed);
  if (had) uncount_live(bc, &old);
  df = bc_fileset_find(bc->files, place->file_id);
  if (df) {
    df->live_keys++;
    df->live_bytes += place->total_sz;
  }
  return BITCASK_OK;
}

int bc_store_put(bitcask *bc, const void *key, size_t key_sz, const bc_place *place) {
  bc->updates++;
  return put(bc, key, key_sz, place);
}

bool bc_store_defer(bitcask *bc, const void *key, size_t key_sz, const bc_place *place) {
  bc_datafile *df;

  if (!bc_keydir_defer(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, place)) return false;
  bc->updates++;
  atomic_fetch_add_explicit(&bc->version, 1, memory_order_relaxed);
  df = place->total_sz ? bc_fileset_find(bc->files, place->file_id) : NULL;
  if (df) {
    df->live_keys++;
    df->live_bytes += place->total_sz;
  }
  return true;
}

int bc_store_settle(bitcask *bc, bitcask_error *err) {
  bc_keydir_replaced *r;
  size_t n;
  int rc = bc_keydir_settle(bc->keydir, &r, &n);

  if (rc) return bc_store_lost_keydir(bc, err);
  for (size_t i = 0; i < n; i++) {
    bc_datafile *df = bc_fileset_find(bc->files, r[i].file_id);
    if (!df) continue;
    df->live_keys -= r[i].keys;
    df->live_bytes -= r[i].bytes;
  }
  free(r);
  return BITCASK_OK;
}

int bc_store_move(bitcask *bc, const void *key, size_t key_sz, const bc_place *place) {
  bc_datafile *df = bc_fileset_find(bc->files, place->file_id);
  int rc = put(bc, key, key_sz, place);
  if (!rc && df) df->moved_at = atomic_load_explicit(&bc->version, memory_order_relaxed);
  return rc;
}

int bc_store_remove(bitcask *bc, const void *key, size_t key_sz) {
  bc_place old;
  bool had;
  int rc;

  note_change(bc);
  if (exhume(bc, key, key_sz)) return BITCASK_NOMEM;
  rc = bc_keydir_remove(bc->keydir, bc_hash(bc, key, key_sz), key, key_sz, &old, &had);
  if (rc || !had) return rc;
  bc->updates++;
  atomic_fetch_add_explicit(&bc->version, 1, memory_order_relaxed);
  uncount_live(bc, &old);
  return BITCASK_OK;
}

int bc_store_add_file(bitcask *bc, bc_datafile *df, bitcask_error *err) {
  bc_fileset *fs = bc_fileset_with(bc->files, df);
  if (!fs) return bc_err_nomem(err);
  bc_fileset_unref(bc->files);
  bc->files = fs;
  if (df->id > bc->max_id) bc->max_id = df->id;
  return BITCASK_OK;
}

int bc_store_drop_file(bitcask *bc, uint32_t id, bitcask_error *err) {
  bc_fileset *fs = bc_fileset_without(bc->files, id);
  bc_datafile *df = bc_fileset_find(bc->files, id);
  /* Snapshots still use it, and nobody will settle its counts. */
  if (df && !bc_keydir_is_settled(bc->keydir)) df->moved_at = UINT64_MAX;
  note_change(bc);
  if (!fs) return bc_err_nomem(err);
  bc_fileset_unref(bc->files);
  bc->files = fs;
  bc_store_find_doubt(bc);
  return BITCASK_OK;
}

void bc_store_find_doubt(bitcask *bc) {
  bc->doubt = (bc_doubt){0};
  for (size_t i = bc->files->n; i-- > 0 && bc->opt.damage == BITCASK_DAMAGE_REFUSE;) {
    const bc_datafile *df = bc->files->file[i];
    if (!df->doubt_to) continue;
    bc->doubt = (bc_doubt){df->doubt_from, df->doubt_to, df->id};
    break;
  }
  if (bc->doubt.to) return;
  bc_keydir_free(bc->buried);
  bc->buried = NULL;
}

int bc_store_tell_doubt(const bitcask *bc, const bc_doubt *d, bitcask_error *err) {
  return bc_err_at(err, BITCASK_CORRUPT, d->file_id, d->from,
                   "%s/%u.bitcask.data: %llu bytes at %llu are damaged, and the newest record of "
                   "this key may have been among them; verify tells more, a merge accepts the "
                   "loss, damage=ignore reads what is left",
                   bc->dir, d->file_id, (unsigned long long)(d->to - d->from),
                   (unsigned long long)d->from);
}

bc_datafile *bc_store_find(bitcask *bc, uint32_t id) {
  bc_datafile *df;
  pthread_rwlock_rdlock(&bc->lock);
  df = bc_fileset_find(bc->files, id);
  if (df) bc_datafile_ref(df);
  pthread_rwlock_unlock(&bc->lock);
  return df;
}

/* The turn is another thread's: wait a little for its end, or give up? */
static int wait_for_turn(bitcask *bc, bc_waiter *w, bitcask_error *err) {
  uint64_t until = bc->env->monotonic_ms(bc->env->ctx) + TURN_SLICE_MS;
  struct timespec ts = {(time_t)(until / 1000), (long)(until % 1000) * 1000000};
  int rc = BITCASK_OK;

  if (!w->wait) return bc_err(err, BITCASK_BUSY, "another thread is writing to %s", bc->dir);
  /* Else that thread is changing the store, perhaps mapping the state page: ask again. */
  if (!pthread_rwlock_tryrdlock(&bc->lock)) {
    rc = bc_lock_wait_for_thread(&bc->state, w, err);
    pthread_rwlock_unlock(&bc->lock);
  }
  if (rc) return rc;
  pthread_mutex_lock(&bc->writer_mutex);
  if (bc->writer_busy) {
    (void)pthread_cond_clockwait(&bc->writer_cond, &bc->writer_mutex, CLOCK_MONOTONIC, &ts);
  }
  pthread_mutex_unlock(&bc->writer_mutex);
  return BITCASK_OK;
}

int bc_store_take_turn(bitcask *bc, bc_waiter *w, bitcask_error *err) {
  bool busy;
  int rc = BITCASK_OK;

  do {
    pthread_mutex_lock(&bc->writer_mutex);
    busy = bc->writer_busy;
    bc->writer_busy = true;
    pthread_mutex_unlock(&bc->writer_mutex);
    if (busy) rc = wait_for_turn(bc, w, err);
  } while (busy && !rc);
  return rc;
}

bool bc_store_is_writing(bitcask *bc) {
  bool yes;
  pthread_mutex_lock(&bc->writer_mutex);
  yes = bc->writer_busy;
  pthread_mutex_unlock(&bc->writer_mutex);
  return yes;
}

bool bc_store_is_merging(bitcask *bc) {
  bool yes;
  pthread_mutex_lock(&bc->writer_mutex);
  yes = bc->merging;
  pthread_mutex_unlock(&bc->writer_mutex);
  return yes;
}

bool bc_store_take_merge(bitcask *bc, bool step) {
  bool free;
  pthread_mutex_lock(&bc->writer_mutex);
  while (bc->merging && bc->merging_step && !step) {
    pthread_cond_wait(&bc->merge_cond, &bc->writer_mutex);
  }
  free = !bc->merging;
  if (free) bc->merging_step = step;
  bc->merging = true;
  pthread_mutex_unlock(&bc->writer_mutex);
  return free;
}

void bc_store_end_merge(bitcask *bc) {
  pthread_mutex_lock(&bc->writer_mutex);
  bc->merging = false;
  pthread_cond_broadcast(&bc->merge_cond);
  pthread_mutex_unlock(&bc->writer_mutex);
}

bool bc_store_lock_merge(bitcask *bc) {
  if (!bc_store_take_merge(bc, true)) return false;
  if (!bc_lock_merge(&bc->state, NULL)) return true;
  bc_store_end_merge(bc);
  return false;
}

void bc_store_unlock_merge(bitcask *bc) {
  bc_unlock_merge(&bc->state);
  bc_store_end_merge(bc);
}

void bc_store_end_turn(bitcask *bc) {
  pthread_mutex_lock(&bc->writer_mutex);
  bc->writer_busy = false;
  pthread_cond_signal(&bc->writer_cond);
  pthread_mutex_unlock(&bc->writer_mutex);
}

void bc_store_count(bc_datafile *df, uint32_t tstamp, uint32_t tombstone_sz) {
  if (!df->n_records++ || tstamp < df->oldest_tstamp) df->oldest_tstamp = tstamp;
  if (tstamp > df->newest_tstamp) df->newest_tstamp = tstamp;
  df->n_tombstones += tombstone_sz != 0;
  df->tombstone_bytes += tombstone_sz;
}

void bc_store_log(const bitcask *bc, const char *fmt, ...) {
  char text[1200];
  va_list ap;
  if (!bc->opt.log) return;
  va_start(ap, fmt);
  vsnprintf(text, sizeof text, fmt, ap);
  va_end(ap);
  bc->opt.log(bc->opt.log_ctx, text);
}

int bc_store_progress(bitcask *bc, uint64_t n, bitcask_error *err) {
  bc->n_unasked += n;
  if (bc->n_unasked < ASK_AFTER) return BITCASK_OK;
  bc->n_unasked = 0;
  if (!bc->opt.progress || !bc->opt.progress(bc->opt.progress_ctx)) return BITCASK_OK;
  return bc_err(err, BITCASK_INTERRUPT, "%s: reading the log was interrupted", bc->dir);
}

int bc_store_poisoned(const bitcask *bc, bitcask_error *err) {
  int e = atomic_load(&bc->poisoned);
  if (!e) return BITCASK_OK;
  return bc_err_os(
      err, e, "an earlier sync of %s failed, so nothing more is written until it is opened anew",
      bc->dir);
}

/* What the kernel dropped cannot be known: write no more, and look at the disk
** again before anything else is read. */
static void poison(bitcask *bc, int e) {
  atomic_store(&bc->poisoned, e);
  atomic_store(&bc->stale, true);
  bc_state_set_sync_failed(&bc->state, true);
}

int bc_store_sync(bitcask *bc, bc_datafile *df, bitcask_error *err) {
  int rc = bc_store_poisoned(bc, err), e = 0;
  if (!rc) rc = bc_datafile_sync(df, bc->dir, &e, err);
  if (rc || !e) return rc;
  poison(bc, e);
  return bc_err_os(
      err, e, "cannot sync %s/%u.bitcask.data; writing stops until the directory is opened anew",
      bc->dir, df->id);
}

int bc_store_sync_state(bitcask *bc, bitcask_error *err) {
  int e = bc->env->fdatasync(bc->env->ctx, bc->state.fd);
  if (!e) return BITCASK_OK;
  poison(bc, e);
  return bc_err_os(err, e, "cannot sync %s/bitcask.state; writing stops until it is opened anew",
                   bc->dir);
}

enum { LEAST_SZ = 4 }; /* bytes that a file is known by */

void bc_store_note_length(bitcask *bc, bc_datafile *df) {
  bc_position end = {df->id, atomic_load(&df->size)};
  if (end.offset >= LEAST_SZ) bc_state_set_length(&bc->state, &end, bc_datafile_first(df));
}

bool bc_store_length(const bitcask *bc, bc_datafile *df, uint64_t *out) {
  uint32_t first;
  return bc_state_length(&bc->state, df->id, out, &first) &&
         (atomic_load(&df->size) < LEAST_SZ || bc_datafile_first(df) == first);
}

int bc_store_size_on_disk(const bitcask *bc, uint32_t id, uint64_t *size, bool *gone,
                          bitcask_error *err) {
  bitcask_buf path = {0};
  bc_stat st;
  int rc = BITCASK_OK, e;

  if (bc_name_data(&path, bc->dir, id, "")) return bc_err_nomem(err);
  e = bc->env->lstat(bc->env->ctx, (char *)path.data, &st);
  if (gone) *gone = e == ENOENT;
  if (!e) *size = st.size;
  if (e && !(gone && *gone)) rc = bc_err_os(err, e, "cannot stat %s", path.data);
  bitcask_buf_free(&path);
  return rc;
}

uint32_t bc_store_cutoff(const bitcask *bc) {
  int64_t t;
  if (!bc->opt.expiry_secs) return 0;
  t = bc->env->now(bc->env->ctx) - (int64_t)bc->opt.expiry_secs;
  return t <= 0 ? 0 : t > UINT32_MAX ? UINT32_MAX : (uint32_t)t;
}

int bc_store_read(const bitcask *bc, bc_datafile *df, const bc_place *place, const void *key,
                  size_t key_sz, bitcask_buf *scratch, const void **value, uint32_t *value_sz,
                  bitcask_error *err) {
  const uint8_t *p;
  uint64_t size = atomic_load_explicit(&df->size, memory_order_acquire);
  int rc;

  if (place->offset > size || place->total_sz > size - place->offset) {
    return bc_err_at(err, BITCASK_CORRUPT, df->id, place->offset,
                     "%s/%u.bitcask.data: a record at %llu would end behind the file", bc->dir,
                     df->id, (unsigned long long)place->offset);
  }
  rc = bc_datafile_read(df, place->offset, place->total_sz, scratch, &p, err);
  if (rc) return rc;
  if (place->total_sz < BC_RECORD_HEADER_SZ + key_sz || bc_record_size(p) != place->total_sz ||
      bc_get16(p + 8) != key_sz || memcmp(p + BC_RECORD_HEADER_SZ, key, key_sz) != 0 ||
      (bc->opt.verify && bc_crc32(0, p + 4, place->total_sz - 4) != bc_get32(p))) {
    return bc_err_at(err, BITCASK_CORRUPT, df->id, place->offset,
                     "%s/%u.bitcask.data: the record at %llu fails its check; verify tells what "
                     "else is damaged, a merge keeps the rest",
                     bc->dir, df->id, (unsigned long long)place->offset);
  }
  *value = p + BC_RECORD_HEADER_SZ + key_sz;
  *value_sz = place->total_sz - BC_RECORD_HEADER_SZ - (uint32_t)key_sz;
  return BITCASK_OK;
}

int bc_store_lost_keydir(bitcask *bc, bitcask_error *err) {
  atomic_store(&bc->stale, true);
  return bc_err(
      err, BITCASK_IOERR,
      "%s/bitcask.keydir is damaged, and reading the log in its stead has failed; try again",
      bc->dir);
}

bool bc_store_is_child(const bitcask *bc) {
  return bc->fork_guard ? !*bc->fork_guard : bc->env->pid(bc->env->ctx) != bc->pid;
}

int bc_store_moved(const bitcask *bc, bitcask_error *err) {
  static const char *const what[] = {[BC_MOVED_DIRECTORY] = "the directory",
                                     [BC_MOVED_STATE] = "bitcask.state in it",
                                     [BC_MOVED_DATA] = "the newest data file in it"};
  bc_moved moved = atomic_load_explicit(&bc->moved, memory_order_relaxed);

  if (moved == BC_NOT_MOVED) return BITCASK_OK;
  return bc_err(
      err, BITCASK_MOVED,
      "%s was opened, and %s has been removed, renamed or replaced since; nothing more is "
      "read or written until the directory is opened anew",
      bc->home.name, what[moved]);
}

int bc_store_check(const bitcask *bc, bitcask_error *err) {
  if (!bc_store_is_child(bc)) return bc_store_moved(bc, err);
  return bc_err(err, BITCASK_INVALID,
                "%s was opened by process %u; a forked process must open it anew", bc->dir,
                bc->pid);
}

int bc_store_check_key(const void *key, size_t key_sz, bitcask_error *err) {
  if (key_sz > BC_MAX_KEY_SZ) {
    return bc_err(err, BITCASK_TOOBIG, "the key has %zu bytes, the limit is 65535", key_sz);
  }
  if (!key && key_sz) return bc_err(err, BITCASK_INVALID, "the key is NULL");
  return BITCASK_OK;
}
