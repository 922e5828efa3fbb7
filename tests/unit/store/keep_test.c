/* What a store leaves to a process that goes on with it: bytes in memory, sizes
 * that were changed, limits. */
#include "rig.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "left.h"
#include "store/throttle.h"

#define MEMORY "{'type': 'memory', 'size': '4M'}"
#define MIB (UINT64_C(1) << 20)

static char buf[4 * MIB];

static void on_change(const struct keep_item *item, void *arg)
{
    (void)item, (void)arg;
}

static void watch(bool on)
{
    keep_on_change(on ? on_change : NULL, NULL);
}

/* A store that is kept. */
static void open_kept(struct rig *rig, const char *config)
{
    struct err e = {0};

    assert_int_equal(rig_open(rig, config, false), 0);
    if (store_keep(rig->store, "s", &e) < 0)
        fail_msg("%s", e.text);
    rig_channel(rig, true);
}

static void save(struct rig *rig)
{
    struct err e = {0};

    if (store_save(rig->store, &e) < 0)
        fail_msg("%s", e.text);
}

/* It is killed, and another one finds what it has left. */
static void kill_and_open(struct rig *rig, const char *config)
{
    struct left left;

    left_take(&left, "test");
    rig_close(rig);
    assert_int_equal(left_count("test"), 0);
    left_put(&left);
    open_kept(rig, config);
}

static void write_some(struct rig *rig)
{
    rig_pattern(buf, MIB, MIB, 5);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, MIB, buf, MIB), 0);
}

static void expect_some(struct rig *rig)
{
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4 * MIB), 0);
    assert_true(rig_is_zero(buf, MIB));
    assert_true(rig_is_pattern(buf + MIB, MIB, MIB, 5));
    assert_true(rig_is_zero(buf + 2 * MIB, 2 * MIB));
}

static void memory_that_may_be_killed_is_found(void **state)
{
    struct rig *rig = *state;

    watch(true);
    open_kept(rig, MEMORY);
    assert_false(rig->store->info.is_found);
    write_some(rig);
    kill_and_open(rig, MEMORY);
    assert_true(rig->store->info.is_found);
    expect_some(rig);
    kill_and_open(rig, MEMORY);
    expect_some(rig);
    watch(false);
}

static void
memory_that_is_not_watched_is_our_own_until_it_is_saved(void **state)
{
    struct rig *rig = *state;

    open_kept(rig, MEMORY);
    write_some(rig);
    assert_int_equal(left_count("test"), 0);
    save(rig);
    expect_some(rig); /* it goes on all the same */
    write_some(rig);
    save(rig);
    kill_and_open(rig, MEMORY);
    assert_true(rig->store->info.is_found);
    expect_some(rig);
    save(rig); /* nothing is left to do */
    kill_and_open(rig, MEMORY);
    expect_some(rig);
}

static void only_what_is_not_zero_takes_room_when_it_is_saved(void **state)
{
    struct rig *rig = *state;
    struct keep_item *items;
    struct stat st;
    int n;

    open_kept(rig, "{'type': 'memory', 'size': '1G'}");
    memset(buf, 0, MIB);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 8 * MIB, buf, MIB), 0);
    buf[5] = 1;
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 900 * MIB, buf, 4096), 0);
    save(rig);
    n = keep_take("test", &items);
    keep_untake("test");
    assert_int_equal(n, 1);
    assert_int_equal(fstat(items[0].fd, &st), 0);
    assert_in_range(st.st_blocks * 512, 1, 4 * MIB);
    close(items[0].fd);
    free(items);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 900 * MIB, buf + MIB, 4096), 0);
    assert_memory_equal(buf, buf + MIB, 4096);
}

static void kept_memory_gives_back_what_is_discarded(void **state)
{
    struct rig *rig = *state;
    struct keep_item *items;
    struct stat before, after;

    watch(true);
    open_kept(rig, MEMORY);
    rig_pattern(buf, 4 * MIB, 0, 1);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 4 * MIB), 0);
    assert_int_equal(keep_take("test", &items), 1);
    keep_untake("test");
    assert_int_equal(fstat(items[0].fd, &before), 0);
    assert_int_equal(rig_do(rig, STORE_DISCARD, 0, 0, NULL, MIB), 0);
    assert_int_equal(
        rig_do(rig, STORE_ZERO, STORE_UNMAP, 2 * MIB, NULL, 2 * MIB), 0);
    assert_int_equal(fstat(items[0].fd, &after), 0);
    assert_true(after.st_blocks < before.st_blocks / 2);
    close(items[0].fd);
    free(items);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4 * MIB), 0);
    assert_true(rig_is_zero(buf, MIB));
    assert_true(rig_is_pattern(buf + MIB, MIB, MIB, 1));
    assert_true(rig_is_zero(buf + 2 * MIB, 2 * MIB));
    watch(false);
}

static void a_size_that_was_changed_stays_so(void **state)
{
    struct rig *rig = *state;
    struct err e;

    for (int watched = 0; watched < 2; watched++) {
        watch(watched);
        open_kept(rig, MEMORY);
        write_some(rig);
        assert_int_equal(store_resize(rig->store, 8 * MIB, &e), 0);
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, 7 * MIB, buf, MIB), 0);
        assert_int_equal(store_resize(rig->store, 6 * MIB, &e), 0);
        save(rig);
        kill_and_open(rig, MEMORY);
        assert_int_equal(store_size(rig->store), 6 * MIB);
        expect_some(rig);
        /* What it had lost is zeros when it is there again. */
        assert_int_equal(store_resize(rig->store, 8 * MIB, &e), 0);
        assert_int_equal(rig_do(rig, STORE_READ, 0, 7 * MIB, buf, MIB), 0);
        assert_true(rig_is_zero(buf, MIB));
        rig_close(rig);
    }
    watch(false);
    open_kept(rig, "{'type': 'null', 'size': '1M'}");
    assert_int_equal(store_resize(rig->store, 6 * MIB, &e), 0);
    kill_and_open(rig, "{'type': 'null', 'size': '1M'}");
    assert_int_equal(store_size(rig->store), 6 * MIB);
}

static void memory_of_another_size_begins_anew(void **state)
{
    struct rig *rig = *state;

    open_kept(rig, MEMORY);
    write_some(rig);
    save(rig);
    kill_and_open(rig, "{'type': 'memory', 'size': '5M'}");
    assert_false(rig->store->info.is_found);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4 * MIB), 0);
    assert_true(rig_is_zero(buf, 4 * MIB));
}

static void what_lies_below_filters_is_kept_too(void **state)
{
    static const char config[] =
        "{'type': 'fault', 'next': {'type': 'throttle', 'next': " MEMORY "}}";
    struct rig *rig = *state;
    struct err e;

    open_kept(rig, config);
    write_some(rig);
    assert_int_equal(store_resize(rig->store, 8 * MIB, &e), 0);
    save(rig);
    kill_and_open(rig, config);
    assert_true(rig->store->info.is_found);
    assert_int_equal(store_size(rig->store), 8 * MIB);
    expect_some(rig);
}

/* ---- limits ---- */

#define LIMITED "{'type': 'throttle', 'iops': 50, 'next': " MEMORY "}"

static void set_iops(uint32_t iops)
{
    struct limits_conf c = {.iops = {iops}, .has_iops = {true}};
    struct json_out o = JSON_OUT_EMPTY;
    struct err e;

    assert_int_equal(throttle_set("test", &c, &o, &e), 0);
    json_out_free(&o);
}

static bool says(const char *what)
{
    struct json_out o = JSON_OUT_EMPTY;
    bool yes;

    json_begin(&o, NULL, '{');
    throttle_status(&o, NULL);
    yes = strstr(o.text, what);
    json_out_free(&o);
    return yes;
}

static void limits_that_were_set_hold_on(void **state)
{
    struct rig *rig = *state;

    open_kept(rig, LIMITED);
    kill_and_open(rig, LIMITED);
    assert_true(says("\"iops\":50"));
    set_iops(70);
    kill_and_open(rig, LIMITED);
    assert_true(says("\"iops\":70"));
    kill_and_open(rig, LIMITED);
    assert_true(says("\"iops\":70"));
    set_iops(0);
    kill_and_open(rig, LIMITED);
    assert_false(says("\"iops\":70"));
    assert_false(says("\"iops\":50"));
}

static void limits_that_a_config_has_changed_since_do_not(void **state)
{
    struct rig *rig = *state;

    open_kept(rig, LIMITED);
    set_iops(70);
    kill_and_open(rig, "{'type': 'throttle', 'iops': 60, 'next': " MEMORY "}");
    assert_true(says("\"iops\":60"));
}

/* ---- what nobody has meant ---- */

static void nonsense_that_is_found_does_no_harm(void **state)
{
    struct rig *rig = *state;

    watch(true);
    for (unsigned seed = 0; seed < 40; seed++) {
        struct left left;
        uint64_t size;
        struct err e;

        open_kept(rig, seed % 3 ? LIMITED : "{'type': 'null', 'size': '4M'}");
        write_some(rig);
        left_take(&left, "test");
        left_spoil(&left, seed);
        rig_close(rig);
        left_put(&left);
        open_kept(rig, seed % 3 ? LIMITED : "{'type': 'null', 'size': '4M'}");
        size = store_size(rig->store);
        assert_in_range(size, 512, STORE_SIZE_MAX);
        assert_int_equal(size % 512, 0);
        if (seed % 3) /* may be throttled for ever */
            set_iops(0);
        assert_int_equal(
            rig_do(rig, STORE_READ, STORE_HURRY, size - 512, buf, 512), 0);
        store_resize(rig->store, 2 * MIB, &e);
        store_resize(rig->store, 4 * MIB, &e);
        assert_int_equal(
            rig_do(rig, STORE_WRITE, STORE_HURRY, 3 * MIB, buf, MIB), 0);
        rig_close(rig);
    }
    watch(false);
}

/* Rules go on where they were, chance and all. */
static void rules_of_faults_go_on(void **state)
{
    static const char first[] =
        "{'type': 'fault', 'rules': [{'op': 'write', 'after': 2},"
        " {'op': 'read', 'per_million': 500000}, {'armed': false}],"
        " 'next': " MEMORY "}";
    static const char other[] =
        "{'type': 'fault', 'rules': [{'op': 'write', 'after': 3},"
        " {'op': 'read', 'per_million': 500000}, {'armed': false}],"
        " 'next': " MEMORY "}";
    struct rig *rig = *state;
    int ends[2][64];

    open_kept(rig, first);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), 0);
    for (unsigned i = 0; i < 64; i++)
        ends[0][i] = rig_do(rig, STORE_READ, 0, 0, buf, 512);
    assert_int_equal(rig_tell(rig, "fault.reset", ""), 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), 0);
    for (unsigned i = 0; i < 32; i++)
        ends[1][i] = rig_do(rig, STORE_READ, 0, 0, buf, 512);
    assert_int_equal(rig_tell(rig, "fault.arm", "'rule': '2'"), 0);
    assert_int_equal(rig_tell(rig, "fault.disarm", "'rule': '2'"), 0);
    kill_and_open(rig, first);
    for (unsigned i = 32; i < 64; i++)
        ends[1][i] = rig_do(rig, STORE_READ, 0, 0, buf, 512);
    assert_memory_equal(ends[0], ends[1], sizeof(ends[0]));
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), -EIO);
    kill_and_open(rig, other);
    for (unsigned i = 0; i < 3; i++)
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 512), -EIO);
    rig_close(rig);
}

/* What a filter has in this process only is nobody else's. */
static void what_a_filter_holds_is_not_handed_on(void **state)
{
    static const struct {
        const char *config;
        enum store_op op, undo;
    } cases[] = {
        {"{'type': 'powercut', 'next': " MEMORY "}", STORE_WRITE, STORE_FLUSH},
        {"{'type': 'powercut', 'next': {'type': 'cow', 'next': " MEMORY "}}",
         STORE_WRITE, STORE_READ},
        {"{'type': 'cow', 'next': " MEMORY "}", STORE_WRITE, STORE_READ},
        {"{'type': 'cow', 'next': " MEMORY "}", STORE_ZERO, STORE_READ},
    };
    struct rig *rig = *state;
    struct err e;

    watch(true);
    for (unsigned i = 0; i < ARRAY_LEN(cases); i++) {
        open_kept(rig, cases[i].config);
        save(rig);
        kill_and_open(rig, cases[i].config);
        assert_true(rig->store->info.is_found);
        memset(buf, 1, 4096);
        assert_int_equal(rig_do(rig, cases[i].op, 0, 0, buf, 4096), 0);
        assert_int_equal(store_save(rig->store, &e), -EBUSY);
        assert_non_null(strstr(e.text, "cannot be handed on"));
        if (cases[i].undo == STORE_FLUSH) {
            assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
        } else {
            store_channel_close(rig->ch);
            rig->ch = NULL;
            assert_int_equal(rig_tell(rig, "cow.reset", ""), 0);
            rig_channel(rig, true);
        }
        save(rig);
        kill_and_open(rig, cases[i].config);
        assert_true(rig->store->info.is_found);
        assert_int_equal(rig_do(rig, cases[i].op, 0, 0, buf, 4096), 0);
        kill_and_open(rig, cases[i].config);
        assert_false(rig->store->info.is_found);
        kill_and_open(rig, cases[i].config); /* nor is it later */
        assert_false(rig->store->info.is_found);
        rig_close(rig);
    }
    watch(false);
}

static void cuts_are_counted_on(void **state)
{
    static const char config[] = "{'type': 'powercut', 'next': " MEMORY "}";
    struct rig *rig = *state;

    open_kept(rig, config);
    store_channel_close(rig->ch);
    rig->ch = NULL;
    assert_int_equal(rig_tell(rig, "powercut.cut", ""), 0);
    assert_int_equal(rig_tell(rig, "powercut.cut", ""), 0);
    save(rig);
    kill_and_open(rig, config);
    assert_non_null(strstr(rig_status(rig), "'cuts':2"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(memory_that_may_be_killed_is_found),
        RIG_TEST(memory_that_is_not_watched_is_our_own_until_it_is_saved),
        RIG_TEST(only_what_is_not_zero_takes_room_when_it_is_saved),
        RIG_TEST(kept_memory_gives_back_what_is_discarded),
        RIG_TEST(a_size_that_was_changed_stays_so),
        RIG_TEST(memory_of_another_size_begins_anew),
        RIG_TEST(what_lies_below_filters_is_kept_too),
        RIG_TEST(limits_that_were_set_hold_on),
        RIG_TEST(limits_that_a_config_has_changed_since_do_not),
        RIG_TEST(rules_of_faults_go_on),
        RIG_TEST(what_a_filter_holds_is_not_handed_on),
        RIG_TEST(cuts_are_counted_on),
        RIG_TEST(nonsense_that_is_found_does_no_harm),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
