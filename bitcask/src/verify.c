/*
** verify.c - bitcask_verify: does the disk hold what the keydir says?
*/
#include <stdio.h>
#include <stdlib.h>

#include "err.h"
#include "fold.h"
#include "hint.h"

typedef struct verifier {
  bitcask_snapshot *snap;
  int (*report)(void *ctx, const bitcask_problem *p);
  int (*progress)(void *ctx);
  void *ctx;
  bitcask_error *err;
  uint64_t *n_problems;
  uint64_t n_steps;
  uint32_t file_id;
} verifier;

static int tell(verifier *v, uint64_t offset, const char *text) {
  bitcask_problem p = {v->file_id, offset, text};
  ++*v->n_problems;
  return v->report && v->report(v->ctx, &p) ? BITCASK_INTERRUPT : BITCASK_OK;
}

static int step(verifier *v) {
  if (v->progress && v->n_steps++ % 1024 == 0 && v->progress(v->ctx)) {
    return bc_err(v->err, BITCASK_INTERRUPT, "verify was interrupted");
  }
  return BITCASK_OK;
}

static int on_record(void *ctx, const bc_found *f) {
  (void)f;
  return step(ctx);
}

static int on_skipped(void *ctx, uint64_t offset, uint64_t n) {
  char text[64];
  snprintf(text, sizeof text, "%llu bytes are damaged", (unsigned long long)n);
  return tell(ctx, offset, text);
}

static int on_hint(void *ctx, const bc_hint_entry *e) {
  (void)e;
  return step(ctx);
}

static int verify_file(verifier *v, bc_datafile *df) {
  bitcask *bc = v->snap->bc;
  uint64_t size = atomic_load(&df->size);
  bc_scan scan = {.stable = BC_ALL_STABLE, .fn = on_record, .skipped = on_skipped, .ctx = v};
  int rc;

  v->file_id = df->id;
  scan.limit = bc_snapshot_limit(v->snap, df);
  rc = bc_datafile_scan(df, &scan, v->err);
  if (!rc && scan.end < scan.limit) rc = tell(v, scan.end, "the file ends in a damaged record");
  if (rc || !bc_hint_exists(bc->env, bc->dir, df->id)) return rc;
  rc = bc_hint_load(bc->env, bc->dir, df->id, size, on_hint, v, v->err);
  if (rc == BITCASK_CORRUPT) rc = tell(v, 0, "the hint file does not fit the data file");
  return rc == BITCASK_NOTFOUND ? BITCASK_OK : rc;
}

/* Every key must be found where the keydir has it. */
static int verify_keys(verifier *v) {
  bitcask_snapshot *s = v->snap;
  bitcask_buf scratch = {0};
  bitcask_error e;
  bc_place place;
  const void *key, *value;
  uint32_t key_sz, value_sz;
  uint64_t cursor = 0;
  int rc = BITCASK_OK;

  while (!rc && bc_keydir_view_next(s->pin.view, &cursor, &key, &key_sz, &place)) {
    bc_datafile *df = bc_fileset_find(s->pin.files, place.file_id);
    rc = step(v);
    if (rc) break;
    bc_err_clear(&e);
    v->file_id = place.file_id;
    if (!df) {
      rc = tell(v, place.offset, "a key points into a file that is missing");
    } else if (bc_store_read(s->bc, df, &place, key, key_sz, &scratch, &value, &value_sz, &e)) {
      rc = e.code == BITCASK_CORRUPT ? tell(v, place.offset, e.text) : e.code;
      if (rc == e.code && v->err && !v->err->code) *v->err = e;
    }
  }
  bitcask_buf_free(&scratch);
  return rc;
}

int bitcask_verify(bitcask *bc, int (*report)(void *ctx, const bitcask_problem *p),
                   int (*progress)(void *ctx), void *ctx, uint64_t *n_problems,
                   bitcask_error *err) {
  uint64_t ignored = 0;
  verifier v = {.report = report,
                .progress = progress,
                .ctx = ctx,
                .err = err,
                .n_problems = n_problems ? n_problems : &ignored};
  size_t i;
  int rc;

  *v.n_problems = 0;
  rc = bitcask_snapshot_open(bc, NULL, &v.snap, err);
  if (rc) return rc;
  for (i = 0; i < v.snap->pin.files->n && !rc; i++)
    rc = verify_file(&v, v.snap->pin.files->file[i]);
  if (!rc) rc = verify_keys(&v);
  /* Stopped by `report`, which knows that: no failure. */
  if (rc == BITCASK_INTERRUPT && *v.n_problems && (!err || !err->code)) rc = BITCASK_OK;
  bitcask_snapshot_close(v.snap);
  return rc;
}
