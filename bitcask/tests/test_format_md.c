/*
** test_format_md.c - is FORMAT.md true?  Its example is taken out of the text,
** decoded, opened, and written anew by the engine; the numbers in its tables are
** compared with what the code makes.
**
** FORMAT_MD in the environment names the file; else it is looked for as
** bitcask/FORMAT.md in the working directory and above.
*/
#include "test.h"

#include "craft.h"

#include "crc32.h"
#include "engine.h"
#include "env.h"
#include "format.h"
#include "name.h"
#include "state.h"

enum { MAX_CELLS = 8, CELL_SZ = 160, MAX_FIELDS = 96, MAX_BYTES = 512, EXAMPLE_FILE_SZ = 169 };

static char *document;

static void load_document(void) {
  const char *path = getenv("FORMAT_MD");
  char up[64] = "bitcask/FORMAT.md";
  FILE *f = NULL;
  size_t n;

  for (int i = 0; !path && i < 12; i++) {
    if (access(up, R_OK) == 0) {
      path = up;
    } else {
      memmove(up + 3, up, strlen(up) + 1);
      memcpy(up, "../", 3);
    }
  }
  if (path) f = fopen(path, "r");
  document = calloc(1, 1 << 20);
  if (!f || !document) {
    fprintf(stderr, "FORMAT.md cannot be read\n");
    exit(1);
  }
  n = fread(document, 1, (1 << 20) - 1, f);
  document[n] = 0;
  fclose(f);
}

/* ------------------------------------------------------- reading the text */

/* The next line, without its end; NULL at the end of the text. */
static char *next_line(const char **at, char *line, size_t line_sz) {
  size_t n = strcspn(*at, "\n");

  if (!**at) return NULL;
  snprintf(line, line_sz, "%.*s", (int)n, *at);
  *at += n + ((*at)[n] == '\n');
  return line;
}

typedef struct row {
  char cell[MAX_CELLS][CELL_SZ];
  size_t n;
} row;

static void split_row(const char *line, row *r) {
  r->n = 0;
  for (const char *p = line + 1; *p && r->n < MAX_CELLS; p += strcspn(p, "|") + 1) {
    size_t n = strcspn(p, "|");

    while (n && *p == ' ') {
      p++;
      n--;
    }
    while (n && p[n - 1] == ' ') n--;
    snprintf(r->cell[r->n++], CELL_SZ, "%.*s", (int)n, p);
    if (!p[strcspn(p, "|")]) break;
  }
}

/* The row of a section's tables that has `text` in column `column`. */
static bool find_row(const char *section, size_t column, const char *text, row *out) {
  char line[512];
  const char *at = document;
  bool inside = false;

  while (next_line(&at, line, sizeof line)) {
    if (line[0] == '#') inside = !strncmp(line + strspn(line, "# "), section, strlen(section));
    if (!inside || line[0] != '|') continue;
    split_row(line, out);
    if (column < out->n && !strcmp(out->cell[column], text)) return true;
  }
  TEST_FAIL("section \"%s\" has no row for \"%s\"", section, text);
  *out = (row){0};
  return false;
}

/* "65,535" is 65535. */
static uint64_t number_of(const char *cell) {
  uint64_t n = 0;

  if (*cell < '0' || *cell > '9') TEST_FAIL("\"%s\" is no number", cell);
  for (; *cell; cell++) {
    if (*cell >= '0' && *cell <= '9') n = n * 10 + (uint64_t)(*cell - '0');
  }
  return n;
}

static uint64_t big_endian(const uint8_t *p, size_t n) {
  uint64_t v = 0;

  for (size_t i = 0; i < n; i++) v = v << 8 | p[i];
  return v;
}

/* Where a table of "| offset | size | field |" puts a field. */
static size_t offset_of(const char *section, const char *name, uint64_t size) {
  row r;

  if (!find_row(section, 2, name, &r)) return 0;
  if (size) CHECK_EQ(number_of(r.cell[1]), size);
  return (size_t)number_of(r.cell[0]);
}

/* The big-endian number in the bytes that the table gives to a field. */
static uint64_t number_in(const char *section, const char *name, const uint8_t *p) {
  row r;

  if (!find_row(section, 2, name, &r)) return 0;
  return big_endian(p + number_of(r.cell[0]), (size_t)number_of(r.cell[1]));
}

/* ------------------------------------------------------------ the example */

typedef struct field {
  char name[32];
  size_t at, size;
} field;

/* One block of hex: the bytes of a file, and what they are said to be. */
typedef struct block {
  uint8_t bytes[MAX_BYTES];
  size_t n;
  field fields[MAX_FIELDS];
  size_t n_fields;
} block;

/* `note` is a name, and what the bytes mean: a text, a number, or nothing. */
static void check_note(const char *note, const uint8_t *p, size_t n) {
  const char *value = strchr(note, ' ');
  uint64_t want;
  char *end;

  if (!value) return;
  value++;
  if (*value == '"') {
    CHECK_EQ(strlen(value), n + 2);
    if (strlen(value) == n + 2) CHECK_MEM(p, n, value + 1, n);
    return;
  }
  want = strtoull(value, &end, 10);
  if (!strcmp(end, " tombstone")) {
    want |= UINT64_C(1) << 63;
  } else {
    CHECK_EQ(*end, 0);
  }
  if (big_endian(p, n) != want) TEST_FAIL("\"%s\" is not what the bytes say", note);
}

static void add_field(block *b, const char *hex, const char *note) {
  size_t n, name_sz = strcspn(note, " ");
  uint8_t *bytes = craft_unhex(hex, &n);
  field *f = &b->fields[b->n_fields];

  if (b->n + n > MAX_BYTES || b->n_fields == MAX_FIELDS) {
    TEST_FAIL("the example is too long for this test");
  } else {
    memcpy(b->bytes + b->n, bytes, n);
    check_note(note, bytes, n);
    snprintf(f->name, sizeof f->name, "%.*s", (int)name_sz, note);
    f->at = b->n;
    f->size = n;
    b->n += n;
    b->n_fields++;
  }
  free(bytes);
}

/* "  14  6e616d65 416461  key "name", value "Ada"": as many notes as groups. */
static void add_line(block *b, char *line) {
  char *hex, *notes, *group, *note, *rest_hex = NULL, *rest_notes = NULL;

  CHECK_EQ(strtoul(line, &hex, 10), b->n);
  hex += strspn(hex, " ");
  notes = strstr(hex, "  ");
  if (!notes) {
    TEST_FAIL("\"%s\" has no notes", line);
    return;
  }
  *notes = 0;
  group = strtok_r(hex, " ", &rest_hex);
  note = strtok_r(notes + 2, ",", &rest_notes);
  while (group && note) {
    add_field(b, group, note + strspn(note, " "));
    group = strtok_r(NULL, " ", &rest_hex);
    note = strtok_r(NULL, ",", &rest_notes);
  }
  if (group || note) TEST_FAIL("at %zu: not every field has its note", b->n);
}

static block read_block(const char *name) {
  block b = {0};
  char line[512], fence[64];
  const char *at = document;

  snprintf(fence, sizeof fence, "```hex %s", name);
  while (next_line(&at, line, sizeof line) && strcmp(line, fence) != 0) {
  }
  while (next_line(&at, line, sizeof line) && strcmp(line, "```") != 0) add_line(&b, line);
  if (!b.n) TEST_FAIL("the example has no %s", name);
  return b;
}

/* The fields at `base` begin where the table says, and none is left out. */
static void check_fields(const block *b, size_t base, const char *section, const char *const *names,
                         size_t n) {
  for (size_t i = 0; i < n; i++) {
    size_t at = base + offset_of(section, names[i], 0), k = 0;

    while (k < b->n_fields && b->fields[k].at != at) k++;
    if (k == b->n_fields || strcmp(b->fields[k].name, names[i]) != 0) {
      TEST_FAIL("%s is not noted at %zu", names[i], at);
    }
  }
}

static const char RECORDS[] = "1.2 ", HINTS[] = "2 ", MARKERS[] = "3 ", TIES[] = "3.1 ",
                  STATE[] = "4 ";
static const char *const record_fields[] = {"crc", "tstamp", "key_sz", "value_sz", "key"};
static const char *const hint_fields[] = {"tstamp", "key_sz", "total_sz", "offset", "key"};
static const char *const marker_fields[] = {"prefix", "kind", "length", "count", "crc"};

/* Walks a data file of the example; how many of its records are markers, and
** how many tombstones. */
static void walk_data(const char *name, size_t *n_markers, size_t *n_tombstones) {
  block b = read_block(name);
  uint32_t batch_crc = 0, left = 0;
  bc_record r;
  bc_marker m = {0};

  for (size_t at = 0; at < b.n; at += bc_record_size(b.bytes + at)) {
    if (b.n - at < BC_RECORD_HEADER_SZ ||
        bc_record_decode(b.bytes + at, b.n - at, &r) != BC_DECODE_OK) {
      TEST_FAIL("%s: no record at %zu", name, at);
      return;
    }
    check_fields(&b, at, RECORDS, record_fields, 5);
    if (bc_is_marker_key(r.key, r.key_sz)) {
      ++*n_markers;
      CHECK(bc_marker_decode(&r, &m));
      check_fields(&b, at + BC_RECORD_HEADER_SZ + r.key_sz, MARKERS, marker_fields, 5);
      left = m.count;
      continue;
    }
    *n_tombstones += bc_is_tombstone(r.value, r.value_sz);
    if (left) {
      batch_crc = bc_batch_crc(batch_crc, r.crc);
      m.length -= bc_record_size(b.bytes + at);
      if (!--left) {
        CHECK_EQ(batch_crc, m.crc);
        CHECK_EQ(m.length, 0);
      }
    }
  }
  CHECK_EQ(left, 0);
}

static void example_is_decoded(void) {
  block h = read_block("1.bitcask.hint"), d = read_block("1.bitcask.data");
  size_t n_markers = 0, n_tombstones = 0, step;
  uint64_t end = 0;
  bc_hint_entry e;

  walk_data("1.bitcask.data", &n_markers, &n_tombstones);
  walk_data("2.bitcask.data", &n_markers, &n_tombstones);
  CHECK_EQ(n_markers, 1);
  CHECK_EQ(n_tombstones, 1);
  CHECK(bc_hint_is_valid(h.bytes, h.n));
  for (size_t at = 0; at + BC_HINT_HEADER_SZ < h.n; at += step) {
    step = bc_hint_decode(h.bytes + at, h.n - at, &e);
    CHECK(step != 0);
    if (!step) return;
    CHECK_EQ(e.offset, end);
    end += e.total_sz;
    check_fields(&h, at, HINTS, hint_fields, 5);
  }
  CHECK_EQ(end, d.n);
}

static void save_block(const char *dir, const char *name) {
  block b = read_block(name);

  craft_write_file(dir, name, b.bytes, b.n);
}

/* "| `name` | `Grace` | file 1, offset 83 |" against the opened directory. */
static void check_key(bitcask *bc, const row *r) {
  bitcask_snapshot *snap = NULL;
  bitcask_buf scratch = {0};
  bitcask_error e = {0};
  bitcask_entry got = {0};
  char where[64];
  const char *key = r->cell[0] + 1, *value = r->cell[1] + 1;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_snapshot_get(snap, key, strlen(key) - 1, &scratch, &got, &e), &e);
  CHECK_MEM(got.value, got.value_sz, value, strlen(value) - 1);
  snprintf(where, sizeof where, "file %" PRIu32 ", offset %" PRIu64, got.file_id, got.offset);
  CHECK_TEXT(where, r->cell[2]);
  bitcask_buf_free(&scratch);
  bitcask_snapshot_close(snap);
}

static void check_opened(const char *dir, bool has_hint) {
  bitcask *bc = craft_open_ro(dir);
  bitcask_error e = {0};
  bitcask_file_stat *files = NULL;
  bitcask_status_info s;
  uint64_t n_keys = 0, n_problems = 1;
  char line[512];
  size_t n = 0;
  row r;

  for (const char *at = strstr(document, "\n## 9 "); at && next_line(&at, line, sizeof line);) {
    if (strncmp(line, "| `", 3) != 0) continue;
    split_row(line, &r);
    check_key(bc, &r);
    n_keys++;
  }
  CHECK_OK(bitcask_status(bc, &s, &e), &e);
  CHECK_EQ(s.keys, n_keys);
  CHECK_OK(bitcask_files(bc, &files, &n, &e), &e);
  CHECK_EQ(n, 2);
  if (n) CHECK_EQ(files[0].has_hint, has_hint);
  CHECK_OK(bitcask_verify(bc, NULL, NULL, NULL, &n_problems, &e), &e);
  CHECK_EQ(n_problems, 0);
  bitcask_files_free(files);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void example_is_opened(void) {
  const char *dir = craft_dir();

  save_block(dir, "1.bitcask.data");
  save_block(dir, "2.bitcask.data");
  check_opened(dir, false);
  save_block(dir, "1.bitcask.hint");
  check_opened(dir, true);
}

static void put(bitcask *bc, const char *key, const char *value) {
  bitcask_error e = {0};

  CHECK_OK(bitcask_put(bc, key, strlen(key), value, strlen(value), &e), &e);
}

static void example_is_what_we_write(void) {
  static const char *const names[] = {"1.bitcask.data", "1.bitcask.hint", "2.bitcask.data"};
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask_options o;
  bitcask_txn *txn;
  bitcask *bc;

  craft_options(&o);
  o.sync = BITCASK_SYNC_FULL;
  o.max_file_size = EXAMPLE_FILE_SZ;
  craft_now = 1700000000;
  bc = craft_open(dir, &o);
  put(bc, "name", "Ada");
  craft_now = 1700000001;
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "name", 4, "Grace", 5, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "lang", 4, "COBOL", 5, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  craft_now = 1700000002;
  CHECK_OK(bitcask_delete(bc, "lang", 4, &e), &e);
  put(bc, "x", "y");
  CHECK_OK(bitcask_close(bc, &e), &e);
  craft_now = 0;
  for (size_t i = 0; i < 3; i++) {
    block b = read_block(names[i]);
    size_t n;
    uint8_t *got = craft_read_file(dir, names[i], &n);

    CHECK_MEM(got, n, b.bytes, b.n);
    free(got);
  }
  CHECK_EQ(craft_size(dir, "2.bitcask.hint"), -1);
}

/* ------------------------------------------------------------- the tables */

static void constants_are_the_codes(void) {
  static const struct {
    const char *name;
    uint64_t value;
  } constants[] = {{"record header", BC_RECORD_HEADER_SZ},
                   {"hint entry header and trailer", BC_HINT_HEADER_SZ},
                   {"longest key", BC_MAX_KEY_SZ},
                   {"longest record", UINT32_MAX},
                   {"highest id of a new data file", BC_MAX_FILE_ID},
                   {"tombstone value, version 1", BC_TOMBSTONE_SZ},
                   {"marker key", BC_MARKER_KEY_SZ},
                   {"marker value", BC_MARKER_VALUE_SZ},
                   {"marker record", BC_MARKER_SZ},
                   {"tie value, without the path", BC_TIE_VALUE_SZ},
                   {"`bitcask.state`", BC_STATE_SZ}};
  row r;

  for (size_t i = 0; i < sizeof constants / sizeof constants[0]; i++) {
    if (!find_row("The files", 0, constants[i].name, &r)) continue;
    CHECK_EQ(number_of(r.cell[1]), constants[i].value);
  }
}

static void record_table_is_true(void) {
  uint8_t p[64];
  uint32_t crc = bc_record_encode(p, 0x01020304, "key", 3, "value", 5);

  CHECK_EQ(number_in(RECORDS, "crc", p), crc);
  CHECK_EQ(crc, bc_crc32(0, p + 4, BC_RECORD_HEADER_SZ - 4 + 8));
  CHECK_EQ(number_in(RECORDS, "tstamp", p), 0x01020304);
  CHECK_EQ(number_in(RECORDS, "key_sz", p), 3);
  CHECK_EQ(number_in(RECORDS, "value_sz", p), 5);
  CHECK_MEM(p + offset_of(RECORDS, "key", 0), 3, "key", 3);
  CHECK_MEM(p + offset_of(RECORDS, "value", 0) + 3, 5, "value", 5);
}

static void tombstone_table_is_true(void) {
  static const char *const versions[] = {"v0", "v1", "v2"};
  uint8_t p[BC_TOMBSTONE_SZ];
  row r;

  for (size_t i = 0; i < 3; i++) {
    if (!find_row("1.3 ", 0, versions[i], &r)) continue;
    CHECK_EQ(number_of(r.cell[2]), i ? BC_TOMBSTONE_SZ : BC_TOMBSTONE_PREFIX_SZ);
    CHECK_EQ(!strcmp(r.cell[3], "us"), i == 1);
  }
  bc_tombstone_encode(p, 0x01020304);
  CHECK_MEM(p, sizeof p, "bitcask_tombstone1\x01\x02\x03\x04", BC_TOMBSTONE_SZ);
}

static void hint_table_is_true(void) {
  uint8_t p[64];
  bc_hint_entry e = {(const uint8_t *)"key", 0x0102030405060708, 3, 0x11121314, 0x21222324, true};

  bc_hint_encode(p, &e);
  CHECK_EQ(number_in(HINTS, "tstamp", p), 0x21222324);
  CHECK_EQ(number_in(HINTS, "key_sz", p), 3);
  CHECK_EQ(number_in(HINTS, "total_sz", p), 0x11121314);
  CHECK_EQ(number_in(HINTS, "offset", p), 0x0102030405060708 | UINT64_C(1) << 63);
  CHECK_MEM(p + offset_of(HINTS, "key", 0), 3, "key", 3);
  bc_hint_trailer_encode(p, 0x31323334);
  CHECK_EQ(number_in(HINTS, "tstamp", p), 0);
  CHECK_EQ(number_in(HINTS, "key_sz", p), 0);
  CHECK_EQ(number_in(HINTS, "total_sz", p), 0x31323334);
  CHECK_EQ(number_in(HINTS, "offset", p), INT64_MAX);
}

static void marker_tables_are_true(void) {
  static const char *const kinds[] = {"`B` batch", "`O` open", "`E` end", "`L` link"};
  uint8_t p[BC_MARKER_SZ], *value = p + BC_RECORD_HEADER_SZ + BC_MARKER_KEY_SZ;
  bc_marker m = {BC_MARKER_BATCH, 0x0102030405060708, 0x11121314, 0x21222324}, back;
  bc_record r;
  row ignored;

  for (size_t i = 0; i < 4; i++) {
    m.kind = (bc_marker_kind)kinds[i][1];
    CHECK(find_row(MARKERS, 0, kinds[i], &ignored));
    bc_marker_encode(p, 0, &m);
    CHECK_EQ(bc_record_decode(p, sizeof p, &r), BC_DECODE_OK);
    CHECK(bc_marker_decode(&r, &back));
    CHECK_EQ(number_in(MARKERS, "kind", value), kinds[i][1]);
  }
  CHECK_MEM(r.key, r.key_sz,
            "\xff"
            "bitcask_batch",
            BC_MARKER_KEY_SZ);
  CHECK_MEM(value + offset_of(MARKERS, "prefix", 17), 17, "bitcask_tombstone", 17);
  CHECK_EQ(number_in(MARKERS, "length", value), 0x0102030405060708);
  CHECK_EQ(number_in(MARKERS, "count", value), 0x11121314);
  CHECK_EQ(number_in(MARKERS, "crc", value), 0x21222324);
}

static void tie_table_is_true(void) {
  static const char *const fields[] = {"prefix", "kind", "token", "members", "index", "path"};
  bc_tie t = {.members = 0x01020304, .index = 0x11121314, .path = "../a", .path_sz = 4}, back;
  uint8_t p[200], *value = p + BC_RECORD_HEADER_SZ + BC_MARKER_KEY_SZ;
  bc_record r;
  row ignored;

  memset(t.token, 'x', sizeof t.token);
  (void)bc_tie_encode(p, 0, &t);
  CHECK_EQ(bc_record_decode(p, bc_tie_size(&t), &r), BC_DECODE_OK);
  CHECK(bc_tie_decode(&r, &back));
  CHECK(bc_is_tombstone(r.value, r.value_sz));
  for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
    CHECK(find_row(TIES, 2, fields[i], &ignored));
  CHECK_EQ(number_in(TIES, "kind", value), 'T');
  CHECK_MEM(value + offset_of(TIES, "token", 16), 16, "xxxxxxxxxxxxxxxx", 16);
  CHECK_EQ(number_in(TIES, "members", value), 0x01020304);
  CHECK_EQ(number_in(TIES, "index", value), 0x11121314);
  CHECK_MEM(back.path, back.path_sz, "../a", 4);
  CHECK_EQ((size_t)((const uint8_t *)back.path - value), BC_TIE_VALUE_SZ);
}

/* -------------------------------------------------- markers as they are written */

/* A cell with a number, not with words, says what the field always is. */
static void check_constant(const char *cell, uint64_t got) {
  if (*cell >= '0' && *cell <= '9') CHECK_EQ(got, number_of(cell));
}

/* The marker at `at`, which the table says is `name`. */
static bc_marker read_marker(const uint8_t *data, uint64_t at, const char *name) {
  row r;
  bc_record rec;
  bc_marker m = {0};

  if (bc_record_decode(data + at, BC_MARKER_SZ, &rec) != BC_DECODE_OK ||
      !bc_is_marker_key(rec.key, rec.key_sz) || !bc_marker_decode(&rec, &m)) {
    TEST_FAIL("there is no marker at %" PRIu64, at);
  }
  if (find_row(MARKERS, 0, name, &r)) {
    CHECK_EQ((char)m.kind, name[1]);
    check_constant(r.cell[2], m.length);
    check_constant(r.cell[3], m.count);
    check_constant(r.cell[4], m.crc);
  }
  return m;
}

static void large_commits_are_as_described(void) {
  enum { VALUE_SZ = 64 << 20, FIRST_SZ = BC_RECORD_HEADER_SZ + 1 + VALUE_SZ, SECOND_SZ = 16 };
  const char *dir = craft_dir();
  bitcask *bc = craft_open_rw(dir);
  bitcask_error e = {0};
  bitcask_txn *txn;
  uint8_t *value = calloc(1, VALUE_SZ), *data;
  bc_marker m;
  size_t n;

  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "a", 1, value, VALUE_SZ, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "b", 1, "v", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  CHECK_OK(bitcask_close(bc, &e), &e);
  data = craft_read_file(dir, "1.bitcask.data", &n);
  CHECK_EQ(n, 2 * BC_MARKER_SZ + FIRST_SZ + SECOND_SZ);
  if (n == 2 * BC_MARKER_SZ + FIRST_SZ + SECOND_SZ) {
    read_marker(data, 0, "`O` open");
    m = read_marker(data, n - BC_MARKER_SZ, "`E` end");
    CHECK_EQ(m.length, FIRST_SZ + SECOND_SZ);
    CHECK_EQ(m.count, 2);
    CHECK_EQ(m.crc, bc_batch_crc(bc_batch_crc(0, (uint32_t)big_endian(data + BC_MARKER_SZ, 4)),
                                 (uint32_t)big_endian(data + BC_MARKER_SZ + FIRST_SZ, 4)));
  }
  free(data);
  free(value);
}

static void links_are_as_described(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc;
  uint8_t *data;
  bc_marker m;
  size_t n;

  craft_options(&o);
  o.max_file_size = 1;
  bc = craft_open(dir, &o);
  put(bc, "key", "value");
  put(bc, "k", "v");
  CHECK_OK(bitcask_close(bc, &e), &e);
  data = craft_read_file(dir, "2.bitcask.data", &n);
  CHECK_EQ(n, BC_MARKER_SZ + 16);
  m = read_marker(data, 0, "`L` link");
  CHECK_EQ(m.length, craft_size(dir, "1.bitcask.data"));
  CHECK_EQ(m.count, 1);
  free(data);
}

/* ----------------------------------------------------- the state page, locks */

static uint8_t *read_state(const char *dir) {
  size_t n;
  uint8_t *page = craft_read_file(dir, "bitcask.state", &n);

  CHECK_EQ(n, BC_STATE_SZ);
  return page;
}

/* A field of the page, in the byte order of the machine. */
static uint64_t host_number(const uint8_t *p, const char *section, const char *name, size_t size) {
  size_t at = offset_of(section, name, size);
  uint64_t n8;
  uint32_t n4;

  memcpy(&n4, p + at, sizeof n4);
  if (size == 4) return n4;
  memcpy(&n8, p + at, sizeof n8);
  return n8;
}

static uint64_t state_number(const uint8_t *page, const char *name, size_t base, size_t size) {
  return host_number(page + base, STATE, name, size);
}

static void check_commit_point(const uint8_t *page, uint64_t committed, uint32_t tstamp) {
  uint64_t generation = state_number(page, "generation", 0, 8);
  size_t base =
      generation & 1 ? offset_of(STATE, "point 1", 16) - offset_of(STATE, "point 0", 16) : 0;

  CHECK(generation != 0);
  CHECK_EQ(state_number(page, "committed", base, 8), committed);
  CHECK_EQ(state_number(page, "active_id", base, 4), 1);
  CHECK_EQ(state_number(page, "tstamp", base, 4), tstamp);
}

/* The higher one of the two. */
static void check_stable(const uint8_t *page, uint64_t offset) {
  size_t step = offset_of(STATE, "stable 1", 16) - offset_of(STATE, "stable 0", 16);
  uint64_t highest = 0;

  for (size_t base = 0; base <= step; base += step) {
    const uint8_t *p = page + base + offset_of(STATE, "offset", 8);

    if (bc_crc32(1, p, 12) != state_number(page, "crc", base, 4)) continue;
    CHECK_EQ(state_number(page, "file_id", base, 4), 1);
    if (state_number(page, "offset", base, 8) > highest) {
      highest = state_number(page, "offset", base, 8);
    }
  }
  CHECK_EQ(highest, offset);
}

static void state_table_is_true(void) {
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask_options o;
  bitcask *bc;
  uint8_t *page, boot[16];

  craft_options(&o);
  o.sync = BITCASK_SYNC_FULL;
  craft_now = 1700000000;
  bc = craft_open(dir, &o);
  for (uint64_t i = 1; i <= 3; i++) { /* each of the places is used at least once */
    put(bc, "k", "v");
    page = read_state(dir);
    CHECK_MEM(page + offset_of(STATE, "magic", 16), 16, "bitcask state 1\n", 16);
    CHECK_EQ(bc_env_posix.boot_id(NULL, boot), 0);
    CHECK_MEM(page + offset_of(STATE, "boot_id", 16), 16, boot, 16);
    CHECK_EQ(state_number(page, "merges", 0, 8), 0);
    CHECK_EQ(state_number(page, "waited_at", 0, 8), 0);
    CHECK_EQ(state_number(page, "tail", 0, 4), BC_TAIL_CLEAN);
    CHECK_EQ(state_number(page, "lock_pid", 0, 4), getpid());
    CHECK_EQ(state_number(page, "sync_failed", 0, 4), 0);
    check_commit_point(page, i * 16, 1700000000);
    check_stable(page, i * 16);
    free(page);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
  craft_now = 0;
  page = read_state(dir);
  CHECK_EQ(state_number(page, "lock_pid", 0, 4), 0);
  free(page);
}

static void check_tail_row(bc_tail tail, const char *meaning) {
  char number[16];
  const char *row_at = strstr(document, "\n| tail | meaning |");

  snprintf(number, sizeof number, "\n| %d | ", (int)tail);
  row_at = row_at ? strstr(row_at, number) : NULL;
  CHECK(row_at && !strncmp(row_at + strlen(number), meaning, strlen(meaning)));
}

static void tail_says_what_is_going_on(void) {
  const char *dir = craft_dir();
  bitcask *bc = craft_open_rw(dir);
  bitcask_error e = {0};
  bitcask_txn *txn;
  uint8_t *page;

  check_tail_row(BC_TAIL_CLEAN, "nothing of ours");
  check_tail_row(BC_TAIL_APPENDED, "a transaction on its way");
  check_tail_row(BC_TAIL_CONDEMNED, "one that was rolled back");
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "v", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  page = read_state(dir);
  CHECK_EQ(state_number(page, "tail", 0, 4), BC_TAIL_APPENDED + 256 * 1);
  CHECK_EQ(state_number(page, "holder", 0, 4), getpid() + (INT64_C(1) << 31));
  check_commit_point(page, 0, 0);
  free(page);
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "v", 1, &e), &e);
  page = read_state(dir);
  CHECK_EQ(state_number(page, "holder", 0, 4), getpid());
  free(page);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  page = read_state(dir);
  CHECK_EQ(state_number(page, "holder", 0, 4), 0);
  CHECK_EQ(state_number(page, "tail", 0, 4), BC_TAIL_CLEAN);
  free(page);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

/* Each commit under sync=full moves the one that is older: the other one is whole if the page gets
** to the disk in between. */
static void stable_positions_take_turns(void) {
  size_t step = offset_of(STATE, "stable 1", 16) - offset_of(STATE, "stable 0", 16);
  const char *dir = craft_dir();
  uint64_t end = 0, offset, other;
  bitcask_error e = {0};
  bitcask_options o;
  bitcask *bc;

  craft_options(&o);
  o.sync = BITCASK_SYNC_FULL;
  bc = craft_open(dir, &o);
  for (int i = 0; i < 6; i++) {
    uint64_t before = end;
    uint8_t *page;
    put(bc, "k", "v");
    page = read_state(dir);
    end = (uint64_t)craft_size(dir, "1.bitcask.data");
    offset = state_number(page, "offset", 0, 8);
    other = state_number(page, "offset", step, 8);
    CHECK(offset == end ? other == before : offset == before && other == end);
    free(page);
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void counters_of_the_page(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_merge_result result;
  const char *dir = craft_dir();
  bitcask *one = craft_open_rw(dir), *other = craft_open_rw(dir);
  bitcask_error e = {0};
  bitcask_txn *txn, *none;
  uint64_t start = bc_env_posix.monotonic_ms(NULL), waited_at;
  uint8_t *page;

  put(one, "k", "v");
  put(other, "k", "v");
  CHECK_OK(bitcask_begin(one, 0, &txn, &e), &e);
  CHECK_RC(bitcask_begin(other, 1, &none, &e), BITCASK_BUSY, &e);
  page = read_state(dir);
  waited_at = state_number(page, "waited_at", 0, 8);
  CHECK(start <= waited_at && waited_at <= bc_env_posix.monotonic_ms(NULL));
  free(page);
  bitcask_txn_rollback(txn);
  CHECK_OK(bitcask_merge(one, &all, &result, &e), &e);
  CHECK_EQ(result.n_inputs, 1);
  page = read_state(dir);
  CHECK_EQ(state_number(page, "merges", 0, 8), 2);
  /* The name of the output, and what was written to it. */
  CHECK_EQ(state_number(page, "n_written", 0, 4), 2);
  CHECK_EQ(state_number(page, "written_id 0", 0, 4), 2);
  CHECK_EQ(state_number(page, "written_offset 0", 0, 8), craft_size(dir, "2.bitcask.data"));
  CHECK_EQ(state_number(page, "written_id 1", 0, 4), 2);
  CHECK_EQ(state_number(page, "written_offset 1", 0, 8), 0);
  free(page);
  CHECK_OK(bitcask_close(one, &e), &e);
  CHECK_OK(bitcask_close(other, &e), &e);
}

static int failing_fdatasync(void *ctx, int fd) {
  (void)ctx;
  (void)fd;
  return EIO;
}

static void a_failed_sync_is_noted(void) {
  const char *dir = craft_dir();
  bitcask_options o;
  bitcask_error e = {0};
  bitcask *bc = NULL;
  bc_env env = bc_env_posix;
  uint8_t *page;

  craft_options(&o);
  o.sync = BITCASK_SYNC_FULL;
  CHECK_OK(bc_open_env(dir, &o, &env, &bc, &e), &e);
  put(bc, "k", "v");
  env.fdatasync = failing_fdatasync;
  CHECK_RC(bitcask_put(bc, "k", 1, "v", 1, &e), BITCASK_IOERR, &e);
  page = read_state(dir);
  CHECK_EQ(state_number(page, "sync_failed", 0, 4), 1);
  free(page);
  CHECK_OK(bitcask_close(bc, &e), &e);
}

/* Which bytes of bitcask.state does the engine hold, in the letters of the
** table: x exclusive, s shared, - not at all? */
/* Bytes 0 to 3, and that of the first author. */
static void check_locks(const char *dir, const char *want) {
  static const uint64_t bytes[] = {0, 1, 2, 3, 64 + 1};
  char path[4096], got[6] = "-----";
  int fd;

  snprintf(path, sizeof path, "%s/bitcask.state", dir);
  CHECK_EQ(bc_env_posix.open(NULL, path, BC_OPEN_WRITE, &fd), 0);
  for (size_t i = 0; i < 5; i++) {
    bool any = false, exclusive = false;

    CHECK_EQ(bc_env_posix.lock_held(NULL, fd, bytes[i], BC_LOCK_EXCLUSIVE, &any), 0);
    CHECK_EQ(bc_env_posix.lock_held(NULL, fd, bytes[i], BC_LOCK_SHARED, &exclusive), 0);
    if (any) got[i] = exclusive ? 'x' : 's';
  }
  CHECK_EQ(bc_env_posix.close(NULL, fd), 0);
  CHECK_TEXT(got, want);
}

/* A checkpoint of three keys, one of them deleted again, in two files. */
static void keydir_tables_are_true(void) {
  static const char *const fields[] = {
      "magic",   "order",           "header_crc",    "file_sz", "tables_at",     "tables_crc",
      "n_files", "n_segments",      "depth",         "seed",    "n_keys",        "key_bytes",
      "merges",  "position_offset", "position_file", "max_id",  "newest_tstamp", "outputs_from"};
  const char *dir = craft_dir();
  bitcask_error e = {0};
  bitcask_options o;
  bitcask *bc;
  uint8_t *p, *f, *s;
  uint64_t at, n;
  size_t size;

  craft_options(&o);
  o.max_file_size = 40;
  craft_now = 1700000000;
  bc = craft_open(dir, &o);
  bc_save_early(bc);
  put(bc, "one", "1");
  put(bc, "two", "2");
  put(bc, "three", "3");
  CHECK_OK(bitcask_delete(bc, "two", 3, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  craft_now = 0;
  p = craft_read_file(dir, BC_KEYDIR_NAME, &size);
  CHECK_MEM(p, 16, "bitcask keydir 1", 16);
  for (size_t i = 0; i + 1 < sizeof fields / sizeof *fields; i++) {
    row r;
    if (!find_row("4.2 ", 2, fields[i], &r)) continue;
    CHECK_EQ(strtoul(r.cell[0], NULL, 10) + strtoul(r.cell[1], NULL, 10),
             offset_of("4.2 ", fields[i + 1], 0));
  }
  CHECK_EQ(host_number(p, "4.2 ", "order", 4), 0x01020304);
  CHECK_EQ(host_number(p, "4.2 ", "header_crc", 4), bc_crc32(0, p + 24, 112 - 24));
  CHECK_EQ(host_number(p, "4.2 ", "file_sz", 8), size);
  at = host_number(p, "4.2 ", "tables_at", 8);
  CHECK_EQ(at % 64, 0);
  CHECK_EQ(host_number(p, "4.2 ", "tables_crc", 4), bc_crc32(0, p + at, size - at));
  n = host_number(p, "4.2 ", "n_files", 4);
  CHECK_EQ(host_number(p, "4.2 ", "n_segments", 4), 1);
  CHECK_EQ(at + 72 * n + 16, size);
  CHECK_EQ(host_number(p, "4.2 ", "depth", 4), 0);
  CHECK_EQ(host_number(p, "4.2 ", "n_keys", 8), 2);
  CHECK_EQ(host_number(p, "4.2 ", "key_bytes", 8), 8);
  CHECK_EQ(host_number(p, "4.2 ", "position_file", 4), host_number(p, "4.2 ", "max_id", 4));
  CHECK_EQ(host_number(p, "4.2 ", "newest_tstamp", 4), 1700000000);
  f = p + at;
  CHECK_EQ(host_number(f, "4.2 ", "size", 8), 2 * (14 + 3 + 1));
  CHECK_EQ(host_number(f, "4.2 ", "n_records", 8), 2);
  CHECK_EQ(host_number(f, "4.2 ", "live_keys", 8), 1);
  CHECK_EQ(host_number(f, "4.2 ", "live_bytes", 8), 14 + 3 + 1);
  CHECK_EQ(host_number(f, "4.2 ", "id", 4), 1);
  CHECK_EQ(host_number(f, "4.2 ", "flags", 4) & 1, 1);
  s = p + 4096;
  CHECK_EQ(host_number(s, "4.2 ", "saved", 4), 1);
  CHECK_EQ(host_number(s, "4.2 ", "count", 4), 2);
  CHECK_EQ(host_number(s, "4.2 ", "segment_depth", 4), 0);
  n = 48 + 4 * host_number(s, "4.2 ", "n_slots", 4) + host_number(s, "4.2 ", "heap_cap", 4);
  CHECK_EQ(host_number(s, "4.2 ", "crc", 4), bc_crc32(bc_crc32(0, s, 16), s + 20, n - 20));
  free(p);
}

static const char *locked_dir;
static int n_looks;

/* While the lock files are being made. */
static int looking_open(void *ctx, const char *path, unsigned flags, int *fd) {
  if (flags & BC_OPEN_PRIVATE) {
    check_locks(locked_dir, "xsx-x");
    n_looks++;
  }
  return bc_env_posix.open(ctx, path, flags, fd);
}

static int look_at_merge(void *ctx) {
  (void)ctx;
  check_locks(locked_dir, "-s-xx");
  n_looks++;
  return 0;
}

static void check_lock_rows(void) {
  static const char *const kinds[] = {"exclusive", "shared", "exclusive", "exclusive", "exclusive"};
  char byte[2] = "0";
  row r;

  for (size_t i = 0; i < 5; i++) {
    byte[0] = (char)('0' + i);
    if (find_row("4.1 ", 0, byte, &r)) CHECK_TEXT(r.cell[1], kinds[i]);
  }
  if (find_row("4.1 ", 0, "64 + n", &r)) CHECK_TEXT(r.cell[1], "exclusive");
}

static void locks_are_on_these_bytes(void) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL, .progress = look_at_merge};
  bitcask_options o;
  bitcask_error e = {0};
  bitcask_txn *txn;
  bitcask *bc = NULL;
  bc_env env = bc_env_posix;

  check_lock_rows();
  env.open = looking_open;
  locked_dir = craft_dir();
  craft_options(&o);
  CHECK_OK(bc_open_env(locked_dir, &o, &env, &bc, &e), &e);
  CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
  CHECK_EQ(n_looks, 2); /* bitcask.write.lock and bitcask.merge.lock */
  check_locks(locked_dir, "xs--x");
  CHECK_OK(bitcask_txn_put(txn, "k", 1, "v", 1, &e), &e);
  CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
  bitcask_txn_publish(txn);
  check_locks(locked_dir, "-s--x");
  put(bc, "k", "v");
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  CHECK(n_looks > 2);
  CHECK_OK(bitcask_close(bc, &e), &e);
  check_locks(locked_dir, "-----");
}

static void lock_files_say_our_pid(void) {
  static const char *const names[] = {BC_WRITE_LOCK_NAME, BC_MERGE_LOCK_NAME};
  const char *dir = craft_dir();
  bitcask *bc = craft_open_rw(dir);
  bitcask_error e = {0};
  char want[32], quoted[64];

  snprintf(want, sizeof want, "%ld \n", (long)getpid());
  put(bc, "k", "v");
  for (size_t i = 0; i < 2; i++) {
    size_t n;
    uint8_t *got = craft_read_file(dir, names[i], &n);

    CHECK_MEM(got, n, want, strlen(want));
    free(got);
    snprintf(quoted, sizeof quoted, "`%s`", names[i]);
    CHECK(strstr(document, quoted) != NULL);
  }
  CHECK(strstr(document, "`<pid> \\n`") != NULL);
  CHECK_EQ(craft_size(dir, BC_CREATE_LOCK_NAME), -1);
  CHECK_OK(bitcask_close(bc, &e), &e);
  for (size_t i = 0; i < 2; i++) CHECK_EQ(craft_size(dir, names[i]), -1);
}

int main(void) {
  load_document();
  RUN(example_is_decoded);
  RUN(example_is_opened);
  RUN(example_is_what_we_write);
  RUN(constants_are_the_codes);
  RUN(record_table_is_true);
  RUN(tombstone_table_is_true);
  RUN(hint_table_is_true);
  RUN(marker_tables_are_true);
  RUN(tie_table_is_true);
  RUN(large_commits_are_as_described);
  RUN(links_are_as_described);
  RUN(state_table_is_true);
  RUN(keydir_tables_are_true);
  RUN(stable_positions_take_turns);
  RUN(counters_of_the_page);
  RUN(a_failed_sync_is_noted);
  RUN(tail_says_what_is_going_on);
  RUN(locks_are_on_these_bytes);
  RUN(lock_files_say_our_pid);
  free(document);
  return test_done();
}
