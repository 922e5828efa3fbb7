/* A front-end that is handed on from one back-end to the next, and goes on. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "behave/behave.h"
#include "front/display.h"
#include "front/gpu.h"
#include "house.h"

/* ThreadSanitizer does not see that one ring's memory is unmapped before
 * another one has its place. */
#ifdef __SANITIZE_THREAD__
#define ENGINE ", 'engine': 'threads'"
#else
#define ENGINE ""
#endif

#define FILE_DISK                                                              \
    "'type': 'block', 'queues': 2, 'store': {'type': 'file', 'path': "         \
    "'@/disk'" ENGINE "}"
#define SHORT_DRAIN "'drain_timeout': 200, "
#define STUCK_DISK                                                             \
    "'type': 'block', " SHORT_DRAIN                                            \
    "'store': {'type': 'fault', 'rules': [{'op': 'write', 'count': 1, "        \
    "'stuck': true}], 'next': {'type': 'file', 'path': '@/disk'" ENGINE "}}"

bool __wrap_sock_is_own(int fd);

bool __wrap_sock_is_own(int fd)
{
    (void)fd;
    return false;
}

static void move(struct tenant **t, const char *config)
{
    struct house *h = (*t)->house;
    struct endpoint_visitor v;

    tenant_move_out(*t, &v);
    *t = tenant_move_in(h, config, &v);
}

static struct front *visit(struct house *h, const struct front_conf *conf)
{
    struct front *f = front_connect_path(h->path);

    front_set_up(f, conf);
    return f;
}

/* ---- under load ---- */

#define MOVES 12
#define DEPTH 8
#define PIECE 4096u

struct mover {
    struct tenant *t;
    const char *config;
    sem_t ripe; /* so much has been done since */
    bool over;  /* atomic */
    struct thread thread;
};

static void keep_moving(void *arg)
{
    struct mover *m = arg;

    for (unsigned i = 0; i < MOVES; i++) {
        for (unsigned k = 0; k < 3 * DEPTH; k++)
            sem_wait(&m->ripe);
        move(&m->t, m->config);
    }
    __atomic_store_n(&m->over, true, __ATOMIC_RELEASE);
}

/* Writes to all places of a queue at once, then reads all back. */
static void work(struct front *f, struct mover *m, uint32_t type, uint64_t seed)
{
    struct blk_req *r[FRONT_QUEUES_MAX][DEPTH];
    uint8_t want[PIECE];

    for (unsigned i = 0; i < f->conf.queues; i++)
        for (unsigned k = 0; k < DEPTH; k++) {
            r[i][k] = blk_new(f, PIECE);
            if (type == VIRTIO_BLK_T_OUT)
                front_fill(r[i][k]->data, PIECE, seed + i * DEPTH + k);
            blk_go(f->vq[i], r[i][k], type, (i * DEPTH + k) * (PIECE / 512),
                   PIECE);
        }
    for (unsigned i = 0; i < f->conf.queues; i++)
        for (unsigned k = 0; k < DEPTH; k++) {
            assert_int_equal(blk_wait(f->vq[i], r[i][k]), VIRTIO_BLK_S_OK);
            front_fill(want, PIECE, seed + i * DEPTH + k);
            if (type == VIRTIO_BLK_T_IN)
                assert_memory_equal(r[i][k]->data, want, PIECE);
            blk_free(r[i][k]);
            sem_post(&m->ripe);
        }
}

static void load_goes_on(const char *config, const struct front_conf *conf,
                         bool log)
{
    struct house *h = house_new();
    struct mover m = {.config = config};
    struct front *f;
    struct err e;

    h->keeps = true;
    m.t = tenant_move_in(h, config, NULL);
    f = visit(h, conf);

    if (log)
        front_log_start(f);
    sem_init(&m.ripe, 0, 0);
    assert_int_equal(thread_start(&m.thread, "mover", keep_moving, &m, &e), 0);
    for (uint64_t seed = 1; !__atomic_load_n(&m.over, __ATOMIC_ACQUIRE);
         seed += 1000) {
        if (log)
            front_log_clear(f);
        work(f, &m, VIRTIO_BLK_T_OUT, seed);
        work(f, &m, VIRTIO_BLK_T_IN, seed);
        if (log)
            assert_true(front_log_count(f) >= 2 * DEPTH);
    }
    thread_join(&m.thread);
    assert_int_equal(m.t->connected, 0);
    assert_int_equal(m.t->disconnected, 0);
    assert_true(m.t->start.resumed);
    assert_true(m.t->start.recovered); /* by another device */
    for (unsigned i = 0; i < f->conf.queues; i++)
        vq_stop(f->vq[i]);
    front_free(f);
    tenant_free(m.t);
    sem_destroy(&m.ripe);
    house_free(h);
}

static void requests_go_on_in_each_ring_format(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        front_note("mode %u", i);
        load_goes_on(FILE_DISK, &ring_modes[i], false);
    }
}

static void requests_go_on_with_an_in_flight_record(void **state)
{
    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(ring_modes); i++) {
        struct front_conf conf = ring_modes[i];

        front_note("mode %u", i);
        conf.inflight = true;
        load_goes_on(FILE_DISK, &conf, false);
    }
}

static void what_is_written_is_logged_all_the_time(void **state)
{
    (void)state;
    load_goes_on(FILE_DISK,
                 &(struct front_conf){.queues = 2, .event_idx = true}, true);
    load_goes_on(FILE_DISK, &(struct front_conf){.queues = 2, .packed = true},
                 true);
}

static void a_disk_in_memory_goes_on_too(void **state)
{
    (void)state;
    load_goes_on("'type': 'block', 'queues': 2, "
                 "'store': {'type': 'memory', 'size': '4M'}",
                 &(struct front_conf){.queues = 2, .inflight = true}, false);
}

static void the_write_cache_goes_on_as_it_was(void **state)
{
    const uint32_t at = offsetof(struct virtio_blk_config, writeback);
    struct house *h = house_new();
    struct tenant *t;
    struct front *f;
    uint8_t is;

    (void)state;
    h->keeps = true;
    t = tenant_move_in(h, FILE_DISK, NULL);
    f = visit(h, &(struct front_conf){.queues = 2, .inflight = true});
    for (unsigned i = 0; i < 4; i++) {
        const uint8_t on = i % 2;

        assert_int_equal(front_set_config(f, at, &on, 1), 0);
        move(&t, FILE_DISK);
        front_config(f, at, &is, 1);
        assert_int_equal(is, on);
    }
    /* One that finds nothing is careful. */
    h->keeps = false;
    move(&t, FILE_DISK);
    front_config(f, at, &is, 1);
    assert_int_equal(is, 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* ---- messages ---- */

static void a_message_that_nobody_has_read_is_for_the_next(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    tenant_move_out(t, &v);
    front_send(f, WIRE_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
    t = tenant_move_in(h, FILE_DISK, &v);
    front_reply(f, WIRE_GET_QUEUE_NUM, &m);
    assert_int_equal(m.u64, 2);
    blk_verify(f->vq[1], 0, 4096, 1);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* A part of a message, which the back-end has read. */
static void begin_message(struct front *f, const struct wire_header *head)
{
    front_send_bytes(f, head, 5, NULL, 0);
    while (sock_is_unread(f->sock))
        thread_yield();
}

static void a_message_that_has_begun_is_done_before(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    begin_message(f, &head);
    tenant_suspend(t);
    blk_verify(f->vq[0], 0, 4096, 1); /* rings run meanwhile */
    front_send_bytes(f, (const uint8_t *)&head + 5, sizeof(head) - 5, NULL, 0);
    assert_true(tenant_moved_out(t, &v));
    front_reply(f, WIRE_GET_QUEUE_NUM, &m);
    t = tenant_move_in(h, FILE_DISK, &v);
    blk_verify(f->vq[0], 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void a_message_that_never_ends_ends_the_session(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;

    (void)state;
    begin_message(f, &head);
    tenant_move_out(t, &v);
    assert_int_equal(v.fd, -1);
    assert_true(v.has_run);
    front_need_hangup(f);
    t = tenant_move_in(h, FILE_DISK, &v);
    front_resume(f);
    blk_verify(f->vq[0], 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* Step by step, a move before each. */
static void a_set_up_may_be_handed_on_anywhere(void **state)
{
    const struct front_conf conf = {.queues = 2,
                                    .event_idx = true,
                                    .inflight = true,
                                    .backend_channel = true,
                                    .rings_stopped = true};
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = front_connect_path(h->path);

    (void)state;
    front_settle(f); /* it has been accepted */
    move(&t, FILE_DISK);
    front_negotiate(f, &conf);
    move(&t, FILE_DISK);
    front_share(f);
    move(&t, FILE_DISK);
    front_start_rings(f);
    move(&t, FILE_DISK);
    vq_start(f->vq[0]);
    move(&t, FILE_DISK);
    blk_verify(f->vq[0], 0, 4096, 1);
    vq_start(f->vq[1]);
    move(&t, FILE_DISK);
    blk_verify(f->vq[1], 8, 4096, 2);
    vq_stop(f->vq[0]);
    move(&t, FILE_DISK);
    vq_start(f->vq[0]);
    blk_verify(f->vq[0], 0, 4096, 3);
    blk_verify(f->vq[1], 8, 4096, 4);
    vq_enable(f->vq[1], false);
    move(&t, FILE_DISK);
    vq_enable(f->vq[1], true);
    blk_verify(f->vq[1], 8, 4096, 5);
    front_need_config_change(f); /* what has changed meanwhile nobody knows */
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void memory_that_is_added_is_known_to_the_next(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    unsigned region[20];
    struct blk_req *r;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(region); i++) {
        region[i] =
            front_region_add(f, (4ull << 30) + (i * 2ull << 20), 1 << 20);
        front_region_tell(f, region[i]);
    }
    front_region_untell(f, region[3]);
    move(&t, FILE_DISK);
    r = blk_new(f, 4096);
    for (unsigned i = 0; i < ARRAY_LEN(region); i++) {
        uint64_t gpa = front_alloc_in(f, region[i], 4096, 4096);
        struct vq_buf b[3] = {
            {r->head_gpa, sizeof(*r->head)}, {gpa, 4096}, {r->status_gpa, 1}};
        uint32_t len;
        void *cookie;

        if (i == 3)
            continue;
        *r->head = (struct virtio_blk_req_head){.type = VIRTIO_BLK_T_IN};
        *r->status = BLK_S_NONE;
        assert_true(vq_add(f->vq[0], b, 1, 2, r) != VQ_NONE);
        vq_kick(f->vq[0]);
        while (vq_pop(f->vq[0], &len, &cookie) < 0)
            vq_wait(f->vq[0]);
        assert_int_equal(*r->status, VIRTIO_BLK_S_OK);
    }
    front_region_tell(f, region[3]); /* it may be, for it is not there */
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* ---- rings ---- */

static void a_ring_that_is_broken_is_not_tried_again(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct vq *q = f->vq[0];

    (void)state;
    vq_desc(q, 0, ~0ull, 512, 0, 0); /* nowhere */
    vq_avail_put(q, 0);
    vq_avail_show(q);
    vq_notify(q);
    vq_need_err(q);
    move(&t, FILE_DISK);
    blk_verify(f->vq[1], 0, 4096, 1);
    assert_false(vq_has_err(q));
    assert_int_equal(t->broken, 0);
    vq_stop(q);
    vq_reset(q);
    vq_start(q);
    blk_verify(q, 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void never_starts(struct device *d, const struct device_start *s)
{
    (void)d;
    (void)s;
}

static void needs_no_stop(struct device *d)
{
    (void)d;
}

static struct tenant *waits_to_start(struct house *h,
                                     struct endpoint_visitor *v)
{
    struct tenant *t = tenant_new(h, FILE_DISK, v);

    t->ops.start = never_starts;
    t->ops.stop = needs_no_stop;
    tenant_begin(t);
    return t;
}

static void a_device_that_has_not_started_yet_may_be_handed_on(void **state)
{
    struct house *h = house_new();
    struct tenant *t = waits_to_start(h, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;

    (void)state;
    tenant_move_out(t, &v);
    t = waits_to_start(h, &v);
    tenant_suspend(t);
    sem_wait(&t->arrived); /* it has not */
    assert_true(tenant_moved_out(t, &v));
    t = tenant_move_in(h, FILE_DISK, &v);
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[1], 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* ---- those who wait ---- */

static void whoever_waits_still_waits(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct front *next = front_connect_path(h->path);

    (void)state;
    move(&t, FILE_DISK);
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(access(h->path, F_OK), 0);
    front_free(f);
    front_set_up(next, &(struct front_conf){.queues = 2});
    blk_verify(next->vq[0], 0, 4096, 2);
    assert_int_equal(t->connected, 1);
    front_free(next);
    tenant_free(t);
    house_free(h);
}

static void nobody_may_be_handed_on(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct endpoint_visitor v;
    struct front *f;

    (void)state;
    tenant_move_out(t, &v);
    assert_int_equal(v.fd, -1);
    assert_null(v.said);
    assert_false(v.has_run);
    f = front_connect_path(h->path);
    t = tenant_move_in(h, FILE_DISK, &v);
    front_set_up(f, &(struct front_conf){.queues = 2});
    blk_verify(f->vq[0], 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

/* ---- what goes wrong ---- */

static int save_fails(struct device *d, struct err *e)
{
    (void)d;
    return err_set(e, -ENOSPC, "", "there is no room");
}

static void what_cannot_be_saved_goes_on_where_it_is(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_new(h, FILE_DISK, NULL);
    struct endpoint_visitor v;
    struct front *f;

    (void)state;
    t->ops.save = save_fails;
    tenant_start(t);
    f = visit(h, &(struct front_conf){.queues = 2});
    for (unsigned i = 0; i < 3; i++) {
        tenant_suspend(t);
        blk_verify(f->vq[0], 0, 4096, i);
        assert_false(tenant_moved_out(t, &v));
        assert_string_equal(t->why.text, "there is no room");
        blk_verify(f->vq[1], 0, 4096, i);
    }
    assert_int_equal(t->disconnected, 0);
    assert_true(t->start.resumed);
    assert_false(t->start.recovered); /* it is the same device */
    t->ops.save = NULL;
    move(&t, FILE_DISK);
    blk_verify(f->vq[1], 0, 4096, 7);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void whom_one_does_not_take_another_may(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v, copy;

    (void)state;
    tenant_move_out(t, &v);
    copy = v;
    copy.fd = fcntl(v.fd, F_DUPFD_CLOEXEC, 0);
    copy.said = transcript_new(NULL);
    for (unsigned i = 0; i < transcript_count(v.said); i++) {
        assert_int_equal(transcript_hear(copy.said, transcript_at(v.said, i)),
                         0);
        transcript_done(copy.said, NULL);
    }
    /* One queue, where two are used. */
    t = tenant_new(h,
                   "'type': 'block', 'store': {'type': 'file', 'path': "
                   "'@/disk'}",
                   &v);
    tenant_start(t);
    assert_int_not_equal(t->why.code, 0);
    assert_non_null(strstr(t->why.text, "another process has taken"));
    tenant_free(t);
    t = tenant_move_in(h, FILE_DISK, &copy);
    blk_verify(f->vq[0], 0, 4096, 1);
    blk_verify(f->vq[1], 0, 4096, 2);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void features_are_not_lost_on_the_way(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;

    (void)state;
    assert_true(f->acked & FEATURE(VIRTIO_BLK_F_DISCARD));
    tenant_move_out(t, &v);
    t = tenant_new(h,
                   "'type': 'block', 'queues': 2, 'read_only': true, "
                   "'store': {'type': 'file', 'path': '@/disk'}",
                   &v);
    tenant_start(t);
    assert_non_null(strstr(t->why.text, "not offered here"));
    front_need_hangup(f); /* nobody has a copy */
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void a_request_that_is_stuck_is_given_up_and_handed_on(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, STUCK_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 1});
    struct blk_req *r = blk_new(f, 512);

    (void)state;
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 512);
    front_settle(f);
    move(&t, "'type': 'block', 'store': {'type': 'file', 'path': '@/disk'}");
    assert_int_equal(blk_wait(f->vq[0], r), VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static struct ring *undrained;

static void never_drain(struct device *d, struct ring *q, enum drain how)
{
    (void)d;
    (void)how;
    undrained = q;
}

static void drain_after_all(struct tenant *t)
{
    t->real->ring_drain(t->device, undrained, DRAIN_CANCEL);
}

static void a_request_that_never_ends_is_not_handed_on(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_new(h, STUCK_DISK, NULL);
    struct endpoint_visitor v;
    struct front *f;
    struct blk_req *r;

    (void)state;
    t->ops.ring_drain = never_drain;
    tenant_start(t);
    f = visit(h, &(struct front_conf){.queues = 1});
    r = blk_new(f, 512);
    blk_go(f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 512);
    front_settle(f);
    tenant_suspend(t);
    assert_false(tenant_moved_out(t, &v));
    assert_non_null(strstr(t->why.text, "still not done"));
    front_need_hangup(f);
    front_free(f);
    /* It has to be given up for the test to end. */
    tenant_do(t, drain_after_all);
    tenant_free(t);
    house_free(h);
}

/* So many fds may be opened from now on; those that are there stay. */
static void leave_fds(int count)
{
    struct rlimit limit;
    int fd = dup(0);

    close(fd); /* the lowest that is free */
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = count < 0 ? limit.rlim_max : (rlim_t)(fd + count);
    setrlimit(RLIMIT_NOFILE, &limit);
}

static void a_message_whose_fds_cannot_be_kept_is_refused(void **state)
{
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    const uint64_t ring = 0;
    int fd = eventfd(0, EFD_CLOEXEC);
    int64_t ack;

    (void)state;
    front_settle(f);
    leave_fds(1);
    ack = front_ack(f, WIRE_SET_VRING_CALL, &ring, sizeof(ring), &fd, 1);
    leave_fds(-1);
    assert_int_equal(ack, 1);
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(front_ack(f, WIRE_SET_VRING_CALL, &ring, sizeof(ring),
                               &f->vq[0]->call_fd, 1),
                     0);
    move(&t, FILE_DISK);
    blk_verify(f->vq[0], 0, 4096, 2);
    close(fd);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void what_is_sent_in_two_processes_is_one_message(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    tenant_move_out(t, &v);
    front_send_bytes(f, &head, 5, NULL, 0);
    t = tenant_move_in(h, FILE_DISK, &v);
    front_send_bytes(f, (const uint8_t *)&head + 5, sizeof(head) - 5, NULL, 0);
    front_reply(f, WIRE_GET_QUEUE_NUM, &m);
    front_free(f);
    tenant_free(t);
    house_free(h);
}

static void it_may_be_closed_while_it_is_suspended(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct house *h = house_new();
    struct tenant *t = tenant_move_in(h, FILE_DISK, NULL);
    struct front *f = visit(h, &(struct front_conf){.queues = 2});

    (void)state;
    begin_message(f, &head);
    tenant_suspend(t);
    tenant_free(t);
    front_need_hangup(f);
    front_free(f);
    house_free(h);
}

BEHAVE_MAIN(T(requests_go_on_in_each_ring_format),
            T(requests_go_on_with_an_in_flight_record),
            T(what_is_written_is_logged_all_the_time),
            T(a_disk_in_memory_goes_on_too),
            T(the_write_cache_goes_on_as_it_was),
            T(a_message_that_nobody_has_read_is_for_the_next),
            T(a_message_that_has_begun_is_done_before),
            T(a_message_that_never_ends_ends_the_session),
            T(a_set_up_may_be_handed_on_anywhere),
            T(memory_that_is_added_is_known_to_the_next),
            T(a_ring_that_is_broken_is_not_tried_again),
            T(a_device_that_has_not_started_yet_may_be_handed_on),
            T(whoever_waits_still_waits), T(nobody_may_be_handed_on),
            T(what_cannot_be_saved_goes_on_where_it_is),
            T(whom_one_does_not_take_another_may),
            T(features_are_not_lost_on_the_way),
            T(a_request_that_is_stuck_is_given_up_and_handed_on),
            T(a_request_that_never_ends_is_not_handed_on),
            T(a_message_whose_fds_cannot_be_kept_is_refused),
            T(what_is_sent_in_two_processes_is_one_message),
            T(it_may_be_closed_while_it_is_suspended))
