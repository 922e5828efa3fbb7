/* Throttles stand in stores, which stand in devices, in units of them, and in
 * each other: they are found by looking at all that a config names. */
#include "daemon/throttles.h"

#include <stdlib.h>
#include <string.h>

/* ---- those of a device ---- */

struct search {
    const char *device;
    void (*found)(const struct conf_any *o, const struct throttle_said *said,
                  void *arg);
    void *arg;
};

static void on_object(const struct conf_any *o, void *arg)
{
    const struct search *s = arg;
    struct throttle_said said;

    if (throttle_said(o, s->device, &said))
        s->found(o, &said, s->arg);
}

static void search(const struct conf_any *device,
                   void (*found)(const struct conf_any *o,
                                 const struct throttle_said *said, void *arg),
                   void *arg)
{
    const struct device_common *common = device->data;
    struct search s = {common->id, found, arg};
    const struct conf_visitor v = {.object = on_object, .arg = &s};

    conf_visit(device->table, device->data, &v);
}

/* ---- those of a config ---- */

struct uses {
    struct throttle_use *list;
    int count, room;
    int device; /* that is searched */
    bool failed;
};

static void add_use(const struct conf_any *o, const struct throttle_said *said,
                    void *arg)
{
    struct uses *all = arg;

    if (all->failed)
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
    all->list[all->count] =
        (struct throttle_use){*said, o->at, all->device, all->count};
    all->count++;
}

static int compare(const void *a, const void *b)
{
    const struct throttle_use *x = a, *y = b;
    int order = strcmp(x->said.name, y->said.name);

    return order ? order : x->number - y->number;
}

int throttles_list(const struct config *c, struct throttle_use **uses,
                   struct errs *e)
{
    struct uses all = {0};

    for (int i = 0; i < c->devices.count; i++) {
        all.device = i;
        if (config_device(c, i)->id)
            search(&c->devices.list[i], add_use, &all);
    }
    if (all.failed) {
        free(all.list);
        *uses = NULL;
        return errs_nomem(e);
    }
    if (all.count)
        qsort(all.list, (size_t)all.count, sizeof(*all.list), compare);
    *uses = all.list;
    return all.count;
}

void throttles_check(const struct config *c, struct errs *e)
{
    const struct throttle_use *first = NULL; /* of a name, to say any */
    struct throttle_use *uses;
    int count = throttles_list(c, &uses, e);
    struct err why;

    for (int i = 0; i < count; i++) {
        const struct throttle_use *u = &uses[i];

        if (limits_are_none(&u->said.limits))
            continue;
        if (!first || strcmp(first->said.name, u->said.name) != 0) {
            first = u;
        } else if (!limits_are_same(&first->said.limits, &u->said.limits)) {
            throttle_disagree(u->said.name, &why);
            errs_adopt(e, u->at, NULL, &why);
        }
    }
    free(uses);
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
    search(was, need_open, &all_open);
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
    search(device, say, NULL);
}

/* ---- those of another process ---- */

static void tell(const struct conf_any *o, const struct throttle_said *said,
                 void *arg)
{
    struct json_out *out = arg;

    (void)o;
    json_begin(out, NULL, '{');
    limits_tell_said(&said->limits, out);
    json_end(out, '}');
}

void throttles_tell(const struct conf_any *device, struct json_out *o)
{
    json_begin(o, "throttles", '[');
    search(device, tell, o);
    json_end(o, ']');
}

struct hearing {
    const struct conf_anys *limits;
    int next;
};

static void hear(const struct conf_any *o, const struct throttle_said *said,
                 void *arg)
{
    struct hearing *h = arg;
    struct limits l;

    (void)said;
    if (h->next == h->limits->count)
        return;
    limits_of(&l, h->limits->list[h->next++].data);
    throttle_say(o, &l);
}

void throttles_hear(const struct conf_any *device,
                    const struct conf_anys *limits)
{
    struct hearing h = {limits, 0};

    search(device, hear, &h);
}
