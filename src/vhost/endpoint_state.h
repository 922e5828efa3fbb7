/* vhost/endpoint_state.h: an endpoint from inside. For endpoint.c, suspend.c.
 */
#ifndef VUB_VHOST_ENDPOINT_STATE_H
#define VUB_VHOST_ENDPOINT_STATE_H

#include "base/log.h"
#include "loop/timer.h"
#include "loop/watch.h"
#include "os/closer.h"
#include "vhost/endpoint.h"
#include "vhost/endpoint_impl.h"

/* A session that is not between two messages for so long is dropped if another
 * front-end waits, or another process. */
#define HALF_DONE_MS 3000

/* endpoint_suspend, step by step. */
struct suspension {
    enum {
        SUSPEND_NONE,
        SUSPEND_DRAINS,  /* requests of those who have gone */
        SUSPEND_DISPLAY, /* the device leaves it */
        SUSPEND_PARTS,   /* the session stops its rings */
        SUSPEND_OVER,    /* to be told, by `later` */
    } step;
    bool hurried; /* the session had its time to end its message */
    struct err why;
    struct endpoint_visitor visitor; /* fd -1: nobody */
    struct mail later;
    void (*suspended)(struct endpoint *ep, struct endpoint_visitor *visitor,
                      const struct err *e, void *arg);
    void (*closed)(struct endpoint *ep, void *arg);
    void *arg;
};

struct endpoint {
    struct device *device;
    struct endpoint_conf conf;
    int listen_fd;    /* or a door; -1: none, or not any more */
    int connected_fd; /* an inherited connection, until it is used */
    struct watch watch;
    struct timer timer;    /* for one that waits, or a failed accept */
    bool started, waiting; /* waiting: another front-end is in the backlog */
    struct session *current;
    struct list sessions; /* all that live, the current one too */
    bool closing, has_started, has_run, config_changed;
    uint64_t shunned_ns; /* nobody is accepted before that */
    int handles;         /* whose gone is waited for */
    void (*closed)(struct endpoint *ep, void *arg);
    void *closed_arg;
    struct mail closed_later;
    struct closer *closer;
    struct mail closer_idle;
    bool closer_told; /* atomic: closer_idle is on its way */
    struct log_limit limits[LINES];
    struct vring_kept *kept; /* [queues] */

    /* for another process, and from one */
    struct suspension suspension;
    struct endpoint_visitor visitor; /* not begun yet; fd -1: none */
    struct mail arrived_later, prepared_later;
    bool prepared;    /* it was said */
    bool arrival_due; /* conf.arrived is to be called */
    struct err not_arrived;
};

/* endpoint.c, for suspend.c */
void endpoint_close_when_clear(struct endpoint *ep);
/* Begins with a visitor, which is taken. */
void endpoint_begin_visitor(struct endpoint *ep, struct endpoint_visitor *v);

/* Waits for the next front-end, or for one that waits behind the current. */
void endpoint_listen_again(struct endpoint *ep);

/* suspend.c, for endpoint.c */
void suspension_init(struct endpoint *ep);
/* A session has parted, or is over. */
void suspension_go_on(struct endpoint *ep);
void suspension_late(struct endpoint *ep);
/* vub is stopping: before closed. */
void suspension_give_up(struct endpoint *ep);

#endif
