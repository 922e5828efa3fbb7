/* Messages, each by itself: what is answered, what is refused, and what ends
 * the session; fds that come along are accounted for on every path. */
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "behave.h"

static struct vub *start(void)
{
    return vub_start(DISK("d", "'queues': 2, ", MEMORY));
}

static struct front *negotiated(struct vub *v)
{
    struct front *f = front_connect(v, "d");

    front_negotiate(f, &(struct front_conf){.queues = 2});
    return f;
}

static const struct {
    uint32_t request, size;
    unsigned fds_min, fds_max;
} known[] = {
    {WIRE_GET_FEATURES, 0, 0, 0},
    {WIRE_SET_FEATURES, 8, 0, 0},
    {WIRE_SET_OWNER, 0, 0, 0},
    {WIRE_RESET_OWNER, 0, 0, 0},
    {WIRE_SET_MEM_TABLE, 8, 0, 8},
    {WIRE_SET_LOG_BASE, 16, 0, 1},
    {WIRE_SET_LOG_FD, 0, 1, 1},
    {WIRE_SET_VRING_NUM, 8, 0, 0},
    {WIRE_SET_VRING_ADDR, 40, 0, 0},
    {WIRE_SET_VRING_BASE, 8, 0, 0},
    {WIRE_GET_VRING_BASE, 8, 0, 0},
    {WIRE_SET_VRING_KICK, 8, 0, 1},
    {WIRE_SET_VRING_CALL, 8, 0, 1},
    {WIRE_SET_VRING_ERR, 8, 0, 1},
    {WIRE_GET_PROTOCOL_FEATURES, 0, 0, 0},
    {WIRE_SET_PROTOCOL_FEATURES, 8, 0, 0},
    {WIRE_GET_QUEUE_NUM, 0, 0, 0},
    {WIRE_SET_VRING_ENABLE, 8, 0, 0},
    {WIRE_SET_BACKEND_REQ_FD, 0, 1, 1},
    {WIRE_GET_CONFIG, 12, 0, 0},
    {WIRE_SET_CONFIG, 12, 0, 0},
    {WIRE_GET_INFLIGHT_FD, 20, 0, 0},
    {WIRE_SET_INFLIGHT_FD, 20, 1, 1},
    {WIRE_RESET_DEVICE, 0, 0, 0},
    {WIRE_GET_MAX_MEM_SLOTS, 0, 0, 0},
    {WIRE_ADD_MEM_REG, 40, 0, 1},
    {WIRE_REM_MEM_REG, 40, 0, 1},
};

/* A whole life, every message of it acked. */
static void every_message_of_a_life_is_acked(void **state)
{
    struct vub *v = start();
    struct front *f = front_connect(v, "d");
    struct wire_state s = {0, 0};
    struct front_msg m;
    unsigned extra;
    int event;

    (void)state;
    front_set_up(f, &(struct front_conf){.queues = 2,
                                         .inflight = true,
                                         .backend_channel = true});
    blk_verify(f->vq[0], 0, 4096, 1);
    front_log_start(f);
    event = front_memfd(4096);
    front_ok(f, WIRE_SET_LOG_FD, NULL, 0, &event, 1);
    close(event);
    front_log_stop(f);
    extra = front_region_add(f, 1ull << 40, 1 << 20);
    front_region_tell(f, extra);
    front_region_untell(f, extra);
    vq_enable(f->vq[1], false);
    vq_enable(f->vq[1], true);
    assert_int_equal(front_set_config(f, 32, "\1", 1), 0);
    front_ok(f, WIRE_RESET_OWNER, NULL, 0, NULL, 0);
    /* Those that are answered by themselves are so with NEED_REPLY too. */
    front_send(f, WIRE_GET_VRING_BASE, WIRE_NEED_REPLY, &s, sizeof(s), NULL, 0);
    front_reply(f, WIRE_GET_VRING_BASE, &m);
    assert_int_equal(m.h.size, sizeof(s));
    assert_int_equal(m.state.num, f->vq[0]->avail_idx);
    front_send(f, WIRE_GET_FEATURES, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
    front_reply(f, WIRE_GET_FEATURES, &m);
    assert_int_equal(m.u64, f->offered);
    front_ok(f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    front_settle(f);
    front_free(f);
    vub_free(v);
}

static void unknown_messages_are_refused_and_the_session_goes_on(void **state)
{
    static const uint32_t unknown[] = {
        0,  19, 20, 22,  23,  26,    27,         28,        29,
        30, 33, 35, 39,  40,  41,    42,         43,        44,
        45, 46, 99, 255, 256, 65536, 0x7fffffff, 0xffffffff};
    struct vub *v = start();
    int before = footprint(v).fds, fds[3], rc;
    uint8_t payload[264] = {0};
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});

    (void)state;
    for (int i = 0; i < 3; i++)
        fds[i] = f->region[0].fd;
    for (unsigned i = 0; i < ARRAY_LEN(unknown); i++) {
        rc = (int)front_ack(f, unknown[i], payload, i % 3 * 8, fds, i % 4);
        assert_true(rc > 0);
        /* Not asked for: not answered; what comes is the next answer. */
        front_send(f, unknown[i], 0, payload, i * 8, fds, i % 4);
        front_settle(f);
    }
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    assert_int_equal(footprint(v).fds, before);
    vub_free(v);
}

static void a_message_without_its_protocol_feature_is_refused(void **state)
{
    static const struct {
        uint32_t request, size;
        unsigned fds, bit;
    } gated[] = {
        {WIRE_GET_QUEUE_NUM, 0, 0, WIRE_PF_MQ},
        {WIRE_SET_BACKEND_REQ_FD, 0, 1, WIRE_PF_BACKEND_REQ},
        {WIRE_GET_CONFIG, 16, 0, WIRE_PF_CONFIG},
        {WIRE_SET_CONFIG, 16, 0, WIRE_PF_CONFIG},
        {WIRE_GET_INFLIGHT_FD, 20, 0, WIRE_PF_INFLIGHT_SHMFD},
        {WIRE_SET_INFLIGHT_FD, 20, 1, WIRE_PF_INFLIGHT_SHMFD},
        {WIRE_RESET_DEVICE, 0, 0, WIRE_PF_RESET_DEVICE},
        {WIRE_GET_MAX_MEM_SLOTS, 0, 0, WIRE_PF_CONFIGURE_MEM_SLOTS},
        {WIRE_ADD_MEM_REG, 40, 1, WIRE_PF_CONFIGURE_MEM_SLOTS},
        {WIRE_REM_MEM_REG, 40, 0, WIRE_PF_CONFIGURE_MEM_SLOTS},
    };
    struct vub *v = start();
    uint8_t payload[64] = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(gated); i++) {
        struct front_conf c = {.protocol_off = FEATURE(gated[i].bit)};
        struct front *f = front_new(v, "d", &c);

        assert_true(front_ack(f, gated[i].request, payload, gated[i].size,
                              &f->region[0].fd, gated[i].fds) > 0);
        blk_verify(f->vq[0], 0, 512, i);
        front_free(f);
    }
    vub_free(v);
}

/* ---- Form ---- */

/* Sends it; the session must end, with one line about it. */
static void must_end(struct vub *v, struct front *f, uint32_t request,
                     uint32_t flags, const void *payload, uint32_t len,
                     const int *fds, unsigned num_fds)
{
    vub_log_mark(v);
    front_send(f, request, flags, payload, len, fds, num_fds);
    front_need_hangup(f);
    assert_non_null(strstr(vub_log_wait(v, "is gone:"), "error: "));
    assert_int_equal(vub_log_count(v, "is gone:"), 1);
    front_free(f);
}

static void a_payload_of_the_wrong_size_ends_the_session(void **state)
{
    struct vub *v = start();
    int before = footprint(v).fds;
    uint8_t payload[400] = {0};

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(known); i++) {
        int fd = front_memfd(4096);

        must_end(v, negotiated(v), known[i].request, 0, payload, 300, &fd,
                 known[i].fds_min);
        if (known[i].size)
            must_end(v, negotiated(v), known[i].request, WIRE_NEED_REPLY,
                     payload, known[i].size > 8 ? 7 : known[i].size - 1, &fd,
                     known[i].fds_min);
        if (known[i].size)
            must_end(v, negotiated(v), known[i].request, 0, payload, 0, &fd,
                     known[i].fds_min);
        close(fd);
    }
    assert_int_equal(footprint(v).fds, before);
    vub_free(v);
}

/* libvhost-user aborts on this. */
static void a_header_that_promises_gigabytes_ends_the_session(void **state)
{
    static const uint32_t sizes[] = {273, 4096, 0x7fffffff, 0xfffffff4,
                                     0xffffffff};
    struct vub *v = start();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(sizes); i++) {
        struct front *f = negotiated(v);
        struct wire_header h = {WIRE_SET_MEM_TABLE, WIRE_VERSION, sizes[i]};

        front_send_bytes(f, &h, sizeof(h), NULL, 0);
        front_need_hangup(f);
        front_free(f);
    }
    front_free(negotiated(v));
    vub_free(v);
}

static void a_wrong_version_or_a_reply_ends_the_session(void **state)
{
    static const uint32_t flags[] = {0, 2, 3, WIRE_VERSION | WIRE_REPLY,
                                     WIRE_VERSION | WIRE_REPLY |
                                         WIRE_NEED_REPLY};
    struct vub *v = start();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        struct front *f = negotiated(v);
        struct wire_header h = {WIRE_GET_FEATURES, flags[i], 0};

        vub_log_mark(v);
        front_send_bytes(f, &h, sizeof(h), NULL, 0);
        front_need_hangup(f);
        vub_log_wait(v, "is gone:");
        front_free(f);
    }
    front_free(negotiated(v));
    vub_free(v);
}

/* Any number of fds with any message: what it does not take is closed. */
static void fds_never_leak(void **state)
{
    static const unsigned counts[] = {0, 1, 2, 7, 8, 9, 16, 17, 32};
    struct vub *v = start();
    int before = footprint(v).fds, fds[32];
    uint8_t payload[64] = {0};

    (void)state;
    for (int i = 0; i < 32; i++)
        fds[i] = front_memfd(4096);
    for (unsigned i = 0; i < ARRAY_LEN(known); i++)
        for (unsigned k = 0; k < ARRAY_LEN(counts); k++) {
            struct front *f = negotiated(v);

            front_send(f, known[i].request, k % 2 ? WIRE_NEED_REPLY : 0,
                       payload, known[i].size, fds, counts[k]);
            if (counts[k] > known[i].fds_max)
                front_need_hangup(f);
            else
                front_lives(f); /* or not: some have no meaning then */
            front_free(f);
        }
    for (int i = 0; i < 32; i++)
        close(fds[i]);
    assert_int_equal(footprint(v).fds, before);
    vub_free(v);
}

/* 200 kick, call and err fds on one ring: the last one stays. */
static void replaced_fds_are_closed(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct vq *q = f->vq[0];
    int before = front_fds(f, v);

    (void)state;
    for (int i = 0; i < 200; i++) {
        vq_tell_fd(q, WIRE_SET_VRING_CALL, q->call_fd);
        vq_tell_fd(q, WIRE_SET_VRING_ERR, q->err_fd);
        vq_tell_fd(q, WIRE_SET_VRING_KICK, q->kick_fd);
        vq_tell_fd(f->vq[1], WIRE_SET_VRING_CALL, f->vq[1]->call_fd);
    }
    blk_verify(q, 0, 4096, 1);
    assert_int_equal(front_fds(f, v), before);
    vq_stop(q);
    for (int i = 0; i < 200; i++)
        vq_tell_fd(q, WIRE_SET_VRING_CALL, q->call_fd);
    vq_start(q);
    blk_verify(q, 0, 4096, 2);
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    vub_free(v);
}

/* ---- Content ---- */

/* Items 2 and CVE-2020-10723, -10726: the index is checked in full width. */
static void a_ring_that_is_none_is_refused(void **state)
{
    static const uint32_t bad[] = {
        2, 3, 63, 64, 255, 256, 0x10000, 0x7fffffff, 0x80000000, 0xffffffff};
    static const uint32_t by_state[] = {WIRE_SET_VRING_NUM, WIRE_SET_VRING_BASE,
                                        WIRE_SET_VRING_ENABLE};
    static const uint32_t by_fd[] = {WIRE_SET_VRING_KICK, WIRE_SET_VRING_CALL,
                                     WIRE_SET_VRING_ERR};
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    int before = front_fds(f, v);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        struct wire_state s = {bad[i], 1};
        struct wire_addr a = {.index = bad[i]};
        uint64_t u64 = bad[i];

        for (int k = 0; k < 3; k++) {
            assert_true(front_ack(f, by_state[k], &s, sizeof(s), NULL, 0) > 0);
            if ((bad[i] & 0xff) < 2)
                continue; /* there the index is 8 bits */
            assert_true(front_ack(f, by_fd[k], &u64, 8, &f->vq[0]->call_fd, 1) >
                        0);
        }
        assert_true(front_ack(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0) >
                    0);
        assert_true(front_ack(f, WIRE_GET_VRING_BASE, &s, sizeof(s), NULL, 0) >
                    0);
    }
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[1], 0, 4096, 2);
    assert_int_equal(front_fds(f, v), before);
    front_free(f);
    vub_free(v);
}

/* The line names the message and says what was wrong with it. */
static void a_refusal_is_logged(void **state)
{
    static const struct {
        uint32_t request, num;
        const char *line;
    } cases[] = {
        {WIRE_SET_VRING_NUM, 0, "refused SET_VRING_NUM: ring 7"},
        {WIRE_SET_VRING_BASE, 0, "refused SET_VRING_BASE: ring 7"},
        {WIRE_GET_VRING_BASE, 0, "refused GET_VRING_BASE: ring 7"},
        {WIRE_SET_VRING_ENABLE, 1, "refused SET_VRING_ENABLE: ring 7"},
        {99, 0, "unknown request 99"},
    };
    struct vub *v = start();
    struct front *f = negotiated(v);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        struct wire_state s = {7, cases[i].num};

        assert_true(front_ack(f, cases[i].request, &s, sizeof(s), NULL, 0) > 0);
        vub_log_wait(v, cases[i].line);
    }
    front_free(f);
    vub_free(v);
}

/* Without an ack there is no other way to say that it went wrong. */
static void a_refusal_that_cannot_be_told_ends_the_session(void **state)
{
    struct vub *v = start();
    struct wire_state s = {7, 128};

    (void)state;
    must_end(v, negotiated(v), WIRE_SET_VRING_NUM, 0, &s, sizeof(s), NULL, 0);
    vub_log_wait(v, "is gone: SET_VRING_NUM: ring 7");
    must_end(v, negotiated(v), WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    front_free(negotiated(v));
    vub_free(v);
}

static void what_a_started_ring_is_may_not_change(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    struct wire_state s = {0, 64};
    struct wire_addr a = {0};

    (void)state;
    assert_true(front_ack(f, WIRE_SET_VRING_NUM, &s, sizeof(s), NULL, 0) > 0);
    assert_true(front_ack(f, WIRE_SET_VRING_BASE, &s, sizeof(s), NULL, 0) > 0);
    assert_true(front_ack(f, WIRE_SET_VRING_ADDR, &a, sizeof(a), NULL, 0) > 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

static void a_notifier_says_whether_it_has_an_fd(void **state)
{
    static const uint32_t requests[] = {
        WIRE_SET_VRING_KICK, WIRE_SET_VRING_CALL, WIRE_SET_VRING_ERR};
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    int before = front_fds(f, v);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(requests); i++) {
        uint64_t with = 0, without = WIRE_VRING_NOFD;

        assert_true(front_ack(f, requests[i], &with, 8, NULL, 0) > 0);
        assert_true(
            front_ack(f, requests[i], &without, 8, &f->vq[0]->err_fd, 1) > 0);
    }
    assert_int_equal(front_fds(f, v), before);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* A regular file can be read for ever and is no event. */
static void a_kick_fd_of_another_kind_harms_nobody(void **state)
{
    struct vub *v = start();
    struct front *f = front_new(v, "d", &(struct front_conf){.queues = 2});
    const char *path = vub_path(v, "plain");
    int fds[4], pair[2];

    (void)state;
    fds[0] = open(path, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
    fds[1] = front_memfd(4096);
    fds[2] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    fds[3] = pair[0];
    close(pair[1]);
    for (int i = 0; i < 4; i++) {
        uint64_t u64 = 0;

        front_ack(f, WIRE_SET_VRING_KICK, &u64, 8, &fds[i], 1);
        front_ack(f, WIRE_SET_VRING_CALL, &u64, 8, &fds[i], 1);
        front_ack(f, WIRE_SET_VRING_ERR, &u64, 8, &fds[i], 1);
        front_settle(f);
        blk_verify(f->vq[1], 0, 4096, (uint64_t)i);
    }
    vq_stop(f->vq[0]);
    for (int i = 0; i < 4; i++)
        close(fds[i]);
    front_free(f);
    vub_free(v);
}

static void a_backend_channel_must_be_a_socket(void **state)
{
    struct vub *v = start();
    struct front *f = negotiated(v);
    int before = front_fds(f, v), fd = front_memfd(4096);

    (void)state;
    assert_true(front_ack(f, WIRE_SET_BACKEND_REQ_FD, NULL, 0, &fd, 1) > 0);
    assert_int_equal(front_fds(f, v), before);
    close(fd);
    front_free(f);
    vub_free(v);
}

/* ---- RESET_DEVICE ---- */

static void reset_keeps_what_belongs_to_the_connection(void **state)
{
    struct vub *v = start();
    struct front *f;
    struct vq *q;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct front_conf c = ring_modes[i];

        c.backend_channel = true;
        f = front_new(v, "d", &c);
        front_log_start(f);
        blk_verify(f->vq[0], 0, 4096, 1);
        front_ok(f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
        /* The acks still come (protocol features), the memory is still there
         * (rings start), and so is the log. */
        front_log_clear(f);
        for (unsigned k = 0; k < 2; k++) {
            q = f->vq[k];
            vq_reset(q);
            vq_start(q);
            blk_verify(q, 8, 4096, k);
        }
        assert_true(front_log_count(f) > 0);
        assert_false(front_wait_fd(f->backend_fd, 1 /* POLLIN */, 0));
        front_free(f);
    }
    vub_free(v);
}

/* ---- Order ---- */

/* Many requests in one write: all answered, in order, none lost. */
static void messages_may_be_pipelined(void **state)
{
    struct vub *v = start();
    struct front *f = negotiated(v);
    struct wire_header h[200];
    struct front_msg m;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(h); i++)
        h[i] = (struct wire_header){i % 2 ? WIRE_GET_FEATURES
                                          : WIRE_GET_MAX_MEM_SLOTS,
                                    WIRE_VERSION, 0};
    front_send_bytes(f, h, sizeof(h), NULL, 0);
    for (unsigned i = 0; i < ARRAY_LEN(h); i++) {
        front_reply(f, h[i].request, &m);
        assert_int_equal(m.u64, i % 2 ? f->offered : 509);
    }
    front_free(f);
    vub_free(v);
}

BEHAVE_MAIN(T(every_message_of_a_life_is_acked),
            T(unknown_messages_are_refused_and_the_session_goes_on),
            T(a_message_without_its_protocol_feature_is_refused),
            T(a_payload_of_the_wrong_size_ends_the_session),
            T(a_header_that_promises_gigabytes_ends_the_session),
            T(a_wrong_version_or_a_reply_ends_the_session), T(fds_never_leak),
            T(replaced_fds_are_closed), T(a_ring_that_is_none_is_refused),
            T(a_refusal_is_logged),
            T(a_refusal_that_cannot_be_told_ends_the_session),
            T(what_a_started_ring_is_may_not_change),
            T(a_notifier_says_whether_it_has_an_fd),
            T(a_kick_fd_of_another_kind_harms_nobody),
            T(a_backend_channel_must_be_a_socket),
            T(reset_keeps_what_belongs_to_the_connection),
            T(messages_may_be_pipelined))
