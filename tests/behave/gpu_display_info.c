/* How large the front-end's display would like scanouts to be, and what it says
 * that its monitors are, is what the guest is told. */
#include "screen.h"

static void need_display(struct screen *s, unsigned i, uint32_t width,
                         uint32_t height)
{
    struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS];

    gpu_need(gpu_display_info(s->g, d), OK_DISPLAY_INFO);
    assert_int_equal(le32toh(d[i].enabled), width > 0);
    assert_int_equal(le32toh(d[i].r.width), width);
    assert_int_equal(le32toh(d[i].r.height), height);
}

static void its_sizes_win_over_the_config(void **state)
{
    struct screen s;
    struct virtio_gpu_config c;

    (void)state;
    s.v = ctl_start(SCREEN(
        ", 'scanouts': [{'width': 640, 'height': 480}, {'width': 320}]"));
    s.d = display_new();
    display_size(s.d, 0, 1024, 768);
    display_size(s.d, 5, 16384, 1);
    display_size(s.d, 6, 16385, 600); /* no */
    s.d->info.pmodes[7].enabled = htole32(1);
    screen_session(&s);
    vub_log_wait(s.v, "scanout 0 has 1024x768 pixels, as the front-end's "
                      "display has it, not the config's 640x480");
    vub_log_wait(s.v, "scanout 1 is off, as the front-end's display has it");
    need_display(&s, 0, 1024, 768);
    need_display(&s, 1, 0, 0);
    need_display(&s, 5, 16384, 1);
    need_display(&s, 6, 0, 0);
    need_display(&s, 7, 0, 0);

    /* Later changes are told when it is asked again. */
    gpu_config(s.g, &c);
    assert_int_equal(le32toh(c.events_read), 0);
    display_need(s.d, DISPLAY_GET_DISPLAY_INFO);
    display_need(s.d, DISPLAY_GET_EDID);
    display_need(s.d, DISPLAY_GET_EDID);
    display_size(s.d, 0, 800, 600);
    gpu_config(s.g, &c);
    display_need(s.d, DISPLAY_GET_DISPLAY_INFO);
    display_need(s.d, DISPLAY_GET_EDID);
    display_need(s.d, DISPLAY_GET_EDID);
    front_need_config_change(s.f);
    need_display(&s, 0, 800, 600);
    gpu_config(s.g, &c);
    assert_int_equal(le32toh(c.events_read), VIRTIO_GPU_EVENT_DISPLAY);
    screen_close(&s);
}

static void need_edid(struct screen *s, unsigned i, uint32_t bytes, int fill)
{
    uint8_t edid[VIRTIO_GPU_EDID_BYTES];
    uint32_t len;

    gpu_need(gpu_edid(s->g, i, edid, &len), OK_EDID);
    if (bytes)
        assert_int_equal(len, bytes);
    assert_int_equal(edid[1], fill);
    assert_int_equal(edid[len - 1] == fill, bytes > 0);
}

/* An EDID of ours has 0xff there. */
#define OURS 0, 0xff

static void its_edids_are_the_guests_if_it_has_some(void **state)
{
    struct screen s;

    (void)state;
    s.v = ctl_start(SCREEN());
    s.d = display_new();
    display_size(s.d, 2, 800, 600);
    display_edid(s.d, 0, 256, 0x77);
    display_edid(s.d, 2, 1024, 0x55);
    s.d->dribble = true;
    screen_session(&s);
    /* The rings have started when it had said both. */
    need_edid(&s, 0, 256, 0x77);
    need_edid(&s, 2, 1024, 0x55);
    need_edid(&s, 1, OURS);

    /* An empty one is none; and none is asked for that was not agreed to. */
    display_edid(s.d, 2, 0, 0);
    display_plug(s.d, s.f);
    display_greet(s.d);
    need_edid(&s, 0, 256, 0x77);
    need_edid(&s, 2, OURS);
    s.d->offers = 0;
    display_plug(s.d, s.f);
    display_greet(s.d);
    assert_int_equal(s.d->features, 0);
    need_edid(&s, 0, OURS);
    screen_close(&s);
}

BEHAVE_MAIN(T(its_sizes_win_over_the_config),
            T(its_edids_are_the_guests_if_it_has_some))
