/* What a drain gives up and what it leaves alone, and requests that are too
 * long for one turn of the loop. The linker puts __wrap_file_sync in the place
 * of file_sync. */
#include "rig.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "os/file.h"

#define MEMORY "{'type': 'memory', 'size': '512M'}"
#define DISK_BYTES (512u << 20)
#define STUCK(next)                                                            \
    "{'type': 'fault', 'rules': [{'op': 'read', 'stuck': true}],"              \
    " 'next': " next "}"

static struct ask *new_ask(const void *owner, enum store_op op, unsigned flags,
                           void *buf, uint64_t len)
{
    struct ask *a = malloc(sizeof(*a));

    assert_non_null(a);
    rig_ask(a, op, flags, 0, buf, len, len);
    a->req.owner = owner;
    return a;
}

/* Asks for owner, and does not wait. */
static struct ask *ask_for(struct rig *rig, const void *owner, enum store_op op,
                           unsigned flags, void *buf, uint64_t len)
{
    struct ask *a = new_ask(owner, op, flags, buf, len);

    rig_submit(rig, a);
    return a;
}

static void expect(struct ask *a, int result)
{
    assert_true(a->done);
    assert_int_equal(a->req.result, result);
    free(a);
}

static void stuck_requests_of_others_stay(void **state)
{
    static const char *const configs[] = {
        STUCK(MEMORY), STUCK(STUCK(MEMORY)),
        "{'type': 'fault', 'next': " STUCK(MEMORY) "}"};
    static char buf[4096];
    struct rig *rig = *state;

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct ask *one, *two, *three;
        int mine, theirs;

        rig_open_with(rig, configs[i]);
        one = ask_for(rig, &mine, STORE_READ, 0, buf, 512);
        two = ask_for(rig, &theirs, STORE_READ, 0, buf, 512);
        three = ask_for(rig, &mine, STORE_READ, 0, buf, 512);
        store_drain(rig->ch, &mine, false);
        assert_false(one->done);
        store_drain(rig->ch, &mine, true);
        expect(one, -EIO);
        expect(three, -EIO);
        assert_false(two->done);
        assert_int_equal(rig->ch->pending, 1);
        store_drain(rig->ch, &theirs, true);
        expect(two, -EIO);
        rig_close(rig);
    }
}

static void half_done_work_of_others_goes_on(void **state)
{
    struct rig *rig = *state;
    struct ask *one, *two;
    char *buf = malloc(4096);
    int mine, theirs;

    rig_open_with(rig, MEMORY);
    memset(buf, 1, 4096);
    for (uint64_t at = 0; at < DISK_BYTES; at += 1 << 20)
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, at, buf, 4096), 0);
    one = ask_for(rig, &mine, STORE_ZERO, 0, NULL, DISK_BYTES);
    two = ask_for(rig, &theirs, STORE_ZERO, 0, NULL, DISK_BYTES / 2);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    store_drain(rig->ch, &mine, false);
    assert_false(one->done);
    store_drain(rig->ch, &mine, true);
    expect(one, -EIO);
    assert_int_equal(rig_wait(rig, two), 0);
    free(two);
    /* Done so far as it was done, and no further. */
    assert_int_equal(
        rig_do(rig, STORE_READ, 0, DISK_BYTES - (1 << 20), buf, 4096), 0);
    assert_int_equal(buf[0], 1);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4096), 0);
    assert_int_equal(buf[0], 0);
    free(buf);
}

/* All of the disk through 4 MiB of memory, as a guest's descriptors may have
 * it. */
static struct ask *all_of_it(struct rig *rig, enum store_op op, void *buf)
{
    const uint64_t piece = 4 << 20;
    struct ask *a = malloc(sizeof(*a));

    assert_non_null(a);
    rig_ask(a, op, 0, 0, buf, DISK_BYTES, piece);
    for (int i = 0; i < a->req.iov_num; i++)
        a->iov[i].iov_base = buf;
    a->req.owner = rig;
    rig_submit(rig, a);
    return a;
}

/* The last one of a channel: nothing of it is on its way then. */
static void a_channel_may_close_right_after_a_drain(void **state)
{
    static const char *const configs[] = {
        MEMORY, "{'type': 'fault', 'next': " MEMORY "}",
        "{'type': 'null', 'size': '512M', 'read_zeros': true}"};
    struct rig *rig = *state;
    char *buf = malloc(4 << 20);

    for (unsigned i = 0; i < ARRAY_LEN(configs); i++) {
        struct ask *a;

        rig_open_with(rig, configs[i]);
        a = all_of_it(rig, STORE_READ, buf);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
        assert_false(a->done);
        store_drain(rig->ch, rig, true);
        expect(a, -EIO);
        rig_close(rig);
        uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    }
    free(buf);
}

static int turns;

static void on_check(uv_check_t *h)
{
    (void)h;
    turns++;
}

/* Turns of the loop that a request takes. */
static int turns_of(struct rig *rig, struct ask *a)
{
    uv_check_t check;
    int rc;

    turns = 0;
    uv_check_init(&rig->loop.uv, &check);
    uv_check_start(&check, on_check);
    rc = rig_wait(rig, a);
    uv_close((uv_handle_t *)&check, NULL);
    uv_run(&rig->loop.uv, UV_RUN_NOWAIT);
    assert_int_equal(rc, 0);
    free(a);
    return turns;
}

/* How many is a matter of time; half a gigabyte is more than four turns'
 * work for any machine. */
static void what_is_long_takes_many_turns(void **state)
{
    struct rig *rig = *state;
    const uint64_t len = DISK_BYTES;
    char *buf = calloc(1, 4 << 20);

    rig_open_with(rig, MEMORY);
    assert_true(turns_of(rig, all_of_it(rig, STORE_WRITE, buf)) > 4);
    assert_true(turns_of(rig, all_of_it(rig, STORE_READ, buf)) > 4);
    assert_int_equal(
        turns_of(rig, ask_for(rig, NULL, STORE_READ, 0, buf, 1 << 20)), 0);
    assert_true(turns_of(rig, ask_for(rig, NULL, STORE_ZERO, 0, NULL, len)) >
                4);
    assert_true(turns_of(rig, ask_for(rig, NULL, STORE_ZERO, STORE_UNMAP, NULL,
                                      len)) > 0);
    assert_true(turns_of(rig, ask_for(rig, NULL, STORE_DISCARD, 0, NULL, len)) >
                0);
    assert_int_equal(
        turns_of(rig, ask_for(rig, NULL, STORE_ZERO, 0, NULL, 4096)), 0);
    rig_close(rig);

    rig_open_with(rig, "{'type': 'null', 'size': '512M', 'read_zeros': true}");
    memset(buf, 1, 4 << 20);
    assert_true(turns_of(rig, all_of_it(rig, STORE_READ, buf)) > 4);
    assert_true(rig_is_zero(buf, 4 << 20));
    assert_int_equal(
        turns_of(rig, ask_for(rig, NULL, STORE_READ, 0, buf, 1 << 20)), 0);
    rig_close(rig);

    rig_open_with(rig, "{'type': 'null', 'size': '512M'}");
    assert_int_equal(turns_of(rig, all_of_it(rig, STORE_READ, buf)), 0);
    assert_int_equal(
        turns_of(rig, ask_for(rig, NULL, STORE_ZERO, 0, NULL, len)), 0);
    free(buf);
}

/* Pieces of any length, and several requests in turn. */
static void steps_keep_their_place(void **state)
{
    static const uint64_t pieces[] = {8000, 1234567, 4 << 20, 5000001};
    struct rig *rig = *state;
    const uint64_t len = 16 << 20;
    char *buf = malloc(len);
    struct ask *a[ARRAY_LEN(pieces)];

    rig_open_with(rig, MEMORY);
    rig_pattern(buf, len, 0, 5);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        a[i] = malloc(sizeof(*a[i]));
        rig_ask(a[i], STORE_WRITE, 0, i * len, buf, len, pieces[i]);
        rig_submit(rig, a[i]);
        assert_false(a[i]->done);
    }
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++)
        assert_int_equal(rig_wait(rig, a[i]), 0);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        memset(buf, 0, len);
        rig_ask(a[i], STORE_READ, 0, i * len, buf, len, pieces[3 - i]);
        rig_submit(rig, a[i]);
        assert_int_equal(rig_wait(rig, a[i]), 0);
        assert_true(rig_is_pattern(buf, len, 0, 5));
        free(a[i]);
    }
    free(buf);
}

/* More than there are bounce buffers: some wait, and are given up; those that
 * are sent are waited for, but no further pieces are. */
static void what_waits_for_a_buffer_is_given_up(void **state)
{
    struct rig *rig = *state;
    char *buf = malloc((1 << 20) + 1);
    struct ask *mine[100], *theirs[10];
    unsigned given_up = 0;
    int me, they;

    rig_file(rig, "disk", 2 << 20);
    if (rig_open(rig,
                 "{'type': 'file', 'path': '@/disk', 'direct': true,"
                 " 'engine': 'threads'}",
                 false) < 0) {
        free(buf);
        skip();
    }
    rig_channel(rig, false);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        mine[i] = ask_for(rig, &me, STORE_READ, 0, buf + 1, 1 << 20);
    for (unsigned i = 0; i < ARRAY_LEN(theirs); i++)
        theirs[i] = ask_for(rig, &they, STORE_READ, 0, buf + 1, 4096);
    store_drain(rig->ch, &me, false);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        given_up += mine[i]->done;
    assert_int_equal(given_up, 0);
    store_drain(rig->ch, &me, true);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        given_up += mine[i]->done;
    assert_true(given_up >= ARRAY_LEN(mine) - 64);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++) {
        assert_int_equal(rig_wait(rig, mine[i]), -EIO);
        free(mine[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(theirs); i++) {
        assert_int_equal(rig_wait(rig, theirs[i]), 0);
        free(theirs[i]);
    }
    free(buf);
}

int __real_file_sync(int fd);
int __wrap_file_sync(int fd);

static pthread_mutex_t medium = PTHREAD_MUTEX_INITIALIZER;
static unsigned syncs; /* begun */

int __wrap_file_sync(int fd)
{
    __atomic_add_fetch(&syncs, 1, __ATOMIC_RELEASE);
    pthread_mutex_lock(&medium);
    pthread_mutex_unlock(&medium);
    return __real_file_sync(fd);
}

/* Every thread has one that does not end; others wait for a thread. */
static void what_waits_for_a_thread_is_given_up(void **state)
{
    struct rig *rig = *state;
    struct ask *mine[8], *theirs[2];
    int me, they;

    rig_file(rig, "disk", 1 << 20);
    rig_open_with(rig, "{'type': 'file', 'path': '@/disk',"
                       " 'engine': 'threads'}");
    syncs = 0;
    pthread_mutex_lock(&medium);
    for (unsigned i = 0; i < ARRAY_LEN(mine); i++)
        mine[i] = ask_for(rig, &me, STORE_FLUSH, 0, NULL, 0);
    for (unsigned i = 0; i < ARRAY_LEN(theirs); i++)
        theirs[i] = ask_for(rig, &they, STORE_FLUSH, 0, NULL, 0);
    while (__atomic_load_n(&syncs, __ATOMIC_ACQUIRE) < 4)
        continue;
    store_drain(rig->ch, &me, false);
    assert_int_equal(rig->ch->pending, 10);
    store_drain(rig->ch, &me, true);
    assert_int_equal(rig->ch->pending, 6);
    for (unsigned i = 4; i < ARRAY_LEN(mine); i++)
        expect(mine[i], -EIO);
    pthread_mutex_unlock(&medium);
    for (unsigned i = 0; i < 4; i++) {
        assert_int_equal(rig_wait(rig, mine[i]), 0);
        free(mine[i]);
    }
    for (unsigned i = 0; i < ARRAY_LEN(theirs); i++) {
        assert_int_equal(rig_wait(rig, theirs[i]), 0);
        free(theirs[i]);
    }
    assert_int_equal(syncs, 6);
}

/* More than the ring holds, in one batch: what is cached is done when a batch
 * ends. */
static void what_waits_for_a_place_in_the_ring_is_given_up(void **state)
{
    struct rig *rig = *state;
    struct ask **mine, *theirs;
    unsigned given_up = 0, n = 1500;
    int me, they;
    char *buf;

    rig_file(rig, "disk", 1 << 20);
    if (rig_open(rig,
                 "{'type': 'file', 'path': '@/disk', 'engine': 'io_uring'}",
                 false) < 0)
        skip();
    rig_channel(rig, false);
    mine = calloc(n, sizeof(struct ask *));
    buf = malloc(4096);
    for (unsigned i = 0; i < n; i++)
        mine[i] = new_ask(&me, STORE_READ, 0, buf, 4096);
    theirs = new_ask(&they, STORE_READ, 0, buf, 4096);
    for (unsigned i = 0; i < n; i++)
        assert_int_equal(store_submit(rig->ch, &mine[i]->req), STORE_PENDING);
    assert_int_equal(store_submit(rig->ch, &theirs->req), STORE_PENDING);
    store_drain(rig->ch, &me, true);
    store_kick(rig->ch);
    for (unsigned i = 0; i < n; i++)
        given_up += mine[i]->req.result == -EIO;
    assert_int_equal(given_up, n - 1024);
    assert_int_equal(rig_wait(rig, theirs), 0);
    free(theirs);
    for (unsigned i = 0; i < n; i++) {
        assert_int_equal(rig_wait(rig, mine[i]), i < 1024 ? 0 : -EIO);
        free(mine[i]);
    }
    free(buf);
    free(mine);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        RIG_TEST(stuck_requests_of_others_stay),
        RIG_TEST(half_done_work_of_others_goes_on),
        RIG_TEST(a_channel_may_close_right_after_a_drain),
        RIG_TEST(what_is_long_takes_many_turns),
        RIG_TEST(steps_keep_their_place),
        RIG_TEST(what_waits_for_a_buffer_is_given_up),
        RIG_TEST(what_waits_for_a_thread_is_given_up),
        RIG_TEST(what_waits_for_a_place_in_the_ring_is_given_up),
    };

    return cmocka_run_group_tests_name("drain", tests, NULL, NULL);
}
