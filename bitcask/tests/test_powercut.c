/*
** test_powercut.c - whatever moment the power fails at, what is found afterwards
** is what bitcask.h promises.
**
** Each scenario runs once, in each sync mode, on a disk in RAM that keeps a log
** of operations.  Then for every prefix of that log, with its last write torn,
** the disk is rebuilt as a killed process, or a power cut, would have left it; it
** is opened read-only, opened again for writing, written to, opened again.  Some
** of these openings are cut off in turn.  SEEDS in the environment says how many
** random disks are drawn per prefix.
*/
#include "test.h"
#include "world.h"

#include "craft.h"
#include "engine.h"
#include "memenv_int.h"

static const char *const mode_names[] = {"full", "normal", "off"};
static const char *const cut_names[] = {"killed", "in order", "synced only", "random"};

typedef struct trial {
  world *w;
  const scenario *s;
  const char *mode;
  const mem_cut *outer; /* of a crash while recovering from a crash, NULL else */
  const mem_cut *cut;
  const memenv *log; /* what was cut */
} trial;

static unsigned long n_states_checked, n_nested_checked;
static unsigned n_reported;

static void report(const trial *t, memenv *m, const char *what) {
  test_bad++;
  if (n_reported++ >= 12) return;
  TEST_FAIL("scenario '%s', sync=%s, %s after operation %zu of %zu (torn %zu, seed %" PRIu64
            "%s%s): %s",
            t->s->name, t->mode, cut_names[t->cut->kind], t->cut->n_ops, memenv_log_size(t->log),
            t->cut->torn, t->cut->seed, t->cut->sectors ? ", sectors" : "",
            t->cut->strict_dir ? ", names in any order" : "", what);
  if (t->outer) {
    fprintf(stderr,
            "  while recovering from: %s after operation %zu (torn %zu, seed %" PRIu64 ")\n",
            cut_names[t->outer->kind], t->outer->n_ops, t->outer->torn, t->outer->seed);
  }
  memenv_print(m, "on disk");
  if (getenv("LOG")) memenv_print_log(t->log);
}

/* --------------------------------------------------------------- what is allowed */

/* The newest state that was acknowledged by then, and not taken back. */
static size_t newest_state(const world *w, size_t n_ops) {
  size_t i = w->n_states - 1;
  while (i > 0 && (w->states[i].ack_op > n_ops || w->states[i].end_op <= n_ops)) i--;
  return i;
}

static size_t oldest_state(const world *w, const mem_cut *cut) {
  size_t n = 0;
  size_t newest = newest_state(w, cut->n_ops);

  /* A transaction on its way back may be gone already. */
  if (cut->kind == MEM_CUT_KILL || w->o.sync == BITCASK_SYNC_FULL) {
    size_t i = newest;
    while (i > 0 && w->states[i].end_op != SIZE_MAX) i--;
    return i;
  }
  for (size_t i = 0; i < w->n_syncs; i++) {
    if (w->sync_ops[i] <= cut->n_ops) n = w->sync_n[i] - 1;
  }
  while (n > 0 && w->states[n].end_op <= cut->n_ops) n--;
  return n;
}

static bool is_allowed(const world *w, const mem_cut *cut, const model *got) {
  for (size_t i = oldest_state(w, cut); i < w->n_states; i++) {
    const world_state *s = &w->states[i];
    if (s->begin_op > cut->n_ops || s->end_op <= cut->n_ops) continue;
    if (model_equal(&s->keys, got)) return true;
  }
  return false;
}

/* ------------------------------------------------------------ what is on the disk */

typedef struct file_sync {
  uint64_t inode;
  char name[64]; /* empty: it has none any more */
  bool is_data;
  bool dirty;      /* bytes not synced */
  bool name_dirty; /* directory entry not synced */
} file_sync;

static file_sync *file_of(file_sync *files, size_t *n, uint64_t inode) {
  for (size_t i = 0; i < *n; i++) {
    if (files[i].inode == inode) return &files[i];
  }
  files[*n] = (file_sync){.inode = inode};
  return &files[(*n)++];
}

static void set_name(file_sync *f, const char *path, bool name_dirty) {
  const char *slash = strrchr(path, '/');
  snprintf(f->name, sizeof f->name, "%s", slash + 1);
  f->is_data = strstr(f->name, ".bitcask.data") != NULL;
  f->name_dirty = name_dirty;
}

static void note_op(file_sync *files, size_t *n, const mem_op *op) {
  file_sync *f = op->inode ? file_of(files, n, op->inode) : NULL;

  switch (op->kind) {
  case MEM_CREATE:
    set_name(f, op->path, true);
    break;
  case MEM_RENAME:
    set_name(f, op->to, true);
    break;
  case MEM_UNLINK:
    f->name[0] = 0;
    break;
  case MEM_WRITE:
  case MEM_TRUNCATE:
    f->dirty = true;
    break;
  case MEM_FDATASYNC:
    f->dirty = false;
    break;
  case MEM_SYNC_DIR:
    for (size_t i = 0; i < *n; i++) files[i].name_dirty = false;
    break;
  default:
    break;
  }
}

static bool is_kept(const file_sync *f) { return strstr(f->name, ".cut-") != NULL; }

/* What is cut off a file is kept in another one: that is on the disk, name and all, by then.  And
** of several files behind the end each is out of the way before the next one goes there. */
static bool mends_out_of_order(memenv *m) {
  file_sync *files = mem_alloc((memenv_log_size(m) + 1) * sizeof *files);
  bool bad = false;
  size_t n = 0;

  for (size_t i = 0; i < memenv_log_size(m); i++) {
    const mem_op *op = memenv_log_op(m, i);
    bool mends = op->kind == MEM_TRUNCATE || (op->kind == MEM_RENAME && strstr(op->to, ".cut-"));
    note_op(files, &n, op);
    for (size_t k = 0; k < n && mends; k++) {
      const file_sync *f = &files[k];
      bad |= is_kept(f) && f->inode != op->inode && (f->dirty || f->name_dirty);
    }
  }
  free(files);
  return bad;
}

/* ------------------------------------------------------------------- one state */

static bool wrote_something(memenv *m) {
  for (size_t i = 0; i < memenv_log_size(m); i++) {
    if (memenv_log_op(m, i)->kind != MEM_STORE) return true;
  }
  return false;
}

static int count_problem(void *ctx, const bitcask_problem *p) {
  /* A scenario cuts the log; what is left is sound, which is what is asked here. */
  if (strstr(p->text, "the log has been longer")) return 0;
  fprintf(stderr, "  verify: file %" PRIu32 " at %" PRIu64 ": %s\n", p->file_id, p->offset,
          p->text);
  (*(unsigned *)ctx)++;
  return 0;
}

/* Writes, closes, and has everything verified; the log of m has a mark where the
** put was acknowledged.  What is wrong, or NULL. */
static const char *put_probe(world *w, memenv *m) {
  bitcask_options o = w->o;
  bitcask *bc = NULL;
  unsigned n_told = 0;
  int rc = bc_open_env(WORLD_DIR, &o, memenv_env(m), &bc, NULL);

  if (rc) return "the second opening failed";
  rc = bitcask_put(bc, "probe", 5, "value of the probe", 18, NULL);
  memenv_mark(m, 1);
  if (!rc) rc = bitcask_verify(bc, count_problem, NULL, &n_told, NULL, NULL);
  if (bitcask_close(bc, NULL)) return "the close failed";
  if (rc) return "a put after the crash, or a verify, failed";
  return n_told ? "verify finds damage after the repair" : NULL;
}

static bool has_lost_backup(const trial *t, memenv *m) {
  bc_stat st;
  return t->w->backup_op && t->cut->n_ops >= t->w->backup_op &&
         memenv_env(m)->stat(m, WORLD_BACKUP_DIR, &st);
}

static void recover(const trial *t, memenv *m, model *found) {
  world *w = t->w;
  model got = {0};
  const char *bad = NULL;

  if (world_read_disk(w, m, true, found))
    bad = w->failure;
  else if (wrote_something(m))
    bad = "a read-only open wrote";
  else if (memenv_n_open(m))
    bad = "descriptors left open";
  else if (!is_allowed(w, t->cut, found))
    bad = "a state that never was, or is too old";
  if (bad == NULL) {
    if (world_read_disk(w, m, false, &got))
      bad = w->failure;
    else if (!model_equal(found, &got))
      bad = "the repair changed what is there";
  }
  if (!bad) bad = put_probe(w, m);
  if (!bad) {
    model_put(&got, "probe", 5, "value of the probe", 18, 0);
    if (world_read_disk(w, m, true, found))
      bad = w->failure;
    else if (!model_equal(found, &got))
      bad = "after repair and a put, something else is there";
    model_delete(found, "probe", 5);
  }
  if (!bad && mends_out_of_order(m)) bad = "the repair changes more before it is on the disk";
  if (!bad) bad = world_check_backup(w, m);
  if (!bad && has_lost_backup(t, m)) bad = "a backup that was acknowledged is gone";
  if (bad) {
    report(t, m, bad);
    model_print_diff(&w->states[newest_state(w, t->cut->n_ops)].keys, found);
  }
  w->failure[0] = 0;
  model_clear(&got);
}

/* Cut the power again, anywhere in a recovery and the put after it. */
static void recover_again(const trial *t, memenv *m, const model *found) {
  trial inner = {t->w, t->s, t->mode, t->cut, NULL, m};
  model with_probe = {0}, got = {0};
  size_t n = memenv_log_size(m), ack = 0;

  model_copy(&with_probe, found);
  model_put(&with_probe, "probe", 5, "value of the probe", 18, 0);
  for (size_t i = 0; i < n; i++) {
    if (memenv_log_op(m, i)->kind == MEM_MARK) ack = i;
  }
  for (size_t i = 1; i < n; i++) {
    for (unsigned k = MEM_CUT_KILL; k <= MEM_CUT_RANDOM; k++) {
      mem_cut cut = {
          .kind = (mem_cut_kind)k, .n_ops = i, .seed = i, .torn = i % 7, .sectors = i % 2};
      memenv *again = memenv_crash(m, &cut);
      bool must = i > ack && (t->w->o.sync == BITCASK_SYNC_FULL || k == MEM_CUT_KILL);
      inner.cut = &cut;
      n_nested_checked++;
      if (world_read_disk(t->w, again, false, &got))
        report(&inner, again, t->w->failure);
      else if (!model_equal(&got, &with_probe) && (must || !model_equal(&got, found))) {
        report(&inner, again, "the repair of the repair finds something else");
        model_print_diff(found, &got);
      }
      t->w->failure[0] = 0;
      memenv_free(again);
    }
  }
  model_clear(&with_probe);
  model_clear(&got);
}

static void check_state(trial *t, mem_cut cut) {
  memenv *m = memenv_crash(t->w->m, &cut);
  model found = {0};

  t->cut = &cut;
  n_states_checked++;
  recover(t, m, &found);
  if (n_states_checked % 64 == 0 && !test_bad) recover_again(t, m, &found);
  model_clear(&found);
  memenv_free(m);
}

/* ---------------------------------------------------------------- every prefix */

/* Bytes to leave off the end of the write: all but one, half, one, and the last
** sector and page. */
static void check_torn(trial *t, size_t n_ops, mem_cut_kind kind) {
  size_t n = memenv_log_op(t->w->m, n_ops - 1)->n;
  const size_t torn[] = {n - 1, n / 2, 1, n % 512, n % MEM_PAGE_SZ, 14, n - 14, n - 62};

  for (size_t i = 0; i < sizeof torn / sizeof *torn; i++) {
    if (torn[i] == 0 || torn[i] >= n) continue;
    check_state(t, (mem_cut){.kind = kind, .n_ops = n_ops, .torn = torn[i]});
  }
}

static void check_prefix(trial *t, size_t n_ops, unsigned n_seeds) {
  const mem_op *last = n_ops ? memenv_log_op(t->w->m, n_ops - 1) : NULL;

  check_state(t, (mem_cut){.kind = MEM_CUT_KILL, .n_ops = n_ops});
  check_state(t, (mem_cut){.kind = MEM_CUT_ORDERED, .n_ops = n_ops});
  if (last && last->kind == MEM_WRITE) {
    check_torn(t, n_ops, MEM_CUT_KILL);
    check_torn(t, n_ops, MEM_CUT_ORDERED);
  }
  if (!memenv_is_volatile(t->w->m, n_ops)) return;
  check_state(t, (mem_cut){.kind = MEM_CUT_SYNCED, .n_ops = n_ops});
  for (unsigned seed = 1; seed <= n_seeds; seed++) {
    mem_cut cut = {.kind = MEM_CUT_RANDOM,
                   .n_ops = n_ops,
                   .seed = seed,
                   .sectors = seed % 3 != 0,
                   .strict_dir = seed % 4 == 0};
    check_state(t, cut);
  }
}

static unsigned seeds(void) {
  const char *s = getenv("SEEDS");
  return s ? (unsigned)atoi(s) : 8;
}

static void cut_scenario(const scenario *s, bitcask_sync_mode sync) {
  world w;
  trial t = {&w, s, mode_names[sync], NULL, NULL, NULL};
  unsigned long before = n_states_checked;
  int bad_before = test_bad;

  world_init(&w, s, sync, false);
  t.log = w.m;
  world_run(&w, s);
  if (w.failure[0]) TEST_FAIL("scenario '%s', sync=%s: %s", s->name, t.mode, w.failure);
  CHECK_EQ(memenv_n_open(w.m), 0);
  n_reported = 0;
  for (size_t n = 0; !w.failure[0] && n <= memenv_log_size(w.m); n++) check_prefix(&t, n, seeds());
  printf("  %-28s sync=%-7s %5zu operations %6lu states%s\n", s->name, t.mode, memenv_log_size(w.m),
         n_states_checked - before, test_bad > bad_before ? "  FAILED" : "");
  world_release(&w);
}

static void cut_all(bitcask_sync_mode sync) {
  for (size_t i = 0; i < n_scenarios; i++) {
    const char *only = getenv("SCENARIO");
    if (!only || !strcmp(only, scenarios[i].name)) cut_scenario(&scenarios[i], sync);
  }
}

static void sync_full(void) { cut_all(BITCASK_SYNC_FULL); }
static void sync_normal(void) { cut_all(BITCASK_SYNC_NORMAL); }
static void sync_off(void) { cut_all(BITCASK_SYNC_OFF); }

/* ----------------------------------------------------- a transaction too large */

static void run_large(world *w) {
  char key[16];

  world_begin(w);
  for (int i = 0; i < 67; i++) {
    snprintf(key, sizeof key, "large%d", i % 60);
    world_txn_put_bytes(w, key, 1 << 20, (char)i);
    if (i == 65) world_savepoint(w, 0);
  }
  world_rollback_to(w, 0);
  world_txn_delete(w, "a");
  world_prepare(w);
  world_publish(w);
  world_check(w);
}

static void run_large_rollback(world *w) {
  char key[16];

  world_begin(w);
  for (int i = 0; i < 66; i++) {
    snprintf(key, sizeof key, "large%d", i);
    world_txn_put_bytes(w, key, 1 << 20, (char)i);
  }
  world_rollback(w);
  world_check(w);
  world_put(w, "d", "after it");
}

static void start_large(world *w) {
  world_open(w);
  world_put(w, "a", "deleted by the large one");
  world_put(w, "b", "stays");
}

/* Few states, each being 65 MiB: behind what is written before its end is known, and the end of the
** log. */
static void large(void) {
  const scenario both[] = {
      {"large transaction", start_large, run_large, 0, false},
      {"large transaction rolled back", start_large, run_large_rollback, 0, false}};

  for (size_t i = 0; i < 2; i++) {
    world w;
    trial t = {&w, &both[i], mode_names[0], NULL, NULL, NULL};
    size_t n;

    world_init(&w, &both[i], BITCASK_SYNC_FULL, false);
    t.log = w.m;
    world_run(&w, &both[i]);
    if (w.failure[0]) TEST_FAIL("%s: %s", both[i].name, w.failure);
    n_reported = 0;
    n = memenv_log_size(w.m);
    for (size_t k = 1; k <= n && !w.failure[0]; k++) {
      if (memenv_log_op(w.m, k - 1)->n >= 1 << 20)
        check_state(&t, (mem_cut){.kind = MEM_CUT_KILL, .n_ops = k});
    }
    for (size_t k = n - n / 6; k <= n && !w.failure[0]; k += 1 + n / 48) {
      mem_cut cut = {.kind = (mem_cut_kind)(k % 4), .n_ops = k, .seed = k, .torn = k % 3};
      check_state(&t, cut);
    }
    world_release(&w);
  }
}

/* ------------------------------------------------------------ order in the log */

static void check_all_synced(const file_sync *files, size_t n, const scenario *s, const char *when,
                             size_t i) {
  for (size_t k = 0; k < n; k++) {
    const file_sync *f = &files[k];
    if (!f->name[0] || !f->is_data) continue;
    if (f->dirty) TEST_FAIL("%s: %s at operation %zu: %s is not synced", s->name, when, i, f->name);
    if (f->name_dirty) {
      TEST_FAIL("%s: %s at operation %zu: the name %s is not synced", s->name, when, i, f->name);
    }
  }
}

/* A file gets its name when its bytes are on the disk; a hint, when those of its data file are. */
static void check_renamed(const file_sync *files, size_t n, const scenario *s, const mem_op *op,
                          size_t i) {
  const char *name = strrchr(op->to, '/') + 1;
  size_t n_same = strstr(name, ".hint") ? strspn(name, "0123456789") + 1 : SIZE_MAX;

  for (size_t k = 0; k < n; k++) {
    const file_sync *f = &files[k];
    if (f->dirty && (f->inode == op->inode || (f->is_data && !strncmp(f->name, name, n_same))))
      TEST_FAIL("%s: at operation %zu, which makes %s, %s is not synced", s->name, i, name,
                f->name);
  }
}

static void check_order(const scenario *s, bitcask_sync_mode sync) {
  world w;
  file_sync *files;
  size_t n = 0;

  world_init(&w, s, sync, false);
  world_run(&w, s);
  files = mem_alloc((memenv_log_size(w.m) + w.m->n_base) * sizeof *files);
  for (size_t i = 0; i < w.m->n_base; i++) {
    set_name(file_of(files, &n, w.m->base[i].node->inode), w.m->base[i].path, false);
  }
  for (size_t i = 0; i < memenv_log_size(w.m); i++) {
    const mem_op *op = memenv_log_op(w.m, i);
    note_op(files, &n, op);
    if (op->kind == MEM_MARK && sync == BITCASK_SYNC_FULL) {
      check_all_synced(files, n, s, "an acknowledgement", i);
    }
    if (op->kind == MEM_UNLINK && strstr(op->path, ".bitcask.data")) {
      check_all_synced(files, n, s, "a data file's end", i);
    }
    if (op->kind == MEM_RENAME) check_renamed(files, n, s, op, i);
  }
  free(files);
  world_release(&w);
}

/* Before the first record of a new directory is written, its page is on the disk
** with a stable position in it, two sectors in: without one a torn tail would be
** taken for rot. */
static void position_known_before_the_first_record(void) {
  const scenario *s = &scenarios[0];
  bool stored = false, synced = false, written = false;
  file_sync files[64];
  size_t n = 0;
  world w;

  world_init(&w, s, BITCASK_SYNC_NORMAL, false);
  world_run(&w, s);
  for (size_t i = 0; i < memenv_log_size(w.m) && !written; i++) {
    const mem_op *op = memenv_log_op(w.m, i);
    file_sync *f;
    note_op(files, &n, op);
    f = op->inode ? file_of(files, &n, op->inode) : NULL;
    if (op->kind == MEM_STORE) {
      const uint8_t *page = op->data;
      stored = page[512] || page[520] || page[1024] || page[1032];
    }
    if (op->kind == MEM_FDATASYNC && !strcmp(f->name, "bitcask.state")) synced |= stored;
    written = op->kind == MEM_WRITE && f->is_data;
  }
  CHECK(written && synced);
  world_release(&w);
}

/* Files that somebody else has written a moment ago, and not synced, get their hints; but not one
** that is damaged.  Synced are all: from now on they count as stable. */
static void check_foreign(bool damaged) {
  const scenario s = {.name = "files of somebody else"};
  memenv *m = memenv_new(1);
  const bc_env *env = memenv_env(m);
  bitcask_options o;
  bitcask_error e;
  bitcask *bc = NULL;
  craft c = {0};
  file_sync files[64];
  size_t n = 0;
  bool hinted = false;

  for (int i = 0; i < 3; i++) craft_put(&c, 100, "a", "1");
  if (damaged) memset(c.data + c.data_sz / 3, 1, 12);
  CHECK_EQ(env->mkdir(env->ctx, "/disk") | env->mkdir(env->ctx, WORLD_DIR), 0);
  memenv_log_start(m);
  for (int id = 1; id <= 2; id++) {
    struct iovec iov = {c.data, c.data_sz};
    char path[64];
    int fd = -1;
    snprintf(path, sizeof path, WORLD_DIR "/%d.bitcask.data", id);
    CHECK_EQ(env->open(env->ctx, path, BC_OPEN_WRITE | BC_OPEN_CREATE, &fd), 0);
    CHECK_EQ(env->pwritev(env->ctx, fd, &iov, 1, 0), 0);
    CHECK_EQ(env->close(env->ctx, fd), 0);
  }
  bitcask_options_init(&o);
  CHECK_OK(bc_open_env(WORLD_DIR, &o, env, &bc, &e), &e);
  CHECK_OK(bitcask_put(bc, "b", 1, "2", 1, &e), &e);
  CHECK_OK(bitcask_close(bc, &e), &e);
  for (size_t i = 0; i < memenv_log_size(m); i++) {
    const mem_op *op = memenv_log_op(m, i);
    note_op(files, &n, op);
    if (op->kind != MEM_RENAME) continue;
    check_renamed(files, n, &s, op, i);
    hinted |= strstr(op->to, "1.bitcask.hint") != NULL;
  }
  CHECK_EQ(hinted, !damaged);
  check_all_synced(files, n, &s, "the end", memenv_log_size(m));
  craft_clear(&c);
  memenv_free(m);
}

static void foreign_is_synced(void) {
  check_foreign(false);
  check_foreign(true);
}

static void synced_before_acknowledged_or_removed(void) {
  for (size_t i = 0; i < n_scenarios; i++) {
    check_order(&scenarios[i], BITCASK_SYNC_FULL);
    check_order(&scenarios[i], BITCASK_SYNC_NORMAL);
    check_order(&scenarios[i], BITCASK_SYNC_OFF);
  }
}

int main(void) {
  RUN(synced_before_acknowledged_or_removed);
  RUN(foreign_is_synced);
  RUN(position_known_before_the_first_record);
  RUN(sync_full);
  RUN(sync_normal);
  RUN(sync_off);
  RUN(large);
  printf("%lu states checked, %lu more of crashes while recovering\n", n_states_checked,
         n_nested_checked);
  return test_done();
}
