#include "craft.h"

#include "src/engine.h"
#include "src/store.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char tombstone_prefix[] = "bitcask_tombstone";

static void die(const char *what) {
  perror(what);
  exit(2);
}

static void *grow(void *p, size_t n) {
  p = realloc(p, n ? n : 1);
  if (!p) {
    die("out of memory");
  }
  return p;
}

/* ------------------------------------------------------------------ encoder */

uint32_t craft_crc32(const void *data, size_t n) {
  static uint32_t table[256];
  const uint8_t *p = data;
  uint32_t crc = UINT32_MAX;

  if (table[1] == 0) {
    for (uint32_t i = 0; i < 256; i++) {
      uint32_t c = i;

      for (int bit = 0; bit < 8; bit++) {
        c = c & 1 ? c >> 1 ^ UINT32_C(0xedb88320) : c >> 1;
      }
      table[i] = c;
    }
  }
  while (n-- > 0) {
    crc = crc >> 8 ^ table[(crc ^ *p++) & 0xff];
  }
  return ~crc;
}

void craft_put_u16(uint8_t *p, uint32_t v) {
  p[0] = (uint8_t)(v >> 8);
  p[1] = (uint8_t)v;
}

void craft_put_u32(uint8_t *p, uint32_t v) {
  craft_put_u16(p, v >> 16);
  craft_put_u16(p + 2, v & 0xffff);
}

void craft_put_u64(uint8_t *p, uint64_t v) {
  craft_put_u32(p, (uint32_t)(v >> 32));
  craft_put_u32(p + 4, (uint32_t)v);
}

void craft_bytes(craft *c, const void *bytes, size_t n) {
  c->data = grow(c->data, c->data_sz + n);
  if (n) {
    memcpy(c->data + c->data_sz, bytes, n);
  }
  c->data_sz += n;
}

void craft_zeros(craft *c, size_t n) {
  c->data = grow(c->data, c->data_sz + n);
  memset(c->data + c->data_sz, 0, n);
  c->data_sz += n;
}

void craft_hint_entry(craft *c, uint32_t tstamp, const void *key, size_t key_sz, uint32_t total_sz,
                      uint64_t offset, bool is_tombstone) {
  uint8_t *p;

  c->hint = grow(c->hint, c->hint_sz + CRAFT_HINT_ENTRY_SZ + key_sz);
  p = c->hint + c->hint_sz;
  craft_put_u32(p, tstamp);
  craft_put_u16(p + 4, (uint32_t)key_sz);
  craft_put_u32(p + 6, total_sz);
  craft_put_u64(p + 10, offset | (is_tombstone ? UINT64_C(1) << 63 : 0));
  if (key_sz) {
    memcpy(p + CRAFT_HINT_ENTRY_SZ, key, key_sz);
  }
  c->hint_sz += CRAFT_HINT_ENTRY_SZ + key_sz;
}

void craft_record(craft *c, uint32_t tstamp, const void *key, size_t key_sz, const void *value,
                  size_t value_sz) {
  size_t total = CRAFT_HEADER_SZ + key_sz + value_sz, at = c->data_sz;
  size_t prefix_sz = strlen(tombstone_prefix);
  bool dead = value_sz >= prefix_sz && memcmp(value, tombstone_prefix, prefix_sz) == 0;
  uint8_t *p;

  craft_zeros(c, total);
  p = c->data + at;
  craft_put_u32(p + 4, tstamp);
  craft_put_u16(p + 8, (uint32_t)key_sz);
  craft_put_u32(p + 10, (uint32_t)value_sz);
  if (key_sz) {
    memcpy(p + CRAFT_HEADER_SZ, key, key_sz);
  }
  if (value_sz) {
    memcpy(p + CRAFT_HEADER_SZ + key_sz, value, value_sz);
  }
  craft_put_u32(p, craft_crc32(p + 4, total - 4));
  craft_hint_entry(c, tstamp, key, key_sz, (uint32_t)total, at, dead);
}

void craft_put(craft *c, uint32_t tstamp, const char *key, const char *value) {
  craft_record(c, tstamp, key, strlen(key), value, strlen(value));
}

void craft_tombstone(craft *c, uint32_t tstamp, const char *key, int version, uint32_t id) {
  uint8_t value[22];
  size_t n = strlen(tombstone_prefix);

  memcpy(value, tombstone_prefix, n);
  if (version) {
    value[n] = (uint8_t)('0' + version);
    craft_put_u32(value + n + 1, id);
    n = sizeof value;
  }
  craft_record(c, tstamp, key, strlen(key), value, n);
}

uint8_t *craft_finish_hint(const craft *c, size_t *n) {
  uint8_t *p = grow(NULL, c->hint_sz + CRAFT_TRAILER_SZ), *trailer = p + c->hint_sz;

  if (c->hint_sz) {
    memcpy(p, c->hint, c->hint_sz);
  }
  memset(trailer, 0, 6);
  craft_put_u32(trailer + 6, craft_crc32(p, c->hint_sz));
  craft_put_u64(trailer + 10, INT64_MAX);
  *n = c->hint_sz + CRAFT_TRAILER_SZ;
  return p;
}

void craft_clear(craft *c) {
  free(c->data);
  free(c->hint);
  memset(c, 0, sizeof *c);
}

void craft_save_pair(const char *dir, uint32_t id, const void *data, size_t data_sz,
                     const void *hint, size_t hint_sz) {
  craft_write_file(dir, craft_name(id, "data"), data, data_sz);
  if (hint) {
    craft_write_file(dir, craft_name(id, "hint"), hint, hint_sz);
  }
}

void craft_save(const craft *c, const char *dir, uint32_t id, craft_hint_kind kind) {
  size_t n;
  uint8_t *hint = craft_finish_hint(c, &n);

  if (kind == CRAFT_OPEN_HINT) {
    n = c->hint_sz;
  }
  craft_save_pair(dir, id, c->data, c->data_sz, kind == CRAFT_NO_HINT ? NULL : hint, n);
  free(hint);
}

uint8_t *craft_unhex(const char *hex, size_t *n) {
  uint8_t *p = grow(NULL, strlen(hex) / 2);
  unsigned byte;

  for (*n = 0; *hex; hex += 2) {
    while (*hex == ' ') {
      hex++;
    }
    if (!*hex) {
      break;
    }
    if (sscanf(hex, "%2x", &byte) != 1) {
      die("bad hex in a test");
    }
    p[(*n)++] = (uint8_t)byte;
  }
  return p;
}

/* -------------------------------------------------------------------- files */

static const char *path_of(const char *dir, const char *name) {
  static char path[4][4096];
  static unsigned turn;
  char *p = path[turn++ % 4];

  if (snprintf(p, sizeof path[0], "%s/%s", dir, name) >= (int)sizeof path[0]) {
    die("path too long");
  }
  return p;
}

static int remove_one(const char *path, const struct stat *st, int flag, struct FTW *ftw) {
  (void)st;
  (void)flag;
  (void)ftw;
  return remove(path);
}

enum { MAX_DIRS = 1024 };
static char *dirs[MAX_DIRS];
static int n_dirs;
static pid_t dirs_owner;

static void remove_dirs(void) {
  /* A forked child must not take the directories away from its parent. */
  if (getpid() != dirs_owner) {
    return;
  }
  for (int i = 0; i < n_dirs; i++) {
    if (nftw(dirs[i], remove_one, 16, FTW_DEPTH | FTW_PHYS)) {
      perror(dirs[i]);
    }
    free(dirs[i]);
  }
}

const char *craft_dir(void) {
  const char *base = getenv("TMPDIR");
  char template[4096];

  if (n_dirs == 0) {
    dirs_owner = getpid();
    if (atexit(remove_dirs)) {
      die("atexit");
    }
  }
  if (n_dirs == MAX_DIRS) {
    die("too many directories");
  }
  snprintf(template, sizeof template, "%s/bitcask-test-XXXXXX", base ? base : "/tmp");
  if (!mkdtemp(template)) {
    die(template);
  }
  dirs[n_dirs] = strdup(template);
  if (!dirs[n_dirs]) {
    die("out of memory");
  }
  return dirs[n_dirs++];
}

void craft_write_file(const char *dir, const char *name, const void *bytes, size_t n) {
  FILE *f = fopen(path_of(dir, name), "wb");

  if (!f || (n && fwrite(bytes, 1, n, f) != n) || fclose(f)) {
    die(name);
  }
}

uint8_t *craft_read_file(const char *dir, const char *name, size_t *n) {
  FILE *f = fopen(path_of(dir, name), "rb");
  int64_t size = craft_size(dir, name);
  uint8_t *p;

  *n = 0;
  if (!f) {
    return grow(NULL, 0);
  }
  p = grow(NULL, (size_t)size);
  *n = fread(p, 1, (size_t)size, f);
  if (fclose(f)) {
    die(name);
  }
  return p;
}

int64_t craft_size(const char *dir, const char *name) {
  struct stat st;

  return stat(path_of(dir, name), &st) ? -1 : (int64_t)st.st_size;
}

const char *craft_name(uint32_t id, const char *suffix) {
  static char name[4][64];
  static unsigned turn;
  char *p = name[turn++ % 4];

  snprintf(p, sizeof name[0], "%" PRIu32 ".bitcask.%s", id, suffix);
  return p;
}

void craft_remove(const char *dir, const char *name) {
  if (unlink(path_of(dir, name))) {
    die(name);
  }
}

/* Calls fn for each "ID.bitcask.SUFFIX". */
static void each_file(const char *dir, const char *suffix,
                      void (*fn)(const char *dir, uint32_t id, void *ctx), void *ctx) {
  DIR *d = opendir(dir);
  struct dirent *entry;

  if (!d) {
    die(dir);
  }
  while ((entry = readdir(d)) != NULL) {
    char *end;
    unsigned long id = strtoul(entry->d_name, &end, 10);

    if (end != entry->d_name && strcmp(entry->d_name, craft_name((uint32_t)id, suffix)) == 0) {
      fn(dir, (uint32_t)id, ctx);
    }
  }
  closedir(d);
}

static void remove_hint(const char *dir, uint32_t id, void *ctx) {
  (void)ctx;
  craft_remove(dir, craft_name(id, "hint"));
}

void craft_remove_hints(const char *dir) { each_file(dir, "hint", remove_hint, NULL); }

static void take_highest(const char *dir, uint32_t id, void *ctx) {
  uint32_t *highest = ctx;

  (void)dir;
  *highest = id > *highest ? id : *highest;
}

uint32_t craft_highest_id(const char *dir) {
  uint32_t id = 0;

  each_file(dir, "data", take_highest, &id);
  return id;
}

static void count_one(const char *dir, uint32_t id, void *ctx) {
  (void)dir;
  (void)id;
  ++*(int *)ctx;
}

int craft_count_files(const char *dir, const char *suffix) {
  int n = 0;

  each_file(dir, suffix, count_one, &n);
  return n;
}

/* ------------------------------------------------------------------- engine */

int64_t craft_now;
char craft_log[8192];

static int64_t pinned_now(void *ctx) { return craft_now ? craft_now : bc_env_posix.now(ctx); }

static void note(void *ctx, const char *text) {
  size_t used = strlen(craft_log);

  (void)ctx;
  snprintf(craft_log + used, sizeof craft_log - used, "%s\n", text);
}

void craft_options(bitcask_options *o) {
  bitcask_options_init(o);
  o->auto_merge = false;
  o->sync = BITCASK_SYNC_OFF;
  o->log = note;
}

bitcask *craft_open(const char *dir, const bitcask_options *o) {
  static bc_env env;
  bitcask_error e = {0};
  bitcask *bc = NULL;

  env = bc_env_posix;
  env.now = pinned_now;
  craft_log[0] = 0;
  if (bc_open_env(dir, o, &env, &bc, &e)) {
    fprintf(stderr, "open %s: %s\n", dir, e.text);
  }
  return bc;
}

bitcask *craft_open_ro(const char *dir) {
  bitcask_options o;

  craft_options(&o);
  o.read_only = true;
  return craft_open(dir, &o);
}

bitcask *craft_open_rw(const char *dir) {
  bitcask_options o;

  craft_options(&o);
  return craft_open(dir, &o);
}

/* --------------------------------------------------------------------- dump */

typedef struct text {
  char *s;
  size_t n;
} text;

static void add(text *t, const char *format, ...) {
  char piece[512];
  va_list args;
  size_t n;

  va_start(args, format);
  n = (size_t)vsnprintf(piece, sizeof piece, format, args);
  va_end(args);
  t->s = grow(t->s, t->n + n + 1);
  memcpy(t->s + t->n, piece, n + 1);
  t->n += n;
}

static void add_bytes(text *t, const void *data, size_t n) {
  const uint8_t *p = data;

  if (n > 40) {
    add(t, "<%zu:%08" PRIx32 ">", n, craft_crc32(p, n));
    return;
  }
  for (size_t i = 0; i < n; i++) {
    add(t, p[i] > 32 && p[i] < 127 ? "%c" : "\\%02x", p[i]);
  }
}

typedef struct key_list {
  struct key {
    uint8_t *bytes;
    size_t n;
  } * keys;
  size_t n;
} key_list;

static int compare_keys(const void *a, const void *b) {
  const struct key *x = a, *y = b;
  int c = memcmp(x->bytes, y->bytes, x->n < y->n ? x->n : y->n);

  return c ? c : (x->n > y->n) - (x->n < y->n);
}

static int collect_key(void *ctx, const bitcask_entry *e) {
  key_list *l = ctx;
  struct key *k;

  l->keys = grow(l->keys, (l->n + 1) * sizeof *l->keys);
  k = &l->keys[l->n++];
  k->n = e->key_sz;
  k->bytes = grow(NULL, e->key_sz);
  if (e->key_sz) {
    memcpy(k->bytes, e->key, e->key_sz);
  }
  return 0;
}

/* How many readable entries a fold delivers with exactly the value that get
** returns; SIZE_MAX if one differs. */
static size_t count_folded(bitcask *bc) {
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry e;
  bitcask_buf value = {0};
  size_t n = 0;
  int rc;

  if (bitcask_snapshot_open(bc, NULL, &snap, NULL) ||
      bitcask_iter_open(snap, BITCASK_VALUES, &it, NULL)) {
    n = SIZE_MAX;
  }
  while (n != SIZE_MAX && (rc = bitcask_iter_next(it, &e, NULL)) != BITCASK_NOTFOUND) {
    if (rc == BITCASK_CORRUPT) {
      continue;
    }
    if (rc || bitcask_get(bc, e.key, e.key_sz, &value, NULL) || value.size != e.value_sz ||
        (e.value_sz && memcmp(value.data, e.value, e.value_sz) != 0)) {
      n = SIZE_MAX;
    } else {
      n++;
    }
  }
  bitcask_buf_free(&value);
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
  return n;
}

/* The keys of a directory with damage that puts some in doubt. */
static int list_what_is_left(const bitcask *damaged, key_list *l, bitcask_error *e) {
  bitcask_options o;
  bitcask *bc;
  int rc;

  for (size_t i = 0; i < l->n; i++) free(l->keys[i].bytes);
  l->n = 0;
  craft_options(&o);
  o.read_only = true;
  o.damage = BITCASK_DAMAGE_IGNORE;
  rc = bc_open_env(damaged->dir, &o, damaged->env, &bc, e);
  if (rc) return rc;
  rc = bitcask_list_keys(bc, collect_key, l, e);
  bitcask_close(bc, NULL);
  return rc;
}

const char *craft_dump(bitcask *bc) {
  static text t;
  key_list l = {0};
  bitcask_buf value = {0};
  bitcask_error e = {0};
  size_t n_read = 0;
  int rc = bitcask_list_keys(bc, collect_key, &l, &e);
  bool doubt = rc == BITCASK_CORRUPT;

  t.n = 0;
  if (doubt) rc = list_what_is_left(bc, &l, &e);
  add(&t, "%s%s", rc ? "!list_keys: " : "", rc ? e.text : "");
  if (l.n) {
    qsort(l.keys, l.n, sizeof *l.keys, compare_keys);
  }
  for (size_t i = 0; i < l.n; i++) {
    add(&t, "%s", i ? " " : "");
    add_bytes(&t, l.keys[i].bytes, l.keys[i].n);
    add(&t, "=");
    rc = bitcask_get(bc, l.keys[i].bytes, l.keys[i].n, &value, &e);
    if (rc) {
      add(&t, "!%s", bitcask_strerror(rc));
    } else {
      add_bytes(&t, value.data, value.size);
      n_read++;
    }
    free(l.keys[i].bytes);
  }
  free(l.keys);
  bitcask_buf_free(&value);
  if (!doubt && count_folded(bc) != n_read) {
    add(&t, " !fold");
  }
  if (doubt) add(&t, "(doubt)");
  return t.s;
}

/* Names, sizes, modes and times of everything in a directory, freshly allocated. */
static char *fingerprint(const char *dir) {
  struct dirent **names = NULL;
  int n = scandir(dir, &names, NULL, alphasort);
  text t = {0};

  if (n < 0) {
    die(dir);
  }
  for (int i = 0; i < n; i++) {
    struct stat st;

    if (strcmp(names[i]->d_name, "..") != 0 && lstat(path_of(dir, names[i]->d_name), &st) == 0) {
      add(&t, "%s %lld %o %lld.%ld; ", names[i]->d_name, (long long)st.st_size,
          (unsigned)st.st_mode, (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
    }
    free(names[i]);
  }
  free(names);
  return t.s;
}

static bool differs(bitcask *bc, const char *how, const char *want, char *out, size_t out_sz) {
  const char *got = bc ? craft_dump(bc) : "(does not open)";
  size_t n_want = want[0] != 0;
  bitcask_status_info s = {0};

  for (const char *p = want; *p; p++) {
    n_want += *p == ' ';
  }
  if (strcmp(got, want) != 0) {
    snprintf(out, out_sz, "opened %s: \"%s\", not \"%s\"", how, got, want);
  } else if (bitcask_status(bc, &s, NULL) || s.keys != n_want) {
    snprintf(out, out_sz, "opened %s: %" PRIu64 " keys counted, not %zu", how, s.keys, n_want);
  } else {
    return bitcask_close(bc, NULL) != BITCASK_OK;
  }
  bitcask_close(bc, NULL);
  return true;
}

const char *craft_check(const char *dir, const char *want) {
  static char wrong[8192];
  char *before = fingerprint(dir), *after;
  bool same;

  snprintf(wrong, sizeof wrong, "close failed");
  if (differs(craft_open_ro(dir), "read-only", want, wrong, sizeof wrong)) {
    free(before);
    return wrong;
  }
  after = fingerprint(dir);
  same = strcmp(before, after) == 0;
  if (!same) {
    snprintf(wrong, sizeof wrong, "a read-only open changed %.3900s to %.3900s", before, after);
  }
  free(before);
  free(after);
  if (!same || differs(craft_open_rw(dir), "for writing", want, wrong, sizeof wrong) ||
      differs(craft_open_ro(dir), "read-only after repair", want, wrong, sizeof wrong)) {
    return wrong;
  }
  return NULL;
}
