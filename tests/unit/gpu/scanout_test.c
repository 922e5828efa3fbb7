/* Frames and scanouts, with nobody but the test to look at them. */
#include <stdlib.h>
#include <string.h>

#include "device/gpu/impl.h"
#include "pages.h"

/* ---- who is told ---- */

static struct {
    unsigned scanouts[VIRTIO_GPU_MAX_SCANOUTS];
    unsigned damages[VIRTIO_GPU_MAX_SCANOUTS];
    unsigned cursors[VIRTIO_GPU_MAX_SCANOUTS];
    unsigned waits[VIRTIO_GPU_MAX_SCANOUTS];
    struct rect damage; /* the last one */
    bool image;
} told;

void viewer_scanout(struct viewer *v, unsigned i)
{
    (void)v;
    told.scanouts[i]++;
}

void viewer_damage(struct viewer *v, unsigned i, const struct rect *r)
{
    (void)v;
    told.damages[i]++;
    told.damage = *r;
}

void viewer_cursor(struct viewer *v, unsigned i, bool image)
{
    (void)v;
    told.cursors[i]++;
    told.image = image;
}

void waits_changed(struct gpu *g, unsigned i)
{
    (void)g;
    told.waits[i]++;
}

/* ---- a GPU ---- */

#define NUM_PAGES 64

static struct gpu *g;
static struct pages *p;

static int setup(void **state)
{
    (void)state;
    p = pages_new(NUM_PAGES);
    g = calloc(1, sizeof(*g));
    assert_non_null(g);
    resources_init(&g->resources, UINT64_C(1) << 30, false);
    memset(&told, 0, sizeof(told));
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    scanouts_reset(g);
    resources_clear(&g->resources);
    assert_int_equal(g->resources.bytes, 0);
    assert_int_equal(g->resources.entries, 0);
    free(g);
    pages_free(p);
    return 0;
}

/* 2D, with pixels that all differ. */
static struct resource *new_2d(uint32_t id, uint32_t format, uint32_t width,
                               uint32_t height)
{
    struct resource *r =
        resource_new_2d(&g->resources, id, format, width, height);

    assert_non_null(r);
    for (uint64_t i = 0; i < r->bytes; i++)
        r->pixels[i] = (uint8_t)pages_random(256);
    return r;
}

static struct resource *new_blob(uint32_t id, struct backing_entry *e,
                                 uint32_t num)
{
    struct resource *r;
    uint64_t len = 0;

    for (uint32_t i = 0; i < num; i++)
        len += e[i].len;
    r = resource_new_blob(&g->resources, id, len);
    assert_non_null(r);
    assert_int_equal(resource_attach(r, e, num, p->mem), 0);
    return r;
}

/* As SET_SCANOUT makes it: rect of a 2D resource. */
static struct frame frame_of(struct resource *r, const struct rect *rect)
{
    return (struct frame){
        .res = resource_ref(r),
        .format = r->format,
        .stride = r->stride,
        .width = rect->width,
        .height = rect->height,
        .offset = (uint64_t)rect->y * r->stride + rect->x * PIXEL_BYTES,
    };
}

static void show(unsigned i, struct resource *r, const struct rect *rect)
{
    struct frame f = frame_of(r, rect);

    scanout_set(g, i, &f, rect);
}

/* ---- frames ---- */

/* The bytes of r in f, by the bytes of its resource. malloc'ed. */
static uint8_t *rows_of(const struct frame *f, const struct rect *r,
                        const uint8_t *flat)
{
    size_t len = (size_t)r->width * PIXEL_BYTES;
    uint8_t *rows = malloc(len * r->height);

    assert_non_null(rows);
    for (uint32_t y = 0; y < r->height; y++)
        memcpy(rows + y * len,
               flat + f->offset + (size_t)(r->y + y) * f->stride +
                   (size_t)r->x * PIXEL_BYTES,
               len);
    return rows;
}

/* What frame_iov gives from `skip` on, `max` pieces at a time, must be the
 * rest of `want`. How many pieces in all. */
static unsigned check_pieces(const struct frame *f, const struct rect *r,
                             const uint8_t *want, uint64_t len, uint64_t skip,
                             int max)
{
    struct iovec iov[64];
    unsigned pieces = 0;
    int n;

    do {
        n = frame_iov(f, r, skip, iov, max);
        assert_in_range(n, 0, max);
        for (int i = 0; i < n; i++) {
            assert_true(iov[i].iov_len > 0);
            assert_true(iov[i].iov_len <= len - skip);
            assert_memory_equal(iov[i].iov_base, want + skip, iov[i].iov_len);
            if (i > 0)
                assert_ptr_not_equal(iov[i].iov_base,
                                     (uint8_t *)iov[i - 1].iov_base +
                                         iov[i - 1].iov_len);
            skip += iov[i].iov_len;
        }
        pieces += (unsigned)n;
    } while (n == max);
    assert_int_equal(skip, len);
    return pieces;
}

static void check_frame(const struct frame *f, const uint8_t *flat)
{
    for (unsigned turn = 0; turn < 200; turn++) {
        struct rect r = {pages_random(f->width), pages_random(f->height), 0, 0};
        uint32_t *argb, *want_argb;
        uint64_t len;
        uint8_t *want;

        r.width = 1 + pages_random(f->width - r.x);
        r.height = 1 + pages_random(f->height - r.y);
        if (turn % 4 == 0) {
            r.x = 0;
            r.width = f->width;
        }
        len = (uint64_t)r.width * r.height * PIXEL_BYTES;
        want = rows_of(f, &r, flat);
        check_pieces(f, &r, want, len, 0, 64);
        check_pieces(f, &r, want, len, 0, 1);
        check_pieces(f, &r, want, len, pages_random((uint32_t)len + 1),
                     1 + (int)pages_random(64));

        argb = malloc(len + 4);
        want_argb = malloc(len);
        assert_non_null(argb);
        assert_non_null(want_argb);
        argb[len / 4] = 0x12345678;
        frame_read(f, &r, argb);
        pixels_convert(f->format, want, r.width * PIXEL_BYTES, want_argb,
                       r.width * PIXEL_BYTES, r.width, r.height);
        assert_memory_equal(argb, want_argb, len);
        assert_int_equal(argb[len / 4], 0x12345678);
        free(argb);
        free(want_argb);
        free(want);
    }
}

static void a_frame_of_a_2d_resource_is_its_pixels(void **state)
{
    struct resource *r = new_2d(1, VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, 101, 57);
    const struct rect rects[] = {
        {0, 0, 101, 57}, {0, 10, 101, 20}, {7, 3, 90, 54}, {100, 56, 1, 1}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rects); i++) {
        struct frame f = frame_of(r, &rects[i]);

        assert_true(frame_is_there(&f));
        check_frame(&f, r->pixels);
        frame_unref(&f);
        assert_null(f.res);
    }
}

/* Rows without gaps are one piece, others one each. */
static void rows_are_joined_where_they_are_neighbours(void **state)
{
    struct resource *r = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64);
    const struct rect all = {0, 0, 64, 64}, band = {0, 5, 64, 9},
                      some = {1, 5, 63, 9};
    struct frame f = frame_of(r, &all);
    struct iovec iov[16];

    (void)state;
    assert_int_equal(frame_iov(&f, &all, 0, iov, 16), 1);
    assert_ptr_equal(iov[0].iov_base, r->pixels);
    assert_int_equal(iov[0].iov_len, r->bytes);
    assert_int_equal(frame_iov(&f, &band, 0, iov, 16), 1);
    assert_int_equal(frame_iov(&f, &some, 0, iov, 16), 9);
    /* At its end, and with all room taken by the last piece. */
    assert_int_equal(frame_iov(&f, &all, r->bytes, iov, 16), 0);
    assert_int_equal(frame_iov(&f, &some, 0, iov, 9), 9);
    assert_int_equal(frame_iov(&f, &some, 63 * 4 * 9, iov, 9), 0);
    frame_unref(&f);
}

/* Pixels, and rows, that are cut where the guest's pages are. */
static void a_frame_of_a_blob_is_the_guests_memory(void **state)
{
    (void)state;
    for (unsigned kind = 0; kind < 3; kind++) {
        uint32_t num = kind == 2 ? 400 : NUM_PAGES;
        struct backing_entry *e = kind == 0   ? pages_in_order(num)
                                  : kind == 1 ? pages_shuffled(num)
                                              : pages_odd(p, num);
        uint64_t len;
        uint8_t *flat = pages_flat(p, e, num, &len);
        struct resource *r = new_blob(kind + 1, e, num);
        struct frame f = {
            .res = resource_ref(r),
            .format = VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM,
            .stride = 1000,
            .width = 241,
            .height = (uint32_t)((len - 1234) / 1000),
            .offset = 1234,
        };

        assert_true(frame_is_there(&f));
        check_frame(&f, flat);
        f.stride = f.width * PIXEL_BYTES; /* without gaps */
        f.format = VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM;
        check_frame(&f, flat);
        frame_unref(&f);
        free(flat);
    }
}

static void a_blob_in_one_piece_is_sent_in_one(void **state)
{
    struct resource *r = new_blob(1, pages_in_order(NUM_PAGES), NUM_PAGES);
    const struct rect all = {0, 0, 256, 250};
    struct frame f = {
        .res = resource_ref(r),
        .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
        .stride = 1024,
        .width = 256,
        .height = 250,
        .offset = 16,
    };
    struct iovec iov[2];

    (void)state;
    assert_int_equal(frame_iov(&f, &all, 10, iov, 2), 1);
    assert_int_equal(iov[0].iov_len, 1024 * 250 - 10);
    frame_unref(&f);
}

static void check_black(const struct frame *f)
{
    const struct rect r = {1, 1, 30, 20};
    uint32_t argb[30 * 20];

    assert_false(frame_is_there(f));
    memset(argb, 0x33, sizeof(argb));
    frame_read(f, &r, argb);
    for (unsigned i = 0; i < ARRAY_LEN(argb); i++)
        assert_int_equal(argb[i], 0xff000000);
}

static void what_is_not_there_is_black(void **state)
{
    struct resource *r = new_blob(1, pages_in_order(2), 2);
    struct frame f = {
        .res = resource_ref(r),
        .format = VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM,
        .stride = 256,
        .width = 64,
        .height = 32,
    };

    (void)state;
    assert_true(frame_is_there(&f));
    resources_resolve(&g->resources, NULL);
    check_black(&f);
    resources_resolve(&g->resources, p->mem);
    assert_true(frame_is_there(&f));

    f.offset = 1; /* the last byte is beyond the backing */
    check_black(&f);
    f.offset = UINT64_MAX;
    check_black(&f);
    f.offset = 0;
    resource_detach(r);
    check_black(&f);
    /* Shorter than before. */
    assert_int_equal(resource_attach(r, pages_in_order(1), 1, p->mem), 0);
    check_black(&f);
    frame_unref(&f);
    check_black(&f);
}

static void a_frame_outlives_its_resources_id(void **state)
{
    struct resource *r = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 8, 8);
    const struct rect all = {0, 0, 8, 8};
    struct frame f = frame_of(r, &all), more = frame_ref(&f);
    struct frame none = {0}, off = frame_ref(&none);
    uint32_t argb[64];

    (void)state;
    assert_null(off.res);
    frame_unref(&off);
    resource_forget(r);
    frame_unref(&f);
    frame_read(&more, &all, argb);
    assert_int_equal(g->resources.bytes, PAGE);
    frame_unref(&more);
    assert_int_equal(g->resources.bytes, 0);
}

/* ---- scanouts ---- */

static void setting_a_scanout_lets_go_of_what_it_showed(void **state)
{
    struct resource *a = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64);
    struct resource *b = new_2d(2, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 32, 32);
    const struct rect r = {0, 0, 32, 32};

    (void)state;
    show(3, a, &r);
    assert_int_equal(a->refs, 2);
    assert_int_equal(told.scanouts[3], 1);
    assert_int_equal(told.waits[3], 1);
    show(3, b, &r);
    assert_int_equal(a->refs, 1);
    assert_int_equal(b->refs, 2);
    show(3, b, &r); /* once more */
    assert_int_equal(b->refs, 2);
    assert_int_equal(told.scanouts[3], 3);

    scanout_off(g, 3);
    assert_int_equal(b->refs, 1);
    assert_null(g->scanouts[3].frame.res);
    assert_int_equal(told.scanouts[3], 4);
    scanout_off(g, 3); /* as it is */
    assert_int_equal(told.scanouts[3], 4);
    assert_int_equal(told.waits[3], 4);
}

static void a_flush_reaches_all_scanouts_that_show_it(void **state)
{
    struct resource *a = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 200, 100);
    struct resource *b = new_2d(2, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 200, 100);
    const struct rect all = {0, 0, 200, 100}, part = {50, 20, 100, 60};
    const struct rect flush = {40, 30, 20, 10}, outside = {0, 0, 50, 100};

    (void)state;
    show(0, a, &all);
    show(5, a, &part);
    show(6, b, &all);
    scanouts_flush(g, a, &flush);
    assert_int_equal(told.damages[0], 1);
    assert_int_equal(told.damages[5], 1);
    assert_int_equal(told.damages[6], 0);
    assert_int_equal(told.waits[6], 1); /* when it was set */
    /* The last one told of is 5, in its own coordinates. */
    assert_int_equal(told.damage.x, 0);
    assert_int_equal(told.damage.y, 10);
    assert_int_equal(told.damage.width, 10);
    assert_int_equal(told.damage.height, 10);
    assert_int_equal(g->scanouts[0].flushes, 1);
    assert_int_equal(g->scanouts[5].flushes, 1);

    scanouts_flush(g, a, &outside);
    assert_int_equal(told.damages[0], 2);
    assert_int_equal(told.damages[5], 1);
    assert_int_equal(told.waits[5], 2);
    assert_int_equal(told.damage.width, 50);
    assert_int_equal(g->scanouts[5].flushes, 1);
    scanouts_flush(g, NULL, &all);
    assert_int_equal(told.damages[1], 0);
}

static void a_resource_that_goes_is_shown_nowhere(void **state)
{
    struct resource *a = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64);
    struct resource *b = new_2d(2, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64);
    const struct rect all = {0, 0, 64, 64};

    (void)state;
    show(0, a, &all);
    show(1, b, &all);
    show(15, a, &all);
    scanouts_drop(g, a);
    assert_null(g->scanouts[0].frame.res);
    assert_ptr_equal(g->scanouts[1].frame.res, b);
    assert_null(g->scanouts[15].frame.res);
    assert_int_equal(told.scanouts[0], 2);
    assert_int_equal(told.scanouts[1], 1);
    assert_int_equal(told.scanouts[15], 2);
    assert_int_equal(a->refs, 1);
    scanouts_drop(g, a);
    assert_int_equal(told.scanouts[0], 2);
}

static void a_cursor_that_changes_is_told_of(void **state)
{
    (void)state;
    scanout_cursor_changed(g, 2, true);
    assert_int_equal(told.cursors[2], 1);
    assert_true(told.image);
    assert_int_equal(told.waits[2], 1);
    scanout_cursor_changed(g, 2, false);
    assert_int_equal(told.cursors[2], 2);
    assert_false(told.image);
}

static void a_reset_ends_all_pictures_and_cursors(void **state)
{
    struct resource *a = new_2d(1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, 64, 64);
    const struct rect all = {0, 0, 64, 64};

    (void)state;
    show(4, a, &all);
    scanouts_flush(g, a, &all);
    g->scanouts[4].cursor.visible = true;
    g->scanouts[4].cursor.drawn = true;
    g->scanouts[4].cursor.image[5] = 1;
    g->scanouts[7].cursor.drawn = true;
    scanouts_reset(g);
    assert_int_equal(a->refs, 1);
    assert_int_equal(told.scanouts[4], 2);
    assert_int_equal(told.cursors[4], 1);
    assert_false(g->scanouts[4].cursor.visible);
    assert_false(g->scanouts[4].cursor.drawn);
    assert_int_equal(g->scanouts[4].cursor.image[5], 0);
    assert_false(g->scanouts[7].cursor.drawn);
    assert_int_equal(g->scanouts[4].flushes, 1); /* is counted on */
    assert_int_equal(told.scanouts[5], 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_frame_of_a_2d_resource_is_its_pixels),
        TEST(rows_are_joined_where_they_are_neighbours),
        TEST(a_frame_of_a_blob_is_the_guests_memory),
        TEST(a_blob_in_one_piece_is_sent_in_one),
        TEST(what_is_not_there_is_black),
        TEST(a_frame_outlives_its_resources_id),
        TEST(setting_a_scanout_lets_go_of_what_it_showed),
        TEST(a_flush_reaches_all_scanouts_that_show_it),
        TEST(a_resource_that_goes_is_shown_nowhere),
        TEST(a_cursor_that_changes_is_told_of),
        TEST(a_reset_ends_all_pictures_and_cursors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
