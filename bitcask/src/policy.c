/*
** policy.c - see policy.h.
*/
#include "policy.h"

void bc_file_stat(const bc_datafile *df, uint32_t active_id, bitcask_file_stat *out) {
  uint64_t values = df->n_records - df->n_tombstones;
  *out = (bitcask_file_stat){.file_id = df->id,
                             .state =
                                 df->id == active_id ? BITCASK_FILE_ACTIVE : BITCASK_FILE_IMMUTABLE,
                             .has_hint = df->has_hint,
                             .damaged = df->damaged,
                             .total_bytes = atomic_load(&df->size),
                             .live_bytes = df->live_bytes,
                             .tombstone_bytes = df->tombstone_bytes,
                             .total_keys = values,
                             .live_keys = df->live_keys,
                             .tombstones = df->n_tombstones,
                             .oldest_tstamp = df->oldest_tstamp,
                             .newest_tstamp = df->newest_tstamp};
  out->dead_bytes = out->total_bytes - out->live_bytes;
  /* Damaged records that keys point at are live, and no records. */
  if (values < df->live_keys) values = df->live_keys;
  /* basho/bitcask's arithmetic, in doubles: 9 of 10 live are 9 per cent. */
  out->fragmented = (unsigned)((1 - (values ? (double)df->live_keys / (double)values : 0)) * 100);
}

/* What a merge would surely get rid of.  A tombstone may still be needed while
** there are files below; taken for dead it would be merged again and again. */
static uint64_t removable_bytes(const bitcask_file_stat *f) {
  return f->dead_bytes - f->tombstone_bytes;
}

/* A file of tombstones alone is no reason for a merge unless it is the lowest. */
static bool is_waste(const bitcask_file_stat *f, bool lowest) {
  return !f->live_keys && (f->total_keys || !f->tombstones || lowest);
}

static bool has_expired(const bitcask_options *o, int64_t now, int64_t grace,
                        const bitcask_file_stat *f) {
  int64_t cutoff = now - (int64_t)o->expiry_secs - grace;
  return o->expiry_secs && f->oldest_tstamp > 0 && cutoff > 0 && f->newest_tstamp < cutoff;
}

/* Does this sealed file alone call for a merge? */
static bool triggers(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                     bool lowest) {
  return is_waste(f, lowest) || (f->total_keys && f->fragmented >= o->frag_merge_trigger) ||
         removable_bytes(f) >= o->dead_bytes_merge_trigger ||
         has_expired(o, now, o->expiry_grace_time, f);
}

bool bc_policy_triggers(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                        size_t n) {
  for (size_t i = 0; i < n; i++) {
    if (f[i].state != BITCASK_FILE_ACTIVE && triggers(o, now, &f[i], i == 0)) return true;
  }
  return false;
}

/* Has it enough that is dead to go along with a merge that is due? */
static bool meets_threshold(const bitcask_options *o, int64_t now, const bitcask_file_stat *f) {
  return (f->total_keys && f->fragmented >= o->frag_threshold) ||
         removable_bytes(f) >= o->dead_bytes_threshold || has_expired(o, now, 0, f);
}

bool bc_policy_takes(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                     bool lowest) {
  if (f->state == BITCASK_FILE_ACTIVE) return false;
  return is_waste(f, lowest) || meets_threshold(o, now, f) ||
         f->total_bytes < o->small_file_threshold;
}

/* Is a file small enough that several of them should be one? */
static bool is_small(const bitcask_options *o, const bitcask_file_stat *f) {
  return f->live_bytes < o->small_file_threshold && f->live_bytes < o->max_file_size / 2;
}

/* Drop from the list what a full merge need not touch: files without anything
** dead, unless there are two or more that could be one. */
size_t bc_policy_all(const bitcask_options *o, uint32_t cutoff, bitcask_file_stat *f, size_t n) {
  size_t n_small = 0, kept = 0, i;
  for (i = 0; i < n; i++) n_small += is_small(o, &f[i]);
  for (i = 0; i < n; i++) {
    if (f[i].dead_bytes || !f[i].live_keys || f[i].damaged || f[i].oldest_tstamp < cutoff ||
        (n_small > 1 && is_small(o, &f[i]))) {
      f[kept++] = f[i];
    }
  }
  return kept;
}

/* A file of less than half of what it may hold is small; of a larger one nothing is
** gained by copying it. */
static bool is_worth_joining(const bitcask_options *o, const bitcask_file_stat *f) {
  return f->total_bytes < o->small_file_threshold && f->total_bytes < o->max_file_size / 2;
}

size_t bc_policy_auto(const bitcask_options *o, int64_t now, bitcask_file_stat *f, size_t n) {
  size_t kept = 0;
  bool due = false;

  for (size_t i = 0; i < n; i++) {
    bool calls;
    if (f[i].state == BITCASK_FILE_ACTIVE || f[i].damaged) continue;
    calls = triggers(o, now, &f[i], i == 0);
    due |= calls;
    if (calls || is_worth_joining(o, &f[i]) || meets_threshold(o, now, &f[i])) f[kept++] = f[i];
  }
  return due ? kept : 0;
}
