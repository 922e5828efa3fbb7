/* What a child shows, on its way to a display: the test is both. Numbers and
 * sizes are of vhost-user-gpu, as tests/front/display.h reads it. */
#include "front/display.h"
#include "rig.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>

#define EDID_BYTES 1056
#define INFO_BYTES 408

static struct front_msg m;

struct shown {
    struct talk talk;
    int child, display; /* sockets */
    uint64_t protocol;
};

/* The socket that a child is given. */
static int take_socket(int leg)
{
    child_need(leg, WIRE_GPU_SET_SOCKET, &m);
    assert_int_equal(m.num_fds, 1);
    return m.fds[0];
}

static void shown_new(struct shown *s)
{
    int pair[2];

    *s = (struct shown){.talk = talk_begin(FEATURE(WIRE_PF_REPLY_ACK))};
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    s->display = pair[0];
    front_send(s->talk.f, WIRE_GPU_SET_SOCKET, WIRE_NEED_REPLY, NULL, 0,
               &pair[1], 1);
    close(pair[1]);
    s->child = take_socket(s->talk.leg);
    child_answer_u64(s->talk.leg, WIRE_GPU_SET_SOCKET, 0);
    front_reply(s->talk.f, WIRE_GPU_SET_SOCKET, &m);
    assert_int_equal(m.u64, 0);
}

static void shown_free(struct shown *s)
{
    close(s->child);
    close(s->display);
    talk_end(&s->talk);
}

/* Another child takes the place of this one. */
static void next_child(struct shown *s)
{
    close(s->child);
    talk_next_child(&s->talk, RIG_FEATURES);
    child_ok(s->talk.leg, WIRE_SET_PROTOCOL_FEATURES);
    s->child = take_socket(s->talk.leg);
    child_answer_u64(s->talk.leg, WIRE_GPU_SET_SOCKET, 0);
}

static void next_child_without_display(struct shown *s)
{
    talk_next_child(&s->talk, RIG_FEATURES);
    child_ok(s->talk.leg, WIRE_SET_PROTOCOL_FEATURES);
}

static void say(int sock, uint32_t request, uint32_t flags, const void *payload,
                uint32_t size, int fd)
{
    uint32_t header[3] = {request, flags, size};

    assert_true(
        front_send_on(sock, false, header, sizeof(header), &fd, fd >= 0));
    if (size)
        front_send_on(sock, false, payload, size, NULL, 0);
}

/* A message of so many bytes, all of which are `fill`; *fd: -1 if none comes.
 */
static void need(int sock, uint32_t request, uint32_t flags, uint32_t size,
                 uint8_t fill, int *fd)
{
    char control[CMSG_SPACE(sizeof(int))];
    uint8_t *at = malloc(size + 12);
    struct iovec iov = {at, size + 12};
    uint32_t header[3];

    assert_non_null(at);
    *fd = -1;
    while (iov.iov_len > 0) {
        struct msghdr h = {.msg_iov = &iov,
                           .msg_iovlen = 1,
                           .msg_control = control,
                           .msg_controllen = sizeof(control)};
        ssize_t n;

        front_need_fd(sock, POLLIN, "what is shown");
        n = recvmsg(sock, &h, MSG_CMSG_CLOEXEC);
        if (n <= 0)
            front_fail("it hung up before message %u", request);
        if (CMSG_FIRSTHDR(&h))
            memcpy(fd, CMSG_DATA(CMSG_FIRSTHDR(&h)), sizeof(*fd));
        iov.iov_base = (uint8_t *)iov.iov_base + n;
        iov.iov_len -= (size_t)n;
    }
    memcpy(header, at, sizeof(header));
    if (header[0] != request || header[1] != flags || header[2] != size)
        front_fail("message %u of %u bytes comes, not %u of %u", header[0],
                   header[2], request, size);
    for (uint32_t i = 0; i < size; i++)
        if (at[12 + i] != fill)
            front_fail("byte %u of message %u is %#x, not %#x", i, request,
                       at[12 + i], fill);
    free(at);
}

static void need_plain(int sock, uint32_t request, uint32_t flags,
                       uint32_t size, uint8_t fill)
{
    int fd;

    need(sock, request, flags, size, fill, &fd);
    assert_int_equal(fd, -1);
}

static void need_end(int sock)
{
    char byte[256];
    ssize_t n;

    do {
        front_need_fd(sock, POLLIN, "a hang-up");
        n = recv(sock, byte, sizeof(byte), 0);
    } while (n > 0);
    assert_true(n == 0 || errno == ECONNRESET);
}

static uint8_t *filled(uint32_t size, uint8_t fill)
{
    uint8_t *at = malloc(size);

    assert_non_null(at);
    memset(at, fill, size);
    return at;
}

static void questions_and_answers_go_both_ways(void **state)
{
    uint8_t *edid = filled(EDID_BYTES, 7);
    uint32_t scanout = 0;
    struct shown s;

    (void)state;
    shown_new(&s);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    say(s.child, DISPLAY_GET_EDID, 0, &scanout, 4, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    need_plain(s.display, DISPLAY_GET_EDID, 0, 4, 0);
    say(s.display, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, "aaaaaaaa", 8,
        -1);
    say(s.display, DISPLAY_GET_EDID, DISPLAY_REPLY, edid, EDID_BYTES, -1);
    need_plain(s.child, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, 8, 'a');
    need_plain(s.child, DISPLAY_GET_EDID, DISPLAY_REPLY, EDID_BYTES, 7);
    free(edid);
    shown_free(&s);
}

#define LARGE (20 + (8u << 20))

static void pictures_of_any_size_come_through(void **state)
{
    uint8_t *picture = filled(LARGE, 3);
    struct shown s;
    pid_t pid;

    (void)state;
    shown_new(&s);
    pid = fork(); /* for each end waits for the other */
    if (pid == 0) {
        say(s.child, DISPLAY_UPDATE, 0, picture, LARGE, -1);
        say(s.child, DISPLAY_CURSOR_POS, 0, picture, 12, -1);
        _exit(0);
    }
    need_plain(s.display, DISPLAY_UPDATE, 0, LARGE, 3);
    need_plain(s.display, DISPLAY_CURSOR_POS, 0, 12, 3);
    free(picture);
    shown_free(&s);
}

static void a_dmabuf_goes_with_its_message(void **state)
{
    int fd = front_memfd(12288), got;
    uint8_t *mode = filled(56, 1);
    struct shown s;

    (void)state;
    shown_new(&s);
    for (int i = 0; i < 3; i++) {
        say(s.child, DISPLAY_CURSOR_POS, 0, mode, 12, -1);
        say(s.child, DISPLAY_DMABUF_SCANOUT2, 0, mode, 48, fd);
        say(s.child, DISPLAY_DMABUF_UPDATE, 0, mode, 20, -1);
    }
    for (int i = 0; i < 3; i++) {
        need_plain(s.display, DISPLAY_CURSOR_POS, 0, 12, 1);
        need(s.display, DISPLAY_DMABUF_SCANOUT2, 0, 48, 1, &got);
        assert_int_equal(lseek(got, 0, SEEK_END), 12288);
        close(got);
        need_plain(s.display, DISPLAY_DMABUF_UPDATE, 0, 20, 1);
        say(s.display, DISPLAY_DMABUF_UPDATE, DISPLAY_REPLY, NULL, 0, -1);
        need_plain(s.child, DISPLAY_DMABUF_UPDATE, DISPLAY_REPLY, 0, 0);
    }
    close(fd);
    free(mode);
    shown_free(&s);
}

/* The display reads the begin of a message, then its child dies; the rest is
 * zeros, and the next child's messages come whole. */
static void a_torn_message_is_ended(void **state)
{
    uint32_t header[3] = {DISPLAY_UPDATE, 0, 1020};
    uint8_t *picture = filled(LARGE, 3), got[1032];
    struct shown s;

    (void)state;
    shown_new(&s);
    front_send_on(s.child, false, header, sizeof(header), NULL, 0);
    front_send_on(s.child, false, picture, 500, NULL, 0);
    front_need_fd(s.display, POLLIN, "a part");
    for (size_t n = 0; n < 512;) {
        ssize_t part = recv(s.display, got + n, 512 - n, 0);

        assert_true(part > 0);
        n += (size_t)part;
    }
    next_child(&s);
    say(s.child, DISPLAY_CURSOR_POS, 0, picture, 12, -1);
    assert_int_equal(recv(s.display, got + 512, 520, MSG_WAITALL), 520);
    for (int i = 0; i < 520; i++)
        assert_int_equal(got[512 + i], 0);
    need_plain(s.display, DISPLAY_CURSOR_POS, 0, 12, 3);

    /* A header that came in part is nobody's. */
    front_send_on(s.child, false, header, 8, NULL, 0);
    next_child(&s);
    say(s.child, DISPLAY_CURSOR_POS, 0, picture, 12, -1);
    need_plain(s.display, DISPLAY_CURSOR_POS, 0, 12, 3);
    free(picture);
    shown_free(&s);
}

/* Fills everything on the way to a display that does not read: bytes. */
static size_t fill_up(struct shown *s, const uint8_t *from, size_t len)
{
    size_t sent = 0;
    int idle = 0;

    while (idle < 10 && sent < len) {
        ssize_t n = send(s->child, from + sent, len - sent, MSG_DONTWAIT);

        if (n > 0) {
            sent += (size_t)n;
            idle = 0;
        } else {
            idle += !front_wait_fd(s->child, POLLOUT, 50);
        }
    }
    return sent;
}

static void a_display_that_does_not_read_stops_the_child(void **state)
{
    uint32_t header[3] = {DISPLAY_UPDATE, 0, 60u << 20};
    uint8_t *much = filled(60u << 20, 3), *got;
    size_t sent, n;
    struct shown s;

    (void)state;
    shown_new(&s);
    front_send_on(s.child, false, header, sizeof(header), NULL, 0);
    sent = fill_up(&s, much, 60u << 20);
    assert_true(sent < 4u << 20);

    /* And if the child dies then, all of the message comes nevertheless. */
    next_child(&s);
    say(s.child, DISPLAY_CURSOR_POS, 0, much, 12, -1);
    got = malloc(1 << 20);
    for (n = 0; n < 12 + (60u << 20);) {
        ssize_t part =
            recv(s.display, got, MIN((size_t)1 << 20, 12 + (60u << 20) - n), 0);

        assert_true(part > 0);
        n += (size_t)part;
    }
    need_plain(s.display, DISPLAY_CURSOR_POS, 0, 12, 3);
    free(got);
    free(much);
    shown_free(&s);
}

/* What it asked is answered to nobody; the same question of the next one is. */
static void answers_to_a_dead_child_are_dropped(void **state)
{
    struct shown s;

    (void)state;
    shown_new(&s);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    next_child(&s);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    say(s.display, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, "aaaaaaaa", 8,
        -1);
    say(s.display, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, "bbbbbbbb", 8,
        -1);
    need_plain(s.child, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, 8, 'b');

    /* And if a part of it has come before. */
    say(s.child, DISPLAY_GET_DISPLAY_INFO, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_DISPLAY_INFO, 0, 0, 0);
    front_send_on(
        s.display, false,
        (uint32_t[]){DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, INFO_BYTES}, 12,
        NULL, 0);
    next_child(&s);
    {
        uint8_t *info = filled(INFO_BYTES, 5);

        front_send_on(s.display, false, info, INFO_BYTES, NULL, 0);
        say(s.child, DISPLAY_GET_DISPLAY_INFO, 0, NULL, 0, -1);
        need_plain(s.display, DISPLAY_GET_DISPLAY_INFO, 0, 0, 0);
        memset(info, 6, INFO_BYTES);
        say(s.display, DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, info,
            INFO_BYTES, -1);
        need_plain(s.child, DISPLAY_GET_DISPLAY_INFO, DISPLAY_REPLY, INFO_BYTES,
                   6);
        free(info);
    }
    shown_free(&s);
}

/* Either end sees the other one go; the session goes on. */
static void a_display_that_goes_is_told_to_the_child(void **state)
{
    struct shown s;

    (void)state;
    shown_new(&s);
    shutdown(s.display, SHUT_RDWR);
    need_end(s.child);
    front_send(s.talk.f, WIRE_SET_OWNER, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
    child_ok(s.talk.leg, WIRE_SET_OWNER);
    front_reply(s.talk.f, WIRE_SET_OWNER, &m);

    /* The next child hears of none. */
    next_child_without_display(&s);
    front_send(s.talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(s.talk.leg, WIRE_SET_OWNER);
    shown_free(&s);
}

static void what_is_no_message_ends_the_display_alone(void **state)
{
    static const uint32_t bad[][3] = {
        {0, 0, 0},
        {13, 0, 0},
        {DISPLAY_UPDATE, 0, UINT32_MAX},
        {DISPLAY_UPDATE, DISPLAY_REPLY, 20},
        {DISPLAY_CURSOR_POS, 0, 13},
    };
    int fd = front_memfd(4096);
    struct shown s;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(bad) + 2; i++) {
        front_note("case %u", i);
        shown_new(&s);
        if (i < ARRAY_LEN(bad)) {
            front_send_on(s.child, false, bad[i], 12, NULL, 0);
        } else if (i == ARRAY_LEN(bad)) { /* fds where none belongs */
            say(s.child, DISPLAY_CURSOR_POS, 0, "abcdefghijkl", 12, fd);
        } else {
            int fds[] = {fd, fd};
            uint32_t h[3] = {DISPLAY_DMABUF_SCANOUT2, 0, 48};

            front_send_on(s.child, false, h, 12, fds, 2);
        }
        need_end(s.display);
        front_send(s.talk.f, WIRE_SET_OWNER, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
        child_ok(s.talk.leg, WIRE_SET_OWNER);
        front_reply(s.talk.f, WIRE_SET_OWNER, &m);
        shown_free(&s);
    }
    close(fd);
}

/* The child is to say what is wrong with it, and ends it. */
static void a_reply_to_nothing_ends_the_display(void **state)
{
    static const uint32_t wrong[] = {DISPLAY_DMABUF_UPDATE, DISPLAY_SCANOUT};
    struct shown s;

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        shown_new(&s);
        say(s.display, wrong[i], DISPLAY_REPLY, NULL, 0, -1);
        need_plain(s.child, wrong[i], DISPLAY_REPLY, 0, 0);
        if (i == 0)
            shutdown(s.child, SHUT_RDWR);
        else
            next_child_without_display(&s);
        need_end(s.display);
        shown_free(&s);
    }
}

/* What a child does not read of answers does not grow here. */
static void a_child_that_does_not_listen_stops_the_display(void **state)
{
    uint8_t *edid = filled(EDID_BYTES, 7);
    unsigned asked = 0, answered = 0;
    uint32_t h[3] = {DISPLAY_GET_EDID, 0, 4};
    uint8_t got[16], answer[12 + EDID_BYTES];
    struct shown s;

    (void)state;
    shown_new(&s);
    h[1] = 0;
    for (; asked < 4096; asked++) {
        say(s.child, DISPLAY_GET_EDID, 0, &asked, 4, -1);
        front_need_fd(s.display, POLLIN, "a question");
        assert_int_equal(recv(s.display, got, 16, MSG_WAITALL), 16);
    }
    h[1] = DISPLAY_REPLY;
    h[2] = EDID_BYTES;
    memcpy(answer, h, 12);
    memcpy(answer + 12, edid, EDID_BYTES);
    while (answered < asked && front_wait_fd(s.display, POLLOUT, 200) &&
           send(s.display, answer, sizeof(answer), MSG_DONTWAIT) ==
               sizeof(answer))
        answered++;
    assert_true(answered < asked);
    shutdown(s.display, SHUT_RDWR);
    need_end(s.child);
    free(edid);
    shown_free(&s);
}

static void lose_child(struct rig *r)
{
    relay_child_lost(r->relay);
}

/* The next relay has the same display; only now is it read again. */
static void hand_on(struct shown *s)
{
    assert_true(rig_hand_on(s->talk.r, lose_child));
    close(s->child);
    child_need_hangup(s->talk.leg);
    rig_child_here(s->talk.r);
    s->talk.leg = child_greet(s->talk.r, RIG_FEATURES, 2);
    child_ok(s->talk.leg, WIRE_SET_PROTOCOL_FEATURES);
}

static void a_display_is_handed_on_between_two_messages(void **state)
{
    uint32_t header[3] = {DISPLAY_UPDATE, 0, 1020};
    uint8_t got[1032], *zeros = filled(1020, 0);
    struct shown s;

    (void)state;
    shown_new(&s);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    front_send_on(s.child, false, header, sizeof(header), NULL, 0);
    assert_int_equal(recv(s.display, got, 12, MSG_WAITALL), 12);
    say(s.display, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, "aaaaaaaa", 8,
        -1);
    hand_on(&s);
    s.child = take_socket(s.talk.leg);
    child_answer_u64(s.talk.leg, WIRE_GPU_SET_SOCKET, 0);
    assert_int_equal(recv(s.display, got, 1020, MSG_WAITALL), 1020);
    assert_memory_equal(got, zeros, 1020);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    say(s.display, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, "bbbbbbbb", 8,
        -1);
    need_plain(s.child, DISPLAY_GET_PROTOCOL_FEATURES, DISPLAY_REPLY, 8, 'b');
    free(zeros);
    shown_free(&s);
}

static void a_display_that_owes_an_answer_is_left_behind(void **state)
{
    struct shown s;

    (void)state;
    shown_new(&s);
    say(s.child, DISPLAY_GET_PROTOCOL_FEATURES, 0, NULL, 0, -1);
    need_plain(s.display, DISPLAY_GET_PROTOCOL_FEATURES, 0, 0, 0);
    hand_on(&s);
    need_end(s.display);
    s.child = dup(s.display);
    front_send(s.talk.f, WIRE_SET_OWNER, WIRE_NEED_REPLY, NULL, 0, NULL, 0);
    child_ok(s.talk.leg, WIRE_SET_OWNER);
    front_reply(s.talk.f, WIRE_SET_OWNER, &m);
    shown_free(&s);
}

static void a_device_without_a_display_says_so(void **state)
{
    struct talk talk = talk_begin(0);
    int pair[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair),
                     0);
    front_send(talk.f, WIRE_GPU_SET_SOCKET, 0, NULL, 0, &pair[1], 1);
    close(pair[1]);
    close(take_socket(talk.leg));
    child_answer_u64(talk.leg, WIRE_GPU_SET_SOCKET, 1);
    need_end(pair[0]);
    close(pair[0]);
    front_send(talk.f, WIRE_SET_OWNER, 0, NULL, 0, NULL, 0);
    child_ok(talk.leg, WIRE_SET_OWNER);
    talk_end(&talk);
}

int main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, rig_setup, rig_teardown)
    const struct CMUnitTest tests[] = {
        T(questions_and_answers_go_both_ways),
        T(pictures_of_any_size_come_through),
        T(a_dmabuf_goes_with_its_message),
        T(a_torn_message_is_ended),
        T(a_display_that_does_not_read_stops_the_child),
        T(answers_to_a_dead_child_are_dropped),
        T(a_display_that_goes_is_told_to_the_child),
        T(what_is_no_message_ends_the_display_alone),
        T(a_reply_to_nothing_ends_the_display),
        T(a_child_that_does_not_listen_stops_the_display),
        T(a_display_is_handed_on_between_two_messages),
        T(a_display_that_owes_an_answer_is_left_behind),
        T(a_device_without_a_display_says_so),
    };

    return cmocka_run_group_tests_name("relay_display", tests, NULL, NULL);
}
