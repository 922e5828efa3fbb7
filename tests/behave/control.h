/* behave/control.h: for tests of the control socket itself: several clients
 * (ctl.h) of one program, and threads of it that are held. */
#ifndef BEHAVE_CONTROL_H
#define BEHAVE_CONTROL_H

#include <dirent.h>
#include <poll.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

#include "ctl.h"

static inline struct ctl *ctl_new(struct vub *v)
{
    struct ctl *c = front_calloc(1, sizeof(*c));

    ctl_open(c, v);
    return c;
}

static inline void ctl_free(struct ctl *c)
{
    ctl_close(c);
    free(c);
}

/* params: what stands between the braces. */
static inline void ctl_send(struct ctl *c, const char *method,
                            const char *params)
{
    char object[512];

    assert_true(snprintf(object, sizeof(object), "{%s}", params) <
                (int)sizeof(object));
    ctl_call(c, method, object);
}

static inline const char *ctl_ask(struct ctl *c, const char *method,
                                  const char *params)
{
    ctl_send(c, method, params);
    return ctl_answer(c);
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
    vub_arg(v, "/control=ctl");
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
