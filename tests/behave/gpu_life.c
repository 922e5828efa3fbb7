/* What a GPU keeps, and what it forgets: drivers, front-ends, displays and
 * guest memory that come and go. */
#include <signal.h>

#include "front/display.h"
#include "headless.h"

static const char one[] = SCREEN("");

static void fill(uint32_t *rgb, unsigned n, uint32_t colour)
{
    for (unsigned i = 0; i < n; i++)
        rgb[i] = colour;
}

/* Resource `id` of 16 times 16, all of one colour, on scanout 0. */
static void show_colour(struct screen *s, uint32_t id, uint32_t colour)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 16, 16, 512);

    for (unsigned i = 0; i < 256; i++)
        gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(colour)}, 4);
    gpu_show(s->g, 0, id, XRGB, fb);
    gpu_draw(s->g, id, fb, 0, 0, 16, 16);
}

static void need_colour(struct screen *s, uint32_t colour)
{
    uint32_t rgb[256];

    fill(rgb, 256, colour);
    screen_need(s, 0, true, rgb, 16, 16);
}

/* There is nothing of those before, and ids are free. */
static void need_nothing(struct screen *s)
{
    screen_need_nothing(s, 0, "shows nothing");
    assert_int_equal(screen_stat(s, "count"), 0);
    assert_int_equal(screen_stat(s, "bytes"), 0);
}

static void stop(struct screen *s)
{
    vq_stop(s->g->control);
    vq_stop(s->g->cursor);
}

static void start(struct screen *s)
{
    vq_start(s->g->control);
    vq_start(s->g->cursor);
}

/* ---- Drivers ---- */

/* As QEMU does it when its guest is reset: no word of that, but the rings are
 * another driver's. */
static void another_driver_begins(struct screen *s)
{
    show_colour(s, 1, 0x112233);
    stop(s);
    need_colour(s, 0x112233);
    vq_reset(s->g->control);
    vq_reset(s->g->cursor);
    start(s);
    gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), ERR_INVALID_RESOURCE_ID);
    need_nothing(s);
    show_colour(s, 1, 0x445566);
    need_colour(s, 0x445566);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void another_driver_finds_nothing(void **state)
{
    (void)state;
    on_all_rings(one, another_driver_begins);
}

/* One that stopped just where queues begin, all around the ring: a driver that
 * is new has read the config space. */
static void another_driver_begins_at_the_same_place(void **state)
{
    static const bool read[] = {false, true};
    struct vub *v = vub_start("%s", one);

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++)
        for (unsigned i = 0; i < ARRAY_LEN(read); i++) {
            const struct front_conf conf = {.packed = packed, .size = 8};
            struct gpu *g = gpu_open(v, "screen", &conf);
            struct virtio_gpu_config c;
            uint32_t begins = g->control->base, n = 0;

            front_note("%s, %s", packed ? "packed" : "split",
                       read[i] ? "read" : "not read");
            gpu_need(gpu_create(g, 1, XRGB, 8, 8), OK_NODATA);
            /* Split: 65536 chains; packed: twice around, two places each. */
            for (n = 1; n < (packed ? 8 : 65536); n++)
                gpu_need(gpu_flush(g, 1, 0, 0, 8, 8), OK_NODATA);
            assert_int_equal(vq_stop(g->control), begins);
            if (read[i])
                gpu_config(g, &c);
            vq_start(g->control);
            if (read[i])
                gpu_need(gpu_unref(g, 1), ERR_INVALID_RESOURCE_ID);
            else
                gpu_need(gpu_unref(g, 1), OK_NODATA);
            gpu_close(g);
        }
    vub_free(v);
}

/* As QEMU does it when its guest is paused. */
static void stop_and_go_on(struct screen *s)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 16, 16, 100);
    const struct gpu_blob_view view = {XRGB, 16, 16, 64, 0, {0, 0, 16, 16}};

    show_colour(s, 1, 0x112233);
    for (unsigned i = 0; i < 3; i++) {
        stop(s);
        need_colour(s, 0x112233);
        start(s);
        gpu_need(gpu_transfer(s->g, 1, 0, 0, 16, 16, 0), OK_NODATA);
        gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), OK_NODATA);
        need_colour(s, 0x112233);
    }
    /* A blob lies in the guest's memory, which we do not keep. */
    for (unsigned i = 0; i < 256; i++)
        gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(0x777777)}, 4);
    gpu_need(gpu_create_blob(s->g, 2, fb->len, fb->entries, fb->num),
             OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s->g, 0, 2, &view), OK_NODATA);
    need_colour(s, 0x777777);
    stop(s);
    screen_need_nothing(s, 0, "not there");
    start(s);
    need_colour(s, 0x777777);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
    gpu_need(gpu_unref(s->g, 2), OK_NODATA);
}

static void a_driver_that_was_stopped_finds_everything(void **state)
{
    (void)state;
    on_all_rings(one, stop_and_go_on);
}

/* Its cursor and its pictures are gone; those of whom the device was resized
 * for too. */
static void a_reset_forgets_everything(void **state)
{
    struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS];
    struct virtio_gpu_config c;
    struct gpu_fb *arrow;
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    ctl_call(&s.c, "gpu.resize",
             "{'device': 'screen', 'width': 640, 'height': 480}");
    ctl_need(&s.c, "\"result\"");
    show_colour(&s, 1, 0x112233);
    arrow = gpu_fb_new(s.g, 64, 64, 0);
    gpu_fb_fill(arrow, 1);
    gpu_picture(s.g, 2, ARGB, arrow);
    gpu_need(gpu_transfer(s.g, 2, 0, 0, 64, 64, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 0, 2, 0, 0, 0, 0), OK_NODATA);
    front_ok(s.g->f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    need_nothing(&s);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.events_read), 0);
    vq_reset(s.g->control);
    vq_reset(s.g->cursor);
    start(&s);
    gpu_need(gpu_display_info(s.g, d), OK_DISPLAY_INFO);
    assert_int_equal(le32toh(d[0].r.width), 1280);
    show_colour(&s, 1, 0x445566);
    need_colour(&s, 0x445566); /* no cursor over it */
    gpu_need(gpu_move_cursor(s.g, 0, 2, 0, 0), OK_NODATA);
    need_colour(&s, 0x445566); /* nor an image of one */
    screen_close(&s);
}

/* A transfer of 256 MiB, out of one page of the guest's, is given up when a
 * front-end has waited for long enough; the driver goes on after that. */
static void a_stop_does_not_wait_for_ever(void **state)
{
    const struct front_conf conf = {.size = 512};
    struct virtio_gpu_mem_entry *e = front_calloc(65536, sizeof(*e));
    struct virtio_gpu_transfer_to_host_2d all =
        gpu_transfer_cmd(1, 0, 0, 16384, 4096, 0);
    struct gpu_req *r;
    uint64_t page;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(", 'drain_timeout': 4"), &conf);
    page = front_alloc(s.g->f, 4096, 4096);
    for (unsigned i = 0; i < 65536; i++)
        e[i] = (struct virtio_gpu_mem_entry){htole64(page), htole32(4096), 0};
    gpu_need(gpu_create(s.g, 1, XRGB, 16384, 4096), OK_NODATA);
    gpu_need(gpu_attach_paged(s.g, 1, e, 65536), OK_NODATA);
    r = gpu_req_new(s.g, sizeof(all));
    gpu_go(s.g->control, r, &all, sizeof(all), 24);
    vq_stop(s.g->control);
    vub_log_wait(s.v, "giving up");
    gpu_need(gpu_wait(s.g->control, r), ERR_UNSPEC);
    vq_start(s.g->control);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 16384, 1, 0), OK_NODATA);
    gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    assert_int_equal(screen_stat(&s, "bytes"), 0);
    free(e);
    screen_close(&s);
}

static void the_status_tells_what_is_shown(void **state)
{
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(", 'max_memory': '2M', 'scanouts': [{}, {}]"), NULL);
    fb = gpu_fb_new(s.g, 16, 8, 0);
    show_colour(&s, 7, 0x112233);
    gpu_show_blob(s.g, 1, 9, XRGB, fb);
    ctl_call(&s.c, "status", "{}");
    ctl_need(&s.c,
             "\"scanouts\":[{\"scanout\":0,"
             "\"display\":{\"width\":1280,\"height\":800},"
             "\"shown\":{\"width\":16,\"height\":16},"
             "\"resource\":{\"id\":7,\"blob\":false,\"width\":16,"
             "\"height\":16,\"bytes\":1024},\"cursor\":false,\"flushes\":1},"
             "{\"scanout\":1,"
             "\"display\":{\"width\":1280,\"height\":800},"
             "\"shown\":{\"width\":16,\"height\":8},"
             "\"resource\":{\"id\":9,\"blob\":true,\"bytes\":512},"
             "\"cursor\":false,\"flushes\":0}],"
             "\"resources\":{\"count\":2,\"bytes\":4096,"
             "\"max_memory\":2097152},\"viewer\":null,\"commands\":7,"
             "\"errors\":0,\"transfers\":1,\"transfer_bytes\":1024,"
             "\"flushes\":1,");
    screen_close(&s);
}

/* ---- Front-ends ---- */

static void a_front_end_that_ended_its_guest_leaves_nothing(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    show_colour(&s, 1, 0x112233);
    stop(&s);
    gpu_close(s.g);
    vub_log_wait(s.v, "is gone");
    s.g = gpu_open(s.v, "screen", NULL);
    gpu_need(gpu_unref(s.g, 1), ERR_INVALID_RESOURCE_ID);
    need_nothing(&s);
    screen_close(&s);
}

/* One that was cut off goes on: its guest knows nothing of it. */
static void cut_off(struct screen *s)
{
    struct vq *q = s->g->control;

    show_colour(s, 1, 0x112233);
    front_disconnect(s->g->f);
    need_colour(s, 0x112233);
    if (q->packed)
        q->base = (uint32_t)q->avail_idx | (uint32_t)q->avail_wrap << 15 |
                  (uint32_t)q->used_idx << 16 | (uint32_t)q->used_wrap << 31;
    else
        q->base = q->used_idx;
    front_resume(s->g->f);
    gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), OK_NODATA);
    gpu_need(gpu_transfer(s->g, 1, 0, 0, 16, 16, 0), OK_NODATA);
    need_colour(s, 0x112233);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void a_front_end_that_comes_back_finds_its_pictures(void **state)
{
    (void)state;
    on_all_rings(one, cut_off);
}

/* A new vub knows nothing of the guest's pictures: it says so, command by
 * command, and shows what the guest makes next. */
static void a_guest_outlives_a_vub_that_was_killed(void **state)
{
    struct screen s;

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front_conf conf = ring_modes[mode];

        front_note("%s", mode_name(&conf));
        conf.inflight = true;
        screen_open(&s, one, &conf);
        show_colour(&s, 1, 0x112233);
        vub_kill(s.v);
        ctl_close(&s.c);
        vub_run(s.v);
        ctl_open(&s.c, s.v);
        front_resume(s.g->f);
        gpu_need(gpu_flush(s.g, 1, 0, 0, 16, 16), ERR_INVALID_RESOURCE_ID);
        show_colour(&s, 1, 0x445566);
        need_colour(&s, 0x445566);
        screen_close(&s);
    }
}

/* ---- Memory ---- */

/* Region 0 has the rings, region 1 what the test puts there. */
static void open_regions(struct screen *s, const struct front_conf *mode)
{
    struct front_conf conf = *mode;
    struct front *f;

    conf.queues = 2;
    f = front_connect(s->v, "screen");
    front_region_add(f, 0, 16 << 20);
    front_region_add(f, UINT64_C(1) << 32, 4 << 20);
    front_set_up(f, &conf);
    s->g = gpu_on(f);
}

static void resources_follow_their_memory(void **state)
{
    const struct gpu_blob_view view = {XRGB, 16, 16, 64, 0, {0, 0, 16, 16}};
    struct screen s;

    (void)state;
    s.v = ctl_start(one);
    ctl_open(&s.c, s.v);
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct gpu_fb *fb;

        front_note("%s", mode_name(&ring_modes[mode]));
        open_regions(&s, &ring_modes[mode]);
        fb = gpu_fb_new_in(s.g, 1, 1024, 100);
        for (unsigned i = 0; i < 256; i++)
            gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(0x8899aa)}, 4);
        gpu_need(gpu_create(s.g, 1, XRGB, 16, 16), OK_NODATA);
        gpu_need(gpu_attach(s.g, 1, fb->entries, fb->num), OK_NODATA);
        gpu_need(gpu_create_blob(s.g, 2, 1024, fb->entries, fb->num),
                 OK_NODATA);
        gpu_need(gpu_set_scanout_blob(s.g, 0, 2, &view), OK_NODATA);
        need_colour(&s, 0x8899aa);
        /* More memory, and nothing changes. */
        front_region_add(s.g->f, UINT64_C(1) << 33, 1 << 20);
        front_region_tell(s.g->f, 2);
        need_colour(&s, 0x8899aa);
        gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 16, 0), OK_NODATA);
        /* Less of it. */
        front_region_untell(s.g->f, 1);
        gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 16, 0), ERR_UNSPEC);
        gpu_need(gpu_transfer(s.g, 2, 0, 0, 16, 16, 0), ERR_UNSPEC);
        gpu_need(gpu_flush(s.g, 2, 0, 0, 16, 16), OK_NODATA);
        screen_need_nothing(&s, 0, "not there");
        gpu_need(gpu_create_blob(s.g, 3, 1024, fb->entries, fb->num),
                 ERR_INVALID_PARAMETER);
        /* What has been copied stays. */
        gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 16, 16), OK_NODATA);
        need_colour(&s, 0x8899aa);
        /* It comes back, with other bytes. */
        for (unsigned i = 0; i < 256; i++)
            gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(0xbbccdd)}, 4);
        front_region_tell(s.g->f, 1);
        gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 16, 0), OK_NODATA);
        need_colour(&s, 0xbbccdd);
        gpu_need(gpu_set_scanout_blob(s.g, 0, 2, &view), OK_NODATA);
        need_colour(&s, 0xbbccdd);
        gpu_close(s.g);
    }
    front_note(" ");
    ctl_close(&s.c);
    vub_free(s.v);
}

/* A backing of which a part lies nowhere has no part that is read. */
static void a_backing_lies_in_memory_as_a_whole(void **state)
{
    struct virtio_gpu_mem_entry e[2];
    struct screen s;

    (void)state;
    s.v = ctl_start(one);
    ctl_open(&s.c, s.v);
    open_regions(&s, &ring_modes[0]);
    /* The last page of region 0 and the first of region 1; then one too far. */
    e[0] = (struct virtio_gpu_mem_entry){htole64((16 << 20) - 512),
                                         htole32(512), 0};
    e[1] = (struct virtio_gpu_mem_entry){htole64(UINT64_C(1) << 32),
                                         htole32(512), 0};
    gpu_need(gpu_create(s.g, 1, XRGB, 16, 16), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, e, 2), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 16, 0), OK_NODATA);
    front_region_untell(s.g->f, 1);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 1, 0), ERR_UNSPEC);
    front_region_tell(s.g->f, 1);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 1, 0), OK_NODATA);
    gpu_need(gpu_detach(s.g, 1), OK_NODATA);
    e[0].length = htole32(513);
    gpu_need(gpu_attach(s.g, 1, e, 2), ERR_INVALID_PARAMETER);
    e[0].addr = htole64(16 << 20);
    e[0].length = htole32(512);
    gpu_need(gpu_attach(s.g, 1, e, 2), ERR_INVALID_PARAMETER);
    screen_close(&s);
}

/* ---- Displays ---- */

/* Nor does it hang up, which QEMU would look at for ever. */
static void a_headless_device_says_nothing_to_a_display(void **state)
{
    struct display *d = display_new(), *next = display_new();
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    display_plug(d, s.g->f);
    show_colour(&s, 1, 0x123456);
    need_colour(&s, 0x123456);
    display_look(d);
    assert_true(d->sock >= 0);
    assert_int_equal(d->bytes, 0);
    /* One at a time is kept. */
    display_plug(next, s.g->f);
    display_need_hangup(d);
    show_colour(&s, 2, 0x654321);
    need_colour(&s, 0x654321);
    display_look(next);
    assert_true(next->sock >= 0);
    assert_int_equal(next->bytes, 0);
    gpu_close(s.g);
    display_need_hangup(next);
    display_free(d);
    display_free(next);
    ctl_close(&s.c);
    vub_free(s.v);
}

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
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
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
    show_colour(&s, 1, 0x123456);
    need_colour(&s, 0x123456);
    display_free(d);
    screen_close(&s);
}

static void a_display_that_goes_is_not_waited_for(void **state)
{
    struct display *d = display_new();
    struct screen s;

    (void)state;
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
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
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
    d->silent = ~0u;
    begin_with(&s, d);
    stop(&s);
    start(&s);
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
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
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
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
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
    s.v = ctl_start(SHOWN);
    ctl_open(&s.c, s.v);
    begin_with(&s, d);
    display_greet(d);
    need_width(&s, 1280);
    d->silent = ~0u;
    gpu_config(s.g, &c);
    r = ask_displays(&s);
    need_waiting(&s);
    stop(&s);
    assert_true(gpu_is_done(s.g->control, r));
    need_width_said(&s, r, 1280);
    start(&s);
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

BEHAVE_MAIN(T(another_driver_finds_nothing),
            T(another_driver_begins_at_the_same_place),
            T(a_driver_that_was_stopped_finds_everything),
            T(a_reset_forgets_everything), T(a_stop_does_not_wait_for_ever),
            T(the_status_tells_what_is_shown),
            T(a_front_end_that_ended_its_guest_leaves_nothing),
            T(a_front_end_that_comes_back_finds_its_pictures),
            T(a_guest_outlives_a_vub_that_was_killed),
            T(resources_follow_their_memory),
            T(a_backing_lies_in_memory_as_a_whole),
            T(a_headless_device_says_nothing_to_a_display),
            T(a_silent_display_delays_the_rings_and_nothing_else),
            T(a_display_that_goes_is_not_waited_for),
            T(rings_may_stop_while_a_display_is_waited_for),
            T(a_guest_is_told_what_its_display_says_by_then),
            T(a_display_that_does_not_say_is_waited_for_once),
            T(a_ring_that_stops_does_not_wait_for_a_display),
            T(a_disk_has_no_display))
