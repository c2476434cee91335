/*
** name.h - file id <-> file name (FORMAT.md section 1.1).
*/
#ifndef BC_NAME_H
#define BC_NAME_H

#include "bitcask.h"

typedef enum bc_name_kind {
  BC_NAME_DATA,  /* <id>.bitcask.data */
  BC_NAME_HINT,  /* <id>.bitcask.hint */
  BC_NAME_TEMP,  /* <id>.bitcask.hint.tmp, ours, left by a crash */
  BC_NAME_STRAY, /* x.y.data of any other kind: basho/bitcask would refuse to open */
  BC_NAME_OTHER
} bc_name_kind;

/* The highest id that a data file of ours gets: ids above are refused rather
** than wrapped, as basho/bitcask does. */
#define BC_MAX_FILE_ID (UINT32_MAX - 1)

#define BC_WRITE_LOCK_NAME "bitcask.write.lock"
#define BC_MERGE_LOCK_NAME "bitcask.merge.lock"
#define BC_CREATE_LOCK_NAME "bitcask.create.lock"
#define BC_STATE_NAME "bitcask.state"
#define BC_KEYDIR_NAME "bitcask.keydir"
#define BC_GROUP_PREFIX "bitcask.group-" /* and the token, 32 hex digits: group.h */

/* What a name in the directory is; *id is set for DATA, HINT and TEMP.  An id
** has no leading zeros, no sign, and is at most 2^32-1. */
bc_name_kind bc_name_parse(const char *name, uint32_t *id);

/* dir + "/" + <id>.bitcask.data + suffix, NUL-terminated.  BITCASK_NOMEM. */
int bc_name_data(bitcask_buf *out, const char *dir, uint32_t id, const char *suffix);
int bc_name_hint(bitcask_buf *out, const char *dir, uint32_t id, const char *suffix);
int bc_name_in(bitcask_buf *out, const char *dir, const char *name);

#endif
