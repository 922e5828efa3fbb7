/* Source replay: pace, loops, commands, and what is left held. */
#include "replay_rig.h"

/* ---- pace ---- */

static void realtime_keeps_the_times(void **state)
{
    uint64_t began;

    (void)state;
    open_replay("");
    began = loop_now_ns();
    source->ops->attend(source, true);
    run_until(4);
    assert_key(0, KEY_A, 1);
    assert_key(1, KEY_S, 1);
    assert_key(2, KEY_S, 0);
    assert_key(3, KEY_A, 0); /* released at the end */
    /* Never early. How late each is, the first too, is the machine's. */
    assert_true(frames[1].at_ns - began >= 19000000);
    assert_true(frames[2].at_ns - began >= 39000000);
    close_replay();
}

static void what_is_late_goes_at_once_and_lateness_does_not_add_up(void **state)
{
    uint64_t attended, began;

    (void)state;
    open_replay(", \"loops\": 3");
    attended = loop_now_ns();
    source->ops->attend(source, true);
    run_until(1);
    began = loop_now_ns();
    usleep(70000); /* the loop is stuck; 40 ms would be one pass */
    run_until(7);  /* what is late of the first pass, and of the second */
    assert_true(loop_now_ns() - began < 100000000 + UINT64_C(1000000000));
    run_until(12);
    assert_true(frames[11].at_ns - attended >= 118000000);
    close_replay();
}

static void asap_waits_for_the_guest_only(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"asap\", \"loops\": 100");
    guest_takes = false;
    source->ops->attend(source, true);
    turn_for(20);
    assert_in_range(num_frames, 8, 9); /* a window, and a release */
    guest_takes = true;
    timer_start(&taking, 0);
    run_until(400);
    turn_for(20);
    assert_int_equal(num_frames, 400);
    close_replay();
}

static void for_ever_is_for_ever(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"asap\", \"loops\": 0");
    source->ops->attend(source, true);
    run_until(3000);
    tell("stop");
    assert_int_equal(answer_err.code, 0);
    close_replay();
}

static void a_recording_without_length_does_not_spin(void **state)
{
    uint64_t began, ms;

    (void)state;
    open_text("B: 01 00 00 00 c0 00 00 00 00\n"
              "E: 0.000000 0001 001e 1\n"
              "E: 0.000000 0000 0000 0\n",
              ", \"loops\": 0");
    began = loop_now_ns();
    source->ops->attend(source, true);
    turn_for(50);
    ms =
        (loop_now_ns() - began) / 1000000 + 1; /* of a machine that may stall */
    assert_in_range(num_frames, 2, 2 * ms + 2); /* down and up */
    close_replay();
}

/* ---- steps and commands ---- */

static void steps_are_answered_when_the_guest_has_taken_them(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"step\"");
    tell("step");
    assert_refused("no driver of a guest listens");
    source->ops->attend(source, true);
    turn_for(5);
    assert_int_equal(num_frames, 0);
    guest_takes = false;
    tell("step");
    turn_for(5);
    assert_int_equal(num_frames, 1);
    assert_false(answered);
    tell("step");
    assert_refused("another call is not done yet");
    close_replay();
}

static void steps_go_to_the_end(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"step\"");
    source->ops->attend(source, true);
    tell("step");
    wait_answer("\"frame\":1,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    tell("step");
    wait_answer("\"frame\":2,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    tell("step");
    wait_answer("\"frame\":3,\"frames\":3,\"passes\":1,"
                "\"playing\":false");
    assert_int_equal(num_frames, 4); /* KEY_A is released */
    tell("step");
    assert_refused("it is at its end: rewind it first");
    tell("start");
    assert_refused("its pace is \"step\": there is nothing to start");
    tell("rewind");
    wait_answer("\"frame\":0,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    tell("step");
    wait_answer("\"frame\":1,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    assert_key(4, KEY_A, 1);
    close_replay();
}

static void a_start_is_answered_at_the_end(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"asap\", \"start\": \"command\", \"loops\": 2");
    source->ops->attend(source, true);
    turn_for(5);
    assert_int_equal(num_frames, 0);
    tell("start");
    wait_answer("\"frame\":3,\"frames\":3,\"passes\":2,"
                "\"playing\":false");
    assert_int_equal(num_frames, 8);
    assert_int_equal(num_taken, 8);
    tell("start"); /* again */
    wait_answer("\"frame\":3,\"frames\":3,\"passes\":2,"
                "\"playing\":false");
    assert_int_equal(num_frames, 16);
    close_replay();
}

static void a_stop_releases_and_a_start_goes_on(void **state)
{
    (void)state;
    open_replay(", \"start\": \"command\"");
    source->ops->attend(source, true);
    tell("start");
    run_until(2);
    tell("stop");
    wait_answer("\"frame\":2,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    assert_int_equal(num_frames, 3);
    assert_int_equal(frames[2].n, 3); /* both keys, and SYN_REPORT */
    turn_for(60);
    assert_int_equal(num_frames, 3);
    tell("start");
    wait_answer("\"frame\":3,\"frames\":3,\"passes\":1,"
                "\"playing\":false");
    assert_int_equal(num_frames, 4); /* KEY_S up; nothing is held */
    close_replay();
}

static void a_driver_that_goes_ends_it(void **state)
{
    (void)state;
    open_replay(", \"start\": \"command\"");
    tell("start");
    assert_refused("no driver of a guest listens");
    source->ops->attend(source, true);
    tell("start");
    run_until(1);
    source->ops->attend(source, false);
    assert_refused("the guest's driver has gone");
    turn_for(60);
    assert_int_equal(num_frames, 2);
    assert_key(1, KEY_A, 0);
    close_replay();
}

static void each_connection_begins_anew(void **state)
{
    (void)state;
    open_replay("");
    source->ops->attend(source, true);
    run_until(2);
    source->ops->attend(source, false);
    source->ops->attend(source, true);
    run_until(4);
    assert_int_equal(frames[2].n, 3); /* both keys go up */
    assert_key(3, KEY_A, 1);
    close_replay();
}

static void what_is_not_taken_is_told(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"step\"");
    source->ops->attend(source, true);
    guest_takes = false;
    tell("step");
    take(1, false);
    run();
    assert_refused("the guest has not taken all of it");
    close_replay();
}

static void who_does_not_wait_is_answered(void **state)
{
    (void)state;
    open_replay(", \"start\": \"command\"");
    source->ops->attend(source, true);
    tell("start");
    call.cancel(&call);
    assert_true(answered);
    run_until(4); /* it goes on */
    close_replay();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(realtime_keeps_the_times),
        cmocka_unit_test(
            what_is_late_goes_at_once_and_lateness_does_not_add_up),
        cmocka_unit_test(asap_waits_for_the_guest_only),
        cmocka_unit_test(for_ever_is_for_ever),
        cmocka_unit_test(a_recording_without_length_does_not_spin),
        cmocka_unit_test(steps_are_answered_when_the_guest_has_taken_them),
        cmocka_unit_test(steps_go_to_the_end),
        cmocka_unit_test(a_start_is_answered_at_the_end),
        cmocka_unit_test(a_stop_releases_and_a_start_goes_on),
        cmocka_unit_test(a_driver_that_goes_ends_it),
        cmocka_unit_test(each_connection_begins_anew),
        cmocka_unit_test(what_is_not_taken_is_told),
        cmocka_unit_test(who_does_not_wait_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
