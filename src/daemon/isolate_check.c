/* What isolation does to the rules between devices: whatever devices share,
 * they share in one process. Workers are looked at where they are known
 * (workers.c); throttles here. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/isolate.h"
#include "store/throttle.h"

/* A device has a throttle of that name. */
struct use {
    const char *name;
    int device;
};

struct uses {
    const struct config *conf;
    int device; /* that is looked at */
    struct use *list;
    int count, room;
    bool failed;
};

static void on_object(const struct conf_any *o, void *arg)
{
    struct uses *all = arg;
    struct throttle_said said;

    if (!throttle_said(o, config_device(all->conf, all->device)->id, &said) ||
        !said.name || all->failed)
        return;
    if (all->count == all->room) {
        int room = all->room ? 2 * all->room : 16;
        void *list = realloc(all->list, (size_t)room * sizeof(*all->list));

        if (!list) {
            all->failed = true;
            return;
        }
        all->list = list;
        all->room = room;
    }
    all->list[all->count++] = (struct use){said.name, all->device};
}

static int compare(const void *a, const void *b)
{
    const struct use *x = a, *y = b;
    int order = strcmp(x->name, y->name);

    return order ? order : x->device - y->device;
}

/* The uses of one name: [from, to), by device. */
static void check_name(const struct config *c, const struct use *from,
                       const struct use *to, struct errs *e)
{
    if (from->device == to[-1].device)
        return;
    for (const struct use *u = from; u < to; u++) {
        const struct use *other = u->device == from->device ? to - 1 : from;
        const struct conf_any *d = &c->devices.list[u->device];

        if ((u > from && u[-1].device == u->device) || !isolate_wanted(d))
            continue;
        errs_at(e, d->at, "isolation",
                "a process of its own cannot share the throttle \"%.64s\" with "
                "%s: give it another name there, or isolate neither",
                u->name, c->devices.list[other->device].at);
    }
}

void isolate_check(const struct config *c, struct errs *e)
{
    struct uses all = {.conf = c};
    const struct conf_visitor v = {.object = on_object, .arg = &all};

    for (int i = 0; i < c->devices.count; i++) {
        const struct conf_any *d = &c->devices.list[i];

        all.device = i;
        if (config_device(c, i)->id)
            conf_visit(d->table, d->data, &v);
    }
    if (all.failed)
        errs_nomem(e);
    else if (all.count)
        qsort(all.list, (size_t)all.count, sizeof(*all.list), compare);
    for (int from = 0, to = 0; from < all.count && !all.failed; from = to) {
        while (to < all.count &&
               strcmp(all.list[from].name, all.list[to].name) == 0)
            to++;
        check_name(c, &all.list[from], &all.list[to], e);
    }
    free(all.list);
}
