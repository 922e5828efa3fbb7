/* behave/isolated.h: devices in processes of their own, and these processes. */
#ifndef BEHAVE_ISOLATED_H
#define BEHAVE_ISOLATED_H

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include "drive.h"
#include "neighbours.h"

#define APART "'isolation': 'process', "
#define FILE_OF(name) "{'type': 'file', 'path': '" name "'}"

/* A number of the device's "process"; -1: there is none. */
static inline long process_number(struct ctl *c, const char *device,
                                  const char *name)
{
    char member[64], params[64];
    const char *line, *at, *front_end;

    snprintf(params, sizeof(params), "{'device': '%s'}", device);
    ctl_call(c, "status", params);
    line = ctl_answer(c);
    at = strstr(line, "\"process\":{");
    snprintf(member, sizeof(member), "\"%s\":", name);
    front_end = at ? strstr(at, "\"front_end\":{") : NULL;
    at = at ? strstr(at, member) : NULL;
    if (front_end && at > front_end)
        return -1; /* that is its own */
    return at ? atol(at + strlen(member)) : -1;
}

/* The one that serves the device now; 0: none does. */
static inline pid_t process_of(struct ctl *c, const char *device)
{
    long pid = process_number(c, device, "pid");

    return pid > 0 ? (pid_t)pid : 0;
}

static inline pid_t need_process(struct ctl *c, const char *device)
{
    int64_t end = front_now_ms() + front_timeout_ms();
    pid_t pid;

    while ((pid = process_of(c, device)) == 0)
        if (front_now_ms() > end)
            front_fail("no process serves %s", device);
    return pid;
}

static inline void kill_process(struct ctl *c, const char *device)
{
    pid_t pid = need_process(c, device);

    if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
        front_fail("kill %d: %s", (int)pid, strerror(errno));
}

/* Until another one does. */
static inline void need_restarts(struct ctl *c, const char *device,
                                 long restarts)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (process_number(c, device, "restarts") < restarts)
        if (front_now_ms() > end)
            front_fail("%s is not started again", device);
}

static inline void make_image(struct vub *v, const char *name, off_t size)
{
    int fd = open(vub_path(v, "%s", name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

/* A vub with these devices and the image "img". */
static inline struct vub *start(const char *devices)
{
    struct vub *v = vub_new();

    make_image(v, "img", 64 << 20);
    ctl_config(v, devices);
    vub_run(v);
    return v;
}

static inline bool is_there(pid_t pid)
{
    char path[64], line[256] = "";
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return false;
    if (!fgets(line, sizeof(line), f))
        line[0] = '\0';
    fclose(f);
    return !strstr(line, ") Z ");
}

static inline void need_end_of(pid_t pid)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (is_there(pid))
        if (front_now_ms() > end)
            front_fail("process %d is left", (int)pid);
}

#endif
