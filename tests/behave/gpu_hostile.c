/* A GPU is attacked by its guest in every way we know while others serve
 * verified I/O: what is no command is answered where there is room for that,
 * its ring goes on, and nobody else notices. */
#include <unistd.h>

#include "headless.h"
#include "neighbours.h"

struct scene {
    struct screen s;
    struct neighbours disks;
};

#define GPU ", 'worker': 'w', 'drain_timeout': 2000, 'max_memory': '64M'"
#define DEVICES                                                                \
    SCREEN(GPU ", 'scanouts': [{}, {}]")                                       \
    "," DISK("same", "'worker': 'w', ", MEMORY) "," DISK(                      \
        "other", "", MEMORY) "," DISK("d", "'worker': 'w', ", MEMORY)

static void scene_open(struct scene *scene)
{
    struct screen *s = &scene->s;

    screen_run(s, DEVICES);
    ctl_call(&s->c, "status", "{}"); /* it has been accepted then */
    ctl_need(&s->c, "result");
    neighbours_start(&scene->disks, s->v);
}

static void scene_turn(struct scene *scene)
{
    neighbours_turn(&scene->disks);
}

static void scene_close(struct scene *scene)
{
    struct footprint after = neighbours_end(&scene->disks);

    assert_int_equal(after.threads, scene->disks.before.threads);
    ctl_close(&scene->s.c);
    vub_free(scene->s.v);
}

/* ---- Chance ---- */

static uint32_t few(uint64_t *x, uint32_t n)
{
    return (uint32_t)(next(x) >> 24) % n;
}

/* Mostly small, sometimes at an end of its range. */
static uint32_t number(uint64_t *x)
{
    static const uint32_t ends[] = {UINT32_MAX, INT32_MAX, 0x80000000u,   16384,
                                    16385,      65536,     UINT32_MAX - 3};

    switch (few(x, 16)) {
    case 0:
        return ends[few(x, ARRAY_LEN(ends))];
    case 1:
        return (uint32_t)next(x);
    case 2:
        return few(x, 20000);
    default:
        return few(x, 65);
    }
}

static struct virtio_gpu_rect any_rect(uint64_t *x)
{
    return few(x, 3) ? gpu_rect(0, 0, 1 + few(x, 64), 1 + few(x, 64))
                     : gpu_rect(number(x), number(x), number(x), number(x));
}

static void any_entries(uint64_t *x, struct gpu_fb *fb,
                        struct virtio_gpu_mem_entry *e, unsigned n)
{
    for (unsigned i = 0; i < n; i++) {
        e[i] = fb->entries[few(x, fb->num)];
        if (few(x, 32) == 0)
            e[i].addr = htole64(next(x));
        if (few(x, 32) == 0)
            e[i].length = htole32(number(x));
    }
}

#define ENTRIES 8

/* A command of some sense, and how many bytes it has. */
static uint32_t any_command(uint64_t *x, struct gpu_fb *fb, uint8_t *to)
{
    struct virtio_gpu_mem_entry e[ENTRIES];
    uint32_t id = htole32(few(x, 12)), n = few(x, ENTRIES + 1), len = 24;
    uint32_t type = VIRTIO_GPU_CMD_GET_DISPLAY_INFO + few(x, 15);
    union {
        struct virtio_gpu_ctrl_hdr hdr;
        struct virtio_gpu_get_edid edid;
        struct virtio_gpu_resource_create_2d create;
        struct virtio_gpu_resource_ref ref;
        struct virtio_gpu_set_scanout scanout;
        struct virtio_gpu_resource_flush flush;
        struct virtio_gpu_transfer_to_host_2d transfer;
        struct virtio_gpu_resource_attach_backing attach;
        struct virtio_gpu_resource_create_blob blob;
        struct virtio_gpu_set_scanout_blob scanout_blob;
        struct virtio_gpu_update_cursor cursor;
    } c;

    memset(&c, 0, sizeof(c));
    any_entries(x, fb, e, ENTRIES);
    c.hdr = gpu_head(type);
    switch (type) {
    case VIRTIO_GPU_CMD_GET_EDID:
        c.edid.scanout = htole32(few(x, 4) ? few(x, 3) : number(x));
        len = sizeof(c.edid);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D:
        c.create.resource_id = id;
        c.create.format = htole32(few(x, 4) ? XRGB : number(x));
        c.create.width = htole32(few(x, 4) ? 64 : number(x));
        c.create.height = htole32(few(x, 4) ? 64 : number(x));
        len = sizeof(c.create);
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT:
        c.scanout.r = any_rect(x);
        c.scanout.scanout_id = htole32(few(x, 3));
        c.scanout.resource_id = id;
        len = sizeof(c.scanout);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_FLUSH:
        c.flush.r = any_rect(x);
        c.flush.resource_id = id;
        len = sizeof(c.flush);
        break;
    case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D:
        c.transfer.r = any_rect(x);
        c.transfer.offset = htole64(few(x, 4) ? number(x) : next(x));
        c.transfer.resource_id = id;
        len = sizeof(c.transfer);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING:
        c.attach.resource_id = id;
        c.attach.nr_entries = htole32(few(x, 8) ? n : number(x));
        len = sizeof(c.attach);
        break;
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB:
        c.blob.resource_id = id;
        c.blob.blob_mem = htole32(few(x, 8) ? 1 : number(x));
        c.blob.blob_flags = htole32(few(x, 8) ? 1 : number(x));
        c.blob.nr_entries = htole32(few(x, 8) ? n : number(x));
        c.blob.size = htole64(few(x, 8) ? 1 + few(x, 16384) : next(x));
        len = sizeof(c.blob);
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB:
        c.scanout_blob.r = any_rect(x);
        c.scanout_blob.scanout_id = htole32(few(x, 3));
        c.scanout_blob.resource_id = id;
        c.scanout_blob.width = htole32(few(x, 4) ? 64 : number(x));
        c.scanout_blob.height = htole32(few(x, 4) ? 64 : number(x));
        c.scanout_blob.format = htole32(few(x, 4) ? XRGB : number(x));
        c.scanout_blob.strides[0] = htole32(few(x, 4) ? 256 : number(x));
        c.scanout_blob.offsets[0] = htole32(few(x, 4) ? 0 : number(x));
        len = sizeof(c.scanout_blob);
        break;
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        c.hdr.type = htole32(VIRTIO_GPU_CMD_UPDATE_CURSOR + few(x, 2));
        c.cursor.pos.scanout_id = htole32(few(x, 3));
        c.cursor.pos.x = htole32(number(x));
        c.cursor.pos.y = htole32(number(x));
        c.cursor.resource_id = id;
        c.cursor.hot_x = htole32(number(x));
        c.cursor.hot_y = htole32(number(x));
        len = sizeof(c.cursor);
        break;
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB + 1:
        c.hdr.type = htole32(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
        break;
    default:
        c.ref.resource_id = id;
        len = sizeof(c.ref);
        break;
    }
    memcpy(to, &c, len);
    if (type == VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING ||
        type == VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB) {
        memcpy(to + len, e, n * sizeof(e[0]));
        len += n * (uint32_t)sizeof(e[0]);
    }
    if (few(x, 32) == 0)
        len = few(x, len + 1);
    return len;
}

/* Whoever asks for a picture has one, or is told why not. */
static void look(struct scene *scene, uint64_t *x)
{
    char params[64];

    snprintf(params, sizeof(params), "{'device': 'screen', 'scanout': %u}",
             few(x, 2));
    ctl_call(&scene->s.c, "gpu.hash", params);
    ctl_answer(&scene->s.c);
}

/* Many at a time, over both queues; each is answered. */
static void random_commands(void **state)
{
    enum { BURST = 16 };
    static const uint32_t rooms[] = {24, 24, 24, 24, 0, 23, 40, 1056};
    struct scene scene;

    (void)state;
    scene_open(&scene);
    for (unsigned seed = 1; seed <= 160; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct gpu *g = gpu_open(scene.s.v, "screen",
                                 &ring_modes[seed % ARRAY_LEN(ring_modes)]);
        struct gpu_fb *fb = gpu_fb_new(g, 64, 128, few(&x, 2) ? 4096 : 1000);
        struct gpu_req *r[BURST];

        front_note("seed %u", seed);
        gpu_fb_fill(fb, seed);
        for (unsigned i = 0; i < BURST; i++)
            r[i] = gpu_req_new(g, 512);
        for (unsigned round = 0; round < 24; round++) {
            for (unsigned i = 0; i < BURST; i++) {
                uint8_t c[512];
                uint32_t len = any_command(&x, fb, c);
                uint32_t room = rooms[few(&x, ARRAY_LEN(rooms))];
                bool cursor = len >= 24 && c[1] == 3 && few(&x, 8);

                gpu_go(cursor ? g->cursor : g->control, r[i], c, len,
                       len ? room : 24);
            }
            look(&scene, &x);
            for (unsigned i = 0; i < BURST; i++)
                while (!gpu_is_done(g->cursor, r[i]) &&
                       !gpu_is_done(g->control, r[i]))
                    if (!vq_wait_ms(g->control, 20))
                        vq_wait_ms(g->cursor, 20);
            scene_turn(&scene);
        }
        gpu_close(g);
    }
    scene_close(&scene);
}

static void put_command(void *arg, uint64_t *x, uint64_t at, uint64_t r)
{
    struct gpu_fb *fb = arg;
    uint8_t bytes[512];

    (void)r;
    front_poke(fb->g->f, at, bytes, any_command(x, fb, bytes));
}

/* Everything that the guest may write is written with chance, on both queues,
 * again and again while the device looks at it. */
static void random_rings(void **state)
{
    struct scene scene;

    (void)state;
    scene_open(&scene);
    for (unsigned seed = 1; seed <= 120; seed++) {
        uint64_t x = seed * 0x9e3779b97f4a7c15u;
        struct front_conf c = ring_modes[seed % ARRAY_LEN(ring_modes)];
        struct gpu_fb *fb;
        struct gpu *g;
        struct vq *q;
        uint64_t data;

        front_note("seed %u", seed);
        c.size = 16;
        g = gpu_open(scene.s.v, "screen", &c);
        q = g->f->vq[seed / 8 % 2];
        fb = gpu_fb_new(g, 64, 64, 1024);
        data = front_alloc(g->f, 65536, 4096);
        for (unsigned round = 0; round < 8; round++) {
            scrawl(q, &x, data, round % 2 == 0, seed % 7 == 0, put_command, fb);
            scene_turn(&scene);
            mend(q);
        }
        gpu_close(g);
    }
    scene_close(&scene);
}

/* ---- Those who want too much ---- */

/* Transfers as large as there is memory for, one after the other. */
static void a_greedy_guest_starves_nobody(void **state)
{
    const struct front_conf conf = {.mem_bytes = 96 << 20};
    struct virtio_gpu_transfer_to_host_2d all =
        gpu_transfer_cmd(1, 0, 0, 4096, 4096, 0);
    struct gpu_req *r[8];
    struct scene scene;
    struct gpu_fb *fb;
    struct gpu *g;

    (void)state;
    scene_open(&scene);
    g = gpu_open(scene.s.v, "screen", &conf);
    fb = gpu_fb_new(g, 4096, 4096, 4096);
    gpu_show(g, 0, 1, XRGB, fb);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        r[i] = gpu_req_new(g, sizeof(all));
        gpu_go(g->control, r[i], &all, sizeof(all), 24);
    }
    for (unsigned round = 0; round < 100; round++) {
        vq_notify(g->control);
        for (unsigned i = 0; i < ARRAY_LEN(r); i++)
            if (gpu_is_done(g->control, r[i]))
                gpu_go(g->control, r[i], &all, sizeof(all), 24);
        scene_turn(&scene);
    }
    gpu_close(g);
    scene_close(&scene);
}

/* Resources as many and as large as there may be, again and again. */
static void hoarders_get_no_more_than_there_is(void **state)
{
    struct scene scene;

    (void)state;
    scene_open(&scene);
    for (unsigned round = 0; round < 4; round++) {
        struct gpu *g = gpu_open(scene.s.v, "screen", NULL);
        uint32_t id = 1, refused = 0;

        while (refused < 20 && id < 300) {
            uint32_t type = gpu_create(g, id, XRGB, 512, 512 - id % 7);

            refused += type == VIRTIO_GPU_RESP_ERR_OUT_OF_MEMORY;
            id++;
        }
        assert_int_equal(refused, 20);
        assert_true(screen_stat(&scene.s, "bytes") <= 64 << 20);
        scene_turn(&scene);
        /* Memory is taken as it is written to, and given back. */
        for (uint32_t i = 1; i < id; i += 2)
            gpu_unref(g, i);
        gpu_close(g);
    }
    scene_close(&scene);
}

/* ---- Memory that goes ---- */

/* It is taken away in the middle of a transfer, by a message, in which case
 * the transfer is answered with an error, or has been whole before; or without
 * one, which ends the session. */
static void memory_goes_in_the_middle_of_a_transfer(void **state)
{
    struct virtio_gpu_transfer_to_host_2d all =
        gpu_transfer_cmd(1, 0, 0, 4096, 3000, 0);
    struct scene scene;

    (void)state;
    scene_open(&scene);
    for (unsigned round = 0; round < 24; round++) {
        struct front_conf conf = ring_modes[round % ARRAY_LEN(ring_modes)];
        struct front *f = front_connect(scene.s.v, "screen");
        struct gpu_req *r;
        struct gpu_fb *fb;
        struct gpu *g;

        front_note("round %u, %s", round, mode_name(&conf));
        front_region_add(f, 0, 16 << 20);
        front_region_add(f, UINT64_C(1) << 32, 64 << 20);
        front_set_up(f, &conf);
        g = gpu_on(f);
        fb = gpu_fb_new_in(g, 1, 4096 * 3000 * 4, 4096);
        gpu_need(gpu_create(g, 1, XRGB, 4096, 3000), OK_NODATA);
        gpu_need(gpu_attach(g, 1, fb->entries, fb->num), OK_NODATA);
        gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 4096, 3000), OK_NODATA);
        r = gpu_req_new(g, sizeof(all));
        gpu_go(g->control, r, &all, sizeof(all), 24);
        if (round % 3) {
            uint32_t type;

            front_region_untell(f, 1);
            type = gpu_wait(g->control, r);
            assert_true(type == VIRTIO_GPU_RESP_OK_NODATA ||
                        type == VIRTIO_GPU_RESP_ERR_UNSPEC);
            gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, 0), ERR_UNSPEC);
            gpu_need(gpu_flush(g, 1, 0, 0, 4096, 3000), OK_NODATA);
        } else {
            assert_int_equal(ftruncate(f->region[1].fd, 4096), 0);
            scene_turn(&scene);
        }
        gpu_close(g);
        scene_turn(&scene);
    }
    scene_close(&scene);
}

/* They hang up with transfers under way and pictures on show; the next one is
 * served all the same. */
static void guests_go_in_the_middle_of_everything(void **state)
{
    struct virtio_gpu_transfer_to_host_2d all =
        gpu_transfer_cmd(1, 0, 0, 2048, 2048, 0);
    struct scene scene;
    struct gpu *last;

    (void)state;
    scene_open(&scene);
    for (unsigned i = 0; i < 24; i++) {
        struct front_conf conf = ring_modes[i % ARRAY_LEN(ring_modes)];
        struct gpu *g = gpu_open(scene.s.v, "screen", &conf);
        struct gpu_fb *fb = gpu_fb_new(g, 2048, 2048, 4096);

        front_note("round %u, %s", i, mode_name(&conf));
        gpu_show(g, 0, 1, XRGB, fb);
        gpu_show_blob(g, 1, 2, XRGB, fb);
        ctl_call(&scene.s.c, "gpu.hash",
                 i % 2 ? "{'device': 'screen'}"
                       : "{'device': 'screen', 'scanout': 1}");
        for (unsigned k = 0; k < 1 + i % 4; k++)
            gpu_go(g->control, gpu_req_new(g, sizeof(all)), &all, sizeof(all),
                   24);
        if (i % 5 == 0)
            front_ok(g->f, WIRE_RESET_DEVICE, NULL, 0, NULL, 0);
        gpu_close(g);
        ctl_answer(&scene.s.c);
        scene_turn(&scene);
    }
    last = gpu_open(scene.s.v, "screen", NULL);
    gpu_need(gpu_create(last, 77, XRGB, 8, 8), OK_NODATA);
    gpu_close(last);
    scene_close(&scene);
}

BEHAVE_MAIN(T(random_commands), T(random_rings),
            T(a_greedy_guest_starves_nobody),
            T(hoarders_get_no_more_than_there_is),
            T(memory_goes_in_the_middle_of_a_transfer),
            T(guests_go_in_the_middle_of_everything))
