/* The guest's pages behind a resource: what is found and read there. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "os/memory.h"
#include "pages.h"

static struct backing_entry *entry(uint64_t gpa, uint32_t len)
{
    struct backing_entry *e = malloc(sizeof(*e));

    assert_non_null(e);
    *e = (struct backing_entry){gpa, len};
    return e;
}

/* All ways to read b must give `flat`. */
static void check(const struct backing *b, const uint8_t *flat)
{
    struct backing_at at = {0};
    uint8_t *got = malloc(b->len + 1);

    assert_non_null(got);
    memset(got, 0xa5, b->len + 1);
    backing_read(b, &at, 0, got, b->len);
    assert_memory_equal(got, flat, b->len);
    assert_int_equal(got[b->len], 0xa5);
    for (unsigned i = 0; i < 2000 && b->len > 0; i++) {
        uint64_t offset = pages_random((uint32_t)b->len), here;
        uint64_t len = pages_random((uint32_t)(b->len - offset) + 1);
        const uint8_t *found;

        if (i % 7 == 0) /* of another list, say */
            at.piece = i % 2 ? UINT32_MAX : b->num_pieces;
        found = backing_find(b, &at, offset, &here);
        assert_in_range(here, 1, b->len - offset);
        assert_memory_equal(found, flat + offset, MIN(here, 64));
        len %= 5 * PAGE;
        backing_read(b, &at, offset, got, len);
        assert_memory_equal(got, flat + offset, len);
    }
    free(got);
}

static void pages_that_follow_each_other_are_one_piece(void **state)
{
    struct pages *p = pages_new(64);
    struct backing b = {0};

    (void)state;
    assert_int_equal(backing_attach(&b, pages_in_order(64), 64, p->mem), 0);
    assert_true(b.attached);
    assert_int_equal(b.len, p->len);
    assert_int_equal(b.num_pieces, 1);
    assert_int_equal(b.pieces[1].at, b.len);
    check(&b, p->at);
    backing_detach(&b);
    assert_false(b.attached);
    backing_detach(&b); /* safe twice */
    pages_free(p);
}

static void pages_in_any_order_are_read_in_it(void **state)
{
    static const uint32_t counts[] = {1, 2, 3, 5, 64, 1000};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(counts); i++) {
        struct pages *p = pages_new(counts[i]);
        struct backing_entry *e = pages_shuffled(counts[i]);
        struct backing b = {0};
        uint64_t len;
        uint8_t *flat = pages_flat(p, e, counts[i], &len);

        assert_int_equal(backing_attach(&b, e, counts[i], p->mem), 0);
        assert_int_equal(b.len, len);
        check(&b, flat);
        backing_detach(&b);
        free(flat);
        pages_free(p);
    }
}

static void pieces_may_have_any_length_and_overlap(void **state)
{
    struct pages *p = pages_new(64);
    struct backing_entry *e = pages_odd(p, 500);
    struct backing b = {0};
    uint64_t len;
    uint8_t *flat = pages_flat(p, e, 500, &len);

    (void)state;
    assert_int_equal(backing_attach(&b, e, 500, p->mem), 0);
    assert_int_equal(b.len, len);
    check(&b, flat);
    backing_detach(&b);
    free(flat);
    pages_free(p);
}

/* A walk forwards finds what a search from nowhere does. */
static void a_walk_in_strides_finds_its_way(void **state)
{
    struct pages *p = pages_new(512);
    struct backing_entry *e = pages_shuffled(512);
    struct backing b = {0};
    uint64_t len, here, there;
    uint8_t *flat = pages_flat(p, e, 512, &len);

    (void)state;
    assert_int_equal(backing_attach(&b, e, 512, p->mem), 0);
    for (uint64_t stride = 1; stride < len; stride += 1 + stride / 3) {
        struct backing_at at = {0};

        for (uint64_t o = 0; o < len; o += MAX(stride, len / 300)) {
            struct backing_at nowhere = {0};

            assert_ptr_equal(backing_find(&b, &at, o, &here),
                             backing_find(&b, &nowhere, o, &there));
            assert_int_equal(here, there);
        }
    }
    backing_detach(&b);
    free(flat);
    pages_free(p);
}

/* Which is what they cost. */
static void pieces_that_were_read_are_counted(void **state)
{
    struct backing_at at = {0};
    struct backing_entry *e = malloc(100 * sizeof(*e));
    struct pages *p = pages_new(1);
    struct backing b = {0};
    uint8_t got[100];

    (void)state;
    assert_non_null(e);
    for (uint32_t i = 0; i < 100; i++) /* every other byte */
        e[i] = (struct backing_entry){PAGES_GPA + i * 2, 1};
    assert_int_equal(backing_attach(&b, e, 100, p->mem), 0);
    assert_int_equal(backing_read(&b, &at, 0, got, 100), 100);
    for (uint32_t i = 0; i < 100; i++)
        assert_int_equal(got[i], p->at[i * 2]);
    assert_int_equal(backing_read(&b, &at, 40, got, 7), 7);
    assert_int_equal(backing_read(&b, &at, 99, got, 1), 1);
    assert_int_equal(backing_read(&b, &at, 100, got, 0), 0);
    backing_detach(&b);
    pages_free(p);
}

static void an_entry_may_cross_regions(void **state)
{
    struct guest *g = guest_new(false, 16);
    struct backing b = {0};
    uint8_t flat[0x200];

    (void)state;
    for (unsigned i = 0; i < sizeof(flat); i++)
        flat[i] = (uint8_t)(i * 7);
    memcpy(guest_at(g, GUEST_SECOND - 0x100), flat, 0x100);
    memcpy(guest_at(g, GUEST_SECOND), flat + 0x100, 0x100);
    assert_int_equal(
        backing_attach(&b, entry(GUEST_SECOND - 0x100, 0x200), 1, g->mem), 0);
    assert_int_equal(b.len, 0x200);
    check(&b, flat);
    backing_detach(&b);
    guest_free(g);
}

static void
entries_that_overlap_do_not_cross_regions_by_the_hundred(void **state)
{
    const uint32_t num = 100;
    struct backing_entry *e = malloc(num * sizeof(*e));
    struct guest *g = guest_new(false, 16);
    struct backing b = {0};

    (void)state;
    assert_non_null(e);
    for (uint32_t i = 0; i < num; i++)
        e[i] = (struct backing_entry){GUEST_SECOND - 8, 16};
    assert_int_equal(backing_attach(&b, e, num, g->mem), -ENOMEM);
    assert_false(b.attached);
    guest_free(g);
}

static void what_lies_outside_of_memory_is_refused(void **state)
{
    static const struct backing_entry bad[] = {
        {GUEST_HOLE, 1},           {GUEST_HOLE - 1, 2},
        {GUEST_THIRD - 1, 2},      {0, 1},
        {GUEST_THIRD, UINT32_MAX}, {UINT64_MAX, 1},
        {UINT64_MAX - 1, 100},
    };
    struct guest *g = guest_new(false, 16);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct backing_entry *e = calloc(3, sizeof(*e));
        struct backing b = {0};

        assert_non_null(e);
        e[0] = e[2] = (struct backing_entry){GUEST_DATA, 100};
        e[1] = bad[i];
        assert_int_equal(backing_attach(&b, e, 3, g->mem), -EFAULT);
        assert_false(b.attached);
        assert_null(b.entries);
        assert_null(b.mem);
        assert_int_equal(b.len, 0);
    }
    guest_free(g);
}

static void no_entries_at_all_are_a_backing_of_nothing(void **state)
{
    struct guest *g = guest_new(false, 16);
    struct backing_at at = {0};
    struct backing b = {0};

    (void)state;
    assert_int_equal(backing_attach(&b, NULL, 0, g->mem), 0);
    assert_true(b.attached);
    assert_int_equal(b.len, 0);
    backing_read(&b, &at, 0, NULL, 0);
    assert_int_equal(backing_resolve(&b, NULL), 0);
    assert_true(b.attached);
    backing_detach(&b);
    guest_free(g);
}

/* 3 * 4 GiB of one region of 5 GiB, which has no pages. */
static void lengths_are_summed_in_full_width(void **state)
{
    const uint32_t most = UINT32_MAX - 0xfff;
    struct mem_region_conf conf = {
        .gpa = PAGES_GPA, .len = UINT64_C(5) << 30, .uva = GUEST_UVA};
    struct mem *none = mem_new(), *mem = NULL;
    struct backing_entry *e = calloc(3, sizeof(*e));
    struct backing_at at = {0};
    struct backing b = {0};
    uint64_t here;
    uint8_t *host;
    struct err err;
    int fd;

    (void)state;
    assert_non_null(none);
    assert_non_null(e);
    assert_int_equal(memory_create("large", conf.len, &fd, &err), 0);
    assert_int_equal(mem_add(none, &conf, fd, &mem, &err), 0);
    host = mem_region(mem, 0)->host;
    for (unsigned i = 0; i < 3; i++)
        e[i] = (struct backing_entry){PAGES_GPA + i * PAGE, most};
    assert_int_equal(backing_attach(&b, e, 3, mem), 0);
    assert_int_equal(b.len, UINT64_C(3) * most);
    assert_ptr_equal(backing_find(&b, &at, UINT64_C(2) * most + 5, &here),
                     host + 2 * PAGE + 5);
    assert_int_equal(here, most - 5);
    assert_ptr_equal(backing_find(&b, &at, most - 1, &here), host + most - 1);
    assert_int_equal(here, 1);
    backing_detach(&b);
    mem_unref(mem);
    mem_unref(none);
    close(fd);
}

static void as_many_entries_as_there_may_be_are_found(void **state)
{
    struct pages *p = pages_new(BACKING_ENTRIES_MAX);
    struct backing_entry *e = pages_shuffled(BACKING_ENTRIES_MAX);
    struct backing b = {0};

    (void)state;
    assert_int_equal(backing_attach(&b, e, BACKING_ENTRIES_MAX, p->mem), 0);
    assert_int_equal(b.len, p->len);
    for (unsigned i = 0; i < 1000; i++) {
        uint32_t page = pages_random(BACKING_ENTRIES_MAX), got, want;
        struct backing_at at = {pages_random(BACKING_ENTRIES_MAX)};

        backing_read(&b, &at, (uint64_t)page * PAGE + 8, &got, 4);
        memcpy(&want, p->at + (e[page].gpa - PAGES_GPA) + 8, 4);
        assert_int_equal(got, want);
    }
    backing_detach(&b);
    pages_free(p);
}

static void another_map_is_another_place(void **state)
{
    struct pages *p = pages_new(32), *q = pages_new(32);
    struct backing_entry *e = pages_shuffled(32);
    struct mem *few = pages_map(p, 31);
    struct backing_at at = {0};
    struct backing b = {0};
    uint8_t byte;

    (void)state;
    assert_int_equal(backing_attach(&b, e, 32, p->mem), 0);
    memset(q->at, 0x77, q->len);
    assert_int_equal(backing_resolve(&b, q->mem), 0);
    assert_ptr_equal(b.mem, q->mem);
    backing_read(&b, &at, 31 * PAGE, &byte, 1);
    assert_int_equal(byte, 0x77);
    /* It keeps the map, whoever else lets it go. */
    mem_unref(q->mem);
    backing_read(&b, &at, 0, &byte, 1);
    assert_int_equal(byte, 0x77);

    assert_int_equal(backing_resolve(&b, few), -EFAULT);
    assert_true(b.attached);
    assert_null(b.mem);
    assert_int_equal(b.len, p->len);
    assert_int_equal(backing_resolve(&b, NULL), 0);
    assert_null(b.mem);
    assert_int_equal(backing_resolve(&b, p->mem), 0);
    backing_read(&b, &at, 0, &byte, 1);
    assert_int_equal(byte, p->at[e[0].gpa - PAGES_GPA]);
    backing_detach(&b);
    mem_unref(few);
    q->mem = NULL;
    pages_free(q);
    pages_free(p);
}

static void there_is_nothing_to_resolve_without_a_backing(void **state)
{
    struct pages *p = pages_new(1);
    struct backing b = {0};

    (void)state;
    assert_int_equal(backing_resolve(&b, p->mem), 0);
    assert_null(b.mem);
    assert_int_equal(backing_resolve(&b, NULL), 0);
    pages_free(p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pages_that_follow_each_other_are_one_piece),
        cmocka_unit_test(pages_in_any_order_are_read_in_it),
        cmocka_unit_test(pieces_may_have_any_length_and_overlap),
        cmocka_unit_test(a_walk_in_strides_finds_its_way),
        cmocka_unit_test(pieces_that_were_read_are_counted),
        cmocka_unit_test(an_entry_may_cross_regions),
        cmocka_unit_test(
            entries_that_overlap_do_not_cross_regions_by_the_hundred),
        cmocka_unit_test(what_lies_outside_of_memory_is_refused),
        cmocka_unit_test(no_entries_at_all_are_a_backing_of_nothing),
        cmocka_unit_test(lengths_are_summed_in_full_width),
        cmocka_unit_test(as_many_entries_as_there_may_be_are_found),
        cmocka_unit_test(another_map_is_another_place),
        cmocka_unit_test(there_is_nothing_to_resolve_without_a_backing),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
