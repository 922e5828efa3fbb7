/* What a GPU makes of what it finds, whoever has written it: either all of it
 * is possible, or it begins anew. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "device/gpu/ledger_book.h"
#include "legacy.h"

static struct book *book;
static struct kept kept;

/* The book as it was left, to be spoilt. */
static void take_book(void)
{
    struct err e;

    assert_int_equal(keep_get(&kept, "gpu", BOOK_NAME, sizeof(struct book), &e),
                     0);
    assert_true(kept.found);
    book = (void *)kept.at;
}

static void put_book(void)
{
    legacy_take_all();
    keep_drop(&kept);
    keep_untake("gpu");
}

static struct book_resource *of_id(uint32_t id)
{
    for (unsigned i = 0; i < RESOURCES_MAX; i++)
        if (book->resources[i].kind != BOOK_NOTHING &&
            book->resources[i].id == id)
            return &book->resources[i];
    fail();
    return NULL;
}

static void notes_without_end(void)
{
    book->num_notes = UINT64_MAX;
}

static void a_note_of_a_note(void)
{
    book->notes[0].at = offsetof(struct book, notes);
    book->num_notes = 1;
}

static void a_note_behind_the_end(void)
{
    book->notes[0].at = sizeof(*book);
    book->num_notes = 1;
}

static void a_note_of_no_word(void)
{
    book->notes[0].at = offsetof(struct book, resources) + 4;
    book->num_notes = 1;
}

static void an_id_twice(void)
{
    of_id(7)->id = 9;
}

static void no_id(void)
{
    of_id(7)->id = 0;
}

static void another_kind(void)
{
    of_id(7)->kind = BOOK_BLOB + 1;
}

static void an_unknown_format(void)
{
    of_id(7)->format = 5;
}

static void a_large_side(void)
{
    of_id(7)->width = GPU_SIDE_MAX + 1;
}

static void no_side(void)
{
    of_id(7)->height = 0;
}

static void other_bytes(void)
{
    of_id(7)->bytes++;
}

static void no_pixels(void)
{
    of_id(7)->pixels = 0;
}

static void pixels_outside(void)
{
    of_id(7)->pixels = ARENA_BYTES + 1;
}

static void pixels_at_no_page(void)
{
    of_id(7)->pixels++;
}

static void pixels_on_others(void)
{
    of_id(7)->pixels = of_id(0x80000001)->pixels;
}

static void more_pixels_than_there_may_be(void)
{
    struct book_resource *r = of_id(7);

    r->width = r->height = GPU_SIDE_MAX;
    r->bytes = (uint64_t)r->width * r->height * 4;
    r->pixels = ARENA_BYTES / 2 + 1;
}

static void an_empty_blob(void)
{
    of_id(9)->bytes = 0;
}

static void a_blob_larger_than_its_backing(void)
{
    of_id(9)->bytes++;
}

static void a_backing_without_entries(void)
{
    of_id(7)->backing &= ~(uint64_t)UINT32_MAX;
    of_id(7)->backing |= UINT64_C(1) << 32;
}

static void a_backing_with_too_many_entries(void)
{
    of_id(7)->backing += BACKING_ENTRIES_MAX;
}

static void a_backing_that_is_nowhere(void)
{
    of_id(7)->backing |= UINT64_C(0xffffffff) << 32;
}

static void a_backing_that_is_another_s(void)
{
    of_id(7)->backing = of_id(9)->backing;
    of_id(9)->bytes = 1;
}

static void a_backing_in_a_circle(void)
{
    uint64_t block = of_id(7)->backing >> 32;

    book->next[block] = (uint32_t)block;
}

static void a_backing_that_ends_nowhere(void)
{
    book->next[of_id(7)->backing >> 32] = BOOK_BLOCKS;
}

static void an_empty_entry(void)
{
    book->blocks[of_id(7)->backing >> 32][5].len = 0;
}

static void a_scanout_of_no_copy(void)
{
    book->scanouts[0].which = 3;
}

static struct book_frame *shown(unsigned i)
{
    return &book->scanouts[i].copies[book->scanouts[i].which - 1];
}

static void a_scanout_of_no_slot(void)
{
    shown(0)->slot = RESOURCES_MAX;
}

static void a_scanout_of_nothing(void)
{
    shown(0)->slot = RESOURCES_MAX - 1;
}

static void a_scanout_that_sticks_out(void)
{
    shown(0)->rect.x++;
}

static void a_scanout_of_another_stride(void)
{
    shown(0)->stride += 4;
}

static void a_scanout_of_another_format(void)
{
    shown(0)->format = VIRTIO_GPU_FORMAT_R8G8B8A8_UNORM;
}

static void a_scanout_that_begins_elsewhere(void)
{
    shown(0)->offset = UINT64_MAX;
}

static void a_blob_s_scanout_behind_its_end(void)
{
    shown(1)->offset = 65536;
}

static void a_blob_s_scanout_far_behind_its_end(void)
{
    shown(1)->offset = UINT64_MAX - 3;
}

static void a_blob_s_scanout_with_a_small_stride(void)
{
    shown(1)->stride = 76;
}

static void a_blob_s_scanout_with_an_odd_stride(void)
{
    shown(1)->stride = 257;
}

static void a_blob_s_scanout_without_sides(void)
{
    shown(1)->rect.height = 0;
}

static void a_blob_s_scanout_of_an_unknown_format(void)
{
    shown(1)->format = 0;
}

static void a_hot_spot_outside(void)
{
    book->cursors[0].how |= UINT64_C(64) << BOOK_CURSOR_HOT_X;
}

static void a_hot_spot_far_outside(void)
{
    book->cursors[0].how |= UINT64_MAX << BOOK_CURSOR_HOT_Y;
}

static void a_cursor_without_an_image(void)
{
    book->cursors[1].how = BOOK_CURSOR_VISIBLE;
}

static void answers_without_end(void)
{
    book->answers[1].last = book->answers[1].first - 1;
}

static const struct spoilt {
    const char *name;
    void (*spoil)(void);
} spoilt[] = {
#define S(f)                                                                   \
    {                                                                          \
#f, f                                                                  \
    }
    S(notes_without_end),
    S(a_note_of_a_note),
    S(a_note_behind_the_end),
    S(a_note_of_no_word),
    S(an_id_twice),
    S(no_id),
    S(another_kind),
    S(an_unknown_format),
    S(a_large_side),
    S(no_side),
    S(other_bytes),
    S(no_pixels),
    S(pixels_outside),
    S(pixels_at_no_page),
    S(pixels_on_others),
    S(more_pixels_than_there_may_be),
    S(an_empty_blob),
    S(a_blob_larger_than_its_backing),
    S(a_backing_without_entries),
    S(a_backing_with_too_many_entries),
    S(a_backing_that_is_nowhere),
    S(a_backing_that_is_another_s),
    S(a_backing_in_a_circle),
    S(a_backing_that_ends_nowhere),
    S(an_empty_entry),
    S(a_scanout_of_no_copy),
    S(a_scanout_of_no_slot),
    S(a_scanout_of_nothing),
    S(a_scanout_that_sticks_out),
    S(a_scanout_of_another_stride),
    S(a_scanout_of_another_format),
    S(a_scanout_that_begins_elsewhere),
    S(a_blob_s_scanout_behind_its_end),
    S(a_blob_s_scanout_far_behind_its_end),
    S(a_blob_s_scanout_with_a_small_stride),
    S(a_blob_s_scanout_with_an_odd_stride),
    S(a_blob_s_scanout_without_sides),
    S(a_blob_s_scanout_of_an_unknown_format),
    S(a_hot_spot_outside),
    S(a_hot_spot_far_outside),
    S(a_cursor_without_an_image),
    S(answers_without_end),
#undef S
};

/* Nothing of it is left, and the device is as good as new: for its guest, which
 * begins anew, and for whoever comes next. */
static void what_makes_no_sense_is_forgotten(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(spoilt); i++) {
        struct world *other = world_new(false);
        struct whole *d;

        legacy_leave(other, legacy_picture(), "");
        take_book();
        spoilt[i].spoil();
        put_book();
        d = whole_open("");
        if (d->gpu->resources.count > 0)
            fail_msg("%s: was believed", spoilt[i].name);
        legacy_expect_nothing(d->gpu);
        whole_close(d);
        keep_forget("gpu");
        world_free(other);

        other = world_new(false);
        legacy_leave(other, legacy_picture(), "");
        take_book();
        spoilt[i].spoil();
        put_book();
        world_free(other);
        other = world_new(false);
        legacy_leave(other, legacy_picture(), "");
        d = whole_open("");
        legacy_expect(other, d->gpu);
        whole_close(d);
        world_free(other);
    }
}

static void pixels_that_are_gone_are_missed(void **state)
{
    struct keep_item item, *items;
    struct whole *d;
    int num;

    (void)state;
    legacy_leave(legacy_world, legacy_picture(), "");
    num = keep_take("gpu", &items);
    assert_int_equal(num, 2);
    for (int i = 0; i < num; i++) {
        if (strcmp(items[i].name, BOOK_NAME) == 0)
            item = items[i];
        else
            close(items[i].fd);
    }
    free(items);
    keep_untake("gpu");
    keep_forget("gpu");
    assert_int_equal(keep_put(&item), 0);
    d = whole_open("");
    legacy_expect_nothing(d->gpu);
    whole_close(d);
}

static void a_smaller_max_memory_is_heeded(void **state)
{
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, legacy_picture(), "");
    d = whole_open(",'max_memory':'1M'");
    legacy_expect_nothing(d->gpu);
    whole_close(d);
}

/* Nothing was written yet, or it is the memory of an empty device. */
static void nothing_is_found_in_zeros(void **state)
{
    struct kept k;
    struct whole *d;
    struct err e;

    (void)state;
    assert_int_equal(keep_get(&k, "gpu", BOOK_NAME, sizeof(struct book), &e),
                     0);
    kept = k;
    put_book();
    d = whole_open("");
    legacy_expect_nothing(d->gpu);
    assert_true(d->gpu->displays[0].enabled);
    whole_start(d, legacy_world, false);
    whole_run(d, legacy_picture(), 8);
    assert_int_equal(d->gpu->stats.errors, 0);
    whole_close(d);
}

static uint32_t random_word(void)
{
    static uint64_t x = 1;

    x = x * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (uint32_t)(x >> 32);
}

/* Whatever is written there, the device opens, runs, and can be looked at. */
static void garbage_does_no_harm(void **state)
{
    (void)state;
    for (unsigned round = 0; round < 100; round++) {
        struct world *w = world_new(round % 2);
        struct whole *d;

        legacy_leave(w, legacy_picture(), "");
        take_book();
        for (unsigned n = 1 + random_word() % 8; n > 0; n--) {
            uint64_t at = random_word() % (sizeof(*book) - sizeof(uint64_t));

            if (n % 2) /* where there is something */
                at %= 8 * sizeof(struct book_note);
            if (n % 3 == 0)
                at = offsetof(struct book, resources) + at % 400;
            book->num_notes = random_word() % 4;
            kept.at[at] = (uint8_t)random_word();
        }
        put_book();
        d = whole_open("");
        whole_start(d, w, round % 3 == 0);
        world_write_state(w, d->gpu);
        whole_run(d, legacy_picture(), 8);
        whole_close(d);
        keep_forget("gpu");
        world_free(w);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEGACY_TEST(what_makes_no_sense_is_forgotten),
        LEGACY_TEST(pixels_that_are_gone_are_missed),
        LEGACY_TEST(a_smaller_max_memory_is_heeded),
        LEGACY_TEST(nothing_is_found_in_zeros),
        LEGACY_TEST(garbage_does_no_harm),
    };

    log_set(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
