/* daemon/options.h: the command line.
 *
 * One table makes the parser, --help and the option list of vub(1). Threads:
 * the main one. */
#ifndef VUB_DAEMON_OPTIONS_H
#define VUB_DAEMON_OPTIONS_H

#include <stdio.h>

#include "daemon/daemon.h"

enum action {
    ACTION_RUN,
    ACTION_CHECK,
    ACTION_HELP,
    ACTION_VERSION,
    ACTION_DOCS,
};

/* Parts of the documents that are made from tables: scripts/docs. */
enum docs { DOCS_SCHEMA, DOCS_KEYS, DOCS_OPTIONS, DOCS_COMMANDS };

struct options {
    enum action action;
    const char *config; /* a path; set if the action needs it */
    const char **sets;  /* NULL-ended; for conf_read_file */
    int docs;           /* enum docs */
    struct daemon_conf how;
    int log_level, log_format; /* -1: as the config says */
};

/* Strings stay argv's. On failure e->where is the option at fault, and there
 * is nothing to free. */
int options_parse(struct options *o, int argc, char **argv, struct err *e);
void options_free(struct options *o);

void options_help(FILE *f);
/* The options, in mdoc. */
void options_man(FILE *f);

#endif
