/*
** direct.h - our engine by its own interface, for what only it has: directories
** of items, opened, copied and rebuilt in ways that the engines to compare with
** need not have.
*/
#ifndef DIRECT_H
#define DIRECT_H

#include "bench.h"

#include "bitcask.h"

#define N_FILES 8 /* that the data is spread over, so that most are sealed */

/* Ends the benchmark unless rc is BITCASK_OK. */
void direct_check(int rc, const bitcask_error *e);

/* The size at which a file is sealed, for n items in N_FILES files. */
uint64_t direct_file_size(uint64_t n);

/* For writing, the directory is made if it is missing.  sync=normal, no automatic merge. */
bitcask *direct_open(const char *dir, bool read_only, uint64_t max_file_size);
/* For writing, with or without. */
bitcask *direct_open_merging(const char *dir, bool merges, uint64_t max_file_size);
void direct_close(bitcask *bc);

/* `value` has room for one value. */
void direct_put(bitcask *bc, uint64_t item, uint64_t version, uint8_t *value);
/* Ends the benchmark if the item is not there; its version. */
uint64_t direct_get(bitcask *bc, uint64_t item, bitcask_buf *buf);

/* Links the sealed files of a closed directory and its checkpoint into `to`, and
** copies those that are still written to: a twin that can be worked on. */
void direct_clone(const char *from, const char *to);

/* Million keys a second that opening takes in when it has only the data files of
** the closed directory `from`, of n items, or these and their hint files.  `check`
** looks at the store before it is closed. */
double direct_rebuild(const char *base, const char *from, bool hints, uint64_t n,
                      void (*check)(bitcask *bc, uint64_t n));

#endif
