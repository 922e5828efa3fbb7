/* store/parts.h: requests of a filter's own, each for a part of one above.
 *
 * They are kept when they are done, with room for as many pieces of memory as
 * they have had, so that nothing is allocated once there are enough. One
 * thread. For store/ only. */
#ifndef VUB_STORE_PARTS_H
#define VUB_STORE_PARTS_H

#include "store/impl.h"

struct part {
    struct store_req req;
    void *user;
    struct iovec *iov; /* [room] */
    int room;
};

struct parts {
    struct list spare;
};

void parts_init(struct parts *p);
void parts_fini(struct parts *p); /* all were put back */
/* One whose req is zeros, but for iov; with room for iov_num pieces. NULL: no
 * memory. */
struct part *parts_get(struct parts *p, int iov_num);
void parts_put(struct parts *p, struct part *part);

/* The part [offset, offset + len) of the read or write r, or as much of any
 * other: its owner and whether it is in a hurry are as those of r. done and
 * user are the caller's to set. NULL: no memory. */
struct part *parts_of(struct parts *p, const struct store_req *r,
                      uint64_t offset, uint64_t len);

/* The read r ends when all of the parts that it is split into have: begin,
 * then send any number of ranges to channels below, then end, which returns
 * what submit has to. Uses r->progress and r->result. */
void parts_split_begin(struct store_req *r);
void parts_split_send(struct parts *p, struct store_channel *next,
                      struct store_req *r, uint64_t from, uint64_t to);
int parts_split_end(struct store_req *r);

static inline struct part *part_of(struct store_req *r)
{
    return container_of(r, struct part, req);
}

#endif
