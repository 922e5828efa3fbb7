/* The other queues of a SCSI controller's driver: task management, and events.
 */
#include <stdlib.h>
#include <string.h>

#include "front/scsi.h"

#define EVENT_ROOM 64 /* bytes of guest memory for an event buffer */

/* ---- The control queue ---- */

void scsi_control_go(struct scsi *s, struct scsi_control *c, const void *req,
                     uint32_t req_len, uint32_t resp_len)
{
    struct vq_buf b[2];
    unsigned n = 0, outs;

    memset(c, 0, sizeof(*c));
    if (req_len > sizeof(c->req) || resp_len > sizeof(c->resp))
        front_fail("a control request of %u and %u bytes", req_len, resp_len);
    c->gpa = front_alloc(s->f, sizeof(c->req) + sizeof(c->resp), 8);
    memcpy(c->req, req, req_len);
    c->req_len = req_len;
    c->resp_len = resp_len;
    memset(c->resp, SCSI_R_NONE, sizeof(c->resp));
    front_poke(s->f, c->gpa, c->req, sizeof(c->req));
    front_poke(s->f, c->gpa + sizeof(c->req), c->resp, sizeof(c->resp));
    if (req_len)
        b[n++] = (struct vq_buf){c->gpa, req_len};
    outs = n;
    if (resp_len)
        b[n++] = (struct vq_buf){c->gpa + sizeof(c->req), resp_len};
    if (vq_add(s->control, b, outs, n - outs, c) == VQ_NONE)
        front_fail("the control queue is full");
    vq_kick(s->control);
}

bool scsi_control_is_done(struct scsi *s, struct scsi_control *c)
{
    struct scsi_control *other;
    uint32_t written;
    void *cookie;

    while (vq_pop(s->control, &written, &cookie) != VQ_NONE) {
        other = cookie;
        other->done = true;
        other->written = written;
        front_peek(s->f, other->gpa + sizeof(other->req), other->resp,
                   sizeof(other->resp));
        for (uint32_t i = written; i < sizeof(other->resp); i++)
            if (other->resp[i] != SCSI_R_NONE)
                front_fail("byte %u of a control request's answer was "
                           "written, used length %u",
                           i, written);
    }
    return c->done;
}

void scsi_control_wait(struct scsi *s, struct scsi_control *c)
{
    while (!scsi_control_is_done(s, c))
        vq_wait(s->control);
}

void scsi_tmf_go(struct scsi *s, struct scsi_control *c, uint32_t subtype,
                 struct scsi_lun lun, uint64_t tag)
{
    struct virtio_scsi_ctrl_tmf_req req = {
        .type = htole32(VIRTIO_SCSI_T_TMF),
        .subtype = htole32(subtype),
        .id = htole64(tag),
    };

    memcpy(req.lun, lun.b, sizeof(req.lun));
    scsi_control_go(s, c, &req, sizeof(req), 1);
}

uint8_t scsi_tmf_wait(struct scsi *s, struct scsi_control *c)
{
    scsi_control_wait(s, c);
    if (c->written != 1)
        front_fail("task management: used length %u", c->written);
    return c->resp[0];
}

uint8_t scsi_tmf(struct scsi *s, uint32_t subtype, struct scsi_lun lun,
                 uint64_t tag)
{
    struct scsi_control c;

    scsi_tmf_go(s, &c, subtype, lun, tag);
    return scsi_tmf_wait(s, &c);
}

uint8_t scsi_an(struct scsi *s, uint32_t type, struct scsi_lun lun,
                uint32_t events, uint32_t *actual)
{
    struct virtio_scsi_ctrl_an_req req = {
        .type = htole32(type),
        .event_requested = htole32(events),
    };
    struct scsi_control c;
    le32 events_now;

    memcpy(req.lun, lun.b, sizeof(req.lun));
    scsi_control_go(s, &c, &req, sizeof(req),
                    sizeof(struct virtio_scsi_ctrl_an_resp));
    scsi_control_wait(s, &c);
    if (c.written != sizeof(struct virtio_scsi_ctrl_an_resp))
        front_fail("asynchronous notification: used length %u", c.written);
    memcpy(&events_now, c.resp, sizeof(events_now));
    *actual = le32_load(&events_now);
    return c.resp[sizeof(events_now)];
}

/* ---- Events ---- */

/* A buffer is known by its address, which is its cookie. */
static void give(struct scsi *s, uint64_t gpa)
{
    const struct vq_buf b = {gpa, s->event_size};

    if (vq_add(s->events, &b, 0, 1, (void *)(uintptr_t)gpa) == VQ_NONE)
        front_fail("no room for an event buffer");
}

void scsi_event_give(struct scsi *s, unsigned n)
{
    if (s->event_size > EVENT_ROOM)
        front_fail("events have %u bytes", s->event_size);
    for (unsigned i = 0; i < n; i++)
        give(s, front_alloc(s->f, EVENT_ROOM, 8));
    vq_kick(s->events);
}

static bool take(struct scsi *s, struct scsi_event *e, uint64_t *gpa)
{
    struct virtio_scsi_event ev;
    uint32_t written;
    void *cookie;

    if (vq_pop(s->events, &written, &cookie) == VQ_NONE)
        return false;
    *gpa = (uintptr_t)cookie;
    if (written != sizeof(ev))
        front_fail("an event of %u bytes", written);
    front_peek(s->f, *gpa, &ev, sizeof(ev));
    e->event = le32_load(&ev.event);
    e->reason = le32_load(&ev.reason);
    memcpy(e->lun.b, ev.lun, sizeof(e->lun.b));
    return true;
}

bool scsi_event_take(struct scsi *s, struct scsi_event *e)
{
    uint64_t gpa;

    return take(s, e, &gpa);
}

void scsi_event_need(struct scsi *s, uint32_t event, uint32_t reason,
                     struct scsi_lun lun)
{
    struct scsi_event e;
    uint64_t gpa;

    while (!take(s, &e, &gpa))
        vq_wait(s->events);
    if (e.event != event || e.reason != reason ||
        memcmp(e.lun.b, lun.b, sizeof(lun.b)))
        front_fail("event %#x, reason %#x, of %02x %02x %02x %02x, not event "
                   "%#x, reason %#x, of %02x %02x %02x %02x",
                   e.event, e.reason, e.lun.b[0], e.lun.b[1], e.lun.b[2],
                   e.lun.b[3], event, reason, lun.b[0], lun.b[1], lun.b[2],
                   lun.b[3]);
    give(s, gpa);
    vq_kick(s->events);
}
