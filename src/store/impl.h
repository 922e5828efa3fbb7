/* store/impl.h: what kinds of stores need of store.c and of each other. For
 * store/ only.
 *
 * A kind's submit either ends a request at once (STORE_DONE, with r->result)
 * or keeps it (STORE_PENDING) and ends it later by store_complete. A filter
 * submits requests of its own below: see filter.h.
 *
 * A channel is not closed from inside a done: whoever completes requests in a
 * loop need not ask after each whether it still lives. */
#ifndef VUB_STORE_IMPL_H
#define VUB_STORE_IMPL_H

#include <errno.h>

#include "os/keep.h"
#include "store/store.h"

/* Kinds; a new one is a row here and one in store.c. */
extern const struct conf_table file_table, memory_table, null_table,
    fault_table, throttle_table, iscsi_store_table, delay_table, powercut_table,
    cow_table, trace_table;

/* A third answer of a kind's submit: the request itself went on to a channel
 * below, whose it is now, and ends there. See store_filter_pass. */
#define STORE_PASSED 2

/* A "size" that the config gives. */
void store_check_size(uint64_t size, const char *at, struct errs *e);

/* [home] Its size, or what it can do, is not what it was: tells its user. */
static inline void store_tell_changed(struct store *s)
{
    if (s->changed)
        s->changed(s->changed_arg);
}

/* [home] The front-end is to be lost. From inside a submit too; true: it will
 * be, which ends in a drain. False: nobody can do that. */
static inline bool store_tell_drop(struct store *s, const char *why)
{
    if (s->dropped)
        s->dropped(s->dropped_arg, why);
    return s->dropped != NULL;
}

/* [home] What was written is forgotten: see store_on_forget. */
static inline void store_tell_forgotten(struct store *s)
{
    if (s->forgot)
        s->forgot(s->forgot_arg);
}

/* What a piece of kept memory of a store is called: "NAME.WHAT", where WHAT
 * says the layout. */
int store_keep_name(char whole[KEEP_NAME_MAX + 1], const char *name,
                    const char *what, struct err *e);

/* Ends a request that submit left pending: on its channel's loop, never from
 * inside submit. The request may be gone after. */
void store_complete(struct store_req *r, int result);

/* Ends those requests of owner that are on a list, by their node, with -EIO.
 * For drain. */
void store_give_up(struct list *waiting, const void *owner);

/* Those requests of owner that are on a list, by their node, are in a hurry
 * from now on: whatever they have still to go through does not delay them on
 * purpose. For drain. */
void store_hurry(struct list *waiting, const void *owner);

/* The iovecs of r that are not done yet, as r->progress says: at most
 * `iov_max` of them. If progress lies inside an iovec, its rest comes alone,
 * in r->one. */
int store_rest(struct store_req *r, const struct iovec **iov, int iov_max);

static inline bool store_writes(enum store_op op)
{
    return op == STORE_WRITE || op == STORE_DISCARD || op == STORE_ZERO;
}

/* Bounce buffers for one channel: bounce.c. */
struct bounce;

/* NULL: out of memory. */
struct bounce *bounce_open(struct store_channel *ch);
void bounce_close(struct bounce *b); /* may be NULL; nothing is pending */
/* Does this request need a buffer of ours? */
bool bounce_needed(const struct store_info *info, const struct store_req *r);
/* As store_ops.submit. */
int bounce_submit(struct bounce *b, struct store_req *r);
/* What has not been sent yet of owner's requests is not sent any more. */
void bounce_give_up(struct bounce *b, const void *owner);

#endif
