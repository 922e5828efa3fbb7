/* Calls about pictures that nobody waits for any more, and how many there may
 * be. */
#include <errno.h>

#include "device/gpu/kept.h"
#include "stage.h"

static void a_call_that_is_given_up_is_answered_at_once(void **state)
{
    struct asked *a[6];

    (void)state;
    save_picture(stage, "a.png");
    a[0] = ask(stage, "gpu.wait", "{'changed': true}"); /* with a thread */
    a[1] = ask(stage, "gpu.wait", "{'changed': true}"); /* behind it */
    a[2] = ask(stage, "gpu.wait", "{'picture': 'a.png'}");
    a[3] = ask(stage, "gpu.hash", "{}");
    a[4] = ask(stage, "gpu.screenshot", "{'path': 'b.png'}");
    a[5] = ask(stage, "gpu.wait", "{'changed': true, 'scanout': 1}");
    for (int i = 0; i < 6; i++) {
        assert_false(a[i]->answered);
        a[i]->call.cancel(&a[i]->call);
        expect_canceled(stage, a[i]);
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
    expect_canceled(stage, a[7]);
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
    save_picture(stage, "a.png");
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
    save_picture(stage, "a.png");
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
            expect_canceled(stage, a);
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
    expect_canceled(stage, a[0]);
    expect_done(stage, ask(stage, "gpu.hash", "{}"), "{*}");
    stage_set(stage, 9, 9, 1);
    for (int i = 1; i < KEPT_MAX; i++)
        expect_done(stage, a[i], ANSWER);
}

#define TEST(f)                                                                \
    cmocka_unit_test_setup_teardown(f, stage_show_up, stage_tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(a_call_that_is_given_up_is_answered_at_once),
        TEST(pictures_are_taken_a_few_at_a_time),
        TEST(a_device_that_closes_answers_all),
        TEST(calls_may_be_given_up_at_any_time),
        TEST(there_is_an_end_of_calls_that_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
