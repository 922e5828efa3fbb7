/* The in-flight record: what a successor recovers, and what it does not
 * believe. kill_test.c has the moments of death. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"
#include "virtio/inflight_impl.h"

static struct split_region *split(struct guest *g)
{
    return g->setup.inflight->region;
}

static struct packed_region *packed(struct guest *g)
{
    return g->setup.inflight->region;
}

static int start_recorded(void **state, bool pack)
{
    struct guest *g = guest_new(pack, 8);

    guest_record(g);
    guest_start(g);
    *state = g;
    return 0;
}

static int split_setup(void **state)
{
    return start_recorded(state, false);
}

static int packed_setup(void **state)
{
    return start_recorded(state, true);
}

/* ---- recovery ---- */

/* Is a request of queue 0 marked as in flight? */
static bool records_any(const struct guest *g)
{
    const struct inflight_queue *q = inflight_queue(g->inflight, 0);
    const struct split_region *split = q->region;
    const struct packed_region *packed = q->region;
    bool any = false;

    assert_true(inflight_in_use(g->inflight));
    for (uint16_t i = 0; i < q->size; i++)
        any |= g->packed ? packed->desc[i].inflight : split->desc[i].inflight;
    return any;
}

static void a_crash_loses_no_request(void **state)
{
    struct guest *g = *state;
    struct chain *c[3];

    for (uint16_t i = 0; i < 3; i++) {
        guest_offer_small(g, (uint16_t)(2 * i));
        c[i] = ring_pop(&g->ring);
    }
    chain_done(c[1], 4);
    ring_flush(&g->ring);
    guest_expect(g, 2, 4);
    guest_offer_small(g, 2); /* not taken any more */
    assert_true(records_any(g));
    guest_crash(g);
    guest_called(g);

    g->setup.base = 0x12341234; /* the record knows better */
    guest_start(g);
    assert_true(guest_called(g)); /* a call may have been lost */
    assert_int_equal(g->ring.recovered, 2);
    assert_true(ring_has_work(&g->ring));
    for (uint16_t i = 0; i < 3; i++) {
        static const uint16_t order[] = {0, 4, 2};

        assert_non_null(c[i] = ring_pop(&g->ring));
        assert_int_equal(c[i]->id, order[i]);
        assert_int_equal(c[i]->out_len, 8);
        assert_int_equal(c[i]->in_len, 8);
    }
    assert_int_equal(g->ring.recovered, 0);
    assert_null(ring_pop(&g->ring));
    for (int i = 2; i >= 0; i--)
        chain_done(c[i], 1);
    ring_flush(&g->ring);
    guest_expect(g, 2, 1);
    guest_expect(g, 4, 1);
    guest_expect(g, 0, 1);
    guest_expect_none(g);
    assert_false(records_any(g));
}

static void order_outlives_a_second_crash(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_DATA, 4, true};

    for (uint16_t i = 0; i < 6; i++) {
        guest_offer(g, (uint16_t)((i * 5) % 8), &p, 1);
        assert_non_null(ring_pop(&g->ring));
    }
    for (unsigned n = 0; n < 4; n++) {
        guest_crash(g);
        guest_start(g);
        assert_int_equal(g->ring.recovered, 6);
        for (unsigned i = 0; i < n; i++)
            assert_int_equal(ring_pop(&g->ring)->id, i * 5 % 8);
    }
}

static void an_indirect_request_is_recovered(void **state)
{
    struct guest *g = *state;
    const struct piece p[] = {{GUEST_DATA, 5, false},
                              {GUEST_DATA + 8, 6, false},
                              {GUEST_SECOND - 3, 7, true}};
    struct chain *c;

    guest_offer_table(g, 3, GUEST_THIRD, p, 3);
    assert_non_null(ring_pop(&g->ring));
    guest_crash(g);
    guest_start(g);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->id, 3);
    assert_int_equal(c->out_len, 11);
    assert_int_equal(c->in_len, 7);
    assert_int_equal(c->in_num, 2);
}

static void a_forgotten_request_is_recovered(void **state)
{
    struct guest *g = *state;

    guest_offer_small(g, 4);
    chain_forget(ring_pop(&g->ring));
    guest_stop(g);
    guest_start(g);
    assert_int_equal(g->ring.recovered, 1);
    assert_int_equal(ring_pop(&g->ring)->id, 4);
}

static void a_clean_stop_leaves_nothing_to_recover(void **state)
{
    struct guest *g = *state;

    for (int i = 0; i < 11; i++) {
        guest_offer_small(g, 2);
        chain_done(ring_pop(&g->ring), 0);
        ring_flush(&g->ring);
        guest_expect(g, 2, 0);
    }
    assert_false(records_any(g));
    guest_stop(g);
    guest_start(g);
    assert_int_equal(g->ring.recovered, 0);
    assert_int_equal(ring_base(&g->ring), g->setup.base);
    guest_offer_small(g, 2);
    chain_done(ring_pop(&g->ring), 0);
    ring_flush(&g->ring);
    guest_expect(g, 2, 0);
}

static void a_request_that_broke_the_ring_is_not_recorded(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_HOLE, 4, true};

    guest_offer(g, 0, &p, 1);
    assert_null(ring_pop(&g->ring));
    assert_non_null(g->ring.broken);
    assert_false(records_any(g));
}

/* The guest's descriptors are as little to be trusted the second time. */
static void a_recovered_request_may_break_the_ring(void **state)
{
    struct guest *g = *state;

    guest_offer_small(g, 0);
    assert_non_null(ring_pop(&g->ring));
    guest_crash(g);
    guest_desc(g, 0)->addr = htole64(GUEST_HOLE);
    if (g->packed)
        packed(g)->desc[0].addr = GUEST_HOLE;
    guest_start(g);
    assert_null(ring_pop(&g->ring));
    assert_true(g->ring.broken_outside);
}

/* Firmware hands over to a kernel that starts the ring anew, with the record
 * of before. */
static void a_record_of_an_earlier_ring_does_no_harm(void **state)
{
    struct guest *g = *state;

    for (int i = 0; i < 40; i++) {
        guest_offer_small(g, 2);
        chain_done(ring_pop(&g->ring), 0);
        ring_flush(&g->ring);
        guest_expect(g, 2, 0);
    }
    guest_stop(g);
    memset(guest_at(g, GUEST_DESC), 0, 0x8000);
    g->next_avail = g->next_used = 0;
    g->setup.base = 0;
    guest_start(g);
    guest_offer_small(g, 2);
    chain_done(ring_pop(&g->ring), 0);
    ring_flush(&g->ring);
    guest_expect(g, 2, 0);
}

/* Our own files cannot shrink, but a front-end may bring another. */
static void a_record_that_is_taken_away_breaks_the_ring(void **state)
{
    struct guest *g = guest_new(*(bool *)*state, 8);
    uint64_t bytes = inflight_bytes(1, 8);
    struct chain *c;
    struct err e;

    guest_guard();
    g->inflight_fd = memfd_create("record", MFD_CLOEXEC);
    assert_int_equal(ftruncate(g->inflight_fd, (off_t)bytes), 0);
    assert_int_equal(
        inflight_open(&g->inflight, g->inflight_fd, bytes, 0, 1, 8, &e), 0);
    g->setup.inflight = inflight_queue(g->inflight, 0);
    guest_start(g);
    guest_offer_small(g, 0);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(ftruncate(g->inflight_fd, 0), 0);
    chain_done(c, 1);
    ring_flush(&g->ring);
    guest_expect(g, 0, 1);
    assert_non_null(g->ring.broken);
    assert_non_null(strstr(g->ring.broken, "record shrank"));
    guest_free(g);
}

/* ---- what is not believed ---- */

static void expect_refused(struct guest *g, const char *why)
{
    struct err e = {0};

    assert_true(guest_try_start(g, &e) < 0);
    if (!strstr(e.text, why))
        fail_msg("said: %s", e.text);
}

/* Three requests in flight, of two descriptors each, and a crash. */
static void crash_with_three(struct guest *g)
{
    for (uint16_t i = 0; i < 3; i++) {
        guest_offer_small(g, (uint16_t)(2 * i));
        assert_non_null(ring_pop(&g->ring));
    }
    guest_crash(g);
}

static void an_unknown_version(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    split(g)->version = 2;
    expect_refused(g, "version is unknown");
}

static void another_queue_size(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    split(g)->desc_num = 4;
    expect_refused(g, "another queue size");
}

static void used_indices_too_far_apart(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    split(g)->used_idx = 100;
    expect_refused(g, "too far apart");
}

static void a_last_batch_that_is_no_list(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    guest_used(g)->idx = htole16(3);
    split(g)->last_batch_head = 2;
    split(g)->desc[2].next = 8;
    expect_refused(g, "no list");
}

static void a_last_batch_that_is_a_circle(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    guest_used(g)->idx = htole16(8);
    split(g)->last_batch_head = 2;
    split(g)->desc[2].next = 2;
    guest_start(g); /* bounded; head 2 was done, the others were not */
    assert_int_equal(g->ring.recovered, 2);
}

static void a_descriptor_the_ring_does_not_have(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    g->setup.size = 4;
    expect_refused(g, g->packed ? "cannot be used" : "does not have");
}

static void a_record_smaller_than_the_ring(void **state)
{
    struct guest *g = guest_new(false, 8);

    (void)state;
    guest_record(g);
    g->setup.size = 16;
    expect_refused(g, "has room for 8");
    guest_free(g);
}

static void a_used_index_outside_the_ring(void **state)
{
    struct guest *g = *state;

    crash_with_three(g);
    packed(g)->used.at.old_idx = 8;
    expect_refused(g, "outside the ring");
    packed(g)->used.at.old_idx = 0;
    packed(g)->used.at.idx = 9;
    expect_refused(g, "outside the ring");
    packed(g)->used.at.idx = 0;
    packed(g)->used.at.old_wrap = 2;
    expect_refused(g, "outside the ring");
}

static void entries_that_are_no_lists(void **state)
{
    struct guest *g = *state;
    struct packed_region *p = packed(g), *good;

    crash_with_three(g);
    good = malloc(sizeof(*p) + 8 * sizeof(p->desc[0]));
    assert_non_null(good);
    memcpy(good, p, sizeof(*p) + 8 * sizeof(p->desc[0]));
#define BAD(change, why)                                                       \
    do {                                                                       \
        memcpy(p, good, sizeof(*p) + 8 * sizeof(p->desc[0]));                  \
        change;                                                                \
        expect_refused(g, why);                                                \
    } while (0)
    BAD(p->desc[0].num = 0, "no lists");
    BAD(p->desc[0].num = 9, "no lists");
    BAD(p->desc[0].num = 1, "no lists"); /* ends before `last` */
    BAD(p->desc[0].last = 9, "no lists");
    BAD(p->desc[0].next = 9, "no lists");
    BAD(p->desc[0].next = 0, "no lists"); /* a circle */
    BAD(p->desc[0].next = 2, "no lists"); /* another one's */
    BAD(p->desc[0].next = 7, "no lists"); /* a free one */
    BAD(p->desc[1].inflight = 1, "no lists");
    BAD(p->old_free_head = 1, "no lists");
    BAD(p->desc[7].next = 6, "lost"); /* free ones in a circle */
    BAD(p->old_free_head = 7, "lost");
    BAD(p->old_free_head = 100, "lost");
    BAD(p->desc[2].inflight = 0, "lost");
    BAD(p->desc[3].id = 8, "buffer id");
    BAD(p->desc[3].id = 0, "buffer id"); /* twice */
    memcpy(p, good, sizeof(*p) + 8 * sizeof(p->desc[0]));
    guest_start(g);
    assert_int_equal(g->ring.recovered, 3);
    free(good);
}

static void a_record_that_cannot_be_opened(void **state)
{
    uint64_t bytes = inflight_bytes(2, 64);
    struct inflight *f;
    struct err e = {0};
    int fd;

    (void)state;
    assert_int_equal(inflight_create(2, 64, &fd, &e), 0);
    assert_true(inflight_open(&f, fd, bytes, 0, 0, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 0, 2, 0, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes - 1, 0, 2, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 0, 3, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 0, 2, 100, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 4, 2, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 8, 2, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, UINT64_MAX - 7, 2, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, UINT64_MAX, 0, 2, 64, &e) < 0);
    assert_true(inflight_open(&f, fd, bytes, 0, UINT32_MAX, 65535, &e) < 0);
    assert_int_equal(inflight_open(&f, fd, bytes, 0, 2, 64, &e), 0);
    assert_non_null(inflight_queue(f, 1));
    assert_null(inflight_queue(f, 2));
    inflight_unref(f);
    close(fd);
}

int main(void)
{
#define SPLIT(t)                                                               \
    {                                                                          \
        "split: " #t, t, split_setup, guest_teardown, NULL                     \
    }
#define PACKED(t)                                                              \
    {                                                                          \
        "packed: " #t, t, packed_setup, guest_teardown, NULL                   \
    }
#define BOTH(t) SPLIT(t), PACKED(t)
    const struct CMUnitTest tests[] = {
        BOTH(a_crash_loses_no_request),
        BOTH(order_outlives_a_second_crash),
        BOTH(an_indirect_request_is_recovered),
        BOTH(a_forgotten_request_is_recovered),
        BOTH(a_clean_stop_leaves_nothing_to_recover),
        BOTH(a_request_that_broke_the_ring_is_not_recorded),
        BOTH(a_recovered_request_may_break_the_ring),
        {"split: a_record_that_is_taken_away_breaks_the_ring",
         a_record_that_is_taken_away_breaks_the_ring, NULL, NULL,
         &(bool){false}},
        {"packed: a_record_that_is_taken_away_breaks_the_ring",
         a_record_that_is_taken_away_breaks_the_ring, NULL, NULL,
         &(bool){true}},
        SPLIT(a_record_of_an_earlier_ring_does_no_harm),
        BOTH(an_unknown_version),
        BOTH(another_queue_size),
        SPLIT(used_indices_too_far_apart),
        SPLIT(a_last_batch_that_is_no_list),
        SPLIT(a_last_batch_that_is_a_circle),
        SPLIT(a_descriptor_the_ring_does_not_have),
        cmocka_unit_test(a_record_smaller_than_the_ring),
        PACKED(a_used_index_outside_the_ring),
        PACKED(entries_that_are_no_lists),
        cmocka_unit_test(a_record_that_cannot_be_opened),
    };

    guest_guard_init();
    return cmocka_run_group_tests_name("in-flight record", tests, NULL, NULL);
}
