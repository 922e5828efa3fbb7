/* status asks all devices at once, each by a letter to its home loop. A worker
 * may be stuck, so who asks waits a second at most; the letter lies there for
 * as long as it takes. There is one per device, whoever asks: those that come
 * while it is under way wait for the next, since this one may have been written
 * before they asked. So a stuck worker costs one letter, however often somebody
 * asks. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/commands.h"
#include "daemon/control/control.h"
#include "store/throttle.h"

#define ANSWER_MS 1000

/* The letter to a device. */
struct look {
    struct control *control;
    struct served *served;
    struct mail there, back;
    struct json_out out; /* home's while under way */
    bool under_way;
    uint64_t round; /* how many have been sent */
};

/* What one gather wants of a device. */
struct part {
    uint64_t round; /* of the letter it waits for; 0: for none */
    char *text;     /* members; NULL: it has not answered */
};

struct gather {
    struct request *r;
    struct list node;
    struct timer timer;
    struct part *parts; /* [count] */
    int only;           /* the index of a device; -1: all */
    int waiting;
};

/* ---- on the home loop ---- */

static void on_there(struct mail *m)
{
    struct look *l = container_of(m, struct look, there);
    const struct device_type *type = device_type_of(l->served->conf);
    struct endpoint *ep = served_endpoint(l->served);

    l->out.len = 0;
    l->out.comma = l->out.failed = false;
    if (ep) {
        endpoint_status(ep, &l->out);
        if (type->status) {
            json_begin(&l->out, l->served->conf->table->name, '{');
            type->status(endpoint_device(ep), &l->out);
            json_end(&l->out, '}');
        }
    } else {
        json_add_str(&l->out, "state", "closed");
    }
    loop_post(l->control->main, &l->back);
}

/* ---- what is answered ---- */

/* What the config says of a device. */
static void add_known(struct json_out *o, const struct served *s)
{
    unsigned queues = device_type_of(s->conf)->queues(s->conf->data);
    unsigned named = MAX((unsigned)s->common->worker.count, 1u);

    json_add_str(o, "id", s->common->id);
    json_add_str(o, "type", s->conf->table->name);
    if (s->place.path)
        json_add_str(o, "socket", s->place.path);
    if (s->place.given >= 0)
        json_add_u64(o, "fd", (uint64_t)s->place.given);
    json_begin(o, "workers", '[');
    for (unsigned i = 0; i < MIN(queues, named); i++)
        json_add_str(o, NULL, workers_name(s->conf, i));
    json_end(o, ']');
}

static bool wanted(const struct gather *g, int i)
{
    return g->only < 0 || g->only == i;
}

static void compose(struct gather *g)
{
    struct control *c = g->r->control;
    struct json_out *o = &g->r->call.out;

    json_add_str(o, "version", VUB_VERSION);
    json_add_i64(o, "pid", getpid());
    json_add_str(o, "log_level", log_level_words[log_level()]);
    json_begin(o, "devices", '[');
    for (int i = 0; i < c->count; i++) {
        if (!wanted(g, i))
            continue;
        json_begin(o, NULL, '{');
        add_known(o, &c->list[i]);
        json_add_bool(o, "answers", g->parts[i].text != NULL);
        if (g->parts[i].text)
            json_add_raw(o, NULL, g->parts[i].text);
        json_end(o, '}');
    }
    json_end(o, ']');
    throttle_status(o, g->only < 0 ? NULL : c->list[g->only].common->id);
}

static void on_gone(struct timer *t)
{
    free(container_of(t, struct gather, timer));
}

static void drop_gather(struct gather *g, int count)
{
    list_del(&g->node);
    for (int i = 0; i < count; i++)
        free(g->parts[i].text);
    free(g->parts);
    g->parts = NULL;
    timer_close(&g->timer); /* frees it */
}

static void finish(struct gather *g)
{
    struct request *r = g->r;

    compose(g);
    drop_gather(g, r->control->count);
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
    served_post(l->served, &l->there);
}

/* True: somebody waits for a later one. */
static bool hand_out(struct control *c, struct look *l, int i)
{
    bool more = false;

    LIST_EACH_SAFE (&c->gathers, node) {
        struct gather *g = container_of(node, struct gather, node);
        struct part *p = &g->parts[i];

        if (p->round > l->round) {
            more = true;
        } else if (p->round) {
            p->round = 0;
            p->text = l->out.failed ? NULL : strdup(l->out.text);
            if (--g->waiting == 0)
                finish(g);
        }
    }
    return more;
}

static void on_back(struct mail *m)
{
    struct look *l = container_of(m, struct look, back);
    struct control *c = l->control;

    l->under_way = false;
    if (hand_out(c, l, (int)(l - c->looks)))
        send_look(l);
}

void status_run(struct request *r)
{
    const struct command_device *args = r->call.args;
    struct control *c = r->control;
    struct served *only = NULL;
    struct gather *g;
    struct err e;

    if (args->device) {
        only = control_device(c, args->device);
        if (!only) {
            err_set(&e, -ENODEV, "/params/device",
                    "there is no device \"%.64s\"", args->device);
            request_fail(r, RPC_BAD_PARAMS, &e);
            return;
        }
    }
    g = calloc(1, sizeof(*g));
    if (g)
        g->parts = calloc((size_t)c->count, sizeof(*g->parts));
    if (!g || !g->parts) {
        free(g);
        err_nomem(&e);
        request_fail(r, RPC_INTERNAL, &e);
        return;
    }
    g->r = r;
    g->only = only ? (int)(only - c->list) : -1;
    g->timer.fire = on_timer;
    g->timer.gone = on_gone;
    timer_open(&g->timer, c->main);
    timer_start(&g->timer, ANSWER_MS);
    list_add(&c->gathers, &g->node);
    for (int i = 0; i < c->count; i++) {
        struct look *l = &c->looks[i];

        if (!wanted(g, i))
            continue;
        g->waiting++;
        g->parts[i].round = l->round + 1;
        if (!l->under_way)
            send_look(l);
    }
}

/* ---- life ---- */

int status_open(struct control *c)
{
    c->looks = calloc((size_t)c->count, sizeof(*c->looks));
    if (!c->looks)
        return -ENOMEM;
    for (int i = 0; i < c->count; i++) {
        c->looks[i].control = c;
        c->looks[i].served = &c->list[i];
        c->looks[i].there.run = on_there;
        c->looks[i].back.run = on_back;
    }
    return 0;
}

void status_close(struct control *c)
{
    LIST_EACH_SAFE (&c->gathers, node)
        drop_gather(container_of(node, struct gather, node), c->count);
}

void status_free(struct control *c)
{
    for (int i = 0; c->looks && i < c->count; i++)
        json_out_free(&c->looks[i].out);
    free(c->looks);
    c->looks = NULL;
}
