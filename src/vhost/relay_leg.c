/* A leg: the relay as a front-end, to the child.
 *
 * One question at a time, each of which has exactly one answer: NEED_REPLY is
 * on all that have none of their own. What comes that is no answer to the
 * question is wrong, and ends the session.
 *
 * A child that ends a session says so to its keeper, and then hangs up; one
 * that dies hangs up, and its keeper sees that it has died. Which of both it is
 * the leg cannot see: it waits to be told, some seconds. One that does neither,
 * and does not answer, hangs: its keeper is told. */
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/message.h"
#include "vhost/relay_impl.h"

#define PATIENCE_MS 5000

/* ---- handles ---- */

static void handle_gone(struct relay_leg *leg)
{
    struct relay *r = leg->relay;

    if (--leg->handles > 0)
        return;
    free(leg);
    relay_leg_over(r);
}

static void on_conn_gone(struct conn *c)
{
    handle_gone(container_of(c, struct relay_leg, conn));
}

static void on_timer_gone(struct timer *t)
{
    handle_gone(container_of(t, struct relay_leg, timer));
}

static void leg_close(struct relay_leg *leg)
{
    conn_close(&leg->conn);
    timer_close(&leg->timer);
}

/* s and its leg know no more of each other. */
static struct relay_leg *part(struct relay_session *s)
{
    struct relay_leg *leg = s->leg;

    if (leg)
        leg->session = NULL;
    s->leg = NULL;
    s->asked = ASKED_NOTHING;
    return leg;
}

void relay_leg_close(struct relay_session *s)
{
    struct relay_leg *leg = part(s);

    if (leg)
        leg_close(leg);
}

void relay_leg_park(struct relay_session *s)
{
    s->relay->parked = part(s);
}

void relay_leg_unpark(struct relay *r)
{
    if (r->parked)
        leg_close(r->parked);
    r->parked = NULL;
}

/* ---- what it says ---- */

void relay_session_child_wrong(struct relay_session *s, const char *what)
{
    char why[200];

    snprintf(why, sizeof(why), "the device's process %s", what);
    relay_session_end(s, LOG_ERROR, why);
}

/* Of an answer: an ack, a number or a state has 8 bytes; others are as long as
 * the question; a config that cannot be had is empty. */
static bool size_is_good(const struct msg_header *question, uint32_t size)
{
    switch (question->request) {
    case MSG_GET_CONFIG:
        return size == 0 || size == sizeof(uint64_t) || size == question->size;
    case MSG_GET_INFLIGHT_FD:
        return size == sizeof(uint64_t) || size == question->size;
    default:
        return size == sizeof(uint64_t);
    }
}

static void on_message(struct conn *c, struct msg *m)
{
    struct relay_leg *leg = container_of(c, struct relay_leg, conn);
    struct relay_session *s = leg->session;
    const struct msg_header *q;
    char what[100], name[32];

    if (!s || s->ending)
        return;
    q = &s->question;
    if (s->asked == ASKED_NOTHING || m->header.request != q->request ||
        m->header.flags != (MSG_VERSION | MSG_REPLY)) {
        relay_session_child_wrong(s, "says what it was not asked");
        return;
    }
    if (!size_is_good(q, m->header.size) ||
        m->num_fds > (q->request == MSG_GET_INFLIGHT_FD)) {
        snprintf(what, sizeof(what), "answers %s with %u bytes and %u fds",
                 msg_name(q->request, name), m->header.size, m->num_fds);
        relay_session_child_wrong(s, what);
        return;
    }
    if (!leg->ended && !leg->end_due)
        timer_stop(&leg->timer);
    relay_session_answered(s, m);
    /* The session may have another one, or none. */
    if (leg->session)
        conn_next(c);
}

static void on_broken(struct conn *c, bool mistake, const char *why)
{
    struct relay_leg *leg = container_of(c, struct relay_leg, conn);

    if (!leg->session)
        return;
    if (mistake) {
        relay_session_child_wrong(leg->session, "says what is no answer");
        return;
    }
    log_debug(leg->relay->conf.id, "the device's process: %s", why);
    leg->ended = true;
    timer_start(&leg->timer, PATIENCE_MS);
}

static void on_half_done(struct conn *c)
{
    (void)c; /* that is its front-end's loss */
}

static void tell_overdue(struct relay_leg *leg)
{
    struct relay *r = leg->relay;
    char name[32];

    if (leg->conn.choked) { /* we do not read it, for now */
        timer_start(&leg->timer, r->conf.answer_ms);
        return;
    }
    r->conf.overdue(r, msg_name(leg->session->question.request, name),
                    r->conf.arg);
}

static void on_timer(struct timer *t)
{
    struct relay_leg *leg = container_of(t, struct relay_leg, timer);

    if (!leg->session)
        return;
    if (leg->ended)
        relay_session_child_wrong(leg->session,
                                  "has hung up, and says nothing of it");
    else if (leg->end_due)
        relay_session_child_wrong(leg->session, "goes on with what is wrong");
    else if (conn_is_lost(&leg->conn))
        relay_session_child_wrong(leg->session, "cannot be sent a message");
    else
        tell_overdue(leg);
}

void relay_leg_expect_end(struct relay_leg *leg)
{
    leg->end_due = true;
    timer_start(&leg->timer, PATIENCE_MS);
}

bool relay_leg_open(struct relay_session *s)
{
    struct relay *r = s->relay;
    struct relay_leg *leg = calloc(1, sizeof(*leg));
    int pair[2], rc;

    rc = leg ? sock_pair(pair) : -ENOMEM;
    if (rc < 0)
        goto fail;
    leg->relay = r;
    leg->session = s;
    leg->number = ++r->last_leg;
    leg->conn.closer = r->closer;
    leg->conn.message = on_message;
    leg->conn.broken = on_broken;
    leg->conn.half_done = on_half_done;
    leg->conn.gone = on_conn_gone;
    leg->timer.fire = on_timer;
    leg->timer.gone = on_timer_gone;
    rc = conn_open(&leg->conn, r->conf.home, pair[0]);
    if (rc < 0) {
        close(pair[1]);
        goto fail;
    }
    timer_open(&leg->timer, r->conf.home);
    leg->handles = 2;
    r->legs++;
    s->leg = leg;
    rc = r->conf.pass(r, leg->number, pair[1], s->pid, s->uid, r->conf.arg);
    if (rc < 0) {
        log_debug(r->conf.id, "the device's process cannot be reached: %s",
                  strerror(-rc));
        relay_leg_close(s); /* relay_child_lost comes */
        return false;
    }
    return true;
fail:
    free(leg);
    relay_session_end(s, LOG_ERROR, strerror(-rc));
    return false;
}

void relay_ask(struct relay_session *s, enum relay_asked asked,
               const struct msg_header *h, const void *payload, const int *fds,
               unsigned num_fds)
{
    struct relay_leg *leg = s->leg;

    s->asked = asked;
    s->question = *h;
    conn_send_fds(&leg->conn, h, payload, fds, num_fds);
    /* It is dead, which is noticed by other means; or the system has too many
     * fds under way. */
    if (leg->ended)
        return;
    if (conn_is_lost(&leg->conn))
        timer_start(&leg->timer, PATIENCE_MS);
    else if (leg->relay->conf.answer_ms)
        timer_start(&leg->timer, leg->relay->conf.answer_ms);
}
