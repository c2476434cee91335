/*
** lookup.h - from the text 'kv' or 'main.kv' to the table it names.
*/
#ifndef VT_LOOKUP_H
#define VT_LOOKUP_H

#include "table.h"

/*
** The bitcask table that `name` stands for in a FROM clause, its store opened.
** It stays valid for as long as the statement runs that asked for it.  On failure
** a SQLite code and *err, to be freed with sqlite3_free, NULL if out of memory.
*/
int vt_lookup(vt_connection *c, const char *name, vt_table **out, char **err);

#endif
