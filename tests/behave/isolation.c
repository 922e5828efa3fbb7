/* Devices in processes of their own, which are killed: front-ends notice
 * nothing, and neither do other devices. docs/isolation.md. */
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include "ctl.h"
#include "front/gpu.h"
#include "front/input.h"
#include "luns.h"
#include "neighbours.h"

#define APART "'isolation': 'process', "
#define FILE_OF(name) "{'type': 'file', 'path': '" name "'}"
/* Of one vub: each is waited for longer. */
#define KILLS 5

/* ---- processes ---- */

/* A number of the device's "process"; -1: there is none. */
static long process_number(struct ctl *c, const char *device, const char *name)
{
    char member[64], params[64];
    const char *line, *at;

    snprintf(params, sizeof(params), "{'device': '%s'}", device);
    ctl_call(c, "status", params);
    line = ctl_answer(c);
    at = strstr(line, "\"process\":{");
    snprintf(member, sizeof(member), "\"%s\":", name);
    at = at ? strstr(at, member) : NULL;
    return at ? atol(at + strlen(member)) : -1;
}

/* The one that serves the device now; 0: none does. */
static pid_t process_of(struct ctl *c, const char *device)
{
    long pid = process_number(c, device, "pid");

    return pid > 0 ? (pid_t)pid : 0;
}

static pid_t need_process(struct ctl *c, const char *device)
{
    int64_t end = front_now_ms() + front_timeout_ms();
    pid_t pid;

    while ((pid = process_of(c, device)) == 0)
        if (front_now_ms() > end)
            front_fail("no process serves %s", device);
    return pid;
}

static void kill_process(struct ctl *c, const char *device)
{
    pid_t pid = need_process(c, device);

    if (kill(pid, SIGKILL) < 0 && errno != ESRCH)
        front_fail("kill %d: %s", (int)pid, strerror(errno));
}

/* Until another one does. */
static void need_restarts(struct ctl *c, const char *device, long restarts)
{
    int64_t end = front_now_ms() + front_timeout_ms();

    while (process_number(c, device, "restarts") < restarts)
        if (front_now_ms() > end)
            front_fail("%s is not started again", device);
}

static void make_image(struct vub *v, const char *name, off_t size)
{
    int fd = open(vub_path(v, "%s", name), O_CREAT | O_RDWR | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, size), 0);
    close(fd);
}

/* A vub with these devices and the image "img". */
static struct vub *start(const char *devices)
{
    struct vub *v = vub_new();

    make_image(v, "img", 64 << 20);
    vub_config_whole(v,
                     "{'runtime_dir': '%s', 'control': 'ctl', 'devices': [%s]}",
                     v->dir, devices);
    vub_run(v);
    return v;
}

/* ---- what is seen of it ---- */

static void a_device_in_a_process_of_its_own_is_served(void **state)
{
    struct vub *v =
        ctl_start(DISK("d", APART, MEMORY) ", " DISK("e", "", MEMORY));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    blk_verify(f->vq[0], 0, 4096, 1);
    pid = process_of(&c, "d");
    assert_true(pid > 0 && pid != v->pid);
    assert_int_equal(process_of(&c, "e"), 0);
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"process\":{\"state\":\"running\"");
    ctl_call(&c, "stats", "{'device': 'd'}");
    ctl_need(&c, "\"writes\":1");
    ctl_call(&c, "metrics", "{}");
    ctl_need(&c, "vub_device_answers{device=\\\"d\\\",type=\\\"block\\\"} 1");
    ctl_close(&c);
    front_free(f);
    vub_free(v);
    assert_int_equal(kill(pid, 0), -1);
}

/* ---- kills under load ---- */

/* The disk "d" is at work; its process is killed again and again. */
static void kill_under_load(struct vub *v, const struct front_conf *conf,
                            unsigned kills, uint64_t seed)
{
    struct load d, e;
    struct ctl c;
    long before;

    ctl_open(&c, v);
    before = process_number(&c, "d", "restarts");
    load_start(&d, v, "d", conf);
    load_start(&e, v, "e", conf);
    for (unsigned i = 0; i < kills; i++) {
        load_turn(&d, 1 + (unsigned)(next(&seed) % 40));
        load_turn(&e, 8);
        kill_process(&c, "d");
        load_turn(&e, 8);
        load_turn(&d, 16);
    }
    need_restarts(&c, "d", before + kills);
    assert_true(front_lives(d.f));
    load_turn(&d, 64);
    front_free(d.f);
    front_free(e.f);
    ctl_close(&c);
}

static void kill_disk(const char *devices)
{
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        const struct front_conf *m = &ring_modes[mode];
        struct vub *v;

        front_note("%s%s%s", m->packed ? "packed" : "split",
                   m->event_idx ? ", event index" : "",
                   m->indirect ? ", indirect" : "");
        v = start(devices);
        kill_under_load(v, m, KILLS, 0x1234567 + mode);
        vub_free(v);
    }
    front_note(" ");
}

static void a_disk_of_a_file_survives_its_process(void **state)
{
    (void)state;
    kill_disk(DISK("d", APART "'queues': 2, ",
                   FILE_OF("img")) ", " DISK("e", "'queues': 2, ", MEMORY));
}

static void a_disk_in_memory_survives_its_process(void **state)
{
    (void)state;
    kill_disk(DISK("d", APART "'queues': 2, ",
                   MEMORY) ", " DISK("e", "'queues': 2, ", MEMORY));
}

BEHAVE_MAIN(T(a_device_in_a_process_of_its_own_is_served),
            T(a_disk_of_a_file_survives_its_process),
            T(a_disk_in_memory_survives_its_process))
