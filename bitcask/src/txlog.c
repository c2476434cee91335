/* txlog.c - see txlog.h. */
#include "txlog.h"

#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bytes.h"
#include "err.h"
#include "format.h"

enum {
  CHUNK_FIRST = 16 * 1024,
  CHUNK_SZ = 1024 * 1024,
  RECYCLE_KEYS = 64 /* an overlay with more keys is cheaper to make anew */
};

static size_t chunk_of(uint64_t address) { return (size_t)(address >> 32); }
static uint32_t offset_of(uint64_t address) { return (uint32_t)address; }

bc_txlog *bc_txlog_new(uint64_t seed) {
  bc_txlog *log = calloc(1, sizeof *log);
  if (!log) return NULL;
  log->overlay = bc_keydir_new(seed);
  if (!log->overlay || pthread_mutex_init(&log->mutex, NULL)) {
    bc_keydir_free(log->overlay);
    free(log);
    return NULL;
  }
  atomic_init(&log->refs, 1);
  return log;
}

void bc_txlog_unref(bc_txlog *log) {
  if (!log || atomic_fetch_sub_explicit(&log->refs, 1, memory_order_acq_rel) != 1) return;
  for (size_t i = 0; i < log->n_all; i++) free(log->chunk[i].data);
  free(log->chunk);
  free(log->live);
  free(log->mark);
  free(log->undo);
  bc_keydir_free(log->overlay);
  bc_datafile_unref(log->spill);
  pthread_mutex_destroy(&log->mutex);
  free(log);
}

/* Grow an array so that one more element fits. */
static int grow(void **array, size_t n, size_t *cap, size_t element) {
  size_t want = *cap ? 2 * *cap : 8;
  void *p;
  if (n < *cap) return BITCASK_OK;
  p = realloc(*array, want * element);
  if (!p) return BITCASK_NOMEM;
  *array = p;
  *cap = want;
  return BITCASK_OK;
}

static int new_chunk(bc_txlog *log, uint32_t need) {
  uint32_t cap = log->n_all ? CHUNK_SZ : CHUNK_FIRST;
  bc_chunk *c;
  if (grow((void **)&log->chunk, log->n_all, &log->cap_all, sizeof *log->chunk) ||
      grow((void **)&log->live, log->n_chunks, &log->cap_live, sizeof *log->live)) {
    return BITCASK_NOMEM;
  }
  if (need > cap) cap = need;
  c = &log->chunk[log->n_all];
  *c = (bc_chunk){.data = malloc(cap), .cap = cap, .start = log->size};
  if (!c->data) return BITCASK_NOMEM;
  log->live[log->n_chunks++] = log->n_all++;
  return BITCASK_OK;
}

/* Room for `need` bytes at the end; *address is where they go. */
static int make_room(bc_txlog *log, uint32_t need, uint64_t *address) {
  bc_chunk *c = log->n_chunks ? &log->chunk[log->live[log->n_chunks - 1]] : NULL;
  if (!c || c->in_file || need > c->cap - c->used) {
    if (new_chunk(log, need)) return BITCASK_NOMEM;
    c = &log->chunk[log->live[log->n_chunks - 1]];
  }
  *address = (uint64_t)log->live[log->n_chunks - 1] << 32 | c->used;
  return BITCASK_OK;
}

int bc_txlog_append(bc_txlog *log, uint64_t hash, const void *key, uint32_t key_sz,
                    const void *value, uint32_t value_sz, uint32_t tstamp,
                    uint32_t tombstone_file) {
  uint8_t tombstone[BC_TOMBSTONE_SZ];
  bc_place place = {.file_id = BITCASK_NO_FILE, .tstamp = tstamp}, old;
  uint32_t total, crc;
  bool had;
  int rc;

  if (!value) {
    bc_tombstone_encode(tombstone, tombstone_file);
    total = BC_RECORD_HEADER_SZ + key_sz + BC_TOMBSTONE_SZ;
  } else {
    total = BC_RECORD_HEADER_SZ + key_sz + value_sz;
    place.total_sz = total;
  }
  pthread_mutex_lock(&log->mutex);
  rc = make_room(log, total, &place.offset);
  if (!rc && log->n_marks) {
    rc = grow((void **)&log->undo, log->n_undo, &log->cap_undo, sizeof *log->undo);
  }
  if (!rc) rc = bc_keydir_put(log->overlay, hash, key, key_sz, &place, &old, &had);
  if (!rc) {
    bc_chunk *c = &log->chunk[chunk_of(place.offset)];
    crc = bc_record_encode(c->data + c->used, tstamp, key, key_sz, value ? value : tombstone,
                           value ? value_sz : BC_TOMBSTONE_SZ);
    if (log->n_marks) log->undo[log->n_undo++] = (bc_undo){place.offset, old, had};
    c->used += total;
    log->size += total;
    log->count++;
    log->crc = bc_batch_crc(log->crc, crc);
    if (!value) {
      log->n_tombstones++;
      log->tombstone_bytes += total;
    }
  }
  pthread_mutex_unlock(&log->mutex);
  return rc;
}

/* ------------------------------------------------------------ savepoints */

int bc_txlog_savepoint(bc_txlog *log, int n) {
  bc_chunk *c;
  while (log->n_marks && log->mark[log->n_marks - 1].n >= n) log->n_marks--;
  if (!log->n_marks) log->n_undo = 0;
  if (grow((void **)&log->mark, log->n_marks, &log->cap_marks, sizeof *log->mark)) {
    return BITCASK_NOMEM;
  }
  c = log->n_chunks ? &log->chunk[log->live[log->n_chunks - 1]] : NULL;
  log->mark[log->n_marks++] = (bc_mark){.n = n,
                                        .n_chunks = log->n_chunks,
                                        .chunk_used = c ? c->used : 0,
                                        .size = log->size,
                                        .count = log->count,
                                        .crc = log->crc,
                                        .n_tombstones = log->n_tombstones,
                                        .tombstone_bytes = log->tombstone_bytes,
                                        .n_undo = log->n_undo};
  return BITCASK_OK;
}

void bc_txlog_release(bc_txlog *log, int n) {
  while (log->n_marks && log->mark[log->n_marks - 1].n >= n) log->n_marks--;
  if (!log->n_marks) log->n_undo = 0;
}

static int read_locked(bc_txlog *log, const bc_place *place, bitcask_buf *scratch,
                       const uint8_t **out, bitcask_error *err) {
  const bc_chunk *c = &log->chunk[chunk_of(place->offset)];
  uint32_t at = offset_of(place->offset);

  if (c->data) {
    *out = c->data + at;
    return BITCASK_OK;
  }
  /* Or rolled back to a savepoint: the file may have been cut, or hold others'
  ** records there. */
  if (c->gone || !log->spill || (uint64_t)at + place->total_sz > c->used) {
    return bc_err(err, BITCASK_ABORT, "this row was written by a transaction rolled back since");
  }
  return bc_datafile_read(log->spill, log->spill_base + c->start + at, place->total_sz, scratch,
                          out, err);
}

/* Key of the record at an address. */
static int read_key(bc_txlog *log, uint64_t address, bitcask_buf *scratch, const uint8_t **key,
                    uint32_t *key_sz, bitcask_error *err) {
  bc_place header = {.offset = address, .total_sz = BC_RECORD_HEADER_SZ};
  const uint8_t *p;
  int rc = read_locked(log, &header, scratch, &p, err);
  if (rc) return rc;
  header.total_sz += bc_get16(p + 8);
  rc = read_locked(log, &header, scratch, &p, err);
  if (rc) return rc;
  *key = p + BC_RECORD_HEADER_SZ;
  *key_sz = header.total_sz - BC_RECORD_HEADER_SZ;
  return BITCASK_OK;
}

static int undo_one(bc_txlog *log, const bc_undo *u, bitcask_buf *scratch, bitcask_error *err) {
  const uint8_t *key;
  uint32_t key_sz;
  bc_place old;
  bool had;
  uint64_t hash;
  int rc = read_key(log, u->address, scratch, &key, &key_sz, err);
  if (rc) return rc;
  hash = bc_keydir_hash(bc_keydir_seed(log->overlay), key, key_sz);
  rc = u->had ? bc_keydir_put(log->overlay, hash, key, key_sz, &u->old, &old, &had)
              : bc_keydir_remove(log->overlay, hash, key, key_sz, &old, &had);
  return rc ? bc_err_nomem(err) : BITCASK_OK;
}

/* Let go of the chunks behind a mark.  Their memory stays while somebody may
** see it; what has gone to the file is cut off there. */
static void drop_chunks(bc_txlog *log, const bc_mark *m) {
  bool shared = atomic_load_explicit(&log->refs, memory_order_acquire) > 1;
  bc_chunk *c;

  while (log->n_chunks > m->n_chunks) {
    c = &log->chunk[log->live[--log->n_chunks]];
    if (c->data && shared) continue;
    free(c->data);
    c->data = NULL;
    c->gone = true;
  }
  if (!log->n_chunks) return;
  c = &log->chunk[log->live[log->n_chunks - 1]];
  /* A chunk that somebody may see is not written to again behind the mark. */
  if (shared && c->used > m->chunk_used) c->cap = m->chunk_used;
  c->used = m->chunk_used;
}

int bc_txlog_rollback_to(bc_txlog *log, int n, bitcask_error *err) {
  bc_mark start = {0}, *m;
  bitcask_buf scratch = {0};
  size_t i = log->n_marks;
  int rc = BITCASK_OK;

  while (i && log->mark[i - 1].n >= n) i--;
  m = i < log->n_marks ? &log->mark[i] : NULL;
  if (!m) {
    /* No such mark: SQLite made its savepoint before our first write. */
    if (!log->size) return BITCASK_OK;
  }
  pthread_mutex_lock(&log->mutex);
  if (!m) {
    m = &start;
    bc_keydir *empty = bc_keydir_new(bc_keydir_seed(log->overlay));
    if (!empty) {
      rc = bc_err_nomem(err);
    } else {
      bc_keydir_free(log->overlay);
      log->overlay = empty;
    }
  }
  while (!rc && m != &start && log->n_undo > m->n_undo) {
    rc = undo_one(log, &log->undo[log->n_undo - 1], &scratch, err);
    if (!rc) log->n_undo--;
  }
  if (!rc) {
    drop_chunks(log, m);
    log->size = m->size;
    log->count = m->count;
    log->crc = m->crc;
    log->n_tombstones = m->n_tombstones;
    log->tombstone_bytes = m->tombstone_bytes;
    if (m != &start) m->n = n;
    log->n_marks = m == &start ? 0 : i + 1;
  }
  pthread_mutex_unlock(&log->mutex);
  bitcask_buf_free(&scratch);
  return rc;
}

/* --------------------------------------------------------------- reading */

int bc_txlog_read(bc_txlog *log, const bc_place *place, bitcask_buf *scratch, const uint8_t **out,
                  bitcask_error *err) {
  int rc;
  pthread_mutex_lock(&log->mutex);
  rc = read_locked(log, place, scratch, out, err);
  pthread_mutex_unlock(&log->mutex);
  return rc;
}

uint64_t bc_txlog_position(const bc_txlog *log, uint64_t address) {
  return log->chunk[chunk_of(address)].start + offset_of(address);
}

/* -------------------------------------------------- on the way to the file */

void bc_txlog_retarget(bc_txlog *log, uint32_t file_id) {
  uint32_t at, key_sz, value_sz, crc = 0, n = 0;
  for (size_t i = 0; i < log->n_chunks; i++) {
    bc_chunk *c = &log->chunk[log->live[i]];
    for (at = 0; at < c->used; at += BC_RECORD_HEADER_SZ + key_sz + value_sz) {
      uint8_t *p = c->data + at;
      key_sz = bc_get16(p + 8);
      value_sz = bc_get32(p + 10);
      if (bc_is_tombstone(p + BC_RECORD_HEADER_SZ + key_sz, value_sz)) {
        bc_put32(p + BC_RECORD_HEADER_SZ + key_sz + BC_TOMBSTONE_PREFIX_SZ + 1, file_id);
        bc_record_reseal(p);
      }
      crc = bc_batch_crc(crc, bc_get32(p));
      n++;
      for (size_t k = 0; k < log->n_marks; k++) {
        if (log->mark[k].count == n) log->mark[k].crc = crc;
      }
    }
  }
  log->crc = crc;
}

int bc_txlog_vectors(const bc_txlog *log, size_t spare, struct iovec **out, int *n) {
  struct iovec *v = malloc((log->n_chunks + spare) * sizeof *v);
  size_t k = spare;
  if (!v) return BITCASK_NOMEM;
  for (size_t i = 0; i < log->n_chunks; i++) {
    const bc_chunk *c = &log->chunk[log->live[i]];
    if (!c->in_file && c->used) v[k++] = (struct iovec){c->data, c->used};
  }
  *out = v;
  *n = (int)k;
  return BITCASK_OK;
}

uint64_t bc_txlog_in_memory(const bc_txlog *log) {
  uint64_t n = 0;
  for (size_t i = log->n_chunks; i-- > 0;) {
    const bc_chunk *c = &log->chunk[log->live[i]];
    if (c->in_file) break;
    n += c->used;
  }
  return n;
}

void bc_txlog_spilled(bc_txlog *log, bc_datafile *df, uint64_t base) {
  pthread_mutex_lock(&log->mutex);
  if (!log->spill) log->spill = bc_datafile_ref(df);
  log->spill_base = base;
  for (size_t i = 0; i < log->n_chunks; i++) {
    bc_chunk *c = &log->chunk[log->live[i]];
    c->in_file = true;
    /* A snapshot may be pointing into it. */
    if (atomic_load_explicit(&log->refs, memory_order_acquire) > 1) continue;
    free(c->data);
    c->data = NULL;
  }
  pthread_mutex_unlock(&log->mutex);
}

void bc_txlog_abandon(bc_txlog *log) {
  bc_mark start = {0};
  pthread_mutex_lock(&log->mutex);
  drop_chunks(log, &start);
  pthread_mutex_unlock(&log->mutex);
}

bool bc_txlog_recycle(bc_txlog *log) {
  bc_keydir *kd;
  if (atomic_load_explicit(&log->refs, memory_order_acquire) > 1) return false;
  if (log->spill || log->n_all != 1 || log->n_chunks != 1 || log->chunk[0].cap != CHUNK_FIRST ||
      !log->chunk[0].data) {
    return false;
  }
  if (log->count > RECYCLE_KEYS) {
    kd = bc_keydir_new(bc_keydir_seed(log->overlay));
    if (!kd) return false;
    bc_keydir_free(log->overlay);
    log->overlay = kd;
  } else {
    uint8_t *p = log->chunk[0].data, *end = p + log->chunk[0].used;
    bc_place old;
    bool had;
    for (; p < end; p += bc_record_size(p)) {
      const uint8_t *key = p + BC_RECORD_HEADER_SZ;
      uint32_t n = bc_get16(p + 8);
      uint64_t hash = bc_keydir_hash(bc_keydir_seed(log->overlay), key, n);
      if (bc_keydir_remove(log->overlay, hash, key, n, &old, &had)) return false;
    }
  }
  log->chunk[0].used = 0;
  log->size = log->tombstone_bytes = 0;
  log->count = log->crc = log->n_tombstones = 0;
  log->n_marks = log->n_undo = 0;
  return true;
}
