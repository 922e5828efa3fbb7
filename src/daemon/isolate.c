/* The keeper of an isolated device:
 *
 *     STARTING -> RUNNING -> (its process ends) -> WAITING -> STARTING ...
 *
 * The first process is waited for when the device is opened, so that what is
 * wrong with its config is told as it is of other devices. The next one is made
 * at once when one ends, and if that does not last, after a while that doubles;
 * it is never given up. Front-ends wait meanwhile, but not for ever: after
 * PATIENCE_MS the one that is there is let go, and may come again. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "daemon/isolate_impl.h"
#include "os/broker.h"
#include "os/closer.h"
#include "os/door.h"
#include "vhost/relay.h"

#define FIRST_DELAY_MS 100
#define LAST_DELAY_MS 5000
/* One that has run for so long has not ended because it was just started. */
#define LASTING_NS (60 * UINT64_C(1000000000))
#define PATIENCE_MS 30000
/* Beside its drain, of one that is to end. */
#define END_MS 2000
/* The same, for an answer to the front-end: an image that is locked is waited
 * for, some of that time. */
#define ANSWER_MS 15000
/* Whether its process may be killed is known at once. */
#define ASKS_MS 5000

static const char *const state_names[] = {
    [ISOLATE_STARTING] = "starting",
    [ISOLATE_RUNNING] = "running",
    [ISOLATE_WAITING] = "waiting",
    [ISOLATE_CLOSED] = "closed",
};

/* ---- opening ---- */

static void inherit(struct isolated *i, const struct isolate_inherited *kept)
{
    for (int k = 0; kept && k < kept->count; k++) {
        if (strcmp(kept->items[k].id, i->common->id) == 0)
            isolate_kept_add(&i->kept, &kept->items[k]);
        else
            close(kept->items[k].fd);
    }
}

static void count_one(const struct conf_any *o, void *arg)
{
    (void)o;
    ++*(unsigned *)arg;
}

/* How many pieces of memory it may keep: one for each store and filter, and two
 * of its own; of units that come later nobody knows. */
static unsigned kept_max(const struct conf_any *device)
{
    unsigned count = 2;
    const struct conf_visitor v = {.object = count_one, .arg = &count};

    conf_visit(device->table, device->data, &v);
    return device_type_of(device)->grows ? KEEP_ITEMS_MAX
                                         : MIN(count, KEEP_ITEMS_MAX);
}

struct isolated *isolate_begin(const struct conf_any *device, bool reread,
                               const struct isolate_inherited *kept)
{
    struct isolated *i = calloc(1, sizeof(*i));

    if (!i)
        return NULL;
    i->conf = *device;
    i->common = device->data;
    i->reread = reread;
    list_init(&i->waiting);
    i->visitor.fd = -1;
    if (isolate_kept_open(&i->kept, i->common->id, kept_max(device)) < 0) {
        free(i);
        return NULL;
    }
    inherit(i, kept);
    i->process = process_new(i, &i->why_not);
    return i;
}

int isolate_await(struct isolated *i, struct errs *e)
{
    unsigned before = errs_total(e);
    int rc = i->process ? process_wait(i->process, e)
                        : errs_adopt(e, i->conf.at, "isolation", &i->why_not);

    /* What was not found in the config has no place there. */
    for (int k = (int)before; rc < 0 && k < e->count; k++)
        if (!e->list[k].where[0])
            snprintf(e->list[k].where, sizeof(e->list[k].where), "%s",
                     i->conf.at);
    return rc;
}

/* ---- front-ends ---- */

static int pass(struct relay *r, uint64_t leg, int fd, int pid, unsigned uid,
                void *arg)
{
    struct isolated *i = arg;
    const struct door_visit v = {leg, fd, pid, uid};
    int rc = -ENOTCONN;

    (void)r;
    if (i->process && i->process->door >= 0)
        rc = door_bring(i->process->door, &v);
    close(fd);
    return rc;
}

static void on_disconnected(struct relay *r, void *arg)
{
    struct isolated *i = arg;

    (void)r;
    i->events.left(i->events.arg);
}

static void on_arrived(struct relay *r, const struct err *e, void *arg)
{
    struct isolated *i = arg;

    (void)r;
    if (i->events.arrived)
        i->events.arrived(e, i->events.arg);
}

static void on_event(struct relay *r, const struct endpoint_event *event,
                     void *arg)
{
    struct isolated *i = arg;

    (void)r;
    i->events.event(event, i->events.arg);
}

static void on_overdue(struct relay *r, const char *what, void *arg)
{
    struct isolated *i = arg;
    char why[80];

    (void)r;
    snprintf(why, sizeof(why), "it has not answered %s", what);
    if (i->process)
        process_kill(i->process, why);
}

void isolate_leg_ended(struct isolated *i, uint64_t number, const char *why)
{
    relay_leg_ended(i->relay, number, why);
}

void isolate_event_told(struct isolated *i, const char *members, size_t len)
{
    struct json_out o = JSON_OUT_EMPTY;

    json_add_cut(&o, members, len);
    i->events.told(&o, i->events.arg);
}

/* ---- the next process ---- */

static void tell_restarted(struct isolated *i)
{
    struct json_out o = JSON_OUT_EMPTY;

    log_limited(&i->lines, LOG_INFO, i->common->id,
                "process %d serves it now, after %u restart%s", i->process->pid,
                i->restarts, i->restarts == 1 ? "" : "s");
    json_add_str(&o, "event", "device.restarted");
    json_add_str(&o, "device", i->common->id);
    json_add_i64(&o, "pid", i->process->pid);
    json_add_u64(&o, "restarts", i->restarts);
    json_add_str(&o, "why", i->reason);
    i->events.told(&o, i->events.arg);
}

static void wait_for_next(struct isolated *i)
{
    uint64_t delay_ms = i->delay_ms;

    i->state = ISOLATE_WAITING;
    i->delay_ms = delay_ms ? MIN(2 * delay_ms, LAST_DELAY_MS) : FIRST_DELAY_MS;
    timer_start(&i->next, delay_ms);
}

static void start_next(struct isolated *i)
{
    struct err why;

    i->state = ISOLATE_STARTING;
    i->has_reason = false;
    i->process = process_new(i, &why);
    if (i->process && process_watch(i->process, i->main, &why) == 0)
        return;
    log_limited(&i->lines, LOG_ERROR, i->common->id, "%s", why.text);
    snprintf(i->reason, sizeof(i->reason), "%s", why.text);
    if (i->process)
        process_drop(i->process, false);
    i->process = NULL;
    wait_for_next(i);
}

static void on_next(struct timer *t)
{
    start_next(container_of(t, struct isolated, next));
}

static void stay(struct isolated *i, const struct err *e)
{
    i->asks = i->suspending = false;
    i->events.stays(e, i->events.arg);
}

static void on_patience(struct timer *t)
{
    struct isolated *i = container_of(t, struct isolated, patience);
    struct err e;

    if (i->asks) {
        isolate_forget(&i->asked);
        err_set(&e, -ETIMEDOUT, "", "its process %d does not answer",
                i->process ? i->process->pid : 0);
        stay(i, &e);
        return;
    }
    if (i->closing) {
        if (i->process)
            process_kill(i->process, "it does not end");
        return;
    }
    relay_give_up(i->relay, "no process has been there to serve it for some "
                            "time");
}

/* Why one has ended, unless it is known better. */
static void note_reason(struct isolated *i, int how)
{
    char *to = i->reason;
    size_t room = sizeof(i->reason);

    if (i->has_reason)
        return;
    i->has_reason = true;
    if (how == -EOWNERDEAD)
        snprintf(to, room, "vub-broker, which had made it, has ended");
    else if (how < 0)
        snprintf(to, room, "it was not there: %s", strerror(-how));
    else if (how > 128)
        snprintf(to, room, "signal %d", how - 128);
    else
        snprintf(to, room, "exit status %d", how);
}

/* Its process and its relay have ended. */
static void be_closed(struct isolated *i)
{
    struct keep_item *items;
    int count;

    if (i->closed)
        return;
    i->closed = true;
    i->state = ISOLATE_CLOSED;
    if (i->handed_on) {
        struct endpoint_visitor v = i->visitor;

        i->visitor = (struct endpoint_visitor){.fd = -1};
        count = isolate_kept_take(&i->kept, &items);
        i->events.suspended(&v, items, count, i->events.arg);
    }
    i->events.closed(i->events.arg);
}

static void on_relay_closed(struct relay *r, void *arg)
{
    struct isolated *i = arg;

    (void)r;
    i->relay_closed = true;
    /* Of one that was never started nobody would be told that it has ended. */
    if (i->process && !i->process->watched) {
        process_drop(i->process, false);
        i->process = NULL;
    }
    if (!i->process) {
        be_closed(i);
        return;
    }
    process_end(i->process);
    timer_start(&i->patience, (uint64_t)i->common->drain_timeout + END_MS);
}

void isolate_lost(struct isolated *i, int how)
{
    struct isolate_process *p = i->process;
    bool was_ready = p->ready;

    i->process = NULL;
    if (i->closing && i->relay_closed) {
        if (how != 0)
            log_warn(i->common->id, "its process %d has ended with status %d",
                     p->pid, how);
        process_drop(p, false);
        isolate_fail_waiting(i);
        be_closed(i);
        return;
    }
    if (i->handed_on) {
        process_drop(p, false);
        isolate_fail_waiting(i);
        relay_child_lost(i->relay);
        relay_close(i->relay, on_relay_closed, i);
        return;
    }
    note_reason(i, how);
    log_limited(&i->lines, LOG_WARN, i->common->id,
                "its process %d has ended%s (%s): another is started", p->pid,
                was_ready ? "" : " before it was ready", i->reason);
    i->state = ISOLATE_WAITING; /* for whom the next lines answer */
    process_drop(p, false);
    isolate_fail_waiting(i);
    relay_child_lost(i->relay);
    if (i->closing)
        return;
    if (was_ready && loop_now_ns() - i->ready_ns >= LASTING_NS)
        i->delay_ms = 0;
    if (!timer_runs(&i->patience))
        timer_start(&i->patience, PATIENCE_MS);
    if (i->delay_ms) {
        wait_for_next(i);
        return;
    }
    i->delay_ms = FIRST_DELAY_MS;
    start_next(i);
}

static void be_ready(struct isolated *i)
{
    i->process->ready = true;
    i->ready_ns = loop_now_ns();
    i->state = ISOLATE_RUNNING;
    timer_stop(&i->patience);
    process_greet(i->process);
    process_pulse_start(i->process);
    relay_child_here(i->relay);
}

void isolate_was_heard(struct isolated *i, enum heard what,
                       const struct errs *errors)
{
    if (i->closing)
        return;
    if (what == HEARD_READY) {
        i->restarts++;
        tell_restarted(i);
        be_ready(i);
        return;
    }
    for (int k = 0; k < errors->count; k++)
        log_limited(&i->lines, LOG_ERROR, i->common->id, "%s%s%s",
                    errors->list[k].where, errors->list[k].where[0] ? ": " : "",
                    errors->list[k].text);
    snprintf(i->reason, sizeof(i->reason), "%.*s", (int)sizeof(i->reason) - 1,
             errors->list[0].text);
    i->has_reason = true;
    /* All is said: it does not matter how it ends, but that it does. */
    broker_kill(i->process->line);
}

/* ---- life ---- */

static void free_if_clear(struct isolated *i)
{
    if (i->timers == 0)
        free(i);
}

static void on_next_gone(struct timer *t)
{
    struct isolated *i = container_of(t, struct isolated, next);

    i->timers--;
    free_if_clear(i);
}

static void on_patience_gone(struct timer *t)
{
    struct isolated *i = container_of(t, struct isolated, patience);

    i->timers--;
    free_if_clear(i);
}

int isolate_place(struct isolated *i, struct place *place,
                  struct endpoint_visitor *visitor, struct loop *main,
                  const struct isolate_events *events, struct err *e)
{
    const struct device_common *c = i->common;
    const struct relay_conf conf = {
        .id = c->id,
        .home = main,
        .fd = place->fd,
        .kind = place->kind,
        .path = place->given < 0 ? place->path : NULL,
        .queue_size = (uint16_t)c->queue_size,
        .config_acts = i->process->config_acts,
        .exit_on_disconnect = c->on_disconnect == ON_DISCONNECT_EXIT,
        .disconnected = on_disconnected,
        .visitor = visitor,
        .arrived = on_arrived,
        .pass = pass,
        .event = on_event,
        .told = isolate_on_told,
        .answer_ms = c->hang_timeout == DEVICE_HANG_NEVER
                         ? 0
                         : (uint64_t)c->drain_timeout + ANSWER_MS,
        .overdue = on_overdue,
        .arg = i,
    };
    int rc = 0;

    if (visitor && visitor->said)
        rc = process_suits(i->process, visitor->said, e);
    if (rc == 0)
        rc = relay_open(&i->relay, &conf, e);
    if (rc < 0)
        return rc;
    i->main = main;
    i->events = *events;
    i->next.fire = on_next;
    i->next.gone = on_next_gone;
    i->patience.fire = on_patience;
    i->patience.gone = on_patience_gone;
    timer_open(&i->next, main);
    timer_open(&i->patience, main);
    i->timers = 2;
    i->placed = true;
    return 0;
}

int isolate_start(struct isolated *i, struct err *e)
{
    int rc = process_watch(i->process, i->main, e);

    if (rc == 0)
        rc = relay_start(i->relay, e);
    if (rc == 0)
        be_ready(i);
    return rc;
}

/* A process whose front-end hangs up takes its guest for gone. So it is killed,
 * as it may be at any time: what the next one needs is kept. */
static void on_suspended(struct relay *r, struct endpoint_visitor *visitor,
                         void *arg)
{
    struct isolated *i = arg;

    i->suspending = false;
    if (!visitor || i->closing)
        return; /* it is closed */
    i->handed_on = true;
    i->visitor = *visitor;
    timer_stop(&i->next);
    timer_stop(&i->patience);
    if (i->process)
        broker_kill(i->process->line);
    else
        relay_close(r, on_relay_closed, i);
}

static void on_asked(struct isolate_call *c, const char *members,
                     const char *error)
{
    struct isolated *i = container_of(c, struct isolated, asked);
    struct err e;

    if (!i->asks || i->closing)
        return;
    timer_stop(&i->patience);
    if (members) {
        i->asks = false;
        relay_suspend(i->relay, on_suspended, i);
        return;
    }
    if (error)
        process_read_error(error, &e);
    else
        err_set(&e, -EAGAIN, "", "its process has ended meanwhile");
    stay(i, &e);
}

/* It may be known by now that there is something to lose; if there comes to be
 * before it is killed, the next process knows. */
static bool asks_process(struct isolated *i)
{
    struct json_out o = JSON_OUT_EMPTY;
    struct err e;
    int rc = -ENOTCONN;

    if (!i->process || !i->process->ready)
        return false;
    json_begin(&o, NULL, '{');
    json_add_str(&o, "device", i->common->id);
    json_end(&o, '}');
    i->asked.answered = on_asked;
    list_init(&i->asked.node);
    if (!o.failed)
        rc = process_ask(i->process, &i->asked, "keeper.may_be_killed", o.text,
                         &e);
    json_out_free(&o);
    return rc == 0;
}

void isolate_suspend(struct isolated *i)
{
    if (i->closing || i->suspending || i->handed_on)
        return;
    i->suspending = true;
    i->asks = asks_process(i);
    if (i->asks)
        timer_start(&i->patience, ASKS_MS);
    else
        relay_suspend(i->relay, on_suspended, i);
}

void isolate_close(struct isolated *i)
{
    if (i->closing)
        return;
    i->closing = true;
    if (i->handed_on)
        return; /* it is closing already */
    timer_stop(&i->next);
    timer_stop(&i->patience);
    relay_close(i->relay, on_relay_closed, i);
}

void isolate_free(struct isolated *i)
{
    if (i->process)
        process_drop(i->process, true);
    i->process = NULL;
    if (i->relay)
        relay_free(i->relay);
    i->relay = NULL;
    endpoint_visitor_drop(&i->visitor);
    isolate_kept_close(&i->kept);
    if (i->placed) {
        timer_close(&i->next);
        timer_close(&i->patience);
    } else {
        free(i);
    }
}

/* ---- what there is to know ---- */

unsigned isolate_restarts(const struct isolated *i)
{
    return i->restarts;
}

void isolate_status(const struct isolated *i, struct json_out *o)
{
    json_begin(o, "process", '{');
    json_add_str(o, "state", state_names[i->state]);
    if (i->process)
        json_add_i64(o, "pid", i->process->pid);
    json_add_u64(o, "restarts", i->restarts);
    if (i->reason[0])
        json_add_str(o, "last_end", i->reason);
    if (i->relay)
        relay_status(i->relay, o);
    json_end(o, '}');
}
