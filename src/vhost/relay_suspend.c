/* How a relay hands its front-end on: as vhost/suspend.c, but that the rings
 * are another process's.
 *
 * The display is left first, while messages are still passed on: what is under
 * way there goes to its end, and what was asked is answered. Then, between two
 * messages, the child is asked where each ring is, which stops it. If no child
 * is here there is nothing to ask: the record has what is in flight, and
 * whoever goes on is told the transcript, as the next child would be. */
#include <errno.h>

#include "vhost/relay_impl.h"
#include "virtio/device.h"

/* What a child needs to drain its rings it knows itself. */
#define PART_MS 3000

static void hand_on(struct relay_session *s)
{
    const struct endpoint_visitor v = {
        .fd = conn_release(&s->front),
        .pid = s->pid,
        .uid = s->uid,
        .said = s->said,
        .has_run = true,
    };

    s->ending = true;
    transcript_set_closer(s->said, NULL);
    s->said = NULL;
    if (s->display) {
        relay_display_share(s->display, true);
        relay_display_close(s->display);
        s->display = NULL;
    }
    relay_leg_park(s);
    relay_session_handed_on(s->relay, s, &v);
}

void relay_session_part(struct relay_session *s)
{
    if (s->ending || s->asked != ASKED_NOTHING || s->msg ||
        !conn_is_between(&s->front))
        return;
    while (s->at < DEVICE_MAX_QUEUES && !(s->rings >> s->at & 1))
        s->at++;
    if (s->at < DEVICE_MAX_QUEUES && s->leg && s->told) {
        const struct msg_vring_state state = {s->at, 0};
        const struct msg_header h = {MSG_GET_VRING_BASE,
                                     MSG_VERSION | MSG_SUSPENDS, sizeof(state)};

        relay_ask(s, ASKED_BASE, &h, &state, NULL, 0);
        return;
    }
    hand_on(s);
}

void relay_session_base(struct relay_session *s, uint32_t base)
{
    transcript_set_base(s->said, s->at, base);
    if (s->record)
        inflight_renew(s->record, s->at);
    s->at++;
    relay_session_part(s);
}

void relay_session_display_left(struct relay_session *s, bool whole)
{
    if (s->ending || s->parting)
        return;
    if (!whole) {
        transcript_forget_display(s->said);
        relay_display_close(s->display);
        s->display = NULL;
    }
    s->leaving = false;
    s->parting = true;
    s->at = 0;
    conn_pause(&s->front);
    timer_start(&s->relay->timer, PART_MS);
    relay_session_part(s);
}

void relay_session_suspend(struct relay_session *s)
{
    if (s->display && !relay_display_is_lost(s->display)) {
        s->leaving = true;
        relay_display_leave(s->display);
    } else {
        relay_session_display_left(s, false);
    }
}

void relay_session_late(struct relay_session *s)
{
    if (!s->parting)
        relay_session_display_left(s, false);
    else if (s->asked != ASKED_BASE) /* it drains, which has an end */
        relay_session_end(s, LOG_WARN, "it could not be handed on in time");
}
