/* behave/ctl.h: the control socket of a vub, for tests of what devices are told
 * there. JSON-RPC, one object per line; ' stands for " in what is sent. */
#ifndef BEHAVE_CTL_H
#define BEHAVE_CTL_H

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include "behave.h"

struct ctl {
    int fd;
    char buf[256 << 10];
    size_t len;
    unsigned id;
};

/* These devices, and a control socket, "ctl". */
static inline void ctl_config(struct vub *v, const char *devices)
{
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', 'devices': [%s]}",
                     v->dir, devices);
}

/* A vub that has them. */
static inline struct vub *ctl_start(const char *devices)
{
    struct vub *v = vub_new();

    ctl_config(v, devices);
    vub_run(v);
    return v;
}

static inline void ctl_open(struct ctl *c, struct vub *v)
{
    struct sockaddr_un to = {.sun_family = AF_UNIX};

    memset(c, 0, sizeof(*c));
    snprintf(to.sun_path, sizeof(to.sun_path), "%s/ctl", v->dir);
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(c->fd >= 0);
    assert_int_equal(connect(c->fd, (struct sockaddr *)&to, sizeof(to)), 0);
}

/* Sends a call; ' stands for ". */
static inline void ctl_call(struct ctl *c, const char *method,
                            const char *params)
{
    char line[8192];
    int n = snprintf(line, sizeof(line),
                     "{'jsonrpc': '2.0', 'id': %u, 'method': '%s', "
                     "'params': %s}\n",
                     ++c->id, method, params);

    assert_true(n > 0 && (size_t)n < sizeof(line));
    for (int i = 0; i < n; i++)
        if (line[i] == '\'')
            line[i] = '"';
    assert_int_equal(send(c->fd, line, (size_t)n, MSG_NOSIGNAL), n);
}

/* The next line, an answer or an event; good until the one after. */
static inline const char *ctl_answer(struct ctl *c)
{
    static char line[sizeof(c->buf)];
    char *end;

    while ((end = memchr(c->buf, '\n', c->len)) == NULL) {
        ssize_t n;

        front_need_fd(c->fd, 1 /* POLLIN */, "an answer on the control socket");
        n = recv(c->fd, c->buf + c->len, sizeof(c->buf) - c->len, 0);
        if (n <= 0)
            front_fail("the control socket is closed");
        c->len += (size_t)n;
    }
    *end = '\0';
    strcpy(line, c->buf);
    c->len -= (size_t)(end + 1 - c->buf);
    memmove(c->buf, end + 1, c->len);
    return line;
}

static inline void ctl_need(struct ctl *c, const char *text)
{
    const char *line = ctl_answer(c);

    if (!strstr(line, text))
        front_fail("the answer is %s, without %s", line, text);
}

static inline bool ctl_has_answer(struct ctl *c)
{
    return memchr(c->buf, '\n', c->len) || front_wait_fd(c->fd, 1, 0);
}

/* Events come on it from now on. */
static inline void ctl_listen(struct ctl *c)
{
    ctl_call(c, "events", "{}");
    ctl_need(c, "\"result\"");
}

/* Safe twice. */
static inline void ctl_close(struct ctl *c)
{
    if (c->fd >= 0)
        close(c->fd);
    c->fd = -1;
}

#endif
