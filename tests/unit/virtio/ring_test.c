/* Rings between an honest guest and a device: what is offered is taken, what
 * is answered is seen, in both formats. */
#include <string.h>
#include <unistd.h>

#include "guest.h"
#include "os/event.h"

static void ask_then_answer(void **state)
{
    struct guest *g = *state;
    struct chain *c;
    char text[16] = "";

    guest_start(g);
    assert_null(ring_pop(&g->ring));
    memcpy(guest_at(g, GUEST_DATA), "question", 8);
    guest_offer_small(g, 0);
    assert_true(ring_has_work(&g->ring));
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->out_num, 1);
    assert_int_equal(c->in_num, 1);
    assert_int_equal(c->out_len, 8);
    assert_int_equal(c->in_len, 8);
    assert_int_equal(chain_read(c, 0, text, sizeof(text)), 8);
    assert_string_equal(text, "question");
    assert_int_equal(chain_write(c, 0, "answer!", 8), 8);
    assert_int_equal(g->ring.in_flight, 1);

    chain_done(c, 8);
    assert_int_equal(g->ring.in_flight, 0);
    guest_expect_none(g); /* not before the flush */
    ring_flush(&g->ring);
    guest_expect(g, 0, 8);
    assert_string_equal(guest_at(g, GUEST_DATA + 16), "answer!");
    assert_false(ring_has_work(&g->ring));
}

/* Chains that are taken and answered together count together. */
static void every_answer_counts_with_its_time(void **state)
{
    struct guest *g = *state;
    struct chain *c[3];
    struct histogram h;

    guest_start(g);
    for (uint16_t i = 0; i < 3; i++)
        guest_offer_small(g, (uint16_t)(2 * i));
    for (int i = 0; i < 3; i++)
        assert_non_null(c[i] = ring_pop(&g->ring));
    chain_done(c[2], 3);
    chain_done(c[0], 1);
    histogram_read(&g->stats.latency, &h);
    assert_int_equal(histogram_count(&h), 0); /* not before it is shown */
    ring_flush(&g->ring);
    histogram_read(&g->stats.latency, &h);
    assert_int_equal(histogram_count(&h), 2);
    assert_int_equal(h.sum, 2 * h.max);
    /* The third takes longer than the two before. */
    chain_done(c[1], 2);
    ring_flush(&g->ring);
    histogram_read(&g->stats.latency, &h);
    assert_int_equal(histogram_count(&h), 3);
    assert_true(h.sum <= 3 * h.max);
    assert_true(h.max > 0);
}

static void answers_in_another_order_than_asked(void **state)
{
    struct guest *g = *state;
    struct chain *c[3];

    guest_start(g);
    for (uint16_t i = 0; i < 3; i++)
        guest_offer_small(g, (uint16_t)(2 * i));
    for (int i = 0; i < 3; i++)
        assert_non_null(c[i] = ring_pop(&g->ring));
    assert_null(ring_pop(&g->ring));
    chain_done(c[2], 3);
    chain_done(c[0], 1);
    ring_flush(&g->ring);
    guest_expect(g, 4, 3);
    guest_expect(g, 0, 1);
    guest_expect_none(g);
    chain_done(c[1], 2);
    ring_flush(&g->ring);
    guest_expect(g, 2, 2);
}

/* Indices wrap at 2^16, packed rings every lap, at an odd place. */
static void goes_on_for_many_laps(void **state)
{
    struct guest *g = *state;
    const struct piece p[] = {{GUEST_DATA, 5, false},
                              {GUEST_DATA + 32, 6, false},
                              {GUEST_DATA + 64, 7, true}};

    guest_start(g);
    for (unsigned i = 0; i < 70000; i++) {
        uint16_t first = i % 2 ? 3 : 0;
        unsigned num = 1 + i % 3;
        struct chain *c;

        guest_offer(g, first, p + 3 - num, num);
        guest_offer(g, 6, p, 2);
        c = ring_pop(&g->ring);
        assert_non_null(c);
        assert_int_equal(c->id, first);
        assert_int_equal(c->out_num + c->in_num, num);
        chain_done(c, 7);
        c = ring_pop(&g->ring);
        assert_non_null(c);
        assert_int_equal(c->id, 6);
        chain_done(c, 0);
        ring_flush(&g->ring);
        guest_expect(g, first, 7);
        guest_expect(g, 6, 0);
    }
    assert_int_equal(g->stats.chains, 140000);
}

static void a_packed_ring_need_not_be_a_power_of_two(void **state)
{
    struct guest *g = guest_new(true, 5);

    (void)state;
    guest_start(g);
    for (unsigned i = 0; i < 50; i++) {
        struct chain *c;

        guest_offer_small(g, (uint16_t)(i % 5));
        c = ring_pop(&g->ring);
        assert_non_null(c);
        chain_done(c, 1);
        ring_flush(&g->ring);
        guest_expect(g, (uint16_t)(i % 5), 1);
    }
    guest_free(g);
}

static void a_full_ring_is_served_whole(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_DATA, 4, true};

    guest_start(g);
    for (int lap = 0; lap < 5; lap++) {
        struct chain *c[8];

        for (uint16_t i = 0; i < g->size; i++)
            guest_offer(g, i, &p, 1);
        for (uint16_t i = 0; i < g->size; i++)
            assert_non_null(c[i] = ring_pop(&g->ring));
        assert_null(ring_pop(&g->ring));
        assert_null(g->ring.broken);
        for (uint16_t i = g->size; i > 0; i--)
            chain_done(c[i - 1], 4);
        ring_flush(&g->ring);
        for (uint16_t i = g->size; i > 0; i--)
            guest_expect(g, (uint16_t)(i - 1), 4);
        guest_expect_none(g);
    }
}

static void a_piece_may_cross_regions(void **state)
{
    struct guest *g = *state;
    const struct piece p[] = {
        {GUEST_SECOND - 5, 12, false},
        {GUEST_SECOND - 100, 120, true},
    };
    struct chain *c;
    char text[12], big[120];

    guest_start(g);
    memcpy(guest_at(g, GUEST_SECOND - 5), "hello", 5);
    memcpy(guest_at(g, GUEST_SECOND), " world", 7);
    guest_offer(g, 0, p, 2);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->out_num, 2);
    assert_int_equal(c->in_num, 2);
    assert_int_equal(chain_read(c, 0, text, 12), 12);
    assert_string_equal(text, "hello world");
    assert_int_equal(chain_read(c, 4, text, 3), 3);
    assert_memory_equal(text, "o w", 3);
    memset(big, 'x', sizeof(big));
    assert_int_equal(chain_write(c, 0, big, sizeof(big)), 120);
    assert_int_equal(chain_write(c, 118, big, 5), 2);
    chain_done(c, 120);
    assert_int_equal(*(char *)guest_at(g, GUEST_SECOND - 1), 'x');
    assert_int_equal(*(char *)guest_at(g, GUEST_SECOND + 19), 'x');
    assert_int_equal(*(char *)guest_at(g, GUEST_SECOND + 20), 0);
}

static void neighbours_are_one_piece(void **state)
{
    struct guest *g = *state;
    const struct piece p[] = {
        {GUEST_DATA, 16, false},     {GUEST_DATA + 16, 4, false},
        {GUEST_DATA + 20, 8, true},  {GUEST_DATA + 28, 100, true},
        {GUEST_DATA + 200, 1, true},
    };
    struct chain *c;

    guest_start(g);
    guest_offer(g, 0, p, 5);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->out_num, 1);
    assert_int_equal(c->iov[0].iov_len, 20);
    assert_int_equal(c->in_num, 2);
    assert_int_equal(c->iov[1].iov_len, 108);
    assert_int_equal(c->iov[2].iov_len, 1);
    assert_int_equal(c->in_len, 109);
}

static void empty_descriptors_are_passed_over(void **state)
{
    struct guest *g = *state;
    const struct piece p[] = {
        {GUEST_DATA, 0, false}, {GUEST_DATA, 3, false},
        {GUEST_HOLE, 0, false}, {GUEST_DATA + 64, 2, true},
        {0, 0, true},
    };
    struct chain *c;

    guest_start(g);
    guest_offer(g, 0, p, 5);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->out_num, 1);
    assert_int_equal(c->in_num, 1);
    assert_int_equal(c->out_len, 3);
    assert_int_equal(c->in_len, 2);
}

static void fill_pieces(struct piece *p, unsigned n)
{
    for (unsigned i = 0; i < n; i++)
        p[i] = (struct piece){GUEST_DATA + 64 + 4 * i, 2, i > n / 2};
}

static void check_pieces(const struct chain *c, unsigned n)
{
    assert_int_equal(c->out_num + c->in_num, n);
    assert_int_equal(c->in_num, n - n / 2 - 1);
    assert_int_equal(c->out_len + c->in_len, 2 * n);
}

static void an_indirect_table_is_a_chain(void **state)
{
    struct guest *g = *state;
    struct piece p[130];
    struct chain *c;

    g->setup.chain_max = 130;
    guest_start(g);
    for (unsigned n = 3; n <= 130; n += 127) {
        fill_pieces(p, n);
        guest_offer_table(g, 2, GUEST_THIRD, p, n);
        c = ring_pop(&g->ring);
        assert_non_null(c);
        check_pieces(c, n);
        chain_done(c, 0);
        ring_flush(&g->ring);
        guest_expect(g, 2, 0);
    }
}

/* Every way to lay 16 bytes across a border. */
static void an_indirect_table_may_cross_regions(void **state)
{
    struct guest *g = *state;
    struct piece p[6];

    guest_start(g);
    fill_pieces(p, 6);
    for (unsigned off = 1; off < 100; off++) {
        struct chain *c;

        guest_offer_table(g, 1, GUEST_SECOND - off, p, 6);
        c = ring_pop(&g->ring);
        assert_non_null(c);
        check_pieces(c, 6);
        chain_done(c, 0);
        ring_flush(&g->ring);
        guest_expect(g, 1, 0);
    }
}

static void a_split_chain_may_end_in_a_table(void **state)
{
    struct guest *g = *state;
    struct piece p[3];
    struct chain *c;

    guest_start(g);
    fill_pieces(p, 3);
    guest_offer_table(g, 5, GUEST_THIRD, p, 3);
    g->next_avail--; /* not that, but a chain that leads to it */
    le64_store(&guest_desc(g, 2)->addr, GUEST_DATA);
    le32_store(&guest_desc(g, 2)->len, 10);
    le16_store(&guest_desc(g, 2)->flags, VRING_DESC_F_NEXT);
    le16_store(&guest_desc(g, 2)->next, 5);
    le16_store(&guest_avail(g)->ring[g->next_avail], 2);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(c->id, 2);
    assert_int_equal(c->out_num, 3);
    assert_int_equal(c->in_num, 1);
    assert_int_equal(c->out_len, 14);
}

static void the_devices_request_stays_with_its_chain(void **state)
{
    struct guest *g = *state;
    struct chain *c;

    guest_start(g);
    for (int i = 0; i < 3; i++) {
        uint64_t *priv;

        guest_offer_small(g, 4);
        c = ring_pop(&g->ring);
        assert_non_null(c);
        priv = chain_priv(c);
        assert_int_equal((uintptr_t)priv % 16, 0);
        assert_ptr_equal(chain_of_priv(priv), c);
        assert_int_equal(priv[2], 100 * i);
        priv[2] += 100;
        chain_done(c, 0);
        ring_flush(&g->ring);
        guest_expect(g, 4, 0);
    }
}

static void a_forgotten_chain_is_never_answered(void **state)
{
    struct guest *g = *state;
    struct chain *a, *b;

    guest_start(g);
    guest_offer_small(g, 0);
    guest_offer_small(g, 2);
    a = ring_pop(&g->ring);
    b = ring_pop(&g->ring);
    assert_non_null(b);
    chain_forget(a);
    chain_done(b, 1);
    ring_flush(&g->ring);
    assert_int_equal(g->ring.in_flight, 0);
    guest_expect(g, 2, 1);
    guest_expect_none(g);
}

static void asks_for_a_flush_once_per_batch(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer_small(g, 0);
    guest_offer_small(g, 2);
    chain_done(ring_pop(&g->ring), 0);
    chain_done(ring_pop(&g->ring), 0);
    assert_int_equal(g->want_flush, 1);
    ring_flush(&g->ring);
    guest_offer_small(g, 4);
    chain_done(ring_pop(&g->ring), 0);
    assert_int_equal(g->want_flush, 2);
}

static void published_answers_are_seen_before_the_call(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer_small(g, 0);
    chain_done(ring_pop(&g->ring), 0);
    ring_publish(&g->ring);
    guest_expect(g, 0, 0);
    assert_false(guest_called(g));
    ring_flush(&g->ring); /* nothing new, but a call is due */
    assert_true(guest_called(g));
    ring_flush(&g->ring);
    assert_false(guest_called(g));
    assert_int_equal(g->stats.calls, 1);
}

/* ---- base ---- */

static void starts_where_it_stopped(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    for (unsigned i = 0; i < 11; i++) {
        guest_offer_small(g, 2);
        chain_done(ring_pop(&g->ring), 0);
        ring_flush(&g->ring);
        guest_expect(g, 2, 0);
    }
    guest_stop(g);
    /* 22 packed descriptors: place 6 of the third lap. */
    assert_int_equal(g->setup.base, g->packed ? 0x80068006 : 11);
    guest_start(g);
    guest_offer_small(g, 4);
    chain_done(ring_pop(&g->ring), 0);
    ring_flush(&g->ring);
    guest_expect(g, 4, 0);
}

static void a_base_that_cannot_be_is_refused(void **state)
{
    struct guest *g = *state;
    static const uint32_t packed[] = {
        0x80008008,             /* available place 8 of 8 */
        0x80088000, 0x80018000, /* available behind used */
        0x00008001,             /* more than a lap ahead */
    };
    static const uint32_t split[] = {9, 65535};
    const uint32_t *base = g->packed ? packed : split;
    size_t n = g->packed ? ARRAY_LEN(packed) : ARRAY_LEN(split);

    for (size_t i = 0; i < n; i++) {
        struct err e = {0};

        g->setup.base = base[i];
        assert_true(guest_try_start(g, &e) < 0);
        assert_non_null(strstr(e.text, "cannot start at"));
    }
    g->setup.base = g->packed ? 0x80040003 : 8; /* a whole ring in flight */
    guest_start(g);
}

static void a_size_that_cannot_be_is_refused(void **state)
{
    struct guest *g = *state;
    static const uint16_t sizes[] = {0, 1025, 7};
    struct err e = {0};

    for (int i = 0; i < (g->packed ? 2 : 3); i++) {
        g->setup.size = sizes[i];
        assert_true(guest_try_start(g, &e) < 0);
    }
    g->setup.size = 8;
    g->setup.device = NULL;
    assert_true(guest_try_start(g, &e) < 0);
    assert_non_null(strstr(e.text, "outside guest memory"));
}

/* ---- another memory map ---- */

static void a_new_map_waits_for_requests_of_the_old(void **state)
{
    struct guest *g = *state;
    const struct mem_region_conf third = {GUEST_THIRD, 0x10000,
                                          GUEST_UVA + GUEST_THIRD, 0x20000};
    const struct piece p = {GUEST_THIRD + 8, 8, true};
    struct mem *less;
    struct chain *c;
    struct err e;

    guest_start(g);
    guest_offer(g, 0, &p, 1);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(mem_remove(g->mem, &third, &less, &e), 0);
    mem_unref(g->mem); /* the session has no more of it */
    g->mem = less;
    assert_int_equal(ring_set_mem(&g->ring, less, g->setup.desc,
                                  g->setup.driver, g->setup.device),
                     0);
    assert_non_null(g->ring.map->next);

    /* Its memory is there still. */
    assert_int_equal(chain_write(c, 0, "late", 5), 5);
    chain_done(c, 5);
    assert_null(g->ring.map->next);
    ring_flush(&g->ring);
    guest_expect(g, 0, 5);
    assert_string_equal(guest_at(g, GUEST_THIRD + 8), "late");

    /* A new request finds nothing there. */
    guest_offer(g, 0, &p, 1);
    assert_null(ring_pop(&g->ring));
    assert_true(g->ring.broken_outside);
}

static void answers_given_before_a_new_map_are_shown(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer_small(g, 0);
    chain_done(ring_pop(&g->ring), 2);
    assert_int_equal(ring_set_mem(&g->ring, g->mem, g->setup.desc,
                                  g->setup.driver, g->setup.device),
                     0);
    assert_null(g->ring.map->next);
    guest_expect(g, 0, 2);
    ring_flush(&g->ring);
    assert_true(guest_called(g));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(ask_then_answer),
        TEST_BOTH(every_answer_counts_with_its_time),
        TEST_BOTH(answers_in_another_order_than_asked),
        TEST_BOTH(goes_on_for_many_laps),
        cmocka_unit_test(a_packed_ring_need_not_be_a_power_of_two),
        TEST_BOTH(a_full_ring_is_served_whole),
        TEST_BOTH(a_piece_may_cross_regions),
        TEST_BOTH(neighbours_are_one_piece),
        TEST_BOTH(empty_descriptors_are_passed_over),
        TEST_BOTH(an_indirect_table_is_a_chain),
        TEST_BOTH(an_indirect_table_may_cross_regions),
        TEST_SPLIT(a_split_chain_may_end_in_a_table),
        TEST_BOTH(the_devices_request_stays_with_its_chain),
        TEST_BOTH(a_forgotten_chain_is_never_answered),
        TEST_BOTH(asks_for_a_flush_once_per_batch),
        TEST_BOTH(published_answers_are_seen_before_the_call),
        TEST_BOTH(starts_where_it_stopped),
        TEST_BOTH(a_base_that_cannot_be_is_refused),
        TEST_BOTH(a_size_that_cannot_be_is_refused),
        TEST_BOTH(a_new_map_waits_for_requests_of_the_old),
        TEST_BOTH(answers_given_before_a_new_map_are_shown),
    };

    return cmocka_run_group_tests_name("rings", tests, NULL, NULL);
}
