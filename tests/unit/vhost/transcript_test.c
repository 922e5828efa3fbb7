/* What a transcript keeps of what is said, and what it tells. */
#include <dirent.h>
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "os/memory.h"
#include "vhost/transcript.h"
#include "virtio/device.h"
#include "virtio/mem.h"
#include "virtio/spec.h"

#define PF FEATURE(VHOST_USER_F_PROTOCOL_FEATURES)

/* ---- saying ---- */

/* The payload is p's; an fd for each of num_fds, closed again. */
static struct msg make(uint32_t request, union msg_payload p, uint32_t bytes,
                       unsigned num_fds)
{
    struct msg m = {.header = {request, MSG_VERSION, bytes},
                    .payload = p,
                    .num_fds = num_fds};
    struct err e;

    for (unsigned i = 0; i < num_fds; i++)
        assert_int_equal(memory_create("test", 4096, &m.fds[i], &e), 0);
    return m;
}

static void close_fds(struct msg *m)
{
    for (unsigned i = 0; i < m->num_fds; i++)
        close(m->fds[i]);
}

static void say(struct transcript *t, uint32_t request, union msg_payload p,
                uint32_t bytes, unsigned num_fds)
{
    struct msg m = make(request, p, bytes, num_fds);

    assert_int_equal(transcript_hear(t, &m), 0);
    close_fds(&m);
    transcript_done(t, NULL);
}

static void say_u64(struct transcript *t, uint32_t request, uint64_t value,
                    unsigned num_fds)
{
    say(t, request, (union msg_payload){.u64 = value}, 8, num_fds);
}

static void say_state(struct transcript *t, uint32_t request, uint32_t index,
                      uint32_t num)
{
    say(t, request, (union msg_payload){.state = {index, num}}, 8, 0);
}

static void say_region(struct transcript *t, uint32_t request, uint64_t gpa)
{
    const union msg_payload p = {.reg.region = {gpa, 4096, gpa + 1, 0}};

    say(t, request, p, sizeof(p.reg), request == MSG_ADD_MEM_REG);
}

static void say_table(struct transcript *t, uint64_t gpa, unsigned num)
{
    union msg_payload p = {.table = {.num = num}};

    for (unsigned i = 0; i < num; i++)
        p.table.regions[i] =
            (struct msg_region){gpa + i * 4096, 4096, gpa + i * 4096 + 1, 0};
    say(t, MSG_SET_MEM_TABLE, p,
        (uint32_t)(8 + num * sizeof(struct msg_region)), num);
}

static void say_config(struct transcript *t, uint32_t offset, uint32_t size,
                       uint8_t value, uint32_t flags)
{
    union msg_payload p = {.config = {offset, size, flags, {0}}};

    memset(p.config.bytes, value, size);
    say(t, MSG_SET_CONFIG, p, (uint32_t)MSG_CONFIG_HEADER + size, 0);
}

/* A ring that runs. */
static void say_ring(struct transcript *t, unsigned i)
{
    const union msg_payload addr = {
        .addr = {.index = i, .desc = 4096, .used = 8192, .avail = 12288}};

    say_state(t, MSG_SET_VRING_NUM, i, 128);
    say_state(t, MSG_SET_VRING_BASE, i, 7);
    say(t, MSG_SET_VRING_ADDR, addr, sizeof(addr.addr), 0);
    say_u64(t, MSG_SET_VRING_KICK, i, 1);
    say_u64(t, MSG_SET_VRING_CALL, i, 1);
    say_state(t, MSG_SET_VRING_ENABLE, i, 1);
}

/* ---- looking ---- */

/* "SET_FEATURES SET_VRING_NUM ..." */
static void need_told(struct transcript *t, const char *want)
{
    char all[4096] = "", name[32];

    for (unsigned i = 0; i < transcript_count(t); i++) {
        size_t len = strlen(all);

        snprintf(all + len, sizeof(all) - len, "%s%s", len ? " " : "",
                 msg_name(transcript_at(t, i)->header.request, name));
    }
    assert_string_equal(all, want);
}

/* The one message of its kind. */
static const struct msg *only(struct transcript *t, uint32_t request)
{
    const struct msg *m = NULL;
    unsigned at = 0, found = 0;

    for (unsigned i = 0; i < transcript_count(t); i++)
        if (transcript_at(t, i)->header.request == request) {
            at = i;
            found++;
        }
    assert_int_equal(found, 1);
    m = transcript_at(t, at);
    assert_int_equal(m->header.flags, MSG_VERSION);
    return m;
}

static struct transcript *copy(struct transcript *t)
{
    struct transcript *u = transcript_new(NULL);

    assert_non_null(u);
    for (unsigned i = 0; i < transcript_count(t); i++) {
        assert_int_equal(transcript_hear(u, transcript_at(t, i)), 0);
        transcript_done(u, NULL);
    }
    return u;
}

static bool same_file(int a, int b)
{
    struct stat x, y;

    return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev &&
           x.st_ino == y.st_ino;
}

/* Both tell the same. */
static void need_same(struct transcript *t, struct transcript *u)
{
    assert_int_equal(transcript_count(t), transcript_count(u));
    for (unsigned i = 0; i < transcript_count(t); i++) {
        const struct msg *a = transcript_at(t, i), *b = transcript_at(u, i);

        assert_memory_equal(&a->header, &b->header, sizeof(a->header));
        assert_memory_equal(&a->payload, &b->payload, a->header.size);
        assert_int_equal(a->num_fds, b->num_fds);
        for (unsigned k = 0; k < a->num_fds; k++)
            assert_true(same_file(a->fds[k], b->fds[k]));
    }
}

static unsigned open_fds(void)
{
    DIR *d = opendir("/proc/self/fd");
    unsigned count = 0;

    while (readdir(d))
        count++;
    closedir(d);
    return count;
}

/* ---- the session ---- */

static void nothing_said_is_nothing_told(void **state)
{
    struct transcript *t = transcript_new(NULL);

    (void)state;
    need_told(t, "");
    assert_false(transcript_runs(t));
    assert_int_equal(transcript_features(t), 0);
    transcript_free(t);
    transcript_free(NULL);
}

static void questions_leave_nothing(void **state)
{
    static const uint32_t questions[] = {
        MSG_GET_FEATURES,  MSG_SET_OWNER,        MSG_GET_PROTOCOL_FEATURES,
        MSG_GET_QUEUE_NUM, MSG_GET_CONFIG,       MSG_GET_INFLIGHT_FD,
        MSG_SET_LOG_FD,    MSG_GET_MAX_MEM_SLOTS};
    struct transcript *t = transcript_new(NULL);
    unsigned fds = open_fds();

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(questions); i++)
        say_u64(t, questions[i], 0, questions[i] == MSG_SET_LOG_FD);
    need_told(t, "");
    assert_int_equal(open_fds(), fds);
    transcript_free(t);
}

static void what_was_said_last_is_told_in_order(void **state)
{
    struct transcript *t = transcript_new(NULL), *u;
    const union msg_payload log = {.log = {4096, 8}};
    const union msg_payload record = {.inflight = {4096, 0, 2, 128, 0}};

    (void)state;
    say_u64(t, MSG_GPU_SET_SOCKET, 0, 1);
    say_ring(t, 1);
    say_ring(t, 0);
    say_config(t, 4, 4, 1, 0);
    say(t, MSG_SET_INFLIGHT_FD, record, MSG_INFLIGHT_BYTES, 1);
    say_table(t, 0, 2);
    say(t, MSG_SET_LOG_BASE, log, sizeof(log.log), 1);
    say_u64(t, MSG_SET_FEATURES, PF | 1, 0);
    say_u64(t, MSG_SET_FEATURES, PF | 3, 0);
    say_u64(t, MSG_SET_BACKEND_REQ_FD, 0, 1);
    say_u64(t, MSG_SET_PROTOCOL_FEATURES, 9, 0);
    need_told(t, "SET_PROTOCOL_FEATURES SET_BACKEND_REQ_FD SET_LOG_BASE "
                 "SET_FEATURES SET_MEM_TABLE SET_INFLIGHT_FD SET_CONFIG "
                 "SET_VRING_NUM SET_VRING_BASE SET_VRING_ADDR SET_VRING_CALL "
                 "SET_VRING_ENABLE SET_VRING_KICK "
                 "SET_VRING_NUM SET_VRING_BASE SET_VRING_ADDR SET_VRING_CALL "
                 "SET_VRING_ENABLE SET_VRING_KICK GPU_SET_SOCKET");
    assert_int_equal(only(t, MSG_SET_FEATURES)->payload.u64, PF | 3);
    assert_int_equal(transcript_features(t), PF | 3);
    assert_int_equal(transcript_protocol(t), 9);
    assert_int_equal(only(t, MSG_SET_INFLIGHT_FD)->header.size,
                     MSG_INFLIGHT_BYTES);
    assert_true(transcript_runs(t));
    u = copy(t);
    need_same(t, u);
    transcript_forget_display(u);
    assert_int_equal(transcript_count(u), transcript_count(t) - 1);
    transcript_free(u);
    transcript_free(t);
}

static void what_is_undone_was_not_said(void **state)
{
    struct transcript *t = transcript_new(NULL);
    unsigned fds = open_fds();
    struct msg m =
        make(MSG_SET_VRING_KICK, (union msg_payload){.u64 = 0}, 8, 1);

    (void)state;
    assert_int_equal(transcript_hear(t, &m), 0);
    close_fds(&m);
    transcript_undone(t);
    transcript_undone(t);
    transcript_done(t, NULL);
    need_told(t, "");
    assert_int_equal(open_fds(), fds);
    transcript_free(t);
}

static void features_that_were_not_offered_do_not_count(void **state)
{
    struct transcript *t = transcript_new(NULL);
    struct msg m = make(MSG_SET_FEATURES, (union msg_payload){.u64 = 15}, 8, 0);

    (void)state;
    assert_int_equal(transcript_hear(t, &m), 0);
    transcript_narrow(t, 6);
    transcript_done(t, NULL);
    assert_int_equal(only(t, MSG_SET_FEATURES)->payload.u64, 6);
    transcript_free(t);
}

static void fds_are_copies(void **state)
{
    struct transcript *t = transcript_new(NULL);
    struct msg m =
        make(MSG_SET_VRING_CALL, (union msg_payload){.u64 = 0}, 8, 1);
    unsigned fds = open_fds();

    (void)state;
    assert_int_equal(transcript_hear(t, &m), 0);
    transcript_done(t, NULL);
    assert_true(same_file(only(t, MSG_SET_VRING_CALL)->fds[0], m.fds[0]));
    assert_int_equal(open_fds(), fds + 1);
    say_u64(t, MSG_SET_VRING_CALL, 0, 1); /* in its place */
    assert_false(same_file(only(t, MSG_SET_VRING_CALL)->fds[0], m.fds[0]));
    assert_int_equal(open_fds(), fds + 1);
    say_u64(t, MSG_SET_VRING_CALL, MSG_VRING_NOFD, 0);
    assert_int_equal(open_fds(), fds);
    assert_int_equal(only(t, MSG_SET_VRING_CALL)->payload.u64, MSG_VRING_NOFD);
    close_fds(&m);
    transcript_free(t);
}

static void a_message_whose_fds_cannot_be_copied_is_not_heard(void **state)
{
    struct transcript *t = transcript_new(NULL);
    union msg_payload p = {.table.num = 2};
    struct msg m = make(MSG_SET_MEM_TABLE, p, 72, 2);
    struct rlimit limit, few;
    unsigned fds = open_fds();
    int lowest = dup(0);

    (void)state;
    close(lowest);
    say_table(t, 0, 1);
    getrlimit(RLIMIT_NOFILE, &limit);
    few = limit;
    few.rlim_cur = (rlim_t)lowest + 2; /* one is the table's */
    setrlimit(RLIMIT_NOFILE, &few);
    assert_int_equal(transcript_hear(t, &m), -EMFILE);
    setrlimit(RLIMIT_NOFILE, &limit);
    transcript_done(t, NULL); /* of nothing */
    assert_int_equal(only(t, MSG_SET_MEM_TABLE)->payload.table.num, 1);
    assert_int_equal(open_fds(), fds + 1);
    close_fds(&m);
    transcript_free(t);
}

/* ---- memory ---- */

static void a_table_takes_the_place_of_all_memory(void **state)
{
    struct transcript *t = transcript_new(NULL);
    unsigned fds = open_fds();

    (void)state;
    say_table(t, 0, 8);
    say_region(t, MSG_ADD_MEM_REG, 1 << 20);
    assert_int_equal(open_fds(), fds + 9);
    need_told(t, "SET_MEM_TABLE ADD_MEM_REG");
    say_table(t, 1 << 21, 3);
    need_told(t, "SET_MEM_TABLE");
    assert_int_equal(open_fds(), fds + 3);
    assert_int_equal(only(t, MSG_SET_MEM_TABLE)->payload.table.regions[2].gpa,
                     (1 << 21) + 8192);
    say_table(t, 0, 0);
    need_told(t, "");
    transcript_free(t);
}

static void a_region_that_is_removed_is_not_told(void **state)
{
    struct transcript *t = transcript_new(NULL), *u;
    const struct msg *m;

    (void)state;
    for (uint64_t i = 0; i < 10; i++)
        say_region(t, MSG_ADD_MEM_REG, i << 20);
    say_region(t, MSG_REM_MEM_REG, 4 << 20);
    say_region(t, MSG_REM_MEM_REG, 77 << 20); /* there is none */
    need_told(t, "SET_MEM_TABLE ADD_MEM_REG");
    m = only(t, MSG_SET_MEM_TABLE);
    assert_int_equal(m->num_fds, 8);
    assert_int_equal(m->payload.table.regions[3].gpa, 3 << 20);
    assert_int_equal(m->payload.table.regions[4].gpa, 5 << 20);
    u = copy(t);
    need_same(t, u);
    transcript_free(u);
    transcript_free(t);
}

/* ---- rings ---- */

static void a_ring_that_has_stopped_is_told_where(void **state)
{
    struct transcript *t = transcript_new(NULL);
    struct msg m =
        make(MSG_GET_VRING_BASE, (union msg_payload){.state = {1, 0}}, 8, 0);
    struct msg reply =
        make(MSG_GET_VRING_BASE, (union msg_payload){.state = {1, 99}}, 8, 0);
    unsigned fds = open_fds();

    (void)state;
    say_ring(t, 1);
    assert_int_equal(transcript_hear(t, &m), 0);
    transcript_done(t, &reply);
    need_told(t, "SET_VRING_NUM SET_VRING_BASE SET_VRING_ADDR SET_VRING_CALL "
                 "SET_VRING_ENABLE");
    assert_int_equal(only(t, MSG_SET_VRING_BASE)->payload.state.num, 99);
    assert_int_equal(open_fds(), fds + 1);
    transcript_set_base(t, 1, 1234);
    assert_int_equal(only(t, MSG_SET_VRING_BASE)->payload.state.num, 1234);
    assert_false(transcript_runs(t));
    transcript_set_base(t, DEVICE_MAX_QUEUES, 1); /* there is none */
    transcript_free(t);
}

static void a_reset_leaves_what_belongs_to_the_connection(void **state)
{
    const union msg_payload record = {.inflight = {4096, 0, 2, 128, 0}};
    struct transcript *t = transcript_new(NULL);

    (void)state;
    say_u64(t, MSG_SET_PROTOCOL_FEATURES, 9, 0);
    say_u64(t, MSG_SET_FEATURES, PF, 0);
    say_table(t, 0, 1);
    say(t, MSG_SET_INFLIGHT_FD, record, MSG_INFLIGHT_BYTES, 1);
    say_config(t, 0, 4, 1, 0);
    say_ring(t, 0);
    say(t, MSG_RESET_DEVICE, (union msg_payload){.u64 = 0}, 0, 0);
    need_told(t, "SET_PROTOCOL_FEATURES SET_FEATURES SET_MEM_TABLE "
                 "SET_VRING_CALL");
    transcript_free(t);
}

/* ENABLE of a ring as a back-end would have it that is told all this. */
static bool is_enabled(struct transcript *t, unsigned ring)
{
    bool enabled = false;

    for (unsigned i = 0; i < transcript_count(t); i++) {
        const struct msg *m = transcript_at(t, i);

        if (m->header.request == MSG_SET_FEATURES && !(m->payload.u64 & PF))
            enabled = true;
        if (m->header.request == MSG_RESET_OWNER)
            enabled = false;
        if (m->header.request == MSG_SET_VRING_ENABLE &&
            m->payload.state.index == ring)
            enabled = m->payload.state.num;
    }
    return enabled;
}

/* Spec: vhost-user, "Ring states". */
static void rings_are_enabled_as_they_were(void **state)
{
    (void)state;
    for (unsigned n = 0; n < 5 * 5 * 5 * 5; n++) {
        struct transcript *t = transcript_new(NULL), *u;
        bool enabled = false;

        for (unsigned step = n, i = 0; i < 4; i++, step /= 5) {
            switch (step % 5) {
            case 0:
                say_u64(t, MSG_SET_FEATURES, PF, 0);
                break;
            case 1:
                say_u64(t, MSG_SET_FEATURES, 0, 0);
                enabled = true;
                break;
            case 2:
                say_u64(t, MSG_RESET_OWNER, 0, 0);
                enabled = false;
                break;
            case 3:
            case 4:
                enabled = step % 5 == 4;
                say_state(t, MSG_SET_VRING_ENABLE, 2, enabled);
                break;
            }
        }
        /* The last word on features is said at the end, too. */
        assert_int_equal(is_enabled(t, 2), enabled);
        u = copy(t);
        need_same(t, u);
        transcript_free(u);
        transcript_free(t);
    }
}

/* ---- config ---- */

static void bytes_of_the_config_space_are_told_once(void **state)
{
    struct transcript *t = transcript_new(NULL);
    const struct msg *m;

    (void)state;
    say_config(t, 0, 8, 1, 0);
    say_config(t, 4, 8, 2, 0);
    m = only(t, MSG_SET_CONFIG);
    assert_int_equal(m->payload.config.offset, 0);
    assert_int_equal(m->payload.config.size, 12);
    assert_int_equal(m->header.size, MSG_CONFIG_HEADER + 12);
    assert_int_equal(m->payload.config.bytes[3], 1);
    assert_int_equal(m->payload.config.bytes[4], 2);
    say_config(t, 2, 4, 3, 1); /* for a migration */
    need_told(t, "SET_CONFIG SET_CONFIG SET_CONFIG");
    say_config(t, 255, 1, 3, 1);
    need_told(t, "SET_CONFIG SET_CONFIG SET_CONFIG SET_CONFIG");
    transcript_free(t);
}

/* ---- strangers ---- */

static uint64_t seed = 1;

static uint32_t any(uint32_t below)
{
    seed = seed * 6364136223846793005u + 1442695040888963407u;
    return (uint32_t)((seed >> 33) % below);
}

static void it_does_not_grow_whatever_is_said(void **state)
{
    const unsigned most =
        MEM_REGIONS_MAX + DEVICE_MAX_QUEUES * 7 + MSG_CONFIG_BYTES_MAX + 10;
    struct transcript *t = transcript_new(NULL), *u;
    unsigned fds = open_fds();

    (void)state;
    for (unsigned n = 0; n < 200000; n++) {
        union msg_payload p;
        uint32_t words[sizeof(p) / 4];
        uint32_t request = any(5) ? any(MSG_REM_MEM_REG + 2) : MSG_ADD_MEM_REG;
        unsigned num_fds = any(3) == 0 ? any(12) : any(2);

        for (unsigned i = 0; i < ARRAY_LEN(words); i++)
            words[i] = any(3) ? any(300) : any(UINT32_MAX);
        memcpy(&p, words, sizeof(p));
        if (request == MSG_SET_MEM_TABLE)
            p.table.num = any(4) ? num_fds : any(20);
        say(t, request, p, any(sizeof(p)), num_fds);
    }
    assert_true(transcript_count(t) <= most);
    assert_true(open_fds() <= fds + most);
    u = copy(t);
    transcript_free(u);
    transcript_free(t);
    assert_int_equal(open_fds(), fds);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_said_is_nothing_told),
        cmocka_unit_test(questions_leave_nothing),
        cmocka_unit_test(what_was_said_last_is_told_in_order),
        cmocka_unit_test(what_is_undone_was_not_said),
        cmocka_unit_test(features_that_were_not_offered_do_not_count),
        cmocka_unit_test(fds_are_copies),
        cmocka_unit_test(a_message_whose_fds_cannot_be_copied_is_not_heard),
        cmocka_unit_test(a_table_takes_the_place_of_all_memory),
        cmocka_unit_test(a_region_that_is_removed_is_not_told),
        cmocka_unit_test(a_ring_that_has_stopped_is_told_where),
        cmocka_unit_test(a_reset_leaves_what_belongs_to_the_connection),
        cmocka_unit_test(rings_are_enabled_as_they_were),
        cmocka_unit_test(bytes_of_the_config_space_are_told_once),
        cmocka_unit_test(it_does_not_grow_whatever_is_said),
    };

    if (argc > 1)
        cmocka_set_test_filter(argv[1]);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
