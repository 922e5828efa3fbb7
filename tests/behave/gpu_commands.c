/* Commands to a GPU that no front-end's display sees, on every kind of ring:
 * what they do to pictures, what their answers say, and in which pieces they
 * may come. */
#include "headless.h"

static const char one[] = SCREEN("");
static const char three[] = SCREEN(
    ", 'scanouts': [{'width': 1024, 'height': 768},"
    " {'width': 640, 'height': 480, 'name': 'second', 'serial': 'lab-8'},"
    " {'width': 5120, 'height': 2160, 'refresh': 75}]");

/* ---- What it is ---- */

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

static void need_display(const struct virtio_gpu_display_one *d, uint32_t x,
                         uint32_t width, uint32_t height)
{
    assert_int_equal(le32toh(d->enabled), width > 0);
    assert_int_equal(le32toh(d->flags), 0);
    assert_int_equal(le32toh(d->r.x), x);
    assert_int_equal(le32toh(d->r.y), 0);
    assert_int_equal(le32toh(d->r.width), width);
    assert_int_equal(le32toh(d->r.height), height);
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

/* ---- Pictures ---- */

/* What a picture of fb's contents looks like. */
static uint32_t *rgb_of(struct gpu_fb *fb, const struct screen_format *f)
{
    uint32_t n = fb->width * fb->height;
    uint8_t *bytes = front_calloc(1, fb->len);
    uint32_t *rgb = front_calloc(n, sizeof(*rgb));

    gpu_fb_read(fb, 0, bytes, fb->len);
    for (uint32_t i = 0; i < n; i++)
        rgb[i] = screen_rgb(f, bytes + (size_t)i * 4);
    free(bytes);
    return rgb;
}

static void show_in_each_format(struct screen *s)
{
    for (unsigned i = 0; i < ARRAY_LEN(screen_formats); i++) {
        const struct screen_format *f = &screen_formats[i];
        struct gpu_fb *fb = gpu_fb_new(s->g, 67, 41, 4096);
        uint32_t *rgb;

        front_note("%s", f->name);
        gpu_fb_fill(fb, i);
        gpu_show(s->g, 0, 1, f->format, fb);
        gpu_draw(s->g, 1, fb, 0, 0, 67, 41);
        rgb = rgb_of(fb, f);
        screen_need(s, 0, false, rgb, 67, 41);
        /* What is transferred counts, not what lies there since. */
        gpu_fb_fill(fb, 99);
        screen_need(s, 0, false, rgb, 67, 41);
        gpu_need(gpu_unref(s->g, 1), OK_NODATA);
        screen_need_nothing(s, 0, "shows nothing");
        free(rgb);
    }
}

static void a_picture_is_what_the_guest_wrote(void **state)
{
    (void)state;
    on_all_rings(one, show_in_each_format);
}

static uint64_t next(uint64_t *x)
{
    *x ^= *x << 13;
    *x ^= *x >> 7;
    *x ^= *x << 17;
    return *x >> 8;
}

/* Transfers random rectangles: the picture has just those. */
static void draw_rectangles(struct screen *s, uint32_t width, uint32_t height,
                            uint32_t piece, uint64_t seed)
{
    const struct screen_format *f = &screen_formats[1];
    struct gpu_fb *fb = gpu_fb_new(s->g, width, height, piece);
    uint32_t *seen = front_calloc((size_t)width * height, sizeof(*seen));
    uint64_t x = seed;

    front_note("%ux%u in pieces of %u, seed %llu", width, height, piece,
               (unsigned long long)seed);
    gpu_show(s->g, 0, 7, XRGB, fb);
    /* A new resource is black. */
    screen_need(s, 0, false, seen, width, height);
    for (unsigned i = 0; i < 24; i++) {
        uint32_t w = 1 + (uint32_t)next(&x) % width;
        uint32_t h = 1 + (uint32_t)next(&x) % height;
        uint32_t rx = (uint32_t)next(&x) % (width - w + 1);
        uint32_t ry = (uint32_t)next(&x) % (height - h + 1);
        uint32_t *now;

        if (i % 8 == 0) /* whole rows */
            rx = 0, w = width;
        gpu_fb_fill(fb, next(&x));
        gpu_draw(s->g, 7, fb, rx, ry, w, h);
        now = rgb_of(fb, f);
        for (uint32_t y = ry; y < ry + h; y++)
            memcpy(seen + (size_t)y * width + rx, now + (size_t)y * width + rx,
                   (size_t)w * sizeof(*seen));
        free(now);
    }
    screen_need(s, 0, false, seen, width, height);
    gpu_need(gpu_unref(s->g, 7), OK_NODATA);
    free(seen);
}

static void transfers_copy_just_their_rectangle(void **state)
{
    static const uint32_t pieces[] = {0, 4096, 4092, 1000, 37, 12};
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        draw_rectangles(&s, 129, 65, pieces[i], i + 1);
        draw_rectangles(&s, 1, 300, pieces[i], i + 11);
        draw_rectangles(&s, 300, 1, pieces[i], i + 21);
    }
    screen_close(&s);
}

/* The offset says where in the backing the first pixel is: anywhere in it. */
static void a_transfer_may_begin_anywhere_in_the_backing(void **state)
{
    struct gpu_fb *fb;
    uint32_t want[16 * 8];
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    fb = gpu_fb_new(s.g, 16, 16, 100); /* twice as high as the picture */
    gpu_need(gpu_create(s.g, 1, XRGB, 16, 8), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, fb->entries, fb->num), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 0, 0, 16, 8), OK_NODATA);
    for (unsigned i = 0; i < 256; i++)
        gpu_fb_write(fb, (uint64_t)i * 4, &(le32){htole32(i)}, 4);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 16, 8, 8 * 64 + 0), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 3, 2, 5, 3, 12), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        want[i] = 128 + i;
    for (unsigned y = 0; y < 3; y++)
        for (unsigned x = 0; x < 5; x++)
            want[(y + 2) * 16 + x + 3] = y * 16 + x + 3;
    screen_need(&s, 0, false, want, 16, 8);
    screen_close(&s);
}

/* Much more than a turn of the loop copies; what comes behind it waits. */
static void transfer_large(struct screen *s, uint32_t width)
{
    const struct virtio_gpu_transfer_to_host_2d large =
        gpu_transfer_cmd(1, 0, 0, width, 2003, 0);
    const struct virtio_gpu_resource_flush flush =
        gpu_flush_cmd(1, 0, 0, 3000, 2003);
    struct gpu_req *first = gpu_req_new(s->g, sizeof(large));
    struct gpu_req *second = gpu_req_new(s->g, sizeof(flush));

    gpu_go(s->g->control, first, &large, sizeof(large), 24);
    gpu_go(s->g->control, second, &flush, sizeof(flush), 24);
    gpu_need(gpu_wait(s->g->control, second), OK_NODATA);
    gpu_need(gpu_wait(s->g->control, first), OK_NODATA);
    assert_true(first->order < second->order);
}

static void a_large_transfer_keeps_its_place(void **state)
{
    const struct front_conf conf = {.mem_bytes = 128 << 20};
    uint32_t *before, *after;
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, one, &conf);
    fb = gpu_fb_new(s.g, 3000, 2003, 4096);
    gpu_fb_fill(fb, 5);
    gpu_show(s.g, 0, 1, XRGB, fb);
    transfer_large(&s, 3000);
    before = rgb_of(fb, &screen_formats[1]);
    screen_need(&s, 0, false, before, 3000, 2003);
    /* All but the last column: rows with gaps between them. */
    gpu_fb_fill(fb, 6);
    transfer_large(&s, 2999);
    after = rgb_of(fb, &screen_formats[1]);
    for (unsigned y = 0; y < 2003; y++)
        after[y * 3000 + 2999] = before[y * 3000 + 2999];
    screen_need(&s, 0, false, after, 3000, 2003);
    assert_int_equal(screen_stat(&s, "transfers"), 2);
    assert_int_equal(screen_stat(&s, "transfer_bytes"), 4 * 2003 * 5999);
    free(before);
    free(after);
    screen_close(&s);
}

/* A ring that is stopped meanwhile has its answer first. */
static void a_stop_waits_for_a_large_transfer(void **state)
{
    const struct front_conf conf = {.mem_bytes = 128 << 20};
    struct virtio_gpu_transfer_to_host_2d large =
        gpu_transfer_cmd(1, 0, 0, 4096, 3000, 0);
    struct gpu_req *r;
    struct gpu_fb *fb;
    struct screen s;
    uint32_t *rgb;

    (void)state;
    screen_open(&s, one, &conf);
    fb = gpu_fb_new(s.g, 4096, 3000, 4096);
    gpu_fb_fill(fb, 8);
    gpu_show(s.g, 0, 1, XRGB, fb);
    r = gpu_req_new(s.g, sizeof(large));
    gpu_go(s.g->control, r, &large, sizeof(large), 24);
    vq_stop(s.g->control);
    vq_start(s.g->control);
    gpu_need(gpu_wait(s.g->control, r), OK_NODATA);
    rgb = rgb_of(fb, &screen_formats[1]);
    screen_need(&s, 0, false, rgb, 4096, 3000);
    free(rgb);
    screen_close(&s);
}

/* ---- Scanouts ---- */

static void scanouts_show_parts_of_resources(void **state)
{
    struct gpu_fb *fb;
    uint32_t *rgb, part[20 * 10];
    struct screen s;

    (void)state;
    screen_open(&s, three, NULL);
    fb = gpu_fb_new(s.g, 64, 48, 4096);
    gpu_fb_fill(fb, 1);
    gpu_picture(s.g, 5, XRGB, fb);
    gpu_need(gpu_set_scanout(s.g, 0, 5, 0, 0, 64, 48), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 2, 5, 44, 38, 20, 10), OK_NODATA);
    gpu_draw(s.g, 5, fb, 0, 0, 64, 48);
    rgb = rgb_of(fb, &screen_formats[1]);
    for (unsigned i = 0; i < ARRAY_LEN(part); i++)
        part[i] = rgb[(38 + i / 20) * 64 + 44 + i % 20];
    screen_need(&s, 0, false, rgb, 64, 48);
    screen_need(&s, 2, false, part, 20, 10);
    screen_need_nothing(&s, 1, "shows nothing");
    /* Either may be turned off, without the other. */
    gpu_need(gpu_scanout_off(s.g, 0), OK_NODATA);
    gpu_need(gpu_scanout_off(s.g, 0), OK_NODATA);
    screen_need_nothing(&s, 0, "shows nothing");
    screen_need(&s, 2, false, part, 20, 10);
    /* A resource that goes is shown nowhere. */
    gpu_need(gpu_set_scanout(s.g, 0, 5, 0, 0, 64, 48), OK_NODATA);
    gpu_need(gpu_unref(s.g, 5), OK_NODATA);
    screen_need_nothing(&s, 0, "shows nothing");
    screen_need_nothing(&s, 2, "shows nothing");
    assert_int_equal(screen_stat(&s, "count"), 0);
    assert_int_equal(screen_stat(&s, "bytes"), 0);
    free(rgb);
    screen_close(&s);
}

/* ---- Blobs ---- */

static void a_blob_is_shown_where_it_lies(struct screen *s)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 70, 30, 1000);
    uint32_t *rgb;

    gpu_fb_fill(fb, 3);
    gpu_show_blob(s->g, 0, 9, XRGB, fb);
    rgb = rgb_of(fb, &screen_formats[1]);
    screen_need(s, 0, false, rgb, 70, 30);
    free(rgb);
    gpu_fb_fill(fb, 4);
    gpu_need(gpu_flush(s->g, 9, 0, 0, 70, 30), OK_NODATA);
    rgb = rgb_of(fb, &screen_formats[1]);
    screen_need(s, 0, false, rgb, 70, 30);
    free(rgb);
    gpu_need(gpu_unref(s->g, 9), OK_NODATA);
    screen_need_nothing(s, 0, "shows nothing");
}

static void blobs_need_no_transfer(void **state)
{
    (void)state;
    on_all_rings(one, a_blob_is_shown_where_it_lies);
}

/* A picture with gaps between rows, behind other bytes, of which a part is
 * shown, in every format. */
static void a_part_of_a_blob_is_shown(void **state)
{
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, three, NULL);
    fb = gpu_fb_new_in(s.g, 0, 256 + 30 * 144, 100);
    for (unsigned i = 0; i < ARRAY_LEN(screen_formats); i++) {
        const struct screen_format *f = &screen_formats[i];
        const struct gpu_blob_view view = {f->format, 33,  30,
                                           144,       256, {5, 7, 20, 11}};
        uint32_t want[20 * 11];

        front_note("%s", f->name);
        gpu_fb_fill(fb, i);
        gpu_need(gpu_create_blob(s.g, 1, fb->len, fb->entries, fb->num),
                 OK_NODATA);
        gpu_need(gpu_set_scanout_blob(s.g, 1, 1, &view), OK_NODATA);
        for (unsigned k = 0; k < ARRAY_LEN(want); k++) {
            uint8_t pixel[4];

            gpu_fb_read(fb, 256 + (7 + k / 20) * 144 + (5 + k % 20) * 4, pixel,
                        4);
            want[k] = screen_rgb(f, pixel);
        }
        screen_need(&s, 1, false, want, 20, 11);
        gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    }
    screen_close(&s);
}

static void a_blob_may_lose_its_pages_and_get_others(void **state)
{
    struct gpu_fb *a, *b;
    struct gpu_blob_view view = {XRGB, 32, 32, 128, 0, {0, 0, 32, 32}};
    struct screen s;
    uint32_t *rgb;

    (void)state;
    screen_open(&s, one, NULL);
    a = gpu_fb_new(s.g, 32, 32, 512);
    b = gpu_fb_new(s.g, 32, 32, 0);
    gpu_fb_fill(a, 1);
    gpu_fb_fill(b, 2);
    /* It may have none at first. */
    gpu_need(gpu_create_blob(s.g, 1, a->len, NULL, 0), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 1, &view), OK_NODATA);
    gpu_need(gpu_flush(s.g, 1, 0, 0, 32, 32), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 32, 32, 0), ERR_UNSPEC);
    gpu_need(gpu_detach(s.g, 1), ERR_UNSPEC);
    /* Too few bytes for it. */
    gpu_need(gpu_attach(s.g, 1, a->entries, a->num - 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(s.g, 1, a->entries, a->num), OK_NODATA);
    rgb = rgb_of(a, &screen_formats[1]);
    screen_need(&s, 0, false, rgb, 32, 32);
    free(rgb);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 32, 32, 0), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, b->entries, b->num), ERR_UNSPEC);
    gpu_need(gpu_detach(s.g, 1), OK_NODATA);
    gpu_need(gpu_flush(s.g, 1, 0, 0, 32, 32), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, b->entries, b->num), OK_NODATA);
    rgb = rgb_of(b, &screen_formats[1]);
    screen_need(&s, 0, false, rgb, 32, 32);
    free(rgb);
    screen_close(&s);
}

/* ---- Cursors ---- */

/* A picture of 100 times 80 with a cursor over it. */
static void a_cursor_is_laid_over_the_picture(struct screen *s)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 100, 80, 4096);
    struct gpu_fb *arrow = gpu_fb_new(s->g, 64, 64, 4096);
    uint32_t want[100 * 80] = {0}, white[100 * 80];
    struct virtio_gpu_update_cursor c = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_MOVE_CURSOR),
        .resource_id = htole32(2),
    };

    gpu_show(s->g, 0, 1, XRGB, fb);
    /* The upper half is opaque; Linux calls all its pictures XRGB. */
    for (unsigned i = 0; i < 64 * 64; i++)
        gpu_fb_write(arrow, (uint64_t)i * 4,
                     &(le32){htole32(i < 2048 ? 0xff123456 : 0)}, 4);
    gpu_picture(s->g, 2, XRGB, arrow);
    gpu_need(gpu_transfer(s->g, 2, 0, 0, 64, 64, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s->g, 0, 2, 20, 30, 4, 6), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        if (i % 100 >= 20 && i % 100 < 84 && i / 100 >= 30 && i / 100 < 62)
            want[i] = 0x123456;
    screen_need(s, 0, true, want, 100, 80);
    memset(white, 0, sizeof(white));
    screen_need(s, 0, false, white, 100, 80);
    /* Its image is its own: the resource may go. */
    gpu_need(gpu_unref(s->g, 2), OK_NODATA);
    screen_need(s, 0, true, want, 100, 80);
    /* Moved out of sight, all but a corner; Linux leaves no room. */
    c.pos.x = htole32((uint32_t)-55);
    c.pos.y = htole32((uint32_t)-20);
    assert_int_equal(gpu_ask(s->g->cursor, &c, sizeof(c), NULL, 0),
                     GPU_NO_RESPONSE);
    for (unsigned i = 0; i < ARRAY_LEN(want); i++)
        want[i] = i % 100 < 9 && i / 100 < 12 ? 0x123456 : 0;
    screen_need(s, 0, true, want, 100, 80);
    /* Hidden, and shown again. */
    gpu_need(gpu_update_cursor(s->g, 0, 0, 5, 5, 0, 0), OK_NODATA);
    screen_need(s, 0, true, white, 100, 80);
    gpu_need(gpu_move_cursor(s->g, 0, 2, (uint32_t)-55, (uint32_t)-20),
             OK_NODATA);
    screen_need(s, 0, true, want, 100, 80);
    gpu_need(gpu_move_cursor(s->g, 0, 0, 9, 9), OK_NODATA);
    screen_need(s, 0, true, white, 100, 80);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void cursors_come_and_move_and_go(void **state)
{
    (void)state;
    on_all_rings(one, a_cursor_is_laid_over_the_picture);
}

static void cursors_have_one_size(void **state)
{
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, three, NULL);
    fb = gpu_fb_new(s.g, 64, 65, 0);
    gpu_need(gpu_create(s.g, 1, ARGB, 64, 64), OK_NODATA);
    gpu_need(gpu_create(s.g, 2, ARGB, 64, 65), OK_NODATA);
    gpu_need(gpu_create(s.g, 3, ARGB, 63, 64), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 4, 16384, fb->entries, 1), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 5, 16383, fb->entries, 1), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 6, 16384, NULL, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 0, 1, 0, 0, 63, 63), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 2, 1, 0, 0, 0, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 0, 4, 0, 0, 0, 0), OK_NODATA);
    gpu_need(gpu_update_cursor(s.g, 0, 2, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_update_cursor(s.g, 0, 3, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_update_cursor(s.g, 0, 5, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_update_cursor(s.g, 0, 6, 0, 0, 0, 0), ERR_UNSPEC);
    gpu_need(gpu_update_cursor(s.g, 0, 7, 0, 0, 0, 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_update_cursor(s.g, 0, 1, 0, 0, 64, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_update_cursor(s.g, 0, 1, 0, 0, 0, UINT32_MAX),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_update_cursor(s.g, 3, 1, 0, 0, 0, 0), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_update_cursor(s.g, UINT32_MAX, 0, 0, 0, 0, 0),
             ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_move_cursor(s.g, 16, 1, 0, 0), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_move_cursor(s.g, 1, 1, UINT32_MAX, UINT32_MAX), OK_NODATA);
    screen_close(&s);
}

/* ---- Mistakes ---- */

static void each_mistake_has_its_error(struct screen *s)
{
    struct gpu *g = s->g;
    struct gpu_fb *fb = gpu_fb_new(g, 32, 16, 512);
    struct virtio_gpu_mem_entry outside = {htole64(UINT64_C(1) << 40),
                                           htole32(4096), 0};
    struct virtio_gpu_mem_entry wraps = {htole64(UINT64_MAX - 10),
                                         htole32(4096), 0};
    struct virtio_gpu_mem_entry empty = {fb->entries[0].addr, 0, 0};

    /* CREATE_2D */
    gpu_need(gpu_create(g, 0, XRGB, 8, 8), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create(g, 1, XRGB, 0, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 8, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 16385, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 1, 16385), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, UINT32_MAX, UINT32_MAX),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, 0, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, 5, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, UINT32_MAX, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 16384, 16384), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(g, UINT32_MAX, XRGB, 32, 16), OK_NODATA);
    gpu_need(gpu_create(g, UINT32_MAX, XRGB, 32, 16), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create(g, 1, XRGB, 32, 16), OK_NODATA);
    /* Of ids that there are not. */
    gpu_need(gpu_unref(g, 2), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_attach(g, 2, fb->entries, fb->num), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_detach(g, 2), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_transfer(g, 2, 0, 0, 1, 1, 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_flush(g, 2, 0, 0, 1, 1), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_set_scanout(g, 0, 2, 0, 0, 1, 1), ERR_INVALID_RESOURCE_ID);
    /* Backings. */
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 16, 0), ERR_UNSPEC);
    gpu_need(gpu_detach(g, 1), ERR_UNSPEC);
    gpu_need(gpu_attach(g, 1, NULL, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &empty, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &outside, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &wraps, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, fb->entries, fb->num), OK_NODATA);
    gpu_need(gpu_attach(g, 1, fb->entries, fb->num), ERR_UNSPEC);
    /* Rectangles, in the picture and in the backing. */
    gpu_need(gpu_transfer(g, 1, 0, 0, 33, 16, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 17, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 1, 0, 32, 16, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, UINT32_MAX, 0, 1, 1, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, UINT32_MAX, 1, UINT32_MAX, 0),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 0, 1, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 16, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, 2045), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, 2044), OK_NODATA);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX - 3),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 31, 15, 1, 1, 0), OK_NODATA);
    gpu_need(gpu_flush(g, 1, 0, 0, 33, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 0, 16, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, UINT32_MAX, UINT32_MAX, 2, 2),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 31, 15, 1, 1), OK_NODATA);
    /* Scanouts. */
    gpu_need(gpu_set_scanout(g, 1, 1, 0, 0, 32, 16), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout(g, 16, 1, 0, 0, 32, 16), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_scanout_off(g, UINT32_MAX), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 33, 16), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 32, 0, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, UINT32_MAX, 1, 2),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 31, 15, 1, 1), OK_NODATA);
    /* None of it has hurt. */
    gpu_need(gpu_unref(g, 1), OK_NODATA);
    gpu_need(gpu_unref(g, 1), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, UINT32_MAX), OK_NODATA);
    assert_int_equal(screen_stat(s, "count"), 0);
}

static void mistakes_have_the_spec_s_errors(void **state)
{
    (void)state;
    on_all_rings(one, each_mistake_has_its_error);
}

static void mistakes_with_blobs(void **state)
{
    static const struct gpu_blob_view bad[] = {
        {XRGB, 0, 16, 128, 0, {0, 0, 1, 1}},
        {XRGB, 32, 0, 128, 0, {0, 0, 1, 1}},
        {XRGB, 16385, 1, 65540, 0, {0, 0, 1, 1}},
        {XRGB, 1, 16385, 4, 0, {0, 0, 1, 1}},
        {0, 32, 16, 128, 0, {0, 0, 32, 16}},
        {6, 32, 16, 128, 0, {0, 0, 32, 16}},
        {XRGB, 32, 16, 124, 0, {0, 0, 32, 16}}, /* rows overlap */
        {XRGB, 31, 16, 126, 0, {0, 0, 31, 16}}, /* no whole pixels */
        {XRGB, 32, 16, 128, 2, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 16, 128, 4, {0, 0, 32, 16}}, /* beyond its end */
        {XRGB, 32, 16, 132, 0, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 17, 128, 0, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 16, UINT32_MAX - 3, 0, {0, 0, 1, 1}},
        {XRGB, 32, 1, 128, UINT32_MAX - 3, {0, 0, 1, 1}},
        {XRGB, 32, 16, 128, 0, {0, 0, 33, 16}},
        {XRGB, 32, 16, 128, 0, {1, 0, 32, 16}},
        {XRGB, 32, 16, 128, 0, {0, 16, 32, 1}},
        {XRGB, 32, 16, 128, 0, {0, 0, 0, 0}},
        {XRGB, 32, 16, 128, 0, {UINT32_MAX, 0, 2, 1}},
    };
    const struct gpu_blob_view good = {XRGB, 32, 16, 128, 0, {0, 0, 32, 16}};
    struct virtio_gpu_resource_create_blob c = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
        .resource_id = htole32(1),
        .blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
        .size = htole64(4096),
    };
    struct virtio_gpu_mem_entry outside = {htole64(UINT64_C(1) << 40),
                                           htole32(4096), 0};
    struct gpu_fb *fb;
    struct screen s;
    struct gpu *g;

    (void)state;
    screen_open(&s, one, NULL);
    g = s.g;
    fb = gpu_fb_new(g, 32, 16, 512);
    gpu_need(gpu_create_blob(g, 0, 2048, fb->entries, fb->num),
             ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create_blob(g, 1, 0, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, 2049, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, UINT64_MAX, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, 4096, &outside, 1), ERR_INVALID_PARAMETER);
    for (uint32_t mem = 0; mem < 5; mem++) {
        c.blob_mem = htole32(mem);
        if (mem != VIRTIO_GPU_BLOB_MEM_GUEST)
            gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_PARAMETER);
    }
    c.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST);
    c.blob_flags = htole32(8);
    gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_PARAMETER);
    c.blob_flags = htole32(7);
    gpu_need(gpu_do(g, &c, sizeof(c)), OK_NODATA);
    gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, 1), OK_NODATA);

    gpu_need(gpu_create(g, 2, XRGB, 32, 16), OK_NODATA);
    gpu_need(gpu_create_blob(g, 1, 2048, fb->entries, fb->num), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_note("picture %u", i);
        gpu_need(gpu_set_scanout_blob(g, 0, 1, &bad[i]), ERR_INVALID_PARAMETER);
    }
    gpu_need(gpu_set_scanout_blob(g, 1, 1, &good), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout_blob(g, 0, 3, &good), ERR_INVALID_RESOURCE_ID);
    /* Each kind has its command. */
    gpu_need(gpu_set_scanout_blob(g, 0, 2, &good), ERR_UNSPEC);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 32, 16), ERR_UNSPEC);
    gpu_need(gpu_set_scanout_blob(g, 0, 1, &good), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(g, 0, 0, &good), OK_NODATA);
    screen_need_nothing(&s, 0, "shows nothing");
    gpu_need(gpu_flush(g, 1, 0, 0, 16385, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, UINT32_MAX, 0, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX - 3),
             ERR_INVALID_PARAMETER);
    screen_close(&s);
}

static void commands_there_are_not(void **state)
{
    struct virtio_gpu_ctrl_hdr h;
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    for (uint32_t type = 0; type < 0x400; type++) {
        uint8_t bytes[256] = {0};
        bool there = type >= VIRTIO_GPU_CMD_GET_DISPLAY_INFO &&
                     type <= VIRTIO_GPU_CMD_SET_SCANOUT_BLOB &&
                     type != VIRTIO_GPU_CMD_GET_CAPSET &&
                     type != VIRTIO_GPU_CMD_GET_CAPSET_INFO;
        bool cursor = type == VIRTIO_GPU_CMD_UPDATE_CURSOR ||
                      type == VIRTIO_GPU_CMD_MOVE_CURSOR;

        front_note("command %#x", type);
        h = gpu_head(type);
        memcpy(bytes, &h, sizeof(h));
        if (!there)
            gpu_need(gpu_do(s.g, bytes, sizeof(bytes)), ERR_UNSPEC);
        if (!cursor)
            gpu_need(gpu_ask(s.g->cursor, bytes, sizeof(bytes), NULL, 24),
                     ERR_UNSPEC);
    }
    h = gpu_head(UINT32_MAX);
    gpu_need(gpu_do(s.g, &h, sizeof(h)), ERR_UNSPEC);
    assert_true(screen_stat(&s, "errors") > 1000);
    screen_close(&s);
}

static void a_command_needs_the_feature_that_has_it(void **state)
{
    static const uint64_t features[] = {
        FEATURE(VIRTIO_GPU_F_EDID),
        FEATURE(VIRTIO_GPU_F_RESOURCE_UUID),
        FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB),
    };
    struct vub *v = vub_start("%s", one);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        const struct front_conf conf = {.features_off = features[i]};
        struct gpu *g = gpu_open(v, "screen", &conf);
        struct gpu_fb *fb = gpu_fb_new(g, 8, 8, 0);
        const struct gpu_blob_view view = {XRGB, 8, 8, 32, 0, {0, 0, 8, 8}};
        uint8_t edid[VIRTIO_GPU_EDID_BYTES], uuid[16];
        uint32_t len;

        gpu_need(gpu_create(g, 1, XRGB, 8, 8), OK_NODATA);
        if (i == 0)
            gpu_need(gpu_edid(g, 0, edid, &len), ERR_UNSPEC);
        else
            gpu_need(gpu_edid(g, 0, edid, &len), OK_EDID);
        if (i == 1)
            gpu_need(gpu_assign_uuid(g, 1, uuid), ERR_UNSPEC);
        else
            gpu_need(gpu_assign_uuid(g, 1, uuid), OK_RESOURCE_UUID);
        if (i == 2) {
            gpu_need(gpu_create_blob(g, 2, 256, fb->entries, 1), ERR_UNSPEC);
            gpu_need(gpu_set_scanout_blob(g, 0, 2, &view), ERR_UNSPEC);
        } else {
            gpu_need(gpu_create_blob(g, 2, 256, fb->entries, 1), OK_NODATA);
            gpu_need(gpu_set_scanout_blob(g, 0, 2, &view), OK_NODATA);
        }
        gpu_close(g);
    }
    vub_free(v);
}

/* ---- UUIDs ---- */

static void a_resource_has_one_uuid(void **state)
{
    uint8_t a[16], again[16], b[16];
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    gpu_need(gpu_create(s.g, 1, XRGB, 8, 8), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 2, 8, NULL, 0), OK_NODATA);
    gpu_need(gpu_assign_uuid(s.g, 1, a), OK_RESOURCE_UUID);
    gpu_need(gpu_assign_uuid(s.g, 2, b), OK_RESOURCE_UUID);
    gpu_need(gpu_assign_uuid(s.g, 1, again), OK_RESOURCE_UUID);
    gpu_need(gpu_assign_uuid(s.g, 3, again + 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_assign_uuid(s.g, 1, again), OK_RESOURCE_UUID);
    assert_memory_equal(a, again, sizeof(a));
    assert_memory_not_equal(a, b, sizeof(a));
    /* RFC 9562: version 4, and its variant. */
    assert_int_equal(a[6] >> 4, 4);
    assert_int_equal(a[8] >> 6, 2);
    /* One that comes after it is another. */
    gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    gpu_need(gpu_create(s.g, 1, XRGB, 8, 8), OK_NODATA);
    gpu_need(gpu_assign_uuid(s.g, 1, again), OK_RESOURCE_UUID);
    assert_memory_not_equal(a, again, sizeof(a));
    screen_close(&s);
}

/* ---- Bounds ---- */

static void pictures_take_max_memory_at_most(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(", 'max_memory': '1M'"), NULL);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 513), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 512), OK_NODATA);
    gpu_need(gpu_create(s.g, 2, XRGB, 1, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 256), OK_NODATA);
    gpu_need(gpu_create(s.g, 2, XRGB, 512, 257), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 2, XRGB, 512, 256), OK_NODATA);
    assert_int_equal(screen_stat(&s, "max_memory"), 1 << 20);
    assert_int_equal(screen_stat(&s, "bytes"), 512 * 512 * 4);
    /* A blob is the guest's own memory; its picture is not larger either. */
    gpu_need(gpu_create_blob(s.g, 3, UINT64_C(1) << 40, NULL, 0), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 3,
                                  &(struct gpu_blob_view){
                                      XRGB, 512, 513, 2048, 0, {0, 0, 1, 1}}),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 3,
                                  &(struct gpu_blob_view){
                                      XRGB, 512, 512, 2048, 0, {0, 0, 1, 1}}),
             OK_NODATA);
    screen_close(&s);
}

static void there_may_be_16384_resources(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    for (uint32_t id = 1; id <= 16384; id++)
        gpu_need(gpu_create_blob(s.g, id * 7, 4, NULL, 0), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 1, 4, NULL, 0), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 1, XRGB, 1, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_unref(s.g, 7 * 16384), OK_NODATA);
    gpu_need(gpu_create(s.g, 1, XRGB, 1, 1), OK_NODATA);
    assert_int_equal(screen_stat(&s, "count"), 16384);
    screen_close(&s);
}

/* As Linux sends them: the command in a page, 65536 entries in 256 more. */
static void a_backing_may_have_65536_entries(void **state)
{
    const struct front_conf conf = {.size = 512, .mem_bytes = 512 << 20};
    struct virtio_gpu_mem_entry *many = front_calloc(65537, sizeof(*many));
    struct gpu_fb *fb;
    struct screen s;
    uint32_t *rgb;

    (void)state;
    screen_open(&s, one, &conf);
    fb = gpu_fb_new(s.g, 8192, 8192, 4096);
    assert_int_equal(fb->num, 65536);
    memcpy(many, fb->entries, 65536 * sizeof(*many));
    many[65536] = many[0];
    gpu_fb_fill(fb, 3);
    gpu_need(gpu_create(s.g, 1, XRGB, 8192, 8192), OK_NODATA);
    gpu_need(gpu_attach_paged(s.g, 1, many, 65536), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 8000, 8000, 192, 192), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 8192, 8192, 0), OK_NODATA);
    rgb = front_calloc(192 * 192, sizeof(*rgb));
    for (unsigned i = 0; i < 192 * 192; i++) {
        uint8_t pixel[4];

        gpu_fb_read(fb,
                    ((uint64_t)(8000 + i / 192) * 8192 + 8000 + i % 192) * 4,
                    pixel, 4);
        rgb[i] = screen_rgb(&screen_formats[1], pixel);
    }
    screen_need(&s, 0, false, rgb, 192, 192);
    free(rgb);
    /* One more is one too many; of all resources, four times as many. */
    gpu_need(gpu_create_blob(s.g, 2, 4096, NULL, 0), OK_NODATA);
    gpu_need(gpu_attach_paged(s.g, 2, many, 65537), ERR_INVALID_PARAMETER);
    for (uint32_t id = 2; id < 5; id++) {
        if (id > 2)
            gpu_need(gpu_create_blob(s.g, id, 4096, NULL, 0), OK_NODATA);
        gpu_need(gpu_attach_paged(s.g, id, many, 65536), OK_NODATA);
    }
    gpu_need(gpu_create_blob(s.g, 5, 4096, many, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_detach(s.g, 3), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 5, 4096, many, 1), OK_NODATA);
    free(many);
    screen_close(&s);
}

/* ---- Framing ---- */

#define ONES 1, 1, 1, 1, 1, 1, 1, 1

static const uint32_t framings[][128] = {
    {0},
    {24, 0},
    {23, 0},
    {25, 0},
    {ONES, ONES, ONES, 0},
    {ONES, ONES, ONES, ONES, 0},
    {7, 9, 3, 13, 1, 2, 2, 30, 0},
};

static void send_in_pieces(struct screen *s)
{
    struct gpu *g = s->g;
    struct gpu_fb *fb = gpu_fb_new(g, 8, 4, 64);
    struct {
        struct virtio_gpu_resource_create_blob c;
        struct virtio_gpu_mem_entry entries[2];
    } blob = {
        {
            .hdr = gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
            .resource_id = htole32(2),
            .blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
            .nr_entries = htole32(2),
            .size = htole64(128),
        },
        {fb->entries[0], fb->entries[1]},
    };
    const struct virtio_gpu_ctrl_hdr info =
        gpu_head(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
    const struct virtio_gpu_resource_create_2d create = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D), htole32(1), htole32(XRGB),
        htole32(8), htole32(4)};
    const struct virtio_gpu_resource_ref unref[] = {
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_UNREF), htole32(1), 0},
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_UNREF), htole32(2), 0},
    };
    const struct virtio_gpu_update_cursor hide = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_UPDATE_CURSOR)};
    struct virtio_gpu_resp_display_info resp;

    for (unsigned i = 0; i < ARRAY_LEN(framings); i++)
        for (unsigned k = 0; k < ARRAY_LEN(framings); k++) {
            const uint32_t *out = framings[i], *in = framings[k];

            /* A cut may be longer than a request. */
            if (i == 6 && k == 6)
                continue;
            front_note("framings %u, %u", i, k);
            gpu_need(gpu_cut(g->control, &blob, sizeof(blob), NULL, 24,
                             i == 6 ? framings[4] : out, NULL),
                     OK_NODATA);
            gpu_need(gpu_cut(g->control, &create, sizeof(create), NULL, 24,
                             i < 5 ? out : NULL, NULL),
                     OK_NODATA);
            gpu_need(gpu_cut(g->control, &info, sizeof(info), &resp,
                             sizeof(resp), i == 4 ? out : NULL, in),
                     OK_DISPLAY_INFO);
            need_display(&resp.pmodes[0], 0, 1280, 800);
            need_display(&resp.pmodes[15], 0, 0, 0);
            gpu_need(gpu_cut(g->cursor, &hide, sizeof(hide), NULL, 24,
                             i < 5 ? out : NULL, k == 4 ? in : NULL),
                     OK_NODATA);
            for (unsigned n = 0; n < 2; n++)
                gpu_need(gpu_cut(g->control, &unref[n], sizeof(unref[n]), NULL,
                                 24, i < 5 ? out : NULL, k == 4 ? in : NULL),
                         OK_NODATA);
        }
}

static void commands_may_lie_in_any_pieces(void **state)
{
    (void)state;
    on_all_rings(one, send_in_pieces);
}

/* A request of every length short of whole: an error where there is room for
 * one. And room of every length short of a whole response. */
static void send_too_little(struct screen *s)
{
    const struct virtio_gpu_set_scanout_blob blob = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB)};
    const struct virtio_gpu_resource_create_2d create = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D), htole32(1), htole32(XRGB),
        htole32(8), htole32(4)};
    const struct virtio_gpu_update_cursor hide = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_UPDATE_CURSOR)};
    const struct virtio_gpu_get_edid edid = {gpu_head(VIRTIO_GPU_CMD_GET_EDID),
                                             0, 0};

    for (uint32_t len = 0; len < sizeof(blob); len++) {
        front_note("%u bytes", len);
        gpu_need(gpu_do(s->g, &blob, len), ERR_INVALID_PARAMETER);
    }
    for (uint32_t len = 0; len < sizeof(create); len++)
        gpu_need(gpu_do(s->g, &create, len), ERR_INVALID_PARAMETER);
    for (uint32_t len = 0; len < sizeof(hide); len++)
        gpu_need(gpu_ask(s->g->cursor, &hide, len, NULL, 24),
                 ERR_INVALID_PARAMETER);
    for (uint32_t room = 1; room < sizeof(struct virtio_gpu_resp_edid);
         room += room < 40 ? 1 : 97) {
        uint32_t type;

        front_note("room for %u bytes", room);
        type = gpu_ask(s->g->control, &edid, sizeof(edid), NULL, room);
        assert_int_equal(type,
                         room < 24 ? GPU_NO_RESPONSE : VIRTIO_GPU_RESP_OK_EDID);
    }
    /* It is done all the same. */
    assert_int_equal(gpu_ask(s->g->control, &create, sizeof(create), NULL, 0),
                     GPU_NO_RESPONSE);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void short_requests_and_little_room(void **state)
{
    (void)state;
    on_all_rings(one, send_too_little);
}

/* As many entries as the command says, no more and no fewer. */
static void entries_are_counted(void **state)
{
    struct {
        struct virtio_gpu_resource_attach_backing c;
        struct virtio_gpu_mem_entry entries[4];
    } attach = {
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING), htole32(1), 0}};
    static const uint32_t wrong[] = {0,     1,          3,          65536,
                                     65537, UINT32_MAX, 0x10000001, 0x10000002};
    const uint32_t len = sizeof(attach.c) + 2 * sizeof(attach.entries[0]);
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    fb = gpu_fb_new(s.g, 8, 8, 64);
    memcpy(attach.entries, fb->entries, sizeof(attach.entries));
    gpu_need(gpu_create(s.g, 1, XRGB, 8, 8), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        front_note("%u entries", wrong[i]);
        attach.c.nr_entries = htole32(wrong[i]);
        gpu_need(gpu_do(s.g, &attach, len), ERR_INVALID_PARAMETER);
    }
    attach.c.nr_entries = htole32(2);
    for (uint32_t off = 1; off < 16; off++) {
        gpu_need(gpu_do(s.g, &attach, len - off), ERR_INVALID_PARAMETER);
        gpu_need(gpu_do(s.g, &attach, len + off), ERR_INVALID_PARAMETER);
    }
    gpu_need(gpu_do(s.g, &attach, len), OK_NODATA);
    screen_close(&s);
}

/* ---- Fences ---- */

static void keep_many_under_way(struct screen *s)
{
    struct gpu_req *r[24];

    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        struct virtio_gpu_resource_ref c = {
            gpu_head(i % 3 ? VIRTIO_GPU_CMD_RESOURCE_UNREF
                           : VIRTIO_GPU_CMD_GET_DISPLAY_INFO),
            htole32(i), 0};

        r[i] = gpu_req_new(s->g, sizeof(c));
        /* With and without; the ring's index only where it is said. */
        s->g->no_fences = i % 4 == 0;
        if (i % 4 == 1) {
            c.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE |
                                  VIRTIO_GPU_FLAG_INFO_RING_IDX | 0xf0);
            c.hdr.fence_id = htole64(UINT64_MAX - i);
        }
        c.hdr.ctx_id = htole32(0x80000000u + i);
        c.hdr.ring_idx = (uint8_t)(i + 1);
        memset(c.hdr.padding, 0xaa, 3);
        memcpy(r[i]->req, &c, sizeof(c));
        if (!gpu_add(s->g->control, r[i], sizeof(c), i % 3 ? 24 : 408))
            front_fail("the ring is full");
    }
    s->g->no_fences = false;
    vq_kick(s->g->control);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        gpu_wait(s->g->control, r[i]);
        if (i > 0)
            assert_int_equal(r[i]->order, r[i - 1]->order + 1);
        assert_int_equal(r[i]->type,
                         i % 3 ? VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
                               : VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
        gpu_req_free(r[i]);
    }
}

static void fences_come_back_in_order(void **state)
{
    (void)state;
    on_all_rings(one, keep_many_under_way);
}

BEHAVE_MAIN(
    T(it_offers_what_works_and_no_more), T(the_config_space_is_true),
    T(displays_are_as_the_config_has_them), T(monitors_say_what_the_config_has),
    T(a_picture_is_what_the_guest_wrote),
    T(transfers_copy_just_their_rectangle),
    T(a_transfer_may_begin_anywhere_in_the_backing),
    T(a_large_transfer_keeps_its_place), T(a_stop_waits_for_a_large_transfer),
    T(scanouts_show_parts_of_resources), T(blobs_need_no_transfer),
    T(a_part_of_a_blob_is_shown), T(a_blob_may_lose_its_pages_and_get_others),
    T(cursors_come_and_move_and_go), T(cursors_have_one_size),
    T(mistakes_have_the_spec_s_errors), T(mistakes_with_blobs),
    T(commands_there_are_not), T(a_command_needs_the_feature_that_has_it),
    T(a_resource_has_one_uuid), T(pictures_take_max_memory_at_most),
    T(there_may_be_16384_resources), T(a_backing_may_have_65536_entries),
    T(commands_may_lie_in_any_pieces), T(short_requests_and_little_room),
    T(entries_are_counted), T(fences_come_back_in_order))
