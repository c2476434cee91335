/* example.c - a counter that survives: each run adds one and prints it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "bitcask.h"

static int count_visit(bitcask *bc, bitcask_error *err) {
  bitcask_buf value = {0};
  char text[24] = "0";
  int rc = bitcask_get(bc, "visits", 6, &value, err);

  if (rc == BITCASK_OK) snprintf(text, sizeof text, "%.*s", (int)value.size, (char *)value.data);
  bitcask_buf_free(&value);
  if (rc != BITCASK_OK && rc != BITCASK_NOTFOUND) return rc;
  snprintf(text, sizeof text, "%ld", strtol(text, NULL, 10) + 1);
  printf("visit %s\n", text);
  return bitcask_put(bc, "visits", 6, text, strlen(text), err);
}

int main(int argc, char **argv) {
  bitcask_options options;
  bitcask *bc = NULL;
  bitcask_error err;

  bitcask_options_init(&options);
  options.create = true;
  int rc = bitcask_open(argc > 1 ? argv[1] : "visits", &options, &bc, &err);
  if (rc == BITCASK_OK) rc = count_visit(bc, &err);
  if (rc != BITCASK_OK) fprintf(stderr, "%s\n", err.text);
  return bitcask_close(bc, &err) != BITCASK_OK || rc != BITCASK_OK;
}
