/* A rule of the filter `fault` that cuts the power of a filter `powercut`. */
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "store/event.h"

#define BLOCK 4096u
#define BLOCKS 64u
#define DISK "{'type': 'memory', 'size': '256K'}"
#define RULE(more) "{'op': 'write', 'outcome': 'powercut'" more "}"
#define ABOVE(rule)                                                            \
    "{'type': 'fault', 'rules': [" rule "], 'next': {'type': 'powercut',"      \
    " 'seed': 5, 'next': " DISK "}}"
#define BELOW(rule)                                                            \
    "{'type': 'powercut', 'cache': '64K', 'seed': 5, 'next': {'type': "        \
    "'fault', 'rules': [" rule "], 'next': " DISK "}}"

#define POWER_OF(disk)                                                         \
    "{'type': 'fault', 'rules': [" RULE(                                       \
        ", 'after': 12") "], 'next': {"                                        \
                         "'type': 'powercut', 'cache': '64K', 'next': " disk   \
                         "}}"

static char buf[BLOCKS * BLOCK];

static int write_block(struct rig *rig, unsigned i, unsigned seed,
                       unsigned flags)
{
    rig_pattern(buf, BLOCK, i * BLOCK, seed);
    return rig_do(rig, STORE_WRITE, flags, i * BLOCK, buf, BLOCK);
}

static int flush(struct rig *rig)
{
    return rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0);
}

/* The whole disk, in buf. */
static int read_all(struct rig *rig)
{
    return rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf));
}

static bool is_block(unsigned i, unsigned seed)
{
    return rig_is_pattern(buf + i * BLOCK, BLOCK, i * BLOCK, seed);
}

static bool status_has(struct rig *rig, const char *text)
{
    return strstr(rig_status(rig), text) != NULL;
}

/* ---- what is told ---- */

static unsigned num_cuts, sessions;
static char told[512];

static bool wanted(void *arg)
{
    (void)arg;
    return true;
}

static void on_event(struct json_out *members, void *arg)
{
    (void)arg;
    if (strstr(members->text, "\"powercut.cut\"")) {
        num_cuts++;
        snprintf(told, sizeof(told), "%s", members->text);
    }
    json_out_free(members);
}

static void begin(struct rig *rig, const char *config)
{
    num_cuts = sessions = 0;
    store_event_listen(wanted, on_event, NULL);
    rig_open_with(rig, config);
}

/* What one more power cut has left is there, and a new session comes. */
static void next_session(struct rig *rig)
{
    sessions++;
    while (num_cuts < sessions)
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT); /* it may be deferred, no more */
    store_channel_close(rig->ch);
    rig_channel(rig, true);
}

/* ---- above ---- */

static void the_nth_write_cuts_the_power(void **state)
{
    struct rig *rig = *state;

    begin(rig, ABOVE(RULE(", 'after': 4, 'count': 1, 'power': 'lost'")));
    assert_int_equal(write_block(rig, 0, 1, 0), 0);
    assert_int_equal(flush(rig), 0);
    for (unsigned i = 1; i < 4; i++)
        assert_int_equal(write_block(rig, i, 1, 0), 0);
    assert_int_equal(rig->drops, 0);
    assert_int_equal(write_block(rig, 4, 1, 0), -EIO); /* it is not done */
    assert_int_equal(write_block(rig, 5, 1, 0), -EIO);
    assert_int_equal(flush(rig), -EIO);
    assert_int_equal(read_all(rig), -EIO);
    next_session(rig);
    assert_int_equal(rig->drops, 1);
    assert_non_null(strstr(told, "\"cut\":1,\"outcome\":\"lost\",\"seed\":5,"
                                 "\"writes\":3,\"kept\":0,\"lost\":3"));
    assert_int_equal(read_all(rig), 0);
    assert_true(is_block(0, 1));
    assert_true(rig_is_zero(buf + BLOCK, sizeof(buf) - BLOCK));
    assert_int_equal(write_block(rig, 5, 1, 0), 0); /* once */
    assert_true(status_has(rig, "'matched':6,'fired':1"));
}

static void what_is_kept_is_what_was_written_before(void **state)
{
    struct rig *rig = *state;

    begin(rig, ABOVE(RULE(", 'after': 4, 'power': 'kept'")));
    for (unsigned i = 0; i < 4; i++)
        assert_int_equal(write_block(rig, i, 1, 0), 0);
    assert_int_equal(write_block(rig, 4, 1, 0), -EIO);
    next_session(rig);
    assert_int_equal(read_all(rig), 0);
    for (unsigned i = 0; i < BLOCKS; i++)
        assert_true(i < 4 ? is_block(i, 1)
                          : rig_is_zero(buf + i * BLOCK, BLOCK));
    /* The rule holds on. */
    assert_int_equal(write_block(rig, 4, 1, 0), -EIO);
    next_session(rig);
    assert_non_null(strstr(told, "\"cut\":2"));
}

/* Other requests cut it as well. */
static void a_flush_that_cuts_the_power_has_flushed_nothing(void **state)
{
    struct rig *rig = *state;

    begin(rig,
          ABOVE("{'op': 'flush', 'outcome': 'powercut', 'power': 'lost'}"));
    assert_int_equal(write_block(rig, 0, 1, 0), 0);
    assert_int_equal(flush(rig), -EIO);
    next_session(rig);
    assert_int_equal(read_all(rig), 0);
    assert_true(rig_is_zero(buf, sizeof(buf)));
}

/* ---- the same each time ---- */

/* `num` writes, sent so many at a time; how many were done. */
static unsigned write_many(struct rig *rig, unsigned num, unsigned at_once)
{
    struct ask *asks = calloc(num, sizeof(*asks));
    char *data = malloc(num * BLOCK);
    unsigned done = 0;

    assert_true(asks && data);
    for (unsigned i = 0; i < num; i++) {
        char *from = data + i * BLOCK;

        rig_pattern(from, BLOCK, i % 40 * BLOCK, i);
        rig_ask(&asks[i], STORE_WRITE, 0, i % 40 * BLOCK, from, BLOCK, 512);
        if (store_submit(rig->ch, &asks[i].req) == STORE_DONE)
            asks[i].done = true;
        if (i % at_once + 1 < at_once && i + 1 < num)
            continue;
        store_kick(rig->ch);
        for (unsigned k = i / at_once * at_once; k <= i; k++) {
            while (!asks[k].done)
                uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
            if (asks[k].req.result == 0) {
                assert_int_equal(done, k); /* none after one that was not */
                done++;
            } else {
                assert_int_equal(asks[k].req.result, -EIO);
            }
        }
    }
    free(asks);
    free(data);
    return done;
}

/* However requests come, the outcome is that of their order. */
static void check_same(struct rig *rig, const char *config)
{
    static const unsigned at_once[] = {1, 2, 7, 13, 60};
    static char first[sizeof(buf)];

    for (unsigned i = 0; i < ARRAY_LEN(at_once); i++) {
        static unsigned done;
        unsigned n;

        begin(rig, config);
        n = write_many(rig, 60, at_once[i]);
        next_session(rig);
        assert_int_equal(num_cuts, 1);
        assert_int_equal(read_all(rig), 0);
        if (i == 0) {
            done = n;
            memcpy(first, buf, sizeof(buf));
        }
        assert_int_equal(n, done);
        assert_memory_equal(buf, first, sizeof(buf));
        rig_close(rig);
    }
    assert_false(rig_is_zero(first, sizeof(first)));
}

static void the_same_requests_have_the_same_outcome(void **state)
{
    check_same(*state, ABOVE(RULE(", 'after': 33")));
}

static void so_it_is_with_a_seed_of_chance(void **state)
{
    check_same(*state, ABOVE(RULE(", 'per_million': 30000")));
}

/* One of many kinds of request, which often have to wait for their turn. */
static void some_request(struct ask *a, char *data, unsigned i, unsigned seed)
{
    struct prng g = prng_of(seed, i);
    uint64_t at = prng_below(&g, BLOCKS - 8) * BLOCK;
    uint64_t len = (1 + prng_below(&g, 8)) * BLOCK;

    rig_pattern(data, 8 * BLOCK, at, i);
    switch (prng_below(&g, 8)) {
    case 0:
        rig_ask(a, STORE_FLUSH, 0, 0, NULL, 0, 0);
        break;
    case 1:
        rig_ask(a, STORE_ZERO, 0, at, NULL, len, len);
        break;
    case 2:
        rig_ask(a, STORE_WRITE, STORE_FUA, at, data, len, len);
        break;
    default:
        rig_ask(a, STORE_WRITE, 0, at, data, MIN(len, 3 * BLOCK), BLOCK);
    }
}

static void do_some(struct rig *rig, unsigned num, unsigned at_once,
                    unsigned seed)
{
    struct ask *asks = calloc(num, sizeof(*asks));
    char *data = malloc(num * 8 * BLOCK);

    assert_true(asks && data);
    for (unsigned i = 0; i < num; i++) {
        some_request(&asks[i], data + i * 8 * BLOCK, i, seed);
        asks[i].done = store_submit(rig->ch, &asks[i].req) == STORE_DONE;
        if ((i + 1) % at_once && i + 1 < num)
            continue;
        store_kick(rig->ch);
        for (unsigned k = i / at_once * at_once; k <= i; k++)
            while (!asks[k].done)
                uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    }
    free(asks);
    free(data);
}

/* What came before the one that cuts the power is done, also where it waits
 * for its turn then; of whether the guest still hears of it nothing is said. */
static void what_waits_when_the_power_goes_makes_no_difference(void **state)
{
    static const unsigned at_once[] = {1, 2, 7, 13, 40};
    static char first[sizeof(buf)];
    struct rig *rig = *state;

    for (unsigned seed = 0; seed < 30; seed++)
        for (unsigned i = 0; i < ARRAY_LEN(at_once); i++) {
            rig_file(rig, "disk", sizeof(buf));
            begin(rig, seed % 2 ? POWER_OF(DISK)
                                : POWER_OF("{'type': 'file', 'engine':"
                                           " 'threads', 'path': '@/disk'}"));
            do_some(rig, 40, at_once[i], seed);
            next_session(rig);
            assert_int_equal(read_all(rig), 0);
            if (i == 0)
                memcpy(first, buf, sizeof(buf));
            assert_memory_equal(buf, first, sizeof(buf));
            rig_close(rig);
        }
}

/* ---- below ---- */

/* What is on its way down from the cache is what cuts the power. */
static void a_write_that_goes_down_cuts_the_power(void **state)
{
    struct rig *rig = *state;
    unsigned i;

    begin(rig, BELOW(RULE(", 'after': 3, 'power': 'kept'")));
    for (i = 0; write_block(rig, i, 1, 0) == 0; i++)
        assert_true(i < BLOCKS);
    assert_in_range(i, 14, 40); /* the cache was full, more than once */
    assert_int_equal(read_all(rig), -EIO);
    next_session(rig);
    assert_int_equal(rig->drops, 1);
    assert_int_equal(read_all(rig), 0);
    for (unsigned k = 0; k < BLOCKS; k++)
        assert_true(k < i ? is_block(k, 1)
                          : rig_is_zero(buf + k * BLOCK, BLOCK));
    assert_true(status_has(rig, "'matched':4,'fired':1"));
}

static void a_flush_whose_write_cuts_the_power_fails(void **state)
{
    struct rig *rig = *state;
    unsigned down = 0;

    begin(rig, BELOW(RULE(", 'after': 2, 'count': 1, 'power': 'lost'")));
    for (unsigned i = 0; i < 5; i++)
        assert_int_equal(write_block(rig, 2 * i, 1, 0), 0);
    assert_int_equal(flush(rig), -EIO);
    next_session(rig);
    assert_non_null(strstr(told, "\"writes\":5,\"kept\":0,\"lost\":5"));
    assert_int_equal(read_all(rig), 0);
    /* Two were down when the third cut the power, whichever they were. */
    for (unsigned i = 0; i < BLOCKS; i++) {
        unsigned is = i % 2 == 0 && i < 10 && is_block(i, 1);

        down += is;
        assert_true(is || rig_is_zero(buf + i * BLOCK, BLOCK));
    }
    assert_int_equal(down, 2);
}

/* Those that need not wait for a turn. */
static void a_request_that_passes_cuts_the_power(void **state)
{
    struct rig *rig = *state;

    begin(rig, BELOW(RULE(", 'after': 1, 'power': 'lost'")));
    assert_int_equal(write_block(rig, 0, 1, STORE_FUA), 0);
    assert_int_equal(write_block(rig, 1, 1, 0), 0);
    assert_int_equal(write_block(rig, 2, 1, STORE_FUA), -EIO);
    assert_int_equal(write_block(rig, 3, 1, STORE_FUA), -EIO);
    next_session(rig);
    assert_int_equal(read_all(rig), 0);
    assert_true(is_block(0, 1));
    assert_true(rig_is_zero(buf + BLOCK, sizeof(buf) - BLOCK));
}

static void a_read_below_cuts_the_power(void **state)
{
    struct rig *rig = *state;

    begin(rig, BELOW("{'op': 'read', 'after': 1, 'count': 1, 'outcome': "
                     "'powercut', 'power': 'kept'}"));
    assert_int_equal(write_block(rig, 1, 1, 0), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, BLOCK), 0);
    assert_int_equal(read_all(rig), -EIO); /* around what is cached */
    next_session(rig);
    assert_int_equal(read_all(rig), 0);
    assert_true(is_block(1, 1));
}

static void the_outcome_below_is_the_same_each_time(void **state)
{
    check_same(*state, BELOW(RULE(", 'after': 9")));
}

/* A disk that is closed writes its cache down: there is no power to cut. */
static void a_disk_that_is_closed_keeps_its_power(void **state)
{
    struct rig *rig = *state;

    rig_file(rig, "disk", sizeof(buf));
    begin(rig, "{'type': 'powercut', 'next': {'type': 'fault', 'rules': [" RULE(
                   "") "], 'next': {'type': 'file', 'path': '@/disk'}}}");
    assert_int_equal(write_block(rig, 0, 1, 0), 0);
    rig_close(rig);
    assert_int_equal(num_cuts, 0);
    begin(rig, "{'type': 'file', 'path': '@/disk'}");
    assert_int_equal(read_all(rig), 0);
    assert_true(is_block(0, 1));
}

/* ---- whose power ---- */

static void a_rule_says_whose_power_by_its_name(void **state)
{
    struct rig *rig = *state;

    begin(
        rig,
        "{'type': 'powercut', 'name': 'outer', 'next':"
        " {'type': 'fault', 'rules': [" RULE(
            ", 'filter': 'inner', 'count': 1") "], 'next':"
                                               " {'type': 'powercut', 'name': "
                                               "'inner', 'next': " DISK "}}}");
    assert_int_equal(write_block(rig, 0, 1, 0), 0);
    assert_int_equal(flush(rig), -EIO);
    next_session(rig);
    assert_non_null(strstr(told, "\"filter\":\"inner\""));
    assert_int_equal(flush(rig), 0); /* it is cached above all the time */
    assert_int_equal(read_all(rig), 0);
    assert_true(is_block(0, 1));
}

static int tear_down(void **state)
{
    store_event_listen(NULL, NULL, NULL);
    return rig_teardown(state);
}

#define TEST(t) cmocka_unit_test_setup_teardown(t, rig_setup, tear_down)

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(the_nth_write_cuts_the_power),
        TEST(what_is_kept_is_what_was_written_before),
        TEST(a_flush_that_cuts_the_power_has_flushed_nothing),
        TEST(the_same_requests_have_the_same_outcome),
        TEST(so_it_is_with_a_seed_of_chance),
        TEST(what_waits_when_the_power_goes_makes_no_difference),
        TEST(a_write_that_goes_down_cuts_the_power),
        TEST(a_flush_whose_write_cuts_the_power_fails),
        TEST(a_request_that_passes_cuts_the_power),
        TEST(a_read_below_cuts_the_power),
        TEST(the_outcome_below_is_the_same_each_time),
        TEST(a_disk_that_is_closed_keeps_its_power),
        TEST(a_rule_says_whose_power_by_its_name),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
