/* shards.c - see shards.h. */
#include "shards.h"

#include <stdlib.h>

/* What of a file is live, as far as a part's keys go. */
typedef struct live {
  uint32_t file_id;
  uint64_t keys;
  uint64_t bytes;
} live;

typedef struct shard {
  bc_keydir *keydir;
  live *files; /* ascending */
} shard;

struct bc_shards {
  unsigned log2_n;
  uint64_t log_bytes;
  uint64_t before; /* bytes of the files before this one */
  uint64_t this_file;
  size_t n_files, cap_files;
  shard parts[BC_MAX_SHARDS];
};

bc_shards *bc_shards_new(uint64_t seed, unsigned log2_n, uint64_t log_bytes) {
  bc_shards *s = calloc(1, sizeof *s);
  if (!s) return NULL;
  s->log2_n = log2_n;
  s->log_bytes = log_bytes;
  for (unsigned i = 0; i < bc_shards_n(s); i++) {
    s->parts[i].keydir = bc_keydir_new(seed);
    if (s->parts[i].keydir) continue;
    bc_shards_free(s);
    return NULL;
  }
  return s;
}

void bc_shards_free(bc_shards *s) {
  if (!s) return;
  for (unsigned i = 0; i < BC_MAX_SHARDS; i++) {
    bc_keydir_free(s->parts[i].keydir);
    free(s->parts[i].files);
  }
  free(s);
}

unsigned bc_shards_n(const bc_shards *s) { return 1u << s->log2_n; }

unsigned bc_shards_of(const bc_shards *s, uint64_t hash) {
  return s->log2_n ? (unsigned)(hash >> (64 - s->log2_n)) : 0;
}

bc_keydir *bc_shards_keydir(const bc_shards *s, uint64_t hash) {
  return s->parts[bc_shards_of(s, hash)].keydir;
}

int bc_shards_begin_file(bc_shards *s, uint32_t file_id, uint64_t bytes) {
  size_t cap = s->cap_files ? 2 * s->cap_files : 16;
  live *files;

  if (s->n_files == s->cap_files) {
    for (unsigned i = 0; i < bc_shards_n(s); i++) {
      files = realloc(s->parts[i].files, cap * sizeof *files);
      if (!files) return BITCASK_NOMEM;
      s->parts[i].files = files;
    }
    s->cap_files = cap;
  }
  for (unsigned i = 0; i < bc_shards_n(s); i++) {
    s->parts[i].files[s->n_files] = (live){.file_id = file_id};
  }
  s->n_files++;
  s->before += s->this_file;
  s->this_file = bytes;
  return BITCASK_OK;
}

void bc_shards_note(const bc_shards *s, unsigned part, uint64_t bytes) {
  bytes += s->before;
  /* The hashes of a part are only a share of those that its table could hold. */
  bc_keydir_expect(s->parts[part].keydir, (double)s->log_bytes / (double)bytes * bc_shards_n(s));
}

static live *find_file(const bc_shards *s, const shard *p, uint32_t file_id) {
  size_t lo = 0, hi = s->n_files, mid;
  /* Most often the one that is being read. */
  if (p->files[hi - 1].file_id == file_id) return &p->files[hi - 1];
  while (hi - lo > 1) {
    mid = lo + (hi - lo) / 2;
    if (p->files[mid].file_id <= file_id) {
      lo = mid;
    } else {
      hi = mid;
    }
  }
  return &p->files[lo];
}

static void uncount(const bc_shards *s, const shard *p, const bc_place *old) {
  live *f = find_file(s, p, old->file_id);
  f->keys--;
  f->bytes -= old->total_sz;
}

int bc_shards_put(bc_shards *s, uint64_t hash, const void *key, size_t key_sz,
                  const bc_place *place) {
  shard *p = &s->parts[bc_shards_of(s, hash)];
  bc_place old;
  live *f;
  bool had;
  int rc = bc_keydir_put(p->keydir, hash, key, key_sz, place, &old, &had);

  if (rc) return rc;
  if (had) uncount(s, p, &old);
  f = find_file(s, p, place->file_id);
  f->keys++;
  f->bytes += place->total_sz;
  return BITCASK_OK;
}

int bc_shards_remove(bc_shards *s, uint64_t hash, const void *key, size_t key_sz) {
  shard *p = &s->parts[bc_shards_of(s, hash)];
  bc_place old;
  bool had;
  int rc = bc_keydir_remove(p->keydir, hash, key, key_sz, &old, &had);

  if (!rc && had) uncount(s, p, &old);
  return rc;
}

static void count_live(const bc_shards *s, const shard *p, bitcask *bc) {
  for (size_t i = 0; i < s->n_files; i++) {
    bc_datafile *df = bc_fileset_find(bc->files, p->files[i].file_id);
    if (!df) continue;
    df->live_keys += p->files[i].keys;
    df->live_bytes += p->files[i].bytes;
  }
}

int bc_shards_join(bc_shards *s, bitcask *bc) {
  bc_keydir *keydir[BC_MAX_SHARDS];
  unsigned i, n = bc_shards_n(s);
  int rc;

  for (i = 0; i < n; i++) keydir[i] = s->parts[i].keydir;
  rc = bc_keydir_join(keydir, s->log2_n);
  if (rc) return rc;
  bc_keydir_free(bc->keydir);
  bc->keydir = keydir[0];
  atomic_fetch_add_explicit(&bc->version, 1, memory_order_relaxed);
  for (i = 0; i < n; i++) {
    count_live(s, &s->parts[i], bc);
    s->parts[i].keydir = NULL;
  }
  bc_shards_free(s);
  return BITCASK_OK;
}
