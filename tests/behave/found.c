/* What readers and attackers found, kept found: each of these ended the
 * process, or made it write where it must not, before it was mended. */
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "behave.h"

#define TWO_DISKS DISK("d", "", MEMORY) "," DISK("e", "", MEMORY)

/* Another device of the same program still answers. */
static void others_live(struct vub *v)
{
    struct front *e = front_new(v, "e", NULL);

    blk_verify(e->vq[0], 0, 4096, 7);
    front_free(e);
}

/* The ring's own table as an indirect one is a loop without an end. */
static void an_indirect_table_may_not_be_the_rings_own(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_new(v, "d", &(struct front_conf){.indirect = true});
    struct vq *q = f->vq[0];

    (void)state;
    vq_desc(q, 0, q->desc_gpa, 16, VRING_DESC_F_INDIRECT, 0);
    vq_avail_put(q, 0);
    vq_avail_show(q);
    vq_notify(q);
    vq_need_err(q);
    others_live(v);
    vub_free(v);
}

/* Both used to be a command to the ring, in one message. */
static void features_that_enable_and_log_are_one_change(void **state)
{
    struct vub *v = vub_start(DISK("d", "'queues': 2, 'worker': ['a', 'b'], ",
                                   MEMORY) "," DISK("e", "", MEMORY));
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    uint64_t features = f->acked & ~FEATURE(VHOST_USER_F_PROTOCOL_FEATURES);

    (void)state;
    for (int i = 0; i < 50; i++) {
        features ^= FEATURE(VHOST_F_LOG_ALL);
        front_ok_u64(f, WIRE_SET_FEATURES, features);
    }
    blk_verify(f->vq[1], 0, 4096, 1);
    others_live(v);
    vub_free(v);
}

/* A new memory table was searched for a packed ring's parts, which are short,
 * and a split ring went on behind the end of its region. */
static void a_ring_that_runs_keeps_its_format(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_new(v, "d", NULL);
    uint64_t features = f->acked | FEATURE(VIRTIO_F_RING_PACKED);

    (void)state;
    assert_true(front_ack(f, WIRE_SET_FEATURES, &features, sizeof(features),
                          NULL, 0) != 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    others_live(v);
    vub_free(v);
}

/* epoll fds can be made to refuse to be watched at any moment, at which libuv
 * aborts. */
static void a_notifier_is_an_eventfd(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_connect(v, "d");
    uint64_t ring = 0;
    int fds[3], pipes[2];

    (void)state;
    front_set_up(f, &(struct front_conf){.rings_stopped = true});
    assert_int_equal(pipe(pipes), 0);
    fds[0] = epoll_create1(0);
    fds[1] = pipes[0];
    fds[2] = pipes[1];
    for (int i = 0; i < 3; i++) {
        assert_true(front_ack(f, WIRE_SET_VRING_KICK, &ring, sizeof(ring),
                              &fds[i], 1) > 0);
        close(fds[i]);
    }
    others_live(v);
    vub_free(v);
}

/* The session would keep itself alive when the front-end has gone. */
static void a_session_is_not_its_own_backend_channel(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_new(v, "d", NULL);

    (void)state;
    assert_true(front_ack(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &f->sock, 1) >
                0);
    front_free(f);
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    vub_free(v);
}

static void rings_without_memory_say_so(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_connect(v, "d");

    (void)state;
    front_negotiate(f, &(struct front_conf){0});
    front_region_add(f, 0, 1 << 20);
    vq_start(vq_new(f, 0, 128, false, false, false));
    vub_log_wait(v, "share=on");
    others_live(v);
    vub_free(v);
}

/* Answers that are not read and a half-closed socket were looked at for
 * ever. */
static void a_half_closed_peer_that_does_not_read_is_gone(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_connect(v, "d");
    const uint32_t h[3] = {1, 1, 0};

    (void)state;
    while (send(f->sock, h, sizeof(h), MSG_NOSIGNAL | MSG_DONTWAIT) > 0)
        continue;
    shutdown(f->sock, SHUT_WR);
    vub_log_wait(v, "is gone:");
    others_live(v);
    vub_free(v);
}

#ifndef SO_PASSPIDFD
#define SO_PASSPIDFD 76
#endif

/* With each byte came an fd that nobody had sent, and nobody closed. */
static void a_backend_channel_opens_nothing(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_new(v, "d", NULL);
    int pair[2], one = 1, before;

    (void)state;
    assert_true(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    if (setsockopt(pair[1], SOL_SOCKET, SO_PASSPIDFD, &one, sizeof(one)) < 0)
        print_message("this kernel has no SO_PASSPIDFD\n");
    front_ok(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
    before = front_fds(f, v);
    for (unsigned i = 0; i < 100; i++)
        assert_int_equal(write(pair[0], "x", 1), 1);
    front_settle(f);
    assert_int_equal(front_fds(f, v), before);
    close(pair[0]);
    close(pair[1]);
    front_free(f);
    vub_free(v);
}

/* Is there an answer more than `bytes` of them? */
static bool is_answered(struct front *f, int bytes)
{
    int64_t end = front_now_ms() + 300;
    int now = 0;

    do
        assert_true(ioctl(f->sock, FIONREAD, &now) == 0);
    while (now <= bytes && front_now_ms() < end);
    return now > bytes;
}

/* Its socket lay in its own other end, which was not read while there was no
 * room for an answer: nobody was left to close it, or to read. */
static void a_dead_one_whose_socket_lives_on_is_dropped(void **state)
{
    struct vub *v = vub_start(TWO_DISKS);
    struct front *f = front_connect(v, "d");
    int answers = 0;

    (void)state;
    do
        front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    while (is_answered(f, 20 * answers++));
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, &f->sock, 1);
    front_free(f);
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* Eight regions, each of them the first one's memory. */
static int64_t new_table(struct front *f)
{
    struct {
        uint32_t num, padding;
        struct wire_region r[8];
    } t = {.num = 8};
    int fds[8];

    for (unsigned i = 0; i < 8; i++) {
        t.r[i] = front_region_wire(f, 0);
        t.r[i].gpa += i * (UINT64_C(1) << 40);
        t.r[i].uva += i * (UINT64_C(1) << 40);
        fds[i] = f->region[0].fd;
    }
    return front_ack(f, WIRE_SET_MEM_TABLE, &t, sizeof(t), fds, 8);
}

/* Each request keeps the memory of its time, and all devices have the same
 * number of files and mappings. */
static void requests_hold_so_much_memory_and_no_more(void **state)
{
    struct vub *v = vub_start(
        DISK("d", "'queue_size': 1024, 'drain_timeout': 400, ",
             "{'type': 'fault', 'rules': [{'op': 'read', 'stuck': true}], "
             "'next': " MEMORY "}") "," DISK("e", "", MEMORY));
    struct front_conf c = {.size = 1024, .indirect = true};
    struct front *f = front_new(v, "d", &c);
    struct blk_req *r = blk_new(f, 512);
    unsigned tables = 0;

    (void)state;
    do {
        blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 512);
        tables++;
    } while (tables < 500 && new_table(f) == 0);
    assert_in_range(tables, 50, 400);
    assert_in_range(vub_maps(v, "memfd"), 8, 1100);
    others_live(v);
    /* They are given up, and then there is room again. */
    vq_stop(f->vq[0]);
    assert_int_equal(new_table(f), 0);
    assert_in_range(vub_maps(v, "memfd"), 8, 16);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(an_indirect_table_may_not_be_the_rings_own),
            T(features_that_enable_and_log_are_one_change),
            T(a_ring_that_runs_keeps_its_format), T(a_notifier_is_an_eventfd),
            T(a_session_is_not_its_own_backend_channel),
            T(rings_without_memory_say_so),
            T(a_half_closed_peer_that_does_not_read_is_gone),
            T(a_backend_channel_opens_nothing),
            T(a_dead_one_whose_socket_lives_on_is_dropped),
            T(requests_hold_so_much_memory_and_no_more))
