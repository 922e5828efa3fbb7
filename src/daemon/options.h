/* daemon/options.h: the command line.
 *
 * One table makes the parser, --help and the option list of vub(1). Threads:
 * the main one. */
#ifndef VUB_DAEMON_OPTIONS_H
#define VUB_DAEMON_OPTIONS_H

#include <stdio.h>

#include "daemon/daemon.h"
#include "daemon/option_rows.h"

enum action {
    ACTION_RUN,
    ACTION_CHECK,
    ACTION_PRINT_ARGS,
    ACTION_HELP, /* from here on no config is needed */
    ACTION_VERSION,
    ACTION_DOCS,
    ACTION_COMPLETION,
    ACTION_CAPABILITIES, /* of a program of one type */
};

/* Parts of the documents that are made from tables: scripts/docs. */
enum docs {
    DOCS_SCHEMA,
    DOCS_KEYS,
    DOCS_OPTIONS,
    DOCS_COMMANDS,
    DOCS_PROGRAMS,
    DOCS_TRACE,
    DOCS_SCENARIO,
    DOCS_SCENARIO_SCHEMA,
};

struct options {
    enum action action;
    const char *config; /* a path; set if the action needs it */
    char *text;         /* or the config itself, of a program of one type */
    const char **sets;  /* NULL-ended; for conf_read_file */
    int num_sets;
    unsigned given; /* a program's own options: bits by its table */
    int vmm;        /* enum vmm, for ACTION_PRINT_ARGS */
    int docs;       /* enum docs */
    int shell;      /* of complete_shells */
    struct daemon_conf how;
    int log_level, log_format; /* -1: as the config says */
};

/* Strings stay argv's. On failure e->where is the option at fault, and there
 * is nothing to free. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_free(struct options *o);

/* All rows of vub. */
void options_add(struct option_scan *s);
/* Of options_parse, for programs of one type: nothing is said yet (but there is
 * room for argc --set); the rows that they have too; and one of those. */
int options_init(struct options *o, int argc, struct err *e);
void options_add_shared(struct option_scan *s);
int options_take(struct options *o, int id, char *arg, struct err *e);

void options_help(FILE *f);
/* The options, in mdoc. */
void options_man(FILE *f);

#endif
