/* The dirty log: which bits, and when. */
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "guest.h"

#define LOG_BYTES 64 /* 512 pages: 2 MiB */

static uint8_t *file, *bits;
static int fd = -1;

static struct dirty *open_log(uint64_t size, uint64_t offset)
{
    struct dirty *d;
    struct err e = {0};

    fd = memfd_create("log", MFD_CLOEXEC);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, 0x3000), 0);
    file = mmap(NULL, 0x3000, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(file != MAP_FAILED);
    bits = file + offset;
    if (dirty_open(&d, fd, size, offset, &e) < 0)
        fail_msg("%s", e.text);
    return d;
}

static void close_log(struct dirty *d)
{
    dirty_unref(d);
    munmap(file, 0x3000);
    close(fd);
}

static bool marked(uint64_t gpa)
{
    uint64_t page = gpa / DIRTY_PAGE_BYTES;

    return bits[page / 8] >> page % 8 & 1;
}

/* How many pages are marked; then none is. */
static unsigned count(void)
{
    unsigned n = 0;

    for (int i = 0; i < LOG_BYTES; i++)
        n += (unsigned)__builtin_popcount(bits[i]);
    memset(bits, 0, LOG_BYTES);
    return n;
}

static void a_bit_for_every_page_touched(void **state)
{
    struct dirty *d = open_log(LOG_BYTES, 0);

    (void)state;
    assert_int_equal(dirty_end(d), 512 * 4096);
    dirty_mark(d, 0x5000, 1);
    assert_true(marked(0x5000));
    assert_int_equal(count(), 1);
    dirty_mark(d, 0x5fff, 2);
    assert_true(marked(0x5000) && marked(0x6000));
    assert_int_equal(count(), 2);
    dirty_mark(d, 0x5000, 0);
    assert_int_equal(count(), 0);
    for (unsigned from = 0; from < 20; from++) {
        for (unsigned n = 1; n < 40; n++) {
            dirty_mark(d, from * 4096, n * 4096ull);
            assert_true(marked(from * 4096));
            assert_true(marked((from + n - 1) * 4096));
            assert_int_equal(count(), n);
        }
    }
    close_log(d);
}

static void nothing_is_marked_beyond_the_end(void **state)
{
    struct dirty *d = open_log(LOG_BYTES, 0x1000 + 8);

    (void)state;
    dirty_mark(d, 512 * 4096, 1);
    dirty_mark(d, UINT64_MAX, 1);
    dirty_mark(d, UINT64_MAX - 10, 100);
    assert_int_equal(count(), 0);
    dirty_mark(d, 511 * 4096, 1 << 20);
    dirty_mark(d, 511 * 4096, UINT64_MAX);
    assert_int_equal(bits[LOG_BYTES], 0);
    assert_int_equal(count(), 1);
    close_log(d);
}

static void a_log_that_cannot_be_is_refused(void **state)
{
    struct dirty *d = open_log(LOG_BYTES, 0), *no;
    struct err e = {0};

    (void)state;
    assert_true(dirty_open(&no, fd, 0, 0, &e) < 0);
    assert_true(dirty_open(&no, fd, 0x3001, 0, &e) < 0);
    assert_true(dirty_open(&no, fd, 1, 0x3000, &e) < 0);
    assert_true(dirty_open(&no, fd, UINT64_MAX, 0, &e) < 0);
    assert_true(dirty_open(&no, fd, 16, UINT64_MAX, &e) < 0);
    close_log(d);
}

/* ---- rings ---- */

/* The device may have written anywhere it was let, whatever it says. */
static void all_that_was_writable_is_marked(void **state)
{
    struct guest *g = *state;
    struct dirty *d = open_log(LOG_BYTES, 0);
    const struct piece p[] = {
        {GUEST_DATA, 0x1000, false},
        {GUEST_SECOND - 0x800, 0x1000, true}, /* crosses into the second */
        {GUEST_THIRD + 0x2000, 1, true},
    };
    struct chain *c;

    g->setup.dirty = d;
    guest_start(g);
    guest_offer(g, 0, p, 3);
    c = ring_pop(&g->ring);
    assert_non_null(c);
    assert_int_equal(count(), 0);
    chain_done(c, 0);
    /* Before the guest sees the answer. */
    assert_true(marked(GUEST_SECOND - 0x800));
    assert_true(marked(GUEST_SECOND));
    assert_true(marked(GUEST_THIRD + 0x2000));
    assert_int_equal(count(), 3);
    ring_flush(&g->ring);
    assert_int_equal(count(), 0); /* the used ring is not logged */
    guest_crash(g);
    close_log(d);
}

static void used_entries_are_marked_where_asked(void **state)
{
    struct guest *g = *state;
    struct dirty *d = open_log(LOG_BYTES, 0);
    const struct piece p = {GUEST_DATA, 8, false};

    g->setup.dirty = d;
    g->setup.log_used = true;
    g->setup.used_gpa = 0x60ffe; /* not where it is: the log is told another */
    guest_start(g);
    assert_true(count() > 0); /* kicks were asked for there */
    guest_offer(g, 0, &p, 1);
    chain_done(ring_pop(&g->ring), 0);
    assert_int_equal(count(), 0);
    ring_flush(&g->ring);
    /* A packed ring answers among its descriptors. */
    assert_int_equal(marked(GUEST_DESC), g->packed);
    assert_int_equal(marked(0x61000), !g->packed);
    count();
    ring_notify_off(&g->ring);
    assert_true(marked(0x60ffe));
    guest_crash(g);
    close_log(d);
}

/* A chain is marked in the log that is current when it is done. */
static void a_log_may_come_and_go(void **state)
{
    struct guest *g = *state;
    struct dirty *d;
    struct chain *c[3];

    guest_start(g);
    for (int i = 0; i < 3; i++) {
        guest_offer_small(g, (uint16_t)(2 * i));
        c[i] = ring_pop(&g->ring);
    }
    chain_done(c[0], 1);
    d = open_log(LOG_BYTES, 0);
    ring_set_dirty(&g->ring, d, false, 0);
    guest_expect(g, 0, 1); /* answers are not carried over */
    assert_int_equal(count(), 0);
    chain_done(c[1], 1);
    assert_int_equal(count(), 1);
    ring_set_dirty(&g->ring, NULL, true, 0);
    chain_done(c[2], 1);
    ring_flush(&g->ring);
    assert_int_equal(count(), 0);
    assert_null(g->ring.broken);
    close_log(d);
}

static void a_log_that_is_taken_away_breaks_the_ring(void **state)
{
    struct guest *g = *state;
    struct dirty *d = open_log(LOG_BYTES, 0);

    guest_guard();
    g->setup.dirty = d;
    guest_start(g);
    guest_offer_small(g, 0);
    assert_int_equal(ftruncate(fd, 0), 0);
    chain_done(ring_pop(&g->ring), 1);
    ring_flush(&g->ring);
    guest_expect(g, 0, 1);
    assert_non_null(g->ring.broken);
    assert_non_null(strstr(g->ring.broken, "log shrank"));
    guest_crash(g);
    close_log(d);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_bit_for_every_page_touched),
        cmocka_unit_test(nothing_is_marked_beyond_the_end),
        cmocka_unit_test(a_log_that_cannot_be_is_refused),
        TEST_BOTH(all_that_was_writable_is_marked),
        TEST_BOTH(used_entries_are_marked_where_asked),
        TEST_BOTH(a_log_may_come_and_go),
        TEST_BOTH(a_log_that_is_taken_away_breaks_the_ring),
    };

    guest_guard_init();
    return cmocka_run_group_tests_name("dirty log", tests, NULL, NULL);
}
