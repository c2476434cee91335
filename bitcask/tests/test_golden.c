/*
** test_golden.c - F1 of the reference's interop cases, the golden vectors: files
** that basho/bitcask 2.1 wrote with a pinned clock are read exactly, and the same
** operations done by us give the bytes below.
**
** Ours differ from the reference's in what DESIGN.md decides: a delete writes a
** version 1 tombstone that names its own file, an overwrite writes none, the
** active file goes on over sessions, and only a sealed file has a hint.  All
** bytes are spelled out, checksums included.
*/
#include "test.h"

#include "craft.h"

/* The reference: session 1. */
static const char ref_1_data[] =
    "c5ea7078 3b9aca01 0001 00000001 6b 76"
    "bae3f693 3b9aca02 0004 00000006 6b657932 76616c756532"
    "1654fa17 3b9aca02 0001 00000008 6b 762d7365636f6e64"
    "1c32eab0 3b9aca02 0004 00000016 6b657932 6269746361736b5f746f6d6273746f6e6532 00000001"
    "50db93cf 3b9aca02 0000 00000000";
/* The same for both: tombstones of versions 1 and 2 have one length. */
static const char hint_1[] = "3b9aca01 0001 00000010 0000000000000000 6b"
                             "3b9aca02 0004 00000018 0000000000000010 6b657932"
                             "3b9aca02 0001 00000017 0000000000000028 6b"
                             "3b9aca02 0004 00000028 800000000000003f 6b657932"
                             "3b9aca02 0000 0000000e 0000000000000067"
                             "00000000 0000 26d96020 7fffffffffffffff";
/* Session 2, which the reference numbered 3. */
static const char ref_3_data[] =
    "d8e82dbd 3b9aca03 0001 00000016 6b 6269746361736b5f746f6d6273746f6e6532 00000001"
    "037932bd 3b9aca03 0001 00000007 6b 762d7468697264"
    "d508112c 3b9aca03 0001 00000003 6b 762d34"
    "26f1ad6f 3b9aca03 0000 00000016    6269746361736b5f746f6d6273746f6e6532 00000001"
    "36e64c91 3b9aca03 0001 00000016 6b 6269746361736b5f746f6d6273746f6e6532 00000003"
    "9bd89d49 3b9aca03 0001 00000002 7a 7a7a";
static const char ref_3_hint[] = "3b9aca03 0001 00000025 8000000000000000 6b"
                                 "3b9aca03 0001 00000016 0000000000000025 6b"
                                 "3b9aca03 0001 00000012 000000000000003b 6b"
                                 "3b9aca03 0000 00000024 800000000000004d"
                                 "3b9aca03 0001 00000025 8000000000000071 6b"
                                 "3b9aca03 0001 00000011 0000000000000096 7a"
                                 "00000000 0000 1d9df7aa 7fffffffffffffff";

/* Ours: session 1, and session 2 in the same file or in file 2. */
static const char our_1_data[] =
    "c5ea7078 3b9aca01 0001 00000001 6b 76"
    "bae3f693 3b9aca02 0004 00000006 6b657932 76616c756532"
    "1654fa17 3b9aca02 0001 00000008 6b 762d7365636f6e64"
    "5b929060 3b9aca02 0004 00000016 6b657932 6269746361736b5f746f6d6273746f6e6531 00000001"
    "50db93cf 3b9aca02 0000 00000000";
static const char our_2_in_file_1[] =
    "037932bd 3b9aca03 0001 00000007 6b 762d7468697264"
    "d508112c 3b9aca03 0001 00000003 6b 762d34"
    "6151d7bf 3b9aca03 0000 00000016    6269746361736b5f746f6d6273746f6e6531 00000001"
    "9f48576d 3b9aca03 0001 00000016 6b 6269746361736b5f746f6d6273746f6e6531 00000001"
    "9bd89d49 3b9aca03 0001 00000002 7a 7a7a";
static const char our_2_in_file_2[] =
    "037932bd 3b9aca03 0001 00000007 6b 762d7468697264"
    "d508112c 3b9aca03 0001 00000003 6b 762d34"
    "f8588605 3b9aca03 0000 00000016    6269746361736b5f746f6d6273746f6e6531 00000002"
    "064106d7 3b9aca03 0001 00000016 6b 6269746361736b5f746f6d6273746f6e6531 00000002"
    "9bd89d49 3b9aca03 0001 00000002 7a 7a7a";
static const char our_2_hint[] = "3b9aca03 0001 00000016 0000000000000000 6b"
                                 "3b9aca03 0001 00000012 0000000000000016 6b"
                                 "3b9aca03 0000 00000024 8000000000000028"
                                 "3b9aca03 0001 00000025 800000000000004c 6b"
                                 "3b9aca03 0001 00000011 0000000000000071 7a"
                                 "00000000 0000 d2038648 7fffffffffffffff";

enum { SESSION_2_SZ = 130 };

static void save_hex(const char *dir, const char *name, const char *hex) {
  size_t n;
  uint8_t *bytes = craft_unhex(hex, &n);

  craft_write_file(dir, name, bytes, n);
  free(bytes);
}

static void check_file(const char *dir, const char *name, const char *hex, const char *more_hex) {
  size_t n_got, n_1, n_2;
  uint8_t *got = craft_read_file(dir, name, &n_got);
  uint8_t *part_1 = craft_unhex(hex, &n_1), *part_2 = craft_unhex(more_hex, &n_2);

  CHECK_EQ(n_got, n_1 + n_2);
  if (n_got == n_1 + n_2) {
    CHECK_MEM(got, n_1, part_1, n_1);
    CHECK_MEM(got + n_1, n_2, part_2, n_2);
  }
  free(got);
  free(part_1);
  free(part_2);
}

static void put(bitcask *bc, const char *key, const char *value) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static void del(bitcask *bc, const char *key) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_delete(bc, key, strlen(key), &e), &e);
}

static bitcask *open_at(const char *dir, int64_t now, uint64_t max_file_size) {
  bitcask_options o;

  craft_options(&o);
  o.sync = BITCASK_SYNC_NORMAL;
  o.max_file_size = max_file_size;
  craft_now = now;
  return craft_open(dir, &o);
}

static void write_session_1(const char *dir) {
  bitcask *bc = open_at(dir, 1000000001, 1 << 20);
  bitcask_error e = {0};

  put(bc, "k", "v");
  craft_now = 1000000002;
  put(bc, "key2", "value2");
  put(bc, "k", "v-second");
  del(bc, "key2");
  put(bc, "", "");
  del(bc, "nokey");
  CHECK_TEXT(craft_dump(bc), "= k=v-second");
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void write_session_2(const char *dir, uint64_t max_file_size) {
  bitcask *bc = open_at(dir, 1000000003, max_file_size);
  bitcask_error e = {0};

  CHECK_TEXT(craft_dump(bc), "= k=v-second");
  put(bc, "k", "v-third");
  put(bc, "k", "v-4");
  del(bc, "");
  del(bc, "k");
  put(bc, "z", "zz");
  CHECK_TEXT(craft_dump(bc), "z=zz");
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void F1_reads_the_reference(void) {
  static const bool with_hints[] = {true, false};

  for (size_t i = 0; i < 2; i++) {
    const char *dir = craft_dir();

    craft_now = 1000000004;
    save_hex(dir, "1.bitcask.data", ref_1_data);
    if (with_hints[i]) {
      save_hex(dir, "1.bitcask.hint", hint_1);
    }
    CHECK_DIR(dir, "= k=v-second");
    save_hex(dir, "3.bitcask.data", ref_3_data);
    if (with_hints[i]) {
      save_hex(dir, "3.bitcask.hint", ref_3_hint);
    }
    CHECK_DIR(dir, "z=zz");
    /* Whatever was repaired, the data and the valid hints are as they were. */
    check_file(dir, "1.bitcask.data", ref_1_data, "");
    check_file(dir, "1.bitcask.hint", hint_1, "");
    check_file(dir, "3.bitcask.data", ref_3_data, "");
    if (with_hints[i]) {
      check_file(dir, "3.bitcask.hint", ref_3_hint, "");
    }
  }
}

/* A file with the reference's hint is sealed: our records go to a new one. */
static void F1_continues_after_the_reference(void) {
  const char *dir = craft_dir();

  save_hex(dir, "1.bitcask.data", ref_1_data);
  save_hex(dir, "1.bitcask.hint", hint_1);
  write_session_2(dir, 1 << 20);
  check_file(dir, "1.bitcask.data", ref_1_data, "");
  check_file(dir, "1.bitcask.hint", hint_1, "");
  check_file(dir, "2.bitcask.data", our_2_in_file_2, "");
  CHECK_EQ(craft_size(dir, "2.bitcask.hint"), -1);
  CHECK_EQ(craft_highest_id(dir), 2);
}

static void F1_writes_one_file_over_two_sessions(void) {
  const char *dir = craft_dir();

  write_session_1(dir);
  check_file(dir, "1.bitcask.data", our_1_data, "");
  CHECK_EQ(craft_size(dir, "1.bitcask.hint"), -1);
  write_session_2(dir, 1 << 20);
  check_file(dir, "1.bitcask.data", our_1_data, our_2_in_file_1);
  CHECK_EQ(craft_size(dir, "1.bitcask.hint"), -1);
  CHECK_EQ(craft_highest_id(dir), 1);
  CHECK_DIR(dir, "z=zz");
}

static void F1_seals_a_full_file_with_a_hint(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask *bc;

  write_session_1(dir);
  write_session_2(dir, SESSION_2_SZ);
  check_file(dir, "1.bitcask.data", our_1_data, "");
  check_file(dir, "1.bitcask.hint", hint_1, "");
  check_file(dir, "2.bitcask.data", our_2_in_file_2, "");
  CHECK_EQ(craft_size(dir, "2.bitcask.hint"), -1);
  bc = open_at(dir, 1000000004, SESSION_2_SZ);
  put(bc, "y", "yy");
  CHECK_OK(bitcask_close(bc, &e), &e);
  check_file(dir, "2.bitcask.hint", our_2_hint, "");
  CHECK_EQ(craft_highest_id(dir), 3);
  CHECK_DIR(dir, "y=yy z=zz");
}

int main(void) {
  RUN(F1_reads_the_reference);
  RUN(F1_continues_after_the_reference);
  RUN(F1_writes_one_file_over_two_sessions);
  RUN(F1_seals_a_full_file_with_a_hint);
  return test_done();
}
