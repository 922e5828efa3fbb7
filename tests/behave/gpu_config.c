/* Commands to a GPU that no front-end's display sees: what they do to pictures,
 * and what is answered. */
#include "headless.h"

static const char one[] = SCREEN("");
static const char three[] = SCREEN(
    ", 'scanouts': [{'width': 1024, 'height': 768},"
    " {'width': 640, 'height': 480, 'name': 'second', 'serial': 'lab-8'},"
    " {'width': 5120, 'height': 2160, 'refresh': 75}]");

static void it_offers_what_works_and_no_more(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    assert_int_equal(s.g->f->offered & 0xffffff,
                     FEATURE(VIRTIO_GPU_F_EDID) |
                         FEATURE(VIRTIO_GPU_F_RESOURCE_UUID) |
                         FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB));
    assert_int_equal(s.g->f->queues_offered, 2);
    screen_close(&s);
}

static void the_config_space_is_true(void **state)
{
    struct virtio_gpu_config c;
    le32 bits = htole32(UINT32_MAX);
    struct screen s;

    (void)state;
    screen_open(&s, three, &(struct front_conf){.backend_channel = true});
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), 0);
    assert_int_equal(le32_load(&c.events_clear), 0);
    assert_int_equal(le32_load(&c.num_scanouts), 3);
    assert_int_equal(le32_load(&c.num_capsets), 0);
    /* An event is there until the driver clears just its bit. */
    ctl_call(&s.c, "gpu.resize",
             "{'device': 'screen', 'width': 800, 'height': 600}");
    ctl_need(&s.c, "\"result\"");
    front_need_config_change(s.g->f);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), VIRTIO_GPU_EVENT_DISPLAY);
    assert_int_equal(front_set_config(s.g->f, 5, &bits, 3), 0);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), VIRTIO_GPU_EVENT_DISPLAY);
    assert_int_equal(front_set_config(s.g->f, 4, &bits, 1), 0);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), 0);
    /* The whole may be written, for its sake; nothing else may. */
    ctl_call(&s.c, "gpu.resize",
             "{'device': 'screen', 'width': 801, 'height': 600}");
    ctl_need(&s.c, "\"result\"");
    front_need_config_change(s.g->f);
    c = (struct virtio_gpu_config){htole32(9), htole32(1), htole32(9),
                                   htole32(9)};
    assert_int_equal(front_set_config(s.g->f, 0, &c, sizeof(c)), 0);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), 0);
    assert_int_equal(le32_load(&c.num_scanouts), 3);
    assert_true(front_set_config(s.g->f, 0, &bits, 4) != 0);
    assert_true(front_set_config(s.g->f, 8, &bits, 4) != 0);
    assert_true(front_set_config(s.g->f, 12, &bits, 4) != 0);
    screen_close(&s);
}

static void displays_are_as_the_config_has_them(void **state)
{
    struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS];
    struct screen s;

    (void)state;
    screen_open(&s, three, NULL);
    gpu_need(gpu_display_info(s.g, d), OK_DISPLAY_INFO);
    need_display(&d[0], 0, 1024, 768);
    need_display(&d[1], 1024, 640, 480);
    need_display(&d[2], 1664, 5120, 2160);
    for (unsigned i = 3; i < VIRTIO_GPU_MAX_SCANOUTS; i++)
        need_display(&d[i], 0, 0, 0);
    screen_close(&s);

    screen_open(&s, one, NULL);
    gpu_need(gpu_display_info(s.g, d), OK_DISPLAY_INFO);
    need_display(&d[0], 0, 1280, 800);
    need_display(&d[1], 0, 0, 0);
    screen_close(&s);
}

/* What its first descriptor says, E-EDID 1.4 section 3.10.2. */
static void need_edid(struct gpu *g, unsigned i, uint32_t width,
                      uint32_t height, const char *name)
{
    uint8_t e[VIRTIO_GPU_EDID_BYTES];
    bool named = false;
    uint32_t len;

    front_note("EDID of scanout %u", i);
    gpu_need(gpu_edid(g, i, e, &len), OK_EDID);
    assert_true(len == 128 || len == 256);
    assert_memory_equal(e, "\0\xff\xff\xff\xff\xff\xff\0", 8);
    for (uint32_t at = 0; at < len; at += 128) {
        uint8_t sum = 0;

        for (unsigned k = 0; k < 128; k++)
            sum += e[at + k];
        assert_int_equal(sum, 0);
    }
    assert_int_equal(e[126], len / 128 - 1);
    if (width < 4096) {
        assert_int_equal(e[56] | (e[58] & 0xf0) << 4, width);
        assert_int_equal(e[59] | (e[61] & 0xf0) << 4, height);
    } else {
        assert_int_equal(len, 256);
    }
    for (unsigned at = 54; at < 126; at += 18)
        named |= memcmp(e + at, "\0\0\0\xfc\0", 5) == 0 &&
                 memcmp(e + at + 5, name, strlen(name)) == 0;
    assert_true(named);
}

static void monitors_say_what_the_config_has(void **state)
{
    uint8_t e[VIRTIO_GPU_EDID_BYTES];
    struct screen s;
    uint32_t len;

    (void)state;
    screen_open(&s, three, NULL);
    need_edid(s.g, 0, 1024, 768, "vub");
    need_edid(s.g, 1, 640, 480, "second");
    need_edid(s.g, 2, 5120, 2160, "vub");
    gpu_need(gpu_edid(s.g, 3, e, &len), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_edid(s.g, 16, e, &len), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_edid(s.g, UINT32_MAX, e, &len), ERR_INVALID_SCANOUT_ID);
    /* One that has been changed says so. */
    ctl_call(&s.c, "gpu.resize",
             "{'device': 'screen', 'scanout': 1, 'width': 808, 'height': 600}");
    ctl_need(&s.c, "\"result\"");
    need_edid(s.g, 1, 808, 600, "second");
    screen_close(&s);
}

BEHAVE_MAIN(T(it_offers_what_works_and_no_more), T(the_config_space_is_true),
            T(displays_are_as_the_config_has_them),
            T(monitors_say_what_the_config_has))
