/* What a GPU leaves for another process, which goes on with it. Death at any
 * moment is in kill_test.c, what may be found in ledger_found_test.c. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/log.h"
#include "device/gpu/ledger_book.h"
#include "legacy.h"

static const struct rect all = {0, 0, 64, 64}, some = {7, 9, 20, 30};
#include "os/memory.h"
#include "virtio/display_wire.h"

/* ---- from one to the next ---- */

static void one_that_is_handed_on_goes_on(void **state)
{
    struct script *s = legacy_picture();
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, s, "");
    d = whole_open("");
    legacy_expect(legacy_world, d->gpu);
    /* And its guest with it, from where it was. */
    whole_start(d, legacy_world, false);
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
    struct script *s = legacy_picture();
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, s, "");
    script_create(s, 11, 32, 32);
    script_scanout(s, 3, 11, &(struct rect){0, 0, 32, 32});
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0x80000001);
    legacy_leave(legacy_world, s, "");
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING, 7);
    legacy_leave(legacy_world, s, "");
    d = whole_open("");
    legacy_expect(legacy_world, d->gpu);
    assert_non_null(resource_find(&d->gpu->resources, 11));
    whole_close(d);
}

static void one_that_closes_leaves_nothing(void **state)
{
    struct whole *d = whole_open("");

    (void)state;
    whole_start(d, legacy_world, false);
    whole_run(d, legacy_picture(), 8);
    whole_close(d);
    d = whole_open("");
    legacy_expect_nothing(d->gpu);
    whole_close(d);
}

/* As when a hand-over comes to nothing. */
static void one_that_was_saved_may_go_on_itself(void **state)
{
    struct script *s = legacy_picture();
    struct whole *d = whole_open("");

    (void)state;
    whole_start(d, legacy_world, false);
    whole_run(d, s, 8);
    whole_save(d);
    whole_start(d, legacy_world, false);
    script_create(s, 20, 64, 64);
    script_transfer(s, 7, &some, 256);
    script_ref(s, VIRTIO_GPU_CMD_RESOURCE_UNREF, 0x80000001);
    whole_run(d, s, 8);
    assert_int_equal(d->gpu->stats.errors, 0);
    whole_save(d);
    world_write_state(legacy_world, d->gpu);
    legacy_hand_on(d);
    d = whole_open("");
    legacy_expect(legacy_world, d->gpu);
    whole_close(d);
}

static void another_driver_begins_anew(void **state)
{
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, legacy_picture(), "");
    d = whole_open("");
    assert_true(d->gpu->resources.count > 0);
    world_free(legacy_world);
    legacy_world = world_new(false);
    whole_start(d, legacy_world, false);
    legacy_expect_nothing(d->gpu);
    whole_run(d, legacy_picture(), 8);
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
    legacy_hand_on(d);
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
    whole_start(d, legacy_world, false);
    whole_run(d, legacy_picture(), 8);
    d2 = whole_open("");
    legacy_expect_nothing(d2->gpu);
    whole_close(d);
    whole_start(d2, other, false);
    whole_run(d2, legacy_picture(), 8);
    whole_save(d2);
    world_write_state(other, d2->gpu);
    legacy_hand_on(d2);
    d = whole_open("");
    legacy_expect(other, d->gpu);
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
    whole_start(d, legacy_world, false);
    resize(d->gpu, 333, 222);
    whole_save(d);
    legacy_hand_on(d);
    d = whole_open(HEADLESS SMALL);
    assert_int_equal(d->gpu->displays[0].r.width, 333);
    assert_int_equal(d->gpu->events_read, VIRTIO_GPU_EVENT_DISPLAY);
    assert_int_equal(d->config_changes, 0);
    whole_start(d, legacy_world, false);
    assert_int_equal(d->config_changes, 1); /* it may not have been told */
    whole_close(d);
}

static void sizes_of_the_config_are_those_of_the_next_one(void **state)
{
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, legacy_none(), HEADLESS);
    d = whole_open(HEADLESS SMALL);
    assert_int_equal(d->gpu->displays[0].r.width, 640);
    assert_int_equal(d->gpu->events_read, VIRTIO_GPU_EVENT_DISPLAY);
    whole_start(d, legacy_world, false);
    assert_int_equal(d->config_changes, 1);
    whole_close(d);
}

static void the_same_sizes_are_no_event(void **state)
{
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, legacy_none(), HEADLESS);
    d = whole_open(HEADLESS);
    assert_int_equal(d->gpu->events_read, 0);
    whole_start(d, legacy_world, false);
    assert_int_equal(d->config_changes, 0);
    whole_close(d);
}

static void an_event_that_the_driver_has_seen_is_over(void **state)
{
    static const uint8_t bits[4] = {VIRTIO_GPU_EVENT_DISPLAY};
    struct whole *d;

    (void)state;
    legacy_leave(legacy_world, legacy_none(), HEADLESS);
    d = whole_open(HEADLESS SMALL);
    whole_start(d, legacy_world, false);
    d->device->ops->config_write(
        d->device, offsetof(struct virtio_gpu_config, events_clear), bits, 4);
    whole_save(d);
    legacy_hand_on(d);
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
        assert_int_not_equal(h.request, WIRE_DMABUF_SCANOUT2);
        heard |= h.request == WIRE_SCANOUT && m.scanout == scanout &&
                 m.width == width;
        uv_run(&d->loop.uv, UV_RUN_NOWAIT);
    }
    return heard;
}

static void say_features(uint64_t features)
{
    const struct {
        struct wire_header h;
        uint8_t payload[8];
    } reply = {{WIRE_GET_PROTOCOL_FEATURES, WIRE_REPLY, sizeof(features)},
               {(uint8_t)features}};

    assert_int_equal(send(display[1], &reply, sizeof(reply), 0), sizeof(reply));
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
    legacy_leave(legacy_world, legacy_picture(), "");
    d = whole_open("");
    whole_start(d, legacy_world, false);
    give_display(d);
    assert_true(hears_of(d, 0, 64));
    whole_close(d);
    close_display();
}

/* It went off, and the process has ended before it said so. */
static void a_display_is_told_what_is_off_by_now(void **state)
{
    struct script *s = legacy_picture();
    struct whole *d = whole_open("");

    (void)state;
    open_display();
    whole_start(d, legacy_world, false);
    give_display(d);
    whole_run(d, s, 8);
    assert_true(hears_of(d, 0, 64));
    script_scanout(s, 0, 0, &all);
    d->device->ops->display(d->device, -1);
    whole_run(d, s, 8);
    whole_save(d);
    legacy_hand_on(d);
    d = whole_open("");
    whole_start(d, legacy_world, false);
    give_display(d);
    assert_true(hears_of(d, 0, 0));
    whole_save(d);
    legacy_hand_on(d);
    d = whole_open("");
    whole_start(d, legacy_world, false);
    give_display(d);
    assert_false(hears_of(d, 0, 0)); /* that is over */
    whole_close(d);
    close_display();
}

/* What was shown as a dma-buf it may not even know how to take. */
static void another_display_hears_of_no_dmabufs(void **state)
{
    struct whole *d;

    (void)state;
    open_display();
    legacy_leave(legacy_world, legacy_picture(), "");
    d = whole_open("");
    whole_start(d, legacy_world, false);
    d->gpu->shown_before = 1u << GPU_SHOWN_DMABUF;
    give_display(d);
    assert_false(hears_of(d, 0, 64)); /* its features are waited for */
    say_features(0);
    assert_true(hears_of(d, 0, 64));
    whole_close(d);
    close_display();
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
    legacy_leave(legacy_world, &s, "");
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
    whole_start(d, legacy_world, false);
    whole_run(d, legacy_picture(), 8);
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
    struct script *s = legacy_picture();
    struct whole *d;

    (void)state;
    keep_on_change(on_change, NULL);
    d = whole_open("");
    whole_start(d, legacy_world, false);
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        LEGACY_TEST(one_that_is_handed_on_goes_on),
        LEGACY_TEST(it_may_be_handed_on_again),
        LEGACY_TEST(one_that_closes_leaves_nothing),
        LEGACY_TEST(one_that_was_saved_may_go_on_itself),
        LEGACY_TEST(another_driver_begins_anew),
        LEGACY_TEST(another_driver_is_known_that_begins_at_the_same_place),
        LEGACY_TEST(two_of_one_name_do_not_meet),
        LEGACY_TEST(sizes_that_were_said_stay),
        LEGACY_TEST(sizes_of_the_config_are_those_of_the_next_one),
        LEGACY_TEST(the_same_sizes_are_no_event),
        LEGACY_TEST(an_event_that_the_driver_has_seen_is_over),
        LEGACY_TEST(a_display_is_told_what_there_is),
        LEGACY_TEST(a_display_is_told_what_is_off_by_now),
        LEGACY_TEST(another_display_hears_of_no_dmabufs),
        LEGACY_TEST(pixels_that_are_not_there_are_not_saved),
        LEGACY_TEST(a_device_that_was_never_handed_on_has_no_arena),
        LEGACY_TEST(pixels_of_a_watched_device_are_kept_from_the_start),
    };

    log_set(LOG_ERROR, LOG_TEXT);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
