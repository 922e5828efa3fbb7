/* How a session comes to be: one portal after the other, each with all of its
 * addresses; a target may send us on a few times; then a pause, longer each
 * time. Names are resolved by a thread; libiscsi, whose connecting would wait
 * for a name server, is given addresses. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/impl.h"

static void try_address(struct iscsi_session *s);

/* Up to a quarter of it either way, so that not all come at once. */
static uint64_t jitter(uint64_t ms)
{
    uint64_t r = loop_now_ns() * UINT64_C(0x9e3779b97f4a7c15) >> 40;

    return ms - ms / 4 + r % (ms / 2 + 1);
}

static void pause_then_retry(struct iscsi_session *s)
{
    unsigned round = s->attempts / s->params.num_portals;
    uint64_t ms = BACK_OFF_MIN_MS;

    if (s->discovery) { /* somebody waits for an answer */
        s->state = SESSION_IDLE;
        s->retry_ms = 0;
        s->changed(s);
        return;
    }
    s->attempts++;
    s->portal = (s->portal + 1) % s->params.num_portals;
    for (; round > 0 && ms < BACK_OFF_MAX_MS; round--)
        ms *= 2;
    /* The other portals first, without a pause. */
    if (s->attempts < s->params.num_portals)
        ms = 1;
    s->state = SESSION_IDLE;
    s->redirects = 0;
    s->retry_ms = now_ms() + jitter(MIN(ms, BACK_OFF_MAX_MS));
    session_rearm(s);
}

void login_failed(struct iscsi_session *s, const char *reason)
{
    char why[sizeof(s->why)];

    snprintf(why, sizeof(why), "%s", reason); /* it may be the link's */
    if (s->link) {
        s->refused = s->link->wire.login_refused;
        link_close(s->link);
        s->link = NULL;
    }
    if (strcmp(why, s->why) != 0 || s->attempts == 0) {
        memcpy(s->why, why, sizeof(why));
        if (!s->discovery)
            log_limited(&s->limit, LOG_WARN, session_id(s),
                        "no session with %s at %s: %s", s->params.target, s->at,
                        why);
    }
    if (s->address < s->addresses.num) {
        try_address(s);
        return;
    }
    pause_then_retry(s);
}

static void try_address(struct iscsi_session *s)
{
    char why[256];

    for (;;) {
        const char *address = s->addresses.address[s->address++];

        portal_text(address, s->port, s->at);
        s->state = SESSION_LOGIN;
        s->login_deadline_ms = now_ms() + LOGIN_MS;
        if (link_open(s, address, s->port, why) == 0) {
            session_rearm(s);
            return;
        }
        if (s->address >= s->addresses.num) {
            login_failed(s, why);
            return;
        }
    }
}

static void on_resolved(struct mail *m)
{
    struct iscsi_session *s = container_of(m, struct iscsi_session, resolved);

    if (!s->resolve) { /* nobody waits for it any more */
        session_unhandle(s);
        return;
    }
    s->addresses = *resolve_result(s->resolve);
    resolve_end(s->resolve);
    s->resolve = NULL;
    if (s->addresses.num > 0) {
        try_address(s);
    } else {
        char why[256];

        snprintf(why, sizeof(why), "no address of it is known: %s",
                 s->addresses.why);
        login_failed(s, why);
    }
    report_now(s);
}

/* [the resolver's thread] */
static void on_answer(void *arg)
{
    struct iscsi_session *s = arg;

    loop_post(s->loop, &s->resolved);
}

static void try_portal(struct iscsi_session *s, const struct portal *p)
{
    struct err e;

    portal_text(p->host, p->port, s->at);
    s->port = p->port;
    s->address = 0;
    s->addresses.num = 0;
    if (resolve_numeric(p->host, s->addresses.address[0])) {
        s->addresses.num = 1;
        try_address(s);
        return;
    }
    s->state = SESSION_RESOLVING;
    s->resolved.run = on_resolved;
    if (resolve_start(&s->resolve, p->host, on_answer, s, &e) < 0)
        login_failed(s, e.text);
}

void login_start(struct iscsi_session *s)
{
    s->retry_ms = 0;
    try_portal(s, &s->params.portals[s->portal]);
}

/* The target sends us elsewhere: not the next pause's business. */
static void redirect(struct iscsi_session *s)
{
    struct portal p;
    char text[256], *group;

    snprintf(text, sizeof(text), "%s", s->link->redirect);
    group = strrchr(text, ','); /* the portal group tag */
    if (group)
        *group = '\0';
    link_close(s->link);
    s->link = NULL;
    s->address = s->addresses.num; /* not the old portal's others */
    if (++s->redirects > REDIRECTS_MAX) {
        login_failed(s, "it sends us from portal to portal");
        return;
    }
    if (!portal_parse(text, strlen(text), &p)) {
        login_failed(s, "it sends us to a portal that is none");
        return;
    }
    log_debug(session_id(s), "%s sends us to %s", s->at, text);
    try_portal(s, &p);
}

static void came_up(struct iscsi_session *s)
{
    uint64_t now = now_ms();

    s->state = SESSION_UP;
    s->logins++;
    tally_add(s->tally, TALLY_LOGINS, 1);
    tally_add(s->tally, TALLY_UP, 1);
    s->hopeless = s->refused = false;
    s->login_deadline_ms = 0;
    s->heard = 0;
    s->heard_ms = now;
    s->ping_ms = 0;
    s->knows_cmdsn = false;
    if (s->discovery)
        ; /* nobody's business */
    else if (s->logins > 1 || s->attempts > 0)
        log_limited(&s->limit, LOG_INFO, session_id(s),
                    "there is a session with %s at %s again, after %" PRIu64
                    " s",
                    s->params.target, s->at, (now - s->down_since_ms) / 1000);
    else
        log_info(session_id(s), "there is a session with %s at %s",
                 s->params.target, s->at);
    if (s->logins > 1)
        session_tell_event(s, NULL, now - s->down_since_ms);
    s->attempts = 0;
    s->redirects = 0;
    s->down_since_ms = 0;
    if (s->logins > 1 && s->group != s->link->wire.group)
        waiting_is_elsewhere(s);
    s->group = s->link->wire.group;
    if (s->params.io_timeout)
        LIST_EACH (&s->waiting, at)
            container_of(at, struct iscsi_cmd, node)->deadline_ms =
                now + s->params.io_timeout;
    if (s->changed)
        s->changed(s);
    session_tell_up(s);
    if (s->state == SESSION_UP)
        commands_send(s);
}

void login_went_on(struct iscsi_session *s)
{
    struct link *l = s->link;

    if (s->state != SESSION_LOGIN)
        return;
    if (l->redirect[0]) {
        redirect(s);
    } else if (l->login_failed) {
        login_failed(s, l->why[0] ? l->why : "it does not let us in");
    } else if (l->logged_in) {
        came_up(s);
    }
}

void login_stop(struct iscsi_session *s)
{
    /* A letter that is on its way must find us. */
    if (s->resolve && resolve_end(s->resolve))
        s->handles++;
    s->resolve = NULL;
    if (s->link) {
        link_close(s->link);
        s->link = NULL;
    }
}
