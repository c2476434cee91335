/*
** item.h - the keys, values and random choices of the benchmark.
**
** An item is a number.  Its key is 16 hexadecimal digits of a bijection of that
** number, so consecutive items come in random key order and no two share a key.
** Its value names the item and a version and is otherwise noise that depends on
** both, so that a reader can tell a right value from any wrong one.
*/
#ifndef ITEM_H
#define ITEM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define KEY_SZ 16
#define MIN_VALUE_SZ 16
#define FIRST_MISSING ((uint64_t)1 << 40) /* items from here on are never stored */

/* Sets the size of all values from now on. */
void item_init(size_t value_sz);
void item_release(void);
size_t item_value_sz(void);

void item_key(uint64_t item, char key[KEY_SZ]);
void item_value(uint64_t item, uint64_t version, uint8_t *out);

/* Is this the value of the item, in any version?  *version says in which. */
bool item_check(uint64_t item, const void *value, size_t n, uint64_t *version);

/* A fast generator; start it with any seed. */
typedef struct rng {
  uint64_t state;
} rng;

uint64_t rng_next(rng *r);
uint64_t rng_below(rng *r, uint64_t n);

/* YCSB's zipfian choice among n items, popularity 1/rank^0.99, the popular ones
** scattered over all. */
typedef struct zipf {
  uint64_t n;
  double zeta_n, eta, alpha;
} zipf;

void zipf_init(zipf *z, uint64_t n);
uint64_t zipf_next(const zipf *z, rng *r);

#endif
