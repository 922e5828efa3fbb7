/* Copy on write, against a model that is an array of bytes. */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/prng.h"

#define DISK (1u << 20)
#define SECTOR 512u

#define BASE "'next': {'type': 'file', 'path': '@/disk'}}"
#define MEMORY "{'type': 'cow', " BASE
#define LARGE "{'type': 'cow', 'block_size': 65536, " BASE
#define ON_FILE "{'type': 'cow', 'overlay': '@/overlay', " BASE

static uint8_t model[DISK], base[DISK];

static void begin(struct rig *rig, const char *config)
{
    rig_numbers(rig, "disk", DISK);
    rig_pattern(model, DISK, 0, 0);
    memcpy(base, model, DISK);
    rig_open_with(rig, config);
}

static void look(struct rig *rig, uint64_t at, uint64_t len)
{
    static uint8_t buf[DISK];

    memset(buf, 0xa5, len);
    assert_int_equal(rig_do(rig, STORE_READ, 0, at, buf, len), 0);
    assert_memory_equal(buf, model + at, len);
}

static void change(struct rig *rig, uint64_t at, uint64_t len, uint8_t with,
                   unsigned flags)
{
    memset(model + at, with, len);
    assert_int_equal(rig_do(rig, STORE_WRITE, flags, at, model + at, len), 0);
}

/* The base's file is as it was. */
static void base_is(const struct rig *rig, const uint8_t *what)
{
    FILE *f = fopen(rig_path(rig, "disk"), "re");
    uint8_t *buf = malloc(DISK);

    assert_non_null(f);
    assert_int_equal(fread(buf, 1, DISK, f), DISK);
    assert_memory_equal(buf, what, DISK);
    fclose(f);
    free(buf);
}

static void act(struct rig *rig, struct prng *g, unsigned actions)
{
    for (unsigned i = 0; i < actions; i++) {
        uint64_t most = prng_below(g, 10) ? 40 : 600;
        uint64_t len = (1 + prng_below(g, most)) * SECTOR;
        uint64_t at = prng_below(g, (DISK - len) / SECTOR + 1) * SECTOR;
        unsigned what = (unsigned)prng_below(g, 100);

        if (what < 45)
            change(rig, at, len, (uint8_t)prng_next(g),
                   what < 5 ? STORE_FUA : 0);
        else if (what < 55) {
            memset(model + at, 0, len);
            assert_int_equal(rig_do(rig, what < 50 ? STORE_ZERO : STORE_DISCARD,
                                    0, at, NULL, len),
                             0);
        } else if (what < 60)
            assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
        else
            look(rig, at, len);
    }
    look(rig, 0, DISK);
}

static void a_disk_is_what_was_written_and_the_base_stays(void **state)
{
    static const char *const configs[] = {MEMORY, LARGE, ON_FILE};
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct prng g = prng_of(i, 0);

        begin(rig, configs[i]);
        look(rig, 0, DISK);
        act(rig, &g, 1500);
        base_is(rig, base);
        rig_close(rig);
        unlink(rig_path(rig, "overlay"));
    }
}

#define AT_ONCE 64

/* Sectors of the same blocks, all at once: none undoes another. */
static void writes_of_parts_of_a_block_at_once_are_all_there(void **state)
{
    static const char *const configs[] = {MEMORY, LARGE, ON_FILE};
    struct rig *rig = *state;
    struct ask *asks = calloc(AT_ONCE, sizeof(*asks));

    for (unsigned c = 0; c < ARRAY_LEN(configs); c++) {
        begin(rig, configs[c]);
        for (unsigned i = 0; i < AT_ONCE; i++) {
            uint64_t at = (i * 7 % AT_ONCE) * 2 * SECTOR;

            memset(model + at, (int)i, SECTOR);
            rig_ask(&asks[i], STORE_WRITE, i % 8 ? 0 : STORE_FUA, at,
                    model + at, SECTOR, SECTOR);
            if (store_submit(rig->ch, &asks[i].req) == STORE_DONE)
                asks[i].done = true;
        }
        store_kick(rig->ch);
        for (unsigned i = 0; i < AT_ONCE; i++)
            assert_int_equal(rig_wait(rig, &asks[i]), 0);
        look(rig, 0, DISK);
        rig_close(rig);
    }
    free(asks);
}

static void requests_of_many_at_once_do_not_harm_each_other(void **state)
{
    static const char *const configs[] = {MEMORY, LARGE, ON_FILE};
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        rig_file(rig, "empty", DISK);
        rename(rig_path(rig, "empty"), rig_path(rig, "disk"));
        rig_open_with(rig, configs[i]);
        lanes_run(rig, i, 300);
        rig_close(rig);
        unlink(rig_path(rig, "overlay"));
    }
}

/* Nobody else is there to kick: by engines that answer later. */
static void a_part_of_a_block_is_written_alone(void **state)
{
    static const char *const overlays[] = {"", "'overlay': '@/overlay',"};
    struct rig *rig = *state;
    char config[256];

    for (unsigned i = 0; i < ARRAY_LEN(overlays); i++) {
        rig_numbers(rig, "disk", DISK);
        rig_pattern(model, DISK, 0, 0);
        snprintf(config, sizeof(config),
                 "{'type': 'cow', %s 'next': {'type': 'file', 'engine':"
                 " 'threads', 'path': '@/disk'}}",
                 overlays[i]);
        assert_int_equal(rig_open(rig, config, false), 0);
        rig_channel(rig, false);
        change(rig, 512, 512, 1, 0);
        change(rig, 8192 + 512, 16384, 2, STORE_FUA);
        assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
        look(rig, 0, DISK);
        rig_close(rig);
    }
}

/* Another one over the same base, to be freed. */
static struct rig *open_beside(struct rig *rig)
{
    struct rig *other = malloc(sizeof(*other));
    char config[256];

    assert_non_null(other);
    rig_init(other, NULL);
    snprintf(config, sizeof(config),
             "{'type': 'cow', 'next': {'type': 'file', 'path': '%s'}}",
             rig_path(rig, "disk"));
    rig_open_with(other, config);
    return other;
}

static void two_share_a_base(void **state)
{
    struct rig *rig = *state, *other;

    begin(rig, MEMORY);
    other = open_beside(rig);
    assert_int_equal(store_acquire(rig->store, NULL), 0);
    assert_int_equal(store_acquire(other->store, NULL), 0);
    change(rig, 4096, 8192, 7, 0);
    look(rig, 0, DISK);
    memcpy(model, base, DISK);
    change(other, 0, 512, 9, 0);
    look(other, 0, DISK);
    rig_fini(other);
    free(other);
}

static void no_more_memory_than_is_allowed(void **state)
{
    struct rig *rig = *state;
    static uint8_t buf[64 << 10];

    begin(rig, "{'type': 'cow', 'max_memory': '64K', " BASE);
    change(rig, 0, 32 << 10, 1, 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 64 << 10, buf, 64 << 10),
                     -ENOSPC);
    change(rig, 512, 32 << 10, 2, 0); /* one block more */
    memset(model, 0, 32 << 10);
    assert_int_equal(rig_do(rig, STORE_ZERO, 0, 0, NULL, 32 << 10), 0);
    change(rig, 128 << 10, 60 << 10, 3, 0); /* zeros take no room */
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 64 << 10, buf, 4096), -ENOSPC);
    look(rig, 0, DISK);
}

/* Which of the two is done last is open, but it does not take room that nobody
 * has counted. */
static void a_write_beside_a_discard_takes_its_room(void **state)
{
    static uint8_t seven[4096], buf[4096];
    struct rig *rig = *state;
    struct ask *asks = calloc(2, sizeof(*asks));
    unsigned there = 0;

    memset(seven, 7, sizeof(seven));
    begin(rig, "{'type': 'cow', 'max_memory': '64K', " BASE);
    for (uint64_t at = 0; at < DISK; at += 4096) {
        rig_do(rig, STORE_WRITE, 0, at, seven, 4096);
        rig_ask(&asks[0], STORE_WRITE, 0, at, seven, 4096, 4096);
        rig_ask(&asks[1], STORE_DISCARD, 0, at, NULL, 4096, 4096);
        for (unsigned i = 0; i < 2; i++)
            asks[i].done = store_submit(rig->ch, &asks[i].req) == STORE_DONE;
        store_kick(rig->ch);
        for (unsigned i = 0; i < 2; i++)
            rig_wait(rig, &asks[i]);
    }
    for (uint64_t at = 0; at < DISK; at += 4096) {
        assert_int_equal(rig_do(rig, STORE_READ, 0, at, buf, 4096), 0);
        there += memcmp(buf, seven, 4096) == 0;
    }
    assert_true(there <= 16);
    free(asks);
}

static void an_overlay_on_a_file_is_there_again(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(9, 0);

    begin(rig, ON_FILE);
    for (unsigned i = 0; i < 4; i++) {
        act(rig, &g, 100);
        rig_close(rig);
        rig_open_with(rig, ON_FILE);
        look(rig, 0, DISK);
    }
    rig_close(rig);
    assert_true(rig_open(rig,
                         "{'type': 'cow', 'overlay': '@/overlay',"
                         " 'block_size': 8192, " BASE,
                         false) < 0);
    assert_non_null(strstr(rig->errs.list[0].text, "is no overlay of a disk"));
}

static void copy_file(const struct rig *rig, const char *from, const char *to)
{
    char command[600];

    snprintf(command, sizeof(command), "cp %s %s", rig_path(rig, from),
             rig_path(rig, to));
    assert_int_equal(system(command), 0);
}

/* As a machine that stops after the flush would leave it. */
static void what_was_flushed_is_on_the_file(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(10, 0);
    static uint8_t flushed[DISK];

    begin(rig, ON_FILE);
    act(rig, &g, 200);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    memcpy(flushed, model, DISK);
    copy_file(rig, "overlay", "crashed");
    act(rig, &g, 50);
    memcpy(model, flushed, DISK);
    change(rig, 512, 512, 1, STORE_FUA);
    rig_close(rig);
    memcpy(model, flushed, DISK);
    rig_open_with(rig, "{'type': 'cow', 'overlay': '@/crashed', " BASE);
    look(rig, 0, DISK);
}

/* ---- commands ---- */

static int say(struct rig *rig, const char *command)
{
    return rig_tell(rig, command, "");
}

static void close_channel(struct rig *rig)
{
    store_channel_close(rig->ch);
    rig->ch = NULL;
}

static void a_reset_brings_the_base_back(void **state)
{
    static const char *const configs[] = {MEMORY, ON_FILE};
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct prng g = prng_of(20, 0);

        begin(rig, configs[i]);
        act(rig, &g, 200);
        assert_int_equal(say(rig, "cow.reset"), -EBUSY);
        assert_int_equal(say(rig, "cow.discard"), -EBUSY);
        look(rig, 0, DISK);
        close_channel(rig);
        assert_int_equal(say(rig, "cow.reset"), 0);
        rig_channel(rig, true);
        memcpy(model, base, DISK);
        look(rig, 0, DISK);
        act(rig, &g, 200);
        rig_close(rig);
        rig_open_with(rig, configs[i]);
        if (i == 0)
            memcpy(model, base, DISK);
        look(rig, 0, DISK);
        rig_close(rig);
    }
}

static void a_commit_writes_to_the_base(void **state)
{
    static const char *const configs[] = {MEMORY, ON_FILE, LARGE};
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct prng g = prng_of(30, 0);

        begin(rig, configs[i]);
        act(rig, &g, 300);
        assert_int_equal(say(rig, "cow.commit"), -EBUSY);
        close_channel(rig);
        assert_int_equal(say(rig, "cow.commit"), 0);
        base_is(rig, model);
        rig_channel(rig, true);
        look(rig, 0, DISK);
        act(rig, &g, 100);
        rig_close(rig);
        unlink(rig_path(rig, "overlay"));
    }
}

static void a_base_in_memory_can_be_committed_to(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(31, 0);

    memset(model, 0, DISK);
    rig_open_with(rig, "{'type': 'cow', 'next': {'type': 'memory',"
                       " 'size': '1M'}}");
    act(rig, &g, 300);
    close_channel(rig);
    assert_int_equal(say(rig, "cow.commit"), 0);
    assert_int_equal(say(rig, "cow.reset"), 0);
    rig_channel(rig, true);
    look(rig, 0, DISK);
}

/* It is opened once more, to write: what is cached there gets to the file. */
static void a_base_with_filters_can_be_committed_to(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(32, 0);

    begin(rig, "{'type': 'cow', 'next': {'type': 'powercut', 'next': "
               "{'type': 'fault', 'next': {'type': 'file',"
               " 'path': '@/disk'}}}}");
    act(rig, &g, 300);
    close_channel(rig);
    assert_int_equal(say(rig, "cow.commit"), 0);
    base_is(rig, model);
    rig_channel(rig, true);
    look(rig, 0, DISK);
}

/* The inner overlay is the only one of its kind: it has what is committed, and
 * the file nothing. */
static void an_overlay_is_committed_to_the_one_below(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(33, 0);

    begin(rig, "{'type': 'cow', 'name': 'outer', 'next': {'type': 'cow',"
               " 'next': {'type': 'file', 'path': '@/disk'}}}");
    act(rig, &g, 300);
    close_channel(rig);
    assert_int_equal(rig_tell(rig, "cow.commit", "'filter': 'outer'"), 0);
    assert_non_null(strstr(rig_status(rig), "'overlay_bytes':0"));
    rig_channel(rig, true);
    look(rig, 0, DISK);
    base_is(rig, base);
}

/* Much of zeros is a matter of words, not of blocks. */
static void a_large_range_does_not_take_long(void **state)
{
    const uint64_t size = UINT64_C(256) << 30;
    struct rig *rig = *state;
    static uint8_t buf[8192];
    uint64_t start;

    rig_open_with(rig, "{'type': 'cow', 'next': {'type': 'null',"
                       " 'size': '256G'}}");
    memset(buf, 1, sizeof(buf));
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, size / 2, buf, 8192), 0);
    start = loop_now_ns();
    assert_int_equal(rig_do(rig, STORE_ZERO, 0, 512, NULL, size / 2), 0);
    assert_true(loop_now_ns() - start < UINT64_C(5000000000));
    assert_int_equal(rig_do(rig, STORE_READ, 0, size / 2, buf, 8192), 0);
    assert_true(rig_is_zero(buf, 512));
    assert_int_equal(buf[512], 1);
    assert_non_null(strstr(rig_status(rig), "'overlay_bytes':12288"));
    close_channel(rig);
    assert_int_equal(say(rig, "cow.reset"), 0);
}

static void it_keeps_its_size(void **state)
{
    struct rig *rig = *state;
    struct err e;

    rig_open_with(rig, "{'type': 'cow', 'next': {'type': 'memory', 'size': "
                       "'1M'}}");
    assert_int_equal(store_resize(rig->store, 2 << 20, &e), -EOPNOTSUPP);
    assert_string_equal(e.text, "a store cow keeps the size that it has");
    assert_int_equal(store_refresh(rig->store, &e), 0);
}

static void a_base_that_others_use_is_not_committed_to(void **state)
{
    struct rig *rig = *state, *other;

    begin(rig, MEMORY);
    other = open_beside(rig);
    assert_int_equal(store_acquire(other->store, NULL), 0);
    change(rig, 0, 4096, 5, 0);
    close_channel(rig);
    assert_int_equal(say(rig, "cow.commit"), -EAGAIN);
    base_is(rig, base);
    store_release(other->store);
    assert_int_equal(say(rig, "cow.commit"), 0);
    base_is(rig, model);
    rig_fini(other);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(a_disk_is_what_was_written_and_the_base_stays),
        RIG_TEST(writes_of_parts_of_a_block_at_once_are_all_there),
        RIG_TEST(requests_of_many_at_once_do_not_harm_each_other),
        RIG_TEST(a_part_of_a_block_is_written_alone),
        RIG_TEST(two_share_a_base),
        RIG_TEST(no_more_memory_than_is_allowed),
        RIG_TEST(a_write_beside_a_discard_takes_its_room),
        RIG_TEST(an_overlay_on_a_file_is_there_again),
        RIG_TEST(what_was_flushed_is_on_the_file),
        RIG_TEST(a_reset_brings_the_base_back),
        RIG_TEST(a_commit_writes_to_the_base),
        RIG_TEST(a_base_in_memory_can_be_committed_to),
        RIG_TEST(a_base_with_filters_can_be_committed_to),
        RIG_TEST(an_overlay_is_committed_to_the_one_below),
        RIG_TEST(a_large_range_does_not_take_long),
        RIG_TEST(it_keeps_its_size),
        RIG_TEST(a_base_that_others_use_is_not_committed_to),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
