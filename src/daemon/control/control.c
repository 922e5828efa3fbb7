/* Who may: the user who runs vub, and root. Others are told so and left.
 *
 * Events come from all threads as letters; no more than EVENTS_MAX of them are
 * under way, so that a front-end that comes and goes in a loop costs a bounded
 * amount of memory. What is lost is told, as it is when one client does not
 * read (client.h). */
#include "daemon/control/control.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control/gather.h"
#include "os/sock.h"

#define CLIENTS_MAX 256
#define EVENTS_MAX 1024
#define RETRY_MS 1000

/* ---- events ---- */

struct event {
    struct mail mail;
    struct control *control;
    struct json_out members;
};

static void tell(struct control *c, const char *members)
{
    LIST_EACH_SAFE (&c->clients, node) {
        struct client *client = container_of(node, struct client, node);

        if (!client->wants_events || !client_may_event(client))
            continue;
        rpc_add_event(&client->out, members);
        client_send(client);
    }
}

static void tell_lost(struct control *c)
{
    unsigned lost = __atomic_exchange_n(&c->events_lost, 0, __ATOMIC_RELAXED);
    struct json_out o = JSON_OUT_EMPTY;

    if (!lost)
        return;
    json_add_str(&o, "event", "lost");
    json_add_u64(&o, "count", lost);
    if (!o.failed)
        tell(c, o.text);
    json_out_free(&o);
}

static void on_event(struct mail *m)
{
    struct event *e = container_of(m, struct event, mail);
    struct control *c = e->control;

    __atomic_fetch_sub(&c->events_waiting, 1, __ATOMIC_RELAXED);
    tell(c, e->members.text);
    json_out_free(&e->members);
    free(e);
    tell_lost(c);
}

void control_event(struct control *c, struct json_out *members)
{
    struct event *e = NULL;

    if (!control_wants_events(c) || members->failed) {
        json_out_free(members);
        return;
    }
    if (__atomic_fetch_add(&c->events_waiting, 1, __ATOMIC_RELAXED) <
        EVENTS_MAX)
        e = calloc(1, sizeof(*e));
    if (!e) {
        __atomic_fetch_sub(&c->events_waiting, 1, __ATOMIC_RELAXED);
        __atomic_fetch_add(&c->events_lost, 1, __ATOMIC_RELAXED);
        json_out_free(members);
        return;
    }
    e->control = c;
    e->members = *members;
    *members = JSON_OUT_EMPTY;
    e->mail.run = on_event;
    loop_post(c->main, &e->mail);
}

void control_subscribe(struct control *c, struct client *client)
{
    if (client->wants_events)
        return;
    client->wants_events = true;
    __atomic_fetch_add(&c->subscribers, 1, __ATOMIC_RELAXED);
}

/* ---- clients ---- */

/* A client with the control it belongs to. */
struct guest {
    struct client client;
    struct control *control;
};

static struct guest *guest_of(struct client *c)
{
    return container_of(c, struct guest, client);
}

static void on_line(struct client *c, const char *text, size_t len)
{
    request_run(guest_of(c)->control, c, text, len);
}

static void add_error(struct json_out *o, int code, const char *fmt, ...)
    PRINTF_LIKE(3, 4);

static void add_error(struct json_out *o, int code, const char *fmt, ...)
{
    struct errs e = ERRS_EMPTY;
    va_list ap;

    va_start(ap, fmt);
    errs_vadd(&e, -EINVAL, "", fmt, ap);
    va_end(ap);
    rpc_add_error(o, NULL, code, &e);
    errs_free(&e);
}

static void on_too_long(struct client *c)
{
    if (client_may_answer(c))
        add_error(&c->out, RPC_NOT_JSON, "a line has at most %u bytes",
                  CLIENT_LINE_MAX);
}

static void drop(struct client *c)
{
    struct control *control = guest_of(c)->control;
    struct list *node;

    while ((node = c->requests.next) != &c->requests)
        request_abandon(container_of(node, struct request, node));
    if (c->wants_events)
        __atomic_fetch_sub(&control->subscribers, 1, __ATOMIC_RELAXED);
    list_del(&c->node);
    control->num_clients--;
    client_close(c);
    if (control->keeper_gone)
        control->keeper_gone(control->arg);
}

static void on_ended(struct client *c, const char *why)
{
    if (why)
        log_limited(&guest_of(c)->control->failures, LOG_WARN, NULL,
                    "a control client (process %d) is dropped: %s", c->pid,
                    why);
    drop(c);
}

static void on_client_gone(struct client *c)
{
    free(guest_of(c));
}

/* Takes fd; says why not, and closes it. */
static void refuse(int fd, int code, const char *fmt, ...) PRINTF_LIKE(3, 4);

static void refuse(int fd, int code, const char *fmt, ...)
{
    struct json_out o = JSON_OUT_EMPTY;
    char text[200];
    va_list ap;

    va_start(ap, fmt);
    vsnprintf(text, sizeof(text), fmt, ap);
    va_end(ap);
    add_error(&o, code, "%s", text);
    if (!o.failed && sock_send(fd, o.text, o.len, NULL, 0) < 0)
        log_debug(NULL, "a control client went before it was refused");
    json_out_free(&o);
    close(fd);
}

/* Takes fd, unless there is no memory for it. */
static int begin(struct control *c, int fd, int pid, unsigned uid)
{
    struct guest *g = calloc(1, sizeof(*g));

    if (!g)
        return -ENOMEM;
    g->control = c;
    g->client.line = on_line;
    g->client.too_long = on_too_long;
    g->client.ended = on_ended;
    g->client.gone = on_client_gone;
    g->client.keeper = c->keeper_gone != NULL;
    g->client.pid = pid;
    g->client.uid = uid;
    if (client_open(&g->client, c->main, fd) < 0) {
        free(g);
        return -EIO;
    }
    list_add(&c->clients, &g->client.node);
    c->num_clients++;
    if (g->client.keeper) /* before a guest can cause any */
        control_subscribe(c, &g->client);
    return 0;
}

int control_adopt(struct control *c, int fd, struct err *e)
{
    unsigned uid;
    int pid, rc;

    sock_peer(fd, &pid, &uid);
    rc = begin(c, fd, pid, uid);
    return rc < 0 ? err_sys(e, -rc, "", "cannot listen to the keeper") : 0;
}

void control_tell_keeper(struct control *c, const char *method,
                         const char *members)
{
    LIST_EACH (&c->clients, node) {
        struct client *client = container_of(node, struct client, node);

        if (client_may_answer(client))
            rpc_add_notification(&client->out, method, members);
        client_send(client);
    }
}

static void welcome(struct control *c, int fd)
{
    unsigned uid;
    int pid, rc;

    sock_peer(fd, &pid, &uid);
    if (uid != 0 && uid != geteuid()) {
        log_limited(&c->strangers, LOG_WARN, NULL,
                    "user %u (process %d) may not use the control socket", uid,
                    pid);
        refuse(fd, RPC_DENIED,
               "user %u may not control this vub: only user %u and root may",
               uid, (unsigned)geteuid());
        return;
    }
    if (c->num_clients == CLIENTS_MAX) {
        refuse(fd, RPC_FAILED,
               "there are %u clients already, which is the most", CLIENTS_MAX);
        return;
    }
    rc = begin(c, fd, pid, uid);
    if (rc == -ENOMEM)
        refuse(fd, RPC_INTERNAL, "out of memory");
}

static void on_readable(struct watch *w, int status, int events)
{
    struct control *c = container_of(w, struct control, watch);
    int fd;

    (void)events;
    fd = status < 0 ? status : sock_accept(c->place.fd);
    if (fd >= 0) {
        welcome(c, fd);
    } else if (fd != -EAGAIN && fd != -ECONNABORTED) {
        log_limited(&c->failures, LOG_ERROR, NULL,
                    "cannot accept a control client: %s", strerror(-fd));
        watch_stop(&c->watch); /* it stays readable: try again later */
        timer_start(&c->retry, RETRY_MS);
    }
}

static void on_retry(struct timer *t)
{
    watch_start(&container_of(t, struct control, retry)->watch, UV_READABLE);
}

/* ---- life ---- */

void control_forget(struct control *c, struct served *s)
{
    (void)c;
    gather_forget(s);
}

void control_open(struct control *c, struct place *place, struct loop *main)
{
    c->place = *place;
    *place = PLACE_NONE;
    c->main = main;
    c->open = true;
    list_init(&c->clients);
    list_init(&c->requests);
    list_init(&c->gathers);
    c->retry.fire = on_retry;
    timer_open(&c->retry, main);
}

int control_start(struct control *c, struct err *e)
{
    int rc;

    if (!c->open || c->place.fd < 0)
        return 0;
    c->watch.ready = on_readable;
    rc = watch_open(&c->watch, c->main, c->place.fd);
    if (rc < 0)
        return err_sys(e, -rc, "", "cannot watch the control socket");
    c->watching = true;
    watch_start(&c->watch, UV_READABLE);
    return 0;
}

void control_close(struct control *c)
{
    if (!c->open)
        return;
    if (c->watching)
        watch_close(&c->watch);
    timer_close(&c->retry);
    place_close(&c->place);
    LIST_EACH_SAFE (&c->clients, node)
        client_close(container_of(node, struct client, node));
    LIST_EACH_SAFE (&c->requests, node)
        request_free(container_of(node, struct request, all));
    gather_close(c);
}

void control_free(struct control *c)
{
    *c = (struct control){NULL};
}
