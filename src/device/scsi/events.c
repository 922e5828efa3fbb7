/* The event queue: what the guest is told unasked.
 *
 * Spec: virtio, "SCSI Host Device", "Device Operation: eventq". Events wait for
 * buffers, SCSI_EVENTS of them; if there is no room for one more, it is lost,
 * and the next one that goes says that some were missed. Buffers stay in the
 * ring until they are needed (ring_rest), so a drain waits for none. */
#include "device/scsi/impl.h"

static void give(struct scsi *s, struct chain *c, uint32_t event,
                 const struct scsi_event *e)
{
    struct virtio_scsi_event out = {
        .event = htole32(event |
                         (s->events.missed ? VIRTIO_SCSI_T_EVENTS_MISSED : 0)),
        .lun = {1},
    };

    if (e) {
        out.reason = htole32(e->reason);
        out.lun[1] = e->target;
        scsi_lun_bytes(e->lun, out.lun + 2);
    }
    s->events.missed = false;
    s->events.sent++;
    s->told = true;
    chain_done(c, (uint32_t)chain_write(c, 0, &out, sizeof(out)));
}

/* NULL: none, or only such that no event fits in. */
static struct chain *pop(struct scsi *s)
{
    struct ring *q = s->events.ring;
    struct chain *c;

    while ((c = ring_pop(q)) != NULL &&
           c->in_len < sizeof(struct virtio_scsi_event)) {
        s->bad++;
        log_limited(&s->limit, LOG_WARN, s->device.id,
                    "ring %u: a buffer has no room for an event: it is given "
                    "back unused",
                    q->index);
        chain_done(c, 0);
    }
    return c;
}

void scsi_events_kick(struct scsi *s)
{
    struct scsi_events *ev = &s->events;
    struct chain *c;

    if (!ev->ring)
        return;
    while (ev->ring->enabled && (ev->count > 0 || ev->missed) &&
           (c = pop(s)) != NULL) {
        if (ev->count == 0) {
            give(s, c, VIRTIO_SCSI_T_NO_EVENT, NULL);
            continue;
        }
        give(s, c, ev->queue[ev->head].event, &ev->queue[ev->head]);
        ev->head = (ev->head + 1) % SCSI_EVENTS;
        ev->count--;
    }
    ring_rest(ev->ring);
}

static void add(struct scsi *s, const struct scsi_event *e)
{
    struct scsi_events *ev = &s->events;

    if (ev->count == SCSI_EVENTS) {
        ev->missed = true;
        ev->lost++;
        return;
    }
    ev->queue[(ev->head + ev->count++) % SCSI_EVENTS] = *e;
    scsi_keep_events(s);
    if (!ev->ring)
        return;
    ring_stir(ev->ring);
    ev->ring->want_kick(ev->ring);
}

/* Nobody is told who did not ask for it, or who is not there: a driver that
 * starts looks for itself. */
static bool listens(const struct scsi *s, unsigned feature)
{
    return s->started && s->features & FEATURE(feature);
}

void scsi_event_transport(struct scsi *s, uint8_t target, uint16_t lun,
                          uint32_t reason)
{
    if (listens(s, VIRTIO_SCSI_F_HOTPLUG))
        add(s, &(struct scsi_event){VIRTIO_SCSI_T_TRANSPORT_RESET, reason,
                                    target, lun});
}

void scsi_event_changed(struct scsi *s, uint8_t target, uint16_t lun,
                        enum scsi_asc asc)
{
    uint32_t reason = (uint32_t)asc >> 8 | ((uint32_t)asc & 0xff) << 8;

    if (listens(s, VIRTIO_SCSI_F_CHANGE))
        add(s, &(struct scsi_event){VIRTIO_SCSI_T_PARAM_CHANGE, reason, target,
                                    lun});
}

void scsi_events_start(struct scsi *s, struct ring *q)
{
    s->events.ring = q;
}

void scsi_events_stop(struct scsi *s)
{
    s->events.ring = NULL;
}

void scsi_events_reset(struct scsi *s)
{
    s->events.head = s->events.count = 0;
    s->events.missed = false;
    scsi_keep_events(s);
}
