/* store/mapped.h: I/O on cached data by copying, between a guest and a mapping
 * of the image, without a system call. For the file store only; mapped.c says
 * when. */
#ifndef VUB_STORE_MAPPED_H
#define VUB_STORE_MAPPED_H

#include "store/copies.h"
#include "store/guard.h"

/* Of one store, shared by its channels. */
struct mapped;

enum mapped_writes {
    MAPPED_NO_WRITES,
    MAPPED_WRITES_BACK, /* there is a disk to which they go some time */
    MAPPED_WRITES_STAY, /* there is none */
};

/* fd: of a regular file of len bytes; stays the caller's, and open. What it
 * grows by is not mapped. most: so many bytes are. NULL: it cannot be done for
 * this file, or on this system. */
struct mapped *mapped_open(int fd, uint64_t len, uint64_t most,
                           enum mapped_writes writes);
/* m may be NULL. No channel is open. */
void mapped_close(struct mapped *m);
/* The range is about to be a hole. m may be NULL. [any thread] */
void mapped_forget(struct mapped *m, uint64_t offset, uint64_t len);
/* What was written is about to be written back. m may be NULL. [any thread] */
void mapped_flushed(struct mapped *m);

/* Of one channel: requests that will be done together. */
struct mapped_batch {
    struct mapped *mapped; /* NULL: none */
    struct copies copies;
    struct guard guard;
    uint64_t touched_ns; /* when a write was left to a system call */
};

/* m may be NULL: nothing is taken. */
void mapped_batch_init(struct mapped_batch *b, struct mapped *m);
/* Takes the read or write r, for mapped_run; false: this one cannot be done so,
 * or not now. */
bool mapped_add(struct mapped_batch *b, struct store_req *r);
/* Does what was added: how many of them are done, from the first; the others
 * are to be done otherwise. They stay in copies until the caller has looked. */
unsigned mapped_run(struct mapped_batch *b);

#endif
