/*
** options.c - options by name, from one table.
*/
#include "options.h"

#include <limits.h>
#include <stddef.h>
#include <string.h>

typedef enum kind { BOOL, SYNC, MERGE, DAMAGE, BYTES, PERCENT, SECONDS, MILLISECONDS } kind;

typedef struct option {
  const char *name;
  kind kind;
  bool per_table; /* tables on one directory may differ in it */
  size_t offset;  /* in vt_options */
} option;

#define ENGINE(field) offsetof(vt_options, engine.field)

static const option options[] = {
    {"read_only", BOOL, true, ENGINE(read_only)},
    {"sync", SYNC, false, ENGINE(sync)},
    {"max_file_size", BYTES, false, ENGINE(max_file_size)},
    {"merge", MERGE, false, ENGINE(auto_merge)},
    {"frag_merge_trigger", PERCENT, false, ENGINE(frag_merge_trigger)},
    {"frag_threshold", PERCENT, false, ENGINE(frag_threshold)},
    {"dead_bytes_merge_trigger", BYTES, false, ENGINE(dead_bytes_merge_trigger)},
    {"dead_bytes_threshold", BYTES, false, ENGINE(dead_bytes_threshold)},
    {"small_file_threshold", BYTES, false, ENGINE(small_file_threshold)},
    {"expiry_secs", SECONDS, false, ENGINE(expiry_secs)},
    {"expiry_grace_time", SECONDS, false, ENGINE(expiry_grace_time)},
    {"timeout", MILLISECONDS, true, offsetof(vt_options, timeout_ms)},
    {"mmap", BOOL, false, ENGINE(mmap)},
    {"verify", BOOL, false, ENGINE(verify)},
    {"damage", DAMAGE, false, ENGINE(damage)},
};

enum { N_OPTIONS = sizeof(options) / sizeof(options[0]) };

/* What each kind takes, for the error text. */
static const char *const expected[] = {
    [BOOL] = "0 or 1",
    [SYNC] = "full, normal or off",
    [MERGE] = "auto or manual",
    [DAMAGE] = "refuse or ignore",
    [BYTES] = "a number of bytes, with k, M or G if you like",
    [PERCENT] = "a number from 0 to 100",
    [SECONDS] = "a number of seconds, up to 4294967295",
    [MILLISECONDS] = "a number of milliseconds, up to 2147483647",
};

static const char *const sync_names[] = {
    [BITCASK_SYNC_FULL] = "full",
    [BITCASK_SYNC_NORMAL] = "normal",
    [BITCASK_SYNC_OFF] = "off",
};

void vt_options_init(vt_options *o) {
  memset(o, 0, sizeof(*o));
  bitcask_options_init(&o->engine);
  o->timeout_ms = -1;
}

/* Decimal digits, then a suffix if `bytes`.  False if anything else is there or
** the number is over `max`. */
static bool parse_number(const char *z, bool bytes, uint64_t max, uint64_t *out) {
  uint64_t n = 0;
  unsigned shift = 0;
  if (*z < '0' || *z > '9') {
    return false;
  }
  for (; *z >= '0' && *z <= '9'; z++) {
    unsigned digit = (unsigned)(*z - '0');
    if (n > (max - digit) / 10) {
      return false;
    }
    n = n * 10 + digit;
  }
  if (bytes && *z) {
    shift = *z == 'k' || *z == 'K' ? 10 : *z == 'm' || *z == 'M' ? 20 : 0;
    shift = *z == 'g' || *z == 'G' ? 30 : shift;
    z += shift != 0;
  }
  if (*z || n > max >> shift) {
    return false;
  }
  *out = n << shift;
  return true;
}

static bool parse_value(kind k, const char *z, uint64_t *out) {
  switch (k) {
  case SYNC:
    for (*out = 0; *out <= BITCASK_SYNC_OFF; ++*out) {
      if (sqlite3_stricmp(z, sync_names[*out]) == 0) {
        return true;
      }
    }
    return false;
  case MERGE:
    *out = sqlite3_stricmp(z, "auto") == 0;
    return *out || sqlite3_stricmp(z, "manual") == 0;
  case DAMAGE:
    *out = sqlite3_stricmp(z, "ignore") == 0 ? BITCASK_DAMAGE_IGNORE : BITCASK_DAMAGE_REFUSE;
    return *out == BITCASK_DAMAGE_IGNORE || sqlite3_stricmp(z, "refuse") == 0;
  case BOOL:
    return parse_number(z, false, 1, out);
  case PERCENT:
    return parse_number(z, false, 100, out);
  case SECONDS:
    return parse_number(z, false, UINT32_MAX, out);
  case MILLISECONDS:
    return parse_number(z, false, INT_MAX, out);
  case BYTES:
    return parse_number(z, true, INT64_MAX, out);
  }
  return false;
}

static void store(vt_options *o, const option *d, uint64_t v) {
  char *p = (char *)o + d->offset;
  switch (d->kind) {
  case BOOL:
  case MERGE:
    *(bool *)p = v != 0;
    break;
  case SYNC:
    o->engine.sync = (bitcask_sync_mode)v;
    break;
  case DAMAGE:
    o->engine.damage = (bitcask_damage_mode)v;
    break;
  case BYTES:
    *(uint64_t *)p = v;
    break;
  case PERCENT:
    *(unsigned *)p = (unsigned)v;
    break;
  case SECONDS:
    *(uint32_t *)p = (uint32_t)v;
    break;
  case MILLISECONDS:
    *(int *)p = (int)v;
    break;
  }
}

static uint64_t load(const vt_options *o, const option *d) {
  const char *p = (const char *)o + d->offset;
  switch (d->kind) {
  case BOOL:
  case MERGE:
    return *(const bool *)p;
  case SYNC:
    return o->engine.sync;
  case DAMAGE:
    return o->engine.damage;
  case BYTES:
    return *(const uint64_t *)p;
  case PERCENT:
    return *(const unsigned *)p;
  case SECONDS:
    return *(const uint32_t *)p;
  case MILLISECONDS:
    break;
  }
  return 0;
}

bool vt_options_has(const char *name, size_t name_sz) {
  unsigned i = 0;
  while (i < N_OPTIONS && (strlen(options[i].name) != name_sz ||
                           sqlite3_strnicmp(name, options[i].name, (int)name_sz) != 0)) {
    i++;
  }
  return i < N_OPTIONS;
}

int vt_options_set(vt_options *o, const char *name, const char *value, char **err) {
  uint64_t v = 0;
  unsigned i = 0;
  while (i < N_OPTIONS && sqlite3_stricmp(name, options[i].name) != 0) {
    i++;
  }
  if (i == N_OPTIONS) {
    *err = sqlite3_mprintf("unknown option: %s", name);
    return SQLITE_ERROR;
  }
  if (o->given & (1u << i)) {
    *err = sqlite3_mprintf("option given twice: %s", name);
    return SQLITE_ERROR;
  }
  if (!parse_value(options[i].kind, value, &v)) {
    *err = sqlite3_mprintf("bad value for option %s: \"%s\" (expected %s)", name, value,
                           expected[options[i].kind]);
    return SQLITE_ERROR;
  }
  store(o, &options[i], v);
  o->given |= 1u << i;
  return SQLITE_OK;
}

const char *vt_options_conflict(const vt_options *o, const vt_options *other) {
  for (unsigned i = 0; i < N_OPTIONS; i++) {
    if (!options[i].per_table && load(o, &options[i]) != load(other, &options[i])) {
      return options[i].name;
    }
  }
  return NULL;
}
