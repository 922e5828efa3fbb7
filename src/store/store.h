/* store/store.h: where blocks live.
 *
 * A store is a shared, immutable description (but for its size) and a channel
 * per loop with its own state. Filters are stores around a store.
 *
 * store_submit answers STORE_DONE, with req->result set, or STORE_PENDING;
 * then req->done comes exactly once, on the channel's loop, never from inside
 * submit. store_kick ends a batch of submits: what was queued is sent with
 * one system call, and what is done by that comes from inside the kick. Short
 * reads and writes, alignment of memory (bounce buffers) and ranges are dealt
 * with here: a caller sees whole requests only. There is no read-modify-write:
 * offsets and lengths are multiples of info.block_size, which is an open error
 * if direct I/O cannot do it.
 *
 * Threads: open, close, acquire, release and refresh on the device's home
 * loop; a channel on its loop only. */
#ifndef VUB_STORE_STORE_H
#define VUB_STORE_STORE_H

#include <errno.h>
#include <sys/uio.h>

#include "base/base.h"
#include "base/err.h"
#include "base/json_out.h"
#include "base/list.h"
#include "conf/conf.h"

struct loop;
struct store;
struct store_channel;
struct metrics;
struct store_command;
struct store_metrics_to;
struct store_req;

/* Of a size: so that no sum of an offset and a length of a store wraps, in
 * bytes or as the kernel's loff_t. */
#define STORE_SIZE_MAX (UINT64_C(1) << 62)

enum store_op {
    STORE_READ,
    STORE_WRITE,
    STORE_FLUSH,   /* all completed writes are on stable storage */
    STORE_DISCARD, /* the range's content does not matter any more */
    STORE_ZERO,    /* the range reads as zeros; see STORE_UNMAP */
};

enum {
    STORE_FUA = 1 << 0,   /* a write is on stable storage when done */
    STORE_UNMAP = 1 << 1, /* zeroing may give space back */
    STORE_HURRY = 1 << 2, /* its owner drains, and it is part of what had begun:
                           * it is not delayed on purpose */
};

enum { STORE_DONE, STORE_PENDING };

/* A result that no disk has: the ring that the request came by breaks, since a
 * filter was told to break it. */
#define STORE_BREAKS_RING (-ENOTRECOVERABLE)

struct store_req {
    enum store_op op;
    uint16_t flags;          /* STORE_FUA, STORE_UNMAP, STORE_HURRY, which a
                              * drain may add */
    uint16_t user;           /* the caller's, left alone */
    uint64_t offset, len;    /* bytes */
    const struct iovec *iov; /* of a read or write: len bytes in all; good
                              * until done */
    int iov_num;
    int result; /* 0 or a negative errno */
    void (*done)(struct store_req *r);
    const void *owner; /* who drains it: see store_drain */

    uint64_t progress; /* the store's: bytes done so far */
    /* What is needed of a request that is done at once ends here, after 64
     * bytes. The rest is the store's, while it is pending. */
    struct store_channel *channel;
    struct list node;
    struct iovec one;        /* the rest of an iovec that is partly done */
    struct store_req *above; /* a filter's: for whom this one is */
};

struct store_info {
    uint64_t size;       /* bytes; changes on the home loop: store_size() */
    uint32_t block_size; /* offsets and lengths are multiples of it */
    uint32_t mem_align;  /* of memory; 1: none */
    uint32_t physical_block_size, opt_io_size; /* bytes; 0: unknown */
    uint32_t discard_align;                    /* bytes; 0: unknown */
    bool read_only, can_discard, can_zero;
    bool discard_zeroes; /* what is discarded reads as zeros, whole blocks */
    bool cached;         /* writes need a flush to be stable */
    bool is_volatile;    /* content does not outlive the process, */
    bool is_found;       /* but this is what another one has left: store_keep */
    bool serial;         /* its device must run on one loop */
    bool pending;        /* atomic: the size is not known yet, and 0: requests
                          * wait. It ends once, on the home loop */
};

struct store_ops {
    const char *type;
    bool serial; /* see info.serial, which has it from here */
    /* [home] conf is the struct of this type's conf_table. */
    int (*open)(struct store **out, const struct conf_any *c, bool read_only,
                const char *id, struct errs *e);
    void (*close)(struct store *s);
    /* [home] Its device's loops run: sizes come to be known, or change by
     * themselves, which store_tell_changed tells. On failure there is nothing
     * to end. NULL: it has nothing to tell. */
    int (*begin)(struct store *s, struct loop *home, struct err *e);
    /* [home] No channel is open. Calls gone, at once or later. */
    void (*end)(struct store *s, void (*gone)(void *arg), void *arg);
    /* [home] Take what two users of one image must not both have; see
     * store_acquire. NULL: nothing to take. */
    int (*acquire)(struct store *s, struct err *e);
    void (*release)(struct store *s);
    /* [home] Look again at the size: 1 changed, 0 not, negative errno. */
    int (*refresh)(struct store *s, struct err *e);

    /* [home] Be of this size, whole blocks. NULL: its size is not ours. */
    int (*resize)(struct store *s, uint64_t size, struct err *e);

    /* [home] Adds members to an object: what there is to know beside info, of
     * itself and not of what it is around. NULL: nothing. */
    void (*status)(const struct store *s, struct json_out *o);
    /* [home] The same in numbers, of a filter: store/metrics.h. NULL: none. */
    void (*metrics)(const struct store *s, const struct store_metrics_to *to);

    /* What it is around, of a filter. NULL: nothing. */
    struct store *(*next)(const struct store *s);
    /* What it can be told: store/command.h. NULL: nothing. */
    const struct store_command *commands;

    /* [where it was opened, just now] See store_keep. Ends with close. NULL:
     * it has nothing to keep. */
    int (*keep)(struct store *s, const char *name, struct err *e);
    /* [home, nothing is pending on any loop] As device_ops.save; after keep.
     * NULL: nothing is left to be saved. */
    int (*save)(struct store *s, struct err *e);

    /* [any, may block] All that is written is stable. NULL: it is. */
    int (*sync)(struct store *s);

    int (*channel_open)(struct store_channel **out, struct store *s,
                        struct loop *loop, struct err *e);
    void (*channel_close)(struct store_channel *ch); /* nothing is pending */
    int (*submit)(struct store_channel *ch, struct store_req *r);
    void (*kick)(struct store_channel *ch); /* NULL: nothing is queued */
    /* As store_drain. NULL: nothing to do. */
    void (*drain)(struct store_channel *ch, const void *owner, bool cancel);
};

struct store {
    const struct store_ops *ops;
    struct store_info info;
    const char *id;   /* of the device, for log lines */
    const char *name; /* of a filter, by which commands find it; the config's.
                       * NULL: none */
    struct store *above; /* the filter that is around it; NULL: none */

    /* store.c's */
    void (*changed)(void *arg);
    void *changed_arg;
    void (*dropped)(void *arg, const char *why);
    void *dropped_arg;
    void (*forgot)(void *arg);
    void *forgot_arg;
    bool begun;
};

/* One per loop; made when the first ring on that loop starts. */
struct store_channel {
    struct store *store;
    struct loop *loop;
    unsigned pending;      /* store.c's: requests between submit and done */
    struct bounce *bounce; /* store.c's: NULL where none can be needed */
};

/* All kinds of stores, for the config: key "store" of devices. */
extern const struct conf_union store_union;

/* Rules for sizes of blocks that a config gives; 0: the store's own. Under the
 * keys "logical_block_size" and "physical_block_size" of what is at `at`. */
void store_check_blocks(uint32_t logical, uint32_t physical, const char *at,
                        struct errs *e);
/* Rules between the stores that one stands on, itself among them: of a config
 * that is without mistakes otherwise. */
void store_check_stack(const struct conf_any *c, struct errs *e);
int store_open(struct store **out, const struct conf_any *c, bool read_only,
               const char *id, struct errs *e);
/* After store_open: what it has that is neither in its config nor on a medium
 * is kept for a process that goes on with it (os/keep.h), and what another has
 * left is taken. name: a short one, which no other store of the device has; a
 * filter gives what is below it a longer one. */
int store_keep(struct store *s, const char *name, struct err *e);
/* [home, nothing is pending on any loop] Another process goes on with it: what
 * is left to be put into kept memory is put there. It can be used as before. */
int store_save(struct store *s, struct err *e);
/* Will it be serial, as its config says? False for one with mistakes in it. */
bool store_is_serial(const struct conf_any *c);
/* [home] The device's loops run. changed(arg) is called on home whenever the
 * size, or what else info says of it, is not what it was, without anybody
 * having asked. Then store_end comes before store_close. */
int store_begin(struct store *s, struct loop *home, void (*changed)(void *arg),
                void *arg, struct err *e);
/* [home] After store_begin, until store_end: a filter may want the front-end to
 * be lost, as if its connection had broken. dropped(arg, why) is called on
 * home, perhaps from inside a submit; why: a clause, for people. */
void store_on_drop(struct store *s, void (*dropped)(void *arg, const char *why),
                   void *arg);
/* [home] The same: all that was written to s is forgotten, on command. No
 * channel of it is open, and whoever has some of it forgets it too. */
void store_on_forget(struct store *s, void (*forgot)(void *arg), void *arg);
/* [home] No channel is open; changed is not called any more. gone is, at once
 * or later. Safe without begin. */
void store_end(struct store *s, void (*gone)(void *arg), void *arg);
/* No channel is open. s may be NULL. */
void store_close(struct store *s);

/* [home] Before the first request of a session: takes the image lock. -EAGAIN
 * with a sentence while somebody else has it: try again a little later. */
int store_acquire(struct store *s, struct err *e);
/* [home] After the last one. Safe without acquire. */
void store_release(struct store *s);
/* [home] 1: the size has changed, 0: not, negative: e says why not known. */
int store_refresh(struct store *s, struct err *e);
/* [home] Changes the size, at most STORE_SIZE_MAX, whose content is zeros where
 * it grows. */
int store_resize(struct store *s, uint64_t size, struct err *e);
/* What s is around. NULL: nothing. */
struct store *store_next(const struct store *s);
/* [home] Adds members to an object: "filters", a list of those that have
 * something to tell, and what the store below them knows of itself. */
void store_status(const struct store *s, struct json_out *o);
/* [home] Only the filters. */
void store_filters_status(const struct store *s, struct json_out *o);
/* [home] Samples of the filters that s is, or is around. where: labels that
 * they have beside; "": none. */
void store_metrics(const struct store *s, struct metrics *m, const char *where);
/* [any thread; blocks] All completed writes are stable; a negative errno if
 * that is not known. For what is no request of a guest. */
int store_sync(struct store *s);
/* Bytes. Any thread. */
uint64_t store_size(const struct store *s);
bool store_is_pending(const struct store *s); /* any thread */

int store_channel_open(struct store_channel **out, struct store *s,
                       struct loop *loop, struct err *e);
/* Nothing is pending. Not from inside a done. */
void store_channel_close(struct store_channel *ch);

/* "reading", for log lines. */
const char *store_op_name(enum store_op op);
/* "read", as configs and events have it. */
const char *store_op_word(enum store_op op);

/* Out of range, or a write to a read-only store, are -EIO and -EROFS, done;
 * callers check before. */
int store_submit(struct store_channel *ch, struct store_req *r);
/* Ends a batch of submits, whether any is pending or not. */
void store_kick(struct store_channel *ch);
/* No more requests of owner come: stop delaying on purpose those that are
 * pending; cancel: give up what can be given up. Each still ends once, through
 * done, perhaps in here. Those of others on the channel go on. */
void store_drain(struct store_channel *ch, const void *owner, bool cancel);

#endif
