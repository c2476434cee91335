/*
** inventory.c - bitcask_files(T) and bitcask_status(T).
*/
#include "inventory.h"
#include "report.h"

typedef struct files_cursor {
  vt_report_cursor base;
  bitcask_file_stat *files;
  bitcask_file_stat *retired; /* come last */
  size_t n_files, n_retired;
} files_cursor;

static int start_files(vt_report_cursor *base, const char *argument, bitcask_error *e) {
  files_cursor *c = (files_cursor *)base;
  bitcask *bc = base->session->engine->bc;
  int rc = bitcask_files(bc, &c->files, &c->n_files, e);
  (void)argument;
  return rc == BITCASK_OK ? bitcask_retired_files(bc, &c->retired, &c->n_retired, e) : rc;
}

static int next_file(vt_report_cursor *base, bitcask_error *e) {
  const files_cursor *c = (files_cursor *)base;
  (void)e;
  return (size_t)base->row < c->n_files + c->n_retired ? BITCASK_OK : BITCASK_NOTFOUND;
}

static void clear_files(vt_report_cursor *base) {
  files_cursor *c = (files_cursor *)base;
  bitcask_files_free(c->files);
  bitcask_files_free(c->retired);
  c->files = c->retired = NULL;
  c->n_files = c->n_retired = 0;
}

static void column_of_file(vt_report_cursor *base, sqlite3_context *ctx, int column) {
  static const char *const states[] = {"active", "immutable", "retired"};
  const files_cursor *c = (files_cursor *)base;
  size_t row = (size_t)base->row - 1;
  const bitcask_file_stat *f = row < c->n_files ? &c->files[row] : &c->retired[row - c->n_files];
  const uint64_t sizes[] = {f->total_bytes, f->live_bytes, f->dead_bytes,    f->live_keys,
                            f->total_keys,  f->fragmented, f->oldest_tstamp, f->newest_tstamp,
                            f->has_hint,    f->damaged,    f->tombstones,    f->tombstone_bytes};
  switch (column) {
  case 0:
    sqlite3_result_int64(ctx, f->file_id);
    break;
  case 1:
    vt_report_path(ctx, base, f->file_id);
    break;
  case 2:
    sqlite3_result_text(ctx, states[f->state], -1, SQLITE_STATIC);
    break;
  default:
    vt_report_size(ctx, sizes[column - 3]);
    break;
  }
}

typedef struct status_cursor {
  vt_report_cursor base;
  bitcask_status_info status;
} status_cursor;

static int start_status(vt_report_cursor *base, const char *argument, bitcask_error *e) {
  (void)argument;
  return bitcask_status(base->session->engine->bc, &((status_cursor *)base)->status, e);
}

static int next_status(vt_report_cursor *base, bitcask_error *e) {
  (void)e;
  return base->row == 0 ? BITCASK_OK : BITCASK_NOTFOUND;
}

static void clear_status(vt_report_cursor *base) { (void)base; }

static void column_of_status(vt_report_cursor *base, sqlite3_context *ctx, int column) {
  const bitcask_status_info *s = &((status_cursor *)base)->status;
  const uint64_t sizes[] = {s->keys,       s->key_bytes,  s->files,        s->live_bytes,
                            s->dead_bytes, s->disk_bytes, s->keydir_bytes, s->writer_pid,
                            s->generation, s->snapshots};
  const uint64_t last[] = {s->doubtful_keys, s->missing_bytes};
  if (column < (int)(sizeof(sizes) / sizeof(sizes[0]))) {
    vt_report_size(ctx, sizes[column]);
  } else if (column == 10 && s->active_file != BITCASK_NO_FILE) {
    sqlite3_result_int64(ctx, s->active_file);
  } else if (column == 11) {
    sqlite3_result_text(ctx, bitcask_dir(base->session->engine->bc), -1, SQLITE_TRANSIENT);
  } else if (column > 11) {
    vt_report_size(ctx, last[column - 12]);
  }
}

static const vt_report_kind files_kind = {
    .name = "bitcask_files",
    .declaration =
        "CREATE TABLE x(file_id INTEGER, path TEXT, state TEXT, total_bytes INTEGER, live_bytes "
        "INTEGER, dead_bytes INTEGER, live_keys INTEGER, total_keys INTEGER, fragmented INTEGER, "
        "oldest_tstamp INTEGER, newest_tstamp INTEGER, has_hint INTEGER, damaged INTEGER, "
        "tombstones INTEGER, tombstone_bytes INTEGER, \"table\" HIDDEN)",
    .argument = 15,
    .example = "kv",
    .cursor_sz = sizeof(files_cursor),
    .start = start_files,
    .next = next_file,
    .column = column_of_file,
    .clear = clear_files,
};

static const vt_report_kind status_kind = {
    .name = "bitcask_status",
    .declaration =
        "CREATE TABLE x(keys INTEGER, key_bytes INTEGER, files INTEGER, live_bytes INTEGER, "
        "dead_bytes INTEGER, disk_bytes INTEGER, keydir_bytes INTEGER, writer_pid INTEGER, "
        "generation INTEGER, snapshots INTEGER, active_file INTEGER, directory TEXT, "
        "doubtful_keys INTEGER, missing_bytes INTEGER, \"table\" HIDDEN)",
    .argument = 14,
    .example = "kv",
    .cursor_sz = sizeof(status_cursor),
    .start = start_status,
    .next = next_status,
    .column = column_of_status,
    .clear = clear_status,
};

int vt_inventory_register(vt_connection *c) {
  int rc = vt_report_register(c, &files_kind);
  return rc == SQLITE_OK ? vt_report_register(c, &status_kind) : rc;
}
