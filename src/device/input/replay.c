/* Source `replay`: what a device did once, again, as a recording has it.
 *
 *     {"type": "replay", "path": "login.evemu", "pace": "asap"}
 *
 * `realtime` keeps the times of the recording, against when it began: what is
 * late goes at once, and lateness does not add up. `asap` keeps a few frames
 * on their way, and goes on when the guest has taken one: no frame is lost,
 * however small the guest's ring is. `step` waits for the command. Nothing is
 * left held at the end, or when it is stopped.
 *
 * Where it is outlives the process (struct source_note): whoever goes on with a
 * driver goes on with the next frame, at its time.
 *
 * A turn of the loop is bounded by events, whatever the recording is like: by
 * the window, if the guest gets them, else by TURN_EVENTS. Frames stay whole,
 * which recordings have of bounded length. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/log.h"
#include "device/input/codes.h"
#include "device/input/kinds.h"
#include "device/input/replay_impl.h"

#define WINDOW 8 /* frames on their way to the guest, with asap */
/* Of late frames, and of those that the guest does not get, in one turn of the
 * loop, the rest of a frame not counted. */
#define TURN_EVENTS 512
#define NS_PER_US 1000u
#define NS_PER_MS 1000000u
#define NS_PER_S 1000000000u

enum begin { BEGIN_ON_CONNECT, BEGIN_COMMAND };
enum action { ACTION_START, ACTION_STOP, ACTION_STEP, ACTION_REWIND };

static const char *const pace_words[] = {"realtime", "asap", "step", NULL};
static const char *const begin_words[] = {"on_connect", "command", NULL};
static const char *const action_words[] = {"start", "stop", "step", "rewind",
                                           NULL};

/* ---- answers ---- */

static void add_position(struct replay *r, struct json_out *o)
{
    json_add_u64(o, "frame", r->frame);
    json_add_u64(o, "frames", r->rec.frames);
    json_add_u64(o, "passes", r->passes);
    json_add_bool(o, "playing", r->playing);
}

static void answer(struct replay *r, struct call *c)
{
    add_position(r, &c->out);
    call_done(c);
}

static void refuse(struct call *c, int code, const char *why)
{
    struct err e;

    err_set(&e, code, "", "%s", why);
    call_fail(c, &e);
}

/* The call that waits, if it need not any longer. */
static void answer_waiting(struct replay *r)
{
    struct call *c = r->call;

    if (!c || r->playing || r->under_way)
        return;
    r->call = NULL;
    if (r->refused)
        refuse(c, -EIO, "the guest has not taken all of it");
    else
        answer(r, c);
}

static void fail_waiting(struct replay *r, const char *why)
{
    struct call *c = r->call;

    r->call = NULL;
    if (c)
        refuse(c, -ENOTCONN, why);
}

/* ---- frames ---- */

static void note_lost(struct replay *r)
{
    r->refused = true;
    r->not_taken++;
}

static void on_sent(void *arg, bool taken)
{
    struct replay *r = arg;

    r->under_way--;
    if (!taken)
        note_lost(r);
    if (r->loop)
        loop_defer(r->loop, &r->pump);
}

static void on_frame(struct framing *f, const struct input_event16 *ev,
                     unsigned n)
{
    struct replay *r = container_of(f, struct replay, framing);

    switch (r->source.host->frame(&r->source, ev, n, on_sent, r)) {
    case FRAME_WAITS:
        r->under_way++;
        break;
    case FRAME_LOST:
        note_lost(r);
        break;
    case FRAME_EMPTY:
        break;
    }
}

static void end_pass(struct replay *r)
{
    framing_release(&r->framing);
    r->passes++;
    if (replay_is_over(r)) {
        r->playing = false;
        return;
    }
    r->at = r->frame = r->from = 0;
    /* A recording without length must not keep the loop busy. */
    r->began_ns += MAX(r->rec.usec * NS_PER_US, NS_PER_MS);
    /* A vub, or machine, that was asleep need not catch up with everything. */
    if (r->began_ns + NS_PER_S < loop_now_ns())
        r->began_ns = loop_now_ns();
}

/* One frame of the recording, and what its end brings. Returns how many events
 * that were. */
static size_t play_frame(struct replay *r)
{
    size_t first = r->at, count;
    const struct recorded *ev;

    r->source.host->hold(&r->source);
    do {
        ev = &r->rec.events[r->at++];
        framing_add(&r->framing, ev->type, ev->code, ev->value);
    } while (ev->type != EV_SYN || ev->code != SYN_REPORT);
    count = r->at - first;
    r->frame++;
    if (r->at == r->rec.count)
        end_pass(r);
    replay_note(r);
    r->source.host->release(&r->source);
    return count;
}

/* ms until the next frame is due; 0: now. */
static uint64_t wait_ms(const struct replay *r)
{
    uint64_t due = r->began_ns + r->rec.events[r->at].usec * NS_PER_US;
    uint64_t now = loop_now_ns();

    return due <= now ? 0 : (due - now + NS_PER_MS - 1) / NS_PER_MS;
}

static void play_realtime(struct replay *r)
{
    size_t played = 0;

    while (r->playing && played < TURN_EVENTS) {
        uint64_t ms = wait_ms(r);

        if (ms) {
            timer_start(&r->timer, ms);
            return;
        }
        played += play_frame(r);
    }
    if (r->playing)
        timer_start(&r->timer, 0);
}

/* The guest says when it goes on, if it was given anything. */
static void play_asap(struct replay *r)
{
    uint64_t lost = r->not_taken;
    size_t played = 0;

    while (r->playing && r->under_way < WINDOW && played < TURN_EVENTS &&
           r->not_taken == lost)
        played += play_frame(r);
    if (r->playing && r->under_way == 0)
        timer_start(&r->timer, 0);
}

static void play(struct replay *r)
{
    if (r->playing && r->conf->pace == PACE_REALTIME)
        play_realtime(r);
    else if (r->playing && r->conf->pace == PACE_ASAP)
        play_asap(r);
    answer_waiting(r);
}

static void on_pump(struct defer *d)
{
    struct replay *r = container_of(d, struct replay, pump);

    /* Realtime waits for its timer, which may be under way. */
    if (r->conf->pace == PACE_REALTIME)
        answer_waiting(r);
    else
        play(r);
}

static void on_timer(struct timer *t)
{
    play(container_of(t, struct replay, timer));
}

/* ---- start and stop ---- */

static void rewind_to_start(struct replay *r)
{
    r->at = r->frame = r->from = 0;
    r->passes = 0;
    replay_note(r);
}

static void begin(struct replay *r)
{
    if (replay_is_over(r))
        rewind_to_start(r);
    r->playing = true;
    r->refused = false;
    r->began_ns = loop_now_ns() - r->rec.events[r->at].usec * NS_PER_US;
    replay_note(r);
    timer_start(&r->timer, 0);
}

static void halt(struct replay *r)
{
    r->playing = false;
    r->from = r->at;
    timer_stop(&r->timer);
    r->source.host->hold(&r->source);
    framing_release(&r->framing);
    replay_note(r);
    r->source.host->release(&r->source);
}

static void replay_attend(struct source *s, bool listens)
{
    struct replay *r = replay_of(s);

    r->attended = listens;
    if (!listens) {
        halt(r); /* no guest hears of it, but the device does */
        fail_waiting(r, "the guest's driver has gone");
    } else if (r->conf->begin == BEGIN_ON_CONNECT) {
        rewind_to_start(r);
        if (r->conf->pace != PACE_STEP)
            begin(r);
    }
}

static void replay_pause(struct source *s)
{
    struct replay *r = replay_of(s);

    r->attended = false;
    r->recalled = r->playing;
    r->playing = false;
    timer_stop(&r->timer);
    fail_waiting(r, "another process goes on with it");
}

/* ---- the command ---- */

struct replay_args {
    unsigned action;
};

static void on_cancel(struct call *c)
{
    struct replay *r = c->user;

    r->call = NULL; /* what it began goes on */
    answer(r, c);
}

static void keep(struct replay *r, struct call *c)
{
    c->user = r;
    c->cancel = on_cancel;
    r->call = c;
}

/* A sentence, if r cannot play now. */
static const char *why_not(const struct replay *r, enum action action)
{
    if (!r->attended)
        return "no driver of a guest listens";
    if (r->playing)
        return "it plays already";
    if (r->call)
        return "another call is not done yet";
    if (action == ACTION_START && r->conf->pace == PACE_STEP)
        return "its pace is \"step\": there is nothing to start";
    if (action == ACTION_STEP && replay_is_over(r))
        return "it is at its end: rewind it first";
    return NULL;
}

/* With no end to wait for, or with one that may come much later, a start is
 * answered when it is over, or at once. */
static void run_start(struct replay *r, struct call *c)
{
    begin(r);
    if (r->conf->loops)
        keep(r, c);
    else
        answer(r, c);
}

static void run_step(struct replay *r, struct call *c)
{
    r->refused = false;
    keep(r, c);
    play_frame(r);
    answer_waiting(r); /* at once, if nothing of it is for the guest */
}

void replay_command(struct device *d, struct call *c)
{
    const struct replay_args *args = c->args;
    struct source *s = input_source_of(d);
    enum action action = args->action;
    const char *why = NULL;
    struct replay *r;

    if (strcmp(s->ops->type, "replay") != 0) {
        refuse(c, -EINVAL, "its source is no replay");
        return;
    }
    r = replay_of(s);
    if (action == ACTION_START || action == ACTION_STEP)
        why = why_not(r, action);
    if (why) {
        refuse(c, -EBUSY, why);
    } else if (action == ACTION_START) {
        run_start(r, c);
    } else if (action == ACTION_STEP) {
        run_step(r, c);
    } else {
        halt(r);
        if (action == ACTION_REWIND)
            rewind_to_start(r);
        answer_waiting(r);
        answer(r, c);
    }
}

static const struct conf_key args_keys[] = {
    {"action", CONF_CHOICE, CONF_AT(struct replay_args, action),
     .required = true, .words = action_words,
     .help = "\"start\" goes on from where it is, or from the beginning if "
             "it was at the end, and is answered when the guest has taken "
             "the last frame (at once, if loops is 0). \"step\" sends one "
             "frame and is answered when the guest has taken it. \"stop\" "
             "releases what is held, \"rewind\" also goes to the beginning."},
    {NULL},
};

const struct conf_table replay_command_table = {
    .name = "input.replay",
    .size = sizeof(struct replay_args),
    .keys = args_keys,
    .help = "What a replay is to do.",
};

/* ---- life ---- */

static int replay_open(struct source **out, const struct conf_any *c,
                       const char *id, struct errs *e)
{
    struct replay *r = calloc(1, sizeof(*r));
    const struct replay_conf *conf = c->data;
    struct err why;
    int rc;

    (void)id;
    if (!r)
        return errs_nomem(e);
    rc = recording_load(&r->rec, conf->path, conf->device, &why);
    if (rc < 0) {
        free(r);
        return errs_adopt(e, c->at, rc == -ENODEV ? "device" : "path", &why);
    }
    r->conf = conf;
    r->source.desc = r->rec.desc;
    framing_init(&r->framing, on_frame);
    *out = &r->source;
    return 0;
}

static void on_timer_gone(struct timer *t)
{
    struct replay *r = container_of(t, struct replay, timer);

    r->gone(&r->source);
}

static int replay_start(struct source *s, struct loop *home, struct err *e)
{
    struct replay *r = replay_of(s);

    (void)e;
    r->loop = home;
    r->timer.fire = on_timer;
    r->timer.gone = on_timer_gone;
    timer_open(&r->timer, home);
    defer_init(&r->pump, on_pump);
    return 0;
}

static void replay_stop(struct source *s, void (*gone)(struct source *s))
{
    struct replay *r = replay_of(s);

    r->gone = gone;
    r->playing = false;
    r->loop = NULL; /* frames under way may still be told of */
    fail_waiting(r, "vub stops");
    defer_cancel(&r->pump);
    timer_close(&r->timer);
}

static void replay_close(struct source *s)
{
    struct replay *r = replay_of(s);

    recording_free(&r->rec);
    free(r);
}

static void replay_describe(struct source *s, struct json_out *o)
{
    struct replay *r = replay_of(s);

    add_position(r, o);
    json_add_str(o, "pace", pace_words[r->conf->pace]);
    json_add_u64(o, "loops", r->conf->loops);
    json_add_u64(o, "frames_not_taken", r->not_taken);
}

static const struct source_ops replay_ops = {
    .type = "replay",
    .open = replay_open,
    .start = replay_start,
    .attend = replay_attend,
    .recall = replay_recall,
    .pause = replay_pause,
    .go_on = replay_go_on,
    .describe = replay_describe,
    .stop = replay_stop,
    .close = replay_close,
};

static const struct conf_key replay_keys[] = {
    {"path", CONF_PATH, CONF_AT(struct replay_conf, path), .only_read = true,
     .required = true,
     .help = "The recording: what evemu-record or `libinput record` wrote, of "
             "at most 64 MiB and 10 million events. It is read once, when vub "
             "starts."},
    {"device", CONF_U32, CONF_AT(struct replay_conf, device), .def = "0",
     .help = "Which device of a recording of several, counted from 0."},
    {"pace", CONF_CHOICE, CONF_AT(struct replay_conf, pace),
     .def = "\"realtime\"", .words = pace_words,
     .help = "\"realtime\": as it was recorded. \"asap\": as fast as the "
             "guest takes it, nothing is lost. \"step\": a frame for each "
             "command."},
    {"loops", CONF_U32, CONF_AT(struct replay_conf, loops), .def = "1",
     .help = "How often it is played; 0: for ever."},
    {"start", CONF_CHOICE, CONF_AT(struct replay_conf, begin),
     .def = "\"on_connect\"", .words = begin_words,
     .help = "\"on_connect\": from the beginning, each time that a driver "
             "begins to listen. \"command\": when input.replay says so."},
    {NULL},
};

const struct conf_table replay_table = {
    .name = "replay",
    .size = sizeof(struct replay_conf),
    .keys = replay_keys,
    .help = "Plays a recording of an input device.",
    .ops = &replay_ops,
};
