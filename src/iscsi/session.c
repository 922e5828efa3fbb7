/* Who shares a session, what becomes of it, and its only timer. */
#include <assert.h>
#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "iscsi/impl.h"
#include "os/thread.h"

/* All of the process. Units of several loops come and go, so the list has a
 * lock. A session is its loop's: nobody else finds it. */
static struct list sessions = {&sessions, &sessions};
static pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;

const char *session_id(const struct iscsi_session *s)
{
    return list_empty(&s->units)
               ? NULL
               : container_of(s->units.next, struct iscsi_unit, node)->id;
}

void session_tell_up(struct iscsi_session *s)
{
    LIST_EACH_SAFE (&s->units, at) {
        struct iscsi_unit *u = container_of(at, struct iscsi_unit, node);
        bool again = u->was_up;

        if (u->knows_up)
            continue;
        u->knows_up = u->was_up = true;
        if (u->up)
            u->up(u, again);
    }
}

static void on_report(struct defer *d)
{
    struct iscsi_session *s = container_of(d, struct iscsi_session, report);

    if (s->serve_due && s->state == SESSION_UP)
        link_serve(s->link, POLLOUT);
    if (s->state == SESSION_UP) {
        session_tell_up(s); /* those that came late */
        commands_send(s);
    }
    report_now(s);
    if (s->state == SESSION_CLOSING)
        return; /* those are told at its end */
    LIST_EACH_SAFE (&s->gone, at) {
        struct iscsi_unit *u = container_of(at, struct iscsi_unit, node);

        list_del(at);
        u->gone(u);
    }
}

/* The earlier of the two; 0: never. */
static uint64_t sooner(uint64_t a, uint64_t b)
{
    return a == 0 ? b : b == 0 ? a : MIN(a, b);
}

/* Those that have a command were sent one after the other and are in order of
 * their deadlines. Others, whose command was ended by us, have been given
 * another, wherever they stand. What is being aborted is minded by that. */
static uint64_t flights_ms(const struct iscsi_session *s)
{
    unsigned others = s->zombies;
    bool first = true;
    uint64_t at = 0;

    LIST_EACH (&s->flights, node) {
        const struct flight *f = container_of(node, struct flight, node);

        if (!first && others == 0)
            break;
        if (!f->cmd)
            others--;
        if (f->aborts || (f->cmd && !first))
            continue;
        if (f->cmd)
            first = false;
        at = sooner(at, f->deadline_ms);
    }
    return at;
}

static uint64_t next_ms(const struct iscsi_session *s)
{
    uint64_t at = 0;

    if (s->state == SESSION_IDLE)
        at = s->retry_ms; /* 0: never */
    if (s->state == SESSION_LOGIN)
        at = s->login_deadline_ms;
    if (s->down_since_ms && s->params.reconnect_timeout && !s->hopeless)
        at = sooner(at, s->down_since_ms + s->params.reconnect_timeout);
    if (s->state != SESSION_UP)
        return at;
    at = sooner(at, flights_ms(s));
    LIST_EACH (&s->tmfs, m)
        at = sooner(at, container_of(m, struct tmf_op, node)->deadline_ms);
    if (!list_empty(&s->waiting))
        at = sooner(
            at,
            container_of(s->waiting.next, struct iscsi_cmd, node)->deadline_ms);
    if (!list_empty(&s->flights))
        at = sooner(at, s->ping_ms ? s->ping_ms + PING_MS
                                   : s->heard_ms + SILENCE_MS);
    return at;
}

void session_at(struct iscsi_session *s, uint64_t ms)
{
    uint64_t now;

    if (ms == 0 || (s->timer_ms != 0 && s->timer_ms <= ms))
        return;
    now = now_ms();
    s->timer_ms = ms;
    timer_start(&s->timer, ms > now ? ms - now : 0);
}

void session_rearm(struct iscsi_session *s)
{
    bool idle = s->state == SESSION_UP && list_empty(&s->flights) &&
                list_empty(&s->waiting) && list_empty(&s->tmfs);

    /* Only an earlier time restarts it: commands that come and go among others
     * do not. Nothing to mind: nothing wakes us. */
    if (!idle) {
        session_at(s, next_ms(s));
    } else if (s->timer_ms != 0) {
        timer_stop(&s->timer);
        s->timer_ms = 0;
    }
}

static void on_ping(struct iscsi_context *ctx, int status, void *data,
                    void *arg)
{
    struct link *l = arg;

    (void)ctx;
    (void)data;
    if (l->session && status == SCSI_STATUS_GOOD)
        l->session->ping_ms = 0;
}

/* Commands are with the target, and nothing is heard of it. */
static void mind_silence(struct iscsi_session *s, uint64_t now)
{
    struct link *l = s->link;

    if (l->wire.heard != s->heard || list_empty(&s->flights)) {
        s->heard = l->wire.heard;
        s->heard_ms = now;
        s->ping_ms = 0;
        return;
    }
    if (s->ping_ms) {
        if (now >= s->ping_ms + PING_MS)
            session_lost(s, "it does not answer");
        return;
    }
    if (now < s->heard_ms + SILENCE_MS)
        return;
    s->ping_ms = now;
    if (libiscsi.nop_out_async(l->ctx, on_ping, NULL, 0, l) == 0)
        link_serve(l, POLLOUT);
}

static void mind_deadlines(struct iscsi_session *s, uint64_t now)
{
    LIST_EACH_SAFE (&s->waiting, at) {
        struct iscsi_cmd *c = container_of(at, struct iscsi_cmd, node);

        if (!c->deadline_ms || c->deadline_ms > now)
            break;
        list_del(at);
        s->num_waiting--;
        command_end(s, c, ISCSI_TIMED_OUT);
    }
    LIST_EACH (&s->tmfs, at) {
        struct tmf_op *op = container_of(at, struct tmf_op, node);

        if (op->deadline_ms <= now) {
            tmfs_lost(s, -ETIMEDOUT);
            session_lost(s, "it does not answer to task management");
            return;
        }
    }
    LIST_EACH_SAFE (&s->flights, at) {
        struct flight *f = container_of(at, struct flight, node);

        if (!f->deadline_ms || f->deadline_ms > now)
            continue;
        if (f->aborts)
            continue; /* that has a deadline of its own */
        if (!f->cmd) {
            session_lost(s, "it does not end a command that was aborted");
            return;
        }
        f->timed_out = true;
        if (!flight_abort(s, f, ABORT_MS)) {
            session_lost(s, "out of memory");
            return;
        }
    }
}

static void on_timer(struct timer *t)
{
    struct iscsi_session *s = container_of(t, struct iscsi_session, timer);
    uint64_t now = now_ms();

    s->timer_ms = 0;
    if (s->down_since_ms && s->params.reconnect_timeout && !s->hopeless &&
        now >= s->down_since_ms + s->params.reconnect_timeout) {
        s->hopeless = true;
        if (s->params.on_timeout == ISCSI_ON_TIMEOUT_ERROR) {
            log_limited(&s->limit, LOG_WARN, session_id(s),
                        "no session with %s for %" PRIu64
                        " s: its commands fail from now on",
                        s->params.target, (now - s->down_since_ms) / 1000);
            waiting_end(s, s->refused ? ISCSI_REFUSED : ISCSI_TIMED_OUT);
        }
    }
    switch (s->state) {
    case SESSION_IDLE:
        if (s->retry_ms && now >= s->retry_ms)
            login_start(s);
        break;
    case SESSION_LOGIN:
        if (now >= s->login_deadline_ms)
            login_failed(s, "it does not answer");
        break;
    case SESSION_UP:
        mind_deadlines(s, now);
        if (s->state == SESSION_UP)
            mind_silence(s, now);
        break;
    default:
        break;
    }
    session_rearm(s);
    report_now(s);
}

void session_unhandle(struct iscsi_session *s)
{
    struct list gone;

    if (--s->handles > 0)
        return;
    list_init(&gone);
    LIST_EACH_SAFE (&s->gone, at) {
        list_del(at);
        list_add(&gone, at);
    }
    LIST_EACH_SAFE (&s->spare, at)
        free(container_of(at, struct flight, node));
    tally_put(s->tally);
    params_wipe(&s->params);
    free(s->device);
    free(s);
    LIST_EACH_SAFE (&gone, at) {
        struct iscsi_unit *u = container_of(at, struct iscsi_unit, node);

        list_del(at);
        u->gone(u); /* may free u */
    }
}

static void on_timer_gone(struct timer *t)
{
    session_unhandle(container_of(t, struct iscsi_session, timer));
}

/* device: NULL: of none. */
static struct iscsi_session *session_open(struct loop *loop, const char *device,
                                          const struct params *p)
{
    struct iscsi_session *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->device = strdup(device ? device : "");
    if (s->device)
        s->tally = tally_get(s->device, p->target);
    if (!s->tally) {
        free(s->device);
        free(s);
        return NULL;
    }
    s->loop = loop;
    s->params = *p;
    list_init(&s->node);
    list_init(&s->units);
    list_init(&s->gone);
    list_init(&s->waiting);
    list_init(&s->flights);
    list_init(&s->landed);
    list_init(&s->spare);
    list_init(&s->tmfs);
    list_init(&s->ended);
    list_init(&s->ended_tmfs);
    defer_init(&s->report, on_report);
    isid_choose(s);
    s->group = -1;
    s->timer.fire = on_timer;
    s->timer.gone = on_timer_gone;
    timer_open(&s->timer, loop);
    s->handles = 1;
    s->state = SESSION_IDLE;
    s->down_since_ms = s->retry_ms = now_ms();
    return s;
}

static struct iscsi_session *find(struct loop *loop, const char *device,
                                  const struct params *p)
{
    struct iscsi_session *found = NULL;

    pthread_mutex_lock(&sessions_lock);
    LIST_EACH (&sessions, at) {
        struct iscsi_session *s = container_of(at, struct iscsi_session, node);

        if (s->loop == loop && strcmp(s->device, device) == 0 &&
            params_equal(&s->params, p)) {
            found = s;
            break;
        }
    }
    pthread_mutex_unlock(&sessions_lock);
    return found;
}

struct iscsi_session *session_get(struct loop *loop, const char *device,
                                  const struct params *p)
{
    struct iscsi_session *s = find(loop, device ? device : "", p);

    if (!s) {
        s = session_open(loop, device, p);
        if (!s)
            return NULL;
        pthread_mutex_lock(&sessions_lock);
        list_add(&sessions, &s->node);
        pthread_mutex_unlock(&sessions_lock);
        session_rearm(s);
    }
    s->users++;
    return s;
}

struct iscsi_session *session_discover(struct loop *loop,
                                       const struct params *p,
                                       void (*changed)(struct iscsi_session *s),
                                       void *arg)
{
    struct iscsi_session *s = session_open(loop, NULL, p);

    if (!s)
        return NULL;
    s->users = 1;
    s->discovery = true;
    s->changed = changed;
    s->arg = arg;
    session_rearm(s);
    return s;
}

static void on_logout(struct iscsi_context *ctx, int status, void *data,
                      void *arg)
{
    (void)ctx;
    (void)status;
    (void)data;
    (void)arg;
}

/* The last share: says good-bye, and does not wait for the answer. */
static void session_close(struct iscsi_session *s)
{
    struct link *l = s->link;

    assert(list_empty(&s->waiting));
    if (s->state == SESSION_UP)
        tally_add(s->tally, TALLY_UP, -1);
    if (s->state == SESSION_UP &&
        libiscsi.logout_async(l->ctx, on_logout, NULL) == 0) {
        struct tap *before = wire_enter(&l->wire, l->fd);

        libiscsi.service(l->ctx, POLLOUT);
        wire_leave(&l->wire, before);
    }
    s->state = SESSION_CLOSING;
    login_stop(s);
    isid_release(s);
    tmfs_lost(s, -ENOTCONN);
    flights_lost(s);
    report_now(s);
    defer_cancel(&s->report);
    timer_close(&s->timer);
}

void session_put(struct iscsi_session *s)
{
    if (--s->users > 0)
        return;
    pthread_mutex_lock(&sessions_lock);
    list_del(&s->node);
    pthread_mutex_unlock(&sessions_lock);
    session_close(s);
}

void session_lost(struct iscsi_session *s, const char *reason)
{
    char why[sizeof(s->why)];
    bool was_up = s->state == SESSION_UP;

    if (!was_up) {
        login_failed(s, reason);
        return;
    }
    snprintf(why, sizeof(why), "%s", reason[0] ? reason : "it is gone");
    memcpy(s->why, why, sizeof(why));
    s->losses++;
    tally_add(s->tally, TALLY_LOSSES, 1);
    tally_add(s->tally, TALLY_UP, -1);
    s->state = SESSION_IDLE;
    s->down_since_ms = now_ms();
    s->address = s->addresses.num = 0;
    s->serve_due = false;
    link_close(s->link);
    s->link = NULL;
    tmfs_lost(s, -ENOTCONN);
    flights_lost(s);
    if (s->discovery) {
        s->retry_ms = 0;
        s->changed(s);
        return;
    }
    log_limited(&s->limit, LOG_WARN, session_id(s),
                "the session with %s at %s is lost: %s; %u commands wait",
                s->params.target, s->at, s->why, s->num_waiting);
    session_tell_event(s, s->why, 0);
    /* The same portal first, at once but for a moment. */
    s->retry_ms = s->down_since_ms + BACK_OFF_MIN_MS / 2;
    session_rearm(s);
    LIST_EACH_SAFE (&s->units, at) {
        struct iscsi_unit *u = container_of(at, struct iscsi_unit, node);

        if (!u->knows_up)
            continue;
        u->knows_up = false;
        if (u->down)
            u->down(u, s->why);
    }
    loop_defer(s->loop, &s->report);
}
