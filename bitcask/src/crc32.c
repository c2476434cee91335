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
