/*
** memenv.h - a bc_env whose file system is in RAM.
**
** It does what a disk does in a test and a real one does not: it remembers
** every change in order, shows any state that a power cut could leave, and
** fails any call that it is told to fail.  The clock, the pid, the boot id and
** the random numbers are the test's.
**
** Not a model of performance, and not of symbolic links or permissions.
*/
#ifndef MEMENV_H
#define MEMENV_H

#include "env.h"

enum { MEM_PAGE_SZ = 4096, MEM_SECTOR_SZ = 512 };

typedef struct memenv memenv;

/* An empty file system with a root directory.  `seed` decides the random
** numbers and the order in which directories are listed. */
memenv *memenv_new(uint64_t seed);
void memenv_free(memenv *m);

/* The functions, to be given to bc_open_env; valid until memenv_free. */
const bc_env *memenv_env(memenv *m);

/* ------------------------------------------------------------ what is settable */

void memenv_set_now(memenv *m, int64_t secs);
void memenv_set_pid(memenv *m, uint32_t pid);
void memenv_set_cpus(memenv *m, unsigned n);      /* for files of any size; 1 at first */
void memenv_set_quota(memenv *m, uint64_t bytes); /* of all files; ENOSPC above it */

/* ------------------------------------------------------------------- inspection */

size_t memenv_n_open(memenv *m);    /* descriptors and mappings not given back */
uint64_t memenv_n_calls(memenv *m); /* fallible calls so far that the fault's mask covers */
uint64_t memenv_disk_bytes(memenv *m);
void memenv_print(memenv *m, const char *title); /* the files, to stderr */

/* Make a file with these bytes, or replace it; for damaged input. */
void memenv_write_file(memenv *m, const char *path, const void *data, size_t n);

/* --------------------------------------------------------------------- the log */

typedef enum mem_op_kind {
  MEM_CREATE,    /* path, inode */
  MEM_MKDIR,     /* path */
  MEM_WRITE,     /* inode, offset, data; a failed write is logged with what it wrote */
  MEM_STORE,     /* inode, data: the mapped page was changed through memory */
  MEM_TRUNCATE,  /* inode, offset is the size */
  MEM_FDATASYNC, /* inode, failed, reverted */
  MEM_SYNC_DIR,  /* path */
  MEM_RENAME,    /* path, to, inode; a directory takes along what is in it */
  MEM_LINK,      /* path, inode: a file gets this name as well */
  MEM_UNLINK,    /* path, inode; also of an empty directory */
  MEM_MARK       /* offset is the number that memenv_mark was given */
} mem_op_kind;

typedef struct mem_op {
  mem_op_kind kind;
  uint64_t inode;
  uint64_t offset;
  uint8_t *data;
  size_t n;
  char *path;
  char *to;
  bool failed;
  bool reverted;
} mem_op;

/* Forget the log; what is there now counts as being on stable storage.  Nothing
** is logged before the first call. */
void memenv_log_start(memenv *m);
void memenv_log_stop(memenv *m);
void memenv_mark(memenv *m, uint64_t number);
void memenv_print_log(const memenv *m); /* to stderr, numbered from 1 */
size_t memenv_log_size(const memenv *m);
const mem_op *memenv_log_op(const memenv *m, size_t i);

/* --------------------------------------------------------------------- crashes */

typedef enum mem_cut_kind {
  MEM_CUT_KILL,    /* the process died, the machine did not: nothing is lost */
  MEM_CUT_ORDERED, /* power cut; all that was written got there, in order */
  MEM_CUT_SYNCED,  /* power cut; only what was synced got there */
  MEM_CUT_RANDOM   /* power cut; any pages, sizes and names of what was not synced */
} mem_cut_kind;

typedef struct mem_cut {
  mem_cut_kind kind;
  size_t n_ops;    /* the crash comes after so many operations of the log */
  size_t torn;     /* bytes missing at the end of the last of them, if it is a write */
  uint64_t seed;   /* of MEM_CUT_RANDOM */
  bool sectors;    /* MEM_CUT_RANDOM: pages too may be written in part */
  bool strict_dir; /* MEM_CUT_RANDOM: names too may be lost out of order (no journal) */
} mem_cut;

/* The machine after the crash: another pid, no locks, and after a power cut
** another boot id.  Freed with memenv_free; the log is started. */
memenv *memenv_crash(const memenv *m, const mem_cut *cut);

/* Was there anything that a power cut after n_ops operations could lose? */
bool memenv_is_volatile(const memenv *m, size_t n_ops);

/* ---------------------------------------------------------------------- faults */

enum {
  MEM_CALL_OPEN = 1 << 0,
  MEM_CALL_CREATE = 1 << 1, /* an open that would make the file */
  MEM_CALL_CLOSE = 1 << 2,
  MEM_CALL_PREAD = 1 << 3,
  MEM_CALL_PWRITEV = 1 << 4,
  MEM_CALL_FDATASYNC = 1 << 5,
  MEM_CALL_TRUNCATE = 1 << 6,
  MEM_CALL_SIZE = 1 << 7,
  MEM_CALL_STAT = 1 << 8,
  MEM_CALL_RENAME = 1 << 9,
  MEM_CALL_UNLINK = 1 << 10,
  MEM_CALL_MKDIR = 1 << 11,
  MEM_CALL_SYNC_DIR = 1 << 12,
  MEM_CALL_LIST = 1 << 13,
  MEM_CALL_REALPATH = 1 << 14,
  MEM_CALL_MAP = 1 << 15,
  MEM_CALL_LOCK = 1 << 16,
  MEM_CALL_RANDOM = 1 << 17,
  MEM_CALL_BOOT_ID = 1 << 18,
  MEM_CALL_LINK = 1 << 19,
  MEM_CALL_ALL = (1 << 20) - 1
};

typedef struct mem_fault {
  int err;        /* errno to fail with */
  unsigned calls; /* MEM_CALL_*: which calls are counted and fail */
  uint64_t nth;   /* the first one to fail, from 1; 0: none */
  bool sticky;    /* all later ones fail as well */
  bool revert;    /* a failed fdatasync drops what was not synced from the cache;
                     otherwise it stays readable, and is never written */
} mem_fault;

/* Starts counting anew.  A failing pwritev writes a part of its bytes first;
** a failing close closes. */
void memenv_set_fault(memenv *m, const mem_fault *f);
bool memenv_fault_hit(memenv *m);      /* has the fault happened? */
unsigned memenv_fault_call(memenv *m); /* MEM_CALL_* that failed first, 0 if none has */
/* While paused nothing fails and nothing is counted. */
void memenv_pause_fault(memenv *m, bool paused);

#endif
