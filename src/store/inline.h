/* store/inline.h: file I/O on the spot, where it nearly never waits. For the
 * file store only; inline.c says what is done where. */
#ifndef VUB_STORE_INLINE_H
#define VUB_STORE_INLINE_H

#include "os/file.h"
#include "store/guard.h"
#include "store/impl.h"

enum trial {
    TRIAL_NO,
    TRIAL_NOWAIT,  /* asks not to wait */
    TRIAL_GUARDED, /* cannot ask: waits seldom */
    TRIAL_PLAIN,   /* waits for nobody */
};

#define INLINE_BATCH 16

struct inline_io {
    int fd;
    enum file_medium medium;
    enum trial read, write;
    struct guard guard; /* of writes */

    struct store_req *added[INLINE_BATCH];
    unsigned num_added;
};

struct inline_done {
    struct store_req *req;
    ssize_t bytes; /* as inline_try says it */
};

/* fd stays the caller's. */
void inline_init(struct inline_io *io, int fd, enum file_medium medium);
/* Does nothing inline, ever. */
void inline_init_never(struct inline_io *io);

/* Bytes of the read or write r that are done, from its start; what is left,
 * or all of it after a negative errno, is the engine's. */
ssize_t inline_try(struct inline_io *io, const struct store_req *r);
/* Takes the read or write r, to be done by inline_run; false: this one cannot
 * be done so, or not now. */
bool inline_add(struct inline_io *io, struct store_req *r);
/* Does what was added, and says in done what came of it. Returns how many. */
unsigned inline_run(struct inline_io *io,
                    struct inline_done done[INLINE_BATCH]);
/* No more calls follow at once. */
void inline_batch_end(struct inline_io *io);

/* Does nothing on this medium wait? */
static inline bool inline_is_plain(const struct inline_io *io)
{
    return io->write == TRIAL_PLAIN;
}

#endif
