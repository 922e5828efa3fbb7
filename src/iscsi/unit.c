/* What iscsi/unit.h promises: units of sessions. */
#include "iscsi/unit.h"

#include <stdlib.h>
#include <string.h>

#include "iscsi/impl.h"

static struct {
    void (*fn)(const struct iscsi_event *e, void *arg);
    void *arg;
} teller;

void iscsi_tell(void (*fn)(const struct iscsi_event *e, void *arg), void *arg)
{
    teller.fn = fn;
    teller.arg = arg;
}

void session_tell_event(const struct iscsi_session *s, const char *why,
                        uint64_t down_ms)
{
    const struct iscsi_event e = {.device = s->device,
                                  .target = s->params.target,
                                  .portal = s->at,
                                  .why = why,
                                  .down_ms = down_ms};

    if (teller.fn && !s->discovery)
        teller.fn(&e, teller.arg);
}

int iscsi_check(const struct iscsi_conf *c, const char *at, unsigned *lun,
                struct errs *e)
{
    struct params p;
    int rc = params_fill(&p, lun, c, at, e);

    params_wipe(&p);
    return rc;
}

int iscsi_open(struct iscsi_unit *u, const struct iscsi_conf *c,
               struct loop *loop, const char *id, struct err *e)
{
    struct errs es = ERRS_EMPTY;
    struct params p;
    int rc = params_fill(&p, &u->lun, c, "", &es);

    if (rc < 0) {
        if (es.count)
            *e = es.list[0];
        else
            rc = err_nomem(e); /* no memory for what is wrong */
        goto out;
    }
    u->id = id;
    u->session = session_get(loop, id, &p);
    if (!u->session) {
        rc = err_nomem(e);
        goto out;
    }
    u->knows_up = u->was_up = false;
    list_add(&u->session->units, &u->node);
    loop_defer(loop, &u->session->report);
out:
    errs_free(&es);
    params_wipe(&p);
    return rc;
}

void iscsi_close(struct iscsi_unit *u)
{
    struct iscsi_session *s = u->session;

    list_del(&u->node);
    list_add(&s->gone, &u->node);
    loop_defer(s->loop, &s->report);
    session_put(s);
}

void iscsi_submit(struct iscsi_unit *u, struct iscsi_cmd *c)
{
    c->unit = u;
    command_queue(u->session, c);
}

void iscsi_kick(struct iscsi_unit *u)
{
    commands_send(u->session);
}

void iscsi_give_up(struct iscsi_cmd *c)
{
    command_give_up(c->unit->session, c);
}

void iscsi_tmf(struct iscsi_unit *u, struct iscsi_tmf *m)
{
    m->unit = u;
    list_init(&m->node);
    tmf_start(u->session, m);
}

void iscsi_status(const struct iscsi_unit *u, struct json_out *o)
{
    static const char *const words[] = {
        [SESSION_IDLE] = "waiting",     [SESSION_RESOLVING] = "resolving",
        [SESSION_LOGIN] = "logging in", [SESSION_UP] = "up",
        [SESSION_CLOSING] = "closing",
    };
    const struct iscsi_session *s = u->session;

    json_add_str(o, "target", s->params.target);
    json_add_u64(o, "unit", u->lun);
    json_add_str(o, "session", words[s->state]);
    json_add_str(o, "portal", s->at);
    if (s->down_since_ms)
        json_add_u64(o, "down_ms", now_ms() - s->down_since_ms);
    if (s->why[0])
        json_add_str(o, "last_failure", s->why);
    json_add_u64(o, "waiting", s->num_waiting);
    json_add_u64(o, "in_flight", s->num_flights);
    json_add_u64(o, "logins", s->logins);
    json_add_u64(o, "losses", s->losses);
    json_add_u64(o, "sent_again", s->resent);
}
