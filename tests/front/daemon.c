/* The child: its directory, its config, its pipe, its end. */
#include "front/daemon.h"

#include <errno.h>
#include <fcntl.h>
#include <ftw.h>
#include <poll.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "front/check.h"

#ifndef VUB_EXE
#define VUB_EXE "vub"
#endif

static struct vub *all;
const char *vub_sandbox;

static struct vub *empty(void)
{
    struct vub *v = front_calloc(1, sizeof(*v));

    v->pidfd = v->log_fd = v->ready_fd = -1;
    v->exe = getenv("VUB");
    if (!v->exe)
        v->exe = VUB_EXE;
    v->next = all;
    all = v;
    return v;
}

struct vub *vub_new(void)
{
    const char *tmp = getenv("VUB_TEST_DIR");

    return vub_new_in(tmp ? tmp : "/tmp");
}

struct vub *vub_new_in(const char *parent)
{
    struct vub *v = empty();

    snprintf(v->dir, sizeof(v->dir), "%s/vub-XXXXXX", parent);
    if (!mkdtemp(v->dir))
        front_fail("mkdtemp %s: %s", v->dir, strerror(errno));
    return v;
}

struct vub *vub_beside(struct vub *v)
{
    struct vub *other = empty();

    snprintf(other->dir, sizeof(other->dir), "%s", v->dir);
    other->beside = true;
    other->quiet = v->quiet;
    for (unsigned i = 0; i < v->num_args; i++)
        vub_arg(other, "%s", v->args[i]);
    return other;
}

static char *keep(struct vub *v, char *s)
{
    if (v->num_strings == ARRAY_LEN(v->strings))
        front_fail("more than %zu strings kept", ARRAY_LEN(v->strings));
    return v->strings[v->num_strings++] = s;
}

static char *format(const char *fmt, va_list ap)
{
    char *s;

    if (vasprintf(&s, fmt, ap) < 0)
        front_fail("no memory for a string");
    return s;
}

const char *vub_path(struct vub *v, const char *fmt, ...)
{
    char *name, *path;
    va_list ap;

    va_start(ap, fmt);
    name = format(fmt, ap);
    va_end(ap);
    if (asprintf(&path, "%s/%s", v->dir, name) < 0)
        front_fail("no memory for a path");
    free(name);
    return keep(v, path);
}

/* How a device begins; in a process of its own if the environment has
 * VUB_TEST_ISOLATION. */
static void put_text(FILE *f, const char *text)
{
    static const char id[] = "{'id':";
    bool isolated = getenv("VUB_TEST_ISOLATION") != NULL;

    for (; *text; text++) {
        fputc(*text == '\'' ? '"' : *text, f);
        if (isolated && strncmp(text, id, strlen(id)) == 0)
            fputs("\"isolation\": \"process\", ", f);
    }
}

/* The text goes to devices.json, with the head and tail around it. */
static void write_config(struct vub *v, const char *head, const char *text,
                         const char *tail)
{
    char path[sizeof(v->dir) + 16];
    FILE *f;

    snprintf(path, sizeof(path), "%s/devices.json", v->dir);
    f = fopen(path, "we");
    if (!f)
        front_fail("%s: %s", path, strerror(errno));
    fputs(head, f);
    put_text(f, text);
    fputs(tail, f);
    if (fclose(f))
        front_fail("%s: %s", path, strerror(errno));
}

void vub_config(struct vub *v, const char *fmt, ...)
{
    char head[512], *text;
    va_list ap;

    va_start(ap, fmt);
    text = format(fmt, ap);
    va_end(ap);
    snprintf(head, sizeof(head),
             "{\"runtime_dir\": \"%s\", %s%s%s\"devices\": [\n", v->dir,
             vub_sandbox ? "\"sandbox\": " : "", vub_sandbox ? vub_sandbox : "",
             vub_sandbox ? ", " : "");
    write_config(v, head, text, "\n]}\n");
    free(text);
}

void vub_config_whole(struct vub *v, const char *fmt, ...)
{
    char *text;
    va_list ap;

    va_start(ap, fmt);
    text = format(fmt, ap);
    va_end(ap);
    write_config(v, "", text, "\n");
    free(text);
}

void vub_arg(struct vub *v, const char *fmt, ...)
{
    va_list ap;

    va_start(ap, fmt);
    if (v->num_args == ARRAY_LEN(v->args))
        front_fail("too many arguments");
    v->args[v->num_args++] = keep(v, format(fmt, ap));
    va_end(ap);
}

void vub_inherit(struct vub *v, int fd)
{
    if (v->num_inherit == ARRAY_LEN(v->inherit))
        front_fail("too many inherited fds");
    v->inherit[v->num_inherit++] = fd;
}

/* In the child, between fork and exec: only what signals may do too. */
static void be_child(struct vub *v, const char *const *argv, int log, int ready,
                     pid_t parent)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent)
        _exit(126);
    dup2(log, STDERR_FILENO);
    dup2(log, STDOUT_FILENO);
    if (ready >= 0)
        fcntl(ready, F_SETFD, 0);
    for (unsigned i = 0; i < v->num_inherit; i++)
        fcntl(v->inherit[i], F_SETFD, 0);
    signal(SIGPIPE, SIG_DFL);
    execvp(argv[0], (char *const *)argv);
    dprintf(STDERR_FILENO, "cannot run %s: %s\n", argv[0], strerror(errno));
    _exit(127);
}

static void spawn(struct vub *v, const char *const *argv, int ready)
{
    pid_t parent = getpid();
    int log[2];

    if (v->pid)
        front_fail("%s runs already", v->exe);
    if (v->log_fd >= 0)
        close(v->log_fd);
    if (pipe2(log, O_CLOEXEC) < 0)
        front_fail("pipe: %s", strerror(errno));
    fcntl(log[0], F_SETPIPE_SZ, 1 << 20);
    fcntl(log[0], F_SETFL, O_NONBLOCK);
    v->log_fd = log[0];
    fflush(NULL);
    v->pid = fork();
    if (v->pid == 0)
        be_child(v, argv, log[1], ready, parent);
    if (v->pid < 0)
        front_fail("fork: %s", strerror(errno));
    close(log[1]);
    v->pidfd = (int)syscall(SYS_pidfd_open, v->pid, 0);
    if (v->pidfd < 0)
        front_fail("pidfd_open: %s", strerror(errno));
    fcntl(v->pidfd, F_SETFD, FD_CLOEXEC);
}

void vub_spawn_argv(struct vub *v, const char *const *argv)
{
    spawn(v, argv, -1);
}

void vub_spawn(struct vub *v)
{
    const char *argv[ARRAY_LEN(v->args) + 8];
    char config[sizeof(v->dir) + 16], number[16];
    unsigned n = 0;
    int ready[2];

    if (pipe2(ready, O_CLOEXEC) < 0)
        front_fail("pipe: %s", strerror(errno));
    snprintf(config, sizeof(config), "%s/devices.json", v->dir);
    snprintf(number, sizeof(number), "%d", ready[1]);
    argv[n++] = v->exe;
    if (v->program)
        argv[n++] = v->program;
    if (!v->quiet) {
        argv[n++] = "--log-level";
        argv[n++] = "debug";
    }
    if (!v->program) {
        argv[n++] = "--config";
        argv[n++] = config;
    }
    argv[n++] = "--ready-fd";
    argv[n++] = number;
    for (unsigned i = 0; i < v->num_args; i++)
        argv[n++] = v->args[i];
    argv[n] = NULL;
    spawn(v, argv, ready[1]);
    close(ready[1]);
    if (v->ready_fd >= 0)
        close(v->ready_fd);
    v->ready_fd = ready[0];
}

void vub_run(struct vub *v)
{
    char line[16];

    vub_spawn(v);
    front_need_fd(v->ready_fd, POLLIN, "the line on --ready-fd");
    if (read(v->ready_fd, line, sizeof(line)) <= 0) {
        int status = vub_wait(v);

        front_fail("it ended with status %d before it was ready", status);
    }
    /* It closes its end behind the line, and those who count its fds want that
     * to be over. A tracer may keep a copy, hence the bound. */
    if (!v->wrapped)
        front_wait_fd(v->ready_fd, POLLIN, 1000);
    close(v->ready_fd);
    v->ready_fd = -1;
}

struct vub *vub_start(const char *fmt, ...)
{
    struct vub *v = vub_new();
    char *text;
    va_list ap;

    va_start(ap, fmt);
    text = format(fmt, ap);
    va_end(ap);
    vub_config(v, "%s", text);
    free(text);
    vub_run(v);
    return v;
}

bool vub_is_ready(struct vub *v)
{
    char line[16];

    if (v->ready_fd < 0)
        return true;
    if (!front_wait_fd(v->ready_fd, POLLIN, 0))
        return false;
    if (read(v->ready_fd, line, sizeof(line)) <= 0)
        front_fail("it ended before it was ready");
    close(v->ready_fd);
    v->ready_fd = -1;
    return true;
}

void vub_signal(struct vub *v, int sig)
{
    if (!v->pid || kill(v->pid, sig) < 0)
        front_fail("signal %d to %d: %s", sig, (int)v->pid, strerror(errno));
}

bool vub_alive(struct vub *v)
{
    return v->pid && !front_wait_fd(v->pidfd, POLLIN, 0);
}

int vub_wait(struct vub *v)
{
    int status;

    if (!v->pid)
        front_fail("nothing runs");
    front_need_fd(v->pidfd, POLLIN, "the end of the program");
    if (waitpid(v->pid, &status, 0) != v->pid)
        front_fail("waitpid: %s", strerror(errno));
    v->pid = 0;
    close(v->pidfd);
    v->pidfd = -1;
    vub_log(v);
    if (WIFSIGNALED(status))
        return 128 + WTERMSIG(status);
    return WEXITSTATUS(status);
}

void vub_stop(struct vub *v)
{
    int status;

    vub_signal(v, SIGTERM);
    status = vub_wait(v);
    if (status)
        front_fail("it ended with status %d on SIGTERM", status);
    /* Of a process of its that has another status. */
    if (strstr(vub_log(v), "Sanitizer:") || strstr(v->log, "runtime error:"))
        front_fail("a sanitizer has something to say");
}

/* Its processes end a moment later: the last one closes the log. */
static void wait_for_processes(struct vub *v)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (v->log_fd >= 0) {
        if (front_now_ms() > end)
            front_fail("a process of vub is left");
        front_wait_fd(v->log_fd, POLLIN, 1000);
        vub_log(v);
    }
}

void vub_kill(struct vub *v)
{
    vub_signal(v, SIGKILL);
    vub_wait(v);
    if (getenv("VUB_TEST_ISOLATION"))
        wait_for_processes(v);
}

static int remove_one(const char *path, const struct stat *st, int type,
                      struct FTW *ftw)
{
    (void)st;
    (void)type;
    (void)ftw;
    remove(path);
    return 0;
}

/* Without a word about how it ended, if kill. */
static void vub_end(struct vub *v, bool kill_it)
{
    struct vub **at;

    if (v->pid && kill_it) {
        kill(v->pid, SIGKILL);
        waitpid(v->pid, NULL, 0);
        close(v->pidfd);
    } else if (v->pid) {
        vub_stop(v);
    }
    for (at = &all; *at != v; at = &(*at)->next)
        ;
    *at = v->next;
    if (v->log_fd >= 0)
        close(v->log_fd);
    if (v->ready_fd >= 0)
        close(v->ready_fd);
    if (!v->beside)
        nftw(v->dir, remove_one, 8, FTW_DEPTH | FTW_PHYS);
    for (unsigned i = 0; i < v->num_strings; i++)
        free(v->strings[i]);
    free(v->log);
    free(v);
}

void vub_free(struct vub *v)
{
    if (v)
        vub_end(v, false);
}

bool vub_any(void)
{
    return all != NULL;
}

void vub_free_all(void)
{
    while (all)
        vub_end(all, true);
}

void vub_log_dump_all(void)
{
    for (struct vub *v = all; v; v = v->next)
        fprintf(stderr, "---- log of %s in %s%s\n%s----\n", v->exe, v->dir,
                v->pid ? "" : " (ended)", vub_log(v));
}
