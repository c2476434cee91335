/*
** fold.c - see fold.h: lookups and iteration over a snapshot.
**
** An iteration with values goes through the files, not through the keydir: a
** record is delivered if the keydir points exactly at it. That reads
** sequentially, and each live key has exactly one such record.
*/
#include "fold.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "load.h"
#include "txn.h"

/* --------------------------------------------------------------- snapshots */

static int freeze(bitcask *bc, bitcask_txn *txn, bitcask_snapshot *s, bitcask_error *err) {
  bc_keydir_view *view = bc_keydir_view_open(bc->keydir);

  if (!view) return bc_err_nomem(err);
  if (bc_store_pin(bc, &s->pin, view)) {
    bc_keydir_view_close(bc->keydir, view);
    return bc_err_nomem(err);
  }
  s->end = bc->seen;
  s->version = atomic_load(&bc->version);
  s->updates = bc->updates;
  if (!txn || !txn->log->size) return BITCASK_OK;
  pthread_mutex_lock(&txn->log->mutex);
  s->own = bc_keydir_view_open(txn->log->overlay);
  pthread_mutex_unlock(&txn->log->mutex);
  if (!s->own) return bc_err_nomem(err);
  s->log = txn->log;
  s->own_keydir = txn->log->overlay;
  atomic_fetch_add_explicit(&s->log->refs, 1, memory_order_relaxed);
  return BITCASK_OK;
}

static void release(bitcask_snapshot *s) {
  if (s->own) {
    pthread_mutex_lock(&s->log->mutex);
    bc_keydir_view_close(s->own_keydir, s->own);
    pthread_mutex_unlock(&s->log->mutex);
  }
  bc_txlog_unref(s->log);
  /* Also if it has been revoked: who did that may not be done with it yet.  Not in
  ** a forked child, where the lock may be that of a thread which is not there. */
  bool alone = bc_store_is_child(s->bc);
  if (!alone) pthread_rwlock_wrlock(&s->bc->lock);
  bc_store_unpin(s->bc, &s->pin);
  if (!alone) pthread_rwlock_unlock(&s->bc->lock);
  free(s);
}

int bitcask_snapshot_open(bitcask *bc, bitcask_txn *txn, bitcask_snapshot **out,
                          bitcask_error *err) {
  bitcask_snapshot *s;
  int rc;

  *out = NULL;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (rc) return rc;
  s = calloc(1, sizeof *s);
  if (!s) return bc_err_nomem(err);
  s->bc = bc;
  s->cutoff = bc_store_cutoff(bc);
  do {
    rc = bc_refresh(bc, err);
    pthread_rwlock_wrlock(&bc->lock);
    /* Stale: another thread's catch-up has just failed. */
    if (!rc && !atomic_load(&bc->stale)) {
      rc = freeze(bc, txn, s, err);
      if (!rc) *out = s;
    }
    pthread_rwlock_unlock(&bc->lock);
  } while (!rc && !*out);
  if (rc) release(s);
  return rc;
}

void bitcask_snapshot_close(bitcask_snapshot *snap) {
  if (snap) release(snap);
}

void bitcask_snapshot_park(bitcask_snapshot *snap) { bc_store_park(snap->bc, &snap->pin); }

bool bitcask_snapshot_resume(bitcask_snapshot *snap) {
  bitcask *bc = snap->bc;
  bool same = bc_store_unpark(bc, &snap->pin) && !snap->own && !bc_store_check(bc, NULL) &&
              !bc_has_news(bc);
  if (same) {
    snap->cutoff = bc_store_cutoff(bc);
  } else {
    release(snap);
  }
  return same;
}

static int check_updates(const bitcask_snapshot *snap, bitcask_error *err) {
  bitcask *bc = snap->bc;
  bool same;
  pthread_rwlock_rdlock(&bc->lock);
  same = bc->updates == snap->updates;
  pthread_rwlock_unlock(&bc->lock);
  return same ? BITCASK_OK
              : bc_err(err, BITCASK_STALE,
                       "another transaction has been committed since this one has read; roll it "
                       "back and try again");
}

int bitcask_begin_at(bitcask_snapshot *snap, const bitcask_wait *wait, bitcask_txn **out,
                     bitcask_error *err) {
  bitcask *bc = snap->bc;
  int rc;

  *out = NULL;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  /* At once, and not when the writer that is there now has finished. */
  if (!rc) rc = bc_refresh(bc, err);
  if (!rc) rc = check_updates(snap, err);
  if (!rc) rc = bitcask_begin_wait(bc, wait, out, err);
  if (rc) return rc;
  /* Begin has caught up with the log, and with the write lock nobody else can commit. */
  rc = check_updates(snap, err);
  if (rc) {
    bitcask_txn_rollback(*out);
    *out = NULL;
  }
  return rc;
}

int bitcask_generation(bitcask *bc, uint64_t *out, bitcask_error *err) {
  int rc;
  *out = 0;
  bc_err_clear(err);
  rc = bc_store_check(bc, err);
  if (!rc) rc = bc_refresh(bc, err);
  if (!rc) *out = atomic_load(&bc->version);
  return rc;
}

static uint64_t count_base(bitcask_snapshot *snap) {
  bitcask *bc = snap->bc;
  bc_keydir_replaced *unused = NULL;
  size_t n;

  if (!bc_keydir_is_settled(snap->pin.keydir)) {
    pthread_rwlock_wrlock(&bc->lock);
    /* What fails here fails again where it matters: at the first read. */
    if (snap->pin.keydir == bc->keydir) {
      (void)bc_store_settle(bc, NULL);
    } else {
      (void)bc_keydir_settle(snap->pin.keydir, &unused, &n);
    }
    pthread_rwlock_unlock(&bc->lock);
    free(unused);
  }
  return bc_keydir_view_count(snap->pin.view);
}

uint64_t bc_snapshot_limit(const bitcask_snapshot *s, const bc_datafile *df) {
  uint64_t size = atomic_load_explicit(&df->size, memory_order_acquire);
  return df->id == s->end.file_id && s->end.offset < size ? s->end.offset : size;
}

uint64_t bitcask_snapshot_count(bitcask_snapshot *snap) {
  uint64_t n = count_base(snap), cursor = 0;
  const void *key;
  uint32_t key_sz;
  bc_place place;
  bool in_base;

  while (snap->own && bc_keydir_view_next(snap->own, &cursor, &key, &key_sz, &place)) {
    in_base = bc_keydir_view_get(snap->pin.view,
                                 bc_keydir_hash(bc_keydir_seed(snap->pin.keydir), key, key_sz), key,
                                 key_sz, NULL);
    if (place.total_sz && !in_base) n++;
    if (!place.total_sz && in_base) n--;
  }
  return n;
}

/* ----------------------------------------------------------------- lookups */

static uint64_t hash_in(const bitcask_snapshot *s, const void *key, size_t key_sz) {
  return bc_keydir_hash(bc_keydir_seed(s->pin.keydir), key, key_sz);
}

static void describe(bitcask_entry *out, const void *key, uint32_t key_sz, const bc_place *p) {
  *out = (bitcask_entry){.key = key,
                         .key_sz = key_sz,
                         .value_sz = p->total_sz - BC_RECORD_HEADER_SZ - key_sz,
                         .file_id = p->file_id,
                         .tstamp = p->tstamp,
                         .offset = p->file_id == BITCASK_NO_FILE ? 0 : p->offset,
                         .total_sz = p->total_sz};
}

/* A record of the transaction itself. */
static int read_own(bitcask_snapshot *s, const bc_place *p, const void *key, uint32_t key_sz,
                    bitcask_buf *scratch, bitcask_entry *out, bitcask_error *err) {
  const uint8_t *bytes;
  bc_record r;
  int rc = bc_txlog_read(s->log, p, scratch, &bytes, err);
  if (rc) return rc;
  /* Spilled to the log, rolled back, and overwritten by others since. */
  if (bc_record_decode(bytes, p->total_sz, &r) != BC_DECODE_OK || r.key_sz != key_sz ||
      memcmp(r.key, key, key_sz) != 0) {
    return bc_err(err, BITCASK_ABORT, "this row was written by a transaction rolled back since");
  }
  out->value = r.value;
  return BITCASK_OK;
}

static int read_base(bitcask_snapshot *s, const bc_place *p, const void *key, uint32_t key_sz,
                     bitcask_buf *scratch, bitcask_entry *out, bitcask_error *err) {
  bc_datafile *df = bc_fileset_find(s->pin.files, p->file_id);
  if (!df) {
    return bc_err_at(err, BITCASK_CORRUPT, p->file_id, p->offset, "%s/%u.bitcask.data is missing",
                     s->bc->dir, p->file_id);
  }
  return bc_store_read(s->bc, df, p, key, key_sz, scratch, &out->value, &out->value_sz, err);
}

/* Not in the keydir, as far as it can be told. */
static int not_found(const bitcask_snapshot *s, const void *key, uint32_t key_sz,
                     bitcask_error *err) {
  const bc_pin *pin = &s->pin;
  if (bc_keydir_view_error(pin->view)) return bc_store_lost_keydir(s->bc, err);
  return bc_store_check_absent(
      s->bc, &pin->doubt,
      pin->buried_view &&
          bc_keydir_view_get(pin->buried_view, hash_in(s, key, key_sz), key, key_sz, NULL),
      err);
}

/* The end of an iteration, if all that there was could be seen. */
static int all_seen(const bitcask_snapshot *s, bitcask_error *err) {
  const bc_pin *pin = &s->pin;
  if (bc_keydir_view_error(pin->view)) return bc_store_lost_keydir(s->bc, err);
  return bc_store_check_absent(s->bc, &pin->doubt,
                               pin->buried_view && bc_keydir_view_count(pin->buried_view), err);
}

static int get_at(bitcask_snapshot *s, const void *key, uint32_t key_sz, bitcask_buf *scratch,
                  bitcask_entry *out, bitcask_error *err) {
  uint64_t hash = hash_in(s, key, key_sz);
  bc_place p;

  if (s->own && bc_keydir_view_get(s->own, hash, key, key_sz, &p)) {
    if (!p.total_sz) return BITCASK_NOTFOUND;
    describe(out, key, key_sz, &p);
    return scratch ? read_own(s, &p, key, key_sz, scratch, out, err) : BITCASK_OK;
  }
  if (!bc_keydir_view_get(s->pin.view, hash, key, key_sz, &p))
    return not_found(s, key, key_sz, err);
  if (bc_store_check_place(s->bc, &s->pin.doubt, &p, err)) return BITCASK_CORRUPT;
  if (p.tstamp < s->cutoff) return BITCASK_NOTFOUND;
  describe(out, key, key_sz, &p);
  return scratch ? read_base(s, &p, key, key_sz, scratch, out, err) : BITCASK_OK;
}

/* The hint of this file sent us to the wrong place: load again without it, and
** ask the present state, which is as good as it gets. */
static int get_without_hint(bitcask_snapshot *s, uint32_t file_id, const void *key, size_t key_sz,
                            bitcask_buf *scratch, bitcask_entry *out, bitcask_error *err) {
  bitcask_snapshot *now;
  int rc = bc_distrust_hint(s->bc, file_id, err);
  if (rc) return rc;
  rc = bitcask_snapshot_open(s->bc, NULL, &now, err);
  if (rc) return rc;
  rc = get_at(now, key, (uint32_t)key_sz, scratch, out, err);
  if (!rc) {
    /* The value must live as long as the caller's snapshot: copy it. */
    bitcask_buf copy = {0};
    rc = bc_buf_append(&copy, out->value, out->value_sz);
    bitcask_buf_free(scratch);
    *scratch = copy;
    out->value = copy.data ? copy.data : (const uint8_t *)"";
    if (rc) bc_err_nomem(err);
  }
  bitcask_snapshot_close(now);
  return rc;
}

int bitcask_snapshot_get(bitcask_snapshot *snap, const void *key, size_t key_sz,
                         bitcask_buf *scratch, bitcask_entry *out, bitcask_error *err) {
  bitcask_error first;
  bc_place place;
  int rc;

  *out = (bitcask_entry){0};
  bc_err_clear(err);
  rc = bc_store_check(snap->bc, err);
  if (!rc) rc = bc_store_check_key(key, key_sz, err);
  if (rc) return rc;
  if (!key) key = "";
  bc_err_clear(&first);
  rc = get_at(snap, key, (uint32_t)key_sz, scratch, out, &first);
  place = (bc_place){out->offset, out->file_id, out->total_sz, out->tstamp};
  if (rc == BITCASK_CORRUPT && bc_hint_misleads(snap->bc, &place, key, key_sz)) {
    int again = get_without_hint(snap, out->file_id, key, key_sz, scratch, out, NULL);
    if (!again || again == BITCASK_NOTFOUND) return again;
  }
  if (rc) {
    if (err && rc != BITCASK_NOTFOUND) *err = first;
    *out = (bitcask_entry){0};
  }
  return rc;
}

/* --------------------------------------------------------------- iteration */

/* A key of the snapshot and its place; the key is valid as long as the view. */
typedef struct bc_live {
  const void *key;
  uint32_t key_sz;
  bc_place place;
} bc_live;

enum { AHEAD = 16 };

typedef struct bc_ahead {
  uint64_t at;
  uint64_t hash;
} bc_ahead;

struct bitcask_iter {
  bitcask_snapshot *snap;
  bitcask_iter_mode mode;
  bool in_own;     /* the snapshot's files are done, its transaction's writes come */
  uint64_t cursor; /* of a view */
  bitcask_buf scratch;

  /* BITCASK_VALUES, in the file snap->pin.files->file[file]: */
  size_t file;
  bool opened;
  bc_reader reader;
  uint64_t at;
  bool all_live; /* every record with a value in it is live: the keydir need not be asked */
  /* Records ahead of `at`, whose keydir entries are on their way into the cache. */
  bc_ahead ahead[AHEAD];
  unsigned n_ahead, first_ahead;
  uint64_t ahead_at;
  /* A file with damage cannot be walked: its live places, sorted. */
  bc_live *live;
  size_t n_live, next_live;
};

int bitcask_iter_open(bitcask_snapshot *snap, bitcask_iter_mode mode, bitcask_iter **out,
                      bitcask_error *err) {
  bc_err_clear(err);
  *out = calloc(1, sizeof **out);
  if (!*out) return bc_err_nomem(err);
  (*out)->snap = snap;
  (*out)->mode = mode;
  return BITCASK_OK;
}

static void leave_file(bitcask_iter *it) {
  if (it->opened) bc_reader_release(&it->reader);
  free(it->live);
  it->live = NULL;
  it->opened = false;
  it->n_live = it->next_live = 0;
}

void bitcask_iter_close(bitcask_iter *it) {
  if (!it) return;
  leave_file(it);
  bitcask_buf_free(&it->scratch);
  free(it);
}

/* Has the snapshot's own transaction replaced or deleted a key? */
static bool is_hidden(const bitcask_snapshot *s, uint64_t hash, const void *key, uint32_t key_sz) {
  return s->own && bc_keydir_view_get(s->own, hash, key, key_sz, NULL);
}

static int next_key(bitcask_iter *it, bitcask_entry *out, bitcask_error *err) {
  bitcask_snapshot *s = it->snap;
  const void *key;
  uint32_t key_sz;
  bc_place p;

  while (bc_keydir_view_next(s->pin.view, &it->cursor, &key, &key_sz, &p)) {
    if (p.tstamp < s->cutoff) continue;
    if (s->own && is_hidden(s, hash_in(s, key, key_sz), key, key_sz)) continue;
    describe(out, key, key_sz, &p);
    return bc_store_check_place(s->bc, &s->pin.doubt, &p, err);
  }
  return BITCASK_NOTFOUND;
}

static int next_own(bitcask_iter *it, bitcask_entry *out, bitcask_error *err) {
  bitcask_snapshot *s = it->snap;
  const void *key;
  uint32_t key_sz;
  bc_place p;

  while (s->own && bc_keydir_view_next(s->own, &it->cursor, &key, &key_sz, &p)) {
    if (!p.total_sz) continue;
    describe(out, key, key_sz, &p);
    if (it->mode == BITCASK_KEYS) return BITCASK_OK;
    return read_own(s, &p, key, key_sz, &it->scratch, out, err);
  }
  return BITCASK_NOTFOUND;
}

static int by_offset(const void *a, const void *b) {
  uint64_t x = ((const bc_live *)a)->place.offset, y = ((const bc_live *)b)->place.offset;
  return x < y ? -1 : x > y;
}

/* From `it->at` on the file cannot be walked: collect what is live in it. */
static int collect_live(bitcask_iter *it, bc_datafile *df, bitcask_error *err) {
  uint64_t cursor = 0;
  size_t cap = 0;
  bc_live e;
  void *p;

  while (bc_keydir_view_next(it->snap->pin.view, &cursor, &e.key, &e.key_sz, &e.place)) {
    if (e.place.file_id != df->id || e.place.offset < it->at) continue;
    if (it->n_live == cap) {
      cap = cap ? 2 * cap : 64;
      p = realloc(it->live, cap * sizeof *it->live);
      if (!p) {
        free(it->live);
        it->live = NULL;
        it->n_live = 0;
        return bc_err_nomem(err);
      }
      it->live = p;
    }
    it->live[it->n_live++] = e;
  }
  if (it->n_live) qsort(it->live, it->n_live, sizeof *it->live, by_offset);
  it->at = UINT64_MAX;
  return BITCASK_OK;
}

static int next_collected(bitcask_iter *it, bitcask_entry *out, bitcask_error *err) {
  bitcask_snapshot *s = it->snap;
  const bc_live *e;

  while (it->next_live < it->n_live) {
    e = &it->live[it->next_live++];
    if (e->place.tstamp < s->cutoff ||
        is_hidden(s, hash_in(s, e->key, e->key_sz), e->key, e->key_sz)) {
      continue;
    }
    describe(out, e->key, e->key_sz, &e->place);
    if (bc_store_check_place(s->bc, &s->pin.doubt, &e->place, err)) return BITCASK_CORRUPT;
    return read_base(s, &e->place, e->key, e->key_sz, &it->scratch, out, err);
  }
  return BITCASK_NOTFOUND;
}

/* Look at the records that come, as far as they are in memory, and fetch what a
** lookup of their keys will touch: one miss after the other would be most of a
** scan's time.  What is read here is not checked; it decides nothing. */
static void look_ahead(bitcask_iter *it, const uint8_t *p, uint64_t n) {
  const bitcask_snapshot *s = it->snap;
  const uint8_t *q;
  uint64_t off, hash;

  if (it->ahead_at < it->at) it->ahead_at = it->at;
  while (it->n_ahead < AHEAD) {
    off = it->ahead_at - it->at;
    if (off + BC_RECORD_HEADER_SZ > n) return;
    q = p + off;
    if (off + bc_record_size(q) > n) return;
    hash = hash_in(s, q + BC_RECORD_HEADER_SZ, bc_get16(q + 8));
    bc_keydir_prefetch_slot(s->pin.view, hash);
    it->ahead[(it->first_ahead + it->n_ahead) % AHEAD] = (bc_ahead){it->ahead_at, hash};
    it->n_ahead++;
    if (it->n_ahead > AHEAD / 2) {
      bc_keydir_prefetch_entry(s->pin.view,
                               it->ahead[(it->first_ahead + it->n_ahead - AHEAD / 2) % AHEAD].hash);
    }
    it->ahead_at += bc_record_size(q);
  }
}

/* Decode the record at it->at.  BITCASK_CORRUPT: not one. */
static int peek_record(bitcask_iter *it, bc_record *r, uint64_t *size, bitcask_error *err) {
  const uint8_t *p;
  uint64_t n;
  int rc = bc_reader_peek(&it->reader, it->at, BC_RECORD_HEADER_SZ, &p, &n, err);
  if (rc) return rc;
  if (n < BC_RECORD_HEADER_SZ) return BITCASK_CORRUPT;
  *size = bc_record_size(p);
  if (*size > it->reader.limit - it->at) return BITCASK_CORRUPT;
  rc = bc_reader_peek(&it->reader, it->at, *size, &p, &n, err);
  if (rc) return rc;
  if (!it->all_live) look_ahead(it, p, n);
  return bc_record_decode(p, n, r) == BC_DECODE_OK ? BITCASK_OK : BITCASK_CORRUPT;
}

/* The hash of the record at it->at, from the look ahead if it was in it. */
static uint64_t hash_here(bitcask_iter *it, const bc_record *r) {
  const bc_ahead *a = &it->ahead[it->first_ahead];
  if (it->n_ahead && a->at == it->at) {
    it->first_ahead = (it->first_ahead + 1) % AHEAD;
    it->n_ahead--;
    return a->hash;
  }
  it->n_ahead = 0;
  return hash_in(it->snap, r->key, r->key_sz);
}

/* Is the record at it->at part of the snapshot? */
static bool is_visible(bitcask_iter *it, const bc_datafile *df, const bc_record *r, bc_place *p) {
  bitcask_snapshot *s = it->snap;
  uint64_t hash;

  if (it->all_live && !s->own) {
    *p = (bc_place){it->at, df->id, BC_RECORD_HEADER_SZ + r->key_sz + r->value_sz, r->tstamp};
    return r->tstamp >= s->cutoff && !bc_is_tombstone(r->value, r->value_sz);
  }
  hash = hash_here(it, r);
  return bc_keydir_view_get(s->pin.view, hash, r->key, r->key_sz, p) && p->offset == it->at &&
         p->file_id == df->id && p->tstamp >= s->cutoff && !is_hidden(s, hash, r->key, r->key_sz);
}

/* The next live record of the file, by walking it. */
static int next_walked(bitcask_iter *it, bc_datafile *df, bitcask_entry *out, bitcask_error *err) {
  uint64_t size;
  bc_record r;
  bc_place p;
  bool visible;
  int rc;

  while (it->at < it->reader.limit) {
    rc = peek_record(it, &r, &size, err);
    if (rc == BITCASK_CORRUPT) {
      rc = collect_live(it, df, err);
      return rc ? rc : next_collected(it, out, err);
    }
    if (rc) return rc;
    visible = is_visible(it, df, &r, &p);
    it->at += size;
    if (!visible) continue;
    describe(out, r.key, r.key_sz, &p);
    out->value = r.value;
    return bc_store_check_place(it->snap->bc, &it->snap->pin.doubt, &p, err);
  }
  /* A file that has lost its end: keys may point behind it. */
  if (df->damaged && it->at != UINT64_MAX) {
    rc = collect_live(it, df, err);
    return rc ? rc : next_collected(it, out, err);
  }
  return BITCASK_NOTFOUND;
}

/* Dead records do not come back to life: if there are none in the file now, there
** were none at the snapshot's moment.  But copies that a merge has made become
** live when it publishes them, and until then their originals are. */
static bool is_all_live(const bitcask_snapshot *s, const bc_datafile *df) {
  bitcask *bc = s->bc;
  bool yes;
  pthread_rwlock_rdlock(&bc->lock);
  /* Only of the store as it is now are the counts kept. */
  yes = s->pin.keydir == bc->keydir && bc_keydir_is_settled(bc->keydir) && !df->damaged &&
        df->moved_at <= s->version &&
        df->live_bytes + df->tombstone_bytes == atomic_load(&df->size);
  pthread_rwlock_unlock(&bc->lock);
  return yes;
}

static void enter_file(bitcask_iter *it, bc_datafile *df) {
  bc_reader_init(&it->reader, df, bc_snapshot_limit(it->snap, df));
  it->at = it->ahead_at = 0;
  it->n_ahead = 0;
  it->all_live = is_all_live(it->snap, df);
  it->opened = true;
}

static int next_value(bitcask_iter *it, bitcask_entry *out, bitcask_error *err) {
  bitcask_snapshot *s = it->snap;
  bc_datafile *df;
  int rc;

  for (; it->file < s->pin.files->n; it->file++) {
    df = s->pin.files->file[it->file];
    if (!it->opened) enter_file(it, df);
    rc = it->live ? next_collected(it, out, err) : next_walked(it, df, out, err);
    if (rc != BITCASK_NOTFOUND) return rc;
    leave_file(it);
  }
  return BITCASK_NOTFOUND;
}

int bitcask_iter_next(bitcask_iter *it, bitcask_entry *out, bitcask_error *err) {
  int rc;
  *out = (bitcask_entry){0};
  bc_err_clear(err);
  if (!it->in_own) {
    rc = it->mode == BITCASK_KEYS ? next_key(it, out, err) : next_value(it, out, err);
    if (rc != BITCASK_NOTFOUND) return rc;
    it->in_own = true;
    it->cursor = 0;
    rc = all_seen(it->snap, err); /* said once; whoever goes on gets the rest */
    if (rc != BITCASK_NOTFOUND) return rc;
  }
  return next_own(it, out, err);
}

static int visit(bitcask *bc, bitcask_iter_mode mode, int (*fn)(void *ctx, const bitcask_entry *e),
                 void *ctx, bitcask_error *err) {
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry e;
  int rc;

  rc = bitcask_snapshot_open(bc, NULL, &snap, err);
  if (!rc) rc = bitcask_iter_open(snap, mode, &it, err);
  while (!rc) {
    rc = bitcask_iter_next(it, &e, err);
    if (!rc) rc = fn(ctx, &e);
  }
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
  return rc == BITCASK_NOTFOUND ? BITCASK_OK : rc;
}

int bitcask_fold(bitcask *bc, int (*fn)(void *ctx, const bitcask_entry *e), void *ctx,
                 bitcask_error *err) {
  return visit(bc, BITCASK_VALUES, fn, ctx, err);
}

int bitcask_list_keys(bitcask *bc, int (*fn)(void *ctx, const bitcask_entry *e), void *ctx,
                      bitcask_error *err) {
  return visit(bc, BITCASK_KEYS, fn, ctx, err);
}
