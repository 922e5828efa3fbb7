/* What a GPU refuses, each by the error that the spec has for it: mistakes,
 * commands that there are not, and what is beyond a bound. None of it hurts. */
#include "headless.h"

static const char one[] = SCREEN("");

/* ---- Mistakes ---- */

static void each_mistake_has_its_error(struct screen *s)
{
    struct gpu *g = s->g;
    struct gpu_fb *fb = gpu_fb_new(g, 32, 16, 512);
    struct virtio_gpu_mem_entry outside = {htole64(UINT64_C(1) << 40),
                                           htole32(4096), 0};
    struct virtio_gpu_mem_entry wraps = {htole64(UINT64_MAX - 10),
                                         htole32(4096), 0};
    struct virtio_gpu_mem_entry empty = {fb->entries[0].addr, 0, 0};

    /* CREATE_2D */
    gpu_need(gpu_create(g, 0, XRGB, 8, 8), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create(g, 1, XRGB, 0, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 8, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 16385, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 1, 16385), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, UINT32_MAX, UINT32_MAX),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, 0, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, 5, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, UINT32_MAX, 8, 8), ERR_INVALID_PARAMETER);
    gpu_need(gpu_create(g, 1, XRGB, 16384, 16384), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(g, UINT32_MAX, XRGB, 32, 16), OK_NODATA);
    gpu_need(gpu_create(g, UINT32_MAX, XRGB, 32, 16), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create(g, 1, XRGB, 32, 16), OK_NODATA);
    /* Of ids that there are not. */
    gpu_need(gpu_unref(g, 2), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_attach(g, 2, fb->entries, fb->num), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_detach(g, 2), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_transfer(g, 2, 0, 0, 1, 1, 0), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_flush(g, 2, 0, 0, 1, 1), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_set_scanout(g, 0, 2, 0, 0, 1, 1), ERR_INVALID_RESOURCE_ID);
    /* Backings. */
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 16, 0), ERR_UNSPEC);
    gpu_need(gpu_detach(g, 1), ERR_UNSPEC);
    gpu_need(gpu_attach(g, 1, NULL, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &empty, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &outside, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, &wraps, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_attach(g, 1, fb->entries, fb->num), OK_NODATA);
    gpu_need(gpu_attach(g, 1, fb->entries, fb->num), ERR_UNSPEC);
    /* Rectangles, in the picture and in the backing. */
    gpu_need(gpu_transfer(g, 1, 0, 0, 33, 16, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 17, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 1, 0, 32, 16, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, UINT32_MAX, 0, 1, 1, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, UINT32_MAX, 1, UINT32_MAX, 0),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 0, 1, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 32, 16, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, 2045), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, 2044), OK_NODATA);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX - 3),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 31, 15, 1, 1, 0), OK_NODATA);
    gpu_need(gpu_flush(g, 1, 0, 0, 33, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 0, 16, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, UINT32_MAX, UINT32_MAX, 2, 2),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, 31, 15, 1, 1), OK_NODATA);
    /* Scanouts. */
    gpu_need(gpu_set_scanout(g, 1, 1, 0, 0, 32, 16), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout(g, 16, 1, 0, 0, 32, 16), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_scanout_off(g, UINT32_MAX), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 33, 16), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 32, 0, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 0, 0), ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, UINT32_MAX, 1, 2),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout(g, 0, 1, 31, 15, 1, 1), OK_NODATA);
    /* None of it has hurt. */
    gpu_need(gpu_unref(g, 1), OK_NODATA);
    gpu_need(gpu_unref(g, 1), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, UINT32_MAX), OK_NODATA);
    assert_int_equal(screen_stat(s, "count"), 0);
}

static void mistakes_have_the_spec_s_errors(void **state)
{
    (void)state;
    on_all_rings(one, each_mistake_has_its_error);
}

static void mistakes_with_blobs(void **state)
{
    static const struct gpu_blob_view bad[] = {
        {XRGB, 0, 16, 128, 0, {0, 0, 1, 1}},
        {XRGB, 32, 0, 128, 0, {0, 0, 1, 1}},
        {XRGB, 16385, 1, 65540, 0, {0, 0, 1, 1}},
        {XRGB, 1, 16385, 4, 0, {0, 0, 1, 1}},
        {0, 32, 16, 128, 0, {0, 0, 32, 16}},
        {6, 32, 16, 128, 0, {0, 0, 32, 16}},
        {XRGB, 32, 16, 124, 0, {0, 0, 32, 16}}, /* rows overlap */
        {XRGB, 31, 16, 126, 0, {0, 0, 31, 16}}, /* no whole pixels */
        {XRGB, 32, 16, 128, 2, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 16, 128, 4, {0, 0, 32, 16}}, /* beyond its end */
        {XRGB, 32, 16, 132, 0, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 17, 128, 0, {0, 0, 32, 16}}, /* likewise */
        {XRGB, 32, 16, UINT32_MAX - 3, 0, {0, 0, 1, 1}},
        {XRGB, 32, 1, 128, UINT32_MAX - 3, {0, 0, 1, 1}},
        {XRGB, 32, 16, 128, 0, {0, 0, 33, 16}},
        {XRGB, 32, 16, 128, 0, {1, 0, 32, 16}},
        {XRGB, 32, 16, 128, 0, {0, 16, 32, 1}},
        {XRGB, 32, 16, 128, 0, {0, 0, 0, 0}},
        {XRGB, 32, 16, 128, 0, {UINT32_MAX, 0, 2, 1}},
    };
    const struct gpu_blob_view good = {XRGB, 32, 16, 128, 0, {0, 0, 32, 16}};
    struct virtio_gpu_resource_create_blob c = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
        .resource_id = htole32(1),
        .blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
        .size = htole64(4096),
    };
    struct virtio_gpu_mem_entry outside = {htole64(UINT64_C(1) << 40),
                                           htole32(4096), 0};
    struct gpu_fb *fb;
    struct screen s;
    struct gpu *g;

    (void)state;
    screen_open(&s, one, NULL);
    g = s.g;
    fb = gpu_fb_new(g, 32, 16, 512);
    gpu_need(gpu_create_blob(g, 0, 2048, fb->entries, fb->num),
             ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_create_blob(g, 1, 0, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, 2049, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, UINT64_MAX, fb->entries, fb->num),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_create_blob(g, 1, 4096, &outside, 1), ERR_INVALID_PARAMETER);
    for (uint32_t mem = 0; mem < 5; mem++) {
        c.blob_mem = htole32(mem);
        if (mem != VIRTIO_GPU_BLOB_MEM_GUEST)
            gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_PARAMETER);
    }
    c.blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST);
    c.blob_flags = htole32(8);
    gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_PARAMETER);
    c.blob_flags = htole32(7);
    gpu_need(gpu_do(g, &c, sizeof(c)), OK_NODATA);
    gpu_need(gpu_do(g, &c, sizeof(c)), ERR_INVALID_RESOURCE_ID);
    gpu_need(gpu_unref(g, 1), OK_NODATA);

    gpu_need(gpu_create(g, 2, XRGB, 32, 16), OK_NODATA);
    gpu_need(gpu_create_blob(g, 1, 2048, fb->entries, fb->num), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(bad); i++) {
        front_note("picture %u", i);
        gpu_need(gpu_set_scanout_blob(g, 0, 1, &bad[i]), ERR_INVALID_PARAMETER);
    }
    gpu_need(gpu_set_scanout_blob(g, 1, 1, &good), ERR_INVALID_SCANOUT_ID);
    gpu_need(gpu_set_scanout_blob(g, 0, 3, &good), ERR_INVALID_RESOURCE_ID);
    /* Each kind has its command. */
    gpu_need(gpu_set_scanout_blob(g, 0, 2, &good), ERR_UNSPEC);
    gpu_need(gpu_set_scanout(g, 0, 1, 0, 0, 32, 16), ERR_UNSPEC);
    gpu_need(gpu_set_scanout_blob(g, 0, 1, &good), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(g, 0, 0, &good), OK_NODATA);
    screen_need_nothing(&s, 0, "shows nothing");
    gpu_need(gpu_flush(g, 1, 0, 0, 16385, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_flush(g, 1, UINT32_MAX, 0, 1, 1), ERR_INVALID_PARAMETER);
    gpu_need(gpu_transfer(g, 1, 0, 0, 1, 1, UINT64_MAX - 3),
             ERR_INVALID_PARAMETER);
    screen_close(&s);
}

static void commands_there_are_not(void **state)
{
    struct virtio_gpu_ctrl_hdr h;
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    for (uint32_t type = 0; type < 0x400; type++) {
        uint8_t bytes[256] = {0};
        bool there = type >= VIRTIO_GPU_CMD_GET_DISPLAY_INFO &&
                     type <= VIRTIO_GPU_CMD_SET_SCANOUT_BLOB &&
                     type != VIRTIO_GPU_CMD_GET_CAPSET &&
                     type != VIRTIO_GPU_CMD_GET_CAPSET_INFO;
        bool cursor = type == VIRTIO_GPU_CMD_UPDATE_CURSOR ||
                      type == VIRTIO_GPU_CMD_MOVE_CURSOR;

        front_note("command %#x", type);
        h = gpu_head(type);
        memcpy(bytes, &h, sizeof(h));
        if (!there)
            gpu_need(gpu_do(s.g, bytes, sizeof(bytes)), ERR_UNSPEC);
        if (!cursor)
            gpu_need(gpu_ask(s.g->cursor, bytes, sizeof(bytes), NULL, 24),
                     ERR_UNSPEC);
    }
    h = gpu_head(UINT32_MAX);
    gpu_need(gpu_do(s.g, &h, sizeof(h)), ERR_UNSPEC);
    assert_true(screen_stat(&s, "errors") > 1000);
    screen_close(&s);
}

static void a_command_needs_the_feature_that_has_it(void **state)
{
    static const uint64_t features[] = {
        FEATURE(VIRTIO_GPU_F_EDID),
        FEATURE(VIRTIO_GPU_F_RESOURCE_UUID),
        FEATURE(VIRTIO_GPU_F_RESOURCE_BLOB),
    };
    struct vub *v = vub_start("%s", one);

    (void)state;
    for (unsigned i = 0; i < ARRAY_LEN(features); i++) {
        const struct front_conf conf = {.features_off = features[i]};
        struct gpu *g = gpu_open(v, "screen", &conf);
        struct gpu_fb *fb = gpu_fb_new(g, 8, 8, 0);
        const struct gpu_blob_view view = {XRGB, 8, 8, 32, 0, {0, 0, 8, 8}};
        uint8_t edid[VIRTIO_GPU_EDID_BYTES], uuid[16];
        uint32_t len;

        gpu_need(gpu_create(g, 1, XRGB, 8, 8), OK_NODATA);
        if (i == 0)
            gpu_need(gpu_edid(g, 0, edid, &len), ERR_UNSPEC);
        else
            gpu_need(gpu_edid(g, 0, edid, &len), OK_EDID);
        if (i == 1)
            gpu_need(gpu_assign_uuid(g, 1, uuid), ERR_UNSPEC);
        else
            gpu_need(gpu_assign_uuid(g, 1, uuid), OK_RESOURCE_UUID);
        if (i == 2) {
            gpu_need(gpu_create_blob(g, 2, 256, fb->entries, 1), ERR_UNSPEC);
            gpu_need(gpu_set_scanout_blob(g, 0, 2, &view), ERR_UNSPEC);
        } else {
            gpu_need(gpu_create_blob(g, 2, 256, fb->entries, 1), OK_NODATA);
            gpu_need(gpu_set_scanout_blob(g, 0, 2, &view), OK_NODATA);
        }
        gpu_close(g);
    }
    vub_free(v);
}

/* ---- Bounds ---- */

/* Each shows a picture of its own. */
static void there_may_be_16_scanouts(void **state)
{
    struct virtio_gpu_display_one d[VIRTIO_GPU_MAX_SCANOUTS];
    struct virtio_gpu_config c;
    struct screen s;

    (void)state;
    screen_open(&s,
                SCREEN(", 'scanouts': [{}, {}, {}, {}, {}, {}, {}, {}, {}, {},"
                       " {}, {}, {}, {}, {}, {'width': 640, 'height': 480}]"),
                NULL);
    gpu_config(s.g, &c);
    assert_int_equal(le32_load(&c.num_scanouts), 16);
    gpu_need(gpu_display_info(s.g, d), OK_DISPLAY_INFO);
    for (uint32_t i = 0; i < 15; i++)
        need_display(&d[i], i * 1280, 1280, 800);
    need_display(&d[15], 15 * 1280, 640, 480);
    for (uint32_t i = 0; i < 16; i++) {
        struct gpu_fb *fb = gpu_fb_new(s.g, 1, 1, 0);

        gpu_fb_write(fb, 0, &(le32){htole32(0x102030 + i)}, 4);
        gpu_show(s.g, i, i + 1, XRGB, fb);
        gpu_draw(s.g, i + 1, fb, 0, 0, 1, 1);
    }
    for (uint32_t i = 0; i < 16; i++)
        screen_need(&s, i, true, &(uint32_t){0x102030 + i}, 1, 1);
    gpu_need(gpu_set_scanout(s.g, 16, 1, 0, 0, 1, 1), ERR_INVALID_SCANOUT_ID);
    screen_close(&s);
}

static void pictures_take_max_memory_at_most(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, SCREEN(", 'max_memory': '1M'"), NULL);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 513), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 512), OK_NODATA);
    gpu_need(gpu_create(s.g, 2, XRGB, 1, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_unref(s.g, 1), OK_NODATA);
    gpu_need(gpu_create(s.g, 1, XRGB, 512, 256), OK_NODATA);
    gpu_need(gpu_create(s.g, 2, XRGB, 512, 257), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 2, XRGB, 512, 256), OK_NODATA);
    assert_int_equal(screen_stat(&s, "max_memory"), 1 << 20);
    assert_int_equal(screen_stat(&s, "bytes"), 512 * 512 * 4);
    /* A blob is the guest's own memory; its picture is not larger either. */
    gpu_need(gpu_create_blob(s.g, 3, UINT64_C(1) << 40, NULL, 0), OK_NODATA);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 3,
                                  &(struct gpu_blob_view){
                                      XRGB, 512, 513, 2048, 0, {0, 0, 1, 1}}),
             ERR_INVALID_PARAMETER);
    gpu_need(gpu_set_scanout_blob(s.g, 0, 3,
                                  &(struct gpu_blob_view){
                                      XRGB, 512, 512, 2048, 0, {0, 0, 1, 1}}),
             OK_NODATA);
    screen_close(&s);
}

static void there_may_be_4096_resources(void **state)
{
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    for (uint32_t id = 1; id <= 4096; id++)
        gpu_need(gpu_create_blob(s.g, id * 7, 4, NULL, 0), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 1, 4, NULL, 0), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_create(s.g, 1, XRGB, 1, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_unref(s.g, 7 * 4096), OK_NODATA);
    gpu_need(gpu_create(s.g, 1, XRGB, 1, 1), OK_NODATA);
    assert_int_equal(screen_stat(&s, "count"), 4096);
    screen_close(&s);
}

/* As Linux sends them: the command in a page, 65536 entries in 256 more. */
static void a_backing_may_have_65536_entries(void **state)
{
    const struct front_conf conf = {.size = 512, .mem_bytes = 512 << 20};
    struct virtio_gpu_mem_entry *many = front_calloc(65537, sizeof(*many));
    struct gpu_fb *fb;
    struct screen s;
    uint32_t *rgb;

    (void)state;
    screen_open(&s, one, &conf);
    fb = gpu_fb_new(s.g, 8192, 8192, 4096);
    assert_int_equal(fb->num, 65536);
    memcpy(many, fb->entries, 65536 * sizeof(*many));
    many[65536] = many[0];
    gpu_fb_fill(fb, 3);
    gpu_need(gpu_create(s.g, 1, XRGB, 8192, 8192), OK_NODATA);
    gpu_need(gpu_attach_paged(s.g, 1, many, 65536), OK_NODATA);
    gpu_need(gpu_set_scanout(s.g, 0, 1, 8000, 8000, 192, 192), OK_NODATA);
    gpu_need(gpu_transfer(s.g, 1, 0, 0, 8192, 8192, 0), OK_NODATA);
    rgb = front_calloc(192 * 192, sizeof(*rgb));
    for (unsigned i = 0; i < 192 * 192; i++) {
        uint8_t pixel[4];

        gpu_fb_read(fb,
                    ((uint64_t)(8000 + i / 192) * 8192 + 8000 + i % 192) * 4,
                    pixel, 4);
        rgb[i] = screen_rgb(&screen_formats[1], pixel);
    }
    screen_need(&s, 0, false, rgb, 192, 192);
    free(rgb);
    /* One more is one too many; of all resources, four times as many. */
    gpu_need(gpu_create_blob(s.g, 2, 4096, NULL, 0), OK_NODATA);
    gpu_need(gpu_attach_paged(s.g, 2, many, 65537), ERR_INVALID_PARAMETER);
    for (uint32_t id = 2; id < 5; id++) {
        if (id > 2)
            gpu_need(gpu_create_blob(s.g, id, 4096, NULL, 0), OK_NODATA);
        gpu_need(gpu_attach_paged(s.g, id, many, 65536), OK_NODATA);
    }
    gpu_need(gpu_create_blob(s.g, 5, 4096, many, 1), ERR_OUT_OF_MEMORY);
    gpu_need(gpu_detach(s.g, 3), OK_NODATA);
    gpu_need(gpu_create_blob(s.g, 5, 4096, many, 1), OK_NODATA);
    free(many);
    screen_close(&s);
}

BEHAVE_MAIN(T(mistakes_have_the_spec_s_errors), T(mistakes_with_blobs),
            T(commands_there_are_not),
            T(a_command_needs_the_feature_that_has_it),
            T(there_may_be_16_scanouts), T(pictures_take_max_memory_at_most),
            T(there_may_be_4096_resources), T(a_backing_may_have_65536_entries))
