/* device/devices.h: the device types, and what all of them have in common.
 *
 * A device type is one folder and one line in devices.c. The daemon meets the
 * types only here: it reads "devices" of the config by device_union, asks how
 * many queues a device has, opens it, and hands it to vhost.
 * Threads: the main one, before the loops run. */
#ifndef VUB_DEVICE_DEVICES_H
#define VUB_DEVICE_DEVICES_H

#include "base/metrics.h"
#include "conf/conf.h"
#include "device/command.h"
#include "virtio/device.h"

struct store;

enum { ON_DISCONNECT_LISTEN, ON_DISCONNECT_EXIT };
enum { ISOLATION_NONE, ISOLATION_PROCESS };

/* The key "socket": where the front-end finds the device. */
struct device_socket {
    const char *path; /* as written: relative to runtime_dir. NULL: <id>.sock */
    unsigned mode;    /* permission bits of the socket file */
    uint32_t fd;      /* an inherited socket, if has_fd */
    bool has_fd;
};

/* The keys every device has. The config struct of each type starts with it,
 * so conf_any.data of a device may be read as one. */
struct device_common {
    const char *id;
    struct device_socket socket;
    uint32_t queue_size;     /* largest ring accepted */
    struct conf_strs worker; /* names of loops; none: one of its own */
    uint32_t poll_us;        /* spin budget; CONF_WORD(0): "always" */
    uint32_t drain_timeout;  /* ms */
    uint32_t hang_timeout;   /* ms; CONF_WORD(0): "never" */
    bool any_memory;
    unsigned on_disconnect; /* ON_DISCONNECT_* */
    unsigned isolation;     /* ISOLATION_* */
};

#define DEVICE_POLL_ALWAYS CONF_WORD(0)
#define DEVICE_HANG_NEVER CONF_WORD(0)

extern const struct conf_key device_common_keys[];

/* All device types, for the config: key "devices" of the document. */
extern const struct conf_union device_union;

/* What conf_table.ops of a device's table points at. */
struct device_type {
    /* c->data starts with struct device_common, and outlives the device, as
     * does everything it points at. (*out)->home and ring_loop are the
     * caller's to set. On failure errors are in e, and there is nothing to
     * close. */
    int (*open)(struct device **out, const struct conf_any *c, struct errs *e);
    /* How many queues a device of this config has: 1..DEVICE_MAX_QUEUES. For
     * spreading rings over workers before it is opened. */
    unsigned (*queues)(const void *conf);
    /* Loads the libraries that any device of this type may need: before a
     * sandbox, for those that come later. What fails is told again when it is
     * needed. NULL: none. */
    int (*ready)(struct err *e);
    /* What it can be told over the control socket; NULL: nothing. */
    const struct command *commands;
    /* [home] Its i-th store; NULL: it has fewer. For commands that are theirs:
     * store/command.h. NULL: it has none. */
    struct store *(*stores)(struct device *d, unsigned i);
    /* [home] Adds members to an object of its own: what there is to know of it
     * now, counters and all. NULL: nothing. */
    void (*status)(struct device *d, struct json_out *o);
    /* [home] The numbers among that, for monitoring. NULL: none. */
    void (*metrics)(struct device *d, struct metrics *m);
    /* The worker of devices that name none; NULL: one of its own for each. */
    const char *default_worker;
    /* Do its rings move blocks? Decides whether a loop may do page-cache I/O
     * inline: see loop_serves_one(). */
    bool is_block;
    /* May units with stores of their own be added while it runs? */
    bool grows;
};

static inline const struct device_type *device_type_of(const struct conf_any *c)
{
    return c->table->ops;
}

#endif
