/*
** fuzz_record.c - any bytes, given to the decoders of format.h.
**
** They stay inside the bytes; what they accept, the encoders write back alike.
*/
#include "format.h"

#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void require(bool holds) {
  if (!holds) abort();
}

static void check_marker(const bc_record *r) {
  uint8_t bytes[BC_MARKER_SZ];
  bc_record again;
  bc_marker m, m2;

  if (!bc_is_marker_key(r->key, r->key_sz) || !bc_marker_decode(r, &m)) return;
  bc_marker_encode(bytes, r->tstamp, &m);
  require(bc_record_decode(bytes, sizeof bytes, &again) == BC_DECODE_OK);
  require(bc_is_tombstone(again.value, again.value_sz));
  require(bc_marker_decode(&again, &m2));
  require(m.kind == m2.kind && m.length == m2.length && m.count == m2.count && m.crc == m2.crc);
}

static void check_record(const uint8_t *p, size_t n) {
  bc_record r;
  bc_decode found = bc_record_decode(p, n, &r);
  size_t size;
  uint8_t *copy;

  if (found == BC_DECODE_SHORT) require(n < BC_RECORD_HEADER_SZ || bc_record_size(p) > n);
  if (found != BC_DECODE_OK) return;
  size = (size_t)bc_record_size(p);
  require(size <= n && size == (size_t)BC_RECORD_HEADER_SZ + r.key_sz + r.value_sz);
  require(r.key == p + BC_RECORD_HEADER_SZ && r.value == r.key + r.key_sz);
  copy = malloc(size);
  require(copy != NULL);
  require(bc_record_encode(copy, r.tstamp, r.key, r.key_sz, r.value, r.value_sz) == r.crc);
  require(!memcmp(copy, p, size));
  free(copy);
  check_marker(&r);
}

static void check_hint(const uint8_t *p, size_t n) {
  bc_hint_entry e;
  size_t pos = 0, size;
  uint8_t copy[BC_HINT_HEADER_SZ + BC_MAX_KEY_SZ];

  (void)bc_hint_is_valid(p, n);
  while ((size = bc_hint_decode(p + pos, n - pos, &e)) > 0) {
    require(size <= n - pos && size == BC_HINT_HEADER_SZ + e.key_sz);
    bc_hint_encode(copy, &e);
    require(!memcmp(copy, p + pos, size));
    pos += size;
  }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  /* The same bytes with a CRC that fits: a fuzzer does not find one by itself. */
  uint8_t *fixed = malloc(n + 1);
  bc_record r = {0};

  require(fixed != NULL);
  check_record(data, n);
  check_hint(data, n);
  if (n >= BC_RECORD_HEADER_SZ && bc_record_size(data) <= n) {
    memcpy(fixed, data, n);
    r.key_sz = (uint32_t)data[8] << 8 | data[9];
    r.value_sz = (uint32_t)(bc_record_size(data) - BC_RECORD_HEADER_SZ - r.key_sz);
    bc_record_encode(
        fixed, (uint32_t)data[4] << 24 | (uint32_t)data[5] << 16 | (uint32_t)data[6] << 8 | data[7],
        data + BC_RECORD_HEADER_SZ, r.key_sz, data + BC_RECORD_HEADER_SZ + r.key_sz, r.value_sz);
    require(bc_record_decode(fixed, n, &r) == BC_DECODE_OK);
    check_record(fixed, n);
  }
  free(fixed);
  return 0;
}
