/* group.c - see group.h. */
#include "group.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "buf.h"
#include "bytes.h"
#include "crc32.h"
#include "err.h"
#include "name.h"

static const char MAGIC[16] = "bitcask group 1\n";
static const char digits[] = "0123456789abcdef";

enum {
  HEADER_SZ = 40, /* magic, crc of what follows it, token, members */
  CRC_AT = 16,
  TOKEN_AT = 20,
  MEMBERS_AT = 36,
  MEMBER_SZ = 16,          /* file id, end, bytes of the path that follows */
  DECISION_LIMIT = 1 << 24 /* bytes; a longer file is none of ours */
};

typedef struct member {
  bitcask *bc;
  bc_position end;
} member;

struct bc_group {
  const bc_env *env;
  size_t refs;
  uint8_t token[BC_TIE_TOKEN_SZ];
  bool decided; /* the file may be there */
  bool undone;
  bool settled;
  size_t n;
  member member[];
};

/* ------------------------------------------------------------------- paths */

/* The way from one absolute directory to another. */
static int relative(bitcask_buf *out, const char *from, const char *to) {
  size_t common = 0, i = 0;
  int rc = BITCASK_OK;

  out->size = 0;
  while (from[i] && from[i] == to[i]) {
    i++;
    if ((!from[i] || from[i] == '/') && (!to[i] || to[i] == '/')) common = i;
  }
  for (const char *p = from + common; *p && !rc; p++) {
    if (*p == '/' && p[1]) rc = bc_buf_append(out, "../", 3);
  }
  to += common;
  while (*to == '/') to++;
  if (!rc) rc = bc_buf_append(out, to, strlen(to));
  if (!rc && out->size && out->data[out->size - 1] == '/') out->size--;
  return !rc && !out->size ? bc_buf_append(out, ".", 1) : rc;
}

/* Where a relative path leads to.  `dir` has no symbolic links in it, so ".." is what is
** before the last slash.  With a NUL behind it. */
static int resolve(bitcask_buf *out, const char *dir, const char *path, size_t n) {
  const char *end = path + n, *slash;
  int rc = BITCASK_OK;

  out->size = 0;
  rc = bc_buf_append(out, dir, strlen(dir));
  if (!rc && out->size == 1) out->size = 0; /* the root */
  while (path < end && !rc) {
    slash = memchr(path, '/', (size_t)(end - path));
    n = (size_t)((slash ? slash : end) - path);
    if (n == 2 && !memcmp(path, "..", 2)) {
      while (out->size && out->data[--out->size] != '/') {
      }
    } else if (n && !(n == 1 && *path == '.')) {
      rc = bc_buf_append(out, "/", 1);
      if (!rc) rc = bc_buf_append(out, path, n);
    }
    path += n + (slash != NULL);
  }
  if (!rc && !out->size) rc = bc_buf_append(out, "/", 1);
  return rc ? rc : bc_buf_append(out, "", 1);
}

static int decision_name(bitcask_buf *out, const char *dir, const uint8_t *token) {
  char hex[2 * BC_TIE_TOKEN_SZ + 1];
  for (size_t i = 0; i < BC_TIE_TOKEN_SZ; i++) {
    hex[2 * i] = digits[token[i] >> 4];
    hex[2 * i + 1] = digits[token[i] & 15];
  }
  hex[sizeof hex - 1] = 0;
  return bc_buf_printf(out, "%s/" BC_GROUP_PREFIX "%s", dir, hex);
}

/* --------------------------------------------------------- the decision file */

static int encode(const bc_group *g, bitcask_buf *out) {
  uint8_t bytes[HEADER_SZ] = {0};
  bitcask_buf path = {0};
  int rc;

  memcpy(bytes, MAGIC, sizeof MAGIC);
  memcpy(bytes + TOKEN_AT, g->token, BC_TIE_TOKEN_SZ);
  bc_put32(bytes + MEMBERS_AT, (uint32_t)g->n);
  rc = bc_buf_append(out, bytes, HEADER_SZ);
  for (size_t i = 0; i < g->n && !rc; i++) {
    rc = relative(&path, g->member[0].bc->dir, g->member[i].bc->dir);
    bc_put32(bytes, g->member[i].end.file_id);
    bc_put64(bytes + 4, g->member[i].end.offset);
    bc_put32(bytes + 12, (uint32_t)path.size);
    if (!rc) rc = bc_buf_append(out, bytes, MEMBER_SZ);
    if (!rc) rc = bc_buf_append(out, path.data, path.size);
  }
  if (!rc) bc_put32(out->data + CRC_AT, bc_crc32(0, out->data + TOKEN_AT, out->size - TOKEN_AT));
  bitcask_buf_free(&path);
  return rc;
}

static bool is_whole(const bitcask_buf *b) {
  return b->size >= HEADER_SZ && !memcmp(b->data, MAGIC, sizeof MAGIC) &&
         bc_get32(b->data + CRC_AT) == bc_crc32(0, b->data + TOKEN_AT, b->size - TOKEN_AT);
}

/* One that a crash has not let come to its end: it decided nothing, and it is not the file of
** somebody else. */
static bool is_unfinished(const bitcask_buf *b) {
  static const uint8_t zeros[sizeof MAGIC];
  size_t n = b->size < sizeof MAGIC ? b->size : sizeof MAGIC;
  return !is_whole(b) && (!n || !memcmp(b->data, MAGIC, n) || !memcmp(b->data, zeros, n));
}

/* What is in the file at `path`, if it is there and can be one of ours; else ENOENT, or what
** else goes wrong.  `sync`: a power cut is not to change that any more. */
static int read_decision(const bc_env *env, const char *path, bool sync, bitcask_buf *out) {
  bc_stat st;
  size_t got = 0;
  int fd, e = env->lstat(env->ctx, path, &st);

  out->size = 0;
  if (e) return e;
  if (!S_ISREG(st.mode) || st.size > DECISION_LIMIT) return ENOENT;
  if (bc_buf_reserve(out, (size_t)st.size)) return ENOMEM;
  e = env->open(env->ctx, path, BC_OPEN_READ, &fd);
  if (e) return e;
  e = env->pread(env->ctx, fd, out->data, (size_t)st.size, 0, &got);
  if (!e && sync) e = env->fdatasync(env->ctx, fd);
  (void)env->close(env->ctx, fd);
  out->size = e ? 0 : got;
  return e;
}

static int write_decision(const bc_env *env, const char *path, const bitcask_buf *b) {
  struct iovec iov = {b->data, b->size};
  int fd, again, e;

  e = env->open(env->ctx, path, BC_OPEN_WRITE | BC_OPEN_CREATE | BC_OPEN_EXCLUSIVE, &fd);
  if (e) return e;
  e = env->pwritev(env->ctx, fd, &iov, 1, 0);
  if (!e) e = env->fdatasync(env->ctx, fd);
  again = env->close(env->ctx, fd);
  return e ? e : again;
}

/* -------------------------------------------------------------- the group */

int bc_group_new(const bc_env *env, size_t n, bc_group **out, bitcask_error *err) {
  bc_group *g = calloc(1, sizeof *g + n * sizeof *g->member);
  int e;

  *out = NULL;
  if (!g) return bc_err_nomem(err);
  e = env->random(env->ctx, g->token, sizeof g->token);
  if (e) {
    free(g);
    return bc_err_os(err, e, "cannot get random bytes");
  }
  g->env = env;
  g->refs = g->n = n;
  *out = g;
  return BITCASK_OK;
}

void bc_group_unref(bc_group *g) {
  if (g && !--g->refs) free(g);
}

size_t bc_group_size(const bc_group *g) { return g->n; }

void bc_group_join(bc_group *g, size_t i, bitcask *bc) { g->member[i].bc = bc; }

int bc_group_tie(const bc_group *g, size_t i, uint32_t tstamp, bitcask_buf *out,
                 bitcask_error *err) {
  bc_tie t = {.members = (uint32_t)g->n, .index = (uint32_t)i};
  bitcask_buf path = {0};
  int rc = relative(&path, g->member[i].bc->dir, g->member[0].bc->dir);

  memcpy(t.token, g->token, sizeof t.token);
  t.path = (char *)path.data;
  t.path_sz = (uint32_t)path.size;
  out->size = 0;
  if (!rc) rc = bc_buf_reserve(out, bc_tie_size(&t));
  if (!rc) {
    (void)bc_tie_encode(out->data, tstamp, &t);
    out->size = bc_tie_size(&t);
  }
  bitcask_buf_free(&path);
  return rc ? bc_err_nomem(err) : BITCASK_OK;
}

void bc_group_written(bc_group *g, size_t i, const bc_position *end) { g->member[i].end = *end; }

int bc_group_decide(bc_group *g, bitcask_error *err) {
  const bitcask *first = g->member[0].bc;
  bitcask_buf name = {0}, bytes = {0};
  bitcask_error e2 = {0};
  int rc = BITCASK_OK, e;

  if (encode(g, &bytes) || decision_name(&name, first->dir, g->token)) {
    rc = bc_err_nomem(err);
  } else {
    g->decided = true;
    e = write_decision(g->env, (char *)name.data, &bytes);
    /* The name too, before anybody is told: else a power cut could take it away when one
    ** member is final and another is not. */
    if (!e) e = g->env->sync_dir(g->env->ctx, first->dir);
    if (e) rc = bc_err_os(err, e, "cannot make %s", name.data);
  }
  bitcask_buf_free(&name);
  bitcask_buf_free(&bytes);
  if (rc && bc_group_undo(g, &e2)) bc_store_log(first, "%s", e2.text);
  return rc;
}

int bc_group_undo(bc_group *g, bitcask_error *err) {
  const bitcask *first = g->member[0].bc;
  bitcask_buf name = {0};
  int rc = BITCASK_OK, e;

  if (g->undone || !g->decided) {
    g->undone = true;
    return BITCASK_OK;
  }
  if (decision_name(&name, first->dir, g->token)) return bc_err_nomem(err);
  e = g->env->unlink(g->env->ctx, (char *)name.data);
  /* Before the first member is taken back: if a power cut brought the file back, the others
  ** would count. */
  if (!e || e == ENOENT) e = g->env->sync_dir(g->env->ctx, first->dir);
  if (e) rc = bc_err_os(err, e, "cannot remove %s", name.data);
  bitcask_buf_free(&name);
  g->undone = !rc;
  return rc;
}

bool bc_group_is_undone(const bc_group *g) { return g->undone; }

void bc_group_settle(bc_group *g) {
  const bitcask *first = g->member[0].bc;
  bitcask_error e = {0};
  bitcask_buf name = {0};

  if (g->settled) return;
  g->settled = true;
  for (size_t i = 0; i < g->n; i++) {
    bc_state_set_stable(&g->member[i].bc->state, &g->member[i].end);
    /* Before the decision is forgotten: a power cut must not bring back a position that has
    ** the batch behind it. */
    (void)bc_store_sync_state(g->member[i].bc, &e);
  }
  if (e.code) {
    bc_store_log(first, "%s", e.text);
  } else if (!decision_name(&name, first->dir, g->token)) {
    (void)g->env->unlink(g->env->ctx, (char *)name.data); /* one that stays says what is so */
  }
  bitcask_buf_free(&name);
}

bool bc_group_is_settled(const bc_group *g) { return g->settled; }

/* -------------------------------------------------------------- recovery */

static int no_answer(bitcask *bc, int e, const char *name, bitcask_error *err) {
  return bc_err_os(err, e,
                   "%s: the last transaction was over several directories, and %s, which says "
                   "whether it was committed, cannot be read",
                   bc->dir, name);
}

int bc_group_ask(bitcask *bc, const bc_tie *tie, bool *yes, bitcask_error *err) {
  const bc_env *env = bc->env;
  bitcask_buf dir = {0}, name = {0}, bytes = {0};
  int rc = BITCASK_OK, e = 0;

  if (resolve(&dir, bc->dir, tie->path, tie->path_sz) ||
      decision_name(&name, (char *)dir.data, tie->token)) {
    rc = bc_err_nomem(err);
    goto out;
  }
  e = read_decision(env, (char *)name.data, false, &bytes);
  *yes = !e && is_whole(&bytes) && !memcmp(bytes.data + TOKEN_AT, tie->token, BC_TIE_TOKEN_SZ) &&
         bc_get32(bytes.data + MEMBERS_AT) == tie->members;
  /* The batch will be cut off: a power cut must not bring back a decision that was being undone,
  ** for the members that have not asked yet. */
  if ((!e || e == ENOENT) && !*yes && bc->recovering) e = env->sync_dir(env->ctx, (char *)dir.data);
  if (e && e != ENOENT && e != ENOTDIR) { /* with these nobody is there who could have decided */
    rc = no_answer(bc, e, (char *)name.data, err);
  } else if (*yes) {
    free(bc->tied);
    bc->tied = (char *)name.data;
    name = (bitcask_buf){0};
  } else {
    bc_store_log(bc, "%s: the last transaction was over several directories and not committed",
                 bc->dir);
  }
out:
  bitcask_buf_free(&dir);
  bitcask_buf_free(&name);
  bitcask_buf_free(&bytes);
  return rc;
}

int bc_group_confirm(bitcask *bc, bitcask_error *err) {
  const bc_env *env = bc->env;
  bitcask_buf dir = {0}, bytes = {0};
  int rc = BITCASK_OK, e;

  if (!bc->tied) return BITCASK_OK;
  if (resolve(&dir, "/", bc->tied, (size_t)(strrchr(bc->tied, '/') - bc->tied))) {
    rc = bc_err_nomem(err);
  } else {
    e = read_decision(env, bc->tied, true, &bytes);
    if (!e) e = env->sync_dir(env->ctx, (char *)dir.data);
    /* Gone: somebody has recovered this directory, and the others, since it was asked for. */
    if (e && e != ENOENT) rc = no_answer(bc, e, bc->tied, err);
  }
  bitcask_buf_free(&dir);
  bitcask_buf_free(&bytes);
  return rc;
}

/* Is a member final, and will it stay so after a power cut? */
static bool is_final(const bitcask *bc, const char *dir, const bc_position *end) {
  const bc_env *env = bc->env;
  uint64_t page[BC_STATE_SZ / 8];
  bitcask_buf name = {0};
  size_t got = 0;
  bool yes = false;
  int fd = -1;

  if (!bc_name_in(&name, dir, BC_STATE_NAME) &&
      !env->open(env->ctx, (char *)name.data, BC_OPEN_READ, &fd)) {
    yes = !env->pread(env->ctx, fd, page, sizeof page, 0, &got) && got == sizeof page &&
          bc_state_covers(&bc->state, page, end) && !env->fdatasync(env->ctx, fd);
    (void)env->close(env->ctx, fd);
  }
  bitcask_buf_free(&name);
  return yes;
}

static bool all_final(const bitcask *bc, const char *dir, const bitcask_buf *decision) {
  size_t n = is_whole(decision) ? bc_get32(decision->data + MEMBERS_AT) : 0, at = HEADER_SZ,
         path_sz;
  bitcask_buf path = {0};
  bool yes = n != 0;

  for (; n > 0 && yes; n--) {
    const uint8_t *p = decision->data + at;
    yes = decision->size - at >= MEMBER_SZ;
    if (!yes) break;
    path_sz = bc_get32(p + 12);
    yes = decision->size - at - MEMBER_SZ >= path_sz &&
          !resolve(&path, dir, (const char *)p + MEMBER_SZ, path_sz) &&
          is_final(bc, (char *)path.data, &(bc_position){bc_get32(p), bc_get64(p + 4)});
    at += MEMBER_SZ + path_sz;
  }
  bitcask_buf_free(&path);
  return yes;
}

/* Remove a decision that is not needed by anybody.  What cannot be read or removed stays, and
** does no harm.  `own`: nobody can be making one in that directory now. */
static void sweep(const bitcask *bc, const char *name, bool own) {
  bitcask_buf decision = {0}, dir = {0};
  const char *slash = strrchr(name, '/');

  if (!resolve(&dir, "/", name, (size_t)(slash - name)) &&
      !read_decision(bc->env, name, false, &decision) &&
      ((own && is_unfinished(&decision)) || all_final(bc, (char *)dir.data, &decision))) {
    (void)bc->env->unlink(bc->env->ctx, name);
  }
  bitcask_buf_free(&decision);
  bitcask_buf_free(&dir);
}

static int note_name(void *arg, const char *name) {
  size_t n = strlen(BC_GROUP_PREFIX);
  if (strncmp(name, BC_GROUP_PREFIX, n) != 0 || strlen(name + n) != 2 * BC_TIE_TOKEN_SZ ||
      strspn(name + n, digits) != 2 * BC_TIE_TOKEN_SZ)
    return 0;
  return bc_buf_append(arg, name, strlen(name) + 1);
}

int bc_group_finish(bitcask *bc, char *tied, const bc_position *end, bitcask_error *err) {
  bitcask_buf names = {0}, path = {0};
  int rc = BITCASK_OK;

  if (tied) {
    bc_state_set_stable(&bc->state, end);
    rc = bc_store_sync_state(bc, err);
    if (!rc) sweep(bc, tied, false);
    free(tied);
  }
  if (!rc) (void)bc->env->list(bc->env->ctx, bc->dir, note_name, &names);
  for (size_t at = 0; at < names.size; at += strlen((char *)names.data + at) + 1) {
    if (!bc_name_in(&path, bc->dir, (char *)names.data + at)) sweep(bc, (char *)path.data, true);
  }
  bitcask_buf_free(&names);
  bitcask_buf_free(&path);
  return rc;
}
