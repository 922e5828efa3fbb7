/* The life of a relay's display: its two ends, and what each is watched for.
 *
 * A child may close its end because the display has said what is wrong, or
 * because it is dead. Then the leg ends too, at once, and its keeper says so.
 * Of a display that has gone the child has a line in the log. */
#include "vhost/relay_display.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "vhost/relay_display_impl.h"

#define SOCKET_BYTES (512 << 10)
/* Of a child that dies everything is closed by then. */
#define PATIENCE_MS 100

/* ---- handles ---- */

static void end_gone(struct display_end *end)
{
    struct relay *r = end->relay;

    if (--end->handles > 0)
        return;
    free(end);
    relay_leg_over(r);
}

static void on_end_watch_gone(struct watch *w)
{
    end_gone(container_of(w, struct display_end, watch));
}

static void on_end_timer_gone(struct timer *t)
{
    end_gone(container_of(t, struct display_end, timer));
}

static void end_close(struct relay_display *d)
{
    struct display_end *end = d->child;

    if (!end)
        return;
    d->child = NULL;
    end->display = NULL;
    watch_close(&end->watch);
    timer_close(&end->timer);
    closer_sock(d->relay->closer, end->fd);
}

/* When nobody has it any more, and it is watched no more. */
static void free_if_gone(struct relay_display *d)
{
    struct relay *r = d->relay;

    if (!d->closed || !d->watch_gone)
        return;
    free(d->room);
    free(d);
    relay_leg_over(r);
}

static void on_gone(struct watch *w)
{
    struct relay_display *d = container_of(w, struct relay_display, watch);

    d->watch_gone = true;
    free_if_gone(d);
}

void display_drop_fd(struct relay_display *d, int *fd)
{
    if (*fd >= 0)
        closer_fd(d->relay->closer, *fd);
    *fd = -1;
}

/* Both ends. The number of its fd may be another one's as soon as it is closed.
 */
static void hang_up(struct relay_display *d)
{
    d->lost = true;
    watch_close(&d->watch);
    if (d->shared)
        closer_fd(d->relay->closer, d->fd);
    else
        closer_sock(d->relay->closer, d->fd);
    d->fd = -1;
    end_close(d);
    display_drop_fd(d, &d->header_fd);
    display_drop_fd(d, &d->fd_out);
}

void display_lose(struct relay_display *d, enum log_level level,
                  const char *why)
{
    if (d->lost)
        return;
    if (level == LOG_DEBUG)
        log_debug(d->relay->conf.id, "nothing more is shown: %s", why);
    else
        log_limited(relay_limit(d->relay, RELAY_LINE_CHILD), level,
                    d->relay->conf.id, "the front-end's display is lost: %s",
                    why);
    hang_up(d);
    if (d->leaving)
        relay_session_display_left(d->session, false);
}

void display_gone(struct relay_display *d)
{
    display_lose(d, d->child ? LOG_DEBUG : LOG_INFO, "it has gone");
}

void display_fault(struct relay_display *d, const char *why)
{
    if (!d->child || d->child->ended) {
        display_lose(d, LOG_WARN, why);
        return;
    }
    d->faulty = true;
    d->reply_len = sizeof(struct wire_header); /* all that is known of it */
    d->reply_sent = 0;
}

/* ---- what is waited for ---- */

void display_child_ended(struct relay_display *d)
{
    d->child->ended = true;
    watch_stop(&d->child->watch);
    timer_start(&d->child->timer, PATIENCE_MS);
}

void display_update(struct relay_display *d)
{
    int events = UV_DISCONNECT;

    if (d->lost)
        return;
    if (d->leaving && !display_owes(d) && d->len == 0 && d->zeros == 0) {
        d->leaving = false;
        watch_stop(&d->watch);
        relay_session_display_left(d->session, true);
        return;
    }
    if (d->len > 0 || d->zeros > 0)
        events |= UV_WRITABLE;
    if (d->reply_len == 0 && !d->faulty)
        events |= UV_READABLE;
    watch_start(&d->watch, events);
    if (!d->child || d->child->ended)
        return;
    events = display_has_room(d) ? UV_READABLE : 0;
    if (d->reply_len > 0)
        events |= UV_WRITABLE;
    if (events)
        watch_start(&d->child->watch, events);
    else
        watch_stop(&d->child->watch);
}

static void on_ready(struct watch *w, int status, int events)
{
    struct relay_display *d = container_of(w, struct relay_display, watch);

    if (d->lost)
        return;
    if (status < 0 || ((events & UV_DISCONNECT) && !(events & UV_READABLE))) {
        display_gone(d);
        return;
    }
    if (events & UV_READABLE)
        display_hear(d);
    if (!d->lost && (events & UV_WRITABLE)) {
        d->full = false;
        display_show(d);
    }
}

static void on_child_ready(struct watch *w, int status, int events)
{
    struct display_end *end = container_of(w, struct display_end, watch);
    struct relay_display *d = end->display;

    if (!d || end->ended)
        return;
    if (status < 0) {
        display_child_ended(d);
        return;
    }
    if (events & UV_WRITABLE) {
        d->child_full = false;
        display_hear(d);
    }
    if (!d->lost && (events & UV_READABLE))
        display_show(d);
}

static void on_child_timer(struct timer *t)
{
    struct display_end *end = container_of(t, struct display_end, timer);
    struct relay_display *d = end->display;
    const struct relay_leg *leg = d ? d->session->leg : NULL;

    if (leg && !leg->ended)
        display_lose(d, LOG_DEBUG, "the device has closed it");
}

/* ---- life ---- */

struct relay_display *relay_display_open(struct relay *r,
                                         struct relay_session *s, int fd)
{
    struct relay_display *d = calloc(1, sizeof(*d));

    if (!d)
        goto fail;
    d->relay = r;
    d->session = s;
    d->fd = fd;
    d->header_fd = d->fd_out = -1;
    d->room = malloc(DISPLAY_ROOM_BYTES);
    if (!d->room)
        goto fail;
    d->watch.ready = on_ready;
    d->watch.gone = on_gone;
    if (watch_open(&d->watch, r->conf.home, fd) < 0)
        goto fail;
    sock_make_room(fd, SOCKET_BYTES);
    r->legs++;
    display_update(d);
    return d;
fail:
    if (d)
        free(d->room);
    free(d);
    closer_sock(r->closer, fd);
    return NULL;
}

void relay_display_close(struct relay_display *d)
{
    if (!d)
        return;
    if (!d->lost)
        hang_up(d);
    d->closed = true;
    free_if_gone(d);
}

int relay_display_connect(struct relay_display *d)
{
    struct relay *r = d->relay;
    struct display_end *end = NULL;
    int pair[2] = {-1, -1}, rc;

    relay_display_disconnect(d);
    if (d->lost)
        return -EPIPE;
    rc = sock_pair(pair);
    if (rc < 0)
        return rc;
    end = calloc(1, sizeof(*end));
    rc = -ENOMEM;
    if (!end)
        goto fail;
    end->relay = r;
    end->display = d;
    end->fd = pair[0];
    end->watch.ready = on_child_ready;
    end->watch.gone = on_end_watch_gone;
    end->timer.fire = on_child_timer;
    end->timer.gone = on_end_timer_gone;
    rc = watch_open(&end->watch, r->conf.home, end->fd);
    if (rc < 0)
        goto fail;
    timer_open(&end->timer, r->conf.home);
    end->handles = 2;
    r->legs++;
    d->child = end;
    display_update(d);
    return pair[1];
fail:
    free(end);
    close(pair[0]);
    close(pair[1]);
    return rc;
}

void relay_display_share(struct relay_display *d, bool shared)
{
    d->shared = shared;
}

void relay_display_leave(struct relay_display *d)
{
    d->leaving = true;
    if (d->child)
        relay_display_disconnect(d);
    else
        display_update(d);
}

void relay_display_disconnect(struct relay_display *d)
{
    if (!d->child || d->lost)
        return;
    end_close(d);
    display_cut(d);
    for (unsigned i = 0; i < DISPLAY_KINDS; i++) {
        d->orphans[i] += d->asked[i];
        d->asked[i] = 0;
    }
    d->reply_len = d->reply_sent = 0;
    d->child_full = false;
    if (d->faulty)
        display_lose(d, LOG_WARN, "what it has said makes no sense");
    else
        display_update(d);
}

bool relay_display_is_lost(const struct relay_display *d)
{
    return d->lost;
}
