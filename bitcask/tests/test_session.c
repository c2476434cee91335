/*
** test_session.c - merging by itself, one step at a time: who makes each step, what fails
** in it, and what somebody else does before the next one, is chosen here.
*/
#include "test.h"

#include "checkpoint.h"
#include "crc32.h"
#include "engine.h"
#include "lock.h"
#include "memenv_int.h"
#include "seal.h"
#include "store.h"
#include "upkeep.h"
#include "writer.h"

#include <semaphore.h>

enum { FILE_SZ = 64 << 10, VALUE_SZ = 1000, N_KEYS = 60, N_KEPT = 12 };

static memenv *disk;
static bitcask_options options;
static unsigned n_logged;

static void count_message(void *ctx, const char *text) {
  (void)ctx;
  (void)text;
  n_logged++;
}

static bitcask *open_handle(bool merges) {
  bitcask_error e;
  bitcask *bc = NULL;
  options.auto_merge = merges;
  CHECK_OK(bc_open_env("/kv", &options, memenv_env(disk), &bc, &e), &e);
  if (!bc) abort();
  return bc;
}

static void close_handle(bitcask *bc) {
  bitcask_error e;
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void setup(void) {
  disk = memenv_new(1);
  bitcask_options_init(&options);
  options.create = true;
  options.sync = BITCASK_SYNC_NORMAL;
  options.max_file_size = FILE_SZ;
  options.log = count_message;
  n_logged = 0;
}

static void finish(void) {
  CHECK_EQ(memenv_n_open(disk), 0);
  memenv_free(disk);
}

static void put(bitcask *bc, int k, char fill) {
  char key[16], value[VALUE_SZ];
  bitcask_error e;
  size_t n = (size_t)sprintf(key, "key%d", k);
  memset(value, fill, sizeof value);
  CHECK_OK(bitcask_put(bc, key, n, value, sizeof value, &e), &e);
}

static void delete_key(bitcask *bc, int k) {
  char key[16];
  bitcask_error e;
  CHECK_OK(bitcask_delete(bc, key, (size_t)sprintf(key, "key%d", k), &e), &e);
}

/* `want`: what its value is made of; 0: it is not there. */
static void check_key(bitcask *bc, int k, char want) {
  char key[16];
  bitcask_buf buf = {0};
  bitcask_error e;
  size_t n = (size_t)sprintf(key, "key%d", k);
  CHECK_RC(bitcask_get(bc, key, n, &buf, &e), want ? BITCASK_OK : BITCASK_NOTFOUND, &e);
  if (want) CHECK(buf.size == VALUE_SZ && buf.data[0] == (uint8_t)want);
  bitcask_buf_free(&buf);
}

/* File 1, of which the first N_KEPT records are live, and others. */
static void fill(bitcask *bc) {
  for (int k = 0; k < N_KEYS; k++) put(bc, k, 'a');
  for (int k = N_KEPT; k < N_KEYS; k++) put(bc, k, 'b');
}

static void check_filled(bitcask *bc, int from) {
  for (int k = from; k < N_KEYS; k++) check_key(bc, k, k < N_KEPT ? 'a' : 'b');
}

/* One step, of a hint if there is one to write. */
static void step_of_hint(bitcask *bc) {
  bc->seals_next = false;
  bc_state_pay_debt(&bc->state, UINT64_MAX);
  bc->own_debt = 0;
  bc_upkeep(bc, bc->opt.max_file_size / 16, 0);
}

/* One step; of a hint only if there is nothing to merge. */
static void step(bitcask *bc) {
  bc->seals_next = true;
  bc_state_pay_debt(&bc->state, UINT64_MAX);
  bc->own_debt = 0;
  bc_upkeep(bc, bc->opt.max_file_size / 16, 0);
}

static bc_session session_of(bitcask *bc) {
  bc_session s = {0};
  (void)bc_state_session(&bc->state, &s);
  return s;
}

static void step_until_begun(bitcask *bc) {
  for (int i = 0; i < 100 && !session_of(bc).input; i++) step(bc);
  CHECK_EQ(session_of(bc).input, 1);
  CHECK_EQ(session_of(bc).output, 0);
}

/* Something has been copied, and not all of file 1. */
static void step_until_copied(bitcask *bc) {
  for (int i = 0; i < 100 && !session_of(bc).end; i++) step(bc);
  CHECK_EQ(session_of(bc).input, 1);
  CHECK(session_of(bc).end > 0);
}

/* The next step of the handle fails, at a call of this kind. */
static void step_and_fail(bitcask *bc, unsigned call) {
  memenv_set_fault(disk, &(mem_fault){.err = EIO, .calls = call, .nth = 1, .sticky = true});
  step(bc);
  CHECK(memenv_fault_hit(disk));
  memenv_set_fault(disk, &(mem_fault){0});
  CHECK_EQ(session_of(bc).input, 0);
}

static bool has_file_named(const char *name) {
  const bc_env *env = memenv_env(disk);
  char path[64];
  bc_stat st;
  sprintf(path, "/kv/%s", name);
  return !env->stat(env->ctx, path, &st);
}

static bool has_file(uint32_t id, const char *suffix) {
  char name[64];
  sprintf(name, "%" PRIu32 ".bitcask.%s", id, suffix);
  return has_file_named(name);
}

/* Go on until there is nothing left to merge. */
static void step_to_the_end(bitcask *bc) {
  bc->upkeep_from = 0;
  for (int i = 0; i < 100; i++) step(bc);
  CHECK_EQ(session_of(bc).input, 0);
  CHECK(!has_file(1, "data"));
}

/* Were the power cut at any moment since the log was started: all is there. */
static void check_after_power_cuts(void) {
  memenv *now = disk;
  for (size_t n = 0; n <= memenv_log_size(now) && !test_bad; n++) {
    mem_cut cut = {.kind = MEM_CUT_SYNCED, .n_ops = n};
    bitcask *bc;
    disk = memenv_crash(now, &cut);
    bc = open_handle(false);
    check_filled(bc, 0);
    close_handle(bc);
    if (test_bad) memenv_print_log(now), fprintf(stderr, "cut after %zu\n", n);
    finish();
  }
  disk = now;
}

/* ---------------------------------------------------------- what a failed step leaves */

/* Nobody goes on with its output; but that holds the only copies once the input goes. */
static void abandoned_output_is_synced(void) {
  for (int explicitly = 0; explicitly < 2; explicitly++) {
    bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
    bitcask_error e;
    bitcask *bc;

    setup();
    bc = open_handle(true);
    bc->opt.auto_merge = false;
    fill(bc);
    CHECK_OK(bitcask_sync(bc, &e), &e);
    memenv_log_start(disk);
    bc->opt.auto_merge = true;
    step_until_copied(bc);
    if (explicitly) {
      CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
    } else {
      step_and_fail(bc, MEM_CALL_PWRITEV);
      step_to_the_end(bc);
    }
    close_handle(bc);
    check_after_power_cuts();
    finish();
  }
}

/* The other handle was there all the time and has no reason to look: it must know of
** the copies, or it throws the tombstone away that buries one. */
static void abandoned_output_is_known_to_all(void) {
  for (int explicitly = 0; explicitly < 2; explicitly++) {
    bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
    bitcask *a, *b;
    bitcask_error e;

    setup();
    a = open_handle(false);
    fill(a);
    a->opt.auto_merge = true;
    step_until_begun(a);
    b = open_handle(false);
    put(b, N_KEYS, 'c');
    step_until_copied(a);
    step_and_fail(a, MEM_CALL_PWRITEV);
    delete_key(b, 0);
    b->opt.auto_merge = true;
    if (explicitly) {
      CHECK_OK(bitcask_merge(b, &all, NULL, &e), &e);
    } else {
      step_to_the_end(b);
    }
    close_handle(b);
    close_handle(a);
    a = open_handle(false);
    check_key(a, 0, 0);
    check_filled(a, 1);
    close_handle(a);
    finish();
  }
}

static void append_to_output(const bc_session *s, const void *p, size_t n) {
  const bc_env *env = memenv_env(disk);
  struct iovec iov = {(void *)(uintptr_t)p, n};
  char path[64];
  int fd;

  sprintf(path, "/kv/%" PRIu32 ".bitcask.data", s->output);
  CHECK_EQ(env->open(env->ctx, path, BC_OPEN_WRITE, &fd), 0);
  CHECK_EQ(env->pwritev(env->ctx, fd, &iov, 1, s->end), 0);
  CHECK_EQ(env->close(env->ctx, fd), 0);
}

/* Somebody has written to the output between two steps: it is left as it is. */
static void output_that_was_changed_is_synced(void) {
  bitcask_error e;
  bitcask *bc;
  bc_session s;

  setup();
  bc = open_handle(false);
  fill(bc);
  for (int i = 0; i < 2; i++) {
    for (int k = N_KEPT; k < N_KEYS; k++) put(bc, k, 'b'); /* two files to merge, and two ids */
  }
  CHECK_OK(bitcask_sync(bc, &e), &e);
  memenv_log_start(disk);
  bc->opt.auto_merge = true;
  step_until_copied(bc);
  CHECK(session_of(bc).output < session_of(bc).last_id);
  s = session_of(bc);
  append_to_output(&s, "?", 1);
  step_to_the_end(bc);
  close_handle(bc);
  check_after_power_cuts();
  finish();
}

/* Append to the output, as the next step does, without telling anybody: a copy of its
** first record. */
static void append_in_silence(bitcask *bc) {
  const bc_env *env = memenv_env(disk);
  uint8_t record[2 * VALUE_SZ];
  bc_session s = session_of(bc);
  struct iovec iov = {record, 0};
  char path[64];
  size_t got;
  int fd;

  sprintf(path, "/kv/%" PRIu32 ".bitcask.data", s.output);
  CHECK_EQ(env->open(env->ctx, path, BC_OPEN_WRITE, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, record, sizeof record, 0, &got), 0);
  iov.iov_len = (size_t)bc_record_size(record);
  CHECK_EQ(env->pwritev(env->ctx, fd, &iov, 1, s.end), 0);
  CHECK_EQ(env->close(env->ctx, fd), 0);
}

static void check_output_size(bitcask *bc, const bc_session *s, bool all) {
  bc_datafile *df = bc_store_find(bc, s->output);
  CHECK(df && (all ? atomic_load(&df->size) > s->end : atomic_load(&df->size) == s->end));
  bc_datafile_unref(df);
}

/* What is on its way into an output may be taken back, so nobody else may read it: nor may anybody
** map it.  When who wrote it has died it counts as far as it is whole, and stays. */
static void output_is_read_as_far_as_told(void) {
  for (int explicitly = 0; explicitly < 2; explicitly++) {
    bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
    bitcask *a, *sleeping, *fresh, *late;
    bitcask_error e;
    bc_session s;
    char cut[40];

    setup();
    a = open_handle(false);
    fill(a);
    a->opt.auto_merge = true;
    step_until_begun(a);
    sleeping = open_handle(false);
    step_until_copied(a);
    put(a, N_KEYS, 'c');
    s = session_of(a);
    CHECK_OK(bc_lock_merge(&a->state, &e), &e); /* as in a step */
    append_in_silence(a);
    check_key(sleeping, N_KEYS, 'c');
    fresh = open_handle(false);
    check_output_size(sleeping, &s, false);
    check_output_size(fresh, &s, false);
    /* Killed: what others have read by then is not cut off by whoever merges next. */
    bc_state_set_session(&a->state, NULL);
    bc_unlock_merge(&a->state);
    late = open_handle(false);
    check_output_size(late, &s, true);
    put(fresh, N_KEYS, 'c');
    if (explicitly) {
      CHECK_OK(bitcask_merge(fresh, &all, NULL, &e), &e);
    } else {
      fresh->opt.auto_merge = true;
      step_to_the_end(fresh);
    }
    sprintf(cut, "data.cut-%" PRIu64, s.end);
    CHECK(!has_file(s.output, cut));
    if (has_file(s.output, "data")) check_output_size(fresh, &s, true);
    check_filled(sleeping, 0);
    check_filled(fresh, 0);
    check_filled(late, 0);
    close_handle(late);
    close_handle(fresh);
    close_handle(sleeping);
    close_handle(a);
    finish();
  }
}

/* -------------------------------------------------------------------- several handles */

/* Who commits waits a little for who is merging, once there is a lot to do; but not for a
** merge that somebody has called for, which may take minutes. */
static void late_step_is_waited_for(void) {
  for (int explicitly = 0; explicitly < 2; explicitly++) {
    bitcask *a, *b;
    uint64_t start, longest = 0;

    setup();
    a = open_handle(true);
    b = open_handle(false);
    put(a, 0, 'a');
    put(b, 0, 'a');
    CHECK_EQ(bc_lock_merge(&b->state, NULL), 0);
    bc_state_set_merging(&b->state, explicitly);
    for (int i = 0; i < 500; i++) {
      start = memenv_env(disk)->monotonic_ms(memenv_env(disk)->ctx);
      put(a, i % N_KEYS, 'a');
      start = memenv_env(disk)->monotonic_ms(memenv_env(disk)->ctx) - start;
      if (start > longest) longest = start;
      if (i < 20) CHECK(longest <= 1);
    }
    CHECK(explicitly ? longest <= 1 : longest >= 2 && longest <= 3);
    bc_state_set_merging(&b->state, false);
    bc_unlock_merge(&b->state);
    close_handle(b);
    close_handle(a);
    finish();
  }
}

/* What one handle has dropped because it had expired is still there for the next one. */
static void expired_by_turns(void) {
  for (int others_expire = 0; others_expire < 2; others_expire++) {
    bitcask *a, *b;

    setup();
    memenv_set_now(disk, 1700000000);
    a = open_handle(false);
    for (int k = 0; k < N_KEYS; k++) put(a, k, 'a');
    memenv_set_now(disk, 1700001000);
    for (int k = N_KEPT; k < 2 * N_KEYS; k++) put(a, k, 'b');
    b = open_handle(false);
    put(b, 3 * N_KEYS, 'b');
    a->opt.expiry_secs = 500;
    if (others_expire) b->opt.expiry_secs = 500;
    a->opt.auto_merge = b->opt.auto_merge = true;
    step_until_begun(a);
    step(a);
    n_logged = 0;
    for (int i = 0; i < 100; i++) step(b);
    CHECK_EQ(n_logged, 0);
    CHECK(!has_file(1, "data"));
    for (int k = N_KEPT; k < 2 * N_KEYS; k++) check_key(a, k, 'b');
    close_handle(b);
    close_handle(a);
    finish();
  }
}

/* A handle that merges nothing says nothing about whether there is something to merge. */
static void manual_handle_leaves_the_debt(void) {
  bitcask *a, *b;

  setup();
  a = open_handle(true);
  b = open_handle(false);
  for (int i = 0; i < 2000; i++) put(i % 2 ? b : a, i % N_KEYS, 'a');
  CHECK(memenv_disk_bytes(disk) < 6 * FILE_SZ);
  close_handle(b);
  close_handle(a);
  finish();
}

/* Files that are found to be worth merging meanwhile are left to the next merge if there
** are no ids for what is live in them: else the last output takes it all. */
static void outputs_keep_their_size(void) {
  enum { MANY = 16 * N_KEYS };
  bitcask *a;

  setup();
  a = open_handle(false);
  for (int k = 0; k < MANY; k++) put(a, k, 'a');
  for (int k = N_KEPT; k < N_KEYS; k++) put(a, k, 'b');
  a->opt.auto_merge = true;
  step_until_begun(a);
  a->opt.auto_merge = false;
  for (int k = N_KEYS; k < MANY; k++) {
    if (k % 5 > 1) put(a, k, 'b');
  }
  a->opt.auto_merge = true;
  for (int i = 0; i < 1000; i++) {
    bc_stat st = {0};
    char path[64];
    sprintf(path, "/kv/%" PRIu32 ".bitcask.data", session_of(a).output);
    step(a);
    if (!memenv_env(disk)->stat(memenv_env(disk)->ctx, path, &st)) CHECK(st.size <= 2 * FILE_SZ);
  }
  close_handle(a);
  finish();
}

/* A merge goes on, and its output is made after the checkpoint.  Who opens the directory
** then takes the checkpoint up all the same. */
static void checkpoint_before_the_output(void) {
  bitcask *bc, *other;

  setup();
  bc = open_handle(false);
  fill(bc);
  bc->opt.auto_merge = true;
  step_until_begun(bc);
  put(bc, N_KEYS, 'c');
  bc_save_early(bc);
  bc_save(bc, BC_SAVE_SHARE);
  CHECK(bc->n_saved > 0);
  step_until_copied(bc);
  CHECK_EQ(session_of(bc).input, 1);
  other = open_handle(false);
  CHECK(other->n_saved > 0);
  check_filled(other, 0);
  check_key(other, N_KEYS, 'c');
  close_handle(other);
  close_handle(bc);
  finish();
}

static int n_files_below(uint32_t id) {
  int n = 0;
  while (id-- > 1) n += has_file(id, "data");
  return n;
}

/* All that the checkpoint knew has been merged since, and there is more than one file below
** its position. */
static void checkpoint_of_files_that_have_gone(void) {
  enum { MANY = 2 * N_KEYS };
  bitcask *bc, *other;

  setup();
  options.frag_merge_trigger = options.frag_threshold = 1;
  bc = open_handle(false);
  for (int k = 0; k < MANY; k++) put(bc, k, 'a');
  for (int k = 0; k < MANY; k += 6) put(bc, k, 'a');
  for (int k = 0; k < MANY; k += 6) put(bc, k, 'b');
  bc->opt.auto_merge = true;
  step_until_begun(bc);
  put(bc, MANY, 'b');
  bc_save_early(bc);
  bc_save(bc, BC_SAVE_SHARE);
  CHECK(bc->n_saved > 1);
  bc->save_least = UINT64_MAX;
  for (int i = 0; i < 100; i++) put(bc, MANY, 'c'); /* all that there is in the next file */
  for (int i = 0; i < 100; i++) step(bc);
  for (size_t i = 0; i < bc->n_saved; i++) CHECK(!has_file(bc->saved[i].id, "data"));
  CHECK(n_files_below(bc->saved[bc->n_saved - 1].id) > 1);

  other = open_handle(false);
  for (int k = 0; k < MANY; k++) check_key(other, k, k % 6 ? 'a' : 'b');
  check_key(other, MANY, 'c');
  close_handle(other);
  close_handle(bc);
  finish();
}

/* ------------------------------------------------------- basho/bitcask, and a session */

/* It has written one more file; its id is 1 more than the highest that there is. */
static void write_as_basho(uint32_t id, int k, char fill) {
  uint8_t record[2 * VALUE_SZ], hint[128];
  char key[16], value[VALUE_SZ], path[64];
  uint32_t n = (uint32_t)sprintf(key, "key%d", k), size = BC_RECORD_HEADER_SZ + n + VALUE_SZ;
  bc_hint_entry e = {(const uint8_t *)key, 0, n, size, 1700000000, false};

  memset(value, fill, sizeof value);
  bc_record_encode(record, e.tstamp, key, n, value, VALUE_SZ);
  sprintf(path, "/kv/%" PRIu32 ".bitcask.data", id);
  memenv_write_file(disk, path, record, size);
  bc_hint_encode(hint, &e);
  bc_hint_trailer_encode(hint + BC_HINT_HEADER_SZ + n, bc_crc32(0, hint, BC_HINT_HEADER_SZ + n));
  sprintf(path, "/kv/%" PRIu32 ".bitcask.hint", id);
  memenv_write_file(disk, path, hint, 2 * BC_HINT_HEADER_SZ + n);
}

/* Ids are reserved, and neither an output nor the next active file is made yet. */
static uint32_t begun_and_closed(bool saves) {
  bitcask *bc = open_handle(false);
  bc_session s;

  fill(bc);
  bc->opt.auto_merge = true;
  step_until_begun(bc);
  s = session_of(bc);
  CHECK(!has_file(s.last_id + 1, "data") && !has_file(s.first_id, "data"));
  bc->opt.auto_merge = false;
  bc->save_least = saves ? 1 : UINT64_MAX;
  close_handle(bc);
  CHECK_EQ(has_file_named("bitcask.keydir"), saves);
  return s.first_id;
}

/* By basho/bitcask, which knows of no reservation; or by us, when the page is gone. */
static void reserved_id_is_taken_after_a_checkpoint(void) {
  for (int by_us = 0; by_us < 2; by_us++) {
    const bc_env *env;
    bitcask *bc;
    uint32_t id;

    setup();
    env = memenv_env(disk);
    id = begun_and_closed(true);
    if (by_us) {
      CHECK_EQ(env->unlink(env->ctx, "/kv/bitcask.state"), 0);
      bc = open_handle(false);
      put(bc, N_KEYS + 5, 'z');
      bc->save_least = UINT64_MAX;
      close_handle(bc);
    } else {
      write_as_basho(id, N_KEYS + 5, 'z');
    }
    bc = open_handle(false);
    check_key(bc, N_KEYS + 5, 'z');
    check_filled(bc, 0);
    close_handle(bc);
    finish();
  }
}

static void reserved_id_is_taken_in_a_session(void) {
  bitcask *bc, *fresh;

  setup();
  write_as_basho(begun_and_closed(false), N_KEYS + 5, 'z');
  bc = open_handle(false);
  check_key(bc, N_KEYS + 5, 'z');
  bc->opt.auto_merge = true;
  put(bc, N_KEYS + 6, 'y');
  for (int i = 0; i < 100 && session_of(bc).input; i++) step(bc);
  fresh = open_handle(false);
  check_key(bc, N_KEYS + 5, 'z');
  check_key(fresh, N_KEYS + 5, 'z');
  close_handle(bc);
  fresh->opt.auto_merge = true;
  put(fresh, N_KEYS + 6, 'y');
  step_to_the_end(fresh);
  check_key(fresh, N_KEYS + 5, 'z');
  close_handle(fresh);
  bc = open_handle(false);
  check_key(bc, N_KEYS + 5, 'z');
  close_handle(bc);
  finish();
}

/* Its partial merge appends a tombstone to a file, and to the file's hint. */
static void tombstone_is_appended_to_an_output(void) {
  uint8_t record[64], value[BC_TOMBSTONE_SZ], hint[64];
  bc_hint_entry e = {
      (const uint8_t *)"key0", 0, 4, BC_RECORD_HEADER_SZ + 4 + BC_TOMBSTONE_SZ, 1700000000, true};
  char path[64];
  bitcask *bc;
  bc_session s;

  setup();
  bc = open_handle(false);
  bc->save_least = UINT64_MAX;
  fill(bc);
  bc->opt.auto_merge = true;
  step_until_copied(bc);
  s = session_of(bc);
  bc->opt.auto_merge = false;
  close_handle(bc);
  CHECK(!has_file(s.output, "hint"));

  bc_tombstone_encode(value, s.output);
  bc_record_encode(record, e.tstamp, "key0", 4, value, sizeof value);
  append_to_output(&s, record, e.total_sz);
  e.offset = s.end;
  bc_hint_encode(hint, &e);
  sprintf(path, "/kv/%" PRIu32 ".bitcask.hint", s.output);
  memenv_write_file(disk, path, hint, BC_HINT_HEADER_SZ + 4);

  bc = open_handle(false);
  check_key(bc, 0, 0);
  check_filled(bc, 1);
  close_handle(bc);
  finish();
}

/* Behind what a killed writer has left half there nobody reads it, basho/bitcask neither; but
** it is not ours to throw away. */
static void what_has_a_hint_is_kept_when_it_is_cut(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  uint8_t bytes[64] = "?", value[BC_TOMBSTONE_SZ];
  char path[64], cut[40];
  bitcask_error e;
  bitcask *bc;
  bc_session s;

  setup();
  bc = open_handle(false);
  fill(bc);
  bc->opt.auto_merge = true;
  step_until_copied(bc);
  s = session_of(bc);
  bc->opt.auto_merge = false;
  bc_tombstone_encode(value, s.output);
  bc_record_encode(bytes + 1, 1700000000, "key0", 4, value, sizeof value);
  append_to_output(&s, bytes, 1 + BC_RECORD_HEADER_SZ + 4 + BC_TOMBSTONE_SZ);
  sprintf(path, "/kv/%" PRIu32 ".bitcask.hint", s.output);
  memenv_write_file(disk, path, "?", 1);
  bc_state_set_session(&bc->state, NULL);
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  sprintf(cut, "data.cut-%" PRIu64, s.end);
  CHECK(has_file(s.output, cut));
  check_filled(bc, 0);
  close_handle(bc);
  finish();
}

/* ---------------------------------------------------------------------- an id that is there */

/* A call fails while an output is taken up, so that another one is to be made, for which
** there is no id.  What is in the one that is there are the only copies. */
static void reserved_id_is_there_already(void) {
  for (uint64_t nth = 1; nth < 8 && !test_bad; nth++) {
    bitcask *bc, *fresh;

    setup();
    bc = open_handle(false);
    bc->save_least = UINT64_MAX;
    fill(bc);
    bc->opt.auto_merge = true;
    step_until_begun(bc);
    bc->opt.auto_merge = false;
    for (int k = N_KEPT + 8; k < N_KEYS; k++) put(bc, k, 'b'); /* of file 2 some are live */
    bc->opt.auto_merge = true;
    for (int i = 0; i < 100 && session_of(bc).input == 1; i++) step(bc);
    CHECK(session_of(bc).input > 1 && session_of(bc).output == session_of(bc).last_id);
    CHECK(!has_file(1, "data"));
    memenv_set_fault(disk, &(mem_fault){.err = EIO, .calls = MEM_CALL_SIZE, .nth = nth});
    for (int i = 0; i < 3; i++) step(bc);
    memenv_set_fault(disk, &(mem_fault){0});
    fresh = open_handle(false);
    check_filled(fresh, 0);
    fresh->opt.auto_merge = true;
    put(fresh, N_KEYS, 'c');
    for (int i = 0; i < 100; i++) step(fresh);
    check_filled(fresh, 0);
    close_handle(fresh);
    close_handle(bc);
    bc = open_handle(false);
    check_filled(bc, 0);
    close_handle(bc);
    finish();
  }
}

/* -------------------------------------------------------------- checkpoints in steps */

enum { MANY_KEYS = 20000 };

static void put_short(bitcask *bc, int k) {
  char key[16];
  bitcask_error e;
  size_t n = (size_t)sprintf(key, "key%d", k);
  CHECK_OK(bitcask_put(bc, key, n, key, n, &e), &e);
}

/* A handle whose checkpoint is written in part. */
static bitcask *begun_checkpoint(int *n) {
  bitcask *bc = open_handle(false);
  bitcask_txn *txn;
  bitcask_error e;

  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (*n = 0; *n < MANY_KEYS; ++*n) {
    char key[16];
    size_t size = (size_t)sprintf(key, "key%d", *n);
    CHECK_OK(bitcask_txn_put(txn, key, size, key, size, &e), &e);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  bc_save_early(bc);
  while (!bc->checkpoint && *n < 2 * MANY_KEYS) put_short(bc, (*n)++);
  CHECK(bc->checkpoint && has_file_named("bitcask.keydir.tmp"));
  return bc;
}

static void check_short(bitcask *bc, int n) {
  for (int k = 0; k < n; k++) {
    bitcask_buf buf = {0};
    bitcask_error e;
    char key[16];
    size_t size = (size_t)sprintf(key, "key%d", k);
    CHECK_OK(bitcask_get(bc, key, size, &buf, &e), &e);
    CHECK_MEM(buf.data, buf.size, key, size);
    bitcask_buf_free(&buf);
  }
}

/* Who opens takes a checkpoint up, and finds all keys. */
static void check_taken_up(int n) {
  bitcask *other = open_handle(false);
  CHECK(other->n_saved > 0);
  check_short(other, n);
  close_handle(other);
}

static void checkpoint_is_written_by_commits(void) {
  bitcask *bc;
  int n, first;

  setup();
  bc = begun_checkpoint(&n);
  for (first = n; bc->checkpoint && n < first + 1000; n++) put_short(bc, n);
  CHECK(n > first + 3);
  CHECK(bc->n_saved > 0 && !has_file_named("bitcask.keydir.tmp"));
  check_taken_up(n);
  close_handle(bc);
  finish();
}

/* Whoever writes one while another handle does nothing does not wait for it, and his is
** not replaced by the older one. */
static void checkpoint_is_overtaken(void) {
  bitcask *idle, *busy;
  uint64_t records;
  int n, last;

  setup();
  idle = begun_checkpoint(&n);
  busy = open_handle(false);
  bc_save_early(busy);
  for (last = n + 100; n < last; n++) put_short(busy, n);
  bc_save(busy, BC_SAVE_SHARE);
  CHECK(busy->n_saved > 0);
  records = busy->saved[busy->n_saved - 1].n_records;
  idle->save_least = UINT64_MAX;
  n_logged = 0;
  for (last = n + 100; n < last; n++) put_short(idle, n);
  CHECK(!idle->checkpoint && !idle->saving);
  CHECK_EQ(n_logged, 0);
  close_handle(idle);
  idle = open_handle(false);
  CHECK(idle->n_saved > 0 && idle->saved[idle->n_saved - 1].n_records == records);
  check_short(idle, n);
  close_handle(idle);
  close_handle(busy);
  finish();
}

/* Closed, or killed, in the middle. */
static void checkpoint_is_begun_again(void) {
  for (int killed = 0; killed < 2; killed++) {
    bitcask *bc;
    int n;

    setup();
    if (killed) memenv_log_start(disk);
    bc = begun_checkpoint(&n);
    if (killed) {
      memenv *before = disk;
      mem_cut cut = {.kind = MEM_CUT_KILL, .n_ops = memenv_log_size(disk)};
      disk = memenv_crash(before, &cut);
      CHECK(has_file_named("bitcask.keydir.tmp"));
      close_handle(bc);
      memenv_free(before);
      bc = open_handle(false);
      bc_save_early(bc);
      put_short(bc, n++);
    }
    close_handle(bc);
    CHECK(!has_file_named("bitcask.keydir.tmp"));
    check_taken_up(n);
    finish();
  }
}

static void checkpoint_fails_in_a_step(void) {
  for (uint64_t nth = 1; nth < 6; nth++) {
    bitcask *bc;
    int n;

    setup();
    bc = begun_checkpoint(&n);
    memenv_set_fault(disk, &(mem_fault){ENOSPC, MEM_CALL_ALL, nth, nth % 2, false});
    for (int i = 0; i < 100 && bc->checkpoint; i++) bc_save_step(bc, 100000);
    memenv_set_fault(disk, &(mem_fault){0});
    CHECK(!bc->checkpoint && !bc->saving);
    if (nth % 2 == 0) CHECK(!has_file_named("bitcask.keydir.tmp"));
    close_handle(bc);
    CHECK(!has_file_named("bitcask.keydir.tmp"));
    check_taken_up(n);
    finish();
  }
}

/* A handle that has begun one, and then only reads, keeps no file that others merge away. */
static void unfinished_checkpoint_keeps_no_files(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_error e;
  bitcask *idle, *busy;
  bc_datafile *df;
  int n, last;

  setup();
  idle = begun_checkpoint(&n);
  df = bc_store_find(idle, 1);
  if (!df) abort();
  busy = open_handle(false);
  for (last = n + 10; n < last; n++) put_short(busy, n);
  CHECK_OK(bitcask_merge(busy, &all, NULL, &e), &e);
  CHECK(!has_file(1, "data"));
  check_short(idle, n);
  CHECK(!bc_store_find(idle, 1));
  CHECK(atomic_load(&df->refs) <= 2); /* ours, and that of a hint in the making */
  bc_datafile_unref(df);
  close_handle(idle);
  close_handle(busy);
  finish();
}

/* What is to be made of the log in its stead is what it knew, without the outputs that have
** come, or grown, since. */
static void damaged_checkpoint_in_a_merge(void) {
  const bc_env *env;
  bitcask *bc, *sleeping;
  bitcask_error e;
  bitcask_snapshot *snap = NULL;
  int fd;

  setup();
  env = memenv_env(disk);
  bc = open_handle(false);
  fill(bc);
  bc->opt.auto_merge = true;
  step_until_begun(bc);
  put(bc, N_KEYS, 'c');
  bc_save_early(bc);
  bc_save(bc, BC_SAVE_SHARE);
  CHECK(bc->n_saved > 0);
  bc->save_least = UINT64_MAX;
  CHECK_EQ(env->open(env->ctx, "/kv/bitcask.keydir", BC_OPEN_WRITE, &fd), 0);
  CHECK_EQ(env->pwritev(env->ctx, fd, &(struct iovec){(char[]){"????"}, 4}, 1, 4096 + 40), 0);
  CHECK_EQ(env->close(env->ctx, fd), 0);
  sleeping = open_handle(false);
  CHECK(sleeping->n_saved > 0);
  CHECK_OK(bitcask_snapshot_open(sleeping, NULL, &snap, &e), &e);
  step_until_copied(bc);
  CHECK_EQ(session_of(bc).input, 1);
  for (int k = 0; k < N_KEYS; k++) {
    char key[16];
    bitcask_buf buf = {0};
    bitcask_entry entry;
    size_t n = (size_t)sprintf(key, "key%d", k);
    CHECK_OK(bitcask_snapshot_get(snap, key, n, &buf, &entry, &e), &e);
    bitcask_buf_free(&buf);
  }
  check_filled(sleeping, 0);
  bitcask_snapshot_close(snap);
  close_handle(sleeping);
  close_handle(bc);
  finish();
}

/* The first records ever come through another handle, and a reader sees them. */
static void snapshot_parked_in_an_empty_directory(void) {
  bitcask_snapshot *snap;
  bitcask *a, *b;
  bitcask_error e;
  bool same;

  setup();
  a = open_handle(false);
  b = open_handle(false);
  CHECK_OK(bitcask_snapshot_open(a, NULL, &snap, &e), &e);
  CHECK_EQ(bitcask_snapshot_count(snap), 0);
  bitcask_snapshot_park(snap);
  put(b, 0, 'a');
  check_key(a, 0, 'a');
  same = bitcask_snapshot_resume(snap);
  CHECK(!same);
  if (same) bitcask_snapshot_close(snap);
  close_handle(a);
  close_handle(b);
  finish();
}

/* ------------------------------------------------------------------------------ hints */

/* Who has begun a hint does nothing any more, but lives. */
static void idle_sealer_is_not_waited_for(void) {
  bitcask *idle, *bc;

  setup();
  options.max_file_size = 16 * FILE_SZ;
  idle = open_handle(false);
  for (int k = 0; k < 16 * N_KEYS; k++) put(idle, k, 'a');
  bc = open_handle(false);
  for (int k = 0; k < 16 * N_KEYS && !bc_state_sealing(&idle->state).id; k++) put(idle, k, 'b');
  CHECK_EQ(bc_state_sealing(&idle->state).id, 1);
  CHECK(!has_file(1, "hint"));
  for (int i = 0; i < 2000 && !has_file(1, "hint"); i++) {
    put(bc, 16 * N_KEYS, 'c');
    step(bc);
  }
  CHECK(has_file(1, "hint"));
  close_handle(bc);
  close_handle(idle);
  finish();
}

/* A handle that does not know of the output yet has nothing to seal, and a third one
** mends what seems to have been forgotten. */
static void growing_output_gets_no_hint(void) {
  bitcask *a, *b, *c;
  uint64_t n_problems;
  bitcask_error e;
  uint32_t output;

  setup();
  a = open_handle(false);
  fill(a);
  a->opt.auto_merge = true;
  step_until_begun(a);
  b = open_handle(false);
  put(b, N_KEYS, 'c');
  step_until_copied(a);
  output = session_of(a).output;
  for (int i = 0; i < 100; i++) step(b);
  c = open_handle(false);
  CHECK(!has_file(output, "hint"));
  step_to_the_end(a);
  CHECK_OK(bitcask_verify(c, NULL, NULL, NULL, &n_problems, &e), &e);
  CHECK_EQ(n_problems, 0);
  close_handle(c);
  close_handle(b);
  close_handle(a);
  n_logged = 0;
  a = open_handle(false);
  check_filled(a, 0);
  CHECK_EQ(n_logged, 0);
  close_handle(a);
  finish();
}

static bitcask *other;

/* While one handle writes a hint, another one fills a file and begins the next. */
static int fill_at_sync(void *ctx, int fd) {
  bitcask *bc = other;
  other = NULL;
  for (int i = 0; bc && i < 2 * FILE_SZ / VALUE_SZ; i++) put(bc, i % N_KEYS, 'x');
  return memenv_env(disk)->fdatasync(ctx, fd);
}

/* The files that are full then are not forgotten. */
static void file_filled_meanwhile_is_pending(void) {
  bitcask *a, *b;
  bitcask_error e;
  bc_env env;

  setup();
  options.sync = BITCASK_SYNC_OFF; /* hints are written at close */
  options.auto_merge = false;
  env = *memenv_env(disk);
  env.fdatasync = fill_at_sync;
  CHECK_OK(bc_open_env("/kv", &options, &env, &a, &e), &e);
  b = open_handle(false);
  fill(a);
  CHECK_OK(bitcask_sync(a, &e), &e);
  put(b, 0, 'b');
  other = b;
  close_handle(a);
  CHECK(!other);
  for (uint32_t id = 1; has_file(id + 1, "data"); id++)
    CHECK(has_file(id, "hint") || bc_seal_is_pending(b, id));
  close_handle(b);
  finish();
}

/* A hint without its data file would keep basho/bitcask from opening the directory. */
static void removed_file_gets_no_hint(void) {
  for (int others = 0; others < 2; others++) {
    bitcask *a, *b;

    setup();
    options.sync = BITCASK_SYNC_OFF; /* hints are not begun before a merge is */
    options.max_file_size = 1 << 20;
    a = open_handle(false);
    for (int i = 0; i < 2200; i++) put(a, i % N_KEYS, 'a');
    b = open_handle(false);
    put(b, 0, 'b');
    a->opt.auto_merge = true;
    for (int i = 0; i < 100 && !session_of(a).input; i++) step(a);
    step_of_hint(others ? b : a);
    CHECK(has_file(1, "hint.tmp"));
    for (int i = 0; i < 100 && session_of(a).input == 1; i++) step(a);
    CHECK(!has_file(1, "data"));
    for (int i = 0; i < 100; i++) step(others ? b : a);
    CHECK(!has_file(1, "hint"));
    CHECK(!has_file(1, "hint.tmp"));
    close_handle(b);
    close_handle(a);
    finish();
  }
}

/* ---------------------------------------------------------------- threads of one handle */

enum { MERGE_BYTE = 3 }; /* FORMAT.md section 4.1 */

static sem_t has_come, may_go;
static _Atomic bool is_armed, is_inside;
static pthread_t thread;

static void *make_step(void *bc) {
  step(bc);
  sem_post(&has_come); /* if it could not begin */
  return NULL;
}

/* One thread is about to take the merge lock; another one of the same handle makes a step
** and stops in it. */
static int lock_and_stop(void *ctx, int fd, uint64_t pos, bc_lock_kind kind) {
  int e;

  if (pos != MERGE_BYTE || kind != BC_LOCK_EXCLUSIVE || !other)
    return memenv_env(disk)->lock(ctx, fd, pos, kind);
  if (is_armed) {
    is_armed = false;
    CHECK_EQ(pthread_create(&thread, NULL, make_step, other), 0);
    sem_wait(&has_come);
    return memenv_env(disk)->lock(ctx, fd, pos, kind);
  }
  e = memenv_env(disk)->lock(ctx, fd, pos, kind);
  is_inside = true;
  sem_post(&has_come);
  sem_wait(&may_go);
  is_inside = false;
  return e;
}

/* A step keeps the merge lock, whatever other threads want it for. */
static void step_keeps_the_lock(void) {
  for (int repairs = 0; repairs < 2; repairs++) {
    bitcask *a, *b;
    bitcask_error e;
    bool held = false;
    bc_env env;

    setup();
    other = NULL;
    options.auto_merge = true;
    env = *memenv_env(disk);
    env.lock = lock_and_stop;
    CHECK_OK(bc_open_env("/kv", &options, &env, &a, &e), &e);
    b = open_handle(false);
    put(b, 0, 'b');
    put(a, 0, 'a');
    sem_init(&has_come, 0, 0);
    sem_init(&may_go, 0, 0);
    is_armed = true;
    other = a;
    if (repairs) {
      a->repairs_due = true;
      CHECK_OK(bc_writer_enter(a, NULL, &e), &e);
      bc_writer_leave(a);
    } else {
      bc_save_early(a);
      bc_save(a, 1);
    }
    CHECK(!is_armed);
    CHECK_OK(bc_lock_merge_held(&b->state, &held, &e), &e);
    CHECK_EQ(held, is_inside);
    sem_post(&may_go);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    other = NULL;
    close_handle(b);
    close_handle(a);
    finish();
  }
}

int main(void) {
  RUN(abandoned_output_is_synced);
  RUN(abandoned_output_is_known_to_all);
  RUN(output_that_was_changed_is_synced);
  RUN(output_is_read_as_far_as_told);
  RUN(late_step_is_waited_for);
  RUN(expired_by_turns);
  RUN(manual_handle_leaves_the_debt);
  RUN(outputs_keep_their_size);
  RUN(checkpoint_before_the_output);
  RUN(checkpoint_of_files_that_have_gone);
  RUN(checkpoint_is_written_by_commits);
  RUN(checkpoint_is_overtaken);
  RUN(checkpoint_is_begun_again);
  RUN(reserved_id_is_taken_after_a_checkpoint);
  RUN(reserved_id_is_taken_in_a_session);
  RUN(tombstone_is_appended_to_an_output);
  RUN(what_has_a_hint_is_kept_when_it_is_cut);
  RUN(reserved_id_is_there_already);
  RUN(checkpoint_fails_in_a_step);
  RUN(unfinished_checkpoint_keeps_no_files);
  RUN(damaged_checkpoint_in_a_merge);
  RUN(snapshot_parked_in_an_empty_directory);
  RUN(idle_sealer_is_not_waited_for);
  RUN(growing_output_gets_no_hint);
  RUN(file_filled_meanwhile_is_pending);
  RUN(removed_file_gets_no_hint);
  RUN(step_keeps_the_lock);
  return test_done();
}
