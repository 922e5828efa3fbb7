/* behave/control.h: a client of the control socket, and threads of the program
 * that are held, for behaviour tests. */
#ifndef BEHAVE_CONTROL_H
#define BEHAVE_CONTROL_H

#include <dirent.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behave.h"

struct ctl {
    int fd;
    size_t len;
    char in[256 << 10];
};

static inline struct ctl *ctl_open(struct vub *v)
{
    struct ctl *c = calloc(1, sizeof(*c));
    struct sockaddr_un addr = {.sun_family = AF_UNIX};

    assert_non_null(c);
    snprintf(addr.sun_path, sizeof(addr.sun_path), "%s",
             vub_path(v, "control.sock"));
    c->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(c->fd, (struct sockaddr *)&addr, sizeof(addr)) < 0)
        front_fail("cannot connect to %s", addr.sun_path);
    return c;
}

static inline void ctl_close(struct ctl *c)
{
    close(c->fd);
    free(c);
}

/* "method", and what stands in its params: single quotes become double. */
static inline void ctl_send(struct ctl *c, const char *method,
                            const char *params)
{
    char line[512];
    int len = snprintf(line, sizeof(line),
                       "{'jsonrpc':'2.0','id':1,'method':'%s','params':{%s}}\n",
                       method, params);

    for (char *p = line; *p; p++)
        if (*p == '\'')
            *p = '"';
    assert_int_equal(send(c->fd, line, (size_t)len, MSG_NOSIGNAL), len);
}

/* The next line, good until the one after. */
static inline const char *ctl_line(struct ctl *c)
{
    static char line[sizeof(c->in)];
    char *end;
    ssize_t n;

    while (!(end = memchr(c->in, '\n', c->len))) {
        if (!front_wait_fd(c->fd, POLLIN, front_timeout_ms()))
            front_fail("the control socket says nothing");
        n = read(c->fd, c->in + c->len, sizeof(c->in) - c->len);
        if (n <= 0)
            front_fail("the control socket has hung up");
        c->len += (size_t)n;
    }
    *end = '\0';
    memcpy(line, c->in, (size_t)(end - c->in) + 1);
    c->len -= (size_t)(end - c->in) + 1;
    memmove(c->in, end + 1, c->len);
    return line;
}

static inline const char *ctl_ask(struct ctl *c, const char *method,
                                  const char *params)
{
    ctl_send(c, method, params);
    return ctl_line(c);
}

/* The same text with single quotes is in line. */
static inline void need(const char *line, const char *text)
{
    char want[512];

    snprintf(want, sizeof(want), "%s", text);
    for (char *p = want; *p; p++)
        if (*p == '\'')
            *p = '"';
    if (!strstr(line, want))
        front_fail("no %s in %s", want, line);
}

static inline struct vub *with_control(const char *devices)
{
    struct vub *v = vub_new();

    vub_config(v, "%s", devices);
    vub_arg(v, "--set");
    vub_arg(v, "/control=control.sock");
    vub_run(v);
    return v;
}

/* The thread of that name stands still until it is let go. -1: we may not. */
static inline pid_t hold_thread(struct vub *v, const char *name)
{
    char path[300], comm[32];
    struct dirent *d;
    pid_t found = -1;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", v->pid);
    dir = opendir(path);
    while (dir && (d = readdir(dir))) {
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%.32s/comm", v->pid,
                 d->d_name);
        f = fopen(path, "re");
        if (!f)
            continue;
        if (fscanf(f, "%31s", comm) == 1 && strcmp(comm, name) == 0)
            found = atoi(d->d_name);
        fclose(f);
    }
    closedir(dir);
    if (found < 0 || ptrace(PTRACE_SEIZE, found, 0, 0) < 0)
        return -1;
    ptrace(PTRACE_INTERRUPT, found, 0, 0);
    waitpid(found, NULL, __WALL);
    return found;
}

static inline void let_go(pid_t thread)
{
    assert_int_equal(ptrace(PTRACE_DETACH, thread, 0, 0), 0);
}

#endif
