/* Resources: their ids, their pixels, and how much there may be of them. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/gpu/resource.h"
#include "pages.h"

#define FORMAT VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM
#define MANY UINT64_C(0x100000000)

static struct resources rs;

static struct resource *new_2d(uint32_t id, uint32_t width, uint32_t height)
{
    return resource_new_2d(&rs, id, FORMAT, width, height);
}

static int teardown(void **state)
{
    (void)state;
    resources_clear(&rs);
    assert_int_equal(rs.count, 0);
    assert_int_equal(rs.bytes, 0);
    assert_int_equal(rs.entries, 0);
    assert_int_equal(rs.files, 0);
    return 0;
}

static int setup(void **state)
{
    (void)state;
    resources_init(&rs, MANY, false);
    return 0;
}

static int setup_in_files(void **state)
{
    (void)state;
    resources_init(&rs, MANY, true);
    return 0;
}

static void a_resource_is_found_by_its_id(void **state)
{
    static const uint32_t more[] = {UINT32_MAX, 0x80000000, 0x12345678};
    struct resource *r[300];

    (void)state;
    assert_null(resource_find(&rs, 1));
    for (uint32_t i = 0; i < ARRAY_LEN(r); i++)
        r[i] = new_2d(i + 1, 1, 1);
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        assert_int_equal(new_2d(more[i], 1, 1)->id, more[i]);
    for (uint32_t i = 0; i < ARRAY_LEN(r); i++)
        assert_ptr_equal(resource_find(&rs, i + 1), r[i]);
    for (unsigned i = 0; i < ARRAY_LEN(more); i++)
        assert_non_null(resource_find(&rs, more[i]));
    assert_null(resource_find(&rs, 301));
    assert_null(resource_find(&rs, 0));
    resource_forget(r[41]);
    assert_null(resource_find(&rs, 42));
    assert_int_equal(rs.count, ARRAY_LEN(r) + ARRAY_LEN(more) - 1);
}

static void pixels_are_zeros_without_gaps(void **state)
{
    struct resource *r = new_2d(1, 1367, 31);

    (void)state;
    assert_int_equal(r->format, FORMAT);
    assert_int_equal(r->stride, 1367 * 4);
    assert_int_equal(r->bytes, 1367 * 4 * 31);
    assert_in_range(rs.bytes, r->bytes, r->bytes + PAGE - 1); /* pages */
    assert_int_equal(rs.bytes % PAGE, 0);
    assert_int_equal((uintptr_t)r->pixels % PAGE, 0);
    for (uint64_t i = 0; i < r->bytes; i++)
        assert_int_equal(r->pixels[i], 0);
    memset(r->pixels, 0xff, r->bytes);
    assert_int_equal(r->fd, -1);
}

static void the_largest_sides_fit(void **state)
{
    struct resource *r = new_2d(1, GPU_SIDE_MAX, GPU_SIDE_MAX);

    (void)state;
    assert_non_null(r);
    assert_int_equal(r->bytes, UINT64_C(1) << 30);
    r->pixels[r->bytes - 1] = 1; /* takes a page or so */
}

static void pixels_have_a_limit_that_lasts_as_long_as_they(void **state)
{
    struct resource *r;

    (void)state;
    resources_init(&rs, 3 * 256 * 1024, false);
    assert_null(new_2d(1, 1024, 193));
    assert_null(resource_find(&rs, 1));
    assert_int_equal(rs.count, 0);
    assert_non_null(new_2d(1, 256, 256));
    r = new_2d(2, 256, 256);
    assert_non_null(new_2d(3, 256, 256));
    assert_null(new_2d(4, 1, 1));
    /* Who shows it has it, and it takes what it took. */
    resource_ref(r);
    resource_forget(r);
    assert_null(resource_find(&rs, 2));
    assert_null(new_2d(2, 1, 1));
    r->pixels[0] = 1;
    resource_unref(r);
    assert_non_null(new_2d(2, 256, 256));
    /* A blob has no pixels. */
    assert_non_null(resource_new_blob(&rs, 4, UINT64_MAX));
}

/* Whatever of a block is written first, all of it may come of that, and that
 * once. */
static void memory_is_made_for_pixels_once(void **state)
{
    const uint64_t block = RESOURCE_BLOCK_BYTES;
    struct resource *r = new_2d(1, 1024, 1300), *most;

    (void)state;
    assert_int_equal(resource_make(r, block - 4, 4), block);
    assert_int_equal(resource_make(r, 0, block), 0);
    assert_int_equal(resource_make(r, 0, r->bytes), r->bytes - block);
    assert_int_equal(resource_make(r, 0, r->bytes), 0);
    most = new_2d(2, GPU_SIDE_MAX, GPU_SIDE_MAX);
    assert_int_equal(resource_make(most, most->bytes - 4, 4), block);
    assert_int_equal(resource_make(most, 0, most->bytes), most->bytes - block);
}

static void an_id_that_is_free_again_is_another_resource(void **state)
{
    struct resource *before = resource_ref(new_2d(7, 8, 8)), *after;

    (void)state;
    resource_forget(before);
    after = new_2d(7, 4, 4);
    assert_ptr_not_equal(before, after);
    assert_ptr_equal(resource_find(&rs, 7), after);
    assert_int_equal(before->width, 8);
    resource_unref(before);
    resource_unref(NULL);
    assert_ptr_equal(resource_find(&rs, 7), after);
}

static void there_are_so_many_resources_and_no_more(void **state)
{
    (void)state;
    for (uint32_t i = 1; i <= RESOURCES_MAX; i++)
        assert_non_null(resource_new_blob(&rs, i, PAGE));
    assert_null(resource_new_blob(&rs, RESOURCES_MAX + 1, PAGE));
    assert_null(new_2d(RESOURCES_MAX + 1, 1, 1));
    resource_forget(resource_find(&rs, 5));
    assert_non_null(new_2d(RESOURCES_MAX + 1, 1, 1));
}

static void there_are_so_many_entries_and_no_more(void **state)
{
    struct pages *p = pages_new(1);
    struct backing_entry *e;
    struct resource *r;

    (void)state;
    for (uint32_t i = 1; i <= 6; i++)
        resource_new_blob(&rs, i, PAGE);
    for (uint32_t i = 1; i <= 4; i++) {
        e = calloc(BACKING_ENTRIES_MAX, sizeof(*e));
        assert_non_null(e);
        for (uint32_t k = 0; k < BACKING_ENTRIES_MAX; k++)
            e[k] = (struct backing_entry){PAGES_GPA + k % PAGE, 1};
        assert_int_equal(resource_attach(resource_find(&rs, i), e,
                                         BACKING_ENTRIES_MAX, p->mem),
                         0);
    }
    assert_int_equal(rs.entries, RESOURCES_ENTRIES_MAX);
    r = resource_find(&rs, 5);
    assert_int_equal(resource_attach(r, pages_in_order(1), 1, p->mem), -E2BIG);
    assert_false(r->backing.attached);
    assert_int_equal(resource_attach(r, NULL, 0, p->mem), 0);

    resource_detach(resource_find(&rs, 2));
    r = resource_find(&rs, 6);
    assert_int_equal(
        resource_attach(r, pages_in_order(1), BACKING_ENTRIES_MAX + 1, p->mem),
        -E2BIG);
    /* One that is refused takes nothing. */
    e = pages_in_order(1);
    e->gpa = 0;
    assert_int_equal(resource_attach(r, e, 1, p->mem), -EFAULT);
    assert_int_equal(rs.entries, 3 * BACKING_ENTRIES_MAX);
    assert_int_equal(resource_attach(r, pages_in_order(1), 1, p->mem), 0);
    assert_int_equal(rs.entries, 3 * BACKING_ENTRIES_MAX + 1);
    resource_detach(r);
    resource_detach(r);
    assert_int_equal(rs.entries, 3 * BACKING_ENTRIES_MAX);
    resources_clear(&rs);
    pages_free(p);
}

static void backings_follow_the_map(void **state)
{
    struct pages *p = pages_new(4);
    struct mem *few = pages_map(p, 2);
    struct resource *r[4];

    (void)state;
    for (uint32_t i = 0; i < 4; i++) {
        r[i] = resource_new_blob(&rs, i + 1, 4 * PAGE);
        if (i < 3)
            assert_int_equal(
                resource_attach(r[i], pages_in_order(4 - i), 4 - i, p->mem), 0);
    }
    resources_resolve(&rs, NULL);
    for (unsigned i = 0; i < 4; i++)
        assert_null(r[i]->backing.mem);
    resources_resolve(&rs, few);
    assert_null(r[0]->backing.mem);
    assert_null(r[1]->backing.mem);
    assert_ptr_equal(r[2]->backing.mem, few);
    resources_resolve(&rs, p->mem);
    for (unsigned i = 0; i < 3; i++)
        assert_ptr_equal(r[i]->backing.mem, p->mem);
    assert_null(r[3]->backing.mem);

    /* One without an id has none: nobody could take it away. */
    resource_ref(r[0]);
    resource_forget(r[0]);
    assert_null(r[0]->backing.mem);
    assert_false(r[0]->backing.attached);
    assert_int_equal(rs.entries, 3 + 2);
    resources_resolve(&rs, NULL);
    assert_null(r[1]->backing.mem);
    resource_unref(r[0]);
    mem_unref(few);
    resources_clear(&rs);
    pages_free(p);
}

static void pixels_may_lie_in_a_file_that_does_not_shrink(void **state)
{
    struct resource *r = new_2d(1, 1367, 31);
    struct stat st;
    uint8_t byte;

    (void)state;
    assert_true(r->fd >= 0);
    assert_int_equal(rs.files, 1);
    assert_true(fcntl(r->fd, F_GET_SEALS) & F_SEAL_SHRINK);
    assert_int_equal(fstat(r->fd, &st), 0);
    assert_int_equal(st.st_size % PAGE, 0);
    assert_in_range(st.st_size, r->bytes, r->bytes + PAGE - 1);
    assert_int_equal((uintptr_t)r->pixels % PAGE, 0);
    r->pixels[r->bytes - 1] = 0x5a;
    assert_int_equal(pread(r->fd, &byte, 1, (off_t)r->bytes - 1), 1);
    assert_int_equal(byte, 0x5a);
}

static void files_are_for_a_few_pictures_and_not_for_cursors(void **state)
{
    (void)state;
    assert_int_equal(new_2d(1, 64, 64)->fd, -1);
    for (uint32_t i = 0; i < RESOURCES_FILES_MAX; i++)
        assert_true(new_2d(10 + i, 640, 480)->fd >= 0);
    assert_int_equal(new_2d(2, 640, 480)->fd, -1);
    assert_non_null(resource_find(&rs, 2)->pixels);
    resource_forget(resource_find(&rs, 10));
    assert_true(new_2d(3, 640, 480)->fd >= 0);
}

int main(void)
{
#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)
#define TEST_FILES(t)                                                          \
    cmocka_unit_test_setup_teardown(t, setup_in_files, teardown)
    const struct CMUnitTest tests[] = {
        TEST(a_resource_is_found_by_its_id),
        TEST(pixels_are_zeros_without_gaps),
        TEST(the_largest_sides_fit),
        TEST(pixels_have_a_limit_that_lasts_as_long_as_they),
        TEST(memory_is_made_for_pixels_once),
        TEST(an_id_that_is_free_again_is_another_resource),
        TEST(there_are_so_many_resources_and_no_more),
        TEST(there_are_so_many_entries_and_no_more),
        TEST(backings_follow_the_map),
        TEST_FILES(pixels_may_lie_in_a_file_that_does_not_shrink),
        TEST_FILES(files_are_for_a_few_pictures_and_not_for_cursors),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
