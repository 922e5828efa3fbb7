/* The config space, as messages read and write it: any part, nothing beyond its
 * end, and only what a driver may. */
#include "behave.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 2, ", MEMORY));
}

static struct front *negotiated(struct vub *v)
{
    struct front *f = front_connect(v, "d");

    front_negotiate(f, &(struct front_conf){.queues = 2});
    return f;
}

static void config_offset_and_size_are_honoured(void **state)
{
    struct vub *v = start();
    struct front *f = negotiated(v);
    uint8_t whole[256], part[64];

    (void)state;
    front_config(f, 0, whole, sizeof(whole));
    assert_int_equal(blk_capacity(f), 64 << 11);
    for (uint32_t offset = 0; offset < 72; offset++)
        for (uint32_t len = 1; len <= 16; len++) {
            front_config(f, offset, part, len);
            assert_memory_equal(part, whole + offset, len);
        }
    /* Beyond what the device has there are zeros: front-ends may know a
     * longer struct. */
    for (unsigned i = sizeof(struct virtio_blk_config); i < 256; i++)
        assert_int_equal(whole[i], 0);
    front_free(f);
    vub_free(v);
}

/* An answer without payload says so; the session goes on. */
static void config_beyond_its_end_is_refused(void **state)
{
    static const struct wire_config bad[] = {
        {256, 1, 0}, {255, 2, 0}, {0xffffffff, 1, 0}, {0xffffff00, 0x100, 0}};
    struct vub *v = start();
    struct front *f = negotiated(v);
    struct front_msg m;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_send(f, WIRE_GET_CONFIG, 0, &bad[i],
                   WIRE_CONFIG_HEADER + bad[i].size, NULL, 0);
        front_reply(f, WIRE_GET_CONFIG, &m);
        assert_int_equal(m.h.size, 0);
    }
    /* A size that the payload does not have. */
    front_send(f, WIRE_GET_CONFIG, 0, &bad[1], WIRE_CONFIG_HEADER + 40, NULL,
               0);
    front_reply(f, WIRE_GET_CONFIG, &m);
    assert_int_equal(m.h.size, 0);
    front_settle(f);
    front_free(f);
    vub_free(v);
}

static uint8_t writeback(struct front *f)
{
    uint8_t b;

    front_config(f, offsetof(struct virtio_blk_config, writeback), &b, 1);
    return b;
}

/* QEMU writes the whole struct to change one byte. */
static void set_config_changes_what_is_writable_and_nothing_else(void **state)
{
    struct vub *v = vub_new();
    struct virtio_blk_config before, c, after;
    struct front *f;
    FILE *img;

    (void)state;
    img = fopen(vub_path(v, "img"), "we");
    assert_int_equal(ftruncate(fileno(img), 1 << 20), 0);
    fclose(img);
    vub_config(v, DISK("d", "", "{'type': 'file', 'path': 'img'}"));
    vub_run(v);
    f = negotiated(v);
    front_config(f, 0, &before, sizeof(before));
    assert_int_equal(before.writeback, 1);

    memset(&c, 0xff, sizeof(c));
    c.writeback = 0;
    assert_int_equal(front_set_config(f, 0, &c, sizeof(c)), 0);
    front_config(f, 0, &after, sizeof(after));
    assert_int_equal(after.writeback, 0);
    after.writeback = before.writeback;
    assert_memory_equal(&before, &after, sizeof(after));

    assert_int_equal(front_set_config(f, 32, "\1", 1), 0);
    assert_int_equal(writeback(f), 1);
    /* Item 37: nothing else may be written, by whatever offset. */
    for (uint32_t at = 0; at < 72; at++)
        if (at != 32)
            assert_true(front_set_config(f, at, "\xff", 1) > 0);
    assert_true(front_set_config(f, 0, &c, 32) > 0);
    assert_true(front_set_config(f, 33, &c, 39) > 0);
    assert_true(front_set_config(f, 72, &c, 8) > 0);
    assert_true(front_set_config(f, 0xffffffff, &c, 8) > 0);
    front_config(f, 0, &after, sizeof(after));
    assert_memory_equal(&before, &after, sizeof(after));
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(config_offset_and_size_are_honoured),
            T(config_beyond_its_end_is_refused),
            T(set_config_changes_what_is_writable_and_nothing_else))
