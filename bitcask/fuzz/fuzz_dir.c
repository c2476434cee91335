/*
** fuzz_dir.c - a directory made by the fuzzer: two data files and a hint.
**
** It opens, or says why not; every value that it shows stands in the files as a
** record of that key with a right CRC; a put, a merge and a reopening change
** nothing but what was put.
*/
#include "crc32.h"
#include "engine.h"
#include "format.h"
#include "memenv.h"
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { N_FILES = 3, FILE_CAP = 1 << 16 };

typedef struct bytes {
  uint8_t data[FILE_CAP];
  size_t n;
} bytes;

static bytes files[N_FILES]; /* two data files and the first one's hint */
static const char *const paths[N_FILES] = {"/kv/1.bitcask.data", "/kv/2.bitcask.data",
                                           "/kv/1.bitcask.hint"};

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_dir: %s\n", what);
  abort();
}

/* ------------------------------------------------------------ making the files */

static void append(bytes *f, const void *data, size_t n) {
  if (n > FILE_CAP - f->n) return;
  memcpy(f->data + f->n, data, n);
  f->n += n;
}

static void append_record(bytes *f, uint32_t tstamp, const void *key, uint32_t key_sz,
                          const void *value, uint32_t value_sz) {
  size_t size = (size_t)BC_RECORD_HEADER_SZ + key_sz + value_sz;

  if (size > FILE_CAP - f->n) return;
  bc_record_encode(f->data + f->n, tstamp, key, key_sz, value, value_sz);
  f->n += size;
}

/* A marker in front of (or behind) the `length` bytes at `pos`, right but for
** what the fuzzer changed. */
static void append_marker(bytes *f, uint8_t kind, size_t pos, size_t length, uint8_t wrong) {
  bc_marker m = {.kind = (bc_marker_kind)kind, .length = length};
  uint8_t out[BC_MARKER_SZ];
  bc_record r;

  for (size_t i = pos; i < pos + length; i += (size_t)bc_record_size(f->data + i)) {
    if (bc_record_decode(f->data + i, f->n - i, &r) != BC_DECODE_OK) break;
    m.count++;
    m.crc = bc_batch_crc(m.crc, r.crc);
  }
  if (wrong & 1) m.length += wrong;
  if (wrong & 2) m.count += wrong;
  if (wrong & 4) m.crc ^= wrong;
  bc_marker_encode(out, 1700000000, &m);
  append(f, out, sizeof out);
}

static void append_hint(bytes *hint, const bytes *f) {
  bc_record r;

  for (size_t i = 0; bc_record_decode(f->data + i, f->n - i, &r) == BC_DECODE_OK;) {
    bc_hint_entry e = {r.key,    i,
                       r.key_sz, (uint32_t)bc_record_size(f->data + i),
                       r.tstamp, bc_is_tombstone(r.value, r.value_sz)};
    uint8_t out[BC_HINT_HEADER_SZ + BC_MAX_KEY_SZ];
    bc_hint_encode(out, &e);
    append(hint, out, BC_HINT_HEADER_SZ + e.key_sz);
    i += e.total_sz;
  }
}

/* The input as a program of four-byte steps that appends records, tombstones,
** markers, rubbish; so that not everything dies at its CRC. */
static void assemble(const uint8_t *p, size_t n, bool has_hint) {
  /* A writer makes no hint of a file in which a batch is wrong. */
  uint8_t may_be_wrong = has_hint ? 0 : 15;
  size_t open = 0;
  bytes *f = &files[0];

  for (; n >= 4; p += 4, n -= 4) {
    uint8_t tombstone[BC_TOMBSTONE_SZ];
    switch (p[0] % 8) {
    case 0:
    case 1:
      append_record(f, p[3], p + 1, 1, p, p[2] % 4);
      break;
    case 2:
      bc_tombstone_encode(tombstone, p[2]);
      append_record(f, p[3], p + 1, 1, tombstone, p[3] % 2 ? sizeof tombstone : 17);
      break;
    case 3: /* the beginning of a large transaction, or of nothing */
      if (has_hint) break;
      append_marker(f, p[1] % 2 ? BC_MARKER_OPEN : BC_MARKER_BATCH, f->n, 0, p[2]);
      open = f->n;
      break;
    case 4:
      if (!has_hint && open <= f->n) append_marker(f, BC_MARKER_END, open, f->n - open, p[2] & 15);
      break;
    case 5: { /* a whole batch of two: the marker needs what follows, so that is made first */
      bytes *batch = calloc(1, sizeof *batch);
      uint8_t wrong = p[3] & may_be_wrong;
      require(batch != NULL, "no memory");
      append_record(batch, 9, p + 1, 1, p, 3);
      append_record(batch, 9, p + 2, 1, p, 2);
      append_marker(batch, BC_MARKER_BATCH, 0, batch->n, wrong);
      append(f, batch->data + batch->n - BC_MARKER_SZ, BC_MARKER_SZ);
      append(f, batch->data, batch->n - BC_MARKER_SZ);
      free(batch);
      break;
    }
    case 6:
      if (!has_hint) append(f, p, 1 + p[1] % 3);
      break;
    default:
      if (f == &files[0]) open = SIZE_MAX;
      f = &files[1];
    }
  }
}

static void make_files(const uint8_t *data, size_t n) {
  uint8_t flags = data[0];
  size_t a = data[1] * n / 256, b = a + data[2] * (n - a) / 256;

  for (int i = 0; i < N_FILES; i++) files[i].n = 0;
  if (flags & 1) {
    append(&files[0], data, a);
    append(&files[1], data + a, b - a);
    append(&files[2], data + b, n - b);
    return;
  }
  assemble(data + 3, n - 3, flags & 2);
  if (flags & 2) {
    uint8_t trailer[BC_HINT_HEADER_SZ];
    append_hint(&files[2], &files[0]);
    bc_hint_trailer_encode(trailer, bc_crc32(0, files[2].data, files[2].n) + (flags >> 7));
    append(&files[2], trailer, sizeof trailer);
  }
  if (flags & 4 && files[0].n) files[0].data[((size_t)data[1] << 8 | data[2]) % files[0].n] ^= 1;
  if (flags & 8) files[0].n -= data[1] % (files[0].n + 1);
}

/* ------------------------------------------------------------------- checking */

/* Does a data file hold that value for that key, with a right CRC? */
static bool is_in_files(const model_entry *e) {
  bc_record r;

  for (int k = 0; k < 2; k++) {
    for (size_t i = 0; i + BC_RECORD_HEADER_SZ <= files[k].n; i++) {
      if (bc_record_size(files[k].data + i) !=
          BC_RECORD_HEADER_SZ + (uint64_t)e->key_sz + e->value_sz)
        continue;
      if (bc_record_decode(files[k].data + i, files[k].n - i, &r) != BC_DECODE_OK) continue;
      if (r.key_sz == e->key_sz && !memcmp(r.key, e->bytes, e->key_sz) &&
          !memcmp(r.value, model_value(e), e->value_sz)) {
        return true;
      }
    }
  }
  return false;
}

static void check_gets(const model *m, bitcask_snapshot *snap) {
  bitcask_buf buf = {0};
  bitcask_entry e;

  for (size_t i = 0; i < m->n; i++) {
    const model_entry *want = m->entries[i];
    require(!bitcask_snapshot_get(snap, want->bytes, want->key_sz, &buf, &e, NULL), "get fails");
    require(e.value_sz == want->value_sz && !memcmp(e.value, model_value(want), e.value_sz),
            "get and iteration differ");
  }
  bitcask_buf_free(&buf);
}

/* What can be read.  A record under a good hint may be rotten: that is said, and
** the iteration goes on behind it. */
static void read_all(bitcask *bc, model *out) {
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry e;
  int rc;

  model_clear(out);
  require(!bitcask_snapshot_open(bc, NULL, &snap, NULL), "no snapshot");
  require(!bitcask_iter_open(snap, BITCASK_VALUES, &it, NULL), "no iterator");
  while ((rc = bitcask_iter_next(it, &e, NULL)) != BITCASK_NOTFOUND) {
    require(rc == BITCASK_OK || rc == BITCASK_CORRUPT, "an iteration fails");
    if (rc) continue;
    require(!model_get(out, e.key, e.key_sz), "a key twice");
    model_put(out, e.key, e.key_sz, e.value, e.value_sz, e.tstamp);
  }
  bitcask_iter_close(it);
  check_gets(out, snap);
  bitcask_snapshot_close(snap);
}

static void quiet(void *ctx, const char *text) {
  (void)ctx;
  (void)text;
}

static int skip_problem(void *ctx, const bitcask_problem *p) {
  (void)ctx;
  return p->text == NULL;
}

static bitcask *open_dir(memenv *m, bool read_only) {
  bitcask_options o;
  bitcask *bc = NULL;
  bitcask_error e;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = !read_only;
  o.read_only = read_only;
  o.log = quiet;
  o.max_file_size = 4096;
  if (bc_open_env("/kv", &o, memenv_env(m), &bc, &e)) {
    fprintf(stderr, "%s\n", e.text);
    require(false, "it does not open");
  }
  return bc;
}

static void use(memenv *m, const model *before) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask *bc = open_dir(m, false);
  model want = {0}, got = {0};
  uint64_t n_problems;

  read_all(bc, &got);
  require(model_equal(before, &got), "read-only and read-write differ");
  require(!bitcask_verify(bc, skip_problem, NULL, NULL, &n_problems, NULL), "verify failed");
  require(!bitcask_put(bc, "a", 1, "put", 3, NULL), "put failed");
  require(!bitcask_delete(bc, "b", 1, NULL), "delete failed");
  model_copy(&want, before);
  model_put(&want, "a", 1, "put", 3, 0);
  model_delete(&want, "b", 1);
  read_all(bc, &got);
  require(model_equal(&want, &got), "the put changed something else");
  require(!bitcask_merge(bc, &all, NULL, NULL), "merge failed");
  read_all(bc, &got);
  require(model_equal(&want, &got), "the merge changed something");
  require(!bitcask_close(bc, NULL), "close failed");
  bc = open_dir(m, true);
  read_all(bc, &got);
  require(model_equal(&want, &got), "reopening changed something");
  require(!bitcask_close(bc, NULL), "close failed");
  model_clear(&want);
  model_clear(&got);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  memenv *m;
  bitcask *bc;
  model found = {0};

  if (n < 8 || n > FILE_CAP / 4) return 0;
  make_files(data, n);
  m = memenv_new(1);
  memenv_env(m)->mkdir(m, "/kv");
  for (int i = 0; i < N_FILES; i++) {
    if (files[i].n || (data[3] & 1 << i)) memenv_write_file(m, paths[i], files[i].data, files[i].n);
  }
  bc = open_dir(m, true);
  read_all(bc, &found);
  require(!bitcask_close(bc, NULL), "close failed");
  for (size_t i = 0; i < found.n; i++) {
    require(is_in_files(found.entries[i]), "a value that stands nowhere");
  }
  use(m, &found);
  require(memenv_n_open(m) == 0, "descriptors left open");
  model_clear(&found);
  memenv_free(m);
  return 0;
}
