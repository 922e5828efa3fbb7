#include "pad.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "device_text.h"
#include "left.h"

static void open_device(struct pad *p, const char *keys)
{
    struct errs errs = ERRS_EMPTY;
    struct err e = {0};
    struct conf_any conf;
    char text[2048];

    snprintf(text, sizeof(text), "'id': 'pad', 'type': 'input', %s", keys);
    conf = device_text(&p->doc, text, NULL);
    if (device_type_of(&conf)->open(&p->device, &conf, &errs) < 0)
        fail_msg("%s: %s", errs.list[0].where, errs.list[0].text);
    p->in = input_of(p->device);
    p->device->home = &p->loop;
    p->device->ring_loop = p->ring_loop;
    assert_int_equal(p->device->ops->begin(p->device, &e), 0);
    errs_free(&errs);
}

struct pad *pad_open(const char *keys)
{
    struct pad *p = calloc(1, sizeof(*p));

    assert_non_null(p);
    assert_int_equal(loop_open(&p->loop, "pad"), 0);
    p->ring_loop[0] = p->ring_loop[1] = &p->loop;
    open_device(p, keys);
    state_init(&p->believed, &p->in->desc);
    return p;
}

static void on_gone(void *arg)
{
    *(bool *)arg = true;
}

struct pad *pad_preset(const char *preset)
{
    char keys[128];

    snprintf(keys, sizeof(keys),
             "'source': {'type': 'virtual', 'preset': '%s'}", preset);
    return pad_open(keys);
}

/* ---- rings ---- */

static struct pad *the_pad; /* of which rings ask for kicks */

static void on_want_kick(struct ring *r)
{
    assert_ptr_equal(r, &the_pad->events->ring);
    the_pad->kick_wanted = true;
}

void pad_offer(struct pad *p, uint16_t id, uint32_t len, bool write)
{
    const struct piece piece = {GUEST_DATA + 64u * id, len, write};

    guest_offer(p->events, id, &piece, 1);
}

static void pad_guest(struct pad *p, bool packed, uint16_t size)
{
    if (!p->events)
        p->events = guest_new(packed, size);
}

void pad_record(struct pad *p, bool packed, uint16_t size)
{
    pad_guest(p, packed, size);
    guest_record(p->events);
}

void pad_start(struct pad *p, bool packed, uint16_t size, unsigned buffers)
{
    struct err e = {0};

    the_pad = p;
    pad_guest(p, packed, size);
    p->events->setup.priv_size = p->device->priv_size;
    guest_start(p->events);
    p->events->ring.loop = &p->loop;
    p->events->ring.index = VIRTIO_INPUT_EVENTQ;
    p->events->ring.enabled = true;
    p->events->ring.want_kick = on_want_kick;
    if (!p->buffers)
        for (; p->buffers < buffers; p->buffers++)
            pad_offer(p, (uint16_t)p->buffers, 8, true);
    assert_int_equal(
        p->device->ops->ring_start(p->device, &p->events->ring, &e), 0);
}

void pad_stop(struct pad *p)
{
    const struct device_ops *ops = p->device->ops;

    ops->ring_drain(p->device, &p->events->ring, DRAIN_BEGIN);
    assert_int_equal(p->events->ring.in_flight, 0);
    ring_flush(&p->events->ring);
    p->calls += guest_called(p->events);
    ops->ring_stop(p->device, &p->events->ring);
    guest_stop(p->events);
    p->kick_wanted = false;
}

/* ---- another process goes on ---- */

static void close_device(struct pad *p)
{
    bool gone = false;

    p->device->gone = on_gone;
    p->device->gone_arg = &gone;
    p->device->ops->close(p->device);
    while (!gone)
        uv_run(&p->loop.uv, UV_RUN_ONCE);
    conf_free(p->doc);
    p->doc = NULL;
}

/* What a process does that is still there does not count. */
static void discard(struct pad *p)
{
    const struct device_ops *ops = p->device->ops;

    p->device->suspends = true;
    if (p->events && p->events->started) {
        guest_crash(p->events);
        ops->ring_stop(p->device, &p->events->ring);
    }
    p->kick_wanted = false;
    close_device(p);
}

void pad_kill(struct pad *p, const char *keys)
{
    struct left left;

    left_take(&left, "pad");
    discard(p);
    assert_int_equal(left_count("pad"), 0);
    left_put(&left);
    open_device(p, keys);
}

void pad_spoil(struct pad *p, const char *keys, unsigned seed)
{
    struct left left;

    left_take(&left, "pad");
    left_spoil(&left, seed);
    discard(p);
    left_put(&left);
    open_device(p, keys);
}

void pad_hand_on(struct pad *p, const char *keys)
{
    p->device->suspends = true;
    pad_stop(p);
    pad_kill(p, keys);
}

void pad_free(struct pad *p)
{
    if (p->events) {
        if (p->events->started)
            pad_stop(p);
        guest_free(p->events);
    }
    if (p->status)
        guest_free(p->status);
    p->device->ops->close(p->device);
    loop_close(&p->loop);
    conf_free(p->doc);
    free(p);
}

void pad_settle(struct pad *p)
{
    do {
        if (p->events && p->events->started) {
            struct ring *r = &p->events->ring;

            p->kick_wanted = false;
            p->device->ops->ring_kick(p->device, r);
            assert_int_equal(r->in_flight, 0);
            ring_flush(r);
            p->calls += guest_called(p->events);
        }
        uv_run(&p->loop.uv, UV_RUN_NOWAIT);
    } while (p->kick_wanted ||
             (p->events && p->events->started && !p->events->ring.broken &&
              ring_has_work(&p->events->ring)));
}

/* ---- the guest ---- */

static void see(struct pad *p, uint16_t id)
{
    struct virtio_input_event wire;
    struct input_event16 *e = &p->seen[p->num_seen];

    assert_true(p->num_seen < PAD_SEEN);
    p->num_seen++;
    memcpy(&wire, guest_at(p->events, GUEST_DATA + 64u * id), sizeof(wire));
    *e = (struct input_event16){le16toh(wire.type), le16toh(wire.code),
                                (int32_t)le32toh(wire.value)};
    state_apply(&p->believed, e);
    p->inside = e->type != EV_SYN || e->code != SYN_REPORT;
}

unsigned pad_take(struct pad *p, bool refill)
{
    unsigned n = 0;
    uint32_t len;
    uint16_t id;

    while (guest_take(p->events, &id, &len)) {
        if (len == 8)
            see(p, id);
        else
            assert_int_equal(len, 0);
        n++;
        if (refill)
            pad_offer(p, id, 8, true);
        else
            p->buffers--;
    }
    return n;
}

void pad_play(struct pad *p)
{
    do
        pad_settle(p);
    while (pad_take(p, true) > 0);
}

/* ---- the source ---- */

void pad_frame(struct pad *p, const struct input_event16 *ev)
{
    struct input_event16 frame[SOURCE_FRAME_MAX];
    unsigned n = 0;

    for (; ev[n].type != EV_SYN || ev[n].code != SYN_REPORT; n++)
        frame[n] = ev[n];
    frame[n++] = (struct input_event16){EV_SYN, SYN_REPORT, 0};
    source_frame(p->in->source, frame, n);
}

void pad_key(struct pad *p, uint16_t code, int32_t value)
{
    FRAME(p, {EV_KEY, code, value});
}

/* ---- what was seen ---- */

void pad_expect(struct pad *p, uint16_t type, uint16_t code, int32_t value)
{
    const struct input_event16 *e = &p->seen[p->num_checked];

    assert_true(p->num_checked < p->num_seen);
    p->num_checked++;
    if (e->type != type || e->code != code || e->value != value)
        fail_msg("event %u is %u %u %d, not %u %u %d", p->num_checked - 1,
                 e->type, e->code, e->value, type, code, value);
}

void pad_expect_syn(struct pad *p)
{
    pad_expect(p, EV_SYN, SYN_REPORT, 0);
}

void pad_expect_key(struct pad *p, uint16_t code, int32_t value)
{
    pad_expect(p, EV_KEY, code, value);
    pad_expect_syn(p);
}

void pad_expect_none(struct pad *p)
{
    const struct input_event16 *e = &p->seen[p->num_checked];

    if (p->num_checked < p->num_seen)
        fail_msg("%u events were not expected, the first is %u %u %d",
                 p->num_seen - p->num_checked, e->type, e->code, e->value);
}

bool pad_holds(struct pad *p)
{
    struct input_state free_state = p->believed;

    state_release(&free_state);
    return memcmp(&free_state, &p->believed, sizeof(free_state)) != 0;
}
