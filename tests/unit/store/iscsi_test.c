/* Store `iscsi`: what is different about a disk behind a network. Its contract
 * is in contract_test.c. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#define STORE                                                                  \
    "{'type': 'iscsi', 'url': "                                                \
    "'iscsi://127.0.0.1:#/iqn.2026-01.example:disk/0'"

static void open_store(struct rig *rig, const char *options, const char *keys)
{
    char config[512];

    rig_target(rig, options);
    snprintf(config, sizeof(config), STORE "%s}", keys);
    assert_int_equal(rig_open(rig, config, false), 0);
}

static void a_size_is_told_when_it_is_known(void **state)
{
    struct rig *rig = *state;

    rig->changes = 0;
    open_store(rig, "--lun 3M", "");
    assert_true(store_is_pending(rig->store));
    assert_int_equal(store_size(rig->store), 0);
    rig_known(rig);
    assert_int_equal(rig->changes, 1);
    assert_int_equal(store_size(rig->store), 3 << 20);
}

static void requests_wait_for_the_first_session(void **state)
{
    struct rig *rig = *state;
    struct ask a, out;
    char buf[4096];

    open_store(rig, "--lun 1M", "");
    rig_channel(rig, true);
    rig_ask(&a, STORE_READ, 0, 0, buf, sizeof(buf), sizeof(buf));
    rig_submit(rig, &a);
    assert_false(a.done);
    /* One that turns out to be beyond the end is the target's to refuse. */
    rig_ask(&out, STORE_READ, 0, 8 << 20, buf, sizeof(buf), sizeof(buf));
    rig_submit(rig, &out);
    assert_int_equal(rig_wait(rig, &a), 0);
    assert_int_equal(rig_wait(rig, &out), -EIO);
}

static void and_end_when_there_is_none(void **state)
{
    struct rig *rig = *state;
    struct ask a;
    char buf[4096];

    rig->port = 1;
    assert_int_equal(rig_open(rig, STORE ", 'reconnect_timeout': 100}", false),
                     0);
    rig_channel(rig, true);
    rig_ask(&a, STORE_READ, 0, 0, buf, sizeof(buf), sizeof(buf));
    rig_submit(rig, &a);
    assert_true(rig_wait(rig, &a) < 0);
    /* And from now on. */
    rig_ask(&a, STORE_READ, 0, 0, buf, sizeof(buf), sizeof(buf));
    rig_submit(rig, &a);
    assert_true(rig_wait(rig, &a) < 0);
}

static void a_drain_ends_what_waits(void **state)
{
    struct rig *rig = *state;
    struct ask a;
    char buf[4096];

    rig->port = 1;
    assert_int_equal(rig_open(rig,
                              STORE ", 'reconnect_timeout': 1, 'on_timeout': "
                                    "'stall'}",
                              false),
                     0);
    rig_channel(rig, true);
    rig_ask(&a, STORE_READ, 0, 0, buf, sizeof(buf), sizeof(buf));
    rig_submit(rig, &a);
    assert_false(a.done);
    store_drain(rig->ch, NULL, false);
    store_drain(rig->ch, NULL, true);
    assert_int_equal(rig_wait(rig, &a), -EIO);
}

static void a_unit_that_grows_says_so(void **state)
{
    struct rig *rig = *state;
    char buf[512];

    open_store(rig, "--lun 1M", "");
    rig_known(rig);
    rig_channel(rig, true);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 512), 0);
    rig->changes = 0;
    rig_say(rig, "resize 0 2M");
    /* The unit attention is no error of the request that meets it. */
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 512), 0);
    while (rig->changes == 0)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(store_size(rig->store), 2 << 20);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, (2 << 20) - 512, buf, 512), 0);
}

static void a_session_that_is_lost_costs_no_request(void **state)
{
    struct rig *rig = *state;
    char buf[4096];

    open_store(rig, "--lun 1M", "");
    rig_known(rig);
    rig_channel(rig, true);
    for (unsigned i = 0; i < 8; i++) {
        rig_pattern(buf, sizeof(buf), 0, i);
        rig_say(rig, i % 2 ? "drop" : "fault write_lost");
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
        memset(buf, 0, sizeof(buf));
        assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
        assert_true(rig_is_pattern(buf, sizeof(buf), 0, i));
    }
}

static void a_target_that_is_busy_is_asked_again(void **state)
{
    struct rig *rig = *state;
    char buf[4096];

    open_store(rig, "--lun 1M", "");
    rig_known(rig);
    rig_channel(rig, true);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
    rig_say(rig, "fault status 0x08");
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
    rig_say(rig, "fault status 0x28");
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    rig_say(rig, "fault status 0x18"); /* reserved by another */
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), -EIO);
}

static void what_was_not_read_is_no_answer(void **state)
{
    struct rig *rig = *state;
    char buf[4096];

    open_store(rig, "--lun 1M", "");
    rig_known(rig);
    rig_channel(rig, true);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    rig_say(rig, "fault data_none");
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), -EIO);
    rig_say(rig, "fault residual_lie");
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), -EIO);
}

/* And needs no turn of the loop: here there is none. */
static void a_sync_has_the_target_s_word(void **state)
{
    struct rig *rig = *state;
    char buf[4096];

    open_store(rig, "--lun 1M", ", 'io_timeout': 500");
    assert_int_equal(store_sync(rig->store), 0); /* nothing was written */
    rig_known(rig);
    rig_channel(rig, true);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
    assert_int_equal(store_sync(rig->store), 0);
    rig_say(rig, "fault sync_busy");
    assert_int_equal(store_sync(rig->store), 0);
    rig_say(rig, "fault silent* 35");
    assert_int_equal(store_sync(rig->store), -ETIMEDOUT);
    rig_say(rig, "faultless");
    assert_int_equal(store_sync(rig->store), 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, sizeof(buf)), 0);
    rig_say(rig, "fault sync_error*");
    assert_int_equal(store_sync(rig->store), -EIO);
    rig_say(rig, "deaf");
    assert_int_equal(store_sync(rig->store), -ETIMEDOUT);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_size_is_told_when_it_is_known),
        RIG_TEST(requests_wait_for_the_first_session),
        RIG_TEST(and_end_when_there_is_none),
        RIG_TEST(a_drain_ends_what_waits),
        RIG_TEST(a_unit_that_grows_says_so),
        RIG_TEST(a_session_that_is_lost_costs_no_request),
        RIG_TEST(a_target_that_is_busy_is_asked_again),
        RIG_TEST(a_sync_has_the_target_s_word),
        RIG_TEST(what_was_not_read_is_no_answer),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
