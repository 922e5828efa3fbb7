/* The front-end's display: what is seen there is what the guest has drawn. */
#include "screen.h"

static const uint32_t formats[] = {
    VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
    VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM,
    VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM,
    VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM,
};

/* ---- pictures ---- */

static void fill_rect(struct gpu_fb *fb, uint64_t offset, uint32_t stride,
                      const struct display_rect *r)
{
    uint8_t *row = front_calloc(r->width, 4);

    for (uint32_t y = 0; y < r->height; y++) {
        front_fill(row, r->width * 4, any(1u << 24));
        gpu_fb_write(fb, offset + (uint64_t)(r->y + y) * stride + r->x * 4, row,
                     r->width * 4);
    }
    free(row);
}

static bool same_rect(const struct display_rect *a,
                      const struct display_rect *b)
{
    return !memcmp(a, b, sizeof(*a));
}

/* Waits for an update of just that. */
static void need_update(struct screen *s, unsigned i,
                        const struct display_rect *r)
{
    while (!same_rect(&s->d->view[i].last, r))
        if (!display_step(s->d, front_timeout_ms()))
            front_fail("the last update is of %u, %u, %u times %u",
                       s->d->view[i].last.x, s->d->view[i].last.y,
                       s->d->view[i].last.width, s->d->view[i].last.height);
}

static void damage_of_a_resource_is_seen(void **state)
{
    static const uint32_t pieces[] = {0, 4096, 1234};
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN());
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const uint32_t format = formats[i], id = i + 1;
        struct gpu_fb *fb = gpu_fb_new(s.g, 3 + any(700), 3 + any(300),
                                       pieces[i % ARRAY_LEN(pieces)]);

        front_note("format %u, %u times %u", format, fb->width, fb->height);
        gpu_fb_fill(fb, i);
        gpu_show(s.g, 0, id, format, fb);
        gpu_draw(s.g, id, fb, 0, 0, fb->width, fb->height);
        need_whole(&s, 0, fb, format);
        for (unsigned n = 0; n < 40; n++) {
            struct display_rect r = any_rect(fb->width, fb->height);

            fill_rect(fb, 0, fb->stride, &r);
            gpu_draw(s.g, id, fb, r.x, r.y, r.width, r.height);
            need_update(&s, 0, &r);
            need_whole(&s, 0, fb, format);
        }
        /* Many at once. */
        for (unsigned n = 0; n < 40; n++) {
            struct display_rect r = any_rect(fb->width, fb->height);

            fill_rect(fb, 0, fb->stride, &r);
            gpu_draw(s.g, id, fb, r.x, r.y, r.width, r.height);
        }
        need_whole(&s, 0, fb, format);
        gpu_need(gpu_unref(s.g, id), OK_NODATA);
        display_need_off(s.d, 0);
    }
    screen_close(&s);
}

static void damage_of_a_blob_is_seen(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN());
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const uint32_t id = i + 1;
        struct gpu_blob_view b = {.format = formats[i],
                                  .width = 40 + any(600),
                                  .height = 40 + any(200)};
        struct display_rect all;
        struct gpu_fb *fb;

        b.stride = (b.width + (i % 2 ? any(50) : 0)) * 4;
        b.offset = i % 3 ? any(2000) * 4 : 0;
        b.r.x = i % 2 ? any(20) : 0;
        b.r.y = any(20);
        b.r.width = i % 2 ? b.width - b.r.x - any(19) : b.width;
        b.r.height = b.height - b.r.y - any(19);
        all = (struct display_rect){b.r.x, b.r.y, b.r.width, b.r.height};
        front_note("format %u, %u times %u, %u bytes a row", b.format, b.width,
                   b.height, b.stride);
        /* No piece is a whole number of pixels, now and then. */
        fb = gpu_fb_new_in(s.g, 0, b.offset + (uint64_t)b.stride * b.height,
                           i % 3 ? 4096 : 1003);
        gpu_fb_fill(fb, i);
        gpu_need(gpu_create_blob(s.g, id, fb->len, fb->entries, fb->num),
                 OK_NODATA);
        gpu_need(gpu_set_scanout_blob(s.g, 0, id, &b), OK_NODATA);
        gpu_need(gpu_flush(s.g, id, 0, 0, b.width, b.height), OK_NODATA);
        need_seen(&s, 0, fb, b.format, b.offset, b.stride, &all);
        for (unsigned n = 0; n < 40; n++) {
            struct display_rect r = any_rect(all.width, all.height);

            r.x += all.x;
            r.y += all.y;
            fill_rect(fb, b.offset, b.stride, &r);
            gpu_need(gpu_flush(s.g, id, r.x, r.y, r.width, r.height),
                     OK_NODATA);
            r.x -= all.x;
            r.y -= all.y;
            need_update(&s, 0, &r);
            need_seen(&s, 0, fb, b.format, b.offset, b.stride, &all);
        }
        gpu_need(gpu_unref(s.g, id), OK_NODATA);
        display_need_off(s.d, 0);
    }
    screen_close(&s);
}

static void a_blob_that_is_shown_is_seen_when_its_pages_come(void **state)
{
    const uint32_t format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM;
    struct gpu_blob_view b = {.format = format, .width = 70, .height = 50};
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN());
    fb = gpu_fb_new(s.g, b.width, b.height, 4096);
    gpu_fb_fill(fb, 1);
    b.stride = fb->stride;
    b.r.width = b.width;
    b.r.height = b.height;
    gpu_need(gpu_create_blob(s.g, 1, fb->len, NULL, 0), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 1, &b), OK_NODATA);
    gpu_need(gpu_flush(s.g, 1, 0, 0, b.width, b.height), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, fb->entries, fb->num), OK_NODATA);
    need_whole(&s, 0, fb, format);
    screen_close(&s);
}

static void several_scanouts_show_several_pictures(void **state)
{
    struct screen s;
    struct gpu_fb *fb[4];

    (void)state;
    screen_open(&s, SCREEN());
    for (unsigned i = 0; i < 4; i++) {
        fb[i] = gpu_fb_new(s.g, 100 + 30 * i, 50 + i, 4096);
        gpu_fb_fill(fb[i], i);
        gpu_show(s.g, i * 5, i + 1, formats[i], fb[i]);
    }
    for (unsigned n = 0; n < 100; n++) {
        unsigned i = any(4);
        struct display_rect r = any_rect(fb[i]->width, fb[i]->height);

        fill_rect(fb[i], 0, fb[i]->stride, &r);
        gpu_draw(s.g, i + 1, fb[i], r.x, r.y, r.width, r.height);
    }
    for (unsigned i = 0; i < 4; i++)
        gpu_draw(s.g, i + 1, fb[i], 0, 0, fb[i]->width, fb[i]->height);
    for (unsigned i = 0; i < 4; i++)
        need_whole(&s, i * 5, fb[i], formats[i]);
    assert_int_equal(s.d->view[15].scanouts, 1);
    screen_close(&s);
}

static void parts_of_one_resource_are_on_several_scanouts(void **state)
{
    const struct display_rect left = {0, 0, 200, 150},
                              right = {150, 50, 250, 250};
    struct screen s;
    struct gpu_fb *fb;
    struct display_rect r;
    unsigned before;

    (void)state;
    screen_open(&s, SCREEN());
    fb = gpu_fb_new(s.g, 400, 300, 4096);
    gpu_fb_fill(fb, 1);
    gpu_picture(s.g, 1, BGRX, fb);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 200, 150), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 1, 1, 150, 50, 250, 250), OK_NODATA);
    gpu_draw(s.g, 1, fb, 0, 0, 400, 300);
    need_seen(&s, 0, fb, BGRX, 0, fb->stride, &left);
    need_seen(&s, 1, fb, BGRX, 0, fb->stride, &right);
    r = (struct display_rect){180, 100, 40, 60}; /* of both */
    fill_rect(fb, 0, fb->stride, &r);
    gpu_draw(s.g, 1, fb, r.x, r.y, r.width, r.height);
    need_seen(&s, 0, fb, BGRX, 0, fb->stride, &left);
    need_seen(&s, 1, fb, BGRX, 0, fb->stride, &right);
    r = (struct display_rect){180, 100, 20, 50};
    assert_true(same_rect(&s.d->view[0].last, &r));
    r = (struct display_rect){30, 50, 40, 60};
    assert_true(same_rect(&s.d->view[1].last, &r));
    /* Of neither, and of one only. */
    before = s.d->view[0].updates;
    gpu_draw(s.g, 1, fb, 0, 200, 150, 100);
    r = (struct display_rect){399, 299, 1, 1};
    fill_rect(fb, 0, fb->stride, &r);
    gpu_draw(s.g, 1, fb, r.x, r.y, 1, 1);
    need_seen(&s, 1, fb, BGRX, 0, fb->stride, &right);
    assert_int_equal(s.d->view[0].updates, before);
    screen_close(&s);
}

/* The second picture of two that take turns has the same size: its mode is no
 * news. */
static void pictures_that_take_turns_are_one_mode(void **state)
{
    struct screen s;
    struct gpu_fb *fb[2];

    (void)state;
    screen_open(&s, SCREEN());
    for (unsigned i = 0; i < 2; i++) {
        fb[i] = gpu_fb_new(s.g, 320, 200, 4096);
        gpu_fb_fill(fb[i], i);
        gpu_picture(s.g, i + 1, BGRX, fb[i]);
        gpu_draw(s.g, i + 1, fb[i], 0, 0, 320, 200);
    }
    for (unsigned n = 0; n < 10; n++) {
        gpu_need(gpu_set_scanout(s.g, 0, 1 + n % 2, 0, 0, 320, 200), OK_NODATA);
        need_whole(&s, 0, fb[n % 2], BGRX);
    }
    assert_int_equal(s.d->view[0].scanouts, 1);
    assert_int_equal(s.d->view[0].updates, 10);
    /* Off and on, and another size. */
    gpu_need(gpu_scanout_off(s.g, 0), OK_NODATA);
    display_need_off(s.d, 0);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 320, 200), OK_NODATA);
    need_whole(&s, 0, fb[0], BGRX);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 320, 199), OK_NODATA);
    need_seen(&s, 0, fb[0], BGRX, 0, fb[0]->stride,
              &(struct display_rect){0, 0, 320, 199});
    assert_int_equal(s.d->view[0].scanouts, 4);
    screen_close(&s);
}

/* 8192 times 4096 pixels are two messages. */
static void a_huge_picture_comes_in_parts(void **state)
{
    struct screen s;
    struct gpu_fb *fb;

    (void)state;
    screen_open(&s, SCREEN());
    fb = gpu_fb_new(s.g, 8192, 8, 0);
    gpu_fb_fill(fb, 1);
    gpu_need(gpu_create(s.g, 1, BGRX, 8192, 4096), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, fb->entries, fb->num), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 0, 4088, 8192, 8, 0), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 8192, 4096), OK_NODATA);
    display_need(s.d, DISPLAY_UPDATE);
    assert_int_equal(s.d->view[0].last.y, 0);
    assert_int_equal(s.d->view[0].last.height, 2048);
    while (s.d->view[0].last.y + s.d->view[0].last.height < 4096)
        display_need(s.d, DISPLAY_UPDATE);
    for (uint32_t y = 0; y < 8; y++) {
        uint32_t *row = seen(fb, BGRX, 0, fb->stride,
                             &(struct display_rect){0, y, 8192, 1});

        for (uint32_t x = 0; x < 8192; x++)
            assert_int_equal(
                s.d->view[0].pixels[(4088 + y) * 8192 + x] & 0xffffff, row[x]);
        free(row);
    }
    screen_close(&s);
}

/* ---- cursors ---- */

static void need_cursor(struct screen *s, unsigned i, bool visible, uint32_t x,
                        uint32_t y)
{
    const struct display_cursor *c = &s->d->view[i].cursor;

    while (c->visible != visible || c->x != x || c->y != y)
        if (!display_step(s->d, front_timeout_ms()))
            front_fail("the cursor is at %u, %u, %s", c->x, c->y,
                       c->visible ? "seen" : "not seen");
}

static void cursors_are_seen(void **state)
{
    const uint32_t id = 9, other = 10;
    struct screen s;
    struct display_cursor *c;
    struct gpu_fb *fb;
    uint32_t image[64 * 64];

    (void)state;
    screen_open(&s, SCREEN());
    c = &s.d->view[0].cursor;
    fb = gpu_fb_new(s.g, 64, 64, 0);
    gpu_fb_fill(fb, 1);
    gpu_picture(s.g, id, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, fb);
    gpu_need(gpu_transfer(s.g, id, 0, 0, 64, 64, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 0, id, 100, 200, 3, 5), OK_NODATA);
    need_cursor(&s, 0, true, 100, 200);
    assert_int_equal(c->hot_x, 3);
    assert_int_equal(c->hot_y, 5);
    gpu_fb_read(fb, 0, image, sizeof(image)); /* BGRA is argb */
    assert_memory_equal(c->image, image, sizeof(image));
    gpu_need(gpu_move_cursor(s.g, 0, id, 101, 7), OK_NODATA);
    need_cursor(&s, 0, true, 101, 7);
    gpu_need(gpu_move_cursor(s.g, 0, 0, 1, 2), OK_NODATA);
    need_cursor(&s, 0, false, 1, 2);
    gpu_need(gpu_move_cursor(s.g, 0, id, 8, 9), OK_NODATA);
    need_cursor(&s, 0, true, 8, 9);
    assert_int_equal(s.d->count[DISPLAY_CURSOR_UPDATE], 1);
    assert_int_equal(s.d->count[DISPLAY_CURSOR_POS_HIDE], 1);

    /* Another format, on another scanout. */
    gpu_picture(s.g, other, VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, fb);
    gpu_need(gpu_transfer(s.g, other, 0, 0, 64, 64, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 3, other, 5, 6, 0, 0), OK_NODATA);
    need_cursor(&s, 3, true, 5, 6);
    for (unsigned i = 0; i < 64 * 64; i++) {
        uint8_t p[4];

        memcpy(p, &image[i], 4);
        assert_int_equal(s.d->view[3].cursor.image[i],
                         (uint32_t)p[3] << 24 | (uint32_t)p[0] << 16 |
                             (uint32_t)p[1] << 8 | p[2]);
    }
    gpu_need(gpu_update_cursor(s.g, 3, 0, 0, 0, 0, 0), OK_NODATA);
    need_cursor(&s, 3, false, 0, 0);
    screen_close(&s);
}

/* ---- displays come and go ---- */

static void another_display_gets_all_of_it(void **state)
{
    struct screen s;
    struct display *first, *second;
    struct gpu_fb *fb, *arrow;

    (void)state;
    screen_open(&s, SCREEN());
    fb = gpu_fb_new(s.g, 300, 200, 4096);
    gpu_fb_fill(fb, 1);
    gpu_show(s.g, 2, 1, RGBX, fb);
    gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
    arrow = gpu_fb_new(s.g, 64, 64, 0);
    gpu_picture(s.g, 2, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, arrow);
    gpu_need(gpu_update_cursor(s.g, 2, 2, 10, 20, 1, 2), OK_NODATA);
    need_whole(&s, 2, fb, RGBX);

    /* It hangs up; the guest does not notice. */
    display_unplug(s.d);
    vub_log_wait(s.v, "the front-end's display is lost: it has gone");
    gpu_fb_fill(fb, 2);
    gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
    gpu_need(gpu_move_cursor(s.g, 2, 2, 11, 21), OK_NODATA);
    display_plug(s.d, s.f);
    need_whole(&s, 2, fb, RGBX);
    need_cursor(&s, 2, true, 11, 21);
    assert_int_equal(s.d->view[2].cursor.hot_y, 2);
    assert_int_equal(s.d->count[DISPLAY_SCANOUT], 1);

    /* One takes the place of the other. */
    first = s.d;
    second = display_new();
    display_plug(second, s.f);
    display_need_hangup(first);
    s.d = second;
    need_whole(&s, 2, fb, RGBX);
    need_cursor(&s, 2, true, 11, 21);
    gpu_fb_fill(fb, 3);
    gpu_draw(s.g, 1, fb, 7, 8, 50, 60);
    gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
    need_whole(&s, 2, fb, RGBX);
    display_free(first);

    /* With its front-end it goes; the next one's is shown nothing of it. */
    front_free(s.f);
    display_need_hangup(second);
    screen_session(&s);
    gpu_need(gpu_unref(s.g, 1), ERR_INVALID_RESOURCE_ID);
    front_settle(s.f);
    display_look(s.d);
    assert_int_equal(s.d->count[DISPLAY_SCANOUT], 0);
    screen_close(&s);
}

/* ---- dma-bufs ---- */

/* Passing over it would close the fds with it in the middle of vub's call. */
static void a_byte_out_of_band_is_one_of_the_reply(void **state)
{
    const struct {
        uint32_t request, flags, size;
        uint8_t features[8];
    } reply = {DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, 8, {1}};
    struct screen s = {.v = ctl_start(SCREEN("")), .d = display_new()};

    (void)state;
    screen_connect(&s);
    s.d->silent = 1u << DISPLAY_GET_PROTOCOL_FEATURES;
    display_plug(s.d, s.f);
    display_need(s.d, DISPLAY_GET_PROTOCOL_FEATURES);
    display_say_bytes(s.d, &reply, sizeof(reply) - 1);
    assert_int_equal(send(s.d->sock, &reply.features[7], 1, MSG_OOB), 1);
    display_need(s.d, DISPLAY_SET_PROTOCOL_FEATURES);
    assert_int_equal(s.d->features, DISPLAY_F_EDID);
    screen_close(&s);
}

static void dmabufs_are_never_sent_unasked(void **state)
{
    struct screen s;
    struct gpu_fb *fb;

    (void)state;
    /* The config does not have it; then the display does not. */
    for (unsigned i = 0; i < 2; i++) {
        s.v = ctl_start(i ? SCREEN(", 'dmabuf': true") : SCREEN());
        s.d = display_new();
        s.d->offers = i ? DISPLAY_F_EDID : ~UINT64_C(0);
        screen_session(&s);
        assert_int_equal(s.d->features, DISPLAY_F_EDID);
        fb = gpu_fb_new(s.g, 300, 200, 4096);
        gpu_fb_fill(fb, i);
        gpu_show(s.g, 0, 1, BGRX, fb);
        gpu_draw(s.g, 1, fb, 0, 0, 300, 200);
        need_whole(&s, 0, fb, BGRX);
        assert_int_equal(s.d->count[DISPLAY_DMABUF_SCANOUT2], 0);
        screen_close(&s);
    }
}

static bool has_udmabuf(void)
{
    if (access("/dev/udmabuf", R_OK | W_OK) == 0)
        return true;
    printf("skipped: there is no /dev/udmabuf that we may use\n");
    return false;
}

/* Until it has nothing more to say: what it says next may wait for an answer to
 * what it has said. */
static void look_to_the_end(struct screen *s)
{
    uint64_t bytes;

    do {
        bytes = s->d->bytes;
        for (unsigned i = 0; i < 3; i++) {
            display_look(s->d);
            front_settle(s->f);
        }
        display_look(s->d);
    } while (s->d->bytes != bytes);
}

static void dmabufs_show_what_the_guest_draws(void **state)
{
    const struct display_rect right = {150, 50, 250, 250};
    struct screen s;
    struct gpu_fb *fb[2], *small;
    unsigned updates;
    int fds;

    (void)state;
    if (!has_udmabuf())
        skip();
    s.v = ctl_start(SCREEN(", 'dmabuf': true"));
    s.d = display_new();
    s.d->offers |= DISPLAY_F_DMABUF2;
    screen_session(&s);
    assert_int_equal(s.d->features, DISPLAY_F_EDID | DISPLAY_F_DMABUF2);
    fds = front_fds(s.f, s.v);
    for (unsigned i = 0; i < 2; i++) {
        fb[i] = gpu_fb_new(s.g, 400, 300, 4096);
        gpu_fb_fill(fb[i], i);
        gpu_picture(s.g, i + 1, BGRX, fb[i]);
        gpu_draw(s.g, i + 1, fb[i], 0, 0, 400, 300);
    }
    /* Two that take turns, one of them on two scanouts. */
    gpu_need(gpu_set_scanout(s.g, 1, 1, 150, 50, 250, 250), OK_NODATA);
    for (unsigned n = 0; n < 6; n++) {
        gpu_need(gpu_set_scanout(s.g, 0, 1 + n % 2, 0, 0, 400, 300), OK_NODATA);
        need_whole(&s, 0, fb[n % 2], BGRX);
    }
    need_seen(&s, 1, fb[0], BGRX, 0, fb[0]->stride, &right);
    need_status(&s, "\"dmabufs\":2");
    assert_int_equal(s.d->count[DISPLAY_UPDATE], 0);
    for (unsigned n = 0; n < 40; n++) {
        struct display_rect r = any_rect(400, 300);

        fill_rect(fb[1], 0, fb[1]->stride, &r);
        gpu_draw(s.g, 2, fb[1], r.x, r.y, r.width, r.height);
        need_whole(&s, 0, fb[1], BGRX);
    }
    /* While it does not reply it is told nothing more. */
    look_to_the_end(&s);
    s.d->silent = 1u << DISPLAY_DMABUF_UPDATE;
    updates = s.d->view[0].updates;
    for (unsigned n = 0; n < 10; n++)
        gpu_draw(s.g, 2, fb[1], n, 0, 20, 20);
    display_need(s.d, DISPLAY_DMABUF_UPDATE);
    look_to_the_end(&s);
    assert_int_equal(s.d->view[0].updates, updates + 1);
    s.d->silent = 0;
    display_shown(s.d, 0);
    gpu_fb_fill(fb[1], 7);
    gpu_draw(s.g, 2, fb[1], 0, 0, 400, 300);
    need_whole(&s, 0, fb[1], BGRX);
    assert_int_equal(s.d->view[0].fourcc, 0x34325258); /* XR24 */
    /* Nor does it get another dma-buf. */
    look_to_the_end(&s);
    s.d->silent = 1u << DISPLAY_DMABUF_UPDATE;
    for (unsigned n = 0; n < 10; n++)
        gpu_need(gpu_set_scanout(s.g, 0, 1 + n % 2, 0, 0, 400, 300), OK_NODATA);
    display_need(s.d, DISPLAY_DMABUF_UPDATE);
    updates = s.d->count[DISPLAY_DMABUF_SCANOUT2];
    for (unsigned n = 0; n < 10; n++)
        gpu_need(gpu_set_scanout(s.g, 0, 1 + n % 2, 0, 0, 400, 300), OK_NODATA);
    look_to_the_end(&s);
    assert_int_equal(s.d->count[DISPLAY_DMABUF_SCANOUT2], updates);
    s.d->silent = 0;
    display_shown(s.d, 0);
    need_whole(&s, 0, fb[1], BGRX);
    /* Another display gets them anew, when it has agreed. */
    display_plug(s.d, s.f);
    display_greet(s.d);
    look_to_the_end(&s);
    need_whole(&s, 0, fb[1], BGRX);
    need_seen(&s, 1, fb[0], BGRX, 0, fb[0]->stride, &right);
    /* Their pixels may have come before. */
    while (s.d->count[DISPLAY_DMABUF_SCANOUT2] < 2)
        display_need(s.d, DISPLAY_DMABUF_SCANOUT2);
    look_to_the_end(&s);
    assert_int_equal(s.d->count[DISPLAY_DMABUF_SCANOUT2], 2);
    /* What is no file of ours goes by its pixels; then back. */
    small = gpu_fb_new(s.g, 32, 32, 0);
    gpu_fb_fill(small, 3);
    gpu_show(s.g, 0, 3, BGRX, small);
    gpu_draw(s.g, 3, small, 0, 0, 32, 32);
    need_whole(&s, 0, small, BGRX);
    assert_true(s.d->count[DISPLAY_UPDATE] > 0);
    gpu_show_blob(s.g, 1, 4, RGBX, fb[0]);
    need_whole(&s, 1, fb[0], RGBX);
    gpu_need(gpu_set_scanout(s.g, 0, 2, 0, 0, 400, 300), OK_NODATA);
    need_whole(&s, 0, fb[1], BGRX);
    /* Nothing stays behind. */
    for (uint32_t id = 1; id <= 4; id++)
        gpu_need(gpu_unref(s.g, id), OK_NODATA);
    display_need_off(s.d, 0);
    display_need_off(s.d, 1);
    front_settle(s.f);
    assert_int_equal(front_fds(s.f, s.v), fds);
    screen_close(&s);
}

BEHAVE_MAIN(T(damage_of_a_resource_is_seen), T(damage_of_a_blob_is_seen),
            T(a_blob_that_is_shown_is_seen_when_its_pages_come),
            T(several_scanouts_show_several_pictures),
            T(parts_of_one_resource_are_on_several_scanouts),
            T(pictures_that_take_turns_are_one_mode),
            T(a_huge_picture_comes_in_parts), T(cursors_are_seen),
            T(another_display_gets_all_of_it),
            T(a_byte_out_of_band_is_one_of_the_reply),
            T(dmabufs_are_never_sent_unasked),
            T(dmabufs_show_what_the_guest_draws))
