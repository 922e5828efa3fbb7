/* What one sees of the child from outside: its log, and what the kernel says of
 * it. */
#include <dirent.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "front/check.h"
#include "front/daemon.h"

/* ---- The log ---- */

const char *vub_log(struct vub *v)
{
    ssize_t n;

    for (;;) {
        if (v->log_room - v->log_len < 4096) {
            v->log_room = v->log_room ? v->log_room * 2 : 16384;
            v->log = realloc(v->log, v->log_room);
            if (!v->log)
                front_fail("no memory for the log");
        }
        n = v->log_fd < 0 ? 0
                          : read(v->log_fd, v->log + v->log_len,
                                 v->log_room - v->log_len - 1);
        if (n <= 0)
            break;
        v->log_len += (size_t)n;
    }
    v->log[v->log_len] = 0;
    if (n == 0 && v->log_fd >= 0) {
        close(v->log_fd);
        v->log_fd = -1;
    }
    return v->log;
}

void vub_log_mark(struct vub *v)
{
    vub_log(v);
    v->log_mark = v->log_len;
}

const char *vub_log_wait(struct vub *v, const char *text)
{
    static char line[1024];
    int64_t end = front_now_ms() + front_timeout_ms(), left;
    const char *from, *at, *start, *stop;

    for (;;) {
        from = vub_log(v) + v->log_mark;
        at = strstr(from, text);
        stop = at ? strchr(at, '\n') : NULL;
        if (stop)
            break;
        left = end - front_now_ms();
        if (left <= 0 || v->log_fd < 0)
            front_fail("its log does not say \"%s\"%s", text,
                       v->log_fd < 0 ? ", and it has ended" : "");
        front_wait_fd(v->log_fd, POLLIN, (int)left);
    }
    for (start = at; start > from && start[-1] != '\n'; start--)
        ;
    snprintf(line, sizeof(line), "%.*s", (int)(stop - start), start);
    return line;
}

unsigned vub_log_count(struct vub *v, const char *text)
{
    const char *at = vub_log(v) + v->log_mark, *end;
    unsigned n = 0;

    while ((at = strstr(at, text))) {
        n++;
        end = strchr(at, '\n');
        if (!end)
            break;
        at = end;
    }
    return n;
}

/* ---- What the kernel says ---- */

static FILE *proc_open(struct vub *v, const char *name)
{
    char path[128];

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)v->pid, name);
    return fopen(path, "re");
}

static int count_dir(struct vub *v, const char *name)
{
    char path[64];
    DIR *d;
    int n = 0;

    snprintf(path, sizeof(path), "/proc/%d/%s", (int)v->pid, name);
    d = opendir(path);
    if (!d)
        return -1;
    for (struct dirent *e; (e = readdir(d));)
        n += e->d_name[0] != '.';
    closedir(d);
    return n;
}

static bool is_closing(struct vub *v)
{
    char path[64], name[32];
    bool found = false;
#ifdef __SANITIZE_THREAD__
    unsigned threads = 0;
#endif
    DIR *d;

    snprintf(path, sizeof(path), "/proc/%d/task", (int)v->pid);
    d = opendir(path);
    for (struct dirent *e; d && !found && (e = readdir(d));) {
        FILE *f;

        if (e->d_name[0] == '.')
            continue;
#ifdef __SANITIZE_THREAD__
        /* The second is the sanitizer's, by the name of the third. */
        if (++threads == 2)
            continue;
#endif
        snprintf(path, sizeof(path), "task/%.16s/comm", e->d_name);
        f = proc_open(v, path);
        found = f && fgets(name, sizeof(name), f) && !strcmp(name, "closer\n");
        if (f)
            fclose(f);
    }
    if (d)
        closedir(d);
    return found;
}

/* What takes long to close is closed by a thread, which then ends. */
static void wait_for_closers(struct vub *v)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (is_closing(v)) {
        if (front_now_ms() > end)
            front_fail("vub does not get something closed");
        sched_yield();
    }
}

int vub_fds(struct vub *v)
{
    wait_for_closers(v);
    return count_dir(v, "fd");
}

int vub_fds_now(struct vub *v)
{
    return count_dir(v, "fd");
}

int vub_threads(struct vub *v)
{
    wait_for_closers(v);
    return count_dir(v, "task");
}

int vub_maps(struct vub *v, const char *having)
{
    char line[512];
    int n = 0;
    FILE *f;

    wait_for_closers(v);
    f = proc_open(v, "maps");
    if (!f)
        return -1;
    while (fgets(line, sizeof(line), f))
        n += !having || strstr(line, having);
    fclose(f);
    return n;
}

long vub_rss_kib(struct vub *v)
{
    FILE *f = proc_open(v, "status");
    char line[256];
    long kib = -1;

    if (!f)
        return -1;
    while (fgets(line, sizeof(line), f))
        if (sscanf(line, "VmRSS: %ld", &kib) == 1)
            break;
    fclose(f);
    return kib;
}

int64_t vub_cpu_us(struct vub *v)
{
    FILE *f = proc_open(v, "stat");
    char line[1024], *at;
    unsigned long user, sys;
    int64_t us = -1;

    if (!f)
        return -1;
    /* Fields 14 and 15, counted after the name, which ends with ")". */
    if (fgets(line, sizeof(line), f) && (at = strrchr(line, ')')) &&
        sscanf(at + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %lu %lu",
               &user, &sys) == 2)
        us = (int64_t)(user + sys) * 1000000 / sysconf(_SC_CLK_TCK);
    fclose(f);
    return us;
}
