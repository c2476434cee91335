/*
** token.c - quotes and blanks.
**
** SQLite hands each argument over as it was written, quotes kept.
*/
#include "token.h"

#include <string.h>

static bool is_space(char c) { return c == ' ' || (c >= '\t' && c <= '\r'); }

bool vt_token_is_name_char(char c) {
  return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

const char *vt_token_skip_space(const char *z) {
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

int vt_token_take(const char **z, char **out) {
  const char *p = vt_token_skip_space(*z);
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
