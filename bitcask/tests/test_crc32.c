/*
** test_crc32.c - bc_crc32 against a CRC computed bit by bit.  Built once with
** each of the libraries that it may come from.
*/
#include "test.h"

#include "crc32.h"

enum { BYTES_SZ = 1000 };

/* The definition: polynomial 0xedb88320, least significant bit first. */
static uint32_t crc_by_bits(const uint8_t *p, size_t n) {
  uint32_t crc = UINT32_MAX;

  for (size_t i = 0; i < n; i++) {
    crc ^= p[i];
    for (int bit = 0; bit < 8; bit++) crc = (crc >> 1) ^ (crc & 1 ? 0xedb88320u : 0);
  }
  return ~crc;
}

static const uint8_t *some_bytes(void) {
  static uint8_t bytes[BYTES_SZ];
  uint32_t x = 1;

  for (size_t i = 0; i < BYTES_SZ; i++) {
    x = x * 1664525u + 1013904223u;
    bytes[i] = (uint8_t)(x >> 24);
  }
  return bytes;
}

static void known_values(void) {
  static const uint8_t zeros[10];
  /* The first golden record: k=v at 1000000001, behind its CRC. */
  static const uint8_t record[] = {0x3b, 0x9a, 0xca, 0x01, 0, 1, 0, 0, 0, 1, 'k', 'v'};

  CHECK_EQ(bc_crc32(0, "123456789", 9), 0xcbf43926);
  CHECK_EQ(bc_crc32(0, zeros, sizeof zeros), 0xe38a6876);
  CHECK_EQ(bc_crc32(0, record, sizeof record), 0xc5ea7078);
}

static void nothing_changes_nothing(void) {
  CHECK_EQ(bc_crc32(0, NULL, 0), 0);
  CHECK_EQ(bc_crc32(0xcbf43926, NULL, 0), 0xcbf43926);
  CHECK_EQ(bc_crc32(0xcbf43926, "x", 0), 0xcbf43926);
}

static void every_length_and_alignment(void) {
  const uint8_t *p = some_bytes();

  for (size_t from = 0; from < 17; from++) {
    for (size_t n = 0; n <= BYTES_SZ - from; n += 1 + n / 40) {
      CHECK_EQ(bc_crc32(0, p + from, n), crc_by_bits(p + from, n));
    }
  }
}

static void in_two_pieces(void) {
  const uint8_t *p = some_bytes();
  uint32_t whole = crc_by_bits(p, BYTES_SZ);

  for (size_t n = 0; n <= BYTES_SZ; n++) {
    CHECK_EQ(bc_crc32(bc_crc32(0, p, n), p + n, BYTES_SZ - n), whole);
  }
}

static void suffix_from_prefix_and_whole(void) {
  const uint8_t *p = some_bytes();
  uint32_t whole = crc_by_bits(p, BYTES_SZ);

  for (size_t n = 0; n <= BYTES_SZ; n += 7) {
    CHECK_EQ(bc_crc32_suffix(crc_by_bits(p, n), whole, BYTES_SZ - n),
             crc_by_bits(p + n, BYTES_SZ - n));
  }
}

int main(void) {
  RUN(known_values);
  RUN(nothing_changes_nothing);
  RUN(every_length_and_alignment);
  RUN(in_two_pieces);
  RUN(suffix_from_prefix_and_whole);
  return test_done();
}
