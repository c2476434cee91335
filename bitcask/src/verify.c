/*
** verify.c - bitcask_verify, bitcask_verify_structure: does the disk hold what the
** keydir says?
*/
#include <stdio.h>

#include "err.h"
#include "fold.h"
#include "hint.h"
#include "home.h"
#include "load.h"
#include "lock.h"

enum { REMOVAL_MS = 5000 }; /* an unlink and a sync of the directory */

typedef struct verifier {
  int (*report)(void *ctx, const bitcask_problem *p);
  int (*progress)(void *ctx);
  void *ctx;
  bitcask_error *err;
  uint64_t *n_problems;
  bool reads; /* records, too */
  bitcask_snapshot *snap;
  uint64_t n_steps;
  uint32_t file_id;
  bool keys_known;               /* of the file, by its hint or by the checkpoint */
  uint64_t doubt_from, doubt_to; /* what was told of last */
  bool stopped;                  /* by `report` */
} verifier;

static int tell(verifier *v, uint64_t offset, const char *text) {
  bitcask_problem p = {v->file_id, offset, text};
  ++*v->n_problems;
  v->stopped = v->report && v->report(v->ctx, &p);
  return v->stopped ? BITCASK_INTERRUPT : BITCASK_OK;
}

static int ask_progress(verifier *v) {
  if (!v->progress || !v->progress(v->ctx)) return BITCASK_OK;
  return bc_err(v->err, BITCASK_INTERRUPT, "verify was interrupted");
}

static int step(verifier *v) { return v->n_steps++ % 1024 ? BITCASK_OK : ask_progress(v); }

static int on_record(void *ctx, const bc_found *f) {
  (void)f;
  return step(ctx);
}

/* How many keys cannot be read because their newest record stands before this place? */
static uint64_t count_doubtful(const verifier *v, uint64_t to) {
  bc_doubt d = {0, to, v->file_id};
  uint64_t n = 0, cursor = 0;
  const void *key;
  uint32_t key_sz;
  bc_place place;

  while (bc_keydir_view_next(v->snap->pin.view, &cursor, &key, &key_sz, &place)) {
    n += bc_is_doubtful(&d, &place);
  }
  cursor = 0;
  while (v->snap->pin.buried_view &&
         bc_keydir_view_next(v->snap->pin.buried_view, &cursor, &key, &key_sz, &place)) {
    n += bc_is_doubtful(&d, &place);
  }
  return n;
}

static int tell_doubt(verifier *v, uint64_t offset, uint64_t n) {
  char text[160];
  uint64_t keys = count_doubtful(v, offset + n);
  snprintf(text, sizeof text,
           "%llu bytes are damaged, and it is not known which keys they held: %llu key%s in doubt",
           (unsigned long long)n, (unsigned long long)keys, keys == 1 ? " is" : "s are");
  return tell(v, offset, text);
}

/* Told before the damage that it belongs to. */
static int on_doubt(void *ctx, uint64_t offset, uint64_t n) {
  verifier *v = ctx;
  v->doubt_from = offset;
  v->doubt_to = offset + n;
  return v->keys_known ? BITCASK_OK : tell_doubt(v, offset, n);
}

static int on_skipped(void *ctx, uint64_t offset, uint64_t n) {
  verifier *v = ctx;
  char text[64];
  if (!v->keys_known && v->doubt_from <= offset && offset + n <= v->doubt_to) return BITCASK_OK;
  snprintf(text, sizeof text, "%llu bytes are damaged", (unsigned long long)n);
  return tell(ctx, offset, text);
}

static int tell_missing(verifier *v, uint64_t size, uint64_t was) {
  char text[128];
  snprintf(text, sizeof text, "the file has lost its end: it has %llu of %llu bytes",
           (unsigned long long)size, (unsigned long long)was);
  return tell(v, size, text);
}

static int verify_hint(verifier *v, const bc_datafile *df) {
  bitcask *bc = v->snap->bc;
  uint64_t size;
  bool there, gone;
  bc_hint h;
  int rc;

  /* First the hint: from when it is there the file does not grow any more, be it
  ** longer than when the snapshot was taken. */
  rc = bc_hint_exists(bc->env, bc->dir, df->id, &there, v->err);
  if (rc || !there) return rc;
  rc = bc_store_size_on_disk(v->snap->bc, df->id, &size, &gone, v->err);
  if (rc || gone) return rc;
  rc = bc_hint_open(&h, bc->env, bc->dir, df->id, size, bc->opt.mmap, v->err);
  if (rc == BITCASK_NOTFOUND) return BITCASK_OK;
  if (rc == BITCASK_CORRUPT) return tell(v, 0, "the hint file does not fit the data file");
  if (rc) return rc;
  if (h.end > size) rc = tell_missing(v, size, h.end);
  bc_hint_close(&h);
  return rc;
}

static int verify_records(verifier *v, bc_datafile *df) {
  bc_scan scan = {.limit = bc_snapshot_limit(v->snap, df),
                  .stable = BC_ALL_STABLE,
                  .fn = on_record,
                  .skipped = on_skipped,
                  .doubt = on_doubt,
                  .ctx = v};
  int rc;

  v->keys_known = df->has_hint || !df->doubt_to;
  v->doubt_from = v->doubt_to = 0;
  rc = bc_datafile_scan(df, &scan, v->err);
  if (!rc && scan.end < scan.limit) rc = tell(v, scan.end, "the file ends in a damaged record");
  return rc;
}

/* Is the file still one of the log's, as far as can be known now?  *removing: some
** merge was removing one when that was known. */
static int ask_for_file(verifier *v, uint32_t id, bool *known, bool *removing) {
  bitcask *bc = v->snap->bc;
  bc_datafile *df;
  int rc = bc_refresh(bc, v->err);

  if (rc) return rc;
  /* Asked before the file is: what another thread catches up with in between can
  ** only take it away. */
  *removing = bc_is_removing(atomic_load(&bc->merges));
  df = bc_store_find(bc, id);
  *known = df != NULL;
  bc_datafile_unref(df);
  return BITCASK_OK;
}

static int is_merger_alive(verifier *v, bool *alive) {
  bitcask *bc = v->snap->bc;
  *alive = bc_store_is_merging(bc);
  return *alive ? BITCASK_OK : bc_lock_merge_held(&bc->state, alive, v->err);
}

/* Is there a key now whose newest record is in the file? */
static int is_needed(verifier *v, uint32_t id, bool *needed) {
  bitcask_snapshot *s;
  bc_place place;
  const void *key;
  uint32_t key_sz;
  uint64_t cursor = 0;
  int rc = bitcask_snapshot_open(v->snap->bc, NULL, &s, v->err);

  *needed = false;
  if (rc) return rc;
  while (!*needed && bc_keydir_view_next(s->pin.view, &cursor, &key, &key_sz, &place)) {
    *needed = place.file_id == id && place.tstamp >= s->cutoff;
  }
  bitcask_snapshot_close(s);
  return BITCASK_OK;
}

/* A file that has no name any more: has a merge removed it?  A process that merges
** counts a step before and one after.  Between them all that was live in the file
** is known to be elsewhere, and the file still one of the log's: so wait for the
** second step, unless nobody is there to count it. */
static int verify_gone(verifier *v, uint32_t id) {
  const bc_env *env = v->snap->bc->env;
  uint64_t until = env->monotonic_ms(env->ctx) + REMOVAL_MS;
  bool known, removing, alive = true, waits = true;
  int rc;

  for (;;) {
    rc = ask_for_file(v, id, &known, &removing);
    if (rc || !known) return rc;
    if (!removing || !waits) break;
    /* If it is not alive it may have counted before it ended: look once more. */
    rc = is_merger_alive(v, &alive);
    waits = alive && env->monotonic_ms(env->ctx) < until;
    if (!rc) rc = ask_progress(v);
    if (rc) return rc;
    if (waits) env->sleep_us(env->ctx, 1000);
  }
  if (removing) rc = is_needed(v, id, &known);
  return !rc && known ? tell(v, 0, "the file is missing") : rc;
}

/* Is the file of that name still as long as it was? */
static int verify_size(verifier *v, const bc_datafile *df) {
  /* Asked for first: an output of a merge that grows meanwhile is longer then than it was. */
  uint64_t size, least = bc_snapshot_limit(v->snap, df);
  bool gone;
  int rc = bc_store_size_on_disk(v->snap->bc, df->id, &size, &gone, v->err);
  if (rc) return rc;
  if (gone) return verify_gone(v, df->id);
  return size < least ? tell(v, size, "the file has been cut from outside") : BITCASK_OK;
}

static int verify_lost_end(verifier *v, const bc_datafile *df) {
  char text[160];
  uint64_t size = atomic_load(&df->size), keys;

  if (df->has_hint || df->doubt_to <= size) return BITCASK_OK;
  keys = count_doubtful(v, df->doubt_to);
  snprintf(text, sizeof text,
           "the file has lost its end: it has %llu of %llu bytes; %llu key%s in doubt",
           (unsigned long long)size, (unsigned long long)df->doubt_to, (unsigned long long)keys,
           keys == 1 ? " is" : "s are");
  return tell(v, size, text);
}

static int verify_file(verifier *v, bc_datafile *df) {
  int rc;
  v->file_id = df->id;
  rc = verify_size(v, df);
  if (!rc) rc = verify_lost_end(v, df);
  if (!rc && v->reads) rc = verify_records(v, df);
  return rc ? rc : verify_hint(v, df);
}

/* The record of a key, which the keydir has at `place`. */
static int verify_place(verifier *v, const bc_place *place, const void *key, uint32_t key_sz,
                        bitcask_buf *scratch) {
  bitcask_snapshot *s = v->snap;
  bc_datafile *df = bc_fileset_find(s->pin.files, place->file_id);
  const void *value;
  uint32_t value_sz;
  bitcask_error e;
  int rc;

  v->file_id = place->file_id;
  if (!df) return tell(v, place->offset, "a key points into a file that is missing");
  if (!v->reads) {
    return place->offset + place->total_sz <= atomic_load(&df->size)
               ? BITCASK_OK
               : tell(v, place->offset, "a key points behind the end of the file");
  }
  bc_err_clear(&e);
  rc = bc_store_read(s->bc, df, place, key, key_sz, scratch, &value, &value_sz, &e);
  if (rc == BITCASK_CORRUPT) return tell(v, place->offset, e.text);
  if (rc && v->err && !v->err->code) *v->err = e;
  return rc;
}

/* Every key must be found where the keydir has it. */
static int verify_keys(verifier *v) {
  bitcask_buf scratch = {0};
  bc_place place;
  const void *key;
  uint32_t key_sz;
  uint64_t cursor = 0;
  int rc = BITCASK_OK;

  while (!rc && bc_keydir_view_next(v->snap->pin.view, &cursor, &key, &key_sz, &place)) {
    rc = step(v);
    if (!rc) rc = verify_place(v, &place, key, key_sz, &scratch);
  }
  if (!rc && bc_keydir_view_error(v->snap->pin.view))
    rc = bc_store_lost_keydir(v->snap->bc, v->err);
  bitcask_buf_free(&scratch);
  return rc;
}

/* Has the log lost its end? */
static int verify_end(verifier *v) {
  bitcask *bc = v->snap->bc;
  const bc_datafile *last;
  uint64_t missing;
  char text[160];

  pthread_rwlock_rdlock(&bc->lock);
  missing = bc->lost;
  last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  v->file_id = last ? last->id : BITCASK_NO_FILE;
  pthread_rwlock_unlock(&bc->lock);
  if (!missing) return BITCASK_OK;
  snprintf(text, sizeof text,
           "the log has been longer: at least %llu bytes are gone from its end; what is left is an "
           "earlier state of it",
           (unsigned long long)missing);
  return tell(v, last ? atomic_load(&last->size) : 0, text);
}

static int verify(verifier *v, bitcask *bc) {
  int rc = bitcask_snapshot_open(bc, NULL, &v->snap, v->err);
  if (rc) return rc;
  for (size_t i = 0; i < v->snap->pin.files->n && !rc; i++) {
    rc = verify_file(v, v->snap->pin.files->file[i]);
  }
  if (!rc) rc = verify_keys(v);
  pthread_rwlock_rdlock(&bc->lock);
  if (!rc) rc = bc_home_check(bc, NULL, v->err);
  pthread_rwlock_unlock(&bc->lock);
  if (!rc) rc = verify_end(v);
  /* Stopped by `report`, which knows that: no failure. */
  if (rc == BITCASK_INTERRUPT && v->stopped) rc = BITCASK_OK;
  bitcask_snapshot_close(v->snap);
  return rc;
}

int bitcask_verify(bitcask *bc, int (*report)(void *ctx, const bitcask_problem *p),
                   int (*progress)(void *ctx), void *ctx, uint64_t *n_problems,
                   bitcask_error *err) {
  uint64_t ignored;
  verifier v = {report, progress, ctx, err, n_problems ? n_problems : &ignored, .reads = true};
  *v.n_problems = 0;
  return verify(&v, bc);
}

int bitcask_verify_structure(bitcask *bc, int (*report)(void *ctx, const bitcask_problem *p),
                             int (*progress)(void *ctx), void *ctx, uint64_t *n_problems,
                             bitcask_error *err) {
  uint64_t ignored;
  verifier v = {report, progress, ctx, err, n_problems ? n_problems : &ignored, .reads = false};
  *v.n_problems = 0;
  return verify(&v, bc);
}
