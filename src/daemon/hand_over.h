/* daemon/hand_over.h: all that is served goes to another vub, vub --take-over;
 * the end of the one that has it so far. The other end is take_over.h, what
 * they say to each other hand_over_wire.h.
 *
 * Devices are suspended, those that the other one wants, and what is known of
 * them is sent. Until the other has said that it has everything open, and was
 * told to go on, it all can be taken back: they are opened again here, with
 * the same front-ends, who have noticed a longer pause and nothing else.
 * It takes a turn (change.h), so nothing else changes meanwhile.
 * Threads: the main one. */
#ifndef VUB_DAEMON_HAND_OVER_H
#define VUB_DAEMON_HAND_OVER_H

#include "daemon/change.h"
#include "daemon/hand_over_wire.h"
#include "daemon/service.h"
#include "loop/timer.h"
#include "loop/watch.h"

struct handed;
struct hand_channel;

struct hand_over {
    /* Set before the first. */
    struct loop *main;
    struct devices *devices;
    struct changer *changer;
    struct service *service;
    const struct place *control; /* the socket; NULL: there is none */
    bool has_command;            /* --run: it cannot be handed over */
    /* The other one has everything: vub is to end, and to tell nobody. */
    void (*over)(struct hand_over *h);

    /* hand_over.c's */
    enum hand_state {
        HAND_IDLE,
        HAND_OFFERS,   /* what there is; BEGIN is waited for */
        HAND_SUSPENDS, /* until all that is wanted is gone here */
        HAND_GIVES,    /* what is known of them; READY is waited for */
        HAND_GOES,     /* GO; MINE is waited for */
        HAND_RETURNS,  /* until all is gone, to be opened again */
        HAND_REOPENS,
        HAND_DONE,
    } state;
    int fd; /* -1: there is nobody */
    int pid;
    struct hand_channel *channel;
    struct timer patience;
    bool has_timer;
    struct handed *list; /* [count] all devices */
    int count;
    unsigned under_way; /* suspensions */
    int at, step;       /* what is to be sent next */
    bool wants_control;
    bool owes;                   /* GIVE_UP is still to be sent */
    struct hand_give_up give_up; /* that, or why it has come to nothing */
};

void hand_over_init(struct hand_over *h);
/* Whoever has a turn for it: process pid wants everything. Returns the other's
 * end of the pair; the turn is over when it has come to something or nothing.
 * On failure nothing has happened, and the turn is the caller's. */
int hand_over_begin(struct hand_over *h, int pid, struct err *e);

/* What the events of a device say that is suspended: it is gone; or why it
 * goes on as it was. */
void hand_over_gone(struct hand_over *h, struct served *s);
void hand_over_refused(struct hand_over *h, struct served *s,
                       const struct err *why);

/* vub stops: whoever is about to take over is told. */
void hand_over_stop(struct hand_over *h);
/* Does another one have it all? */
static inline bool hand_over_is_done(const struct hand_over *h)
{
    return h->state == HAND_DONE;
}
/* The loop does not run; before loop_close. Safe on a zero struct. */
void hand_over_close(struct hand_over *h);

#endif
