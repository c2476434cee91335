/* shards.c - see shards.h. */
#include "shards.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

enum {
  LOG2_PARTS = 3, /* more than threads: whoever is done early takes one more */
  N_PARTS = 1 << LOG2_PARTS,
  MAX_HELPERS = 3,
  MAX_LOG2_BUCKETS = 10,
  BUCKET_SZ = 8 * 1024,
  BUCKET_LOG = 128 * 1024, /* bytes of the log for which one more bucket is worth while */
  GROUP = 64               /* changes whose cache misses overlap */
};

/* A change that has been handed over and not been applied. */
typedef struct change {
  uint64_t hash;
  uint64_t offset;
  uint32_t file;     /* its number among those begun */
  uint32_t total_sz; /* 0: remove */
  uint32_t tstamp;
  uint32_t key_sz;
  uint8_t key[];
} change;

/* Those of a small part of the hash space, in order. */
typedef struct bucket {
  _Alignas(change) uint8_t bytes[BUCKET_SZ];
} bucket;

/* What is applied at once. */
typedef struct batch {
  bc_shards *shards;
  bucket *buckets;
  uint32_t used[1 << MAX_LOG2_BUCKETS]; /* bytes of each bucket */
  uint64_t n_changes;
  uint64_t key_bytes;
  uint64_t upto;    /* the position in the log that it reaches */
  size_t n_files;   /* begun by then */
  atomic_uint next; /* part that no thread has taken yet */
  pthread_t helper[MAX_HELPERS];
  unsigned n_helpers;
} batch;

/* What of a file is live, as far as a part's keys go. */
typedef struct live {
  uint32_t file_id;
  uint64_t keys;
  uint64_t bytes;
} live;

typedef struct part {
  bc_keydir *keydir;
  live *files; /* ascending */
} part;

struct bc_shards {
  const bc_env *env;
  uint64_t log_bytes;
  uint64_t before; /* bytes of the files before this one */
  uint64_t this_file;
  uint64_t applied_upto;
  size_t n_files, cap_files;
  unsigned log2_buckets;
  part parts[N_PARTS];
  batch batches[2]; /* one is filled while the other one is applied */
  unsigned filling;
  atomic_int rc; /* of all that was applied */
};

static bool batch_init(batch *b, bc_shards *s) {
  b->shards = s;
  b->buckets = malloc(sizeof *b->buckets << s->log2_buckets);
  return b->buckets != NULL;
}

bc_shards *bc_shards_new(const bc_env *env, uint64_t seed, uint64_t log_bytes) {
  bc_shards *s = calloc(1, sizeof *s);
  bool ok;

  if (!s) return NULL;
  s->env = env;
  s->log_bytes = log_bytes;
  s->log2_buckets = LOG2_PARTS;
  while (s->log2_buckets < MAX_LOG2_BUCKETS && log_bytes / BUCKET_LOG >> s->log2_buckets) {
    s->log2_buckets++;
  }
  ok = batch_init(&s->batches[0], s) && batch_init(&s->batches[1], s);
  for (unsigned i = 0; i < N_PARTS && ok; i++) {
    s->parts[i].keydir = bc_keydir_new(seed);
    ok = s->parts[i].keydir != NULL;
  }
  if (ok) return s;
  bc_shards_free(s);
  return NULL;
}

/* ------------------------------------------------------------------- applying */

static live *find_file(const live *files, size_t n, uint32_t file_id) {
  size_t lo = 0, hi = n, mid;
  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (files[mid].file_id <= file_id) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return (live *)(uintptr_t)&files[lo];
}

static int apply_change(part *p, size_t n_files, const change *c) {
  live *f = &p->files[c->file];
  bc_place place = {c->offset, f->file_id, c->total_sz, c->tstamp}, old;
  bool had;
  int rc = c->total_sz ? bc_keydir_put(p->keydir, c->hash, c->key, c->key_sz, &place, &old, &had)
                       : bc_keydir_remove(p->keydir, c->hash, c->key, c->key_sz, &old, &had);

  if (rc) return rc;
  if (c->total_sz) {
    f->keys++;
    f->bytes += c->total_sz;
  }
  if (had) {
    f = find_file(p->files, n_files, old.file_id);
    f->keys--;
    f->bytes -= old.total_sz;
  }
  return BITCASK_OK;
}

static uint32_t change_sz(size_t key_sz) { return (uint32_t)(sizeof(change) + key_sz + 7) & ~7u; }

static const change *change_at(const bucket *b, uint32_t at) {
  return (const change *)(b->bytes + at);
}

static uint32_t behind(const bucket *b, uint32_t at) {
  return at + change_sz(change_at(b, at)->key_sz);
}

/* The cache misses of many changes together cost little more than those of one: first
** the slots are fetched, then the entries, and then they are there. */
static int apply_bucket(part *p, size_t n_files, const bucket *b, uint32_t used) {
  uint32_t at, from, to = 0;
  int rc = BITCASK_OK;

  for (from = 0; from < used && !rc; from = to) {
    for (unsigned n = 0; n < GROUP && to < used; n++, to = behind(b, to)) {
      bc_keydir_prefetch_put_slot(p->keydir, change_at(b, to)->hash);
    }
    for (at = from; at < to; at = behind(b, at)) {
      bc_keydir_prefetch_put_entry(p->keydir, change_at(b, at)->hash);
    }
    for (at = from; at < to && !rc; at = behind(b, at)) {
      rc = apply_change(p, n_files, change_at(b, at));
    }
  }
  return rc;
}

/* Tell a table how large it will be.  The hashes of a part are only a share of those
** that its table could hold. */
static void expect(const batch *b, bc_keydir *kd) {
  double scale = (double)b->shards->log_bytes / (double)(b->upto + 1);
  double n = (double)bc_keydir_count(kd) * N_PARTS + (double)b->n_changes;
  double bytes = (double)bc_keydir_key_bytes(kd) * N_PARTS + (double)b->key_bytes;
  bc_keydir_expect(kd, (uint64_t)(n * scale), (uint64_t)(bytes * scale));
}

static int apply_part(batch *b, unsigned nth) {
  unsigned log2_each = b->shards->log2_buckets - LOG2_PARTS;
  part *p = &b->shards->parts[nth];
  int rc = BITCASK_OK;

  expect(b, p->keydir);
  for (size_t i = (size_t)nth << log2_each; i >> log2_each == nth; i++) {
    if (!rc) rc = apply_bucket(p, b->n_files, &b->buckets[i], b->used[i]);
    b->used[i] = 0;
  }
  return rc;
}

static void *apply_parts(void *arg) {
  batch *b = arg;
  unsigned i;
  int rc;
  while ((i = atomic_fetch_add(&b->next, 1)) < N_PARTS) {
    rc = apply_part(b, i);
    if (rc) atomic_store(&b->shards->rc, rc);
  }
  return NULL;
}

/* Start a thread that takes none of the host's signals.  False: there is none. */
static bool start_helper(batch *b) {
  sigset_t all, old;
  bool ok;
  memset(&all, 0xff, sizeof all);
  pthread_sigmask(SIG_SETMASK, &all, &old);
  ok = !pthread_create(&b->helper[b->n_helpers], NULL, apply_parts, b);
  pthread_sigmask(SIG_SETMASK, &old, NULL);
  b->n_helpers += ok;
  return ok;
}

/* Have a batch applied to its end, whoever began. */
static int finish(batch *b) {
  if (b->n_changes) apply_parts(b);
  while (b->n_helpers) pthread_join(b->helper[--b->n_helpers], NULL);
  b->n_changes = b->key_bytes = 0;
  return atomic_load(&b->shards->rc);
}

/* Have the batch that is filled applied, and go on with the other one. */
static int begin_to_apply(bc_shards *s) {
  batch *b = &s->batches[s->filling];
  unsigned cpus;
  int rc = finish(&s->batches[!s->filling]);

  if (rc) return rc;
  cpus = s->env->cpus(s->env->ctx, b->upto - s->applied_upto);
  s->applied_upto = b->upto;
  atomic_store(&b->next, 0);
  while (b->n_helpers + 1 < cpus && b->n_helpers < MAX_HELPERS && start_helper(b)) continue;
  s->filling = !s->filling;
  s->batches[s->filling].upto = b->upto;
  return b->n_helpers ? BITCASK_OK : finish(b);
}

static int apply_all(bc_shards *s) {
  int rc = begin_to_apply(s);
  return rc ? rc : finish(&s->batches[!s->filling]);
}

/* -------------------------------------------------------------------- gathering */

int bc_shards_begin_file(bc_shards *s, uint32_t file_id, uint64_t bytes) {
  size_t cap = s->cap_files ? 2 * s->cap_files : 16;
  live *files;

  if (s->n_files == s->cap_files) {
    int rc = finish(&s->batches[!s->filling]); /* helpers are using them */
    for (unsigned i = 0; i < N_PARTS && !rc; i++) {
      files = realloc(s->parts[i].files, cap * sizeof *files);
      if (!files) return BITCASK_NOMEM;
      s->parts[i].files = files;
    }
    if (rc) return rc;
    s->cap_files = cap;
  }
  for (unsigned i = 0; i < N_PARTS; i++) {
    s->parts[i].files[s->n_files] = (live){.file_id = file_id};
  }
  s->n_files++;
  s->before += s->this_file;
  s->this_file = bytes;
  return BITCASK_OK;
}

static part *part_of(bc_shards *s, uint64_t hash) { return &s->parts[hash >> (64 - LOG2_PARTS)]; }

static void fill(change *c, const bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                 const bc_place *place) {
  c->hash = hash;
  c->offset = place->offset;
  c->file = (uint32_t)s->n_files - 1;
  c->total_sz = place->total_sz;
  c->tstamp = place->tstamp;
  c->key_sz = (uint32_t)key_sz;
  if (key_sz) memcpy(c->key, key, key_sz);
}

/* Without a bucket: the key is too long for one. */
static int put_long(bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                    const bc_place *place) {
  change *c = malloc(change_sz(key_sz));
  int rc = c ? apply_all(s) : BITCASK_NOMEM;

  if (!rc) {
    fill(c, s, hash, key, key_sz, place);
    rc = apply_change(part_of(s, hash), s->n_files, c);
  }
  free(c);
  return rc;
}

int bc_shards_put(bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place) {
  size_t i = hash >> (64 - s->log2_buckets);
  batch *b = &s->batches[s->filling];
  uint32_t n = change_sz(key_sz);
  int rc;

  if (n > BUCKET_SZ) return put_long(s, hash, key, key_sz, place);
  if (n > BUCKET_SZ - b->used[i]) {
    rc = begin_to_apply(s);
    if (rc) return rc;
    b = &s->batches[s->filling];
  }
  fill((change *)(b->buckets[i].bytes + b->used[i]), s, hash, key, key_sz, place);
  b->used[i] += n;
  /* Where this bucket's next change will be written: by then it is there. */
  __builtin_prefetch(b->buckets[i].bytes + b->used[i] + sizeof(change), 1);
  b->n_changes++;
  b->key_bytes += key_sz;
  b->n_files = s->n_files;
  b->upto = s->before + place->offset;
  return BITCASK_OK;
}

/* -------------------------------------------------------------------- joining */

void bc_shards_free(bc_shards *s) {
  if (!s) return;
  for (unsigned i = 0; i < 2; i++) {
    batch *b = &s->batches[i];
    atomic_store(&b->next, N_PARTS); /* what has not been begun need not be */
    while (b->n_helpers) pthread_join(b->helper[--b->n_helpers], NULL);
    free(b->buckets);
  }
  for (unsigned i = 0; i < N_PARTS; i++) {
    bc_keydir_free(s->parts[i].keydir);
    free(s->parts[i].files);
  }
  free(s);
}

static void count_live(const bc_shards *s, const part *p, bitcask *bc) {
  for (size_t i = 0; i < s->n_files; i++) {
    bc_datafile *df = bc_fileset_find(bc->files, p->files[i].file_id);
    if (!df) continue;
    df->live_keys += p->files[i].keys;
    df->live_bytes += p->files[i].bytes;
  }
}

int bc_shards_join(bc_shards *s, bitcask *bc) {
  bc_keydir *keydir[N_PARTS];
  int rc = apply_all(s);

  if (rc) return rc;
  for (unsigned i = 0; i < N_PARTS; i++) keydir[i] = s->parts[i].keydir;
  rc = bc_keydir_join(keydir, LOG2_PARTS);
  if (rc) return rc;
  bc_keydir_free(bc->keydir);
  bc->keydir = keydir[0];
  bc->updates++;
  atomic_fetch_add_explicit(&bc->version, 1, memory_order_relaxed);
  atomic_fetch_add(&bc->changes, 1); /* a parked snapshot may be of before the first record */
  for (unsigned i = 0; i < N_PARTS; i++) {
    count_live(s, &s->parts[i], bc);
    s->parts[i].keydir = NULL;
  }
  bc_shards_free(s);
  return BITCASK_OK;
}
