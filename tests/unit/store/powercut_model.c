/* A model of a disk whose writes are stable when they are flushed, or before.
 */
#include "powercut_model.h"

#include <string.h>

struct model model;

static void model_fill(char *buf, unsigned num, uint64_t id)
{
    memset(buf, (int)(id * 37), num * SECTOR);
    for (unsigned i = 0; i < num; i++)
        memcpy(buf + i * SECTOR, &id, sizeof(id));
}

uint64_t model_id_of(const char *sector)
{
    char whole[SECTOR];
    uint64_t id;

    memcpy(&id, sector, sizeof(id));
    model_fill(whole, 1, id);
    assert_memory_equal(sector, whole, SECTOR);
    return id;
}

void model_write(struct rig *rig, unsigned at, unsigned num, unsigned flags)
{
    static char buf[SECTORS * SECTOR];
    uint64_t id = ++model.id;

    model_fill(buf, num, id);
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

void model_flush(struct rig *rig)
{
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    memcpy(model.stable, model.now, sizeof(model.now));
    model.num = 0;
}

void model_zero(struct rig *rig, unsigned at, unsigned num)
{
    assert_int_equal(
        rig_do(rig, STORE_ZERO, 0, at * SECTOR, NULL, (uint64_t)num * SECTOR),
        0);
    for (unsigned i = at; i < at + num; i++)
        model.now[i] = model.stable[i] = 0;
}

void model_look(struct rig *rig, unsigned at, unsigned num)
{
    static char buf[SECTORS * SECTOR];

    memset(buf, 0xa5, sizeof(buf));
    assert_int_equal(
        rig_do(rig, STORE_READ, 0, at * SECTOR, buf, (uint64_t)num * SECTOR),
        0);
    for (unsigned i = 0; i < num; i++)
        assert_int_equal(model_id_of(buf + i * SECTOR), model.now[at + i]);
}

static void some_range(struct prng *g, unsigned *at, unsigned *num,
                       unsigned most)
{
    *num = 1 + (unsigned)prng_below(g, most);
    *at = (unsigned)prng_below(g, SECTORS - *num + 1);
}

void model_act(struct rig *rig, struct prng *g, unsigned actions)
{
    unsigned at, num;

    for (unsigned i = 0; i < actions; i++) {
        unsigned what = (unsigned)prng_below(g, 100);

        some_range(g, &at, &num, what % 10 ? 24 : 300);
        if (what < 60)
            model_write(rig, at, num, 0);
        else if (what < 65)
            model_write(rig, at, num, STORE_FUA);
        else if (what < 68)
            model_zero(rig, at, num);
        else if (what < 70)
            model_flush(rig);
        else
            model_look(rig, at, num);
    }
}

bool model_cut_over;

void model_on_cut(struct power_cut *cut, int result)
{
    (void)cut;
    assert_int_equal(result, 0);
    model_cut_over = true;
}

void model_reopen(struct rig *rig)
{
    store_channel_close(rig->ch);
    rig_channel(rig, true);
}

struct power_cut model_cut(struct rig *rig, enum power_outcome how,
                           uint64_t seed)
{
    struct power_cut cut = {
        .how = how, .has_seed = true, .seed = seed, .over = model_on_cut};
    char buf[SECTOR];
    struct err e;

    model_cut_over = false;
    assert_int_equal(powercut_cut(rig->store, &cut, &e), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, SECTOR), -EIO);
    while (!model_cut_over)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    model_reopen(rig);
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

void model_find(struct rig *rig)
{
    static char buf[SECTORS * SECTOR];

    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, sizeof(buf)), 0);
    for (unsigned i = 0; i < SECTORS; i++) {
        uint64_t id = model_id_of(buf + i * SECTOR);

        assert_true(may_be(i, id));
        model.now[i] = model.stable[i] = id;
    }
    model.num = 0;
}

void model_begin(struct rig *rig, const char *config)
{
    memset(&model, 0, sizeof(model));
    rig_open_with(rig, config);
}
