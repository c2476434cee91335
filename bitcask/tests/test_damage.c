/*
** test_damage.c - directories of many kinds, damaged at random: what is read is the true
** value, or an error, or nothing for a key whose records have all gone; never an older value
** for the newest, never one that the key did not have (FORMAT.md section 7).
**
** What is asked of each kind of damage:
**   bytes, bits, bursts, sectors   no wrong answer.  Keys written behind the damage are read.
**                                  One changed byte refuses one key; a file with a hint no
**                                  more keys than records were hit.
**   cut, older copy, last gone     the same; of the newest file, and of the highest ones gone,
**                                  the state at an earlier moment, whole.
**   hint, checkpoint, state page   no wrong answer: they are caches.
**   spliced, renamed, file gone    valid records in wrong places: nothing in the format tells,
**                                  so every value must be one that its key once had.
** After that a key is put, everything is merged, and read again: the put is there, and what
** was read before is read still.
**
** DAMAGES=n in the environment: so many directories (default 20,000); SEED=n: begin there.
*/
#include "damage.h"
#include "engine.h"
#include "memenv.h"
#include "test.h"

enum { N_KEYS = 120, MAX_STATES = 700, VALUE_SZ = 48, N_VERSIONS = 5, BLOCK = 4096 };

static const char *const dir = "/disk/kv";

/* ------------------------------------------------------------ directories */

typedef struct place {
  unsigned key; /* N_KEYS: a marker */
  uint32_t file_id;
  uint64_t offset, size;
} place;

/* What a directory holds, and held: the value of a key in a state is the number of a version,
** 0 for none. */
typedef struct origin {
  const char *name;
  uint64_t max_file_size;
  unsigned batch; /* keys in a transaction, 0: each alone */
  bool same_size, merges, saves, crashes, no_hints, no_state;

  damage_dir files, older;
  uint8_t state[MAX_STATES][N_KEYS];
  unsigned n_states;
  place newest[N_KEYS];
  place *records;
  size_t n_records;
} origin;

static origin origins[] = {
    {.name = "one file"},
    {.name = "one file, same sizes", .same_size = true},
    {.name = "one file, batches", .batch = 30},
    {.name = "one file after a crash", .crashes = true},
    {.name = "hints", .max_file_size = 6000},
    {.name = "hints, same sizes", .max_file_size = 6000, .same_size = true},
    {.name = "hints, batches", .max_file_size = 6000, .batch = 25},
    {.name = "no hints", .max_file_size = 6000, .no_hints = true},
    {.name = "no hints, same sizes", .max_file_size = 6000, .no_hints = true, .same_size = true},
    {.name = "no hints, batches", .max_file_size = 6000, .no_hints = true, .batch = 25},
    {.name = "merged", .max_file_size = 6000, .merges = true},
    {.name = "checkpoint", .max_file_size = 9000, .saves = true},
    {.name = "checkpoint after a merge", .max_file_size = 6000, .saves = true, .merges = true},
    {.name = "no state page", .max_file_size = 6000, .no_state = true},
};

enum { N_ORIGINS = sizeof origins / sizeof origins[0] };

static size_t value_of(const origin *o, unsigned key, unsigned version, char out[VALUE_SZ]) {
  size_t n = o->same_size ? 24 : 12 + (key * 7 + version * 5) % 33;
  int head = snprintf(out, VALUE_SZ, "%u-%u-", key, version);
  memset(out + head, 'a' + (int)version, VALUE_SZ - (size_t)head);
  return n;
}

static size_t key_of(unsigned key, char out[16]) {
  return (size_t)snprintf(out, 16, "key%04u", key);
}

static unsigned number_of(const void *key) {
  char digits[5] = {0};
  memcpy(digits, (const char *)key + 3, 4);
  return (unsigned)strtoul(digits, NULL, 10) % N_KEYS;
}

/* The version that a value is of, 0 if the key never had it. */
static unsigned version_of(const origin *o, unsigned key, const void *value, size_t n) {
  char want[VALUE_SZ];
  for (unsigned v = 1; v <= N_VERSIONS; v++) {
    if (value_of(o, key, v, want) == n && !memcmp(want, value, n)) return v;
  }
  return 0;
}

static int keep_file(void *arg, const char *name) {
  static uint8_t bytes[1 << 20];
  void **with = arg;
  const bc_env *env = with[0];
  char path[128];
  size_t n;
  int fd;

  snprintf(path, sizeof path, "%s/%s", dir, name);
  CHECK_EQ(env->open(env->ctx, path, BC_OPEN_READ, &fd), 0);
  CHECK_EQ(env->pread(env->ctx, fd, bytes, sizeof bytes, 0, &n), 0);
  env->close(env->ctx, fd);
  damage_put(with[1], name, bytes, n);
  return 0;
}

static void keep_files(const bc_env *env, damage_dir *to) {
  void *with[] = {(void *)(uintptr_t)env, to};
  CHECK_EQ(env->list(env->ctx, dir, keep_file, with), 0);
}

static void next_state(origin *o) {
  o->n_states++;
  CHECK(o->n_states < MAX_STATES);
  memcpy(o->state[o->n_states], o->state[o->n_states - 1], N_KEYS);
}

/* One round of puts and deletes. */
static void write_round(origin *o, bitcask *bc, unsigned version) {
  bitcask_txn *txn = NULL;
  bitcask_error e;
  char key[16], value[VALUE_SZ];

  for (unsigned k = 0; k < N_KEYS; k++) {
    size_t n = key_of(k, key);
    bool deletes = version > 1 && k % 11 == version;
    if (!txn) {
      next_state(o);
      CHECK_OK(bitcask_begin(bc, 0, &txn, &e), &e);
    }
    if (deletes)
      CHECK_OK(bitcask_txn_delete(txn, key, n, &e), &e);
    else
      CHECK_OK(bitcask_txn_put(txn, key, n, value, value_of(o, k, version, value), &e), &e);
    o->state[o->n_states][k] = deletes ? 0 : (uint8_t)version;
    if (o->batch && (k + 1) % o->batch && k + 1 < N_KEYS) continue;
    CHECK_OK(bitcask_txn_prepare(txn, &e), &e);
    bitcask_txn_publish(txn);
    txn = NULL;
  }
}

/* Where each record is, and the newest of each key. */
static void note_records(origin *o, bitcask *bc) {
  bitcask_snapshot *snap;
  bitcask_history *h;
  bitcask_record r;
  bitcask_error e;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_history_open(snap, &h, &e), &e);
  while (!bitcask_history_next(h, &r, &e)) {
    place p = {N_KEYS, r.entry.file_id, r.entry.offset, r.size};
    if (r.kind != BITCASK_RECORD_MARKER) p.key = number_of(r.entry.key);
    o->records = realloc(o->records, (o->n_records + 1) * sizeof p);
    if (!o->records) abort();
    o->records[o->n_records++] = p;
    if (p.key < N_KEYS) o->newest[p.key] = p;
  }
  bitcask_history_close(h);
  bitcask_snapshot_close(snap);
}

static void drop_files(damage_dir *d, const char *with) {
  for (size_t i = d->n; i-- > 0;) {
    if (!strstr(d->file[i].name, with)) continue;
    free(d->file[i].bytes);
    d->file[i] = d->file[--d->n];
  }
}

static void make_origin(origin *o) {
  memenv *m = memenv_new(11);
  const bc_env *env = memenv_env(m);
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask_options opt;
  bitcask_error e;
  bitcask *bc;

  bitcask_options_init(&opt);
  opt.create = true;
  opt.auto_merge = false;
  opt.sync = BITCASK_SYNC_NORMAL;
  if (o->max_file_size) opt.max_file_size = o->max_file_size;
  CHECK_OK(bc_open_env(dir, &opt, env, &bc, &e), &e);
  if (o->saves) bc_save_early(bc);
  write_round(o, bc, 1);
  write_round(o, bc, 2);
  if (o->merges) CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  CHECK_OK(bitcask_sync(bc, &e), &e);
  keep_files(env, &o->older);
  write_round(o, bc, 3);
  if (o->saves) {
    CHECK_OK(bitcask_close(bc, &e), &e);
    CHECK_OK(bc_open_env(dir, &opt, env, &bc, &e), &e);
    write_round(o, bc, 4);
  }
  note_records(o, bc);
  if (o->crashes) keep_files(env, &o->files);
  CHECK_OK(bitcask_close(bc, &e), &e);
  if (!o->crashes) keep_files(env, &o->files);
  memenv_free(m);
  if (o->no_hints) drop_files(&o->files, ".hint");
  if (o->no_state) drop_files(&o->files, ".state");
  drop_files(&o->files, ".lock");
  drop_files(&o->older, ".lock");
}

/* ------------------------------------------------------------------- a trial */

typedef enum answer { TRUE_VALUE, REFUSED, ABSENT, OTHER } answer;

typedef struct trial {
  uint64_t seed, rng;
  origin *o;
  damage_kind kind;
  damage_dir d;
  const char *file;     /* that was damaged */
  uint64_t first, last; /* bytes of it that differ */
  answer got[N_KEYS];
  uint8_t version[N_KEYS];
  unsigned n_refused;
  bool failed;
} trial;

static unsigned long n_wrong;
static unsigned long n_refused[DAMAGE_N_KINDS], n_trials[DAMAGE_N_KINDS];

static uint64_t draw(void *ctx, uint64_t n) {
  trial *t = ctx;
  t->rng ^= t->rng << 13;
  t->rng ^= t->rng >> 7;
  t->rng ^= t->rng << 17;
  return (t->rng >> 8) % n;
}

static void wrong(trial *t, unsigned key, const char *what) {
  n_wrong++;
  if (!t->failed && test_bad < 20) {
    TEST_FAIL("SEED=%" PRIu64 ": %s, %s of %s, bytes %" PRIu64 " to %" PRIu64 ": key %u %s "
              "(version %u, not %u)",
              t->seed, t->o->name, damage_names[t->kind], t->file, t->first, t->last, key, what,
              t->version[key], t->o->state[t->o->n_states][key]);
  }
  t->failed = true;
}

static memenv *put_on_disk(const damage_dir *d) {
  memenv *m = memenv_new(11); /* the same boot */
  const bc_env *env = memenv_env(m);
  char path[128];

  env->mkdir(env->ctx, "/disk");
  env->mkdir(env->ctx, dir);
  for (size_t i = 0; i < d->n; i++) {
    snprintf(path, sizeof path, "%s/%s", dir, d->file[i].name);
    memenv_write_file(m, path, d->file[i].bytes, d->file[i].n);
  }
  return m;
}

static void read_all(trial *t, bitcask *bc) {
  bitcask_buf value = {0};
  bitcask_error e;
  char key[16];

  t->n_refused = 0;
  for (unsigned k = 0; k < N_KEYS; k++) {
    int rc = bitcask_get(bc, key, key_of(k, key), &value, &e);
    uint8_t want = t->o->state[t->o->n_states][k];
    t->version[k] = rc ? 0 : (uint8_t)version_of(t->o, k, value.data, value.size);
    t->got[k] = rc == BITCASK_NOTFOUND ? (want ? ABSENT : TRUE_VALUE)
                : rc                   ? REFUSED
                                       : (t->version[k] == want && want ? TRUE_VALUE : OTHER);
    if (rc && rc != BITCASK_NOTFOUND && rc != BITCASK_CORRUPT) wrong(t, k, "fails otherwise");
    if (!rc && !t->version[k] && t->kind != DAMAGE_SPLICE)
      wrong(t, k, "has a value that it never had");
    t->n_refused += t->got[k] == REFUSED;
  }
  bitcask_buf_free(&value);
}

/* A scan shows what gets show, and ends with an error if one of them does. */
static void check_scan(trial *t, bitcask *bc) {
  bitcask_snapshot *snap = NULL;
  bitcask_iter *it = NULL;
  bitcask_entry entry;
  bitcask_error e;
  unsigned n_shown = 0, n_errors = 0, n_true = 0;
  int rc;

  CHECK_OK(bitcask_snapshot_open(bc, NULL, &snap, &e), &e);
  CHECK_OK(bitcask_iter_open(snap, BITCASK_VALUES, &it, &e), &e);
  while ((rc = bitcask_iter_next(it, &entry, &e)) != BITCASK_NOTFOUND && n_errors < 10 * N_KEYS) {
    unsigned k;
    if (rc) {
      n_errors++;
      continue;
    }
    k = number_of(entry.key);
    n_shown++;
    if (version_of(t->o, k, entry.value, entry.value_sz) != t->version[k])
      wrong(t, k, "is another one in a scan");
  }
  for (unsigned k = 0; k < N_KEYS; k++)
    n_true += t->got[k] == OTHER || (t->got[k] == TRUE_VALUE && t->version[k]);
  if (n_shown != n_true) wrong(t, 0, "... a scan has another number of rows");
  if (t->n_refused && !n_errors) wrong(t, 0, "... a scan passes over what gets refuse");
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
}

static uint32_t id_of(const char *name) { return (uint32_t)strtoul(name, NULL, 10); }

/* Is what was read the state at some moment? */
static bool is_earlier_state(const trial *t) {
  for (unsigned s = 0; s <= t->o->n_states; s++) {
    unsigned k = 0;
    while (k < N_KEYS && (t->got[k] == REFUSED || t->version[k] == t->o->state[s][k])) k++;
    if (k == N_KEYS) return true;
  }
  return false;
}

static bool is_newest_file(const trial *t) {
  for (size_t i = 0; i < t->d.n; i++) {
    if (strstr(t->d.file[i].name, ".data") && id_of(t->d.file[i].name) > id_of(t->file))
      return false;
  }
  return true;
}

static bool is_hit(const trial *t, const place *p) {
  return p->file_id == id_of(t->file) && p->offset < t->last && p->offset + p->size > t->first;
}

/* Has the key a record that was not damaged? */
static bool has_record_left(const trial *t, unsigned key) {
  for (size_t i = 0; i < t->o->n_records; i++) {
    const place *p = &t->o->records[i];
    if (p->key == key && !is_hit(t, p)) return true;
  }
  return false;
}

/* Bytes of the damaged file that differ from what they were. */
static void find_change(trial *t) {
  damage_file *is = damage_find(&t->d, t->file), *was = damage_find(&t->o->files, t->file);
  size_t n;

  t->first = t->last = 0;
  if (!is || !was) return;
  n = is->n < was->n ? is->n : was->n;
  while (t->first < n && is->bytes[t->first] == was->bytes[t->first]) t->first++;
  t->last = was->n;
  while (is->n == was->n && t->last > t->first && is->bytes[t->last - 1] == was->bytes[t->last - 1])
    t->last--;
}

static bool has_hint(const trial *t) {
  char name[64];
  snprintf(name, sizeof name, "%u.bitcask.hint", id_of(t->file));
  return damage_find((damage_dir *)(uintptr_t)&t->d, name) != NULL;
}

/* Damage within one file: nothing wrong, and not more refused than must be. */
static void judge_bytes(trial *t) {
  uint32_t id = id_of(t->file);
  uint64_t behind = (t->last + BLOCK - 1) / BLOCK * BLOCK + BLOCK; /* a sector may be in doubt */
  unsigned n_hit = 0;

  for (size_t i = 0; i < t->o->n_records; i++) {
    n_hit += is_hit(t, &t->o->records[i]);
  }
  for (unsigned k = 0; k < N_KEYS; k++) {
    const place *p = &t->o->newest[k];
    if (t->got[k] == OTHER) wrong(t, k, "has an older value");
    if (t->got[k] == ABSENT && has_record_left(t, k)) wrong(t, k, "is not there");
    if (t->got[k] == REFUSED && (p->file_id > id || (p->file_id == id && p->offset >= behind)))
      wrong(t, k, "was written later, and is refused");
  }
  if (has_hint(t) && t->n_refused > n_hit) wrong(t, 0, "... more are refused than were hit");
  if (t->kind <= DAMAGE_BIT && t->n_refused > 1) wrong(t, 0, "... one byte refuses several keys");
}

static bool hits_last_record(const trial *t) {
  uint64_t end = 0;
  for (size_t i = 0; i < t->o->n_records; i++) {
    const place *p = &t->o->records[i];
    if (p->file_id == id_of(t->file)) end = p->offset; /* in this order */
  }
  return t->last > end;
}

static void judge(trial *t) {
  bool shorter = t->kind == DAMAGE_LAST_GONE ||
                 ((t->kind == DAMAGE_CUT || t->kind == DAMAGE_OLDER) && is_newest_file(t));
  /* Without a page nobody knows how long files were. */
  if (t->o->no_state && (t->kind == DAMAGE_CUT || t->kind == DAMAGE_OLDER) && !has_hint(t)) return;
  /* ... nor tells damage of the last record from a torn one. */
  if (t->o->no_state && t->kind < DAMAGE_CUT && hits_last_record(t)) return;
  if (t->kind >= DAMAGE_SPLICE) return;
  if (shorter) {
    if (!is_earlier_state(t)) wrong(t, 0, "... what is left is no earlier state");
  } else if (t->kind >= DAMAGE_HINT) {
    for (unsigned k = 0; k < N_KEYS; k++) {
      if (t->got[k] != TRUE_VALUE) wrong(t, k, "suffers from a damaged cache");
    }
  } else {
    judge_bytes(t);
  }
}

static bitcask *open_disk(trial *t, const bc_env *env, bool read_only) {
  bitcask_options opt;
  bitcask_error e;
  bitcask *bc = NULL;

  bitcask_options_init(&opt);
  opt.read_only = read_only;
  opt.auto_merge = false;
  opt.sync = BITCASK_SYNC_OFF;
  opt.mmap = t->seed % 3 != 0;
  if (bc_open_env(dir, &opt, env, &bc, &e)) {
    snprintf(e.text + strlen(e.text), sizeof e.text - strlen(e.text), " (open)");
    wrong(t, 0, e.text);
  }
  return bc;
}

/* Life goes on: a put, a merge that accepts the loss, another opening. */
static void go_on(trial *t, const bc_env *env) {
  bitcask_merge_options all = {.kind = BITCASK_MERGE_ALL};
  bitcask *bc = open_disk(t, env, false);
  bitcask_buf value = {0};
  bitcask_error e;
  answer before[N_KEYS];
  uint64_t n_problems;

  if (!bc) return;
  CHECK_OK(bitcask_put(bc, "new", 3, "value", 5, &e), &e);
  read_all(t, bc);
  memcpy(before, t->got, sizeof before);
  CHECK_OK(bitcask_verify(bc, NULL, NULL, NULL, &n_problems, &e), &e);
  if (t->n_refused && !n_problems) wrong(t, 0, "... verify finds nothing");
  CHECK_OK(bitcask_merge(bc, &all, NULL, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  bc = open_disk(t, env, true);
  if (!bc) return;
  CHECK_OK(bitcask_get(bc, "new", 3, &value, &e), &e);
  bitcask_buf_free(&value);
  read_all(t, bc);
  for (unsigned k = 0; k < N_KEYS; k++) {
    if (before[k] == TRUE_VALUE && t->got[k] != TRUE_VALUE) wrong(t, k, "is lost by a merge");
    if (t->got[k] == REFUSED) wrong(t, k, "is refused after a merge");
  }
  CHECK_OK(bitcask_close(bc, &e), &e);
}

static void run_trial(uint64_t seed, damage_kind kind) {
  trial t = {.seed = seed, .rng = (seed + 1) * UINT64_C(0x9e3779b97f4a7c15), .kind = kind};
  damage_source source = {draw, &t};
  origin *other;
  memenv *m;
  bitcask *bc;

  for (int i = 0; i < 4; i++) (void)draw(&t, 2);
  t.o = &origins[draw(&t, N_ORIGINS)];
  other = &origins[draw(&t, N_ORIGINS)];
  damage_copy(&t.d, &t.o->files);
  t.file = damage_apply(&t.d, &t.o->older, &other->files, kind, &source);
  if (t.file) {
    find_change(&t);
    m = put_on_disk(&t.d);
    bc = open_disk(&t, memenv_env(m), true);
    if (bc) {
      read_all(&t, bc);
      n_trials[kind]++;
      n_refused[kind] += t.n_refused;
      judge(&t);
      check_scan(&t, bc);
      CHECK_OK(bitcask_close(bc, NULL), &(bitcask_error){0});
      if (!t.failed) go_on(&t, memenv_env(m));
    }
    memenv_free(m);
  }
  damage_clear(&t.d);
}

static uint64_t number(const char *name, uint64_t otherwise) {
  const char *text = getenv(name);
  return text ? strtoull(text, NULL, 10) : otherwise;
}

static void damage_of_every_kind(void) {
  uint64_t n = number("DAMAGES", 20000), first = number("SEED", 1);
  unsigned long total = 0;

  for (unsigned i = 0; i < N_ORIGINS; i++) make_origin(&origins[i]);
  for (uint64_t seed = first; seed < first + n && test_bad < 20; seed++)
    run_trial(seed, (damage_kind)(seed % DAMAGE_N_KINDS));
  for (unsigned k = 0; k < DAMAGE_N_KINDS; k++) {
    printf("  %-22s %7lu directories, %6.1f keys of %d refused\n", damage_names[k], n_trials[k],
           n_trials[k] ? (double)n_refused[k] / (double)n_trials[k] : 0.0, N_KEYS);
    total += n_trials[k];
  }
  printf("  %lu directories, %lu wrong\n", total, n_wrong);
  CHECK_EQ(n_wrong, 0);
}

/* Files that have made an opening crash: a batch in which a sector was overwritten. */
static void known_inputs(void) {
  static const char *const paths[] = {"bitcask/tests/damaged/sector-copied-1.bitcask.data",
                                      "bitcask/tests/damaged/sector-copied-2.bitcask.data"};
  static uint8_t bytes[1 << 16];

  for (size_t i = 0; i < 2; i++) {
    FILE *f = fopen(paths[i], "rb");
    size_t n = f ? fread(bytes, 1, sizeof bytes, f) : 0;
    damage_dir d = {.n = 0};
    bitcask_options opt;
    bitcask_error e;
    bitcask *bc = NULL;
    uint64_t n_problems = 0;
    memenv *m;

    CHECK(n > 20000);
    if (f) fclose(f);
    damage_put(&d, "1.bitcask.data", bytes, n);
    m = put_on_disk(&d);
    bitcask_options_init(&opt);
    CHECK_OK(bc_open_env(dir, &opt, memenv_env(m), &bc, &e), &e);
    CHECK_OK(bitcask_verify(bc, NULL, NULL, NULL, &n_problems, &e), &e);
    CHECK(n_problems > 0);
    CHECK_OK(bitcask_put(bc, "new", 3, "value", 5, &e), &e);
    CHECK_OK(bitcask_close(bc, &e), &e);
    memenv_free(m);
    damage_clear(&d);
  }
}

int main(void) {
  RUN(known_inputs);
  RUN(damage_of_every_kind);
  return test_done();
}
