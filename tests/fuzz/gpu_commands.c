/* Commands of the input's: mostly such that there is something to them.
 *
 * What a command is made of is taken from small sets, so that ids meet, and
 * from what the model has, so that rectangles lie about the borders of what
 * there is. The byte `how` says how it lies in its chain; 0: as drivers do it.
 *
 *     bits 0..3  0: one descriptor each way; else how it is cut
 *     bit 4      with a fence
 *     bits 5..7  0..4: as it should be; 5: room for an answer that is too
 *                small; 6: too little is sent; 7: more of both than is needed
 */
#include <string.h>

#include "gpu.h"

/* ---- what there is to say ---- */

static uint32_t any_u32(void)
{
    static const uint32_t odd[] = {0,      1,          0x7fffffff, 0x80000000,
                                   0x4000, 0xfffffffc, 0xffffffff, 0x4001};
    uint8_t b = u8();

    return b < ARRAY_LEN(odd) ? odd[b] : b < 200 ? b : u32();
}

/* Mostly one of those with 64 pixels a side, which a cursor must have. */
static uint32_t side(void)
{
    static const uint32_t sides[] = {64, 64, 64, 1,  2,   3,   15,    16,
                                     17, 33, 63, 65, 100, 128, 16384, 0};
    uint8_t b = u8();

    return b < 240 ? sides[b % ARRAY_LEN(sides)] : any_u32();
}

static uint32_t format(void)
{
    static const uint32_t formats[] = {1, 2, 3, 4, 67, 68, 121, 134};
    uint8_t b = u8();

    return b < 248 ? formats[b % ARRAY_LEN(formats)] : any_u32();
}

static unsigned resource(void)
{
    uint8_t b = u8();

    /* Three of them, mostly. */
    return b < 192 ? 1 + b % 3 : b % IDS;
}

static uint32_t scanout(void)
{
    uint8_t b = u8();

    return b < 224 ? b % SCANOUTS : b < 250 ? b % 20u : any_u32();
}

/* A place in [0, end], or about its border. */
static uint32_t place_in(uint32_t end)
{
    uint8_t b = u8();

    switch (b >> 5) {
    case 0:
        return 0;
    case 1:
        return b & 31;
    case 2:
        return end / 2;
    case 3:
        return end - 1;
    case 4:
        return end;
    case 5:
        return end + 1;
    case 6:
        return end ? b % end : 0;
    default:
        return any_u32();
    }
}

static struct virtio_gpu_rect rect(uint32_t width, uint32_t height)
{
    uint32_t x = 0, y = 0, w = width, h = height;
    uint8_t b = u8();

    if (b & 1) {
        x = place_in(width);
        w = b & 2 ? place_in(width) : width - x;
    }
    if (b & 4) {
        y = place_in(height);
        h = b & 8 ? place_in(height) : height - y;
    }
    return (struct virtio_gpu_rect){htole32(x), htole32(y), htole32(w),
                                    htole32(h)};
}

/* One entry of at most len bytes. */
static struct virtio_gpu_mem_entry entry(uint32_t len)
{
    static const uint64_t at[] = {
        0x13000,            /* in the first region */
        0x18000,            /* the second one's start */
        0x40000,            /* the third one's */
        0x48001,            /* in it, nowhere in particular */
        0x17ff0,            /* crosses from the first to the second */
        0x1fff0,            /* out of the second */
        0x4fff0,            /* out of the third */
        0x30000,            /* nowhere */
        0x60100,            /* in the one that may shrink */
        0xfffffffffffffff0, /* the end of all */
    };
    uint8_t b = u8();
    uint64_t gpa = at[b % ARRAY_LEN(at)];

    switch (b >> 6) {
    case 1:
        gpa += u8() * 16u;
        break;
    case 2:
        len = MIN(len, 1 + u8() * 5u);
        break;
    case 3:
        len = b > 240 ? any_u32() : MIN(len, 4096);
        break;
    default:
        len = MIN(len, 0x4000);
    }
    return (struct virtio_gpu_mem_entry){htole64(gpa), htole32(len), 0};
}

/* What holds `bytes`, or so: how many entries were written to e. */
static uint32_t entries(struct virtio_gpu_mem_entry *e, uint64_t bytes)
{
    uint8_t b = u8();
    uint32_t max = b & 64 ? 1 + b % 8u : 150, n = 0;

    if (!(b & 128)) { /* it does, from an honest guest */
        while (bytes > 0 && n < max) {
            uint32_t len = (uint32_t)MIN(bytes, b & 32 ? 0x1000 : 0x8000);

            e[n] = (struct virtio_gpu_mem_entry){
                htole64(0x40000 +
                        ((uint64_t)n * 0x3000 + (b & 15) * 0x110u) % 0x8000u),
                htole32(len), 0};
            n++;
            bytes -= len;
        }
        return n;
    }
    while (bytes > 0 && n < max) {
        e[n] = entry((uint32_t)MIN(bytes, UINT32_MAX));
        bytes -= MIN(bytes, le32toh(e[n].length));
        n++;
    }
    return n;
}

/* ---- how it is sent ---- */

static void send_it(unsigned ring, struct place *p, size_t len, uint32_t body)
{
    struct virtio_gpu_ctrl_hdr *h = (void *)p->request;
    uint8_t how = u8();
    uint32_t asked = (uint32_t)len, room = (uint32_t)sizeof(*h) + body;

    if (how & 16) {
        h->flags = htole32(VIRTIO_GPU_FLAG_FENCE | (how & 2));
        h->fence_id = htole64(0xfedcba9800000000 | u8());
        h->ctx_id = htole32(how);
        h->ring_idx = how;
    }
    switch (how >> 5) {
    case 5:
        room = u8() % (room + 1);
        break;
    case 6:
        asked = u8() % (asked + 1);
        break;
    case 7:
        asked += u8() % 64;
        room += u8();
        break;
    default:
        break;
    }
    guest_show(ring, p, asked, room, how & 15);
}

/* ---- the control queue ---- */

/* Fills the request; its length. */
static size_t make(uint32_t type, unsigned r, void *request)
{
    struct virtio_gpu_resource_ref *ref = request;
    uint32_t width, height;
    uint64_t bytes;

    model_sides(r, &width, &height, &bytes);
    ref->hdr.type = htole32(type);
    ref->resource_id = htole32(ids[r]); /* where most have it */
    switch (type) {
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_2D: {
        struct virtio_gpu_resource_create_2d *c = request;

        c->format = htole32(format());
        c->width = htole32(side());
        c->height = htole32(side());
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_SET_SCANOUT: {
        struct virtio_gpu_set_scanout *c = request;

        c->r = rect(width, height);
        c->scanout_id = htole32(scanout());
        c->resource_id = htole32(ids[r]);
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_RESOURCE_FLUSH: {
        struct virtio_gpu_resource_flush *c = request;

        c->r = rect(width, height);
        c->resource_id = htole32(ids[r]);
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D: {
        struct virtio_gpu_transfer_to_host_2d *c = request;
        uint8_t b = u8();

        c->r = rect(width, height);
        /* Where drivers have it, or not. */
        bytes = ((uint64_t)le32toh(c->r.y) * width + le32toh(c->r.x)) * 4;
        if (b >= 128)
            bytes = b < 224 ? place_in(le32toh(c->r.width)) : any_u32();
        if (b == 255)
            bytes |= (uint64_t)any_u32() << 32;
        c->offset = htole64(bytes);
        c->resource_id = htole32(ids[r]);
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING: {
        struct virtio_gpu_resource_attach_backing *c = request;
        uint8_t b = u8();
        uint32_t n = entries((void *)(c + 1), bytes);

        c->nr_entries = htole32(b < 240 ? n : any_u32());
        return sizeof(*c) + n * sizeof(struct virtio_gpu_mem_entry);
    }
    case VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB: {
        struct virtio_gpu_resource_create_blob *c = request;
        uint8_t b = u8();
        uint64_t size = (b & 15) ? (b & 15) * 1024u : any_u32();
        uint32_t n = b & 16 ? 0 : entries((void *)(c + 1), size);

        c->blob_mem = htole32(b & 32 ? u8() & 3 : VIRTIO_GPU_BLOB_MEM_GUEST);
        c->blob_flags = htole32(b & 64 ? u8() : 3);
        c->nr_entries = htole32(b == 255 ? any_u32() : n);
        c->size = htole64(size);
        return sizeof(*c) + n * sizeof(struct virtio_gpu_mem_entry);
    }
    case VIRTIO_GPU_CMD_SET_SCANOUT_BLOB: {
        struct virtio_gpu_set_scanout_blob *c = request;
        uint8_t b = u8();

        width = b & 3 ? 8u << (b & 3) : side();
        height = b & 4 ? (uint32_t)MIN(bytes / MAX(width, 1) / 4, 64) : side();
        c->r = rect(width, height);
        c->scanout_id = htole32(scanout());
        c->resource_id = htole32(ids[r]);
        c->width = htole32(width);
        c->height = htole32(height);
        c->format = htole32(format());
        c->strides[0] = htole32(b & 8 ? any_u32() : width * 4 + (b & 48) / 4);
        c->offsets[0] = htole32(b & 64 ? any_u32() : 0);
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_GET_EDID: {
        struct virtio_gpu_get_edid *c = request;

        c->scanout = htole32(scanout());
        return sizeof(*c);
    }
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        return sizeof(struct virtio_gpu_ctrl_hdr);
    default:
        return sizeof(*ref);
    }
}

static uint32_t body_of(uint32_t type)
{
    switch (type) {
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        return sizeof(struct virtio_gpu_resp_display_info) -
               sizeof(struct virtio_gpu_ctrl_hdr);
    case VIRTIO_GPU_CMD_GET_EDID:
        return sizeof(struct virtio_gpu_resp_edid) -
               sizeof(struct virtio_gpu_ctrl_hdr);
    case VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID:
        return 16;
    default:
        return 0;
    }
}

void command_control(void)
{
    static const uint16_t types[] = {
        VIRTIO_GPU_CMD_RESOURCE_FLUSH,
        VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
        VIRTIO_GPU_CMD_RESOURCE_FLUSH,
        VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D,
        VIRTIO_GPU_CMD_SET_SCANOUT,
        VIRTIO_GPU_CMD_SET_SCANOUT,
        VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
        VIRTIO_GPU_CMD_SET_SCANOUT_BLOB,
        VIRTIO_GPU_CMD_RESOURCE_CREATE_2D,
        VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB,
        VIRTIO_GPU_CMD_RESOURCE_UNREF,
        VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
        VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING,
        VIRTIO_GPU_CMD_RESOURCE_DETACH_BACKING,
        VIRTIO_GPU_CMD_GET_DISPLAY_INFO,
        VIRTIO_GPU_CMD_GET_EDID,
        VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID,
        VIRTIO_GPU_CMD_GET_CAPSET_INFO,
        VIRTIO_GPU_CMD_GET_CAPSET,
        VIRTIO_GPU_CMD_UPDATE_CURSOR, /* not here */
    };
    uint8_t b = u8();
    uint32_t type = b < 250 ? types[b % ARRAY_LEN(types)] : u16();
    uint8_t *request;
    struct place *p = guest_place(VIRTIO_GPU_CONTROLQ, &request);

    if (p)
        send_it(VIRTIO_GPU_CONTROLQ, p, make(type, resource(), request),
                body_of(type));
}

void command_cursor(void)
{
    uint8_t *request, b = u8();
    struct place *p = guest_place(VIRTIO_GPU_CURSORQ, &request);
    struct virtio_gpu_update_cursor *c = (void *)request;

    if (!p)
        return;
    c->hdr.type = htole32(b & 1 ? VIRTIO_GPU_CMD_MOVE_CURSOR
                                : VIRTIO_GPU_CMD_UPDATE_CURSOR);
    if (b == 254)
        c->hdr.type = htole32(any_u32());
    c->pos.scanout_id = htole32(scanout());
    c->pos.x = htole32(b & 2 ? any_u32() : u8());
    c->pos.y = htole32(b & 2 ? any_u32() : u8());
    c->resource_id = htole32(b & 4 ? 0 : ids[resource()]);
    c->hot_x = htole32(b & 8 ? any_u32() : 1);
    c->hot_y = htole32(b & 8 ? any_u32() : 2);
    send_it(VIRTIO_GPU_CURSORQ, p, sizeof(*c), 0);
}

/* ---- a scene ---- */

static void simple(uint32_t type, const void *rest, size_t len)
{
    uint8_t *request;
    struct place *p = guest_place(VIRTIO_GPU_CONTROLQ, &request);
    struct virtio_gpu_ctrl_hdr *h = (void *)request;

    if (!p)
        return;
    h->type = htole32(type);
    memcpy(h + 1, rest, len);
    guest_show(VIRTIO_GPU_CONTROLQ, p, (uint32_t)(sizeof(*h) + len),
               (uint32_t)sizeof(*h), 0);
}

/* A blob and what it shows: it needs no transfer. */
static void blob_scene(uint32_t id, uint32_t format, uint32_t scanout,
                       uint32_t width, uint32_t height, uint32_t gap)
{
    const uint32_t stride = width * 4 + gap, bytes = stride * height;
    const le32 make_it[] = {htole32(id),
                            htole32(VIRTIO_GPU_BLOB_MEM_GUEST),
                            htole32(VIRTIO_GPU_BLOB_FLAG_USE_SHAREABLE),
                            htole32(2),
                            0,
                            0,
                            htole32(bytes),
                            0,
                            htole32(0x17ff2), /* crosses regions, and pixels */
                            0,
                            htole32(38),
                            0,
                            htole32(0x40000),
                            0,
                            htole32(bytes),
                            0};
    const le32 show[] = {0,
                         0,
                         htole32(width),
                         htole32(height),
                         htole32(scanout),
                         htole32(id),
                         htole32(width),
                         htole32(height),
                         htole32(format),
                         0,
                         htole32(stride),
                         0,
                         0,
                         0,
                         0,
                         0,
                         0,
                         0};
    const le32 flush[] = {0,           0, htole32(width), htole32(height),
                          htole32(id), 0};

    simple(VIRTIO_GPU_CMD_RESOURCE_CREATE_BLOB, make_it, sizeof(make_it));
    simple(VIRTIO_GPU_CMD_SET_SCANOUT_BLOB, show, sizeof(show));
    simple(VIRTIO_GPU_CMD_RESOURCE_FLUSH, flush, sizeof(flush));
}

static void resource_scene(uint32_t id, uint32_t format, uint32_t scanout,
                           uint32_t width, uint32_t height)
{
    const le32 make_it[] = {htole32(id), htole32(format), htole32(width),
                            htole32(height)};
    const le32 back[] = {htole32(id),
                         htole32(2),
                         htole32(0x44000),
                         0,
                         htole32(18),
                         0,
                         htole32(0x40000),
                         0,
                         htole32(width * height * 4),
                         0};
    const le32 load[] = {0, 0, htole32(width), htole32(height),
                         0, 0, htole32(id),    0};
    const le32 show[] = {
        0, 0, htole32(width), htole32(height), htole32(scanout), htole32(id)};
    const le32 flush[] = {0,           0, htole32(width), htole32(height),
                          htole32(id), 0};

    simple(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, make_it, sizeof(make_it));
    simple(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, back, sizeof(back));
    simple(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, load, sizeof(load));
    simple(VIRTIO_GPU_CMD_SET_SCANOUT, show, sizeof(show));
    simple(VIRTIO_GPU_CMD_RESOURCE_FLUSH, flush, sizeof(flush));
}

void command_scene(void)
{
    static const uint8_t sides[] = {64, 48, 1, 16, 33, 64, 100, 64};
    static const uint8_t formats[] = {1, 2, 3, 4, 67, 68, 121, 134};
    uint8_t b = u8(), c = u8();
    uint32_t id = ids[1 + (c & 3)], width = sides[b & 7];
    uint32_t height = sides[b >> 3 & 7], format = formats[c >> 2 & 7];
    uint32_t scanout = (c >> 5) % SCANOUTS;

    if (b & 64)
        blob_scene(id, format, scanout, width, height, b & 128 ? 12 : 0);
    else
        resource_scene(id, format, scanout, width, height);
    guest_kick(VIRTIO_GPU_CONTROLQ);
}

/* The last of ids has it, so that it is seldom shown. */
void command_large(void)
{
    const uint32_t id = ids[IDS - 1], width = 2048, height = 1024;
    const le32 make_it[] = {htole32(id),
                            htole32(VIRTIO_GPU_FORMAT_B8G8R8X8_UNORM),
                            htole32(width), htole32(height)};
    const le32 load[] = {0, 0, htole32(width), htole32(height),
                         0, 0, htole32(id),    0};
    le32 back[2 + 4 * 130] = {htole32(id), htole32(130)};

    for (unsigned i = 0; i < 130; i++) {
        back[2 + 4 * i] = htole32(i ? 0x40000 : 0x18000);
        back[2 + 4 * i + 2] = htole32(i ? 0x10000 : 4);
    }
    simple(VIRTIO_GPU_CMD_RESOURCE_CREATE_2D, make_it, sizeof(make_it));
    simple(VIRTIO_GPU_CMD_RESOURCE_ATTACH_BACKING, back, sizeof(back));
    simple(VIRTIO_GPU_CMD_TRANSFER_TO_HOST_2D, load, sizeof(load));
    guest_kick(VIRTIO_GPU_CONTROLQ);
}
