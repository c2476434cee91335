/*
** token.h - the words of an argument of CREATE VIRTUAL TABLE.
*/
#ifndef VT_TOKEN_H
#define VT_TOKEN_H

#include "host.h"

bool vt_token_is_name_char(char c);

/* Behind the blanks at the beginning of z. */
const char *vt_token_skip_space(const char *z);

/*
** Take one token from *z: something quoted, or all up to the next blank.  *out
** is its text without the quotes (sqlite3_free), NULL at the end of the text.
** SQLITE_ERROR: a quote is not closed.  SQLITE_NOMEM.
*/
int vt_token_take(const char **z, char **out);

#endif
