/* What isolation does to the rules between devices: whatever devices share,
 * they share in one process. Workers are looked at where they are known
 * (workers.c); throttles here. */
#include <stdlib.h>
#include <string.h>

#include "daemon/isolate.h"
#include "daemon/throttles.h"

/* The uses of one name: [from, to), by device. */
static void check_name(const struct config *c, const struct throttle_use *from,
                       const struct throttle_use *to, struct errs *e)
{
    if (from->device == to[-1].device)
        return;
    for (const struct throttle_use *u = from; u < to; u++) {
        const struct throttle_use *other =
            u->device == from->device ? to - 1 : from;
        const struct conf_any *d = &c->devices.list[u->device];

        if ((u > from && u[-1].device == u->device) || !isolate_wanted(d))
            continue;
        errs_at(e, d->at, "isolation",
                "a process of its own cannot share the throttle \"%.64s\" with "
                "%s: give it another name there, or isolate neither",
                u->said.name, c->devices.list[other->device].at);
    }
}

void isolate_check(const struct config *c, struct errs *e)
{
    struct throttle_use *uses;
    int count = throttles_list(c, &uses, e);

    for (int from = 0, to = 0; from < count; from = to) {
        while (to < count &&
               strcmp(uses[from].said.name, uses[to].said.name) == 0)
            to++;
        check_name(c, &uses[from], &uses[to], e);
    }
    free(uses);
}
