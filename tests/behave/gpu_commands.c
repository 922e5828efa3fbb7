/* Commands to a GPU that no front-end's display sees: what they do to pictures,
 * and what is answered. */
#include "headless.h"

static const char one[] = SCREEN("");
static const char three[] = SCREEN(
    ", 'scanouts': [{'width': 1024, 'height': 768},"
    " {'width': 640, 'height': 480, 'name': 'second', 'serial': 'lab-8'},"
    " {'width': 5120, 'height': 2160, 'refresh': 75}]");

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
    /* One is taken all the same, and has nothing to do. */
    gpu_need(gpu_transfer(s->g, 9, 0, 0, 70, 30, 0), OK_NODATA);
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

BEHAVE_MAIN(T(a_picture_is_what_the_guest_wrote),
            T(transfers_copy_just_their_rectangle),
            T(a_transfer_may_begin_anywhere_in_the_backing),
            T(a_large_transfer_keeps_its_place),
            T(a_stop_waits_for_a_large_transfer),
            T(scanouts_show_parts_of_resources), T(blobs_need_no_transfer),
            T(a_part_of_a_blob_is_shown),
            T(a_blob_may_lose_its_pages_and_get_others),
            T(cursors_come_and_move_and_go), T(cursors_have_one_size),
            T(a_resource_has_one_uuid))
