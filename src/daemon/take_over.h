/* daemon/take_over.h: --take-over: all that is served comes from another vub;
 * the end of the one that gets it. The other end is hand_over.h, what they say
 * to each other hand_over_wire.h.
 *
 * It is a part of the start, before there are loops: all up to take_over_finish
 * waits, for some seconds at most. Guests wait from take_over_devices until
 * their rings run, so what can be done before that is. If the other one dies,
 * we go on with what has come by then, and start the rest as after any crash.
 * Threads: the main one; up to take_over_finish before others exist. */
#ifndef VUB_DAEMON_TAKE_OVER_H
#define VUB_DAEMON_TAKE_OVER_H

#include "daemon/config.h"
#include "daemon/hand_over_wire.h"
#include "daemon/served.h"
#include "daemon/service.h"
#include "daemon/sockets.h"
#include "loop/timer.h"
#include "loop/watch.h"

struct taken;

struct take_over {
    int fd; /* -1: nobody is there any more */
    int pid;
    char version[32];
    bool under_way, is_dead, control_adopted;
    uint64_t drain_ms, watchdog_us, began_ns;
    char notify[112];
    struct place control;
    struct taken *list; /* [count] the other's devices */
    int count;
    unsigned front_ends; /* so many were handed over */

    /* take_over_finish's */
    void (*over)(struct take_over *t, const struct errs *e);
    struct watch watch;
    struct timer patience;
    struct mail alone;
    bool has_handles, waits;
};

/* Asks the vub whose control socket that is ("": where c has its own), and gets
 * to know what it has. On failure, too, take_over_close. */
int take_over_connect(struct take_over *t, const char *socket,
                      const struct config *c, struct errs *e);
/* Its sockets become ours that are where c wants them. */
int take_over_sockets(struct take_over *t, const struct config *c,
                      struct sockets *s, struct errs *e);
/* Guests begin to wait. Gets what is known of the devices of c that the other
 * one has too. */
int take_over_devices(struct take_over *t, const struct config *c,
                      struct errs *e);
/* What it has left there goes to the device, if it was handed over. */
void take_over_inherit(struct take_over *t, struct served *s);
/* All is open, and nothing runs yet. over, once, from a turn of its own: with
 * no error in e all is ours; the other waits for take_over_own. */
void take_over_finish(struct take_over *t, struct loop *main,
                      void (*over)(struct take_over *t, const struct errs *e));
/* We listen on the sockets, and whatever runs next runs here. */
void take_over_own(struct take_over *t);
/* The loop does not run; before loop_close. Safe on a zero struct. */
void take_over_stop(struct take_over *t);
/* It comes to nothing: the other is told why, when nothing is open here any
 * more. */
void take_over_fail(struct take_over *t, const struct errs *why);
/* Safe twice, and on a zero struct. */
void take_over_close(struct take_over *t);

#endif
