/*
** txn.c - see txn.h.
**
** The order of a commit, and what a crash in between leaves:
**   tail: appended       the next writer looks behind the commit point
**   pwritev              a torn batch or record: cut off by the next writer;
**                        a whole one: taken in (acknowledged or about to be)
**   fdatasync (full)     a power cut keeps it from here on
**   commit point         other processes see it from here on
**   tail: clean
*/
#include "txn.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "checkpoint.h"
#include "err.h"
#include "group.h"
#include "home.h"
#include "lock.h"
#include "seal.h"
#include "upkeep.h"
#include "writer.h"

enum { SPILL_SZ = 64 * 1024 * 1024, WRITE_BEHIND_SZ = 1024 * 1024, PAGE_SZ = 4096 };

/* ------------------------------------------------------- begin, put, delete */

int bitcask_begin(bitcask *bc, int timeout_ms, bitcask_txn **out, bitcask_error *err) {
  return bitcask_begin_wait(bc, &(bitcask_wait){.timeout_ms = timeout_ms}, out, err);
}

int bitcask_begin_wait(bitcask *bc, const bitcask_wait *wait, bitcask_txn **out,
                       bitcask_error *err) {
  bitcask_txn *txn;
  int64_t now;
  int rc;

  *out = NULL;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_writer_enter(bc, wait, err);
  if (rc) return rc;
  bc_lock_note_transaction(&bc->state, false);
  txn = bc->spare_txn;
  bc->spare_txn = NULL;
  if (!txn) {
    txn = calloc(1, sizeof *txn);
    if (txn) txn->log = bc_txlog_new(bc_keydir_seed(bc->keydir));
    if (!txn || !txn->log) {
      free(txn);
      bc_writer_leave(bc);
      return bc_err_nomem(err);
    }
  }
  txn->bc = bc;
  txn->point = bc_point(bc);
  /* Never back: the clock may have been set, and expiry goes by these. */
  now = bc->env->now(bc->env->ctx);
  txn->tstamp = now < 0 ? 0 : now > UINT32_MAX ? UINT32_MAX : (uint32_t)now;
  if (txn->tstamp < txn->point.tstamp) txn->tstamp = txn->point.tstamp;
  pthread_mutex_lock(&bc->writer_mutex);
  bc->n_txns++;
  pthread_mutex_unlock(&bc->writer_mutex);
  *out = txn;
  return BITCASK_OK;
}

/* Move what is in memory to the file, behind an OPEN marker that nobody
** believes until the END is there. */
static int write_spill(bitcask_txn *txn, bool end, bitcask_error *err);

static int take_back(bitcask_txn *txn, uint64_t to, bitcask_error *err);

/* One that is prepared ends as soon as its owner is told so: nobody takes it for one that goes
** on (lock.h).  SQLite gives up its own lock, and so lets others begin, before it publishes. */
static void set_prepared(bitcask_txn *txn, bool yes) {
  txn->prepared = yes;
  bc_lock_note_transaction(&txn->bc->state, yes);
}

/* Whatever was prepared stands alone from here on. */
static void leave_group(bitcask_txn *txn) {
  bc_group_unref(txn->group);
  txn->group = NULL;
  bitcask_buf_free(&txn->tie);
}

/* Another member may have undone the group since. */
static bool is_prepared(const bitcask_txn *txn) {
  return txn->prepared && !(txn->group && bc_group_is_undone(txn->group));
}

/* Before any byte of a member is taken back, or the others would be committed without it. */
static int undo_group(bitcask_txn *txn, bitcask_error *err) {
  if (!txn->group) return BITCASK_OK;
  if (bc_group_is_settled(txn->group)) {
    return bc_err(err, BITCASK_INVALID,
                  "this transaction was committed with another one that has been published");
  }
  return bc_group_undo(txn->group, err);
}

/* More comes after a prepare whose commit did not happen: what was prepared is
** half of a transaction now, and a crash must not take it for a whole one. */
static int unprepare(bitcask_txn *txn, bitcask_error *err) {
  bc_txlog *log = txn->log;
  int rc;
  if (!txn->prepared) return BITCASK_OK;
  rc = undo_group(txn, err);
  if (rc) return rc;
  rc = take_back(txn,
                 log->spill
                     ? txn->point.committed + BC_MARKER_SZ + log->size - bc_txlog_in_memory(log)
                     : txn->point.committed,
                 err);
  if (rc && atomic_load(&txn->bc->poisoned)) txn->broken = rc;
  if (!rc || txn->broken) {
    set_prepared(txn, false);
    leave_group(txn);
  }
  return rc;
}

static int add_record(bitcask_txn *txn, uint64_t hash, const void *key, size_t key_sz,
                      const void *value, size_t value_sz, bitcask_error *err) {
  int rc;
  if (txn->broken) {
    return bc_err(err, txn->broken, "this transaction has failed and can only be rolled back");
  }
  rc = unprepare(txn, err);
  if (rc) return rc;
  if (bc_txlog_append(txn->log, hash, key, (uint32_t)key_sz, value, (uint32_t)value_sz, txn->tstamp,
                      txn->point.active_id)) {
    return bc_err_nomem(err);
  }
  atomic_fetch_add_explicit(&txn->bc->version, 1, memory_order_relaxed);
  return BITCASK_OK;
}

static int spill_if_large(bitcask_txn *txn, bitcask_error *err) {
  int rc;
  if (txn->log->size < SPILL_SZ || bc_txlog_in_memory(txn->log) < SPILL_SZ) return BITCASK_OK;
  rc = write_spill(txn, false, err);
  if (rc) txn->broken = rc;
  return rc;
}

int bitcask_txn_put(bitcask_txn *txn, const void *key, size_t key_sz, const void *value,
                    size_t value_sz, bitcask_error *err) {
  int rc;

  bc_err_clear(err);
  rc = bc_store_check(txn->bc, err);
  if (!rc) rc = bc_store_check_key(key, key_sz, err);
  if (rc) return rc;
  if (!key) key = "";
  if (!value && value_sz) return bc_err(err, BITCASK_INVALID, "the value is NULL");
  if (!value) value = "";
  if (bc_is_marker_key(key, key_sz)) {
    return bc_err(err, BITCASK_INVALID, "this key is reserved for batch markers");
  }
  if (value_sz > UINT32_MAX - BC_RECORD_HEADER_SZ - key_sz) {
    return bc_err(err, BITCASK_TOOBIG, "the value has %zu bytes, the limit is %zu", value_sz,
                  (size_t)UINT32_MAX - BC_RECORD_HEADER_SZ - key_sz);
  }
  if (bc_is_tombstone(value, value_sz)) {
    return bc_err(err, BITCASK_INVALID,
                  "a value must not begin with \"bitcask_tombstone\": basho/bitcask would take it "
                  "for a deletion");
  }
  rc = add_record(txn, bc_hash(txn->bc, key, key_sz), key, key_sz, value, value_sz, err);
  return rc ? rc : spill_if_large(txn, err);
}

/* Where the transaction sees a record of the key, expired or not.  BITCASK_OK,
** BITCASK_NOTFOUND, BITCASK_CORRUPT (in doubt), BITCASK_IOERR. */
static int find(bitcask_txn *txn, uint64_t hash, const void *key, size_t key_sz, bc_place *out,
                bitcask_error *err) {
  bitcask *bc = txn->bc;
  int rc = BITCASK_OK;

  if (txn->log->count && bc_keydir_get(txn->log->overlay, hash, key, key_sz, out)) {
    return out->total_sz ? BITCASK_OK : BITCASK_NOTFOUND;
  }
  pthread_rwlock_rdlock(&bc->lock);
  if (bc_keydir_get(bc->keydir, hash, key, key_sz, out)) {
    rc = bc_store_check_place(bc, &bc->doubt, out, err);
  } else if (bc_keydir_error(bc->keydir)) {
    rc = bc_store_lost_keydir(bc, err);
  } else {
    rc = bc_store_check_absent(
        bc, &bc->doubt, bc->buried && bc_keydir_get(bc->buried, hash, key, key_sz, NULL), err);
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc;
}

int bitcask_txn_delete(bitcask_txn *txn, const void *key, size_t key_sz, bitcask_error *err) {
  bc_place place;
  uint64_t hash;
  int rc;

  bc_err_clear(err);
  rc = bc_store_check(txn->bc, err);
  if (!rc) rc = bc_store_check_key(key, key_sz, err);
  if (rc) return rc;
  if (!key) key = "";
  hash = bc_hash(txn->bc, key, key_sz);
  /* An expired key is not there for its users, but a delete must still bury it:
  ** expiry may be switched off again. */
  rc = find(txn, hash, key, key_sz, &place, NULL);
  if (rc == BITCASK_NOTFOUND) return BITCASK_OK;
  /* In doubt: its deletion is what is sure from now on. */
  if (rc && rc != BITCASK_CORRUPT) return find(txn, hash, key, key_sz, &place, err);
  rc = add_record(txn, hash, key, key_sz, NULL, 0, err);
  return rc ? rc : spill_if_large(txn, err);
}

int bitcask_txn_contains(bitcask_txn *txn, const void *key, size_t key_sz) {
  bc_place place;
  int rc;

  if (!key) key = "";
  if (key_sz > BC_MAX_KEY_SZ) return BITCASK_NOTFOUND;
  rc = find(txn, bc_hash(txn->bc, key, key_sz), key, key_sz, &place, NULL);
  if (rc) return rc;
  return place.tstamp < bc_store_cutoff(txn->bc) ? BITCASK_NOTFOUND : BITCASK_OK;
}

/* -------------------------------------------------------------- savepoints */

int bitcask_txn_savepoint(bitcask_txn *txn, int n, bitcask_error *err) {
  int rc;
  bc_err_clear(err);
  rc = bc_store_check(txn->bc, err);
  if (rc) return rc;
  return bc_txlog_savepoint(txn->log, n) ? bc_err_nomem(err) : BITCASK_OK;
}

int bitcask_txn_rollback_to(bitcask_txn *txn, int n, bitcask_error *err) {
  int rc;
  bc_err_clear(err);
  rc = bc_store_check(txn->bc, err);
  if (!rc) rc = unprepare(txn, err);
  if (rc) return rc;
  rc = bc_txlog_rollback_to(txn->log, n, err);
  if (rc) txn->broken = rc;
  atomic_fetch_add_explicit(&txn->bc->version, 1, memory_order_relaxed);
  return rc;
}

void bitcask_txn_release(bitcask_txn *txn, int n) { bc_txlog_release(txn->log, n); }

/* ----------------------------------------------------------------- prepare */

static int append(bitcask_txn *txn, struct iovec *iov, int n, uint64_t at, uint64_t end,
                  bitcask_error *err) {
  bitcask *bc = txn->bc;
  int e;

  bc_state_set_tail(&bc->state, BC_TAIL_APPENDED);
  if (end > txn->written_end) txn->written_end = end;
  e = bc->env->pwritev(bc->env->ctx, txn->df->fd, iov, n, at);
  if (!e) return BITCASK_OK;
  return bc_err_os(err, e, "cannot append to %s/%u.bitcask.data at %llu", bc->dir, txn->df->id,
                   (unsigned long long)at);
}

/* Take the transaction's bytes off the file again. */
static int take_back(bitcask_txn *txn, uint64_t to, bitcask_error *err) {
  bitcask *bc = txn->bc;
  int rc, e;

  if (txn->written_end <= to) return BITCASK_OK;
  e = bc->env->truncate(bc->env->ctx, txn->df->fd, to);
  if (e) {
    return bc_err_os(err, e, "cannot take a transaction back from %s/%u.bitcask.data", bc->dir,
                     txn->df->id);
  }
  /* Or what was rolled back could return after a power cut: it may have been
  ** synced by prepare, or written back by the kernel. */
  rc = atomic_load(&bc->poisoned) ? BITCASK_OK : bc_store_sync(bc, txn->df, err);
  if (!rc) txn->written_end = to > txn->point.committed ? to : 0;
  return rc;
}

/* sync=off: let the new file say how long the last one was (load.c). */
static int write_link(bitcask_txn *txn, const bc_commit_point *before, bitcask_error *err) {
  bitcask *bc = txn->bc;
  uint8_t marker[BC_MARKER_SZ];
  int rc;

  bc_marker_encode(marker, txn->tstamp,
                   &(bc_marker){BC_MARKER_LINK, before->committed, before->active_id, 0});
  rc = append(txn, &(struct iovec){marker, sizeof marker}, 1, 0, sizeof marker, err);
  if (rc) return rc;
  txn->point.committed = sizeof marker;
  txn->written_end = 0;
  pthread_rwlock_wrlock(&bc->lock);
  bc_publish_point(bc, &txn->point);
  atomic_store(&txn->df->size, sizeof marker);
  bc_store_count(txn->df, txn->tstamp, sizeof marker);
  bc->seen = (bc_position){txn->df->id, sizeof marker};
  pthread_rwlock_unlock(&bc->lock);
  return BITCASK_OK;
}

/* Make room for `size` bytes of one transaction: the active file, or the next
** one if they would take it over its limit. */
static int choose_file(bitcask_txn *txn, uint64_t size, bitcask_error *err) {
  bitcask *bc = txn->bc;
  bc_commit_point before = txn->point;
  uint32_t id;
  int rc;

  if (txn->point.committed && txn->point.committed + size > bc->opt.max_file_size) {
    /* An earlier prepare may have left its bytes in this file. */
    rc = take_back(txn, txn->point.committed, err);
    if (!rc) rc = bc_next_id(bc, &id, err);
    if (!rc) rc = bc_rotate(bc, id, err);
    if (rc) return rc;
    txn->point = bc_point(bc);
    bc_datafile_unref(txn->df);
    txn->df = NULL;
    /* A tombstone says what file it is in. */
    bc_txlog_retarget(txn->log, id);
    rc = bc_open_active(bc, &txn->point, &txn->df, err);
    if (!rc && bc->opt.sync == BITCASK_SYNC_OFF) rc = write_link(txn, &before, err);
    return rc;
  }
  return txn->df ? BITCASK_OK : bc_open_active(bc, &txn->point, &txn->df, err);
}

/* The marker that goes with all records, the tie included. */
static bc_marker marker_of(const bitcask_txn *txn, bc_marker_kind kind) {
  bc_marker m = {kind, txn->log->size, txn->log->count, txn->log->crc};
  if (txn->tie.size) {
    m.length += txn->tie.size;
    m.count++;
    m.crc = bc_batch_crc(m.crc, bc_get32(txn->tie.data));
  }
  return m;
}

/* Close what write_spill has begun: the tie, and the END behind it. */
static int write_end(bitcask_txn *txn, uint64_t at, bitcask_error *err) {
  uint8_t bytes[BC_MARKER_SZ];
  bc_marker end = marker_of(txn, BC_MARKER_END);
  uint64_t after = at + txn->tie.size + BC_MARKER_SZ;
  struct iovec iov[2] = {{txn->tie.data, txn->tie.size}, {bytes, sizeof bytes}};
  int skip = !txn->tie.size, rc;

  bc_marker_encode(bytes, txn->tstamp, &end);
  rc = append(txn, iov + skip, 2 - skip, at, after, err);
  return rc || txn->written_end == after ? rc : take_back(txn, after, err);
}

static int write_spill(bitcask_txn *txn, bool end, bitcask_error *err) {
  bc_txlog *log = txn->log;
  uint8_t marker[BC_MARKER_SZ];
  struct iovec *iov = NULL;
  uint64_t base, at;
  int n, rc = BITCASK_OK;

  if (!log->spill) {
    rc = choose_file(txn, log->size + 2 * BC_MARKER_SZ, err);
    if (rc) return rc;
    bc_marker_encode(marker, txn->tstamp, &(bc_marker){.kind = BC_MARKER_OPEN});
    rc = append(txn, &(struct iovec){marker, sizeof marker}, 1, txn->point.committed,
                txn->point.committed + BC_MARKER_SZ, err);
    if (rc) return rc;
  }
  base = txn->point.committed + BC_MARKER_SZ;
  at = base + log->size - bc_txlog_in_memory(log);
  if (bc_txlog_vectors(log, 0, &iov, &n)) return bc_err_nomem(err);
  /* The place of an END marker may hold one from an earlier prepare. */
  if (n) rc = append(txn, iov, n, at, base + log->size, err);
  free(iov);
  if (rc) return rc;
  if (!end) {
    bc_txlog_spilled(log, txn->df, base);
    return BITCASK_OK;
  }
  return write_end(txn, base + log->size, err);
}

static bool has_marker(const bitcask_txn *txn) { return txn->log->count > 1 || txn->tie.size; }

/* One write: the record, or a marker and the records. */
static int write_batch(bitcask_txn *txn, bitcask_error *err) {
  bc_txlog *log = txn->log;
  uint8_t marker[BC_MARKER_SZ];
  uint64_t size = log->size + txn->tie.size + (has_marker(txn) ? BC_MARKER_SZ : 0), start;
  bc_marker m = {0};
  struct iovec *iov = NULL;
  int n, rc;

  rc = choose_file(txn, size, err);
  if (rc) return rc;
  start = txn->point.committed;
  if (bc_txlog_vectors(log, txn->tie.size ? 2 : 1, &iov, &n)) return bc_err_nomem(err);
  if (txn->tie.size) {
    memmove(iov + 1, iov + 2, (size_t)(n - 2) * sizeof *iov);
    iov[n - 1] = (struct iovec){txn->tie.data, txn->tie.size};
  }
  if (has_marker(txn)) {
    m = marker_of(txn, BC_MARKER_BATCH); /* behind choose_file, which may change tombstones */
    bc_marker_encode(marker, txn->tstamp, &m);
    iov[0] = (struct iovec){marker, sizeof marker};
    rc = append(txn, iov, n, start, start + size, err);
  } else {
    rc = append(txn, iov + 1, n - 1, start, start + size, err);
  }
  free(iov);
  if (!rc && txn->written_end > start + size) rc = take_back(txn, start + size, err);
  return rc;
}

/* In the file, and on stable storage if `sync` says so.  On failure nothing of it is left. */
static int write_all(bitcask_txn *txn, bool sync, bitcask_error *err) {
  int rc = txn->log->spill ? write_spill(txn, true, err) : write_batch(txn, err);
  if (!rc && sync) rc = bc_sync_unstable(txn->bc, err);
  /* As near to the acknowledgement as can be: what moves the directory between the two would
  ** have moved it in the next moment. */
  if (!rc) rc = bc_home_check_commit(txn->bc, txn->df, err);
  if (rc) {
    if (txn->df && !txn->log->spill) (void)take_back(txn, txn->point.committed, err);
    if (txn->log->spill) txn->broken = rc;
    return rc;
  }
  set_prepared(txn, true);
  return BITCASK_OK;
}

int bitcask_txn_prepare(bitcask_txn *txn, bitcask_error *err) {
  int rc;

  bc_err_clear(err);
  rc = bc_store_check(txn->bc, err);
  if (rc || is_prepared(txn)) return rc;
  if (txn->broken) {
    return bc_err(err, txn->broken, "this transaction has failed and can only be rolled back");
  }
  if (txn->prepared) set_prepared(txn, false);
  leave_group(txn);
  if (!txn->log->count) {
    set_prepared(txn, true);
    return txn->written_end ? take_back(txn, txn->point.committed, err) : BITCASK_OK;
  }
  /* The promise of sync=full: on stable storage before anybody is told. */
  return write_all(txn, txn->bc->opt.sync == BITCASK_SYNC_FULL, err);
}

/* ------------------------------------------------- several directories in one */

/* Those with records move to the front, in their order; how many they are. */
static size_t collect_members(bitcask_txn *const *txn, size_t n, bitcask_txn **member) {
  size_t k = 0;
  for (size_t i = 0; i < n; i++) {
    if (txn[i]->log->count) member[k++] = txn[i];
  }
  return k;
}

/* Are they, and they alone, prepared as one group? */
static bool are_prepared(bitcask_txn *const *member, size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (!member[i]->group || member[i]->group != member[0]->group || !is_prepared(member[i]))
      return false;
  }
  return bc_group_size(member[0]->group) == n;
}

static int write_member(bitcask_txn *txn, bc_group *g, size_t i, bitcask_error *err) {
  int rc = bc_group_tie(g, i, txn->tstamp, &txn->tie, err);
  /* Under any sync mode: once it is decided, a power cut must not take one member away. */
  if (!rc) rc = write_all(txn, true, err);
  if (!rc) bc_group_written(g, i, &(bc_position){txn->point.active_id, txn->written_end});
  return rc;
}

static int write_group(bitcask_txn *const *member, size_t n, bitcask_error *err) {
  bc_group *g;
  int rc = bc_group_new(member[0]->bc->env, n, &g, err);

  if (rc) return rc;
  for (size_t i = 0; i < n; i++) {
    leave_group(member[i]);
    member[i]->group = g; /* it has a reference for each */
    bc_group_join(g, i, member[i]->bc);
  }
  for (size_t i = 0; i < n && !rc; i++) rc = write_member(member[i], g, i, err);
  if (!rc) rc = bc_group_decide(g, err);
  /* Nothing is decided, so nothing that was written counts; the first one that could not be
  ** taken back would be found by the next writer, who asks for the decision. */
  for (size_t i = 0; i < n && rc; i++) (void)unprepare(member[i], NULL);
  for (size_t i = 0; i < n && rc; i++) {
    if (!member[i]->prepared) leave_group(member[i]);
  }
  return rc;
}

/* Whatever they were prepared as before. */
static int start_over(bitcask_txn *const *member, size_t n, bitcask_error *err) {
  int rc = BITCASK_OK;
  for (size_t i = 0; i < n && !rc; i++) {
    if (member[i]->broken)
      rc =
          bc_err(err, member[i]->broken, "this transaction has failed and can only be rolled back");
    if (!rc) rc = unprepare(member[i], err);
  }
  return rc;
}

int bitcask_prepare_all(bitcask_txn *const *txn, size_t n, bitcask_error *err) {
  bitcask_txn **member;
  size_t k;
  int rc = BITCASK_OK;

  bc_err_clear(err);
  if (n == 1) return bitcask_txn_prepare(txn[0], err);
  for (size_t i = 0; i < n && !rc; i++) rc = bc_store_check(txn[i]->bc, err);
  if (rc || !n) return rc;
  member = malloc(n * sizeof *member);
  if (!member) return bc_err_nomem(err);
  k = collect_members(txn, n, member);
  if (k > 1 && !are_prepared(member, k)) {
    rc = start_over(member, k, err);
    if (!rc) rc = write_group(member, k, err);
  }
  for (size_t i = 0; i < n && !rc; i++) {
    if (k < 2 || !txn[i]->log->count) rc = bitcask_txn_prepare(txn[i], err);
  }
  free(member);
  return rc;
}

/* ----------------------------------------------------------------- publish */

static int apply_key(bitcask_txn *txn, uint64_t base, const void *key, uint32_t key_sz,
                     bc_place *place) {
  if (!place->total_sz) return bc_store_remove(txn->bc, key, key_sz);
  place->file_id = txn->df->id;
  place->offset = base + bc_txlog_position(txn->log, place->offset);
  return bc_store_put(txn->bc, key, key_sz, place);
}

/* With `lock` exclusive: bring the keydir to where the log is.  If memory runs
** out half-way the store is stale, and the next reader loads it anew from the
** log, where the transaction already is. */
static void apply_all(bitcask_txn *txn, uint64_t end) {
  bitcask *bc = txn->bc;
  uint32_t n_markers = txn->log->spill ? 2 : has_marker(txn) ? 1 : 0;
  uint32_t n_others = n_markers + (txn->tie.size != 0);
  uint64_t base = txn->point.committed + (n_markers ? BC_MARKER_SZ : 0), cursor = 0;
  bc_keydir_view *view;
  const void *key;
  uint32_t key_sz;
  bc_place place;
  int rc;

  /* Loaded anew meanwhile: this file is another object now. */
  if (bc_fileset_find(bc->files, txn->df->id) != txn->df) {
    atomic_store(&bc->stale, true);
    return;
  }
  pthread_mutex_lock(&txn->log->mutex); /* a snapshot of ours may be closing its view */
  view = bc_keydir_view_open(txn->log->overlay);
  pthread_mutex_unlock(&txn->log->mutex);
  rc = view ? BITCASK_OK : BITCASK_NOMEM;
  atomic_store_explicit(&txn->df->size, end, memory_order_release);
  bc_store_count(txn->df, txn->tstamp, 0);
  txn->df->n_records += txn->log->count + n_others - 1;
  txn->df->n_tombstones += txn->log->n_tombstones + n_others;
  txn->df->tombstone_bytes += txn->log->tombstone_bytes + n_markers * BC_MARKER_SZ + txn->tie.size;
  while (!rc && bc_keydir_view_next(view, &cursor, &key, &key_sz, &place)) {
    rc = apply_key(txn, base, key, key_sz, &place);
  }
  pthread_mutex_lock(&txn->log->mutex);
  if (view) bc_keydir_view_close(txn->log->overlay, view);
  pthread_mutex_unlock(&txn->log->mutex);
  bc->seen = (bc_position){txn->df->id, end};
  if (txn->tstamp > bc->newest_tstamp) bc->newest_tstamp = txn->tstamp;
  if (rc) atomic_store(&bc->stale, true);
}

/* Free the transaction, or keep it for the next one. */
static void discard(bitcask_txn *txn) {
  bitcask *bc = txn->bc;
  bc_txlog *log = txn->log;

  bc_datafile_unref(txn->df);
  leave_group(txn);
  *txn = (bitcask_txn){.log = log};
  if (!bc->spare_txn && bc_txlog_recycle(log)) {
    bc->spare_txn = txn;
  } else {
    bc_txlog_unref(log);
    free(txn);
  }
  pthread_mutex_lock(&bc->writer_mutex);
  bc->n_txns--;
  pthread_mutex_unlock(&bc->writer_mutex);
}

/* In a forked child: the transaction is the parent's.  Only memory is freed. */
static bool discard_in_child(bitcask_txn *txn) {
  if (!bc_store_is_child(txn->bc)) return false;
  bc_datafile_unref(txn->df);
  leave_group(txn);
  bc_txlog_unref(txn->log);
  txn->bc->n_txns--;
  free(txn);
  return true;
}

/* Lest the next sync, at rotation or by a merge, find a whole file to write. */
static void write_behind(bitcask_txn *txn, uint64_t end) {
  const bc_env *env = txn->bc->env;
  bc_position *b = &txn->bc->behind;

  end &= ~(uint64_t)(PAGE_SZ - 1); /* the next put writes to the last page, and would wait for it */
  if (b->file_id != txn->df->id || b->offset > end) *b = (bc_position){txn->df->id, 0};
  if (end - b->offset < WRITE_BEHIND_SZ || !env->write_behind) return;
  env->write_behind(env->ctx, txn->df->fd, b->offset, end - b->offset);
  b->offset = end;
}

void bitcask_txn_publish(bitcask_txn *txn) {
  bitcask *bc = txn->bc;
  bool rotated;
  bc_commit_point p = txn->point;
  uint64_t written = 0, dead = 0;

  if (!is_prepared(txn)) {
    bitcask_txn_rollback(txn);
    return;
  }
  if (discard_in_child(txn)) return;
  if (txn->group) bc_group_settle(txn->group);
  if (txn->log->count) {
    p.committed = txn->written_end;
    p.tstamp = txn->tstamp;
    pthread_rwlock_wrlock(&bc->lock);
    bc_publish_point(bc, &p);
    dead = bc->died;
    apply_all(txn, p.committed);
    dead = bc->died - dead;
    pthread_rwlock_unlock(&bc->lock);
    written = p.committed - txn->point.committed;
    if (bc->opt.sync == BITCASK_SYNC_FULL) {
      bc_state_set_stable(&bc->state, &(bc_position){p.active_id, p.committed});
    } else {
      bc->unsynced = true;
      write_behind(txn, p.committed);
    }
  }
  bc_state_set_tail(&bc->state, BC_TAIL_CLEAN);
  rotated = bc->rotated;
  bc->rotated = false;
  discard(txn);
  bc_writer_leave(bc);
  if (rotated) {
    bc_seal_some(bc);
    bc_save_in_steps(bc, BC_ROTATE_SHARE);
  }
  if (!written) return;
  bc_save_step(bc, bc_step_size(bc) + written);
  bc_upkeep(bc, written, dead);
}

void bitcask_txn_rollback(bitcask_txn *txn) {
  bitcask *bc;
  bool written;

  if (!txn || discard_in_child(txn)) return;
  if (txn->group && bc_group_is_settled(txn->group)) {
    bitcask_txn_publish(txn); /* committed with the other members */
    return;
  }
  bc = txn->bc;
  /* If this fails the decision file stays, and lies only until all members are taken back. */
  (void)undo_group(txn, NULL);
  written = txn->written_end != 0;
  bc_txlog_abandon(txn->log);
  /* What cannot be cut off now is left to the next writer, which must not take
  ** it for the work of one that died. */
  bc_state_set_tail(&bc->state,
                    take_back(txn, txn->point.committed, NULL) ? BC_TAIL_CONDEMNED : BC_TAIL_CLEAN);
  /* The same point again, as a new one: a reader that measured the file meanwhile
  ** must see that somebody wrote. */
  if (written) {
    pthread_rwlock_wrlock(&bc->lock);
    bc_publish_point(bc, &txn->point);
    pthread_rwlock_unlock(&bc->lock);
  }
  discard(txn);
  bc_writer_leave(bc);
}
