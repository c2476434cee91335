/*
** plan.c - xBestIndex.
**
** A constraint on the key is taken only if it compares as BINARY: with any other
** collation more keys can be equal than the one that the keydir finds, and the
** order is another one.  SQLite checks what we return once more (omit is left 0):
** for a comparison with a column of numeric affinity its rule is not that of
** value.h.
**
** LIMIT and OFFSET are left to SQLite: it stops asking for rows, values of rows that
** are not shown are not read, and a keylist orders little more than it is asked for.
*/
#include "plan.h"
#include "reading.h"
#include "table.h"

/* Nothing is known of the table before it is opened, and planning must not open
** it.  Only the proportions matter. */
static const double ROWS = 1e6;

/* The constraints that can be used, by number; -1: there is none. */
typedef struct choice {
  int key;   /* = or IN */
  bool in;   /* it is an IN, all of it at once */
  bool text; /* it is = with something that is known to be no number */
  int lower;
  int upper;
} choice;

static bool is_used(const sqlite3_index_info *info, int column) {
  return (info->colUsed & ((sqlite3_uint64)1 << (column < 63 ? column : 63))) != 0;
}

static bool uses_value(const vt_columns *c, const sqlite3_index_info *info) {
  int i = 0;
  while (i < c->n && (i == c->key || !is_used(info, i))) {
    i++;
  }
  return i < c->n;
}

/* Is the right side known, and known to be no number?  Of a number it is not known
** whether it has numeric affinity: CAST(5 AS INTEGER) has, 5 has not. */
static bool is_text(sqlite3_index_info *info, int i) {
  sqlite3_value *v = NULL;
  return vt_host_has(VT_HOST_VTAB_IN) && sqlite3_vtab_rhs_value(info, i, &v) == SQLITE_OK &&
         sqlite3_value_type(v) == SQLITE_TEXT;
}

/* key = ? or key IS ?, both also as the IN of SQLite's planner. */
static void consider_key(const vt_table *t, sqlite3_index_info *info, int i, choice *best) {
  bool in = vt_host_has(VT_HOST_VTAB_IN) && sqlite3_vtab_in(info, i, -1);
  bool text = !in && (vt_table_key(t)->affinity != VT_AFFINITY_TEXT || is_text(info, i));
  /* One key is better than a list of them. */
  if (best->key < 0 || (best->in && !in) || (!best->text && text)) {
    best->key = i;
    best->in = in;
    best->text = text;
  }
}

static void choose(vt_table *t, sqlite3_index_info *info, choice *best) {
  for (int i = 0; i < info->nConstraint; i++) {
    const struct sqlite3_index_constraint *c = &info->aConstraint[i];
    if (!c->usable || c->iColumn != t->args.columns.key ||
        sqlite3_stricmp(sqlite3_vtab_collation(info, i), "BINARY") != 0) {
      continue;
    }
    switch (c->op) {
    case SQLITE_INDEX_CONSTRAINT_EQ:
    case SQLITE_INDEX_CONSTRAINT_IS:
      consider_key(t, info, i, best);
      break;
    case SQLITE_INDEX_CONSTRAINT_GT:
    case SQLITE_INDEX_CONSTRAINT_GE:
      best->lower = vt_table_orders_keys(t) && best->lower < 0 ? i : best->lower;
      break;
    case SQLITE_INDEX_CONSTRAINT_LT:
    case SQLITE_INDEX_CONSTRAINT_LE:
      best->upper = vt_table_orders_keys(t) && best->upper < 0 ? i : best->upper;
      break;
    default:
      break;
    }
  }
}

/* Is this the table that an UPDATE changes?  SQLite then says that it uses columns
** that there are not. */
static bool is_update(const vt_table *t, const sqlite3_index_info *info) {
  return t->args.columns.n + VT_HIDDEN_COMMAND + 1 < 64 && info->colUsed >> 63;
}

/*
** That one row at most has the key makes an UPDATE cheap.  It is true of = with a
** TEXT key unless that is compared with a number: '5' and '05' can equal it.  An
** UPDATE takes the chance, for it can begin anew (VT_PLAN_ONE); of a SELECT rows may
** have been seen by then.
*/
static void plan_one(const vt_table *t, sqlite3_index_info *info, const choice *c) {
  if (c->text) {
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
  } else if (is_update(t, info) && !t->numbers_seen) {
    info->idxFlags = SQLITE_INDEX_SCAN_UNIQUE;
    info->idxNum |= VT_PLAN_ONE;
  }
}

static void plan_key(const vt_table *t, sqlite3_index_info *info, const choice *c) {
  info->aConstraintUsage[c->key].argvIndex = 1;
  if (c->in) {
    (void)sqlite3_vtab_in(info, c->key, 1); /* the answer is that of the call before */
    info->idxNum = VT_PLAN_KEY_IN;
    info->estimatedRows = 25; /* what SQLite itself assumes of a list */
    info->estimatedCost = 25;
    return;
  }
  info->idxNum = VT_PLAN_KEY_EQ;
  info->estimatedRows = 1;
  info->estimatedCost = 1;
  plan_one(t, info, c);
}

static void plan_range(sqlite3_index_info *info, const choice *c, bool value) {
  double part = c->lower >= 0 && c->upper >= 0 ? 0.05 : 0.25;
  int n = 0;
  info->idxNum = VT_PLAN_KEY_RANGE;
  if (c->lower >= 0) {
    bool open = info->aConstraint[c->lower].op == SQLITE_INDEX_CONSTRAINT_GT;
    info->aConstraintUsage[c->lower].argvIndex = ++n;
    info->idxNum |= VT_PLAN_LOWER | (open ? VT_PLAN_LOWER_OPEN : 0);
  }
  if (c->upper >= 0) {
    bool open = info->aConstraint[c->upper].op == SQLITE_INDEX_CONSTRAINT_LT;
    info->aConstraintUsage[c->upper].argvIndex = ++n;
    info->idxNum |= VT_PLAN_UPPER | (open ? VT_PLAN_UPPER_OPEN : 0) |
                    (is_text(info, c->upper) ? VT_PLAN_UPPER_TEXT : 0);
  }
  info->estimatedRows = (sqlite3_int64)(ROWS * part);
  info->estimatedCost = ROWS * (0.3 + (value ? part : part / 2));
}

static void plan_scan(sqlite3_index_info *info, bool value, bool ordered) {
  info->idxNum = value && !ordered ? VT_PLAN_SCAN : VT_PLAN_SCAN_KEYS;
  info->estimatedRows = (sqlite3_int64)ROWS;
  info->estimatedCost = value ? ROWS : ROWS / 2;
}

static char *plan_text(int plan) {
  static char *const texts[][2] = {
      [VT_PLAN_SCAN] = {"scan", "scan"},
      [VT_PLAN_SCAN_KEYS] = {"scan keys", "scan keys order"},
      [VT_PLAN_KEY_EQ] = {"key=?", "key=?"},
      [VT_PLAN_KEY_IN] = {"key IN", "key IN order"},
      [VT_PLAN_KEY_RANGE] = {"key range", "key range order"},
  };
  return texts[plan & VT_PLAN_KIND][(plan & (VT_PLAN_ASC | VT_PLAN_DESC)) != 0];
}

/* SQLite offers a LIMIT where it can, from 3.38 on. */
static bool has_limit(const sqlite3_index_info *info) {
  int i = 0;
  while (i < info->nConstraint && info->aConstraint[i].op != SQLITE_INDEX_CONSTRAINT_LIMIT) {
    i++;
  }
  return i < info->nConstraint;
}

/*
** Do the rows come in the order of keys?  Keys are unique: what else they were to be
** ordered by does not matter.  Where all rows are wanted with their values, SQLite
** reads them from the beginning of the log to its end and sorts, for reading them in
** the order of keys is slower, and many times slower from a disk.
*/
static bool is_ordered(vt_table *t, const sqlite3_index_info *info, const choice *c, bool value) {
  return info->nOrderBy > 0 && info->aOrderBy[0].iColumn == t->args.columns.key &&
         (!value || c->key >= 0 || c->lower >= 0 || c->upper >= 0 || has_limit(info)) &&
         vt_table_orders_keys(t);
}

int vt_plan_best_index(sqlite3_vtab *vtab, sqlite3_index_info *info) {
  vt_table *t = (vt_table *)vtab;
  bool value = uses_value(&t->args.columns, info);
  choice best = {-1, false, false, -1, -1};
  bool ordered;
  int rc = vt_reading_prepare(t->connection);
  if (rc != SQLITE_OK) {
    return rc;
  }
  t->connection->planned = t;
  choose(t, info, &best);
  ordered = is_ordered(t, info, &best, value);
  if (best.key >= 0) {
    plan_key(t, info, &best);
  } else if (best.lower >= 0 || best.upper >= 0) {
    plan_range(info, &best, value);
  } else {
    plan_scan(info, value, ordered);
  }
  info->idxNum |= value ? VT_PLAN_VALUE : 0;
  if (ordered) {
    info->idxNum |= info->aOrderBy[0].desc ? VT_PLAN_DESC : VT_PLAN_ASC;
    info->orderByConsumed = 1;
  }
  info->idxStr = plan_text(info->idxNum);
  return SQLITE_OK;
}
