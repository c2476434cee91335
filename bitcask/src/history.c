/*
** history.c - bitcask_history: every record on disk, one after the other.
**
** A scan hands out records by itself; here they are asked for.  So it is run over
** a stretch of a file at a time, and what it finds there is noted.
*/
#include <stdlib.h>

#include "err.h"
#include "fold.h"

enum { STRETCH = 512 }; /* records */

typedef struct found {
  uint64_t offset;
  uint64_t size;
  bitcask_record_kind kind;
} found;

struct bitcask_history {
  bitcask_snapshot *snap;
  size_t file; /* the next one is snap->pin.files->file[file] */
  uint64_t at; /* in it: what is before has been found */
  found found[STRETCH];
  size_t n, next;
  bc_datafile *df; /* that `found` is in */
  bitcask_buf scratch;
};

int bitcask_history_open(bitcask_snapshot *snap, bitcask_history **out, bitcask_error *err) {
  int rc;

  *out = NULL;
  bc_err_clear(err);
  rc = bc_store_check(snap->bc, err);
  if (rc) return rc;
  *out = calloc(1, sizeof **out);
  if (!*out) return bc_err_nomem(err);
  (*out)->snap = snap;
  return BITCASK_OK;
}

void bitcask_history_close(bitcask_history *h) {
  if (!h) return;
  bitcask_buf_free(&h->scratch);
  free(h);
}

/* BITCASK_ABORT: the stretch is full. */
static int note(bitcask_history *h, uint64_t offset, uint64_t size, bitcask_record_kind kind) {
  h->found[h->n++] = (found){offset, size, kind};
  h->at = offset + size;
  return h->n == STRETCH ? BITCASK_ABORT : BITCASK_OK;
}

static int on_record(void *ctx, const bc_found *f) {
  bitcask_record_kind kind = BITCASK_RECORD_VALUE;
  if (f->marker)
    kind = BITCASK_RECORD_MARKER;
  else if (bc_is_tombstone(f->record.value, f->record.value_sz))
    kind = BITCASK_RECORD_TOMBSTONE;
  return note(ctx, f->offset, f->total_sz, kind);
}

static int on_skipped(void *ctx, uint64_t offset, uint64_t n) {
  return note(ctx, offset, n, BITCASK_RECORD_DAMAGED);
}

/* The next stretch; h->n is 0 at the end of the last file. */
static int fill(bitcask_history *h, bitcask_error *err) {
  bitcask_snapshot *s = h->snap;
  /* What the keydir does not know is behind the limit: all that is before counts. */
  bc_scan scan = {.stable = BC_ALL_STABLE, .fn = on_record, .skipped = on_skipped, .ctx = h};
  int rc = BITCASK_OK;

  h->n = h->next = 0;
  while (!rc && !h->n && h->file < s->pin.files->n) {
    h->df = s->pin.files->file[h->file];
    scan.from = h->at;
    scan.limit = bc_snapshot_limit(s, h->df);
    rc = bc_datafile_scan(h->df, &scan, err);
    if (rc) break;
    /* Not the beginning of a record, and nothing behind it. */
    if (h->at < scan.limit) (void)note(h, h->at, scan.limit - h->at, BITCASK_RECORD_DAMAGED);
    h->file++;
    h->at = 0;
  }
  return rc == BITCASK_ABORT ? BITCASK_OK : rc;
}

static bool is_live(const bitcask_snapshot *s, const bitcask_entry *e) {
  uint64_t hash = bc_keydir_hash(bc_keydir_seed(s->pin.keydir), e->key, e->key_sz);
  bc_place p;
  if (s->own && bc_keydir_view_get(s->own, hash, e->key, e->key_sz, NULL)) return false;
  return bc_keydir_view_get(s->pin.view, hash, e->key, e->key_sz, &p) && p.file_id == e->file_id &&
         p.offset == e->offset && p.tstamp >= s->cutoff;
}

int bitcask_history_next(bitcask_history *h, bitcask_record *out, bitcask_error *err) {
  const found *f;
  const uint8_t *p;
  bc_record r;
  int rc = BITCASK_OK;

  *out = (bitcask_record){0};
  bc_err_clear(err);
  if (h->next == h->n) rc = fill(h, err);
  if (rc) return rc;
  if (!h->n) return BITCASK_NOTFOUND;
  f = &h->found[h->next++];
  out->kind = f->kind;
  out->size = f->size;
  out->entry.file_id = h->df->id;
  out->entry.offset = f->offset;
  if (f->size <= UINT32_MAX) out->entry.total_sz = (uint32_t)f->size;
  if (f->kind == BITCASK_RECORD_DAMAGED) return BITCASK_OK;
  rc = bc_datafile_read(h->df, f->offset, (size_t)f->size, &h->scratch, &p, err);
  if (rc) return rc;
  if (bc_record_decode(p, f->size, &r) != BC_DECODE_OK) {
    return bc_err_at(err, BITCASK_CORRUPT, h->df->id, f->offset,
                     "%s/%u.bitcask.data: the record at %llu has changed under our eyes",
                     h->snap->bc->dir, h->df->id, (unsigned long long)f->offset);
  }
  out->entry.key = r.key;
  out->entry.key_sz = r.key_sz;
  out->entry.value = r.value;
  out->entry.value_sz = r.value_sz;
  out->entry.tstamp = r.tstamp;
  out->is_live = f->kind == BITCASK_RECORD_VALUE && is_live(h->snap, &out->entry);
  return BITCASK_OK;
}
