/* What comes is looked at as a stranger's would be: of an old vub, a guest may
 * have got hold. */
#include "daemon/take_over.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/json.h"
#include "daemon/control/ctl.h"
#include "daemon/control/rpc.h"
#include "loop/loop.h"
#include "os/sandbox.h"
#include "vhost/transcript.h"

/* The other may take so long to answer, beside its drains. */
#define OTHER_MS 10000
/* More would be no vub's. */
#define DEVICES_MAX 65536
#define SAID_MAX 4096

struct taken {
    char id[HAND_ID_MAX + 1], type[16];
    struct place place;
    bool adopted; /* place is somebody's */
    bool wanted, there;
    struct heritage heritage;
};

static struct taken *find(const struct take_over *t, const char *id)
{
    for (int i = 0; i < t->count; i++)
        if (strcmp(t->list[i].id, id) == 0)
            return &t->list[i];
    return NULL;
}

/* ---- the wire ---- */

static uint64_t in_ms(uint64_t ms)
{
    return loop_now_ns() + ms * 1000000;
}

/* Until fd can be read. */
static int wait_for(int fd, uint64_t deadline_ns)
{
    uint64_t now = loop_now_ns();
    uint64_t ms = now < deadline_ns ? (deadline_ns - now) / 1000000 + 1 : 0;

    return ms ? sock_wait(fd, false, (int)MIN(ms, (uint64_t)INT32_MAX))
              : -ETIMEDOUT;
}

static int fail_wait(const struct take_over *t, int rc, struct errs *e)
{
    if (rc == -EINTR)
        return errs_add(e, rc, "--take-over", "a signal has come meanwhile");
    if (rc == -ETIMEDOUT)
        return errs_add(e, rc, "--take-over",
                        "process %d does not answer in time", t->pid);
    return errs_add(e, rc, "--take-over", "process %d cannot be understood: %s",
                    t->pid, strerror(-rc));
}

static void note_death(struct take_over *t)
{
    log_warn(NULL,
             "process %d has ended while it was handing over: what it has not "
             "handed over begins anew",
             t->pid);
    t->is_dead = true;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
}

/* 1: there is a packet, whose fds are the caller's; 0: the other is dead. */
static int next_packet(struct take_over *t, struct hand_packet *p,
                       struct hand_fds *fds, uint64_t deadline_ns,
                       struct errs *e)
{
    int rc;

    while ((rc = hand_receive(t->fd, p, fds)) == -EAGAIN) {
        rc = wait_for(t->fd, deadline_ns);
        if (rc < 0)
            break;
    }
    if (rc == 0)
        note_death(t);
    if (rc < 0)
        return fail_wait(t, rc, e);
    if (rc == 1 && p->kind == HAND_GIVE_UP)
        return errs_add(e, -ECANCELED, "--take-over", "process %d goes on: %s",
                        t->pid, p->give_up.why);
    return rc;
}

static int fail_packet(const struct take_over *t, struct hand_fds *fds,
                       const char *what, struct errs *e)
{
    hand_close_fds(fds);
    return errs_add(e, -EBADMSG, "--take-over",
                    "process %d sends %s that makes no sense", t->pid, what);
}

/* Waits for room: all that we say fits easily. */
static int say(struct take_over *t, struct hand_packet *p, struct errs *e)
{
    int rc;

    while ((rc = hand_send(t->fd, p, NULL, 0)) == -EAGAIN) {
        rc = sock_wait(t->fd, true, OTHER_MS);
        if (rc < 0)
            break;
    }
    if (rc == -EPIPE || rc == -ECONNRESET)
        return 0; /* what it has said before is still to be read */
    return rc < 0 ? fail_wait(t, rc, e) : 0;
}

static int say_kind(struct take_over *t, enum hand_kind kind, struct errs *e)
{
    struct hand_packet p;

    memset(&p, 0, sizeof(p));
    p.kind = kind;
    return say(t, &p, e);
}

static int say_want(struct take_over *t, const char *id, bool socket,
                    struct errs *e)
{
    struct hand_packet p;

    memset(&p, 0, sizeof(p));
    p.kind = HAND_WANT;
    snprintf(p.want.id, sizeof(p.want.id), "%s", id);
    p.want.socket = socket;
    return say(t, &p, e);
}

/* ---- asking ---- */

/* Is it ours to trust? Its user is ours, or root, or who we are to be. */
static int check_peer(struct take_over *t, int fd, const char *path,
                      const struct config *c, struct errs *e)
{
    unsigned uid, user, group;

    sock_peer(fd, &t->pid, &uid);
    if (uid == 0 || uid == geteuid())
        return 0;
    if (c->sandbox.user &&
        sandbox_find_user(c->sandbox.user, &user, &group) == 0 && uid == user)
        return 0;
    return errs_add(e, -EPERM, "--take-over",
                    "user %u listens on %s, from whom nothing is taken over",
                    uid, path);
}

/* The line that answers, and the fd that comes with it: -1: none. 0: the other
 * has hung up. */
static int receive_answer(int sock, char *line, size_t room, int *fd)
{
    uint64_t deadline_ns = in_ms(OTHER_MS);
    int fds[SOCK_FDS_ROOM];
    size_t len = 0;

    *fd = -1;
    while (len + 1 < room) {
        unsigned num_fds = 0;
        ssize_t n = sock_recv(sock, line + len, room - 1 - len, fds, &num_fds);

        for (unsigned i = 0; i < num_fds; i++) {
            if (*fd < 0)
                *fd = fds[i];
            else
                close(fds[i]);
        }
        if (n == -EAGAIN)
            n = wait_for(sock, deadline_ns);
        else if (n == 0 || n == -ECONNRESET)
            return 0;
        if (n < 0)
            return (int)n;
        len += (size_t)n;
        line[len] = '\0';
        if (strchr(line, '\n'))
            return 1;
    }
    return -EMSGSIZE;
}

/* Is it the answer of one that hands over? */
static int read_answer(const struct take_over *t, const char *line,
                       struct errs *e)
{
    struct json *tree = json_parse(line, strlen(line), NULL);
    const struct json *error = show_member(tree, "error");
    const struct json *text = show_member(error, "message");
    const struct json *code = show_member(error, "code");
    int rc = 0;

    if (code && json_type(code) == JSON_NUMBER &&
        (int)json_number(code) == RPC_NO_METHOD)
        rc = errs_add(e, -EPROTONOSUPPORT, "--take-over",
                      "process %d is a vub that is too old to hand over: stop "
                      "it, and start this one without --take-over",
                      t->pid);
    else if (text && json_type(text) == JSON_STRING)
        rc = errs_add(e, -ECANCELED, "--take-over",
                      "process %d does not hand over: %s", t->pid,
                      json_string(text));
    else if (!show_member(tree, "result"))
        rc = errs_add(e, -EBADMSG, "--take-over",
                      "process %d gives no answer that a vub would", t->pid);
    json_free(tree);
    return rc;
}

static int ask(struct take_over *t, int sock, struct errs *e)
{
    char line[4096];
    int fd = -1, rc, n;

    n = snprintf(line, sizeof(line),
                 "{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"hand-over\", "
                 "\"params\": {\"protocol\": %d}}\n",
                 HAND_PROTOCOL);
    /* Who refuses us has said so, and hung up. */
    rc = (int)sock_send(sock, line, (size_t)n, NULL, 0);
    if (rc < 0 && rc != -EPIPE)
        return fail_wait(t, rc, e);
    rc = receive_answer(sock, line, sizeof(line), &fd);
    if (rc == 0)
        note_death(t);
    else if (rc < 0)
        rc = fail_wait(t, rc, e);
    else
        rc = read_answer(t, line, e);
    if (rc == 0 && !t->is_dead && (fd < 0 || !sock_is_packet(fd)))
        rc = errs_add(e, -EBADMSG, "--take-over",
                      "process %d gives no answer that a vub would", t->pid);
    if (rc == 0 && !t->is_dead)
        t->fd = fd;
    else if (fd >= 0)
        close(fd);
    return rc;
}

/* ---- what it has ---- */

static int take_hello(struct take_over *t, const struct hand_hello *h)
{
    if (h->sockets > DEVICES_MAX + 1)
        return -EBADMSG;
    t->list = calloc((size_t)h->sockets + 1, sizeof(*t->list));
    if (!t->list)
        return -ENOMEM;
    snprintf(t->version, sizeof(t->version), "%s", h->version);
    snprintf(t->notify, sizeof(t->notify), "%s", h->notify);
    t->drain_ms = MIN(h->drain_ms, UINT64_C(1000) * 3600);
    t->watchdog_us = h->watchdog_us;
    return 0;
}

/* Fills p, but not if the fd is not what it is said to be. */
static int take_place(struct place *p, const struct hand_socket *s,
                      struct hand_fds *fds)
{
    enum sock_kind kind;
    struct err why;

    if (s->kind != SOCK_LISTENING && s->kind != SOCK_CONNECTED)
        return -EBADMSG;
    if ((s->kind == SOCK_LISTENING) != (fds->count == 1))
        return -EBADMSG;
    if (fds->count == 1 && (sock_inherited(fds->list[0], &kind, &why) < 0 ||
                            kind != SOCK_LISTENING))
        return -EBADMSG;
    if (s->path[0] && !(p->path = strdup(s->path)))
        return -ENOMEM;
    p->fd = hand_take_fd(fds, 0);
    p->given = s->given ? MAX(p->fd, 0) : -1;
    p->kind = (enum sock_kind)s->kind;
    p->taken = true;
    return 0;
}

static int take_socket(struct take_over *t, const struct hand_socket *s,
                       unsigned room, struct hand_fds *fds)
{
    struct taken *d;

    if (!s->id[0])
        return t->control.fd >= 0 ? -EBADMSG : take_place(&t->control, s, fds);
    if ((unsigned)t->count == room || find(t, s->id))
        return -EBADMSG;
    d = &t->list[t->count++];
    d->place = PLACE_NONE;
    d->heritage = HERITAGE_NONE;
    snprintf(d->id, sizeof(d->id), "%s", s->id);
    snprintf(d->type, sizeof(d->type), "%s", s->type);
    return take_place(&d->place, s, fds);
}

static int receive_offer(struct take_over *t, struct errs *e)
{
    uint64_t deadline_ns = in_ms(OTHER_MS);
    struct hand_packet p;
    struct hand_fds fds;
    unsigned room = 0;
    int rc;

    for (;;) {
        rc = next_packet(t, &p, &fds, deadline_ns, e);
        if (rc <= 0)
            return rc;
        if (p.kind == HAND_HELLO && !t->list) {
            rc = take_hello(t, &p.hello);
            room = p.hello.sockets;
        } else if (p.kind == HAND_SOCKET && t->list) {
            rc = take_socket(t, &p.socket, room, &fds);
        } else if (p.kind == HAND_OFFERED && t->list) {
            return 0;
        } else {
            rc = -EBADMSG;
        }
        if (rc == -ENOMEM) {
            hand_close_fds(&fds);
            return errs_nomem(e);
        }
        if (rc < 0)
            return fail_packet(t, &fds, "an offer", e);
        hand_close_fds(&fds);
    }
}

/* The absolute path; NULL: why is in e. */
static char *find_socket(const char *socket, const struct config *c,
                         struct errs *e)
{
    char *dir = NULL, *path = NULL;

    if (socket[0] == '/') {
        path = strdup(socket);
    } else if (socket[0]) {
        dir = realpath(".", NULL);
        if (dir && asprintf(&path, "%s/%s", dir, socket) < 0)
            path = NULL;
    } else if (c->has_control) {
        dir = config_runtime_dir(c);
        path = dir ? config_control_path(dir, c) : NULL;
    } else {
        errs_add(e, -EINVAL, "--take-over",
                 "this config has no \"control\": --take-over=SOCKET names "
                 "that of the vub that runs");
        return NULL;
    }
    free(dir);
    if (!path)
        errs_nomem(e);
    return path;
}

int take_over_connect(struct take_over *t, const char *socket,
                      const struct config *c, struct errs *e)
{
    char *path = find_socket(socket, c, e);
    struct err why;
    int sock, rc;

    t->fd = -1;
    t->control = PLACE_NONE;
    if (!path)
        return -EINVAL;
    sock = sock_connect(path, &why);
    if (sock < 0) {
        free(path);
        return errs_add(e, sock, "--take-over",
                        "there is no vub to take over from: %s", why.text);
    }
    t->under_way = true;
    rc = check_peer(t, sock, path, c, e);
    if (rc == 0)
        rc = ask(t, sock, e);
    close(sock);
    free(path);
    if (rc == 0 && !t->is_dead)
        rc = receive_offer(t, e);
    if (rc == 0 && !t->is_dead)
        log_info(NULL, "taking over from process %d (vub %s)", t->pid,
                 t->version);
    return rc;
}

/* ---- sockets ---- */

static int adopt(struct place *to, struct place *from, const char *wanted,
                 bool may_be_given)
{
    bool same = wanted && from->path && strcmp(wanted, from->path) == 0;

    if (!same && !(may_be_given && from->given >= 0))
        return 0;
    *to = *from;
    *from = PLACE_NONE;
    return 1;
}

int take_over_sockets(struct take_over *t, const struct config *c,
                      struct sockets *s, struct errs *e)
{
    char *dir = config_runtime_dir(c);
    int rc = dir ? 0 : -ENOMEM;

    for (int i = 0; i < c->devices.count && rc >= 0; i++) {
        const struct device_common *d = config_device(c, i);
        struct taken *had = find(t, d->id);
        char *path = had ? config_socket_path(dir, d) : NULL;

        if (had)
            rc = adopt(&s->devices[i], &had->place, path, d->socket.has_fd);
        if (had)
            had->adopted = rc == 1;
        free(path);
    }
    if (rc >= 0 && c->has_control && t->control.fd >= 0) {
        char *path = config_control_path(dir, c);

        rc = adopt(&s->control, &t->control, path, false);
        t->control_adopted = rc == 1;
        free(path);
    }
    free(dir);
    return rc < 0 ? errs_add(e, rc, "--take-over",
                             "the sockets cannot be used: %s", strerror(-rc))
                  : 0;
}

/* ---- devices ---- */

static int say_wants(struct take_over *t, const struct config *c,
                     struct errs *e)
{
    int rc = 0;

    if (t->control_adopted)
        rc = say_want(t, "", true, e);
    for (int i = 0; i < c->devices.count && rc == 0; i++) {
        struct taken *d = find(t, config_device(c, i)->id);

        if (!d || strcmp(d->type, c->devices.list[i].table->name) != 0)
            continue;
        d->wanted = true;
        rc = say_want(t, d->id, d->adopted, e);
    }
    return rc < 0 ? rc : say_kind(t, HAND_BEGIN, e);
}

/* What comes of one device. */
struct coming {
    struct taken *device;
    uint32_t said, kept; /* so many more */
};

static int take_device(struct take_over *t, struct coming *c,
                       const struct hand_device *p, struct hand_fds *fds)
{
    struct taken *d = find(t, p->id);
    struct endpoint_visitor *v;

    if (c->device || !d || !d->wanted || d->there || p->said > SAID_MAX ||
        p->kept > KEEP_ITEMS_MAX || (p->said > 0 && fds->count == 0) ||
        (fds->count == 1 && !sock_adopt(fds->list[0])))
        return -EBADMSG;
    *c = (struct coming){d, p->said, p->kept};
    v = &d->heritage.visitor;
    v->has_run = p->has_run;
    d->heritage.kept = calloc(p->kept + 1, sizeof(*d->heritage.kept));
    if (!d->heritage.kept)
        return -ENOMEM;
    if (fds->count == 0)
        return 0;
    v->said = transcript_new(NULL);
    if (!v->said)
        return -ENOMEM;
    v->fd = hand_take_fd(fds, 0);
    v->pid = p->pid;
    v->uid = p->uid;
    return 0;
}

/* The transcript has copies of the fds. Whether the message can be done is for
 * the session to say that hears it again. */
static int take_said(struct coming *c, const struct hand_said *p,
                     struct hand_fds *fds)
{
    struct transcript *said;
    struct msg m;
    int rc;

    if (!c->device || c->said == 0)
        return -EBADMSG;
    said = c->device->heritage.visitor.said;
    memset(&m, 0, sizeof(m));
    m.header = p->header;
    m.payload = p->payload;
    m.num_fds = fds->count;
    memcpy(m.fds, fds->list, fds->count * sizeof(*m.fds));
    rc = transcript_hear(said, &m);
    if (rc == 0)
        transcript_done(said, NULL);
    c->said--;
    return rc;
}

static int take_kept(struct coming *c, const struct hand_kept *p,
                     struct hand_fds *fds)
{
    struct keep_item *item;
    struct heritage *h;

    if (!c->device || c->said > 0 || c->kept == 0)
        return -EBADMSG;
    h = &c->device->heritage;
    item = &h->kept[h->num_kept++];
    snprintf(item->id, sizeof(item->id), "%s", c->device->id);
    snprintf(item->name, sizeof(item->name), "%s", p->name);
    item->len = p->len;
    item->fd = hand_take_fd(fds, 0);
    c->kept--;
    return 0;
}

static int take_packet(struct take_over *t, struct coming *c,
                       const struct hand_packet *p, struct hand_fds *fds)
{
    int rc;

    switch (p->kind) {
    case HAND_DEVICE:
        rc = take_device(t, c, &p->device, fds);
        break;
    case HAND_SAID:
        rc = take_said(c, &p->said, fds);
        break;
    case HAND_KEPT:
        rc = take_kept(c, &p->kept, fds);
        break;
    default:
        return -EBADMSG;
    }
    if (rc == 0 && c->device && c->said == 0 && c->kept == 0) {
        c->device->there = true;
        t->front_ends += c->device->heritage.visitor.fd >= 0;
        c->device = NULL;
    }
    return rc;
}

/* Of one that has not come as a whole nothing is used. */
static void forget_half(struct coming *c)
{
    if (c->device)
        heritage_drop(&c->device->heritage);
}

static int receive_devices(struct take_over *t, struct coming *c,
                           struct errs *e)
{
    uint64_t deadline_ns = in_ms(t->drain_ms + OTHER_MS);
    struct hand_packet p;
    struct hand_fds fds;
    int rc;

    for (;;) {
        rc = next_packet(t, &p, &fds, deadline_ns, e);
        if (rc <= 0)
            return rc;
        if (p.kind == HAND_GIVEN && !c->device)
            return 0;
        rc = take_packet(t, c, &p, &fds);
        if (rc == -EBADMSG)
            return fail_packet(t, &fds, "a device", e);
        hand_close_fds(&fds);
        if (rc < 0)
            return errs_add(e, rc, "--take-over",
                            "what process %d hands over cannot be used: %s",
                            t->pid, strerror(-rc));
    }
}

int take_over_devices(struct take_over *t, const struct config *c,
                      struct errs *e)
{
    struct coming coming = {NULL, 0, 0};
    int rc = 0;

    t->began_ns = loop_now_ns();
    if (!t->is_dead)
        rc = say_wants(t, c, e);
    if (rc == 0 && !t->is_dead)
        rc = receive_devices(t, &coming, e);
    forget_half(&coming);
    return rc;
}

void take_over_inherit(struct take_over *t, struct served *s)
{
    struct taken *d = find(t, s->common->id);

    if (d && d->there)
        served_inherit(s, &d->heritage);
}

/* ---- the end ---- */

/* It is over, whatever has come of it. */
static void stop_waiting(struct take_over *t)
{
    if (!t->waits)
        return;
    t->waits = false;
    watch_stop(&t->watch);
    timer_stop(&t->patience);
}

static void on_answer(struct watch *w, int status, int events)
{
    struct take_over *t = container_of(w, struct take_over, watch);
    struct errs e = ERRS_EMPTY;
    struct hand_packet p;
    struct hand_fds fds;
    int rc;

    (void)status;
    (void)events;
    rc = next_packet(t, &p, &fds, 0, &e);
    if (rc == -ETIMEDOUT) { /* nothing is there after all */
        errs_free(&e);
        return;
    }
    stop_waiting(t);
    if (rc == 1 && p.kind != HAND_GO)
        rc = fail_packet(t, &fds, "an end", &e);
    t->over(t, &e);
    errs_free(&e);
}

static void on_impatient(struct timer *timer)
{
    struct take_over *t = container_of(timer, struct take_over, patience);
    struct errs e = ERRS_EMPTY;

    stop_waiting(t);
    fail_wait(t, -ETIMEDOUT, &e);
    t->over(t, &e);
    errs_free(&e);
}

/* The other is dead, or we cannot wait for it. */
static void on_alone(struct mail *m)
{
    struct take_over *t = container_of(m, struct take_over, alone);
    struct errs e = ERRS_EMPTY;

    if (!t->is_dead)
        errs_add(&e, -EIO, "--take-over",
                 "the answer of process %d cannot be waited for", t->pid);
    t->over(t, &e);
    errs_free(&e);
}

void take_over_finish(struct take_over *t, struct loop *main,
                      void (*over)(struct take_over *t, const struct errs *e))
{
    struct errs e = ERRS_EMPTY;

    t->over = over;
    t->watch.ready = on_answer;
    t->patience.fire = on_impatient;
    if (!t->is_dead && say_kind(t, HAND_READY, &e) == 0 &&
        watch_open(&t->watch, main, t->fd) == 0) {
        t->has_handles = t->waits = true;
        timer_open(&t->patience, main);
        timer_start(&t->patience, (uint64_t)2 * OTHER_MS);
        watch_start(&t->watch, UV_READABLE);
        return;
    }
    errs_free(&e);
    t->alone.run = on_alone;
    loop_post(main, &t->alone);
}

void take_over_stop(struct take_over *t)
{
    if (!t->has_handles)
        return;
    t->has_handles = false;
    watch_close(&t->watch);
    timer_close(&t->patience);
}

void take_over_own(struct take_over *t)
{
    struct errs e = ERRS_EMPTY;

    take_over_stop(t);
    if (t->fd >= 0) {
        say_kind(t, HAND_MINE, &e);
        close(t->fd);
    }
    errs_free(&e);
    t->fd = -1;
}

void take_over_fail(struct take_over *t, const struct errs *why)
{
    struct err text = {.text = ""};
    struct hand_packet p;

    if (t->fd < 0)
        return;
    memset(&p, 0, sizeof(p));
    p.kind = HAND_GIVE_UP;
    if (why->count > 0)
        err_set(&text, -EIO, NULL, "%s%s%s", why->list[0].where,
                why->list[0].where[0] ? ": " : "", why->list[0].text);
    snprintf(p.give_up.why, sizeof(p.give_up.why), "%s", text.text);
    hand_send(t->fd, &p, NULL, 0);
    close(t->fd);
    t->fd = -1;
}

/* The other's sockets that we do not want are its own to remove. */
static void drop_place(struct place *p)
{
    if (p->fd >= 0)
        close(p->fd);
    free(p->path);
    *p = PLACE_NONE;
}

void take_over_close(struct take_over *t)
{
    if (!t->under_way)
        return;
    for (int i = 0; i < t->count; i++) {
        drop_place(&t->list[i].place);
        heritage_drop(&t->list[i].heritage);
    }
    drop_place(&t->control);
    free(t->list);
    t->list = NULL;
    t->count = 0;
    if (t->fd >= 0)
        close(t->fd);
    t->fd = -1;
    t->under_way = false;
}

/* ---- where it comes from ---- */

void origin_begin(struct origin *o)
{
    o->started_s = (int64_t)time(NULL);
}

void origin_note(struct origin *o, const struct take_over *t)
{
    o->pid = t->pid;
    snprintf(o->version, sizeof(o->version), "%s", t->version);
}

void origin_tell(struct origin *o, const struct take_over *t)
{
    o->front_ends = t->front_ends;
    o->pause_ms = (loop_now_ns() - t->began_ns) / 1000000;
    log_info(NULL,
             "%u front-end%s taken over from process %d, within %" PRIu64 " ms",
             o->front_ends, o->front_ends == 1 ? "" : "s", o->pid, o->pause_ms);
}

void origin_status(const struct origin *o, struct json_out *out)
{
    time_t seconds = (time_t)o->started_s;
    char text[40] = "";
    struct tm tm;

    if (gmtime_r(&seconds, &tm) &&
        strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ", &tm) > 0)
        json_add_str(out, "started", text);
    if (!o->pid)
        return;
    json_begin(out, "taken_over", '{');
    json_add_i64(out, "pid", o->pid);
    json_add_str(out, "version", o->version);
    json_add_u64(out, "front_ends", o->front_ends);
    json_add_u64(out, "pause_ms", o->pause_ms);
    json_end(out, '}');
}
