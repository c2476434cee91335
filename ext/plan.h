/*
** plan.h - how a statement reaches its rows; from xBestIndex to xFilter.
**
**   idxStr      idxNum       rows                              argv[0]
**   key=?       KEY_EQ       the one with this key             the key
**   key IN      KEY_IN       those with one of these keys      the list, for sqlite3_vtab_in
**   scan keys   SCAN_KEYS    all, from the keydir              -
**   scan        SCAN         all, in log order, with values    -
**
** VT_PLAN_VALUE is added to idxNum if the statement uses the value column.
*/
#ifndef VT_PLAN_H
#define VT_PLAN_H

#include "host.h"

enum {
  VT_PLAN_SCAN = 0,
  VT_PLAN_SCAN_KEYS = 1,
  VT_PLAN_KEY_EQ = 2,
  VT_PLAN_KEY_IN = 3,
  VT_PLAN_KIND = 3, /* mask of the above */
  VT_PLAN_VALUE = 4
};

int vt_plan_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info);

#endif
