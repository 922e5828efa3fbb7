/* One place waits, with poll: for vub, for pipes of processes, for signals. It
 * takes what there is, a bounded piece of each, and comes back; so a step's
 * time is over when it is, however much somebody writes. */
#include "daemon/scenario/engine.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/utf8.h"
#include "loop/loop.h"
#include "os/await.h"

#define MS_NS UINT64_C(1000000)
#define SECOND_NS UINT64_C(1000000000)

struct record_step *engine_step(struct engine *g)
{
    return &g->record.steps[g->step];
}

void engine_show(struct engine *g, const char *answer)
{
    struct record_step *s = engine_step(g);
    size_t len = strlen(answer);

    free(s->answer);
    s->answer = len <= ENGINE_ANSWER_MAX
                    ? strdup(answer)
                    : strndup(answer, utf8_cut(answer, ENGINE_ANSWER_MAX));
}

/* ---- what comes ---- */

static void on_event(const struct json *params, void *arg)
{
    struct engine *g = arg;
    const char *event = json_member_string(params, "event");
    const char *device = json_member_string(params, "device");
    char *json = json_text(params);
    struct record_event *r;

    if (!json)
        return;
    r = record_add_event(&g->record, event, device, json);
    if (r)
        r->at_ns = loop_now_ns();
    if (strcmp(event, "lost") == 0)
        g->record.events_lost += (unsigned)json_member_number(params, "count");
    events_add(&g->events, event, device, json);
}

static void take_signals(struct engine *g)
{
    int sig;

    while ((sig = await_signal(g->signals)) != 0) {
        if (sig == SIGCHLD) {
            runners_reap(&g->runners);
            continue;
        }
        g->signal = sig;
        /* The end of vub may be told several times, and be seen before. */
        g->hurry |= g->cleaning && loop_now_ns() - g->cleaning_ns > SECOND_NS;
    }
}

/* In milliseconds, rounded up, so that it is over then. */
static int until(uint64_t now, uint64_t then)
{
    if (then <= now)
        return 0;
    return (int)MIN((then - now + MS_NS - 1) / MS_NS, (uint64_t)INT32_MAX);
}

/* The next thing, or none. 0 or negative errno. */
static int take(struct engine *g, int timeout_ms)
{
    unsigned room = 2 + 2 * g->runners.count, n = 2;
    struct await few[16], *list = few;
    int rc;

    if (room > ARRAY_LEN(few)) {
        list = calloc(room, sizeof(*list));
        if (!list)
            return -ENOMEM;
    }
    list[0] = (struct await){g->signals, AWAIT_READ, 0};
    list[1] = (struct await){
        peer_fd(&g->peer),
        AWAIT_READ | (peer_has_more(&g->peer) ? AWAIT_WRITE : 0), 0};
    n += runners_want(&g->runners, list + 2);
    rc = await_any(list, n, g->peer.more ? 0 : timeout_ms);
    if (rc == 0 && g->peer.more)
        peer_receive(&g->peer, on_event, g);
    if (rc > 0) {
        /* Pipes first: what one has written before it has ended is there. */
        runners_take(&g->runners, list + 2);
        if (list[0].ready)
            take_signals(g);
        if (list[1].ready & AWAIT_WRITE)
            peer_send(&g->peer);
        if ((list[1].ready & AWAIT_READ) || g->peer.more)
            peer_receive(&g->peer, on_event, g);
    }
    if (list != few)
        free(list);
    return MIN(rc, 0);
}

int engine_turn(struct engine *g, uint64_t until_ns, const char *what,
                struct err *e)
{
    uint64_t now = loop_now_ns(), then = g->deadline_ns;
    int rc;

    if (g->signal && !g->cleaning)
        return err_set(e, -EINTR, "", "interrupted by %s",
                       g->signal == SIGINT    ? "SIGINT"
                       : g->signal == SIGTERM ? "SIGTERM"
                                              : "SIGHUP");
    if (g->peer.gone && !g->cleaning)
        return err_set(e, -EPIPE, "", "vub has gone");
    if (now >= g->deadline_ns)
        return err_set(e, -ETIMEDOUT, "", "after %u ms %s", g->timeout_ms,
                       what);
    if (until_ns)
        then = MIN(then, until_ns);
    rc = take(g, until(now, then));
    return rc < 0 ? err_sys(e, -rc, "", "cannot wait") : 0;
}

const struct json *engine_ask(struct engine *g, const char *method,
                              const char *params, struct err *e)
{
    int rc = peer_ask(&g->peer, method, params);

    if (rc < 0) {
        err_nomem(e);
        return NULL;
    }
    while (!g->peer.answer) {
        if (g->cleaning && g->peer.gone) {
            err_set(e, -EPIPE, "", "vub has gone");
            return NULL;
        }
        if (engine_turn(g, 0, "vub has not answered", e) < 0)
            return NULL;
    }
    return peer_result(g->peer.answer, e);
}

/* ---- life ---- */

int engine_open(struct engine *g, struct err *e)
{
    static const int signals[] = {SIGCHLD, SIGINT, SIGTERM, SIGHUP};
    int fd = await_signals(signals, ARRAY_LEN(signals));

    if (fd < 0)
        return err_sys(e, -fd, "", "cannot take signals");
    g->signals = fd;
    return 0;
}

void engine_close(struct engine *g)
{
    close(g->signals);
    runners_free(&g->runners);
    events_free(&g->events);
    peer_close(&g->peer);
    record_free(&g->record);
}
