/*
** crc32.h - CRC-32 (IEEE 802.3, as zlib's crc32) over bytes.
**
** Computed by libdeflate where the build found it (several times faster on
** small records), else by zlib.
*/
#ifndef BC_CRC32_H
#define BC_CRC32_H

#include <stddef.h>
#include <stdint.h>

/* The CRC of `n` bytes appended to bytes whose CRC is `crc`; 0 to start. */
uint32_t bc_crc32(uint32_t crc, const void *p, size_t n);

/* The CRC of B alone, from the CRC of A, the CRC of AB, and the length of B. */
uint32_t bc_crc32_suffix(uint32_t crc_a, uint32_t crc_ab, uint64_t n_b);

#endif
