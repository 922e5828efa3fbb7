/* store/iscsi_impl.h: a unit of an iSCSI target as a store: the store itself
 * (iscsi.c), its channels (iscsi_channel.c), and what becomes of a request
 * (iscsi_job.c). For these only. */
#ifndef VUB_STORE_ISCSI_IMPL_H
#define VUB_STORE_ISCSI_IMPL_H

#include "loop/loop.h"
#include "store/impl.h"
#include "store/iscsi_probe.h"

struct iscsi_store {
    struct store store;
    const struct iscsi_conf *conf;
    struct loop *home; /* NULL: not begun */
    struct iscsi_probe probe;
    /* From a channel's loop to the home's: look again. */
    struct mail look;
    bool looking;  /* atomic: it is on its way */
    unsigned open; /* what must be gone before end is over */
    bool ending;
    void (*gone)(void *arg);
    void *gone_arg;
    bool told_block; /* once */
};

struct iscsi_channel {
    struct store_channel ch;
    struct iscsi_store *store;
    struct iscsi_probe probe;
    bool known;           /* probe.limits are */
    bool no_same, no_fua; /* it has refused it */
    bool closing;
    struct list waiting; /* requests: for the probe */
    struct list busy;    /* jobs that are tried again later */
    struct list jobs;    /* all jobs with iscsi/ */
    struct list spare;
    struct timer timer;
    bool timer_on;
    struct defer flush;
    unsigned not_ready, open;
};

/* iscsi.c */
static inline struct iscsi_store *iscsi_store_of(struct store *s)
{
    return container_of(s, struct iscsi_store, store);
}
/* The home's probe is to. [any channel's loop] */
void iscsi_look_again(struct iscsi_store *s);

/* iscsi_channel.c, for the store's table */
int iscsi_channel_open(struct store_channel **out, struct store *st,
                       struct loop *loop, struct err *e);
void iscsi_channel_close(struct store_channel *ch);
int iscsi_channel_submit(struct store_channel *ch, struct store_req *r);
void iscsi_channel_kick(struct store_channel *ch);
void iscsi_channel_drain(struct store_channel *ch, const void *owner,
                         bool cancel);

/* iscsi_job.c: requests on their way; the unit's limits are known */
void iscsi_job_start(struct iscsi_channel *c, struct store_req *r);
/* Those that the target had no time for are tried again. */
void iscsi_jobs_again(struct iscsi_channel *c);
void iscsi_jobs_give_up(struct iscsi_channel *c, const void *owner);
void iscsi_jobs_free(struct iscsi_channel *c); /* none is on its way */

#endif
