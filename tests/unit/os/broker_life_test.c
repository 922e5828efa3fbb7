/* What a broker makes of those who do not keep to its protocol, and the
 * processes that it makes; and how it goes without one. */
#include "asker.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/socket.h>

#include "os/linux/broker_own.h"
#include "os/sock.h"

/* ---- one that does not keep to the protocol ---- */

/* What asks, below the functions: the broker ends the answer's socket. */
static void expect_no_answer(int questions, const void *bytes, size_t len)
{
    int pair[2];
    char byte;

    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    NEED(broker_send(questions, bytes, len, &pair[1], 1) == 0);
    close(pair[1]);
    NEED(read(pair[0], &byte, 1) == 0);
    close(pair[0]);
}

static void try_nonsense(void *arg)
{
    static struct broker_question q;
    const size_t head = offsetof(struct broker_question, text);
    pid_t own = getpid();
    char many[2 * sizeof(q)];
    int pair[2];

    (void)arg;
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) == 0);
    if (fork() == 0)
        broker_serve(pair[1], &rules, own);
    close(pair[1]);
    memset(&q, 'x', sizeof(q));
    memset(many, 'x', sizeof(many));
    expect_no_answer(pair[0], &q, 1);
    expect_no_answer(pair[0], &q, head);
    expect_no_answer(pair[0], &q, head + 1); /* no NUL */
    expect_no_answer(pair[0], &q, sizeof(q));
    expect_no_answer(pair[0], many, sizeof(many));
    q.op = BROKER_RENAME;
    memcpy(q.text, "/a", 3);
    expect_no_answer(pair[0], &q, head + 3); /* to where? */
    q.op = BROKER_OPEN;
    memcpy(q.text, "/a\0/b", 6);
    expect_no_answer(pair[0], &q, head + 6); /* one too many */
    /* Answer to whom? */
    NEED(broker_send(pair[0], &q, head + 3, NULL, 0) == 0);
    expect_no_answer(pair[0], &q, 1);
    close(pair[0]);
    NEED(wait(NULL) > 0);
}

static void try_copies(void *arg)
{
    struct err e;
    int below = dup(0);

    (void)arg;
    NEED(broker_start(&rules, &e) == 0);
    for (int fd = 0; fd <= below + 4; fd++)
        if (dup(fd) < 0)
            continue; /* there is none of that number */
    broker_stop();
}

static void copies_of_its_socket_do_not_keep_it(void **state)
{
    (void)state;
    in_child(try_copies, NULL);
}

static void nonsense_is_not_answered(void **state)
{
    (void)state;
    in_child(try_nonsense, NULL);
}

/* ---- without one ---- */

static void without_a_broker_all_is_done_here(void **state)
{
    struct err e;
    int fd = broker_open(in_dir("out/plain"), O_RDWR | O_CREAT, 0600);

    (void)state;
    assert_true(fd >= 0);
    close(fd);
    assert_int_equal(broker_rename(in_dir("out/plain"), in_dir("out/p2")), 0);
    assert_int_equal(broker_unlink(in_dir("out/p2")), 0);
    fd = broker_open(in_dir("out/p2"), O_RDONLY, 0);
    assert_int_equal(fd, -ENOENT);
    broker_fail(&e, fd, "open", "it");
    assert_string_equal(e.text, "cannot open it: No such file or directory");
    assert_false(broker_runs());
    broker_stop();
}

/* ---- processes that go on ---- */

static int go_on(const struct sandbox_rules *r, const char *id, bool again,
                 const int *fds)
{
    char word[8] = "";

    NEED(r == &rules);
    NEED(write(fds[0], id, strlen(id)) == (ssize_t)strlen(id));
    NEED(write(fds[0], again ? "+" : "-", 1) == 1);
    NEED(read(fds[1], word, sizeof(word)) >= 0); /* until its end */
    return word[0];
}

static enum broker_news news(int line, int *value)
{
    enum broker_news what;

    do
        NEED(sock_wait(line, false, 20000) == 0);
    while ((what = broker_spawned(line, value)) == BROKER_NOTHING);
    return what;
}

/* *end: of a connection to it, by which it hears when to end. */
static int start_one(bool again, int *pid, int *end)
{
    char said[16] = "";
    int pair[2], line;

    NEED(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) == 0);
    {
        const int fds[BROKER_SPAWN_FDS] = {pair[1], pair[1], pair[1],
                                           STDERR_FILENO};

        line = broker_spawn("disk", again, fds);
    }
    NEED(line >= 0);
    close(pair[1]);
    NEED(news(line, pid) == BROKER_IS_THERE && *pid > 0);
    NEED(recv(pair[0], said, 5, MSG_WAITALL) == 5);
    NEED(strcmp(said, again ? "disk+" : "disk-") == 0);
    *end = pair[0];
    return line;
}

static void try_spawning(void *arg)
{
    int line, other, pid, end, other_end, value;
    struct err e;
    char byte;

    (void)arg;
    rules.spawn = go_on;
    rules.only_spawns = true;
    NEED(broker_start(&rules, &e) == 0);
    NEED(!broker_runs()); /* nothing else is asked of it */
    line = start_one(true, &pid, &end);
    other = start_one(false, &pid, &other_end);
    NEED(write(end, "\7", 1) == 1);
    NEED(news(line, &value) == BROKER_ENDED && value == 7);
    close(line);
    close(end);
    broker_kill(other);
    NEED(news(other, &value) == BROKER_ENDED && value == 128 + SIGKILL);
    close(other);
    close(other_end);
    /* Nobody wants to hear of it any more. */
    line = start_one(false, &pid, &end);
    close(line);
    NEED(read(end, &byte, 1) == 0);
    close(end);
    /* Nor does anybody live on without its keeper. */
    start_one(false, &pid, &end);
    broker_stop();
    NEED(read(end, &byte, 1) == 0);
    close(end);
}

/* Whoever asks gives the socket, on which it need not listen. */
static void try_full_lines(void *arg)
{
    struct broker_question q = {.op = BROKER_SPAWN, .text = "disk"};
    const size_t len = offsetof(struct broker_question, text) + 5;
    int questions[2], full[2], free_one[2], fds[BROKER_FDS_MAX], value;
    pid_t own = getpid();

    (void)arg;
    rules.spawn = go_on;
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, questions) == 0);
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, full) == 0);
    NEED(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, free_one) == 0);
    while (send(full[1], &q, sizeof(q), MSG_DONTWAIT) > 0)
        continue;
    if (fork() == 0) {
        close(full[0]);
        broker_serve(questions[1], &rules, own);
    }
    for (unsigned i = 0; i < BROKER_FDS_MAX; i++)
        fds[i] = open("/dev/null", O_RDWR);
    fds[0] = full[1];
    NEED(broker_send(questions[0], &q, len, fds, BROKER_FDS_MAX) == 0);
    fds[0] = free_one[1];
    NEED(broker_send(questions[0], &q, len, fds, BROKER_FDS_MAX) == 0);
    NEED(news(free_one[0], &value) == BROKER_IS_THERE);
    close(questions[0]);
    close(questions[1]);
}

static void who_does_not_listen_does_not_stop_it(void **state)
{
    (void)state;
    in_child(try_full_lines, NULL);
}

static void processes_go_on_and_are_told_of(void **state)
{
    (void)state;
    in_child(try_spawning, NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(copies_of_its_socket_do_not_keep_it),
        cmocka_unit_test(nonsense_is_not_answered),
        cmocka_unit_test(processes_go_on_and_are_told_of),
        cmocka_unit_test(who_does_not_listen_does_not_stop_it),
        cmocka_unit_test(without_a_broker_all_is_done_here),
    };

    return cmocka_run_group_tests(tests, make_dirs, remove_dirs);
}
