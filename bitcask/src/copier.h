/*
** copier.h - copying what is live out of an immutable file, and removing the file.
**
** What a merge is made of, whether it runs in one go (merge.c) or in steps after
** commits (upkeep.c).  All needs the merge lock.
**
** Outputs get ids above all inputs and below the active file, reserved before the
** first copy.  So position order stays true at every moment: a copy is above what
** it copies and below everything written since.  Nothing but the keydir decides what
** is live, by exact position.
**
** One input at a time, oldest first:
**   copy survivors            a crash leaves copies that lose to nothing
**   sync the output           a power cut keeps the copies from here on
**   sync the log              ... and the newer records that made the rest dead
**   unlink hint, data; sync   only now, and before the next: a tombstone must
**     the directory           not go before the value that it buries
*/
#ifndef BC_COPIER_H
#define BC_COPIER_H

#include "hint.h"
#include "store.h"

/* A copied record, still to be made the newest place of its key. */
typedef struct bc_move {
  uint64_t hash;
  uint64_t from;  /* offset in the input */
  uint32_t at;    /* offset of the copy in the buffer */
  bool tombstone; /* nothing to move */
} bc_move;

/* A record, and what the keydir says of its key. */
typedef struct bc_candidate {
  uint64_t hash;
  bc_found found;
  bool there;
  bc_place place;
} bc_candidate;

#define BC_COPIER_AHEAD 32u /* are looked up together, so that their cache misses are one */

typedef struct bc_copier {
  bitcask *bc;
  bitcask_error *err;
  bitcask_merge_result *result;
  int (*progress)(void *ctx); /* may be NULL */
  void *progress_ctx;
  uint32_t first_out, last_out; /* ids reserved for outputs */
  uint32_t next_out;
  uint32_t cutoff; /* records of a lower tstamp have expired */
  bool with_hints; /* write the outputs' hints as they grow */

  bc_datafile *in;
  bool keep_tombstones; /* of this input: a file below may hold what they bury */
  bool damaged;         /* bytes of it cannot be read */
  uint64_t n_seen;      /* records, for progress */
  uint64_t in_size;
  uint64_t stop_at; /* offset in the input; where it was stopped */
  bool stopped;
  bc_candidate ahead[BC_COPIER_AHEAD];
  unsigned n_ahead;

  bc_datafile *out; /* NULL: not made yet; a reference is held */
  bc_hint_writer hint;
  bool has_hint_writer;
  uint64_t out_size; /* written and buffered */
  bitcask_buf buf;
  bc_move *moves;
  size_t n_moves, cap_moves;
} bc_copier;

/* From here to the end, which frees what it holds, outputs with these ids are
** this handle's own business: a catch-up leaves them alone. */
void bc_copier_begin(bc_copier *c);
void bc_copier_end(bc_copier *c);

/* Take up an input, whose reference is taken over; let go of it. */
void bc_copier_open(bc_copier *c, bc_datafile *in);
void bc_copier_close(bc_copier *c);

/*
** Copy what is live of the input from `from` on, up to the first record at or behind
** `stop_at`, and what expired drop.  *at is where to go on: the end of the input if it is
** done.  What was copied is published also if this fails.
*/
int bc_copier_copy(bc_copier *c, uint64_t from, uint64_t stop_at, uint64_t *at);

/* Keys that still point into an input which was gone through: unreadable.  They go,
** a tombstone stands in.  Cost: a look at every key, if there is one. */
int bc_copier_drop_leftovers(bc_copier *c);

/* Sync what must be, then remove the input. */
int bc_copier_retire(bc_copier *c);

/* Make what has been copied so far durable. */
int bc_copier_sync_output(bc_copier *c);

/* End an output: on the disk, with its hint if hints are written. */
int bc_copier_close_output(bc_copier *c);

/* As the writer: an output that a merge did not get to finish is made whole, and is known
** and on the disk then.  Only the last merge's are known for what they are (bc_outputs),
** so that is done before there are others. */
int bc_copier_finish_others(bc_copier *c);

/* As the writer, with all of the log synced: reserve ids for outputs of the files whose
** statistics are f[0..n_files), and seal the active file, whose successor gets the id
** above them.  Begins, as bc_copier_begin.  BITCASK_FULL: there are no more ids. */
int bc_copier_reserve(bc_copier *c, const bitcask_file_stat *f, size_t n_files);

#endif
