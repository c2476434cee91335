/*
** datafile.h - one data file: reading, appending, scanning.
**
** Knows records and batches (format.h), not the keydir: what a scan finds goes
** to a callback.
**
** Threads: reads may run beside one appender.  Reference counts are atomic.
** The statistics belong to the owner of the file set.
*/
#ifndef BC_DATAFILE_H
#define BC_DATAFILE_H

#include <pthread.h>
#include <stdatomic.h>

#include "bitcask.h"
#include "env.h"
#include "format.h"

struct bc_map;

typedef struct bc_datafile {
  const bc_env *env;
  atomic_uint refs;
  uint32_t id;
  pthread_mutex_t mutex; /* making mappings, changing descriptors */
  _Atomic int fd;        /* -1: closed, the mapping is all that is needed */
  int old_fd;            /* replaced, and kept: somebody may be reading from it */
  bool writable;         /* fd is open for writing */
  bool use_mmap;
  _Atomic(struct bc_map *) map; /* the newest mapping; older ones hang behind it */
  _Atomic uint64_t size;        /* bytes that count */

  _Atomic bool has_hint;
  _Atomic bool damaged; /* bytes were skipped by a scan, or its end is missing */

  /* Under the store's lock. */
  uint64_t doubt_from, doubt_to; /* the last bytes of which it is not known what they held */
  bool foreign;                  /* written, or at least sealed, by somebody: never continued */
  uint64_t n_records;            /* tombstones and markers included */
  uint64_t n_tombstones;         /* ... of them, markers included */
  uint64_t tombstone_bytes;
  uint64_t moved_at; /* the store's version when a merge last made a record in it live */
  uint64_t live_keys;
  uint64_t live_bytes;
  uint32_t oldest_tstamp;
  uint32_t newest_tstamp;
} bc_datafile;

/* Open <id>.bitcask.data.  flags: BC_OPEN_*.  The errno of a failure is also
** put in *os_errno: ENOENT means that a merge has removed the file.  On success
** one reference is the caller's; `size` is that of the file. */
int bc_datafile_open(const bc_env *env, const char *dir, uint32_t id, unsigned flags, bool use_mmap,
                     bc_datafile **out, int *os_errno, bitcask_error *err);
bc_datafile *bc_datafile_ref(bc_datafile *df);
void bc_datafile_unref(bc_datafile *df);

/* Have a (new) descriptor; flags: BC_OPEN_READ or BC_OPEN_WRITE.  *os_errno as with
** bc_datafile_open; may be NULL. */
int bc_datafile_reopen(bc_datafile *df, const char *dir, unsigned flags, int *os_errno,
                       bitcask_error *err);

/* fdatasync.  The file's own errno is put in *os_errno; what bc_datafile_reopen
** returns is returned. */
int bc_datafile_sync(bc_datafile *df, const char *dir, int *os_errno, bitcask_error *err);

/* The file will not grow here: map it and give the descriptor back, if it can
** be mapped.  A mapping keeps the bytes readable after the file is removed. */
void bc_datafile_settle(bc_datafile *df);

/* Is it mapped as far as that, so that what a scan delivers stays where it is? */
bool bc_datafile_is_mapped(bc_datafile *df, uint64_t size);

/* With the last reference to a file that has been removed: give up to n bytes of it
** back to the system, which in one go would take long (a millisecond for every few MiB).
** Needs a descriptor for writing.  True: there is no more to be done so. */
bool bc_datafile_shed(bc_datafile *df, uint64_t n);

/* n bytes at `offset`, pointing into the mapping or into `scratch`.
** BITCASK_CORRUPT: the file is shorter than that. */
int bc_datafile_read(bc_datafile *df, uint64_t offset, size_t n, bitcask_buf *scratch,
                     const uint8_t **out, bitcask_error *err);

/* The first four bytes, of a file that has so many; 0: not to be had. */
uint32_t bc_datafile_first(bc_datafile *df);

/* A place to scan with: keeps what was read ahead where there is no mapping. */
typedef struct bc_reader {
  bc_datafile *df;
  bitcask_buf buf;
  uint64_t buf_offset;
  uint64_t limit; /* the scan must not look behind this */
} bc_reader;

void bc_reader_init(bc_reader *r, bc_datafile *df, uint64_t limit);
void bc_reader_release(bc_reader *r);
/* At least min(need, limit - offset) bytes at `offset`; *avail says how many
** there are. Valid until the next call. */
int bc_reader_peek(bc_reader *r, uint64_t offset, uint64_t need, const uint8_t **out,
                   uint64_t *avail, bitcask_error *err);

/*
** Scan: deliver every record that counts, in order.
**
** Behind `stable` (a position in this file) the first thing that is not a
** valid record or batch ends the file: what a power cut leaves.  Before it, it is
** rot: the scan goes on at the next valid record, and those of a damaged batch
** count one by one.  If it is not known whether the bytes were ever stable, a
** batch that does not come to its end counts nowhere.
*/
#define BC_ALL_STABLE (UINT64_MAX - 1)
#define BC_STABLE_UNKNOWN UINT64_MAX

typedef struct bc_found {
  bc_record record;
  uint64_t offset;
  uint32_t total_sz;
  bool marker; /* the record is a batch marker */
} bc_found;

typedef struct bc_scan {
  uint64_t from;
  uint64_t limit;
  uint64_t stable;
  bool newest; /* no file stands above: if its end is missing, the log is an earlier state */
  bool singly; /* take each record for itself: what batches they are in does not matter */
  int (*fn)(void *ctx, const bc_found *found);            /* non-zero stops the scan with it */
  int (*skipped)(void *ctx, uint64_t offset, uint64_t n); /* rot; may be NULL */
  /* A record in which one byte was changed: its key is known, and whether it is a tombstone.
  ** An older value must not be taken for the one that it held.  May be NULL. */
  int (*damaged)(void *ctx, const void *key, uint32_t key_sz, uint64_t offset, uint32_t total_sz,
                 bool tombstone);
  /* What these bytes held is not known: the newest record of any key may have been among it.
  ** Records that are found in them are delivered all the same.  May be NULL. */
  int (*doubt)(void *ctx, uint64_t offset, uint64_t n);
  /* A whole batch that begins at or behind `final` and ends in a tie: does it count?  If
  ** not, the file ends before it.  May be NULL: all count. */
  int (*tied)(void *ctx, const bc_tie *tie, bool *counts);
  uint64_t final; /* what is below was decided long ago */
  void *ctx;

  uint64_t end; /* out: behind the last byte that counts; the rest is torn */
} bc_scan;

int bc_datafile_scan(bc_datafile *df, bc_scan *scan, bitcask_error *err);

#endif
