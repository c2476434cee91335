/*
** registry.h - the engine handles of this process, one for each directory.
**
** Shared by all connections and threads.  A handle is opened for the first table
** that needs it and closed when the last one lets go.  Read-only tables have a
** handle of their own: it must not write, and they see what is committed only.
*/
#ifndef VT_REGISTRY_H
#define VT_REGISTRY_H

#include "options.h"

typedef struct vt_engine {
  bitcask *bc;
  struct vt_engine *next; /* the rest belongs to registry.c */
  unsigned refs;
  uint64_t device;
  uint64_t inode;
  int64_t pid;
  vt_options options;
} vt_engine;

/*
** The handle of `dir`, made if need be.  `create` makes the directory as well.
** Errors: those of bitcask_open, and BITCASK_INVALID if an option
** differs from the one the handle was opened with.
** *out goes back through vt_engine_release.
*/
int vt_engine_acquire(const char *dir, const vt_options *o, bool create, vt_engine **out,
                      bitcask_error *e);

void vt_engine_release(vt_engine *engine);

#endif
