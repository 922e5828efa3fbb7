/* A front-end of an isolated device: its life, and which child it has.
 *
 * One message of its at a time is under way (relay_pass.c). Before a child gets
 * it, it is told what was said to those before it (relay_tell.c); if it is lost
 * the message waits for the next one. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "vhost/relay_impl.h"

/* ---- what it has ---- */

void relay_session_no_fds(struct relay_session *s)
{
    relay_session_end(s, LOG_ERROR,
                      "there are no file descriptors left for "
                      "what it has sent");
}

void relay_session_drop_record(struct relay_session *s)
{
    inflight_unref(s->record);
    s->record = NULL;
}

void relay_session_drop_display(struct relay_session *s)
{
    relay_display_close(s->display);
    s->display = NULL;
}

/* A child may die in the middle of what it shows, so that comes by here: it
 * gets a socket of ours. */
bool relay_session_take_display(struct relay_session *s, const struct msg *m)
{
    int fd = fcntl(m->fds[0], F_DUPFD_CLOEXEC, 0);

    if (fd < 0)
        return false;
    if (!sock_adopt(fd) || sock_is_own(fd)) {
        closer_fd(s->relay->closer, fd);
        return false;
    }
    relay_session_drop_display(s);
    s->display = relay_display_open(s->relay, s, fd);
    return s->display != NULL;
}

/* ---- messages ---- */

static void on_message(struct conn *c, struct msg *m)
{
    struct relay_session *s = container_of(c, struct relay_session, front);

    if (s->ending)
        return;
    s->msg = m;
    if (s->leg && s->told && s->asked == ASKED_NOTHING)
        relay_session_pass(s);
}

/* ---- answers ---- */

void relay_session_answered(struct relay_session *s, struct msg *m)
{
    uint64_t value = m->payload.u64;
    enum relay_asked asked = s->asked;

    s->asked = ASKED_NOTHING;
    switch (asked) {
    case ASKED_HELLO:
    case ASKED_FEATURES:
    case ASKED_QUEUES:
    case ASKED_RESET:
    case ASKED_TOLD:
        relay_session_told(s, asked, m);
        break;
    case ASKED_RECORD:
        relay_session_record_set(s, value == 0);
        break;
    case ASKED_FRONT:
        relay_session_message_answered(s, m);
        break;
    case ASKED_BASE:
        if (m->payload.state.index == s->at)
            relay_session_base(s, m->payload.state.num);
        else
            relay_session_child_wrong(s, "answers for another ring");
        break;
    case ASKED_NOTHING:
        break;
    }
}

/* ---- children ---- */

void relay_session_child_lost(struct relay_session *s)
{
    if (s->child_ends)
        relay_session_end(s, LOG_ERROR, "it sent what no message is");
    if (s->ending)
        return;
    if (s->asked == ASKED_RECORD)
        relay_session_drop_record(s); /* made again, with s->msg */
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

    /* The child says what is wrong, as if it had come there. */
    if (mistake && c->in.header.size > sizeof(c->in.payload) && s->leg &&
        s->told && s->asked == ASKED_NOTHING) {
        conn_send_header(&s->leg->conn, &c->in.header);
        relay_leg_expect_end(s->leg);
        s->child_ends = true;
        return;
    }
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
    relay_session_drop_record(s);
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
    if (level == LOG_DEBUG)
        log_debug(r->conf.id, "nothing more is relayed: %s", why ? why : "-");
    else if (why && level == LOG_INFO && !conn_has_said(&s->front))
        log_debug(r->conf.id,
                  "process %d, user %u, has said nothing and is gone: %s",
                  s->pid, s->uid, why);
    else if (why)
        log_limited(relay_limit(r, RELAY_LINE_GONE), level, r->conf.id,
                    "front-end (process %d, user %u) is gone: %s", s->pid,
                    s->uid, why);
    relay_tell(r, &(struct endpoint_event){.what = ENDPOINT_DISCONNECTED,
                                           .pid = s->pid,
                                           .uid = s->uid,
                                           .why = why ? why : "it has gone"});
    conn_close(&s->front);
    relay_leg_close(s);
    relay_session_drop_display(s);
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
        relay_session_note(s, m);
        if (m->header.request == MSG_GPU_SET_SOCKET &&
            relay_session_take_display(s, m))
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
