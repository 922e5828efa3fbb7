/* What every store promises, asked of each kind and each engine. */
#include "rig.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define DISK_BYTES (8u << 20)
#define MANY 1500

struct kind {
    const char *name, *config;
    const char *parent; /* of the rig's directory; NULL: on a disk */
    bool alone;         /* the loop serves this device only */
    bool is_file, keeps;
    bool is_apart;      /* what is written does not go to the file */
    bool settles;       /* one wake-up comes after a while, and no more */
    unsigned sector;    /* of a loop device on the file; 0: the file itself */
    const char *target; /* options of an iSCSI target; NULL: none */
};

#define URL "'url': 'iscsi://127.0.0.1:#/iqn.2026-01.example:disk/0'"

static const struct kind kinds[] = {
    {"memory", "{'type': 'memory', 'size': '8M'}", .keeps = true},
    {"null", "{'type': 'null', 'size': '8M'}"},
    {"file inline", "{'type': 'file', 'path': '@/disk'}", .alone = true,
     .is_file = true, .keeps = true},
    {"file inline on tmpfs", "{'type': 'file', 'path': '@/disk'}",
     .parent = "/dev/shm", .alone = true, .is_file = true, .keeps = true},
    {"file by io_uring",
     "{'type': 'file', 'path': '@/disk', 'engine': 'io_uring'}",
     .is_file = true, .keeps = true},
    {"file by io_uring on tmpfs",
     "{'type': 'file', 'path': '@/disk', 'engine': 'io_uring'}",
     .parent = "/dev/shm", .is_file = true, .keeps = true},
    {"file by threads",
     "{'type': 'file', 'path': '@/disk', 'engine': 'threads'}", .is_file = true,
     .keeps = true},
    {"direct file by io_uring",
     "{'type': 'file', 'path': '@/disk', 'direct': true,"
     " 'engine': 'io_uring'}",
     .alone = true, .is_file = true, .keeps = true},
    {"direct file by threads",
     "{'type': 'file', 'path': '@/disk', 'direct': true,"
     " 'engine': 'threads'}",
     .is_file = true, .keeps = true},
    {"block device inline", "{'type': 'file', 'path': '@/node'}", .alone = true,
     .is_file = true, .keeps = true, .sector = 512},
    {"block device by threads",
     "{'type': 'file', 'path': '@/node', 'engine': 'threads'}", .is_file = true,
     .keeps = true, .sector = 512},
    {"block device of large sectors", "{'type': 'file', 'path': '@/node'}",
     .is_file = true, .keeps = true, .sector = 4096},
    {"direct block device of large sectors",
     "{'type': 'file', 'path': '@/node', 'direct': true}", .is_file = true,
     .keeps = true, .sector = 4096},
    {"fault around a file",
     "{'type': 'fault', 'rules': [{'after': 1000000000}],"
     " 'next': {'type': 'file', 'path': '@/disk'}}",
     .is_file = true, .keeps = true},
    {"fault around a direct file",
     "{'type': 'fault', 'next': {'type': 'file', 'path': '@/disk',"
     " 'direct': true}}",
     .is_file = true, .keeps = true},
    {"delay around a file",
     "{'type': 'delay', 'all': {'distribution': 'uniform', 'us': 200,"
     " 'spread_us': 200}, 'exact': true, 'next': {'type': 'file',"
     " 'path': '@/disk'}}",
     .is_file = true, .keeps = true},
    {"delay around memory",
     "{'type': 'delay', 'all': {'distribution': 'disk'}, 'rpm': 600000, "
     "'rate': '100G',"
     " 'seek_max_us': 500, 'exact': true,"
     " 'next': {'type': 'memory', 'size': '8M'}}",
     .keeps = true},
    {"powercut around memory",
     "{'type': 'powercut', 'next': {'type': 'memory', 'size': '8M'}}",
     .keeps = true},
    {"powercut with little cache around a file",
     "{'type': 'powercut', 'cache': '64K',"
     " 'next': {'type': 'file', 'path': '@/disk'}}",
     .is_file = true, .keeps = true},
    {"powercut around a direct file",
     "{'type': 'powercut', 'next': {'type': 'file', 'path': '@/disk',"
     " 'direct': true}}",
     .is_file = true, .keeps = true},
    {"powercut around large sectors",
     "{'type': 'powercut', 'cache': '128K',"
     " 'next': {'type': 'file', 'path': '@/node'}}",
     .is_file = true, .keeps = true, .sector = 4096},
    {"cow around memory",
     "{'type': 'cow', 'next': {'type': 'memory', 'size': '8M'}}",
     .keeps = true},
    {"cow of large blocks around a file",
     "{'type': 'cow', 'block_size': 65536,"
     " 'next': {'type': 'file', 'path': '@/disk'}}",
     .is_file = true, .keeps = true, .is_apart = true},
    {"cow on a file",
     "{'type': 'cow', 'overlay': '@/overlay',"
     " 'next': {'type': 'file', 'path': '@/disk'}}",
     .is_file = true, .keeps = true, .is_apart = true},
    {"cow around large sectors",
     "{'type': 'cow', 'overlay': '@/overlay',"
     " 'next': {'type': 'file', 'path': '@/node'}}",
     .is_file = true, .keeps = true, .sector = 4096, .is_apart = true},
    {"trace around memory",
     "{'type': 'trace', 'path': '@/t.trace',"
     " 'next': {'type': 'memory', 'size': '8M'}}",
     .keeps = true, .settles = true},
    {"trace around a direct file",
     "{'type': 'trace', 'path': '@/t.trace',"
     " 'next': {'type': 'file', 'path': '@/disk', 'direct': true}}",
     .is_file = true, .keeps = true, .settles = true},
    {"iscsi", "{'type': 'iscsi', " URL "}", .target = "--lun 8M",
     .keeps = true},
    {"iscsi that asks for all data", "{'type': 'iscsi', " URL "}",
     .target = "--lun 8M --immediate No --initial-r2t Yes", .keeps = true},
    {"fault around iscsi",
     "{'type': 'fault', 'next': {'type': 'iscsi', " URL "}}",
     .target = "--lun 8M", .keeps = true},
};

static const struct kind *kind; /* of the group that runs */

/* A loop device on the disk's file, and a link to it. False: not here. */
static bool make_node(const struct rig *rig)
{
    char command[256], node[64];
    size_t n;
    FILE *out;

    snprintf(command, sizeof(command),
             "losetup --sector-size %u --find --show %s 2>/dev/null",
             kind->sector, rig_path(rig, "disk"));
    out = popen(command, "r");
    assert_non_null(out);
    n = fread(node, 1, sizeof(node) - 1, out);
    node[n] = '\0';
    if (pclose(out) != 0 || n < 2)
        return false;
    node[strcspn(node, "\n")] = '\0';
    return symlink(node, rig_path(rig, "node")) == 0;
}

static void remove_node(const struct rig *rig)
{
    char command[256];

    snprintf(command, sizeof(command), "losetup -d \"$(readlink %s)\"",
             rig_path(rig, "node"));
    assert_int_equal(system(command), 0);
}

/* NULL: this kind cannot be had here. */
static struct rig *open_kind(bool read_only)
{
    static struct rig rig;

    rig_init(&rig, kind->parent);
    if (kind->is_file)
        rig_file(&rig, "disk", DISK_BYTES);
    if (kind->sector && !make_node(&rig)) {
        rig_fini(&rig);
        return NULL;
    }
    if (kind->target)
        rig_target(&rig, kind->target);
    if (rig_open(&rig, kind->config, read_only) < 0) {
        const struct err *e = &rig.errs.list[0];

        print_message("left out: %s: %s\n", e->where, e->text);
        /* A system without it is no failure, another error is. */
        assert_true(strstr(e->where, "/engine") || strstr(e->text, "direct"));
        rig_fini(&rig);
        return NULL;
    }
    rig_known(&rig);
    rig_channel(&rig, kind->alone);
    return &rig;
}

static int setup(void **state)
{
    *state = open_kind(false);
    return 0;
}

static int teardown(void **state)
{
    struct rig *rig = *state;

    if (!rig)
        return 0;
    rig_close(rig);
    if (kind->sector)
        remove_node(rig);
    rig_fini(rig);
    return 0;
}

#define RIG(state)                                                             \
    struct rig *rig = *(state);                                                \
    if (!rig)                                                                  \
    skip()

static void *aligned(size_t len)
{
    void *p = NULL;

    assert_int_equal(posix_memalign(&p, 4096, len), 0);
    memset(p, 0xee, len);
    return p;
}

static void writes_are_read_back(void **state)
{
    static const struct {
        uint64_t at, len;
    } parts[] = {
        {0, 4096},
        {DISK_BYTES - 4096, 4096},
        {4096, 64 << 10},
        {1 << 20, 3 << 20}, /* more than one inline, bounce or step */
    };

    RIG(state);
    for (unsigned i = 0; i < ARRAY_LEN(parts); i++) {
        uint64_t at = parts[i].at, len = parts[i].len;
        char *buf = aligned(len);

        rig_pattern(buf, len, at, i);
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, at, buf, len), 0);
        memset(buf, 0, len);
        assert_int_equal(rig_do(rig, STORE_READ, 0, at, buf, len), 0);
        if (kind->keeps)
            assert_true(rig_is_pattern(buf, len, at, i));
        free(buf);
    }
}

static void memory_may_be_anywhere_in_pieces_of_any_length(void **state)
{
    static const uint64_t pieces[] = {1000, 513, 4096, 7777};
    const uint64_t len = 512 << 10, at = 4096;
    char *buf;
    struct ask *a;

    RIG(state);
    a = malloc(sizeof(*a));
    buf = aligned(len + 1);
    for (unsigned i = 0; i < ARRAY_LEN(pieces); i++) {
        rig_pattern(buf + 1, len, at, i);
        rig_ask(a, STORE_WRITE, 0, at, buf + 1, len, pieces[i]);
        rig_submit(rig, a);
        assert_int_equal(rig_wait(rig, a), 0);
        memset(buf, 0, len + 1);
        rig_ask(a, STORE_READ, 0, at, buf + 1, len,
                pieces[(i + 1) % ARRAY_LEN(pieces)]);
        rig_submit(rig, a);
        assert_int_equal(rig_wait(rig, a), 0);
        assert_int_equal(buf[0], 0);
        if (kind->keeps)
            assert_true(rig_is_pattern(buf + 1, len, at, i));
    }
    free(buf);
    free(a);
}

static void more_pieces_than_one_call_takes(void **state)
{
    const uint64_t len = 2000 * 512;
    char *buf;
    struct ask *a;

    RIG(state);
    a = malloc(sizeof(*a));
    buf = aligned(len);
    rig_pattern(buf, len, 0, 1);
    rig_ask(a, STORE_WRITE, 0, 0, buf, len, 512);
    rig_submit(rig, a);
    assert_int_equal(rig_wait(rig, a), 0);
    memset(buf, 0, len);
    rig_ask(a, STORE_READ, 0, 0, buf, len, 512);
    rig_submit(rig, a);
    assert_int_equal(rig_wait(rig, a), 0);
    if (kind->keeps)
        assert_true(rig_is_pattern(buf, len, 0, 1));
    free(buf);
    free(a);
}

/* More than the ring of any engine holds, and than the bounce buffers. */
struct many {
    struct store_req req;
    struct iovec iov;
    char *buf;
};

static unsigned many_left;

static void on_many(struct store_req *r)
{
    assert_int_equal(r->result, 0);
    many_left--;
}

static void submit_many(struct rig *rig, struct many *m, enum store_op op)
{
    many_left = MANY;
    for (unsigned i = 0; i < MANY; i++) {
        m[i].iov = (struct iovec){m[i].buf, 4096};
        m[i].req = (struct store_req){
            .op = op,
            .offset = (uint64_t)i * 4096,
            .len = 4096,
            .iov = &m[i].iov,
            .iov_num = 1,
            .done = on_many,
        };
        if (store_submit(rig->ch, &m[i].req) == STORE_DONE)
            on_many(&m[i].req);
    }
    store_kick(rig->ch);
    while (many_left)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
}

static void many_at_once(void **state)
{
    struct many *m;
    char *mem;

    RIG(state);
    m = calloc(MANY, sizeof(*m));
    mem = aligned(MANY * 4200);
    for (unsigned i = 0; i < MANY; i++) {
        m[i].buf = mem + i * 4200; /* mostly misaligned */
        rig_pattern(m[i].buf, 4096, (uint64_t)i * 4096, 2);
    }
    submit_many(rig, m, STORE_WRITE);
    memset(mem, 0, MANY * 4200);
    submit_many(rig, m, STORE_READ);
    for (unsigned i = 0; kind->keeps && i < MANY; i++)
        assert_true(rig_is_pattern(m[i].buf, 4096, (uint64_t)i * 4096, 2));
    free(mem);
    free(m);
}

static void stable_writes_and_flushes_succeed(void **state)
{
    char *buf;

    RIG(state);
    buf = aligned(8192);
    rig_pattern(buf, 8192, 8192, 3);
    assert_int_equal(rig_do(rig, STORE_WRITE, STORE_FUA, 8192, buf, 8192), 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 8192, buf, 8192), 0);
    if (kind->keeps)
        assert_true(rig_is_pattern(buf, 8192, 8192, 3));
    assert_int_equal(store_sync(rig->store), 0);
    free(buf);
}

static void zeroed_ranges_read_as_zeros_and_no_more(void **state)
{
    static const unsigned flags[] = {0, STORE_UNMAP, STORE_FUA,
                                     STORE_FUA | STORE_UNMAP};
    const uint64_t len = 1 << 20, edge = 4096 * 3;
    char *buf;

    RIG(state);
    buf = aligned(len);
    for (unsigned i = 0; i < ARRAY_LEN(flags); i++) {
        uint64_t inner = len - 2 * edge;

        rig_pattern(buf, len, 0, i);
        assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, len), 0);
        assert_int_equal(rig_do(rig, STORE_ZERO, flags[i], edge, NULL, inner),
                         0);
        memset(buf, 0xdd, len);
        assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, len), 0);
        if (!kind->keeps)
            continue;
        assert_true(rig_is_pattern(buf, edge, 0, i));
        assert_true(rig_is_zero(buf + edge, inner));
        assert_true(rig_is_pattern(buf + edge + inner, edge, edge + inner, i));
    }
    free(buf);
}

/* The second of 16 KiB; nothing happens around it. No file system block is
 * whole in it. */
static void change_a_sector(struct rig *rig, enum store_op op, unsigned flags)
{
    uint32_t block = rig->store->info.block_size;
    char *buf = aligned(16384);

    rig_pattern(buf, 16384, 0, 1);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 16384), 0);
    assert_int_equal(rig_do(rig, op, flags, block, NULL, block), 0);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 16384), 0);
    if (kind->keeps) {
        assert_true(rig_is_pattern(buf, block, 0, 1));
        assert_true(op != STORE_ZERO || rig_is_zero(buf + block, block));
        assert_true(
            rig_is_pattern(buf + 2 * block, 8192, 2 * (uint64_t)block, 1));
    }
    free(buf);
}

static void a_single_sector_can_be_zeroed(void **state)
{
    RIG(state);
    change_a_sector(rig, STORE_ZERO, STORE_UNMAP);
}

/* Nothing need happen to it. */
static void a_single_sector_can_be_discarded(void **state)
{
    RIG(state);
    change_a_sector(rig, STORE_DISCARD, 0);
}

static void discarding_gives_space_back(void **state)
{
    const uint64_t len = 4 << 20;
    char *buf;
    uint64_t full;

    RIG(state);
    if (!rig->store->info.can_discard)
        skip();
    buf = aligned(len);
    memset(buf, 0x5a, len);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, len), 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    full = kind->is_file && !kind->is_apart ? rig_allocated(rig, "disk") : 0;
    assert_int_equal(rig_do(rig, STORE_DISCARD, 0, 0, NULL, len), 0);
    if (kind->is_file && !kind->is_apart)
        assert_true(rig_allocated(rig, "disk") + len <= full);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, len), 0);
    free(buf);
}

static void what_lies_outside_is_refused(void **state)
{
    uint32_t block;
    char *buf;

    RIG(state);
    block = rig->store->info.block_size;
    buf = aligned(65536);
    assert_int_equal(store_size(rig->store), DISK_BYTES);
    assert_int_equal(rig_do(rig, STORE_READ, 0, DISK_BYTES, buf, block), -EIO);
    assert_int_equal(
        rig_do(rig, STORE_READ, 0, DISK_BYTES - block, buf, 2 * block), -EIO);
    assert_int_equal(
        rig_do(rig, STORE_WRITE, 0, UINT64_MAX - block + 1, buf, block), -EIO);
    assert_int_equal(
        rig_do(rig, STORE_ZERO, 0, block, NULL, UINT64_MAX - block + 1), -EIO);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 1, buf, block), -EIO);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, block - 1), -EIO);
    assert_int_equal(rig_do(rig, STORE_READ, 0, DISK_BYTES, buf, 0), 0);
    free(buf);
}

static void a_read_only_store_refuses_to_write(void **state)
{
    struct rig *rig = open_kind(true);
    char *buf;

    *state = rig;
    if (!rig)
        skip();
    buf = aligned(4096);
    assert_true(rig->store->info.read_only);
    assert_int_equal(rig_do(rig, STORE_READ, 0, 0, buf, 4096), 0);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 4096), -EROFS);
    assert_int_equal(rig_do(rig, STORE_ZERO, 0, 0, NULL, 4096), -EROFS);
    assert_int_equal(rig_do(rig, STORE_DISCARD, 0, 0, NULL, 4096), -EROFS);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    free(buf);
}

static void an_idle_channel_makes_no_wake_ups(void **state)
{
    char *buf;

    RIG(state);
    buf = aligned(4096);
    assert_int_equal(rig_do(rig, STORE_WRITE, 0, 0, buf, 4096), 0);
    assert_int_equal(rig_do(rig, STORE_FLUSH, 0, 0, NULL, 0), 0);
    /* What was sent to wake the loop is used up. */
    while (uv_run(&rig->loop.uv, UV_RUN_NOWAIT) &&
           uv_backend_timeout(&rig->loop.uv) == 0)
        ;
    for (int i = 0;
         kind->settles && i < 4 && uv_backend_timeout(&rig->loop.uv) > 0; i++)
        uv_run(&rig->loop.uv, UV_RUN_ONCE);
    assert_int_equal(uv_backend_timeout(&rig->loop.uv), -1);
    assert_int_equal(rig->ch->pending, 0);
    free(buf);
}

#define TEST(t)                                                                \
    {                                                                          \
#t, t, setup, teardown, NULL                                           \
    }

/* An argument: only kinds whose name has it. */
int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(writes_are_read_back),
        TEST(memory_may_be_anywhere_in_pieces_of_any_length),
        TEST(more_pieces_than_one_call_takes),
        TEST(many_at_once),
        TEST(stable_writes_and_flushes_succeed),
        TEST(zeroed_ranges_read_as_zeros_and_no_more),
        TEST(a_single_sector_can_be_zeroed),
        TEST(a_single_sector_can_be_discarded),
        TEST(discarding_gives_space_back),
        TEST(what_lies_outside_is_refused),
        {"a_read_only_store_refuses_to_write",
         a_read_only_store_refuses_to_write, NULL, teardown, NULL},
        TEST(an_idle_channel_makes_no_wake_ups),
    };
    int failed = 0;

    for (unsigned i = 0; i < ARRAY_LEN(kinds); i++) {
        kind = &kinds[i];
        if (argc > 1 && !strstr(kind->name, argv[1]))
            continue;
        if (kind->parent && access(kind->parent, W_OK) < 0)
            continue;
        failed += cmocka_run_group_tests_name(kind->name, tests, NULL, NULL);
    }
    return failed;
}
