/* Devices in processes of their own, which are killed: front-ends notice
 * nothing, and neither do other devices. docs/isolation.md. */
#include <time.h>

#include "desk.h"
#include "front/gpu.h"
#include "isolated.h"
#include "luns.h"

/* Of one vub: each is waited for longer. */
#define KILLS 5

/* ---- what is seen of it ---- */

static void a_device_in_a_process_of_its_own_is_served(void **state)
{
    struct drive d =
        drive_open(DISK("d", APART, MEMORY) ", " DISK("e", "", MEMORY), NULL);
    pid_t pid;

    (void)state;
    blk_verify(d.f->vq[0], 0, 4096, 1);
    pid = process_of(&d.c, "d");
    assert_true(pid > 0 && pid != d.v->pid);
    assert_int_equal(process_of(&d.c, "e"), 0);
    ctl_call(&d.c, "status", "{'device': 'd'}");
    ctl_need(&d.c, "\"process\":{\"state\":\"running\"");
    ctl_call(&d.c, "stats", "{'device': 'd'}");
    ctl_need(&d.c, "\"writes\":1");
    ctl_call(&d.c, "metrics", "{}");
    ctl_need(&d.c, "vub_device_answers{device=\\\"d\\\",type=\\\"block\\\"} 1");
    drive_close(&d);
    assert_int_equal(kill(pid, 0), -1);
}

/* Whoever has asked when it ends is answered then. */
static void a_lost_process_is_not_said_to_run(void **state)
{
    struct vub *v = ctl_start(DISK("d", APART, MEMORY));
    struct ctl c, other;
    const char *line;
    pid_t pid;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&other, v);
    pid = need_process(&c, "d");
    assert_int_equal(kill(pid, SIGSTOP), 0);
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_call(&other, "log.level",
             "{'level': 'debug'}"); /* it has been read by now */
    ctl_need(&other, "\"result\"");
    assert_int_equal(kill(pid, SIGKILL), 0);
    line = ctl_answer(&c);
    assert_non_null(strstr(line, "\"process\":{\"state\":\""));
    assert_null(strstr(line, "\"state\":\"running\",\"restarts\":"));
    ctl_close(&other);
    ctl_close(&c);
    vub_free(v);
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
        struct vub *v = start(devices);

        front_note("%s", mode_name(&ring_modes[mode]));
        kill_under_load(v, &ring_modes[mode], KILLS, 0x1234567 + mode);
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

/* ---- other types ---- */

static void a_scsi_host_survives_its_process(void **state)
{
    struct host h = host_on(
        start(SAN(APART, LUN(0, 0, FILE_OF("img")) ", " LUN(0, 1, SMALL))),
        NULL, 4);
    struct scsi_lun disks[] = {scsi_at(0, 0), scsi_at(0, 1)};
    uint8_t want[4096], got[4096];

    (void)state;
    for (unsigned d = 0; d < 2; d++)
        scsi_attend(h.s->queue[0], disks[d]);
    for (unsigned i = 0; i < KILLS; i++) {
        struct scsi_req *r[8];

        front_fill(want, sizeof(want), i);
        for (unsigned d = 0; d < 2; d++)
            scsi_write(h.s->queue[0], disks[d], 64 + i * 8, want, sizeof(want));
        for (unsigned k = 0; k < 8; k++) {
            r[k] = scsi_new(h.s, disks[k % 2], 512);
            memset(r[k]->data, (int)k, 512);
            scsi_go(h.s->queue[0], r[k], CDB_16(SCSI_WRITE_16, k, 1), 512, 0);
        }
        kill_process(&h.c, "san");
        for (unsigned k = 0; k < 8; k++)
            scsi_need_good(*scsi_wait(h.s->queue[0], r[k]));
        for (unsigned k = 0; k < 8; k++)
            scsi_free(r[k]);
        for (unsigned d = 0; d < 2; d++) {
            scsi_read(h.s->queue[0], disks[d], 64 + i * 8, got, sizeof(got));
            assert_memory_equal(got, want, sizeof(want));
        }
        need_restarts(&h.c, "san", i + 1);
    }
    assert_true(front_lives(h.s->f));
    host_close(&h);
}

/* The guest sees it, and then it is answered. */
static void press(struct ctl *c, struct input *in, unsigned code, int value)
{
    char params[128];

    snprintf(params, sizeof(params),
             "{'device': 'k', 'events': [{'code': '%s', 'value': %d}]}",
             code == KEY_A ? "KEY_A" : "KEY_B", value);
    ctl_call(c, "input.send", params);
    input_need_frame(in, EVKEY, code, value);
    ctl_need(c, "\"result\"");
}

/* A key that is held when the process is killed can be let go, and is not told
 * of again. */
static void a_keyboard_survives_its_process(void **state)
{
    struct desk d = desk_open(KEY_OF("k", APART, "keyboard"), "k", NULL, 64);

    (void)state;
    for (unsigned i = 0; i < KILLS; i++) {
        press(&d.c, d.in, KEY_A, 1);
        kill_process(&d.c, "k");
        need_restarts(&d.c, "k", i + 1);
        press(&d.c, d.in, KEY_B, 1);
        press(&d.c, d.in, KEY_A, 0);
        press(&d.c, d.in, KEY_B, 0);
    }
    assert_true(front_lives(d.in->f));
    desk_close(&d);
}

static void hash_of(struct ctl *c, char hash[40])
{
    const char *line, *at;

    ctl_call(c, "gpu.hash", "{'device': 'screen', 'cursor': false}");
    line = ctl_answer(c);
    at = strstr(line, "\"hash\":\"");
    if (!at || sscanf(at + 8, "%32[0-9a-f]", hash) != 1)
        front_fail("no hash in %s", line);
}

static void a_screen_survives_its_process(void **state)
{
    struct vub *v = ctl_start("{'id': 'screen', 'type': 'gpu', " APART
                              "'display': 'headless'}");
    struct gpu *g = gpu_open(v, "screen", NULL);
    struct gpu_fb *fb = gpu_fb_new(g, 100, 80, 4096);
    char before[40], after[40];
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    gpu_fb_fill(fb, 1);
    gpu_show(g, 0, 1, VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM, fb);
    for (unsigned i = 0; i < KILLS; i++) {
        gpu_fb_fill(fb, i + 2);
        gpu_draw(g, 1, fb, 0, 0, 100, 80);
        hash_of(&c, before);
        kill_process(&c, "screen");
        need_restarts(&c, "screen", i + 1);
        hash_of(&c, after);
        assert_string_equal(before, after);
        gpu_need(gpu_flush(g, 1, 0, 0, 100, 80), OK_NODATA);
    }
    gpu_need(gpu_unref(g, 1), OK_NODATA);
    assert_true(front_lives(g->f));
    ctl_close(&c);
    gpu_close(g);
    vub_free(v);
}

/* ---- beside it ---- */

static int64_t now_us(void)
{
    struct timespec t;

    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * (int64_t)1000000 + t.tv_nsec / 1000;
}

/* The longest of so many requests. */
static int64_t slowest_us(struct front *f, unsigned n)
{
    int64_t worst = 0, before;
    uint8_t block[512];

    for (unsigned i = 0; i < n; i++) {
        before = now_us();
        blk_read(f->vq[0], i % 64, block, sizeof(block));
        worst = MAX(worst, now_us() - before);
    }
    return worst;
}

static void other_devices_do_not_notice(void **state)
{
    struct vub *v = start(DISK("d", APART, FILE_OF("img")) ", " DISK(
        "e", "", MEMORY) ", " DISK("o", APART, MEMORY));
    struct front *d = front_new(v, "d", NULL), *e = front_new(v, "e", NULL);
    struct front *o = front_new(v, "o", NULL);
    pid_t other;
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    other = process_of(&c, "o");
    for (unsigned i = 0; i < KILLS; i++) {
        kill_process(&c, "d");
        /* Far less than a start, or a wait for the next one, takes. */
        assert_true(slowest_us(e, 200) < 1000000);
        assert_true(slowest_us(o, 200) < 1000000);
        blk_verify(d->vq[0], i * 8, 4096, i);
    }
    assert_int_equal(process_of(&c, "o"), other);
    assert_int_equal(process_number(&c, "o", "restarts"), 0);
    front_free(d);
    front_free(e);
    front_free(o);
    ctl_close(&c);
    vub_free(v);
}

BEHAVE_MAIN(T(a_device_in_a_process_of_its_own_is_served),
            T(a_lost_process_is_not_said_to_run),
            T(a_disk_of_a_file_survives_its_process),
            T(a_disk_in_memory_survives_its_process),
            T(a_scsi_host_survives_its_process),
            T(a_keyboard_survives_its_process),
            T(a_screen_survives_its_process), T(other_devices_do_not_notice))
