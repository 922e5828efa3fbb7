/* What a GPU leaves for another process, and what it makes of what it finds.
 *
 * Death at any moment is in kill_test.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "device/gpu/ledger_book.h"
#include "os/memory.h"
#include "virtio/display_wire.h"
#include "whole.h"

static const struct rect all = {0, 0, 64, 64}, some = {7, 9, 20, 30};

/* Two resources, a blob, two scanouts, a cursor, some errors. */
static struct script *picture(void)
{
    static struct script s;

    s.num = 0;
    script_create(&s, 7, 64, 64);
    script_attach(&s, 7, 0, 70, 256);
    script_transfer(&s, 7, &all, 0);
    script_scanout(&s, 0, 7, &all);
    script_create(&s, 0x80000001, 900, 700);
    script_create_blob(&s, 9, 65536, 0x8000, 2, 32768);
    script_scanout_blob(&s, 1, 9, &some, 256);
    script_ref(&s, VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID, 9);
    script_cursor(&s, true, 0, 7, 5, 6);
    return &s;
}

static struct script *nothing(void)
{
    static struct script s;

    return &s;
}

static unsigned take_all(void)
{
    struct keep_item *items;
    int num = keep_take("gpu", &items);

    assert_true(num >= 0);
    for (int i = 0; i < num; i++)
        close(items[i].fd);
    free(items);
    return (unsigned)num;
}

static void hand_on(struct whole *d)
{
    take_all();
    whole_close(d);
    keep_untake("gpu");
}

/* The whole of a script, by a device that is closed then as for a hand-over. */
static void leave(struct world *w, const struct script *s, const char *more)
{
    struct whole *d = whole_open(more);

    whole_start(d, w, false);
    whole_run(d, s, 8);
    whole_stop(d);
    world_write_state(w, d->gpu); /* to look may make pages, too */
    whole_save(d);
    hand_on(d);
}

/* What the guest has, as far as it can be seen while its memory is not there:
 * blobs are black then. */
static void expect_left(struct world *w, struct gpu *g)
{
    struct world *now = world_new(false);

    world_write_state(now, g);
    assert_string_equal(now->state, w->state);
    world_free(now);
}

static void expect_nothing(struct gpu *g)
{
    assert_int_equal(g->resources.count, 0);
    assert_int_equal(g->resources.bytes, 0);
    assert_int_equal(g->resources.entries, 0);
    for (unsigned i = 0; i < VIRTIO_GPU_MAX_SCANOUTS; i++) {
        assert_null(g->scanouts[i].frame.res);
        assert_false(g->scanouts[i].cursor.drawn);
    }
    assert_int_equal(g->events_read, 0);
    assert_false(g->was_running);
}

static struct world *world;

static int setup(void **state)
{
    (void)state;
    world = world_new(false);
    return 0;
}

static int teardown(void **state)
{
    (void)state;
    keep_forget("gpu");
    world_free(world);
    return 0;
}

/* ---- from one to the next ---- */

static void one_that_is_handed_on_goes_on(void **state)
{
    struct script *s = picture();
    struct whole *d;

    (void)state;
    leave(world, s, "");
    d = whole_open("");
    expect_left(world, d->gpu);
    /* And its guest with it, from where it was. */
    whole_start(d, world, false);
    assert_int_equal(d->gpu->resources.count, 3);
    assert_non_null(resource_find(&d->gpu->resources, 9)->backing.mem);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 7);
    script_transfer(s, 9, &some, 0);
    whole_run(d, s, 8);
    assert_int_equal(d->gpu->stats.errors, 0);
    assert_null(d->gpu->scanouts[0].frame.res);
    whole_close(d);
}

static void it_may_be_handed_on_again(void **state)
{
    struct script *s = picture();
    struct whole *d;

    (void)state;
    leave(world, s, "");
    script_create(s, 11, 32, 32);
    script_scanout(s, 3, 11, &(struct rect){0, 0, 32, 32});
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0x80000001);
    leave(world, s, "");
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 7);
    leave(world, s, "");
    d = whole_open("");
    expect_left(world, d->gpu);
    assert_non_null(resource_find(&d->gpu->resources, 11));
    whole_close(d);
}

static void one_that_closes_leaves_nothing(void **state)
{
    struct whole *d = whole_open("");

    (void)state;
    whole_start(d, world, false);
    whole_run(d, picture(), 8);
    whole_close(d);
    d = whole_open("");
    expect_nothing(d->gpu);
    whole_close(d);
}

/* As when a hand-over comes to nothing. */
static void one_that_was_saved_may_go_on_itself(void **state)
{
    struct script *s = picture();
    struct whole *d = whole_open("");

    (void)state;
    whole_start(d, world, false);
    whole_run(d, s, 8);
    whole_save(d);
    whole_start(d, world, false);
    script_create(s, 20, 64, 64);
    script_transfer(s, 7, &some, 256);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0x80000001);
    whole_run(d, s, 8);
    assert_int_equal(d->gpu->stats.errors, 0);
    whole_save(d);
    world_write_state(world, d->gpu);
    hand_on(d);
    d = whole_open("");
    expect_left(world, d->gpu);
    whole_close(d);
}

static void another_driver_begins_anew(void **state)
{
    struct whole *d;

    (void)state;
    leave(world, picture(), "");
    d = whole_open("");
    assert_true(d->gpu->resources.count > 0);
    world_free(world);
    world = world_new(false);
    whole_start(d, world, false);
    expect_nothing(d->gpu);
    whole_run(d, picture(), 8);
    assert_int_equal(d->gpu->stats.errors, 0);
    whole_close(d);
}

/* A config that has been read is all that tells it from the one before. */
static void another_driver_is_known_that_begins_at_the_same_place(void **state)
{
    struct virtio_gpu_config c;
    struct whole *d = whole_open("");

    (void)state;
    d->device->ops->config_read(d->device, &c);
    hand_on(d);
    d = whole_open("");
    assert_true(d->gpu->config_was_read);
    whole_close(d);
}

/* The other one has it still; later this one is handed on. */
static void two_of_one_name_do_not_meet(void **state)
{
    struct world *other = world_new(false);
    struct whole *d = whole_open(""), *d2;

    (void)state;
    whole_start(d, world, false);
    whole_run(d, picture(), 8);
    d2 = whole_open("");
    expect_nothing(d2->gpu);
    whole_close(d);
    whole_start(d2, other, false);
    whole_run(d2, picture(), 8);
    whole_save(d2);
    world_write_state(other, d2->gpu);
    hand_on(d2);
    d = whole_open("");
    expect_left(other, d->gpu);
    whole_close(d);
    world_free(other);
}

/* ---- displays ---- */

#define HEADLESS ",'display':'headless'"
#define SMALL ",'scanouts':[{'width':640,'height':480}]"

static void resize(struct gpu *g, uint32_t width, uint32_t height)
{
    struct display_one displays[VIRTIO_GPU_MAX_SCANOUTS] = {
        {{0, 0, width, height}, true}};

    gpu_set_displays(g, displays);
}

static void sizes_that_were_said_stay(void **state)
{
    struct whole *d = whole_open(HEADLESS);

    (void)state;
    whole_start(d, world, false);
    resize(d->gpu, 333, 222);
    whole_save(d);
    hand_on(d);
    d = whole_open(HEADLESS SMALL);
    assert_int_equal(d->gpu->displays[0].r.width, 333);
    assert_int_equal(d->gpu->events_read, VIRTIO_GPU_EVENT_DISPLAY);
    assert_int_equal(d->config_changes, 0);
    whole_start(d, world, false);
    assert_int_equal(d->config_changes, 1); /* it may not have been told */
    whole_close(d);
}

static void sizes_of_the_config_are_those_of_the_next_one(void **state)
{
    struct whole *d;

    (void)state;
    leave(world, nothing(), HEADLESS);
    d = whole_open(HEADLESS SMALL);
    assert_int_equal(d->gpu->displays[0].r.width, 640);
    assert_int_equal(d->gpu->events_read, VIRTIO_GPU_EVENT_DISPLAY);
    whole_start(d, world, false);
    assert_int_equal(d->config_changes, 1);
    whole_close(d);
}

static void the_same_sizes_are_no_event(void **state)
{
    struct whole *d;

    (void)state;
    leave(world, nothing(), HEADLESS);
    d = whole_open(HEADLESS);
    assert_int_equal(d->gpu->events_read, 0);
    whole_start(d, world, false);
    assert_int_equal(d->config_changes, 0);
    whole_close(d);
}

static void an_event_that_the_driver_has_seen_is_over(void **state)
{
    static const uint8_t bits[4] = {VIRTIO_GPU_EVENT_DISPLAY};
    struct whole *d;

    (void)state;
    leave(world, nothing(), HEADLESS);
    d = whole_open(HEADLESS SMALL);
    whole_start(d, world, false);
    d->device->ops->config_write(
        d->device, offsetof(struct virtio_gpu_config, events_clear), bits, 4);
    whole_save(d);
    hand_on(d);
    d = whole_open(HEADLESS SMALL);
    assert_int_equal(d->gpu->events_read, 0);
    whole_close(d);
}

/* ---- what the front-end's display shows ---- */

static int display[2]; /* the device's end, and ours */

static void give_display(struct whole *d)
{
    d->device->ops->display(d->device, dup(display[0]));
}

static void receive(void *to, size_t len)
{
    uint8_t *at = to;

    while (len > 0) {
        ssize_t n = recv(display[1], at, len, 0);

        assert_true(n > 0);
        at += n;
        len -= (size_t)n;
    }
}

/* Reads what there is; whether there is a SCANOUT of that size. */
static bool hears_of(struct whole *d, uint32_t scanout, uint32_t width)
{
    bool heard = false;
    char peek;

    uv_run(&d->loop.uv, UV_RUN_NOWAIT);
    while (recv(display[1], &peek, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
        struct wire_header h;
        struct wire_scanout m;
        uint8_t *payload;

        receive(&h, sizeof(h));
        payload = malloc(h.size + 1u);
        assert_non_null(payload);
        receive(payload, h.size);
        memcpy(&m, payload, MIN(sizeof(m), h.size));
        free(payload);
        heard |= h.request == WIRE_SCANOUT && m.scanout == scanout &&
                 m.width == width;
        uv_run(&d->loop.uv, UV_RUN_NOWAIT);
    }
    return heard;
}

static void open_display(void)
{
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0, display), 0);
    fcntl(display[1], F_SETFL, 0);
}

static void close_display(void)
{
    close(display[0]);
    close(display[1]);
}

/* What is shown is shown again, in full. */
static void a_display_is_told_what_there_is(void **state)
{
    struct whole *d;

    (void)state;
    open_display();
    leave(world, picture(), "");
    d = whole_open("");
    whole_start(d, world, false);
    give_display(d);
    assert_true(hears_of(d, 0, 64));
    whole_close(d);
    close_display();
}

/* It went off, and the process has ended before it said so. */
static void a_display_is_told_what_is_off_by_now(void **state)
{
    struct script *s = picture();
    struct whole *d = whole_open("");

    (void)state;
    open_display();
    whole_start(d, world, false);
    give_display(d);
    whole_run(d, s, 8);
    assert_true(hears_of(d, 0, 64));
    script_scanout(s, 0, 0, &all);
    d->device->ops->display(d->device, -1);
    whole_run(d, s, 8);
    whole_save(d);
    hand_on(d);
    d = whole_open("");
    whole_start(d, world, false);
    give_display(d);
    assert_true(hears_of(d, 0, 0));
    whole_save(d);
    hand_on(d);
    d = whole_open("");
    whole_start(d, world, false);
    give_display(d);
    assert_false(hears_of(d, 0, 0)); /* that is over */
    whole_close(d);
    close_display();
}

/* ---- what is found ---- */

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
    take_all();
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

        leave(other, picture(), "");
        take_book();
        spoilt[i].spoil();
        put_book();
        d = whole_open("");
        if (d->gpu->resources.count > 0)
            fail_msg("%s: was believed", spoilt[i].name);
        expect_nothing(d->gpu);
        whole_close(d);
        keep_forget("gpu");
        world_free(other);

        other = world_new(false);
        leave(other, picture(), "");
        take_book();
        spoilt[i].spoil();
        put_book();
        world_free(other);
        other = world_new(false);
        leave(other, picture(), "");
        d = whole_open("");
        expect_left(other, d->gpu);
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
    leave(world, picture(), "");
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
    expect_nothing(d->gpu);
    whole_close(d);
}

static void a_smaller_max_memory_is_heeded(void **state)
{
    struct whole *d;

    (void)state;
    leave(world, picture(), "");
    d = whole_open(",'max_memory':'1M'");
    expect_nothing(d->gpu);
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
    expect_nothing(d->gpu);
    assert_true(d->gpu->displays[0].enabled);
    whole_start(d, world, false);
    whole_run(d, picture(), 8);
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

        leave(w, picture(), "");
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
        whole_run(d, picture(), 8);
        whole_close(d);
        keep_forget("gpu");
        world_free(w);
    }
}

/* ---- pixels ---- */

static uint64_t taken(int fd)
{
    struct stat st;

    assert_int_equal(fstat(fd, &st), 0);
    return (uint64_t)st.st_blocks * 512;
}

/* What was never written takes no room where it is saved either. */
static void pixels_that_are_not_there_are_not_saved(void **state)
{
    static struct script s;
    struct whole *d;

    (void)state;
    s.num = 0;
    script_create(&s, 1, 4096, 4096);
    script_create(&s, 2, 64, 64);
    script_attach(&s, 2, 0, 1, 16384);
    script_transfer(&s, 2, &all, 0);
    leave(world, &s, "");
    d = whole_open("");
    assert_true(arena_is_open(&d->gpu->arena));
    assert_int_equal(taken(d->gpu->arena.kept.fd), 16384);
    assert_int_equal(d->gpu->resources.bytes, (4096 * 4096 + 64 * 64) * 4);
    whole_close(d);
}

static void a_device_that_was_never_handed_on_has_no_arena(void **state)
{
    struct whole *d = whole_open("");

    (void)state;
    whole_start(d, world, false);
    whole_run(d, picture(), 8);
    assert_false(arena_is_open(&d->gpu->arena));
    whole_close(d);
}

static void on_change(const struct keep_item *item, void *arg)
{
    (void)item;
    (void)arg;
}

static void pixels_of_a_watched_device_are_kept_from_the_start(void **state)
{
    struct script *s = picture();
    struct whole *d;

    (void)state;
    keep_on_change(on_change, NULL);
    d = whole_open("");
    whole_start(d, world, false);
    whole_run(d, s, 8);
    assert_true(arena_is_open(&d->gpu->arena));
    assert_int_equal(taken(d->gpu->arena.kept.fd), 64 * 64 * 4);
    /* What goes is given back. */
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 7);
    whole_run(d, s, 8);
    whole_serve(d);
    assert_int_equal(taken(d->gpu->arena.kept.fd), 0);
    whole_close(d);
    keep_on_change(NULL, NULL);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(one_that_is_handed_on_goes_on),
        TEST(it_may_be_handed_on_again),
        TEST(one_that_closes_leaves_nothing),
        TEST(one_that_was_saved_may_go_on_itself),
        TEST(another_driver_begins_anew),
        TEST(another_driver_is_known_that_begins_at_the_same_place),
        TEST(two_of_one_name_do_not_meet),
        TEST(sizes_that_were_said_stay),
        TEST(sizes_of_the_config_are_those_of_the_next_one),
        TEST(the_same_sizes_are_no_event),
        TEST(an_event_that_the_driver_has_seen_is_over),
        TEST(a_display_is_told_what_there_is),
        TEST(a_display_is_told_what_is_off_by_now),
        TEST(what_makes_no_sense_is_forgotten),
        TEST(pixels_that_are_gone_are_missed),
        TEST(a_smaller_max_memory_is_heeded),
        TEST(nothing_is_found_in_zeros),
        TEST(garbage_does_no_harm),
        TEST(pixels_that_are_not_there_are_not_saved),
        TEST(a_device_that_was_never_handed_on_has_no_arena),
        TEST(pixels_of_a_watched_device_are_kept_from_the_start),
    };

    log_set(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
