/*
** model.h - an ordered map from keys to values: what a Bitcask should hold.
**
** So simple that it is right: a sorted array of shared entries.  A copy costs
** one pointer per key.
*/
#ifndef MODEL_H
#define MODEL_H

#include "bitcask.h"

typedef struct model_entry {
  unsigned n_refs;
  uint32_t key_sz;
  uint32_t value_sz;
  uint32_t tstamp;
  uint8_t bytes[]; /* key, then value */
} model_entry;

typedef struct model {
  model_entry **entries; /* ascending by key */
  size_t n;
  size_t cap;
} model;

void model_clear(model *m);
void model_copy(model *to, const model *from); /* `to` is released first */
void model_put(model *m, const void *key, size_t key_sz, const void *value, size_t value_sz,
               uint32_t tstamp);
bool model_delete(model *m, const void *key, size_t key_sz); /* was it there? */
/* Valid until the model changes; NULL if there is none. */
const model_entry *model_get(const model *m, const void *key, size_t key_sz);
const void *model_value(const model_entry *e);
bool model_equal(const model *a, const model *b); /* timestamps do not count */
/* Without the entries that are older than `oldest`. */
void model_expire(model *m, uint32_t oldest);

/* All that a snapshot holds, by both kinds of iteration and by get, put into
** `out`.  NULL, or what is wrong (static text): a key twice, keys that one way
** shows and another does not, a status code. */
const char *model_read(model *out, bitcask_snapshot *snap);

/* The first difference, to stderr. */
void model_print_diff(const model *want, const model *got);

#endif
