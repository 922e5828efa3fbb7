/* The config space: every question, however it is asked. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "pad.h"

static struct virtio_input_config read_config(struct pad *p)
{
    struct virtio_input_config c;

    assert_int_equal(p->device->ops->config_len, sizeof(c));
    memset(&c, 0xee, sizeof(c));
    p->device->ops->config_read(p->device, &c);
    return c;
}

static int write_bytes(struct pad *p, uint32_t offset, const void *data,
                       uint32_t len)
{
    return p->device->ops->config_write(p->device, offset, data, len);
}

static struct virtio_input_config ask(struct pad *p, uint8_t select,
                                      uint8_t subsel)
{
    assert_int_equal(write_bytes(p, 0, &select, 1), 0);
    assert_int_equal(write_bytes(p, 1, &subsel, 1), 0);
    return read_config(p);
}

static bool has_bit(const struct virtio_input_config *c, unsigned bit)
{
    return bit / 8 < c->size && c->u.bitmap[bit / 8] & 1u << bit % 8;
}

static void expect_bits(struct pad *p, uint8_t type, unsigned size,
                        const unsigned *bits, unsigned n)
{
    struct virtio_input_config c = ask(p, VIRTIO_INPUT_CFG_EV_BITS, type);
    unsigned found = 0;

    assert_int_equal(c.size, size);
    for (unsigned i = 0; i < 1024; i++)
        found += has_bit(&c, i);
    for (unsigned i = 0; i < n; i++)
        assert_true(has_bit(&c, bits[i]));
    assert_int_equal(found, n);
}

#define BITS(p, type, size, ...)                                               \
    do {                                                                       \
        const unsigned bits_[] = {__VA_ARGS__};                                \
        expect_bits(p, type, size, bits_, ARRAY_LEN(bits_));                   \
    } while (0)

static void names_and_ids(void **state)
{
    struct pad *p = pad_open("'name': 'A näme', 'serial': '12-34', 'source': "
                             "{'type': 'virtual', 'preset': 'tablet'}");
    struct virtio_input_config c;

    (void)state;
    c = ask(p, VIRTIO_INPUT_CFG_ID_NAME, 0);
    assert_int_equal(c.size, strlen("A näme"));
    assert_memory_equal(c.u.string, "A näme\0", 8);
    c = ask(p, VIRTIO_INPUT_CFG_ID_SERIAL, 0);
    assert_int_equal(c.size, 5);
    assert_memory_equal(c.u.string, "12-34\0", 6);
    c = ask(p, VIRTIO_INPUT_CFG_ID_DEVIDS, 0);
    assert_int_equal(c.size, 8);
    assert_int_equal(le16toh(c.u.ids.bustype), BUS_VIRTUAL);
    assert_int_equal(le16toh(c.u.ids.vendor), 0x7662);
    assert_int_equal(le16toh(c.u.ids.product), 3);
    assert_int_equal(le16toh(c.u.ids.version), 1);
    pad_free(p);
}

static void a_keyboard_has_what_a_keyboard_has(void **state)
{
    struct pad *p = pad_preset("keyboard");
    struct virtio_input_config c = ask(p, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY);

    (void)state;
    assert_int_equal(c.size, KEY_MICMUTE / 8 + 1);
    for (unsigned i = KEY_ESC; i <= 83; i++) /* udev asks for 1 to 31 */
        assert_true(has_bit(&c, i));
    assert_false(has_bit(&c, 0));
    assert_false(has_bit(&c, 84)); /* no such key */
    assert_true(has_bit(&c, 113)); /* KEY_MUTE */
    BITS(p, EV_MSC, 1, MSC_SCAN);
    BITS(p, EV_LED, 1, 0, 1, 2, 3, 4);
    BITS(p, EV_REP, 1, REP_DELAY, REP_PERIOD);
    assert_int_equal(ask(p, VIRTIO_INPUT_CFG_EV_BITS, EV_REL).size, 0);
    assert_int_equal(ask(p, VIRTIO_INPUT_CFG_EV_BITS, EV_ABS).size, 0);
    assert_int_equal(ask(p, VIRTIO_INPUT_CFG_PROP_BITS, 0).size, 0);
    assert_int_equal(ask(p, VIRTIO_INPUT_CFG_ID_SERIAL, 0).size, 0);
    c = ask(p, VIRTIO_INPUT_CFG_ID_NAME, 0);
    assert_int_equal(c.size, strlen("vub keyboard"));
    pad_free(p);
}

static void a_mouse_moves_and_a_tablet_points(void **state)
{
    struct pad *p = pad_preset("mouse");
    struct virtio_input_config c;

    (void)state;
    BITS(p, EV_KEY, 35, 0x110, 0x111, 0x112, 0x113, 0x114);
    BITS(p, EV_REL, 2, REL_X, REL_Y, REL_HWHEEL, REL_WHEEL, REL_WHEEL_HI_RES,
         REL_HWHEEL_HI_RES);
    pad_free(p);
    p = pad_preset("tablet");
    BITS(p, EV_KEY, 35, 0x110, 0x111, 0x112, 0x113, 0x114);
    BITS(p, EV_ABS, 1, ABS_X, ABS_Y);
    c = ask(p, VIRTIO_INPUT_CFG_ABS_INFO, ABS_Y);
    assert_int_equal(c.size, 20);
    assert_int_equal(le32toh(c.u.abs.min), 0);
    assert_int_equal(le32toh(c.u.abs.max), 32767);
    assert_int_equal(ask(p, VIRTIO_INPUT_CFG_ABS_INFO, 2).size, 0);
    pad_free(p);
}

static void a_touch_screen_has_ten_slots(void **state)
{
    struct pad *p = pad_preset("touch");
    struct virtio_input_config c = ask(p, VIRTIO_INPUT_CFG_PROP_BITS, 0);

    (void)state;
    assert_int_equal(c.size, 1);
    assert_int_equal(c.u.bitmap[0], 1u << INPUT_PROP_DIRECT);
    BITS(p, EV_KEY, 42, BTN_TOUCH);
    BITS(p, EV_ABS, 8, ABS_X, ABS_Y, ABS_MT_SLOT, ABS_MT_POSITION_X,
         ABS_MT_POSITION_Y, ABS_MT_TRACKING_ID);
    c = ask(p, VIRTIO_INPUT_CFG_ABS_INFO, ABS_MT_SLOT);
    assert_int_equal(le32toh(c.u.abs.max), 9);
    pad_free(p);
}

static void a_description_is_shown_as_it_is(void **state)
{
    struct pad *p = pad_open(
        "'source': {'type': 'virtual', 'describe': {'name': 'Wheel', "
        "'serial': 's', 'bustype': 3, 'vendor': '0x046d', 'product': 2, "
        "'version': 3, 'events': ['EV_SND', 'SW_LID', 'KEY_A', 'EV_FF'], "
        "'properties': 'INPUT_PROP_POINTER', 'axes': [{'code': 'ABS_WHEEL', "
        "'min': -900, 'max': 900, 'fuzz': 1, 'flat': 2, 'resolution': 3}]}}");
    struct virtio_input_config c;

    (void)state;
    BITS(p, EV_KEY, 4, 30);
    BITS(p, EV_SW, 1, 0);
    BITS(p, EV_SND, 1, 0, 1, 2);
    BITS(p, EV_ABS, 2, 8);
    assert_true(ask(p, VIRTIO_INPUT_CFG_EV_BITS, EV_FF).size > 0);
    c = ask(p, VIRTIO_INPUT_CFG_ABS_INFO, 8);
    assert_int_equal((int32_t)le32toh(c.u.abs.min), -900);
    assert_int_equal(le32toh(c.u.abs.max), 900);
    assert_int_equal(le32toh(c.u.abs.fuzz), 1);
    assert_int_equal(le32toh(c.u.abs.flat), 2);
    assert_int_equal(le32toh(c.u.abs.res), 3);
    c = ask(p, VIRTIO_INPUT_CFG_ID_DEVIDS, 0);
    assert_int_equal(le16toh(c.u.ids.vendor), 0x046d);
    c = ask(p, VIRTIO_INPUT_CFG_PROP_BITS, 0);
    assert_int_equal(c.u.bitmap[0], 1);
    pad_free(p);
}

static void what_there_is_not_has_size_zero(void **state)
{
    static const char *const presets[] = {"keyboard", "mouse", "tablet",
                                          "touch"};
    struct virtio_input_config c, zero = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(presets); i++) {
        struct pad *p = pad_preset(presets[i]);
        const struct source_desc *d = &p->in->desc;

        for (unsigned s = 0; s < 65536; s++) {
            uint8_t select = (uint8_t)(s >> 8), subsel = (uint8_t)s;
            bool may = false;

            c = ask(p, select, subsel);
            assert_int_equal(c.select, select);
            assert_int_equal(c.subsel, subsel);
            assert_memory_equal(c.reserved, zero.reserved, 5);
            if (select == VIRTIO_INPUT_CFG_EV_BITS)
                may = subsel && source_has_type(d, subsel);
            else if (select == VIRTIO_INPUT_CFG_ABS_INFO)
                may = subsel < ABS_CNT && source_has(d, EV_ABS, subsel);
            else if (subsel == 0)
                may = select == VIRTIO_INPUT_CFG_ID_NAME ||
                      select == VIRTIO_INPUT_CFG_ID_DEVIDS ||
                      (select == VIRTIO_INPUT_CFG_PROP_BITS && i == 3);
            assert_int_equal(c.size > 0, may);
            /* Nothing of another answer is left behind this one. */
            assert_memory_equal(c.u.bitmap + c.size, zero.u.bitmap,
                                sizeof(c.u) - c.size);
        }
        pad_free(p);
    }
}

/* Whatever is written where: the two bytes are what was written last there,
 * and everything else is ignored. */
static void a_question_may_be_written_in_any_way(void **state)
{
    struct pad *p = pad_preset("touch");
    uint8_t whole[136], want[2] = {0, 0};
    struct virtio_input_config c;

    (void)state;
    srand(1);
    for (unsigned round = 0; round < 20000; round++) {
        uint32_t offset = (uint32_t)rand() % (rand() % 4 ? 4 : 136);
        uint32_t len = 1 + (uint32_t)rand() % (136 - offset);
        int rc;

        for (unsigned i = 0; i < len; i++)
            whole[i] = (uint8_t)rand();
        rc = write_bytes(p, offset, whole, len);
        for (unsigned i = 0; i < 2; i++)
            if (offset <= i && i < offset + len)
                want[i] = whole[i - offset];
        assert_int_equal(rc, offset < 2 ? 0 : -EACCES);
        c = read_config(p);
        assert_int_equal(c.select, want[0]);
        assert_int_equal(c.subsel, want[1]);
    }
    /* As QEMU does: what was read goes back whole, with one byte changed. */
    c = ask(p, VIRTIO_INPUT_CFG_ID_NAME, 0);
    c.select = VIRTIO_INPUT_CFG_EV_BITS;
    assert_int_equal(write_bytes(p, 0, &c, sizeof(c)), 0);
    c.subsel = EV_ABS;
    assert_int_equal(write_bytes(p, 0, &c, sizeof(c)), 0);
    assert_int_equal(read_config(p).size, 8);
    /* subsel first */
    assert_int_equal(write_bytes(p, 1, "\x2f", 1), 0);
    assert_int_equal(write_bytes(p, 0, "\x12", 1), 0);
    assert_int_equal(read_config(p).size, 20);
    pad_free(p);
}

static void a_reset_asks_nothing(void **state)
{
    struct pad *p = pad_preset("mouse");
    struct virtio_input_config c;

    (void)state;
    ask(p, VIRTIO_INPUT_CFG_EV_BITS, EV_KEY);
    p->device->ops->reset(p->device);
    c = read_config(p);
    assert_int_equal(c.select, VIRTIO_INPUT_CFG_UNSET);
    assert_int_equal(c.size, 0);
    pad_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(names_and_ids),
        cmocka_unit_test(a_keyboard_has_what_a_keyboard_has),
        cmocka_unit_test(a_mouse_moves_and_a_tablet_points),
        cmocka_unit_test(a_touch_screen_has_ten_slots),
        cmocka_unit_test(a_description_is_shown_as_it_is),
        cmocka_unit_test(what_there_is_not_has_size_zero),
        cmocka_unit_test(a_question_may_be_written_in_any_way),
        cmocka_unit_test(a_reset_asks_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
