/*
** damage.h - what can happen to the files of a directory while nobody looks.
**
** A directory is bytes in memory here.  The kinds know how disks fail (sectors) and
** what the files hold (records, other versions of a file), so that more gets past the
** first check than with random bytes.
*/
#ifndef DAMAGE_H
#define DAMAGE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { DAMAGE_MAX_FILES = 24 };

typedef struct damage_file {
  char name[32];
  uint8_t *bytes;
  size_t n;
} damage_file;

typedef struct damage_dir {
  damage_file file[DAMAGE_MAX_FILES];
  size_t n;
} damage_dir;

typedef enum damage_kind {
  DAMAGE_BYTE,         /* one byte changed */
  DAMAGE_BIT,          /* one bit */
  DAMAGE_BITS,         /* five bits, anywhere in the file */
  DAMAGE_BURST,        /* up to 64 bytes of ff, 00 or rubbish */
  DAMAGE_SECTOR_ZERO,  /* a sector of 512 or 4096 bytes zeroed, or ff */
  DAMAGE_SECTOR_COPY,  /* ... overwritten with another one of the file */
  DAMAGE_SECTOR_SWAP,  /* ... exchanged with another one */
  DAMAGE_SECTOR_OTHER, /* ... overwritten with one of another file */
  DAMAGE_SEVERAL,      /* two to four of the above in one file */
  DAMAGE_CUT,          /* the file is cut short */
  DAMAGE_OLDER,        /* the file as it was earlier */
  DAMAGE_LAST_GONE,    /* the highest data file is gone, its hint with it */
  DAMAGE_HINT,         /* a hint: damaged, of another file, of another directory, gone */
  DAMAGE_CHECKPOINT,   /* the checkpoint: damaged, older, of another directory, gone */
  DAMAGE_STATE,        /* the state page: damaged, older, of another directory, gone */
  DAMAGE_SPLICE,       /* valid records and batches of elsewhere in the middle of a file */
  DAMAGE_RENAMED,      /* a data file under another id */
  DAMAGE_GONE,         /* any file gone */
  DAMAGE_N_KINDS
} damage_kind;

extern const char *const damage_names[DAMAGE_N_KINDS];

/* Numbers below n, from wherever the test has them. */
typedef struct damage_source {
  uint64_t (*draw)(void *ctx, uint64_t n);
  void *ctx;
} damage_source;

damage_file *damage_find(damage_dir *d, const char *name);
void damage_put(damage_dir *d, const char *name, const void *bytes, size_t n);
void damage_copy(damage_dir *to, const damage_dir *from);
void damage_clear(damage_dir *d);

/* Damage `d`.  `older` is the same directory at an earlier moment, `other` another one.
** The name of the file concerned, valid as long as its entry; NULL: there was nothing to
** damage in this way. */
const char *damage_apply(damage_dir *d, const damage_dir *older, const damage_dir *other,
                         damage_kind kind, const damage_source *s);

#endif
