/* name.c - see name.h. */
#include "name.h"

#include <string.h>

#include "buf.h"

/* Three tokens, the last one "data": what basho/bitcask takes for a data file. */
static bc_name_kind other(const char *name) {
  const char *first = strchr(name, '.'), *last = strrchr(name, '.');
  if (!first || last == first || strcmp(last, ".data") != 0) return BC_NAME_OTHER;
  return strchr(first + 1, '.') == last ? BC_NAME_STRAY : BC_NAME_OTHER;
}

bc_name_kind bc_name_parse(const char *name, uint32_t *id) {
  uint64_t n = 0;
  const char *p = name;

  if (*p < '0' || *p > '9' || (*p == '0' && p[1] != '.')) return other(name);
  for (; *p >= '0' && *p <= '9'; p++) {
    n = n * 10 + (uint64_t)(*p - '0');
    if (n > UINT32_MAX) return other(name);
  }
  *id = (uint32_t)n;
  if (!strcmp(p, ".bitcask.data")) return BC_NAME_DATA;
  if (!strcmp(p, ".bitcask.hint")) return BC_NAME_HINT;
  if (!strcmp(p, ".bitcask.hint.tmp")) return BC_NAME_TEMP;
  return other(name);
}

int bc_name_data(bitcask_buf *out, const char *dir, uint32_t id, const char *suffix) {
  return bc_buf_printf(out, "%s/%u.bitcask.data%s", dir, id, suffix);
}

int bc_name_hint(bitcask_buf *out, const char *dir, uint32_t id, const char *suffix) {
  return bc_buf_printf(out, "%s/%u.bitcask.hint%s", dir, id, suffix);
}

int bc_name_in(bitcask_buf *out, const char *dir, const char *name) {
  return bc_buf_printf(out, "%s/%s", dir, name);
}
