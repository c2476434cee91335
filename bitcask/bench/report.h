/*
** report.h - medians, the table on the terminal, and the CSV file.
*/
#ifndef REPORT_H
#define REPORT_H

#include "bench.h"

#define MAX_REPS 100

typedef struct samples {
  double v[MAX_REPS];
  unsigned n;
} samples;

void samples_add(samples *s, double v);
double samples_median(const samples *s);

void report_open(const char *csv_path);
void report_close(void);

/* Start a table.  Columns are the engines; the last two are ratio and target. */
void report_head(const char *title, const engine *const *engines, size_t n);

/* One line.  In unit "ns" the ratio is that of the best peer's median to ours
** (the first engine's) and has to reach the target; in other units there is no
** ratio and our own value has to: at least the target in "x" and "... a second"
** ("MB/s"), at most in the others.  Target 0: none.  An engine without samples was not
** measured. */
void report_row(const char *name, const char *unit, const samples *s, double target);

#endif
