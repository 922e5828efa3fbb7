/* A call that is kept is on the device's list until it is answered. The one who
 * waits may go, and the device may close: both end the call by its own
 * function, which knows what else has to be given back. */
#include "device/gpu/kept.h"

#include <errno.h>

static void on_cancel(struct call *c)
{
    struct kept_call *k = c->user;
    struct err e;

    err_set(&e, -ECANCELED, "", "nobody waits any more");
    k->end(k, &e);
}

bool kept_begin(struct kept_call *k, struct gpu *g, struct call *c)
{
    unsigned n = 0;
    struct err e;

    LIST_EACH (&g->waits, node)
        n++;
    if (n >= KEPT_MAX) {
        err_set(&e, -EBUSY, "/params/device",
                "%u calls wait for pictures of it, which is all there may be",
                n);
        call_fail(c, &e);
        return false;
    }
    k->g = g;
    k->call = c;
    c->user = k;
    c->cancel = on_cancel;
    list_add(&g->waits, &c->node);
    return true;
}

static struct call *take(struct kept_call *k)
{
    struct call *c = k->call;

    list_del(&c->node);
    k->call = NULL;
    return c;
}

void kept_done(struct kept_call *k)
{
    call_done(take(k));
}

void kept_fail(struct kept_call *k, const struct err *e)
{
    call_fail(take(k), e);
}

bool kept_has_scanout(struct gpu *g, struct call *c, uint32_t i)
{
    unsigned n = gpu_scanouts(g);
    struct err e;

    if (i < n)
        return true;
    err_set(&e, -EINVAL, "/params/scanout",
            "there is no scanout %u: the last is %u", i, n - 1);
    call_fail(c, &e);
    return false;
}

void waits_end(struct gpu *g)
{
    struct err e;

    err_set(&e, -ENODEV, "/params/device", "the device is closing");
    while (!list_empty(&g->waits)) {
        struct kept_call *k =
            container_of(g->waits.next, struct call, node)->user;

        k->end(k, &e);
    }
    shots_end(&g->shots);
    looker_free(g);
}
