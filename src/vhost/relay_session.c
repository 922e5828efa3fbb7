/* A front-end of an isolated device: its messages to the child, answers back.
 *
 * What is asked of a child, in this order:
 *
 *     hello     protocol features: those that the relay needs itself, REPLY_ACK
 *               and INFLIGHT_SHMFD. They are acked whatever the front-end acks
 *     features  does it offer what the front-end has acked?
 *     queues    how many, of the first child
 *     reset     if a guest has ended, and no child was there to see that
 *     told      the transcript: what the front-end has said to those before it
 *     front     the message that the front-end waits for, and the next ones
 *
 * The front-end reads answers as it asked for them, each once; what it cannot
 * have by what it has acked it is refused here.
 *
 * Without a record of the requests in flight those of a dead child would be
 * lost. If the front-end has none when it gives the first ring its kick, the
 * relay makes one, and says so to the child before. A ring that has stopped has
 * nothing in flight: its part is as fresh then, for the front-end knows nothing
 * of a record and may start the ring anywhere. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/message.h"
#include "vhost/relay_impl.h"
#include "virtio/device.h"

/* In the padding of SET_INFLIGHT_FD: the record is a relay's, for a vub that
 * takes over. A front-end that says so too gets its stopped rings' records
 * cleared. */
#define RECORD_IS_OURS 0x76756272u

#define HELLO (PROTO_REPLY_ACK | PROTO_INFLIGHT_SHMFD)
/* Until the front-end has said what it acks. */
#define HELLO_FIRST (HELLO | PROTO_MQ | PROTO_RESET_DEVICE)

static void pass_message(struct relay_session *s);
static void tell_next(struct relay_session *s);

/* ---- asking ---- */

static void ask_u64(struct relay_session *s, enum relay_asked asked,
                    uint32_t request, uint64_t value)
{
    const bool get = message_has_answer(request);
    const struct msg_header h = {
        request, MSG_VERSION | (get ? 0 : MSG_NEED_REPLY),
        get || request == MSG_RESET_DEVICE ? 0 : sizeof(value)};

    relay_ask(s, asked, &h, &value, NULL, 0);
}

/* Passes m on, with copies of its fds. False: there are none to be had. */
static bool ask_message(struct relay_session *s, enum relay_asked asked,
                        const struct msg *m, bool need_reply)
{
    struct msg_header h = m->header;
    union msg_payload payload = m->payload;
    int fds[SOCK_FDS_MAX];
    unsigned num = 0;

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

static void no_fds(struct relay_session *s)
{
    relay_session_end(s, LOG_ERROR,
                      "there are no file descriptors left for "
                      "what it has sent");
}

/* ---- the front-end's message ---- */

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

/* value is not 0: it was refused. fatal: the front-end cannot be told, and
 * would go on as if it had been done. */
static void ack(struct relay_session *s, uint64_t value, bool fatal)
{
    char why[80], name[32];

    if (wants_ack(s, s->msg)) {
        answer_u64(s, value);
    } else if (value && fatal) {
        snprintf(why, sizeof(why), "%s was refused",
                 msg_name(s->msg->header.request, name));
        relay_session_end(s, LOG_ERROR, why);
        return;
    }
    message_is_done(s);
}

static void refuse(struct relay_session *s, bool fatal, const char *why)
{
    char name[32];

    log_limited(relay_limit(s->relay, RELAY_LINE_REFUSED), LOG_WARN,
                s->relay->conf.id, "refused %s: %s",
                msg_name(s->msg->header.request, name), why);
    ack(s, 1, fatal);
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
        no_fds(s);
    } else if (inflight_open(&s->record, m.fds[0], m.payload.inflight.mmap_size,
                             0, s->num_queues, size, &e) < 0) {
        transcript_undone(s->said);
        relay_session_end(s, LOG_ERROR, e.text);
    } else {
        s->heard = true;
        if (!ask_message(s, ASKED_RECORD, &m, true))
            no_fds(s);
    }
    close(m.fds[0]);
}

static void record_is_set(struct relay_session *s, bool done)
{
    s->heard = false;
    if (!done) {
        transcript_undone(s->said);
        relay_session_lie(s, "takes no record of its requests in flight");
        return;
    }
    transcript_done(s->said, NULL);
    s->has_record = true;
    pass_message(s);
}

static void drop_record(struct relay_session *s)
{
    inflight_unref(s->record);
    s->record = NULL;
}

static void drop_display(struct relay_session *s)
{
    relay_display_close(s->display);
    s->display = NULL;
}

/* A child may die in the middle of what it shows, so that comes by here: it
 * gets a socket of ours. */
static bool take_display(struct relay_session *s, const struct msg *m)
{
    int fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (!sock_adopt(fd) || sock_is_own(fd)) {
        closer_fd(s->relay->closer, fd);
        return false;
    }
    drop_display(s);
    s->display = relay_display_open(s->relay, s, fd);
    return s->display != NULL;
}

/* GPU_SET_SOCKET, to a child. */
static bool ask_display(struct relay_session *s, enum relay_asked asked,
                        const struct msg *m)
{
    struct msg other = {.header = m->header,
                        .payload = m->payload,
                        .fds = {relay_display_connect(s->display)},
                        .num_fds = 1};
    bool sent;

    if (other.fds[0] < 0)
        return false;
    sent = ask_message(s, asked, &other, true);
    close(other.fds[0]);
    return sent;
}

/* To the child that is here and asked nothing. */
static void pass_message(struct relay_session *s)
{
    const struct msg *m = s->msg;
    uint32_t request = m->header.request;
    char why[MESSAGE_WHY];
    bool sent;

    if (!message_form(m, why)) {
        /* Whoever serves the device ends the session. */
        if (!ask_message(s, ASKED_FRONT, m, true))
            no_fds(s);
        return;
    }
    if (msg_is_known(request) && !message_is_allowed(request, s->protocol)) {
        refuse(s, false, "its protocol feature is not acked");
        return;
    }
    if (request == MSG_SET_VRING_KICK && !s->has_record) {
        make_record(s);
        return;
    }
    if (request == MSG_GPU_SET_SOCKET && !take_display(s, m)) {
        refuse(s, true, "its fd is not a connected unix stream socket");
        return;
    }
    s->heard = request != MSG_SET_CONFIG || !s->relay->conf.config_acts;
    if (s->heard && transcript_hear(s->said, m) < 0) {
        s->heard = false;
        no_fds(s);
        return;
    }
    /* What was not offered the child passes over. */
    if (request == MSG_SET_FEATURES)
        transcript_narrow(s->said, s->offered);
    if (request == MSG_GPU_SET_SOCKET)
        sent = ask_display(s, ASKED_FRONT, m);
    else
        sent = ask_message(s, ASKED_FRONT, m,
                           !message_has_answer(request) || wants_ack(s, m));
    if (!sent)
        no_fds(s);
}

/* What follows for us from a message that the child has done. */
static void note_done(struct relay_session *s, const struct msg *m)
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
        drop_record(s);
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
        drop_record(s);
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

/* The child has answered the front-end's message. */
static void message_is_answered(struct relay_session *s, struct msg *reply)
{
    bool own = message_has_answer(s->msg->header.request);
    bool done = is_done(s, reply);

    if (s->heard) {
        s->heard = false;
        if (done) {
            transcript_done(s->said, own ? reply : NULL);
            note_done(s, s->msg);
        } else {
            transcript_undone(s->said);
        }
    }
    if (s->msg->header.request == MSG_GET_FEATURES)
        s->offered = reply->payload.u64;
    if (!own) {
        if (!done && s->msg->header.request == MSG_GPU_SET_SOCKET)
            drop_display(s);
        ack(s, reply->payload.u64, refusal_is_fatal(s));
        return;
    }
    conn_send_fds(&s->front, &reply->header, &reply->payload, reply->fds,
                  reply->num_fds);
    reply->num_fds = 0; /* the connection's now */
    message_is_done(s);
}

static void on_message(struct conn *c, struct msg *m)
{
    struct relay_session *s = container_of(c, struct relay_session, front);

    if (s->ending)
        return;
    s->msg = m;
    if (s->leg && s->told && s->asked == ASKED_NOTHING)
        pass_message(s);
}

/* ---- telling a child what was said ---- */

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
        relay_session_lie(s, "has no number of queues that can be");
        return;
    }
    s->num_queues = (unsigned)num;
    s->at = 0;
    if (s->relay->reset_due)
        ask_u64(s, ASKED_RESET, MSG_RESET_DEVICE, 0);
    else
        tell_next(s);
}

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
            sent = ask_display(s, ASKED_TOLD, m);
        } else {
            sent = ask_message(s, ASKED_TOLD, m,
                               !message_has_answer(m->header.request));
        }
        if (!sent)
            no_fds(s);
        return;
    }
    s->told = true;
    s->asked = ASKED_NOTHING;
    s->at = 0;
    if (s->arriving) {
        s->arriving = false;
        s->front.shared = !s->relay->conf.path;
        if (s->display)
            relay_display_share(s->display, false);
        relay_session_arrived(s->relay, NULL);
        conn_next(&s->front);
    }
    if (s->msg)
        pass_message(s);
    else if (s->parting)
        relay_session_part(s);
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
        relay_session_lie(s, what);
        return;
    }
    if (s->question.request == MSG_SET_VRING_KICK)
        s->leg_runs = true;
    s->at++;
    tell_next(s);
}

/* ---- answers ---- */

void relay_session_answered(struct relay_session *s, struct msg *m)
{
    uint64_t value = m->payload.u64;
    enum relay_asked asked = s->asked;

    s->asked = ASKED_NOTHING;
    switch (asked) {
    case ASKED_HELLO:
        if (value != 0)
            relay_session_lie(s, "refuses the protocol features it offers");
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
    case ASKED_TOLD:
        on_told(s, m);
        break;
    case ASKED_RECORD:
        record_is_set(s, value == 0);
        break;
    case ASKED_FRONT:
        message_is_answered(s, m);
        break;
    case ASKED_BASE:
        if (m->payload.state.index == s->at)
            relay_session_base(s, m->payload.state.num);
        else
            relay_session_lie(s, "answers for another ring");
        break;
    case ASKED_NOTHING:
        break;
    }
}

/* ---- children ---- */

void relay_session_child_here(struct relay_session *s)
{
    if (s->ending)
        return;
    s->told = s->leg_runs = false;
    if (!relay_leg_open(s))
        return;
    ask_u64(s, ASKED_HELLO, MSG_SET_PROTOCOL_FEATURES, HELLO_FIRST);
}

void relay_session_child_lost(struct relay_session *s)
{
    if (s->ending)
        return;
    if (s->asked == ASKED_RECORD)
        drop_record(s); /* made again, with s->msg */
    if (s->heard)
        transcript_undone(s->said);
    s->heard = false;
    s->told = false;
    relay_leg_close(s);
    if (s->display)
        relay_display_disconnect(s->display);
    if (s->parting)
        relay_session_part(s);
}

/* ---- life ---- */

static void on_half_done(struct conn *c)
{
    relay_session_half_done(
        container_of(c, struct relay_session, front)->relay);
}

static void on_sent(struct conn *c)
{
    relay_session_part(container_of(c, struct relay_session, front));
}

static void on_broken(struct conn *c, bool mistake, const char *why)
{
    struct relay_session *s = container_of(c, struct relay_session, front);

    /* A VMM that stops its rings and hangs up has ended, and its guest too: a
     * child that has run these rings sees that itself. */
    if (!mistake && s->has_run && !s->rings &&
        !(s->leg_runs && s->leg && !s->leg->ended))
        s->relay->reset_due = true;
    /* A child says so too, as soon as it sees it. */
    relay_session_end(s,
                      mistake  ? LOG_ERROR
                      : s->leg ? LOG_DEBUG
                               : LOG_INFO,
                      why);
}

static void on_gone(struct conn *c)
{
    struct relay_session *s = container_of(c, struct relay_session, front);
    struct relay *r = s->relay;

    transcript_free(s->said);
    drop_record(s);
    free(s);
    relay_session_over(r);
}

void relay_session_end(struct relay_session *s, enum log_level level,
                       const char *why)
{
    struct relay *r = s->relay;

    if (s->ending)
        return;
    s->ending = true;
    if (why)
        log_limited(relay_limit(r, RELAY_LINE_GONE), level, r->conf.id,
                    "front-end (process %d, user %u) is gone: %s", s->pid,
                    s->uid, why);
    relay_tell(r, &(struct endpoint_event){.what = ENDPOINT_DISCONNECTED,
                                           .pid = s->pid,
                                           .uid = s->uid,
                                           .why = why ? why : "it has gone"});
    conn_close(&s->front);
    relay_leg_close(s);
    drop_display(s);
    relay_session_ending(r, s);
}

/* What another process's relay has heard. */
static void recall(struct relay_session *s)
{
    for (unsigned i = 0; i < transcript_count(s->said); i++) {
        const struct msg *m = transcript_at(s->said, i);
        const struct msg_inflight *in = &m->payload.inflight;
        struct err e;

        if (m->header.request == MSG_SET_FEATURES)
            s->offered = m->payload.u64;
        note_done(s, m);
        if (m->header.request == MSG_GPU_SET_SOCKET && take_display(s, m))
            relay_display_share(s->display, true);
        if (m->header.request == MSG_SET_INFLIGHT_FD &&
            m->header.size == sizeof(*in) && in->padding == RECORD_IS_OURS &&
            inflight_open(&s->record, m->fds[0], in->mmap_size, in->mmap_offset,
                          in->num_queues, in->queue_size, &e) < 0)
            s->record = NULL; /* it stays, as if it were the front-end's */
    }
}

struct relay_session *relay_session_new(struct relay *r,
                                        const struct endpoint_visitor *v)
{
    struct relay_session *s = calloc(1, sizeof(*s));
    struct transcript *said = v->said ? v->said : transcript_new(r->closer);
    int fd = v->fd;

    if (!s || !said)
        goto fail;
    s->relay = r;
    s->pid = v->pid;
    s->uid = v->uid;
    s->said = said;
    s->arriving = v->said != NULL;
    s->front.closer = r->closer;
    /* Who gave it may keep it, or go on with it. */
    s->front.shared = !r->conf.path || s->arriving;
    s->front.later = s->arriving;
    s->front.message = on_message;
    s->front.broken = on_broken;
    s->front.half_done = on_half_done;
    s->front.gone = on_gone;
    s->front.sent = on_sent;
    if (conn_open(&s->front, r->conf.home, fd) < 0) {
        fd = -1;
        goto fail;
    }
    recall(s);
    relay_tell(r, &(struct endpoint_event){.what = ENDPOINT_CONNECTED,
                                           .pid = s->pid,
                                           .uid = s->uid});
    return s;
fail:
    transcript_free(said);
    free(s);
    if (fd >= 0)
        close(fd);
    return NULL;
}
