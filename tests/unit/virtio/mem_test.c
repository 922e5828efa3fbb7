/* Guest memory: translation, what a region may not be, and a file that shrinks
 * under a mapping. */
#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "guest.h"
#include "os/memory.h"

static struct iovec iov[8];

static int map(struct guest *g, uint64_t gpa, uint64_t len, int max)
{
    static struct mem_hint hint;

    return mem_map(g->mem, &hint, gpa, len, iov, max);
}

static void translates_inside_a_region(void **state)
{
    struct guest *g = *state;

    assert_int_equal(mem_count(g->mem), 3);
    assert_int_equal(mem_end(g->mem), GUEST_THIRD + 0x10000);
    for (int i = 0; i < 3; i++) {
        const struct mem_region *r = mem_region(g->mem, i);

        assert_int_equal(map(g, r->gpa, r->len, 1), 1);
        assert_ptr_equal(iov[0].iov_base, r->host);
        assert_int_equal(iov[0].iov_len, r->len);
        assert_int_equal(map(g, r->gpa + r->len - 1, 1, 1), 1);
        assert_ptr_equal(iov[0].iov_base, r->host + r->len - 1);
    }
    strcpy(guest_at(g, GUEST_THIRD + 7), "there");
    assert_int_equal(map(g, GUEST_THIRD + 7, 6, 1), 1);
    assert_string_equal(iov[0].iov_base, "there");
    assert_int_equal(map(g, GUEST_HOLE, 0, 1), 0);
}

static void cuts_a_range_at_region_borders(void **state)
{
    struct guest *g = *state;

    assert_int_equal(map(g, GUEST_SECOND - 3, 10, 2), 2);
    assert_int_equal(iov[0].iov_len, 3);
    assert_int_equal(iov[1].iov_len, 7);
    assert_ptr_equal(iov[1].iov_base, mem_region(g->mem, 1)->host);
    assert_int_equal(map(g, GUEST_SECOND - 3, 10, 1), -E2BIG);
    assert_int_equal(map(g, GUEST_SECOND, 10, 0), -E2BIG);
}

static void finds_nothing_outside(void **state)
{
    struct guest *g = *state;
    struct mem *empty = mem_new();
    struct mem_hint hint = {5};

    assert_int_equal(map(g, GUEST_HOLE, 1, 8), -EFAULT);
    assert_int_equal(map(g, GUEST_HOLE - 1, 2, 8), -EFAULT);
    assert_int_equal(map(g, 0, 1, 8), -EFAULT);
    assert_int_equal(map(g, 0xffff, 2, 8), -EFAULT);
    assert_int_equal(map(g, GUEST_THIRD, UINT64_MAX, 8), -EFAULT);
    assert_int_equal(map(g, UINT64_MAX, 1, 8), -EFAULT);
    assert_int_equal(map(g, UINT64_MAX - 1, 100, 8), -EFAULT);
    assert_int_equal(mem_map(empty, &hint, 0, 1, iov, 8), -EFAULT);
    assert_int_equal(mem_end(empty), 0);
    mem_unref(empty);
}

static void knows_user_addresses_in_one_region_only(void **state)
{
    struct guest *g = *state;

    assert_ptr_equal(mem_uva(g->mem, GUEST_UVA + GUEST_SECOND + 9, 0x1fff7),
                     mem_region(g->mem, 1)->host + 9);
    assert_null(mem_uva(g->mem, GUEST_UVA + GUEST_SECOND + 9, 0x1fff8));
    assert_null(mem_uva(g->mem, GUEST_UVA + GUEST_SECOND - 1, 2));
    assert_null(mem_uva(g->mem, GUEST_SECOND, 1));
    assert_null(mem_uva(g->mem, GUEST_UVA + GUEST_SECOND, UINT64_MAX));
}

static void finds_the_way_back(void **state)
{
    struct guest *g = *state;

    for (int i = 0; i < 3; i++) {
        const struct mem_region *r = mem_region(g->mem, i);

        assert_int_equal(mem_gpa(g->mem, r->host), r->gpa);
        assert_int_equal(mem_gpa(g->mem, r->host + r->len - 1),
                         r->gpa + r->len - 1);
        assert_ptr_equal(mem_region_of(g->mem, r->host + 5), r);
    }
}

/* ---- regions that are refused ---- */

static void refuse(struct guest *g, struct mem_region_conf c, const char *why)
{
    struct mem *out = NULL;
    struct err e = {0};

    assert_true(mem_add(g->mem, &c, g->fd, &out, &e) < 0);
    if (!strstr(e.text, why))
        fail_msg("said: %s", e.text);
}

static void refuses_regions_that_make_no_sense(void **state)
{
    struct guest *g = *state;
    const uint64_t far = 0x10000000, uva = GUEST_UVA + far;

    refuse(g, (struct mem_region_conf){far, 0, uva, 0}, "empty");
    refuse(g, (struct mem_region_conf){UINT64_MAX, 2, uva, 0}, "wraps");
    refuse(g, (struct mem_region_conf){far, 0x2000, -0x1000, 0}, "wraps");
    refuse(g, (struct mem_region_conf){far, UINT64_MAX, uva, 0}, "wraps");
    refuse(g, (struct mem_region_conf){0x2ffff, 1, uva, 0}, "overlaps");
    refuse(g, (struct mem_region_conf){far, 1, GUEST_UVA + 0x10000, 0},
           "overlaps");
    refuse(g, (struct mem_region_conf){0, far, uva, 0}, "overlaps");
    refuse(g, (struct mem_region_conf){far, GUEST_FILE_BYTES + 1, uva, 0},
           "its file has only");
    refuse(g, (struct mem_region_conf){far, 1, uva, GUEST_FILE_BYTES},
           "its file has only");
    refuse(g, (struct mem_region_conf){far, 8, uva, UINT64_MAX - 4},
           "makes no sense");
}

static void refuses_what_is_no_memory(void **state)
{
    struct guest *g = *state;
    const struct mem_region_conf c = {0x10000000, 8, GUEST_UVA + 0x10000000, 0};
    struct mem *out = NULL;
    struct err e = {0};
    int fds[2];

    assert_int_equal(pipe(fds), 0);
    assert_true(mem_add(g->mem, &c, fds[0], &out, &e) < 0);
    assert_true(mem_add(g->mem, &c, -1, &out, &e) < 0);
    close(fds[0]);
    close(fds[1]);
}

static void maps_at_any_offset(void **state)
{
    struct guest *g = *state;
    const struct mem_region_conf c = {0x10000000, 100, GUEST_UVA + 0x10000000,
                                      0x1234};
    struct mem *more;
    struct mem_hint hint = {0};
    struct err e;

    strcpy((char *)g->file + 0x1234, "odd");
    assert_int_equal(mem_add(g->mem, &c, g->fd, &more, &e), 0);
    assert_int_equal(mem_map(more, &hint, c.gpa, 100, iov, 1), 1);
    assert_string_equal(iov[0].iov_base, "odd");
    assert_int_equal(mem_map(more, &hint, c.gpa, 101, iov, 1), -EFAULT);
    mem_unref(more);
}

static void holds_as_many_regions_as_it_says(void **state)
{
    struct guest *g = *state;
    struct mem *m = mem_new(), *next;
    struct mem_hint hint = {0};
    struct err e = {0};

    for (unsigned i = 0; i < MEM_REGIONS_MAX; i++) {
        /* in a mixed order */
        uint64_t at = (i * 200ull % 509) * 0x2000;
        const struct mem_region_conf c = {at, 0x1000, GUEST_UVA + at, 0};

        assert_int_equal(mem_add(m, &c, g->fd, &next, &e), 0);
        mem_unref(m);
        m = next;
    }
    for (unsigned i = 0; i < MEM_REGIONS_MAX; i++) {
        assert_int_equal(mem_map(m, &hint, i * 0x2000 + 8, 8, iov, 1), 1);
        assert_int_equal(mem_gpa(m, iov[0].iov_base), i * 0x2000 + 8);
        assert_int_equal(mem_map(m, &hint, i * 0x2000 + 0x1000, 8, iov, 1),
                         -EFAULT);
    }
    assert_int_equal(mem_add(m, &(struct mem_region_conf){UINT32_MAX, 1, 0, 0},
                             g->fd, &next, &e),
                     -ENOSPC);
    mem_unref(m);
}

static void removes_just_the_region_meant(void **state)
{
    struct guest *g = *state;
    struct mem_region_conf c = {GUEST_SECOND, 0x20000, GUEST_UVA + GUEST_SECOND,
                                0};
    struct mem_hint hint = {0};
    struct mem *less;
    struct err e = {0};

    assert_int_equal(mem_remove(g->mem, &c, &less, &e), 0);
    assert_int_equal(mem_count(less), 2);
    assert_int_equal(mem_map(less, &hint, GUEST_SECOND, 1, iov, 1), -EFAULT);
    assert_int_equal(mem_map(less, &hint, GUEST_THIRD, 1, iov, 1), 1);
    /* The mapping is the same one in both. */
    assert_ptr_equal(iov[0].iov_base, mem_region(g->mem, 2)->host);
    assert_int_equal(mem_remove(less, &c, &less, &e), -ENOENT);
    c.len--;
    assert_int_equal(mem_remove(g->mem, &c, &less, &e), -ENOENT);
    mem_unref(less);
}

/* ---- the guard ---- */

static void outlives_a_file_that_shrinks(void **state)
{
    struct guest *g = *state;
    volatile uint8_t *third;
    struct guest *other = guest_new(false, 8);

    guest_guard();
    assert_int_equal(map(g, GUEST_THIRD, 0x10000, 1), 1);
    third = iov[0].iov_base;
    third[0] = third[0x8000] = 7;
    assert_false(mem_poisoned(g->mem));

    /* The third region lies at 0x20000 of the file. */
    assert_int_equal(ftruncate(g->fd, 0x21000), 0);
    assert_int_equal(third[0], 7);
    assert_false(mem_poisoned(g->mem));
    assert_int_equal(third[0x8000], 0); /* gone, but nobody died */
    assert_true(mem_poisoned(g->mem));
    assert_false(mem_poisoned(other->mem));
    third[0x8001] = 9; /* goes nowhere */
    assert_int_equal(third[0x8001], 9);
    assert_int_equal(third[0xffff], 0);
    assert_int_equal(third[0xfff], 0);
    assert_int_equal(third[0], 7);
    guest_free(other);
}

static void memory_mapped_anew_is_not_poisoned(void **state)
{
    struct guest *g = *state;
    struct memory m;
    struct err e;

    guest_guard();
    for (int i = 0; i < 200; i++) {
        assert_int_equal(ftruncate(g->fd, GUEST_FILE_BYTES), 0);
        assert_int_equal(memory_map(&m, g->fd, 0x5f000, 0x1000, &e), 0);
        assert_false(memory_is_poisoned(&m));
        assert_int_equal(ftruncate(g->fd, 0x5f000), 0);
        *(volatile uint8_t *)m.at = 1;
        assert_true(memory_is_poisoned(&m));
        memory_unmap(&m);
        memory_unmap(&m); /* safe twice */
    }
    assert_int_equal(ftruncate(g->fd, GUEST_FILE_BYTES), 0);
}

/* The table of mappings changes all the time while somebody faults. */
static bool enough;

static void *map_and_unmap(void *arg)
{
    struct guest *g = arg;
    struct memory m[100];
    struct err e;

    while (!__atomic_load_n(&enough, __ATOMIC_RELAXED)) {
        for (unsigned i = 0; i < ARRAY_LEN(m); i++)
            if (memory_map(&m[i], g->fd, 0, 0x1000, &e) < 0)
                abort();
        for (unsigned i = 0; i < ARRAY_LEN(m); i++) {
            if (memory_is_poisoned(&m[i]))
                abort();
            memory_unmap(&m[i]);
        }
    }
    return NULL;
}

static void faults_while_others_map_and_unmap(void **state)
{
    struct guest *g = *state;
    pthread_t other;
    struct memory m;
    struct err e;

    guest_guard();
    enough = false;
    assert_int_equal(pthread_create(&other, NULL, map_and_unmap, g), 0);
    for (int i = 0; i < 300; i++) {
        assert_int_equal(ftruncate(g->fd, GUEST_FILE_BYTES), 0);
        assert_int_equal(memory_map(&m, g->fd, 0x50000, 0x10000, &e), 0);
        assert_int_equal(ftruncate(g->fd, 0x50000), 0);
        for (int page = 0; page < 16; page++)
            ((volatile uint8_t *)m.at)[page * 0x1000] = 1;
        assert_true(memory_is_poisoned(&m));
        memory_unmap(&m);
    }
    __atomic_store_n(&enough, true, __ATOMIC_RELAXED);
    pthread_join(other, NULL);
    assert_int_equal(ftruncate(g->fd, GUEST_FILE_BYTES), 0);
}

/* Runs f in a child; how that ended. */
static int status_of(void (*f)(struct guest *g), struct guest *g)
{
    int status;
    pid_t pid = fork();

    assert_true(pid >= 0);
    if (pid == 0) {
        close(STDERR_FILENO); /* a sanitizer would tell its tale */
        guest_guard();
        f(g);
        _exit(0);
    }
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return status;
}

static void touch_unguarded(struct guest *g)
{
    if (ftruncate(g->fd, 0) == 0)
        ((volatile uint8_t *)g->file)[100] = 1; /* not a guarded mapping */
}

static void send_sigbus(struct guest *g)
{
    (void)g;
    raise(SIGBUS);
}

/* Other faults are as deadly as ever. */
static void a_fault_elsewhere_still_kills(void **state)
{
    assert_int_not_equal(status_of(touch_unguarded, *state), 0);
    assert_int_not_equal(status_of(send_sigbus, *state), 0);
}

static void a_new_memory_file_cannot_shrink(void **state)
{
    struct memory m;
    struct err e;
    int fd;

    (void)state;
    assert_int_equal(memory_create("test", 10000, &fd, &e), 0);
    assert_int_equal(memory_map(&m, fd, 0, 10000, &e), 0);
    assert_int_equal(m.at[9999], 0);
    assert_int_not_equal(ftruncate(fd, 100), 0);
    memory_unmap(&m);
    close(fd);
}

int main(void)
{
    guest_guard_init();
#define T(t)                                                                   \
    cmocka_unit_test_setup_teardown(t, guest_split_setup, guest_teardown)
    const struct CMUnitTest tests[] = {
        T(translates_inside_a_region),
        T(cuts_a_range_at_region_borders),
        T(finds_nothing_outside),
        T(knows_user_addresses_in_one_region_only),
        T(finds_the_way_back),
        T(refuses_regions_that_make_no_sense),
        T(refuses_what_is_no_memory),
        T(maps_at_any_offset),
        T(holds_as_many_regions_as_it_says),
        T(removes_just_the_region_meant),
        T(outlives_a_file_that_shrinks),
        T(memory_mapped_anew_is_not_poisoned),
        T(faults_while_others_map_and_unmap),
        T(a_fault_elsewhere_still_kills),
        T(a_new_memory_file_cannot_shrink),
    };

    return cmocka_run_group_tests_name("guest memory", tests, NULL, NULL);
}
