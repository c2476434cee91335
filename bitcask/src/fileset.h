/*
** fileset.h - the data files of a directory, as an immutable sorted array.
**
** A change makes a new array; who holds a reference to an old one keeps its
** files.  Reference counts are atomic, everything else is read-only.
*/
#ifndef BC_FILESET_H
#define BC_FILESET_H

#include "datafile.h"

typedef struct bc_fileset {
  atomic_uint refs;
  size_t n;
  bc_datafile *file[]; /* ascending by id */
} bc_fileset;

/* NULL: out of memory. */
bc_fileset *bc_fileset_new(void);
/* Room for n files, and none in it yet. */
bc_fileset *bc_fileset_make(size_t n);
bc_fileset *bc_fileset_ref(bc_fileset *fs);
void bc_fileset_unref(bc_fileset *fs); /* NULL is a no-op */

/* NULL: no such file. */
bc_datafile *bc_fileset_find(const bc_fileset *fs, uint32_t id);

/* A copy with `df` added (its reference is taken over on success) or without
** file `id`.  NULL: out of memory. */
bc_fileset *bc_fileset_with(const bc_fileset *fs, bc_datafile *df);
bc_fileset *bc_fileset_without(const bc_fileset *fs, uint32_t id);

/* What is in a directory. */
typedef struct bc_listed {
  uint32_t id;
  uint64_t size;
  uint32_t mode;
  bool newest; /* the last one */
} bc_listed;

typedef struct bc_listing {
  bc_listed *file; /* data files, ascending by id */
  size_t n;
  uint32_t max_hint_id; /* of hint files, 0 if there are none */
  uint32_t *temps;      /* ids of hint files that were not finished */
  size_t n_temps;
  bitcask_buf strays; /* names that look like data files and are none: each with a NUL */
} bc_listing;

int bc_listing_read(bc_listing *out, const bc_env *env, const char *dir, bitcask_error *err);
void bc_listing_release(bc_listing *l);

/* basho/bitcask marks inputs of a finished merge for deletion by these bits. */
#define BC_DELETION_MARKS 04001u

#endif
