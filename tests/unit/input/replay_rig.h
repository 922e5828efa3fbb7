/* tests/unit/input/replay_rig.h: a source replay, with a device and a guest
 * that are made up. One a program. */
#ifndef VUB_TESTS_UNIT_INPUT_REPLAY_RIG_H
#define VUB_TESTS_UNIT_INPUT_REPLAY_RIG_H

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

static inline void take(unsigned count, bool taken)
{
    for (; count > 0 && num_taken < num_frames; count--) {
        struct frame *f = &frames[num_taken++];

        if (f->sent)
            f->sent(f->arg, taken);
    }
}

static inline void on_taking(struct timer *t)
{
    (void)t;
    take(num_frames, true);
}

static inline enum frame_fate
on_frame(struct source *s, const struct input_event16 *ev, unsigned n,
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

static inline void nobody_cares(struct source *s)
{
    assert_ptr_equal(s, source);
}

static const struct source_host host = {.frame = on_frame,
                                        .noted = nobody_cares,
                                        .hold = nobody_cares,
                                        .release = nobody_cares};

static inline void on_answered(struct call *c, const struct err *e)
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

static inline void on_limit(struct timer *t)
{
    (void)t;
    fail_msg("nothing happens: %u frames came", num_frames);
}

/* A replay of `text` with these keys more in its config. */
static inline void open_text(const char *text, const char *keys)
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

static inline void open_replay(const char *keys)
{
    open_text(recording, keys);
}

static inline void run(void)
{
    loop.stopping = false;
    loop_run(&loop);
}

static inline void on_gone(struct source *s)
{
    assert_ptr_equal(s, source);
    stopped = true;
    loop_stop(&loop);
}

static inline void close_replay(void)
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
static inline void run_until(unsigned count)
{
    stop_at = count;
    if (num_frames < count)
        run();
    assert_true(num_frames >= count);
    stop_at = 0;
}

static inline void do_later(struct timer *t)
{
    (void)t;
    loop_stop(&loop);
}

/* The loop turns for some time, in which something would happen. */
static inline void turn_for(uint64_t ms)
{
    struct timer t = {.fire = do_later};

    timer_open(&t, &loop);
    timer_start(&t, ms);
    run();
    timer_close(&t);
    uv_run(&loop.uv, UV_RUN_NOWAIT);
}

static inline void tell(const char *action)
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

static inline void wait_answer(const char *text)
{
    if (!answered)
        run();
    assert_true(answered);
    if (answer_err.code)
        fail_msg("%s", answer_err.text);
    assert_string_equal(answer_text, text);
}

static inline void assert_refused(const char *why)
{
    assert_true(answered);
    assert_true(answer_err.code < 0);
    assert_string_equal(answer_err.text, why);
}

static inline void assert_key(unsigned frame, unsigned code, int32_t value)
{
    assert_int_equal(frames[frame].first.type, EV_KEY);
    assert_int_equal(frames[frame].first.code, code);
    assert_int_equal(frames[frame].first.value, value);
}

#endif
