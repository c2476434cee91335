/*
** utf8.h - is it text?
*/
#ifndef VT_UTF8_H
#define VT_UTF8_H

#include <stdbool.h>
#include <stddef.h>

/* Shortest forms only, no surrogates, up to U+10FFFF. */
bool vt_utf8_is_valid(const void *text, size_t n);

#endif
