/* The engine `uring` when the kernel is short of something: what it refuses is
 * sent again in a later turn, and nothing is left behind. The linker puts
 * __wrap_uring_send in the place of uring_send. */
#include "rig.h"

#include <stdlib.h>

#include "os/uring.h"

int __real_uring_send(struct uring *u);
int __wrap_uring_send(struct uring *u);

static int refusals, sends;

int __wrap_uring_send(struct uring *u)
{
    sends++;
    if (refusals > 0 && refusals--)
        return refusals % 2 ? -EBUSY : -EAGAIN;
    return __real_uring_send(u);
}

static bool open_ring(struct rig *rig)
{
    rig_numbers(rig, "disk", 1 << 20);
    if (rig_open(rig,
                 "{'type': 'file', 'path': '@/disk', 'engine': 'io_uring'}",
                 false) < 0)
        return false;
    rig_channel(rig, false);
    return true;
}

static void what_the_kernel_refuses_is_sent_again(void **state)
{
    struct rig *rig = *state;
    struct ask *a = calloc(8, sizeof(*a));
    char *buf = malloc(8 * 4096);

    if (!open_ring(rig)) {
        free(buf);
        free(a);
        skip();
    }
    for (int n = 1; n < 6; n++) {
        for (unsigned i = 0; i < 8; i++)
            rig_ask(&a[i], STORE_READ, 0, i * 4096, buf + i * 4096, 4096, 4096);
        refusals = n;
        for (unsigned i = 0; i < 8; i++)
            rig_submit(rig, &a[i]);
        for (unsigned i = 0; i < 8; i++)
            assert_int_equal(rig_wait(rig, &a[i]), 0);
        assert_int_equal(refusals, 0);
        assert_true(rig_is_pattern(buf, 8 * 4096, 0, 0));
    }
    free(buf);
    free(a);
}

/* It does not sleep meanwhile, and sleeps when that is over. */
static void the_loop_sleeps_when_all_is_sent(void **state)
{
    struct rig *rig = *state;
    struct ask *a = malloc(sizeof(*a));
    char buf[4096];

    if (!open_ring(rig)) {
        free(a);
        skip();
    }
    refusals = 3;
    rig_ask(a, STORE_READ, 0, 0, buf, 4096, 4096);
    rig_submit(rig, a);
    assert_int_equal(refusals, 2);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    assert_true(refusals < 2);
    assert_int_equal(rig_wait(rig, a), 0);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    sends = 0;
    assert_int_equal(uv_backend_timeout(&rig->loop.uv), -1);
    assert_int_equal(sends, 0);
    free(a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(what_the_kernel_refuses_is_sent_again),
        RIG_TEST(the_loop_sleeps_when_all_is_sent),
    };

    return cmocka_run_group_tests_name("uring", tests, NULL, NULL);
}
