/* A list in the order in which they came. */
#include "daemon/devices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/isolate.h"

struct served *devices_find(const struct devices *ds, const char *id)
{
    for (int i = 0; i < ds->count; i++)
        if (strcmp(ds->list[i]->common->id, id) == 0)
            return ds->list[i];
    return NULL;
}

int devices_add(struct devices *ds, struct served *s)
{
    int room = ds->room ? 2 * ds->room : 16;
    struct served **list;

    if (ds->count == ds->room) {
        list = realloc(ds->list, (size_t)room * sizeof(struct served *));
        if (!list)
            return -ENOMEM;
        ds->list = list;
        ds->room = room;
    }
    ds->list[ds->count++] = s;
    return 0;
}

void devices_remove(struct devices *ds, struct served *s)
{
    int at = 0;

    while (ds->list[at] != s)
        at++;
    ds->count--;
    memmove(&ds->list[at], &ds->list[at + 1],
            (size_t)(ds->count - at) * sizeof(struct served *));
}

void devices_set_log(const struct devices *ds)
{
    for (int i = 0; i < ds->count; i++)
        if (ds->list[i]->isolated)
            isolate_set_log(ds->list[i]->isolated);
}

uint64_t devices_drain_ms(const struct devices *ds)
{
    uint64_t longest = 0;

    for (int i = 0; i < ds->count; i++)
        longest = MAX(longest, ds->list[i]->common->drain_timeout);
    return longest;
}
