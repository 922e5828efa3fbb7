/* The life of a device's own process: how it starts, or cannot; what is asked
 * of it; how it ends. docs/isolation.md. */
#include "isolated.h"

/* ---- what cannot be started ---- */

/* It is started at once, then after a while; others go on, and it serves when
 * it can. */
static void a_process_that_cannot_start_is_started_again(void **state)
{
    struct vub *v =
        start(DISK("d", APART, FILE_OF("img")) ", " DISK("e", "", MEMORY));
    struct front *d = front_new(v, "d", NULL), *e = front_new(v, "e", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    blk_verify(d->vq[0], 0, 4096, 1);
    assert_int_equal(rename(vub_path(v, "img"), vub_path(v, "gone")), 0);
    kill_process(&c, "d");
    for (unsigned i = 0; i < 4; i++) {
        vub_log_wait(v, "has ended before it was ready");
        vub_log_mark(v);
        blk_verify(e->vq[0], 0, 4096, i);
    }
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"last_end\":\"cannot open");
    ctl_call(&c, "block.resize", "{'device': 'd', 'size': '64M'}");
    ctl_need(&c, "the process of the device has ended; it is started again");
    assert_int_equal(rename(vub_path(v, "gone"), vub_path(v, "img")), 0);
    need_restarts(&c, "d", 1);
    blk_verify(d->vq[0], 8, 4096, 2);
    assert_true(front_lives(d));
    front_free(d);
    front_free(e);
    ctl_close(&c);
    vub_free(v);
}

static void an_error_of_the_config_is_told_as_always(void **state)
{
    struct vub *v = vub_new();

    (void)state;
    vub_config(v, DISK("e", "", MEMORY) ", " DISK(
                      "d", APART, "{'type': 'file', 'path': 'none'}"));
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 2);
    assert_non_null(
        strstr(vub_log(v), "devices.json: /devices/1/store/path: cannot open"));
    vub_free(v);
}

/* They are opened at once, whichever fails first. */
static void errors_of_several_are_told_in_their_order(void **state)
{
    struct vub *v = vub_new();
    const char *log, *one, *other;

    (void)state;
    vub_config(
        v, DISK("a", APART, FILE_OF("none")) ", " DISK(
               "b", APART,
               MEMORY) ", " DISK("c", "",
                                 FILE_OF("none")) ", " DISK("d", APART,
                                                            FILE_OF("none")));
    vub_spawn(v);
    assert_int_equal(vub_wait(v), 2);
    log = vub_log(v);
    one = strstr(log, "/devices/0/store/path: cannot open");
    assert_non_null(one);
    other = strstr(one, "/devices/2/store/path: cannot open");
    assert_non_null(other);
    assert_non_null(strstr(other, "/devices/3/store/path: cannot open"));
    vub_free(v);
}

/* ---- what is asked of it ---- */

static void commands_reach_it(void **state)
{
    struct drive d =
        drive_on(start(DISK("d", APART, FILE_OF("img")) ", " DISK(
                     "t", APART,
                     "{'type': 'throttle', 'name': 'gold', 'iops': 1000,"
                     " 'next': " MEMORY "}")),
                 NULL);

    (void)state;
    assert_int_equal(truncate(vub_path(d.v, "img"), 128 << 20), 0);
    ctl_call(&d.c, "block.resize", "{'device': 'd'}");
    ctl_need(&d.c, "\"result\"");
    assert_int_equal(blk_capacity(d.f), (128 << 20) / 512);
    ctl_call(&d.c, "block.resize", "{'device': 'd', 'nonsense': 1}");
    ctl_need(&d.c, "/params/nonsense");
    ctl_call(&d.c, "throttle.set", "{'name': 'gold', 'iops': 77}");
    ctl_need(&d.c, "\"iops\":77");
    ctl_call(&d.c, "throttle.set", "{'name': 'silver', 'iops': 77}");
    ctl_need(&d.c, "there is no throttle \\\"silver\\\"");
    kill_process(&d.c, "t");
    need_restarts(&d.c, "t", 1);
    ctl_call(&d.c, "status", "{}");
    ctl_need(&d.c, "\"throttles\":[{\"name\":\"gold\",\"iops\":77");
    ctl_call(&d.c, "metrics", "{}");
    ctl_need(&d.c, "device=\\\"t\\\"");
    drive_close(&d);
}

#define LIMITED(iops)                                                          \
    DISK("t", APART,                                                           \
         "{'type': 'throttle', 'name': 'gold', 'iops': " iops                  \
         ", 'next': " MEMORY "}")

static void need_limit(struct ctl *c, const char *iops)
{
    char want[64];

    snprintf(want, sizeof(want), "\"name\":\"gold\",\"iops\":%s,", iops);
    ctl_call(c, "status", "{}");
    ctl_need(c, want);
}

/* The process that is there has them, and so has the next one; those that were
 * set since hold on. */
static void limits_of_the_config_change_while_it_runs(void **state)
{
    struct vub *v = ctl_start(LIMITED("1000"));
    struct front *f = front_new(v, "t", NULL);
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    pid = need_process(&c, "t");
    need_limit(&c, "1000");
    ctl_config(v, LIMITED("2000"));
    ctl_call(&c, "config.reload", "{}");
    ctl_need(&c, "\"adjusted\":[\"t\"]");
    need_limit(&c, "2000");
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(process_of(&c, "t"), pid);
    assert_int_equal(process_number(&c, "t", "restarts"), 0);

    kill_process(&c, "t");
    need_restarts(&c, "t", 1);
    need_limit(&c, "2000");
    ctl_config(v, LIMITED("3000"));
    ctl_call(&c, "device.reload", "{'device': 't'}");
    ctl_need(&c, "\"result\"");
    need_limit(&c, "3000");
    ctl_call(&c, "throttle.set", "{'name': 'gold', 'iops': 77}");
    ctl_need(&c, "\"iops\":77");
    kill_process(&c, "t");
    need_restarts(&c, "t", 2);
    need_limit(&c, "77");
    blk_verify(f->vq[0], 0, 4096, 2);
    assert_true(front_lives(f));
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

/* One that is kept by the device is answered when its process is lost. */
static void a_call_of_a_lost_process_fails(void **state)
{
    struct vub *v = ctl_start("{'id': 'screen', 'type': 'gpu', " APART
                              "'display': 'headless'}");
    struct ctl c, waits;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&waits, v);
    ctl_call(&waits, "gpu.wait",
             "{'device': 'screen', 'changed': true, 'timeout_ms': 600000}");
    ctl_call(&c, "status", "{'device': 'screen'}");
    ctl_need(&c, "\"running\"");
    kill_process(&c, "screen");
    ctl_need(&waits, "has ended before it has answered");
    ctl_close(&waits);
    ctl_close(&c);
    vub_free(v);
}

static void a_restart_is_an_event(void **state)
{
    struct vub *v = ctl_start(DISK("d", APART, MEMORY));
    struct ctl c, events;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&events, v);
    ctl_listen(&events);
    kill_process(&c, "d");
    ctl_need(&events, "\"event\":\"device.restarted\",\"device\":\"d\"");
    ctl_close(&events);
    ctl_close(&c);
    vub_free(v);
}

/* ---- the end ---- */

static void need_end_with_keeper(bool stopped)
{
    struct vub *v =
        start(DISK("d", APART, FILE_OF("img")) ", " DISK("m", APART, MEMORY));
    pid_t one, other;
    struct ctl c;

    ctl_open(&c, v);
    one = need_process(&c, "d");
    other = need_process(&c, "m");
    if (stopped) {
        assert_int_equal(kill(one, SIGSTOP), 0);
        assert_int_equal(kill(other, SIGSTOP), 0);
    }
    ctl_close(&c);
    vub_kill(v);
    need_end_of(one);
    need_end_of(other);
    vub_free(v);
}

static void its_process_ends_with_its_keeper(void **state)
{
    (void)state;
    need_end_with_keeper(false);
}

static void its_stopped_process_ends_with_its_keeper(void **state)
{
    (void)state;
    need_end_with_keeper(true);
}

static void a_stop_under_load_is_clean(void **state)
{
    struct vub *v = start(DISK("d", APART "'queues': 2, ", FILE_OF("img")));
    struct load l;
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    load_start(&l, v, "d", &ring_modes[0]);
    load_turn(&l, 50);
    pid = process_of(&c, "d");
    ctl_close(&c);
    vub_stop(v);
    assert_false(is_there(pid));
    front_free(l.f);
    vub_free(v);
}

static void devices_come_and_go(void **state)
{
    struct vub *v = start(DISK("e", "", MEMORY));
    struct front *f;
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    ctl_call(&c, "device.add",
             "{'config': {'id': 'n', 'type': 'block', " APART
             "'store': {'type': 'memory', 'size': '1M'}}}");
    ctl_need(&c, "has to be in the config file too");
    ctl_config(v, DISK("n", APART, MEMORY));
    ctl_call(&c, "config.reload", "{}");
    ctl_need(&c, "\"added\":[\"n\"]");
    f = front_new(v, "n", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    pid = process_of(&c, "n");
    kill_process(&c, "n");
    need_restarts(&c, "n", 1);
    blk_verify(f->vq[0], 8, 4096, 2);
    ctl_call(&c, "device.reload", "{'device': 'n'}");
    ctl_need(&c, "\"result\"");
    need_end_of(pid);
    pid = need_process(&c, "n");
    ctl_call(&c, "device.remove", "{'device': 'n'}");
    ctl_need(&c, "\"result\"");
    assert_false(is_there(pid));
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

/* As one that a guest has taken over may: it neither serves nor ends. */
static void a_process_that_does_not_end_is_killed(void **state)
{
    struct vub *v = start(DISK("d", APART "'drain_timeout': 100, ",
                               MEMORY) ", " DISK("e", "", MEMORY));
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    pid = need_process(&c, "d");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    ctl_call(&c, "device.remove", "{'device': 'd'}");
    ctl_need(&c, "\"result\"");
    need_end_of(pid);
    ctl_close(&c);
    vub_free(v);
}

static void it_needs_no_sandbox(void **state)
{
    struct vub *v = vub_new();
    struct front *f;
    struct ctl c;

    (void)state;
    vub_config_whole(
        v,
        "{'runtime_dir': '%s', 'control': 'ctl', "
        "'sandbox': false, 'devices': [" DISK("d", APART, MEMORY) "]}",
        v->dir);
    vub_run(v);
    ctl_open(&c, v);
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    kill_process(&c, "d");
    blk_verify(f->vq[0], 8, 4096, 2);
    need_restarts(&c, "d", 1);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

/* ---- the broker ---- */

#define TWO "'queues': 2, "

/* Who has made this process; 0: it is not there. */
static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    FILE *f;

    snprintf(path, sizeof(path), "/proc/%d/stat", (int)pid);
    f = fopen(path, "re");
    if (!f)
        return 0;
    if (fscanf(f, "%*d (%*[^)]) %*c %d", &parent) != 1)
        parent = 0;
    fclose(f);
    return parent;
}

static void kill_broker(struct ctl *c, const char *device)
{
    pid_t pid = parent_of(need_process(c, device));

    assert_true(pid > 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    need_end_of(pid);
}

/* Its processes end with it, and another one makes others: a disk at work
 * notices a pause, and one that is not isolated nothing. */
static void isolated_devices_survive_the_broker(void **state)
{
    struct vub *v = start(DISK("d", APART TWO, FILE_OF("img")) ", " DISK(
        "m", APART TWO, MEMORY) ", " DISK("e", TWO, MEMORY));
    struct load d, m, e;
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    load_start(&d, v, "d", &ring_modes[1]);
    load_start(&m, v, "m", &ring_modes[5]);
    load_start(&e, v, "e", &ring_modes[0]);
    for (unsigned i = 0; i < 3; i++) {
        load_turn(&d, 16 + i);
        load_turn(&m, 16 + i);
        kill_broker(&c, i & 1 ? "d" : "m");
        load_turn(&e, 16);
        load_turn(&d, 64);
        load_turn(&m, 64);
        need_restarts(&c, "d", i + 1);
        need_restarts(&c, "m", i + 1);
    }
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"last_end\":\"vub-broker, which had made it, has ended\"");
    assert_true(front_lives(d.f));
    assert_true(front_lives(m.f));
    /* It does what else it is there for, too. */
    ctl_call(&c, "device.add",
             "{'config': {'id': 'n', 'type': 'block', "
             "'store': {'type': 'memory', 'size': '1M'}}}");
    ctl_need(&c, "\"result\"");
    front_free(d.f);
    front_free(m.f);
    front_free(e.f);
    ctl_close(&c);
    vub_free(v);
}

/* Who stands behind it is killed too: what follows is said, and the rest goes
 * on. */
static void without_a_broker_it_is_said_what_is_missing(void **state)
{
    struct vub *v =
        ctl_start(DISK("d", APART, MEMORY) ", " DISK("e", "", MEMORY));
    struct front *f = front_new(v, "e", NULL);
    struct ctl c;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    pid = parent_of(parent_of(need_process(&c, "d")));
    assert_true(pid > 1 && pid != v->pid);
    assert_int_equal(parent_of(pid), v->pid);
    assert_int_equal(kill(pid, SIGKILL), 0);
    vub_log_wait(v, "no process can be made: vub-broker has ended");
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"last_end\":\"no process can be made: vub-broker has ended");
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

BEHAVE_MAIN(T(a_process_that_cannot_start_is_started_again),
            T(an_error_of_the_config_is_told_as_always),
            T(errors_of_several_are_told_in_their_order), T(commands_reach_it),
            T(limits_of_the_config_change_while_it_runs),
            T(a_call_of_a_lost_process_fails), T(a_restart_is_an_event),
            T(its_process_ends_with_its_keeper), T(a_stop_under_load_is_clean),
            T(devices_come_and_go), T(it_needs_no_sandbox),
            T(a_process_that_does_not_end_is_killed),
            T(its_stopped_process_ends_with_its_keeper),
            T(isolated_devices_survive_the_broker),
            T(without_a_broker_it_is_said_what_is_missing))
