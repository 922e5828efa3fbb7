/* Disks that forget, on command: powercut and cow, before guests. */
#include "ctl.h"

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

BEHAVE_MAIN(T(a_power_cut_ends_the_session_and_loses_what_was_not_flushed),
            T(without_a_write_cache_nothing_is_lost),
            T(the_power_goes_while_much_is_under_way),
            T(a_disk_is_reset_between_two_guests),
            T(what_was_written_is_committed), T(a_power_cut_over_copy_on_write))
