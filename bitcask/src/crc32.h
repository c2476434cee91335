/*
** crc32.h - CRC-32 (IEEE 802.3, as zlib's crc32) over bytes.
**
** Computed by libdeflate where the build found it (several times faster on
** small records), else by zlib.
*/
#ifndef BC_CRC32_H
#define BC_CRC32_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The CRC of `n` bytes appended to bytes whose CRC is `crc`; 0 to start. */
uint32_t bc_crc32(uint32_t crc, const void *p, size_t n);

/* The CRC of B alone, from the CRC of A, the CRC of AB, and the length of B. */
uint32_t bc_crc32_suffix(uint32_t crc_a, uint32_t crc_ab, uint64_t n_b);

/*
** The CRC of `n` bytes differs from what it should be by `syndrome` (one XOR the other).
** If a change of a single byte explains that: true, *pos is the byte, and *change what it
** was XORed with.  A larger change passes for that of a byte by chance, once in
** 2^24 / n times.  Cost: up to n steps of a nanosecond or two.
*/
bool bc_crc32_locate(uint32_t syndrome, uint64_t n, uint64_t *pos, uint8_t *change);

#endif
