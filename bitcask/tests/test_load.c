/*
** test_load.c - what is loaded from the directories of table F and L of the
** reference's interop cases: cut, zeroed and flipped data files, wrong hints,
** tombstones of every version, order, and strange names.
**
** Each test is named after its case.  The files are made by craft.c.
*/
#include "test.h"

#include "craft.h"
#include "engine.h"
#include "oom.h"

#include <limits.h>
#include <sys/wait.h>
#include <time.h>

/* a=1 b=2 c=3, 16 bytes each. */
static void three(craft *c) {
  craft_put(c, 100, "a", "1");
  craft_put(c, 100, "b", "2");
  craft_put(c, 100, "c", "3");
}

enum { RECORD_SZ = 16, THREE_SZ = 3 * RECORD_SZ };

/* The three records with `cut` bytes missing at the end. */
static void check_cut(size_t cut, craft_hint_kind kind, const char *want, int64_t want_size) {
  const char *dir = craft_dir();
  craft c = {0};

  three(&c);
  c.data_sz -= cut;
  craft_save(&c, dir, 1, kind);
  CHECK_DIR(dir, want);
  CHECK_EQ(craft_size(dir, "1.bitcask.data"), want_size);
  craft_clear(&c);
}

static void L1_data_cut_without_hint(void) {
  static const size_t cuts[] = {1, 2, 4, 5, 12, 14, 15};

  for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
    check_cut(cuts[i], CRAFT_NO_HINT, "a=1 b=2", 2 * RECORD_SZ);
  }
  check_cut(16, CRAFT_NO_HINT, "a=1 b=2", 2 * RECORD_SZ);
  check_cut(17, CRAFT_NO_HINT, "a=1", RECORD_SZ);
  check_cut(THREE_SZ - 1, CRAFT_NO_HINT, "", 0);
}

static void L2_data_cut_by_one_with_hint(void) {
  check_cut(1, CRAFT_HINT, "a=1 b=2 c=!corrupt", THREE_SZ - 1);
}

static void L3_data_cut_with_hint(void) {
  check_cut(2, CRAFT_HINT, "a=1 b=2 c=!corrupt", THREE_SZ - 2);
  check_cut(5, CRAFT_HINT, "a=1 b=2 c=!corrupt", THREE_SZ - 5);
  check_cut(16, CRAFT_HINT, "a=1 b=2 c=!corrupt", THREE_SZ - 16);
}

static void L4_data_cut_into_two_records_with_hint(void) {
  check_cut(17, CRAFT_HINT, "a=1 b=!corrupt c=!corrupt", THREE_SZ - 17);
  check_cut(18, CRAFT_HINT, "a=1 b=!corrupt c=!corrupt", THREE_SZ - 18);
}

static void L5_zero_tails(void) {
  static const size_t zeros[] = {1, 7, 13, 14, 28, 4096, 70000};

  for (size_t i = 0; i < sizeof zeros / sizeof zeros[0]; i++) {
    const char *dir = craft_dir();
    craft c = {0};

    three(&c);
    craft_zeros(&c, zeros[i]);
    craft_save(&c, dir, 1, CRAFT_NO_HINT);
    CHECK_DIR(dir, "a=1 b=2 c=3");
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), THREE_SZ);
    craft_clear(&c);
  }
}

static void L6_zero_records_before_a_good_one(void) {
  static const size_t counts[] = {1, 19, 20, 21, 500};

  for (size_t i = 0; i < sizeof counts / sizeof counts[0]; i++) {
    const char *dir = craft_dir();
    craft c = {0};

    craft_put(&c, 100, "a", "1");
    craft_zeros(&c, counts[i] * CRAFT_HEADER_SZ);
    craft_put(&c, 100, "b", "2");
    craft_save(&c, dir, 1, CRAFT_NO_HINT);
    CHECK_DIR(dir, "a=!corrupt b=2(doubt)");
    craft_clear(&c);
  }
}

static void L7_value_flip_without_hint(void) {
  const char *dir = craft_dir();
  craft c = {0};

  three(&c);
  c.data[2 * RECORD_SZ - 1] ^= 1;
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  CHECK_DIR(dir, "a=1 b=!corrupt c=3");
  craft_clear(&c);
}

/* The hint is right about everything but the value, which is not in it. */
static void L7_value_flip_with_hint(void) {
  const char *dir = craft_dir();
  craft c = {0};
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  int rc;

  three(&c);
  c.data[2 * RECORD_SZ - 1] ^= 1;
  craft_save(&c, dir, 1, CRAFT_HINT);
  bc = craft_open_rw(dir);
  rc = bitcask_get(bc, "b", 1, &value, &e);
  CHECK(rc == BITCASK_CORRUPT || rc == BITCASK_NOTFOUND);
  if (rc == BITCASK_CORRUPT) {
    CHECK_EQ(e.file_id, 1);
    CHECK_EQ(e.offset, RECORD_SZ);
    CHECK_TEXT(craft_dump(bc), "a=1 b=!corrupt c=3");
  }
  CHECK_OK(bitcask_get(bc, "a", 1, &value, &e), &e);
  CHECK_MEM(value.data, value.size, "1", 1);
  CHECK_OK(bitcask_get(bc, "c", 1, &value, &e), &e);
  CHECK_MEM(value.data, value.size, "3", 1);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
  craft_clear(&c);
}

/* Without a hint, and with a crashed writer's open one. */
static void check_bad_length(size_t field_pos, uint32_t length, size_t field_sz) {
  for (int kind = 0; kind < 2; kind++) {
    const char *dir = craft_dir();
    size_t n_wrong = 0;
    bool is_one_byte;
    uint8_t was[4];
    craft c = {0};

    three(&c);
    craft_put(&c, 100, "d", "4");
    memcpy(was, c.data + RECORD_SZ + field_pos, field_sz);
    if (field_sz == 2) {
      craft_put_u16(c.data + RECORD_SZ + field_pos, length);
    } else {
      craft_put_u32(c.data + RECORD_SZ + field_pos, length);
    }
    for (size_t i = 0; i < field_sz; i++) n_wrong += c.data[RECORD_SZ + field_pos + i] != was[i];
    is_one_byte = n_wrong == 1;
    craft_save(&c, dir, 1, kind ? CRAFT_OPEN_HINT : CRAFT_NO_HINT);
    /* One byte is put right; with two of them wrong anybody's record may have been there. */
    CHECK_DIR(dir, is_one_byte ? "a=1 b=!corrupt c=3 d=4" : "a=!corrupt c=3 d=4(doubt)");
    craft_clear(&c);
  }
}

static void L8_bad_length_in_the_middle(void) {
  static const uint32_t value_lengths[] = {0, 2, 17, 0x7fffffff, 0x80000000, 0xffffffff};
  static const uint32_t key_lengths[] = {0, 2, 0x7fff, 0xffff};

  for (size_t i = 0; i < sizeof value_lengths / sizeof value_lengths[0]; i++) {
    check_bad_length(10, value_lengths[i], 4);
  }
  for (size_t i = 0; i < sizeof key_lengths / sizeof key_lengths[0]; i++) {
    check_bad_length(8, key_lengths[i], 2);
  }
}

/* has_hint of file 1. */
static bool hint_is_valid(const char *dir) {
  bitcask *bc = craft_open_ro(dir);
  bitcask_file_stat *files = NULL;
  bitcask_error e = {0};
  size_t n = 0;
  bool valid;

  CHECK_OK(bitcask_files(bc, &files, &n, &e), &e);
  CHECK(n >= 1 && files[0].file_id == 1);
  valid = n >= 1 && files[0].has_hint;
  bitcask_files_free(files);
  CHECK_OK(bitcask_close(bc, &e), &e);
  return valid;
}

/* A hint that is not what a clean close writes: the data is scanned, and a
** writer mends the hint of a file that stays sealed (2 is the active one). */
static void check_invalid_hint(const uint8_t *hint, size_t hint_sz) {
  const char *dir = craft_dir();
  craft c = {0}, next = {0};

  three(&c);
  craft_save_pair(dir, 1, c.data, c.data_sz, hint, hint_sz);
  craft_put(&next, 100, "z", "26");
  craft_save(&next, dir, 2, CRAFT_NO_HINT);
  CHECK(!hint_is_valid(dir));
  CHECK_DIR(dir, "a=1 b=2 c=3 z=26");
  CHECK(hint_is_valid(dir));
  craft_clear(&c);
  craft_clear(&next);
}

static void L9_invalid_hints(void) {
  craft c = {0};
  uint8_t *hint, *copy;
  size_t n;

  three(&c);
  hint = craft_finish_hint(&c, &n);
  copy = malloc(n + 1);
  check_invalid_hint(hint, 0);
  check_invalid_hint(hint, n - CRAFT_TRAILER_SZ);
  check_invalid_hint(hint, n - 1);
  check_invalid_hint(hint, 5);
  memcpy(copy, hint, n);
  copy[n] = 0;
  check_invalid_hint(copy, n + 1);
  for (size_t i = 0; i < n; i++) {
    /* The trailer's top bit alone may have either value (L10). */
    memcpy(copy, hint, n);
    copy[i] ^= i == n - 8 ? 0x01 : 0x80;
    check_invalid_hint(copy, n);
  }
  free(copy);
  free(hint);
  craft_clear(&c);
}

static void L9_hint_is_a_directory(void) {
  const char *dir = craft_dir();
  char path[PATH_MAX];
  craft c = {0};

  three(&c);
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  snprintf(path, sizeof path, "%s/1.bitcask.hint", dir);
  CHECK_EQ(mkdir(path, 0777), 0);
  CHECK_DIR(dir, "a=1 b=2 c=3");
  craft_clear(&c);
}

static void L10_old_trailer_offset(void) {
  const char *dir = craft_dir();
  craft c = {0};
  uint8_t *hint;
  size_t n;

  three(&c);
  hint = craft_finish_hint(&c, &n);
  memset(hint + n - 8, 0xff, 8);
  craft_save_pair(dir, 1, c.data, c.data_sz, hint, n);
  CHECK(hint_is_valid(dir));
  CHECK_DIR(dir, "a=1 b=2 c=3");
  free(hint);
  craft_clear(&c);
}

/* A valid checksum, but entries that do not cover the data. */
static void check_wrong_hint(craft *c, const char *want) {
  const char *dir = craft_dir();

  craft_save(c, dir, 1, CRAFT_HINT);
  CHECK_DIR(dir, want);
  craft_clear(c);
}

static void L11_hint_of_a_trailer_only(void) {
  craft c = {0};

  three(&c);
  c.hint_sz = 0;
  check_wrong_hint(&c, "a=1 b=2 c=3");
}

static void L12_hint_omits_records(void) {
  enum { ENTRY_SZ = CRAFT_HINT_ENTRY_SZ + 1 };
  craft last = {0}, first = {0}, middle = {0};

  three(&last);
  last.hint_sz -= ENTRY_SZ;
  check_wrong_hint(&last, "a=1 b=2 c=3");
  three(&first);
  memmove(first.hint, first.hint + ENTRY_SZ, 2 * ENTRY_SZ);
  first.hint_sz -= ENTRY_SZ;
  check_wrong_hint(&first, "a=1 b=2 c=3");
  three(&middle);
  memmove(middle.hint + ENTRY_SZ, middle.hint + 2 * ENTRY_SZ, ENTRY_SZ);
  middle.hint_sz -= ENTRY_SZ;
  check_wrong_hint(&middle, "a=1 b=2 c=3");
}

static void L13_hint_points_beyond_the_data(void) {
  for (uint32_t beyond = 1; beyond <= 2; beyond++) {
    craft c = {0};

    craft_put(&c, 100, "a", "1");
    craft_put(&c, 100, "b", "2");
    c.hint_sz -= CRAFT_HINT_ENTRY_SZ + 1;
    craft_hint_entry(&c, 100, "b", 1, RECORD_SZ + beyond, RECORD_SZ, false);
    check_wrong_hint(&c, "a=1 b=2");
    craft_put(&c, 100, "a", "1");
    craft_put(&c, 100, "b", "2");
    c.hint_sz -= CRAFT_HINT_ENTRY_SZ + 1;
    craft_hint_entry(&c, 100, "b", 1, RECORD_SZ, RECORD_SZ + beyond, false);
    check_wrong_hint(&c, "a=1 b=2");
  }
}

/* A hint of exactly hint_sz bytes: keys of 982 bytes, the last one as long as
** is needed. */
static void check_hint_size(size_t hint_sz) {
  const char *dir = craft_dir();
  bitcask_status_info s = {0};
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};
  char key[4096];
  size_t left = hint_sz - CRAFT_TRAILER_SZ, n = 0;

  while (left) {
    size_t key_sz = left >= 3000 ? 982 : left - CRAFT_HINT_ENTRY_SZ;

    memset(key, 'k', key_sz);
    snprintf(key, sizeof key, "%05zu", n++);
    key[5] = '-';
    craft_record(&c, 100, key, key_sz, "v", 1);
    left -= CRAFT_HINT_ENTRY_SZ + key_sz;
  }
  craft_save(&c, dir, 1, CRAFT_HINT);
  CHECK_EQ(craft_size(dir, "1.bitcask.hint"), hint_sz);
  CHECK(hint_is_valid(dir));
  bc = craft_open_ro(dir);
  CHECK_OK(bitcask_status(bc, &s, &e), &e);
  CHECK_EQ(s.keys, n);
  CHECK(strstr(craft_dump(bc), "!") == NULL);
  CHECK_OK(bitcask_close(bc, &e), &e);
  craft_clear(&c);
}

static void L14_hint_sizes_around_a_chunk(void) {
  static const size_t more[] = {0, 1, 5, 17, 18, 19};

  for (size_t i = 0; i < sizeof more / sizeof more[0]; i++) {
    check_hint_size(65535 + more[i]);
    check_hint_size(65536 + more[i]);
  }
}

static void L15_hint_without_the_tombstone_bit(void) {
  for (int version = 0; version <= 2; version++) {
    const char *dir = craft_dir();
    craft c = {0};
    uint64_t at;

    three(&c);
    at = c.data_sz;
    craft_tombstone(&c, 101, "b", version, 1);
    c.hint_sz -= CRAFT_HINT_ENTRY_SZ + 1;
    craft_hint_entry(&c, 101, "b", 1, (uint32_t)(c.data_sz - at), at, false);
    craft_save(&c, dir, 1, CRAFT_HINT);
    CHECK_DIR(dir, "a=1 c=3");
    craft_clear(&c);
  }
}

static void L16_hint_points_at_another_record(void) {
  craft c = {0};

  craft_put(&c, 100, "k1", "one");
  craft_put(&c, 100, "k2", "two");
  c.hint_sz = 0;
  craft_hint_entry(&c, 100, "k1", 2, 19, 19, false);
  craft_hint_entry(&c, 100, "k2", 2, 19, 19, false);
  check_wrong_hint(&c, "k1=one k2=two");
}

/* The same, with a hint that covers the data: only the key tells. */
static void L16_hint_swaps_two_keys(void) {
  const char *dir = craft_dir();
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};
  int rc;

  craft_put(&c, 100, "k1", "one");
  craft_put(&c, 100, "k2", "two");
  c.hint_sz = 0;
  craft_hint_entry(&c, 100, "k2", 2, 19, 0, false);
  craft_hint_entry(&c, 100, "k1", 2, 19, 19, false);
  craft_save(&c, dir, 1, CRAFT_HINT);
  bc = craft_open_rw(dir);
  rc = bitcask_get(bc, "k1", 2, &value, &e);
  CHECK(rc == BITCASK_CORRUPT || (rc == BITCASK_OK && memcmp(value.data, "one", 3) == 0));
  rc = bitcask_get(bc, "k2", 2, &value, &e);
  CHECK(rc == BITCASK_CORRUPT || (rc == BITCASK_OK && memcmp(value.data, "two", 3) == 0));
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
  craft_clear(&c);
}

static void check_order(craft_hint_kind kind) {
  const char *dir = craft_dir(), *numeric = craft_dir();
  craft c = {0};

  craft_put(&c, 200, "files", "A");
  craft_put(&c, 200, "killed", "A");
  craft_put(&c, 200, "inside", "A");
  craft_put(&c, 100, "inside", "B");
  craft_tombstone(&c, 300, "revived", 2, 1);
  craft_save(&c, dir, 1, kind);
  craft_clear(&c);
  craft_put(&c, 100, "files", "B");
  craft_tombstone(&c, 100, "killed", 2, 1);
  craft_put(&c, 100, "revived", "B");
  craft_save(&c, dir, 2, kind);
  craft_clear(&c);
  CHECK_DIR(dir, "files=B inside=B revived=B");

  craft_put(&c, 200, "k", "nine");
  craft_save(&c, numeric, 9, kind);
  craft_clear(&c);
  craft_put(&c, 100, "k", "ten");
  craft_save(&c, numeric, 10, kind);
  craft_clear(&c);
  CHECK_DIR(numeric, "k=ten");
}

static void L17_position_decides(void) {
  check_order(CRAFT_HINT);
  check_order(CRAFT_NO_HINT);
  check_order(CRAFT_OPEN_HINT);
}

static void check_tombstones(craft_hint_kind kind) {
  const char *dir = craft_dir();
  craft c = {0};

  three(&c);
  craft_put(&c, 100, "d", "4");
  craft_put(&c, 100, "e", "5");
  craft_save(&c, dir, 1, kind);
  craft_clear(&c);
  craft_tombstone(&c, 100, "a", 0, 0);
  craft_tombstone(&c, 100, "b", 1, 1);
  craft_tombstone(&c, 100, "c", 2, 1);
  craft_tombstone(&c, 100, "d", 2, 99);
  craft_save(&c, dir, 2, kind);
  craft_clear(&c);
  CHECK_DIR(dir, "e=5");
}

static void L18_tombstone_versions(void) {
  check_tombstones(CRAFT_HINT);
  check_tombstones(CRAFT_NO_HINT);
}

static void L19_time_ids(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};

  three(&c);
  craft_save(&c, dir, 1299999999, CRAFT_NO_HINT);
  craft_clear(&c);
  craft_tombstone(&c, 1300000005, "b", 0, 0);
  craft_put(&c, 1300000005, "d", "4");
  craft_save(&c, dir, 1300000005, CRAFT_NO_HINT);
  craft_clear(&c);
  CHECK_DIR(dir, "a=1 c=3 d=4");
  craft_options(&o);
  o.max_file_size = 1;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_put(bc, "a", 1, "new", 3, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_EQ(craft_highest_id(dir), 1300000006);
  CHECK_DIR(dir, "a=new c=3 d=4");
}

static void put_one(const char *dir, const char *key, const char *value) {
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(dir);

  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void L20_names_that_stop_the_reference(void) {
  static const char *const names[] = {"foo.bitcask.data", "2.foo.data", "x.y.data",
                                      "-1.bitcask.data", "4294967296.bitcask.data"};
  const char *dir = craft_dir();
  craft c = {0}, stray = {0};

  three(&c);
  craft_save(&c, dir, 1, CRAFT_HINT);
  craft_put(&stray, 100, "stray", "1");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    craft_write_file(dir, names[i], stray.data, stray.data_sz);
  }
  CHECK_DIR(dir, "a=1 b=2 c=3");
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    CHECK_EQ(craft_size(dir, names[i]), (int64_t)stray.data_sz);
  }
  bitcask_close(craft_open_ro(dir), NULL);
  CHECK(strstr(craft_log, "foo.bitcask.data") != NULL);
  put_one(dir, "d", "4");
  CHECK_DIR(dir, "a=1 b=2 c=3 d=4");
  craft_clear(&c);
  craft_clear(&stray);
}

static void L21_names_that_the_reference_ignores(void) {
  static const char *const names[] = {
      "README",         "1.bitcask.data.bak", "1.data",          "a.b.c.data",
      "5.bitcask.hint", "1.bitcask.data.new", "1.bitcask.hintx", ".hidden"};
  const char *dir = craft_dir();
  craft c = {0}, stray = {0};
  uint8_t *hint;
  size_t n;

  three(&c);
  craft_save(&c, dir, 1, CRAFT_HINT);
  craft_put(&stray, 100, "stray", "1");
  hint = craft_finish_hint(&stray, &n);
  for (size_t i = 0; i < sizeof names / sizeof names[0]; i++) {
    craft_write_file(dir, names[i], hint, n);
  }
  CHECK_DIR(dir, "a=1 b=2 c=3");
  put_one(dir, "d", "4");
  CHECK(craft_highest_id(dir) >= 6);
  CHECK_DIR(dir, "a=1 b=2 c=3 d=4");
  CHECK_EQ(craft_size(dir, "README"), (int64_t)n);
  CHECK_EQ(craft_size(dir, "1.bitcask.data.bak"), (int64_t)n);
  free(hint);
  craft_clear(&c);
  craft_clear(&stray);
}

static void L22_leading_zeros(void) {
  const char *dir = craft_dir();
  const char *got;
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 100, "seven", "7");
  craft_write_file(dir, "007.bitcask.data", c.data, c.data_sz);
  bc = craft_open_ro(dir);
  got = craft_dump(bc);
  CHECK(strcmp(got, "") == 0 || strcmp(got, "seven=7") == 0);
  CHECK_OK(bitcask_close(bc, NULL), &(bitcask_error){0});
  put_one(dir, "d", "4");
  CHECK_EQ(craft_size(dir, "007.bitcask.data"), (int64_t)c.data_sz);
  craft_clear(&c);
}

static void L23_last_file_id(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};

  three(&c);
  craft_save(&c, dir, UINT32_MAX, CRAFT_HINT);
  CHECK_DIR(dir, "a=1 b=2 c=3");
  bc = craft_open_rw(dir);
  CHECK(bitcask_put(bc, "d", 1, "4", 1, &e) != BITCASK_OK);
  CHECK(e.text[0] != 0);
  CHECK_TEXT(craft_dump(bc), "a=1 b=2 c=3");
  CHECK_OK(bitcask_close(bc, &e), &e);
  CHECK_EQ(craft_size(dir, "0.bitcask.data"), -1);
  CHECK_DIR(dir, "a=1 b=2 c=3");
  craft_clear(&c);
}

/* The bit is before the stable position, so it is rot and not a transaction that
** was never committed: every record still counts, and nothing is cut. */
static void D9_rot_in_the_end_of_a_large_commit(void) {
  const size_t big = (size_t)64 << 20;
  const char *dir = craft_dir();
  uint8_t *value = calloc(1, big), *data;
  bitcask_options o;
  bitcask_error e = {0};
  bitcask_entry entry;
  bitcask_snapshot *snap;
  bitcask_txn *txn;
  bitcask *bc;
  size_t n;

  craft_options(&o);
  o.sync = BITCASK_SYNC_FULL;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_put(bc, "before", 6, "0", 1, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "big", 3, value, big, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "small", 5, "1", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_put(bc, "after", 5, "2", 1, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  data = craft_read_file(dir, "1.bitcask.data", &n);
  data[n - 20 - 5] ^= 1; /* the END marker's last field; "after" has 20 bytes */
  craft_write_file(dir, "1.bitcask.data", data, n);
  for (int rw = 0; rw < 2; rw++) {
    bc = rw ? craft_open_rw(dir) : craft_open_ro(dir);
    if (rw) CHECK_OK(bitcask_put(bc, "more", 4, "3", 1, &e), &e);
    CHECK(strstr(craft_log, "damaged") != NULL);
    CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
    CHECK_EQ(bitcask_snapshot_count(snap), 4 + rw);
    CHECK_OK(bitcask_snapshot_get(snap, "big", 3, NULL, &entry, &e), &e);
    CHECK_EQ(entry.value_sz, big);
    bitcask_snapshot_close(snap);
    CHECK_OK(bitcask_close(bc, &e), &e);
  }
  free(value);
  free(data);
}

/* Every record of a batch is valid, and yet one is not what was written there: the CRC of the
** batch tells.  Nobody knows which one it is, so none is believed, and no older value. */
static void another_record_in_a_batch(void) {
  const char *dir = craft_dir();
  bitcask *bc = craft_open_rw(dir);
  bitcask_error e = {0};
  bitcask_txn *txn;
  uint8_t *data;
  size_t n;

  CHECK_OK(bitcask_put(bc, "a", 1, "1", 1, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "a", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "b", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_put(bc, "c", 1, "3", 1, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  data = craft_read_file(dir, "1.bitcask.data", &n);
  memcpy(data + n - 3 * RECORD_SZ, data, RECORD_SZ);
  craft_write_file(dir, "1.bitcask.data", data, n);
  craft_remove(dir, "bitcask.state"); /* all of it is taken for stable */
  CHECK_DIR(dir, "a=!corrupt b=!corrupt c=3(doubt)");
  free(data);
}

/* A value is damaged, and behind the damage it holds what is a record.  The lengths are right and
** lead behind the value, so the search does not come to that one. */
static void record_in_a_damaged_value(void) {
  const char *dir = craft_dir();
  craft c = {0}, inner = {0};

  craft_zeros(&inner, 100);
  craft_put(&inner, 100, "x", "never a value of x");
  craft_put(&c, 100, "a", "1");
  craft_record(&c, 100, "v", 1, inner.data, inner.data_sz);
  craft_put(&c, 100, "z", "3");
  c.data[RECORD_SZ + 30] ^= 1;
  c.data[RECORD_SZ + 60] ^= 1;
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  CHECK_DIR(dir, "a=!corrupt z=3(doubt)");
  craft_clear(&inner);
  craft_clear(&c);
}

static void put_long(craft *c, char key, size_t total_sz, char byte) {
  uint8_t value[1024];
  size_t n = total_sz - CRAFT_HEADER_SZ - 1;

  memset(value, byte, n);
  craft_record(c, 100, &key, 1, value, n);
}

/* A sector of the disk has got what is in another one.  It begins within a record and ends with
** one, as the other does: so only its beginning does not fit.  But all of it is doubtful, or an
** older value of k would be the newest. */
static void sector_of_another_place(void) {
  const char *dir = craft_dir();
  craft c = {0};

  put_long(&c, 'x', 600, 'x'); /* 88 bytes of it in the sector at 512 */
  put_long(&c, 'k', 24, '1');
  put_long(&c, 'f', 400, 'f');
  put_long(&c, 'y', 600, 'y'); /* 88 bytes of it in the sector at 1536 */
  put_long(&c, 'k', 24, '2');
  put_long(&c, 'g', 400, 'g');
  craft_put(&c, 100, "z", "3");
  memcpy(c.data + 1536, c.data + 512, 512);
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  CHECK_DIR(dir, "f=!corrupt k=!corrupt x=!corrupt z=3(doubt)");
  craft_clear(&c);
}

/* Whether a key was deleted before the damage or written in it nobody knows, until it is deleted
** once more. */
static void deletion_ends_a_doubt(void) {
  const char *dir = craft_dir();
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 100, "x", "1");
  craft_tombstone(&c, 100, "x", 1, 1);
  craft_zeros(&c, 40);
  craft_put(&c, 100, "z", "3");
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  bc = craft_open_rw(dir);
  CHECK_RC(bitcask_get(bc, "x", 1, &value, &e), BITCASK_CORRUPT, &e);
  CHECK_OK(bitcask_delete(bc, "x", 1, &e), &e);
  CHECK_RC(bitcask_get(bc, "x", 1, &value, &e), BITCASK_NOTFOUND, &e);
  CHECK_RC(bitcask_get(bc, "w", 1, &value, &e), BITCASK_NOTFOUND, &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
  craft_clear(&c);
}

/* A checkpoint would say of a key in doubt that it is where an older value is. */
static void no_checkpoint_of_a_doubt(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc;
  craft c = {0};

  craft_put(&c, 100, "a", "1");
  craft_zeros(&c, 40);
  craft_put(&c, 100, "z", "3");
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  for (int i = 0; i < 2; i++) {
    bc = craft_open_rw(dir);
    bc_save_early(bc);
    CHECK_OK(bitcask_put(bc, "w", 1, "2", 1, &e), &e);
    CHECK_OK(bitcask_close(bc, &e), &e);
    CHECK_EQ(craft_size(dir, "bitcask.keydir"), -1);
  }
  CHECK_DIR(dir, "a=!corrupt w=2 z=3(doubt)");
  craft_clear(&c);
}

/* Somebody cuts a file that is open and read without a mapping: what is not there is not made up,
** be no CRC looked at. */
static void cut_while_it_is_open(void) {
  const char *dir = craft_dir();
  bitcask_buf value = {0};
  bitcask_options o;
  bitcask_error e = {0};
  char path[4096];
  bitcask *bc;

  craft_options(&o);
  o.mmap = o.verify = false;
  bc = craft_open(dir, &o);
  CHECK_OK(bitcask_put(bc, "k", 1, (char[3000]){1}, 3000, &e), &e);
  CHECK_OK(bitcask_get(bc, "k", 1, &value, &e), &e);
  snprintf(path, sizeof path, "%s/1.bitcask.data", dir);
  CHECK_EQ(truncate(path, 2000), 0);
  CHECK_RC(bitcask_get(bc, "k", 1, &value, &e), BITCASK_CORRUPT, &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bitcask_buf_free(&value);
}

/* Files 1 to 4, not synced, with records a to e, f and g, h and i, j; then the power
** fails, and g is lost. */
static const char *cut_by_power(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  uint8_t *page, *data;
  size_t n;
  pid_t pid;

  craft_options(&o);
  o.max_file_size = 110;
  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    bitcask *bc = craft_open(dir, &o);
    for (char key[2] = "a"; key[0] <= 'j'; key[0]++) {
      if (bitcask_put(bc, key, 1, "value", 5, NULL)) _exit(1);
    }
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  page = craft_read_file(dir, "bitcask.state", &n);
  page[16] ^= 1; /* the boot */
  craft_write_file(dir, "bitcask.state", page, n);
  data = craft_read_file(dir, "2.bitcask.data", &n);
  craft_write_file(dir, "2.bitcask.data", data, n - (CRAFT_HEADER_SZ + 1 + 5));
  CHECK_EQ(craft_highest_id(dir), 4);
  free(page);
  free(data);
  return dir;
}

/* A power cut has lost the second of three records that were not synced.  The log ends before it;
** the third one is cut off, and kept beside the file. */
static void records_behind_the_end_are_kept(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  uint8_t *page, *data, *kept;
  size_t n, n_kept;
  bitcask *bc;
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    bc = craft_open_rw(dir);
    for (char key[2] = "a"; key[0] <= 'c'; key[0]++) {
      if (bitcask_put(bc, key, 1, "1", 1, NULL)) _exit(1);
    }
    _exit(0);
  }
  CHECK_EQ(waitpid(pid, NULL, 0), pid);
  page = craft_read_file(dir, "bitcask.state", &n);
  page[16] ^= 1; /* the boot */
  craft_write_file(dir, "bitcask.state", page, n);
  data = craft_read_file(dir, "1.bitcask.data", &n);
  CHECK_EQ(n, 3 * RECORD_SZ);
  memset(data + RECORD_SZ, 0, RECORD_SZ);
  craft_write_file(dir, "1.bitcask.data", data, n);
  bc = craft_open_rw(dir);
  CHECK_OK(bitcask_put(bc, "d", 1, "1", 1, &e), &e);
  CHECK_TEXT(craft_dump(bc), "a=1 d=1");
  CHECK_OK(bitcask_close(bc, &e), &e);
  kept = craft_read_file(dir, "1.bitcask.data.cut-16", &n_kept);
  CHECK_MEM(kept, n_kept, data + RECORD_SZ, n - RECORD_SZ);
  free(page);
  free(data);
  free(kept);
}

/* Files 3 and 4 lie behind the end of the log, even if there is something that has
** the name of a hint: it would have to be valid to show that its file was synced. */
static void stranded_files(void) {
  for (int junk = 0; junk < 2; junk++) {
    const char *dir = cut_by_power();
    alarm(60); /* it was looked at again and again */
    if (junk) craft_write_file(dir, "3.bitcask.hint", "junk", 4);
    CHECK_DIR(dir, "a=value b=value c=value d=value e=value f=value");
    CHECK_EQ(craft_size(dir, "3.bitcask.data"), -1);
    CHECK_EQ(craft_size(dir, "4.bitcask.data"), -1);
    CHECK_EQ(craft_count_files(dir, "data.cut-0"), 2);
    /* A hint without its data file keeps basho/bitcask out. */
    CHECK_EQ(craft_size(dir, "3.bitcask.hint"), -1);
    alarm(0);
  }
}

/* A file that has something of a hint's name is basho/bitcask's and is not continued,
** also if memory runs out when that name is looked for: then there is an error. */
static void foreign_without_memory(void) {
  uint64_t nth = 0, n_made;
  unsigned n_failed = 0;

  CHECK(oom_is_linked());
  do {
    const char *dir = craft_dir();
    bitcask_options o;
    bitcask_error e = {0};
    bitcask *bc = NULL;
    craft c = {0};
    int rc;

    craft_options(&o);
    three(&c);
    craft_save(&c, dir, 1, CRAFT_OPEN_HINT);
    oom_arm(++nth);
    oom_enter();
    rc = bitcask_open(dir, &o, &bc, &e);
    oom_leave();
    n_made = oom_count();
    oom_arm(0);
    CHECK(rc == BITCASK_OK || rc == BITCASK_NOMEM);
    n_failed += rc != BITCASK_OK;
    if (!rc) CHECK_OK(bitcask_put(bc, "d", 1, "4", 1, &e), &e);
    CHECK_OK(bitcask_close(bc, &e), &e);
    CHECK_EQ(craft_size(dir, "1.bitcask.data"), THREE_SZ);
    craft_clear(&c);
  } while (n_made >= nth && !test_bad);
  CHECK(n_failed > 10);
}

int main(void) {
  RUN(L1_data_cut_without_hint);
  RUN(L2_data_cut_by_one_with_hint);
  RUN(L3_data_cut_with_hint);
  RUN(L4_data_cut_into_two_records_with_hint);
  RUN(L5_zero_tails);
  RUN(L6_zero_records_before_a_good_one);
  RUN(L7_value_flip_without_hint);
  RUN(L7_value_flip_with_hint);
  RUN(L8_bad_length_in_the_middle);
  RUN(L9_invalid_hints);
  RUN(L9_hint_is_a_directory);
  RUN(L10_old_trailer_offset);
  RUN(L11_hint_of_a_trailer_only);
  RUN(L12_hint_omits_records);
  RUN(L13_hint_points_beyond_the_data);
  RUN(L14_hint_sizes_around_a_chunk);
  RUN(L15_hint_without_the_tombstone_bit);
  RUN(L16_hint_points_at_another_record);
  RUN(L16_hint_swaps_two_keys);
  RUN(L17_position_decides);
  RUN(L18_tombstone_versions);
  RUN(L19_time_ids);
  RUN(L20_names_that_stop_the_reference);
  RUN(L21_names_that_the_reference_ignores);
  RUN(L22_leading_zeros);
  RUN(L23_last_file_id);
  RUN(D9_rot_in_the_end_of_a_large_commit);
  RUN(another_record_in_a_batch);
  RUN(record_in_a_damaged_value);
  RUN(sector_of_another_place);
  RUN(deletion_ends_a_doubt);
  RUN(no_checkpoint_of_a_doubt);
  RUN(cut_while_it_is_open);
  RUN(records_behind_the_end_are_kept);
  RUN(stranded_files);
  RUN(foreign_without_memory);
  return test_done();
}
