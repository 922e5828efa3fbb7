/* Workers are found from the devices' side: every device uses some names. The
 * rules are checked before anything is made: the uses sorted by name are the
 * workers. Then each device takes its own, by the same names; a worker is made
 * for the first that uses it and ends with the last. */
#include "daemon/workers.h"

#include <errno.h>
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

/* Is it of this process? -1: ours; else that of the device itself. */
static bool is_in(const struct conf_anys *devices, int i, int process)
{
    if (process >= 0)
        return i == process;
    return common(devices, i)->isolation == ISOLATION_NONE;
}

/* All uses in a process, sorted by name. NULL: no memory. The caller frees
 * them. */
static struct use *list_uses(const struct conf_anys *devices, int process,
                             int *count)
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

        if (!is_in(devices, i, process))
            continue;
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

static void check_process(const struct conf_anys *devices, int process,
                          struct errs *e)
{
    int count = 0;
    struct use *uses = list_uses(devices, process, &count);

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

void workers_check(const struct conf_anys *devices, struct errs *e)
{
    check_process(devices, -1, e);
    for (int i = 0; i < devices->count; i++)
        if (common(devices, i)->isolation != ISOLATION_NONE)
            check_process(devices, i, e);
}

/* ---- who serves whom ---- */

const char *workers_name(const struct conf_any *device, unsigned queue)
{
    const struct device_common *d = device->data;
    const char *shared = device_type_of(device)->default_worker;

    if (!d->worker.count)
        return shared ? shared : d->id;
    return d->worker.list[queue % (unsigned)d->worker.count];
}

/* Where a worker of that name is in the list, or would be. */
static int place_of(const struct workers *ws, const char *name, bool *found)
{
    int low = 0, high = ws->count;

    *found = false;
    while (low < high && !*found) {
        int mid = (low + high) / 2, order = strcmp(name, ws->list[mid]->name);

        *found = order == 0;
        if (order <= 0)
            high = mid;
        else
            low = mid + 1;
    }
    return *found ? high : low;
}

static bool make_room(struct workers *ws)
{
    int room = ws->room ? 2 * ws->room : 16;
    struct worker **list;

    if (ws->count < ws->room)
        return true;
    list = realloc(ws->list, (size_t)room * sizeof(*list));
    if (!list)
        return false;
    ws->list = list;
    ws->room = room;
    return true;
}

static void free_worker(struct worker *w)
{
    free(w->name);
    free(w);
}

static struct worker *make_worker(struct workers *ws, const char *name, int at,
                                  struct err *e)
{
    struct worker *w = calloc(1, sizeof(*w));
    int rc;

    if (!w || !make_room(ws)) {
        free(w);
        err_nomem(e);
        return NULL;
    }
    w->name = strdup(name);
    rc = w->name ? loop_open(&w->loop, w->name) : -ENOMEM;
    if (rc < 0) {
        err_sys(e, -rc, "", "cannot make a loop for the worker %s", name);
        free_worker(w);
        return NULL;
    }
    w->owner = ws;
    w->loop.begins = ws->begins;
    w->loop.minder = ws->minder;
    list_init(&w->uses);
    memmove(&ws->list[at + 1], &ws->list[at],
            (size_t)(ws->count - at) * sizeof(*ws->list));
    ws->list[at] = w;
    ws->count++;
    return w;
}

/* What the loop knows of those it serves. It may run. */
static void tell_loop(struct worker *w)
{
    unsigned devices = 0, block_devices = 0;
    uint32_t spin_us = 0;

    LIST_EACH (&w->uses, node) {
        const struct conf_any *any =
            container_of(node, struct worker_use, node)->device;
        const struct device_common *d = any->data;

        devices++;
        block_devices += device_type_of(any)->is_block;
        spin_us = d->poll_us == DEVICE_POLL_ALWAYS ? LOOP_SPIN_ALWAYS
                                                   : MAX(spin_us, d->poll_us);
    }
    __atomic_store_n(&w->loop.devices, devices, __ATOMIC_RELAXED);
    __atomic_store_n(&w->loop.block_devices, block_devices, __ATOMIC_RELAXED);
    __atomic_store_n(&w->loop.spin_max_us, spin_us, __ATOMIC_RELAXED);
}

static int use_one(struct workers *ws, struct worker_use *u,
                   const struct conf_any *device, const char *name,
                   struct err *e)
{
    bool found;
    int at = place_of(ws, name, &found);

    u->worker = found ? ws->list[at] : make_worker(ws, name, at, e);
    if (!u->worker)
        return -ENOMEM;
    u->device = device;
    list_add(&u->worker->uses, &u->node);
    tell_loop(u->worker);
    return 0;
}

int workers_use(struct workers *ws, const struct conf_any *device,
                struct worker_uses *uses, struct err *e)
{
    const struct device_common *d = device->data;
    unsigned queues = device_type_of(device)->queues(device->data);
    unsigned count = MIN(queues, (unsigned)MAX(d->worker.count, 1));
    int rc = 0;

    *uses = (struct worker_uses){calloc(count, sizeof(*uses->list)), 0};
    if (!uses->list)
        return err_nomem(e);
    while (uses->count < count && rc == 0) {
        rc = use_one(ws, &uses->list[uses->count], device,
                     workers_name(device, uses->count), e);
        uses->count += rc == 0;
    }
    if (rc < 0)
        workers_leave(ws, uses);
    return rc;
}

struct loop *workers_loop(const struct worker_uses *uses, unsigned queue)
{
    return &uses->list[queue % uses->count].worker->loop;
}

/* ---- threads ---- */

static void on_ended(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, ended);
    struct workers *ws = w->owner;

    thread_join(&w->thread);
    free_worker(w);
    ws->ending--;
    if (ws->ended)
        ws->ended(ws);
}

/* One that ends alone does so behind its last handle: an iSCSI session that
 * logs out may take a while. */
static void worker_run(void *arg)
{
    struct worker *w = arg;

    loop_run(&w->loop);
    if (!w->alone)
        return;
    loop_close(&w->loop);
    loop_post(w->owner->main, &w->ended);
}

int workers_start(struct workers *ws, struct err *e)
{
    int rc;

    for (int i = 0; i < ws->count; i++) {
        struct worker *w = ws->list[i];

        if (w->runs)
            continue;
        rc = thread_start(&w->thread, w->name, worker_run, w, e);
        if (rc < 0)
            return rc;
        w->runs = true;
    }
    return 0;
}

static void on_stop(struct mail *m)
{
    loop_stop(&container_of(m, struct worker, stop)->loop);
}

static void on_end(struct mail *m)
{
    struct worker *w = container_of(m, struct worker, stop);

    w->alone = true;
    loop_stop(&w->loop);
}

/* Nobody uses it any more. Its name is free at once. */
static void end_worker(struct workers *ws, struct worker *w)
{
    bool found;
    int at = place_of(ws, w->name, &found);

    ws->count--;
    memmove(&ws->list[at], &ws->list[at + 1],
            (size_t)(ws->count - at) * sizeof(*ws->list));
    if (!w->runs) {
        loop_close(&w->loop);
        free_worker(w);
        return;
    }
    ws->ending++;
    w->stop.run = on_end;
    w->ended.run = on_ended;
    loop_post(&w->loop, &w->stop);
}

void workers_leave(struct workers *ws, struct worker_uses *uses)
{
    for (unsigned i = 0; i < uses->count && !ws->closed; i++) {
        struct worker *w = uses->list[i].worker;

        list_del(&uses->list[i].node);
        if (list_empty(&w->uses))
            end_worker(ws, w);
        else
            tell_loop(w);
    }
    free(uses->list);
    *uses = (struct worker_uses){NULL, 0};
}

void workers_stop(struct workers *ws)
{
    for (int i = 0; i < ws->count; i++) {
        struct worker *w = ws->list[i];

        w->stop.run = on_stop;
        if (w->runs)
            loop_post(&w->loop, &w->stop);
    }
    for (int i = 0; i < ws->count; i++) {
        if (ws->list[i]->runs)
            thread_join(&ws->list[i]->thread);
        ws->list[i]->runs = false;
    }
}

void workers_close(struct workers *ws)
{
    for (int i = 0; i < ws->count; i++) {
        loop_close(&ws->list[i]->loop);
        free_worker(ws->list[i]);
    }
    free(ws->list);
    *ws = (struct workers){.closed = true};
}
