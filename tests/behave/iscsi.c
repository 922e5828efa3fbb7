/* A disk that is a unit of an iSCSI target: store `iscsi`, with the scripted
 * target, tests/iscsi/target.py. */
#include "target.h"

#include <time.h>

static struct vub *start(const char *more, const char *keys)
{
    return vub_start("{'id': 'd', 'type': 'block', %s 'store': {'type': "
                     "'iscsi', 'url': 'iscsi://127.0.0.1:%d/"
                     "iqn.2026-01.example:disk/0'%s}}",
                     more, target.port, keys);
}

/* Its socket listens at once, and a driver that asks finds out. */
static void a_disk_has_no_size_until_its_target_says_one(void **state)
{
    struct front_conf conf = {.backend_channel = true};
    struct vub *v;
    struct front *f;
    struct blk_req *r;

    (void)state;
    target_start("8M");
    say("deaf");
    v = start("", "");
    f = front_new(v, "d", &conf);
    assert_int_equal(blk_capacity(f), 0);
    r = blk_new(f, 4096);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 8, 4096);
    front_lives(f); /* a round trip: it waits */
    assert_false(r->done);
    say("hearing");
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), 16384);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_OK);
    blk_verify(f->vq[0], 16384 - 64, 64 * 512, 1);
    blk_flush(f->vq[0]);
    assert_int_equal(blk_do(f->vq[0], VIRTIO_BLK_T_IN, 16384, NULL, 0),
                     VIRTIO_BLK_S_OK);
    front_free(f);
    vub_free(v);
}

static void a_disk_that_grows_tells_its_guest(void **state)
{
    struct front_conf conf = {.backend_channel = true};
    struct vub *v;
    struct front *f;

    (void)state;
    target_start("8M");
    v = start("", "");
    vub_log_wait(v, "the disk has 8388608 bytes");
    f = front_new(v, "d", &conf);
    assert_int_equal(blk_capacity(f), 16384);
    blk_verify(f->vq[0], 0, 4096, 1);
    say("resize 0 16M");
    blk_verify(f->vq[0], 0, 4096, 2); /* which meets the unit attention */
    while (blk_capacity(f) != 32768)
        front_need_config_change(f); /* the first size was news, too */
    blk_verify(f->vq[0], 32768 - 8, 4096, 3);
    front_free(f);
    vub_free(v);
}

static void lost_sessions_cost_a_guest_nothing(void **state)
{
    static const char *const hurts[] = {"drop", "fault write_lost",
                                        "fault close_mid_pdu",
                                        "fault data_long", "fault reject"};
    struct vub *v;
    struct front *f;

    (void)state;
    target_start("8M");
    v = start("", "");
    vub_log_wait(v, "the disk has");
    f = front_new(v, "d", NULL);
    for (unsigned i = 0; i < 3 * ARRAY_LEN(hurts); i++) {
        say(hurts[i % ARRAY_LEN(hurts)]);
        blk_verify(f->vq[0], 16, 65536, i);
        blk_flush(f->vq[0]);
    }
    front_free(f);
    vub_free(v);
}

/* A front-end is not to wait for a target. */
static void a_drain_ends_what_no_target_answers(void **state)
{
    struct vub *v;
    struct front *f;
    struct blk_req *r;
    struct timespec from, to;

    (void)state;
    target_start("8M");
    v = start("'drain_timeout': 1000,",
              ", 'io_timeout': 0, 'on_timeout': 'stall'");
    vub_log_wait(v, "the disk has");
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    say("fault silent*");
    say("fault tmf_silent*");
    r = blk_new(f, 4096);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 8, 4096);
    front_lives(f);
    clock_gettime(CLOCK_MONOTONIC, &from);
    vq_stop(f->vq[0]);
    clock_gettime(CLOCK_MONOTONIC, &to);
    assert_true(to.tv_sec - from.tv_sec <= 5);
    say("faultless");
    vq_start(f->vq[0]);
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[0], 0, 4096, 2);
    front_free(f);
    vub_free(v);
}

static void zeros_and_discards_reach_the_target(void **state)
{
    const struct blk_range all = {0, 256, 0};
    uint8_t buf[4096];
    struct vub *v;
    struct front *f;

    (void)state;
    target_start("8M");
    v = start("", "");
    vub_log_wait(v, "the disk has");
    f = front_new(v, "d", NULL);
    for (unsigned i = 0; i < 2; i++) {
        blk_verify(f->vq[0], 0, 4096, i);
        assert_int_equal(
            blk_ranges(f->vq[0],
                       i ? VIRTIO_BLK_T_DISCARD : VIRTIO_BLK_T_WRITE_ZEROES,
                       &all, 1),
            VIRTIO_BLK_S_OK);
        blk_read(f->vq[0], 0, buf, sizeof(buf));
        for (unsigned k = 0; k < sizeof(buf); k++)
            assert_int_equal(buf[k], 0);
    }
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(TARGET_T(a_disk_has_no_size_until_its_target_says_one),
            TARGET_T(a_disk_that_grows_tells_its_guest),
            TARGET_T(lost_sessions_cost_a_guest_nothing),
            TARGET_T(a_drain_ends_what_no_target_answers),
            TARGET_T(zeros_and_discards_reach_the_target))
