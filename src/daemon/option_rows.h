/* daemon/option_rows.h: a command line, by tables.
 *
 * getopt_long does the splitting; the sentences are ours, as those for the
 * config are, and come from the same rows as --help, the man page and what a
 * shell completes. Threads: the main one. */
#ifndef VUB_DAEMON_OPTION_ROWS_H
#define VUB_DAEMON_OPTION_ROWS_H

#include <stdio.h>

#include "base/err.h"

struct option_row {
    int id; /* the table's own */
    const char *name;
    const char *argument;     /* NULL: it takes none */
    const char *help;         /* NULL: for building the project only */
    char letter;              /* "-s"; 0: none */
    bool optional;            /* the argument, which comes behind = then */
    bool shared;              /* vub-block and the like have it too */
    const char *const *words; /* all that the argument may be, NULL-ended; NULL:
                               * there is no such list */
};

#define OPTION_ROWS_MAX 32

struct option_scan {
    const struct option_row *rows[OPTION_ROWS_MAX];
    int count;
    const char *program; /* whose --help is to be seen */
    /* Each option in its order; 1: what follows is not looked at. */
    int (*take)(void *arg, const struct option_row *r, char *value,
                struct err *e);
    void *arg;
};

/* Adds all rows of a table that ends with one without a name. */
void option_rows_add(struct option_scan *s, const struct option_row *rows);
/* Returns how many of argv were options, with their values; on failure
 * e->where is the option at fault. */
int option_rows_scan(const struct option_scan *s, int argc, char **argv,
                     struct err *e);

/* "  --name VALUE    Help, in lines of 78 columns." */
void option_row_help(FILE *f, const struct option_row *r);
/* Likewise, in mdoc. */
void option_row_man(FILE *f, const struct option_row *r);

#endif
