/* What goes wrong when a front-end is handed on: whoever served it goes on, or
 * another one may, or the front-end sees that it has ended. */
#include <errno.h>
#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include "behave/behave.h"
#include "house.h"

/* Its first write is never done. */
#define STUCK_DISK                                                             \
    "'type': 'block', 'drain_timeout': 200, "                                  \
    "'store': {'type': 'fault', 'rules': [{'op': 'write', 'count': 1, "        \
    "'stuck': true}], 'next': {'type': 'file', 'path': "                       \
    "'@/disk'" HOUSE_ENGINE "}}"

static int save_fails(struct device *d, struct err *e)
{
    (void)d;
    return err_set(e, -ENOSPC, "", "there is no room");
}

static void what_cannot_be_saved_goes_on_where_it_is(void **state)
{
    struct stay s = {.h = house_new()};
    struct endpoint_visitor v;

    (void)state;
    s.t = tenant_new(s.h, FILE_DISK, NULL);
    s.t->ops.save = save_fails;
    tenant_start(s.t);
    stay_visit(&s, &(struct front_conf){.queues = 2});
    for (unsigned i = 0; i < 3; i++) {
        tenant_suspend(s.t);
        blk_verify(s.f->vq[0], 0, 4096, i);
        assert_false(tenant_moved_out(s.t, &v));
        assert_string_equal(s.t->why.text, "there is no room");
        blk_verify(s.f->vq[1], 0, 4096, i);
    }
    assert_int_equal(s.t->disconnected, 0);
    assert_true(s.t->start.resumed);
    assert_false(s.t->start.recovered); /* it is the same device */
    s.t->ops.save = NULL;
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[1], 0, 4096, 7);
    stay_end(&s);
}

static void whom_one_does_not_take_another_may(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v, copy;

    (void)state;
    tenant_move_out(s.t, &v);
    copy = v;
    copy.fd = fcntl(v.fd, F_DUPFD_CLOEXEC, 0);
    copy.said = transcript_new(NULL);
    for (unsigned i = 0; i < transcript_count(v.said); i++) {
        assert_int_equal(transcript_hear(copy.said, transcript_at(v.said, i)),
                         0);
        transcript_done(copy.said, NULL);
    }
    /* One queue, where two are used. */
    s.t = tenant_new(s.h,
                     "'type': 'block', 'store': {'type': 'file', 'path': "
                     "'@/disk'}",
                     &v);
    tenant_start(s.t);
    assert_int_not_equal(s.t->why.code, 0);
    assert_non_null(strstr(s.t->why.text, "another process has taken"));
    tenant_free(s.t);
    s.t = tenant_move_in(s.h, FILE_DISK, &copy);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    blk_verify(s.f->vq[1], 0, 4096, 2);
    stay_end(&s);
}

static void features_are_not_lost_on_the_way(void **state)
{
    struct stay s = stay_begin(FILE_DISK, 2);
    struct endpoint_visitor v;

    (void)state;
    assert_true(s.f->acked & FEATURE(VIRTIO_BLK_F_DISCARD));
    tenant_move_out(s.t, &v);
    s.t = tenant_new(s.h,
                     "'type': 'block', 'queues': 2, 'read_only': true, "
                     "'store': {'type': 'file', 'path': '@/disk'}",
                     &v);
    tenant_start(s.t);
    assert_non_null(strstr(s.t->why.text, "not offered here"));
    front_need_hangup(s.f); /* nobody has a copy */
    stay_end(&s);
}

static void a_request_that_is_stuck_is_given_up_and_handed_on(void **state)
{
    struct stay s = stay_begin(STUCK_DISK, 1);
    struct blk_req *r = blk_new(s.f, 512);

    (void)state;
    blk_go(s.f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 512);
    front_settle(s.f);
    stay_move(&s,
              "'type': 'block', 'store': {'type': 'file', 'path': '@/disk'}");
    assert_int_equal(blk_wait(s.f->vq[0], r), VIRTIO_BLK_S_IOERR);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    stay_end(&s);
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
    struct stay s = {.h = house_new()};
    struct endpoint_visitor v;
    struct blk_req *r;

    (void)state;
    s.t = tenant_new(s.h, STUCK_DISK, NULL);
    s.t->ops.ring_drain = never_drain;
    tenant_start(s.t);
    stay_visit(&s, &(struct front_conf){.queues = 1});
    r = blk_new(s.f, 512);
    blk_go(s.f->vq[0], r, VIRTIO_BLK_T_OUT, 0, 512);
    front_settle(s.f);
    tenant_suspend(s.t);
    assert_false(tenant_moved_out(s.t, &v));
    assert_non_null(strstr(s.t->why.text, "still not done"));
    front_need_hangup(s.f);
    front_free(s.f);
    /* It has to be given up for the test to end. */
    tenant_do(s.t, drain_after_all);
    tenant_free(s.t);
    house_free(s.h);
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
    struct stay s = stay_begin(FILE_DISK, 2);
    const uint64_t ring = 0;
    int fd = eventfd(0, EFD_CLOEXEC);
    int64_t ack;

    (void)state;
    front_settle(s.f);
    leave_fds(1);
    ack = front_ack(s.f, WIRE_SET_VRING_CALL, &ring, sizeof(ring), &fd, 1);
    leave_fds(-1);
    assert_int_equal(ack, 1);
    blk_verify(s.f->vq[0], 0, 4096, 1);
    assert_int_equal(front_ack(s.f, WIRE_SET_VRING_CALL, &ring, sizeof(ring),
                               &s.f->vq[0]->call_fd, 1),
                     0);
    stay_move(&s, FILE_DISK);
    blk_verify(s.f->vq[0], 0, 4096, 2);
    close(fd);
    stay_end(&s);
}

BEHAVE_MAIN(T(what_cannot_be_saved_goes_on_where_it_is),
            T(whom_one_does_not_take_another_may),
            T(features_are_not_lost_on_the_way),
            T(a_request_that_is_stuck_is_given_up_and_handed_on),
            T(a_request_that_never_ends_is_not_handed_on),
            T(a_message_whose_fds_cannot_be_kept_is_refused))
