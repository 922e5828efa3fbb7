/* Filters on filters, in any order: that those that do no harm are together
 * still a disk, that a drain ends all that they hold, and that what is left to
 * chance is the same each time.
 *
 * A stack is drawn, by a seed; a test that fails prints it. */
#include "lanes.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/prng.h"

#define BLOCK 4096u
#define DEEPEST 4

/* In a config % is what it is around, and $ a digit that no other filter of the
 * stack has. */
struct layer {
    const char *name, *config;
};

static const struct layer harmless[] = {
    {"fault", "{'type': 'fault', 'rules': [{'armed': false},"
              " {'op': 'read', 'per_million': 0}], 'next': %}"},
    {"delay", "{'type': 'delay', 'exact': true, 'next': %, 'all':"
              " {'distribution': 'uniform', 'us': 50, 'spread_us': 50}}"},
    {"throttle", "{'type': 'throttle', 'name': 't$', 'iops': 30000,"
                 " 'next': %}"},
    {"powercut", "{'type': 'powercut', 'cache': '64K', 'next': %}"},
    {"cow", "{'type': 'cow', 'next': %}"},
    {"cow on a file", "{'type': 'cow', 'overlay': '@/overlay$',"
                      " 'block_size': 8192, 'next': %}"},
    {"trace", "{'type': 'trace', 'path': '@/$.trace', 'next': %}"},
};

static const char *const disks[] = {
    "{'type': 'memory', 'size': '1M'}",
    "{'type': 'file', 'path': '@/disk', 'engine': 'threads'}",
};

/* Puts a layer around what is in `stack`. */
static void put_on(char *stack, size_t size, const struct layer *l, char digit)
{
    char *inner = strdup(stack);
    size_t n = 0;

    for (const char *c = l->config; *c; c++) {
        assert_true(n + strlen(inner) + 2 < size);
        if (*c == '%')
            n += (size_t)sprintf(stack + n, "%s", inner);
        else
            stack[n++] = *c == '$' ? digit : *c;
        stack[n] = '\0';
    }
    free(inner);
}

static void new_files(struct rig *rig)
{
    char command[256];

    snprintf(command, sizeof(command), "rm -f %s %s*", rig_path(rig, "disk"),
             rig_path(rig, "overlay"));
    assert_int_equal(system(command), 0);
    rig_file(rig, "disk", LANES_BYTES);
}

/* ---- a disk ---- */

static void stacks_that_do_no_harm_are_disks(void **state)
{
    struct rig *rig = *state;
    char stack[2000];

    for (unsigned seed = 0; seed < 30; seed++) {
        struct prng g = prng_of(seed, 0);
        unsigned depth = 1 + (unsigned)prng_below(&g, DEEPEST);

        snprintf(stack, sizeof(stack), "%s", disks[seed % ARRAY_LEN(disks)]);
        for (unsigned i = 0; i < depth; i++)
            put_on(stack, sizeof(stack),
                   &harmless[prng_below(&g, ARRAY_LEN(harmless))],
                   (char)('0' + i));
        new_files(rig);
        print_message("%s\n", stack);
        rig_open_with(rig, stack);
        lanes_run(rig, seed, 40);
        rig_close(rig);
    }
}

/* ---- drains ---- */

static const char mine, theirs;

enum { ASKED = 12 };

/* Of what a guest may have under way: parts of one block, what was cached and
 * is flushed, a range. */
static struct ask *ask_all(struct rig *rig)
{
    static char buf[ASKED][BLOCK];
    static const struct {
        enum store_op op;
        unsigned flags;
        uint64_t offset, len;
    } all[] = {
        {STORE_WRITE, 0, 512, 512},   {STORE_WRITE, 0, 1024, 512},
        {STORE_READ, 0, 8192, BLOCK}, {STORE_FLUSH, 0, 0, 0},
        {STORE_ZERO, 0, 16384, 512},  {STORE_WRITE, STORE_FUA, 512, BLOCK},
    };
    struct ask *asks = calloc(ASKED, sizeof(*asks));

    for (unsigned i = 0; i < ASKED; i++) {
        unsigned k = i / 2;
        struct store_req *r = &asks[i].req;

        rig_ask(&asks[i], all[k].op, all[k].flags, all[k].offset, buf[i],
                all[k].len, BLOCK);
        r->owner = i % 2 ? &theirs : &mine;
        rig_submit(rig, &asks[i]);
    }
    return asks;
}

static void need_over(struct rig *rig, struct ask *asks, const char *owner,
                      bool failed_is_fine)
{
    uint64_t until = loop_now_ns() + UINT64_C(10000000000);

    for (unsigned i = 0; i < ASKED; i++) {
        if (asks[i].req.owner != owner)
            continue;
        while (!asks[i].done && loop_now_ns() < until)
            uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        if (!asks[i].done)
            fail_msg("request %u is held", i);
        if (!failed_is_fine)
            assert_int_equal(asks[i].req.result, 0);
    }
}

/* Each around each, around what holds its requests, by that name. */
static void on_all_pairs(struct rig *rig, const char *hold,
                         void (*one)(struct rig *rig))
{
    char stack[2000];

    for (unsigned i = 0; i < ARRAY_LEN(harmless); i++)
        for (unsigned k = 0; k < ARRAY_LEN(harmless); k++) {
            const struct layer bottom = {"hold", hold};

            snprintf(stack, sizeof(stack), "%s",
                     disks[(i + k) % ARRAY_LEN(disks)]);
            put_on(stack, sizeof(stack), &bottom, '0');
            put_on(stack, sizeof(stack), &harmless[i], '1');
            put_on(stack, sizeof(stack), &harmless[k], '2');
            new_files(rig);
            print_message("%s\n", stack);
            rig_open_with(rig, stack);
            one(rig);
            rig_close(rig);
        }
}

/* Nobody gives anything up for it. */
static void one_that_waits(struct rig *rig)
{
    struct ask *asks = ask_all(rig);

    store_drain(rig->ch, &mine, false);
    need_over(rig, asks, &mine, false);
    store_drain(rig->ch, &theirs, false);
    need_over(rig, asks, &theirs, false);
    free(asks);
}

static void a_drain_ends_what_takes_its_time(void **state)
{
    on_all_pairs(*state,
                 "{'type': 'delay', 'all': {'us': 60000000}, 'next': %}",
                 one_that_waits);
    on_all_pairs(*state,
                 "{'type': 'throttle', 'iops': 1, 'iops_burst': 1, 'next': %}",
                 one_that_waits);
}

static void one_that_is_stuck(struct rig *rig)
{
    struct ask *asks = ask_all(rig);

    store_drain(rig->ch, &mine, true);
    need_over(rig, asks, &mine, true);
    store_drain(rig->ch, &theirs, true);
    need_over(rig, asks, &theirs, true);
    free(asks);
    rig_tell(rig, "fault.disarm", "'filter': 'hold'");
    rig_tell(rig, "fault.release", "'filter': 'hold'");
}

static void a_drain_gives_up_what_is_stuck(void **state)
{
    on_all_pairs(*state,
                 "{'type': 'fault', 'name': 'hold', 'rules':"
                 " [{'outcome': 'stuck'}], 'next': %}",
                 one_that_is_stuck);
    on_all_pairs(*state,
                 "{'type': 'fault', 'name': 'hold', 'rules':"
                 " [{'op': 'write', 'outcome': 'stuck'}], 'next': %}",
                 one_that_is_stuck);
}

/* ---- chance ---- */

/* What ^ is where there is a powercut. */
#define CUT                                                                    \
    "{'op': 'write', 'per_million': 8000, 'outcome': 'powercut',"              \
    " 'power': 'mixed'},"

static const struct layer hostile[] = {
    {"fault", "{'type': 'fault', 'seed': #, 'next': %, 'rules': [^"
              "{'op': 'read', 'per_million': 50000, 'outcome': 'flip'},"
              "{'op': 'read', 'per_million': 20000, 'outcome': 'garbage'},"
              "{'op': 'write', 'per_million': 50000, 'outcome': 'drop'},"
              "{'op': 'write', 'per_million': 50000, 'outcome': 'misdirect',"
              " 'distance': 0},"
              "{'op': 'write', 'per_million': 50000, 'outcome': 'short'},"
              "{'per_million': 30000, 'error': 'ENOSPC'}]}"},
    {"delay", "{'type': 'delay', 'seed': #, 'exact': true, 'next': %, 'all':"
              " {'distribution': 'normal', 'us': 20, 'spread_us': 20}}"},
    {"throttle", "{'type': 'throttle', 'iops': 30000, 'next': %}"},
    {"powercut", "{'type': 'powercut', 'seed': #, 'cache': '64K', 'next': %}"},
    {"cow", "{'type': 'cow', 'max_memory': '256K', 'next': %}"},
    {"trace", "{'type': 'trace', 'path': '@/$.trace', 'next': %}"},
};

enum { REQUESTS = 500 };

/* How each request ended, what was read, what commands have answered. */
struct stream {
    int ends[REQUESTS];
    uint64_t sum;
};

static void note(struct stream *s, const void *data, size_t len)
{
    for (size_t i = 0; i < len; i++)
        s->sum = s->sum * 31 + ((const uint8_t *)data)[i];
}

static void tell(struct rig *rig, struct stream *s, const char *command,
                 const char *params)
{
    rig_tell(rig, command, params);
    note(s, rig->told, strlen(rig->told));
}

/* Another session: what is told of in between is told. */
static void begin_again(struct rig *rig, struct stream *s, const char *stack,
                        struct prng *g)
{
    struct err e;

    if (strstr(stack, "powercut") && prng_below(g, 2))
        tell(rig, s, "powercut.cut", "");
    store_channel_close(rig->ch);
    rig->ch = NULL;
    store_release(rig->store);
    if (strstr(stack, "'cow'") && prng_below(g, 2))
        tell(rig, s, prng_below(g, 2) ? "cow.reset" : "cow.commit", "");
    if (strstr(stack, "fault") && prng_below(g, 2))
        tell(rig, s, "fault.arm", "'rule': '0', 'after': 3");
    while (store_acquire(rig->store, &e) == -EAGAIN)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    rig_channel(rig, true);
}

static void run(struct rig *rig, const char *stack, unsigned seed,
                struct stream *s)
{
    static const enum store_op ops[] = {STORE_READ,  STORE_WRITE, STORE_WRITE,
                                        STORE_WRITE, STORE_FLUSH, STORE_ZERO};
    static uint8_t buf[8 * BLOCK];
    struct prng g = prng_of(seed, 0);

    memset(s, 0, sizeof(*s));
    new_files(rig);
    rig_open_with(rig, stack);
    for (unsigned i = 0; i < REQUESTS; i++) {
        enum store_op op = ops[prng_below(&g, ARRAY_LEN(ops))];
        uint64_t len = 512 * (1 + prng_below(&g, sizeof(buf) / 512));
        uint64_t at = 512 * prng_below(&g, (LANES_BYTES - len) / 512);

        rig_pattern(buf, len, at, i);
        s->ends[i] = rig_do(rig, op, prng_below(&g, 8) ? 0 : STORE_FUA,
                            op == STORE_FLUSH ? 0 : at, buf,
                            op == STORE_FLUSH ? 0 : len);
        if (op == STORE_READ && s->ends[i] == 0)
            note(s, buf, len);
        if (i % 60 == 59)
            begin_again(rig, s, stack, &g);
    }
    rig_close(rig);
}

static bool is_same(const struct stream *a, const struct stream *b)
{
    return a->sum == b->sum && memcmp(a->ends, b->ends, sizeof(a->ends)) == 0;
}

/* A stack of each filter once, or not, in any order. */
static void draw(struct prng *g, const char *seed, char *stack, size_t size)
{
    const struct layer *order[ARRAY_LEN(hostile)];
    unsigned num = ARRAY_LEN(hostile);
    char *at;

    for (unsigned i = 0; i < num; i++)
        order[i] = &hostile[i];
    for (unsigned i = num - 1; i > 0; i--) {
        unsigned k = (unsigned)prng_below(g, i + 1);
        const struct layer *l = order[i];

        order[i] = order[k];
        order[k] = l;
    }
    num -= (unsigned)prng_below(g, 4);
    snprintf(stack, size, "%s", disks[prng_below(g, ARRAY_LEN(disks))]);
    for (unsigned i = 0; i < num; i++)
        put_on(stack, size, order[i], (char)('0' + i));
    for (char *c = stack; (c = strchr(c, '#')) != NULL;)
        *c = *seed;
    at = strchr(stack, '^');
    if (at) {
        const char *cut = strstr(stack, "{'type': 'powercut'") ? CUT : "";
        size_t len = strlen(cut);

        assert_true(strlen(stack) + len < size);
        memmove(at + len, at + 1, strlen(at + 1) + 1);
        memcpy(at, cut, len);
    }
}

static void the_same_seed_and_requests_have_the_same_outcome(void **state)
{
    static struct stream first, again, other;
    struct rig *rig = *state;
    unsigned differ = 0;
    char stack[2000];

    for (unsigned seed = 0; seed < 14; seed++) {
        struct prng g = prng_of(seed, 1), same = g;

        draw(&g, "3", stack, sizeof(stack));
        print_message("%s\n", stack);
        run(rig, stack, seed, &first);
        run(rig, stack, seed, &again);
        assert_true(is_same(&first, &again));
        draw(&same, "4", stack, sizeof(stack));
        run(rig, stack, seed, &other);
        differ += !is_same(&first, &other);
    }
    assert_true(differ > 7);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(stacks_that_do_no_harm_are_disks),
        RIG_TEST(a_drain_ends_what_takes_its_time),
        RIG_TEST(a_drain_gives_up_what_is_stuck),
        RIG_TEST(the_same_seed_and_requests_have_the_same_outcome),
    };

    return cmocka_run_group_tests_name("stacks", tests, NULL, NULL);
}
