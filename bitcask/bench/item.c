/*
** item.c - keys, values, random numbers.
*/
#include "item.h"
#include "bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#define NOISE_STARTS 4096 /* a power of two: where the noise of a value may start */
#define THETA 0.99        /* of YCSB */

static uint8_t *noise;
static size_t value_sz;
static char hex[256][2];

/* The finalizer of splitmix64: a bijection that looks random. */
static uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

void item_init(size_t sz) {
  static const char digits[] = "0123456789abcdef";
  size_t n = NOISE_STARTS + sz;
  rng r = {42};

  item_release();
  value_sz = sz;
  noise = bench_alloc(n);
  for (size_t i = 0; i < n; i++) {
    noise[i] = (uint8_t)rng_next(&r);
  }
  for (size_t i = 0; i < 256; i++) {
    hex[i][0] = digits[i >> 4];
    hex[i][1] = digits[i & 15];
  }
}

void item_release(void) {
  free(noise);
  noise = NULL;
}

size_t item_value_sz(void) { return value_sz; }

void item_key(uint64_t item, char key[KEY_SZ]) {
  uint64_t x = mix(item);

  for (size_t i = 0; i < KEY_SZ / 2; i++) {
    memcpy(key + 2 * i, hex[(x >> (56 - 8 * i)) & 255], 2);
  }
}

static const uint8_t *noise_of(uint64_t item, uint64_t version) {
  return noise + ((item * 31 + version * 17) & (NOISE_STARTS - 1));
}

void item_value(uint64_t item, uint64_t version, uint8_t *out) {
  memcpy(out, &item, 8);
  memcpy(out + 8, &version, 8);
  memcpy(out + 16, noise_of(item, version), value_sz - 16);
}

bool item_check(uint64_t item, const void *value, size_t n, uint64_t *version) {
  const uint8_t *p = value;

  if (n != value_sz || memcmp(p, &item, 8) != 0) {
    return false;
  }
  memcpy(version, p + 8, 8);
  return memcmp(p + 16, noise_of(item, *version), n - 16) == 0;
}

uint64_t rng_next(rng *r) {
  r->state += 0x9e3779b97f4a7c15u;
  return mix(r->state);
}

/* The high half of the product: no division, and a bias of n/2^32 at most. */
uint64_t rng_below(rng *r, uint64_t n) { return ((rng_next(r) >> 32) * n) >> 32; }

/* Gray et al., "Quickly generating billion-record synthetic databases", as in YCSB. */
void zipf_init(zipf *z, uint64_t n) {
  double zeta_2 = 1 + pow(0.5, THETA);

  z->n = n;
  z->zeta_n = 0;
  for (uint64_t i = 1; i <= n; i++) {
    z->zeta_n += pow(1 / (double)i, THETA);
  }
  z->alpha = 1 / (1 - THETA);
  z->eta = (1 - pow(2 / (double)n, 1 - THETA)) / (1 - zeta_2 / z->zeta_n);
}

uint64_t zipf_next(const zipf *z, rng *r) {
  double u = (double)(rng_next(r) >> 11) * 0x1p-53;
  double uz = u * z->zeta_n;
  uint64_t rank;

  if (uz < 1) {
    rank = 0;
  } else if (uz < 1 + pow(0.5, THETA)) {
    rank = 1;
  } else {
    rank = (uint64_t)((double)z->n * pow(z->eta * u - z->eta + 1, z->alpha));
  }
  return mix(rank) % z->n;
}
