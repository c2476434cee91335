/*
** txlog.h - the records of one transaction before they are in the log.
**
** Records are encoded as they come and kept in chunks of memory, with a small
** keydir (the overlay) over them.  Snapshots of the transaction hold a reference
** and outlive it.  What a view can see is never overwritten, not even by
** rolling back to a savepoint.
**
** An address of a record is chunk number << 32 | offset in the chunk; it is the
** `offset` of overlay places, whose file_id is BITCASK_NO_FILE.  A place with
** total_sz 0 is a deletion.
*/
#ifndef BC_TXLOG_H
#define BC_TXLOG_H

#include <pthread.h>
#include <stdatomic.h>

#include "datafile.h"
#include "keydir.h"

typedef struct bc_chunk {
  uint8_t *data; /* NULL: only in the file, or freed */
  uint32_t used;
  uint32_t cap;
  uint64_t start; /* bytes of the transaction before it */
  bool in_file;   /* spilled; data may still be there for those who see it */
  bool gone;      /* rolled back, and its memory freed */
} bc_chunk;

typedef struct bc_mark {
  int n;
  size_t n_chunks;
  uint32_t chunk_used;
  uint64_t size;
  uint32_t count;
  uint32_t crc;
  uint32_t n_tombstones;
  uint64_t tombstone_bytes;
  size_t n_undo;
} bc_mark;

typedef struct bc_undo {
  uint64_t address; /* of the record that changed the overlay */
  bc_place old;
  bool had;
} bc_undo;

typedef struct bc_txlog {
  atomic_uint refs;
  pthread_mutex_t mutex; /* changes and views of the overlay */
  bc_keydir *overlay;

  bc_chunk *chunk; /* all that were ever made */
  size_t n_all, cap_all;
  size_t *live; /* indices of those that make up the transaction, in order */
  size_t n_chunks, cap_live;

  uint64_t size;  /* bytes of all its records */
  uint32_t count; /* its records */
  uint32_t crc;   /* bc_batch_crc over them */
  uint32_t n_tombstones;
  uint64_t tombstone_bytes;

  bc_mark *mark;
  size_t n_marks, cap_marks;
  bc_undo *undo; /* kept while there are marks */
  size_t n_undo, cap_undo;

  /* Where chunks without data are: a file, and where its records begin. */
  bc_datafile *spill;
  uint64_t spill_base;
} bc_txlog;

/* `seed` is the keydir's, so that one hash serves both.  NULL: out of memory. */
bc_txlog *bc_txlog_new(uint64_t seed);
void bc_txlog_unref(bc_txlog *log);
/* Make it as new if nobody else holds it and it is small; else false. */
bool bc_txlog_recycle(bc_txlog *log);

/* Append a record: a put, or with `value` NULL a v1 tombstone naming
** `tombstone_file`.  BITCASK_NOMEM: as it was. */
int bc_txlog_append(bc_txlog *log, uint64_t hash, const void *key, uint32_t key_sz,
                    const void *value, uint32_t value_sz, uint32_t tstamp, uint32_t tombstone_file);

int bc_txlog_savepoint(bc_txlog *log, int n);
void bc_txlog_release(bc_txlog *log, int n);
/* *size is how many bytes of the transaction are left. */
int bc_txlog_rollback_to(bc_txlog *log, int n, bitcask_error *err);

/* The record at an address: all of it, in memory or via scratch.
** BITCASK_ABORT: it was rolled back. */
int bc_txlog_read(bc_txlog *log, const bc_place *place, bitcask_buf *scratch, const uint8_t **out,
                  bitcask_error *err);

/* Rewrite the file id in all tombstones: the log has moved to another file. */
void bc_txlog_retarget(bc_txlog *log, uint32_t file_id);

/* The bytes that are still in memory, as vectors; *n of them, malloc'ed. */
int bc_txlog_vectors(const bc_txlog *log, size_t spare, struct iovec **out, int *n);
uint64_t bc_txlog_in_memory(const bc_txlog *log);
/* They are in `df` now, whose transaction's records begin at `base`. */
void bc_txlog_spilled(bc_txlog *log, bc_datafile *df, uint64_t base);
/* The whole transaction is given up. */
void bc_txlog_abandon(bc_txlog *log);

/* Position of an address among the transaction's bytes. */
uint64_t bc_txlog_position(const bc_txlog *log, uint64_t address);

#endif
