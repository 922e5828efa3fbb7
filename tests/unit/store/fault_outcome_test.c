/* Filter `fault`: what becomes of requests that its rules are about, what it
 * can be told, and that chance is the same each time. */
#include "rig.h"

#include <errno.h>
#include <string.h>

#include "base/prng.h"
#include "store/command.h"
#include "store/event.h"

#define DISK_BYTES (1u << 20)
#define MEMORY "'next': {'type': 'memory', 'size': '1M'}"
#define FAULT(rules) "{'type': 'fault', 'rules': [" rules "], " MEMORY "}"

static char buf[16384], was[16384];

static int write_at(struct rig *rig, uint64_t offset, uint64_t len,
                    unsigned seed)
{
    rig_pattern(buf, len, offset, seed);
    return rig_do(rig, STORE_WRITE, 0, offset, buf, len);
}

static int read_at(struct rig *rig, uint64_t offset, uint64_t len)
{
    memset(buf, 0x5a, sizeof(buf));
    return rig_do(rig, STORE_READ, 0, offset, buf, len);
}

static bool reads(struct rig *rig, uint64_t offset, uint64_t len, unsigned seed)
{
    assert_int_equal(read_at(rig, offset, len), 0);
    return rig_is_pattern(buf, len, offset, seed);
}

static bool status_has(struct rig *rig, const char *text)
{
    return strstr(rig_status(rig), text) != NULL;
}

static unsigned bits_other(const char *a, const char *b, size_t len)
{
    unsigned n = 0;

    for (size_t i = 0; i < len; i++)
        n += (unsigned)__builtin_popcount((uint8_t)(a[i] ^ b[i]));
    return n;
}

/* ---- what becomes of requests ---- */

static void a_short_write_is_half_there_and_fails(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'op': 'write', 'outcome': 'short', 'after': 1,"
                             " 'count': 1, 'error': 'ENOSPC'}"));
    assert_int_equal(write_at(rig, 0, 8192, 1), 0);
    assert_int_equal(write_at(rig, 0, 8192, 2), -ENOSPC);
    assert_true(reads(rig, 0, 4096, 2));
    assert_true(reads(rig, 4096, 4096, 1));
}

static void a_short_read_moves_whole_blocks_of_what_it_is_told(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'op': 'read', 'outcome': 'short', 'bytes': 1700,"
                             " 'count': 1}"));
    assert_int_equal(write_at(rig, 0, 8192, 1), 0);
    assert_int_equal(read_at(rig, 0, 8192), -EIO);
    assert_true(rig_is_pattern(buf, 1536, 0, 1));
    for (unsigned i = 1536; i < 8192; i++)
        assert_int_equal(buf[i], 0x5a);
}

static void bits_flip_in_what_is_read_and_not_on_the_disk(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'outcome': 'flip', 'count': 1},"
                             "{'outcome': 'flip', 'count': 1, 'bits': 5}"));
    assert_int_equal(write_at(rig, 0, 8192, 1), 0);
    memcpy(was, buf, 8192);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_int_equal(bits_other(buf, was, 8192), 1);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_in_range(bits_other(buf, was, 8192), 1, 5);
    assert_true(reads(rig, 0, 8192, 1));
}

static void garbage_is_all_other_and_the_same_each_time(void **state)
{
    struct rig *rig = *state;
    char first[8192];

    rig_open_with(rig, FAULT("{'outcome': 'garbage'}"));
    assert_int_equal(write_at(rig, 0, 8192, 1), 0);
    memcpy(was, buf, 8192);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_in_range(bits_other(buf, was, 8192), 8192 * 3, 8192 * 5);
    memcpy(first, buf, 8192);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_true(memcmp(first, buf, 8192) != 0);
    assert_int_equal(rig_tell(rig, "fault.reset", ""), 0);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_memory_equal(first, buf, 8192);
    assert_int_equal(rig_tell(rig, "fault.reset", "'seed': 2"), 0);
    assert_int_equal(read_at(rig, 0, 8192), 0);
    assert_true(memcmp(first, buf, 8192) != 0);
}

/* It takes turns of the loop, and is what it would be in one. */
static void much_garbage_is_the_same(void **state)
{
    static char large[600000 / 512 * 512], small[sizeof(large)];
    struct rig *rig = *state;
    struct ask a;

    rig_open_with(rig, FAULT("{'outcome': 'garbage'}"));
    rig_ask(&a, STORE_READ, 0, 0, large, sizeof(large), 4097);
    rig_submit(rig, &a);
    assert_false(a.done);
    assert_int_equal(rig_wait(rig, &a), 0);
    assert_int_equal(rig_tell(rig, "fault.reset", ""), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 512, small, 65536), 0);
    assert_memory_equal(small, large, 65536);
    rig_ask(&a, STORE_READ, 0, 0, large, sizeof(large), 1 << 20);
    rig_submit(rig, &a);
    store_drain(rig->ch, NULL, true);
    assert_int_equal(rig_wait(rig, &a), -EIO);
}

static void a_dropped_write_is_said_to_be_done(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'op': 'write', 'outcome': 'drop', 'after': 1,"
                             " 'count': 1},"
                             "{'op': 'write', 'outcome': 'drop', 'after': 1,"
                             " 'count': 1, 'bytes': 512},"
                             "{'op': 'zero', 'outcome': 'drop'},"
                             "{'op': 'flush', 'outcome': 'drop'}"));
    assert_int_equal(write_at(rig, 0, 8192, 1), 0);
    assert_int_equal(write_at(rig, 0, 8192, 2), 0);
    assert_true(reads(rig, 0, 8192, 1));
    assert_int_equal(write_at(rig, 0, 8192, 3), 0); /* torn */
    assert_true(reads(rig, 0, 512, 3));
    assert_true(reads(rig, 512, 7680, 1));
    assert_int_equal(rig_do(rig, STORE_ZERO, 0, 0, NULL, 8192), 0);
    assert_true(reads(rig, 0, 512, 3));
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    assert_int_equal(write_at(rig, 0, 8192, 4), 0);
    assert_true(reads(rig, 0, 8192, 4));
}

/* The pattern of where it should have been stands elsewhere. */
static void a_misdirected_write_is_elsewhere(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'op': 'write', 'outcome': 'misdirect',"
                             " 'after': 1}"));
    assert_int_equal(write_at(rig, 8192, 4096, 1), 0);
    assert_int_equal(write_at(rig, 8192, 4096, 2), 0);
    assert_true(reads(rig, 8192, 4096, 1));
    assert_int_equal(read_at(rig, 12288, 4096), 0);
    assert_true(rig_is_pattern(buf, 4096, 8192, 2));
    /* At the end there is no place further on. */
    assert_int_equal(write_at(rig, DISK_BYTES - 4096, 4096, 3), 0);
    assert_int_equal(read_at(rig, DISK_BYTES - 8192, 4096), 0);
    assert_true(rig_is_pattern(buf, 4096, DISK_BYTES - 4096, 3));
}

static void a_misdirected_request_stays_on_the_disk(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'outcome': 'misdirect', 'distance': 0,"
                             " 'op': 'read'},"
                             "{'outcome': 'misdirect', 'distance': '4000000T',"
                             " 'op': 'write'}"));
    for (unsigned i = 0; i < 200; i++) {
        assert_int_equal(read_at(rig, i * 512, 16384), 0);
        assert_int_equal(write_at(rig, i * 512, 512, i), 0);
    }
}

static void a_request_breaks_its_ring(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'outcome': 'break', 'op': 'write'}"));
    assert_int_equal(write_at(rig, 0, 512, 1), STORE_BREAKS_RING);
}

static void a_front_end_is_lost_and_the_request_is_done(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, "{'type': 'fault', 'next': {'type': 'fault', 'rules': "
                       "[{'outcome': 'disconnect', 'op': 'write', 'count': 1}],"
                       " 'next': {'type': 'memory', 'size': '1M'}}}");
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(rig->drops, 1);
    assert_true(reads(rig, 0, 512, 1));
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(rig->drops, 1);
}

/* ---- commands ---- */

static void rules_are_armed_and_disarmed(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'name': 'a', 'armed': false, 'op': 'write',"
                             " 'count': 1}, {'op': 'read', 'armed': false}"));
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(read_at(rig, 0, 512), 0);
    assert_int_equal(rig_tell(rig, "fault.arm", "'rule': 'a'"), 0);
    assert_string_equal(rig->told, "'rules':1");
    assert_int_equal(read_at(rig, 0, 512), 0);
    assert_int_equal(write_at(rig, 0, 512, 1), -EIO);
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(rig_tell(rig, "fault.arm", "'after': 1"), 0);
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(write_at(rig, 0, 512, 1), -EIO);
    assert_int_equal(write_at(rig, 0, 512, 1), 0);
    assert_int_equal(read_at(rig, 0, 512), 0);
    assert_int_equal(read_at(rig, 0, 512), -EIO);
    assert_int_equal(rig_tell(rig, "fault.disarm", "'rule': '1'"), 0);
    assert_int_equal(read_at(rig, 0, 512), 0);
    assert_int_equal(rig_tell(rig, "fault.arm", "'rule': 'b'"), -ENOENT);
    assert_true(status_has(rig, "{'name':'a','op':'write','outcome':'error',"
                                "'armed':true,'matched':5,'fired':2}"));
}

static void what_is_stuck_is_released(void **state)
{
    struct rig *rig = *state;
    struct ask a, b, c;

    rig_open_with(rig, FAULT("{'op': 'write', 'outcome': 'stuck', 'count': 2},"
                             "{'op': 'read', 'outcome': 'stuck', 'count': 1}"));
    rig_pattern(was, 4096, 0, 1);
    rig_ask(&a, STORE_WRITE, 0, 0, was, 4096, 512);
    rig_ask(&b, STORE_WRITE, 0, 4096, was, 4096, 4096);
    rig_ask(&c, STORE_READ, 0, 0, buf, 4096, 4096);
    rig_submit(rig, &a);
    rig_submit(rig, &c);
    assert_true(status_has(rig, "'held':2"));
    assert_int_equal(rig_tell(rig, "fault.release", "'rule': '0'"), 0);
    assert_string_equal(rig->told, "'released':1");
    assert_int_equal(rig_wait(rig, &a), 0);
    assert_false(c.done);
    rig_submit(rig, &b);
    assert_int_equal(
        rig_tell(rig, "fault.release", "'rule': '0', 'fail': true"), 0);
    assert_int_equal(rig_wait(rig, &b), -EIO);
    assert_int_equal(rig_tell(rig, "fault.release", ""), 0);
    assert_int_equal(rig_wait(rig, &c), 0);
    assert_true(rig_is_pattern(buf, 4096, 0, 1));
    assert_true(status_has(rig, "'held':0"));
    assert_true(reads(rig, 0, 4096, 1));
}

static void commands_find_a_filter_by_its_name(void **state)
{
    struct rig *rig = *state;
    struct store_search f;
    struct err e;

    rig_open_with(rig, "{'type': 'fault', 'name': 'outer', 'next': {'type': "
                       "'throttle', 'next': {'type': 'fault', " MEMORY "}}}");
    f = (struct store_search){.type = "fault", .name = "outer"};
    store_search(&f, rig->store);
    assert_int_equal(store_search_over(&f, &e), 0);
    assert_ptr_equal(f.found, rig->store);
    f = (struct store_search){.type = "fault"};
    store_search(&f, rig->store);
    assert_int_equal(store_search_over(&f, &e), -EINVAL);
    f = (struct store_search){.type = "fault", .name = "inner"};
    store_search(&f, rig->store);
    assert_int_equal(store_search_over(&f, &e), -ENOENT);
    f = (struct store_search){.type = "delay"};
    store_search(&f, rig->store);
    assert_int_equal(store_search_over(&f, &e), -ENOENT);
}

/* ---- events ---- */

static unsigned num_events;
static char last_event[512];

static bool wanted(void *arg)
{
    (void)arg;
    return true;
}

static void on_event(struct json_out *members, void *arg)
{
    (void)arg;
    num_events++;
    snprintf(last_event, sizeof(last_event), "%s", members->text);
    json_out_free(members);
}

static void events_tell_and_are_limited(void **state)
{
    struct rig *rig = *state;

    num_events = 0;
    store_event_listen(wanted, on_event, NULL);
    rig_open_with(rig, FAULT("{'name': 'a', 'op': 'write'}"));
    assert_int_equal(write_at(rig, 4096, 512, 1), -EIO);
    assert_int_equal(num_events, 1);
    assert_string_equal(last_event,
                        "\"event\":\"fault.fired\",\"device\":\"test\","
                        "\"rule\":0,\"name\":\"a\",\"outcome\":\"error\","
                        "\"op\":\"write\",\"offset\":4096,\"length\":512,"
                        "\"fired\":1");
    for (unsigned i = 0; i < 100000; i++)
        rig_do(rig, STORE_WRITE, 0, 0, buf, 512);
    assert_in_range(num_events, STORE_EVENTS, 50000);
    store_event_listen(NULL, NULL, NULL);
}

/* ---- chance ---- */

/* One bit for each of many requests: did it fail? */
static void outcomes(struct rig *rig, uint8_t *out, unsigned n)
{
    memset(out, 0, n / 8);
    for (unsigned i = 0; i < n; i++)
        if (write_at(rig, i % 64 * 512, 512, i) < 0)
            out[i / 8] |= (uint8_t)(1u << i % 8);
}

static void the_same_seed_is_the_same_chance(void **state)
{
    struct rig *rig = *state;
    uint8_t first[500], again[500];
    unsigned failed = 0;

    rig_open_with(rig, "{'type': 'fault', 'seed': 77, 'rules': [{'op': 'write',"
                       " 'per_million': 250000}, {'op': 'read'}], " MEMORY "}");
    outcomes(rig, first, 4000);
    for (unsigned i = 0; i < sizeof(first); i++)
        failed += (unsigned)__builtin_popcount(first[i]);
    assert_in_range(failed, 850, 1150);
    assert_int_equal(rig_tell(rig, "fault.reset", ""), 0);
    assert_int_equal(read_at(rig, 0, 512), -EIO); /* another rule's affair */
    outcomes(rig, again, 4000);
    assert_memory_equal(first, again, sizeof(first));
    assert_int_equal(rig_tell(rig, "fault.reset", "'seed': 78"), 0);
    outcomes(rig, again, 4000);
    assert_true(memcmp(first, again, sizeof(first)) != 0);
}

static void a_rule_may_be_about_each_third(void **state)
{
    struct rig *rig = *state;

    rig_open_with(rig, FAULT("{'after': 1, 'every': 3, 'count': 2}"));
    for (unsigned i = 0; i < 12; i++)
        assert_int_equal(read_at(rig, 0, 512), i == 1 || i == 4 ? -EIO : 0);
}

/* The sequence is a promise: what was seen with a seed is seen again with a
 * later version. */
static void numbers_are_the_same_for_ever(void **state)
{
    struct prng p = {0}, q = prng_of(1, 0), r = prng_of(1, 1);
    int64_t sum = 0;

    (void)state;
    assert_true(prng_next(&p) == UINT64_C(0xe220a8397b1dcdaf));
    assert_true(prng_next(&p) == UINT64_C(0x6e789e6aa1b965f4));
    assert_true(prng_next(&q) != prng_next(&r));
    for (unsigned i = 0; i < 100000; i++) {
        int64_t bell = prng_bell(&p);

        assert_true(bell >= -6 * 65536 && bell < 6 * 65536);
        assert_true(prng_below(&p, 7) < 7);
        sum += bell;
    }
    assert_true(sum / 100000 > -1000 && sum / 100000 < 1000);
    assert_int_equal(prng_below(&p, 0), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_short_write_is_half_there_and_fails),
        RIG_TEST(a_short_read_moves_whole_blocks_of_what_it_is_told),
        RIG_TEST(bits_flip_in_what_is_read_and_not_on_the_disk),
        RIG_TEST(garbage_is_all_other_and_the_same_each_time),
        RIG_TEST(much_garbage_is_the_same),
        RIG_TEST(a_dropped_write_is_said_to_be_done),
        RIG_TEST(a_misdirected_write_is_elsewhere),
        RIG_TEST(a_misdirected_request_stays_on_the_disk),
        RIG_TEST(a_request_breaks_its_ring),
        RIG_TEST(a_front_end_is_lost_and_the_request_is_done),
        RIG_TEST(rules_are_armed_and_disarmed),
        RIG_TEST(what_is_stuck_is_released),
        RIG_TEST(commands_find_a_filter_by_its_name),
        RIG_TEST(events_tell_and_are_limited),
        RIG_TEST(the_same_seed_is_the_same_chance),
        RIG_TEST(a_rule_may_be_about_each_third),
        cmocka_unit_test(numbers_are_the_same_for_ever),
    };

    return cmocka_run_group_tests_name("fault outcomes", tests, NULL, NULL);
}
