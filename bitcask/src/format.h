/*
** format.h - the bytes of records, batch markers and hint entries.
**
** Pure functions over memory: nothing here reads a file or allocates.  Every
** length taken from the bytes is checked against what remains.  FORMAT.md is
** this file in words.
*/
#ifndef BC_FORMAT_H
#define BC_FORMAT_H

#include "bitcask.h"

#define BC_RECORD_HEADER_SZ 14u
#define BC_HINT_HEADER_SZ 18u
#define BC_MAX_KEY_SZ 65535u
#define BC_TOMBSTONE_PREFIX "bitcask_tombstone"
#define BC_TOMBSTONE_PREFIX_SZ 17u
#define BC_TOMBSTONE_SZ 22u /* v1: prefix, '1', uint32 file id */
#define BC_HINT_TRAILER_OFFSET (UINT64_MAX >> 1)

/* The reserved key (FORMAT.md section 3): a batch marker's, never a user's.
** Not valid UTF-8, so no text can be it. */
#define BC_MARKER_KEY                                                                              \
  "\xff"                                                                                           \
  "bitcask_batch"
#define BC_MARKER_KEY_SZ 14u
#define BC_MARKER_VALUE_SZ 34u /* prefix, kind, uint64 length, uint32 count, uint32 crc */
#define BC_MARKER_SZ (BC_RECORD_HEADER_SZ + BC_MARKER_KEY_SZ + BC_MARKER_VALUE_SZ)

/* A decoded record.  key and value point into the bytes that were decoded. */
typedef struct bc_record {
  const uint8_t *key;
  const uint8_t *value;
  uint32_t key_sz;
  uint32_t value_sz;
  uint32_t tstamp;
  uint32_t crc;
} bc_record;

typedef enum bc_decode {
  BC_DECODE_OK,
  BC_DECODE_SHORT, /* the record goes on behind the bytes at hand */
  BC_DECODE_BAD    /* all of it is there and its CRC is wrong */
} bc_decode;

/* Size of the record whose header starts at p (>= 14 bytes readable). */
uint64_t bc_record_size(const uint8_t *p);

/* Decode the record at p, of which `n` bytes are at hand. */
bc_decode bc_record_decode(const uint8_t *p, uint64_t n, bc_record *out);

/* Write a record to `out`, which has room for 14 + key_sz + value_sz bytes;
** returns its CRC.  key_sz <= 65535; the total fits 32 bits. */
uint32_t bc_record_encode(uint8_t *out, uint32_t tstamp, const void *key, uint32_t key_sz,
                          const void *value, uint32_t value_sz);

/* Make the CRC of the whole record at p right again after a change. Returns it. */
uint32_t bc_record_reseal(uint8_t *p);

bool bc_is_tombstone(const void *value, size_t value_sz);
bool bc_is_marker_key(const void *key, size_t key_sz);

/* The value of a v1 tombstone written to file `file_id`. */
void bc_tombstone_encode(uint8_t out[BC_TOMBSTONE_SZ], uint32_t file_id);

/*
** Batch markers, DESIGN.md "Atomic transactions".
*/
typedef enum bc_marker_kind {
  BC_MARKER_BATCH = 'B', /* followed by `length` bytes of records that count as one */
  BC_MARKER_OPEN = 'O',  /* what follows is nothing unless an END comes; fields are 0 */
  BC_MARKER_END = 'E',   /* the `length` bytes before it, back to the OPEN, count */
  BC_MARKER_LINK = 'L'   /* first in a file: the one before it has id `count` and `length` bytes */
} bc_marker_kind;

typedef struct bc_marker {
  bc_marker_kind kind;
  uint64_t length; /* bytes of the batch's records, markers not counted */
  uint32_t count;  /* records of the batch */
  uint32_t crc;    /* CRC-32 over the batch's record CRCs, 4 bytes big-endian each, in order */
} bc_marker;

void bc_marker_encode(uint8_t out[BC_MARKER_SZ], uint32_t tstamp, const bc_marker *m);
/* False if the record (with the reserved key) is no marker of these kinds. */
bool bc_marker_decode(const bc_record *r, bc_marker *out);

/*
** A tie, the last record of a batch that is one part of a transaction over several
** directories: the batch counts only if the group was decided (group.h).  Its value is the
** prefix, 'T', token, uint32 members, uint32 index, and a path.
*/
#define BC_TIE_TOKEN_SZ 16u
#define BC_TIE_VALUE_SZ 42u /* without the path */

typedef struct bc_tie {
  uint8_t token[BC_TIE_TOKEN_SZ]; /* random, of the group */
  uint32_t members;               /* directories of the group, at least 2 */
  uint32_t index;                 /* of this one */
  const char *path;               /* from this directory to that of member 0; no NUL behind it */
  uint32_t path_sz;
} bc_tie;

/* Bytes of the record. */
uint64_t bc_tie_size(const bc_tie *t);
/* Writes that many; returns the record's CRC. */
uint32_t bc_tie_encode(uint8_t *out, uint32_t tstamp, const bc_tie *t);
/* False if the record is no tie.  The path points into the record. */
bool bc_tie_decode(const bc_record *r, bc_tie *out);

/* Fold one more record's CRC into a batch's. */
uint32_t bc_batch_crc(uint32_t batch_crc, uint32_t record_crc);

/*
** Hint entries.
*/
typedef struct bc_hint_entry {
  const uint8_t *key;
  uint64_t offset;
  uint32_t key_sz;
  uint32_t total_sz;
  uint32_t tstamp;
  bool tombstone;
} bc_hint_entry;

/* Writes BC_HINT_HEADER_SZ + key_sz bytes. */
void bc_hint_encode(uint8_t *out, const bc_hint_entry *e);
/* Writes the trailer, BC_HINT_HEADER_SZ bytes; crc is that of all entries. */
void bc_hint_trailer_encode(uint8_t out[BC_HINT_HEADER_SZ], uint32_t crc);
/* Size of the entry at p, 0 if the n bytes do not hold all of it. */
size_t bc_hint_decode(const uint8_t *p, size_t n, bc_hint_entry *out);
/* Does the hint file of n bytes end in a trailer with the right CRC? */
bool bc_hint_is_valid(const uint8_t *p, size_t n);

#endif
