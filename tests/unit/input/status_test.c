/* The status queue: what reaches the source, and that all buffers come back. */
#include <string.h>

#include "pad.h"

static struct input_event16 got[256];
static unsigned num_got;

static void on_status(struct source *s, uint16_t type, uint16_t code,
                      int32_t value)
{
    (void)s;
    got[num_got++ % 256] = (struct input_event16){type, code, value};
}

static struct source_ops spy;

/* A ring for status events, and a source that notes them. */
static struct pad *status_open(const char *keys, bool packed)
{
    struct pad *p = pad_open(keys);

    spy = *p->in->source->ops;
    spy.status = on_status;
    p->in->source->ops = &spy;
    num_got = 0;
    p->status = guest_new(packed, 128);
    guest_start(p->status);
    p->status->ring.index = VIRTIO_INPUT_STATUSQ;
    p->status->ring.loop = &p->loop;
    p->status->ring.enabled = true;
    return p;
}

static void send_bytes(struct pad *p, uint16_t id, const void *bytes,
                       uint32_t len)
{
    const struct piece piece = {GUEST_DATA + 64u * id, len, false};

    memcpy(guest_at(p->status, piece.gpa), bytes, len);
    guest_offer(p->status, id, &piece, 1);
}

static void send_event(struct pad *p, uint16_t id, uint16_t type, uint16_t code,
                       int32_t value)
{
    const struct virtio_input_event e = {htole16(type), htole16(code),
                                         htole32((uint32_t)value)};

    send_bytes(p, id, &e, sizeof(e));
}

static void turn(struct pad *p)
{
    do {
        p->device->ops->ring_kick(p->device, &p->status->ring);
        ring_flush(&p->status->ring);
    } while (ring_has_work(&p->status->ring));
}

static void expect_got(unsigned i, uint16_t type, uint16_t code, int32_t value)
{
    assert_true(i < num_got);
    assert_int_equal(got[i].type, type);
    assert_int_equal(got[i].code, code);
    assert_int_equal(got[i].value, value);
}

static void what_the_device_has_reaches_the_source(void **state)
{
    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct pad *p = status_open(
            "'source': {'type': 'virtual', 'describe': {'name': 'k', 'events':"
            " ['LED_CAPSL', 'SND_BELL', 'EV_REP', 'FF_RUMBLE', 'FF_GAIN']}}",
            packed);

        send_event(p, 0, EV_LED, LED_CAPSL, 1);
        send_event(p, 1, EV_LED, LED_NUML, 1); /* it has none */
        send_event(p, 2, EV_SND, 1, -1);
        send_event(p, 3, EV_REP, REP_DELAY, 500);
        send_event(p, 4, EV_FF, 3, 1); /* plays effect 3 */
        send_event(p, 5, EV_FF, FF_GAIN, 0x8000);
        send_event(p, 6, EV_FF, FF_AUTOCENTER, 1); /* has none */
        send_event(p, 7, EV_KEY, KEY_A, 1);
        send_event(p, 8, 0xffff, 0xffff, -1);
        turn(p);
        for (uint16_t i = 0; i < 9; i++)
            guest_expect(p->status, i, 0);
        expect_got(0, EV_LED, LED_CAPSL, 1);
        expect_got(1, EV_SND, 1, -1);
        expect_got(2, EV_REP, REP_DELAY, 500);
        expect_got(3, EV_FF, 3, 1);
        expect_got(4, EV_FF, FF_GAIN, 0x8000);
        assert_int_equal(num_got, 5);
        assert_int_equal(p->in->stats.status, 9);
        pad_free(p);
    }
}

static void garbage_comes_back(void **state)
{
    struct pad *p = status_open("'source': {'type': 'virtual', 'preset': "
                                "'keyboard'}",
                                false);
    const struct piece write_only = {GUEST_DATA, 8, true};
    uint8_t bytes[64];

    (void)state;
    memset(bytes, 0xff, sizeof(bytes));
    for (uint16_t i = 1; i < 64; i++)
        send_bytes(p, i, bytes, i);
    guest_offer(p->status, 0, &write_only, 1);
    turn(p);
    for (uint16_t i = 1; i < 64; i++)
        guest_expect(p->status, i, 0);
    guest_expect(p->status, 0, 0);
    assert_int_equal(num_got, 0);
    assert_int_equal(p->in->stats.bad, 8);
    assert_null(p->status->ring.broken);
    pad_free(p);
}

static void a_turn_is_bounded(void **state)
{
    struct pad *p = status_open("'source': {'type': 'virtual', 'preset': "
                                "'keyboard'}",
                                true);

    (void)state;
    for (uint16_t i = 0; i < 100; i++)
        send_event(p, i, EV_LED, LED_CAPSL, i & 1);
    p->device->ops->ring_kick(p->device, &p->status->ring);
    assert_int_equal(num_got, 64);
    assert_true(ring_has_work(&p->status->ring));
    turn(p);
    assert_int_equal(num_got, 100);
    pad_free(p);
}

static void a_virtual_keyboard_shows_its_leds(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct json_out o = JSON_OUT_EMPTY;
    const struct source_ops *ops = p->in->source->ops;

    (void)state;
    ops->status(p->in->source, EV_LED, LED_CAPSL, 1);
    ops->status(p->in->source, EV_LED, LED_NUML, 1);
    ops->status(p->in->source, EV_LED, LED_NUML, 0);
    ops->status(p->in->source, EV_REP, REP_DELAY, 600);
    json_begin(&o, NULL, '{');
    device_type_of(&(struct conf_any){.table = &input_table})
        ->status(p->device, &o);
    json_end(&o, '}');
    assert_non_null(strstr(o.text, "\"leds\":[\"LED_CAPSL\"]"));
    assert_non_null(strstr(o.text, "\"repeat_delay_ms\":600"));
    json_out_free(&o);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_the_device_has_reaches_the_source),
        cmocka_unit_test(garbage_comes_back),
        cmocka_unit_test(a_turn_is_bounded),
        cmocka_unit_test(a_virtual_keyboard_shows_its_leds),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
