/* The sandbox of the real program: what it has given up, what goes on working
 * all the same, and what does not. docs/sandbox.md. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "headless.h"

#define UNIT                                                                   \
    "{'id': 'san', 'type': 'scsi', 'luns': [{'store': "                        \
    "{'type': 'memory', 'size': '1M'}}]}"

/* ---- helpers ---- */

/* A vub with a control socket; sandbox: the value of the key, NULL: none. */
static struct vub *start(const char *sandbox, const char *devices)
{
    struct vub *v = vub_new();

    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', %s%s%s"
                     "'devices': [%s]}",
                     v->dir, sandbox ? "'sandbox': " : "",
                     sandbox ? sandbox : "", sandbox ? ", " : "", devices);
    vub_run(v);
    return v;
}

static void make(const char *path, const char *text)
{
    FILE *f = fopen(path, "we");

    assert_non_null(f);
    fputs(text, f);
    assert_int_equal(ftruncate(fileno(f), 1 << 20), 0);
    assert_int_equal(fclose(f), 0);
}

/* The value of a line of a status file, "Seccomp:", up to its end. */
static const char *line_of(const char *path, const char *name)
{
    static char line[256];
    char *value = NULL;
    FILE *f = fopen(path, "re");

    if (!f)
        front_fail("%s: %s", path, strerror(errno));
    while (!value && fgets(line, sizeof(line), f)) {
        if (strncmp(line, name, strlen(name)) == 0)
            value = line + strlen(name) + 1;
    }
    fclose(f);
    if (!value)
        return "";
    value[strcspn(value, "\n")] = '\0';
    return value;
}

/* Of each thread. Returns how many there are. */
static unsigned need_in_threads(struct vub *v, const char *name,
                                const char *value)
{
    char dir[64], path[400];
    struct dirent *entry;
    unsigned count = 0;
    DIR *d;

    snprintf(dir, sizeof(dir), "/proc/%d/task", (int)v->pid);
    d = opendir(dir);
    assert_non_null(d);
    while ((entry = readdir(d)) != NULL) {
        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s/status", dir, entry->d_name);
        if (strcmp(line_of(path, name), value) != 0)
            front_fail("%s has %s %s, not %s", path, name, line_of(path, name),
                       value);
        count++;
    }
    closedir(d);
    return count;
}

/* The one child that it has. */
static pid_t broker_of(struct vub *v)
{
    char path[64];
    int first = 0, second = 0, n;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/task/%d/children", (int)v->pid,
             (int)v->pid);
    f = fopen(path, "re");
    if (!f)
        return 0; /* a kernel without that file */
    n = fscanf(f, "%d %d", &first, &second);
    fclose(f);
    assert_int_equal(n, 1);
    return first;
}

/* ---- what is in force ---- */

static void every_thread_is_in_the_sandbox(void **state)
{
    struct vub *v = start(NULL, DISK("a", "", MEMORY) ", " SCREEN(""));
    bool landlock, filter;
    const char *status;
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    ctl_call(&c, "status", "{}");
    status = ctl_answer(&c);
    assert_non_null(strstr(status, "\"sandbox\":{\"enabled\":true,"
                                   "\"no_new_privs\":true"));
    assert_non_null(strstr(status, "\"capabilities\":[]"));
    filter = strstr(status, "\"system_calls\":true");
    landlock = !strstr(status, "\"landlock\":0");
    if (!filter || !landlock)
        assert_non_null(strstr(status, "\"missing\":\"no "));
    assert_true(need_in_threads(v, "NoNewPrivs:", "1") >= 3);
    need_in_threads(v, "CapPrm:", "0000000000000000");
    need_in_threads(v, "CapEff:", "0000000000000000");
    need_in_threads(v, "Seccomp:", filter ? "2" : "0");
    ctl_close(&c);
    vub_free(v);
}

static void without_a_sandbox_nothing_is_given_up(void **state)
{
    static const char *const off[] = {"false", "{'enabled': false}"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(off); i++) {
        struct vub *v = start(off[i], DISK("a", "", MEMORY));
        struct ctl c;

        ctl_open(&c, v);
        ctl_call(&c, "status", "{}");
        ctl_need(&c, "\"sandbox\":{\"enabled\":false}");
        need_in_threads(v, "NoNewPrivs:", "0");
        need_in_threads(v, "Seccomp:", "0");
        ctl_close(&c);
        vub_free(v);
    }
}

static void the_broker_ends_with_it_however_that_is(void **state)
{
    struct vub *v = start(NULL, DISK("a", "", MEMORY));
    pid_t pid = broker_of(v);
    int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;

    (void)state;
    if (pidfd >= 0) {
        /* What is sent to all of a service is not for it. */
        kill(pid, SIGTERM);
        kill(pid, SIGINT);
        kill(pid, SIGHUP);
        vub_kill(v);
        front_need_fd(pidfd, POLLIN, "the end of the broker");
        close(pidfd);
    }
    vub_free(v);
}

static void a_broker_that_was_killed_is_named(void **state)
{
    struct vub *v = start(NULL, UNIT);
    pid_t pid = broker_of(v);
    int pidfd = pid ? (int)syscall(SYS_pidfd_open, pid, 0) : -1;
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    ctl_call(&c, "status", "{}");
    if (pidfd >= 0 && !strstr(ctl_answer(&c), "\"landlock\":0")) {
        kill(pid, SIGKILL);
        front_need_fd(pidfd, POLLIN, "the end of the broker");
        ctl_call(&c, "device.add", "{'config': {'id': 'x', 'type': 'scsi'}}");
        ctl_need(&c, "vub-broker, which would do it, has ended");
        vub_log_wait(v, "vub-broker has ended");
    }
    ctl_close(&c);
    vub_free(v);
    if (pidfd >= 0)
        close(pidfd);
}

static void a_broker_holds_nothing_of_a_device(void **state)
{
    struct vub *v = vub_new();
    char dir[64], path[400], link[300];
    struct dirent *entry;
    unsigned count = 0;
    pid_t pid;
    DIR *d;

    (void)state;
    make(vub_path(v, "disk"), "");
    vub_config(v, DISK("a", "", "{'type': 'file', 'path': 'disk'}"));
    vub_run(v);
    pid = broker_of(v);
    snprintf(dir, sizeof(dir), "/proc/%d/fd", (int)pid);
    d = pid ? opendir(dir) : NULL;
    while (d && (entry = readdir(d)) != NULL) {
        ssize_t n;

        if (entry->d_name[0] == '.')
            continue;
        snprintf(path, sizeof(path), "%s/%s", dir, entry->d_name);
        n = readlink(path, link, sizeof(link) - 1);
        assert_true(n > 0);
        link[n] = '\0';
        if (strcmp(link, "/dev/null") != 0)
            count++;
    }
    if (d)
        assert_int_equal(count, 1); /* where questions come from */
    if (d)
        closedir(d);
    vub_free(v);
}

/* ---- what goes on ---- */

static void show_something(struct screen *s)
{
    struct gpu_fb *fb = gpu_fb_new(s->g, 64, 32, 4096);

    gpu_fb_fill(fb, 1);
    gpu_show(s->g, 0, 1, XRGB, fb);
    gpu_draw(s->g, 1, fb, 0, 0, 64, 32);
}

static void shoot(struct screen *s, const char *path, const char *more,
                  const char *answer)
{
    char params[400];

    snprintf(params, sizeof(params), "{'device': 'screen', 'path': '%s'%s}",
             path, more);
    ctl_call(&s->c, "gpu.screenshot", params);
    ctl_need(&s->c, answer);
}

static void pictures_go_anywhere_but_over_no_other_file(void **state)
{
    struct vub *other = vub_new();
    struct screen s;
    char params[400];
    bool landlock;

    (void)state;
    screen_open(&s, SCREEN(""), NULL);
    ctl_call(&s.c, "status", "{}");
    landlock = !strstr(ctl_answer(&s.c), "\"landlock\":0");
    show_something(&s);
    shoot(&s, vub_path(other, "a.png"), "", "\"result\"");
    shoot(&s, vub_path(other, "a.png"), "", "\"result\""); /* replaced */
    assert_int_equal(access(vub_path(other, "a.png.part"), F_OK), -1);
    snprintf(params, sizeof(params), "{'device': 'screen', 'picture': '%s'}",
             vub_path(other, "a.png"));
    ctl_call(&s.c, "gpu.wait", params);
    ctl_need(&s.c, "\"result\"");
    if (landlock) {
        shoot(&s, vub_path(other, "shot"), "",
              "the sandbox does not allow it; its directory would have to be "
              "in \\\"sandbox\\\": {\\\"paths\\\"");
        make(vub_path(other, "text.png"), "text");
        shoot(&s, vub_path(other, "text.png"), "",
              "the sandbox does not allow it");
        snprintf(params, sizeof(params),
                 "{'device': 'screen', 'picture': '%s'}",
                 vub_path(other, "text.png"));
        ctl_call(&s.c, "gpu.wait", params);
        ctl_need(&s.c, "the sandbox does not allow it");
    }
    screen_close(&s);
    vub_free(other);
}

static void add_unit(struct ctl *c, unsigned lun, const char *path,
                     const char *answer)
{
    char params[400];

    snprintf(params, sizeof(params),
             "{'device': 'san', 'lun': %u, 'store': {'type': 'file', 'path': "
             "'%s'}}",
             lun, path);
    ctl_call(c, "scsi.lun_add", params);
    ctl_need(c, answer);
}

static void a_file_that_is_added_must_be_below_paths(void **state)
{
    struct vub *images = vub_new(), *v;
    char sandbox[200];
    struct ctl c;

    (void)state;
    assert_int_equal(mkdir(vub_path(images, "in"), 0700), 0);
    make(vub_path(images, "in/disk"), "");
    make(vub_path(images, "disk"), "");
    snprintf(sandbox, sizeof(sandbox), "{'paths': ['%s']}",
             vub_path(images, "in"));
    v = start(sandbox, UNIT);
    ctl_open(&c, v);
    add_unit(&c, 1, vub_path(images, "in/disk"), "\"result\"");
    ctl_call(&c, "status", "{}");
    if (!strstr(ctl_answer(&c), "\"landlock\":0"))
        add_unit(&c, 2, vub_path(images, "disk"),
                 "the sandbox does not allow it");
    ctl_close(&c);
    vub_free(v);
    vub_free(images);
}

/* The broker believes the file, not whoever asks. */
static void what_is_written_into_the_config_later_can_be_opened(void **state)
{
    struct vub *v = start(NULL, UNIT);
    struct ctl c;

    (void)state;
    make(vub_path(v, "new.img"), "");
    ctl_open(&c, v);
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', 'devices': ["
                     "%s, " DISK("d", "'socket': '%s', ",
                                 "{'type': 'file', 'path': 'new.img'}") "]}",
                     v->dir, UNIT, vub_path(v, "other.sock"));
    ctl_call(&c, "config.reload", "{}");
    ctl_need(&c, "\"added\":[\"d\"]");
    assert_int_equal(access(vub_path(v, "other.sock"), F_OK), 0);
    ctl_close(&c);
    vub_free(v);
}

/* Rings were made at the start; each thread that opens the disk is another. */
static void a_device_that_is_reloaded_has_io_uring_again(void **state)
{
    struct vub *v = vub_new();
    struct ctl c;

    (void)state;
    make(vub_path(v, "d.img"), "");
    vub_config_whole(
        v,
        "{'runtime_dir': '%s', 'control': 'ctl', 'devices': [" DISK(
            "d", "",
            "{'type': 'file', 'path': 'd.img', "
            "'engine': 'io_uring'}") "]}",
        v->dir);
    vub_run(v);
    ctl_open(&c, v);
    for (int i = 0; i < 20; i++) {
        ctl_call(&c, "device.reload", "{'device': 'd'}");
        ctl_need(&c, "\"result\"");
    }
    ctl_close(&c);
    vub_free(v);
}

/* A guest that had taken over vub could have written it. */
static void a_config_below_paths_is_not_read_again(void **state)
{
    struct vub *v = start("{'paths': ['.']}", UNIT), *other = vub_new();
    struct ctl c;

    (void)state;
    vub_log_wait(v, "what it will say later is not believed");
    make(vub_path(v, "in.img"), "");
    make(vub_path(other, "out.img"), "");
    ctl_open(&c, v);
    ctl_call(&c, "status", "{}");
    if (!strstr(ctl_answer(&c), "\"landlock\":0")) {
        vub_config_whole(
            v,
            "{'runtime_dir': '%s', 'control': 'ctl', 'sandbox': {'paths': "
            "['.']}, 'devices': [%s, " DISK(
                "d", "", "{'type': 'file', 'path': '%s'}") "]}",
            v->dir, UNIT, vub_path(other, "out.img"));
        ctl_call(&c, "config.reload", "{}");
        ctl_need(&c, "the sandbox does not allow it");
    }
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', 'sandbox': "
                     "{'paths': ['.']}, 'devices': [%s, " DISK(
                         "d", "", "{'type': 'file', 'path': 'in.img'}") "]}",
                     v->dir, UNIT);
    ctl_call(&c, "config.reload", "{}");
    ctl_need(&c, "\"added\":[\"d\"]");
    ctl_close(&c);
    vub_free(v);
    vub_free(other);
}

/* Our copy of the socket by which v asks its broker, as a guest that had taken
 * v over has it. -1: the system gives us none. */
static int take_questions(struct vub *v)
{
    int type = 0, fd = -1;

    for (int i = 3; i < 64 && type != SOCK_SEQPACKET; i++) {
        socklen_t len = sizeof(type);

        if (fd >= 0)
            close(fd);
        fd = (int)syscall(SYS_pidfd_getfd, v->pidfd, i, 0);
        if (fd < 0 || getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &len) < 0)
            type = 0;
    }
    return type == SOCK_SEQPACKET ? fd : -1;
}

/* What the broker says to opening it: os/linux/broker_own.h. */
static int ask_to_open(int questions, const char *path, int flags)
{
    struct {
        uint32_t op, flags, mode;
        char path[200];
    } q = {1, (uint32_t)flags, 0, ""};
    union {
        struct cmsghdr head;
        char room[CMSG_SPACE(sizeof(int))];
    } control = {.head = {CMSG_LEN(sizeof(int)), SOL_SOCKET, SCM_RIGHTS}};
    struct iovec iov = {&q, 12 + strlen(path) + 1};
    struct msghdr msg = {.msg_iov = &iov,
                         .msg_iovlen = 1,
                         .msg_control = &control,
                         .msg_controllen = sizeof(control)};
    int pair[2], rc;
    char answer[8192];

    strcpy(q.path, path);
    assert_int_equal(
        socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
    memcpy(CMSG_DATA(&control.head), &pair[1], sizeof(int));
    assert_true(sendmsg(questions, &msg, MSG_NOSIGNAL) > 0);
    close(pair[1]);
    front_need_fd(pair[0], POLLIN, "the broker's answer");
    assert_true(read(pair[0], answer, sizeof(answer)) > 4);
    memcpy(&rc, answer, sizeof(rc));
    close(pair[0]);
    return rc;
}

static void the_image_of_a_read_only_disk_cannot_be_written(void **state)
{
    struct vub *v = vub_new();
    int questions;

    (void)state;
    make(vub_path(v, "ro"), "");
    make(vub_path(v, "rw"), "");
    make(vub_path(v, "unit"), "");
    vub_config(v,
               DISK("a", "'read_only': true, ",
                    "{'type': 'fault', 'next': {'type': 'file', 'path': "
                    "'ro'}}") ", "
                              "{'id': 'h', 'type': 'scsi', 'luns': "
                              "[{'lun': 1, 'read_only': true, 'store': "
                              "{'type': 'file', 'path': 'unit'}}]}, " DISK(
                                  "b", "", "{'type': 'file', 'path': 'rw'}"));
    vub_run(v);
    questions = take_questions(v);
    if (questions >= 0) {
        assert_true(ask_to_open(questions, vub_path(v, "ro"), O_RDONLY) >= 0);
        assert_true(ask_to_open(questions, vub_path(v, "rw"), O_RDWR) >= 0);
        assert_int_equal(ask_to_open(questions, vub_path(v, "ro"), O_RDWR),
                         -EACCES);
        assert_int_equal(ask_to_open(questions, vub_path(v, "unit"), O_RDWR),
                         -EACCES);
        close(questions);
    }
    vub_free(v);
}

static void sockets_are_removed_at_the_end(void **state)
{
    struct vub *v = start(NULL, DISK("a", "'socket': 'deep.sock', ", MEMORY));

    (void)state;
    assert_int_equal(access(vub_path(v, "deep.sock"), F_OK), 0);
    vub_stop(v);
    assert_int_equal(access(vub_path(v, "deep.sock"), F_OK), -1);
    assert_int_equal(access(vub_path(v, "ctl"), F_OK), -1);
    vub_free(v);
}

/* ---- another user ---- */

static void root_becomes_who_the_config_says(void **state)
{
    char status[64], ids[64];
    unsigned uid = 65534;
    struct screen s;
    struct stat st;

    (void)state;
    if (geteuid() != 0)
        skip();
    s.v = start("{'user': 'nobody'}", SCREEN(""));
    assert_int_equal(chmod(s.v->dir, 0777), 0);
    ctl_open(&s.c, s.v);
    s.g = gpu_open(s.v, "screen", NULL);
    snprintf(status, sizeof(status), "/proc/%d/status", (int)s.v->pid);
    snprintf(ids, sizeof(ids), "%u\t%u\t%u\t%u", uid, uid, uid, uid);
    assert_string_equal(line_of(status, "Uid:"), ids);
    assert_string_equal(line_of(status, "CapPrm:"), "0000000000000000");
    show_something(&s);
    shoot(&s, vub_path(s.v, "a.png"), "", "\"result\"");
    assert_int_equal(stat(vub_path(s.v, "a.png"), &st), 0);
    assert_int_equal(st.st_uid, uid); /* with no more rights than it has */
    gpu_close(s.g);
    ctl_close(&s.c);
    vub_stop(s.v);
    assert_int_equal(access(vub_path(s.v, "screen.sock"), F_OK), -1);
    vub_free(s.v);
}

static void a_user_that_there_is_not_is_told(void **state)
{
    struct vub *v = vub_new();

    (void)state;
    vub_config_whole(v, "{'sandbox': {'user': 'no-such-user'}, 'devices': "
                        "[" DISK("a", "", MEMORY) "]}");
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 2);
    vub_log_wait(v, "/sandbox/user: there is no user \"no-such-user\"");
    vub_free(v);
}

BEHAVE_MAIN(T(every_thread_is_in_the_sandbox),
            T(without_a_sandbox_nothing_is_given_up),
            T(the_broker_ends_with_it_however_that_is),
            T(a_broker_that_was_killed_is_named),
            T(a_broker_holds_nothing_of_a_device),
            T(pictures_go_anywhere_but_over_no_other_file),
            T(a_file_that_is_added_must_be_below_paths),
            T(what_is_written_into_the_config_later_can_be_opened),
            T(a_device_that_is_reloaded_has_io_uring_again),
            T(a_config_below_paths_is_not_read_again),
            T(the_image_of_a_read_only_disk_cannot_be_written),
            T(sockets_are_removed_at_the_end),
            T(root_becomes_who_the_config_says),
            T(a_user_that_there_is_not_is_told))
