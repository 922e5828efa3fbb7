/* tests/unit/vhost/kids.h: real children of a rig: processes with a block
 * device on a file, which are killed at the nth message, and started again.
 *
 * Between the relay and a child there is somebody who passes messages on, and
 * so knows where each of both is. A test's main() begins with kids_main. */
#ifndef VUB_TESTS_UNIT_VHOST_KIDS_H
#define VUB_TESTS_UNIT_VHOST_KIDS_H

#include "rig.h"

enum kids_kill {
    KILL_BEFORE,     /* the child sees the message */
    KILL_UNANSWERED, /* it has done it, but nobody hears of that */
    KILL_ANSWERED,   /* its answer is read, or about to be */
};

/* Serves a device if this process is a child, and does not return then. */
void kids_main(int argc, char **argv);

/* The rig's disk has so many bytes. A child is here. */
void kids_start(struct rig *r, uint64_t bytes);
/* Message n (0: the first one from now on) ends its child; every: and each
 * `every`th one after it, whatever child has it; 0: no more. */
void kids_kill_at(struct rig *r, unsigned n, enum kids_kill when,
                  unsigned every);
/* rig_hand_on, and the next relay has a child. */
bool kids_hand_on(struct rig *r);
/* Now. */
void kids_kill(struct rig *r);
/* Now, and with the next one, but none after it, writes to sector KIDS_STUCK
 * get no answer. */
#define KIDS_STUCK 4096
void kids_stick(struct rig *r);
/* How many were killed, those too who are about to be. */
unsigned kids_killed(struct rig *r);
/* Before rig_free. */
void kids_stop(struct rig *r);

#endif
