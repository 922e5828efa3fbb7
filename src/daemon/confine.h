/* daemon/confine.h: "sandbox" of the config: what follows from it for the
 * process, os/sandbox.h, and for its broker, os/broker.h.
 *
 * Threads: the main one, before others exist; confine_status: the main loop. */
#ifndef VUB_DAEMON_CONFINE_H
#define VUB_DAEMON_CONFINE_H

#include "base/json_out.h"
#include "daemon/config.h"
#include "os/sandbox.h"

/* The table of struct sandbox_config. */
extern const struct conf_table sandbox_table;

struct confine {
    const struct config_source *source;
    const struct config *conf;
    struct conf_doc *doc; /* has conf; not owned */
    struct config own;    /* conf, with those devices that are served here */
    const char *isolated; /* the one that this process is for; NULL: the rest */
    struct sandbox_rules rules;
    struct sandbox_path *paths; /* the rules' */
    unsigned room;
    char *socket_dir;
    char **owned; /* texts of paths */
    unsigned num_owned;
    bool on;
};

/* Makes the rules and starts the broker, before anything is opened but what we
 * were given. doc has conf, whose relative paths start where its do; source:
 * what it was read from; it may change later, and be read again. isolated: the
 * device that this process is for, NULL: for those that are not isolated. On
 * failure, too, confine_end. */
int confine_prepare(struct confine *c, const struct config *conf,
                    struct conf_doc *doc, const struct config_source *source,
                    const char *isolated, struct errs *e);
/* Everything is open, and there is one thread. command: as of the rules. */
int confine_enter(struct confine *c, int command, struct errs *e);
/* Nothing is asked any more. Safe on a zero struct. */
void confine_end(struct confine *c);

/* May the config be believed that is read later? The process of an isolated
 * device reads it, whatever this one may do. */
bool confine_rereads(void);
/* Adds what is in force as a member. */
void confine_status(struct json_out *o);

#endif
