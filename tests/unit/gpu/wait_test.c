/* gpu.wait, called as the control socket would; and what its parameters, and
 * those of gpu.resize, may be. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "device/gpu/kept.h"
#include "device/gpu/picture.h"
#include "stage.h"

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
    expect_canceled(stage, first);
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

static void a_reference_is_waited_for(void **state)
{
    static const char *const paths[] = {"a.png", "a.ppm"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(paths); i++) {
        struct asked *a;

        save_picture(stage, paths[i]);
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
    save_picture(stage, "a.png");
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
    save_picture(stage, "a.png");
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
    expect_canceled(stage, a[0]);
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
    save_picture(stage, "a.png");
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

#define TEST(f)                                                                \
    cmocka_unit_test_setup_teardown(f, stage_show_up, stage_tear_down)

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
        TEST(what_does_not_go_together_is_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
