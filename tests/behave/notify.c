/* Kicks and calls: how both sides tell each other that there is something to
 * do, and what a front-end can do to the fds of them. */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "rings.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 4, ", MEMORY));
}

/* ---- Kicks and calls ---- */

static void a_kick_fd_that_is_none_means_polling(void **state)
{
    struct rings t = {.v = start(), .stopped = true};

    (void)state;
    while (rings_next(&t)) {
        close(t.q->kick_fd);
        t.q->kick_fd = -1;
        vq_start(t.q);
        for (unsigned i = 0; i < 20; i++) {
            put_read(t.q, t.r, i);
            vq_show(t.q);
            assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
        }
        vq_stop(t.q);
    }
}

/* The driver polls; nobody is called, and nothing goes wrong. */
static void a_call_fd_that_is_none_means_polling_too(void **state)
{
    struct rings t = {.v = start(), .stopped = true};

    (void)state;
    while (rings_next(&t)) {
        close(t.q->call_fd);
        t.q->call_fd = -1;
        vq_start(t.q);
        for (unsigned i = 0; i < 20; i++) {
            put_read(t.q, t.r, i);
            vq_kick(t.q);
            need_used(t.q);
            vq_pop(t.q, NULL, NULL);
            assert_int_equal(*t.r->status, VIRTIO_BLK_S_OK);
        }
    }
}

static void a_driver_that_wants_no_calls_gets_none(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        blk_verify(t.q, 0, 512, 1); /* the first call may be one too many */
        vq_calls(t.q, false);
        front_settle(t.f);
        while (front_wait_fd(t.q->call_fd, POLLIN, 0)) {
            uint64_t n;

            assert_int_equal(read(t.q->call_fd, &n, sizeof(n)), sizeof(n));
        }
        for (unsigned i = 0; i < 50; i++) {
            put_read(t.q, t.r, i);
            vq_kick(t.q);
            need_used(t.q);
            vq_pop(t.q, NULL, NULL);
        }
        front_settle(t.f);
        assert_false(front_wait_fd(t.q->call_fd, POLLIN, 0));
        vq_calls(t.q, true);
        put_read(t.q, t.r, 0);
        vq_kick(t.q);
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
    }
}

/* Event index: the call comes with the answer that was asked for. */
static void a_call_may_be_asked_for_later_answers(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front_conf c = {
            .packed = packed, .event_idx = true, .indirect = true};
        struct front *f = front_new(v, "d", &c);
        struct vq *q = f->vq[0];
        struct blk_req *r = blk_new(f, 512);
        uint64_t n;

        for (unsigned round = 0; round < 40; round++) {
            blk_verify(q, 0, 512, 1);
            vq_calls_after(q, true, 4); /* the fifth from now */
            front_settle(f);
            while (front_wait_fd(q->call_fd, POLLIN, 0))
                assert_int_equal(read(q->call_fd, &n, sizeof(n)), sizeof(n));
            for (unsigned i = 0; i < 5; i++) {
                assert_false(front_wait_fd(q->call_fd, POLLIN, 0));
                put_read(q, r, i);
                vq_kick(q);
                need_used(q);
                vq_pop(q, NULL, NULL);
                vq_enable(q, true); /* its loop has turned: called or not */
            }
            front_need_fd(q->call_fd, POLLIN, "the call for the fifth answer");
            vq_calls(q, true);
        }
        front_free(f);
    }
    vub_free(v);
}

static void notifiers_may_be_replaced_while_it_runs(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        for (unsigned i = 0; i < 10; i++) {
            int kick = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
            int call = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);

            vq_tell_fd(t.q, WIRE_SET_VRING_KICK, kick);
            vq_tell_fd(t.q, WIRE_SET_VRING_CALL, call);
            close(t.q->kick_fd);
            close(t.q->call_fd);
            t.q->kick_fd = kick;
            t.q->call_fd = call;
            blk_verify(t.q, i * 8, 4096, i);
            if (i % 3 == 0) { /* no kick fd for a while */
                vq_tell_fd(t.q, WIRE_SET_VRING_KICK, -1);
                put_read(t.q, t.r, 0);
                vq_show(t.q);
                assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
            }
        }
    }
}

/* Answers that were given before there was anything to call with. */
static void a_call_fd_that_comes_late_is_called(void **state)
{
    struct rings t = {.v = start(), .stopped = true};

    (void)state;
    while (rings_next(&t)) {
        int call = t.q->call_fd;

        t.q->call_fd = -1;
        vq_start(t.q);
        put_read(t.q, t.r, 0);
        vq_kick(t.q);
        vq_enable(t.q, true); /* its loop has turned */
        need_used(t.q);
        t.q->call_fd = call;
        vq_tell_fd(t.q, WIRE_SET_VRING_CALL, call);
        front_need_fd(call, POLLIN, "a call for what is answered already");
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
    }
}

/* QEMU, when a guest unmasks its vector: it has looked at the fd of before when
 * an answer calls that one, and tells us of the new one too late for it. */
static void a_call_fd_that_takes_another_ones_place_is_called(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        int masked = t.q->call_fd;

        put_read(t.q, t.r, 0);
        vq_kick(t.q);
        need_used(t.q);
        front_need_fd(masked, POLLIN, "a call that nobody takes");
        t.q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        vq_tell_fd(t.q, WIRE_SET_VRING_CALL, t.q->call_fd);
        front_need_fd(t.q->call_fd, POLLIN, "a call for what is answered");
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
        close(masked);
    }
}

/* QEMU, at every cont: the fd that a ring had before its stop is nobody's any
 * more, and the new one comes when the ring runs. */
static void a_call_fd_that_comes_after_a_restart_is_called(void **state)
{
    struct rings t = {.v = start()};

    (void)state;
    while (rings_next(&t)) {
        blk_verify(t.q, 0, 4096, t.mode);
        vq_stop(t.q);
        put_read(t.q, t.r, 0);
        vq_show(t.q);
        front_ok_state(t.f, WIRE_SET_VRING_BASE, 0, t.q->base);
        vq_tell_addr(t.q, 0);
        vq_tell_fd(t.q, WIRE_SET_VRING_KICK, t.q->kick_fd);
        vq_enable(t.q, true);
        need_used(t.q);
        close(t.q->call_fd);
        t.q->call_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
        vq_tell_fd(t.q, WIRE_SET_VRING_CALL, t.q->call_fd);
        front_need_fd(t.q->call_fd, POLLIN, "a call for what is answered");
        assert_int_equal(blk_wait(t.q, t.r), VIRTIO_BLK_S_OK);
    }
}

/* VRING_ERR, also when the fd comes only after the ring broke. */
static void a_broken_ring_is_signalled(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned late = 0; late < 2; late++)
        for (unsigned packed = 0; packed < 2; packed++) {
            struct front_conf c = {
                .queues = 2, .packed = packed, .rings_stopped = true};
            struct front *f = front_new(v, "d", &c);
            struct vq *q = f->vq[0];
            struct blk_req *r = blk_new(f, 512);
            int err = q->err_fd;

            if (late)
                q->err_fd = -1;
            vq_start(q);
            q->err_fd = err;
            r->data_gpa = UINT64_MAX;
            vub_log_mark(v);
            put_read(q, r, 0);
            vq_kick(q);
            vub_log_wait(v, "ring 0 is broken");
            if (late)
                vq_tell_fd(q, WIRE_SET_VRING_ERR, err);
            vq_need_err(q);
            /* It can be stopped, mended and started. */
            vq_stop(q);
            vq_reset(q);
            vq_start(q);
            blk_verify(q, 0, 4096, packed);
            assert_false(vq_has_err(q));
            front_free(f);
        }
    vub_free(v);
}

/* ---- Fds of a front-end that means harm ---- */

static void make_blocking(int fd)
{
    assert_true(fcntl(fd, F_SETFL, fcntl(fd, F_GETFL) & ~O_NONBLOCK) == 0);
}

static void fill_and_block(int fd)
{
    const uint64_t full = UINT64_MAX - 1;
    uint64_t count;

    fcntl(fd, F_SETFL, O_NONBLOCK);
    (void)!read(fd, &count, sizeof(count));
    assert_int_equal(write(fd, &full, sizeof(full)), sizeof(full));
    make_blocking(fd);
}

/* The flags of an eventfd are common to both ends. One that is full and blocks
 * stops whoever adds to it: for a second or two. */
static void a_call_fd_that_blocks_costs_its_front_end_the_session(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", NULL);
    struct blk_req *r = blk_new(f, 512);

    (void)state;
    fill_and_block(f->vq[0]->call_fd);
    vq_calls(f->vq[0], true);
    put_read(f->vq[0], r, 0);
    vq_kick(f->vq[0]);
    blk_verify(e->vq[0], 0, 4096, 1);
    front_need_hangup(f);
    vub_log_wait(v, "made an eventfd block");
    /* And it does not come back at once. */
    vub_log_wait(v, "no front-end is accepted");
    front_reconnect(f);
    blk_verify(e->vq[0], 0, 4096, 2);
    assert_false(front_wait_fd(f->sock, POLLIN, 200));
    assert_int_equal(vub_log_count(v, "d: debug: a front-end has come"), 1);
    front_free(f);
    front_free(e);
    vub_free(v);
}

static void an_error_fd_that_blocks_does_too(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", NULL);
    struct blk_req *r = blk_new(f, 512);

    (void)state;
    fill_and_block(f->vq[0]->err_fd);
    r->data_gpa = UINT64_MAX;
    blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 512);
    blk_verify(e->vq[0], 0, 4096, 1);
    front_need_hangup(f);
    vub_log_wait(v, "made an eventfd block");
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* Nor may it be tried again and again by starting a ring that cannot. */
static void an_error_fd_of_a_ring_that_cannot_start_does_too(void **state)
{
    struct front_conf c = {.rings_stopped = true};
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", &c);
    uint64_t index = 0;

    (void)state;
    f->vq[0]->base = 500; /* the used index is 0 */
    vq_start(f->vq[0]);
    vub_log_wait(v, "cannot start at available index 500");
    vq_stop(f->vq[0]);
    front_ok_state(f, WIRE_SET_VRING_BASE, 0, 500);
    fill_and_block(f->vq[0]->err_fd);
    front_send(f, WIRE_SET_VRING_KICK, 0, &index, sizeof(index),
               &f->vq[0]->kick_fd, 1);
    front_need_hangup(f);
    vub_log_wait(v, "no front-end is accepted");
    blk_verify(e->vq[0], 0, 4096, 1);
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* A ring with a record calls when it starts. */
static void a_call_fd_that_blocks_at_a_start_does_too(void **state)
{
    struct front_conf c = {.inflight = true};
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", &c);
    uint64_t index = 0;

    (void)state;
    vq_stop(f->vq[0]);
    fill_and_block(f->vq[0]->call_fd);
    front_send(f, WIRE_SET_VRING_KICK, 0, &index, sizeof(index),
               &f->vq[0]->kick_fd, 1);
    front_need_hangup(f);
    vub_log_wait(v, "no front-end is accepted");
    blk_verify(e->vq[0], 0, 4096, 1);
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* A second or two for all fds of a front-end, not for each. */
static void a_worker_is_stopped_once_by_a_front_end(void **state)
{
    struct front_conf c = {.queues = 8};
    struct vub *v =
        vub_start(DISK("d", "'queues': 8, 'worker': 'w', ",
                       MEMORY) "," DISK("e", "'worker': 'w', ", MEMORY));
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", &c);
    uint64_t data = front_alloc(f, 3 << 20, 4096);
    int64_t began;

    (void)state;
    for (unsigned i = 0; i < 8; i++) {
        struct blk_req *r = blk_new(f, 512);

        r->data_gpa = data;
        fill_and_block(f->vq[i]->call_fd);
        vq_calls(f->vq[i], true);
        /* Long ones: answers come when all have begun. */
        assert_true(blk_add(f->vq[i], r, VIRTIO_BLK_T_IN, 0, 3 << 20));
        vq_show(f->vq[i]);
    }
    began = front_now_ms();
    for (unsigned i = 0; i < 8; i++)
        vq_notify(f->vq[i]);
    front_need_hangup(f);
    blk_verify(e->vq[0], 0, 4096, 1);
    assert_in_range(front_now_ms() - began, 0, 6000);
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* The answer comes, and the fd blocks, when it has gone already. */
static void who_hangs_up_first_is_not_spared(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", NULL);
    struct blk_req *r = blk_new(f, 40 << 20);

    (void)state;
    fill_and_block(f->vq[0]->call_fd);
    vq_calls(f->vq[0], true);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_IN, 0, 40 << 20);
    front_disconnect(f);
    vub_log_wait(v, "no front-end is accepted");
    front_reconnect(f);
    blk_verify(e->vq[0], 0, 4096, 1);
    assert_false(front_wait_fd(f->sock, POLLIN, 200));
    assert_int_equal(vub_log_count(v, "d: debug: a front-end has come"), 1);
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* It takes back what it has written before vub can read it. */
static void a_kick_fd_that_blocks_stops_nobody(void **state)
{
    struct vub *v = two_disks_of_a_worker();
    struct front *e = front_new(v, "e", NULL);
    struct front *f = front_new(v, "d", NULL);
    uint64_t count;
    ssize_t n;

    (void)state;
    for (unsigned i = 0; i < 2000; i++) {
        vq_notify(f->vq[0]);
        n = read(f->vq[0]->kick_fd, &count, sizeof(count));
        assert_true(n == 8 || errno == EAGAIN);
        make_blocking(f->vq[0]->kick_fd);
        if (i % 100 == 0)
            blk_verify(e->vq[0], 0, 4096, i);
        /* Ours must not block either. */
        fcntl(f->vq[0]->kick_fd, F_SETFL, O_NONBLOCK);
    }
    make_blocking(f->vq[0]->kick_fd);
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(vub_log_count(v, "made an eventfd block"), 0);
    front_free(f);
    front_free(e);
    vub_free(v);
}

/* Full, it would be readable for ever. */
static void a_semaphore_is_no_notifier(void **state)
{
    int fd = eventfd(0, EFD_SEMAPHORE | EFD_CLOEXEC);
    struct vub *v;
    struct front *f;
    uint64_t index = 0;
    char path[40], text[256] = "";
    FILE *info;

    (void)state;
    snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", fd);
    info = fopen(path, "re");
    if (info)
        text[fread(text, 1, sizeof(text) - 1, info)] = 0;
    if (info)
        fclose(info);
    if (!strstr(text, "eventfd-semaphore")) {
        print_message("this kernel does not say which eventfds are "
                      "semaphores\n");
        close(fd);
        skip();
    }
    v = start();
    f = front_new(v, "d", NULL);
    assert_true(front_ack(f, WIRE_SET_VRING_KICK, &index, 8, &fd, 1) > 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    close(fd);
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(a_kick_fd_that_is_none_means_polling),
            T(a_call_fd_that_is_none_means_polling_too),
            T(a_driver_that_wants_no_calls_gets_none),
            T(a_call_may_be_asked_for_later_answers),
            T(notifiers_may_be_replaced_while_it_runs),
            T(a_call_fd_that_comes_late_is_called),
            T(a_call_fd_that_takes_another_ones_place_is_called),
            T(a_call_fd_that_comes_after_a_restart_is_called),
            T(a_broken_ring_is_signalled),
            T(a_call_fd_that_blocks_costs_its_front_end_the_session),
            T(an_error_fd_that_blocks_does_too),
            T(an_error_fd_of_a_ring_that_cannot_start_does_too),
            T(a_call_fd_that_blocks_at_a_start_does_too),
            T(a_worker_is_stopped_once_by_a_front_end),
            T(who_hangs_up_first_is_not_spared),
            T(a_kick_fd_that_blocks_stops_nobody),
            T(a_semaphore_is_no_notifier))
