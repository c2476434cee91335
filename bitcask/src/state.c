/* state.c - see state.h. */
#include "state.h"

#include <errno.h>
#include <stdatomic.h>
#include <string.h>

#include "buf.h"
#include "crc32.h"
#include "name.h"

static const char MAGIC[16] = "bitcask state 1\n";

/* In `tail`; below it is the kind. */
enum { AUTHOR_SHIFT = 8 };

/* In `holder`; pids are below it. */
static const uint32_t COMMITTING = UINT32_C(1) << 31;

/* Two commit points, used in turn: the one that readers use is never written
** to, and a writer that dies half-way leaves it standing. */
struct point {
  _Atomic uint64_t committed;
  _Atomic uint32_t active_id;
  _Atomic uint32_t tstamp;
};

/* Two stable positions, each in a sector of its own and with a CRC, used in
** turn: a torn write of the page leaves one. */
struct stable {
  _Atomic uint64_t offset;
  _Atomic uint32_t file_id;
  _Atomic uint32_t crc; /* of the 12 bytes before, starting value 1: zeros are no position */
};

enum { N_LENGTHS = 32 };

struct length {
  struct stable end; /* its crc goes on over `first` */
  _Atomic uint32_t first;
  uint32_t unused[3];
};

struct session {
  _Atomic uint64_t at;
  _Atomic uint64_t end;
  _Atomic uint64_t token;
  _Atomic uint32_t input; /* 0: there is none; written last, and cleared first */
  _Atomic uint32_t output;
  _Atomic uint32_t first_id;
  _Atomic uint32_t next_id;
  _Atomic uint32_t last_id;
  uint32_t unused;
};

/* The same for what a merge has written. */
struct outputs {
  _Atomic uint64_t offset;
  _Atomic uint32_t file_id;
  _Atomic uint32_t last_id;
  _Atomic uint32_t crc; /* of the 16 bytes before, starting value 1 */
  uint32_t unused;
};

struct bc_state_page {
  char magic[16];
  _Atomic uint64_t boot_id[2];
  _Atomic uint64_t generation; /* 0: no commit point yet; else point[generation & 1] */
  _Atomic uint64_t merges;
  _Atomic uint64_t waited_at;
  _Atomic uint32_t tail; /* bc_tail, and its author above AUTHOR_SHIFT: they change together */
  _Atomic uint32_t lock_pid;
  struct point point[2];
  _Atomic uint32_t sync_failed;
  _Atomic uint32_t unsealed;
  _Atomic uint64_t debt;
  struct session session;
  _Atomic uint64_t sealing_token;
  _Atomic uint32_t sealing_id;
  _Atomic uint32_t sealing_pid;
  _Atomic uint32_t merging;
  _Atomic uint32_t n_written; /* 0: none yet; else the position is written*[n_written & 1] */
  _Atomic uint64_t written_offset[2];
  _Atomic uint32_t written_id[2];
  _Atomic uint32_t holder; /* pid, and COMMITTING */
  uint8_t unused1[512 - 212];
  struct stable stable0;
  uint8_t unused2[512 - sizeof(struct stable)];
  struct stable stable1;
  uint8_t unused3[512 - sizeof(struct stable)];
  struct outputs outputs0;
  uint8_t unused4[512 - sizeof(struct outputs)];
  struct outputs outputs1;
  uint8_t unused5[1024 - sizeof(struct outputs)];
  struct length length[N_LENGTHS]; /* of a file, at its id modulo their number */
};

_Static_assert(sizeof(struct bc_state_page) == BC_STATE_SZ, "layout of bitcask.state");
_Static_assert(offsetof(struct bc_state_page, stable0) == 512, "layout of bitcask.state");
_Static_assert(offsetof(struct bc_state_page, stable1) == 1024, "layout of bitcask.state");
_Static_assert(offsetof(struct bc_state_page, outputs0) == 1536, "layout of bitcask.state");
_Static_assert(offsetof(struct bc_state_page, outputs1) == 2048, "layout of bitcask.state");
_Static_assert(offsetof(struct bc_state_page, length) == 3072, "layout of bitcask.state");

int bc_state_init(bc_state *st, const bc_env *env) {
  *st = (bc_state){.env = env, .pid = env->pid(env->ctx), .fd = -1, .read_fd = -1};
  return env->boot_id(env->ctx, (uint8_t *)st->boot_id);
}

void bc_state_release(bc_state *st) {
  const bc_env *env = st->env;
  if (st->page) env->unmap(env->ctx, st->page, BC_STATE_SZ);
  if (st->read_page) env->unmap(env->ctx, st->read_page, BC_STATE_SZ);
  if (st->fd >= 0) env->close(env->ctx, st->fd);
  if (st->read_fd >= 0) env->close(env->ctx, st->read_fd);
  st->page = st->read_page = NULL;
  st->fd = st->read_fd = -1;
}

static int open_file(bc_state *st, const char *dir, unsigned flags, int *fd) {
  bitcask_buf path = {0};
  int e;
  if (bc_name_in(&path, dir, BC_STATE_NAME)) return ENOMEM;
  e = st->env->open(st->env->ctx, (char *)path.data, flags, fd);
  if (e) *fd = -1;
  bitcask_buf_free(&path);
  return e;
}

static int identify(bc_state *st, int fd, bc_file_id *out) {
  bc_stat stat;
  int e = st->env->fstat(st->env->ctx, fd, &stat);
  if (!e) *out = (bc_file_id){stat.device, stat.inode};
  return e;
}

/* The one that carries the locks. */
static int open_main(bc_state *st, const char *dir, unsigned flags) {
  bc_file_id id;
  int fd, e = open_file(st, dir, flags | BC_OPEN_LOCKS, &fd);

  if (e) return e;
  e = identify(st, fd, &id);
  if (e) {
    st->env->close(st->env->ctx, fd);
    return e;
  }
  st->fd = fd;
  st->id = id;
  return 0;
}

/* By a descriptor of its own: a mapping keeps the open file that it was made of, and that
** its locks, also in a forked child. */
static int map_page(bc_state *st, const char *dir) {
  const bc_env *env = st->env;
  bc_file_id id;
  void *p = NULL;
  int fd, e = open_file(st, dir, st->writable ? BC_OPEN_WRITE : BC_OPEN_READ, &fd);

  if (e) return e;
  e = identify(st, fd, &id);
  if (!e && (id.device != st->id.device || id.inode != st->id.inode)) e = ESTALE; /* replaced */
  if (!e) e = env->map(env->ctx, fd, BC_STATE_SZ, st->writable, &p);
  env->close(env->ctx, fd);
  if (e) return e;
  st->read_page = st->page;
  st->page = p;
  st->mapped_writable = st->writable;
  return 0;
}

int bc_state_open_read(bc_state *st, const char *dir) {
  uint64_t size;
  int e;

  if (st->page) return 0;
  if (st->fd < 0) {
    e = open_main(st, dir, BC_OPEN_READ);
    /* Not there, or not for us to read: the log alone decides. */
    if (e == ENOENT || e == EACCES) return 0;
    if (e) return e;
  }
  e = st->env->size(st->env->ctx, st->fd, &size);
  if (e || size < BC_STATE_SZ) return e;
  return map_page(st, dir);
}

int bc_state_open_write(bc_state *st, const char *dir) {
  int e, fd = st->fd;
  if (fd >= 0 && st->writable) return 0;
  e = open_main(st, dir, BC_OPEN_WRITE | BC_OPEN_CREATE);
  if (e) return e;
  st->writable = true;
  st->read_fd = fd;
  return 0;
}

/* Replace what is no page of ours by an empty one, keeping nothing. */
static int write_empty(bc_state *st) {
  struct bc_state_page page;
  struct iovec iov = {&page, sizeof page};
  memset(&page, 0, sizeof page);
  memcpy(page.magic, MAGIC, sizeof MAGIC);
  return st->env->pwritev(st->env->ctx, st->fd, &iov, 1, 0);
}

static bool is_this_boot(const bc_state *st, const struct bc_state_page *page) {
  return atomic_load_explicit(&page->boot_id[0], memory_order_acquire) == st->boot_id[0] &&
         atomic_load_explicit(&page->boot_id[1], memory_order_acquire) == st->boot_id[1];
}

/* There is no commit point, so nothing that goes with one is of any use.  The id of the boot
** last: killed in between, all of it is done again.  From here on the pid of the lock files
** is known for what it is. */
static void begin(bc_state *st) {
  struct bc_state_page *page = st->page;

  atomic_store_explicit(&page->generation, 0, memory_order_release);
  atomic_store_explicit(&page->tail, 0, memory_order_release);
  if (!is_this_boot(st, page)) atomic_store_explicit(&page->lock_pid, 0, memory_order_release);
  atomic_store_explicit(&page->sync_failed, 0, memory_order_release);
  bc_state_set_holder(st, &(bc_holder){0});
  bc_state_set_session(st, NULL);
  bc_state_set_sealing(st, NULL);
  atomic_store_explicit(&page->unsealed, 0, memory_order_relaxed);
  bc_state_set_merging(st, false);
  atomic_store_explicit(&page->debt, 0, memory_order_relaxed);
  bc_state_forget_written(st);
  atomic_store_explicit(&page->boot_id[0], st->boot_id[0], memory_order_release);
  atomic_store_explicit(&page->boot_id[1], st->boot_id[1], memory_order_release);
}

int bc_state_map_write(bc_state *st, const char *dir, bool *fresh) {
  const bc_env *env = st->env;
  char magic[sizeof MAGIC] = {0};
  uint64_t size;
  size_t got;
  int e;

  if (!st->mapped_writable) {
    e = env->size(env->ctx, st->fd, &size);
    if (!e) e = env->pread(env->ctx, st->fd, magic, sizeof magic, 0, &got);
    if (e) return e;
    if (size != BC_STATE_SZ || memcmp(magic, MAGIC, sizeof MAGIC)) {
      /* Durable before the first record of ours is: then a directory with
      ** records of ours always has a page, and its stable position decides how
      ** damage is read (DESIGN.md "What a power cut leaves"). */
      e = size > BC_STATE_SZ ? env->truncate(env->ctx, st->fd, BC_STATE_SZ) : 0;
      if (!e) e = write_empty(st);
      if (!e) e = env->fdatasync(env->ctx, st->fd);
      if (!e) e = env->sync_dir(env->ctx, dir);
      if (e) return e;
    }
    e = map_page(st, dir);
    if (e) return e;
  }
  *fresh = !bc_state_is_live(st);
  if (*fresh) begin(st);
  return 0;
}

bool bc_state_is_live(const bc_state *st) {
  return st->page && !memcmp(st->page->magic, MAGIC, sizeof MAGIC) &&
         atomic_load_explicit(&st->page->generation, memory_order_acquire) &&
         is_this_boot(st, st->page);
}

uint64_t bc_state_generation(const bc_state *st) {
  return st->page ? atomic_load_explicit(&st->page->generation, memory_order_acquire) : 0;
}

uint64_t bc_state_merges(const bc_state *st) {
  return st->page ? atomic_load_explicit(&st->page->merges, memory_order_acquire) : 0;
}

void bc_state_count_merge(bc_state *st) {
  atomic_fetch_add_explicit(&st->page->merges, 1, memory_order_acq_rel);
}

bool bc_state_read(const bc_state *st, bc_commit_point *out, uint64_t *generation) {
  uint64_t g, again;
  if (!bc_state_is_live(st)) return false;
  again = atomic_load_explicit(&st->page->generation, memory_order_acquire);
  do {
    g = again;
    const struct point *p = &st->page->point[g & 1];
    out->committed = atomic_load_explicit(&p->committed, memory_order_acquire);
    out->active_id = atomic_load_explicit(&p->active_id, memory_order_acquire);
    out->tstamp = atomic_load_explicit(&p->tstamp, memory_order_acquire);
    again = atomic_load_explicit(&st->page->generation, memory_order_acquire);
    /* The point of g is written again only for g + 2, after g + 1 was stored. */
  } while (again != g);
  *generation = g;
  return true;
}

void bc_state_publish(bc_state *st, const bc_commit_point *p) {
  uint64_t g = atomic_load_explicit(&st->page->generation, memory_order_relaxed) + 1;
  struct point *to = &st->page->point[g & 1];

  atomic_store_explicit(&to->committed, p->committed, memory_order_release);
  atomic_store_explicit(&to->active_id, p->active_id, memory_order_release);
  atomic_store_explicit(&to->tstamp, p->tstamp, memory_order_release);
  atomic_store_explicit(&st->page->generation, g, memory_order_release);
}

void bc_state_set_tail(bc_state *st, bc_tail tail) {
  uint32_t author = tail == BC_TAIL_APPENDED ? st->author : 0;
  atomic_store_explicit(&st->page->tail, (uint32_t)tail | author << AUTHOR_SHIFT,
                        memory_order_release);
}

static uint32_t load_tail(const bc_state *st) {
  return atomic_load_explicit(&st->page->tail, memory_order_acquire);
}

bc_tail bc_state_tail(const bc_state *st) {
  return (bc_tail)(load_tail(st) & ((1u << AUTHOR_SHIFT) - 1));
}

uint32_t bc_state_tail_author(const bc_state *st) { return load_tail(st) >> AUTHOR_SHIFT; }

void bc_state_set_sync_failed(bc_state *st, bool failed) {
  if (st->mapped_writable)
    atomic_store_explicit(&st->page->sync_failed, failed, memory_order_release);
}

bool bc_state_sync_failed(const bc_state *st) {
  return bc_state_is_live(st) && atomic_load_explicit(&st->page->sync_failed, memory_order_acquire);
}

static uint32_t position_crc(const bc_position *p) {
  return bc_crc32(bc_crc32(1, &p->offset, sizeof p->offset), &p->file_id, sizeof p->file_id);
}

static bool read_stable(const struct stable *s, bc_position *out) {
  out->offset = atomic_load_explicit(&s->offset, memory_order_relaxed);
  out->file_id = atomic_load_explicit(&s->file_id, memory_order_relaxed);
  return position_crc(out) == atomic_load_explicit(&s->crc, memory_order_relaxed);
}

static void write_stable(struct stable *s, const bc_position *p) {
  atomic_store_explicit(&s->offset, p->offset, memory_order_relaxed);
  atomic_store_explicit(&s->file_id, p->file_id, memory_order_relaxed);
  atomic_store_explicit(&s->crc, position_crc(p), memory_order_relaxed);
}

static bool is_before(const bc_position *a, const bc_position *b) {
  return a->file_id < b->file_id || (a->file_id == b->file_id && a->offset < b->offset);
}

bool bc_state_stable(const bc_state *st, bc_position *out) {
  bc_position a, b;
  bool has_a, has_b;

  if (!st->page || memcmp(st->page->magic, MAGIC, sizeof MAGIC)) return false;
  has_a = read_stable(&st->page->stable0, &a);
  has_b = read_stable(&st->page->stable1, &b);
  if (has_a || has_b) *out = !has_a || (has_b && is_before(&a, &b)) ? b : a;
  return has_a || has_b;
}

bool bc_state_covers(const bc_state *st, const void *page, const bc_position *p) {
  bc_state other = *st;
  bc_position stable;

  other.page = (struct bc_state_page *)(uintptr_t)page; /* only read */
  return bc_state_stable(&other, &stable) && !is_before(&stable, p) &&
         !bc_state_sync_failed(&other);
}

void bc_state_set_stable(bc_state *st, const bc_position *p) {
  bc_position a, b;
  bool has_a = read_stable(&st->page->stable0, &a), has_b = read_stable(&st->page->stable1, &b);
  const bc_position *newest = !has_a || (has_b && is_before(&a, &b)) ? &b : &a;

  if ((has_a || has_b) && !is_before(newest, p)) return;
  write_stable(newest == &a && has_a ? &st->page->stable1 : &st->page->stable0, p);
}

static uint32_t length_crc(const bc_position *end, uint32_t first) {
  return bc_crc32(position_crc(end), &first, sizeof first);
}

void bc_state_set_length(bc_state *st, const bc_position *end, uint32_t first) {
  struct length *s = &st->page->length[end->file_id % N_LENGTHS];
  write_stable(&s->end, end);
  atomic_store_explicit(&s->first, first, memory_order_relaxed);
  atomic_store_explicit(&s->end.crc, length_crc(end, first), memory_order_relaxed);
}

bool bc_state_length(const bc_state *st, uint32_t file_id, uint64_t *out, uint32_t *first) {
  const struct length *s;
  bc_position p;

  if (!st->page || memcmp(st->page->magic, MAGIC, sizeof MAGIC)) return false;
  s = &st->page->length[file_id % N_LENGTHS];
  (void)read_stable(&s->end, &p);
  *out = p.offset;
  *first = atomic_load_explicit(&s->first, memory_order_relaxed);
  return p.file_id == file_id &&
         length_crc(&p, *first) == atomic_load_explicit(&s->end.crc, memory_order_relaxed);
}

static uint32_t outputs_crc(const bc_outputs *o) {
  return bc_crc32(position_crc(&o->synced), &o->last_id, sizeof o->last_id);
}

static bool read_outputs(const struct outputs *s, bc_outputs *out) {
  out->synced.offset = atomic_load_explicit(&s->offset, memory_order_relaxed);
  out->synced.file_id = atomic_load_explicit(&s->file_id, memory_order_relaxed);
  out->last_id = atomic_load_explicit(&s->last_id, memory_order_relaxed);
  return outputs_crc(out) == atomic_load_explicit(&s->crc, memory_order_relaxed);
}

static void write_outputs(struct outputs *s, const bc_outputs *o) {
  atomic_store_explicit(&s->offset, o->synced.offset, memory_order_relaxed);
  atomic_store_explicit(&s->file_id, o->synced.file_id, memory_order_relaxed);
  atomic_store_explicit(&s->last_id, o->last_id, memory_order_relaxed);
  atomic_store_explicit(&s->crc, outputs_crc(o), memory_order_relaxed);
}

/* *first: the newest is the first of the two.  False: there is none. */
static bool newest_outputs(const struct bc_state_page *page, bc_outputs *out, bool *first) {
  bc_outputs a, b;
  bool has_a = read_outputs(&page->outputs0, &a), has_b = read_outputs(&page->outputs1, &b);
  *first = has_a && !(has_b && is_before(&a.synced, &b.synced));
  if (has_a || has_b) *out = *first ? a : b;
  return has_a || has_b;
}

bool bc_state_outputs(const bc_state *st, bc_outputs *out) {
  bool first;
  return st->page && !memcmp(st->page->magic, MAGIC, sizeof MAGIC) &&
         newest_outputs(st->page, out, &first);
}

void bc_state_set_outputs(bc_state *st, const bc_outputs *o) {
  bc_outputs ignored;
  bool first;
  (void)newest_outputs(st->page, &ignored, &first);
  write_outputs(first ? &st->page->outputs1 : &st->page->outputs0, o);
}

bool bc_state_written(const bc_state *st, bc_position *out) {
  uint32_t n, again;

  if (!bc_state_is_live(st)) return false;
  again = atomic_load_explicit(&st->page->n_written, memory_order_acquire);
  do { /* as in bc_state_read */
    n = again;
    out->offset = atomic_load_explicit(&st->page->written_offset[n & 1], memory_order_acquire);
    out->file_id = atomic_load_explicit(&st->page->written_id[n & 1], memory_order_acquire);
    again = atomic_load_explicit(&st->page->n_written, memory_order_acquire);
  } while (again != n);
  return n != 0;
}

void bc_state_set_written(bc_state *st, const bc_position *p) {
  uint32_t n = atomic_load_explicit(&st->page->n_written, memory_order_relaxed) + 1;

  if (!n) n = 2; /* 0 is none; as even as that */
  atomic_store_explicit(&st->page->written_offset[n & 1], p->offset, memory_order_release);
  atomic_store_explicit(&st->page->written_id[n & 1], p->file_id, memory_order_release);
  atomic_store_explicit(&st->page->n_written, n, memory_order_release);
}

void bc_state_forget_written(bc_state *st) {
  atomic_store_explicit(&st->page->n_written, 0, memory_order_release);
}

uint32_t bc_state_lock_pid(const bc_state *st) {
  return st->page ? atomic_load_explicit(&st->page->lock_pid, memory_order_acquire) : 0;
}

void bc_state_set_lock_pid(bc_state *st, uint32_t pid) {
  atomic_store_explicit(&st->page->lock_pid, pid, memory_order_release);
}

void bc_state_set_holder(bc_state *st, const bc_holder *h) {
  atomic_store_explicit(&st->page->holder, h->pid | (h->committing ? COMMITTING : 0),
                        memory_order_release);
}

static bc_holder holder_in(const struct bc_state_page *page) {
  uint32_t holder = atomic_load_explicit(&page->holder, memory_order_acquire);
  return (bc_holder){holder & ~COMMITTING, holder & COMMITTING};
}

bc_holder bc_state_holder(const bc_state *st) {
  struct bc_state_page copy;
  size_t got = 0;

  if (st->page) return is_this_boot(st, st->page) ? holder_in(st->page) : (bc_holder){0};
  if (st->fd < 0) return (bc_holder){0};
  /* It has come since this handle looked for it, and is mapped under the write lock. */
  if (st->env->pread(st->env->ctx, st->fd, &copy, sizeof copy, 0, &got) || got < sizeof copy ||
      !is_this_boot(st, &copy)) {
    return (bc_holder){0};
  }
  return holder_in(&copy);
}

uint64_t bc_state_waited_at(const bc_state *st) {
  return atomic_load_explicit(&st->page->waited_at, memory_order_relaxed);
}

void bc_state_wait_now(bc_state *st, uint64_t now_ms) {
  atomic_store_explicit(&st->page->waited_at, now_ms, memory_order_relaxed);
}

bool bc_state_session(const bc_state *st, bc_session *out) {
  const struct session *s;

  *out = (bc_session){0};
  if (!bc_state_is_live(st)) return false;
  s = &st->page->session;
  *out = (bc_session){.input = atomic_load_explicit(&s->input, memory_order_acquire),
                      .output = atomic_load_explicit(&s->output, memory_order_relaxed),
                      .at = atomic_load_explicit(&s->at, memory_order_relaxed),
                      .end = atomic_load_explicit(&s->end, memory_order_relaxed),
                      .first_id = atomic_load_explicit(&s->first_id, memory_order_relaxed),
                      .next_id = atomic_load_explicit(&s->next_id, memory_order_relaxed),
                      .last_id = atomic_load_explicit(&s->last_id, memory_order_relaxed),
                      .token = atomic_load_explicit(&s->token, memory_order_relaxed)};
  if (out->input) return true;
  *out = (bc_session){0};
  return false;
}

void bc_state_set_session(bc_state *st, const bc_session *s) {
  struct session *to = &st->page->session;

  atomic_store_explicit(&to->input, 0, memory_order_release);
  if (!s) return;
  atomic_thread_fence(memory_order_release);
  atomic_store_explicit(&to->output, s->output, memory_order_relaxed);
  atomic_store_explicit(&to->at, s->at, memory_order_relaxed);
  atomic_store_explicit(&to->end, s->end, memory_order_relaxed);
  atomic_store_explicit(&to->first_id, s->first_id, memory_order_relaxed);
  atomic_store_explicit(&to->next_id, s->next_id, memory_order_relaxed);
  atomic_store_explicit(&to->last_id, s->last_id, memory_order_relaxed);
  atomic_store_explicit(&to->token, s->token, memory_order_relaxed);
  atomic_store_explicit(&to->input, s->input, memory_order_release);
}

uint64_t bc_state_add_debt(bc_state *st, uint64_t n) {
  return atomic_fetch_add_explicit(&st->page->debt, n, memory_order_relaxed) + n;
}

void bc_state_pay_debt(bc_state *st, uint64_t n) {
  uint64_t debt = atomic_load_explicit(&st->page->debt, memory_order_relaxed);
  while (!atomic_compare_exchange_weak(&st->page->debt, &debt, debt > n ? debt - n : 0)) {
  }
}

uint32_t bc_state_unsealed(const bc_state *st) {
  return bc_state_is_live(st) ? atomic_load_explicit(&st->page->unsealed, memory_order_acquire) : 0;
}

void bc_state_add_unsealed(bc_state *st, uint32_t id) {
  uint32_t lowest = atomic_load_explicit(&st->page->unsealed, memory_order_relaxed);
  while ((!lowest || id < lowest) &&
         !atomic_compare_exchange_weak(&st->page->unsealed, &lowest, id)) {
  }
}

void bc_state_move_unsealed(bc_state *st, uint32_t was, uint32_t id) {
  (void)atomic_compare_exchange_strong(&st->page->unsealed, &was, id);
}

bc_sealing bc_state_sealing(const bc_state *st) {
  return (bc_sealing){.id = atomic_load_explicit(&st->page->sealing_id, memory_order_acquire),
                      .pid = atomic_load_explicit(&st->page->sealing_pid, memory_order_relaxed),
                      .token =
                          atomic_load_explicit(&st->page->sealing_token, memory_order_relaxed)};
}

void bc_state_set_sealing(bc_state *st, const bc_sealing *s) {
  atomic_store_explicit(&st->page->sealing_id, 0, memory_order_release);
  if (!s) return;
  atomic_store_explicit(&st->page->sealing_pid, s->pid, memory_order_relaxed);
  atomic_store_explicit(&st->page->sealing_token, s->token, memory_order_relaxed);
  atomic_store_explicit(&st->page->sealing_id, s->id, memory_order_release);
}

bool bc_state_is_merging(const bc_state *st) {
  return st->page && atomic_load_explicit(&st->page->merging, memory_order_acquire);
}

void bc_state_set_merging(bc_state *st, bool yes) {
  atomic_store_explicit(&st->page->merging, yes, memory_order_release);
}
