/* What a GPU keeps, and what it forgets: drivers, front-ends, displays and
 * guest memory that come and go. */
#include <signal.h>

#include "front/display.h"
#include "headless.h"

static const char one[] = SCREEN("");

/* There is nothing of those before, and ids are free. */
static void need_nothing(struct screen *s)
{
    screen_need_nothing(s, 0, "shows nothing");
    assert_int_equal(screen_stat(s, "count"), 0);
    assert_int_equal(screen_stat(s, "bytes"), 0);
}

/* ---- Drivers ---- */

/* As QEMU does it when its guest is reset: no word of that, but the rings are
 * another driver's. */
static void another_driver_begins(struct screen *s)
{
    screen_show_colour(s, 1, 0x112233);
    screen_stop(s);
    screen_need_colour(s, 0x112233);
    vq_reset(s->g->control);
    vq_reset(s->g->cursor);
    screen_start(s);
    gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), ERR_INVALID_RESOURCE_ID);
    need_nothing(s);
    screen_show_colour(s, 1, 0x445566);
    screen_need_colour(s, 0x445566);
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

    screen_show_colour(s, 1, 0x112233);
    for (unsigned i = 0; i < 3; i++) {
        screen_stop(s);
        screen_need_colour(s, 0x112233);
        screen_start(s);
        gpu_need(gpu_transfer(s->g, 1, 0, 0, 16, 16, 0), OK_NODATA);
        gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), OK_NODATA);
        screen_need_colour(s, 0x112233);
    }
    /* A blob lies in the guest's memory, which we do not keep. */
    for (unsigned i = 0; i < 256; i++)
        gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(0x777777)}, 4);
    gpu_need(gpu_create_blob(s->g, 2, fb->len, fb->entries, fb->num),
             OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s->g, 0, 2, &view), OK_NODATA);
    screen_need_colour(s, 0x777777);
    screen_stop(s);
    screen_need_nothing(s, 0, "not there");
    screen_start(s);
    screen_need_colour(s, 0x777777);
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
    screen_show_colour(&s, 1, 0x112233);
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
    screen_start(&s);
    gpu_need(gpu_display_info(s.g, d), OK_DISPLAY_INFO);
    assert_int_equal(le32toh(d[0].r.width), 1280);
    screen_show_colour(&s, 1, 0x445566);
    screen_need_colour(&s, 0x445566); /* no cursor over it */
    gpu_need(gpu_move_cursor(s.g, 0, 2, 0, 0), OK_NODATA);
    screen_need_colour(&s, 0x445566); /* nor an image of one */
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
    screen_show_colour(&s, 7, 0x112233);
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
    screen_show_colour(&s, 1, 0x112233);
    screen_stop(&s);
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

    screen_show_colour(s, 1, 0x112233);
    front_disconnect(s->g->f);
    screen_need_colour(s, 0x112233);
    if (q->packed)
        q->base = (uint32_t)q->avail_idx | (uint32_t)q->avail_wrap << 15 |
                  (uint32_t)q->used_idx << 16 | (uint32_t)q->used_wrap << 31;
    else
        q->base = q->used_idx;
    front_resume(s->g->f);
    gpu_need(gpu_flush(s->g, 1, 0, 0, 16, 16), OK_NODATA);
    gpu_need(gpu_transfer(s->g, 1, 0, 0, 16, 16, 0), OK_NODATA);
    screen_need_colour(s, 0x112233);
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
        screen_show_colour(&s, 1, 0x112233);
        vub_kill(s.v);
        ctl_close(&s.c);
        vub_run(s.v);
        ctl_open(&s.c, s.v);
        front_resume(s.g->f);
        gpu_need(gpu_flush(s.g, 1, 0, 0, 16, 16), ERR_INVALID_RESOURCE_ID);
        screen_show_colour(&s, 1, 0x445566);
        screen_need_colour(&s, 0x445566);
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
    screen_run(&s, one);
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
        screen_need_colour(&s, 0x8899aa);
        /* More memory, and nothing changes. */
        front_region_add(s.g->f, UINT64_C(1) << 33, 1 << 20);
        front_region_tell(s.g->f, 2);
        screen_need_colour(&s, 0x8899aa);
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
        screen_need_colour(&s, 0x8899aa);
        /* It comes back, with other bytes. */
        for (unsigned i = 0; i < 256; i++)
            gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(0xbbccdd)}, 4);
        front_region_tell(s.g->f, 1);
        gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 16, 0), OK_NODATA);
        screen_need_colour(&s, 0xbbccdd);
        gpu_need(gpu_set_scanout_blob(s.g, 0, 2, &view), OK_NODATA);
        screen_need_colour(&s, 0xbbccdd);
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
    screen_run(&s, one);
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
    screen_show_colour(&s, 1, 0x123456);
    screen_need_colour(&s, 0x123456);
    display_look(d);
    assert_true(d->sock >= 0);
    assert_int_equal(d->bytes, 0);
    /* One at a time is kept. */
    display_plug(next, s.g->f);
    display_need_hangup(d);
    screen_show_colour(&s, 2, 0x654321);
    screen_need_colour(&s, 0x654321);
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
            T(a_headless_device_says_nothing_to_a_display))
