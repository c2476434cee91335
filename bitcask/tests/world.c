/*
** world.c - see world.h.
*/
#include "world.h"

#include "engine.h"
#include "memenv_int.h"
#include "oom.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* The engine's own allocations are those between enter and leave. */
#define CALL(rc, expr)                                                                             \
  do {                                                                                             \
    oom_enter();                                                                                   \
    (rc) = (expr);                                                                                 \
    oom_leave();                                                                                   \
  } while (0)

#define CALL_VOID(expr)                                                                            \
  do {                                                                                             \
    oom_enter();                                                                                   \
    (expr);                                                                                        \
    oom_leave();                                                                                   \
  } while (0)

void world_fail(world *w, const char *format, ...) {
  va_list args;

  if (w->failure[0]) return;
  va_start(args, format);
  vsnprintf(w->failure, sizeof w->failure, format, args);
  va_end(args);
}

/* True if the call worked.  An error has to say what it is, in any case. */
static bool worked(world *w, const char *what, int rc, const bitcask_error *err) {
  if (!rc) return true;
  if (!w->n_errors++) {
    w->first_errno = err->os_errno;
    snprintf(w->first_error, sizeof w->first_error, "%s: %s: %.150s", what, bitcask_strerror(rc),
             err->text);
  }
  w->error_mask |= 1u << rc;
  if (err->code != rc || !err->text[0]) {
    world_fail(w, "%s: status %d, but the error says %d '%s'", what, rc, err->code, err->text);
  }
  if (!w->is_faulty) world_fail(w, "%s: %s: %s", what, bitcask_strerror(rc), err->text);
  return false;
}

/* ------------------------------------------------------------------ expectations */

static void drop_doubts(world *w) {
  for (size_t i = 0; i < w->n_doubts; i++) model_clear(&w->doubts[i]);
  free(w->doubts);
  w->doubts = NULL;
  w->n_doubts = 0;
}

static void add_doubt(world *w, const model *m) {
  w->doubts = mem_grow(w->doubts, (w->n_doubts + 1) * sizeof *w->doubts);
  w->doubts[w->n_doubts] = (model){0};
  model_copy(&w->doubts[w->n_doubts++], m);
}

static world_state *add_state(world *w, const model *keys, size_t begin_op) {
  world_state *s;

  w->states = mem_grow(w->states, (w->n_states + 1) * sizeof *w->states);
  s = &w->states[w->n_states++];
  *s = (world_state){.begin_op = begin_op, .ack_op = memenv_log_size(w->m), .end_op = SIZE_MAX};
  model_copy(&s->keys, keys);
  return s;
}

static void acknowledge(world *w, const model *keys, size_t begin_op) {
  memenv_mark(w->m, w->n_states); /* first: it logs what the call stored through mappings */
  add_state(w, keys, begin_op);
  model_copy(&w->now, keys);
  drop_doubts(w);
}

static void note_sync(world *w) {
  w->sync_ops = mem_grow(w->sync_ops, (w->n_syncs + 1) * sizeof *w->sync_ops);
  w->sync_n = mem_grow(w->sync_n, (w->n_syncs + 1) * sizeof *w->sync_n);
  w->sync_ops[w->n_syncs] = memenv_log_size(w->m);
  w->sync_n[w->n_syncs++] = w->n_states;
}

/* ------------------------------------------------------------------------ life */

static void quiet(void *ctx, const char *text) {
  (void)ctx;
  (void)text;
}

void world_init(world *w, const scenario *s, bitcask_sync_mode sync, bool is_faulty) {
  *w = (world){.m = memenv_new((uint64_t)sync)};
  bitcask_options_init(&w->o);
  w->o.auto_merge = false;
  w->o.create = true;
  w->o.sync = sync;
  w->o.log = quiet;
  w->saves = s->saves;
  if (s->max_file_size) w->o.max_file_size = s->max_file_size;
  memenv_env(w->m)->mkdir(w->m, "/disk");
  if (s->prepare) s->prepare(w);
  for (size_t i = 0; i < w->n_states; i++) model_clear(&w->states[i].keys);
  w->n_states = 0;
  w->n_syncs = 0;
  memenv_log_start(w->m);
  add_state(w, &w->now, 0);
  note_sync(w);
  w->is_faulty = is_faulty;
}

void world_run(world *w, const scenario *s) {
  s->run(w);
  world_rollback(w);
  world_close(w);
}

void world_release(world *w) {
  world_rollback(w);
  world_close(w);
  for (size_t i = 0; i < w->n_states; i++) model_clear(&w->states[i].keys);
  for (size_t i = 0; i < WORLD_N_SAVEPOINTS; i++) model_clear(&w->savepoints[i]);
  drop_doubts(w);
  model_clear(&w->now);
  model_clear(&w->pending);
  model_clear(&w->backed_up);
  free(w->states);
  free(w->sync_ops);
  free(w->sync_n);
  memenv_free(w->m);
}

void world_open(world *w) {
  bitcask_error err = {0};
  int rc;

  if (w->bc) return;
  CALL(rc, bc_open_env(WORLD_DIR, &w->o, memenv_env(w->m), &w->bc, &err));
  if (w->bc && w->saves) bc_save_early(w->bc);
  if (!worked(w, "open", rc, &err) && w->bc) world_fail(w, "a failed open gave a handle");
}

void world_close(world *w) {
  bitcask_error err = {0};
  int rc;

  if (!w->bc) return;
  CALL(rc, bitcask_close(w->bc, &err));
  w->bc = NULL;
  if (worked(w, "close", rc, &err)) note_sync(w);
  if (rc == BITCASK_INVALID) world_fail(w, "close refused: %s", err.text);
}

void world_reopen(world *w) {
  world_close(w);
  world_open(w);
}

/* ------------------------------------------------------------ single operations */

static void put_now(world *w, const char *key, const void *value, size_t value_sz) {
  bitcask_error err = {0};
  size_t begin = memenv_log_size(w->m);
  model after = {0};
  int rc;

  if (!w->bc || w->txn) return;
  model_copy(&after, &w->now);
  if (value)
    model_put(&after, key, strlen(key), value, value_sz, 0);
  else
    model_delete(&after, key, strlen(key));
  if (value)
    CALL(rc, bitcask_put(w->bc, key, strlen(key), value, value_sz, &err));
  else
    CALL(rc, bitcask_delete(w->bc, key, strlen(key), &err));
  if (worked(w, value ? "put" : "delete", rc, &err))
    acknowledge(w, &after, begin);
  else
    add_doubt(w, &after);
  model_clear(&after);
}

void world_put(world *w, const char *key, const char *value) {
  put_now(w, key, value, strlen(value));
}

void world_put_value(world *w, const char *key, const void *value, size_t value_sz) {
  put_now(w, key, value, value_sz);
}

void world_put_bytes(world *w, const char *key, size_t value_sz, char fill) {
  char *value = mem_alloc(value_sz);

  memset(value, fill, value_sz);
  put_now(w, key, value, value_sz);
  free(value);
}

void world_delete(world *w, const char *key) { put_now(w, key, NULL, 0); }

void world_sync(world *w) {
  bitcask_error err = {0};
  int rc;

  if (!w->bc) return;
  CALL(rc, bitcask_sync(w->bc, &err));
  if (worked(w, "sync", rc, &err)) note_sync(w);
}

void world_merge(world *w, bitcask_merge_kind kind, const uint32_t *ids, size_t n) {
  bitcask_merge_options o = {.kind = kind, .file_ids = ids, .n_file_ids = n};
  bitcask_merge_result result;
  bitcask_error err = {0};
  int rc;

  if (!w->bc) return;
  CALL(rc, bitcask_merge(w->bc, &o, &result, &err));
  worked(w, "merge", rc, &err);
}

void world_backup(world *w) {
  bitcask_error err = {0};
  uint64_t n_files;
  int rc;

  if (!w->bc) return;
  model_copy(&w->backed_up, &w->now);
  CALL(rc, bitcask_backup(w->bc, WORLD_BACKUP_DIR, NULL, NULL, &n_files, &err));
  if (worked(w, "backup", rc, &err)) w->backup_op = memenv_log_size(w->m);
}

static void note_live(model *m, const bitcask_record *r) {
  const bitcask_entry *e = &r->entry;
  if (r->is_live) model_put(m, e->key, e->key_sz, e->value, e->value_sz, e->tstamp);
}

void world_history(world *w) {
  bitcask_snapshot *snap = NULL;
  bitcask_history *h = NULL;
  bitcask_error err = {0};
  bitcask_record r;
  model got = {0};
  int rc;

  if (!w->bc) return;
  CALL(rc, bitcask_snapshot_open(w->bc, NULL, &snap, &err));
  if (!rc) CALL(rc, bitcask_history_open(snap, &h, &err));
  while (!rc) {
    CALL(rc, bitcask_history_next(h, &r, &err));
    if (!rc) note_live(&got, &r);
  }
  if (rc != BITCASK_NOTFOUND) {
    worked(w, "history", rc, &err);
  } else if (!model_equal(&w->now, &got)) {
    world_fail(w, "the history's live records are not what is there");
    model_print_diff(&w->now, &got);
  }
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
  model_clear(&got);
}

/* ---------------------------------------------------------------- transactions */

void world_begin(world *w) {
  bitcask_error err = {0};
  int rc;

  if (!w->bc || w->txn) return;
  CALL(rc, bitcask_begin(w->bc, 0, &w->txn, &err));
  worked(w, "begin", rc, &err);
  w->prepared = false;
  model_copy(&w->pending, &w->now);
  for (size_t i = 0; i < WORLD_N_SAVEPOINTS; i++) model_copy(&w->savepoints[i], &w->now);
}

static void txn_put(world *w, const char *key, const void *value, size_t value_sz) {
  bitcask_error err = {0};
  int rc;

  if (!w->txn) return;
  if (value)
    CALL(rc, bitcask_txn_put(w->txn, key, strlen(key), value, value_sz, &err));
  else
    CALL(rc, bitcask_txn_delete(w->txn, key, strlen(key), &err));
  if (!worked(w, value ? "txn_put" : "txn_delete", rc, &err)) return;
  if (value)
    model_put(&w->pending, key, strlen(key), value, value_sz, 0);
  else
    model_delete(&w->pending, key, strlen(key));
}

void world_txn_put(world *w, const char *key, const char *value) {
  txn_put(w, key, value, strlen(value));
}

void world_txn_put_bytes(world *w, const char *key, size_t value_sz, char fill) {
  char *value = mem_alloc(value_sz);

  memset(value, fill, value_sz);
  txn_put(w, key, value, value_sz);
  free(value);
}

void world_txn_delete(world *w, const char *key) { txn_put(w, key, NULL, 0); }

void world_savepoint(world *w, int n) {
  bitcask_error err = {0};
  int rc;

  if (!w->txn) return;
  CALL(rc, bitcask_txn_savepoint(w->txn, n, &err));
  if (!worked(w, "savepoint", rc, &err))
    world_rollback(w); /* it could not be returned to */
  else
    model_copy(&w->savepoints[n], &w->pending);
}

void world_rollback_to(world *w, int n) {
  bitcask_error err = {0};
  int rc;

  if (!w->txn) return;
  CALL(rc, bitcask_txn_rollback_to(w->txn, n, &err));
  if (!worked(w, "rollback_to", rc, &err))
    world_rollback(w);
  else
    model_copy(&w->pending, &w->savepoints[n]);
}

void world_prepare(world *w) {
  bitcask_error err = {0};
  size_t begin = memenv_log_size(w->m);
  int rc;

  if (!w->txn) return;
  CALL(rc, bitcask_txn_prepare(w->txn, &err));
  if (worked(w, "prepare", rc, &err)) {
    memenv_mark(w->m, w->n_states);
    if (w->prepared) w->states[w->n_states - 1].end_op = memenv_log_size(w->m);
    add_state(w, &w->pending, begin);
    if (w->is_faulty)
      add_doubt(w, &w->pending); /* to undo it may fail, and rollback cannot say so */
    w->prepared = true;
  } else {
    add_doubt(w, &w->pending);
    world_rollback(w);
  }
}

void world_publish(world *w) {
  if (!w->txn) return;
  CALL_VOID(bitcask_txn_publish(w->txn));
  w->txn = NULL;
  model_copy(&w->now, &w->pending);
  drop_doubts(w);
  memenv_mark(w->m, w->n_states);
}

void world_rollback(world *w) {
  if (!w->txn) return;
  CALL_VOID(bitcask_txn_rollback(w->txn));
  w->txn = NULL;
  memenv_mark(w->m, 0);
  if (w->prepared) w->states[w->n_states - 1].end_op = memenv_log_size(w->m);
  w->prepared = false;
}

/* --------------------------------------------------------------------- reading */

/* 0, a status code, or -1 after a failure. */
static int read_handle(world *w, bitcask *bc, model *out) {
  bitcask_snapshot *snap = NULL;
  bitcask_error err = {0};
  const char *bad;
  int rc = bitcask_snapshot_open(bc, NULL, &snap, &err);

  if (rc) return rc;
  bad = model_read(out, snap);
  bitcask_snapshot_close(snap);
  if (!bad) return 0;
  world_fail(w, "reading: %s", bad);
  return -1;
}

/* One get while calls fail: the right value, or an error. */
static void check_get(world *w, const model_entry *want) {
  bitcask_buf buf = {0};
  bitcask_error err = {0};
  int rc;

  CALL(rc, bitcask_get(w->bc, want->bytes, want->key_sz, &buf, &err));
  if (worked(w, "get", rc, &err) &&
      (buf.size != want->value_sz || memcmp(buf.data, model_value(want), buf.size))) {
    world_fail(w, "get: a wrong value of %zu bytes for '%.*s'", buf.size, (int)want->key_sz,
               (const char *)want->bytes);
  }
  if (rc == BITCASK_NOTFOUND)
    world_fail(w, "get: '%.*s' is not found", (int)want->key_sz, (const char *)want->bytes);
  bitcask_buf_free(&buf);
}

void world_check(world *w) {
  model got = {0};
  int rc;

  if (!w->bc) return;
  for (size_t i = 0; i < w->now.n && i < 3; i++) check_get(w, w->now.entries[i]);
  memenv_pause_fault(w->m, true);
  rc = read_handle(w, w->bc, &got);
  memenv_pause_fault(w->m, false);
  if (rc > 0) world_fail(w, "reading a healthy disk: %s", bitcask_strerror(rc));
  if (!rc && !model_equal(&w->now, &got)) {
    world_fail(w, "the handle does not show what was acknowledged");
    model_print_diff(&w->now, &got);
  }
  model_clear(&got);
}

/* Everything that directory `dir` holds; as world_read_disk. */
static int read_dir(world *w, memenv *m, const char *dir, bool read_only, model *out) {
  bitcask_options o = w->o;
  bitcask *bc = NULL;
  bitcask_error err = {0};
  int rc, rc2;

  o.read_only = read_only;
  o.create = !read_only;
  rc = bc_open_env(dir, &o, memenv_env(m), &bc, &err);
  if (rc == BITCASK_CANTOPEN && read_only) {
    model_clear(out);
    return 0; /* the directory itself is not there yet */
  }
  if (!rc) {
    rc = read_handle(w, bc, out);
    rc2 = bitcask_close(bc, &err);
    if (!rc) rc = rc2;
  }
  if (rc > 0) world_fail(w, "opening after the crash: %s: %s", bitcask_strerror(rc), err.text);
  return rc;
}

int world_read_disk(world *w, memenv *m, bool read_only, model *out) {
  return read_dir(w, m, WORLD_DIR, read_only, out);
}

const char *world_check_backup(world *w, memenv *m) {
  const char *bad = NULL;
  model got = {0};
  bc_stat st;

  if (memenv_env(m)->stat(m, WORLD_BACKUP_DIR, &st)) return NULL;
  for (int read_only = 1; read_only >= 0 && !bad; read_only--) {
    if (read_dir(w, m, WORLD_BACKUP_DIR, read_only, &got))
      bad = w->failure;
    else if (!model_equal(&w->backed_up, &got))
      bad = "the backup does not hold the state of its moment";
  }
  if (bad) model_print_diff(&w->backed_up, &got);
  model_clear(&got);
  return bad;
}
