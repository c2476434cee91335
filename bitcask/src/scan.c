/*
** scan.c - reading a data file from one end to the other (datafile.h).
**
** Three things make it more than a loop: batches count as a whole or not at
** all; a bad length must not hide the rest of a file; and bytes of a value
** that happen to look like a record must not become one.
*/
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "bytes.h"
#include "crc32.h"
#include "datafile.h"
#include "err.h"

enum {
  CRC_BLOCK = 4096,
  ONE_BIT_KEY = 256,       /* bytes of a key in which a flipped bit is looked for */
  ONE_BIT_LIMIT = 1 << 20, /* bytes of a record up to which a flipped length bit is looked for */
  LONELY_LIMIT = 1 << 20   /* bytes skipped after which a record must be followed by another */
};

typedef struct scanner {
  bc_reader r;
  bc_scan *scan;
  bitcask_error *err;
  /* CRC of the bytes from crc_base to each block boundary, made at the first
  ** search: with them the CRC of any range costs at most two blocks. */
  uint32_t *crcs;
  size_t n_crcs;
  uint64_t crc_base;
  uint8_t fixed[BC_RECORD_HEADER_SZ + ONE_BIT_KEY]; /* a header and a key, one bit put right */
  size_t n_fixed;
} scanner;

static int decode_at(scanner *s, uint64_t at, bc_decode *what, bc_found *out) {
  const uint8_t *p;
  uint64_t n, size;
  int rc;

  rc = bc_reader_peek(&s->r, at, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc) return rc;
  if (n >= BC_RECORD_HEADER_SZ) {
    size = bc_record_size(p);
    if (size > n && size <= s->r.limit - at) {
      rc = bc_reader_peek(&s->r, at, size, &p, &n, s->err);
      if (rc) return rc;
    }
  }
  *what = bc_record_decode(p, n, &out->record);
  if (*what == BC_DECODE_OK) {
    out->offset = at;
    out->total_sz = (uint32_t)bc_record_size(p);
    out->marker = bc_is_marker_key(out->record.key, out->record.key_sz) &&
                  bc_is_tombstone(out->record.value, out->record.value_sz);
  }
  return BITCASK_OK;
}

/* --------------------------------------------------- resynchronisation */

/* CRC of the bytes from crc_base up to `to`. */
static int crc_upto(scanner *s, uint64_t to, uint32_t *out) {
  size_t block = (size_t)((to - s->crc_base) / CRC_BLOCK);
  uint64_t start = s->crc_base + (uint64_t)block * CRC_BLOCK, n;
  const uint8_t *p;
  int rc = bc_reader_peek(&s->r, start, to - start, &p, &n, s->err);
  if (!rc) *out = bc_crc32(s->crcs[block], p, (size_t)(to - start));
  return rc;
}

static int make_crcs(scanner *s, uint64_t base) {
  uint64_t at, n;
  const uint8_t *p;
  uint32_t crc = 0;
  size_t i;
  int rc;

  if (s->crcs) return BITCASK_OK;
  s->crc_base = base;
  s->n_crcs = (size_t)((s->r.limit - base) / CRC_BLOCK) + 1;
  s->crcs = malloc(s->n_crcs * sizeof *s->crcs);
  if (!s->crcs) return bc_err_nomem(s->err);
  for (i = 0; i < s->n_crcs; i++) {
    s->crcs[i] = crc;
    at = base + (uint64_t)i * CRC_BLOCK;
    if (i + 1 == s->n_crcs) break;
    rc = bc_reader_peek(&s->r, at, CRC_BLOCK, &p, &n, s->err);
    if (rc) return rc;
    crc = bc_crc32(crc, p, CRC_BLOCK);
  }
  return BITCASK_OK;
}

/* Is there a valid record at `at`?  *end is behind it. */
static int is_record(scanner *s, uint64_t at, bool *yes, uint64_t *end) {
  uint8_t header[BC_RECORD_HEADER_SZ];
  uint32_t before, after;
  uint64_t n, size;
  const uint8_t *p;
  int rc;

  *yes = false;
  rc = bc_reader_peek(&s->r, at, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc || n < BC_RECORD_HEADER_SZ) return rc;
  memcpy(header, p, sizeof header);
  size = bc_record_size(header);
  if (size > s->r.limit - at || size > UINT32_MAX) return BITCASK_OK;
  *end = at + size;
  if (size <= 2 * CRC_BLOCK) {
    rc = bc_reader_peek(&s->r, at, size, &p, &n, s->err);
    if (!rc) *yes = bc_crc32(0, p + 4, (size_t)size - 4) == bc_get32(header);
    return rc;
  }
  rc = crc_upto(s, at + 4, &before);
  if (!rc) rc = crc_upto(s, *end, &after);
  if (!rc) *yes = bc_crc32_suffix(before, after, size - 4) == bc_get32(header);
  return rc;
}

/* Is one flipped bit in the lengths or the key all that is wrong?  Then *end is
** where the record really ends, and s->fixed its header and key. */
static int one_bit_off(scanner *s, uint64_t bad, bool *yes, uint64_t *end) {
  const uint8_t *p;
  uint64_t n, size;
  size_t head;
  int rc = bc_reader_peek(&s->r, bad, sizeof s->fixed, &p, &n, s->err);

  *yes = false;
  if (rc || n < BC_RECORD_HEADER_SZ) return rc;
  s->n_fixed = n < sizeof s->fixed ? (size_t)n : sizeof s->fixed;
  memcpy(s->fixed, p, s->n_fixed);
  for (size_t bit = 8 * 8; bit < s->n_fixed * 8 && !*yes; bit++) {
    s->fixed[bit / 8] ^= (uint8_t)(1u << bit % 8);
    size = bc_record_size(s->fixed);
    /* Bits of the value need not be found: the key is right without. */
    if (bit / 8 >= BC_RECORD_HEADER_SZ + (size_t)bc_get16(s->fixed + 8)) return BITCASK_OK;
    if (size <= s->r.limit - bad && size <= ONE_BIT_LIMIT) {
      rc = bc_reader_peek(&s->r, bad, size, &p, &n, s->err);
      if (rc) return rc;
      *end = bad + size;
      head = size < s->n_fixed ? (size_t)size : s->n_fixed;
      *yes = bc_crc32(bc_crc32(0, s->fixed + 4, head - 4), p + head, (size_t)size - head) ==
             bc_get32(s->fixed);
    }
    if (!*yes) s->fixed[bit / 8] ^= (uint8_t)(1u << bit % 8);
  }
  return BITCASK_OK;
}

/* What is known of a bad record. */
typedef enum extent {
  EXTENT_UNKNOWN, /* nothing: maybe a torn write */
  EXTENT_WHOLE,   /* its lengths lead to what comes next: all there, the value damaged */
  EXTENT_FIXED    /* with one bit put right it is whole: see s->fixed */
} extent;

/* Tell of the damaged record at `bad`, `size` long, if its key is known. */
static int tell_damaged(scanner *s, extent known, uint64_t bad, uint64_t size) {
  const uint8_t *p = s->fixed;
  uint64_t n = s->n_fixed;
  uint32_t key_sz;
  int rc = BITCASK_OK;

  if (!s->scan->damaged || known == EXTENT_UNKNOWN || size > UINT32_MAX) return BITCASK_OK;
  if (known == EXTENT_WHOLE) rc = bc_reader_peek(&s->r, bad, size, &p, &n, s->err);
  if (rc) return rc;
  key_sz = bc_get16(p + 8);
  if (key_sz > n - BC_RECORD_HEADER_SZ) return BITCASK_OK;
  return s->scan->damaged(s->scan->ctx, p + BC_RECORD_HEADER_SZ, key_sz, bad, (uint32_t)size);
}

/* The next valid record behind a bad one at `bad`; the limit if there is none. */
static int resync(scanner *s, uint64_t bad, uint64_t *next, extent *known) {
  const uint8_t *p;
  uint64_t n, at, end;
  bool yes;
  int rc;

  rc = one_bit_off(s, bad, &yes, next);
  *known = yes ? EXTENT_FIXED : EXTENT_UNKNOWN;
  if (rc || yes) return rc;
  /* If only key or value are damaged the lengths still lead to the next one.
  ** Asked first, lest a record inside a damaged value be taken for one. */
  rc = bc_reader_peek(&s->r, bad, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc) return rc;
  if (n >= BC_RECORD_HEADER_SZ && bc_record_size(p) <= s->r.limit - bad) {
    *next = bad + bc_record_size(p);
    yes = *next == s->r.limit;
    rc = yes ? BITCASK_OK : is_record(s, *next, &yes, &end);
    if (yes) *known = EXTENT_WHOLE;
    if (rc || yes) return rc;
  }
  rc = make_crcs(s, bad);
  for (at = bad + 1; !rc && at < s->r.limit; at++) {
    rc = is_record(s, at, &yes, &end);
    if (rc || !yes) continue;
    /* One in 2^32 places of garbage has a valid CRC: far from the damage, a
    ** record counts only if it does not stand alone. */
    if (at - bad > LONELY_LIMIT && end < s->r.limit) {
      uint64_t ignored;
      rc = is_record(s, end, &yes, &ignored);
      if (rc || !yes) continue;
    }
    *next = at;
    return BITCASK_OK;
  }
  *next = s->r.limit;
  return rc;
}

/* ------------------------------------------------------------- batches */

typedef struct batch {
  uint64_t first; /* of its records */
  uint64_t end;   /* behind them */
  uint64_t after; /* behind the last byte that belongs to it */
  bool complete;  /* all there, every CRC right */
} batch;

static int check_batch(scanner *s, const bc_marker *m, batch *b) {
  uint64_t at = b->first;
  uint32_t crc = 0, count = 0;
  bc_decode what;
  bc_found f;
  int rc;

  b->complete = false;
  while (at < b->end) {
    rc = decode_at(s, at, &what, &f);
    if (rc) return rc;
    if (what != BC_DECODE_OK || f.total_sz > b->end - at) return BITCASK_OK;
    crc = bc_batch_crc(crc, f.record.crc);
    count++;
    at += f.total_sz;
  }
  b->complete = crc == m->crc && count == m->count;
  return BITCASK_OK;
}

/* Find the END that belongs to the OPEN marker before b->first. */
static int find_end(scanner *s, batch *b, bc_marker *m, bool *found) {
  uint64_t at = b->first, next;
  extent known;
  bc_decode what;
  bc_found f;
  int rc;

  *found = false;
  while (at < s->r.limit) {
    rc = decode_at(s, at, &what, &f);
    if (rc) return rc;
    if (what != BC_DECODE_OK) {
      if (at >= s->scan->stable) return BITCASK_OK;
      rc = resync(s, at, &next, &known);
      if (rc) return rc;
      at = next;
      continue;
    }
    if (f.marker) {
      if (bc_marker_decode(&f.record, m) && m->kind == BC_MARKER_END &&
          m->length == at - b->first) {
        b->end = at;
        b->after = at + f.total_sz;
        *found = true;
      }
      return BITCASK_OK; /* any other marker: the OPEN one was never closed */
    }
    at += f.total_sz;
  }
  return BITCASK_OK;
}

/* Was the byte at `at` known to be on stable storage?  Then no crash has touched
** it, and what does not fit is damage. */
static bool was_stable(const scanner *s, uint64_t at) {
  return s->scan->stable != BC_STABLE_UNKNOWN && at < s->scan->stable;
}

/* The extent of the batch that the marker `f` begins.  *counts is false if it
** must be ignored: then the file ends before it. */
static int find_batch(scanner *s, const bc_found *f, const bc_marker *begin, batch *b,
                      bool *counts) {
  bc_marker m = *begin;
  bool found = m.kind == BC_MARKER_BATCH && m.length <= s->r.limit - (f->offset + f->total_sz);
  int rc = BITCASK_OK;

  b->first = f->offset + f->total_sz;
  if (found) b->end = b->after = b->first + m.length;
  if (m.kind == BC_MARKER_OPEN) rc = find_end(s, b, &m, &found);
  if (!rc && found) rc = check_batch(s, &m, b);
  if (rc) return rc;
  if (!found) {
    /* No end: torn, or never committed; unless it had been stable, and so had its
    ** end, which is damaged.  Then its records were acknowledged, one and all. */
    b->after = b->first;
    *counts = was_stable(s, f->offset);
  } else {
    *counts = b->complete || b->after <= s->scan->stable;
  }
  return BITCASK_OK;
}

/* ----------------------------------------------------------- the loop */

static int deliver(scanner *s, const bc_found *f) { return s->scan->fn(s->scan->ctx, f); }

static int skip_damage(scanner *s, uint64_t at, uint64_t *next, bool *torn) {
  extent known;
  int rc = resync(s, at, next, &known);
  if (rc) return rc;
  /* Nothing behind it: a torn tail, unless it is whole and had been stable. */
  *torn = *next == s->r.limit && !(known != EXTENT_UNKNOWN && was_stable(s, at));
  if (*torn) return BITCASK_OK;
  rc = tell_damaged(s, known, at, *next - at);
  if (!rc && s->scan->skipped) rc = s->scan->skipped(s->scan->ctx, at, *next - at);
  return rc;
}

/* One step: the record or gap at *at. *ended: nothing behind *at counts. */
static int step(scanner *s, uint64_t *at, uint64_t *batch_end, bool *ended) {
  bc_decode what;
  bc_marker m;
  bc_found f;
  uint64_t next;
  batch b;
  bool counts;
  int rc;

  rc = decode_at(s, *at, &what, &f);
  if (rc) return rc;
  if (what != BC_DECODE_OK) {
    if (*at >= s->scan->stable) {
      *ended = true;
      return BITCASK_OK;
    }
    rc = skip_damage(s, *at, &next, ended);
    if (!rc && !*ended) *at = next;
    return rc;
  }
  if (f.marker && !s->scan->singly && *at >= *batch_end && bc_marker_decode(&f.record, &m) &&
      (m.kind == BC_MARKER_BATCH || m.kind == BC_MARKER_OPEN)) {
    rc = find_batch(s, &f, &m, &b, &counts);
    if (rc) return rc;
    if (!counts) {
      *ended = true;
      return BITCASK_OK;
    }
    *batch_end = b.after;
    /* The look ahead may have moved the read-ahead buffer. */
    rc = decode_at(s, *at, &what, &f);
    if (rc) return rc;
  }
  *at += f.total_sz;
  return deliver(s, &f);
}

int bc_datafile_scan(bc_datafile *df, bc_scan *scan, bitcask_error *err) {
  scanner s = {.scan = scan, .err = err};
  uint64_t at = scan->from, batch_end = 0;
  bool ended = false;
  int rc = BITCASK_OK;

  bc_reader_init(&s.r, df, scan->limit);
  while (!rc && !ended && at < scan->limit) rc = step(&s, &at, &batch_end, &ended);
  /* Damage at the end of a batch that counts is inside the log, not behind it; and
  ** not to be appended to. */
  if (!rc && ended && at < batch_end) {
    if (scan->skipped) rc = scan->skipped(scan->ctx, at, batch_end - at);
    at = batch_end;
  }
  scan->end = at;
  bc_reader_release(&s.r);
  free(s.crcs);
  return rc;
}
