/* Front-ends come and go; the socket, the fds and the memory stay as they
 * are. */
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "behave.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 2, ", MEMORY));
}

static ino_t inode(const char *path)
{
    struct stat st;

    if (stat(path, &st) < 0)
        front_fail("%s is not there", path);
    return st.st_ino;
}

/* A sanitizer keeps freed memory back: then its size says nothing. */
static bool size_says_something(struct vub *v)
{
    return vub_maps(v, "libasan") == 0 && vub_maps(v, "libtsan") == 0 &&
           vub_rss_kib(v) > 0 && vub_rss_kib(v) < 32 << 10;
}

static void a_hundred_front_ends_leave_no_trace(void **state)
{
    struct vub *v = start();
    struct footprint before = {0}, now = {0};
    ino_t socket = inode(vub_path(v, "d.sock"));
    long rss = 0;

    (void)state;
    for (unsigned i = 0; i < 100; i++) {
        struct front_conf c = ring_modes[i % ARRAY_LEN(ring_modes)];
        struct front *f;

        c.inflight = i & 8;
        c.backend_channel = i & 16;
        f = front_new(v, "d", &c);
        blk_verify(f->vq[0], 0, 4096, i);
        blk_verify(f->vq[1], 8, 4096, i);
        front_free(f);
        if (i == 20) { /* whatever is made once has been made */
            before = footprint(v);
            rss = vub_rss_kib(v);
        }
        if (i > 20 && i % 10 == 0) {
            now = footprint(v);
            assert_int_equal(now.fds, before.fds);
            assert_int_equal(now.memory, before.memory);
            assert_int_equal(now.threads, before.threads);
        }
    }
    if (size_says_something(v)) {
        assert_true(now.maps <= before.maps + 2);
        assert_true(vub_rss_kib(v) <= rss + 512);
    }
    assert_int_equal(inode(vub_path(v, "d.sock")), socket);
    vub_free(v);
}

/* QEMU with `reconnect`: one guest, whose rings go on. */
static void a_guest_goes_on_after_a_hundred_reconnects(void **state)
{
    struct vub *v = start();

    (void)state;
    for (unsigned packed = 0; packed < 2; packed++) {
        struct front_conf c = {
            .queues = 2, .packed = packed, .inflight = true, .size = 16};
        struct front *f = front_new(v, "d", &c);

        for (unsigned i = 0; i < 50; i++) {
            struct blk_req *r = blk_new(f, 512);
            struct vq *q = f->vq[i % 2];

            blk_verify(q, i * 8, 4096, i);
            for (unsigned k = 0; k < 2; k++)
                f->vq[k]->base = vq_stop(f->vq[k]);
            front_disconnect(f);
            /* The guest does not know that nobody is there. */
            blk_add(q, r, VIRTIO_BLK_T_IN, i * 8, 512);
            vq_kick(q);
            front_resume(f);
            assert_int_equal(blk_wait(q, r), VIRTIO_BLK_S_OK);
            blk_free(r);
        }
        front_free(f);
    }
    vub_free(v);
}

/* At every step of the set-up somebody gives up. */
static void giving_up_half_way_leaves_no_trace(void **state)
{
    struct vub *v = start();
    struct footprint before = footprint(v), now;

    (void)state;
    for (unsigned i = 0; i < 60; i++) {
        struct front *f = front_connect(v, "d");
        unsigned steps = i % 12;

        if (steps > 0)
            front_negotiate(f, &(struct front_conf){.queues = 2,
                                                    .backend_channel = i & 1,
                                                    .packed = i & 2});
        if (steps > 1)
            front_share(f);
        if (steps > 2) {
            struct vq *q = vq_new(f, i % 2, 32, i & 2, false, false);

            if (steps > 3)
                front_ok_state(f, WIRE_SET_VRING_NUM, q->index, 32);
            if (steps > 4)
                vq_tell_fd(q, WIRE_SET_VRING_CALL, q->call_fd);
            if (steps > 5)
                vq_tell_fd(q, WIRE_SET_VRING_ERR, q->err_fd);
            if (steps > 6)
                vq_tell_addr(q, 0);
            if (steps > 7)
                vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
            if (steps > 8)
                vq_enable(q, true);
            if (steps > 9)
                front_log_start(f);
            if (steps > 10)
                vq_stop(q);
        }
        front_free(f);
        now = footprint(v);
        assert_int_equal(now.fds, before.fds);
        assert_int_equal(now.memory, before.memory);
    }
    vub_free(v);
}

/* In the order they came. */
static void those_who_wait_are_served_in_turn(void **state)
{
    struct vub *v = start();
    struct front *f[5];

    (void)state;
    for (unsigned i = 0; i < 5; i++)
        f[i] = front_connect(v, "d");
    for (unsigned i = 0; i < 5; i++) {
        front_set_up(f[i], &(struct front_conf){0});
        blk_verify(f[i]->vq[0], 0, 4096, i);
        for (unsigned k = i + 1; k < 5; k++)
            assert_false(front_wait_fd(f[k]->sock, 1 /* POLLIN */, 0));
        front_free(f[i]);
    }
    vub_free(v);
}

/* kill -9 of a VMM, its memory and eventfds gone with it. */
static void a_front_end_that_is_killed_is_like_one_that_left(void **state)
{
    struct vub *v = start();
    struct footprint before = footprint(v);

    (void)state;
    for (unsigned i = 0; i < 10; i++) {
        int up[2];
        char byte;
        pid_t child;
        struct front *f;

        assert_int_equal(pipe(up), 0);
        child = fork();
        if (child == 0) {
            /* Not ours to explain, or to end the program under test. */
            front_on_failure = NULL;
            f = front_new(v, "d", &ring_modes[i % 8]);
            blk_verify(f->vq[0], 0, 4096, i);
            for (unsigned k = 0; k < 8; k++)
                blk_add(f->vq[1], blk_new(f, 4096), VIRTIO_BLK_T_IN, k, 4096);
            vq_kick(f->vq[1]);
            if (write(up[1], "x", 1) != 1)
                _exit(1);
            for (;;)
                pause();
        }
        close(up[1]);
        assert_int_equal(read(up[0], &byte, 1), 1);
        close(up[0]);
        kill(child, SIGKILL);
        waitpid(child, NULL, 0);
        f = front_new(v, "d", &ring_modes[(i + 1) % 8]);
        blk_verify(f->vq[0], 0, 4096, i);
        front_free(f);
        assert_int_equal(footprint(v).fds, before.fds);
    }
    vub_free(v);
}

static void on_disconnect_exit_ends_the_program(void **state)
{
    struct vub *v = vub_start(DISK("d", "'on_disconnect': 'exit', ",
                                   MEMORY) "," DISK("e", "", MEMORY));
    struct front *e = front_new(v, "e", NULL), *f;

    (void)state;
    front_free(e); /* that one says "listen" */
    e = front_new(v, "e", NULL);
    blk_verify(e->vq[0], 0, 4096, 1);
    f = front_new(v, "d", NULL);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    assert_int_equal(vub_wait(v), 0);
    front_need_hangup(e);
    front_free(e);
    vub_free(v);
}

/* SIGTERM while a front-end is there: clean, and soon. */
static void sigterm_ends_sessions_cleanly(void **state)
{
    (void)state;
    for (unsigned mode = 0; mode < ARRAY_LEN(ring_modes); mode++) {
        struct vub *v = start();
        struct front *f = front_new(v, "d", &ring_modes[mode]);
        struct front *waits = front_connect(v, "d");

        blk_verify(f->vq[0], 0, 4096, mode);
        for (unsigned k = 0; k < 8; k++)
            blk_add(f->vq[1], blk_new(f, 4096), VIRTIO_BLK_T_IN, k, 4096);
        vq_kick(f->vq[1]);
        vub_stop(v);
        front_need_hangup(f);
        front_need_hangup(waits);
        assert_int_not_equal(access(f->path, F_OK), 0);
        front_free(f);
        front_free(waits);
        vub_free(v);
    }
}

/* What a guest has set goes with it, once it has ended for certain. */
static void the_write_cache_is_as_configured_for_the_next_guest(void **state)
{
    struct vub *v = vub_new();
    struct front *f;
    uint8_t on = 1;

    (void)state;
    assert_int_equal(
        close(open(vub_path(v, "img"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600)),
        0);
    assert_int_equal(truncate(vub_path(v, "img"), 1 << 20), 0);
    vub_config(v, DISK("d", "", "{'type': 'file', 'path': 'img'}"));
    vub_run(v);
    for (unsigned clean = 0; clean < 2; clean++) {
        f = front_new(v, "d", NULL);
        assert_int_equal(front_set_config(f, 32, "\0", 1), 0);
        if (clean)
            vq_stop(f->vq[0]);
        front_free(f);
        /* One that only looks is nobody's guest. */
        f = front_connect(v, "d");
        front_negotiate(f, &(struct front_conf){0});
        front_config(f, 32, &on, 1);
        assert_int_equal(on, clean);
        front_free(f);
    }
    vub_free(v);
}

/* Who, with what, and why it went: a line each, and no more. */
static void a_front_end_has_two_lines(void **state)
{
    struct vub *v = vub_new();
    const char *line;
    struct front *f;
    char who[64];

    (void)state;
    v->quiet = true;
    snprintf(who, sizeof(who),
             "front-end connected (process %d, user %u): ", getpid(),
             geteuid());
    vub_config(v, DISK("d", "'queues': 4, ", MEMORY));
    vub_run(v);
    for (unsigned packed = 0; packed < 2; packed++) {
        char features[64];

        vub_log_mark(v);
        f = front_new(v, "d",
                      &(struct front_conf){.packed = packed,
                                           .queues = 3,
                                           .rings_stopped = true});
        for (unsigned i = 0; i < 3; i++)
            vq_tell(f->vq[i]);
        for (unsigned i = 0; i < 3; i++)
            vq_enable(f->vq[i], true);
        blk_verify(f->vq[0], 0, 4096, 1);
        blk_verify(f->vq[2], 0, 4096, 2);
        snprintf(features, sizeof(features),
                 "3 of 4 rings, %s, features 0x%" PRIx64,
                 packed ? "packed" : "split", f->acked);
        line = vub_log_wait(v, who);
        assert_non_null(strstr(line, "vub: d: "));
        assert_non_null(strstr(line, features));
        front_free(f);
        line = vub_log_wait(v, "is gone: ");
        assert_non_null(strstr(line, "it hung up"));
        assert_int_equal(vub_log_count(v, "d: "), 2);
    }
    /* One that only looks has one. */
    vub_log_mark(v);
    f = front_connect(v, "d");
    front_settle(f);
    front_free(f);
    vub_log_wait(v, ", which has started no ring, is gone: it hung up");
    assert_int_equal(vub_log_count(v, "d: "), 1);
    vub_free(v);
}

/* Another vub that wants the same socket, or a script that looks if it is
 * there. */
static void who_says_nothing_is_no_front_end(void **state)
{
    struct vub *v = vub_new();

    (void)state;
    vub_config(v, getenv("VUB_TEST_ISOLATION")
                      ? DISK("d", "", MEMORY) ", " DISK("e", "", MEMORY)
                      : DISK("d", "", MEMORY) ", " DISK(
                            "e", "'isolation': 'process', ", MEMORY));
    v->quiet = true;
    vub_run(v);
    for (unsigned i = 0; i < 2; i++) {
        const char *id = i ? "e" : "d";
        struct front *f;

        vub_log_mark(v);
        front_free(front_connect(v, id));
        f = front_connect(v, id); /* which is served behind it */
        front_settle(f);
        assert_int_equal(vub_log_count(v, i ? "e: front-end" : "d: front-end"),
                         0);
        front_free(f);
    }
    vub_free(v);
}

static void coming_and_going_does_not_fill_the_log(void **state)
{
    struct vub *v = vub_new();
    struct front *f;

    (void)state;
    v->quiet = true;
    vub_config(v, DISK("d", "'queues': 2, ", MEMORY));
    vub_run(v);
    for (unsigned i = 0; i < 100; i++) {
        f = front_new(v, "d", NULL);
        blk_verify(f->vq[0], 0, 512, i);
        front_free(f);
    }
    /* Those that are odd have lines of their own. */
    for (unsigned i = 0; i < 100; i++) {
        const uint64_t all = UINT64_MAX;

        f = front_connect(v, "d");
        front_send(f, WIRE_SET_FEATURES, 0, &all, sizeof(all), NULL, 0);
        front_send(f, WIRE_SET_PROTOCOL_FEATURES, 0, &all, sizeof(all), NULL,
                   0);
        front_settle(f);
        front_free(f);
    }
    vub_stop(v);
    assert_in_range(vub_log_count(v, "d: "), 5, 100);
    assert_in_range(vub_log_count(v, "were not offered"), 2, 20);
    assert_in_range(vub_log_count(v, "d: front-end connected"), 5, 20);
    vub_free(v);
}

BEHAVE_MAIN(T(a_hundred_front_ends_leave_no_trace),
            T(a_guest_goes_on_after_a_hundred_reconnects),
            T(giving_up_half_way_leaves_no_trace),
            T(those_who_wait_are_served_in_turn),
            T(a_front_end_that_is_killed_is_like_one_that_left),
            T(on_disconnect_exit_ends_the_program),
            T(sigterm_ends_sessions_cleanly),
            T(the_write_cache_is_as_configured_for_the_next_guest),
            T(a_front_end_has_two_lines), T(who_says_nothing_is_no_front_end),
            T(coming_and_going_does_not_fill_the_log))
