/*
** place.h - plain data that the modules of the keydir and its users share.
*/
#ifndef BC_PLACE_H
#define BC_PLACE_H

#include <stdbool.h>
#include <stdint.h>

/* Where the newest record of a key is. */
typedef struct bc_place {
  uint64_t offset; /* <= BC_MAX_OFFSET */
  uint32_t file_id;
  uint32_t total_sz; /* of the record; 0 marks a deletion where the user of the table wants one */
  uint32_t tstamp;
} bc_place;

#define BC_MAX_OFFSET ((UINT64_C(1) << 48) - 1)

/* Bytes of the log of which it is not known what they held.  They put in doubt every key whose
** newest record stands before `to`; keys written later are not affected.  file_id and to are
** 0 if there are none. */
typedef struct bc_doubt {
  uint64_t from, to; /* bytes of the file */
  uint32_t file_id;
} bc_doubt;

static inline bool bc_is_doubtful(const bc_doubt *d, const bc_place *p) {
  return p->file_id < d->file_id || (p->file_id == d->file_id && p->offset < d->to);
}

/* A saved segment: where it is in the file, and what part of the hash space. */
typedef struct bc_keydir_segment {
  uint64_t offset;
  uint32_t depth;
  uint32_t unused;
} bc_keydir_segment;

/* Entries of a data file that deferred changes have replaced or removed. */
typedef struct bc_keydir_replaced {
  uint32_t file_id;
  uint64_t keys;
  uint64_t bytes;
} bc_keydir_replaced;

#endif
