/* Connections that come by a door, and what is said of their end. */
#include <errno.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/door.h"
#include "os/sock.h"

static void a_visit_comes_with_who_it_is(void **state)
{
    struct door_visit v = {.number = UINT64_MAX, .pid = 42, .uid = 7}, got;
    int ends[2], pair[2];
    char byte = 'x';

    (void)state;
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(door_accept(ends[1], &got), -EAGAIN);
    assert_int_equal(sock_pair(pair), 0);
    v.fd = pair[0];
    assert_int_equal(door_bring(ends[0], &v), 0);
    close(pair[0]); /* a copy has gone */
    assert_int_equal(door_accept(ends[1], &got), 1);
    assert_true(got.number == UINT64_MAX && got.pid == 42 && got.uid == 7);
    assert_int_equal(write(pair[1], &byte, 1), 1);
    byte = 0;
    assert_int_equal(read(got.fd, &byte, 1), 1);
    assert_int_equal(byte, 'x');
    close(got.fd);
    close(pair[1]);
    close(ends[0]);
    assert_int_equal(door_accept(ends[1], &got), 0);
    close(ends[1]);
}

static void what_is_no_visit_is_passed_over(void **state)
{
    struct door_visit v = {.number = 5}, got;
    int ends[2], pair[2], other[2];

    (void)state;
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(sock_pair(pair), 0);
    assert_int_equal(pipe(other), 0);
    assert_int_equal(sock_send(ends[0], "nonsense", 8, NULL, 0), 8);
    v.fd = other[0]; /* no socket */
    assert_int_equal(door_bring(ends[0], &v), 0);
    v.fd = pair[0];
    v.number = 6;
    assert_int_equal(door_bring(ends[0], &v), 0);
    assert_int_equal(door_accept(ends[1], &got), 1);
    assert_int_equal(got.number, 6);
    close(got.fd);
    for (unsigned i = 0; i < 2; i++) {
        close(ends[i]);
        close(pair[i]);
        close(other[i]);
    }
}

static void an_end_is_told_with_why(void **state)
{
    char why[DOOR_WHY_MAX], longer[2 * DOOR_WHY_MAX];
    uint64_t number;
    int ends[2];

    (void)state;
    memset(longer, 'y', sizeof(longer));
    longer[sizeof(longer) - 1] = '\0';
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(door_ended(ends[0], &number, why), -EAGAIN);
    door_end(ends[1], 3, "it hung up");
    door_end(ends[1], 4, NULL);
    door_end(ends[1], 5, longer);
    assert_int_equal(door_ended(ends[0], &number, why), 1);
    assert_int_equal(number, 3);
    assert_string_equal(why, "it hung up");
    assert_int_equal(door_ended(ends[0], &number, why), 1);
    assert_int_equal(number, 4);
    assert_string_equal(why, "");
    assert_int_equal(door_ended(ends[0], &number, why), 1);
    assert_int_equal(strlen(why), DOOR_WHY_MAX - 1);
    /* what was said before it went is heard */
    door_end(ends[1], 6, NULL);
    close(ends[1]);
    assert_int_equal(door_ended(ends[0], &number, why), 1);
    assert_int_equal(door_ended(ends[0], &number, why), 0);
    close(ends[0]);
}

/* Whoever serves may say anything, and send anything. */
static void what_is_no_end_is_a_lie(void **state)
{
    char why[DOOR_WHY_MAX], whole[sizeof(uint64_t) + DOOR_WHY_MAX] = "";
    struct pollfd other = {.events = POLLIN};
    uint64_t number;
    int ends[2], pair[2];

    (void)state;
    assert_int_equal(door_pair(ends), 0);
    assert_int_equal(sock_pair(pair), 0);
    assert_int_equal(sock_send(ends[1], "nonsense", 8, NULL, 0), 8);
    assert_int_equal(door_ended(ends[0], &number, why), -EPROTO);
    assert_int_equal(sock_send(ends[1], whole, sizeof(whole), &pair[0], 1),
                     sizeof(whole));
    close(pair[0]);
    assert_int_equal(door_ended(ends[0], &number, why), -EPROTO);
    other.fd = pair[1]; /* nobody has the other end any more */
    assert_int_equal(poll(&other, 1, 60000), 1);
    close(pair[1]);
    close(ends[0]);
    close(ends[1]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_visit_comes_with_who_it_is),
        cmocka_unit_test(what_is_no_visit_is_passed_over),
        cmocka_unit_test(an_end_is_told_with_why),
        cmocka_unit_test(what_is_no_end_is_a_lie),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
