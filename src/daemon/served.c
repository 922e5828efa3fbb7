/* A device has one letter under way at most: it goes to the home loop with
 * what is wanted most (start, close, refresh) and comes back with the answer.
 * So a stop that comes while it starts, or ten SIGHUPs, need no care. */
#include "daemon/served.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
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
    s->listener = -1;
    s->heritage = HERITAGE_NONE;
    s->refs = 1;
    list_init(&s->there.calls);
    list_init(&s->node);
    return s;
}

static void on_isolated_closed(void *arg);
static void on_isolated_suspended(struct endpoint_visitor *visitor,
                                  struct keep_item *kept, int count, void *arg);
static void on_isolated_stays(const struct err *e, void *arg);
static void on_isolated_arrived(const struct err *e, void *arg);
static void on_isolated_left(void *arg);
static void on_isolated_event(const struct endpoint_event *event, void *arg);
static void on_isolated_told(struct json_out *members, void *arg);
static void on_disconnected(struct endpoint *ep, void *arg);
static void on_event(struct endpoint *ep, const struct endpoint_event *event,
                     void *arg);
static void on_prepared(struct endpoint *ep, void *arg);
static void on_arrived(struct endpoint *ep, const struct err *e, void *arg);

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

/* Somebody else has the fd now, and whoever was served before. */
static void take_place(struct served *s, struct place *place)
{
    s->heritage.visitor.fd = -1;
    s->listener = place->kind == SOCK_LISTENING ? place->fd : -1;
    s->place = *place;
    s->place.fd = -1;
    *place = PLACE_NONE;
}

static int place_isolated(struct served *s, struct place *place, struct err *e)
{
    const struct isolate_events events = {
        .closed = on_isolated_closed,
        .suspended = on_isolated_suspended,
        .stays = on_isolated_stays,
        .arrived = on_isolated_arrived,
        .left = on_isolated_left,
        .event = on_isolated_event,
        .told = on_isolated_told,
        .arg = s,
    };
    int rc;

    s->there.arrives = s->heritage.visitor.fd >= 0;
    rc = isolate_place(s->isolated, place,
                       s->there.arrives ? &s->heritage.visitor : NULL, s->home,
                       &events, e);
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
        .visitor = s->inherits || s->waits ? &s->heritage.visitor : NULL,
        .arrived = on_arrived,
        .waits = s->waits,
        .prepared = on_prepared,
        .borrowed = s->waits && place->taken,
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
    heritage_drop(&s->heritage);
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
    if (s->there.has_left)
        return;
    s->there.has_left = true;
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

/* An isolated one starts only when it is to go: nobody is accepted, and told
 * what was said, before that. */
static void do_start(struct served *s)
{
    if (s->isolated)
        s->there.start_rc =
            s->waits ? 0 : isolate_start(s->isolated, &s->there.why);
    else
        s->there.start_rc = endpoint_start(s->endpoint, &s->there.why);
    s->there.awaited = s->there.start_rc == 0 && s->waits && !s->isolated;
    if (!s->there.awaited)
        answer(s);
}

static void go_isolated(struct served *s)
{
    s->there.went_rc = isolate_start(s->isolated, &s->there.why);
    s->there.awaited = s->there.went_rc == 0 && s->there.arrives;
    if (!s->there.awaited)
        answer(s);
}

static void do_go(struct served *s)
{
    s->there.went = true;
    if (s->isolated) {
        go_isolated(s);
        return;
    }
    s->there.awaited = true;
    endpoint_go(s->endpoint);
}

/* The letter that is under way, if it is one of these two. */
static void was_awaited(struct served *s)
{
    if (s->there.awaited)
        answer(s);
    s->there.awaited = false;
}

static void on_prepared(struct endpoint *ep, void *arg)
{
    (void)ep;
    was_awaited(arg);
}

static void on_arrived(struct endpoint *ep, const struct err *e, void *arg)
{
    struct served *s = arg;

    (void)ep;
    if (e && !s->waits)
        log_error(s->common->id, "its front-end cannot go on here: %s",
                  e->text);
    if (!s->there.awaited)
        return;
    if (e && s->there.went)
        s->there.went_rc = e->code;
    else if (e)
        s->there.start_rc = e->code;
    if (e)
        s->there.why = *e;
    was_awaited(s);
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
    s->there.close_due = true;
    served_call_ended(s);
}

/* Nothing is left of it when its process has ended. */
static void on_isolated_closed(void *arg)
{
    struct served *s = arg;

    on_gone(s);
    answer(s);
}

static void on_isolated_suspended(struct endpoint_visitor *visitor,
                                  struct keep_item *kept, int count, void *arg)
{
    struct served *s = arg;

    s->heritage = (struct heritage){*visitor, kept, count};
}

static void on_isolated_stays(const struct err *e, void *arg)
{
    struct served *s = arg;

    s->there.why = *e;
    s->there.stays = true;
    answer(s);
}

static void on_isolated_arrived(const struct err *e, void *arg)
{
    on_arrived(NULL, e, arg);
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
    served_cancel_calls(s);
    endpoint_close(s->endpoint, on_closed, s);
}

/* What is kept is marked before the device drops it. */
static void on_suspended(struct endpoint *ep, struct endpoint_visitor *visitor,
                         const struct err *e, void *arg)
{
    struct served *s = arg;

    (void)ep;
    if (e) {
        s->there.why = *e;
        s->there.stays = true;
        answer(s);
        return;
    }
    s->heritage.visitor = *visitor;
    s->heritage.num_kept = keep_take(s->common->id, &s->heritage.kept);
}

static void do_suspend(struct served *s)
{
    if (s->isolated) {
        isolate_suspend(s->isolated);
        return;
    }
    served_cancel_calls(s);
    endpoint_suspend(s->endpoint, on_suspended, on_closed, s);
}

static void on_ask(struct mail *m)
{
    struct served *s = container_of(m, struct served, ask);

    s->asked(s);
}

/* ---- on the main loop ---- */

/* Asks for what is wanted most, if nothing is under way. */
static void ask_next(struct served *s)
{
    if (s->asked)
        return;
    if (s->wants.start) {
        s->wants.start = false;
        s->asked = do_start;
    } else if (s->wants.close) {
        s->wants.close = s->wants.go = s->wants.refresh = false;
        s->asked = do_close;
    } else if (s->wants.go) {
        s->wants.go = false;
        s->asked = do_go;
    } else if (s->wants.suspend) {
        s->wants.suspend = s->wants.refresh = false;
        s->asked = do_suspend;
    } else if (s->wants.refresh) {
        s->wants.refresh = false;
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

/* It may be that it has to close meanwhile. */
static void was_refused(struct served *s)
{
    s->there.stays = s->suspending = false;
    s->closing = s->wants.close;
    ask_next(s);
    s->events->refused(s, &s->there.why, s->events->arg);
}

static void on_answer(struct mail *m)
{
    struct served *s = container_of(m, struct served, answer);
    void (*done)(struct served *) = s->asked;

    s->asked = NULL;
    if (done == do_suspend && s->there.stays) {
        was_refused(s);
        return;
    }
    if (done == do_close || done == do_suspend) {
        was_closed(s);
        return;
    }
    if (done == do_refresh && !s->wants.refresh) {
        s->refreshing = false;
        s->events->refreshed(s, s->events->arg);
    }
    if (done == do_go)
        s->events->went(s, s->there.went_rc < 0 ? &s->there.why : NULL,
                        s->events->arg);
    if (done == do_start)
        s->events->started(s, s->there.start_rc < 0 ? &s->there.why : NULL,
                           s->events->arg);
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
    s->wants.start = true;
    ask_next(s);
}

void served_go(struct served *s)
{
    s->wants.go = true;
    ask_next(s);
}

bool served_refresh(struct served *s)
{
    bool is_new = !s->refreshing;

    s->refreshing = s->wants.refresh = true;
    ask_next(s);
    return is_new;
}

void served_close(struct served *s)
{
    if (s->closing && !s->suspending)
        return;
    s->wants.close = s->closing = true;
    ask_next(s);
}

void served_suspend(struct served *s)
{
    if (s->closing)
        return;
    s->wants.suspend = s->closing = s->suspending = true;
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
