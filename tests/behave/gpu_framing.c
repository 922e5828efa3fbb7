/* In which pieces commands to a GPU may come, what becomes of those that are
 * too short or leave too little room for an answer, and the order of answers,
 * on every kind of ring. */
#include "headless.h"

static const char one[] = SCREEN("");

/* ---- Framing ---- */

#define ONES 1, 1, 1, 1, 1, 1, 1, 1

static const uint32_t framings[][128] = {
    {0},
    {24, 0},
    {23, 0},
    {25, 0},
    {ONES, ONES, ONES, 0},
    {ONES, ONES, ONES, ONES, 0},
    {7, 9, 3, 13, 1, 2, 2, 30, 0},
};

static void send_in_pieces(struct screen *s)
{
    struct gpu *g = s->g;
    struct gpu_fb *fb = gpu_fb_new(g, 8, 4, 64);
    struct {
        struct virtio_gpu_resource_create_blob c;
        struct virtio_gpu_mem_entry entries[2];
    } blob = {
        {
            .hdr = gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB),
            .resource_id = htole32(2),
            .blob_mem = htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
            .nr_entries = htole32(2),
            .size = htole64(128),
        },
        {fb->entries[0], fb->entries[1]},
    };
    const struct virtio_gpu_ctrl_hdr info =
        gpu_head(VIRTIO_GPU_CMD_GET_DISPLAY_INFO);
    const struct virtio_gpu_resource_create_2d create = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D), htole32(1), htole32(XRGB),
        htole32(8), htole32(4)};
    const struct virtio_gpu_resource_ref unref[] = {
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_UNREF), htole32(1), 0},
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_UNREF), htole32(2), 0},
    };
    const struct virtio_gpu_update_cursor hide = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_UPDATE_CURSOR)};
    struct virtio_gpu_resp_display_info resp;

    for (unsigned i = 0; i < ARRAY_LEN(framings); i++)
        for (unsigned k = 0; k < ARRAY_LEN(framings); k++) {
            const uint32_t *out = framings[i], *in = framings[k];

            /* A cut may be longer than a request. */
            if (i == 6 && k == 6)
                continue;
            front_note("framings %u, %u", i, k);
            gpu_need(gpu_cut(g->control, &blob, sizeof(blob), NULL, 24,
                             i == 6 ? framings[4] : out, NULL),
                     OK_NODATA);
            gpu_need(gpu_cut(g->control, &create, sizeof(create), NULL, 24,
                             i < 5 ? out : NULL, NULL),
                     OK_NODATA);
            gpu_need(gpu_cut(g->control, &info, sizeof(info), &resp,
                             sizeof(resp), i == 4 ? out : NULL, in),
                     OK_DISPLAY_INFO);
            need_display(&resp.pmodes[0], 0, 1280, 800);
            need_display(&resp.pmodes[15], 0, 0, 0);
            gpu_need(gpu_cut(g->cursor, &hide, sizeof(hide), NULL, 24,
                             i < 5 ? out : NULL, k == 4 ? in : NULL),
                     OK_NODATA);
            for (unsigned n = 0; n < 2; n++)
                gpu_need(gpu_cut(g->control, &unref[n], sizeof(unref[n]), NULL,
                                 24, i < 5 ? out : NULL, k == 4 ? in : NULL),
                         OK_NODATA);
        }
}

static void commands_may_lie_in_any_pieces(void **state)
{
    (void)state;
    on_all_rings(one, send_in_pieces);
}

/* A request of every length short of whole: an error where there is room for
 * one. And room of every length short of a whole response. */
static void send_too_little(struct screen *s)
{
    const struct virtio_gpu_set_scanout_blob blob = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB)};
    const struct virtio_gpu_resource_create_2d create = {
        gpu_head(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D), htole32(1), htole32(XRGB),
        htole32(8), htole32(4)};
    const struct virtio_gpu_update_cursor hide = {
        .hdr = gpu_head(VIRTIO_GPU_CMD_UPDATE_CURSOR)};
    const struct virtio_gpu_get_edid edid = {gpu_head(VIRTIO_GPU_CMD_GET_EDID),
                                             0, 0};

    for (uint32_t len = 0; len < sizeof(blob); len++) {
        front_note("%u bytes", len);
        gpu_need(gpu_do(s->g, &blob, len), ERR_INVALID_PARAMETER);
    }
    for (uint32_t len = 0; len < sizeof(create); len++)
        gpu_need(gpu_do(s->g, &create, len), ERR_INVALID_PARAMETER);
    for (uint32_t len = 0; len < sizeof(hide); len++)
        gpu_need(gpu_ask(s->g->cursor, &hide, len, NULL, 24),
                 ERR_INVALID_PARAMETER);
    for (uint32_t room = 1; room < sizeof(struct virtio_gpu_resp_edid);
         room += room < 40 ? 1 : 97) {
        uint32_t type;

        front_note("room for %u bytes", room);
        type = gpu_ask(s->g->control, &edid, sizeof(edid), NULL, room);
        assert_int_equal(type,
                         room < 24 ? GPU_NO_RESPONSE : VIRTIO_GPU_RESP_OK_EDID);
    }
    /* It is done all the same. */
    assert_int_equal(gpu_ask(s->g->control, &create, sizeof(create), NULL, 0),
                     GPU_NO_RESPONSE);
    gpu_need(gpu_unref(s->g, 1), OK_NODATA);
}

static void short_requests_and_little_room(void **state)
{
    (void)state;
    on_all_rings(one, send_too_little);
}

/* As many entries as the command says, no more and no fewer. */
static void entries_are_counted(void **state)
{
    struct {
        struct virtio_gpu_resource_attach_backing c;
        struct virtio_gpu_mem_entry entries[4];
    } attach = {
        {gpu_head(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING), htole32(1), 0}};
    static const uint32_t wrong[] = {0,     1,          3,          65536,
                                     65537, UINT32_MAX, 0x10000001, 0x10000002};
    const uint32_t len = sizeof(attach.c) + 2 * sizeof(attach.entries[0]);
    struct gpu_fb *fb;
    struct screen s;

    (void)state;
    screen_open(&s, one, NULL);
    fb = gpu_fb_new(s.g, 8, 8, 64);
    memcpy(attach.entries, fb->entries, sizeof(attach.entries));
    gpu_need(gpu_create(s.g, 1, XRGB, 8, 8), OK_NODATA);
    for (unsigned i = 0; i < ARRAY_LEN(wrong); i++) {
        front_note("%u entries", wrong[i]);
        attach.c.nr_entries = htole32(wrong[i]);
        gpu_need(gpu_do(s.g, &attach, len), ERR_INVALID_PARAMETER);
    }
    attach.c.nr_entries = htole32(2);
    for (uint32_t off = 1; off < 16; off++) {
        gpu_need(gpu_do(s.g, &attach, len - off), ERR_INVALID_PARAMETER);
        gpu_need(gpu_do(s.g, &attach, len + off), ERR_INVALID_PARAMETER);
    }
    gpu_need(gpu_do(s.g, &attach, len), OK_NODATA);
    screen_close(&s);
}

/* ---- Fences ---- */

static void keep_many_under_way(struct screen *s)
{
    struct gpu_req *r[24];

    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        struct virtio_gpu_resource_ref c = {
            gpu_head(i % 3 ? VIRTIO_GPU_CMD_RESOURCE_UNREF
                           : VIRTIO_GPU_CMD_GET_DISPLAY_INFO),
            htole32(i), 0};

        r[i] = gpu_req_new(s->g, sizeof(c));
        /* With and without; the ring's index only where it is said. */
        s->g->no_fences = i % 4 == 0;
        if (i % 4 == 1) {
            c.hdr.flags = htole32(VIRTIO_GPU_FLAG_FENCE |
                                  VIRTIO_GPU_FLAG_INFO_RING_IDX | 0xf0);
            c.hdr.fence_id = htole64(UINT64_MAX - i);
        }
        c.hdr.ctx_id = htole32(0x80000000u + i);
        c.hdr.ring_idx = (uint8_t)(i + 1);
        memset(c.hdr.padding, 0xaa, 3);
        memcpy(r[i]->req, &c, sizeof(c));
        if (!gpu_add(s->g->control, r[i], sizeof(c), i % 3 ? 24 : 408))
            front_fail("the ring is full");
    }
    s->g->no_fences = false;
    vq_kick(s->g->control);
    for (unsigned i = 0; i < ARRAY_LEN(r); i++) {
        gpu_wait(s->g->control, r[i]);
        if (i > 0)
            assert_int_equal(r[i]->order, r[i - 1]->order + 1);
        assert_int_equal(r[i]->type,
                         i % 3 ? VIRTIO_GPU_RESP_ERR_INVALID_RESOURCE_ID
                               : VIRTIO_GPU_RESP_OK_DISPLAY_INFO);
        gpu_req_free(r[i]);
    }
}

static void fences_come_back_in_order(void **state)
{
    (void)state;
    on_all_rings(one, keep_many_under_way);
}

BEHAVE_MAIN(T(commands_may_lie_in_any_pieces),
            T(short_requests_and_little_room), T(entries_are_counted),
            T(fences_come_back_in_order))
