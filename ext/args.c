/*
** args.c - the arguments of CREATE VIRTUAL TABLE, from raw text.
*/
#include "args.h"
#include "token.h"

#include <string.h>

/* Take the only token of z; the error text names the whole argument. */
static int take_only(const char *z, const char *arg, char **out, char **err) {
  int rc = vt_token_take(&z, out);
  if (rc == SQLITE_OK && (!*out || *vt_token_skip_space(z))) {
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
  while (vt_token_is_name_char(*p)) {
    p++;
  }
  *name_sz = (size_t)(p - z);
  p = vt_token_skip_space(p);
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

/* An option without its value would make a column, and a table of another shape. */
static bool is_bare_option(const char *arg) {
  const char *z = arg;
  while (vt_token_is_name_char(*z)) {
    z++;
  }
  return *vt_token_skip_space(z) == 0 && vt_options_has(arg, (size_t)(z - arg));
}

/* All but the directory: options and column definitions, in any order. */
static int parse_rest(int argc, const char *const *argv, vt_args *a, char **err) {
  int rc = SQLITE_OK;
  for (int i = 0; i < argc && rc == SQLITE_OK; i++) {
    size_t name_sz;
    const char *value = option_value(argv[i], &name_sz);
    if (value) {
      rc = parse_option(argv[i], name_sz, value, a, err);
    } else if (is_bare_option(argv[i])) {
      *err = sqlite3_mprintf("option without a value: %s", argv[i]);
      rc = SQLITE_ERROR;
    } else {
      rc = vt_columns_add(&a->columns, argv[i], err);
    }
  }
  return rc == SQLITE_OK ? vt_columns_finish(&a->columns, err) : rc;
}

static int parse(int argc, const char *const *argv, vt_args *out, char **err) {
  int rc;
  memset(out, 0, sizeof(*out));
  vt_options_init(&out->options);
  if (argc < 4) {
    *err = sqlite3_mprintf("the directory is missing, as in bitcask('data/kv')");
    return SQLITE_ERROR;
  }
  rc = parse_directory(argv[3], out, err);
  return rc == SQLITE_OK ? parse_rest(argc - 4, argv + 4, out, err) : rc;
}

int vt_args_init_default(vt_args *out) {
  char *err = NULL; /* nobody else's text is parsed */
  memset(out, 0, sizeof(*out));
  vt_options_init(&out->options);
  return vt_columns_finish(&out->columns, &err);
}

int vt_args_parse(int argc, const char *const *argv, vt_args *out, char **err) {
  int rc = parse(argc, argv, out, err);
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
  vt_columns_release(&a->columns);
  memset(a, 0, sizeof(*a));
}
