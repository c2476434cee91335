/*
** capi.c - the engines that are reached through their C interface: ours and
** LMDB.
**
** LMDB reads through one read transaction that is reused, and renewed after a
** write of its own.  Without sync it runs with MDB_NOSYNC.  It takes part twice,
** as with MDB_WRITEMAP it is faster, but a power cut under MDB_NOSYNC may then
** destroy the database, and not only the newest commits.
*/
#include "bench.h"

#include "bitcask.h"

#include <lmdb.h>
#include <stdio.h>
#include <stdlib.h>

/* --------------------------------------------------------------------- ours */

typedef struct bc_store {
  bitcask *bc;
  bitcask_txn *txn;       /* between begin(write) and commit */
  bitcask_snapshot *snap; /* between begin(!write) and commit */
  bitcask_buf buf;
  bool shared; /* the handle belongs to another store */
} bc_store;

static void check(int rc, const bitcask_error *e) {
  if (rc != BITCASK_OK) {
    bench_die("bitcask: %s: %s", bitcask_strerror(rc), e->text);
  }
}

static void *bc_open(const char *dir, sync_mode mode) {
  bc_store *s = bench_alloc(sizeof *s);
  bitcask_options o;
  bitcask_error e;

  memset(s, 0, sizeof *s);
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  o.sync = mode == SYNC_FULL ? BITCASK_SYNC_FULL : BITCASK_SYNC_NORMAL;
  check(bitcask_open(dir, &o, &s->bc, &e), &e);
  return s;
}

static void *bc_share(void *store, const char *dir) {
  const bc_store *s = store;
  bc_store *other = bench_alloc(sizeof *other);

  (void)dir;
  memset(other, 0, sizeof *other);
  other->bc = s->bc;
  other->shared = true;
  return other;
}

static void bc_close(void *store) {
  bc_store *s = store;
  bitcask_error e;

  bitcask_buf_free(&s->buf);
  if (!s->shared) {
    check(bitcask_close(s->bc, &e), &e);
  }
  free(s);
}

static void bc_begin(void *store, bool write) {
  bc_store *s = store;
  bitcask_error e;

  if (write) {
    check(bitcask_begin(s->bc, 0, &s->txn, &e), &e);
  } else {
    check(bitcask_snapshot_open(s->bc, NULL, &s->snap, &e), &e);
  }
}

static void bc_commit(void *store) {
  bc_store *s = store;
  bitcask_error e;

  if (s->txn) {
    check(bitcask_txn_prepare(s->txn, &e), &e);
    bitcask_txn_publish(s->txn);
    s->txn = NULL;
  } else {
    bitcask_snapshot_close(s->snap);
    s->snap = NULL;
  }
}

static void bc_put(void *store, const char *key, const void *value, size_t n) {
  bc_store *s = store;
  bitcask_error e;

  if (s->txn) {
    check(bitcask_txn_put(s->txn, key, KEY_SZ, value, n, &e), &e);
  } else {
    check(bitcask_put(s->bc, key, KEY_SZ, value, n, &e), &e);
  }
}

static bool bc_get(void *store, const char *key, uint64_t item, uint64_t *version) {
  bc_store *s = store;
  bitcask_entry entry = {0};
  bitcask_error e;
  int rc;

  if (s->snap) {
    rc = bitcask_snapshot_get(s->snap, key, KEY_SZ, &s->buf, &entry, &e);
  } else {
    rc = bitcask_get(s->bc, key, KEY_SZ, &s->buf, &e);
    entry.value = s->buf.data;
    entry.value_sz = (uint32_t)s->buf.size;
  }
  if (rc == BITCASK_NOTFOUND) {
    return false;
  }
  check(rc, &e);
  bench_check_value("bitcask", item, entry.value, entry.value_sz, version);
  return true;
}

static void bc_scan(void *store, bool values, scan_sum *sum) {
  bc_store *s = store;
  bitcask_snapshot *snap;
  bitcask_iter *it;
  bitcask_entry entry;
  bitcask_error e;
  int rc;

  check(bitcask_snapshot_open(s->bc, NULL, &snap, &e), &e);
  check(bitcask_iter_open(snap, values ? BITCASK_VALUES : BITCASK_KEYS, &it, &e), &e);
  while ((rc = bitcask_iter_next(it, &entry, &e)) == BITCASK_OK) {
    scan_add_key(sum, entry.key);
    if (values) {
      scan_add_value(sum, entry.value, entry.value_sz);
    }
  }
  if (rc != BITCASK_NOTFOUND) {
    check(rc, &e);
  }
  bitcask_iter_close(it);
  bitcask_snapshot_close(snap);
}

static uint64_t bc_count(void *store) {
  bc_store *s = store;
  bitcask_status_info info;
  bitcask_error e;

  check(bitcask_status(s->bc, &info, &e), &e);
  return info.keys;
}

const engine capi_bitcask = {.name = "bitcask",
                             .side = SIDE_C,
                             .ours = true,
                             .open = bc_open,
                             .share = bc_share,
                             .close = bc_close,
                             .begin = bc_begin,
                             .commit = bc_commit,
                             .put = bc_put,
                             .overwrite = bc_put,
                             .get = bc_get,
                             .scan = bc_scan,
                             .count = bc_count};

/* --------------------------------------------------------------------- LMDB */

typedef struct lmdb_store {
  MDB_env *env;
  MDB_dbi dbi;
  MDB_txn *read;  /* kept for all gets; NULL before the first */
  MDB_txn *write; /* between begin(write) and commit */
  bool idle;      /* `read` is reset: it must be renewed before use, and keeps no page */
  bool shared;    /* the environment belongs to another store */
} lmdb_store;

static void lmdb_check(int rc) {
  if (rc) {
    bench_die("lmdb: %s", mdb_strerror(rc));
  }
}

static void *open_lmdb(const char *dir, sync_mode mode, unsigned flags) {
  lmdb_store *s = bench_alloc(sizeof *s);
  MDB_txn *txn;

  memset(s, 0, sizeof *s);
  lmdb_check(mdb_env_create(&s->env));
  lmdb_check(mdb_env_set_mapsize(s->env, (size_t)64 << 30));
  flags |= mode == SYNC_FULL ? 0 : MDB_NOSYNC;
  lmdb_check(mdb_env_open(s->env, dir, flags, 0666));
  lmdb_check(mdb_txn_begin(s->env, NULL, 0, &txn));
  lmdb_check(mdb_dbi_open(txn, NULL, 0, &s->dbi));
  lmdb_check(mdb_txn_commit(txn));
  return s;
}

static void *lmdb_open(const char *dir, sync_mode mode) { return open_lmdb(dir, mode, 0); }

static void *lmdb_open_writemap(const char *dir, sync_mode mode) {
  return open_lmdb(dir, mode, MDB_WRITEMAP);
}

static void *lmdb_share(void *store, const char *dir) {
  const lmdb_store *s = store;
  lmdb_store *other = bench_alloc(sizeof *other);

  (void)dir;
  memset(other, 0, sizeof *other);
  other->env = s->env;
  other->dbi = s->dbi;
  other->shared = true;
  return other;
}

static void lmdb_close(void *store) {
  lmdb_store *s = store;

  mdb_txn_abort(s->read);
  if (!s->shared) {
    lmdb_check(mdb_env_sync(s->env, 1)); /* as our close does */
    mdb_env_close(s->env);
  }
  free(s);
}

static void lmdb_begin(void *store, bool write) {
  lmdb_store *s = store;

  if (!write) {
    return;
  }
  if (s->read && !s->idle) {
    mdb_txn_reset(s->read);
    s->idle = true;
  }
  lmdb_check(mdb_txn_begin(s->env, NULL, 0, &s->write));
}

static void lmdb_commit(void *store) {
  lmdb_store *s = store;

  if (s->write) {
    lmdb_check(mdb_txn_commit(s->write));
    s->write = NULL;
  }
}

static void lmdb_put(void *store, const char *key, const void *value, size_t n) {
  lmdb_store *s = store;
  bool single = !s->write;
  MDB_val k = {KEY_SZ, (void *)(uintptr_t)key};
  MDB_val v = {n, (void *)(uintptr_t)value};

  if (single) {
    lmdb_begin(s, true);
  }
  lmdb_check(mdb_put(s->write, s->dbi, &k, &v, 0));
  if (single) {
    lmdb_commit(s);
  }
}

static MDB_txn *lmdb_reader(lmdb_store *s) {
  if (!s->read) {
    lmdb_check(mdb_txn_begin(s->env, NULL, MDB_RDONLY, &s->read));
  } else if (s->idle) {
    lmdb_check(mdb_txn_renew(s->read));
  }
  s->idle = false;
  return s->read;
}

static bool lmdb_get(void *store, const char *key, uint64_t item, uint64_t *version) {
  lmdb_store *s = store;
  MDB_val k = {KEY_SZ, (void *)(uintptr_t)key};
  MDB_val v;
  int rc = mdb_get(lmdb_reader(s), s->dbi, &k, &v);

  if (rc == MDB_NOTFOUND) {
    return false;
  }
  lmdb_check(rc);
  bench_check_value("lmdb", item, v.mv_data, v.mv_size, version);
  return true;
}

static void lmdb_scan(void *store, bool values, scan_sum *sum) {
  lmdb_store *s = store;
  MDB_cursor *cursor;
  MDB_val k, v;
  int rc;

  lmdb_check(mdb_cursor_open(lmdb_reader(s), s->dbi, &cursor));
  while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
    scan_add_key(sum, k.mv_data);
    if (values) {
      scan_add_value(sum, v.mv_data, v.mv_size);
    }
  }
  if (rc != MDB_NOTFOUND) {
    lmdb_check(rc);
  }
  mdb_cursor_close(cursor);
}

static uint64_t lmdb_count(void *store) {
  lmdb_store *s = store;
  MDB_stat stat;

  lmdb_check(mdb_stat(lmdb_reader(s), s->dbi, &stat));
  return stat.ms_entries;
}

#define LMDB_OPERATIONS                                                                            \
  .side = SIDE_C, .is_peer = true, .share = lmdb_share, .close = lmdb_close, .begin = lmdb_begin,  \
  .commit = lmdb_commit, .put = lmdb_put, .overwrite = lmdb_put, .get = lmdb_get,                  \
  .scan = lmdb_scan, .count = lmdb_count

const engine capi_lmdb = {.name = "lmdb", .open = lmdb_open, LMDB_OPERATIONS};
const engine capi_lmdb_writemap = {
    .name = "lmdb-writemap", .open = lmdb_open_writemap, LMDB_OPERATIONS};
