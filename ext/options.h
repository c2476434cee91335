/*
** options.h - the name=value arguments of CREATE VIRTUAL TABLE.
**
**   read_only                  0, 1                     0
**   sync                       full, normal, off        full
**   max_file_size              bytes, k/M/G             2G
**   merge                      manual                   manual
**   frag_merge_trigger         per cent 0..100          60
**   frag_threshold             per cent 0..100          40
**   dead_bytes_merge_trigger   bytes, k/M/G             512M
**   dead_bytes_threshold       bytes, k/M/G             128M
**   small_file_threshold       bytes, k/M/G             10M
**   expiry_secs                seconds, 0: off          0
**   expiry_grace_time          seconds                  0
**   timeout                    ms to wait for a writer  PRAGMA busy_timeout
**   mmap                       0, 1                     1
**   verify                     0, 1                     1
**   damage                     refuse, ignore           refuse
*/
#ifndef VT_OPTIONS_H
#define VT_OPTIONS_H

#include "bitcask.h"
#include "host.h"

typedef struct vt_options {
  bitcask_options engine;
  int timeout_ms; /* below 0: the connection's busy_timeout */
  unsigned given; /* one bit for each option that was set */
} vt_options;

void vt_options_init(vt_options *o);

/* Is there an option of this name, which is not terminated? */
bool vt_options_has(const char *name, size_t name_sz);

/*
** Set one option.  SQLITE_ERROR with *err (sqlite3_free) for an unknown name, a
** bad value, or a second setting; then nothing has changed.
*/
int vt_options_set(vt_options *o, const char *name, const char *value, char **err);

/*
** Tables on one directory share one engine handle.  The name of the first
** option that differs in `other`, NULL if there is none.
** read_only and timeout are a table's own and not looked at.
*/
const char *vt_options_conflict(const vt_options *o, const vt_options *other);

#endif
