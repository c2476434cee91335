/*
** range.h - which keys lie between two values.
**
** A bound is compared as SQLite would compare it if the comparison is one of bytes
** or of whole numbers; where it is not, or may not be, it lets keys pass: SQLite
** checks every row once more.
**
**   key TEXT      a TEXT bounds, byte by byte.  It may be from a column of numeric
**                 affinity: then a key that looks like a number is one, and below
**                 every text.
**   key BLOB      a BLOB bounds, byte by byte
**   key INTEGER   a number bounds, and a TEXT that looks like one
*/
#ifndef VT_RANGE_H
#define VT_RANGE_H

#include "bitcask.h"
#include "value.h"

typedef struct vt_bound {
  bool set;
  bool open; /* the bound itself is outside */
  bitcask_buf key;
} vt_bound;

/* Zero it to begin with. */
typedef struct vt_range {
  bool empty;
  bool numbers_pass; /* keys that look like numbers are not held to the upper bound */
  bool numbers_only; /* only keys that look like numbers */
  vt_bound lower;
  vt_bound upper;
} vt_range;

/* Let every key be in it, keep the memory. */
void vt_range_clear(vt_range *r);

/*
** Set one of the bounds, `lower` or `upper` of r, to a value that is compared with a
** key of this affinity; NULL leaves no key.  `is_text`: it is known to be of no
** numeric affinity.  SQLITE_NOMEM.
*/
int vt_range_set(vt_range *r, vt_bound *b, sqlite3_value *v, vt_affinity affinity, bool open,
                 bool is_text);

bool vt_range_has(const vt_range *r, const void *key, size_t size);

void vt_range_release(vt_range *r);

#endif
