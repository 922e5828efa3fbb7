/* Input devices that have much to do, or whose driver goes in the middle: the
 * worker that they share with others is there for those. */
#include "desk.h"

#define KEYBOARD KEY("other", "keyboard")

/* A vub with a keyboard, and a replay "r" of this recording. */
static struct vub *start_replay(const char *recording, const char *keys,
                                const char *more)
{
    struct vub *v = vub_new();
    FILE *f = fopen(vub_path(v, "recording"), "we");

    assert_non_null(f);
    fputs(recording, f);
    assert_int_equal(fclose(f), 0);
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', 'devices': [" //
                     KEYBOARD ", {'id': 'r', 'type': 'input', 'source': {"
                     "'type': 'replay', 'path': 'recording'%s}%s}]}",
                     v->dir, keys, more);
    vub_run(v);
    return v;
}

/* Its keyboard brings a key to its guest, and it can be told to stop. */
static void still_works(struct vub *v)
{
    struct input *in = input_new(v, "other", NULL, 4);
    struct ctl c;

    ctl_open(&c, v);
    ctl_call(&c, "input.type", "{'device': 'other', 'text': 'b'}");
    input_need_frame(in, EVKEY, KEY_B, 1);
    input_need_frame(in, EVKEY, KEY_B, 0);
    ctl_need(&c, "\"characters\":1");
    ctl_call(&c, "status", "{'device': 'r'}");
    ctl_need(&c, "\"answers\":true");
    ctl_call(&c, "input.replay", "{'device': 'r', 'action': 'stop'}");
    ctl_need(&c, "\"playing\":false");
    input_free(in);
    ctl_close(&c);
}

static const char tap[] = "B: 01 00 00 00 40 00 00 00 00\n" /* KEY_A */
                          "E: 0.000000 0001 001e 1\n"
                          "E: 0.000000 0000 0000 0\n"
                          "E: 0.000000 0001 001e 0\n"
                          "E: 0.000000 0000 0000 0\n";

/* The device has KEY_A too. */
static const char both[] = "B: 01 00 00 00 40 00 00 01 00\n"
                           "E: 0.000000 0001 0030 1\n"
                           "E: 0.000000 0000 0000 0\n"
                           "E: 0.000000 0001 0030 0\n"
                           "E: 0.000000 0000 0000 0\n";

static void a_replay_of_which_nothing_is_left_keeps_nobody_waiting(void **state)
{
    static const char *const paces[] = {"asap", "realtime"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(paces); i++) {
        char keys[100];
        struct vub *v;
        struct input *in;

        snprintf(keys, sizeof(keys), ", 'pace': '%s', 'loops': 0", paces[i]);
        v = start_replay(both, keys, ", 'filter': {'mask': 'KEY_B'}");
        in = input_new(v, "r", NULL, 4);
        still_works(v);
        assert_int_equal(vq_used(in->events), 0);
        input_free(in);
        vub_free(v);
    }
}

static void
a_replay_that_the_guest_takes_at_once_keeps_nobody_waiting(void **state)
{
    struct vub *v = start_replay(tap, ", 'pace': 'asap', 'loops': 0", "");
    struct input *in = input_new(v, "r", NULL, 64);

    (void)state;
    for (unsigned i = 0; i < 1000; i++) {
        input_need_frame(in, EVKEY, KEY_A, 1);
        input_need_frame(in, EVKEY, KEY_A, 0);
    }
    still_works(v);
    input_free(in);
    vub_free(v);
}

/* All of it is late as soon as it begins. */
static void a_long_replay_in_no_time_keeps_nobody_waiting(void **state)
{
    enum { FRAMES = 200000 };
    static const char frame[] = "E: 0.000000 0001 001e 1\n"
                                "E: 0.000000 0000 0000 0\n"
                                "E: 0.000000 0001 001e 0\n"
                                "E: 0.000000 0000 0000 0\n";
    static const char head[] = "B: 01 00 00 00 40 00 00 00 00\n";
    char *text = malloc(sizeof(head) + FRAMES / 2 * sizeof(frame)), *at = text;
    struct vub *v;
    struct input *in;
    struct ctl c;

    (void)state;
    assert_non_null(text);
    at += sprintf(at, "%s", head);
    for (unsigned i = 0; i < FRAMES / 2; i++)
        at += sprintf(at, "%s", frame);
    v = start_replay(text, ", 'start': 'command'", "");
    free(text);
    in = input_new(v, "r", NULL, 4);
    ctl_open(&c, v);
    ctl_call(&c, "input.replay", "{'device': 'r', 'action': 'start'}");
    still_works(v);
    input_free(in);
    ctl_close(&c);
    vub_free(v);
}

static void a_text_ends_with_the_driver_it_was_typed_to(void **state)
{
    struct desk d = desk_open(KEYBOARD, "other", NULL, 64);

    (void)state;
    ctl_call(&d.c, "input.type",
             "{'device': 'other', 'text': 'az', 'pace_ms': 3600000}");
    input_need_frame(d.in, EVKEY, KEY_A, 1);
    input_need_frame(d.in, EVKEY, KEY_A, 0);
    input_free(d.in);
    ctl_need(&d.c, "the guest has gone; characters that have arrived: 1");
    /* Nothing of it comes to the next one, and the keyboard is free. */
    d.in = input_new(d.v, "other", NULL, 64);
    ctl_call(&d.c, "input.type", "{'device': 'other', 'text': 'b'}");
    input_need_frame(d.in, EVKEY, KEY_B, 1);
    input_need_frame(d.in, EVKEY, KEY_B, 0);
    ctl_need(&d.c, "\"characters\":1");
    desk_close(&d);
}

static void a_text_ends_with_the_client_that_asked_for_it(void **state)
{
    struct vub *v = ctl_start(KEYBOARD);
    struct input *in = input_new(v, "other", NULL, 64);
    struct ctl c, other;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&other, v);
    ctl_call(&c, "input.type",
             "{'device': 'other', 'text': 'az', 'pace_ms': 3600000}");
    input_need_frame(in, EVKEY, KEY_A, 1);
    input_need_frame(in, EVKEY, KEY_A, 0);
    ctl_call(&other, "input.type", "{'device': 'other', 'text': 'b'}");
    ctl_need(&other, "another text is being typed on it");
    ctl_close(&c);
    /* That it has gone is seen in the turn of the first call, if not before. */
    for (unsigned i = 0; i < 2; i++) {
        ctl_call(&other, "log.level", "{'level': 'debug'}");
        ctl_need(&other, "result");
    }
    ctl_call(&other, "input.type", "{'device': 'other', 'text': 'b'}");
    input_need_frame(in, EVKEY, KEY_B, 1);
    input_need_frame(in, EVKEY, KEY_B, 0);
    ctl_need(&other, "\"characters\":1");
    input_free(in);
    ctl_close(&other);
    vub_free(v);
}

BEHAVE_MAIN(T(a_replay_of_which_nothing_is_left_keeps_nobody_waiting),
            T(a_replay_that_the_guest_takes_at_once_keeps_nobody_waiting),
            T(a_long_replay_in_no_time_keeps_nobody_waiting),
            T(a_text_ends_with_the_driver_it_was_typed_to),
            T(a_text_ends_with_the_client_that_asked_for_it))
