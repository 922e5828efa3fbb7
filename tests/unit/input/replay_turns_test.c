/* Source replay: however much there is to play, others have their turn. */
#include "replay_rig.h"

/* UV_RUN_ONCE runs timers twice: before it waits, and after. */
#define TURN_FRAMES 520

/* A recording of so many frames at one moment, each of one event. */
static void open_many(unsigned count, const char *keys)
{
    static const char frame[] = "E: 0.000000 0001 001e 1\n"
                                "E: 0.000000 0000 0000 0\n";
    static const char head[] = "B: 01 00 00 00 c0 00 00 00 00\n";
    char *text = malloc(sizeof(head) + count * sizeof(frame)), *at = text;

    assert_non_null(text);
    at += sprintf(at, "%s", head);
    for (unsigned i = 0; i < count; i++)
        at += sprintf(at, "%s", frame);
    open_text(text, keys);
    free(text);
}

static void what_is_not_for_the_guest_ends_its_turn(void **state)
{
    (void)state;
    open_many(10000, ", \"pace\": \"asap\", \"loops\": 0");
    fate = FRAME_EMPTY;
    source->ops->attend(source, true);
    while (num_ignored < 30000) {
        unsigned before = num_ignored;

        uv_run(&loop.uv, UV_RUN_ONCE);
        assert_in_range(num_ignored - before, 0, TURN_FRAMES);
    }
    tell("stop");
    assert_int_equal(answer_err.code, 0);
    close_replay();
}

static void what_is_lost_ends_a_turn_of_asap(void **state)
{
    (void)state;
    open_many(100, ", \"pace\": \"asap\", \"start\": \"command\"");
    fate = FRAME_LOST;
    source->ops->attend(source, true);
    tell("start");
    while (!answered) {
        unsigned before = num_ignored;

        uv_run(&loop.uv, UV_RUN_ONCE);
        assert_in_range(num_ignored - before, 0, 2); /* and a release */
    }
    assert_refused("the guest has not taken all of it");
    close_replay();
}

static void what_is_late_is_played_in_bounded_turns(void **state)
{
    unsigned before;

    (void)state;
    open_many(4000, "");
    source->ops->attend(source, true);
    do {
        before = num_frames;
        uv_run(&loop.uv, UV_RUN_ONCE);
        assert_in_range(num_frames - before, 0, TURN_FRAMES);
    } while (num_frames < 4000);
    close_replay();
}

static void a_step_that_is_not_for_the_guest_is_answered(void **state)
{
    (void)state;
    open_replay(", \"pace\": \"step\"");
    fate = FRAME_EMPTY;
    source->ops->attend(source, true);
    tell("step");
    wait_answer("\"frame\":1,\"frames\":3,\"passes\":0,"
                "\"playing\":false");
    close_replay();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_for_the_guest_ends_its_turn),
        cmocka_unit_test(what_is_lost_ends_a_turn_of_asap),
        cmocka_unit_test(what_is_late_is_played_in_bounded_turns),
        cmocka_unit_test(a_step_that_is_not_for_the_guest_is_answered),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
