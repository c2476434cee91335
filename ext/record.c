/*
** record.c - serial types, varints and bodies.
*/
#include "record.h"

#include <string.h>

/* Serial types; from TYPE_BLOB on even ones are blobs and odd ones texts, of
** (type - 12) / 2 bytes. */
enum {
  TYPE_NULL = 0,
  TYPE_INT8 = 1,
  TYPE_INT48 = 5,
  TYPE_INT64 = 6,
  TYPE_REAL = 7,
  TYPE_ZERO = 8,
  TYPE_ONE = 9,
  TYPE_RESERVED = 10,
  TYPE_BLOB = 12,
  TYPE_TEXT = 13
};

/* Bytes of the bodies of the types below TYPE_BLOB. */
static const uint8_t fixed_size[TYPE_BLOB] = {0, 1, 2, 3, 4, 6, 8, 8, 0, 0, 0, 0};

static uint64_t body_size(uint64_t type) {
  return type < TYPE_BLOB ? fixed_size[type] : (type - TYPE_BLOB) / 2;
}

/* -------------------------------------------------------------------- varints */

/* Big-endian, seven bits a byte, the high bit says that more follow; a ninth byte
** is the last and has eight. */
enum { MAX_VARINT_SZ = 9 };

static unsigned varint_size(uint64_t v) {
  unsigned n = 1;
  while (n < MAX_VARINT_SZ && v >> (7 * n)) {
    n++;
  }
  return n;
}

static uint8_t *put_varint(uint8_t *out, uint64_t v) {
  unsigned n = varint_size(v);
  unsigned i = n;
  if (n == MAX_VARINT_SZ) {
    out[--i] = (uint8_t)v;
    v >>= 8;
  }
  while (i-- > 0) {
    out[i] = (uint8_t)((v & 0x7f) | (i + 1 < n ? 0x80 : 0));
    v >>= 7;
  }
  return out + n;
}

/* Behind the varint at `p`; NULL if it goes on past `end`. */
static const uint8_t *get_varint(const uint8_t *p, const uint8_t *end, uint64_t *out) {
  uint64_t v = 0;
  for (unsigned i = 1; p < end; i++) {
    uint8_t byte = *p++;
    if (i == MAX_VARINT_SZ) {
      *out = v << 8 | byte;
      return p;
    }
    v = v << 7 | (byte & 0x7f);
    if (byte < 0x80) {
      *out = v;
      return p;
    }
  }
  return NULL;
}

/* ------------------------------------------------------------------ big-endian */

static void put_bytes(uint8_t *out, uint64_t v, size_t n) {
  while (n-- > 0) {
    out[n] = (uint8_t)v;
    v >>= 8;
  }
}

static uint64_t get_bytes(const uint8_t *p, size_t n) {
  uint64_t v = 0;
  for (size_t i = 0; i < n; i++) {
    v = v << 8 | p[i];
  }
  return v;
}

/* Two's complement of n bytes, n > 0. */
static int64_t get_integer(const uint8_t *p, size_t n) {
  uint64_t sign = (uint64_t)1 << (8 * n - 1);
  return (int64_t)((get_bytes(p, n) ^ sign) - sign);
}

/* --------------------------------------------------------------------- writing */

static uint64_t integer_type(int64_t v) {
  /* As many bytes as hold it without its sign, and one bit for that. */
  uint64_t magnitude = v < 0 ? ~(uint64_t)v : (uint64_t)v;
  if (v == 0 || v == 1) {
    return v == 0 ? TYPE_ZERO : TYPE_ONE;
  }
  for (unsigned type = TYPE_INT8; type <= TYPE_INT48; type++) {
    if (magnitude >> (8 * fixed_size[type] - 1) == 0) {
      return type;
    }
  }
  return TYPE_INT64;
}

static uint64_t serial_type(const vt_field *f) {
  switch (f->type) {
  case VT_FIELD_INTEGER:
    return integer_type(f->integer);
  case VT_FIELD_REAL:
    return f->real == f->real ? TYPE_REAL : TYPE_NULL;
  case VT_FIELD_TEXT:
    return TYPE_TEXT + 2 * (uint64_t)f->size;
  case VT_FIELD_BLOB:
    return TYPE_BLOB + 2 * (uint64_t)f->size;
  default:
    return TYPE_NULL;
  }
}

/* The size of a header counts the bytes that say it, so these may be one more
** than the size of the types alone asks for. */
static uint64_t header_size(uint64_t types_sz) {
  unsigned n = varint_size(types_sz);
  return types_sz + (varint_size(types_sz + n) > n ? n + 1 : n);
}

static uint64_t types_size(const vt_field *fields, unsigned n) {
  uint64_t size = 0;
  for (unsigned i = 0; i < n; i++) {
    size += varint_size(serial_type(&fields[i]));
  }
  return size;
}

uint64_t vt_record_size(const vt_field *fields, unsigned n) {
  uint64_t size = header_size(types_size(fields, n));
  for (unsigned i = 0; i < n; i++) {
    size += body_size(serial_type(&fields[i]));
  }
  return size;
}

static uint8_t *put_body(uint8_t *out, const vt_field *f, uint64_t type) {
  uint64_t bits;
  size_t size = (size_t)body_size(type);
  if (type >= TYPE_BLOB) {
    if (size > 0) {
      memcpy(out, f->data, size);
    }
  } else if (type == TYPE_REAL) {
    memcpy(&bits, &f->real, sizeof bits);
    put_bytes(out, bits, size);
  } else if (size > 0) {
    put_bytes(out, (uint64_t)f->integer, size);
  }
  return out + size;
}

void vt_record_encode(uint8_t *out, const vt_field *fields, unsigned n) {
  out = put_varint(out, header_size(types_size(fields, n)));
  for (unsigned i = 0; i < n; i++) {
    out = put_varint(out, serial_type(&fields[i]));
  }
  for (unsigned i = 0; i < n; i++) {
    out = put_body(out, &fields[i], serial_type(&fields[i]));
  }
}

/* --------------------------------------------------------------------- reading */

bool vt_record_open(vt_record *r, const void *data, size_t size) {
  const uint8_t *start = data;
  uint64_t header_sz;
  if (size == 0) {
    return false;
  }
  const uint8_t *p = get_varint(start, start + size, &header_sz);
  if (!p || header_sz > size || header_sz <= (uint64_t)(p - start)) {
    return false;
  }
  r->header = p;
  r->header_end = start + header_sz;
  r->body = r->header_end;
  uint64_t left = size - header_sz;
  while (p < r->header_end) {
    uint64_t type;
    p = get_varint(p, r->header_end, &type);
    if (!p || (type >= TYPE_RESERVED && type < TYPE_BLOB) || body_size(type) > left) {
      return false;
    }
    left -= body_size(type);
  }
  return left == 0;
}

static void get_real(vt_field *out, const uint8_t *p) {
  uint64_t bits = get_bytes(p, sizeof bits);
  memcpy(&out->real, &bits, sizeof bits);
  out->type = out->real == out->real ? VT_FIELD_REAL : VT_FIELD_NULL;
}

bool vt_record_next(vt_record *r, vt_field *out) {
  if (r->header == r->header_end) {
    return false;
  }
  uint64_t type = 0;
  r->header = get_varint(r->header, r->header_end, &type);
  size_t size = (size_t)body_size(type);
  if (type >= TYPE_BLOB) {
    out->type = type % 2 ? VT_FIELD_TEXT : VT_FIELD_BLOB;
    out->data = r->body;
    out->size = size;
  } else if (type == TYPE_NULL) {
    out->type = VT_FIELD_NULL;
  } else if (type == TYPE_REAL) {
    get_real(out, r->body);
  } else {
    out->type = VT_FIELD_INTEGER;
    out->integer = type >= TYPE_ZERO ? (int64_t)(type - TYPE_ZERO) : get_integer(r->body, size);
  }
  r->body += size;
  return true;
}

/* ----------------------------------------------------------------- REAL columns */

void vt_field_pack_real(vt_field *f) {
  /* As far as six bytes reach, where every integer is a double and back. */
  const double limit = (double)((int64_t)1 << 47);
  if (f->type != VT_FIELD_REAL || !(f->real >= -limit && f->real < limit)) {
    return;
  }
  int64_t integer = (int64_t)f->real;
  if ((double)integer == f->real) {
    f->type = VT_FIELD_INTEGER;
    f->integer = integer;
  }
}

void vt_field_unpack_real(vt_field *f) {
  if (f->type == VT_FIELD_INTEGER) {
    f->type = VT_FIELD_REAL;
    f->real = (double)f->integer;
  }
}
