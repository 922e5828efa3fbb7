/* Disks and units that forget, on command: powercut and cow, before guests. */
#include "drive.h"
#include "luns.h"

#define POWERCUT "{'type': 'powercut', 'seed': 7, 'next': " MEMORY "}"
#define COW "{'type': 'cow', 'next': " MEMORY "}"

static void
a_power_cut_ends_the_session_and_loses_what_was_not_flushed(void **state)
{
    struct drive d = drive_open(DISK("d", "", POWERCUT), NULL);
    struct ctl events;

    (void)state;
    ctl_open(&events, d.v);
    ctl_listen(&events);
    put(d.f, 0, 1);
    blk_flush(d.f->vq[0]);
    put(d.f, 0, 2);
    put(d.f, 8, 2);
    need_at(d.f, 0, 2);
    ctl_call(&d.c, "powercut.cut", "{'device': 'd', 'outcome': 'lost'}");
    ctl_need(&d.c, "\"writes\":2,\"kept\":0,\"lost\":2,\"torn\":0");
    front_need_hangup(d.f);
    while (!strstr(ctl_answer(&events), "\"powercut.cut\""))
        ;
    drive_again(&d);
    need_at(d.f, 0, 1);
    need_at(d.f, 8, 0);
    put(d.f, 8, 3);
    ctl_close(&events);
    drive_close(&d);
}

static void without_a_write_cache_nothing_is_lost(void **state)
{
    struct drive d = drive_open(
        DISK("d", "'write_cache': false, 'queues': 2, ", POWERCUT), NULL);

    (void)state;
    put(d.f, 0, 1);
    put(d.f, 8, 2);
    ctl_call(&d.c, "powercut.cut", "{'device': 'd', 'outcome': 'lost'}");
    ctl_need(&d.c, "\"writes\":0");
    front_need_hangup(d.f);
    drive_again(&d);
    need_at(d.f, 0, 1);
    need_at(d.f, 8, 2);
    drive_close(&d);
}

/* Many requests are under way; whoever has an answer to a flush has it. */
static void the_power_goes_while_much_is_under_way(void **state)
{
    enum { MANY = 60 };
    static const struct front_conf two = {.queues = 2};
    struct vub *v = ctl_start(DISK("d", "'queues': 2, ", POWERCUT));
    struct blk_req *r[MANY];
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned turn = 1; turn < 20; turn++) {
        struct front *f = front_new(v, "d", &two);

        put(f, 0, (int)turn);
        blk_flush(f->vq[0]);
        for (unsigned i = 0; i < MANY; i++) {
            r[i] = blk_new(f, LEN);
            blk_go(f->vq[i % 2], r[i],
                   i % 20 ? VIRTIO_BLK_T_OUT : VIRTIO_BLK_T_FLUSH,
                   8 + i % 7 * 8, i % 20 ? LEN : 0);
        }
        ctl_call(&c, "powercut.cut", "{'device': 'd'}");
        ctl_need(&c, "\"result\"");
        front_need_hangup(f);
        front_free(f);
        f = front_new(v, "d", NULL);
        need_at(f, 0, (int)turn);
        front_free(f);
    }
    ctl_close(&c);
    vub_free(v);
}

static void a_disk_is_reset_between_two_guests(void **state)
{
    struct drive d = drive_open(DISK("d", "", COW), NULL);

    (void)state;
    put(d.f, 0, 1);
    need_at(d.f, 0, 1);
    ctl_call(&d.c, "status", "{'device': 'd'}");
    ctl_need(&d.c, "\"overlay_bytes\":4096");
    ctl_call(&d.c, "cow.reset", "{'device': 'd'}");
    ctl_need(&d.c, "a guest uses the disk");
    need_at(d.f, 0, 1);
    drive_again(&d);
    need_at(d.f, 0, 1);
    ctl_call(&d.c, "cow.reset", "{'device': 'd', 'drop': true}");
    ctl_need(&d.c, "\"overlay_bytes\":4096");
    front_need_hangup(d.f);
    drive_again(&d);
    need_at(d.f, 0, 0);
    drive_close(&d);
}

static void what_was_written_is_committed(void **state)
{
    struct drive d = drive_open(DISK("d", "", COW), NULL);

    (void)state;
    put(d.f, 0, 1);
    ctl_call(&d.c, "cow.commit", "{'device': 'd'}");
    ctl_need(&d.c, "a guest uses the disk");
    vq_stop(d.f->vq[0]);
    ctl_call(&d.c, "cow.commit", "{'device': 'd'}");
    ctl_need(&d.c, "\"committed_bytes\":4096");
    front_free(d.f);
    ctl_call(&d.c, "cow.discard", "{'device': 'd'}");
    ctl_need(&d.c, "\"overlay_bytes\":0");
    d.f = front_new(d.v, "d", NULL);
    need_at(d.f, 0, 1);
    drive_close(&d);
}

static void a_power_cut_over_copy_on_write(void **state)
{
    struct drive d = drive_open(
        DISK("d", "", "{'type': 'powercut', 'next': " COW "}"), NULL);

    (void)state;
    put(d.f, 0, 1);
    blk_flush(d.f->vq[0]);
    put(d.f, 0, 2);
    ctl_call(&d.c, "powercut.cut", "{'device': 'd', 'outcome': 'kept'}");
    ctl_need(&d.c, "\"kept\":1");
    front_need_hangup(d.f);
    drive_again(&d);
    need_at(d.f, 0, 2);
    drive_close(&d);
}

/* What the guest has not flushed is of the run before, too. */
static void a_reset_below_a_power_cut_forgets_all(void **state)
{
    struct drive d = drive_open(
        DISK("d", "", "{'type': 'powercut', 'next': " COW "}"), NULL);

    (void)state;
    for (unsigned run = 0; run < 3; run++) {
        need_at(d.f, 0, 0);
        need_at(d.f, 8, 0);
        put(d.f, 0, 1);
        blk_flush(d.f->vq[0]);
        put(d.f, 8, 2);
        if (run == 1) {
            vq_stop(d.f->vq[0]);
            ctl_call(&d.c, "cow.reset", "{'device': 'd'}");
        } else {
            ctl_call(&d.c, "cow.reset", "{'device': 'd', 'drop': true}");
        }
        ctl_need(&d.c, "\"overlay_bytes\":4096");
        if (run != 1)
            front_need_hangup(d.f);
        drive_again(&d);
    }
    need_at(d.f, 0, 0);
    need_at(d.f, 8, 0);
    drive_close(&d);
}

/* An image that vub has opened to read only. */
static void what_was_written_is_committed_to_a_file(void **state)
{
    struct vub *v = vub_new();
    char buf[LEN], want[LEN];
    struct drive d;
    FILE *img;

    (void)state;
    img = fopen(vub_path(v, "img"), "w+e");
    assert_non_null(img);
    assert_int_equal(ftruncate(fileno(img), 1 << 20), 0);
    ctl_config(v, DISK("d", "",
                       "{'type': 'cow', 'next': {'type': 'powercut', "
                       "'next': {'type': 'file', 'path': 'img'}}}"));
    vub_run(v);
    d = drive_on(v, NULL);
    put(d.f, 8, 1);
    vq_stop(d.f->vq[0]);
    ctl_call(&d.c, "cow.commit", "{'device': 'd'}");
    ctl_need(&d.c, "\"committed_bytes\":4096");
    memset(want, 1, LEN);
    assert_int_equal(pread(fileno(img), buf, LEN, 4096), LEN);
    assert_memory_equal(buf, want, LEN);
    fclose(img);
    drive_close(&d);
}

/* What was flushed, and at an orderly end what was not. */
static void an_overlay_on_a_file_is_there_at_the_next_start(void **state)
{
    struct vub *v = vub_new();
    struct front *f;

    (void)state;
    ctl_config(v,
               DISK("d", "",
                    "{'type': 'cow', 'overlay': 'over', 'next': " MEMORY "}"));
    for (unsigned i = 0; i < 3; i++) {
        vub_run(v);
        f = front_new(v, "d", NULL);
        for (unsigned k = 0; k < i; k++)
            need_at(f, k * 8, 1 + (int)k);
        put(f, i * 8, 1 + (int)i);
        if (i == 1)
            blk_flush(f->vq[0]);
        if (i == 1)
            vub_kill(v);
        else
            vub_stop(v);
        front_free(f);
    }
    vub_run(v);
    f = front_new(v, "d", NULL);
    for (unsigned k = 0; k < 3; k++)
        need_at(f, k * 8, 1 + (int)k);
    front_free(f);
    vub_free(v);
}

/* ---- units ---- */

static void put_unit(struct scsi *s, unsigned lun, uint64_t lba, int byte)
{
    char buf[LEN];

    memset(buf, byte, LEN);
    scsi_write(s->queue[0], scsi_at(0, lun), lba, buf, LEN);
}

static void need_unit_at(struct scsi *s, unsigned lun, uint64_t lba, int byte)
{
    char buf[LEN], want[LEN];

    memset(want, byte, LEN);
    scsi_read(s->queue[0], scsi_at(0, lun), lba, buf, LEN);
    assert_memory_equal(buf, want, LEN);
}

static void attend(struct scsi *s)
{
    scsi_attend(s->queue[0], scsi_at(0, 0));
    scsi_attend(s->queue[0], scsi_at(0, 1));
}

/* The other unit of the host has power. */
static void a_unit_loses_its_power(void **state)
{
    struct host h = host_open(
        SAN("",
            LUN(0, 0,
                "{'type': 'powercut', 'name': 'a', 'next': " SMALL
                "}") "," LUN(0, 1, "{'type': 'powercut', 'next': " SMALL "}")),
        NULL, 4);

    (void)state;
    attend(h.s);
    for (unsigned lun = 0; lun < 2; lun++) {
        put_unit(h.s, lun, 0, 1);
        scsi_need_good(
            scsi_do(h.s->queue[0], scsi_at(0, lun), CDB(SCSI_SYNC_CACHE_10)));
        put_unit(h.s, lun, 0, 2);
        put_unit(h.s, lun, 8, 2);
        need_unit_at(h.s, lun, 0, 2);
    }
    ctl_call(&h.c, "powercut.cut", "{'device': 'san', 'outcome': 'lost'}");
    ctl_need(&h.c, "has 2 stores of the type powercut");
    ctl_call(&h.c, "powercut.cut",
             "{'device': 'san', 'filter': 'a', 'outcome': 'lost'}");
    ctl_need(&h.c, "\"writes\":2,\"kept\":0,\"lost\":2,\"torn\":0");
    front_need_hangup(h.s->f);
    host_again(&h);
    attend(h.s);
    need_unit_at(h.s, 0, 0, 1);
    need_unit_at(h.s, 0, 8, 0);
    need_unit_at(h.s, 1, 0, 2);
    need_unit_at(h.s, 1, 8, 2);
    host_close(&h);
}

static void a_unit_is_reset_between_two_guests(void **state)
{
    struct host h = host_open(
        SAN("", LUN(0, 0,
                    "{'type': 'cow', 'name': 'a', 'next': " SMALL
                    "}") "," LUN(0, 1,
                                 "{'type': 'cow', 'name': 'b', 'next': " SMALL
                                 "}")),
        NULL, 4);

    (void)state;
    attend(h.s);
    for (unsigned lun = 0; lun < 2; lun++)
        put_unit(h.s, lun, 0, 1);
    ctl_call(&h.c, "cow.reset", "{'device': 'san', 'filter': 'a'}");
    ctl_need(&h.c, "a guest uses the disk");
    ctl_call(&h.c, "cow.reset",
             "{'device': 'san', 'filter': 'a', 'drop': true}");
    ctl_need(&h.c, "\"overlay_bytes\":4096");
    front_need_hangup(h.s->f);
    ctl_call(&h.c, "cow.commit", "{'device': 'san', 'filter': 'b'}");
    ctl_need(&h.c, "\"committed_bytes\":4096");
    host_again(&h);
    attend(h.s);
    need_unit_at(h.s, 0, 0, 0);
    need_unit_at(h.s, 1, 0, 1);
    host_close(&h);
}

BEHAVE_MAIN(T(a_power_cut_ends_the_session_and_loses_what_was_not_flushed),
            T(without_a_write_cache_nothing_is_lost),
            T(the_power_goes_while_much_is_under_way),
            T(a_disk_is_reset_between_two_guests),
            T(what_was_written_is_committed), T(a_power_cut_over_copy_on_write),
            T(a_reset_below_a_power_cut_forgets_all),
            T(what_was_written_is_committed_to_a_file),
            T(an_overlay_on_a_file_is_there_at_the_next_start),
            T(a_unit_loses_its_power), T(a_unit_is_reset_between_two_guests))
