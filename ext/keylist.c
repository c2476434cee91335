/*
** keylist.c - a binary heap of keys.
*/
#include "keylist.h"

#include <stdlib.h>
#include <string.h>

void vt_keylist_clear(vt_keylist *l) {
  l->bytes.size = 0;
  l->n = 0;
  l->next = 0;
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

int vt_keylist_add(vt_keylist *l, const void *key, size_t size) {
  if (!grow(l, size)) {
    return SQLITE_NOMEM;
  }
  l->items[l->n++] = (vt_keylist_item){prefix_of(key, size), l->bytes.size, size};
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

/* Let the item at i sink to where none below comes before it. */
static void sift(vt_keylist *l, size_t i) {
  vt_keylist_item item = l->items[i];
  for (;;) {
    size_t child = 2 * i + 1;
    if (child + 1 < l->n && before(l, &l->items[child + 1], &l->items[child])) {
      child++;
    }
    if (child >= l->n || !before(l, &l->items[child], &item)) {
      break;
    }
    l->items[i] = l->items[child];
    i = child;
  }
  l->items[i] = item;
}

void vt_keylist_finish(vt_keylist *l, vt_order order) {
  l->order = order;
  if (order != VT_ORDER_NONE) {
    for (size_t i = l->n / 2; i-- > 0;) {
      sift(l, i);
    }
  }
}

bool vt_keylist_take(vt_keylist *l, const void **key, size_t *size) {
  vt_keylist_item item;
  if (l->order == VT_ORDER_NONE) {
    if (l->next == l->n) {
      return false;
    }
    item = l->items[l->next++];
  } else {
    if (l->n == 0) {
      return false;
    }
    item = l->items[0];
    l->items[0] = l->items[--l->n];
    if (l->n) {
      sift(l, 0);
    }
  }
  *key = item.size ? (const void *)(l->bytes.data + item.pos) : "";
  *size = item.size;
  return true;
}

void vt_keylist_shrink(vt_keylist *l, size_t keep) {
  if (l->bytes.cap + l->cap * sizeof(*l->items) > keep) {
    bitcask_buf_free(&l->bytes);
    free(l->items);
    memset(l, 0, sizeof(*l));
  }
}
