/* Disks and units that take their time: that requests wait, and that nobody
 * waits for them who drains. */
#include "luns.h"

#define DELAY(keys)                                                            \
    "{'type': 'delay', " keys ", 'next': {'type': 'memory', 'size': '8M'}}"
/* Nobody waits for it. */
#define LONG DELAY("'write': {'us': 60000000}, 'read': {'us': 0}")

static void a_request_takes_its_time(void **state)
{
    struct vub *v =
        vub_start(DISK("d", "",
                       DELAY("'all': {'us': 20000}, 'read': {'us': 500}, "
                             "'exact': true")));
    struct front *f = front_new(v, "d", NULL);
    int64_t start = front_now_ms();

    (void)state;
    blk_flush(f->vq[0]);
    assert_true(front_now_ms() - start >= 20);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

static void a_disk_that_spins_serves(void **state)
{
    struct vub *v =
        vub_start(DISK("d", "'queues': 2, ",
                       DELAY("'all': {'distribution': 'disk'}, 'rpm': 60000, "
                             "'seek_max_us': 2000")));

    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct front *f = front_new(v, "d", &ring_modes[mode]);

        for (unsigned i = 0; i < 8; i++)
            blk_verify(f->vq[i % 2], i * 1999, 4096, i);
        front_free(f);
    }
    vub_free(v);
}

/* What waits for a minute is done when the front-end goes, and there for the
 * next one. */
static void a_drain_does_not_wait(void **state)
{
    struct vub *v = vub_start(DISK("d", "", LONG));
    struct front *f = front_new(v, "d", NULL);
    struct blk_req *r = blk_new(f, 4096);
    char buf[4096], other[512];

    (void)state;
    front_fill(r->data, 4096, 3);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 4096);
    blk_read(f->vq[0], 64, other, sizeof(other)); /* it is there by now */
    front_fill(buf, sizeof(buf), 3);
    front_free(f);
    f = front_new(v, "d", NULL);
    {
        char now[4096];

        blk_read(f->vq[0], 0, now, sizeof(now));
        assert_memory_equal(now, buf, sizeof(buf));
    }
    front_free(f);
    vub_free(v);
}

static void a_unit_is_not_waited_for_either(void **state)
{
    struct vub *v = vub_start(SAN("", LUN(0, 0, LONG)));
    struct scsi_lun disk = scsi_at(0, 0);

    (void)state;
    for (unsigned i = 0; i < 2; i++) {
        struct scsi *s =
            scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);
        struct scsi_req *r;
        char buf[512];

        scsi_attend(s->queue[0], disk);
        r = scsi_new(s, disk, 4096);
        scsi_go(s->queue[0], r, CDB_16(SCSI_WRITE_16, 0, 8), 4096, 0);
        scsi_read(s->queue[0], disk, 64, buf, 512);
        assert_false(r->done);
        scsi_close(s);
    }
    vub_free(v);
}

BEHAVE_MAIN(T(a_request_takes_its_time), T(a_disk_that_spins_serves),
            T(a_drain_does_not_wait), T(a_unit_is_not_waited_for_either))
