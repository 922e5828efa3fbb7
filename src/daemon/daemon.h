/* daemon/daemon.h: from a config to served devices, and back to nothing. */
#ifndef VUB_DAEMON_DAEMON_H
#define VUB_DAEMON_DAEMON_H

#include "base/err.h"
#include "daemon/config.h"

enum { EXIT_CLEAN, EXIT_RUN_TIME, EXIT_USAGE };

struct isolate_ends; /* isolate.h */

/* What the command line says of it. */
struct daemon_conf {
    int ready_fd;         /* gets a line, and is closed; -1: none */
    const char *run;      /* a command; NULL: none */
    const char *scenario; /* a file, read without errors, to be run as a command
                           * is; NULL: none */
    const char *report;   /* of that, a directory; NULL: none */
    bool exit_with_parent;
    /* This is the process of an isolated device, the config's only one: its
     * ends, taken. NULL: it is not. */
    const struct isolate_ends *isolated;
    const char *take_over; /* whose control socket; "": where ours is to be;
                            * NULL: not */
};

/* Binds all sockets, opens all devices, starts the workers, tells whoever
 * wants to know, and serves until SIGTERM, SIGINT, the end of the command or of
 * the parent, or of a front-end whose device asks for that. Relative paths of
 * what is asked later start where those of doc do, which has c; source: where c
 * was read, and is read again. Returns the exit status: the command's, if it
 * has run; else EXIT_CLEAN, or another with the reason in e. */
int daemon_run(const struct config *c, struct conf_doc *doc,
               const struct config_source *source,
               const struct daemon_conf *how, struct errs *e);

#endif
