/* Rings and a guest that has lost its mind: each mistake breaks the ring with
 * its reason, and nothing worse. Spec: virtio, the driver's "MUST NOT"s. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

/* The ring takes no more, and says so. */
static void expect_broken(struct guest *g, const char *why)
{
    assert_null(ring_pop(&g->ring));
    assert_non_null(g->ring.broken);
    if (!strstr(g->ring.broken, why))
        fail_msg("said: %s", g->ring.broken);
    /* For good. */
    assert_null(ring_pop(&g->ring));
    assert_false(ring_has_work(&g->ring));
    assert_false(ring_notify_on(&g->ring));
}

static void break_with(struct guest *g, const struct piece *p, unsigned num,
                       const char *why)
{
    guest_start(g);
    guest_offer(g, 0, p, num);
    expect_broken(g, why);
}

/* ---- pieces ---- */

static void a_piece_outside_memory(void **state)
{
    struct guest *g = *state;

    break_with(g, (struct piece[]){{GUEST_HOLE, 8, false}}, 1, "outside");
    assert_true(g->ring.broken_outside);
}

static void a_piece_that_ends_outside_memory(void **state)
{
    struct guest *g = *state;

    break_with(g, (struct piece[]){{GUEST_HOLE - 8, 9, true}}, 1, "outside");
    assert_true(g->ring.broken_outside);
}

static void a_piece_at_the_end_of_all_addresses(void **state)
{
    break_with(*state, (struct piece[]){{UINT64_MAX - 3, 100, true}}, 1,
               "outside");
}

static void a_readable_piece_behind_a_writable_one(void **state)
{
    break_with(
        *state,
        (struct piece[]){{GUEST_DATA, 8, true}, {GUEST_DATA + 64, 8, false}}, 2,
        "readable descriptor follows");
}

static void an_empty_readable_piece_behind_a_writable_one(void **state)
{
    break_with(*state,
               (struct piece[]){{GUEST_DATA, 8, true}, {GUEST_DATA, 0, false}},
               2, "readable descriptor follows");
}

/* More than 4 GiB takes no memory when it is the same again and again. */
static void a_chain_of_more_than_4_gib(void **state)
{
    struct guest *g = *state;
    const struct mem_region_conf big = {1ull << 32, 1ull << 30,
                                        GUEST_UVA + (1ull << 32), 0};
    struct piece p[5];
    struct mem *more;
    struct err e;
    int fd;

    fd = memfd_create("big", MFD_CLOEXEC);
    assert_int_equal(ftruncate(fd, 1ll << 30), 0);
    assert_int_equal(mem_add(g->mem, &big, fd, &more, &e), 0);
    close(fd);
    g->setup.mem = more;
    for (int i = 0; i < 5; i++)
        p[i] = (struct piece){big.gpa, 1u << 30, true};
    break_with(g, p, 5, "longer than 4 GiB");
    mem_unref(more);
}

/* ---- split: indices ---- */

static void a_head_that_is_no_descriptor(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    le16_store(&guest_avail(g)->ring[0], 8);
    le16_store(&guest_avail(g)->idx, 1);
    expect_broken(g, "descriptor that is none");
}

static void an_available_index_that_runs_away(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    le16_store(&guest_avail(g)->idx, 9);
    expect_broken(g, "run away");
}

static void an_available_index_that_goes_back(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer_small(g, 0);
    assert_non_null(ring_pop(&g->ring));
    le16_store(&guest_avail(g)->idx, 0);
    expect_broken(g, "run away");
}

/* The guest does not wait for answers: the ring holds no more than its size,
 * flushed or not. */
static void more_requests_than_the_ring_has(void **state)
{
    struct guest *g = *state;
    const struct piece p = {GUEST_DATA, 4, true};

    guest_start(g);
    for (unsigned i = 0; i < 8; i++) {
        guest_offer(g, 0, &p, 1);
        chain_done(ring_pop(&g->ring), 0);
    }
    guest_offer(g, 0, &p, 1);
    expect_broken(g, g->packed ? "than the ring has" : "run away");
    ring_flush(&g->ring);
}

static void a_request_that_comes_twice(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer_small(g, 3);
    assert_non_null(ring_pop(&g->ring));
    guest_offer_small(g, 3);
    expect_broken(g, "before it was answered");
}

static void chain_to(struct guest *g, unsigned i, uint16_t flags, uint16_t next)
{
    le64_store(&guest_desc(g, i)->addr, GUEST_DATA + 64 * i);
    le32_store(&guest_desc(g, i)->len, 8);
    le16_store(&guest_desc(g, i)->flags, flags);
    le16_store(&guest_desc(g, i)->next, next);
}

static void offer_head(struct guest *g, uint16_t head)
{
    le16_store(&guest_avail(g)->ring[g->next_avail++ % g->size], head);
    le16_store(&guest_avail(g)->idx, g->next_avail);
}

static void a_chain_that_is_a_loop(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    chain_to(g, 0, VRING_DESC_F_NEXT, 1);
    chain_to(g, 1, VRING_DESC_F_NEXT, 2);
    chain_to(g, 2, VRING_DESC_F_NEXT, 0);
    offer_head(g, 0);
    expect_broken(g, "loop");
}

static void a_chain_that_leaves_the_table(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    chain_to(g, 7, VRING_DESC_F_NEXT, 8);
    offer_head(g, 7);
    expect_broken(g, "leaves the table");
}

/* ---- indirect tables ---- */

static struct piece some[] = {{GUEST_DATA, 8, false},
                              {GUEST_DATA + 64, 8, true}};

static void offer_table(struct guest *g, uint64_t addr, uint32_t len,
                        uint16_t flags)
{
    if (g->packed) {
        le64_store(&guest_packed_desc(g, 0)->addr, addr);
        le32_store(&guest_packed_desc(g, 0)->len, len);
        le16_store(&guest_packed_desc(g, 0)->id, 0);
        le16_store(&guest_packed_desc(g, 0)->flags,
                   VRING_PACKED_DESC_F_AVAIL | flags);
        return;
    }
    le64_store(&guest_desc(g, 0)->addr, addr);
    le32_store(&guest_desc(g, 0)->len, len);
    le16_store(&guest_desc(g, 0)->flags, flags);
    offer_head(g, 0);
}

static void a_table_of_odd_length(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer_table(g, GUEST_THIRD, 17, VRING_DESC_F_INDIRECT);
    expect_broken(g, "not a multiple of 16");
}

static void an_empty_table(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer_table(g, GUEST_THIRD, 0, VRING_DESC_F_INDIRECT);
    expect_broken(g, "not a multiple of 16");
}

static void a_table_outside_memory(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer_table(g, GUEST_HOLE, 32, VRING_DESC_F_INDIRECT);
    expect_broken(g, "outside");
    assert_true(g->ring.broken_outside);
}

static void a_table_that_wraps_around(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer_table(g, UINT64_MAX - 15, 64, VRING_DESC_F_INDIRECT);
    expect_broken(g, "outside");
}

/* Only its first entry is in memory. */
static void a_table_that_ends_outside_memory(void **state)
{
    struct guest *g = *state;
    struct vring_desc *d = guest_at(g, GUEST_HOLE - 16);

    guest_start(g);
    d->addr = htole64(GUEST_DATA);
    d->len = htole32(8);
    d->flags = htole16(g->packed ? 0 : VRING_DESC_F_NEXT);
    d->next = htole16(1);
    if (g->packed)
        d->flags = d->next = 0;
    offer_table(g, GUEST_HOLE - 16, 32, VRING_DESC_F_INDIRECT);
    expect_broken(g, "outside");
}

static void a_table_in_a_table(void **state)
{
    struct guest *g = *state;
    struct vring_desc *d = guest_at(g, GUEST_THIRD);

    guest_start(g);
    guest_offer_table(g, 0, GUEST_THIRD, some, 2);
    d->flags = htole16(VRING_DESC_F_INDIRECT);
    expect_broken(g, "holds another");
}

/* Seen by the fuzzer: a bound that was no bound. */
static void a_table_that_is_the_rings_own(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    offer_table(g, GUEST_DESC, 32, VRING_DESC_F_INDIRECT);
    if (!g->packed) {
        expect_broken(g, "holds another");
        return;
    }
    /* Flags mean nothing there: the ring's descriptors are taken as data. */
    assert_non_null(ring_pop(&g->ring));
}

static void a_table_that_loops(void **state)
{
    struct guest *g = *state;
    struct vring_desc *d = guest_at(g, GUEST_THIRD);

    guest_start(g);
    guest_offer_table(g, 0, GUEST_THIRD, some, 1);
    le32_store(&guest_desc(g, 0)->len, 32);
    d->flags = htole16(VRING_DESC_F_NEXT);
    d->next = 0;
    expect_broken(g, "is a loop");
}

static void a_chain_that_leaves_its_table(void **state)
{
    struct guest *g = *state;
    struct vring_desc *d = guest_at(g, GUEST_THIRD);

    guest_start(g);
    guest_offer_table(g, 0, GUEST_THIRD, some, 2);
    d->next = htole16(2);
    expect_broken(g, "leaves its indirect table");
}

static void a_table_that_has_a_next_descriptor(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    if (g->packed) {
        guest_offer(g, 1, some, 2);
        guest_packed_desc(g, 0)->flags |= htole16(VRING_DESC_F_INDIRECT);
        expect_broken(g, "holds an indirect table");
        return;
    }
    offer_table(g, GUEST_THIRD, 32, VRING_DESC_F_INDIRECT | VRING_DESC_F_NEXT);
    expect_broken(g, "an indirect table and a next one");
}

static void a_table_longer_than_the_device_takes(void **state)
{
    struct guest *g = *state;
    struct piece p[21];

    for (int i = 0; i < 21; i++)
        p[i] = (struct piece){GUEST_DATA + 4 * i, 1, true};
    g->setup.chain_max = 20;
    guest_start(g);
    guest_offer_table(g, 0, GUEST_THIRD, p, 20);
    assert_non_null(ring_pop(&g->ring));
    guest_offer_table(g, 1, GUEST_THIRD, p, 21);
    expect_broken(g, g->packed ? "too long" : "too many");
}

/* Pieces are bounded even where descriptors are few: each region border that
 * a piece crosses makes one more. */
static void a_chain_of_too_many_pieces(void **state)
{
    struct guest *g = *state;
    struct mem *m = mem_ref(g->mem), *next;
    struct piece p[8];
    struct err e;

    for (unsigned i = 0; i < 500; i++) {
        uint64_t at = 0x1000000 + i * 0x1000ull;
        const struct mem_region_conf c = {at, 0x1000, GUEST_UVA + at,
                                          i % 2 ? 0x2000 : 0};

        assert_int_equal(mem_add(m, &c, g->fd, &next, &e), 0);
        mem_unref(m);
        m = next;
    }
    g->setup.mem = m;
    for (int i = 0; i < 8; i++)
        p[i] = (struct piece){0x1000000, 500 * 0x1000, true};
    guest_start(g);
    guest_offer(g, 0, p, 1);
    assert_non_null(ring_pop(&g->ring));
    guest_offer(g, 1, p, 7);
    expect_broken(g, "too many pieces");
    mem_unref(m);
}

/* ---- packed ---- */

static void a_buffer_id_that_is_none(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    guest_offer(g, 7, some, 2);
    guest_packed_desc(g, 1)->id = htole16(8);
    expect_broken(g, "id is too large");
}

/* Every descriptor says there is another: the ring is a circle. */
static void a_packed_chain_without_end(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    for (unsigned i = 0; i < 8; i++)
        guest_packed_desc(g, i)->flags =
            htole16(VRING_PACKED_DESC_F_AVAIL | VRING_DESC_F_NEXT);
    expect_broken(g, "than the ring has");
}

/* ---- afterwards ---- */

static void requests_taken_before_are_answered(void **state)
{
    struct guest *g = *state;
    struct chain *c;

    guest_start(g);
    guest_offer_small(g, 0);
    guest_offer(g, 2, (struct piece[]){{GUEST_HOLE, 8, false}}, 1);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    expect_broken(g, "outside");
    chain_done(c, 8);
    ring_flush(&g->ring);
    guest_expect(g, 0, 8);
    assert_true(guest_called(g));
}

static void the_first_reason_stays(void **state)
{
    struct guest *g = *state;

    guest_start(g);
    ring_break(&g->ring, "first");
    ring_break(&g->ring, "second");
    assert_string_equal(g->ring.broken, "first");
    assert_false(g->ring.broken_outside);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST_BOTH(a_piece_outside_memory),
        TEST_BOTH(a_piece_that_ends_outside_memory),
        TEST_BOTH(a_piece_at_the_end_of_all_addresses),
        TEST_BOTH(a_readable_piece_behind_a_writable_one),
        TEST_BOTH(an_empty_readable_piece_behind_a_writable_one),
        TEST_BOTH(a_chain_of_more_than_4_gib),
        TEST_SPLIT(a_head_that_is_no_descriptor),
        TEST_SPLIT(an_available_index_that_runs_away),
        TEST_SPLIT(an_available_index_that_goes_back),
        TEST_BOTH(more_requests_than_the_ring_has),
        TEST_BOTH(a_request_that_comes_twice),
        TEST_SPLIT(a_chain_that_is_a_loop),
        TEST_SPLIT(a_chain_that_leaves_the_table),
        TEST_BOTH(a_table_of_odd_length),
        TEST_BOTH(an_empty_table),
        TEST_BOTH(a_table_outside_memory),
        TEST_BOTH(a_table_that_wraps_around),
        TEST_BOTH(a_table_that_ends_outside_memory),
        TEST_SPLIT(a_table_in_a_table),
        TEST_BOTH(a_table_that_is_the_rings_own),
        TEST_SPLIT(a_table_that_loops),
        TEST_SPLIT(a_chain_that_leaves_its_table),
        TEST_BOTH(a_table_that_has_a_next_descriptor),
        TEST_BOTH(a_table_longer_than_the_device_takes),
        TEST_BOTH(a_chain_of_too_many_pieces),
        TEST_PACKED(a_buffer_id_that_is_none),
        TEST_PACKED(a_packed_chain_without_end),
        TEST_BOTH(requests_taken_before_are_answered),
        TEST_BOTH(the_first_reason_stays),
    };

    return cmocka_run_group_tests_name("broken rings", tests, NULL, NULL);
}
