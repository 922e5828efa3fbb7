/* virtio/device.h: the seam between vhost and the devices.
 *
 * A device sees rings, features and its config space, never a socket; vhost
 * sees this table, never a disk. Each operation says where it runs: [home] on
 * the loop that owns the device's socket, [ring] on the loop of that ring.
 * Nothing blocks. NULL in the table: the default, as said.
 *
 * The life of a device, for each session (connection of a front-end):
 *
 *     features, config_read/config_write    any time
 *     start ... device_started              before the first ring starts
 *       ring_start                          per ring, on its loop
 *         ring_kick, chain_done ...         requests
 *         ring_drain                        take no more; hurry
 *       ring_stop                           nothing is in flight
 *     stop                                  the last ring has stopped
 *
 * and close() once, when no session is left. */
#ifndef VUB_VIRTIO_DEVICE_H
#define VUB_VIRTIO_DEVICE_H

#include "base/base.h"
#include "base/err.h"
#include "virtio/ring.h"

struct loop; /* loop/loop.h; virtio only hands it on */
struct device;

#define DEVICE_MAX_QUEUES 64

enum drain {
    DRAIN_BEGIN,  /* stop waiting on purpose: throttles, delays */
    DRAIN_CANCEL, /* drain_timeout has passed: give up what can be */
};

struct device_start {
    uint64_t features; /* those the front-end acked, virtio bits only */
    bool recovered;    /* another back-end served these rings before us, and
                        * what it knew of its guest is gone, but for what is in
                        * kept memory. It has ended, perhaps with requests in
                        * flight: spec, vhost-user, "Inflight I/O tracking" */
    bool resumed;      /* nothing was in flight: it has handed them on; or we
                        * have, and took them back (not recovered then) */
};

struct device_ops {
    /* Of the feature bits of the device type, 0 to 23, for people: [24], NULL
     * where there is none. NULL: none at all. */
    const char *const *feature_names;

    /* [home] Once, before all else here: its loops run. On failure only close
     * follows. NULL: nothing to do. */
    int (*begin)(struct device *d, struct err *e);

    /* [home] Feature bits of the device type, without the ring's. */
    uint64_t (*features)(struct device *d);

    /* [home] Writes the whole config space, config_len bytes, as it is now. */
    uint32_t config_len;
    void (*config_read)(struct device *d, void *config);
    /* [home] Bytes [offset, offset + len) of it are to change, which lies
     * inside config_len. What is not writable is ignored, unless nothing of it
     * is: then -EACCES. NULL: nothing is writable. */
    int (*config_write)(struct device *d, uint32_t offset, const void *data,
                        uint32_t len);
    /* To write there does something each time: it is not done again where the
     * device goes on in another process. */
    bool config_acts;

    /* [home] The first ring of a session may start. Answer with
     * device_started(), at once or later (a lock is waited for). NULL: at
     * once. stop may come before the answer, and then takes its place. */
    void (*start)(struct device *d, const struct device_start *s);
    /* [home] No ring runs, nothing is in flight. */
    void (*stop)(struct device *d);
    /* [home] Virtio device reset (RESET_DEVICE): back to the state of first
     * start, write cache and all. No ring runs. */
    void (*reset)(struct device *d);

    /* [ring] q is about to run; q->loop is this loop. May set q->user. Not 0:
     * the ring breaks, with the sentence in e. q->recovered says how many
     * requests of a crashed back-end ring_pop will give first. */
    int (*ring_start)(struct device *d, struct ring *q, struct err *e);
    /* [ring] Chains may be available: pop and answer each, once, with
     * chain_done(), any time. It may stop early to let others run (a bound in
     * bytes or requests): as long as chains are available it is called again
     * soon, unless they wait on purpose (ring_rest). */
    void (*ring_kick)(struct device *d, struct ring *q);
    /* [ring] No ring_kick comes any more. vhost sees by itself when all
     * chains are answered. */
    void (*ring_drain)(struct device *d, struct ring *q, enum drain how);
    /* [ring] After ring_start, when nothing is in flight. */
    void (*ring_stop)(struct device *d, struct ring *q);
    /* [ring] The front-end has changed its memory: ring_mem(q) is another map
     * from now on, and what d holds of the old one is to be let go. NULL: it
     * keeps no addresses beyond its chains. */
    void (*ring_remapped)(struct device *d, struct ring *q);

    /* [home] A display to show pictures on, of the front-end's (vhost-user,
     * "VHOST_USER_GPU_SET_SOCKET"): fd is a connected unix stream, does not
     * block, and is d's until device_give_back(). It takes the place of the one
     * before. -1: the front-end has gone, there is none. NULL: d shows
     * nothing. */
    void (*display)(struct device *d, int fd);

    /* [home] Another process is to go on with the display: nothing new is said
     * there; what was begun is ended, and what was asked is answered, or not
     * waited for any longer. Then the display is given back, and
     * device_display_left() says so; display() may come again. NULL: d shows
     * nothing. */
    void (*display_leave)(struct device *d);

    /* [home] The source of the config (a file's size) may have changed: look
     * again. NULL: nothing to look at. */
    void (*refresh)(struct device *d);

    /* [home, no ring runs] Another process goes on with this device: what it
     * knows and has not put into kept memory (os/keep.h) yet, it puts there
     * now. close follows, or start, if nothing comes of it. It may take long,
     * as long as its guest waits. NULL: all is there. */
    int (*save)(struct device *d, struct err *e);

    /* [home, rings may run] Its process is to be killed, and another one goes
     * on with it: that is how an isolated device is handed on. A negative errno
     * if it has what would be lost. NULL: it never has. */
    int (*may_be_killed)(struct device *d, struct err *e);

    /* [home, no session] Frees d, at once or later; device_gone comes first. */
    void (*close)(struct device *d);
};

/* What vhost does for a device. */
struct device_host {
    /* [home] device_start is answered; rc as device_started has it. */
    void (*started)(struct device *d, const struct err *e);
    /* [home] The config space has changed: tell the guest. */
    void (*config_changed)(struct device *d);
    /* [home] Front-ends are to be lost, as if their connections had broken.
     * NULL: nobody can do that. */
    void (*drop)(struct device *d, const char *why);
    /* [home] Closes what display() gave, which may take long. */
    void (*give_back)(struct device *d, int fd);
    /* [home] display_leave is answered. */
    void (*display_left)(struct device *d, bool whole);
};

struct device {
    const struct device_ops *ops;
    const char *id;      /* from the config, for log lines; not owned */
    unsigned num_queues; /* 1..DEVICE_MAX_QUEUES */
    uint32_t priv_size;  /* bytes of its request: chain_priv() */
    uint16_t chain_max;  /* descriptors a chain may have even if the ring has
                          * fewer: its seg_max + 2; 0: as the ring has */
    struct loop *home;   /* set before any operation by the daemon */
    struct loop **ring_loop;        /* [num_queues], likewise; not owned */
    const struct device_host *host; /* vhost's */
    void *host_data;                /* vhost's */
    /* [home] Its rings are drained and stopped, and it is, because another
     * process goes on: nothing of that is for the guest to notice. Set before
     * the first ring_drain of it, false again before the next start. vhost's */
    bool suspends;
    /* [home] Nothing of it is left, a while after close: it is freed next, and
     * may not be looked at. The daemon's; NULL: nobody waits for that. */
    void (*gone)(void *arg);
    void *gone_arg;
};

/* [home] The last thing that a device does before it frees itself: what the
 * config says of it is not looked at any more. */
static inline void device_gone(struct device *d)
{
    if (d->gone)
        d->gone(d->gone_arg);
}

/* [home] The answer to start: e NULL, or why rings cannot run; the session
 * then ends with that sentence. */
static inline void device_started(struct device *d, const struct err *e)
{
    d->host->started(d, e);
}

/* [home] Any time, from any of the device's operations too. */
static inline void device_config_changed(struct device *d)
{
    if (d->host)
        d->host->config_changed(d);
}

/* [home] Any time: the front-end is lost, whatever it is at; why: a clause for
 * people. Drains follow, from a turn of their own. */
static inline void device_drop(struct device *d, const char *why)
{
    if (d->host && d->host->drop)
        d->host->drop(d, why);
}

/* [home] fd is d's no more: closed, without waiting for that. */
static inline void device_give_back(struct device *d, int fd)
{
    d->host->give_back(d, fd);
}

/* [home] The answer to display_leave, from inside or later. whole: somebody
 * else may go on there; else there is no display, or it is in the middle of a
 * message. */
static inline void device_display_left(struct device *d, bool whole)
{
    d->host->display_left(d, whole);
}

#endif
