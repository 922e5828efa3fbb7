/* A guest asks how large its displays are before the front-end's display has
 * said so: that is waited for, a second at most, and delays nothing else. */
#include "front/display.h"
#include "headless.h"

#define SHOWN                                                                  \
    "{'id': 'screen', 'type': 'gpu', 'scanouts': ["                            \
    "{'width': 800, 'height': 600}]}"

/* Negotiated, memory shared, a display plugged, rings on the way. */
static void begin_with(struct screen *s, struct display *d)
{
    const struct front_conf conf = {.queues = 2, .backend_channel = true};
    struct front *f = front_connect(s->v, "screen");

    front_negotiate(f, &conf);
    front_share(f);
    display_plug(d, f);
    front_start_rings(f);
    s->g = gpu_on(f);
}

static void need_width(struct screen *s, uint32_t width)
{
    struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS];

    gpu_need(gpu_display_info(s->g, d), OK_DISPLAY_INFO);
    assert_int_equal(le32toh(d[0].r.width), width);
}

/* All messages are answered meanwhile; the first command is, with what the
 * config says, after a second. */
static void a_silent_display_delays_the_rings_and_nothing_else(void **state)
{
    struct display *d = display_new();
    struct virtio_gpu_config c;
    int64_t began;
    struct screen s;

    (void)state;
    screen_run(&s, SHOWN);
    d->silent = 1u << DISPLAY_GET_DISPLAY_INFO;
    began = front_now_ms();
    begin_with(&s, d);
    gpu_config(s.g, &c);
    front_settle(s.g->f);
    assert_int_equal(vub_log_count(s.v, "has not said"), 0);
    need_width(&s, 800);
    assert_true(front_now_ms() - began >= 900);
    vub_log_wait(s.v, "has not said how large it is");
    /* The next one is served at once: it has been waited for. */
    screen_show_colour(&s, 1, 0x123456);
    screen_need_colour(&s, 0x123456);
    display_free(d);
    screen_close(&s);
}

static void a_display_that_goes_is_not_waited_for(void **state)
{
    struct display *d = display_new();
    struct screen s;

    (void)state;
    screen_run(&s, SHOWN);
    d->silent = ~0u;
    begin_with(&s, d);
    display_unplug(d);
    need_width(&s, 800);
    vub_log_wait(s.v, "has not said how large it is");
    display_free(d);
    screen_close(&s);
}

/* And a front-end may stop, hang up, or give another display meanwhile. */
static void rings_may_stop_while_a_display_is_waited_for(void **state)
{
    struct display *d = display_new(), *other = display_new();
    struct screen s;

    (void)state;
    screen_run(&s, SHOWN);
    d->silent = ~0u;
    begin_with(&s, d);
    screen_stop(&s);
    screen_start(&s);
    need_width(&s, 800);
    gpu_close(s.g);
    begin_with(&s, d);
    gpu_close(s.g);
    begin_with(&s, d);
    display_size(other, 0, 1024, 768);
    display_plug(other, s.g->f);
    display_greet(other);
    need_width(&s, 1024);
    vub_log_wait(s.v, "scanout 0 has 1024x768 pixels, as the front-end's "
                      "display has it, not the config's 800x600");
    display_free(d);
    display_free(other);
    screen_close(&s);
}

/* ---- A display of another size ---- */

static struct gpu_req *ask_displays(struct screen *s)
{
    const struct virtio_gpu_ctrl_hdr c =
        gpu_head(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
    struct gpu_req *r = gpu_req_new(s->g, sizeof(c));

    gpu_go(s->g->control, r, &c, sizeof(c), GPU_RESP_MAX);
    return r;
}

/* The command has been taken, and is not answered. */
static void need_waiting(struct screen *s)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (screen_stat(s, "in_flight") != 1)
        if (front_now_ms() > end)
            front_fail("the command does not wait");
}

static void need_width_said(struct screen *s, struct gpu_req *r, uint32_t width)
{
    struct virtio_gpu_resp_display_info said;

    gpu_need(gpu_wait(s->g->control, r), OK_DISPLAY_INFO);
    memcpy(&said, r->resp, sizeof(said));
    assert_int_equal(le32toh(said.pmodes[0].r.width), width);
}

/* QEMU tells the guest that its window has another size, and us nothing. The
 * guest reads the config space, and asks before QEMU has been able to say. */
static void a_guest_is_told_what_its_display_says_by_then(void **state)
{
    const struct virtio_gpu_get_edid edid = {gpu_head(VIRTIO_GPU_CMD_GET_EDID)};
    struct display *d = display_new();
    struct virtio_gpu_config c;
    struct gpu_req *first, *second;
    struct screen s;

    (void)state;
    d->offers = 0; /* the EDID is ours */
    screen_run(&s, SHOWN);
    begin_with(&s, d);
    display_greet(d);
    need_width(&s, 1280);

    display_size(d, 0, 1024, 768);
    gpu_config(s.g, &c);
    first = gpu_req_new(s.g, sizeof(edid));
    gpu_go(s.g->control, first, &edid, sizeof(edid), GPU_RESP_MAX);
    second = ask_displays(&s);
    need_waiting(&s);
    display_need(d, DISPLAY_GET_DISPLAY_INFO);
    gpu_need(gpu_wait(s.g->control, first), OK_EDID);
    /* The preferred mode: E-EDID 1.4, "Detailed Timing Descriptor". */
    assert_int_equal(first->resp[32 + 54 + 2], 1024 & 255);
    assert_int_equal(first->resp[32 + 54 + 4] >> 4, 1024 >> 8);
    need_width_said(&s, second, 1024);
    /* What it was told is no news. */
    gpu_config(s.g, &c);
    assert_int_equal(le32toh(c.events_read), 0);

    /* A display that goes does not say it. */
    display_need(d, DISPLAY_GET_DISPLAY_INFO);
    d->silent = ~0u;
    display_size(d, 0, 800, 600);
    gpu_config(s.g, &c);
    first = ask_displays(&s);
    need_waiting(&s);
    display_unplug(d);
    need_width_said(&s, first, 1024);
    display_free(d);
    screen_close(&s);
}

static void a_display_that_does_not_say_is_waited_for_once(void **state)
{
    struct display *d = display_new();
    struct virtio_gpu_config c;
    struct screen s;
    int64_t began;

    (void)state;
    screen_run(&s, SHOWN);
    begin_with(&s, d);
    display_greet(d);
    need_width(&s, 1280);
    display_size(d, 0, 1024, 768);
    d->silent = ~0u;
    gpu_config(s.g, &c);
    need_width(&s, 1280);
    began = front_now_ms();
    for (unsigned i = 0; i < 40; i++) {
        gpu_config(s.g, &c);
        need_width(&s, 1280);
    }
    assert_true(front_now_ms() - began < 40 * 500);

    /* When it speaks it is heard, and waited for again. */
    d->silent = 0;
    display_say(d, DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, &d->info,
                sizeof(d->info), NULL, 0);
    front_need_config_change(s.g->f);
    need_width(&s, 1024);
    display_free(d);
    screen_close(&s);
}

/* A front-end that stops rings may be who would have to say it. */
static void a_ring_that_stops_does_not_wait_for_a_display(void **state)
{
    struct display *d = display_new();
    struct virtio_gpu_config c;
    struct gpu_req *r;
    struct screen s;

    (void)state;
    screen_run(&s, SHOWN);
    begin_with(&s, d);
    display_greet(d);
    need_width(&s, 1280);
    d->silent = ~0u;
    gpu_config(s.g, &c);
    r = ask_displays(&s);
    need_waiting(&s);
    screen_stop(&s);
    assert_true(gpu_is_done(s.g->control, r));
    need_width_said(&s, r, 1280);
    screen_start(&s);
    need_width(&s, 1280);
    display_free(d);
    screen_close(&s);
}

/* Only a device that shows something knows the message. */
static void a_disk_has_no_display(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));
    struct front *f = front_new(v, "d", NULL);
    uint64_t nothing = 0;
    int fd = front_memfd(4096);

    (void)state;
    assert_true(front_ack(f, WIRE_GPU_SET_SOCKET, &nothing, sizeof(nothing),
                          &fd, 1) != 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    close(fd);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(a_silent_display_delays_the_rings_and_nothing_else),
            T(a_display_that_goes_is_not_waited_for),
            T(rings_may_stop_while_a_display_is_waited_for),
            T(a_guest_is_told_what_its_display_says_by_then),
            T(a_display_that_does_not_say_is_waited_for_once),
            T(a_ring_that_stops_does_not_wait_for_a_display),
            T(a_disk_has_no_display))
