/* Pictures: what they are, their hashes and their PPM files. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/gpu/picture.h"
#include "stage.h"

static struct picture *made(uint32_t width, uint32_t height,
                            uint32_t (*pixel)(uint32_t x, uint32_t y))
{
    struct picture *p;
    struct err e;

    p = picture_new(width, height, &e);
    assert_non_null(p);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            p->argb[y * width + x] = pixel(x, y);
    return p;
}

static uint32_t small(uint32_t x, uint32_t y)
{
    return 0xab000000u | x * 50 << 16 | y * 100 << 8 | (x + y) * 30;
}

static uint32_t large(uint32_t x, uint32_t y)
{
    uint32_t i = 3 * (640 * y + x);

    return (i * 7 & 255) << 16 | ((i + 1) * 7 & 255) << 8 | ((i + 2) * 7 & 255);
}

/* Of files made by other means, and by xxh128sum(1) of xxhash 0.8.1. */
static void the_hash_is_what_xxh128sum_says_of_the_ppm_file(void **state)
{
    struct picture *p = made(5, 3, small), *q = made(640, 480, large);
    struct picture_hash hash;

    (void)state;
    assert_int_equal(picture_hash(p, NULL, &hash), 0);
    assert_string_equal(hash.digits, "0dfadfbda63f81ca8622ef2530339d2b");
    assert_int_equal(picture_hash(q, NULL, &hash), 0);
    assert_string_equal(hash.digits, "c34fc1fff6ff746509207233dde54d1b");
    picture_unref(p);
    picture_unref(q);
}

static void pixels_differ_by_more_than_the_tolerance_or_not(void **state)
{
    struct picture *a = made(5, 3, small), *b = made(5, 3, small);

    (void)state;
    assert_int_equal(picture_different(a, b, NULL, 0), 0);
    for (int i = 0; i < 15; i++)
        b->argb[i] ^= 0xff000000u; /* means nothing */
    assert_int_equal(picture_different(a, b, NULL, 0), 0);
    b->argb[0] += 0x000003;
    b->argb[4] -= 0x040000;
    b->argb[14] += 0x000100;
    assert_int_equal(picture_different(a, b, NULL, 0), 3);
    assert_int_equal(picture_different(a, b, NULL, 1), 2);
    assert_int_equal(picture_different(b, a, NULL, 3), 1);
    assert_int_equal(picture_different(b, a, NULL, 4), 0);
    a->argb[7] = 0;
    b->argb[7] = 0xffffff;
    assert_int_equal(picture_different(b, a, NULL, 254), 1);
    assert_int_equal(picture_different(b, a, NULL, 255), 0);
    picture_unref(a);
    picture_unref(b);
}

/* ---- masks ---- */

static struct masks *masks_of(const struct rect *rect, unsigned n)
{
    struct conf_any any[MASKS_MAX];
    struct masks *m;

    for (unsigned i = 0; i < n; i++)
        any[i] = (struct conf_any){.data = (void *)&rect[i]};
    assert_int_equal(masks_new(&m, &(struct conf_anys){any, (int)n}), 0);
    return m;
}

static bool is_hidden(const struct rect *rect, unsigned n, uint32_t x,
                      uint32_t y)
{
    for (unsigned i = 0; i < n; i++)
        if (x >= rect[i].x && x - rect[i].x < rect[i].width && y >= rect[i].y &&
            y - rect[i].y < rect[i].height)
            return true;
    return false;
}

/* Pixel by pixel. */
static void check_masks(const struct rect *rect, unsigned n, uint32_t width,
                        uint32_t height)
{
    struct masks *m = masks_of(rect, n);
    struct picture *p = made(width, height, small), *q, *black;
    struct picture_hash masked, plain;
    uint64_t seen = 0;

    q = made(width, height, small);
    black = made(width, height, small);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++) {
            uint32_t *at = &q->argb[y * width + x];

            *at ^= 0xffffff; /* differs in all channels */
            if (is_hidden(rect, n, x, y))
                black->argb[y * width + x] = 0;
            else
                seen++;
        }
    assert_int_equal(picture_different(p, q, m, 0), seen);
    assert_int_equal(picture_hash(p, m, &masked), 0);
    assert_int_equal(picture_hash(black, NULL, &plain), 0);
    assert_string_equal(masked.digits, plain.digits);
    picture_blacken(p, m);
    assert_int_equal(picture_different(p, black, NULL, 0), 0);
    picture_unref(p);
    picture_unref(q);
    picture_unref(black);
    masks_unref(m);
}

static void what_masks_hide_is_not_looked_at(void **state)
{
    static const struct rect rects[] = {
        {0, 0, 1, 1},      {4, 2, 3, 2},          {5, 3, 10, 1},
        {0, 9, 20, 1},     {19, 0, 1, 10},        {2, 2, 2, 2},
        {18, 8, 100, 100}, {7, 0, 1, 16384},      {0, 5, 16384, 1},
        {20, 0, 5, 5},     {0, 10, 5, 5},         {16384, 16384, 1, 16384},
        {6, 2, 1, 5},      {16384, 0, 16384, 10}, {12, 0, 2, 2},
    };

    (void)state;
    check_masks(NULL, 0, 20, 10);
    for (unsigned i = 0; i < ARRAY_LEN(rects); i++)
        for (unsigned n = 1; i + n <= ARRAY_LEN(rects); n++)
            check_masks(&rects[i], n, 20, 10);
    check_masks(rects, ARRAY_LEN(rects), 1, 1);
}

/* As many as there may be, anywhere, of a picture with longer rows than bands
 * have pixels. */
static void so_it_is_with_any_masks(void **state)
{
    uint32_t seed = 1;

    (void)state;
    for (unsigned i = 0; i < 40; i++) {
        struct rect rects[MASKS_MAX];

        for (unsigned k = 0; k < MASKS_MAX; k++) {
            uint32_t *side = &rects[k].x;

            for (unsigned s = 0; s < 4; s++) {
                seed = seed * 1664525 + 1013904223;
                side[s] =
                    (seed >> 16) % (i % 2 && s % 2 == 0 ? 9000 : 12) + s / 2;
            }
        }
        if (i % 2)
            check_masks(rects, MASKS_MAX, 9001, 7);
        else
            check_masks(rects, MASKS_MAX, 17, 13);
    }
}

static void masks_that_hide_all_leave_nothing(void **state)
{
    static const struct rect all = {0, 0, GPU_SIDE_MAX, GPU_SIDE_MAX};
    struct masks *m = masks_of(&all, 1);
    struct picture *p = made(9, 9, small), *q = made(9, 9, large);
    struct picture_hash a, b;

    (void)state;
    assert_int_equal(picture_different(p, q, m, 0), 0);
    assert_int_equal(picture_hash(p, m, &a), 0);
    assert_int_equal(picture_hash(q, m, &b), 0);
    assert_string_equal(a.digits, b.digits);
    picture_unref(p);
    picture_unref(q);
    masks_unref(m);
}

static void a_picture_has_a_size_that_can_be(void **state)
{
    static const uint32_t bad[][2] = {
        {0, 1}, {1, 0}, {16385, 1}, {1, 16385}, {UINT32_MAX, UINT32_MAX}};
    struct err e;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        assert_null(picture_new(bad[i][0], bad[i][1], &e));
        assert_int_equal(e.code, -EINVAL);
    }
}

/* Their memory is not touched. */
static void there_is_room_for_two_of_the_largest(void **state)
{
    struct picture *a, *b, *c;
    struct err e;

    (void)state;
    a = picture_new(16384, 16384, &e);
    b = picture_new(16384, 16384, &e);
    assert_true(a && b);
    assert_null(picture_new(2897, 2897, &e)); /* a little over 32 MiB */
    assert_int_equal(e.code, -EBUSY);
    c = picture_new(3840, 2160, &e); /* others always may */
    assert_non_null(c);
    picture_unref(c);
    picture_unref(a);
    a = picture_new(2897, 2897, &e);
    assert_non_null(a);
    picture_unref(a);
    picture_unref(b);
}

/* ---- taken from a scanout ---- */

static void a_picture_is_what_the_scanout_shows_when_it_is_taken(void **state)
{
    struct picture *p;
    struct err e;

    (void)state;
    assert_null(picture_take(&stage->gpu, 0, true, &e));
    assert_int_equal(e.code, -ENOENT);
    assert_string_equal(e.text, "scanout 0 shows nothing");
    stage_show(stage, 7, 5);
    p = picture_take(&stage->gpu, 0, true, &e);
    assert_non_null(p);
    assert_int_equal(p->width, 7);
    assert_int_equal(p->height, 5);
    assert_memory_equal(p->argb, stage->pixels, 7 * 5 * 4);
    stage_set(stage, 0, 0, 0x123456);
    assert_int_not_equal(p->argb[0] & 0xffffff, 0x123456);
    picture_unref(p);
}

static void what_is_in_memory_that_has_gone_cannot_be_taken(void **state)
{
    struct err e;

    (void)state;
    stage_show(stage, 7, 5);
    stage_memory(false);
    assert_null(picture_take(&stage->gpu, 0, true, &e));
    stage_memory(true);
    assert_int_equal(e.code, -EAGAIN);
    assert_string_equal(e.text, "the picture of scanout 0 is in the guest's "
                                "memory, which is not there while the guest is "
                                "stopped");
}

static uint32_t with_cursor(uint32_t x, uint32_t y)
{
    struct picture *p;
    uint32_t pixel;
    struct err e;

    p = picture_take(&stage->gpu, 0, true, &e);
    assert_non_null(p);
    pixel = p->argb[y * p->width + x] & 0xffffff;
    picture_unref(p);
    return pixel;
}

/* Its image begins at its position, wherever the hot spot is. */
static void the_cursor_lies_over_it_where_its_image_begins(void **state)
{
    struct cursor *c = &stage->gpu.scanouts[0].cursor;
    struct picture *p;
    struct err e;

    (void)state;
    stage_show(stage, 100, 100);
    *c = (struct cursor){
        .visible = true, .x = 30, .y = 40, .hot_x = 9, .hot_y = 8};
    c->image[0] = 0xff112233u;
    c->image[64 + 1] = 0xff445566u;
    assert_int_equal(with_cursor(30, 40), stage->pixels[4030] & 0xffffff);
    c->drawn = true;
    assert_int_equal(with_cursor(30, 40), 0x112233);
    assert_int_equal(with_cursor(31, 41), 0x445566);
    assert_int_equal(with_cursor(31, 40), stage->pixels[4031] & 0xffffff);
    p = picture_take(&stage->gpu, 0, false, &e);
    assert_memory_equal(p->argb, stage->pixels, 100 * 100 * 4);
    picture_unref(p);
    c->x = (uint32_t)-1;
    c->y = (uint32_t)-1;
    assert_int_equal(with_cursor(0, 0), 0x445566);
    c->visible = false;
    assert_int_equal(with_cursor(0, 0), stage->pixels[0] & 0xffffff);
}

/* ---- PPM files ---- */

static void write_file(const char *path, const void *bytes, size_t len)
{
    FILE *f = fopen(path, "w");

    assert_non_null(f);
    assert_int_equal(fwrite(bytes, 1, len, f), len);
    assert_int_equal(fclose(f), 0);
}

static void expect_unreadable(const char *text, size_t len, const char *why)
{
    struct err e;

    write_file("bad", text, len);
    assert_null(picture_load("bad", &e));
    assert_string_equal(e.text, why);
}

static void a_ppm_file_comes_back_as_it_was(void **state)
{
    struct picture *p = made(640, 480, large), *q;
    uint64_t bytes = 0;
    struct err e;

    (void)state;
    assert_int_equal(picture_save(p, "a.ppm", PICTURE_PPM, &bytes, &e), 0);
    assert_int_equal(bytes, 640 * 480 * 3 + 15);
    q = picture_load("a.ppm", &e);
    assert_non_null(q);
    assert_int_equal(q->width, 640);
    assert_int_equal(q->height, 480);
    assert_int_equal(picture_different(p, q, NULL, 0), 0);
    picture_unref(p);
    picture_unref(q);
}

static void a_ppm_file_may_have_comments(void **state)
{
    static const char text[] = "P6 # of a camera\n#\n2\t#two\n 1\r\n255\n"
                               "\1\2\3\4\5\6 and more";
    struct picture *p;
    struct err e;

    (void)state;
    write_file("a", text, sizeof(text) - 1);
    p = picture_load("a", &e);
    assert_non_null(p);
    assert_int_equal(p->width, 2);
    assert_int_equal(p->height, 1);
    assert_int_equal(p->argb[0] & 0xffffff, 0x010203);
    assert_int_equal(p->argb[1] & 0xffffff, 0x040506);
    picture_unref(p);
}

static void what_is_no_picture_is_refused_with_a_sentence(void **state)
{
#define HEAD "bad: its first lines are not those of a PPM"
    static const struct {
        const char *text, *why;
    } rows[] = {
        {"", "bad: it is neither a PNG nor a PPM of the kind P6"},
        {"P", "bad: it is neither a PNG nor a PPM of the kind P6"},
        {"P3 1 1 255 1 1 1",
         "bad: it is neither a PNG nor a PPM of the kind P6"},
        {"P6", HEAD},
        {"P6 1", HEAD},
        {"P6 #", HEAD},
        {"P6 1 1 255", HEAD},
        {"P6 -1 1 255\n", HEAD},
        {"P6 1 99999999999999999999999 255\n", HEAD},
        {"P6 1x1 255\n", HEAD},
        {"P6 1 1 65535\n", "bad: its maximum is 65535: only 255 is known here"},
        {"P6 0 1 255\n", "bad: 0x1 is no size: the sides are 1 to 16384"},
        {"P6 1 16385 255\n", "bad: 1x16385 is no size: the sides are 1 to "
                             "16384"},
        {"P6 2 1 255\n12345", "bad: it ends before its last pixel"},
        {"P6 16384 16384 255\n12345", "bad: it ends before its last pixel"},
    };

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(rows); i++)
        expect_unreadable(rows[i].text, strlen(rows[i].text), rows[i].why);
}

static void only_a_file_is_read(void **state)
{
    struct err e;
    int fd;

    (void)state;
    assert_null(picture_load("none", &e));
    assert_int_equal(e.code, -ENOENT);
    assert_string_equal(e.text, "cannot open none: No such file or directory");
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_null(picture_load("fifo", &e)); /* nobody writes into it */
    assert_string_equal(e.text, "fifo is no regular file");
    assert_null(picture_load(".", &e));
    assert_string_equal(e.text, ". is no regular file");
    fd = open("vast", O_CREAT | O_WRONLY, 0600);
    assert_int_equal(ftruncate(fd, (INT64_C(1) << 30) + 1), 0);
    close(fd);
    assert_null(picture_load("vast", &e));
    assert_string_equal(e.text, "vast is too large for a picture");
}

/* ---- where files are written ---- */

static void a_file_is_replaced_when_the_new_one_is_whole(void **state)
{
    struct picture *p = made(5, 3, small);
    uint64_t bytes;
    struct stat st;
    struct err e;

    (void)state;
    write_file("a.ppm", "old", 3);
    write_file("a.ppm.part", "of one who was killed", 21);
    assert_int_equal(picture_save(p, "a.ppm", PICTURE_PPM, &bytes, &e), 0);
    assert_int_equal(stat("a.ppm", &st), 0);
    assert_int_equal(st.st_size, 5 * 3 * 3 + 11);
    assert_int_equal(bytes, st.st_size);
    assert_int_equal(access("a.ppm.part", F_OK), -1);
    picture_unref(p);
}

static void what_is_no_file_is_not_replaced(void **state)
{
    static const char *const paths[] = {"fifo", "link", "dir"};
    struct picture *p = made(5, 3, small);
    char text[64];
    uint64_t bytes;
    struct err e;

    (void)state;
    assert_int_equal(mkfifo("fifo", 0600), 0);
    assert_int_equal(symlink("/dev/null", "link"), 0);
    assert_int_equal(mkdir("dir", 0700), 0);
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        assert_int_equal(picture_save(p, paths[i], PICTURE_PPM, &bytes, &e),
                         -EEXIST);
        snprintf(text, sizeof(text), "%s is there, and is no regular file",
                 paths[i]);
        assert_string_equal(e.text, text);
    }
    /* Nor is what is beside it written through, or waited for. */
    assert_int_equal(symlink("/dev/null", "a.part"), 0);
    assert_int_equal(picture_save(p, "a", PICTURE_PPM, &bytes, &e), -ELOOP);
    assert_int_equal(mkfifo("b.part", 0600), 0);
    assert_int_equal(picture_save(p, "b", PICTURE_PPM, &bytes, &e), -ENXIO);
    write_file("c", "", 0);
    assert_int_equal(link("c", "d.part"), 0);
    assert_int_equal(picture_save(p, "d", PICTURE_PPM, &bytes, &e), -EEXIST);
    assert_string_equal(e.text, "d.part is there, and is not vub's");
    picture_unref(p);
}

static void two_who_write_to_one_path_do_not_mix(void **state)
{
    struct flock all = {.l_type = F_WRLCK, .l_whence = SEEK_SET};
    struct picture *p = made(5, 3, small);
    int fd = open("a.part", O_CREAT | O_WRONLY, 0600);
    uint64_t bytes;
    struct err e;

    (void)state;
    assert_int_equal(fcntl(fd, F_OFD_SETLK, &all), 0);
    assert_int_equal(picture_save(p, "a", PICTURE_PPM, &bytes, &e), -EBUSY);
    assert_string_equal(e.text,
                        "another picture is being written to the same path");
    assert_int_equal(access("a.part", F_OK), 0);
    close(fd);
    assert_int_equal(picture_save(p, "a", PICTURE_PPM, &bytes, &e), 0);
    picture_unref(p);
}

static void a_file_that_cannot_be_written_leaves_nothing(void **state)
{
    const struct rlimit little = {100, RLIM_INFINITY};
    const struct rlimit much = {RLIM_INFINITY, RLIM_INFINITY};
    struct picture *p = made(640, 480, large);
    uint64_t bytes;
    struct err e;

    (void)state;
    assert_int_equal(picture_save(p, "no/a", PICTURE_PNG, &bytes, &e), -ENOENT);
    assert_string_equal(e.text,
                        "cannot write no/a.part: No such file or directory");
    signal(SIGXFSZ, SIG_IGN);
    for (unsigned format = PICTURE_PNG; format <= PICTURE_PPM; format++) {
        int rc;

        write_file("a", "old", 3);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &little), 0);
        rc = picture_save(p, "a", format, &bytes, &e);
        assert_int_equal(setrlimit(RLIMIT_FSIZE, &much), 0);
        assert_int_equal(rc, -EFBIG);
        assert_string_equal(e.text, "cannot write the picture: File too large");
        assert_int_equal(access("a.part", F_OK), -1);
        assert_int_equal(access("a", F_OK), 0);
    }
    picture_unref(p);
}

#define TEST(f)                                                                \
    cmocka_unit_test_setup_teardown(f, stage_set_up, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_hash_is_what_xxh128sum_says_of_the_ppm_file),
        TEST(pixels_differ_by_more_than_the_tolerance_or_not),
        TEST(what_masks_hide_is_not_looked_at),
        TEST(so_it_is_with_any_masks),
        TEST(masks_that_hide_all_leave_nothing),
        TEST(a_picture_has_a_size_that_can_be),
        TEST(there_is_room_for_two_of_the_largest),
        TEST(a_picture_is_what_the_scanout_shows_when_it_is_taken),
        TEST(what_is_in_memory_that_has_gone_cannot_be_taken),
        TEST(the_cursor_lies_over_it_where_its_image_begins),
        TEST(a_ppm_file_comes_back_as_it_was),
        TEST(a_ppm_file_may_have_comments),
        TEST(what_is_no_picture_is_refused_with_a_sentence),
        TEST(only_a_file_is_read),
        TEST(a_file_is_replaced_when_the_new_one_is_whole),
        TEST(what_is_no_file_is_not_replaced),
        TEST(two_who_write_to_one_path_do_not_mix),
        TEST(a_file_that_cannot_be_written_leaves_nothing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
