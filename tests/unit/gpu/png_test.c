/* PNG files: ours, all kinds that others make, and hostile ones. */
#include <errno.h>
#include <png.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zlib.h>

#include "device/gpu/picture.h"
#include "stage.h"

/* ---- a file in memory ---- */

struct bytes {
    uint8_t *at;
    size_t len, room;
};

static void append(struct bytes *b, const void *from, size_t len)
{
    if (b->len + len > b->room) {
        b->room = 2 * (b->len + len);
        b->at = realloc(b->at, b->room);
        assert_non_null(b->at);
    }
    memcpy(b->at + b->len, from, len);
    b->len += len;
}

static void append_be32(struct bytes *b, uint32_t n)
{
    const uint8_t be[] = {(uint8_t)(n >> 24), (uint8_t)(n >> 16),
                          (uint8_t)(n >> 8), (uint8_t)n};

    append(b, be, sizeof(be));
}

/* With a right check sum. */
static void append_chunk(struct bytes *b, const char *type, const void *data,
                         size_t len)
{
    size_t start = b->len + 4;

    append_be32(b, (uint32_t)len);
    append(b, type, 4);
    append(b, data, len);
    append_be32(b, (uint32_t)crc32(0, b->at + start, (uInt)(len + 4)));
}

static void append_packed(struct bytes *b, const char *type,
                          const struct bytes *head, size_t zeros)
{
    uLongf len = compressBound(zeros);
    uint8_t *plain = calloc(1, zeros), *packed = malloc(len);
    struct bytes data = {NULL, 0, 0};

    assert_true(plain && packed);
    assert_int_equal(compress2(packed, &len, plain, zeros, 9), Z_OK);
    if (head)
        append(&data, head->at, head->len);
    append(&data, packed, len);
    append_chunk(b, type, data.at, data.len);
    free(plain);
    free(packed);
    free(data.at);
}

static struct bytes begin(uint32_t width, uint32_t height)
{
    struct bytes b = {NULL, 0, 0}, head = {NULL, 0, 0};

    append(&b, "\211PNG\r\n\032\n", 8);
    append_be32(&head, width);
    append_be32(&head, height);
    append(&head, "\10\2\0\0\0", 5); /* 8 bits, RGB */
    append_chunk(&b, "IHDR", head.at, head.len);
    free(head.at);
    return b;
}

static struct picture *load(const struct bytes *b, struct err *e)
{
    FILE *f = fopen("x.png", "w");

    assert_non_null(f);
    assert_int_equal(fwrite(b->at, 1, b->len, f), b->len);
    assert_int_equal(fclose(f), 0);
    return picture_load("x.png", e);
}

static void expect_refused_file(const struct bytes *b)
{
    struct err e = {0};

    assert_null(load(b, &e));
    assert_true(e.code < 0);
    assert_memory_equal(e.text, "x.png: ", 7);
    assert_true(strlen(e.text) > 7);
}

/* ---- files that others make ---- */

#define SIDE 20

static void on_bytes(png_structp png, png_bytep data, size_t len)
{
    append(png_get_io_ptr(png), data, len);
}

static void on_flush(png_structp png)
{
    (void)png;
}

/* A file of SIDE times SIDE pixels whose samples are all `sample`. */
static struct bytes other(int color, int bits, int interlace,
                          const uint8_t *pixel, int pixel_bytes)
{
    static const png_color palette[] = {
        {1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}};
    struct bytes b = {NULL, 0, 0};
    png_structp png =
        png_create_write_struct(PNG_LIBPNG_VER_STRING, NULL, NULL, NULL);
    png_infop info = png_create_info_struct(png);
    uint8_t row[SIDE * 8];
    int passes;

    for (int i = 0; i < SIDE * pixel_bytes; i++)
        row[i] = pixel[i % pixel_bytes];
    png_set_write_fn(png, &b, on_bytes, on_flush);
    png_set_IHDR(png, info, SIDE, SIDE, bits, color, interlace,
                 PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
    if (color == PNG_COLOR_TYPE_PALETTE)
        png_set_PLTE(png, info, palette, 4);
    png_write_info(png, info);
    if (bits < 8)
        png_set_packing(png);
    passes = png_set_interlace_handling(png);
    while (passes-- > 0)
        for (int y = 0; y < SIDE; y++)
            png_write_row(png, row);
    png_write_end(png, info);
    png_destroy_write_struct(&png, &info);
    return b;
}

static void all_kinds_of_others_are_read(void **state)
{
    static const struct {
        int color, bits, pixel_bytes;
        uint8_t pixel[8];
        uint32_t rgb;
    } rows[] = {
        {PNG_COLOR_TYPE_RGB, 8, 3, {1, 2, 3}, 0x010203},
        {PNG_COLOR_TYPE_RGB, 16, 6, {1, 1, 2, 2, 3, 3}, 0x010203},
        {PNG_COLOR_TYPE_RGB_ALPHA, 8, 4, {1, 2, 3, 0}, 0x010203},
        {PNG_COLOR_TYPE_RGB_ALPHA, 16, 8, {9, 9, 8, 8, 7, 7, 1, 0}, 0x090807},
        {PNG_COLOR_TYPE_GRAY, 1, 1, {1}, 0xffffff},
        {PNG_COLOR_TYPE_GRAY, 2, 1, {1}, 0x555555},
        {PNG_COLOR_TYPE_GRAY, 4, 1, {2}, 0x222222},
        {PNG_COLOR_TYPE_GRAY, 8, 1, {7}, 0x070707},
        {PNG_COLOR_TYPE_GRAY, 16, 2, {7, 7}, 0x070707},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 8, 2, {7, 100}, 0x070707},
        {PNG_COLOR_TYPE_GRAY_ALPHA, 16, 4, {7, 7, 1, 1}, 0x070707},
        {PNG_COLOR_TYPE_PALETTE, 2, 1, {2}, 0x070809},
        {PNG_COLOR_TYPE_PALETTE, 8, 1, {3}, 0x0a0b0c},
    };

    (void)state;
    for (unsigned i = 0; i < 2 * ARRAY_LEN(rows); i++) {
        int interlace = i % 2 ? PNG_INTERLACE_ADAM7 : PNG_INTERLACE_NONE;
        unsigned row = i / 2;
        struct bytes b = other(rows[row].color, rows[row].bits, interlace,
                               rows[row].pixel, rows[row].pixel_bytes);
        struct picture *p;
        struct err e;

        p = load(&b, &e);
        if (!p)
            fail_msg("row %u: %s", row, e.text);
        assert_int_equal(p->width, SIDE);
        assert_int_equal(p->height, SIDE);
        for (int at = 0; at < SIDE * SIDE; at++)
            assert_int_equal(p->argb[at] & 0xffffff, rows[row].rgb);
        picture_unref(p);
        free(b.at);
    }
}

/* ---- ours ---- */

static void a_png_file_comes_back_as_it_was(void **state)
{
    struct picture *p, *q;
    uint64_t bytes = 0;
    struct err e;

    (void)state;
    stage_show(stage, 333, 77);
    p = picture_take(&stage->gpu, 0, false, &e);
    assert_int_equal(picture_save(p, "a.png", PICTURE_PNG, &bytes, &e), 0);
    assert_true(bytes > 0);
    q = picture_load("a.png", &e);
    assert_non_null(q);
    assert_int_equal(q->width, 333);
    assert_int_equal(q->height, 77);
    assert_int_equal(picture_different(p, q, NULL, 0), 0);
    picture_unref(p);
    picture_unref(q);
}

/* ---- hostile ones ---- */

static void a_file_that_is_cut_short_is_refused(void **state)
{
    struct bytes b = other(PNG_COLOR_TYPE_RGB, 8, PNG_INTERLACE_ADAM7,
                           (const uint8_t *)"abc", 3);

    (void)state;
    for (size_t len = b.len; len-- > 0;) {
        const struct bytes cut = {b.at, len, 0};

        expect_refused_file(&cut);
    }
    free(b.at);
}

static void a_file_with_wrong_bytes_does_no_harm(void **state)
{
    struct bytes b = other(PNG_COLOR_TYPE_PALETTE, 2, PNG_INTERLACE_NONE,
                           (const uint8_t *)"\1", 1);
    struct err e;

    (void)state;
    for (size_t at = 0; at < b.len; at++)
        for (int bit = 0; bit < 8; bit++) {
            b.at[at] ^= (uint8_t)(1 << bit);
            picture_unref(load(&b, &e));
            b.at[at] ^= (uint8_t)(1 << bit);
        }
    free(b.at);
}

static void sides_beyond_the_limit_are_refused(void **state)
{
    static const uint32_t bad[][2] = {
        {16385, 1}, {1, 16385}, {0x7fffffff, 0x7fffffff}, {0, 1}, {1, 0}};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct bytes b = begin(bad[i][0], bad[i][1]);

        append_packed(&b, "IDAT", NULL, 100);
        append_chunk(&b, "IEND", "", 0);
        expect_refused_file(&b);
        free(b.at);
    }
}

static void a_large_picture_of_few_bytes_is_refused(void **state)
{
    struct bytes b = begin(16384, 16384);

    (void)state;
    append_packed(&b, "IDAT", NULL, 1000);
    append_chunk(&b, "IEND", "", 0);
    expect_refused_file(&b);
    free(b.at);
}

/* Text and profiles that become large when they are unpacked are not, and
 * there may be any number of them. */
static void what_is_beside_the_pixels_is_not_unpacked(void **state)
{
    const struct bytes text = {(uint8_t *)"key\0", 5, 0};
    struct bytes b = begin(1, 1);
    struct picture *p;
    struct err e;

    (void)state;
    append_packed(&b, "iCCP", &text, 100000000);
    append_packed(&b, "zTXt", &text, 100000000);
    for (int i = 0; i < 10000; i++)
        append_chunk(&b, "tEXt", "a\0b", 3);
    for (int i = 0; i < 1000; i++)
        append_chunk(&b, "huGe", "anything", 8);
    append_packed(&b, "IDAT", NULL, 4);
    append_chunk(&b, "IEND", "", 0);
    p = load(&b, &e);
    if (!p)
        fail_msg("%s", e.text);
    assert_int_equal(p->width, 1);
    picture_unref(p);
    free(b.at);
}

static void no_pixels_are_no_picture(void **state)
{
    struct bytes b = begin(1, 1);

    (void)state;
    append_chunk(&b, "IEND", "", 0);
    expect_refused_file(&b);
    free(b.at);
}

#define TEST(f)                                                                \
    cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_kinds_of_others_are_read),
        TEST(a_png_file_comes_back_as_it_was),
        TEST(a_file_that_is_cut_short_is_refused),
        TEST(a_file_with_wrong_bytes_does_no_harm),
        TEST(sides_beyond_the_limit_are_refused),
        TEST(a_large_picture_of_few_bytes_is_refused),
        TEST(what_is_beside_the_pixels_is_not_unpacked),
        TEST(no_pixels_are_no_picture),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
