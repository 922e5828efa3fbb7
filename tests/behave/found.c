/* What readers and attackers found, kept found: each of these ended the
 * process, or made it write where it must not, before it was mended. */
#include <fcntl.h>
#include <sys/epoll.h>
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

BEHAVE_MAIN(T(an_indirect_table_may_not_be_the_rings_own),
            T(features_that_enable_and_log_are_one_change),
            T(a_ring_that_runs_keeps_its_format), T(a_notifier_is_an_eventfd),
            T(a_session_is_not_its_own_backend_channel),
            T(rings_without_memory_say_so),
            T(a_half_closed_peer_that_does_not_read_is_gone))
