/* daemon/service.h: what the service manager is told of us: that we are ready,
 * reloading, stopping, alive, and in a line how things stand.
 *
 * Threads: the main loop, but for service_count. */
#ifndef VUB_DAEMON_SERVICE_H
#define VUB_DAEMON_SERVICE_H

#include "loop/timer.h"
#include "os/notify.h"

#define SERVICE_OWED_MAX 4

struct service {
    struct notify notify;
    struct loop *main;
    struct timer ping, later;
    struct mail counted;
    bool mail_sent;      /* atomic: counted is on its way */
    unsigned front_ends; /* atomic */
    unsigned devices, stuck;
    bool open, ready, stopping, status_due, warned;
    bool silent; /* another process speaks */

    char joins[112]; /* service_join's */
    uint64_t joins_watchdog_us;
    bool has_joined;

    /* What did not fit into the manager's socket, oldest first. */
    char owed[SERVICE_OWED_MAX][300];
    unsigned num_owed;
};

/* Reads the environment: before other threads exist. Nobody may be there to
 * be told, which need not concern a caller. */
void service_open(struct service *s, struct loop *main);
/* Takes over from a process whose manager has that name, "": none; and wants to
 * be pinged that often. Before service_open, which opens it. Nothing is said
 * before service_speak. */
void service_join(struct service *s, const char *name, uint64_t watchdog_us);
void service_speak(struct service *s);
/* What the other needs to know for that: returns the watchdog's time. */
uint64_t service_manager(const struct service *s, char *name, size_t room);
/* That process is the service from now on, and we say nothing more; or not
 * after all. */
void service_hand_over(struct service *s, int pid);
void service_take_back(struct service *s);
/* Everything is served that is in the config. */
void service_ready(struct service *s, unsigned devices);
/* So many devices from now on. */
void service_devices(struct service *s, unsigned devices);
/* The config is read again, and when that is over: of use once it is ready. */
void service_reloading(struct service *s);
void service_reloaded(struct service *s);
/* It will have stopped after so long, at most. */
void service_stopping(struct service *s, uint64_t within_ms);
/* [any thread] A front-end has come, 1, or gone, -1. */
void service_count(struct service *s, int change);
/* So many workers do not come back. */
void service_stuck(struct service *s, unsigned workers);
/* The loop does not run; before loop_close. Safe on a zero struct. */
void service_close(struct service *s);

#endif
