/*
** craft.h - Bitcask directories made byte by byte for the tests, and the state
** of a directory as one line of text.
**
** The encoder here shares nothing with the engine's: it is written from the
** format's description alone, so that both can be wrong only apart.  A failure
** of the test's own file operations ends the program.
*/
#ifndef CRAFT_H
#define CRAFT_H

#include "bitcask.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* One data file with its hint entries (without trailer).  Start it zeroed. */
typedef struct craft {
  uint8_t *data;
  size_t data_sz;
  uint8_t *hint;
  size_t hint_sz;
} craft;

typedef enum craft_hint_kind {
  CRAFT_NO_HINT,
  CRAFT_HINT,     /* entries and trailer, as after a clean close */
  CRAFT_OPEN_HINT /* entries only, as after a crash */
} craft_hint_kind;

enum { CRAFT_HEADER_SZ = 14, CRAFT_HINT_ENTRY_SZ = 18, CRAFT_TRAILER_SZ = 18 };

uint32_t craft_crc32(const void *data, size_t n);
void craft_put_u16(uint8_t *p, uint32_t v);
void craft_put_u32(uint8_t *p, uint32_t v);
void craft_put_u64(uint8_t *p, uint64_t v);

/* Append a record and its hint entry. */
void craft_record(craft *c, uint32_t tstamp, const void *key, size_t key_sz, const void *value,
                  size_t value_sz);
void craft_put(craft *c, uint32_t tstamp, const char *key, const char *value);
/* A deletion as version 0, 1 or 2 of the format writes it; id is ignored for 0. */
void craft_tombstone(craft *c, uint32_t tstamp, const char *key, int version, uint32_t id);
/* Append bytes to the data alone. */
void craft_bytes(craft *c, const void *bytes, size_t n);
void craft_zeros(craft *c, size_t n);
/* Append a hint entry alone. */
void craft_hint_entry(craft *c, uint32_t tstamp, const void *key, size_t key_sz, uint32_t total_sz,
                      uint64_t offset, bool is_tombstone);
void craft_clear(craft *c);
/* Write the files of one id. */
void craft_save(const craft *c, const char *dir, uint32_t id, craft_hint_kind kind);
/* The same with the bytes of the hint given; hint NULL: no hint file. */
void craft_save_pair(const char *dir, uint32_t id, const void *data, size_t data_sz,
                     const void *hint, size_t hint_sz);
/* Entries and trailer in freshly allocated memory. */
uint8_t *craft_finish_hint(const craft *c, size_t *n);

/* Bytes of a string of hex digits and spaces, freshly allocated. */
uint8_t *craft_unhex(const char *hex, size_t *n);

/* A new empty directory, under $TMPDIR; the name is valid until the program ends,
** which removes it. */
const char *craft_dir(void);
void craft_write_file(const char *dir, const char *name, const void *bytes, size_t n);
uint8_t *craft_read_file(const char *dir, const char *name, size_t *n);
/* Size of a file, -1 if there is none. */
int64_t craft_size(const char *dir, const char *name);
/* "ID.bitcask.SUFFIX", valid until the fourth call from now. */
const char *craft_name(uint32_t id, const char *suffix);
void craft_remove(const char *dir, const char *name);
void craft_remove_hints(const char *dir);
/* Highest id of all data files, 0 if there are none. */
uint32_t craft_highest_id(const char *dir);
/* How many files have this suffix after "ID.bitcask.". */
int craft_count_files(const char *dir, const char *suffix);

/* The clock that craft_open's engine sees; 0: the real one. */
extern int64_t craft_now;
/* What the engine has logged since the last craft_open. */
extern char craft_log[8192];

/* Options for tests: sync=off, and messages go to craft_log. */
void craft_options(bitcask_options *o);
/* Open with the pinned clock; NULL and the reason on stderr if that fails. */
bitcask *craft_open(const char *dir, const bitcask_options *o);
bitcask *craft_open_ro(const char *dir);
bitcask *craft_open_rw(const char *dir);

/*
** Everything a handle shows, as "key=value key=value", sorted by key, valid
** until the next call.  A value over 40 bytes is shown as <size:crc>, one that
** cannot be read as !corrupt; " !fold" is appended if a fold, list_keys and get
** do not agree.
*/
const char *craft_dump(bitcask *bc);

/*
** Does the directory read as `want`, a craft_dump: opened read-only without
** changing a byte of it, opened for writing, and read-only again?  NULL if so,
** else what differs.  The number of keys is checked as well.
*/
const char *craft_check(const char *dir, const char *want);

#define CHECK_DIR(dir, want)                                                                       \
  do {                                                                                             \
    const char *wrong_ = craft_check((dir), (want));                                               \
    if (wrong_) {                                                                                  \
      TEST_FAIL("%s", wrong_);                                                                     \
    }                                                                                              \
  } while (0)

#define CHECK_TEXT(a, b)                                                                           \
  do {                                                                                             \
    const char *a_ = (a), *b_ = (b);                                                               \
    if (strcmp(a_, b_) != 0) {                                                                     \
      TEST_FAIL("%s is \"%s\", not \"%s\"", #a, a_, b_);                                           \
    }                                                                                              \
  } while (0)

#endif
