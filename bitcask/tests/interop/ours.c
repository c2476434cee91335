/*
** ours.c - our engine behind the line protocol of ref.escript, so that one
** driver can do the same to both.
**
** Only bitcask.h is used, but for the clock: bc_open_env with the real
** environment and a `now` that can be pinned.  Beyond ref.escript's commands:
**
**     begin | commit | rollback           a write transaction; put, delete, get
**     savepoint N | rollback_to N         and fold then go through it
**     merge DIR [all | policy | ID ...]
**     backup DIR
**     verify                              verify N_PROBLEMS
**     files                               files ID:STATE:HINT:DAMAGED:FRAG:DEAD:TOTAL ...
**     log                                 log LINE | LINE ...   (since the last `log`)
**
** The order of entries and keys is the engine's.
*/
#include "bitcask.h"
#include "src/engine.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_WORDS = 4096 };

static bitcask *bc;
static bitcask_txn *txn;
static bitcask_error err;
static int64_t pinned_clock;
static char log_text[65536];

static void die(const char *what) {
  fprintf(stderr, "ours: %s\n", what);
  exit(2);
}

static int64_t pinned_now(void *ctx) { return pinned_clock ? pinned_clock : bc_env_posix.now(ctx); }

static void note(void *ctx, const char *text) {
  size_t used = strlen(log_text);

  (void)ctx;
  fprintf(stderr, "ours: %s\n", text);
  snprintf(log_text + used, sizeof log_text - used, "%s%s", used ? " | " : "", text);
}

/* Keys and values are at most a few MiB here: one growable buffer each. */
typedef struct bytes {
  uint8_t *data;
  size_t size, cap;
} bytes;

static int digit(int c) {
  if (c >= '0' && c <= '9') {
    return c - '0';
  }
  if (c >= 'a' && c <= 'f') {
    return c - 'a' + 10;
  }
  die("not a hex digit");
  return 0;
}

static void from_hex(const char *hex, bytes *out) {
  size_t n = strcmp(hex, "-") ? strlen(hex) / 2 : 0;

  if (n >= out->cap) {
    out->cap = 2 * n + 64;
    out->data = realloc(out->data, out->cap);
    if (!out->data) {
      die("out of memory");
    }
  }
  out->size = n;
  for (size_t i = 0; i < n; i++) {
    out->data[i] = (uint8_t)(digit(hex[2 * i]) << 4 | digit(hex[2 * i + 1]));
  }
}

static void print_hex(const void *data, size_t n) {
  const uint8_t *p = data;

  if (n == 0) {
    putchar('-');
  }
  for (size_t i = 0; i < n; i++) {
    putchar("0123456789abcdef"[p[i] >> 4]);
    putchar("0123456789abcdef"[p[i] & 15]);
  }
}

/* Ends an answer line: "ok" or the error. */
static void answer(int rc) {
  if (rc == BITCASK_OK) {
    puts("ok");
  } else if (rc == BITCASK_NOTFOUND) {
    puts("notfound");
  } else {
    printf("error %s: %s\n", bitcask_strerror(rc), err.text);
  }
}

static bool set_option(bitcask_options *o, const char *name, const char *value) {
  unsigned long long n = strtoull(value, NULL, 10);
  struct {
    const char *name;
    uint64_t *u64;
    uint32_t *u32;
  } numbers[] = {
      {"max_file_size", &o->max_file_size, NULL},
      {"dead_bytes_merge_trigger", &o->dead_bytes_merge_trigger, NULL},
      {"dead_bytes_threshold", &o->dead_bytes_threshold, NULL},
      {"small_file_threshold", &o->small_file_threshold, NULL},
      {"frag_merge_trigger", NULL, &o->frag_merge_trigger},
      {"frag_threshold", NULL, &o->frag_threshold},
      {"expiry_secs", NULL, &o->expiry_secs},
      {"expiry_grace_time", NULL, &o->expiry_grace_time},
  };

  for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++) {
    if (strcmp(name, numbers[i].name) == 0) {
      if (numbers[i].u64) {
        *numbers[i].u64 = n;
      } else {
        *numbers[i].u32 = (uint32_t)n;
      }
      return true;
    }
  }
  if (strcmp(name, "sync") == 0) {
    o->sync = value[0] == 'o'   ? BITCASK_SYNC_OFF
              : value[0] == 'n' ? BITCASK_SYNC_NORMAL
                                : BITCASK_SYNC_FULL;
  } else if (strcmp(name, "timeout_ms") == 0) {
    o->timeout_ms = (int)n;
  } else if (strcmp(name, "mmap") == 0) {
    o->mmap = n != 0;
  } else {
    return false;
  }
  return true;
}

static void do_open(char **w, int n) {
  static bc_env env;
  bitcask_options o;

  bitcask_options_init(&o);
  o.auto_merge = false;
  o.read_only = strcmp(w[2], "ro") == 0;
  o.create = !o.read_only;
  o.log = note;
  for (int i = 3; i < n; i++) {
    char *value = strchr(w[i], '=');

    if (!value) {
      die("an option is not name=value");
    }
    *value++ = 0;
    if (!set_option(&o, w[i], value)) {
      die("no such option");
    }
  }
  env = bc_env_posix;
  env.now = pinned_now;
  answer(bc_open_env(w[1], &o, &env, &bc, &err));
}

static int take_snapshot(bitcask_snapshot **out) {
  return bitcask_snapshot_open(bc, txn, out, &err);
}

static void do_get(const bytes *key) {
  static bitcask_buf value;
  bitcask_snapshot *snap = NULL;
  bitcask_entry e = {0};
  int rc;

  if (!txn) {
    rc = bitcask_get(bc, key->data, key->size, &value, &err);
    e.value = value.data;
    e.value_sz = (uint32_t)value.size;
  } else {
    rc = take_snapshot(&snap);
    if (rc == BITCASK_OK) {
      rc = bitcask_snapshot_get(snap, key->data, key->size, &value, &e, &err);
    }
  }
  if (rc == BITCASK_OK) {
    fputs("value ", stdout);
    print_hex(e.value, e.value_sz);
    putchar('\n');
  } else {
    answer(rc);
  }
  bitcask_snapshot_close(snap);
}

/* All entries of a snapshot; one that cannot be read is shown as !CODE, so that
** it can never be taken for a missing one. */
static void do_fold(bitcask_iter_mode mode) {
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry e;
  int rc = take_snapshot(&snap);

  if (rc == BITCASK_OK) {
    rc = bitcask_iter_open(snap, mode, &it, &err);
  }
  if (rc != BITCASK_OK) {
    answer(rc);
    goto out;
  }
  fputs(mode == BITCASK_KEYS ? "keys" : "entries", stdout);
  while ((rc = bitcask_iter_next(it, &e, &err)) != BITCASK_NOTFOUND) {
    putchar(' ');
    if (rc != BITCASK_OK) {
      printf("!%s", bitcask_strerror(rc));
      if (rc != BITCASK_CORRUPT) {
        break;
      }
      continue;
    }
    print_hex(e.key, e.key_sz);
    if (mode == BITCASK_VALUES) {
      putchar(':');
      print_hex(e.value, e.value_sz);
    }
  }
  putchar('\n');
out:
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
}

static void do_merge(char **w, int n) {
  static uint32_t ids[MAX_WORDS];
  bitcask_merge_options o = {.kind = BITCASK_MERGE_ALL};

  if (n > 2 && strcmp(w[2], "policy") == 0) {
    o.kind = BITCASK_MERGE_POLICY;
  } else if (n > 2 && strcmp(w[2], "all") != 0) {
    o.kind = BITCASK_MERGE_FILES;
    o.file_ids = ids;
    for (int i = 2; i < n; i++) {
      ids[o.n_file_ids++] = (uint32_t)strtoul(w[i], NULL, 10);
    }
  }
  answer(bitcask_merge(bc, &o, NULL, &err));
}

static void do_files(void) {
  bitcask_file_stat *f = NULL;
  size_t n = 0;
  int rc = bitcask_files(bc, &f, &n, &err);

  if (rc != BITCASK_OK) {
    answer(rc);
    return;
  }
  fputs("files", stdout);
  for (size_t i = 0; i < n; i++) {
    printf(" %u:%s:%d:%d:%u:%llu:%llu", f[i].file_id,
           f[i].state == BITCASK_FILE_ACTIVE ? "active" : "immutable", f[i].has_hint, f[i].damaged,
           f[i].fragmented, (unsigned long long)f[i].dead_bytes,
           (unsigned long long)f[i].total_bytes);
  }
  putchar('\n');
  bitcask_files_free(f);
}

static void do_status(void) {
  bitcask_status_info s;
  int rc = bitcask_status(bc, &s, &err);

  if (rc == BITCASK_OK) {
    printf("status %llu\n", (unsigned long long)s.keys);
  } else {
    answer(rc);
  }
}

static void do_needs_merge(void) {
  bool due = false;
  int rc = bitcask_needs_merge(bc, &due, &err);

  if (rc == BITCASK_OK) {
    puts(due ? "true" : "false");
  } else {
    answer(rc);
  }
}

static int report(void *ctx, const bitcask_problem *p) {
  (void)ctx;
  fprintf(stderr, "ours: verify: file %u at %llu: %s\n", p->file_id, (unsigned long long)p->offset,
          p->text);
  return 0;
}

static void do_verify(void) {
  uint64_t n = 0;
  int rc = bitcask_verify(bc, report, NULL, NULL, &n, &err);

  if (rc == BITCASK_OK) {
    printf("verify %llu\n", (unsigned long long)n);
  } else {
    answer(rc);
  }
}

static void do_write(char **w, int n) {
  static bytes key, value;

  from_hex(w[1], &key);
  if (n == 2) {
    answer(txn ? bitcask_txn_delete(txn, key.data, key.size, &err)
               : bitcask_delete(bc, key.data, key.size, &err));
    return;
  }
  from_hex(w[2], &value);
  answer(txn ? bitcask_txn_put(txn, key.data, key.size, value.data, value.size, &err)
             : bitcask_put(bc, key.data, key.size, value.data, value.size, &err));
}

static void do_commit(void) {
  int rc = bitcask_txn_prepare(txn, &err);

  if (rc == BITCASK_OK) {
    bitcask_txn_publish(txn);
  } else {
    bitcask_txn_rollback(txn);
  }
  txn = NULL;
  answer(rc);
}

/* One transaction with another directory, in which `tied` = `1` is put. */
static void do_commit_with(const char *dir) {
  bitcask_txn *both[2] = {txn, NULL};
  bitcask *other = NULL;
  bitcask_options o;
  int rc;

  bitcask_options_init(&o);
  o.create = true;
  rc = bitcask_open(dir, &o, &other, &err);
  if (!rc) rc = bitcask_begin(other, 0, &both[1], &err);
  if (!rc) rc = bitcask_txn_put(both[1], "tied", 4, "1", 1, &err);
  if (!rc) rc = bitcask_prepare_all(both, 2, &err);
  for (int i = 0; i < 2; i++) {
    if (rc || !both[i]) {
      bitcask_txn_rollback(both[i]);
    } else {
      bitcask_txn_publish(both[i]);
    }
  }
  txn = NULL;
  if (other) (void)bitcask_close(other, NULL);
  answer(rc);
}

static bool transaction_command(char **w, int n) {
  if (strcmp(w[0], "begin") == 0) {
    answer(bitcask_begin(bc, n > 1 ? atoi(w[1]) : 0, &txn, &err));
  } else if (strcmp(w[0], "commit") == 0) {
    do_commit();
  } else if (strcmp(w[0], "commit_with") == 0) {
    do_commit_with(w[1]);
  } else if (strcmp(w[0], "rollback") == 0) {
    bitcask_txn_rollback(txn);
    txn = NULL;
    answer(BITCASK_OK);
  } else if (strcmp(w[0], "savepoint") == 0) {
    answer(bitcask_txn_savepoint(txn, atoi(w[1]), &err));
  } else if (strcmp(w[0], "rollback_to") == 0) {
    answer(bitcask_txn_rollback_to(txn, atoi(w[1]), &err));
  } else {
    return false;
  }
  return true;
}

static bool handle_command(char **w, int n) {
  int rc;

  if (strcmp(w[0], "open") == 0) {
    do_open(w, n);
  } else if (strcmp(w[0], "close") == 0) {
    rc = bitcask_close(bc, &err);
    if (rc != BITCASK_INVALID) {
      bc = NULL;
    }
    answer(rc);
  } else if (strcmp(w[0], "clock") == 0) {
    pinned_clock = strtoll(w[1], NULL, 10);
    answer(BITCASK_OK);
  } else if (strcmp(w[0], "pid") == 0) {
    printf("pid %u\n", bc_env_posix.pid(bc_env_posix.ctx));
  } else if (strcmp(w[0], "log") == 0) {
    printf("log %s\n", log_text);
    log_text[0] = 0;
  } else {
    return false;
  }
  return true;
}

static bool data_command(char **w, int n) {
  static bytes key;

  if (strcmp(w[0], "put") == 0 || strcmp(w[0], "delete") == 0) {
    do_write(w, n);
  } else if (strcmp(w[0], "get") == 0) {
    from_hex(w[1], &key);
    do_get(&key);
  } else if (strcmp(w[0], "fold") == 0) {
    do_fold(BITCASK_VALUES);
  } else if (strcmp(w[0], "list_keys") == 0) {
    do_fold(BITCASK_KEYS);
  } else if (strcmp(w[0], "sync") == 0) {
    answer(bitcask_sync(bc, &err));
  } else if (strcmp(w[0], "merge") == 0) {
    do_merge(w, n);
  } else if (strcmp(w[0], "backup") == 0) {
    answer(bitcask_backup(bc, w[1], NULL, NULL, NULL, &err));
  } else if (strcmp(w[0], "needs_merge") == 0) {
    do_needs_merge();
  } else if (strcmp(w[0], "status") == 0) {
    do_status();
  } else if (strcmp(w[0], "files") == 0) {
    do_files();
  } else if (strcmp(w[0], "verify") == 0) {
    do_verify();
  } else {
    return false;
  }
  return true;
}

int main(void) {
  static char *w[MAX_WORDS];
  char *line = NULL;
  size_t cap = 0;

  while (getline(&line, &cap, stdin) > 0) {
    int n = 0;

    for (char *p = strtok(line, " \n"); p && n < MAX_WORDS; p = strtok(NULL, " \n")) {
      w[n++] = p;
    }
    if (n == 0 || strcmp(w[0], "quit") == 0) {
      break;
    }
    if (!handle_command(w, n) && !transaction_command(w, n) && !data_command(w, n)) {
      die("no such command");
    }
    if (fflush(stdout)) {
      die("cannot answer");
    }
  }
  free(line);
  return 0;
}
