/* tests/unit/vhost/house.h: a front-end's back-ends, one after the other, all
 * in this process.
 *
 * A house has a socket, a directory and two loops, with threads of their own. A
 * tenant is a device with an endpoint there, made of the text of a config; '
 * stands for ", and @ for the directory. Rings of disks take turns on the
 * loops, the first one is home. The test's thread may be the front-end
 * (tests/front), and waits in each of the functions below until it is done. */
#ifndef VUB_TESTS_UNIT_VHOST_HOUSE_H
#define VUB_TESTS_UNIT_VHOST_HOUSE_H

#include <semaphore.h>

#include "address.h"
#include "conf/conf.h"
#include "front/front.h"
#include "left.h"
#include "loop/loop.h"
#include "os/thread.h"
#include "vhost/endpoint.h"
#include "vhost/transcript.h"

struct house {
    struct address at;
    bool keeps; /* what a tenant knows is there for the next one */
    struct left left;
    struct loop loops[2];
    struct thread threads[2];
};

struct tenant {
    struct house *house;
    struct conf_doc *doc;
    struct device *device;
    struct device_ops ops; /* the device's, to be changed before start */
    const struct device_ops *real;
    struct loop *ring_loop[DEVICE_MAX_QUEUES];
    struct endpoint *ep;
    bool visited;

    /* what it has told; atomic */
    unsigned connected, disconnected, broken;
    struct device_start start; /* of the device, the last */

    struct mail mail;
    void (*run)(struct tenant *t);
    sem_t did, suspended, closed, gone, arrived;
    int rc;
    struct err why; /* code 0: it went well */
    struct endpoint_visitor visitor;
};

/* ThreadSanitizer does not see that one ring's memory is unmapped before
 * another one has its place. */
#ifdef __SANITIZE_THREAD__
#define HOUSE_ENGINE ", 'engine': 'threads'"
#else
#define HOUSE_ENGINE ""
#endif

/* A disk of two queues, on the file that each house has. */
#define FILE_DISK                                                              \
    "'type': 'block', 'queues': 2, 'store': {'type': 'file', 'path': "         \
    "'@/disk'" HOUSE_ENGINE "}"

/* A file "disk" of 64 MiB is in its directory. */
struct house *house_new(void);
void house_free(struct house *h);

/* Opened, not started. visitor may be NULL; what is in it is taken. */
struct tenant *tenant_new(struct house *h, const char *config,
                          struct endpoint_visitor *visitor);
/* Does not wait for a visitor. */
void tenant_begin(struct tenant *t);
/* With a visitor: until it has arrived, or not: t->why. */
void tenant_start(struct tenant *t);
/* Both; a visitor has arrived. */
struct tenant *tenant_move_in(struct house *h, const char *config,
                              struct endpoint_visitor *visitor);

/* Asks for suspension; does not wait. */
void tenant_suspend(struct tenant *t);
/* Not done yet? */
bool tenant_is_moving(struct tenant *t);
/* Until that is done: false: it is not, t->why; it goes on. Else it has moved
 * out and is freed, and *v is whom it has served. */
bool tenant_moved_out(struct tenant *t, struct endpoint_visitor *v);
/* Both, which must go well. */
void tenant_move_out(struct tenant *t, struct endpoint_visitor *v);
/* run(t) at home. */
void tenant_do(struct tenant *t, void (*run)(struct tenant *t));
/* Closed and freed, the device too. */
void tenant_free(struct tenant *t);

/* ---- with a front-end ---- */

/* A house, who lives there now, and who visits. */
struct stay {
    struct house *h;
    struct tenant *t;
    struct front *f;
};

/* In a new house; the front-end has this many queues, which run. */
struct stay stay_begin(const char *config, unsigned queues);
/* The same of a tenant who is there already. */
void stay_visit(struct stay *s, const struct front_conf *conf);
/* The front-end is handed on to another tenant. */
void stay_move(struct stay *s, const char *config);
/* The front-end goes first. */
void stay_end(struct stay *s);

#endif
