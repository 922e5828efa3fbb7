/* store/steps.h: work of our own that is too long for one turn of a loop.
 *
 * Copying and clearing memory is done on the loop itself, which may serve
 * other devices, and a guest may ask for gigabytes of it in one request (its
 * descriptors may all point at the same page). Such a request is pending, and
 * a bounded part of it is done in each turn, in turn with others of its
 * channel. Sockets, timers, other devices, and a drain come in between. For
 * store/ only. */
#ifndef VUB_STORE_STEPS_H
#define VUB_STORE_STEPS_H

#include "loop/loop.h"
#include "store/impl.h"

/* Of one channel. */
struct steps {
    struct loop *loop;
    struct list waiting; /* requests */
    struct spin spin;    /* on the loop while any is waiting */
    /* Does a little of r, and adds it to r->progress: called as often as a
     * turn has time for. */
    void (*step)(struct store_req *r);
};

void steps_init(struct steps *s, struct loop *loop,
                void (*step)(struct store_req *r));
/* None is waiting. */
void steps_fini(struct steps *s);

/* r is pending; it ends when r->progress is r->len. */
void steps_add(struct steps *s, struct store_req *r);
/* Those of owner end here, undone. */
void steps_give_up(struct steps *s, const void *owner);

/* Done to each piece of memory of a read or a write: `at` is where its bytes
 * are in the store, from the store's start. */
typedef void steps_piece(struct store_req *r, struct iovec piece, uint64_t at);
/* Calls it for the next `len` bytes of r, no more than there are, and adds
 * them to r->progress. */
void steps_move(struct store_req *r, uint64_t len, steps_piece *piece);

#endif
