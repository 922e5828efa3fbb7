/* Packets are not queued: what is to be sent next is found from where we are
 * (at, step), since all that they are made of is kept until the end, to be
 * taken back. */
#include <stdio.h>
#include <string.h>

#include "daemon/hand_over_impl.h"
#include "vhost/transcript.h"

static void say_hello(struct hand_over *h, struct hand_packet *p)
{
    p->kind = HAND_HELLO;
    p->hello.sockets = (uint32_t)h->count + (h->control != NULL);
    p->hello.drain_ms = devices_drain_ms(h->devices) + LEAVE_GRACE_MS;
    snprintf(p->hello.version, sizeof(p->hello.version), "%s", VUB_VERSION);
    p->hello.watchdog_us =
        service_manager(h->service, p->hello.notify, sizeof(p->hello.notify));
}

static void say_socket(struct hand_saying *s, const struct place *place,
                       const char *id, const char *type)
{
    struct hand_socket *socket = &s->packet.socket;

    s->packet.kind = HAND_SOCKET;
    snprintf(socket->id, sizeof(socket->id), "%s", id);
    snprintf(socket->type, sizeof(socket->type), "%s", type);
    snprintf(socket->path, sizeof(socket->path), "%s",
             place->path ? place->path : "");
    socket->given = place->given >= 0;
    socket->kind = place->kind;
    s->fds = &place->fd;
    s->num_fds = place->fd >= 0;
}

/* Hello, sockets, the end. */
static bool say_offer(struct hand_over *h, struct hand_saying *s)
{
    int first = 1 + (h->control != NULL);
    const struct handed *d;

    if (h->at == 0) {
        say_hello(h, &s->packet);
    } else if (h->at < first) {
        say_socket(s, h->control, "", "");
    } else if (h->at - first < h->count) {
        d = &h->list[h->at - first];
        say_socket(s, &d->place, handed_id(d), d->conf.table->name);
    } else {
        s->packet.kind = HAND_OFFERED;
        return h->at - first == h->count;
    }
    return true;
}

static void say_device(struct hand_saying *s, const struct handed *d)
{
    struct hand_device *device = &s->packet.device;

    s->packet.kind = HAND_DEVICE;
    snprintf(device->id, sizeof(device->id), "%s", handed_id(d));
    device->pid = d->heritage.visitor.pid;
    device->uid = d->heritage.visitor.uid;
    device->has_run = d->heritage.visitor.has_run;
    device->said = d->num_said;
    device->kept = d->num_kept;
    s->fds = &d->heritage.visitor.fd;
    s->num_fds = d->heritage.visitor.fd >= 0;
}

static void say_said(struct hand_saying *s, const struct msg *m)
{
    s->packet.kind = HAND_SAID;
    s->packet.said.header = m->header;
    s->packet.said.payload = m->payload;
    s->fds = m->fds;
    s->num_fds = m->num_fds;
}

static void say_kept(struct hand_saying *s, const struct keep_item *item)
{
    s->packet.kind = HAND_KEPT;
    snprintf(s->packet.kept.name, sizeof(s->packet.kept.name), "%s",
             item->name);
    s->packet.kept.len = item->len;
    s->fds = &item->fd;
    s->num_fds = 1;
}

/* All that is known of each that is wanted. */
static bool say_given(struct hand_over *h, struct hand_saying *s)
{
    const struct handed *d;
    unsigned step;

    while (h->at < h->count && !h->list[h->at].wanted)
        h->at++;
    if (h->at >= h->count) {
        s->packet.kind = HAND_GIVEN;
        return h->at == h->count;
    }
    d = &h->list[h->at];
    step = (unsigned)h->step;
    if (step == 0)
        say_device(s, d);
    else if (step <= d->num_said)
        say_said(s, transcript_at(d->heritage.visitor.said, step - 1));
    else
        say_kept(s, &d->heritage.kept[step - 1 - d->num_said]);
    return true;
}

bool hand_say_next(struct hand_over *h, struct hand_saying *s)
{
    memset(&s->packet, 0, sizeof(s->packet));
    s->fds = NULL;
    s->num_fds = 0;
    if (h->owes) {
        s->packet.kind = HAND_GIVE_UP;
        s->packet.give_up = h->give_up;
        return true;
    }
    switch (h->state) {
    case HAND_OFFERS:
        return say_offer(h, s);
    case HAND_GIVES:
        return say_given(h, s);
    case HAND_GOES:
        s->packet.kind = HAND_GO;
        return h->at == 0;
    default:
        return false;
    }
}

void hand_said_it(struct hand_over *h)
{
    const struct handed *d;

    if (h->owes) {
        h->owes = false;
        return;
    }
    if (h->state != HAND_GIVES || h->at == h->count) {
        h->at++;
        return;
    }
    d = &h->list[h->at];
    if ((unsigned)++h->step > d->num_said + d->num_kept) {
        h->step = 0;
        h->at++;
    }
}
