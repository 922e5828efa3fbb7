/* Where the socket is, and lines to and from it. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/config.h"
#include "daemon/control/ctl_impl.h"
#include "loop/loop.h"
#include "os/sock.h"
#include "os/terminal.h"

/* ---- where ---- */

/* The config that vub runs with. */
static int path_of_config(struct ctl *c)
{
    struct errs e = ERRS_EMPTY;
    struct conf_doc *doc = NULL;
    struct config *config;
    void *out;
    char *dir = NULL;
    int status = -1;

    if (conf_read_file(&doc, &out, &config_table, c->config, NULL, &e) < 0) {
        for (int i = 0; i < e.count; i++)
            ctl_fail(e.list[i].where[0] ? e.list[i].where : c->config,
                     e.list[i].text);
        errs_free(&e);
        return CTL_USAGE;
    }
    config = out;
    dir = config_runtime_dir(config);
    if (!config->has_control)
        status =
            ctl_fail_usage(c->config, "has no \"control\": such a vub cannot "
                                      "be asked");
    else if (dir)
        c->path = config_control_path(dir, config);
    free(dir);
    conf_free(doc);
    return status;
}

static int find_path(struct ctl *c)
{
    const struct config nothing = {.control.path = "control.sock"};
    char *dir;
    int status = -1;

    if (c->config) {
        status = path_of_config(c);
    } else if (c->socket && c->socket[0] == '/') {
        c->path = strdup(c->socket);
    } else if (c->socket) {
        char *here = realpath(".", NULL);

        if (here && asprintf(&c->path, "%s/%s", here, c->socket) < 0)
            c->path = NULL;
        free(here);
    } else {
        dir = config_runtime_dir(&nothing);
        if (dir)
            c->path = config_control_path(dir, &nothing);
        free(dir);
    }
    if (status < 0 && !c->path)
        return ctl_fail("", "out of memory");
    return status;
}

/* ---- the wire ---- */

static int wait_for(struct ctl *c, bool write)
{
    uint64_t now = loop_now_ns();
    int ms = -1, rc;

    if (c->deadline_ns) {
        if (now >= c->deadline_ns)
            return -ETIMEDOUT;
        ms = (int)MIN((c->deadline_ns - now) / 1000000 + 1, INT32_MAX);
    }
    rc = sock_wait(c->fd, write, ms);
    return rc == -EINTR && !terminal_is_over() ? 0 : rc;
}

static int send_bytes(struct ctl *c, const char *line, size_t len)
{
    ssize_t n;
    int rc;

    while (len) {
        n = sock_send(c->fd, line, len, NULL, 0);
        if (n == -EAGAIN) {
            rc = wait_for(c, true);
            if (rc < 0)
                return rc;
            continue;
        }
        if (n < 0)
            return (int)n;
        line += n;
        len -= (size_t)n;
    }
    return 0;
}

int ctl_receive(struct ctl *c)
{
    int fds[SOCK_FDS_ROOM];
    unsigned num_fds = 0;
    size_t room = MAX(c->in_room, 4096u);
    ssize_t n;
    char *in;

    if (c->in_len - c->line > CTL_LINE_MAX)
        return -EMSGSIZE;
    while (room - c->in_len < 2048)
        room *= 2;
    if (room != c->in_room) {
        in = realloc(c->in, room);
        if (!in)
            return -ENOMEM;
        c->in = in;
        c->in_room = room;
    }
    n = sock_recv(c->fd, c->in + c->in_len, room - c->in_len, fds, &num_fds);
    for (unsigned i = 0; i < num_fds; i++)
        close(fds[i]);
    if (n <= 0)
        return n < 0 ? (int)n : -EPIPE;
    c->in_len += (size_t)n;
    return 0;
}

char *ctl_take_line(struct ctl *c)
{
    char *start, *end;

    if (!c->in)
        return NULL;
    start = c->in + c->line;
    end = memchr(start + c->seen, '\n', c->in_len - c->line - c->seen);
    if (end) {
        *end = '\0';
        c->line = (size_t)(end - c->in) + 1;
        c->seen = 0;
        return start;
    }
    if (c->line)
        memmove(c->in, start, c->in_len - c->line);
    c->in_len -= c->line;
    c->seen = c->in_len;
    c->line = 0;
    return NULL;
}

char *ctl_next_line(struct ctl *c, int *rc)
{
    char *line;

    for (;;) {
        line = ctl_take_line(c);
        if (line)
            return line;
        *rc = ctl_receive(c);
        if (*rc == -EAGAIN)
            *rc = wait_for(c, false);
        if (*rc < 0)
            return NULL;
    }
}

int ctl_fail_wire(const struct ctl *c, int rc)
{
    char text[80];

    if (rc == -ETIMEDOUT) {
        snprintf(text, sizeof(text), "no answer for %d ms", c->timeout_ms);
        return ctl_fail(c->path, text);
    }
    if (rc != -EPIPE && rc != -ECONNRESET)
        return ctl_fail(c->path, strerror(-rc));
    if (!c->deadline_ns)
        return CTL_DONE; /* there are no more events */
    return ctl_fail(c->path, "the connection ended before the answer");
}

static int fail_connect(const struct err *e)
{
    ctl_fail("", e->text);
    if (e->code == -ENOENT || e->code == -ECONNREFUSED)
        ctl_fail("",
                 "does a vub run, with \"control\" in its config? --socket and "
                 "--config say where");
    return CTL_FAILED;
}

int ctl_connect(struct ctl *c)
{
    int status = find_path(c);
    struct err e;

    if (status >= 0)
        return status;
    c->fd = sock_connect(c->path, &e);
    return c->fd < 0 ? fail_connect(&e) : -1;
}

void ctl_close(struct ctl *c)
{
    if (c->fd >= 0)
        close(c->fd);
    free(c->in);
    free(c->path);
}

int ctl_send(struct ctl *c, const char *line)
{
    int rc = send_bytes(c, line, strlen(line));

    return rc < 0 ? rc : send_bytes(c, "\n", 1);
}

struct json *ctl_call(struct ctl *c, const char *line, int *rc)
{
    struct json *tree = NULL;
    char *text;

    /* Who refuses us has said so, and hung up. */
    *rc = ctl_send(c, line);
    if (*rc < 0 && *rc != -EPIPE)
        return NULL;
    while (!tree) {
        text = ctl_next_line(c, rc);
        if (!text)
            return NULL;
        tree = json_parse(text, strlen(text), NULL);
        if (!tree || json_member(tree, "result") || json_member(tree, "error"))
            break;
        json_free(tree);
        tree = NULL;
    }
    if (!tree)
        *rc = -EBADMSG;
    return tree;
}
