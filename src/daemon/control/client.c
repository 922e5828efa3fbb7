/* Bytes are read into one buffer and lines are given out of it, each with its
 * '\n' replaced by '\0'. Everything that ends a client is noted and told in a
 * turn of its own, so that nobody finds it gone in the middle of an answer. */
#include "daemon/control/client.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/rpc.h"
#include "os/closer.h"
#include "os/sock.h"

#define READ_BYTES (64u << 10)

/* What is left of the queue that is worth no buffer of its own. */
#define OUT_KEEP_BYTES (16u << 10)

static size_t waiting(const struct client *c)
{
    return c->out.len - c->out_sent;
}

static size_t line_max(const struct client *c)
{
    return c->keeper ? 4 * CLIENT_LINE_MAX : CLIENT_LINE_MAX;
}

/* May a line be taken? */
static bool may_take(const struct client *c)
{
    if (c->keeper)
        return !c->broken && !c->closed;
    return !c->broken && c->num_requests < CLIENT_REQUESTS_MAX &&
           waiting(c) < CLIENT_PAUSE_MAX;
}

/* A hang-up is noticed whatever is watched: UV_PRIORITIZED never comes from a
 * unix socket but with it. */
static void update_watch(struct client *c)
{
    int events = UV_PRIORITIZED;

    if (c->closed || c->broken)
        return;
    if (!c->eof && may_take(c))
        events |= UV_READABLE;
    if (waiting(c))
        events |= UV_WRITABLE;
    watch_start(&c->watch, events);
}

static void later(struct client *c)
{
    loop_defer(c->loop, &c->later);
}

static void fail(struct client *c, const char *why)
{
    if (c->broken)
        return;
    c->broken = true;
    c->why = why;
    watch_stop(&c->watch);
    later(c);
}

/* ---- out ---- */

static void told_lost(struct client *c)
{
    struct json_out o = JSON_OUT_EMPTY;

    if (!c->events_lost || waiting(c))
        return;
    json_add_str(&o, "event", "lost");
    json_add_u64(&o, "count", c->events_lost);
    if (!o.failed)
        rpc_add_event(&c->out, o.text);
    c->events_lost = 0;
    json_out_free(&o);
}

static void drop_gift(struct client *c)
{
    if (c->gift >= 0)
        close(c->gift);
    c->gift = -1;
}

void client_give(struct client *c, int fd)
{
    drop_gift(c);
    c->gift = fd;
}

static void flush(struct client *c)
{
    ssize_t n;

    while (waiting(c)) {
        n = sock_send(c->fd, c->out.text + c->out_sent, waiting(c), &c->gift,
                      c->gift >= 0);
        if (n == -EAGAIN)
            return;
        drop_gift(c);
        if (n < 0) {
            fail(c, NULL);
            return;
        }
        c->out_sent += (size_t)n;
    }
}

/* What has been sent is given up when it is as much as what has not. */
static void compact(struct client *c)
{
    size_t left = waiting(c);

    if (c->out_sent < left)
        return;
    if (left)
        memmove(c->out.text, c->out.text + c->out_sent, left);
    else if (c->out.room > OUT_KEEP_BYTES)
        json_out_free(&c->out);
    c->out.len = left;
    c->out_sent = 0;
}

void client_send(struct client *c)
{
    if (c->closed || c->broken)
        return;
    if (c->out.failed) {
        fail(c, "there is no memory for its answers");
        return;
    }
    flush(c);
    told_lost(c);
    flush(c);
    compact(c);
    /* What had to wait for this. */
    if (may_take(c) && c->in_len > c->in_seen)
        later(c);
    /* All is said. */
    if (c->eof && !c->in_len && !waiting(c) && !c->num_requests &&
        !c->wants_events)
        fail(c, NULL);
    update_watch(c);
}

bool client_may_answer(struct client *c)
{
    if (c->closed || c->broken)
        return false;
    if (waiting(c) < CLIENT_OUT_MAX)
        return true;
    fail(c, "it does not read its answers");
    return false;
}

bool client_may_event(struct client *c)
{
    if (c->closed || c->broken)
        return false;
    if (!c->events_lost && waiting(c) < CLIENT_PAUSE_MAX)
        return true;
    c->events_lost++;
    return false;
}

/* ---- in ---- */

static void on_line(struct client *c, char *line, size_t len)
{
    if (c->skipping) {
        c->skipping = false;
        return;
    }
    if (len > line_max(c)) {
        c->too_long(c);
        return;
    }
    if (len && line[len - 1] == '\r')
        len--;
    line[len] = '\0';
    c->line(c, line, len);
}

/* Gives out the lines that are there, as long as their answers are due. */
static void give_lines(struct client *c)
{
    size_t at = 0;
    char *end;

    while (at < c->in_len && may_take(c)) {
        end =
            memchr(c->in + at + c->in_seen, '\n', c->in_len - at - c->in_seen);
        if (!end && !c->eof) {
            c->in_seen = c->in_len - at;
            break;
        }
        if (!end)
            end = c->in + c->in_len; /* the last line may have none */
        c->in_seen = 0;
        on_line(c, c->in + at, (size_t)(end - (c->in + at)));
        at = MIN((size_t)(end - c->in) + 1, c->in_len);
    }
    if (at == 0 && c->in_len == 0)
        return;
    memmove(c->in, c->in + at, c->in_len - at);
    c->in_len -= at;
    if (c->in_len > line_max(c) && c->in_seen == c->in_len) {
        if (!c->skipping)
            c->too_long(c);
        c->skipping = true;
        c->in_len = c->in_seen = 0;
    }
}

static bool make_room(struct client *c)
{
    size_t room = c->in_room ? c->in_room : 4096;
    char *in;

    /* One byte more than bytes, for a last line without an end. */
    if (c->in_room - c->in_len > 1)
        return true;
    while (room - c->in_len <= 1)
        room *= 2;
    in = realloc(c->in, room);
    if (!in)
        return false;
    c->in = in;
    c->in_room = room;
    return true;
}

static void on_end_of_input(struct client *c)
{
    if (sock_is_gone(c->fd)) {
        fail(c, NULL);
        return;
    }
    c->eof = true;
    give_lines(c);
}

static void receive(struct client *c)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num_fds = 0;
    size_t want;
    ssize_t n;

    if (!make_room(c)) {
        fail(c, "there is no memory for its lines");
        return;
    }
    want = MIN(c->in_room - c->in_len - 1, READ_BYTES);
    n = sock_recv(c->fd, c->in + c->in_len, want, fds, &num_fds);
    if (num_fds > 0)
        n = -EMSGSIZE; /* nobody asked for any */
    while (num_fds > 0)
        closer_stray(fds[--num_fds]);
    if (n > 0)
        c->in_len += (size_t)n;
    else if (n == 0)
        on_end_of_input(c);
    else if (n == -EMSGSIZE)
        fail(c, "it sends descriptors");
    else if (n != -EAGAIN)
        fail(c, NULL);
    if (n > 0)
        give_lines(c);
}

static void on_ready(struct watch *w, int status, int events)
{
    struct client *c = container_of(w, struct client, watch);

    if (events & UV_READABLE || status < 0)
        receive(c);
    else if (events & UV_PRIORITIZED)
        fail(c, NULL);
    if (status < 0) /* it has gone with answers unread */
        fail(c, NULL);
    client_send(c);
}

static void on_later(struct defer *d)
{
    struct client *c = container_of(d, struct client, later);

    if (c->closed)
        return;
    if (c->broken) {
        c->ended(c, c->why);
        return;
    }
    give_lines(c);
    client_send(c);
}

void client_next(struct client *c)
{
    if (!c->closed && !c->broken)
        later(c);
}

/* ---- life ---- */

static void on_gone(struct watch *w)
{
    struct client *c = container_of(w, struct client, watch);

    free(c->in);
    json_out_free(&c->out);
    c->gone(c);
}

int client_open(struct client *c, struct loop *loop, int fd)
{
    int rc;

    c->loop = loop;
    c->fd = fd;
    c->gift = -1;
    c->out = JSON_OUT_EMPTY;
    c->watch.ready = on_ready;
    c->watch.gone = on_gone;
    list_init(&c->node);
    list_init(&c->requests);
    defer_init(&c->later, on_later);
    rc = watch_open(&c->watch, loop, fd);
    if (rc < 0) {
        close(fd);
        return rc;
    }
    update_watch(c);
    return 0;
}

void client_close(struct client *c)
{
    if (c->closed)
        return;
    c->closed = true;
    defer_cancel(&c->later);
    watch_close(&c->watch);
    drop_gift(c);
    if (c->keeper)
        closer_stray(c->fd); /* there may be unread what closes slowly */
    else
        close(c->fd);
    c->fd = -1;
}
