/* Devices that come and go beside guests that work. Which changes there are,
 * and what is refused, is tests/control's. */
#include <fcntl.h>
#include <sys/stat.h>

#include "behave.h"
#include "control.h"

#define IMAGE(name) "{'type': 'file', 'path': '" name "'}"

/* Works on q until c is answered, and returns the answer. */
static const char *work_until_answered(struct ctl *c, struct vq *q,
                                       uint64_t *round)
{
    do {
        blk_verify(q, *round % 512 * 8, 4096, *round);
        ++*round;
    } while (!front_wait_fd(c->fd, POLLIN, 0));
    return ctl_answer(c);
}

static struct vub *with_images(const char *devices)
{
    static const char *const names[] = {"d.img", "s.img", "x.img"};
    struct vub *v = vub_new();

    for (unsigned i = 0; i < ARRAY_LEN(names); i++) {
        int fd = open(vub_path(v, "%s", names[i]), O_CREAT | O_RDWR | O_CLOEXEC,
                      0600);

        assert_true(fd >= 0);
        assert_int_equal(ftruncate(fd, 8 << 20), 0);
        close(fd);
    }
    vub_config(v, "%s", devices);
    vub_arg(v, "--set");
    vub_arg(v, "/control=ctl");
    vub_arg(v, "--set");
    vub_arg(v, "/sandbox/paths=%s", v->dir); /* images that come later */
    vub_run(v);
    return v;
}

static void a_guest_does_not_notice_the_changes_of_others(void **state)
{
    struct vub *v = with_images(
        DISK("d", "", MEMORY) "," DISK("s", "'worker': 'w', ", IMAGE("s.img")));
    struct ctl *c = ctl_new(v);
    struct front *f, *shares;
    uint64_t round = 0;

    (void)state;
    f = front_new(v, "d", NULL);
    shares = front_new(v, "s", NULL);
    for (int i = 0; i < 30; i++) {
        struct front *guest;

        ctl_send(c, "device.add",
                 "'config': " DISK("x", "'queues': 2, 'worker': ['w', 'x'], ",
                                   IMAGE("x.img")));
        need(work_until_answered(c, f->vq[0], &round), "'result':{");
        guest = front_new(v, "x", &(struct front_conf){.queues = 2});
        for (unsigned q = 0; q < 2; q++)
            blk_verify(guest->vq[q], 0, 4096, q);
        blk_verify(shares->vq[0], 0, 4096, (uint64_t)i);
        ctl_send(c, i % 2 ? "config.reload" : "device.remove",
                 i % 2 ? "" : "'device': 'x'");
        need(work_until_answered(c, shares->vq[0], &round), "'result':{");
        front_need_hangup(guest);
        front_free(guest);
        blk_verify(f->vq[0], 0, 4096, (uint64_t)i);
    }
    assert_int_equal(vub_log_count(v, "d: front-end connected"), 1);
    assert_int_equal(vub_log_count(v, "s: front-end connected"), 1);
    /* Why they have gone is no end of vub. */
    assert_int_equal(vub_log_count(v, "is gone: its device is closed"), 30);
    assert_int_equal(vub_log_count(v, "stopping"), 0);
    front_free(shares);
    front_free(f);
    ctl_free(c);
    vub_free(v);
}

static void what_is_in_flight_is_drained_in_bounded_time(void **state)
{
    struct vub *v = with_control(DISK(
        "d", "'drain_timeout': 400, ",
        "{'type': 'fault', 'next': " MEMORY ", 'rules':"
        " [{'op': 'read', 'offset': '1M', 'stuck': true}]}") "," DISK("e", "",
                                                                      MEMORY));
    struct ctl *c = ctl_new(v);
    struct front *f = front_new(v, "d", NULL), *e = front_new(v, "e", NULL);
    struct blk_req *stuck = blk_new(f, 512);
    int64_t began;
    uint64_t round = 0;

    (void)state;
    blk_go(f->vq[0], stuck, VIRTIO_BLK_T_IN, 2048, 512);
    blk_verify(f->vq[0], 0, 4096, 1); /* by then it has been taken */
    began = front_now_ms();
    ctl_send(c, "device.remove", "'device': 'd'");
    need(work_until_answered(c, e->vq[0], &round), "'result':{}");
    assert_true(front_now_ms() - began < 4000);
    front_need_hangup(f);
    assert_int_equal(*stuck->status, VIRTIO_BLK_S_IOERR);
    assert_int_equal(access(vub_path(v, "d.sock"), F_OK), -1);
    front_free(f);
    front_free(e);
    ctl_free(c);
    vub_free(v);
}

/* What has been written is there for who comes next, lock and all. */
static void an_image_goes_from_one_device_to_the_next(void **state)
{
    struct vub *v = with_images(DISK("keep", "", MEMORY));
    struct ctl *c = ctl_new(v);
    char buf[4096], got[4096];

    (void)state;
    for (int i = 0; i < 20; i++) {
        struct front *f;

        need(ctl_ask(c, "device.add",
                     "'config': " DISK("d", "", IMAGE("d.img"))),
             "'result':{");
        f = front_new(v, "d", NULL);
        if (i > 0) {
            blk_read(f->vq[0], 8, got, sizeof(got));
            assert_memory_equal(got, buf, sizeof(got));
        }
        memset(buf, 'a' + i, sizeof(buf));
        blk_write(f->vq[0], 8, buf, sizeof(buf));
        need(ctl_ask(c, i % 2 ? "device.remove" : "config.reload",
                     i % 2 ? "'device': 'd'" : ""),
             "'result':{");
        front_need_hangup(f);
        front_free(f);
    }
    ctl_free(c);
    vub_free(v);
}

static void requests_that_do_not_end_are_left_behind(void **state)
{
    struct vub *v;
    struct ctl *c;
    struct front *e;
    uint64_t round = 0;
    pid_t held;

    (void)state;
    setenv("VUB_DUMPABLE", "1", 1);
    v = with_control(
        DISK("d", "'drain_timeout': 100, ", MEMORY) "," DISK("e", "", MEMORY));
    unsetenv("VUB_DUMPABLE");
    held = hold_thread(v, "d");
    if (held < 0) {
        print_message("skipped: threads of the program may not be held\n");
        vub_free(v);
        skip();
    }
    c = ctl_new(v);
    e = front_new(v, "e", NULL);
    ctl_send(c, "device.remove", "'device': 'd'");
    need(work_until_answered(c, e->vq[0], &round),
         "the requests of the device \\'d\\' do not end; it is gone when they "
         "have");
    need(ctl_ask(c, "device.remove", "'device': 'd'"), "the device is closing");
    need(ctl_ask(c, "device.add", "'config': " DISK("d", "", MEMORY)),
         "/devices/d has the id d already");
    /* Others come and go meanwhile. */
    need(ctl_ask(c, "device.add", "'config': " DISK("f", "", MEMORY)),
         "'result':{");
    need(ctl_ask(c, "device.remove", "'device': 'f'"), "'result':{}");
    let_go(held);
    vub_log_wait(v, "d: removed");
    need(ctl_ask(c, "device.add", "'config': " DISK("d", "", MEMORY)),
         "'result':{");
    front_free(e);
    ctl_free(c);
    vub_free(v);
}

static void nothing_is_left_of_those_that_went(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY));
    struct ctl *c = ctl_new(v);
    struct footprint before = {0}, after;
    long rss = 0;

    (void)state;
    for (int i = 0; i < 110; i++) {
        struct front *f;

        if (i == 10) {
            before = footprint(v);
            rss = vub_rss_kib(v);
        }
        need(ctl_ask(c, "device.add",
                     "'config': " DISK("x",
                                       "'worker': ['a', 'b'], "
                                       "'queues': 2, ",
                                       MEMORY)),
             "'result':{");
        f = front_new(v, "x", &(struct front_conf){.queues = 2});
        blk_verify(f->vq[1], 0, 4096, (uint64_t)i);
        need(ctl_ask(c, "device.remove", "'device': 'x'"), "'result':{}");
        front_need_hangup(f);
        front_free(f);
    }
    /* They end a little later, the tenth's too. */
    do {
        after = footprint(v);
    } while (after.threads > before.threads || after.fds > before.fds ||
             after.memory > before.memory);
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    assert_true(vub_rss_kib(v) < rss + 2048);
#endif
    (void)rss;
    ctl_free(c);
    vub_free(v);
}

/* Nobody may ever write it. */
static void a_config_that_is_a_pipe_is_not_waited_for(void **state)
{
    struct vub *v = with_control(DISK("d", "", MEMORY));
    const char *config = vub_path(v, "devices.json");
    struct ctl *c = ctl_new(v);

    (void)state;
    assert_int_equal(unlink(config) | mkfifo(config, 0600), 0);
    need(ctl_ask(c, "config.reload", ""),
         "is no file, and cannot be read a second time");
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "the devices are as they were");
    ctl_free(c);
    vub_free(v);
}

BEHAVE_MAIN(T(a_guest_does_not_notice_the_changes_of_others),
            T(what_is_in_flight_is_drained_in_bounded_time),
            T(an_image_goes_from_one_device_to_the_next),
            T(requests_that_do_not_end_are_left_behind),
            T(nothing_is_left_of_those_that_went),
            T(a_config_that_is_a_pipe_is_not_waited_for))
