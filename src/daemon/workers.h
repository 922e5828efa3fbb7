/* daemon/workers.h: the threads that serve devices, each with one loop.
 *
 * A worker is known by its name. A device that names none uses that of its
 * type, or if the type has none one of its own, named by its id. A device that
 * names several has its home on the first, and its queue i on the (i mod
 * n)th.
 * Threads: the main one, but for what runs on the loops. */
#ifndef VUB_DAEMON_WORKERS_H
#define VUB_DAEMON_WORKERS_H

#include "base/list.h"
#include "device/devices.h"
#include "loop/loop.h"
#include "os/thread.h"

struct workers;

struct worker {
    char *name;
    struct loop loop;
    struct thread thread;
    bool runs;
    uint32_t seen_turns; /* watchdog.c's */
    unsigned stuck_s;    /* likewise */
    uint64_t cpu_ns;     /* likewise: when it was first seen in this turn */
    uint64_t busy_ms;    /* likewise: computed since then */

    /* workers.c's */
    struct workers *owner;
    struct list uses;
    struct mail stop, ended;
    bool alone; /* its thread's: it ends while others go on */
};

/* A device and a worker that it uses. */
struct worker_use {
    struct list node;
    struct worker *worker;
    const struct conf_any *device;
};

struct worker_uses {
    struct worker_use *list; /* [count], in the order of the queues */
    unsigned count;
};

struct workers {
    /* Set before the first is made. */
    struct loop *main;
    void (*begins)(struct loop *l); /* as struct loop has it */
    void *minder;
    void (*ended)(struct workers *ws); /* one has; NULL: nobody asks */

    struct worker **list; /* sorted by name */
    int count;
    unsigned ending; /* so many more, of which nobody knows any more */

    int room; /* workers.c's */
    bool closed;
};

/* The rules between devices that workers make. Devices may have bad keys. */
void workers_check(const struct conf_anys *devices, struct errs *e);

/* The worker of a device's queue; queue 0 is at home. */
const char *workers_name(const struct conf_any *device, unsigned queue);
/* Takes the workers that a device, which is good, needs, and opens the loops of
 * those that are new. device is kept. On failure there is nothing to leave. */
int workers_use(struct workers *ws, const struct conf_any *device,
                struct worker_uses *uses, struct err *e);
struct loop *workers_loop(const struct worker_uses *uses, unsigned queue);
/* Starts the threads of those that have none. Those that did start run on,
 * whatever it returns. */
int workers_start(struct workers *ws, struct err *e);
/* The device does not use them any more, and nothing of it is on their loops.
 * One that nobody uses ends. Safe on a zero struct. */
void workers_leave(struct workers *ws, struct worker_uses *uses);

/* Ends the loops and waits for the threads; nothing is served any more, and
 * none is ending. */
void workers_stop(struct workers *ws);
/* After stop. Uses may be left after it. Safe on a zero struct. */
void workers_close(struct workers *ws);

#endif
