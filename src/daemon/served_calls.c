/* Calls of the control socket that a device has not answered: they hold up its
 * end, and are told of it. All on its home loop. */
#include "daemon/served.h"

struct endpoint *served_endpoint(const struct served *s)
{
    return s->there.start_rc < 0 ? NULL : s->endpoint;
}

struct device *served_call_begin(struct served *s, struct served_call *c,
                                 struct call *call)
{
    *c = (struct served_call){.call = call};
    list_init(&c->node);
    if (!served_endpoint(s))
        return NULL;
    list_add(&s->there.calls, &c->node);
    return endpoint_device(s->endpoint);
}

void served_call_cancel(struct served_call *c)
{
    if (!c->call || c->cancelled)
        return;
    c->cancelled = true;
    if (c->call->cancel)
        c->call->cancel(c->call);
}

void served_call_end(struct served_call *c)
{
    c->call = NULL;
    list_del(&c->node);
}

void served_call_ended(struct served *s)
{
    if (!s->there.close_due || !list_empty(&s->there.calls))
        return;
    s->there.close_due = false;
    loop_post(s->main, &s->answer);
}

/* One that is told may answer, and others too. */
void served_cancel_calls(struct served *s)
{
    bool more = true;

    while (more) {
        more = false;
        LIST_EACH (&s->there.calls, node) {
            struct served_call *c =
                container_of(node, struct served_call, node);

            if (c->cancelled)
                continue;
            served_call_cancel(c);
            more = true;
            break;
        }
    }
}
