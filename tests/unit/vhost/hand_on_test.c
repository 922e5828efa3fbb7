/* A front-end that is handed on from one back-end to the next at any moment,
 * and goes on: its messages, its rings, and those who wait behind it. */
#include <unistd.h>

#include "behave/behave.h"
#include "house.h"

/* ---- messages ---- */

static void a_message_that_nobody_has_read_is_for_the_next(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    tenant_move_out(s.t, &v);
    front_send(s.f, WIRE_GET_QUEUE_NUM, 0, NULL, 0, NULL, 0);
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    front_reply(s.f, WIRE_GET_QUEUE_NUM, &m);
    assert_int_equal(m.u64, 2);
    blk_verify(s.f->vq[1], 0, 4096, 1);
    stay_end(&s);
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
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    begin_message(s.f, &head);
    tenant_suspend(s.t);
    blk_verify(s.f->vq[0], 0, 4096, 1); /* rings run meanwhile */
    front_send_bytes(s.f, (const uint8_t *)&head + 5, sizeof(head) - 5, NULL,
                     0);
    assert_true(tenant_moved_out(s.t, &v));
    front_reply(s.f, WIRE_GET_QUEUE_NUM, &m);
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    blk_verify(s.f->vq[0], 0, 4096, 2);
    stay_end(&s);
}

static void a_message_that_never_ends_ends_the_session(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v;

    (void)state;
    begin_message(s.f, &head);
    tenant_move_out(s.t, &v);
    assert_int_equal(v.fd, -1);
    assert_true(v.has_run);
    front_need_hangup(s.f);
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    front_resume(s.f);
    blk_verify(s.f->vq[0], 0, 4096, 2);
    stay_end(&s);
}

static void what_is_sent_in_two_processes_is_one_message(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v;
    struct front_msg m;

    (void)state;
    tenant_move_out(s.t, &v);
    front_send_bytes(s.f, &head, 5, NULL, 0);
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    front_send_bytes(s.f, (const uint8_t *)&head + 5, sizeof(head) - 5, NULL,
                     0);
    front_reply(s.f, WIRE_GET_QUEUE_NUM, &m);
    stay_end(&s);
}

static void it_may_be_closed_while_it_is_suspended(void **state)
{
    const struct wire_header head = {WIRE_GET_QUEUE_NUM, WIRE_VERSION, 0};
    struct stay s = stay_begin(FILE_DISK, 2);

    (void)state;
    begin_message(s.f, &head);
    tenant_suspend(s.t);
    tenant_free(s.t);
    front_need_hangup(s.f);
    front_free(s.f);
    house_free(s.h);
}

/* Step by step, a move before each. */
static void a_set_up_may_be_handed_on_anywhere(void **state)
{
    const struct front_conf conf = {.queues = 2,
                                    .event_idx = true,
                                    .inflight = true,
                                    .backend_channel = true,
                                    .rings_stopped = true};
    struct stay s = {.h = house_new()};

    (void)state;
    s.t = tenant_move_in(s.h, FILE_DISK, NULL);
    s.f = front_connect_path(s.h->at.path);
    front_settle(s.f); /* it has been accepted */
    stay_move(&s, FILE_DISK);
    front_negotiate(s.f, &conf);
    stay_move(&s, FILE_DISK);
    front_share(s.f);
    stay_move(&s, FILE_DISK);
    front_start_rings(s.f);
    stay_move(&s, FILE_DISK);
    vq_start(s.f->vq[0]);
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    vq_start(s.f->vq[1]);
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[1], 8, 4096, 2);
    vq_stop(s.f->vq[0]);
    stay_move(&s, FILE_DISK);
    vq_start(s.f->vq[0]);
    blk_verify(s.f->vq[0], 0, 4096, 3);
    blk_verify(s.f->vq[1], 8, 4096, 4);
    vq_enable(s.f->vq[1], false);
    stay_move(&s, FILE_DISK);
    vq_enable(s.f->vq[1], true);
    blk_verify(s.f->vq[1], 8, 4096, 5);
    front_need_config_change(s.f); /* what has changed meanwhile nobody knows */
    stay_end(&s);
}

static void memory_that_is_added_is_known_to_the_next(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    unsigned region[20];
    struct blk_req *r;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(region); i++) {
        region[i] =
            front_region_add(s.f, (4ull << 30) + (i * 2ull << 20), 1 << 20);
        front_region_tell(s.f, region[i]);
    }
    front_region_untell(s.f, region[3]);
    stay_move(&s, FILE_DISK);
    r = blk_new(s.f, 4096);
    for (unsigned i = 0; i < ARRAY_LEN(region); i++) {
        uint64_t gpa = front_alloc_in(s.f, region[i], 4096, 4096);
        struct vq_buf b[3] = {
            {r->head_gpa, sizeof(*r->head)}, {gpa, 4096}, {r->status_gpa, 1}};
        uint32_t len;
        void *cookie;

        if (i == 3)
            continue;
        *r->head = (struct virtio_blk_req_head){.type = VIRTIO_BLK_T_IN};
        *r->status = BLK_S_NONE;
        assert_true(vq_add(s.f->vq[0], b, 1, 2, r) != VQ_NONE);
        vq_kick(s.f->vq[0]);
        while (vq_pop(s.f->vq[0], &len, &cookie) < 0)
            vq_wait(s.f->vq[0]);
        assert_int_equal(*r->status, VIRTIO_BLK_S_OK);
    }
    front_region_tell(s.f, region[3]); /* it may be, for it is not there */
    stay_end(&s);
}

/* ---- rings ---- */

static void a_ring_that_is_broken_is_not_tried_again(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    struct vq *q = s.f->vq[0];

    (void)state;
    vq_desc(q, 0, ~0ull, 512, 0, 0); /* nowhere */
    vq_avail_put(q, 0);
    vq_avail_show(q);
    vq_notify(q);
    vq_need_err(q);
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[1], 0, 4096, 1);
    assert_false(vq_has_err(q));
    assert_int_equal(s.t->broken, 0);
    vq_stop(q);
    vq_reset(q);
    vq_start(q);
    blk_verify(q, 0, 4096, 2);
    stay_end(&s);
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
    struct stay s = {.h = house_new()};
    struct endpoint_visitor v;

    (void)state;
    s.t = waits_to_start(s.h, NULL);
    stay_visit(&s, &(struct front_conf){.queues = 2});
    tenant_move_out(s.t, &v);
    s.t = waits_to_start(s.h, &v);
    tenant_suspend(s.t);
    sem_wait(&s.t->arrived); /* it has not */
    assert_true(tenant_moved_out(s.t, &v));
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    blk_verify(s.f->vq[1], 0, 4096, 2);
    stay_end(&s);
}

/* ---- those who wait ---- */

static void whoever_waits_still_waits(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    struct front *next = front_connect_path(s.h->at.path);

    (void)state;
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    assert_int_equal(access(s.h->at.path, F_OK), 0);
    front_free(s.f);
    front_set_up(next, &(struct front_conf){.queues = 2});
    blk_verify(next->vq[0], 0, 4096, 2);
    assert_int_equal(s.t->connected, 1);
    front_free(next);
    tenant_free(s.t);
    house_free(s.h);
}

static void nobody_may_be_handed_on(void **state)
{
    struct stay s = {.h = house_new()};
    struct endpoint_visitor v;

    (void)state;
    s.t = tenant_move_in(s.h, FILE_DISK, NULL);
    tenant_move_out(s.t, &v);
    assert_int_equal(v.fd, -1);
    assert_null(v.said);
    assert_false(v.has_run);
    s.f = front_connect_path(s.h->at.path);
    s.t = tenant_move_in(s.h, FILE_DISK, &v);
    front_set_up(s.f, &(struct front_conf){.queues = 2});
    blk_verify(s.f->vq[0], 0, 4096, 2);
    stay_end(&s);
}

BEHAVE_MAIN(T(a_message_that_nobody_has_read_is_for_the_next),
            T(a_message_that_has_begun_is_done_before),
            T(a_message_that_never_ends_ends_the_session),
            T(what_is_sent_in_two_processes_is_one_message),
            T(it_may_be_closed_while_it_is_suspended),
            T(a_set_up_may_be_handed_on_anywhere),
            T(memory_that_is_added_is_known_to_the_next),
            T(a_ring_that_is_broken_is_not_tried_again),
            T(a_device_that_has_not_started_yet_may_be_handed_on),
            T(whoever_waits_still_waits), T(nobody_may_be_handed_on))
