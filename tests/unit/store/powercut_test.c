/* A disk that loses its power, against a model of it. */
#include "powercut_model.h"

#include <stdlib.h>
#include <string.h>

#include "lanes.h"

#define MEMORY                                                                 \
    "{'type': 'powercut', 'next': {'type': 'memory', 'size': '512K'}}"
#define SMALL                                                                  \
    "{'type': 'powercut', 'cache': '64K',"                                     \
    " 'next': {'type': 'memory', 'size': '512K'}}"
#define FILE_BELOW                                                             \
    "{'type': 'powercut', 'next': {'type': 'file', 'path': '@/disk'}}"

/* After requests of all kinds it reads as the model has it. */
static void need_disk(struct rig *rig, const char *config, uint64_t seed)
{
    struct prng g = prng_of(seed, 0);

    model_begin(rig, config);
    model_act(rig, &g, 3000);
    model_look(rig, 0, SECTORS);
}

static void reads_see_what_was_written_last(void **state)
{
    need_disk(*state, MEMORY, 1);
}

static void a_cache_that_is_full_is_written_down(void **state)
{
    need_disk(*state, SMALL, 2);
}

static void requests_of_many_at_once_do_not_harm_each_other(void **state)
{
    static const char *const configs[] = {
        "{'type': 'powercut', 'cache': '64K', 'next': {'type': 'memory',"
        " 'size': '1M'}}",
        "{'type': 'powercut', 'cache': '64K', 'next': {'type': 'file',"
        " 'path': '@/disk', 'engine': 'threads'}}",
        "{'type': 'powercut', 'next': {'type': 'file', 'path': '@/disk'}}",
    };
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        rig_file(rig, "empty", LANES_BYTES);
        rename(rig_path(rig, "empty"), rig_path(rig, "disk"));
        rig_open_with(rig, configs[i]);
        lanes_run(rig, i, 400);
        rig_close(rig);
    }
}

static void what_was_not_flushed_is_lost(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(3, 0);

    model_begin(rig, MEMORY);
    for (unsigned i = 0; i < 20; i++) {
        struct power_cut cut;

        model_act(rig, &g, 100);
        cut = model_cut(rig, POWER_LOST, i);
        assert_int_equal(cut.kept + cut.torn, 0);
        memcpy(model.now, model.stable, sizeof(model.now));
        model.num = 0;
        model_look(rig, 0, SECTORS);
    }
}

static void what_was_not_flushed_may_be_kept(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(4, 0);

    model_begin(rig, MEMORY);
    for (unsigned i = 0; i < 20; i++) {
        model_act(rig, &g, 100);
        assert_int_equal(model_cut(rig, POWER_KEPT, i).lost, 0);
        model_look(rig, 0, SECTORS);
        model_flush(rig);
    }
}

/* The disk is below by then: what is flushed never changes by a cut. */
static void what_is_left_is_old_or_new_sector_by_sector(void **state)
{
    static const enum power_outcome outcomes[] = {POWER_TORN, POWER_REORDERED,
                                                  POWER_MIXED};
    struct rig *rig = *state;
    struct prng g = prng_of(5, 0);
    uint64_t torn = 0, kept = 0, lost = 0;

    model_begin(rig, SMALL);
    for (unsigned i = 0; i < 60; i++) {
        struct power_cut cut;

        model_act(rig, &g, 100);
        cut = model_cut(rig, outcomes[i % 3], i);
        if (outcomes[i % 3] == POWER_REORDERED)
            assert_true(cut.sectors_kept == 0 || cut.kept > 0);
        torn += cut.torn;
        kept += cut.kept;
        lost += cut.lost;
        model_find(rig);
        model_look(rig, 0, SECTORS);
    }
    assert_true(torn > 20 && kept > 20 && lost > 20);
}

/* Writes of everything: what is left of each is whole sectors of its. */
static void a_sector_is_never_torn(void **state)
{
    static char buf[SECTORS * SECTOR];
    struct rig *rig = *state;
    uint64_t torn = 0;

    model_begin(rig, "{'type': 'powercut', 'sector': 4096, 'next': {'type':"
                     " 'memory', 'size': '512K'}}");
    for (unsigned i = 0; i < 40; i++) {
        model_write(rig, 3, 128, 0);
        torn += model_cut(rig, POWER_TORN, i).torn;
        assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
        for (unsigned s = 3; s < 130; s++)
            if ((s + 1) % 8)
                assert_int_equal(model_id_of(buf + s * SECTOR),
                                 model_id_of(buf + (s + 1) * SECTOR));
        model_find(rig);
    }
    assert_true(torn > 5);
}

static void two_that_overlap_may_change_their_order(void **state)
{
    struct rig *rig = *state;
    bool old = false, new = false, neither = false;

    model_begin(rig, MEMORY);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t first = model.id + 1;

        model_write(rig, 8, 8, 0);
        model_write(rig, 8, 8, 0);
        model_cut(rig, POWER_REORDERED, i);
        model_find(rig);
        old |= model.now[8] == first;
        new |= model.now[8] == first + 1;
        neither |= model.now[8] < first;
        assert_int_equal(model.now[8], model.now[15]);
    }
    assert_true(old && new &&neither);
}

static uint64_t outcome_of(struct rig *rig, uint64_t seed)
{
    static char buf[SECTORS * SECTOR];
    struct prng g = prng_of(6, 0);
    uint64_t sum = 0;

    model_begin(rig, SMALL);
    for (unsigned i = 0; i < 5; i++) {
        model_act(rig, &g, 200);
        model_cut(rig, POWER_MIXED, seed + i);
        model_find(rig);
    }
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    for (unsigned i = 0; i < SECTORS; i++)
        sum = prng_mix(sum + model_id_of(buf + i * SECTOR));
    rig_close(rig);
    return sum;
}

static void the_same_seed_has_the_same_outcome(void **state)
{
    struct rig *rig = *state;
    uint64_t first = outcome_of(rig, 40);

    assert_true(first == outcome_of(rig, 40));
    assert_true(first != outcome_of(rig, 50));
}

static void a_disk_that_is_closed_is_written_down(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(7, 0);

    rig_file(rig, "disk", SECTORS * SECTOR);
    model_begin(rig, FILE_BELOW);
    model_act(rig, &g, 300);
    model_write(rig, 0, 100, 0);
    rig_close(rig);
    rig_open_with(rig, FILE_BELOW);
    model_look(rig, 0, SECTORS);
}

static void requests_that_wait_when_the_power_goes_fail(void **state)
{
    struct rig *rig = *state;
    struct ask *flush = malloc(sizeof(*flush));
    struct power_cut cut = {.how = POWER_LOST, .over = model_on_cut};
    char buf[SECTOR];
    struct err e;

    rig_file(rig, "disk", SECTORS * SECTOR);
    model_begin(rig, FILE_BELOW);
    model_write(rig, 0, 100, 0);
    rig_ask(flush, STORE_FLUSH, 0, 0, NULL, 0, 1);
    assert_int_equal(store_submit(rig->ch, &flush->req), STORE_PENDING);
    model_cut_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    assert_int_equal(rig_wait(rig, flush), -EIO);
    while (!model_cut_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, SECTOR), -EIO);
    model_reopen(rig);
    memset(model.now, 0, sizeof(model.now));
    model_look(rig, 0, SECTORS);
    free(flush);
}

static void without_a_session_the_power_comes_back_at_once(void **state)
{
    struct rig *rig = *state;
    struct power_cut cut = {.how = POWER_LOST, .over = model_on_cut};
    struct err e;

    model_begin(rig, MEMORY);
    model_write(rig, 0, 8, 0);
    model_flush(rig);
    model_write(rig, 4, 8, 0);
    store_channel_close(rig->ch);
    rig->ch = NULL;
    model_cut_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    while (!model_cut_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(cut.writes, 1);
    assert_int_equal(cut.sectors_lost, 8);
    rig_channel(rig, true);
    memcpy(model.now, model.stable, sizeof(model.now));
    model_look(rig, 0, SECTORS);
}

static void what_cannot_be_written_down_fails_the_flush_and_stays(void **state)
{
    struct rig *rig = *state;

    model_begin(rig, "{'type': 'powercut', 'next': {'type': 'fault', 'rules':"
                     " [{'op': 'write', 'count': 1}],"
                     " 'next': {'type': 'memory', 'size': '512K'}}}");
    model_write(rig, 0, 8, 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), -EIO);
    model_look(rig, 0, 16);
    model_flush(rig);
    model_cut(rig, POWER_LOST, 1);
    model_look(rig, 0, 16);
}

/* ---- beside others ---- */

static void close_channel(struct rig *rig)
{
    store_channel_close(rig->ch);
    rig->ch = NULL;
}

static void what_is_cached_goes_with_what_is_reset_below(void **state)
{
    struct rig *rig = *state;

    model_begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
                     " {'type': 'memory', 'size': '512K'}}}");
    model_write(rig, 0, 8, 0);
    model_flush(rig);
    model_write(rig, 4, 8, 0);
    model_write(rig, 100, 8, 0);
    assert_int_equal(rig_tell(rig, "cow.reset", ""), -EBUSY);
    model_look(rig, 0, SECTORS);
    close_channel(rig);
    assert_int_equal(rig_tell(rig, "cow.reset", ""), 0);
    rig_channel(rig, true);
    memset(model.now, 0, sizeof(model.now));
    model_look(rig, 0, SECTORS);
}

static void what_is_cached_stays_when_the_rest_is_committed(void **state)
{
    struct rig *rig = *state;

    model_begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
                     " {'type': 'memory', 'size': '512K'}}}");
    model_write(rig, 0, 8, 0);
    model_flush(rig);
    model_write(rig, 4, 8, 0);
    close_channel(rig);
    assert_int_equal(rig_tell(rig, "cow.commit", ""), 0);
    rig_channel(rig, true);
    model_look(rig, 0, SECTORS);
    model_cut(rig, POWER_LOST, 1);
    memcpy(model.now, model.stable, sizeof(model.now));
    model_look(rig, 0, SECTORS);
}

/* Cuts the power in the next turn of the loop. */
static struct power_cut later;

static void on_idle(uv_idle_t *idle)
{
    struct rig *rig = idle->data;
    struct err e;

    uv_close((uv_handle_t *)idle, NULL);
    later = (struct power_cut){.how = POWER_KEPT, .over = model_on_cut};
    if (powercut_cut(rig->store, &later, &e) < 0)
        fail_msg("%s", e.text);
}

static void what_a_cut_keeps_is_not_forgotten_by_a_commit(void **state)
{
    struct rig *rig = *state;
    uv_idle_t idle = {.data = rig};

    model_begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
                     " {'type': 'memory', 'size': '512K'}}}");
    model_write(rig, 0, 200, 0);
    model_flush(rig);
    model_write(rig, 4, 8, 0);
    close_channel(rig);
    model_cut_over = false;
    uv_idle_init(&rig->loop.uv, &idle);
    uv_idle_start(&idle, on_idle);
    assert_int_equal(rig_tell(rig, "cow.commit", ""), 0);
    while (!model_cut_over)
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    rig_channel(rig, true);
    model_look(rig, 0, SECTORS);
}

static void what_is_cached_beyond_a_new_end_is_forgotten(void **state)
{
    struct rig *rig = *state;
    struct err e;

    model_begin(rig, MEMORY);
    model_write(rig, 1000, 24, 0);
    model_write(rig, 0, 8, 0);
    assert_int_equal(store_resize(rig->store, 510 * 1024, &e), 0);
    model_flush(rig);
    assert_int_equal(store_resize(rig->store, 512 * 1024, &e), 0);
    for (unsigned i = 1020; i < SECTORS; i++)
        model.now[i] = 0;
    model_look(rig, 0, SECTORS);
}

static void one_that_is_closed_over_what_is_stuck_ends(void **state)
{
    struct rig *rig = *state;

    model_begin(rig, "{'type': 'powercut', 'next': {'type': 'fault', 'rules':"
                     " [{'op': 'write', 'stuck': true}],"
                     " 'next': {'type': 'memory', 'size': '512K'}}}");
    model_write(rig, 0, 100, 0);
    rig_close(rig);
}

/* The image is ours while something is to be written to it. */
static void nobody_else_has_the_image_before_all_is_written(void **state)
{
    struct rig *rig = *state, *other = malloc(sizeof(*other));
    char config[200];
    struct err e;

    rig_file(rig, "disk", SECTORS * SECTOR);
    model_begin(rig, FILE_BELOW);
    rig_init(other, NULL);
    snprintf(config, sizeof(config), "{'type': 'file', 'path': '%s'}",
             rig_path(rig, "disk"));
    rig_open_with(other, config);
    assert_int_equal(store_acquire(rig->store, &e), 0);
    model_write(rig, 0, 8, 0);
    close_channel(rig);
    store_release(rig->store);
    assert_int_equal(store_acquire(other->store, &e), -EAGAIN);
    assert_int_equal(store_acquire(rig->store, &e), 0);
    rig_channel(rig, true);
    model_look(rig, 0, 16);
    model_flush(rig);
    close_channel(rig);
    assert_int_equal(store_acquire(other->store, &e), -EAGAIN);
    store_release(rig->store);
    assert_int_equal(store_acquire(other->store, &e), 0);
    assert_int_equal(store_acquire(rig->store, &e), -EAGAIN);
    rig_fini(other);
    free(other);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(reads_see_what_was_written_last),
        RIG_TEST(a_cache_that_is_full_is_written_down),
        RIG_TEST(requests_of_many_at_once_do_not_harm_each_other),
        RIG_TEST(what_was_not_flushed_is_lost),
        RIG_TEST(what_was_not_flushed_may_be_kept),
        RIG_TEST(what_is_left_is_old_or_new_sector_by_sector),
        RIG_TEST(a_sector_is_never_torn),
        RIG_TEST(two_that_overlap_may_change_their_order),
        RIG_TEST(the_same_seed_has_the_same_outcome),
        RIG_TEST(a_disk_that_is_closed_is_written_down),
        RIG_TEST(requests_that_wait_when_the_power_goes_fail),
        RIG_TEST(without_a_session_the_power_comes_back_at_once),
        RIG_TEST(what_cannot_be_written_down_fails_the_flush_and_stays),
        RIG_TEST(what_is_cached_goes_with_what_is_reset_below),
        RIG_TEST(what_is_cached_stays_when_the_rest_is_committed),
        RIG_TEST(what_a_cut_keeps_is_not_forgotten_by_a_commit),
        RIG_TEST(what_is_cached_beyond_a_new_end_is_forgotten),
        RIG_TEST(one_that_is_closed_over_what_is_stuck_ends),
        RIG_TEST(nobody_else_has_the_image_before_all_is_written),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
