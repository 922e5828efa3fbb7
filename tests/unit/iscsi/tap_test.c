/* The tap: what a library does with an fd comes to us, or to nothing. The same
 * with tap.c compiled as a distribution might (CMakeLists.txt). */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/tap.h"

static void all_four_calls_come_to_us(void **state)
{
    (void)state;
    assert_null(tap_missing());
}

static ssize_t on_readv(struct tap *t, const struct iovec *iov, int num)
{
    (void)t;
    (void)num;
    memcpy(iov->iov_base, "tap", 3);
    return 3;
}

static ssize_t on_writev(struct tap *t, const struct iovec *iov, int num)
{
    (void)t;
    (void)num;
    return (ssize_t)iov->iov_len;
}

static void what_passes_the_tap_by_finds_the_end(void **state)
{
    struct tap tap = {.readv = on_readv, .writev = on_writev};
    char buf[8];
    struct iovec iov = {buf, sizeof(buf)};
    int pair[2], sock;

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, pair), 0);
    sock = dup(pair[0]);
    assert_int_equal(tap_dead_end(pair[0]), 0);
    assert_int_equal(write(pair[1], "hi", 2), 2);
    assert_int_equal(recv(pair[0], buf, sizeof(buf), 0), 0);
    assert_int_equal(readv(pair[0], &iov, 1), 0);
    assert_int_equal(read(pair[0], buf, sizeof(buf)), 0);
    assert_int_equal(send(pair[0], "no", 2, MSG_NOSIGNAL), -1);
    tap.fd = pair[0];
    tap_set(&tap);
    assert_int_equal(recv(pair[0], buf, sizeof(buf), 0), 3);
    assert_int_equal(readv(pair[0], &iov, 1), 3);
    assert_int_equal(writev(pair[0], &iov, 1), 8);
    assert_int_equal(send(pair[0], buf, 5, MSG_NOSIGNAL), 5);
    tap_set(NULL);
    assert_int_equal(tap_readv(sock, &iov, 1), 2);
    close(pair[0]);
    close(pair[1]);
    close(sock);
}

static void flags_that_a_tap_cannot_do_are_refused(void **state)
{
    struct tap tap = {.fd = 0, .readv = on_readv, .writev = on_writev};
    char buf[8];

    (void)state;
    tap_set(&tap);
    assert_int_equal(recv(0, buf, sizeof(buf), MSG_PEEK), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    assert_int_equal(send(0, buf, sizeof(buf), MSG_OOB), -1);
    assert_int_equal(errno, EOPNOTSUPP);
    tap_set(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(all_four_calls_come_to_us),
        cmocka_unit_test(what_passes_the_tap_by_finds_the_end),
        cmocka_unit_test(flags_that_a_tap_cannot_do_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
