/* virtio/turn.h: a turn of a device at a ring, for devices whose requests come
 * many at a time.
 *
 *     ring_turn_begin(&t, r, false);
 *     while ((n = ring_turn_next(&t)) > 0) {
 *         ... begin what each of t.group[0 .. n) asks for
 *         ring_turn_ahead(&t);
 *         ... do it: system calls, copies
 *     }
 *
 * The guest wrote all that we read on another core, and a line takes 50 to 200
 * ns from there. So the lines that a group of chains needs are asked for all at
 * once: descriptors, then headers and where answers are to be. If it is known
 * that there is more, the next group is taken before the work of this one is
 * done, and its lines travel meanwhile. It is not looked for just then: that
 * would take the line from the guest, which is writing it.
 *
 * A turn is bounded in chains and bytes, so that a busy guest does not keep the
 * loop from its sockets. What was taken ahead is given by the next
 * ring_turn_next, also when the ring has broken meanwhile: a turn goes on until
 * that returns 0, and then the device has every chain that was taken. */
#ifndef VUB_VIRTIO_TURN_H
#define VUB_VIRTIO_TURN_H

#include "virtio/ring.h"

#define TURN_CHAINS 256
#define TURN_BYTES (4u << 20)
#define TURN_GROUP 16

struct ring_turn {
    struct chain **group; /* as ring_turn_next has given it */
    uint64_t bytes; /* of chains; a device may add what they do not tell */

    /* virtio/ only */
    struct ring *ring;
    bool answer_first;
    unsigned chains; /* taken */
    unsigned ahead;  /* of these, in the group that is given next */
    bool dry;        /* the group that was given last was not full */
    bool second;     /* it is groups[1] */
    struct chain *groups[2][TURN_GROUP];
};

/* Where an answer is in what is to be written: before the data or behind it. */
void ring_turn_begin(struct ring_turn *t, struct ring *r, bool answer_first);
/* What has been answered is shown to the guest, unless the turn is over: then
 * that is ring_flush's. The next chains, t->group; how many, 0: it is over. */
unsigned ring_turn_next(struct ring_turn *t);
/* Takes what comes after the group that was given last, if it is known to be
 * there. */
void ring_turn_ahead(struct ring_turn *t);

#endif
