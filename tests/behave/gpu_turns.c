/* A guest whose commands cost more than they look: other devices of the worker
 * have their turns between them. Time says little on a busy machine, but the
 * device calls its driver once in a turn, and those calls are counted. */
#include <poll.h>
#include <unistd.h>

#include "headless.h"

#define MANY 128

/* Does a command so many times, which it finds all at once. How many calls came
 * before all were seen to be answered: one for each turn, and that of the last
 * one may come after. */
static uint64_t turns(struct vq *q, const void *cmd, uint32_t len)
{
    struct gpu *g = gpu_of(q);
    struct gpu_req *r[MANY];
    uint64_t calls = 0, n;

    for (unsigned i = 0; i < MANY; i++) {
        r[i] = gpu_req_new(g, len);
        memcpy(r[i]->req, cmd, len);
        assert_true(gpu_add(q, r[i], len, 24));
    }
    vq_kick(q);
    do {
        front_need_fd(q->call_fd, POLLIN, "a call");
        assert_int_equal(read(q->call_fd, &n, sizeof(n)), sizeof(n));
        calls += n;
    } while (vq_used(q) < MANY);
    for (unsigned i = 0; i < MANY; i++) {
        gpu_need(gpu_wait(q, r[i]), OK_NODATA);
        gpu_req_free(r[i]);
    }
    return calls;
}

/* Every other byte of the guest's memory. */
static struct virtio_gpu_mem_entry *bytes_apart(struct gpu *g, uint32_t num)
{
    uint64_t at = front_alloc(g->f, num * 2, 4096);
    struct virtio_gpu_mem_entry *e = front_calloc(num, sizeof(*e));

    for (uint32_t i = 0; i < num; i++) {
        e[i].addr = htole64(at + i * 2);
        e[i].length = htole32(1);
    }
    return e;
}

static void open_screen(struct screen *s)
{
    const struct front_conf conf = {.size = 1024, .mem_bytes = 64 << 20};

    screen_open(s, SCREEN(""), &conf);
}

static void a_transfer_of_bytes_that_lie_apart_has_a_turn(void **state)
{
    const struct virtio_gpu_transfer_to_host_2d cmd =
        gpu_transfer_cmd(1, 0, 0, 16384, 1, 0);
    struct virtio_gpu_mem_entry *e;
    struct screen s;

    (void)state;
    open_screen(&s);
    e = bytes_apart(s.g, 65536);
    gpu_need(gpu_create(s.g, 1, XRGB, 16384, 1), OK_NODATA);
    gpu_need(gpu_attach(s.g, 1, e, 65536), OK_NODATA);
    assert_in_range(turns(s.g->control, &cmd, sizeof(cmd)), MANY - 1, 2 * MANY);
    free(e);
    screen_close(&s);
}

/* One pixel of each row, of rows that are a page apart. */
static void a_column_counts_by_its_rows(void **state)
{
    const struct virtio_gpu_transfer_to_host_2d cmd =
        gpu_transfer_cmd(1, 7, 0, 1, 8192, 28);
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    open_screen(&s);
    fb = gpu_fb_new(s.g, 1024, 8192, 4096);
    gpu_picture(s.g, 1, XRGB, fb);
    assert_in_range(turns(s.g->control, &cmd, sizeof(cmd)), MANY - 1, 2 * MANY);
    screen_close(&s);
}

static void images_of_a_cursor_that_lie_apart_have_turns(void **state)
{
    const struct virtio_gpu_update_cursor cmd = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_UPDATE_CURSOR),
        .resource_id = htole32(1),
    };
    struct virtio_gpu_mem_entry *e;
    struct screen s;

    (void)state;
    open_screen(&s);
    e = bytes_apart(s.g, 16384);
    gpu_need(gpu_create_blob(s.g, 1, 16384, e, 16384), OK_NODATA);
    assert_in_range(turns(s.g->cursor, &cmd, sizeof(cmd)), MANY / 16 - 1, MANY);
    free(e);
    screen_close(&s);
}

static long rss_mib(struct screen *s)
{
    return vub_rss_kib(s->v) / 1024;
}

/* Pictures that were left behind go together, and not in the loop's turn. */
static void the_next_driver_finds_all_memory(void **state)
{
    const struct front_conf conf = {.mem_bytes = 64 << 20};
    const unsigned most = 240;
    struct screen s;
    long before;

    (void)state;
    screen_open(&s, SCREEN(""), &conf);
    before = rss_mib(&s);
    for (unsigned round = 0; round < 3; round++) {
        struct gpu_fb *fb = gpu_fb_new(s.g, 512, 512, 4096);

        for (unsigned i = 1; i <= most; i++) {
            gpu_picture(s.g, i, XRGB, fb);
            gpu_need(gpu_transfer(s.g, i, 0, 0, 512, 512, 0), OK_NODATA);
        }
        assert_true(rss_mib(&s) >= before + (long)most);
        vq_stop(s.g->control);
        vq_reset(s.g->control);
        vq_start(s.g->control);
        gpu_need(gpu_unref(s.g, 1), ERR_INVALID_RESOURCE_ID);
        vub_threads(s.v); /* those that end by themselves have */
        assert_true(rss_mib(&s) < before + 40);
    }
    screen_close(&s);
}

BEHAVE_MAIN(T(the_next_driver_finds_all_memory),
            T(a_transfer_of_bytes_that_lie_apart_has_a_turn),
            T(a_column_counts_by_its_rows),
            T(images_of_a_cursor_that_lie_apart_have_turns))
