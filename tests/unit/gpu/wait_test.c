/* gpu.wait, gpu.screenshot, gpu.hash and gpu.resize, called as the control
 * socket would. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "device/gpu/kept.h"
#include "device/gpu/picture.h"
#include "stage.h"

#define ANSWER "{\"hash\":\"*\",\"width\":*,\"height\":*,\"waited_ms\":*}"
#define CANCELED "nobody waits any more"

static int set_up(void **state)
{
    stage_set_up(state);
    stage_show(stage, 40, 30);
    return 0;
}

static void expect_canceled(struct asked *a)
{
    assert_true(a->answered);
    expect_error(stage, a, -ECANCELED, "", CANCELED);
}

static void expect_hash(struct asked *a, const char *hash)
{
    char pattern[128];

    snprintf(pattern, sizeof(pattern), "{\"hash\":\"%s\",*", hash);
    expect_done(stage, a, pattern);
}

/* ---- changed ---- */

static void a_change_of_a_pixel_is_a_change_and_a_flush_is_not(void **state)
{
    struct asked *a = ask(stage, "gpu.wait", "{'changed': true}");

    (void)state;
    all_looked(stage);
    assert_false(a->answered);
    stage_set(stage, 3, 4, stage->pixels[4 * 40 + 3]);
    all_looked(stage);
    assert_false(a->answered);
    stage_set(stage, 3, 4, 0x123456);
    answer_wait(stage, a);
    expect_hash(a, hash_now(stage));
}

/* The base is what there was at the call, though a thread is busy with another
 * wait. */
static void what_changes_right_after_the_call_is_a_change(void **state)
{
    struct asked *a[8];

    (void)state;
    for (int i = 0; i < 8; i++) {
        a[i] = ask(stage, "gpu.wait", "{'changed': true}");
        stage_set(stage, 0, 0, (uint32_t)i);
    }
    for (int i = 0; i < 8; i++)
        expect_done(stage, a[i], ANSWER);
}

static void a_change_from_a_hash_may_have_been_before(void **state)
{
    char before[64];

    (void)state;
    snprintf(before, sizeof(before), "%s", hash_now(stage));
    stage_set(stage, 1, 1, 0xffffff);
    expect_done(
        stage,
        ask(stage, "gpu.wait", "{'changed': true, 'from': '%s'}", before),
        ANSWER);
    expect_error(stage,
                 ask(stage, "gpu.wait",
                     "{'changed': true, 'from': '%s', 'timeout_ms': 0}",
                     hash_now(stage)),
                 -ETIMEDOUT, "/params/timeout_ms",
                 "after 0 ms the picture is 40x30 with the hash *: it has not "
                 "changed");
}

static void another_size_is_a_change(void **state)
{
    struct asked *a = ask(stage, "gpu.wait", "{'changed': true}");

    (void)state;
    all_looked(stage);
    stage_show(stage, 30, 40);
    expect_done(stage, a, "{*\"width\":30,\"height\":40,*}");
}

/* One picture is looked at after the other, and the first one that is waited
 * for is due again each time. */
static void who_waits_for_another_picture_has_a_turn(void **state)
{
    struct asked *first = ask(stage, "gpu.wait", "{'hash': '%032d'}", 0);
    struct asked *last =
        ask(stage, "gpu.wait", "{'changed': true, 'cursor': false}");

    (void)state;
    for (uint32_t i = 0; !last->answered; i++) {
        stage_set(stage, 0, 0, i);
        stage_turn(stage);
    }
    expect_done(stage, last, ANSWER);
    assert_false(first->answered);
    first->call.cancel(&first->call);
    expect_canceled(first);
}

static void another_scanout_is_of_no_interest(void **state)
{
    struct asked *a = ask(stage, "gpu.wait", "{'changed': true}");

    (void)state;
    stage->pixels[0] ^= 1;
    waits_changed(&stage->gpu, 1);
    all_looked(stage);
    assert_false(a->answered);
    waits_changed(&stage->gpu, 0);
    expect_done(stage, a, ANSWER);
}

static void a_cursor_that_moves_changes_the_picture_it_is_in(void **state)
{
    struct asked *with = ask(stage, "gpu.wait", "{'changed': true}");
    struct asked *without =
        ask(stage, "gpu.wait", "{'changed': true, 'cursor': false}");
    struct cursor *c = &stage->gpu.scanouts[0].cursor;

    (void)state;
    c->image[0] = 0xff123456u;
    c->visible = c->drawn = true;
    waits_changed(&stage->gpu, 0);
    expect_done(stage, with, ANSWER);
    all_looked(stage);
    assert_false(without->answered);
    stage_set(stage, 5, 5, 0);
    expect_done(stage, without, ANSWER);
}

/* ---- settled ---- */

static uint64_t waited_ms(struct asked *a)
{
    const char *at;

    answer_wait(stage, a);
    assert_int_equal(a->e.code, 0);
    at = strstr(a->call.out.text, "\"waited_ms\":");
    assert_non_null(at);
    return strtoull(at + 12, NULL, 10);
}

static void
a_picture_has_settled_when_it_has_been_the_same_for_long(void **state)
{
    struct asked *a = ask(stage, "gpu.wait", "{'settled_ms': 40}");

    (void)state;
    stage_set(stage, 0, 0, 0xaaaaaa);
    assert_true(waited_ms(a) >= 40);
    expect_hash(a, hash_now(stage));
}

/* A guest that does something as often as it can. */
static struct timer busy;
static unsigned busy_xor;

static void on_busy(struct timer *t)
{
    stage_set(stage, 0, 0, stage->pixels[0] ^ busy_xor);
    timer_start(t, 1);
}

static void be_busy(unsigned xor)
{
    busy_xor = xor;
    busy = (struct timer){.fire = on_busy};
    timer_open(&busy, &stage->loop);
    timer_start(&busy, 1);
}

static void a_guest_that_draws_the_same_again_and_again_settles(void **state)
{
    struct asked *a;

    (void)state;
    be_busy(0);
    a = ask(stage, "gpu.wait", "{'settled_ms': 30}");
    assert_true(waited_ms(a) >= 30);
    expect_done(stage, a, ANSWER);
    timer_close(&busy);
}

static void a_guest_that_never_rests_does_not_settle(void **state)
{
    (void)state;
    be_busy(1);
    expect_error(
        stage,
        ask(stage, "gpu.wait", "{'settled_ms': 3600000, 'timeout_ms': 50}"),
        -ETIMEDOUT, "/params/timeout_ms",
        "after 50 ms the picture is 40x30 with the hash *: it has "
        "been so for * ms");
    timer_close(&busy);
}

/* ---- a hash ---- */

static void a_hash_is_waited_for(void **state)
{
    char hash[64];
    struct asked *a;

    (void)state;
    stage_set(stage, 7, 7, 0x777777);
    snprintf(hash, sizeof(hash), "%s", hash_now(stage));
    stage_set(stage, 7, 7, 0);
    a = ask(stage, "gpu.wait", "{'hash': '%s'}", hash);
    all_looked(stage);
    assert_false(a->answered);
    stage_set(stage, 7, 7, 0x777777);
    expect_hash(a, hash);
    for (char *c = hash; *c; c++)
        *c = (char)(*c >= 'a' ? *c - 32 : *c);
    expect_done(stage,
                ask(stage, "gpu.wait", "{'hash': '%s', 'timeout_ms': 0}", hash),
                ANSWER);
}

/* ---- a reference ---- */

static void save(const char *path)
{
    expect_done(stage, ask(stage, "gpu.screenshot", "{'path': '%s'}", path),
                "{*}");
}

static void a_reference_is_waited_for(void **state)
{
    static const char *const paths[] = {"a.png", "a.ppm"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        struct asked *a;

        save(paths[i]);
        stage_set(stage, 2, 2, ~stage->pixels[82]);
        a = ask(stage, "gpu.wait", "{'picture': '%s'}", paths[i]);
        all_looked(stage);
        assert_false(a->answered);
        stage_set(stage, 2, 2, ~stage->pixels[82]);
        expect_done(stage, a, ANSWER);
    }
}

static void a_reference_may_differ_a_little(void **state)
{
    (void)state;
    stage_set(stage, 0, 0, 0x101010);
    save("a.png");
    stage_set(stage, 0, 0, 0x130d10);
#define NOW "{'picture': 'a.png', 'timeout_ms': 0"
    expect_error(stage, ask(stage, "gpu.wait", NOW ", 'tolerance': 2}"),
                 -ETIMEDOUT, "/params/timeout_ms",
                 "after 0 ms the picture is 40x30 with the hash *: pixels that "
                 "differ from the reference by more than 2: 1");
    expect_done(stage, ask(stage, "gpu.wait", NOW ", 'tolerance': 3}"), ANSWER);
    expect_done(stage, ask(stage, "gpu.wait", NOW ", 'max_different': 1}"),
                ANSWER);
    stage_set(stage, 1, 0, ~stage->pixels[1]);
    expect_error(stage, ask(stage, "gpu.wait", NOW ", 'max_different': 1}"),
                 -ETIMEDOUT, "/params/timeout_ms", "*more than 0: 2");
    stage_show(stage, 41, 30);
    expect_error(stage, ask(stage, "gpu.wait", NOW ", 'tolerance': 255}"),
                 -ETIMEDOUT, "/params/timeout_ms",
                 "after 0 ms the picture is 41x30 with the hash *: the "
                 "reference is 40x30");
}

static void a_reference_that_cannot_be_read_is_told(void **state)
{
    (void)state;
    expect_error(stage, ask(stage, "gpu.wait", "{'picture': 'none.png'}"),
                 -ENOENT, "/params/picture",
                 "cannot open /*/none.png: No such file or directory");
    expect_error(stage, ask(stage, "gpu.wait", "{'picture': '/dev/zero'}"),
                 -EINVAL, "/params/picture", "/dev/zero is no regular file");
}

/* ---- masks ---- */

#define CLOCK "'masks': [{'x': 30, 'y': 0, 'width': 10, 'height': 5}]"

static void what_a_mask_hides_is_no_change(void **state)
{
    struct asked *a = ask(stage, "gpu.wait", "{'changed': true, " CLOCK "}");
    struct asked *b = ask(stage, "gpu.wait", "{'changed': true}");

    (void)state;
    stage_set(stage, 30, 4, 0x123456);
    expect_done(stage, b, ANSWER);
    all_looked(stage);
    assert_false(a->answered);
    stage_set(stage, 29, 4, 0x123456);
    expect_done(stage, a, ANSWER);
}

static void a_clock_does_not_keep_a_picture_from_settling(void **state)
{
    struct asked *a;

    (void)state;
    be_busy(1);
    a = ask(stage, "gpu.wait",
            "{'settled_ms': 30, 'masks': [{'x': 0, 'y': 0, 'width': 1,"
            " 'height': 1}]}");
    assert_true(waited_ms(a) >= 30);
    expect_done(stage, a, ANSWER);
    timer_close(&busy);
}

static void a_reference_is_not_compared_where_a_mask_is(void **state)
{
    (void)state;
    save("a.png");
    for (uint32_t i = 30; i < 40; i++)
        stage_set(stage, i, 2, ~stage->pixels[80 + i]);
    expect_error(stage, ask(stage, "gpu.wait", NOW "}"), -ETIMEDOUT,
                 "/params/timeout_ms", "*more than 0: 10");
    expect_done(stage, ask(stage, "gpu.wait", NOW ", " CLOCK "}"), ANSWER);
    stage_set(stage, 3, 2, ~stage->pixels[83]);
    expect_error(stage, ask(stage, "gpu.wait", NOW ", " CLOCK "}"), -ETIMEDOUT,
                 "/params/timeout_ms", "*more than 0: 1");
}

/* The hash is of the picture with black where masks are, in every command, and
 * so is the file. */
static void a_masked_picture_has_one_hash(void **state)
{
    char hash[64];
    struct asked *a = ask(stage, "gpu.hash", "{" CLOCK "}");

    (void)state;
    answer_wait(stage, a);
    snprintf(hash, sizeof(hash), "%.32s",
             strstr(a->call.out.text, "\"hash\":\"") + 8);
    expect_hash(a, hash);
    assert_string_not_equal(hash, hash_now(stage));
    expect_hash(ask(stage, "gpu.screenshot", "{'path': 'm.png', " CLOCK "}"),
                hash);
    stage_set(stage, 39, 0, 0x654321);
    a = ask(stage, "gpu.wait", "{'hash': '%s', 'timeout_ms': 0, " CLOCK "}",
            hash);
    expect_hash(a, hash);
    expect_error(stage,
                 ask(stage, "gpu.wait",
                     "{'changed': true, 'from': '%s', 'timeout_ms': 0, " CLOCK
                     "}",
                     hash),
                 -ETIMEDOUT, "/params/timeout_ms", "*it has not changed");
    for (uint32_t y = 0; y < 5; y++)
        for (uint32_t x = 30; x < 40; x++)
            stage_set(stage, x, y, 0);
    expect_hash(ask(stage, "gpu.hash", "{}"), hash);
    expect_done(stage,
                ask(stage, "gpu.wait", "{'picture': 'm.png', 'timeout_ms': 0}"),
                ANSWER);
}

/* They mask nothing there, but do if the guest shows a larger picture. */
static void masks_may_be_outside(void **state)
{
    struct asked *a;

    (void)state;
#define OUTSIDE                                                                \
    "'masks': [{'x': 40, 'y': 30, 'width': 16384, 'height': 16384},"           \
    " {'x': 16384, 'y': 16384, 'width': 1, 'height': 1}]"
    expect_hash(ask(stage, "gpu.hash", "{" OUTSIDE "}"), hash_now(stage));
    stage_show(stage, 50, 40);
    a = ask(stage, "gpu.wait", "{'changed': true, " OUTSIDE "}");
    stage_set(stage, 40, 30, 0x123456);
    all_looked(stage);
    assert_false(a->answered);
    stage_set(stage, 39, 30, 0x123456);
    expect_done(stage, a, ANSWER);
}

/* They share looks, and one who goes takes nothing from the others. */
static void many_wait_with_masks(void **state)
{
    struct asked *a[LOOKING_MAX];

    (void)state;
    for (unsigned i = 0; i < LOOKING_MAX; i++)
        a[i] = ask(stage, "gpu.wait",
                   "{'changed': true, 'masks': [{'x': %u, 'y': 0,"
                   " 'width': 1, 'height': 1}]}",
                   i / 2);
    stage_set(stage, 3, 0, 0x010101);
    a[0]->call.cancel(&a[0]->call);
    expect_canceled(a[0]);
    for (unsigned i = 1; i < LOOKING_MAX; i++)
        if (i / 2 != 3)
            expect_done(stage, a[i], ANSWER);
    all_looked(stage);
    assert_false(a[6]->answered || a[7]->answered);
    stage_set(stage, 4, 0, 0x010101);
    expect_done(stage, a[6], ANSWER);
    expect_done(stage, a[7], ANSWER);
}

static void masks_have_bounds(void **state)
{
    char text[4096] = "{'masks': [";

    (void)state;
    for (unsigned i = 0; i < 65; i++)
        strcat(text, "{'x': 0, 'y': 0, 'width': 1, 'height': 1},");
    strcpy(text + strlen(text) - 1, "]}");
    expect_refused("gpu.wait", text, "/masks",
                   "must be a list of at most 64 objects, this has 65");
    expect_refused(
        "gpu.hash", "{'masks': [{'x': 0, 'y': 0, 'width': 0, 'height': 1}]}",
        "/masks/0/width", "must be a whole number from 1 to 16384, not 0");
    expect_refused("gpu.hash",
                   "{'masks': [{'x': 0, 'y': 16385, 'width': 1, 'height': 1}]}",
                   "/masks/0/y",
                   "must be a whole number from 0 to 16384, not 16385");
    expect_refused("gpu.hash", "{'masks': [{'x': 0, 'y': 1, 'width': 1}]}",
                   "/masks/0/height", "is missing");
}

/* ---- a scanout that is off ---- */

static void a_scanout_that_is_off_is_waited_for(void **state)
{
    static const char *const params[] = {"{'changed': true}",
                                         "{'settled_ms': 20}", "{'hash': '%s'}",
                                         "{'picture': 'a.png'}"};
    struct asked *a[ARRAY_LEN(params)];
    char hash[64];

    (void)state;
    save("a.png");
    snprintf(hash, sizeof(hash), "%s", hash_now(stage));
    stage_off(stage);
    for (unsigned i = 0; i < ARRAY_LEN(params); i++) {
        char text[128];

        snprintf(text, sizeof(text), params[i], hash);
        a[i] = ask(stage, "gpu.wait", "%s", text);
    }
    for (unsigned i = 0; i < ARRAY_LEN(params); i++)
        assert_false(a[i]->answered);
    all_looked(stage);
    stage_show(stage, 40, 30);
    for (unsigned i = 0; i < ARRAY_LEN(params); i++)
        expect_hash(a[i], hash);
}

static void what_is_not_there_in_time_is_told(void **state)
{
    struct asked *a;

    (void)state;
    a = ask(stage, "gpu.wait", "{'changed': true, 'timeout_ms': 1000}");
    all_looked(stage);
    stage_off(stage);
    expect_error(stage, a, -ETIMEDOUT, "/params/timeout_ms",
                 "after 1000 ms scanout 0 shows nothing; its last picture was "
                 "40x30 with the hash *");
    expect_error(stage,
                 ask(stage, "gpu.wait", "{'changed': true, 'timeout_ms': 20}"),
                 -ETIMEDOUT, "/params/timeout_ms",
                 "after 20 ms scanout 0 shows nothing");
    stage_show(stage, 40, 30);
    stage_memory(false);
    expect_error(stage,
                 ask(stage, "gpu.wait", "{'settled_ms': 1, 'timeout_ms': 20}"),
                 -ETIMEDOUT, "/params/timeout_ms",
                 "after 20 ms the picture of scanout 0 is in the guest's "
                 "memory, *");
    stage_memory(true);
}

/* ---- calls that nobody waits for ---- */

static void a_call_that_is_given_up_is_answered_at_once(void **state)
{
    struct asked *a[6];

    (void)state;
    save("a.png");
    a[0] = ask(stage, "gpu.wait", "{'changed': true}"); /* with a thread */
    a[1] = ask(stage, "gpu.wait", "{'changed': true}"); /* behind it */
    a[2] = ask(stage, "gpu.wait", "{'picture': 'a.png'}");
    a[3] = ask(stage, "gpu.hash", "{}");
    a[4] = ask(stage, "gpu.screenshot", "{'path': 'b.png'}");
    a[5] = ask(stage, "gpu.wait", "{'changed': true, 'scanout': 1}");
    for (int i = 0; i < 6; i++) {
        assert_false(a[i]->answered);
        a[i]->call.cancel(&a[i]->call);
        expect_canceled(a[i]);
    }
    /* Others do not notice. */
    expect_done(stage, ask(stage, "gpu.wait", "{'settled_ms': 1}"), ANSWER);
}

static void pictures_are_taken_a_few_at_a_time(void **state)
{
    struct asked *a[20];
    unsigned most = 0;

    (void)state;
    for (int i = 0; i < 20; i++)
        a[i] = ask(stage, "gpu.hash", "{}");
    a[7]->call.cancel(&a[7]->call); /* one that waits */
    expect_canceled(a[7]);
    for (int i = 0; i < 20; i++) {
        if (i == 7)
            continue;
        answer_wait(stage, a[i]);
        most = MAX(most, stage->gpu.shots.at_work);
        expect_done(stage, a[i], "{\"hash\":\"*\",\"width\":*");
    }
    assert_in_range(most, 1, 4);
    assert_int_equal(stage->gpu.shots.at_work, 0);
}

static void a_device_that_closes_answers_all(void **state)
{
    struct asked *a[7];

    (void)state;
    save("a.png");
    a[0] = ask(stage, "gpu.wait", "{'settled_ms': 1000}");
    a[1] = ask(stage, "gpu.wait", "{'changed': true}");
    a[2] = ask(stage, "gpu.wait", "{'picture': 'a.png'}");
    a[3] = ask(stage, "gpu.hash", "{}");
    a[4] = ask(stage, "gpu.screenshot", "{'path': 'b.png'}");
    a[5] = ask(stage, "gpu.wait", "{'changed': true, 'scanout': 1}");
    a[6] = ask(stage, "gpu.wait", "{'changed': true, 'cursor': false}");
    stage_set(stage, 0, 0, 1);
    waits_end(&stage->gpu);
    for (int i = 0; i < 7; i++) {
        assert_true(a[i]->answered);
        expect_error(stage, a[i], -ENODEV, "/params/device",
                     "the device is closing");
    }
}

/* At any moment of their lives. */
static void calls_may_be_given_up_at_any_time(void **state)
{
    (void)state;
    save("a.png");
    for (int i = 0; i < 60; i++) {
        struct asked *a = ask(stage, "gpu.wait",
                              i % 2 ? "{'changed': true}"
                                    : "{'picture': 'a.png', 'tolerance': 3}");

        for (int turns = 0; turns < i % 7; turns++) {
            stage_turn(stage);
            if (i % 3)
                waits_changed(&stage->gpu, 0);
        }
        if (!a->answered)
            a->call.cancel(&a->call);
        if (a->e.code)
            expect_canceled(a);
        else
            expect_done(stage, a, ANSWER);
    }
}

static void there_is_an_end_of_calls_that_wait(void **state)
{
    struct asked *a[KEPT_MAX];

    (void)state;
    for (int i = 0; i < KEPT_MAX; i++)
        a[i] = ask(stage, "gpu.wait", "{'changed': true}");
    expect_error(stage, ask(stage, "gpu.wait", "{'changed': true}"), -EBUSY,
                 "/params/device",
                 "64 calls wait for pictures of it, which is all there may be");
    expect_error(stage, ask(stage, "gpu.hash", "{}"), -EBUSY, "/params/device",
                 "64 calls *");
    a[0]->call.cancel(&a[0]->call);
    expect_canceled(a[0]);
    expect_done(stage, ask(stage, "gpu.hash", "{}"), "{*}");
    stage_set(stage, 9, 9, 1);
    for (int i = 1; i < KEPT_MAX; i++)
        expect_done(stage, a[i], ANSWER);
}

/* ---- screenshots, hashes ---- */

static void a_screenshot_is_a_file_and_its_hash(void **state)
{
    char pattern[256];
    struct stat st;

    (void)state;
    snprintf(pattern, sizeof(pattern),
             "{\"hash\":\"%s\",\"width\":40,\"height\":30,\"bytes\":3613,"
             "\"path\":\"/*/a.ppm\"}",
             hash_now(stage));
    expect_done(stage, ask(stage, "gpu.screenshot", "{'path': 'a.ppm'}"),
                pattern);
    assert_int_equal(stat("a.ppm", &st), 0);
    assert_int_equal(st.st_size, 3613);
}

static void expect_magic(const char *path, const char *magic)
{
    char got[8] = "";
    FILE *f = fopen(path, "r");

    assert_non_null(f);
    assert_int_equal(fread(got, 1, 7, f), 7);
    fclose(f);
    assert_memory_equal(got, magic, strlen(magic));
}

static void a_screenshot_has_the_format_of_its_ending_unless_told(void **state)
{
    (void)state;
    save("a.PPM");
    expect_magic("a.PPM", "P6");
    save("a.jpg");
    expect_magic("a.jpg", "\211PNG");
    save("ppm");
    expect_magic("ppm", "\211PNG");
    expect_done(
        stage,
        ask(stage, "gpu.screenshot", "{'path': 'a.ppm', 'format': 'png'}"),
        "{*}");
    expect_magic("a.ppm", "\211PNG");
    expect_done(stage,
                ask(stage, "gpu.screenshot", "{'path': 'b', 'format': 'ppm'}"),
                "{*}");
    expect_magic("b", "P6");
}

static void a_screenshot_that_cannot_be_is_told(void **state)
{
    (void)state;
    expect_error(stage, ask(stage, "gpu.screenshot", "{'path': 'no/a.png'}"),
                 -ENOENT, "/params/path",
                 "cannot write /*/no/a.png.part: No such file or directory");
    expect_error(stage, ask(stage, "gpu.screenshot", "{'path': '/dev/null'}"),
                 -EEXIST, "/params/path",
                 "/dev/null is there, and is no regular file");
    expect_error(
        stage, ask(stage, "gpu.screenshot", "{'path': 'a.png', 'scanout': 1}"),
        -ENOENT, "", "scanout 1 shows nothing");
    expect_error(stage, ask(stage, "gpu.hash", "{'scanout': 2}"), -EINVAL,
                 "/params/scanout", "there is no scanout 2: the last is 1");
    expect_error(
        stage, ask(stage, "gpu.wait", "{'scanout': 15, 'changed': true}"),
        -EINVAL, "/params/scanout", "there is no scanout 15: the last is 1");
}

/* ---- gpu.resize ---- */

static void a_headless_display_can_be_resized_and_unplugged(void **state)
{
    const struct display_one *d = stage->gpu.displays;

    (void)state;
    expect_done(stage,
                ask(stage, "gpu.resize", "{'width': 1280, 'height': 800}"),
                "{\"scanout\":0,\"width\":1280,\"height\":800,"
                "\"enabled\":true,\"was\":{\"width\":640,\"height\":480,"
                "\"enabled\":true}}");
    assert_int_equal(d[0].r.width, 1280);
    assert_int_equal(d[1].r.x, 1280); /* beside it */
    expect_done(stage, ask(stage, "gpu.resize", "{'enabled': false}"),
                "{\"scanout\":0,\"width\":1280,\"height\":800,"
                "\"enabled\":false,\"was\":{\"width\":1280,\"height\":800,"
                "\"enabled\":true}}");
    assert_false(d[0].enabled);
    assert_int_equal(d[1].r.x, 0);
    expect_error(
        stage, ask(stage, "gpu.resize", "{'scanout': 2, 'enabled': false}"),
        -EINVAL, "/params/scanout", "there is no scanout 2: the last is 1");
    stage->conf.display = GPU_DISPLAY_FRONT_END;
    expect_error(stage, ask(stage, "gpu.resize", "{'enabled': true}"), -EPERM,
                 "/params/device", "the front-end decides *");
    assert_false(d[0].enabled);
}

/* ---- parameters ---- */

static void what_does_not_go_together_is_refused(void **state)
{
#define ONE                                                                    \
    "one thing to wait for is wanted: changed, settled_ms, hash or picture"
    (void)state;
    expect_refused("gpu.wait", "{}", "", ONE);
    expect_refused("gpu.wait", "{'changed': true, 'settled_ms': 5}", "",
                   "only " ONE);
    expect_refused("gpu.wait", "{'changed': false}", "/changed",
                   "can only be true");
    expect_refused("gpu.wait",
                   "{'settled_ms': 5, 'from': "
                   "'0dfadfbda63f81ca8622ef2530339d2b'}",
                   "/from", "goes with changed");
    expect_refused("gpu.wait", "{'changed': true, 'tolerance': 5}",
                   "/tolerance", "goes with picture");
    expect_refused("gpu.wait", "{'changed': true, 'max_different': 5}",
                   "/max_different", "goes with picture");
    expect_refused("gpu.wait", "{'hash': 'abc'}", "/hash",
                   "is no hash: those have 32 hexadecimal digits");
    expect_refused("gpu.wait", "{'hash': '0dfadfbda63f81ca8622ef2530339d2g'}",
                   "/hash", "is no hash: those have 32 hexadecimal digits");
    expect_refused("gpu.resize", "{}", "",
                   "nothing is to be changed: say width and height, or "
                   "enabled");
    expect_refused("gpu.resize", "{'width': 5}", "/height",
                   "is missing: the two go together");
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, set_up, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_change_of_a_pixel_is_a_change_and_a_flush_is_not),
        TEST(what_changes_right_after_the_call_is_a_change),
        TEST(a_change_from_a_hash_may_have_been_before),
        TEST(another_size_is_a_change),
        TEST(who_waits_for_another_picture_has_a_turn),
        TEST(another_scanout_is_of_no_interest),
        TEST(a_cursor_that_moves_changes_the_picture_it_is_in),
        TEST(a_picture_has_settled_when_it_has_been_the_same_for_long),
        TEST(a_guest_that_draws_the_same_again_and_again_settles),
        TEST(a_guest_that_never_rests_does_not_settle),
        TEST(a_hash_is_waited_for),
        TEST(a_reference_is_waited_for),
        TEST(a_reference_may_differ_a_little),
        TEST(a_reference_that_cannot_be_read_is_told),
        TEST(what_a_mask_hides_is_no_change),
        TEST(a_clock_does_not_keep_a_picture_from_settling),
        TEST(a_reference_is_not_compared_where_a_mask_is),
        TEST(a_masked_picture_has_one_hash),
        TEST(masks_may_be_outside),
        TEST(many_wait_with_masks),
        TEST(masks_have_bounds),
        TEST(a_scanout_that_is_off_is_waited_for),
        TEST(what_is_not_there_in_time_is_told),
        TEST(a_call_that_is_given_up_is_answered_at_once),
        TEST(pictures_are_taken_a_few_at_a_time),
        TEST(a_device_that_closes_answers_all),
        TEST(calls_may_be_given_up_at_any_time),
        TEST(there_is_an_end_of_calls_that_wait),
        TEST(a_screenshot_is_a_file_and_its_hash),
        TEST(a_screenshot_has_the_format_of_its_ending_unless_told),
        TEST(a_screenshot_that_cannot_be_is_told),
        TEST(a_headless_display_can_be_resized_and_unplugged),
        TEST(what_does_not_go_together_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
