/*
** fuzz_damage.c - a directory of ours with damage that the fuzzer chooses: sectors, records,
** other versions of files (bitcask/tests/damage.h).
**
** It opens, or says why not; a value that it shows is one that its key had; a put, a merge and
** a reopening work, and what was put is there.
*/
#include "damage.h"
#include "engine.h"
#include "memenv.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

enum { N_KEYS = 40, N_VERSIONS = 3, VALUE_SZ = 40, FILE_CAP = 1 << 16 };

static const char *const dir = "/disk/kv";
static damage_dir now, older;

static void require(bool holds, const char *what) {
  if (holds) return;
  fprintf(stderr, "fuzz_damage: %s\n", what);
  abort();
}

static size_t value_of(unsigned key, unsigned version, char out[VALUE_SZ]) {
  int head = snprintf(out, VALUE_SZ, "%u-%u-", key, version);
  memset(out + head, 'a' + (int)version, VALUE_SZ - (size_t)head);
  return 10 + (key * 5 + version * 3) % 27;
}

static bool was_value_of(unsigned key, const bitcask_buf *value) {
  char want[VALUE_SZ];
  for (unsigned v = 0; v < N_VERSIONS; v++) {
    if (value_of(key, v, want) == value->size && !memcmp(want, value->data, value->size))
      return true;
  }
  return false;
}

static int keep_file(void *arg, const char *name) {
  static uint8_t bytes[FILE_CAP];
  void **with = arg;
  const bc_env *env = with[0];
  char path[128];
  size_t n;
  int fd;

  if (strstr(name, ".lock")) return 0;
  snprintf(path, sizeof path, "%s/%s", dir, name);
  require(!env->open(env->ctx, path, BC_OPEN_READ, &fd), "a file that is not there");
  require(!env->pread(env->ctx, fd, bytes, sizeof bytes, 0, &n), "a file that cannot be read");
  env->close(env->ctx, fd);
  damage_put(with[1], name, bytes, n);
  return 0;
}

static void keep_files(const bc_env *env, damage_dir *to) {
  void *with[] = {(void *)(uintptr_t)env, to};
  require(!env->list(env->ctx, dir, keep_file, with), "no list");
}

static void write_round(bitcask *bc, unsigned version) {
  bitcask_txn *txn = NULL;
  char key[16], value[VALUE_SZ];

  for (unsigned k = 0; k < N_KEYS; k++) {
    size_t n = (size_t)snprintf(key, sizeof key, "key%02u", k);
    if (!txn) require(!bitcask_begin(bc, 0, &txn, NULL), "no transaction");
    if (version && k % 7 == version)
      require(!bitcask_txn_delete(txn, key, n, NULL), "no delete");
    else
      require(!bitcask_txn_put(txn, key, n, value, value_of(k, version, value), NULL), "no put");
    if (k % 5 && k + 1 < N_KEYS) continue; /* one alone, then a batch of five */
    require(!bitcask_txn_prepare(txn, NULL), "no prepare");
    bitcask_txn_publish(txn);
    txn = NULL;
  }
}

static void make_directory(void) {
  memenv *m = memenv_new(3);
  bitcask_options o;
  bitcask *bc;

  bitcask_options_init(&o);
  o.create = true;
  o.auto_merge = false;
  o.max_file_size = 2500;
  require(!bc_open_env(dir, &o, memenv_env(m), &bc, NULL), "no directory");
  bc_save_early(bc);
  write_round(bc, 0);
  write_round(bc, 1);
  keep_files(memenv_env(m), &older);
  write_round(bc, 2);
  require(!bitcask_close(bc, NULL), "no close");
  keep_files(memenv_env(m), &now);
  memenv_free(m);
}

typedef struct input {
  const uint8_t *p;
  size_t n;
} input;

static uint64_t draw(void *ctx, uint64_t n) {
  input *in = ctx;
  uint64_t v = 0;
  for (int i = 0; i < 3 && in->n; i++, in->n--) v = v << 8 | *in->p++;
  return v % n;
}

static void read_all(bitcask *bc, bool is_spliced) {
  bitcask_buf value = {0};
  char key[16];
  for (unsigned k = 0; k < N_KEYS; k++) {
    int rc = bitcask_get(bc, key, (size_t)snprintf(key, sizeof key, "key%02u", k), &value, NULL);
    require(rc || is_spliced || was_value_of(k, &value), "a value that its key never had");
  }
  bitcask_buf_free(&value);
}

static void use(const bc_env *env, bool is_spliced) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_buf value = {0};
  bitcask_options o;
  uint64_t n_problems;
  bitcask *bc;

  bitcask_options_init(&o);
  o.auto_merge = false;
  require(!bc_open_env(dir, &o, env, &bc, NULL), "it does not open");
  read_all(bc, is_spliced);
  require(!bitcask_put(bc, "new", 3, "value", 5, NULL), "no put after damage");
  require(!bitcask_verify(bc, NULL, NULL, NULL, &n_problems, NULL), "no verify");
  require(!bitcask_merge(bc, &all, NULL, NULL), "no merge");
  require(!bitcask_close(bc, NULL), "no close after damage");
  require(!bc_open_env(dir, &o, env, &bc, NULL), "it does not open again");
  require(!bitcask_get(bc, "new", 3, &value, NULL) && value.size == 5, "what was put is gone");
  read_all(bc, is_spliced);
  bitcask_buf_free(&value);
  require(!bitcask_close(bc, NULL), "no second close");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n) {
  input in = {data, n};
  damage_source source = {draw, &in};
  damage_dir d = {.n = 0};
  bool is_spliced = false;
  memenv *m;
  char path[128];

  if (!now.n) make_directory();
  damage_copy(&d, &now);
  for (int i = 0; i < 4 && in.n; i++) {
    damage_kind kind = (damage_kind)draw(&in, DAMAGE_N_KINDS);
    (void)damage_apply(&d, &older, &older, kind, &source);
    is_spliced |= kind == DAMAGE_SPLICE;
  }
  m = memenv_new(3);
  memenv_env(m)->mkdir(memenv_env(m)->ctx, "/disk");
  memenv_env(m)->mkdir(memenv_env(m)->ctx, dir);
  for (size_t i = 0; i < d.n; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, d.file[i].name);
    memenv_write_file(m, path, d.file[i].bytes, d.file[i].n);
  }
  damage_clear(&d);
  use(memenv_env(m), is_spliced);
  memenv_free(m);
  return 0;
}
