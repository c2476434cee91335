/*
** memenv_int.h - what memenv.c and memcut.c share: the file system's insides.
*/
#ifndef MEMENV_INT_H
#define MEMENV_INT_H

#include "memenv.h"

#include <pthread.h>

/* A file or a directory.  Lives while it has a name or an open descriptor. */
typedef struct mem_node {
  uint64_t inode;
  uint32_t mode;
  int64_t mtime_secs;
  bool is_dir;
  uint8_t *data;
  size_t size;
  size_t cap;
  uint8_t *page; /* once mapped: the first MEM_PAGE_SZ bytes, at a fixed address */
  uint8_t *seen; /* that page as the log has it */
  unsigned n_refs;
} mem_node;

typedef struct mem_name {
  char *path; /* absolute, no slash at the end */
  mem_node *node;
} mem_name;

typedef struct mem_fd {
  mem_node *node; /* NULL: free slot */
  bool can_write;
} mem_fd;

typedef struct mem_lock {
  uint64_t inode;
  uint64_t pos;
  int fd;
  bool is_exclusive;
} mem_lock;

struct memenv {
  bc_env env;
  pthread_mutex_t mutex;

  mem_name *names;
  size_t n_names;
  mem_fd *fds;
  size_t n_fds;
  mem_lock *locks;
  size_t n_locks;
  size_t n_maps;
  uint64_t last_inode;

  uint64_t seed;
  uint64_t random_state;
  int64_t now;
  uint64_t monotonic_us;
  uint32_t pid;
  unsigned cpus;
  uint8_t boot_id[16];
  uint64_t quota;

  mem_fault fault;
  uint64_t n_calls;
  bool fault_hit;
  unsigned fault_call;
  bool fault_paused;

  bool logging;
  mem_op *log;
  size_t n_log, cap_log;
  mem_name *base; /* the names and copies of the nodes when the log was started */
  size_t n_base;
};

/* Allocation in the test's own code: running out is the end of the test. */
void *mem_alloc(size_t n);
void *mem_grow(void *p, size_t n);
char *mem_strdup(const char *s);

uint64_t mem_random(uint64_t *state); /* splitmix64 */

mem_node *mem_node_new(uint64_t inode, bool is_dir);
mem_node *mem_node_copy(const mem_node *from);
void mem_node_unref(mem_node *n);
void mem_node_resize(mem_node *n, size_t size);
void mem_node_write(mem_node *n, uint64_t offset, const void *data, size_t size);
void mem_node_read(const mem_node *n, uint64_t offset, void *out, size_t size);

mem_name *mem_name_find(mem_name *names, size_t n, const char *path);
void mem_name_set(mem_name **names, size_t *n, const char *path, mem_node *node);
void mem_name_remove(mem_name *names, size_t *n, const char *path);
/* A directory's new name is that of all that is in it. */
void mem_name_move_children(mem_name *names, size_t n, const char *from, const char *to);
size_t mem_dir_len(const char *path); /* of the directory part */

#endif
