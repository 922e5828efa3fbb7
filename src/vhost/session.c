/* A session: what a front-end has said so far, and who waits for whom.
 *
 * Holds are all there is to waiting. A message holds the session while it is
 * handled, and so does each command to a ring. When the last hold goes, rings
 * that have become ready are started (which may hold again), then the message
 * is answered and the next one read; or, if the session is ending, the next
 * step of its teardown is taken. */
#include "vhost/session.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "os/door.h"
#include "vhost/backend.h"
#include "vhost/endpoint_impl.h"
#include "virtio/spec.h"

/* What every device offers on top of its own: the ring's features. */
#define RING_FEATURES                                                          \
    (FEATURE(VIRTIO_F_VERSION_1) | FEATURE(VIRTIO_F_INDIRECT_DESC) |           \
     FEATURE(VIRTIO_F_EVENT_IDX) | FEATURE(VIRTIO_F_RING_PACKED) |             \
     FEATURE(VHOST_F_LOG_ALL) | FEATURE(VHOST_USER_F_PROTOCOL_FEATURES))

uint64_t session_offered(const struct device *d)
{
    return d->ops->features((struct device *)d) | RING_FEATURES;
}

/* ---- messages ---- */

static void on_message(struct conn *c, struct msg *m)
{
    session_handle(container_of(c, struct session, conn), m);
}

void session_reply(struct session *s, const void *payload, uint32_t len, int fd)
{
    const struct msg_header h = {s->msg->header.request,
                                 MSG_VERSION | MSG_REPLY, len};

    s->replied = true;
    if (s->telling) { /* it was answered elsewhere */
        if (fd >= 0)
            close(fd);
        return;
    }
    conn_send(&s->conn, &h, payload, fd);
}

bool session_runs(const struct session *s)
{
    for (unsigned i = 0; i < s->num_vrings; i++)
        if (s->vrings[i].set.started)
            return true;
    return false;
}

static void send_queued(struct session *s)
{
    if (!s->config_changed || s->msg || !s->backend ||
        !(s->protocol & PROTO_CONFIG))
        return;
    /* Spec, "Suspended device state": no messages while no ring runs. */
    if (!session_runs(s))
        return;
    s->config_changed = false;
    backend_config_change(s->backend);
}

static void finish_message(struct session *s)
{
    bool ack = (s->msg->header.flags & MSG_NEED_REPLY) &&
               (s->protocol & PROTO_REPLY_ACK);
    const char *name;
    char buf[32];

    if (s->result >= 0 && s->finish)
        s->finish(s);
    if (s->result < 0) {
        transcript_undone(s->said);
        name = msg_name(s->msg->header.request, buf);
        if (!ack || s->replied) {
            /* The front-end cannot be told, and would go on as if it had
             * been done. */
            char why[400];

            snprintf(why, sizeof(why), "%s%s: %s", name,
                     s->telling ? ", which another process has taken" : "",
                     s->err.text);
            s->msg = NULL;
            session_end(s, LOG_ERROR, why);
            return;
        }
        log_limited(endpoint_limit(s->endpoint, LINE_REFUSED), LOG_WARN,
                    s->device->id, "refused %s: %s", name, s->err.text);
    }
    transcript_done(s->said, NULL);
    if (ack && !s->replied) {
        const uint64_t value = s->result < 0;

        session_reply(s, &value, sizeof(value), -1);
    }
    s->msg = NULL;
    if (s->telling) {
        resume_next(s);
        return;
    }
    conn_next(&s->conn);
    send_queued(s);
}

void session_hold(struct session *s)
{
    s->holds++;
}

static void teardown(struct session *s);
static void part_when_idle(struct session *s);
static void part(struct session *s);

void session_release(struct session *s)
{
    assert(s->holds > 0);
    if (--s->holds > 0)
        return;
    if (s->ending) {
        teardown(s); /* may free s */
        return;
    }
    if (s->parting) {
        part(s);
        return;
    }
    /* What the message changed may let rings start; its answer says that they
     * have. */
    session_start_rings(s);
    if (s->holds > 0)
        return;
    if (s->msg) {
        finish_message(s);
    } else if (s->queued) {
        struct msg *m = s->queued;

        s->queued = NULL;
        session_handle(s, m);
    } else if (s->telling) {
        resume_next(s);
    } else {
        send_queued(s);
    }
    part_when_idle(s);
}

/* ---- the device ---- */

void session_device_started(struct session *s, const struct err *e)
{
    char why[300];

    if (s->device_state != DEVICE_STARTING)
        return;
    if (e) {
        s->device_state = DEVICE_STOPPED;
        snprintf(why, sizeof(why), "the device cannot start: %s", e->text);
        session_end(s, LOG_ERROR, why);
        return;
    }
    s->device_state = DEVICE_STARTED;
    if (!s->start_held)
        session_hold(s);
    s->start_held = false;
    session_release(s); /* starts the rings, unless a message is under way */
    resume_look(s);
}

void session_rings_stopped(struct session *s)
{
    if (session_runs(s) || s->device_state == DEVICE_STOPPED)
        return;
    s->device_state = DEVICE_STOPPED;
    s->start_told = false;
    if (s->device->ops->stop)
        s->device->ops->stop(s->device);
}

void session_config_changed(struct session *s)
{
    s->config_changed = true;
    send_queued(s);
}

/* ---- for another process ---- */

/* Between two messages, once: those that have not been read are for whoever
 * goes on. */
static void part_when_idle(struct session *s)
{
    if (!s->leaving || s->parting || s->telling || s->ending || s->holds > 0 ||
        s->msg || s->queued || !conn_is_between(&s->conn))
        return;
    s->parting = true;
    s->device->suspends = true;
    session_hold(s); /* commands may come back at once */
    for (unsigned i = 0; i < s->num_vrings; i++) {
        struct vring *v = &s->vrings[i];

        if (!v->set.has_kick)
            transcript_forget_kick(s->said, i);
        if (v->set.started)
            vring_stop(v);
        else
            v->told_broken = false; /* that was before */
    }
    session_release(s);
}

/* No ring runs. What is left of it here is not the front-end's. */
static void part(struct session *s)
{
    struct endpoint_visitor v;

    session_rings_stopped(s);
    for (unsigned i = 0; i < s->num_vrings; i++) {
        transcript_set_base(s->said, i, s->vrings[i].set.base);
        if (s->vrings[i].told_broken)
            transcript_forget_kick(s->said, i);
    }
    resume_fails(s, "it was handed on again");
    v = (struct endpoint_visitor){
        .fd = conn_release(&s->conn),
        .pid = s->peer_pid,
        .uid = s->peer_uid,
        .said = s->said,
    };
    s->said = NULL;
    s->ending = true;
    endpoint_session_parted(s->endpoint, s, &v);
}

static void on_conn_sent(struct conn *c)
{
    part_when_idle(container_of(c, struct session, conn));
}

void session_leave(struct session *s)
{
    s->leaving = true;
    conn_pause(&s->conn);
    part_when_idle(s);
}

/* ---- life ---- */

static void on_conn_gone(struct conn *c)
{
    struct session *s = container_of(c, struct session, conn);

    s->conn_gone = true;
    if (s->ending && s->holds == 0)
        teardown(s);
}

static void on_conn_half_done(struct conn *c)
{
    endpoint_session_half_done(container_of(c, struct session, conn)->endpoint);
}

static void on_conn_broken(struct conn *c, bool mistake, const char *why)
{
    struct session *s = container_of(c, struct session, conn);

    s->left = !mistake && !session_runs(s);
    if (!mistake)
        resume_left(s);
    session_end(s, mistake ? LOG_ERROR : LOG_INFO, why);
}

/* Steps until nothing is left; called again whenever one is done. */
static void teardown(struct session *s)
{
    bool stopping = false;

    session_hold(s); /* commands may come back at once */
    for (unsigned i = 0; i < s->num_vrings; i++)
        if (s->vrings[i].set.started) {
            vring_stop(&s->vrings[i]);
            stopping = true;
        }
    s->holds--;
    if (s->holds > 0)
        return;
    if (stopping) {
        teardown(s); /* all came back at once */
        return;
    }
    if (!s->conn_gone)
        return;
    session_rings_stopped(s);
    /* A VMM that stops its rings and hangs up has ended, and its guest too. One
     * that was killed, or that we dropped, may come back with its guest. */
    if (s->left && s->has_run && s->device->ops->reset)
        s->device->ops->reset(s->device);
    backend_close(s->backend);
    for (unsigned i = 0; i < s->num_vrings; i++)
        vring_fini(&s->vrings[i]);
    mem_unref(s->mem);
    dirty_unref(s->dirty);
    inflight_unref(s->inflight);
    transcript_free(s->said);
    endpoint_session_over(s->endpoint, s); /* unlinks it */
    free(s);
}

/* From a turn of its own: session_end may be called from deep inside. */
static void on_end_later(struct mail *m)
{
    struct session *s = container_of(m, struct session, end_later);

    session_release(s);
}

/* Whoever has only looked if somebody listens is no front-end. By a door a
 * relay comes, which has questions of its own. */
static bool has_said(const struct session *s)
{
    return s->visit ? s->heard : conn_has_said(&s->conn);
}

void session_end(struct session *s, enum log_level level, const char *why)
{
    if (s->ending)
        return;
    s->ending = true;
    s->device->suspends = false; /* there is nobody to be handed on */
    if (why && level == LOG_INFO && !has_said(s))
        log_debug(s->device->id,
                  "process %d, user %u, has said nothing and is gone: %s",
                  s->peer_pid, s->peer_uid, why);
    else if (why)
        log_limited(
            endpoint_limit(s->endpoint, LINE_GONE), level, s->device->id,
            "front-end (process %d, user %u)%s is gone: %s", s->peer_pid,
            s->peer_uid,
            s->told || s->resumed ? "" : ", which has started no ring,", why);
    endpoint_tell(s->endpoint,
                  &(struct endpoint_event){.what = ENDPOINT_DISCONNECTED,
                                           .pid = s->peer_pid,
                                           .uid = s->peer_uid,
                                           .why = why ? why : "it has gone"});
    resume_fails(s, why ? why : "it has gone");
    endpoint_visit_ends(s->endpoint, s->visit, why);
    conn_close(&s->conn);
    if (s->has_display)
        s->device->ops->display(s->device, -1);
    endpoint_session_ending(s->endpoint, s);
    if (!s->start_held)
        session_hold(s);
    s->start_held = false;
    loop_post(s->device->home, &s->end_later);
}

/* Without a connection. */
static struct session *make(struct endpoint *ep)
{
    struct session *s = calloc(1, sizeof(*s));
    struct device *d = endpoint_device(ep);

    if (!s)
        return NULL;
    s->mem = mem_new();
    if (!s->mem) {
        free(s);
        return NULL;
    }
    s->endpoint = ep;
    s->device = d;
    s->num_vrings = d->num_queues;
    s->end_later.run = on_end_later;
    s->conn.closer = endpoint_closer(ep);
    /* Who gave it may keep it. */
    s->conn.shared =
        !endpoint_conf(ep)->path && endpoint_conf(ep)->kind != SOCK_DOOR;
    s->conn.message = on_message;
    s->conn.broken = on_conn_broken;
    s->conn.half_done = on_conn_half_done;
    s->conn.sent = on_conn_sent;
    s->conn.gone = on_conn_gone;
    s->config_changed = endpoint_config_changed(ep);
    list_init(&s->node);
    for (unsigned i = 0; i < s->num_vrings; i++)
        vring_init(&s->vrings[i], s, d, i, endpoint_kept(ep, i),
                   endpoint_conf(ep)->drain_timeout_ms);
    return s;
}

static void unmake(struct session *s)
{
    if (!s)
        return;
    transcript_free(s->said);
    mem_unref(s->mem);
    free(s);
}

struct session *session_new(struct endpoint *ep, const struct door_visit *visit)
{
    struct session *s = make(ep);
    struct device *d = endpoint_device(ep);

    if (s)
        s->said = transcript_new(endpoint_closer(ep));
    if (!s || !s->said) {
        close(visit->fd);
        goto fail;
    }
    s->visit = visit->number;
    s->peer_pid = visit->pid;
    s->peer_uid = visit->uid;
    if (conn_open(&s->conn, d->home, visit->fd) < 0)
        goto fail;
    log_debug(d->id, "a front-end has come (process %d, user %u)", s->peer_pid,
              s->peer_uid);
    endpoint_tell(ep, &(struct endpoint_event){.what = ENDPOINT_CONNECTED,
                                               .pid = s->peer_pid,
                                               .uid = s->peer_uid});
    return s;
fail:
    unmake(s);
    return NULL;
}

struct session *session_new_visitor(struct endpoint *ep,
                                    struct endpoint_visitor *v)
{
    struct session *s = make(ep);
    int fd = v->fd;

    v->fd = -1;
    if (!s) {
        close(fd);
        return NULL;
    }
    s->said = v->said;
    v->said = NULL;
    transcript_set_closer(s->said, endpoint_closer(ep));
    s->peer_pid = v->pid;
    s->peer_uid = v->uid;
    s->has_run = v->has_run;
    /* What there was to warn of has been, where it was. */
    s->warned_features = s->warned_protocol = s->warned_memory = true;
    s->resumed = true;
    s->held = endpoint_conf(ep)->waits;
    /* Whoever handed it on may have to go on with it. */
    s->conn.later = s->conn.shared = true;
    if (conn_open(&s->conn, endpoint_device(ep)->home, fd) < 0) {
        unmake(s);
        return NULL;
    }
    return s;
}
