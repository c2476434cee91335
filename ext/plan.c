/*
** plan.c - xBestIndex.
**
** A constraint on the key is taken only if it compares as BINARY: with any other
** collation more keys can be equal than the one that the keydir finds.  SQLite
** checks what we return once more (omit is left 0): for a comparison with a
** column of numeric affinity its rule is not that of value.h.
*/
#include "plan.h"
#include "table.h"

/* Nothing is known of the table before it is opened, and planning must not open
** it.  Only the proportions matter. */
static const double ROWS = 1e6;

static bool uses_value(const vt_table *t, const sqlite3_index_info *info) {
  return (info->colUsed & ((sqlite3_uint64)1 << t->args.value)) != 0;
}

/* key = ? or key IS ?, both also as the IN of SQLite's planner. */
static bool is_key_lookup(const vt_table *t, sqlite3_index_info *info, int i) {
  const struct sqlite3_index_constraint *c = &info->aConstraint[i];
  return c->usable && c->iColumn == t->args.key &&
         (c->op == SQLITE_INDEX_CONSTRAINT_EQ || c->op == SQLITE_INDEX_CONSTRAINT_IS) &&
         sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") == 0;
}

static void plan_scan(sqlite3_index_info *info, bool value) {
  info->idxNum = value ? VT_PLAN_SCAN : VT_PLAN_SCAN_KEYS;
  info->idxStr = value ? "scan" : "scan keys";
  info->estimatedRows = (sqlite3_int64)ROWS;
  info->estimatedCost = value ? ROWS : ROWS / 2;
}

static void plan_lookup(sqlite3_index_info *info, int i) {
  bool in = vt_host_has(VT_HOST_VTAB_IN) && sqlite3_vtab_in(info, i, -1);
  info->aConstraintUsage[i].argvIndex = 1;
  if (in) {
    (void)sqlite3_vtab_in(info, i, 1); /* the answer is that of the call above */
    info->idxNum = VT_PLAN_KEY_IN;
    info->idxStr = "key IN";
    info->estimatedRows = 25; /* what SQLite itself assumes of a list */
    info->estimatedCost = 25;
    return;
  }
  info->idxNum = VT_PLAN_KEY_EQ;
  info->idxStr = "key=?";
  info->estimatedRows = 1;
  info->estimatedCost = 1;
  info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  info->orderByConsumed = 1; /* one row is in any order */
}

int vt_plan_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
  vt_table *t = (vt_table *)vtab;
  bool value = uses_value(t, info);
  int best = -1;
  t->connection->planned = t;
  for (int i = 0; i < info->nConstraint; i++) {
    if (is_key_lookup(t, info, i)) {
      bool in = vt_host_has(VT_HOST_VTAB_IN) && sqlite3_vtab_in(info, i, -1);
      /* One key is better than a list of them. */
      if (best < 0 || !in) {
        best = i;
      }
    }
  }
  if (best >= 0) {
    plan_lookup(info, best);
  } else {
    plan_scan(info, value);
  }
  info->idxNum |= value ? VT_PLAN_VALUE : 0;
  return SQLITE_OK;
}
