/*
** args.c - the arguments of CREATE VIRTUAL TABLE, from raw text.
**
** SQLite hands each argument over as it was written, quotes kept.
*/
#include "args.h"

#include <string.h>

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

static bool is_name_char(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

static const char *skip_space(const char *z) {
  while (is_space(*z)) {
    z++;
  }
  return z;
}

/* The quote that ends what begins with c, 0 if c is no quote. */
static char closing_quote(char c) {
  if (c == '[') {
    return ']';
  }
  return c == '\'' || c == '"' || c == '`' ? c : 0;
}

/*
** Take one token from *z: something quoted, or all up to the next blank.  *out
** is its text without the quotes (sqlite3_free), NULL at the end of the text.
** SQLITE_ERROR: a quote is not closed.
*/
static int take_token(const char **z, char **out) {
  const char *p = skip_space(*z);
  char quote = closing_quote(*p);
  size_t n = 0;
  char *text;
  *out = NULL;
  if (!*p) {
    *z = p;
    return SQLITE_OK;
  }
  text = sqlite3_malloc64(strlen(p) + 1);
  if (!text) {
    return SQLITE_NOMEM;
  }
  if (quote) {
    for (p++; *p && (*p != quote || (quote != ']' && p[1] == quote)); p++) {
      text[n++] = *p;
      p += *p == quote;
    }
    if (!*p) {
      sqlite3_free(text);
      return SQLITE_ERROR;
    }
    p++;
  } else {
    while (*p && !is_space(*p)) {
      text[n++] = *p++;
    }
  }
  text[n] = 0;
  *z = p;
  *out = text;
  return SQLITE_OK;
}

/* Take the only token of z; the error text names the whole argument. */
static int take_only(const char *z, const char *arg, char **out, char **err) {
  int rc = take_token(&z, out);
  if (rc == SQLITE_OK && (!*out || *skip_space(z))) {
    rc = SQLITE_ERROR;
  }
  if (rc != SQLITE_OK) {
    sqlite3_free(*out);
    *out = NULL;
  }
  if (rc == SQLITE_ERROR) {
    *err = sqlite3_mprintf("malformed argument: %s", arg);
  }
  return rc;
}

/* Where the value begins if z has the form name=value, else NULL. */
static const char *option_value(const char *z, size_t *name_sz) {
  const char *p = z;
  while (is_name_char(*p)) {
    p++;
  }
  *name_sz = (size_t)(p - z);
  p = skip_space(p);
  return *name_sz && *p == '=' ? p + 1 : NULL;
}

static int parse_directory(const char *arg, vt_args *a, char **err) {
  size_t name_sz;
  const char *value = option_value(arg, &name_sz);
  int rc;
  if (value && (name_sz != 9 || sqlite3_strnicmp(arg, "directory", 9) != 0)) {
    *err = sqlite3_mprintf("the first argument must be the directory, not: %s", arg);
    return SQLITE_ERROR;
  }
  rc = take_only(value ? value : arg, arg, &a->directory, err);
  if (rc == SQLITE_OK && !a->directory[0]) {
    *err = sqlite3_mprintf("the directory is empty");
    rc = SQLITE_ERROR;
  }
  return rc;
}

static int parse_option(const char *arg, size_t name_sz, const char *value, vt_args *a,
                        char **err) {
  char *name = sqlite3_mprintf("%.*s", (int)name_sz, arg);
  char *text = NULL;
  int rc = name ? take_only(value, arg, &text, err) : SQLITE_NOMEM;
  if (rc == SQLITE_OK) {
    rc = vt_options_set(&a->options, name, text, err);
  }
  sqlite3_free(name);
  sqlite3_free(text);
  return rc;
}

/* One word of a column definition behind its name.  False: not understood. */
static bool apply_word(const char *word, const char **rest, vt_column *c, bool *typed, bool *key) {
  static const char *const follow[] = {"PRIMARY", "KEY", "NOT", "NULL"};
  if (!*typed && (sqlite3_stricmp(word, "TEXT") == 0 || sqlite3_stricmp(word, "BLOB") == 0)) {
    c->type = sqlite3_stricmp(word, "TEXT") == 0 ? VT_TEXT : VT_BLOB;
    *typed = true;
    return true;
  }
  for (int i = 0; i < 4; i += 2) {
    size_t n = strlen(follow[i + 1]);
    const char *p = skip_space(*rest);
    if (sqlite3_stricmp(word, follow[i]) == 0 && sqlite3_strnicmp(p, follow[i + 1], (int)n) == 0 &&
        !is_name_char(p[n])) {
      *rest = p + n;
      *key = *key || i == 0;
      return true;
    }
  }
  return false;
}

/* name TYPE [PRIMARY KEY] [NOT NULL]; n is the number of the column. */
static int parse_column(const char *arg, int n, vt_args *a, bool *key, char **err) {
  const char *rest = arg;
  char *word = NULL;
  bool typed = false;
  vt_column c = {NULL, VT_BLOB};
  int rc = take_token(&rest, &c.name);
  while (rc == SQLITE_OK && (rc = take_token(&rest, &word)) == SQLITE_OK && word) {
    if (!apply_word(word, &rest, &c, &typed, key)) {
      rc = SQLITE_ERROR;
    }
    sqlite3_free(word);
  }
  if (rc == SQLITE_OK && (!typed || n >= VT_N_COLUMNS)) {
    rc = SQLITE_ERROR;
  }
  if (rc == SQLITE_ERROR) {
    *err = sqlite3_mprintf("column not supported: %s (there are a key and a value "
                           "column, each TEXT or BLOB)",
                           arg);
  }
  if (rc != SQLITE_OK) {
    sqlite3_free(c.name);
    return rc;
  }
  sqlite3_free(a->columns[n].name);
  a->columns[n] = c;
  return SQLITE_OK;
}

/* All but the directory: options and column definitions, in any order. */
static int parse_rest(int argc, const char *const *argv, vt_args *a, char **err) {
  int n_columns = 0;
  bool second_is_key = false;
  bool first_is_key = false;
  for (int i = 0; i < argc; i++) {
    size_t name_sz;
    const char *value = option_value(argv[i], &name_sz);
    int rc = value ? parse_option(argv[i], name_sz, value, a, err)
                   : parse_column(argv[i], n_columns, a,
                                  n_columns == 0 ? &first_is_key : &second_is_key, err);
    if (rc != SQLITE_OK) {
      return rc;
    }
    n_columns += value == NULL;
  }
  if (n_columns == 1 || (first_is_key && second_is_key)) {
    *err =
        sqlite3_mprintf(n_columns == 1 ? "a value column is missing" : "more than one PRIMARY KEY");
    return SQLITE_ERROR;
  }
  a->key = second_is_key ? 1 : 0;
  a->value = second_is_key ? 0 : 1;
  return SQLITE_OK;
}

int vt_args_init_default(vt_args *out) {
  memset(out, 0, sizeof(*out));
  vt_options_init(&out->options);
  out->key = 0;
  out->value = 1;
  out->columns[0].type = VT_TEXT;
  out->columns[0].name = sqlite3_mprintf("key");
  out->columns[1].type = VT_BLOB;
  out->columns[1].name = sqlite3_mprintf("value");
  return out->columns[0].name && out->columns[1].name ? SQLITE_OK : SQLITE_NOMEM;
}

int vt_args_parse(int argc, const char *const *argv, vt_args *out, char **err) {
  int rc = vt_args_init_default(out);
  if (rc != SQLITE_OK) {
    return rc;
  }
  if (argc < 4) {
    *err = sqlite3_mprintf("the directory is missing, as in bitcask('data/kv')");
    rc = SQLITE_ERROR;
  } else {
    rc = parse_directory(argv[3], out, err);
  }
  if (rc == SQLITE_OK) {
    rc = parse_rest(argc - 4, argv + 4, out, err);
  }
  if (rc != SQLITE_OK) {
    int nomem;
    vt_args_release(out);
    nomem = vt_args_init_default(out);
    rc = nomem ? nomem : rc;
  }
  return rc;
}

void vt_args_release(vt_args *a) {
  sqlite3_free(a->directory);
  for (int i = 0; i < VT_N_COLUMNS; i++) {
    sqlite3_free(a->columns[i].name);
  }
  memset(a, 0, sizeof(*a));
}

char *vt_args_declaration(const vt_args *a) {
  static const char *const types[] = {[VT_TEXT] = "TEXT", [VT_BLOB] = "BLOB"};
  const vt_column *c = a->columns;
  return sqlite3_mprintf("CREATE TABLE x(\"%w\" %s NOT NULL%s, \"%w\" %s NOT NULL%s) WITHOUT ROWID",
                         c[0].name, types[c[0].type], a->key == 0 ? " PRIMARY KEY" : "", c[1].name,
                         types[c[1].type], a->key == 1 ? " PRIMARY KEY" : "");
}
