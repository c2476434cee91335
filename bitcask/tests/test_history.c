/*
** test_history.c - bitcask_history and bitcask_verify_structure: every byte of every
** file is told of once, and what is live is what a snapshot shows.
*/
#include "test.h"

#include "bitcask.h"
#include "model.h"
#include "tempdir.h"

static bitcask_error e;

static bitcask *open_dir(const char *dir, bool mmap, uint64_t max_file_size) {
  bitcask_options o;
  bitcask *bc = NULL;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.sync = BITCASK_SYNC_NORMAL;
  o.mmap = mmap;
  if (max_file_size) o.max_file_size = max_file_size;
  CHECK_OK(bitcask_open(dir, &o, &bc, &e), &e);
  return bc;
}

static void put(bitcask *bc, const char *key, const char *value) {
  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static void commit_three(bitcask *bc, unsigned i) {
  bitcask_txn *txn;
  char key[16], value[16];

  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  for (unsigned k = 0; k < 3; k++) {
    size_t n = (size_t)sprintf(key, "key%u", (i * 7 + k) % 60);
    size_t v = (size_t)sprintf(value, "batch %u", i);
    if ((i + k) % 5)
      CHECK_OK(bitcask_txn_put(txn, key, n, value, v, &e), &e);
    else
      CHECK_OK(bitcask_txn_delete(txn, key, n, &e), &e);
  }
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
}

/* One line for each record: kind, key, value, '*' if it is live. */
static void print_history(bitcask *bc, bitcask_txn *txn, char *out, size_t n_out) {
  static const char kinds[] = "vtmd";
  bitcask_snapshot *snap;
  bitcask_history *h;
  bitcask_record r;
  size_t n = 0;
  int rc;

  out[0] = 0;
  CHECK_OK(bitcask_snapshot_open(bc, txn, &snap, &e), &e);
  CHECK_OK(bitcask_history_open(snap, &h, &e), &e);
  while (!(rc = bitcask_history_next(h, &r, &e)) && n < n_out) {
    bool text = r.kind == BITCASK_RECORD_VALUE || r.kind == BITCASK_RECORD_TOMBSTONE;
    n += (size_t)snprintf(out + n, n_out - n, "%u:%" PRIu64 "+%" PRIu64 " %c %.*s %.*s%s\n",
                          r.entry.file_id, r.entry.offset, r.size, kinds[r.kind],
                          text ? (int)r.entry.key_sz : 0, text ? (const char *)r.entry.key : "",
                          r.kind == BITCASK_RECORD_VALUE ? (int)r.entry.value_sz : 0,
                          text ? (const char *)r.entry.value : "", r.is_live ? "*" : "");
  }
  CHECK_RC(rc, BITCASK_NOTFOUND, &e);
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
}

static void expect(bitcask *bc, bitcask_txn *txn, const char *want) {
  char got[2000];
  print_history(bc, txn, got, sizeof got);
  if (strcmp(got, want)) TEST_FAIL("the history is\n%snot\n%s", got, want);
}

static void records(void) {
  char *dir = tempdir_make();
  bitcask *bc = open_dir(dir, true, 0);
  bitcask_txn *txn;

  expect(bc, NULL, "");
  put(bc, "a", "1");
  put(bc, "a", "2");
  put(bc, "b", "");
  CHECK_OK(bitcask_delete(bc, "b", 1, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "a", 1, "3", 1, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "c", 1, "4", 1, &e), &e);
  /* What is not committed is not on disk, but what it replaces is dead to it. */
  expect(bc, txn, "1:0+16 v a 1\n1:16+16 v a 2\n1:32+15 v b \n1:47+37 t b \n");
  expect(bc, NULL, "1:0+16 v a 1\n1:16+16 v a 2*\n1:32+15 v b \n1:47+37 t b \n");
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  expect(bc, NULL,
         "1:0+16 v a 1\n1:16+16 v a 2\n1:32+15 v b \n1:47+37 t b \n1:84+62 m  \n"
         "1:146+16 v a 3*\n1:162+16 v c 4*\n");
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

/* The file has grown since. */
static void what_came_later_is_left_out(void) {
  char *dir = tempdir_make();
  bitcask *bc = open_dir(dir, true, 0);
  bitcask_snapshot *snap = NULL;
  bitcask_history *h = NULL;
  bitcask_record r;

  put(bc, "a", "1");
  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  put(bc, "b", "2");
  CHECK_OK(bitcask_history_open(snap, &h, &e), &e);
  CHECK_OK(bitcask_history_next(h, &r, &e), &e);
  CHECK_MEM(r.entry.key, r.entry.key_sz, "a", 1);
  CHECK_RC(bitcask_history_next(h, &r, &e), BITCASK_NOTFOUND, &e);
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

static void damage(const char *dir, long offset) {
  char path[512];
  FILE *f;
  int c;

  snprintf(path, sizeof path, "%s/1.bitcask.data", dir);
  f = fopen(path, "r+b");
  fseek(f, offset, SEEK_SET);
  c = fgetc(f);
  fseek(f, offset, SEEK_SET);
  fputc(c ^ 0x55, f);
  fclose(f);
}

static void damage_has_a_row(void) {
  char *dir = tempdir_make();
  bitcask *bc = open_dir(dir, true, 0);

  put(bc, "a", "first");
  put(bc, "b", "second");
  put(bc, "c", "third");
  CHECK_OK(bitcask_sync(bc, &e), &e);
  damage(dir, 20 + 17);
  expect(bc, NULL, "1:0+20 v a first*\n1:20+21 d  \n1:41+20 v c third*\n");
  damage(dir, 41 + 16);
  expect(bc, NULL, "1:0+20 v a first*\n1:20+41 d  \n");
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

/* ------------------------------------------------------------ whole directories */

static uint64_t bytes_of(bitcask *bc) {
  bitcask_file_stat *f;
  uint64_t sum = 0;
  size_t n;
  CHECK_OK(bitcask_files(bc, &f, &n, &e), &e);
  for (size_t i = 0; i < n; i++) sum += f[i].total_bytes;
  bitcask_files_free(f);
  return sum;
}

/* Records in order, side by side, and the live ones are the snapshot's. */
static void check_whole(bitcask *bc) {
  bitcask_snapshot *snap;
  bitcask_history *h;
  bitcask_record r;
  model want = {0}, live = {0};
  uint64_t end = 0, sum = 0;
  uint32_t file_id = 0;
  unsigned n = 0;
  const char *bad;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  bad = model_read(&want, snap);
  if (bad) TEST_FAIL("%s", bad);
  CHECK_OK(bitcask_history_open(snap, &h, &e), &e);
  while (!bitcask_history_next(h, &r, &e)) {
    CHECK(r.entry.file_id >= file_id);
    if (r.entry.file_id != file_id) end = 0;
    CHECK_EQ(r.entry.offset, end);
    CHECK_EQ(r.size, r.entry.total_sz);
    CHECK(r.kind != BITCASK_RECORD_DAMAGED);
    file_id = r.entry.file_id;
    end += r.size;
    sum += r.size;
    n++;
    if (r.is_live) {
      CHECK(!model_get(&live, r.entry.key, r.entry.key_sz));
      model_put(&live, r.entry.key, r.entry.key_sz, r.entry.value, r.entry.value_sz, 0);
    }
  }
  CHECK(n > 0);
  CHECK_EQ(sum, bytes_of(bc));
  CHECK(model_equal(&want, &live));
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
  model_clear(&want);
  model_clear(&live);
}

static void whole(bool mmap) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  char *dir = tempdir_make();
  bitcask *bc = open_dir(dir, mmap, 60000);

  for (unsigned i = 0; i < 1200; i++) {
    commit_three(bc, i);
    if (i % 3 == 0) put(bc, "often", "written");
  }
  check_whole(bc);
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  check_whole(bc);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bc = open_dir(dir, mmap, 60000);
  check_whole(bc);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

static void whole_mapped(void) { whole(true); }
static void whole_read(void) { whole(false); }

/* -------------------------------------------------------------------- structure */

static int keep_text(void *ctx, const bitcask_problem *p) {
  snprintf(ctx, 200, "%u: %s", p->file_id, p->text);
  return 0;
}

static void check_structure(bitcask *bc, const char *want, bool full) {
  char got[200] = "";
  uint64_t n = 0;
  if (full)
    CHECK_OK(bitcask_verify(bc, keep_text, NULL, got, &n, &e), &e);
  else
    CHECK_OK(bitcask_verify_structure(bc, keep_text, NULL, got, &n, &e), &e);
  if (strcmp(got, want)) TEST_FAIL("the problem is '%s', not '%s'", got, want);
  CHECK_EQ(n != 0, want[0] != 0);
}

static void structure(void) {
  char *dir = tempdir_make(), path[512];
  bitcask *bc = open_dir(dir, true, 100);
  FILE *f;

  for (int i = 0; i < 10; i++) put(bc, i % 2 ? "odd" : "even", "some twenty bytes of it");
  check_structure(bc, "", false);
  check_structure(bc, "", true);
  /* A damaged value is nothing that the structure tells. */
  damage(dir, 30);
  check_structure(bc, "", false);
  check_structure(bc, "1: 41 bytes are damaged", true);
  damage(dir, 30);

  snprintf(path, sizeof path, "%s/2.bitcask.hint", dir);
  f = fopen(path, "w");
  fputs("not a hint", f);
  fclose(f);
  check_structure(bc, "2: the hint file does not fit the data file", false);
  unlink(path);
  check_structure(bc, "", false);

  snprintf(path, sizeof path, "%s/3.bitcask.data", dir);
  unlink(path);
  check_structure(bc, "3: the file is missing", false);
  check_structure(bc, "3: the file is missing", true);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

/* A merge in between is no damage. */
static int merge_once(void *ctx) {
  static bool done;
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  if (!done) CHECK_OK(bitcask_merge(ctx, &all, NULL, &e), &e);
  done = true;
  return 0;
}

static void structure_beside_a_merge(void) {
  char *dir = tempdir_make();
  bitcask *bc = open_dir(dir, true, 100);
  bitcask_error err;
  uint64_t n = 0;

  for (int i = 0; i < 10; i++) put(bc, i % 2 ? "odd" : "even", "some twenty bytes of it");
  CHECK_OK(bitcask_verify(bc, NULL, merge_once, bc, &n, &err), &err);
  CHECK_EQ(n, 0);
  CHECK_OK(bitcask_close(bc, &e), &e);
  tempdir_remove(dir);
}

int main(void) {
  RUN(records);
  RUN(what_came_later_is_left_out);
  RUN(damage_has_a_row);
  RUN(whole_mapped);
  RUN(whole_read);
  RUN(structure);
  RUN(structure_beside_a_merge);
  return test_done();
}
