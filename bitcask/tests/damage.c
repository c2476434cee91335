/* damage.c - see damage.h. */
#include "damage.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "format.h"

enum { SMALL_SECTOR = 512, LARGE_SECTOR = 4096, MAX_RECORDS = 4096 };

const char *const damage_names[DAMAGE_N_KINDS] = {
    "one byte",      "one bit",       "five bits",       "burst",
    "sector zeroed", "sector copied", "sectors swapped", "sector of another file",
    "several",       "cut",           "older copy",      "last file gone",
    "hint",          "checkpoint",    "state page",      "spliced",
    "renamed",       "file gone"};

static uint64_t draw(const damage_source *s, uint64_t n) { return n ? s->draw(s->ctx, n) : 0; }

damage_file *damage_find(damage_dir *d, const char *name) {
  for (size_t i = 0; i < d->n; i++) {
    if (!strcmp(d->file[i].name, name)) return &d->file[i];
  }
  return NULL;
}

void damage_put(damage_dir *d, const char *name, const void *bytes, size_t n) {
  damage_file *f = damage_find(d, name);
  uint8_t *copy = malloc(n + 1);

  if (!copy || (!f && d->n == DAMAGE_MAX_FILES)) abort();
  if (n) memcpy(copy, bytes, n);
  if (!f) {
    f = &d->file[d->n++];
    snprintf(f->name, sizeof f->name, "%s", name);
  } else {
    free(f->bytes);
  }
  f->bytes = copy;
  f->n = n;
}

static void remove_file(damage_dir *d, damage_file *f) {
  free(f->bytes);
  *f = d->file[--d->n];
}

void damage_copy(damage_dir *to, const damage_dir *from) {
  to->n = 0;
  for (size_t i = 0; i < from->n; i++)
    damage_put(to, from->file[i].name, from->file[i].bytes, from->file[i].n);
}

void damage_clear(damage_dir *d) {
  while (d->n) free(d->file[--d->n].bytes);
}

/* ------------------------------------------------------------------ bytes */

static void flip_bits(damage_file *f, unsigned n, const damage_source *s) {
  while (n-- > 0) f->bytes[draw(s, f->n)] ^= (uint8_t)(1u << draw(s, 8));
}

static void burst(damage_file *f, const damage_source *s) {
  size_t at = (size_t)draw(s, f->n), n = 1 + (size_t)draw(s, 64);
  uint64_t with = draw(s, 3);
  for (size_t i = at; i < at + n && i < f->n; i++)
    f->bytes[i] = with == 0 ? 0xff : with == 1 ? 0 : (uint8_t)draw(s, 256);
}

/* A whole sector of the file; false if it has none. */
static bool pick_sector(const damage_file *f, size_t size, size_t *at, const damage_source *s) {
  if (f->n < size) return false;
  *at = (size_t)draw(s, f->n / size) * size;
  return true;
}

static bool damage_sector(damage_file *f, const damage_file *from, damage_kind kind,
                          const damage_source *s) {
  size_t size = draw(s, 2) && f->n >= 2 * LARGE_SECTOR ? LARGE_SECTOR : SMALL_SECTOR, a, b;
  uint8_t kept[LARGE_SECTOR];

  if (!pick_sector(f, size, &a, s) || !pick_sector(from, size, &b, s)) return false;
  if (kind == DAMAGE_SECTOR_ZERO) {
    memset(f->bytes + a, draw(s, 2) ? 0xff : 0, size);
    return true;
  }
  memcpy(kept, f->bytes + a, size);
  memmove(f->bytes + a, from->bytes + b, size);
  if (kind == DAMAGE_SECTOR_SWAP) memcpy(f->bytes + b, kept, size);
  return true;
}

static bool damage_bytes(damage_file *f, const damage_file *from, damage_kind kind,
                         const damage_source *s) {
  if (!f->n) return false;
  switch (kind) {
  case DAMAGE_BYTE:
    f->bytes[draw(s, f->n)] ^= (uint8_t)(1 + draw(s, 255));
    return true;
  case DAMAGE_BIT:
    flip_bits(f, 1, s);
    return true;
  case DAMAGE_BITS:
    flip_bits(f, 5, s);
    return true;
  case DAMAGE_BURST:
    burst(f, s);
    return true;
  case DAMAGE_SEVERAL:
    for (uint64_t n = 2 + draw(s, 3); n-- > 0;)
      (void)damage_bytes(f, from, (damage_kind)draw(s, DAMAGE_SECTOR_OTHER), s);
    return true;
  case DAMAGE_CUT:
    f->n = (size_t)draw(s, f->n);
    return true;
  default:
    return damage_sector(f, kind == DAMAGE_SECTOR_OTHER ? from : f, kind, s);
  }
}

/* --------------------------------------------------------- whole files */

static damage_file *pick(damage_dir *d, const char *with, const damage_source *s) {
  damage_file *fit[DAMAGE_MAX_FILES];
  size_t n = 0;
  for (size_t i = 0; i < d->n; i++) {
    if (strstr(d->file[i].name, with)) fit[n++] = &d->file[i];
  }
  return n ? fit[draw(s, n)] : NULL;
}

static damage_file *highest(damage_dir *d) {
  damage_file *top = NULL;
  for (size_t i = 0; i < d->n; i++) {
    damage_file *f = &d->file[i];
    if (strstr(f->name, ".data") &&
        (!top || strtoul(f->name, NULL, 10) > strtoul(top->name, NULL, 10)))
      top = f;
  }
  return top;
}

static const char *replace(damage_dir *d, damage_file *f, const damage_file *by) {
  char name[sizeof f->name];
  if (!by) return NULL;
  snprintf(name, sizeof name, "%s", f->name);
  damage_put(d, name, by->bytes, by->n);
  return damage_find(d, name)->name;
}

static void remove_with_hint(damage_dir *d, damage_file *f) {
  char hint[sizeof f->name + 16];
  damage_file *h;
  snprintf(hint, sizeof hint, "%lu.bitcask.hint", strtoul(f->name, NULL, 10));
  remove_file(d, f);
  h = damage_find(d, hint);
  if (h) remove_file(d, h);
}

/* A cache, or the page: what is in it must not matter. */
static const char *damage_cache(damage_dir *d, const char *with, const damage_dir *older,
                                const damage_dir *other, const damage_source *s) {
  damage_file *f = pick(d, with, s);
  damage_dir *from = (damage_dir *)(uintptr_t)other; /* only read */

  if (!f) return NULL;
  switch (draw(s, 6)) {
  case 0:
    return replace(d, f, pick(from, with, s));
  case 1:
    return replace(d, f, damage_find((damage_dir *)(uintptr_t)older, f->name));
  case 2:
    return replace(d, f, pick(d, with, s));
  case 3:
    remove_file(d, f);
    return with;
  default:
    return damage_bytes(f, f, (damage_kind)draw(s, DAMAGE_OLDER), s) ? f->name : NULL;
  }
}

/* Where records begin in a file. */
static size_t list_records(const damage_file *f, size_t at[MAX_RECORDS]) {
  size_t n = 0;
  bc_record r;
  for (size_t i = 0; n < MAX_RECORDS && i < f->n;) {
    if (bc_record_decode(f->bytes + i, f->n - i, &r) != BC_DECODE_OK) break;
    at[n++] = i;
    i += (size_t)bc_record_size(f->bytes + i);
  }
  return n;
}

static const char *splice(damage_dir *d, const damage_file *from, const damage_source *s) {
  static size_t in_from[MAX_RECORDS], in_to[MAX_RECORDS];
  damage_file *f = pick(d, ".data", s);
  size_t n_from = list_records(from, in_from), n_to = list_records(f, in_to), first, last, at;
  uint8_t *p;
  char name[sizeof f->name];

  if (n_from < 2 || !n_to) return NULL;
  first = (size_t)draw(s, n_from - 1);
  last = first + 1 + (size_t)draw(s, n_from - first - 1);
  at = in_to[draw(s, n_to)];
  last = in_from[last];
  first = in_from[first];
  p = malloc(f->n + last - first);
  if (!p) abort();
  memcpy(p, f->bytes, at);
  memcpy(p + at, from->bytes + first, last - first);
  memcpy(p + at + last - first, f->bytes + at, f->n - at);
  snprintf(name, sizeof name, "%s", f->name);
  damage_put(d, name, p, f->n + last - first);
  free(p);
  return damage_find(d, name)->name;
}

const char *damage_apply(damage_dir *d, const damage_dir *older, const damage_dir *other,
                         damage_kind kind, const damage_source *s) {
  damage_file *f = pick(d, ".data", s), *from = pick(d, ".data", s);

  if (!f) return NULL;
  switch (kind) {
  case DAMAGE_OLDER:
    return replace(d, f, damage_find((damage_dir *)(uintptr_t)older, f->name));
  case DAMAGE_LAST_GONE:
    remove_with_hint(d, highest(d));
    return "last";
  case DAMAGE_HINT:
    return damage_cache(d, ".hint", older, other, s);
  case DAMAGE_CHECKPOINT:
    return damage_cache(d, ".keydir", older, other, s);
  case DAMAGE_STATE:
    return damage_cache(d, ".state", older, other, s);
  case DAMAGE_SPLICE:
    return splice(d, draw(s, 2) ? from : pick((damage_dir *)(uintptr_t)other, ".data", s), s);
  case DAMAGE_RENAMED:
    snprintf(f->name, sizeof f->name, "%u.bitcask.data", (unsigned)(1 + draw(s, 9)));
    for (size_t i = 0; i < d->n; i++) {
      if (&d->file[i] != f && !strcmp(d->file[i].name, f->name)) {
        remove_file(d, &d->file[i]);
        break;
      }
    }
    return "renamed";
  case DAMAGE_GONE:
    remove_file(d, &d->file[draw(s, d->n)]);
    return "gone";
  default:
    return damage_bytes(f, from, kind, s) ? f->name : NULL;
  }
}
