/*
** test_restored.c - taking up a checkpoint while others do what they may:
** damage met late, merges in between, long tails, strangers' files.
*/
#include "test.h"

#include "engine.h"
#include "format.h"
#include "memenv_int.h"
#include "oom.h"
#include "store.h"

#define CHECK_TEXT(a, b)                                                                           \
  do {                                                                                             \
    const char *a_ = (a);                                                                          \
    if (strcmp(a_, b) != 0) TEST_FAIL("%s is \"%s\", not \"%s\"", #a, a_, b);                      \
  } while (0)

static memenv *m;
static const bc_env *env;
static bitcask_options options;
static bitcask_error e;

static void setup(void) {
  m = memenv_new(1);
  env = memenv_env(m);
  bitcask_options_init(&options);
  options.auto_merge = false;
  options.create = true;
  memenv_set_now(m, 1700000000);
}

static bitcask *open_it(void) {
  bitcask *bc = NULL;
  CHECK_OK(bc_open_env("/kv", &options, env, &bc, &e), &e);
  return bc;
}

static void close_it(bitcask *bc) { CHECK_OK(bitcask_close(bc, &e), &e); }

static void put(bitcask *bc, const char *key, const char *value) {
  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static const char *text_of(int rc, const bitcask_buf *value) {
  static char text[64];
  if (rc == BITCASK_NOTFOUND) return "none";
  if (rc) return bitcask_strerror(rc);
  snprintf(text, sizeof text, "%.*s", (int)value->size, (const char *)value->data);
  return text;
}

static const char *get(bitcask *bc, const char *key) {
  bitcask_buf value = {0};
  int rc = bitcask_get(bc, key, strlen(key), &value, &e);
  const char *text = text_of(rc, &value);
  bitcask_buf_free(&value);
  return text;
}

static const char *get_in(bitcask_snapshot *snap, const char *key) {
  bitcask_buf scratch = {0};
  bitcask_entry entry;
  int rc = bitcask_snapshot_get(snap, key, strlen(key), &scratch, &entry, &e);
  bitcask_buf value = {.data = (uint8_t *)(uintptr_t)entry.value, .size = entry.value_sz};
  const char *text = text_of(rc, &value);
  bitcask_buf_free(&scratch);
  return text;
}

static void flip_a_bit(const char *path, uint64_t at) {
  uint8_t byte;
  size_t got;
  int fd;
  CHECK_EQ(env->open(env->ctx, path, BC_OPEN_WRITE, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, &byte, 1, at, &got), 0);
  byte ^= 4;
  CHECK_EQ(env->pwritev(env->ctx, fd, &(struct iovec){&byte, 1}, 1, at), 0);
  env->close(env->ctx, fd);
}

/* In the first segment. */
static void damage_the_checkpoint(void) { flip_a_bit("/kv/bitcask.keydir", 4096 + 60); }

static void merge_files(bitcask *bc, uint32_t *ids, size_t n) {
  bitcask_merge_options o = {
      .kind = n ? BITCASK_MERGE_FILES : BITCASK_MERGE_ALL, .file_ids = ids, .n_file_ids = n};
  CHECK_OK(bitcask_merge(bc, &o, NULL, &e), &e);
}

/* What has happened since is more than fits into one segment. */
static void a_long_tail_on_one_key(void) {
  static char key[1000];
  bitcask_buf value = {0};
  bitcask_txn *txn;
  bitcask *bc;

  setup();
  memset(key, 'k', sizeof key);
  bc = open_it();
  bc_save_early(bc);
  put(bc, "a", "1");
  close_it(bc);
  bc = open_it();
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (int i = 0; i < 5000; i++) {
    CHECK_OK(bitcask_txn_put(txn, key, sizeof key, "v", 1, &e), &e);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  close_it(bc);
  bc = open_it();
  CHECK_OK(bitcask_get(bc, key, sizeof key, &value, &e), &e);
  CHECK_TEXT(get(bc, "a"), "1");
  close_it(bc);
  bitcask_buf_free(&value);
  memenv_free(m);
}

/* Five files and a checkpoint of them all. */
static void make_five_files(void) {
  bitcask *bc;

  setup();
  options.max_file_size = 1;
  bc = open_it();
  bc_save_early(bc);
  put(bc, "deleted", "old");
  put(bc, "moved", "old");
  CHECK_OK(bitcask_delete(bc, "deleted", 7, &e), &e);
  put(bc, "moved", "new");
  put(bc, "last", "1");
  close_it(bc);
}

/* A damaged segment is touched first when a merge has taken files away without
** which the log does not say what it was. */
static void damage_met_after_a_merge_elsewhere(void) {
  uint32_t ids[] = {3, 4};
  bitcask *bc, *other;
  bitcask_snapshot *snap;

  make_five_files();
  damage_the_checkpoint();
  bc = open_it();
  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  other = open_it();
  merge_files(other, ids, 2);
  close_it(other);
  CHECK_TEXT(get_in(snap, "deleted"), "I/O error");
  CHECK_TEXT(get_in(snap, "moved"), "I/O error");
  bitcask_snapshot_close(snap);
  CHECK_TEXT(get(bc, "deleted"), "none");
  CHECK_TEXT(get(bc, "moved"), "new");
  CHECK_TEXT(get(bc, "last"), "1");
  close_it(bc);
  memenv_free(m);
}

/* The same met by the opening itself. */
static void damage_met_by_an_opening(void) {
  uint32_t ids[] = {3, 4};
  bitcask *bc;

  make_five_files();
  bc = open_it();
  merge_files(bc, ids, 2);
  close_it(bc);
  damage_the_checkpoint();
  bc = open_it();
  CHECK_TEXT(get(bc, "deleted"), "none");
  CHECK_TEXT(get(bc, "moved"), "new");
  CHECK_TEXT(get(bc, "last"), "1");
  close_it(bc);
  memenv_free(m);
}

/* ... and by a merge, or by a get, of a handle that had been there before. */
static void damage_met_by_the_next_to_merge(void) {
  for (int i = 0; i < 2; i++) {
    uint32_t third = 3, fourth = 4;
    bitcask *bc, *other;

    make_five_files();
    damage_the_checkpoint();
    bc = open_it();
    other = open_it();
    merge_files(other, &third, 1);
    close_it(other);
    if (i == 0) merge_files(bc, &fourth, 1);
    CHECK_TEXT(get(bc, "deleted"), "none");
    CHECK_TEXT(get(bc, "moved"), "new");
    CHECK_TEXT(get(bc, "last"), "1");
    close_it(bc);
    memenv_free(m);
  }
}

/* Reading the log in the stead of a damaged segment fails while the tail is
** replayed, at any call: the answer is right or an error, and right the next time. */
static void damage_and_errors(void) {
  uint32_t ids[] = {3, 4};
  bool hit = true;

  for (uint64_t nth = 1; hit && nth < 2000; nth++) {
    bitcask *bc = NULL;
    make_five_files();
    bc = open_it();
    merge_files(bc, ids, 2);
    put(bc, "last", "2");
    CHECK_OK(bitcask_delete(bc, "moved", 5, &e), &e);
    put(bc, "moved", "newest");
    close_it(bc);
    damage_the_checkpoint();
    memenv_set_fault(m, &(mem_fault){.err = EIO, .calls = MEM_CALL_ALL, .nth = nth});
    if (!bc_open_env("/kv", &options, env, &bc, &e)) {
      bitcask_snapshot *snap = NULL;
      if (!bitcask_snapshot_open(bc, NULL, &snap, &e)) {
        const char *text = get_in(snap, "deleted");
        if (strcmp(text, "none") && strcmp(text, "I/O error"))
          TEST_FAIL("%s at %d", text, (int)nth);
        text = get_in(snap, "last");
        if (strcmp(text, "2") && strcmp(text, "I/O error")) TEST_FAIL("%s at %d", text, (int)nth);
        text = get_in(snap, "moved");
        if (strcmp(text, "newest") && strcmp(text, "I/O error"))
          TEST_FAIL("%s at %d", text, (int)nth);
      }
      bitcask_snapshot_close(snap);
    }
    hit = memenv_fault_hit(m);
    memenv_set_fault(m, &(mem_fault){0});
    if (bc) {
      CHECK_TEXT(get(bc, "deleted"), "none");
      CHECK_TEXT(get(bc, "moved"), "newest");
      CHECK_TEXT(get(bc, "last"), "2");
      close_it(bc);
    }
    CHECK_EQ(memenv_n_open(m), 0);
    memenv_free(m);
  }
}

/* Memory runs out while a tail is put into the segment it is for. */
static void tail_without_memory(void) {
  uint64_t nth = 1, n;

  do {
    bitcask *bc;
    bitcask_snapshot *snap = NULL;
    make_five_files();
    bc = open_it();
    put(bc, "last", "2");
    CHECK_OK(bitcask_delete(bc, "moved", 5, &e), &e);
    close_it(bc);
    bc = open_it();
    CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
    oom_arm(nth);
    oom_enter();
    (void)get_in(snap, "last");
    oom_leave();
    n = oom_count();
    oom_arm(0);
    for (int i = 0; i < 2; i++) {
      const char *text = get_in(snap, "last");
      if (strcmp(text, "2") && strcmp(text, "I/O error")) TEST_FAIL("%s at %d", text, (int)nth);
      text = get_in(snap, "moved");
      if (strcmp(text, "none") && strcmp(text, "I/O error")) TEST_FAIL("%s at %d", text, (int)nth);
    }
    bitcask_snapshot_close(snap);
    CHECK_TEXT(get(bc, "last"), "2");
    CHECK_TEXT(get(bc, "moved"), "none");
    close_it(bc);
    memenv_free(m);
  } while (n >= nth++);
  CHECK(!oom_is_linked() || nth > 3);
}

/* What a checkpoint says of its time must not outlive it. */
static void a_checkpoint_of_other_files(void) {
  bitcask *bc;

  setup();
  memenv_set_now(m, 4000000000);
  bc = open_it();
  bc_save_early(bc);
  put(bc, "a", "1");
  close_it(bc);
  env->unlink(env->ctx, "/kv/1.bitcask.data");
  env->unlink(env->ctx, "/kv/bitcask.state");
  memenv_set_now(m, 1700000000);
  bc = open_it();
  put(bc, "b", "1");
  bitcask_snapshot *snap;
  bitcask_entry entry;
  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_snapshot_get(snap, "b", 1, NULL, &entry, &e), &e);
  CHECK_EQ(entry.tstamp, 1700000000);
  CHECK_EQ(entry.file_id, 1);
  bitcask_snapshot_close(snap);
  close_it(bc);
  memenv_free(m);
}

/* A merge reserves ids, of which it may leave some; basho/bitcask takes the next one
** of those.  Then a handle that knows nothing of the checkpoint merges again. */
static void a_file_of_a_stranger_below_the_position(void) {
  uint8_t record[BC_RECORD_HEADER_SZ + 2];
  uint32_t id;
  char path[64];
  bitcask *bc, *kept;
  bc_position seen;

  setup();
  options.max_file_size = 20;
  bc = open_it();
  bc_save_early(bc);
  put(bc, "a", "1");
  put(bc, "a", "2");
  put(bc, "a", "3");
  put(bc, "b", "3");
  merge_files(bc, NULL, 0);
  seen = bc->seen;
  id = bc->files->file[bc->files->n - 1]->id + 1;
  close_it(bc);
  CHECK(id < seen.file_id);
  kept = open_it();
  bc_record_encode(record, 1700000000, "c", 1, "9", 1);
  snprintf(path, sizeof path, "/kv/%u.bitcask.data", id);
  memenv_write_file(m, path, record, sizeof record);
  put(kept, "a", "4");
  CHECK_TEXT(get(kept, "c"), "9");
  id = kept->files->file[0]->id;
  merge_files(kept, &id, 1);
  close_it(kept);
  bc = open_it();
  CHECK_TEXT(get(bc, "c"), "9");
  CHECK_TEXT(get(bc, "a"), "4");
  merge_files(bc, NULL, 0);
  CHECK_TEXT(get(bc, "c"), "9");
  close_it(bc);
  memenv_free(m);
}

int main(void) {
  RUN(a_long_tail_on_one_key);
  RUN(damage_met_after_a_merge_elsewhere);
  RUN(damage_met_by_an_opening);
  RUN(damage_met_by_the_next_to_merge);
  RUN(damage_and_errors);
  RUN(tail_without_memory);
  RUN(a_checkpoint_of_other_files);
  RUN(a_file_of_a_stranger_below_the_position);
  return test_done();
}
