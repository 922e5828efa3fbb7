/* A front-end's display that reads slowly, not at all, or says what it should
 * not: nobody else notices. */
#include <sys/mman.h>

#include "screen.h"

#define W 1024
#define H 768 /* 3 MiB: no socket takes that */

/* ---- slow ones ---- */

/* A picture is on scanout 0, and the display has seen it. */
static struct gpu_fb *show(struct screen *s, uint32_t id, uint32_t format)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, W, H, 4096);

    gpu_fb_fill(fb, id);
    gpu_show(s->g, 0, id, format, fb);
    gpu_draw(s->g, id, fb, 0, 0, W, H);
    need_whole(s, 0, fb, format);
    front_settle(s->f);
    display_look(s->d);
    return fb;
}

static void a_slow_display_sees_the_newest_picture(void **state)
{
    static const uint32_t formats[] = {BGRX, RGBX};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        struct screen s;
        struct gpu_fb *fb;
        unsigned before;

        screen_open(&s, SCREEN());
        fb = show(&s, 1, formats[i]);
        before = s.d->view[0].updates;
        for (unsigned n = 0; n < 200; n++) {
            if (n % 50 == 49)
                gpu_fb_fill(fb, n);
            gpu_draw(s.g, 1, fb, 0, 0, W, H);
            gpu_draw(s.g, 1, fb, any(W - 64), any(H - 64), 64, 64);
        }
        need_whole(&s, 0, fb, formats[i]);
        display_look(s.d);
        assert_in_range(s.d->view[0].updates - before, 2, 3);
        need_status(&s, "\"behind\":false");
        screen_close(&s);
    }
}

/* Others have their turn while one is behind, and cursors are not behind
 * pictures. */
static void all_scanouts_of_a_slow_display_are_seen(void **state)
{
    struct screen s;
    struct gpu_fb *fb[3], *arrow;

    (void)state;
    screen_open(&s, SCREEN());
    arrow = gpu_fb_new(s.g, 64, 64, 0);
    gpu_picture(s.g, 9, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, arrow);
    for (unsigned i = 0; i < 3; i++) {
        fb[i] = gpu_fb_new(s.g, W, H, 4096);
        gpu_fb_fill(fb[i], i);
        gpu_show(s.g, i, i + 1, BGRX, fb[i]);
        gpu_draw(s.g, i + 1, fb[i], 0, 0, W, H);
    }
    for (uint32_t n = 0; n < 300; n++) {
        gpu_draw(s.g, 1, fb[0], 0, 0, W, H);
        gpu_need(gpu_update_cursor(s.g, 2, 9, n, n, 0, 0), OK_NODATA);
    }
    while (!s.d->view[2].cursor.visible)
        assert_true(display_step(s.d, front_timeout_ms()));
    assert_int_equal(s.d->view[2].cursor.x, 299);
    assert_true(s.d->count[DISPLAY_UPDATE] <= 4);
    for (unsigned i = 0; i < 3; i++)
        need_whole(&s, i, fb[i], BGRX);
    assert_int_equal(s.d->count[DISPLAY_CURSOR_UPDATE], 1);
    screen_close(&s);
}

static void byte_by_byte_is_a_way_to_read(void **state)
{
    struct screen s;
    struct gpu_fb *fb;

    (void)state;
    screen_open(&s, SCREEN());
    fb = gpu_fb_new(s.g, 60, 20, 1000);
    gpu_fb_fill(fb, 1);
    gpu_show(s.g, 0, 1, RGBX, fb);
    gpu_draw(s.g, 1, fb, 0, 0, 60, 20);
    for (unsigned n = 0; n < 12 + 12 + 12 + 20 + 60 * 20 * 4; n++) {
        front_need_fd(s.d->sock, 1 /* POLLIN */, "a byte of a picture");
        assert_int_equal(display_read(s.d, 1), 1);
    }
    need_whole(&s, 0, fb, RGBX);
    screen_close(&s);
}

/* It neither answers nor reads, from the beginning: nothing waits for it but
 * the rings, a second. */
static void nobody_waits_for_a_display(void **state)
{
    struct screen s;
    struct gpu_fb *fb;
    int64_t begun = front_now_ms();
    struct virtio_gpu_config c;

    (void)state;
    s.v = ctl_start(SCREEN());
    s.d = display_new();
    screen_connect(&s);
    display_plug(s.d, s.f);
    screen_start(&s);
    front_settle(s.f);
    fb = gpu_fb_new(s.g, W, H, 4096);
    gpu_show(s.g, 0, 1, BGRX, fb);
    assert_in_range(front_now_ms() - begun, 0, 5000);
    vub_log_wait(s.v, "has not said how large it is: no answer");
    for (unsigned n = 0; n < 100; n++) {
        gpu_draw(s.g, 1, fb, 0, 0, W, H);
        gpu_config(s.g, &c);
    }
    gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    front_ok(s.f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    /* Whatever it was told of that is whole. */
    display_look(s.d);
    assert_true(s.d->count[DISPLAY_GET_DISPLAY_INFO] <= 3);
    screen_close(&s);
}

/* ---- a picture of which a part has been sent ---- */

/* The display has got the beginning of an update of all of scanout 0, and no
 * other one is under way. */
static void begin_update(struct screen *s, uint32_t id)
{
    gpu_need(gpu_flush(s->g, id, 0, 0, W, H), OK_NODATA);
    front_need_fd(s->d->sock, 1 /* POLLIN */, "an update");
    assert_int_equal(display_read(s->d, 1000), 1000);
}

/* The rest comes: the picture begins as it was, and ends as it was or, from
 * some place on, with zeros. */
static void end_update(struct screen *s, const uint32_t *was, bool zeros)
{
    const uint32_t *is = s->d->view[0].pixels;
    size_t i = 0;

    display_need(s->d, DISPLAY_UPDATE);
    while (i < W * H && ((is[i] ^ was[i]) & 0xffffff) == 0)
        i++;
    assert_true(i > 1000);
    assert_int_equal(i < W * H, zeros);
    for (; i < W * H; i++)
        assert_int_equal(is[i] & 0xffffff, 0);
}

/* Of the resource that was shown, pixels as they were. */
static void an_update_of_what_is_unreferenced_is_finished(void **state)
{
    struct screen s;
    struct gpu_fb *fb;
    uint32_t *was;

    (void)state;
    screen_open(&s, SCREEN());
    for (unsigned i = 0; i < 4; i++) {
        fb = show(&s, 1, i % 2 ? BGRX : RGBX);
        was = seen(fb, i % 2 ? BGRX : RGBX, 0, fb->stride,
                   &(struct display_rect){0, 0, W, H});
        begin_update(&s, 1);
        if (i < 2) {
            gpu_need(gpu_detach(s.g, 1), OK_NODATA);
            gpu_need(gpu_unref(s.g, 1), OK_NODATA);
        } else { /* the guest begins anew */
            for (unsigned k = 0; k < 2; k++) {
                vq_stop(s.f->vq[k]);
                vq_reset(s.f->vq[k]);
                s.f->vq[k]->base = 0;
            }
            front_ok(s.f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
        }
        gpu_fb_fill(fb, 1000);
        end_update(&s, was, false);
        display_need_off(s.d, 0);
        free(was);
        if (i >= 2)
            for (unsigned k = 0; k < 2; k++)
                vq_start(s.f->vq[k]);
    }
    screen_close(&s);
}

/* Of a blob it is the guest's memory, which is let go at once. */
static void an_update_of_a_blob_that_goes_ends_with_zeros(void **state)
{
    enum { DETACH, UNREF, REMAP, STOP, WAYS };
    static const uint32_t formats[] = {BGRX, RGBX};
    const struct gpu_blob_view view = {BGRX, W, H, W * 4, 0, {0, 0, W, H}};

    (void)state;
    for (unsigned i = 0; i < WAYS * ARRAY_LEN(formats); i++) {
        struct gpu_blob_view b = view;
        struct screen s;
        struct gpu_fb *fb;
        uint32_t *was;
        unsigned region;
        int maps;

        front_note("way %u", i);
        b.format = formats[i / WAYS];
        screen_open(&s, SCREEN());
        region = front_region_add(s.f, UINT64_C(1) << 40, 8 << 20);
        front_region_tell(s.f, region);
        fb = gpu_fb_new_in(s.g, region, W * H * 4, 4096);
        gpu_fb_fill(fb, i);
        was = seen(fb, b.format, 0, W * 4, &(struct display_rect){0, 0, W, H});
        gpu_need(gpu_create_blob(s.g, 1, fb->len, fb->entries, fb->num),
                 OK_NODATA);
        gpu_need(gpu_set_scanout_blob(s.g, 0, 1, &b), OK_NODATA);
        display_need_picture(s.d, 0, was, W, H);
        begin_update(&s, 1);
        maps = vub_maps(s.v, "memfd");
        if (i % WAYS == DETACH)
            gpu_need(gpu_detach(s.g, 1), OK_NODATA);
        if (i % WAYS == UNREF)
            gpu_need(gpu_unref(s.g, 1), OK_NODATA);
        if (i % WAYS == STOP)
            vq_stop(s.f->vq[0]);
        front_region_untell(s.f, region);
        front_settle(s.f);
        assert_int_equal(vub_maps(s.v, "memfd"), maps - 1);
        end_update(&s, was, true);
        if (i % WAYS == UNREF)
            display_need_off(s.d, 0);

        /* It comes back, and is shown as soon as it is there. */
        if (i % WAYS == DETACH || i % WAYS == UNREF)
            gpu_fb_fill(fb, 100);
        front_region_tell(s.f, region);
        if (i % WAYS == DETACH)
            gpu_need(gpu_attach(s.g, 1, fb->entries, fb->num), OK_NODATA);
        if (i % WAYS == STOP)
            vq_start(s.f->vq[0]);
        if (i % WAYS == UNREF) {
            gpu_need(gpu_create_blob(s.g, 1, fb->len, fb->entries, fb->num),
                     OK_NODATA);
            gpu_need(gpu_set_scanout_blob(s.g, 0, 1, &b), OK_NODATA);
        }
        if (i % WAYS == DETACH)
            gpu_need(gpu_flush(s.g, 1, 0, 0, 1, 1), OK_NODATA);
        /* What was zeros is damaged, without a word of the guest's. */
        need_seen(&s, 0, fb, b.format, 0, W * 4,
                  &(struct display_rect){0, 0, W, H});
        free(was);
        screen_close(&s);
    }
}

/* The front-end shrinks its memory under our hands. */
static void an_update_of_memory_that_is_gone_is_finished(void **state)
{
    struct screen s;
    struct gpu_fb *fb;
    unsigned region;

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        screen_open(&s, SCREEN());
        region = front_region_add(s.f, UINT64_C(1) << 40, 8 << 20);
        front_region_tell(s.f, region);
        fb = gpu_fb_new_in(s.g, region, W * H * 4, 4096);
        fb->width = W;
        fb->height = H;
        fb->stride = W * 4;
        gpu_fb_fill(fb, i);
        gpu_show_blob(s.g, 0, 1, i ? BGRX : RGBX, fb);
        need_whole(&s, 0, fb, i ? BGRX : RGBX);
        begin_update(&s, 1);
        assert_int_equal(ftruncate(s.f->region[region].fd, 0), 0);
        front_settle(s.f);
        /* To the end, or the session is over. */
        while (s.d->sock >= 0 && s.d->in_bytes > 0)
            display_step(s.d, front_timeout_ms());
        assert_true(vub_alive(s.v));
        front_free(s.f);
        screen_session(&s);
        assert_true(front_lives(s.f));
        screen_close(&s);
    }
}

static void the_front_end_goes_in_the_middle_of_an_update(void **state)
{
    struct screen s;
    int fds, maps;

    (void)state;
    screen_open(&s, SCREEN());
    show(&s, 1, BGRX);
    fds = front_fds(s.f, s.v);
    maps = vub_maps(s.v, "memfd");
    for (unsigned i = 0; i < 4; i++) {
        begin_update(&s, 1);
        if (i % 2)
            display_unplug(s.d);
        front_free(s.f);
        screen_session(&s);
        show(&s, 1, BGRX);
        assert_int_equal(front_fds(s.f, s.v), fds);
        assert_int_equal(vub_maps(s.v, "memfd"), maps);
    }
    screen_close(&s);
}

/* ---- what it should not say ---- */

static void what_it_should_not_say_ends_it_alone(void **state)
{
    static const struct {
        uint32_t request, flags, size;
        const char *why;
    } bad[] = {
        {0, DISPLAY_REPLY, 0, "no reply"},
        {DISPLAY_CURSOR_POS, DISPLAY_REPLY, 0, "no reply"},
        {99, DISPLAY_REPLY, 8, "no reply"},
        {UINT32_MAX, UINT32_MAX, UINT32_MAX, "no reply"},
        {DISPLAY_GET_DISPLAY_INFO, 0, 408, "no reply"},
        {DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, 0, "wrong size"},
        {DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, 409, "wrong size"},
        {DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, UINT32_MAX, "wrong size"},
        {DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, 4, "wrong size"},
        {DISPLAY_GET_EDID, DISPLAY_REPLY, 1056, "not asked"},
        {DISPLAY_DMABUF_UPDATE, DISPLAY_REPLY, 0, "not asked"},
    };
    const uint8_t zeros[1056] = {0};
    struct screen s;
    struct gpu_fb *fb;
    int fds, pair[2];

    (void)state;
    screen_open(&s, SCREEN());
    fb = show(&s, 1, BGRX);
    fds = front_fds(s.f, s.v);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_note("case %u", i);
        /* It has been asked for features and sizes. */
        s.d->silent = UINT32_MAX;
        display_plug(s.d, s.f);
        display_need(s.d, DISPLAY_GET_DISPLAY_INFO);
        vub_log_mark(s.v);
        display_say_bytes(s.d, &bad[i], 12);
        display_say_bytes(s.d, zeros, MIN(bad[i].size, sizeof(zeros)));
        display_need_hangup(s.d);
        vub_log_wait(s.v, bad[i].why);
        gpu_need(gpu_flush(s.g, 1, 0, 0, W, H), OK_NODATA);
        assert_int_equal(vub_log_count(s.v, "display is lost"), 1);
    }

    /* Twice. */
    s.d->silent = 0;
    display_plug(s.d, s.f);
    display_greet(s.d);
    display_say(s.d, DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, zeros, 408, NULL,
                0);
    display_need_hangup(s.d);
    /* An EDID that says more than there can be. */
    display_edid(s.d, 0, 1025, 1);
    display_plug(s.d, s.f);
    display_need_hangup(s.d);
    display_edid(s.d, 0, 128, 1);
    /* With fds: one of a file, and one that may take long to close. */
    for (unsigned i = 0; i < 2; i++) {
        s.d->silent = 1u << DISPLAY_GET_DISPLAY_INFO;
        display_plug(s.d, s.f);
        display_need(s.d, DISPLAY_GET_DISPLAY_INFO);
        assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
        assert_true(write(pair[0], "x", 1) == 1);
        display_say(s.d, DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, &s.d->info,
                    sizeof(s.d->info), pair, 2);
        close(pair[0]);
        close(pair[1]);
        display_need_hangup(s.d);
    }
    /* And it can be made good. */
    s.d->silent = 0;
    display_plug(s.d, s.f);
    display_greet(s.d);
    need_whole(&s, 0, fb, BGRX);
    assert_int_equal(front_fds(s.f, s.v), fds);
    screen_close(&s);
}

/* Half a reply is none; then it goes, in every way. */
static void half_a_reply_is_waited_for_by_nobody(void **state)
{
    struct screen s;
    struct gpu_fb *fb;

    (void)state;
    screen_open(&s, SCREEN());
    fb = show(&s, 1, BGRX);
    s.d->silent = 1u << DISPLAY_GET_DISPLAY_INFO;
    for (unsigned i = 0; i < 3; i++) {
        const uint32_t head[3] = {DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, 408};
        int64_t cpu_us;

        display_plug(s.d, s.f);
        display_need(s.d, DISPLAY_GET_DISPLAY_INFO);
        vub_log_mark(s.v);
        display_say_bytes(s.d, head, sizeof(head));
        display_say_bytes(s.d, &s.d->info, 100);
        need_whole(&s, 0, fb, BGRX);
        if (i == 0)
            display_unplug(s.d);
        else
            shutdown(s.d->sock, i == 1 ? SHUT_WR : SHUT_RD);
        if (i == 2) /* it is noticed when it is written to */
            gpu_need(gpu_flush(s.g, 1, 0, 0, W, H), OK_NODATA);
        vub_log_wait(s.v, "the front-end's display is lost: it has gone");
        cpu_us = vub_cpu_us(s.v);
        for (unsigned n = 0; n < 10; n++)
            gpu_need(gpu_flush(s.g, 1, 0, 0, 64, 64), OK_NODATA);
        assert_true(vub_cpu_us(s.v) - cpu_us < 1000000);
        assert_int_equal(vub_log_count(s.v, "display is lost"), 1);
    }
    screen_close(&s);
}

/* What is no socket for it is refused, and changes nothing. */
static void what_is_no_socket_is_no_display(void **state)
{
    struct screen s;
    struct gpu_fb *fb;
    int pipes[2];

    (void)state;
    screen_open(&s, SCREEN());
    fb = show(&s, 1, BGRX);
    assert_int_equal(pipe(pipes), 0);
    assert_true(front_ack(s.f, WIRE_GPU_SET_SOCKET, NULL, 0, &pipes[1], 1) > 0);
    close(pipes[0]);
    close(pipes[1]);
    gpu_fb_fill(fb, 7);
    gpu_draw(s.g, 1, fb, 0, 0, W, H);
    need_whole(&s, 0, fb, BGRX);
    screen_close(&s);
}

BEHAVE_MAIN(T(a_slow_display_sees_the_newest_picture),
            T(all_scanouts_of_a_slow_display_are_seen),
            T(byte_by_byte_is_a_way_to_read), T(nobody_waits_for_a_display),
            T(an_update_of_what_is_unreferenced_is_finished),
            T(an_update_of_a_blob_that_goes_ends_with_zeros),
            T(an_update_of_memory_that_is_gone_is_finished),
            T(the_front_end_goes_in_the_middle_of_an_update),
            T(what_it_should_not_say_ends_it_alone),
            T(half_a_reply_is_waited_for_by_nobody),
            T(what_is_no_socket_is_no_display))
