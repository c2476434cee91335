/*
** plan.h - how a statement reaches its rows; from xBestIndex to xFilter.
**
**   idxStr      idxNum       rows                                argv
**   key=?       KEY_EQ       the one with this key               the key
**   key IN      KEY_IN       those with one of these keys        the list, for sqlite3_vtab_in
**   key range   KEY_RANGE    those with a key between bounds,    LOWER: the lower bound;
**                            from the keydir                     UPPER: the upper one, after it
**   scan keys   SCAN_KEYS    all, from the keydir                -
**   scan        SCAN         all, in log order, with values      -
**
** To idxNum are added: VT_PLAN_VALUE if the statement uses a value column;
** VT_PLAN_LOWER and VT_PLAN_UPPER, with _OPEN if the bound itself is outside;
** VT_PLAN_UPPER_TEXT if the upper bound is a text in the statement itself;
** VT_PLAN_ASC or VT_PLAN_DESC if the rows must come in the order of keys, then the
** text ends in " order"; VT_PLAN_ONE if SQLite was told that one row at most has the
** key, and it is wrong of a number.
*/
#ifndef VT_PLAN_H
#define VT_PLAN_H

#include "host.h"

enum {
  VT_PLAN_SCAN = 0,
  VT_PLAN_SCAN_KEYS = 1,
  VT_PLAN_KEY_EQ = 2,
  VT_PLAN_KEY_IN = 3,
  VT_PLAN_KEY_RANGE = 4,
  VT_PLAN_KIND = 7, /* mask of the above */
  VT_PLAN_VALUE = 8,
  VT_PLAN_LOWER = 16,
  VT_PLAN_LOWER_OPEN = 32,
  VT_PLAN_UPPER = 64,
  VT_PLAN_UPPER_OPEN = 128,
  VT_PLAN_UPPER_TEXT = 256,
  VT_PLAN_ASC = 512,
  VT_PLAN_DESC = 1024,
  VT_PLAN_ONE = 2048
};

int vt_plan_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info);

#endif
