/* A replay that another process goes on with: where it is. */
#include "device/input/codes.h"
#include "device/input/replay_impl.h"

enum {
    NOTE_AT,
    NOTE_FRAME,
    NOTE_FROM,
    NOTE_PASSES,
    NOTE_BEGAN_NS, /* of a clock that all processes of the host share */
    NOTE_PLAYING,
    NOTE_COUNT, /* of which recording */
    NOTE_USEC,
};

void replay_note(struct replay *r)
{
    uint64_t *word = r->source.note.word;

    word[NOTE_AT] = r->at;
    word[NOTE_FRAME] = r->frame;
    word[NOTE_FROM] = r->from;
    word[NOTE_PASSES] = r->passes;
    word[NOTE_BEGAN_NS] = r->began_ns;
    word[NOTE_PLAYING] = r->playing;
    word[NOTE_COUNT] = r->rec.count;
    word[NOTE_USEC] = r->rec.usec;
    r->source.host->noted(&r->source);
}

/* Between two frames of the recording? Behind the last one a replay is only
 * when all is over. */
static bool is_border(const struct replay *r, uint64_t at)
{
    const struct recorded *ev = r->rec.events;

    if (at == r->rec.count)
        return replay_is_over(r);
    return at < r->rec.count && (at == 0 || (ev[at - 1].type == EV_SYN &&
                                             ev[at - 1].code == SYN_REPORT));
}

/* A position that there is not is that of another recording, or of somebody who
 * means no good. */
void replay_recall(struct source *s)
{
    struct replay *r = replay_of(s);
    const uint64_t *word = s->note.word;

    r->passes = word[NOTE_PASSES];
    if (word[NOTE_COUNT] != r->rec.count || word[NOTE_USEC] != r->rec.usec ||
        !is_border(r, word[NOTE_AT]) || !is_border(r, word[NOTE_FROM]) ||
        word[NOTE_FROM] > word[NOTE_AT] || word[NOTE_FRAME] > r->rec.frames) {
        r->passes = 0;
        return;
    }
    r->at = word[NOTE_AT];
    r->from = word[NOTE_FROM];
    r->frame = word[NOTE_FRAME];
    r->began_ns = MIN(word[NOTE_BEGAN_NS], loop_now_ns());
    r->recalled = word[NOTE_PLAYING] && !replay_is_over(r);
}

/* What is held since `from`. The rest the guest knows, for it is as it was. */
void replay_go_on(struct source *s, const struct input_state *known)
{
    struct replay *r = replay_of(s);

    (void)known;
    framing_forget(&r->framing);
    for (size_t i = r->from; i < r->at; i++) {
        const struct recorded *ev = &r->rec.events[i];

        framing_assume(&r->framing,
                       &(struct input_event16){ev->type, ev->code, ev->value},
                       1);
    }
    r->attended = true;
    r->playing = r->recalled;
    r->recalled = false;
    if (r->playing)
        timer_start(&r->timer, 0);
}
