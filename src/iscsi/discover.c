/* One thing after the other, on a loop that runs until all are done: the list
 * of targets; then of each a session, by a unit 0 that is kept open, which is
 * asked for its units; then of each unit what it is, and how large. A unit is
 * opened as any user of a target does, so that what is found is what a config
 * would get. Steps go on from the loop, not from inside a session's own work.
 */
#include "iscsi/discover.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "iscsi/impl.h"

#define DATA_BYTES (8 + FOUND_UNITS_MAX * 8)
#define ATTENTIONS_MAX 8

struct search {
    struct loop loop;
    const struct iscsi_query *query;
    struct found *found;
    struct params params;
    struct iscsi_session *session; /* of SendTargets; NULL: over */
    char why[256];
    bool failed;
    struct defer next;

    /* The target in question, and its unit. */
    int target, unit;
    bool listed; /* its units are known */
    bool sized;  /* the unit was asked what it is; now: how large */
    char url[600];
    const char *at_portal[1];
    struct iscsi_conf conf;
    /* One keeps the session while others come and go; NULL: not open. A unit
     * is freed when it is gone, which may be later. */
    struct iscsi_unit *units[2];
    struct iscsi_cmd cmd;
    struct iovec iov;
    uint8_t data[DATA_BYTES];
    unsigned attentions;
};

static struct found_target *target_of(struct search *s)
{
    return &s->found->targets[s->target];
}

/* ---- SendTargets ---- */

static void add_target(struct search *s,
                       const struct iscsi_discovery_address *from)
{
    struct found *f = s->found;
    struct found_target *t, *list;

    if (f->num_targets == FOUND_TARGETS_MAX) {
        f->more = true;
        return;
    }
    list = realloc(f->targets, (size_t)(f->num_targets + 1) * sizeof(*list));
    if (!list)
        return;
    f->targets = list;
    t = &list[f->num_targets++];
    memset(t, 0, sizeof(*t));
    snprintf(t->name, sizeof(t->name), "%s", from->target_name);
    for (const struct iscsi_target_portal *p = from->portals;
         p && t->num_portals < FOUND_PORTALS_MAX; p = p->next)
        snprintf(t->portals[t->num_portals++], sizeof(t->portals[0]), "%s",
                 p->portal);
}

static void on_targets(struct iscsi_context *ctx, int status, void *data,
                       void *arg)
{
    struct link *l = arg;
    struct search *s;

    if (!l->session)
        return;
    s = l->session->arg;
    if (status != SCSI_STATUS_GOOD) {
        s->failed = true;
        snprintf(s->why, sizeof(s->why), "%s", libiscsi.get_error(ctx));
    }
    /* The newest comes first. */
    for (const struct iscsi_discovery_address *a = data;
         status == SCSI_STATUS_GOOD && a; a = a->next)
        add_target(s, a);
    loop_defer(&s->loop, &s->next);
}

static void on_changed(struct iscsi_session *session)
{
    struct search *s = session->arg;

    if (session->state == SESSION_UP &&
        libiscsi.discovery_async(session->link->ctx, on_targets,
                                 session->link) == 0) {
        session->serve_due = true;
        loop_defer(session->loop, &session->report);
        return;
    }
    s->failed = true;
    snprintf(s->why, sizeof(s->why), "%s", session->why);
    loop_defer(&s->loop, &s->next);
}

/* ---- what a target has ---- */

static void ask(struct search *s, struct iscsi_unit *u);

static void next_unit(struct search *s);

static void on_unit_gone(struct iscsi_unit *u)
{
    free(u);
}

static void close_unit(struct search *s, int i)
{
    if (s->units[i])
        iscsi_close(s->units[i]);
    s->units[i] = NULL;
}

static void next_target(struct search *s)
{
    close_unit(s, 1);
    close_unit(s, 0);
    s->target++;
    loop_defer(&s->loop, &s->next);
}

static int by_number(const void *a, const void *b)
{
    unsigned x = ((const struct found_unit *)a)->lun;
    unsigned y = ((const struct found_unit *)b)->lun;

    return (x > y) - (x < y);
}

/* REPORT LUNS: SPC-4, 6.33. */
static void list_units(struct search *s)
{
    struct found_target *t = target_of(s);
    uint32_t have = s->cmd.moved >= 8 ? s->cmd.moved - 8 : 0;
    uint32_t n = have ? MIN(be32_at(s->data), have) / 8 : 0;

    t->units = calloc(MAX(n, 1u), sizeof(*t->units));
    for (uint32_t i = 0; t->units && i < n; i++) {
        const uint8_t *at = s->data + 8 + (size_t)i * 8;
        unsigned method = at[0] >> 6;

        if (method > 1) /* neither peripheral nor flat */
            continue;
        t->units[t->num_units++].lun = be16_at(at) & 0x3fff;
    }
    if (t->units)
        qsort(t->units, (size_t)t->num_units, sizeof(*t->units), by_number);
}

static void copy_text(char *to, const uint8_t *from, size_t len)
{
    while (len > 0 && (from[len - 1] == ' ' || from[len - 1] == '\0'))
        len--;
    for (size_t i = 0; i < len; i++)
        to[i] = from[i] ? (char)from[i] : ' ';
    to[len] = '\0';
}

static void unit_answered(struct search *s, struct found_unit *u)
{
    if (!s->sized) {
        u->type = s->data[0] & 0x1f;
        if (s->cmd.moved >= 36) {
            copy_text(u->vendor, s->data + 8, 8);
            copy_text(u->product, s->data + 16, 16);
            copy_text(u->revision, s->data + 32, 4);
        }
        s->sized = true;
        if (u->type == 0) {
            ask(s, s->units[1]);
            return;
        }
    } else if (s->cmd.moved >= 12) {
        uint64_t last = be64_at(s->data);

        u->block = be32_at(s->data + 8);
        if (last < UINT64_MAX / MAX(u->block, 1u))
            u->size = (last + 1) * u->block;
    }
    s->unit++;
    next_unit(s);
}

static const char *failure(const struct iscsi_cmd *c)
{
    static const char *const words[] = {
        [ISCSI_ANSWERED] = "it answers with an error",
        [ISCSI_TIMED_OUT] = "it does not answer",
        [ISCSI_LOST] = "the session was lost",
        [ISCSI_ABORTED] = "it was aborted",
        [ISCSI_FULL] = "too many commands",
        [ISCSI_REFUSED] = "it does not let us in",
    };

    return words[c->end];
}

static void on_done(struct iscsi_cmd *c)
{
    struct search *s = container_of(c, struct search, cmd);
    struct found_target *t = target_of(s);
    bool good = c->end == ISCSI_ANSWERED && c->status == SCSI_GOOD;
    uint8_t key = 0;
    uint16_t asc;

    if (c->end == ISCSI_ANSWERED && c->status == SCSI_CHECK_CONDITION &&
        scsi_sense_read(c->sense, c->sense_len, &key, &asc) &&
        key == SCSI_UNIT_ATTENTION && ++s->attentions < ATTENTIONS_MAX) {
        ask(s, c->unit);
        return;
    }
    if (!s->listed) {
        s->listed = true;
        if (good)
            list_units(s);
        else
            snprintf(t->why, sizeof(t->why), "%s",
                     s->units[0]->session->why[0] ? s->units[0]->session->why
                                                  : failure(c));
        s->unit = 0;
        next_unit(s);
        return;
    }
    if (good) {
        unit_answered(s, &t->units[s->unit]);
        return;
    }
    snprintf(t->units[s->unit].why, sizeof(t->units[0].why), "%s", failure(c));
    s->unit++;
    next_unit(s);
}

/* Of a target its units, of a unit what it is, then how large. */
static void ask(struct search *s, struct iscsi_unit *u)
{
    struct iscsi_cmd *c = &s->cmd;

    memset(c, 0, sizeof(*c));
    memset(s->data, 0, sizeof(s->data));
    c->in = true;
    if (!s->listed) {
        c->cdb[0] = SCSI_REPORT_LUNS;
        c->cdb_len = 12;
        c->len = DATA_BYTES;
        be32_put(c->cdb + 6, c->len);
    } else if (!s->sized) {
        c->cdb[0] = SCSI_INQUIRY;
        c->cdb_len = 6;
        c->len = c->cdb[4] = 96;
    } else {
        c->cdb[0] = SCSI_SERVICE_ACTION_IN_16;
        c->cdb[1] = SCSI_SAI_READ_CAPACITY_16;
        c->cdb_len = 16;
        c->len = c->cdb[13] = 32;
    }
    s->iov = (struct iovec){s->data, c->len};
    c->iov = &s->iov;
    c->iov_num = 1;
    c->done = on_done;
    iscsi_submit(u, c);
    iscsi_kick(u);
}

/* A unit of the target in question. */
static int open_unit(struct search *s, int i, unsigned lun, struct err *e)
{
    const struct iscsi_query *q = s->query;
    struct found_target *t = target_of(s);
    struct iscsi_unit *u;
    char portal[256];
    int rc;

    /* Where it says that it is; if that is no place, where we are. */
    snprintf(portal, sizeof(portal), "%.*s",
             (int)strcspn(t->num_portals ? t->portals[0] : q->portal, ","),
             t->num_portals ? t->portals[0] : q->portal);
    snprintf(s->url, sizeof(s->url), "iscsi://%s/%s/%u", portal, t->name, lun);
    s->at_portal[0] = q->portal;
    s->conf = (struct iscsi_conf){
        .url = s->url,
        .portals = {s->at_portal, 1},
        .initiator = q->initiator,
        .chap = q->chap,
        .mutual_chap = q->mutual_chap,
        .header_digest = q->header_digest,
        .io_timeout = q->timeout,
        .reconnect_timeout = q->timeout,
    };
    u = calloc(1, sizeof(*u));
    if (!u)
        return err_nomem(e);
    u->gone = on_unit_gone;
    rc = iscsi_open(u, &s->conf, &s->loop, NULL, e);
    if (rc < 0)
        free(u);
    else
        s->units[i] = u;
    return rc;
}

static void next_unit(struct search *s)
{
    struct found_target *t = target_of(s);
    struct err e;

    close_unit(s, 1);
    if (s->unit >= t->num_units) {
        next_target(s);
        return;
    }
    s->sized = false;
    s->attentions = 0;
    if (open_unit(s, 1, t->units[s->unit].lun, &e) < 0) {
        snprintf(t->units[s->unit].why, sizeof(t->units[0].why), "%.60s",
                 e.text);
        s->unit++;
        next_unit(s);
        return;
    }
    ask(s, s->units[1]);
}

/* Not from inside a session's own work. */
static void on_next(struct defer *d)
{
    struct search *s = container_of(d, struct search, next);
    struct err e;

    if (s->session) {
        session_put(s->session);
        s->session = NULL;
    }
    if (s->failed || s->target >= s->found->num_targets) {
        loop_stop(&s->loop);
        return;
    }
    s->listed = false;
    s->attentions = 0;
    if (open_unit(s, 0, 0, &e) < 0) {
        snprintf(target_of(s)->why, sizeof(target_of(s)->why), "%s", e.text);
        s->target++;
        loop_defer(&s->loop, &s->next);
        return;
    }
    ask(s, s->units[0]);
}

static int fill(struct params *p, const struct iscsi_query *q, struct errs *e)
{
    int rc = libiscsi_check("", e);

    memset(p, 0, sizeof(*p));
    snprintf(p->target, sizeof(p->target), "its targets");
    if (!portal_parse(q->portal, strlen(q->portal), &p->portals[0]))
        rc = errs_at(e, "", "portal", "%.100s is no HOST[:PORT]", q->portal);
    p->num_portals = 1;
    rc = worse(initiator_fill(p->initiator, q->initiator, "", e), rc);
    rc = worse(chap_fill(&p->chap, &q->chap, "", "chap", e), rc);
    rc =
        worse(chap_fill(&p->mutual, &q->mutual_chap, "", "mutual_chap", e), rc);
    p->header_digest = q->header_digest;
    return rc;
}

int iscsi_discover(const struct iscsi_query *q, struct found *f, struct errs *e)
{
    struct search *s = calloc(1, sizeof(*s));
    int rc;

    *f = (struct found){NULL, 0, false};
    if (!s)
        return errs_nomem(e);
    s->query = q;
    s->found = f;
    defer_init(&s->next, on_next);
    rc = fill(&s->params, q, e);
    if (rc < 0)
        goto out;
    rc = loop_open(&s->loop, "iscsi-list");
    if (rc < 0) {
        errs_add(e, rc, "", "%s", strerror(-rc));
        goto out;
    }
    s->session = session_discover(&s->loop, &s->params, on_changed, s);
    if (s->session)
        loop_run(&s->loop);
    else
        rc = errs_nomem(e);
    loop_close(&s->loop);
    if (s->failed)
        rc = errs_add(e, -EIO, q->portal, "%s",
                      s->why[0] ? s->why : "it has no answer");
out:
    params_wipe(&s->params);
    free(s);
    return rc;
}

void found_free(struct found *f)
{
    for (int i = 0; i < f->num_targets; i++)
        free(f->targets[i].units);
    free(f->targets);
    *f = (struct found){NULL, 0, false};
}
