/*
** test_format.c - the records we write and read: table F of the reference's
** interop cases, compared byte by byte with craft.c's encoder.
*/
#include "test.h"

#include "craft.h"

enum { MAX_KEY_SZ = 65535 };

static void put(bitcask *bc, const void *key, size_t key_sz, const void *value, size_t value_sz) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_put(bc, key, key_sz, value, value_sz, &e), &e);
}

static void check_get(bitcask *bc, const void *key, size_t key_sz, const void *value,
                      size_t value_sz) {
  bitcask_buf got = {0};
  bitcask_error e = {0};

  CHECK_OK(bitcask_get(bc, key, key_sz, &got, &e), &e);
  CHECK_MEM(got.data, got.size, value, value_sz);
  bitcask_buf_free(&got);
}

static void check_data(const char *dir, uint32_t id, const craft *want) {
  size_t n;
  uint8_t *got = craft_read_file(dir, craft_name(id, "data"), &n);

  CHECK_MEM(got, n, want->data, want->data_sz);
  free(got);
}

static void check_hint(const char *dir, uint32_t id, const craft *want) {
  size_t n, n_want;
  uint8_t *got = craft_read_file(dir, craft_name(id, "hint"), &n);
  uint8_t *hint = craft_finish_hint(want, &n_want);

  CHECK_MEM(got, n, hint, n_want);
  free(hint);
  free(got);
}

static void close_ok(bitcask *bc) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_close(bc, &e), &e);
}

static const uint8_t binary_key[] = {0, 0xff, 0, 1, 0x80};
static const uint8_t binary_value[] = {0xff, 0, 0, 0x7f, 0xfe};

static void F2_extreme_keys_and_values_written(void) {
  const char *dir = craft_dir();
  uint8_t *long_key = malloc(MAX_KEY_SZ);
  bitcask *bc;
  craft c = {0};

  craft_now = 1000000000;
  memset(long_key, 0xab, MAX_KEY_SZ);
  bc = craft_open_rw(dir);
  put(bc, "", 0, "empty key", 9);
  put(bc, "empty value", 11, "", 0);
  put(bc, long_key, MAX_KEY_SZ, "long key", 8);
  put(bc, binary_key, sizeof binary_key, binary_value, sizeof binary_value);
  put(bc, "\0", 1, "\0", 1);
  craft_record(&c, 1000000000, "", 0, "empty key", 9);
  craft_record(&c, 1000000000, "empty value", 11, "", 0);
  craft_record(&c, 1000000000, long_key, MAX_KEY_SZ, "long key", 8);
  craft_record(&c, 1000000000, binary_key, sizeof binary_key, binary_value, sizeof binary_value);
  craft_record(&c, 1000000000, "\0", 1, "\0", 1);
  check_data(dir, 1, &c);
  for (int reopened = 0; reopened < 2; reopened++) {
    check_get(bc, "", 0, "empty key", 9);
    check_get(bc, "empty value", 11, "", 0);
    check_get(bc, long_key, MAX_KEY_SZ, "long key", 8);
    check_get(bc, binary_key, sizeof binary_key, binary_value, sizeof binary_value);
    check_get(bc, "\0", 1, "\0", 1);
    CHECK(strstr(craft_dump(bc), "!") == NULL);
    close_ok(bc);
    bc = craft_open_rw(dir);
  }
  close_ok(bc);
  craft_now = 0;
  craft_clear(&c);
  free(long_key);
}

static void check_timestamps(craft_hint_kind kind) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 0, "oldest", "0");
  craft_put(&c, UINT32_MAX, "newest", "1");
  craft_put(&c, 0, "", "");
  craft_save(&c, dir, 1, kind);
  CHECK_DIR(dir, "= newest=1 oldest=0");
  craft_clear(&c);
}

static void F2_extreme_timestamps_read(void) {
  check_timestamps(CRAFT_HINT);
  check_timestamps(CRAFT_NO_HINT);
}

/* The clock is set back, while a handle is open and while none is: no record is older than the one
** before it, or it would expire first. */
static void F2_time_does_not_run_back(void) {
  const char *dir = craft_dir();
  craft c = {0};

  craft_now = 2000;
  for (int reopened = 0; reopened < 2; reopened++) {
    bitcask *bc = craft_open_rw(dir);
    for (int i = 0; i < 2; i++) {
      put(bc, "k", 1, "v", 1);
      craft_put(&c, 2000, "k", "v");
      craft_now = 1000;
    }
    close_ok(bc);
  }
  check_data(dir, 1, &c);
  craft_now = 0;
  craft_clear(&c);
}

static void F2_key_too_long(void) {
  const char *dir = craft_dir();
  uint8_t *key = calloc(MAX_KEY_SZ + 1, 1);
  bitcask_buf value = {0};
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(dir);

  CHECK_RC(bitcask_put(bc, key, MAX_KEY_SZ + 1, "v", 1, &e), BITCASK_TOOBIG, &e);
  CHECK(e.text[0] != 0);
  CHECK_RC(bitcask_delete(bc, key, MAX_KEY_SZ + 1, &e), BITCASK_TOOBIG, &e);
  CHECK_RC(bitcask_get(bc, key, MAX_KEY_SZ + 1, &value, &e), BITCASK_TOOBIG, &e);
  CHECK_EQ(craft_count_files(dir, "data"), 0);
  /* The handle still works. */
  put(bc, "k", 1, "v", 1);
  CHECK_TEXT(craft_dump(bc), "k=v");
  close_ok(bc);
  bitcask_buf_free(&value);
  free(key);
}

/* The length alone decides: nothing behind the pointer is read. */
static void F2_value_too_long(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(dir);

  CHECK_RC(bitcask_put(bc, "key", 3, "v", UINT32_MAX - 14 - 3 + 1, &e), BITCASK_TOOBIG, &e);
  CHECK_RC(bitcask_put(bc, "key", 3, "v", SIZE_MAX, &e), BITCASK_TOOBIG, &e);
  CHECK_EQ(craft_count_files(dir, "data"), 0);
  close_ok(bc);
}

static void F3_tombstone_prefix_refused(void) {
  static const char *const values[] = {"bitcask_tombstone", "bitcask_tombstone1",
                                       "bitcask_tombstone2xxxx", "bitcask_tombstoneXYZ"};
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc = craft_open_rw(dir);
  int64_t size;

  put(bc, "k", 1, "v", 1);
  put(bc, "short", 5, "bitcask_tombston", 16);
  size = craft_size(dir, "1.bitcask.data");
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    CHECK_RC(bitcask_put(bc, "k", 1, values[i], strlen(values[i]), &e), BITCASK_INVALID, &e);
    CHECK(strstr(e.text, "bitcask_tombstone") != NULL);
  }
  CHECK_TEXT(craft_dump(bc), "k=v short=bitcask_tombston");
  CHECK_EQ(craft_size(dir, "1.bitcask.data"), size);
  close_ok(bc);
  CHECK_DIR(dir, "k=v short=bitcask_tombston");
}

static void check_tombstone_values(craft_hint_kind kind) {
  static const char *const values[] = {"bitcask_tombstone", "bitcask_tombstone1abcd",
                                       "bitcask_tombstone2abcd", "bitcask_tombstoneXYZ"};
  const char *dir = craft_dir();
  craft c = {0};

  craft_put(&c, 100, "value", "bitcask_tombston");
  for (size_t i = 0; i < sizeof values / sizeof values[0]; i++) {
    char key[2] = {(char)('a' + i), 0};

    craft_put(&c, 100, key, "before");
    craft_put(&c, 100, key, values[i]);
  }
  craft_save(&c, dir, 1, kind);
  CHECK_DIR(dir, "value=bitcask_tombston");
  craft_clear(&c);
}

static void F3_tombstone_prefix_read_as_deleted(void) {
  check_tombstone_values(CRAFT_HINT);
  check_tombstone_values(CRAFT_NO_HINT);
}

/* Values of `sizes`, the last one 0, put under one-letter keys. */
static void write_sizes(const char *dir, bitcask_sync_mode sync, uint64_t max_file_size,
                        const size_t *sizes) {
  bitcask_options o;
  bitcask *bc;

  craft_options(&o);
  o.sync = sync;
  o.max_file_size = max_file_size;
  craft_now = 1000000000;
  bc = craft_open(dir, &o);
  for (size_t i = 0; sizes[i]; i++) {
    char key = (char)('a' + i), value[1000];

    memset(value, key, sizeof value);
    put(bc, &key, 1, value, sizes[i]);
  }
  close_ok(bc);
  craft_now = 0;
}

/* Do the values first..last fill exactly this file, sealed or active? */
static void check_roll(const char *dir, uint32_t id, const size_t *sizes, size_t first, size_t last,
                       bool sealed) {
  craft c = {0};

  for (size_t i = first; i <= last; i++) {
    char key = (char)('a' + i), value[1000];

    memset(value, key, sizeof value);
    craft_record(&c, 1000000000, &key, 1, value, sizes[i]);
  }
  check_data(dir, id, &c);
  if (sealed) {
    check_hint(dir, id, &c);
  } else {
    CHECK_EQ(craft_size(dir, craft_name(id, "hint")), -1);
  }
  craft_clear(&c);
}

static void F4_roll_points(void) {
  static const size_t equal[] = {5, 5, 5, 5, 5, 0}, over[] = {5, 6, 5, 0};
  const char *dir = craft_dir();

  write_sizes(dir, BITCASK_SYNC_NORMAL, 40, equal);
  check_roll(dir, 1, equal, 0, 1, true);
  check_roll(dir, 2, equal, 2, 3, true);
  check_roll(dir, 3, equal, 4, 4, false);
  CHECK_EQ(craft_highest_id(dir), 3);
  dir = craft_dir();
  write_sizes(dir, BITCASK_SYNC_NORMAL, 40, over);
  check_roll(dir, 1, over, 0, 0, true);
  check_roll(dir, 2, over, 1, 1, true);
  check_roll(dir, 3, over, 2, 2, false);
  CHECK_EQ(craft_highest_id(dir), 3);
}

/* An overwrite is one record, so that a file never exceeds the limit. */
static void F4_overwrites_keep_the_limit(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask *bc;

  craft_options(&o);
  o.sync = BITCASK_SYNC_NORMAL;
  o.max_file_size = 40;
  bc = craft_open(dir, &o);
  for (int i = 0; i < 6; i++) {
    put(bc, "k", 1, "value", 5);
  }
  close_ok(bc);
  for (uint32_t id = 1; id <= 3; id++) {
    CHECK_EQ(craft_size(dir, craft_name(id, "data")), 40);
  }
  CHECK_EQ(craft_highest_id(dir), 3);
  CHECK_DIR(dir, "k=value");
}

/* Bytes of the marker that a file begins with. */
static size_t marker_size(const uint8_t *data, size_t n) {
  static const char prefix[] = "bitcask_tombstone";
  size_t key_sz, value_sz;

  CHECK(n > CRAFT_HEADER_SZ);
  if (n <= CRAFT_HEADER_SZ) {
    return 0;
  }
  key_sz = (size_t)data[8] << 8 | data[9];
  value_sz = (size_t)data[12] << 8 | data[13];
  CHECK(key_sz > 1 && value_sz > strlen(prefix) && value_sz != 22);
  CHECK(CRAFT_HEADER_SZ + key_sz + value_sz < n);
  CHECK_MEM(data + CRAFT_HEADER_SZ + key_sz, strlen(prefix), prefix, strlen(prefix));
  return CRAFT_HEADER_SZ + key_sz + value_sz;
}

/* Files that are not synced as they are sealed are chained by a marker at the
** beginning of each but the first; the records are the same. */
static void F4_unsynced_files_begin_with_a_marker(void) {
  static const size_t sizes[] = {5, 5, 5, 5, 5, 0};
  const char *dir = craft_dir();
  craft want = {0}, got = {0};
  uint32_t last;

  write_sizes(dir, BITCASK_SYNC_OFF, 40, sizes);
  last = craft_highest_id(dir);
  CHECK(last > 1);
  for (uint32_t id = 1; id <= last; id++) {
    size_t n, skip;
    uint8_t *data = craft_read_file(dir, craft_name(id, "data"), &n);

    skip = id == 1 ? 0 : marker_size(data, n);
    craft_bytes(&got, data + skip, n - skip);
    free(data);
  }
  for (size_t i = 0; sizes[i]; i++) {
    char key = (char)('a' + i), value[5];

    memset(value, key, sizeof value);
    craft_record(&want, 1000000000, &key, 1, value, sizeof value);
  }
  CHECK_MEM(got.data, got.data_sz, want.data, want.data_sz);
  CHECK_DIR(dir, "a=aaaaa b=bbbbb c=ccccc d=ddddd e=eeeee");
  craft_clear(&got);
  craft_clear(&want);
}

static void F5_record_over_the_limit(void) {
  static const size_t sizes[] = {5, 500, 5, 0}, first[] = {500, 5, 0};
  const char *dir = craft_dir();

  write_sizes(dir, BITCASK_SYNC_NORMAL, 40, sizes);
  check_roll(dir, 1, sizes, 0, 0, true);
  check_roll(dir, 2, sizes, 1, 1, true);
  check_roll(dir, 3, sizes, 2, 2, false);
  dir = craft_dir();
  write_sizes(dir, BITCASK_SYNC_NORMAL, 40, first);
  check_roll(dir, 1, first, 0, 0, true);
  check_roll(dir, 2, first, 1, 1, false);
}

static void F6_large_value_without_hint(void) {
  enum { VALUE_SZ = 70 << 20 };
  const char *dir = craft_dir();
  uint8_t *value = malloc(VALUE_SZ);
  bitcask_options o;
  bitcask *bc;
  craft c = {0};

  for (size_t i = 0; i < VALUE_SZ; i++) {
    value[i] = (uint8_t)(i * 31 >> 3);
  }
  craft_put(&c, 100, "before", "1");
  craft_record(&c, 100, "large", 5, value, VALUE_SZ);
  craft_put(&c, 100, "after", "2");
  craft_save(&c, dir, 1, CRAFT_NO_HINT);
  craft_options(&o);
  for (int use_mmap = 0; use_mmap < 2; use_mmap++) {
    o.mmap = use_mmap;
    bc = craft_open(dir, &o);
    check_get(bc, "large", 5, value, VALUE_SZ);
    check_get(bc, "before", 6, "1", 1);
    check_get(bc, "after", 5, "2", 1);
    close_ok(bc);
  }
  craft_clear(&c);
  free(value);
}

int main(void) {
  RUN(F2_extreme_keys_and_values_written);
  RUN(F2_extreme_timestamps_read);
  RUN(F2_time_does_not_run_back);
  RUN(F2_key_too_long);
  RUN(F2_value_too_long);
  RUN(F3_tombstone_prefix_refused);
  RUN(F3_tombstone_prefix_read_as_deleted);
  RUN(F4_roll_points);
  RUN(F4_overwrites_keep_the_limit);
  RUN(F4_unsynced_files_begin_with_a_marker);
  RUN(F5_record_over_the_limit);
  RUN(F6_large_value_without_hint);
  return test_done();
}
