/* What a child is asked before it hears the front-end, in this order:
 *
 *     hello     protocol features: those that the relay needs itself, REPLY_ACK
 *               and INFLIGHT_SHMFD. They are acked whatever the front-end acks
 *     features  does it offer what the front-end has acked?
 *     queues    how many, of the first child
 *     reset     if a guest has ended, and no child was there to see that
 *     told      the transcript: what the front-end has said to those before it
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "vhost/message.h"
#include "vhost/relay_impl.h"
#include "virtio/device.h"

#define HELLO (PROTO_REPLY_ACK | PROTO_INFLIGHT_SHMFD)
/* Until the front-end has said what it acks. */
#define HELLO_FIRST (HELLO | PROTO_MQ | PROTO_RESET_DEVICE)

/* ---- asking ---- */

static void ask_u64(struct relay_session *s, enum relay_asked asked,
                    uint32_t request, uint64_t value)
{
    const bool get = message_has_answer(request);
    const struct msg_header h = {
        request, MSG_VERSION | MSG_OF_RELAY | (get ? 0 : MSG_NEED_REPLY),
        get || request == MSG_RESET_DEVICE ? 0 : sizeof(value)};

    relay_ask(s, asked, &h, &value, NULL, 0);
}

bool relay_ask_message(struct relay_session *s, enum relay_asked asked,
                       const struct msg *m, bool need_reply)
{
    struct msg_header h = m->header;
    union msg_payload payload = m->payload;
    int fds[SOCK_FDS_MAX];
    unsigned num = 0;

    h.flags &= ~(MSG_SUSPENDS | MSG_OF_RELAY);
    h.flags = need_reply ? h.flags | MSG_NEED_REPLY : h.flags & ~MSG_NEED_REPLY;
    h.size = MIN(h.size, (uint32_t)sizeof(payload));
    if (h.request == MSG_SET_PROTOCOL_FEATURES && h.size == sizeof(payload.u64))
        payload.u64 |= HELLO;
    for (; num < MIN(m->num_fds, (unsigned)SOCK_FDS_MAX); num++) {
        fds[num] = fcntl(m->fds[num], F_DUPFD_CLOEXEC, 0);
        if (fds[num] < 0) {
            while (num > 0)
                closer_fd(s->relay->closer, fds[--num]);
            return false;
        }
    }
    relay_ask(s, asked, &h, &payload, fds, num);
    return true;
}

bool relay_ask_display(struct relay_session *s, enum relay_asked asked,
                       const struct msg *m)
{
    struct msg other = {.header = m->header,
                        .payload = m->payload,
                        .fds = {relay_display_connect(s->display)},
                        .num_fds = 1};
    bool sent;

    if (other.fds[0] < 0)
        return false;
    sent = relay_ask_message(s, asked, &other, true);
    close(other.fds[0]);
    return sent;
}

/* ---- telling ---- */

/* Message `at` of the transcript, or the front-end's if there is none. */
static void tell_next(struct relay_session *s)
{
    const struct msg *m;
    bool sent;

    for (; s->at < transcript_count(s->said); s->at++) {
        m = transcript_at(s->said, s->at);
        if (m->header.request == MSG_GPU_SET_SOCKET) {
            if (!s->display || relay_display_is_lost(s->display))
                continue;
            sent = relay_ask_display(s, ASKED_TOLD, m);
        } else {
            sent = relay_ask_message(s, ASKED_TOLD, m,
                                     !message_has_answer(m->header.request));
        }
        if (!sent)
            relay_session_no_fds(s);
        return;
    }
    s->told = true;
    s->asked = ASKED_NOTHING;
    s->at = 0;
    relay_session_knows(s->relay);
    if (s->arriving) {
        s->arriving = false;
        s->front.shared = !s->relay->conf.path;
        if (s->display)
            relay_display_share(s->display, false);
        relay_session_arrived(s->relay, NULL);
        conn_next(&s->front);
    }
    if (s->msg)
        relay_session_pass(s);
    else if (s->parting)
        relay_session_part(s);
}

static void on_features(struct relay_session *s, uint64_t offered)
{
    char why[120];

    if (s->features & ~offered) {
        snprintf(why, sizeof(why),
                 "the device does not offer features any more that it has "
                 "acked: 0x%" PRIx64,
                 s->features & ~offered);
        relay_session_end(s, LOG_ERROR, why);
        return;
    }
    if (s->num_queues == 0) {
        s->offered = offered;
        ask_u64(s, ASKED_QUEUES, MSG_GET_QUEUE_NUM, 0);
    } else {
        s->at = 0;
        tell_next(s);
    }
}

static void on_queues(struct relay_session *s, uint64_t num)
{
    if (num < 1 || num > DEVICE_MAX_QUEUES) {
        relay_session_child_wrong(s, "has no number of queues that can be");
        return;
    }
    s->num_queues = (unsigned)num;
    s->at = 0;
    if (s->relay->reset_due)
        ask_u64(s, ASKED_RESET, MSG_RESET_DEVICE, 0);
    else
        tell_next(s);
}

static void on_told(struct relay_session *s, const struct msg *reply)
{
    char what[120], name[32];

    if (s->question.request != MSG_GET_CONFIG && reply->payload.u64 != 0 &&
        s->question.request != MSG_GPU_SET_SOCKET) {
        snprintf(what, sizeof(what),
                 "refuses %s, which those before it did "
                 "not",
                 msg_name(s->question.request, name));
        relay_session_child_wrong(s, what);
        return;
    }
    if (s->question.request == MSG_SET_VRING_KICK)
        s->leg_runs = true;
    s->at++;
    tell_next(s);
}

void relay_session_told(struct relay_session *s, enum relay_asked asked,
                        const struct msg *m)
{
    uint64_t value = m->payload.u64;

    switch (asked) {
    case ASKED_HELLO:
        if (value != 0)
            relay_session_child_wrong(
                s, "refuses the protocol features it offers");
        else
            ask_u64(s, ASKED_FEATURES, MSG_GET_FEATURES, 0);
        break;
    case ASKED_FEATURES:
        on_features(s, value);
        break;
    case ASKED_QUEUES:
        on_queues(s, value);
        break;
    case ASKED_RESET:
        s->relay->reset_due = false;
        tell_next(s);
        break;
    default:
        on_told(s, m);
        break;
    }
}

void relay_session_child_here(struct relay_session *s)
{
    if (s->ending)
        return;
    s->told = s->leg_runs = false;
    if (!relay_leg_open(s))
        return;
    ask_u64(s, ASKED_HELLO, MSG_SET_PROTOCOL_FEATURES, HELLO_FIRST);
}
