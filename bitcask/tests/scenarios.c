/*
** scenarios.c - what is done to a Bitcask while the power fails or calls do.
*/
#include "world.h"

#include "format.h"
#include "memenv_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void start(world *w) {
  world_open(w);
  world_put(w, "a", "one");
  world_put(w, "b", "two");
  world_put(w, "c", "three");
}

static void start_closed(world *w) {
  start(w);
  world_close(w);
}

/* Several files, in which most is dead: overwritten, or deleted in a later one. */
static void start_files(world *w) {
  char key[16], value[32];

  world_open(w);
  for (int i = 0; i < 24; i++) {
    snprintf(key, sizeof key, "key%d", i % 9);
    snprintf(value, sizeof value, "value%d of %s", i, key);
    world_put(w, key, value);
    if (i % 5 == 4) {
      snprintf(key, sizeof key, "key%d", (i + 4) % 9);
      world_delete(w, key);
    }
  }
  world_delete(w, "key8");
  world_put(w, "last", "in the active file");
}

static void start_files_closed(world *w) {
  start_files(w);
  world_close(w);
}

/* ---------------------------------------------------------------------- writes */

static void run_create(world *w) {
  world_open(w);
  world_put(w, "first", "ever");
  world_check(w);
}

/* In a directory so new that nothing of it was ever synced but by its makers. */
static void run_create_long(world *w) {
  world_open(w);
  world_put_bytes(w, "first", 1500, '1');
  world_put_bytes(w, "second", 1500, '2');
  world_begin(w);
  world_txn_put_bytes(w, "third", 1500, '3');
  world_txn_put_bytes(w, "fourth", 1500, '4');
  world_prepare(w);
  world_publish(w);
  world_put_bytes(w, "fifth", 1500, '5');
  world_check(w);
}

static void run_put(world *w) {
  world_put(w, "d", "four");
  world_put(w, "", "the empty key");
  world_put(w, "empty", "");
  world_put_bytes(w, "pages", 9000, 'p');
  world_put(w, "e", "after the long one");
  world_check(w);
}

static void run_overwrite(world *w) {
  world_put(w, "a", "ONE");
  world_put_bytes(w, "a", 5000, 'a');
  world_put(w, "a", "1");
  world_put(w, "c", "3");
  world_check(w);
}

static void run_delete(world *w) {
  world_delete(w, "b");
  world_delete(w, "nobody");
  world_delete(w, "a");
  world_put(w, "a", "back");
  world_delete(w, "c");
  world_check(w);
}

static void run_batch(world *w) {
  for (int i = 0; i < 3; i++) {
    world_begin(w);
    world_txn_put(w, "a", i % 2 ? "odd" : "even");
    world_txn_put(w, "n", i % 2 ? "odd too" : "even too");
    world_txn_delete(w, i % 2 ? "c" : "b");
    world_txn_put(w, "a", "the same key once more");
    world_txn_put_bytes(w, "long", 6000, (char)('0' + i));
    world_prepare(w);
    world_publish(w);
    world_check(w);
  }
}

/* Over several sectors and pages, so that a power cut can keep a later record and
** lose an earlier one. */
static void run_long_values(world *w) {
  static const size_t sizes[] = {700, 1500, 4500, 90, 9000, 600};
  char key[16];

  for (int i = 0; i < 6; i++) {
    snprintf(key, sizeof key, "long%d", i % 4);
    world_put_bytes(w, key, sizes[i], (char)('A' + i));
  }
  world_begin(w);
  for (int i = 0; i < 6; i++) {
    snprintf(key, sizeof key, "long%d", (i + 2) % 5);
    world_txn_put_bytes(w, key, sizes[5 - i], (char)('a' + i));
  }
  world_txn_delete(w, "a");
  world_prepare(w);
  world_publish(w);
  world_sync(w);
  world_delete(w, "long3");
  world_put_bytes(w, "b", 1000, 'b');
  world_put_bytes(w, "c", 1000, 'c');
  world_check(w);
}

/* The same record again in the place of one that was taken back. */
static void run_rollback_same_size(world *w) {
  for (int i = 0; i < 3; i++) {
    world_begin(w);
    world_txn_put_bytes(w, "a", 600, 'x');
    world_txn_put_bytes(w, "b", 600, 'x');
    world_txn_put_bytes(w, "c", 600, 'x');
    world_prepare(w);
    world_rollback(w);
    world_put_bytes(w, "d", 47 + (size_t)i, 'y');
    world_put_bytes(w, "a", 600, (char)('0' + i));
  }
  world_check(w);
}

static void run_batch_of_one(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "alone");
  world_prepare(w);
  world_publish(w);
  world_begin(w);
  world_txn_delete(w, "b");
  world_prepare(w);
  world_publish(w);
  world_begin(w);
  world_prepare(w);
  world_publish(w);
  world_check(w);
}

static void run_savepoints(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "before");
  world_savepoint(w, 0);
  world_txn_put(w, "b", "undone");
  world_txn_delete(w, "a");
  world_savepoint(w, 1);
  world_txn_put(w, "d", "undone");
  world_rollback_to(w, 1);
  world_txn_put(w, "e", "undone");
  world_rollback_to(w, 0);
  world_txn_put(w, "f", "kept");
  world_prepare(w);
  world_publish(w);
  world_check(w);
}

static void run_rollback(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "never");
  world_txn_put(w, "x", "never");
  world_rollback(w);
  world_check(w);
  world_put(w, "d", "after a rollback");
}

static void run_rollback_prepared(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "taken back");
  world_txn_put_bytes(w, "x", 5000, 'x');
  world_txn_delete(w, "b");
  world_prepare(w);
  world_rollback(w);
  world_check(w);
  world_put(w, "d", "after a rollback");
  world_begin(w);
  world_txn_put(w, "y", "taken back");
  world_prepare(w);
  world_rollback(w);
  world_check(w);
}

static void run_prepare_twice(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "first");
  world_txn_put(w, "b", "first");
  world_prepare(w);
  world_txn_put(w, "c", "second thoughts");
  world_prepare(w);
  world_publish(w);
  world_check(w);
}

/* What was prepared first lies in a file that the second attempt leaves. */
static void run_prepare_rotating(world *w) {
  world_begin(w);
  world_txn_put(w, "a", "first");
  world_txn_delete(w, "b");
  world_prepare(w);
  world_txn_put_bytes(w, "c", 300, 'c');
  world_prepare(w);
  world_publish(w);
  world_check(w);
  world_put(w, "d", "in a file of its own");
  world_begin(w);
  world_txn_put(w, "a", "never");
  world_txn_put(w, "b", "never");
  world_prepare(w);
  world_txn_put_bytes(w, "c", 300, 'n');
  world_prepare(w);
  world_rollback(w);
  world_reopen(w);
  world_check(w);
}

/* ----------------------------------------------------------------------- files */

static void run_rotate(world *w) {
  char key[16];

  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "k%d", i % 5);
    world_put_bytes(w, key, 60, (char)('a' + i));
  }
  world_check(w);
}

static void run_rotate_batch(world *w) {
  char key[16];

  for (int t = 0; t < 3; t++) {
    world_begin(w);
    for (int i = 0; i < 6; i++) {
      snprintf(key, sizeof key, "k%d", (i + t) % 7);
      world_txn_put_bytes(w, key, 50, (char)('a' + i + t));
    }
    world_prepare(w);
    world_publish(w);
  }
  world_check(w);
}

static void run_sync(world *w) {
  world_put(w, "d", "1");
  world_sync(w);
  world_put(w, "d", "2");
  world_put(w, "a", "2");
  world_sync(w);
  world_delete(w, "d");
}

static void run_reopen(world *w) {
  world_open(w);
  world_check(w);
  world_put(w, "d", "second session");
  world_reopen(w);
  world_put(w, "a", "third session");
  world_reopen(w);
  world_check(w);
}

static void cut_last_file(world *w, size_t n) {
  const bc_env *env = memenv_env(w->m);
  char path[64];
  int fd, id = 0;
  bc_stat st;

  for (int i = 1; i < 99; i++) {
    snprintf(path, sizeof path, WORLD_DIR "/%d.bitcask.data", i);
    if (!env->stat(env->ctx, path, &st)) id = i;
  }
  snprintf(path, sizeof path, WORLD_DIR "/%d.bitcask.data", id);
  if (env->stat(env->ctx, path, &st) || env->open(env->ctx, path, BC_OPEN_WRITE, &fd)) {
    world_fail(w, "no data file to cut");
    return;
  }
  env->truncate(env->ctx, fd, st.size - n);
  env->close(env->ctx, fd);
}

/* The last put did not get to the disk as a whole. */
static void start_torn(world *w) {
  model before = {0};

  start(w);
  model_copy(&before, &w->now);
  world_put(w, "torn", "a value that will lack its end");
  world_close(w);
  cut_last_file(w, 7);
  model_copy(&w->now, &before);
  model_clear(&before);
}

static void each_hint(world *w, void (*fn)(world *w, const char *path)) {
  char path[64];
  bc_stat st;

  for (int i = 1; i < 99; i++) {
    snprintf(path, sizeof path, WORLD_DIR "/%d.bitcask.hint", i);
    if (!memenv_env(w->m)->stat(w->m, path, &st)) fn(w, path);
  }
}

static void remove_file(world *w, const char *path) { memenv_env(w->m)->unlink(w->m, path); }

static void damage_file(world *w, const char *path) {
  memenv_write_file(w->m, path, "not a hint file at all", 22);
}

static void start_no_hints(world *w) {
  start_files_closed(w);
  each_hint(w, remove_file);
}

static void start_bad_hints(world *w) {
  start_files_closed(w);
  each_hint(w, damage_file);
}

/* ----------------------------------------------------------------------- merges */

static void run_merge_all(world *w) {
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_check(w);
  world_put(w, "key1", "after the merge");
  world_check(w);
}

static void run_merge_twice(world *w) {
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_put(w, "key1", "between");
  world_delete(w, "key2");
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_reopen(w);
  world_check(w);
}

static void run_merge_policy(world *w) {
  world_merge(w, BITCASK_MERGE_POLICY, NULL, 0);
  world_check(w);
  world_put(w, "key1", "after the merge");
}

/* Over several sectors and pages; and in one value there is a record of another key,
** which must not be found when the rest of that value is lost. */
static void start_long_files(world *w) {
  uint8_t trap[1300];
  memset(trap, 'x', sizeof trap);
  bc_record_encode(trap + 20, 1, "victim", 6, "wrong", 5);
  world_open(w);
  world_put_value(w, "trap", trap, sizeof trap);
  for (int i = 0; i < 4; i++) {
    world_put_bytes(w, i % 2 ? "odd" : "even", 1500, (char)('a' + i));
    world_put(w, "victim", "right");
  }
}

static void run_merge_first(world *w) {
  const uint32_t ids[] = {1, 2};
  world_merge(w, BITCASK_MERGE_FILES, ids, 2);
  world_check(w);
  world_delete(w, "key0");
}

/* The files with tombstones, while files with what they delete remain. */
static void run_merge_tombstones(world *w) {
  const uint32_t late[] = {3, 4, 5, 6, 7, 8};
  const uint32_t early[] = {1, 2};

  world_merge(w, BITCASK_MERGE_FILES, late, 6);
  world_reopen(w);
  world_check(w);
  world_merge(w, BITCASK_MERGE_FILES, early, 2);
  world_reopen(w);
  world_check(w);
}

static void run_merge_one_by_one(world *w) {
  for (uint32_t id = 8; id > 0; id--) world_merge(w, BITCASK_MERGE_FILES, &id, 1);
  world_reopen(w);
  world_check(w);
}

static void run_delete_all(world *w) {
  char key[16];

  for (int i = 0; i < 9; i++) {
    snprintf(key, sizeof key, "key%d", i);
    world_delete(w, key);
  }
  world_delete(w, "last");
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_reopen(w);
  world_check(w);
  world_put(w, "key3", "the only one");
}

/* A snapshot keeps what the merge takes away. */
static void run_merge_snapshot(world *w) {
  bitcask_snapshot *snap = NULL;
  model before = {0}, got = {0};
  const char *bad;

  if (!w->bc || bitcask_snapshot_open(w->bc, NULL, &snap, NULL)) return;
  model_copy(&before, &w->now);
  world_put(w, "key1", "after the snapshot");
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  memenv_pause_fault(w->m, true);
  bad = model_read(&got, snap);
  memenv_pause_fault(w->m, false);
  if (bad)
    world_fail(w, "the snapshot: %s", bad);
  else if (!model_equal(&before, &got))
    world_fail(w, "the snapshot has changed");
  bitcask_snapshot_close(snap);
  model_clear(&before);
  model_clear(&got);
  world_put(w, "key2", "without the snapshot");
}

static void run_merge_in_mixture(world *w) {
  world_begin(w);
  world_txn_put(w, "key1", "batch");
  world_txn_put(w, "key5", "batch");
  world_txn_delete(w, "last");
  world_prepare(w);
  world_publish(w);
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_put(w, "key5", "put");
  world_reopen(w);
  world_check(w);
}

/* A batch loses a part of its records to a merge; the rest has to stay valid. */
static void start_batches(world *w) {
  world_open(w);
  for (int t = 0; t < 4; t++) {
    world_begin(w);
    world_txn_put_bytes(w, "x", 40, (char)('a' + t));
    world_txn_put_bytes(w, t % 2 ? "y" : "z", 40, (char)('a' + t));
    world_txn_delete(w, t % 2 ? "z" : "y");
    world_prepare(w);
    world_publish(w);
  }
}

/* ------------------------------------------------------------ merging by itself */

/* Made without, so that much is due when it is switched on for what follows. */
static void start_due(world *w) {
  start_files_closed(w);
  w->o.auto_merge = true;
}

static void run_auto(world *w) {
  world_open(w);
  world_put(w, "key1", "one");
  world_put(w, "key3", "three");
  world_delete(w, "key5");
  world_check(w);
  world_put(w, "new", "in a file of its own, or nearly so");
  world_reopen(w);
  world_put(w, "key1", "one again");
  world_delete(w, "new");
  world_check(w);
}

/* Files that take several steps each, of 4 KiB. */
static void start_due_long(world *w) {
  char key[16];

  world_open(w);
  for (int i = 0; i < 14; i++) {
    snprintf(key, sizeof key, "key%d", i * i % 6);
    world_put_bytes(w, key, 1300 + 100 * (size_t)(i % 3), (char)('A' + i));
  }
  world_delete(w, "key3");
  world_close(w);
  w->o.auto_merge = true;
}

static void run_auto_steps(world *w) {
  world_open(w);
  world_put(w, "key0", "overwritten while it is copied, perhaps");
  world_put(w, "key4", "short");
  world_delete(w, "key1");
  world_reopen(w);
  world_put_bytes(w, "key4", 1500, '4');
  world_put(w, "other", "1");
  world_put(w, "other", "2");
  world_check(w);
}

/* What is under way is dropped, and what it copied is merged with the rest. */
static void run_auto_and_merge(world *w) {
  world_open(w);
  world_put(w, "key0", "short");
  world_put(w, "key4", "short");
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_put_bytes(w, "key2", 1500, '2');
  world_delete(w, "key0");
  world_check(w);
}

static void run_auto_transactions(world *w) {
  world_open(w);
  for (int i = 0; i < 3; i++) {
    world_begin(w);
    world_txn_put(w, "key1", i % 2 ? "odd" : "even");
    world_txn_put(w, "key2", i % 2 ? "odd too" : "even too");
    world_txn_delete(w, i % 2 ? "last" : "key6");
    world_prepare(w);
    if (i == 1)
      world_rollback(w);
    else
      world_publish(w);
    world_check(w);
  }
  world_put(w, "last", "a put");
  world_check(w);
}

/* The tombstones have to stay as long as what they delete, in whatever files. */
static void run_auto_delete_all(world *w) {
  char key[16];

  world_open(w);
  for (int i = 8; i >= 0; i--) {
    snprintf(key, sizeof key, "key%d", i);
    world_delete(w, key);
  }
  world_reopen(w);
  world_delete(w, "last");
  world_check(w);
  world_put(w, "key3", "the only one");
  world_put(w, "key3", "the very only one");
  world_check(w);
}

/* All that there was has expired: nobody sees it, and its files go. */
static void start_expired(world *w) {
  start_files_closed(w);
  w->o.auto_merge = true;
  w->o.expiry_secs = 100;
  memenv_set_now(w->m, memenv_env(w->m)->now(w->m) + 1000);
  model_clear(&w->now);
}

static void run_auto_expired(world *w) {
  world_open(w);
  world_check(w);
  world_put(w, "key1", "not expired");
  world_put(w, "fresh", "not expired either");
  world_delete(w, "key2");
  world_reopen(w);
  world_put(w, "key1", "still not");
  world_check(w);
}

/* --------------------------------------------------------------------- backups */

/* What happens to the source afterwards does not reach the copy. */
static void run_backup(world *w) {
  world_backup(w);
  world_history(w);
  world_put(w, "key1", "after the backup");
  world_delete(w, "key2");
  world_merge(w, BITCASK_MERGE_ALL, NULL, 0);
  world_put(w, "key3", "after the merge");
  world_check(w);
}

static void run_backup_in_transaction(world *w) {
  world_begin(w);
  world_txn_put(w, "key1", "not committed");
  world_txn_delete(w, "last");
  world_prepare(w);
  world_backup(w);
  world_publish(w);
  world_check(w);
}

static void run_repair(world *w) {
  world_open(w);
  world_check(w);
  world_put(w, "repaired", "yes");
  world_check(w);
}

const scenario scenarios[] = {
    {"create", NULL, run_create, 0, false},
    {"create with long values", NULL, run_create_long, 0, false},
    {"put", start, run_put, 0, false},
    {"overwrite", start, run_overwrite, 0, false},
    {"delete", start, run_delete, 0, false},
    {"batch", start, run_batch, 0, false},
    {"long values", start, run_long_values, 0, false},
    {"long values, many files", start, run_long_values, 3000, false},
    {"rollback, then the same size", start, run_rollback_same_size, 0, false},
    {"batch of one", start, run_batch_of_one, 0, false},
    {"savepoints", start, run_savepoints, 0, false},
    {"rollback", start, run_rollback, 0, false},
    {"rollback prepared", start, run_rollback_prepared, 0, false},
    {"prepare twice", start, run_prepare_twice, 0, false},
    {"prepare twice, rotating", start, run_prepare_rotating, 250, false},
    {"rotate", start, run_rotate, 200, false},
    {"rotate batch", start, run_rotate_batch, 200, false},
    {"sync", start, run_sync, 0, false},
    {"sync and rotate", start, run_sync, 64, false},
    {"reopen", start_closed, run_reopen, 0, false},
    {"reopen files", start_files_closed, run_reopen, 200, false},
    {"repair torn tail", start_torn, run_repair, 0, false},
    {"repair torn tail of many", start_torn, run_repair, 50, false},
    {"repair missing hints", start_no_hints, run_repair, 200, false},
    {"repair bad hints", start_bad_hints, run_repair, 200, false},
    {"merge all", start_files, run_merge_all, 200, false},
    {"merge into one", start_files, run_merge_all, 400, false},
    {"merge twice", start_files, run_merge_twice, 200, false},
    {"merge policy", start_files, run_merge_policy, 200, false},
    {"merge first files", start_files, run_merge_first, 200, false},
    {"merge over tombstones", start_files, run_merge_tombstones, 200, false},
    {"merge one by one, backwards", start_files, run_merge_one_by_one, 200, false},
    {"merge long values", start_long_files, run_merge_all, 1600, false},
    {"merge long values into one", start_long_files, run_merge_all, 8000, false},
    {"merge batches", start_batches, run_merge_in_mixture, 200, false},
    {"merge of one file", start_files, run_merge_all, 0, false},
    {"delete all, merge, reopen", start_files, run_delete_all, 200, false},
    {"merge under a snapshot", start_files, run_merge_snapshot, 200, false},
    {"batch, merge, put, reopen", start_files, run_merge_in_mixture, 200, false},
    {"checkpoint at close", start_closed, run_reopen, 0, true},
    {"checkpoint at close, files", start_files_closed, run_reopen, 200, true},
    {"checkpoint at rotation", start, run_rotate, 200, true},
    {"checkpoint at rotation by a batch", start, run_rotate_batch, 200, true},
    {"checkpoint, torn tail", start_torn, run_repair, 0, true},
    {"checkpoint, torn tail of many", start_torn, run_repair, 50, true},
    {"checkpoint, merge all", start_files, run_merge_all, 200, true},
    {"checkpoint, merge twice", start_files, run_merge_twice, 200, true},
    {"checkpoint, merge one by one, backwards", start_files, run_merge_one_by_one, 200, true},
    {"checkpoint, delete all, merge, reopen", start_files, run_delete_all, 200, true},
    {"checkpoint, merge under a snapshot", start_files, run_merge_snapshot, 200, true},
    {"checkpoint, batch, merge, put, reopen", start_files, run_merge_in_mixture, 200, true},
    {"merge by itself", start_due, run_auto, 200, false},
    {"merge by itself, in steps", start_due_long, run_auto_steps, 9000, false},
    {"merge by itself, and merge all", start_due_long, run_auto_and_merge, 9000, false},
    {"merge by itself, batches", start_due, run_auto_transactions, 300, false},
    {"merge by itself, delete all", start_due, run_auto_delete_all, 200, false},
    {"merge by itself, expired", start_expired, run_auto_expired, 200, false},
    {"checkpoint, merge by itself", start_due, run_auto, 200, true},
    {"backup", start_files, run_backup, 200, false},
    {"backup of one file", start_files, run_backup, 0, false},
    {"backup within a transaction", start_files, run_backup_in_transaction, 200, false},
};

const size_t n_scenarios = sizeof scenarios / sizeof *scenarios;
