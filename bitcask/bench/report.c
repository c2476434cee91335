/*
** report.c - medians, the table on the terminal, and the CSV file.
*/
#include "report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#define NAME_WIDTH 36
#define COLUMN_WIDTH 16

static FILE *csv;
static const engine *const *columns;
static size_t n_columns;

void samples_add(samples *s, double v) {
  if (s->n == MAX_REPS) {
    bench_die("more than %d repetitions", MAX_REPS);
  }
  s->v[s->n++] = v;
}

static int compare(const void *a, const void *b) {
  double x = *(const double *)a, y = *(const double *)b;
  return (x > y) - (x < y);
}

static void sort(samples *s) { qsort(s->v, s->n, sizeof s->v[0], compare); }

double samples_median(const samples *s) {
  samples sorted = *s;

  sort(&sorted);
  if (sorted.n % 2) {
    return sorted.v[sorted.n / 2];
  }
  return (sorted.v[sorted.n / 2 - 1] + sorted.v[sorted.n / 2]) / 2;
}

void report_open(const char *csv_path) {
  csv = fopen(csv_path, "w");
  if (!csv) {
    bench_die("cannot write %s", csv_path);
  }
  fprintf(csv, "side,value_sz,measurement,engine,unit,median,min,max,ratio,target\n");
}

void report_close(void) {
  if (fclose(csv)) {
    bench_die("cannot write the CSV file");
  }
}

void report_head(const char *title, const engine *const *engines, size_t n) {
  columns = engines;
  n_columns = n;
  printf("\n%s\n%-*s", title, NAME_WIDTH, "");
  for (size_t i = 0; i < n; i++) {
    printf("%*s", COLUMN_WIDTH, engines[i]->name);
  }
  printf("%9s%10s\n", "ratio", "target");
}

static double best_peer(const samples *s) {
  double best = 0;

  for (size_t i = 0; i < n_columns; i++) {
    double m = s[i].n && columns[i]->is_peer ? samples_median(&s[i]) : 0;
    if (m > 0 && (best == 0 || m < best)) {
      best = m;
    }
  }
  return best;
}

/* Three significant digits, at most. */
static int decimals(double v) { return v >= 100 ? 0 : v >= 10 ? 1 : 2; }

static void print_csv(const char *name, const char *unit, const samples *s, double ratio,
                      const char *goal) {
  for (size_t i = 0; i < n_columns; i++) {
    samples sorted = s[i];

    if (!sorted.n) {
      continue;
    }
    sort(&sorted);
    fprintf(csv, "%s,%zu,\"%s\",%s,%s,%g,%g,%g,", columns[i]->side == SIDE_SQL ? "sql" : "c",
            item_value_sz(), name, columns[i]->name, unit, samples_median(&sorted), sorted.v[0],
            sorted.v[sorted.n - 1]);
    if (i == 0 && ratio > 0) {
      fprintf(csv, "%.3f", ratio);
    }
    fprintf(csv, ",%s\n", i == 0 ? goal : "");
  }
  fflush(csv);
}

static void print_columns(const samples *s) {
  for (size_t i = 0; i < n_columns; i++) {
    if (s[i].n) {
      double m = samples_median(&s[i]);
      printf("%*.*f", COLUMN_WIDTH, decimals(m), m);
    } else {
      printf("%*s", COLUMN_WIDTH, "-");
    }
  }
}

void report_row(const char *name, const char *unit, const samples *s, double target) {
  double mine = samples_median(&s[0]);
  double peer = strcmp(unit, "ns") == 0 ? best_peer(s) : 0;
  double ratio = peer > 0 ? peer / mine : 0;
  double judged = ratio > 0 ? ratio : mine;
  bool at_most = ratio <= 0 && !strstr(unit, "/s") && strcmp(unit, "x") != 0;
  char label[128], goal[32] = "";

  snprintf(label, sizeof label, "%s, %s", name, unit);
  printf("%-*s", NAME_WIDTH, label);
  print_columns(s);
  if (ratio > 0) {
    printf("%8.2fx", ratio);
  } else {
    printf("%9s", "");
  }
  if (target > 0) {
    bool met = at_most ? judged <= target : judged >= target;
    snprintf(goal, sizeof goal, "%s%g", at_most ? "<=" : ">=", target);
    printf("%10s%s", goal, met ? "" : "  short");
  }
  putchar('\n');
  fflush(stdout);
  print_csv(name, unit, s, ratio, goal);
}
