/* A front-end's message, on its way to the child, and the answer back.
 *
 * The front-end reads answers as it asked for them, each once; what it cannot
 * have by what it has acked it is refused here.
 *
 * Without a record of the requests in flight those of a dead child would be
 * lost. If the front-end has none when it gives the first ring its kick, the
 * relay makes one, and says so to the child before. A ring that has stopped has
 * nothing in flight: its part is as fresh then, for the front-end knows nothing
 * of a record and may start the ring anywhere. */
#include <fcntl.h>
#include <stdio.h>
#include <unistd.h>

#include "vhost/message.h"
#include "vhost/relay_impl.h"

static bool wants_ack(const struct relay_session *s, const struct msg *m)
{
    return (m->header.flags & MSG_NEED_REPLY) &&
           (s->protocol & PROTO_REPLY_ACK);
}

static void message_is_done(struct relay_session *s)
{
    s->msg = NULL;
    s->asked = ASKED_NOTHING;
    conn_next(&s->front);
    if (s->parting)
        relay_session_part(s);
}

static void answer_u64(struct relay_session *s, uint64_t value)
{
    const struct msg_header h = {s->msg->header.request,
                                 MSG_VERSION | MSG_REPLY, sizeof(value)};

    conn_send(&s->front, &h, &value, -1);
}

/* value is not 0: it was refused. */
static void ack(struct relay_session *s, uint64_t value)
{
    if (wants_ack(s, s->msg))
        answer_u64(s, value);
    message_is_done(s);
}

/* The front-end cannot be told, and would go on as if it had been done. The
 * child says why if it is not asked for an answer either. */
static void end_for_it(struct relay_session *s)
{
    if (relay_ask_message(s, ASKED_FRONT, s->msg, false))
        relay_leg_expect_end(s->leg);
    else
        relay_session_no_fds(s);
}

/* By the relay itself. fatal: as a child's refusal. */
static void refuse(struct relay_session *s, bool fatal, const char *why)
{
    char name[32], line[200];

    if (fatal && !wants_ack(s, s->msg)) {
        snprintf(line, sizeof(line), "%s: %s",
                 msg_name(s->msg->header.request, name), why);
        relay_session_end(s, LOG_ERROR, line);
        return;
    }
    log_limited(relay_limit(s->relay, RELAY_LINE_REFUSED), LOG_WARN,
                s->relay->conf.id, "refused %s: %s",
                msg_name(s->msg->header.request, name), why);
    ack(s, 1);
}

/* What a child does not know it passes over, as do we. It may show nothing. */
static bool refusal_is_fatal(const struct relay_session *s)
{
    uint32_t request = s->msg->header.request;

    return message_is_allowed(request, s->protocol) &&
           request != MSG_GPU_SET_SOCKET;
}

/* Ours, for a front-end that has none. */
static void make_record(struct relay_session *s)
{
    uint16_t size = s->relay->conf.queue_size;
    struct msg m = {
        .header = {MSG_SET_INFLIGHT_FD, MSG_VERSION,
                   sizeof(m.payload.inflight)},
        .payload.inflight = {inflight_bytes(s->num_queues, size), 0,
                             (uint16_t)s->num_queues, size, RECORD_IS_OURS},
        .num_fds = 1,
    };
    struct err e;

    if (inflight_create(s->num_queues, size, &m.fds[0], &e) < 0) {
        relay_session_end(s, LOG_ERROR, e.text);
        return;
    }
    if (transcript_hear(s->said, &m) < 0) {
        relay_session_no_fds(s);
    } else if (inflight_open(&s->record, m.fds[0], m.payload.inflight.mmap_size,
                             0, s->num_queues, size, &e) < 0) {
        transcript_undone(s->said);
        relay_session_end(s, LOG_ERROR, e.text);
    } else {
        s->heard = true;
        if (!relay_ask_message(s, ASKED_RECORD, &m, true))
            relay_session_no_fds(s);
    }
    close(m.fds[0]);
}

void relay_session_record_set(struct relay_session *s, bool done)
{
    s->heard = false;
    if (!done) {
        transcript_undone(s->said);
        relay_session_child_wrong(s,
                                  "takes no record of its requests in flight");
        return;
    }
    transcript_done(s->said, NULL);
    s->has_record = true;
    relay_session_pass(s);
}

/* What a child cannot see: what is sent and not read counts against us, and our
 * own end of a connection would keep it from hanging up. NULL: nothing. */
static const char *fault_here(const struct relay_session *s,
                              const struct msg *m)
{
    switch (m->header.request) {
    case MSG_GET_INFLIGHT_FD:
        return s->record_sent && conn_is_unread(&s->front)
                   ? "a record was sent already, and is not read yet"
                   : NULL;
    case MSG_SET_BACKEND_REQ_FD:
        return sock_is_own(m->fds[0])
                   ? "its fd is not a connected unix stream socket"
                   : NULL;
    default:
        return NULL;
    }
}

static bool hear(struct relay_session *s, const struct msg *m)
{
    uint32_t request = m->header.request;

    if (request == MSG_SET_CONFIG && s->relay->conf.config_acts)
        return true;
    s->heard = transcript_hear(s->said, m) == 0;
    /* What was not offered the child passes over. */
    if (s->heard && request == MSG_SET_FEATURES)
        transcript_narrow(s->said, s->offered);
    return s->heard;
}

static bool send_on(struct relay_session *s, const struct msg *m)
{
    if (m->header.request == MSG_GPU_SET_SOCKET)
        return relay_ask_display(s, ASKED_FRONT, m);
    return relay_ask_message(s, ASKED_FRONT, m,
                             !message_has_answer(m->header.request) ||
                                 wants_ack(s, m));
}

void relay_session_pass(struct relay_session *s)
{
    const struct msg *m = s->msg;
    uint32_t request = m->header.request;
    const char *why_not;
    char why[MESSAGE_WHY];

    if (!message_form(m, why)) {
        /* Whoever serves the device ends the session. */
        if (!relay_ask_message(s, ASKED_FRONT, m, true))
            relay_session_no_fds(s);
        return;
    }
    if (msg_is_known(request) && !message_is_allowed(request, s->protocol)) {
        refuse(s, false, "its protocol feature is not acked");
        return;
    }
    why_not = fault_here(s, m);
    if (why_not) {
        refuse(s, true, why_not);
        return;
    }
    if (request == MSG_SET_VRING_KICK && !s->has_record) {
        make_record(s);
        return;
    }
    if (request == MSG_GPU_SET_SOCKET && !relay_session_take_display(s, m)) {
        refuse(s, true, "its fd is not a connected unix stream socket");
        return;
    }
    if (hear(s, m) && send_on(s, m))
        return;
    if (s->heard)
        transcript_undone(s->said);
    s->heard = false;
    refuse(s, true, "vub cannot keep copies of its file descriptors");
}

void relay_session_note(struct relay_session *s, const struct msg *m)
{
    uint64_t value = m->payload.u64;
    uint64_t ring = UINT64_C(1) << (m->payload.state.index & 63);

    switch (m->header.request) {
    case MSG_SET_PROTOCOL_FEATURES:
        s->protocol = value;
        break;
    case MSG_SET_FEATURES:
        s->features = value & s->offered;
        break;
    case MSG_SET_INFLIGHT_FD:
        relay_session_drop_record(s);
        s->has_record = true;
        break;
    case MSG_SET_VRING_KICK:
        s->rings |= UINT64_C(1) << (value & 63);
        s->has_run = s->leg_runs = true;
        break;
    case MSG_GET_VRING_BASE:
        s->rings &= ~ring;
        if (s->record)
            inflight_renew(s->record, m->payload.state.index);
        break;
    case MSG_RESET_DEVICE:
        s->rings = 0;
        s->has_record = false;
        relay_session_drop_record(s);
        break;
    default:
        break;
    }
}

/* Is this answer that of a message that was done, or of a refused one? */
static bool is_done(const struct relay_session *s, const struct msg *reply)
{
    const struct msg *m = s->msg;

    switch (m->header.request) {
    case MSG_GET_VRING_BASE:
        return reply->payload.state.index == m->payload.state.index;
    case MSG_GET_INFLIGHT_FD:
        return reply->num_fds == 1 && reply->header.size == m->header.size;
    case MSG_SET_LOG_BASE:
        return reply->payload.u64 == 0;
    default:
        return message_has_answer(m->header.request) || reply->payload.u64 == 0;
    }
}

void relay_session_message_answered(struct relay_session *s, struct msg *reply)
{
    bool own = message_has_answer(s->msg->header.request);
    bool done = is_done(s, reply);

    if (s->heard) {
        s->heard = false;
        if (done) {
            transcript_done(s->said, own ? reply : NULL);
            relay_session_note(s, s->msg);
        } else {
            transcript_undone(s->said);
        }
    }
    if (s->msg->header.request == MSG_GET_FEATURES)
        s->offered = reply->payload.u64;
    if (!own) {
        if (!done && s->msg->header.request == MSG_GPU_SET_SOCKET)
            relay_session_drop_display(s);
        if (!done && refusal_is_fatal(s) && !wants_ack(s, s->msg))
            end_for_it(s);
        else
            ack(s, reply->payload.u64);
        return;
    }
    conn_send_fds(&s->front, &reply->header, &reply->payload, reply->fds,
                  reply->num_fds);
    s->record_sent |= reply->num_fds > 0;
    reply->num_fds = 0; /* the connection's now */
    message_is_done(s);
}
