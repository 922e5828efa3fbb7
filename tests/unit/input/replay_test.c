/* Source replay, with a device and a guest that are made up: pace, loops,
 * commands, and what is left held. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "conf/conf.h"
#include "device/input/codes.h"
#include "device/input/kinds.h"
#include "device/input/source.h"
#include "loop/loop.h"
#include "loop/timer.h"

/* ---- a device around the source ---- */

#define FRAMES_MAX 4096

struct frame {
    struct input_event16 first;
    unsigned n;
    uint64_t at_ns;
    void (*sent)(void *arg, bool taken);
    void *arg;
};

static struct loop loop;
static struct source *source;
static struct conf_doc *doc;
static struct timer limit;
static struct frame frames[FRAMES_MAX];
static unsigned num_frames, num_taken;
static unsigned num_ignored; /* frames that did not wait */
static unsigned stop_at;     /* frames, at which the loop is left; 0: none */
static enum frame_fate fate;
static bool guest_takes; /* at once */
static struct timer taking;
static bool answered, stopped;
static struct err answer_err;
static char answer_text[200];
static struct call call;

/* replay.c wants it for commands: our device is no struct device. */
struct source *input_source_of(struct device *d)
{
    (void)d;
    return source;
}

static void take(unsigned count, bool taken)
{
    for (; count > 0 && num_taken < num_frames; count--) {
        struct frame *f = &frames[num_taken++];

        if (f->sent)
            f->sent(f->arg, taken);
    }
}

static void on_taking(struct timer *t)
{
    (void)t;
    take(num_frames, true);
}

static enum frame_fate on_frame(struct source *s,
                                const struct input_event16 *ev, unsigned n,
                                void (*sent)(void *arg, bool taken), void *arg)
{
    assert_ptr_equal(s, source);
    if (fate != FRAME_WAITS) {
        num_ignored++;
        return fate;
    }
    assert_true(num_frames < FRAMES_MAX);
    frames[num_frames++] = (struct frame){ev[0], n, loop_now_ns(), sent, arg};
    if (guest_takes)
        timer_start(&taking, 0);
    if (num_frames == stop_at)
        loop_stop(&loop);
    return FRAME_WAITS;
}

static void nobody_cares(struct source *s)
{
    assert_ptr_equal(s, source);
}

static const struct source_host host = {.frame = on_frame,
                                        .noted = nobody_cares,
                                        .hold = nobody_cares,
                                        .release = nobody_cares};

static void on_answered(struct call *c, const struct err *e)
{
    assert_ptr_equal(c, &call);
    answered = true;
    answer_err = e ? *e : (struct err){0};
    snprintf(answer_text, sizeof(answer_text), "%s",
             c->out.text ? c->out.text : "");
    json_out_free(&c->out);
    loop_stop(&loop);
}

/* ---- helpers ---- */

static const char *const recording =
    "N: keys\n"
    "B: 01 00 00 00 c0 00 00 00 00\n" /* KEY_A, KEY_S */
    "E: 0.000000 0001 001e 1\n"
    "E: 0.000000 0000 0000 0\n"
    "E: 0.020000 0001 001f 1\n"
    "E: 0.020000 0000 0000 0\n"
    "E: 0.040000 0001 001f 0\n"
    "E: 0.040000 0000 0000 0\n"; /* KEY_A stays down */

static void on_limit(struct timer *t)
{
    (void)t;
    fail_msg("nothing happens: %u frames came", num_frames);
}

/* A replay of `text` with these keys more in its config. */
static void open_text(const char *text, const char *keys)
{
    static const struct conf_table *const tables[] = {&replay_table, NULL};
    static const struct conf_union kinds = {.what = "source", .tables = tables};
    static const struct conf_key root_keys[] = {
        {"source", CONF_UNION, 0, .required = true, .of = &kinds},
        {NULL},
    };
    static const struct conf_table root = {
        .name = "root", .size = sizeof(struct conf_any), .keys = root_keys};
    char path[] = "/tmp/vub-replay-XXXXXX", conf[300];
    int fd = mkstemp(path);
    struct errs e = ERRS_EMPTY;
    struct conf_any *any;
    const struct source_ops *ops;
    void *data = NULL;

    assert_int_equal(write(fd, text, strlen(text)), (ssize_t)strlen(text));
    close(fd);
    snprintf(conf, sizeof(conf),
             "{\"source\": {\"type\": \"replay\", \"path\": \"%s\"%s}}", path,
             keys);
    if (conf_read_text(&doc, &data, &root, conf, strlen(conf), "/", NULL, &e) <
        0)
        fail_msg("%s: %s", e.list[0].where, e.list[0].text);
    any = data;
    ops = any->table->ops;
    assert_int_equal(ops->open(&source, any, "id", &e), 0);
    unlink(path);
    source->ops = ops;
    source->id = "id";
    source->host = &host;
    num_frames = num_taken = num_ignored = stop_at = 0;
    fate = FRAME_WAITS;
    guest_takes = true;
    stopped = answered = false;
    assert_int_equal(loop_open(&loop, "test"), 0);
    limit.fire = on_limit;
    limit.gone = NULL;
    timer_open(&limit, &loop);
    taking.fire = on_taking;
    taking.gone = NULL;
    timer_open(&taking, &loop);
    timer_start(&limit, 20000);
    assert_int_equal(ops->start(source, &loop, NULL), 0);
}

static void open_replay(const char *keys)
{
    open_text(recording, keys);
}

static void run(void)
{
    loop.stopping = false;
    loop_run(&loop);
}

static void on_gone(struct source *s)
{
    assert_ptr_equal(s, source);
    stopped = true;
    loop_stop(&loop);
}

static void close_replay(void)
{
    source->ops->stop(source, on_gone);
    run();
    assert_true(stopped);
    take(num_frames, false); /* those still under way are told of */
    source->ops->close(source);
    timer_close(&taking);
    timer_close(&limit);
    loop_close(&loop);
    conf_free(doc);
}

/* Until there are so many frames, or some more. */
static void run_until(unsigned count)
{
    stop_at = count;
    if (num_frames < count)
        run();
    assert_true(num_frames >= count);
    stop_at = 0;
}

static void do_later(struct timer *t)
{
    (void)t;
    loop_stop(&loop);
}

/* The loop turns for some time, in which something would happen. */
static void turn_for(uint64_t ms)
{
    struct timer t = {.fire = do_later};

    timer_open(&t, &loop);
    timer_start(&t, ms);
    run();
    timer_close(&t);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static void tell(const char *action)
{
    static void *args;
    static struct conf_doc *args_doc;
    struct errs e = ERRS_EMPTY;
    char text[60];

    snprintf(text, sizeof(text), "{\"action\": \"%s\"}", action);
    assert_int_equal(conf_read_text(&args_doc, &args, &replay_command_table,
                                    text, strlen(text), "/", NULL, &e),
                     0);
    call = (struct call){.args = args, .answered = on_answered};
    answered = false;
    replay_command(NULL, &call);
    conf_free(args_doc);
}

static void wait_answer(const char *text)
{
    if (!answered)
        run();
    assert_true(answered);
    if (answer_err.code)
        fail_msg("%s", answer_err.text);
    assert_string_equal(answer_text, text);
}

static void assert_refused(const char *why)
{
    assert_true(answered);
    assert_true(answer_err.code < 0);
    assert_string_equal(answer_err.text, why);
}

static void assert_key(unsigned frame, unsigned code, int32_t value)
{
    assert_int_equal(frames[frame].first.type, EV_KEY);
    assert_int_equal(frames[frame].first.code, code);
    assert_int_equal(frames[frame].first.value, value);
}

/* ---- tests ---- */

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

/* ---- turns of the loop ---- */

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
        cmocka_unit_test(what_is_not_for_the_guest_ends_its_turn),
        cmocka_unit_test(what_is_lost_ends_a_turn_of_asap),
        cmocka_unit_test(what_is_late_is_played_in_bounded_turns),
        cmocka_unit_test(a_step_that_is_not_for_the_guest_is_answered),
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
