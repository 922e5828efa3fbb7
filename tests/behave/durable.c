/* What is stable when, what a guest hears of errors, of a new size, and who
 * else may have the image. */
#include <poll.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/wait.h>

#include "stores.h"

#define FILE_STORE "{'type': 'file', 'path': 'img'}"
#define UNLOCKED "{'type': 'file', 'path': 'img', 'lock': false}"

static struct vub *with_image(const char *json)
{
    struct vub *v = vub_new();

    make_image(vub_path(v, "img"), DISK_BYTES);
    vub_config(v, "%s", json);
    vub_run(v);
    return v;
}

static bool have(const char *program)
{
    char cmd[128];

    snprintf(cmd, sizeof(cmd), "command -v %s >/dev/null 2>&1", program);
    return system(cmd) == 0;
}

/* ---- The write cache ---- */

static uint8_t writeback(struct front *f)
{
    uint8_t b;

    front_config(f, offsetof(struct virtio_blk_config, writeback), &b, 1);
    return b;
}

/* Linux flushes only if the device says so at start. */
static void the_cache_is_on_where_writes_are_cached(void **state)
{
    struct vub *v = with_image(DISK("cached", "", FILE_STORE) "," DISK(
        "through", "'write_cache': false, ", FILE_STORE) "," DISK("memory", "",
                                                                  MEMORY));
    struct front *f;

    (void)state;
    f = front_connect(v, "cached");
    front_negotiate(f, &(struct front_conf){0});
    assert_int_equal(writeback(f), 1);
    front_free(f);
    f = front_connect(v, "through");
    front_negotiate(f, &(struct front_conf){0});
    assert_int_equal(writeback(f), 0);
    front_free(f);
    vub_free(v);
}

/* A guest's choice lasts as long as its session, and a device reset puts back
 * what the config says. */
static void the_guest_may_switch_the_cache(void **state)
{
    struct vub *v = with_image(DISK("d", "", FILE_STORE));
    struct front *f = front_new(v, "d", NULL);

    (void)state;
    assert_int_equal(writeback(f), 1);
    assert_int_equal(front_set_config(f, 32, "\0", 1), 0);
    assert_int_equal(writeback(f), 0);
    blk_verify(f->vq[0], 0, 4096, 1);
    assert_int_equal(front_set_config(f, 32, "\1", 1), 0);
    assert_int_equal(writeback(f), 1);
    blk_verify(f->vq[0], 0, 4096, 2);
    assert_int_equal(front_set_config(f, 32, "\0", 1), 0);
    front_ok(f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
    assert_int_equal(writeback(f), 1);
    front_free(f);
    vub_free(v);
}

/* The line of the trace that writes at this offset. */
static const char *write_at(const char *trace, unsigned offset)
{
    static char line[512];
    char want[32];
    const char *at = trace;

    snprintf(want, sizeof(want), ", %u", offset);
    while (*at) {
        size_t len = strcspn(at, "\n");

        snprintf(line, sizeof(line), "%.*s", (int)len, at);
        if (strstr(line, "pwrite") && strstr(line, want))
            return line;
        at += len + (at[len] == '\n');
    }
    front_fail("the trace has no write at %u:\n%s", offset, trace);
}

/* Seen from below, by strace: write-through writes are DSYNC, cached ones are
 * not, and a flush is one for sure. Item 12. */
static void write_through_means_on_stable_storage(void **state)
{
    struct vub *v = vub_new();
    const char *script = vub_path(v, "traced"), *out = vub_path(v, "trace");
    static char trace[1 << 20];
    uint8_t buf[4096] = {1};
    struct front *f;
    FILE *file;
    size_t n;

    (void)state;
    if (!have("strace")) {
        vub_free(v);
        skip();
    }
    make_image(vub_path(v, "img"), DISK_BYTES);
    file = fopen(script, "we");
    fprintf(file,
            "#!/bin/sh\n"
            "export ASAN_OPTIONS=detect_leaks=0\n"
            "exec strace -D -f -qq -s 0 -e signal=none -e "
            "trace=pwrite64,pwritev,pwritev2,fdatasync,fsync -o %s %s \"$@\"\n",
            out, v->exe);
    fclose(file);
    assert_int_equal(chmod(script, 0700), 0);
    vub_config(v, DISK("d", "",
                       "{'type': 'file', 'path': 'img',"
                       " 'engine': 'threads'}"));
    v->exe = script;
    v->wrapped = true;
    vub_run(v);
    /* A driver that cannot flush gets no cache. */
    f = front_new(
        v, "d",
        &(struct front_conf){.features_off = FEATURE(VIRTIO_BLK_F_FLUSH) |
                                             FEATURE(VIRTIO_BLK_F_CONFIG_WCE)});
    blk_write(f->vq[0], 4096, buf, 4096);
    front_free(f);
    f = front_new(v, "d", NULL);
    blk_write(f->vq[0], 0, buf, 4096);
    blk_flush(f->vq[0]);
    assert_int_equal(front_set_config(f, 32, "\0", 1), 0);
    blk_write(f->vq[0], 2048, buf, 4096);
    front_free(f);
    vub_signal(v, SIGTERM);
    vub_wait(v);
    /* strace has our pipe too: its end is the end of the trace. */
    while (v->log_fd >= 0) {
        front_need_fd(v->log_fd, POLLIN, "the end of strace");
        vub_log(v);
    }
    file = fopen(out, "re");
    n = fread(trace, 1, sizeof(trace) - 1, file);
    trace[n] = 0;
    fclose(file);
    assert_null(strstr(write_at(trace, 0), "SYNC"));
    assert_non_null(strstr(trace, "fdatasync("));
    assert_non_null(strstr(write_at(trace, 1 << 20), "RWF_DSYNC"));
    assert_non_null(strstr(write_at(trace, 2 << 20), "RWF_DSYNC"));
    vub_free(v);
}

/* ---- Errors ---- */

static void errors_reach_the_guest_and_nothing_else_happens(void **state)
{
    static const char *const ops[] = {"read", "write", "flush", "discard",
                                      "zero"};
    static const char *const errors[] = {"EIO", "ENOSPC", "ENOMEM", "EDQUOT",
                                         "ENODEV"};
    uint8_t buf[4096] = {0};

    (void)state;
    for (unsigned i = 0; i < 5; i++) {
        struct vub *v = vub_new();
        struct front *f;

        vub_config(
            v,
            DISK(
                "d", "",
                "{'type': 'fault', 'next': " MEMORY ", 'rules': [{"
                "'op': '%s', 'after': 2, 'count': 3, 'error': '%s'}]}") "," DISK("e",
                                                                                 "",
                                                                                 MEMORY),
            ops[i], errors[i]);
        vub_run(v);
        f = front_new(v, "d", NULL);
        for (unsigned n = 0; n < 8; n++) {
            uint8_t want =
                n >= 2 && n < 5 ? VIRTIO_BLK_S_IOERR : VIRTIO_BLK_S_OK;
            struct blk_range r = {0, 8, 0};
            uint8_t got;

            if (i == 0)
                got = blk_do(f->vq[0], VIRTIO_BLK_T_IN, 0, buf, 4096);
            else if (i == 1)
                got = blk_do(f->vq[0], VIRTIO_BLK_T_OUT, 0, buf, 4096);
            else if (i == 2)
                got = blk_do(f->vq[0], VIRTIO_BLK_T_FLUSH, 0, NULL, 0);
            else
                got = blk_ranges(f->vq[0],
                                 i == 3 ? VIRTIO_BLK_T_DISCARD
                                        : VIRTIO_BLK_T_WRITE_ZEROES,
                                 &r, 1);
            assert_int_equal(got, want);
        }
        assert_int_equal(vub_log_count(v, "failed: "), 3);
        assert_int_equal(vub_log_count(v, "is broken"), 0);
        front_free(f);
        vub_free(v);
    }
}

/* A disk that is full of errors does not fill the log. */
static void a_thousand_errors_are_few_lines(void **state)
{
    struct vub *v = vub_new();
    struct front *f;
    uint8_t buf[512] = {0};

    (void)state;
    v->quiet = true;
    vub_config(v, DISK("d", "",
                       "{'type': 'fault', 'next': " MEMORY
                       ", 'rules': [{'op': 'any', 'error': 'EIO'}]}"));
    vub_run(v);
    f = front_new(v, "d", NULL);
    for (unsigned i = 0; i < 1000; i++)
        assert_int_equal(blk_do(f->vq[0],
                                i % 2 ? VIRTIO_BLK_T_IN : VIRTIO_BLK_T_OUT, i,
                                buf, 512),
                         VIRTIO_BLK_S_IOERR);
    assert_in_range(vub_log_count(v, "failed: "), 1, 60);
    front_free(f);
    vub_free(v);
}

/* The image becomes shorter than it was: what is not there cannot be read, on
 * any engine. */
static void lose_the_end(struct disk *d)
{
    uint8_t buf[8192];

    if (!d->img)
        return;
    blk_verify(d->q, 0, 4096, 1);
    assert_int_equal(truncate(d->img, DISK_BYTES / 2), 0);
    assert_int_equal(blk_do(d->q, VIRTIO_BLK_T_IN, DISK_SECTORS - 8, buf, 4096),
                     VIRTIO_BLK_S_IOERR);
    /* Half of it is there: still not a success. */
    assert_int_equal(
        blk_do(d->q, VIRTIO_BLK_T_IN, DISK_SECTORS / 2 - 8, buf, 8192),
        VIRTIO_BLK_S_IOERR);
    blk_verify(d->q, 0, 4096, 2);
}

static void an_image_that_lost_its_end_is_an_error(void **state)
{
    (void)state;
    on_all_stores(lose_the_end, "'worker': 'w', ");
}

/* ---- A new size ---- */

static void sighup_tells_the_guest_of_a_new_size(void **state)
{
    struct vub *v =
        with_image(DISK("d", "", FILE_STORE) "," DISK("e", "", MEMORY));
    const char *img = vub_path(v, "img");
    struct front_conf c = {.backend_channel = true, .queues = 1};
    struct front *f = front_new(v, "d", &c), *e = front_new(v, "e", &c);
    uint8_t buf[4096];

    (void)state;
    assert_int_equal(blk_capacity(f), DISK_SECTORS);
    assert_int_equal(truncate(img, 2 * DISK_BYTES), 0);
    vub_signal(v, SIGHUP);
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), 2 * DISK_SECTORS);
    blk_verify(f->vq[0], 2 * DISK_SECTORS - 8, 4096, 1);

    assert_int_equal(truncate(img, DISK_BYTES / 2), 0);
    vub_signal(v, SIGHUP);
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), DISK_SECTORS / 2);
    assert_int_equal(
        blk_do(f->vq[0], VIRTIO_BLK_T_OUT, DISK_SECTORS - 8, buf, 4096),
        VIRTIO_BLK_S_IOERR);
    blk_verify(f->vq[0], 0, 4096, 2);

    /* Not a whole sector more: nothing has changed for the guest. */
    assert_int_equal(truncate(img, DISK_BYTES / 2 + 100), 0);
    vub_signal(v, SIGHUP);
    assert_int_equal(truncate(img, DISK_BYTES), 0);
    vub_signal(v, SIGHUP);
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), DISK_SECTORS);
    assert_false(front_wait_fd(e->backend_fd, POLLIN, 0));
    front_free(e);
    front_free(f);
    vub_free(v);
}

/* QEMU forwards it only when the device is started: it is said again then. */
static void a_change_before_the_start_is_told_at_the_start(void **state)
{
    struct vub *v = with_image(DISK("d", "", FILE_STORE));
    const char *img = vub_path(v, "img");
    struct front_conf c = {.backend_channel = true, .rings_stopped = true};
    struct front *f = front_new(v, "d", &c);

    (void)state;
    assert_int_equal(truncate(img, 2 * DISK_BYTES), 0);
    vub_log_mark(v);
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "grown");
    front_settle(f);
    assert_false(front_wait_fd(f->backend_fd, POLLIN, 0));
    vq_start(f->vq[0]);
    front_need_config_change(f);
    assert_int_equal(blk_capacity(f), 2 * DISK_SECTORS);
    blk_verify(f->vq[0], 2 * DISK_SECTORS - 8, 4096, 1);

    /* Stopped again, for a while. */
    vq_stop(f->vq[0]);
    assert_int_equal(truncate(img, 3 * DISK_BYTES), 0);
    vub_log_mark(v);
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "grown");
    front_settle(f);
    assert_false(front_wait_fd(f->backend_fd, POLLIN, 0));
    vq_start(f->vq[0]);
    front_need_config_change(f);
    blk_verify(f->vq[0], 3 * DISK_SECTORS - 8, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* A front-end that comes back has read the config before: it is told, and so
 * is each one after it. Those that come anew find the size as it is. */
static void a_change_while_nobody_is_there_is_told_to_who_comes(void **state)
{
    struct vub *v = with_image(DISK("d", "", FILE_STORE));
    const char *img = vub_path(v, "img");
    struct front_conf c = {.backend_channel = true};
    struct front *f = front_new(v, "d", &c);

    (void)state;
    front_settle(f);
    assert_false(front_wait_fd(f->backend_fd, POLLIN, 0));
    vq_stop(f->vq[0]);
    front_disconnect(f);
    vub_log_wait(v, "is gone");
    assert_int_equal(truncate(img, 2 * DISK_BYTES), 0);
    vub_log_mark(v);
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "grown");
    for (unsigned i = 0; i < 2; i++) {
        front_resume(f);
        front_need_config_change(f);
        assert_int_equal(blk_capacity(f), 2 * DISK_SECTORS);
        blk_verify(f->vq[0], 2 * DISK_SECTORS - 8, 4096, i);
        vq_stop(f->vq[0]);
        front_disconnect(f);
    }
    front_free(f);

    f = front_connect(v, "d");
    front_negotiate(f, &c);
    assert_int_equal(blk_capacity(f), 2 * DISK_SECTORS);
    front_free(f);
    vub_free(v);
}

/* QEMU blocks while it waits for an answer of ours: nothing that would ask it
 * for something comes before that answer. */
static void our_messages_wait_for_the_answer_to_theirs(void **state)
{
    struct vub *v =
        with_image(DISK("d", "'drain_timeout': 500, ",
                        "{'type': 'fault', 'next': " FILE_STORE ", 'rules':"
                        " [{'op': 'read', 'offset': '1M', 'stuck': true}]}"));
    struct front_conf c = {.backend_channel = true};
    struct front *f = front_new(v, "d", &c);
    struct wire_state s = {0, 0};
    struct front_msg m;

    (void)state;
    blk_go(f->vq[0], blk_new(f, 512), VIRTIO_BLK_T_IN, 2048, 512);
    blk_verify(f->vq[0], 0, 512, 1); /* by then it has been taken */
    front_send(f, WIRE_GET_VRING_BASE, 0, &s, sizeof(s), NULL, 0);
    vub_log_wait(v, "GET_VRING_BASE"); /* it waits for the request */
    assert_int_equal(truncate(vub_path(v, "img"), 2 * DISK_BYTES), 0);
    vub_signal(v, SIGHUP);
    vub_log_wait(v, "grown");
    if (front_wait_fd(f->backend_fd, POLLIN, 0) &&
        !front_wait_fd(f->sock, POLLIN, 0))
        front_fail("a message of its own before the answer");
    front_reply(f, WIRE_GET_VRING_BASE, &m);
    f->vq[0]->base = m.state.num;
    /* No ring runs: it waits on, and is not forgotten. */
    front_settle(f);
    assert_false(front_wait_fd(f->backend_fd, POLLIN, 0));
    vq_start(f->vq[0]);
    front_need_config_change(f);
    front_free(f);
    vub_free(v);
}

/* The other end of the back-end channel is never read, then closed. */
static void a_deaf_backend_channel_blocks_nobody(void **state)
{
    struct vub *v = with_image(DISK("d", "", FILE_STORE));
    const char *img = vub_path(v, "img");
    struct front_conf c = {.backend_channel = true};
    struct front *f = front_new(v, "d", &c);

    (void)state;
    for (unsigned i = 0; i < 400; i++) {
        assert_int_equal(truncate(img, DISK_BYTES + i % 2 * 4096), 0);
        vub_signal(v, SIGHUP);
        blk_verify(f->vq[0], i * 8, 4096, i);
        if (i == 300) {
            close(f->backend_fd);
            f->backend_fd = -1;
        }
    }
    front_settle(f);
    blk_verify(f->vq[0], 0, 4096, 1);
    front_free(f);
    vub_free(v);
}

/* ---- The image lock ---- */

static bool qemu_may(struct vub *v, const char *what)
{
    char cmd[256];
    int status;

    snprintf(cmd, sizeof(cmd), "qemu-io -f raw -c '%s' %s/img >/dev/null 2>&1",
             what, v->dir);
    status = system(cmd);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

static bool qemu_may_read(struct vub *v)
{
    char cmd[256];

    snprintf(cmd, sizeof(cmd),
             "qemu-io -r -f raw -c 'read 0 512' %s/img >/dev/null 2>&1",
             v->dir);
    return system(cmd) == 0;
}

/* Taken when the first ring starts, given back when the last has stopped. */
static void qemu_is_kept_out_while_a_ring_runs(void **state)
{
    struct vub *v;
    struct front_conf c = {.rings_stopped = true, .queues = 2};
    struct front *f;

    (void)state;
    if (!have("qemu-io"))
        skip();
    v = with_image(DISK("d", "'queues': 2, ", FILE_STORE) "," DISK(
        "ro", "'read_only': true, ", FILE_STORE));
    assert_true(qemu_may(v, "write 0 512"));
    f = front_new(v, "d", &c);
    assert_true(qemu_may(v, "write 0 512"));
    vq_start(f->vq[1]);
    blk_verify(f->vq[1], 0, 4096, 1);
    assert_false(qemu_may(v, "write 0 512"));
    vq_start(f->vq[0]);
    vq_stop(f->vq[1]);
    assert_false(qemu_may(v, "write 0 512"));
    vq_stop(f->vq[0]);
    assert_true(qemu_may(v, "write 0 512"));
    vq_start(f->vq[0]);
    blk_verify(f->vq[0], 0, 4096, 2);
    assert_false(qemu_may(v, "write 0 512"));
    front_free(f);

    /* Readers get along with readers. */
    f = front_new(v, "ro", NULL);
    blk_read(f->vq[0], 0, (uint8_t[512]){0}, 512);
    assert_true(qemu_may_read(v));
    assert_false(qemu_may(v, "write 0 512"));
    front_free(f);
    vub_free(v);
}

/* Two vubs on one image, as in a migration: the second waits until the first
 * lets go. */
static void a_second_program_waits_for_the_image(void **state)
{
    struct vub *a = with_image(DISK("d", "", FILE_STORE)), *b = vub_new();
    struct front *f = front_new(a, "d", NULL), *g;
    uint8_t want[4096], got[4096];

    (void)state;
    front_fill(want, 4096, 7);
    blk_write(f->vq[0], 0, want, 4096);
    vub_config(b, DISK("d", "", "{'type': 'file', 'path': '%s/img'}"), a->dir);
    vub_run(b);
    g = front_new(b, "d", NULL);
    vub_log_wait(b, "waiting for it");
    blk_go(g->vq[0], blk_new(g, 4096), VIRTIO_BLK_T_IN, 0, 4096);
    blk_verify(f->vq[0], 8, 4096, 1);
    assert_int_equal(vq_used(g->vq[0]), 0);
    vq_stop(f->vq[0]);
    vq_wait(g->vq[0]);
    blk_read(g->vq[0], 0, got, 4096);
    assert_memory_equal(got, want, 4096);

    /* And back again. */
    vq_start(f->vq[0]);
    vub_log_wait(a, "waiting for it");
    front_free(g);
    blk_verify(f->vq[0], 16, 4096, 2);
    front_free(f);
    vub_free(b);
    vub_free(a);
}

static void without_the_lock_anybody_may(void **state)
{
    struct vub *a =
        with_image(DISK("d", "", UNLOCKED) "," DISK("e", "", UNLOCKED));
    struct front *f = front_new(a, "d", NULL), *g = front_new(a, "e", NULL);
    uint8_t want[4096], got[4096];

    (void)state;
    front_fill(want, 4096, 9);
    blk_write(f->vq[0], 0, want, 4096);
    blk_read(g->vq[0], 0, got, 4096);
    assert_memory_equal(got, want, 4096);
    front_free(f);
    front_free(g);
    vub_free(a);
}

/* And no signal, which ends the process: a log file that grows has the same. */
static void more_than_the_process_may_write_is_an_error(void **state)
{
    const struct rlimit few = {0, RLIM_INFINITY};
    struct vub *v = vub_new();
    struct rlimit before;

    (void)state;
#ifdef __SANITIZE_THREAD__
    vub_free(v);
    skip(); /* the sanitizer itself cannot start then */
#endif
    vub_config(v, DISK("d", "", MEMORY));
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &few), 0);
    vub_spawn(v);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(vub_wait(v), 2);
    vub_log_wait(v, "File too large");
    vub_free(v);
}

BEHAVE_MAIN(T(the_cache_is_on_where_writes_are_cached),
            T(the_guest_may_switch_the_cache),
            T(write_through_means_on_stable_storage),
            T(more_than_the_process_may_write_is_an_error),
            T(errors_reach_the_guest_and_nothing_else_happens),
            T(a_thousand_errors_are_few_lines),
            T(an_image_that_lost_its_end_is_an_error),
            T(sighup_tells_the_guest_of_a_new_size),
            T(a_change_before_the_start_is_told_at_the_start),
            T(a_change_while_nobody_is_there_is_told_to_who_comes),
            T(our_messages_wait_for_the_answer_to_theirs),
            T(a_deaf_backend_channel_blocks_nobody),
            T(qemu_is_kept_out_while_a_ring_runs),
            T(a_second_program_waits_for_the_image),
            T(without_the_lock_anybody_may))
