/*
** model.c - see model.h.
*/
#include "model.h"

#include "memenv_int.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static int compare(const model_entry *e, const void *key, size_t key_sz) {
  size_t n = e->key_sz < key_sz ? e->key_sz : key_sz;
  int c = n ? memcmp(e->bytes, key, n) : 0;

  return c ? c : (e->key_sz > key_sz) - (e->key_sz < key_sz);
}

/* Where the key is, or where it would have to be. */
static size_t position(const model *m, const void *key, size_t key_sz, bool *found) {
  size_t lo = 0, hi = m->n;

  *found = false;
  while (lo < hi) {
    size_t mid = lo + (hi - lo) / 2;
    int c = compare(m->entries[mid], key, key_sz);
    if (!c) {
      *found = true;
      return mid;
    }
    if (c < 0)
      lo = mid + 1;
    else
      hi = mid;
  }
  return lo;
}

static void entry_unref(model_entry *e) {
  if (!--e->n_refs) free(e);
}

void model_clear(model *m) {
  for (size_t i = 0; i < m->n; i++) entry_unref(m->entries[i]);
  free(m->entries);
  *m = (model){0};
}

void model_copy(model *to, const model *from) {
  model_clear(to);
  to->entries = mem_alloc(from->n * sizeof *to->entries);
  to->n = to->cap = from->n;
  for (size_t i = 0; i < from->n; i++) {
    to->entries[i] = from->entries[i];
    to->entries[i]->n_refs++;
  }
}

void model_put(model *m, const void *key, size_t key_sz, const void *value, size_t value_sz,
               uint32_t tstamp) {
  bool found;
  size_t at = position(m, key, key_sz, &found);
  model_entry *e = mem_alloc(sizeof *e + key_sz + value_sz);

  *e = (model_entry){1, (uint32_t)key_sz, (uint32_t)value_sz, tstamp};
  if (key_sz) memcpy(e->bytes, key, key_sz);
  if (value_sz) memcpy(e->bytes + key_sz, value, value_sz);
  if (found) {
    entry_unref(m->entries[at]);
    m->entries[at] = e;
    return;
  }
  if (m->n == m->cap) {
    m->cap = m->cap ? 2 * m->cap : 16;
    m->entries = mem_grow(m->entries, m->cap * sizeof *m->entries);
  }
  memmove(m->entries + at + 1, m->entries + at, (m->n - at) * sizeof *m->entries);
  m->entries[at] = e;
  m->n++;
}

bool model_delete(model *m, const void *key, size_t key_sz) {
  bool found;
  size_t at = position(m, key, key_sz, &found);

  if (!found) return false;
  entry_unref(m->entries[at]);
  memmove(m->entries + at, m->entries + at + 1, (m->n - at - 1) * sizeof *m->entries);
  m->n--;
  return true;
}

const model_entry *model_get(const model *m, const void *key, size_t key_sz) {
  bool found;
  size_t at = position(m, key, key_sz, &found);
  return found ? m->entries[at] : NULL;
}

const void *model_value(const model_entry *e) { return e->bytes + e->key_sz; }

static bool entry_equal(const model_entry *a, const model_entry *b) {
  return a == b || (a->key_sz == b->key_sz && a->value_sz == b->value_sz &&
                    !memcmp(a->bytes, b->bytes, (size_t)a->key_sz + a->value_sz));
}

bool model_equal(const model *a, const model *b) {
  if (a->n != b->n) return false;
  for (size_t i = 0; i < a->n; i++) {
    if (!entry_equal(a->entries[i], b->entries[i])) return false;
  }
  return true;
}

void model_expire(model *m, uint32_t oldest) {
  size_t n = 0;
  for (size_t i = 0; i < m->n; i++) {
    if (m->entries[i]->tstamp < oldest)
      entry_unref(m->entries[i]);
    else
      m->entries[n++] = m->entries[i];
  }
  m->n = n;
}

/* ------------------------------------------------------------- reading an engine */

static const char *read_values(model *out, bitcask_snapshot *snap) {
  bitcask_iter *it = NULL;
  bitcask_entry e;
  const char *bad = NULL;
  int rc = bitcask_iter_open(snap, BITCASK_VALUES, &it, NULL);

  if (rc) return bitcask_strerror(rc);
  while (!bad && !(rc = bitcask_iter_next(it, &e, NULL))) {
    if (model_get(out, e.key, e.key_sz)) bad = "a key twice in an iteration";
    if (e.total_sz != 14 + e.key_sz + e.value_sz) bad = "an entry whose sizes do not add up";
    model_put(out, e.key, e.key_sz, e.value, e.value_sz, e.tstamp);
  }
  if (!bad && rc != BITCASK_NOTFOUND) bad = bitcask_strerror(rc);
  bitcask_iter_close(it);
  return bad;
}

static const char *check_keys(const model *m, bitcask_snapshot *snap) {
  bitcask_iter *it = NULL;
  bitcask_entry e;
  const char *bad = NULL;
  size_t n = 0;
  int rc = bitcask_iter_open(snap, BITCASK_KEYS, &it, NULL);

  if (rc) return bitcask_strerror(rc);
  while (!bad && !(rc = bitcask_iter_next(it, &e, NULL))) {
    const model_entry *want = model_get(m, e.key, e.key_sz);
    n++;
    if (!want)
      bad = "a key among the keys that is not among the values";
    else if (want->value_sz != e.value_sz)
      bad = "two sizes for one value";
    else if (e.value)
      bad = "a value where only keys were asked for";
  }
  if (!bad && rc != BITCASK_NOTFOUND) bad = bitcask_strerror(rc);
  if (!bad && n != m->n) bad = "a key among the values that is not among the keys, or one twice";
  bitcask_iter_close(it);
  return bad;
}

static const char *check_gets(const model *m, bitcask_snapshot *snap) {
  bitcask_buf buf = {0};
  const char *bad = NULL;

  for (size_t i = 0; i < m->n && !bad; i++) {
    const model_entry *want = m->entries[i];
    bitcask_entry e;
    int rc = bitcask_snapshot_get(snap, want->bytes, want->key_sz, &buf, &e, NULL);
    if (rc)
      bad = bitcask_strerror(rc);
    else if (e.value_sz != want->value_sz)
      bad = "get and iteration differ in size";
    else if (e.value_sz && memcmp(e.value, model_value(want), e.value_sz))
      bad = "get and iteration differ";
  }
  bitcask_buf_free(&buf);
  return bad;
}

const char *model_read(model *out, bitcask_snapshot *snap) {
  const char *bad;

  model_clear(out);
  bad = read_values(out, snap);
  if (!bad) bad = check_keys(out, snap);
  if (!bad) bad = check_gets(out, snap);
  if (!bad && bitcask_snapshot_count(snap) < out->n) bad = "the count is too low";
  return bad;
}

static void print_entry(const char *what, const model_entry *e) {
  fprintf(stderr, "  %s: key '%.*s' (%" PRIu32 " bytes), value of %" PRIu32 " bytes '%.*s'\n", what,
          e->key_sz < 40 ? (int)e->key_sz : 40, (const char *)e->bytes, e->key_sz, e->value_sz,
          e->value_sz < 40 ? (int)e->value_sz : 40, (const char *)model_value(e));
}

void model_print_diff(const model *want, const model *got) {
  int left = 5;

  fprintf(stderr, "  %zu keys wanted, %zu there\n", want->n, got->n);
  for (size_t i = 0; i < want->n && left; i++) {
    const model_entry *e = want->entries[i];
    const model_entry *g = model_get(got, e->bytes, e->key_sz);
    if (g && entry_equal(e, g)) continue;
    print_entry(g ? "wanted" : "missing", e);
    if (g) print_entry("instead", g);
    left--;
  }
  for (size_t i = 0; i < got->n && left; i++) {
    const model_entry *e = got->entries[i];
    if (model_get(want, e->bytes, e->key_sz)) continue;
    print_entry("not wanted", e);
    left--;
  }
}
