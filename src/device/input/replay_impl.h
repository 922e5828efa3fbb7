/* device/input/replay_impl.h: what the files of source `replay` share. */
#ifndef VUB_DEVICE_INPUT_REPLAY_IMPL_H
#define VUB_DEVICE_INPUT_REPLAY_IMPL_H

#include "device/input/framing.h"
#include "device/input/recording.h"
#include "loop/timer.h"

enum pace { PACE_REALTIME, PACE_ASAP, PACE_STEP };

struct replay_conf {
    const char *path;
    uint32_t device, loops;
    unsigned pace, begin;
};

struct replay {
    struct source source;
    const struct replay_conf *conf;
    struct recording rec;
    struct framing framing;
    struct loop *loop; /* NULL: not started, or stopped */
    struct timer timer;
    struct defer pump;
    bool attended, playing;
    bool recalled;   /* it played, in another process or until it was paused */
    size_t at;       /* the next event */
    size_t frame;    /* the next frame */
    size_t from;     /* where it began, with nothing held */
    uint64_t passes; /* whole ones */
    uint64_t began_ns; /* when this pass did, or would have: realtime */
    unsigned under_way;
    bool refused;       /* one of those under way did not arrive */
    struct call *call;  /* a start or step that waits for the guest */
    uint64_t not_taken; /* frames, since vub started */
    void (*gone)(struct source *s);
};

static inline struct replay *replay_of(struct source *s)
{
    return container_of(s, struct replay, source);
}

static inline bool replay_is_over(const struct replay *r)
{
    return r->conf->loops && r->passes >= r->conf->loops;
}

/* replay_keep.c: rows of the table, and that its place is another now. */
void replay_note(struct replay *r);
void replay_recall(struct source *s);
void replay_go_on(struct source *s, const struct input_state *known);

#endif
