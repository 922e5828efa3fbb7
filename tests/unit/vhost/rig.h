/* tests/unit/vhost/rig.h: a relay on a loop of its own; the test is its owner,
 * its front-end (tests/front), and, if it likes, the child.
 *
 *     struct rig *r = rig_new(NULL);
 *     struct front *f;
 *     int leg;
 *
 *     rig_child_here(r);
 *     f = front_connect_path(r->at.path);
 *     leg = child_greet(r, FEATURES, 1);         it is asked who it is
 *     front_send(f, WIRE_GET_FEATURES, ...);
 *     child_need(leg, WIRE_GET_FEATURES, &m);
 *     child_answer_u64(leg, WIRE_GET_FEATURES, 5);
 *     front_reply(f, WIRE_GET_FEATURES, &m);
 *
 * Calls to the relay are made on its loop, and waited for. */
#ifndef VUB_TESTS_UNIT_VHOST_RIG_H
#define VUB_TESTS_UNIT_VHOST_RIG_H

#include <poll.h>
#include <pthread.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* After what it needs. */
#include <cmocka.h>

#include "address.h"
#include "front/front.h"
#include "loop/loop.h"
#include "vhost/relay.h"

#define RIG_FEATURES                                                           \
    (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES) |   \
     FEATURE(VHOST_F_LOG_ALL))

struct rig_leg {
    uint64_t number;
    int fd;
};

struct rig {
    struct loop loop;
    pthread_t thread;
    struct relay *relay;
    struct relay_conf conf;
    struct address at;

    /* Whoever takes legs instead of the test; on the loop. */
    int (*pass)(struct rig *r, uint64_t leg, int fd);
    void *user;

    pthread_mutex_t lock;
    pthread_cond_t changed;
    struct rig_leg legs[16]; /* that came and were not taken */
    unsigned num_legs;
    uint64_t last_leg; /* that rig_leg has given out */
    unsigned connected, disconnected, arrived;

    /* rig_hand_on */
    struct endpoint_visitor visitor;
    bool suspended, closed;
};

/* conf: what is not the rig's to set; NULL: as usual. */
struct rig *rig_new(const struct relay_conf *conf);
void rig_free(struct rig *r);
/* fn(r, arg) on the loop. */
void rig_do(struct rig *r, void (*fn)(struct rig *r, void *arg), void *arg);

void rig_child_here(struct rig *r);
void rig_child_lost(struct rig *r);
void rig_leg_ended(struct rig *r, uint64_t leg);
void rig_give_up(struct rig *r);
/* Suspends the relay, calls between() on the loop when its visitor is there,
 * and goes on with another relay. Was there a front-end? */
bool rig_hand_on(struct rig *r, void (*between)(struct rig *r));
/* Until so many front-ends have gone. */
void rig_need_disconnected(struct rig *r, unsigned count);

/* ---- the test as the child ---- */

/* The next leg; the caller's. */
int rig_leg(struct rig *r);
/* The next message, which must be that. */
void child_need(int leg, uint32_t request, struct front_msg *m);
void child_answer(int leg, uint32_t request, const void *payload, uint32_t len);
void child_answer_u64(int leg, uint32_t request, uint64_t value);
/* Takes a message and acks it: 0. */
void child_ok(int leg, uint32_t request);
/* Of a leg, what is asked first, and the answers. queues 0: it must not be
 * asked how many. */
int child_greet(struct rig *r, uint64_t features, unsigned queues);
/* The relay has closed it, and said no more. */
void child_need_hangup(int leg);

/* A front-end without a record has got one, of the relay's; the fd, which is
 * the caller's. */
int child_record(int leg);

/* ---- both ---- */

/* A front-end and its child, and the relay between them. */
struct talk {
    struct rig *r;
    struct front *f;
    int leg;
};

/* The front-end has acked these protocol features, if any, and the child
 * knows; the device has one queue. */
struct talk talk_begin(uint64_t protocol);
/* The child is lost, and another one, which offers these, is asked who it is.
 */
void talk_next_child(struct talk *t, uint64_t features);
/* The ring's kick, without an fd. */
void talk_kick(struct talk *t);
/* The front-end goes, and the child sees that. */
void talk_end(struct talk *t);

/* cmocka's teardown: front-ends are ended if a test has failed. */
int rig_setup(void **state);
int rig_teardown(void **state);

#endif
