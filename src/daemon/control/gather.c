/* Each device is asked by a letter to its home loop. A worker may be stuck, so
 * who asks waits a second at most; the letter lies there for as long as it
 * takes. There is one per device and kind of question, whoever asks: those that
 * come while it is under way wait for the next, since this one may have been
 * written before they asked. So a stuck worker costs three letters, however
 * often somebody asks. The process of an isolated device is asked likewise. */
#include "daemon/control/gather.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control/commands.h"
#include "daemon/isolate.h"
#include "store/throttle.h"

#define ANSWER_MS 1000

/* The letter to a device. */
struct look {
    struct control *control;
    struct served *served;
    const struct gather_kind *kind;
    struct mail there, back;
    struct isolate_call call;
    struct found *found; /* home's while under way; NULL: no memory */
    bool under_way;
    uint64_t round; /* how many have been sent */
};

static void unref(struct found *f)
{
    if (!f || --f->refs > 0)
        return;
    json_out_free(&f->out);
    metrics_free(&f->metrics);
    metrics_free(&f->common);
    json_out_free(&f->throttles);
    free(f);
}

static struct found *make_found(void)
{
    struct found *f = calloc(1, sizeof(*f));

    if (f)
        f->refs = 1;
    return f;
}

/* ---- on the home loop ---- */

static void on_there(struct mail *m)
{
    struct look *l = container_of(m, struct look, there);

    l->found = make_found();
    if (l->found)
        l->kind->ask(l->served, l->found);
    loop_post(l->control->main, &l->back);
}

void gather_describe(struct served *s, struct found *f,
                     void (*tell)(struct endpoint *ep, struct json_out *o))
{
    const struct device_type *type = device_type_of(s->conf);
    struct endpoint *ep = served_endpoint(s);

    if (!ep) {
        json_add_str(&f->out, "state", "closed");
        return;
    }
    tell(ep, &f->out);
    if (type->status) {
        json_begin(&f->out, s->conf->table->name, '{');
        type->status(endpoint_device(ep), &f->out);
        json_end(&f->out, '}');
    }
}

/* ---- what is answered ---- */

void gather_add_found(const struct part *p, struct json_out *o)
{
    /* A process has said so itself. */
    if (!p->found || !p->served->isolated)
        json_add_bool(o, "answers", p->found != NULL);
    if (p->found && p->found->out.text)
        json_add_raw(o, NULL, p->found->out.text);
}

void gather_add_devices(const struct gather *g, struct json_out *o,
                        void (*add)(const struct part *p, struct json_out *o))
{
    json_begin(o, "devices", '[');
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];

        if (!gather_tells(g, p))
            continue;
        json_begin(o, NULL, '{');
        json_add_str(o, "id", p->served->common->id);
        json_add_str(o, "type", p->served->conf->table->name);
        add(p, o);
        json_end(o, '}');
    }
    json_end(o, ']');
}

/* What a process says of its throttles comes last. */
#define THROTTLES ",\"throttles\":["

void gather_add_own_throttles(struct json_out *o)
{
    json_begin(o, "throttles", '[');
    throttle_status(o, NULL);
    json_end(o, ']');
}

/* Behind a text in quotes; text is JSON. */
static const char *behind_string(const char *text)
{
    for (text++; *text != '"'; text++)
        text += *text == '\\';
    return text + 1;
}

/* Members of an object, as they were written: those that are their object's
 * own, and no deeper. NULL: there are no throttles, or more comes behind. */
static const char *find_throttles(const char *members)
{
    const char *found = NULL;
    unsigned depth = 0;

    for (const char *c = members; *c;) {
        if (*c == '"') {
            c = behind_string(c);
            continue;
        }
        if (depth == 0 && *c == ',')
            found = strncmp(c, THROTTLES, strlen(THROTTLES)) ? NULL : c;
        depth += *c == '[' || *c == '{';
        depth -= *c == ']' || *c == '}';
        c++;
    }
    return found;
}

void gather_read_process(struct found *f, const char *members)
{
    const char *at = find_throttles(members);
    size_t len = strlen(members);

    if (!at) {
        json_add_raw(&f->out, NULL, members);
        return;
    }
    json_add_cut(&f->out, members, (size_t)(at - members));
    at += strlen(THROTTLES);
    len -= (size_t)(at - members);
    /* Its bracket is the last of all. */
    if (len > 1 && at[len - 1] == ']')
        json_add_cut(&f->throttles, at, len - 1);
}

void gather_add_throttles(const struct gather *g, struct json_out *o)
{
    struct json_out all = JSON_OUT_EMPTY;

    throttle_status(&all, gather_only(g));
    for (int i = 0; i < g->count; i++) {
        const struct found *f = g->parts[i].found;

        if (f && f->throttles.text && gather_tells(g, &g->parts[i]))
            json_add_raw(&all, NULL, f->throttles.text);
    }
    o->failed |= all.failed;
    if (all.text) {
        json_begin(o, "throttles", '[');
        json_add_raw(o, NULL, all.text);
        json_end(o, ']');
    }
    json_out_free(&all);
}

static void on_gone(struct timer *t)
{
    free(container_of(t, struct gather, timer));
}

static void drop(struct gather *g)
{
    list_del(&g->node);
    for (int i = 0; i < g->count; i++) {
        unref(g->parts[i].found);
        served_unref(g->parts[i].served);
    }
    free(g->parts);
    g->parts = NULL;
    timer_close(&g->timer); /* frees it */
}

static void finish(struct gather *g)
{
    struct request *r = g->r;

    g->kind->compose(g, &r->call.out);
    drop(g);
    request_done(r);
}

static void on_timer(struct timer *t)
{
    finish(container_of(t, struct gather, timer));
}

/* ---- letters ---- */

static void send_look(struct look *l)
{
    struct err e;

    l->under_way = true;
    l->round++;
    served_ref(l->served);
    if (!l->served->isolated)
        served_post(l->served, &l->there);
    else if (isolate_ask(l->served->isolated, &l->call, l->kind->method, NULL,
                         &e) < 0)
        loop_post(l->control->main, &l->back); /* there is none now */
}

static void on_process_answered(struct isolate_call *call, const char *members,
                                const char *error)
{
    struct look *l = container_of(call, struct look, call);

    (void)error;
    l->found = members ? make_found() : NULL;
    if (l->found && members[0])
        l->kind->read(l->found, members);
    l->back.run(&l->back);
}

static struct part *part_of(struct gather *g, const struct served *s)
{
    for (int i = 0; i < g->count; i++)
        if (g->parts[i].served == s)
            return &g->parts[i];
    return NULL;
}

static bool is_whole(const struct found *f)
{
    return f && !f->out.failed && !f->metrics.failed && !f->common.failed &&
           !f->throttles.failed;
}

/* True: somebody waits for a later one. */
static bool hand_out(struct control *c, const struct look *l)
{
    bool more = false;

    LIST_EACH_SAFE (&c->gathers, node) {
        struct gather *g = container_of(node, struct gather, node);
        struct part *p = g->kind == l->kind ? part_of(g, l->served) : NULL;

        if (p && p->round > l->round) {
            more = true;
        } else if (p && p->round) {
            p->round = 0;
            if (is_whole(l->found)) {
                p->found = l->found;
                p->found->refs++;
            }
            if (--g->waiting == 0)
                finish(g);
        }
    }
    return more;
}

static void on_back(struct mail *m)
{
    struct look *l = container_of(m, struct look, back);
    struct served *s = l->served;
    bool more;

    l->under_way = false;
    more = hand_out(l->control, l);
    unref(l->found);
    l->found = NULL;
    if (more)
        send_look(l);
    served_unref(s);
}

/* The letters of a device are made when somebody asks first. */
static struct look *look_of(struct control *c, struct served *s,
                            const struct gather_kind *kind)
{
    struct look *l;

    if (!s->looks)
        s->looks = calloc(GATHER_KINDS, sizeof(*s->looks));
    if (!s->looks)
        return NULL;
    l = &s->looks[kind->index];
    if (l->kind)
        return l; /* it may be under way: it is the other loop's to read */
    l->control = c;
    l->served = s;
    l->kind = kind;
    l->there.run = on_there;
    l->back.run = on_back;
    l->call.answered = on_process_answered;
    return l;
}

static void ask(struct gather *g, struct served *s)
{
    struct part *p = &g->parts[g->count++];
    struct look *l = look_of(g->r->control, s, g->kind);

    p->served = served_ref(s);
    if (!l)
        return; /* no memory: it is said not to answer */
    g->waiting++;
    p->round = l->round + 1;
    if (!l->under_way)
        send_look(l);
}

static struct gather *make_gather(struct request *r, int room)
{
    struct gather *g = calloc(1, sizeof(*g));

    if (g)
        g->parts = calloc((size_t)room + 1, sizeof(*g->parts));
    if (!g || !g->parts) {
        free(g);
        return NULL;
    }
    g->r = r;
    g->timer.fire = on_timer;
    g->timer.gone = on_gone;
    timer_open(&g->timer, r->control->main);
    timer_start(&g->timer, ANSWER_MS);
    list_add(&r->control->gathers, &g->node);
    return g;
}

void gather_run(struct request *r, const struct gather_kind *kind)
{
    const struct command_device *args = r->call.args;
    const struct devices *ds = r->control->devices;
    struct served *only = NULL;
    struct gather *g;
    struct err e;

    if (args->device) {
        only = devices_find(ds, args->device);
        if (!only) {
            err_set(&e, -ENODEV, "/params/device",
                    "there is no device \"%.64s\"", args->device);
            request_fail(r, RPC_BAD_PARAMS, &e);
            return;
        }
    }
    g = make_gather(r, only ? 1 : ds->count);
    if (!g) {
        err_nomem(&e);
        request_fail(r, RPC_INTERNAL, &e);
        return;
    }
    g->kind = kind;
    g->all = !only;
    if (only)
        ask(g, only);
    for (int i = 0; i < ds->count && !only; i++)
        ask(g, ds->list[i]);
    if (g->waiting == 0)
        finish(g);
}

/* ---- life ---- */

void gather_close(struct control *c)
{
    LIST_EACH_SAFE (&c->gathers, node)
        drop(container_of(node, struct gather, node));
}

void gather_forget(struct served *s)
{
    for (int i = 0; s->looks && i < GATHER_KINDS; i++)
        unref(s->looks[i].found);
    free(s->looks);
    s->looks = NULL;
}
