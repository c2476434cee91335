/*
** world.h - a Bitcask in a memenv, and what it has to hold.
**
** A scenario drives a world by the verbs below; the world calls the engine, keeps
** the model of what was acknowledged, and notes where in the operation log each
** transaction began and was acknowledged.  The power-cut tests then cut that log
** anywhere; the fault tests run the same scenario with calls that fail.
*/
#ifndef WORLD_H
#define WORLD_H

#include "memenv.h"
#include "model.h"

enum { WORLD_N_SAVEPOINTS = 8 };

/* A state that the directory was in, or might be found in after a crash. */
typedef struct world_state {
  model keys;
  size_t begin_op; /* operations logged when the transaction's commit began */
  size_t ack_op;   /* and when it was acknowledged */
  size_t end_op;   /* SIZE_MAX; or when a prepared transaction had been rolled back */
} world_state;

typedef struct world {
  memenv *m;
  bitcask_options o;
  bitcask *bc;
  bitcask_txn *txn;
  bool saves;
  bool is_faulty; /* calls may fail; else the first failure ends the scenario */

  model now;     /* what was acknowledged */
  model pending; /* as the open transaction sees it */
  model savepoints[WORLD_N_SAVEPOINTS];
  bool prepared;

  world_state *states; /* the first one is that of the start */
  size_t n_states;
  size_t *sync_ops; /* operations logged when a sync was acknowledged ... */
  size_t *sync_n;   /* ... and the states there were by then */
  size_t n_syncs;
  model *doubts; /* may be found after reopening: failed since the last success */
  size_t n_doubts;

  model backed_up;  /* what the backup in WORLD_BACKUP_DIR holds, if there is one */
  size_t backup_op; /* operations of the log when it was acknowledged, 0: it was not */

  int n_errors;          /* calls that failed */
  int first_errno;       /* what the first of them said of the system */
  unsigned error_mask;   /* 1 << status code, of all of them */
  char first_error[200]; /* what the first of them said */
  char failure[400];     /* what broke the contract, empty if nothing did */
} world;

typedef struct scenario {
  const char *name;
  void (*prepare)(world *w); /* before the log starts; may be NULL */
  void (*run)(world *w);
  uint64_t max_file_size; /* 0: the default */
  bool saves;             /* every checkpoint that could be written is */
} scenario;

extern const scenario scenarios[];
extern const size_t n_scenarios;

/* Made, prepared and with its log started, but not run. */
void world_init(world *w, const scenario *s, bitcask_sync_mode sync, bool is_faulty);
void world_release(world *w); /* closes what is open */
/* The scenario, and a close. */
void world_run(world *w, const scenario *s);
void world_fail(world *w, const char *format, ...) __attribute__((format(printf, 2, 3)));

#define WORLD_DIR "/disk/kv"
#define WORLD_BACKUP_DIR "/disk/backup"

/* Verbs.  Each does nothing if there is no handle, or no transaction, for it. */
void world_open(world *w);
void world_close(world *w);
void world_reopen(world *w);
void world_put(world *w, const char *key, const char *value);
void world_put_value(world *w, const char *key, const void *value, size_t value_sz);
void world_put_bytes(world *w, const char *key, size_t value_sz, char fill);
void world_delete(world *w, const char *key);
void world_begin(world *w);
void world_txn_put(world *w, const char *key, const char *value);
void world_txn_put_bytes(world *w, const char *key, size_t value_sz, char fill);
void world_txn_delete(world *w, const char *key);
void world_savepoint(world *w, int n);
void world_rollback_to(world *w, int n);
void world_prepare(world *w);
void world_publish(world *w);
void world_rollback(world *w);
void world_sync(world *w);
void world_merge(world *w, bitcask_merge_kind kind, const uint32_t *ids, size_t n);
void world_backup(world *w);  /* once in a world */
void world_history(world *w); /* every record on disk; the live ones are what is there */
void world_check(world *w);   /* the handle shows what was acknowledged */

/* Everything the directory holds, with a new handle.  A status code, or
** -1 with `w->failure` set if the handle contradicts itself. */
int world_read_disk(world *w, memenv *m, bool read_only, model *out);

/* Is the backup of world_backup all there, if it is there at all?  What is wrong
** with it, or NULL. */
const char *world_check_backup(world *w, memenv *m);

#endif
