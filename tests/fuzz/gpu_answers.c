/* Answers, which are held to what the model has. */
#include <string.h>

#include "gpu_model.h"

static void check_header(const struct ask *a, const uint8_t *answer)
{
    struct virtio_gpu_ctrl_hdr in, out;
    uint32_t flags, type;

    memcpy(&in, a->bytes, sizeof(in));
    memcpy(&out, answer, sizeof(out));
    if (a->len < HEAD)
        memset(&in, 0, sizeof(in));
    flags = le32toh(in.flags);
    type = le32toh(out.type);
    CHECK((type >= 0x1100 && type <= 0x1105) ||
          (type >= 0x1200 && type <= 0x1205));
    if (flags & VIRTIO_GPU_FLAG_FENCE) {
        CHECK(le32toh(out.flags) & VIRTIO_GPU_FLAG_FENCE);
        CHECK(out.fence_id == in.fence_id);
    } else {
        CHECK(out.flags == 0 && out.fence_id == 0);
    }
    CHECK(!out.padding[0] && !out.padding[1] && !out.padding[2]);
}

static void check_body(struct ask *a, const uint8_t *body, size_t len)
{
    struct virtio_gpu_display_one one;

    switch (ask_word(a, 0)) {
    case VIRTIO_GPU_CMD_RESOURCE_ASSIGN_UUID:
        if (is_lost || !a->res || len < sizeof(a->res->uuid))
            break;
        if (a->res->has_uuid)
            CHECK(memcmp(a->res->uuid, body, len) == 0);
        a->res->has_uuid = true;
        memcpy(a->res->uuid, body, len);
        break;
    case VIRTIO_GPU_CMD_GET_EDID:
        if (len >= 4) {
            le32 size;

            memcpy(&size, body, 4);
            CHECK(le32toh(size) <= VIRTIO_GPU_EDID_BYTES);
        }
        break;
    case VIRTIO_GPU_CMD_GET_DISPLAY_INFO:
        for (size_t at = 0; len - at >= sizeof(one); at += sizeof(one)) {
            memcpy(&one, body + at, sizeof(one));
            CHECK(le32toh(one.enabled) <= 1 && one.flags == 0);
            CHECK(le32toh(one.r.width) <= GPU_SIDE_MAX &&
                  le32toh(one.r.height) <= GPU_SIDE_MAX);
            CHECK(!one.enabled || (one.r.width && one.r.height));
        }
        break;
    default:
        break;
    }
}

/* Was it done? */
static bool was_done(struct ask *a, const struct row *row, enum verdict v,
                     const struct place *p, const uint8_t *answer, uint32_t len)
{
    le32 type;
    bool worked;

    if (p->room < HEAD) {
        CHECK(len == 0);
        if (v == EITHER || p->lax)
            is_lost = true;
        return v == WORKS;
    }
    CHECK(len >= HEAD);
    check_header(a, answer);
    memcpy(&type, answer, sizeof(type));
    worked = le32toh(type) < VIRTIO_GPU_RESP_ERR_UNSPEC;
    CHECK(is_lost || p->lax || v == EITHER || worked == (v == WORKS));
    if (worked) {
        CHECK(row && le32toh(type) == row->answer);
        CHECK(len == MIN(p->room, HEAD + row->body));
        check_body(a, answer + HEAD, len - HEAD);
    } else {
        CHECK(len == HEAD);
    }
    return worked;
}

void model_answered(unsigned ring, const struct place *p, const uint8_t *answer,
                    uint32_t len)
{
    static struct ask a;
    static uint8_t bytes[PLACE_BYTES];
    const struct row *row;
    enum verdict v;

    memset(bytes, 0, sizeof(bytes));
    memcpy(bytes, p->request, p->asked);
    memset(&a, 0, sizeof(a));
    a.bytes = bytes;
    a.len = p->asked;
    row = ask_row(ring, &a);
    v = row ? row->verdict(&a) : FAILS;
    if (was_done(&a, row, v, p, answer, len) && !is_lost && row->apply)
        row->apply(&a);
    /* It may have been read while it changed, or in part. */
    if (p->lax && a.res && !a.res->is_blob)
        a.res->blurred = true;
    if (row && row->apply)
        shown_look();
}
