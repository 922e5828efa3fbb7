/* A channel has a unit, and thus a session, of its loop, and a probe of its
 * own: what that learns of blocks and limits the channel's requests go by. They
 * wait for it. */
#include <errno.h>
#include <stdlib.h>

#include "store/iscsi_impl.h"

#define NOT_READY_MAX 30 /* seconds, of a unit that is becoming so */

static struct iscsi_channel *channel_of(struct store_channel *ch)
{
    return container_of(ch, struct iscsi_channel, ch);
}

static void on_flush(struct defer *d)
{
    iscsi_kick(&container_of(d, struct iscsi_channel, flush)->probe.unit);
}

static void on_busy_over(struct timer *t)
{
    iscsi_jobs_again(container_of(t, struct iscsi_channel, timer));
}

static void start_waiting(struct iscsi_channel *c)
{
    struct list *node;

    while (c->known && (node = list_pop(&c->waiting)) != NULL)
        iscsi_job_start(c, container_of(node, struct store_req, node));
}

static void on_channel_told(struct iscsi_probe *p, bool known)
{
    struct iscsi_channel *c = container_of(p, struct iscsi_channel, probe);
    struct list *node;

    if (c->closing)
        return;
    c->known |= known;
    start_waiting(c);
    if (c->known || (p->waits && ++c->not_ready < NOT_READY_MAX))
        return;
    c->not_ready = 0;
    while ((node = list_pop(&c->waiting)) != NULL)
        store_complete(container_of(node, struct store_req, node), -EIO);
}

static void channel_part_gone(struct iscsi_channel *c)
{
    if (--c->open == 0)
        free(c);
}

static void on_channel_gone(struct iscsi_probe *p)
{
    channel_part_gone(container_of(p, struct iscsi_channel, probe));
}

static void on_timer_gone(struct timer *t)
{
    channel_part_gone(container_of(t, struct iscsi_channel, timer));
}

int iscsi_channel_open(struct store_channel **out, struct store *st,
                       struct loop *loop, struct err *e)
{
    struct iscsi_store *s = iscsi_store_of(st);
    struct iscsi_channel *c = calloc(1, sizeof(*c));
    int rc;

    if (!c)
        return err_nomem(e);
    c->store = s;
    list_init(&c->waiting);
    list_init(&c->busy);
    list_init(&c->jobs);
    list_init(&c->spare);
    defer_init(&c->flush, on_flush);
    c->probe.id = st->id;
    c->probe.told = on_channel_told;
    c->probe.gone = on_channel_gone;
    rc = iscsi_probe_open(&c->probe, s->conf, loop, e);
    if (rc < 0) {
        free(c);
        return rc;
    }
    c->timer.fire = on_busy_over;
    c->timer.gone = on_timer_gone;
    timer_open(&c->timer, loop);
    c->open = 2;
    *out = &c->ch;
    return 0;
}

/* The session may take a moment to end: the channel is freed then. */
void iscsi_channel_close(struct store_channel *ch)
{
    struct iscsi_channel *c = channel_of(ch);

    c->closing = true;
    defer_cancel(&c->flush);
    iscsi_jobs_free(c);
    timer_close(&c->timer);
    iscsi_probe_close(&c->probe);
}

int iscsi_channel_submit(struct store_channel *ch, struct store_req *r)
{
    list_add(&channel_of(ch)->waiting, &r->node);
    return STORE_PENDING;
}

void iscsi_channel_kick(struct store_channel *ch)
{
    struct iscsi_channel *c = channel_of(ch);

    if (!c->known) {
        if (!list_empty(&c->waiting) && !c->probe.busy && !c->probe.waits)
            iscsi_probe_again(&c->probe);
        return;
    }
    start_waiting(c);
    defer_cancel(&c->flush);
    iscsi_kick(&c->probe.unit);
}

void iscsi_channel_drain(struct store_channel *ch, const void *owner,
                         bool cancel)
{
    struct iscsi_channel *c = channel_of(ch);

    start_waiting(c); /* what was submitted and not kicked */
    if (!cancel)
        return;
    store_give_up(&c->waiting, owner);
    iscsi_jobs_give_up(c, owner);
}
