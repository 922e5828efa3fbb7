/* The connection of a scenario to a vub that lies. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "daemon/scenario/peer.h"
#include "os/sock.h"

static void on_event(const struct json *params, void *arg)
{
    (void)params;
    ++*(unsigned *)arg;
}

static void open_peer(struct peer *p, int *other)
{
    int pair[2];

    assert_int_equal(sock_pair(pair), 0);
    *p = (struct peer){.wire = {.fd = pair[0]}};
    *other = pair[1];
}

static void a_line_without_end_is_no_vub(void **state)
{
    const size_t len = 64 << 10, most = CTL_LINE_MAX + (4u << 20);
    char *text = malloc(len);
    unsigned events = 0;
    size_t sent = 0;
    struct peer p;
    int other;

    (void)state;
    memset(text, 'x', len);
    open_peer(&p, &other);
    while (!p.gone && sent < most) {
        ssize_t n = sock_send(other, text, len, NULL, 0);

        sent += n > 0 ? (size_t)n : 0;
        peer_receive(&p, on_event, &events);
    }
    assert_true(p.gone);
    assert_int_equal(events, 0);
    close(other);
    peer_close(&p);
    free(text);
}

static void what_follows_a_line_is_a_line(void **state)
{
    static const char said[] = "{\"method\":\"event\",\"params\":{}}\n"
                               "nonsense\n"
                               "{\"method\":\"event\",\"params\":{}}\n{";
    unsigned events = 0;
    struct peer p;
    int other;

    (void)state;
    open_peer(&p, &other);
    assert_int_equal(sock_send(other, said, strlen(said), NULL, 0),
                     strlen(said));
    peer_receive(&p, on_event, &events);
    assert_int_equal(events, 2);
    assert_false(p.gone);
    close(other);
    peer_receive(&p, on_event, &events);
    assert_true(p.gone);
    peer_close(&p);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_line_without_end_is_no_vub),
        cmocka_unit_test(what_follows_a_line_is_a_line),
    };

    return cmocka_run_group_tests_name("scenario peer", tests, NULL, NULL);
}
