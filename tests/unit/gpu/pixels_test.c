/* Formats, cursors over pictures, regions. */
#include <stdlib.h>
#include <string.h>

#include "device/gpu/pixels.h"
#include "pages.h"

/* The bytes of a pixel in memory, as the names of the formats have them. */
static const struct {
    uint32_t format;
    const char *bytes;
    const char *fourcc; /* DRM's names are of a little-endian number */
} formats[] = {
    {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, "BGRA", "AR24"},
    {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, "BGRX", "XR24"},
    {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, "ARGB", "BA24"},
    {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, "XRGB", "BX24"},
    {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, "RGBA", "AB24"},
    {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, "XBGR", "RX24"},
    {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, "ABGR", "RA24"},
    {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, "RGBX", "XB24"},
};

static uint32_t argb_of(const char *names, const uint8_t *bytes)
{
    uint32_t argb = strchr(names, 'X') ? 0xff000000 : 0;

    for (unsigned i = 0; i < PIXEL_BYTES; i++) {
        uint32_t byte = bytes[i];

        switch (names[i]) {
        case 'A':
            argb |= byte << 24;
            break;
        case 'R':
            argb |= byte << 16;
            break;
        case 'G':
            argb |= byte << 8;
            break;
        case 'B':
            argb |= byte;
            break;
        }
    }
    return argb;
}

static void fill(uint8_t *bytes, size_t len)
{
    for (size_t i = 0; i < len; i++)
        bytes[i] = (uint8_t)pages_random(256);
}

static void there_are_eight_formats(void **state)
{
    unsigned known = 0;

    (void)state;
    for (uint32_t f = 0; f < 1000; f++)
        known += pixels_known(f);
    assert_int_equal(known, ARRAY_LEN(formats));
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++)
        assert_true(pixels_known(formats[i].format));
    assert_false(pixels_known(UINT32_MAX));
    assert_false(pixels_are_argb(0));
}

static void a_fourcc_is_that_of_drm(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        uint32_t code = pixels_fourcc(formats[i].format);

        for (unsigned k = 0; k < 4; k++)
            assert_int_equal(code >> (8 * k) & 0xff, formats[i].fourcc[k]);
    }
}

/* From any address, to rows with gaps, which stay as they are. */
static void each_format_becomes_argb(void **state)
{
    enum { HEIGHT = 3, WIDTH = 70 };
    static uint8_t from[1 + HEIGHT * (WIDTH + 2) * PIXEL_BYTES];
    static uint32_t to[HEIGHT * (WIDTH + 1)];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        for (uint32_t width = 1; width <= WIDTH; width++) {
            const uint8_t *first = from + width % 2;

            fill(from, sizeof(from));
            memset(to, 0x11, sizeof(to));
            pixels_convert(formats[i].format, first, (WIDTH + 2) * PIXEL_BYTES,
                           to, (WIDTH + 1) * PIXEL_BYTES, width, HEIGHT);
            for (uint32_t y = 0; y < HEIGHT; y++) {
                const uint8_t *row = first + y * (WIDTH + 2) * PIXEL_BYTES;

                for (uint32_t x = 0; x < width; x++)
                    assert_int_equal(
                        to[y * (WIDTH + 1) + x],
                        argb_of(formats[i].bytes, row + x * PIXEL_BYTES));
                assert_int_equal(to[y * (WIDTH + 1) + width], 0x11111111);
            }
        }
    }
}

static void each_format_has_one_with_alpha(void **state)
{
    static const struct {
        uint32_t format, with_alpha;
    } all[] = {
        {VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM},
        {VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, VIRTIO_GPU_FORMAT_B8G8R8A8_UNORM},
        {VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM, VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM},
        {VIRTIO_GPU_FORMAT_X8R8G8B8_UNORM, VIRTIO_GPU_FORMAT_A8R8G8B8_UNORM},
        {VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM, VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM},
        {VIRTIO_GPU_FORMAT_X8B8G8R8_UNORM, VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM},
        {VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM, VIRTIO_GPU_FORMAT_A8B8G8R8_UNORM},
        {VIRTIO_GPU_FORMAT_R8G8B8X8_UNORM, VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(all); i++)
        assert_int_equal(pixels_with_alpha(all[i].format), all[i].with_alpha);
}

static void pixels_are_converted_where_they_are(void **state)
{
    static uint32_t to[37 * 5], want[37 * 5];

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        fill((uint8_t *)to, sizeof(to));
        pixels_convert(formats[i].format, to, 37 * PIXEL_BYTES, want,
                       37 * PIXEL_BYTES, 37, 5);
        pixels_convert(formats[i].format, to, 37 * PIXEL_BYTES, to,
                       37 * PIXEL_BYTES, 37, 5);
        assert_memory_equal(to, want, sizeof(to));
    }
}

static void what_is_called_argb_is_but_for_the_top_byte(void **state)
{
    unsigned num = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(formats); i++) {
        const uint8_t bytes[] = {1, 2, 3, 4};
        uint32_t number, argb = argb_of(formats[i].bytes, bytes);

        memcpy(&number, bytes, sizeof(number));
        assert_int_equal(pixels_are_argb(formats[i].format),
                         (number & 0xffffff) == (argb & 0xffffff));
        num += pixels_are_argb(formats[i].format);
    }
    assert_int_equal(num, 2);
}

/* ---- over ---- */

#define SIDE 4

static uint32_t picture[8 * 6], image[SIDE * SIDE];

static void a_cursor_is_laid_over_a_picture(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(picture); i++)
        picture[i] = 0xff808080;
    image[0] = 0xff123456; /* all of it */
    image[1] = 0;          /* nothing */
    image[2] = 0x80400000; /* half a red */
    pixels_over(picture, 8, 6, image, SIDE, 2, 1);
    assert_int_equal(picture[1 * 8 + 2], 0xff123456);
    assert_int_equal(picture[1 * 8 + 3], 0xff808080);
    assert_in_range(picture[1 * 8 + 4] >> 16 & 0xff, 0x7e, 0x81);
    assert_in_range(picture[1 * 8 + 4] & 0xff, 0x3e, 0x41);
    assert_int_equal(picture[1 * 8 + 4] >> 24, 0xff);
    assert_int_equal(picture[1 * 8 + 1], 0xff808080);
    assert_int_equal(picture[0], 0xff808080);
}

static void a_cursor_is_cut_at_every_edge(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(image); i++)
        image[i] = 0xff000000 | (i + 1);
    for (int x = -SIDE - 1; x <= 9; x++) {
        for (int y = -SIDE - 1; y <= 7; y++) {
            memset(picture, 0, sizeof(picture));
            pixels_over(picture, 8, 6, image, SIDE, x, y);
            for (int at = 0; at < 8 * 6; at++) {
                int ix = at % 8 - x, iy = at / 8 - y;
                bool in = ix >= 0 && ix < SIDE && iy >= 0 && iy < SIDE;

                assert_int_equal(picture[at], in ? image[iy * SIDE + ix] : 0);
            }
        }
    }
}

static void a_cursor_far_away_is_nowhere(void **state)
{
    static const int32_t far[] = {INT32_MIN, INT32_MIN + 3, -65536, 65536,
                                  INT32_MAX};

    (void)state;
    memset(picture, 0, sizeof(picture));
    memset(image, 0xff, sizeof(image));
    for (unsigned i = 0; i < ARRAY_LEN(far); i++) {
        pixels_over(picture, 8, 6, image, SIDE, far[i], 0);
        pixels_over(picture, 8, 6, image, SIDE, 0, far[i]);
        pixels_over(picture, 8, 6, image, SIDE, far[i], far[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(picture); i++)
        assert_int_equal(picture[i], 0);
    /* Colours beyond the alpha are a guest's nonsense. */
    for (unsigned i = 0; i < ARRAY_LEN(image); i++)
        image[i] = 0x10ffffff;
    pixels_over(picture, 8, 6, image, SIDE, -1, -1);
    assert_int_equal(picture[0], 0x10ffffff);
}

/* ---- regions ---- */

#define MAP 40

/* Takes all of r: each pixel once, from top to bottom. How many rectangles. */
static unsigned take_all(struct region *r, uint8_t map[MAP][MAP])
{
    struct rect got;
    unsigned num = 0;
    uint32_t top = 0;

    memset(map, 0, MAP * MAP);
    for (; region_take(r, &got); num++) {
        assert_true(rect_fits(&got, MAP, MAP));
        assert_true(got.y >= top);
        top = got.y;
        for (uint32_t y = got.y; y < got.y + got.height; y++) {
            for (uint32_t x = got.x; x < got.x + got.width; x++) {
                assert_int_equal(map[y][x], 0);
                map[y][x] = 1;
            }
        }
    }
    assert_true(region_is_empty(r));
    return num;
}

static void a_region_is_what_was_added(void **state)
{
    static uint8_t got[MAP][MAP], want[MAP][MAP];
    struct region *r = region_new();

    (void)state;
    assert_non_null(r);
    assert_true(region_is_empty(r));
    for (unsigned turn = 0; turn < 500; turn++) {
        memset(want, 0, sizeof(want));
        for (unsigned i = 0; i < turn % 5; i++) {
            struct rect rect = {pages_random(MAP), pages_random(MAP), 0, 0};

            rect.width = pages_random(MAP + 1 - rect.x);
            rect.height = pages_random(MAP + 1 - rect.y);
            region_add(r, &rect);
            for (uint32_t y = 0; y < rect.height; y++)
                memset(&want[rect.y + y][rect.x], 1, rect.width);
        }
        take_all(r, got);
        assert_memory_equal(got, want, sizeof(got));
    }
    region_free(r);
    region_free(NULL);
}

static void very_many_rectangles_become_one(void **state)
{
    static uint8_t got[MAP][MAP];
    struct region *r = region_new();
    unsigned most = 0;

    (void)state;
    for (unsigned num = 1; num <= 100; num++) {
        unsigned taken;

        for (unsigned i = 0; i < num; i++) {
            const struct rect one = {2 * (i % 20), 2 * (i / 20), 1, 1};

            region_add(r, &one);
        }
        taken = take_all(r, got);
        most = MAX(most, taken);
        for (unsigned i = 0; i < num; i++)
            assert_int_equal(got[2 * (i / 20)][2 * (i % 20)], 1);
    }
    assert_in_range(most, 16, 32);
    region_free(r);
}

static void a_region_may_be_cleared(void **state)
{
    const struct rect a = {1, 2, 3, 4}, b = {10, 20, 3, 4};
    struct region *r = region_new();
    struct rect out;

    (void)state;
    region_clear(r);
    region_add(r, &a);
    region_add(r, &b);
    assert_false(region_is_empty(r));
    region_clear(r);
    assert_true(region_is_empty(r));
    assert_false(region_take(r, &out));
    region_free(r);
}

static void a_region_has_no_more_than_there_is(void **state)
{
    static const struct rect bad[] = {
        {0, 0, 0, 5},
        {0, 0, 5, 0},
        {GPU_SIDE_MAX, 0, 1, 1},
        {UINT32_MAX, UINT32_MAX, 1, 1},
        {UINT32_MAX, 0, UINT32_MAX, 1},
    };
    const struct rect all = {0, 0, UINT32_MAX, UINT32_MAX};
    struct region *r = region_new();
    struct rect out;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++)
        region_add(r, &bad[i]);
    assert_true(region_is_empty(r));
    region_add(r, &all);
    assert_true(region_take(r, &out));
    assert_int_equal(out.width, GPU_SIDE_MAX);
    assert_int_equal(out.height, GPU_SIDE_MAX);
    assert_false(region_take(r, &out));
    region_free(r);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(there_are_eight_formats),
        cmocka_unit_test(a_fourcc_is_that_of_drm),
        cmocka_unit_test(each_format_becomes_argb),
        cmocka_unit_test(each_format_has_one_with_alpha),
        cmocka_unit_test(each_format_has_one_with_alpha),
        cmocka_unit_test(pixels_are_converted_where_they_are),
        cmocka_unit_test(what_is_called_argb_is_but_for_the_top_byte),
        cmocka_unit_test(a_cursor_is_laid_over_a_picture),
        cmocka_unit_test(a_cursor_is_cut_at_every_edge),
        cmocka_unit_test(a_cursor_far_away_is_nowhere),
        cmocka_unit_test(a_region_is_what_was_added),
        cmocka_unit_test(very_many_rectangles_become_one),
        cmocka_unit_test(a_region_may_be_cleared),
        cmocka_unit_test(a_region_has_no_more_than_there_is),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
