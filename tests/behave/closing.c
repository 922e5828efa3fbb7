/* What a front-end sends may take long to close: whoever sends it waits for it,
 * and nobody else does. A TCP socket that lingers, with data that its other end
 * does not take, stands for all of that: close() waits until that end goes. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behave.h"

/* close() of vub's in the worker would take a second or two each, until the
 * worker is interrupted. */
#define AT_ONCE_MS 1000
#define LINGERERS 6

struct lingerer {
    int other; /* its other end: close it to let go */
};

static int listener(void)
{
    struct sockaddr_in a = {.sin_family = AF_INET,
                            .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
    assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
    assert_int_equal(listen(fd, 256), 0);
    return fd;
}

/* The fd to send. The sender's own must be closed before vub's is, or it is the
 * sender who lingers: so vub is held meanwhile. */
static int lingerer_open(struct lingerer *l, int listener_fd)
{
    const struct linger linger = {.l_onoff = 1, .l_linger = 3600};
    struct sockaddr_in a;
    socklen_t len = sizeof(a);
    char data[4096] = {0};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0), small = 4096;

    assert_true(fd >= 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &small, sizeof(small));
    assert_int_equal(getsockname(listener_fd, (struct sockaddr *)&a, &len), 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&a, len), 0);
    l->other = accept4(listener_fd, NULL, NULL, SOCK_CLOEXEC);
    assert_true(l->other >= 0);
    while (send(fd, data, sizeof(data), MSG_DONTWAIT) > 0)
        ;
    assert_int_equal(
        setsockopt(fd, SOL_SOCKET, SO_LINGER, &linger, sizeof(linger)), 0);
    return fd;
}

/* With data unread this end says that it is over, and nobody lingers. */
static void lingerers_let_go(struct lingerer *l, unsigned num)
{
    for (unsigned i = 0; i < num; i++)
        close(l[i].other);
}

static void hold(struct vub *v)
{
    int status;

    assert_int_equal(kill(v->pid, SIGSTOP), 0);
    assert_int_equal(waitpid(v->pid, &status, WUNTRACED), v->pid);
    assert_true(WIFSTOPPED(status));
}

static void let_go_on(struct vub *v)
{
    assert_int_equal(kill(v->pid, SIGCONT), 0);
}

static void message_with(struct front *f, uint32_t request, uint32_t size,
                         int fd)
{
    static const uint8_t payload[256];

    /* The answer, if there is one, comes when it comes. */
    assert_true(front_send(f, request, WIRE_NEED_REPLY, payload, size, &fd, 1));
    close(fd);
}

static void an_fd_that_takes_long_to_close_stops_nobody_else(void **state)
{
    const struct {
        uint32_t request, size;
    } with[LINGERERS] = {
        {WIRE_SET_VRING_KICK, 8},   {WIRE_SET_VRING_CALL, 8},
        {WIRE_SET_VRING_ERR, 8},    {WIRE_ADD_MEM_REG, 40},
        {WIRE_SET_INFLIGHT_FD, 20}, {WIRE_GET_FEATURES, 0},
    };
    struct vub *v = two_disks_of_a_worker();
    struct front *f = front_connect(v, "d"), *e = front_new(v, "e", NULL);
    struct lingerer l[LINGERERS];
    int tcp = listener(), before;
    int64_t began;

    (void)state;
    front_set_up(f, &(struct front_conf){.rings_stopped = true});
    before = front_fds(f, v);
    hold(v);
    for (unsigned i = 0; i < LINGERERS; i++)
        message_with(f, with[i].request, with[i].size,
                     lingerer_open(&l[i], tcp));
    began = front_now_ms();
    let_go_on(v);
    blk_verify(e->vq[0], 0, 4096, 1);
    front_free(f);
    f = front_new(v, "d", NULL); /* its successor does not wait either */
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_in_range(front_now_ms() - began, 0, AT_ONCE_MS);
    front_free(f);
    lingerers_let_go(l, LINGERERS);
    f = front_connect(v, "d");
    front_set_up(f, &(struct front_conf){.rings_stopped = true});
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    front_free(e);
    close(tcp);
    vub_free(v);
}

/* In the socket when the session ends. Its successor, which does the same, is
 * told at once too that it is dropped. */
static void nor_does_one_that_was_never_received(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct front *f = front_connect(v, "d"), *e = front_new(v, "e", NULL);
    const uint32_t bad[3] = {WIRE_GET_FEATURES, 1, UINT32_MAX};
    struct lingerer l[2 * LINGERERS];
    int tcp = listener(), before;
    unsigned n = 0;
    int64_t began;

    (void)state;
    before = front_fds(f, v);
    for (unsigned round = 0; round < 2; round++) {
        /* It reads the first, which is no message, and no more. */
        hold(v);
        front_send_bytes(f, bad, sizeof(bad), NULL, 0);
        for (unsigned i = 0; i < LINGERERS; i++) {
            int fd = lingerer_open(&l[n++], tcp);

            assert_true(front_send_bytes(f, "x", 1, &fd, 1));
            close(fd);
        }
        began = front_now_ms();
        let_go_on(v);
        front_need_hangup(f);
        blk_verify(e->vq[0], 0, 4096, 1);
        assert_in_range(front_now_ms() - began, 0, AT_ONCE_MS);
        front_free(f);
        f = front_connect(v, "d");
    }
    lingerers_let_go(l, n);
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    front_free(e);
    close(tcp);
    vub_free(v);
}

/* Nor one too many with a message, nor one on the back-end channel. */
static void nor_does_one_in_a_crowd(void **state)
{
    enum { CROWD = 30 };
    struct vub *v = two_disks_of_a_worker();
    struct front *f = front_connect(v, "d"), *e = front_new(v, "e", NULL);
    struct lingerer l[CROWD];
    int tcp = listener(), before, fds[CROWD], pair[2], sock;
    int64_t began;

    (void)state;
    before = front_fds(f, v);
    front_set_up(f, &(struct front_conf){.rings_stopped = true});
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    front_ok(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &pair[1], 1);
    close(pair[1]);
    for (unsigned i = 0; i < CROWD; i++)
        fds[i] = lingerer_open(&l[i], tcp);
    hold(v);
    sock = f->sock;
    f->sock = pair[0];
    front_send_bytes(f, "x", 1, fds, 1);
    f->sock = sock;
    front_send_bytes(f, "x", 1, fds + 1, CROWD - 1);
    for (unsigned i = 0; i < CROWD; i++)
        close(fds[i]);
    close(pair[0]);
    began = front_now_ms();
    let_go_on(v);
    front_need_hangup(f);
    blk_verify(e->vq[0], 0, 4096, 1);
    assert_in_range(front_now_ms() - began, 0, AT_ONCE_MS);
    front_free(f);
    lingerers_let_go(l, CROWD);
    f = front_connect(v, "d");
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    front_free(e);
    close(tcp);
    vub_free(v);
}

/* As many as it can: vub's fds do not run out. */
static void who_sends_many_is_not_heard_until_they_are_closed(void **state)
{
    enum { MANY = 150 };
    struct vub *v = two_disks_of_a_worker();
    struct front *f = front_connect(v, "d"), *e = front_new(v, "e", NULL);
    struct lingerer l[MANY];
    int tcp = listener(), before;

    (void)state;
    front_set_up(f, &(struct front_conf){.rings_stopped = true});
    before = front_fds(f, v);
    hold(v);
    for (unsigned i = 0; i < MANY; i++)
        message_with(f, WIRE_SET_VRING_KICK, 8, lingerer_open(&l[i], tcp));
    let_go_on(v);
    for (unsigned i = 0; i < 10; i++)
        blk_verify(e->vq[0], 0, 4096, i);
    assert_in_range(vub_fds_now(v), 0, before + 70);
    lingerers_let_go(l, MANY);
    for (unsigned i = 0; i < MANY; i++) {
        struct front_msg m;

        assert_true(front_recv(f, &m));
    }
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    front_free(e);
    close(tcp);
    vub_free(v);
}

static void large_memory_is_unmapped_too(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct footprint before = footprint(v), now;

    (void)state;
    for (unsigned i = 0; i < 3; i++) {
        struct front *f = front_new(
            v, "d", &(struct front_conf){.mem_bytes = UINT64_C(1) << 30});

        blk_verify(f->vq[0], 0, 4096, 1);
        front_free(f);
    }
    now = footprint(v);
    assert_int_equal(now.memory, before.memory);
    assert_int_equal(now.fds, before.fds);
    vub_free(v);
}

/* Each is an fd under way, of which vub's user may have so many. */
static void a_second_record_is_sent_when_the_first_is_read(void **state)
{
    const struct wire_inflight want = {.num_queues = 1, .queue_size = 64};
    struct vub *v = two_disks_of_a_worker();
    struct front *f = front_connect(v, "d");
    struct front_msg m;

    (void)state;
    front_negotiate(f, &(struct front_conf){0});
    for (unsigned i = 0; i < 10; i++) {
        front_send(f, WIRE_GET_INFLIGHT_FD, 0, &want, WIRE_INFLIGHT_BYTES, NULL,
                   0);
        assert_true(front_recv(f, &m));
        assert_int_equal(m.num_fds, 1);
        close(m.fds[0]);
    }
    for (unsigned i = 0; i < 2; i++)
        front_send(f, WIRE_GET_INFLIGHT_FD, 0, &want, WIRE_INFLIGHT_BYTES, NULL,
                   0);
    assert_non_null(vub_log_wait(v, "is not read yet"));
    assert_true(front_recv(f, &m));
    close(m.fds[0]);
    assert_false(front_recv(f, &m));
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(an_fd_that_takes_long_to_close_stops_nobody_else),
            T(nor_does_one_that_was_never_received), T(nor_does_one_in_a_crowd),
            T(who_sends_many_is_not_heard_until_they_are_closed),
            T(large_memory_is_unmapped_too),
            T(a_second_record_is_sent_when_the_first_is_read))
