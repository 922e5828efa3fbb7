/* Each device is asked by a letter to its home loop. A worker may be stuck, so
 * who asks waits a second at most; the letter lies there for as long as it
 * takes. There is one per device and kind of question, whoever asks: those that
 * come while it is under way wait for the next, since this one may have been
 * written before they asked. So a stuck worker costs three letters, however
 * often somebody asks. */
#include "daemon/control/gather.h"

#include <errno.h>
#include <stdlib.h>

#include "daemon/control/commands.h"

#define ANSWER_MS 1000

/* The letter to a device. */
struct look {
    struct control *control;
    struct served *served;
    const struct gather_kind *kind;
    struct mail there, back;
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
    free(f);
}

/* ---- on the home loop ---- */

static void on_there(struct mail *m)
{
    struct look *l = container_of(m, struct look, there);

    l->found = calloc(1, sizeof(*l->found));
    if (l->found) {
        l->found->refs = 1;
        l->kind->ask(l->served, l->found);
    }
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
    l->under_way = true;
    l->round++;
    served_ref(l->served);
    served_post(l->served, &l->there);
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
    return f && !f->out.failed && !f->metrics.failed;
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
