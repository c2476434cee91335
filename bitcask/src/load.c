/* load.c - see load.h. */
#include "load.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "checkpoint.h"
#include "err.h"
#include "group.h"
#include "hint.h"
#include "home.h"
#include "lock.h"
#include "name.h"
#include "seal.h"
#include "shards.h"

enum {
  PROBE_MS = 1000,
  MAX_RESTARTS = 10000,
  RESTART_MS = 5000, /* a merge elsewhere may remove a file each time that we look */
  RECOVERY_MS = 60000,
  RECOVERY_PAUSE_US = 200,
  NOTE_EVERY = 1024 /* records */
};

/* What goes through one file.  The first load goes into shards; later, records go
** straight into the store. */
typedef struct loader {
  bitcask *bc;
  bc_datafile *df;
  bc_shards *shards; /* NULL: into the store */
  uint64_t from, limit;
  bool newest;   /* no file stands above df */
  bool moves;    /* df is below what was seen: the output of a merge */
  bool stranded; /* df follows a file that a power cut has shortened */
  uint64_t end;  /* behind what counts */
  uint32_t newest_tstamp;
  uint64_t n_records;
  bitcask_error *err;
} loader;

/* ------------------------------------------------------ applying records */

/* The output of a merge holds copies of records that were live.  Everything up
** to `seen` is in the keydir, so such a copy is of interest only for a key
** that is still at its older place; a key that is not there has been deleted
** since, and tombstones have done their work. */
static int apply_move(loader *l, uint64_t hash, const void *key, uint32_t key_sz,
                      const bc_place *place) {
  bc_place now;
  if (!bc_keydir_get(l->bc->keydir, hash, key, key_sz, &now)) return 0;
  if (now.file_id >= place->file_id) return 0;
  return bc_store_move(l->bc, key, key_sz, place);
}

/* One more record. */
static int note(loader *l, const bc_place *place) {
  if (place->tstamp > l->newest_tstamp) l->newest_tstamp = place->tstamp;
  return ++l->n_records % NOTE_EVERY ? BITCASK_OK : bc_store_progress(l->bc, NOTE_EVERY, l->err);
}

/* total_sz 0: remove. */
static int put(loader *l, uint64_t hash, const void *key, uint32_t key_sz, const bc_place *place) {
  if (l->shards) return bc_shards_put(l->shards, hash, key, key_sz, place);
  if (l->bc->restored && bc_store_defer(l->bc, key, key_sz, place)) return BITCASK_OK;
  return place->total_sz ? bc_store_put(l->bc, key, key_sz, place)
                         : bc_store_remove(l->bc, key, key_sz);
}

static int apply(loader *l, const void *key, uint32_t key_sz, bc_place *place, bool tombstone) {
  uint64_t hash = bc_hash(l->bc, key, key_sz);
  int rc = note(l, place);

  if (rc) return rc;
  bc_store_count(l->df, place->tstamp, tombstone ? place->total_sz : 0);
  if (bc_is_marker_key(key, key_sz)) return BITCASK_OK;
  if (place->offset > BC_MAX_OFFSET)
    return BITCASK_OK; /* 256 TiB into a file: not ours, not real */
  if (l->moves) {
    rc = tombstone ? BITCASK_OK : apply_move(l, hash, key, key_sz, place);
  } else {
    if (tombstone) place->total_sz = 0;
    rc = put(l, hash, key, key_sz, place);
  }
  return rc ? bc_err_nomem(l->err) : BITCASK_OK;
}

/* A file without a hint has lost its end.  Of one with a hint the keys are known. */
static void note_lost_end(bitcask *bc, bc_datafile *df, uint64_t was) {
  uint64_t size = atomic_load(&df->size);
  if (df->doubt_to >= was) return; /* known since an earlier look */
  df->damaged = true;
  df->doubt_from = size;
  df->doubt_to = was;
  bc_store_log(bc, "%s/%u.bitcask.data has lost its end: it has %llu of %llu bytes", bc->dir,
               df->id, (unsigned long long)size, (unsigned long long)was);
}

/* Under sync=off a file says how long the one before it was.  *broken: a power cut has kept this
** one and shortened that one, and then the log ended there. */
static void check_link(loader *l, const bc_record *r, bool *broken) {
  bitcask *bc = l->bc;
  bc_datafile *before;
  bc_position stable;
  bc_marker m;

  *broken = false;
  if (!bc_marker_decode(r, &m) || m.kind != BC_MARKER_LINK) return;
  before = bc_fileset_find(bc->files, m.count);
  /* One that is missing has been merged: its name had been on the disk. */
  if (!before || before->has_hint || atomic_load(&before->size) >= m.length) return;
  *broken = !bc_state_is_live(&bc->state) && bc_state_stable(&bc->state, &stable) &&
            m.count >= stable.file_id;
  if (!*broken) note_lost_end(bc, before, m.length);
}

/* Is the file shorter than it was when it was full?  What has been filled since it was listed
** is not. */
static bool is_short(bitcask *bc, bc_datafile *df, uint64_t *was) {
  uint64_t size = 0;

  if (df->has_hint || !bc_store_length(bc, df, was) || atomic_load(&df->size) >= *was) return false;
  return !bc_store_size_on_disk(bc, df->id, &size, NULL, NULL) && size < *was;
}

static void check_length(bitcask *bc, bc_datafile *df) {
  uint64_t was;
  if (is_short(bc, df, &was)) note_lost_end(bc, df, was);
}

/* The hint of a file has no values, and the link is one. */
static int check_hinted_link(loader *l, const bc_hint_entry *e) {
  bitcask_buf scratch = {0};
  const uint8_t *p;
  bc_record r;

  if (e->offset || e->total_sz != BC_MARKER_SZ || BC_MARKER_SZ > l->limit) return BITCASK_OK;
  if (!bc_datafile_read(l->df, 0, BC_MARKER_SZ, &scratch, &p, NULL) &&
      bc_record_decode(p, BC_MARKER_SZ, &r) == BC_DECODE_OK)
    check_link(l, &r, &l->stranded);
  bitcask_buf_free(&scratch);
  return l->stranded ? BITCASK_ABORT : BITCASK_OK;
}

static int on_hint(loader *l, const bc_hint_entry *e) {
  bc_place place = {e->offset, l->df->id, e->total_sz, e->tstamp};
  bool tombstone = e->tombstone;

  if (bc_is_marker_key(e->key, e->key_sz) && check_hinted_link(l, e)) return BITCASK_ABORT;
  /* basho/bitcask before 2.0 wrote no tombstone bit: a record of the size of
  ** a tombstone has to be looked at. */
  if (!tombstone && (e->total_sz == BC_RECORD_HEADER_SZ + e->key_sz + BC_TOMBSTONE_PREFIX_SZ ||
                     e->total_sz == BC_RECORD_HEADER_SZ + e->key_sz + BC_TOMBSTONE_SZ)) {
    bitcask_buf scratch = {0};
    const uint8_t *p;
    bc_record r;
    if (e->offset + e->total_sz <= l->limit &&
        !bc_datafile_read(l->df, e->offset, e->total_sz, &scratch, &p, NULL)) {
      tombstone = bc_record_decode(p, e->total_sz, &r) == BC_DECODE_OK && r.key_sz == e->key_sz &&
                  !memcmp(r.key, e->key, e->key_sz) && bc_is_tombstone(r.value, r.value_sz);
    }
    bitcask_buf_free(&scratch);
  }
  return apply(l, e->key, e->key_sz, &place, tombstone);
}

static int on_record(void *ctx, const bc_found *f) {
  loader *l = ctx;
  bc_place place = {f->offset, l->df->id, f->total_sz, f->record.tstamp};

  if (f->marker) check_link(l, &f->record, &l->stranded);
  if (l->stranded) return BITCASK_ABORT;
  return apply(l, f->record.key, f->record.key_sz, &place,
               bc_is_tombstone(f->record.value, f->record.value_sz));
}

static int on_skipped(void *ctx, uint64_t offset, uint64_t n) {
  loader *l = ctx;
  l->df->damaged = true;
  if (l->moves) l->bc->reload_due = true;
  bc_store_log(l->bc, "%s/%u.bitcask.data: %llu damaged bytes at %llu left out", l->bc->dir,
               l->df->id, (unsigned long long)n, (unsigned long long)offset);
  return 0;
}

/* The newest value of a key is not to be had: reading the key must fail, rather than give an
** older one or none.  Of a copy that a merge has made the original is known. */
static int on_damaged(void *ctx, const void *key, uint32_t key_sz, uint64_t offset,
                      uint32_t total_sz, bool tombstone) {
  loader *l = ctx;
  bc_place place = {offset, l->df->id, tombstone ? 0 : total_sz, l->newest_tstamp};

  if (offset > BC_MAX_OFFSET || bc_is_marker_key(key, key_sz)) return BITCASK_OK;
  if (l->moves || l->bc->opt.damage == BITCASK_DAMAGE_IGNORE) return BITCASK_OK;
  return put(l, bc_hash(l->bc, key, key_sz), key, key_sz, &place) ? bc_err_nomem(l->err)
                                                                  : BITCASK_OK;
}

static bool trusts_hint(const bitcask *bc, uint32_t id) {
  if (bc->opt.damage == BITCASK_DAMAGE_IGNORE) return false;
  for (size_t i = 0; i < bc->n_distrusted; i++) {
    if (bc->distrusted[i] == id) return false;
  }
  return true;
}

static int on_doubt(void *ctx, uint64_t offset, uint64_t n) {
  loader *l = ctx;
  l->df->damaged = true;
  /* A hint that was made since the file was last read knows its keys. */
  if (l->from && trusts_hint(l->bc, l->df->id)) {
    bool hinted;
    int rc = bc_hint_exists(l->bc->env, l->bc->dir, l->df->id, &hinted, l->err);
    if (rc) return rc;
    l->bc->reload_due |= hinted;
  }
  if (offset + n <= l->df->doubt_to) return BITCASK_OK;
  l->df->doubt_from = offset;
  l->df->doubt_to = offset + n;
  return BITCASK_OK;
}

/* --------------------------------------------------------------- one file */

/* Up to where bytes of file `id` are known to have been there, whatever crashed.  A
** directory without a state page is not of our making: all damage is rot. */
static uint64_t stable_in(const bitcask *bc, uint32_t id) {
  bc_position p, c = bc->committed;
  if (!bc_state_stable(&bc->state, &p)) return BC_STABLE_UNKNOWN;
  /* No crash of a process takes from the log what was committed since the machine booted. */
  if (c.file_id > p.file_id || (c.file_id == p.file_id && c.offset > p.offset)) p = c;
  if (id < p.file_id) return BC_ALL_STABLE;
  return id == p.file_id ? p.offset : 0;
}

/* Before the directory is listed: what is found out of date then was counted, as a
** commit or as a step of a merge, and is looked at again. */
static void note_outputs(bitcask *bc) {
  bc_commit_point p;
  uint64_t generation;

  if (!bc_state_outputs(&bc->state, &bc->outputs)) bc->outputs = (bc_outputs){0};
  bc->committed = (bc_position){0, 0};
  if (bc_state_read(&bc->state, &p, &generation) && !bc_state_sync_failed(&bc->state))
    bc->committed = (bc_position){p.active_id, p.committed};
  /* After a failed sync the page may be an older one. */
  if (bc_state_sync_failed(&bc->state) || !bc_state_written(&bc->state, &bc->written))
    bc->written = (bc_position){0};
}

/* The same for what is scanned.  An output lies below the stable position, and yet
** what comes last in it may be half there: copies, the originals are not gone. */
static uint64_t known_in(const bitcask *bc, const bc_datafile *df) {
  const bc_outputs *o = &bc->outputs;
  if (bc_may_grow(o, df->id)) return df->id == o->synced.file_id ? o->synced.offset : 0;
  /* One with a hint may be somebody's who knows no stable position. */
  if (df->foreign && stable_in(bc, df->id) != BC_ALL_STABLE) return BC_STABLE_UNKNOWN;
  return stable_in(bc, df->id);
}

/* Up to where a file holds nothing that is undecided (group.h).  What is behind the commit point
** is final if the stable position is behind it: that moves there only after the decision. */
static uint64_t final_in(const bitcask *bc, uint32_t id) {
  bc_commit_point p;
  uint64_t stable = stable_in(bc, id), generation;

  if (!bc_state_read(&bc->state, &p, &generation) || stable >= BC_ALL_STABLE) return stable;
  if (id < p.active_id) return BC_ALL_STABLE;
  return id == p.active_id && p.committed > stable ? p.committed : stable;
}

static int on_tie(void *ctx, const bc_tie *tie, bool *counts) {
  loader *l = ctx;
  return bc_group_ask(l->bc, tie, counts, l->err);
}

static int scan_data(loader *l) {
  bc_scan scan = {.from = l->from,
                  .limit = l->limit,
                  .stable = known_in(l->bc, l->df),
                  .newest = l->newest,
                  .fn = on_record,
                  .skipped = on_skipped,
                  .damaged = on_damaged,
                  .doubt = on_doubt,
                  .tied = on_tie,
                  .final = final_in(l->bc, l->df->id),
                  .ctx = l};
  int rc = bc_datafile_scan(l->df, &scan, l->err);
  l->end = scan.end;
  return l->stranded ? BITCASK_OK : rc;
}

/* Does the data file have at this place what the hint says, as far as it goes?  *other: it has
** another record. */
static bool fits_entry(loader *l, const bc_hint_entry *e, bool *other) {
  bitcask_buf scratch = {0};
  const uint8_t *p;
  bc_record r;
  bool fits = false;
  size_t n = e->total_sz <= l->limit - e->offset ? e->total_sz : (size_t)(l->limit - e->offset);

  *other = false;
  if (n >= BC_RECORD_HEADER_SZ && !bc_datafile_read(l->df, e->offset, n, &scratch, &p, NULL)) {
    size_t key_sz = n - BC_RECORD_HEADER_SZ < e->key_sz ? n - BC_RECORD_HEADER_SZ : e->key_sz;
    fits = bc_record_size(p) == e->total_sz && bc_get32(p + 4) == e->tstamp &&
           bc_get16(p + 8) == e->key_sz && !memcmp(p + BC_RECORD_HEADER_SZ, e->key, key_sz);
    *other = !fits && bc_record_decode(p, n, &r) == BC_DECODE_OK;
  }
  bitcask_buf_free(&scratch);
  return fits;
}

/* Is it the hint of this file?  One of another file has a right CRC, too, and its entries may
** tile this file.  A few entries are looked up; some may be damaged. */
static bool is_of_file(loader *l, const bc_hint *h) {
  unsigned n_fit = 0, n_asked = 0;
  bc_hint_entry e;
  bool other = false;
  size_t at;

  for (unsigned i = 0; i < h->n_samples; i++) {
    at = h->sample[i];
    (void)bc_hint_next(h, &at, &e);
    if (e.offset + BC_RECORD_HEADER_SZ > l->limit) continue; /* in the part that is missing */
    n_asked++;
    n_fit += fits_entry(l, &e, &other);
  }
  /* Of an entry behind the end there would be the beginning of its record. */
  return 2 * n_fit >= n_asked && !(other && h->end > l->limit);
}

static int read_hint(loader *l, const bc_hint *h) {
  bc_hint_entry e;
  size_t at = 0;
  int rc = BITCASK_OK;
  l->end = l->limit;
  if (h->end > l->limit) {
    l->df->damaged = true;
    bc_store_log(l->bc, "%s/%u.bitcask.data has lost its end: it has %llu of %llu bytes",
                 l->bc->dir, l->df->id, (unsigned long long)l->limit, (unsigned long long)h->end);
  }
  while (!rc && bc_hint_next(h, &at, &e)) rc = on_hint(l, &e);
  return l->stranded ? BITCASK_OK : rc;
}

/* Since it was listed: then its hint, made meanwhile, fits what it is now. */
static bool has_grown(const loader *l) {
  const bc_env *env = l->bc->env;
  uint64_t size;
  return !env->size(env->ctx, l->df->fd, &size) && size > l->limit;
}

/* Replay a file from l->from to l->limit, from its hint if that is valid. */
static int replay(loader *l, bitcask_error *err) {
  bitcask *bc = l->bc;
  int rc = BITCASK_NOTFOUND;
  bc_hint h;

  l->err = err;
  l->newest_tstamp = bc->newest_tstamp;
  if (l->from == 0 && trusts_hint(bc, l->df->id)) {
    rc = bc_hint_open(&h, bc->env, bc->dir, l->df->id, l->limit, bc->opt.mmap, err);
    if (!rc && (!is_of_file(l, &h) ||
                (h.end > l->limit && (bc_may_grow(&bc->outputs, l->df->id) || has_grown(l))))) {
      bc_hint_close(&h);
      rc = BITCASK_CORRUPT;
    }
    l->df->has_hint = !rc;
    /* An output that was listed before it was finished is longer now. */
    if (rc == BITCASK_CORRUPT && !bc_may_grow(&bc->outputs, l->df->id) && !has_grown(l)) {
      bc_store_log(bc, "%s/%u.bitcask.hint does not fit its data file, which is read instead",
                   bc->dir, l->df->id);
    }
    if (rc && rc != BITCASK_CORRUPT && rc != BITCASK_NOTFOUND) return rc;
  }
  if (!rc) {
    rc = read_hint(l, &h);
    bc_hint_close(&h);
  } else {
    rc = scan_data(l);
  }
  if (!rc) rc = bc_store_progress(bc, l->n_records % NOTE_EVERY, err);
  bc->newest_tstamp = l->newest_tstamp;
  return rc;
}

/* --------------------------------------------------------- the directory */

/* What a catch-up may look at. */
typedef struct bounds {
  bool live;        /* a commit point says where the log ends */
  bool foreign;     /* files above the active one are somebody else's, and count */
  bool whole_tail;  /* the active file counts as far as it is valid */
  bool dead_tail;   /* ... because who has written to it last is dead */
  bool all;         /* BC_TO_END */
  bool sizes_known; /* no more of any file than was listed, and that is there */
  bc_commit_point point;
  bc_position stable;
  uint64_t generation;
  uint64_t merges;
} bounds;

static int find_bounds(bitcask *bc, bc_catch_up_to to, bounds *b, bitcask_error *err) {
  bool held = true;
  int e;

  *b = (bounds){0};
  if (!bc->state.page) {
    e = bc_state_open_read(&bc->state, bc->dir);
    if (e) return bc_err_os(err, e, "cannot map %s/%s", bc->dir, BC_STATE_NAME);
  }
  b->merges = bc_state_merges(&bc->state);
  if (!bc_state_stable(&bc->state, &b->stable)) b->stable = (bc_position){0, 0};
  do {
    b->live = bc_state_read(&bc->state, &b->point, &b->generation);
    b->dead_tail = b->live && bc_lock_tail_is_dead(&bc->state);
    /* If it has been recovered meanwhile, it is below a newer point. */
  } while (b->live && bc_state_generation(&bc->state) != b->generation);
  if (to == BC_TO_END || !b->live) {
    b->whole_tail = !b->live || bc_state_tail(&bc->state) != BC_TAIL_CONDEMNED;
    b->foreign = true;
    return BITCASK_OK;
  }
  /* While no process of ours is writing, a file above the active one is from
  ** basho/bitcask, and so is what stands behind the commit point. */
  if (!bc_store_is_writing(bc)) {
    int rc = bc_lock_write_held(&bc->state, &held, err);
    if (rc) return rc;
  }
  b->foreign = !held;
  b->whole_tail = !held && bc_state_tail(&bc->state) == BC_TAIL_CLEAN;
  return BITCASK_OK;
}

/* Does the log end where it is known to be on stable storage, with nothing half written in
** it?  Then a writer that starts now has nothing to cut, and only appends. */
static bool is_whole(const bitcask *bc, const bc_position *stable, const bc_listing *l) {
  const bc_outputs *o = &bc->outputs;
  const bc_listed *last = l->n ? &l->file[l->n - 1] : NULL;

  if (o->last_id && o->synced.file_id <= o->last_id) return false;
  if (!last || last->id < stable->file_id) return true;
  return last->id == stable->file_id && last->size == stable->offset;
}

/* The last writer died between its append and its publish, or the machine has
** booted since the last one.  What stands at the end belongs to the log if it is
** valid: the next writer takes it in, too, and cuts the rest.  While it is read
** no writer may start, and the writer waits for that (lock.h).  Where there is nothing to
** cut no lock is taken: who only reads must be in nobody's way. */
static int hold_dead_tail(bitcask *bc, bc_catch_up_to to, const bc_position *stable, bounds *b,
                          const bc_listing *l, bool *holding, bitcask_error *err) {
  int rc;

  *holding = false;
  if (to == BC_TO_END || bc->state.fd < 0) return BITCASK_OK;
  if (b->live ? !b->dead_tail : is_whole(bc, stable, l)) return BITCASK_OK;
  /* BITCASK_BUSY: it is being recovered.  By the commit point what others have read behind it would
  ** be gone again; and what is read while it is cut is not there any more. */
  rc = bc_store_take_turn(bc, &(bc_waiter){.wait = NULL}, err);
  if (rc) return rc;
  rc = bc_lock_tail(&bc->state, err);
  if (rc) {
    bc_store_end_turn(bc);
    return rc;
  }
  *holding = true;
  /* Anew: a successor may have come and gone since.  By the old commit point its commits in that
  ** file would be passed over, and those in the next file taken in.  With the lock nobody writes,
  ** so that all is read that stands there. */
  if (b->live) {
    (void)find_bounds(bc, BC_TO_END, b, NULL); /* the page is mapped: it cannot fail */
    b->dead_tail = bc_state_tail(&bc->state) == BC_TAIL_APPENDED;
  }
  return BITCASK_OK;
}

static void release_dead_tail(bitcask *bc) {
  bc_unlock_write(&bc->state);
  bc_store_end_turn(bc);
}

/* ------------------------------------------------------- outputs of a merge */

/*
** What a dead merger has left may end in half a record, which the next merge, or repair, cuts off: not
** while it is read.  *holding: nobody does; else *growing: somebody is merging, and may take back what
** he is about to write.  Who reads to the end and merges himself (the turn is his) does neither.
*/
static int hold_outputs(bitcask *bc, const bounds *b, bool *holding, bool *growing,
                        bitcask_error *err) {
  *growing = true;
  if (!bc_store_take_merge(bc, true))
    return b->all ? bc_lock_merge_held(&bc->state, growing, err) : BITCASK_OK;
  *holding = bc_lock_outputs(&bc->state);
  *growing = !*holding;
  if (!*holding) bc_store_end_merge(bc);
  return BITCASK_OK;
}

static void release_outputs(bitcask *bc) {
  bc_unlock_merge(&bc->state);
  bc_store_end_merge(bc);
}

/* Of an output that is being written counts what was noted before the directory was listed; nothing
** of the next one, which may have been begun since; and all of one that is finished. */
static int written_of(const bitcask *bc, const bc_listed *f, uint64_t *limit, bitcask_error *err) {
  const bc_position *w = &bc->written;
  bc_position now = {0};
  bool hinted, gone; /* one that has gone is missed when it is opened */
  int rc;

  (void)bc_state_written(&bc->state, &now);
  if (!w->file_id || f->id < w->file_id) return BITCASK_OK;
  /* An id that was reserved in vain, and basho/bitcask has taken it. */
  if (f->id > w->file_id && f->id > now.file_id) return BITCASK_OK;
  rc = bc_hint_exists(bc->env, bc->dir, f->id, &hinted, err);
  if (rc) return rc;
  /* It may have been listed before. */
  if (hinted) return bc_store_size_on_disk(bc, f->id, limit, &gone, err);
  if (f->id > w->file_id || w->offset < *limit) *limit = f->id > w->file_id ? 0 : w->offset;
  return BITCASK_OK;
}

static int limit_of(bitcask *bc, const bounds *b, const bc_listed *f, uint64_t *limit,
                    bool *holding, bitcask_error *err) {
  bool growing, gone;
  int rc;

  *limit = f->size;
  if (bc_may_grow(&bc->outputs, f->id) && !b->sizes_known) {
    rc = hold_outputs(bc, b, holding, &growing, err);
    if (rc) return rc;
    return growing ? written_of(bc, f, limit, err)
                   : bc_store_size_on_disk(bc, f->id, limit, &gone, err);
  }
  if (b->live && !b->whole_tail && f->id == b->point.active_id && b->point.committed < f->size)
    *limit = b->point.committed;
  return BITCASK_OK;
}

/* A merge elsewhere has removed a file since it was listed: no error, look again. */
static int is_gone(int rc, int os_errno, bool *vanished, bitcask_error *err) {
  if (!rc || os_errno != ENOENT) return rc;
  *vanished = true;
  bc_err_clear(err);
  return BITCASK_OK;
}

static int load_new(bitcask *bc, bc_shards *shards, const bc_listed *f, uint64_t limit,
                    bool *vanished, bool *stranded, uint64_t *end, bitcask_error *err) {
  loader l = {.bc = bc,
              .shards = shards,
              .limit = limit,
              .newest = f->newest,
              .moves = f->id < bc->seen.file_id};
  bc_datafile *df;
  bool hinted;
  int rc, e;

  rc = bc_datafile_open(bc->env, bc->dir, f->id, BC_OPEN_READ, bc->opt.mmap, &df, &e, err);
  if (rc) return is_gone(rc, e, vanished, err);
  rc = bc_hint_exists(bc->env, bc->dir, f->id, &hinted, err);
  df->foreign = hinted;
  df->has_hint = hinted && bc->opt.damage == BITCASK_DAMAGE_IGNORE;
  /* In the set first: its statistics count while it is read. */
  if (!rc) rc = bc_store_add_file(bc, df, err);
  if (rc) {
    bc_datafile_unref(df);
    return rc;
  }
  if (shards && bc_shards_begin_file(shards, f->id, limit)) return bc_err_nomem(err);
  l.df = df;
  rc = replay(&l, err);
  *end = l.end;
  atomic_store_explicit(&df->size, *end, memory_order_release);
  *stranded = l.stranded;
  if (!rc && l.stranded) rc = bc_store_drop_file(bc, f->id, err);
  return rc;
}

static int load_rest(bitcask *bc, bc_datafile *df, const bc_listed *f, uint64_t limit,
                     bool *vanished, uint64_t *end, bitcask_error *err) {
  uint64_t from = atomic_load_explicit(&df->size, memory_order_acquire);
  loader l = {.bc = bc,
              .df = df,
              .from = from,
              .limit = limit,
              .newest = f->newest,
              .moves = df->id < bc->seen.file_id};
  int rc, e;

  *end = from;
  if (limit <= from) return BITCASK_OK;
  if (df->fd < 0) {
    rc = bc_datafile_reopen(df, bc->dir, BC_OPEN_READ, &e, err);
    if (rc) return is_gone(rc, e, vanished, err);
  }
  rc = replay(&l, err);
  *end = l.end;
  atomic_store_explicit(&df->size, *end, memory_order_release);
  return rc;
}

static int load_file(bitcask *bc, bc_shards *shards, const bounds *b, const bc_listed *f,
                     bool *vanished, bool *stranded, uint64_t *end, bitcask_error *err) {
  bc_datafile *df = bc_fileset_find(bc->files, f->id);
  bool holding = false;
  uint64_t limit;
  int rc = limit_of(bc, b, f, &limit, &holding, err);

  if (!rc && df) rc = load_rest(bc, df, f, limit, vanished, end, err);
  if (!rc && !df) rc = load_new(bc, shards, f, limit, vanished, stranded, end, err);
  if (holding) release_outputs(bc);
  return rc;
}

/* Keys whose newest record was in a file that a merge elsewhere has removed, and
** that no output has taken over, were dead in the log that we did not see. */
static int drop_gone(bitcask *bc, const bc_listing *l, bitcask_error *err) {
  bc_keydir_view *view;
  uint64_t cursor = 0, lost = 0;
  bc_place place;
  const void *key;
  uint32_t key_sz;
  bool dropped = false;
  size_t i, j = 0;
  int rc = BITCASK_OK;

  for (i = 0; i < bc->files->n && !rc;) {
    bc_datafile *df = bc->files->file[i];
    while (j < l->n && l->file[j].id < df->id) j++;
    if (j < l->n && l->file[j].id == df->id) {
      i++;
      continue;
    }
    lost += df->live_keys;
    dropped = true;
    rc = bc_store_drop_file(bc, df->id, err);
  }
  /* Should a part of the checkpoint be damaged, it cannot be made of the log any
  ** more: better found out here than by a snapshot to come. */
  if (!rc && dropped && bc_keydir_touch_all(bc->keydir)) rc = bc_store_lost_keydir(bc, err);
  lost += bc->gone;
  if (rc || !lost) return rc;
  bc->gone = 0;
  view = bc_keydir_view_open(bc->keydir);
  if (!view) return bc_err_nomem(err);
  while (!rc && bc_keydir_view_next(view, &cursor, &key, &key_sz, &place)) {
    if (bc_fileset_find(bc->files, place.file_id)) continue;
    if (bc_store_remove(bc, key, key_sz)) rc = bc_err_nomem(err);
  }
  if (!rc && bc_keydir_view_error(view)) rc = bc_store_lost_keydir(bc, err);
  bc_keydir_view_close(bc->keydir, view);
  return rc;
}

/* basho/bitcask marks the inputs of a finished merge and deletes them later.
** But if every file bears the marks it is the file system, or somebody's chmod,
** that speaks, and nothing may be taken for dead. */
static bool marks_mean_nothing(const bc_listing *l) {
  for (size_t i = 0; i < l->n; i++) {
    if (!(l->file[i].mode & BC_DELETION_MARKS)) return false;
  }
  return true;
}

/* Did a power cut end the log in this file, so that what follows must not
** count?  (sync=off: several files may have been unsynced.) */
static bool ends_log(const bitcask *bc, const bounds *b, const bc_listed *f, uint64_t end) {
  return !b->live && bc->state.page && end < f->size && stable_in(bc, f->id) <= end;
}

static void tell_of_strays(const bitcask *bc, const bc_listing *l) {
  for (size_t at = 0; at < l->strays.size; at += strlen((char *)l->strays.data + at) + 1) {
    bc_store_log(bc,
                 "%s/%s is named like a data file and is none; it is ignored, but keeps "
                 "basho/bitcask from opening the directory",
                 bc->dir, l->strays.data + at);
  }
}

/* A merge of this process keeps the keydir right by itself. */
static bool is_own_merges(const bitcask *bc, uint32_t id) {
  return (bc->first_out <= id && id <= bc->last_out) || (bc->is_removing && id == bc->removing);
}

/* The log has ended: does this file lie behind its end?  One with a hint is from
** somebody who went on writing. */
static int lies_behind(const bitcask *bc, uint32_t id, bool *behind, bitcask_error *err) {
  bool hinted;
  int rc = bc_hint_exists(bc->env, bc->dir, id, &hinted, err);
  *behind = !hinted;
  return rc;
}

/* A file that must not count: the log ended before it. */
static void leave_out(bitcask *bc, uint32_t id) {
  bc_store_log(bc, "%s/%u.bitcask.data lies behind the end that a power cut gave the log", bc->dir,
               id);
  bc->repairs_due = true;
}

static int walk_files(bitcask *bc, bc_shards *shards, const bounds *b, const bc_listing *l,
                      bool *vanished, bitcask_error *err) {
  bool ignore_marks = marks_mean_nothing(l), log_ended = false, stranded;
  bc_position seen = bc->seen;
  const bc_listed *f;
  bc_datafile *df;
  uint64_t end = 0;
  int rc = BITCASK_OK;

  if (ignore_marks && l->n) {
    bc_store_log(bc, "%s: every data file is marked as a dead merge input; the marks are ignored",
                 bc->dir);
  }
  for (size_t i = 0; i < l->n && !rc && !*vanished; i++) {
    f = &l->file[i];
    if (f->id > bc->max_id) bc->max_id = f->id;
    if (is_own_merges(bc, f->id)) continue;
    if ((f->mode & BC_DELETION_MARKS) && !ignore_marks) {
      bc->repairs_due = true;
      continue;
    }
    if (b->live && !b->foreign && f->id > b->point.active_id) continue;
    stranded = false;
    if (log_ended) rc = lies_behind(bc, f->id, &stranded, err);
    if (rc) break;
    if (stranded) {
      leave_out(bc, f->id);
      continue;
    }
    rc = load_file(bc, shards, b, f, vanished, &stranded, &end, err);
    if (rc || *vanished) break;
    if (stranded) {
      log_ended = true;
      leave_out(bc, f->id); /* whatever hint it has: it was not valid */
      continue;
    }
    df = bc_fileset_find(bc->files, f->id);
    if (!f->newest) check_length(bc, df);
    if (ends_log(bc, b, f, end)) log_ended = true;
    if (end < f->size && b->whole_tail) bc->repairs_due = true;
    if (i + 1 < l->n) {
      bc_datafile_settle(df);
      if (!df->has_hint && !df->damaged && !bc_seal_is_pending(bc, df->id)) bc->repairs_due = true;
    }
    if (f->id >= seen.file_id) seen = (bc_position){f->id, end};
  }
  if (!rc && !*vanished) bc->seen = seen;
  return rc;
}

static int walk(bitcask *bc, const bounds *b, const bc_listing *l, bool *vanished,
                bitcask_error *err) {
  bc_shards *shards = NULL;
  uint64_t bytes = 0;
  int rc;

  if (!bc->files->n && l->n) {
    /* Whatever a checkpoint knew has gone: all is new. */
    bc->seen = (bc_position){0, 0};
    for (size_t i = 0; i < l->n; i++) bytes += l->file[i].size;
    shards = bc_shards_new(bc->env, bc_keydir_seed(bc->keydir), bytes);
    if (!shards) return bc_err_nomem(err);
  }
  rc = walk_files(bc, shards, b, l, vanished, err);
  if (!rc && shards) {
    if (!bc_shards_join(shards, bc)) return BITCASK_OK;
    rc = bc_err_nomem(err);
  }
  bc_shards_free(shards);
  return rc;
}

static int start_anew(bitcask *bc, bitcask_error *err) {
  bc_keydir *kd;
  bc_fileset *fs;

  if (bc->first_out <= bc->last_out) {
    return bc_err(err, BITCASK_IOERR,
                  "%s: an operation failed, and a merge has to end before the "
                  "keydir can be loaded again; try again",
                  bc->dir);
  }
  kd = bc_keydir_new(bc_keydir_seed(bc->keydir));
  fs = bc_fileset_new();
  if (!kd || !fs) {
    bc_keydir_free(kd);
    bc_fileset_unref(fs);
    return bc_err_nomem(err);
  }
  bc_keydir_free(bc->keydir);
  bc_fileset_unref(bc->files);
  bc->keydir = kd;
  bc->files = fs;
  bc->seen = (bc_position){0, 0};
  bc_store_find_doubt(bc);
  bc->buried_for = (bc_position){0, 0};
  bc->missing = 0;
  bc->reload_due = false;
  bc->restored = false;
  bc->gone = 0;
  bc->n_saved = 0;
  bc->updates++; /* what is not there any more is not told of singly */
  atomic_fetch_add(&bc->version, 1);
  atomic_fetch_add(&bc->changes, 1);
  return BITCASK_OK;
}

/* Has no process of ours begun to write since the bounds were found?  Then the
** sizes that were listed meanwhile hold nothing that is not committed. */
static bool is_still_quiet(bitcask *bc, const bounds *b) {
  bool held = true;
  return !b->live ||
         (b->foreign && bc_state_tail(&bc->state) == BC_TAIL_CLEAN &&
          bc_state_generation(&bc->state) == b->generation && !bc_store_is_writing(bc) &&
          !bc_lock_write_held(&bc->state, &held, NULL) && !held);
}

static bool has_stale_temps(const bitcask *bc, const bc_listing *l) {
  for (size_t i = 0; i < l->n_temps; i++) {
    if (!bc_seal_is_at_work(bc, l->temps[i])) return true;
  }
  return false;
}

/* One look at the directory.  *again: it changed under our eyes. */
static int pass(bitcask *bc, bc_catch_up_to to, bounds *b, bool *again, bitcask_error *err) {
  bc_position stable = {0, 0};
  bc_listing l = {0};
  bool holding = false;
  int rc = find_bounds(bc, to, b, err);

  if (rc) return rc;
  (void)bc_state_stable(&bc->state, &stable);
  note_outputs(bc);
  rc = bc_listing_read(&l, bc->env, bc->dir, err);
  if (!rc) rc = hold_dead_tail(bc, to, &stable, b, &l, &holding, err);
  if (holding) { /* what was listed before may have been a writer's */
    bc_listing_release(&l);
    note_outputs(bc);
    rc = bc_listing_read(&l, bc->env, bc->dir, err);
  }
  if (!rc && !holding && to != BC_TO_END && !is_still_quiet(bc, b))
    b->foreign = b->whole_tail = false;
  /* A merge counts a step before it removes an input: so if it counted none
  ** during the listing, an input that is missing there has its outputs there. */
  *again = !rc && bc_state_merges(&bc->state) != b->merges;
  /* The first writer since boot has started: what was listed may be its own. */
  if (!rc && !b->live && to != BC_TO_END) {
    if (!bc->state.page) (void)bc_state_open_read(&bc->state, bc->dir);
    *again |= bc_state_is_live(&bc->state);
  }
  if (!rc && !*again) atomic_store(&bc->stale, true); /* until all that follows is done */
  if (!rc && !*again && bc->restored && !bc_checkpoint_fits(bc, &l)) {
    bc->checkpoint_unfit = true;
    bc->repairs_due = true;
    bc->max_id = bc->newest_tstamp = 0; /* that of other files, perhaps of another clock */
    rc = start_anew(bc, err);
  }
  b->all = to == BC_TO_END;
  if (!rc && !*again) rc = walk(bc, b, &l, again, err);
  /* Also of a merge's output with damage: what it took over is not known, so nothing may be
  ** taken for deleted because it is not there. */
  if (!rc && !*again && bc->reload_due) {
    rc = start_anew(bc, err);
    *again = !rc;
  }
  if (!rc && !*again) rc = drop_gone(bc, &l, err);
  if (!rc && !*again) {
    if (l.max_hint_id > bc->max_id) bc->max_id = l.max_hint_id;
    if (has_stale_temps(bc, &l)) bc->repairs_due = true;
    if (!bc->told) tell_of_strays(bc, &l);
    bc->told = true;
    if (holding && b->dead_tail) bc->repairs_due = true; /* others do not know of it yet */
    atomic_store(&bc->taken_in, holding && b->dead_tail ? b->generation : 0);
  }
  bc_listing_release(&l);
  if (holding) release_dead_tail(bc);
  return rc;
}

/* A checkpoint's position can be in a file that was reserved and is not made yet.
** But ids below it may be free, and basho/bitcask take one: its file would be below
** what was seen, and be taken for the output of a merge. */
static void forget_reserved(bitcask *bc) {
  const bc_datafile *last = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  if (last && last->id < bc->seen.file_id) {
    bc->seen = (bc_position){last->id, atomic_load(&last->size)};
  } else if (!last) {
    bc->seen = (bc_position){0, 0};
  }
}

/* ------------------------------------------------------- what is not known */

/* Which keys that are not there may be there, because their deletion is in doubt? */
typedef struct burials {
  bitcask *bc;
  bc_keydir *keys;
  uint32_t id;
} burials;

static int note_burial(burials *b, const void *key, uint32_t key_sz, uint64_t offset,
                       bool tombstone) {
  uint64_t hash = bc_hash(b->bc, key, key_sz);
  bc_place place = {offset, b->id, 0, 0}, old;
  bool had;

  if (tombstone && bc_is_doubtful(&b->bc->doubt, &place))
    return bc_keydir_put(b->keys, hash, key, key_sz, &place, &old, &had);
  return bc_keydir_remove(b->keys, hash, key, key_sz, &old, &had);
}

static int see_buried(void *ctx, const bc_found *f) {
  return f->marker ? BITCASK_OK
                   : note_burial(ctx, f->record.key, f->record.key_sz, f->offset,
                                 bc_is_tombstone(f->record.value, f->record.value_sz));
}

static int see_buried_damaged(void *ctx, const void *key, uint32_t key_sz, uint64_t offset,
                              uint32_t total_sz, bool tombstone) {
  (void)total_sz;
  return note_burial(ctx, key, key_sz, offset, tombstone);
}

static int see_buried_hinted(void *ctx, const bc_hint_entry *e) {
  return bc_is_marker_key(e->key, e->key_sz)
             ? BITCASK_OK
             : note_burial(ctx, e->key, e->key_sz, e->offset, e->tombstone);
}

static int bury_file(burials *b, bc_datafile *df, bitcask_error *err) {
  bc_scan scan = {.limit = atomic_load(&df->size),
                  .stable = BC_ALL_STABLE,
                  .singly = true,
                  .fn = see_buried,
                  .damaged = see_buried_damaged,
                  .ctx = b};
  int rc = BITCASK_CORRUPT;

  b->id = df->id;
  if (df->has_hint)
    rc = bc_hint_load(b->bc->env, b->bc->dir, df->id, scan.limit, see_buried_hinted, b, err);
  if (rc == BITCASK_CORRUPT || rc == BITCASK_NOTFOUND) rc = bc_datafile_scan(df, &scan, err);
  return rc == BITCASK_NOMEM ? bc_err_nomem(err) : rc;
}

/* Cost: a second look at all of the log, in a directory with damage alone. */
static int find_buried(bitcask *bc, bitcask_error *err) {
  bc_position end;
  burials b = {.bc = bc};
  int rc = BITCASK_OK;

  bc_store_find_doubt(bc);
  end = (bc_position){bc->doubt.file_id, bc->doubt.to};
  if (!end.offset || (end.file_id == bc->buried_for.file_id && end.offset == bc->buried_for.offset))
    return BITCASK_OK;
  b.keys = bc_keydir_new(bc_keydir_seed(bc->keydir));
  if (!b.keys) return bc_err_nomem(err);
  for (size_t i = 0; i < bc->files->n && !rc; i++) rc = bury_file(&b, bc->files->file[i], err);
  if (rc) {
    bc_keydir_free(b.keys);
    return rc;
  }
  bc_keydir_free(bc->buried);
  bc->buried = b.keys;
  bc->buried_for = end;
  return BITCASK_OK;
}

/* Is the log shorter than it is known to have been? */
static void find_missing(bitcask *bc, const bounds *b) {
  bc_position known = b->stable;
  uint64_t was = bc->missing, length;
  bc_datafile *df;

  if (b->live) known = (bc_position){b->point.active_id, b->point.committed};
  df = bc->files->n ? bc->files->file[bc->files->n - 1] : NULL;
  bc->missing = 0;
  if (df && df->id < known.file_id && !known.offset && is_short(bc, df, &length))
    known = (bc_position){df->id, length};
  df = bc_fileset_find(bc->files, known.file_id);
  if (!df && bc->files->n && bc->files->file[bc->files->n - 1]->id > known.file_id) return;
  if (df && bc->files->file[bc->files->n - 1] != df) return;
  if (!df || atomic_load(&df->size) < known.offset)
    bc->missing = known.offset - (df ? atomic_load(&df->size) : 0);
  if (bc->missing && bc->missing != was) {
    bc->lost = bc->missing;
    bc_store_log(bc,
                 "%s: the log has been longer: at least %llu bytes are gone from its end, up to "
                 "%llu of %u.bitcask.data; it is read as the earlier state that it is now",
                 bc->dir, (unsigned long long)bc->missing, (unsigned long long)known.offset,
                 known.file_id);
  }
}

static int catch_up(bitcask *bc, bc_catch_up_to to, bitcask_error *err) {
  uint64_t until = bc->env->monotonic_ms(bc->env->ctx) + RESTART_MS;
  bool again;
  int rc, tries = 0;
  bounds b;

  if (atomic_load(&bc->stale)) {
    rc = start_anew(bc, err);
    if (rc) return rc;
  }
  do {
    again = false;
    rc = pass(bc, to, &b, &again, err);
    /* A damaged part of the checkpoint could not be replaced, so that what is known
    ** of its keys may be wrong. */
    if (bc_keydir_error(bc->keydir)) {
      bc_err_clear(err);
      rc = start_anew(bc, err);
      again = !rc;
    }
  } while (!rc && again && ++tries < MAX_RESTARTS && bc->env->monotonic_ms(bc->env->ctx) < until);
  if (!rc && again) rc = bc_err(err, BITCASK_IOERR, "%s: files keep vanishing", bc->dir);
  if (!rc) rc = find_buried(bc, err);
  if (rc) return rc;
  find_missing(bc, &b);

  if (b.live && b.point.tstamp > bc->newest_tstamp) bc->newest_tstamp = b.point.tstamp;
  atomic_store(&bc->generation, b.generation);
  atomic_store(&bc->merges, b.merges);
  atomic_store(&bc->probed_ms, bc->env->monotonic_ms(bc->env->ctx));
  atomic_store(&bc->stale, false);
  if (bc->restored) forget_reserved(bc);
  bc->restored = false;
  return BITCASK_OK;
}

int bc_catch_up(bitcask *bc, bc_catch_up_to to, bitcask_error *err) {
  bitcask_error e = {0};
  int rc = catch_up(bc, to, err), moved;

  /* If there is another directory of the name, what was read may be that one's; if there is
  ** none, that is why it failed. */
  moved = rc ? bc_home_check(bc, NULL, &e) : bc_home_check_often(bc, NULL, &e);
  if (!moved || (rc && moved != BITCASK_MOVED)) return rc;
  if (err) *err = e;
  return moved;
}

int bc_settle(bitcask *bc, bitcask_error *err) {
  int rc = bc_keydir_error(bc->keydir) ? bc_store_lost_keydir(bc, NULL) : bc_store_settle(bc, NULL);
  return rc ? bc_catch_up(bc, BC_TO_COMMITTED, err) : BITCASK_OK;
}

/* Outputs that have come, or grown, since hold what is still in their inputs. */
static void keep_known(bc_listing *l, const bc_position *known, size_t n_known) {
  size_t n = 0, j = 0;
  for (size_t i = 0; i < l->n; i++) {
    while (j < n_known && known[j].file_id < l->file[i].id) j++;
    if (j == n_known || known[j].file_id != l->file[i].id) continue;
    l->file[n] = l->file[i];
    if (l->file[n].size > known[j].offset) l->file[n].size = known[j].offset;
    n++;
  }
  l->n = n;
}

/* The keydir of the log up to a position, apart from the store itself: another
** thread may be changing that. */
static int reload(const bitcask *bc, const bc_position *to, const bc_position *known,
                  size_t n_known, uint64_t seed, bc_keydir **out, bc_fileset **files) {
  bounds b = {.live = true,
              .sizes_known = true,
              .point = {.active_id = to->file_id, .committed = to->offset}};
  bitcask own = {.env = bc->env,
                 .dir = bc->dir,
                 .opt = bc->opt,
                 .state = bc->state,
                 .keydir = bc_keydir_new(seed),
                 .files = bc_fileset_new(),
                 .first_out = 1};
  bc_listing l = {0};
  int rc = own.keydir && own.files ? BITCASK_OK : BITCASK_NOMEM, tries = 0;
  bool again = true;

  own.opt.log = NULL; /* told when the directory was loaded */
  pthread_rwlock_init(&own.lock, NULL);
  while (!rc && again && ++tries < MAX_RESTARTS) {
    again = false;
    note_outputs(&own);
    rc = bc_listing_read(&l, bc->env, bc->dir, NULL);
    keep_known(&l, known, n_known);
    if (!rc) rc = walk(&own, &b, &l, &again, NULL);
    bc_listing_release(&l);
    if (!rc && again) rc = start_anew(&own, NULL);
  }
  /* Of a log with damage it cannot be told what the checkpoint knew. */
  if (own.keydir && own.files) bc_store_find_doubt(&own);
  if (!rc && own.doubt.to) rc = BITCASK_CORRUPT;
  if (rc || again) {
    bc_keydir_free(own.keydir);
    own.keydir = NULL;
    if (!rc) rc = BITCASK_IOERR;
  }
  *out = own.keydir;
  *files = own.files;
  pthread_rwlock_destroy(&own.lock);
  return rc;
}

/* A data file above all that we know can only be from basho/bitcask. */
static int is_unknown(void *arg, const char *name) {
  const bitcask *bc = arg;
  uint32_t id;
  return bc_name_parse(name, &id) == BC_NAME_DATA && id > bc->max_id ? EEXIST : 0;
}

static bool probe(bitcask *bc) {
  bool news;
  pthread_rwlock_rdlock(&bc->lock);
  /* If it has moved, the catch-up will say so. */
  news = bc_home_check(bc, NULL, NULL) != BITCASK_OK ||
         bc->env->list(bc->env->ctx, bc->dir, is_unknown, bc) == EEXIST;
  pthread_rwlock_unlock(&bc->lock);
  return news;
}

/* Has the author of the tail died, whose transaction counts since, but is not in the keydir?
** Not asked more often than once a millisecond: a get beside a writer who syncs would cost a
** system call more. */
static bool has_dead_tail(bitcask *bc, uint64_t now) {
  bool dead;
  if (bc_state_tail(&bc->state) != BC_TAIL_APPENDED || now == atomic_load(&bc->tail_ms) ||
      bc_state_generation(&bc->state) == atomic_load(&bc->taken_in))
    return false;
  atomic_store(&bc->tail_ms, now);
  pthread_rwlock_rdlock(&bc->lock); /* the descriptor may be opened anew */
  dead = bc_lock_tail_is_dead(&bc->state);
  pthread_rwlock_unlock(&bc->lock);
  return dead;
}

bool bc_has_news(bitcask *bc) {
  uint64_t now;
  if (atomic_load(&bc->stale) || !bc_state_is_live(&bc->state)) return true;
  if (bc_state_generation(&bc->state) != atomic_load(&bc->generation)) return true;
  if (bc_state_merges(&bc->state) != atomic_load(&bc->merges)) return true;
  now = bc->env->monotonic_ms(bc->env->ctx);
  if (has_dead_tail(bc, now)) return true;
  if (now - atomic_load(&bc->probed_ms) < PROBE_MS) return false;
  atomic_store(&bc->probed_ms, now);
  return probe(bc);
}

/* Without `lock`: who recovers may be another thread of this handle, and needs it. */
static int catch_up_patiently(bitcask *bc, bitcask_error *err) {
  const bc_env *env = bc->env;
  uint64_t until = env->monotonic_ms(env->ctx) + RECOVERY_MS;
  int rc;

  for (;;) {
    pthread_rwlock_wrlock(&bc->lock);
    rc = bc_catch_up(bc, BC_TO_COMMITTED, err);
    pthread_rwlock_unlock(&bc->lock);
    if (rc != BITCASK_BUSY) return rc;
    if (env->monotonic_ms(env->ctx) >= until) break;
    if (bc->opt.progress && bc->opt.progress(bc->opt.progress_ctx))
      return bc_err(err, BITCASK_INTERRUPT, "opening %s was interrupted", bc->dir);
    env->sleep_us(env->ctx, RECOVERY_PAUSE_US);
  }
  return bc_err(err, BITCASK_BUSY,
                "%s: another process has been recovering what a dead writer has left for a minute: "
                "has it been stopped?",
                bc->dir);
}

int bc_refresh(bitcask *bc, bitcask_error *err) {
  return bc_has_news(bc) ? catch_up_patiently(bc, err) : BITCASK_OK;
}

int bc_load(bitcask *bc, bitcask_error *err) {
  if (bc->opt.damage == BITCASK_DAMAGE_REFUSE) (void)bc_checkpoint_restore(bc, reload);
  return catch_up_patiently(bc, err);
}

static int on_any_damage(void *ctx, uint64_t offset, uint64_t n) {
  (void)ctx;
  (void)offset;
  (void)n;
  return BITCASK_CORRUPT;
}

static int on_any_record(void *ctx, const bc_found *f) {
  (void)ctx;
  (void)f;
  return BITCASK_OK;
}

/* Is every byte of the file part of a valid record, and every batch whole? */
static bool is_sound(bc_datafile *df) {
  bc_scan scan = {.limit = atomic_load(&df->size),
                  .stable = BC_ALL_STABLE,
                  .fn = on_any_record,
                  .skipped = on_any_damage,
                  .doubt = on_any_damage};
  return !bc_datafile_scan(df, &scan, NULL) && scan.end == scan.limit;
}

bool bc_hint_misleads(bitcask *bc, const bc_place *place, const void *key, size_t key_sz) {
  bitcask_buf scratch = {0};
  const uint8_t *p;
  bc_datafile *df;
  bc_record r;
  bool yes;

  pthread_rwlock_rdlock(&bc->lock);
  df = bc_fileset_find(bc->files, place->file_id);
  yes = df && df->has_hint && !df->damaged && trusts_hint(bc, df->id) &&
        place->offset + place->total_sz <= atomic_load(&df->size) &&
        !bc_datafile_read(df, place->offset, place->total_sz, &scratch, &p, NULL) &&
        bc_record_decode(p, place->total_sz, &r) == BC_DECODE_OK &&
        (r.key_sz != key_sz || memcmp(r.key, key, key_sz) != 0);
  /* Or the data is not what it was when the hint was made: then the hint is right. */
  if (yes && !is_sound(df)) {
    df->damaged = true;
    yes = false;
  }
  pthread_rwlock_unlock(&bc->lock);
  bitcask_buf_free(&scratch);
  return yes;
}

int bc_distrust_hint(bitcask *bc, uint32_t id, bitcask_error *err) {
  uint32_t *list;
  int rc;

  pthread_rwlock_wrlock(&bc->lock);
  rc = BITCASK_OK;
  list = realloc(bc->distrusted, (bc->n_distrusted + 1) * sizeof *list);
  if (!list) {
    rc = bc_err_nomem(err);
  } else {
    list[bc->n_distrusted++] = id;
    bc->distrusted = list;
    atomic_store(&bc->stale, true);
  }
  pthread_rwlock_unlock(&bc->lock);
  return rc ? rc : bc_refresh(bc, err);
}
