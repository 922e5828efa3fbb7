/* Messages in pieces, sessions that are half done, and those who wait. */
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "behave.h"

static void a_session_may_come_byte_by_byte(void **state)
{
    struct vub *v = two_disks();

    (void)state;
    for (int packed = 0; packed < 2; packed++) {
        struct front *f = front_connect(v, "d");

        f->dribble = true;
        front_set_up(f, &(struct front_conf){.queues = 2,
                                             .packed = packed,
                                             .inflight = true,
                                             .backend_channel = true});
        for (uint64_t i = 0; i < 10; i++)
            blk_verify(f->vq[i % 2], i * 8, 4096, i);
        assert_int_equal(blk_capacity(f), 64 << 11);
        vq_stop(f->vq[0]);
        front_free(f);
    }
    vub_free(v);
}

/* Two messages in one write, and one in two writes with other work between. */
static void a_message_may_be_cut_anywhere(void **state)
{
    struct {
        struct wire_header h;
        struct wire_state s;
        struct wire_header get;
    } m = {{WIRE_SET_VRING_ENABLE, WIRE_VERSION | WIRE_NEED_REPLY, 8},
           {1, 1},
           {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0}};
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct front_msg r;

    (void)state;
    for (size_t at = 1; at < sizeof(m); at++) {
        front_send_bytes(f, &m, at, NULL, 0);
        blk_verify(f->vq[0], at * 8, 4096, at); /* its loop has turned */
        front_send_bytes(f, (char *)&m + at, sizeof(m) - at, NULL, 0);
        front_reply(f, WIRE_SET_VRING_ENABLE, &r);
        assert_int_equal(r.u64, 0);
        front_reply(f, WIRE_GET_QUEUE_NUM, &r);
        assert_int_equal(r.u64, 2);
    }
    front_free(f);
    vub_free(v);
}

/* Fds that came with the first bytes of a message that never ends. */
static void hanging_up_in_a_message_leaks_nothing(void **state)
{
    struct wire_header h = {WIRE_SET_MEM_TABLE, WIRE_VERSION, 264};
    struct vub *v = two_disks();
    int before = footprint(v).fds, fds[8];
    struct front *f;
    char byte = 0;

    (void)state;
    for (int i = 0; i < 8; i++)
        fds[i] = front_memfd(4096);
    for (unsigned len = 1; len <= 40; len++) {
        f = front_connect(v, "d");
        front_settle(f);
        front_send_bytes(f, &h, len < sizeof(h) ? len : sizeof(h), fds, 8);
        for (unsigned i = sizeof(h); i < len; i++)
            front_send_bytes(f, &byte, 1, NULL, 0);
        front_free(f);
    }
    for (int i = 0; i < 8; i++)
        close(fds[i]);
    assert_int_equal(footprint(v).fds, before);
    vub_free(v);
}

/* One that says nothing, then one that says half of something, each with
 * another that waits behind it. */
static void a_half_done_session_is_dropped_when_another_waits(void **state)
{
    struct wire_header h = {WIRE_GET_FEATURES, WIRE_VERSION, 0};
    struct vub *v = two_disks();
    struct front *silent = front_connect(v, "d"), *half, *good;

    (void)state;
    vub_log_wait(v, "a front-end has come");
    half = front_connect(v, "d");
    front_send_bytes(half, &h, 7, NULL, 0);
    front_need_hangup(silent);
    vub_log_wait(v, "another front-end waits");
    good = front_connect(v, "d");
    front_need_hangup(half);
    front_set_up(good, &(struct front_conf){0});
    blk_verify(good->vq[0], 0, 4096, 1);
    assert_int_equal(vub_log_count(v, "another front-end waits"), 2);
    front_free(silent);
    front_free(half);
    front_free(good);
    vub_free(v);
}

/* Half of a message in the middle of a life counts too. */
static void a_session_stuck_in_a_message_is_dropped_likewise(void **state)
{
    struct wire_header h = {WIRE_SET_VRING_ENABLE, WIRE_VERSION, 8};
    struct vub *v = two_disks();
    struct front *f = front_new(v, "d", NULL), *next;

    (void)state;
    front_send_bytes(f, &h, sizeof(h), NULL, 0);
    next = front_connect(v, "d");
    front_set_up(next, &(struct front_conf){0});
    front_need_hangup(f);
    blk_verify(next->vq[0], 0, 4096, 1);
    front_free(f);
    front_free(next);
    vub_free(v);
}

/* With nobody behind it, it may take all the time it wants. And an idle
 * session is not half done, whoever waits. Waiting for nothing to happen
 * takes time: longer than the time after which the half-done are dropped. */
static void patience_with_the_idle_and_with_the_only_one(void **state)
{
    struct wire_header h = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct vub *v = two_disks();
    struct front *idle = front_new(v, "d", NULL), *waits, *slow;
    struct front_msg m;

    (void)state;
    waits = front_connect(v, "d");
    front_send(waits, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    slow = front_connect(v, "e");
    front_negotiate(slow, &(struct front_conf){0});
    front_send_bytes(slow, &h, 5, NULL, 0);
    assert_false(front_wait_fd(waits->sock, POLLIN, 7000));

    front_settle(idle);
    blk_verify(idle->vq[0], 0, 4096, 1);
    front_send_bytes(slow, (char *)&h + 5, sizeof(h) - 5, NULL, 0);
    front_reply(slow, WIRE_GET_QUEUE_NUM, &m);
    assert_int_equal(m.u64, 1);

    front_disconnect(idle);
    front_reply(waits, WIRE_GET_FEATURES, &m);
    front_set_up(waits, &(struct front_conf){0});
    blk_verify(waits->vq[0], 0, 4096, 2);
    front_free(idle);
    front_free(waits);
    front_free(slow);
    vub_free(v);
}

/* A front-end that never reads: answers pile up in its socket, and the loop
 * goes on for the others. */
static void a_front_end_that_does_not_read_blocks_nobody(void **state)
{
    struct vub *v = vub_start(DISK("d", "'worker': 'w', ", MEMORY) "," DISK(
        "e", "'worker': 'w', ", MEMORY));
    struct front *deaf = front_connect(v, "d");
    struct front *good = front_new(v, "e", NULL);
    struct wire_header h[64];
    struct front_msg m;
    int flood = 0;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(h); i++)
        h[i] = (struct wire_header){WIRE_GET_FEATURES, WIRE_VERSION, 0};
    /* Until neither side takes any more, or enough is enough. */
    while (flood < 100 && front_wait_fd(deaf->sock, POLLOUT, 0)) {
        front_send_bytes(deaf, h, sizeof(h), NULL, 0);
        flood++;
        blk_verify(good->vq[0], 0, 4096, (uint64_t)flood);
    }
    for (uint64_t i = 0; i < 20; i++)
        blk_verify(good->vq[0], i * 8, 4096, i);
    for (int i = 0; i < flood * 64; i++)
        front_reply(deaf, WIRE_GET_FEATURES, &m);
    front_settle(deaf);
    front_free(deaf);
    front_free(good);
    vub_free(v);
}

/* It has closed its ears and talks on. */
static void a_peer_that_cannot_be_answered_is_gone(void **state)
{
    struct vub *v = two_disks();
    struct front *f, *next;

    (void)state;
    f = front_new(v, "d", NULL);
    next = front_connect(v, "d");
    shutdown(f->sock, SHUT_RD);
    front_send(f, WIRE_GET_FEATURES, 0, NULL, 0, NULL, 0);
    front_set_up(next, &(struct front_conf){0});
    blk_verify(next->vq[0], 0, 4096, 1);
    front_free(f);
    front_free(next);
    vub_free(v);
}

BEHAVE_MAIN(T(a_session_may_come_byte_by_byte),
            T(a_message_may_be_cut_anywhere),
            T(hanging_up_in_a_message_leaks_nothing),
            T(a_half_done_session_is_dropped_when_another_waits),
            T(a_session_stuck_in_a_message_is_dropped_likewise),
            T(patience_with_the_idle_and_with_the_only_one),
            T(a_front_end_that_does_not_read_blocks_nobody),
            T(a_peer_that_cannot_be_answered_is_gone))
