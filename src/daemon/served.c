/* A device has one letter under way at most: it goes to the home loop with
 * what is wanted most (start, close, refresh) and comes back with the answer.
 * So a stop that comes while it starts, or ten SIGHUPs, need no care. */
#include "daemon/served.h"

#include <stdlib.h>

#include "conf/text.h"
#include "daemon/config.h"
#include "daemon/isolate.h"

/* ---- before it starts ---- */

struct served *served_new(const struct conf_any *conf, struct conf_doc *doc)
{
    struct served *s = calloc(1, sizeof(*s));

    if (!s)
        return NULL;
    s->config = *conf;
    s->conf = &s->config;
    s->common = conf->data;
    s->doc = doc ? conf_ref(doc) : NULL;
    s->place = PLACE_NONE;
    s->refs = 1;
    list_init(&s->calls);
    list_init(&s->node);
    return s;
}

int served_open(struct served *s, struct errs *e)
{
    int rc;

    if (isolate_wanted(s->conf) && !s->is_here)
        return isolate_open(&s->isolated, s->conf, s->is_later, NULL, e);
    rc = device_type_of(s->conf)->open(&s->device, s->conf, e);
    if (rc < 0)
        return rc;
    s->ring_loop = calloc(s->device->num_queues, sizeof(*s->ring_loop));
    if (s->ring_loop)
        return 0;
    s->device->ops->close(s->device);
    s->device = NULL;
    return errs_nomem(e);
}

static void on_isolated_closed(void *arg);
static void on_isolated_left(void *arg);
static void on_isolated_event(const struct endpoint_event *event, void *arg);
static void on_isolated_told(struct json_out *members, void *arg);
static void on_disconnected(struct endpoint *ep, void *arg);
static void on_event(struct endpoint *ep, const struct endpoint_event *event,
                     void *arg);

int served_use(struct served *s, struct workers *ws, struct err *e)
{
    int rc;

    if (s->isolated) {
        s->home = ws->main;
        return 0;
    }
    rc = workers_use(ws, s->conf, &s->uses, e);
    for (unsigned i = 0; rc == 0 && i < s->device->num_queues; i++)
        s->ring_loop[i] = workers_loop(&s->uses, i);
    return rc;
}

/* It has the fd now. */
static void take_place(struct served *s, struct place *place)
{
    s->place = *place;
    s->place.fd = -1;
    *place = PLACE_NONE;
}

static int place_isolated(struct served *s, struct place *place, struct err *e)
{
    const struct isolate_events events = {
        .closed = on_isolated_closed,
        .left = on_isolated_left,
        .event = on_isolated_event,
        .told = on_isolated_told,
        .arg = s,
    };
    int rc = isolate_place(s->isolated, place, NULL, s->home, &events, e);

    if (rc == 0)
        take_place(s, place);
    return rc;
}

int served_place(struct served *s, struct place *place, struct err *e)
{
    const struct device_common *c = s->common;
    struct endpoint_conf conf = {
        .fd = place->fd,
        .kind = place->kind,
        .path = place->given < 0 ? place->path : NULL,
        .queue_size = (uint16_t)c->queue_size,
        .drain_timeout_ms = c->drain_timeout,
        .recovers_first = place->kind == SOCK_DOOR,
        .any_memory = c->any_memory,
        .exit_on_disconnect = c->on_disconnect == ON_DISCONNECT_EXIT,
        .disconnected = on_disconnected,
        .event = on_event,
        .arg = s,
    };
    int rc;

    if (s->isolated)
        return place_isolated(s, place, e);
    s->home = s->ring_loop[0];
    s->device->home = s->home;
    s->device->ring_loop = s->ring_loop;
    rc = endpoint_open(&s->endpoint, s->device, &conf, e);
    if (rc < 0)
        return rc;
    s->device = NULL; /* the endpoint's now */
    take_place(s, place);
    return 0;
}

void served_end(struct served *s)
{
    if (s->endpoint)
        endpoint_free(s->endpoint);
    if (s->device)
        s->device->ops->close(s->device);
    if (s->isolated)
        isolate_free(s->isolated);
    s->endpoint = NULL;
    s->device = NULL;
    s->isolated = NULL;
}

void served_free(struct served *s, struct workers *ws)
{
    served_end(s);
    workers_leave(ws, &s->uses);
    free(s->ring_loop);
    place_close(&s->place);
    conf_free(s->doc);
    free(s);
}

struct served *served_ref(struct served *s)
{
    s->refs++;
    return s;
}

void served_unref(struct served *s)
{
    if (--s->refs == 0)
        s->events->unused(s, s->events->arg);
}

void served_describe(const struct served *s, char *out, size_t room)
{
    const struct device_type *type = device_type_of(s->conf);
    int named = s->common->worker.count;
    unsigned queues = type->queues(s->conf->data);
    size_t len = 0;

    out[0] = '\0';
    text_add(out, room, &len, "%s, %u queue%s", s->conf->table->name, queues,
             queues == 1 ? "" : "s");
    if (s->isolated)
        text_add(out, room, &len, ", in a process of its own");
    if (named == 0 && type->default_worker)
        named = 1;
    for (unsigned i = 0; i < (unsigned)named && i < queues; i++)
        text_add(out, room, &len, "%s%s", i ? ", " : " on worker ",
                 workers_name(s->conf, i));
}

/* ---- on the home loop ---- */

static void answer(struct served *s)
{
    loop_post(s->main, &s->answer);
}

static void on_left(struct mail *m);

static void on_disconnected(struct endpoint *ep, void *arg)
{
    struct served *s = arg;

    (void)ep;
    if (s->has_left)
        return;
    s->has_left = true;
    s->left.run = on_left;
    loop_post(s->main, &s->left);
}

static void on_event(struct endpoint *ep, const struct endpoint_event *event,
                     void *arg)
{
    struct served *s = arg;

    (void)ep;
    s->events->event(s, event, s->events->arg);
}

static void do_start(struct served *s)
{
    if (s->isolated)
        s->start_rc = isolate_start(s->isolated, &s->why);
    else
        s->start_rc = endpoint_start(s->endpoint, &s->why);
    answer(s);
}

static void do_refresh(struct served *s)
{
    if (s->isolated)
        isolate_refresh(s->isolated);
    else
        endpoint_refresh(s->endpoint);
    answer(s);
}

static void on_gone(void *arg)
{
    struct served *s = arg;

    loop_post(s->main, &s->gone_mail);
}

static void on_closed(struct endpoint *ep, void *arg)
{
    struct served *s = arg;
    struct device *d = endpoint_device(ep);

    d->gone = on_gone;
    d->gone_arg = s;
    endpoint_free(ep);
    s->endpoint = NULL;
    s->close_due = true;
    served_call_ended(s);
}

/* One that is told may answer, and others too. */
static void cancel_calls(struct served *s)
{
    bool more = true;

    while (more) {
        more = false;
        LIST_EACH (&s->calls, node) {
            struct served_call *c =
                container_of(node, struct served_call, node);

            if (c->cancelled)
                continue;
            served_call_cancel(c);
            more = true;
            break;
        }
    }
}

/* Nothing is left of it when its process has ended. */
static void on_isolated_closed(void *arg)
{
    struct served *s = arg;

    on_gone(s);
    answer(s);
}

static void on_isolated_left(void *arg)
{
    on_disconnected(NULL, arg);
}

static void on_isolated_event(const struct endpoint_event *event, void *arg)
{
    on_event(NULL, event, arg);
}

static void on_isolated_told(struct json_out *members, void *arg)
{
    struct served *s = arg;

    s->events->told(s, members, s->events->arg);
}

static void do_close(struct served *s)
{
    if (s->isolated) {
        isolate_close(s->isolated);
        return;
    }
    cancel_calls(s);
    endpoint_close(s->endpoint, on_closed, s);
}

static void on_ask(struct mail *m)
{
    struct served *s = container_of(m, struct served, ask);

    s->asked(s);
}

/* ---- calls, on the home loop ---- */

struct endpoint *served_endpoint(const struct served *s)
{
    return s->start_rc < 0 ? NULL : s->endpoint;
}

struct device *served_call_begin(struct served *s, struct served_call *c,
                                 struct call *call)
{
    *c = (struct served_call){.call = call};
    list_init(&c->node);
    if (!served_endpoint(s))
        return NULL;
    list_add(&s->calls, &c->node);
    return endpoint_device(s->endpoint);
}

void served_call_cancel(struct served_call *c)
{
    if (!c->call || c->cancelled)
        return;
    c->cancelled = true;
    if (c->call->cancel)
        c->call->cancel(c->call);
}

void served_call_end(struct served_call *c)
{
    c->call = NULL;
    list_del(&c->node);
}

void served_call_ended(struct served *s)
{
    if (!s->close_due || !list_empty(&s->calls))
        return;
    s->close_due = false;
    answer(s);
}

/* ---- on the main loop ---- */

/* Asks for what is wanted most, if nothing is under way. */
static void ask_next(struct served *s)
{
    if (s->asked)
        return;
    if (s->want_start) {
        s->want_start = false;
        s->asked = do_start;
    } else if (s->want_close) {
        s->want_close = s->want_refresh = false;
        s->asked = do_close;
    } else if (s->want_refresh) {
        s->want_refresh = false;
        s->asked = do_refresh;
    } else {
        return;
    }
    loop_post(s->home, &s->ask);
}

/* Calls keep it from being closed longer than from being gone. */
static void tell_gone(struct served *s)
{
    if (!s->closed || !s->is_gone)
        return;
    s->gone = true;
    s->events->gone(s, s->events->arg);
}

static void on_gone_mail(struct mail *m)
{
    struct served *s = container_of(m, struct served, gone_mail);

    s->is_gone = true;
    tell_gone(s);
}

static void was_closed(struct served *s)
{
    s->closed = true;
    if (s->refreshing) {
        s->refreshing = false;
        s->events->refreshed(s, s->events->arg);
    }
    s->events->closed(s, s->events->arg);
    tell_gone(s);
}

static void on_answer(struct mail *m)
{
    struct served *s = container_of(m, struct served, answer);
    void (*done)(struct served *) = s->asked;

    s->asked = NULL;
    if (done == do_close) {
        was_closed(s);
        return;
    }
    if (done == do_refresh && !s->want_refresh) {
        s->refreshing = false;
        s->events->refreshed(s, s->events->arg);
    }
    if (done == do_start)
        s->events->started(s, s->start_rc < 0 ? &s->why : NULL, s->events->arg);
    ask_next(s);
}

static void on_left(struct mail *m)
{
    struct served *s = container_of(m, struct served, left);

    s->events->left(s, s->events->arg);
}

void served_start(struct served *s, struct loop *main,
                  const struct served_events *events)
{
    s->main = main;
    s->events = events;
    s->ask.run = on_ask;
    s->answer.run = on_answer;
    s->gone_mail.run = on_gone_mail;
    s->want_start = true;
    ask_next(s);
}

bool served_refresh(struct served *s)
{
    bool is_new = !s->refreshing;

    s->refreshing = s->want_refresh = true;
    ask_next(s);
    return is_new;
}

void served_close(struct served *s)
{
    if (s->closing)
        return;
    s->want_close = s->closing = true;
    ask_next(s);
}

void served_post(struct served *s, struct mail *m)
{
    loop_post(s->home, m);
}

bool served_is_closing(const struct served *s)
{
    return s->closing;
}
