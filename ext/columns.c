/*
** columns.c - column definitions, from text and to text.
*/
#include "columns.h"
#include "token.h"

#include <string.h>

static const char *const hidden_names[] = {
    [VT_HIDDEN_TSTAMP] = "_tstamp",
    [VT_HIDDEN_FILE] = "_file",
    [VT_HIDDEN_OFFSET] = "_offset",
    [VT_HIDDEN_SIZE] = "_size",
};

const char *vt_columns_hidden_name(vt_hidden h) { return hidden_names[h]; }

/* A word of unquoted text. */
typedef struct word {
  const char *text;
  int size; /* 0: there is no word here */
} word;

static word take_word(const char **z) {
  word w = {vt_token_skip_space(*z), 0};
  while (vt_token_is_name_char(w.text[w.size])) {
    w.size++;
  }
  *z = w.text + w.size;
  return w;
}

static bool is_word(word w, const char *text) {
  return w.size == (int)strlen(text) && sqlite3_strnicmp(w.text, text, w.size) == 0;
}

static bool is_one_of(word w, const char *const *list, int n) {
  int i = 0;
  while (i < n && !is_word(w, list[i])) {
    i++;
  }
  return i < n;
}

/* What SQL may say of a column and this table cannot do, or would take for a type. */
static bool is_keyword(word w) {
  static const char *const keywords[] = {
      "ALWAYS",  "AS",        "AUTOINCREMENT", "CHECK", "COLLATE", "DEFAULT",    "CONSTRAINT",
      "FOREIGN", "GENERATED", "HIDDEN",        "KEY",   "NULL",    "REFERENCES", "UNIQUE"};
  return is_one_of(w, keywords, sizeof(keywords) / sizeof(keywords[0]));
}

/* The further words of types that have several. */
static bool continues_type(word w) {
  static const char *const words[] = {"BIG", "CHARACTER", "INT", "INTEGER", "PRECISION", "VARYING"};
  return is_one_of(w, words, sizeof(words) / sizeof(words[0]));
}

static bool contains(const char *text, const char *part) {
  int n = (int)strlen(part);
  while (*text && sqlite3_strnicmp(text, part, n) != 0) {
    text++;
  }
  return *text != 0;
}

static vt_affinity affinity_of(const char *type) {
  static const struct {
    const char *part;
    vt_affinity affinity;
  } rules[] = {
      {"INT", VT_AFFINITY_INTEGER}, {"CHAR", VT_AFFINITY_TEXT}, {"CLOB", VT_AFFINITY_TEXT},
      {"TEXT", VT_AFFINITY_TEXT},   {"BLOB", VT_AFFINITY_BLOB}, {"REAL", VT_AFFINITY_REAL},
      {"FLOA", VT_AFFINITY_REAL},   {"DOUB", VT_AFFINITY_REAL},
  };
  for (size_t i = 0; i < sizeof(rules) / sizeof(rules[0]); i++) {
    if (contains(type, rules[i].part)) {
      return rules[i].affinity;
    }
  }
  return *type ? VT_AFFINITY_NUMERIC : VT_AFFINITY_BLOB;
}

/* Behind the sizes in parentheses that may follow a type; NULL: malformed. */
static const char *skip_sizes(const char *z) {
  const char *p = vt_token_skip_space(z);
  if (*p != '(') {
    return z;
  }
  do {
    p = vt_token_skip_space(p + 1);
    p += *p == '+' || *p == '-';
    if (*p < '0' || *p > '9') {
      return NULL;
    }
    p = vt_token_skip_space(p + strspn(p, "0123456789"));
  } while (*p == ',');
  return *p == ')' ? p + 1 : NULL;
}

/* The type at *z, if there is one, as text of its own (sqlite3_free). */
static int take_type(const char **z, char **out) {
  const char *begin = vt_token_skip_space(*z);
  const char *end = begin;
  const char *next = begin;
  word w = take_word(&next);
  if (w.size && (*w.text < '0' || *w.text > '9') && !is_keyword(w) && !is_word(w, "PRIMARY") &&
      !is_word(w, "NOT")) {
    do {
      end = next;
      w = take_word(&next);
    } while (continues_type(w));
    end = skip_sizes(end);
  }
  if (!end) {
    return SQLITE_ERROR;
  }
  *z = end;
  *out = sqlite3_mprintf("%.*s", (int)(end - begin), begin);
  return *out ? SQLITE_OK : SQLITE_NOMEM;
}

/* PRIMARY KEY and NOT NULL, in any order, up to the end. */
static int take_constraints(const char *z, bool *key, bool *not_null) {
  while (*(z = vt_token_skip_space(z))) {
    word first = take_word(&z);
    word second = take_word(&z);
    bool *flag = is_word(first, "PRIMARY") && is_word(second, "KEY") ? key
                 : is_word(first, "NOT") && is_word(second, "NULL")  ? not_null
                                                                     : NULL;
    if (!flag || *flag) {
      return SQLITE_ERROR;
    }
    *flag = true;
  }
  return SQLITE_OK;
}

static int parse(const char *arg, vt_column *out, bool *key) {
  const char *rest = arg;
  int rc = vt_token_take(&rest, &out->name);
  if (rc == SQLITE_OK && !out->name) {
    rc = SQLITE_ERROR;
  }
  if (rc == SQLITE_OK) {
    rc = take_type(&rest, &out->type);
  }
  if (rc == SQLITE_OK) {
    out->affinity = affinity_of(out->type);
    rc = take_constraints(rest, key, &out->not_null);
  }
  return rc;
}

static bool is_hidden_name(const char *name) {
  int h = VT_HIDDEN_TSTAMP;
  while (h < VT_HIDDEN_COMMAND && sqlite3_stricmp(name, hidden_names[h]) != 0) {
    h++;
  }
  return h < VT_HIDDEN_COMMAND;
}

static void release_column(vt_column *c) {
  sqlite3_free(c->name);
  sqlite3_free(c->type);
}

int vt_columns_add(vt_columns *c, const char *arg, char **err) {
  vt_column column = {NULL, NULL, VT_AFFINITY_BLOB, false};
  bool key = false;
  int rc = parse(arg, &column, &key);
  if (rc == SQLITE_ERROR) {
    *err = sqlite3_mprintf("column not understood: %s (expected: name [type] [PRIMARY KEY] "
                           "[NOT NULL])",
                           arg);
  } else if (rc == SQLITE_OK && is_hidden_name(column.name)) {
    *err = sqlite3_mprintf("column name is reserved: %s", column.name);
    rc = SQLITE_ERROR;
  } else if (rc == SQLITE_OK && key && c->has_key) {
    *err = sqlite3_mprintf("more than one PRIMARY KEY: %s", arg);
    rc = SQLITE_ERROR;
  }
  if (rc == SQLITE_OK) {
    vt_column *list = sqlite3_realloc64(c->list, ((sqlite3_uint64)c->n + 1) * sizeof(vt_column));
    if (list) {
      c->list = list;
      c->key = key ? c->n : c->key;
      c->has_key = c->has_key || key;
      list[c->n++] = column;
      return SQLITE_OK;
    }
    rc = SQLITE_NOMEM;
  }
  release_column(&column);
  return rc;
}

int vt_columns_finish(vt_columns *c, char **err) {
  const vt_column *key;
  const vt_column *value;
  int rc = SQLITE_OK;
  if (c->n == 0) {
    rc = vt_columns_add(c, "key TEXT PRIMARY KEY", err);
    if (rc == SQLITE_OK) {
      rc = vt_columns_add(c, "value BLOB", err);
    }
    if (rc != SQLITE_OK) {
      return rc;
    }
  }
  key = &c->list[c->key];
  if (!key->type[0] || key->affinity == VT_AFFINITY_NUMERIC || key->affinity == VT_AFFINITY_REAL) {
    *err = sqlite3_mprintf("the type of a key is TEXT, BLOB or INTEGER: %s%s%s", key->name,
                           key->type[0] ? " " : "", key->type);
    return SQLITE_ERROR;
  }
  if (c->n == 1) {
    *err = sqlite3_mprintf("a value column is missing");
    return SQLITE_ERROR;
  }
  value = &c->list[c->key == 0];
  c->raw = c->n == 2 && value->type[0] &&
           (value->affinity == VT_AFFINITY_TEXT || value->affinity == VT_AFFINITY_BLOB);
  c->list[c->key].not_null = true;
  /* A value that is there has bytes, none or more. */
  c->list[c->key == 0].not_null = c->raw || value->not_null;
  return SQLITE_OK;
}

void vt_columns_release(vt_columns *c) {
  for (int i = 0; i < c->n; i++) {
    release_column(&c->list[i]);
  }
  sqlite3_free(c->list);
  memset(c, 0, sizeof(*c));
}

char *vt_columns_declaration(const vt_columns *c, const char *table) {
  sqlite3_str *s = sqlite3_str_new(NULL);
  bool command = true;
  sqlite3_str_appendall(s, "CREATE TABLE x(");
  for (int i = 0; i < c->n; i++) {
    const vt_column *column = &c->list[i];
    /* Of a row's columns SQLite is not told that they are never NULL: those that
    ** a row is too short for read so, and it would not look for them. */
    bool not_null = i == c->key || c->raw;
    sqlite3_str_appendf(s, "\"%w\" %s%s%s,", column->name, column->type,
                        not_null ? " NOT NULL" : "", i == c->key ? " PRIMARY KEY" : "");
    command = command && sqlite3_stricmp(column->name, table) != 0;
  }
  for (int h = VT_HIDDEN_TSTAMP; h < VT_HIDDEN_COMMAND; h++) {
    sqlite3_str_appendf(s, "%s\"%w\" INTEGER HIDDEN", h ? "," : "", hidden_names[h]);
    command = command && sqlite3_stricmp(hidden_names[h], table) != 0;
  }
  if (command) {
    sqlite3_str_appendf(s, ",\"%w\" HIDDEN", table);
  }
  sqlite3_str_appendall(s, ") WITHOUT ROWID");
  return sqlite3_str_finish(s);
}
