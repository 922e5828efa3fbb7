/* store/cow_impl.h: what the files of filter `cow` share.
 *
 * cow.c is the filter: its life and config; cow_request.c what becomes of a
 * request; cow_job.c how blocks get into the overlay; cow_flush.c how the map
 * gets to its file; cow_overlay.c where written blocks are, and the map;
 * cow_task.c what is done on command. Threads: the home loop, on which its
 * channels are, too (it is serial). */
#ifndef VUB_STORE_COW_IMPL_H
#define VUB_STORE_COW_IMPL_H

#include "base/bitmap.h"
#include "base/log.h"
#include "loop/loop.h"
#include "store/command.h"
#include "store/filter.h"
#include "store/parts.h"

/* The map on a file is written in pages of so many bytes. */
#define COW_PAGE_BYTES 4096u
#define COW_PAGE_BLOCKS (COW_PAGE_BYTES * 8u)
/* More blocks than this need more memory for a map than a slip of a config
 * should take. */
#define COW_BLOCKS_MAX (UINT64_C(1) << 36)

struct cow_conf {
    struct conf_any next;
    const char *name, *overlay; /* NULL: none; memory */
    uint64_t max_memory;        /* bytes; 0: no limit */
    uint32_t block_size;
};

struct cow_task;

/* Writing the map: see cow_flush.c. */
struct cow_flush {
    struct list waiting, now; /* requests */
    bool busy;
    struct store_req req;
    struct iovec iov;
    uint8_t *pages;   /* a copy of those that are written */
    uint64_t *number; /* which ones */
    uint64_t num, next;
};

struct cow {
    struct store_filter filter;
    const struct cow_conf *conf;
    struct loop *home;
    struct list channels; /* of rings, of a filter above, and of a task */

    struct store *over;        /* the overlay, as large as the disk or larger */
    struct conf_doc *doc;      /* its config */
    uint64_t blocks, data_len; /* data_len: where on a file the map's head is */
    unsigned shift;            /* of the block size */
    uint8_t *ours;             /* a bit for each block: it is in the overlay, */
    uint8_t *taken;            /* and takes room there: it is not just zeros */
    uint64_t map_len;          /* bytes of one of them, whole pages */
    uint64_t num_ours, num_taken, num_reserved, max_taken;
    uint8_t *dirty; /* a byte for each page of `ours`: it is not on the file */
    uint64_t num_dirty;
    struct log_limit limit;
    struct kept kept; /* a struct cow_state */

    struct list jobs;    /* those that put blocks into the overlay */
    struct list passing; /* writes to it as they are, if memory is bounded */
    struct list waiting; /* requests that would be in the way of others */
    bool going, again;
    struct cow_flush flush;

    void (*gone)(void *arg); /* it ends when the task has; NULL: not yet */
    void *gone_arg;
    struct cow_task *task; /* NULL: nothing is done on command */
};

struct cow_channel {
    struct store_filter_channel filter;
    struct list node; /* in cow->channels */
    struct store_channel *over;
    struct parts parts;
};

static inline struct cow *cow_of(struct store *s)
{
    return container_of(s, struct cow, filter.store);
}

static inline struct cow_channel *cow_channel_of(struct store_channel *ch)
{
    return container_of(ch, struct cow_channel, filter.ch);
}

/* The first and the last block of a request that is not empty. */
static inline uint64_t cow_first(const struct cow *c, const struct store_req *r)
{
    return r->offset >> c->shift;
}

static inline uint64_t cow_last(const struct cow *c, const struct store_req *r)
{
    return (r->offset + r->len - 1) >> c->shift;
}

static inline bool cow_is_on_file(const struct cow *c)
{
    return c->conf->overlay != NULL;
}

/* cow_request.c */
int cow_submit(struct store_channel *ch, struct store_req *r);
void cow_kick(struct store_channel *ch);
void cow_drain(struct store_channel *ch, const void *owner, bool cancel);
/* What requests may wait for is over: they have their turn again. */
void cow_retry(struct cow *c);

/* cow_job.c: r writes, discards or zeroes. */
bool cow_meets_job(const struct cow *c, const struct store_req *r);
bool cow_needs_job(const struct cow *c, const struct store_req *r);
/* As submit; it meets no other job. */
int cow_start_job(struct cow_channel *c, struct store_req *r);

/* cow_flush.c */
int cow_flush_submit(struct cow_channel *c, struct store_req *r);
/* Begins the next one, if some wait and none is under way. */
void cow_flush_next(struct cow *c);

/* cow_overlay.c: the store that is the overlay, and what its map says, of
 * blocks [from, to). */
int cow_overlay_open(struct cow *c, const char *at, struct errs *e);
void cow_overlay_close(struct cow *c);
void cow_set_ours(struct cow *c, uint64_t from, uint64_t to, bool ours);
void cow_set_taken(struct cow *c, uint64_t from, uint64_t to, bool taken);

/* cow.c: whether there is anything in the overlay has changed. */
void cow_keep_state(struct cow *c);

/* cow_task.c */
extern const struct store_command cow_commands[];
/* Nobody but the task itself changes the overlay while it is at work: what it
 * has seen already would be forgotten with the rest. */
bool cow_task_keeps_out(const struct cow *c, const struct store_channel *ch);
/* The last channel has closed. */
void cow_task_rings_stopped(struct cow *c);
/* The disk is closed: what can be left undone is. */
void cow_task_give_up(struct cow *c);

#endif
