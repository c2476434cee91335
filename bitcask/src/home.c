/* home.c - see home.h. */
#include "home.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "buf.h"
#include "err.h"
#include "name.h"

/* How long one look counts.  Below what anybody who renames a directory can tell, and so
** seldom that an unsynced put, 6 us, does not become slower. */
enum { LOOK_MS = 1 };

/* `given` from the root, links as they are: whoever changes a link that was opened moves the
** directory away as well. */
static int name_home(bitcask *bc, const char *given, bitcask_error *err) {
  bitcask_buf name = {0};
  char *cwd = NULL;
  int e = given[0] == '/' ? 0 : bc->env->realpath(bc->env->ctx, ".", &cwd);

  if (e) {
    bc_err_os(err, e, "cannot resolve %s", given);
    return BITCASK_CANTOPEN;
  }
  if (cwd ? bc_buf_printf(&name, "%s/%s", cwd, given) : bc_buf_printf(&name, "%s", given)) {
    bitcask_buf_free(&name);
  }
  free(cwd);
  bc->home.name = (char *)name.data;
  return name.data ? BITCASK_OK : bc_err_nomem(err);
}

int bc_home_open(bitcask *bc, const char *given, bitcask_error *err) {
  const bc_env *env = bc->env;
  bc_stat st;
  int rc = name_home(bc, given, err), e;

  if (rc) return rc;
  /* Kept open, or a directory made later could get its inode. */
  e = env->open(env->ctx, bc->dir, BC_OPEN_DIRECTORY, &bc->home.fd);
  if (e) bc->home.fd = -1;
  if (!e) e = env->fstat(env->ctx, bc->home.fd, &st);
  if (e) {
    bc_err_os(err, e, "cannot open the directory %s", bc->dir);
    return e == ENOMEM ? BITCASK_NOMEM : BITCASK_CANTOPEN;
  }
  bc->home.id = (bc_file_id){st.device, st.inode};
  return BITCASK_OK;
}

void bc_home_release(bitcask *bc) {
  if (bc->home.fd >= 0) bc->env->close(bc->env->ctx, bc->home.fd);
  free(bc->home.name);
}

/* Does the path still stand for it?  Errno value. */
static int check_path(bitcask *bc, const char *path, const bc_file_id *id, bc_moved reason) {
  bc_moved none = BC_NOT_MOVED;
  bc_stat st;
  int e = bc->env->stat(bc->env->ctx, path, &st);

  if (e && e != ENOENT && e != ENOTDIR) return e;
  if (e || st.device != id->device || st.inode != id->inode)
    (void)atomic_compare_exchange_strong(&bc->moved, &none, reason); /* the first reason counts */
  return 0;
}

static int check_directory(bitcask *bc) {
  int e = check_path(bc, bc->home.name, &bc->home.id, BC_MOVED_DIRECTORY);
  if (!e && strcmp(bc->home.name, bc->dir))
    e = check_path(bc, bc->dir, &bc->home.id, BC_MOVED_DIRECTORY);
  return e;
}

/* Names are not used again, so a file of the same id is the same. */
static int note_active(bitcask *bc, bc_datafile *active) {
  const bc_env *env = bc->env;
  bc_stat st;
  int e;

  if (bc->home.active == active->id) return 0;
  e = env->fstat(env->ctx, active->fd, &st);
  if (e) return e;
  bc->home.active = active->id;
  bc->home.active_id = (bc_file_id){st.device, st.inode};
  return 0;
}

static int check_all(bitcask *bc, bc_datafile *active, bitcask_buf *path) {
  int e = check_directory(bc);

  if (!e && bc->state.fd >= 0) {
    if (bc_name_in(path, bc->dir, BC_STATE_NAME)) return ENOMEM;
    e = check_path(bc, (char *)path->data, &bc->state.id, BC_MOVED_STATE);
  }
  if (!e && active) {
    if (bc_name_data(path, bc->dir, active->id, "")) return ENOMEM;
    e = note_active(bc, active);
    if (!e) e = check_path(bc, (char *)path->data, &bc->home.active_id, BC_MOVED_DATA);
  }
  return e;
}

static int cannot_tell(const bitcask *bc, int e, bitcask_error *err) {
  return bc_err_os(err, e, "cannot tell whether %s is still what was opened", bc->home.name);
}

int bc_home_check(bitcask *bc, bc_datafile *active, bitcask_error *err) {
  uint64_t now = bc->env->monotonic_ms(bc->env->ctx);
  bitcask_buf path = {0};
  int e;

  if (atomic_load(&bc->moved)) return bc_store_moved(bc, err);
  atomic_store(&bc->looked_ms, now);
  if (active) bc->home.active_ms = now;
  e = check_all(bc, active, &path);
  bitcask_buf_free(&path);
  return e ? cannot_tell(bc, e, err) : bc_store_moved(bc, err);
}

int bc_home_check_often(bitcask *bc, bc_datafile *active, bitcask_error *err) {
  uint64_t looked_ms = active ? bc->home.active_ms : atomic_load(&bc->looked_ms);
  if (bc->env->monotonic_ms(bc->env->ctx) - looked_ms < LOOK_MS) return bc_store_moved(bc, err);
  return bc_home_check(bc, active, err);
}

int bc_home_check_commit(bitcask *bc, bc_datafile *active, bitcask_error *err) {
  int e = bc->opt.sync == BITCASK_SYNC_FULL ? check_directory(bc) : 0;
  return e ? cannot_tell(bc, e, err) : bc_home_check_often(bc, active, err);
}
