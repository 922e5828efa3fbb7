/* daemon/change_impl.h: what the files of change*.c share. Threads: the main
 * one. */
#ifndef VUB_DAEMON_CHANGE_IMPL_H
#define VUB_DAEMON_CHANGE_IMPL_H

#include "daemon/change.h"

enum step {
    PREPARE,
    START,
    LEAVE,
    PREPARE_LATE,
    START_LATE,
    UNDO,
    RESTORE,
    RESTART,
};

/* A device that comes. */
struct arrival {
    struct list node;
    struct change *change;
    struct conf_any conf;
    struct conf_doc *doc;
    struct job *job;                 /* that prepares it */
    struct preparation *preparation; /* the job's; NULL without one */
    struct served *served;           /* open; the list's when it has started */
    struct place place;              /* its socket, until it has started */
    struct heritage heritage;        /* likewise */
    bool returns;
    bool late; /* its socket is another's, who leaves */
    bool started;
};

/* One that leaves, and what it takes to bring it back. */
struct departure {
    struct list node;
    struct served *served; /* NULL: gone, or not waited for any more */
    struct conf_any conf;
    struct conf_doc *doc;
    bool came;          /* with this change, which is undone */
    bool has_left;      /* and is to come back if the change fails */
    struct place place; /* that it has left, of change_return */
    struct heritage heritage;
    bool returns;
};

/* One that stays, whose config says other limits. While the change is under way
 * `was` has those, and `is` the old ones. */
struct adjustment {
    struct list node;
    struct conf_any was, is;
    struct conf_doc *was_doc, *is_doc;
};

struct change {
    struct changer *changer;
    enum step step;
    struct list arrivals, departures, adjustments;
    unsigned under_way;
    struct errs errors; /* not empty: it has failed */
    struct timer patience;
    bool has_timer;
    void (*done)(void *arg, const struct errs *e);
    void *arg;
};

static inline struct arrival *arrival_at(struct list *node)
{
    return container_of(node, struct arrival, node);
}

static inline struct departure *departure_at(struct list *node)
{
    return container_of(node, struct departure, node);
}

static inline struct adjustment *adjustment_at(struct list *node)
{
    return container_of(node, struct adjustment, node);
}

static inline const struct device_common *
conf_common(const struct conf_any *conf)
{
    return conf->data;
}

/* change.c */
/* What has not started is not anybody else's. */
void change_drop_arrival(struct arrival *a);
void change_free_departure(struct departure *d);

/* change_prepare.c */
/* Starts the jobs of this step; each is one under way. */
void change_prepare_all(struct change *c);
/* Of one that has a job: its thread may outlive the loop, or not live to remove
 * a socket. */
void change_stop_preparing(struct arrival *a);

/* change_steps.c */
/* One that was under way; the last begins the next step. */
void change_one_is_over(struct change *c);
/* Answers whoever runs it, and frees it. */
void change_finish(struct change *c);

#endif
