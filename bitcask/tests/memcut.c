/*
** memcut.c - what a crash leaves of a memenv: memenv_crash.
**
** A file after a power cut is decided page by page, or sector by sector.  Three images are carried
** along the log: the cache (what processes saw), the disk at the least (what a
** successful fdatasync put there) and the disk as drawn, in which each page, and
** the size, are as of some moment between the last successful fdatasync and the
** cut.  Pages that a failed fdatasync gave up are clean afterwards: no later
** fdatasync writes them.
**
** Names are decided likewise by sync_dir: all of what was not synced, none,
** what came before some moment, or (strict_dir) any of them.
*/
#include "memenv_int.h"

#include <stdlib.h>
#include <string.h>

typedef struct image {
  uint8_t *data; /* bytes behind size are zero */
  size_t size;
  size_t cap;
} image;

typedef struct file_replay {
  image cache, least, drawn;
  bool *dirty; /* per page, since the last fdatasync of any outcome */
  size_t n_pages;
  size_t page_sz;
  size_t synced_op; /* of the last successful fdatasync, + 1 */
  uint64_t seed;
  const mem_cut *cut;
} file_replay;

/* ---------------------------------------------------------------------- images */

static void image_resize(image *im, size_t size) {
  size_t cap = (size + MEM_PAGE_SZ - 1) / MEM_PAGE_SZ * MEM_PAGE_SZ;

  if (cap > im->cap) {
    cap += im->cap / 2 / MEM_PAGE_SZ * MEM_PAGE_SZ;
    im->data = mem_grow(im->data, cap);
    memset(im->data + im->cap, 0, cap - im->cap);
    im->cap = cap;
  }
  if (size < im->size) memset(im->data + size, 0, im->size - size);
  im->size = size;
}

/* Room for the page without a change of size. */
static uint8_t *image_page(image *im, size_t page, size_t page_sz) {
  size_t size = im->size;

  if ((page + 1) * page_sz > im->cap) {
    image_resize(im, (page + 1) * page_sz);
    im->size = size;
  }
  return im->data + page * page_sz;
}

static void copy_page(image *to, image *from, size_t page, size_t page_sz) {
  memcpy(image_page(to, page, page_sz), image_page(from, page, page_sz), page_sz);
}

/* --------------------------------------------------------------------- one file */

static bool is_data_op(const mem_op *op) {
  return op->kind == MEM_WRITE || op->kind == MEM_TRUNCATE || op->kind == MEM_STORE;
}

/* Up to which operation page `page` of the drawn image is written; SIZE_MAX as
** page is the file's size.  One draw in four has a file's pages all at once. */
static size_t page_moment(const file_replay *r, size_t page) {
  uint64_t s = r->seed;
  uint64_t style = mem_random(&s);
  size_t span = r->cut->n_ops - r->synced_op + 1;

  if (style % 4) s ^= (page + 1) * 0x9e3779b97f4a7c15u;
  if (style % 4 == 1) return mem_random(&s) % 2 ? r->cut->n_ops : r->synced_op;
  return r->synced_op + mem_random(&s) % span;
}

static void touch_page(file_replay *r, size_t page, size_t i) {
  if (page >= r->n_pages) {
    size_t n = page + 16;
    r->dirty = mem_grow(r->dirty, n * sizeof *r->dirty);
    memset(r->dirty + r->n_pages, 0, (n - r->n_pages) * sizeof *r->dirty);
    r->n_pages = n;
  }
  r->dirty[page] = true;
  if (i < page_moment(r, page)) copy_page(&r->drawn, &r->cache, page, r->page_sz);
}

static void replay_change(file_replay *r, const mem_op *op, size_t i) {
  size_t n = op->n;
  uint64_t offset = op->kind == MEM_STORE ? 0 : op->offset;
  size_t first, last;

  if (op->kind == MEM_WRITE && i + 1 == r->cut->n_ops) n -= r->cut->torn < n ? r->cut->torn : n;
  if (op->kind == MEM_STORE && n > r->cache.size) n = r->cache.size;
  if (op->kind == MEM_TRUNCATE) {
    first = (size_t)offset / r->page_sz;
    last = r->cache.size / r->page_sz;
    image_resize(&r->cache, (size_t)offset);
  } else {
    if (!n) return;
    if (offset + n > r->cache.size) image_resize(&r->cache, (size_t)offset + n);
    memcpy(r->cache.data + offset, op->data, n);
    first = (size_t)offset / r->page_sz;
    last = ((size_t)offset + n - 1) / r->page_sz;
  }
  for (size_t p = first; p <= last; p++) touch_page(r, p, i);
  if (i < page_moment(r, SIZE_MAX)) image_resize(&r->drawn, r->cache.size);
}

static void replay_sync(file_replay *r, const mem_op *op) {
  if (!op->failed) {
    image_resize(&r->least, r->cache.size);
    image_resize(&r->drawn, r->cache.size);
  }
  for (size_t p = 0; p < r->n_pages; p++) {
    if (!r->dirty[p]) continue;
    r->dirty[p] = false;
    if (op->failed) {
      if (op->reverted) copy_page(&r->cache, &r->least, p, r->page_sz);
    } else {
      copy_page(&r->least, &r->cache, p, r->page_sz);
      copy_page(&r->drawn, &r->cache, p, r->page_sz);
    }
  }
  if (op->failed && op->reverted) image_resize(&r->cache, r->least.size);
}

static void image_of_node(image *im, const mem_node *node) {
  image_resize(im, node->size);
  if (node->size) memcpy(im->data, node->data, node->size);
}

/* The file's node in `after` gets the bytes that it has after the crash. */
static void build_file(const memenv *m, memenv *after, mem_node *node, const mem_cut *cut) {
  file_replay r = {.cut = cut,
                   .seed = cut->seed * 1000003u + node->inode,
                   .page_sz = cut->sectors ? MEM_SECTOR_SZ : MEM_PAGE_SZ};
  image *got = cut->kind == MEM_CUT_RANDOM   ? &r.drawn
               : cut->kind == MEM_CUT_SYNCED ? &r.least
                                             : &r.cache;

  for (size_t i = 0; i < m->n_base; i++) {
    if (m->base[i].node->inode != node->inode) continue;
    image_of_node(&r.cache, m->base[i].node);
    image_of_node(&r.least, m->base[i].node);
    image_of_node(&r.drawn, m->base[i].node);
    break;
  }
  for (size_t i = 0; i < cut->n_ops; i++) {
    const mem_op *op = &m->log[i];
    if (op->inode == node->inode && op->kind == MEM_FDATASYNC && !op->failed) r.synced_op = i + 1;
  }
  for (size_t i = 0; i < cut->n_ops; i++) {
    const mem_op *op = &m->log[i];
    if (op->inode != node->inode) continue;
    if (is_data_op(op)) replay_change(&r, op, i);
    if (op->kind == MEM_FDATASYNC) replay_sync(&r, op);
  }
  mem_node_resize(node, got->size);
  if (got->size) mem_node_write(node, 0, got->data, got->size);
  node->mtime_secs = after->now;
  free(r.cache.data);
  free(r.least.data);
  free(r.drawn.data);
  free(r.dirty);
}

/* ----------------------------------------------------------------------- names */

static bool is_name_op(const mem_op *op) {
  return op->kind == MEM_CREATE || op->kind == MEM_MKDIR || op->kind == MEM_RENAME ||
         op->kind == MEM_LINK || op->kind == MEM_UNLINK;
}

static bool in_dir(const char *path, const char *dir) {
  size_t n = mem_dir_len(path);
  return strlen(dir) == n && !strncmp(path, dir, n);
}

/* The operation behind the last sync_dir of this path's directory. */
static size_t dir_synced_op(const memenv *m, size_t n_ops, const char *path) {
  size_t n = n_ops;

  while (n > 0) {
    const mem_op *op = &m->log[n - 1];
    if (op->kind == MEM_SYNC_DIR && in_dir(path, op->path)) break;
    n--;
  }
  return n;
}

static bool name_op_survives(const memenv *m, const mem_cut *cut, size_t i) {
  size_t synced = dir_synced_op(m, cut->n_ops, m->log[i].path);
  uint64_t s = cut->seed;
  uint64_t style = mem_random(&s);
  uint64_t draw = mem_random(&s);

  if (i < synced) return true;
  if (cut->kind == MEM_CUT_SYNCED) return false;
  if (cut->kind != MEM_CUT_RANDOM) return true;
  if (cut->strict_dir) return mem_random(&(uint64_t){s + i}) % 2;
  switch (style % 4) {
  case 0:
    return true;
  case 1:
    return false;
  default: /* a journal keeps the order */
    return i < synced + draw % (cut->n_ops - synced + 1);
  }
}

/* A directory can get its second name and not its first. */
static bool is_dir_made(const memenv *m, uint64_t inode) {
  for (size_t i = 0; i < m->n_log; i++) {
    if (m->log[i].kind == MEM_MKDIR && m->log[i].inode == inode) return true;
  }
  return false;
}

static mem_node *node_for(const memenv *m, memenv *after, mem_name *all, size_t n,
                          const mem_op *op) {
  for (size_t i = 0; i < n; i++) {
    if (all[i].node->inode == op->inode) return all[i].node;
  }
  return mem_node_new(after->last_inode = op->inode, is_dir_made(m, op->inode));
}

static void apply_name_op(const memenv *m, memenv *after, mem_name **all, size_t *n_all,
                          const mem_op *op) {
  mem_node *node = node_for(m, after, *all, *n_all, op);
  const char *path = op->kind == MEM_RENAME ? op->to : op->path;

  /* `all` keeps a node that has lost its name: a later operation may give it another. */
  *all = mem_grow(*all, (*n_all + 1) * sizeof **all);
  (*all)[(*n_all)++] = (mem_name){NULL, node};
  node->n_refs++;
  if (op->kind != MEM_UNLINK) mem_name_set(&after->names, &after->n_names, path, node);
  if (op->kind == MEM_UNLINK || op->kind == MEM_RENAME) {
    mem_name *old = mem_name_find(after->names, after->n_names, op->path);
    /* Where a name was lost, another file may be behind it. */
    if (old && old->node != node) return;
    mem_name_remove(after->names, &after->n_names, op->path);
    if (op->kind == MEM_RENAME && node->is_dir) {
      mem_name_move_children(after->names, after->n_names, op->path, op->to);
    }
  }
}

/* A directory that got lost takes what is in it along. */
static void drop_orphans(memenv *after) {
  for (size_t i = 0; i < after->n_names;) {
    char *dir = mem_strdup(after->names[i].path);
    dir[mem_dir_len(dir)] = 0;
    if (mem_name_find(after->names, after->n_names, dir)) {
      i++;
    } else {
      mem_name_remove(after->names, &after->n_names, after->names[i].path);
      i = 0;
    }
    free(dir);
  }
}

static void build_names(const memenv *m, memenv *after, const mem_cut *cut) {
  mem_name *all = NULL;
  size_t n_all = 0;

  for (size_t i = 0; i < m->n_base; i++) {
    mem_node *node = mem_node_new(m->base[i].node->inode, m->base[i].node->is_dir);
    node->mode = m->base[i].node->mode;
    mem_name_set(&after->names, &after->n_names, m->base[i].path, node);
    all = mem_grow(all, (n_all + 1) * sizeof *all);
    all[n_all++] = (mem_name){NULL, node};
    node->n_refs++;
  }
  for (size_t i = 0; i < cut->n_ops; i++) {
    const mem_op *op = &m->log[i];
    if (is_name_op(op) && name_op_survives(m, cut, i)) apply_name_op(m, after, &all, &n_all, op);
  }
  drop_orphans(after);
  for (size_t i = 0; i < n_all; i++) mem_node_unref(all[i].node);
  free(all);
}

/* ---------------------------------------------------------------------- public */

memenv *memenv_crash(const memenv *m, const mem_cut *cut) {
  memenv *after = memenv_new(m->seed + cut->seed + cut->n_ops);

  after->now = m->now;
  after->pid = m->pid + 1;
  after->monotonic_us = m->monotonic_us;
  if (cut->kind != MEM_CUT_KILL)
    after->boot_id[0] = (uint8_t)(m->boot_id[0] + 1);
  else
    after->boot_id[0] = m->boot_id[0];
  build_names(m, after, cut);
  after->last_inode = m->last_inode;
  for (size_t i = 0; i < after->n_names; i++) {
    if (!after->names[i].node->is_dir) build_file(m, after, after->names[i].node, cut);
  }
  memenv_log_start(after);
  return after;
}

bool memenv_is_volatile(const memenv *m, size_t n_ops) {
  for (size_t i = 0; i < n_ops; i++) {
    const mem_op *op = &m->log[i];
    bool synced = false;

    if (is_name_op(op))
      synced = i < dir_synced_op(m, n_ops, op->path);
    else if (op->kind != MEM_WRITE && op->kind != MEM_TRUNCATE)
      continue;
    for (size_t j = i + 1; j < n_ops && !synced && !is_name_op(op); j++) {
      const mem_op *later = &m->log[j];
      synced = later->inode == op->inode && later->kind == MEM_FDATASYNC && !later->failed;
    }
    if (!synced) return true;
  }
  return false;
}
