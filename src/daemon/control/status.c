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

/* What one gather wants of a device. It has a ref. */
struct part {
    struct served *served;
    uint64_t round; /* of the letter it waits for; 0: for none */
    char *text;     /* members; NULL: it has not answered */
};

struct gather {
    struct request *r;
    struct list node;
    struct timer timer;
    struct part *parts; /* [count] */
    int count, waiting;
    bool all; /* else of one device */
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

static void compose(struct gather *g)
{
    struct json_out *o = &g->r->call.out;

    json_add_str(o, "version", VUB_VERSION);
    json_add_i64(o, "pid", getpid());
    json_add_str(o, "log_level", log_level_words[log_level()]);
    json_begin(o, "devices", '[');
    for (int i = 0; i < g->count; i++) {
        const struct part *p = &g->parts[i];

        if (p->served->gone && g->all)
            continue; /* it has left meanwhile */
        json_begin(o, NULL, '{');
        add_known(o, p->served);
        json_add_bool(o, "answers", p->text != NULL);
        if (p->text)
            json_add_raw(o, NULL, p->text);
        json_end(o, '}');
    }
    json_end(o, ']');
    throttle_status(o, g->all ? NULL : g->parts[0].served->common->id);
}

static void on_gone(struct timer *t)
{
    free(container_of(t, struct gather, timer));
}

static void drop_gather(struct gather *g)
{
    list_del(&g->node);
    for (int i = 0; i < g->count; i++) {
        free(g->parts[i].text);
        served_unref(g->parts[i].served);
    }
    free(g->parts);
    g->parts = NULL;
    timer_close(&g->timer); /* frees it */
}

static void finish(struct gather *g)
{
    struct request *r = g->r;

    compose(g);
    drop_gather(g);
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

/* True: somebody waits for a later one. */
static bool hand_out(struct control *c, struct look *l)
{
    bool more = false;

    LIST_EACH_SAFE (&c->gathers, node) {
        struct gather *g = container_of(node, struct gather, node);
        struct part *p = part_of(g, l->served);

        if (p && p->round > l->round) {
            more = true;
        } else if (p && p->round) {
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
    struct served *s = l->served;

    l->under_way = false;
    if (hand_out(l->control, l))
        send_look(l);
    served_unref(s);
}

/* The letter of a device is made when somebody asks first. */
static struct look *look_of(struct control *c, struct served *s)
{
    if (s->look)
        return s->look;
    s->look = calloc(1, sizeof(*s->look));
    if (!s->look)
        return NULL;
    s->look->control = c;
    s->look->served = s;
    s->look->there.run = on_there;
    s->look->back.run = on_back;
    return s->look;
}

static void ask(struct gather *g, struct served *s)
{
    struct part *p = &g->parts[g->count++];
    struct look *l = look_of(g->r->control, s);

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

void status_run(struct request *r)
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
    g->all = !only;
    if (only)
        ask(g, only);
    for (int i = 0; i < ds->count && !only; i++)
        ask(g, ds->list[i]);
    if (g->waiting == 0)
        finish(g);
}

/* ---- life ---- */

void status_close(struct control *c)
{
    LIST_EACH_SAFE (&c->gathers, node)
        drop_gather(container_of(node, struct gather, node));
}

void status_forget(struct served *s)
{
    if (s->look)
        json_out_free(&s->look->out);
    free(s->look);
    s->look = NULL;
}
