/* Copies are done together: the store's memory is in no cache, and while one
 * request is copied the first lines of the next one to be read can be on their
 * way. The processor sees the rest coming by itself. For random 4 KiB that is a
 * third of a read's time. Writes go past the caches (base/stream.h), which is a
 * third of theirs: a guest that wants to read again soon what it has written
 * has a cache of its own. */
#include "store/copies.h"

#include <string.h>

#include "base/stream.h"

#define LINE_BYTES 64
#define AHEAD_LINES 8

void copies_one(const struct store_req *r, uint8_t *at)
{
    for (int i = 0; i < r->iov_num; i++) {
        if (r->op == STORE_READ)
            memcpy(r->iov[i].iov_base, at, r->iov[i].iov_len);
        else
            stream_copy(at, r->iov[i].iov_base, r->iov[i].iov_len);
        at += r->iov[i].iov_len;
    }
}

/* Asks for the beginning of a place in the store. */
static void look_ahead(const uint8_t *at)
{
    for (unsigned i = 0; i < AHEAD_LINES; i++)
        __builtin_prefetch(at + i * LINE_BYTES);
}

void copies_end(void)
{
    stream_end();
}

void copies_step(const struct copies *c, unsigned i, uint8_t *base)
{
    if (i + 1 < c->num && c->req[i + 1]->op == STORE_READ)
        look_ahead(base + c->req[i + 1]->offset);
    copies_one(c->req[i], base + c->req[i]->offset);
}
