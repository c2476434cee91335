/*
** keylist.h - copies of keys, given back one by one, in order if wanted.
**
** Ordering is done bit by bit: whoever takes ten of n keys (LIMIT) pays some n steps
** for them, and whoever takes all n log n.
*/
#ifndef VT_KEYLIST_H
#define VT_KEYLIST_H

#include "bitcask.h"
#include "host.h"

typedef enum vt_order { VT_ORDER_NONE, VT_ORDER_ASC, VT_ORDER_DESC } vt_order;

typedef struct vt_keylist_item {
  uint64_t prefix; /* the first bytes behind those that all keys have in common */
  size_t pos;      /* in `bytes` */
  size_t size;
} vt_keylist_item;

enum { VT_KEYLIST_BOUNDARIES = 64 };

/* Zero it to begin with. */
typedef struct vt_keylist {
  bitcask_buf bytes;
  vt_keylist_item *items;
  size_t n;
  size_t cap;
  size_t common; /* first bytes that all keys have in common */
  size_t next;   /* items[next] is the next one to take, */
  size_t sorted; /* those before this one are in order, */
  /* and none before a boundary comes after one behind it: the nearest is last. */
  size_t boundaries[VT_KEYLIST_BOUNDARIES];
  unsigned n_boundaries;
  uint32_t random;
  vt_order order;
} vt_keylist;

/* Forget all keys, keep the memory. */
void vt_keylist_clear(vt_keylist *l);

/* Add a copy of a key.  SQLITE_NOMEM. */
int vt_keylist_add(vt_keylist *l, const void *key, size_t size);

/* No more keys are added; they come in this order of their bytes. */
void vt_keylist_finish(vt_keylist *l, vt_order order);

/* Take the next key, valid until vt_keylist_clear.  False: that was all. */
bool vt_keylist_take(vt_keylist *l, const void **key, size_t *size);

/* Give back memory over `keep` bytes. */
void vt_keylist_shrink(vt_keylist *l, size_t keep);

#endif
