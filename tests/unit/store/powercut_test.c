/* A disk that loses its power, against a model of it: every sector says which
 * write it is of, and the model knows which ones it may be of. */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>

#include "base/prng.h"
#include "store/powercut.h"

#define SECTOR 512
#define SECTORS 1024
#define HISTORY 4096
#define MEMORY                                                                 \
    "{'type': 'powercut', 'next': {'type': 'memory', 'size': '512K'}}"
#define SMALL                                                                  \
    "{'type': 'powercut', 'cache': '64K',"                                     \
    " 'next': {'type': 'memory', 'size': '512K'}}"
#define FILE_BELOW                                                             \
    "{'type': 'powercut', 'next': {'type': 'file', 'path': '@/disk'}}"

/* Which writes were made since the last flush, and where. */
struct written {
    unsigned at, num;
    uint64_t id;
};

struct model {
    uint64_t now[SECTORS], stable[SECTORS];
    struct written since[HISTORY];
    unsigned num;
    uint64_t id;
};

static struct model model;

static void fill(char *buf, unsigned num, uint64_t id)
{
    memset(buf, (int)(id * 37), num * SECTOR);
    for (unsigned i = 0; i < num; i++)
        memcpy(buf + i * SECTOR, &id, sizeof(id));
}

/* Every byte of it is of one write. */
static uint64_t id_of(const char *sector)
{
    char whole[SECTOR];
    uint64_t id;

    memcpy(&id, sector, sizeof(id));
    fill(whole, 1, id);
    assert_memory_equal(sector, whole, SECTOR);
    return id;
}

static void do_write(struct rig *rig, unsigned at, unsigned num, unsigned flags)
{
    static char buf[SECTORS * SECTOR];
    uint64_t id = ++model.id;

    fill(buf, num, id);
    assert_int_equal(rig_do(rig, STORE_WRITE, flags, at * SECTOR, buf,
                            (uint64_t)num * SECTOR),
                     0);
    for (unsigned i = at; i < at + num; i++) {
        model.now[i] = id;
        if (flags & STORE_FUA)
            model.stable[i] = id;
    }
    if (flags & STORE_FUA)
        return;
    assert_true(model.num < HISTORY);
    model.since[model.num++] = (struct written){at, num, id};
}

static void do_flush(struct rig *rig)
{
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    memcpy(model.stable, model.now, sizeof(model.now));
    model.num = 0;
}

static void do_zero(struct rig *rig, unsigned at, unsigned num)
{
    assert_int_equal(
        rig_do(rig, STORE_ZERO, 0, at * SECTOR, NULL, (uint64_t)num * SECTOR),
        0);
    for (unsigned i = at; i < at + num; i++)
        model.now[i] = model.stable[i] = 0;
}

/* Reads of any size see what was written last. */
static void look(struct rig *rig, unsigned at, unsigned num)
{
    static char buf[SECTORS * SECTOR];

    memset(buf, 0xa5, sizeof(buf));
    assert_int_equal(
        rig_do(rig, STORE_READ, 0, at * SECTOR, buf, (uint64_t)num * SECTOR),
        0);
    for (unsigned i = 0; i < num; i++)
        assert_int_equal(id_of(buf + i * SECTOR), model.now[at + i]);
}

static void some_range(struct prng *g, unsigned *at, unsigned *num,
                       unsigned most)
{
    *num = 1 + (unsigned)prng_below(g, most);
    *at = (unsigned)prng_below(g, SECTORS - *num + 1);
}

/* The same for a seed. */
static void act(struct rig *rig, struct prng *g, unsigned actions)
{
    unsigned at, num;

    for (unsigned i = 0; i < actions; i++) {
        unsigned what = (unsigned)prng_below(g, 100);

        some_range(g, &at, &num, what % 10 ? 24 : 300);
        if (what < 60)
            do_write(rig, at, num, 0);
        else if (what < 65)
            do_write(rig, at, num, STORE_FUA);
        else if (what < 68)
            do_zero(rig, at, num);
        else if (what < 70)
            do_flush(rig);
        else
            look(rig, at, num);
    }
}

static bool is_over;

static void on_over(struct power_cut *cut, int result)
{
    (void)cut;
    assert_int_equal(result, 0);
    is_over = true;
}

static void reopen(struct rig *rig)
{
    store_channel_close(rig->ch);
    rig_channel(rig, true);
}

static struct power_cut cut_power(struct rig *rig, enum power_outcome how,
                                  uint64_t seed)
{
    struct power_cut cut = {
        .how = how, .has_seed = true, .seed = seed, .over = on_over};
    char buf[SECTOR];
    struct err e;

    is_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, SECTOR), -EIO);
    while (!is_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    reopen(rig);
    return cut;
}

static bool may_be(unsigned sector, uint64_t id)
{
    if (id == model.stable[sector])
        return true;
    for (unsigned i = 0; i < model.num; i++) {
        const struct written *w = &model.since[i];

        if (w->id == id && sector >= w->at && sector < w->at + w->num)
            return true;
    }
    return false;
}

/* What there is now is what there is. */
static void find(struct rig *rig)
{
    static char buf[SECTORS * SECTOR];

    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        uint64_t id = id_of(buf + i * SECTOR);

        assert_true(may_be(i, id));
        model.now[i] = model.stable[i] = id;
    }
    model.num = 0;
}

static void begin(struct rig *rig, const char *config)
{
    memset(&model, 0, sizeof(model));
    rig_open_with(rig, config);
}

/* After requests of all kinds it reads as the model has it. */
static void need_disk(struct rig *rig, const char *config, uint64_t seed)
{
    struct prng g = prng_of(seed, 0);

    begin(rig, config);
    act(rig, &g, 3000);
    look(rig, 0, SECTORS);
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

    begin(rig, MEMORY);
    for (unsigned i = 0; i < 20; i++) {
        struct power_cut cut;

        act(rig, &g, 100);
        cut = cut_power(rig, POWER_LOST, i);
        assert_int_equal(cut.kept + cut.torn, 0);
        memcpy(model.now, model.stable, sizeof(model.now));
        model.num = 0;
        look(rig, 0, SECTORS);
    }
}

static void what_was_not_flushed_may_be_kept(void **state)
{
    struct rig *rig = *state;
    struct prng g = prng_of(4, 0);

    begin(rig, MEMORY);
    for (unsigned i = 0; i < 20; i++) {
        act(rig, &g, 100);
        assert_int_equal(cut_power(rig, POWER_KEPT, i).lost, 0);
        look(rig, 0, SECTORS);
        do_flush(rig);
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

    begin(rig, SMALL);
    for (unsigned i = 0; i < 60; i++) {
        struct power_cut cut;

        act(rig, &g, 100);
        cut = cut_power(rig, outcomes[i % 3], i);
        if (outcomes[i % 3] == POWER_REORDERED)
            assert_true(cut.sectors_kept == 0 || cut.kept > 0);
        torn += cut.torn;
        kept += cut.kept;
        lost += cut.lost;
        find(rig);
        look(rig, 0, SECTORS);
    }
    assert_true(torn > 20 && kept > 20 && lost > 20);
}

/* Writes of everything: what is left of each is whole sectors of its. */
static void a_sector_is_never_torn(void **state)
{
    static char buf[SECTORS * SECTOR];
    struct rig *rig = *state;
    uint64_t torn = 0;

    begin(rig, "{'type': 'powercut', 'sector': 4096, 'next': {'type':"
               " 'memory', 'size': '512K'}}");
    for (unsigned i = 0; i < 40; i++) {
        do_write(rig, 3, 128, 0);
        torn += cut_power(rig, POWER_TORN, i).torn;
        assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
        for (unsigned s = 3; s < 130; s++)
            if ((s + 1) % 8)
                assert_int_equal(id_of(buf + s * SECTOR),
                                 id_of(buf + (s + 1) * SECTOR));
        find(rig);
    }
    assert_true(torn > 5);
}

static void two_that_overlap_may_change_their_order(void **state)
{
    struct rig *rig = *state;
    bool old = false, new = false, neither = false;

    begin(rig, MEMORY);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t first = model.id + 1;

        do_write(rig, 8, 8, 0);
        do_write(rig, 8, 8, 0);
        cut_power(rig, POWER_REORDERED, i);
        find(rig);
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

    begin(rig, SMALL);
    for (unsigned i = 0; i < 5; i++) {
        act(rig, &g, 200);
        cut_power(rig, POWER_MIXED, seed + i);
        find(rig);
    }
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    for (unsigned i = 0; i < SECTORS; i++)
        sum = prng_mix(sum + id_of(buf + i * SECTOR));
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
    begin(rig, FILE_BELOW);
    act(rig, &g, 300);
    do_write(rig, 0, 100, 0);
    rig_close(rig);
    rig_open_with(rig, FILE_BELOW);
    look(rig, 0, SECTORS);
}

static void requests_that_wait_when_the_power_goes_fail(void **state)
{
    struct rig *rig = *state;
    struct ask *flush = malloc(sizeof(*flush));
    struct power_cut cut = {.how = POWER_LOST, .over = on_over};
    char buf[SECTOR];
    struct err e;

    rig_file(rig, "disk", SECTORS * SECTOR);
    begin(rig, FILE_BELOW);
    do_write(rig, 0, 100, 0);
    rig_ask(flush, STORE_FLUSH, 0, 0, NULL, 0, 1);
    assert_int_equal(store_submit(rig->ch, &flush->req), STORE_PENDING);
    is_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    assert_int_equal(rig_wait(rig, flush), -EIO);
    while (!is_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, SECTOR), -EIO);
    reopen(rig);
    memset(model.now, 0, sizeof(model.now));
    look(rig, 0, SECTORS);
    free(flush);
}

static void without_a_session_the_power_comes_back_at_once(void **state)
{
    struct rig *rig = *state;
    struct power_cut cut = {.how = POWER_LOST, .over = on_over};
    struct err e;

    begin(rig, MEMORY);
    do_write(rig, 0, 8, 0);
    do_flush(rig);
    do_write(rig, 4, 8, 0);
    store_channel_close(rig->ch);
    rig->ch = NULL;
    is_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    while (!is_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(cut.writes, 1);
    assert_int_equal(cut.sectors_lost, 8);
    rig_channel(rig, true);
    memcpy(model.now, model.stable, sizeof(model.now));
    look(rig, 0, SECTORS);
}

static void what_cannot_be_written_down_fails_the_flush_and_stays(void **state)
{
    struct rig *rig = *state;

    begin(rig, "{'type': 'powercut', 'next': {'type': 'fault', 'rules':"
               " [{'op': 'write', 'count': 1}],"
               " 'next': {'type': 'memory', 'size': '512K'}}}");
    do_write(rig, 0, 8, 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), -EIO);
    look(rig, 0, 16);
    do_flush(rig);
    cut_power(rig, POWER_LOST, 1);
    look(rig, 0, 16);
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

    begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
               " {'type': 'memory', 'size': '512K'}}}");
    do_write(rig, 0, 8, 0);
    do_flush(rig);
    do_write(rig, 4, 8, 0);
    do_write(rig, 100, 8, 0);
    assert_int_equal(rig_tell(rig, "cow.reset", ""), -EBUSY);
    look(rig, 0, SECTORS);
    close_channel(rig);
    assert_int_equal(rig_tell(rig, "cow.reset", ""), 0);
    rig_channel(rig, true);
    memset(model.now, 0, sizeof(model.now));
    look(rig, 0, SECTORS);
}

static void what_is_cached_stays_when_the_rest_is_committed(void **state)
{
    struct rig *rig = *state;

    begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
               " {'type': 'memory', 'size': '512K'}}}");
    do_write(rig, 0, 8, 0);
    do_flush(rig);
    do_write(rig, 4, 8, 0);
    close_channel(rig);
    assert_int_equal(rig_tell(rig, "cow.commit", ""), 0);
    rig_channel(rig, true);
    look(rig, 0, SECTORS);
    cut_power(rig, POWER_LOST, 1);
    memcpy(model.now, model.stable, sizeof(model.now));
    look(rig, 0, SECTORS);
}

/* Cuts the power in the next turn of the loop. */
static struct power_cut later;

static void on_idle(uv_idle_t *idle)
{
    struct rig *rig = idle->data;
    struct err e;

    uv_close((uv_handle_t *)idle, NULL);
    later = (struct power_cut){.how = POWER_KEPT, .over = on_over};
    if (powercut_cut(rig->store, &later, &e) < 0)
        fail_msg("%s", e.text);
}

static void what_a_cut_keeps_is_not_forgotten_by_a_commit(void **state)
{
    struct rig *rig = *state;
    uv_idle_t idle = {.data = rig};

    begin(rig, "{'type': 'powercut', 'next': {'type': 'cow', 'next':"
               " {'type': 'memory', 'size': '512K'}}}");
    do_write(rig, 0, 200, 0);
    do_flush(rig);
    do_write(rig, 4, 8, 0);
    close_channel(rig);
    is_over = false;
    uv_idle_init(&rig->loop.uv, &idle);
    uv_idle_start(&idle, on_idle);
    assert_int_equal(rig_tell(rig, "cow.commit", ""), 0);
    while (!is_over)
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    rig_channel(rig, true);
    look(rig, 0, SECTORS);
}

static void what_is_cached_beyond_a_new_end_is_forgotten(void **state)
{
    struct rig *rig = *state;
    struct err e;

    begin(rig, MEMORY);
    do_write(rig, 1000, 24, 0);
    do_write(rig, 0, 8, 0);
    assert_int_equal(store_resize(rig->store, 510 * 1024, &e), 0);
    do_flush(rig);
    assert_int_equal(store_resize(rig->store, 512 * 1024, &e), 0);
    for (unsigned i = 1020; i < SECTORS; i++)
        model.now[i] = 0;
    look(rig, 0, SECTORS);
}

static void one_that_is_closed_over_what_is_stuck_ends(void **state)
{
    struct rig *rig = *state;

    begin(rig, "{'type': 'powercut', 'next': {'type': 'fault', 'rules':"
               " [{'op': 'write', 'stuck': true}],"
               " 'next': {'type': 'memory', 'size': '512K'}}}");
    do_write(rig, 0, 100, 0);
    rig_close(rig);
}

/* The image is ours while something is to be written to it. */
static void nobody_else_has_the_image_before_all_is_written(void **state)
{
    struct rig *rig = *state, *other = malloc(sizeof(*other));
    char config[200];
    struct err e;

    rig_file(rig, "disk", SECTORS * SECTOR);
    begin(rig, FILE_BELOW);
    rig_init(other, NULL);
    snprintf(config, sizeof(config), "{'type': 'file', 'path': '%s'}",
             rig_path(rig, "disk"));
    rig_open_with(other, config);
    assert_int_equal(store_acquire(rig->store, &e), 0);
    do_write(rig, 0, 8, 0);
    close_channel(rig);
    store_release(rig->store);
    assert_int_equal(store_acquire(other->store, &e), -EAGAIN);
    assert_int_equal(store_acquire(rig->store, &e), 0);
    rig_channel(rig, true);
    look(rig, 0, 16);
    do_flush(rig);
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
