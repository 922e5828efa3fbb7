/* store/filter.h: a store around a store.
 *
 * A filter starts as a copy of what it wraps: the same description, and every
 * operation passed on. It then does its own in submit, and passes on what it
 * lets through with store_filter_forward. For store/ only. */
#ifndef VUB_STORE_FILTER_H
#define VUB_STORE_FILTER_H

#include "store/impl.h"

struct store_filter {
    struct store store;
    struct store *next; /* owned */
};

struct store_filter_channel {
    struct store_channel ch;
    struct store_channel *next; /* owned */
    struct list spare;          /* requests below, not in use */
};

/* A filter of size bytes, which begin with a struct store_filter; next is
 * opened below it, and what follows is zero. On failure errors are in e, and
 * there is nothing to close. */
int store_filter_new(struct store **out, size_t size, const struct conf_any *c,
                     const struct conf_any *next, bool read_only,
                     const char *id, struct errs *e);
/* Closes next, and frees s. */
void store_filter_free(struct store *s);

/* The same of a channel, which begins with a struct store_filter_channel. */
int store_filter_channel_new(struct store_channel **out, size_t size,
                             struct store *s, struct loop *loop, struct err *e);
void store_filter_channel_free(struct store_channel *ch);
/* Closes next, and leaves ch to be freed when what it has beside is gone. */
void store_filter_channel_close(struct store_channel *ch);

/* What asks the store below for the same as r; done finds r as `above`. */
static inline struct store_req
store_filter_below(struct store_req *r, void (*done)(struct store_req *below))
{
    return (struct store_req){
        .op = r->op,
        .flags = r->flags,
        .offset = r->offset,
        .len = r->len,
        .iov = r->iov,
        .iov_num = r->iov_num,
        .done = done,
        .owner = r->owner,
        .above = r,
    };
}

/* Sends r to next, as submit does; it ends as next ends it. */
int store_filter_forward(struct store_filter_channel *c, struct store_req *r);

/* The same without a request of our own, for a filter that does nothing when r
 * ends, and need not know when. */
static inline int store_filter_pass(struct store_channel *next,
                                    struct store_req *r)
{
    return store_submit(next, r) == STORE_PENDING ? STORE_PASSED : STORE_DONE;
}

/* Keys that filters have in common: of a struct with a member of that name. */
#define STORE_FILTER_NAME(type)                                                \
    {                                                                          \
        "name", CONF_STR, CONF_AT(type, name),                                 \
            .min = 1, .max = 64,                                               \
            .help =                                                            \
                "By which commands find it, and status and events tell it "    \
                "from others, if its device has more of them."                 \
    }
#define STORE_FILTER_SEED(type, text)                                          \
    {                                                                          \
        "seed", CONF_SIZE, CONF_AT(type, seed),                                \
            .def = "1",                                                        \
            .help = "Where what is left to chance begins: with the same seed " \
                    "and the same requests " text                              \
    }

/* Rows of a filter's table that do no more than pass it on. */
int store_filter_begin(struct store *s, struct loop *home, struct err *e);
void store_filter_end(struct store *s, void (*gone)(void *arg), void *arg);
int store_filter_acquire(struct store *s, struct err *e);
void store_filter_release(struct store *s);
int store_filter_refresh(struct store *s, struct err *e);
int store_filter_resize(struct store *s, uint64_t size, struct err *e);
struct store *store_filter_next(const struct store *s);
int store_filter_sync(struct store *s);
int store_filter_keep(struct store *s, const char *name, struct err *e);
int store_filter_save(struct store *s, struct err *e);
void store_filter_kick(struct store_channel *ch);
void store_filter_drain(struct store_channel *ch, const void *owner,
                        bool cancel);

/* For the keep of a filter whose content does not outlive the process: another
 * one goes on with the filter if it had no content. What is kept, as `what`, is
 * a struct of len bytes whose first member is a uint64_t, 0 if there is some.
 * *was: as it was left; zeros: nobody has left any. */
int store_filter_keep_empty(struct store *s, const char *name, const char *what,
                            struct kept *kept, void *was, uint32_t len,
                            struct err *e);

#endif
