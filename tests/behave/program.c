/* The program around the devices: when it is ready, how it ends, and what it
 * does when there is nothing to do. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behave.h"
#include "front/input.h"

/* Ready means: all sockets listen. */
static void all_sockets_listen_when_it_is_ready(void **state)
{
    struct vub *v = vub_new();
    char text[8192] = "";
    struct front *f[32];

    (void)state;
    for (unsigned i = 0; i < 32; i++)
        snprintf(text + strlen(text), sizeof(text) - strlen(text),
                 "%s" DISK("d%u", "", MEMORY), i ? "," : "", i);
    vub_config(v, "%s", text);
    vub_run(v);
    for (unsigned i = 0; i < 32; i++) {
        char id[8];

        snprintf(id, sizeof(id), "d%u", i);
        f[i] = front_new(v, id, NULL);
    }
    for (unsigned i = 0; i < 32; i++)
        blk_verify(f[i]->vq[0], 0, 4096, i);
    for (unsigned i = 0; i < 32; i++)
        front_free(f[i]);
    vub_free(v);
}

static void it_ends_cleanly_on_either_signal(void **state)
{
    static const int signals[] = {SIGTERM, SIGINT};

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct vub *v = vub_start(DISK("d", "", MEMORY));

        vub_signal(v, signals[i]);
        assert_int_equal(vub_wait(v), 0);
        vub_free(v);
    }
}

/* Requests that never end are given up after drain_timeout. */
static void its_end_is_bounded(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'drain_timeout': 300, ",
             "{'type': 'fault', 'next': " MEMORY
             ", 'rules': [{'op': 'any', 'offset': '1M', 'stuck': true}]}"));
    struct front *f = front_new(v, "d", &(struct front_conf){.packed = true});
    struct blk_req *r[4];
    int64_t began;

    (void)state;
    for (unsigned i = 0; i < 4; i++) {
        r[i] = blk_new(f, 512);
        blk_go(f->vq[0], r[i], VIRTIO_BLK_T_IN, 2048 + i, 512);
    }
    blk_verify(f->vq[0], 0, 512, 1); /* by then they have been taken */
    began = front_now_ms();
    vub_stop(v);
    assert_true(front_now_ms() - began < front_timeout_ms() / 2);
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(blk_wait(f->vq[0], r[i]), VIRTIO_BLK_S_IOERR);
    front_free(f);
    vub_free(v);
}

/* Log lines that nobody reads any more. */
static void it_lives_on_without_its_stderr(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY));

    (void)state;
    vub_log(v);
    close(v->log_fd);
    v->log_fd = -1;
    for (unsigned i = 0; i < 5; i++) {
        struct front *f = front_new(v, "d", NULL);

        blk_verify(f->vq[0], 0, 4096, i);
        front_free(f);
    }
    vub_free(v);
}

/* A pipe that is full, for nobody reads it: lines are lost, and that is all.
 * When somebody reads again, they are told. */
static void a_sleeping_reader_of_its_stderr_stops_nobody(void **state)
{
    struct vub *v = vub_start(DISK("d", "", MEMORY) "," DISK("e", "", MEMORY));
    struct front *e = front_new(v, "e", NULL), *f;

    (void)state;
    vub_log(v);
    fcntl(v->log_fd, F_SETPIPE_SZ, 4096);
    for (unsigned i = 0; i < 200; i++) {
        f = front_new(v, "d", NULL);
        blk_verify(f->vq[0], 0, 4096, i);
        front_free(f);
        blk_verify(e->vq[0], 0, 4096, i);
    }
    vub_log(v);
    f = front_new(v, "d", NULL);
    vub_log_wait(v, "lost");
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* Sleeps that its threads went to, all together. */
static long sleeps(struct vub *v)
{
    char cmd[128];
    long n = -1;
    FILE *p;

    snprintf(cmd, sizeof(cmd),
             "cat /proc/%d/task/*/status | awk '/^voluntary/ {n += $2}"
             " END {print n}'",
             v->pid);
    p = popen(cmd, "re");
    if (!p || fscanf(p, "%ld", &n) != 1)
        front_fail("cannot read %s", cmd);
    pclose(p);
    return n;
}

/* Waiting for nothing to happen takes its time. */
static void nobody_wakes(struct vub *v, struct front *f)
{
    long before;

    /* Until the spinning after whatever was done is over, and nobody minds the
     * worker any more. */
    assert_false(front_wait_fd(f->sock, POLLIN, 2500));
    before = sleeps(v);
    assert_false(front_wait_fd(f->sock, POLLIN, 2500));
    assert_int_equal(sleeps(v), before);
}

static void an_idle_device_wakes_nobody(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, 'worker': ['a', 'b'], ",
                                   MEMORY) "," DISK("e", "", MEMORY));
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct front *waits;
    struct blk_req *r;

    (void)state;
    if (vub_maps(v, "libtsan") > 0) { /* it has a thread of its own */
        front_free(f);
        vub_free(v);
        skip();
    }
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[1], 0, 4096, 2);
    nobody_wakes(v, f);

    /* Somebody waits for his turn, a ring is broken, and its kick eventfd is
     * written still. */
    waits = front_connect(v, "d");
    front_send(waits, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    r = blk_new(f, 512);
    r->data_gpa = UINT64_MAX;
    blk_go(f->vq[1], r, VIRTIO_BLK_T_IN, 0, 512);
    vq_need_err(f->vq[1]);
    vq_notify(f->vq[1]);
    /* It is looked at once more, some seconds after it came. */
    assert_false(front_wait_fd(waits->sock, POLLIN, 4000));
    nobody_wakes(v, f);
    blk_verify(f->vq[0], 0, 4096, 3);
    front_free(f);
    front_settle(waits);
    front_free(waits);
    vub_free(v);
}

/* Its buffers wait in the ring all the time. */
static void an_idle_input_device_wakes_nobody(void **state)
{
    struct vub *v =
        vub_start("{'id': 'k', 'type': 'input', 'source': {'type': 'virtual', "
                  "'preset': 'keyboard'}}");

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        const struct front_conf conf = {.packed = packed, .event_idx = true};
        struct input *in = input_new(v, "k", &conf, 64);

        input_status(in, 0x11, 1, 1);
        if (vub_maps(v, "libtsan") == 0)
            nobody_wakes(v, in->f);
        input_free(in);
    }
    vub_free(v);
}

/* All ways to poll serve, and none of them for ever where it was not asked
 * to. */
static void every_poll_setting_serves(void **state)
{
    static const char *const settings[] = {"0", "1", "50", "5000", "'always'"};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(settings); i++) {
        struct vub *v = vub_new();
        struct front *f;

        vub_config(v, DISK("d", "'queues': 2, 'poll_us': %s, ", MEMORY),
                   settings[i]);
        vub_run(v);
        for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
            f = front_new(v, "d", &ring_modes[mode]);
            for (uint64_t k = 0; k < 50; k++)
                blk_verify(f->vq[k % 2], k * 8, 4096, k);
            front_free(f);
        }
        vub_free(v);
    }
}

/* ---- a worker that is stuck ---- */

static int manager_at(const char *path)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);

    snprintf(a.sun_path, sizeof(a.sun_path), "%s", path);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof(a)) < 0)
        front_fail("cannot bind %s: %s", path, strerror(errno));
    return fd;
}

/* What the service manager is told, up to a message that has the text. */
static void manager_hears(int fd, const char *text)
{
    char got[512] = "";

    while (!strstr(got, text)) {
        ssize_t n;

        front_need_fd(fd, POLLIN, text);
        n = recv(fd, got, sizeof(got) - 1, 0);
        got[n < 0 ? 0 : n] = '\0';
    }
}

/* The thread of that name, the last one: a sanitizer's has that of the first
 * that is made. 0: it is not to be seen. */
static pid_t thread_named(struct vub *v, const char *name)
{
    char path[64], comm[32];
    struct dirent *entry;
    pid_t found = 0;
    DIR *dir;

    snprintf(path, sizeof(path), "/proc/%d/task", v->pid);
    dir = opendir(path);
    while (dir && (entry = readdir(dir)) != NULL) {
        FILE *f;

        snprintf(path, sizeof(path), "/proc/%d/task/%.16s/comm", v->pid,
                 entry->d_name);
        f = fopen(path, "re");
        if (f && fscanf(f, "%31s", comm) == 1 && strcmp(comm, name) == 0)
            found = atoi(entry->d_name);
        if (f)
            fclose(f);
    }
    if (dir)
        closedir(dir);
    return found;
}

/* A debugger stops one thread, as a system call that does not return would. */
static void a_stuck_worker_is_told_and_the_others_are_well(void **state)
{
    struct vub *v = vub_new();
    struct front *d, *e;
    pid_t worker;
    int manager = manager_at(vub_path(v, "notify"));

    (void)state;
    setenv("NOTIFY_SOCKET", vub_path(v, "notify"), 1);
    setenv("WATCHDOG_USEC", "500000", 1);
    /* It never rests. */
    vub_config(v, DISK("d", "'poll_us': 'always', ", MEMORY) "," DISK("e", "",
                                                                      MEMORY));
    vub_run(v);
    unsetenv("NOTIFY_SOCKET");
    unsetenv("WATCHDOG_USEC");
    d = front_new(v, "d", NULL);
    e = front_new(v, "e", NULL);
    blk_verify(d->vq[0], 0, 4096, 1);
    manager_hears(manager, "STATUS=2 devices, 2 with a front-end");
    worker = thread_named(v, "d");
    if (!worker || ptrace(PTRACE_ATTACH, worker, NULL, NULL) < 0) {
        front_free(d);
        front_free(e);
        vub_free(v);
        close(manager);
        skip();
    }
    assert_int_equal(waitpid(worker, NULL, __WALL), worker);
    manager_hears(manager, "; 1 worker waits for the system");
    vub_log_wait(v, "worker d has not come back");
    /* Nobody is restarted for it. */
    manager_hears(manager, "WATCHDOG=1");
    blk_verify(e->vq[0], 0, 4096, 1);
    ptrace(PTRACE_DETACH, worker, NULL, NULL);
    vub_log_wait(v, "worker d is back");
    manager_hears(manager, "STATUS=2 devices, 2 with a front-end");
    blk_verify(d->vq[0], 0, 4096, 2);
    front_free(d);
    front_free(e);
    vub_free(v);
    close(manager);
}

BEHAVE_MAIN(T(all_sockets_listen_when_it_is_ready),
            T(it_ends_cleanly_on_either_signal), T(its_end_is_bounded),
            T(it_lives_on_without_its_stderr),
            T(a_sleeping_reader_of_its_stderr_stops_nobody),
            T(an_idle_device_wakes_nobody),
            T(a_stuck_worker_is_told_and_the_others_are_well),
            T(an_idle_input_device_wakes_nobody), T(every_poll_setting_serves))
