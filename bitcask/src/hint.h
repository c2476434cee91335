/*
** hint.h - one hint file: what is in a sealed data file, without the values.
**
** A cache of a data file, for opening faster; never trusted over it.  Delivers
** entries to a callback and knows no keydir.
*/
#ifndef BC_HINT_H
#define BC_HINT_H

#include "bitcask.h"
#include "env.h"
#include "format.h"

/*
** Open <id>.bitcask.hint, whose data file is `data_size` long, mapped if `use_mmap`
** and it can be, else read into memory.  All of it is checked before an entry can
** be had: the trailer and its CRC, and that the entries tile the data file: each
** begins where the one before it ended, and the last ends at data_size or behind it.
** So a hint that leaves out, doubles or misplaces a record is not used.  If `end` is
** above data_size the data file has lost its end: what was there is known still.
**
** BITCASK_NOTFOUND  there is no hint file
** BITCASK_CORRUPT   there is one, and it does not fit: scan the data file
** BITCASK_IOERR, BITCASK_NOMEM
** Only on success there is something to close.
*/
enum { BC_HINT_SAMPLES = 33 };

typedef struct bc_hint {
  const bc_env *env;
  const uint8_t *entries;
  size_t n;                       /* bytes of entries */
  uint64_t end;                   /* of the data file, as the entries have it */
  size_t sample[BC_HINT_SAMPLES]; /* where some entries are: first ones, later ones, the last */
  unsigned n_samples;
  void *map;
  size_t map_sz;
  bitcask_buf buf; /* instead of a mapping */
} bc_hint;

int bc_hint_open(bc_hint *h, const bc_env *env, const char *dir, uint32_t id, uint64_t data_size,
                 bool use_mmap, bitcask_error *err);
void bc_hint_close(bc_hint *h);

/* Visit all entries: start with *at = 0, false at the end.  The key is valid until
** the hint is closed.  May be called by several threads. */
bool bc_hint_next(const bc_hint *h, size_t *at, bc_hint_entry *e);

/* Deliver every entry of a hint.  Errors as bc_hint_open, or what fn returned. */
int bc_hint_load(const bc_env *env, const char *dir, uint32_t id, uint64_t data_size,
                 int (*fn)(void *ctx, const bc_hint_entry *e), void *ctx, bitcask_error *err);

/* Is there a file of that name, valid or not?  BITCASK_IOERR, BITCASK_NOMEM: not
** known, and neither answer is safe. */
int bc_hint_exists(const bc_env *env, const char *dir, uint32_t id, bool *yes, bitcask_error *err);

/*
** Writing: entries go to <id>.bitcask.hint.tmp; finish makes it durable and
** renames it.  The caller syncs the directory, and the data file before.
*/
typedef struct bc_hint_writer {
  const bc_env *env;
  const char *dir; /* borrowed */
  uint32_t id;
  int fd;
  uint32_t crc;
  uint64_t size; /* written to the file so far */
  bitcask_buf buf;
} bc_hint_writer;

int bc_hint_writer_open(bc_hint_writer *w, const bc_env *env, const char *dir, uint32_t id,
                        bitcask_error *err);
int bc_hint_writer_add(bc_hint_writer *w, const bc_hint_entry *e, bitcask_error *err);
/* Either ends the writer.  A failed finish leaves no hint file. */
int bc_hint_writer_finish(bc_hint_writer *w, bitcask_error *err);
void bc_hint_writer_abandon(bc_hint_writer *w);
/* The same, but the name is somebody else's by now. */
void bc_hint_writer_close(bc_hint_writer *w);

#endif
