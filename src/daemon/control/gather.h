/* daemon/control/gather.h: questions to all devices at once.
 *
 * A device is asked on its home loop, and what it says is put together on the
 * main loop when all have answered, or after a second without those that have
 * not. A kind of question is two functions.
 * Threads: the main loop, but for ask. */
#ifndef VUB_DAEMON_CONTROL_GATHER_H
#define VUB_DAEMON_CONTROL_GATHER_H

#include "base/metrics.h"
#include "daemon/control/control.h"

/* What a device has said: members of an object, or metrics. */
struct found {
    unsigned refs; /* the main loop's */
    struct json_out out;
    struct metrics metrics;
    struct metrics common;     /* of its process: that are of no device */
    struct json_out throttles; /* likewise: elements of a list */
};

struct gather;
struct part;

enum { GATHER_STATUS, GATHER_STATS, GATHER_METRICS, GATHER_KINDS };

struct gather_kind {
    int index;
    void (*ask)(struct served *s, struct found *f); /* [home] */
    /* The members of the result. */
    void (*compose)(struct gather *g, struct json_out *o);
    /* Of an isolated device: what its process is asked, and members of its
     * answer. */
    const char *method;
    void (*read)(struct found *f, const char *members);
};

/* [home] Members for f->out: what `tell` knows of the endpoint, and the device
 * type's own. */
void gather_describe(struct served *s, struct found *f,
                     void (*tell)(struct endpoint *ep, struct json_out *o));

/* Adds members: "answers", and f->out if it does. */
void gather_add_found(const struct part *p, struct json_out *o);
/* A member "devices", a list: of each its id, its type, and the members that
 * `add` adds. */
void gather_add_devices(const struct gather *g, struct json_out *o,
                        void (*add)(const struct part *p, struct json_out *o));
/* A member "throttles", of those that are asked for, if there are any; those of
 * processes too. */
void gather_add_throttles(const struct gather *g, struct json_out *o);
/* The last member for a keeper, of ours; and how that reads it. */
void gather_add_own_throttles(struct json_out *o);
void gather_read_process(struct found *f, const char *members);

extern const struct gather_kind gather_status, gather_stats, gather_metrics;

/* What one gather wants of a device. It has a ref of both. */
struct part {
    struct served *served;
    uint64_t round;      /* of the letter it waits for; 0: for none */
    struct found *found; /* NULL: it has not answered */
};

struct gather {
    struct request *r;
    const struct gather_kind *kind;
    struct list node;
    struct timer timer;
    struct part *parts; /* [count] */
    int count, waiting;
    bool all; /* else of one device */
};

/* Asks those that r's arguments, a struct command_device, name, and answers r.
 */
void gather_run(struct request *r, const struct gather_kind *kind);
/* Of all devices, is this one told of? It may have left meanwhile. */
static inline bool gather_tells(const struct gather *g, const struct part *p)
{
    return !g->all || !p->served->gone;
}

/* The id of the one that is asked; NULL: all are. */
static inline const char *gather_only(const struct gather *g)
{
    return g->all ? NULL : g->parts[0].served->common->id;
}

/* process_metrics.c: what a process has said, for f->metrics. */
void process_metrics_read(struct found *f, const char *members);

void gather_close(struct control *c);
/* The device is freed next. */
void gather_forget(struct served *s);

#endif
