/* daemon/reload.h: the config is read again, and what differs is done.
 *
 * Threads: the main one. */
#ifndef VUB_DAEMON_RELOAD_H
#define VUB_DAEMON_RELOAD_H

#include "base/json_out.h"
#include "daemon/change.h"
#include "daemon/service.h"

struct reload {
    /* Set before the first. */
    struct changer *changer;
    const struct config_source *source;
    struct service *service;

    /* reload.c's */
    struct turn hangup;
    bool hangup_waits, runs;
    int refreshing;       /* devices that look at their sources again */
    struct conf_doc *doc; /* what was read */
    const struct config *conf;
    struct json_out lists; /* the answer of the one by SIGHUP */
    void (*done)(void *arg, const struct errs *e);
    void *arg;
};

/* Whoever has a turn reads the config again and does what differs. done comes
 * once, perhaps at once: e is empty, or says why nothing has changed. Members
 * of an object are added to out: which devices came, went, changed and stayed.
 */
void reload_run(struct reload *r, struct json_out *out,
                void (*done)(void *arg, const struct errs *e), void *arg);
/* SIGHUP: takes a turn, does it, and tells the log; many at once are one. */
void reload_hangup(struct reload *r);
/* A device of the config as it is in the file now, for a turn: the caller has a
 * ref of doc. */
int reload_find(const struct reload *r, const char *id, struct conf_any *out,
                struct conf_doc **doc, struct errs *e);
/* The answer to served_refresh. */
void reload_refreshed(struct reload *r);

#endif
