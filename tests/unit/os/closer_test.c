/* Memory that a closer's thread unmaps: when it is gone, and that who waits for
 * it finds it so. */
#include "os/closer.h"
#include "rig.h"

#include <fcntl.h>
#include <sys/mman.h>

#include "os/memory.h"

#define LARGE (UINT64_C(64) << 20) /* more than is unmapped at once */

static struct closer_map map_of(uint64_t len)
{
    struct closer_map m = {.len = len};
    struct err e;

    assert_int_equal(memory_create("closer", len, &m.fd, &e), 0);
    m.at = mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_SHARED, m.fd, 0);
    assert_ptr_not_equal(m.at, MAP_FAILED);
    return m;
}

static bool is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}

static void what_is_small_is_gone_at_once(void **state)
{
    struct closer_map m = map_of(4096);

    (void)state;
    closer_unmap(m.at, m.len, m.fd);
    assert_false(is_open(m.fd));
    closer_unmap_wait(); /* for nothing */
}

static void what_is_large_is_gone_after_a_wait(void **state)
{
    struct closer_map m[4], *more = calloc(2, sizeof(*more));

    (void)state;
    assert_non_null(more);
    for (unsigned i = 0; i < ARRAY_LEN(m); i++)
        m[i] = map_of(LARGE);
    more[0] = m[2];
    more[1] = m[3];
    closer_unmap(m[0].at, m[0].len, m[0].fd);
    closer_unmap(m[1].at, m[1].len, m[1].fd);
    closer_unmap_all(more, 2);
    closer_unmap_wait();
    for (unsigned i = 0; i < ARRAY_LEN(m); i++)
        assert_false(is_open(m[i].fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_small_is_gone_at_once),
        cmocka_unit_test(what_is_large_is_gone_after_a_wait),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
