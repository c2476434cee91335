/*
** test_kills.c - several processes that write, read, merge, some by themselves too,
** hold snapshots, close and open one directory, killed at random: what was
** acknowledged is there, what was in flight is there or not, and whoever lives on
** notices nothing.
**
** Each writer has keys of its own, its lane.  What operation number n of a lane
** changes follows from the two numbers, so the lane's state does as well; a stamp
** among the keys tells the number.  Which operations have begun and which were
** acknowledged stands in memory that all share: everybody checks everybody's lane.
**
** SEED=n repeats the choices, KILLS=n says how often; the rest is up to the machine.
*/
#include "test.h"

#include "engine.h"
#include "memenv_int.h"
#include "tempdir.h"

#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>

enum {
  N_WRITERS = 3,
  READER = N_WRITERS, /* the process that only reads */
  N_PROCESSES,
  N_SMALL = 40,
  N_BULK = 500, /* keys that are always written together: many records for few bytes */
  N_KEYS = N_SMALL + N_BULK,
  STAMP = 0,  /* a key that every operation writes, but ... */
  BEFORE = 1, /* ... those that delete it, which follow one that writes this */
  VALUE_CAP = 400,
  CHILD_OK = 7,
  PATIENCE = 30, /* seconds in which anything must get done */
};

typedef struct shared {
  atomic_ulong begun[N_WRITERS]; /* number of the operation given to the engine */
  atomic_ulong acked[N_WRITERS]; /* and of the last one it acknowledged */
  atomic_ulong steps[N_PROCESSES];
  atomic_ulong n_merges, n_closes, n_snapshots;
  atomic_bool stop;
  atomic_bool failed;
} shared;

static shared *sh;
static char *dir;

static double now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void fail(const char *what, const bitcask_error *e) {
  fprintf(stderr, "process %d: %s%s%s\n", (int)getpid(), what, e ? ": " : "", e ? e->text : "");
  atomic_store(&sh->failed, true);
}

/* -------------------------------------------------------------- what an operation is */

typedef struct change {
  int key;
  bool is_delete;
} change;

static uint64_t chance(int lane, unsigned long n) {
  uint64_t s = (uint64_t)lane << 48 ^ n;
  return mem_random(&s);
}

static size_t changes_of(int lane, unsigned long n, change out[N_KEYS]) {
  uint64_t x = chance(lane, n);
  size_t k = 0;

  out[k++] = (change){STAMP, n % 16 == 7};
  if (n % 16 == 7) return k;
  if (n % 16 == 6) {
    out[k++] = (change){BEFORE, false};
  } else if (x % 8 == 0) {
    for (int i = 0; i < N_BULK; i++) out[k++] = (change){N_SMALL + i, false};
  } else if (x % 8 < 5) {
    for (size_t i = 2 + mem_random(&x) % 5; i > 0; i--) {
      int key = BEFORE + 1 + (int)(mem_random(&x) % (N_SMALL - 2));
      out[k++] = (change){key, mem_random(&x) % 4 == 0};
    }
  }
  return k;
}

static size_t key_text(char *out, int lane, int key) {
  return (size_t)sprintf(out, "%d.%d", lane, key);
}

static size_t value_text(char *out, int lane, int key, unsigned long n) {
  size_t at = (size_t)sprintf(out, "%lu %d.%d ", n, lane, key);
  size_t pad = key < N_SMALL ? chance(lane, n + (unsigned)key) % 300 : 0;

  memset(out + at, (int)('a' + n % 26), pad);
  return at + pad;
}

/* A lane after so many operations. */
typedef struct lane_state {
  unsigned long n;
  unsigned long written_by[N_KEYS]; /* 0: the key is not there */
} lane_state;

static void roll_to(lane_state *s, int lane, unsigned long n) {
  change c[N_KEYS];

  while (s->n < n) {
    size_t k = changes_of(lane, ++s->n, c);
    for (size_t i = 0; i < k; i++) s->written_by[c[i].key] = c[i].is_delete ? 0 : s->n;
  }
}

/* ------------------------------------------------------------------- checking */

/* What a process knows. */
typedef struct process {
  int number; /* of its lane, or READER; -1: the test itself */
  uint64_t rng;
  bitcask *bc;
  lane_state lane[N_WRITERS]; /* the newest that it has seen */
  bitcask_snapshot *held;
  lane_state held_lane[N_WRITERS];
  bitcask_buf buf;
} process;

static uint32_t below(process *p, uint32_t n) { return (uint32_t)(mem_random(&p->rng) % n); }

/* Which key of which lane an entry is; false: none. */
static bool read_key(const bitcask_entry *e, int *lane, int *key) {
  char text[16] = {0};

  if (e->key_sz >= sizeof text) return false;
  memcpy(text, e->key, e->key_sz);
  return sscanf(text, "%d.%d", lane, key) == 2 && *lane >= 0 && *lane < N_WRITERS && *key >= 0 &&
         *key < N_KEYS;
}

/* The number of the operation that wrote a value; 0 if none of that key did. */
static unsigned long writer_of(const void *value, size_t n, int lane, int key) {
  char want[VALUE_CAP], head[24] = {0};
  unsigned long number;

  memcpy(head, value, n < sizeof head - 1 ? n : sizeof head - 1);
  number = strtoul(head, NULL, 10);
  return value_text(want, lane, key, number) == n && !memcmp(want, value, n) ? number : 0;
}

/* All keys of a snapshot, by the operations that wrote them; a static text if it
** contradicts itself. */
static const char *read_snapshot(bitcask_snapshot *snap, lane_state out[N_WRITERS],
                                 bitcask_error *err) {
  bitcask_iter *it;
  bitcask_entry e;
  const char *bad = NULL;
  int lane, key, rc = bitcask_iter_open(snap, BITCASK_VALUES, &it, err);

  memset(out, 0, N_WRITERS * sizeof *out);
  while (!rc && !bad && !(rc = bitcask_iter_next(it, &e, err))) {
    if (!read_key(&e, &lane, &key))
      bad = "a key that nobody wrote";
    else if (out[lane].written_by[key])
      bad = "a key twice";
    else if (!(out[lane].written_by[key] = writer_of(e.value, e.value_sz, lane, key)))
      bad = "a value that nobody wrote";
  }
  if (!bad && rc != BITCASK_NOTFOUND) bad = "reading a snapshot";
  bitcask_iter_close(it);
  for (lane = 0; lane < N_WRITERS && !bad; lane++) {
    unsigned long before = out[lane].written_by[BEFORE];
    out[lane].n = out[lane].written_by[STAMP];
    if (!out[lane].n && before) out[lane].n = before + 1;
  }
  return bad;
}

/* Is a lane as it must be, having been read when `least` was acknowledged, and
** before more than `most` was begun? */
static const char *check_lane(lane_state *seen, const lane_state *got, int lane,
                              unsigned long least, unsigned long most) {
  if (got->n < least) return "an acknowledged operation is missing";
  if (got->n < seen->n) return "an operation that was there is gone";
  if (got->n > most) return "an operation that has not begun";
  roll_to(seen, lane, got->n);
  if (memcmp(seen->written_by, got->written_by, sizeof got->written_by) != 0)
    return "a part of an operation";
  return NULL;
}

/* Take a snapshot, compare all of it; and keep it, perhaps, for later. */
static bool look(process *p, bool hold) {
  lane_state got[N_WRITERS];
  unsigned long least[N_WRITERS];
  bitcask_snapshot *snap;
  bitcask_error e = {0};
  const char *bad;

  for (int i = 0; i < N_WRITERS; i++) least[i] = atomic_load(&sh->acked[i]);
  if (bitcask_snapshot_open(p->bc, NULL, &snap, &e)) {
    fail("snapshot_open", &e);
    return false;
  }
  bad = read_snapshot(snap, got, &e);
  for (int i = 0; i < N_WRITERS && !bad; i++) {
    bad = check_lane(&p->lane[i], &got[i], i, least[i], atomic_load(&sh->begun[i]));
    if (bad) fprintf(stderr, "lane %d: %lu..., got %lu\n", i, least[i], got[i].n);
  }
  if (bad) fail(bad, &e);
  if (hold && !p->held && !bad) {
    p->held = snap;
    memcpy(p->held_lane, got, sizeof got);
  } else {
    bitcask_snapshot_close(snap);
  }
  atomic_fetch_add(&sh->n_snapshots, 1);
  return !bad;
}

/* The snapshot that is held shows what it showed, and is let go. */
static void let_go(process *p) {
  lane_state got[N_WRITERS];
  bitcask_error e = {0};
  const char *bad;

  if (!p->held) return;
  bad = read_snapshot(p->held, got, &e);
  if (!bad && memcmp(got, p->held_lane, sizeof got) != 0) bad = "a snapshot has changed";
  if (bad) fail(bad, &e);
  bitcask_snapshot_close(p->held);
  p->held = NULL;
}

/* One key of one's own lane, whose state is known exactly. */
static void get_own(process *p) {
  int key = (int)below(p, N_KEYS);
  unsigned long want = p->lane[p->number].written_by[key], got;
  bitcask_error e = {0};
  char text[16];
  int rc = bitcask_get(p->bc, text, key_text(text, p->number, key), &p->buf, &e);

  if (rc && rc != BITCASK_NOTFOUND) {
    fail("get", &e);
    return;
  }
  got = rc ? 0 : writer_of(p->buf.data, p->buf.size, p->number, key);
  if (got != want || (!rc && !got)) fail("get gives another value", NULL);
}

/* ------------------------------------------------------------------- processes */

static bool open_store(process *p) {
  bitcask_options o;
  bitcask_error e;

  bitcask_options_init(&o);
  o.auto_merge = below(p, 2);
  o.read_only = p->number == READER && below(p, 2);
  o.sync = below(p, 8) ? below(p, 2) ? BITCASK_SYNC_NORMAL : BITCASK_SYNC_OFF : BITCASK_SYNC_FULL;
  o.mmap = below(p, 4) > 0;
  o.timeout_ms = PATIENCE * 1000;
  o.max_file_size = 64 << 10;
  if (bitcask_open(dir, &o, &p->bc, &e)) {
    fail("open", &e);
    return false;
  }
  return true;
}

static void close_store(process *p) {
  bitcask_error e;

  let_go(p);
  if (bitcask_close(p->bc, &e)) fail("close", &e);
  p->bc = NULL;
  atomic_fetch_add(&sh->n_closes, 1);
}

static int apply(process *p, unsigned long n, bitcask_error *e) {
  change c[N_KEYS];
  size_t k = changes_of(p->number, n, c), key_sz;
  bitcask_txn *txn;
  char key[16], value[VALUE_CAP];
  int rc;

  key_sz = key_text(key, p->number, STAMP);
  if (k == 1 && c[0].is_delete) return bitcask_delete(p->bc, key, key_sz, e);
  if (k == 1) {
    return bitcask_put(p->bc, key, key_sz, value, value_text(value, p->number, STAMP, n), e);
  }
  if ((rc = bitcask_begin(p->bc, PATIENCE * 1000, &txn, e))) return rc;
  for (size_t i = 0; i < k && !rc; i++) {
    key_sz = key_text(key, p->number, c[i].key);
    rc = c[i].is_delete ? bitcask_txn_delete(txn, key, key_sz, e)
                        : bitcask_txn_put(txn, key, key_sz, value,
                                          value_text(value, p->number, c[i].key, n), e);
  }
  if (!rc) rc = bitcask_txn_prepare(txn, e);
  if (rc)
    bitcask_txn_rollback(txn);
  else
    bitcask_txn_publish(txn);
  return rc;
}

static void write_next(process *p) {
  unsigned long n = p->lane[p->number].n + 1;
  bitcask_error e;

  atomic_store(&sh->begun[p->number], n);
  if (apply(p, n, &e)) {
    fail("a write", &e);
    return;
  }
  atomic_store(&sh->acked[p->number], n);
  roll_to(&p->lane[p->number], p->number, n);
}

static void merge(process *p) {
  bitcask_merge_options o = {.kind = below(p, 2) ? BITCASK_MERGE_ALL : BITCASK_MERGE_POLICY};
  bitcask_error e;
  int rc = bitcask_merge(p->bc, &o, NULL, &e);

  /* Another one may be merging. */
  if (rc && rc != BITCASK_BUSY) fail("merge", &e);
  if (!rc) atomic_fetch_add(&sh->n_merges, 1);
}

static void step(process *p) {
  bool writes = p->number != READER;
  uint32_t x = below(p, 1000);

  if (x < 20)
    look(p, true);
  else if (x < 40)
    let_go(p);
  else if (x < 42 && writes)
    merge(p);
  else if (x < 47) {
    close_store(p);
    if (open_store(p)) look(p, false);
  } else if (writes) {
    write_next(p);
    get_own(p);
  } else
    look(p, false);
  atomic_fetch_add(&sh->steps[p->number], 1);
}

/* The operation that was in flight when the one before was killed is there or not;
** from here on it is settled. */
static void take_over(process *p) {
  if (!open_store(p) || !look(p, false) || p->number == READER) return;
  atomic_store(&sh->acked[p->number], p->lane[p->number].n);
}

/* A process that knows what `knows` does: it need not replay all lanes from their
** start. */
static pid_t start(int number, uint64_t seed, const process *knows) {
  pid_t pid;

  fflush(NULL);
  pid = fork();
  if (pid == 0) {
    process *p = mem_alloc(sizeof *p);
    *p = (process){.number = number, .rng = seed};
    memcpy(p->lane, knows->lane, sizeof p->lane);
    take_over(p);
    while (!atomic_load(&sh->stop) && !atomic_load(&sh->failed)) step(p);
    if (!atomic_load(&sh->failed)) close_store(p);
    _exit(atomic_load(&sh->failed) ? 1 : CHILD_OK);
  }
  return pid;
}

/* ------------------------------------------------------------------- the test */

static void expect_kill(pid_t pid) {
  int status = 0;
  CHECK_EQ(kill(pid, SIGKILL), 0);
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
}

static void expect_exit(pid_t pid) {
  int status = 0;
  CHECK_EQ(waitpid(pid, &status, 0), pid);
  CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_OK);
}

/* The process does something, whatever has been done to the others. */
static void expect_progress(int number) {
  unsigned long before = atomic_load(&sh->steps[number]);
  double end = now() + PATIENCE;

  while (atomic_load(&sh->steps[number]) == before && !atomic_load(&sh->failed)) {
    if (now() > end) {
      TEST_FAIL("process %d is stuck", number);
      return;
    }
    usleep(200);
  }
}

/* With all processes dead: the whole directory. */
static void check_all(process *p) {
  uint64_t n_problems;
  bitcask_error e;

  p->number = -1;
  if (!open_store(p)) return;
  look(p, false);
  CHECK_OK(bitcask_verify(p->bc, NULL, NULL, NULL, &n_problems, &e), &e);
  CHECK_EQ(n_problems, 0);
  close_store(p);
}

/* How many times the file of the keydir has been replaced, as far as it is seen. */
static void count_checkpoints(ino_t *last, int *n) {
  char path[4096];
  struct stat st;

  snprintf(path, sizeof path, "%s/bitcask.keydir", dir);
  if (stat(path, &st) || st.st_ino == *last) return;
  *last = st.st_ino;
  ++*n;
}

static void kill_and_restart(process *p, pid_t pids[N_PROCESSES], int round) {
  int first = (int)below(p, N_PROCESSES), n = round % 25 == 24 ? N_PROCESSES : 1;

  /* At any time, also while they are opening. */
  usleep(below(p, 3) ? below(p, 40000) : below(p, 2000));
  for (int i = 0; i < n; i++) expect_kill(pids[(first + i) % N_PROCESSES]);
  for (int i = n; i < N_PROCESSES; i++) expect_progress((first + i) % N_PROCESSES);
  if (n == N_PROCESSES) check_all(p);
  for (int i = 0; i < n; i++) {
    int k = (first + i) % N_PROCESSES;
    pids[k] = start(k, mem_random(&p->rng), p);
  }
}

/* The directory has been written to since boot, see zombie_does_not_block. */
static void make_store(process *p) {
  bitcask_error e;

  p->number = -1;
  if (!open_store(p)) return;
  CHECK_OK(bitcask_put(p->bc, "k", 1, "v", 1, &e), &e);
  CHECK_OK(bitcask_delete(p->bc, "k", 1, &e), &e);
  close_store(p);
}

static void nobody_notices(void) {
  const char *s = getenv("SEED"), *k = getenv("KILLS");
  uint64_t seed = s ? strtoull(s, NULL, 10) : (uint64_t)time(NULL);
  int kills = k ? atoi(k) : 300, rounds = 0, n_checkpoints = 0;
  process *p = mem_alloc(sizeof *p);
  pid_t pids[N_PROCESSES];
  unsigned long n_ops = 0;
  ino_t last = 0;

  *p = (process){.rng = seed};
  sh = mmap(NULL, sizeof *sh, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (sh == MAP_FAILED) abort();
  dir = tempdir_make();
  make_store(p);
  for (int i = 0; i < N_PROCESSES; i++) pids[i] = start(i, mem_random(&p->rng), p);
  for (int n = 0; n < kills && !test_bad && !atomic_load(&sh->failed); rounds++) {
    kill_and_restart(p, pids, rounds);
    n += rounds % 25 == 24 ? N_PROCESSES : 1;
    count_checkpoints(&last, &n_checkpoints);
  }
  atomic_store(&sh->stop, true);
  for (int i = 0; i < N_PROCESSES; i++) expect_exit(pids[i]);
  CHECK(!atomic_load(&sh->failed));
  check_all(p);
  for (int i = 0; i < N_WRITERS; i++) n_ops += atomic_load(&sh->acked[i]);
  printf("  %d rounds, %lu transactions, %lu snapshots, %lu merges, %lu closes, %d checkpoints "
         "seen, SEED=%" PRIu64 "\n",
         rounds, n_ops, sh->n_snapshots, sh->n_merges, sh->n_closes, n_checkpoints, seed);
  CHECK(n_ops > (unsigned long)kills && sh->n_merges && sh->n_closes);
  CHECK(n_checkpoints || kills < 100);
  bitcask_buf_free(&p->buf);
  free(p);
  tempdir_remove(dir);
  munmap(sh, sizeof *sh);
}

/* ------------------------------------------------------------------- zombies */

static bool is_alive(void *ctx, uint32_t pid, int64_t since) {
  (void)ctx;
  (void)pid;
  (void)since;
  return true;
}

static bool can_write(memenv *m, bitcask_error *e) {
  bc_env env = *memenv_env(m);
  bitcask_options o;
  bitcask *bc = NULL;
  int rc;

  env.pid_alive = is_alive;
  bitcask_options_init(&o);
  o.auto_merge = false;
  o.create = true;
  rc = bc_open_env("/kv", &o, &env, &bc, e);
  if (rc) return false;
  rc = bitcask_put(bc, "k", 1, "v", 1, e);
  return !bitcask_close(bc, rc ? NULL : e) && !rc;
}

/* Killed after any call, and not waited for by its parent: the pid is still there,
** and must not pass for a live process of the reference. */
static void zombie_does_not_block(void) {
  for (int written_before = 0; written_before < 2; written_before++) {
    memenv *m = memenv_new(1);
    bitcask_error e = {0};
    size_t n;

    if (written_before) CHECK(can_write(m, &e));
    memenv_log_start(m);
    CHECK(can_write(m, &e));
    n = memenv_log_size(m);
    for (size_t i = 0; i <= n; i++) {
      mem_cut cut = {.kind = MEM_CUT_KILL, .n_ops = i};
      memenv *after = memenv_crash(m, &cut);
      if (!can_write(after, &e)) TEST_FAIL("killed after %zu of %zu calls: %s", i, n, e.text);
      memenv_free(after);
    }
    CHECK(n > 10);
    memenv_free(m);
  }
}

int main(void) {
  RUN(zombie_does_not_block);
  RUN(nobody_notices);
  return test_done();
}
