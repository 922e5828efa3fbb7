/* The command over the control socket, and what the other vub has. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "conf/json.h"
#include "daemon/control/ctl.h"
#include "daemon/control/rpc.h"
#include "daemon/take_over_impl.h"
#include "os/sandbox.h"

/* More would be no vub's. */
#define DEVICES_MAX 65536

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
    uint64_t deadline_ns = taking_in_ms(OTHER_MS);
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
            n = taking_wait(sock, deadline_ns);
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
    const struct json *error = json_member(tree, "error");
    const struct json *text = json_member(error, "message");
    const struct json *code = json_member(error, "code");
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
    else if (!json_member(tree, "result"))
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
        return taking_fail_wait(t, rc, e);
    rc = receive_answer(sock, line, sizeof(line), &fd);
    if (rc == 0)
        taking_note_death(t);
    else if (rc < 0)
        rc = taking_fail_wait(t, rc, e);
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
    if ((unsigned)t->count == room || taken_find(t, s->id))
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
    uint64_t deadline_ns = taking_in_ms(OTHER_MS);
    struct hand_packet p;
    struct hand_fds fds;
    unsigned room = 0;
    int rc;

    for (;;) {
        rc = taking_next(t, &p, &fds, deadline_ns, e);
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
            return taking_fail_packet(t, &fds, "an offer", e);
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
