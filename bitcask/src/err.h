/*
** err.h - status plus detail, first error wins.
**
** Each function here returns the code that it was given or derived, so that a
** failure is reported and returned in one line.  A NULL `err` is allowed.
*/
#ifndef BC_ERR_H
#define BC_ERR_H

#include "bitcask.h"

/* To be called once where the public API is entered. */
void bc_err_clear(bitcask_error *err);

/* A failure with no system call behind it. */
int bc_err(bitcask_error *err, int code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* The same about a place in a data or hint file. */
int bc_err_at(bitcask_error *err, int code, uint32_t file_id, uint64_t offset, const char *fmt, ...)
    __attribute__((format(printf, 5, 6)));

/* A failed system call: the code follows from `os_errno`, the text gets
** ": " and the system's words at its end. */
int bc_err_os(bitcask_error *err, int os_errno, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

int bc_err_nomem(bitcask_error *err);

#endif
