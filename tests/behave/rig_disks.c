/* Disks and units that forget, on command: powercut and cow, before guests. */
#include "ctl.h"
#include "luns.h"

#define POWERCUT "{'type': 'powercut', 'seed': 7, 'next': " MEMORY "}"
#define COW "{'type': 'cow', 'next': " MEMORY "}"
#define LEN 4096u

static void put(struct front *f, uint64_t sector, int byte)
{
    char buf[LEN];

    memset(buf, byte, LEN);
    blk_write(f->vq[0], sector, buf, LEN);
}

static void need_at(struct front *f, uint64_t sector, int byte)
{
    char buf[LEN], want[LEN];

    memset(want, byte, LEN);
    blk_read(f->vq[0], sector, buf, LEN);
    assert_memory_equal(buf, want, LEN);
}

static void
a_power_cut_ends_the_session_and_loses_what_was_not_flushed(void **state)
{
    struct vub *v = ctl_start(DISK("d", "", POWERCUT));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c, events;

    (void)state;
    ctl_open(&c, v);
    ctl_open(&events, v);
    ctl_call(&events, "events", "{}");
    ctl_need(&events, "\"result\"");
    put(f, 0, 1);
    blk_flush(f->vq[0]);
    put(f, 0, 2);
    put(f, 8, 2);
    need_at(f, 0, 2);
    ctl_call(&c, "powercut.cut", "{'device': 'd', 'outcome': 'lost'}");
    ctl_need(&c, "\"writes\":2,\"kept\":0,\"lost\":2,\"torn\":0");
    front_need_hangup(f);
    front_free(f);
    while (!strstr(ctl_answer(&events), "\"powercut.cut\""))
        ;
    f = front_new(v, "d", NULL);
    need_at(f, 0, 1);
    need_at(f, 8, 0);
    put(f, 8, 3);
    front_free(f);
    ctl_close(&events);
    ctl_close(&c);
    vub_free(v);
}

static void without_a_write_cache_nothing_is_lost(void **state)
{
    struct vub *v =
        ctl_start(DISK("d", "'write_cache': false, 'queues': 2, ", POWERCUT));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    put(f, 0, 1);
    put(f, 8, 2);
    ctl_call(&c, "powercut.cut", "{'device': 'd', 'outcome': 'lost'}");
    ctl_need(&c, "\"writes\":0");
    front_need_hangup(f);
    front_free(f);
    f = front_new(v, "d", NULL);
    need_at(f, 0, 1);
    need_at(f, 8, 2);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
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
    struct vub *v = ctl_start(DISK("d", "", COW));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    put(f, 0, 1);
    need_at(f, 0, 1);
    ctl_call(&c, "status", "{'device': 'd'}");
    ctl_need(&c, "\"overlay_bytes\":4096");
    ctl_call(&c, "cow.reset", "{'device': 'd'}");
    ctl_need(&c, "a guest uses the disk");
    need_at(f, 0, 1);
    front_free(f);
    f = front_new(v, "d", NULL);
    need_at(f, 0, 1);
    ctl_call(&c, "cow.reset", "{'device': 'd', 'drop': true}");
    ctl_need(&c, "\"overlay_bytes\":4096");
    front_need_hangup(f);
    front_free(f);
    f = front_new(v, "d", NULL);
    need_at(f, 0, 0);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

static void what_was_written_is_committed(void **state)
{
    struct vub *v = ctl_start(DISK("d", "", COW));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    put(f, 0, 1);
    ctl_call(&c, "cow.commit", "{'device': 'd'}");
    ctl_need(&c, "a guest uses the disk");
    vq_stop(f->vq[0]);
    ctl_call(&c, "cow.commit", "{'device': 'd'}");
    ctl_need(&c, "\"committed_bytes\":4096");
    front_free(f);
    ctl_call(&c, "cow.discard", "{'device': 'd'}");
    ctl_need(&c, "\"overlay_bytes\":0");
    f = front_new(v, "d", NULL);
    need_at(f, 0, 1);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

static void a_power_cut_over_copy_on_write(void **state)
{
    struct vub *v =
        ctl_start(DISK("d", "", "{'type': 'powercut', 'next': " COW "}"));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    put(f, 0, 1);
    blk_flush(f->vq[0]);
    put(f, 0, 2);
    ctl_call(&c, "powercut.cut", "{'device': 'd', 'outcome': 'kept'}");
    ctl_need(&c, "\"kept\":1");
    front_need_hangup(f);
    front_free(f);
    f = front_new(v, "d", NULL);
    need_at(f, 0, 2);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

/* What the guest has not flushed is of the run before, too. */
static void a_reset_below_a_power_cut_forgets_all(void **state)
{
    struct vub *v =
        ctl_start(DISK("d", "", "{'type': 'powercut', 'next': " COW "}"));
    struct front *f = front_new(v, "d", NULL);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned run = 0; run < 3; run++) {
        need_at(f, 0, 0);
        need_at(f, 8, 0);
        put(f, 0, 1);
        blk_flush(f->vq[0]);
        put(f, 8, 2);
        if (run == 1) {
            vq_stop(f->vq[0]);
            ctl_call(&c, "cow.reset", "{'device': 'd'}");
        } else {
            ctl_call(&c, "cow.reset", "{'device': 'd', 'drop': true}");
        }
        ctl_need(&c, "\"overlay_bytes\":4096");
        if (run != 1)
            front_need_hangup(f);
        front_free(f);
        f = front_new(v, "d", NULL);
    }
    need_at(f, 0, 0);
    need_at(f, 8, 0);
    front_free(f);
    ctl_close(&c);
    vub_free(v);
}

/* An image that vub has opened to read only. */
static void what_was_written_is_committed_to_a_file(void **state)
{
    struct vub *v = vub_new();
    char buf[LEN], want[LEN];
    struct front *f;
    struct ctl c;
    FILE *img;

    (void)state;
    img = fopen(vub_path(v, "img"), "w+e");
    assert_non_null(img);
    assert_int_equal(ftruncate(fileno(img), 1 << 20), 0);
    ctl_config(v, DISK("d", "",
                       "{'type': 'cow', 'next': {'type': 'powercut', "
                       "'next': {'type': 'file', 'path': 'img'}}}"));
    vub_run(v);
    ctl_open(&c, v);
    f = front_new(v, "d", NULL);
    put(f, 8, 1);
    vq_stop(f->vq[0]);
    ctl_call(&c, "cow.commit", "{'device': 'd'}");
    ctl_need(&c, "\"committed_bytes\":4096");
    front_free(f);
    memset(want, 1, LEN);
    assert_int_equal(pread(fileno(img), buf, LEN, 4096), LEN);
    assert_memory_equal(buf, want, LEN);
    fclose(img);
    ctl_close(&c);
    vub_free(v);
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

static struct scsi *attended(struct vub *v)
{
    struct scsi *s = scsi_open(v, "san", &(struct front_conf){.queues = 2}, 4);

    scsi_attend(s->queue[0], scsi_at(0, 0));
    scsi_attend(s->queue[0], scsi_at(0, 1));
    return s;
}

/* The other unit of the host has power. */
static void a_unit_loses_its_power(void **state)
{
    struct vub *v = ctl_start(SAN(
        "", LUN(0, 0,
                "{'type': 'powercut', 'name': 'a', 'next': " SMALL
                "}") "," LUN(0, 1, "{'type': 'powercut', 'next': " SMALL "}")));
    struct scsi *s = attended(v);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned lun = 0; lun < 2; lun++) {
        put_unit(s, lun, 0, 1);
        scsi_need_good(
            scsi_do(s->queue[0], scsi_at(0, lun), CDB(SCSI_SYNC_CACHE_10)));
        put_unit(s, lun, 0, 2);
        put_unit(s, lun, 8, 2);
        need_unit_at(s, lun, 0, 2);
    }
    ctl_call(&c, "powercut.cut", "{'device': 'san', 'outcome': 'lost'}");
    ctl_need(&c, "has 2 stores of the type powercut");
    ctl_call(&c, "powercut.cut",
             "{'device': 'san', 'filter': 'a', 'outcome': 'lost'}");
    ctl_need(&c, "\"writes\":2,\"kept\":0,\"lost\":2,\"torn\":0");
    front_need_hangup(s->f);
    scsi_close(s);
    s = attended(v);
    need_unit_at(s, 0, 0, 1);
    need_unit_at(s, 0, 8, 0);
    need_unit_at(s, 1, 0, 2);
    need_unit_at(s, 1, 8, 2);
    scsi_close(s);
    ctl_close(&c);
    vub_free(v);
}

static void a_unit_is_reset_between_two_guests(void **state)
{
    struct vub *v = ctl_start(SAN(
        "",
        LUN(0, 0, "{'type': 'cow', 'name': 'a', 'next': " SMALL "}") "," LUN(
            0, 1, "{'type': 'cow', 'name': 'b', 'next': " SMALL "}")));
    struct scsi *s = attended(v);
    struct ctl c;

    (void)state;
    ctl_open(&c, v);
    for (unsigned lun = 0; lun < 2; lun++)
        put_unit(s, lun, 0, 1);
    ctl_call(&c, "cow.reset", "{'device': 'san', 'filter': 'a'}");
    ctl_need(&c, "a guest uses the disk");
    ctl_call(&c, "cow.reset", "{'device': 'san', 'filter': 'a', 'drop': true}");
    ctl_need(&c, "\"overlay_bytes\":4096");
    front_need_hangup(s->f);
    ctl_call(&c, "cow.commit", "{'device': 'san', 'filter': 'b'}");
    ctl_need(&c, "\"committed_bytes\":4096");
    scsi_close(s);
    s = attended(v);
    need_unit_at(s, 0, 0, 0);
    need_unit_at(s, 1, 0, 1);
    scsi_close(s);
    ctl_close(&c);
    vub_free(v);
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
