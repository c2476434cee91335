/*
** keylist.c - keys, sorted as far as they are taken.
**
** The sort is quicksort that leaves the later part for later: it remembers where it
** has divided the keys, and divides only the part that the next key is in.  Parts
** are divided at random, so that no keys chosen by anybody make it slow.
*/
#include "keylist.h"

#include <stdlib.h>
#include <string.h>

void vt_keylist_clear(vt_keylist *l) {
  l->bytes.size = 0;
  l->n = 0;
  l->next = 0;
  l->sorted = 0;
  l->n_boundaries = 0;
  l->order = VT_ORDER_NONE;
}

/* The first bytes as a number that compares as they do. */
static uint64_t prefix_of(const uint8_t *key, size_t size) {
  uint64_t prefix = 0;
  for (size_t i = 0; i < sizeof(prefix); i++) {
    prefix = prefix << 8 | (i < size ? key[i] : 0);
  }
  return prefix;
}

static bool grow(vt_keylist *l, size_t size) {
  if (l->n == l->cap) {
    size_t cap = l->cap ? l->cap * 2 : 16;
    vt_keylist_item *p = realloc(l->items, cap * sizeof(*p));
    if (!p) {
      return false;
    }
    l->items = p;
    l->cap = cap;
  }
  if (size > l->bytes.cap - l->bytes.size) {
    size_t cap = (l->bytes.size + size) * 2;
    uint8_t *p = realloc(l->bytes.data, cap);
    if (!p) {
      return false;
    }
    l->bytes.data = p;
    l->bytes.cap = cap;
  }
  return true;
}

/* How many of the first bytes that all keys have in common this one has too. */
static size_t common_with(const vt_keylist *l, const uint8_t *key, size_t size) {
  const uint8_t *first = l->bytes.data;
  size_t most = l->common < size ? l->common : size;
  size_t i = 0;
  while (i < most && key[i] == first[i]) {
    i++;
  }
  return i;
}

int vt_keylist_add(vt_keylist *l, const void *key, size_t size) {
  if (!grow(l, size)) {
    return SQLITE_NOMEM;
  }
  l->common = l->n ? common_with(l, key, size) : size;
  l->items[l->n++] = (vt_keylist_item){0, l->bytes.size, size};
  if (size) {
    memcpy(l->bytes.data + l->bytes.size, key, size);
    l->bytes.size += size;
  }
  return SQLITE_OK;
}

/* Does a come before b? */
static bool before(const vt_keylist *l, const vt_keylist_item *a, const vt_keylist_item *b) {
  int c = a->prefix < b->prefix ? -1 : a->prefix > b->prefix;
  if (c == 0) {
    size_t common = a->size < b->size ? a->size : b->size;
    c = common ? memcmp(l->bytes.data + a->pos, l->bytes.data + b->pos, common) : 0;
    c = c ? c : a->size < b->size ? -1 : a->size > b->size;
  }
  return l->order == VT_ORDER_DESC ? c > 0 : c < 0;
}

static void swap(vt_keylist_item *a, vt_keylist_item *b) {
  vt_keylist_item item = *a;
  *a = *b;
  *b = item;
}

/* Parts this small are sorted at once. */
enum { SMALL = 16 };

static void insertion_sort(const vt_keylist *l, vt_keylist_item *begin,
                           const vt_keylist_item *end) {
  for (vt_keylist_item *p = begin; p < end; p++) {
    vt_keylist_item item = *p;
    vt_keylist_item *to = p;
    for (; to > begin && before(l, &item, to - 1); to--) {
      *to = to[-1];
    }
    *to = item;
  }
}

/* xorshift: any numbers that nobody can foresee by choosing keys will do. */
static uint32_t next_random(vt_keylist *l) {
  l->random ^= l->random << 13;
  l->random ^= l->random >> 17;
  l->random ^= l->random << 5;
  return l->random;
}

/* Divide items[begin..end) by one of them; where that one stands then.  Keys differ
** from each other. */
static size_t divide(vt_keylist *l, size_t begin, size_t end) {
  vt_keylist_item *a = l->items;
  size_t to = begin;
  swap(&a[begin + next_random(l) % (end - begin)], &a[end - 1]);
  for (size_t i = begin; i < end - 1; i++) {
    if (before(l, &a[i], &a[end - 1])) {
      swap(&a[i], &a[to++]);
    }
  }
  swap(&a[to], &a[end - 1]);
  return to;
}

static void add_boundary(vt_keylist *l, size_t at) {
  if (l->n_boundaries == VT_KEYLIST_BOUNDARIES) {
    /* The one that is needed last is forgotten, and found again then. */
    memmove(l->boundaries, l->boundaries + 1, sizeof(l->boundaries) - sizeof(l->boundaries[0]));
    l->n_boundaries--;
  }
  l->boundaries[l->n_boundaries++] = at;
}

/* Have items[next] in its place. */
static void sort_next(vt_keylist *l) {
  size_t end;
  for (;;) {
    while (l->n_boundaries && l->boundaries[l->n_boundaries - 1] <= l->next) {
      l->n_boundaries--;
    }
    end = l->n_boundaries ? l->boundaries[l->n_boundaries - 1] : l->n;
    if (end - l->next <= SMALL) {
      break;
    }
    add_boundary(l, divide(l, l->next, end));
  }
  insertion_sort(l, l->items + l->next, l->items + end);
  l->sorted = end;
}

void vt_keylist_finish(vt_keylist *l, vt_order order) {
  l->order = order;
  if (order == VT_ORDER_NONE) {
    l->sorted = l->n;
    return;
  }
  sqlite3_randomness(sizeof(l->random), &l->random);
  l->random |= 1; /* 0 stays 0 for ever */
  for (size_t i = 0; i < l->n; i++) {
    vt_keylist_item *item = &l->items[i];
    item->prefix = prefix_of(l->bytes.data + item->pos + l->common, item->size - l->common);
  }
}

bool vt_keylist_take(vt_keylist *l, const void **key, size_t *size) {
  const vt_keylist_item *item;
  if (l->next == l->n) {
    return false;
  }
  if (l->next == l->sorted) {
    sort_next(l);
  }
  item = &l->items[l->next++];
  *key = item->size ? (const void *)(l->bytes.data + item->pos) : "";
  *size = item->size;
  return true;
}

void vt_keylist_shrink(vt_keylist *l, size_t keep) {
  if (l->bytes.cap + l->cap * sizeof(*l->items) > keep) {
    bitcask_buf_free(&l->bytes);
    free(l->items);
    memset(l, 0, sizeof(*l));
  }
}
