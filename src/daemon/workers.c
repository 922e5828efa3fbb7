/* Workers are found from the devices' side: every device uses some names, and
 * the uses sorted by name are the workers. The rules and the loops are made
 * from the same list, so they cannot differ in who shares what. */
#include "daemon/workers.h"

#include <stdlib.h>
#include <string.h>

/* A device uses a worker. */
struct use {
    const char *name;
    int device;
    bool own;     /* the name is the device's id: it named no worker */
    bool by_type; /* nor did this one, but its type has one for all */
};

static const struct device_common *common(const struct conf_anys *devices,
                                          int i)
{
    return devices->list[i].data;
}

/* ---- who uses whom ---- */

static int compare_uses(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : (x->device > y->device) - (x->device < y->device);
}

/* All uses, sorted by name. NULL: no memory. The caller frees them. */
static struct use *list_uses(const struct conf_anys *devices, int *count)
{
    size_t room = 0;
    struct use *uses;

    for (int i = 0; i < devices->count; i++)
        room += (size_t)MAX(common(devices, i)->worker.count, 1);
    uses = calloc(room + 1, sizeof(*uses));
    if (!uses)
        return NULL;
    *count = 0;
    for (int i = 0; i < devices->count; i++) {
        const struct device_common *d = common(devices, i);

        const char *shared = device_type_of(&devices->list[i])->default_worker;

        for (int j = 0; j < d->worker.count; j++)
            uses[(*count)++] = (struct use){.name = d->worker.list[j], i};
        if (d->worker.count)
            continue;
        if (shared)
            uses[(*count)++] = (struct use){shared, i, .by_type = true};
        else if (d->id)
            uses[(*count)++] = (struct use){d->id, i, .own = true};
    }
    qsort(uses, (size_t)*count, sizeof(*uses), compare_uses);
    return uses;
}

/* ---- rules ---- */

/* The uses of one name: [from, to). */
static void check_worker(const struct conf_any *devices, const struct use *from,
                         const struct use *to, struct errs *e)
{
    const struct use *owner = NULL;
    bool named = false, told = false;
    bool shared = to[-1].device != from->device;

    for (const struct use *u = from; u < to; u++) {
        if (u->own)
            owner = u;
        else
            named = true;
        if (u > from && u[-1].device == u->device)
            errs_at(e, devices[u->device].at, "worker",
                    "names \"%.64s\" more than once", u->name);
    }
    if (!shared || !named)
        return; /* two of one id are another error */
    for (const struct use *u = from; u < to; u++) {
        const struct use *other = u->device == from->device ? to - 1 : from;
        const struct device_common *d = devices[u->device].data;

        if (owner && u->by_type && !told)
            errs_at(e, devices[owner->device].at, "worker",
                    "a worker of its own would be called \"%.64s\", which is "
                    "the one of %s and its like: name one",
                    u->name, devices[u->device].at);
        else if (owner && !u->own && !u->by_type)
            errs_at(e, devices[u->device].at, "worker",
                    "\"%.64s\" is the own worker of %s, which would have to "
                    "name it to share it",
                    u->name, devices[owner->device].at);
        told |= u->by_type;
        if (d->poll_us == DEVICE_POLL_ALWAYS)
            errs_at(e, devices[u->device].at, "poll_us",
                    "\"always\" takes a worker of its own, but \"%.64s\" "
                    "serves %s too",
                    u->name, devices[other->device].at);
    }
}

void workers_check(const struct conf_anys *devices, struct errs *e)
{
    int count = 0;
    struct use *uses = list_uses(devices, &count);

    if (!uses) {
        errs_nomem(e);
        return;
    }
    for (int from = 0, to = 0; from < count; from = to) {
        while (to < count && strcmp(uses[from].name, uses[to].name) == 0)
            to++;
        check_worker(devices->list, &uses[from], &uses[to], e);
    }
    free(uses);
}

/* ---- loops ---- */

static struct worker *find(const struct workers *ws, const char *name)
{
    int low = 0, high = ws->count;

    while (low < high) {
        int mid = (low + high) / 2, order = strcmp(name, ws->list[mid].name);

        if (order == 0)
            return &ws->list[mid];
        if (order < 0)
            high = mid;
        else
            low = mid + 1;
    }
    return NULL;
}

const char *workers_name(const struct conf_any *device, unsigned queue)
{
    const struct device_common *d = device->data;
    const char *shared = device_type_of(device)->default_worker;

    if (!d->worker.count)
        return shared ? shared : d->id;
    return d->worker.list[queue % (unsigned)d->worker.count];
}

struct loop *workers_loop(const struct workers *ws,
                          const struct conf_any *device, unsigned queue)
{
    return &find(ws, workers_name(device, queue))->loop;
}

/* A worker that no queue falls to is not made: `used` says which. */
static void note_device(struct workers *ws, const struct conf_any *any)
{
    const struct device_type *type = device_type_of(any);
    const struct device_common *d = any->data;
    unsigned queues = type->queues(any->data);
    unsigned used = MIN(queues, (unsigned)MAX(d->worker.count, 1));

    for (unsigned i = 0; i < used; i++) {
        struct loop *l = workers_loop(ws, any, i);

        l->devices++;
        l->block_devices += type->is_block;
        l->spin_max_us = d->poll_us == DEVICE_POLL_ALWAYS
                             ? LOOP_SPIN_ALWAYS
                             : MAX(l->spin_max_us, d->poll_us);
    }
}

int workers_open(struct workers *ws, const struct conf_anys *devices,
                 struct err *e)
{
    int count = 0, rc;
    struct use *uses = list_uses(devices, &count);

    *ws = (struct workers){NULL, 0};
    if (uses)
        ws->list = calloc((size_t)count + 1, sizeof(*ws->list));
    if (!ws->list) {
        free(uses);
        return err_nomem(e);
    }
    for (int i = 0; i < count; i++) {
        if (i == 0 || strcmp(uses[i].name, uses[i - 1].name) != 0)
            ws->list[ws->count++].name = uses[i].name;
    }
    free(uses);
    for (int i = 0; i < ws->count; i++) {
        struct worker *w = &ws->list[i];

        rc = loop_open(&w->loop, w->name);
        if (rc < 0) {
            err_sys(e, -rc, "", "cannot make a loop for the worker %s",
                    w->name);
            workers_close(ws);
            return rc;
        }
        w->is_open = true;
    }
    for (int i = 0; i < devices->count; i++)
        note_device(ws, &devices->list[i]);
    return 0;
}

/* ---- threads ---- */

static void worker_run(void *arg)
{
    struct worker *w = arg;

    loop_run(&w->loop);
}

int workers_start(struct workers *ws, struct err *e)
{
    int rc;

    for (int i = 0; i < ws->count; i++) {
        struct worker *w = &ws->list[i];

        if (w->loop.devices == 0)
            continue; /* a list of workers that is longer than the queues */
        rc = thread_start(&w->thread, w->name, worker_run, w, e);
        if (rc < 0)
            return rc;
        w->runs = true;
    }
    return 0;
}

static void on_stop(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, stop);

    loop_stop(&w->loop);
}

void workers_stop(struct workers *ws)
{
    for (int i = 0; i < ws->count; i++) {
        struct worker *w = &ws->list[i];

        w->stop.run = on_stop;
        if (w->runs)
            loop_post(&w->loop, &w->stop);
    }
    for (int i = 0; i < ws->count; i++) {
        if (ws->list[i].runs)
            thread_join(&ws->list[i].thread);
        ws->list[i].runs = false;
    }
}

void workers_close(struct workers *ws)
{
    for (int i = 0; i < ws->count; i++) {
        if (ws->list[i].is_open)
            loop_close(&ws->list[i].loop);
    }
    free(ws->list);
    *ws = (struct workers){NULL, 0};
}
