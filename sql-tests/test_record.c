/*
** test_record.c - ext/record.h against SQLite itself.
**
** Writing: a row is bound to an INSERT, and its record is looked up in the image
** of the database; ours must be the same to the byte.  Reading: a record, good or
** bad, is put into the image in the place of a row, and SQLite reads it; ours
** must give the same fields, or refuse where SQLite does.
*/
#include "record.h"
#include "test.h"

#include <math.h>
#include <sqlite3.h>
#include <stdbool.h>

enum { N_COLUMNS = 64, ROOT = 2, N_RANDOM = 3000, MAX_FIELDS = 12 };

/* ---------------------------------------------------------------- random things */

static uint64_t seed = 88172645463325252ULL;

static uint64_t random64(void) {
  seed ^= seed << 13;
  seed ^= seed >> 7;
  seed ^= seed << 17;
  return seed * 0x2545F4914F6CDD1DULL;
}

static unsigned random_below(unsigned n) { return (unsigned)((random64() >> 32) % n); }

/* --------------------------------------------------------------------- databases */

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "test_record: %s\n", what);
  abort();
}

/* A database in memory with an empty table t of n columns, each of that type. */
static sqlite3 *open_table(unsigned n, const char *type) {
  char *sql = sqlite3_mprintf("CREATE TABLE t(c0 %s", type);
  sqlite3 *db = NULL;

  require(sqlite3_open(":memory:", &db) == SQLITE_OK, "no database");
  for (unsigned i = 1; i < n; i++) sql = sqlite3_mprintf("%z,c%u %s", sql, i, type);
  sql = sqlite3_mprintf("%z)", sql);
  require(sqlite3_exec(db, sql, NULL, NULL, NULL) == SQLITE_OK, "no table");
  sqlite3_free(sql);
  return db;
}

static void bind(sqlite3_stmt *s, int i, const vt_field *f) {
  const void *data = f->size ? f->data : "";

  switch (f->type) {
  case VT_FIELD_INTEGER:
    sqlite3_bind_int64(s, i, f->integer);
    break;
  case VT_FIELD_REAL:
    sqlite3_bind_double(s, i, f->real);
    break;
  case VT_FIELD_TEXT:
    sqlite3_bind_text64(s, i, data, f->size, SQLITE_STATIC, SQLITE_UTF8);
    break;
  case VT_FIELD_BLOB:
    sqlite3_bind_blob64(s, i, data, f->size, SQLITE_STATIC);
    break;
  default:
    sqlite3_bind_null(s, i);
  }
}

static void insert(sqlite3 *db, const vt_field *fields, unsigned n) {
  char *sql = sqlite3_mprintf("INSERT INTO t VALUES(?");
  sqlite3_stmt *s = NULL;

  for (unsigned i = 1; i < n; i++) sql = sqlite3_mprintf("%z,?", sql);
  sql = sqlite3_mprintf("%z)", sql);
  require(sqlite3_prepare_v2(db, sql, -1, &s, NULL) == SQLITE_OK, "no INSERT");
  for (unsigned i = 0; i < n; i++) bind(s, (int)i + 1, &fields[i]);
  require(sqlite3_step(s) == SQLITE_DONE, "the INSERT fails");
  sqlite3_finalize(s);
  sqlite3_free(sql);
}

/* What SQLite reads of the first row: its fields, borrowed from *s, or false: it
** calls the database damaged. */
static bool select_row(sqlite3 *db, sqlite3_stmt **s, vt_field *out, int n) {
  int rc;

  require(sqlite3_prepare_v2(db, "SELECT * FROM t", -1, s, NULL) == SQLITE_OK, "no SELECT");
  rc = sqlite3_step(*s);
  require(rc == SQLITE_ROW || rc == SQLITE_CORRUPT, "the SELECT fails");
  for (int i = 0; rc == SQLITE_ROW && i < n; i++) {
    static const vt_field_type types[] = {[SQLITE_INTEGER] = VT_FIELD_INTEGER,
                                          [SQLITE_FLOAT] = VT_FIELD_REAL,
                                          [SQLITE_TEXT] = VT_FIELD_TEXT,
                                          [SQLITE_BLOB] = VT_FIELD_BLOB,
                                          [SQLITE_NULL] = VT_FIELD_NULL};
    vt_field *f = &out[i];
    *f = (vt_field){.type = types[sqlite3_column_type(*s, i)]};
    if (f->type == VT_FIELD_INTEGER) f->integer = sqlite3_column_int64(*s, i);
    if (f->type == VT_FIELD_REAL) f->real = sqlite3_column_double(*s, i);
    if (f->type == VT_FIELD_TEXT || f->type == VT_FIELD_BLOB) {
      f->data = f->type == VT_FIELD_TEXT ? (const void *)sqlite3_column_text(*s, i)
                                         : sqlite3_column_blob(*s, i);
      f->size = (size_t)sqlite3_column_bytes(*s, i);
    }
  }
  return rc == SQLITE_ROW;
}

/* ------------------------------------------------------------- records in an image */

static uint64_t get_big_endian(const uint8_t *p, size_t n) {
  uint64_t v = 0;

  while (n-- > 0) v = v << 8 | *p++;
  return v;
}

/* Of at most eight bytes: enough for a payload's size and for rowid 1. */
static size_t skip_varint(const uint8_t *p, uint64_t *v) {
  size_t n = 0;

  *v = 0;
  do *v = *v << 7 | (p[n] & 0x7f);
  while (p[n++] & 0x80);
  return n;
}

/* Where the record of t's only row begins, its size, and how much of it stands
** there; the rest is in overflow pages, the first of which is named behind it. */
static uint8_t *find_record(uint8_t *image, uint64_t *size, size_t *local) {
  size_t page_sz = (size_t)get_big_endian(image + 16, 2);
  uint8_t *page = image + (ROOT - 1) * page_sz;
  size_t most = page_sz - 35, least = (page_sz - 12) * 32 / 255 - 23, in_page;
  uint8_t *cell = page + get_big_endian(page + 8, 2);
  uint64_t rowid;

  require(page[0] == 13 && get_big_endian(page + 3, 2) == 1, "not a leaf of one row");
  cell += skip_varint(cell, size);
  cell += skip_varint(cell, &rowid);
  require(rowid == 1, "another row");
  in_page = least + (size_t)((*size - least) % (page_sz - 4));
  *local = *size <= most ? (size_t)*size : in_page <= most ? in_page : least;
  return cell;
}

/* The record of t's only row, to be freed. */
static uint8_t *copy_record(sqlite3 *db, size_t *size) {
  sqlite3_int64 image_sz;
  uint8_t *image = sqlite3_serialize(db, "main", &image_sz, 0);
  uint64_t record_sz;
  size_t n;
  const uint8_t *from;
  uint8_t *out;
  size_t page_sz;

  require(image != NULL, "no image");
  page_sz = (size_t)get_big_endian(image + 16, 2);
  from = find_record(image, &record_sz, &n);
  out = malloc((size_t)record_sz + 1);
  require(out != NULL, "no memory");
  memcpy(out, from, n);
  from += n;
  for (size_t done = n; done < record_sz; done += n) {
    const uint8_t *page = image + ((size_t)get_big_endian(from, 4) - 1) * page_sz;
    n = record_sz - done < page_sz - 4 ? (size_t)record_sz - done : page_sz - 4;
    memcpy(out + done, page + 4, n);
    from = page;
  }
  *size = (size_t)record_sz;
  sqlite3_free(image);
  return out;
}

/* ----------------------------------------------------------------------- checking */

/* NaNs and signs of zero count. */
static bool same_real(double a, double b) {
  uint64_t bits[2];

  memcpy(&bits[0], &a, sizeof a);
  memcpy(&bits[1], &b, sizeof b);
  return bits[0] == bits[1];
}

static bool same_field(const vt_field *a, const vt_field *b) {
  if (a->type != b->type) return false;
  switch (a->type) {
  case VT_FIELD_INTEGER:
    return a->integer == b->integer;
  case VT_FIELD_REAL:
    return same_real(a->real, b->real);
  case VT_FIELD_TEXT:
  case VT_FIELD_BLOB:
    return a->size == b->size && (a->size == 0 || memcmp(a->data, b->data, a->size) == 0);
  default:
    return true;
  }
}

/* In memory of exactly its size, so that a sanitizer sees one byte too far. */
static uint8_t *encode(const vt_field *fields, unsigned n, size_t *size) {
  uint8_t *out;

  *size = (size_t)vt_record_size(fields, n);
  out = malloc(*size);
  require(out != NULL, "no memory");
  vt_record_encode(out, fields, n);
  return out;
}

static void check_reads_back(const uint8_t *record, size_t size, const vt_field *fields,
                             unsigned n) {
  vt_record r;
  vt_field f;

  CHECK(vt_record_open(&r, record, size));
  for (unsigned i = 0; i < n; i++) {
    bool is_there = vt_record_next(&r, &f);
    bool is_nan = fields[i].type == VT_FIELD_REAL && isnan(fields[i].real);
    CHECK(is_there);
    if (is_there && !(is_nan ? f.type == VT_FIELD_NULL : same_field(&f, &fields[i])))
      TEST_FAIL("field %u of %u is another", i, n);
  }
  CHECK(!vt_record_next(&r, &f));
  CHECK_EQ(r.body - record, size);
}

/* SQLite's record of these fields is ours, and ours reads back. */
static void check_fields(const vt_field *fields, unsigned n) {
  sqlite3 *db = open_table(n, "");
  size_t size, want_sz;
  uint8_t *got = encode(fields, n, &size), *want;

  insert(db, fields, n);
  want = copy_record(db, &want_sz);
  CHECK_MEM(got, size, want, want_sz);
  check_reads_back(got, size, fields, n);
  free(want);
  free(got);
  sqlite3_close(db);
}

static void check_field(vt_field f) { check_fields(&f, 1); }

/* -------------------------------------------------------------------------- writing */

static vt_field integer(int64_t v) { return (vt_field){.type = VT_FIELD_INTEGER, .integer = v}; }
static vt_field real(double v) { return (vt_field){.type = VT_FIELD_REAL, .real = v}; }

static void integers_around_every_power_of_two(void) {
  for (unsigned bit = 0; bit < 64; bit++) {
    for (int delta = -2; delta <= 2; delta++) {
      uint64_t v = ((uint64_t)1 << bit) + (uint64_t)(int64_t)delta;
      check_field(integer((int64_t)v));
      check_field(integer((int64_t)(0 - v)));
    }
  }
}

static const double reals[] = {
    0.0,       -0.0,    1.0,         -1.0,   0.5,     -1.5,    1e300,    5e-324, INFINITY,
    -INFINITY, 127.0,   128.0,       -128.0, -129.0,  32768.0, 8388608., 2e9,    140737488355327.,
    0x1p47,    -0x1p47, -0x1p47 - 1, 0x1p53, -0x1p63, 0x1p63,  0x1p64,   3e-10,  4294967296.5};
enum { N_REALS = sizeof reals / sizeof *reals };

static void reals_and_nan(void) {
  for (unsigned i = 0; i < N_REALS; i++) check_field(real(reals[i]));
  check_field(real(NAN));
}

static void texts_and_blobs_of_every_size(void) {
  enum { MOST = 70000 };
  char *bytes = malloc(MOST);

  require(bytes != NULL, "no memory");
  for (size_t i = 0; i < MOST; i++) bytes[i] = (char)('a' + i * 7 % 26);
  for (size_t n = 0; n <= MOST; n += n < 300 ? 1 : n < 5000 ? 97 : 4999) {
    check_field((vt_field){.type = VT_FIELD_TEXT, .data = bytes, .size = n});
    check_field((vt_field){.type = VT_FIELD_BLOB, .data = bytes, .size = n});
  }
  check_field((vt_field){.type = VT_FIELD_BLOB, .data = bytes, .size = MOST});
  check_field((vt_field){.type = VT_FIELD_BLOB, .data = NULL, .size = 0});
  check_field((vt_field){.type = VT_FIELD_TEXT, .data = "a\0\xc3\xa4\xff", .size = 5});
  free(bytes);
}

/* Up to 126 types the header's size takes one byte, from 127 on two. */
static void headers_whose_size_counts_itself(void) {
  enum { MOST = 2000 };
  static vt_field fields[MOST];
  static const char text[70];

  for (unsigned n = 1; n <= MOST; n = n < 140 ? n + 1 : n * 3) check_fields(fields, n);
  check_fields(fields, 200);
  check_fields(fields, MOST);
  for (unsigned i = 0; i < 10; i++)
    fields[i] = (vt_field){.type = VT_FIELD_TEXT, .data = text, .size = sizeof text};
  for (unsigned n = 110; n < 130; n++) check_fields(fields, n);
}

static vt_field random_field(const uint8_t *bytes, unsigned most) {
  uint64_t bits = random64();
  vt_field f = {.type = (vt_field_type)random_below(5), .data = bytes + random_below(8)};

  f.integer = (int64_t)bits >> random_below(64);
  memcpy(&f.real, &bits, sizeof f.real);
  f.size = random_below(random_below(4) ? 8 : most);
  return f;
}

static void random_rows(void) {
  enum { MOST = 1000 };
  uint8_t bytes[MOST + 8];
  vt_field fields[MAX_FIELDS];

  for (unsigned i = 0; i < sizeof bytes; i++) bytes[i] = (uint8_t)random64();
  for (unsigned i = 0; i < N_RANDOM; i++) {
    unsigned n = 1 + random_below(MAX_FIELDS);
    for (unsigned k = 0; k < n; k++) fields[k] = random_field(bytes, MOST);
    check_fields(fields, n);
  }
}

/* ------------------------------------------------------------------- REAL affinity */

static void check_real_column(double v) {
  sqlite3 *db = open_table(1, "REAL");
  sqlite3_stmt *s;
  vt_field f = real(v), want;
  size_t size, want_sz;
  uint8_t *ours, *sqlites;

  insert(db, &f, 1);
  vt_field_pack_real(&f);
  ours = encode(&f, 1, &size);
  sqlites = copy_record(db, &want_sz);
  CHECK_MEM(ours, size, sqlites, want_sz);
  vt_field_unpack_real(&f);
  CHECK(select_row(db, &s, &want, 1));
  CHECK(same_field(&f, &want));
  sqlite3_finalize(s);
  sqlite3_close(db);
  free(ours);
  free(sqlites);
}

static void integral_values_of_real_columns(void) {
  vt_field text = {.type = VT_FIELD_TEXT, .data = "1", .size = 1};

  for (unsigned i = 0; i < N_REALS; i++) check_real_column(reals[i]);
  vt_field_pack_real(&text);
  vt_field_unpack_real(&text);
  CHECK_EQ(text.type, VT_FIELD_TEXT);
}

/* -------------------------------------------------------------------------- reading */

/* The image of a database whose only row of N_COLUMNS columns has `record` for its
** record; valid until the next call. */
static uint8_t *plant(const uint8_t *record, size_t size, sqlite3_int64 *image_sz) {
  static const vt_field nulls[N_COLUMNS];
  static uint8_t *image;
  static sqlite3_int64 kept_sz;
  uint8_t *page, *cell;
  size_t page_sz;

  if (!image) {
    sqlite3 *db = open_table(N_COLUMNS, "");
    insert(db, nulls, N_COLUMNS);
    image = sqlite3_serialize(db, "main", &kept_sz, 0);
    require(image != NULL, "no image");
    sqlite3_close(db);
  }
  *image_sz = kept_sz;
  page_sz = (size_t)get_big_endian(image + 16, 2);
  page = image + (ROOT - 1) * page_sz;
  cell = page + page_sz / 2;
  require(size < 128, "a record whose size takes two bytes");
  page[5] = page[8] = (uint8_t)(page_sz / 2 >> 8); /* where cells begin; where the one is */
  page[6] = page[9] = (uint8_t)(page_sz / 2);
  cell[0] = (uint8_t)size;
  cell[1] = 1; /* the rowid */
  memcpy(cell + 2, record, size);
  return image;
}

/* Is it one of the records that SQLite takes for rows of NULLs, and we refuse:
** with a reserved serial type, or a header too small for its own size? */
static bool is_lenient(const uint8_t *record, size_t size) {
  uint64_t header_sz, type;
  size_t pos = skip_varint(record, &header_sz);

  if (header_sz < pos) return true;
  while (pos < header_sz && pos < size) {
    pos += skip_varint(record + pos, &type);
    if (type == 10 || type == 11) return true;
  }
  return false;
}

static unsigned n_accepted, n_refused;

static void check_as_sqlite_reads(const uint8_t *record, size_t size) {
  sqlite3_int64 image_sz;
  uint8_t *image = plant(record, size, &image_sz);
  uint8_t *copy = malloc(size);
  vt_field want[N_COLUMNS], f;
  unsigned n = 0;
  vt_record r;
  sqlite3 *db = NULL;
  sqlite3_stmt *s;

  require(copy != NULL, "no memory");
  memcpy(copy, record, size);
  require(sqlite3_open(":memory:", &db) == SQLITE_OK, "no database");
  require(!sqlite3_deserialize(db, "main", image, image_sz, image_sz, SQLITE_DESERIALIZE_READONLY),
          "the image does not open");
  if (!select_row(db, &s, want, N_COLUMNS) || is_lenient(record, size)) {
    CHECK(!vt_record_open(&r, copy, size));
    n_refused++;
  } else {
    CHECK(vt_record_open(&r, copy, size));
    while (vt_record_next(&r, &f) && n < N_COLUMNS) CHECK(same_field(&f, &want[n++]));
    while (n < N_COLUMNS) CHECK_EQ(want[n++].type, VT_FIELD_NULL);
    n_accepted++;
  }
  sqlite3_finalize(s);
  sqlite3_close(db);
  free(copy);
}

/* A varint, now and then in more bytes than it needs. */
static size_t random_varint(uint8_t *out, uint64_t v) {
  unsigned n = v < 128 ? 1 : v < 16384 ? 2 : 9;

  if (random_below(4) == 0) n += random_below(10 - n);
  for (unsigned i = n; i-- > 0;) {
    bool is_ninth = i == 8;
    out[i] = (uint8_t)(is_ninth ? v : (v & 0x7f) | (i + 1 < n ? 0x80 : 0));
    v >>= is_ninth ? 8 : 7;
  }
  return n;
}

/* A header that says more or less what follows it, and what follows it. */
static size_t random_record(uint8_t *out) {
  static const uint64_t wild[] = {10, 11, 127, 128, 0xffffffff, 0x100000000, UINT64_MAX};
  uint8_t types[64] = {0};
  size_t types_sz = 0, body_sz = 0, pos;

  for (unsigned n = random_below(5); n > 0; n--) {
    static const uint8_t sizes[] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0};
    uint64_t type = random_below(10);
    if (random_below(3) == 0) type = 12 + random_below(random_below(4) ? 20 : 180);
    if (random_below(40) == 0) type = wild[random_below(sizeof wild / sizeof *wild)];
    types_sz += random_varint(types + types_sz, type);
    body_sz += type < 10 ? sizes[type] : type < 12 || type > 200 ? 0 : (size_t)(type - 12) / 2;
  }
  pos = random_varint(out, types_sz + 1 + (random_below(8) ? 0 : random_below(5)));
  if (pos > 1) pos = random_varint(out, types_sz + pos); /* it may be of another size now */
  memcpy(out + pos, types, types_sz);
  pos += types_sz;
  if (random_below(6) == 0) body_sz += random_below(3);
  for (size_t i = 0; i < body_sz; i++) out[pos++] = (uint8_t)random64();
  if (random_below(6) == 0) pos -= random_below(3);
  return pos > 127 ? 0 : pos;
}

static void what_sqlite_reads_and_refuses(void) {
  uint8_t record[256];

  n_accepted = n_refused = 0;
  for (unsigned i = 0; i < N_RANDOM; i++) {
    size_t size = random_record(record);
    if (size > 0) check_as_sqlite_reads(record, size);
  }
  CHECK(n_accepted > N_RANDOM / 4);
  CHECK(n_refused > N_RANDOM / 8);
}

static void a_record_cut_anywhere_is_none(void) {
  vt_field fields[] = {integer(300), real(1.5), {.type = VT_FIELD_TEXT, .data = "text", .size = 4}};
  size_t size;
  uint8_t *record = encode(fields, 3, &size), longer[64] = {0};
  vt_record r;

  memcpy(longer, record, size);
  CHECK(vt_record_open(&r, longer, size));
  for (size_t n = 1; n <= size + 3; n++) {
    if (n != size) CHECK(!vt_record_open(&r, longer, n));
    check_as_sqlite_reads(longer, n);
  }
  CHECK(!vt_record_open(&r, NULL, 0));
  CHECK(!vt_record_open(&r, "\x01", 1)); /* no fields: SQLite refuses it too */
  CHECK(!vt_record_open(&r, "\x82", 1));
  CHECK(!vt_record_open(&r, "\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9));
  CHECK(!vt_record_open(&r, "\x0a\xff\xff\xff\xff\xff\xff\xff\xff\xff", 10));
  free(record);
}

static void a_stored_nan_is_null(void) {
  check_as_sqlite_reads((const uint8_t *)"\x02\x07\x7f\xf8\0\0\0\0\0", 10);
  check_as_sqlite_reads((const uint8_t *)"\x02\x07\xff\xff\0\0\0\0\0\x01", 10);
}

int main(void) {
  RUN(integers_around_every_power_of_two);
  RUN(reals_and_nan);
  RUN(texts_and_blobs_of_every_size);
  RUN(headers_whose_size_counts_itself);
  RUN(random_rows);
  RUN(integral_values_of_real_columns);
  RUN(what_sqlite_reads_and_refuses);
  RUN(a_record_cut_anywhere_is_none);
  RUN(a_stored_nan_is_null);
  return test_done();
}
