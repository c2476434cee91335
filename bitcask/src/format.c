/* format.c - see format.h. */
#include "format.h"

#include <string.h>

#include "bytes.h"
#include "crc32.h"

uint64_t bc_record_size(const uint8_t *p) {
  return (uint64_t)BC_RECORD_HEADER_SZ + bc_get16(p + 8) + bc_get32(p + 10);
}

bc_decode bc_record_decode(const uint8_t *p, uint64_t n, bc_record *out) {
  uint64_t size;

  if (n < BC_RECORD_HEADER_SZ) return BC_DECODE_SHORT;
  size = bc_record_size(p);
  if (size > n) return BC_DECODE_SHORT;
  out->crc = bc_get32(p);
  if (size > UINT32_MAX) return BC_DECODE_BAD;
  if (bc_crc32(0, p + 4, (size_t)size - 4) != out->crc) return BC_DECODE_BAD;
  out->tstamp = bc_get32(p + 4);
  out->key_sz = bc_get16(p + 8);
  out->value_sz = bc_get32(p + 10);
  out->key = p + BC_RECORD_HEADER_SZ;
  out->value = out->key + out->key_sz;
  return BC_DECODE_OK;
}

uint32_t bc_record_encode(uint8_t *out, uint32_t tstamp, const void *key, uint32_t key_sz,
                          const void *value, uint32_t value_sz) {
  bc_put32(out + 4, tstamp);
  bc_put16(out + 8, (uint16_t)key_sz);
  bc_put32(out + 10, value_sz);
  if (key_sz) memcpy(out + BC_RECORD_HEADER_SZ, key, key_sz);
  if (value_sz) memcpy(out + BC_RECORD_HEADER_SZ + key_sz, value, value_sz);
  return bc_record_reseal(out);
}

uint32_t bc_record_reseal(uint8_t *p) {
  uint32_t crc = bc_crc32(0, p + 4, (size_t)bc_record_size(p) - 4);
  bc_put32(p, crc);
  return crc;
}

bool bc_is_tombstone(const void *value, size_t value_sz) {
  return value_sz >= BC_TOMBSTONE_PREFIX_SZ &&
         !memcmp(value, BC_TOMBSTONE_PREFIX, BC_TOMBSTONE_PREFIX_SZ);
}

bool bc_is_marker_key(const void *key, size_t key_sz) {
  return key_sz == BC_MARKER_KEY_SZ && !memcmp(key, BC_MARKER_KEY, BC_MARKER_KEY_SZ);
}

void bc_tombstone_encode(uint8_t out[BC_TOMBSTONE_SZ], uint32_t file_id) {
  memcpy(out, BC_TOMBSTONE_PREFIX, BC_TOMBSTONE_PREFIX_SZ);
  out[BC_TOMBSTONE_PREFIX_SZ] = '1';
  bc_put32(out + BC_TOMBSTONE_PREFIX_SZ + 1, file_id);
}

void bc_marker_encode(uint8_t out[BC_MARKER_SZ], uint32_t tstamp, const bc_marker *m) {
  uint8_t value[BC_MARKER_VALUE_SZ];
  memcpy(value, BC_TOMBSTONE_PREFIX, BC_TOMBSTONE_PREFIX_SZ);
  value[17] = (uint8_t)m->kind;
  bc_put64(value + 18, m->length);
  bc_put32(value + 26, m->count);
  bc_put32(value + 30, m->crc);
  bc_record_encode(out, tstamp, BC_MARKER_KEY, BC_MARKER_KEY_SZ, value, sizeof value);
}

bool bc_marker_decode(const bc_record *r, bc_marker *out) {
  const uint8_t *v = r->value;
  if (r->value_sz != BC_MARKER_VALUE_SZ || !bc_is_tombstone(v, r->value_sz)) return false;
  if (!memchr("BOEL", v[17], 4)) return false;
  out->kind = (bc_marker_kind)v[17];
  out->length = bc_get64(v + 18);
  out->count = bc_get32(v + 26);
  out->crc = bc_get32(v + 30);
  return true;
}

uint64_t bc_tie_size(const bc_tie *t) {
  return BC_RECORD_HEADER_SZ + BC_MARKER_KEY_SZ + BC_TIE_VALUE_SZ + (uint64_t)t->path_sz;
}

uint32_t bc_tie_encode(uint8_t *out, uint32_t tstamp, const bc_tie *t) {
  uint8_t *v = out + BC_RECORD_HEADER_SZ + BC_MARKER_KEY_SZ;
  memcpy(v, BC_TOMBSTONE_PREFIX, BC_TOMBSTONE_PREFIX_SZ);
  v[17] = 'T';
  memcpy(v + 18, t->token, BC_TIE_TOKEN_SZ);
  bc_put32(v + 34, t->members);
  bc_put32(v + 38, t->index);
  memcpy(v + BC_TIE_VALUE_SZ, t->path, t->path_sz);
  memcpy(out + BC_RECORD_HEADER_SZ, BC_MARKER_KEY, BC_MARKER_KEY_SZ);
  bc_put32(out + 4, tstamp);
  bc_put16(out + 8, BC_MARKER_KEY_SZ);
  bc_put32(out + 10, BC_TIE_VALUE_SZ + t->path_sz);
  return bc_record_reseal(out);
}

bool bc_tie_decode(const bc_record *r, bc_tie *out) {
  const uint8_t *v = r->value;
  if (!bc_is_marker_key(r->key, r->key_sz) || !bc_is_tombstone(v, r->value_sz)) return false;
  if (r->value_sz <= BC_TIE_VALUE_SZ || v[17] != 'T') return false;
  memcpy(out->token, v + 18, BC_TIE_TOKEN_SZ);
  out->members = bc_get32(v + 34);
  out->index = bc_get32(v + 38);
  out->path = (const char *)v + BC_TIE_VALUE_SZ;
  out->path_sz = r->value_sz - BC_TIE_VALUE_SZ;
  return true;
}

uint32_t bc_batch_crc(uint32_t batch_crc, uint32_t record_crc) {
  uint8_t b[4];
  bc_put32(b, record_crc);
  return bc_crc32(batch_crc, b, sizeof b);
}

void bc_hint_encode(uint8_t *out, const bc_hint_entry *e) {
  bc_put32(out, e->tstamp);
  bc_put16(out + 4, (uint16_t)e->key_sz);
  bc_put32(out + 6, e->total_sz);
  bc_put64(out + 10, e->offset | (uint64_t)e->tombstone << 63);
  if (e->key_sz) memcpy(out + BC_HINT_HEADER_SZ, e->key, e->key_sz);
}

void bc_hint_trailer_encode(uint8_t out[BC_HINT_HEADER_SZ], uint32_t crc) {
  bc_hint_encode(out, &(bc_hint_entry){.total_sz = crc, .offset = BC_HINT_TRAILER_OFFSET});
}

size_t bc_hint_decode(const uint8_t *p, size_t n, bc_hint_entry *out) {
  uint64_t pos;
  if (n < BC_HINT_HEADER_SZ) return 0;
  out->tstamp = bc_get32(p);
  out->key_sz = bc_get16(p + 4);
  out->total_sz = bc_get32(p + 6);
  pos = bc_get64(p + 10);
  out->tombstone = pos >> 63;
  out->offset = pos & BC_HINT_TRAILER_OFFSET;
  out->key = p + BC_HINT_HEADER_SZ;
  if (n - BC_HINT_HEADER_SZ < out->key_sz) return 0;
  return BC_HINT_HEADER_SZ + out->key_sz;
}

bool bc_hint_is_valid(const uint8_t *p, size_t n) {
  bc_hint_entry e;
  if (n < BC_HINT_HEADER_SZ) return false;
  n -= BC_HINT_HEADER_SZ;
  if (bc_hint_decode(p + n, BC_HINT_HEADER_SZ, &e) != BC_HINT_HEADER_SZ) return false;
  return e.tstamp == 0 && e.key_sz == 0 && e.offset == BC_HINT_TRAILER_OFFSET &&
         e.total_sz == bc_crc32(0, p, n);
}
