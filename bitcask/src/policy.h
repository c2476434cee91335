/*
** policy.h - which files a merge takes.
**
** Pure: statistics in, a choice out.  Triggers and thresholds are those of
** basho/bitcask (bitcask_needs_merge).
*/
#ifndef BC_POLICY_H
#define BC_POLICY_H

#include "datafile.h"

/* The statistics of a file.  With the store's lock. */
void bc_file_stat(const bc_datafile *df, uint32_t active_id, bitcask_file_stat *out);

/* Does any of n files trigger a merge (bitcask_needs_merge)? */
bool bc_policy_triggers(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                        size_t n);

/* Would a merge by policy take this file?  `lowest`: no file has a lower id. */
bool bc_policy_takes(const bitcask_options *o, int64_t now, const bitcask_file_stat *f,
                     bool lowest);

/* Drop from the list what a full merge need not touch; how many are left. */
size_t bc_policy_all(const bitcask_options *o, uint32_t cutoff, bitcask_file_stat *f, size_t n);

/* Drop from the list what an automatic merge does not take: 0 are left if none is due.
** As a merge by policy, but never a damaged file; every file that calls for a merge is
** taken, or it would go on calling; and files are small only if two of them can be one. */
size_t bc_policy_auto(const bitcask_options *o, int64_t now, bitcask_file_stat *f, size_t n);

#endif
