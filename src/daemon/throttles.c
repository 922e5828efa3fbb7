/* Throttles stand in stores, which stand in devices, in units of them, and in
 * each other: they are found by looking at all that a config names. */
#include "daemon/throttles.h"

#include <stdlib.h>
#include <string.h>

#include "store/throttle.h"

/* ---- those of a device ---- */

struct look {
    const char *device;
    void (*found)(const struct conf_any *o, const struct throttle_said *said,
                  void *arg);
    void *arg;
};

static void on_object(const struct conf_any *o, void *arg)
{
    struct look *l = arg;
    struct throttle_said said;

    if (throttle_said(o, l->device, &said))
        l->found(o, &said, l->arg);
}

static void look(const struct conf_any *device,
                 void (*found)(const struct conf_any *o,
                               const struct throttle_said *said, void *arg),
                 void *arg)
{
    const struct device_common *common = device->data;
    struct look l = {common->id, found, arg};
    const struct conf_visitor v = {.object = on_object, .arg = &l};

    conf_visit(device->table, device->data, &v);
}

/* ---- do they agree? ---- */

struct saying {
    struct throttle_said said;
    const char *at;
    int number;
};

struct sayings {
    struct saying *list;
    int count, room;
    bool failed;
};

static void add_saying(const struct conf_any *o,
                       const struct throttle_said *said, void *arg)
{
    struct sayings *all = arg;

    if (limits_are_none(&said->limits) || all->failed)
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
    all->list[all->count] = (struct saying){*said, o->at, all->count};
    all->count++;
}

static int compare_sayings(const void *a, const void *b)
{
    const struct saying *x = a, *y = b;
    int order = strcmp(x->said.name, y->said.name);

    return order ? order : x->number - y->number;
}

void throttles_check(const struct config *c, struct errs *e)
{
    struct sayings all = {0};
    struct err why;
    int first = 0;

    for (int i = 0; i < c->devices.count; i++)
        look(&c->devices.list[i], add_saying, &all);
    if (all.failed)
        errs_nomem(e);
    if (all.count)
        qsort(all.list, (size_t)all.count, sizeof(*all.list), compare_sayings);
    for (int i = 1; i < all.count; i++) {
        const struct throttle_said *a = &all.list[first].said,
                                   *b = &all.list[i].said;

        if (strcmp(a->name, b->name) != 0) {
            first = i;
        } else if (!limits_are_same(&a->limits, &b->limits)) {
            throttle_disagree(b->name, &why);
            errs_adopt(e, all.list[i].at, NULL, &why);
        }
    }
    free(all.list);
}

/* ---- those in use ---- */

static void need_open(const struct conf_any *o,
                      const struct throttle_said *said, void *arg)
{
    bool *all_open = arg;

    (void)said;
    *all_open = *all_open && throttle_is_open(o);
}

bool throttles_can_change(const struct conf_any *was, const struct conf_any *is)
{
    bool all_open = true;

    if (!conf_same_but_live(was, is, &device_union))
        return false;
    look(was, need_open, &all_open);
    return all_open;
}

static void say(const struct conf_any *o, const struct throttle_said *said,
                void *arg)
{
    (void)arg;
    throttle_say(o, &said->limits);
}

void throttles_say(const struct conf_any *device)
{
    look(device, say, NULL);
}
