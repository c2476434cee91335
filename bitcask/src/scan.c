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
  SECTOR_SZ = 512,
  LARGE_SECTOR_SZ = 4096,
  LOCATE_LIMIT = 64 << 20, /* bytes of a record in which one changed byte is looked for */
  LENGTHS_LIMIT = 1 << 20, /* ... if the changed byte is one of its lengths */
  FIXED_VALUE_SZ = 64,     /* bytes of a value that are kept with the changed byte put right */
  LONELY_LIMIT = 1 << 20   /* bytes skipped after which a record must be followed by another */
};

typedef struct scanner {
  bc_reader r;
  bc_scan *scan;
  bitcask_error *err;
  /* CRC of the bytes from crc_base to each block boundary: with them the CRC of any
  ** range costs at most two blocks. */
  uint32_t *crcs;
  uint64_t crc_base;
  bitcask_buf fixed; /* see `located` */
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

/* ------------------------------------------------------- CRCs of ranges */

/* Have the CRCs of all blocks from `base`, or from before it, to the limit.  A scan goes
** back to the beginning of a batch after it has looked through it, so `base` can be below
** that of an earlier call: then they are made anew. */
static int make_crcs(scanner *s, uint64_t base) {
  size_t n = (size_t)((s->r.limit - base) / CRC_BLOCK) + 1;
  const uint8_t *p;
  uint32_t crc = 0;
  uint64_t got;
  int rc;

  if (s->crcs && s->crc_base <= base) return BITCASK_OK;
  free(s->crcs);
  s->crc_base = base;
  s->crcs = malloc(n * sizeof *s->crcs);
  if (!s->crcs) return bc_err_nomem(s->err);
  for (size_t i = 0; i < n; i++) {
    s->crcs[i] = crc;
    if (i + 1 == n) break;
    rc = bc_reader_peek(&s->r, base + (uint64_t)i * CRC_BLOCK, CRC_BLOCK, &p, &got, s->err);
    if (rc) {
      free(s->crcs);
      s->crcs = NULL;
      return rc;
    }
    crc = bc_crc32(crc, p, CRC_BLOCK);
  }
  return BITCASK_OK;
}

/* CRC of the bytes from crc_base up to `to`. */
static int crc_upto(scanner *s, uint64_t to, uint32_t *out) {
  size_t block = (size_t)((to - s->crc_base) / CRC_BLOCK);
  uint64_t start = s->crc_base + (uint64_t)block * CRC_BLOCK, n;
  const uint8_t *p;
  int rc = bc_reader_peek(&s->r, start, to - start, &p, &n, s->err);
  if (!rc) *out = bc_crc32(s->crcs[block], p, (size_t)(to - start));
  return rc;
}

static int crc_of_range(scanner *s, uint64_t from, uint64_t to, uint32_t *out) {
  const uint8_t *p;
  uint32_t before, after;
  uint64_t n;
  int rc;

  if (to - from <= 2 * CRC_BLOCK) {
    rc = bc_reader_peek(&s->r, from, to - from, &p, &n, s->err);
    if (!rc) *out = bc_crc32(0, p, (size_t)(to - from));
    return rc;
  }
  rc = make_crcs(s, from);
  if (!rc) rc = crc_upto(s, from, &before);
  if (!rc) rc = crc_upto(s, to, &after);
  if (!rc) *out = bc_crc32_suffix(before, after, to - from);
  return rc;
}

/* Is there a valid record at `at`?  *end is behind it. */
static int is_record(scanner *s, uint64_t at, bool *yes, uint64_t *end) {
  const uint8_t *p;
  uint32_t crc, stored;
  uint64_t n, size;
  int rc;

  *yes = false;
  rc = bc_reader_peek(&s->r, at, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc || n < BC_RECORD_HEADER_SZ) return rc;
  size = bc_record_size(p);
  stored = bc_get32(p);
  if (size > s->r.limit - at || size > UINT32_MAX) return BITCASK_OK;
  *end = at + size;
  rc = crc_of_range(s, at + 4, *end, &crc);
  *yes = !rc && crc == stored;
  return rc;
}

/* --------------------------------------------------- the byte that is wrong */

/* A record in which one byte was changed.  s->fixed holds its header, its key and the
** beginning of its value, with that byte put right. */
typedef struct located {
  bool found;
  uint64_t size; /* of the record */
  uint32_t crc;  /* its true CRC */
} located;

/* Does the log go on at `at`?  A change of one byte leaves what follows as it was; a record
** that other damage follows is not taken for one with a single wrong byte. */
static int goes_on(scanner *s, uint64_t at, bool *yes) {
  uint64_t end;
  *yes = at == s->r.limit;
  return *yes ? BITCASK_OK : is_record(s, at, yes, &end);
}

/* Keep the record at `bad`: its lengths are those of `header`, its byte `at` was XORed
** with `change`. */
static int keep_fixed(scanner *s, uint64_t bad, const uint8_t *header, uint64_t at, uint8_t change,
                      located *l) {
  uint64_t n = BC_RECORD_HEADER_SZ + (uint64_t)bc_get16(header + 8) + FIXED_VALUE_SZ, got;
  const uint8_t *p;
  int rc;

  l->size = bc_record_size(header);
  if (n > l->size) n = l->size;
  rc = bc_reader_peek(&s->r, bad, n, &p, &got, s->err);
  s->fixed.size = 0;
  if (!rc && bc_buf_append(&s->fixed, p, (size_t)n)) rc = bc_err_nomem(s->err);
  if (rc) return rc;
  if (at < n) s->fixed.data[at] ^= change;
  l->crc = bc_get32(s->fixed.data);
  l->found = true;
  return BITCASK_OK;
}

/* A changed byte that is none of the lengths. */
static int locate_outside_lengths(scanner *s, uint64_t bad, const uint8_t *header, located *l) {
  uint64_t size = bc_record_size(header), pos, n;
  uint32_t syndrome;
  const uint8_t *p;
  uint8_t change;
  bool plausible;
  int rc;

  if (size > s->r.limit - bad || size > LOCATE_LIMIT) return BITCASK_OK;
  rc = goes_on(s, bad + size, &plausible);
  if (rc || !plausible) return rc;
  rc = bc_reader_peek(&s->r, bad, size, &p, &n, s->err);
  if (rc) return rc;
  syndrome = bc_crc32(0, p + 4, (size_t)size - 4) ^ bc_get32(header);
  for (unsigned i = 0; i < 4; i++) { /* in the CRC itself */
    uint32_t byte = syndrome >> (24 - 8 * i);
    if (byte << (24 - 8 * i) == syndrome && byte < 256)
      return keep_fixed(s, bad, header, i, (uint8_t)byte, l);
  }
  if (!bc_crc32_locate(syndrome, size - 4, &pos, &change)) return BITCASK_OK;
  /* The lengths are right, or what follows would not have been found. */
  if (pos + 4 >= 8 && pos + 4 < BC_RECORD_HEADER_SZ) return BITCASK_OK;
  return keep_fixed(s, bad, header, pos + 4, change, l);
}

/* Is this what the header at `bad` was before one byte of its lengths was changed? */
static int try_lengths(scanner *s, uint64_t bad, const uint8_t *header, bool *yes) {
  uint64_t size = bc_record_size(header), n;
  const uint8_t *p;
  uint32_t crc;
  int rc;

  *yes = false;
  if (size > s->r.limit - bad || size > LENGTHS_LIMIT) return BITCASK_OK;
  rc = goes_on(s, bad + size, yes);
  if (rc || !*yes) return rc;
  rc = bc_reader_peek(&s->r, bad, size, &p, &n, s->err);
  if (rc) return rc;
  crc = bc_crc32(0, header + 4, BC_RECORD_HEADER_SZ - 4);
  crc = bc_crc32(crc, p + BC_RECORD_HEADER_SZ, (size_t)size - BC_RECORD_HEADER_SZ);
  *yes = crc == bc_get32(header);
  return BITCASK_OK;
}

/* Is one changed byte all that is wrong with the record at `bad`? */
static int locate(scanner *s, uint64_t bad, located *l) {
  uint8_t header[BC_RECORD_HEADER_SZ];
  const uint8_t *p;
  uint64_t n;
  bool yes;
  int rc = bc_reader_peek(&s->r, bad, BC_RECORD_HEADER_SZ, &p, &n, s->err);

  l->found = false;
  if (rc || n < BC_RECORD_HEADER_SZ) return rc;
  memcpy(header, p, sizeof header);
  rc = locate_outside_lengths(s, bad, header, l);
  for (unsigned at = 8; at < BC_RECORD_HEADER_SZ && !rc && !l->found; at++) {
    for (unsigned change = 1; change < 256 && !rc && !l->found; change++) {
      header[at] ^= (uint8_t)change;
      rc = try_lengths(s, bad, header, &yes);
      if (!rc && yes) rc = keep_fixed(s, bad, header, at, (uint8_t)change, l);
      header[at] ^= (uint8_t)change;
    }
  }
  return rc;
}

/* The record as it was; of its value only the beginning is there. */
static void fixed_record(const scanner *s, const located *l, bc_record *r) {
  const uint8_t *p = s->fixed.data;
  r->crc = l->crc;
  r->tstamp = bc_get32(p + 4);
  r->key_sz = bc_get16(p + 8);
  r->value_sz = (uint32_t)(l->size - BC_RECORD_HEADER_SZ - r->key_sz);
  r->key = p + BC_RECORD_HEADER_SZ;
  r->value = r->key + r->key_sz;
}

static bool fixed_is_tombstone(const scanner *s, const bc_record *r) {
  size_t there = s->fixed.size - BC_RECORD_HEADER_SZ - r->key_sz;
  return bc_is_tombstone(r->value, there);
}

/* --------------------------------------------------- resynchronisation */

/* Bytes that are no valid record. */
typedef struct gap {
  uint64_t next;   /* the next valid record behind them; the limit if there is none */
  located located; /* found: they are one record, and it is known which */
} gap;

static int resync(scanner *s, uint64_t bad, gap *g) {
  const uint8_t *p;
  uint64_t n, at, end, ignored;
  bool yes = false;
  int rc = locate(s, bad, &g->located);

  g->next = bad + g->located.size;
  if (rc || g->located.found) return rc;
  /* If the lengths are right they lead to the next record.  Asked first, so that a record
  ** inside a damaged value is not taken for one. */
  rc = bc_reader_peek(&s->r, bad, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc) return rc;
  if (n >= BC_RECORD_HEADER_SZ && bc_record_size(p) <= s->r.limit - bad) {
    g->next = bad + bc_record_size(p);
    rc = goes_on(s, g->next, &yes);
    if (rc || yes) return rc;
  }
  rc = make_crcs(s, bad);
  for (at = bad + 1; !rc && at < s->r.limit; at++) {
    rc = is_record(s, at, &yes, &end);
    if (rc || !yes) continue;
    /* One in 2^32 places of garbage has a valid CRC: far from the damage, a
    ** record counts only if it does not stand alone. */
    if (at - bad > LONELY_LIMIT && end < s->r.limit) {
      rc = is_record(s, end, &yes, &ignored);
      if (rc || !yes) continue;
    }
    g->next = at;
    return BITCASK_OK;
  }
  g->next = s->r.limit;
  return rc;
}

/* Was the byte at `at` known to be on stable storage?  Then no crash has touched
** it, and what does not fit is damage. */
static bool was_stable(const scanner *s, uint64_t at) {
  return s->scan->stable != BC_STABLE_UNKNOWN && at < s->scan->stable;
}

/* Has the file lost its end, so that the record at `at`, of which `size` bytes or more
** should be there, is not whole?  Then the log is an earlier state of itself. */
static bool is_cut(const scanner *s, uint64_t at, uint64_t size) {
  uint64_t limit = s->r.limit;
  if (!was_stable(s, at) || !s->scan->newest) return false;
  if (s->scan->stable != BC_ALL_STABLE) return limit < s->scan->stable;
  return size > limit - at;
}

/* A sector of the disk may have got the content of another one, with valid records in it: then
** the damage shows at its ends alone.  If damage from `from` to `to` lies over one boundary of
** sectors, what follows in the sector may stand in place of something else. */
static uint64_t end_of_sector(uint64_t from, uint64_t to) {
  uint64_t boundary = (to - 1) / SECTOR_SZ * SECTOR_SZ;
  if (boundary <= from || boundary - SECTOR_SZ > from) return to;
  boundary += boundary % LARGE_SECTOR_SZ ? SECTOR_SZ : LARGE_SECTOR_SZ;
  return boundary > to ? boundary : to;
}

static int tell_doubt(scanner *s, uint64_t from, uint64_t to) {
  to = end_of_sector(from, to);
  if (to > s->r.limit) to = s->r.limit;
  return s->scan->doubt ? s->scan->doubt(s->scan->ctx, from, to - from) : BITCASK_OK;
}

static int tell_located(scanner *s, uint64_t bad, const located *l) {
  bc_record r;

  if (!s->scan->damaged) return BITCASK_OK;
  fixed_record(s, l, &r);
  return s->scan->damaged(s->scan->ctx, r.key, r.key_sz, bad, (uint32_t)l->size,
                          fixed_is_tombstone(s, &r));
}

/* ------------------------------------------------------------- batches */

typedef struct batch {
  uint64_t first; /* of its records */
  uint64_t end;   /* behind them */
  uint64_t after; /* behind the last byte that belongs to it */
  uint64_t last;  /* its last record, if it is complete */
  bool found;     /* `end` is known */
  bool complete;  /* all there, every CRC right */
  bool known;     /* all there: of those that are not right it is known which they are */
} batch;

/* With `mends`, records in which one byte is wrong count with what they were. */
static int sum_batch(scanner *s, const bc_marker *m, batch *b, bool mends, bool *fits) {
  uint64_t at = b->first;
  uint32_t crc = 0, count = 0;
  bc_decode what;
  located l;
  bc_found f = {0};
  int rc;

  *fits = false;
  while (at < b->end) {
    rc = decode_at(s, at, &what, &f);
    l = (located){what == BC_DECODE_OK, f.total_sz, f.record.crc};
    if (!rc && !l.found && mends) rc = locate(s, at, &l);
    if (rc || !l.found || l.size > b->end - at) return rc;
    crc = bc_batch_crc(crc, l.crc);
    count++;
    b->last = at;
    at += l.size;
  }
  *fits = crc == m->crc && count == m->count;
  return BITCASK_OK;
}

/* Is that an END of the batch? */
static void try_end(batch *b, uint64_t at, uint64_t size, const bc_record *r, bc_marker *m) {
  if (!bc_marker_decode(r, m) || m->kind != BC_MARKER_END || m->length != at - b->first) return;
  b->end = at;
  b->after = at + size;
  b->found = true;
}

/* Part of a batch, as its records are: not what closes it. */
static bool is_tie(const bc_found *f) {
  bc_tie ignored;
  return bc_tie_decode(&f->record, &ignored);
}

/* Find the END that belongs to the OPEN marker before b->first. */
static int find_end(scanner *s, batch *b, bc_marker *m) {
  uint64_t at = b->first;
  bc_decode what;
  bc_record r;
  bc_found f;
  gap g;
  int rc;

  while (at < s->r.limit) {
    rc = decode_at(s, at, &what, &f);
    if (rc) return rc;
    if (what == BC_DECODE_OK) {
      if (f.marker) try_end(b, at, f.total_sz, &f.record, m);
      if (f.marker && !is_tie(&f))
        return BITCASK_OK; /* any other marker: the OPEN one was never closed */
      at += f.total_sz;
      continue;
    }
    if (at >= s->scan->stable) return BITCASK_OK;
    rc = resync(s, at, &g);
    if (rc) return rc;
    if (g.located.found) {
      fixed_record(s, &g.located, &r);
      if (bc_is_marker_key(r.key, r.key_sz)) try_end(b, at, g.located.size, &r, m);
      if (b->found) return BITCASK_OK;
    }
    at = g.next;
  }
  return BITCASK_OK;
}

/* The extent of the batch that the marker `f` begins.  *counts is false if it
** must be ignored: then the file ends before it. */
static int find_batch(scanner *s, const bc_found *f, const bc_marker *begin, batch *b,
                      bool *counts) {
  uint64_t left;
  bc_marker m = *begin;
  int rc = BITCASK_OK;

  *b = (batch){.first = f->offset + f->total_sz};
  left = s->r.limit - b->first;
  b->found = m.kind == BC_MARKER_BATCH && m.length <= left;
  if (b->found) b->end = b->after = b->first + m.length;
  if (m.kind == BC_MARKER_OPEN) rc = find_end(s, b, &m);
  if (!rc && b->found) rc = sum_batch(s, &m, b, false, &b->complete);
  if (rc) return rc;
  if (!b->found) {
    /* No end: torn, or never committed; unless it had been stable, and so had its
    ** end, which is damaged.  Then its records were acknowledged, one and all. */
    b->after = b->first;
    *counts =
        was_stable(s, f->offset) && !is_cut(s, b->first, m.kind == BC_MARKER_BATCH ? m.length : 0);
    return BITCASK_OK;
  }
  *counts = b->complete || b->after <= s->scan->stable;
  b->known = b->complete;
  if (*counts && !b->complete) rc = sum_batch(s, &m, b, true, &b->known);
  return rc;
}

/* ----------------------------------------------------------- the loop */

/* What is at `at` is no record: *torn, or damage, and *next the next one. */
static int skip_damage(scanner *s, uint64_t at, uint64_t *next, bool *torn) {
  const uint8_t *p;
  uint64_t n, size;
  gap g;
  int rc = resync(s, at, &g);

  if (!rc) rc = bc_reader_peek(&s->r, at, BC_RECORD_HEADER_SZ, &p, &n, s->err);
  if (rc) return rc;
  size = n < BC_RECORD_HEADER_SZ ? UINT64_MAX : bc_record_size(p);
  *next = g.next;
  /* Nothing behind it: a torn tail, unless it had been stable and the file has its end. */
  *torn = g.next == s->r.limit && !g.located.found && (!was_stable(s, at) || is_cut(s, at, size));
  if (*torn) return BITCASK_OK;
  rc = g.located.found ? tell_located(s, at, &g.located) : tell_doubt(s, at, g.next);
  if (!rc && s->scan->skipped) rc = s->scan->skipped(s->scan->ctx, at, g.next - at);
  return rc;
}

/* A batch may be one part of a transaction over several directories: then it is not for this
** file to say whether it was committed. */
static int ask_tie(scanner *s, const batch *b, bool *counts) {
  bc_decode what;
  bc_found f;
  bc_tie tie;
  int rc;

  if (!s->scan->tied || !b->complete || b->last < b->first) return BITCASK_OK;
  rc = decode_at(s, b->last, &what, &f);
  if (rc || what != BC_DECODE_OK || !bc_tie_decode(&f.record, &tie)) return rc;
  return s->scan->tied(s->scan->ctx, &tie, counts);
}

/* At the marker `f`: the batch that it begins.  *ended: it does not count. */
static int enter_batch(scanner *s, bc_found *f, const bc_marker *m, uint64_t *batch_end,
                       bool *ended) {
  bc_decode what;
  batch b;
  bool counts;
  int rc = find_batch(s, f, m, &b, &counts);

  if (!rc && counts && f->offset >= s->scan->final) rc = ask_tie(s, &b, &counts);
  *ended = !counts;
  if (rc || !counts) return rc;
  *batch_end = b.after;
  /* Valid records may stand where others were: what the batch held is not known. */
  if (!b.known) rc = tell_doubt(s, f->offset, b.found ? b.after : s->r.limit);
  /* The look ahead may have moved the read-ahead buffer. */
  return rc ? rc : decode_at(s, f->offset, &what, f);
}

/* One step: the record or gap at *at. *ended: nothing behind *at counts. */
static int step(scanner *s, uint64_t *at, uint64_t *batch_end, bool *ended) {
  bc_decode what;
  bc_marker m;
  bc_found f;
  uint64_t next;
  int rc;

  rc = decode_at(s, *at, &what, &f);
  if (rc) return rc;
  if (what != BC_DECODE_OK) {
    *ended = *at >= s->scan->stable;
    if (*ended) return BITCASK_OK;
    rc = skip_damage(s, *at, &next, ended);
    if (!rc && !*ended) *at = next;
    return rc;
  }
  if (f.marker && !s->scan->singly && *at >= *batch_end && bc_marker_decode(&f.record, &m) &&
      (m.kind == BC_MARKER_BATCH || m.kind == BC_MARKER_OPEN)) {
    rc = enter_batch(s, &f, &m, batch_end, ended);
    if (rc || *ended) return rc;
  }
  *at += f.total_sz;
  return s->scan->fn(s->scan->ctx, &f);
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
  bitcask_buf_free(&s.fixed);
  free(s.crcs);
  return rc;
}
