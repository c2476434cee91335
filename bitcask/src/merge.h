/*
** merge.h - which files a merge takes.  The merge itself is bitcask_merge.
*/
#ifndef BC_MERGE_H
#define BC_MERGE_H

#include "store.h"

/* The statistics of a file.  With `lock`. */
void bc_file_stat(const bc_datafile *df, uint32_t active_id, bitcask_file_stat *out);

/* Does any of n files trigger a merge (bitcask_needs_merge)?  Pure. */
bool bc_policy_triggers(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                        size_t n);

/* Would a merge by policy take this file?  `lowest`: no file has a lower id. Pure. */
bool bc_policy_takes(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                     bool lowest);

#endif
