/* daemon/workers.h: the threads that serve devices, each with one loop.
 *
 * A worker is known by its name. A device that names none uses that of its
 * type, or if the type has none one of its own, named by its id. A device that
 * names several has its home on the first, and its queue i on the (i mod
 * n)th.
 * Threads: the main one, but for what runs on the loops. */
#ifndef VUB_DAEMON_WORKERS_H
#define VUB_DAEMON_WORKERS_H

#include "device/devices.h"
#include "loop/loop.h"
#include "os/thread.h"

struct worker {
    const char *name; /* the config's */
    struct loop loop;
    struct thread thread;
    bool is_open, runs;
    struct mail stop;
};

struct workers {
    struct worker *list; /* sorted by name */
    int count;
};

/* The rules between devices that workers make. Devices may have bad keys. */
void workers_check(const struct conf_anys *devices, struct errs *e);

/* Opens the loop of every worker that the devices, which are good, need. On
 * failure there is nothing to close. */
int workers_open(struct workers *ws, const struct conf_anys *devices,
                 struct err *e);
/* The worker and the loop of a device's queue; queue 0 is at home. */
const char *workers_name(const struct conf_any *device, unsigned queue);
struct loop *workers_loop(const struct workers *ws,
                          const struct conf_any *device, unsigned queue);
/* Starts the threads. Those that did start run on, whatever it returns. */
int workers_start(struct workers *ws, struct err *e);
/* Ends the loops and waits for the threads; nothing is served any more. */
void workers_stop(struct workers *ws);
/* After stop. Safe on a zero struct. */
void workers_close(struct workers *ws);

#endif
