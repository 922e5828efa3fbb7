/* tests/unit/store/budget_rig.h: a budget with some seats, on a clock that is
 * the test's. */
#ifndef VUB_TESTS_UNIT_STORE_BUDGET_RIG_H
#define VUB_TESTS_UNIT_STORE_BUDGET_RIG_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "os/thread.h"
#include "store/budget.h"

#define MS UINT64_C(1000000)
#define SECOND (1000 * MS)
#define SEATS 4

struct seat {
    struct budget_user user;
    struct budget_seat seat;
    struct list asked, go;
    uint64_t next_ns;
    unsigned woken;
};

struct rig {
    struct budget b;
    struct seat s[SEATS];
    uint64_t now_ns;
};

static inline void on_wake(struct budget_seat *s)
{
    __atomic_add_fetch(&container_of(s, struct seat, seat)->woken, 1,
                       __ATOMIC_RELAXED);
}

/* Each seat is of a user of its own. */
static inline int budget_setup(void **state)
{
    struct rig *rig = calloc(1, sizeof(*rig));

    assert_int_equal(budget_init(&rig->b), 0);
    rig->now_ns = 100 * SECOND;
    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &rig->s[i];

        list_init(&s->asked);
        list_init(&s->go);
        s->seat.wake = on_wake;
        budget_user_add(&s->user, &rig->b);
        budget_seat_add(&s->seat, &s->user);
    }
    *state = rig;
    return 0;
}

static inline struct store_req *next(struct seat *s)
{
    struct list *node = list_pop(&s->go);

    return node ? container_of(node, struct store_req, node) : NULL;
}

static inline unsigned drop_gone(struct seat *s)
{
    struct store_req *r;
    unsigned n = 0;

    for (; (r = next(s)) != NULL; n++)
        free(r);
    return n;
}

static inline int budget_teardown(void **state)
{
    struct rig *rig = *state;

    for (unsigned i = 0; i < SEATS; i++) {
        struct seat *s = &rig->s[i];

        budget_take_out(&s->seat, &s->asked, rig, false, rig->now_ns, &s->go);
        drop_gone(s);
        budget_seat_del(&s->seat);
        budget_user_del(&s->user);
    }
    budget_fini(&rig->b);
    free(rig);
    return 0;
}

static inline struct store_req *ask(struct rig *rig, unsigned seat,
                                    enum store_op op, uint64_t len)
{
    struct store_req *r = calloc(1, sizeof(*r));

    r->op = op;
    r->len = len;
    r->owner = rig;
    list_add(&rig->s[seat].asked, &r->node);
    return r;
}

static inline void ask_many(struct rig *rig, unsigned seat, unsigned n,
                            enum store_op op, uint64_t len)
{
    while (n-- > 0)
        ask(rig, seat, op, len);
}

static inline void look(struct rig *rig, unsigned seat)
{
    struct seat *s = &rig->s[seat];

    s->next_ns = budget_go(&s->seat, &s->asked, rig->now_ns, &s->go);
}

/* Looks; how many may go. */
static inline unsigned gone(struct rig *rig, unsigned seat)
{
    look(rig, seat);
    return drop_gone(&rig->s[seat]);
}

static inline void set(struct rig *rig, struct limits l)
{
    budget_set(&rig->b, &l, rig->now_ns);
}

#define OPS(...)                                                               \
    (struct limits)                                                            \
    {                                                                          \
        .ops = { __VA_ARGS__ }                                                 \
    }
#define BYTES(...)                                                             \
    (struct limits)                                                            \
    {                                                                          \
        .bytes = { __VA_ARGS__ }                                               \
    }

#endif
