/* crc32.c - see crc32.h. */
#include "crc32.h"

#include <zlib.h>

#if BC_HAVE_LIBDEFLATE
#include <libdeflate.h>

uint32_t bc_crc32(uint32_t crc, const void *p, size_t n) {
  /* A null pointer asks libdeflate for its start value, whatever n is. */
  return n ? libdeflate_crc32(crc, p, n) : crc;
}
#else
uint32_t bc_crc32(uint32_t crc, const void *p, size_t n) {
  return n ? (uint32_t)crc32_z(crc, p, n) : crc;
}
#endif

uint32_t bc_crc32_suffix(uint32_t crc_a, uint32_t crc_ab, uint64_t n_b) {
  /* crc(AB) = shift(crc(A), |B|) xor crc(B), and combining with 0 is the shift. */
  return crc_ab ^ (uint32_t)crc32_combine64(crc_a, 0, (z_off64_t)n_b);
}

enum { POLYNOMIAL = 0xedb88320 }; /* reflected */

/* What one byte does to a CRC of 0. */
static uint32_t of_byte(uint32_t crc) {
  for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (crc & 1 ? POLYNOMIAL : 0);
  return crc;
}

bool bc_crc32_locate(uint32_t syndrome, uint64_t n, uint64_t *pos, uint8_t *change) {
  uint32_t undo[256], crc;
  uint64_t at;

  /* The highest byte of of_byte(b) is another one for each b: so a step back is a look
  ** into a table. */
  for (uint32_t b = 0; b < 256; b++) {
    crc = of_byte(b);
    undo[crc >> 24] = crc << 8 | b;
  }
  /* CRCs are linear: the syndrome is the CRC of zeros with the change among them.  Taken
  ** back byte by byte, it is the change alone where the change came in. */
  for (at = n, crc = syndrome; at-- > 0;) {
    crc = crc << 8 ^ undo[crc >> 24];
    if (!crc || crc > 255) continue;
    *pos = at;
    *change = (uint8_t)crc;
    return true;
  }
  return false;
}
