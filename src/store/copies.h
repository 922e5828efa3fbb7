/* store/copies.h: reads and writes that are copies within memory, a batch of
 * them at a time. One thread. */
#ifndef VUB_STORE_COPIES_H
#define VUB_STORE_COPIES_H

#include "store/impl.h"

#define COPIES_BATCH 16

struct copies {
    struct store_req *req[COPIES_BATCH];
    unsigned num;
};

/* Between a request's pieces and the memory where its place is. */
void copies_one(const struct store_req *r, uint8_t *at);

/* Takes the read or write r, to be done by copies_step; false: there is no
 * room. */
static inline bool copies_add(struct copies *c, struct store_req *r)
{
    if (UNLIKELY(c->num == COPIES_BATCH))
        return false;
    c->req[c->num++] = r;
    return true;
}

/* Does the one that was added as number i; base: where offset 0 is. All are
 * done in their order. */
void copies_step(const struct copies *c, unsigned i, uint8_t *base);
/* After the last one, before anybody is told that it is done: what was written
 * is there for other threads too. */
void copies_end(void);

#endif
